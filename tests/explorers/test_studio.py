import subprocess
import sys

import pytest
import torch

from lib import audio, mel, paths, training
from lib.explorers import studio


@pytest.fixture(scope="module")
def made():
    return studio.page()


def test_the_ready_weights_beat_the_mean_and_the_first_model_borrows_nothing(made):
    first, second, untrained = made.models
    assert not made.models[first][0].arch.norm_pixels and made.models[second][0].arch.norm_pixels
    choice = {"recording": list(made.sounds_of)[0], "kind": "random patches", "ratio": 0.8}
    numbers = {name: made.update(model=name, **choice).numbers for name in made.models}
    assert numbers[first]["all hidden"] < 0.5 * numbers[untrained]["all hidden"]
    assert numbers[second]["all hidden"] < numbers[second]["guess of the mean"]


def test_made_sounds_hold_a_call(made):
    assert len(made.sounds_of) == 14
    assert all(len(sound.calls) for sound in made.sounds_of.values())


def test_own_sounds_are_their_loudest_three_seconds(tmp_path):
    wave = 0.01 * torch.randn(22_050 * 8, generator=training.generator(0))
    wave[22_050 * 5 : 22_050 * 6] *= 20
    audio.write(tmp_path / "pond & <frogs>.wav", wave, 22_050)
    sounds = studio.page([str(tmp_path / "pond & <frogs>.wav")]).sounds_of
    assert list(sounds) == ["pond & <frogs>.wav"]
    heard = next(iter(sounds.values())).wave
    assert len(heard) == mel.INAT.samples and heard.abs().max() > 0.9 * wave.abs().max()


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    done = subprocess.run([sys.executable, "-m", "lib.explorers.studio", str(tmp_path / "none.wav")], cwd=paths.ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 2 and "none.wav: no such file" in done.stderr and "Traceback" not in done.stderr
