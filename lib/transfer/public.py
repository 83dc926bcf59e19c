"""Public weights read into our MAE: AudioMAE, Bird-MAE, MSM-MAE and the ImageNet ViT, from the hub or a local file."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from huggingface_hub import try_to_load_from_cache
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from lib import mel, paths
from lib.checkpoints import Card, chirp_numbers, read, shapes
from lib.mae import MAE, Arch
from lib.mel import FrontEnd
from lib.patches import Grid
from lib.sources import download

__all__ = ["Asset", "PUBLIC", "KINDS", "load", "convert"]

Tensors = dict[str, Tensor]
DROPPED = ("fc_norm.", "head.", "head_dist.")  # of finetuned public files: a classifier's own norm and head
NEEDED = {"cls_token": 3, "pos_embed": 3, "patch_embed.proj.weight": 4, "blocks.0.attn.qkv.weight": 2,
          "blocks.0.mlp.fc1.weight": 2}  # and axes
DECODER = {"mask_token": 3, "decoder_pos_embed": 3, "decoder_blocks.0.norm1.weight": 1}  # with decoder_embed.weight
TABLES = ("pos_embed", "decoder_pos_embed")


def _mel_first(names: Tensors, grid: Grid) -> Tensors:
    """MSM-MAE counts mel first: its tables, patches and pixels are turned, and its attention gets timm's one bias."""
    (t, f), turned = grid, dict(names)
    for key in [k for k in names if k.endswith("attn.q_bias")]:
        block = key.removesuffix("q_bias")
        q, v = turned.pop(key), turned.pop(block + "v_bias", torch.empty(0))
        if q.ndim != 1 or q.shape != v.shape:
            raise ValueError(f"{key} is {tuple(q.shape)}, its v_bias {tuple(v.shape)}: they must be of one length")
        turned[block + "qkv.bias"] = torch.cat([q, torch.zeros_like(q), v])  # its keys have no bias
    for table in [k for k in TABLES if k in names]:
        x = names[table]
        if x.shape[1] != 1 + t * f:
            raise ValueError(f"the saved {table} has {x.shape[1] - 1} patches, mel first; it cannot be cut to another "
                             f"grid than its own, got {t} x {f}")
        places = x[:, 1:].unflatten(1, (f, t)).transpose(1, 2).flatten(1, 2)  # (1, L, D) time first
        turned[table] = torch.cat([x[:, :1], places], 1)
    side = names["patch_embed.proj.weight"].shape[2:]  # mel, time
    turned["patch_embed.proj.weight"] = names["patch_embed.proj.weight"].transpose(2, 3)
    for key in [k for k in ("decoder_pred.weight", "decoder_pred.bias") if k in names]:
        if names[key].shape[:1] != (side.numel(),):
            raise ValueError(f"{key} is {tuple(names[key].shape)}, for patches of {side.numel()} pixels")
        turned[key] = names[key].unflatten(0, side).transpose(0, 1).flatten(0, 1)  # pixels time first
    return turned


def _pictures(names: Tensors, grid: Grid) -> Tensors:
    """ImageNet's ViT: a spec is a grey picture, so the weights of the colours add up; a picture's rows become time."""
    patches = names["pos_embed"].shape[1] - 1
    if math.isqrt(patches) ** 2 != patches:
        raise ValueError(f"this is no imagenet encoder: its {patches} positions are those of no square picture")
    return names | {"patch_embed.proj.weight": names["patch_embed.proj.weight"].sum(1, keepdim=True),
                    "pos_embed": resample_abs_pos_embed(names["pos_embed"], list(grid))}


class Asset(NamedTuple):
    """A published file of weights: where it is, how it is read, and what must be said about it."""

    title: str
    place: str  # owner/repository on the hub, or the URL of the folder of a release
    files: tuple[str, ...]  # names to look for, the expected one first
    trained_on: str
    licence: str
    front: FrontEnd = mel.INAT  # the front end the weights were trained behind; pictures had none
    reorder: Callable[[Tensors, Grid], Tensors] | None = None  # gives our order of tensors, where it is another
    channels: int = 1  # of the pictures it takes
    norm_pixels: bool = True  # the target it was trained with
    said: str = ""  # what else is said about it, once it is loaded for a grid
    decoder_head: int = 32  # width of a head of a plain decoder: it cannot be read off the tensors

    @property
    def release(self) -> bool:
        return "://" in self.place

    @property
    def page(self) -> str:
        return self.place.replace("/download/", "/tag/") if self.release else f"https://huggingface.co/{self.place}"


SAFE, BIN = "model.safetensors", "pytorch_model.bin"
PUBLIC = {  # nothing of this is shipped: everyone fetches it under its own licence
    # the timm port of the encoder; the authors' pretrained.pth (with decoder) is on a Google Drive: give its path
    "audiomae": Asset("AudioMAE", "gaunernst/vit_base_patch16_1024_128.audiomae_as2m", (BIN, SAFE),
                      "AudioSet-2M, self-supervised", "CC BY-NC 4.0 by its LICENSE file (its README and the port say "
                      "CC BY 4.0)", mel.AUDIOMAE),
    "birdmae": Asset("Bird-MAE", "DBD-research-group/Bird-MAE-Base", (SAFE, BIN), "BirdSet, self-supervised",
                     "none declared: ask the authors before passing it on", mel.BIRDMAE),
    # of the three released models the 2 s one (80x512p16x16_paper is unfit for reconstruction); the name is a guess
    "msm_mae": Asset("MSM-MAE", "https://github.com/nttcslab/msm-mae/releases/download/v0.0.1",
                     ("80x208p16x16_0422.zip",), "AudioSet, self-supervised", "NTT: evaluation only", mel.MSM_MAE,
                     reorder=_mel_first, norm_pixels=False, decoder_head=64),
    "imagenet": Asset("ImageNet ViT-B", "timm/vit_base_patch16_224.orig_in21k_ft_in1k", (SAFE, BIN),
                      "ImageNet-21k then ImageNet-1k, supervised", "Apache-2.0", reorder=_pictures, channels=3,
                      said="; colours summed to one channel, positions resized to {}"),
}
KINDS = tuple(PUBLIC)


def load(name: str, file: str | Path = "hub", *, frames: int = 512) -> tuple[MAE, Card]:
    """Public weights as our MAE in eval mode, with a card that says where they are from and under which licence.

    name: "audiomae", "birdmae", "msm_mae" or "imagenet" (a supervised ViT, its decoder fresh). file: "hub" fetches it
    once into the cache, or the path of a file. frames: the length of the specs it will see; MSM-MAE keeps its own.
    Heads are 64 wide, at least one (ViT-B 12, ViT-L 16; ViT-H has 16 of 80). Prints what was loaded and made fresh."""
    if name not in PUBLIC:
        raise ValueError(f"there are no public weights {name!r}: use {', '.join(KINDS)}")
    if frames < 16 or frames % 16:
        raise ValueError(f"frames={frames} cannot be cut into patches of 16 frames: use a multiple of 16, such as "
                         f"{max(16, frames // 16 * 16)}")
    asset = PUBLIC[name]
    path, source = _find(asset, file)
    try:
        state = read(path)
        names, f = _names(state, name), asset.front.mels // 16
        saved, published = names["pos_embed"].shape[1] - 1, asset.front.frames // 16 * f
        if not asset.reorder and saved != published:  # AudioMAE and Bird-MAE: else alike, but their front ends are not
            raise ValueError(f"its position table has {saved} patches, that of {asset.title} {published}")
        plain = "decoder_embed.weight" in names and not _windows(names)
        t = saved // f if asset.reorder is _mel_first else frames // 16  # such a table cannot be cut
        model = convert(state, name, grid=(t, f), heads=_heads(names["cls_token"], 64),
                        decoder_heads=_heads(names["mask_token"], asset.decoder_head) if plain else None)
        if model.arch.patch != (16, 16):
            raise ValueError(f"its patches are {model.arch.patch}, those of the published file (16, 16)")
    except ValueError as error:
        right = f"its file is {asset.files[0]} from {asset.page}"
        todo = f"delete {path} to fetch it again" if file == "hub" else right
        raise ValueError(f"{path.name} does not load as {asset.title}: {error}; {todo}") from None
    front = replace(asset.front, frames=model.arch.frames)
    chirp = chirp_numbers(model, front)
    return model, Card(name, model.arch, front, asset.trained_on, asset.licence, source, paths.sha256(path), chirp)


def _heads(token: Tensor, width: int) -> int:
    """How many heads the public models of this width have."""
    dim = token.shape[-1]
    return 16 if dim == 1280 else max(1, dim // width)


def convert(state_dict: Mapping[str, Tensor], kind: str, *, grid: tuple[int, int], heads: int,
            decoder_heads: int | None = None) -> MAE:
    """A public checkpoint as our MAE, in eval mode; all sizes are read off the tensors, except what they do not tell.

    kind: "audiomae" (facebookresearch/AudioMAE, also its finetuned and timm-hub encoders), "birdmae" (training file or
    hub), "msm_mae" (nttcslab/msm-mae) or "imagenet" (timm's ViT: colours summed to one channel, positions resized
    bicubically). grid: (t, f) patches of the specs it will see; smaller in time than the saved table takes the table's
    prefix. heads cannot be read off the tensors; decoder_heads only where the decoder has windows. A file without a
    decoder gives a fresh one of the public size, and says so. Latents come out in our order, time first."""
    names, (t, f) = _names(state_dict, kind), grid
    asset, dropped = PUBLIC[kind], len(state_dict) - len(names)
    if asset.reorder:
        names = asset.reorder(names, Grid(t, f))
    rows = names["pos_embed"].shape[1]
    if rows < 1 + t * f or (rows - 1) % f:
        raise ValueError(f"the saved position table has {rows - 1} patches; a {t} x {f} grid needs {t * f}, and a "
                         f"longer table must be a multiple of {f}")
    arch, bare = _arch(names, Grid(t, f), heads, decoder_heads, asset.norm_pixels), "decoder_embed.weight" not in names
    ours = {k if k.startswith(("decoder", "mask_token")) else f"encoder.{k}": v[:, : 1 + t * f] if k in TABLES else v
            for k, v in names.items()}
    wanted, fresh = shapes(lambda: MAE(arch)), []
    if bare:
        fresh = [k for k in wanted if not k.startswith("encoder.")]
        if "encoder.norm.weight" not in ours:  # a finetuned encoder has fc_norm behind the mean instead
            fresh += ["encoder.norm.weight", "encoder.norm.bias"]
    ours = {k: v for k, v in ours.items() if k not in fresh}
    wrong = [f"{k} {tuple(v.shape)}" for k, v in ours.items() if wanted.get(k) != v.shape]
    if wrong := wrong + sorted(wanted.keys() - ours.keys() - set(fresh)):
        raise ValueError(f"{len(wrong)} tensors do not fit {kind} with {heads} heads on a {t} x {f} grid, the first is "
                         f"{wrong[0]}")
    model = MAE(arch, torch.Generator().manual_seed(0))
    model.load_state_dict(ours | {k: model.state_dict()[k] for k in fresh}, strict=True)
    whose, why = " (a classifier's)" if dropped else "", " (the file has no decoder)" if bare else ""
    print(f"{kind}: loaded {len(names)} tensors, dropped {dropped}{whose}, fresh {len(fresh)}{why}"
          + asset.said.format(f"{t} x {f}"))
    return model.eval()


def _arch(names: Tensors, grid: Grid, heads: int, decoder_heads: int | None, norm_pixels: bool) -> Arch:
    """The shape of a MAE as its tensors tell it."""
    decoder, dim = {}, names["cls_token"].shape[-1]
    pt, pf = names["patch_embed.proj.weight"].shape[2:]
    if "decoder_embed.weight" in names:
        if decoder_heads is None and not _windows(names):
            raise ValueError("a plain decoder's number of heads cannot be read off its tensors: give decoder_heads")
        decoder = dict(decoder="window" if _windows(names) else "plain", decoder_dim=names["mask_token"].shape[-1],
                       decoder_depth=_depth(names, "decoder_blocks"),
                       decoder_heads=decoder_heads or next(x for k, x in names.items()
                                                            if k.endswith("logit_scale")).numel())
    if heads < 1 or dim % heads:
        raise ValueError(f"heads={heads} does not divide the width {dim} of this checkpoint; ViT-B has 12")
    return Arch(frames=grid.t * pt, mels=grid.f * pf, patch=(pt, pf), dim=dim, depth=_depth(names, "blocks"),
                heads=heads, norm_pixels=norm_pixels, mlp_ratio=names["blocks.0.mlp.fc1.weight"].shape[0] / dim,
                **decoder)


def _depth(names: Tensors, blocks: str) -> int:
    """How many blocks there are; ValueError where one of a row is missing."""
    found = {k.split(".")[1] for k in names if k.startswith(blocks + ".")}
    if missing := [str(n) for n in range(len(found)) if str(n) not in found]:
        raise ValueError(f"there are {len(found)} of {blocks}, but none is {blocks}.{missing[0]}")
    return len(found)


def _windows(names: Tensors) -> bool:
    """Whether the decoder has window attention, which has a temperature."""
    return any(k.endswith("logit_scale") for k in names)


def _names(state_dict: Mapping[str, Tensor], kind: str) -> Tensors:
    """A public file's tensors under our names, without a classifier; an error where they are no encoder of this kind.

    Bird-MAE's prefixes encoder. and decoder. go; the temperature tau of window attention becomes timm's logit_scale."""
    if kind not in PUBLIC:
        raise ValueError(f"unknown checkpoint kind {kind!r}: use {', '.join(KINDS)}")
    names = {}
    for key, x in state_dict.items():
        if not key.startswith(DROPPED):
            key = key.replace("decoder.blocks", "decoder_blocks").removeprefix("decoder.").removeprefix("encoder.")
            x = x.float().reciprocal().log() if key.endswith("attn.tau") else x.float()
            names[key.replace(".tau", ".logit_scale")] = x
    needed = NEEDED | (DECODER if "decoder_embed.weight" in names else {})
    if missing := [k for k in needed if k not in names]:
        raise ValueError(f"this is no {kind} encoder: {', '.join(missing)} is missing among its {len(state_dict)} "
                         "tensors")
    if wrong := [k for k, axes in (needed | {"decoder_pos_embed": 3}).items() if k in names and names[k].ndim != axes]:
        raise ValueError(f"this is no {kind} encoder: {wrong[0]} is of shape {tuple(names[wrong[0]].shape)}")
    got, wanted = names["patch_embed.proj.weight"].shape[1], PUBLIC[kind].channels
    if got != wanted:
        raise ValueError(f"this is no {kind} encoder: it takes pictures of {got} channels instead of {wanted}")
    return names


def _find(asset: Asset, file: str | Path) -> tuple[Path, str]:
    """The path of an asset and its source: a file of the user's, our cache, the hub's own cache, or the network."""
    if file != "hub":
        return paths.resolve(file), Path(file).name
    folder, here = paths.cache("weights", asset.place.split("://")[-1].replace("/", "--")), []  # / revision / file
    for name in asset.files:
        here += [*sorted(folder.glob(f"*/{name}")), *sorted(folder.glob(f"*/snapshots/*/{name}"))]
        stored = None if asset.release else try_to_load_from_cache(asset.place, name)
        if isinstance(stored, str):  # None or a mark where it is not stored
            here.append(Path(stored))
    path = here[0] if here else _fetch(asset, folder)
    return path, f"{asset.place}/{path.name}" if asset.release else f"{asset.place}@{path.parent.name}"


def _fetch(asset: Asset, folder: Path) -> Path:
    """Fetch a public asset into the folder; where that fails, one error that says how to do without."""
    try:
        if asset.release:
            return download.url(f"{asset.place}/{asset.files[0]}", folder / "release" / asset.files[0])
        return download.hub(asset.place, asset.files, folder)
    except download.FAILURES as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{asset.title} could not be fetched from {'GitHub' if asset.release else 'the hub'} "
                         f"({type(error).__name__}: {reason}): check the connection, or download {asset.files[0]} from "
                         f"{asset.page} yourself and give its path") from None
