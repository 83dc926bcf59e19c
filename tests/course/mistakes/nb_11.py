"""Typical mistakes in notebook 11's exercises, and words of the hint that each must get."""
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


def _luck_of_cells(true, seeds, species, rng, sd_seed=1.5, sd_species=7.0, sd_cell=14.0):
    draw = rng.standard_normal((3, seeds, species))
    return true + sd_seed * draw[0] + sd_species * draw[1] + sd_cell * draw[2]


def _variances(true, seeds, species, rng, sd_seed=1.5, sd_species=7.0, sd_cell=14.0):
    seed, kind = rng.standard_normal((seeds, 1)), rng.standard_normal((1, species))
    return true + sd_seed**2 * seed + sd_species**2 * kind + sd_cell**2 * rng.standard_normal((seeds, species))


MISTAKES = {
    "verdict": [(_p_forgotten, "the sign alone is no verdict"), (_seeds_forgotten, "two seeds give no verdict")],
    "group_draw": [(lambda hits, groups, rng: rng.choice(hits, len(hits)).mean(), "eight chances, not two hundred"),
                   (_mean_of_means, "mean of the groups' means")],
    "at_least_one": [(lambda m, level: m * level, "how many to expect"),
                     (lambda m, level: level**m, "that *all* of them differ")],
    "study": [(_luck_of_cells, "differ only by the luck of their cells"), (_variances, "a variance is its square")],
}
