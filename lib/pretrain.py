"""Pretraining a masked autoencoder on a mixture of wildlife and general sound."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from timm.optim import param_groups_weight_decay

from lib import data, patches, paths, training
from lib.mae import MAE, Arch
from lib.mel import FrontEnd, LogMel
from lib.patches import Mask

__all__ = ["Recipe", "Pretrained", "plan", "pretrain"]


@dataclass(frozen=True)
class Recipe:
    """How to pretrain. The defaults are Liu et al. 2026 where it says, else AudioMAE's public code (FACTS, section 3)."""

    clips: int = 100 * 137_012  # draws in all, whatever the mix: 100 epochs of iNatSounds' train split; 0: stay at random weights
    batch: int = 256  # divides by 16, so 15:1 is exact in every batch
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
    n_wild, n_gen = (int((t["split"] == "train").sum()) for t in (wildlife, general))
    share = data.Mixture(1, 1, recipe.ratio, recipe.batch, recipe.clips, 0)
    gen = sum(share.counts(step)[1] for step in range(len(share)))
    million = lambda parts: sum(p.numel() for m in parts for p in m.parameters()) / 1e6  # noqa: E731
    return (f"{recipe.steps:,} steps of {recipe.batch} = {recipe.clips:,} clips: {recipe.clips - gen:,} draws from {n_wild:,} wildlife recordings, "
            f"{gen:,} from {n_gen:,} general\n"
            f"{arch.grid.t} x {arch.grid.f} = {L} patches a clip, {L - round(recipe.mask_ratio * L)} visible; "
            f"learning rate {recipe.lr:.1e} after {round(recipe.warmup * recipe.steps):,} steps of warm-up\n"
            f"encoder {million([model.encoder]):.2f} M parameters, decoder {million([model]) - million([model.encoder]):.2f} M")


def pretrain(arch: Arch, front: FrontEnd, recipe: Recipe, wildlife: pd.DataFrame, general: pd.DataFrame, *, start: MAE | None = None,
             workers: int = 0, reuse: bool = False) -> Pretrained:
    """Pretrain on the train splits of the two pools, mixed as the recipe says; interrupted runs go on where they were.

    start: continue from this model instead of random weights. reuse: load an earlier run of the very same recipe, data and start
    instead of repeating it. Runs live in the user's cache, under a name that follows from all of these; of two that want the same at
    the same time the second waits. A val or test recording of the wildlife pool must not be in the general pool's train split.
    """
    if leaked := sorted(set(general.loc[general["split"] == "train", "file"]) & set(wildlife.loc[wildlife["split"] != "train", "file"])):
        raise ValueError(f"{len(leaked)} val or test recordings of the wildlife pool are in the train split of the general pool, the first is {leaked[0]}: "
                         "take them out of the general pool")
    wild, gen = (t[t["split"] == "train"].reset_index(drop=True) for t in (wildlife, general))
    model = MAE(arch, training.generator(recipe.seed))
    if start is not None:
        model.load_state_dict(start.state_dict())
    if not recipe.clips:
        return Pretrained(model.eval(), pd.DataFrame(columns=["step", "loss", "lr", "clips"]), None, False)
    used = (t.reindex(columns=["file", "label", "start_s", "end_s", "duration_s", "kept"]) for t in (wild, gen))
    folder = paths.cache("pretrained", paths.key(arch, front, recipe, *used, start))
    with training.alone(folder) as main:
        return _run(model, front, recipe, wild, gen, folder, workers, reuse, main)


def _run(model: MAE, front: FrontEnd, recipe: Recipe, wild: pd.DataFrame, gen: pd.DataFrame, folder: Path, workers: int, reuse: bool,
         main: bool) -> Pretrained:
    weights = folder / "weights.safetensors"
    if reuse and weights.exists():
        for state in folder.glob("state-*.pt") if main else ():  # a kill between the weights and the removal of the state
            state.unlink()
        model.load_state_dict(load_file(weights))
        return Pretrained(model.eval(), _log(folder), folder, True)
    if main:
        weights.unlink(missing_ok=True)  # a finished run that is to be repeated has no state left and starts anew; an unfinished one goes on
        paths.write_json(folder / "recipe.json", paths.plain({"arch": model.arch, "front": front, "recipe": recipe}))
    for _ in _steps(model, front, recipe, wild, gen, folder, workers):
        pass
    if main:
        training.save_weights(model, weights)
        for state in folder.glob("state-*.pt"):  # the weights are all that is needed now
            state.unlink()
    return Pretrained(model.eval(), _log(folder), folder, False)


def _steps(model: MAE, front: FrontEnd, recipe: Recipe, wild: pd.DataFrame, gen: pd.DataFrame, folder: Path, workers: int) -> Iterator[dict]:
    both, device = pd.concat([wild, gen], ignore_index=True), training.accelerator().device
    clips = data.Clips(both, front, recipe.seed, join=np.arange(len(both)) >= len(wild), ahead=device.type == "cpu")
    mixture = data.Mixture(len(wild), len(gen), recipe.ratio, recipe.batch, recipe.clips, recipe.seed)
    log_mel, grid = LogMel(front).to(device), model.grid
    if recipe.freeze_decoder:
        for name, parameter in model.named_parameters():
            if not name.startswith("encoder."):
                parameter.requires_grad_(False)
    groups = param_groups_weight_decay(model, recipe.weight_decay, no_weight_decay_list=("*cls_token", "*mask_token", "*pos*"))
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas)

    def loss_of(model: MAE, batch: data.Batch, step: int) -> torch.Tensor:
        spec = batch.spec(log_mel, device)  # (B, 1, T, M)
        mask = patches.random_mask(batch.of or len(spec), grid, recipe.mask_ratio, training.generator(recipe.seed, step))  # of the whole batch, so that
        own = Mask(*(x[batch.first : batch.first + len(spec)] for x in mask))  # it does not matter who has which clip
        return model(spec, own.to(device)).loss

    rank, world = training.accelerator().process_index, training.accelerator().num_processes
    batches = lambda first: data.loader(clips, mixture.batches(first, rank, world), workers)  # noqa: E731
    yield from training.fit(model, optimizer, batches, loss_of, steps=recipe.steps, seed=recipe.seed, warmup=round(recipe.warmup * recipe.steps),
                       folder=folder, bar="pretraining")


def _log(folder: Path) -> pd.DataFrame:
    return pd.read_json(folder / "log.jsonl", lines=True)
