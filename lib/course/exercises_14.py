"""Checks of notebook 14's exercises: windows with a call, average precision, overlap, pairs, a hurried annotator."""
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from lib.course.exercises import compare, exercise, need

__all__ = ["holds_call", "average_precision", "iou", "most_pairs", "hurried"]


@exercise("what of a call lies inside a window is min(ends) - max(starts), for every window against every call: (W, n) "
          "by `window_end[:, None]`")
def holds_call(attempt):
    for seed in (0, 1, 2):
        rng = np.random.default_rng(seed)
        start = 1.5 * np.arange(30)
        call = np.sort(rng.uniform(0, 45, 9))
        end = call + np.exp(rng.uniform(-4, 1, 9))
        call[0], end[0] = start[4] - 0.95, start[4] + 0.05  # 0.05 s of it, in the window from start[4] on
        call[1], end[1] = start[9] + 0.5, start[9] + 0.55  # all of a short one
        inside = np.minimum(start[:, None] + 3, end) - np.maximum(start[:, None], call)
        right = (inside >= np.minimum(0.1, (end - call) / 2)).any(1)
        got = np.asarray(attempt(start.copy(), start + 3.0, call.copy(), end.copy()))
        compare(got, right, {
            "any overlap counts here: at least 0.1 s, or half of a short call, must lie inside": (inside > 0).any(1),
            "a call shorter than 0.1 s never counts here: half of it is enough": (inside >= 0.1).any(1),
            "half of every call is asked for; of a long one 0.1 s is enough": (inside >= (end - call) / 2).any(1),
            "these are the windows without a call": ~right}, "one True or False a window, whichever of the calls it is")
    return "whoever marks a tenth of a second at a window's edge must not make the whole window wrong."


@exercise("sort by falling score; then `np.cumsum(is_it) / np.arange(1, n + 1)` is the precision down to each window")
def average_precision(attempt):
    for seed in (0, 1, 2):
        rng = np.random.default_rng(seed)
        score, is_it = rng.permutation(50) / 50, rng.random(50) < 0.3

        def ap(order, at=None):
            sorted_ = is_it[order]
            precision = np.cumsum(sorted_) / np.arange(1, 51)
            return precision[sorted_ if at is None else at].mean()

        falling = np.argsort(-score)
        compare(attempt(score.copy(), is_it.copy()), ap(falling), {
            "the list begins with the lowest score: sort by -score": ap(np.argsort(score)),
            "this is the mean over all windows: take it at those that hold the species": ap(falling, slice(None)),
            "this is in the order of time: sort by the score first": ap(np.arange(50)),
            "this is the share of windows that hold the species, which random scores have": is_it.mean()})
    return "no threshold, and only the order of the scores counts."


@exercise("both = min(ends) - max(starts), and never below 0; either = the two lengths less what both cover")
def iou(attempt):
    for one, other in (((0.0, 3.0), (1.5, 4.5)), ((2.0, 2.1), (0.0, 4.5)), ((5.0, 6.0), (5.0, 6.0))):
        both = min(one[1], other[1]) - max(one[0], other[0])
        lengths = one[1] - one[0], other[1] - other[0]
        compare(attempt(one, other), both / (sum(lengths) - both), {
            "what both cover is counted twice in the sum of the lengths": both / sum(lengths),
            "this divides by the first event alone": both / lengths[0],
            "this divides by the second event alone": both / lengths[1],
            "this is the time that both cover, not yet divided": both})
    compare(attempt((0.0, 1.0), (4.0, 6.0)), 0.0, otherwise="two events that do not meet have 0: what both cover is "
            "never negative")
    return "a call of 0.1 s can never be found well by a window of 3 s, measured so."


@exercise("`linear_sum_assignment(may, maximize=True)` gives rows and columns of the best choice; count the pairs that "
          "may be")
def most_pairs(attempt):
    for seed in (0, 1, 2, 1074):  # in the last, who begins with the events that have fewest partners misses a pair
        rng = np.random.default_rng(seed)
        may = rng.random((7, 6)) < 0.3
        may[:2] = False
        may[0, [0, 1]] = may[1, 0] = True  # whoever takes the first free one leaves nothing to the second
        taken = set()
        for row in may:
            taken |= set([m for m in np.flatnonzero(row) if m not in taken][:1])
        right = int(may[linear_sum_assignment(may, maximize=True)].sum())
        compare(attempt(may.copy()), right, {
            "one after the other, each taking the first that is free, is not the most": len(taken),
            "a found event stands in several pairs": int(may.any(1).sum()),
            "a true event stands in several pairs": int(may.any(0).sum()),
            "this counts all that may be, not pairs of which each event is in one": int(may.sum()),
            "some of these pairs may not be: count `may` at the chosen ones": min(may.shape)})
    return "so the score does not depend on the order of the events."


@exercise("`rng.random(len(truth)) < share` says which rows are kept")
def hurried(attempt):
    start = np.arange(400.0)
    truth = pd.DataFrame({"label": np.where(start % 3, "frog", "toad"), "start_s": start, "end_s": start + 0.5})
    whole = truth.copy()
    for share in (0.25, 0.8):
        kept = attempt(truth, share, np.random.default_rng(0))
        need(isinstance(kept, pd.DataFrame) and list(kept) == list(truth), "rows of the table are wanted, with all its "
             "columns: `truth[which]`")
        need(truth.equals(whole), "the truth itself was changed: return rows of it, and leave it as it is")
        need(kept["start_s"].is_unique and set(kept["start_s"]) <= set(start), "a call was marked twice: draw without "
             "replacement")
        need(abs(len(kept) / 400 - share) < 0.08, f"{len(kept) / 400:.0%} of the rows are kept, wanted are about "
             f"{share:.0%}")
        runs = np.abs(np.diff(np.isin(start, kept["start_s"]).astype(int))).sum()
        need(runs > 20, "the kept calls lie in one stretch of time: every call must have the same chance")
    again, other = (attempt(truth, 0.5, np.random.default_rng(seed))["start_s"].tolist() for seed in (0, 1))
    need(again == attempt(truth, 0.5, np.random.default_rng(0))["start_s"].tolist(),
         "the same generator gives other rows: use `rng` for every draw")
    need(again != other, "every generator gives the same rows: draw with `rng`")
    return "the answers stay, the score falls: look at the figure below."
