"""What to label next: of many clips that nobody has listened to, the few that a listener's time is best spent on.

A rule sees vectors of a frozen encoder and, once some clips are labelled, the probabilities of a classifier. The rules:

    random   any; what every other rule has to beat
    margin   where the two likeliest species are closest (uncertainty sampling, Settles 2009)
    entropy  where the probabilities are most evenly spread over all species
    diverse  what lies furthest from all that is labelled or picked: greedy k-centre (core-set, Sener and Savarese 2018,
             arXiv:1708.00489)
    both     greedy k-centre among the FEWER * n clips of smallest margin
"""
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import entr
from sklearn.base import ClassifierMixin
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.isotonic import isotonic_regression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import euclidean_distances, pairwise_distances_argmin_min
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from lib import metrics, progress
from lib.transfer.probe import Features
from lib.transfer.reference import Frozen

__all__ = ["RULES", "vectors", "windows", "standard", "margin", "entropy", "spread_out", "choose", "learn", "ask",
           "steps", "simulate", "recalls", "Saved", "saved"]

RULES = ("random", "margin", "entropy", "diverse", "both")
FEWER = 4  # "both": of so many times n uncertain clips the n that lie far apart
WIDTH = 256  # principal components that are kept: a regression on them takes a fifth of a second, on all ten times that
C = 1.0  # of the regressions: of 0.001 to 1 the best on val, of chorus and of birds


# ---------------------------------------------------------------------------------------------------------- the vectors

def vectors(features: Features, kind: str) -> np.ndarray:
    """One vector a recording (R, D): the mean of its windows' of this kind."""
    x = features.kinds[kind]
    total = np.zeros((len(features.table), x.shape[1]))
    np.add.at(total, features.row, x)
    return total / np.bincount(features.row, minlength=len(total))[:, None]


def windows(features: Features, model: Frozen) -> pd.DataFrame:
    """Where each window of `reference.features` lies: file, start_s, end_s and its recording's label, W rows."""
    table, row = features.table, features.row
    count = np.bincount(row, minlength=len(table))
    number = np.arange(len(row)) - np.repeat(count.cumsum() - count, count)  # of a window in its recording
    begin = table["start_s"].fillna(0) if "start_s" in table else pd.Series(0.0, table.index)
    end = table["end_s"].fillna(table["duration_s"]) if "end_s" in table else table["duration_s"]
    length, first = (end - begin).to_numpy()[row], begin.to_numpy()[row]
    start = np.minimum(number * (model.samples // 2) / model.rate, np.maximum(0, length - model.seconds))
    return pd.DataFrame({"file": table["file"].to_numpy()[row], "start_s": first + start,
                         "end_s": first + np.minimum(start + model.seconds, length),
                         "label": table["label"].to_numpy()[row]})


def standard(x: np.ndarray, width: int = WIDTH, seed: int = 0) -> np.ndarray:
    """Vectors (N, D) -> (N, <= width): every number standardised, then the principal components with most variance.

    No label enters; all vectors do, those of test too. The components keep their variances, so that distances stay
    about what they were, and all are divided by one number that makes the mean variance 1."""
    x = StandardScaler().fit_transform(np.asarray(x, np.float64))
    if min(x.shape) > width:
        x = PCA(width, random_state=seed).fit_transform(x)
    return x / max(np.sqrt(x.var(axis=0).mean()), 1e-12)


# ------------------------------------------------------------------------------------------------------------ the rules

def margin(p: np.ndarray) -> np.ndarray:
    """How near the second likeliest species comes to the likeliest: (N, C) probabilities -> (N,), 0 a tie, 1 sure."""
    two = np.partition(p, -2, axis=1)[:, -2:]
    return two[:, 1] - two[:, 0]


def entropy(p: np.ndarray) -> np.ndarray:
    """The entropy of probabilities (N, C) in nats, from 0 (sure) to log C (no idea): (N,)."""
    return entr(p).sum(axis=1)


def spread_out(x: np.ndarray, n: int, taken: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Greedy k-centre: rows (n,) of x (N, D), each the furthest from all rows that are `taken` or were picked before.

    The largest distance from any clip to its nearest pick is then at most twice the smallest possible (Gonzalez 1985).
    Of equals the first. Groups of taken rows offer none, others at most one; fewer than n where they run out. With
    nothing taken the first pick is the one furthest from the mean of all."""
    groups = np.arange(len(x)) if groups is None else np.asarray(groups)
    free = ~np.isin(groups, groups[taken])
    near = (pairwise_distances_argmin_min(x, x[taken])[1] if len(taken)
            else euclidean_distances(x, x.mean(axis=0, keepdims=True))[:, 0])  # (N,) to the nearest centre
    picked, begun = [], len(taken) > 0
    while len(picked) < n and free.any():
        best = int(np.argmax(np.where(free, near, -1)))
        picked.append(best)
        free &= groups != groups[best]
        away = euclidean_distances(x, x[[best]])[:, 0]
        near, begun = (np.minimum(near, away) if begun else away), True
    return np.array(picked, dtype=int)


def choose(rule: str, n: int, x: np.ndarray, labelled: Sequence[int], rng: np.random.Generator, *,
           p: np.ndarray | None = None, groups: Sequence | None = None) -> np.ndarray:
    """The next n clips to label, as rows (n,) of x (N, D) in the order of picking; one of `RULES`.

    x: vectors on one scale, such as `standard` gives. labelled: rows that have a label already. p: probabilities (N, C)
    of what has learnt from these; margin, entropy and both need them. groups (N,): clips that would tell the same, such
    as windows of one recording; a group gives one pick, a group with a label none. Ties are broken by `rng`, and fewer
    than n come back where the groups run out."""
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}: it must be one of {', '.join(RULES)}")
    if p is None and rule in ("margin", "entropy", "both"):
        raise ValueError(f"the rule {rule} asks how sure a classifier is: give p, or begin with random or diverse")
    turn, labelled = rng.permutation(len(x)), np.asarray(labelled, dtype=int)  # rows in a random order: it breaks ties
    groups = np.arange(len(x)) if groups is None else pd.factorize(np.asarray(groups))[0]
    row = np.full(len(x), -1)
    row[turn] = np.arange(len(x))  # the place of each clip in that order
    if rule == "diverse":
        return turn[spread_out(x[turn], n, row[labelled], groups[turn])]
    sure = np.zeros(len(x)) if rule == "random" else -entropy(p) if rule == "entropy" else margin(p)  # (N,)
    order = turn[np.argsort(sure[turn], kind="stable")]
    order = order[~np.isin(groups[order], groups[labelled])]
    order = order[np.sort(np.unique(groups[order], return_index=True)[1])]  # of each group its first
    if rule != "both":
        return order[:n]
    few = np.concatenate([labelled, order[: FEWER * n]])
    return few[spread_out(x[few], n, np.arange(len(labelled)), groups[few])]


def learn(x: np.ndarray, targets: np.ndarray) -> ClassifierMixin:
    """A logistic regression on vectors (N, D) on one scale and numbers of species (N,); of one species a model that
    knows nothing else."""
    if len(np.unique(targets)) < 2:
        return DummyClassifier().fit(x, targets)
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):  # one label a species is what a listener begins with
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
        return LogisticRegression(C=C, max_iter=500, tol=1e-3).fit(x, targets)


def ask(model: ClassifierMixin, x: np.ndarray, classes: int) -> np.ndarray:
    """Its probabilities (N, C) of so many species, 0 for those that it has not met."""
    p = np.zeros((len(x), classes))
    p[:, model.classes_] = model.predict_proba(x)
    return p


# ----------------------------------------------------------------------------------------------------- does it save any

def steps(pool: int, count: int = 10) -> list[int]:
    """Numbers of labels from a twentieth to a half of a pool of recordings, in even steps: (<= count,)."""
    return sorted({max(2, round(pool * share)) for share in np.linspace(0.05, 0.5, count)})


def simulate(x: np.ndarray, table: pd.DataFrame, rule: str, sizes: Sequence[int], seed: int,
             bar: str | None = None) -> pd.DataFrame:
    """What a listener would have got who labels `train` by a rule: a row for each of the sizes.

    x (R, D) is a vector for each recording of the table. The first sizes[0] recordings are drawn at random, the same
    for every rule of a seed; a logistic regression learns from them, the rule picks the next, and so on. Columns: rule,
    seed, labels, species (that were met), top1 (class-averaged, on test, among all its species: one that was never met
    is never right) and hits (a list of the test recordings')."""
    split, label = table["split"].to_numpy(), table["label"].to_numpy(str)
    pool, test = np.flatnonzero(split == "train"), np.flatnonzero(split == "test")
    if not 2 <= sizes[0] or sorted(set(sizes)) != list(sizes) or sizes[-1] > len(pool) or not len(test):
        raise ValueError(f"sizes are {list(sizes)}, train has {len(pool)} recordings and test {len(test)}: sizes rise "
                         "from at least 2 to at most those of train, and test has some")
    names, targets = np.unique(label, return_inverse=True)
    asked, rng, rows = np.unique(targets[test]), np.random.default_rng(seed), []
    known, p = np.array([], dtype=int), None  # rows of the pool, and what is thought of all of them
    for size in progress.bar(sizes, desc=bar, unit="size", leave=False):
        more = choose(rule if len(known) else "random", size - len(known), x[pool], known, rng, p=p)
        known = np.append(known, more)
        model = learn(x[pool[known]], targets[pool[known]])
        p = ask(model, x[pool], len(names))
        hits = metrics.topk_hits(metrics.restrict(ask(model, x[test], len(names)), asked), targets[test], 1)
        rows.append({"rule": rule, "seed": seed, "labels": len(known),
                     "species": len(np.unique(targets[pool[known]])),
                     "top1": metrics.class_average(hits, targets[test]), "hits": hits.tolist()})
    return pd.DataFrame(rows)


class Saved(NamedTuple):
    """How many labels fewer a rule needs than random picks for what these have at the end; 95 % interval."""
    labels: float  # -inf where it never gets there
    low: float
    high: float
    text: str  # a sentence


def recalls(curves: pd.DataFrame, targets: np.ndarray, rule: str) -> np.ndarray:
    """The recall of every seed, size and species (S, K, C) under a rule; targets (T,) are those of test."""
    own = curves[curves["rule"] == rule].sort_values(["seed", "labels"])
    hits = np.stack(own["hits"].tolist())  # (S * K, T)
    share = np.stack([metrics.per_class_recall(one, targets).share for one in hits])
    return share.reshape(own["seed"].nunique(), own["labels"].nunique(), -1)


def saved(curves: pd.DataFrame, targets: np.ndarray, rule: str, rng: np.random.Generator, draws: int = 1000) -> Saved:
    """How many labels a rule of `simulate` saves against "random", by the mean curves of all seeds.

    Both curves are made to rise (isotonic regression), so that no lucky size counts; what random picks have with all
    their labels is looked for on the other. The interval is a bootstrap over seeds and species, which both rules
    share."""
    sizes = np.unique(curves["labels"]).astype(float)
    ours, base = (recalls(curves, targets, name) for name in (rule, "random"))  # (S, K, C)
    S, K, C = ours.shape
    value, samples = _fewer(sizes, ours.mean((0, 2)), base.mean((0, 2))), []
    for _ in range(draws):
        seeds, species = rng.integers(S, size=S), rng.integers(C, size=C)
        samples.append(_fewer(sizes, *(x[seeds][:, :, species].mean((0, 2)) for x in (ours, base))))
    low, high = np.percentile(samples, [2.5, 97.5], method="nearest")
    verdict = ("saves labels" if low > 0 else "costs labels" if high < 0 else "saves none" if high == 0 else
               "undecided")
    text = (f"{rule}: {_count(value)} for what random picks have with {sizes[-1]:.0f} labels (95 % {_count(low)} to "
            f"{_count(high)}): {verdict}.")
    return Saved(value, float(low), float(high), text)


def _fewer(sizes: np.ndarray, ours: np.ndarray, base: np.ndarray) -> float:
    """The labels at which random picks (K,) reach their last value, less those at which our picks (K,) do."""
    ours, base = isotonic_regression(ours), isotonic_regression(base)
    return _reach(sizes, base, base[-1]) - _reach(sizes, ours, base[-1])


def _reach(sizes: np.ndarray, rising: np.ndarray, target: float) -> float:
    """The first number of labels with the target, between two sizes by a straight line; inf where it is not reached."""
    k = int(np.searchsorted(rising, target - 1e-12))
    if k == len(rising):
        return np.inf
    return sizes[0] if k == 0 else float(np.interp(target, rising[k - 1 : k + 1], sizes[k - 1 : k + 1]))


def _count(n: float) -> str:
    return "not reached" if n == -np.inf else f"{abs(n):.0f} {'more' if n < 0 else 'fewer'}"
