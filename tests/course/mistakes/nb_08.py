"""Typical mistakes in notebook 08's exercises, and words of the hint that each must get."""
import numpy as np

MISTAKES = {
    "patches_a_second": [(lambda frames, high, wide: (frames // wide) * (80 // high), "patches of a clip"),
                         (lambda frames, high, wide: (frames // wide) * (80 // high) / frames, "divided by frames")],
    "own_design": [(lambda seconds, most: (16 * -(-round(100 * seconds) // 16), 16, 16), "160 patches, 120"),
                   (lambda seconds, most: (32 * -(-round(100 * seconds) // 32), 32, 16), "mel bins come before")],
    "features": [(lambda tokens, grid: tokens.unflatten(1, (grid.f, grid.t)).transpose(1, 2).flatten(2),
                  "read mel-major"),
                 (lambda tokens, grid: tokens.unflatten(1, tuple(grid)).mean(2), "forgets at which pitch")],
    "f_measure": [(lambda right, guessed, true: np.mean(2 * right / np.maximum(1, guessed + true)),
                   "mean over recordings, in which"),
                  (lambda right, guessed, true: right.sum() / guessed.sum(), "this is the precision")],
}
