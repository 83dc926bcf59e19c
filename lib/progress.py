"""How far long work is: a bar where somebody can see one move, else a plain line every ten seconds.

    pretraining: step 120 of 750, loss 0.93, 3 min left
"""
import math
import os
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import BinaryIO
from weakref import WeakSet

from tqdm import auto, std

__all__ = ["bar", "wrapped", "say", "duration"]

FIRST_S, EVERY_S = 2, 10  # seconds to the first line, and from one to the next: shorter work stays silent


def bar(iterable: Iterable | None = None, *, total: int | None = None, desc: str | None = "", unit: str = "it",
        initial: int = 0, disable: bool = False, leave: bool = True) -> std.tqdm:
    """A tqdm object to iterate, or to enter and `update(n)`; `set_postfix(loss=...)` says what else is known.

    Without a desc (None) it is silent, as with disable; the environment variable TQDM_DISABLE=1 silences all. leave: a
    bar that is done stays to be seen."""
    return _kind()(iterable, total=total, desc=desc, unit=unit, initial=initial, leave=leave,
                   disable=desc is None or _silent(disable))


def wrapped(stream: BinaryIO, method: str, *, total: int | None, desc: str, initial: int = 0, disable: bool = False,
            leave: bool = True) -> AbstractContextManager[BinaryIO]:
    """Within, an opened file whose `method` ("read" or "write") counts its bytes; it is left open."""
    return _kind().wrapattr(stream, method, total=total, desc=desc, initial=initial, leave=leave,
                            disable=_silent(disable))


def say(text: str) -> None:
    """Prints a line, above the bars that are there; what stdout cannot show of it with a backslash."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    auto.tqdm.write(text.encode(encoding, "backslashreplace").decode(encoding))


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, with as many digits as an estimate deserves."""
    for unit, size in (("hours", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.{0 if seconds >= 10 * size else 1}f} {unit}"
    return f"{seconds:.0f} s"


def _silent(disable: bool) -> bool:
    return disable or os.environ.get("TQDM_DISABLE", "") not in ("", "0")  # tqdm reads it once, when it is imported


def _kind() -> type[std.tqdm]:
    return auto.tqdm if _watched() else Lines


def _watched() -> bool:
    """Whether there is a terminal, or a front end that could be asked for input.

    Those that run a notebook by themselves (papermill, nbconvert, nbval, the builder) refuse its questions; JupyterLab,
    Colab and VS Code do not. A kernel that such a front end starts nested, as by `!papermill`, is told apart so too."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kernel = getattr(shell, "kernel", None)
    return getattr(kernel, "_allow_stdin", False) if kernel else sys.stderr.isatty()


class Lines(std.tqdm):
    """tqdm as plain lines, for logs: the first after FIRST_S, then one every EVERY_S, and one when all is done."""
    monitor_interval = 0  # no thread
    _instances = WeakSet()  # of its own: `say` draws the others anew

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options | {"delay": 1e-9, "mininterval": 0.5, "miniters": 1})
        self.next_s, self.first = FIRST_S, (self.n, 0.0)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Prints a line if it is time for one."""
        passed = self._time() - self.start_t
        if passed >= self.next_s and self.n < (self.total or math.inf):
            done, took = self.n - self.first[0], passed - self.first[1]
            known = self.total and done and done >= min(5, self.total / 10)  # fewer tell little
            self._print(f"{duration((self.total - self.n) / done * took)} left" if known else "")
            if self.next_s == FIRST_S:
                self.first = (self.n, passed)  # what came before was slow: imports, compiling, workers that start
            self.next_s = passed + EVERY_S

    def set_postfix(self, refresh: bool = True, **known: object) -> None:
        """What is said beside the count: names and values."""
        self.postfix = ", ".join(f"{name} {value}" for name, value in known.items())
        if refresh:
            self.refresh()

    def clear(self, nolock: bool = False) -> None:
        """A line that is printed stays."""

    def close(self) -> None:
        """Says how long it took; nothing where it was short, or was stopped before its end."""
        if getattr(self, "disable", True):
            return
        self.disable = True
        self._decr_instances(self)
        passed = self._time() - self.start_t
        if passed >= FIRST_S and self.n >= (self.total or 0):
            self._print(f"done in {duration(passed)}")

    def _print(self, end: str) -> None:
        def number(n: float) -> str:
            return f"{n / 1e6:,.1f}" if self.unit == "B" else f"{n:,}"

        count = ("" if self.unit in ("it", "B") else f"{self.unit} ") + number(self.n)
        count += (f" of {number(self.total)}" if self.total else "") + (" MB" if self.unit == "B" else "")
        self.fp.write(", ".join(part for part in (f"{self.desc}: {count}", self.postfix, end) if part) + "\n")
        self.fp.flush()
