"""How fast this machine trains and predicts: the recipes' own steps (`pretrain.step_of`, `finetune.step_of`) on random
clips, for a moment each."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lib import data, hardware, pretrain, training
from lib.mae import MAE, Arch
from lib.mel import FrontEnd, LogMel
from lib.transfer import finetune

__all__ = ["Pace", "PREDICTED", "pretraining_pace", "finetuning_pace", "predicting_pace", "clips", "clock"]

PREDICTED = 64  # windows at a time, as finetune.predict and probe.features take them


class Pace(NamedTuple):
    """What a few steps on random clips came to, on one process."""

    clips: int  # at a time; fewer than a batch where a batch would take long
    clip_s: float  # seconds a clip: forward, and backward where there is one
    step_s: float  # seconds the optimizer takes
    flop: float  # a clip: of the forward pass by torch's counter, times 3 with backward
    fixed: int  # bytes whatever the batch: weights, gradients, moments
    activations: int  # bytes a clip that are kept for backward
    peak: int  # bytes allocated at most, where CUDA counts them


@lru_cache
def pretraining_pace(arch: Arch, front: FrontEnd, recipe: pretrain.Recipe, seconds: float = 0.2) -> Pace:
    """Steps of a recipe's pretraining, so many seconds of them; measured once a process, as the two below."""
    with _apart():
        model = MAE(arch, training.generator(0))
        return _trained(model, *pretrain.step_of(model, front, recipe), front, recipe.batch, seconds,
                        lambda batch: pretrain.masked(batch, model, recipe, 0))


@lru_cache
def finetuning_pace(arch: Arch, front: FrontEnd, recipe: finetune.Recipe, classes: int, seconds: float = 0.2) -> Pace:
    """Steps of a recipe's finetuning, without LoRA, with so many classes."""
    with _apart():
        model = finetune.classifier(None, arch, classes, training.generator(0), recipe.drop_path, recipe.drop_patches,
                                    recipe.readout)
        step = finetune.step_of(model, front, recipe, torch.arange(recipe.batch) % classes, classes)
        return _trained(model, *step, front, recipe.batch, seconds)


@lru_cache
def predicting_pace(arch: Arch, front: FrontEnd, classes: int, seconds: float = 0.2) -> Pace:
    """Windows as `finetune.predict` takes them, `PREDICTED` at a time; with 0 classes in float32, as features are."""
    acc = hardware.accelerator()
    with _apart():
        model = finetune.classifier(None, arch, max(1, classes), training.generator(0)).to(acc.device).eval()
    log_mel = LogMel(front).to(acc.device)

    def predict(batch: data.Batch) -> Tensor:
        with torch.no_grad(), acc.autocast() if classes else nullcontext():
            return model(batch.spec(log_mel, acc.device))

    with hardware.two_matmuls(model):  # torch does not count what its fused attention does on a CPU
        flop, _ = _counted(lambda n: predict(clips(n, front, ahead=True)))
    n, clip_s, peak = _timed(predict, front, PREDICTED, seconds)
    return Pace(n, clip_s, 0.0, flop, 4 * sum(p.numel() for p in model.parameters()), 0, peak)


def _apart() -> AbstractContextManager:
    """Within, nobody else's random numbers are touched."""
    return torch.random.fork_rng(range(torch.cuda.device_count()))


def _trained(model: nn.Module, optimizer: torch.optim.Optimizer, loss_of: Callable[..., Tensor], front: FrontEnd,
             batch: int, seconds: float, prepared: Callable[[data.Batch], data.Batch] = lambda batch: batch) -> Pace:
    """The pace of a recipe's steps on random clips, as `training.fit` takes them, in this process alone."""
    acc = hardware.accelerator()
    model.to(acc.device).train()

    def loss(drawn: data.Batch) -> Tensor:
        with acc.autocast():
            return loss_of(model, drawn, 0)

    with hardware.two_matmuls(model) if acc.device.type == "cpu" else nullcontext():
        flop, activations = _counted(lambda n: loss(clips(n, front, ahead=True)))
    with hardware.quick_attention(model):
        n, clip_s, peak = _timed(lambda drawn: loss(drawn).backward(), front, batch, seconds, prepared)
    step_s = min([clock(optimizer.step) for _ in range(4)][1:])  # the first makes the moments
    weights = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Pace(n, clip_s, step_s, 3 * flop, 4 * weights + 12 * trainable, activations, peak)


def clips(n: int, front: FrontEnd, ahead: bool = False) -> data.Batch:
    """A batch of n random clips on the device: waves, or specs if they are wanted ahead; a CPU always has specs, which
    are made there once a recording and elsewhere in every step."""
    device = hardware.accelerator().device
    ahead = ahead or device.type == "cpu"
    shape, length = ((1, front.frames, front.mels), front.frames) if ahead else ((front.samples,), front.samples)
    x = torch.randn(n, *shape, generator=torch.Generator(device).manual_seed(0), device=device)
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


def _timed(run: Callable[[data.Batch], object], front: FrontEnd, batch: int, seconds: float,
           prepared: Callable[[data.Batch], data.Batch] = lambda batch: batch) -> tuple[int, float, int]:
    """Clips at a time (as many as take a moment, at most a batch), seconds a clip over so many seconds, peak bytes.

    prepared: gives a batch what is drawn ahead of a step."""
    on_cpu = hardware.accelerator().device.type == "cpu"
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()

    def took(n: int) -> float:
        drawn = prepared(clips(n, front))
        first = clock(lambda: run(drawn))  # a second is no warm-up any more
        return first if on_cpu and first > 1 else min(clock(lambda: run(drawn)) for _ in range(2))

    n = min(2, batch)
    last = took(n)
    while n < batch and last < (0.15 if on_cpu else 1.0):  # on a GPU few clips wait for kernels
        try:
            more = min(batch, max(n + 1, int(n * 0.3 / last)))
            last, n = took(more), more
        except torch.cuda.OutOfMemoryError:
            break
    drawn, times = prepared(clips(n, front)), [last]
    while sum(times) < seconds or (len(times) < 5 and sum(times) < 3):
        times.append(clock(lambda: run(drawn)))
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return n, min(times) / n, peak  # the least: other programs only make it longer


def clock(run: Callable[[], object]) -> float:
    """Seconds of one call, until the device is done. On a CPU at most what all its threads worked: the time that other
    programs took from them does not count."""
    kind = hardware.accelerator().device.type
    wait = getattr(torch, kind).synchronize
    wait()
    begun, worked = time.perf_counter(), time.process_time()
    run()
    wait()
    seconds, worked = time.perf_counter() - begun, time.process_time() - worked
    return min(seconds, worked) if kind == "cpu" else seconds
