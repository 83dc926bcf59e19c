"""Typical mistakes in notebook 04's exercises, and words of the hint that each must get."""
import numpy as np


def _added_once(windows, recording, n):
    total = np.zeros((n, windows.shape[1]))
    total[recording] += windows
    return total / np.bincount(recording, minlength=n)[:, None]


MISTAKES = {
    "rate": [(lambda block, blocks, decay: decay ** (blocks - block), "one factor below the head"),
             (lambda block, blocks, decay: decay**block, "the wrong way round")],
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
}
