"""Whether a device computes what a CPU does: models, masks, front ends, crops, and a training that was interrupted.

A check gives a table, a row for each comparison: `difference`, what is `allowed`, and `ok`. The reference is always
this machine's CPU in float32. The device is asked twice, in float32 and in the precision that it trains in, where more
is allowed: bf16 keeps 8 bits and fp16 11, so that after some blocks they are right to a percent.
"""

import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from lib import checkpoints, data, hardware, mel, patches, pretrain, sampler, training
from lib.hear import designs
from lib.mae import MAE, Arch
from lib.mel import LogMel
from lib.patches import Mask
from lib.runs.scales import Scale
from lib.transfer import finetune, starts

__all__ = ["CHECKS", "models", "masks", "front_ends", "crops", "resuming", "overflow", "syncs"]

FLOAT32 = {"loss": 1e-4, "features": 1e-4, "gradient": 1e-3}  # of the same arithmetic in another order
OWN = {"loss": 1e-2, "features": 3e-2, "gradient": 1e-1}
SYNC = "called a synchronizing CUDA operation"
STEPS, BATCH = 10, 8  # of the trainings here
FRONT = replace(mel.INAT, frames=128)
SMALL = Arch(128, dim=64, depth=2, heads=2, decoder="window", decoder_dim=32, decoder_depth=2, decoder_heads=2)


class Stopped(Exception):
    """What interrupts a training here."""


def _row(what: str, difference: float, allowed: float, note: str = "") -> dict:
    return {"what": what, "difference": float(difference), "allowed": allowed, "ok": bool(difference <= allowed),
            "note": note}


def _apart(a: Tensor, b: Tensor) -> float:
    """The norm of the difference over that of b."""
    return float((a - b).norm() / b.norm().clamp(min=1e-30))


@contextmanager
def exactly() -> Iterator[None]:
    """Within, float32 means float32 on CUDA too: no TF32."""
    matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = cudnn


# ----------------------------------------------------------------------------------------------------- models and masks

def _answers(model: MAE, spec: Tensor, mask: Mask, device: torch.device, own: bool) -> dict[str, Tensor]:
    """Loss, features and gradient of a model on a device, in float32 or in the precision that trains there."""
    model.to(device).eval().zero_grad()  # eval: the window decoder drops positions at random
    with hardware.accelerator().autocast() if own else nullcontext():
        spec, mask = spec.to(device), mask.to(device)
        latent = model.encode(spec, mask)
        loss = model.loss(spec, model.decode(latent, mask), mask)
    (loss * 2.0**12).backward()  # fp16 would lose small gradients; a power of two changes no digit
    gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]) / 2.0**12
    found = {"loss": loss, "features": latent, "gradient": gradient}
    found = {name: x.detach().float().cpu().clone() for name, x in found.items()}
    model.to("cpu").zero_grad()
    return found


def _compared(what: str, model: MAE, spec: Tensor, mask: Mask) -> Iterator[dict]:
    """Two rows for each precision that the device has: the farthest of loss, features and gradient off the CPU's."""
    acc = hardware.accelerator()
    with exactly():
        reference = _answers(model, spec, mask, torch.device("cpu"), own=False)
        found = {"float32": (_answers(model, spec, mask, acc.device, own=False), FLOAT32)}
        if acc.mixed_precision != "no":
            found[acc.mixed_precision] = _answers(model, spec, mask, acc.device, own=True), OWN
    for precision, (answers, allowed) in found.items():
        for name, x in answers.items():
            yield _row(f"{what}, {precision}: {name}", _apart(x, reference[name]), allowed[name])


def _specs(model: MAE, B: int = 2) -> Tensor:
    return torch.randn(B, 1, model.arch.frames, model.arch.mels, generator=training.generator(1))


def models(setting: Scale, pools: list[pd.DataFrame]) -> pd.DataFrame:
    """Every kind of model: both decoders, the patches and strips of MSM-MAE's designs, the ready weights, the scale's
    own and, on a GPU, the paper's."""
    base = Arch(dim=128, depth=2, heads=2, decoder="plain", decoder_dim=64, decoder_depth=2, decoder_heads=2)
    shapes = {"plain decoder": base, "window decoder": replace(base, decoder="window", decoder_heads=4),
              "pixels as target": replace(base, norm_pixels=False), f"scale {setting.name}": setting.arch()}
    shapes |= {f"design {name}": designs.design(name, base)[0] for name in designs.DESIGNS}
    if hardware.accelerator().device.type != "cpu":
        shapes["Liu et al., ViT-B"] = Arch()
    rows = []
    for what, arch in shapes.items():
        model = MAE(arch, training.generator(0))
        mask = patches.random_mask(2, model.grid, 0.75, training.generator(2))
        rows += _compared(what, model, _specs(model), mask)
    model, card = starts.load_ready()
    mask = patches.random_mask(1, model.grid, 0.8, training.generator(2))
    rows += _compared("ready weights, a chirp", model, checkpoints.chirp(card.front), mask)
    return pd.DataFrame(rows)


def masks(setting: Scale, pools: list[pd.DataFrame]) -> pd.DataFrame:
    """Every kind of mask, with both decoders."""
    rows = []
    for decoder in ("plain", "window"):
        model = MAE(replace(SMALL, decoder=decoder), training.generator(0))
        B, grid, rng, spec = 2, model.grid, training.generator(3), _specs(model)
        kinds = {"random": patches.random_mask(B, grid, 0.8, rng), "time": patches.time_mask(B, grid, 0.5, rng),
                 "frequency": patches.freq_mask(B, grid, 0.5, rng),
                 "time and frequency": patches.time_freq_mask(B, grid, 0.4, 0.4, rng),
                 "vertical": patches.vertical_mask(B, grid), "horizontal": patches.horizontal_mask(B, grid),
                 "chessboard": patches.chessboard_mask(B, grid), "one patch": patches.only_visible(B, grid, 1, rng)}
        for what, mask in kinds.items():
            whole = Mask(*(x.expand(B, -1) for x in mask))  # the patterned ones are the same in every clip
            rows += _compared(f"{what} mask, {decoder} decoder", model, spec, whole)
    return pd.DataFrame(rows)


# --------------------------------------------------------------------------------------------------------- what goes in

def front_ends(setting: Scale, pools: list[pd.DataFrame]) -> pd.DataFrame:
    """Every front end, in the settings that training leaves (TF32 among them): the largest difference of a pixel."""
    rows, device = [], hardware.accelerator().device
    for front in (mel.INAT, mel.AUDIOMAE, mel.BIRDMAE, mel.MSM_MAE):
        N = front.samples
        t = torch.arange(N) / front.rate
        wave = 0.05 * torch.sin(2 * torch.pi * (500 * t + 300 * t**2)) + 0.01 * torch.randn(
            3, N, generator=training.generator(4))
        lengths = torch.tensor([N, N // 2, front.window - 1])
        a, b = (LogMel(front)(wave.to(d), lengths, frames=front.frames).cpu() for d in (device, "cpu"))
        rows.append(_row(front.name, (a - b).abs().max(), 5e-3, "of a standard deviation"))
    return pd.DataFrame(rows)


def crops(setting: Scale, pools: list[pd.DataFrame]) -> pd.DataFrame:
    """The batches that training gets, wherever its recordings lie, and those cut clip by clip on the CPU."""
    train = [t[t["split"] == "train"].reset_index(drop=True) for t in pools]
    both, join = pd.concat(train, ignore_index=True), np.arange(sum(map(len, train))) >= len(train[0])
    mixture = sampler.Mixture(len(train[0]), len(train[1]), 1.0, 16, 16 * STEPS, 0)
    draws = list(mixture.batches())
    rows, device = [], hardware.accelerator().device
    for what, make, wanted in (
            ("random crops", lambda device: data.Clips(both, mel.INAT, 0, join, device=device), draws),
            ("windows", lambda device: data.Windows(train[0], mel.INAT, device=device), 16)):
        plain, far, other, count = make("cpu"), 0.0, 0, 0
        for i, batch in enumerate(data.loader(make(device), wanted)):
            places = draws[i] if wanted is draws else range(16 * i, min(16 * i + 16, len(plain)))
            expected = plain.__getitems__(list(places))  # from the files
            far = max(far, float((batch.x.cpu() - expected.x).abs().max()))
            other += int((batch.length.cpu() != expected.length).sum() + (batch.row.cpu() != expected.row).sum())
            count += len(expected.row)
        rows += [_row(f"{what}: samples", far, 1.2e-7, f"{count} clips, on {batch.x.device.type}"),
                 _row(f"{what}: other rows or lengths", other, 0)]
    return pd.DataFrame(rows)


# ------------------------------------------------------------------------------------------------------------- training

def _trained(kind: str, pools: list[pd.DataFrame], hook: Callable[[int], float] = lambda step: 1.0,
             ) -> tuple[nn.Module, pd.DataFrame]:
    """A short pretraining or finetuning as everybody calls it, of the ready weights' shape (on a CPU of a small one):
    model and log. hook(step) is asked in each step, and the loss multiplied by it."""
    module = pretrain if kind == "pretraining" else finetune
    step_of, on_cpu = module.step_of, hardware.accelerator().device.type == "cpu"
    arch, front = (SMALL, FRONT) if on_cpu else (starts.READY_ARCH, mel.INAT)

    def hooked(*given: object) -> tuple[torch.optim.Optimizer, Callable[..., Tensor]]:
        optimizer, loss_of = step_of(*given)
        return optimizer, lambda model, batch, step: hook(step) * loss_of(model, batch, step)

    with mock.patch.object(module, "step_of", hooked):
        if kind == "pretraining":
            recipe = pretrain.Recipe(clips=STEPS * BATCH, batch=BATCH, ratio=1.0)
            done = pretrain.pretrain(arch, front, recipe, *pools)
        else:
            epochs = -(-STEPS * BATCH // int((pools[0]["split"] == "train").sum()))
            recipe = finetune.Recipe(epochs=epochs, batch=BATCH, drop_patches=0.25, evaluate=0)
            done = finetune.finetune(None, arch, front, pools[0], recipe)
    return done.model, done.log


@contextmanager
def _own_cache() -> Iterator[None]:
    """Within, what is trained is kept in a folder of its own, and every step."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, STUDY_CACHE=folder), \
            mock.patch.object(training, "SAVE_EVERY_S", 0.0):
        yield


def _weights(model: nn.Module) -> Tensor:
    return torch.cat([x.detach().float().flatten().cpu() for x in model.state_dict().values()])


def resuming(setting: Scale, pools: list[pd.DataFrame]) -> pd.DataFrame:
    """A training that was stopped and taken up again against one that was not, and that one against itself: weights
    and losses, to the last bit.

    Settings are torch's own, with no demand for deterministic algorithms: where the whole run differs from itself,
    additions in no fixed order do it (of fused attention's gradients, on a GPU), and a resumed run may differ as
    much."""
    def stops(step: int) -> float:
        if step == STEPS // 2:
            raise Stopped
        return 1.0

    rows = []
    for kind in ("pretraining", "finetuning"):
        found = []
        for stopped in (False, False, True):
            with _own_cache():
                if stopped:
                    with suppress(Stopped):
                        _trained(kind, pools, stops)
                model, log = _trained(kind, pools)
            found.append((_weights(model), torch.tensor(log["loss"].tail(STEPS // 2).to_numpy())))
        (once, losses), (twice, again), (resumed, then) = found
        itself = max(float((twice - once).abs().max()), float((again - losses).abs().max()))
        rows += [_row(f"{kind}: made twice", itself, 2e-2, "largest difference of a weight or a loss"),
                 _row(f"{kind}: stopped and resumed, weights", (resumed - once).abs().max(), 10 * itself),
                 _row(f"{kind}: stopped and resumed, losses", (then - losses).abs().max(), 10 * itself)]
    return pd.DataFrame(rows)


def overflow(setting: Scale, pools: list[pd.DataFrame]) -> pd.DataFrame:
    """A training in fp16 with a step whose gradients are infinite: it is skipped and counted, and the run goes on."""
    if hardware.accelerator().device.type != "cuda":
        return pd.DataFrame()
    AcceleratorState._reset_state()  # it takes one precision for a whole process
    try:
        with _own_cache(), mock.patch.object(hardware, "precision", lambda: "fp16"):
            model, log = _trained("pretraining", pools, lambda step: 1e36 if step == STEPS // 2 else 1.0)
    finally:
        AcceleratorState._reset_state()
    lost = STEPS - len(log) + int((~_weights(model).isfinite()).sum())
    skipped = log["skipped"]
    return pd.DataFrame([_row("fp16: steps lost, weights that are not finite", lost, 0),
                         _row("fp16: overflow not skipped", not skipped[STEPS // 2], 0, f"{skipped.sum()} skipped")])


def syncs(setting: Scale, pools: list[pd.DataFrame]) -> pd.DataFrame:
    """How often the host waits for the device in a training step, by CUDA's own warnings; where, is in the note.

    The fetch of the losses lags some steps behind and waits for an event, which is not counted."""
    if hardware.accelerator().device.type != "cuda":
        return pd.DataFrame()

    def watched(step: int) -> float:
        if step in (3, STEPS - 2):  # the first steps choose kernels and take memory, the last fetches what is left
            torch.cuda.set_sync_debug_mode("warn" if step == 3 else "default")
        return 1.0

    rows = []
    for kind in ("pretraining", "finetuning"):
        with _own_cache(), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            training.SAVE_EVERY_S = 60.0  # saving waits
            try:
                _trained(kind, pools, watched)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        places = Counter(f"{Path(w.filename).name}:{w.lineno}" for w in said if SYNC in str(w.message))
        note = ", ".join(f"{place} {n}x" for place, n in places.most_common(5))
        rows.append(_row(f"{kind}: waits a step", sum(places.values()) / (STEPS - 5), 0, note))
    return pd.DataFrame(rows)


CHECKS = [front_ends, crops, masks, models, resuming, overflow, syncs]
