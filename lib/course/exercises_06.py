"""Checks of notebook 06's exercises: nested subsets, a ceiling, equal steps, pretraining's worth in labels, seeds."""
import math

import numpy as np

from lib.course.exercises import compare, exercise, need

__all__ = ["kept_rows", "ceiling", "epochs_for_equal_steps", "labels_worth", "seeds_needed"]


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


@exercise("an epoch of n recordings has n / min(batch, n) steps: how many steps do all labels take, and how many "
          "epochs of the kept ones are as many?")
def epochs_for_equal_steps(attempt):
    for epochs, everything, kept, batch in ((60, 400, 100, 32), (60, 407, 20, 32), (30, 90, 60, 128)):
        steps = epochs * everything / min(batch, everything)
        compare(float(attempt(epochs, everything, kept, batch)), round(steps * min(batch, kept) / kept), {
            "these are as many *clips*; with few recordings an epoch is one step": round(epochs * everything / kept),
            "an epoch has fewer steps, so more epochs are needed, not fewer": round(epochs * kept / everything),
            "these are steps; divide by the steps of one epoch of the kept recordings": round(steps),
            "the same number of epochs is what the paper does; equal *steps* are asked for": epochs},
            "count in steps, and round at the very end")
    return "with 20 recordings in a batch of 32, every epoch is a single step."


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


@exercise("the standard error of a mean of n seeds is sd / sqrt(n), with the sample's sd (ddof=1): for which n does it "
          "reach the target?")
def seeds_needed(attempt):
    rng = np.random.default_rng(3)
    for values, target in ((rng.normal(20, 3.0, 4), 1.0), (rng.normal(20, 2.5, 3), 0.5), (rng.normal(5, 0.4, 5), 1.0)):
        n, exact = len(values), (values.std(ddof=1) / target) ** 2
        right, root, biased = (max(1, math.ceil(x)) for x in (exact, exact**0.5, exact * (n - 1) / n))
        compare(float(attempt(values.copy(), target)), right, {
            "the error falls with the *root* of n: half of it takes four times the seeds, so square sd / target": root,
            "numpy's std divides by n, which is too small for a few seeds: ddof=1": biased,
            "seeds come whole: round up (np.ceil), and never below 1": exact},
            "smallest whole n with sd / sqrt(n) <= target, at least 1")
    return "half of the error takes four times as many seeds."
