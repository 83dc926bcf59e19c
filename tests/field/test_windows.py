import numpy as np
import pytest
import soundfile
import torch
from toys import ARCH, FRONT

from lib import audio, training
from lib.checkpoints import Card
from lib.field import windows
from lib.mae import MAE
from lib.transfer import reference


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


def test_the_answers_of_a_file_are_those_of_its_windows(tmp_path):
    model = reference.ours(MAE(ARCH, training.generator(0)), Card("toy", ARCH, FRONT, "nothing", "none", "a test"))
    file = tmp_path / "a.wav"
    soundfile.write(file, np.random.default_rng(0).normal(0, 0.1, FRONT.rate * 5), FRONT.rate)
    at, scores = windows.answers(file, model, lambda x: x[:, :3], bar=None)
    wave, firsts = audio.read(file, model.rate), audio.windows(FRONT.rate * 5, model.samples, model.samples // 2)
    assert (at["start_s"] * model.rate).round().tolist() == firsts and at["end_s"].iloc[-1] == 5
    for first, score in zip(firsts, scores):
        np.testing.assert_allclose(model.features(wave[None, first: first + model.samples])[0, :3].numpy(), score,
                                   atol=1e-5)
