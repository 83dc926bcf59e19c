"""Initialisations: each starts from what its name says, and says whether it is a stand-in."""

import pytest
import torch
from toys import ARCH, FRONT, tones

from lib import checkpoints, mel, pretrain, training
from lib.mae import MAE
from lib.runs.scales import scale
from lib.transfer import public, ready, starts

SETTING = scale("smoke")


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    root = tmp_path_factory.mktemp("pools")
    return {"wildlife": tones(root / "w", 6, 1, 1, seconds=3.2), "general": tones(root / "g", 4, 0, 0, seconds=3.2, seed=1)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))


def begin(name, pools, **options):
    return starts.start(name, SETTING.arch(), SETTING.pretraining(32, 0), pools, **options)


def same(a, b) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))


def test_ready_is_the_stored_model(pools):
    one = begin("ready", pools)
    assert same(one.model, ready.load()[0]) and one.front == mel.INAT and one.samples == ready.RECIPE.clips
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
    monkeypatch.setattr(pretrain, "pretrain", lambda *a, **k: calls.append((a[2].ratio, k["start"] is not None)) or real(*a, **k))
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
                                                    ("random+inat_ssl", dict(weights="hub"), "takes no weights, got 'hub'")])
def test_errors(name, options, message, pools):
    with pytest.raises(ValueError, match=message):
        begin(name, pools, **options)
