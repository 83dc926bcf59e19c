"""From window probabilities to one number per study arm: pooling, Top-k, the class average and its interval.

Scores are shares from 0 to 1. Random functions take a `numpy.random.Generator`."""
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.metrics import average_precision_score, precision_recall_curve

__all__ = ["restrict", "Pool", "pool", "topk_hits", "per_class_recall", "class_average", "mean_average_precision",
           "mean_best_f1", "Recall", "Scores", "Evaluation", "score", "evaluation", "Interval", "bootstrap",
           "single_groups"]

DRAWS = 2000  # of a bootstrap


class Recall(NamedTuple):
    labels: np.ndarray  # (C',) the classes that occur in the targets, ascending
    share: np.ndarray   # (C',) of their recordings that were hit
    count: np.ndarray   # (C',) recordings


class Interval(NamedTuple):
    value: float
    low: float   # 2.5 % percentile of the resampled values; NaN where no interval can be had
    high: float  # 97.5 %

    def __str__(self) -> str:
        """In percent; ends that leave no room between them are no interval."""
        ends = f" [{100 * self.low:.1f}, {100 * self.high:.1f}]" if self.low < self.high else " (no interval)"
        return f"{100 * self.value:.1f} %{ends}"


class Scores(NamedTuple):
    top1: Interval     # class average
    top5: Interval
    recall: Recall     # of top-1, per class
    classes: int       # how many classes the average runs over
    recordings: int
    chosen_from: int   # how many classes the guess could choose from, after `restrict`
    mean_ap: float     # iNatSounds' mAP and mF1, without an interval
    mean_f1: float


class Evaluation(NamedTuple):
    """What every experiment says about its answers to val and test, and per split the answers, to be paired later."""
    scores: dict[str, Scores]
    answers: dict[str, dict[str, np.ndarray]]  # hits, targets, groups, (R,) each


def restrict(probabilities: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Keeps only `classes`: (N, C) probabilities -> (N, C), the kept ones sum to one, the others are -inf.

    The same as a softmax over the kept logits alone. Call it on windows, before `pool` and before any ranking. With
    -inf a hidden class cannot be guessed, not even in a tie with a kept class of probability 0. iNatSounds does so."""
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.ndim != 2 or not (probabilities >= 0).all():
        raise ValueError(f"restrict wants probabilities (N, C) that are 0 or more, got shape {probabilities.shape}, "
                         f"lowest {probabilities.min(initial=np.inf):.3g}: apply softmax to logits first")
    classes = np.unique(np.asarray(classes, dtype=int))
    if not len(classes) or classes[0] < 0 or classes[-1] >= probabilities.shape[1]:
        raise ValueError(f"restrict got {len(classes)} classes ({classes[:3]} ...), needs 1 or more within "
                         f"0 .. {probabilities.shape[1] - 1}")
    kept = probabilities[:, classes]                                      # (N, C')
    total = kept.sum(axis=1, keepdims=True)                               # (N, 1)
    out = np.full_like(probabilities, -np.inf)                            # (N, C)
    out[:, classes] = np.where(total > 0, kept / np.where(total > 0, total, 1), 1 / len(classes))
    return out


class Pool:
    """What each recording's windows say together, added up batch by batch: their mean (this study), "max" or "logit".

    "logit" is the softmax of the mean logit, which is the geometric mean of the probabilities, made to sum to one: a
    window that is sure a class is absent outvotes the others. Memory is that of the answer, not of the windows."""

    def __init__(self, n: int, classes: int, how: str = "mean") -> None:
        if how not in ("mean", "max", "logit"):
            raise ValueError(f"pool got how={how!r}, needs 'mean' or 'max' or 'logit'")
        self.how, self.counts = how, np.zeros(n, dtype=int)               # windows of each recording (R,)
        self.total = np.full((n, classes), -np.inf if how == "max" else 0.0)
        self.hidden = np.ones(classes, dtype=bool)                        # what no window shows

    def add(self, probabilities: np.ndarray, recording_index: np.ndarray) -> None:
        """Windows (B, C), and the recording 0 .. n-1 (B,) each was cut from."""
        probabilities, index = np.asarray(probabilities, dtype=np.float64), np.asarray(recording_index)
        if probabilities.ndim != 2 or index.shape != probabilities.shape[:1]:
            raise ValueError("pool wants probabilities (W, C) and an index (W,), got "
                             f"{probabilities.shape}, {index.shape}")
        if len(index) and index.max() >= len(self.counts):
            raise ValueError(f"pool wants recordings 0 .. {len(self.counts) - 1}, got {index.max()}")
        self.counts += np.bincount(index, minlength=len(self.counts))
        self.hidden &= np.isneginf(probabilities).all(axis=0)
        if self.how == "logit":  # a window's logits are logarithms of its probabilities, but for a constant
            with np.errstate(divide="ignore"):
                probabilities = np.log(np.maximum(probabilities, 0))
        (np.maximum if self.how == "max" else np.add).at(self.total, index, probabilities)

    def result(self) -> np.ndarray:
        """Recordings (R, C). Classes that `restrict` has hidden stay hidden, as -inf."""
        if not self.counts.all():
            raise ValueError(f"pool wants every recording 0 .. {len(self.counts) - 1} to have a window, "
                             f"{int((self.counts == 0).sum())} recordings without any")
        if self.how == "max":
            return self.total
        mean = self.total / self.counts[:, None]
        if self.how == "mean":
            return mean
        shown = ~self.hidden
        logs = mean[:, shown]
        logs[np.isneginf(logs).all(axis=1)] = 0                           # each class ruled out by some window
        out = np.full_like(mean, -np.inf)
        out[:, shown] = softmax(logs, axis=1)
        return out


def pool(probabilities: np.ndarray, recording_index: np.ndarray, n: int, how: str = "mean") -> np.ndarray:
    """Windows (W, C) -> recordings (R=n, C), all at once: see `Pool`."""
    pooled = Pool(n, np.shape(probabilities)[-1], how)
    pooled.add(probabilities, recording_index)
    return pooled.result()


def topk_hits(scores: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    """(R, C), (R,) -> (R,): 1 where the target is among the k highest scores, 0 where it is not.

    Ties count as their expected value: a target that shares the last m of the k places with e - 1 equal scores counts
    m / e. So a constant model scores exactly k / C, whatever the order of classes. A score of -inf is never a hit."""
    scores, targets = np.asarray(scores, dtype=np.float64), np.asarray(targets)
    if scores.ndim != 2 or targets.shape != scores.shape[:1]:
        raise ValueError(f"topk_hits wants scores (R, C) and targets (R,), got {scores.shape}, {targets.shape}")
    if k < 1:
        raise ValueError(f"topk_hits got k={k}, needs 1 or more")
    if np.isnan(scores).any():
        raise ValueError(f"topk_hits got NaN in {int(np.isnan(scores).any(1).sum())} of {len(scores)} rows of scores")
    target = scores[np.arange(len(targets)), targets][:, None]            # (R, 1)
    above, equal = (scores > target).sum(axis=1), (scores == target).sum(axis=1)
    return np.where(target[:, 0] == -np.inf, 0.0, np.clip((k - above) / equal, 0.0, 1.0))


def per_class_recall(hits: np.ndarray, targets: np.ndarray) -> Recall:
    """The share of hits of every class that occurs in the targets."""
    hits, targets = np.asarray(hits, dtype=np.float64), np.asarray(targets)
    if not len(targets) or hits.shape != targets.shape:
        raise ValueError(f"per_class_recall wants hits and targets of one length, got {hits.shape}, {targets.shape}")
    labels, index, counts = np.unique(targets, return_inverse=True, return_counts=True)
    return Recall(labels, np.bincount(index, weights=hits) / counts, counts)


def class_average(hits: np.ndarray, targets: np.ndarray) -> float:
    """Mean recall over the classes that occur in the targets; for k = 1 this is scikit-learn's balanced accuracy.

    A class that is only guessed, never a target, does not enter (torchmetrics' macro accuracy counts it as a zero)."""
    return float(per_class_recall(hits, targets).share.mean())


def mean_average_precision(scores: np.ndarray, targets: np.ndarray) -> float:
    """iNatSounds' mAP: per class that occurs, scikit-learn's average precision of its scores, of recordings (R, C).

    It asks how well recordings are ranked for a species; Top-k asks how well species are ranked for a recording."""
    return _mean_over_classes(average_precision_score, scores, targets)


def mean_best_f1(scores: np.ndarray, targets: np.ndarray) -> float:
    """iNatSounds' mF1: per class that occurs, the highest F1 that any threshold of its own reaches.

    (`get_best_f1` in src/utils.py, read in the fork Wuao652/iNatSounds.) The thresholds are chosen on the recordings
    that are scored, so it flatters: a constant model has 2p / (1 + p), with p the class's share of recordings."""
    return _mean_over_classes(_best_f1, scores, targets)


def _best_f1(is_it: np.ndarray, scores: np.ndarray) -> float:
    precision, recall, _ = precision_recall_curve(is_it, scores)
    return float((2 * precision * recall / (precision + recall + 1e-10)).max())


def _mean_over_classes(measure: Callable[..., float], scores: np.ndarray, targets: np.ndarray) -> float:
    """The mean of measure(is it this class (R,), its scores (R,)) over the targets' classes; 0 for a hidden one."""
    scores, targets = np.asarray(scores, dtype=np.float64), np.asarray(targets)
    if scores.ndim != 2 or targets.shape != scores.shape[:1] or not len(targets):
        raise ValueError("mean AP and mean F1 want scores (R, C) and targets (R,), got "
                         f"{scores.shape}, {targets.shape}")
    values = []
    for label in np.unique(targets):
        column = scores[:, label]                                         # (R,)
        shown = ~np.isneginf(column)
        column = np.where(shown, column, column[shown].min(initial=0) - 1)  # scikit-learn refuses -inf
        values.append(measure(targets == label, column) if shown.any() else 0.0)
    return float(np.mean(values))


def score(scores: np.ndarray, targets: np.ndarray, rng: np.random.Generator,
          groups: np.ndarray | None = None) -> Scores:
    """Top-1 and Top-5 of recordings (R, C), class-averaged, with intervals, the recall of every class, mAP and mF1."""
    first = topk_hits(scores, targets, 1)
    return Scores(top1=bootstrap(first, targets, groups, rng=rng),
                  top5=bootstrap(topk_hits(scores, targets, 5), targets, groups, rng=rng),
                  recall=per_class_recall(first, targets), classes=len(np.unique(targets)), recordings=len(targets),
                  chosen_from=int(np.isfinite(scores).any(axis=0).sum()),
                  mean_ap=mean_average_precision(scores, targets), mean_f1=mean_best_f1(scores, targets))


def evaluation(seen: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]], seed: int) -> Evaluation:
    """The scores of each split from its (probabilities (R, C), targets (R,), groups (R,)); each draws from `seed`."""
    scores, answers = {}, {}
    for split, (probabilities, targets, groups) in seen.items():
        scores[split] = score(probabilities, targets, np.random.default_rng(seed), groups)
        answers[split] = {"hits": topk_hits(probabilities, targets, 1).round(3), "targets": targets, "groups": groups}
    return Evaluation(scores, answers)


def bootstrap(hits: np.ndarray, targets: np.ndarray, groups: np.ndarray | None = None, *,
              rng: np.random.Generator) -> Interval:
    """The class average with its 95 % percentile interval, drawing groups (recordings if None) within each class.

    The ends are NaN where no interval can be had: where more than half of the classes have a single group, which has
    nothing to draw from and would add no width, and where all draws are alike. A single group of a smaller part of the
    classes adds no width either: there the interval is a little too narrow."""
    hits, targets = np.asarray(hits, dtype=np.float64), np.asarray(targets)
    groups = np.arange(len(targets)) if groups is None else np.asarray(groups)
    if not len(targets) or hits.shape != targets.shape or groups.shape != targets.shape:
        raise ValueError(f"hits, targets and groups want one length above 0, got {hits.shape}, {targets.shape}, "
                         f"{groups.shape}")
    low, high = np.percentile(_resampled(hits, targets, groups, rng), [2.5, 97.5])
    if single_groups(targets, groups) > 0.5 or high - low < 1e-12:
        low = high = np.nan
    return Interval(class_average(hits, targets), float(low), float(high))


def single_groups(targets: np.ndarray, groups: np.ndarray) -> float:
    """The share of classes whose recordings are all of one group (R,): other groups might differ, and nothing tells."""
    group, targets = np.unique(groups, return_inverse=True)[1], np.asarray(targets)
    return float(np.mean([len(np.unique(group[targets == label])) == 1 for label in np.unique(targets)]))


def _resampled(hits: np.ndarray, targets: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(R,) hits -> (DRAWS,) class averages, each from groups drawn with replacement within every class."""
    labels, total = np.unique(targets), np.zeros(DRAWS)
    for label in labels:
        members = np.flatnonzero(targets == label)
        index = np.unique(groups[members], return_inverse=True)[1]
        size, hit = np.bincount(index), np.bincount(index, weights=hits[members])             # (G,) of each group
        drawn = rng.multinomial(len(size), np.full(len(size), 1 / len(size)), size=DRAWS)     # (n, G) how often taken
        total += (drawn @ hit) / (drawn @ size)
    return total / len(labels)
