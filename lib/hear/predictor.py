"""The shallow network that HEAR lays on frozen embeddings, chosen and stopped on valid: hear-eval-kit's protocol without Lightning.

After heareval/predictions/task_predictions.py (heareval 2021.1.3): the same networks, grid, stopping, folds and events. What it does
without saying so is `Options.as_published`. Other than there, each run draws from its own seed, and a last batch of one row, on which
batch norm fails, joins the one before it.
"""

import copy
import itertools
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from lib import training
from lib.hear.scores import SCORES, Events, events

__all__ = ["Options", "Point", "grid", "Split", "Fold", "Answers", "Result", "evaluate", "network"]


@dataclass(frozen=True)
class Options:
    """How the predictor is chosen and trained; the defaults are hear-eval-kit's own."""

    points: int = 8  # of the 16 of the grid
    hidden: int = 1024
    dropout: float = 0.1
    batch: int = 1024
    batch_events: int = 1024  # for events, whose rows are columns of time: many times more than recordings
    epochs: int = 500  # at most
    every: int = 3  # epochs from one look at valid to the next
    every_events: int = 10  # the same for events: the kit's number for DCASE 2016, since sed_eval is slow
    patience: int = 20  # looks without a better one, then it ends
    as_published: bool = True  # batches are never shuffled, and the grid is searched on the first fold only; False: both as one would expect


POST = {"median_filter_ms": (250.0,), "min_duration": (125.0, 250.0)}  # for events, in ms: the kit's, where a task brings none of its own


class Point(NamedTuple):
    """A point of the grid."""

    layers: int
    init: str  # of torch.nn.init
    lr: float


def grid() -> list[Point]:
    """The kit's 16 points in the kit's order: shuffled with seed 42, whatever the seed of a run."""
    points = [Point(*p) for p in itertools.product((1, 2), ("xavier_uniform_", "xavier_normal_"), (3.2e-3, 1e-3, 3.2e-4, 1e-4))]
    random.Random(42).shuffle(points)
    return points


@dataclass(frozen=True)
class Split:
    """The embeddings of R recordings, n rows in all: one of each for a scene, one of each time column for events."""

    x: Tensor  # (n, D)
    y: Tensor  # (n, C) 0 or 1
    files: list[str]  # (R,)
    row: np.ndarray  # (n,) the recording of each row, ascending
    times: np.ndarray  # (n,) ms; not looked at for scenes
    truth: Events  # (R,) lists of true events; empty for scenes

    @staticmethod
    def join(splits: Sequence["Split"]) -> "Split":
        if len(splits) == 1:
            return splits[0]
        first = np.cumsum([0] + [len(s.files) for s in splits])
        return Split(torch.cat([s.x for s in splits]), torch.cat([s.y for s in splits]), [f for s in splits for f in s.files],
                     np.concatenate([s.row + n for s, n in zip(splits, first)]), np.concatenate([s.times for s in splits]),
                     [t for s in splits for t in s.truth])


class Fold(NamedTuple):
    train: tuple[str, ...]  # names of splits
    valid: tuple[str, ...]
    test: tuple[str, ...]


class Answers(NamedTuple):
    """What was said about every test recording, over all folds, for intervals and comparisons."""

    files: list[str]  # (R,) SPLIT/NAME
    guesses: np.ndarray | Events  # probabilities (R, C), or (R,) lists of events
    targets: np.ndarray | Events


class Result(NamedTuple):
    score: float  # the first of the scores on test, mean over folds: HEAR's number
    scores: dict[str, float]  # all of them
    folds: pd.DataFrame  # a row per fold: test, layers, init, lr, valid, epoch, then the scores, and for events median_ms, shortest_ms
    tried: pd.DataFrame  # a row per training: fold, layers, init, lr, valid, epoch of the best look, looks, seconds
    answers: Answers


class _Trained(NamedTuple):
    model: nn.Module
    valid: float
    epoch: int
    post: tuple[float, float]
    looks: int
    seconds: float


def network(width: int, classes: int, point: Point, options: Options) -> nn.Sequential:
    """One or two blocks of Linear, BatchNorm, Dropout, ReLU (in this order), then Linear: embeddings (n, D) -> logits (n, C)."""
    layers, gain = [], 1.0
    for _ in range(point.layers):
        linear = nn.Linear(width, options.hidden)
        getattr(nn.init, point.init)(linear.weight, gain=gain)
        layers += [linear, nn.BatchNorm1d(options.hidden), nn.Dropout(options.dropout), nn.ReLU()]
        width, gain = options.hidden, nn.init.calculate_gain("relu")
    layers.append(nn.Linear(width, classes))
    getattr(nn.init, point.init)(layers[-1].weight, gain=gain)
    return nn.Sequential(*layers)


def evaluate(splits: Mapping[str, Split], folds: Sequence[Fold], prediction: str, scores: Sequence[str], seed: int, options: Options = Options(), *,
             post: Mapping[str, Sequence[float]] | None = None, bar: str | None = "predictor") -> Result:
    """Search the grid on valid, train every fold, score its test.

    prediction: "multiclass" (softmax, cross-entropy) or "multilabel" (sigmoid, binary cross-entropy). scores: names of `scores.SCORES`, the
    first chooses. post: for events, the widths of the median filter and the shortest events to be tried, in ms; chosen on valid at each
    look. ValueError where embeddings are not finite, or where valid cannot be scored.
    """
    every = options.every_events if SCORES[scores[0]].events else options.every
    if options.epochs < every or not 1 <= options.points <= 16:
        raise ValueError(f"{options.epochs} epochs with a look at valid every {every}, {options.points} points of the grid: needs at least one look, "
                         "and 1 to 16 points")
    for name, split in splits.items():
        if len(bad := (~split.x.isfinite().all(1)).nonzero()):
            raise ValueError(f"{len(bad)} embeddings of {name} hold NaN or infinity, the first is of {split.files[split.row[int(bad[0])]]}: "
                             "look at that recording, or at the model")
    points, sign = grid()[: options.points], 1 if SCORES[scores[0]].maximize else -1
    filters = tuple(itertools.product(*((post or POST)[name] for name in POST)))
    shared = options.as_published
    total = options.points + len(folds) - 1 if shared else options.points * len(folds)
    tried, rows, said = [], [], []
    with tqdm(total=total, desc=bar, disable=bar is None, leave=False, unit="training") as progress:
        for number, fold in enumerate(folds):
            train, valid, test = (Split.join([splits[name] for name in names]) for names in fold)
            best = None
            for i, point in enumerate(points):
                trained = _train(train, valid, prediction, scores[0], point, options, every, filters, training.generator(seed, number, i))
                tried.append(dict(fold=number, **point._asdict(), valid=trained.valid, epoch=trained.epoch, looks=trained.looks,
                                  seconds=trained.seconds))
                progress.update()
                if best is None or sign * trained.valid > sign * best[1].valid:  # the first of equals
                    best = point, trained
            point, trained = best
            points = [point] if shared else points
            values, guesses = _score(trained.model, test, prediction, scores, (trained.post,))[:2]
            said.append(Answers([f"{name}/{file}" for name in fold.test for file in splits[name].files], guesses,
                                test.truth if SCORES[scores[0]].events else test.y.numpy()))
            rows.append(dict(test=" ".join(fold.test), **point._asdict(), valid=trained.valid, epoch=trained.epoch, **values)
                        | (dict(zip(("median_ms", "shortest_ms"), trained.post)) if SCORES[scores[0]].events else {}))
    table = pd.DataFrame(rows)
    together = [np.concatenate(x) if isinstance(x[0], np.ndarray) else [e for part in x for e in part] for x in list(zip(*said))[1:]]
    means = {name: float(table[name].mean()) for name in scores}
    return Result(means[scores[0]], means, table, pd.DataFrame(tried), Answers([f for s in said for f in s.files], *together))


def _train(train: Split, valid: Split, prediction: str, score: str, point: Point, options: Options, every: int,
           filters: Sequence[tuple[float, float]], rng: torch.Generator) -> _Trained:
    """Adam from one point of the grid; the weights at the best look at valid."""
    begun, device, sign = time.monotonic(), training.accelerator().device, 1 if SCORES[score].maximize else -1
    if len(train.x) < 2:
        raise ValueError(f"{len(train.x)} embeddings to train on: batch norm needs two at least")
    x, y = train.x.to(device), train.y.to(device)
    loss_of = nn.functional.binary_cross_entropy_with_logits if prediction == "multilabel" else nn.functional.cross_entropy  # of one-hot targets
    best, kept, waited, looks = None, None, 0, 0
    size = options.batch_events if SCORES[score].events else options.batch
    with torch.random.fork_rng([device] if device.type == "cuda" else []):  # weights and dropout draw from the global generators
        torch.manual_seed(torch.randint(2**62, (), generator=rng).item())
        model = network(x.shape[1], y.shape[1], point, options).to(device)
        adam = torch.optim.Adam(model.parameters(), lr=point.lr)
        order = _once_shuffled(train.row, random.Random(0))  # by file, before the first epoch, as the kit does when it joins embeddings
        for epoch in range(1, options.epochs + 1):
            model.train()
            order = order if options.as_published else torch.randperm(len(x), generator=rng)
            for rows in _batches(order, size):
                loss = loss_of(model(x[rows]), y[rows])
                adam.zero_grad()
                loss.backward()
                adam.step()
            if epoch % every:
                continue
            looks += 1
            values, _, post = _score(model, valid, prediction, (score,), filters)
            if not math.isfinite(values[score]):
                if looks == 1 and all(p.isfinite().all() for p in model.parameters()):
                    raise ValueError(f"{score} has no value on valid, {len(valid.files)} recordings of {int(valid.y.any(0).sum())} labels: "
                                     "it needs recordings with and without each label, so look at this split")
                break  # training has come to nothing at this learning rate
            if best is None or sign * values[score] > sign * best[0]:
                best, kept, waited = (values[score], epoch, post), copy.deepcopy(model.state_dict()), 0
            elif (waited := waited + 1) >= options.patience:
                break
    if best is None:
        best = (-sign * math.inf, 0, filters[0])
    else:
        model.load_state_dict(kept)
    return _Trained(model.eval(), *best, looks, time.monotonic() - begun)


def _once_shuffled(row: np.ndarray, rng: random.Random) -> Tensor:
    """The rows (n,), recording after recording, in one random order of the recordings."""
    parts = np.split(np.arange(len(row)), np.flatnonzero(np.diff(row)) + 1)
    rng.shuffle(parts)
    return torch.from_numpy(np.concatenate(parts))


def _batches(order: Tensor, size: int) -> list[Tensor]:
    parts = list(order.split(size))
    return parts if len(parts) == 1 or len(parts[-1]) > 1 else [*parts[:-2], torch.cat(parts[-2:])]


@torch.no_grad()
def _score(model: nn.Module, split: Split, prediction: str, scores: Sequence[str], filters: Sequence[tuple[float, float]]
           ) -> tuple[dict[str, float], np.ndarray | Events, tuple[float, float]]:
    """The scores of a split, the guesses they are of, and for events the best of some filters by the first score."""
    device = next(model.parameters()).device
    logits = torch.cat([model.eval()(part.to(device)).double().cpu() for part in split.x.split(8192)])  # (n, C)
    p = (logits.sigmoid() if prediction == "multilabel" else logits.softmax(1)).numpy()
    if not np.isfinite(p).all():
        return dict.fromkeys(scores, math.nan), p, filters[0]
    if not SCORES[scores[0]].events:
        return {name: SCORES[name].of(p, split.y.numpy()) for name in scores}, p, filters[0]
    starts = np.flatnonzero(np.diff(split.row, prepend=-1))
    of = dict(zip(split.row[starts], zip(np.split(p, starts[1:]), np.split(split.times, starts[1:]))))
    found = []
    for post in filters:
        guesses = [events(*of[r], *post) if r in of else [] for r in range(len(split.files))]
        value = SCORES[scores[0]].of(guesses, split.truth)
        found.append((value if math.isfinite(value) else 0.0, post, guesses))
    value, post, guesses = max(found, key=lambda f: f[:2])
    return {scores[0]: value} | {name: SCORES[name].of(guesses, split.truth) for name in scores[1:]}, guesses, post
