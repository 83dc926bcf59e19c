"""A species classifier that is kept: saved with its card, loaded on another machine, asked about files of any length.

    python -m lib.field.classifier MODEL.safetensors FOLDER out=DIR threshold=0.5

writes windows, files and selections as CSV, and the selections as Audacity and Raven files, recording by recording:
stopped at any moment, the same command goes on. A folder's sounds are looked for in its subfolders too. A relative path
starts at the repository, wherever the command is called."""

import sys
from collections.abc import Iterator, Sequence
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
from lib.field import answers
from lib.field.answers import Answers, Heard, write
from lib.mae import MAE
from lib.mel import FrontEnd, LogMel
from lib.sources import listing, selections
from lib.transfer import probe, readouts

__all__ = ["Classifier", "Answers", "frozen", "save", "load", "sounds", "stretches", "hear", "predict", "write",
           "answer"]

PIECE = 96  # seconds decoded at a time: about 64 windows of 3 s, half overlapping


class Classifier(NamedTuple):
    model: VisionTransformer
    card: Card  # its labels are in the order of the model's outputs


def frozen(encoder: MAE, readout: probe.Rung, labels: list[str]) -> VisionTransformer:
    """A MAE's encoder as it is, and above the mean of its patches the regression of `probe.logistic` as a linear head.

    Its standardisation goes into the head's weights. Padding is averaged too, which `probe` leaves out."""
    scaler, regression = (step for _, step in readout.model.steps)
    weight, bias = regression.coef_ / scaler.scale_, regression.intercept_  # (C, D), (C,)
    bias = bias - weight @ scaler.mean_
    if len(weight) == 1:  # of two classes scikit-learn keeps one row
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    model = mae.vit(encoder.arch, num_classes=len(labels), global_pool="avg", fc_norm=False)
    head = {"head.weight": torch.from_numpy(weight).float(), "head.bias": torch.from_numpy(bias).float()}
    model.load_state_dict({k: v.cpu() for k, v in encoder.encoder.state_dict().items()} | head)
    return model.eval()


def save(model: VisionTransformer, card: Card, folder: str | Path) -> Path:
    """Write NAME.safetensors and NAME.json, with sha256 and chirp (eight logits) filled in; returns the weights' path.

    The labels must be as many as the model's outputs. Low-rank updates (LoRA) are no part of a plain ViT: refused."""
    weights = paths.resolve(folder) / f"{card.name}.safetensors"
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    plain = _build(card, state, f"the model of {card.name}")
    with paths.atomic(weights) as temporary:
        save_file(state, temporary)
    about = replace(card, sha256=paths.sha256(weights), chirp=_chirp(plain, card.front))
    paths.write_json(weights.with_suffix(".json"), asdict(about))
    return weights


def load(path: str | Path) -> Classifier:
    """A classifier by the path of its weights or card, in eval mode; ValueError where it was changed or is a MAE."""
    card, weights = checkpoints.described(path)
    if not card.labels:
        raise ValueError(f"{weights.name} is a MAE and names no species: train a classifier from it (notebook 12), or "
                         "give the path of one")
    model = _build(card, checkpoints.read(weights), weights.name)
    checkpoints.check_chirp(_chirp(model, card.front), card)
    return Classifier(model, card)


def _build(card: Card, state: dict[str, Tensor], name: str) -> VisionTransformer:
    outputs, labels = len(state.get("head.weight", [])), len(card.labels)
    if outputs != labels:
        raise ValueError(f"{name} has {outputs} outputs, its card {labels} labels: they must be of the same training")
    readout = readouts.named(state, card.arch)
    if readout == "fc_norm" and "norm.weight" in state:  # a frozen encoder's norm stands before its mean
        model = mae.vit(card.arch, num_classes=labels, global_pool="avg", fc_norm=False)
    else:
        model = readouts.classifier(card.arch, readout, labels)
    ours, theirs = ({key: x.shape for key, x in tensors.items()} for tensors in (model.state_dict(), state))
    if wrong := sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)):
        raise ValueError(f"{name} is no plain ViT with a head (LoRA's updates must be merged first); the first of "
                         f"{len(wrong)} tensors that do not fit is {wrong[0]}")
    model.load_state_dict(state)
    return model.eval()


@torch.no_grad()
def _chirp(model: VisionTransformer, front: FrontEnd) -> list[float]:
    return [round(x, 4) for x in model(checkpoints.chirp(front))[0, :8].tolist()]


def sounds(place: str | Path) -> tuple[Path, list[str]]:
    """The sounds of a folder, or one sound file: (folder, names relative to it)."""
    root = paths.resolve(place)
    if not str(place).strip() or not root.exists():
        raise ValueError(f"{place}: there is no such folder or sound file")
    folder, files = (root, listing.found(root)) if root.is_dir() else (root.parent, [root])
    if not files:
        raise ValueError(f"{place}: no sounds in this folder or below it; looked for {', '.join(sorted(audio.SOUNDS))}")
    return folder, [str(file.relative_to(folder)) for file in files]


def stretches(file: str | Path, front: FrontEnd) -> Iterator[tuple[np.ndarray, Tensor]]:
    """The windows of a file of any length, some at a time: first samples (W,) and waves (W, N) at the front end's rate.

    They lie where those of `data.Windows` do, half overlapping. A file shorter than a window gives one short wave."""
    need, step = front.samples, front.frames // 2 * front.hop
    wave, first, done = torch.zeros(0), 0, 0  # samples at hand, the place of the first of them, and windows given
    for piece in audio.stream(file, front.rate, PIECE):
        wave = torch.cat([wave, piece])
        ready = max(0, (first + len(wave) - need) // step + 1)
        if ready > done:
            yield step * np.arange(done, ready), wave[done * step - first :].unfold(0, need, step)[: ready - done]
            start = (ready - 1) * step  # the last window may lie within the last but one
            wave, first, done = wave[start - first :], start, ready
    last = max(0, front.count(first + len(wave)) - front.frames) * front.hop
    if not done or last > (done - 1) * step:
        yield np.array([last]), wave[None, last - first :][:, :need]


def predict(classifier: Classifier, place: str | Path, files: Sequence[str] | None = None, *,
            bar: str | None = "predicting") -> Answers:
    """Every window of every sound of a folder (or of those `files` of it), and each file as its windows' mean.

    Any rate and number of channels; a file is read piece by piece: one of a day takes no more memory than one of a
    minute. What cannot be read or holds digital silence only is named in `skipped`; silent windows are left out too."""
    folder, names = sounds(place) if files is None else (paths.resolve(place), list(files))
    heard = list(hear(classifier, folder, names, bar=bar))
    used, skipped = [one for one in heard if not one.skipped], [one.skipped for one in heard if one.skipped]
    if not used:
        raise ValueError(f"none of {len(names)} files can be used, the first: {skipped[0]}" if skipped
                         else "there are no files to predict")
    windows, rows = (pd.concat(tables, ignore_index=True) for tables in zip(*((one.windows, one.file) for one in used)))
    return Answers(windows, rows, skipped)


@torch.no_grad()
def hear(classifier: Classifier, folder: Path, names: Sequence[str], *, done: int = 0,
         bar: str | None = "predicting") -> Iterator[Heard]:
    """What the classifier says about each of these files of a folder, one after the other, as `predict` describes it.

    Whatever is wrong with a file is a reason to skip it; a model that fails is an error. done: files before these."""
    front, labels = classifier.card.front, np.array(classifier.card.labels)
    device = hardware.accelerator().device
    log_mel, model = LogMel(front).to(device), classifier.model.to(device).eval()
    for name in progress.bar(names, total=done + len(names), initial=done, desc=bar, unit="file", leave=False):
        said, about = [], None
        try:
            for about, silence, start, waves in _decoded(folder / name, front):
                said.append(_ask(model, log_mel, start, waves, device, silence))
        except audio.AudioError as error:
            if not folder.is_dir():
                raise OSError(f"{folder} is gone: bring it back, and the same command goes on") from None
            yield answers.skip(str(error).replace(paths.line(str(folder / name)), paths.line(name)))
            continue
        start, p = (np.concatenate(x) for x in zip(*said))  # (W,) samples, (W, C)
        if not len(start):
            yield answers.skip(f"{name}: holds nothing but digital silence")
            continue
        end = np.minimum(start / front.rate + front.seconds, about.duration_s)
        windows = {"file": name, "start_s": start / front.rate, "end_s": end, **_best(p, labels)}
        file = {"file": name, "duration_s": about.duration_s, "rate": about.rate, "windows": len(p)}
        yield Heard(pd.DataFrame(windows), pd.DataFrame(file | _best(p.mean(0)[None], labels)))


def _decoded(file: Path, front: FrontEnd) -> Iterator[tuple[audio.Info, float, np.ndarray, Tensor]]:
    """What a file is, up to which value its samples are silence, and its `stretches`.

    Whatever a decoder raises is an AudioError, unless it is the computer's fault."""
    try:
        about, silence = audio.info(file), audio.step(file)
        for start, waves in stretches(file, front):
            yield about, silence, start, waves
    except (audio.AudioError, MemoryError):
        raise
    except Exception as error:
        if getattr(error, "errno", None) in paths.FULL:
            raise
        raise audio.AudioError(f"{file}: cannot be read ({type(error).__name__}: {error})") from error


def _ask(model: VisionTransformer, log_mel: LogMel, start: np.ndarray, waves: Tensor, device: torch.device,
         silence: float) -> tuple[np.ndarray, np.ndarray]:
    """Starts (W',) and probabilities (W', C) of the windows that are not silent."""
    heard = waves.abs().amax(1) > silence  # (W,)
    start, waves = start[heard.numpy()], waves[heard]
    if not len(start):
        return start, np.empty((0, model.num_classes))
    with hardware.accelerator().autocast():
        logits = model(log_mel(waves.to(device), frames=log_mel.front.frames))  # (W', C)
    return start, logits.float().softmax(-1).cpu().double().numpy()


def _best(p: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The two likeliest of probabilities (N, C), C >= 2, as the columns of a table."""
    first, second = np.argsort(-p, axis=1, kind="stable")[:, :2].T
    row = np.arange(len(p))
    return {"label": labels[first], "score": p[row, first], "second": labels[second], "second_score": p[row, second]}


def answer(model: str, folder: str, *, out: str = "", threshold: str = "0.5") -> None:
    """The command line, see the top of this file. Each recording's answers are written before the next is heard."""
    score = selections.checked(threshold)
    if not out:
        raise ValueError("got no out=DIR: it is called as MODEL FOLDER out=DIR threshold=0.5")
    card, _ = checkpoints.described(model)
    root, names = sounds(folder)
    with answers.opened(out, card, paths.resolve(folder), score, names) as book:
        left = [name for name in names if name not in book.done]
        for name, heard in zip(left, hear(load(model), root, left, done=len(names) - len(left)) if left else ()):
            book.add(name, heard)
        print(book.summary(), *book.skipped(), sep="\n  ")


if __name__ == "__main__":
    sys.exit(paths.command(answer, sys.argv[1:], __doc__))
