"""The windows of a sound file of any length, in bounded memory: what a frozen model or a classifier is asked about."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lib import audio, paths, progress
from lib.transfer.reference import Frozen

__all__ = ["windows", "loud", "reason", "answers"]

PIECE = 24  # seconds decoded at a time: little, since freed memory of many sizes is not all given back
BATCH = 16  # windows that a model takes at once


def windows(file: str | Path, rate: int, samples: int, step: int, grid: int = 1) -> Iterator[tuple[np.ndarray, Tensor]]:
    """A file's windows, some at a time: first samples (W,) and waves (W, samples), mono at `rate`.

    One begins every `step` samples, and where these leave something over at the end one more ends with the file, or up
    to grid - 1 samples before (a front end's hop). A file shorter than a window gives one short wave. AudioError as in
    `audio.read`."""
    wave, first, done = torch.zeros(0), 0, 0  # samples at hand, the place of the first of them, and windows given
    for piece in audio.stream(file, rate, PIECE):
        wave = torch.cat([wave, piece])
        ready = max(0, (first + len(wave) - samples) // step + 1)
        if ready > done:
            yield step * np.arange(done, ready), wave[done * step - first:].unfold(0, samples, step)[: ready - done]
            start = (ready - 1) * step  # the last window may lie within the last but one
            wave, first, done = wave[start - first:].clone(), start, ready  # a slice would keep the whole piece
    last = max(0, first + len(wave) - samples) // grid * grid
    if not done or last > (done - 1) * step:
        yield np.array([last]), wave[None, last - first:][:, :samples]


def loud(file: Path, rate: int, samples: int, step: int,
         grid: int = 1) -> Iterator[tuple[audio.Info, np.ndarray, Tensor]]:
    """What a file is, and those of its `windows` that are no digital silence: a season of recordings is asked so.

    AudioError where there is none, and for whatever a decoder raises, unless it is the computer's fault."""
    about = None
    try:
        info, silence = audio.info(file), audio.step(file)
        for start, waves in windows(file, rate, samples, step, grid):
            heard = waves.abs().amax(1) > silence  # (W,)
            if heard.any():
                about = info
                yield about, start[heard.numpy()], waves[heard]
    except (audio.AudioError, MemoryError):
        raise
    except Exception as error:
        if getattr(error, "errno", None) in paths.FULL:
            raise
        raise audio.AudioError(f"{file}: cannot be read ({type(error).__name__}: {error})") from error
    if about is None:
        raise audio.AudioError(f"{file}: holds nothing but digital silence")


def reason(error: audio.AudioError, folder: Path, name: str) -> str:
    """Why a file of a folder is skipped, by its name there; OSError where the folder itself is gone."""
    if not folder.is_dir():
        raise OSError(f"{folder} is gone: bring it back, and the same command goes on") from None
    return str(error).replace(paths.line(str(folder / name)), paths.line(name))


def answers(file: str | Path, model: Frozen, head: Callable[[np.ndarray], np.ndarray], *,
            bar: str | None = "listening") -> tuple[pd.DataFrame, np.ndarray]:
    """What a readout of a frozen model says of a file's windows, half overlapping: start_s and end_s, scores (W, C).

    head: features (n, D) -> scores (n, C), such as a classifier's predict_proba. Beyond the scores, an hour takes no
    more memory than two minutes."""
    seconds, starts, scores = audio.info(file).duration_s, [], []
    with progress.bar(total=round(seconds), desc=bar, unit="s", leave=False) as shown:
        for first, waves in windows(file, model.rate, model.samples, model.samples // 2):
            for at, part in zip(torch.from_numpy(first).split(BATCH), waves.split(BATCH)):
                starts.append(at.numpy() / model.rate)
                scores.append(head(model.features(part).numpy()))
                shown.update(round(starts[-1][-1]) - shown.n)
    start = np.concatenate(starts)
    return pd.DataFrame({"start_s": start, "end_s": np.minimum(start + model.seconds, seconds)}), np.concatenate(scores)
