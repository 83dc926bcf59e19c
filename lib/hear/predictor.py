"""HEAR's predictor: a shallow network on frozen embeddings, chosen and stopped on valid.

It is hear-eval-kit's protocol without Lightning, after heareval/predictions/task_predictions.py (heareval 2021.1.3):
the same networks, grid, stopping, folds and events. Two of the kit's habits that no paper tells are kept: rows are
shuffled once, not before each epoch, and the grid is searched on the first fold only; the others take its best point.
Other than there, each run has a seed, and a last batch of one row, on which batch norm fails, joins the one before.
"""

import copy
import itertools
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lib import hardware, progress, training
from lib.hear.scores import SCORES, Events, events

__all__ = ["Options", "Point", "grid", "Split", "Fold", "Answers", "Result", "evaluate", "network"]

Post = tuple[float, float] | None  # how events are made of probabilities: median filter, shortest (ms); None for scenes
POST = {"median_filter_ms": [250.0], "min_duration": [125.0, 250.0]}  # the kit's, where a task brings none of its own
LOSSES = {"multilabel": nn.functional.binary_cross_entropy_with_logits,
          "multiclass": nn.functional.cross_entropy}  # of one-hot targets


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


class Point(NamedTuple):
    layers: int
    init: str  # of torch.nn.init
    lr: float


def grid() -> list[Point]:
    """The kit's 16 points in the kit's order: shuffled with seed 42, whatever the seed of a run."""
    inits, rates = ("xavier_uniform_", "xavier_normal_"), (3.2e-3, 1e-3, 3.2e-4, 1e-4)
    points = [Point(*values) for values in itertools.product((1, 2), inits, rates)]
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
        first = np.cumsum([0] + [len(s.files) for s in splits])
        return Split(torch.cat([s.x for s in splits]), torch.cat([s.y for s in splits]),
                     [file for s in splits for file in s.files],
                     np.concatenate([s.row + n for s, n in zip(splits, first)]),
                     np.concatenate([s.times for s in splits]), [recording for s in splits for recording in s.truth])


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
    folds: pd.DataFrame  # a row per fold: test, its training as in `tried`, scores; of events median_ms, shortest_ms
    tried: pd.DataFrame  # a row per training: fold, layers, init, lr, valid, epoch of the best look, looks, seconds
    answers: Answers


class _Protocol(NamedTuple):
    """What all trainings on a task share."""

    prediction: str
    score: str  # chooses
    sign: int  # 1 where a higher one is better, else -1
    posts: list[Post]  # tried at every look
    options: Options


class _Trained(NamedTuple):
    """A network with the weights of its best look at valid, and its row of `Result.tried`."""

    model: nn.Module
    point: Point
    post: Post
    about: dict[str, object]


def network(width: int, classes: int, point: Point, options: Options) -> nn.Sequential:
    """One or two blocks of Linear, BatchNorm, Dropout, ReLU in this order, then Linear: (n, D) -> logits (n, C)."""
    layers, gain = [], 1.0
    for _ in range(point.layers):
        linear = nn.Linear(width, options.hidden)
        getattr(nn.init, point.init)(linear.weight, gain=gain)
        layers += [linear, nn.BatchNorm1d(options.hidden), nn.Dropout(options.dropout), nn.ReLU()]
        width, gain = options.hidden, nn.init.calculate_gain("relu")
    layers.append(nn.Linear(width, classes))
    getattr(nn.init, point.init)(layers[-1].weight, gain=gain)
    return nn.Sequential(*layers)


def evaluate(splits: Mapping[str, Split], folds: Sequence[Fold], prediction: str, scores: Sequence[str], seed: int,
             options: Options = Options(), *, post: Mapping[str, list[float]] | None = None, bar: str = "") -> Result:
    """Search the grid on the first fold's valid, train every fold at the point found, and score its test.

    prediction: "multiclass" (softmax, cross-entropy) or "multilabel" (sigmoid, binary cross-entropy). scores: names of
    `scores.SCORES`, the first chooses. post: for events, the widths of the median filter and the shortest events to
    try, in ms. ValueError where embeddings are not finite, or where valid cannot be scored."""
    posts, chooser = [None], SCORES[scores[0]]
    if chooser.events:
        posts = list(itertools.product(*((post or POST)[name] for name in POST)))
        options = replace(options, batch=options.batch_events, every=options.every_events)
    _check(splits, options)
    protocol = _Protocol(prediction, scores[0], chooser.sign, posts, options)
    points = grid()[: options.points]
    tried, rows, files, guesses, targets = [], [], [], [], []
    total = len(points) + len(folds) - 1
    with progress.bar(total=total, desc=f"predictor {bar}", leave=False, unit="training") as done:
        for number, fold in enumerate(folds):
            train, valid, test = (Split.join([splits[name] for name in names]) for names in fold)
            trainings = []
            for i, point in enumerate(points):
                trainings.append(_train(train, valid, point, protocol, training.generator(seed, number, i)))
                done.update()
            tried += [{"fold": number} | trained.about for trained in trainings]
            best = max(trainings, key=lambda trained: chooser.sign * trained.about["valid"])  # the first of equals
            points = [best.point]
            answers, values = _scored(_probabilities(best.model, test, prediction), test, best.post, scores)
            rows.append({"test": " ".join(fold.test)} | best.about | values
                        | dict(zip(("median_ms", "shortest_ms"), best.post or ())))
            files += [f"{name}/{file}" for name in fold.test for file in splits[name].files]
            guesses += list(answers)
            targets += list(test.truth if chooser.events else test.y.numpy())
    if not chooser.events:
        guesses, targets = np.stack(guesses), np.stack(targets)  # (R, C)
    table = pd.DataFrame(rows)
    means = {name: float(table[name].mean()) for name in scores}
    return Result(means[scores[0]], means, table, pd.DataFrame(tried), Answers(files, guesses, targets))


def _check(splits: Mapping[str, Split], options: Options) -> None:
    if options.epochs < options.every or not 1 <= options.points <= 16:
        raise ValueError(f"{options.epochs} epochs with a look at valid every {options.every}, {options.points} "
                         "points of the grid: needs at least one look, and 1 to 16 points")
    for name, split in splits.items():
        if len(bad := (~split.x.isfinite().all(1)).nonzero()):
            raise ValueError(f"{len(bad)} embeddings of {name} hold NaN or infinity, the first is of "
                             f"{split.files[split.row[int(bad[0])]]}: look at that recording, or at the model")


def _train(train: Split, valid: Split, point: Point, protocol: _Protocol, rng: torch.Generator) -> _Trained:
    """Adam from one point of the grid, with a look at valid every few epochs, until none has been better for long."""
    if len(train.x) < 2:
        raise ValueError(f"{len(train.x)} embeddings to train on: batch norm needs two at least")
    began, device, options, sign = time.monotonic(), hardware.accelerator().device, protocol.options, protocol.sign
    x, y = train.x.to(device), train.y.to(device)  # (n, D), (n, C)
    batches, loss_of = _batches(train.row, options.batch), LOSSES[protocol.prediction]
    best, best_epoch, post, weights = -sign * math.inf, 0, protocol.posts[0], None
    with torch.random.fork_rng([device] if device.type == "cuda" else []):  # weights and dropout draw from torch's own
        torch.manual_seed(torch.randint(2**62, (), generator=rng).item())
        model = network(x.shape[1], y.shape[1], point, options).to(device)
        adam = torch.optim.Adam(model.parameters(), lr=point.lr)
        for epoch in range(options.every, options.epochs + 1, options.every):
            model.train()
            for rows in batches * options.every:
                loss = loss_of(model(x[rows]), y[rows])
                adam.zero_grad()
                loss.backward()
                adam.step()
            value, way = _look(model, valid, protocol)
            if not math.isfinite(value):
                if weights is None and all(w.isfinite().all() for w in model.parameters()):
                    raise ValueError(f"{protocol.score} has no value on valid, {len(valid.files)} recordings of "
                                     f"{int(valid.y.any(0).sum())} labels: it needs recordings with and without each "
                                     "label, so look at this split")
                break  # training has come to nothing at this learning rate
            if sign * value > sign * best:
                best, best_epoch, post, weights = value, epoch, way, copy.deepcopy(model.state_dict())
            elif epoch - best_epoch >= options.patience * options.every:
                break
    if weights is not None:
        model.load_state_dict(weights)
    about = {"valid": best, "epoch": best_epoch, "looks": epoch // options.every, "seconds": time.monotonic() - began}
    return _Trained(model.eval(), point, post, point._asdict() | about)


def _batches(row: np.ndarray, size: int) -> list[Tensor]:
    """The rows (n,) in batches, recording after recording, in one random order of them that no seed changes."""
    recordings = np.split(np.arange(len(row)), np.flatnonzero(np.diff(row)) + 1)
    random.Random(0).shuffle(recordings)  # as the kit does when it joins embeddings
    batches = list(torch.from_numpy(np.concatenate(recordings)).split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _look(model: nn.Module, valid: Split, protocol: _Protocol) -> tuple[float, Post]:
    """The score that chooses, and the way to make events by which it is best."""
    p, name = _probabilities(model, valid, protocol.prediction), protocol.score
    looks = [(_scored(p, valid, post, [name])[1][name], post) for post in protocol.posts]
    return max(looks, key=lambda look: (protocol.sign * look[0], look[1]))


@torch.no_grad()
def _probabilities(model: nn.Module, split: Split, prediction: str) -> np.ndarray:
    device = next(model.parameters()).device
    logits = torch.cat([model.eval()(x.to(device)).cpu().double() for x in split.x.split(8192)])  # (n, C)
    return (logits.sigmoid() if prediction == "multilabel" else logits.softmax(1)).numpy()


def _scored(p: np.ndarray, split: Split, post: Post, names: Sequence[str]) -> tuple[np.ndarray | Events, dict]:
    """The answers that probabilities (n, C) amount to, and their scores; NaN where a network knows no numbers."""
    if not np.isfinite(p).all():
        return p, dict.fromkeys(names, math.nan)
    if post is None:
        return p, {name: SCORES[name].of(p, split.y.numpy()) for name in names}
    bounds = np.searchsorted(split.row, np.arange(len(split.files) + 1))  # recording r has the rows bounds[r : r + 2]
    guesses = [events(p[a:b], split.times[a:b], *post) for a, b in itertools.pairwise(bounds)]
    return guesses, {name: SCORES[name].of(guesses, split.truth) for name in names}
