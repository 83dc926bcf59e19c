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
    "general_share": [(lambda ratio: ratio / (1 + ratio), "inf / inf is not a number"),
                      (lambda ratio: 1 / (1 + ratio), "share of *wildlife* clips")],
    "general_in_batch": [(lambda step, batch, share: math.floor(batch * share + 0.5), "rounded for itself"),
                         (lambda step, batch, share: math.floor((step + 1) * batch * share + 0.5),
                          "all batches together")],
    "smallest_batch": [(lambda ratios: max(ratios) + 1, "a multiple of *each*"),
                       (lambda ratios: math.prod(r + 1 for r in ratios), "not the smallest")],
    "paired_draw": [(lambda a, b, targets, rng: _draw(a, targets, rng) - _draw(b, targets, rng),
                     "the same recordings for both arms"),
                    (_over_all, "draw *within* each class")],
    "share_found": [(lambda true, half: float(true >= half), "in half of the cases"),
                    (lambda true, half: norm.sf(half, true, half), "1.96 standard deviations, not one")],
}
