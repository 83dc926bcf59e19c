"""Typical mistakes in notebook 09's exercises, and words of the hint that each must get."""
import numpy as np
import torch

MISTAKES = {
    "column_times": [(lambda n, wide, hop, rate: np.arange(n) * wide * hop * 1000 / rate, "where it *begins*"),
                     (lambda n, wide, hop, rate: (np.arange(n) + 0.5) * wide * hop / rate, "these are seconds")],
    "depends_on_neighbours":
    [(lambda embed, wave, neighbour: bool((embed(wave)[0] != embed(torch.cat([wave, neighbour]))[0]).any()),
      "it always says True"),
                              (lambda embed, wave, neighbour: not torch.allclose(embed(wave), embed(wave)),
                               "it finds nothing")],
    "own_floor": [(lambda x: x.flatten(), "must not depend on the frames"),
                  (lambda x: x.mean(1), "reduces over the mel bands")],
    "chroma_accuracy": [(lambda guesses, targets: (guesses == targets).mean(), "the plain accuracy"),
                        (lambda guesses, targets: np.isin(guesses - targets, (-12, 0, 12)).mean(), "two octaves off")],
    "half_width": [(lambda percent, n: np.sqrt(percent * (100 - percent) / n), "one standard error"),
                   (lambda percent, n: 196 * percent * (100 - percent) / 1e4 / n, "the root is missing")],
}
