"""The training loop, once: it yields a record per step, and resumes exactly where an interruption left it.

accelerate brings device, bf16 and the processes; timm brings the schedule. Whatever is random in step k follows from (seed, k): the
batch, the masks, dropout. So a resumed run needs only the weights, the optimizer and k, and repeats the rest bit for bit. A step is
one batch, whatever the number of processes that share it and of the parts each goes through it in: the loss is the same to rounding,
but for what each part drops at random for itself (paths and patches in finetuning).
"""

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import psutil
import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import save_file
from timm.scheduler import CosineLRScheduler
from torch import nn
from tqdm.auto import tqdm

from lib import paths

__all__ = ["accelerator", "generator", "alone", "over_processes", "fit", "save_weights", "activation_bytes", "free_bytes", "NonFiniteLoss"]

ROOM = 0.6  # share of the free memory that kept activations may fill; the rest is for what comes and goes
FEW = 16  # clips: where fewer fit at once, activations are computed again in the backward pass instead of being kept
RECOMPUTED = 4  # times as many fit then: what remains is each block's input, and one block at a time


class NonFiniteLoss(ValueError):
    """The loss became NaN or infinite; the message names step, learning rate and files."""


def accelerator() -> Accelerator:
    """accelerate on the best device there is, with bf16 autocast where the processor multiplies it in hardware."""
    if torch.cuda.is_available():
        bf16 = torch.cuda.is_bf16_supported()
    else:
        bf16 = not torch.backends.mps.is_available() and torch.cpu._is_avx512_bf16_supported()
    patient = InitProcessGroupKwargs(timeout=timedelta(weeks=1))  # a run may wait that long for the lock of another
    return Accelerator(mixed_precision="bf16" if bf16 else "no", kwargs_handlers=[patient])


def generator(*seeds: int) -> torch.Generator:
    """A CPU generator that depends on all the numbers given."""
    mixed = 0
    for seed in seeds:
        mixed = (mixed * 1_000_003 + int(seed) + 0x9E3779B9) % 2**63
    return torch.Generator().manual_seed(mixed)


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Only one run at a time in a folder, a second waits; yields whether this is the process of the run that may write there."""
    acc = accelerator()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock") if acc.is_main_process else nullcontext():
        if acc.is_main_process:
            for left in folder.glob(".*.*.*"):  # of `paths.atomic`: a kill in the middle of writing
                left.unlink(missing_ok=True)
        acc.wait_for_everyone()
        if not (folder / ".lock").exists():
            raise ValueError(f"{folder} of the main process is not to be seen from here: STUDY_CACHE must name a folder that all machines share")
        yield acc.is_main_process
        acc.wait_for_everyone()


def over_processes(x: torch.Tensor, how: str = "sum") -> torch.Tensor:
    """The "sum" or "max" of a tensor over the processes of this run, on the CPU again; x itself in a single one."""
    acc = accelerator()
    if acc.num_processes == 1:
        return x
    x = x.to(acc.device)
    torch.distributed.all_reduce(x, {"sum": torch.distributed.ReduceOp.SUM, "max": torch.distributed.ReduceOp.MAX}[how])
    return x.cpu()


def fit(model: nn.Module, optimizer: torch.optim.Optimizer, batches: Callable[[int], Iterable], loss_of: Callable[[nn.Module, Any, int], torch.Tensor],
        *, steps: int, seed: int, warmup: int = 0, lr_min: float = 0.0, clip_grad: float | None = None, folder: Path | None = None,
        save_every_s: float = 60.0, bar: str = "training") -> Iterator[dict]:
    """Train for `steps` steps and yield {"step", "loss", "lr", "clips"} after each; break out of the loop to stop early.

    batches(start) gives the batches from step `start` on; loss_of(model, batch, step) a scalar, the mean over the batch's clips. Of a
    data.Batch each process is given its share, and goes through it in parts where memory is short. The learning rate rises linearly for
    `warmup` steps to the optimizer's own, then falls on a cosine to lr_min. With a folder, the state is saved there every save_every_s
    seconds and at the end, log.jsonl gets a line a step, and a later call with the same folder goes on from there, with any number of
    processes; the steps done before are yielded again from the log. Ctrl-C or SIGTERM then finish and save the step; a second Ctrl-C
    stops at once. NonFiniteLoss names step and files.
    """
    acc = accelerator()
    slow = [m for m in model.modules() if getattr(m, "fused_attn", False) and acc.device.type == "cpu"]
    for block in slow:  # on a CPU torch's fused attention is 1.5 times slower in training than two matmuls
        block.fused_attn = False
    schedule = CosineLRScheduler(optimizer, t_initial=max(1, steps - warmup), lr_min=lr_min, warmup_t=warmup, warmup_prefix=True, t_in_epochs=False)
    ready, optimizer = acc.prepare(model, optimizer)
    start, log = _resume(acc, model, optimizer, folder) if folder is not None else (0, [])
    progress = tqdm(total=steps, initial=start, desc=bar, unit="step", disable=not acc.is_main_process)
    try:
        yield from log
        ready.train()
        saved, pending, size = time.monotonic(), [], None
        with _asked_to_stop(folder is not None) as asked:
            for step, batch in zip(range(start, steps), batches(start) if start < steps else ()):
                schedule.step_update(step)  # before the step: construction leaves the learning rate at the start of the warm-up
                lr = max(group["lr"] for group in optimizer.param_groups)
                if size is None:
                    size = _clips_at_once(acc, model, optimizer, batch, loss_of, step, bar)
                value = _backward(acc, ready, batch.cut(size) if size else [batch], loss_of, step, seed, f"of {steps} (learning rate {lr:.2e})")
                if clip_grad is not None:
                    acc.clip_grad_norm_(ready.parameters(), clip_grad)
                optimizer.step()
                optimizer.zero_grad()
                stop = bool(asked)
                if acc.num_processes > 1:  # one loss for all, and all stop after the same step
                    value, stop = over_processes(torch.tensor([value, stop], dtype=torch.float64)).tolist()
                record = {"step": step, "loss": value, "lr": lr, "clips": getattr(batch, "of", 0) or len(batch[0])}
                progress.update()
                progress.set_postfix(loss=f"{value:.4f}", lr=f"{lr:.1e}", refresh=False)
                pending.append(record)
                last = bool(stop) or step + 1 == steps
                if folder is not None and (last or time.monotonic() - saved > save_every_s):
                    if not acc.is_main_process or _save(model, optimizer, folder, step + 1, pending, last):
                        pending = []
                    saved = time.monotonic()
                if stop:
                    progress.write(f"{bar}: stopped and saved after step {step + 1} of {steps}; the same call goes on from there")
                    raise KeyboardInterrupt if signal.SIGINT in asked else SystemExit(128 + signal.SIGTERM)
                yield record
            if asked:  # after the last step: while it was saved, or while the caller had it
                raise KeyboardInterrupt if signal.SIGINT in asked else SystemExit(128 + signal.SIGTERM)
        acc.wait_for_everyone()  # the last state and the log are there for all
    finally:  # also when the caller breaks out of the loop: hand the model back as it came
        progress.close()
        acc.unwrap_model(ready, keep_fp32_wrapper=False)
        for block in slow:
            block.fused_attn = True
        if hasattr(model, "set_grad_checkpointing"):
            model.set_grad_checkpointing(False)


def _backward(acc: Accelerator, ready: nn.Module, parts: list, loss_of: Callable, step: int, seed: int, where: str) -> float:
    """The gradients of one process's share of a batch, part by part; returns what the share adds to the batch's mean loss."""
    value, devices = 0.0, [acc.device] if acc.device.type == "cuda" else []
    for part in parts:
        share = len(part[0]) / (getattr(part, "of", 0) or len(part[0]) * acc.num_processes)
        with acc.no_sync(ready) if part is not parts[-1] else nullcontext():  # the forward pass too: there it is decided whether gradients are exchanged
            with torch.random.fork_rng(devices):  # dropout and the like: repeatable, and nobody else's random numbers are touched
                torch.manual_seed(generator(seed, step).initial_seed())
                with acc.autocast():
                    loss = loss_of(ready, part, step)
            own = loss.item()
            if not math.isfinite(own):
                raise NonFiniteLoss(f"the loss is {own} in step {step} {where}; lower the learning rate or look at the files of this batch: "
                                    + ", ".join(Path(f).name for f in getattr(part, "files", [])[:8]))
            acc.backward(loss * (share * acc.num_processes))  # the processes' gradients are averaged
        value += own * share
    return value


# ---------------------------------------------------------------------------------------------------------------- memory

def activation_bytes(run: Callable[[], torch.Tensor]) -> int:
    """The bytes that autograd keeps for the backward pass of what run() computes, weights among them, each storage once."""
    kept = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        result = run()  # held until all is counted: a freed place would be given out again
    del result
    return sum(kept.values())


def free_bytes(device: torch.device) -> int:
    """Memory that a process may still take on a device; of a CPU's, its share among the processes on this machine (a container's limit is not seen)."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return psutil.virtual_memory().available // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _clips_at_once(acc: Accelerator, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any, loss_of: Callable, step: int, bar: str) -> int:
    """How many clips of its share a process goes through at once: all, or as many as memory holds. 0: the batch stays whole."""
    if not hasattr(batch, "cut") or len(batch[0]) < 4 or any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules()):
        return 0  # batch norm would see other batches
    with torch.random.fork_rng([acc.device] if acc.device.type == "cuda" else []), acc.autocast():
        two, four = (activation_bytes(lambda: loss_of(model, batch.cut(n)[0], step)) for n in (2, 4))  # their difference has no weights in it
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    to_come = 4 * trained * (1 if optimizer.state else 3)  # gradients, and AdamW's moments once there are any
    clips = len(batch[0])
    fit = max(0, int((ROOM * free_bytes(acc.device) - to_come) / max(1, (four - two) / 2)))
    if fit >= clips:
        return clips
    if again := fit < FEW and hasattr(model, "set_grad_checkpointing"):
        model.set_grad_checkpointing(True)
    size = min(clips, max(2, fit * (RECOMPUTED if again else 1) // 2 * 2))
    acc.print(f"{bar}: {clips} clips a step and process go through memory in parts of {size}" + (", activations are computed twice" if again else ""))
    return size


# ------------------------------------------------------------------------------------------------ states and interruptions

@contextmanager
def _asked_to_stop(listen: bool) -> Iterator[list[int]]:
    """A list that fills with SIGINT and SIGTERM, for the loop to look at. A second Ctrl-C acts at once; a second SIGTERM need not be a second wish,
    since srun and torchrun both hand it on."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        if signal.SIGINT in asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(number)

    if not listen or threading.current_thread() is not threading.main_thread():  # only there Python can listen
        yield asked
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _save(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path, step: int, records: list[dict], last: bool) -> bool:
    """The log first, then the state, whole or not at all; the state before it goes last. A full disk is no reason to stop, but at the last save."""
    log = folder / "log.jsonl"
    whole = log.stat().st_size if log.exists() else 0
    try:
        with open(log, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(r) + "\n" for r in records)
        with paths.atomic(folder / f"state-{step}.pt") as part, open(part, "wb") as file:
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch reports a full disk as the latter
        if log.exists():
            os.truncate(log, whole)
        reason = error.__context__ if isinstance(error.__context__, OSError) else error
        said = f"the state after step {step} could not be saved in {folder} ({reason}): free some space"
        if last:
            raise OSError(f"{said}; the same call goes on from the state before") from None
        tqdm.write(f"{said}; the run goes on and tries again")
        return False
    for old in folder.glob("state-*.pt"):
        if old.name != f"state-{step}.pt":
            old.unlink()
    return True


def save_weights(model: nn.Module, file: Path) -> None:
    """A model's weights as safetensors, whole or not at all."""
    try:
        with paths.atomic(file) as part:
            save_file(model.state_dict(), part)
    except (OSError, SafetensorError) as error:
        raise OSError(f"{file} could not be written ({error}): free some space; the same call goes on from the last saved state") from None


def _resume(acc: Accelerator, model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> tuple[int, list[dict]]:
    """The newest state, loaded, with the step to go on from and the log up to it; (0, []) in a fresh folder."""
    folder.mkdir(parents=True, exist_ok=True)
    states = sorted(folder.glob("state-*.pt"), key=lambda p: int(p.stem.removeprefix("state-")))
    if acc.is_main_process:
        for left in folder.glob(".state-*"):  # a kill in the middle of saving
            left.unlink()
        if not states:
            (folder / "log.jsonl").unlink(missing_ok=True)
    if not states:
        return 0, []
    try:
        state = torch.load(states[-1], map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, EOFError, KeyError, ValueError, UnpicklingError):
        raise ValueError(f"{states[-1]} is damaged: remove it, and the run begins anew") from None
    start = int(states[-1].stem.removeprefix("state-"))
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[:start]
    if acc.is_main_process:
        paths.write_text(folder / "log.jsonl", "".join(line + "\n" for line in lines))
    return start, [json.loads(line) for line in lines]
