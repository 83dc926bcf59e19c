"""Names of records and of what lies beside them: as short as a disk takes them, and the old ones as they were."""
import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_record import given as values
from test_record import toy  # noqa: F401

from lib import paths
from lib.runs import launch, names, record

LONG = {"letters": "f" * 250, "Chinese": "蛙" * 83, "Devanagari": "मेंढक" * 16, "emoji": "🐸" * 62, "Thai": "กบ" * 41}


def is_a_name(name: str) -> bool:
    return (0 < len(name.encode("utf-8")) <= 200 and not name.startswith(".") and name.isprintable()
            and not set(name) & set('<>:"|?*\\/'))


def test_ordinary_names_are_as_they_were():
    for file in sorted((paths.ROOT / "papermill_runs").glob("[01]*/*.json")):
        run = json.loads(file.read_text(encoding="utf-8"))
        defaults = record.defaults_of(record.notebook_path(run["notebook"]))
        grid = record.GRID.get(run["notebook"], ())
        asked = {name: value for name, value in run["parameters"].items() if name in defaults}  # it may have had more
        assert names.name_of(run["notebook"], asked, defaults, run["data"], grid) == file.stem
    for name in ("ratio=0.5,seed=0,threshold=50%,data=Ñandú-1a2b3c+b", "x" * 200, "蛙" * 66):
        assert names.safe(name) == name
    assert names.base("folder:~/sounds/frogs/") == "frogs" and names.base("chorus:empty=0.6") == "chorus_empty_0.6"
    assert names.base("folder:frogs?fold=2") == "frogs_fold_2"


@pytest.mark.parametrize("folder", LONG.values(), ids=LONG)
def test_a_run_on_a_folder_of_a_long_name_is_recorded_and_found_again(toy, tmp_path, monkeypatch, folder):  # noqa: F811
    table = pd.DataFrame({"file": [f"/x/{folder}/a.wav"], "label": ["x"], "split": ["test"]})
    asked = values(scale="tiny", wildlife=f"folder:/x/{folder}")
    path = record.start(str(toy), {"wildlife": table}, **asked).record({"top1": 0.5}, samples_seen=1)
    assert is_a_name(path.stem) and path.is_file()
    assert [bool(found) for found in record.recorded(toy, [asked, asked | {"seed": 1}])] == [True, False]
    other = record.start(str(toy), {"wildlife": table}, **asked | {"sleep_s": 1.0})
    assert is_a_name(other.name) and other.name != path.stem
    monkeypatch.setenv("STUDY_SKIP_RECORDED", "1")
    with pytest.raises(record.Recorded):
        record.start(str(toy), {"wildlife": table}, **asked)
    outputs = []
    monkeypatch.setattr(launch, "_papermill", lambda *given: outputs.append(given[2]) or 0)
    assert launch.main([str(toy), f"wildlife=folder:/x/{folder}"]) == 0 and is_a_name(outputs[0].stem)


def test_a_log_s_name_is_short_too(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    for name in LONG.values():
        log = launch.Point("05_mix_ratio", f"wildlife=folder:/x/{name}", {"wildlife": name}).log
        assert is_a_name(log.name)
        log.touch()


def test_what_a_disk_refuses_is_replaced_and_two_stay_two():
    strange = ["a<b", "a>b", 'a"b', "a|b", "a?b", "a*b", "a\\b", "a\nb", "a\x00b", "a\ud800b", ".hidden", "..", "...",
               "_b", "", "x" * 201, "x" * 202]
    assert all(map(is_a_name, map(names.safe, strange))) and len(set(map(names.safe, strange))) == len(strange)
    assert names.base("folder:/x/.hidden") != names.base("folder:/x/_hidden")


LETTERS = st.builds(lambda text, times: text * times, st.text(max_size=12), st.integers(0, 40))


@given(st.dictionaries(st.sampled_from(["seed", "ratio", "scale", "weights", "wildlife"]),
                       LETTERS | st.integers() | st.floats() | st.lists(st.text(max_size=5), max_size=3)),
       LETTERS, LETTERS)
def test_any_name_is_one_and_any_two_are_two(given, source, other):
    name = names.name_of("05_mix_ratio", given, {}, {"wildlife": {"name": source}}, ("ratio",))
    assert is_a_name(name) and is_a_name(names.base(source)) and is_a_name(names.base(f"folder:{source}?fold={other}"))
    if source.replace("/", ":") != other.replace("/", ":"):  # these two have always become one letter
        assert names.safe(f"x{source}") != names.safe(f"x{other}")
