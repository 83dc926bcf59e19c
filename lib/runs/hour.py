"""How long an hour of sound takes a frozen model, and how much memory: a soundscape made as a file and heard as one.

    python -m lib.runs.hour model=ready,birdnet minutes=60 turns=1     on one core; each model in its own process

The file has 48 kHz, as recorders write it: each model resamples it as it needs. What is timed is all from reading to
events: decoding, features of half overlapping windows, a readout of eight species, events."""

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import pandas as pd
import psutil
import soundfile
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lib import audio, paths
from lib.field import events, windows
from lib.sources import chorus, chorus_soundscape
from lib.transfer import reference

__all__ = ["Memory", "Heard", "recorded", "hear", "hour"]

RATE = 48_000  # of the file
EVERY_S = 0.01  # between two looks at the memory


class Memory:
    """Within, how much memory this process holds, in bytes: `start` and `peak`; looked at a hundred times a second.

    What the system counts itself (ru_maxrss) knows no start, and in a new process has its parent's."""

    def __enter__(self) -> "Memory":
        self.process, self.done = psutil.Process(), Event()
        self.start = self.peak = self.process.memory_info().rss
        self.thread = Thread(target=self._look, daemon=True)
        self.thread.start()
        return self

    def _look(self) -> None:
        while not self.done.wait(EVERY_S):
            self.peak = max(self.peak, self.process.memory_info().rss)

    def __exit__(self, *_) -> None:
        self.done.set()
        self.thread.join()


class Heard(NamedTuple):
    """One model's hour."""
    model: str
    seconds: float  # at most what this process worked: the time that other programs took does not count
    start: int  # bytes of the process when the model is loaded and has answered once
    beyond: int  # bytes that it takes more while it hears
    windows: int
    events: int


def recorded(minutes: float, seed: int = 0) -> Path:
    """The soundscape as a file at RATE, made at the first call."""
    file = paths.cache("hour") / f"v{chorus.VERSION}-{minutes:g}min-seed{seed}.wav"
    if not file.exists():
        made = file.with_suffix(".made.wav")
        chorus_soundscape.write(made, 60 * minutes, seed)
        with paths.atomic(file) as temporary, soundfile.SoundFile(temporary, "w", RATE, 1, "PCM_16") as sound:
            for piece in audio.stream(made, RATE):
                sound.write(piece.numpy())
        made.unlink()
    return file


def hear(name: str, file: Path) -> Heard:
    """All that a model says of a file, in this process, on one core; its readout is learnt before."""
    torch.set_num_threads(1)
    model = reference.load(name)
    known = reference.features(model, chorus.make("wildlife", "smoke"), bar=None)
    is_it = (known.table["label"].to_numpy()[:, None] == known.labels)[known.row]  # (W, C)
    readout = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(C=0.01, max_iter=500)))
    readout.fit(known.kinds["embedding"], is_it)
    readout.predict_proba(model.features(torch.zeros(1, model.samples)).numpy())
    with Memory() as memory:
        begun, worked = time.perf_counter(), time.process_time()
        at, scores = windows.answers(file, model, readout.predict_proba, bar=name)
        found = events.merge(at["start_s"], at["end_s"], scores, known.labels, 0.5)
        seconds = min(time.perf_counter() - begun, time.process_time() - worked)
    return Heard(name, seconds, memory.start, memory.peak - memory.start, len(at), len(found))


def hour(*, model: str = "ready,birdnet", minutes: float = 60.0, turns: int = 1) -> None:
    """The command line, see the top of this file. The models take turns, so that another program slows all alike."""
    names, file = model.split(","), recorded(minutes)
    print(f"{file.name}: {minutes:g} min at {RATE:,} Hz; one core of {psutil.cpu_count()}")
    heard = []
    for name in names * turns:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
            heard.append(fresh.submit(hear, name, file).result())
        print(f"{name}: {heard[-1].seconds:.1f} s", flush=True)
    each = pd.DataFrame(heard).groupby("model", sort=False).median()
    shown = pd.DataFrame({"hours of sound per minute": minutes / each["seconds"],
                          "MB beyond its start": each["beyond"] / 1e6, "MB at its start": each["start"] / 1e6,
                          "windows": each["windows"], "events": each["events"]})
    if "birdnet" in names:
        shown["times BirdNET's pace"] = each.loc["birdnet", "seconds"] / each["seconds"]
    print(shown.round(2).to_string())


if __name__ == "__main__":
    sys.exit(paths.command(hour, sys.argv[1:], __doc__))
