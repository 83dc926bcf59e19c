"""Beside the papers: the difference of two arms, a verdict in words, and how published code scores.

Shares are from 0 to 1, as in `lib.metrics`. Hits are (R,) of one run or (S, R) of runs with S seeds, on the same
recordings in the same order."""
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import stats
from scipy.special import softmax

from lib import metrics, plots

__all__ = ["MADE", "LEVEL", "FEWEST", "POWER", "Difference", "difference", "between", "crossed", "holm", "compared",
           "forest", "verdict", "markdown", "quoted", "restrict_as_published"]

MADE = "chorus"  # how the names of generated pools begin
LEVEL = 0.05     # of all verdicts of a table together; an interval holds 1 - LEVEL
FEWEST = 3       # seeds of a verdict: of two, up to 8 % of pairs without a difference seem to have one
POWER = 1 + stats.norm.ppf(0.8) / stats.norm.ppf(1 - LEVEL / 2)  # 1.43 half widths are found with 80 % power
LOOKS = {"differs": ("o", "C0", "C0"), "undecided": ("o", "0.35", "white"), "few seeds": ("x", "0.55", "0.55"),
         "no interval": ("x", "0.55", "0.55")}  # of an answer: marker, colour, colour within
MARKS = re.compile(r"[\\`*\[\]~&<|$]|(?<![^\W_])_|_(?![^\W_])")  # Markdown's; within a word _ is a letter


class Difference(NamedTuple):
    value: float
    low: float   # 95 % interval; NaN, with df and p, where none can be had
    high: float
    df: float    # degrees of freedom of its t quantile
    p: float     # two-sided, of no difference
    seeds: int   # that both arms were run with

    @property
    def power80(self) -> float:
        """The smallest true difference that such a pair of arms finds with 80 % power.

        State it before a run, from an earlier pair with as many seeds on the same recordings. A true difference of one
        half width is found in half of the cases, of `POWER` half widths in 80 % (of 3 seeds, in 70: see `crossed`)."""
        return POWER * (self.high - self.value)

    def __str__(self) -> str:
        """In points, with a sign."""
        ends = "(no interval)" if np.isnan(self.low) else f"[{100 * self.low:+.1f}, {100 * self.high:+.1f}]"
        return f"{100 * self.value:+.1f} {ends}"


def difference(hits_a: np.ndarray, hits_b: np.ndarray, targets: np.ndarray) -> Difference:
    """Class average of arm a minus that of b, run with the same seeds on the same recordings: seeds x classes crossed.

    It asks about other seeds and about other species, each with its recordings. How one species differs from the next
    contains how its recordings differ, in groups or not, so that groups within a species need no draw of their own;
    groups that span species (one recordist of all) are not covered. Of one seed it is the paired t over species, and
    says nothing of other seeds."""
    hits_a, hits_b = (np.atleast_2d(np.asarray(hits, dtype=np.float64)) for hits in (hits_a, hits_b))  # (S, R)
    if hits_a.shape != hits_b.shape:
        raise ValueError(f"a paired difference wants the same seeds and recordings, got {hits_a.shape}, {hits_b.shape}")
    return crossed(np.stack([metrics.per_class_recall(gain, targets).share for gain in hits_a - hits_b]))


def between(ours: pd.DataFrame, base: pd.DataFrame, answers: str = "answers", theirs: str = "") -> Difference | None:
    """`difference` on test of two arms' records, a run each, over the seeds that both have; None if they share none.

    answers: under which name the records keep ours, and the base's where `theirs` is empty: an opponent's are
    "answers_cnn" (`baseline.recorded`)."""
    ours, base = (arm.drop_duplicates("seed").set_index("seed").sort_index() for arm in (ours, base))
    seeds = ours.index.intersection(base.index)
    if not len(seeds):
        return None
    hits = [np.stack(arm.loc[seeds, f"{name}.test.hits"]) for arm, name in ((ours, answers), (base, theirs or answers))]
    targets, others = (list(arm.iloc[0]["answers.test.targets"]) for arm in (ours, base))
    if targets != others:
        raise ValueError("these records list their test recordings in different orders or numbers, so they cannot be "
                         "paired: run them again from one copy of the data")
    return difference(*hits, np.asarray(targets))


def crossed(gain: np.ndarray) -> Difference:
    """The mean of (S, C) gains, a number per seed and class, both of them drawn: two-way random effects, one per cell.

    Its variance is var_seed / S + var_class / C + var_cell / (S C), estimated as (MS_seed + MS_class - MS_rest) / (S C)
    but never less than what seeds or classes say alone; the degrees of freedom are Satterthwaite's.

    Measured with this code, 4,000 simulated pairs each (tests/runs/test_verdicts.py, `rates`: 33 species with 24
    recordings each; standard deviation of the gain 7 points between species, 1 to 5 between seeds): without a true
    difference one is found in 2.2 to 8.0 % of pairs at 2 seeds, 1.9 to 5.6 at 3, 3.4 to 5.2 at 5, 5.1 to 5.3 at 10. A
    true difference of an earlier pair's `power80` is found in 61 to 65 %, 65 to 73, 74 to 80 and 77 to 79 %: few seeds
    know their width badly."""
    S, C = gain.shape
    mean, seeds, classes = gain.mean(), gain.mean(axis=1, keepdims=True), gain.mean(axis=0, keepdims=True)
    parts = ((C * (seeds - mean)**2, S - 1), (S * (classes - mean)**2, C - 1),
             ((gain - seeds - classes + mean)**2, (S - 1) * (C - 1)))
    seed, kind, rest = squares = np.array([part.sum() / max(degrees, 1) for part, degrees in parts])  # mean squares
    total = max(seed + kind - rest, seed, kind)
    if C < 2 or total < 1e-20:  # nothing to judge by
        return Difference(float(mean), *[np.nan] * 4, S)
    df = total**2 / (squares**2 / [max(degrees, 1) for _, degrees in parts]).sum()
    error = np.sqrt(total / (S * C))
    half = stats.t.ppf(1 - LEVEL / 2, df) * error
    return Difference(float(mean), float(mean - half), float(mean + half), float(df),
                      float(2 * stats.t.sf(abs(mean) / error, df)), S)


def holm(p: Sequence[float], seeds: Sequence[int] | float = np.inf) -> np.ndarray:
    """Holm's p-values of a family: in at most 5 % of families is one of no difference below `LEVEL`. NaN stays NaN, and
    a comparison of fewer than `FEWEST` seeds is NaN and no member."""
    p = np.where(np.asarray(seeds) >= FEWEST, np.asarray(p, dtype=np.float64), np.nan)
    order, family = np.argsort(p), int(np.isfinite(p).sum())              # NaN come last
    adjusted = np.full(len(p), np.nan)
    steps = p[order[:family]] * np.arange(family, 0, -1)
    adjusted[order[:family]] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def compared(rows: Sequence[Mapping]) -> pd.DataFrame:
    """Comparisons as a table in points, and what each says: rows with a `Difference` each under "change", one family.

    An answer rests on `holm`'s p-values over the rows with `FEWEST` seeds or more."""
    changes = [row["change"] for row in rows]
    adjusted = holm([change.p for change in changes], [change.seeds for change in changes])
    said = ["few seeds" if change.seeds < FEWEST else "no interval" if np.isnan(p) else "differs" if p < LEVEL
            else "undecided" for change, p in zip(changes, adjusted)]
    return pd.DataFrame([{**row, "change": 100 * change.value, "low": 100 * change.low, "high": 100 * change.high,
                          "smallest found": 100 * change.power80, "seeds": change.seeds, "answer": answer}
                         for row, change, answer in zip(rows, changes, said)])


def forest(ax: Axes, rows: pd.DataFrame, names: Sequence[str], margin: float) -> None:
    """Rows of `compared`, the first on top, as intervals beside a name each: filled and blue where a row differs,
    hollow where it is undecided, a grey cross where seeds are too few for an answer.

    The grey band holds the differences within ±margin points."""
    ax.axvspan(-margin, margin, color="0.93", linewidth=0, label=f"within ±{margin:g} points")
    ax.axvline(0, color="0.35", linewidth=0.8)
    for answer, (marker, color, within) in LOOKS.items():
        place = np.flatnonzero(rows["answer"] == answer)
        value, low, high = (rows[column].to_numpy(float)[place] for column in ("change", "low", "high"))
        if len(place):
            ax.errorbar(value, place, xerr=[value - low, high - value], fmt=marker, color=color, capsize=2,
                        markerfacecolor=within, label=answer)
    ax.set_yticks(range(len(rows)), [plots.label(name) for name in names])
    ax.set(ylim=(len(rows) - 0.4, -0.6), xlabel="difference (points of top-1)")


def verdict(direction: float, value: float, p: float, seeds: int, data: str) -> str:
    """One of: same direction, opposite, undecided (p is not below `LEVEL`), or why there is none.

    `direction` is the sign of the paper's difference, 0 where it has none; p is `holm`'s within a table. On generated
    sound the verdict says so."""
    if seeds < FEWEST or np.isnan(p):
        return "few seeds, no verdict" if seeds < FEWEST else "no interval, no verdict"
    if p >= LEVEL:
        words = "undecided"
    elif not direction:
        words = f"{'higher' if value > 0 else 'lower'}, the paper does not say"
    else:
        words = "same direction" if np.sign(value) == direction else "opposite"
    return f"in the generator's world: {words}" if data.startswith(MADE) else words


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as text: the names of the columns, a rule, and a line for every row. Cells are Markdown: names from
    outside come `quoted`."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def quoted(text: object) -> str:
    """A name from outside for Markdown: `plots.plain`, and no part of it is markup, math or the end of a cell."""
    return MARKS.sub(_entity, plots.plain(text))


def _entity(found: re.Match) -> str:
    entity = f"&#{ord(found[0])};"  # is never markup; Jupyter looks for math later, in what a tag has not parted
    return f"<span>{entity}</span>" if found[0] in "$\\" else entity


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
