"""Checks of notebook 01's exercises: patches, masks, and what copying and masking are worth."""
import numpy as np
import torch

from lib import patches
from lib.course.exercises import compare, exercise, generator, need
from lib.patches import Grid

__all__ = ["hidden_share", "both_axes", "unshuffle", "long_gap", "best_factor", "block_share"]

@exercise("a mask has `mask.hidden`, True where a patch is hidden. What is the mean of trues and falses?")
def hidden_share(attempt):
    for ratio in (0.3, 0.75, 0.8):
        mask = patches.random_mask(3, Grid(32, 8), ratio, generator(1))
        hidden = float(mask.hidden.float().mean())
        compare(attempt(mask), hidden, {
            "this is the share that is *visible*; in `mask.hidden`, True means hidden": 1 - hidden,
            "this is a count; divide it by the number of patches": int(mask.hidden.sum()),
            "this adds up the clips of the batch; a share is at most 1: divide by clips times patches": 3 * hidden})
    return "the field calls this the mask ratio."


@exercise("think of what stays: a patch is visible when its column is visible and its row is. Which share is that?")
def both_axes(attempt):
    for ratio in (0.75, 0.8, 0.36, 0.5):
        compare(attempt(ratio), 1 - (1 - ratio) ** 0.5, {
            "with this much on both axes more is hidden: a patch goes with its column *or* with its row": ratio,
            "half and half hides less: patches in a hidden column and a hidden row count once": ratio / 2,
            "the root of the ratio is for patches hidden on *both* axes; calculate with what is visible": ratio**0.5,
            "this is the share that stays visible on each axis": (1 - ratio) ** 0.5})
    return "on 32 columns and 8 rows the counts are rounded, so 0.8 becomes 78.1 %."


@exercise("patch i of the picture is at place `restore[i]` of the line: `gather` picks by place")
def unshuffle(attempt):
    for B, L in ((3, 24), (2, 40)):
        tokens = torch.randn(B, L, 5, generator=generator(L))
        mask = patches.random_mask(B, Grid(L // 4, 4), 0.6, generator(2))
        order = mask.restore.argsort(1)
        places = order[..., None].expand_as(tokens)
        line = tokens.gather(1, places)
        compare(attempt(line.clone(), mask.restore.clone()), tokens, {
            "nothing has moved yet": line,
            "this shuffles a second time: `restore` already is the inverse, so gather with it": line.gather(1, places),
            "right for the first clip only: every clip of a batch has its own order": line[:, mask.restore[0]],
            "this puts every clip in the first clip's order, turned round": line[:, order[0]]})
    return "the decoder does this with its mask tokens before it adds the places."


@exercise("draw a start for every clip with `torch.randint(..., generator=generator)`; a column is hidden when it is "
          "not before the start and before start + columns")
def long_gap(attempt):
    B, grid, columns = 300, Grid(9, 4), 5
    hidden = attempt(B, grid, columns, generator(0))
    need(isinstance(hidden, torch.Tensor) and hidden.dtype == torch.bool, "the result is a bool tensor, True = hidden")
    need(hidden.shape == (B, *grid), f"the result has the shape (B, t, f), here {(B, *grid)}, not "
         f"{tuple(hidden.shape)}: `expand` repeats a column's answer over its rows")
    need(not torch.equal(hidden.any(1), hidden.all(1)) or not hidden.any(),
         "whole mel rows are hidden; the gap is in time, which is axis 1 of (B, t, f)")
    lines = hidden.all(2)  # (B, t)
    need(torch.equal(lines, hidden.any(2)), "a column is hidden only in part: all mel rows of it belong to the gap")
    count, begins, ends = lines.sum(1), lines[:, 1:] & ~lines[:, :-1], lines[:, :-1] & ~lines[:, 1:]
    pieces, rest = begins.sum(1) + lines[:, 0], ends.sum(1) + ~lines[:, 0]  # of hidden columns, of visible ones
    need(not ((grid.t - count == columns).all() and (rest == 1).all()),
         "this is the gap turned round: True stands for hidden, and the gap is what is hidden")
    need((count == columns).all(), f"{columns} columns were wanted, {count.min()} to {count.max()} are hidden")
    need((pieces == 1).all(), "the hidden columns are scattered; the gap is one piece, without a visible column in it")
    starts, wanted = lines.float().argmax(1), grid.t - columns + 1
    need(len(starts.unique()) > 1, "every clip has its gap at the same place: draw one start per clip")
    need(len(starts.unique()) == wanted, f"the gap begins at columns {starts.min()} to {starts.max()}, but "
         f"it fits at 0 to {wanted - 1}: the upper end of `randint` is never drawn")
    for seed, told in ((0, "the same generator must give the same gaps"), (1, "another generator gives the same gaps")):
        again = torch.equal(hidden, attempt(B, grid, columns, generator(seed)))
        need(again == (seed == 0), f"{told}: hand `generator` to every draw")
    return "same ratio, another task: forecasting instead of filling in."


@exercise("the error sum (x - c y)^2 is a parabola in c: set its derivative to zero")
def best_factor(attempt):
    for seed, level in ((0, 1.5), (1, 0.0)):
        y = torch.randn(40, 16, generator=generator(seed))
        x = 0.4 * y + torch.randn(40, 16, generator=generator(seed + 10)) + level
        best = float((x * y).sum() / y.square().sum())
        compare(attempt(x.clone(), y.clone()), best, {
            "the factor stretches the copy, so the copy's energy belongs below": (x * y).sum() / x.square().sum(),
            "this is the correlation, the best for mean 0 and std 1": np.corrcoef(x.flatten(), y.flatten())[0, 1],
            "this turns the fraction over": 1 / best,
            "this fits an offset too": np.polyfit(y.flatten(), x.flatten(), 1)[0]}, tolerance=1e-3)
    return "a copy that knows little should be shrunk towards the flat guess."


@exercise("count the tokens n first: the visible patches and the class token. Then divide equation (6) at that n by "
          "equation (6) with all patches")
def block_share(attempt):
    def cost(n, D):
        return 12 * n * D**2 + 2 * n**2 * D

    for L, D, ratio in ((512, 768, 0.8), (256, 128, 0.75), (64, 32, 0.5)):
        K, whole = L - round(ratio * L), cost(1 + L, D)
        compare(attempt(L, D, ratio), cost(1 + K, D) / whole, {
            "this is the cost with the *hidden* patches; the encoder sees the others": cost(1 + L - K, D) / whole,
            "the class token is missing: the encoder takes one token more than patches": cost(K, D) / cost(L, D),
            "this is attention alone; the linear layers are the larger part": (1 + K) ** 2 / (1 + L) ** 2,
            "this is the share of tokens, as if all grew with n; attention grows with its square": (1 + K) / (1 + L),
            "this is the share of patches, as if all grew with their number; attention grows faster": 1 - ratio,
            "patches come whole: round the number hidden": cost(1 + L * (1 - ratio), D) / whole}, tolerance=1e-5)
    return "10 s at 80 % cost 18.5 % of a block of ViT-B: the longer the clip, the more masking saves."
