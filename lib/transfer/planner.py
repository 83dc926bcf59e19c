"""The label-effort planner: how many labelled recordings per species a target accuracy will take, from a pilot with the few there are.

A pilot learns from 1, 2, 3 ... recordings of every species, many times with other ones, and asks about recordings it has not learnt from. Its
error is described by a power law with a floor, error(n) = a n^-b + c, as learning curves of many tasks are (Hestness et al. 2017,
arXiv:1712.00409), and the law is followed to where the target lies. It is a forecast: the answer is an interval, or that none can be given.

To be quick the pilot does not finetune: it reads frozen features of the ready weights by logistic regression, one vector a recording.
"""

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.optimize import minimize_scalar, nnls
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from lib import paths
from lib.metrics import Interval
from lib.sources import tables
from lib.transfer.probe import Features

__all__ = ["Pilot", "Curve", "Needed", "pilot", "power_law", "follow", "curve", "needed", "summary"]

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)  # labelled recordings per species that a pilot tries, as far as there are any
LEAST = 4  # sizes: the law has three numbers, and with only three sizes it would go through all points, whatever they are
KEPT = 0.8  # share of the species that the largest size must be had of; the rarer ones are left out, or they would cut the curve short for all
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
    """The error of a pilot, 1 - class-averaged top-1, and the power law through it; intervals are 95 % over draws and groups."""

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


def pilot(known: Features, *, unit: str = "group", draws: int = 20, seed: int = 0, kind: str = "mean", bar: str | None = "pilot") -> Pilot:
    """Nested subsets of all labelled recordings, several draws: each holds out a fifth of every species' groups and learns from 1, 2, 3 ...
    of the rest, the smaller subset within the larger. Splits of the table do not matter, since nothing is chosen.

    unit: what counts as one label: a "recording" (a row of the table), or a "group" with all its rows (an animal, a place, the long
    recording that rows were cut from). Whole groups are held out in both cases. Left out are species with too few for four
    sizes, and up to a fifth of the species, the rarest, where the others have more.
    """
    if unit not in ("recording", "group"):
        raise ValueError(f"unit is {unit!r}: it must be recording (a row of the table) or group")
    table = known.table
    group = pd.factorize(tables.units(table))[0]  # (R,)
    one = group if unit == "group" else np.arange(len(table))
    names, target = np.unique(table["label"].to_numpy(str), return_inverse=True)
    each = pd.DataFrame({"target": target, "group": group, "one": one})
    spread = each.groupby("target").agg(groups=("group", "nunique"), ones=("one", "nunique"))
    quota = np.maximum(1, np.rint(HELD * spread["groups"])).astype(int)
    sure = np.floor(spread["ones"] * (1 - quota / spread["groups"]))  # labels left to learn from, on average
    longest = max([n for n in SIZES if (sure >= n).mean() >= KEPT], default=0)
    enough = (spread["groups"] >= 3) & (sure >= max(longest, SIZES[LEAST - 1]))
    if enough.sum() < 2:
        raise ValueError(f"a pilot needs at least two species with {SIZES[LEAST - 1]} {unit}s to learn from and others to ask about, got "
                         f"{int(enough.sum())} of {len(names)}: label a few more of each, or count another unit")
    each = each[each["target"].map(enough)].reset_index()  # index: the row of the table
    splits = [_split(each, quota, np.random.default_rng([seed, draw])) for draw in range(draws)]
    most = min(each.loc[left].groupby("target")["one"].nunique().min() for _, left in splits)
    sizes = np.array([n for n in SIZES if n <= most])
    x = _means(known, kind)[each["index"]]  # (R, D)
    hits = np.full((draws, len(sizes), len(each)), np.nan)
    for draw, (held, left) in enumerate(tqdm(splits, desc=bar, disable=bar is None, leave=False)):
        order = each.loc[left].groupby("target")["one"].transform(lambda ones: pd.factorize(ones)[0]).to_numpy()  # 0, 1, 2 ... as they were drawn
        for k, n in enumerate(sizes):
            rows = left[order < n]
            hits[draw, k, held] = _learn(x[rows], each.loc[rows]).predict(x[held]) == each.loc[held, "target"]
    classes, targets = np.unique(each["target"], return_inverse=True)
    return Pilot(sizes, hits, targets, each["group"].to_numpy(), names[classes].tolist(), names[~enough.to_numpy()].tolist(), unit)


def _split(each: pd.DataFrame, quota: pd.Series, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The rows a draw asks about, a quota of every species' groups, and those it may learn from, in a random order of what is counted.

    A group may hold several species (a place): it is taken while one of them lacks some and none would be left with fewer than two.
    """
    taken, turn = set(), rng.permutation(each["one"].max() + 1)
    of = {g: t.unique() for g, t in each.groupby("group")["target"]}
    lacks, spare = quota.to_dict(), (each.groupby("target")["group"].nunique() - 2).to_dict()
    for g in rng.permutation(list(of)):
        if any(lacks[t] > 0 for t in of[g]) and all(spare[t] > 0 for t in of[g]):
            taken.add(g)
            for t in of[g]:
                lacks[t], spare[t] = lacks[t] - 1, spare[t] - 1
    held = each["group"].isin(taken).to_numpy()
    left = np.flatnonzero(~held)
    return np.flatnonzero(held), left[np.argsort(turn[each["one"].to_numpy()[left]], kind="stable")]


def _means(known: Features, kind: str) -> np.ndarray:
    """One vector a recording (R, D): the mean of its windows'."""
    x = known.kinds[kind]
    total = np.zeros((len(known.table), x.shape[1]))
    np.add.at(total, known.row, x)
    return total / np.bincount(known.row, minlength=len(total))[:, None]


def _learn(x: np.ndarray, rows: pd.DataFrame):
    """Logistic regression on standardised features; every label weighs the same, however many rows it has."""
    weight = 1 / rows.groupby(["target", "one"])["one"].transform("size")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500, tol=1e-3))
    with warnings.catch_warnings():  # one label a species is what the smallest pilot has, and no regression
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
        return model.fit(x, rows["target"], logisticregression__sample_weight=weight.to_numpy())


# ------------------------------------------------------------------------------------------------------------------- law

def power_law(n: np.ndarray | float, a: float, b: float, c: float) -> np.ndarray | float:
    """error(n) = a n^-b + c: falls by a, at the pace b, to the floor c."""
    return a * np.asarray(n, float) ** -b + c


def follow(sizes: np.ndarray, error: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, float, float]:
    """a >= 0, b and c >= 0 of the power law nearest to errors (K,) by weighted least squares.

    For a given b the other two are a linear problem with a non-negative answer (scipy's nnls); b is then one number to search for.
    """
    root = np.ones(len(sizes)) if weight is None else np.sqrt(weight)

    def solve(b: float) -> tuple[np.ndarray, float]:
        return nnls(root[:, None] * np.stack([np.asarray(sizes, float) ** -b, np.ones(len(sizes))], 1), root * error)

    grid = np.geomspace(FLATTEST, STEEPEST, 12)
    best = int(np.argmin([solve(b)[1] for b in grid]))
    b = minimize_scalar(lambda b: solve(b)[1], bounds=(grid[max(0, best - 1)], grid[min(11, best + 1)]), method="bounded").x
    (a, c), _ = solve(b)
    return float(a), float(b), float(c)


def curve(p: Pilot, seed: int = 0, n: int = 400) -> Curve:
    """The error at every size and the law through it, with n bootstrap samples: draws anew, and within every species groups anew.

    Draws of one pilot share recordings, the more the larger they are, so that an interval is a lower bound of the doubt.
    """
    rng, (D, K, R) = np.random.default_rng(seed), p.hits.shape
    cells, cell = np.unique(np.stack([p.targets, p.groups]), axis=1, return_inverse=True)  # (2, G) species and group
    cell, asked = cell.ravel(), ~np.isnan(p.hits)
    right, count = np.zeros((D, K, cells.shape[1])), np.zeros((D, K, cells.shape[1]))
    for r in range(R):
        right[:, :, cell[r]] += np.nan_to_num(p.hits[:, :, r])
        count[:, :, cell[r]] += asked[:, :, r]
    species = cells[0] == np.unique(p.targets)[:, None]  # (C, G)

    def error(draw: np.ndarray, group: np.ndarray) -> np.ndarray:  # times each was drawn: (D,), (G,)
        hit, all_ = (np.einsum("dkg,d,g,cg->kc", x, draw, group, species, optimize=True) for x in (right, count))
        with np.errstate(invalid="ignore"):
            return 1 - np.nanmean(hit / all_, axis=1)  # (K,); a species of which nothing was drawn does not enter

    measured = error(np.ones(D), np.ones(cells.shape[1]))
    errors = np.empty((n, K))
    for i in range(n):
        group = sum(np.bincount(rng.choice(np.flatnonzero(own), own.sum()), minlength=len(own)) for own in species)
        errors[i] = error(np.bincount(rng.integers(D, size=D), minlength=D), group)
    weight = 1 / np.maximum(errors.std(0), 0.005) ** 2
    laws = np.array([follow(p.sizes, e, weight) for e in errors])
    ends = np.percentile(errors, [2.5, 97.5], axis=0).T
    return Curve(p.sizes, [Interval(float(e), *map(float, end)) for e, end in zip(measured, ends)], follow(p.sizes, measured, weight), laws, errors, p.unit)


def needed(found: Curve, target: float) -> Needed:
    """How many labels per species the law needs for a class-averaged top-1 of `target` (0 to 1), with a 95 % interval; or why it cannot be said."""
    if not 0 < target < 1:
        raise ValueError(f"target is {target:g}: it must be an accuracy between 0 and 1, such as 0.8")
    most, each = int(found.sizes[-1]), np.array([_reach(law, 1 - target) for law in (found.law, *found.laws)])
    value, (low, high) = each[0], np.percentile(each[1:], [2.5, 97.5], method="nearest")
    fall = 100 * np.percentile(found.errors[:, 0] - found.errors[:, -1], [50, 2.5, 97.5])
    never, floor = np.isinf(each[1:]).mean(), np.percentile(found.laws[:, 2], [2.5, 97.5])
    what, unit = f"{target:.0%}", f"{found.unit}s per species"
    between = f"{_count(low)} to {_count(high)}" if np.isfinite(high) else f"{_count(low)} or more"
    if len(found.sizes) < LEAST:
        verdict, text = "cannot be said", f"from this pilot: it has {len(found.sizes)} sizes, a law with a floor needs {LEAST} or more"
    elif high <= most:
        verdict, text = "reached", f"within the pilot, at about {_count(value)} {unit} ({between})"
    elif fall[1] <= 0:
        verdict, text = "cannot be said", (f"from this pilot: its error does not clearly fall from {found.sizes[0]} to {most} {unit} "
                                           f"({fall[0]:+.1f} points, 95 % {fall[1]:+.1f} to {fall[2]:+.1f})")
    elif never >= 0.975:
        verdict, text, value = "cannot be reached", (f"by more labels alone, as far as this pilot tells: the law levels off at {1 - found.law[2]:.0%} "
                                                     f"({1 - floor[1]:.0%} to {1 - floor[0]:.0%})"), np.inf
    elif high > FURTHEST * most:
        verdict, text = "cannot be said", (f"from this pilot: the interval is {between} {unit}, the pilot ends at {most}, and more than {FURTHEST} times "
                                           f"that is no forecast; {never:.0%} of the bootstrap's laws never get there")
    else:
        verdict, text = "forecast", f"about {_count(value)} labelled {unit} ({between}); the pilot ends at {most}"
    verb = {"reached": "is reached", "forecast": "takes"}.get(verdict, verdict)
    return Needed(float(value), float(low), float(high), verdict, f"{what} {verb} {text}.")


def summary(p: Pilot, found: Curve, target: float) -> dict:
    """What a record keeps of a plan, and `plots.plan` draws: pilot, law, the fan of the bootstrap's laws, and the answer, as plain JSON."""
    n = np.geomspace(1, FURTHEST * found.sizes[-1], 60)
    low, high = 1 - np.percentile([power_law(n, *law) for law in found.laws], [97.5, 2.5], axis=0)
    fan = {"n": n.round(2), "low": low.round(4), "high": high.round(4)}
    return paths.plain({"unit": p.unit, "species": len(p.labels), "left_out": p.left_out, "sizes": found.sizes, "error": found.error, "law": found.law,
                         "fan": fan, "target": target, "answer": needed(found, target)})


def _reach(law: np.ndarray, allowed: float) -> float:
    """The n at which a law has come down to the allowed error; inf where it never does."""
    a, b, c = law
    with np.errstate(over="ignore"):
        return np.inf if c >= allowed else max(1.0, float((a / (allowed - c)) ** (1 / b)))


def _count(n: float) -> str:
    """A number of labels to two digits."""
    return "no end" if np.isinf(n) else f"{n:,.0f}" if n < 100 else f"{float(f'{n:.2g}'):,.0f}"


def plan(ax: Axes, pilot: Mapping) -> None:
    """A label-effort plan as `planner.summary` or a record of notebook 12 keeps it: the pilot, the law through it, and where it leads."""
    n, (a, b, c), largest = np.array(pilot["fan"]["n"]), pilot["law"], pilot["sizes"][-1]
    value, low, high = (1 - np.array([point[k] for point in pilot["error"]]) for k in ("value", "high", "low"))
    ax.axvspan(largest, n[-1], color="0.95", zorder=0)
    ax.fill_between(n, pilot["fan"]["low"], pilot["fan"]["high"], color="C0", alpha=0.2, linewidth=0, label="95 % of the bootstrap's laws")
    ax.plot(n, 1 - (a * n**-b + c), color="C0", label="power law")
    ax.errorbar(pilot["sizes"], value, [np.maximum(0, value - low), np.maximum(0, high - value)], fmt="o", color="k", markersize=4, label="pilot")
    ax.axhline(pilot["target"], color="C3", linestyle=":", label=f"target {pilot['target']:.0%}")
    ax.set(xscale="log", xlabel=f"labelled {pilot['unit']}s per species", ylabel="top-1, class average", ylim=(0, 1.02))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.legend(fontsize="small", loc="best")
