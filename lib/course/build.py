"""The notebooks as files: built from their .py, compared with it, and checked for what a reader would trip over.

    python -m lib.course.build build 05_mix_ratio scale=tiny timeout=1800    runs NAME.py afresh and writes NAME.ipynb
    python -m lib.course.build check                                         reads all pairs, changes nothing
    python -m lib.course.build dress                                         set-up cell and badges of lib.course.colab into every .py

A .py is the reviewed source (jupytext's percent format); its .ipynb holds the same cells and their outputs."""
import ast
import difflib
import hashlib
import io
import json
import os
import re
import statistics
import sys
import tokenize
from collections.abc import Sequence
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4.nbjson import JSONWriter

from lib import paths
from lib.course import colab

__all__ = ["FOLDER", "source", "build", "tidy", "alt", "write", "pair", "lint"]

FOLDER = paths.ROOT / "notebooks"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
KEPT = ("tags", "jupyter", "collapsed", "cellView")          # metadata of a cell: its tags, and whether it is folded
WIDGET = "application/vnd.jupyter.widget-view+json"
EXPERIMENT = re.compile(r"0[3-9]_|12_")          # these leave records, so they take parameters
LONGEST, MEDIAN, BYTES = 30, 8, 1_500_000    # lines of a code cell, their median, size of a file
# a path of one machine
PLACE = re.compile(r"(?<![\w.:/\\-])(?:/(?:home|root|tmp|work|Users|mnt|var|opt)/[\w.]|[A-Za-z]:\\\w)")
BAR = re.compile(r"\r|\d+%\|.*\||\d+(?:\.\d+)?(?:it|s|clip|clips)/(?:it|s|clip)\b")       # a progress bar's line
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
    """Takes out what changes without meaning: times, widgets and their state, progress bars, addresses in memory. Gives figures an alt text."""
    notebook.metadata = NotebookNode(kernelspec=NotebookNode(KERNEL), language_info=NotebookNode(name="python"))
    for cell, after in zip(notebook.cells, [*notebook.cells[1:], None]):
        cell.metadata = NotebookNode({k: v for k, v in cell.metadata.items() if k in KEPT})
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            if WIDGET in output.get("data", {}):
                continue  # without its state a stored widget is an error message
            if output.output_type == "stream" and output.name == "stderr":
                output.text = "".join(line for line in output.text.splitlines(keepends=True) if not BAR.search(line))
                if not output.text.strip():
                    continue
            if "text/plain" in output.get("data", {}):
                output.data["text/plain"] = re.sub(r" at 0x[0-9a-f]{6,}", "", output.data["text/plain"])
            for kind in _images(output):
                output.metadata[kind] = NotebookNode(output.metadata.get(kind, {}), alt=alt(after.source if after else ""))
            kept.append(output)
        cell.outputs = kept
    return notebook


def alt(caption: str) -> str:
    """The alt text of a figure: the first sentence of the caption below it, more where that is shorter than 55 characters, as plain text.

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

    `scale` says what the notebook's `auto` means; `timeout` is the longest one cell may take, in seconds."""
    notebook = source(py)
    if scale != "auto":
        os.environ["STUDY_SCALE"] = scale  # inherited by the kernel
    client = NotebookClient(notebook, timeout=timeout, kernel_name=KERNEL["name"], record_timing=False,
                            coalesce_streams=True, resources={"metadata": {"path": str(py.parent)}})
    return write(tidy(client.execute()), py.with_suffix(".ipynb"))


# Checking -----------------------------------------------------------------------------------------------------------

def pair(py: Path, ipynb: Path) -> list[str]:
    """Where a .py and its .ipynb differ in cell types, tags, folding or sources; empty if they agree. Changes nothing."""
    ours, theirs = source(py).cells, nbformat.read(ipynb, as_version=4).cells
    told = [[f"[{cell.cell_type} {json.dumps({k: cell.metadata[k] for k in KEPT if k in cell.metadata})}]\n{cell.source}" for cell in cells]
            for cells in (ours, theirs)]
    for n, (a, b) in enumerate(zip(*told)):
        if a != b:
            lines = [x for x in difflib.ndiff(a.splitlines(), b.splitlines()) if x[0] in "+-"]
            return [f"{ipynb.name}: cell {n} is not that of {py.name}: {' '.join(lines[:4])}; build it again"]
    if len(ours) == len(theirs):
        return []
    return [f"{ipynb.name} has {len(theirs)} cells, {py.name} {len(ours)}; build it again"]


def lint(ipynb: Path) -> list[str]:
    """What is wrong with a stored notebook, a line each; empty if nothing is."""
    text = ipynb.read_text(encoding="utf-8")
    found = [f"{len(text.encode()):,} bytes, at most {BYTES:,}: fewer or smaller figures and sounds"] \
        if len(text.encode()) > BYTES else []
    try:
        notebook = nbformat.from_dict(json.loads(text, parse_constant=_refuse))
        nbformat.validate(notebook)
    except (ValueError, nbformat.ValidationError) as error:
        return [f"{ipynb.name}: not a strict notebook: {str(error).splitlines()[0]}"]
    notebook = nbformat.reads(text, as_version=4)  # joins the lists of lines
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        found.append(f"kernelspec is {notebook.metadata.get('kernelspec', {}).get('name')!r}, needs python3")
    if "widgets" in notebook.metadata:
        found.append("metadata.widgets is there: widget state is not stored")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    lengths = [len(cell.source.splitlines()) for cell in code]
    if lengths and statistics.median(lengths) > MEDIAN:
        found.append(f"median code cell has {statistics.median(lengths):g} lines, at most {MEDIAN}")
    for n, cell in enumerate(notebook.cells):
        after = notebook.cells[n + 1] if n + 1 < len(notebook.cells) else None
        found += [f"cell {n}: {problem}" for problem in _lint_cell(cell, after)]
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) > 1 or (EXPERIMENT.match(ipynb.name) and not tagged):
        found.append(f"{len(tagged)} cells tagged `parameters`, needs one")
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


def _lint_cell(cell: NotebookNode, after: NotebookNode | None) -> list[str]:
    found = [f"a path of one machine: {match} ..." for text in _texts(cell) for match in PLACE.findall(text)][:1]
    if "execution" in cell.metadata or "papermill" in cell.metadata:
        found.append("execution times are stored")
    if cell.cell_type != "code":
        return found
    if len(cell.source.splitlines()) > LONGEST:
        found.append(f"{len(cell.source.splitlines())} lines, at most {LONGEST}: move what it does into lib")
    if any(output.output_type == "error" for output in cell.outputs):
        found.append("an error is stored")
    found += [f"a warning or progress bar is stored: {output.text[:80]}"
              for output in cell.outputs if output.get("name") == "stderr"]
    if any(WIDGET in output.get("data", {}) for output in cell.outputs):
        found.append("a widget is stored without its state")
    if "NBVAL_CHECK_OUTPUT" in cell.source and not cell.outputs:
        found.append("NBVAL_CHECK_OUTPUT without a stored output checks nothing")
    if cell.source.strip() and cell.execution_count is None:
        found.append("was never executed")
    images = [output.metadata.get(kind, {}) for output in cell.outputs for kind in _images(output)]
    if images and (after is None or after.cell_type != "markdown"):
        found.append("a figure without a sentence after it")
    elif any(not image.get("alt") for image in images):
        found.append("a figure without an alt text: build it again, and begin the caption below it with a sentence")
    return found


def _lint_parameters(text: str) -> list[str]:
    """Plain literals, one a line, each with a comment that papermill can read (it stumbles over `=` in a comment)."""
    comments = {token.start[0]: token.string for token in tokenize.generate_tokens(io.StringIO(text).readline)
                if token.type == tokenize.COMMENT}
    found = []
    for node in ast.parse(text).body:
        plain = isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
        try:
            plain = plain and isinstance(ast.literal_eval(node.value), (bool, int, float, str, type(None)))
        except ValueError:
            plain = False
        if not plain or node.lineno != node.end_lineno:
            found.append(f"parameters, line {node.lineno}: not name = literal on one line")
        elif len(comments.get(node.lineno, "").strip("# ")) < 3 or "=" in comments[node.lineno]:
            found.append(f"parameters, line {node.lineno}: needs a comment, without an = sign, that says what it is")
    return found


def main(words: Sequence[str]) -> int:
    """The command line, see the top of this file."""
    options = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    names = [Path(word).stem for word in words[1:] if "=" not in word]
    known = bool(words) and words[0] in ("build", "check", "dress") and not set(options) - {"scale", "timeout"}
    if not known or (words[0] == "build" and not names):
        print(__doc__.partition("\n\n")[2], file=sys.stderr)
        return 2
    files = [FOLDER / f"{name}.py" for name in names] or sorted(FOLDER.glob("*.py"))
    missing = [file.name for file in files if not file.exists()]
    if missing:
        there = ", ".join(file.stem for file in sorted(FOLDER.glob("*.py")))
        print(f"{', '.join(missing)}: not in notebooks/, which has {there}", file=sys.stderr)
        return 2
    if words[0] == "dress":
        for py in files:
            text = py.read_text(encoding="utf-8")
            dressed = colab.dress(text, py.stem)
            if dressed != text:
                paths.write_text(py, dressed)
                print(f"{py.name}: set-up cell and badges written; build it again")
        return 0
    found = []
    for py in files:
        if words[0] == "build":
            try:
                ipynb = build(py, options.get("scale", "auto"), int(options.get("timeout", 1800)))
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                line = f"{error.ename}: {error.evalue}" if isinstance(error, CellExecutionError) else str(error)
                print(f"{py.name}: {' '.join(line.split())[:500]}; its .ipynb is left as it was", file=sys.stderr)
                return 1
            print(f"{ipynb.name}: {ipynb.stat().st_size / 1e6:.2f} MB")
        ipynb = py.with_suffix(".ipynb")
        found += pair(py, ipynb) + lint(ipynb) if ipynb.exists() else [f"{ipynb.name} is not built"]
    print("\n".join(found) or f"{len(files)} notebooks, nothing to mend")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
