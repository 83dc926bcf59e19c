"""What a score means: calibration on val, one threshold a species for a wanted precision, and what to expect of finds.

A calibrated score of 0.8 is right four times in five, on recordings like those of val. In the field a species may be
rarer and the noise another: then fewer finds are true (exercise 4 of notebook 12)."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from lib.field.species import wilson

__all__ = ["Calibration", "calibrate", "scores", "reliability", "thresholds", "tested", "expected"]

WAYS = ("as it is", "one temperature", "one line", "a line each")
LEAST = 3  # groups whose finds are right: fewer cannot support a threshold
FOLDS = 5
SHARPEST = 1e-6  # of the regression's penalty; without any, labels that never overlap would have no end


class Calibration(NamedTuple):
    way: str  # of WAYS
    slope: np.ndarray  # (C,) of the log odds
    offset: np.ndarray  # (C,)
    losses: dict[str, float]  # of each way, the log loss of val's windows, groups held out

    @property
    def numbers(self) -> list[float]:
        """As a card keeps them."""
        return [round(float(x), 6) for x in (*self.slope, *self.offset)]


def calibrate(odds: np.ndarray, targets: np.ndarray, groups: np.ndarray) -> Calibration:
    """From val's log odds (N, C), the numbers of the true labels and the groups (N,).

    Four ways, from nothing to a line for every label (Platt 1999): that with the lowest log loss where each fold of
    groups is asked about what the others taught."""
    truth = targets[:, None] == np.arange(odds.shape[1])
    folds = min(FOLDS, len(np.unique(groups)))
    losses = {}
    for way in WAYS:
        parts = GroupKFold(folds).split(odds, groups=groups) if folds > 1 else [(slice(None), slice(None))]
        losses[way] = float(np.concatenate([
            _loss(scores(odds[test], *_lines(way, odds[train], truth[train])), truth[test]) for train, test in parts
        ]).mean())
    best = min(WAYS, key=losses.get)
    return Calibration(best, *_lines(best, odds, truth), losses)


def scores(odds: np.ndarray, slope: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Log odds (N, C) as calibrated probabilities, each label by itself."""
    return expit(slope * odds + offset)


def _loss(p: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The log loss of every window (N,), the mean over its labels."""
    return -np.log(np.where(truth, p, 1 - p).clip(1e-12)).mean(1)


def _lines(way: str, odds: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and offset (C,) of each label."""
    C = odds.shape[1]
    if way == "as it is":
        return np.ones(C), np.zeros(C)
    if way != "a line each":
        return tuple(np.full(C, x) for x in _line(odds.ravel(), truth.ravel(), way == "one line"))
    return tuple(np.array([_line(odds[:, c], truth[:, c], True) for c in range(C)]).T)


def _line(odds: np.ndarray, truth: np.ndarray, offset: bool) -> tuple[float, float]:
    """The line through log odds (N,) under which the truth is likeliest; as it is where all are of one kind, or where
    it would fall."""
    if truth.all() or not truth.any():
        return 1.0, 0.0
    model = LogisticRegression(C=1 / SHARPEST, fit_intercept=offset).fit(odds[:, None], truth)
    slope, start = float(model.coef_[0, 0]), float(np.ravel(model.intercept_)[0])
    return (slope, start) if slope > 0 else (1.0, 0.0)


def reliability(p: np.ndarray, truth: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """Scores (N,) in tenths against how often they are right: score (the mean), share, n; empty bins are left out."""
    place = np.minimum((p * bins).astype(int), bins - 1)
    table = pd.DataFrame({"bin": place, "score": p, "share": truth.astype(float)})
    return table.groupby("bin").agg(score=("score", "mean"), share=("share", "mean"), n=("score", "size"))


def thresholds(p: np.ndarray, targets: np.ndarray, groups: np.ndarray, labels: list[str],
               precision: float) -> pd.DataFrame:
    """For each label the lowest threshold from which on `precision` of val's windows found are right.

    p (N, C), targets and groups (N,). A row a label: threshold, found, right, precision with its Wilson interval (n =
    groups) and recall, on the windows that chose it: too good by a little. `supported` is False where no threshold
    reaches it with right finds in three groups: the label then has the highest of the others, at least `precision`."""
    rows = [_threshold(p[:, c], targets == c, groups, precision) for c in range(len(labels))]
    highest = max([precision, *(row["threshold"] for row in rows if row["supported"])])
    for c, row in enumerate(rows):
        if not row["supported"]:
            row |= _counted(p[:, c], targets == c, groups, highest)
    return pd.DataFrame(rows, index=pd.Index(labels, name="species"))


def _threshold(p: np.ndarray, true: np.ndarray, groups: np.ndarray, precision: float) -> dict:
    order = np.argsort(-p, kind="stable")
    share = true[order].cumsum() / np.arange(1, len(p) + 1)
    last = np.append(np.diff(p[order]) < 0, True)  # equal scores are found together
    enough = np.flatnonzero((share >= precision) & last)
    counted = _counted(p, true, groups, p[order[enough[-1]]] if len(enough) else 1.0)
    right = len(np.unique(groups[true & (p >= counted["threshold"])]))
    return counted | {"supported": bool(len(enough)) and right >= LEAST}


def _counted(p: np.ndarray, true: np.ndarray, groups: np.ndarray, threshold: float) -> dict:
    threshold = float(np.floor(min(threshold, 1.0) * 1e6) / 1e6) or 1e-6  # as a card keeps it
    found = p >= threshold
    right = int((found & true).sum())
    share = right / found.sum() if found.any() else np.nan
    low, high = wilson(share, len(np.unique(groups[found])))
    return {"threshold": threshold, "found": int(found.sum()), "right": right, "precision": share, "low": low,
            "high": high, "recall": right / max(1, true.sum())}


def tested(table: pd.DataFrame, p: np.ndarray, targets: np.ndarray) -> pd.DataFrame:
    """`thresholds`' table with on_test: the precision of its thresholds among other windows, p (N, C) and targets (N,);
    nan where nothing is found."""
    hit = p >= table["threshold"].to_numpy()
    right = (hit & (targets[:, None] == np.arange(p.shape[1]))).sum(0)
    return table.assign(on_test=right / np.where(hit.any(0), hit.sum(0), np.nan))


def expected(selections: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Of new selections: how many of each species, and how many of them to expect true by `thresholds`' precision, with
    its interval, which has no room for the luck of so few finds.

    That precision is of windows. A true selection joins more of them than a false one, so that of selections fewer may
    be true; fewer still where new recordings hold a species more seldom than val."""
    found = selections["label"].value_counts().rename("selections")
    own = table.loc[found.index, ["precision", "low", "high"]].mul(found, axis=0)
    return pd.concat([found, own.rename(columns={"precision": "true"}).round(1)], axis=1).rename_axis("species")
