"""Checks of notebook 05's exercises: exact counts, a linear masked autoencoder, paired draws, power."""
import math

import numpy as np
from scipy import stats

from lib import sampler
from lib.course.exercises import compare, exercise, need, same

__all__ = ["general_in_batch", "linear_guess", "paired_draw", "share_found"]


@exercise("equation (1) says how many there are after k batches. The batch of this step holds the difference of two of "
          "those")
def general_in_batch(attempt):
    for ratio, batch in ((2, 32), (4, 16)):
        steps, part = np.arange(9), batch * ratio / (1 + ratio)
        mixture = sampler.Mixture(wildlife=9, general=9, ratio=ratio, batch=batch, samples=9 * batch, seed=0)
        before, after = (np.floor(k * part + 0.5).tolist() for k in (steps, steps + 1))
        got = [int(attempt(int(step), batch, part / batch)) for step in steps]
        compare(got, [mixture.counts(int(step))[1] for step in steps], {
            "every batch is rounded for itself, so the error adds up: carry what is left": [math.floor(part + 0.5)] * 9,
            "every batch is cut off for itself, which loses general clips: carry what is left": [math.floor(part)] * 9,
            "this is the count of all batches together; subtract what the batches before this one hold": after,
            "this is what the batches *before* this one hold; the count after it, less that, is wanted": before},
            "some batches are one off: floor(k * batch * share + 1/2) for k = step + 1, less the same for k = step")
    return "the total is right to half a clip after every step, as in `sampler.Mixture`."


@exercise("sklearn.linear_model.Ridge: fit it on the visible columns of `train`, train[:, ~hidden], and on its hidden "
          "ones, and let it predict from the visible columns of `test`")
def linear_guess(attempt):
    left = []
    for seed in (5, 6):
        rng = np.random.default_rng(seed)
        voices, bias = rng.normal(size=(4, 40)), np.linspace(-60, -30, 40)
        train, test = (bias + rng.normal(size=(n, 4)) @ voices + 0.1 * rng.normal(size=(n, 40)) for n in (80, 30))
        hidden = rng.permutation(40) < 32
        truth, blind = test[:, hidden], np.where(hidden, 0, test)
        guess = np.asarray(attempt(train.copy(), test.copy(), hidden.copy()), dtype=float)
        need(guess.shape == truth.shape, f"wanted is a number for each of {len(test)} recordings and of "
             f"{hidden.sum()} hidden bands, in this order: not {guess.shape}")
        need(same(attempt(train.copy(), blind, hidden.copy()), guess), "the guess follows the hidden bands of `test`: "
             "it has peeked. Of `test` only the columns ~hidden may be looked at")
        left.append(np.mean((guess - truth) ** 2) / np.mean((train[:, hidden].mean(0) - truth) ** 2))
        need(left[-1] < 0.9, "no better than each band's mean: what do the visible bands of *this* recording say?")
    return f"{np.mean(left):.1%} of the variance around each band's mean is left."


@exercise("for each class: draw as many of its recordings as it has, with replacement, and average a - b over those; "
          "then the mean over classes")
def paired_draw(attempt):
    rng, targets = np.random.default_rng(0), np.repeat([0, 1, 2], [1, 10, 30])
    a, b = (rng.random((2, 41)) < [[0.8], [0.4]]).astype(float)

    def draws(a, b, n):
        rngs = [np.random.default_rng([1, i]) for i in range(n)]
        return np.array([float(attempt(a.copy(), b.copy(), targets.copy(), one)) for one in rngs])

    need(not draws(a, a, 20).any(), "an arm minus itself is not 0: draw once, the same recordings for both arms")
    rare = np.where(targets == 0, 1.0, 0.0)
    alone = draws(rare, 0 * rare, 30)
    need(not np.allclose(alone, -1 / 3), "the sign is turned: wanted is a minus b")
    need(np.allclose(alone, 1 / 3), "the class with one recording is sometimes missing, or does not count a third: "
         "draw *within* each class, as many as it has, and give each class the same weight")
    got, parts = draws(a, b, 300), [(a - b)[targets == c] for c in range(3)]
    value, spread = np.mean([p.mean() for p in parts]), math.sqrt(sum(p.var() / len(p) for p in parts)) / 3
    need(got.std() > 0, "every draw gives the same number: draw *with* replacement, so that some recordings come twice")
    need(abs(got.mean() - value) < spread / 4, f"300 draws have the mean {got.mean():+.3f}, but the difference is "
         f"{value:+.3f}: the mean over classes comes last")
    need(0.8 < got.std() / spread < 1.25, "the draws scatter too much or too little: take as many of a class as it has")
    return "what both arms find easy cancels, so that the interval is that of the difference alone."


@exercise("a measured difference scatters around the true one with a standard deviation of half / 1.96, and it is "
          "found when it is above half: `scipy.stats.norm.sf`")
def share_found(attempt):
    for true, half in ((3.0, 3.0), (4.3, 3.0), (2.0, 4.0), (0.0, 5.0)):
        spread = half / stats.norm.ppf(0.975)
        compare(float(attempt(true, half)), stats.norm.sf(half, true, spread), {
            "this is how often it is *missed*; asked is how often it is found": stats.norm.cdf(half, true, spread),
            "a half width is 1.96 standard deviations, not one": stats.norm.sf(half, true, half),
            "measured differences scatter: a true one of exactly half a width is above it in half of the cases":
                float(true >= half)}, tolerance=2e-3)
    return "a true difference of one half width is found half of the time; of 1.43 half widths, in 80 %."
