"""Initialisations: each starts from what its name says, and says whether it is a stand-in. The ready weights: that they
are what their card says, small enough, and know more than random weights on sounds they have never met."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import torch
from toys import ARCH, FRONT, tones

from lib import audio, checkpoints, mel, patches, pretrain, training
from lib.mae import MAE
from lib.mel import LogMel
from lib.runs.scales import scale
from lib.sources import chorus
from lib.transfer import public, starts

SETTING = scale("smoke")


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    root = tmp_path_factory.mktemp("pools")
    return {"wildlife": tones(root / "w", 6, 1, 1, seconds=3.2),
            "general": tones(root / "g", 4, 0, 0, seconds=3.2, seed=1)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))


def begin(name, pools, **options):
    return starts.start(name, SETTING.arch(), SETTING.pretraining(32, 0), pools, **options)


def same(a, b) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))


def test_ready_is_the_stored_model(pools):
    one = begin("ready", pools)
    assert same(one.model, starts.load_ready()[0]) and one.front == mel.INAT
    assert one.samples == starts.READY_RECIPE.clips
    with pytest.raises(ValueError, match="init=ready starts from ready weights and takes no weights"):
        begin("ready", pools, weights="hub")


def test_the_four_that_need_no_download_differ_and_repeat(pools):
    four = {name: begin(name, pools) for name in starts.NAMES[:4]}
    assert all(not same(four[a].model, four[b].model) for a in four for b in four if a < b)
    assert all(same(begin(name, pools).model, four[name].model) for name in four)
    assert [four[n].samples for n in four] == [0, 32, 32, 64]
    assert ["STAND-IN" in four[n].what for n in four] == [False, False, True, True]
    assert all(s.front == mel.INAT for s in four.values())


def test_each_pretrains_on_its_own_pool(pools, monkeypatch):
    calls, real = [], pretrain.pretrain
    monkeypatch.setattr(pretrain, "pretrain", lambda *a, **k: calls.append((a[2].ratio, k["start"] is not None))
                        or real(*a, **k))
    for name in starts.NAMES[:4]:
        begin(name, pools)
    assert calls == [(0.0, False), (float("inf"), False), (float("inf"), False), (0.0, True)]


def test_public_weights_bring_their_size_and_front_end(pools, monkeypatch):
    foreign = MAE(ARCH, training.generator(5)).eval()
    card = checkpoints.Card("toy", ARCH, FRONT, "toys", "MIT", "a test")
    asked = []
    monkeypatch.setattr(public, "load", lambda name, file, *, frames: asked.append((name, file)) or (foreign, card))
    real = begin("audioset_ssl", pools, weights="some.pth")
    assert same(real.model, foreign) and real.front == FRONT and real.samples == 0 and "STAND-IN" not in real.what
    begin("birdmae", pools), begin("imagenet_sl", pools, weights="hub")
    assert asked == [("audiomae", "some.pth"), ("birdmae", "hub"), ("imagenet", "hub")]
    assert not same(begin("audioset_ssl+inat_ssl", pools, weights="some.pth").model, foreign)  # went on from it


@pytest.mark.parametrize("name, options, message", [("imagenet", {}, "init is 'imagenet': it must be one of random, "),
                                                    ("random+inat_ssl", dict(weights="hub"),
                                                     "takes no weights, got 'hub'")])
def test_errors(name, options, message, pools):
    with pytest.raises(ValueError, match=message):
        begin(name, pools, **options)


# The ready weights

@pytest.fixture(scope="module")
def ready():
    return starts.load_ready()


def test_the_card_is_the_recipe_s_and_the_file_is_small(ready):
    model, card = ready
    assert card.arch == starts.READY_ARCH and card.front == mel.INAT
    assert f"{starts.READY_RECIPE.clips:,} clips" in card.trained_on
    assert starts.READY.stat().st_size <= 12e6
    assert json.loads(starts.READY.with_suffix(".json").read_text())["sha256"] == card.sha256
    assert not any(p.requires_grad and not p.isfinite().all() for p in model.parameters())


def test_the_log_covers_the_whole_training():
    log = pd.read_csv(starts.READY_LOG)
    assert log["clips"].sum() == starts.READY_RECIPE.clips and log["step"].iloc[-1] == starts.READY_RECIPE.steps - 1
    assert log["loss"].tail(20).mean() < 0.9 < log["loss"].iloc[0]


def test_it_guesses_sounds_of_another_world_better_than_their_mean(ready):
    """A freshly made world (another data_seed: other species and sites), windows it cannot have seen."""
    table = chorus.make("wildlife", "smoke", 7, progress=False).head(24)
    waves = [audio.read(file, mel.INAT.rate, duration_s=mel.INAT.seconds + 0.01)[None, : mel.INAT.samples]
             for file in table["file"]]
    specs = torch.cat([LogMel(mel.INAT)(wave, frames=512) for wave in waves])
    mask = patches.random_mask(len(specs), ready[0].grid, 0.8, training.generator(0))
    with torch.no_grad():
        losses = [float(model(specs, mask).loss)
                  for model in (ready[0], MAE(starts.READY_ARCH, training.generator(0)).eval())]
    assert losses[0] < 0.97 < losses[1]


def test_the_twin_guesses_levels_too():
    """Its guesses are log-mels: hidden patches come out at their level, which the ready weights' targets leave out."""
    twin, card = starts.load_ready(pixels=True)
    assert twin.arch == replace(starts.READY_ARCH, norm_pixels=False) and card.front == mel.INAT
    assert f"{starts.READY_RECIPE.clips:,} clips" in card.trained_on and starts.READY_PIXELS.stat().st_size <= 12e6
    table = chorus.make("wildlife", "smoke", 7, progress=False).head(8)
    waves = [audio.read(file, mel.INAT.rate, duration_s=mel.INAT.seconds + 0.01)[None, : mel.INAT.samples]
             for file in table["file"]]
    specs = torch.cat([LogMel(mel.INAT)(wave, frames=512) for wave in waves])
    mask = patches.random_mask(len(specs), twin.grid, 0.8, training.generator(0))
    with torch.no_grad():
        loss = float(twin(specs, mask).loss)
    assert loss < 0.6 * float(specs.var())
