"""Recordings and what is drawn from them: one table per pool, clips of a fixed length, and the mixing sampler.

A pool is a DataFrame with a row per recording: `file, label, split` and optional `group, start_s, end_s, source, duration_s`;
`kept` (lib.curate writes it) lists the windows that clips may be cut from, as a tuple of starts in seconds.
Datasets yield waves; the front end turns them into specs on the device. Every draw has a number, and its randomness comes
from (seed, number) alone: results depend neither on the number of workers nor on where an interrupted run took up again.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from lib import audio, chorus, paths
from lib.mel import LogMel, MelSpec, normalise

__all__ = ["recordings", "folder", "check", "units", "subset", "padded_share", "Draw", "Batch", "Clips", "Windows", "Mixture", "loader"]

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test", "eval": "test"}
MEMORY = 1.5 * 2**30  # bytes that decoded recordings may take; above, they are read piece by piece
SOUNDS = {"." + f.lower() for f in ("wav", "flac", "ogg", "oga", "mp3", "aif", "aiff", "aifc", "au", "snd", "w64", "rf64", "caf", "opus")}


# ---------------------------------------------------------------------------------------------------------------- tables

def recordings(name: str, pool: str, size: str = "tiny", data_seed: int = 0) -> pd.DataFrame:
    """The recordings table of a pool ("wildlife" or "general") by the name of its source.

    chorus                    synthetic, made on the spot and cached: `size` and `data_seed` are the generator's
    chorus:empty=0.6          with that share of empty windows in mind (wildlife; also difficulty=...), comma-separated
    chorus:other_species      as general pool: wildlife of other species, the null of a mixing experiment
    folder:PATH               one folder per class, or a CSV with file,label[,split,group]; relative to the repository root
    """
    kind, _, rest = str(name).partition(":")
    if kind == "chorus":
        options = {key: value for key, _, value in (item.partition("=") for item in rest.split(",") if item)}
        if pool == "general" and options.pop("other_species", None) is not None:
            pool = "other_species"
        unknown = set(options) - {"empty", "difficulty"}
        if unknown or pool not in chorus.POOLS:
            raise ValueError(f"{name!r} as {pool} pool: chorus knows the options empty=..., difficulty=... and, for general, other_species")
        return check(chorus.make(pool, size, data_seed, **{k: _number(name, k, v) for k, v in options.items()}), name)
    if kind == "folder":
        return folder(rest, data_seed)
    raise ValueError(f"unknown data {name!r} for the {pool} pool: use chorus, chorus:empty=0.6, or folder:PATH (one folder per class, or a CSV)")


def _number(name: str, key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{name!r}: {key} wants a number, got {value!r}") from None


def folder(path: str | Path, seed: int = 0) -> pd.DataFrame:
    """Your own recordings: a folder with one folder per class, a folder with `metadata.csv`, or a CSV file,label[,split,group].

    Any format, rate, channels and length that soundfile reads. Every file is decoded once; unusable ones are left out, named in
    `table.attrs["skipped"]` and printed with the reason. Without a split column 20 % each go to val and test, per class, by
    group where there is a group column.
    """
    root = paths.resolve(path)
    if not str(path).strip() or not root.exists():
        raise ValueError(f"folder:{path}: there is no such folder or CSV file ({root.name!r} was looked for in {root.parent.name or '/'!r})")
    csv = root if root.is_file() else root / "metadata.csv"
    if csv.exists():
        try:
            table = pd.read_csv(csv, dtype={c: str for c in ("file", "label", "split", "group")}, skipinitialspace=True,
                                keep_default_na=False, na_values={c: [""] for c in ("file", "label", "split", "group", "start_s", "end_s")})
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise ValueError(f"folder:{path}: {csv.name} cannot be read as a table ({error}); it needs a header line file,label[,split,group]") from None
        root = csv.parent
        if missing := {"file", "label"} - set(table.columns):
            raise ValueError(f"folder:{path}: {csv.name} has the columns {', '.join(table.columns)}; {' and '.join(sorted(missing))} is missing")
        table = table[[c for c in ("file", "label", "split", "group", "start_s", "end_s") if c in table]]
        table = table.assign(file=[f if pd.isna(f) else str(root / Path(f).expanduser()) for f in table["file"]])
        outside = []
    else:
        found = sorted(f for f in root.rglob("*") if f.suffix.lower() in SOUNDS and not f.name.startswith(".") and not f.is_dir())
        inside, outside = [f for f in found if f.parent != root], [f"{f}: lies outside any class folder" for f in found if f.parent == root]
        if not inside:
            raise ValueError(f"folder:{path}: no sounds in class folders; looked for {root.name}/CLASS/*.wav (or flac, ogg, mp3, ...) and "
                             f"{root.name}/metadata.csv" + (f", found {len(outside)} sounds outside any class folder" if outside else ""))
        table = pd.DataFrame({"file": map(str, inside), "label": [f.relative_to(root).parts[0] for f in inside]})
    if table.empty:
        raise ValueError(f"folder:{path}: {csv.name} has a header line but no rows; it needs a row file,label[,split,group] per recording")
    given = "split" in table
    table = check(table if given else table.assign(split="train"), f"folder:{path}")
    table, skipped = _decodable(table, f"folder:{path}", outside)
    if table.empty:
        raise ValueError(f"folder:{path}: none of {len(skipped)} files can be used, the first: {skipped[0]}")
    table = (table if given else _split(table, seed)).assign(source=f"folder:{root.name}").reset_index(drop=True)
    table.attrs["skipped"] = skipped
    return table


def _decodable(table: pd.DataFrame, name: str, outside: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """The rows whose files decode whole, with duration_s; and the reasons against the others, which are printed."""
    with ThreadPoolExecutor() as pool:  # soundfile decodes outside Python's lock
        problems = list(tqdm(pool.map(audio.problem, table["file"]), total=len(table), desc=f"checking {name}", leave=False))
    table = table.assign(duration_s=[np.nan if p else audio.info(f).duration_s for f, p in zip(table["file"], problems)])
    if "start_s" in table:
        late = table["start_s"] >= table["duration_s"]
        problems = [f"{f}: a segment starts at {s:g} s, past its end" if bad else p
                    for f, s, bad, p in zip(table["file"], table["start_s"], late, problems)]
    good = [p is None for p in problems]
    skipped = [p for p in problems if p] + outside
    if skipped:
        print(f"{name}: skipped {len(skipped)} of {len(table) + len(outside)} files:", *("  " + p for p in skipped[:10]), sep="\n")
        if len(skipped) > 10:
            print(f"  ... and {len(skipped) - 10} more, all in table.attrs['skipped']")
    return table[good].copy(), skipped


def _split(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """20 % val and 20 % test of every class (at least one each where a class has three or more), whole groups together."""
    unit = units(table)
    split, rng = {}, np.random.default_rng(seed)
    for _, own in unit.groupby(table["label"], sort=True):
        free = [u for u in sorted(own.unique()) if u not in split]  # a group that spans classes keeps its first split
        free = [free[i] for i in rng.permutation(len(free))]
        n = max(1, round(0.2 * len(free))) if len(free) >= 3 else 0
        split |= {u: "val" if i < n else "test" if i < 2 * n else "train" for i, u in enumerate(free)}
    for _, own in unit.groupby(table["label"], sort=True):
        if not any(split[u] == "train" for u in own):  # groups shared with other classes took all of it: a class must be learnt first
            split |= dict.fromkeys(own, "train")
    return table.assign(split=unit.map(split))


def check(table: pd.DataFrame, name: str = "the table") -> pd.DataFrame:
    """The table itself, once it is right: file, label and split in every row, split one of train, val, test; names the first bad row."""
    if missing := [c for c in ("file", "label", "split") if c not in table]:
        raise ValueError(f"{name}: a recordings table needs file, label and split; {', '.join(missing)} is missing")
    table = table.assign(split=table["split"].astype("object").map(lambda s: SPLITS.get(str(s).strip().lower(), s)))
    bad = table[["file", "label"]].isna().any(axis=1) | (table["label"].astype(str).str.strip() == "") | ~table["split"].isin(["train", "val", "test"])
    if bad.any():
        i = int(np.argmax(bad.to_numpy()))
        said = ", ".join(f"{c}={'nothing' if pd.isna(v) else repr(v)}" for c, v in table[["file", "label", "split"]].iloc[i].items())
        raise ValueError(f"{name}: row {i} is not usable: {said}; "
                         "file and label must be given and split must be train, val or test")
    given = table.reindex(columns=["start_s", "end_s"])
    seconds = given.apply(pd.to_numeric, errors="coerce")
    wrong = (seconds["start_s"] < 0) | (seconds["end_s"] <= seconds["start_s"].fillna(0)) | (seconds.isna() & given.notna()).any(axis=1)
    if wrong.any():
        i = int(np.argmax(wrong.to_numpy()))
        raise ValueError(f"{name}: row {i} is not usable: start_s={given.iloc[i, 0]}, end_s={given.iloc[i, 1]}; "
                         "a segment needs 0 <= start_s < end_s, in seconds")
    if "group" in table:
        spread = table.dropna(subset="group").groupby("group")["split"].nunique()
        if (spread > 1).any():
            raise ValueError(f"{name}: group {spread.idxmax()!r} is in more than one split: recordings of one place or animal must stay together")
    if "kept" in table:
        odd = [not (k and min(k) >= 0) if isinstance(k, tuple) else k is not None and k == k for k in table["kept"]]  # NaN is not itself
        if any(odd):
            i = odd.index(True)
            raise ValueError(f"{name}: row {i} is not usable: kept={table['kept'].iloc[i]!r}; it must be a tuple of window starts in seconds, 0 or more, "
                             "or None for a free crop; leave a recording without any window out")
    return table.assign(label=table["label"].astype(str).str.strip(), **{c: seconds[c] for c in seconds if c in table})


def units(table: pd.DataFrame) -> pd.Series:
    """What stays together in splits, folds and the bootstrap: each row's group, or its file where it has none."""
    return table["group"].fillna(table["file"]) if "group" in table else table["file"]


def subset(table: pd.DataFrame, fraction: str, seed: int) -> pd.DataFrame:
    """The table with only a part of its train split: "4" recordings of every class, "10%" of every class (at least one), or "all".

    Nested: with one seed a smaller part lies within every larger one. Stratified: every class keeps at least one recording. Other
    splits stay whole. A class that has fewer recordings than asked for keeps all of them.
    """
    amount, share = fraction.strip().removesuffix("%"), fraction.strip().endswith("%")
    if fraction.strip() == "all":
        return table
    try:
        wanted = float(amount) / 100 if share else int(amount)
    except ValueError:
        wanted = 0
    if not 0 < wanted <= (1 if share else np.inf):
        raise ValueError(f'fraction is {fraction!r}: it must be recordings per class such as "4", a share such as "10%", or "all"')
    rng, kept = np.random.default_rng(seed), []
    for _, rows in table[table["split"] == "train"].groupby("label", sort=True):
        order = rng.permutation(len(rows))  # the same whatever the fraction
        kept += list(rows.index[order[: max(1, round(wanted * len(rows))) if share else wanted]])
    return table.loc[sorted([*kept, *table.index[table["split"] != "train"]])].reset_index(drop=True)


def padded_share(table: pd.DataFrame, spec: MelSpec) -> float:
    """The share of the model's window that padding fills, when each recording is drawn equally often."""
    return float((1 - table["duration_s"] / spec.seconds).clip(lower=0).mean()) if len(table) else 0.0


# ----------------------------------------------------------------------------------------------------------------- clips

class Draw(NamedTuple):
    row: int  # of the table
    number: int  # of the draw in the whole run: its random crop follows from (seed, number)


class Batch(NamedTuple):
    x: torch.Tensor  # waves (B, N) float32, zero behind each clip's end; or specs (B, 1, T, M) where they were made ahead
    length: torch.Tensor  # (B,) true samples or frames; LogMel writes the pad value behind them
    row: torch.Tensor  # (B,) rows of the table
    files: list[str]  # for messages

    def spec(self, log_mel: LogMel, device: torch.device | str = "cpu") -> torch.Tensor:
        """The batch as specs (B, 1, T, M) on a device: waves go through the front end there."""
        x = self.x.to(device, non_blocking=True)
        return x if x.ndim == 4 else log_mel(x, self.length, frames=log_mel.spec.frames)


class Waves:
    """Reads pieces of a table's recordings at one rate, as waves; keeps them in memory as int16 while they fit."""

    def __init__(self, table: pd.DataFrame, front: MelSpec) -> None:
        self.rate, self.need, self.hop = front.rate, front.samples, front.hop
        self.per_s = front.rate  # places a second
        self.files = table["file"].tolist()
        self.start_s = table["start_s"].fillna(0.0).tolist() if "start_s" in table else [0.0] * len(table)
        end_s = table["end_s"].tolist() if "end_s" in table else [np.nan] * len(table)
        whole = table["duration_s"].tolist() if "duration_s" in table else [audio.info(f).duration_s for f in self.files]
        self.seconds = [(w if np.isnan(e) else min(e, w)) - s for s, e, w in zip(self.start_s, end_s, whole)]
        self.length = [max(1, round(s * self.rate)) for s in self.seconds]  # samples
        self.kept: dict[int, np.ndarray] | None = {} if 2 * sum(self.length) <= MEMORY else None

    def read(self, row: int, first: int, count: int) -> torch.Tensor:
        """Samples first ... first + count of a recording, fewer at its end: (n,) float32."""
        if self.kept is None:
            count = min(count, self.length[row] - first)  # a segment ends before its file does
            wave = audio.read(self.files[row], self.rate, self.start_s[row] + first / self.rate, (count + 64) / self.rate)
            return _exactly(wave, count)
        if row not in self.kept:
            wave = _exactly(audio.read(self.files[row], self.rate, self.start_s[row], self.seconds[row]), self.length[row])
            self.kept[row] = (wave.clamp(-1, 1) * 32767).round().to(torch.int16).numpy()
        return torch.from_numpy(self.kept[row][first : first + count]).float() / 32767


def _exactly(wave: torch.Tensor, count: int) -> torch.Tensor:
    """A wave of exactly so many samples: between two rates, rounding leaves one too many or one short, and a short one costs a frame."""
    return torch.nn.functional.pad(wave[:count], (0, max(0, count - len(wave))))


class Specs:
    """The same, as specs: the log-mel of a whole recording is made once and kept as float16, and pieces are cut from its frames.

    Where the front end costs as much as a small model (on a CPU) this makes training nearly twice as fast. Frames lie on the grid
    of the recording instead of the clip, which is the whole difference; a front end with centred frames has none such.
    """

    def __init__(self, waves: Waves, front: MelSpec) -> None:
        self.waves, self.log_mel, self.need, self.hop = waves, LogMel(front), front.frames, 1
        self.files, self.length = waves.files, [max(1, front.count(n)) for n in waves.length]  # frames
        self.per_s = front.rate / front.hop
        self.kept: dict[int, torch.Tensor] = {}

    def read(self, row: int, first: int, count: int) -> torch.Tensor:
        """Frames first ... first + count of a recording, fewer at its end: (n, M) float32, normalised."""
        if row not in self.kept:
            wave = self.waves.read(row, 0, self.waves.length[row])
            self.kept[row] = self.log_mel(wave[None])[0, 0].half()  # (frames, M)
            self.length[row] = len(self.kept[row])
            if self.waves.kept is not None:
                del self.waves.kept[row]  # the spec takes its place: as many bytes again would lie idle
        return self.kept[row][first : first + count].float()


def _source(table: pd.DataFrame, front: MelSpec, ahead: bool) -> Waves | Specs:
    """What to cut clips from: specs made ahead if asked, possible and small enough, else waves."""
    waves = Waves(table, front)
    size = 2 * front.mels * sum(front.count(n) for n in waves.length)
    return Specs(waves, front) if ahead and not front.centred and size <= MEMORY else waves


class Clips(Dataset):
    """Random crops of the model's length: dataset[Draw(row, number)] -> (wave (N,), length, row).

    Rows where `join` is true are filled up with other recordings of the same class when they are shorter than a window (general
    clips: drums, spoken digits); others keep their true length and are padded by the front end. ahead: yield specs (T, M) made
    once per recording instead of waves, where that is possible. A row that has `kept` (a tuple of starts in seconds) gives one of
    those windows at random instead of a free crop: first the recording, then the window.
    """

    def __init__(self, table: pd.DataFrame, front: MelSpec, seed: int, join: np.ndarray | None = None, ahead: bool = False) -> None:
        self.source, self.front, self.seed, self.files = _source(table, front, ahead), front, seed, table["file"].tolist()
        self.join = np.zeros(len(table), bool) if join is None else join
        self.labels = table["label"].to_numpy()
        self.mates = {label: np.flatnonzero((self.labels == label) & self.join) for label in set(self.labels[self.join])}
        kept = table["kept"] if "kept" in table else [None] * len(table)  # nothing (None or NaN): a free crop
        self.starts = [[round(s * self.source.per_s) for s in k] if isinstance(k, tuple) else None for k in kept]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, draw: Draw) -> tuple[torch.Tensor, int, int]:
        rng, need = np.random.default_rng([self.seed, draw.number]), self.source.need
        spare, starts = max(0, self.source.length[draw.row] - need), self.starts[draw.row]
        first = min(starts[int(rng.integers(len(starts)))], spare) if starts else int(rng.integers(spare + 1)) if spare else 0
        x = self.source.read(draw.row, first, need)
        while self.join[draw.row] and len(x) < need:
            other = int(rng.choice(self.mates[self.labels[draw.row]]))
            x = torch.cat([x, self.source.read(other, 0, need - len(x))])
        return x, len(x), draw.row


class Windows(Dataset):
    """Every window of every recording, half overlapping, the last aligned to the end: dataset[i] -> (wave, length, row).

    The end is that of the last whole frame, so that waves and specs made ahead are cut at the same places.
    """

    def __init__(self, table: pd.DataFrame, front: MelSpec, ahead: bool = False) -> None:
        self.source, self.front, self.files = _source(table, front, ahead), front, table["file"].tolist()
        per_s, hop = self.source.per_s, self.source.hop
        frames = self.source.length if hop == 1 else [max(1, front.count(n)) for n in self.source.length]
        self.places = [(row, hop * first) for row, n in enumerate(frames) for first in audio.windows(n, front.frames, front.frames // 2)]
        self.start_s = [first / per_s for _, first in self.places]  # (W,) as `kept` wants them

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int, int]:
        row, first = self.places[i]
        x = self.source.read(row, first, self.source.need)
        return x, len(x), row


class Mixture:
    """Batches of draws from two pools in a fixed ratio: `ratio` general clips for every wildlife clip.

    The number of samples does not depend on the ratio, and the counts are exact: 15:1 in a batch of 256 is 240 and 16; where a
    ratio does not divide the batch the remainder is carried, so that after any step the totals are right to half a clip. Each
    pool is gone through in random order, again and again. Rows of the general pool come after those of the wildlife pool.
    """

    def __init__(self, wildlife: int, general: int, ratio: float, batch: int, samples: int, seed: int) -> None:
        if not ratio >= 0:
            raise ValueError(f"a ratio is general clips per wildlife clip, 0 or more or inf, got {ratio:g}")
        self.share = 1.0 if ratio == float("inf") else ratio / (1 + ratio)  # of general clips
        for pool, size, needed in (("wildlife", wildlife, self.share < 1), ("general", general, self.share > 0)):
            if needed and not size:
                raise ValueError(f"ratio {ratio:g} draws from the {pool} pool, but it has no training recordings")
        if batch < 1 or samples < 1:
            raise ValueError(f"a mixture needs a batch and a number of samples of at least 1, got batch={batch}, samples={samples}")
        self.sizes, self.batch, self.samples, self.seed = (wildlife, general), batch, samples, seed
        self._orders: dict[int, tuple[int, np.ndarray]] = {}  # per pool: the pass it is in and that pass's order

    def __len__(self) -> int:
        return -(-self.samples // self.batch)

    def counts(self, step: int) -> tuple[int, int]:
        """How many wildlife and general clips the batch of this step holds."""
        first, last = (min(s * self.batch, self.samples) for s in (step, step + 1))
        general = self._general(last) - self._general(first)
        return last - first - general, general

    def _general(self, samples: int) -> int:
        return int(np.floor(samples * self.share + 0.5 + 1e-9))

    def _row(self, pool: int, k: int) -> int:
        """The k-th draw from a pool: place k % size in the order of pass k // size."""
        turn, place = divmod(k, self.sizes[pool])
        if pool not in self._orders or self._orders[pool][0] != turn:
            self._orders[pool] = turn, np.random.default_rng([self.seed, pool, turn]).permutation(self.sizes[pool])
        return int(self._orders[pool][1][place]) + pool * self.sizes[0]

    def batches(self, start: int = 0) -> Iterator[list[Draw]]:
        """The batches from step `start` on: the same as if the earlier ones had been drawn."""
        for step in range(start, len(self)):
            first = step * self.batch
            general = self._general(min(first, self.samples))
            wild, gen = self.counts(step)
            rows = [self._row(0, first - general + i) for i in range(wild)] + [self._row(1, general + i) for i in range(gen)]
            yield [Draw(row, first + i) for i, row in enumerate(rows)]

    def __iter__(self) -> Iterator[list[Draw]]:
        return self.batches()


def loader(dataset: Clips | Windows, batches, workers: int = 0) -> DataLoader:
    """A DataLoader over lists of draws (from Mixture.batches) or, for Windows, over batches of that many windows in order."""
    options = dict(batch_size=batches) if isinstance(batches, int) else dict(batch_sampler=batches)
    return DataLoader(dataset, collate_fn=partial(_collate, dataset.files, dataset.front, dataset.source.need), num_workers=workers,
                      pin_memory=torch.cuda.is_available(), generator=torch.Generator(), **options)  # its own: the global one stays as it is


def _collate(files: list[str], front: MelSpec, need: int, items: list[tuple[torch.Tensor, int, int]]) -> Batch:
    first = items[0][0]
    x = first.new_full((len(items), need, *first.shape[1:]), normalise(front.pad, front) if first.ndim == 2 else 0.0)  # (B, N) or (B, T, M)
    for i, (piece, n, _) in enumerate(items):
        x[i, :n] = piece
    lengths, rows = torch.tensor([n for _, n, _ in items]), [row for _, _, row in items]
    return Batch(x[:, None] if first.ndim == 2 else x, lengths, torch.tensor(rows), [files[row] for row in rows])
