"""Toys for the tests: recordings of tones, a front end of 0.4 s, and a model of a few thousand weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch

from lib import audio, mel
from lib.mae import Arch

FRONT = replace(mel.INAT, mels=32, frames=64)  # 8,576 samples, 0.39 s
ARCH = Arch(frames=64, mels=32, patch=(16, 16), dim=32, depth=1, heads=2, decoder="plain", decoder_dim=16,
            decoder_depth=1, decoder_heads=2)
PITCH = {"low": 300.0, "mid": 1500.0, "high": 5000.0}


def tone(hz: float, seconds: float, rng: np.random.Generator, rate: int = 22_050) -> torch.Tensor:
    t = np.arange(round(seconds * rate)) / rate
    # quiet: INAT clips at +-50 dB
    wave = 0.02 * np.sin(2 * np.pi * (hz * t + rng.random())) + 1e-4 * rng.standard_normal(len(t))
    return torch.tensor(wave, dtype=torch.float32)


def tones(folder: Path, train: int = 6, val: int = 2, test: int = 2, seconds: float = 0.6,
          seed: int = 0) -> pd.DataFrame:
    """A recordings table of three classes that differ in pitch; a file for every row."""
    rng, rows = np.random.default_rng(seed), []
    for label, hz in PITCH.items():
        for i, split in enumerate(["train"] * train + ["val"] * val + ["test"] * test):
            file = audio.write(folder / f"{label}{i}.wav", tone(hz * rng.uniform(0.9, 1.1), seconds, rng), 22_050)
            rows.append(dict(file=str(file), label=label, split=split, duration_s=seconds))
    return pd.DataFrame(rows)


def ramp(file: Path, samples: int) -> str:
    """A recording whose k-th sample is k steps of a 16-bit file: a piece of it says where it was cut."""
    return str(audio.write(file, torch.arange(samples) % 32_768 / 32_768, 22_050))


GOOD = ["stereo.wav", "slow.wav", "fast.flac", "a.mp3", "b.ogg", "float.wav", "short.wav", "silent.flac", "plain.WAV"]
BAD = {"empty.wav": "empty", "cut.wav": "cut off", "cut.flac": "decoded", "cut.ogg": "cut off",
       "text.wav": "no sound format", "nan.wav": "NaN",
       "zero.wav": "no samples", "gone.wav": "no such file", "loop.wav": "cannot be read"}


def mess(root: Path) -> Path:
    """A folder with two classes: in each the good files of every kind, and the broken ones."""
    rng = np.random.default_rng(0)
    for label in ("frog", "toad"):
        folder = root / label
        folder.mkdir(parents=True)
        wave = tone(800 if label == "frog" else 3000, 1.0, rng).numpy()
        for name, rate, samples in (("stereo.wav", 44_100, np.stack([wave, -0.5 * wave], 1)),
                                    ("slow.wav", 8_000, wave[:8000]),
                                    ("fast.flac", 96_000, np.tile(wave, 3)), ("a.mp3", 44_100, wave),
                                    ("b.ogg", 44_100, wave),
                                    ("plain.WAV", 22_050, wave), ("short.wav", 22_050, wave[:2000]),
                                    ("silent.flac", 22_050, 0 * wave),
                                    ("zero.wav", 22_050, wave[:0])):
            soundfile.write(folder / name, samples, rate)
        soundfile.write(folder / "float.wav", wave, 22_050, subtype="FLOAT")
        soundfile.write(folder / "nan.wav", np.where(np.arange(len(wave)) == 9000, np.nan, wave), 22_050,
                        subtype="FLOAT")
        for cut, whole in (("cut.wav", "plain.WAV"), ("cut.flac", "fast.flac"), ("cut.ogg", "b.ogg")):
            content = (folder / whole).read_bytes()
            (folder / cut).write_bytes(content[: len(content) // 2])
        (folder / "empty.wav").touch()
        (folder / "text.wav").write_text("this is no sound\n" * 100)
        (folder / "gone.wav").symlink_to(root / "nowhere.wav")
        (folder / "loop.wav").symlink_to(folder / "loop.wav")  # cannot be read even by root
        (folder / "notes.txt").write_text("not a sound, and not named like one")
    return root
