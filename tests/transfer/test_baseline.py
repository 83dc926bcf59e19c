"""The opponents: statistics, a small CNN, a frozen encoder."""
import numpy as np
import pytest
import torch
from toys import ARCH, FRONT, tones

from lib import audio, training
from lib.mae import MAE
from lib.mel import LogMel
from lib.transfer import baseline, probe

M = FRONT.mels


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def beeps(tmp_path_factory):
    """The same tones, on for a quarter of the time: what sounds all the time has no rise above its median."""
    beeps = tones(tmp_path_factory.mktemp("beeps"))
    for file in beeps["file"]:
        wave = audio.read(file, FRONT.rate)
        audio.write(file, wave * (torch.arange(len(wave)) // 1000 % 4 == 0), FRONT.rate)
    return beeps


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))


def test_statistics_are_those_of_the_log_mel(table):
    x = baseline.statistics(FRONT, table).kinds
    assert [v.shape for v in x.values()] == [(len(table), 2 * M), (len(table), 3 * M)]
    for row in (0, 7):
        spec = LogMel(FRONT)(audio.read(table["file"][row], FRONT.rate)[None])[0, 0].numpy()  # (frames, M)
        firsts = [*range(0, len(spec) - FRONT.frames, FRONT.frames // 2), len(spec) - FRONT.frames]
        frames = np.concatenate([spec[first : first + FRONT.frames] for first in firsts])  # windows overlap
        lower = [np.sort(spec[first : first + FRONT.frames], 0)[FRONT.frames // 2 - 1] for first in firsts]
        rise = np.concatenate([spec[first : first + FRONT.frames] - low for first, low in zip(firsts, lower)])
        wanted = np.concatenate([frames.mean(0), frames.std(0), rise.clip(min=0).mean(0)])
        assert np.allclose(x["mean, spread, rise"][row], wanted, atol=2e-3)  # specs are kept in half precision
        assert np.array_equal(x["mean, spread"][row], x["mean, spread, rise"][row, : 2 * M])


def test_padding_is_left_out(tmp_path):
    short = tones(tmp_path, train=1, val=1, test=1, seconds=0.2)
    x = baseline.statistics(FRONT, short).kinds["mean, spread, rise"]
    spec = LogMel(FRONT)(audio.read(short["file"][0], FRONT.rate)[None])[0, 0]
    rise = (spec - spec.median(0).values).clamp(min=0).mean(0)
    assert np.allclose(x[0], torch.cat([spec.mean(0), spec.std(0, unbiased=False), rise]), atol=2e-3)


@pytest.mark.parametrize("opponent", [
    lambda table: baseline.logistic(FRONT, table, seed=0)["logistic"],
    lambda table: baseline.frozen(MAE(ARCH, training.generator(0)), FRONT, table, seed=0)["spread"],
    lambda table: baseline.cnn(FRONT, table, seed=0, steps=60, batch=8)], ids=["logistic", "frozen", "cnn"])
def test_tones_are_told_apart_and_twice_the_same(beeps, opponent, tmp_path, monkeypatch):
    first = opponent(beeps)
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "another"))
    second = opponent(beeps)
    assert first.scores["test"].top1.value == 1 and first.scores["test"].recordings == 6
    for split in ("val", "test"):
        assert (first.answers[split]["hits"] == second.answers[split]["hits"]).all()


def test_too_many_recordings_are_left_out(table, monkeypatch):
    monkeypatch.setattr(baseline, "MOST", 5)
    assert not baseline.logistic(FRONT, table, seed=0) and not baseline.frozen(MAE(ARCH), FRONT, table, seed=0)


def test_the_frequency_vector_stands_beside_its_spread_without_padding(tmp_path):
    short = tones(tmp_path, train=1, val=1, test=1, seconds=0.2)
    known = probe.features(MAE(ARCH, training.generator(0)).eval(), FRONT, short)
    mean, spread = known.kinds["spread"].reshape(len(short), known.grid.f, 2, ARCH.dim).transpose(2, 0, 1, 3)
    assert known.columns.max() < known.grid.t
    assert np.allclose(mean.reshape(len(short), -1), known.kinds["frequency"])
    tokens = known.tokens[0, 1:].astype(np.float32).reshape(*known.grid, ARCH.dim)[: known.columns[0]]
    assert np.allclose(spread[0], tokens.std(0), atol=2e-3)  # tokens are kept in halves
    whole = probe.features(MAE(ARCH, training.generator(0)).eval(), FRONT, short, tokens=False)
    assert whole.tokens is None and all((whole.kinds[kind] == known.kinds[kind]).all() for kind in probe.KINDS)
