"""Pretraining a masked autoencoder on a mixture of wildlife and general sound."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from timm.optim import param_groups_weight_decay
from torch import Tensor

from lib import data, hardware, patches, paths, sampler, training
from lib.mae import MAE, Arch
from lib.mel import FrontEnd, LogMel

__all__ = ["Recipe", "Pretrained", "plan", "pretrain", "folder_of", "earlier", "step_of", "masked"]


@dataclass(frozen=True)
class Recipe:
    """How to pretrain. The defaults are Liu et al. 2026 where it says, else AudioMAE's public code."""

    clips: int = 100 * 137_012  # draws in all, whatever the mix: 100 epochs of iNatSounds' train split
    batch: int = 256  # divides by 16, so 15:1 is exact in every batch
    micro_batch: int = 0  # clips that go through the model at once, for a device with little memory; 0: the whole batch
    lr: float = 1e-3  # at this batch; the papers' rule is base rate x batch / 256
    weight_decay: float = 1e-4  # not on biases, norms, tokens and position tables
    betas: tuple[float, float] = (0.9, 0.95)
    warmup: float = 0.1  # share of the steps: 10 of 100 epochs
    mask_ratio: float = 0.8  # share of patches hidden
    ratio: float = 0.0  # general clips per wildlife clip; inf is general only
    seed: int = 0  # weights, order, crops and masks
    freeze_decoder: bool = False  # Liu et al. Table 3 right, (c): the decoder keeps its initial weights

    @property
    def steps(self) -> int:
        return -(-self.clips // self.batch)


@dataclass(frozen=True)
class Pretrained:
    model: MAE
    log: pd.DataFrame  # step, loss, lr, clips: one row per step
    folder: Path | None  # where weights.safetensors, log.jsonl and recipe.json lie
    reused: bool  # True when an earlier run with the same recipe and data was loaded


def plan(arch: Arch, recipe: Recipe, wildlife: pd.DataFrame, general: pd.DataFrame) -> str:
    """What a recipe comes to, to be read before it runs: steps, samples, visible patches, learning rate, parameters."""
    if not recipe.clips:
        return "no pretraining: random weights"
    model, L = MAE(arch), arch.grid.t * arch.grid.f
    wild, gen = (int(t["split"].isin(data.HEARD).sum()) for t in (wildlife, general))
    mixture = sampler.Mixture(1, 1, recipe.ratio, recipe.batch, recipe.clips, 0)
    drawn = sum(mixture.counts(step)[1] for step in range(len(mixture)))
    encoder, whole = (sum(p.numel() for p in part.parameters()) / 1e6 for part in (model.encoder, model))
    return (f"{recipe.steps:,} steps of {recipe.batch} = {recipe.clips:,} clips: {recipe.clips - drawn:,} draws from "
            f"{wild:,} wildlife recordings, {drawn:,} from {gen:,} general\n"
            f"{arch.grid.t} x {arch.grid.f} = {L} patches a clip, {L - round(recipe.mask_ratio * L)} visible; "
            f"learning rate {recipe.lr:.1e} after {round(recipe.warmup * recipe.steps):,} steps of warm-up\n"
            f"encoder {encoder:.2f} M parameters, decoder {whole - encoder:.2f} M\n"
            f"on {hardware.named()}")


def pretrain(arch: Arch, front: FrontEnd, recipe: Recipe, wildlife: pd.DataFrame, general: pd.DataFrame, *,
             start: MAE | None = None, workers: int = 0, reuse: bool = False) -> Pretrained:
    """Pretrain on what is train or unlabelled in the two pools, mixed as the recipe says; interrupted runs go on.

    start: continue from this model instead of random weights. reuse: load an earlier run of the very same recipe,
    data and start instead of repeating it. Runs live in the user's cache, under a name that follows from all of
    these (a pool that the ratio leaves out is none of them); of two that want the same at the same time the second
    waits. A val or test recording of the wildlife pool must not be in the general pool's train split.
    """
    held_out = set(wildlife.loc[~wildlife["split"].isin(data.HEARD), "file"])
    if leaked := sorted(held_out & set(general.loc[general["split"].isin(data.HEARD), "file"])):
        raise ValueError(f"{len(leaked)} val or test recordings of the wildlife pool are in the train split of the "
                         f"general pool, the first is {leaked[0]}: take them out of the general pool")
    wild, gen = _drawn(recipe, wildlife, general)
    model = MAE(arch, training.generator(recipe.seed))
    if start is not None:
        model.load_state_dict(start.state_dict())
    if not recipe.clips:
        return Pretrained(model.eval(), pd.DataFrame(columns=["step", "loss", "lr", "clips"]), None, False)
    folder = folder_of(arch, front, recipe, wildlife, general, start)

    def train() -> None:
        paths.write_json(folder / "recipe.json", paths.plain({"arch": arch, "front": front, "recipe": recipe}))
        for _ in _steps(model, front, recipe, wild, gen, folder, workers):
            pass

    log, reused = training.kept(folder, model, train, reuse=reuse)
    return Pretrained(model.eval(), log, folder, reused)


def folder_of(arch: Arch, front: FrontEnd, recipe: Recipe, wildlife: pd.DataFrame, general: pd.DataFrame,
              start: MAE | None = None) -> Path:
    """Where `pretrain` keeps this very training, made or not: its name follows from all that the training depends
    on."""
    used = map(data.key, _drawn(recipe, wildlife, general))
    return paths.cache("pretrained") / paths.key(arch, front, recipe, *used, start)


def _drawn(recipe: Recipe, *pools: pd.DataFrame) -> list[pd.DataFrame]:
    """What a recipe draws from of each pool, wildlife and general: nothing of one that its ratio leaves out."""
    heard = (t["split"].isin(data.HEARD) & (recipe.ratio != out) for t, out in zip(pools, (np.inf, 0)))
    return [t[rows].reset_index(drop=True) for t, rows in zip(pools, heard)]


def earlier(arch: Arch, front: FrontEnd, recipe: Recipe, wildlife: pd.DataFrame, general: pd.DataFrame,
            start: MAE | None = None) -> MAE | None:
    """The model that an earlier run of this very training left, which `pretrain` with reuse would load; or None."""
    weights = training.weights_of(folder_of(arch, front, recipe, wildlife, general, start))
    if not weights.exists():
        return None
    model = MAE(arch, training.generator(recipe.seed))
    training.load_weights(model, weights)
    return model.eval()


def _steps(model: MAE, front: FrontEnd, recipe: Recipe, wild: pd.DataFrame, gen: pd.DataFrame, folder: Path,
           workers: int) -> Iterable[dict]:
    both, acc = pd.concat([t for t in (wild, gen) if len(t)], ignore_index=True), hardware.accelerator()
    join = np.arange(len(both)) >= len(wild)
    clips = data.Clips(both, front, recipe.seed, join, ahead=acc.device.type == "cpu", device=acc.device)
    mixture = sampler.Mixture(len(wild), len(gen), recipe.ratio, recipe.batch, recipe.clips, recipe.seed)

    def batches(start: int) -> Iterable[data.Batch]:
        drawn = data.loader(clips, mixture.batches(start, acc.process_index, acc.num_processes), workers)
        return (masked(batch, model, recipe, step) for step, batch in enumerate(drawn, start))

    optimizer, loss_of = step_of(model, front, recipe)
    return training.fit(model, optimizer, batches, loss_of, steps=recipe.steps, seed=recipe.seed,
                        warmup=round(recipe.warmup * recipe.steps), micro_batch=recipe.micro_batch, folder=folder,
                        bar="pretraining")


def step_of(model: MAE, front: FrontEnd, recipe: Recipe) -> tuple[torch.optim.Optimizer, Callable[..., Tensor]]:
    """The optimizer of a recipe and the loss of one of its steps, as `training.fit` takes them."""
    device = hardware.accelerator().device
    log_mel = LogMel(front).to(device)
    if recipe.freeze_decoder:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(parameter.requires_grad and name.startswith("encoder."))
    groups = param_groups_weight_decay(model, recipe.weight_decay,
                                       no_weight_decay_list=("*cls_token", "*mask_token", "*pos*"))

    def loss_of(ready: MAE, batch: data.Batch, step: int) -> Tensor:
        mask = (batch if batch.mask else masked(batch, model, recipe, step)).mask
        return ready(batch.spec(log_mel, device), mask).loss  # specs (B, 1, T, M)

    fused = device.type != "mps" or None
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas, fused=fused), loss_of


def masked(batch: data.Batch, model: MAE, recipe: Recipe, step: int) -> data.Batch:
    """The batch with its part of the masks that this step draws for the clips of all processes, where the model is."""
    rng = training.generator(recipe.seed, step)
    mask = patches.random_mask(batch.of, model.grid, recipe.mask_ratio, rng)
    return batch._replace(mask=mask.part(batch.first, len(batch.x)).to(model.mask_token.device))
