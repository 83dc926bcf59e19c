"""Which recordings there are: the sounds of a folder, of class folders, or those that a CSV names.

Folders are taken as they are: on real disks lie hidden files, links, phones' formats and tables from a spreadsheet.
"""

import csv
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from lib import audio, paths, progress

__all__ = ["found", "named", "from_csv", "from_classes"]

SYSTEM = {"__macosx", "$recycle.bin", "system volume information", "lost+found", "@eadir", "#recycle", "__pycache__"}
COLUMNS = ["file", "label", "split", "group", "start_s", "end_s"]


def found(folder) -> list[Path]:
    """The files anywhere in a folder that are named like sounds, in order, those of formats that cannot be read too.

    Hidden files and folders and those of operating systems are passed over. Links are followed, but no folder is
    entered twice, and rather by its own name than by that of a link."""
    entered, links = set(), [str(folder)]
    files = []
    while links:
        top, links = links, []
        for place in top:
            files += _sounds(place, entered, links)
    return sorted(files, key=lambda file: file.parts)  # a WindowsPath's own order knows no case: other splits there


def _sounds(folder: str, entered: set[tuple[int, int]], links: list[str]) -> Iterator[Path]:
    """The sounds in a folder and its own subfolders; links to folders are put aside."""
    try:
        about = os.stat(folder)
        if (about.st_dev, about.st_ino) in entered:
            return
        entered.add((about.st_dev, about.st_ino))
        with os.scandir(folder) as entries:
            entries = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        progress.say(f"{folder}: cannot be looked into ({error.strerror})")
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in SYSTEM:
            continue
        if not (os.path.isdir(entry) if entry.is_symlink() else entry.is_dir()):  # a link may lead to itself
            if os.path.splitext(entry.name)[1].lower() in audio.SOUNDS | audio.OTHER:
                yield Path(entry.path)
        elif entry.is_symlink():
            links.append(entry.path)
        else:
            yield from _sounds(entry.path, entered, links)


def named(files: list[Path]) -> tuple[list[Path], list[str]]:
    """The files whose names a table can hold, and a line for each whose name is no UTF-8."""
    odd = [file for file in files if any("\ud800" <= letter <= "\udfff" for letter in str(file))]
    lines = [paths.line(f"{file}: its name is no UTF-8: rename it") for file in odd]
    left_out = set(odd)
    return [file for file in files if file not in left_out], lines


def from_classes(root: Path, name: str) -> tuple[pd.DataFrame, list[str]]:
    """The sounds in class folders, and a line for each that lies outside any, or whose name no table can hold;
    ValueError where there are none."""
    files, unnamed = named(found(root))
    inside = [file for file in files if file.parent != root]
    outside = [f"{file}: lies outside any class folder" for file in files if file.parent == root] + unnamed
    if not inside:
        raise ValueError(f"{name}: no sounds in class folders; looked for {root.name}/CLASS/*.wav (or flac, ogg, mp3, "
                         f"...) and {root.name}/metadata.csv"
                         + (f", found {len(outside)} sounds outside any class folder" if outside else ""))
    labels = [file.relative_to(root).parts[0] for file in inside]
    return pd.DataFrame({"file": map(str, inside), "label": labels}), outside


def from_csv(file: Path, name: str) -> pd.DataFrame:
    """The rows of a CSV with COLUMNS among its columns, as text, NaN where nothing stands; with the paths of its files.
    Which others there are is in `attrs["left_out"]`.

    Between its fields stand commas, semicolons or tabs, whichever its first line has most of. ValueError names the
    line that has too many fields."""
    text = paths.read_text(file)
    head = re.match(r"\s*(sep=.[\r\n]+)?\s*", text)[0]  # blank lines, and one of Excel's own
    text = text[len(head) :]
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        columns = [column.strip().lower() for column in next(lines, [])]
        rows = [_fields(row, columns, f"{name}: {file.name}, line {len(head.splitlines()) + lines.line_num}")
                for row in lines if any(row)]
    except csv.Error as error:
        raise ValueError(f"{name}: {file.name} cannot be read as a table (line {lines.line_num}: {error}); it needs a "
                         "header line file,label[,split,group]") from None
    if not any(columns):
        raise ValueError(f"{name}: {file.name} cannot be read as a table (its first line is empty); it needs a header "
                         "line file,label[,split,group]")
    if missing := {"file", "label"} - set(columns):
        raise ValueError(f"{name}: {file.name} has the columns {', '.join(columns)}; "
                         f"{' and '.join(sorted(missing))} is missing")
    if twice := [column for column in COLUMNS if columns.count(column) > 1]:
        raise ValueError(f"{name}: {file.name} has two columns {twice[0]}: keep one")
    if not rows:
        raise ValueError(f"{name}: {file.name} has a header line but no rows; it needs a row file,label[,split,group] "
                         "per recording")
    table = pd.DataFrame(rows, columns=columns)[[column for column in COLUMNS if column in columns]]
    table = table.replace("", np.nan)
    if delimiter != ",":  # such spreadsheets write half a second as 0,5
        seconds = [column for column in ("start_s", "end_s") if column in table]
        table[seconds] = table[seconds].replace(",", ".", regex=True)
    table = table.assign(file=[place if pd.isna(place) else _path(file.parent, place) for place in table["file"]])
    table.attrs["left_out"] = [column for column in columns if column and column not in COLUMNS]
    return table


def _fields(row: list[str], columns: list[str], where: str) -> list[str]:
    """A row with as many fields as there are columns."""
    row = [field.strip() for field in row]
    if any(row[len(columns):]):
        raise ValueError(f"{where} has {len(row)} fields and the header line {len(columns)}: put a field that holds "
                         "the separator into quotes")
    return (row + [""] * (len(columns) - len(row)))[: len(columns)]


def _path(folder: Path, name: str) -> str:
    """Where a file that a CSV names lies: from the folder of the CSV on, with / or \\ between its parts."""
    if name.startswith("~/"):
        name = os.path.expanduser(name)
    place = os.path.normpath(folder / name)
    if "\\" in name and "\0" not in name and not os.path.exists(place):  # written on Windows
        place = os.path.normpath(folder / name.replace("\\", "/"))
    return place
