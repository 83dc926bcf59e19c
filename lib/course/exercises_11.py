"""Checks of notebook 11's exercises: what could be seen, a verdict, drawing groups, how many, many comparisons."""
import math

import numpy as np
import pandas as pd

from lib.course.exercises import compare, exercise, need
from lib.runs import verdicts

__all__ = ["could_be_seen", "verdict", "group_draw", "species_needed", "at_least_one"]


@exercise("two columns of the table are enough: `paper_change` and `power80`. A difference may be negative")
def could_be_seen(attempt):
    rng = np.random.default_rng(0)
    for n in (30, 50):
        paper, ours, least = rng.normal(0, 6, n), rng.normal(0, 4, n), rng.uniform(2, 5, n)
        paper[rng.random(n) < 0.3] = np.nan  # the paper does not say
        table = pd.DataFrame({"paper_change": paper, "change": ours, "power80": least})
        seen = np.abs(paper) > least
        compare(int(attempt(table.copy())), seen.sum(), {
            "a difference of -10 is as visible as one of +10: take the absolute value": (paper > least).sum(),
            "these were measured here (`change`); asked is for the paper's": (np.abs(ours) > least).sum(),
            "these are the rows where the paper's difference is too small, or where it has none": (~seen).sum(),
            "these are the ones too small to be seen here": (np.abs(paper) < least).sum()})
    return "that a difference could be seen does not say that it is there at this scale."


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


@exercise("an interval narrows with the square root of the number: half the width takes four times as many species")
def species_needed(attempt):
    for n, now, wanted in ((33, 4.9, 0.6), (100, 2.0, 1.0), (17, 6.0, 2.5)):
        exact = n * (now / wanted) ** 2
        compare(float(attempt(n, now, wanted)), math.ceil(exact), {
            "width falls with the *root* of the number, so the factor is squared": math.ceil(n * now / wanted),
            "species come whole: round up (np.ceil)": exact,
            "a smaller difference needs more species, not fewer": math.ceil(n * (wanted / now) ** 2),
            "these are the further ones; asked is for all": math.ceil(exact) - n},
            "species times the square of (smallest found now / wanted), rounded up")
    return "if species are what the doubt is about: where it is the seed, more species do not help."


@exercise("what is the chance that *none* of m independent comparisons says `differs`? The rest is the answer")
def at_least_one(attempt):
    for m, level in ((20, 0.05), (1, 0.05), (40, 0.01)):
        compare(float(attempt(m, level)), 1 - (1 - level) ** m, {
            "this is how many to expect, not how likely one is: a chance is never above 1": m * level,
            "this is the chance that *all* of them differ": level**m,
            "this is the chance that none differs; asked is for at least one": (1 - level) ** m})
    return "of twenty comparisons without any truth at least one differs in 64 of 100 studies."
