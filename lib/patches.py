"""Patches and masks: how a spectrogram becomes tokens, and which of them the encoder may see.

Tokens run time-major: token i of a grid with f mel rows stands at time i // f and mel row i % f. A pixel inside a
patch is time-major as well. `hidden` is boolean and True means hidden; the field's *mask ratio* is the share of
patches hidden. Masks are made here, outside the model, with an explicit generator, so that they can be drawn,
replayed and edited.
"""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Grid", "Mask", "grid_of", "patchify", "unpatchify", "some", "rows", "mask_from_keep", "mask_from_hidden",
           "random_mask", "time_mask", "freq_mask", "time_freq_mask", "vertical_mask", "horizontal_mask",
           "chessboard_mask", "only_visible"]


class Grid(NamedTuple):
    """How many patches there are along time (t) and along mel (f)."""

    t: int
    f: int


class Mask(NamedTuple):
    """Which patches the encoder sees, in three views of the same choice (B clips, L patches, K visible)."""

    keep: Tensor  # (B, K) indices of the visible patches, in the order the encoder sees them
    restore: Tensor  # (B, L) where each patch stands in [visible..., hidden...]: undoes the shuffle
    hidden: Tensor  # (B, L) bool, True = hidden

    @property
    def rest(self) -> Tensor:
        """(B, L - K) indices of the hidden patches, ascending; their number is that of the shapes: no GPU is waited
        for."""
        order = (~self.hidden).int().argsort(dim=1, stable=True)  # (B, L) hidden first
        return order[:, : order.shape[1] - self.keep.shape[1]]

    def to(self, device: torch.device | str) -> "Mask":
        return Mask(*(x.to(device, non_blocking=True) for x in self))

    def part(self, first: int, count: int) -> "Mask":
        """The mask of so many clips from `first` on."""
        return Mask(*(x[first : first + count] for x in self))


def grid_of(frames: int, mels: int, patch: tuple[int, int]) -> Grid:
    """The grid of a (frames, mels) spec cut into (pt, pf) patches; ValueError when they do not divide."""
    if frames < patch[0] or frames % patch[0] or mels % patch[1]:
        raise ValueError(f"a spec of {frames} frames x {mels} mels cannot be cut into {patch[0]} x {patch[1]} patches: "
                         "both sides must be multiples of the patch; pad or crop the spec, or choose another patch")
    return Grid(frames // patch[0], mels // patch[1])


def patchify(spec: Tensor, patch: tuple[int, int]) -> Tensor:
    """Cut specs into flat patches: (B, 1, T, M) -> (B, L, pt*pf), tokens and pixels time-major."""
    if spec.ndim != 4 or spec.shape[1] != 1:
        raise ValueError(f"patchify wants specs of shape (B, 1, T, M), got {tuple(spec.shape)}: add the missing axis "
                         "with spec[:, None]")
    (B, _, T, M), (pt, pf) = spec.shape, patch
    t, f = grid_of(T, M, patch)
    x = spec.reshape(B, t, pt, f, pf)  # (B, t, pt, f, pf)
    x = x.permute(0, 1, 3, 2, 4)  # (B, t, f, pt, pf)
    return x.reshape(B, t * f, pt * pf)  # (B, L, pt*pf)


def unpatchify(x: Tensor, grid: Grid, patch: tuple[int, int]) -> Tensor:
    """Put flat patches back into specs: (B, L, pt*pf) -> (B, 1, T, M); the inverse of `patchify`."""
    (B, L, P), (t, f), (pt, pf) = x.shape, grid, patch
    if (L, P) != (t * f, pt * pf):
        raise ValueError(f"unpatchify got {L} patches of {P} pixels, but a {t} x {f} grid of {pt} x {pf} patches has "
                         f"{t * f} of {pt * pf}")
    x = x.reshape(B, t, f, pt, pf).permute(0, 1, 3, 2, 4)  # (B, t, pt, f, pf)
    return x.reshape(B, 1, t * pt, f * pf)  # (B, 1, T, M)


def some(spec: Tensor, patch: tuple[int, int], ids: Tensor) -> Tensor:
    """The patches `ids` (B, K) of specs alone: (B, 1, T, M) -> (B, K, pt*pf), the same as those rows of `patchify`."""
    (B, _, T, M), (pt, pf) = spec.shape, patch
    t, f = grid_of(T, M, patch)
    x = spec.reshape(B, t, pt, f, pf).permute(0, 1, 3, 2, 4)  # (B, t, f, pt, pf), a view
    return x[torch.arange(B, device=ids.device)[:, None], ids // f, ids % f].flatten(2)  # (B, K, pt*pf)


def rows(x: Tensor, ids: Tensor) -> Tensor:
    """Tokens `ids` (B, K) of x (B, L, D): (B, K, D). Twice as fast as a gather with expanded indices, forth and
    back."""
    B, L, _ = x.shape
    place = ids + L * torch.arange(B, device=ids.device)[:, None]  # (B, K) among those of all clips
    return x.flatten(0, 1).index_select(0, place.flatten()).unflatten(0, ids.shape)


def mask_from_keep(ids: Tensor, L: int) -> Mask:
    """The mask that leaves exactly the patches `ids` (B, K) visible, in that order, out of L; the hidden follow in
    ascending order."""
    ids = torch.as_tensor(ids, dtype=torch.long)
    if ids.ndim != 2 or ids.numel() == 0 or ids.min() < 0 or ids.max() >= L:
        raise ValueError(f"mask_from_keep wants indices of shape (B, K), at least one a clip, each in 0..{L - 1}; got "
                         f"shape {tuple(ids.shape)}"
                         + (f" with values {int(ids.min())}..{int(ids.max())}" if ids.numel() else ""))
    hidden = torch.ones(len(ids), L, dtype=torch.bool, device=ids.device).scatter(1, ids, False)  # (B, L)
    if not bool((hidden.sum(1) == L - ids.shape[1]).all()):
        raise ValueError("mask_from_keep got the same patch twice in one clip: each visible patch is named once")
    rest = hidden.nonzero()[:, 1].view(len(ids), -1)  # (B, L-K) ascending
    return Mask(ids, torch.cat([ids, rest], 1).argsort(1), hidden)


def mask_from_hidden(hidden: Tensor) -> Mask:
    """The mask for a boolean picture (B, L) or (B, t, f), True = hidden; every clip must hide the same number of
    patches."""
    hidden = hidden.flatten(1)  # (B, L)
    visible = (~hidden).sum(1)  # (B,)
    if hidden.dtype != torch.bool or visible.min() != visible.max() or visible.min() == 0:
        raise ValueError("mask_from_hidden wants a bool tensor with the same number (>= 1) of visible patches in "
                         "every clip, got "
                         f"{hidden.dtype} with {int(visible.min())} to {int(visible.max())} visible")
    return mask_from_keep((~hidden).nonzero()[:, 1].view(len(hidden), -1), hidden.shape[1])


def _n_hidden(ratio: float, n: int) -> int:
    """How many of n to hide: rounded, since int() would turn 0.9 of 10 into 9 hidden but (1 - 0.9) of 10 into 0
    visible."""
    if not 0 <= ratio < 1:
        raise ValueError(f"a mask ratio is the share of patches hidden, from 0 up to but not including 1; got {ratio}")
    return min(round(ratio * n), n - 1)  # at least one stays visible


def random_mask(B: int, grid: Grid, ratio: float, generator: torch.Generator | None) -> Mask:
    """Hide round(ratio * L) patches of each clip, uniformly at random: the MAE's own mask (He et al. 2022).

    The order is that of the public code: sort uniform noise, keep the smallest.
    """
    L = grid.t * grid.f
    noise = torch.rand(B, L, generator=generator)  # (B, L)
    order = noise.argsort(1)  # (B, L)
    keep = order[:, : L - _n_hidden(ratio, L)]  # (B, K)
    restore = order.argsort(1)  # (B, L)
    return Mask(keep, restore, restore >= keep.shape[1])


def _lines(B: int, n: int, ratio: float, generator: torch.Generator | None) -> Tensor:
    """(B, n) bool: round(ratio * n) randomly chosen lines are True (hidden); those with the smallest noise stay."""
    rank = torch.rand(B, n, generator=generator).argsort(1).argsort(1)  # (B, n)
    return rank >= n - _n_hidden(ratio, n)


def time_mask(B: int, grid: Grid, ratio: float, generator: torch.Generator | None) -> Mask:
    """Hide whole time columns: every mel row of round(ratio * t) randomly chosen times."""
    return mask_from_hidden(_lines(B, grid.t, ratio, generator)[:, :, None].expand(B, *grid))


def freq_mask(B: int, grid: Grid, ratio: float, generator: torch.Generator | None) -> Mask:
    """Hide whole mel rows: every time of round(ratio * f) randomly chosen rows."""
    return mask_from_hidden(_lines(B, grid.f, ratio, generator)[:, None, :].expand(B, *grid))


def time_freq_mask(B: int, grid: Grid, ratio_t: float, ratio_f: float, generator: torch.Generator | None) -> Mask:
    """Hide whole time columns and whole mel rows (AudioMAE's 2-D mask): a patch is visible when its time and its row
    both are."""
    columns = _lines(B, grid.t, ratio_t, generator)[:, :, None]  # (B, t, 1)
    return mask_from_hidden(columns | _lines(B, grid.f, ratio_f, generator)[:, None, :])  # (B, t, f)


def vertical_mask(B: int, grid: Grid) -> Mask:
    """Hide every second time column (MSM-MAE Fig. 3 A)."""
    return mask_from_hidden((torch.arange(grid.t) % 2 == 1)[None, :, None].expand(B, *grid))


def horizontal_mask(B: int, grid: Grid) -> Mask:
    """Hide every second mel row (MSM-MAE Fig. 3 B)."""
    return mask_from_hidden((torch.arange(grid.f) % 2 == 1)[None, None, :].expand(B, *grid))


def chessboard_mask(B: int, grid: Grid) -> Mask:
    """Hide every second patch like the dark squares of a chessboard (MSM-MAE Fig. 3 C); with an odd L one clip keeps
    one more."""
    return mask_from_hidden(((torch.arange(grid.t)[:, None] + torch.arange(grid.f)) % 2 == 1)[None].expand(B, *grid))


def only_visible(B: int, grid: Grid, n: int, generator: torch.Generator | None) -> Mask:
    """Leave only n randomly chosen patches visible (MSM-MAE Fig. 4, down to a single one)."""
    L = grid.t * grid.f
    if not 1 <= n <= L:
        raise ValueError(f"only_visible can leave 1 to {L} patches of a {grid.t} x {grid.f} grid visible, got {n}")
    return mask_from_keep(torch.rand(B, L, generator=generator).argsort(1)[:, :n], L)
