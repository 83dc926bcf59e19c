"""Sweep files as they come from outside: whatever they hold, one line says which file and which field."""
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wild import VALUES, mutations, one_line, write

from lib import paths
from lib.runs import launch, points

PLAN = {"notebook": "05_mix_ratio", "grid": {"seed": [0, 1], "ratio": [0, 7, "inf"]}, "fixed": {"scale": "tiny"}}
GRID = {"notebook": "05_mix_ratio", "grid": {"seed": [0]}}


@pytest.mark.parametrize("plan, said", [
    (GRID | {"notebook": 5}, "notebook is 5"), (GRID | {"notebook": ""}, "notebook is ''"),
    (GRID | {"notebook": ["05"]}, "notebook is ['05']"), (GRID | {"notebook": "a\nb"}, r"notebook is 'a\nb'"),
    (GRID | {"grid": {"seed": [[0, 1]]}}, "seed has the value [0, 1]: it must be a number"),
    (GRID | {"grid": {"seed": [{"a": 1}]}}, "seed has the value {'a': 1}"), (GRID | {"grid": {"seed": [None]}}, "None"),
    (GRID | {"grid": {"ratio": [float("nan")]}}, "NaN is no number in JSON"),
    (GRID | {"grid": {"ratio": [float("inf")]}}, "Infinity is no number in JSON: use null or \"inf\""),
    (GRID | {"grid": {"ratio": [1e300]}}, "ratio has the value 1e+300"),
    (GRID | {"grid": {"seed": [0, 1, 0]}}, "seed of its grid has '0' 2 times"),
    (GRID | {"grid": {"ratio": [7, 7.0]}}, "ratio of its grid has '7' 2 times"),
    (GRID | {"grid": {"ratio": [7, "7"]}}, "ratio of its grid has '7' 2 times"),
    (GRID | {"fixed": {"seed": 1}}, "'seed' is both in grid and in fixed"),
    (GRID | {"fixed": {"ratio": [1]}}, "ratio has the value [1]"),
    (GRID | {"fixed": {"a\x00": 1}}, "'a\\x00' is no name of a parameter"),
    (GRID | {"fixed": {"wildlife": "a\x00b"}}, "wildlife has the value 'a\\x00b'"),
    (GRID | {"fixd": {}}, "holds 'fixd': it may hold notebook, grid and fixed"),
    (GRID | {"grid": dict.fromkeys(["seed", "data_seed"], list(range(1000)))}, "1,000,000 points, more than 10,000"),
    (GRID | {"grid": {"seed": list(range(10**5))}}, "100,000 points"),
    (GRID | {"grid": {n: list(range(9)) for n in "abcdefghijklmnopqrstuvwxyz"}}, "points, more than 10,000")])
def test_a_sweep_is_refused_by_its_field(tmp_path, capsys, plan, said):
    file = write(tmp_path / "plan.json", plan)
    with pytest.raises(ValueError) as error:
        points.points(str(file))
    assert said in one_line(error.value, "plan.json")
    assert launch.main(["sweep", str(file)]) == 2 and capsys.readouterr().err.count("\n") == 1


def test_a_grid_that_names_a_parameter_twice_is_refused(tmp_path):
    (tmp_path / "plan.json").write_text('{"notebook": "05", "grid": {"seed": [0], "ratio": [1], "seed": [2]}}')
    with pytest.raises(ValueError, match="plan.json is not JSON: 'seed' stands twice in one object"):
        points.points(str(tmp_path / "plan.json"))


@pytest.mark.parametrize("data", [b"", b"\xff\xfe{}", b"{'notebook': 1}", b"[" * 100_000, b"1" * 5000])
def test_what_is_no_json_is_one_line(tmp_path, data):
    (tmp_path / "plan.json").write_bytes(data)
    with pytest.raises(ValueError) as error:
        points.points(str(tmp_path / "plan.json"))
    one_line(error.value, "plan.json")


def test_a_file_of_a_windows_editor_is_read(tmp_path):
    (tmp_path / "plan.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(PLAN).encode())
    assert len(points.points(str(tmp_path / "plan.json"))) == 6


@pytest.mark.parametrize("plan, said", [
    (GRID | {"notebook": "5"}, "there is no notebook '5'"), (GRID | {"grid": {"sed": [0]}}, "no parameter 'sed'"),
    (GRID | {"grid": {"seed": ["x"]}}, "seed is 'x': it must be a whole number")])
def test_what_the_notebook_does_not_know_is_said_with_the_file(tmp_path, capsys, plan, said):
    for words in ([], ["list=all"]):
        assert launch.main(["sweep", str(write(tmp_path / "plan.json", plan)), *words]) == 2
        line, = capsys.readouterr().err.splitlines()
        assert said in line and "plan.json: " in line


def test_every_sweep_of_the_repository_is_one():
    assert all(points.points(str(file)) for file in (paths.ROOT / "papermill_runs").glob("*.sweep.json"))


@given(plan=mutations(PLAN) | VALUES | st.builds(lambda grid: GRID | {"grid": grid}, VALUES))
def test_whatever_a_sweep_file_holds_it_is_read_or_refused_in_one_line(tmp_path_factory, plan):
    file = write(tmp_path_factory.getbasetemp() / "plan.json", plan)
    try:
        found = points.points(str(file))
    except Exception as error:  # which kind is what is asked
        one_line(error, "plan.json")
    else:
        assert 0 < len(found) <= points.MOST and len({point.name for point in found}) == len(found)
