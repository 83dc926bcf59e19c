"""The benchmark: every part is measured apart, reading only once its workers are under way; and what goes wrong is one line."""

import os

import pandas as pd
import pytest
import torch
from toys import tones

from lib import data, mel, pretrain
from lib.runs import bench, scales

SMOKE = scales.SCALES["smoke"]


def test_every_part_is_measured_apart(tmp_path):
    before = torch.get_rng_state().tolist()
    table = bench.benchmark(SMOKE, tones(tmp_path / "w", seconds=3.2), tones(tmp_path / "g", seconds=3.2), seconds=0.05)
    parts = ["reading (0 workers)", "front end", "pretraining step", "finetuning step", "evaluation windows"]
    assert list(table.index) == [*parts, "large matrix product"]
    assert (table.loc[parts, "clips/s"] > 0).all() and (table["share"].dropna() > 0).all()
    assert torch.get_rng_state().tolist() == before


@pytest.mark.parametrize("workers, turn", [(0, 1), (3, 3)])
def test_reading_is_timed_once_every_worker_has_handed_over_a_batch(monkeypatch, workers, turn):
    clock, taken = [0.0], []

    class Slow(list):
        """Of each turn of the workers the first batch is waited for, the first turn longer: they start."""

        num_workers = workers

        def __iter__(self):
            for n, batch in enumerate(super().__iter__()):
                clock[0] += 0.0 if n % turn else 10.0 if n else 100.0
                taken.append(n)
                yield batch

    batch = data.Batch(torch.zeros(8, 1), torch.ones(8), torch.arange(8), ["x"] * 8)
    monkeypatch.setattr(bench.data, "Clips", lambda *_, **__: type("Clips", (), {"source": type("Source", (), {})()})())
    monkeypatch.setattr(bench.data, "loader", lambda *_: Slow([batch] * 20 * turn))
    monkeypatch.setattr(bench.time, "perf_counter", lambda: clock[0])
    table = pd.DataFrame({"file": ["x"] * 4})
    rate, used = bench._reading(table, table, mel.INAT, pretrain.Recipe(ratio=1.0), workers, 45.0)
    assert (rate, used) == (8 * turn / 10.0, workers) and len(taken) == (1 + 5) * turn
    assert bench._reading(table, table, mel.INAT, pretrain.Recipe(ratio=1.0), workers, 1e9)[0] == 8 * turn / 10.0  # until there are no more


def test_the_table_names_the_workers_there_are(tmp_path):
    table, recipe = tones(tmp_path, seconds=3.2), SMOKE.pretraining(64, 0, ratio=1.0)
    rate, used = bench._reading(table, table, mel.INAT, recipe, 4096, 0.01)
    assert rate > 0 and 1 <= used <= (os.cpu_count() or 1)


def test_the_command_line_says_what_limits(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench.tables, "recordings", lambda name, *_: tones(tmp_path / name, seconds=3.2))
    assert bench.main(["scale=smoke", "wildlife=w", "general=g", "seconds=0.05"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("scale smoke on ") and "GFLOP/clip" in out and "\nslowest part of pretraining: " in out and "nan" not in out


@pytest.mark.parametrize("words, said", [
    (["scala=tiny"], "unknown: scala; there are scale, wildlife, general, seconds"), (["scale=huge"], "smoke, tiny, small, paper"),
    (["tiny"], "'tiny'"), (["seconds=long"], "seconds is 'long': it must be a number, such as 10")])
def test_the_command_line_names_what_it_does_not_know(words, said, capsys):
    assert bench.main(words) == 1
    out, err = capsys.readouterr()
    assert not out and said in err and err.count("\n") == 1


def test_a_disk_that_fails_is_one_line(monkeypatch, capsys):
    def fails(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(bench.tables, "recordings", fails)
    assert bench.main([]) == 1 and capsys.readouterr().err == "[Errno 28] No space left on device\n"
