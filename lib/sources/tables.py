"""Recordings tables: one DataFrame for each pool, whatever the recordings come from.

A row per recording: `file, label, split` and optional `group, start_s, end_s, source, duration_s`; `kept` (lib.transfer.curate writes it) lists
the windows that clips may be cut from, as a tuple of starts in seconds. A table may have millions of rows.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from lib import audio, paths
from lib.mel import FrontEnd
from lib.sources import chorus, prepare

__all__ = ["recordings", "folder", "check", "units", "subset", "padded_share", "found", "problem"]

BLOCK = 1 << 20             # frames decoded at a time by `problem`: a long file never fills the memory
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test", "eval": "test"}


def recordings(name: str, pool: str, size: str = "tiny", data_seed: int = 0) -> pd.DataFrame:
    """The recordings table of a pool ("wildlife" or "general") by the name of its source.

    chorus                    synthetic, made on the spot and cached: `size` and `data_seed` are the generator's
    chorus:empty=0.6          with that share of empty windows in mind (wildlife; also difficulty=...), comma-separated
    chorus:other_species      as general pool: wildlife of other species, the null of a mixing experiment
    folder:PATH               one folder per class, or a CSV with file,label[,split,group]; relative to the repository root
    inatsounds:ROOT, audioset:ROOT, esc50[:ROOT]     the public data sets, where `python -m lib.sources` has prepared them
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
    if kind in prepare.NAMES:
        return check(prepare.recordings(kind, rest), name)
    raise ValueError(f"unknown data {name!r} for the {pool} pool: use chorus, chorus:empty=0.6, folder:PATH (one folder per class, or a CSV), "
                     "inatsounds:ROOT, audioset:ROOT or esc50[:ROOT]")


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
        files = found(root)
        inside, outside = [f for f in files if f.parent != root], [f"{f}: lies outside any class folder" for f in files if f.parent == root]
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
    files = table["file"].unique()  # of many segments of a long recording each is decoded once
    with ThreadPoolExecutor() as pool:  # soundfile decodes outside Python's lock
        reason = dict(zip(files, tqdm(pool.map(problem, files), total=len(files), desc=f"checking {name}", leave=False)))
    problems = [reason[f] for f in table["file"]]
    seconds = {f: np.nan if reason[f] else audio.info(f).duration_s for f in files}
    table = table.assign(duration_s=table["file"].map(seconds))
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
    table = table.assign(split=_each(table["split"], lambda s: SPLITS.get(str(s).strip().lower(), s)))
    label = _each(table["label"], lambda name: str(name).strip())
    bad = table[["file", "label"]].isna().any(axis=1) | (label == "") | ~table["split"].isin(["train", "val", "test"])
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
        pairs = table[["group", "split"]].dropna(subset="group").drop_duplicates()
        if (twice := pairs["group"].duplicated()).any():
            raise ValueError(f"{name}: group {pairs.loc[twice, 'group'].iloc[0]!r} is in more than one split: recordings of one place or animal "
                             "must stay together")
    if "kept" in table:
        odd = [not (k and min(k) >= 0) if isinstance(k, tuple) else k is not None and k == k for k in table["kept"]]  # NaN is not itself
        if any(odd):
            i = odd.index(True)
            raise ValueError(f"{name}: row {i} is not usable: kept={table['kept'].iloc[i]!r}; it must be a tuple of window starts in seconds, 0 or more, "
                             "or None for a free crop; leave a recording without any window out")
    return table.assign(label=label, **{c: seconds[c] for c in seconds if c in table})


def _each(column: pd.Series, change: Callable) -> pd.Series:
    """A column of few different values, changed: every value is looked at once, and equal rows share one string in memory."""
    codes, values = pd.factorize(column, use_na_sentinel=False)
    return pd.Series(np.array([change(v) for v in values], object)[codes], index=column.index)


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
    rng, train = np.random.default_rng(seed), (table["split"] == "train").to_numpy()
    taken, label = ~train, table["label"].to_numpy()[train]
    for rows in pd.Series(np.flatnonzero(train)).groupby(label, sort=True).indices.values():
        order = rng.permutation(len(rows))  # the same whatever the fraction
        taken[np.flatnonzero(train)[rows[order[: max(1, round(wanted * len(rows))) if share else wanted]]]] = True
    return table[taken].reset_index(drop=True)


def padded_share(table: pd.DataFrame, spec: FrontEnd) -> float:
    """The share of the model's window that padding fills, when each recording is drawn equally often."""
    return float((1 - table["duration_s"] / spec.seconds).clip(lower=0).mean()) if len(table) else 0.0


def found(folder) -> list[Path]:
    """The files anywhere in a folder that are named like sounds, in order; hidden ones are none."""
    return sorted(f for f in Path(folder).rglob("*") if f.suffix.lower() in audio.SOUNDS and not f.name.startswith(".") and not f.is_dir())


def problem(file) -> str | None:
    """Decode the whole file: the reason it is unusable, or None. Silence is no problem, a recording may hold it."""
    try:
        with audio.opened(file) as sound:
            for first in range(0, sound.frames, BLOCK):
                audio.decode(sound, min(BLOCK, sound.frames - first), file)
    except audio.AudioError as error:
        return str(error)
    return None
