"""Typical mistakes in notebook 01's exercises, and words of the hint that each must get."""
import torch


def gap(start, grid, columns):
    a = torch.arange(grid.t)
    return ((a >= start) & (a < start + columns))[:, :, None].expand(-1, -1, grid.f)


def rows(B, grid, columns, generator):
    start = torch.randint(0, grid.f - 1, (B, 1), generator=generator)
    a = torch.arange(grid.f)
    return ((a >= start) & (a < start + 2))[:, None, :].expand(-1, grid.t, -1)


def scattered(B, grid, columns, generator):
    return (torch.rand(B, grid.t, generator=generator).argsort(1).argsort(1) < columns)[:, :, None].expand(-1, -1,
                                                                                                           grid.f)


def cost(n, dim):
    return 12 * n * dim**2 + 2 * n**2 * dim


MISTAKES = {
    "hidden_share": [(lambda mask: mask.keep.shape[1] / mask.hidden.shape[1], "share that is *visible*"),
                     (lambda mask: mask.hidden.sum(), "this is a count")],
    "both_axes": [(lambda ratio: ratio, "with its column *or* with its row"),
                  (lambda ratio: ratio / 2, "half and half hides less"),
                  (lambda ratio: ratio**0.5, "hidden on *both* axes")],
    "unshuffle": [(lambda line, restore: line, "nothing has moved"),
                  (lambda line, restore: line.gather(1, restore.argsort(1)[..., None].expand_as(line)),
                   "shuffles a second time"),
                  (lambda line, restore: line[:, restore[0]], "right for the first clip only")],
    "long_gap": [(lambda B, grid, n, g: gap(torch.randint(0, grid.t - n, (B, 1), generator=g), grid, n),
                  "upper end of `randint` is never drawn"),
                 (lambda B, grid, n, g: gap(torch.randint(0, grid.t - n + 1, (1, 1), generator=g), grid,
                                            n).expand(B, -1, -1), "draw one start per clip"),
                 (lambda B, grid, n, g: ~gap(torch.randint(0, grid.t - n + 1, (B, 1), generator=g), grid, n),
                  "turned round"),
                 (lambda B, grid, n, g: gap(torch.randint(0, grid.t - n + 1, (B, 1)), grid, n),
                  "hand `generator` to every draw"),
                 (lambda B, grid, n, g: gap(torch.randint(0, grid.t, (B, 1), generator=g), grid, n),
                  "columns were wanted"),
                 (scattered, "the gap is one piece"), (rows, "whole mel rows")],
    "best_factor": [(lambda x, y: (x * y).sum() / x.square().sum(), "the copy's energy belongs below"),
                    (lambda x, y: torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1],
                     "this is the correlation")],
    "block_share": [(lambda count, dim, ratio: cost(count - round(ratio * count), dim) / cost(count, dim),
                     "the class token is missing"),
                    (lambda count, dim, ratio: cost(1 + round(ratio * count), dim) / cost(1 + count, dim),
                     "the cost with the *hidden* patches"),
                    (lambda count, dim, ratio: cost(1 + count * (1 - ratio), dim) / cost(1 + count, dim),
                     "patches come whole")],
}
