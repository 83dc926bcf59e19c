"""Typical mistakes in notebook 08's exercises, and words of the hint that each must get."""
import numpy as np


def _grid(name, turned):
    frames, _, patch = name.partition("_")
    high, wide = list(map(int, (patch or "16x16").split("x")))[:: -1 if turned else 1]
    return int(frames) // wide, 80 // high


MISTAKES = {
    "grid_of_design": [(lambda name: _grid(name, True), "*mel bins* x *frames*"),
                       (lambda name: _grid(name, False)[::-1], "time before mel")],
    "patches_a_second": [(lambda frames, high, wide: (frames // wide) * (80 // high), "patches of a clip"),
                         (lambda frames, high, wide: (frames // wide) * (80 // high) / frames, "divided by frames")],
    "features": [(lambda tokens, grid: tokens.unflatten(1, (grid.f, grid.t)).transpose(1, 2).flatten(2),
                  "read mel-major"),
                 (lambda tokens, grid: tokens.unflatten(1, tuple(grid)).mean(2), "forgets at which pitch")],
    "f_measure": [(lambda right, guessed, true: np.mean(2 * right / np.maximum(1, guessed + true)),
                   "mean over recordings, in which"),
                  (lambda right, guessed, true: right.sum() / guessed.sum(), "this is the precision")],
}
