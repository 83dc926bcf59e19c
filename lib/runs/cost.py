"""What a run will cost, measured on the machine at hand before it begins.

The recipes' own steps are timed (`lib.runs.pace`): days are estimated in seconds. What an
earlier run left is loaded and costs nothing. Nothing ever asks a question: a run that would take longer than allowed is
refused.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pandas as pd
import torch

from lib import data, hardware, mel, paths, pretrain, sampler, training
from lib.mae import MAE, Arch
from lib.mel import FrontEnd
from lib.runs.pace import PREDICTED, Pace, clock, finetuning_pace, predicting_pace, pretraining_pace
from lib.runs.scales import Scale
from lib.transfer import finetune, starts

__all__ = ["Cost", "Pace", "pretraining", "finetuning", "starting", "arch_of", "predicting", "total", "sheet",
           "windows", "PREDICTED", "pretraining_pace", "finetuning_pace", "predicting_pace", "clock", "number"]

LONGER = 3.0  # seconds that each part is measured for, before a run is refused


@dataclass(frozen=True)
class Cost:
    """What one row of a sheet comes to."""

    what: str
    steps: int  # of the optimizer; 0 where nothing is trained
    clips: int  # that pass through the model, windows included
    flop: float  # in all: forward, and twice that for backward where there is one
    clips_per_s: float  # of all processes together
    seconds: float
    memory: int  # bytes of one process with what goes through at once: weights, gradients, moments, activations
    there: bool = False  # an earlier run left it: it is loaded, and costs nothing
    again: Callable[[], "Cost"] | None = field(default=None, compare=False, repr=False)  # a longer look at the machine


def pretraining(arch: Arch, front: FrontEnd, recipe: pretrain.Recipe, *, what: str = "pretraining", times: int = 1,
                pools: Iterable[pd.DataFrame] | None = None, start: MAE | None = None) -> Cost:
    """The cost of `pretrain.pretrain`, `times` over; a frozen decoder counts as a free one.

    pools: wildlife and general, where what an earlier run left will be used again: if it is there, it costs nothing.
    start: the model that it goes on from."""
    if not recipe.clips or not times:
        return Cost(what, 0, 0, 0.0, 0.0, 0.0, 0)
    if pools and training.weights_of(pretrain.folder_of(arch, front, recipe, *pools, start)).exists():
        return _there(what)
    _enough(recipe.clips, recipe.batch)
    like = replace(recipe, clips=0, batch=_at_once(recipe), micro_batch=0, seed=0, ratio=0.0, freeze_decoder=False)
    pace = partial(pretraining_pace, arch, front, like)
    return _cost(what, pace, times * recipe.clips, times * recipe.steps, _at_once(recipe))


def finetuning(arch: Arch, front: FrontEnd, recipe: finetune.Recipe, table: pd.DataFrame, *, what: str = "finetuning",
               times: int = 1, encoder: MAE | None = None) -> tuple[Cost, Cost]:
    """The cost of `finetune.finetune` on a recordings table, and that of its looks at val and of `finetune.evaluate`.

    encoder: what it starts from, where that is known and what an earlier run left will be used again: if it is there,
    only the last looks count. LoRA counts as training all weights: an upper bound."""
    train, val, test = (table[table["split"] == split] for split in ("train", "val", "test"))
    R, C = len(train), train["label"].nunique()
    there = encoder is not None and training.weights_of(
        finetune.folder_of(encoder, arch, front, table, recipe)).exists()
    recipe = replace(recipe, batch=min(recipe.batch, R))
    _enough(recipe.epochs * R, recipe.batch)
    like = replace(recipe, batch=_at_once(recipe), micro_batch=0, epochs=1, evaluate=0, seed=0, lora=0)
    steps = _there(what) if there else _cost(what, partial(finetuning_pace, arch, front, like, C),
                                             times * recipe.epochs * R,
                                             times * -(-recipe.epochs * R // recipe.batch), _at_once(recipe))
    looked_at = windows(val, front) * (1 + recipe.evaluate * (not there)) + windows(test, front)
    return steps, _cost(f"{what}: val and test", partial(predicting_pace, arch, front, C), times * looked_at, 0,
                        PREDICTED)


def starting(init: str, setting: Scale, clips: int, weights: str = "", left: int | None = None) -> Cost:
    """The cost of the pretraining that `starts.start` does for an initialisation: none to two, of so many clips
    each. left: how many of them are still to be made (`starts.earlier` knows), if some may be there."""
    times = ((init.startswith("audioset_ssl") and not weights) + ("+" in init)) * bool(clips)
    what = f"pretraining for {init}"
    if times and left == 0:
        return _there(what)
    recipe = setting.pretraining(clips, 0)
    return pretraining(arch_of(init, setting, weights), mel.INAT, recipe, what=what,
                       times=times if left is None else left)


def arch_of(init: str, setting: Scale, weights: str = "") -> Arch:
    """The shape that `starts.start` will give: public weights are a ViT-B, here with AudioMAE's decoder."""
    if init.startswith("ready"):
        return starts.READY_ARCH
    return Arch() if weights or init.startswith(("imagenet", "birdmae")) else setting.arch()


def predicting(arch: Arch, front: FrontEnd, table: pd.DataFrame, classes: int = 0, *, what: str = "predicting",
               times: int = 1) -> Cost:
    """The cost of every window of every recording through the encoder, with a head of so many classes; with 0 in
    float32, as features are taken."""
    return _cost(what, partial(predicting_pace, arch, front, classes), times * windows(table, front), 0, PREDICTED)


def total(costs: Sequence[Cost]) -> Cost:
    """The rows of a sheet, added up; memory is that of the largest, since they run one after the other."""
    clips, seconds = sum(c.clips for c in costs), sum(c.seconds for c in costs)
    return Cost("total", sum(c.steps for c in costs), clips, sum(c.flop for c in costs),
                clips / seconds if seconds else 0.0, seconds, max((c.memory for c in costs), default=0))


def sheet(costs: Sequence[Cost], max_hours: float | str) -> pd.DataFrame:
    """A readable table, a row for each cost that is not nothing and one for their sum; ValueError above `max_hours`.

    Its corner names the hardware. What an earlier run left is a row without numbers, where a notebook looks for it. A
    run may take longer: reading, what several processes tell each other, bootstraps and, on a CPU, the front end,
    which works once per recording, are not counted (`python -m lib.runs.benchmark` measures reading and the front
    end). Of several processes the slowest decides for all. "inf" hours allow anything. Other programs are left
    out as far as can be, and before a run is refused the machine is looked at for longer."""
    allowed = _hours(max_hours)
    costs = [c for c in costs if c.clips or c.there]
    seconds = _slowest(costs)
    if seconds > 3600 * allowed:
        costs = [min(c, c.again(), key=lambda one: one.seconds) if c.again else c for c in costs]
        seconds = _slowest(costs)
    if seconds > 3600 * allowed:  # all go on, or none
        raise ValueError(f"this run would take about {_duration(seconds)} on this machine ({hardware.named()}) and "
                         f"max_hours is {allowed:g}: allow it with max_hours={math.ceil(1.25 * seconds / 3600)}, "
                         "choose a smaller scale or budget, or try again when no other program is at work; it is "
                         + ", ".join(f"{c.what} {_duration(c.seconds)}" for c in costs if not c.there))
    rows = [{"": c.what, "steps": f"{c.steps:,}" if c.steps else "", "clips": "" if c.there else f"{c.clips:,}",
             "TFLOP": "" if c.there else number(c.flop / 1e12),
             "clips/s": "" if c.there else number(c.clips_per_s),
             "time": "there already" if c.there else _duration(c.seconds),
             "memory (GB)": "" if c.there else number(c.memory / 1e9)} for c in (*costs, total(costs))]
    return pd.DataFrame(rows).set_index("").rename_axis(hardware.named())


def _slowest(costs: Sequence[Cost]) -> float:
    """Seconds of all rows, in the process that takes longest."""
    acc, seconds = hardware.accelerator(), total(costs).seconds
    if acc.num_processes == 1:
        return seconds
    return acc.gather(torch.tensor([seconds], dtype=torch.float64, device=acc.device)).max().item()


def _there(what: str) -> Cost:
    return Cost(what, 0, 0, 0.0, 0.0, 0.0, 0, there=True)


def windows(table: pd.DataFrame, front: FrontEnd) -> int:
    """How many half overlapping windows a table's recordings have: len(data.Windows(table, front)), without a loop."""
    if "duration_s" not in table or table["duration_s"].isna().any():
        return len(data.Windows(table, front)) if len(table) else 0
    start, end = (table[c].astype(float) if c in table else np.nan for c in ("start_s", "end_s"))
    seconds = np.fmin(end, table["duration_s"]) - np.nan_to_num(start)
    samples = (seconds * front.rate).round().clip(lower=1)
    frames = 1 + (samples - (0 if front.centred else front.window)) // front.hop  # below 1 where there is none
    return int((1 + np.ceil((frames - front.frames).clip(lower=0) / (front.frames // 2))).sum())


def _hours(value: float | str) -> float:
    """A number of hours; text, as papermill and a command line hand on what is no plain number, is read as one."""
    try:
        hours = float(value)
    except (TypeError, ValueError):
        hours = math.nan
    if not hours >= 0:
        raise ValueError(f"max_hours is {value!r}: it must be a number of hours, such as 2 or 0.5, or inf (whatever it "
                         "takes)")
    return hours


def _cost(what: str, pace_of: Callable[..., Pace], clips: int, steps: int, at_once: int, look: float = 0.0) -> Cost:
    """A row by a pace that is measured now, for at least `look` seconds."""
    pace = pace_of(seconds=look) if look else pace_of()
    seconds = clips / paths.processes() * pace.clip_s + steps * pace.step_s  # all step equally often
    again = None if look else partial(_cost, what, pace_of, clips, steps, at_once, LONGER)
    return Cost(what, steps, clips, clips * pace.flop, clips / seconds if seconds else 0.0, seconds,
                pace.fixed + at_once * pace.activations, again=again)


def _enough(clips: int, batch: int) -> None:
    """ValueError where the last batch has too few clips for the processes there are: known before days have passed."""
    next(sampler.Mixture(1, 0, 0.0, batch, clips, 0).batches(world=paths.processes()))


def _at_once(recipe: pretrain.Recipe | finetune.Recipe) -> int:
    """The clips that go through the model at once: a process's share of a batch, or a part of it."""
    share = -(-recipe.batch // paths.processes())
    return min(share, recipe.micro_batch or share)


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.{0 if seconds >= 10 * size else 1}f} {unit}"
    return f"{seconds:.{0 if seconds >= 10 else 1 if seconds >= 1 else 2}f} s"


def number(value: float) -> str:
    """Whole with separators from 100 on, else three digits; nothing for what was not measured."""
    return "" if math.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
