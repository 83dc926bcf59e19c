"""Typical mistakes in notebook 00's exercises, and words of the hint that each must get."""
import math

import torch

from lib import mel


def filled(log_mel, frames, value):
    return torch.cat([log_mel, torch.full((frames - len(log_mel), log_mel.shape[1]), value)])


MISTAKES = {
    "frames_of": [(lambda samples, window, hop, centred: (samples - window) // hop, "add 1"),
                  (lambda samples, window, hop, centred: samples // hop, "take the window off"),
                  (lambda samples, window, hop, centred: max(0, 1 + (samples - window) // hop),
                   "centred frames stand at every multiple"),
                  (lambda samples, window, hop, centred: 1 + (samples - (0 if centred else window)) // hop,
                   "a wave shorter than one window has no frame")],
    "empty_filters": [(lambda front: int((mel.filters(front).sum(dim=1) == 0).sum()), "FFT bins that no filter uses"),
                      (lambda front: (mel.filters(front) == 0).sum(), "counts all zeros of the matrix")],
    "gain_shift": [(lambda factor, front: 20 * math.log10(factor), "these are decibels"),
                   (lambda factor, front: 10 * math.log10(factor) / (front.divisor * front.std),
                    "10 log10 is for power"),
                   (lambda factor, front: 20 * math.log10(factor) / front.std, "right for divisor 1")],
    "padded": [(lambda x, front, frames: mel.normalise(filled(x, frames, 0.0), front), "0 *before* normalising"),
               (lambda x, front, frames: filled(mel.normalise(x, front), frames, 0.0), "the mean of all sounds"),
               (lambda x, front, frames: filled(mel.normalise(x, front), frames, front.pad), "has to be normalised "
                "like the rest")],
    "shows_gap": [(lambda front, gap_s: gap_s > front.hop / front.rate, "The hop says how often you look"),
                  (lambda front, gap_s: gap_s > front.window, "in samples, `gap_s` in seconds")],
}
