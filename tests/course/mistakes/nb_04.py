"""Typical mistakes in notebook 04's exercises, and words of the hint that each must get."""
import numpy as np
from torch.nn.functional import layer_norm


def _added_once(windows, recording, n):
    total = np.zeros((n, windows.shape[1]))
    total[recording] += windows
    return total / np.bincount(recording, minlength=n)[:, None]


MISTAKES = {
    "one_answer": [(lambda windows, recording, n: np.stack([windows[recording == i].sum(0) for i in range(n)]),
                    "this is a sum"),
                   (_added_once, "only one window of each recording")],
    "class_average": [(lambda guesses, targets: (guesses == targets).mean(), "common species count more"),
                      (lambda guesses, targets:
                       np.mean([np.sum((guesses == c) & (targets == c)) / max(1, np.sum(targets == c))
                                                         for c in np.union1d(guesses, targets)]),
                                                         "never a target counts as a zero")],
    "mix": [(lambda a, b, share: share * a + (1 - share) * b, "mean of the dB values"),
            (lambda a, b, share: 20 * (share * 10 ** (a / 20) + (1 - share) * 10 ** (b / 20)).log10(),
             "amplitudes are mixed")],
    "lora_weights": [(lambda dim, blocks, rank: blocks * rank * 2 * dim, "it has 3 * dim outputs"),
                     (lambda dim, blocks, rank: 3 * blocks * rank * 2 * dim, "counted three times")],
    "behind": [(lambda x, known: layer_norm(x, x.shape[1:]), "looks at one window at a time"),
               (lambda x, known: (x - x.mean(0)) / x.std(0), "take mean and spread from")],
}
