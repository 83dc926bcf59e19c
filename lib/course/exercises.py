"""Exercises that answer: a check runs what the learner wrote on fresh inputs and prints one line, "Right" or a hint that fits the mistake.

How to add an exercise to notebook NN, in four places (`hidden_share` of notebook 01 is a complete example):

1. `notebooks/NN_....py`: a markdown cell with the numbered task; a code cell with the tag `exercise`, which holds a stub that returns
   None and ends with the check; and at the top of the next markdown cell the folded solution, the same function in a python block:

       # %% tags=["exercise"]
       def hidden_share(mask):
           '''The share of patches that a mask hides: a number between 0 and 1.'''
           return None


       check.hidden_share(hidden_share)

       # %% [markdown]
       # <details><summary>Solution</summary>
       #
       # ```python
       # def hidden_share(mask):
       #     return mask.hidden.float().mean()
       # ```
       # And a sentence on why.
       # </details>
       #
       # ### 2 · The next task

   Once, at the head of the section, a code cell says `from lib import exercises_NN as check`. Stub and solution use the notebook's imports
   and their own arguments, never variables of other cells, so that they can be tested alone. The last line must be `check.NAME(NAME)`.
2. `lib/exercises_NN.py`: a function of that name under `@exercises.exercise(first_hint)`. It calls the attempt on two or three inputs drawn
   from a seeded generator, so that a hard-coded answer fails, and hands each result to `compare` with the results of typical mistakes, each
   under its hint. Other properties are asked for with `need(holds, hint)`. What it returns is printed after "Right:".
   It takes less than 0.2 s and reads no data.
3. `tests/mistakes_NN.py`: two typical mistakes per exercise as working code, each with some words of the hint it must get.
4. The name `exercises_NN` has its floor in tests/test_floors.py already.

`tests/test_exercises.py` finds the exercises of every notebook and checks all of this.

To *predict before you run*, a cell with the tag `predict` holds a name that is None (`lost = None  # your number in per cent`), and a later cell,
after the measurement, ends with `exercises.predicted("calls lost", lost, measured, "%")`. Both work when nothing was filled in.
Every notebook has one at least.
"""

import functools
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["Hint", "exercise", "need", "compare", "same", "predicted"]


class Hint(Exception):
    """What a check says about an attempt that is not right; it ends the check."""


def exercise(first: str) -> Callable:
    """Makes a check of a function: it takes the attempt, prints one line, returns nothing and raises nothing.

    `first` is the hint for the untouched stub: where to begin, or which tool to take.
    """
    def decorate(body: Callable[[Callable], str]) -> Callable[[Any], None]:
        @functools.wraps(body)
        def check(attempt: Any) -> None:
            try:
                line = f"Right: {body(_guarded(attempt, first))}"
            except Hint as hint:
                line = f"Not yet: {hint}"
            except Exception as error:  # in the check itself, so it got something that it cannot read
                line = f"Not yet: what came back cannot be read ({type(error).__name__}: {error}). {first}"
            print(" ".join(line.split()))
        return check
    return decorate


def _guarded(attempt: Any, first: str) -> Callable:
    """The attempt as a function whose errors, and whose None, are hints."""
    if attempt is None or attempt is ...:
        raise Hint(first)
    if not callable(attempt):
        raise Hint(f"the check wants the function itself, without brackets, and got {_show(attempt)}")

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            result = attempt(*args, **kwargs)
        except Exception as error:
            own = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _file(attempt)]
            where = f" in line {own[-1]} of your cell" if own else ""
            text = (str(error).splitlines() or [""])[0]
            raise Hint(f"your code stopped{where} with {type(error).__name__}{': ' if text else ''}{text}") from None
        if result is None or result is ...:
            raise Hint(first)
        return result
    return call


def _file(attempt: Any) -> str | None:
    return getattr(getattr(attempt, "__code__", None), "co_filename", None)


def need(holds: Any, hint: str) -> None:
    """Ends the check with `hint` unless `holds`."""
    if not holds:
        raise Hint(hint)


def compare(got: Any, want: Any, mistakes: Mapping[str, Any] | None = None, otherwise: str = "", tolerance: float = 1e-4) -> None:
    """Ends the check unless `got` is `want`: with the hint whose wrong result it is, else with `otherwise`, or with both values.

    got, want and the values of `mistakes` are numbers, strings, arrays, tensors, or lists and tuples of them.
    """
    if same(got, want, tolerance):
        return
    for hint, wrong in (mistakes or {}).items():
        if same(got, wrong, tolerance):
            raise Hint(hint)
    a, b = getattr(got, "shape", ()), getattr(want, "shape", ())
    if tuple(a) != tuple(b):
        raise Hint(f"{'shape ' + str(tuple(a)) if a else _show(got)} came back, needed is {'shape ' + str(tuple(b)) if b else 'a single value'}. {otherwise}")
    raise Hint(otherwise or f"for one input your function gives {_show(got)}, right is {_show(want)}")


def same(a: Any, b: Any, tolerance: float = 1e-4) -> bool:
    """Whether two results agree: shapes exactly, numbers to a relative and absolute tolerance; never an error."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b))
    try:
        a, b = _array(a), _array(b)
        if a.dtype.kind in "US" or b.dtype.kind in "US":
            return a.shape == b.shape and bool((a == b).all())
        return a.shape == b.shape and np.allclose(a.astype(float), b.astype(float), rtol=tolerance, atol=tolerance, equal_nan=True)
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


# ------------------------------------------------------------------------------------------------------------ predictions

def predicted(what: str, guess: Any, measured: Any, unit: str = "") -> None:
    """Prints a prediction beside what was measured: a number, a name, or an order of names (a list, first to last)."""
    print(" ".join(_beside(what, guess, measured, f" {unit}" if unit else "").split()))


def _beside(what: str, guess: Any, measured: Any, unit: str) -> str:
    said = " > ".join(map(str, measured)) if isinstance(measured, (list, tuple)) else f"{_show(measured)}{unit}"
    if guess is None or guess is ...:
        return f"{what}: measured {said}; no prediction was made"
    if isinstance(measured, (list, tuple)):
        if isinstance(guess, str) or not isinstance(guess, Sequence) or sorted(map(str, guess)) != sorted(map(str, measured)):
            return f"{what}: measured {said}; your prediction {_show(guess)} is not a list of these names, each once"
        rank = [list(measured).index(name) for name in guess]
        pairs = [(i, j) for i in range(len(rank)) for j in range(i + 1, len(rank))]
        kept = sum(rank[i] < rank[j] for i, j in pairs)
        return f"{what}: measured {said}; you predicted {' > '.join(guess)}: {kept} of {len(pairs)} pairs in the right order"
    if isinstance(measured, str):
        return f"{what}: measured {said}; you predicted {guess}: {'yes' if str(guess) == measured else 'no'}"
    try:
        off = float(guess) - float(measured)
    except (TypeError, ValueError):
        return f"{what}: measured {said}; your prediction {_show(guess)} is not a number"
    return f"{what}: measured {said}; you predicted {float(guess):.4g}{unit}: {abs(off):.3g}{unit} too {'high' if off > 0 else 'low'}" if off else \
        f"{what}: measured {said}; you predicted exactly that"
