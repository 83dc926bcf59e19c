"""Typical mistakes in notebook 11's exercises, and words of the hint that each must get."""
import math

import numpy as np


def _p_forgotten(change, p, seeds, direction):
    if seeds < 3:
        return "no verdict"
    return "same direction" if change * direction > 0 else "opposite"


def _seeds_forgotten(change, p, seeds, direction):
    if p >= 0.05:
        return "undecided"
    return "same direction" if change * direction > 0 else "opposite"


def _mean_of_means(hits, groups, rng):
    names = np.unique(groups)
    return np.mean([hits[groups == g].mean() for g in rng.choice(names, len(names))])


MISTAKES = {
    "could_be_seen": [(lambda every: (every["paper_change"] > every["power80"]).sum(), "take the absolute value"),
                      (lambda every: (every["change"].abs() > every["power80"]).sum(), "measured here")],
    "verdict": [(_p_forgotten, "the sign alone is no verdict"), (_seeds_forgotten, "two seeds give no verdict")],
    "group_draw": [(lambda hits, groups, rng: rng.choice(hits, len(hits)).mean(), "eight chances, not two hundred"),
                   (_mean_of_means, "mean of the groups' means")],
    "species_needed": [(lambda species, smallest, wanted: math.ceil(species * smallest / wanted),
                        "the *root* of the number"),
                       (lambda species, smallest, wanted: math.ceil(species * (wanted / smallest) ** 2),
                        "more species, not fewer")],
    "at_least_one": [(lambda m, level: m * level, "how many to expect"),
                     (lambda m, level: level**m, "that *all* of them differ")],
}
