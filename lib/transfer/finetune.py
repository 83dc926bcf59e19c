"""Finetuning an encoder on species labels, and predicting recordings: one answer per file, whatever its length."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from timm.models.vision_transformer import VisionTransformer
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn

from lib import data, hardware, metrics, paths, progress, sampler, training
from lib.mae import MAE, Arch
from lib.mel import FrontEnd, LogMel
from lib.sources import tables
from lib.transfer import readouts

__all__ = ["Recipe", "Predictions", "Finetuned", "classifier", "mixup", "spec_augment", "finetune", "folder_of",
           "step_of", "window_logits", "predict", "evaluate"]


@dataclass(frozen=True)
class Recipe:
    """How to finetune: AudioMAE's published recipe with one random crop per recording and epoch."""

    epochs: int = 50
    batch: int = 256
    # clips that go through the model at once, for a device with little memory; 0: the whole batch. A readout's batch
    # norm knows only those, so that with another number a run of it is another run
    micro_batch: int = 0
    lr: float = 1e-3  # at this batch; AudioMAE's rule is 1e-3 x batch / 256
    lr_min: float = 1e-6
    optimizer: str = "AdamW"  # or "Adam", whose weight decay is added to the gradient
    weight_decay: float = 1e-4
    layer_decay: float = 0.75  # each block learns 0.75 times as fast as the one above it
    warmup: float = 0.1  # share of the steps: 5 of 50 epochs
    drop_path: float = 0.1
    drop_patches: float = 0.0  # share of a training clip's patches left out (timm's PatchDropout); AudioMAE masks 36 %
    label_smoothing: float = 0.0
    mixup: bool = True  # Beta(1, 1) between neighbours in a batch, in linear power (the author's fork, iNatSounds)
    mask_mels: int = 15  # SpecAugment: one band of fewer mel bins than this ...
    mask_frames: int = 50  # ... and one of fewer frames are set to 0, the mean (the author's fork); 0 turns it off
    clip_grad: float | None = 1.0
    readout: str = "fc_norm"  # of `readouts`: "mean", "frequency", "queries"; "fc_norm" is AudioMAE's
    lora: int = 0  # rank of the low-rank updates of the attention weights (Hu et al. 2021); 0 trains all weights
    evaluate: int = 3  # looks at val, at equal distances, of which the best is kept; 0: none, the last step is kept
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
               drop_patches: float = 0.0, readout: str = "fc_norm") -> VisionTransformer:
    """A timm ViT that starts from the MAE's encoder (None: random weights), with a readout (`readouts.classifier`) and
    a linear head; position tables stay fixed.

    With "fc_norm", as in AudioMAE, the final norm is replaced by a fresh one behind the mean of the patches."""
    start = (encoder or MAE(arch, generator)).encoder.state_dict()
    model = readouts.classifier(arch, readout, classes, generator, drop_path, drop_patches)
    if readout == "fc_norm":
        start = {name: weights for name, weights in start.items() if not name.startswith("norm.")}
    fresh = [name for name in model.load_state_dict(start, strict=False).missing_keys
             if not name.startswith(("fc_norm.", "readout", "head."))]
    if fresh:
        raise ValueError(f"the encoder does not fit this classifier; without a value are: {', '.join(fresh)}")
    model.pos_embed.requires_grad_(False)
    nn.init.trunc_normal_(model.head.weight, std=2e-5, generator=generator)  # AudioMAE: start from nearly equal guesses
    return model


def mixup(spec: Tensor, targets: Tensor, front: FrontEnd, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mix each clip with its neighbour in the batch: specs (B, 1, T, M) in linear power, targets (B, C) in the same
    shares.

    Two sounds at once add up as powers; a mean of logarithms would be a sound that nobody hears. Neighbours are clips
    0 and 1, 2 and 3 and so on (an odd one out stays as it is), so that a batch can be shared out in even parts and
    stay the same batch.
    """
    other = (torch.arange(len(spec), device=spec.device) ^ 1).clamp(max=len(spec) - 1)  # (B,)
    share = torch.rand((), generator=generator).item()  # Beta(1, 1) is uniform
    to_ln = np.log(10) / 10 if front.kind == "inat" else 1.0  # dB or natural logarithm of power
    scale, shift = front.divisor * front.std * to_ln, front.mean * to_ln
    ln_power = spec * scale + shift
    mixed = torch.logaddexp(ln_power + np.log(share + 1e-9), ln_power[other] + np.log(1 - share + 1e-9))
    return (mixed - shift) / scale, share * targets + (1 - share) * targets[other]


def spec_augment(spec: Tensor, mask_mels: int, mask_frames: int, generator: torch.Generator, first: int = 0,
                 of: int = 0) -> Tensor:
    """Set one random band of mel bins and one of frames of every clip to 0 (SpecAugment, Park et al. 2019); returns a
    new tensor.

    first, of: where these clips stand in a batch of how many, when they are a part of one; bands are drawn for all of
    it.
    """
    spec = spec.clone()
    for axis, widest in ((3, mask_mels), (2, mask_frames)):
        size, place = spec.shape[axis], torch.arange(spec.shape[axis])
        clips = of or len(spec)
        width = (torch.rand(clips, 1, generator=generator) * min(widest, size)).floor()  # (of, 1) 0 ... widest - 1
        begin = (torch.rand(clips, 1, generator=generator) * (size - width + 1)).floor()
        band = ((place >= begin) & (place < begin + width))[first : first + len(spec)]
        band = band.to(spec.device, non_blocking=True)  # (B, size)
        spec.masked_fill_(band[:, None, :, None] if axis == 2 else band[:, None, None, :], 0.0)
    return spec


def finetune(encoder: MAE | None, arch: Arch, front: FrontEnd, table: pd.DataFrame, recipe: Recipe, *,
             labels: list[str] | None = None, workers: int = 0, reuse: bool = False,
             bar: str = "finetuning") -> Finetuned:
    """Train a classifier on split == "train" and keep its best look at split == "val" (class-averaged Top-1 of
    recordings).

    The head has a class for every label of the train split, as in iNatSounds, or for every one of `labels`, where the
    train split was thinned out; prediction is restricted afterwards. A label that only val or test has is refused
    before anything is trained. An interrupted run goes on where it was. reuse: load an earlier run of the very same
    start, data and recipe, and leave this one to be loaded; without it a run that is done leaves nothing.
    """
    labels = labels or sorted(table.loc[table["split"] == "train", "label"].unique())
    train, val = (table[table["split"] == s].reset_index(drop=True) for s in ("train", "val"))
    if len(labels) < 2 or train.empty or (val.empty and recipe.evaluate):
        raise ValueError("finetuning needs at least two labels in train and some recordings in val, got "
                         f"{len(labels)} labels, {len(train)} recordings in train and {len(val)} in val: add "
                         "recordings, or let `folder` make the split")
    _numbers(labels, table[table["split"] != "unlabelled"])
    _check(recipe, min(recipe.batch, len(train)), hardware.accelerator().num_processes)
    model = classifier(encoder, arch, len(labels), training.generator(recipe.seed, 1), recipe.drop_path,
                       recipe.drop_patches, recipe.readout)
    if recipe.lora:
        readouts.low_rank(model, recipe.lora, training.generator(recipe.seed, 3))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    mixture = sampler.Mixture(len(train), 0, 0.0, min(recipe.batch, len(train)), recipe.epochs * len(train),
                              recipe.seed)
    folder = folder_of(encoder, arch, front, table, recipe, labels)
    looks = Looks(folder, lambda: predict(model, front, val, labels, workers=workers, bar="looking at val"))

    def run() -> None:
        looking = {round((i + 1) * len(mixture) / recipe.evaluate) - 1 for i in range(recipe.evaluate)}
        for record in _steps(model, front, train, labels, recipe, mixture, looking, folder, workers, bar):
            if record["step"] in looking:
                looks.take(model, record["step"])
        looks.load_best(model)

    log, _ = training.kept(folder, model, run, reuse=reuse, leave=reuse)
    return Finetuned(model.eval(), labels, log, looks.table(), mixture.samples, trainable)


def folder_of(encoder: MAE | None, arch: Arch, front: FrontEnd, table: pd.DataFrame, recipe: Recipe,
              labels: list[str] | None = None) -> Path:
    """Where `finetune` keeps this very training, made or not: its name follows from all that the training depends on.
    """
    labels = labels or sorted(table.loc[table["split"] == "train", "label"].unique())
    used = (data.key(table[table["split"] == split]) for split in ("train", "val"))
    return paths.cache("finetuned") / paths.key(VERSION, arch, front, recipe, labels, encoder, *used)


def _steps(model: VisionTransformer, front: FrontEnd, train: pd.DataFrame, labels: list[str], recipe: Recipe,
           mixture: sampler.Mixture, looking: set[int], folder: Path, workers: int, bar: str) -> Iterable[dict]:
    number, acc = _numbers(labels, train), hardware.accelerator()
    targets = torch.tensor([number[label] for label in train["label"]])  # (R,)
    clips = data.Clips(train, front, recipe.seed, ahead=acc.device.type == "cpu", device=acc.device)

    def batches(start: int) -> Iterable[data.Batch]:
        return data.loader(clips, mixture.batches(start, acc.process_index, acc.num_processes), workers)

    optimizer, loss_of = step_of(model, front, recipe, targets, len(labels))
    return training.fit(model, optimizer, batches, loss_of, steps=len(mixture), seed=recipe.seed,
                        warmup=round(recipe.warmup * len(mixture)), lr_min=recipe.lr_min, clip_grad=recipe.clip_grad,
                        micro_batch=recipe.micro_batch, folder=folder, pauses=looking, bar=bar)


def step_of(model: VisionTransformer, front: FrontEnd, recipe: Recipe, targets: Tensor,
            classes: int) -> tuple[torch.optim.Optimizer, Callable[..., Tensor]]:
    """The optimizer of a recipe and the loss of one of its steps, as `training.fit` takes them.

    targets: the class of each row of the table (R,). ValueError for mixup above the median, where levels are no longer
    powers that add up."""
    if recipe.mixup and front.subtract:
        raise ValueError("mixup adds up powers, and above each band's median there are none: take subtract=none, or a "
                         "recipe without mixup (preset=study)")
    device = hardware.accelerator().device
    log_mel, entropy = LogMel(front).to(device), nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    groups = param_groups_layer_decay(model, recipe.weight_decay, no_weight_decay_list=model.no_weight_decay(),
                                      layer_decay=recipe.layer_decay)

    def loss_of(model: VisionTransformer, batch: data.Batch, step: int) -> Tensor:
        spec, rng = batch.spec(log_mel, device), training.generator(recipe.seed, 2, step)
        if batch.first:  # other paths and patches are dropped in every part of a batch
            torch.manual_seed(training.generator(recipe.seed, 4, step, batch.first).initial_seed())
        target = nn.functional.one_hot(targets[batch.row], classes).float().to(device, non_blocking=True)  # (B, C)
        if recipe.mixup:
            spec, target = mixup(spec, target, front, rng)
        spec = spec_augment(spec, recipe.mask_mels, recipe.mask_frames, rng, batch.first, batch.of)
        return entropy(model(spec), target)

    kind = getattr(torch.optim, recipe.optimizer)
    return kind(groups, lr=recipe.lr, fused=device.type != "mps" or None), loss_of


class Looks:
    """The looks at val while a classifier is trained, and the weights of the best of them, in the folder of its run."""

    def __init__(self, folder: Path, predicted: Callable[[], Predictions]) -> None:
        self.folder, self.predicted, self.rows = folder, predicted, None

    def take(self, model: VisionTransformer, step: int) -> None:
        """Look, and keep the weights if it is the best look so far, of equal ones the later; once a step."""
        if step in self.table()["step"].tolist():
            return
        seen = self.predicted()
        top1 = metrics.class_average(metrics.topk_hits(seen.probabilities, seen.targets, 1), seen.targets)
        self.rows = [*self.rows, {"step": step, "top1": top1}]
        if hardware.accelerator().is_main_process:  # weights first, then looks, then away with the best before
            if self._best() == step:
                training.save_weights(model, self.folder / f"best-{step}.safetensors")
            paths.write_json(self.folder / "looks.json", self.rows)
            for old in self.folder.glob("best-*"):
                if old.stem != f"best-{self._best()}":
                    old.unlink()
        model.train()

    def load_best(self, model: VisionTransformer) -> None:
        """Give the model the weights of the best look; where val was not looked at, it stays as it is."""
        hardware.accelerator().wait_for_everyone()
        if self.rows:
            training.load_weights(model, self.folder / f"best-{self._best()}.safetensors")

    def table(self) -> pd.DataFrame:
        """step, top1: a row a look, those of an earlier run in this folder among them."""
        if self.rows is None:
            file = self.folder / "looks.json"
            self.rows = json.loads(file.read_text()) if file.exists() else []
        return pd.DataFrame(self.rows, columns=["step", "top1"])

    def _best(self) -> int:
        return max(self.rows, key=lambda look: (look["top1"], look["step"]))["step"]


def _check(recipe: Recipe, batch: int, processes: int) -> None:
    """ValueError where a batch norm would have one clip at a time."""
    part = min(batch // processes, recipe.micro_batch or batch)
    if recipe.readout != "fc_norm" and part < 2:
        raise ValueError(f"readout {recipe.readout} has a batch norm, which needs two clips at once or more, got "
                         f"{part}: raise batch or micro_batch, or start fewer processes")


@torch.no_grad()
def window_logits(model: nn.Module, front: FrontEnd, table: pd.DataFrame, *, batch: int = 64, workers: int = 0,
                  bar: str | None = "predicting", rank: int = 0, world: int = 1,
                  whole: bool = False) -> Iterator[tuple[Tensor, np.ndarray]]:
    """What the model says about every window (half overlapping) of every recording, batch by batch: logits (B, C),
    and the row (B,) of the table each is from. Of several processes that share the windows each gets a run of them.
    whole: a recording that cannot be read is an error and not silence, for what is kept and read again."""
    if table.empty:
        raise ValueError("there is nothing to predict: this table has no recordings (of this split?)")
    model, acc, table = model.eval(), hardware.accelerator(), table.reset_index(drop=True)
    log_mel = LogMel(front).to(acc.device)
    windows = data.Windows(table, front, ahead=acc.device.type == "cpu", whole=whole, device=acc.device)
    windows.places = windows.places[len(windows) * rank // world : len(windows) * (rank + 1) // world]
    batches, quiet = data.loader(windows, batch, workers), bar is None or not acc.is_main_process
    with hardware.on_device(model):
        for piece in progress.bar(batches, desc=bar, total=-(-len(windows) // batch), unit="batch",
                                  disable=quiet, leave=False):
            with acc.autocast():
                logits = model(piece.spec(log_mel, acc.device))  # (B, C)
            yield logits.float().cpu(), piece.row.numpy()


def predict(model: nn.Module, front: FrontEnd, table: pd.DataFrame, labels: list[str], *, batch: int = 64,
            workers: int = 0, bar: str | None = "predicting") -> Predictions:
    """Class probabilities of every recording of the table: windows with 50 % overlap, softmax, their mean, one answer.

    Restricted to the classes that occur in this table (Liu et al. restrict to the 1,212 evaluation species); a
    recording whose label the model has never seen is an error. Processes share the windows.
    """
    targets, acc = table["label"].map(_numbers(labels, table)).to_numpy(), hardware.accelerator()
    classes = np.unique(targets)
    pooled = metrics.Pool(len(table), len(classes))
    for logits, rows in window_logits(model, front, table, batch=batch, workers=workers, bar=bar,
                                      rank=acc.process_index, world=acc.num_processes):
        pooled.add(metrics.restrict(logits.softmax(-1).double().numpy(), classes)[:, classes], rows)
    pooled.hidden[:] = False  # `restrict` has left only what is shown, and a process may have had no window
    if acc.num_processes > 1:
        pooled.total, pooled.counts = (acc.reduce(torch.from_numpy(x).to(acc.device)).cpu().numpy()
                                       for x in (pooled.total, pooled.counts))
    probabilities = np.full((len(table), len(labels)), -np.inf)
    probabilities[:, classes] = pooled.result()
    groups, _ = pd.factorize(tables.units(table))
    return Predictions(probabilities, targets, groups, classes)


def evaluate(tuned: Finetuned, front: FrontEnd, table: pd.DataFrame, seed: int, *,
             workers: int = 0) -> metrics.Evaluation:
    """Scores of val and test, as every experiment records them; `seed` draws the bootstrap."""
    seen = {split: predict(tuned.model, front, table[table["split"] == split], tuned.labels, workers=workers)[:3]
            for split in ("val", "test")}
    return metrics.evaluation(seen, seed)


def _numbers(labels: list[str], table: pd.DataFrame) -> dict[str, int]:
    """The number of each label; an error where the table has a label that is not among them."""
    if unknown := sorted(set(table["label"]) - set(labels)):
        raise ValueError(f"{len(unknown)} labels of this table were not in training, the first is {unknown[0]!r}: "
                         "leave those recordings out")
    return {label: i for i, label in enumerate(labels)}
