"""From window probabilities to one number per study arm: pooling, Top-k, the class average, intervals and differences.

Scores are shares from 0 to 1. Random functions take a `numpy.random.Generator`."""
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.metrics import average_precision_score, precision_recall_curve

__all__ = ["restrict", "restrict_as_published", "Pool", "pool", "topk_hits", "per_class_recall", "class_average",
           "mean_average_precision", "mean_best_f1", "Recall", "Scores", "Evaluation", "score", "evaluation",
           "Interval", "bootstrap", "paired_difference", "across_seeds", "smallest_detectable", "MADE", "verdict"]

MADE = "chorus"  # how the names of generated pools begin


class Recall(NamedTuple):
    labels: np.ndarray  # (C',) the classes that occur in the targets, ascending
    share: np.ndarray   # (C',) of their recordings that were hit
    count: np.ndarray   # (C',) recordings


class Interval(NamedTuple):
    value: float
    low: float   # 2.5 % percentile of the resampled values
    high: float  # 97.5 %


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
    """What every experiment says about its answers to val and test."""
    scores: dict[str, Scores]                  # "val" and "test"
    answers: dict[str, dict[str, np.ndarray]]  # per split what a record keeps, to be paired later: hits, targets, groups, (R,) each


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
    kept = np.where(total > 0, kept / np.where(total > 0, total, 1), 1 / len(classes))
    out = np.full_like(probabilities, -np.inf)                            # (N, C)
    out[:, classes] = kept
    return out


def restrict_as_published(logits: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """How iNatSounds' own code hides the other classes: logits (B, C) -> probabilities (B, C), all of them above 0.

    It sets them to the lowest logit of the whole batch before the softmax over all C (`mask_prediction`, train_eval.py:33-35,
    of cvl-umass/iNatSounds), so they keep a little probability, and a recording's answer depends on what else is in the
    batch. `restrict` is the paper's text. Here to say how far a number made one way is from the other."""
    logits, classes = np.asarray(logits, dtype=np.float64), np.unique(np.asarray(classes, dtype=int))
    if logits.ndim != 2 or not np.isfinite(logits).all():
        raise ValueError(f"restrict_as_published wants finite logits (B, C), got shape {logits.shape}, "
                         f"{int((~np.isfinite(logits)).sum())} of them not finite")
    if not len(classes) or classes[0] < 0 or classes[-1] >= logits.shape[1]:
        raise ValueError(f"restrict_as_published got {len(classes)} classes ({classes[:3]} ...), needs 1 or more within "
                         f"0 .. {logits.shape[1] - 1}")
    masked = np.full_like(logits, logits.min())                           # (B, C)
    masked[:, classes] = logits[:, classes]
    return softmax(masked, axis=1)


class Pool:
    """What each recording's windows say together, added up batch by batch: the mean (this study), the "max"imum, or "logit".

    "logit" is the softmax of the mean logit, which is the geometric mean of the probabilities, made to sum to one: a window
    that is sure a class is absent outvotes the others. Memory is that of the answer, however many windows there are."""

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
            raise ValueError(f"pool wants probabilities (W, C) and an index (W,), got {probabilities.shape}, {index.shape}")
        if len(index) and index.max() >= len(self.counts):
            raise ValueError(f"pool wants recordings 0 .. {len(self.counts) - 1}, got {index.max()}")
        self.counts += np.bincount(index, minlength=len(self.counts))
        self.hidden &= np.isneginf(probabilities).all(axis=0)
        if self.how == "max":
            np.maximum.at(self.total, index, probabilities)
            return
        with np.errstate(divide="ignore"):  # a window's logits are logarithms of its probabilities, but for a constant
            np.add.at(self.total, index, np.log(np.maximum(probabilities, 0)) if self.how == "logit" else probabilities)

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
        logs[np.isneginf(logs).all(axis=1)] = 0                           # each class ruled out by some window: no answer
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
    own = scores[np.arange(len(targets)), targets][:, None]               # (R, 1)
    above, equal = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    return np.where(own[:, 0] == -np.inf, 0.0, np.clip((k - above) / equal, 0.0, 1.0))


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


def _mean_over_classes(measure: Callable[..., float], scores: np.ndarray, targets: np.ndarray) -> float:
    """The mean of measure(is it this class (R,), its scores (R,)) over the classes in the targets; 0 for a hidden class."""
    scores, targets = np.asarray(scores, dtype=np.float64), np.asarray(targets)
    if scores.ndim != 2 or targets.shape != scores.shape[:1] or not len(targets):
        raise ValueError(f"mean AP and mean F1 want scores (R, C) and targets (R,), got {scores.shape}, {targets.shape}")
    values = []
    for label in np.unique(targets):
        own = scores[:, label]                                            # (R,)
        shown = ~np.isneginf(own)
        own = np.where(shown, own, own[shown].min(initial=0) - 1)         # scikit-learn refuses -inf
        values.append(measure(targets == label, own) if shown.any() else 0.0)
    return float(np.mean(values))


def mean_average_precision(scores: np.ndarray, targets: np.ndarray) -> float:
    """iNatSounds' mAP: per class that occurs, scikit-learn's average precision of its scores over recordings (R, C).

    It asks how well recordings are ranked for a species, where Top-k asks how well species are ranked for a recording."""
    return _mean_over_classes(average_precision_score, scores, targets)


def _best_f1(is_it: np.ndarray, scores: np.ndarray) -> float:
    precision, recall, _ = precision_recall_curve(is_it, scores)
    return float((2 * precision * recall / (precision + recall + 1e-10)).max())


def mean_best_f1(scores: np.ndarray, targets: np.ndarray) -> float:
    """iNatSounds' mF1: per class that occurs, the highest F1 that any threshold of its own reaches.

    Its README: "choosing the threshold maximising F1 (there may be different thresholds for different classes)"; in code
    `get_best_f1`, printed as F1-max (src/utils.py, read in the fork Wuao652/iNatSounds). The thresholds are chosen on the recordings that are scored, so it
    flatters: a constant model has 2p / (1 + p), with p the class's share of recordings."""
    return _mean_over_classes(_best_f1, scores, targets)


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
    """The scores of each split from its (probabilities (R, C), targets (R,), groups (R,)); `seed` draws the bootstrap of each anew."""
    scores = {split: score(p, targets, np.random.default_rng(seed), groups) for split, (p, targets, groups) in seen.items()}
    answers = {split: {"hits": topk_hits(p, targets, 1).round(3), "targets": targets, "groups": groups} for split, (p, targets, groups) in seen.items()}
    return Evaluation(scores, answers)


def _resampled(values: np.ndarray, targets: np.ndarray, groups: np.ndarray | None, n: int, rng: np.random.Generator,
               over: str = "groups") -> np.ndarray:
    """(S, R) values -> (n, S) class averages, each from groups drawn again, with replacement, within every class;
    or (over="classes") from the classes drawn again, each with all its recordings.

    The class average is linear in the values, so a difference of two arms is resampled as one set of values."""
    values, targets = np.atleast_2d(np.asarray(values, dtype=np.float64)), np.asarray(targets)
    groups = np.arange(len(targets)) if groups is None else np.asarray(groups)
    if not len(targets) or values.shape[1:] != targets.shape or groups.shape != targets.shape:
        raise ValueError(f"hits, targets and groups want one length above 0, got {values.shape[1:]}, {targets.shape}, "
                         f"{groups.shape}")
    labels = np.unique(targets)
    if over == "classes":
        share = np.stack([per_class_recall(row, targets).share for row in values])            # (S, C')
        drawn = rng.multinomial(len(labels), np.full(len(labels), 1 / len(labels)), size=n)   # (n, C') times each was drawn
        return drawn @ share.T / len(labels)
    if over != "groups":
        raise ValueError(f"over is {over!r}: it must be 'groups' or 'classes'")
    total = np.zeros((n, len(values)))                                    # (n, S)
    for label in labels:
        here = np.flatnonzero(targets == label)
        names, index = np.unique(groups[here], return_inverse=True)
        size = np.bincount(index)                                         # (G,) recordings per group
        hit = np.stack([np.bincount(index, weights=row) for row in values[:, here]])  # (S, G)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n)  # (n, G) times each was drawn
        total += (drawn @ hit.T) / (drawn @ size)[:, None]
    return total / len(labels)


def _interval(value: float, draws: np.ndarray) -> Interval:
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(value, float(low), float(high))


def bootstrap(hits: np.ndarray, targets: np.ndarray, groups: np.ndarray | None = None, n: int = 2000, *,
              rng: np.random.Generator) -> Interval:
    """The class average with its 95 % percentile interval, drawing groups (recordings if None) within each class.

    A class with a single group has nothing to draw from: it adds no width, so the interval is then too narrow."""
    return _interval(class_average(hits, targets), _resampled(hits, targets, groups, n, rng)[:, 0])


def paired_difference(hits_a: np.ndarray, hits_b: np.ndarray, targets: np.ndarray, groups: np.ndarray | None = None,
                      n: int = 2000, *, rng: np.random.Generator) -> Interval:
    """Class average of a minus that of b on the same recordings, (R,); each draw takes the same groups for both."""
    return across_seeds(np.asarray(hits_a)[None], np.asarray(hits_b)[None], targets, groups, n, rng=rng)


def _difference(hits_a: np.ndarray, hits_b: np.ndarray, targets: np.ndarray, groups: np.ndarray | None, n: int,
                rng: np.random.Generator, over: str = "groups") -> tuple[float, np.ndarray]:
    """(S, R) each -> the difference of class averages and n resampled ones, over seeds and, within class, groups."""
    hits_a, hits_b = (np.atleast_2d(np.asarray(hits, dtype=np.float64)) for hits in (hits_a, hits_b))
    if hits_a.shape != hits_b.shape:
        raise ValueError(f"a paired difference wants the same seeds and recordings, got {hits_a.shape}, {hits_b.shape}")
    seeds = len(hits_a)
    by_seed = _resampled(hits_a - hits_b, targets, groups, n, rng, over)  # (n, S)
    drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=n)     # (n, S)
    return class_average((hits_a - hits_b).mean(axis=0), targets), (by_seed * drawn).sum(axis=1) / seeds


def across_seeds(hits_a: np.ndarray, hits_b: np.ndarray, targets: np.ndarray, groups: np.ndarray | None = None,
                 n: int = 2000, *, over: str = "groups", rng: np.random.Generator) -> Interval:
    """The difference a - b of two arms run with the same seeds on the same recordings, (S, R) each.

    Every draw takes seeds and, within each class, groups, the same ones for both arms. Three seeds are few: such an
    interval is a lower bound on the doubt about the seed. over="groups" asks about other recordings of these species;
    over="classes" about other species: it draws classes with the recordings they have, the usual bootstrap of clusters."""
    return _interval(*_difference(hits_a, hits_b, targets, groups, n, rng, over))


def smallest_detectable(hits_a: np.ndarray, hits_b: np.ndarray, targets: np.ndarray, groups: np.ndarray | None = None,
                        n: int = 2000, *, rng: np.random.Generator) -> float:
    """The half width of the 95 % interval if the arms, (R,) or (S, R), truly did not differ: smaller is undecided here.

    Computed from the draws of `across_seeds`, moved so that their centre is 0: the size that 95 % of them stay below.
    To state it before two arms exist, pass two seeds of one arm."""
    value, draws = _difference(hits_a, hits_b, targets, groups, n, rng)
    return float(np.quantile(np.abs(draws - value), 0.95))


def verdict(direction: float, intervals: list[Interval], seeds: int, data: str, few_groups: bool = False) -> str:
    """One of: same direction, opposite, undecided (an interval holds 0), or why there is none. On generated sound it says so."""
    sign = np.sign(intervals[0].value)
    if seeds < 2 or few_groups:
        return " and ".join(["one seed"] * (seeds < 2) + ["too few groups"] * int(few_groups)) + ", no verdict"
    if any(i.low <= 0 <= i.high for i in intervals):
        said = "undecided"
    elif not direction:
        said = f"{'higher' if sign > 0 else 'lower'}, the paper does not say"
    else:
        said = "same direction" if sign == direction else "opposite"
    return f"in the generator's world: {said}" if data.startswith(MADE) else said
