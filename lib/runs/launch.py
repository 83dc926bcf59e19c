"""Makes runs: a notebook with checked names and values, or a sweep, which is a run for each point of a grid.

    python -m lib.runs 05_mix_ratio ratio=7       one run, always made; scale=small, seed=1 ... as needed; 05 will do
    python -m lib.runs 05_mix_ratio ratio=7 output=FILE.ipynb timeout=600     where to, and seconds one cell may take
    accelerate launch --multi_gpu --num_processes 2 -m lib.runs 05_mix_ratio ratio=7    the same, a process for each GPU
    python -m lib.runs sweep papermill_runs/05_mix_ratio.sweep.json jobs=2    the runs of a grid that have no record yet

A sweep is a JSON file:
{"notebook": "05_mix_ratio", "grid": {"seed": [0, 1], "ratio": [0, 7, "inf"]}, "fixed": {"scale": "tiny"}}
It goes on after a failure and lists what failed; stopped and called again it goes on where it was. Further words:
    retries=1      starts a failed run again, once
    point=3        only this one of its runs, counted from 0
    list=all       shows them with their numbers and whether they are recorded, list=missing the numbers that are not
    through="accelerate launch --multi_gpu --num_processes 4"   what starts each run, in place of this Python"""
import ast
import logging
import math
import os
import re
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from types import ModuleType

from filelock import FileLock, Timeout

from lib import paths
from lib.runs import record
from lib.runs.points import Point, points

__all__ = ["Point", "points", "launch", "script", "sweep", "main"]

# -------------------------------------------------------------------------------------------------------------- one run


def launch(notebook: str, *, output: str = "", timeout: int = 0, **words: str) -> int:
    """Runs a notebook by papermill, or as one of several processes as a script; 0 if it ended well, 1 if not.

    It speaks before it imports what takes long. A mistake in the words is a ValueError, before a kernel starts."""
    path, several = record.notebook_path(notebook), paths.processes() > 1
    defaults = record.defaults_of(path)
    values = _values(path.stem, defaults, words)
    if timeout < 0:
        raise ValueError(f"timeout is {timeout}: it must be seconds, the longest one cell may take")
    if several and (output or timeout):
        raise ValueError("output and timeout are for a run by one process: several leave no executed notebook")
    if paths.main_process():
        print(" ".join([path.stem, *(f"{k}={v}" for k, v in words.items())]) + ": starting", flush=True)
    _check(path.stem, values)
    file = _output(path, output, defaults, values)
    if paths.main_process():
        print(f"{paths.processes()} processes" if several else f"notebook -> {os.path.relpath(file)}", flush=True)
    return script(path.with_suffix(".py"), values) if several else _papermill(path, values, file, timeout)


def _values(notebook: str, defaults: Mapping[str, object], words: Mapping[str, object]) -> dict[str, object]:
    """The words as values of the parameters' types; infinity stays the text "inf", as JSON knows no other."""
    values = {}
    for name, text in ((name, str(word)) for name, word in words.items()):
        if name not in defaults:
            near, there = paths.nearest(name, list(defaults)), ", ".join(defaults)
            raise ValueError(f"{notebook} has no parameter {name!r}{near}; it has {there}")
        kind = type(defaults[name])
        try:
            if kind is bool:
                values[name] = {"true": True, "1": True, "false": False, "0": False}[text.lower()]
            elif kind is str or not math.isfinite(float(text)):
                values[name] = text
            elif name in ("seed", "data_seed"):
                values[name] = int(text) if text.isdigit() else {}[text]
            else:
                values[name] = int(text) if text.lstrip("+-").isdigit() else float(text)
        except (KeyError, ValueError):
            needed = ("true or false" if kind is bool else "a whole number from 0 up" if name.endswith("seed")
                      else "a number")
            raise ValueError(f"{name} is {text!r}: it must be {needed}") from None
    return values


def _check(notebook: str, values: Mapping[str, object]) -> None:
    """Refuses a value that the notebook would refuse after its kernel's start and some cells."""
    from lib.hear import designs  # here: they import torch
    from lib.runs import scales
    from lib.transfer import curate, starts

    choices = {"scale": [*scales.SCALES, "auto"], "preset": list(scales.PRESETS), "init": list(starts.NAMES),
               "subtract": ["median", "none"], "filter": list(curate.FILTERS),
               "control": list(curate.CONTROLS), "method": ["frozen", "finetune"]}
    if notebook in ("08_design_choices", "10_looking_inside"):  # 09 takes more than the designs
        choices["model"] = list(designs.DESIGNS)
    for name in choices.keys() & values.keys():
        value, names = values[name], choices[name]
        if value not in names:
            raise ValueError(f"{name} is {value!r}: it must be one of {', '.join(names[:-1])} or {names[-1]}"
                             f"{paths.nearest(value, names)}")
    scales.scale(values.get("scale", "auto"))  # what STUDY_SCALE says
    scales.parse_ratio(values.get("ratio", 0))
    scales.clips(scales.SCALES["smoke"], values.get("budget", "main"))


def _output(path: Path, output: str, defaults: Mapping[str, object], values: Mapping[str, object]) -> Path:
    """Where the executed notebook goes: where it was asked to, else beside the record, under its name."""
    every = {**defaults, **values}
    if output:
        try:
            file = paths.resolve(output.format(**every))
        except (KeyError, IndexError) as error:
            raise ValueError(f"output is {output!r}: the notebook has no parameter {error}") from None
        except ValueError as error:
            raise ValueError(f"output is {output!r}: {error}") from None
        if file.suffix != ".ipynb" or file.resolve().is_relative_to(path.resolve().parent):
            raise ValueError(f"output is {file.name!r}: it must be an .ipynb outside {path.parent.name}/, "
                             "whose notebooks are not to be overwritten")
        return file
    if every.get("scale") == "auto":
        from lib.runs.scales import scale  # here: it imports torch, which knows whether there is a GPU

        every["scale"] = scale("auto").name
    pools = dict.fromkeys(record.base(str(every[pool])) for pool in record.POOLS if pool in every)
    grid = record.GRID.get(path.stem, ())
    name = record.name_of(path.stem, paths.plain(every), defaults, {pool: {"name": pool} for pool in pools}, grid)
    return record.folder(every.get("scale", "")) / path.stem / f"{name}.ipynb"


def _papermill(path: Path, values: Mapping[str, object], output: Path, timeout: int) -> int:
    if not path.exists():
        raise ValueError(f"{path.name} is not built: python -m lib.course.build build {path.stem}")
    import papermill  # here, so that the launcher speaks at once
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    logging.disable()  # nbclient and asyncio say at length that a kernel was stopped
    output.parent.mkdir(parents=True, exist_ok=True)
    source, target = (str(file).replace("{", "{{").replace("}", "}}") for file in (path, output))
    try:
        done = papermill.execute_notebook(source, target, parameters=values, cwd=str(paths.ROOT),
                                          execution_timeout=timeout or None, extra_arguments=["--log-level=CRITICAL"],
                                          progress_bar=False, stdout_file=sys.stdout, stderr_file=sys.stderr)
    except papermill.PapermillExecutionError as error:
        if error.ename == "KeyboardInterrupt":
            raise KeyboardInterrupt from None
        return _ended(path.stem, error.ename, error.evalue)
    except CellTimeoutError:
        return _ended(path.stem, "CellTimeoutError", "a cell took longer than the timeout: raise it or lower the scale")
    except DeadKernelError:
        return _ended(path.stem, "DeadKernelError", "the kernel died, for lack of memory (lower the scale) or stopped")
    text = "".join(o.get("text", "") for c in done.cells for o in c.get("outputs", []) if o.output_type == "stream")
    said = [last for last in re.findall(r"(?m)^.+\nrecord: .+$", text)[-1:] if not text.rstrip().endswith(last)]
    print(*said, f"notebook: {os.path.relpath(output)}", sep="\n")  # exercises may have spoken after the record
    return 0


def script(path: Path, values: Mapping[str, object]) -> int:
    """Runs the .py of a notebook's pair in this process with other parameters. Only the main process prints."""
    if not path.exists():
        raise ValueError(f"{path.name}, which is run as a script, is missing: jupytext --to py {path.stem}.ipynb")
    os.environ["MPLBACKEND"] = "agg"
    if not paths.main_process():
        os.environ["TQDM_DISABLE"] = "1"
        sys.stdout = open(os.devnull, "w")
    import torch

    if paths.processes() > 1 and not torch.cuda.is_available():  # else accelerate takes each on a CPU for a single one
        os.environ.setdefault("ACCELERATE_USE_CPU", "true")
    code, left = ast.parse(path.read_text(encoding="utf-8")), dict(values)
    for node in code.body:  # the cell of the parameters is the first to assign them
        name = record.assigned(node)
        if name in left:
            node.value = ast.copy_location(ast.Constant(left.pop(name)), node.value)
        if isinstance(node, ast.Expr):  # a cell that ends with a table shows it, such as what a run will cost
            node.value = ast.Call(ast.Name("display", ast.Load()), [node.value], [])
    cells = sys.modules["cells"] = ModuleType("cells")  # where pickle looks for what a cell defines
    cells.display = _display
    ended = 0
    try:
        exec(compile(ast.fix_missing_locations(code), path, "exec"), vars(cells))
    except Exception as error:  # whatever a cell raises
        if not isinstance(error, record.Recorded):
            traceback.print_exc()
        ended = _ended(path.stem, type(error).__name__, str(error))
    if not ended and torch.distributed.is_initialized():  # else gloo's threads may abort a process that has done all
        torch.distributed.destroy_process_group()
    return ended


def _display(*shown: object, **how: object) -> None:
    """Shows tables as text, and nothing else: a script has no place for pictures and players."""
    for table in shown:
        if hasattr(table, "to_string"):
            print(table.to_string())


def _ended(notebook: str, kind: str, message: str) -> int:
    """Says in one line what ended a notebook, and whether that is an error."""
    line = " ".join(line.strip() for line in message.splitlines() if line.strip())
    if kind == record.Recorded.__name__:
        print(f"already recorded: {line}")
        return 0
    print(f"{notebook}: " + ("" if kind == "ValueError" else f"{kind}: ") + line, file=sys.stderr, flush=True)
    return 1


# --------------------------------------------------------------------------------------------------------------- sweeps

def sweep(file: str, *, jobs: int = 1, retries: int = 0, point: str = "", list: str = "", through: str = "") -> int:
    """Makes the runs of a sweep file that have no record yet, or lists them, see the top of this file.

    0 if all are recorded now, else 1. A run that another sweep is at is left to it. Stopped, it stops its runs."""
    from joblib import Parallel, delayed  # here, so that a single run does without

    chosen = points(file)
    if jobs < 1 or retries < 0 or list not in ("", "all", "missing"):
        raise ValueError("use jobs=1 or more, retries=0 or more, and list=all or list=missing")
    if point and not (point.isdigit() and int(point) < len(chosen)):
        raise ValueError(f"point is {point}: {file} has {len(chosen)} points, counted from 0")
    try:  # a mistake in the description is said once, before anything runs
        defaults = record.defaults_of(record.notebook_path(chosen[0].notebook))
        for one in chosen:
            _values(one.notebook, defaults, one.words)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    if list:
        return _list(chosen, list)
    chosen = [chosen[int(point)]] if point else chosen
    print(f"{len(chosen)} runs of {chosen[0].notebook}, {jobs} at a time; logs in {chosen[0].log.parent}", flush=True)
    settings = {**os.environ, "STUDY_SKIP_RECORDED": "1"}
    if jobs > 1:  # one thread each: two busy runs on two cores are faster than one run on both
        settings |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command, started, stop, problems = [*(shlex.split(through) or [sys.executable]), "-m", "lib.runs"], [], Event(), []
    ends = Parallel(jobs, backend="threading", return_as="generator_unordered")(
        delayed(_run)(one, command, settings, retries, started, stop) for one in chosen)
    try:
        for n, (one, what, why, seconds) in enumerate(ends, 1):
            print(f"{n}/{len(chosen)} {one.name}: {what} ({seconds:.0f} s)", flush=True)
            problems += [f"{what}: {one.name}: {why}; see {one.log}"] if why else []
    except BaseException:
        stop.set()
        ends.close()
        for process in started:
            process.terminate()
        for process in started:
            process.wait()
        raise
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _list(every: Sequence[Point], which: str) -> int:
    path = record.notebook_path(every[0].notebook)
    defaults = record.defaults_of(path)
    there = record.recorded(path, [_values(path.stem, defaults, point.words) for point in every])
    if which == "missing":
        print(",".join(str(n) for n, found in enumerate(there) if found is None))
        return 0
    for n, (point, found) in enumerate(zip(every, there)):
        print(f"{n:4d}  {'recorded' if found else 'missing '}  {point.name}")
    print(f"{there.count(None)} of {len(every)} are missing")
    return 0


def _run(point: Point, command: Sequence[str], settings: Mapping[str, str], retries: int,
         started: list[subprocess.Popen], stop: Event) -> tuple[Point, str, str, float]:
    """Makes one run, again while it fails and retries are left: the point, what became of it, why, and the seconds.

    The process goes into `started`; once `stop` is set, none is started again."""
    begun, words = time.monotonic(), [point.notebook, *(f"{name}={value}" for name, value in point.words.items())]
    try:
        with paths.explained(point.log.parent), FileLock(point.log.with_suffix(".lock"), timeout=0), \
                open(point.log, "a+", encoding="utf-8") as log:
            for attempt in range(1, retries + 2):
                begin = log.seek(0, os.SEEK_END)
                now = time.strftime("%Y-%m-%d %H:%M:%S")
                print(f"--- {now}, attempt {attempt}: -m lib.runs {shlex.join(words)}", file=log, flush=True)
                process = subprocess.Popen([*command, *words], cwd=paths.ROOT, env=settings, stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
                started.append(process)  # in a session of its own: Ctrl-C reaches it once, through `sweep`
                code = process.wait()
                if code in (0, 2) or stop.is_set():  # 2 is a mistake in the description: it would be made again
                    break
            log.seek(begin)
            lines = [line.strip() for line in log.read().splitlines()[1:] if line.strip()]
    except Timeout:
        return point, "left out", "another sweep is at it", 0.0
    mark = (f"{Path(point.notebook).stem}: ", "already recorded")  # what the run itself says: accelerate adds to it
    line = next((line for line in lines if line.startswith(mark)), lines[-1] if lines else f"ended with code {code}")
    what = "failed" if code else "already recorded" if line.startswith(mark[1]) else "done"
    return point, what, line if code else "", time.monotonic() - begun


def main(words: Sequence[str]) -> int:
    """The command line, see the top of this file. A mistake in it is one line and exit code 2."""
    return paths.command(sweep, words[1:], __doc__) if words[:1] == ["sweep"] else paths.command(launch, words, __doc__)
