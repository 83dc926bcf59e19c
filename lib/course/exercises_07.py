"""Checks of notebook 07's exercises: a control of equal size, the ROC area, energy, an own filter."""
import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from lib.course.exercises import compare, exercise, need, same

__all__ = ["at_random", "auc", "energies", "own_score"]


@exercise("go through the recordings: how many windows does the filter keep in this one? Choose as many of its windows "
          "with rng.choice")
def at_random(attempt):
    rng = np.random.default_rng(2)
    size, kept = np.array([2, 5, 9, 20]), np.array([0, 2, 9, 6])
    recording = np.repeat(np.arange(4), size)
    keep = np.concatenate([rng.permutation(np.arange(n) < k) for n, k in zip(size, kept)])

    def draw(i):
        chosen = np.asarray(attempt(keep.copy(), recording.copy(), np.random.default_rng(i)))
        need(chosen.shape == keep.shape and chosen.dtype == bool, f"wanted is a bool for each of {len(keep)} windows")
        return chosen

    drawn = [draw(i) for i in range(20)]
    need(not all((d == keep).all() for d in drawn), "these are the filter's own windows: the control may not know them")
    counts = np.array([np.bincount(recording, weights=d, minlength=4) for d in drawn])
    need(not (counts.sum(1) < keep.sum()).any(), "some draws keep fewer than the filter: draw without replacement")
    need((counts.sum(1) == keep.sum()).all(), "some draws keep more windows than the filter: keep exactly as many")
    need((counts == kept).all(), "as many windows overall, but not in every recording: a filter also chooses "
         "recordings, and the control must share that choice. Draw within each recording")
    need(np.stack(drawn)[:, np.isin(recording, [1, 3])].any(0).all(), "some windows are never chosen: all can be")
    return "what is left between filter and control is the choice of windows, and nothing else."


@exercise("compare every window with a call to every one without: in which share of the pairs does the one with the "
          "call have the higher score?")
def auc(attempt):
    rng = np.random.default_rng(3)
    for n, share in ((60, 0.7), (90, 0.2)):
        calls = rng.random(n) < share
        score = np.round(rng.normal(calls * 1.0, 1.0), 0)  # with ties
        pairs = np.sign(score[calls][:, None] - score[~calls])  # (with, without)
        right = roc_auc_score(calls, score)
        compare(attempt(score.copy(), calls.copy()), right, {
            "two equal scores are a coin, not a mistake: a tie counts one half": (pairs > 0).mean(),
            "two equal scores are a coin, not a success: a tie counts one half": (pairs >= 0).mean(),
            "this is for a filter turned round: the window *with* a call should have the higher score": 1 - right,
            "divided by all pairs: only those of one with and one without a call are asked": right * pairs.size / n**2,
            "this is a difference of scores; the area asks for the order": score[calls].mean() - score[~calls].mean()})
    return "0.5 is a coin; it needs no threshold, and is the area under the ROC curve."


@exercise("divide the whole recording by its largest absolute value, then for each start: the sum of squares of "
          "`length` samples from there on")
def energies(attempt):
    generator = torch.Generator().manual_seed(4)
    for peak, starts in ((0.3, [0, 50, 100]), (2.5, [20, 60, 130, 190])):
        wave = torch.randn(300, generator=generator) * torch.linspace(0.2, 1, 300)
        wave = wave * peak / wave.abs().max()
        pieces = torch.stack([wave[s : s + 100] for s in starts])  # (W, 100)
        sums, right = pieces.square().sum(1), (pieces / peak).square().sum(1)
        compare(attempt(wave.clone(), list(starts), 100), right, {
            "scaled to its own peak an empty window becomes as loud as a call": sums / pieces.abs().amax(1).square(),
            "this is the mean of the squares; the fork's 200 belongs to their sum, which grows": right / 100,
            "not scaled yet: divide by the largest absolute value of the whole recording": sums,
            "divided by the peak after squaring: scale the wave first, or divide by the peak squared": sums / peak,
            "the largest *value* may be less than the swing downwards: take absolute values": sums / wave.max() ** 2})
    return "a single click ten times as loud as all else divides every other window's energy by a hundred."


@exercise("a call comes and goes in a few bands, wind stays in all: how much does each band change over time (dim 1), "
          "and which of a window's bands changes most?")
def own_score(attempt):
    areas = []
    for seed in (5, 6):
        spec, calls = _toys(torch.Generator().manual_seed(seed))
        got = torch.as_tensor(attempt(spec.clone())).double()
        need(got.shape == calls.shape, f"wanted is one number for each of {len(calls)} windows, not "
             f"{tuple(got.shape)}: leave dim 0 alone")
        need(got.isfinite().all(), "some scores are not finite numbers")
        alone = torch.as_tensor(attempt(spec[:3].clone())).double()
        need(same(alone, got[:3], 1e-3), "the score of a window changes with the others beside it: take means and "
             "maxima over its own time (1) and mel (2) only")
        areas.append(roc_auc_score(calls, got))
        need(areas[-1] > 0.6, f"{areas[-1]:.0%} of the pairs are in order, and a coin has 50 %: is a window with a "
             "call *higher*? Loud wind has more energy than a call")
    return f"{np.mean(areas):.0%} of the pairs of toys are in order; the mean level has about 50 %."


def _toys(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of wind, (40, 64, 32) in dB, each at a level of its own, and which of them hold a short call."""
    spec = -40 + 3 * torch.randn(40, 64, 32, generator=generator) + 10 * torch.randn(40, 1, 1, generator=generator)
    calls = torch.rand(40, generator=generator) < 0.5
    for window in calls.nonzero().flatten().tolist():
        start, band = (int(torch.randint(high, (1,), generator=generator)) for high in (48, 28))
        spec[window, start : start + 16, band : band + 4] += 15
    return spec, calls
