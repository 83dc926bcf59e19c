"""A species classifier that is kept: saved with its card, loaded on another machine, asked about files of any length.

    python -m lib.transfer.classifier MODEL.safetensors FOLDER out=DIR threshold=0.5

writes windows, files and selections as CSV, and the selections as Audacity and Raven files. A folder's sounds are
looked for in its subfolders too. A relative path starts at the repository, wherever the command is called."""

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
from lib.mae import MAE
from lib.mel import FrontEnd, LogMel
from lib.sources import selections, tables
from lib.transfer import probe, readouts

__all__ = ["Classifier", "Answers", "frozen", "save", "load", "sounds", "stretches", "predict", "write", "answer"]

SILENT = 2.0**-15  # one step of a 16-bit file: what never exceeds it is digital silence, and nothing is said about it
PIECE = 96  # seconds decoded at a time: about 64 windows of 3 s, half overlapping


class Classifier(NamedTuple):
    model: VisionTransformer
    card: Card  # its labels are in the order of the model's outputs


class Answers(NamedTuple):
    """What a classifier says about files: the likeliest species and its probability as label and score; the next."""
    windows: pd.DataFrame  # file, start_s, end_s, label, score, second, second_score
    files: pd.DataFrame  # file, duration_s, rate, windows, and the same four of the mean over windows
    skipped: list[str]  # the files that could not be used, each with its reason


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
    folder, files = (root, tables.found(root)) if root.is_dir() else (root.parent, [root])
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


@torch.no_grad()
def predict(classifier: Classifier, place: str | Path, files: Sequence[str] | None = None, *,
            bar: str | None = "predicting") -> Answers:
    """Every window of every sound of a folder (or of those `files` of it), and each file as its windows' mean.

    Any rate and number of channels; a file is read piece by piece: one of a day takes no more memory than one of a
    minute. What cannot be read or holds digital silence only is named in `skipped`; silent windows are left out too."""
    folder, names = sounds(place) if files is None else (paths.resolve(place), list(files))
    front, labels = classifier.card.front, np.array(classifier.card.labels)
    device = hardware.accelerator().device
    log_mel, model, windows, rows, skipped = LogMel(front).to(device), classifier.model.to(device).eval(), [], [], []
    for name in progress.bar(names, desc=bar, unit="file", leave=False):
        try:
            about = audio.info(folder / name)
            said = [_ask(model, log_mel, *some, device) for some in stretches(folder / name, front)]
        except audio.AudioError as error:
            skipped.append(str(error).replace(str(folder / name), name))
            continue
        start, p = (np.concatenate(x) for x in zip(*said))  # (W,) samples, (W, C)
        if not len(start):
            skipped.append(f"{name}: holds nothing but digital silence")
            continue
        end = np.minimum(start / front.rate + front.seconds, about.duration_s)
        windows.append(pd.DataFrame({"file": name, "start_s": start / front.rate, "end_s": end, **_best(p, labels)}))
        mean = {key: values[0] for key, values in _best(p.mean(0)[None], labels).items()}
        rows.append({"file": name, "duration_s": about.duration_s, "rate": about.rate, "windows": len(p), **mean})
    if not rows:
        raise ValueError(f"none of {len(names)} files can be used, the first: {skipped[0]}" if skipped
                         else "there are no files to predict")
    return Answers(pd.concat(windows, ignore_index=True), pd.DataFrame(rows), skipped)


def _ask(model: VisionTransformer, log_mel: LogMel, start: np.ndarray, waves: Tensor,
         device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """Starts (W',) and probabilities (W', C) of the windows that are not silent."""
    heard = waves.abs().amax(1) > SILENT  # (W,)
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


def write(answers: Answers, card: Card, folder: str | Path, threshold: float) -> pd.DataFrame:
    """Write answers as CSV, and windows from `threshold` on as selections.csv, audacity/ and raven/; returns these."""
    out, found = paths.resolve(folder), selections.merge(answers.windows, threshold)
    for name, table in (("windows", answers.windows), ("files", answers.files)):
        paths.write_text(out / f"{name}.csv", table.round(4).to_csv(index=False))
    paths.write_text(out / "skipped.txt", "".join(line + "\n" for line in answers.skipped))
    rates = answers.files.set_index("file")["rate"].to_dict()
    selections.export(found, out, (card.front.low_hz, card.front.high_hz), rates)
    return found


def answer(model: str, folder: str, *, out: str = "", threshold: str = "0.5") -> None:
    """The command line, see the top of this file."""
    score = selections.checked(threshold)
    if not out:
        raise ValueError("got no out=DIR: it is called as MODEL FOLDER out=DIR threshold=0.5")
    classifier = load(model)
    answers = predict(classifier, folder)
    found = write(answers, classifier.card, out, score)
    print(f"{len(answers.files)} files, {len(answers.windows):,} windows, {len(found)} selections of "
          f"{found['label'].nunique()} species with a score of {score:g} or more; {len(answers.skipped)} files skipped",
          *answers.skipped, sep="\n  ")


if __name__ == "__main__":
    sys.exit(paths.command(answer, sys.argv[1:], __doc__))
