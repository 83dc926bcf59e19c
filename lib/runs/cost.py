"""What a run will cost, measured on the machine at hand before it begins.

What is timed are the recipes' own steps (`pretrain.step_of`, `finetune.step_of`) on random clips: days are estimated in
seconds. Nothing ever asks a question: a run that would take longer than allowed is refused.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lib import data, mel, paths, pretrain, sampler, training
from lib.mae import MAE, Arch
from lib.mel import FrontEnd, LogMel
from lib.runs.scales import Scale
from lib.transfer import finetune, starts

__all__ = ["Cost", "Pace", "pretraining", "finetuning", "starting", "arch_of", "predicting", "total", "sheet",
           "windows", "PREDICTED", "pretraining_pace", "finetuning_pace", "predicting_pace", "clock", "number"]

PREDICTED = 64  # windows at a time, as finetune.predict and probe.features take them


@dataclass(frozen=True)
class Cost:
    """What one row of a sheet comes to."""

    what: str
    steps: int  # of the optimizer; 0 where nothing is trained
    clips: int  # that pass through the model, windows included
    flop: float  # in all: forward, and twice that for backward where there is one
    clips_per_s: float  # of all processes together
    seconds: float
    memory: int  # bytes of one process with its share of a batch at once: weights, gradients, moments, activations


class Pace(NamedTuple):
    """What a few steps on random clips came to, on one process."""

    clips: int  # at a time; fewer than a batch where a batch would take long
    clip_s: float  # seconds a clip: forward, and backward where there is one
    step_s: float  # seconds the optimizer takes
    flop: float  # a clip: of the forward pass by torch's counter, times 3 with backward
    fixed: int  # bytes whatever the batch: weights, gradients, moments
    activations: int  # bytes a clip that are kept for backward
    peak: int  # bytes allocated at most, where CUDA counts them


# ----------------------------------------------------------------------------------------------------------- the sheet

def pretraining(arch: Arch, front: FrontEnd, recipe: pretrain.Recipe, *, what: str = "pretraining",
                times: int = 1) -> Cost:
    """The cost of `pretrain.pretrain`, `times` over; a frozen decoder counts as a free one."""
    if not recipe.clips:
        return Cost(what, 0, 0, 0.0, 0.0, 0.0, 0)
    _enough(recipe.clips, recipe.batch)
    like = replace(recipe, clips=0, batch=_share(recipe.batch), seed=0, ratio=0.0, freeze_decoder=False)
    pace = pretraining_pace(arch, front, like)
    return _cost(what, pace, times * recipe.clips, times * recipe.steps, recipe.batch)


def finetuning(arch: Arch, front: FrontEnd, recipe: finetune.Recipe, table: pd.DataFrame, *, what: str = "finetuning",
               times: int = 1) -> tuple[Cost, Cost]:
    """The cost of `finetune.finetune` on a recordings table, and that of its looks at val and of `finetune.evaluate`.

    LoRA counts as training all weights: an upper bound."""
    train, val, test = (table[table["split"] == split] for split in ("train", "val", "test"))
    R, C = len(train), train["label"].nunique()
    batch = min(recipe.batch, R)
    _enough(recipe.epochs * R, batch)
    pace = finetuning_pace(arch, front, replace(recipe, batch=_share(batch), epochs=1, evaluate=0, seed=0, lora=0), C)
    steps = _cost(what, pace, times * recipe.epochs * R, times * -(-recipe.epochs * R // batch), batch)
    looked_at = windows(val, front) * (1 + recipe.evaluate) + windows(test, front)
    pace = predicting_pace(arch, front, C)
    return steps, _cost(f"{what}: val and test", pace, times * looked_at, 0, PREDICTED)


def starting(init: str, setting: Scale, clips: int, weights: str = "") -> Cost:
    """The cost of the pretraining that `starts.start` does for an initialisation: none to two, of so many clips
    each."""
    times = (init.startswith("audioset_ssl") and not weights) + ("+" in init)
    recipe = setting.pretraining(clips * bool(times), 0)
    return pretraining(arch_of(init, setting, weights), mel.INAT, recipe, what=f"pretraining for {init}", times=times)


def arch_of(init: str, setting: Scale, weights: str = "") -> Arch:
    """The shape that `starts.start` will give: public weights are a ViT-B, here with AudioMAE's decoder."""
    if init == "ready":
        return starts.READY_ARCH
    return Arch() if weights or init.startswith(("imagenet", "birdmae")) else setting.arch()


def predicting(arch: Arch, front: FrontEnd, table: pd.DataFrame, classes: int = 0, *, what: str = "predicting",
               times: int = 1) -> Cost:
    """The cost of every window of every recording through the encoder, with a head of so many classes."""
    return _cost(what, predicting_pace(arch, front, classes), times * windows(table, front), 0, PREDICTED)


def total(costs: Sequence[Cost]) -> Cost:
    """The rows of a sheet, added up; memory is that of the largest, since they run one after the other."""
    clips, seconds = sum(c.clips for c in costs), sum(c.seconds for c in costs)
    return Cost("total", sum(c.steps for c in costs), clips, sum(c.flop for c in costs),
                clips / seconds if seconds else 0.0, seconds, max((c.memory for c in costs), default=0))


def sheet(costs: Sequence[Cost], max_hours: float | str) -> pd.DataFrame:
    """A readable table, a row for each cost that is not nothing and one for their sum; ValueError above `max_hours`.

    A run may be shorter: what an earlier one left in the cache is loaded, and the sheet does not look for it. Or
    longer: reading, what several processes tell each other, bootstraps and, on a CPU, the front end, which works once
    per recording, are not counted (`python -m lib.runs.benchmark` measures reading and the front end). Memory is that
    of a whole share of a batch: with a `micro_batch` it is less. Of several processes the slowest decides for all.
    "inf" hours allow anything.
    """
    allowed, acc = _hours(max_hours), training.accelerator()
    costs = [c for c in costs if c.clips]
    whole = total(costs)
    seconds = acc.gather(torch.tensor([whole.seconds], dtype=torch.float64, device=acc.device)).max().item()
    if seconds > 3600 * allowed:  # all go on, or none
        raise ValueError(f"this run would take about {_duration(seconds)} on this machine and max_hours is "
                         f"{allowed:g}: allow it with max_hours={math.ceil(1.25 * seconds / 3600)} (also where an "
                         "earlier run left its models, which are loaded), or choose a smaller scale or budget; it is "
                         + ", ".join(f"{c.what} {_duration(c.seconds)}" for c in costs))
    rows = [{"": c.what, "steps": f"{c.steps:,}" if c.steps else "", "clips": f"{c.clips:,}",
             "TFLOP": number(c.flop / 1e12), "clips/s": number(c.clips_per_s), "time": _duration(c.seconds),
             "memory (GB)": number(c.memory / 1e9)} for c in (*costs, whole)]
    return pd.DataFrame(rows).set_index("")


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


def _cost(what: str, pace: Pace, clips: int, steps: int, batch: int) -> Cost:
    seconds = clips / paths.processes() * pace.clip_s + steps * pace.step_s  # all step equally often
    memory = pace.fixed + _share(batch) * pace.activations
    return Cost(what, steps, clips, clips * pace.flop, clips / seconds if seconds else 0.0, seconds, memory)


def _enough(clips: int, batch: int) -> None:
    """ValueError where the last batch has too few clips for the processes there are: known before days have passed."""
    next(sampler.Mixture(1, 0, 0.0, batch, clips, 0).batches(world=paths.processes()))


def _share(batch: int) -> int:
    """The clips of a batch that fall to one process."""
    return -(-batch // paths.processes())


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.{0 if seconds >= 10 * size else 1}f} {unit}"
    return f"{seconds:.{0 if seconds >= 10 else 1 if seconds >= 1 else 2}f} s"


def number(value: float) -> str:
    """Whole with separators from 100 on, else three digits; nothing for what was not measured."""
    return "" if math.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# ----------------------------------------------------------------------------------------------------------- measuring

@lru_cache
def pretraining_pace(arch: Arch, front: FrontEnd, recipe: pretrain.Recipe, seconds: float = 0.2) -> Pace:
    """Steps of a recipe's pretraining, so many seconds of them; measured once a process, as the two below."""
    with _apart():
        model = MAE(arch, training.generator(0))
        return _trained(model, *pretrain.step_of(model, front, recipe), front, recipe.batch, seconds)


@lru_cache
def finetuning_pace(arch: Arch, front: FrontEnd, recipe: finetune.Recipe, classes: int, seconds: float = 0.2) -> Pace:
    """Steps of a recipe's finetuning, without LoRA, with so many classes."""
    with _apart():
        model = finetune.classifier(None, arch, classes, training.generator(0), recipe.drop_path, recipe.drop_patches)
        step = finetune.step_of(model, front, recipe, torch.arange(recipe.batch) % classes, classes)
        return _trained(model, *step, front, recipe.batch, seconds)


@lru_cache
def predicting_pace(arch: Arch, front: FrontEnd, classes: int, seconds: float = 0.2) -> Pace:
    """Windows as `finetune.predict` takes them, `PREDICTED` at a time; 0 classes count as one."""
    acc = training.accelerator()
    with _apart():
        model = finetune.classifier(None, arch, max(1, classes), training.generator(0)).to(acc.device).eval()
    log_mel = LogMel(front).to(acc.device)

    def predict(batch: data.Batch) -> Tensor:
        with torch.no_grad(), acc.autocast():
            return model(batch.spec(log_mel, acc.device))

    with training.two_matmuls(model):  # torch does not count what its fused attention does on a CPU
        flop, _ = _counted(lambda n: predict(_clips(n, front, ahead=True)))
    n, clip_s, peak = _timed(predict, front, PREDICTED, seconds)
    return Pace(n, clip_s, 0.0, flop, 4 * sum(p.numel() for p in model.parameters()), 0, peak)


def _apart() -> AbstractContextManager:
    """Within, nobody else's random numbers are touched."""
    return torch.random.fork_rng(range(torch.cuda.device_count()))


def _trained(model: nn.Module, optimizer: torch.optim.Optimizer, loss_of: Callable[..., Tensor], front: FrontEnd,
             batch: int, seconds: float) -> Pace:
    """The pace of a recipe's steps on random clips, as `training.fit` takes them, in this process alone."""
    acc = training.accelerator()
    model.to(acc.device).train()

    def loss(drawn: data.Batch) -> Tensor:
        with acc.autocast():
            return loss_of(model, drawn, 0)

    with training.two_matmuls(model) if acc.device.type == "cpu" else nullcontext():  # as in `predicting_pace`
        flop, activations = _counted(lambda n: loss(_clips(n, front, ahead=True)))
    with training.quick_attention(model):
        n, clip_s, peak = _timed(lambda drawn: loss(drawn).backward(), front, batch, seconds)
    step_s = statistics.median([clock(optimizer.step) for _ in range(3)][1:])  # the first makes the moments
    weights = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Pace(n, clip_s, step_s, 3 * flop, 4 * weights + 12 * trainable, activations, peak)


def _clips(n: int, front: FrontEnd, ahead: bool) -> data.Batch:
    """A batch of n random clips on the device: specs ahead, as a CPU has them, else waves."""
    device = training.accelerator().device
    shape, length = ((1, front.frames, front.mels), front.frames) if ahead else ((front.samples,), front.samples)
    x = torch.randn(n, *shape, generator=training.generator(0)).to(device)
    return data.Batch(x, torch.full((n,), length), torch.arange(n), [], 0, n)


def _counted(forward: Callable[[int], Tensor]) -> tuple[float, int]:
    """FLOP of a forward pass of one clip by torch's counter, and the bytes that autograd keeps of a clip for
    backward."""
    kept = {}

    def keep(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()  # each storage once
        return x

    sizes = []
    for n in (1, 2):
        kept.clear()
        with FlopCounterMode(display=False) as counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            result = forward(n)  # held until all is counted: a freed place would be given out again
        sizes.append(sum(kept.values()))
        del result
    return counter.get_total_flops() / 2, sizes[1] - sizes[0]  # the difference has no weights in it


def _timed(run: Callable[[data.Batch], object], front: FrontEnd, batch: int, seconds: float) -> tuple[int, float, int]:
    """Clips at a time (as many as take a moment, at most a batch), seconds a clip over so many seconds, peak bytes."""
    on_cpu = training.accelerator().device.type == "cpu"
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()

    def took(n: int) -> float:
        drawn = _clips(n, front, ahead=on_cpu)  # on a CPU specs are made once per recording, elsewhere in every step
        first = clock(lambda: run(drawn))
        return first if on_cpu and first > 1 else clock(lambda: run(drawn))  # a second is no warm-up any more

    n = min(2, batch)
    last = took(n)
    while n < batch and last < (0.15 if on_cpu else 1.0):  # on a GPU few clips wait for kernels
        try:
            more = min(batch, max(n + 1, int(n * 0.3 / last)))
            last, n = took(more), more
        except torch.cuda.OutOfMemoryError:
            break
    drawn, times = _clips(n, front, ahead=on_cpu), [last]
    while sum(times) < seconds or (len(times) < 3 and sum(times) < 3):
        times.append(clock(lambda: run(drawn)))
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return n, statistics.median(times) / n, peak


def clock(run: Callable[[], object]) -> float:
    """Seconds of one call, until the device is done."""
    wait = getattr(torch, training.accelerator().device.type).synchronize
    wait()
    begun = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - begun
