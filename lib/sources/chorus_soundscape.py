"""Soundscapes of `chorus`: one place for any length of time, several species at once, and the boxes of every call.

The animals are those of the test recordings (the same individuals in new calls, whatever the seed), at a place of its
own. Each calls in bouts, at random times and levels, over one field; weather, people and machines come and go. Made a
minute at a time, so that an hour takes no more memory than a minute, and a shorter one is the beginning of a longer one
of the same seed."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import soundfile

from lib import paths, progress
from lib.sources import chorus, chorus_everyday, chorus_field, chorus_recording, chorus_voices
from lib.sources.chorus_field import LEAD
from lib.sources.chorus_recording import Piece, Rendered
from lib.sources.chorus_voices import RATE, Call

__all__ = ["TRUTH", "make", "write"]

TRUTH = ["label", "start_s", "end_s", "low_hz", "high_hz", "kind"]
SEED = 1403  # what all draws begin with, besides the caller's seed
BLOCK_S, OVERLAP_S = 60, 12  # a block is faded into the next over this long, which no call and no noise outlasts
LEVEL_DB = -48.0  # of the field, root mean square
CALL_DB, NOISE_DB = (3.0, 30.0), (-3.0, 18.0)  # over the field: of a call in its own band, of a noise in all
NOISES = [("weather", "rain"), ("weather", "wind"), ("weather", "thunder"), ("speech", "talking"),
          ("machine", "engine"), ("machine", "drill"), ("impact", "footsteps"), ("impact", "knocks"),
          ("alarm", "bell"), ("crowd", "babble")]


class Scene(NamedTuple):
    """What holds for a whole soundscape."""
    species: list[dict]  # rows of `chorus.species`
    place: chorus_field.Site
    key: tuple[int, ...]  # what the seeds of its draws begin with
    animals: tuple[int, ...]  # the same of the individuals', as in the recordings of test
    bouts: float  # a minute, of all species together
    noises: float  # a minute


def make(seconds: float, seed: int, labels: Sequence[str] | None = None, *, size: str = "tiny", data_seed: int = 0,
         bouts: float = 8.0, noises: float = 1.5) -> tuple[np.ndarray, pd.DataFrame]:
    """A soundscape as samples (N,) float32 at 22,050 Hz, and its truth: a row of TRUTH for every call and every noise.

    labels: the species, by default all that `chorus` (size, data_seed) has in test. bouts: how many a minute of all of
    them together, of a few calls each, on average 6 s long; noises: a minute, of 3 to 8 s, with kind "noise" and a
    label such as "noise:rain"; calls have kind "call". Boxes hold 99.5 % of a sound's energy in time and in frequency,
    also of one too faint to be heard."""
    waves, rows = zip(*_blocks(seconds, _scene(seed, labels, size, data_seed, bouts, noises)))
    return np.concatenate(waves), pd.concat(rows, ignore_index=True)


def write(file: str | Path, seconds: float, seed: int, labels: Sequence[str] | None = None, *, size: str = "tiny",
          data_seed: int = 0, bouts: float = 8.0, noises: float = 1.5, bar: str | None = "soundscape") -> pd.DataFrame:
    """Write what `make` gives to a sound file, block by block; returns the truth."""
    blocks = _blocks(seconds, _scene(seed, labels, size, data_seed, bouts, noises))
    path, rows = paths.resolve(file), []
    with paths.atomic(path) as temporary, soundfile.SoundFile(temporary, "w", RATE, 1, "PCM_16") as sound:
        for wave, truth in progress.bar(blocks, total=-(-seconds // BLOCK_S), desc=bar, unit="min", leave=False):
            sound.write(wave)
            rows.append(truth)
    return pd.concat(rows, ignore_index=True)


def _scene(seed: int, labels: Sequence[str] | None, size: str, data_seed: int, bouts: float, noises: float) -> Scene:
    species = chorus.species(size, data_seed)
    known = species[species["test"] > 0].set_index("label", drop=False)
    if unknown := set(labels or ()) - set(known.index):
        raise ValueError(f"{sorted(unknown)[0]!r} is not in the test recordings of chorus {size}; there are "
                         f"{', '.join(known.index)}")
    rng = np.random.default_rng([SEED, data_seed, seed])
    return Scene(known.loc[list(labels or known.index)].to_dict("records"), chorus_field.site(rng),
                 (SEED, data_seed, seed), chorus.key("wildlife", data_seed), bouts, noises)


def _blocks(seconds: float, scene: Scene) -> Iterator[tuple[np.ndarray, pd.DataFrame]]:
    """The soundscape in blocks of BLOCK_S seconds: samples, and the rows of what begins in it."""
    if seconds <= 0:
        raise ValueError(f"seconds is {seconds:g}: a soundscape must be longer than that")
    step, over, total = BLOCK_S * RATE, OVERLAP_S * RATE, round(seconds * RATE)
    fade = np.sqrt(np.linspace(0, 1, over, dtype=np.float32))  # equal power: the two fields know nothing of each other
    field, sounds = np.zeros(over, np.float32), np.zeros(over, np.float32)  # what the block before left for this one
    for k in range(-(-total // step)):
        block = _block(scene, k)
        calls = block.wave - block.field
        if k == 0:
            gain = 10 ** (LEVEL_DB / 20) / np.sqrt(np.mean(block.field**2))
            field = block.field[:over]
        else:
            field = fade[::-1] * field + fade * block.field[:over]
        wave = np.concatenate([field + calls[:over] + sounds, block.wave[over:step]])
        field, sounds = block.field[step:], calls[step:]
        yield np.clip(gain * wave[: total - k * step], -1, 1), _truth(block, k * BLOCK_S, seconds)


def _truth(block: Rendered, start_s: float, end_s: float) -> pd.DataFrame:
    rows = pd.DataFrame(chorus_recording.boxes(block), columns=chorus_recording.BOX)[TRUTH]
    rows = rows.astype({name: str if name in ("label", "kind") else float for name in TRUTH})  # also without a row
    times = (rows[["start_s", "end_s"]] + start_s).clip(upper=end_s).round(4)
    rows = rows.assign(**times)[times["start_s"] < times["end_s"]]
    return rows.sort_values("start_s", kind="stable", ignore_index=True)


def _block(scene: Scene, k: int) -> Rendered:
    """The k-th block, as if nothing was before it, and what of it sounds behind its end."""
    rng, n = np.random.default_rng([*scene.key, k]), (BLOCK_S + OVERLAP_S) * RATE
    quiet = chorus_field.bed(n, scene.place, rng)
    colour = scene.place.recorder.colour
    field = chorus_field.heard(quiet, np.ones(1, np.float32), colour)[LEAD:LEAD + n]
    loud, level, pieces = chorus_recording.in_band(quiet), np.sqrt(np.mean(field**2)), []
    for _ in range(rng.poisson(scene.bouts * BLOCK_S / 60)):
        pieces += _bout(scene, rng, loud)
    for _ in range(rng.poisson(scene.noises * BLOCK_S / 60)):
        pieces.append(_noise(rng, level))
    wave = field.copy()
    for piece in pieces:
        chorus_voices.add(wave, piece.at, piece.wave)
    return Rendered(wave, field, pieces)


def _bout(scene: Scene, rng: np.random.Generator, loud: Callable[[Call], float]) -> Iterator[Piece]:
    """One animal calls some times, from one spot."""
    species = scene.species[rng.integers(len(scene.species))]
    name = f"{species['label']} test {rng.integers(-(-species['test'] // 2))}"  # of a group of `chorus`
    own = np.random.default_rng([*scene.animals, *name.encode()])
    chorus_field.site(own)  # its place there, which is drawn first and not needed here
    voices = chorus_recording.repertoire(
        chorus_recording.individual((species["voice"], species["second"]), own), rng)
    response = chorus_field.room(rng, rng.uniform(0.05, 0.5), rng.uniform(0, 0.6))
    air = scene.place.recorder.colour * np.exp(-rng.uniform(0, 0.8) * (chorus_field.GRID / 8000) ** 2)
    start_s, level_db = rng.uniform(0, BLOCK_S), rng.uniform(*CALL_DB)
    until_s = min(BLOCK_S, start_s + rng.exponential(6))
    while True:
        voice = voices[rng.integers(len(voices))]
        call = chorus_voices.plan(voice, rng)
        gain = np.float32(loud(call) * 10 ** ((level_db + rng.normal(0, 2)) / 20))
        sung = chorus_field.heard(chorus_voices.sing(call, voice, rng) * gain, response, air)
        yield _piece(start_s, sung, species["label"], "call")
        start_s += call.long_s + voice.pause_s * rng.uniform(0.5, 1.8)
        if start_s > until_s:
            return


def _noise(rng: np.random.Generator, level: float) -> Piece:
    """A noise of 3 to 8 s that comes and goes, over a field of this level."""
    family, name = NOISES[rng.integers(len(NOISES))]
    n = int(rng.uniform(3, 8) * RATE)
    wave = chorus_everyday.FAMILIES[family][name](n, rng)
    ramp = np.minimum(1, np.minimum(np.arange(n), np.arange(n)[::-1]) / (0.5 * RATE))
    gain = level * 10 ** (rng.uniform(*NOISE_DB) / 20) / (np.sqrt(np.mean(wave**2)) + 1e-9)
    response = chorus_field.room(rng, rng.uniform(0.05, 0.4), rng.uniform(0, 0.4))
    sound = chorus_field.heard(wave * ramp * gain, response, np.ones(len(chorus_field.GRID)))
    return _piece(rng.uniform(0, BLOCK_S), sound, f"noise:{name}", "noise")


def _piece(start_s: float, wave: np.ndarray, label: str, kind: str) -> Piece:
    """A sound behind `chorus_field.heard`, which begins LEAD samples early, placed in its block."""
    at = int(start_s * RATE) - LEAD
    return Piece(max(at, 0), wave[max(-at, 0):], label, kind)
