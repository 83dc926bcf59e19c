"""Typical mistakes in notebook 07's exercises, and words of the hint that each must get."""
import numpy as np
import torch


def _with_replacement(keep, recording, rng):
    chosen = np.zeros(len(keep), bool)
    for r in np.unique(recording):
        places = np.flatnonzero(recording == r)
        chosen[rng.choice(places, keep[places].sum())] = True
    return chosen


MISTAKES = {
    "at_random": [(lambda keep, recording, rng: rng.permutation(keep), "not in every recording"),
                  (_with_replacement, "draw without replacement")],
    "auc": [(lambda score, calls: np.mean(score[calls][:, None] > score[~calls]), "not a mistake"),
            (lambda score, calls: np.mean(score[calls][:, None] < score[~calls])
             + np.mean(score[calls][:, None] == score[~calls]) / 2, "turned round")],
    "energies": [(lambda wave, starts, length:
                  torch.stack([(wave[s : s + length] / wave[s : s + length].abs().max()).square().sum()
                               for s in starts]), "to its own peak"),
                 (lambda wave, starts, length: torch.stack([(wave / wave.abs().max())[s : s + length].square().mean()
                                                            for s in starts]), "mean of the squares")],
    "own_score": [(lambda spec: spec.mean((1, 2)), "a coin has 50 %"),
                  (lambda spec: spec.std(dim=1).amax(dim=1) / spec.std(dim=1).amax(), "changes with the others")],
}
