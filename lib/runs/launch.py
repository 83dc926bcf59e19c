"""Everything about a run: what a scale means, the record it leaves, and the launcher.

    python -m lib.runs 05_mix_ratio ratio=7                    one run, always made; scale=small, seed=1 ... as needed
    python -m lib.runs 05_mix_ratio ratio=7 output=FILE.ipynb timeout=600   where to, and seconds one cell may take
    accelerate launch --multi_gpu --num_processes 2 -m lib.runs 05_mix_ratio ratio=7    the same run by two processes, one a GPU
    python -m lib.runs sweep papermill_runs/05_mix_ratio.sweep.json jobs=2  the runs of a grid that have no record yet

A sweep is a JSON file:
{"notebook": "05_mix_ratio", "grid": {"seed": [0, 1], "ratio": [0, 7, "inf"]}, "fixed": {"scale": "tiny"}}
It goes on after a failure and lists what failed; stopped and called again it goes on where it was. Further words:
    retries=1      starts a failed run again, once
    point=3        only this one of its runs, counted from 0
    list=all       shows them with their numbers and whether they are recorded, list=missing the numbers that are not
    through="accelerate launch --multi_gpu --num_processes 4"   what starts each run, in place of this Python"""
import asyncio
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lib import paths
from lib.runs import record, script, sweeps
from lib.runs.scales import scale

__all__ = ["launch", "sweep", "main"]


def _typed(text: str, default: object) -> object:
    """A command line's text as the type of the default where that works; else as text, for the notebook's own check."""
    if isinstance(default, str):
        return text
    if isinstance(default, bool):
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else text  # papermill would write a bare Infinity: not JSON
    return text


def launch(notebook: str, given: Mapping[str, str]) -> int:
    """Runs one notebook with checked names; 0 if it ended well, 1 if not, 128 and the signal's number if one ended it.

    By papermill, which leaves the executed notebook in a folder made for it; as one of several processes as a plain script."""
    path = record.notebook_path(notebook)
    if not path.exists():
        raise ValueError(f"{path.name} is not built: python -m lib.course.build build {path.stem}")
    defaults = record.defaults_of(path)
    words = dict(given)
    output, timeout = (words.pop(k, None) for k in ("output", "timeout"))
    values = _values(path.stem, defaults, words)
    every = {**defaults, **values}
    chosen = scale(str(every.get("scale", "auto")))
    if paths.processes() > 1:
        if output or timeout:
            raise ValueError("output and timeout are for a run by one process: several leave no executed notebook")
        return _script(path, values)
    if timeout is not None and not timeout.isdigit():
        raise ValueError(f"timeout is {timeout!r}: it must be whole seconds, the longest one cell may take")
    from papermill.parameterize import parameterize_path  # here, so that importing runs in a notebook stays light

    if output is None:
        pools = dict.fromkeys(record.base(str(every[p])) for p in record.POOLS if p in every)
        shown = paths.plain({**every, **({"scale": chosen.name} if "scale" in every else {})})
        grid = record.GRID.get(path.stem, ())
        name = record.name_of(path.stem, shown, defaults, {p: {"name": p} for p in pools}, grid)
        output = record.folder(chosen.name) / path.stem / f"{name}.ipynb"
    else:
        output = paths.resolve(parameterize_path(output, every))
        if output.suffix != ".ipynb" or output.resolve().is_relative_to(path.resolve().parent):
            raise ValueError(f"output is {output.name!r}: it must be an .ipynb outside {path.parent.name}/, "
                             "whose notebooks are not to be overwritten")
    return _papermill(path, values, output, int(timeout) if timeout else None, record.folder(chosen.name))


def _values(notebook: str, defaults: Mapping[str, object], words: Mapping[str, object]) -> dict[str, object]:
    for name in words:
        if name not in defaults:
            raise ValueError(f"{notebook} has no parameter {name!r}{record.nearest(name, list(defaults))}; it has {', '.join(defaults)}")
    return {name: _typed(str(text), defaults[name]) for name, text in words.items()}


def _script(path: Path, values: Mapping[str, object]) -> int:
    try:
        script.execute(path, values)
    except record.Recorded as found:
        if paths.main_process():
            print(f"already recorded: {found}")
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:  # whatever a cell raises: its name and message are shown
        return _fail(path.stem, type(error).__name__, str(error) + script.place(error))
    return 0


def _papermill(path: Path, values: Mapping[str, object], output: Path, timeout: int | None, kept: Path) -> int:
    import papermill
    from jupyter_client.manager import AsyncKernelManager

    asked: list[int] = []

    class QuietKernel(AsyncKernelManager):
        """A kernel's own stderr is no output of a cell: notices of its start, a traceback when it is stopped. And SIGINT and SIGTERM are
        handed on to the code it runs, which may have something to save, where nbclient would end it after 5 seconds."""
        async def _async_start_kernel(self, **settings: object) -> None:
            await super()._async_start_kernel(stderr=subprocess.DEVNULL, **settings)
            with suppress(NotImplementedError):  # on Windows
                for number in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(number, self.hand_on, number)

        start_kernel = _async_start_kernel

        def hand_on(self, number: int) -> None:
            asked.append(number)
            if self.has_kernel:
                os.kill(self.provisioner.pid, number)

    output.parent.mkdir(parents=True, exist_ok=True)
    source, target = (str(p).replace("{", "{{").replace("}", "}}") for p in (path, output))
    try:
        done = papermill.execute_notebook(source, target, parameters=values, cwd=str(paths.ROOT), execution_timeout=timeout,
                                          kernel_manager_class=QuietKernel)
    except Exception as error:  # of a cell, a dead kernel, a cell over its time: many types, and the name and message are shown
        if asked:
            print("stopped", file=sys.stderr)
            return 128 + asked[0]
        if not isinstance(error, papermill.PapermillExecutionError):
            return _fail(path.stem, type(error).__name__, str(error) + (f" ({output})" if isinstance(error, OSError) else ""))
        if error.ename == record.Recorded.__name__:
            print(f"already recorded: {error.evalue}")
            return 0
        return _fail(path.stem, error.ename, error.evalue)
    text = "".join(o.get("text", "") for c in done.cells for o in c.get("outputs", []) if o.output_type == "stream")
    for found in re.findall(r"(?m)^record: (\S+\.json)", text)[-1:]:
        print(record.headline(record.read(kept / found)))
        print(f"record: {found}")
    print(f"notebook: {os.path.relpath(output)}")
    return 0


def _fail(where: str, kind: str, message: str) -> int:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if kind == "CellTimeoutError":
        lines = ["a cell took longer than the timeout: raise timeout=SECONDS or lower the scale"]
    elif kind == "DeadKernelError":
        lines = ["the kernel died, most often for lack of memory: lower the scale"]
    script.tell(f"{where}: " + ("" if kind == "ValueError" else f"{kind}: ") + " ".join(lines))
    return 1


def sweep(file: str, options: Mapping[str, str]) -> int:
    """Runs what a sweep file describes, or shows it, see the top of this file."""
    given = dict(options)
    numbers = {name: given.pop(name, default) for name, default in (("jobs", "1"), ("retries", "0"), ("point", "0"))}
    shown, through = given.pop("list", ""), given.pop("through", "")
    if given or not all(text.isdigit() for text in numbers.values()) or numbers["jobs"] == "0" or shown not in ("", "all", "missing") or not file:
        raise ValueError('a sweep is called as: sweep FILE.json [jobs=2] [retries=1] [point=3] [through="accelerate launch ..."], '
                         "or with list=all or list=missing")
    points = sweeps.points(file)
    if int(numbers["point"]) >= len(points):
        raise ValueError(f"point is {numbers['point']}: {file} has {len(points)} points, counted from 0")
    if shown:
        return _list(points, shown)
    chosen = points if "point" not in options else [points[int(numbers["point"])]]
    print(f"{len(chosen)} runs of {chosen[0].notebook}, {numbers['jobs']} at a time; logs in {chosen[0].log.parent}", flush=True)
    return sweeps.sweep(chosen, int(numbers["jobs"]), int(numbers["retries"]), through)


def _list(points: Sequence[sweeps.Point], which: str) -> int:
    path = record.notebook_path(points[0].notebook)
    known = record.recorded(path, [_values(path.stem, record.defaults_of(path), point.words) for point in points])
    if which == "missing":
        print(",".join(str(n) for n, there in enumerate(known) if not there))
        return 0
    for n, (point, there) in enumerate(zip(points, known)):
        print(f"{n:4d}  {'recorded' if there else 'missing '}  {point.name}")
    print(f"{known.count(False)} of {len(points)} are missing")
    return 0


def main(words: Sequence[str]) -> int:
    """The command line, see the top of this file. A mistake in it is one line and exit code 2."""
    if not words or words[0] in ("help", "-h", "--help"):
        print(__doc__.partition("\n\n")[2])
        return 0 if words else 2
    try:
        if words[0] == "sweep":
            return sweep(words[1] if len(words) > 1 else "", paths.pairs(words[2:]))
        return launch(words[0], paths.pairs(words[1:]))
    except ValueError as error:
        script.tell(str(error))
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT
