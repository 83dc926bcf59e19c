"""The notebooks as files: built from their .py, compared with it, and checked for what a reader would trip over.

    python -m lib.course.build build NAME ... [scale=tiny] [timeout=1800]   runs NAME.py afresh and writes NAME.ipynb
    python -m lib.course.build check [NAME ...]    reads all pairs, changes nothing
    python -m lib.course.build dress [NAME ...]    set-up cell and badges of lib.course.colab into every .py
    python -m lib.course.build patch [NAME ...]    sources of the .py into the stored .ipynb, without running anything
    python -m lib.course.build figures [NAME ...] [out=build/lecture]   runs them; a PNG of 200 dots an inch a figure
    python -m lib.course.build student [NAME ...] [out=FOLDER]    copies without answers, see lib/course/student.py
    python -m lib.course.build site [out=FOLDER]   all lessons as a web site that needs no network
    python -m lib.course.build slides [out=FOLDER]   the cells tagged for it as a deck, in one file
    python -m lib.course.build sheet [out=FOLDER]  the predictions to print and write on
    python -m lib.course.build times               words and minutes to read

A .py is the reviewed source (jupytext's percent format); its .ipynb holds the same cells and their outputs. `patch` is
for changes that cannot change an output: imports, wrapped lines, comments, prose. Figures get the alt text of their
captions again, and what `plots.source(...)` shows is read from lib again; all else stays as it was computed, so after
any other change the numbers are made by `build`. `patch` refuses where cells were added, removed or changed type."""
import difflib
import hashlib
import importlib
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import jupytext
import nbformat
from IPython.core.formatters import DisplayFormatter
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4.nbjson import JSONWriter

from lib import paths, progress
from lib.course import colab, figures, student

__all__ = ["FOLDER", "source", "build", "export", "tidy", "alt", "write", "patch", "pair", "lint"]

FOLDER = paths.ROOT / "notebooks"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
ELSEWHERE = {"site": "site", "slides": "slides", "sheet": "handouts", "times": "handouts"}  # their modules, read late
KEPT = ("tags", "jupyter", "collapsed", "cellView")  # metadata of a cell: its tags, and whether it is folded
WIDGET = "application/vnd.jupyter.widget-view+json"
EXPERIMENT = re.compile(r"0[3-9]_|12_|14_|15_")  # these leave records, so they take parameters
LONGEST, MEDIAN, BYTES = 30, 8, 1_500_000  # lines of a code cell, their median, size of a file
COLUMNS = 100  # of a line of code: what a browser shows beside JupyterLab's list of files; prose flows
# a parameter as papermill reads it: it takes a # in the literal for the help's, and stumbles over an = in the help
PARAMETER = re.compile(r'\w+: (bool = (True|False)|int = -?\d+|float = -?[\d.]+(e-?\d+)?|str = "[^"#]*")  # [^=]{3,}')
# a path of one machine
PLACE = re.compile(r"(?<![\w.:/\\-])(?:/(?:home|root|tmp|work|Users|mnt|var|opt)/[\w.]|[A-Za-z]:\\\w)")
DATA_URI = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]+")


# Building -----------------------------------------------------------------------------------------------------------

def source(py: Path) -> NotebookNode:
    """The notebook a .py describes: no outputs, and ids that stay the same as long as a cell's text does."""
    notebook = jupytext.read(py, fmt="py:percent")
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        key = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:10]
        seen[key] = seen.get(key, 0) + 1
        cell.id = key if seen[key] == 1 else f"{key}-{seen[key]}"
    notebook.metadata = NotebookNode(kernelspec=NotebookNode(KERNEL), language_info=NotebookNode(name="python"))
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Takes out what changes without meaning: times, widgets, addresses. Gives figures an alt text."""
    notebook.metadata = NotebookNode(kernelspec=NotebookNode(KERNEL), language_info=NotebookNode(name="python"))
    for cell, after in zip(notebook.cells, [*notebook.cells[1:], None]):
        cell.metadata = NotebookNode({k: v for k, v in cell.metadata.items() if k in KEPT})
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            if WIDGET in output.get("data", {}):
                continue  # without its state a stored widget is an error message
            if "text/plain" in output.get("data", {}):
                output.data["text/plain"] = re.sub(r" at 0x[0-9a-f]{6,}", "", output.data["text/plain"])
            caption = alt(after.source if after else "")
            for kind in _images(output):
                about = {k: v for k, v in output.metadata.get(kind, {}).items() if k != "number"}
                output.metadata[kind] = NotebookNode(about, alt=caption)
            kept.append(output)
        cell.outputs = kept
    return notebook


def alt(caption: str) -> str:
    """A figure's alt text: its caption's first sentence as plain text, and more where that has less than 55 characters.

    It goes where nbconvert, nbsphinx and IPython look for it (`alt` in the output's metadata of that image type)."""
    text = " ".join(caption.strip().partition("\n\n")[0].split())
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)|[*`$]+|<[^>]+>|^#+ |^> |^[-|] ", r"\1", text)
    text = re.sub(r"^Figure \w+( \([^)]*\))?\. ", "", text).removeprefix("See: ")
    sentences, told = re.split(r"(?<=[.!?:])(?<!al\.)(?<!Fig\.)(?<!Sec\.)(?<!See:) (?=[A-Z0-9])", text), ""
    while sentences and len(told) < 55:
        told = f"{told} {sentences.pop(0)}".strip()
    return told[:1].upper() + told[1:]


def _images(output: NotebookNode) -> list[str]:
    return [kind for kind in output.get("data", {}) if kind.startswith("image/")]


def write(notebook: NotebookNode, ipynb: Path) -> Path:
    """Writes strict, sorted JSON: the same notebook is the same bytes."""
    nbformat.validate(notebook)
    return paths.write_text(ipynb, JSONWriter().writes(notebook, allow_nan=False).rstrip("\n") + "\n")


def build(py: Path, scale: str = "auto", timeout: int = 1800) -> Path:
    """Runs a .py's notebook from its first cell on in a fresh kernel and writes the .ipynb beside it, or nothing.

    `scale` says what the notebook's `auto` means (else STUDY_SCALE does, else it is tiny, with a GPU too); `timeout` is
    the longest one cell may take, in seconds."""
    return write(tidy(_run(py, scale, timeout)), py.with_suffix(".ipynb"))


def export(py: Path, out: Path, scale: str = "auto", timeout: int = 1800) -> list[Path]:
    """Runs a .py's notebook as `build` does and writes its figures for lectures, the .ipynb not."""
    with tempfile.TemporaryDirectory() as shots:
        return figures.collect(_run(py, scale, timeout, shots), py.stem, Path(shots), out)


def _run(py: Path, scale: str, timeout: int, shots: str = "") -> NotebookNode:
    notebook = source(py)
    settings = {"STUDY_SCALE": "tiny", **os.environ, "TQDM_DISABLE": "1"}  # how far it is is not to be stored
    if scale != "auto":
        settings["STUDY_SCALE"] = scale
    watch = f"from lib.course import figures\nfigures.watch({shots!r})"
    client = NotebookClient(notebook, timeout=timeout, kernel_name=KERNEL["name"], record_timing=False,
                            coalesce_streams=True, resources={"metadata": {"path": str(py.parent)}},
                            on_notebook_start=lambda **_: client.kc.execute(watch, silent=True))
    return client.execute(env=settings)


def patch(py: Path) -> int:
    """Puts the sources of a .py into its stored .ipynb, see the top of this file for when; how many cells changed."""
    ipynb, ours = py.with_suffix(".ipynb"), source(py).cells
    notebook = nbformat.read(ipynb, as_version=4)
    if [cell.cell_type for cell in ours] != [cell.cell_type for cell in notebook.cells]:
        raise ValueError(f"{py.name} has {len(ours)} cells, {ipynb.name} {len(notebook.cells)}, or their types differ: "
                         f"run it with python -m lib.course.build build {py.stem}")
    code = "\n".join(cell.source for cell in ours if cell.cell_type == "code")
    names, changed = {}, 0
    exec("\n".join(re.findall(r"^from lib\S* import (?:\([^)]*\)|.+)", code, re.M)), names)
    for new, old in zip(ours, notebook.cells):
        changed += new.source != old.source
        old.source, old.id, old.metadata = new.source, new.id, new.metadata
        call = re.search(r"^plots\.source\([\w.]+\)$", new.source, re.M)
        if new.cell_type == "code" and call:
            shown = NotebookNode(DisplayFormatter().format(eval(call[0], names))[0])
            next(output for output in old.outputs if output.output_type == "execute_result").data = shown
    write(tidy(notebook), ipynb)
    return changed


# Checking -----------------------------------------------------------------------------------------------------------

def pair(py: Path, ipynb: Path) -> list[str]:
    """Where a .py and its .ipynb differ in cell types, tags, folding or sources; empty if they agree."""
    ours, theirs = source(py).cells, nbformat.read(ipynb, as_version=4).cells
    for n, (a, b) in enumerate(zip(map(_compared, ours), map(_compared, theirs))):
        if a != b:
            lines = [x for x in difflib.ndiff(a.splitlines(), b.splitlines()) if x[0] in "+-"]
            return [f"{ipynb.name}: cell {n} is not that of {py.name}: {' '.join(lines[:4])}; build or patch it"]
    if len(ours) == len(theirs):
        return []
    return [f"{ipynb.name} has {len(theirs)} cells, {py.name} {len(ours)}; build it again"]


def _compared(cell: NotebookNode) -> str:
    return f"[{cell.cell_type} {json.dumps({k: cell.metadata[k] for k in KEPT if k in cell.metadata})}]\n{cell.source}"


def lint(ipynb: Path) -> list[str]:
    """What is wrong with a stored notebook, a line each; empty if nothing is."""
    text = ipynb.read_text(encoding="utf-8")
    try:
        nbformat.validate(nbformat.from_dict(json.loads(text, parse_constant=_refuse)))
    except (ValueError, nbformat.ValidationError) as error:
        return [f"{ipynb.name}: not a strict notebook: {str(error).splitlines()[0]}"]
    notebook = nbformat.reads(text, as_version=4)  # joins the lists of lines
    size, kernel = len(text.encode()), notebook.metadata.get("kernelspec", {}).get("name")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    middle = statistics.median(len(cell.source.splitlines()) for cell in code) if code else 0
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    found = [problem for holds, problem in [
        (size > BYTES, f"{size:,} bytes, at most {BYTES:,}: fewer or smaller figures and sounds"),
        (kernel != KERNEL["name"], f"kernelspec is {kernel!r}, needs {KERNEL['name']}"),
        ("widgets" in notebook.metadata, "metadata.widgets is there: widget state is not stored"),
        (middle > MEDIAN, f"median code cell has {middle:g} lines, at most {MEDIAN}"),
        (len(tagged) > 1 or (EXPERIMENT.match(ipynb.name) and not tagged),
         f"{len(tagged)} cells tagged `parameters`, needs one")] if holds]
    for n, (cell, after) in enumerate(zip(notebook.cells, [*notebook.cells[1:], None])):
        found += [f"cell {n}: {problem}" for problem in _lint_lines(cell) + _lint_outputs(cell, after)]
    found += [problem for cell in tagged for problem in _lint_parameters(cell.source)]
    return [f"{ipynb.name}: {problem}" for problem in found]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _texts(cell: NotebookNode) -> list[str]:
    texts = [cell.source]
    for output in cell.get("outputs", []):
        texts += [str(output.get("text", ""))]
        texts += [str(v) for k, v in output.get("data", {}).items() if k.startswith("text/") or k.endswith("json")]
    return [DATA_URI.sub("", text) for text in texts]


def _lint_lines(cell: NotebookNode) -> list[str]:
    lines = cell.source.splitlines() if cell.cell_type == "code" else []
    wide = [line for line in lines if len(line) > COLUMNS]
    found = [f"{len(wide)} lines wider than {COLUMNS} columns, the first: {wide[0].strip()[:60]} ..."] if wide else []
    if len(lines) > LONGEST:
        found.append(f"{len(lines)} lines, at most {LONGEST}: move what it does into lib")
    return found


def _lint_outputs(cell: NotebookNode, after: NotebookNode | None) -> list[str]:
    found = [f"a path of one machine: {match} ..." for text in _texts(cell) for match in PLACE.findall(text)][:1]
    if "execution" in cell.metadata or "papermill" in cell.metadata:
        found.append("execution times are stored")
    if cell.cell_type != "code":
        return found
    found += [f"a warning or progress bar is stored: {output.text[:80]}"
              for output in cell.outputs if output.get("name") == "stderr"]
    pictures = [(output, kind) for output in cell.outputs for kind in _images(output)]
    found += [problem for output, kind in pictures for problem in figures.lint_image(output, kind)]
    found += [problem for output in cell.outputs
              for problem in figures.lint_tables(output.get("data", {}).get("text/html", ""))]
    images = [output.metadata.get(kind, {}) for output, kind in pictures]
    told = after is not None and after.cell_type == "markdown"
    return found + [problem for holds, problem in [
        (any(output.output_type == "error" for output in cell.outputs), "an error is stored"),
        (any(WIDGET in output.get("data", {}) for output in cell.outputs), "a widget is stored without its state"),
        ("NBVAL_CHECK_OUTPUT" in cell.source and not cell.outputs,
         "NBVAL_CHECK_OUTPUT without a stored output checks nothing"),
        (cell.source.strip() and cell.execution_count is None, "was never executed"),
        (images and not told, "a figure without a sentence after it"),
        (told and any(not image.get("alt") for image in images),
         "a figure without an alt text: build it again, and begin the caption below it with a sentence")] if holds]


def _lint_parameters(text: str) -> list[str]:
    return [f"parameters, line {n}: not `name: type = literal  # help` (bool, int, float or str; no = sign in the help)"
            for n, line in enumerate(text.splitlines(), 1)
            if line.strip() and not line.startswith("#") and not PARAMETER.fullmatch(line)]


# The command line -----------------------------------------------------------------------------------------------------

def _files(names: Sequence[str]) -> list[Path]:
    """The .py of the notebooks named, all of them where none is; ValueError where there is none of that name."""
    there = sorted(FOLDER.glob("*.py"))
    files = [FOLDER / f"{Path(name).stem}.py" for name in names] or there
    if missing := [file.name for file in files if not file.exists()]:
        raise ValueError(f"{', '.join(missing)}: not in notebooks/, which has {', '.join(py.stem for py in there)}")
    return files


def _build(name: str, *names: str, scale: str = "auto", timeout: int = 1800) -> int:
    for py in _files([name, *names]):
        begun = time.monotonic()
        try:
            ipynb = build(py, scale, timeout)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            line = f"{error.ename}: {error.evalue}" if isinstance(error, CellExecutionError) else str(error)
            print(f"{py.name}: {' '.join(line.split())[:500]}; its .ipynb is left as it was", file=sys.stderr)
            return 1
        print(f"{ipynb.name}: {ipynb.stat().st_size / 1e6:.2f} MB, ran {progress.duration(time.monotonic() - begun)}")
    return _check(name, *names)


def _figures(*names: str, out: str = "build/lecture", scale: str = "auto", timeout: int = 1800) -> None:
    for py in _files(names):
        written = export(py, paths.resolve(out), scale, timeout)
        print(f"{py.stem}: {len(written)} figures in {out}")


def _check(*names: str) -> int:
    found = []
    for py in (files := _files(names)):
        ipynb = py.with_suffix(".ipynb")
        found += pair(py, ipynb) + lint(ipynb) if ipynb.exists() else [f"{ipynb.name} is not built"]
    print("\n".join(found) or f"{len(files)} notebooks, nothing to mend")
    return 1 if found else 0


def _dress(*names: str) -> None:
    for py in _files(names):
        text = py.read_text(encoding="utf-8")
        if (dressed := colab.dress(text, py.stem)) != text:
            paths.write_text(py, dressed)
            print(f"{py.name}: set-up cell and badges written; patch its .ipynb")


def _patch(*names: str) -> int:
    for py in _files(names):
        print(f"{py.stem}.ipynb: {patch(py)} cells changed, outputs as they were")
    return _check(*names)


def _student(*names: str, out: str = str(paths.ROOT / "student")) -> None:
    copies = {py.with_suffix(".ipynb"): Path(out) / f"{py.stem}.ipynb" for py in _files(names)}
    if Path(out).resolve() == FOLDER.resolve():
        raise ValueError(f"out={out} is where the originals are; name another folder")
    if there := [copy.name for copy in copies.values() if copy.exists()]:
        raise ValueError(f"{out} has {there[0]}{' and more' if there[1:] else ''}, perhaps with somebody's work: move "
                         "it away, or name another folder with out=")
    for ipynb, copy in copies.items():
        write(student.without_answers(nbformat.read(ipynb, as_version=4)), copy)
    print(f"{len(copies)} notebooks without answers in {out}")


def main(words: Sequence[str]) -> int:
    """The command line, see the top of this file."""
    steps = {"build": _build, "check": _check, "dress": _dress, "patch": _patch, "figures": _figures,
             "student": _student}
    if not words or words[0] not in {*steps, *ELSEWHERE}:
        print(__doc__.partition("\n\n")[2], file=sys.stderr)
        return 2
    if words[0] in ELSEWHERE:
        steps = vars(importlib.import_module(f"lib.course.{ELSEWHERE[words[0]]}"))
    return paths.command(steps[words[0]], words[1:], __doc__, "the same command begins anew")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
