"""Each seeded fault is caught by the repository's own test of the same thing, or by the lesson's, and its healthy twin
is not."""
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import test_mae
import torch

from lib import mel, sources, training
from lib.course import faults
from lib.mae import MAE
from lib.sources import tables
from lib.transfer import probe

FRONT = replace(mel.AUDIOMAE, frames=256)


def models(kind):
    """An untrained model of that kind and specs for it, as test_mae's own fixtures."""
    return kind(test_mae.SMALL, training.generator(0)).eval(), torch.randn(2, 1, 64, 32,
                                                                           generator=training.generator(1))


def a_code_says_row_and_time(model, spec):
    row, time = model.encoder.pos_embed[0, 1:].unflatten(0, model.grid).chunk(2, dim=-1)  # (t, f, D/2) each
    assert torch.equal(row, row[:1].expand_as(row)) and torch.equal(time, time[:, :1].expand_as(time))


def test_a_code_says_row_and_time():
    a_code_says_row_and_time(*models(MAE))


@pytest.mark.parametrize("kind, test", [
    (faults.One, test_mae.test_hidden_patches_never_reach_the_encoder_nor_visible_ones_the_loss),
    (faults.Two, test_mae.test_order_of_the_visible_patches_does_not_matter),
    (faults.Three, a_code_says_row_and_time)])
def test_a_broken_model_fails_and_a_healthy_one_passes(kind, test):
    test(*models(MAE))
    with pytest.raises(AssertionError):
        test(*models(kind))


@pytest.mark.parametrize("kind, same", [(faults.One, "encode decode"), (faults.Two, "encode loss"),
                                        (faults.Three, "loss")])
def test_a_broken_model_is_broken_in_one_place(kind, same):
    """With nothing else changed: the verbs named give what a healthy model with the same weights gives."""
    (broken, spec), (healthy, _) = models(kind), models(MAE)
    mask = test_mae.patches.random_mask(2, healthy.grid, 0.75, training.generator(2))
    latent = healthy.encode(spec, mask)
    guess = healthy.decode(latent, mask)
    verbs = {"encode": (spec, mask), "decode": (latent, mask), "loss": (spec, guess, mask)}
    assert {verb for verb, given in verbs.items()
            if torch.equal(getattr(broken, verb)(*given), getattr(healthy, verb)(*given))} == set(same.split())


def test_three_is_the_released_audiomae(golden):
    """Its table is built for (mel, time) = (8, 64) and laid over tokens of (time, mel) = (64, 8)."""
    public, model = golden("pos_embed")[0], faults.Three(replace(test_mae.SMALL, frames=1024, mels=128,
                                                                 patch=(16, 16), dim=16))
    assert tuple(model.grid) == (64, 8) and torch.allclose(model.encoder.pos_embed[0], public["grid_8x64"], atol=1e-6)


def test_four_pads_louder_than_silence_and_changes_no_frame():
    wave = 0.01 * torch.randn(1, FRONT.rate, generator=training.generator(0))
    n, (healthy, broken) = FRONT.count(FRONT.rate), (kind(FRONT)(wave, frames=256)
                                                     for kind in (mel.LogMel, faults.Four))
    assert torch.equal(healthy[:, :, :n], broken[:, :, :n])
    assert (healthy[:, :, n:].max() <= healthy[:, :, :n].min()
            and broken[:, :, n:].min() == pytest.approx(mel.normalise(0.0, mel.AUDIOMAE)))


def test_five_puts_a_group_on_both_sides_which_a_table_may_not():
    windows = pd.DataFrame({"file": [f"{i // 4}.wav" for i in range(200)], "label": "a",
                            "group": [f"g{i // 8}" for i in range(200)]})
    val = faults.five(windows, 0.25, np.random.default_rng(0))
    assert 30 < val.sum() < 70 and set(sources.units(windows)[val]) & set(sources.units(windows)[~val])
    with pytest.raises(ValueError, match="is in more than one split"):
        tables.check(windows.assign(split=np.where(val, "val", "train")))


def test_six_depends_on_the_company():
    spec = torch.randn(4, 1, 8, 8, generator=training.generator(0)) * torch.tensor([1.0, 2.0, 3.0, 4.0]).view(4, 1, 1,
                                                                                                              1)
    mean, std = float(spec.mean()), float(spec.std())
    # a batch with the usual mean and std stays as it is
    assert torch.allclose(faults.six(spec, mean, std), spec, atol=1e-5)
    assert (faults.six(spec, mean, std)[:1] - faults.six(spec[:1], mean, std)).abs().max() > 0.1


def test_training_repeats_from_the_cache_and_differs_between_kinds(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    specs = torch.randn(6, 1, 64, 32, generator=training.generator(0)).half().float()

    def run(kind, seed=0):
        return faults.train(kind, test_mae.SMALL, specs, clips=24, batch=8, lr=1e-3, seed=seed)

    model, log = run(MAE)
    assert len(log) == 3 and log["clips"].sum() == 24 and not model.training
    monkeypatch.setattr(training, "fit", lambda *given, **named: pytest.fail("trained again"))
    again, same = run(MAE)
    assert (same.equals(log)
            and all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values())))
    monkeypatch.undo()
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    logs = [run(MAE, 1)[1], *(run(kind)[1] for kind in (faults.One, faults.Two, faults.Three))]
    assert all(not log["loss"].equals(other["loss"]) for other in logs) and not list(tmp_path.rglob("state-*.pt"))


def test_seven_sees_what_all_clips_share_and_batch_norm_does_not():
    x = torch.randn(32, 64, generator=training.generator(0)) + 5
    healthy = probe.linear(64, 3, training.generator(0)).train()
    torch.testing.assert_close(healthy(x), healthy(x + 100), rtol=0, atol=1e-3)
    broken = faults.seven(64, 3)
    torch.nn.init.normal_(broken[1].weight)
    direction = 100 * torch.randn(64, generator=training.generator(1))
    assert not torch.allclose(broken(x), broken(x + direction), atol=0.1)
