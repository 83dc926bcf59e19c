"""Checks of notebook 03's exercises: the frequency vector, prototypes, a choice on val, a vector of one's own."""
import numpy as np
import pandas as pd
import torch

from lib.course.exercises import compare, exercise, generator, need, same
from lib.patches import Grid

__all__ = ["frequency_vector", "prototype_scores", "chosen", "my_vector"]


@exercise("drop the class token, `unflatten` the patches into (W, t, f, D), average over time, and lay the f rows end "
          "to end with `flatten`")
def frequency_vector(attempt):
    for grid in (Grid(6, 4), Grid(5, 2)):
        tokens = torch.randn(3, 1 + grid.t * grid.f, 7, generator=generator(grid.t))
        z = tokens[:, 1:].unflatten(1, tuple(grid))  # (W, t, f, D)
        wrong_way = tokens[:, 1:].unflatten(1, (grid.f, grid.t))
        compare(attempt(tokens.clone(), grid), z.mean(1).flatten(1), {
            "this averages over the mel rows and keeps the times: the other way round": z.mean(2).flatten(1),
            "the tokens were read mel-major; token i is time i // f and row i % f": wrong_way.mean(2).flatten(1),
            "the axes (t, f) were swapped when the tokens were unflattened": wrong_way.mean(1).flatten(1),
            "the class token is still there, in front": tokens[:, :-1].unflatten(1, tuple(grid)).mean(1).flatten(1),
            "this is the mean of all patches: the rows have to keep their place": z.mean((1, 2)),
            "the right numbers, but the rows are not laid end to end: `flatten(1)`": z.mean(1)},
            f"for {grid.t} times, {grid.f} rows and D = 7 the vector has {grid.f} x 7 numbers")
    return "that is MSM-MAE's feature: each row keeps its place, so pitch is not lost."


@exercise("divide tokens and prototypes by their length, multiply them (`z @ p.T`), and take the largest over the "
          "patches")
def prototype_scores(attempt):
    for seed in (0, 1):
        g = generator(seed)
        z = torch.randn(4, 10, 6, generator=g) * (0.2 + 3 * torch.rand(4, 10, 1, generator=g))
        p = 2 * torch.randn(5, 6, generator=g)
        unit = torch.nn.functional.normalize
        cosine = unit(z, dim=-1) @ unit(p, dim=-1).T  # (W, L, J)
        scores = attempt(z.clone(), p.clone())
        need(not isinstance(scores, tuple), "`max(dim)` gives values and places: take `.values`, or use `amax`")
        compare(scores, cosine.amax(1), {
            "this mean over the patches dilutes a call: a prototype takes the one patch most like it": cosine.mean(1),
            "these are plain dot products: a loud patch wins. A cosine divides by both lengths": (z @ p.T).amax(1),
            "only the prototypes are normalised; the tokens' lengths still count": (z @ unit(p, dim=-1).T).amax(1),
            "only the tokens are normalised; the prototypes' lengths still count": (unit(z, dim=-1) @ p.T).amax(1),
            "the maximum runs over prototypes; equation (3) wants the best *patch* of each prototype": cosine.amax(2),
            "these are the cosines of all patches: take the largest over the patches": cosine,
            "the mean token was compared; the cosines come first": unit(z.mean(1), dim=-1) @ unit(p, dim=-1).T})
    return "the position of that patch is forgotten, which is the price."


@exercise("find the row with the largest `val` (`sweep['val'].idxmax()`), and say what `test` is in that row")
def chosen(attempt):
    for seed in (0, 3, 5):
        rng = np.random.default_rng(seed)
        val = rng.uniform(0.1, 0.3, 6)
        test = val + rng.normal(0, 0.05, 6)
        test[(val.argmax() + 2) % 6] = test.max() + 0.03  # the best on test is another one
        val[(val.argmax() + 1) % 6] = np.nan  # training has diverged
        sweep = pd.DataFrame({"lr": 10.0 ** np.arange(-3, 3), "val": val, "test": test})
        best = int(np.nanargmax(val))
        compare(attempt(sweep.copy()), test[best], {
            "this is the best on test: chosen there, the number is too good. Choose on val, report test": test.max(),
            "this is the value on val; the choice used it up, so the report takes test": val[best],
            "this is the learning rate; asked for is what it scores on test": sweep["lr"][best],
            "the rate at which training diverged has NaN on val, and `argmax` picks that one": test[int(val.argmax())],
            "this is the mean over the rates": test.mean()}, tolerance=1e-9)
    return "test was looked at once, by a choice that had not seen it."


@exercise("`z.mean((1, 2))` forgets pitch and time: over which axis may one average, and what is there beside a mean?")
def my_vector(attempt):
    for t, f, seed in ((8, 4, 0), (6, 3, 1)):
        z = _calls(t, f, generator(seed))  # (W, t, f, D)
        x = torch.as_tensor(attempt(z.clone()))
        need(x.shape[:1] == (len(z),) and x.ndim == 2,
             f"{len(z)} windows gave shape {tuple(x.shape)}; wanted is one row of numbers a window: `flatten(1)`")
        need(x.isfinite().all(), "some numbers are not finite: is there a division by 0, or a logarithm of it?")
        need(same(attempt(z[:3].clone()), x[:3], 1e-3),
             "a window's numbers change with the windows that stand beside it: stay within a window")
        need(x.std(0).max() > 1e-6, "every window has the same numbers: nothing of what sounds is left")
        yours, mean = _found(x.float(), f), _found(z.mean((1, 2)), f)
    return f"{yours:.0%} of made-up calls are put in their row by it, {mean:.0%} by the mean of all patches."


def _calls(t: int, f: int, rng: torch.Generator) -> torch.Tensor:
    """Windows (60 f, t, f, 16) of hiss, each with a call in one row at a random time: row 0 in the first 60, and so on.
    """
    z, call = torch.randn(60 * f, t, f, 16, generator=rng), torch.randn(16, generator=rng)
    at = torch.randint(t, (len(z),), generator=rng)
    z[torch.arange(len(z)), at, torch.arange(f).repeat_interleave(60)] += 1.5 * call
    return z


def _found(x: torch.Tensor, f: int) -> float:
    """The share of the even windows that lie nearest to the centre of the odd ones of their row."""
    x = (x - x.mean(0)) / (x.std(0) + 1e-6)
    row = torch.arange(f).repeat_interleave(30)
    centres = x[1::2].unflatten(0, (f, 30)).mean(1)  # (f, n)
    return (torch.cdist(x[::2], centres).argmin(1) == row).float().mean().item()
