"""The benchmark: every part is measured apart, reading only once its workers are under way; and what goes wrong is one
line."""

from importlib.util import find_spec
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from toys import tones

from lib import data, mel, paths, pretrain
from lib.runs import benchmark, scales

SMOKE = scales.SCALES["smoke"]


def command(words):
    return paths.command(benchmark.run, words, benchmark.__doc__)


def test_every_part_is_measured_apart(tmp_path):
    before = torch.get_rng_state().tolist()
    table = benchmark.benchmark(SMOKE, tones(tmp_path / "w", seconds=3.2), tones(tmp_path / "g", seconds=3.2),
                                seconds=0.05)
    parts = ["reading (0 workers)", "front end", "pretraining step", "finetuning step", "evaluation windows"]
    others = ["librosa's front end", *["ViTMAE (transformers)"] * bool(find_spec("transformers"))]
    assert list(table.index) == [*parts, "large matrix product", *others]
    assert (table.loc[parts + others, "clips/s"] > 0).all() and (table["share"].dropna() > 0).all()
    assert (table.loc[others, "ours"] > 0).all()
    assert torch.get_rng_state().tolist() == before


@pytest.mark.parametrize("workers, turn", [(0, 1), (3, 3)])
def test_reading_is_timed_once_every_worker_has_handed_over_a_batch(monkeypatch, workers, turn):
    clock, taken = [0.0], []
    batch = data.Batch(torch.zeros(8, 1), torch.ones(8), torch.arange(8), ["x"] * 8, 0, 8)

    def slow(*_):
        """Of each turn of the workers the first batch is waited for, the first turn longer: they start."""
        for n in range(20 * turn):
            clock[0] += 0.0 if n % turn else 10.0 if n else 100.0
            taken.append(n)
            yield batch

    monkeypatch.setattr(benchmark.data, "Clips", lambda *_, **__: SimpleNamespace(source=SimpleNamespace()))
    monkeypatch.setattr(benchmark.data, "loader", slow)
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: clock[0])
    table, recipe = pd.DataFrame({"file": ["x"] * 4}), pretrain.Recipe(ratio=1.0)
    assert benchmark._reading(table, table, mel.INAT, recipe, workers, 45.0) == 8 * turn / 10.0
    assert len(taken) == (1 + 5) * turn
    # until there are no more
    assert benchmark._reading(table, table, mel.INAT, recipe, workers, 1e9) == 8 * turn / 10.0


def test_the_command_line_says_what_limits(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(benchmark.tables, "recordings", lambda name, *_: tones(tmp_path / name, seconds=3.2))
    assert command(["scale=smoke", "wildlife=w", "general=g", "seconds=0.05"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("scale smoke on ") and "GFLOP/clip" in out and "\nslowest part of pretraining: " in out
    assert "nan" not in out


@pytest.mark.parametrize("words, said", [
    (["scala=tiny"], "there is no 'scala', did you mean scale?; there are scale, wildlife, general, seconds"),
    (["scale=huge"], "smoke, tiny, small, paper"), (["seconds=long"], "seconds=long: use a number")])
def test_the_command_line_names_what_it_does_not_know(words, said, capsys):
    assert command(words) == 2
    out, err = capsys.readouterr()
    assert not out and said in err and err.count("\n") == 1


def test_a_disk_that_fails_is_one_line(monkeypatch, capsys):
    def fails(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(benchmark.tables, "recordings", fails)
    assert command([]) == 2 and capsys.readouterr().err == "[Errno 28] No space left on device\n"
