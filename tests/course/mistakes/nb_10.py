"""Typical mistakes in notebook 10's exercises, and words of the hint that each must get."""
import numpy as np
import torch


def _lags(x, mean, shorter):
    y, n = x - mean * x.mean(), len(x)
    r = torch.stack([(y[: n - k] * y[k:]).sum() / (n - shorter * k) for k in range(n)])
    return r / r[0]


def _zero(attn, *weights):
    for weight in weights:
        weight.zero_()
    return attn


MISTAKES = {
    "token_of": [(lambda t, f, grid: t * grid.f + f, "one too low"),
                 (lambda t, f, grid: 1 + f * grid.t + t, "counts along time first")],
    "look_everywhere": [(lambda attn: _zero(attn, attn.qkv.weight, attn.qkv.bias), "the values are gone"),
                        (lambda attn: _zero(attn, attn.qkv.weight[: attn.qkv.in_features]), "still have their bias")],
    "repeats": [(lambda x: _lags(x, 0, 1), "the mean is still in"),
                (lambda x: _lags(x, 1, 0), "overlaps in fewer columns")],
    "by_chance": [(lambda answers, truths, tolerance: np.mean(np.abs(answers - truths) <= tolerance),
                   "with its own truth: that is"),
                  (lambda answers, truths, tolerance: np.mean(np.abs(answers[~np.isnan(answers)][:, None] - truths)
                                                              <= tolerance), "saying nothing would pay")],
}
