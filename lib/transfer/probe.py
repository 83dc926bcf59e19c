"""Readouts of frozen features: the encoder speaks once, its answers are kept, and one readout after another is tried on them.

`features` encodes every window of every recording and caches the result; what follows never sees the encoder again. All readouts
share the draws, the choice on val and the evaluation, so that two of them differ in the readout and in nothing else.
"""

import json
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from timm.layers import AttentionPoolLatent
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn
from tqdm.auto import tqdm

from lib import data, metrics, paths, training
from lib.mae import MAE
from lib.mel import FrontEnd, LogMel
from lib.patches import Grid
from lib.sources import tables

__all__ = ["KINDS", "Features", "features", "pooled", "Recipe", "STANDARD", "TOKENS", "linear", "Attentive", "Prototypes", "Rung", "train",
           "neighbours", "logistic", "evaluate", "recordings"]

KINDS = ("class", "mean", "frequency")  # the class token, the mean of the patches, and MSM-MAE's concatenated mel rows
VERSION = 1  # of the cached files: raised when the same weights and recordings would give other numbers
MEMORY = 4 * 2**30  # bytes that kept tokens may take on disk; above, only the pooled kinds are kept


# -------------------------------------------------------------------------------------------------------------- features

@dataclass(frozen=True)
class Features:
    """What a frozen encoder says about a table of R recordings: W windows, half overlapping, in the order of the table."""

    table: pd.DataFrame  # (R) the recordings
    row: np.ndarray  # (W,) the recording of each window
    columns: np.ndarray  # (W,) time columns that hold sound; those behind are padding
    kinds: dict[str, np.ndarray]  # for each of KINDS (W, D), or (W, f*D) for "frequency", float32
    tokens: np.ndarray | None  # (W, 1+L, D) float16, read from disk as needed; None where they would take more than MEMORY
    grid: Grid
    labels: list[str]  # of the train split: the classes
    cached: bool  # True when nothing was computed

    def take(self, kind: str, windows: np.ndarray) -> Tensor:
        """The features of some windows: (n, D), (n, f*D), or (n, L, D) for kind "tokens", the patches without the class token.

        Padded columns are replaced by repeating the columns that hold sound, so that a maximum over patches never meets padding.
        """
        if kind in self.kinds:
            return torch.from_numpy(self.kinds[kind][windows])
        if kind != "tokens" or self.tokens is None:
            raise ValueError(f"there are no features {kind!r}: there are {', '.join(self.kinds)}" + ("" if self.tokens is None else ", tokens")
                             + ("; tokens of so many windows were too large to keep" if kind == "tokens" else ""))
        tokens = torch.from_numpy(self.tokens[windows].astype(np.float32))[:, 1:]  # (n, L, D)
        columns = torch.from_numpy(self.columns[windows])[:, None]  # (n, 1)
        if bool((columns < self.grid.t).any()):
            place = torch.arange(self.grid.t) % columns  # (n, t)
            place = (place[..., None] * self.grid.f + torch.arange(self.grid.f)).flatten(1)  # (n, L)
            tokens = tokens.gather(1, place[..., None].expand_as(tokens))
        return tokens


def features(model: MAE, front: FrontEnd, table: pd.DataFrame, *, batch: int = 64, workers: int = 0, bar: str | None = "encoding") -> Features:
    """Encode every window of the table's recordings with nothing hidden, in float32 and without gradients; a second call only reads.

    The cache is named after the encoder's weights, the front end and the recordings. Labels and splits are no part of it.
    """
    table = table.reset_index(drop=True)
    if table.empty:
        raise ValueError("there is nothing to encode: this table has no recordings")
    labels = sorted(table.loc[table["split"] == "train", "label"].unique())
    folder = paths.cache("features", _key(model, front, table))
    done = folder / "features.json"
    cached = done.exists()
    if not cached:
        try:
            _encode(model, front, table, folder, batch, workers, bar)
            paths.write_json(done, {"arch": asdict(model.arch), "front": asdict(front), "recordings": len(table)})  # last: it says that the rest is whole
        except OSError as error:
            raise OSError(f"the features could not be written in {folder} ({error}): free some space; the same call makes them again") from None
    read = lambda name, **how: np.load(folder / f"{name}.npy", **how)  # noqa: E731
    tokens = read("tokens", mmap_mode="r") if (folder / "tokens.npy").exists() else None
    return Features(table, read("row"), read("columns"), {kind: read(kind) for kind in KINDS}, tokens, model.grid, labels, cached)


def pooled(tokens: Tensor, grid: Grid, columns: Tensor) -> dict[str, Tensor]:
    """Tokens (W, 1+L, D) as one vector a window: "class" (W, D), "mean" (W, D), "frequency" (W, f*D).

    "frequency" is MSM-MAE's Eq. 1: the f patches of one time are laid end to end, then averaged over time, so that a mel row keeps
    its place. columns (W,): only so many time columns enter the means.
    """
    patch = tokens[:, 1:].unflatten(1, tuple(grid))  # (W, t, f, D)
    real = (torch.arange(grid.t, device=tokens.device) < columns[:, None])[..., None, None]  # (W, t, 1, 1)
    rows = (patch * real).sum(1) / columns[:, None, None]  # (W, f, D)
    return {"class": tokens[:, 0], "mean": rows.mean(1), "frequency": rows.flatten(1)}


@torch.no_grad()
def _encode(model: MAE, front: FrontEnd, table: pd.DataFrame, folder: Path, batch: int, workers: int, bar: str | None) -> None:
    device = training.accelerator().device
    windows = data.Windows(table, front, ahead=device.type == "cpu", whole=True)
    (t, f), was = model.grid, next(model.parameters()).device
    shape = (len(windows), 1 + t * f, model.arch.dim)
    keep = 2 * np.prod(shape, dtype=float) <= MEMORY
    log_mel, parts, rows, columns = LogMel(front).to(device), {kind: [] for kind in KINDS}, [], []
    model = model.to(device).eval()
    with paths.atomic(folder / "tokens.npy") if keep else nullcontext(os.devnull) as part, open(part, "wb") as kept:  # a full disk is an error here,
        np.lib.format.write_array_header_1_0(kept, {"descr": "<f2", "fortran_order": False, "shape": shape})  # and kills who writes to a memory map
        for piece in tqdm(data.loader(windows, batch, workers), desc=bar, disable=bar is None, leave=False):
            frames = piece.length if piece.x.ndim == 4 else torch.tensor([front.count(int(n)) for n in piece.length])
            column = (-(-frames // model.arch.patch[0])).clamp(1, t)  # (B,)
            tokens = model.encode(piece.spec(log_mel, device)).float()  # (B, 1+L, D)
            for kind, x in pooled(tokens, model.grid, column.to(device)).items():
                parts[kind].append(x.cpu().numpy())
            if keep:
                kept.write(tokens.half().cpu().numpy().astype("<f2").tobytes())
            rows, columns = rows + piece.row.tolist(), columns + column.tolist()
    model.to(was)
    for name, x in {"row": np.array(rows), "columns": np.array(columns), **{k: np.concatenate(v) for k, v in parts.items()}}.items():
        with paths.atomic(folder / f"{name}.npy") as part:
            np.save(part, x)


def _key(model: MAE, front: FrontEnd, table: pd.DataFrame) -> str:
    """A name that changes when anything does that the features depend on."""
    known = sha256(json.dumps([VERSION, asdict(model.arch), asdict(front)]).encode())
    for name, x in sorted(model.encoder.state_dict().items()):
        known.update(name.encode() + x.detach().cpu().float().contiguous().numpy().tobytes())
    known.update(json.dumps([[str(v) for v in row] for row in table.reindex(columns=["file", "start_s", "end_s", "duration_s"]).to_numpy()]).encode())
    return known.hexdigest()[:16]


# -------------------------------------------------------------------------------------------------------------- readouts

def linear(width: int, classes: int, generator: torch.Generator, batchnorm: bool = True) -> nn.Sequential:
    """The published linear probe: BatchNorm without weights of its own, then one linear layer, head N(0, 0.01) (`mae/main_linprobe.py`)."""
    head = nn.utils.skip_init(nn.Linear, width, classes)  # no draw from the global generator
    nn.init.normal_(head.weight, std=0.01, generator=generator)
    nn.init.zeros_(head.bias)
    return nn.Sequential(_norm(width) if batchnorm else nn.Identity(), head)


def _norm(width: int) -> nn.BatchNorm1d:
    """BatchNorm without weights; its mean and variance are plain averages over all steps, since a running one forgets its start only slowly."""
    return nn.BatchNorm1d(width, affine=False, eps=1e-6, momentum=None)


class Attentive(nn.Module):
    """Attentive pooling: one learned query looks at all patches (W, L, D), then the linear probe; timm's AttentionPoolLatent, without its MLP.

    Class attention of CaiT (Touvron et al. 2021) and the attentive probe of V-JEPA (Bardes et al. 2024) in their smallest form.
    """

    def __init__(self, width: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        with torch.random.fork_rng():  # timm draws from the global generator
            torch.manual_seed(torch.randint(2**31, (), generator=generator).item())
            self.pool = AttentionPoolLatent(width, num_heads=max(1, width // 64), out_features=0)
        self.pool.fused_attn = False  # one query: plain matmuls are as fast
        self.norm = _norm(width)
        self.head = linear(width, classes, generator, batchnorm=False)  # what it gets changes as the query learns: averages would be stale

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.norm(tokens.flatten(0, 1)).view_as(tokens)  # every channel on one scale, over windows and patches
        return self.head(self.pool(tokens))  # (W, C)


class Prototypes(nn.Module):
    """Prototypical probe (Bird-MAE, Rauch et al. 2025): each class has a few prototypes, each looks for the patch most like it.

    Cosine similarity of every patch (W, L, D) to every prototype, the maximum over patches, then a non-negative linear layer in
    which a class hears only its own prototypes, with a bias that starts at -2. Unlike their public configuration: 5 prototypes a class instead
    of 20 (weights start at 4 instead of 1, which gives the same range), patches are first centred and scaled by BatchNorm without weights,
    no term keeps prototypes apart, and the loss is the cross-entropy of one label.
    """

    def __init__(self, width: int, classes: int, generator: torch.Generator, each: int = 5) -> None:
        super().__init__()
        self.norm = _norm(width)
        self.prototypes = nn.Parameter(torch.randn(classes, each, width, generator=generator))  # (C, J, D)
        self.weight = nn.Parameter(torch.full((classes, each), 20.0 / each))
        self.bias = nn.Parameter(torch.full((classes,), -2.0))

    def similarity(self, tokens: Tensor) -> Tensor:
        """The cosine of every patch and prototype: (W, L, D) -> (W, L, C, J)."""
        tokens = nn.functional.normalize(self.norm(tokens.flatten(0, 1)).view_as(tokens), dim=-1)
        return (tokens @ nn.functional.normalize(self.prototypes, dim=-1).flatten(0, 1).T).unflatten(-1, self.weight.shape)

    def forward(self, tokens: Tensor) -> Tensor:
        best = self.similarity(tokens).amax(1)  # (W, C, J) where in the window does not matter
        return (best * self.weight.relu()).sum(-1) + self.bias  # (W, C)


# -------------------------------------------------------------------------------------------------------------- training

@dataclass(frozen=True)
class Recipe:
    """How a readout learns: each epoch draws one random window of every train recording, as finetuning does."""

    epochs: int = 90  # MAE's; Liu et al. say only "standard"
    batch: int = 64
    optimizer: str = "SGD"  # MAE takes LARS, which is for its batches of 16,384
    lrs: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # all are tried; the best on val is kept
    weight_decay: float = 0.0
    warmup: float = 0.1  # share of the steps, then a cosine to 0
    seed: int = 0  # initial weights, order and windows: the same for every learning rate and every readout


STANDARD = Recipe()
TOKENS = Recipe(epochs=30, optimizer="AdamW", lrs=(0.01, 0.03, 0.1))  # readouts of tokens: Bird-MAE's probes take AdamW and 30 epochs


class Rung(NamedTuple):
    """A readout that has learnt."""

    name: str
    probabilities: Callable[[np.ndarray], np.ndarray]  # windows (n,) -> (n, C)
    sweep: pd.DataFrame  # value (learning rate, neighbours or C), top1 on val
    chosen: float  # the value with the best top1 on val
    trainable: int  # weights
    seconds: float  # the whole sweep
    model: object  # the chosen module, or scikit-learn's estimator


def train(name: str, known: Features, kind: str, readout: Callable[[int, int, torch.Generator], nn.Module], recipe: Recipe = STANDARD) -> Rung:
    """Train a readout once for each learning rate and keep the one with the best class-averaged top-1 on val after its last step.

    readout(width, classes, generator) makes the module; it is given features of that kind (`Features.take`).
    """
    begun, device = time.monotonic(), training.accelerator().device
    windows, targets, starts = _train_windows(known)
    width, wanted = known.take(kind, windows[:1]).shape[-1], torch.from_numpy(targets).to(device)
    tried = []
    for lr in recipe.lrs:
        model = readout(width, len(known.labels), training.generator(recipe.seed, 1)).to(device)
        options = {"momentum": 0.9} if recipe.optimizer == "SGD" else {}
        optimizer = getattr(torch.optim, recipe.optimizer)(model.parameters(), lr=lr, weight_decay=recipe.weight_decay, **options)
        per_epoch = max(1, len(starts) // recipe.batch)
        steps, rng = recipe.epochs * per_epoch, training.generator(recipe.seed, 2)
        schedule = CosineLRScheduler(optimizer, t_initial=max(1, steps - round(recipe.warmup * steps)), warmup_t=round(recipe.warmup * steps),
                                     warmup_prefix=True, t_in_epochs=False)
        for step in range(steps):  # a loop of its own: in bfloat16, as `fit` may train, small differences on a large offset are lost
            if step % per_epoch == 0:
                drawn = starts[:, 0] + (torch.rand(len(starts), generator=rng).numpy() * starts[:, 1]).astype(int)  # a window of each recording
                parts = torch.randperm(len(starts), generator=rng).tensor_split(per_epoch)
            schedule.step_update(step)
            chosen = drawn[parts[step % per_epoch].numpy()]
            loss = nn.functional.cross_entropy(model.train()(known.take(kind, windows[chosen]).to(device)), wanted[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        ask = partial(_ask, model.eval(), known, kind)
        tried.append((lr, _top1(ask, known), ask, sum(p.numel() for p in model.parameters()), model))
    return _best(name, tried, begun)


@torch.no_grad()
def _ask(model: nn.Module, known: Features, kind: str, windows: np.ndarray) -> np.ndarray:
    device, pieces = next(model.parameters()).device, np.array_split(windows, max(1, len(windows) // 256))
    return torch.cat([model(known.take(kind, piece).to(device)).double().softmax(-1).cpu() for piece in pieces]).numpy()


def neighbours(known: Features, kind: str = "mean", ks: tuple[int, ...] = (1, 3, 10, 30, 100)) -> Rung:
    """k nearest train windows by the cosine of the angle between features; nothing is learnt, k is chosen on val."""
    begun = time.monotonic()
    windows, targets, _ = _train_windows(known)
    x, tried = known.kinds[kind], []
    for k in [k for k in ks if k <= len(windows)]:
        model = KNeighborsClassifier(k, metric="cosine").fit(x[windows], targets)
        ask = lambda some, model=model: model.predict_proba(x[some])  # noqa: E731
        tried.append((k, _top1(ask, known), ask, 0, model))
    return _best(f"k-NN, {kind}", tried, begun)


def logistic(known: Features, kind: str = "mean", Cs: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)) -> Rung:
    """Logistic regression on all train windows, standardised, each recording with the same weight; C is chosen on val.

    The well-kept reference: a convex problem solved to its end, so that no learning rate can be to blame.
    """
    begun = time.monotonic()
    windows, targets, starts = _train_windows(known)
    x, tried = known.kinds[kind], []
    weight = np.repeat(1 / starts[:, 1], starts[:, 1])  # (W',) a recording's windows share a weight of 1
    for C in Cs:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=3000, tol=1e-3))
        model.fit(x[windows], targets, logisticregression__sample_weight=weight)
        ask = lambda some, model=model: model.predict_proba(x[some])  # noqa: E731
        tried.append((C, _top1(ask, known), ask, len(known.labels) * (x.shape[1] + 1), model))
    return _best(f"logistic regression, {kind}", tried, begun)


def _best(name: str, tried: list[tuple[float, float, Callable, int, object]], begun: float) -> Rung:
    value, _, ask, trainable, model = max(tried, key=lambda t: t[1])  # the first of equals
    sweep = pd.DataFrame([t[:2] for t in tried], columns=["value", "top1"])
    return Rung(name, ask, sweep, value, trainable, time.monotonic() - begun, model)


# ------------------------------------------------------------------------------------------------------------ evaluation

def evaluate(rung: Rung, known: Features, seed: int) -> metrics.Evaluation:
    """Scores of val and test as in every experiment: softmax a window, the split's classes, mean over windows, class average."""
    return metrics.evaluation({split: recordings(rung.probabilities, known, split) for split in ("val", "test")}, seed)


def recordings(ask: Callable, known: Features, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities (R, C), targets (R,) and groups (R,) of the recordings of a split."""
    part = known.table[known.table["split"] == split]
    if part.empty:
        raise ValueError(f"there are no recordings in {split}: a probe is chosen on val and scored on val and test; let `folder` make the split")
    if unknown := sorted(set(part["label"]) - set(known.labels)):
        raise ValueError(f"{len(unknown)} labels of {split} were not in train, the first is {unknown[0]!r}: leave those recordings out")
    targets = np.searchsorted(known.labels, part["label"])
    groups, _ = pd.factorize(tables.units(part))
    windows = np.flatnonzero(np.isin(known.row, part.index))
    classes = metrics.restrict(ask(windows), np.unique(targets))  # (W', C)
    return metrics.pool(classes, np.searchsorted(part.index, known.row[windows]), len(part)), targets, groups


def _top1(ask: Callable, known: Features) -> float:
    """Class-averaged top-1 on val; 0 where training has come to nothing (NaN at a learning rate that is too high)."""
    diverged = not np.isfinite(ask(np.arange(1))).all()
    if diverged:
        return 0.0
    probabilities, targets, _ = recordings(ask, known, "val")
    return metrics.class_average(metrics.topk_hits(probabilities, targets, 1), targets)


def _train_windows(known: Features) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The windows (W',) of the train split, their classes (W',), and of each recording the place of its first window and their count (R, 2)."""
    if len(known.labels) < 2 or not (known.table["split"] == "val").any():
        raise ValueError(f"a probe needs at least two labels in train and some recordings in val, got {len(known.labels)} labels and "
                         f"{(known.table['split'] == 'val').sum()} recordings in val: add recordings, or let `folder` make the split")
    rows = known.table.index[known.table["split"] == "train"]
    windows = np.flatnonzero(np.isin(known.row, rows))
    count = np.bincount(known.row[windows], minlength=len(known.table))[rows]
    targets = np.searchsorted(known.labels, known.table["label"].to_numpy()[known.row[windows]])
    return windows, targets, np.stack([count.cumsum() - count, count], 1)
