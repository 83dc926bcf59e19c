"""How good answers about long recordings are: scores and events beside what people have marked in them.

Tables of truth and of events have label, start_s and end_s, and file where they are of several recordings, as
`selections.read`, `selections.annotations` and `events.merge` give them; a table of windows has start_s and end_s. What
is measured of windows is BirdSet's class-mean average precision (Rauch et al. 2024, arXiv:2403.10380), of events what
sed_eval measures (Mesaros et al. 2016, doi:10.3390/app6060162)."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from sklearn.metrics import average_precision_score

from lib import plots
from lib.field import events
from lib.metrics import Interval

__all__ = ["present", "blocks", "joined", "average_precision", "cmap", "near", "overlapping", "match", "compare",
           "table", "f1", "judged", "timeline"]

DRAWS = 400  # of a bootstrap over blocks

Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]  # true (n, 2) and found (m, 2) in s -> which may pair, (n, m)


def present(truth: pd.DataFrame, windows: pd.DataFrame, labels: Sequence[str], least_s: float = 0.1) -> np.ndarray:
    """Which windows hold which species: bool (W, C). An event counts where least_s, or half, of it lies inside.

    BirdSet takes any overlap (least_s=0), where a window must answer for what nobody could hear in it."""
    at, found = windows[["start_s", "end_s"]].to_numpy(float), np.zeros((len(windows), len(labels)), bool)
    of = dict(list(truth.groupby("label")))
    for c, label in enumerate(labels):
        if label in of:
            start, end = of[label][["start_s", "end_s"]].to_numpy(float).T
            inside = np.minimum(at[:, 1:], end) - np.maximum(at[:, :1], start)  # (W, n) s
            same = _files(windows)[:, None] == _files(of[label])
            found[:, c] = (same & (inside > 0) & (inside >= np.minimum(least_s, (end - start) / 2))).any(1)
    return found


def blocks(table: pd.DataFrame, minutes: float = 0) -> np.ndarray:
    """What each row counts to when blocks are drawn anew, (N,) of str: its recording or, of one recording, its minutes.

    Minutes that follow each other share animals and weather: an interval over them is a lower bound of the doubt, one
    over recordings of several places and nights is what can be said of another."""
    files = _files(table)
    return files if not minutes else np.char.add(files.astype(str), (table["start_s"] // (60 * minutes)).map(
        " {:.0f}".format).to_numpy(str))


def _files(table: pd.DataFrame) -> np.ndarray:
    return table["file"].to_numpy(str) if "file" in table else np.full(len(table), "")


def joined(truth: pd.DataFrame, gap_s: float) -> pd.DataFrame:
    """Calls of one species that lie no more than gap_s apart as one event, as people mark a song: by file and start,
    file, label, start_s and end_s."""
    rows = truth.assign(file=_files(truth)).sort_values(["file", "label", "start_s"])
    songs = rows.groupby(events.numbered(rows, ["file", "label"], gap_s)).agg(
        {"file": "first", "label": "first", "start_s": "first", "end_s": "max"})
    return songs.sort_values(["file", "start_s"], kind="stable", ignore_index=True)


# ---- windows

def average_precision(present: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Of each species (C,) scikit-learn's average precision over windows, (W, C) each; nan where none holds it."""
    return np.array([average_precision_score(is_it, score) if is_it.any() else np.nan
                     for is_it, score in zip(present.T, scores.T)])


def cmap(present: np.ndarray, scores: np.ndarray, blocks: np.ndarray, rng: np.random.Generator,
         draws: int = DRAWS) -> Interval:
    """BirdSet's cmAP: the mean of `average_precision` over the species that occur, and its 95 % interval over blocks.

    BirdCLEF's padded cmAP is another: it adds rows that are right for every species, and so counts absent ones too.
    Random scores have the species' mean share of windows. A draw without a species averages over the others."""
    if not present.any():
        raise ValueError(f"none of the {present.shape[1]} species is in any of {len(present)} windows: compare the "
                         "names in truth and answers")
    value = float(np.nanmean(average_precision(present, scores)))
    _, block = np.unique(blocks, return_inverse=True)
    times = _times(block.max() + 1, rng, draws)[:, block]
    drawn = np.stack([_weighted(is_it, score, times) for is_it, score in zip(present.T, scores.T) if is_it.any()])
    return _interval(value, np.nanmean(drawn[:, ~np.isnan(drawn).all(0)], 0), block.max() + 1)


def _weighted(is_it: np.ndarray, score: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The average precision of one species when windows (W,) count so many times (D, W): (D,), nan without the species.

    scikit-learn gives the same with a sample_weight, one draw at a time: 100 times slower."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # of windows with one score
    above, hits = (x[:, order].cumsum(1)[:, last] for x in (times, times * is_it))  # (D, scores)
    precision = hits / np.maximum(above, 1)
    with np.errstate(invalid="ignore"):
        return (np.diff(hits, axis=1, prepend=0) * precision).sum(1) / hits[:, -1]


def _times(n: int, rng: np.random.Generator, draws: int) -> np.ndarray:
    """How often each of n blocks is taken in each draw, (D, n)."""
    return rng.multinomial(n, np.full(n, 1 / n), draws)


def _interval(value: float, drawn: np.ndarray, blocks: int) -> Interval:
    """One block has nothing to draw from."""
    low, high = np.nanpercentile(drawn, [2.5, 97.5]) if blocks > 1 else (np.nan, np.nan)
    return Interval(value, float(low), float(high))


# ---- events

def near(tolerance_s: float = 0.5, share: float = 0.5) -> Rule:
    """sed_eval's rule: the beginnings lie within tolerance_s, the ends within that or a share of the true length."""
    def rule(true: np.ndarray, found: np.ndarray) -> np.ndarray:
        apart = np.abs(true[:, None] - found)  # (n, m, 2)
        allowed = np.maximum(tolerance_s, share * (true[:, 1] - true[:, 0]))[:, None]
        return (apart[..., 0] <= tolerance_s + events.SAME_S) & (apart[..., 1] <= allowed + events.SAME_S)
    return rule


def overlapping(iou: float = 0.3) -> Rule:
    """The time that both cover is at least this share of the time that either covers; with 0, any touch will do."""
    def rule(true: np.ndarray, found: np.ndarray) -> np.ndarray:
        both = np.minimum(true[:, None, 1], found[:, 1]) - np.maximum(true[:, None, 0], found[:, 0])  # (n, m)
        either = np.maximum(true[:, None, 1], found[:, 1]) - np.minimum(true[:, None, 0], found[:, 0])
        return (both > 0) & (both >= iou * either)
    return rule


def match(true: np.ndarray, found: np.ndarray, rule: Rule) -> np.ndarray:
    """The found event (by number) that each true one (n, 2) is paired with, or -1: as many pairs as the rule allows.

    Each event is in one pair at most. One by one, each taking the nearest, fewer pairs may come out."""
    may = rule(true, found)
    return maximum_bipartite_matching(csr_array(may), "column") if may.any() else np.full(len(true), -1)


def compare(truth: pd.DataFrame, found: pd.DataFrame, labels: Sequence[str], rule: Rule,
            minutes: float = 0) -> pd.DataFrame:
    """How many events there are, were found, and were found rightly: block, label, true, found, right.

    Events are paired within a recording and a species. A pair counts in the block (`blocks`) of its true event. Labels
    that are not asked about are left out, in truth and answers."""
    columns, rows = ["start_s", "end_s"], []
    found = found.reset_index(drop=True).assign(file=_files(found))
    known = {key: part for key, part in found.groupby(["file", "label"])}
    asked = {key: part for key, part in truth.assign(file=_files(truth)).groupby(["file", "label"])}
    for key in sorted(known.keys() | asked.keys()):
        if key[1] not in labels:
            continue
        true, own = (side.get(key, found[:0]) for side in (asked, known))
        pair = match(true[columns].to_numpy(float), own[columns].to_numpy(float), rule)
        hit, false = pair >= 0, np.delete(own.index, pair[pair >= 0])
        rows.append(pd.DataFrame({"block": blocks(true, minutes), "true": 1, "found": hit, "right": hit}).astype(
            {"found": int, "right": int}).assign(label=key[1]))
        rows.append(pd.DataFrame({"block": blocks(own.loc[false], minutes), "true": 0, "found": 1,
                                  "right": 0}).assign(label=key[1]))
    rows = pd.concat(rows) if rows else pd.DataFrame(columns=["block", "label", "true", "found", "right"], dtype=int)
    return rows.groupby(["block", "label"], as_index=False)[["true", "found", "right"]].sum()


def table(counts: pd.DataFrame) -> pd.DataFrame:
    """Of each label of `compare` true, found, right, precision, recall and f1; the last row, "all", is of all events.

    nan is what cannot be said: the precision of what was never found, the recall and F1 of what never occurs."""
    each = counts.groupby("label")[["true", "found", "right"]].sum()
    each.loc["all"] = each.sum()
    true, found, right = (each[name].astype(float) for name in ("true", "found", "right"))
    return each.assign(precision=right / found.where(found > 0), recall=right / true.where(true > 0),
                       f1=2 * right / (true + found).where(true > 0))


def f1(counts: pd.DataFrame, rng: np.random.Generator, draws: int = DRAWS) -> Interval:
    """The mean F1 over the species that occur, and its 95 % interval over the blocks that hold an event."""
    if not counts["true"].any():
        raise ValueError("the truth has none of the species that were asked about: compare the names in both")
    true, found, right = (counts.pivot(index="block", columns="label", values=name).fillna(0).to_numpy()  # (B, C)
                          for name in ("true", "found", "right"))
    times = np.concatenate([np.ones((1, len(true))), _times(len(true), rng, draws)])  # all of it, and each draw
    there, answered, hit = (times @ x for x in (true, found, right))  # (1 + D, C)
    with np.errstate(invalid="ignore"):
        each = np.where(there > 0, 2 * hit / (there + answered), np.nan)
    value, *drawn = np.nanmean(each[(there > 0).any(1)], axis=1)
    return _interval(float(value), np.array(drawn), len(true))


def judged(finds: pd.DataFrame, calls: pd.DataFrame, bouts: pd.DataFrame, labels: Sequence[str]) -> dict[str, float]:
    """How many finds there are and are true (a call of their species lies in them, as in `present`), and on how many
    bouts of calls one lies: selections, true, precision, bouts, recall. One find may count for several bouts."""
    of_find, of_bout = (np.searchsorted(labels, rows["label"]) for rows in (finds, bouts))
    own = present(calls, finds, labels)[np.arange(len(finds)), of_find]
    hit = present(finds[own], bouts, labels)[np.arange(len(bouts)), of_bout]
    return {"selections": len(finds), "true": own.sum(), "precision": own.mean() if len(finds) else np.nan,
            "bouts": len(bouts), "recall": hit.mean()}


def timeline(ax: Axes, truth: pd.DataFrame, finds: Mapping[str, pd.DataFrame], labels: Sequence[str]) -> None:
    """What is there, in grey, a line a label and one above for all else, and finds by their colours, side by side."""
    place = {label: row for row, label in enumerate(labels)}
    for row in truth.itertuples():
        ax.barh(place.get(row.label, len(labels)), row.end_s - row.start_s, left=row.start_s, color="0.75", height=0.8)
    for up, (color, own) in zip(np.linspace(0.15, -0.15, len(finds)), finds.items()):
        for row in own.itertuples():
            ax.hlines(place[row.label] + up, row.start_s, row.end_s, color=color, linewidth=2.5)
    ax.set_yticks(range(len(labels) + 1), [*map(plots.label, labels), "noise"], fontsize="small")
    ax.set_xlabel("time (s)")
