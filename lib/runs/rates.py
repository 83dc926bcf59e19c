"""How fast a training step is, and what it waits for: other batches, other attention, compiled, and kernel by kernel.

What is timed are the recipes' own steps on random clips that are there, optimizer and front end included; masks are
drawn before, as training draws them ahead.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pandas as pd
import torch
from torch import nn
from torch.profiler import ProfilerActivity

from lib import hardware, mel, pretrain, training
from lib.mae import MAE
from lib.runs import benchmark, cost
from lib.runs.pace import clips
from lib.runs.scales import Scale
from lib.transfer import finetune

__all__ = ["KINDS", "parts", "step", "pace", "batches", "attention", "compiled", "kernels"]

KINDS = ("pretraining", "finetuning")
CLASSES = 50  # of the finetuning here
GROUPS = {"attention": "flash|fmha|attention|sdpa",
          "matrix products": "gemm|cutlass|nvjet|xmma|wgmma|matmul|addmm|::mm|::bmm|linear|conv",
          "memory and the rest": ""}  # the names of kernels, by the first that fits


def parts(settings: Sequence[Scale], pools: Sequence[pd.DataFrame], seconds: float) -> list[tuple[str, Callable]]:
    """All that is measured here and by the benchmark at some scales, (title, function), the most important first."""
    every = [(kind, s) for s in settings for kind in KINDS]
    return [
        *((f"benchmark, scale {s.name}", partial(_benchmark, s, pools, seconds)) for s in settings),
        *((f"profile, scale {s.name}, {kind}", partial(kernels, s, kind)) for kind, s in every),
        *((f"batches, scale {s.name}", partial(batches, s, "pretraining", seconds / 2)) for s in settings),
        *((f"attention, scale {s.name}", partial(attention, s, seconds / 2)) for s in settings),
        *((f"compiling, scale {s.name}", partial(compiled, s, seconds)) for s in settings)]


def _benchmark(setting: Scale, pools: Sequence[pd.DataFrame], seconds: float) -> pd.DataFrame:
    return benchmark.benchmark(setting, *pools, seconds=seconds).reset_index()


def step(kind: str, setting: Scale, batch: int, change: Callable[[nn.Module], nn.Module] = lambda model: model
         ) -> Callable[[], None]:
    """One step of a scale's pretraining or finetuning on the same random clips; `change` is done to the model first."""
    acc, front, drawn = hardware.accelerator(), mel.INAT, clips(batch, mel.INAT)
    if kind == "pretraining":
        recipe, model = setting.pretraining(batch, 0, batch=batch), MAE(setting.arch(), training.generator(0))
        optimizer, loss_of = pretrain.step_of(model, front, recipe)
        drawn = pretrain.masked(drawn, model.to(acc.device), recipe, 0)
    else:
        recipe = setting.finetuning("audiomae", 0, batch=batch, epochs=1)
        model = finetune.classifier(None, setting.arch(), CLASSES, training.generator(0), recipe.drop_path,
                                    recipe.drop_patches)
        optimizer, loss_of = finetune.step_of(model, front, recipe, torch.arange(batch) % CLASSES, CLASSES)
    changed = change(model.to(acc.device).train())

    def run() -> None:
        with acc.autocast():
            loss = loss_of(changed, drawn, 0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return run


def pace(run: Callable[[], None], batch: int, seconds: float) -> float:
    """Clips per second of steps one after the other, for so many seconds, after one that warms up."""
    run()
    n = max(1, round(seconds / max(1e-4, cost.clock(run))))
    return n * batch / cost.clock(lambda: [run() for _ in range(n)])


def batches(setting: Scale, kind: str, seconds: float) -> Iterator[pd.DataFrame | str]:
    """Clips per second and peak memory from a batch of 256 on, doubled until the memory is full; the table so far. CUDA
    only."""
    rows, batch = [], 256
    if not torch.cuda.is_available():
        yield "left out: a CPU's memory is not counted"
    while torch.cuda.is_available() and batch <= 16384:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        try:
            rate = pace(step(kind, setting, batch), batch, seconds)
        except torch.cuda.OutOfMemoryError:
            rows.append({"batch": batch, "clips/s": "out of memory"})
            batch = 16384
        else:
            rows.append({"batch": batch, "clips/s": rate, "peak (GB)": torch.cuda.max_memory_allocated() / 1e9})
        batch *= 2
        yield pd.DataFrame(rows)


def attention(setting: Scale, seconds: float) -> Iterator[pd.DataFrame]:
    """Clips per second of a scale's steps with torch's fused attention and with two matrix products; the table so
    far."""
    rows = []
    for kind, batch in (("pretraining", setting.batch), ("finetuning", setting.finetune_batch)):
        for what, fused in (("fused", True), ("two products", False)):
            rate = pace(step(kind, setting, batch, _attention(fused)), batch, seconds)
            rows.append({"step": kind, "batch": batch, "attention": what, "clips/s": rate})
            yield pd.DataFrame(rows)


def compiled(setting: Scale, seconds: float) -> pd.DataFrame | str:
    """Clips per second of a scale's pretraining steps as they are and by torch.compile, and how long that takes; CUDA
    only, and what does not work is a row that says why."""
    if not torch.cuda.is_available():
        return "left out: on a CPU compiling takes minutes"
    rows = [{"": "as it is", "clips/s": pace(step("pretraining", setting, setting.batch), setting.batch, seconds)}]
    begun = time.perf_counter()
    try:
        run = step("pretraining", setting, setting.batch, torch.compile)
        run()
        rows.append({"": f"compiled, which took {time.perf_counter() - begun:.0f} s",
                     "clips/s": pace(run, setting.batch, seconds)})
    except Exception as error:  # no compiler, a backend that refuses
        rows.append({"": f"not compiled: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:100]}"})
    return pd.DataFrame(rows)


def _attention(fused: bool) -> Callable[[nn.Module], nn.Module]:
    def change(model: nn.Module) -> nn.Module:
        for module in model.modules():
            if hasattr(module, "fused_attn"):
                module.fused_attn = fused
        return model

    return change


def kernels(setting: Scale, kind: str, steps: int = 3) -> str:
    """The ten kernels (on a CPU: operations) that take most of some steps' time, and what limits these steps."""
    batch = setting.batch if kind == "pretraining" else setting.finetune_batch
    run, cuda = step(kind, setting, batch), torch.cuda.is_available()
    run(), run()
    wall = cost.clock(lambda: [run() for _ in range(steps)])  # the profiler takes time of its own
    with torch.profiler.profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as seen:
        cost.clock(lambda: [run() for _ in range(steps)])
    took = {}
    for row in seen.key_averages():
        if (str(row.device_type).endswith("CUDA") == cuda) and "#" not in row.key:  # "Optimizer.step#..." is a span
            took[row.key] = 1e-6 * (row.self_device_time_total if cuda else row.self_cpu_time_total)
    busy = sum(took.values())
    if not busy:
        return "the profiler saw no kernels: it may not be allowed to here"
    top = sorted(took.items(), key=lambda item: -item[1])[:10]
    lines = [f"{seconds / busy:6.1%} {1e3 * seconds / steps:8.2f} ms  {name[:88]}" for name, seconds in top]
    shares = dict.fromkeys(GROUPS, 0.0)
    for name, seconds in took.items():
        shares[next(g for g, known in GROUPS.items() if re.search(known, name, re.IGNORECASE))] += seconds / busy
    first = max(shares, key=shares.get)
    limit = (f"the host limits: the device works {busy / wall:.0%} of the time" if cuda and busy < 0.8 * wall
             else f"limited by {first}")
    return "\n".join([f"batch {batch}, {1e3 * wall / steps:.1f} ms a step: {limit} ("
                      + ", ".join(f"{group} {share:.0%}" for group, share in shares.items()) + ")", *lines])
