"""Typical mistakes in notebook 03's exercises, and words of the hint that each must get."""
import numpy as np
from torch.nn.functional import normalize

MISTAKES = {
    "frequency_vector": [(lambda z, grid: z[:, 1:].unflatten(1, tuple(grid)).mean(2).flatten(1),
                          "averages over the mel rows"),
                         (lambda z, grid: z[:, 1:].unflatten(1, (grid.f, grid.t)).mean(2).flatten(1), "read mel-major"),
                         (lambda z, grid: z[:, :-1].unflatten(1, tuple(grid)).mean(1).flatten(1),
                          "class token is still there"),
                         (lambda z, grid: z[:, 1:].mean(1), "the rows have to keep their place")],
    "prototype_scores": [(lambda z, p: (z @ p.T).amax(1), "plain dot products"),
                         (lambda z, p: (normalize(z, dim=-1) @ normalize(p, dim=-1).T).mean(1), "dilutes a call"),
                         (lambda z, p: (normalize(z, dim=-1) @ normalize(p, dim=-1).T).amax(-1),
                          "best *patch* of each prototype")],
    "chosen": [(lambda sweep: sweep["test"].max(), "the best on test"),
               (lambda sweep: sweep["val"].max(), "this is the value on val"),
               (lambda sweep: sweep["test"][np.argmax(sweep["val"].to_numpy())], "NaN on val")],
    "my_vector": [(lambda z: ((z - z.mean(0)) / z.std(0)).mean((1, 2)), "windows that stand beside it"),
                  (lambda z: z.mean(1), "one row of numbers a window")],
}
