"""Typical mistakes in notebook 15's exercises, and words of the hint that each must get."""

import numpy as np


def _margin(p):
    two = np.sort(p, axis=1)[:, -2:]
    return two[:, 1] - two[:, 0]


def _own_neighbour(x, label, k):
    near = np.argsort(((x[:, None] - x) ** 2).sum(-1), axis=1)[:, :k]
    return (label[near] == label[:, None]).mean()


def _nearest_alone(x, label, k):
    away = ((x[:, None] - x) ** 2).sum(-1)
    np.fill_diagonal(away, np.inf)
    return (label[away.argmin(1)] == label).mean()


def _no_new_centres(x, labelled, n):
    away = ((x[:, None] - x[list(labelled)]) ** 2).sum(-1).min(1)
    return np.argsort(-away, kind="stable")[:n]


def _with_labelled(x, labelled, n):
    centres = list(labelled)
    for _ in range(n):
        centres.append(int(((x[:, None] - x[centres]) ** 2).sum(-1).min(1).argmax()))
    return centres


MISTAKES = {
    "least_certain": [(lambda p, n: np.argsort(-_margin(p), kind="stable")[:n], "the most certain ones"),
                      (lambda p, n: np.argsort(p.max(1), kind="stable")[:n], "smallest largest probability")],
    "purity": [(_own_neighbour, "its own neighbour"), (_nearest_alone, "the nearest alone")],
    "k_centre": [(_no_new_centres, "must become a centre too"), (_with_labelled, "give the new ones")],
    "labels_saved": [(lambda sizes, rule, random: np.interp(random[-1], rule, sizes), "what remains of all"),
                     (lambda sizes, rule, random: rule[-1] - random[-1], "not in labels")],
    "my_rule": [(lambda p, x, labelled: 1 - _margin(p), "lie alone"),
                (lambda p, x, labelled: np.exp(-((x[:, None] - x) ** 2).sum(-1)).mean(1), "some are certain")],
}
