"""The training loop, once: it yields a record per step, and resumes exactly where an interruption left it.

accelerate brings device, bf16 and the saved state; timm brings the schedule. Whatever is random in step k follows from (seed, k):
the batch, the masks, dropout. So a resumed run needs only the weights, the optimizer and k, and repeats the rest bit for bit.
"""

import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from timm.scheduler import CosineLRScheduler
from torch import nn
from tqdm.auto import tqdm

from lib import paths

__all__ = ["accelerator", "generator", "fit", "NonFiniteLoss"]


class NonFiniteLoss(ValueError):
    """The loss became NaN or infinite; the message names step, learning rate and files."""


def accelerator() -> Accelerator:
    """accelerate on the best device there is, with bf16 autocast where the processor multiplies it in hardware."""
    if torch.cuda.is_available():
        bf16 = torch.cuda.is_bf16_supported()
    else:
        bf16 = not torch.backends.mps.is_available() and torch.cpu._is_avx512_bf16_supported()
    return Accelerator(mixed_precision="bf16" if bf16 else "no")


def generator(*seeds: int) -> torch.Generator:
    """A CPU generator that depends on all the numbers given."""
    mixed = 0
    for seed in seeds:
        mixed = (mixed * 1_000_003 + int(seed) + 0x9E3779B9) % 2**63
    return torch.Generator().manual_seed(mixed)


def fit(model: nn.Module, optimizer: torch.optim.Optimizer, batches: Callable[[int], Iterable], loss_of: Callable[[nn.Module, Any, int], torch.Tensor],
        *, steps: int, seed: int, warmup: int = 0, lr_min: float = 0.0, clip_grad: float | None = None, folder: Path | None = None,
        save_every_s: float = 60.0, bar: str = "training") -> Iterator[dict]:
    """Train for `steps` steps and yield {"step", "loss", "lr", "clips"} after each; break out of the loop to stop early.

    batches(start) gives the batches from step `start` on; loss_of(model, batch, step) a scalar. The learning rate rises linearly for
    `warmup` steps to the optimizer's own, then falls on a cosine to lr_min. With a folder, the state is saved there every
    save_every_s seconds and at the end, log.jsonl gets a line a step, and a later call with the same folder goes on from there;
    the steps done before are yielded again from the log. NonFiniteLoss names step and files.
    """
    acc = accelerator()
    slow = [m for m in model.modules() if getattr(m, "fused_attn", False) and acc.device.type == "cpu"]
    for block in slow:  # on a CPU torch's fused attention is 1.5 times slower in training than two matmuls
        block.fused_attn = False
    schedule = CosineLRScheduler(optimizer, t_initial=max(1, steps - warmup), lr_min=lr_min, warmup_t=warmup, warmup_prefix=True, t_in_epochs=False)
    ready, optimizer = acc.prepare(model, optimizer)
    start, log = 0, []
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        start, log = _resume(acc, folder)
    progress = tqdm(total=steps, initial=start, desc=bar, unit="step")
    try:
        yield from log
        ready.train()
        saved, pending = time.monotonic(), []
        for step, batch in zip(range(start, steps), batches(start) if start < steps else ()):
            schedule.step_update(step)  # before the step: construction leaves the learning rate at the start of the warm-up
            with torch.random.fork_rng(enabled=True):  # dropout and the like: repeatable, and nobody else's random numbers are touched
                torch.manual_seed(generator(seed, step).initial_seed())
                with acc.autocast():
                    loss = loss_of(ready, batch, step)
            lr = max(group["lr"] for group in optimizer.param_groups)
            value = loss.item()
            if not math.isfinite(value):
                raise NonFiniteLoss(f"the loss is {value} in step {step} of {steps} (learning rate {lr:.2e}); lower the learning rate or look at the files "
                                    "of this batch: " + ", ".join(Path(f).name for f in getattr(batch, "files", [])[:8]))
            acc.backward(loss)
            if clip_grad is not None:
                acc.clip_grad_norm_(ready.parameters(), clip_grad)
            optimizer.step()
            optimizer.zero_grad()
            record = {"step": step, "loss": value, "lr": lr, "clips": len(batch[0])}
            progress.update()
            progress.set_postfix(loss=f"{value:.4f}", lr=f"{lr:.1e}", refresh=False)
            pending.append(record)
            if folder is not None and (step + 1 == steps or time.monotonic() - saved > save_every_s):
                _save(acc, folder, step + 1, pending)
                saved, pending = time.monotonic(), []
            yield record
    finally:  # also when the caller breaks out of the loop: hand the model back as it came
        progress.close()
        acc.unwrap_model(ready, keep_fp32_wrapper=False)
        for block in slow:
            block.fused_attn = True


def _save(acc: Accelerator, folder: Path, step: int, records: list[dict]) -> None:
    """The log first, then the state under a temporary name: a state with its final name is whole, and its log reaches up to it."""
    with open(folder / "log.jsonl", "a", encoding="utf-8") as file:
        file.writelines(json.dumps(r) + "\n" for r in records)
    part = folder / "state.part"
    shutil.rmtree(part, ignore_errors=True)
    acc.save_state(str(part), safe_serialization=True)
    for states in part.glob("random_states_*.pkl"):  # randomness follows from (seed, step); loading these would set everybody's
        states.unlink()
    part.rename(folder / f"state-{step}")
    for old in folder.glob("state-*"):
        if old.name != f"state-{step}":
            shutil.rmtree(old)


def _resume(acc: Accelerator, folder: Path) -> tuple[int, list[dict]]:
    """The newest whole state, loaded, with the step to go on from and the log up to it; (0, []) in a fresh folder."""
    states = sorted(folder.glob("state-*"), key=lambda p: int(p.name.removeprefix("state-")))
    if not states:
        (folder / "log.jsonl").unlink(missing_ok=True)
        return 0, []
    acc.load_state(str(states[-1]))
    start = int(states[-1].name.removeprefix("state-"))
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[:start]
    paths.write_text(folder / "log.jsonl", "".join(line + "\n" for line in lines))
    return start, [json.loads(line) for line in lines]
