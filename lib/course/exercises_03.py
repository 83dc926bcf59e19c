"""Checks of notebook 03's exercises: standardised features, the frequency vector, prototypes, a choice on val, size."""
import numpy as np
import pandas as pd
import torch

from lib.course.exercises import compare, exercise, generator, need
from lib.patches import Grid

__all__ = ["standardise", "frequency_vector", "prototype_scores", "chosen", "probe_weights"]


@exercise("`train.mean(0)` and `train.std(0)` are one number per channel. Which recordings may be asked for them?")
def standardise(attempt):
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        train, test = rng.normal(3, [1, 5, 0.2], (200, 3)), rng.normal(4, [2, 1, 0.4], (50, 3))
        mean, std = train.mean(0), train.std(0)
        both = np.concatenate([train, test])
        compare(attempt(train.copy(), test.copy()), (test - mean) / std, {
            "with its own mean and std test loses what differs from train": (test - test.mean(0)) / test.std(0),
            "mean and std of train and test together: test has told something": (test - both.mean(0)) / both.std(0),
            "this divides by the variance; the standard deviation is its root": (test - mean) / train.var(0),
            "the mean is off, the spread is not touched: divide by the std": test - mean,
            "one mean and std for all: each channel has its own, `mean(0)`": (test - train.mean()) / train.std(),
            "this is train; what is wanted is test in train's units": (train - mean) / std}, tolerance=5e-3)
    return "this is BatchNorm in evaluation: the numbers are frozen after training."


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


@exercise("a linear layer from n numbers to C classes has n C weights and C biases. How long is each vector?")
def probe_weights(attempt):
    for D, rows, classes in ((768, 8, 5569), (128, 8, 33), (80, 5, 10)):
        mean, frequency = (D + 1) * classes, (rows * D + 1) * classes
        compare(attempt(D, rows, classes), (mean, frequency), {
            "the biases are missing: one more number for each class": (D * classes, rows * D * classes),
            "the frequency vector is `rows` times as long, but each class still has one bias": (mean, rows * mean),
            "the other way round: first the mean, then the frequency vector": (frequency, mean),
            "one bias for each class, not for each number": (D * classes + D, rows * D * classes + rows * D)},
            "two numbers are wanted, (for the mean, for the frequency vector)", tolerance=1e-9)
    return "at ViT-B and 5,569 classes 4.3 and 34 million: the second is more than a third of the encoder."
