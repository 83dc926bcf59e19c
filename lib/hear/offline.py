"""Five small tasks in HEAR's layout, made offline from `chorus` and simple synthesis, for `tasks.read`.

    species   as Speech Commands: which of the evaluated species of chorus calls               train, valid, test; 3 s
    counting  as LibriCount: how many animals call, 0 to 5, one call each, different species   train, valid, test; 4 s
    pitch     as NSynth Pitch: which of 48 semitones a tone or voice has, whatever its timbre  train, valid, test; 2 s
    scene     as ESC-50: which of the 21 everyday sounds of chorus' general pool is heard      five folds; 5 s
    events    as DCASE 2016 task 2: when birds, frogs, insects and mammals call                the three; 3 to 20 s

What holds on them holds in the generator's world; the published tasks are other sounds and more of them.
Measured at `tiny`, data_seed 0: an untrained model (MSM-MAE-208, the predictor of `tiny`, mean of seeds 0 to 2) has
20, 42, 72 and 40 % right (chance: 3, 17, 2, 5) and F = 0.58 of events. The five take 0.6 GB.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from lib import audio, paths, progress
from lib.sources import chorus, chorus_field, chorus_recording, chorus_voices
from lib.sources.chorus_voices import RATE

__all__ = ["NAMES", "SIZES", "make"]

VERSION = 1  # raise it when any sample or label would change
ABOUT: dict[str, tuple[float | None, list[str]]] = {  # seconds (None: they differ), scores
    "species": (3.0, ["top1_acc", "mAP"]), "counting": (4.0, ["top1_acc"]), "pitch": (2.0, ["pitch_acc", "chroma_acc"]),
    "scene": (5.0, ["top1_acc", "mAP"]), "events": (None, ["event_onset_200ms_fms", "segment_1s_er"])}
NAMES = tuple(ABOUT)
SPLITS = ("train", "valid", "test")
OURS = {"train": "train", "val": "valid", "test": "test"}  # chorus' name of a split -> HEAR's
SIZES = {  # recordings per class in SPLITS of the synthesised tasks; the others have what chorus has at this size
    "smoke": {"counting": (6, 3, 3), "pitch": (3, 1, 1)}, "tiny": {"counting": (60, 20, 20), "pitch": (9, 3, 3)},
    "small": {"counting": (300, 100, 100), "pitch": (45, 15, 15)},
    "paper": {"counting": (300, 100, 100), "pitch": (45, 15, 15)}}
MOST = 5                    # animals in `counting`
LOWEST, SEMITONES = 36, 48  # MIDI numbers of `pitch`: C2 (65 Hz) to B5 (988 Hz)
FOLDS = 5


class Recording(NamedTuple):
    """One file: its answer is one label, or a dictionary for each event; wave(rng) makes its samples (N,)."""

    split: str
    answer: list[str] | list[dict]
    wave: Callable[[np.random.Generator], torch.Tensor]


def make(name: str, size: str = "tiny", data_seed: int = 0) -> Path:
    """The folder of a task, at 22,050 Hz. What is missing is made first, file by file, so that a killed run goes on."""
    if name not in NAMES or size not in SIZES:
        raise ValueError(f"there is no task {name!r} of size {size!r}: "
                         f"tasks are {', '.join(NAMES)}, sizes {', '.join(SIZES)}")
    version = f"v{VERSION}.{chorus.VERSION}.{data_seed}"  # of this module, of chorus, of the draw
    with paths.locked(paths.cache("tasks", f"{name}-{version}-{size}")) as folder:
        if not (folder / "task_metadata.json").exists():
            recordings = list(MAKERS[name](size, data_seed))
            bar = progress.bar(recordings, desc=f"task {name} {size}", unit="file", leave=False)
            for i, recording in enumerate(bar):
                file = folder / str(RATE) / recording.split / f"{name}_{i:05d}.wav"
                if not file.exists():
                    rng = np.random.default_rng([VERSION, NAMES.index(name), data_seed, i])
                    audio.write(file, recording.wave(rng), RATE)
            _write(folder, name, version, size, recordings)
    return folder


def _write(folder: Path, name: str, version: str, size: str, recordings: list[Recording]) -> None:
    """Answers, vocabulary and, last, the metadata: they say that all is there."""
    there, events, (seconds, scores) = {r.split for r in recordings}, name == "events", ABOUT[name]
    splits = [split for split in SPLITS if split in there] or sorted(there)
    for split in splits:
        answers = {f"{name}_{i:05d}.wav": r.answer for i, r in enumerate(recordings) if r.split == split}
        paths.write_json(folder / f"{split}.json", answers)
    labels = {answer["label"] if events else answer for r in recordings for answer in r.answer}
    labels = pd.Series(sorted(labels, key=lambda text: (int(text) if text.isdigit() else 0, text)), name="label")
    paths.write_text(folder / "labelvocabulary.csv", labels.to_csv(index_label="idx"))
    about = {"task_name": name, "version": version, "mode": size, "embedding_type": "event" if events else "scene",
             "prediction_type": "multilabel" if events else "multiclass",
             "split_mode": "trainvaltest" if "train" in there else "presplit_kfold",
             "sample_duration": seconds, "evaluation": scores, "splits": splits}
    if events:  # the kit's filters (250 ms; 125 and 250 ms) drop what one column of 160 ms hears: none is tried too
        post = {"median_filter_ms": [0, 250], "min_duration": [0, 125, 250]}
        about["evaluation_params"] = {"event_postprocessing_grid": post}
    paths.write_json(folder / "task_metadata.json", about)


# --------------------------------------------------------------------------------------------------------- from chorus

def _species(size: str, data_seed: int) -> Iterator[Recording]:
    """3 s of each recording of an evaluated species, with a call in it."""
    table = chorus.make("wildlife", size, data_seed)
    boxes = dict(list(chorus.events(table).query("kind == 'call'").groupby("file")))
    evaluated = set(table.label[table.split == "test"])
    for row in table[table.label.isin(evaluated)].itertuples():
        yield Recording(OURS[row.split], [row.label], partial(_with_call, row, boxes[row.file]))


def _with_call(row, boxes: pd.DataFrame, rng: np.random.Generator) -> torch.Tensor:
    long_s = ABOUT["species"][0]
    starts = rng.uniform(0, max(row.duration_s - long_s - 0.001, 0), 200)  # (200,) s; every recording lasts 3 s or more
    starts = starts[chorus_recording.holds_call(starts, boxes.start_s, boxes.end_s, long_s)]
    first_call = max(min(boxes.start_s.min(), row.duration_s - long_s), 0.0)
    return _cut(row.file, float(starts[0]) if len(starts) else first_call, long_s)


def _scene(size: str, data_seed: int) -> Iterator[Recording]:
    """The first 5 s of 24 general clips of each class, which go to the folds in turn."""
    table = chorus.make("general", size, data_seed).groupby("label").head(24)
    shift = {label: i for i, label in enumerate(sorted(set(table.label)))}
    folds = (table.groupby("label").cumcount() + table.label.map(shift)) % FOLDS
    for row, fold in zip(table.itertuples(), folds):
        yield Recording(f"fold{fold:02d}", [row.label], lambda rng, file=row.file: _cut(file, 0.0, ABOUT["scene"][0]))


def _events(size: str, data_seed: int) -> Iterator[Recording]:
    """The recordings in which no unlabelled animal calls, whole; the taxa and true boxes of the calls."""
    table = chorus.make("wildlife", size, data_seed)
    boxes = chorus.events(table)
    clean = table[~table.file.isin(boxes.file[boxes.kind == "background"])]
    for row in clean.itertuples():
        calls = boxes[boxes.file == row.file]
        answer = [{"label": row.taxon, "start": round(1000 * start, 1), "end": round(1000 * end, 1)}
                  for start, end in zip(calls.start_s, calls.end_s)]
        yield Recording(OURS[row.split], answer, lambda rng, file=row.file: _cut(file, 0.0, None))


def _cut(file: str, start_s: float, long_s: float | None) -> torch.Tensor:
    """A piece of a recording, of exactly long_s: what lacks at its end is silence, as in the published tasks."""
    wave = audio.read(file, start_s=start_s, duration_s=long_s)
    return wave if long_s is None else torch.nn.functional.pad(wave, (0, round(long_s * RATE) - len(wave)))


# --------------------------------------------------------------------------------------------------------- synthesised

def _counting(size: str, data_seed: int) -> Iterator[Recording]:
    voices = list(chorus.species("tiny", data_seed).voice)  # all species, at every size
    for split, count in zip(SPLITS, SIZES[size]["counting"]):
        for animals in [*range(MOST + 1)] * count:
            yield Recording(split, [str(animals)], partial(_callers, animals, voices))


def _callers(animals: int, voices: list[chorus_voices.Voice], rng: np.random.Generator) -> torch.Tensor:
    """A field in which so many different species call once each: calls may overlap, loudness tells nothing."""
    n = round(ABOUT["counting"][0] * RATE)
    quiet = chorus_field.bed(n, chorus_field.site(rng, 0.3), rng)
    wave = np.zeros(n, np.float32)
    for which in rng.choice(len(voices), animals, replace=False):
        call = chorus_voices.plan(voices[which], rng)
        at = rng.uniform(0, max(n / RATE - call.long_s, 0))
        song = chorus_voices.sing(call, voices[which], rng)
        chorus_voices.add(wave, at * RATE, song * np.float32(10 ** (rng.uniform(-4, 4) / 20)))
    rms = np.sqrt(np.mean(quiet ** 2))
    return _level(quiet / rms + wave * np.float32(10 ** (rng.uniform(6, 18) / 20)), rng)


def _pitch(size: str, data_seed: int) -> Iterator[Recording]:
    for split, count in zip(SPLITS, SIZES[size]["pitch"]):
        for midi in [*range(LOWEST, LOWEST + SEMITONES)] * count:
            yield Recording(split, [str(midi)], partial(_note, midi))


def _note(midi: int, rng: np.random.Generator) -> torch.Tensor:
    """One note of 2 s in a timbre of its own: plucked, held or sung with vibrato, up to 20 cents off, over noise."""
    n = round(ABOUT["pitch"][0] * RATE)
    t, kind = np.arange(n) / RATE, ("plucked", "held", "sung")[rng.integers(3)]
    octave, vibrato = np.log2(440) + (midi - 69 + rng.uniform(-0.2, 0.2)) / 12, np.zeros(n)
    if kind == "sung":
        vibrato = rng.uniform(0.1, 0.35) / 12 * np.sin(2 * np.pi * (rng.uniform(4, 7) * t + rng.random()))
    k = np.arange(1, rng.integers(2, 17))  # harmonics
    peaks_hz = np.exp(rng.uniform(np.log(300), np.log(4000), 2))
    formants = sum(np.exp(-(np.log2(k * 2 ** octave / hz) / rng.uniform(0.2, 0.6)) ** 2) for hz in peaks_hz)
    slope = k ** -rng.uniform(0.3, 2.0)
    weights = slope * (0.2 + formants) if kind == "sung" else slope * rng.uniform(0.2, 1.0, len(k))
    wave = chorus_voices.tone(octave + vibrato, weights / np.sqrt((weights ** 2).sum()))
    begin, end = rng.uniform(0, 0.3), rng.uniform(1.2, 1.95)
    if kind == "plucked":
        shape, rise_s = np.exp(-(t - begin) / rng.uniform(0.25, 1.0)), rng.uniform(0.005, 0.01)
    else:
        shape, rise_s = np.clip((end - t) / rng.uniform(0.05, 0.3), 0, 1), rng.uniform(0.005, 0.2)
    wave = wave * shape * np.clip((t - begin) / rise_s, 0, 1)
    quiet = chorus_field.bed(n, chorus_field.site(rng, 0.3), rng)
    wave, quiet = (sound / np.sqrt(np.mean(sound ** 2)) for sound in (wave, quiet))
    return _level(wave + quiet * 10 ** (-rng.uniform(3, 25) / 20), rng)


def _level(wave: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """At a random level, -45 to -22 dB of full scale, without clipping."""
    wave = wave * (10 ** (rng.uniform(-45, -22) / 20) / (np.sqrt(np.mean(wave ** 2)) + 1e-9))
    return torch.from_numpy((wave * min(1.0, 0.9 / (np.abs(wave).max() + 1e-9))).astype(np.float32))


MAKERS = {"species": _species, "counting": _counting, "pitch": _pitch, "scene": _scene, "events": _events}
