"""Typical mistakes in notebook 06's exercises, and words of the hint that each must get."""
import math

import numpy as np


def _from_all(labels, k, seed):
    return np.random.default_rng(seed).permutation(len(labels))[: k * len(np.unique(labels))]


def _drawn_for_each_k(labels, k, seed):
    rng, rows = np.random.default_rng([seed, k]), [np.flatnonzero(labels == name) for name in np.unique(labels)]
    return np.concatenate([rng.choice(r, min(k, len(r)), replace=False) for r in rows])


MISTAKES = {
    "kept_rows": [(_from_all, "choose within each species"), (_drawn_for_each_k, "not nested")],
    "ceiling": [(lambda kept, evaluated: np.isin(evaluated, kept).mean(), "this counts recordings"),
                (lambda kept, evaluated: len(set(kept)) / len(set(evaluated)), "not evaluated do not help")],
    "epochs_for_equal_steps": [(lambda epochs, everything, kept, batch: round(epochs * everything / kept),
                                "as many *clips*"),
                               (lambda epochs, everything, kept, batch: round(epochs * kept / everything),
                                "more epochs are needed")],
    "labels_worth": [(lambda sizes, random, pretrained, i: pretrained[i] - random[i], "vertical distance"),
                     (lambda sizes, random, pretrained, i: np.interp(pretrained[i], random, sizes) - sizes[i],
                      "stops at the last point")],
    "seeds_needed": [(lambda values, target: max(1, math.ceil(np.std(values, ddof=1) / target)), "the *root* of n"),
                     (lambda values, target: max(1, math.ceil(np.var(values) / target**2)), "ddof=1")],
}
