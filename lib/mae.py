"""The masked autoencoder: a stock timm ViT sees the visible patches, a small decoder guesses the hidden ones.

Four verbs make the lecture: `encode`, `decode`, `loss`, and `forward` which is the three in a row (He et al. 2022; on
sound: AudioMAE, Huang et al. 2022, and MSM-MAE, Niizumi et al. 2022). Nothing of timm is patched; two private
touches, the masked `encode` and the time-only window shift, are pinned by parity tests, as is the patch embedding.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import torch
from timm.layers import PatchEmbed
from timm.models.swin_transformer_v2_cr import SwinTransformerV2CrBlock
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from lib import patches, paths
from lib.patches import Grid, Mask

__all__ = ["Arch", "MAE", "Result", "sincos", "vit"]

Norm = partial(nn.LayerNorm, eps=1e-6)  # every norm of the public MAEs, encoder and decoder


@dataclass(frozen=True)
class Arch:
    """The shape of a MAE. The defaults are Liu et al. 2026: ViT-B/16 on 512 x 128, AudioMAE's 16 window blocks."""

    frames: int = 512  # T, the length the position table is made for; `encode` also takes shorter specs
    mels: int = 128  # M
    patch: tuple[int, int] = (16, 16)  # (pt, pf): frames x mel bins
    dim: int = 768  # D
    depth: int = 12
    heads: int = 12
    decoder: str = "window"  # "window": local attention in 4 x 4 patches, shifted in time; "plain": global attention
    decoder_dim: int = 512  # d
    decoder_depth: int = 16
    decoder_heads: int = 16
    norm_pixels: bool = True  # the target is each patch minus its mean over its std; a guess is then in those units
    floor: float = 1e-6  # added to a patch's variance there: a larger one keeps the noise of quiet patches small
    # width of the hidden layer of every block's MLP over that of the block, encoder and decoder
    mlp_ratio: float = field(default=4.0, metadata=paths.LATER)

    def __post_init__(self) -> None:
        if self.decoder not in ("window", "plain"):
            raise ValueError(f'decoder is "window" or "plain", got {self.decoder!r}')
        for name in ("frames", "mels", "dim", "depth", "heads", "decoder_dim", "decoder_depth", "decoder_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if min(self.patch) < 1:
            raise ValueError(f"patch is {self.patch}: it must be 1 or more frames and mels")
        if not (self.mlp_ratio < math.inf and min(self.dim, self.decoder_dim) * self.mlp_ratio >= 1):
            raise ValueError(f"mlp_ratio is {self.mlp_ratio}: a block's MLP must have a hidden layer of 1 or more")
        if not 0 < self.floor < math.inf:
            raise ValueError(f"floor is {self.floor}: it must be more than 0, since the variance of a patch may be 0")
        for name, dim, heads in (("dim", self.dim, self.heads), ("decoder_dim", self.decoder_dim, self.decoder_heads)):
            if dim % heads or dim % 4:
                raise ValueError(f"{name} = {dim} must be a multiple of its {heads} heads and of 4 (the position "
                                 "table has four parts)")
        _ = self.grid  # raises when the patch does not divide the spec

    @property
    def grid(self) -> Grid:
        return patches.grid_of(self.frames, self.mels, self.patch)


class Result(NamedTuple):
    loss: Tensor  # scalar
    guess: Tensor  # (B, L, pt*pf)


def sincos(dim: int, grid: Grid) -> Tensor:
    """The fixed 2-D sine-cosine position table (1, 1 + L, dim), rows time-major, row 0 (class token) zero.

    The first half of the channels encodes the mel row, the second half the time (`get_2d_sincos_pos_embed` of the
    public MAE).
    """
    omega = 1.0 / 10000 ** (torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))  # (dim/4,)
    angles = [pos.flatten()[:, None] * omega
              for pos in torch.meshgrid(torch.arange(grid.t), torch.arange(grid.f), indexing="ij")]
    time, mel = (torch.cat([a.sin(), a.cos()], 1) for a in angles)  # (L, dim/2) each
    return torch.cat([torch.zeros(1, dim), torch.cat([mel, time], 1).float()])[None]  # (1, 1+L, dim)


class WindowBlock(SwinTransformerV2CrBlock):
    """timm's window block, shifted along time only.

    AudioMAE shifts by (2, 0): a sound goes on in time, while its mel position is absolute, so windows are never
    wrapped from the highest to the lowest mel row. timm would recompute the shift to (2, 2).
    """

    def _calc_window_shift(self, target_window_size):
        window, shift = super()._calc_window_shift(target_window_size)
        return window, (shift[0], 0)


class Embed(PatchEmbed):
    """timm's patch embedding, by the matrix product that it is.

    On a CPU with AMX torch 2.11 computes the convolution in bf16 wrongly where its output is one column wide, as that
    of strips is: it reads memory that nobody wrote."""

    def forward(self, x: Tensor) -> Tensor:
        return self.project(patches.patchify(x, self.patch_size))  # (B, L, D)

    def project(self, x: Tensor) -> Tensor:
        """Patches (B, K, pt*pf), all or some -> (B, K, D)."""
        return nn.functional.linear(x, self.proj.weight.flatten(1), self.proj.bias)


def vit(arch: Arch, kind: Callable[..., VisionTransformer] = VisionTransformer, **changes) -> VisionTransformer:
    """The stock timm ViT of this shape (or another `kind` of it), without a head; `changes` are timm's own arguments,
    such as num_classes."""
    options = dict(img_size=(arch.frames, arch.mels), patch_size=arch.patch, in_chans=1, embed_dim=arch.dim,
                   depth=arch.depth, num_heads=arch.heads, mlp_ratio=_mlp(arch, arch.dim), norm_layer=Norm,
                   num_classes=0, global_pool="", embed_layer=Embed) | changes
    model = kind(**options)
    model.patch_embed.strict_img_size = False  # a shorter spec takes a prefix of the position table
    return model


def _mlp(arch: Arch, dim: int) -> float:
    """timm's mlp_ratio for a block: it takes the whole part of dim * ratio, which rounding may put below the width."""
    return (round(dim * arch.mlp_ratio) + 0.5) / dim


class MAE(nn.Module):
    """A masked autoencoder over specs (B, 1, T, M) with L = t * f patches; masks come from `patches`, None means all
    visible.

    generator: draws the initial weights; the same seed gives the same model. Weights follow the public MAE:
    xavier-uniform linear layers, tokens N(0, 0.02), fixed position tables.
    """

    def __init__(self, arch: Arch, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.arch, self.grid = arch, arch.grid
        d = arch.decoder_dim
        self.encoder = vit(arch)
        self.decoder_embed = nn.Linear(arch.dim, d)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, d))
        self.decoder_pos_embed = nn.Parameter(sincos(d, self.grid), requires_grad=False)
        if arch.decoder == "window":
            block = partial(WindowBlock, d, arch.decoder_heads, tuple(self.grid), (4, 4), mlp_ratio=_mlp(arch, d),
                            init_values=None, norm_layer=Norm)
            blocks = [block(shift_size=(2, 0) if i % 2 else (0, 0)) for i in range(arch.decoder_depth)]
        else:
            blocks = [Block(d, arch.decoder_heads, _mlp(arch, d), qkv_bias=True, norm_layer=Norm)
                      for _ in range(arch.decoder_depth)]
        self.decoder_blocks = nn.Sequential(*blocks)
        self.decoder_norm = Norm(d)
        self.decoder_pred = nn.Linear(d, arch.patch[0] * arch.patch[1])
        self._initialise(generator)

    def _initialise(self, generator: torch.Generator | None) -> None:
        self.encoder.pos_embed.requires_grad_(False).copy_(sincos(self.arch.dim, self.grid))
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                # the patch embedding is a linear layer too
                nn.init.xavier_uniform_(module.weight.flatten(1), generator=generator)
                nn.init.zeros_(module.bias)
        for token in (self.encoder.cls_token, self.mask_token):
            nn.init.normal_(token, std=0.02, generator=generator)

    def encode(self, spec: Tensor, mask: Mask | None = None) -> Tensor:
        """Encode the visible patches: specs (B, 1, T, M) -> latent (B, 1 + K, D).

        The class token comes first, then the patches in the order of mask.keep."""
        vit, (B, _, T, M) = self.encoder, spec.shape
        L = patches.grid_of(T, M, self.arch.patch).t * self.grid.f
        if M != self.arch.mels or T > self.arch.frames:
            raise ValueError(f"this MAE takes specs of {self.arch.mels} mels and at most {self.arch.frames} frames, "
                             f"got {M} mels and {T} frames: "
                             "crop the spec into windows, or use the front end of this checkpoint")
        if mask is not None and mask.hidden.shape != (B, L):
            raise ValueError(f"the mask is for {tuple(mask.hidden.shape)} (clips, patches), the specs have {(B, L)}")
        position = vit.pos_embed[:, 1 : 1 + L]  # (1, L, D)
        if mask is None:
            x = vit.patch_embed(spec) + position  # (B, L, D)
        else:  # hidden patches end here
            seen = patches.some(spec, self.arch.patch, mask.keep)  # (B, K, pt*pf)
            x = vit.patch_embed.project(seen) + position[0][mask.keep]  # (B, K, D)
        cls = (vit.cls_token + vit.pos_embed[:, :1]).expand(B, -1, -1)
        x = torch.cat([cls, x], dim=1)  # (B, 1+K, D)
        return vit.norm(vit.blocks(vit.norm_pre(x)))  # (B, 1+K, D)

    def decode(self, latent: Tensor, mask: Mask | None = None) -> Tensor:
        """Guess every patch from the visible ones: (B, 1 + K, D) -> (B, L, pt*pf), time-major."""
        x = self.decoder_embed(latent)  # (B, 1+K, d)
        cls, x = x[:, :1], x[:, 1:]
        if mask is not None:
            B, L = mask.hidden.shape
            blanks = self.mask_token.to(x.dtype).expand(B, L - x.shape[1], -1)
            x = torch.cat([x, blanks], 1)  # (B, L, d) visible first
            x = patches.rows(x, mask.restore)  # (B, L, d) in their places
        if x.shape[1] != self.grid.t * self.grid.f:
            raise ValueError(f"the decoder wants all {self.grid.t * self.grid.f} patches of the full length, got "
                             f"{x.shape[1]}")
        x, cls = x + self.decoder_pos_embed[:, 1:], cls + self.decoder_pos_embed[:, :1]
        if self.arch.decoder == "window":  # local windows have no place for a class token
            x = self.decoder_blocks(x.unflatten(1, self.grid)).flatten(1, 2)  # (B, L, d)
        else:
            x = self.decoder_blocks(torch.cat([cls, x], 1))[:, 1:]  # (B, L, d)
        return self.decoder_pred(self.decoder_norm(x))  # (B, L, pt*pf)

    def target(self, spec: Tensor, norm_pixels: bool | None = None) -> Tensor:
        """What the decoder should have guessed, (B, L, pt*pf): the patches, each by its own mean and std if
        norm_pixels."""
        return self._units(patches.patchify(spec.float(), self.arch.patch), norm_pixels)

    def _units(self, x: Tensor, norm_pixels: bool | None) -> Tensor:
        if not (self.arch.norm_pixels if norm_pixels is None else norm_pixels):
            return x
        x = x - x.mean(-1, keepdim=True)
        variance = x.square().sum(-1, keepdim=True) / (x.shape[-1] - 1)  # unbiased, as in the public code
        return x / (variance + self.arch.floor).sqrt()

    def patch_errors(self, spec: Tensor, guess: Tensor, norm_pixels: bool | None = None) -> Tensor:
        """The mean squared error of every patch, hidden or not: (B, L)."""
        return (guess.float() - self.target(spec, norm_pixels)).square().mean(-1)

    def loss(self, spec: Tensor, guess: Tensor, mask: Mask, norm_pixels: bool | None = None) -> Tensor:
        """The mean squared error over hidden patches only; norm_pixels defaults to the checkpoint's own target."""
        if mask is None or mask.keep.shape == mask.hidden.shape:
            raise ValueError("the loss is a mean over hidden patches and this mask hides none: draw a mask with a "
                             "ratio above 0")
        hidden = mask.rest  # (B, L-K)
        target = self._units(patches.some(spec.float(), self.arch.patch, hidden), norm_pixels)  # (B, L-K, pt*pf)
        return nn.functional.mse_loss(patches.rows(guess, hidden).float(), target)

    def forward(self, spec: Tensor, mask: Mask) -> Result:
        guess = self.decode(self.encode(spec, mask), mask)
        return Result(self.loss(spec, guess, mask), guess)

    @torch.no_grad()
    def picture(self, spec: Tensor, guess: Tensor, mask: Mask) -> Tensor:
        """The guess as a spec (B, 1, T, M) to look at: hidden patches guessed, visible ones pasted from the input.

        With norm_pixels the guess is in per-patch units; the picture then borrows the mean and std of each target
        patch, so that it shows the guessed shape at the true level. Visible guesses were never trained and are not
        shown.
        """
        x, guess = patches.patchify(spec.float(), self.arch.patch), guess.float()
        if self.arch.norm_pixels:
            guess = guess * (x.var(-1, keepdim=True) + self.arch.floor).sqrt() + x.mean(-1, keepdim=True)
        grid = patches.grid_of(*spec.shape[2:], self.arch.patch)
        return patches.unpatchify(torch.where(mask.hidden[..., None], guess, x), grid, self.arch.patch)
