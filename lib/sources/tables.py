"""Recordings tables: one DataFrame for each pool, whatever the recordings come from.

A row per recording: `file, label, split` and optional `group, start_s, end_s, source, duration_s`; `kept` (which
lib.transfer.curate writes) lists the windows that clips may be cut from, as a tuple of starts in seconds. A table may
have millions of rows. The split is train, val, test or unlabelled: heard in pretraining, its label never used.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from lib import audio, paths, progress
from lib.mel import FrontEnd
from lib.sources import chorus, listing, prepare

__all__ = ["FOLDS", "recordings", "folder", "check", "units", "folds", "subset", "padded_share", "copies",
           "problem", "tell_skipped"]

SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
          "test": "test", "testing": "test", "eval": "test", "unlabelled": "unlabelled", "unlabeled": "unlabelled"}
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
    table, outside = (listing.from_csv(csv, name), []) if csv.exists() else listing.from_classes(root, name)
    given = "split" in table and fold is None
    table = check(table if given else table.assign(split="train"), name)
    labels = sorted(table["label"].unique())
    table, skipped = _decodable(table, name, outside)
    if table.empty:
        raise ValueError(f"{name}: none of {len(skipped)} files can be used, the first: {skipped[0]}")
    if lost := sorted(set(labels) - set(table["label"])):
        print(f"{name}: {len(lost)} of {len(labels)} classes have no usable recording: {', '.join(lost[:10])}")
    if not given:
        table = _split(table, seed) if fold is None else _folded(table, seed, fold, name)
        _apart(table, name)
    table = table.assign(source=f"folder:{csv.parent.name}").reset_index(drop=True)
    for note in (*_alike(labels), *_parted(table), *copies(table)):
        print(f"{name}: {note}")
    table.attrs["skipped"] = skipped
    return table


def _decodable(table: pd.DataFrame, name: str, outside: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """The rows whose files decode whole, with duration_s; and the reasons against the others, which are printed."""
    files = table["file"].unique()  # of many segments of a long recording each is decoded once
    with ThreadPoolExecutor() as pool:  # soundfile decodes outside Python's lock
        answers = progress.bar(pool.map(_decoded, files), total=len(files), desc=f"checking {name}", unit="file",
                               leave=False)
        seconds, reasons = zip(*answers)
    table = table.assign(duration_s=table["file"].map(dict(zip(files, seconds))))
    problems = table["file"].map(dict(zip(files, reasons)))
    if "start_s" in table:
        late = table["start_s"] >= table["duration_s"]
        past = [f"{row.file}: a segment starts at {row.start_s:g} s, past its end" for row in table[late].itertuples()]
        problems[late] = past
    skipped = [*problems.dropna(), *outside]
    tell_skipped(f"{name}: skipped {len(skipped)} of {len(table) + len(outside)} files:", skipped)
    return table[problems.isna()].copy(), skipped


def _alike(labels: list[str]) -> Iterator[str]:
    """Classes whose names look the same, though letter by letter they are not."""
    seen = {}
    for label in labels:
        letters = unicodedata.normalize("NFKC", label).casefold().replace("_", " ").replace("-", " ")
        looks = " ".join("".join(c for c in letters if unicodedata.category(c) != "Cf").split())
        if looks in seen:
            yield f"{seen[looks]!a} and {label!a} are two classes: give them one name if they are one"
        seen[looks] = label


def _parted(table: pd.DataFrame) -> Iterator[str]:
    """Recordings of which segments lie in several splits."""
    several = table[table["file"].duplicated(keep=False)].groupby("file")["split"].nunique()
    if names := several.index[several > 1].tolist():
        yield (f"segments of {len(names)} recordings lie in more than one split ({Path(names[0]).name}): what is known "
               "of a recording helps with its other segments, and the scores will be too high; give it one split")


def copies(table: pd.DataFrame) -> Iterator[str]:
    """A sentence where files of the same content lie in several splits under other names."""
    split = table.drop_duplicates("file").set_index("file")["split"]
    alike = split.index.to_series()
    for look in (os.path.getsize, _middle, lambda file: paths.sha256(Path(file))):  # the dearest last
        found = alike.map({file: look(file) for file in alike})
        alike = alike[found.duplicated(keep=False)]
    same = [files for files in alike.groupby(found).groups.values() if split[list(files)].nunique() > 1]
    if same:
        names = ", ".join(sorted(Path(files[0]).name for files in same)[:3])
        yield (f"{len(same)} files lie in more than one split under other names ({names}"
               f"{f' and {len(same) - 3} more' if len(same) > 3 else ''}): the scores will be too high")


def _middle(file: str) -> bytes:
    """4 kB from the middle of a file."""
    with open(file, "rb") as raw:
        raw.seek(os.path.getsize(file) // 2)
        return raw.read(4096)


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
    label = _each(table["label"], lambda label: " ".join(unicodedata.normalize("NFC", str(label)).split()))
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
    _apart(table, name)
    if "kept" in table:
        odd = [not (k and min(k) >= 0) if isinstance(k, tuple) else k is not None and k == k for k in table["kept"]]
        if any(odd):  # NaN is not itself
            i = odd.index(True)
            raise ValueError(f"{name}: row {i} is not usable: kept={table['kept'].iloc[i]!r}; it must be a tuple of "
                             "window starts in seconds, 0 or more, or None for a free crop; leave a recording without "
                             "any window out")
    return table.assign(label=label, **{c: seconds[c] for c in seconds if c in table})


def _apart(table: pd.DataFrame, name: str) -> None:
    """ValueError where a part of a recording is heard in one split and asked about in another."""
    rows = table[table["file"].duplicated(keep=False)].reindex(columns=["file", "split", "start_s", "end_s"])
    rows = rows.replace({"split": {"unlabelled": "train"}})
    rows = rows[rows.groupby("file")["split"].transform("nunique") > 1]
    rows = rows.assign(start_s=pd.to_numeric(rows["start_s"]).fillna(0), end_s=pd.to_numeric(rows["end_s"])
                       .fillna(np.inf)).sort_values(["file", "start_s"])
    for file, segments in rows.groupby("file"):
        until = {}  # the end of what each split has had so far
        for row in segments.itertuples():
            for split in sorted(until.keys() - {row.split}):
                end = min(row.end_s, until[split])
                if row.start_s < end:
                    part = f", from {row.start_s:g} s to " + ("its end" if np.isinf(end) else f"{end:g} s")
                    raise ValueError(f"{name}: {file} is in {split} and in {row.split}{part}: what a model is asked "
                                     "about must not be what it has learnt from; give the recording one split")
            until[row.split] = max(until.get(row.split, 0), row.end_s)


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


def problem(file) -> str | None:
    """Decode the whole file: the reason it is unusable, or None. Silence is no problem, a recording may hold it."""
    return _decoded(file)[1]


def _decoded(file) -> tuple[float, str | None]:
    """The seconds of a file that decodes whole, NaN with the reason of one that does not."""
    try:
        with audio.Opened(file) as sound:
            for first in range(0, sound.frames, audio.BLOCK):
                sound.take(min(audio.BLOCK, sound.frames - first))
            return sound.frames / sound.rate, None
    except audio.AudioError as error:
        return np.nan, str(error)
