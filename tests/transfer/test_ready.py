"""The ready weights: that they are what their card says, small enough, and know more than random weights on sounds they have never met."""

import json

import pandas as pd
import pytest
import torch

from lib import audio, mae, mel, patches, training
from lib.mel import LogMel
from lib.sources import chorus
from lib.transfer import ready


@pytest.fixture(scope="module")
def loaded():
    return ready.load()


def test_the_card_is_the_recipe_s_and_the_file_is_small(loaded):
    model, card = loaded
    assert card.arch == ready.ARCH and card.front == mel.INAT and f"{ready.RECIPE.clips:,} clips" in card.trained_on
    assert ready.FILE.stat().st_size <= 12e6 and json.loads(ready.FILE.with_suffix(".json").read_text())["sha256"] == card.sha256
    assert not any(p.requires_grad and not p.isfinite().all() for p in model.parameters())


def test_the_log_covers_the_whole_training():
    log = pd.read_csv(ready.LOG)
    assert log["clips"].sum() == ready.RECIPE.clips and log["step"].iloc[-1] == ready.RECIPE.steps - 1
    assert log["loss"].tail(20).mean() < 0.9 < log["loss"].iloc[0]


def test_it_guesses_sounds_of_another_world_better_than_their_mean(loaded, tmp_path, monkeypatch):
    """A freshly made world (another data_seed: other species and sites), windows it cannot have seen."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    table = chorus.make("wildlife", "smoke", 7, progress=False).head(24)
    waves = [audio.read(file, mel.INAT.rate, duration_s=mel.INAT.seconds + 0.01)[None, : mel.INAT.samples] for file in table["file"]]
    specs = torch.cat([LogMel(mel.INAT)(wave, frames=512) for wave in waves])
    mask = patches.random_mask(len(specs), loaded[0].grid, 0.8, training.generator(0))
    with torch.no_grad():
        losses = [float(model(specs, mask).loss) for model in (loaded[0], mae.MAE(ready.ARCH, training.generator(0)).eval())]
    assert losses[0] < 0.97 < losses[1]
