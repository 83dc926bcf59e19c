"""The student's copies: no solution, no answer and no finding in any of them, and their exercises still check."""
import json
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from test_exercises import find, run

from lib.course import build, student

SOURCES = sorted(build.FOLDER.glob("*.py"))
FOLDED = re.compile(r"<details>.*?</summary>(.*?)</details>", re.DOTALL)
FINDING = re.compile(r"\*\*See\b\W*(.*?)(?=\*\*Ask|\n\n|\Z)", re.DOTALL)


def text_of(cells) -> str:
    """All that a reader sees of some cells, on one line: their sources, and their outputs but for pictures."""
    texts = [cell.source for cell in cells]
    texts += [json.dumps([output.get("text", ""), [text for kind, text in output.get("data", {}).items()
                                                   if kind.startswith("text")]])
              for cell in cells for output in cell.get("outputs", [])]
    return " ".join(" ".join(texts).split())


def secrets(notebook) -> list[str]:
    """Every line of code and every sentence of at least 25 characters that stands only in a fold or a finding."""
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    hidden = [found for cell in prose for found in FOLDED.findall(cell.source)]
    hidden += [found for cell in prose for found in FINDING.findall(FOLDED.sub("", cell.source))]
    pieces = [piece for text in hidden for block in re.split(r"```\w*\n", text)
              for piece in (re.split(r"(?<=[.!?:])\s+", block) + block.splitlines())]
    others = text_of([cell if cell.cell_type == "code" else
                      new_markdown_cell(FINDING.sub("", FOLDED.sub("", cell.source))) for cell in notebook.cells])
    pieces = {" ".join(piece.split()) for piece in pieces}
    return sorted(piece for piece in pieces if len(piece) >= 25 and piece not in others)


@pytest.fixture(scope="module", params=SOURCES, ids=lambda py: py.stem)
def pair(request):
    """A notebook's source, the notebook, and the student's copy of it."""
    notebook = nbformat.read(request.param.with_suffix(".ipynb"), as_version=4)
    return request.param, notebook, student.without_answers(notebook)


def test_no_answer_is_in_a_students_copy(pair):
    py, original, copied = pair
    text, before, known = text_of(copied.cells), text_of(original.cells), secrets(original)
    lines = [line.strip() for one in find(py) for line in one.solution.splitlines() if len(line.strip()) >= 25]
    assert len(known) > 10 and len(set(lines) & set(known)) >= 4  # or nothing was looked for
    assert [piece for piece in known if piece in before] == known
    assert not [piece for piece in known if piece in text]
    prose = "".join(cell.source for cell in copied.cells if cell.cell_type == "markdown")
    assert "<details" not in prose and "**See" not in prose
    told = next(n for n, cell in enumerate(copied.cells) if "exercises.predicted(" in cell.source)
    assert not any(cell.get("outputs") for cell in copied.cells[told:])


def test_nothing_else_is_missing(pair):
    _, original, copied = pair
    code = [[(cell.source, cell.metadata) for cell in one.cells if cell.cell_type == "code"]
            for one in (original, copied)]
    assert code[0] == code[1]
    headings = [re.findall(r"(?m)^#+ .+", FOLDED.sub("", "\n".join(
        cell.source for cell in one.cells if cell.cell_type == "markdown"))) for one in (original, copied)]
    assert headings[0] == headings[1]
    nbformat.validate(copied)


def test_an_exercise_of_the_copy_checks(pair):
    py, _, copied = pair
    stubs = [cell.source for cell in copied.cells if "exercise" in cell.metadata.get("tags", [])]
    one, source = find(py)[0], stubs[0]
    assert run(source, one.imports)[1].startswith("Your turn")
    assert run(f"{one.solution}\n{source.splitlines()[-1]}", one.imports)[1].startswith("Right: ")


# The mechanism

def toy(*cells):
    return student.without_answers(new_notebook(cells=[new_markdown_cell("# A toy"), *cells])).cells[1:]


def output():
    return [new_output("stream", text="0.25\n")]


@pytest.mark.parametrize("asks", [new_markdown_cell("> **Predict.** How many?"),
                                  new_code_cell("many = None", metadata={"tags": ["predict"]}, outputs=output())])
def test_outputs_go_from_the_first_prediction_on(asks):
    cells = toy(new_code_cell("before", outputs=output(), execution_count=1), asks,
                new_code_cell("after", outputs=output(), execution_count=2))
    assert [len(cell.get("outputs", ())) for cell in cells] == [1, 0, 0]
    assert [cell.get("execution_count") for cell in cells] == [1, None, None]


@pytest.mark.parametrize("text, left", [
    ("**Is it?** <details><summary>Answer</summary>Not\n\nso.</details>\n\nOn.", "**Is it?** \n\nOn."),
    ("<details><summary>Is it 1?</summary>No.</details>\n<details><summary>Or 2?</summary>Yes.</details>",
     "**Is it 1?**\n\n**Or 2?**"),
    ("<details open>\n<summary>Solution</summary>a <details><summary>b</summary>c</details> d</details>e", "e"),
    ("*Figure 1. Two lines.* **See:** one is\nhigher. **Ask:** which?\n\nOn.",
     "*Figure 1. Two lines.* **What do you see?** which?\n\nOn."),
    ("*Figure 1. Two lines.* **See** (`tiny`): one is higher.", "*Figure 1. Two lines.* **What do you see?**"),
    ("# T\n\n[![Open in Colab](a.svg)](b) [![Open in Binder](c.svg)](d)\n\nText", "# T\n\nText")])
def test_what_goes_and_what_stays(text, left):
    assert [cell.source for cell in toy(new_markdown_cell(text))] == [left]
    assert not toy(new_markdown_cell("<details><summary>Solution</summary>all</details>"))  # no empty cell


def test_the_command_writes_copies_and_never_over_anything(tmp_path, capsys):
    name = SOURCES[0].stem
    assert build.main(["student", name, f"out={tmp_path}"]) == 0
    copied = tmp_path / f"{name}.ipynb"
    before = copied.read_text()
    assert "student's copy" in nbformat.reads(before, as_version=4).cells[0].source
    assert build.main(["student", f"out={tmp_path}"]) == 2 and copied.read_text() == before
    assert "perhaps with somebody's work" in capsys.readouterr().err and len(list(tmp_path.iterdir())) == 1
    assert build.main(["student", name, f"out={build.FOLDER}"]) == 2 and "originals" in capsys.readouterr().err
