"""A detector: a frozen model and, above its features, one yes-or-no regression for each label.

A softmax shares one certainty among all labels. Here each is asked by itself, so that two species that call together
both score, and "noise" is what none of them is. What is kept is a small module that answers as what was evaluated."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from lib import mel, metrics, paths, progress
from lib.checkpoints import Card
from lib.mae import MAE
from lib.mel import FrontEnd, LogMel
from lib.sources import tables
from lib.transfer import finetune, probe, reference
from lib.transfer.probe import Features
from lib.transfer.reference import Frozen

__all__ = ["LOGMEL", "HEAD", "logmel", "load", "hear", "Learnt", "learn", "windows", "odds",
           "tuned_odds", "without", "recordings", "Detector", "detector", "empty"]

LOGMEL = "logmel"
HEAD = ("mean", "scale", "head.weight", "head.bias")  # a detector's own tensors
UNUSED = ("class", "scores")  # kinds of features that no detector reads


def logmel(front: FrontEnd) -> Frozen:
    """No network: each mel band's mean and standard deviation over a window's frames, (B, N) -> (B, 2*M)."""
    log_mel = LogMel(front)

    def features(waves: Tensor) -> Tensor:
        spec = log_mel(waves.cpu(), frames=front.frames)[:, 0, : max(1, front.count(waves.shape[1]))]  # (B, T', M)
        return torch.cat([spec.mean(1), spec.std(1, unbiased=False)], 1)

    what = "statistics of the log-mel, nothing learnt"
    return Frozen(LOGMEL, what, front.rate, front.samples, 2 * front.mels, paths.key(front), features)


def load(name: str) -> tuple[MAE, Card] | Frozen:
    """A model by its name: a MAE of ours with its card ("ready", public weights, the path of a checkpoint), "birdnet",
    as `reference.load` has them, or "logmel"."""
    if name == LOGMEL:
        return logmel(mel.INAT)
    return reference.load(name) if name.partition(":")[0] == "birdnet" else reference.weights(name)


def hear(model: tuple[MAE, Card] | Frozen, table: pd.DataFrame) -> dict[str, Features]:
    """What a model says about every window of a table, and the log-mel beside it, by their names: what it must beat."""
    if isinstance(model, Frozen):
        return {one.name: reference.features(one, table) for one in (model, logmel(mel.INAT))}
    mae, card = model
    return {card.name: probe.features(mae, card.front, table, tokens=False),
            LOGMEL: reference.features(logmel(card.front), table)}


class Learnt(NamedTuple):
    """Regressions on standardised features (N, D)."""
    name: str  # of the features' model
    kind: str  # of its features
    labels: list[str]  # C of them
    mean: np.ndarray  # (D,) of the train windows
    scale: np.ndarray  # (D,)
    weight: np.ndarray  # (C, D)
    bias: np.ndarray  # (C,)
    C: float  # how free they are
    val: float  # mean average precision of val's windows

    def odds(self, x: np.ndarray) -> np.ndarray:
        """The log odds of every label: (N, D) -> (N, C)."""
        return (x - self.mean) / self.scale @ self.weight.T + self.bias


def learn(known: Mapping[str, Features], Cs: tuple[float, ...] = (0.03, 0.3, 3.0)) -> tuple[Learnt, pd.DataFrame]:
    """Regressions on each kind of features of each model and for each C: the best on val, and a table of all.

    Windows of train count 1 / (windows of their recording); val is judged by the mean average precision of windows."""
    labels = next(iter(known.values())).labels
    if len(labels) < 2:
        raise ValueError(f"train has recordings of {', '.join(labels) or 'nothing'} alone: a detector needs what it is "
                         "not, too, such as a class noise or a folder of other sounds as general=")
    tried = [(name, kind, C) for name, features in known.items() for kind in features.kinds if kind not in UNUSED
             for C in Cs]
    found = [_regressions(known[name], name, kind, C)
             for name, kind, C in progress.bar(tried, desc="regressions", leave=False)]
    table = pd.DataFrame([{"features": one.name, "kind": one.kind, "numbers": len(one.mean), "C": one.C,
                           "val": one.val} for one in found])
    return max(found, key=lambda one: one.val), table


def _regressions(features: Features, name: str, kind: str, C: float) -> Learnt:
    (rows, targets, _), (asked, truth, _) = windows(features, "train"), windows(features, "val")
    x, weight = features.kinds[kind], 1 / np.bincount(features.row)[features.row[rows]]
    scaler = StandardScaler().fit(x[rows])
    z = scaler.transform(x[rows])
    with threadpool_limits(1, "blas"):  # as in `probe.regression`
        each = [LogisticRegression(C=C, max_iter=1000, tol=1e-3).fit(z, targets == c, sample_weight=weight)
                for c in range(len(features.labels))]
    learnt = Learnt(name, kind, features.labels, scaler.mean_, scaler.scale_, np.concatenate([m.coef_ for m in each]),
                    np.concatenate([m.intercept_ for m in each]), C, 0.0)
    return learnt._replace(val=metrics.mean_average_precision(learnt.odds(x[asked]), truth))


def windows(features: Features, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The windows of a split, and of each its label's number and its group, (n,) all."""
    rows = np.flatnonzero((features.table["split"] == split).to_numpy()[features.row])
    if not len(rows):
        raise ValueError(f"there are no recordings in {split}: a detector learns on train, is chosen and calibrated on "
                         "val and scored on test; let `folder` make the split")
    row = features.row[rows]
    targets = np.searchsorted(features.labels, features.table["label"].to_numpy()[row])
    return rows, targets, pd.factorize(tables.units(features.table))[0][row]


def odds(learnt: Learnt, features: Features, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The log odds (W, C) of a split's windows, and of each its label's number and its group (W,)."""
    rows, targets, groups = windows(features, split)
    return learnt.odds(features.kinds[learnt.kind][rows]), targets, groups


def tuned_odds(model: nn.Module, front: FrontEnd, table: pd.DataFrame, labels: list[str],
               split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of a finetuned model: each label's odds against all others, by its softmax."""
    part = table[table["split"] == split].reset_index(drop=True)
    logits, rows = map(np.concatenate, zip(*finetune.window_logits(model, front, part)))
    p = softmax(logits.astype(float), 1)
    return (np.log(p) - np.log1p(-p), np.searchsorted(labels, part["label"])[rows],
            pd.factorize(tables.units(part))[0][rows])


def without(features: Features, label: str) -> Features:
    """The features without the recordings of a label."""
    keep = (features.table["label"] != label).to_numpy()
    own = keep[features.row]
    return replace(features, table=features.table[keep].reset_index(drop=True), columns=features.columns[own],
                   row=(keep.cumsum() - 1)[features.row[own]], kinds={k: x[own] for k, x in features.kinds.items()},
                   labels=[name for name in features.labels if name != label])


def recordings(learnt: Learnt, features: Features) -> probe.Rung:
    """The same as a readout of `probe`, which scores recordings: each window's likeliest label."""
    x = features.kinds[learnt.kind]
    return probe.Rung(f"{learnt.name}, {learnt.kind}", lambda some: expit(learnt.odds(x[some])), pd.DataFrame(),
                      learnt.C, learnt.weight.size, 0.0, learnt)


class Detector(nn.Module):
    """Waves (B, N) -> log odds (B, C). What is filled up behind a short wave is left out, as when it was evaluated."""

    def __init__(self, encoder: Frozen, classes: int, vit: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder, self.vit = encoder, vit  # the weights behind the encoder's function, where they are ours
        self.register_buffer("mean", torch.zeros(encoder.width))
        self.register_buffer("scale", torch.ones(encoder.width))
        self.head = nn.utils.skip_init(nn.Linear, encoder.width, classes)

    def forward(self, waves: Tensor) -> Tensor:
        return self.head((self.encoder.features(waves).to(self.mean) - self.mean) / self.scale)


def detector(learnt: Learnt, model: tuple[MAE, Card] | Frozen) -> tuple[Detector, dict]:
    """What was learnt on `hear`'s features as one module, and what of its card says which encoder it is."""
    front = mel.INAT if isinstance(model, Frozen) else model[1].front
    if learnt.name == LOGMEL:
        model = logmel(front)
    if isinstance(model, Frozen):
        made = Detector(model, len(learnt.labels))
        about = {"arch": None, "front": front if learnt.name == LOGMEL else None, "encoder": model.name,
                 "encoder_key": model.key}
    else:
        mae, card = model
        made = Detector(reference.ours(mae, card, learnt.kind), len(learnt.labels), mae.encoder)
        about = {"arch": mae.arch, "front": front, "encoder": learnt.kind}
    own = zip(HEAD, (learnt.mean, learnt.scale, learnt.weight, learnt.bias))
    made.load_state_dict({name: torch.from_numpy(x) for name, x in own}, strict=False)
    return made.eval(), about


def empty(card: Card) -> Detector:
    """The detector of a card, without its numbers; ValueError where another's encoder is not the card's."""
    if card.arch and card.encoder in probe.KINDS:
        model = MAE(card.arch)
        return Detector(reference.ours(model, card, card.encoder), len(card.labels), model.encoder)
    encoder = logmel(card.front) if card.front and card.encoder == LOGMEL else reference.load(card.encoder)
    if encoder.key != card.encoder_key:
        raise ValueError(f"{card.name} was trained on other weights of {card.encoder} ({card.encoder_key}) than are "
                         f"here ({encoder.key}): install the version that it was trained on, or train it again")
    return Detector(encoder, len(card.labels))
