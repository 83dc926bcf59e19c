"""Five small tasks in HEAR's layout, made offline from `chorus` and simple synthesis, for `tasks.read`.

    species     as Speech Commands: which of the evaluated species of chorus calls                   train, valid, test; 3 s
    counting    as LibriCount: how many animals call, 0 to 5, one call each, of different species    train, valid, test; 4 s
    pitch       as NSynth Pitch: which of 48 semitones a tone or voice has, whatever its timbre      train, valid, test; 2 s
    scene       as ESC-50: which of the 21 everyday sounds of chorus' general pool is heard          five folds; 5 s
    events      as DCASE 2016 task 2: when birds, frogs, insects and mammals call (timestamps)       train, valid, test; 3 to 20 s

What holds on them holds in the generator's world; the published tasks are other sounds and more of them.
Measured on version 1, `tiny`, data_seed 0: an untrained model (MSM-MAE-208, the predictor of `tiny`, mean of seeds 0 to 2) has 24, 36, 70 and
44 % right (chance: 3, 17, 2, 5) and F = 0.66 of events: what a pretrained one is to be compared with. The five take 0.5 GB.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from tqdm.auto import tqdm

from lib import audio, paths
from lib.sources import chorus, chorus_voices
from lib.sources.chorus_voices import RATE

__all__ = ["NAMES", "Size", "SIZES", "make"]

VERSION = 1  # raise it when any sample or label would change


class Size(NamedTuple):
    """Recordings per class of the synthesised tasks; the others have what chorus has at this size."""

    counting: tuple[int, int, int]  # train, valid, test
    pitch: tuple[int, int, int]


SIZES = {"smoke": Size((6, 3, 3), (3, 1, 1)), "tiny": Size((60, 20, 20), (9, 3, 3)),
         "small": Size((300, 100, 100), (45, 15, 15)), "paper": Size((300, 100, 100), (45, 15, 15))}
SPLITS = ("train", "valid", "test")
OURS = {"train": "train", "val": "valid", "test": "test"}  # chorus' name of a split -> HEAR's
MOST = 5                       # animals in `counting`
LOWEST, SEMITONES = 36, 48     # MIDI numbers of `pitch`: C2 (65 Hz) to B5 (988 Hz)
FOLDS = 5


class Recording(NamedTuple):
    """One file: its answer is a label, or a list of events; wave(rng) makes its samples (N,)."""

    split: str
    answer: str | list[dict]
    wave: Callable[[np.random.Generator], torch.Tensor]


def make(name: str, size: str = "tiny", data_seed: int = 0, progress: bool = True) -> Path:
    """The folder of a task, at 22,050 Hz. What is missing is made first (file by file, so a killed run goes on); later calls only look.

    Raises ValueError for an unknown name or size."""
    if name not in MAKERS or size not in SIZES:
        raise ValueError(f"there is no task {name!r} of size {size!r}: tasks are {', '.join(MAKERS)}, sizes {', '.join(SIZES)}")
    version = f"v{VERSION}.{chorus.VERSION}.{data_seed}"  # of this module, of chorus, of the draw
    folder = paths.cache("tasks", f"{name}-{version}-{size}")
    with FileLock(folder / ".lock"):
        if not (folder / "task_metadata.json").exists():
            recordings = list(MAKERS[name](size, data_seed, progress))
            for i, recording in enumerate(tqdm(recordings, desc=f"task {name} {size}", unit="file", disable=not progress, leave=False)):
                file = folder / str(RATE) / recording.split / _file(name, i)
                if not file.exists():
                    rng = np.random.default_rng([VERSION, NAMES.index(name), data_seed, i])
                    audio.write(file, recording.wave(rng), RATE)
            _write(folder, name, version, size, recordings)
    return folder


def _file(name: str, i: int) -> str:
    return f"{name}_{i:05d}.wav"


def _write(folder: Path, name: str, version: str, size: str, recordings: list[Recording]) -> None:
    """Answers, vocabulary and, last, the metadata: they say that all is there."""
    splits = sorted({r.split for r in recordings}, key=lambda s: (SPLITS.index(s) if s in SPLITS else 9, s))
    for split in splits:
        paths.write_json(folder / f"{split}.json", {_file(name, i): [r.answer] if isinstance(r.answer, str) else r.answer
                                                    for i, r in enumerate(recordings) if r.split == split})
    labels = {label for r in recordings for label in ([r.answer] if isinstance(r.answer, str) else [e["label"] for e in r.answer])}
    labels = sorted(labels, key=lambda text: (int(text) if text.isdigit() else 0, text))
    paths.write_text(folder / "labelvocabulary.csv", pd.DataFrame({"idx": range(len(labels)), "label": labels}).to_csv(index=False))
    seconds, scores = ABOUT[name]
    events = name == "events"
    about = {"task_name": name, "version": version, "mode": size, "embedding_type": "event" if events else "scene",
             "prediction_type": "multilabel" if events else "multiclass", "split_mode": "presplit_kfold" if name == "scene" else "trainvaltest",
             "sample_duration": seconds, "evaluation": scores, "splits": splits}
    if events:  # the kit's filters (250 ms; 125 and 250 ms) drop what one column of 160 ms hears; so they are tried, and none at all
        about["evaluation_params"] = {"event_postprocessing_grid": {"median_filter_ms": [0, 250], "min_duration": [0, 125, 250]}}
    paths.write_json(folder / "task_metadata.json", about)


# ----------------------------------------------------------------------------------------------------------- from chorus

def _species(size: str, data_seed: int, progress: bool) -> Iterator[Recording]:
    """3 s of each recording of an evaluated species, with a call in it."""
    table = chorus.make("wildlife", size, data_seed, progress=progress)
    boxes = dict(list(chorus.events(table).query("kind == 'call'").groupby("file")))
    evaluated = set(table.label[table.split == "test"])
    for row in table[table.label.isin(evaluated)].itertuples():
        yield Recording(OURS[row.split], row.label, lambda rng, row=row: _with_call(row, boxes[row.file], rng))


def _with_call(row, boxes: pd.DataFrame, rng: np.random.Generator) -> torch.Tensor:
    long_s = ABOUT["species"][0]
    starts = rng.uniform(0, max(row.duration_s - long_s - 0.001, 0), 200)  # (200,) s; every recording lasts 3 s or more
    starts = starts[chorus.holds_call(starts, boxes.start_s, boxes.end_s, long_s)]
    return _cut(row.file, float(starts[0]) if len(starts) else max(min(boxes.start_s.min(), row.duration_s - long_s), 0.0), long_s)


def _scene(size: str, data_seed: int, progress: bool) -> Iterator[Recording]:
    """The first 5 s of each general clip; the clips of a class go to the folds in turn."""
    table = chorus.make("general", size, data_seed, progress=progress)
    turn = table.groupby("label").cumcount() + table.label.map({label: i for i, label in enumerate(sorted(set(table.label)))})
    for row, fold in zip(table.itertuples(), turn % FOLDS):
        yield Recording(f"fold{fold:02d}", row.label, lambda rng, row=row: _cut(row.file, 0.0, ABOUT["scene"][0]))


def _events(size: str, data_seed: int, progress: bool) -> Iterator[Recording]:
    """The recordings in which no unlabelled animal calls, whole, with the true boxes of the calls; the label is the taxon."""
    table = chorus.make("wildlife", size, data_seed, progress=progress)
    boxes = chorus.events(table)
    clean = table[~table.file.isin(boxes.file[boxes.kind == "background"])]
    for row in clean.itertuples():
        own = boxes[boxes.file == row.file]
        answer = [{"label": row.taxon, "start": round(1000 * a, 1), "end": round(1000 * b, 1)} for a, b in zip(own.start_s, own.end_s)]
        yield Recording(OURS[row.split], answer, lambda rng, row=row: _cut(row.file, 0.0, None))


def _cut(file: str, start_s: float, long_s: float | None) -> torch.Tensor:
    """A piece of a recording, of exactly long_s: what lacks at its end is silence, as in the published tasks."""
    wave = audio.read(file, start_s=start_s, duration_s=long_s)
    return wave if long_s is None else torch.nn.functional.pad(wave, (0, round(long_s * RATE) - len(wave)))


# ------------------------------------------------------------------------------------------------------------ synthesised

def _counting(size: str, data_seed: int, progress: bool) -> Iterator[Recording]:
    voice = list(chorus.species("tiny", data_seed).voice)  # all species, at every size
    for split, count in zip(SPLITS, SIZES[size].counting):
        for i in range(count * (MOST + 1)):
            yield Recording(split, str(i % (MOST + 1)), lambda rng, animals=i % (MOST + 1): _callers(animals, voice, rng))


def _callers(animals: int, species: list[chorus_voices.Voice], rng: np.random.Generator) -> torch.Tensor:
    """A field in which so many different species call once each, wherever in the 4 s: calls may overlap, loudness tells nothing."""
    n = round(ABOUT["counting"][0] * RATE)
    quiet = chorus_voices.bed(n, chorus_voices.site(rng, 0.3), rng)
    wave = np.zeros(n, np.float32)
    for which in rng.choice(len(species), animals, replace=False):
        call = chorus_voices.plan(species[which], rng)
        at = rng.uniform(0, max(n / RATE - call.long_s, 0))
        chorus_voices.add(wave, at * RATE, chorus_voices.sing(call, species[which], rng) * np.float32(10 ** (rng.uniform(-4, 4) / 20)))
    rms = np.sqrt(np.mean(quiet ** 2))
    return _level(quiet / rms + wave * np.float32(10 ** (rng.uniform(6, 18) / 20)), rng)


def _pitch(size: str, data_seed: int, progress: bool) -> Iterator[Recording]:
    for split, count in zip(SPLITS, SIZES[size].pitch):
        for i in range(count * SEMITONES):
            yield Recording(split, str(LOWEST + i % SEMITONES), lambda rng, note=LOWEST + i % SEMITONES: _note(note, rng))


def _note(midi: int, rng: np.random.Generator) -> torch.Tensor:
    """One note of 2 s in a timbre of its own: plucked, held or sung with vibrato, up to 20 cents off, over noise."""
    n = round(ABOUT["pitch"][0] * RATE)
    t, kind = np.arange(n) / RATE, rng.integers(3)
    octave = np.log2(440) + (midi - 69 + rng.uniform(-0.2, 0.2)) / 12
    vibrato = rng.uniform(0.1, 0.35) / 12 * np.sin(2 * np.pi * (rng.uniform(4, 7) * t + rng.random())) if kind == 2 else np.zeros(n)
    k = np.arange(1, rng.integers(2, 17))
    hz = k * 2 ** octave
    formants = sum(np.exp(-(np.log2(hz / f) / rng.uniform(0.2, 0.6)) ** 2) for f in np.exp(rng.uniform(np.log(300), np.log(4000), 2)))
    weights = k ** -rng.uniform(0.3, 2.0) * (0.2 + formants if kind == 2 else rng.uniform(0.2, 1.0, len(k)))
    wave = chorus_voices.tone(octave + vibrato, weights / np.sqrt((weights ** 2).sum()))
    begin, end = rng.uniform(0, 0.3), rng.uniform(1.2, 1.95)
    shape = np.exp(-(t - begin) / rng.uniform(0.25, 1.0)) if kind == 0 else np.clip((end - t) / rng.uniform(0.05, 0.3), 0, 1)
    wave = wave * shape * np.clip((t - begin) / rng.uniform(0.005, 0.01 if kind == 0 else 0.2), 0, 1)
    quiet = chorus_voices.bed(n, chorus_voices.site(rng, 0.3), rng)
    return _level(wave / np.sqrt(np.mean(wave ** 2)) + quiet / np.sqrt(np.mean(quiet ** 2)) * 10 ** (-rng.uniform(3, 25) / 20), rng)


def _level(wave: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """At a random level, -45 to -22 dB of full scale, without clipping."""
    wave = wave * (10 ** (rng.uniform(-45, -22) / 20) / (np.sqrt(np.mean(wave ** 2)) + 1e-9))
    return torch.from_numpy((wave * min(1.0, 0.9 / (np.abs(wave).max() + 1e-9))).astype(np.float32))


MAKERS = {"species": _species, "counting": _counting, "pitch": _pitch, "scene": _scene, "events": _events}
NAMES = tuple(MAKERS)
ABOUT: dict[str, tuple[float | None, list[str]]] = {  # seconds (None: they differ), the scores
    "species": (3.0, ["top1_acc", "mAP"]), "counting": (4.0, ["top1_acc"]), "pitch": (2.0, ["pitch_acc", "chroma_acc"]),
    "scene": (5.0, ["top1_acc", "mAP"]), "events": (None, ["event_onset_200ms_fms", "segment_1s_er"])}
