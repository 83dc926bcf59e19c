"""Checks of notebook 15's exercises: the margin, a neighbourhood's purity, greedy k-centre, labels saved, a rule."""
import numpy as np
from scipy.spatial.distance import cdist

from lib.course.exercises import compare, exercise, need

__all__ = ["least_certain", "purity", "k_centre", "labels_saved", "my_rule"]


@exercise("sort each row (`np.sort(p, axis=1)`): its last two columns are the largest; then sort clips by their "
          "difference")
def least_certain(attempt):
    for seed in (0, 1, 2):
        p = np.random.default_rng(seed).dirichlet(np.ones(5), 30)
        two = np.sort(p, axis=1)[:, -2:]
        order = np.argsort(two[:, 1] - two[:, 0])
        compare(attempt(p.copy(), 6), order[:6], {
            "these are the most certain ones: the smallest margins come first": order[::-1][:6],
            "these have the smallest largest probability: take the second largest from it": np.argsort(two[:, 1])[:6],
            "this is all of them: the first n only": order,
            "these are the margins, not the rows that have them: np.argsort": np.sort(two[:, 1] - two[:, 0])[:6]},
            "the rows with the smallest difference between their two largest probabilities, smallest first")
    return "the two likeliest decide, the rest does not count."


@exercise("distances of all pairs (N, N); set the diagonal to infinity, so that no clip is its own neighbour; "
          "`np.argsort` along a row gives its nearest")
def purity(attempt):
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        label = rng.integers(3, size=24)
        x = np.eye(4)[label] + 0.7 * rng.normal(size=(24, 4))
        away = cdist(x, x)
        own = np.argsort(away, axis=1)
        same = label[own] == label[:, None]  # (N, N), the clip itself first
        compare(attempt(x.copy(), label.copy(), 3), same[:, 1:4].mean(), {
            "every clip counts as its own neighbour: leave it out": same[:, :3].mean(),
            "these are the furthest, not the nearest": same[:, -3:].mean(),
            "this asks the nearest alone: take all k": same[:, 1].mean(),
            "this is a sum over the k neighbours, not a share": same[:, 1:4].sum(1).mean()})
    return "and by chance it would be the share of the clip's species among all others."


@exercise("keep a list of centres, at first the labelled ones; n times: each clip's distance to its nearest centre, "
          "and the clip where it is largest becomes a centre")
def k_centre(attempt):
    for seed in (0, 1, 2):
        x = np.random.default_rng(seed).normal(size=(15, 2))
        away, centres = cdist(x, x), [0, 3]
        for _ in range(4):
            centres.append(int(away[:, centres].min(1).argmax()))
        once = away[:, [0, 3]].min(1)
        compare(attempt(x.copy(), [0, 3], 4), centres[2:], {
            "a pick must become a centre too: these are the furthest from the labelled ones alone":
                np.argsort(-once, kind="stable")[:4],
            "the labelled ones are no picks: give the new ones": centres,
            "these lie nearest, not furthest": np.argsort(once, kind="stable")[:4],
            "the distance to the *nearest* centre counts, not the mean over all": _by_mean(away)},
            "the furthest from all centres, four times, in the order of picking")
    return "no clip is then further from a pick than twice the best possible."


def _by_mean(away):
    centres = [0, 3]
    for _ in range(4):
        far = away[:, centres].mean(1)
        far[centres] = -1
        centres.append(int(far.argmax()))
    return centres[2:]


@exercise("`np.interp(y, rule, sizes)` reads a rising curve the other way round: from an accuracy to labels")
def labels_saved(attempt):
    sizes = np.array([20.0, 40.0, 60.0, 80.0, 100.0])
    random = np.array([0.1, 0.2, 0.28, 0.34, 0.4])
    for rule in (np.array([0.1, 0.25, 0.38, 0.45, 0.5]), np.array([0.1, 0.18, 0.3, 0.36, 0.42])):
        at = np.interp(random[-1], rule, sizes)
        compare(attempt(sizes.copy(), rule.copy(), random.copy()), sizes[-1] - at, {
            "these are the labels that the rule needs: the saving is what remains of all": at,
            "the next whole size is too coarse: a straight line between two sizes": sizes[-1] - sizes[
                np.searchsorted(rule, random[-1])],
            "this is the gain in accuracy at the end, not in labels": rule[-1] - random[-1],
            "the other way round: this reads random's curve at the rule's last value":
                sizes[-1] - np.interp(rule[-1], random, sizes)}, tolerance=1e-6)
    never = attempt(sizes.copy(), random - 0.05, random.copy())
    need(np.ndim(never) == 0 and never == 0, f"a rule that never gets there saves nothing: 0, not {never}")
    return "a saving is read at an accuracy that was named before."


@exercise("begin with 1 - margin, and multiply by something that is large where many clips are near: a mean of "
          "exp(-distance) over all clips")
def my_rule(attempt):
    rng = np.random.default_rng(0)
    crowd, noise = rng.normal(size=(40, 3)), 12 * rng.normal(size=(20, 3))
    x = np.concatenate([noise, crowd])
    torn = np.tile([True, False], 30)  # every other clip is uncertain
    p = np.where(torn[:, None], [0.5, 0.45, 0.05], [0.9, 0.06, 0.04])
    said = np.asarray(attempt(p.copy(), x.copy(), np.array([0, 1])), float)
    need(said.shape == (60,) and np.isfinite(said).all(), f"a finite score for each of the 60 clips, not {said.shape}")
    first = np.argsort(-said, kind="stable")[:10]
    need(torn[first].all(), "of the ten clips with the highest scores some are certain: uncertain ones must come first")
    need((first >= 20).all(), f"{(first < 20).sum()} of the ten highest lie alone, far from all others: weigh by how "
         "many are near")
    again = np.asarray(attempt(p[::-1].copy(), x[::-1].copy(), np.array([59, 58])), float)[::-1]
    need(np.allclose(again, said, rtol=1e-6), "the same clips in another order get other scores")
    return "uncertain and not alone; now see in the figure whether that is worth labels."
