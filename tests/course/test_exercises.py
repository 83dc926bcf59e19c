"""Every exercise of every notebook: the stub is the reader's turn, the solution is right, two typical mistakes get
their own hints."""
import ast
import contextlib
import importlib
import io
import re
import time
from typing import NamedTuple

import numpy as np
import pytest
import torch

from lib import paths
from lib.course import build, exercises
from lib.course.exercises import compare, exercise, need, predicted

SOLUTION = re.compile(r"<details><summary>Solution</summary>.*?```python\n(.*?)```.*?</details>", re.S)


class Exercise(NamedTuple):
    number: str  # of the notebook
    name: str
    stub: str
    solution: str
    imports: str  # of the whole notebook: what stub and solution may use


def find(py) -> list[Exercise]:
    """The exercises of a notebook, as a reader meets them."""
    cells = [cell for cell in build.source(py).cells]
    nodes = [node for cell in cells if cell.cell_type == "code" for node in ast.parse(_plain(cell.source)).body]
    imports = "\n".join(ast.unparse(node) for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)))
    found = []
    for cell, after in zip(cells, [*cells[1:], None]):
        if "exercise" not in cell.metadata.get("tags", []):
            continue
        last = cell.source.strip().splitlines()[-1]
        name = re.fullmatch(r"check\.(\w+)\((\w+)\)", last)
        assert name and name[1] == name[2], (
            f"{py.name}: an exercise cell ends with check.NAME(NAME), this one with {last!r}")
        told = after is not None and after.cell_type == "markdown"
        solution = SOLUTION.match(after.source.lstrip()) if told else None
        assert solution, (
            f"{py.name}: after the cell of {name[1]} comes a markdown cell that begins with its folded solution")
        found.append(Exercise(py.stem[:2], name[1], cell.source, solution[1], imports))
    return found


def _plain(source: str) -> str:
    return "\n".join(line for line in source.splitlines() if not line.lstrip().startswith(("%", "!")))


def run(code: str, imports: str) -> tuple[dict, str]:
    """Runs a cell with the notebook's imports and nothing else: its names, and what it printed."""
    names, printed = {}, io.StringIO()
    exec(imports, names)
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    return names, printed.getvalue().strip()


def said(check, attempt) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert check(attempt) is None  # or a cell would show it
    return printed.getvalue().strip()


NOTEBOOKS = sorted(py for py in build.FOLDER.glob("*.py")
                   if (paths.ROOT / "lib" / "course" / f"exercises_{py.stem[:2]}.py").exists())
ALL = [one for py in NOTEBOOKS for one in find(py)]
each = pytest.mark.parametrize("one", ALL, ids=lambda one: f"{one.number}-{one.name}")


def check_of(one: Exercise):
    return getattr(importlib.import_module(f"lib.course.exercises_{one.number}"), one.name)


@pytest.mark.parametrize("py", NOTEBOOKS, ids=lambda py: py.stem)
def test_a_notebook_has_four_to_six(py):
    names = [one.name for one in find(py)]
    checks = importlib.import_module(f"lib.course.exercises_{py.stem[:2]}").__all__
    mistakes = importlib.import_module(f"mistakes.nb_{py.stem[:2]}").MISTAKES
    assert 4 <= len(names) <= 6 and names == list(checks) == list(mistakes)


@pytest.mark.parametrize("py", NOTEBOOKS, ids=lambda py: py.stem)
def test_an_exercise_ends_in_a_figure_that_waits_for_it(py):
    cells, names = build.source(py).cells, [one.name for one in find(py)]
    waiting = [n for n, cell in enumerate(cells) if cell.cell_type == "code" and "exercises.solved(" in cell.source]
    assert waiting, f"{py.name}: see lib/course/exercises.py for how an exercise ends in a figure"
    for n in waiting:
        assert set(re.findall(r"exercises\.solved\((\w+)\)", cells[n].source)) <= set(names)
        told = next(cell.source for cell in cells[n:] if cell.cell_type == "markdown")
        assert told.startswith("*Figure ")


@pytest.mark.parametrize("py", NOTEBOOKS, ids=lambda py: py.stem)
def test_every_prediction_is_answered_later_and_may_be_left_out(py):
    cells = [cell for cell in build.source(py).cells if cell.cell_type == "code"]
    asked = [n for n, cell in enumerate(cells) if "predict" in cell.metadata.get("tags", [])]
    assert asked, f"{py.name} has no cell with the tag predict"
    for n in asked:
        body = ast.parse(cells[n].source).body
        assert all(isinstance(node, ast.Assign) and ast.unparse(node.value) == "None" for node in body)
        later = [node for cell in cells[n + 1 :] for node in ast.walk(ast.parse(_plain(cell.source)))
                 if isinstance(node, ast.Call) and ast.unparse(node.func) == "exercises.predicted"]
        assert {ast.unparse(node.targets[0]) for node in body} <= {ast.unparse(call.args[1]) for call in later}


@each
def test_stub_gets_a_first_hint_and_solution_is_right(one):
    names, line = run(one.stub, one.imports)
    assert line.startswith(f"Your turn: `{one.name}`") and len(line.splitlines()) == 1 and len(line) > 80
    assert not exercises.solved(names[one.name])
    names, printed = run(one.solution, one.imports)
    assert printed == "" and one.name in names
    begun = time.process_time()
    line = said(check_of(one), names[one.name])
    assert line.startswith("Right: ") and len(line.splitlines()) == 1 and len(line) > 20, line
    assert exercises.solved(names[one.name])
    assert time.process_time() - begun < 1.0  # 0.2 s on a free core


@each
def test_two_typical_mistakes_get_their_hints(one):
    lines = []
    for attempt, words in importlib.import_module(f"mistakes.nb_{one.number}").MISTAKES[one.name]:
        lines.append(said(check_of(one), attempt))
        assert lines[-1].startswith("Not yet: ") and words in lines[-1], lines[-1]
        assert not any(generic in lines[-1]
                       for generic in ("came back", "your function gives", "stopped", "cannot be read"))
    assert len(set(lines)) == len(lines) >= 2
    assert said(check_of(one), lambda *args, **kwargs: None) not in lines


@each
def test_a_hard_coded_answer_fails(one):
    """The solution's first result, given for every input; and things that no exercise wants."""
    solved, first = run(one.solution, one.imports)[0][one.name], []

    def constant(*args, **kwargs):
        if not first:
            first.append(solved(*args, **kwargs))
        return first[0]

    assert said(check_of(one), constant).startswith("Not yet: ")
    for odd in (3, "x", lambda: 1, lambda *args, **kwargs: "x", lambda *args, **kwargs: torch.zeros(2, 3, 4),
                lambda *args, **kwargs: 1 / 0, object):
        assert said(check_of(one), odd).startswith("Not yet: ")


# The mechanism

@exercise("begin with x")
def twice(attempt):
    for x in (2, 5):
        compare(attempt(x), 2 * x, {"this is the square": x**2})
    need(attempt(0.5) == 1, "halves too")
    return "well doubled"


def test_a_check_prints_one_line_that_fits():
    assert said(twice, lambda x: 2 * x) == "Right: well doubled"
    assert said(twice, lambda x: x**2) == "Not yet: this is the square"  # 2 x 2 = 2 + 2: the second input tells
    assert said(twice, lambda x: x + 7) == "Not yet: for one input your function gives 9, right is 4"
    assert said(twice, lambda x: 2 * int(x)) == "Not yet: halves too"
    assert said(twice, 4) == "Not yet: the check wants the function itself, without brackets, and got 4"
    assert "every way through" in said(twice, lambda x: 4 if x == 2 else None)


def test_an_untouched_stub_says_your_turn_and_folds_its_hint():
    line = "Your turn: `twice` gives nothing back yet. Hint: begin with x"
    assert said(twice, None) == said(twice, lambda x: None) == said(twice, lambda x: ...) == line
    folded = exercises._Folded("a `b`", "is x < y?")
    assert folded._repr_html_() == "<details><summary>a <code>b</code></summary>is x &lt; y?</details>"
    assert repr(folded) == "a `b` is x < y?"


def test_a_figure_waits_for_the_right_function(capsys):
    right, wrong = (lambda x: 2 * x), (lambda x: x)
    twice(right), twice(wrong)
    capsys.readouterr()
    assert exercises.solved(right) and not capsys.readouterr().out
    assert not exercises.solved(wrong) and "once its check says Right" in capsys.readouterr().out
    assert not exercises.solved(lambda x: 2 * x)  # another function, though its text is the same


def test_what_goes_wrong_in_the_learners_code_is_a_hint_with_the_line():
    def broken(x):
        y = x + 1
        return y / (y - y)

    line = said(twice, broken)
    where = f"in line {broken.__code__.co_firstlineno + 2} of your cell"
    assert line == f"Not yet: your code stopped {where} with ZeroDivisionError: division by zero"
    assert "TypeError" in said(twice, lambda: 3) and "missing" not in said(twice, lambda x: x.missing).split("with")[0]
    assert "needed is a single value" in said(twice, lambda x: torch.zeros(3, 4))


@pytest.mark.parametrize("a, b, agree", [
    (1, 1.0, True), (0.1 + 0.2, 0.3, True), (torch.ones(3), np.ones(3), True), (torch.ones(3), torch.ones(1, 3), False),
    ("a", "a", True), ("a", 1, False),
    ([1, torch.ones(2)], (1, np.ones(2)), True), ([1, 2], [1], False), (True, torch.tensor(True), True),
    (object(), 1, False), (float("nan"), float("nan"), True)])
def test_same(a, b, agree):
    assert exercises.same(a, b) is agree and exercises.same(b, a) is agree


@pytest.mark.parametrize("guess, measured, ties, words", [
    (40, 36.0, {}, "36 %; you predicted 40 %: 4 points too high"), (30, np.float32(36), {}, "6 points too low"),
    ("many", 36, {}, "is not a number"), (5, 5, {}, "exactly that"), ("time", "time", {}, ": right"),
    ("mel", "time", {}, ": wrong"), (["a", "x"], ["a", "b"], {}, "not a list of these names, each once"),
    ("a", ["a", "b"], {}, "not a list of these names"),
    (["b", "a", "c"], ["a", "b", "c"], {}, "a > b > c; you predicted b > a > c: 2 of 3 pairs in the right order"),
    # what the data do not tell apart
    (34, 36.0, {"within": (34, 41)},
     "36 % (as right: anything from 34 to 41 %); you predicted 34 %: right, the data do not"),
    (42, 36.0, {"within": (34, 41)}, "6 points too high"),
    ("mel", "time", {"tied": ["time", "mel"]},
     "time (as right: mel); you predicted mel: right, the data do not tell it from time"),
    ("both", "time", {"tied": ["mel"]}, ": wrong"),
    (["b", "a", "c"], ["a", "b", "c"], {"tied": [("b", "a")]},
     "(as right in either order: b and a); you predicted b > a > c: 3 of 3 pairs in the right order, where either"),
    (["c", "b", "a"], ["a", "b", "c"], {"tied": [("b", "a")]}, ": 1 of 3 pairs")])
def test_predictions_stand_beside_what_was_measured(guess, measured, ties, words, capsys):
    predicted("calls lost", guess, measured, "%", **ties)
    line = capsys.readouterr().out
    assert words in line and line.count("\n") == 1 and line.startswith("calls lost: measured"), line


def test_without_a_prediction_the_answer_is_there_all_the_same(capsys):
    for nothing in (None, ...):
        predicted("calls lost", nothing, 36.61, "%", within=(34, 41))
        assert capsys.readouterr().out == (
            "calls lost, measured (no prediction was made): 36.61 % (as right: anything from 34 to 41 %)\n")
