"""Pretraining: it learns, repeats, resumes, mixes as it says, and never reads a recording that is not for training."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from toys import ARCH, FRONT, mess, ramp, tones

from lib import audio, data, patches, pretrain, sampler, sources, training
from lib.mae import MAE
from lib.pretrain import Recipe

QUICK = Recipe(clips=16 * 8, batch=16, lr=1e-3, ratio=1.0, mask_ratio=0.75)


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    """(wildlife, general) with val and test rows whose files are not there: reading one is an error."""
    root = tmp_path_factory.mktemp("pools")
    wildlife, general = tones(root / "w", 4, 2, 2, seed=1), tones(root / "g", 4, 2, 0, seconds=0.25, seed=2)
    return tuple(t.assign(file=t["file"].where(t["split"] == "train", "/gone/" + t["split"] + ".wav"))
                 for t in (wildlife, general))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(pools, recipe=QUICK, **options):
    return pretrain.pretrain(ARCH, FRONT, recipe, *pools, **options)


def same(a, b) -> bool:
    a, b = a.model.state_dict(), b.model.state_dict()
    return all(torch.equal(a[k], b[k]) for k in a)


def test_the_loss_falls(pools):
    log = run(pools, replace(QUICK, clips=16 * 60, lr=3e-3)).log
    assert log["step"].tolist() == list(range(60)) and (log["clips"] == 16).all()
    assert log["loss"][-10:].mean() < 0.9 * log["loss"][:10].mean()


def test_the_seed_decides_and_a_repeat_runs_again(pools):
    first = run(pools)
    again, other = run(pools), run(pools, replace(QUICK, seed=1))
    assert again.folder == first.folder != other.folder and not again.reused
    assert same(first, again) and not same(first, other)
    pd.testing.assert_frame_equal(first.log, again.log)
    assert len((first.folder / "log.jsonl").read_text().splitlines()) == QUICK.steps  # one run's lines, not two


def test_workers_change_nothing(pools):
    a = run(pools)
    assert same(a, run(pools, workers=2))


def test_reuse_loads_the_same_weights_and_log(pools, monkeypatch):
    assert not run(pools, replace(QUICK, seed=2), reuse=True).reused  # nothing there yet
    first = run(pools)
    monkeypatch.setattr(training, "fit", None)  # training now would be an error
    loaded = run(pools, reuse=True)
    assert loaded.reused and same(first, loaded) and loaded.folder == first.folder
    pd.testing.assert_frame_equal(first.log, loaded.log)
    spec, mask = torch.randn(1, 1, 64, 32), patches.random_mask(1, first.model.grid, 0.5, training.generator(0))
    assert not loaded.model.training and torch.equal(first.model(spec, mask).guess, loaded.model(spec, mask).guess)


@pytest.mark.parametrize("change", [dict(ratio=3.0), dict(lr=2e-3), dict(mask_ratio=0.5), dict(freeze_decoder=True),
                                    dict(clips=16 * 9)])
def test_another_recipe_is_another_run(pools, change):
    first, other = run(pools), run(pools, replace(QUICK, **change), reuse=True)
    assert not other.reused and other.folder != first.folder and not same(first, other)


def test_other_data_are_another_run_and_other_splits_are_not(pools):
    wildlife, general = pools
    first = run(pools)
    assert not run((wildlife[1:], general), reuse=True).reused
    assert run((wildlife[wildlife["split"] == "train"], general), reuse=True).reused
    segments = wildlife.assign(end_s=0.5)
    assert not run((segments, general), reuse=True).reused and run(pools, reuse=True).folder == first.folder


def test_a_recording_that_was_replaced_is_learned_anew(pools, tmp_path):
    wildlife, general = pools
    file = tmp_path / "a.wav"
    own = wildlife.assign(file=[shutil.copy(wildlife["file"][0], file), *wildlife["file"][1:]])
    first = run((own, general))
    assert run((own, general), reuse=True).reused
    audio.write(file, audio.read(file) ** 2, FRONT.rate)  # as long as before
    second = run((own, general), reuse=True)
    assert not second.reused and not same(first, second)


def interrupt(monkeypatch, step):
    """Every step is saved, and the masks of this step are never drawn."""
    def stop(*arguments, count=iter(range(10**6))):
        if next(count) == step:
            raise KeyboardInterrupt
        return real(*arguments)

    real = patches.random_mask
    monkeypatch.setattr(training, "SAVE_EVERY_S", 0)
    monkeypatch.setattr(patches, "random_mask", stop)


def test_an_interrupted_run_goes_on_where_it_was(pools, monkeypatch, cache, tmp_path):
    whole = run(pools)
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "other"))
    with monkeypatch.context() as patch:
        interrupt(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            run(pools)
    drawn, real = [], sampler.Mixture.batches
    monkeypatch.setattr(sampler.Mixture, "batches", lambda self, start=0,
                        *share: drawn.append(start) or real(self, start, *share))
    resumed = run(pools)
    assert drawn == [5] and same(whole, resumed) and not resumed.reused
    pd.testing.assert_frame_equal(whole.log, resumed.log)


def test_a_repeated_run_that_is_interrupted_is_still_the_same(pools, monkeypatch):
    whole = run(pools)
    weights = {k: v.clone() for k, v in whole.model.state_dict().items()}
    with monkeypatch.context() as patch:
        interrupt(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            run(pools)
    assert not (whole.folder / "weights.safetensors").exists()  # nobody reuses weights that are being made again
    resumed = run(pools, reuse=True)
    assert not resumed.reused and all(torch.equal(v, weights[k]) for k, v in resumed.model.state_dict().items())


@pytest.mark.parametrize("ratio, general", [(0.0, 0), (1.0, 64), (3.0, 96), (float("inf"), 128)])
def test_the_ratio_decides_what_is_drawn(pools, monkeypatch, ratio, general):
    drawn, real = [], data.Clips.pieces
    monkeypatch.setattr(data.Clips, "pieces",
                        lambda self, draw: drawn.append(self.source.file(draw.row)) or real(self, draw))
    run(pools, replace(QUICK, ratio=ratio))
    assert len(drawn) == 128 and sum(file in set(pools[1]["file"]) for file in drawn) == general


def test_a_pool_that_is_not_drawn_from_changes_nothing(pools):
    """Of five folds of the wildlife pool general sound alone is pretrained on once."""
    general_only, fewer = replace(QUICK, ratio=float("inf")), pools[0].iloc[:-3]
    first = run(pools, general_only)
    again = run((fewer, pools[1]), general_only, reuse=True)
    assert again.reused and again.folder == first.folder
    assert not run((fewer, pools[1]), reuse=True).reused


def test_unlabelled_recordings_are_heard(pools, monkeypatch):
    drawn, real = set(), data.Clips.pieces
    monkeypatch.setattr(data.Clips, "pieces",
                        lambda self, draw: drawn.add(self.source.file(draw.row)) or real(self, draw))
    rest = pools[0].assign(split=pools[0]["split"].where(pools[0].index > 2, "unlabelled"))
    run((rest, pools[1]), replace(QUICK, ratio=0.0))
    assert drawn == set(rest.loc[rest["split"].isin(["train", "unlabelled"]), "file"])


def test_only_general_clips_are_joined(pools, monkeypatch):
    seen, real = {}, data.Clips.pieces

    def look(self, draw):
        pieces = real(self, draw)
        seen[draw.row] = sum(piece.count for piece in pieces) == self.source.need
        return pieces

    monkeypatch.setattr(data.Clips, "pieces", look)
    short = pools[0].assign(file=pools[1]["file"].iloc[0], duration_s=0.25, split="train")
    run((short, pools[1]))
    assert {seen[row] for row in seen if row < len(short)} == {False}
    assert {seen[row] for row in seen if row >= len(short)} == {True}


def test_a_pool_without_training_recordings_is_refused(pools):
    held_out = pools[1].assign(split="val")
    with pytest.raises(ValueError, match="draws from the general pool, but it has no training recordings"):
        run((pools[0], held_out))
    assert len(run((pools[0], held_out), replace(QUICK, ratio=0.0)).log) == 8


def test_a_frozen_decoder_keeps_its_first_weights(pools):
    first = MAE(ARCH, training.generator(QUICK.seed)).state_dict()
    frozen, free = (run(pools, replace(QUICK, freeze_decoder=f)).model.state_dict() for f in (True, False))
    learned = {k for k in first if not k.endswith("pos_embed")}
    for name in learned:
        assert torch.equal(frozen[name], first[name]) != name.startswith("encoder."), name
    assert not any(torch.equal(free[name], first[name]) for name in learned)
    assert all(torch.equal(model[k], first[k]) for model in (frozen, free) for k in first if k.endswith("pos_embed"))


def test_a_start_is_gone_on_from(pools):
    given = MAE(ARCH, training.generator(99))
    before = {k: v.clone() for k, v in given.state_dict().items()}
    still = run(pools, replace(QUICK, lr=0.0), start=given)
    assert all(torch.equal(v, before[k]) for k, v in still.model.state_dict().items())
    moved, scratch = run(pools, start=given), run(pools)
    assert moved.folder != scratch.folder and not same(moved, scratch)
    # the model given is not trained itself
    assert all(torch.equal(v, before[k]) for k, v in given.state_dict().items())


def test_only_the_mask_ratio_asked_for_is_hidden(pools, monkeypatch):
    masks, real = [], MAE.forward
    monkeypatch.setattr(MAE, "forward", lambda self, spec, mask: masks.append(mask) or real(self, spec, mask))
    run(pools, replace(QUICK, mask_ratio=0.5))
    assert {m.hidden.sum(1).tolist()[0] for m in masks} == {4}
    assert len({tuple(m.hidden.flatten().tolist()) for m in masks if len(m.hidden) == 16}) == 8  # drawn anew every step


def test_what_a_run_was_lies_beside_its_weights(pools):
    result = run(pools, replace(QUICK, ratio=float("inf")))
    card = json.loads((result.folder / "recipe.json").read_text())
    assert card["recipe"]["ratio"] == "inf" and card["recipe"]["batch"] == 16 and card["arch"]["dim"] == 32
    assert card["front"]["name"] == "inat"


def test_the_plan_says_what_will_be_done(pools):
    text = pretrain.plan(ARCH, replace(QUICK, clips=16 * 100, ratio=3.0, lr=5e-4), *pools)
    assert "100 steps of 16 = 1,600 clips: 400 draws from 12 wildlife recordings, 1,200 from 12 general" in text
    assert "4 x 2 = 8 patches a clip, 2 visible; learning rate 5.0e-04 after 10 steps of warm-up" in text
    model = MAE(ARCH)
    encoder, whole = (sum(p.numel() for p in m.parameters()) / 1e6 for m in (model.encoder, model))
    assert f"encoder {encoder:.2f} M parameters, decoder {whole - encoder:.2f} M" in text
    assert "13,701,200 clips: 1,712,650 draws" in pretrain.plan(ARCH, Recipe(ratio=7.0), *pools)


def test_a_folder_of_good_and_broken_sounds_trains(tmp_path, capsys):
    root = mess(tmp_path / "messy")
    table = sources.recordings(f"folder:{root}", "wildlife")
    assert "skipped" in capsys.readouterr().out
    log = run((table, table), replace(QUICK, clips=64)).log
    assert len(log) == 4 and np.isfinite(log["loss"]).all()


def test_a_file_that_breaks_later_is_named(pools, tmp_path):
    table = pd.DataFrame({"file": [ramp(tmp_path / "a.wav", 9000)], "label": "x", "split": "train", "duration_s": 0.4})
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(ValueError, match="a.wav: is empty"):
        run((table, pools[1]), replace(QUICK, ratio=0.0))
