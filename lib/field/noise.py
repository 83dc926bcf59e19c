"""What is no species: the gaps between a person's labels, and sounds of every kind, under one label "noise".

A gap is silent only where a person has marked every call of the recording, which nothing in a table says: the caller
must. Of a recording with one label for all of it nothing is taken: its quietest seconds may hold the animal too, and of
a continuous chorus they do."""

import numpy as np
import pandas as pd

from lib.field import events
from lib.sources import chorus, tables

__all__ = ["NAME", "marked", "widened", "gaps", "everyday", "added"]

NAME = "noise"
ALIKE = {NAME, "other", "background", "silence", "none"}  # labels of one's own that mean the same
LEAST_S = 1.0  # a shorter gap is a pause of the animal
CLIPS = 8  # times the everyday sounds of chorus' smallest size, one clip a class: five for train, two for val, one test


def marked(table: pd.DataFrame, boxes: pd.DataFrame, gap_s: float = LEAST_S) -> pd.DataFrame:
    """Recordings and boxes (file, start_s, end_s) of their calls -> a row for each stretch of calls, as a person marks
    them: calls no more than gap_s apart are one. The label and all else are those of the recording."""
    calls = boxes[["file", "start_s", "end_s"]].sort_values(["file", "start_s"])
    one = calls.groupby(["file", events.numbered(calls, ["file"], gap_s).rename("stretch")])
    stretches = one.agg(start_s=("start_s", "min"), end_s=("end_s", "max")).reset_index("file")
    return table.merge(stretches, on="file").reset_index(drop=True)


def widened(table: pd.DataFrame, seconds: float) -> pd.DataFrame:
    """Stretches shorter than a window grow to both sides to one, within their file, and to no more than half way to one
    of another split: so will they be met later on."""
    start, end, last = (table[name].to_numpy(float) for name in ("start_s", "end_s", "duration_s"))
    low, high = np.zeros(len(table)), last.copy()
    for rows in table.groupby("file").indices.values():
        split = table["split"].to_numpy()[rows]
        for i, own in zip(rows, split) if len(set(split)) > 1 else ():
            others = rows[split != own]
            before, after = others[end[others] <= start[i]], others[start[others] >= end[i]]
            low[i] = (end[before].max() + start[i]) / 2 if len(before) else 0
            high[i] = (start[after].min() + end[i]) / 2 if len(after) else last[i]
    at = np.clip((start + end - seconds) / 2, low, np.maximum(low, high - seconds))
    grown = {"start_s": at, "end_s": np.minimum(at + seconds, high)}
    return table.assign(**{name: np.where(end - start < seconds, grown[name], table[name]) for name in grown})


def gaps(table: pd.DataFrame, least_s: float = LEAST_S) -> pd.DataFrame:
    """Rows of label "noise": what lies before, between and behind the labelled stretches of each file, if it lasts
    least_s. Split and group are those of the stretch before it; between stretches of two splits nothing is taken."""
    rows = []
    for _, own in table.sort_values("start_s", kind="stable").groupby("file", sort=False):
        stretches, until = own.to_dict("records"), 0.0
        before, end = stretches[0], {**stretches[0], "start_s": own["duration_s"].iloc[0]}
        for after in [*stretches, end]:
            if after["start_s"] - until >= least_s and (after is end or after["split"] == before["split"]):
                rows.append(before | {"label": NAME, "start_s": until, "end_s": after["start_s"]})
            if after["end_s"] > until:
                before, until = after, after["end_s"]
    return pd.DataFrame(rows, columns=table.columns)


def everyday(name: str, held_out: tuple[str, ...] = (), data_seed: int = 0) -> pd.DataFrame:
    """Sounds of every kind from a general pool (`tables.recordings`) in its splits, as rows of label "noise"; classes
    or families (taxon) in held_out are left out. Of "chorus" a few clips of each class.

    Test has some too: a precision that is measured without them would be too good."""
    if name == "chorus":
        seeds = range(CLIPS * data_seed, CLIPS * (data_seed + 1))
        parts = [chorus.make("general", "smoke", seed, progress=False) for seed in seeds]
        splits = ["train"] * (CLIPS - 3) + ["val", "val", "test"]
        parts = [part.assign(split=split, group=f"{seed} " + part["group"])
                 for seed, split, part in zip(seeds, splits, parts)]
        table = pd.concat(parts, ignore_index=True)
    else:
        table = tables.recordings(name, "general", data_seed=data_seed)
    kinds = table.reindex(columns=["label", "taxon"])
    kept = table["split"].isin(["train", "val", "test"]) & ~kinds.isin(held_out).any(axis=1)
    return table[kept].assign(label=NAME).reset_index(drop=True)


def added(table: pd.DataFrame, general: pd.DataFrame | None, seconds: float, silent: bool = False) -> pd.DataFrame:
    """The table with a class "noise": the rows of a general pool and, where `silent` says that every call is marked,
    the gaps of files that have stretches. These are widened to a window of so many seconds; of one without a beginning
    or an end it is the file's. A class of its own called other, background or so joins it.

    ValueError where a part of a recording would be in two splits."""
    table = table.assign(label=table["label"].mask(table["label"].str.casefold().isin(ALIKE), NAME))
    times, parts = table.reindex(columns=["start_s", "end_s"]).notna().any(axis=1), [table]
    if times.any():
        cut = table["file"].isin(table.loc[times, "file"])
        ours = table[cut].fillna({"start_s": 0.0}).assign(end_s=lambda own: own["end_s"].fillna(own["duration_s"]))
        ours = widened(ours, seconds)
        parts = [table[~cut], ours, *([gaps(ours)] if silent else [])]
    if general is not None:  # whose places are not those of the table, whatever they are called
        named = {"group": f"{NAME} " + general["group"]} if "group" in general else {}
        parts.append(general.assign(**named))
    return tables.check(pd.concat(parts, ignore_index=True), "recordings and noise together")
