"""Weights on disk: our own checkpoints with their cards, and the safe reading of foreign files of tensors.

A checkpoint is NAME.safetensors and NAME.json, its card: architecture, front end, what it was trained on, licence,
source, sha256 and eight output numbers on a fixed chirp, which tell not only that it loads but that it works. Only
tensors and JSON are ever read; a foreign PyTorch file is opened with weights_only, so that it can bring no code.
"""

import argparse
import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib import paths
from lib.mae import MAE, Arch
from lib.mel import FrontEnd, LogMel

__all__ = ["Card", "save", "load", "described", "check_chirp", "chirp", "read", "chirp_numbers"]


@dataclass(frozen=True)
class Card:
    """What a checkpoint is, kept as NAME.json beside its weights."""

    name: str
    arch: Arch
    front: FrontEnd  # the front end belongs to the checkpoint: other specs would be another language
    trained_on: str  # data, clips and seed, in words
    licence: str
    source: str  # where it came from: the command or notebook, or the public file
    sha256: str = ""  # of the weights file
    chirp: list[float] = field(default_factory=list)  # `chirp_numbers`
    # of a classifier (lib.transfer.classifier), in the order of its outputs; a MAE has none
    labels: list[str] = field(default_factory=list)


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
                         "lib.transfer.classifier")
    model = MAE(card.arch)
    model.load_state_dict(read(weights), strict=True)
    check_chirp(chirp_numbers(model.eval(), card.front), card)
    return model, card


def described(path: str | Path) -> tuple[Card, Path]:
    """The card of a checkpoint and the path of its weights, which are the file that the card was written for."""
    card_file = paths.resolve(path).with_suffix(".json")
    weights = card_file.with_suffix(".safetensors")
    for file in (card_file, weights):
        if not file.exists():
            raise ValueError(f"{path}: {file.name} is missing; a checkpoint is two files, NAME.safetensors and its "
                             "card NAME.json")
    try:
        about = json.loads(card_file.read_text(encoding="utf-8"))
        arch = Arch(**about["arch"] | {"patch": tuple(about["arch"]["patch"])})
        card = Card(**about | {"arch": arch, "front": FrontEnd(**about["front"])})
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{card_file.name} is not a card of this library ({error!r})") from error
    if (found := paths.sha256(weights)) != card.sha256:
        raise ValueError(f"{weights.name} has sha256 {found[:12]}..., its card says {card.sha256[:12]}...: it was "
                         "changed or cut off; fetch it again")
    return card, weights


def check_chirp(got: list[float], card: Card) -> None:
    """ValueError unless a loaded model computes on the chirp what its card says."""
    if not torch.allclose(torch.tensor(got), torch.tensor(card.chirp), atol=1e-3):
        raise ValueError(f"{card.name}.safetensors loads but computes other numbers on the chirp than its card says: "
                         f"{got} instead of {card.chirp}; "
                         "the front end or the model has changed since")


def chirp(front: FrontEnd) -> Tensor:
    """The log-mel (1, 1, T, M) of a fixed rising chirp in the length of the model's window, on the CPU."""
    t = torch.arange(front.samples, dtype=torch.float64) / front.rate  # s
    top = 0.4 * front.rate / 2  # from 200 Hz up to 40 % of the band, in the length of the model's window
    wave = 0.1 * torch.sin(2 * torch.pi * (200 * t + (top - 200) / (2 * front.seconds) * t**2))
    return LogMel(front)(wave.float()[None], frames=front.frames)


def chirp_numbers(model: MAE, front: FrontEnd) -> list[float]:
    """The first eight numbers of the mean latent of the chirp: a fingerprint that can be read and compared."""
    with torch.no_grad():
        latent = model.encode(chirp(front), None)  # (1, 1+L, D)
    return [round(x, 4) for x in latent[0, 1:].mean(0)[:8].tolist()]


def read(file: str | Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors, a PyTorch file (.pth, .pt, .bin, .ckpt) or a .zip around one, from under "model"
    or "state_dict" where they lie there."""
    path = paths.resolve(file)
    if not path.is_file():
        raise ValueError(f"{file}: there is no such file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # the public MAE files keep their command line in one
        with torch.serialization.safe_globals([argparse.Namespace]):
            tensors = torch.load(_inside(path) if path.suffix == ".zip" else path, map_location="cpu",
                                 weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(f"{path.name} is no plain file of tensors and was not opened, since a pickle can run code: "
                         "ask for a .safetensors file") from None
    except (SafetensorError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path.name} cannot be read as weights, cut off or of another kind ({reason}): fetch it "
                         "again") from None
    for key in ("model", "state_dict"):
        tensors = tensors.get(key, tensors) if isinstance(tensors, Mapping) else tensors
    if not isinstance(tensors, Mapping) or not all(isinstance(v, Tensor) for v in tensors.values()) or not tensors:
        raise ValueError(f"{path.name} holds no state dict: it needs names and tensors, at the top or under 'model' "
                         "or 'state_dict'")
    return dict(tensors)


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
