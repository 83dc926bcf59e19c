"""Selections: stretches of a recording with a species on them, as people mark them and as a classifier finds them.

A table of selections has a row per stretch: `file, label, start_s, end_s`, and `score` where a classifier made it;
`file` is relative to the folder of recordings. Audacity keeps one label track per recording (start, end and label
between tabs, no header), Raven one selection table (a header and tabs). Both can be written and read.
"""

import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from lib import paths
from lib.sources import tables

__all__ = ["merge", "checked", "audacity", "raven", "names", "tracks", "export", "read", "annotations"]

COLUMNS = ["file", "label", "start_s", "end_s", "score", "windows"]
ENDINGS = (".Table.1.selections.txt", ".selections.txt", ".txt")  # of a label file, behind the name of its recording
NAMED = ("Species", "Label", "Annotation", "Common Name", "Species Code")  # where a Raven table may keep the species


def merge(windows: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Windows (file, start_s, end_s, label, score; of a file in order) -> selections (the same, and windows: how many).

    A window counts when its score is at least `threshold`; windows that follow each other, overlap or touch, and say
    the same species are one selection, whose score is that of its best window. Where two species meet, half overlapping
    windows let their selections overlap too."""
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
        value = float(threshold)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise ValueError(f"threshold is {threshold}: a score is a probability, so it must be above 0 and at most 1, "
                         "such as 0.5")
    return value


def audacity(selections: pd.DataFrame) -> str:
    """The selections of one recording as a label track (File > Import > Labels), without a score, to be read again."""
    return "".join(f"{s.start_s:.6f}\t{s.end_s:.6f}\t{s.label}\n" for s in selections.itertuples())


def raven(selections: pd.DataFrame, low_hz: float, high_hz: float) -> str:
    """The same as a selection table (File > Open Selection Table); each box spans what the model hears."""
    rows = [(i, "Spectrogram 1", 1, f"{s.start_s:.6f}", f"{s.end_s:.6f}", f"{low_hz:.1f}", f"{high_hz:.1f}", s.label,
             f"{s.score:.4f}") for i, s in enumerate(selections.itertuples(), 1)]
    head = ("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
            "Species", "Score")
    return "".join("\t".join(map(str, row)) + "\n" for row in (head, *rows))


def names(files: Iterable[str]) -> dict[str, str]:
    """What the label files of each recording are called, less their endings: pond/a for pond/a.wav, and pond/a.wav
    where there is pond/a.flac too. files: all recordings, so that no name depends on which have selections."""
    bare = {file: str(Path(file).with_suffix("")) for file in files}
    several = {name for name, count in Counter(bare.values()).items() if count > 1}
    return {file: file if name in several else name for file, name in bare.items()}


def tracks(selections: pd.DataFrame, folder: str | Path, name: str, low_hz: float, high_hz: float) -> list[Path]:
    """Write the label track and the selection table of one recording below a folder, under a name of `names`."""
    out = paths.resolve(folder)
    return [paths.write_text(out / "audacity" / f"{name}.txt", audacity(selections)),
            paths.write_text(out / "raven" / f"{name}{ENDINGS[0]}", raven(selections, low_hz, high_hz))]


def export(selections: pd.DataFrame, folder: str | Path, band: tuple[float, float],
           rates: Mapping[str, int] | None = None) -> list[Path]:
    """Write a label track and a selection table for each recording that has selections, under audacity/ and raven/.

    Each is named after its recording, in the same subfolders, so that Raven finds it and two recordings of one name do
    not meet. band: Hz that the model hears; `rates` (Hz by file) lower its top to what a recording can hold.
    `selections.csv` has them all. Returns the files."""
    out, written = paths.resolve(folder), []
    for file, name in names(selections["file"].unique()).items():
        top = min(band[1], (rates or {}).get(file, math.inf) / 2)
        written += tracks(selections[selections["file"] == file], out, name, band[0], top)
    rounded = selections.round({"start_s": 4, "end_s": 4, "score": 4})
    return [*written, paths.write_text(out / "selections.csv", rounded.to_csv(index=False))]


def read(file: str | Path, column: str = "") -> pd.DataFrame:
    """A label track of Audacity or a selection table of Raven -> label, start_s, end_s, in the order of the file.

    Of Raven `column` names the one with the species (left out: the first of Species, Label, Annotation, Common Name,
    Species Code that is there); a selection that stands in two views counts once, and of files opened as a sequence
    `File Offset (s)` is the start. Audacity's lines of frequencies are passed over. Point labels keep start_s = end_s.
    ValueError names the line."""
    path = paths.resolve(file)
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")  # older Ravens on Windows
    if "Begin Time (s)" in text.partition("\n")[0]:
        return _raven(path.name, text, column)
    return _audacity(path.name, text)


def _raven(name: str, text: str, column: str) -> pd.DataFrame:
    table = pd.read_csv(io.StringIO(text), sep="\t", dtype=str, keep_default_na=False)
    species = [name for name in ([column] if column else NAMED) if name in table]
    if not species or "End Time (s)" not in table:
        raise ValueError(f"{name}: no column {column or ' or '.join(NAMED)} with the species and End Time (s) beside "
                         f"it; it has {', '.join(table.columns)}: name it with column=")
    same = [name for name in ("Selection", "Channel") if name in table]
    table = table.drop_duplicates(same) if same else table
    begin, end = (pd.to_numeric(table[name], errors="coerce") for name in ("Begin Time (s)", "End Time (s)"))
    start = begin
    if "File Offset (s)" in table:
        start = pd.to_numeric(table["File Offset (s)"], errors="coerce").fillna(begin)
    found = pd.DataFrame({"label": table[species[0]].str.strip(), "start_s": start, "end_s": start + end - begin})
    bad = found.index[found[["start_s", "end_s"]].isna().any(axis=1)]
    if len(bad):
        raise ValueError(f"{name}: line {bad[0] + 2} has no times: {table.loc[bad[0]].to_dict()}")
    return found.reset_index(drop=True)


def _audacity(name: str, text: str) -> pd.DataFrame:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("\\"):
            continue
        parts = line.split("\t")
        try:
            start, end = float(parts[0]), float(parts[1])
        except (ValueError, IndexError):
            raise ValueError(f"{name}: line {number} is {line[:60]!r}: a label track has start, end and label between "
                             "tabs, in seconds; a Raven table has a header with Begin Time (s)") from None
        rows.append({"label": parts[2].strip() if len(parts) > 2 else "", "start_s": start, "end_s": end})
    return pd.DataFrame(rows, columns=["label", "start_s", "end_s"]).astype({"start_s": float, "end_s": float})


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
