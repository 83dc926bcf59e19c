"""Readouts of frozen features: the encoder speaks once, and one readout after another is tried on its answers.

`features` encodes every window of every recording and caches the result; what follows never sees the encoder again.
All readouts share the draws, the choice on val and the evaluation: they differ in the readout and in nothing else."""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from timm.layers import AttentionPoolLatent
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn

from lib import data, hardware, metrics, paths, progress, training
from lib.mae import MAE
from lib.mel import FrontEnd, LogMel
from lib.patches import Grid
from lib.sources import tables

__all__ = ["KINDS", "Features", "features", "pooled", "Recipe", "TOKENS", "linear", "Attentive", "Prototypes",
           "Rung", "train", "neighbours", "logistic", "regression", "evaluate", "recordings"]

# the class token, the mean of the patches, MSM-MAE's concatenated mel rows, and those with their spread over time
KINDS = ("class", "mean", "frequency", "spread")
VERSION = 2  # of the cached files: raised when the same weights and recordings would give other numbers
MEMORY = 4 * 2**30  # bytes that kept tokens may take on disk; above, only the pooled kinds are kept
OPTIMIZERS = {"SGD": partial(torch.optim.SGD, momentum=0.9), "AdamW": torch.optim.AdamW}  # that a recipe may name


@dataclass(frozen=True)
class Features:
    """What a frozen encoder says about R recordings: W windows, half overlapping, in the order of the table."""
    table: pd.DataFrame  # (R) the recordings
    row: np.ndarray  # (W,) the recording of each window
    columns: np.ndarray  # (W,) time columns that hold sound; those behind are padding
    kinds: dict[str, np.ndarray]  # for each of KINDS (W, D), (W, f*D) for "frequency", (W, 2*f*D) for "spread", float32
    tokens: np.ndarray | None  # (W, 1+L, D) float16, read from disk as needed; None above MEMORY or if not asked for
    grid: Grid
    labels: list[str]  # of the train split: the classes
    cached: bool  # True when nothing was computed

    def take(self, kind: str, windows: np.ndarray) -> Tensor:
        """The features of some windows: (n, D), (n, f*D), or (n, L, D) for kind "tokens", the patches alone.

        Padded columns of tokens repeat the columns that hold sound: a maximum over patches never meets padding."""
        if kind in self.kinds:
            return torch.from_numpy(self.kinds[kind][windows])
        if kind != "tokens" or self.tokens is None:
            there = ", ".join([*self.kinds] if self.tokens is None else [*self.kinds, "tokens"])
            why = "; tokens of so many windows were too large to keep" if kind == "tokens" else ""
            raise ValueError(f"there are no features {kind!r}: there are {there}{why}")
        tokens = torch.from_numpy(self.tokens[windows].astype(np.float32))[:, 1:]  # (n, L, D)
        place = torch.arange(self.grid.t) % torch.from_numpy(self.columns[windows])[:, None]  # (n, t)
        place = (place[..., None] * self.grid.f + torch.arange(self.grid.f)).flatten(1)  # (n, L)
        return tokens.gather(1, place[..., None].expand_as(tokens))


def features(model: MAE, front: FrontEnd, table: pd.DataFrame, *, batch: int = 64, workers: int = 0,
             bar: str | None = "encoding", tokens: bool = True) -> Features:
    """Encode every window of the table's recordings with nothing hidden, in float32; a second call only reads.

    tokens=False keeps KINDS alone, a hundredth of the disk.

    The cache is named after the encoder's weights, the front end and the recordings (with their files' size and time of
    change), not after labels and splits."""
    table = table.reset_index(drop=True)
    if table.empty:
        raise ValueError("there is nothing to encode: this table has no recordings")
    labels = sorted(table.loc[table["split"] == "train", "label"].unique())
    places = table.reindex(columns=["file", "start_s", "end_s", "duration_s"])
    folder = paths.cache("features", paths.key(VERSION, model.arch, front, model.encoder, places,
                                                 paths.stamps(table["file"]), tokens))
    done, file = folder / "features.json", folder / "tokens.npy"
    cached = done.exists()
    if not cached:
        try:
            _encode(model, front, table, folder, batch, workers, bar, tokens)
            paths.write_json(done, paths.plain([model.arch, front]))  # last: it says that the rest is whole
        except OSError as error:
            raise OSError(f"the features could not be written in {folder} ({error}): free some space; the same call "
                          "makes them again") from None
    row, columns, *kinds = (np.load(folder / f"{name}.npy") for name in ("row", "columns", *KINDS))
    kept = np.load(file, mmap_mode="r") if file.exists() else None
    return Features(table, row, columns, dict(zip(KINDS, kinds)), kept, model.grid, labels, cached)


def pooled(tokens: Tensor, grid: Grid, columns: Tensor) -> dict[str, Tensor]:
    """Tokens (W, 1+L, D) as one vector a window: "class" (W, D), "mean" (W, D), "frequency" (W, f*D), "spread"
    (W, 2*f*D).

    "frequency" is MSM-MAE's Eq. 1: the f patches of one time are laid end to end, then averaged over time, so that a
    mel row keeps its place. "spread" is what `readouts.Frequency` makes of them: each row's mean and standard deviation
    over time. columns (W,): only so many time columns enter."""
    patch = tokens[:, 1:].unflatten(1, tuple(grid))  # (W, t, f, D)
    real = (torch.arange(grid.t, device=tokens.device) < columns[:, None])[..., None, None]  # (W, t, 1, 1)
    count = columns[:, None, None]
    rows = (patch * real).sum(1) / count  # (W, f, D)
    spread = (((patch - rows[:, None]).square() * real).sum(1) / count + 1e-6).sqrt()  # (W, f, D)
    return {"class": tokens[:, 0], "mean": rows.mean(1), "frequency": rows.flatten(1),
            "spread": torch.cat([rows, spread], 2).flatten(1)}


@torch.no_grad()
def _encode(model: MAE, front: FrontEnd, table: pd.DataFrame, folder: Path, batch: int, workers: int,
            bar: str | None, tokens: bool) -> None:
    """Write what `Features` holds of every window, a file for each array.

    Tokens are written batch by batch, and not by a memory map: where the disk is full, it kills who writes to it."""
    device, (t, f) = hardware.accelerator().device, model.grid
    windows = data.Windows(table, front, ahead=device.type == "cpu", whole=True, device=device)
    shape = (len(windows), 1 + t * f, model.arch.dim)
    keep = tokens and 2 * np.prod(shape, dtype=float) <= MEMORY
    log_mel, model, found = LogMel(front).to(device), model.eval(), defaultdict(list)
    place = paths.atomic(folder / "tokens.npy") if keep else nullcontext(os.devnull)
    with hardware.on_device(model), place as tokens_file, open(tokens_file, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
        batches, count = data.loader(windows, batch, workers), -(-len(windows) // batch)
        for clips in progress.bar(batches, total=count, desc=bar, unit="batch", leave=False):
            columns = (-(-clips.frames(front) // model.arch.patch[0])).clamp(1, t)  # (B,)
            said = model.encode(clips.spec(log_mel, device)).float()  # (B, 1+L, D)
            vectors = pooled(said, model.grid, columns.to(device))
            for name, x in {"row": clips.row, "columns": columns, **vectors}.items():
                found[name].append(x.cpu().numpy())
            if keep:
                file.write(said.half().cpu().numpy().astype("<f2").tobytes())
    for name, batches in found.items():
        with paths.atomic(folder / f"{name}.npy") as temporary:
            np.save(temporary, np.concatenate(batches))


# BatchNorm without weights; its mean and variance are plain averages of all steps, since a running one forgets slowly
_norm = partial(nn.BatchNorm1d, affine=False, eps=1e-6, momentum=None)


def linear(width: int, classes: int, generator: torch.Generator, batchnorm: bool = True) -> nn.Sequential:
    """The published linear probe (`mae/main_linprobe.py`): BatchNorm without weights, one linear layer, head N(0,
    0.01)."""
    head = nn.utils.skip_init(nn.Linear, width, classes)  # no draw from the global generator
    nn.init.normal_(head.weight, std=0.01, generator=generator)
    nn.init.zeros_(head.bias)
    return nn.Sequential(_norm(width) if batchnorm else nn.Identity(), head)


class Attentive(nn.Module):
    """Attentive pooling: one learned query looks at all patches (W, L, D), then the linear probe.

    timm's AttentionPoolLatent without its MLP, the smallest form of CaiT's class attention and V-JEPA's probe."""
    def __init__(self, width: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        with torch.random.fork_rng():  # timm draws from the global generator
            torch.manual_seed(torch.randint(2**31, (), generator=generator).item())
            self.pool = AttentionPoolLatent(width, num_heads=max(1, width // 64), out_features=0)
        self.pool.fused_attn = False  # one query: plain matmuls are as fast
        self.norm = _norm(width)
        self.head = linear(width, classes, generator, batchnorm=False)  # the query learns: averages would be stale

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.norm(tokens.flatten(0, 1)).view_as(tokens)  # every channel on one scale, over windows and patches
        return self.head(self.pool(tokens))  # (W, C)


class Prototypes(nn.Module):
    """Prototypical probe (Bird-MAE, Rauch et al. 2025): each of a class's prototypes looks for the patch most like it.

    Cosine similarity of every patch (W, L, D) to every prototype, the maximum over patches, then a non-negative linear
    layer in which a class hears only its own prototypes, with a bias that starts at -2. Unlike their public version: 5
    prototypes a class instead of 20 (weights start at 4 instead of 1: the same range), patches are first centred and
    scaled by BatchNorm without weights, no term keeps prototypes apart, the loss is the cross-entropy of one label."""
    def __init__(self, width: int, classes: int, generator: torch.Generator, each: int = 5) -> None:
        super().__init__()
        self.norm = _norm(width)
        self.prototypes = nn.Parameter(torch.randn(classes, each, width, generator=generator))  # (C, J, D)
        self.weight = nn.Parameter(torch.full((classes, each), 20.0 / each))
        self.bias = nn.Parameter(torch.full((classes,), -2.0))

    def similarity(self, tokens: Tensor) -> Tensor:
        """The cosine of every patch and prototype: (W, L, D) -> (W, L, C, J)."""
        tokens = nn.functional.normalize(self.norm(tokens.flatten(0, 1)).view_as(tokens), dim=-1)
        prototypes = nn.functional.normalize(self.prototypes, dim=-1).flatten(0, 1)  # (C*J, D)
        return (tokens @ prototypes.T).unflatten(-1, self.weight.shape)

    def forward(self, tokens: Tensor) -> Tensor:
        best = self.similarity(tokens).amax(1)  # (W, C, J) where in the window does not matter
        return (best * self.weight.relu()).sum(-1) + self.bias  # (W, C)


@dataclass(frozen=True)
class Recipe:
    """How a readout learns: each epoch draws one random window of every train recording, as finetuning does."""
    epochs: int = 90  # MAE's; Liu et al. say only "standard"
    batch: int = 64
    optimizer: str = "SGD"  # or "AdamW"; MAE takes LARS, which is for its batches of 16,384
    lrs: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # all are tried; the best on val is kept
    weight_decay: float = 0.0
    warmup: float = 0.1  # share of the steps, then a cosine to 0
    seed: int = 0  # initial weights, order and windows: the same for every learning rate and every readout


TOKENS = Recipe(epochs=30, optimizer="AdamW", lrs=(0.01, 0.03, 0.1))  # of tokens: as Bird-MAE's probes


class Rung(NamedTuple):
    """A readout that has learnt."""
    name: str
    probabilities: Callable[[np.ndarray], np.ndarray]  # windows (n,) -> (n, C)
    sweep: pd.DataFrame  # value (learning rate, neighbours or C), top1 on val
    chosen: float  # the value with the best top1 on val
    trainable: int  # weights
    seconds: float  # the whole sweep
    model: object  # the chosen module, or scikit-learn's estimator


def train(name: str, features: Features, kind: str, readout: Callable[[int, int, torch.Generator], nn.Module],
          recipe: Recipe = Recipe()) -> Rung:
    """Train a readout once for each learning rate; the best class-averaged top-1 on val after the last step is kept.

    readout(width, classes, generator) makes the module; it is given features of that kind (`Features.take`)."""
    device, (windows, targets, first, count) = hardware.accelerator().device, _train_windows(features)
    width, targets = features.take(kind, windows[:1]).shape[-1], torch.from_numpy(targets).to(device)
    per_epoch = max(1, len(first) // recipe.batch)
    steps = recipe.epochs * per_epoch
    up = round(recipe.warmup * steps)

    def learn(lr: float) -> nn.Module:  # not by `training.fit`: bfloat16 loses small differences on a large offset
        model = readout(width, len(features.labels), training.generator(recipe.seed, 1)).to(device).train()
        optimizer = OPTIMIZERS[recipe.optimizer](model.parameters(), lr=lr, weight_decay=recipe.weight_decay)
        cosine = CosineLRScheduler(optimizer, max(1, steps - up), warmup_t=up, warmup_prefix=True, t_in_epochs=False)
        rng = training.generator(recipe.seed, 2)
        for step in range(steps):
            if step % per_epoch == 0:
                drawn = first + (torch.rand(len(first), generator=rng).numpy() * count).astype(int)  # windows
                batches = torch.randperm(len(first), generator=rng).tensor_split(per_epoch)
            cosine.step_update(step)
            chosen = drawn[batches[step % per_epoch].numpy()]
            loss = nn.functional.cross_entropy(model(features.take(kind, windows[chosen]).to(device)), targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return model.eval()

    @torch.no_grad()
    def ask(model: nn.Module, some: np.ndarray) -> np.ndarray:
        batches = (features.take(kind, batch).to(device) for batch in np.array_split(some, max(1, len(some) // 256)))
        return torch.cat([model(x).cpu().double().softmax(-1) for x in batches]).numpy()

    return _sweep(name, features, recipe.lrs, learn, ask, lambda model: sum(p.numel() for p in model.parameters()))


def neighbours(features: Features, kind: str = "mean", ks: tuple[int, ...] = (1, 3, 10, 30, 100)) -> Rung:
    """k nearest train windows by the cosine between features; nothing is learnt, k is chosen on val."""
    (windows, targets, *_), x = _train_windows(features), features.kinds[kind]
    return _sweep(f"k-NN, {kind}", features, [k for k in ks if k <= len(windows)],
                  lambda k: KNeighborsClassifier(k, metric="cosine").fit(x[windows], targets),
                  lambda model, some: model.predict_proba(x[some]), lambda model: 0)


def logistic(features: Features, kind: str = "mean", Cs: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)) -> Rung:
    """Logistic regression on all train windows, each recording with the same weight; C is chosen on val.

    The well-kept reference: a convex problem, so that no learning rate can be to blame. It is stopped at a gradient of
    1e-3, a little before its end, where large C differ little: `regression`."""
    (windows, targets, _, count), x = _train_windows(features), features.kinds[kind]
    weight = np.repeat(1 / count, count)  # (W',) a recording's windows share a weight of 1
    return _sweep(f"logistic regression, {kind}", features, Cs, lambda C: regression(x[windows], targets, weight, C),
                  lambda model, some: model.predict_proba(x[some]),
                  lambda model: len(features.labels) * (x.shape[1] + 1))


def regression(x: np.ndarray, targets: np.ndarray, weight: np.ndarray, C: float, rounds: int = 3000) -> Pipeline:
    """scikit-learn's logistic regression on standardised features (n, D), classes (n,) and weights (n,).

    A gradient of 1e-3 is reached in a quarter of the time of 1e-6, and where rounding differs another answer can come
    of it: with 1e-6 the log-mel statistics have 29.3 instead of 30.2 % of chorus' test (`tiny`), 226 of 440 recordings
    of animals with either. One thread: the same rounding on any number of cores, and quicker with so small matrices."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=rounds, tol=1e-3))
    with threadpool_limits(1, "blas"):
        return model.fit(x, targets, logisticregression__sample_weight=weight)


def _sweep(name: str, features: Features, values: Sequence[float], learn: Callable[[float], object],
           ask: Callable[[object, np.ndarray], np.ndarray], weights: Callable[[object], int]) -> Rung:
    """Learn once for each value and keep the best top-1 on val, of equals the first."""
    begun = time.monotonic()
    models = [learn(value) for value in progress.bar(values, desc=name, unit="training", leave=False)]
    answers = [partial(ask, model) for model in models]
    top1 = [_top1(answer, features) for answer in answers]
    best = int(np.argmax(top1))
    return Rung(name, answers[best], pd.DataFrame({"value": values, "top1": top1}), values[best], weights(models[best]),
                time.monotonic() - begun, models[best])


def evaluate(rung: Rung, features: Features, seed: int) -> metrics.Evaluation:
    """Scores of val and test as in every experiment: softmax, the split's classes, mean over windows, class average."""
    return metrics.evaluation({s: recordings(rung.probabilities, features, s) for s in ("val", "test")}, seed)


def recordings(ask: Callable, features: Features, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities (R, C), targets (R,) and groups (R,) of the recordings of a split."""
    rows = features.table[features.table["split"] == split]
    if rows.empty:
        raise ValueError(f"there are no recordings in {split}: a probe is chosen on val and scored on val and test; "
                         "let `folder` make the split")
    if unknown := sorted(set(rows["label"]) - set(features.labels)):
        raise ValueError(f"{len(unknown)} labels of {split} were not in train, the first is {unknown[0]!r}: leave "
                         "those recordings out")
    targets, groups = np.searchsorted(features.labels, rows["label"]), pd.factorize(tables.units(rows))[0]
    windows = np.flatnonzero(np.isin(features.row, rows.index))
    classes = metrics.restrict(ask(windows), np.unique(targets))  # (W', C)
    return metrics.pool(classes, np.searchsorted(rows.index, features.row[windows]), len(rows)), targets, groups


def _top1(ask: Callable, features: Features) -> float:
    """Class-averaged top-1 on val; 0 where training has come to nothing (NaN at a learning rate that is too high)."""
    if not np.isfinite(ask(np.arange(1))).all():
        return 0.0
    probabilities, targets, _ = recordings(ask, features, "val")
    return metrics.class_average(metrics.topk_hits(probabilities, targets, 1), targets)


def _train_windows(features: Features) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The windows of train and their classes (W',); of each recording the place of its first and their count (R,)."""
    table, row, C = features.table, features.row, len(features.labels)
    val = int((table["split"] == "val").sum())
    if C < 2 or not val:
        raise ValueError(f"a probe needs at least two labels in train and some recordings in val, got {C} labels and "
                         f"{val} recordings in val: add recordings, or let `folder` make the split")
    rows = table.index[table["split"] == "train"]
    windows = np.flatnonzero(np.isin(row, rows))
    count = np.bincount(row[windows], minlength=len(table))[rows]
    targets = np.searchsorted(features.labels, table["label"].to_numpy()[row[windows]])
    return windows, targets, count.cumsum() - count, count
