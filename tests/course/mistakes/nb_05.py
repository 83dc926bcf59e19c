"""Typical mistakes in notebook 05's exercises, and words of the hint that each must get."""
import math

import numpy as np
from scipy.stats import norm


def _draw(values, targets, rng):
    return np.mean([rng.choice(values[targets == c], np.sum(targets == c)).mean() for c in np.unique(targets)])


def _over_all(a, b, targets, rng):
    rows = rng.integers(len(a), size=len(a))
    d, drawn = (a - b)[rows], targets[rows]
    return np.mean([d[drawn == c].mean() for c in np.unique(drawn)])


MISTAKES = {
    "general_in_batch": [(lambda step, batch, share: math.floor(batch * share + 0.5), "rounded for itself"),
                         (lambda step, batch, share: math.floor((step + 1) * batch * share + 0.5),
                          "all batches together")],
    "linear_guess": [(lambda train, test, hidden: np.tile(train[:, hidden].mean(0), (len(test), 1)),
                      "no better than each band's mean"),
                     (lambda train, test, hidden: test[:, hidden], "it has peeked")],
    "paired_draw": [(lambda a, b, targets, rng: _draw(a, targets, rng) - _draw(b, targets, rng),
                     "the same recordings for both arms"),
                    (_over_all, "draw *within* each class")],
    "share_found": [(lambda true, half: float(true >= half), "in half of the cases"),
                    (lambda true, half: norm.sf(half, true, half), "1.96 standard deviations, not one")],
}
