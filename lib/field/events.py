"""Events: what the windows of a long recording say, species by species, as stretches of time. Several may overlap."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

__all__ = ["COLUMNS", "numbered", "merge"]

COLUMNS = ["label", "start_s", "end_s", "score", "windows"]
SAME_S = 1e-6  # times that differ by no more are one


def numbered(rows: pd.DataFrame, by: list[str], gap_s: float = 0.0) -> pd.Series:
    """The number of the stretch that each row (start_s, end_s and the columns `by`) belongs to.

    Rows of the same `by` that overlap, touch or lie no more than gap_s apart are one; they come sorted by `by` and
    start_s."""
    until = rows.groupby(by)["end_s"].cummax().groupby([rows[name] for name in by]).shift()  # all before have ended
    return (~(rows["start_s"] <= until + gap_s + SAME_S)).cumsum()  # the first has none before it: nan


def merge(start_s: np.ndarray, end_s: np.ndarray, scores: np.ndarray, labels: Sequence[str],
          thresholds: np.ndarray | float, gap_s: float = 0.0, least_s: float = 0.0) -> pd.DataFrame:
    """Windows from start_s to end_s (W,) with scores (W, C) of each of C labels -> events: COLUMNS, in order of start.

    A window counts for every label whose threshold (C,), or the one of all, its score reaches; none reaches a threshold
    of nan. Windows of one label that overlap, touch or lie no more than gap_s apart are one event, whose score is that
    of its best window; one shorter than least_s is dropped. Windows may come in any order. ValueError names one without
    a score."""
    start, end, scores = (np.asarray(x, float) for x in (start_s, end_s, scores))
    if scores.shape != (len(start), len(labels)) or end.shape != start.shape:
        raise ValueError(f"got scores {scores.shape} of {len(start)} starts, {len(end)} ends and {len(labels)} labels: "
                         "they must be (windows, labels)")
    if (unknown := np.isnan(scores).any(1)).any():
        raise ValueError(f"the window at {start[unknown][0]:g} s has no score (nan): a model that answers so must not "
                         "pass for one that found nothing")
    order = np.argsort(start, kind="stable")
    c, w = np.nonzero((scores >= np.asarray(thresholds, float)).T[:, order])  # label by label, by start
    w = order[w]
    sure = pd.DataFrame({"c": c, "start_s": start[w], "end_s": end[w], "score": scores[w, c]})
    events = sure.groupby(numbered(sure, ["c"], gap_s)).agg(
        label=("c", "first"), start_s=("start_s", "first"), end_s=("end_s", "max"), score=("score", "max"),
        windows=("c", "size"))
    events["label"] = np.asarray(labels, object)[events["label"]]
    events = events[events["end_s"] - events["start_s"] >= least_s - SAME_S]
    return events.sort_values("start_s", kind="stable", ignore_index=True)
