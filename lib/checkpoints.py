"""Weights on disk: our own checkpoints with their cards, and the public ones read into our MAE.

A checkpoint is NAME.safetensors and NAME.json, its card: architecture, front end, what it was trained on, licence, source, sha256 and
eight output numbers on a fixed chirp, which tell not only that it loads but that it works. Only tensors and JSON are ever read; a
foreign PyTorch file is opened with weights_only, so that it can bring no code.
"""

import argparse
import hashlib
import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib import paths
from lib.mae import MAE, Arch
from lib.mel import LogMel, MelSpec
from lib.patches import Grid

__all__ = ["Card", "save", "load", "read", "convert", "chirp_numbers"]

DROPPED = ("fc_norm.", "head.", "head_dist.")  # of finetuned public files: a classifier's own norm and head


@dataclass(frozen=True)
class Card:
    """What a checkpoint is, kept as NAME.json beside its weights."""

    name: str
    arch: Arch
    front: MelSpec  # the front end belongs to the checkpoint: other specs would be another language
    trained_on: str  # data, clips and seed, in words
    licence: str
    source: str  # where it came from: the command or notebook, or the public file
    sha256: str = ""  # of the weights file
    chirp: list[float] = field(default_factory=list)  # `chirp_numbers`


def save(model: MAE, card: Card, folder: str | Path) -> Path:
    """Write NAME.safetensors (bfloat16 would save half but change the numbers: float32) and its card; returns the weights' path."""
    weights = paths.resolve(folder) / f"{card.name}.safetensors"
    with paths.atomic(weights) as part:
        save_file({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}, part)
    about = asdict(card) | {"sha256": _sha256(weights), "chirp": chirp_numbers(model, card.front)}
    paths.write_json(weights.with_suffix(".json"), about)
    return weights


def load(path: str | Path) -> tuple[MAE, Card]:
    """A checkpoint of ours, by the path of its weights or its card: the model in eval mode, and the card.

    Strict: every tensor must fit, the file must be the one the card was written for, and the chirp must give the card's numbers.
    """
    card_file = paths.resolve(path).with_suffix(".json")
    weights = card_file.with_suffix(".safetensors")
    for file in (card_file, weights):
        if not file.exists():
            raise ValueError(f"{path}: {file.name} is missing; a checkpoint is two files, NAME.safetensors and its card NAME.json")
    try:
        about = json.loads(card_file.read_text(encoding="utf-8"))
        arch = Arch(**about["arch"] | {"patch": tuple(about["arch"]["patch"])})
        card = Card(**about | {"arch": arch, "front": MelSpec(**about["front"])})
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{card_file.name} is not a card of this library ({error!r})") from error
    if (found := _sha256(weights)) != card.sha256:
        raise ValueError(f"{weights.name} has sha256 {found[:12]}..., its card says {card.sha256[:12]}...: it was changed or cut off; fetch it again")
    model = MAE(card.arch)
    model.load_state_dict(read(weights), strict=True)
    got = chirp_numbers(model.eval(), card.front)
    if not torch.allclose(torch.tensor(got), torch.tensor(card.chirp), atol=1e-3):
        raise ValueError(f"{weights.name} loads but computes other numbers on the chirp than its card says: {got} instead of {card.chirp}; "
                         "the front end or the model has changed since")
    return model, card


def chirp_numbers(model: MAE, front: MelSpec) -> list[float]:
    """The first eight numbers of the mean latent of a fixed rising chirp, on the CPU: a fingerprint that can be read and compared."""
    t = torch.arange(front.samples, dtype=torch.float64) / front.rate  # s
    top = 0.4 * front.rate / 2  # from 200 Hz up to 40 % of the band, in the length of the model's window
    wave = 0.1 * torch.sin(2 * torch.pi * (200 * t + (top - 200) / (2 * front.seconds) * t**2))
    with torch.no_grad():
        latent = model.encode(LogMel(front)(wave.float()[None], frames=front.frames), None)  # (1, 1+L, D)
    return [round(x, 4) for x in latent[0, 1:].mean(0)[:8].tolist()]


def read(file: str | Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or a PyTorch file (.pth, .pt, .bin, .ckpt), from under "model" or "state_dict" where they lie there."""
    path = paths.resolve(file)
    if not path.is_file():
        raise ValueError(f"{file}: there is no such file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):  # the public MAE files keep their command line in one
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(f"{path.name} is no plain file of tensors and was not opened, since a pickle can run code: ask for a .safetensors file") from None
    except (SafetensorError, RuntimeError, EOFError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path.name} cannot be read as weights, cut off or of another kind ({reason}): fetch it again") from None
    for key in ("model", "state_dict"):
        tensors = tensors.get(key, tensors) if isinstance(tensors, Mapping) else tensors
    if not isinstance(tensors, Mapping) or not all(isinstance(v, Tensor) for v in tensors.values()) or not tensors:
        raise ValueError(f"{path.name} holds no state dict: it needs names and tensors, at the top or under 'model' or 'state_dict'")
    return dict(tensors)


def convert(state_dict: Mapping[str, Tensor], kind: str, *, grid: tuple[int, int], heads: int, decoder_heads: int | None = None) -> MAE:
    """A public checkpoint as our MAE, in eval mode; all sizes are read off the tensors, except what they do not tell.

    kind: "audiomae" (facebookresearch/AudioMAE, also its finetuned and timm-hub encoders), "birdmae" (training file or hub) or
    "msm_mae" (nttcslab/msm-mae). grid: (t, f) patches of the specs it will see; smaller in time than the saved table takes the
    table's prefix. heads cannot be read off the tensors; decoder_heads only where the decoder has windows. A file without a decoder
    gives a fresh one of the public size, and says so. MSM-MAE counts mel first: its tables, patches and pixels are turned here, and
    latents come out in our order.
    """
    if kind not in ("audiomae", "birdmae", "msm_mae"):
        raise ValueError(f'unknown checkpoint kind {kind!r}: use "audiomae", "birdmae" or "msm_mae"')
    names = {_name(k): v.float() for k, v in state_dict.items() if not k.startswith(DROPPED)}
    names = {k.replace(".tau", ".logit_scale"): v.reciprocal().log() if k.endswith("attn.tau") else v for k, v in names.items()}
    dropped = len(state_dict) - len(names)
    if missing := [k for k in ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight") if k not in names]:
        raise ValueError(f"this is no {kind} encoder: {', '.join(missing)} is missing among its {len(state_dict)} tensors")
    t, f = grid
    if kind == "msm_mae":
        names = _time_first(names, Grid(t, f))
    rows = names["pos_embed"].shape[1]
    if rows < 1 + t * f or (rows - 1) % f:
        raise ValueError(f"the saved position table has {rows - 1} patches; a {t} x {f} grid needs {t * f}, and a longer table must be a multiple of {f}")
    for table in ("pos_embed", "decoder_pos_embed"):
        if table in names:
            names[table] = names[table][:, : 1 + t * f]
    window = any(k.endswith("logit_scale") for k in names)
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
          + (" (the file has no decoder)" if bare else ""))
    return model.eval()


def _check_heads(heads: int, dim: int, name: str) -> None:
    if heads < 1 or dim % heads:
        raise ValueError(f"{name}={heads} does not divide the width {dim} of this checkpoint; ViT-B has 12")


def _name(key: str) -> str:
    """A public name in ours: Bird-MAE's encoder. and decoder. prefixes go, its decoder.blocks are decoder_blocks."""
    return key.replace("decoder.blocks", "decoder_blocks").removeprefix("decoder.").removeprefix("encoder.")


def _depth(names: Mapping[str, Tensor], blocks: str) -> int:
    return 1 + max(int(k.split(".")[1]) for k in names if k.startswith(blocks + "."))


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


def _sha256(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
