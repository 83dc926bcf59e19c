"""Everything about a run: what a scale means, the record it leaves, and the launcher.

    python -m lib.runs 05_mix_ratio ratio=7                    one run, always made; scale=small, seed=1 ... as needed
    python -m lib.runs 05_mix_ratio ratio=7 output=FILE.ipynb timeout=600   where to, and seconds one cell may take
    python -m lib.runs sweep papermill_runs/05_mix_ratio.sweep.json jobs=2  the runs of a grid that have no record yet

A sweep is a JSON file:
{"notebook": "05_mix_ratio", "grid": {"seed": [0, 1], "ratio": [0, 7, "inf"]}, "fixed": {"scale": "tiny"}}
It goes on after a failure and lists what failed; stopped and called again it goes on where it was."""
import itertools
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from lib import paths, record
from lib.record import VERSION, Run, beside, headline, paper, records, reference, start
from lib.scales import SCALES, Scale, clips, parse_ratio, scale

__all__ = ["VERSION", "SCALES", "Scale", "scale", "clips", "parse_ratio", "Run", "start", "headline", "records", "beside", "reference",
           "paper", "launch", "sweep"]  # all a notebook needs, from lib.scales and lib.record, and the launcher itself


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


def _pairs(words: Sequence[str]) -> dict[str, str]:
    wrong = [w for w in words if not re.match(r"[A-Za-z_]\w*=", w)]
    if wrong:
        raise ValueError(f"got {wrong[0]!r}: everything after the notebook is name=value, such as ratio=7")
    return dict(w.split("=", 1) for w in words)


def launch(notebook: str, given: Mapping[str, str]) -> int:
    """Runs one notebook by papermill with checked names and a folder made for it; 0 if it ended well, else 1."""
    import papermill  # here, so that importing runs in a notebook stays light
    from jupyter_client.manager import AsyncKernelManager
    from papermill.parameterize import parameterize_path

    class QuietKernel(AsyncKernelManager):
        """A kernel's own stderr is no output of a cell: notices of its start, a traceback when it is stopped."""
        async def _async_start_kernel(self, **settings: object) -> None:
            await super()._async_start_kernel(stderr=subprocess.DEVNULL, **settings)

        start_kernel = _async_start_kernel

    path = record.notebook_path(notebook)
    if not path.exists():
        raise ValueError(f"{path.name} is not built: python -m lib.notebooks build {path.stem}")
    defaults = record.defaults_of(path)
    words = dict(given)
    output, timeout = (words.pop(k, None) for k in ("output", "timeout"))
    for name in words:
        if name not in defaults:
            raise ValueError(f"{path.stem} has no parameter {name!r}{record.nearest(name, list(defaults))}; "
                             f"it has {', '.join(defaults)}")
    if timeout is not None and not timeout.isdigit():
        raise ValueError(f"timeout is {timeout!r}: it must be whole seconds, the longest one cell may take")
    values = {name: _typed(text, defaults[name]) for name, text in words.items()}
    every = {**defaults, **values}
    chosen = scale(str(every.get("scale", "auto")))
    if output is None:
        pools = dict.fromkeys(record.base(str(every[p])) for p in record.POOLS if p in every)
        shown = record.plain({**every, **({"scale": chosen.name} if "scale" in every else {})})
        grid = record.GRID.get(path.stem, ())
        name = record.name_of(path.stem, shown, defaults, {p: {"name": p} for p in pools}, grid)
        output = record.folder(chosen.name) / path.stem / f"{name}.ipynb"
    else:
        output = paths.resolve(parameterize_path(output, every))
        if output.suffix != ".ipynb" or output.resolve().is_relative_to(path.resolve().parent):
            raise ValueError(f"output is {output.name!r}: it must be an .ipynb outside {path.parent.name}/, "
                             "whose notebooks are not to be overwritten")
    output.parent.mkdir(parents=True, exist_ok=True)
    escaped = str(output).replace("{", "{{").replace("}", "}}")
    try:
        done = papermill.execute_notebook(str(path).replace("{", "{{").replace("}", "}}"), escaped, parameters=values,
                                          cwd=str(paths.ROOT), execution_timeout=int(timeout) if timeout else None,
                                          kernel_manager_class=QuietKernel)
    except papermill.PapermillExecutionError as error:
        if error.ename == record.Recorded.__name__:
            print(f"already recorded: {error.evalue}")
            return 0
        return _fail(path.stem, error.ename, error.evalue)
    except Exception as error:  # a dead kernel, a cell over its time: many types, and the name and message are shown
        return _fail(path.stem, type(error).__name__, str(error))
    text = "".join(o.get("text", "") for c in done.cells for o in c.get("outputs", []) if o.output_type == "stream")
    for found in re.findall(r"(?m)^record: (\S+\.json)", text)[-1:]:
        print(headline(record.read(record.folder(chosen.name) / found)))
        print(f"record: {found}")
    print(f"notebook: {os.path.relpath(output)}")
    return 0


def _fail(where: str, kind: str, message: str) -> int:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if kind == "CellTimeoutError":
        lines = ["a cell took longer than the timeout: raise timeout=SECONDS or lower the scale"]
    elif kind == "DeadKernelError":
        lines = ["the kernel died, most often for lack of memory: lower the scale"]
    print(f"{where}: " + ("" if kind == "ValueError" else f"{kind}: ") + " ".join(lines), file=sys.stderr)
    return 1


def sweep(file: str, jobs: int = 1) -> int:
    """Runs what a sweep file describes and has no record yet, `jobs` at a time; 0 if nothing failed, else 1."""
    path = paths.resolve(file)
    if not path.is_file():
        raise ValueError(f"there is no sweep description {file}")
    plan = json.loads(path.read_text(encoding="utf-8"))
    if not {"notebook", "grid"} <= set(plan):
        raise ValueError(f"{file} must hold notebook and grid (and may hold fixed), it holds {', '.join(plan)}")
    notebook, grid, fixed = plan["notebook"], plan["grid"], plan.get("fixed", {})
    points = [dict(zip(grid, values)) for values in itertools.product(*grid.values())]
    logs = paths.cache("logs", Path(notebook).stem)
    started: list[subprocess.Popen] = []
    stopped = False

    def one(point: dict) -> tuple[str, int, float, str]:
        name = ",".join(f"{k}={v}" for k, v in point.items())
        if stopped:
            return name, -1, 0.0, ""
        words = [f"{k}={v}" for k, v in {**fixed, **point}.items()]
        settings = {**os.environ, "STUDY_SKIP_RECORDED": "1"}
        if jobs > 1:  # one thread each: two busy runs on two cores are faster than one run on both
            settings |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            # glibc gives large blocks back after every step and gets them again page by page; kept, a step takes 13 % less
            settings |= {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**32 - 1), "MALLOC_TOP_PAD_": str(2**26)}
        begun, log = time.monotonic(), logs / (re.sub(r"[^\w=.,+-]", "_", name) + ".log")
        with open(log, "w", encoding="utf-8") as out:
            process = subprocess.Popen([sys.executable, "-m", "lib.runs", notebook, *words], cwd=paths.ROOT,
                                       env=settings, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            started.append(process)
            code = process.wait()
        lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
        return name, code, time.monotonic() - begun, lines[-1] if code and lines else "\n".join(lines)

    print(f"{len(points)} runs of {notebook}, {jobs} at a time; logs in {logs}", flush=True)
    failed = []
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(one, point) for point in points]
        try:
            for n, future in enumerate(as_completed(waiting), 1):
                name, code, seconds, said = future.result()
                what = "already recorded" if "already recorded" in said else "done" if code == 0 else "FAILED"
                print(f"{n}/{len(points)} {name}: {what} ({seconds:.0f} s)", flush=True)
                failed += [(name, said or f"ended with code {code}")] if code else []
        except KeyboardInterrupt:
            stopped = True
            for process in started:
                process.terminate()
            print("stopped; the same command goes on with what is missing", file=sys.stderr)
            return 130
    for name, why in failed:
        print(f"failed: {name}: {why}", file=sys.stderr)
    return 1 if failed else 0


def main(words: Sequence[str]) -> int:
    """The command line, see the top of this file. A mistake in it is one line and exit code 2."""
    if not words or words[0] in ("help", "-h", "--help"):
        print(__doc__.partition("\n\n")[2])
        return 0 if words else 2
    try:
        if words[0] != "sweep":
            return launch(words[0], _pairs(words[1:]))
        options = _pairs(words[2:])
        jobs = options.pop("jobs", "1")
        if len(words) < 2 or options or not jobs.isdigit() or jobs == "0":
            raise ValueError("a sweep is called as: sweep FILE.json [jobs=2]")
        return sweep(words[1], int(jobs))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
