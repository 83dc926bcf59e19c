"""Checks of notebook 10's exercises: whose error, which token, attention, repetition, and what is right by chance."""
import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention

from lib import attention
from lib.course.exercises import compare, exercise, generator
from lib.patches import Grid

__all__ = ["hidden_error", "token_of", "attend", "repeats", "by_chance"]
@exercise("`errors[hidden]` picks the hidden patches of all clips")
def hidden_error(attempt):
    for seed, ratio in ((0, 0.75), (1, 0.4)):
        errors = torch.rand(4, 95, generator=generator(seed)) + 0.5
        hidden = torch.rand(4, 95, generator=generator(seed + 9)) < ratio
        errors[~hidden] += 1.0  # visible patches were never trained to be reproduced
        compare(attempt(errors.clone(), hidden.clone()), errors[hidden].mean(), {
            "with the visible patches pasted this falls when less is hidden, in any model": (errors * hidden).mean(),
            "visible patches are in this mean; they were never trained to be reproduced": errors.mean(),
            "these are the visible patches: in `hidden`, True means hidden": errors[~hidden].mean(),
            "this is a sum; divide by the number of hidden patches": errors[hidden].sum()})
    return "only this number can be compared between mask ratios, and even it is over other patches each time."


@exercise("tokens run time-major: all mel rows of the first column, then those of the second. Token 0 is the class "
          "token")
def token_of(attempt):
    for grid in (Grid(19, 5), Grid(32, 8)):
        for t, f in ((7, 2), (0, 0), (12, 1), (18, 4)):
            right, along = 1 + t * grid.f + f, 1 + f * grid.t + t
            compare(int(attempt(t, f, grid)), right, {
                "one too low: token 0 of the maps is the class token, patches begin at 1": right - 1,
                "this counts along time first, as MSM-MAE does; here a column's mel rows follow each other": along,
                "this counts along time first, and forgets the class token": along - 1,
                "a step in time passes over a column, which has grid.f patches": 1 + t * grid.t + f})
    return "a map drawn from the wrong row looks just as plausible."


@exercise("equation (4): queries times keys (`q @ k.mT`), divided by the square root of d, then softmax over what is "
          "looked at")
def attend(attempt):
    for heads, n, d in ((2, 6, 4), (3, 5, 16)):
        q, k = 2 * torch.randn(2, heads, n, d, generator=generator(n))
        scores = q @ k.mT
        scaled = scores / d**0.5
        compare(attempt(q.clone(), k.clone()), scaled_dot_product_attention(q, k, torch.eye(n).expand(heads, n, n)), {
            "columns sum to 1 here, and rows do not: the softmax runs over the keys, the last axis": scaled.softmax(-2),
            "the scores are not divided by sqrt(d): the maps are far too sharp": scores.softmax(-1),
            "divided by d in place of its square root: the maps are far too flat": (scores / d).softmax(-1),
            "these are the scores; softmax makes shares of them": scaled,
            "q and k are exchanged: row i must say where token i looks": scaled.mT.softmax(-1)})
    return "each row sums to 1: a token has one whole attention to give."


@exercise("take the mean off, then for each lag k: the sum of x[: n - k] * x[k:], divided by its n - k terms; at the "
          "end divide all by r(0)")
def repeats(attempt):
    def lags(y):
        return torch.stack([(y[: len(y) - k] * y[k:]).sum() for k in range(len(y))])

    for n, period in ((19, 5), (32, 7)):
        wave = (2 * torch.pi * torch.arange(n, dtype=torch.float64) / period).cos()
        x = 3 + wave + 0.3 * torch.randn(n, generator=generator(n), dtype=torch.float64)
        centred, left = x - x.mean(), torch.arange(n, 0, -1)
        raw, right, short = lags(x) / left, lags(centred) / left, lags(centred) / n
        compare(attempt(x.clone()), attention.autocorrelation(x[None, :, None])[0], {
            "the mean is still in: r hardly leaves 1, because a constant is like itself at every lag": raw / raw[0],
            "a longer lag overlaps in fewer columns: divide by n - k, or repetitions look weak": short / short[0],
            "r(0) should be 1: divide all by it at the end": right})
    return "its first high peak after lag 0 is the period; at lag 0 everything is like itself."


@exercise("pair every answer with every truth, `np.abs(answers[:, None] - truths)`: in which share of the pairs are "
          "they close?")
def by_chance(attempt):
    rng = np.random.default_rng(5)
    for n in (30, 44):
        truths = rng.uniform(0.3, 1.5, n)
        answers = truths + rng.normal(0, 0.2, n)
        answers[rng.random(n) < 0.3] = np.nan  # no period was found
        found = ~np.isnan(answers)
        close = np.abs(answers[:, None] - truths) <= 0.16
        compare(attempt(answers.copy(), truths.copy(), 0.16), close.mean(), {
            "this pairs each answer with its own truth: that is how often it *is* right": np.diag(close).mean(),
            "NaN is left out here; it counts as wrong, or saying nothing would pay": close[found].mean(),
            "each answer with its own truth, and NaN is left out": np.diag(close)[found].mean(),
            "these are the pairs that are far apart": 1 - close.mean()},
            "shuffled truths come close; all n x n pairs give it exactly, with NaN as wrong and as one of the n")
    return "a method that always says the usual interval is right as often as by chance, and has learned nothing."
