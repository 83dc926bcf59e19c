"""`chorus`: a synthetic stand-in for iNatSounds ("wildlife") and AudioSet ("general"), made on the spot, offline.

Invented species call in invented fields. It is good for teaching and for finding mistakes; what it shows holds in the
generator's world only. Species of a genus differ finely (syllable rate, sweep, harmonic balance, note order), genera
share bands, places and recorders differ strongly, and the true box of every call is kept.

Measured on version 1, `tiny`, data_seed 0, front end mel.INAT. Class-averaged top-1 over the 33 evaluated species,
trained on 407 recordings: logistic regression on a recording's mean log-mel (scikit-learn, C=10) 29.5 % val, 32.6 %
test, the genus right in 52 %; a small CNN from scratch (five convolutions, each band's median taken off, 590 batches of
32 random 3 s crops, probabilities of windows averaged) 55.3 % val, 61.4 % test. Chance is 3 %.
Asked for 0, 0.2, 0.4, 0.6, 0.8 of empty windows, wildlife has 0.01, 0.20, 0.38, 0.50, 0.55: every recording holds a
call, so one of 3 s has no empty window. Calls cover 25 % of the time. Normalised specs: mean 0.27, std 0.50 within a
recording and 0.78 over all. 935 recordings (1.4 h) and 500 general clips (1.4 h) take 63 CPU seconds and 450 MB.
"""
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import soundfile
from scipy import fft

from lib import paths
from lib.sources import chorus_everyday, chorus_voices, processes
from lib.sources.chorus_voices import GENERA, RATE

__all__ = ["VERSION", "POOLS", "Size", "SIZES", "species", "make", "events", "holds_call", "empty_share"]

VERSION = 1                # part of every cache folder's name; raise it when any sample would change
POOLS = ("wildlife", "general", "other_species")
MANY = 100                 # files from which on worker processes are started, which costs a second
COLUMNS = ["file", "label", "split", "duration_s", "source", "group", "taxon", "genus"]
EVENT_COLUMNS = ["file", "start_s", "end_s", "low_hz", "high_hz", "label", "kind"]


@dataclass(frozen=True)
class Size:
    """How much to make."""
    genera: int = 9            # per taxon, at most; 9 = all there are
    siblings: int = 4          # per genus, at most
    train_only: int = 7        # species without val and test recordings, as in iNatSounds
    top: int = 24              # train recordings of the commonest species ...
    floor: int = 3             # ... and of the rarest: the tail is geometric, and in train only
    held_out: int = 8          # recordings per evaluated species in val, and as many in test
    mean_s: float = 5.0        # recordings last 3 s and more, mostly about this
    longest_s: float = 20.0
    general: int = 500         # clips in "general", and in "other_species"
    general_s: float = 10.0    # as in AudioSet


SIZES = {
    "smoke": Size(1, 2, 1, top=6, floor=2, held_out=2, mean_s=3.6, longest_s=5.0, general=24, general_s=4.0),
    "tiny": Size(),
    "small": Size(top=48, floor=6, held_out=16, general=800),  # twice tiny: two slow cores make it in a few minutes
    "paper": Size(top=48, floor=6, held_out=16, general=800),  # as small: chorus has no scale like the papers' data
}
EPITHETS = {"wildlife": ("alba", "brevis", "clara", "densa"), "other_species": ("nova", "aliena", "remota", "ultima")}


def species(size: str = "tiny", data_seed: int = 0, pool: str = "wildlife") -> pd.DataFrame:
    """The species of a size, without any sound: label, genus, taxon, evaluated, train (recordings), voice."""
    _check(pool, size, 0.0, 1.0)
    chosen, alien = SIZES[size], pool != "wildlife"
    rng = np.random.default_rng([VERSION, POOLS.index(pool), data_seed, 10 ** 6])
    names = EPITHETS["other_species" if alien else "wildlife"]
    rows, genera = [], Counter()
    for genus in GENERA:                                  # the draws are the same at every size
        voice = replace(genus.voice, pitch_hz=float(np.exp(rng.uniform(*np.log(genus.pitch_hz)))))
        siblings = [_vary(replace(voice, **change), rng, alien) for change in genus.siblings]
        genera[genus.taxon] += 1
        if genera[genus.taxon] <= chosen.genera:
            rows += [dict(label=f"{genus.name} {name}", genus=genus.name, taxon=genus.taxon, voice=one)
                     for name, one in zip(names, siblings[:chosen.siblings])]
    table = pd.DataFrame(rows)
    last = table.groupby("genus").tail(1).assign(many=lambda t: t.genus.map(table.genus.value_counts()))
    last = last.sample(frac=1, random_state=rng.integers(2 ** 31))
    last = last.sort_values("many", key=lambda many: many < 3, kind="stable")      # large genera give a species first
    table["evaluated"] = ~table.index.isin(last.index[:chosen.train_only])
    rank = rng.permutation(len(table)) / (len(table) - 1)
    table["train"] = np.round(chosen.top * (chosen.floor / chosen.top) ** rank).astype(int)
    return table[["label", "genus", "taxon", "evaluated", "train", "voice"]]


def _vary(voice, rng, much):
    """A species is never exactly the rule; those of `other_species` and of the background are far from it."""
    wide = 0.3 if much else 0.02
    pitch, rate, pulse, pause = np.exp(rng.normal(0, (max(wide, 0.06), wide, wide, wide)))
    return replace(voice, pitch_hz=float(np.clip(voice.pitch_hz * pitch, 120, 7000)), rate=voice.rate * rate,
                   pulse_hz=voice.pulse_hz * pulse, pause_s=voice.pause_s * pause,
                   sweep=voice.sweep + rng.normal(0, wide), bend=voice.bend + rng.normal(0, wide / 2))


def _rows(pool, size, data_seed):
    """What each index is, without sound: label, split, group, taxon, genus, voice."""
    chosen = SIZES[size]
    if pool == "general":
        classes = [dict(label=name, taxon=family, genus="", voice=None)
                   for family, names in chorus_everyday.FAMILIES.items() for name in names]
        return [dict(classes[i % len(classes)], group=f"clip {i}", split="val" if i % 10 == 9 else "train")
                for i in range(chosen.general)]
    kinds = species(size, data_seed, pool).to_dict("records")
    if pool == "other_species":
        turns = [(kinds[i % len(kinds)], "train", i // len(kinds)) for i in range(chosen.general)]
    else:
        turns = [(kind, split, i) for kind in kinds for split in ("train", "val", "test")
                 for i in range(kind["train"] if split == "train" else chosen.held_out * kind["evaluated"])]
    return [dict(kind, split=split, group=f"{kind['label']} {split} {turn // 2}") for kind, split, turn in turns]


# ---- one recording

class Job(NamedTuple):
    """Everything a worker needs to know to make one file."""
    pool: str
    size: str
    data_seed: int
    empty: float
    difficulty: float
    index: int
    row: dict
    file: str


class Plan(NamedTuple):
    samples: int
    calls: list      # of (start_s, Call, Voice, gain_db)
    others: list     # the same, for unlabelled species
    place: chorus_voices.Site
    rng: np.random.Generator


def _plan(job: Job) -> Plan:
    """When which animal calls: everything about a recording that needs no samples."""
    pool, size = POOLS.index(job.pool), SIZES[job.size]
    rng = np.random.default_rng([VERSION, pool, job.data_seed, job.index])
    shared = np.random.default_rng([VERSION, pool, job.data_seed, *job.row["group"].encode()])  # the animal, its place
    place, hard = chorus_voices.site(shared, job.difficulty), np.sqrt(job.difficulty)
    if job.pool == "general":
        return Plan(int(size.general_s * RATE), [], [], place, rng)
    long_s = 3 + rng.exponential(size.mean_s - 3)
    if size.longest_s > 8 and rng.random() < 0.06:
        long_s = rng.uniform(8, size.longest_s)           # the long tail of durations
    long_s = size.general_s if job.pool == "other_species" else min(long_s, size.longest_s)
    pitch, rate, tilt, bend = shared.normal(0, [0.04 * hard, 0.035 * hard, 0.3 * hard, 0.04 * hard])
    voice = job.row["voice"]
    voice = replace(voice, pitch_hz=voice.pitch_hz * np.exp(pitch), rate=voice.rate * np.exp(rate),
                    tilt=voice.tilt + tilt, pulse_hz=voice.pulse_hz * np.exp(rate), bend=voice.bend + bend)
    calls = _layout(long_s, voice, job.empty, rng)
    others = []
    for _ in range(rng.poisson(0.7 * job.difficulty)):
        genus = GENERA[rng.integers(len(GENERA))]
        stranger = _vary(replace(genus.voice, pitch_hz=rng.uniform(*genus.pitch_hz), **genus.siblings[0]), rng, True)
        others += _layout(long_s, stranger, rng.uniform(0, 0.8), rng, rng.uniform(-8, 12))
    return Plan(int(long_s * RATE), calls, others, place, rng)


def _layout(long_s, voice, empty, rng, gain_db=0.0):
    """Place calls so that about `empty` of the 3 s windows hold none: the best of 24 random runs of calls."""
    planned, at, starts = [], 0.0, []
    while at < long_s and len(planned) < 60:
        planned.append(chorus_voices.plan(voice, rng))
        starts.append(at)
        at += planned[-1].long_s + voice.pause_s * rng.uniform(0.5, 1.8)
        at += rng.uniform(1, 4) if rng.random() < 0.15 else 0
    starts = np.array(starts)
    ends = starts + [call.long_s for call in planned]
    fits = max(int(np.sum(ends <= long_s)), 1)
    aim, runs = empty * rng.uniform(0.7, 1.7), []
    for _ in range(24):
        count = int(rng.integers(1, fits + 1))
        room = max(long_s - ends[count - 1], 0.0)
        shift = room * np.clip(rng.uniform(-0.4, 1.4), 0, 1)
        runs.append((abs(_empty(starts[:count] + shift, ends[:count] + shift, long_s).mean() - aim), count, shift))
    _, count, shift = min(runs, key=lambda run: run[0])
    return [(float(starts[i] + shift), planned[i], voice, gain_db + rng.normal(0, 2.5)) for i in range(count)]


def _empty(start, end, long_s, window_s=3.0, step_s=1.5):
    """Which windows hold no call: bool (W,). The last window is aligned to the end of the recording."""
    at = np.arange(0, max(long_s - window_s, 0) + 1e-6, step_s)
    at = np.append(at, long_s - window_s) if long_s - window_s > at[-1] + 1e-3 else at
    return ~holds_call(at, start, np.minimum(np.asarray(end), long_s), window_s)


def _record(job: Job) -> None:
    """Make one file: sing the plan in the field, through air, room and recorder."""
    n, calls, others, place, rng = _plan(job)
    size = fft.next_fast_len(n + RATE // 2)
    f = np.arange(size // 2 + 1) * (RATE / size)
    if job.pool == "general":
        wave = chorus_everyday.everyday(n, job.row["taxon"], job.row["label"], rng)
        spec = fft.rfft(wave, size) * _room(size, rng, rng.uniform(0.05, 0.4), rng.uniform(0.0, 0.4))
        spec = spec * np.minimum(1, (f + 1) / 700) ** -rng.uniform(0, 0.5)              # most sounds fall off upwards
        spec = spec * np.maximum(1, f / 700) ** -rng.uniform(0, 1.2)
        quiet = fft.rfft(chorus_voices.bed(n, place, rng) * np.float32(10 ** rng.uniform(-3, -1.6)), size)
        level = rng.uniform(-50, -22)
    else:
        quiet = fft.rfft(chorus_voices.bed(n, place, rng), size)
        power = np.abs(quiet) ** 2
        snr = rng.uniform(10, 42) - 6 * (job.difficulty - 1)                          # dB in the call's own band
        near, far = np.zeros(n, np.float32), np.zeros(n, np.float32)
        for wave, group in ((near, calls), (far, others)):
            for start_s, call, voice, gain_db in group:
                band = power[(f >= call.low_hz) & (f <= call.high_hz)].sum() * 2 / size / n
                gain = np.sqrt(band) * 10 ** ((snr * (wave is near) + gain_db) / 20)
                chorus_voices.add(wave, start_s * RATE, chorus_voices.sing(call, voice, rng) * np.float32(gain))
        air = np.exp(-rng.uniform(0, 0.8) * (f / 8000) ** 2)                          # distance eats the high notes
        spec = fft.rfft(near, size) * _room(size, rng, rng.uniform(0.05, 0.5), rng.uniform(0, 0.6)) * air
        if others:
            spec = spec + fft.rfft(far, size) * _room(size, rng, 0.6, 0.8)
        level = rng.uniform(-50, -28)
    colour = np.interp(f, chorus_voices.GRID, place.colour)
    wave = fft.irfft((spec + quiet) * colour, size)[:n]
    wave = wave * (10 ** (level / 20) / (np.sqrt(np.mean(wave ** 2)) + 1e-9))
    wave = wave * min(1.0, 0.9 / (np.abs(wave).max() + 1e-9))
    try:
        with paths.atomic(job.file) as temporary:
            soundfile.write(temporary, wave, RATE, subtype="PCM_16")
    except (OSError, soundfile.LibsndfileError) as error:   # the latter says no more than "System error."
        raise OSError(f"{job.file} could not be written ({error}): free some space, and the same call goes on"
                      ) from None


def _room(size, rng, decay_s, wet):
    """Transfer function of a place that answers: the sound, then a decaying noisy tail."""
    t = np.arange(int(min(2.5 * decay_s, 0.5) * RATE)) / RATE
    tail = rng.standard_normal(len(t)) * np.exp(-6.9 * t / decay_s)
    tail *= wet / (np.sqrt((tail ** 2).sum()) + 1e-9)
    tail[0] += 1
    return fft.rfft(tail.astype(np.float32), size)


def _check(pool, size, empty, difficulty):
    if pool not in POOLS:
        raise ValueError(f"chorus has no pool {pool!r}; it has {', '.join(POOLS)}")
    if size not in SIZES:
        raise ValueError(f"chorus has no size {size!r}; it has {', '.join(SIZES)}")
    if not 0 <= empty <= 0.9:
        raise ValueError(f"empty={empty} is not a share of windows that chorus can leave empty; choose 0 to 0.9")
    if not 0.1 <= difficulty <= 3:
        raise ValueError(f"difficulty={difficulty} is out of range; choose 0.1 (easy) to 3 (1 is calibrated)")


# ---- files

def make(pool: str, size: str = "tiny", data_seed: int = 0, empty: float = 0.4, difficulty: float = 1.0,
         progress: bool = True, workers: int | None = None) -> pd.DataFrame:
    """The recordings table of a pool; missing files are made first (all cores, resumable), later calls only read.

    `empty` (share of 3 s windows without a labelled call) and `difficulty` act on the wildlife-like pools only.
    Raises ValueError for an unknown pool or size, or a number out of range."""
    _check(pool, size, empty, difficulty)
    wild = "" if pool == "general" else f"-empty{empty:g}-difficulty{difficulty:g}"
    folder = paths.cache("chorus", f"v{VERSION}-{pool}-{size}-seed{data_seed}{wild}")
    if (table := _finished(folder)) is not None:
        return table
    with paths.locked(folder):  # of several runs that want the same the first makes it
        if (table := _finished(folder)) is not None:
            return table
        jobs = [Job(pool, size, data_seed, empty, difficulty, i, row, str(folder / f"{pool}_{i:05d}.wav"))
                for i, row in enumerate(_rows(pool, size, data_seed))]
        missing = [job for job in jobs if not Path(job.file).exists()]
        count = (workers or paths.processors()) if len(missing) > MANY else 1
        processes.run(_record, missing, count, desc=f"chorus {pool} {size}", unit="file", total=len(jobs),
                      initial=len(jobs) - len(missing), disable=not progress, leave=False)
        _write_tables(folder, jobs)
    return _finished(folder)


def _finished(folder: Path) -> pd.DataFrame | None:
    """The table of a finished folder, or None while anything is missing."""
    there = {file.name for file in folder.iterdir()}
    if not {"manifest.csv", "events.csv"} <= there:
        return None
    table = pd.read_csv(folder / "manifest.csv", keep_default_na=False)
    return table.assign(file=[str(folder / name) for name in table.file]) if set(table.file) <= there else None


def _write_tables(folder: Path, jobs: list[Job]) -> None:
    """Write the boxes of all calls and, last, the manifest: it says that all is there."""
    rows, boxes = [], []
    for job in jobs:
        plan, name = _plan(job), Path(job.file).name
        long_s = plan.samples / RATE
        rows.append(dict(job.row, file=name, duration_s=round(long_s, 4), source="chorus"))
        for kind, label, group in (("call", job.row["label"], plan.calls), ("background", "", plan.others)):
            boxes += [(name, round(at, 4), round(min(at + call.long_s, long_s), 4), round(call.low_hz),
                       round(call.high_hz), label, kind) for at, call, _, _ in group]
    paths.write_text(folder / "events.csv", pd.DataFrame(boxes, columns=EVENT_COLUMNS).to_csv(index=False))
    paths.write_text(folder / "manifest.csv", pd.DataFrame(rows)[COLUMNS].to_csv(index=False))


def events(table: pd.DataFrame) -> pd.DataFrame:
    """The true boxes of a table's files: file, start_s, end_s, low_hz, high_hz, label, kind.

    kind is "call" (the labelled animal) or "background" (another one, label "")."""
    found = []
    for folder in dict.fromkeys(Path(file).parent for file in table.file):
        if not (folder / "events.csv").exists():
            raise ValueError(f"{folder} has no events.csv: no finished chorus recordings; call chorus.make first")
        boxes = pd.read_csv(folder / "events.csv", keep_default_na=False)
        found.append(boxes.assign(file=[str(folder / name) for name in boxes.file]))
    found = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=EVENT_COLUMNS)
    return found[found.file.isin(set(table.file))].reset_index(drop=True)


def holds_call(at: np.ndarray, start: np.ndarray, end: np.ndarray, window_s: float = 3.0) -> np.ndarray:
    """Which windows of a recording, from `at` (W,) s on, hold one of its calls, start ... end (calls,) s: bool (W,).

    A call counts where at least 0.1 s, or half, of it lies inside."""
    start, end = np.asarray(start)[:, None], np.asarray(end)[:, None]
    inside = np.minimum(end, np.asarray(at) + window_s) - np.maximum(start, at)         # (calls, W) s
    return (inside >= np.minimum(0.1, 0.5 * (end - start))).any(0)


def empty_share(table: pd.DataFrame, events: pd.DataFrame, window_s: float = 3.0, step_s: float = 1.5) -> float:
    """Share of windows without a labelled call; a call counts where at least 0.1 s, or half, of it lies inside."""
    calls = dict(list(events[events.kind == "call"].groupby("file")))
    none = pd.DataFrame({"start_s": [], "end_s": []}, dtype=float)
    boxes = [(calls.get(row.file, none), row.duration_s) for row in table.itertuples()]
    windows = [_empty(box.start_s, box.end_s, long_s, window_s, step_s) for box, long_s in boxes]
    return float(np.concatenate(windows).mean())
