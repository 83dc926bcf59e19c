"""A species classifier that is kept: saved with its card, loaded on another machine, asked about files of any length.

    python -m lib.field.classifier MODEL.safetensors FOLDER out=DIR [threshold=0.5]

writes windows, files and selections as CSV, and the selections as Audacity and Raven files, recording by recording:
stopped at any moment, the same command goes on. Without threshold= each species has the one of its card. A folder's
sounds are looked for in its subfolders too. A relative path starts at the repository, wherever the command is called.

It is a finetuned ViT, or a detector on a frozen encoder (lib.field.detector). Of our own encoders the file holds the
weights, of another's nothing: the card names it."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from lib import audio, checkpoints, hardware, mae, paths, progress
from lib.checkpoints import Card
from lib.field import answers, calibration, detector, windows
from lib.field.answers import Answers, Heard, write
from lib.field.detector import Detector
from lib.mel import LogMel
from lib.sources import listing, selections
from lib.transfer import readouts

__all__ = ["Classifier", "Answers", "save", "load", "sounds", "hear", "predict", "write", "answer"]


class Classifier(NamedTuple):
    model: VisionTransformer | Detector
    card: Card  # its labels are in the order of the model's outputs

    @property
    def window(self) -> tuple[int, int, int, int]:
        """Hz, samples of a window, samples from one to the next, and the grid on which the last one lies."""
        front, encoder = self.card.front, getattr(self.model, "encoder", None)
        if encoder and not self.model.vit:  # as `reference.features` cuts them
            return encoder.rate, encoder.samples, encoder.samples // 2, 1
        return front.rate, front.samples, front.frames // 2 * front.hop, front.hop

    def scores(self, odds: Tensor) -> np.ndarray:
        """Of the model's outputs (B, C) each label's score: calibrated log odds, or the softmax of a card without."""
        odds, numbers = odds.double().cpu(), self.card.calibration
        if not self.card.encoder:
            p = odds.softmax(-1)
            odds = p.log() - (-p).log1p()  # of each label against all others
            if not numbers:
                return p.numpy()
        slope, offset = np.reshape(numbers, (2, -1)) if numbers else (1.0, 0.0)
        return calibration.scores(odds.numpy(), slope, offset)


def save(model: VisionTransformer | Detector, card: Card, folder: str | Path) -> Path:
    """Write NAME.safetensors and NAME.json, with sha256 and chirp (eight outputs) filled in; returns the weights' path.

    The labels must be as many as the model's outputs. Low-rank updates (LoRA) are no part of a plain ViT: refused."""
    weights = paths.resolve(folder) / f"{card.name}.safetensors"
    state = {k.removeprefix("vit."): v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    plain = _build(card, state, f"the model of {card.name}")
    with paths.atomic(weights) as temporary:
        save_file(state, temporary)
    about = replace(card, sha256=paths.sha256(weights), chirp=_chirp(plain, card))
    paths.write_json(weights.with_suffix(".json"), asdict(about))
    return weights


def load(path: str | Path) -> Classifier:
    """A classifier by the path of its weights or card, in eval mode; ValueError where it was changed or is a MAE."""
    card, weights = checkpoints.described(path)
    if not card.labels:
        raise ValueError(f"{weights.name} is a MAE and names no species: train a classifier from it (notebook 12), or "
                         "give the path of one")
    model = _build(card, checkpoints.read(weights), weights.name)
    checkpoints.check_chirp(_chirp(model, card), card)
    return Classifier(model, card)


def _build(card: Card, state: dict[str, Tensor], name: str) -> VisionTransformer | Detector:
    outputs, labels = len(state.get("head.weight", [])), len(card.labels)
    if outputs != labels:
        raise ValueError(f"{name} has {outputs} outputs, its card {labels} labels: they must be of the same training")
    readout = "" if card.encoder else readouts.named(state, card.arch)
    if card.encoder:
        model = detector.empty(card)
        state = {k if k in detector.HEAD else f"vit.{k}": x for k, x in state.items()}
    elif readout == "fc_norm" and "norm.weight" in state:  # a frozen encoder's norm stands before its mean
        model = mae.vit(card.arch, num_classes=labels, global_pool="avg", fc_norm=False)
    else:
        model = readouts.classifier(card.arch, readout, labels)
    ours, theirs = ({key: x.shape for key, x in tensors.items()} for tensors in (model.state_dict(), state))
    if wrong := sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)):
        raise ValueError(f"{name} does not fit its card (LoRA's updates must be merged first); the first of "
                         f"{len(wrong)} tensors that do not fit is {wrong[0]}")
    model.load_state_dict(state)
    return model.eval()


@torch.no_grad()
def _chirp(model: VisionTransformer | Detector, card: Card) -> list[float]:
    said = (model(checkpoints.rising(model.encoder.rate, model.encoder.samples)) if isinstance(model, Detector)
            else model(checkpoints.chirp(card.front)))
    return [round(x, 4) for x in said[0, :8].tolist()]


def sounds(place: str | Path) -> tuple[Path, list[str]]:
    """The sounds of a folder, or one sound file: (folder, names relative to it)."""
    root = paths.resolve(place)
    if not str(place).strip() or not root.exists():
        raise ValueError(f"{place}: there is no such folder or sound file")
    folder, files = (root, listing.found(root)) if root.is_dir() else (root.parent, [root])
    if not files:
        raise ValueError(f"{place}: no sounds in this folder or below it; looked for {', '.join(sorted(audio.SOUNDS))}")
    return folder, [str(file.relative_to(folder)) for file in files]


def predict(classifier: Classifier, place: str | Path, files: Sequence[str] | None = None, *,
            bar: str | None = "predicting") -> Answers:
    """Every window of every sound of a folder (or of those `files` of it), and each file as its windows' mean.

    Any rate and number of channels; in memory are some seconds of a file at a time, and all answers. What cannot be
    read or holds digital silence only is named in `skipped`; silent windows are left out too."""
    folder, names = sounds(place) if files is None else (paths.resolve(place), list(files))
    heard = list(hear(classifier, folder, names, bar=bar))
    used, skipped = [one for one in heard if not one.skipped], [one.skipped for one in heard if one.skipped]
    if not used:
        raise ValueError(f"none of {len(names)} files can be used, the first: {skipped[0]}" if skipped
                         else "there are no files to predict")
    each, rows = (pd.concat(tables, ignore_index=True) for tables in zip(*((one.windows, one.file) for one in used)))
    return Answers(each, rows, skipped, np.concatenate([one.scores for one in used]))


@torch.no_grad()
def hear(classifier: Classifier, folder: Path, names: Sequence[str], *, done: int = 0,
         bar: str | None = "predicting") -> Iterator[Heard]:
    """What the classifier says about each of these files of a folder, one after the other, as `predict` describes it.

    Whatever is wrong with a file is a reason to skip it; a model that fails is an error. done: files before these."""
    labels, (rate, samples, *_) = np.array(classifier.card.labels), classifier.window
    ask = _asker(classifier)
    for name in progress.bar(names, total=done + len(names), initial=done, desc=bar, unit="file", leave=False):
        said = []
        try:
            for about, start, waves in windows.loud(folder / name, *classifier.window):
                said.append((start, ask(waves)))
        except audio.AudioError as error:
            yield answers.skip(windows.reason(error, folder, name))
            continue
        start, p = (np.concatenate(x) for x in zip(*said))  # (W,) samples, (W, C)
        end = np.minimum((start + samples) / rate, about.duration_s)
        each = {"file": name, "start_s": start / rate, "end_s": end, **_best(p, labels)}
        file = {"file": name, "duration_s": about.duration_s, "rate": about.rate, "windows": len(p)}
        yield Heard(pd.DataFrame(each), pd.DataFrame(file | _best(p.mean(0)[None], labels)), p)


def _asker(classifier: Classifier) -> Callable[[Tensor], np.ndarray]:
    """A function from waves (B, N) to scores (B, C)."""
    device, front = hardware.accelerator().device, classifier.card.front
    model = classifier.model.to(device).eval()
    if isinstance(model, Detector):
        return lambda waves: classifier.scores(model(waves))
    log_mel = LogMel(front).to(device)

    def ask(waves: Tensor) -> np.ndarray:
        with hardware.accelerator().autocast():
            return classifier.scores(model(log_mel(waves.to(device), frames=front.frames)).float())

    return ask


def _best(p: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The two highest of scores (N, C), C >= 2, as the columns of a table."""
    first, second = np.argsort(-p, axis=1, kind="stable")[:, :2].T
    row = np.arange(len(p))
    return {"label": labels[first], "score": p[row, first], "second": labels[second], "second_score": p[row, second]}


def answer(model: str, folder: str, *, out: str = "", threshold: str = "") -> None:
    """The command line, see the top of this file. Each recording's answers are written before the next is heard."""
    score = selections.checked(threshold) if threshold else None
    if not out:
        raise ValueError("got no out=DIR: it is called as MODEL FOLDER out=DIR")
    card, _ = checkpoints.described(model)
    root, names = sounds(folder)
    with answers.opened(out, card, paths.resolve(folder), score, names) as book:
        left = [name for name in names if name not in book.done]
        for name, heard in zip(left, hear(load(model), root, left, done=len(names) - len(left)) if left else ()):
            book.add(name, heard)
        print(book.summary(), *book.skipped(), sep="\n  ")


if __name__ == "__main__":
    sys.exit(paths.command(answer, sys.argv[1:], __doc__))
