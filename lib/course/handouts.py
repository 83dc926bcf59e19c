"""What a teacher prints and plans with: a sheet to write predictions on, and how long each notebook takes to read.

    python -m lib.course.build sheet [out=build/site]   sheet.html: first the 90 minutes' page, all others behind
    python -m lib.course.build times                    words, minutes to read, and what a notebook says of running"""
import html
import re

import nbformat
from markdown_it import MarkdownIt
from nbformat import NotebookNode

from lib import paths
from lib.course import slides

__all__ = ["PATH", "sheet", "predictions", "words", "times"]

PATH = ("00", "01", "02", "13")  # the lessons of the 90 minutes in TEACHING.md
PACE = 200  # words a minute
QUESTION = re.compile(r"(?m)^> (?:\*\*Predict[^*]*\*\* |(?=\*\*Your diagnosis))(.*(?:\n>.*)*)")
NO_PROSE = re.compile(r"(?s)```.*?```|<details>.*?</details>|\$[^$]*\$|\]\([^)]*\)")
PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Predictions</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
@page {{ size: A4; margin: 10mm 12mm; }}
body {{ font: 9pt/1.3 system-ui, sans-serif; margin: 0 auto; max-width: 190mm; }}
header {{ display: flex; flex-wrap: wrap; justify-content: space-between; border-bottom: 1pt solid; }}
h1 {{ font-size: 12pt; margin: 0; }} h2 {{ font-size: 9.5pt; margin: 2mm 0 1mm; break-after: avoid; }}
.page {{ columns: 2 70mm; column-gap: 8mm; break-after: page; }} .page:last-child {{ break-after: auto; }}
.item {{ break-inside: avoid; margin-bottom: 1.5mm; }} .item p {{ margin: 0; }}
.line {{ display: flex; flex-wrap: wrap; align-items: end; font-style: italic; }}
.line::after {{ content: ""; flex: 1 0 25mm; height: 8mm; border-bottom: 0.3pt solid #555; }}
@media screen {{ body {{ padding: 4mm; font-size: 11pt; }} }}
</style></head><body>{pages}</body></html>
"""
HEAD = "<header><h1>{}</h1><span>name and date: " + "_" * 40 + "</span></header>"


def sheet(out: str = "build/site") -> None:
    """Writes sheet.html into a folder; the browser prints it on A4."""
    lessons = [nbformat.read(file, 4) for file in sorted((paths.ROOT / "notebooks").glob("*.ipynb"))]
    pages = [f'{HEAD.format(title)}<div class="page">{"".join(_lesson(one, first) for one in lessons)}</div>'
             for title, first in (("Predictions: the 90 minutes", True), ("Predictions: all others", False))]
    file = paths.write_text(paths.resolve(out) / "sheet.html", PAGE.format(pages="".join(pages)))
    print(f"open {file} and print it on A4")


def predictions(notebook: NotebookNode) -> list[tuple[str, list[str], bool]]:
    """The questions of a notebook as Markdown, in its order, each with what is asked for on its lines ("" for one), and
    whether the 90 minutes have it: they have those on slides, and all of a lesson of theirs without slides."""
    found: list[tuple[str, list[str], bool]] = []
    kinds = [set(slides.KINDS) & set(cell.metadata.get("tags", [])) for cell in notebook.cells]
    spoken = not any(kinds) and notebook.cells[0].source.removeprefix("# ").startswith(PATH)
    for cell, kind in zip(notebook.cells, kinds):
        if cell.cell_type == "markdown":
            found += [(" ".join(re.sub(r"(?m)^> ?", "", text).split()), [], spoken or bool(kind))
                      for text in QUESTION.findall(cell.source)]
        elif "predict" in cell.metadata.get("tags", []):
            above = "\n".join(re.findall(r"(?m)^# (.*)", cell.source))
            asked = [text or above for text in re.findall(r"(?m)^\w+ = None(?:  # )?(.*)", cell.source)]
            found = found if found and not found[-1][1] else [*found, ("", [], spoken or bool(kind))]
            found[-1][1].extend(asked)
    return [(text, asked or [""], first) for text, asked, first in found]


def _lesson(notebook: NotebookNode, first: bool) -> str:
    """A lesson's predictions for the first page, or those for the others; nothing where there are none."""
    title = notebook.cells[0].source.partition("\n")[0].removeprefix("# ").partition(":")[0]
    items = [f'<div class="item"><p>{MarkdownIt().renderInline(text)}</p>'
             + "".join(f'<div class="line">{html.escape(one)}{"&nbsp;" * bool(one)}</div>' for one in asked) + "</div>"
             for text, asked, spoken in predictions(notebook) if spoken == first]
    return f"<h2>{html.escape(title)}</h2>{''.join(items)}" if items else ""


def words(notebook: NotebookNode) -> int:
    """The words of a notebook's prose: without code, formulae and what is folded."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return len(re.findall(r"\w[\w'’.,-]*", NO_PROSE.sub(" ", text)))


def times() -> None:
    """Prints a row a notebook: words, minutes to read, and what its first lines say of running it at `tiny`."""
    print("notebook                words  minutes  run, by its own first lines")
    for file in sorted((paths.ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(file, 4)
        count, first = words(notebook), " ".join(notebook.cells[0].source.split())
        told = re.search(r"(?:`tiny`:? |\*\*Time\*\*: (?!.*`tiny`))(.+?)(?: [(·]|[,;]|\. |$)", first)
        print(f"{file.stem:22}{count:7,}{count / PACE:9.0f}  {told[1] if told else ''}")
