"""Seeded faults for the lesson *break the MAE* (notebook 13): healthy parts of this library, each broken in one place.

Four of the seven stand in public code (3, 4 and 7 in AudioMAE, 6 in MSM-MAE's runtime). They are numbered, not named,
and say nothing about themselves, so that the lesson can show a run before it says what is wrong with it. Nothing but
the lesson and its tests may import this.
"""

from collections.abc import Iterator
from dataclasses import replace
from inspect import getsource

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lib import hardware, patches, paths, training
from lib.data import Batch
from lib.mae import MAE, Arch, sincos
from lib.mel import FrontEnd, LogMel
from lib.patches import Grid, Mask

__all__ = ["One", "Two", "Three", "Four", "five", "six", "seven", "train"]


class One(MAE):
    def loss(self, spec: Tensor, guess: Tensor, mask: Mask, norm_pixels: bool | None = None) -> Tensor:
        return super().loss(spec, guess, patches.mask_from_hidden(~mask.hidden), norm_pixels)


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


def seven(width: int, classes: int) -> nn.Module:
    head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))
    nn.init.trunc_normal_(head[1].weight, std=2e-5, generator=training.generator(0))
    nn.init.zeros_(head[1].bias)
    return head


def train(kind: type[MAE], arch: Arch, specs: Tensor, clips: int, batch: int, lr: float,
          seed: int) -> tuple[MAE, pd.DataFrame]:
    """A small pretraining on `clips` random ones of specs (N, 1, T, M): the model in eval mode, and its log.

    The log has step, loss, lr, clips. As `pretrain.pretrain` trains, at mask ratio 0.8, but of any kind of MAE. Kept
    in the cache under a hash of all this, the kind's source among it; a second call only reads.
    """
    model, steps, device = kind(arch, training.generator(seed)), max(2, clips // batch), hardware.accelerator().device
    source = [getsource(c) for c in kind.__mro__ if c.__module__.startswith("lib.")]
    folder = paths.cache("faults", paths.key(source, arch, steps, batch, lr, seed, specs.half()))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr, betas=(0.9, 0.95),
                                  weight_decay=1e-4)

    def batches(first: int) -> Iterator[Batch]:
        for step in range(first, steps):
            row = torch.randint(len(specs), (batch,), generator=training.generator(seed, step, 1))  # (B,)
            yield Batch(specs[row], torch.full((batch,), specs.shape[2]), row, [], 0, batch)

    def loss_of(model: MAE, drawn: Batch, step: int) -> Tensor:
        mask = patches.random_mask(batch, arch.grid, 0.8, training.generator(seed, step))
        return model(drawn.x.to(device), mask.to(device)).loss

    log, _ = training.kept(folder, model, lambda: list(training.fit(
        model, optimizer, batches, loss_of, steps=steps, seed=seed, warmup=steps // 10, folder=folder)))
    return model.cpu().eval(), log
