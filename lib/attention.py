"""Where a ViT looks: the self-attention of a block exactly as the model computes it, and how often it comes back.

timm's attention is one fused call that never shows its weights; here they are computed again from the queries and keys
that the block itself made. Niizumi et al. 2022, Fig. 5 and 6, average the last block's over its heads."""

from typing import NamedTuple

import torch
from torch import Tensor

from lib.mae import MAE
from lib.patches import Grid

__all__ = ["maps", "from_patch", "Period", "autocorrelation", "period"]

NEARLY = 0.8  # of the highest peak: multiples of a period peak as high as it or higher, and the shortest lag is meant


@torch.no_grad()
def maps(model: MAE, spec: Tensor, layer: int = -1) -> Tensor:
    """The self-attention of one encoder block over specs (B, 1, T, M) with nothing hidden: (B, heads, 1 + L, 1 + L).

    Row i says how token i mixes the values of all tokens and sums to 1; token 0 is the class token, then patches,
    time-major. layer counts as in a list, -1 is the last block."""
    blocks, n = model.encoder.blocks, len(model.encoder.blocks)
    if not -n <= layer < n:
        raise ValueError(f"layer is {layer}, this encoder has {n} blocks: choose {-n} to {n - 1}")
    attn, made = blocks[layer].attn, []
    with attn.qkv.register_forward_hook(lambda module, given, result: made.append(result)):
        model.encode(spec)
    q, k, _ = made[0].unflatten(-1, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)  # (B, heads, 1+L, D/heads) each
    return (attn.q_norm(q) * attn.scale @ attn.k_norm(k).transpose(-2, -1)).softmax(-1)  # (B, heads, 1+L, 1+L)


def from_patch(maps: Tensor, grid: Grid, reference: tuple[int, int]) -> Tensor:
    """How the patch at `reference` (t, f) spreads its attention over all patches, averaged over heads: (B, t, f).

    The class token's share is left out: each map sums to 1 minus that share. The paper writes its references (f, t)."""
    (t, f), L = reference, grid.t * grid.f
    if maps.ndim != 4 or maps.shape[2:] != (1 + L, 1 + L):
        raise ValueError(f"from_patch got maps of shape {tuple(maps.shape)}; a {grid.t} x {grid.f} grid needs (B, "
                         f"heads, {1 + L}, {1 + L})")
    if not (0 <= t < grid.t and 0 <= f < grid.f):
        raise ValueError(f"the reference (t, f) is ({t}, {f}), the grid has {grid.t} columns and {grid.f} mel rows, "
                         "counted from 0")
    return maps[:, :, 1 + t * grid.f + f, 1:].mean(1).unflatten(1, tuple(grid))  # (B, t, f)


class Period(NamedTuple):
    seconds: Tensor  # (B,) NaN where nothing comes back
    strength: Tensor  # (B,) the autocorrelation there, 1 at most by theory; NaN likewise


def autocorrelation(x: Tensor) -> Tensor:
    """How alike pictures (B, t, f) are to themselves k columns later: (B, t), 1 at k = 0; 0 where nothing changes.

    Each mel row's mean over time is taken off, rows are added up; a lag's sum is divided by the columns it overlaps."""
    if x.ndim != 3:
        raise ValueError(f"autocorrelation wants pictures (B, t, f), got {tuple(x.shape)}: one row of a map is "
                         "row[None, :, None]")
    x = x.cpu().double()
    x = x - x.mean(1, keepdim=True)
    t = x.shape[1]
    r = torch.stack([(x[:, : t - k] * x[:, k:]).sum((1, 2)) / (t - k) for k in range(t)], 1)  # (B, t)
    return torch.where(r[:, :1] > 1e-20, r / r[:, :1].clamp(min=1e-20), 0.0)


def period(x: Tensor, step_s: float) -> Period:
    """After how many seconds pictures (B, t, f) of columns `step_s` apart repeat: the autocorrelation's first peak.

    A peak stands above both neighbours and above 0; among those nearly as high as the highest the shortest lag counts.
    Lags reach from two columns to two thirds of the picture. A parabola through the peak gives parts of a column."""
    r = autocorrelation(x)
    last = 2 * x.shape[1] // 3
    if x.shape[1] < 4:
        raise ValueError(f"period got pictures of {x.shape[1]} columns, a repetition needs at least 4: take a longer "
                         "input or narrower patches")
    before, here, after = (r[:, 1 + i : last + i] for i in range(3))  # (B, last - 1) lags 2 ... last in `here`
    peak = (here > before) & (here >= after) & (here > 0)
    height = here.masked_fill(~peak, -torch.inf)
    first = (height >= NEARLY * height.amax(1, keepdim=True)).int().argmax(1, keepdim=True)  # (B, 1)
    a, b, c = (y.gather(1, first)[:, 0] for y in (before, here, after))
    bend = a - 2 * b + c
    shift = torch.where(bend < 0, 0.5 * (a - c) / bend.clamp(max=-1e-12), 0.0)  # in columns, within half a one
    none = ~peak.any(1)
    return Period(((2 + first[:, 0] + shift) * step_s).masked_fill(none, torch.nan), b.masked_fill(none, torch.nan))
