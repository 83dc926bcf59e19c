"""Typical mistakes in notebook 10's exercises, and words of the hint that each must get."""
import numpy as np
import torch


def _lags(x, mean, shorter):
    y, n = x - mean * x.mean(), len(x)
    r = torch.stack([(y[: n - k] * y[k:]).sum() / (n - shorter * k) for k in range(n)])
    return r / r[0]


MISTAKES = {
    "hidden_error": [(lambda errors, hidden: (errors * hidden).mean(), "visible patches pasted"),
                     (lambda errors, hidden: errors.mean(), "visible patches are in this mean")],
    "token_of": [(lambda t, f, grid: t * grid.f + f, "one too low"),
                 (lambda t, f, grid: 1 + f * grid.t + t, "counts along time first")],
    "attend": [(lambda q, k: (q @ k.mT / q.shape[-1] ** 0.5).softmax(-2), "columns sum to 1"),
               (lambda q, k: (q @ k.mT).softmax(-1), "not divided by sqrt(d)")],
    "repeats": [(lambda x: _lags(x, 0, 1), "the mean is still in"),
                (lambda x: _lags(x, 1, 0), "overlaps in fewer columns")],
    "by_chance": [(lambda answers, truths, tolerance: np.mean(np.abs(answers - truths) <= tolerance),
                   "with its own truth: that is"),
                  (lambda answers, truths, tolerance: np.mean(np.abs(answers[~np.isnan(answers)][:, None] - truths)
                                                              <= tolerance), "saying nothing would pay")],
}
