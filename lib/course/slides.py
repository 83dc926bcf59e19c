"""A deck to show: the tagged cells of the stored notebooks as slides, in one HTML file that needs no network.

    python -m lib.course.build slides [out=build/site]

A cell comes into the deck by a tag: `slide` begins a slide, `subslide` one below it, `fragment` comes onto the slide
with the next key. Of a code cell its outputs are shown, and its code where it is tagged `code` too; of a text what
stands before its next heading. A slide that does not begin with a heading has the last one above it. Keys: arrows, Esc
for all slides, F for the full screen. What this needs stands in notebooks/requirements-site.txt."""
import html
import importlib.metadata
import re
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lib import paths

__all__ = ["NEEDS", "slides", "deck", "packaged"]

NEEDS = "pip install -r notebooks/requirements-site.txt"
KINDS = ("slide", "subslide", "fragment")
HEADING = re.compile(r"(?m)^(#{1,3} .+)$")
STYLE = """
:root { --r-main-font: system-ui, sans-serif; --r-heading-font: system-ui, sans-serif; --r-main-font-size: 24px;
  --r-heading-text-transform: none; --r-heading1-size: 2em; --r-heading2-size: 1.4em; --r-heading3-size: 1.4em;
  --r-block-margin: 10px; --r-heading-margin: 0 0 12px 0; }
html, body, main { height: 100%; margin: 0; }
.jp-Prompt, .jp-InputPrompt, .jp-OutputPrompt, .anchor-link { display: none; }
.reveal .slides { text-align: left; } .reveal h1 { margin-top: 220px; }
.reveal .slide-number { left: 8px; right: auto; }
.reveal .slides > section:not(.stack), .reveal .slides > section > section { box-sizing: border-box; max-height: 100%;
  overflow: hidden auto; padding: 10px 20px; }
.jp-OutputArea-output img { display: block; margin: 10px auto; max-width: 100%; }
.reveal .jp-OutputArea-output img { width: 100%; max-height: 400px; object-fit: contain; }
.jp-OutputArea-output, .page p { overflow: auto hidden; }
.reveal audio { height: 40px; }
.reveal table { font-size: 22px; margin: 10px auto; }
table { border-collapse: collapse; } td, th { padding: 2px 10px; text-align: right; }
pre, blockquote { box-sizing: border-box; margin: 10px 0 !important; padding: 6px 14px !important; background: #f3f4f5;
  width: 100% !important; box-shadow: none !important; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; } .reveal pre { font-size: 20px; }
blockquote { border-left: 5px solid #0173b2; font-style: normal !important; }
summary { cursor: pointer; }
.page { font: 17px/1.5 system-ui, sans-serif; padding: 0 16px; color: #222; }
.page h1 { font-size: 1.6em; line-height: 1.25; }
.page section section { padding: 12px 0; border-bottom: 1px solid #ccc; }
"""
HEAD = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Slides</title>
<style>%s</style>
<script>MathJax = {tex: {inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]]}}</script><script>%s</script>
</head>"""
FOOT = """<script>%s</script><script>
if (innerWidth > 600) Reveal.initialize({width: 1280, height: 720, margin: 0.02, center: false, hash: true,
                                         slideNumber: "c/t", transition: "none"});
else document.querySelector(".reveal").className = "page";  // a telephone has them one below the other
</script>"""
TEMPLATE = """{%- extends "reveal/index.html.j2" -%}
{%- block header -%}<!-- head -->{%- endblock -%}
{%- block footer_js -%}<!-- foot -->{%- endblock -%}"""


def slides(out: str = "build/site") -> None:
    """Writes slides.html into a folder; ValueError where a package is missing or no cell is tagged."""
    text = deck(sorted((paths.ROOT / "notebooks").glob("*.ipynb")))
    print(f"open {paths.write_text(paths.resolve(out) / 'slides.html', text)}")


def deck(files: Sequence[Path]) -> str:
    """The page with the tagged cells of notebooks one after the other; those without a tag are left out."""
    try:
        from nbconvert import SlidesExporter
        from pygments.formatters import HtmlFormatter
        from traitlets.config import Config
        reveal = [packaged("sphinx-revealjs", name).read_text(encoding="utf-8")
                  for name in ("dist/reveal.css", "dist/theme/white.css", "dist/reveal.js")]
        mathjax = packaged("sphinx-mathjax-offline", "tex-svg.js").read_text(encoding="utf-8")
    except ImportError as error:
        raise ValueError(f"the slides need {error.name}, which is not installed: {NEEDS}") from None
    cells = [cell for file in files for cell in _tagged(nbformat.read(file, 4))]
    if not cells:
        raise ValueError(f"no cell is tagged {', '.join(KINDS)}: tag some in a notebook's .py and patch its .ipynb")
    silent = {"TagRemovePreprocessor": {"enabled": True, "remove_input_tags": {"outputs-only"}}}
    exporter = SlidesExporter(raw_template=TEMPLATE, config=Config(silent))
    body, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(cells=cells))
    style = "\n".join([*reveal[:2], HtmlFormatter().get_style_defs(".highlight"), STYLE])
    style = re.sub(r"@import url\([^)]*\);", "", style)  # the theme's own letters
    return body.replace("<!-- head -->", HEAD % (style, mathjax)).replace("<!-- foot -->", FOOT % reveal[2])


def packaged(package: str, name: str) -> Path:
    """A file of an installed package by the end of its path; PackageNotFoundError, an ImportError, without it."""
    files = importlib.metadata.files(package)
    return Path(next(file for file in files if file.as_posix().endswith(f"/{name}")).locate())


def _tagged(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells of a notebook's slides, behind its title; none where no cell is tagged."""
    title, *_ = notebook.cells[0].source.split("\n")
    shown, heading = [], title
    for cell in notebook.cells:
        tags, text = cell.metadata.setdefault("tags", []), re.sub(r"(?s)```.*?```", "", cell.source)
        kind = next((kind for kind in KINDS if kind in tags), None)
        if kind in KINDS[:2] and not (cell.cell_type == "markdown" and HEADING.match(cell.source)):
            shown.append(_slide(nbformat.v4.new_markdown_cell(heading), kind))
            kind = "-"
        if cell.cell_type == "markdown":
            heading = [heading, *HEADING.findall(text)][-1]
            cell.source = re.split(r"\n\n(?=#{1,3} )", cell.source)[0]
        else:
            cell.source = cell.source.removeprefix("# NBVAL_CHECK_OUTPUT\n")
            cell.outputs = _seen(cell.outputs)
            tags += ["outputs-only"] * ("code" not in tags)
        if kind:
            shown.append(_slide(cell, kind))
    return [_slide(nbformat.v4.new_markdown_cell(title), "slide"), *shown] if shown else []


def _seen(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """What a slide shows of a cell's outputs: no echo of a last line, and beside a picture nothing that was printed.

    A picture becomes HTML with its alternative text, which nbconvert's template drops."""
    for output in outputs:
        for kind, meta in output.get("metadata", {}).items():
            if kind in output.data and "alt" in meta:
                source = f"data:{kind};base64,{output.data[kind]}"
                output.data = {"text/html": f'<img alt="{html.escape(meta["alt"])}" src="{source}">'}
    silent = any("<img" in output.get("data", {}).get("text/html", "") for output in outputs)
    return [output for output in outputs if list(output.get("data", ())) != ["text/plain"]
            and not (silent and output.output_type == "stream")]


def _slide(cell: NotebookNode, kind: str) -> NotebookNode:
    cell.metadata["slideshow"] = {"slide_type": kind}
    return cell
