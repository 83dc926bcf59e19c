"""Typical mistakes in notebook 06's exercises, and words of the hint that each must get."""
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
    "few_shot": [(lambda x, labels, unlabelled, queries:
                  np.square(queries[:, None] - x).sum(-1).argmin(1), "not their numbers"),
                 (lambda x, labels, unlabelled, queries: np.full(len(queries), labels[0]), "chance is 20 %")],
    "labels_worth": [(lambda sizes, random, pretrained, i: pretrained[i] - random[i], "vertical distance"),
                     (lambda sizes, random, pretrained, i: np.interp(pretrained[i], random, sizes) - sizes[i],
                      "stops at the last point")],
}
