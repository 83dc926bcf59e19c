"""`chorus`: a synthetic stand-in for iNatSounds ("wildlife") and AudioSet ("general"), made on the spot, offline.

Invented species call in invented fields. It is good for teaching and for finding mistakes; what it shows holds in the
generator's world only. Species of a genus differ finely (syllable rate, sweep, harmonic balance, note order), a third
of them have a second type of call, genera share bands, places and recorders differ strongly. In its own band a call has
0 to 42 dB over the field, which swells and sinks. The true boxes of every call are measured on its sound. General clips
have backgrounds of their own making, and an animal calls in one of twelve.

Calibrated by logistic regression and a small CNN alone (`lib/transfer/baseline.py`) before any masked autoencoder saw
it, and left as it is since. Measured on version 2, `tiny`, seed 0, front end mel.INAT, trained on 407 recordings:
class-averaged top-1 of test over the 33 evaluated species, data_seed 0 and 1. Logistic regression on mean and spread of
the log-mel 30.2 and 26.5 %, the small CNN 53.9 and 49.4 %, chance 3 %.
Asked for 0.4 of empty windows, wildlife has 0.38. The outer boxes hold 98.8 % of a call's energy or more, the inner
ones 98.9 % on average and 92 % at least. 1,463 recordings (2.2 h) and 2,000 general clips (5.6 h) took 36 s
and 58 s on two cores of an Intel Xeon (AVX-512).
"""
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from lib import paths
from lib.sources import chorus_everyday, chorus_recording, chorus_voices, processes
from lib.sources.chorus_recording import Job
from lib.sources.chorus_voices import GENERA

__all__ = ["VERSION", "POOLS", "Size", "SIZES", "species", "key", "make", "events", "empty_share"]

VERSION = 2                # part of every cache folder's name; raise it when any sample would change
POOLS = ("wildlife", "general", "other_species")
MANY = 100                 # files from which on worker processes are started, which costs a second
RECORDISTS = 12            # that `recordist` draws from
TABLES = ("manifest.csv", "events.csv")
COLUMNS = ["file", "label", "split", "duration_s", "source", "group", "taxon", "genus", "recordist"]
EVENT_COLUMNS = ["file", *chorus_recording.BOX]
RANGES = {
    "empty": (0, 0.9, "a share of windows that chorus can leave empty"),
    "difficulty": (0.1, 3, "a difficulty (1 is calibrated)"),
    "wrong_labels": (0, 0.9, "a share of train recordings that can be labelled wrongly"),
    "recordist": (0, 1, "a share of recordings by the species' own recordist"),
}


@dataclass(frozen=True)
class Size:
    """How much to make."""
    genera: int = 9            # per taxon, at most; 9 = all there are
    siblings: int = 4          # per genus, at most
    train_only: int = 7        # species without val and test recordings, as in iNatSounds
    top: int = 24              # train recordings of the commonest species ...
    floor: int = 3             # ... and of the rarest: the tail is geometric, and in train only
    val: int = 8               # recordings per evaluated species in val ...
    test: int = 24             # ... and in test: four points of a species are one recording
    mean_s: float = 5.0        # recordings last 3 s and more, mostly about this
    longest_s: float = 20.0
    general: int = 2_000       # clips in "general", and in "other_species"
    general_s: float = 10.0    # as in AudioSet


SIZES = {
    "smoke": Size(1, 2, 1, top=6, floor=2, val=2, test=2, mean_s=3.6, longest_s=5.0, general=24, general_s=4.0),
    "tiny": Size(),
    "small": Size(top=48, floor=6, val=16, general=3_000),  # about twice tiny: slow cores make it in a few minutes
    "paper": Size(top=48, floor=6, val=16, general=3_000),  # as small: chorus has no scale like the papers' data
}
EPITHETS = {"wildlife": ("alba", "brevis", "clara", "densa"), "other_species": ("nova", "aliena", "remota", "ultima")}


def species(size: str = "tiny", data_seed: int = 0, pool: str = "wildlife") -> pd.DataFrame:
    """The species of a size, without any sound: label, genus, taxon, evaluated, train, val, test (recordings), voice
    and second, the voice of its other type of call, which every third species has (else None)."""
    _check(pool, size)
    chosen, alien = SIZES[size], pool != "wildlife"
    rng = np.random.default_rng([VERSION, POOLS.index(pool), data_seed, 10 ** 6])
    names = EPITHETS["other_species" if alien else "wildlife"]
    rows, genera, turn = [], Counter(), int(rng.integers(3))
    for place, genus in enumerate(GENERA):                                  # the draws are the same at every size
        voice = replace(genus.voice, pitch_hz=float(np.exp(rng.uniform(*np.log(genus.pitch_hz)))))
        siblings = [chorus_recording.vary(replace(voice, **change), rng, alien) for change in genus.siblings]
        others = [chorus_voices.short_call(one, rng) for one in siblings]
        genera[genus.taxon] += 1
        if genera[genus.taxon] <= chosen.genera:
            rows += [dict(label=f"{genus.name} {name}", genus=genus.name, taxon=genus.taxon, voice=one,
                          second=other if (i + place) % 3 == turn else None)
                     for i, (name, one, other) in enumerate(zip(names, siblings[:chosen.siblings], others))]
    table = pd.DataFrame(rows)
    last = table.groupby("genus").tail(1).assign(many=lambda t: t.genus.map(table.genus.value_counts()))
    last = last.sample(frac=1, random_state=rng.integers(2 ** 31))
    last = last.sort_values("many", key=lambda many: many < 3, kind="stable")      # large genera give a species first
    table["evaluated"] = ~table.index.isin(last.index[:chosen.train_only])
    rank = rng.permutation(len(table)) / (len(table) - 1)
    table["train"] = np.round(chosen.top * (chosen.floor / chosen.top) ** rank).astype(int)
    table["val"], table["test"] = chosen.val * table["evaluated"], chosen.test * table["evaluated"]
    return table[["label", "genus", "taxon", "evaluated", "train", "val", "test", "voice", "second"]]


def _rows(pool, size, data_seed, wrong_labels=0.0, recordist=0.0):
    """What each index is, without sound: label, true (species), split, group, taxon, genus, voices, recordist."""
    chosen = SIZES[size]
    if pool == "general":
        classes = [dict(label=name, true="", taxon=family, genus="", recordist=-1)
                   for family, names in chorus_everyday.FAMILIES.items() for name in names]
        return [dict(classes[i % len(classes)], group=f"clip {i}", split="val" if i % 10 == 9 else "train")
                for i in range(chosen.general)]
    kinds = species(size, data_seed, pool).to_dict("records")
    if pool == "other_species":
        turns = [(kinds[i % len(kinds)], "train", i // len(kinds)) for i in range(chosen.general)]
    else:
        turns = [(kind, split, i) for kind in kinds for split in ("train", "val", "test") for i in range(kind[split])]
    rows = [dict(kind, true=kind["label"], split=split, group=f"{kind['label']} {split} {turn // 2}", recordist=-1)
            for kind, split, turn in turns]
    rng = np.random.default_rng([*key(pool, data_seed), 10 ** 6 + 1])
    _mislabel(rows, wrong_labels, rng)
    if recordist:
        _assign(rows, recordist, rng)
    return rows


def key(pool, data_seed):
    """What the seeds of all draws of a pool begin with."""
    return VERSION, POOLS.index(pool), data_seed


def _mislabel(rows, share, rng):
    """Give so many train recordings the label of another species: half of them of one of the same genus."""
    genera = {row["true"]: row["genus"] for row in rows}
    for row in rows:
        wrong, close, which = rng.random(3)
        if row["split"] == "train" and wrong < share:
            others = [name for name, genus in genera.items()
                      if name != row["true"] and (close < 0.5 or genus == row["genus"])]
            row["label"] = others[int(which * len(others))]


def _assign(rows, share, rng):
    """Give each group a recordist: in train and val so many times the one of its species, else, and in test, any."""
    own = {name: int(rng.integers(RECORDISTS)) for name in dict.fromkeys(row["true"] for row in rows)}
    known = {}
    for row in rows:
        if row["group"] not in known:
            at_home, anyone = rng.random() < share and row["split"] != "test", int(rng.integers(RECORDISTS))
            known[row["group"]] = own[row["true"]] if at_home else anyone
        row["recordist"] = known[row["group"]]


def _check(pool, size, **numbers):
    if pool not in POOLS:
        raise ValueError(f"chorus has no pool {pool!r}; it has {', '.join(POOLS)}")
    if size not in SIZES:
        raise ValueError(f"chorus has no size {size!r}; it has {', '.join(SIZES)}")
    for name, value in numbers.items():
        low, high, what = RANGES[name]
        if not low <= value <= high:
            raise ValueError(f"{name}={value} is not {what}; choose {low:g} to {high:g}")


# ---- files

def make(pool: str, size: str = "tiny", data_seed: int = 0, empty: float = 0.4, difficulty: float = 1.0,
         wrong_labels: float = 0.0, recordist: float = 0.0, progress: bool = True,
         workers: int | None = None) -> pd.DataFrame:
    """The recordings table of a pool; missing files are made first (all cores, resumable), later calls only read.

    These act on the wildlife-like pools only:
    empty         share of 3 s windows without a labelled call
    difficulty    1 is calibrated; more noise, strangers and individual variation above it
    wrong_labels  share of train recordings that are labelled as another species; `events` has the true ones
    recordist     how often a train or val recording is by its species' own recordist; in test anyone records anything
    Raises ValueError for an unknown pool or size, or a number out of range."""
    options = dict(empty=empty, difficulty=difficulty, wrong_labels=wrong_labels, recordist=recordist)
    _check(pool, size, **options)
    named = "".join(f"-{name}{value:g}" for name, value in options.items()
                    if pool != "general" and (value or name in ("empty", "difficulty")))
    folder = paths.cache("chorus", f"v{VERSION}-{pool}-{size}-seed{data_seed}{named}")
    if (table := _finished(folder)) is not None:
        return table
    with paths.locked(folder):  # of several runs that want the same the first makes it
        if (table := _finished(folder)) is not None:
            return table
        jobs = [_job(pool, size, data_seed, empty, difficulty, i, row, str(folder / f"{pool}_{i:05d}.wav"))
                for i, row in enumerate(_rows(pool, size, data_seed, wrong_labels, recordist))]
        tables = all((folder / name).exists() for name in TABLES)
        missing = [job for job in jobs
                   if not Path(job.file).exists() or not (tables or Path(job.file).with_suffix(".json").exists())]
        count = (workers or paths.processors()) if len(missing) > MANY else 1
        processes.run(chorus_recording.write, missing, count, desc=f"chorus {pool} {size}", unit="file",
                      total=len(jobs), initial=len(jobs) - len(missing), disable=not progress, leave=False)
        if not tables:
            _write_tables(folder, jobs)
        for beside in folder.glob("*.json"):
            beside.unlink()
    return _finished(folder)


def _job(pool, size, data_seed, empty, difficulty, index, row, file):
    chosen = SIZES[size]
    return Job(key(pool, data_seed), pool, chosen.mean_s, chosen.longest_s, chosen.general_s, empty, difficulty, index,
               row, file)


def _finished(folder: Path) -> pd.DataFrame | None:
    """The table of a finished folder, or None while anything is missing."""
    there = {file.name for file in folder.iterdir()}
    if not set(TABLES) <= there:
        return None
    table = pd.read_csv(folder / "manifest.csv", keep_default_na=False)
    return table.assign(file=[str(folder / name) for name in table.file]) if set(table.file) <= there else None


def _write_tables(folder: Path, jobs: list[Job]) -> None:
    """Write the boxes of all calls and, last, the manifest: it says that all is there."""
    rows, boxes = [], []
    for job in jobs:
        name, long_s = Path(job.file).name, soundfile.info(job.file).duration
        who = f"recordist {job.row['recordist']}" if job.row["recordist"] >= 0 else ""
        rows.append(dict(job.row, file=name, duration_s=round(long_s, 4), source="chorus", recordist=who))
        boxes += [(name, *box) for box in json.loads(Path(job.file).with_suffix(".json").read_text())]
    paths.write_text(folder / "events.csv", pd.DataFrame(boxes, columns=EVENT_COLUMNS).to_csv(index=False))
    paths.write_text(folder / "manifest.csv", pd.DataFrame(rows)[COLUMNS].to_csv(index=False))


def events(table: pd.DataFrame) -> pd.DataFrame:
    """The true boxes of a table's files, measured on the sound of every call as it was recorded, a row a call.

    file; start_s, end_s, low_hz, high_hz: at least 98 % of its energy; inner_start_s, inner_end_s, inner_low_hz,
    inner_high_hz: what is louder than the field (see `chorus_recording.boxes`); label: the species that calls, whatever
    the recording's label says; kind: "call" or "background" (an animal that nobody labelled, label "")."""
    found = []
    for folder in dict.fromkeys(Path(file).parent for file in table.file):
        if not (folder / "events.csv").exists():
            raise ValueError(f"{folder} has no events.csv: no finished chorus recordings; call chorus.make first")
        boxes = pd.read_csv(folder / "events.csv", keep_default_na=False)
        found.append(boxes.assign(file=[str(folder / name) for name in boxes.file]))
    found = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=EVENT_COLUMNS)
    return found[found.file.isin(set(table.file))].reset_index(drop=True)


def empty_share(table: pd.DataFrame, events: pd.DataFrame, window_s: float = 3.0, step_s: float = 1.5) -> float:
    """Share of windows without a labelled call; a call counts where at least 0.1 s, or half, of it lies inside."""
    calls = dict(list(events[events.kind == "call"].groupby("file")))
    none = pd.DataFrame({"start_s": [], "end_s": []}, dtype=float)
    boxes = [(calls.get(row.file, none), row.duration_s) for row in table.itertuples()]
    windows = [chorus_recording.empty(box.start_s, box.end_s, long_s, window_s, step_s) for box, long_s in boxes]
    return float(np.concatenate(windows).mean())
