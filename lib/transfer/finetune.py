"""Finetuning an encoder on species labels, and predicting recordings: one answer per file, whatever its length."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn
from tqdm.auto import tqdm

from lib import data, mae, metrics, paths, training
from lib.mae import MAE, Arch
from lib.mel import FrontEnd, LogMel
from lib.sources import tables

__all__ = ["Recipe", "Predictions", "Finetuned", "classifier", "mixup", "spec_augment", "finetune",
           "window_logits", "predict", "evaluate"]


@dataclass(frozen=True)
class Recipe:
    """How to finetune: AudioMAE's published recipe (FACTS, section 3) with one random crop per recording and epoch."""

    epochs: int = 50
    batch: int = 256
    lr: float = 1e-3  # at this batch; AudioMAE's rule is 1e-3 x batch / 256
    lr_min: float = 1e-6
    optimizer: str = "AdamW"  # or "Adam", whose weight decay is added to the gradient
    weight_decay: float = 1e-4
    layer_decay: float = 0.75  # each block learns 0.75 times as fast as the one above it
    warmup: float = 0.1  # share of the steps: 5 of 50 epochs
    drop_path: float = 0.1
    drop_patches: float = 0.0  # share of the patches left out of each training clip (timm's PatchDropout); AudioMAE masks 36 % here
    label_smoothing: float = 0.0
    mixup: bool = True  # Beta(1, 1) between neighbours of a batch, in linear power, labels mixed (the author's fork and iNatSounds' code)
    mask_mels: int = 15  # SpecAugment: one band of fewer mel bins than this ...
    mask_frames: int = 50  # ... and one of fewer frames are set to 0, the mean (the author's fork); 0 turns it off
    clip_grad: float | None = 1.0
    lora: int = 0  # rank of the low-rank updates of the attention weights (Hu et al. 2021), by peft; 0 trains all weights
    evaluate: int = 3  # how often to look at val, at equal distances, and the best look is kept; 0: val is not looked at, the last step is kept
    seed: int = 0  # head, order, crops, dropped paths


VERSION = 1  # of kept models: raised when the same recipe and data would give other weights



class Predictions(NamedTuple):
    probabilities: np.ndarray  # (R, C) mean over each recording's windows; classes outside `classes` hidden as -inf
    targets: np.ndarray  # (R,)
    groups: np.ndarray  # (R,) numbers of what the bootstrap draws: the table's group, else the recording
    classes: np.ndarray  # the classes that occur in this split: the guess is among these


class Finetuned(NamedTuple):
    model: VisionTransformer
    labels: list[str]  # the name of each class
    log: pd.DataFrame  # step, loss, lr, clips
    looks: pd.DataFrame  # step, top1 on val
    samples: int  # clips seen
    trainable: int  # weights that were trained


def classifier(encoder: MAE | None, arch: Arch, classes: int, generator: torch.Generator, drop_path: float = 0.0,
               drop_patches: float = 0.0) -> VisionTransformer:
    """A stock timm ViT that starts from the MAE's encoder (None: random weights): mean of the patch tokens, norm, linear head.

    As in AudioMAE the final norm is replaced by a fresh one behind the mean (fc_norm), and position tables stay fixed.
    """
    model = mae.vit(arch, num_classes=classes, global_pool="avg", drop_path_rate=drop_path, patch_drop_rate=drop_patches)
    start = (encoder or MAE(arch, generator)).encoder.state_dict()
    fresh = model.load_state_dict({k: v for k, v in start.items() if not k.startswith("norm.")}, strict=False).missing_keys
    if set(fresh) != {"fc_norm.weight", "fc_norm.bias", "head.weight", "head.bias"}:
        raise ValueError(f"the encoder does not fit this classifier; without a value are: {', '.join(fresh)}")
    model.pos_embed.requires_grad_(False)
    nn.init.trunc_normal_(model.head.weight, std=2e-5, generator=generator)  # AudioMAE: start from nearly equal guesses
    return model


def mixup(spec: Tensor, targets: Tensor, front: FrontEnd, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mix each clip with its neighbour in the batch: specs (B, 1, T, M) in linear power, targets (B, C) in the same shares.

    Two sounds at once add up as powers; a mean of logarithms would be a sound that nobody hears. Neighbours are clips 0 and 1, 2 and 3
    and so on (an odd one out stays as it is), so that a batch can be shared out in even parts and stay the same batch.
    """
    other = (torch.arange(len(spec)) ^ 1).clamp(max=len(spec) - 1)  # (B,)
    share = torch.rand((), generator=generator).item()  # Beta(1, 1) is uniform
    to_ln = np.log(10) / 10 if front.kind == "inat" else 1.0  # dB or natural logarithm of power
    scale, shift = front.divisor * front.std * to_ln, front.mean * to_ln
    ln_power = spec * scale + shift
    mixed = torch.logaddexp(ln_power + np.log(share + 1e-9), ln_power[other] + np.log(1 - share + 1e-9))
    return (mixed - shift) / scale, share * targets + (1 - share) * targets[other]


def spec_augment(spec: Tensor, mask_mels: int, mask_frames: int, generator: torch.Generator, first: int = 0, of: int = 0) -> Tensor:
    """Set one random band of mel bins and one of frames of every clip to 0 (SpecAugment, Park et al. 2019); returns a new tensor.

    first, of: where these clips stand in a batch of how many, when they are a part of one; bands are drawn for all of it.
    """
    spec = spec.clone()
    for axis, widest in ((3, mask_mels), (2, mask_frames)):
        size, place = spec.shape[axis], torch.arange(spec.shape[axis])
        width = (torch.rand(of or len(spec), 1, generator=generator) * min(widest, size)).floor()  # (of, 1) 0 ... widest - 1
        begin = (torch.rand(of or len(spec), 1, generator=generator) * (size - width + 1)).floor()
        band = ((place >= begin) & (place < begin + width))[first : first + len(spec)].to(spec.device)  # (B, size)
        spec.masked_fill_(band[:, None, :, None] if axis == 2 else band[:, None, None, :], 0.0)
    return spec


def finetune(encoder: MAE | None, arch: Arch, front: FrontEnd, table: pd.DataFrame, recipe: Recipe, *, labels: list[str] | None = None,
             workers: int = 0, reuse: bool = False, bar: str = "finetuning") -> Finetuned:
    """Train a classifier on split == "train" and keep its best look at split == "val" (class-averaged Top-1 of recordings).

    The head has a class for every label of the train split, as in iNatSounds, or for every one of `labels`, where the train split
    was thinned out; prediction is restricted afterwards. A label that only val or test has is refused before anything is trained.
    An interrupted run goes on where it was. reuse: load an earlier run of the very same start, data and recipe, and leave this one to
    be loaded; without it a run that is done leaves nothing.
    """
    labels = labels or sorted(table.loc[table["split"] == "train", "label"].unique())
    train, val = (table[table["split"] == s].reset_index(drop=True) for s in ("train", "val"))
    if len(labels) < 2 or train.empty or (val.empty and recipe.evaluate):
        raise ValueError(f"finetuning needs at least two labels in train and some recordings in val, got {len(labels)} labels, {len(train)} recordings in train "
                         f"and {len(val)} in val: add recordings, or let `folder` make the split")
    _numbers(labels, table)
    model = classifier(encoder, arch, len(labels), training.generator(recipe.seed, 1), recipe.drop_path, recipe.drop_patches)
    if recipe.lora:
        _low_rank(model, recipe)
    used = (t.reindex(columns=["file", "label", "start_s", "end_s", "duration_s", "kept"]) for t in (train, val))
    folder = paths.cache("finetuned", paths.key(VERSION, arch, front, recipe, labels, encoder, *used))
    with training.alone(folder) as main:
        return _run(model, front, train, val, labels, recipe, folder, workers, reuse, bar, main)


def _run(model: VisionTransformer, front: FrontEnd, train: pd.DataFrame, val: pd.DataFrame, labels: list[str], recipe: Recipe, folder: Path,
         workers: int, reuse: bool, bar: str, main: bool) -> Finetuned:
    weights, looked = folder / "weights.safetensors", folder / "looks.json"
    mixture = data.Mixture(len(train), 0, 0.0, min(recipe.batch, len(train)), recipe.epochs * len(train), recipe.seed)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    done = weights.exists() and (looked.exists() or not recipe.evaluate)
    if done and main and not reuse:  # states first: a new run must not go on from what a kill has left
        for left in [*folder.glob("state-*.pt"), *folder.glob("best-*"), looked, weights]:
            left.unlink(missing_ok=True)
    training.accelerator().wait_for_everyone()
    if done and reuse:
        model.load_state_dict(load_file(weights))
        log = pd.read_json(folder / "log.jsonl", lines=True)
    else:
        log = pd.DataFrame(_steps(model, front, train, val, labels, recipe, mixture, folder, workers, bar, main))
        if main and reuse:
            training.save_weights(model, weights)
    looks = pd.DataFrame(json.loads(looked.read_text()) if looked.exists() else [], columns=["step", "top1"])
    training.accelerator().wait_for_everyone()  # all have read the looks
    if main:  # states first, and looks before weights: what a kill leaves must be nothing, or something that can be gone on from
        for left in [*folder.glob("state-*.pt"), *([] if reuse else [looked]), *folder.glob("best-*"), *([] if reuse else [folder / "log.jsonl"])]:
            left.unlink(missing_ok=True)
    return Finetuned(model.eval(), labels, log, looks, mixture.samples, trainable)


def _steps(model: VisionTransformer, front: FrontEnd, train: pd.DataFrame, val: pd.DataFrame, labels: list[str], recipe: Recipe,
           mixture: data.Mixture, folder: Path, workers: int, bar: str, main: bool) -> list[dict]:
    """Train, and leave the model with the weights of its best look, or of the last step where val is not looked at."""
    number, device = _numbers(labels, train), training.accelerator().device
    target = torch.tensor([number[label] for label in train["label"]])  # (R,)
    clips, log_mel = data.Clips(train, front, recipe.seed, ahead=device.type == "cpu"), LogMel(front).to(device)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    groups = param_groups_layer_decay(model, recipe.weight_decay, no_weight_decay_list=model.no_weight_decay(), layer_decay=recipe.layer_decay)
    optimizer = getattr(torch.optim, recipe.optimizer)(groups, lr=recipe.lr)

    def loss_of(model: VisionTransformer, batch: data.Batch, step: int) -> Tensor:
        spec, rng = batch.spec(log_mel, device), training.generator(recipe.seed, 2, step)
        if batch.first:  # other paths and patches are dropped in every part of a batch
            torch.manual_seed(training.generator(recipe.seed, 4, step, batch.first).initial_seed())
        wanted = nn.functional.one_hot(target[batch.row], len(labels)).float().to(device)  # (B, C)
        if recipe.mixup:
            spec, wanted = mixup(spec, wanted, front, rng)
        return loss_fn(model(spec_augment(spec, recipe.mask_mels, recipe.mask_frames, rng, batch.first, batch.of)), wanted)

    steps, log, looked = len(mixture), [], folder / "looks.json"
    looking = {round((i + 1) * steps / recipe.evaluate) - 1 for i in range(recipe.evaluate)}
    looks = json.loads(looked.read_text()) if looked.exists() else []
    rank, world = training.accelerator().process_index, training.accelerator().num_processes
    for record in training.fit(model, optimizer, lambda first: data.loader(clips, mixture.batches(first, rank, world), workers), loss_of, steps=steps,
                          seed=recipe.seed, warmup=round(recipe.warmup * steps), lr_min=recipe.lr_min, clip_grad=recipe.clip_grad, folder=folder, bar=bar):
        log.append(record)
        if record["step"] in looking and record["step"] not in [look["step"] for look in looks]:  # what comes again from the log was looked at then
            seen = predict(model, front, val, labels, workers=workers, bar=None)
            top1 = metrics.class_average(metrics.topk_hits(seen.probabilities, seen.targets, 1), seen.targets)
            looks.append({"step": record["step"], "top1": top1})
            if main:
                _keep(model, looks, folder)
            model.train()
    if looks:
        training.accelerator().wait_for_everyone()
        model.load_state_dict(load_file(folder / f"best-{_best(looks)}.safetensors"))
    return log


def _keep(model: VisionTransformer, looks: list[dict], folder: Path) -> None:
    """The weights first, if this look is the best so far, then the looks, then away with what was best before."""
    if _best(looks) == looks[-1]["step"]:
        training.save_weights(model, folder / f"best-{_best(looks)}.safetensors")
    paths.write_json(folder / "looks.json", looks)
    for old in folder.glob("best-*"):
        if old.stem != f"best-{_best(looks)}":
            old.unlink()


def _best(looks: list[dict]) -> int:
    """The step of the best look, of equal ones the later."""
    return max(looks, key=lambda look: (look["top1"], look["step"]))["step"]


def _low_rank(model: VisionTransformer, recipe: Recipe) -> None:
    """Freeze the encoder and give every attention layer a trainable update of a low rank; head and its norm stay trainable."""
    from peft import LoraConfig, inject_adapter_in_model  # here: it takes seconds to import

    with torch.random.fork_rng():  # peft draws from the global generator
        torch.manual_seed(training.generator(recipe.seed, 3).initial_seed())
        inject_adapter_in_model(LoraConfig(r=recipe.lora, lora_alpha=2 * recipe.lora, target_modules=["qkv"]), model)
    for module in (model.fc_norm, model.head):
        module.requires_grad_(True)


@torch.no_grad()
def window_logits(model: nn.Module, front: FrontEnd, table: pd.DataFrame, *, batch: int = 64, workers: int = 0, bar: str | None = "predicting",
                  rank: int = 0, world: int = 1, whole: bool = False) -> Iterator[tuple[Tensor, np.ndarray]]:
    """What the model says about every window (half overlapping) of every recording, batch by batch: logits (B, C), and the row (B,) of the table
    each is from. Of several processes that share the windows each gets a run of them. whole: a recording that cannot be read is an error and not
    silence, for what is kept and read again."""
    if table.empty:
        raise ValueError("there is nothing to predict: this table has no recordings (of this split?)")
    model, acc, table = model.eval(), training.accelerator(), table.reset_index(drop=True)
    log_mel, windows = LogMel(front).to(acc.device), data.Windows(table, front, ahead=acc.device.type == "cpu", whole=whole)
    windows.places = windows.places[len(windows) * rank // world : len(windows) * (rank + 1) // world]
    model.to(acc.device)
    for piece in tqdm(data.loader(windows, batch, workers), desc=bar, disable=bar is None or not acc.is_main_process, leave=False):
        with acc.autocast():
            logits = model(piece.spec(log_mel, acc.device))  # (B, C)
        yield logits.float().cpu(), piece.row.numpy()


def predict(model: nn.Module, front: FrontEnd, table: pd.DataFrame, labels: list[str], *, batch: int = 64, workers: int = 0, pooling: str = "mean",
            bar: str | None = "predicting") -> Predictions:
    """Class probabilities of every recording of the table: windows with 50 % overlap, softmax, pooling (`metrics.Pool`), one answer.

    Restricted to the classes that occur in this table (Liu et al. restrict to the 1,212 evaluation species); a recording whose
    label the model has never seen is an error. Processes share the windows.
    """
    targets, acc = table["label"].map(_numbers(labels, table)).to_numpy(), training.accelerator()
    classes = np.unique(targets)
    pooled = metrics.Pool(len(table), len(classes), pooling)
    for logits, rows in window_logits(model, front, table, batch=batch, workers=workers, bar=bar, rank=acc.process_index, world=acc.num_processes):
        pooled.add(metrics.restrict(logits.softmax(-1).double().numpy(), classes)[:, classes], rows)
    pooled.hidden[:] = False  # `restrict` has left only what is shown, and a process may have had no window
    pooled.total = training.over_processes(torch.from_numpy(pooled.total), "max" if pooling == "max" else "sum").numpy()
    pooled.counts = training.over_processes(torch.from_numpy(pooled.counts)).numpy()
    probabilities = np.full((len(table), len(labels)), -np.inf)
    probabilities[:, classes] = pooled.result()
    groups, _ = pd.factorize(tables.units(table))
    return Predictions(probabilities, targets, groups, classes)


def evaluate(tuned: Finetuned, front: FrontEnd, table: pd.DataFrame, seed: int, *, workers: int = 0) -> metrics.Evaluation:
    """Scores of val and test, as every experiment records them; `seed` draws the bootstrap."""
    seen = {split: predict(tuned.model, front, table[table["split"] == split], tuned.labels, workers=workers)[:3] for split in ("val", "test")}
    return metrics.evaluation(seen, seed)


def _numbers(labels: list[str], table: pd.DataFrame) -> dict[str, int]:
    """The number of each label; an error where the table has a label that is not among them."""
    if unknown := sorted(set(table["label"]) - set(labels)):
        raise ValueError(f"{len(unknown)} labels of this table were not in training, the first is {unknown[0]!r}: leave those recordings out")
    return {label: i for i, label in enumerate(labels)}
