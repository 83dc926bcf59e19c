"""Seeded faults for the lesson *break the MAE* (notebook 13): healthy parts of this library, each broken in one place.

Three of the six stand in public code (3 and 4 in AudioMAE, 6 in MSM-MAE's runtime). They are numbered and not named,
and say nothing about themselves, so that the lesson can show a run before it says what is wrong with it. Nothing but
the lesson and its tests may import this."""
import json
from dataclasses import asdict, replace
from hashlib import sha256
from inspect import getsource

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor

from lib import patches, paths, training
from lib.mae import MAE, Arch, sincos
from lib.mel import FrontEnd, LogMel
from lib.patches import Grid, Mask

__all__ = ["One", "Two", "Three", "Four", "five", "six", "train"]


class One(MAE):
    def loss(self, spec: Tensor, guess: Tensor, mask: Mask, norm_pixels: bool | None = None) -> Tensor:
        return super().loss(spec, guess, mask._replace(hidden=~mask.hidden), norm_pixels)


class Two(MAE):
    def decode(self, latent: Tensor, mask: Mask | None = None) -> Tensor:
        return super().decode(latent, mask and mask._replace(restore=mask.restore.sort(1).values))  # 0, 1, 2, ...


class Three(MAE):
    def __init__(self, arch: Arch, generator: torch.Generator | None = None) -> None:
        super().__init__(arch, generator)
        for table in (self.encoder.pos_embed, self.decoder_pos_embed):  # (1, 1+L, D)
            table.data.copy_(sincos(table.shape[-1], Grid(self.grid.f, self.grid.t)))


class Four(LogMel):
    def __init__(self, spec: FrontEnd) -> None:
        super().__init__(replace(spec, pad=0.0))


def five(windows: pd.DataFrame, share: float, rng: np.random.Generator) -> np.ndarray:
    return rng.random(len(windows)) < share  # (W,) True = val


def six(spec: Tensor, mean: float, std: float) -> Tensor:
    return (spec - spec.mean()) / spec.std() * std + mean


def train(kind: type[MAE], arch: Arch, specs: Tensor, clips: int, batch: int, lr: float,
          seed: int) -> tuple[MAE, pd.DataFrame]:
    """A small pretraining on `clips` random ones of specs (N, 1, T, M): the model, and its log (step, loss, lr, clips).

    As `pretrain.pretrain` trains, at mask ratio 0.8, but of any kind of MAE. Kept in the cache under a hash of all
    this, the kind's source among it; a second call only reads. The model is in eval mode."""
    model, steps = kind(arch, training.generator(seed)), max(2, clips // batch)
    own = [getsource(c) for c in kind.__mro__ if c.__module__.startswith("lib.")]
    known = sha256(json.dumps([own, asdict(arch), steps, batch, lr, seed]).encode())
    known.update(specs.half().numpy().tobytes())
    folder = paths.cache("faults", known.hexdigest()[:16])
    weights = folder / "weights.safetensors"

    def batches(first: int):
        for step in range(first, steps):
            drawn = torch.randint(len(specs), (batch,), generator=training.generator(seed, step, 1))
            yield (specs[drawn],)  # (B, 1, T, M)

    def loss_of(model: MAE, one: tuple[Tensor], step: int) -> Tensor:
        mask = patches.random_mask(batch, arch.grid, 0.8, training.generator(seed, step))
        return model(one[0].to(training.accelerator().device), mask.to(training.accelerator().device)).loss

    with training.alone(folder):
        if not weights.exists():
            trained = [p for p in model.parameters() if p.requires_grad]
            optimizer = torch.optim.AdamW(trained, lr, betas=(0.9, 0.95), weight_decay=1e-4)
            for _ in training.fit(model, optimizer, batches, loss_of, steps=steps, seed=seed, warmup=steps // 10,
                                  folder=folder):
                pass
            training.save_weights(model, weights)
            for state in folder.glob("state-*.pt"):
                state.unlink()
    model.load_state_dict(load_file(weights))
    return model.cpu().eval(), pd.read_json(folder / "log.jsonl", lines=True)
