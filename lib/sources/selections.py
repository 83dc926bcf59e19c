"""Selections: stretches of a recording with a species on them, as people mark them and as a classifier finds them.

A table of selections has a row per stretch: `file, label, start_s, end_s`, and `score` where a classifier made it;
`file` is relative to the folder of recordings. Audacity keeps one label track per recording (start, end and label
between tabs, no header), Raven one selection table (a header and tabs). Both can be written and read.
"""

import csv
import math
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from lib import paths
from lib.sources import labels, tables

__all__ = ["merge", "checked", "audacity", "raven", "names", "tracks", "export", "read", "annotations"]

COLUMNS = ["file", "label", "start_s", "end_s", "score", "windows"]
TRACK, TABLE = ".txt", ".Table.1.selections.txt"  # of a label file, behind the name of its recording
LONGEST = 200  # bytes of a name: a file's may have 255, and it has an ending and, while it is written, ten more
ENDINGS = (".Table.1.selections.txt", ".selections.txt", ".txt")  # of a label file, behind the name of its recording


def merge(windows: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Windows (file, start_s, end_s, label, score; of a file in order) -> selections (the same, and windows: how many).

    A window counts when its score is at least `threshold`; windows that follow each other, overlap or touch, and say
    the same species are one selection, whose score is that of its best window. Where two species meet, half overlapping
    windows let their selections overlap too. ValueError names a window without a score."""
    if (unknown := windows["score"].isna()).any():
        window = windows[unknown].iloc[0]
        raise ValueError(f"{window['file']}: the window at {window['start_s']:g} s has no score: a model that answers "
                         "nan must not pass for one that found nothing")
    sure = windows[windows["score"] >= checked(threshold)]
    before = sure.shift()
    goes_on = (sure[["file", "label"]] == before[["file", "label"]]).all(axis=1)
    goes_on &= sure["start_s"] <= before["end_s"] + 1e-6
    stretches = sure.groupby((~goes_on).cumsum().to_numpy())
    return stretches.agg(file=("file", "first"), label=("label", "first"), start_s=("start_s", "min"),
                         end_s=("end_s", "max"), score=("score", "max"), windows=("score", "size")
                         ).reset_index(drop=True)[COLUMNS]


def checked(threshold: float | str) -> float:
    """The threshold as a number; ValueError where it is no probability."""
    try:
        value = math.nan if isinstance(threshold, bool) else float(threshold)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 < value <= 1:
        raise ValueError(f"threshold is {threshold}: a score is a probability, so it must be above 0 and at most 1, "
                         "such as 0.5")
    return value


def audacity(selections: pd.DataFrame) -> str:
    """The selections of one recording as a label track (File > Import > Labels), without a score, to be read again."""
    return "".join(f"{s.start_s:.6f}\t{s.end_s:.6f}\t{labels.shown(s.label)}\n" for s in selections.itertuples())


def raven(selections: pd.DataFrame, low_hz: float, high_hz: float) -> str:
    """The same as a selection table (File > Open Selection Table); each box spans what the model hears."""
    rows = [(i, "Spectrogram 1", 1, f"{s.start_s:.6f}", f"{s.end_s:.6f}", f"{low_hz:.1f}", f"{high_hz:.1f}",
             labels.shown(s.label), f"{s.score:.4f}") for i, s in enumerate(selections.itertuples(), 1)]
    head = ("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
            "Species", "Score")
    return "".join("\t".join(map(str, row)) + "\n" for row in (head, *rows))


def names(files: Iterable[str]) -> dict[str, str]:
    """What the label files of each recording are called, less their endings: pond/a for pond/a.wav.

    Where that would meet another's on any disk (a.flac, A.wav, a folder a.txt) it is pond/a.wav, and where this would
    too, or is too long, it ends in a hash. files: all recordings of the folder, relative to it, so that no name depends
    on which of them have selections. ValueError where one leads out of the folder."""
    files = sorted(set(files))
    if out := [file for file in files if Path(file).is_absolute() or ".." in Path(file).parts]:
        raise ValueError(f"{out[0]!r} leads out of the folder of recordings: files must be relative to it")
    bare = {file: os.path.splitext(file)[0] for file in files}
    whole = Counter(map(_folded, files))
    either = Counter(name for file in files for name in {_folded(file), _folded(bare[file])})
    folders = {_folded(str(folder)) for file in files for folder in Path(file).parents}

    def free(name: str, claims: Counter) -> bool:
        return (claims[_folded(name)] == 1 and len(os.fsencode(os.path.basename(name))) <= LONGEST
                and not folders & {_folded(name + TRACK), _folded(name + TABLE)})

    def named(file: str) -> str:
        folder, name = os.path.split(file)
        hashed = f"{os.fsencode(name)[:LONGEST].decode(errors='ignore')}-{paths.key(file)[:8]}"
        return (bare[file] if free(bare[file], either) else file if free(file, whole)
                else os.path.join(folder, hashed))

    return {file: named(file) for file in files}


def _folded(name: str) -> str:
    """The same for names that are one file on a disk that does not tell letter cases or Unicode forms apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", os.path.normpath(name)).casefold())


def tracks(selections: pd.DataFrame, folder: str | Path, name: str, low_hz: float, high_hz: float) -> list[Path]:
    """Write the label track and the selection table of one recording, called `name`, under audacity/ and raven/."""
    out = paths.resolve(folder)
    return [paths.write_text(out / "audacity" / f"{name}{TRACK}", audacity(selections)),
            paths.write_text(out / "raven" / f"{name}{TABLE}", raven(selections, low_hz, high_hz))]


def export(selections: pd.DataFrame, folder: str | Path, band: tuple[float, float],
           rates: Mapping[str, int] | None = None, named: Mapping[str, str] | None = None) -> list[Path]:
    """Write a label track and a selection table for each recording that has selections, under audacity/ and raven/.

    Each is named after its recording, in the same subfolders, so that Raven finds it and two recordings of one name do
    not meet: as `named` says (`names` of all recordings), else by `names` of those that have selections. band: Hz that
    the model hears; `rates` (Hz by file) lower its top to what a recording can hold. `selections.csv` has them all.
    Returns the files."""
    out, written = paths.resolve(folder), []
    named = named or names(selections["file"])
    for file in selections["file"].unique():
        top = min(band[1], (rates or {}).get(file, math.inf) / 2)
        written += tracks(selections[selections["file"] == file], out, named[file], band[0], top)
    rounded = selections.round({"start_s": 4, "end_s": 4, "score": 4})
    text = rounded.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)  # a carriage return without quotes ends a row
    return [*written, paths.write_text(out / "selections.csv", text)]


def read(file: str | Path, column: str = "") -> pd.DataFrame:
    """A label track of Audacity or a selection table of Raven -> label, start_s, end_s, in the order of the file.

    Of Raven `column` names the one with the species (left out: the first of Species, Label, Annotation, Common Name,
    Species Code that is there); a selection that stands in two views counts once. A table that names its recordings
    gives them as `file`, and times within them. Audacity's lines of frequencies are passed over. Point labels keep
    start_s = end_s. ValueError names the line."""
    path = paths.resolve(file)
    table = labels.read(paths.read_text(path), path.name, column)
    return table if table["file"].any() else table.drop(columns="file")


def annotations(folder: str | Path, column: str = "") -> pd.DataFrame:
    """All labels in a folder of recordings -> file, label, start_s, end_s; `folder:PATH` reads it as `metadata.csv`.

    REC.wav takes the labels of REC.txt or REC.wav.txt (Audacity) and of REC.Table.1.selections.txt (Raven) beside it.
    Labels without a name or a length are left out, counted and named (`attrs["skipped"]`), as are recordings without
    any; `file` is relative to the folder."""
    root, rows, skipped = paths.resolve(folder), [], []
    sounds = tables.found(root)
    for sound in sounds:
        names = dict.fromkeys(sound.with_name(base + ending) for base in (sound.stem, sound.name) for ending in ENDINGS)
        beside = [name for name in names if name.is_file()]
        if not beside:
            skipped.append(f"{sound.relative_to(root)}: no label file beside it")
        for path in beside:
            found = read(path, column)
            bad = (found["label"] == "") | (found["end_s"] <= found["start_s"])
            skipped += [f"{path.relative_to(root)}: {row.label!r} at {row.start_s:g} s has no "
                        f"{'length' if row.label else 'name'}" for row in found[bad].itertuples()]
            rows.append(found[~bad].assign(file=str(sound.relative_to(root))))
    if not sum(map(len, rows)):
        raise ValueError(f"{root.name}: none of its {len(sounds)} recordings has a label; looked for REC.txt "
                         f"(Audacity) and REC{ENDINGS[0]} (Raven) beside REC.wav"
                         + (f"; the first: {skipped[0]}" if skipped else ""))
    tables.tell_skipped(f"{root.name}: left out {len(skipped)}:", skipped)
    table = pd.concat(rows)[["file", "label", "start_s", "end_s"]].reset_index(drop=True)
    table.attrs["skipped"] = skipped
    return table
