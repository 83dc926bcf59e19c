"""The training loop, once: load, loss, backward, step. It yields a record per step and resumes where it was
interrupted.

accelerate brings device, precision and the processes; timm brings the schedule. Whatever is random in step k follows
from (seed, k): the batch, the masks, dropout. So a resumed run needs only the weights, the optimizer and k, and repeats
the rest bit for bit. A step is one batch, whatever the number of processes that share it and of the parts that each
goes through it in: the loss is the same to rounding, but for what each part drops at random for itself (paths and
patches in finetuning) and for a batch norm, which knows only the clips of its part.
"""

import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from pickle import UnpicklingError

import pandas as pd
import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from timm.scheduler import CosineLRScheduler
from torch import nn

from lib import hardware, paths, progress
from lib.data import Batch, prefetch

__all__ = ["generator", "fit", "States", "alone", "kept", "weights_of", "save_weights", "NonFiniteLoss"]

SAVE_EVERY_S = 60.0  # seconds from one saved state to the next: what an interruption costs at most
LAG = 4  # steps that a GPU is given before the loss of one is asked for: the wait for it would let the GPU run dry


class NonFiniteLoss(ValueError):
    """The loss became NaN or infinite; the message names step, learning rate and files."""


def generator(*seeds: int) -> torch.Generator:
    """A CPU generator that depends on all the numbers given."""
    mixed = 0
    for seed in seeds:
        mixed = (mixed * 1_000_003 + int(seed) + 0x9E3779B9) % 2**63
    return torch.Generator().manual_seed(mixed)


def fit(model: nn.Module, optimizer: torch.optim.Optimizer, batches: Callable[[int], Iterable[Batch]],
        loss_of: Callable[[nn.Module, Batch, int], torch.Tensor], *, steps: int, seed: int, warmup: int = 0,
        lr_min: float = 0.0, clip_grad: float | None = None, micro_batch: int = 0, folder: Path | None = None,
        pauses: Container[int] = (), bar: str = "training") -> Iterator[dict]:
    """Train for `steps` steps and yield {"step", "loss", "lr", "clips"} of each; a caller may stop early.

    batches(start) gives this process's data.Batch of every step from `start` on; loss_of(model, batch, step) a
    scalar, the mean over the clips given. Of a batch `micro_batch` clips go through the model at a time (0: all), and
    their gradients add up. The learning rate rises linearly for `warmup` steps to the optimizer's own, then falls on
    a cosine to lr_min. With a folder, what is done is kept there, and a later call goes on from it (`States`).

    On CUDA records come LAG steps late, since the GPU is not waited for, but after the steps in `pauses` at once: the
    model is then as that step left it. In fp16 a step whose gradients overflow leaves the weights as they are: such
    records have `skipped` true, and the scale of the gradients falls until they fit.
    """
    acc, states = hardware.accelerator(), States(folder)
    schedule = CosineLRScheduler(optimizer, t_initial=max(1, steps - warmup), lr_min=lr_min, warmup_t=warmup,
                                 warmup_prefix=True, t_in_epochs=False)
    start, log = states.resume(model, optimizer, acc.scaler)
    yield from log
    told = _Told(acc, steps)
    with (_prepared(acc, model, optimizer) as (ready, optimizer),
          progress.bar(total=steps, initial=start, desc=bar, unit="step", disable=not acc.is_main_process) as shown):
        for step, batch in zip(range(start, steps), _ahead(acc, batches(start) if start < steps else ())):
            schedule.step_update(step)  # before the step: construction leaves the rate at the start of the warm-up
            lr = max(group["lr"] for group in optimizer.param_groups)
            loss = _gradients(acc, ready, batch.parts(micro_batch), loss_of, seed, step)
            record = {"step": step, "loss": loss, "lr": lr, "clips": batch.of}
            told.look(record, batch.files)  # where it is at hand, before it spoils the weights
            if clip_grad is not None:
                acc.clip_grad_norm_(ready.parameters(), clip_grad)
            optimizer.step()
            optimizer.zero_grad()
            last, due = step + 1 == steps, states.due()
            records = told.put(record, batch.files, wait=last or due or step in pauses)
            states.pending += records if states.writes else []
            if last or due:
                states.save(step + 1, model, optimizer, acc.scaler, last)
            for record in records:
                shown.set_postfix(loss=f"{record['loss']:.3f}", refresh=False)
                shown.update()
                yield record
        acc.wait_for_everyone()  # the last state and the log are there for all
    if told.skipped and acc.is_main_process:
        progress.say(f"{told.skipped} of {steps} steps were skipped: their gradients were too large for fp16")


def _ahead(acc: Accelerator, batches: Iterable[Batch]) -> Iterable[Batch]:
    return prefetch(batches) if acc.device.type == "cuda" else batches  # a CPU has no time to draw beside


def _gradients(acc: Accelerator, model: nn.Module, parts: list[Batch], loss_of: Callable, seed: int,
               step: int) -> torch.Tensor:
    """Add up the gradients of a batch's parts; their loss over all processes, a scalar on the device."""
    loss = torch.zeros((), dtype=torch.float32 if acc.device.type == "mps" else torch.float64, device=acc.device)
    for part in parts:
        with acc.no_sync(model) if part is not parts[-1] else nullcontext():  # gradients are exchanged once
            with _seeded(seed, step, acc.device), acc.autocast():
                value = loss_of(model, part, step)
            acc.backward(value * (part.share * acc.num_processes))  # the processes' gradients are averaged
        loss += value.detach() * part.share
    return acc.reduce(loss) if acc.num_processes > 1 else loss


class _Told:
    """The records of the last steps, whose losses are on their way from the device to the host, oldest first."""

    def __init__(self, acc: Accelerator, steps: int) -> None:
        self.scaler, self.steps, self.queue, self.skipped = acc.scaler, steps, deque(), 0
        self.lag = LAG if acc.device.type == "cuda" else 0
        self.scale = self.scaler.get_scale() if self.scaler else None  # of the gradients, after the last step told

    def look(self, record: dict, files: list[str]) -> None:
        """Before a step: NonFiniteLoss, unless the loss would have to be waited for or the scaler skips the step."""
        if not self.lag and not self.scaler:
            self._finite({**record, "loss": record["loss"].item()}, files)

    def put(self, record: dict, files: list[str], wait: bool) -> list[dict]:
        """After a step: its record, its loss still on the device; those that are due, or all; NonFiniteLoss."""
        loss = record["loss"]
        scale = [self.scaler.scale(loss.new_ones(()))] if self.scaler else []  # `get_scale` would wait for the device
        numbers = torch.stack([loss, *scale]).to("cpu", non_blocking=True)
        arrived = torch.cuda.Event() if loss.is_cuda else None
        if arrived:
            arrived.record()
        self.queue.append((record, files, numbers, arrived))
        return [self._take() for _ in range(len(self.queue) - (0 if wait else self.lag))]

    def _take(self) -> dict:
        record, files, numbers, arrived = self.queue.popleft()
        if arrived:
            arrived.synchronize()
        loss, *scale = numbers.tolist()
        record = {**record, "loss": loss}
        if not scale:
            return self._finite(record, files)
        before, self.scale = self.scale, scale[0]
        if self.scale >= before:
            return self._finite({**record, "skipped": False}, files)
        if self.scale < 1:  # nothing was scaled up, and yet it overflows
            self._finite({**record, "loss": math.nan}, files)
        self.skipped += 1
        return {**record, "loss": loss if math.isfinite(loss) else math.nan, "skipped": True}

    def _finite(self, record: dict, files: list[str]) -> dict:
        """The record, if its loss is a number; NonFiniteLoss."""
        if not math.isfinite(record["loss"]):
            named = ", ".join(Path(file).name for file in files[:8])
            raise NonFiniteLoss(f"the loss is {record['loss']} in step {record['step']} of {self.steps} (learning rate "
                                f"{record['lr']:.2e}); lower the learning rate or look at the files of this batch: "
                                f"{named}")
        return record


@contextmanager
def _seeded(seed: int, step: int, device: torch.device) -> Iterator[None]:
    """Within, torch's global generators follow from seed and step (dropout and the like); nobody else's are touched."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(generator(seed, step).initial_seed())
        yield


@contextmanager
def _prepared(acc: Accelerator, model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[tuple]:
    """Model and optimizer as accelerate trains them; at the end, also an early one, the model is as it came."""
    with hardware.on_device(model), hardware.quick_attention(model):
        ready, optimizer = acc.prepare(model, optimizer)
        try:
            yield ready.train(), optimizer
        finally:
            acc.unwrap_model(ready, keep_fp32_wrapper=False)
            vars(model).pop("_is_accelerate_prepared", None)  # else the next training would not prepare it again


# --------------------------------------------------------------------------------------------- what a run leaves behind

class States:
    """What `fit` keeps in a folder: log.jsonl, a line a step, and every SAVE_EVERY_S seconds and at the end the state.

    A run that was stopped or killed goes on from the newest state, with any number of processes. Without a folder
    nothing is kept. In a run of several processes only the main one writes."""

    def __init__(self, folder: Path | None) -> None:
        self.folder, self.pending, self.saved = folder, [], time.monotonic()
        self.writes = folder is not None and hardware.accelerator().is_main_process

    def resume(self, model: nn.Module, optimizer: torch.optim.Optimizer,
               scaler: torch.amp.GradScaler | None = None) -> tuple[int, list[dict]]:
        """Load the newest state: the step to go on from, and the log up to it; (0, []) in a fresh folder."""
        if self.folder is None:
            return 0, []
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "log.jsonl"
        states = sorted(self.folder.glob("state-*.pt"), key=_step)
        for left in self.folder.glob(".state-*") if self.writes else ():  # a kill in the middle of saving
            left.unlink()
        if not states:
            if self.writes:
                log.unlink(missing_ok=True)
            return 0, []
        try:
            state = torch.load(states[-1], map_location="cpu", weights_only=True)
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            if scaler:
                scaler.load_state_dict(state["scaler"])
        except (RuntimeError, EOFError, KeyError, ValueError, UnpicklingError):
            raise ValueError(f"{states[-1]} is damaged: remove it, and the run begins anew") from None
        start = _step(states[-1])
        lines = log.read_text(encoding="utf-8").splitlines()[:start]
        if self.writes:
            paths.write_text(log, "".join(line + "\n" for line in lines))
        return start, [json.loads(line) for line in lines]

    def due(self) -> bool:
        """Whether it is time to save; asked once a step."""
        return self.writes and time.monotonic() - self.saved > SAVE_EVERY_S

    def save(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler | None,
             last: bool) -> None:
        """Save the state after so many steps, and the records pending. A full disk stops only the last save."""
        if not self.writes:
            return
        try:
            self._save(step, {"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                              **({"scaler": scaler.state_dict()} if scaler else {})})
            self.pending = []
        except (OSError, RuntimeError) as error:  # torch reports a full disk as the latter, and Ctrl-C too
            if isinstance(error.__context__, KeyboardInterrupt):
                raise error.__context__ from None
            reason = error.__context__ if isinstance(error.__context__, OSError) else error
            problem = f"the state after step {step} could not be saved in {self.folder} ({reason}): free some space"
            if last:
                raise OSError(f"{problem}; the same call goes on from the state before") from None
            progress.say(f"{problem}; the run goes on and tries again")
        self.saved = time.monotonic()

    def _save(self, step: int, state: dict) -> None:
        """The log first, then the state, whole or not at all; the state before it goes last."""
        log = self.folder / "log.jsonl"
        whole = log.stat().st_size if log.exists() else 0
        try:
            with open(log, "a", encoding="utf-8") as file:
                file.writelines(json.dumps(r) + "\n" for r in self.pending)
            with paths.atomic(self.folder / f"state-{step}.pt") as temporary, open(temporary, "wb") as file:
                torch.save(state, file)
                os.fsync(file.fileno())
        except (OSError, RuntimeError):
            if log.exists():
                os.truncate(log, whole)
            raise
        for old in self.folder.glob("state-*.pt"):
            if _step(old) != step:
                old.unlink()


def _step(state: Path) -> int:
    return int(state.stem.removeprefix("state-"))


def weights_of(folder: Path) -> Path:
    """The file in which `kept` leaves the weights of a training that is done."""
    return folder / "weights.safetensors"


def save_weights(model: nn.Module, file: Path) -> None:
    """A model's weights as safetensors, whole or not at all."""
    try:
        with paths.atomic(file) as temporary:
            save_file(model.state_dict(), temporary)
    except (OSError, SafetensorError) as error:
        raise OSError(f"{file} could not be written ({error}): free some space; the same call goes on from the last "
                      "saved state") from None


def load_weights(model: nn.Module, file: Path) -> None:
    """Give a model what `save_weights` wrote of one like it; ValueError names a file that is not this."""
    try:
        model.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{file} does not load ({reason}): remove it, and the training is made again") from None


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Only one run at a time in a folder, a second waits. True in the process of the run that may write."""
    acc = hardware.accelerator()
    folder.mkdir(parents=True, exist_ok=True)
    with paths.locked(folder) if acc.is_main_process else nullcontext():
        acc.wait_for_everyone()
        if not (folder / ".lock").exists():
            raise ValueError(f"{folder} of the main process is not to be seen from here: STUDY_CACHE must name a "
                             "folder that all machines share")
        yield acc.is_main_process
        acc.wait_for_everyone()


def kept(folder: Path, model: nn.Module, train: Callable[[], object], *, reuse: bool = True,
         leave: bool = True) -> tuple[pd.DataFrame, bool]:
    """Train a model and keep the result in a folder: its log, and whether it was there already.

    train() trains the model by `fit` with this folder. reuse: an earlier run's weights are loaded instead; without it
    they are deleted, and all is trained anew. An interrupted run goes on either way. leave: weights and log stay for a
    later call. One run at a time."""
    weights = weights_of(folder)
    with alone(folder) as writes:
        there = weights.exists()
        hardware.accelerator().wait_for_everyone()
        if writes and there:  # states first: a new run must not go on from what a kill has left
            _remove(folder, "state-*.pt", "best-*", *(() if reuse else ("*.json", "*.safetensors")))
        if there and reuse:
            load_weights(model, weights)
        else:
            train()
            hardware.accelerator().wait_for_everyone()  # each has loaded what is removed now
            if writes:
                save_weights(model, weights)
                _remove(folder, "state-*.pt", "best-*")  # the weights are all that is needed now
        log = pd.read_json(folder / "log.jsonl", lines=True)
        hardware.accelerator().wait_for_everyone()  # all have read it
        if writes and not leave:
            _remove(folder, "*.json", "*.jsonl", "*.safetensors")
    return log, there and reuse


def _remove(folder: Path, *patterns: str) -> None:
    for pattern in patterns:
        for file in folder.glob(pattern):
            file.unlink(missing_ok=True)
