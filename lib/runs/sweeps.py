"""The runs of a grid: on this machine some at a time, or one by its number, as a job of a cluster's array does.

A sweep is a JSON file:
{"notebook": "05_mix_ratio", "grid": {"seed": [0, 1], "ratio": [0, 7, "inf"]}, "fixed": {"scale": "tiny"}}"""
import hashlib
import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from lib import paths

__all__ = ["Point", "points", "sweep"]


class Point(NamedTuple):
    notebook: str
    name: str    # what the grid says of it
    words: dict  # its parameters, those that are fixed among them

    @property
    def log(self) -> Path:
        """What its run prints, attempt after attempt; two descriptions with the same point share it."""
        digest = hashlib.sha256(json.dumps([self.notebook, sorted(self.words.items())]).encode()).hexdigest()[:6]
        name = re.sub(r"[^\w=.,+-]", "_", self.name)[:150]
        return paths.cache("logs", Path(self.notebook).stem) / f"{name}-{digest}.log"


def points(file: str) -> list[Point]:
    """What a sweep file describes, in the order in which it is run; the last name of the grid changes fastest."""
    path = paths.resolve(file)
    if not path.is_file():
        raise ValueError(f"there is no sweep description {file}")
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}") from None
    if not {"notebook", "grid"} <= set(plan):
        raise ValueError(f"{file} must hold notebook and grid (and may hold fixed), it holds {', '.join(plan)}")
    if wrong := [name for name, values in plan["grid"].items() if not (isinstance(values, list) and values)]:
        raise ValueError(f"{file}: {wrong[0]} of its grid is {plan['grid'][wrong[0]]!r}: it must be a list of values, such as [0] or [0, 7]")
    grid = [dict(zip(plan["grid"], values)) for values in itertools.product(*plan["grid"].values())]
    return [Point(plan["notebook"], ",".join(f"{k}={v}" for k, v in p.items()), {**plan.get("fixed", {}), **p}) for p in grid]


def sweep(chosen: list[Point], jobs: int = 1, retries: int = 0, through: str = "") -> int:
    """Runs those of the points that have no record yet, `jobs` at a time; 0 if all are recorded now, else 1.

    `through` is what starts a run in place of this Python, e.g. "accelerate launch --multi_gpu ..."; `retries` how often a failed run is
    started again. A point that another sweep is at is left to it. SIGINT and SIGTERM end the runs, which save where they are, and are waited for."""
    running: set[subprocess.Popen] = set()
    stopped: list[int] = []
    settings = {**os.environ, "STUDY_SKIP_RECORDED": "1"}
    if jobs > 1:  # one thread each: two busy runs on two cores are faster than one run on both
        settings |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        # glibc gives large blocks back after every step and gets them again page by page; kept, a step takes 13 % less
        settings |= {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**32 - 1), "MALLOC_TOP_PAD_": str(2**26)}

    def attempt(point: Point, number: int) -> tuple[int, str]:
        command = [*(shlex.split(through) or [sys.executable]), "-m", "lib.runs", point.notebook, *(f"{k}={v}" for k, v in point.words.items())]
        with open(point.log, "a+", encoding="utf-8") as log:
            begin = log.tell()
            print(f"--- {datetime.now():%Y-%m-%d %H:%M:%S}, attempt {number}: {shlex.join(command[command.index('-m'):])}", file=log, flush=True)
            process = subprocess.Popen(command, cwd=paths.ROOT, env=settings, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                       start_new_session=True)  # a terminal's Ctrl-C reaches it once, from here
            running.add(process)
            if stopped:
                process.terminate()
            code = process.wait()
            running.discard(process)
            log.seek(begin)
            lines = [line.strip() for line in log.read().splitlines()[1:] if line.strip()]
        # of several processes the first to fail says why; others and accelerate say more after it
        own = [line for line in lines if line.startswith((f"{Path(point.notebook).stem}: ", "already recorded"))]
        return code, (own[:1] or lines[-1:] or [f"ended with code {code}"])[0]

    def one(point: Point) -> tuple[Point, str, float, str]:
        begun, code, said = time.monotonic(), -1, ""
        try:
            with FileLock(point.log.with_suffix(".lock"), timeout=0):
                for number in range(1, retries + 2):
                    if stopped or code in (0, 2):  # 2 is a mistake in the description: it would only be made again
                        break
                    code, said = attempt(point, number)
        except Timeout:
            return point, "is being run elsewhere", 0.0, ""
        except OSError as error:  # no room for the log, or no such program
            code, said = 1, str(error)
        return point, "FAILED" if code else "already recorded" if said.startswith("already recorded") else "done", time.monotonic() - begun, said

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    asking = {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}  # SIGHUP: the terminal closes; Windows has none
    before = {number: signal.signal(number, stop) for number in asking if signal.getsignal(number) != signal.SIG_IGN}
    failed, elsewhere = [], 0
    try:
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for n, future in enumerate(as_completed([pool.submit(one, point) for point in chosen]), 1):
                    point, what, seconds, said = future.result()
                    print(f"{n}/{len(chosen)} {point.name}: {what} ({seconds:.0f} s)", flush=True)
                    failed += [f"failed: {point.name}: {said}; see {point.log}"] if what == "FAILED" else []
                    elsewhere += what == "is being run elsewhere"
            except (KeyboardInterrupt, SystemExit) as asked:
                for number in before:  # asked once is enough
                    signal.signal(number, signal.SIG_IGN)
                stopped.append(asked.code if isinstance(asked, SystemExit) else 130)
                for process in list(running):
                    process.terminate()
                print("stopped; the same command goes on with what is missing", file=sys.stderr, flush=True)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    print(*failed, sep="\n", end="\n" if failed else "", file=sys.stderr)
    return stopped[0] if stopped else 1 if failed or elsewhere else 0
