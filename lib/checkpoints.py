"""Weights on disk: our own checkpoints with their cards, and the safe reading of foreign files of tensors.

A checkpoint is NAME.safetensors and NAME.json, its card: architecture, front end, what it was trained on, licence,
source, sha256 and eight output numbers on a fixed chirp, which tell not only that it loads but that it works. Only
tensors and JSON are ever read; a foreign PyTorch file is opened with weights_only, so that it can bring no code.
"""

import argparse
import io
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from reprlib import repr as short
from typing import get_args, get_origin, get_type_hints

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lib import mae, paths
from lib.mae import MAE, Arch
from lib.mel import FrontEnd, LogMel

__all__ = ["Card", "save", "load", "described", "shapes", "check_chirp", "rising", "chirp", "read", "chirp_numbers"]

KINDS = {int: "a whole number", float: "a finite number", bool: "true or false", str: "a text that can be printed",
         list[float]: "a list of numbers", list[str]: "a list of texts", tuple[int, int]: "two whole numbers"}
PREFIXES = ("module.", "model.", "_orig_mod.")  # of DistributedDataParallel, Lightning and torch.compile
COUNTS = ("num_batches_tracked", "relative_position_index")  # what public files hold in whole numbers


@dataclass(frozen=True)
class Card:
    """What a checkpoint is, kept as NAME.json beside its weights."""

    name: str
    arch: Arch | None  # None: the encoder is another's and not in the file (see `encoder`)
    front: FrontEnd | None  # belongs to the checkpoint: other specs would be another language
    trained_on: str  # data, clips and seed, in words
    licence: str
    source: str  # where it came from: the command or notebook, or the public file
    sha256: str = ""  # of the weights file
    chirp: list[float] = field(default_factory=list)  # `chirp_numbers`
    # of a classifier (lib.field.classifier), in the order of its outputs; a MAE has none, nor what follows
    labels: list[str] = field(default_factory=list)
    encoder: str = ""  # of a frozen one what its head reads (lib.field.detector), "" of a finetuned one
    encoder_key: str = ""  # of another's encoder: `reference.Frozen.key`
    calibration: list[float] = field(default_factory=list)  # slope, then offset, of each label's log odds
    thresholds: list[float] = field(default_factory=list)  # of each label's score


def save(model: MAE, card: Card, folder: str | Path, dtype: torch.dtype = torch.float32) -> Path:
    """Write NAME.safetensors and its card; returns the weights' path. bfloat16 halves the file and rounds the
    weights: the card's chirp is then that of the rounded model, which is the one that `load` gives."""
    weights = paths.resolve(folder) / f"{card.name}.safetensors"
    state = {k: v.detach().cpu().to(dtype).contiguous() for k, v in model.state_dict().items()}
    with paths.atomic(weights) as part:
        save_file(state, part)
    rounded = MAE(model.arch)
    rounded.load_state_dict(state)
    about = asdict(card) | {"sha256": paths.sha256(weights), "chirp": chirp_numbers(rounded.eval(), card.front)}
    paths.write_json(weights.with_suffix(".json"), about)
    return weights


def load(path: str | Path) -> tuple[MAE, Card]:
    """A checkpoint of ours, by the path of its weights or its card: the model in eval mode, and the card.

    Strict: every tensor must fit, the file must be the one the card was written for, and the chirp must give the
    card's numbers.
    """
    card, weights = described(path)
    if card.labels:
        raise ValueError(f"{weights.name} is a classifier of {len(card.labels)} species, not a MAE: load it with "
                         "lib.field.classifier")
    model = MAE(card.arch)
    model.load_state_dict(read(weights), strict=True)
    check_chirp(chirp_numbers(model.eval(), card.front), card)
    return model, card


def described(path: str | Path) -> tuple[Card, Path]:
    """The card of a checkpoint and the path of its weights, which are the file that the card was written for.

    ValueError is one line that names the file and what in it is wrong. Nothing is loaded: that the tensors are those of
    the card's arch is seen in their names and shapes."""
    card_file = paths.resolve(path).with_suffix(".json")
    weights = card_file.with_suffix(".safetensors")
    for file in (card_file, weights):
        if not file.is_file():
            raise ValueError(f"{path}: {file.name} is missing; a checkpoint is two files, NAME.safetensors and its "
                             "card NAME.json")
    try:
        card = _made(Card, paths.read_json(card_file), "the card")
        _check(card)
    except ValueError as error:
        raise ValueError(f"{card_file.name} is not a card of this library: {error}") from None
    if (found := paths.sha256(weights)) != card.sha256:
        raise ValueError(f"{weights.name} has sha256 {found[:12]}..., its card says {card.sha256[:12]}...: it was "
                         "changed or cut off; fetch it again")
    _compare(card, _saved(weights), weights.name)
    return card, weights


def _made(kind: type, about: object, place: str) -> object:
    """A dataclass from what a card says of it; ValueError names the first field that is missing, unknown or wrong."""
    if not isinstance(about, dict):
        raise ValueError(f"{place} is {short(about)}, it must be an object")
    needed = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    if missing := [name for name in needed if name not in about]:
        raise ValueError(f"{place} has no {missing[0]}")
    hints, values = get_type_hints(kind), {}
    if unknown := [name for name in about if name not in hints]:
        raise ValueError(f"{place} has {short(unknown[0])}, which no card has")
    for name, value in about.items():
        inner = next((one for one in (hints[name], *get_args(hints[name])) if is_dataclass(one)), None)
        if inner and (value is not None or inner is hints[name]):
            value = _made(inner, value, name)
        elif not inner and not _fits(value, hints[name]):
            raise ValueError(f"{name} of {place} is {short(value)}, it must be {KINDS[hints[name]]}")
        values[name] = tuple(value) if get_origin(hints[name]) is tuple else value
    return kind(**values)


def _fits(value: object, kind: type) -> bool:
    if many := get_origin(kind):
        inner = get_args(kind)
        return isinstance(value, list) and (many is list or len(value) == len(inner)) and all(
            _fits(x, inner[0]) for x in value)
    if kind is float:
        return type(value) in (int, float) and abs(value) < 1e15  # what is no number is never smaller
    return type(value) is kind and (kind is not str or value.isprintable())


def _check(card: Card) -> None:
    """ValueError names what does not fit together in a card."""
    if not card.name:
        raise ValueError("name of the card is empty")
    if not re.fullmatch("[0-9a-f]{64}", card.sha256):
        raise ValueError(f"sha256 of the card is {short(card.sha256)}, it must be 64 hex digits")
    if len(set(card.labels)) < len(card.labels) or not all(label.strip() for label in card.labels):
        raise ValueError("labels of the card hold one twice or an empty one")
    for name, each in (("calibration", 2), ("thresholds", 1)):
        if (count := len(getattr(card, name))) not in (0, each * len(card.labels)):
            raise ValueError(f"{name} of the card has {count} numbers, {len(card.labels)} labels need "
                             f"{each * len(card.labels)}")
    if not all(0 < threshold <= 1 for threshold in card.thresholds):
        raise ValueError("thresholds of the card are not all above 0 and at most 1")
    if (card.arch or not (card.encoder and card.encoder_key)) and None in (card.arch, card.front):
        name = "arch" if card.arch is None else "front"
        raise ValueError(f"{name} is None, it must be an object")
    if card.arch and ((card.front.mels, card.front.frames % card.arch.patch[0]) != (card.arch.mels, 0)
                      or card.front.frames > card.arch.frames):
        raise ValueError(f"front gives {card.front.frames} frames x {card.front.mels} mels, arch takes "
                         f"{card.arch.frames} x {card.arch.mels}")


def _saved(weights: Path) -> dict[str, tuple]:
    """The shapes of a safetensors file's tensors, from its header alone."""
    try:
        with safe_open(weights, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    except Exception as error:  # of a damaged file anything may come
        raise _unreadable(weights, error) from None


def shapes(make: Callable[[], nn.Module]) -> dict[str, tuple]:
    """The names and shapes of the tensors of the model that `make` makes, without the memory that they would take."""
    with torch.device("meta"):
        return {name: tuple(x.shape) for name, x in make().state_dict().items()}


def _compare(card: Card, saved: Mapping[str, tuple], name: str) -> None:
    """ValueError unless the tensors of a file are those of its card's arch, of a classifier those of its encoder."""
    arch, whole = card.arch, not card.labels
    if not whole and len(saved.get("head.weight", (0, 0))) != 2:
        raise ValueError(f"{name}: head.weight is {saved['head.weight']}, it must be (labels, width)")
    if arch is None:
        return
    encoder, L = "encoder." if whole else "", arch.grid.t * arch.grid.f
    wanted = {f"{encoder}pos_embed": (1, 1 + L, arch.dim),
              f"{encoder}patch_embed.proj.weight": (arch.dim, 1, *arch.patch),
              **({"decoder_pos_embed": (1, 1 + L, arch.decoder_dim)} if whole else {})}
    for blocks, depth in {f"{encoder}blocks.": arch.depth, **({"decoder_blocks.": arch.decoder_depth} if whole else {})
                          }.items():
        there = len({key.removeprefix(blocks).split(".")[0] for key in saved if key.startswith(blocks)})
        if there != depth:
            raise ValueError(f"{name} has {there} of {blocks}, the arch of its card a depth of {depth}")
    if wanted.items() <= saved.items():  # the card's sizes are the file's, so that its model can be made
        wanted = shapes(lambda: MAE(arch) if whole else mae.vit(arch))
        wanted = {k: shape for k, shape in wanted.items() if whole or not k.startswith("norm.")}  # some have fc_norm
    wrong = [k for k, shape in wanted.items() if saved.get(k) != shape]
    wrong += sorted(saved.keys() - wanted.keys()) if whole else []
    if wrong:
        raise ValueError(f"{name} does not fit the arch of its card: the first of {len(wrong)} tensors is {wrong[0]}, "
                         f"{saved.get(wrong[0], 'missing')} instead of {wanted.get(wrong[0], 'none')}")


def check_chirp(got: list[float], card: Card) -> None:
    """ValueError unless a loaded model computes on the chirp what its card says."""
    if len(got) != len(card.chirp) or not torch.allclose(torch.tensor(got), torch.tensor(card.chirp), atol=1e-3):
        raise ValueError(f"{card.name}.safetensors loads but computes other numbers on the chirp than its card says: "
                         f"{got} instead of {short(card.chirp)}; "
                         "the front end or the model has changed since")


def rising(rate: int, samples: int) -> Tensor:
    """A fixed chirp (1, samples): from 200 Hz up to 40 % of the band, in the length of a model's window."""
    t = torch.arange(samples, dtype=torch.float64) / rate  # s
    top = 0.4 * rate / 2
    wave = 0.1 * torch.sin(2 * torch.pi * (200 * t + (top - 200) / (2 * (samples / rate)) * t**2))
    return wave.float()[None]


def chirp(front: FrontEnd) -> Tensor:
    """The log-mel (1, 1, T, M) of the rising chirp, on the CPU."""
    return LogMel(front)(rising(front.rate, front.samples), frames=front.frames)


def chirp_numbers(model: MAE, front: FrontEnd) -> list[float]:
    """The first eight numbers of the mean latent of the chirp: a fingerprint that can be read and compared."""
    with torch.no_grad():
        latent = model.encode(chirp(front), None)  # (1, 1+L, D)
    return [round(x, 4) for x in latent[0, 1:].mean(0)[:8].tolist()]


def read(file: str | Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors, a PyTorch file (.pth, .pt, .bin, .ckpt) or a .zip around one, from under "model"
    or "state_dict" where they lie there, without the prefix that a wrapper gave all their names.

    ValueError is one line that names the file and, where a weight is NaN, infinite or a whole number, the tensor."""
    path = paths.resolve(file)
    if not path.is_file():
        raise ValueError(f"{file}: there is no such file")
    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
        else:  # the public MAE files keep their command line in a Namespace
            with torch.serialization.safe_globals([argparse.Namespace]):
                tensors = torch.load(_inside(path) if path.suffix == ".zip" else path, map_location="cpu",
                                     weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(f"{path.name} is no plain file of tensors and was not opened, since a pickle can run code: "
                         "ask for a .safetensors file") from None
    except Exception as error:  # of a damaged file anything may come
        raise _unreadable(path, error) from None
    while found := [tensors[key] for key in ("model", "state_dict") if isinstance(tensors, Mapping)
                    and isinstance(tensors.get(key), Mapping)]:
        tensors = found[0]
    return _state(tensors, path.name)


def _unreadable(path: Path, error: Exception) -> ValueError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return ValueError(f"{path.name} cannot be read as weights, cut off or of another kind ({reason}): fetch it again")


def _state(tensors: object, name: str) -> dict[str, Tensor]:
    """A state dict out of what a file of this name holds, checked."""
    if not isinstance(tensors, Mapping) or not tensors:
        raise ValueError(f"{name} holds no state dict but {short(tensors)}: it needs names and tensors, at the top or "
                         "under 'model' or 'state_dict'")
    if wrong := [key for key, x in tensors.items() if not isinstance(key, str) or not isinstance(x, Tensor)]:
        raise ValueError(f"{name} holds no state dict, since {short(wrong[0])} is {short(tensors[wrong[0]])}: it needs "
                         "names and tensors, at the top or under 'model' or 'state_dict'")
    for key, x in tensors.items():
        if reason := _no_weight(key, x):
            raise ValueError(f"{name}: {short(key)} {reason}: ask for another file of these weights")
    state, taken = dict(tensors), ""
    while prefix := next((p for p in PREFIXES if all(k.startswith(p) and k != p for k in state)), ""):
        state, taken = {key.removeprefix(prefix): x for key, x in state.items()}, taken + prefix
    if taken:
        print(f"{name}: all its names begin with {taken}, which was taken off")
    return state


def _no_weight(name: str, x: Tensor) -> str:
    """Why a tensor cannot be a weight, or nothing."""
    if x.layout is not torch.strided or x.device.type != "cpu" or x.is_quantized:
        return "is no plain tensor"
    if x.numel() * x.element_size() > x.untyped_storage().nbytes():
        return f"has a shape of {tuple(x.shape)}, for which the file has too few numbers"
    if not x.is_floating_point():
        return "" if name.endswith(COUNTS) else f"holds {x.dtype} and no weights"
    return "" if x.float().isfinite().all() else "holds NaN or infinite weights"


def _inside(path: Path) -> io.BytesIO:
    """The one PyTorch file of a release's .zip."""
    with zipfile.ZipFile(path) as archive:
        if len(names := [name for name in archive.namelist() if name.endswith((".pth", ".pt"))]) != 1:
            raise ValueError(f"{len(names)} .pth files lie in it, not one: unpack it and give the path of one")
        return io.BytesIO(archive.read(names[0]))


def __getattr__(name: str):
    if name == "convert":  # moved to lib.transfer.public; the old name stays for those who have it in their scripts
        return import_module("lib.transfer.public").convert
    raise AttributeError(f"module {__name__} has no attribute {name}")
