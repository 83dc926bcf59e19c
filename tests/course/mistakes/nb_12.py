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
    "thinned": [(lambda label, share, rng: rng.permutation(len(label)) < share * len(label), "only noise is thinned"),
                (lambda label, share, rng:
                 (label != "noise") | (np.cumsum(label == "noise") <= round(share * (label == "noise").sum())),
                 "every generator keeps the same ones")],
    "labels_needed": [(lambda a, b, c, target: (a / (1 - target)) ** (1 / b), "the floor c is missing"),
                      (lambda a, b, c, target: (a / max(1 - target - c, 1e-9)) ** (1 / b), "infinity (np.inf) is the "
                       "honest answer")],
    "true_share": [(lambda present, recall, false: recall, "the recall itself"),
                   (lambda present, recall, false: recall / (recall + false), "weigh both")],
}
