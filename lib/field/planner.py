"""The label-effort planner: how many labels per species a target accuracy will take, from a pilot with a few.

A pilot learns from 1, 2, 3 ... recordings of every species, many times with other ones, and asks about recordings it
has not learnt from. Through its error goes a power law with a floor, error(n) = a n^-b + c, as through many learning
curves (Hestness et al. 2017, arXiv:1712.00409), and the law is followed to the target: an interval, or no forecast.
To be quick the pilot does not finetune: it reads frozen features by logistic regression, one vector a recording."""

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.optimize import minimize_scalar, nnls
from sklearn.pipeline import Pipeline

from lib import paths, progress
from lib.field import picks
from lib.metrics import Interval
from lib.sources import tables
from lib.transfer.probe import Features, regression

__all__ = ["Pilot", "Curve", "Needed", "pilot", "power_law", "follow", "curve", "needed", "summary", "plan"]

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)  # labels per species that a pilot tries
LEAST = 4  # sizes: the law has three numbers, and with only three sizes it would go through all points in any case
KEPT = 0.8  # share of the species that the largest size must be had of; the rarer ones are left out
HELD = 0.2  # share of a species' groups that a draw asks about and does not learn from
FURTHEST = 10  # times the largest pilot: what lies further is not said
STEEPEST, FLATTEST = 3.0, 0.05  # exponents that are tried


class Pilot(NamedTuple):
    """What D draws have answered about R recordings after learning from n = sizes[k] of each species."""
    sizes: np.ndarray  # (K,) labelled recordings (or groups) per species
    hits: np.ndarray  # (D, K, R) 1 right, 0 wrong; NaN where the draw did not ask about this recording
    targets: np.ndarray  # (R,) numbers of the species
    groups: np.ndarray  # (R,) what the bootstrap draws: recordings that share a fate
    labels: list[str]  # the species, C of them
    left_out: list[str]  # species with too few recordings or groups to plan with
    unit: str  # what is counted: "recording" or "group"


class Curve(NamedTuple):
    """The error of a pilot, 1 - class-averaged top-1, and the law through it; 95 % intervals over draws and groups."""
    sizes: np.ndarray  # (K,)
    error: list[Interval]  # (K,)
    law: tuple[float, float, float]  # a, b, c
    laws: np.ndarray  # (n, 3) the same of every bootstrap sample
    errors: np.ndarray  # (n, K) their errors
    unit: str


class Needed(NamedTuple):
    labels: float  # per species; inf where the law never gets there
    low: float
    high: float  # inf where the interval has no end
    verdict: str  # "reached", "forecast", "cannot be reached" or "cannot be said"
    text: str  # one or two sentences


def pilot(features: Features, kind: str = "mean", *, unit: str = "group", draws: int = 20, seed: int = 0,
          bar: str | None = "pilot") -> Pilot:
    """Learn from nested subsets of all labelled recordings, 1, 2, 3 ... of each species, in several draws.

    Each draw holds out a fifth of every species' groups. Splits of the table do not matter, since nothing is chosen.
    kind: of the features that are read.
    unit: what counts as one label: a "recording" (a row of the table), or a "group" with all its rows (an animal, a
    place, the long recording that rows were cut from). Whole groups are held out in both cases. Left out are species
    with too few for four sizes, and up to a fifth of the species, the rarest, where the others have more."""
    if unit not in ("recording", "group"):
        raise ValueError(f"unit is {unit!r}: it must be recording (a row of the table) or group")
    group = pd.factorize(tables.units(features.table))[0]  # (R,)
    names, target = np.unique(features.table["label"].to_numpy(str), return_inverse=True)
    one = group if unit == "group" else np.arange(len(group))
    rows = pd.DataFrame({"target": target, "group": group, "one": one})
    quota, enough = _quota(rows)
    if enough.sum() < 2:
        raise ValueError(f"a pilot needs at least two species with {SIZES[LEAST - 1]} {unit}s to learn from and others "
                         f"to ask about, got {enough.sum()} of {len(names)}: label a few more of each, or count "
                         "another unit")
    rows = rows[rows["target"].map(enough)].reset_index()  # index: the row of the table
    splits = [_split(rows, quota, np.random.default_rng([seed, draw])) for draw in range(draws)]
    most = min(rows.loc[rest].groupby("target")["one"].nunique().min() for _, rest in splits)
    sizes = np.array([n for n in SIZES if n <= most])
    x = picks.vectors(features, kind)[rows["index"]]  # (R, D)
    hits = np.full((draws, len(sizes), len(rows)), np.nan)
    for draw, (asked, rest) in enumerate(progress.bar(splits, desc=bar, unit="draw", leave=False)):
        drawn = rows.loc[rest].groupby("target")["one"]
        order = drawn.transform(lambda ones: pd.factorize(ones)[0]).to_numpy()  # 0, 1, 2 ... as they were drawn
        for k, n in enumerate(sizes):
            learnt = rest[order < n]
            hits[draw, k, asked] = _learn(x[learnt], rows.loc[learnt]).predict(x[asked]) == rows.loc[asked, "target"]
    targets, groups = np.unique(rows["target"], return_inverse=True)[1], rows["group"].to_numpy()
    return Pilot(sizes, hits, targets, groups, names[enough].tolist(), names[~enough].tolist(), unit)


def _quota(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """How many groups of each species are held out, and whether the species has enough to plan with."""
    count = rows.groupby("target").agg(groups=("group", "nunique"), ones=("one", "nunique"))
    quota = np.maximum(1, np.rint(HELD * count["groups"])).astype(int)
    rest = np.floor(count["ones"] * (1 - quota / count["groups"]))  # labels left to learn from, on average
    longest = max([n for n in SIZES if (rest >= n).mean() >= KEPT], default=0)  # the rarest would cut it short for all
    return quota, (count["groups"] >= 3) & (rest >= max(longest, SIZES[LEAST - 1]))


def _split(rows: pd.DataFrame, quota: pd.Series, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The rows a draw asks about, a quota of every species' groups, and the rest, in a random order of what is counted.

    A group with several species (a place) is taken while one lacks some and none would be left with fewer than two."""
    taken, turn = set(), rng.permutation(rows["one"].max() + 1)
    species = {group: targets.unique() for group, targets in rows.groupby("group")["target"]}
    lacks, spare = quota.to_dict(), (rows.groupby("target")["group"].nunique() - 2).to_dict()
    for group in rng.permutation(list(species)):
        if any(lacks[t] > 0 for t in species[group]) and all(spare[t] > 0 for t in species[group]):
            taken.add(group)
            for t in species[group]:
                lacks[t], spare[t] = lacks[t] - 1, spare[t] - 1
    asked = rows["group"].isin(taken).to_numpy()
    rest = np.flatnonzero(~asked)
    return np.flatnonzero(asked), rest[np.argsort(turn[rows["one"].to_numpy()[rest]], kind="stable")]


def _learn(x: np.ndarray, rows: pd.DataFrame) -> Pipeline:
    """The regression of the probes; every label weighs the same, however many rows it has."""
    weight = 1 / rows.groupby(["target", "one"])["one"].transform("size")
    with warnings.catch_warnings():  # one label a species is what the smallest pilot has, and no regression
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
        return regression(x, rows["target"], weight.to_numpy(), 0.1, rounds=500)


def power_law(n: np.ndarray | float, a: float, b: float, c: float) -> np.ndarray | float:
    """error(n) = a n^-b + c: falls by a, at the pace b, to the floor c."""
    return a * np.asarray(n, float) ** -b + c


def follow(sizes: np.ndarray, error: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, float, float]:
    """a >= 0, b and c >= 0 of the power law nearest to errors (K,) by weighted least squares.

    For a given b the other two are a linear problem with a non-negative answer (nnls); b is then one number to find."""
    root = np.ones(len(sizes)) if weight is None else np.sqrt(weight)

    def solve(b: float) -> tuple[np.ndarray, float]:
        return nnls(root[:, None] * np.stack([np.asarray(sizes, float) ** -b, np.ones(len(sizes))], 1), root * error)

    grid = np.geomspace(FLATTEST, STEEPEST, 12)
    best = int(np.argmin([solve(b)[1] for b in grid]))
    around = grid[max(0, best - 1)], grid[min(11, best + 1)]
    b = minimize_scalar(lambda b: solve(b)[1], bounds=around, method="bounded").x
    (a, c), _ = solve(b)
    return float(a), float(b), float(c)


def curve(p: Pilot, seed: int = 0, n: int = 400) -> Curve:
    """The error at every size and the law through it; n bootstrap samples draw the draws and a species' groups anew.

    Draws of one pilot share recordings, the more the larger they are: an interval is a lower bound of the doubt."""
    rng, (D, K, _) = np.random.default_rng(seed), p.hits.shape
    cells, cell = np.unique(np.stack([p.targets, p.groups]), axis=1, return_inverse=True)  # (2, G) species and group
    G = cells.shape[1]
    within = np.eye(G)[cell.ravel()]  # (R, G) the cell of each recording
    right, asked = np.nan_to_num(p.hits) @ within, np.where(np.isnan(p.hits), 0.0, 1.0) @ within  # (D, K, G) counts
    species = cells[0] == np.unique(p.targets)[:, None]  # (C, G)
    measured = _error(right, asked, species, np.ones(D), np.ones(G))  # (K,)
    errors = np.empty((n, K))
    for i in range(n):
        groups = sum(np.bincount(rng.choice(np.flatnonzero(own), own.sum()), minlength=G) for own in species)
        draws = np.bincount(rng.integers(D, size=D), minlength=D)
        errors[i] = _error(right, asked, species, draws, groups)
    weight = 1 / np.maximum(errors.std(0), 0.005) ** 2
    laws = np.array([follow(p.sizes, error, weight) for error in errors])
    low, high = np.percentile(errors, [2.5, 97.5], axis=0)  # (K,) each
    error = [Interval(*map(float, ends)) for ends in zip(measured, low, high)]
    return Curve(p.sizes, error, follow(p.sizes, measured, weight), laws, errors, p.unit)


def _error(right: np.ndarray, asked: np.ndarray, species: np.ndarray, draws: np.ndarray,
           groups: np.ndarray) -> np.ndarray:
    """1 - class-averaged top-1 (K,) of counts (D, K, G), when each draw (D,) and group (G,) counts so many times."""
    hits, times = (np.einsum("dkg,d,g,cg->kc", x, draws, groups, species, optimize=True) for x in (right, asked))
    with np.errstate(invalid="ignore"):
        return 1 - np.nanmean(hits / times, axis=1)  # a species of which nothing was drawn does not enter


def needed(found: Curve, target: float) -> Needed:
    """How many labels per species a class-averaged top-1 of `target` (0 to 1) takes by the law, or why none can say."""
    if not 0 < target < 1:
        raise ValueError(f"target is {target:g}: it must be an accuracy between 0 and 1, such as 0.8")
    most, reach = int(found.sizes[-1]), np.array([_reach(law, 1 - target) for law in (found.law, *found.laws)])
    value, (low, high) = reach[0], np.percentile(reach[1:], [2.5, 97.5], method="nearest")
    fall = 100 * np.percentile(found.errors[:, 0] - found.errors[:, -1], [50, 2.5, 97.5])
    never, floor = np.isinf(reach[1:]).mean(), np.percentile(found.laws[:, 2], [2.5, 97.5])
    unit = f"{found.unit}s per species"
    between = f"{_count(low)} to {_count(high)}" if high <= 1e6 else f"{_count(min(low, 1e6))} or more"
    verdict = "cannot be said"
    if len(found.sizes) < LEAST:
        text = f"from this pilot: it has {len(found.sizes)} sizes, a law with a floor needs {LEAST} or more"
    elif high <= most:
        verdict, text = "reached", f"within the pilot, at about {_count(value)} {unit} ({between})"
    elif fall[1] <= 0:
        text = (f"from this pilot: its error does not clearly fall from {found.sizes[0]} to {most} {unit} "
                f"({fall[0]:+.1f} points, 95 % {fall[1]:+.1f} to {fall[2]:+.1f})")
    elif never >= 0.975:
        verdict, value = "cannot be reached", np.inf
        text = (f"by more labels alone, as far as this pilot tells: the law levels off at {1 - found.law[2]:.0%} "
                f"({1 - floor[1]:.0%} to {1 - floor[0]:.0%})")
    elif high > FURTHEST * most:
        text = (f"from this pilot: the interval is {between} {unit}, the pilot ends at {most}, and more than "
                f"{FURTHEST} times that is no forecast; {never:.0%} of the bootstrap's laws never get there")
    else:
        verdict, text = "forecast", f"about {_count(value)} labelled {unit} ({between}); the pilot ends at {most}"
    verb = {"reached": "is reached", "forecast": "takes"}.get(verdict, verdict)
    return Needed(float(value), float(low), float(high), verdict, f"{target:.0%} {verb} {text}.")


def _reach(law: np.ndarray, allowed: float) -> float:
    """The n at which a law has come down to the allowed error; inf where it never does."""
    a, b, c = law
    with np.errstate(over="ignore"):
        return np.inf if c >= allowed else max(1.0, float((a / (allowed - c)) ** (1 / b)))


def _count(n: float) -> str:
    """A number of labels to two digits."""
    return f"{n if n < 100 else float(f'{n:.2g}'):,.0f}"


def summary(p: Pilot, found: Curve, target: float) -> dict:
    """What a record keeps of a plan and `plan` draws, as plain JSON: pilot, law, fan of the bootstrap's laws and
    answer."""
    n = np.geomspace(1, FURTHEST * found.sizes[-1], 60)
    low, high = 1 - np.percentile([power_law(n, *law) for law in found.laws], [97.5, 2.5], axis=0)
    fan, answer = {"n": n.round(2), "low": low.round(4), "high": high.round(4)}, needed(found, target)
    return paths.plain({"unit": p.unit, "species": len(p.labels), "left_out": p.left_out, "sizes": found.sizes,
                        "error": found.error, "law": found.law, "fan": fan, "target": target, "answer": answer})


def plan(ax: Axes, pilot: Mapping) -> None:
    """A plan as `summary` or a record of notebook 12 keeps it: the pilot, the law through it, and where it leads."""
    fan, sizes, law, target = (pilot[name] for name in ("fan", "sizes", "law", "target"))
    n = np.array(fan["n"], float)
    value, low, high = (1 - np.array([error[k] for error in pilot["error"]]) for k in ("value", "high", "low"))
    ax.axvspan(sizes[-1], n[-1], color="0.95", zorder=0)
    ax.fill_between(n, fan["low"], fan["high"], color="C0", alpha=0.2, linewidth=0,
                    label="95 % of the bootstrap's laws")
    ax.plot(n, 1 - power_law(n, *law), color="C0", label="power law")
    ends = np.maximum(0, [value - low, high - value])
    ax.errorbar(sizes, value, ends, fmt="o", color="k", markersize=4, label="pilot")
    ax.axhline(target, color="C3", linestyle=":", label=f"target {target:.0%}")
    ax.set(xscale="log", xlabel=f"labelled {pilot['unit']}s per species", ylabel="top-1, class average", ylim=(0, 1.02))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
