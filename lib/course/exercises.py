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
3. `tests/course/mistakes/nb_NN.py`: two typical mistakes as working code, with some words of the hint each must get.

`tests/course/test_exercises.py` checks all of this. To *predict before you run*, a cell with the tag `predict` holds
names that are None, and a later cell says `exercises.predicted(...)` of each."""
import functools
import itertools
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

__all__ = ["Hint", "exercise", "need", "yes", "compare", "same", "generator", "predicted"]


class Hint(Exception):
    """What a check says about an attempt that is not right; it ends the check."""


def exercise(first: str) -> Callable:
    """Makes a check of a function: it takes the attempt, prints one line, returns nothing and raises nothing.

    `first` is the hint for the untouched stub: where to begin, or which tool to take."""
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
            frames, code = traceback.extract_tb(error.__traceback__), getattr(attempt, "__code__", None)
            lines = [frame.lineno for frame in frames if code and frame.filename == code.co_filename]
            where = f" in line {lines[-1]} of your cell" if lines else ""
            text = (str(error).splitlines() or [""])[0]
            raise Hint(f"your code stopped{where} with {type(error).__name__}{': ' if text else ''}{text}") from None
        if result is None or result is ...:
            raise Hint(first)
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


def predicted(what: str, guess: Any, measured: Any, unit: str = "") -> None:
    """Prints a prediction beside what was measured: a number, a name, or an order of names (a list, first to last)."""
    print(" ".join(_beside(what, guess, measured, f" {unit}" if unit else "").split()))


def _beside(what: str, guess: Any, measured: Any, unit: str) -> str:
    names = list(map(str, measured)) if isinstance(measured, (list, tuple)) else []
    answer = f"{what}: measured {' > '.join(names) if names else f'{_show(measured)}{unit}'}"
    if guess is None or guess is ...:
        return f"{answer}; no prediction was made"
    if names:
        if isinstance(guess, str) or not isinstance(guess, Sequence) or sorted(map(str, guess)) != sorted(names):
            return f"{answer}; your prediction {_show(guess)} is not a list of these names, each once"
        pairs = list(itertools.combinations([names.index(str(name)) for name in guess], 2))
        right = sum(first < second for first, second in pairs)
        return f"{answer}; you predicted {' > '.join(guess)}: {right} of {len(pairs)} pairs in the right order"
    if isinstance(measured, str):
        return f"{answer}; you predicted {guess}: {'yes' if str(guess) == measured else 'no'}"
    try:
        off = float(guess) - float(measured)
    except (TypeError, ValueError):
        return f"{answer}; your prediction {_show(guess)} is not a number"
    if not off:
        return f"{answer}; you predicted exactly that"
    return f"{answer}; you predicted {float(guess):.4g}{unit}: {abs(off):.3g}{unit} too {'high' if off > 0 else 'low'}"
