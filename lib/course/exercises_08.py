"""Checks of notebook 08's exercises: the price of a second, an own design, features from patches, an F-measure."""
import numpy as np
import torch

from lib.course.exercises import compare, exercise, generator, need
from lib.patches import Grid

__all__ = ["patches_a_second", "own_design", "features", "f_measure"]


@exercise("count the patches of one clip, columns times mel rows, and divide by the clip's length in seconds; a frame "
          "is 10 ms")
def patches_a_second(attempt):
    for frames, high, wide in ((512, 16, 16), (96, 16, 16), (200, 16, 4), (304, 80, 4)):
        seconds, columns, rows = frames / 100, frames // wide, 80 // high
        compare(float(attempt(frames, high, wide)), columns * rows / seconds, {
            "these are the patches of a clip; designs hear 1 to 5 seconds, so divide by the seconds": columns * rows,
            "divided by frames in place of seconds: 100 frames are one second": columns * rows / frames,
            "the mel rows are missing: a column holds 80 / (mel bins of a patch) patches": columns / seconds,
            "height belongs to mel bins, width to frames; they are exchanged": frames // high * (80 // wide) / seconds})
    return "512 and 96 cost the same a second; the patch sets the price: 125 a second of 16 x 4, and 31 of 16 x 16."


@exercise("begin with a patch, such as 16 mel bins x 8 frames: how many columns hold `seconds`, how many mel rows are "
          "80 bins? While columns times rows are too many, make the patch larger")
def own_design(attempt):
    for seconds, most in ((2.0, 100), (5.0, 120), (1.0, 40)):
        got = attempt(seconds, most)
        need(isinstance(got, (tuple, list)) and len(got) == 3, "three whole numbers are asked for: frames, high, wide")
        frames, high, wide = map(int, got)
        need(min(frames, high, wide) > 0 and (frames, high, wide) == tuple(got),
             "frames, high and wide are whole numbers above 0")
        need(frames >= 10, f"{frames} frames are {frames / 100:g} s: the first number is in frames of 10 ms")
        need(80 % high == 0, f"80 mel bins cannot be cut into patches {high} high; mel bins come before frames: "
             f"{high} x {wide} is {high} mel bins x {wide} frames")
        need(frames % wide == 0, f"{frames} frames cannot be cut into columns of {wide}: take a multiple of {wide}")
        need(frames / 100 >= seconds, f"{frames} frames are {frames / 100:g} s, asked were {seconds:g} s at least")
        cells = (frames // wide) * (80 // high)
        need(cells <= most, f"{frames} frames in patches of {high} x {wide} are {cells} patches, {most} are allowed")
    return f"{frames} frames in patches of {high} mel bins x {wide} frames are {cells} patches for {frames / 100:g} s."


@exercise("equation (1): bring tokens (B, L, D) into (B, columns, mel rows, D), then lay the mel rows of a column end "
          "to end")
def features(attempt):
    draws = generator(0)
    for grid in (Grid(6, 5), Grid(10, 3)):
        tokens = torch.randn(2, grid.t * grid.f, 4, generator=draws)
        by_time = tokens.unflatten(1, tuple(grid))  # (B, t, f, D)
        by_mel = tokens.unflatten(1, (grid.f, grid.t)).transpose(1, 2)
        compare(attempt(tokens.clone(), grid), by_time.flatten(2), {
            "these tokens were read mel-major; here all mel rows of the first column come first": by_mel.flatten(2),
            "the mean over mel rows forgets at which pitch something was: lay them end to end": by_time.mean(2),
            "in another order: the D numbers of a token stay together": by_time.transpose(2, 3).flatten(2),
            "this is the mean over time as well; every moment is asked for": by_time.flatten(2).mean(1)})
    return "a feature of 208 has 5 x D numbers, one of 208_8x16 has 10 x D."


@exercise("add up over recordings first, then divide once: twice the right guesses, by all guesses plus all true "
          "events")
def f_measure(attempt):
    rng = np.random.default_rng(1)
    for n in (12, 30):
        true, guessed = rng.integers(0, 9, n), rng.integers(0, 9, n)
        true[:2], guessed[:2] = (0, 3), 0  # a recording with no event and no guess, and one with no guess
        right = np.floor(np.minimum(true, guessed) * rng.random(n)).astype(int)
        each = np.divide(2.0 * right, guessed + true, out=np.zeros(n), where=guessed + true > 0)
        got, hits = float(attempt(right.copy(), guessed.copy(), true.copy())), right.sum()
        need(not np.isnan(got), "nothing there and nothing guessed is 0 / 0: add up over recordings before you divide")
        compare(got, 2 * hits / (guessed.sum() + true.sum()), {
            "this is the mean over recordings, in which a quiet one weighs as much as a busy one": each.mean(),
            "this is the mean over the recordings that have events": each[guessed + true > 0].mean(),
            "half of it: a right guess is a guess and an event, it counts twice": hits / (guessed.sum() + true.sum()),
            "this is the precision: events that nobody guessed must cost too": hits / guessed.sum(),
            "this is the recall: guesses where nothing was must cost too": hits / true.sum()})
    return "so a record that keeps both sums of every recording can draw its recordings anew."
