"""Exercises that answer: a check runs what the learner wrote on fresh inputs and prints "Right" or a fitting hint.

How to add an exercise to notebook NN, in three places (`hidden_share` of notebook 01 is a complete example):

1. `notebooks/NN_....py`: a markdown cell with the numbered task; a code cell with the tag `exercise` that holds a stub,
   which returns None, and ends with `check.NAME(NAME)`; a markdown cell that begins with the folded solution:
   `<details><summary>Solution</summary>`, a python block with the same function, a sentence on why, `</details>`.
   Stub and solution use the notebook's imports and their own arguments only, so that they can be tested alone.
2. `lib/course/exercises_NN.py`, which the notebook imports as `check`: a function of that name under
   `@exercise(first_hint)`. It calls the attempt on two or three inputs drawn from a seeded generator, so that a
   hard-coded answer fails, and hands each result to `compare` with the results of typical mistakes, each under its
   hint; `need(holds, hint)` asks for anything else. It returns what is printed after "Right:", in 0.2 s, without data.
   The first hint is folded under "Your turn" until the function gives something back.
3. `tests/course/mistakes/nb_NN.py`: two typical mistakes as working code, with some words of the hint each must get.

Each notebook has at least one exercise that changes the model or the data and *ends in a figure*. After its solution
comes a code cell that draws what is there without the learner, a baseline or the notebook's own curve, and adds the
learner's under `if exercises.solved(NAME):`, and after that the figure's caption:

    gaps = {"scattered columns": patches.time_mask(100, grid, 0.75, draw).hidden}
    if exercises.solved(long_gap):  # the check said Right, so it can be called
        gaps["your gap"] = long_gap(100, grid, 24, draw).flatten(1)
    plt.barh(list(gaps), [calls_lost(hidden) for hidden in gaps.values()])

Where the task is open ("a better guess than row elsewhere") the check is right for all that keeps the contract.

To *predict before you run*, a cell with the tag `predict` holds names that are None, and a later cell says
`exercises.predicted(...)` of each. What the data do not tell apart is right as well: hand over the interval of a number
(`within`), the names whose difference to the best is undecided, or the pairs of an order (`tied`).

`tests/course/test_exercises.py` checks all of this. `lib/course/student.py` leaves out all that is folded."""
import functools
import html
import itertools
import re
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from IPython.display import display

__all__ = ["Hint", "exercise", "solved", "need", "yes", "compare", "same", "generator", "predicted"]

_RIGHT: list[Any] = []  # the functions that their checks found right in this kernel


class Hint(Exception):
    """What a check says about an attempt that is not right; it ends the check."""


class _Untouched(Exception):
    """The attempt gave nothing back for the first input: a stub, or a `return` that is missing."""


class _Folded:
    """A line for the terminal; in a notebook its first half, and the second when the reader unfolds it."""

    def __init__(self, shown: str, folded: str) -> None:
        self.shown, self.folded = (" ".join(text.split()) for text in (shown, folded))

    def __repr__(self) -> str:
        return f"{self.shown} {self.folded}"

    def _repr_html_(self) -> str:
        shown, folded = (re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
                         for text in (self.shown, self.folded))
        return f"<details><summary>{shown}</summary>{folded}</details>"


def exercise(first: str) -> Callable:
    """Makes a check of a function: it takes the attempt, says one line, returns nothing and raises nothing.

    `first` is the hint for the untouched stub, where to begin or which tool to take: in a notebook it is folded."""
    def decorate(body: Callable[[Callable], str]) -> Callable[[Any], None]:
        @functools.wraps(body)
        def check(attempt: Any) -> None:
            try:
                line = f"Right: {body(_guarded(attempt))}"
                _RIGHT.append(attempt)
            except _Untouched:
                return display(_Folded(f"Your turn: `{body.__name__}` gives nothing back yet. Hint:", first))
            except Hint as hint:
                line = f"Not yet: {hint}"
            except Exception as error:  # in the check itself, so it got something that it cannot read
                line = f"Not yet: what came back cannot be read ({type(error).__name__}: {error}). {first}"
            print(" ".join(line.split()))
        return check
    return decorate


def solved(attempt: Any) -> bool:
    """Whether its check found this very function right; says what to do where it did not."""
    right = any(attempt is one for one in _RIGHT)
    if not right:
        print("Yours is drawn here once its check says Right.")
    return right


def _guarded(attempt: Any) -> Callable:
    """The attempt as a function whose errors are hints, and whose None too, unless it is the first that it gives."""
    if attempt is None or attempt is ...:
        raise _Untouched
    if not callable(attempt):
        raise Hint(f"the check wants the function itself, without brackets, and got {_show(attempt)}")
    answers = itertools.count()

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            result = attempt(*args, **kwargs)
        except Exception as error:
            frames, code = traceback.extract_tb(error.__traceback__), getattr(attempt, "__code__", None)
            lines = [frame.lineno for frame in frames if code and frame.filename == code.co_filename]
            where = f" in line {lines[-1]} of your cell" if lines else ""
            text = (str(error).splitlines() or [""])[0]
            raise Hint(f"your code stopped{where} with {type(error).__name__}{': ' if text else ''}{text}") from None
        before = next(answers)
        if result is None or result is ...:
            need(not before, "for one input nothing came back: every way through the function ends in a `return`")
            raise _Untouched
        return result
    return call


def need(holds: Any, hint: str) -> None:
    """Ends the check with `hint` unless `holds`."""
    if not holds:
        raise Hint(hint)


def yes(answer: Any) -> bool:
    """Whether an attempt said True; ends the check unless it said True or False."""
    single = isinstance(answer, torch.Tensor) and answer.numel() == 1
    need(isinstance(answer, (bool, int, np.bool_)) or single, f"the answer is True or False, not {_show(answer)}")
    return bool(answer)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def compare(got: Any, want: Any, mistakes: Mapping[str, Any] | None = None, otherwise: str = "",
            tolerance: float = 1e-4) -> None:
    """Ends the check unless `got` is `want`: with the hint whose mistake it is, else with `otherwise` or the values.

    got, want and the values of `mistakes` are numbers, strings, arrays, tensors, or lists and tuples of them."""
    if hasattr(want, "shape") and isinstance(got, (list, tuple)):
        got = _array(got)
    if same(got, want, tolerance):
        return
    for hint, wrong in (mistakes or {}).items():
        if same(got, wrong, tolerance):
            raise Hint(hint)
    a, b = (tuple(getattr(x, "shape", ())) for x in (got, want))
    if a != b:
        came, needed = f"shape {a}" if a else _show(got), f"shape {b}" if b else "a single value"
        raise Hint(f"{came} came back, needed is {needed}. {otherwise}")
    raise Hint(otherwise or f"for one input your function gives {_show(got)}, right is {_show(want)}")


def same(a: Any, b: Any, tolerance: float = 1e-4) -> bool:
    """Whether two results agree: shapes exactly, numbers to a relative and absolute tolerance; never an error."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b))
    try:
        a, b = _array(a), _array(b)
        if a.dtype.kind in "US" or b.dtype.kind in "US":
            return a.shape == b.shape and bool((a == b).all())
        a, b = a.astype(float), b.astype(float)
        return a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
    except (TypeError, ValueError, RuntimeError):
        return False


def _array(x: Any) -> np.ndarray:
    return np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)


def _show(x: Any) -> str:
    """A value in a few words: a number with four digits, an array by its shape where it is long."""
    if getattr(x, "shape", ()) and _array(x).size > 8:
        values = _array(x)
        return f"an array {values.shape} that begins {np.array2string(values.ravel()[:4], precision=3, separator=', ')}"
    value = _array(x).tolist() if hasattr(x, "shape") else x
    if not isinstance(value, (bool, int, float, str)) and len(str(value)) > 80:
        return f"a {type(value).__name__} of {len(value)}" if hasattr(value, "__len__") else f"a {type(value).__name__}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:200]


def predicted(what: str, guess: Any, measured: Any, unit: str = "", *, within: tuple[float, float] | None = None,
              tied: Collection = ()) -> None:
    """Shows a prediction beside what was measured: a number, a name, or an order of names (a list, first to last).

    What the data do not tell from what was measured is right as well: a number from `within[0]` to `within[1]`, the
    names in `tied`, and for an order either order of the pairs of names in `tied`. Without a guess the measured value
    is folded in a notebook."""
    unit = f" {unit}" if unit else ""
    if isinstance(measured, (list, tuple)):
        names = list(map(str, measured))
        pairs = [tuple(map(str, pair)) for pair in tied]
        answer = " > ".join(names) + _aside("as right in either order", [" and ".join(pair) for pair in pairs])
        verdict = functools.partial(_order, names=names, tied={frozenset(pair) for pair in pairs})
    elif isinstance(measured, str):
        others = [str(name) for name in tied if str(name) != measured]
        answer = measured + _aside("as right", others)
        verdict = functools.partial(_name, name=measured, tied=others)
    else:
        answer = f"{_show(measured)}{unit}"
        answer += _aside("as right", [f"anything from {within[0]:.4g} to {within[1]:.4g}{unit}"] if within else [])
        verdict = functools.partial(_number, measured=float(measured), unit=unit, within=within)
    if guess is None or guess is ...:
        display(_Folded(f"{what}, measured (no prediction was made):", answer))
    else:
        print(" ".join(f"{what}: measured {answer}; {verdict(guess)}".split()))


def _aside(what: str, ties: Sequence[str]) -> str:
    return f" ({what}: {', '.join(ties)})" if ties else ""


def _order(guess: Any, names: Sequence[str], tied: set[frozenset[str]]) -> str:
    if isinstance(guess, str) or not isinstance(guess, Sequence) or sorted(map(str, guess)) != sorted(names):
        return f"your prediction {_show(guess)} is not a list of these names, each once"
    pairs = list(itertools.combinations(map(str, guess), 2))
    right = [names.index(a) < names.index(b) or frozenset((a, b)) in tied for a, b in pairs]
    return f"you predicted {' > '.join(map(str, guess))}: {sum(right)} of {len(pairs)} pairs in the right order" + (
        ", where either order of what is not told apart is right" if tied else "")


def _name(guess: Any, name: str, tied: Sequence[str]) -> str:
    if str(guess) in tied:
        return f"you predicted {guess}: right, the data do not tell it from {name}"
    return f"you predicted {guess}: {'right' if str(guess) == name else 'wrong'}"


def _number(guess: Any, measured: float, unit: str, within: tuple[float, float] | None) -> str:
    try:
        value = float(guess)
    except (TypeError, ValueError):
        return f"your prediction {_show(guess)} is not a number"
    if value == measured:
        return "you predicted exactly that: right"
    if within and within[0] <= value <= within[1]:
        return f"you predicted {value:.4g}{unit}: right, the data do not tell it from what was measured"
    apart = f"{abs(value - measured):.3g}{' points' if unit == ' %' else unit}"
    return f"you predicted {value:.4g}{unit}: {apart} too {'high' if value > measured else 'low'}"
