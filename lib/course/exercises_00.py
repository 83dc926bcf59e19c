"""Checks of notebook 00's exercises: frames, gain, padding, and what a window melts together."""
import math
from dataclasses import replace

import torch

from lib import mel
from lib.course.exercises import compare, exercise, generator, need, yes

__all__ = ["frames_of", "gain_shift", "padded", "shows_gap", "window_for"]


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
            "the padding is 0 *before* normalising, which is louder than silence: P5": loud,
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


@exercise("for the clicks a window may be at most `gap_s / 0.57` seconds long, for the tones it has to be at least "
          "`2.3 / spacing_hz`: what if these contradict each other?")
def window_for(attempt):
    for gap_s, spacing_hz, rate, possible in ((0.040, 40, 22_050, True), (0.012, 150, 32_000, True),
                                              (0.010, 50, 22_050, False), (0.100, 16, 16_000, True)):
        window = float(attempt(gap_s, spacing_hz, rate))
        asked = f"clicks {1000 * gap_s:.0f} ms and tones {spacing_hz} Hz apart"
        need(possible or not window, f"for {asked} no window does both: the answer is 0")
        need(window or not possible, f"for {asked} there is a window: only where the longest for the clicks is shorter "
             "than the shortest for the tones there is none")
        if not possible:
            continue
        need(window == round(window) and 4 <= window <= rate, f"a window has whole samples, from 4 to {rate:,} here, "
             f"and yours {window:.4g}; seconds times `rate` are samples")
        clicks, tones = _between_clicks(int(window), gap_s, rate), _between_tones(int(window), spacing_hz, rate)
        long = f"{asked}: your window of {1000 * window / rate:.0f} ms"
        need(tones < 0.5, f"{long} is too short for the tones, between them is {tones:.2f} of their level")
        need(clicks < 0.5, f"{long} is too long for the clicks, between them is {clicks:.2f} of their level")
    return "both pairs are pairs, and where no window can do it, yours says so."


def _between_clicks(window: int, gap_s: float, rate: int) -> float:
    """The magnitude halfway between two clicks as a share of that on them, the mean over all frequencies."""
    gap, hop = round(gap_s * rate), max(1, window // 32)
    wave = torch.zeros(4 * window + gap)
    wave[[2 * window, 2 * window + gap]] = 1.0
    level = _magnitude(wave, window, hop, window).mean(dim=1)  # (T,)
    on, between = (float(level[round((1.5 * window + at) / hop)]) for at in (0, gap / 2))
    return between / on


def _between_tones(window: int, spacing_hz: float, rate: int, points: int = 2**14) -> float:
    """The magnitude halfway between two tones as a share of that on them, the mean over all frames."""
    t, middle = torch.arange(max(4 * window, rate // 2)) / rate, rate / 8
    wave = sum(torch.sin(2 * torch.pi * (middle + side * spacing_hz / 2) * t) for side in (-1, 1))
    level = _magnitude(wave, window, max(1, window // 16), points).mean(dim=0)  # (points / 2 + 1,)
    on, between = (float(level[round((middle + off) / rate * points)]) for off in (spacing_hz / 2, 0))
    return between / on


def _magnitude(wave: torch.Tensor, window: int, hop: int, points: int) -> torch.Tensor:
    return torch.fft.rfft(wave.unfold(0, window, hop) * torch.hann_window(window), n=max(points, window)).abs()
