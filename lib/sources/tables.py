"""Recordings tables: one DataFrame for each pool, whatever the recordings come from.

A row per recording: `file, label, split` and optional `group, start_s, end_s, source, duration_s`; `kept` (which
lib.transfer.curate writes) lists the windows that clips may be cut from, as a tuple of starts in seconds. A table may
have millions of rows. The split is train, val, test or unlabelled: heard in pretraining, its label never used.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from lib import audio, paths, progress
from lib.mel import FrontEnd
from lib.sources import chorus, prepare

__all__ = ["FOLDS", "recordings", "folder", "check", "units", "folds", "subset", "padded_share", "found",
           "problem", "tell_skipped"]

BLOCK = 1 << 20             # frames decoded at a time by `problem`: a long file never fills the memory
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
          "test": "test", "eval": "test", "unlabelled": "unlabelled", "unlabeled": "unlabelled"}
FOLDS = 5                        # of `folder:PATH?fold=0` ... 4


def recordings(name: str, pool: str, size: str = "tiny", data_seed: int = 0) -> pd.DataFrame:
    """The recordings table of a pool ("wildlife" or "general") by the name of its source.

    chorus                    synthetic, made on the spot and cached: `size` and `data_seed` are the generator's
    chorus:empty=0.6          with that share of empty windows in mind (wildlife; also difficulty=..., wrong_labels=...,
                              recordist=..., see `chorus.make`), comma-separated
    chorus:other_species      as general pool: wildlife of other species, the null of a mixing experiment
    folder:PATH               one folder per class, or a CSV file,label[,split,group]; relative to the repository root
    folder:PATH?fold=2        the same, with fold 2 of five (0 to 4) as test, whatever split it brings: see `folder`
    inatsounds:ROOT, audioset:ROOT, esc50[:ROOT]     public data sets, where `python -m lib.sources` has prepared them
    """
    kind, _, rest = str(name).partition(":")
    if kind == "chorus":
        return check(_chorus(name, rest, pool, size, data_seed), name)
    if kind == "folder":
        path, asked, fold = rest.partition("?fold=")
        if asked and fold not in map(str, range(FOLDS)):
            raise ValueError(f"{name!r}: fold is {fold!r}: it must be one of 0 to {FOLDS - 1}")
        return folder(path, data_seed, int(fold) if asked else None)
    if kind in prepare.NAMES:
        return check(prepare.recordings(kind, rest), name)
    raise ValueError(f"unknown data {name!r} for the {pool} pool: use chorus, chorus:empty=0.6, folder:PATH (one "
                     "folder per class, or a CSV), inatsounds:ROOT, audioset:ROOT or esc50[:ROOT]")


def _chorus(name: str, rest: str, pool: str, size: str, data_seed: int) -> pd.DataFrame:
    """The table of chorus by its options, such as "empty=0.6,difficulty=2" or "other_species"."""
    options = {key: value for key, _, value in (item.partition("=") for item in rest.split(",") if item)}
    if pool == "general" and options.pop("other_species", None) is not None:
        pool = "other_species"
    if options.keys() - chorus.RANGES.keys() or pool not in chorus.POOLS:
        known = ", ".join(f"{option}=..." for option in chorus.RANGES)
        raise ValueError(f"{name!r} as {pool} pool: chorus knows the options {known} and, for general, other_species")
    for key, value in options.items():
        try:
            options[key] = float(value)
        except ValueError:
            raise ValueError(f"{name!r}: {key} wants a number, got {value!r}") from None
    return chorus.make(pool, size, data_seed, **options)


def folder(path: str | Path, seed: int = 0, fold: int | None = None) -> pd.DataFrame:
    """Your own recordings: one folder per class, a folder with `metadata.csv`, or a CSV file,label[,split,group].

    Any format, rate, channels and length that soundfile reads. Every file is decoded once; unusable ones are left out,
    named in `table.attrs["skipped"]` and printed with the reason. Without a split column 20 % each go to val and test,
    per class, by group where there is a group column.

    fold: in place of any split, that fold of five (the same for every seed of a training, drawn by `seed`) is test, the
    next is val and the rest train; whole groups together. Classes with fewer than five recordings, or in fewer than
    three folds, cannot be tested so: they are unlabelled, and left out where their group has other classes. Over the
    five folds every other recording is tested once."""
    root, name = paths.resolve(path), f"folder:{path}"
    if not str(path).strip() or not root.exists():
        raise ValueError(f"{name}: there is no such folder or CSV file ({root.name!r} was looked for in "
                         f"{root.parent.name or '/'!r})")
    csv = root if root.is_file() else root / "metadata.csv"
    table, outside = (_from_csv(csv, name), []) if csv.exists() else _from_classes(root, name)
    given = "split" in table and fold is None
    table = check(table if given else table.assign(split="train"), name)
    table, skipped = _decodable(table, name, outside)
    if table.empty:
        raise ValueError(f"{name}: none of {len(skipped)} files can be used, the first: {skipped[0]}")
    if not given:
        table = _split(table, seed) if fold is None else _folded(table, seed, fold, name)
    table = table.assign(source=f"folder:{csv.parent.name}").reset_index(drop=True)
    table.attrs["skipped"] = skipped
    return table


def _from_csv(csv: Path, name: str) -> pd.DataFrame:
    """The rows of a CSV, with the paths of its files."""
    text, columns = ["file", "label", "split", "group"], ["file", "label", "split", "group", "start_s", "end_s"]
    try:
        table = pd.read_csv(csv, dtype=dict.fromkeys(text, str), skipinitialspace=True, keep_default_na=False,
                            na_values={column: [""] for column in columns})
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: {csv.name} cannot be read as a table ({error}); it needs a header line "
                         "file,label[,split,group]") from None
    if missing := {"file", "label"} - set(table.columns):
        raise ValueError(f"{name}: {csv.name} has the columns {', '.join(table.columns)}; "
                         f"{' and '.join(sorted(missing))} is missing")
    if table.empty:
        raise ValueError(f"{name}: {csv.name} has a header line but no rows; it needs a row file,label[,split,group] "
                         "per recording")
    files = [file if pd.isna(file) else str(csv.parent / Path(file).expanduser()) for file in table["file"]]
    return table[[column for column in columns if column in table]].assign(file=files)


def _from_classes(root: Path, name: str) -> tuple[pd.DataFrame, list[str]]:
    """The sounds in class folders, and a line for each sound that lies outside any."""
    files = found(root)
    inside = [file for file in files if file.parent != root]
    outside = [f"{file}: lies outside any class folder" for file in files if file.parent == root]
    if not inside:
        raise ValueError(f"{name}: no sounds in class folders; looked for {root.name}/CLASS/*.wav (or flac, ogg, mp3, "
                         f"...) and {root.name}/metadata.csv"
                         + (f", found {len(outside)} sounds outside any class folder" if outside else ""))
    labels = [file.relative_to(root).parts[0] for file in inside]
    return pd.DataFrame({"file": map(str, inside), "label": labels}), outside


def _decodable(table: pd.DataFrame, name: str, outside: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """The rows whose files decode whole, with duration_s; and the reasons against the others, which are printed."""
    files = table["file"].unique()  # of many segments of a long recording each is decoded once
    with ThreadPoolExecutor() as pool:  # soundfile decodes outside Python's lock
        reasons = progress.bar(pool.map(problem, files), total=len(files), desc=f"checking {name}", unit="file",
                               leave=False)
        reason = dict(zip(files, reasons))
    seconds = {file: np.nan if reason[file] else audio.info(file).duration_s for file in files}
    table = table.assign(duration_s=table["file"].map(seconds))
    problems = table["file"].map(reason)
    if "start_s" in table:
        late = table["start_s"] >= table["duration_s"]
        past = [f"{row.file}: a segment starts at {row.start_s:g} s, past its end" for row in table[late].itertuples()]
        problems[late] = past
    skipped = [*problems.dropna(), *outside]
    tell_skipped(f"{name}: skipped {len(skipped)} of {len(table) + len(outside)} files:", skipped)
    return table[problems.isna()].copy(), skipped


def tell_skipped(head: str, skipped: list[str]) -> None:
    """Print what was left out of a table, the first ten by name."""
    if skipped:
        print(head, *("  " + line for line in skipped[:10]), sep="\n")
    if len(skipped) > 10:
        print(f"  ... and {len(skipped) - 10} more, all in table.attrs['skipped']")


def _split(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """20 % val and 20 % test of every class (at least one each where it has three or more), whole groups together."""
    unit = units(table)
    split, rng = {}, np.random.default_rng(seed)
    for _, of_class in unit.groupby(table["label"], sort=True):
        free = [u for u in sorted(of_class.unique()) if u not in split]  # a group that spans classes keeps its split
        free = [free[i] for i in rng.permutation(len(free))]
        n = max(1, round(0.2 * len(free))) if len(free) >= 3 else 0
        split |= {u: "val" if i < n else "test" if i < 2 * n else "train" for i, u in enumerate(free)}
    for _, of_class in unit.groupby(table["label"], sort=True):
        if not any(split[u] == "train" for u in of_class):  # all in groups of other classes: it must be learnt first
            split |= dict.fromkeys(of_class, "train")
    return table.assign(split=unit.map(split))


def _folded(table: pd.DataFrame, seed: int, fold: int, name: str) -> pd.DataFrame:
    """The split of `folder` by folds."""
    number = pd.Series(folds(table, FOLDS, seed), table.index)
    of_class = number.groupby(table["label"])
    tested = (of_class.transform("size") >= FOLDS) & (of_class.transform("nunique") >= 3)
    if not tested.any():
        raise ValueError(f"{name}: no class has {FOLDS} recordings in three groups or more, so none can be tested by "
                         "folds: leave ?fold= out")
    split = (number - fold).mod(FOLDS).map({0: "test", 1: "val"}).fillna("train")
    beside = ~tested & units(table).isin(units(table)[tested])  # would be heard while the rest of their group is tested
    return table.assign(split=split.where(tested, "unlabelled"))[~beside]


def folds(table: pd.DataFrame, k: int, seed: int) -> np.ndarray:
    """A fold 0 ... k - 1 of every recording, (R,): groups stay whole, classes are spread as evenly as they allow."""
    if k < 2:
        raise ValueError(f"out of fold needs 2 folds or more, got {k}")
    unit = units(table).astype(str)
    fold, rng = {}, np.random.default_rng(seed)
    for _, of_class in unit.groupby(table["label"].to_numpy(), sort=True):
        free = [u for u in sorted(of_class.unique()) if u not in fold]  # one that spans classes keeps its first fold
        used = Counter(fold[u] for u in of_class.unique() if u in fold)
        order = np.roll(np.arange(k), -rng.integers(k))  # so that the rare classes do not all begin in fold 0
        for i in rng.permutation(len(free)):
            fold[free[i]] = int(min(order, key=used.__getitem__))
            used[fold[free[i]]] += 1
    return unit.map(fold).to_numpy()


def check(table: pd.DataFrame, name: str = "the table") -> pd.DataFrame:
    """The table itself, once it is right: file, label and split in every row, split one of train, val, test,
    unlabelled.

    ValueError names the first bad row."""
    if missing := [c for c in ("file", "label", "split") if c not in table]:
        raise ValueError(f"{name}: a recordings table needs file, label and split; {', '.join(missing)} is missing")
    table = table.assign(split=_each(table["split"], lambda split: SPLITS.get(str(split).strip().lower(), split)))
    label = _each(table["label"], lambda label: str(label).strip())
    bad = table[["file", "label"]].isna().any(axis=1) | (label == "") | ~table["split"].isin(SPLITS.values())
    if bad.any():
        i = int(np.argmax(bad.to_numpy()))
        row = table[["file", "label", "split"]].iloc[i]
        values = ", ".join(f"{column}={'nothing' if pd.isna(value) else repr(value)}" for column, value in row.items())
        raise ValueError(f"{name}: row {i} is not usable: {values}; "
                         "file and label must be given and split must be train, val, test or unlabelled")
    given = table.reindex(columns=["start_s", "end_s"])
    seconds = given.apply(pd.to_numeric, errors="coerce")
    wrong = (seconds["start_s"] < 0) | (seconds["end_s"] <= seconds["start_s"].fillna(0))
    wrong |= (seconds.isna() & given.notna()).any(axis=1)
    if wrong.any():
        i = int(np.argmax(wrong.to_numpy()))
        raise ValueError(f"{name}: row {i} is not usable: start_s={given.iloc[i, 0]}, end_s={given.iloc[i, 1]}; "
                         "a segment needs 0 <= start_s < end_s, in seconds")
    if "group" in table:
        pairs = table[["group", "split"]].replace({"split": {"unlabelled": "train"}})
        pairs = pairs.dropna(subset="group").drop_duplicates()
        if (twice := pairs["group"].duplicated()).any():
            raise ValueError(f"{name}: group {pairs.loc[twice, 'group'].iloc[0]!r} is in more than one split: "
                             "recordings of one place or animal must stay together")
    if "kept" in table:
        odd = [not (k and min(k) >= 0) if isinstance(k, tuple) else k is not None and k == k for k in table["kept"]]
        if any(odd):  # NaN is not itself
            i = odd.index(True)
            raise ValueError(f"{name}: row {i} is not usable: kept={table['kept'].iloc[i]!r}; it must be a tuple of "
                             "window starts in seconds, 0 or more, or None for a free crop; leave a recording without "
                             "any window out")
    return table.assign(label=label, **{c: seconds[c] for c in seconds if c in table})


def _each(column: pd.Series, change: Callable) -> pd.Series:
    """A column of few values, changed: each value is looked at once, and equal rows share one string in memory."""
    codes, values = pd.factorize(column, use_na_sentinel=False)
    return pd.Series(np.array([change(v) for v in values], object)[codes], index=column.index)


def units(table: pd.DataFrame) -> pd.Series:
    """What stays together in splits, folds and the bootstrap: each row's group, or its file where it has none."""
    return table["group"].fillna(table["file"]) if "group" in table else table["file"]


def subset(table: pd.DataFrame, fraction: str, seed: int) -> pd.DataFrame:
    """The table with a part of its train split: "4" recordings of every class, "10%" (at least one) of it, or "all".

    Nested: with one seed a smaller part lies within every larger one. Stratified: every class keeps at least one
    recording. Other splits stay whole. A class that has fewer recordings than asked for keeps all of them."""
    if fraction.strip() == "all":
        return table
    amount, share = fraction.strip().removesuffix("%"), fraction.strip().endswith("%")
    try:
        part = float(amount) / 100 if share else int(amount)
    except ValueError:
        part = 0
    if not 0 < part <= (1 if share else np.inf):
        raise ValueError(f'fraction is {fraction!r}: it must be recordings per class such as "4", a share such as '
                         '"10%", or "all"')
    rng, train = np.random.default_rng(seed), np.flatnonzero(table["split"] == "train")
    taken = (table["split"] != "train").to_numpy(copy=True)
    label = table["label"].to_numpy()[train]
    for rows in pd.Series(train).groupby(label, sort=True).indices.values():
        order = rng.permutation(len(rows))  # the same whatever the fraction
        taken[train[rows[order[: max(1, round(part * len(rows))) if share else part]]]] = True
    return table[taken].reset_index(drop=True)


def padded_share(table: pd.DataFrame, front: FrontEnd) -> float:
    """The share of the model's window that padding fills, when each recording is drawn equally often."""
    return float((1 - table["duration_s"] / front.seconds).clip(lower=0).mean()) if len(table) else 0.0


def found(folder) -> list[Path]:
    """The files anywhere in a folder that are named like sounds, in order; hidden ones are none."""
    files = (file for file in Path(folder).rglob("[!.]*") if file.suffix.lower() in audio.SOUNDS)
    return sorted(file for file in files if not file.is_dir())


def problem(file) -> str | None:
    """Decode the whole file: the reason it is unusable, or None. Silence is no problem, a recording may hold it."""
    try:
        with audio.opened(file) as sound:
            for first in range(0, sound.frames, BLOCK):
                audio.decode(sound, min(BLOCK, sound.frames - first), file)
    except audio.AudioError as error:
        return str(error)
    return None
