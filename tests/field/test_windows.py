import numpy as np
import pytest
import soundfile
import torch

from lib import audio
from lib.field import windows


@pytest.mark.parametrize("seconds, rate, starts", [(0.5, 8000, [0]), (1.0, 8000, [0]), (2.6, 8000, [0, 1, 2, 3, 3.2]),
                                                   (2.5, 11_025, [0, 1, 2, 3])])
def test_windows_cover_a_file_to_its_end_and_are_its_samples(tmp_path, seconds, rate, starts):
    file = tmp_path / "a.wav"
    soundfile.write(file, np.random.default_rng(0).normal(0, 0.1, int(seconds * rate)), rate)
    first, waves = zip(*windows.windows(file, 8000, 8000, 4000))
    first, waves, whole = np.concatenate(first), torch.cat(waves), audio.read(file, 8000)
    assert (first / 4000).tolist() == pytest.approx(starts, abs=1e-3)
    for at, wave in zip(first, waves):
        torch.testing.assert_close(wave, whole[at: at + 8000])


def test_pieces_have_no_seams_and_the_last_window_lies_on_the_grid(tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "PIECE", 2)
    file = tmp_path / "a.wav"
    soundfile.write(file, np.random.default_rng(0).normal(0, 0.1, 7 * 8000 + 1234), 8000)
    found = list(windows.windows(file, 8000, 24_000, 9000, grid=100))
    first, whole = np.concatenate([at for at, _ in found]), audio.read(file, 8000)
    assert len(found) > 2 and first.tolist() == [0, 9000, 18_000, 27_000, 33_200]
    for at, wave in zip(first, torch.cat([waves for _, waves in found])):
        torch.testing.assert_close(wave, whole[at: at + 24_000])
