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
    "window_for": [(lambda gap_s, spacing_hz, rate: round((4 * gap_s / spacing_hz) ** 0.5 * rate),
                    "no window does both"),
                   (lambda gap_s, spacing_hz, rate: (4 * gap_s / spacing_hz) ** 0.5,
                    "seconds times `rate` are samples"),
                   (lambda gap_s, spacing_hz, rate: round(0.57 * gap_s * rate), "too short for the tones"),
                   (lambda gap_s, spacing_hz, rate: round(3 * gap_s * rate), "too long for the clicks")],
}
