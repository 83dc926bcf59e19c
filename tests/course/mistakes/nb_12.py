"""Typical mistakes in notebook 12's exercises, and words of the hint that each must get."""

import numpy as np


def _strict(start, end):
    out = []
    for a, b in zip(start, end):
        if out and a < out[-1][1]:
            out[-1][1] = b
        else:
            out.append([a, b])
    return out


MISTAKES = {
    "selection_ends": [(_strict, "windows that only touch"), (lambda start, end: np.stack([start, end], 1),
                                                              "as they came")],
    "split_groups": [(lambda group, share, rng: rng.random(len(group)) < share, "groups lie on both sides"),
                     (lambda group, share, rng:
                      np.isin(group, np.unique(group)[: round(share * len(np.unique(group)))]), "the same split")],
    "labels_needed": [(lambda a, b, c, target: (a / (1 - target)) ** (1 / b), "the floor c is missing"),
                      (lambda a, b, c, target: (a / max(1 - target - c, 1e-9)) ** (1 / b), "infinity (np.inf) is the "
                       "honest answer")],
    "true_share": [(lambda present, recall, false: recall, "the recall itself"),
                   (lambda present, recall, false: recall / (recall + false), "weigh both")],
}
