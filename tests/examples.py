"""The explorers with small data and models of the real size, for the tests; by hand, it prints how fast they are.

    PYTHONPATH=. python tests/examples.py        the median and the slowest of nine answers of each, in seconds
"""

import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lib import audio, mae, mel, training
from lib.explorers import attention_maps, confusions, curation, front_ends, labelling, reconstruction, soundmap
from lib.explorers.base import Sound
from lib.runs.scales import SCALES
from lib.transfer import curate, finetune

RATE, LABELS = 22_050, ["Aba", "Bebe", "Cici"]
TINY = mae.Arch(dim=128, depth=4, heads=4, decoder="plain", decoder_dim=64, decoder_depth=1, decoder_heads=4)
SHORT = replace(TINY, frames=304, mels=80)  # notebook 10's


def chirps(seed: int, seconds: float = 6.0, hz: float = 2000.0) -> tuple[torch.Tensor, pd.DataFrame]:
    """Hiss with a short chirp every second, and the boxes of the chirps."""
    noise = 0.01 * torch.randn(round(seconds * RATE), generator=training.generator(seed))
    t = torch.arange(RATE // 4) / RATE
    chirp = 0.3 * torch.hann_window(len(t)) * torch.sin(2 * torch.pi * (hz * t + hz * t**2))
    starts = np.arange(0.3, seconds - 0.3)
    for start in starts:
        noise[round(start * RATE) : round(start * RATE) + len(t)] += chirp
    return noise, pd.DataFrame({"start_s": starts, "end_s": starts + 0.25, "low_hz": hz, "high_hz": 1.5 * hz})


def sounds() -> dict[str, Sound]:
    one, calls = chirps(1, 3.2)
    other = torch.randn(RATE * 3, generator=training.generator(2)).cumsum(0)
    return {"chirps & <hiss>": Sound(one, RATE, calls), "rumble": Sound(0.3 * other / other.abs().max(), RATE)}


def models() -> dict:
    """At the sizes of the ready weights and of the scale tiny, and one with another front end and grid.

    They are untrained: what is tried here is speed and form."""
    return {"larger": (mae.MAE(SCALES["small"].arch(), training.generator(0)), mel.INAT),
            "tiny": (mae.MAE(TINY, training.generator(1)), mel.INAT),
            "other front end": (mae.MAE(SHORT, training.generator(2)), mel.MSM_MAE)}


def recordings(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table of 12 recordings of three species, half of them with hiss alone in their second half, and the calls."""
    rows, events = [], []
    for i in range(12):
        wave, calls = chirps(i, hz=[1000.0, 2000.0, 3500.0][i % 3])
        if i % 2:
            wave[3 * RATE :] = 0.01 * torch.randn(len(wave) - 3 * RATE, generator=training.generator(i))
            calls = calls[calls["end_s"] < 3]
        file = str(audio.write(Path(folder) / f"{i}.wav", wave, RATE))
        split = "train" if i < 6 else "val"
        rows.append({"file": file, "label": LABELS[i % 3], "split": split, "duration_s": 6.0})
        events.append(calls.assign(file=file, label=LABELS[i % 3], kind="call"))
    return pd.DataFrame(rows), pd.concat(events, ignore_index=True)


def of_curation(folder: Path) -> curation.Curation:
    table, events = recordings(folder)
    grid = curate.grid(table, mel.INAT)
    calls = curate.holds_call(grid, events, mel.INAT)
    noise = np.random.default_rng(0).normal(size=(2, len(grid)))
    scores = {"good": grid.assign(score=calls + 0.3 * noise[0]), "bad": grid.assign(score=noise[1])}
    return curation.Curation(scores, table, mel.INAT, calls, events)


def of_confusions(folder: Path) -> confusions.Confusions:
    """Six recordings: 0 and 3 are right, 1 and 4 are Bebe taken for Aba, 2 and 5 are Cici taken for Bebe and Aba."""
    table, events = recordings(folder)
    val, train = table[table["split"] == "val"], table[table["split"] == "train"]
    p = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.1, 0.6, 0.3], [0.7, 0.2, 0.1], [0.45, 0.4, 0.15], [0.5, 0.1, 0.4]])
    seen = finetune.Predictions(p, np.array([0, 1, 2, 0, 1, 2]), np.arange(6), np.arange(3))
    return confusions.Confusions(seen, LABELS, val, train, mel.INAT, events)


def clips(folder: Path) -> pd.DataFrame:
    """The first three seconds of each of those 12 recordings."""
    table, _ = recordings(folder)
    return table[["file", "label"]].assign(start_s=0.0, end_s=3.0)


def of_labelling(folder: Path) -> labelling.Labelling:
    return labelling.Labelling(clips(folder).head(3), Path(folder) / "answers.csv", LABELS)


def of_soundmap(folder: Path) -> soundmap.SoundMap:
    """Two rows of six points; a species' vectors are alike."""
    x = np.eye(3)[np.arange(12) % 3] + 0.1 * np.random.default_rng(0).random((12, 3))
    points = np.stack([np.arange(12) % 6, np.arange(12) // 6], 1).astype(float)
    return soundmap.SoundMap(clips(folder), x, points, np.array([4]))


def every(folder: Path) -> dict:
    """By the names that their panels have on a page."""
    return {"reconstruction": reconstruction.Reconstruction(models(), sounds()), "curation": of_curation(folder),
            "attentionmaps": attention_maps.AttentionMaps(models(), sounds()), "confusions": of_confusions(folder),
            "frontends": front_ends.FrontEnds(sounds()), "labelling": of_labelling(folder),
            "soundmap": of_soundmap(folder)}


MOVES = {  # a slider or dropdown of each and what it is set to, in turn
    "reconstruction": ("ratio", [0.3, 0.5, 0.7, 0.9, 0.4, 0.6, 0.8, 0.2, 0.34]),
    "attentionmaps": ("column", [3, 5, 9, 12, 20, 31, 2, 7, 8]),
    "attentionmaps: block": ("layer", [0, 1, 2, 3, 4, 5, 0, 1, 2]),
    "curation": ("percent", [10, 30, 60, 80, 20, 40, 55, 70, 90]), "confusions": ("place", [2, 3, 4, 1, 2, 3, 4, 1, 2]),
    "frontends": ("mels", [64, 32, 80, 160, 40, 96, 128, 48, 72]),
    "soundmap": ("clip", [2, 3, 4, 5, 6, 7, 8, 9, 10])}


def latencies(explorers: dict) -> dict[str, list[float]]:
    """Seconds from a control's new value to the new picture in the kernel, for nine moves of each explorer."""
    found = {}
    for name, (control, values) in MOVES.items():
        explorer, found[name] = explorers[name.partition(":")[0]], []
        if name == "attentionmaps: block":
            explorer.recording.value = "rumble"  # maps of another recording: none is kept yet
        for value in values:
            begun = time.perf_counter()
            getattr(explorer, control).value = value
            found[name].append(time.perf_counter() - begun)
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        measured = latencies(every(Path(folder)))
    for name, seconds in measured.items():
        print(f"{name:20} median {statistics.median(seconds):.3f} s, slowest {max(seconds):.3f} s")
