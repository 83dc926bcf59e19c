"""Species by species: what a recordings table holds of each, what to know before training on it, and how well each is told from the others."""

from hashlib import sha256
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd

from lib import audio
from lib.mel import FrontEnd
from lib.sources import tables
from lib.transfer.finetune import Predictions

__all__ = ["counts", "warnings", "wilson", "scores"]

SHOWN = 3  # names in a warning; the rest is counted


def counts(table: pd.DataFrame) -> pd.DataFrame:
    """A row per species: recordings, groups (what counts as independent), minutes, and recordings in train, val and test."""
    seconds = np.fmin(table["end_s"], table["duration_s"]) - table["start_s"].fillna(0) if {"start_s", "end_s"} <= set(table) else table["duration_s"]
    each = table.assign(unit=tables.units(table), minutes=seconds / 60)
    found = each.groupby("label").agg(recordings=("file", "size"), groups=("unit", "nunique"), minutes=("minutes", "sum"))
    split = pd.crosstab(each["label"], each["split"]).reindex(columns=["train", "val", "test"], fill_value=0)
    return found.join(split).sort_values("recordings", ascending=False)


def warnings(table: pd.DataFrame, front: FrontEnd) -> list[str]:
    """What in this table will make a classifier worse, or its scores better than they should be: a sentence each."""
    found, said = counts(table), []
    if "group" not in table or table["group"].isna().all():
        said.append("no group column: pieces of one animal, place or day may lie in train and in test, and then the scores are too high")
    for few, text in ((found["groups"] < 3, "have fewer than 3 independent groups: one each to learn from, to choose on and to be tested on"),
                      (found["test"] == 0, "are not in test: nothing will be known about them"),
                      (found["train"] == 0, "are not in train: they cannot be learnt")):
        if few.any():
            said.append(f"{few.sum()} of {len(found)} species {text} ({_some(found.index[few])})")
    for split, rows in table.assign(unit=tables.units(table)).query("split != 'train'").groupby("split"):
        if (single := rows.groupby("label")["unit"].nunique() == 1).any():
            said.append(f"{single.sum()} of {len(single)} species of {split} are there with a single group, which adds no width to the interval of its score: "
                        "it is too narrow, and without any where all of them are")
    most, least = found["train"].max(), max(1, found["train"].min())
    if most >= 10 * least:
        said.append(f"the commonest species has {most} recordings in train, the rarest {least}: rare ones will be missed more often")
    files = table.drop_duplicates("file")["file"]
    rates = pd.Series({file: audio.info(file).rate for file in files})
    if (low := rates < front.rate).any():
        said.append(f"{low.sum()} of {len(files)} files have fewer than {front.rate:,} samples a second ({_some(rates.index[low])}): they are resampled, "
                    f"and hold nothing above {rates[low].max() / 2000:g} kHz")
    short = table["duration_s"] < front.seconds
    if short.any():
        said.append(f"{short.sum()} of {len(table)} recordings are shorter than the model's window of {front.seconds:.2g} s: the rest is filled with silence")
    size = pd.Series({file: Path(file).stat().st_size for file in files})  # only files of one length can be the same
    same = pd.Series({file: sha256(Path(file).read_bytes()).hexdigest() for file in size.index[size.duplicated(keep=False)]}, dtype=str)
    split = table.drop_duplicates("file").set_index("file")["split"]
    if len(twice := [g for g in same.groupby(same).groups.values() if split[list(g)].nunique() > 1]):
        said.append(f"{len(twice)} files lie in more than one split under other names ({_some([g[0] for g in twice])}): the scores will be too high")
    return said


def _some(names) -> str:
    names = [Path(str(name)).name for name in names]
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share of n; of none it is 0 to 1. Unlike a bootstrap it has a width where all n agree, or n is 1."""
    if not n:
        return 0.0, 1.0
    z2 = 1.959964**2
    middle, half = (share + z2 / (2 * n)) / (1 + z2 / n), sqrt(z2 * share * (1 - share) / n + z2**2 / (4 * n**2)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def scores(seen: Predictions, labels: list[str]) -> pd.DataFrame:
    """The species table: of each species that occurs, n recordings in how many groups, recall, precision, and what it is taken for most often.

    Recall is the share of its recordings that were named so; precision the share of right ones among those named so (NaN where none
    was). Intervals are Wilson's with n = groups, since recordings of one group share their fate: with one group there is hardly a statement.
    """
    guess, rows = seen.probabilities.argmax(1), []
    for c in seen.classes:
        own, named = seen.targets == c, guess == c
        right, wrong = own & named, guess[own & ~named]
        row = {"species": labels[c], "n": own.sum(), "groups": len(np.unique(seen.groups[own]))}
        for what, among in (("recall", own), ("precision", named)):
            share = right.sum() / among.sum() if among.any() else np.nan
            low, high = wilson(share, len(np.unique(seen.groups[among])))
            row |= {what: share, f"{what}_low": low, f"{what}_high": high}
        rows.append(row | {"named": named.sum(), "taken_for": labels[np.bincount(wrong).argmax()] if len(wrong) else ""})
    return pd.DataFrame(rows).set_index("species")
