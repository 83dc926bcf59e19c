"""The lessons as a site, with navigation, search and sounds that play. It needs no network, nor a server to look at it.

    python -m lib.course.build site [out=build/site]

Sphinx reads what is stored: every notebooks/*.ipynb with its outputs, README, TEACHING, CONTRIBUTING and RESULTS.
Nothing is run. What this needs stands in notebooks/requirements-site.txt."""
import importlib
import io
import os
import re
import shutil
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lib import paths
from lib.course import handouts, slides

__all__ = ["site", "pages"]

TITLE = "Masked autoencoders for animal sound"
OTHERS = {"For teachers": ["notebooks/TEACHING.md"],
          "The study": ["papermill_runs/README.md", "papermill_runs/RESULTS.md", "CONTRIBUTING.md"]}
FOLDERS = {"lib": "lib/__init__.py", "papermill_runs": "papermill_runs/README.md"}  # the page a link to a folder means
SHOWN = """
## To show and to print

<p><a href="../slides.html">The slides</a> (arrows, Esc for all, F for the full screen) and
<a href="../sheet.html">the sheet for predictions</a>, the 90 minutes on its first page.</p>
"""
LINK = re.compile(r"(?<=\]\()([^)\s:#]+)(?=[)#])")  # the target of a Markdown link inside the repository
STYLE = """
:root { --pst-font-size-h1: 2.2rem; --pst-font-size-h2: 1.7rem; --pst-font-size-h3: 1.4rem; }
.bd-sidebar-primary.bd-sidebar { flex-basis: 15rem; max-width: 15rem; }
.bd-sidebar-secondary { width: 13rem; max-width: 13rem; }
.bd-main .bd-content .bd-article-container { max-width: 62em; }
code.literal .pre { white-space: normal; overflow-wrap: break-word; }
.highlight pre { font-size: 0.8rem; }
.cell_output .output, .cell_output pre { overflow-x: auto; }
.output.stream pre, .output.text_plain pre { white-space: pre-wrap; overflow-wrap: break-word; }
.bd-article table { font-size: 0.85rem; }
.cell_output th, .cell_output td { padding: 0.2em 0.6em; }
.cell_output audio { display: block; max-width: 100%; }
mjx-container { max-width: 100%; overflow: auto hidden; }
"""
CONF = {
    "project": TITLE, "html_title": TITLE, "root_doc": "index", "language": "en", "html_use_index": False,
    "extensions": ["myst_nb", "sphinx.ext.mathjax"], "html_theme": "sphinx_book_theme",
    "html_theme_options": {"show_navbar_depth": 1, "show_toc_level": 2, "use_fullscreen_button": False,
                           "navbar_persistent": [], "footer_content_items": []},
    "html_context": {"default_mode": "light"},
    "nb_execution_mode": "off", "nb_render_markdown_format": "myst",
    "myst_enable_extensions": ["dollarmath", "amsmath"], "myst_heading_anchors": 4,
    "mathjax_path": "tex-svg.js", "html_static_path": ["_static"], "html_css_files": ["course.css"]}


def site(out: str = "build/site") -> int:
    """Writes the site into a folder, slides and sheet among it; 1 where Sphinx warns, and its warnings are shown.

    ValueError where a package is missing."""
    target, warnings = paths.resolve(out), io.StringIO()
    try:
        for name in ("sphinx", "myst_nb", "sphinx_book_theme"):
            importlib.import_module(name)
        mathjax = slides.packaged("sphinx-mathjax-offline", "tex-svg.js")
    except ImportError as error:
        raise ValueError(f"the site needs {error.name}, which is not installed: {slides.NEEDS}") from None
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    with tempfile.TemporaryDirectory() as folder, patch_docutils(), docutils_namespace():
        source = Path(folder) / "source"
        pages(source)
        paths.write_text(source / "_static" / "course.css", STYLE)
        shutil.copy(mathjax, source / "_static")
        Sphinx(source, None, target, Path(folder) / "doctrees", "html", CONF, status=None, warning=warnings,
               parallel=paths.processors()).build()
    slides.slides(out)
    handouts.sheet(out)
    print(warnings.getvalue() or f"open {target / 'index.html'}")
    return int(bool(warnings.getvalue()))


def pages(folder: Path) -> None:
    """Writes what Sphinx is to read into a folder laid out as the repository is: the README as its index, the lessons,
    the teacher's guide, and whatever these link to."""
    lessons = sorted((paths.ROOT / "notebooks").glob("*.ipynb"))
    trees = {"Lessons": [f"notebooks/{lesson.name}" for lesson in lessons], **OTHERS}
    listed = ["README.md", *sum(trees.values(), [])]
    todo, done = listed[::-1], set()
    while todo:
        if (name := todo.pop()) in done:
            continue
        done.add(name)
        file, there = paths.ROOT / name, folder / _page(name)
        there.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".ipynb":
            nbformat.write(_lesson(nbformat.read(file, 4), name, todo), there)
        elif file.suffix in (".md", ".py"):
            text = file.read_text(encoding="utf-8")
            text = _linked(text, name, todo) if file.suffix == ".md" else f"# {name}\n\n````python\n{text}````\n"
            text += SHOWN * (name == "notebooks/TEACHING.md")
            text = text if name in listed else f"---\norphan: true\n---\n{text}"
            paths.write_text(there, text + _trees(trees) * (name == "README.md"))
        else:
            shutil.copy(file, there)


def _page(name: str) -> str:
    """The file of the site's source that a file of the repository becomes."""
    return "index.md" if name == "README.md" else f"{name}.md" if name.endswith(".py") else name


def _linked(text: str, name: str, todo: list[str]) -> str:
    """The Markdown of a file with its links inside the repository pointing to pages; these are added to `todo`."""
    def other(found: re.Match) -> str:
        target = os.path.normpath(os.path.join(os.path.dirname(name), found[1])).replace(os.sep, "/")
        if not (paths.ROOT / target).exists():
            return found[1]  # Sphinx says so, unless it stands in code
        if (paths.ROOT / target).is_dir():
            target = FOLDERS.get(target, "README.md")
        todo.append(target)
        return os.path.relpath(_page(target), os.path.dirname(name)).replace(os.sep, "/")

    return LINK.sub(other, text)


def _lesson(notebook: NotebookNode, name: str, todo: list[str]) -> NotebookNode:
    """A notebook as myst-nb wants it: folded where JupyterLab folds, alternative texts by cell and not by output."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _linked(cell.source, name, todo)
            continue
        told = {meta["alt"] for output in cell.get("outputs", []) for meta in output.get("metadata", {}).values()
                if "alt" in meta}
        cell.metadata["mystnb"] = {"image": {"alt": text} for text in told}
        if cell.metadata.get("jupyter", {}).get("source_hidden"):
            title = cell.source.partition("\n")[0].removeprefix("# @title ")
            cell.metadata["mystnb"] |= {"code_prompt_show": title, "code_prompt_hide": title}
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
    return notebook


def _trees(trees: dict[str, list[str]]) -> str:
    """The tables of contents, in Markdown, with what stands before the colon of each title."""
    def entry(name: str) -> str:
        file = paths.ROOT / name
        text = nbformat.read(file, 4).cells[0].source if file.suffix == ".ipynb" else file.read_text(encoding="utf-8")
        title = re.search(r"(?m)^# (.+)$", text)[1].partition(":")[0]
        return f"{title} <{os.path.splitext(name)[0]}>"

    return "".join(f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(map(entry, names)) + "\n```\n"
                   for caption, names in trees.items())
