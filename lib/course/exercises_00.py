"""Checks of notebook 00's exercises: frames, filters, gain, padding, and what a window melts together."""
import math
from dataclasses import replace

import torch

from lib import mel
from lib.course.exercises import compare, exercise, generator, need, yes

__all__ = ["frames_of", "empty_filters", "gain_shift", "padded", "shows_gap"]


@exercise("equation (7) counts the frames that lie inside the wave: how often can a window be moved on by a hop, and "
          "how many frames is that?")
def frames_of(attempt):
    for samples, window, hop in ((66_150, 512, 128), (32_000, 400, 160), (9_999, 400, 100), (400, 400, 160)):
        fits = 1 + (samples - window) // hop
        compare(attempt(samples, window, hop, False), fits, {
            "one frame is missing: the first one needs no step, so add 1": (samples - window) // hop,
            "this counts hops in the whole wave; frames lie inside it: take the window off first": samples // hop,
            "this counts hops in the whole wave plus one, which is right for centred frames only": 1 + samples // hop,
            "frames are whole: cut the fraction off with //": 1 + (samples - window) / hop}, tolerance=1e-9)
        compare(attempt(samples, window, hop, True), 1 + samples // hop, {
            "right for frames inside the wave; centred frames stand at every multiple of the hop, from 0 on": fits},
            "centred frames stand at every multiple of the hop, both ends included", tolerance=1e-9)
    compare(attempt(50, 400, 160, False), 0, {}, "a wave shorter than one window has no frame: 50 samples give 0")
    return "MSM-MAE's centred frames make 201 of 2 s, frames inside the wave 198."


@exercise("`mel.filters(front)` is a matrix (FFT bins, filters). What is the sum of a column whose filter catches no "
          "bin?")
def empty_filters(attempt):
    for points, mels in ((512, 128), (1024, 128), (512, 160), (256, 96)):
        front = replace(mel.INAT, n_fft=points, mels=mels)
        bank = mel.filters(front)
        empty = int((bank.sum(0) == 0).sum())
        compare(attempt(front), empty, {
            "these are the FFT bins that no filter uses: add over the bins (dim 0)": int((bank.sum(1) == 0).sum()),
            "these are the filters that do catch a bin": mels - empty,
            "this counts all zeros of the matrix, which every triangle has": int((bank == 0).sum())}, tolerance=1e-9)
    return "the more filters and the shorter the FFT, the more of them stay empty."


@exercise("with INAT a factor in the wave is a factor in the magnitude; equation (5) makes decibels of it, equation "
          "(6) divides")
def gain_shift(attempt):
    fronts = mel.INAT, replace(mel.INAT, std=5.0), replace(mel.INAT, std=7.0, divisor=2.0)
    for factor, front in zip((10, 3, 0.5), fronts):
        decibel, unit = 20 * math.log10(factor), front.divisor * front.std
        compare(attempt(factor, front), decibel / unit, {
            "these are decibels; the model sees them divided by `divisor * std`": decibel,
            "equation (5) has 20 log10, since S is a magnitude; 10 log10 is for power": decibel / 2 / unit,
            "decibels are made with log10, not with the natural logarithm": 20 * math.log(factor) / unit,
            "right for divisor 1; equation (6) divides by d times sigma": decibel / front.std,
            "a gain does not move the mean: the difference of two specs has none in it": (decibel - front.mean) / unit})
    return "a gain is a shift, the same in every cell that meets neither floor nor ceiling."


@exercise("two steps: make the model's units of the log-mel (`mel.normalise`), and fill up to `frames` rows with what "
          "stands for nothing, in the same units")
def padded(attempt):
    for seed, front, frames in ((0, mel.AUDIOMAE, 9), (1, mel.INAT, 7)):
        log_mel = front.mean + front.std * torch.randn(4, front.mels, generator=generator(seed))  # (T, M)
        seen = mel.normalise(log_mel, front)
        pads = mel.normalise(front.pad, front), mel.normalise(0.0, front), 0.0, front.pad
        right, loud, mean, raw = (torch.cat([seen, torch.full((frames - 4, front.mels), pad)]) for pad in pads)
        compare(attempt(log_mel.clone(), front, frames), right, {
            "the padding is 0 *before* normalising, which is louder than silence: P4": loud,
            "the padding is 0 after normalising, the mean of all sounds; nothing is `front.pad`": mean,
            "`front.pad` is in the units of the log-mel: it has to be normalised like the rest": raw,
            "the right values, but not normalised": mel.unnormalise(right, front),
            "the padding stands before the sound; it belongs at the end": right.roll(frames - 4, 0)},
            f"the first 4 of {frames} rows are the normalised log-mel, the others one value")
    return "silence stays silence, whatever the front end's units."


@exercise("make a second of zeros with two clicks of 0.01 in it, take `mel.LogMel(front)` of it, average over the mel "
          "bands and look for a dip")
def shows_gap(attempt):
    fine = replace(mel.INAT, window=128, hop=32)  # 6 ms under the window
    for front, gap_s, shown in ((mel.INAT, 0.010, False), (fine, 0.015, True), (mel.INAT, 0.060, True),
                                (mel.MSM_MAE, 0.012, False), (fine, 0.002, False)):
        seen = yes(attempt(front, gap_s))
        gap, hop, window = (1000 * x for x in (gap_s, front.hop / front.rate, front.window / front.rate))
        need(seen or not shown, f"a gap of {gap:.0f} ms is wider than the window of {window:.0f} ms, and yet you say "
             "it cannot be seen; `window` and `hop` are in samples, `gap_s` in seconds")
        need(shown or not seen or gap <= hop, f"a gap of {gap:.0f} ms under a window of {window:.0f} ms: every frame "
             "between holds one click at least. The hop says how often you look, the window how much you see at once")
        need(shown or not seen, f"a gap of {gap:.0f} ms lies within one window of {window:.0f} ms")
    return "the window decides, and a shorter one pays with coarser frequencies."
