"""Beside the papers: the difference of two arms, what could be seen, a verdict in words, and how published code scores.

Shares are from 0 to 1, as in `lib.metrics`. Hits are (R,) of one run or (S, R) of runs with S seeds, on the same
recordings in the same order. Random functions take a `numpy.random.Generator`."""
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.special import softmax

from lib import metrics
from lib.metrics import Interval

__all__ = ["MADE", "paired_difference", "across_seeds", "smallest_detectable", "verdict", "markdown",
           "restrict_as_published"]

MADE = "chorus"  # how the names of generated pools begin


def paired_difference(hits_a: np.ndarray, hits_b: np.ndarray, targets: np.ndarray, groups: np.ndarray | None = None, *,
                      rng: np.random.Generator) -> Interval:
    """Class average of a minus that of b on the same recordings, (R,); each draw takes the same groups for both."""
    return across_seeds(hits_a, hits_b, targets, groups, rng=rng)


def across_seeds(hits_a: np.ndarray, hits_b: np.ndarray, targets: np.ndarray, groups: np.ndarray | None = None, *,
                 over: str = "groups", rng: np.random.Generator) -> Interval:
    """The difference a - b of two arms run with the same seeds on the same recordings, (S, R) each.

    Every draw takes seeds and, within each class, groups, the same ones for both arms. Three seeds are few: such an
    interval is a lower bound on the doubt about the seed. over="groups" asks about other recordings of these species;
    over="classes" about other species: it draws classes with all their recordings, the usual bootstrap of clusters."""
    return metrics.interval(*_difference(hits_a, hits_b, targets, groups, rng, over))


def smallest_detectable(hits_a: np.ndarray, hits_b: np.ndarray, targets: np.ndarray, groups: np.ndarray | None = None,
                        *, rng: np.random.Generator) -> float:
    """The half width of the 95 % interval if the arms, (R,) or (S, R), truly did not differ: smaller is undecided here.

    Computed from the draws of `across_seeds`, moved so that their centre is 0: the size that 95 % of them stay below.
    To state it before two arms exist, pass two seeds of one arm."""
    value, draws = _difference(hits_a, hits_b, targets, groups, rng)
    return float(np.quantile(np.abs(draws - value), 0.95))


def _difference(hits_a: np.ndarray, hits_b: np.ndarray, targets: np.ndarray, groups: np.ndarray | None,
                rng: np.random.Generator, over: str = "groups") -> tuple[float, np.ndarray]:
    """The difference of class averages, and DRAWS resampled ones: over seeds, and over groups within class or classes.

    The class average is linear in the hits, so that the difference can be resampled as one set of values."""
    hits_a, hits_b = (np.atleast_2d(np.asarray(hits, dtype=np.float64)) for hits in (hits_a, hits_b))  # (S, R)
    if hits_a.shape != hits_b.shape:
        raise ValueError(f"a paired difference wants the same seeds and recordings, got {hits_a.shape}, {hits_b.shape}")
    if over not in ("groups", "classes"):
        raise ValueError(f"over is {over!r}: it must be 'groups' or 'classes'")
    gain = hits_a - hits_b
    if over == "groups":
        by_seed = metrics.resampled(gain, targets, groups, rng)                             # (n, S)
    else:
        share = np.stack([metrics.per_class_recall(row, targets).share for row in gain])    # (S, C')
        by_seed = metrics.redrawn(share.shape[1], rng) @ share.T / share.shape[1]           # (n, S)
    drawn = metrics.redrawn(len(gain), rng)                                                 # (n, S)
    return metrics.class_average(gain.mean(axis=0), targets), (by_seed * drawn).sum(axis=1) / len(gain)


def verdict(direction: float, intervals: Sequence[Interval], seeds: int, data: str, few_groups: bool = False) -> str:
    """One of: same direction, opposite, undecided (an interval holds 0), or why there is none.

    `direction` is the sign of the paper's difference, 0 where it has none. On generated sound the verdict says so."""
    if seeds < 2 or few_groups:
        return " and ".join(["one seed"] * (seeds < 2) + ["too few groups"] * int(few_groups)) + ", no verdict"
    sign = np.sign(intervals[0].value)
    if any(i.low <= 0 <= i.high for i in intervals):
        words = "undecided"
    elif not direction:
        words = f"{'higher' if sign > 0 else 'lower'}, the paper does not say"
    else:
        words = "same direction" if sign == direction else "opposite"
    return f"in the generator's world: {words}" if data.startswith(MADE) else words


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as text: the names of the columns, a rule, and a line for every row."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def restrict_as_published(logits: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """How iNatSounds' own code hides the other classes: logits (B, C) -> probabilities (B, C), all of them above 0.

    It sets them to the lowest logit of the whole batch before the softmax over all C (`mask_prediction`,
    train_eval.py:33-35, of cvl-umass/iNatSounds), so they keep a little probability, and an answer depends on what else
    is in the batch. `metrics.restrict` is the paper's text: this says how far one is from the other."""
    logits, classes = np.asarray(logits, dtype=np.float64), np.unique(np.asarray(classes, dtype=int))
    if logits.ndim != 2 or not np.isfinite(logits).all():
        raise ValueError(f"restrict_as_published wants finite logits (B, C), got shape {logits.shape}, "
                         f"{int((~np.isfinite(logits)).sum())} of them not finite")
    if not len(classes) or classes[0] < 0 or classes[-1] >= logits.shape[1]:
        raise ValueError(f"restrict_as_published got {len(classes)} classes ({classes[:3]} ...), needs 1 or more "
                         f"within 0 .. {logits.shape[1] - 1}")
    hidden = np.full_like(logits, logits.min())                           # (B, C)
    hidden[:, classes] = logits[:, classes]
    return softmax(hidden, axis=1)
