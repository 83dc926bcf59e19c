"""Selections: stretches of a recording with a species on them, as people mark them and as a classifier finds them.

A table of selections has a row per stretch: `file, label, start_s, end_s`, and `score` where a classifier made it;
`file` is relative to the folder of recordings. Audacity keeps one label track per recording, Raven one selection table,
or one for several recordings. Both can be written and read; lib.sources.labels knows their text.
"""

import csv
import math
import os
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lib import paths
from lib.sources import labels, listing, tables

__all__ = ["COLUMNS", "checked", "audacity", "raven", "names", "tracks", "places", "export", "read", "marked",
           "annotations"]

COLUMNS = ["file", "label", "start_s", "end_s", "score", "windows"]
TRACK, TABLE = ".txt", ".Table.1.selections.txt"  # of a label file, behind the name of its recording
ENDINGS = (r"\.Table\.\d+\.selections\.txt", r"\.selections\.txt", r"\.txt")  # the same as people have them
LONGEST = 200  # bytes of a name: a file's may have 255, and it has an ending and, while it is written, ten more
SAME_S = 0.001 + 1e-9  # labels of two tables that differ by no more are one
NONE = labels.read("", "no file").assign(sound=None, table="")


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
    texts = audacity(selections), raven(selections, low_hz, high_hz)
    return [paths.write_text(file, text) for file, text in zip(places(folder, name), texts)]


def places(folder: str | Path, name: str) -> list[Path]:
    """Where the label track and the selection table of a recording called `name` lie."""
    out = paths.resolve(folder)
    return [out / "audacity" / f"{name}{TRACK}", out / "raven" / f"{name}{TABLE}"]


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


def marked(file: str | Path, recording: str, duration_s: float) -> pd.DataFrame:
    """What `read` says of one recording, by its path and length -> label, start_s, end_s.

    Of a table's recordings of that name it is the one with which most folders agree. Labels of other recordings,
    without a name or a length, or that begin behind its end are left out, counted and named. ValueError where none is
    left, or two recordings agree alike."""
    table = read(file).reset_index(drop=True)
    of = table.get("file", pd.Series("", table.index))
    agree = {other: _agree(other, recording) for other in set(of)}
    own = {other for other, folders in agree.items() if folders and folders == max(agree.values())}
    if len({tuple(_parts(other)) for other in own}) > 1:
        raise ValueError(f"{Path(file).name}: {' and '.join(sorted(own))} may both be {recording}: keep one table per "
                         "recording")
    reasons = [f"is of {other}" if other and other not in own
               else "has no name" if not row.label
               else "has no length" if row.end_s <= row.start_s
               else f"begins behind the end of {recording} ({duration_s:g} s)" if row.start_s >= duration_s else ""
               for other, row in zip(of, table.itertuples())]
    left = [f"{row.label!r} at {row.start_s:g} s {reason}" for row, reason in zip(table.itertuples(), reasons)
            if reason]
    said = Path(file).name
    if len(left) == len(table):
        raise ValueError(f"{said}: marks nothing in {recording}" + (f"; the first of {len(left)} labels: {left[0]}"
                                                                   if left else ""))
    tables.tell_skipped(f"{said}: left out {len(left)} of {len(table)} labels:", left)
    return table.loc[[not reason for reason in reasons], ["label", "start_s", "end_s"]].reset_index(drop=True)


def annotations(folder: str | Path, column: str = "") -> pd.DataFrame:
    """All labels in a folder of recordings -> file, label, start_s, end_s; `folder:PATH` reads it as `metadata.csv`.

    REC.wav takes the labels of REC.txt or REC.wav.txt (Audacity) and of REC.Table.1.selections.txt (Raven) beside it,
    and what a Raven table anywhere in the folder says of it by name (Begin File). What stands in two files, within a
    millisecond, counts once. That, labels without a name, a length or a recording, and recordings without a label file
    are left out, counted and named (`attrs["skipped"]`); `file` is relative to the folder. ValueError where a label
    fits two recordings."""
    root = paths.resolve(folder)
    sounds, unnamed = listing.named(listing.found(root))
    known, beside, found, skipped = _Known.of(root, sounds), set(), [NONE], unnamed
    for file in sorted(root.rglob("[!.]*")):
        if file.suffix.lower() == ".txt" and file.is_file():
            own = known.owners(file)
            rows, left = _assigned(file, own, known, column)
            beside |= {*own, *rows["sound"]}
            found.append(rows)
            skipped += left
    table = pd.concat(found, ignore_index=True)
    again = _again(table)
    skipped += [f"{name}: {count} of its labels stand in another file too and count once"
                for name, count in table["table"][again].value_counts(sort=False).items()]
    skipped += [f"{sound.relative_to(root)}: no label file beside it" for sound in sounds if sound not in beside]
    table = table.drop(index=again)
    if table.empty:
        raise ValueError(f"{root.name}: none of its {len(sounds)} recordings has a label; looked for REC.txt "
                         f"(Audacity) and REC{TABLE} (Raven) beside REC.wav"
                         + (f"; the first: {skipped[0]}" if skipped else ""))
    tables.tell_skipped(f"{root.name}: left out {len(skipped)}:", skipped)
    table = table.sort_values("sound", kind="stable", ignore_index=True)
    table = table.assign(file=[str(sound.relative_to(root)) for sound in table["sound"]])[COLUMNS[:4]]
    table.attrs["skipped"] = skipped
    return table


class _Known(NamedTuple):
    """The recordings of a folder by what label files call them, whatever the letter case."""
    root: Path
    bare: tuple[dict[str, list[tuple[Path, Path]]], ...]  # by its whole name, as exported, and less its ending
    last: dict[str, list[Path]]  # by its name within its folder

    @classmethod
    def of(cls, root: Path, sounds: list[Path]) -> "_Known":
        exported = names(str(sound.relative_to(root)) for sound in sounds)
        bare, last = (defaultdict(list), defaultdict(list), defaultdict(list)), defaultdict(list)
        for sound in sounds:
            called = (sound, root / exported[str(sound.relative_to(root))], sound.parent / sound.stem)
            for known, name in zip(bare, called):
                known[_folded(str(name))].append((name, sound))
            last[_parts(sound)[-1]].append(sound)
        return cls(root, bare, last)

    def owners(self, file: Path) -> list[Path]:
        """The recordings beside a label file that it is called after: first by their whole name and to the letter."""
        fits = (re.fullmatch(f"(?is)(.+){ending}", file.name) for ending in ENDINGS)
        bases = [file.parent / fit[1] for fit in fits if fit]
        for known in self.bare:
            if near := [pair for base in bases for pair in known.get(_folded(str(base)), [])]:
                return [sound for name, sound in near if name in bases] or [sound for _, sound in near]
        return []

    def named(self, recording: str, file: Path) -> Path | None:
        """The recording that a table (`file`) names, by as many folders as agree; None where it is not there."""
        fit = self.last.get(_parts(recording)[-1], [])
        fit = [sound for sound in fit if sound.name == recording.rpartition("/")[2]] or fit
        near = [(_agree(sound, recording), sound.parent == file.parent) for sound in fit]
        best = [sound for sound, rank in zip(fit, near) if rank == max(near)]
        if len(best) > 1:
            raise ValueError(f"{file.relative_to(self.root)}: {recording} is {self.told(best, ' and ')}: give the "
                             "table a Begin Path, or keep one table per recording")
        return best[0] if best else None

    def told(self, sounds: list[Path], between: str) -> str:
        return between.join(str(sound.relative_to(self.root)) for sound in sounds)


def _parts(recording: str | Path) -> list[str]:
    return re.split(r"[\\/]", _folded(str(recording)))


def _agree(one: str | Path, other: str | Path) -> int:
    """How many names two paths share, from the end: 0 where the files themselves are called otherwise."""
    return len(os.path.commonprefix([_parts(one)[::-1], _parts(other)[::-1]]))


def _assigned(file: Path, own: list[Path], known: _Known, column: str) -> tuple[pd.DataFrame, list[str]]:
    """The rows of a label file that have a sound, a name and a length, and a line about each of the others."""
    said = file.relative_to(known.root)
    try:
        text = paths.read_text(file)
        if not own and not labels.is_table(text):
            return NONE, []  # notes may lie beside recordings too
        rows = labels.read(text, file.name, column)
    except ValueError as error:
        if own:
            raise
        return NONE, [f"{error}"]
    sound = {name: known.named(name, file) if name else (own or [None])[0] for name in rows["file"].unique()}
    if len(own) > 1 and "" in sound:
        raise ValueError(f"{said} may be of {known.told(own, ' or of ')}: call it {own[0].name}.txt or "
                         f"{own[1].name}.txt, or let a Raven table say it (Begin File)")
    rows = rows.assign(sound=[sound[name] for name in rows["file"]], table=str(said))
    reasons = [f"is of {row.file}, which is not in this folder" if row.file and row.sound is None
               else "is of no recording: its file is called after none" if row.sound is None
               else "has no name" if not row.label
               else "has no length" if row.end_s <= row.start_s else "" for row in rows.itertuples()]
    left = [f"{said}: {row.label!r} at {row.start_s:g} s {reason}" for row, reason in zip(rows.itertuples(), reasons)
            if reason]
    return rows[[not reason for reason in reasons]], left


def _again(table: pd.DataFrame) -> list[int]:
    """The rows (by index) that stand in an earlier label file of their recording too: one for each there."""
    again = []
    for _, rows in table.groupby(["sound", "label"], sort=False):
        kept = []
        for _, own in rows.groupby("table", sort=False):
            left = sorted(kept)
            for row in own.itertuples():
                first = bisect_left(left, (row.start_s - SAME_S,))
                last = bisect_right(left, (row.start_s + SAME_S, math.inf))
                near = [i for i in range(first, last) if abs(left[i][1] - row.end_s) <= SAME_S]
                if near:
                    del left[near[0]]
                    again.append(row.Index)
                else:
                    kept.append((row.start_s, row.end_s))
    return again
