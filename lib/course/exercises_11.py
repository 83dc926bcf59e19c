"""Checks of notebook 11's exercises: a verdict, drawing groups, many comparisons, a study made up."""
import math

import numpy as np

from lib.course.exercises import compare, exercise, need
from lib.runs import verdicts

__all__ = ["verdict", "group_draw", "at_least_one", "study"]


VERDICTS = ("same direction", "opposite", "undecided", "no verdict")
CASES = [(3, 0.01, 3, 1), (3, 0.2, 3, 1), (-3, 0.001, 3, 1), (-3, 0.001, 3, -1), (3, 0.01, 2, 1), (0.5, 0.9, 3, 1),
         (-3, 0.06, 3, -1), (2.5, 0.04, 3, -1), (0.5, 0.9, 1, -1)]  # difference, Holm's p, seeds, direction


def _verdict(change, p, seeds, direction):
    said = verdicts.verdict(direction, change, p, seeds, "real recordings")
    return "no verdict" if said.endswith("no verdict") else said


@exercise("first: are there three seeds? Then: is p below 0.05? Only then: is the sign the paper's `direction`?")
def verdict(attempt):
    got = [attempt(*case) for case in CASES]
    need(all(word in VERDICTS for word in got), f"one of four answers, as a text: {', '.join(VERDICTS)}")
    right = [_verdict(*case) for case in CASES]
    compare(got, right, {
        "the sign alone is no verdict: p must be below 0.05 first": [_verdict(a, 0, *rest) for a, _, *rest in CASES],
        "two seeds give no verdict, however small p is": [_verdict(a, p, 3, way) for a, p, _, way in CASES],
        "it may speak against the paper: see `direction`": [r.replace("opposite", "same direction") for r in right],
        "the paper's difference can be negative: see `direction`": [_verdict(*case[:3], 1) for case in CASES]},
        next((f"a difference of {a:+g}, p = {p:g}, {seeds} seeds, the paper's direction {way:+d}: this is {want!r}, "
              f"not {word!r}" for (a, p, seeds, way), want, word in zip(CASES, right, got) if want != word), ""))
    return "three seeds, p below 0.05 after Holm's correction, and the paper's sign."


@exercise("draw as many groups as there are, with replacement; gather all recordings of each drawn group; take the "
          "mean of their hits")
def group_draw(attempt):
    rng = np.random.default_rng(1)

    def draws(hits, groups, n):
        return np.array([float(attempt(hits.copy(), groups.copy(), np.random.default_rng([2, i]))) for i in range(n)])

    hits, groups = np.repeat([1.0, 0.0], [1, 30]), np.repeat([0, 1], [1, 30])  # ponds with one frog and with thirty
    seen = set(np.round(draws(hits, groups, 40), 6))
    need(0.5 not in seen, "this is the mean of the groups' means: every *recording* counts once, so gather them first")
    groups = rng.permutation(np.repeat(np.arange(8), 25))  # eight ponds, twenty-five recordings of each, all alike
    hits = (groups < 4).astype(float)
    spread = draws(hits, groups, 200).std()
    need(spread > 0, "every draw gives the same number: draw groups *with* replacement, so that some come twice")
    twice = set(np.round(draws(np.array([1.0, 0.0, 0.0]), np.arange(3), 60), 6))  # three ponds, a recording each
    need(round(2 / 3, 6) in twice, "a group that was drawn twice counts twice, and `np.isin` keeps it once")
    wanted = 0.5 / math.sqrt(8)
    need(spread > 0.5 * wanted, "the draws scatter far too little: eight ponds are eight chances, not two hundred")
    need(spread < 1.4 * wanted, "the draws scatter too much: draw as many groups as there are")
    need(seen <= {0.0, 1.0, round(1 / 31, 6)}, "draw whole groups: of 1 and 30 recordings only 0, 1/31 and 1 can come")
    return "recordings of one pond and night are alike: drawing windows or recordings makes the interval too narrow."


@exercise("what is the chance that *none* of m independent comparisons says `differs`? The rest is the answer")
def at_least_one(attempt):
    for m, level in ((20, 0.05), (1, 0.05), (40, 0.01)):
        compare(float(attempt(m, level)), 1 - (1 - level) ** m, {
            "this is how many to expect, not how likely one is: a chance is never above 1": m * level,
            "this is the chance that *all* of them differ": level**m,
            "this is the chance that none differs; asked is for at least one": (1 - level) ** m})
    return "of twenty comparisons without any truth at least one differs in 64 of 100 studies."


@exercise("rng.standard_normal((seeds, 1)) is one number a seed, and numpy adds it to every species of a table (seeds, "
          "species)")
def study(attempt):
    for seeds, species, true in ((300, 400, 5.0), (400, 250, -3.0)):
        sds = {"sd_seed": 3.0, "sd_species": 6.0, "sd_cell": 2.0}
        d = np.asarray(attempt(true, seeds, species, np.random.default_rng(seeds), **sds), float)
        need(d.shape != (species, seeds), "seeds are rows and species columns: this table is turned")
        need(d.shape == (seeds, species), f"of {seeds} seeds and {species} species came a table {d.shape}")
        need(abs(d.mean() - true) < 1.5, f"the mean of a large study is {d.mean():.1f}, the true difference {true:g}")
        rows, columns = d.mean(1, keepdims=True), d.mean(0, keepdims=True)
        need(rows.std() > 1, "seeds differ only by the luck of their cells: the luck of a seed is one number, added to "
             "all of its species")
        need(columns.std() > 1, "species differ only by the luck of their cells: the luck of a species is one number, "
             "added to all seeds")
        got = (rows.std(), columns.std(), (d - rows - columns + d.mean()).std())
        need(np.allclose(got, [*sds.values()], rtol=0.15), "the three kinds of luck should have standard deviations of "
             f"{', '.join(f'{sd:g}' for sd in sds.values())} points and have {', '.join(f'{sd:.1f}' for sd in got)}: a "
             "standard deviation multiplies, a variance is its square")
    return "two arms can be told apart before they are trained, or not: see the curves below."
