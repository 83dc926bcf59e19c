"""Label files: the rows of an Audacity label track or of a Raven selection table, read from its text.

A track has start, end and label between tabs and no header; a table has a header and tabs. Both are split at line ends
and tabs alone: quotes, backslashes and the rarer separators of Unicode are letters of a label like any other.
"""
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

__all__ = ["NAMED", "shown", "is_table", "read"]

NAMED = ("Species", "Label", "Annotation", "Common Name", "Species Code")  # where a Raven table may keep the species
SAME = ("selection", "channel", "begin time (s)", "end time (s)", "low freq (hz)", "high freq (hz)", "begin file",
        "begin path", "file offset (s)")  # what a selection keeps in every view; what is measured may be of one view
TYPES = {"label": str, "start_s": float, "end_s": float, "file": str}
MARK = "\u2426"  # stands before what is shown of a control character, so that a label may hold such a symbol itself
SHOWN = str.maketrans({chr(i): MARK + chr(0x2400 + i) for i in range(32)} | {"\x7f": MARK + "\u2421", MARK: 2 * MARK})
MEANT = {symbols: chr(code) for code, symbols in SHOWN.items()}


class Row(NamedTuple):
    line: int
    label: str
    times: tuple[str, str, str]  # begin, end and the offset in its file, as written
    file: str = ""  # the recording that the row names itself
    wrong: str = ""  # what to say of it where its times are none


def shown(label: object) -> str:
    """A label as it stands in a file: its tabs, line ends and other control characters as symbols that `read` undoes.

    What no file can hold, half a character, is written out (\\ud800)."""
    return str(label).translate(SHOWN).encode("utf-8", "backslashreplace").decode()


def _meant(text: str) -> str:
    return re.sub(f"{MARK}[\u2400-\u241f\u2421{MARK}]", lambda found: MEANT[found[0]], text.strip())


def read(text: str, name: str, column: str = "") -> pd.DataFrame:
    """The text of a label file -> label, start_s, end_s, file, in order; file is "" where a row names no recording.

    Of Raven `column` is the one with the species. A selection in several views is one row. Where a table of several
    files names them (Begin File, Begin Path), its times are those in the file (File Offset). Times are 0 or more and in
    order; decimal commas are read where all times have them. ValueError names the file, `name`, and the line."""
    lines = _lines(text)
    rows = list(_raven(lines, name, column) if is_table(text) else _audacity(lines, name))
    times = [time for row in rows for time in row.times if time]
    commas = [time for time in times if "," in time]
    # 1,500 alone may be one and a half or fifteen hundred, and beside 0.5 a comma is no decimal sign
    decimal = not any("." in time for time in times) and any(not re.fullmatch(r"[1-9]\d{0,2},\d{3}", t) for t in commas)
    several = len({row.file for row in rows}) > 1
    placed = [_placed(row, name, decimal, several) for row in rows]
    return pd.DataFrame(placed, columns=list(TYPES)).astype(TYPES)  # a table without rows has them too


def is_table(text: str) -> bool:
    """Whether a text is a Raven table, by its first line."""
    return any(_is_head(line) for _, line in _lines(text)[:1])


def _lines(text: str) -> list[tuple[int, str]]:
    """The lines that are not blank, with their numbers; a mark of the encoding may stand where files were joined."""
    lines = (line.removeprefix("\ufeff") for line in re.split(r"\r\n|\r|\n", text))
    return [(i, line) for i, line in enumerate(lines, 1) if line.strip()]


def _placed(row: Row, name: str, decimal: bool, several: bool) -> tuple[str, float, float, str]:
    """The row with its times as numbers, counted from the start of its own recording."""
    begin, end, offset = (_number(time, decimal) for time in row.times)
    if several and not row.times[2]:
        raise ValueError(f"{name}: line {row.line} is of {row.file or 'no file'}, others are of other files, and it "
                         "has no File Offset (s): add that measurement in Raven, or keep one table per recording")
    start = offset if row.times[2] else begin
    stop = end if start == begin else round(start + (end - begin), 9)  # beyond the ninth place is what sums leave
    if not (0 <= begin <= end and 0 <= start <= stop < math.inf):
        raise ValueError(f"{name}: line {row.line} {row.wrong}")
    return row.label, start, stop, row.file


def _number(text: str, decimal: bool) -> float:
    """A number in digits, or nan: what else Python takes for one (1_000, infinity) is none in a table."""
    text = text.replace(",", ".") if decimal else text
    return float(text) if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text) else math.nan


def _audacity(lines: list[tuple[int, str]], name: str) -> Iterator[Row]:
    for number, line in lines:
        parts = line.split("\t", 2)
        if parts[0] == "\\" and len(parts) == 3:  # the frequencies of the label above
            continue
        wrong = (f"is {line[:60]!r}: a label track has start, end and label between tabs, in seconds from 0 on, the "
                 "end not before the start; a Raven table has a header with Begin Time (s)")
        if len(parts) < 2:
            raise ValueError(f"{name}: line {number} {wrong}")
        yield Row(number, _meant("".join(parts[2:])), (parts[0].strip(), parts[1].strip(), ""), wrong=wrong)


def _plain(cell: str) -> str:
    """The name of a column whatever its letter case and blanks."""
    return " ".join(cell.split()).casefold()


def _is_head(line: str) -> bool:
    cells = [_plain(cell) for cell in line.split("\t")] if "begin" in line.casefold() else []
    return "begin time (s)" in cells and all(math.isnan(_number(cell, True)) for cell in cells)


def _species(head: list[str], name: str, number: int, column: str) -> str:
    """The column with the species of a Raven table by its header; ValueError where a column is missing or twice."""
    plain = [_plain(cell) for cell in head]
    found = [wanted for wanted in map(_plain, [column] if column else NAMED) if wanted in plain]
    if not found or "end time (s)" not in plain:
        raise ValueError(f"{name}: no column {column or ' or '.join(NAMED)} with the species and End Time (s) beside "
                         f"it; it has {', '.join(head)}: name it with column=")
    if twice := [wanted for wanted in (found[0], "view", *SAME) if plain.count(wanted) > 1]:
        raise ValueError(f"{name}: line {number} has the column {twice[0]!r} {plain.count(twice[0])} times: rename all "
                         "but the one that is meant")
    return found[0]


def _raven(lines: list[tuple[int, str]], name: str, column: str) -> Iterator[Row]:
    views = {}  # of a selection the first in which it stands
    for number, line in lines:
        cells = line.split("\t")
        if _is_head(line):  # again where tables were pasted together
            head, species = [_plain(cell) for cell in cells], _species(cells, name, number, column)
            continue
        if len(cells) != len(head):
            raise ValueError(f"{name}: line {number} has {len(cells)} fields, its header {len(head)}: each row needs "
                             "as many, an empty one too")
        row = dict(zip(head, (cell.strip() for cell in cells)))
        key = (row[species], *(row.get(part, "") for part in SAME))
        if views.setdefault(key, row.get("view", "")) != row.get("view", ""):
            continue
        begin, end, offset = (row.get(part, "") for part in ("begin time (s)", "end time (s)", "file offset (s)"))
        wrong = (f"has no times from 0 on, the end not before the begin, in seconds such as 1.5: Begin Time {begin!r}, "
                 f"End Time {end!r}" + (f", File Offset {offset!r}" if offset else ""))
        yield Row(number, _meant(row[species]), (begin, end, offset), _recording(row), wrong)


def _recording(row: dict[str, str]) -> str:
    """The recording that a row of a Raven table names, with the folders that it knows, between slashes."""
    file, path = (re.split(r"[\\/]", row.get(part, "")) for part in ("begin file", "begin path"))
    return "/".join(path if path[-1] == file[-1] or file == [""] else file if path == [""] else [*path, *file])
