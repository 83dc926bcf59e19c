"""What a classifier says about recordings: tables, and a folder of them that grows recording by recording.

A folder of answers holds windows.csv, files.csv, selections.csv and skipped.txt and, under audacity/ and raven/, two
label files for each recording with selections. One that the command line fills also holds answers.json, which says
whose answers these are, and done.jsonl with a line for each recording that is in whole, and how long the tables then
were: what a stopped run left behind their ends is cut off, and the same command goes on.
"""

import csv
import errno
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib import paths
from lib.checkpoints import Card
from lib.field import events, noise
from lib.sources import selections
from lib.transfer import birdnet

__all__ = ["Answers", "Heard", "skip", "thresholds", "found", "write", "opened", "Book"]

BEST = ["label", "score", "second", "second_score"]
HEADS = {"windows.csv": ["file", "start_s", "end_s", *BEST],
         "files.csv": ["file", "duration_s", "rate", "windows", *BEST],
         "selections.csv": selections.COLUMNS, "skipped.txt": []}
WHOSE, DONE = "answers.json", "done.jsonl"
UNNAMED = (errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG)  # another disk than the recordings' may not take their names


class Answers(NamedTuple):
    """What a classifier says about files: the likeliest species and its probability as label and score; the next."""
    windows: pd.DataFrame  # file, start_s, end_s, label, score, second, second_score
    files: pd.DataFrame  # file, duration_s, rate, windows, and the same four of the mean over windows
    skipped: list[str]  # the files that could not be used, each with its reason in a line
    scores: np.ndarray  # (W, C) of every window and every label of the card


class Heard(NamedTuple):
    """The answers about one recording: its windows and its row of the files, or why it could not be used."""
    windows: pd.DataFrame
    file: pd.DataFrame
    scores: np.ndarray  # (W, C)
    skipped: str = ""


def skip(reason: str) -> Heard:
    """The answers about a recording that could not be used."""
    windows, file = (pd.DataFrame(columns=HEADS[name]) for name in ("windows.csv", "files.csv"))
    return Heard(windows, file, np.empty((0, 0)), paths.line(reason))


def thresholds(card: Card, threshold: float | None = None) -> np.ndarray:
    """From which score on each label of a card counts as found (C,): one for all, or the card's own, which are 0.5
    where an older one has none. "noise" is never found: nan."""
    each = np.array(card.thresholds or [0.5] * len(card.labels)) if threshold is None else threshold
    return np.where(np.array(card.labels) == noise.NAME, np.nan, each)


def found(windows: pd.DataFrame, scores: np.ndarray, card: Card, threshold: float | None = None) -> pd.DataFrame:
    """The selections (`selections.COLUMNS`) of windows (W) and scores (W, C): each species by itself, so that two that
    call at once have one each."""
    each, places = thresholds(card, threshold), windows.groupby("file", sort=False).indices
    parts = [events.merge(windows["start_s"].to_numpy()[rows], windows["end_s"].to_numpy()[rows], scores[rows],
                          card.labels, each).assign(file=file) for file, rows in places.items()]
    none = pd.DataFrame(columns=selections.COLUMNS)
    return pd.concat(parts, ignore_index=True)[selections.COLUMNS] if parts else none


def write(answers: Answers, card: Card, folder: str | Path, threshold: float | None = None) -> pd.DataFrame:
    """Write answers as CSV, and what is `found` as selections.csv, audacity/ and raven/; returns these selections."""
    out, sure = paths.resolve(folder), found(answers.windows, answers.scores, card, threshold)
    for name in (DONE, WHOSE):  # what a command line began there it shall not go on with
        (out / name).unlink(missing_ok=True)
    names = selections.names(answers.files["file"])
    for file in names.keys() - set(sure["file"]):  # what an earlier call has found there
        for old in selections.places(out, names[file]):
            old.unlink(missing_ok=True)
    unnamed = _tracks(sure, answers.files, out, card, names)
    for name, text in _texts(answers.windows, answers.files, [*answers.skipped, *unnamed], sure).items():
        paths.write_text(out / name, _head(name) + text)
    return sure


def _head(name: str) -> str:
    return ",".join(HEADS[name]) + "\n" if HEADS[name] else ""


def _texts(windows: pd.DataFrame, files: pd.DataFrame, skipped: Sequence[str], sure: pd.DataFrame) -> dict[str, str]:
    """What the tables of a folder say of these answers, less their heads."""
    rounded = sure.round({"start_s": 4, "end_s": 4, "score": 4})
    tables = {"windows.csv": windows.round(4), "files.csv": files.round(4), "selections.csv": rounded}
    texts = {name: _csv(table[HEADS[name]]) for name, table in tables.items()}
    return {**texts, "skipped.txt": "".join(line + "\n" for line in skipped)}


def _csv(table: pd.DataFrame) -> str:
    text = table.to_csv(index=False, header=False)
    if "\r" in text:  # without quotes it would end a row
        text = table.to_csv(index=False, header=False, quoting=csv.QUOTE_NONNUMERIC)
    return text


def _tracks(sure: pd.DataFrame, files: pd.DataFrame, out: Path, card: Card, names: Mapping[str, str]) -> list[str]:
    """Write the label files of selections; a line for each recording whose name the disk does not take."""
    unnamed, rates = [], dict(zip(files["file"], files["rate"]))
    low, high = (card.front.low_hz, card.front.high_hz) if card.front else (0.0, birdnet.RATE / 2)
    for file, rows in sure.groupby("file", sort=False):
        try:
            selections.tracks(rows, out, names[file], low, min(high, rates[file] / 2))  # what a recording can hold
        except OSError as error:
            if error.errno not in UNNAMED:
                raise
            unnamed.append(paths.line(f"{file}: its label files cannot have this name on the disk of {out}"))
    return unnamed


# ----------------------------------------------------------------------------------------------- recording by recording

@contextmanager
def opened(out: str | Path, card: Card, place: Path, threshold: float | None, files: Sequence[str]) -> Iterator["Book"]:
    """A folder to add answers to, made if missing; what was added before is kept if it is of the same model, place and
    threshold. files: all recordings of the place, relative to it.

    ValueError where other answers lie there, or another run adds to them; OSError where it cannot be written."""
    folder = paths.resolve(out)
    busy = f"{folder}: another run writes its answers there at this moment: wait for it, or choose another out"
    with paths.lock(folder / ".lock", busy):
        whose = {"model": card.sha256, "card": paths.key(card), "folder": str(place), "threshold": threshold}
        _refuse_others(folder, whose)
        paths.sweep([*folder.glob(".answers.*"), *folder.glob("audacity/**/.*"), *folder.glob("raven/**/.*")])
        paths.write_json(folder / WHOSE, whose)
        yield Book(folder, card, threshold, files)


def _refuse_others(folder: Path, whose: dict) -> None:
    there = [name for name in (*HEADS, DONE, "audacity", "raven") if (folder / name).exists()]
    if not there:
        return
    try:
        known = paths.read_json(folder / WHOSE)
        other = [f"{name} {known[name]} instead of {value}" for name, value in whose.items() if known[name] != value]
    except (ValueError, KeyError, TypeError):
        other = [f"{there[0]}, but no {WHOSE} that says whose it is"]
    if other:
        raise ValueError(f"{folder} holds other answers ({other[0]}): choose another out, or delete it")


class Book:
    """A folder of answers that is open: `add` writes those of a recording, `done` are the recordings that are in."""

    def __init__(self, folder: Path, card: Card, threshold: float | None, files: Sequence[str]) -> None:
        self.folder, self.card, self.threshold, self.names = folder, card, threshold, selections.names(files)
        self.done, self.counts, self.labels = set(), Counter(), set()
        self.ends = dict.fromkeys([DONE, *HEADS], 0)  # bytes of each file that count
        with paths.explained(folder):
            self._read()

    def _read(self) -> None:
        """Take in what an earlier run has added, and cut off what it has not finished."""
        (self.folder / DONE).touch()
        with open(self.folder / DONE, "rb") as file:
            for raw in file:
                if not raw.endswith(b"\n"):  # it was not written to its end
                    break
                entry = json.loads(raw)
                self._count(entry, {DONE: self.ends[DONE] + len(raw), **entry["ends"]})
        if not self.done:
            for name in HEADS:
                (self.folder / name).write_bytes(_head(name).encode())
                self.ends[name] = len(_head(name))
        for name, end in self.ends.items():
            file = self.folder / name
            if (size := file.stat().st_size if file.exists() else 0) < end:
                raise ValueError(f"{file} has {size:,} of the {end:,} bytes that were written: it was changed since; "
                                 "choose another out, or delete it")
        self._cut()

    def add(self, name: str, heard: Heard) -> None:
        """Write the answers about a recording: all of it, or, whatever happens, nothing that the tables keep."""
        skipped = [heard.skipped] if heard.skipped else []
        sure = found(heard.windows, heard.scores, self.card, self.threshold)
        skipped += _tracks(sure, heard.file, self.folder, self.card, self.names)
        entry = {"file": name, "files": len(heard.file), "windows": len(heard.windows), "selections": len(sure),
                 "skipped": len(skipped), "labels": sorted(set(sure["label"]))}
        try:
            with paths.explained(self.folder):
                texts = _texts(heard.windows, heard.file, skipped, sure)
                entry["ends"] = {table: self._append(table, text) for table, text in texts.items()}
                end = self._append(DONE, json.dumps(entry) + "\n")  # last: it says that the rest is there
        except BaseException:
            self._cut()
            raise
        self._count(entry, {DONE: end, **entry["ends"]})

    def _append(self, name: str, text: str) -> int:
        with open(self.folder / name, "ab") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
            return file.tell()

    def _count(self, entry: dict, ends: dict[str, int]) -> None:
        self.done.add(entry["file"])
        self.counts.update({name: entry[name] for name in ("files", "windows", "selections", "skipped")})
        self.labels.update(entry["labels"])
        self.ends = ends

    def _cut(self) -> None:
        for name, end in self.ends.items():  # that of the recordings first: no table may be shorter than it says
            os.truncate(self.folder / name, end)

    def skipped(self) -> list[str]:
        """Why recordings could not be used, a line each."""
        return (self.folder / "skipped.txt").read_text(encoding="utf-8").splitlines()

    def summary(self) -> str:
        """How much there is in all; ValueError where no recording could be used."""
        counts = self.counts
        if not counts["files"]:
            raise ValueError(f"none of {len(self.done)} files can be used, the first: {self.skipped()[0]}")
        least = ("the score that the card asks for" if self.threshold is None else
                 f"a score of {self.threshold:g}")
        return (f"{counts['files']} files, {counts['windows']:,} windows, {counts['selections']} selections of "
                f"{len(self.labels)} species with {least} or more; {counts['skipped']} files skipped")
