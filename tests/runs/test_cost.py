"""Costs: counted as the formulas say, added up, shared by processes, refused above what is allowed; and nobody else is
disturbed."""

import random
import time
from dataclasses import replace
from itertools import chain, repeat
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toys import ARCH, FRONT, tones

from lib import data, hardware, mae, mel, pretrain, training
from lib.runs import cost, pace, scales
from lib.transfer import finetune, starts

LARGER = mae.Arch(dim=192, depth=4, heads=3, decoder="plain", decoder_dim=96, decoder_depth=2, decoder_heads=3)
RECIPE = pretrain.Recipe(clips=96, batch=32)
LABELLED = finetune.Recipe(epochs=2, batch=8, evaluate=3)
PACE = cost.Pace(clips=8, clip_s=0.5, step_s=2.0, flop=1e9, fixed=1000, activations=10, peak=0)


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(hardware, "named", lambda: "a machine, float32")


@pytest.fixture
def known_pace(monkeypatch):
    """No machine is measured: half a second a clip, two a step."""
    for name in ("pretraining_pace", "finetuning_pace", "predicting_pace"):
        monkeypatch.setattr(cost, name, lambda *_, **__: PACE)


def row(what="x", seconds=1.0, again=None):
    return cost.Cost(what, 1, 10, 1e12, 10 / seconds, seconds, 10**9, again=again)


def blocks(tokens: int, dim: int, depth: int) -> float:
    """FLOP of the matrix products of so many transformer blocks, forward: qkv, projection and MLP (12 D^2 weights), and
    attention."""
    return depth * 2 * tokens * (12 * dim**2 + 2 * tokens * dim)


def test_flop_are_those_of_the_formulas():
    L, pixels = 256, 256
    vit = 2 * L * pixels * 192 + blocks(1 + L, 192, 4) + 2 * 192 * 10
    assert cost.predicting_pace(LARGER, mel.INAT, 10, seconds=0).flop == pytest.approx(vit, rel=0.02)
    recipe = finetune.Recipe(batch=2)
    assert cost.finetuning_pace(LARGER, mel.INAT, recipe, 10, seconds=0).flop == pytest.approx(3 * vit, rel=0.02)
    visible = 1 + L - round(0.8 * L)
    seen = 2 * (visible - 1) * pixels * 192 + blocks(visible, 192, 4)  # only what is visible is embedded
    guessed = 2 * visible * 192 * 96 + blocks(1 + L, 96, 2) + 2 * (1 + L) * 96 * pixels
    assert cost.pretraining_pace(LARGER, mel.INAT, replace(RECIPE, batch=2),
                                 seconds=0).flop == pytest.approx(3 * (seen + guessed), rel=0.02)


def test_memory_is_weights_gradients_moments_and_what_is_kept_per_clip():
    pace = cost.pretraining_pace(ARCH, FRONT, replace(RECIPE, batch=4), seconds=0)
    model = mae.MAE(ARCH)
    all_of, trained = sum(p.numel() for p in model.parameters()), sum(p.numel() for p in model.parameters()
                                                                      if p.requires_grad)
    assert pace.fixed == 4 * all_of + 12 * trained
    for readout in ("fc_norm", "frequency", "queries"):  # what is behind the encoder counts too
        recipe = replace(LABELLED, batch=4, readout=readout)
        ours = finetune.classifier(None, ARCH, 3, training.generator(0), readout=readout)
        all_of, trained = (sum(p.numel() for p in ours.parameters() if p.requires_grad or frozen)
                           for frozen in (True, False))
        assert cost.finetuning_pace(ARCH, FRONT, recipe, 3, seconds=0).fixed == 4 * all_of + 12 * trained
    assert cost.predicting_pace(ARCH, FRONT, 3, seconds=0).activations == 0
    wide = cost.pretraining_pace(replace(ARCH, decoder_depth=3), FRONT, replace(RECIPE, batch=4), seconds=0)
    # of the decoder: at least its normed input, qkv, and the MLP's two, all in half precision
    block = (wide.activations - pace.activations) / 2
    assert block > 2 * 9 * 16 * (1 + 3 + 4 + 4)
    one = cost.pretraining(ARCH, FRONT, RECIPE).memory
    two = cost.pretraining(ARCH, FRONT, replace(RECIPE, batch=64)).memory
    assert two - one == 32 * pace.activations


def test_time_scales_with_clips_and_steps(known_pace):
    one, two = (cost.pretraining(ARCH, FRONT, replace(RECIPE, clips=n)) for n in (96, 192))
    assert (one.steps, one.seconds, one.flop) == (3, 96 * 0.5 + 3 * 2.0, 96e9) and two.seconds == 2 * one.seconds
    assert cost.pretraining(ARCH, FRONT, RECIPE, times=3).seconds == 3 * one.seconds
    assert one.memory == 1000 + 32 * 10
    nothing = cost.pretraining(ARCH, FRONT, replace(RECIPE, clips=0))
    assert nothing.seconds == 0 and len(cost.sheet([nothing, one], 1.0)) == 2


def test_finetuning_looks_at_val_and_test(known_pace, tmp_path):
    table = tones(tmp_path, train=6, val=2, test=1, seconds=0.6)  # 18, 6 and 3 recordings of 3 windows
    steps, looks = cost.finetuning(ARCH, FRONT, LABELLED, table)
    assert (steps.clips, steps.steps) == (36, 5) and looks.clips == (1 + 3) * 18 + 9 and looks.steps == 0
    assert cost.finetuning(ARCH, FRONT, replace(LABELLED, evaluate=0), table, times=2)[1].clips == 2 * 27


def test_an_initialisation_costs_what_it_pretrains(known_pace):
    tiny = scales.SCALES["tiny"]
    times = {"random": 0, "random+inat_ssl": 1, "audioset_ssl": 1, "audioset_ssl+inat_ssl": 2, "imagenet_sl": 0}
    assert {init: cost.starting(init, tiny, 1000).clips / 1000 for init in times} == times
    # the first of the two comes with the weights
    assert cost.starting("audioset_ssl+inat_ssl", tiny, 1000, "hub").clips == 1000
    assert cost.arch_of("audioset_ssl", tiny) == tiny.arch()
    assert cost.arch_of("audioset_ssl", tiny, "hub").dim == cost.arch_of("birdmae", tiny).dim == 768


def test_processes_share_the_clips(known_pace, monkeypatch):
    one = cost.pretraining(ARCH, FRONT, RECIPE)
    monkeypatch.setenv("WORLD_SIZE", "2")
    two = cost.pretraining(ARCH, FRONT, RECIPE)
    assert two.seconds == 96 * 0.5 / 2 + 3 * 2.0
    assert (two.clips, two.steps, two.flop) == (one.clips, one.steps, one.flop)
    assert two.memory == 1000 + 16 * 10


def test_the_sheet_adds_up():
    costs = [row("a", 60), row("b", 7200)]
    whole = cost.total(costs)
    assert (whole.steps, whole.clips, whole.flop, whole.seconds, whole.memory) == (2, 20, 2e12, 7260, 10**9)
    assert whole.clips_per_s == pytest.approx(20 / 7260)
    table = cost.sheet(costs, 3)
    assert list(table.index) == ["a", "b", "total"] and table.loc["total", "time"] == "2.0 hours"
    assert table.loc["a", "time"] == "60 s"
    assert table.loc["total", "clips"] == "20" and table.loc["total", "TFLOP"] == "2"


def test_a_run_that_would_take_longer_is_refused():
    costs = [row("pretraining", 24 * 3600), row("finetuning", 7 * 3600)]
    with pytest.raises(ValueError, match=r"would take about 31 hours on this machine \(a machine, float32\) and "
                       "max_hours is 1: allow it with max_hours=39, ") as error:
        cost.sheet(costs, 1.0)
    assert str(error.value).endswith("choose a smaller scale or budget, or try again when no other program is at work; "
                                     "it is pretraining 24 hours, finetuning 7.0 hours")
    assert len(cost.sheet(costs, 39)) == 3
    with pytest.raises(ValueError, match="max_hours=2"):
        cost.sheet([row(seconds=3700)], 1.0)


def test_a_passing_load_refuses_nothing():
    """What looked too long is looked at again, for longer; the better of the two looks counts."""
    looks = []

    def again(what, seconds):
        return lambda: looks.append(what) or row(what, seconds)

    table = cost.sheet([row("a", 20_000, again("a", 100)), row("b", 60, again("b", 70))], 1.0)
    assert looks == ["a", "b"] and table["time"].tolist() == ["100 s", "60 s", "2.7 min"]
    with pytest.raises(ValueError, match="would take about 5.1 hours"):
        cost.sheet([row("a", 20_000, again("a", 18_300))], 1.0)
    looks.clear()
    assert len(cost.sheet([row("a", 3000, again("a", 1))], 1.0)) == 2 and not looks  # only where it would be refused


def test_a_longer_look_measures_anew(monkeypatch):
    asked = []
    monkeypatch.setattr(cost, "pretraining_pace", lambda *_, **how: asked.append(how.get("seconds")) or PACE)
    one = cost.pretraining(ARCH, FRONT, RECIPE)
    assert one.again() == one and one.again().again is None and asked == [None, cost.LONGER, cost.LONGER]


def test_one_process_exchanges_nothing(monkeypatch):
    """float64 does not exist on a Mac's GPU, and one process has nobody to ask."""
    alone = SimpleNamespace(num_processes=1, device=torch.device("mps"))
    monkeypatch.setattr(hardware, "accelerator", lambda: alone)
    assert cost.sheet([row()], 1.0).index.name == "a machine, float32"


def test_what_an_earlier_run_left_costs_nothing(known_pace, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    pools = tones(tmp_path / "w", train=3, val=1, test=1), tones(tmp_path / "g", train=2, val=0, test=0, seed=1)
    recipe, labelled = replace(RECIPE, clips=16, batch=8), replace(LABELLED, epochs=1, evaluate=1)
    kept = {"pools": pools}
    assert not cost.pretraining(ARCH, FRONT, recipe, **kept).there
    assert pretrain.earlier(ARCH, FRONT, recipe, *pools) is None
    model = pretrain.pretrain(ARCH, FRONT, recipe, *pools).model
    one = cost.pretraining(ARCH, FRONT, recipe, **kept)
    assert one.there and one.seconds == 0 and not cost.pretraining(ARCH, FRONT, recipe).there  # will not be used again
    assert not cost.pretraining(ARCH, FRONT, replace(recipe, seed=1), **kept).there
    assert not cost.pretraining(ARCH, FRONT, recipe, start=model, **kept).there
    found = pretrain.earlier(ARCH, FRONT, recipe, *pools)
    assert all(torch.equal(a, b) for a, b in zip(found.state_dict().values(), model.state_dict().values()))
    before = cost.finetuning(ARCH, FRONT, labelled, pools[0], encoder=found)
    finetune.finetune(model, ARCH, FRONT, pools[0], labelled, reuse=True)
    steps, looks = cost.finetuning(ARCH, FRONT, labelled, pools[0], encoder=found)
    assert not before[0].there and steps.there and 0 < looks.clips < before[1].clips  # val and test are asked again
    assert not cost.finetuning(ARCH, FRONT, labelled, pools[0])[0].there  # of an encoder that is not known
    table = cost.sheet([one, steps, looks], 0.1)
    assert table["time"].tolist()[:2] == ["there already"] * 2 and table["clips"].tolist()[:2] == ["", ""]
    assert table.loc["total", "time"] == table["time"].iloc[2]


def test_an_initialisation_that_is_there_costs_nothing(known_pace, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    smoke = scales.SCALES["smoke"]
    pools = {"wildlife": tones(tmp_path / "w", 3, 1, 1, seconds=3.2),
             "general": tones(tmp_path / "g", 2, 0, 0, seconds=3.2, seed=1)}
    recipe = smoke.pretraining(16, 0)

    def left(init, **more):
        return starts.earlier(init, smoke.arch(), recipe, pools, **more)

    def same(init):
        ours, theirs = left(init)[1], starts.start(init, smoke.arch(), recipe, pools).model
        return all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values()))

    both = "audioset_ssl+inat_ssl"
    assert [left(init)[0] for init in (*starts.NAMES[:4], "birdmae")] == [0, 1, 1, 2, 0]
    assert same("random") and left("ready")[0] == 0 and left(both, weights="hub") == (1, None)
    starts.start("audioset_ssl", smoke.arch(), recipe, pools)
    assert [left(init)[0] for init in starts.NAMES[:4]] == [0, 1, 0, 1] and same("audioset_ssl")
    assert cost.starting(both, smoke, 16, left=1).clips == 16 and cost.starting(both, smoke, 16).clips == 32
    starts.start(both, smoke.arch(), recipe, pools)
    assert left(both)[0] == 0 and same(both) and cost.starting(both, smoke, 16, left=0).there
    assert not cost.starting("random", smoke, 16, left=0).there  # there was nothing to pretrain


def test_parts_of_a_batch_go_through_at_once(known_pace):
    whole, parts = (cost.pretraining(ARCH, FRONT, replace(RECIPE, micro_batch=n)) for n in (0, 8))
    assert (whole.memory, parts.memory) == (1000 + 32 * 10, 1000 + 8 * 10) and whole.seconds == parts.seconds


def test_the_pace_is_the_best_of_several_looks(monkeypatch):
    """Another program makes some of the looks longer, and none shorter."""
    took = chain([0.5, 0.02, 0.9, 0.3, 0.02, 0.9], repeat(0.9))
    monkeypatch.setattr(pace, "clock", lambda run: next(took))
    n, clip_s, _ = pace._timed(lambda _: None, FRONT, 4, 0.0)
    assert n == 4 and clip_s == pytest.approx(0.02 / 4)


def test_time_that_other_programs_took_does_not_count():
    begun = time.perf_counter()
    assert pace.clock(lambda: time.sleep(0.5)) < 0.25 < time.perf_counter() - begun


def test_hours_may_be_text():
    assert len(cost.sheet([row(seconds=1e9)], "inf")) == len(cost.sheet([row(seconds=3700)], "2")) == 2
    with pytest.raises(ValueError, match="max_hours is 1: allow it with max_hours=2"):
        cost.sheet([row(seconds=3700)], "1.0")
    for wrong in ("2h", "", "nan", -1, None):
        with pytest.raises(ValueError, match=f"max_hours is {wrong!r}: it must be a number of hours, such as 2"):
            cost.sheet([], wrong)


def test_windows_are_those_of_the_data_set(tmp_path):
    rng = np.random.default_rng(0)
    table = tones(tmp_path, train=2, val=1, test=1, seconds=2.0)
    table = table.assign(start_s=rng.uniform(0, 1.5, len(table)),
                         end_s=[np.nan if i % 3 else 1.9 for i in range(len(table))])
    table.loc[0, "start_s"] = 1.99  # shorter than a window
    for some in (table, table.drop(columns=["start_s", "end_s"]), table.drop(columns="duration_s"), table.iloc[:0]):
        assert cost.windows(some, FRONT) == (len(data.Windows(some, FRONT)) if len(some) else 0)


def test_nobody_elses_random_numbers_are_touched(tmp_path):
    table = tones(tmp_path, train=2, val=1, test=1)
    cost.pretraining_pace.cache_clear(), cost.finetuning_pace.cache_clear(), cost.predicting_pace.cache_clear()
    before = torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()
    costs = [cost.pretraining(ARCH, FRONT, RECIPE), *cost.finetuning(ARCH, FRONT, replace(LABELLED, lora=4), table),
             cost.predicting(ARCH, FRONT, table)]
    assert (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()) == before
    assert all(c.seconds > 0 and c.flop > 0 and c.memory > 0 for c in costs)
    again = cost.pretraining(ARCH, FRONT, replace(RECIPE, seed=5, ratio=7.0))
    assert again == costs[0]  # measured once
