"""Species by species: what a table holds of each, what to know before training, and how well each is told apart."""

from collections.abc import Iterable, Iterator
from math import sqrt
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lib import audio, plots
from lib.mel import FrontEnd
from lib.sources import tables
from lib.transfer.finetune import Predictions

__all__ = ["counts", "warnings", "wilson", "scores", "bars"]

SHOWN = 3  # names in a warning; the rest is counted


def counts(table: pd.DataFrame) -> pd.DataFrame:
    """A row per species: recordings, groups (what counts as independent), minutes, and recordings in each split."""
    times = table.reindex(columns=["start_s", "end_s", "duration_s"])
    seconds = np.fmin(times["end_s"], times["duration_s"]) - times["start_s"].fillna(0)
    each = table.assign(unit=tables.units(table), minutes=seconds / 60)
    by_label = each.groupby("label")
    found = by_label.agg(recordings=("file", "size"), groups=("unit", "nunique"), minutes=("minutes", "sum"))
    split = pd.crosstab(each["label"], each["split"]).reindex(columns=["train", "val", "test"], fill_value=0)
    return found.join(split).sort_values("recordings", ascending=False)


def warnings(table: pd.DataFrame, front: FrontEnd) -> list[str]:
    """What in this table will make a classifier worse, or its scores better than they should be: a sentence each."""
    return [*_of_species(table), *_of_files(table, front)]


def _of_species(table: pd.DataFrame) -> Iterator[str]:
    found = counts(table)
    if "group" not in table or table["group"].isna().all():
        yield ("no group column: pieces of one animal, place or day may lie in train and in test, and then the scores "
               "are too high")
    rare = "have fewer than 3 independent groups: one each to learn from, to choose on and to be tested on"
    for few, text in ((found["groups"] < 3, rare),
                      (found["test"] == 0, "are not in test: nothing will be known about them"),
                      (found["train"] == 0, "are not in train: they cannot be learnt")):
        if few.any():
            yield f"{few.sum()} of {len(found)} species {text} ({_some(found.index[few])})"
    for split, rows in table.assign(unit=tables.units(table)).query("split != 'train'").groupby("split"):
        single = rows.groupby("label")["unit"].nunique() == 1
        if single.any():
            yield (f"{single.sum()} of {len(single)} species of {split} are there with a single group, which adds no "
                   "width to the interval of its score: it is too narrow, and without any where all of them are")
    most, least = found["train"].max(), max(1, found["train"].min())
    if most >= 10 * least:
        yield (f"the commonest species has {most} recordings in train, the rarest {least}: rare ones will be missed "
               "more often")


def _of_files(table: pd.DataFrame, front: FrontEnd) -> Iterator[str]:
    splits = table.drop_duplicates("file").set_index("file")["split"]
    rates = pd.Series({file: audio.info(file).rate for file in splits.index})
    low = rates < front.rate
    if low.any():
        names, top = _some(rates.index[low]), rates[low].max() / 2000
        yield (f"{low.sum()} of {len(rates)} files have fewer than {front.rate:,} samples a second ({names}): they are "
               f"resampled, and hold nothing above {top:g} kHz")
    short = table["duration_s"] < front.seconds
    if short.any():
        yield (f"{short.sum()} of {len(table)} recordings are shorter than the model's window of {front.seconds:.2g} "
               "s: the rest is filled with silence")
    yield from tables.copies(table)


def _some(names: Iterable[object]) -> str:
    names = [plots.plain(Path(str(name)).name) for name in names]
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share of n, 0 to 1 of none; unlike a bootstrap it has a width where all n agree."""
    if not n:
        return 0.0, 1.0
    z2 = 1.959964**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = sqrt(z2 * share * (1 - share) / n + z2**2 / (4 * n**2)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def scores(seen: Predictions, labels: list[str]) -> pd.DataFrame:
    """Of each species that occurs n recordings in how many groups, recall, precision, and what it is mostly taken for.

    Recall is the share of its recordings that were named so, precision the share of right ones among those named so.
    Intervals are Wilson's with n = groups: with one group there is hardly a statement."""
    guess, rows = seen.probabilities.argmax(1), []
    for c in seen.classes:
        own, named = seen.targets == c, guess == c
        right, wrong = own & named, guess[own & ~named]
        row = {"species": labels[c], "n": own.sum(), "groups": len(np.unique(seen.groups[own]))}
        for what, among in (("recall", own), ("precision", named)):
            share = right.sum() / among.sum() if among.any() else np.nan
            low, high = wilson(share, len(np.unique(seen.groups[among])))
            row |= {what: share, f"{what}_low": low, f"{what}_high": high}
        taken_for = labels[np.bincount(wrong).argmax()] if len(wrong) else ""
        rows.append(row | {"named": named.sum(), "taken_for": taken_for})
    return pd.DataFrame(rows).set_index("species")


def bars(report: pd.DataFrame) -> None:
    """Recall and precision of `scores` side by side, with their intervals in grey, a line a species."""
    order = report.sort_values("recall")
    height = np.arange(len(order))
    _, axes = plt.subplots(1, 2, figsize=(10, 0.22 * len(order) + 1.2), sharey=True)
    for ax, what in zip(axes, ("recall", "precision")):
        ax.hlines(height, order[f"{what}_low"], order[f"{what}_high"], color="0.7", linewidth=4)
        ax.plot(order[what], height, "o", color="C0", markersize=5)
        ax.set(xlabel=what, xlim=(-0.03, 1.03), ylim=(-0.7, len(order) - 0.3))
    names = [f"{plots.label(name)} ({n} in {g})" for name, n, g in zip(order.index, order["n"], order["groups"])]
    axes[0].set_yticks(height, names, fontsize="small")
    axes[0].set_title("test: rows in groups after each name")
