"""The opponent without a network."""
import numpy as np
import pytest
import torch
from toys import FRONT, tones

from lib import audio
from lib.mel import LogMel
from lib.transfer import baseline


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("tones"))


def test_statistics_are_those_of_the_log_mel(table):
    x = baseline.statistics(FRONT, table).kinds["statistics"]
    assert x.shape == (len(table), 2 * FRONT.mels)
    for row in (0, 7):
        spec = LogMel(FRONT)(audio.read(table["file"][row], FRONT.rate)[None])[0, 0].numpy()  # (frames, M)
        weight = np.zeros(len(spec))  # in how many windows each frame is: windows overlap
        for first in (*range(0, len(spec) - FRONT.frames, FRONT.frames // 2), len(spec) - FRONT.frames):
            weight[first : first + FRONT.frames] += 1
        mean = np.average(spec, axis=0, weights=weight)
        spread = np.average((spec - mean) ** 2, axis=0, weights=weight) ** 0.5
        assert np.allclose(x[row], np.concatenate([mean, spread]), atol=2e-3)  # specs are kept in half precision


def test_padding_is_left_out(tmp_path):
    short = tones(tmp_path, train=1, val=1, test=1, seconds=0.2)
    x = baseline.statistics(FRONT, short).kinds["statistics"]
    spec = LogMel(FRONT)(audio.read(short["file"][0], FRONT.rate)[None])[0, 0]
    assert np.allclose(x[0], torch.cat([spec.mean(0), spec.std(0, unbiased=False)]), atol=2e-3)


def test_tones_are_told_apart_and_twice_the_same(table):
    first, second = (baseline.logistic(FRONT, table, seed=0) for _ in range(2))
    assert first.scores["test"].top1.value == 1 and first.scores["test"].recordings == 6
    for split in ("val", "test"):
        assert (first.answers[split]["hits"] == second.answers[split]["hits"]).all()


def test_too_many_recordings_are_left_out(table, monkeypatch):
    monkeypatch.setattr(baseline, "MOST", 5)
    assert baseline.logistic(FRONT, table, seed=0) is None
