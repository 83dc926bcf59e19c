"""Typical mistakes in notebook 14's exercises, and words of the hint that each must get."""

import numpy as np


def _inside(window_start, window_end, start, end):
    return np.minimum(window_end[:, None], end) - np.maximum(window_start[:, None], start)


def _first_free(may):
    taken = set()
    for row in may:
        taken |= set([m for m in np.flatnonzero(row) if m not in taken][:1])
    return len(taken)


def _rising(score, is_it):
    is_it = is_it[np.argsort(score)]
    return (np.cumsum(is_it) / np.arange(1, len(is_it) + 1))[is_it].mean()


def _everywhere(score, is_it):
    return (np.cumsum(is_it[np.argsort(-score)]) / np.arange(1, len(is_it) + 1)).mean()


MISTAKES = {
    "holds_call": [(lambda *times: (_inside(*times) > 0).any(1), "any overlap counts here"),
                   (lambda *times: (_inside(*times) >= 0.1).any(1), "shorter than 0.1 s never counts")],
    "average_precision": [(_rising, "begins with the lowest"), (_everywhere, "the mean over all windows")],
    "iou": [(lambda one, other: max(0, min(one[1], other[1]) - max(one[0], other[0]))
             / (one[1] - one[0] + other[1] - other[0]), "counted twice"),
            (lambda one, other: (min(one[1], other[1]) - max(one[0], other[0]))
             / (max(one[1], other[1]) - min(one[0], other[0])), "never negative")],
    "most_pairs": [(_first_free, "is not the most"), (lambda may: may.any(1).sum(), "in several pairs")],
    "hurried": [(lambda truth, share, rng: truth[: round(share * len(truth))], "one stretch of time"),
                (lambda truth, share, rng: truth.sample(frac=share, random_state=0), "the same rows")],
}
