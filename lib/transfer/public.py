"""Public weights read into our MAE: AudioMAE, Bird-MAE, MSM-MAE and the ImageNet ViT, from the hub or from a local file."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from lib import mel, paths
from lib.checkpoints import Card, chirp_numbers, read
from lib.mae import MAE, Arch
from lib.mel import FrontEnd
from lib.patches import Grid
from lib.sources import download

__all__ = ["Asset", "PUBLIC", "KINDS", "load", "mobilenet", "convert"]


class Asset(NamedTuple):
    """A published file of weights: where it is and what must be said about it."""

    title: str
    place: str  # owner/repository on the hub, or the URL of the folder of a release
    files: tuple[str, ...]  # names to look for, the expected one first
    trained_on: str
    licence: str
    front: FrontEnd = mel.INAT  # the front end the weights were trained behind; pictures had none
    decoder_head: int = 32  # width of a head of a plain decoder: it cannot be read off the tensors

    @property
    def release(self) -> bool:
        return "://" in self.place

    @property
    def page(self) -> str:
        return self.place.replace("/download/", "/tag/") if self.release else f"https://huggingface.co/{self.place}"


PUBLIC = {  # nothing of this is shipped: everyone fetches it under its own licence
    "audiomae": Asset(  # the timm port of AudioMAE's encoder; the authors' pretrained.pth (with decoder) is on a Google Drive: give its path
        "AudioMAE", "gaunernst/vit_base_patch16_1024_128.audiomae_as2m", ("pytorch_model.bin", "model.safetensors"), "AudioSet-2M, self-supervised",
        "CC BY-NC 4.0 by its LICENSE file (its README and the port say CC BY 4.0)", mel.AUDIOMAE),
    "birdmae": Asset("Bird-MAE", "DBD-research-group/Bird-MAE-Base", ("model.safetensors", "pytorch_model.bin"), "BirdSet, self-supervised",
                     "none declared: ask the authors before passing it on", mel.BIRDMAE),
    "msm_mae": Asset(  # of the three released models the 2 s one (80x512p16x16_paper is unfit for reconstruction); the archive's name is a guess
        "MSM-MAE", "https://github.com/nttcslab/msm-mae/releases/download/v0.0.1", ("80x208p16x16_0422.zip",), "AudioSet, self-supervised",
        "NTT: evaluation only", mel.MSM_MAE, decoder_head=64),
    "imagenet": Asset("ImageNet ViT-B", "timm/vit_base_patch16_224.orig_in21k_ft_in1k", ("model.safetensors", "pytorch_model.bin"),
                      "ImageNet-21k then ImageNet-1k, supervised", "Apache-2.0"),
    "mobilenet": Asset("ImageNet MobileNetV3-Large", "timm/mobilenetv3_large_100.ra_in1k", ("model.safetensors", "pytorch_model.bin"),
                       "ImageNet-1k, supervised", "Apache-2.0"),
}
KINDS = ("audiomae", "birdmae", "msm_mae", "imagenet")  # those of them that become a MAE
DROPPED = ("fc_norm.", "head.", "head_dist.")  # of finetuned public files: a classifier's own norm and head


def load(name: str, file: str | Path = "hub", *, frames: int = 512) -> tuple[MAE, Card]:
    """Public weights as our MAE in eval mode, with a card that says where they are from and under which licence.

    name: "audiomae", "birdmae", "msm_mae" or "imagenet" (a supervised ViT, its decoder fresh). file: "hub" fetches it once into
    the cache, or the path of a file. frames: the length of the specs it will see; MSM-MAE keeps its own. Heads are 64 wide, at
    least one (ViT-B 12, ViT-L 16; ViT-H has 16 of 80). Prints one line: what was loaded, dropped and made fresh.
    """
    if name not in KINDS:
        raise ValueError(f"there are no public weights {name!r}: use {', '.join(KINDS)}")
    if frames < 16 or frames % 16:
        raise ValueError(f"frames={frames} cannot be cut into patches of 16 frames: use a multiple of 16, such as {max(16, frames // 16 * 16)}")
    asset = PUBLIC[name]
    path, source = _find(asset, file)
    try:
        state = read(path)
        names, f = _names(state, name), asset.front.mels // 16
        rows, table = names["pos_embed"].shape[1] - 1, asset.front.frames // 16 * f
        if name in ("audiomae", "birdmae") and rows != table:  # else the two are alike, but their front ends are not
            raise ValueError(f"its position table has {rows} patches, that of {asset.title} {table}")
        decoder_heads = _heads(names["mask_token"], asset.decoder_head) if "decoder_embed.weight" in names and not _windows(names) else None
        model = convert(state, name, grid=(rows // f if name == "msm_mae" else frames // 16, f), heads=_heads(names["cls_token"], 64),
                        decoder_heads=decoder_heads)
        if model.arch.patch != (16, 16):
            raise ValueError(f"its patches are {model.arch.patch}, those of the published file (16, 16)")
    except ValueError as error:
        raise _refused(asset, file, path, error) from None
    front = replace(asset.front, frames=model.arch.frames)
    return model, Card(name, model.arch, front, asset.trained_on, asset.licence, source, paths.sha256(path), chirp_numbers(model, front))


def mobilenet(classes: int, file: str | Path = "", *, seed: int = 0, size: str = "large_100") -> nn.Module:
    """timm's MobileNetV3 (Howard et al. 2019) for specs (B, 1, T, M) -> logits (B, C), in train mode; public weights are for large_100.

    file: "" from scratch, "hub" or a path for ImageNet weights, whose three colour channels are summed to one and whose classifier
    is left out. seed draws the weights that are not loaded.
    """
    with torch.random.fork_rng(devices=[]):  # timm draws from the global generator
        torch.manual_seed(seed)
        model = timm.create_model(f"mobilenetv3_{size}", in_chans=1, num_classes=classes)
    if not file:
        return model
    asset, stem = PUBLIC["mobilenet"], "conv_stem.weight"
    path, _ = _find(asset, file)
    try:
        found = read(path)
        state = {k: v for k, v in found.items() if not k.startswith("classifier.")}
        if stem in state:
            state[stem] = state[stem].sum(1, keepdim=True)
        wanted = {k: v for k, v in model.state_dict().items() if not k.startswith("classifier.")}
        if wrong := [k for k in wanted if k not in state and not k.endswith("num_batches_tracked")] + [
                k for k, v in state.items() if k not in wanted or wanted[k].shape != v.shape]:
            raise ValueError(f"{len(wrong)} tensors do not fit, the first is {wrong[0]}")
    except ValueError as error:
        raise _refused(asset, file, path, error) from None
    model.load_state_dict(state, strict=False)
    print(f"mobilenet: loaded {len(state)} tensors, dropped {len(found) - len(state)}, fresh 2 (the classifier); colours summed to one channel")
    return model


def _refused(asset: Asset, file: str | Path, path: Path, error: ValueError) -> ValueError:
    todo = f"delete {path} to fetch it again" if file == "hub" else f"its file is {asset.files[0]} from {asset.page}"
    return ValueError(f"{path.name} does not load as {asset.title}: {error}; {todo}")


def _find(asset: Asset, file: str | Path) -> tuple[Path, str]:
    """The path of an asset and its source: a file of the user's, our cache, the hub's own cache, or else over the network."""
    if file != "hub":
        return paths.resolve(file), Path(file).name
    folder, known = paths.cache("weights", asset.place.split("://")[-1].replace("/", "--")), []  # / revision / file
    for name in asset.files:
        known += sorted(folder.glob(f"*/{name}")) + sorted(folder.glob(f"*/snapshots/*/{name}"))
        if not asset.release and isinstance(cached := try_to_load_from_cache(asset.place, name), str):
            known.append(Path(cached))
    path = known[0] if known else _fetch(asset, folder)
    return path, f"{asset.place}/{path.name}" if asset.release else f"{asset.place}@{path.parent.name}"


def _fetch(asset: Asset, folder: Path) -> Path:
    """Fetch a public asset into the folder; where that fails, one error that says how to do without."""
    try:
        if asset.release:
            return download.url(f"{asset.place}/{asset.files[0]}", folder / "release" / asset.files[0])
        return download.hub(asset.place, asset.files, folder)
    except download.FAILURES as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{asset.title} could not be fetched from {'GitHub' if asset.release else 'the hub'} ({type(error).__name__}: {reason}): "
                         f"check the connection, or download {asset.files[0]} from {asset.page} yourself and give its path") from None


def convert(state_dict: Mapping[str, Tensor], kind: str, *, grid: tuple[int, int], heads: int, decoder_heads: int | None = None) -> MAE:
    """A public checkpoint as our MAE, in eval mode; all sizes are read off the tensors, except what they do not tell.

    kind: "audiomae" (facebookresearch/AudioMAE, also its finetuned and timm-hub encoders), "birdmae" (training file or hub),
    "msm_mae" (nttcslab/msm-mae) or "imagenet" (timm's ViT: colours summed to one channel, positions resized bicubically). grid:
    (t, f) patches of the specs it will see; smaller in time than the saved table takes the table's prefix. heads cannot be read
    off the tensors; decoder_heads only where the decoder has windows. A file without a decoder gives a fresh one of the public
    size, and says so. MSM-MAE counts mel first: its tables, patches and pixels are turned here, and latents come out in our order.
    """
    names, (t, f) = _names(state_dict, kind), grid
    dropped = len(state_dict) - len(names)
    if kind == "msm_mae":
        names = _time_first(names, Grid(t, f))
    if kind == "imagenet":
        names = _from_pictures(names, Grid(t, f))
    rows = names["pos_embed"].shape[1]
    if rows < 1 + t * f or (rows - 1) % f:
        raise ValueError(f"the saved position table has {rows - 1} patches; a {t} x {f} grid needs {t * f}, and a longer table must be a multiple of {f}")
    for table in ("pos_embed", "decoder_pos_embed"):
        if table in names:
            names[table] = names[table][:, : 1 + t * f]
    window = _windows(names)
    bare = "decoder_embed.weight" not in names
    if window and decoder_heads is None:
        decoder_heads = names["decoder_blocks.0.attn.logit_scale"].numel()
    if decoder_heads is None and not bare:
        raise ValueError("a plain decoder's number of heads cannot be read off its tensors: give decoder_heads")
    pt, pf = names["patch_embed.proj.weight"].shape[2:]
    size = {} if bare else dict(decoder="window" if window else "plain", decoder_dim=names["mask_token"].shape[-1],
                                decoder_depth=_depth(names, "decoder_blocks"), decoder_heads=decoder_heads)
    _check_heads(heads, names["cls_token"].shape[-1], "heads")
    model = MAE(Arch(frames=t * pt, mels=f * pf, patch=(pt, pf), dim=names["cls_token"].shape[-1], depth=_depth(names, "blocks"), heads=heads,
                     norm_pixels=kind != "msm_mae", **size), torch.Generator().manual_seed(0))
    ours = {k if k.startswith(("decoder", "mask_token")) else f"encoder.{k}": v for k, v in names.items()}
    wanted = model.state_dict()
    if bare:
        ours |= {k: v for k, v in wanted.items() if not k.startswith("encoder.")}
        if "encoder.norm.weight" not in ours:  # a finetuned encoder has fc_norm behind the mean instead
            ours |= {k: wanted[k] for k in ("encoder.norm.weight", "encoder.norm.bias")}
    if wrong := [f"{k} {tuple(v.shape)}" for k, v in ours.items() if k not in wanted or wanted[k].shape != v.shape] + sorted(set(wanted) - set(ours)):
        raise ValueError(f"{len(wrong)} tensors do not fit {kind} with {heads} heads on a {t} x {f} grid, the first is {wrong[0]}")
    model.load_state_dict(ours, strict=True)
    fresh = len(ours) - len(names)
    print(f"{kind}: loaded {len(names)} tensors, dropped {dropped}" + (" (a classifier's)" if dropped else "") + f", fresh {fresh}"
          + (" (the file has no decoder)" if bare else "")
          + (f"; colours summed to one channel, positions resized to {t} x {f}" if kind == "imagenet" else ""))
    return model.eval()


def _check_heads(heads: int, dim: int, name: str) -> None:
    if heads < 1 or dim % heads:
        raise ValueError(f"{name}={heads} does not divide the width {dim} of this checkpoint; ViT-B has 12")


def _names(state_dict: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """A public file's tensors under our names, without a classifier; an error where they are no encoder of this kind."""
    if kind not in KINDS:
        raise ValueError(f"unknown checkpoint kind {kind!r}: use {', '.join(KINDS)}")
    names = {_name(k): v.float() for k, v in state_dict.items() if not k.startswith(DROPPED)}
    names = {k.replace(".tau", ".logit_scale"): v.reciprocal().log() if k.endswith("attn.tau") else v for k, v in names.items()}
    if missing := [k for k in ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight") if k not in names]:
        raise ValueError(f"this is no {kind} encoder: {', '.join(missing)} is missing among its {len(state_dict)} tensors")
    wanted, got = 3 if kind == "imagenet" else 1, names["patch_embed.proj.weight"].shape[1]
    if got != wanted:
        raise ValueError(f"this is no {kind} encoder: it takes pictures of {got} channels instead of {wanted}")
    return names


def _heads(token: Tensor, width: int) -> int:
    """How many heads the public models of this width have."""
    dim = token.shape[-1]
    return 16 if dim == 1280 else max(1, dim // width)


def _windows(names: Mapping[str, Tensor]) -> bool:
    """Whether the decoder has window attention, which has a temperature."""
    return any(k.endswith("logit_scale") for k in names)


def _name(key: str) -> str:
    """A public name in ours: Bird-MAE's encoder. and decoder. prefixes go, its decoder.blocks are decoder_blocks."""
    return key.replace("decoder.blocks", "decoder_blocks").removeprefix("decoder.").removeprefix("encoder.")


def _depth(names: Mapping[str, Tensor], blocks: str) -> int:
    return 1 + max(int(k.split(".")[1]) for k in names if k.startswith(blocks + "."))


def _from_pictures(names: dict[str, Tensor], grid: Grid) -> dict[str, Tensor]:
    """An ImageNet ViT for specs: a spec is a grey picture, so the colours' weights add up; rows of the picture become time."""
    patches = names["pos_embed"].shape[1] - 1
    if math.isqrt(patches) ** 2 != patches:
        raise ValueError(f"this is no imagenet encoder: its {patches} positions are those of no square picture")
    return names | {"patch_embed.proj.weight": names["patch_embed.proj.weight"].sum(1, keepdim=True),
                    "pos_embed": resample_abs_pos_embed(names["pos_embed"], list(grid))}


def _time_first(names: dict[str, Tensor], grid: Grid) -> dict[str, Tensor]:
    """MSM-MAE's mel-major tensors in our time-major order, and its attention biases (no key bias) in timm's one vector."""
    names, (t, f) = dict(names), grid
    for key in [k for k in names if k.endswith("attn.q_bias")]:
        block = key.removesuffix("q_bias")
        q, v = names.pop(key), names.pop(block + "v_bias")
        names[block + "qkv.bias"] = torch.cat([q, torch.zeros_like(q), v])
    for table in ("pos_embed", "decoder_pos_embed"):
        if table in names:
            x = names[table]
            if x.shape[1] != 1 + t * f:
                raise ValueError(f"the saved {table} has {x.shape[1] - 1} patches, mel first; it cannot be cut to another grid than its own, got {t} x {f}")
            places = x[:, 1:].unflatten(1, (f, t)).transpose(1, 2).flatten(1, 2)  # (1, L, D) time first
            names[table] = torch.cat([x[:, :1], places], 1)
    ph, pw = names["patch_embed.proj.weight"].shape[2:]  # mel, time
    names["patch_embed.proj.weight"] = names["patch_embed.proj.weight"].transpose(2, 3)
    for key in ("decoder_pred.weight", "decoder_pred.bias"):
        if key in names:
            names[key] = names[key].unflatten(0, (ph, pw)).transpose(0, 1).flatten(0, 1)  # pixels time first
    return names
