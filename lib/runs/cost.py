"""What a run will cost, measured on the machine at hand before it begins: from a few steps on random clips, days are estimated in seconds.

Nothing ever asks a question: a run that would take longer than allowed is refused.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lib import data, mel, patches, paths, pretrain, training
from lib.mae import MAE, Arch
from lib.mel import FrontEnd, LogMel
from lib.runs.scales import Scale
from lib.transfer import finetune, starts

__all__ = ["Cost", "Pace", "pretraining", "finetuning", "starting", "arch_of", "predicting", "total", "sheet", "windows",
           "PREDICTED", "pretraining_pace", "finetuning_pace", "predicting_pace", "clock", "number"]

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


# ----------------------------------------------------------------------------------------------------------------- sheet

def pretraining(arch: Arch, front: FrontEnd, recipe: pretrain.Recipe, *, what: str = "pretraining", times: int = 1) -> Cost:
    """The cost of `pretrain.pretrain`, `times` over; a frozen decoder counts as a free one."""
    if not recipe.clips:
        return Cost(what, 0, 0, 0.0, 0.0, 0.0, 0)
    _enough(recipe.clips, recipe.batch)
    pace = pretraining_pace(arch, front, recipe.mask_ratio, _share(recipe.batch))
    return _cost(what, pace, times * recipe.clips, times * recipe.steps, recipe.batch)


def finetuning(arch: Arch, front: FrontEnd, recipe: finetune.Recipe, table: pd.DataFrame, *, what: str = "finetuning",
               times: int = 1) -> tuple[Cost, Cost]:
    """The cost of `finetune.finetune` on a recordings table, and that of its looks at val with `finetune.evaluate` at the end.

    LoRA counts as training all weights: an upper bound.
    """
    part = {split: table[table["split"] == split] for split in ("train", "val", "test")}
    R, C = len(part["train"]), part["train"]["label"].nunique()
    batch = min(recipe.batch, R)
    _enough(recipe.epochs * R, batch)
    pace = finetuning_pace(arch, front, replace(recipe, batch=_share(batch), epochs=1, evaluate=0, seed=0, lora=0), C)
    steps = _cost(what, pace, times * recipe.epochs * R, times * -(-recipe.epochs * R // batch), batch)
    looked = windows(part["val"], front) * (1 + recipe.evaluate) + windows(part["test"], front)
    return steps, _cost(f"{what}: val and test", predicting_pace(arch, front, C), times * looked, 0, PREDICTED)


def starting(init: str, setting: Scale, clips: int, weights: str = "") -> Cost:
    """The cost of the pretraining that `starts.start` does for an initialisation: none to two, of so many clips each."""
    arch, times = arch_of(init, setting, weights), (init.startswith("audioset_ssl") and not weights) + ("+" in init)
    recipe = setting.pretraining(clips * bool(times), 0)
    return pretraining(arch, mel.INAT, recipe, what=f"pretraining for {init}", times=times)


def arch_of(init: str, setting: Scale, weights: str = "") -> Arch:
    """The shape of the model that `starts.start` will give, before it does: public weights are a ViT-B, here with AudioMAE's decoder."""
    if init == "ready":
        return starts.READY_ARCH
    return Arch() if weights or init.startswith(("imagenet", "birdmae")) else setting.arch()


def predicting(arch: Arch, front: FrontEnd, table: pd.DataFrame, classes: int = 0, *, what: str = "predicting", times: int = 1) -> Cost:
    """The cost of every window of every recording through the encoder, with a head of so many classes (`finetune.predict`, `probe.features`)."""
    return _cost(what, predicting_pace(arch, front, classes), times * windows(table, front), 0, PREDICTED)


def total(costs: Sequence[Cost]) -> Cost:
    """The rows of a sheet, added up; memory is that of the largest, since they run one after the other."""
    clips, seconds = sum(c.clips for c in costs), sum(c.seconds for c in costs)
    return Cost("total", sum(c.steps for c in costs), clips, sum(c.flop for c in costs), clips / seconds if seconds else 0.0, seconds,
                max((c.memory for c in costs), default=0))


def sheet(costs: Sequence[Cost], max_hours: float | str) -> pd.DataFrame:
    """A readable table, a row for each cost that is not nothing and one for their sum; ValueError if that is more than `max_hours`.

    A run may be shorter: what an earlier one left in the cache is loaded, and the sheet does not look for it. Or longer: reading, what
    several processes tell each other, activations computed a second time, bootstraps and, on a CPU, the front end, which works once per
    recording, are not counted (`python -m lib.runs.bench` measures reading and the front end). Memory is what a whole share of a batch takes;
    where there is less, `training.fit` goes through it in parts. Of several processes the slowest decides for all. "inf" hours allow anything.
    """
    allowed = _hours(max_hours)
    costs = [c for c in costs if c.clips]
    whole = total(costs)
    hours = training.over_processes(torch.tensor([whole.seconds], dtype=torch.float64), "max").item() / 3600  # all go on, or none
    if hours > allowed:
        raise ValueError(f"this run would take about {_duration(3600 * hours)} on this machine and max_hours is {allowed:g}: allow it with "
                         f"max_hours={math.ceil(1.25 * hours)} (also where an earlier run left its models, which are loaded), or choose a smaller "
                         f"scale or budget; it is {', '.join(f'{c.what} {_duration(c.seconds)}' for c in costs)}")
    rows = [{"": c.what, "steps": f"{c.steps:,}" if c.steps else "", "clips": f"{c.clips:,}", "TFLOP": number(c.flop / 1e12),
             "clips/s": number(c.clips_per_s), "time": _duration(c.seconds), "memory (GB)": number(c.memory / 1e9)} for c in (*costs, whole)]
    return pd.DataFrame(rows).set_index("")


def windows(table: pd.DataFrame, front: FrontEnd) -> int:
    """How many half overlapping windows the recordings of a table have: len(data.Windows(table, front)), without going through them."""
    if "duration_s" not in table or table["duration_s"].isna().any():
        return len(data.Windows(table, front)) if len(table) else 0
    given = table.reindex(columns=["start_s", "end_s"]).astype(float)
    samples = ((given["end_s"].fillna(np.inf).clip(upper=table["duration_s"]) - given["start_s"].fillna(0.0)) * front.rate).round().clip(lower=1)
    frames = 1 + (samples - (0 if front.centred else front.window)) // front.hop  # below 1 where there is none
    return int((1 + np.ceil((frames - front.frames).clip(lower=0) / (front.frames // 2))).sum())


def _hours(value: float | str) -> float:
    """A number of hours; text, as papermill and a command line hand on what is no plain number, is read as one."""
    try:
        hours = float(value)
    except (TypeError, ValueError):
        hours = math.nan
    if not hours >= 0:
        raise ValueError(f"max_hours is {value!r}: it must be a number of hours, such as 2 or 0.5, or inf (whatever it takes)")
    return hours


def _cost(what: str, pace: Pace, clips: int, steps: int, batch: int) -> Cost:
    seconds = clips / paths.processes() * pace.clip_s + steps * pace.step_s  # every process steps as often as the others
    return Cost(what, steps, clips, clips * pace.flop, clips / seconds if seconds else 0.0, seconds, pace.fixed + _share(batch) * pace.activations)


def _enough(clips: int, batch: int) -> None:
    """ValueError where the last batch has too few clips for the processes there are: known before days have passed."""
    next(data.Mixture(1, 0, 0.0, batch, clips, 0).batches(world=paths.processes()))


def _share(batch: int) -> int:
    """The clips of a batch that fall to one process."""
    return -(-batch // paths.processes())


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.{0 if seconds >= 10 * size else 1}f} {unit}"
    return f"{seconds:.{0 if seconds >= 10 else 1 if seconds >= 1 else 2}f} s"


def number(value: float) -> str:
    """Whole with separators from 100 on, else three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# ------------------------------------------------------------------------------------------------------------- measuring

@lru_cache
def pretraining_pace(arch: Arch, front: FrontEnd, mask_ratio: float, batch: int, seconds: float = 0.2) -> Pace:
    """Steps as those of `pretrain.pretrain`, so many seconds of them; measured once a process, as the two below."""
    with _apart() as device:
        model, rng = MAE(arch, training.generator(0)).to(device).train(), training.generator(0)
        optimizer = torch.optim.AdamW(param_groups_weight_decay(model), lr=0.0)

        def loss_of(spec: Tensor) -> Tensor:
            return model(spec, patches.random_mask(len(spec), model.grid, mask_ratio, rng).to(device)).loss

        return _measure(model, loss_of, optimizer, front, batch, seconds)


@lru_cache
def finetuning_pace(arch: Arch, front: FrontEnd, recipe: finetune.Recipe, classes: int, seconds: float = 0.2) -> Pace:
    """Steps as those of `finetune.finetune` without LoRA, with so many classes."""
    with _apart() as device:
        rng = training.generator(0)
        model = finetune.classifier(None, arch, classes, rng, recipe.drop_path, recipe.drop_patches).to(device).train()
        groups = param_groups_layer_decay(model, recipe.weight_decay, no_weight_decay_list=model.no_weight_decay(), layer_decay=recipe.layer_decay)
        optimizer = getattr(torch.optim, recipe.optimizer)(groups, lr=0.0)

        def loss_of(spec: Tensor) -> Tensor:
            wanted = nn.functional.one_hot(torch.arange(len(spec)) % classes, classes).float().to(device)  # (B, C)
            if recipe.mixup:
                spec, wanted = finetune.mixup(spec, wanted, front, rng)
            return nn.functional.cross_entropy(model(finetune.spec_augment(spec, recipe.mask_mels, recipe.mask_frames, rng)), wanted)

        return _measure(model, loss_of, optimizer, front, recipe.batch, seconds)


@lru_cache
def predicting_pace(arch: Arch, front: FrontEnd, classes: int, seconds: float = 0.2) -> Pace:
    """Windows as `finetune.predict` takes them, `PREDICTED` at a time; 0 classes count as one."""
    with _apart() as device, torch.no_grad():
        model = finetune.classifier(None, arch, max(1, classes), training.generator(0)).to(device).eval()
        return _measure(model, model, None, front, PREDICTED, seconds)


@contextmanager
def _apart() -> Iterator[torch.device]:
    """The device; what happens within touches nobody else's random numbers."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield training.accelerator().device


def _measure(model: nn.Module, loss_of: Callable[[Tensor], Tensor], optimizer: torch.optim.Optimizer | None, front: FrontEnd, batch: int,
             seconds: float) -> Pace:
    """Steps on random clips, as many at a time as take 0.15 s or make a batch: one to warm up, then `seconds` of them, or three."""
    acc, rng = training.accelerator(), training.generator(0)
    log_mel, on_cpu = LogMel(front).to(acc.device), acc.device.type == "cpu"

    def clips(n: int, ready: bool) -> Tensor:
        return torch.randn(n, *((1, front.frames, front.mels) if ready else (front.samples,)), generator=rng).to(acc.device)

    def forward(x: Tensor) -> Tensor:
        with acc.autocast():
            return loss_of(x if x.ndim == 4 else log_mel(x, frames=front.frames))

    def step(x: Tensor) -> None:
        loss = forward(x)
        if optimizer is not None:
            loss.backward()

    def took(n: int) -> float:
        x = clips(n, ready=on_cpu)  # on a CPU specs are made once per recording, elsewhere in every step
        first = clock(step, x, acc.device)
        return first if on_cpu and first > 1 else clock(step, x, acc.device)  # on a CPU a second is no warm-up any more

    slow = [block for block in model.modules() if on_cpu and getattr(block, "fused_attn", False)]
    for block in slow:  # as fit.fit trains on a CPU, where torch does not count either what its fused attention does
        block.fused_attn = False
    with FlopCounterMode(display=False) as counter:
        one = training.activation_bytes(lambda: forward(clips(1, ready=True)))
    kept = training.activation_bytes(lambda: forward(clips(2, ready=True))) - one if optimizer is not None else 0  # the difference has no weights in it
    for block in slow if optimizer is None else ():
        block.fused_attn = True
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    n = min(2, batch)
    last = took(n)
    while n < batch and last < 0.15:
        try:
            more = min(batch, max(n + 1, int(n * 0.3 / last)))
            last, n = took(more), more
        except torch.cuda.OutOfMemoryError:
            break  # fit.fit then takes a batch in parts; so it is here
    x, times = clips(n, ready=on_cpu), [last]
    while sum(times) < seconds or (len(times) < 3 and sum(times) < 3):
        times.append(clock(step, x, acc.device))
    fixed, step_s = 4 * sum(p.numel() for p in model.parameters()), 0.0
    if optimizer is not None:
        step_s = statistics.median([clock(lambda _: optimizer.step(), x, acc.device) for _ in range(3)][1:])  # the first makes the moments
        fixed += 3 * 4 * sum(p.numel() for p in model.parameters() if p.requires_grad)
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return Pace(n, statistics.median(times) / n, step_s, counter.get_total_flops() * (3 if optimizer is not None else 1), fixed, kept, peak)


def clock(run: Callable[[Tensor], object], x: Tensor, device: torch.device) -> float:
    """Seconds of one call, until the device is done."""
    wait = getattr(torch, device.type).synchronize
    wait()
    begun = time.perf_counter()
    run(x)
    wait()
    return time.perf_counter() - begun
