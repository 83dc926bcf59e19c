"""Checks of notebook 12's exercises: selections from windows, how much noise, the law turned round, finds."""
import numpy as np

from lib.course.exercises import compare, exercise, need

__all__ = ["selection_ends", "thinned", "labels_needed", "true_share"]


@exercise("go through the windows in order and keep a list of [start, end]: a window that starts before or at the last "
          "end makes that end later, another begins a new one")
def selection_ends(attempt):
    def merged(start, end, overlap=0.0, move=True):
        joined = []
        for a, b in zip(start, end):
            if not joined or a > joined[-1][1] - overlap:
                joined.append([a, b])
            elif move:
                joined[-1][1] = b
        return np.array(joined)

    for seed in (0, 1, 2):
        start = 1.5 * np.flatnonzero(np.random.default_rng(seed).random(30) < 0.5)
        end = start + 3.0
        compare(np.asarray(attempt(start.copy(), end.copy()), float), merged(start, end), {
            "windows that only touch are one selection too: use <=": merged(start, end, overlap=0.1),
            "these are the windows as they came: join those that overlap": np.stack([start, end], 1),
            "the joined selections keep the end of their first window: move the end": merged(start, end, move=False),
            "everything has become one selection, over the gaps too": np.array([[start[0], end[-1]]])},
            "each selection is [start of its first window, end of its last]")
    return "half overlapping windows are then one stretch, as a person would have marked it."


@exercise("`np.flatnonzero(label == \"noise\")` are the rows of noise; rng.permutation gives an order to leave "
          "them out by")
def thinned(attempt):
    for seed, share in ((0, 0.25), (1, 0.1)):
        label = np.random.default_rng(seed).permutation(np.repeat(["noise", "frog", "toad"], [40, 12, 7]))
        noisy = label == "noise"
        keep, again, *others = [np.asarray(attempt(label.copy(), share, np.random.default_rng(k)))
                                for k in (seed, seed, *range(100, 105))]
        need(keep.shape == label.shape and keep.dtype == bool, f"one True or False per recording is wanted, "
             f"{len(label)} of them; this is {keep.dtype} of shape {keep.shape}")
        need(keep[~noisy].all(), "recordings of species are left out too: only noise is thinned")
        kept, wanted = int(keep[noisy].sum()), round(share * 40)
        need(kept != 40 - wanted, "these are the recordings to leave out: True where one is kept")
        need(kept == wanted, f"{kept} of 40 recordings of noise are kept, a share of {share:g} is {wanted}")
        need((keep == again).all(), "the same generator keeps other recordings: use `rng` for every draw")
        need(any((keep != other).any() for other in others), "every generator keeps the same ones: draw with `rng`")
    return "every species whole, and a part of the noise."


@exercise("set a n^-b + c equal to 1 - target and solve for n; think of what happens where c is larger than that")
def labels_needed(attempt):
    for a, b, c, target in ((0.7, 0.5, 0.05, 0.8), (0.5, 1.2, 0.1, 0.85), (0.9, 0.3, 0.0, 0.6)):
        allowed = 1 - target
        compare(attempt(a, b, c, target), (a / (allowed - c)) ** (1 / b), {
            "the law is about the error, which is 1 - target": (a / abs(target - c)) ** (1 / b),
            "the floor c is missing: it is there however many labels there are": (a / allowed) ** (1 / b),
            "the exponent is 1 / b: n^-b = (allowed - c) / a": (a / (allowed - c)) ** b,
            "the fraction is upside down": ((allowed - c) / a) ** (1 / b)}, tolerance=1e-6)
    never = attempt(0.5, 1.0, 0.3, 0.8)
    need(np.real(never) == np.inf, f"0.3 never falls to 0.2: infinity (np.inf) is the honest answer, not {never}")
    return "where the floor is above the allowed error, no number of labels helps."


@exercise("of 1000 windows, how many hold the species and are found, and how many do not and are named all the same?")
def true_share(attempt):
    for present, recall, false in ((0.01, 0.9, 0.05), (0.3, 0.8, 0.02), (0.002, 0.99, 0.01)):
        found, wrong = present * recall, (1 - present) * false
        compare(attempt(present, recall, false), found / (found + wrong), {
            "this is the recall itself: it says nothing about the windows without the species": recall,
            "1 - false is the share of empty windows left alone, not of finds that are true": 1 - false,
            "weigh both by how many windows there are: present, and 1 - present": recall / (recall + false),
            "false alarms come from the windows *without* the species: (1 - present) * false": found / (found + false),
            "this is the share of all windows that are true finds; divide by all finds": found}, tolerance=1e-6)
    return "a rare species drowns in the false alarms of all the windows without it (Bayes)."
