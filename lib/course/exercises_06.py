"""Checks of notebook 06's exercises: nested subsets, a ceiling, few labels and many recordings, pretraining's worth in
labels."""
import math

import numpy as np

from lib.course.exercises import compare, exercise, need

__all__ = ["kept_rows", "ceiling", "few_shot", "labels_worth"]


@exercise("for each species: shuffle its rows with a generator made from the seed, the same whatever k is, and keep "
          "the first k of them")
def kept_rows(attempt):
    sizes = [1, 3, 8, 12]
    labels = np.random.default_rng(0).permutation(np.repeat(["ant", "bat", "cat", "dog"], sizes))

    def kept(k, seed):
        rows = np.asarray(attempt(labels.copy(), k, seed)).astype(int)
        need(rows.ndim == 1 and len(set(rows)) == len(rows), "wanted are row numbers, each once: do not replace")
        return rows

    for k in (1, 2, 4):
        count = [int((labels[kept(k, 5)] == name).sum()) for name in np.unique(labels)]
        need(all(count), f"{k} per species left some without any: choose within each species, not from all rows")
        compare(count, [min(k, n) for n in sizes], {}, f"with k = {k} the species of {sizes} recordings keep {count}: "
                "k of each, or all where there are fewer")
    need(set(kept(4, 5)) == set(kept(4, 5)), "the same seed gives other rows again: make the generator from it, inside")
    need(len({frozenset(kept(2, i)) for i in range(8)}) > 1, "every seed keeps the same rows: shuffle first")
    nested = all(set(kept(k, i)) <= set(kept(more, i)) for i in range(8) for k, more in ((1, 2), (2, 4), (4, 9)))
    need(nested, "not nested: rows for k = 2 are missing at k = 4. Draw an order that does not know k, then cut it off")
    return "a step of the curve now adds labels, and exchanges none."


@exercise("a species without a label is never guessed right; of the species that are *evaluated*, which share has at "
          "least one label?")
def ceiling(attempt):
    rng = np.random.default_rng(1)
    for species, n in ((12, 9), (30, 25)):
        kept, evaluated = rng.integers(species, size=n), rng.integers(species * 3 // 4, size=5 * species)
        there, asked = np.unique(kept), np.unique(evaluated)
        compare(attempt(kept.copy(), evaluated.copy()), np.isin(asked, there).mean(), {
            "this counts recordings; the score averages over species": np.isin(evaluated, there).mean(),
            "labels of species not evaluated do not help: count those that have both": len(there) / len(asked),
            "the other way round: of those with labels this share is evaluated": np.isin(there, asked).mean(),
            "this is the share that must be wrong; the ceiling is the rest": 1 - np.isin(asked, there).mean()})
    return "whatever the model, it stays below this; with a stratified subset the ceiling is 1."


@exercise("with np.linalg.svd(unlabelled - mean, full_matrices=False) come directions and widths: divide by the "
          "widths, average each species, and take the one whose mean has the largest product with the query")
def few_shot(attempt):
    right = []
    for seed in (7, 8):
        rng = np.random.default_rng(seed)
        names = rng.permutation(np.array(["ant", "bat", "cat", "dog", "elk"]))
        width = np.where(np.arange(24) < 12, 8.0, 1.0)  # wide where nothing is told, narrow where species differ
        centres = np.where(np.arange(24) < 12, 0, rng.normal(size=(5, 24)) * 2)
        kinds = [np.arange(5), *(rng.permutation(np.repeat(np.arange(5), n)) for n in (30, 9))]
        x, unlabelled, queries = (centres[kind] + rng.normal(size=(len(kind), 24)) * width for kind in kinds)
        got = np.asarray(attempt(x.copy(), names.copy(), unlabelled.copy(), queries.copy()))
        need(got.shape != (len(x),), "these are answers for the labelled recordings: the `queries` are asked")
        need(got.shape == (len(queries),), f"wanted is one species for each of {len(queries)} queries, not {got.shape}")
        need(np.isin(got, names).all(), "wanted are names that stand in `labels`, not their numbers")
        right.append(np.mean(got == names[kinds[2]]))
        need(right[-1] > 0.3, f"{right[-1]:.0%} of the queries are right, and chance is 20 %: does each query get its "
             "own answer, in its own place?")
    return f"{np.mean(right):.0%} of toy queries with one label for each of five species; chance is 20 %."


@exercise("from the height of the pretrained curve at i go right to the random curve: np.interp with accuracy as x and "
          "labels as y. And if it is never that high?")
def labels_worth(attempt):
    rng = np.random.default_rng(2)
    sizes = np.array([40, 80, 160, 260, 400])
    for _ in range(2):
        chance = np.cumsum(rng.uniform(0.02, 0.05, 5))  # the random curve
        ahead = chance + np.array([0.0, 0.3, 0.4, 0.5, 0.6]) * (chance[-1] - chance)
        for i in (1, 2, 3):
            at, swapped = (np.interp(x, chance, sizes) for x in (ahead[i], sizes[i]))
            compare(attempt(sizes.copy(), chance.copy(), ahead.copy(), i), at - sizes[i], {
                "this is the vertical distance, in accuracy; wanted is the horizontal one": ahead[i] - chance[i],
                "this is where the random curve gets there; pretraining saved those from sizes[i] on": at,
                "the sign is turned: random weights need *more* labels": sizes[i] - at,
                "np.interp(x, xp, fp): x is an accuracy, xp the random curve, fp the labels": swapped - sizes[i]},
                "straight lines between the points: np.interp(the pretrained accuracy, random, sizes) - sizes[i]")
        got = attempt(sizes.copy(), chance.copy(), chance + 1, 2)
        need(got == math.inf, "np.interp stops at the last point, as if all labels were enough; where random weights "
             "never get that high nobody can say: return np.inf")
    return ("where random weights never get there, pretraining is worth more labels than there are, or their curve "
            "was held down: ask what it had to learn with (notebook 04).")
