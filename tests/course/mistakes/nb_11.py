"""Typical mistakes in notebook 11's exercises, and words of the hint that each must get."""
import math

import numpy as np


def _species_forgotten(recordings, species, seeds, direction):
    if seeds < 2:
        return "no verdict"
    if recordings[0] <= 0 <= recordings[1]:
        return "undecided"
    return "same direction" if recordings[0] * direction > 0 else "opposite"


def _seeds_forgotten(recordings, species, seeds, direction):
    if any(low <= 0 <= high for low, high in (recordings, species)):
        return "undecided"
    return "same direction" if recordings[0] * direction > 0 else "opposite"


def _mean_of_means(hits, groups, rng):
    names = np.unique(groups)
    return np.mean([hits[groups == g].mean() for g in rng.choice(names, len(names))])


MISTAKES = {
    "could_be_seen": [(lambda every: (every["paper_change"] > every["detectable"]).sum(), "take the absolute value"),
                      (lambda every: (every["change"].abs() > every["detectable"]).sum(), "measured here")],
    "verdict": [(_species_forgotten, "other species might not"), (_seeds_forgotten, "one seed gives no verdict")],
    "group_draw": [(lambda hits, groups, rng: rng.choice(hits, len(hits)).mean(), "eight chances, not two hundred"),
                   (_mean_of_means, "mean of the groups' means")],
    "recordings_needed": [(lambda recordings, detectable, wanted: math.ceil(recordings * detectable / wanted),
                           "the *root* of the number"),
                          (lambda recordings, detectable, wanted: math.ceil(recordings * (wanted / detectable) ** 2),
                           "more recordings, not fewer")],
    "at_least_one": [(lambda m, level: m * level, "how many to expect"),
                     (lambda m, level: level**m, "that *all* of them differ")],
}
