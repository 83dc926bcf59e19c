"""The figures and tables of a notebook: what in them a reader cannot read, and a lecture's set of the figures.

    python -m lib.course.build figures [NAME ...] [out=build/lecture]   runs them, one PNG a figure

While a notebook is built, `watch` stands in its kernel and writes into each figure's metadata what matplotlib knows of
its texts: which of them lie over each other, and how large the smallest is where the figure is shown. `lint_image` and
`lint_tables` read a stored output."""
import base64
import io
import itertools
import math
import re
from pathlib import Path
from unittest.mock import patch

import numpy as np
from bs4 import BeautifulSoup
from IPython.core import pylabtools
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline
from matplotlib.text import Text
from nbformat import NotebookNode
from PIL import Image, UnidentifiedImageError

__all__ = ["texts", "watch", "lint_image", "lint_tables", "collect"]

SHOWN = 900  # pixels: the width of an output in JupyterLab beside its list of files, in a window of 1,360
DOTS, SMALLEST = 110, 8.0  # an inch, as stored; points, as shown (96 pixels an inch)
LECTURE = 200  # dots an inch of the lecture's set
APART = 1.0  # a box of a text has blank rims: so many pixels of each side may be covered
COUNTED = re.compile(r"(recordings|clips|windows|species|labels|classes|seeds|steps|patches|files|calls|events|"
                     r"parameters|epochs|frames|samples|groups|points|runs|train|val|test)")
NUMBER = re.compile(r"[+-]?[\d,]+\.(\d+)")
MISSING = re.compile(r"[+-−]?(nan|NaN|NaT|<NA>|None|inf)( ?%)?")
CAPTION = re.compile(r"\*+Figure (\d+)(\w*)")


# In the kernel --------------------------------------------------------------------------------------------------------

def texts(figure: Figure) -> dict:
    """What of a figure's texts can be read: `overlapping`, a list of "this | that" for each pair of texts one of which
    lies over the other, and `smallest_pt`, the size in points of the smallest text where the figure is shown
    (None where it has no text)."""
    drawn = []

    def draw(self, renderer, *args, **options):
        plain(self, renderer, *args, **options)
        if self.get_visible() and self.get_text().strip():
            drawn.append(self)

    plain = Text.draw
    with patch.object(Text, "draw", draw):  # ticks beyond an axis's ends exist and are not drawn
        figure.canvas.draw()
    dots, wide = figure.dpi, figure.get_size_inches()[0] * figure.dpi
    sizes = [text.get_fontsize() * dots / 96 * min(1, SHOWN / wide) for text in drawn]
    outlines = [(text, _outline(text, dots)) for text in drawn]
    pairs = itertools.combinations(outlines, 2)
    over = [f"{_short(a)} | {_short(b)}" for (a, here), (b, there) in pairs if here.intersects_path(there, filled=True)]
    return {"overlapping": sorted(set(over)), "smallest_pt": round(min(sizes), 1) if sizes else None}


def _outline(text: Text, dots: float) -> Outline:
    """The rectangle around a text, turned as the text is, in pixels."""
    box = text.get_window_extent()
    angle = math.radians(text.get_rotation() % 180)
    long, high = box.width, box.height
    if text.get_rotation() % 90:  # the box stands around the turned text: its own height is that of its lines
        high = 1.2 * text.get_fontsize() * dots / 72 * len(text.get_text().splitlines())
        sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))
        long = (box.width - high * sine) / cosine if cosine > sine else (box.height - high * cosine) / sine
    else:
        angle = 0.0
    long, high = max(long / 2 - APART, 0.5), max(high / 2 - APART, 0.5)
    corners = np.array([(-long, -high), (long, -high), (long, high), (-long, high), (-long, -high)])
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return Outline(corners @ turn + ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2), closed=True)


def _short(text: Text) -> str:
    return " ".join(text.get_text().split())[:40]


def watch(folder: str = "") -> None:
    """From now on each figure that this kernel shows carries its `texts` as metadata. `folder`: keep each there as
    well, as a PNG for lectures, 0.png, 1.png and so on; the metadata then has its `number`."""
    show, count = pylabtools.print_figure, itertools.count()

    def print_figure(figure, *args, **options):
        stored = show(figure, *args, **options)
        about = texts(figure)
        if folder:
            about["number"] = next(count)
            figure.savefig(Path(folder) / f"{about['number']}.png", dpi=LECTURE, facecolor="white", bbox_inches="tight")
        return stored, about

    pylabtools.print_figure = print_figure


# On stored notebooks --------------------------------------------------------------------------------------------------

def lint_image(output: NotebookNode, kind: str) -> list[str]:
    """What is wrong with a stored picture: too few dots an inch, texts over each other, texts too small to read."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(output.data[kind]))) as picture:
            dots = round(min(picture.info.get("dpi", (0, 0))))
    except UnidentifiedImageError:
        return ["a picture that cannot be read: build it again"]
    about = output.metadata.get(kind, {})
    found = [f"a figure of {dots} dots an inch, at least {DOTS}"] if dots < DOTS else []
    if output.output_type == "display_data" and "overlapping" not in about:
        found.append("a figure whose texts were not looked at: build it again")
    if about.get("overlapping"):
        found.append(f"texts of a figure lie over each other: {'; '.join(about['overlapping'][:3])}")
    if (about.get("smallest_pt") or SMALLEST) < SMALLEST:
        found.append(f"a text of {about['smallest_pt']} points where a figure is shown {SHOWN} pixels wide, "
                     f"at least {SMALLEST:g}: a narrower figure or larger texts")
    return found


def lint_tables(markup: str) -> list[str]:
    """What is wrong with the tables of an HTML output: cells without a value that say so in a program's words, counts
    with decimals, numbers of six decimals."""
    found = []
    for table in BeautifulSoup(markup, "html.parser").find_all("table"):
        rows = [[cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])] for row in table.find_all("tr")]
        names = [row for row, line in zip(rows, table.find_all("tr")) if not line.find("td")]
        for row in rows[len(names):]:
            for place, cell in enumerate(row):
                heads = [row[0], *(head[place] for head in names if place < len(head))]
                digits = NUMBER.fullmatch(cell)
                counts = any(COUNTED.fullmatch(head) for head in heads) and digits and not int(digits[1])
                if MISSING.fullmatch(cell) or counts or digits and len(digits[1]) >= 6:
                    found.append(f"a table says {cell!r} ({', '.join(filter(None, heads))})")
    return found[:3]


def collect(notebook: NotebookNode, name: str, shots: Path, out: Path) -> list[Path]:
    """Moves the pictures that `watch` left in `shots` while a notebook ran to `out`, under its name and each figure's
    number, as its caption has it: 00_spectrograms_figure_04a.png. A second figure of a caption gets a second number.
    The picture of an explorer has been drawn in pixels: it is written as it is shown."""
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for cell, after in zip(notebook.cells, [*notebook.cells[1:], None]):
        caption = CAPTION.search(after.source) if after and after.cell_type == "markdown" else None
        for output in cell.get("outputs", []):
            numbers = [about["number"] for about in output.get("metadata", {}).values() if "number" in about]
            drawn = next((data for kind, data in output.get("data", {}).items() if kind.startswith("image/")), None)
            if numbers or drawn and caption:
                figure = f"{int(caption[1]):02}{caption[2]}" if caption else f"after_{len(written)}"
                again = sum(file.stem.startswith(f"{name}_figure_{figure}") for file in written)
                file = out / f"{name}_figure_{figure}{f'_{again + 1}' if again else ''}.png"
                if numbers:
                    (shots / f"{numbers[0]}.png").replace(file)
                else:
                    Image.open(io.BytesIO(base64.b64decode(drawn))).save(file)
                written.append(file)
    return written
