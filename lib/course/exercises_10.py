"""Checks of notebook 10's exercises: which token, a blind block, repetition, and what is right by chance."""
import copy

import numpy as np
import torch
from timm.layers import Attention
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from lib import attention
from lib.course.exercises import compare, exercise, generator, need
from lib.patches import Grid

__all__ = ["token_of", "look_everywhere", "repeats", "by_chance"]


@exercise("tokens run time-major: all mel rows of the first column, then those of the second. Token 0 is the class "
          "token")
def token_of(attempt):
    for grid in (Grid(19, 5), Grid(32, 8)):
        for t, f in ((7, 2), (0, 0), (12, 1), (18, 4)):
            right, along = 1 + t * grid.f + f, 1 + f * grid.t + t
            compare(int(attempt(t, f, grid)), right, {
                "one too low: token 0 of the maps is the class token, patches begin at 1": right - 1,
                "this counts along time first, as MSM-MAE does; here a column's mel rows follow each other": along,
                "this counts along time first, and forgets the class token": along - 1,
                "a step in time passes over a column, which has grid.f patches": 1 + t * grid.t + f})
    return "a map drawn from the wrong row looks just as plausible."


@exercise("softmax makes equal shares of scores that are alike: which rows of `attn.qkv.weight` and `attn.qkv.bias` "
          "make the queries and the keys? Set those to 0 and leave the values")
def look_everywhere(attempt):
    for seed, dim in ((0, 12), (1, 16)):
        block = Attention(dim, num_heads=2, qkv_bias=True)
        with torch.no_grad():
            for parameter in block.parameters():
                parameter.normal_(generator=generator(seed))
            x, plain = torch.randn(1, 7, dim, generator=generator(seed + 5)), copy.deepcopy(block)
            alike = plain.proj(plain.qkv(x)[..., 2 * dim :].mean(1, keepdim=True)).expand(1, 7, dim)
            got = attempt(block)
            need(isinstance(got, nn.Module), "the block's attention itself is to come back: end with `return attn`")
            out = got(x)
            silent = plain.proj.bias.expand(1, 7, dim)
            keys = x @ plain.qkv.weight[dim : 2 * dim].T + plain.qkv.bias[dim : 2 * dim]
            biased = _mixed(plain, plain.qkv.bias[:dim].expand_as(keys), keys, x)
        compare(out, alike, {
            "it does what it did before": plain(x),
            "the values are gone too: nothing is left to be mixed but the bias of `proj`": silent,
            "the queries still have their bias: they are the same for all tokens now, but not 0, and compare with the "
            "keys": biased},
            "what comes out is not the average of all values: queries and keys are the first 2 D of the 3 D rows")
    return "the values are still mixed, but what the block looks at no longer depends on what it is shown."


def _mixed(attn: nn.Module, q: torch.Tensor, k: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """What a block's attention makes of x (B, n, D) with other queries and keys (B, n, D)."""
    v = attn.qkv(x).chunk(3, -1)[2]
    q, k, v = (y.unflatten(-1, (attn.num_heads, -1)).transpose(1, 2) for y in (q, k, v))
    return attn.proj(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


@exercise("take the mean off, then for each lag k: the sum of x[: n - k] * x[k:], divided by its n - k terms; at the "
          "end divide all by r(0)")
def repeats(attempt):
    def lags(y):
        return torch.stack([(y[: len(y) - k] * y[k:]).sum() for k in range(len(y))])

    for n, period in ((19, 5), (32, 7)):
        wave = (2 * torch.pi * torch.arange(n, dtype=torch.float64) / period).cos()
        x = 3 + wave + 0.3 * torch.randn(n, generator=generator(n), dtype=torch.float64)
        centred, left = x - x.mean(), torch.arange(n, 0, -1)
        raw, right, short = lags(x) / left, lags(centred) / left, lags(centred) / n
        compare(attempt(x.clone()), attention.autocorrelation(x[None, :, None])[0], {
            "the mean is still in: r hardly leaves 1, because a constant is like itself at every lag": raw / raw[0],
            "a longer lag overlaps in fewer columns: divide by n - k, or repetitions look weak": short / short[0],
            "r(0) should be 1: divide all by it at the end": right})
    return "its first high peak after lag 0 is the period; at lag 0 everything is like itself."


@exercise("pair every answer with every truth, `np.abs(answers[:, None] - truths)`: in which share of the pairs are "
          "they close?")
def by_chance(attempt):
    rng = np.random.default_rng(5)
    for n in (30, 44):
        truths = rng.uniform(0.3, 1.5, n)
        answers = truths + rng.normal(0, 0.2, n)
        answers[rng.random(n) < 0.3] = np.nan  # no period was found
        found = ~np.isnan(answers)
        close = np.abs(answers[:, None] - truths) <= 0.16
        compare(attempt(answers.copy(), truths.copy(), 0.16), close.mean(), {
            "this pairs each answer with its own truth: that is how often it *is* right": np.diag(close).mean(),
            "NaN is left out here; it counts as wrong, or saying nothing would pay": close[found].mean(),
            "each answer with its own truth, and NaN is left out": np.diag(close)[found].mean(),
            "these are the pairs that are far apart": 1 - close.mean()},
            "shuffled truths come close; all n x n pairs give it exactly, with NaN as wrong and as one of the n")
    return "a method that always says the usual interval is right as often as by chance, and has learned nothing."
