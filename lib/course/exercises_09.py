"""Checks of notebook 09's exercises: the time of a column, a test for neighbours, a floor, chroma, the doubt
of an accuracy."""
import math

import numpy as np
import torch

from lib.course.exercises import compare, exercise, generator, need, yes

__all__ = ["column_times", "depends_on_neighbours", "own_floor", "chroma_accuracy", "half_width"]


@exercise("column i holds frames i * wide ... i * wide + wide - 1. Where is the middle of those? A frame is `hop` "
          "samples, a second `rate`, wanted are milliseconds")
def column_times(attempt):
    for n, wide, hop, rate in ((19, 16, 160, 16_000), (7, 4, 320, 22_050)):
        frame = 1000 * hop / rate  # ms
        got, begins = np.asarray(attempt(n, wide, hop, rate), float), np.arange(n) * wide * frame
        middle = begins + (wide - 1) / 2 * frame

        def near(x):  # where in a frame its time lies is a matter of taste
            return x.shape == middle.shape and np.abs(x - middle).max() < 0.51 * frame

        need(not near(1000 * got), "these are seconds; the contract wants milliseconds")
        need(not near(1000 / rate * got), "these are samples; the contract wants milliseconds")
        compare(middle if near(got) else got, middle, {
            "here a column stands where it *begins*: it says most about its middle, half a column later": begins,
            "here a column stands where it ends; it says most about its middle": begins + wide * frame})
    return "80 ms earlier, and every onset of a column of 160 ms would come too early."


def _embeddings():
    """Ways to embed waves (B, N), and whether what they say about one depends on the others."""
    matrix = torch.randn(400, 5, generator=generator(1))

    def rounding(x):  # the same but for the last digits, as on a device that sums in another order for another batch
        return (x @ matrix) * (1 + 1e-6 * len(x))

    return [("constants of the data set", lambda x: rounding((x - 0.1) / 0.7), False),
            ("each wave's own mean and std", lambda x: rounding((x - x.mean(1, True)) / x.std(1, keepdim=True)), False),
            ("mean and std of the batch", lambda x: rounding((x - x.mean()) / x.std()), True),
            ("the loudest sample of the batch", lambda x: rounding(x / x.abs().max()), True)]


@exercise("embed the wave alone, then in a batch with a neighbour (torch.cat), and compare its own row of the two")
def depends_on_neighbours(attempt):
    draws = generator(2)
    quiet, loud = 0.05 * torch.randn(1, 400, generator=draws), torch.randn(1, 400, generator=draws)
    got = [yes(attempt(embed, quiet.clone(), loud.clone())) for _, embed, _ in _embeddings()]
    need(any(got), "it finds nothing: of four ways to normalise two depend on the neighbour. Is the wave compared with "
         "itself, once alone and once in company?")
    need(not all(got), "it always says True. Where two results should be one, the last digits may differ: compare with "
         "torch.allclose; and compare the quiet wave's own row, not the neighbour's")
    for (way, _, depends), answer in zip(_embeddings(), got):
        need(answer == depends, f"wrong for one that normalises by {way}: what it says about a wave "
             f"{'depends' if depends else 'does not depend'} on the others")
    return "four lines, and the fault of the public runtime would have been found."


@exercise("begin with `x.mean(0)`, one number of each band, and put more of them behind it with torch.cat: what else "
          "does a band say over time?")
def own_floor(attempt):
    draws = generator(5)
    sounds = [torch.randn(frames, 80, generator=draws) + level for frames, level in ((201, -1.0), (301, 1.0), (6, 0.0))]
    got = [attempt(x.clone()) for x in sounds]
    for x, vector in zip(sounds, got):
        need(isinstance(vector, torch.Tensor) and vector.ndim == 1, "a vector (n,) is asked for, a tensor of one axis: "
             "reduce over time with x.mean(0) or the like, and join with torch.cat")
        need(len(vector) != len(x), f"{len(x)} frames gave {len(vector)} numbers: this reduces over the mel bands, "
             "axis 1, and keeps time, which differs between recordings")
        need(vector.isfinite().all(), f"not all are finite for a recording of {len(x)} frames")
    sizes = [len(vector) for vector in got]
    need(len(set(sizes)) == 1, f"recordings of 201, 301 and 6 frames gave {sizes[0]}, {sizes[1]} and {sizes[2]} "
         "numbers: the length must not depend on the frames")
    need(not torch.allclose(got[0], got[1]), "two different recordings gave the same numbers")
    return f"{sizes[0]} numbers a recording, however long it is. The figure says what they are worth."


@exercise("an octave is 12 semitones: two notes have the same chroma if their difference is a multiple of 12. Try `%`")
def chroma_accuracy(attempt):
    rng = np.random.default_rng(3)
    for n in (80, 50):
        true = rng.integers(40, 80, n)
        guess = true + rng.choice([0, 12, -12, 24, -24, 1, -2, 7], n, p=[0.35, 0.1, 0.1, 0.05, 0.05, 0.15, 0.1, 0.1])
        off = guess - true
        compare(attempt(guess.copy(), true.copy()), (off % 12 == 0).mean(), {
            "this is the plain accuracy; a note an octave off should count as right": (off == 0).mean(),
            "notes exactly one octave off; right ones count too, and two octaves as well": (np.abs(off) == 12).mean(),
            "two octaves off is the same chroma too: any multiple of 12": (np.isin(off, (-12, 0, 12))).mean(),
            "`//` asks for the same octave, `%` for the same note in any octave": (guess // 12 == true // 12).mean()})
    return "where it is far above the plain accuracy, a model hears the note and not the octave."


@exercise("a share p of n recordings has the standard error sqrt(p * (1 - p) / n); 95 % take 1.96 of those. In points, "
          "100 is all")
def half_width(attempt):
    for percent, n in ((50.0, 120), (84.3, 2000), (95.0, 400)):
        variance = percent / 100 * (1 - percent / 100) / n
        points = 196 * math.sqrt(variance)
        compare(float(attempt(percent, n)), points, {
            "this is one standard error, which holds two cases of three; 95 % take 1.96 of them": points / 1.96,
            "this is the whole width; half of it lies on each side": 2 * points,
            "the root is missing: p * (1 - p) / n is the *square* of the standard error": 196 * variance,
            "these are shares; times 100 are points": points / 100,
            "p is a share: divide `percent` by 100": 196 * math.sqrt(percent * (percent - 1) / n)}, tolerance=2e-2)
    return "1.6 points for 84.3 % of 2,000 clips, and one training: a table's differences of 0.1 to 0.3 are inside."
