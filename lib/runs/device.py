"""One command for a machine with a GPU: whether it computes as a CPU does, how fast, and a sweep with the time left.

    python -m lib.runs.device out=DIR minutes=8     correctness, rates, then weights and records; scale=small
    python -m lib.runs.device out=DIR minutes=3 scale=smoke     a rehearsal, also without a GPU

It needs neither network nor Jupyter, and ends before its minutes are over. DIR gets all as it is made: report.md to
read, report.json, weights/ (the ready weights trained anew, and a twin whose target is the pixels), records/ and logs/.
Called again it goes on with what is still missing. 0 if every part went well, 1 if not: the report ends with what did
not."""

import gc
import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TextIO

import matplotlib.pyplot as plt
import pandas as pd
import psutil
import torch

from lib import checkpoints, hardware, mel, paths, pretrain
from lib.checkpoints import Card
from lib.runs import correctness, cost, launch, provenance, rates, record, scales
from lib.runs.scales import Scale
from lib.sources import tables
from lib.transfer import starts

__all__ = ["Report", "run"]

CHECKING, MEASURING = 0.25, 0.45  # shares of the minutes after which correctness, and then the rates, are over
WEIGHTS = 0.25  # share of what is left then that pretraining the ready weights and their twin takes
CHORUS = "from lib.sources import tables\nfor pool in ('wildlife', 'general'): tables.recordings('chorus', pool, '{}')"
RESERVE_S = 20.0  # the last seconds, in which nothing runs any more
TESTS = ("test_mae", "test_mel", "test_training", "test_data", "test_pretrain", "test_attention",
         "transfer/test_finetune", "transfer/test_probe", "transfer/test_starts")
ARMS = (("05_mix_ratio", "ratio", 7), ("05_mix_ratio", "ratio", 0), ("05_mix_ratio", "ratio", "inf"),
        *(("04_finetuning", "init", name) for name in ("random", "audioset_ssl+inat_ssl", "ready", "ready+inat_ssl")),
        *(("05_mix_ratio", "ratio", value) for value in (1, 3, 15)))  # the most important first

# how old the command's process is when it gets here: importing torch counts
IMPORTED_S = time.time() - psutil.Process().create_time() if __name__ == "__main__" else 0.0


class Late(KeyboardInterrupt):
    """A part's time is over. Like Ctrl-C it passes through what catches mistakes."""


class Report:
    """report.md and report.json in a folder, written while the parts go; what they say is printed too."""

    def __init__(self, folder: Path, seconds: float) -> None:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        self.folder, self.seconds, self.begun = folder, seconds - IMPORTED_S, time.monotonic()
        self.file, self.troubles = folder / "report.json", []
        earlier = json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else {"done": [], "found": {}}
        self.done, self.found = earlier["done"], earlier["found"]  # titles; what each part found

    def left(self, share: float = 1.0) -> float:
        """Seconds until so large a share of the time is over; of the whole, until the reserve begins."""
        end = self.seconds - min(RESERVE_S, 0.2 * self.seconds) if share == 1 else share * self.seconds
        return self.begun + end - time.monotonic()

    def say(self, text: str) -> None:
        print(text, flush=True)
        with open(self.folder / "report.md", "a", encoding="utf-8") as file:
            file.write(text + "\n")

    def part(self, title: str, make: Callable[[], object], seconds: float, once: bool = True) -> None:
        """One part: what it finds, a table or a text; of an iterator the last, also where its time is over first.

        Whatever it raises is one block of the report, and the next part goes on. once: not if a call before did it."""
        self.say(f"\n## {title}")
        begun, found, end = time.monotonic(), "", ""
        if once and title in self.done or seconds < 1:
            return self.say("done by a call before" if seconds >= 1 else "left out: what came before took its time")
        try:
            with _limited(seconds):
                result = make()
                for found in result if isinstance(result, Iterator) else [result]:
                    pass
        except Late:
            end = f"stopped after {seconds:.0f} s, its share of the time\n"
        except Exception as error:  # of whatever kind
            self.troubles.append(f"{title}: {type(error).__name__}")
            end = "".join(traceback.format_exception(error)[-4:])
        self.done += [] if end or title in self.done else [title]
        self._keep(title, found, f"{end}{time.monotonic() - begun:.0f} s")
        plt.close("all")
        gc.collect()
        torch.cuda.empty_cache()

    def _keep(self, title: str, found: object, note: str = "") -> None:
        """A table or a text, shown and written down. Of many checks those are shown that are nearest to the limit."""
        shown = found
        if isinstance(found, pd.DataFrame):
            if "ok" in found:
                self.troubles += [f"{title}: {what}" for what in found.loc[~found["ok"], "what"]]
                note = f"{int(found['ok'].sum())} of {len(found)} within what is allowed\n{note}"
                near = found["difference"] / found["allowed"].clip(lower=1e-30)
                found = found.loc[near.sort_values(ascending=False, kind="stable").index]
            some = found.head(12) if "ok" in found else found
            shown = some.map(_number).to_string(index=False) if len(found) else "nothing to do on this device"
            found = found.to_dict("records")
        self.say("\n".join(["```", *(str(text) for text in (shown, note) if text), "```"]))
        self.found[title] = found
        paths.write_json(self.file, paths.plain({"done": self.done, "found": self.found}))


def _number(x: object) -> object:
    if not isinstance(x, float):
        return x
    return f"{x:.1e}" if 0 < abs(x) < 0.01 else cost.number(x)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Within, Late after so many seconds, also where the process waits for another; never on Windows: no alarm."""
    def late(number: int, frame: FrameType | None) -> None:
        raise Late

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ------------------------------------------------------------------------------------------------ correctness and rates

def _machine(setting: Scale) -> str:
    if torch.cuda.is_available():
        memory = f"{torch.cuda.get_device_properties(0).total_memory / 1e9:.0f} GB of GPU memory"
    else:
        memory = "no CUDA: a rehearsal, in which the device is this CPU"
    return "\n".join([hardware.named(), memory,
                      f"{paths.processors()} processors ({paths.processor()}), torch {torch.__version__}, CUDA "
                      f"{torch.version.cuda}, Python {sys.version.split()[0]}",
                      f"commit {provenance.commit()}; {IMPORTED_S:.0f} s until all was imported"])


def _begin(log: Path, *words: str) -> subprocess.Popen:
    """Starts this Python with some words beside what goes on here; what it says goes into a log."""
    with open(log, "w", encoding="utf-8") as file:
        return subprocess.Popen([sys.executable, *words], cwd=paths.ROOT, stdout=file, stderr=subprocess.STDOUT)


def _tests(process: subprocess.Popen, report: Report) -> str:
    """What the repository's tests of the device's parts, begun before, came to; what was not reached in time is not
    waited for."""
    end = ""
    try:
        process.wait(max(1.0, report.left(CHECKING) - 1))
    except subprocess.TimeoutExpired:
        end = "not done when the time was over, until then "
    log = (report.folder / "logs" / "tests.log").read_text(encoding="utf-8")
    lines = [line for line in log.splitlines() if line.strip()] or ["it said nothing"]
    failed = sorted({found[1] for line in lines if (found := re.match(r"(tests/\S+).* (FAILED|ERROR)", line))})
    report.troubles += failed or ([f"tests: {lines[-1]}"] if process.returncode and not end else [])
    passed = sum(" PASSED" in line for line in lines)
    return "\n".join([*failed, f"{end}{passed} passed, {len(failed)} failed; {lines[-1][:150]}"])


def _made(process: subprocess.Popen, setting: Scale, pools: list[pd.DataFrame]) -> str:
    """The recordings that another process was making, into `pools`; where it could not, the error comes here."""
    process.wait()
    pools += _pools(setting.chorus)
    return ", ".join(f"{len(pool):,} {name}" for name, pool in zip(("wildlife", "general"), pools))


# -------------------------------------------------------------------------------------------------- weights and records

def _weights(report: Report, setting: Scale, pools: list[pd.DataFrame], seconds: float) -> Iterator[pd.DataFrame]:
    """Weights like the ready ones of the scale's own model and batch, on as many clips as the seconds allow, and then
    their twin; those of an earlier call stay."""
    rows, base = [], setting.pretraining(setting.batch, 0, ratio=starts.READY_RECIPE.ratio)
    for name, norm_pixels in (("ready", True), ("ready_pixels", False)):
        arch, begun = setting.arch(norm_pixels=norm_pixels), time.monotonic()
        if (report.folder / "weights" / f"{name}.safetensors").exists():
            continue
        found = cost.pretraining_pace(arch, mel.INAT, base)
        rate = 1 / (found.clip_s + found.step_s / base.batch)
        recipe = replace(base, clips=max(1, int(0.4 * seconds * rate / base.batch)) * base.batch)
        done = pretrain.pretrain(arch, mel.INAT, recipe, *pools, workers=setting.workers, reuse=True)
        about = (f"chorus ({setting.chorus}, data_seed 0), train split only, {recipe.clips:,} clips, "
                 f"general : wildlife {recipe.ratio:g} : 1, seed 0")
        card = Card(name, arch, mel.INAT, about, "MIT, as the code", "python -m lib.runs.device")
        file = checkpoints.save(done.model.cpu(), card, report.folder / "weights", torch.bfloat16)
        paths.write_text(file.with_suffix(".csv"), done.log.to_csv(index=False))
        rows.append({"weights": file.name, "clips": recipe.clips, "loss": done.log["loss"].tail(20).mean(),
                     "MB": file.stat().st_size / 1e6, "seconds": time.monotonic() - begun})
        yield pd.DataFrame(rows)


def _sweep(report: Report, setting: Scale, pools: list[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Seed after seed all arms that have no record, each only if the time left is enough for one like it; the table so
    far. An arm that failed is not tried again."""
    rows, took, arms = [], {}, list(ARMS)
    for seed in itertools.count():
        missing = [arm for arm in arms if not record.recorded(*_asked(arm, setting, seed))[0]]
        made = 0
        for arm in missing:
            alike = [took[arm]] if arm in took else [t for known, t in took.items() if known[0] == arm[0]]
            if 1.2 * max(alike or took.values() or [_expected(setting, pools)]) > report.left():
                continue
            begun, made, what = time.monotonic(), made + 1, f"{arm[0]} {arm[1]}={arm[2]} seed={seed}"
            print(f"{what}: begun, {report.left():.0f} s are left", flush=True)
            log = report.folder / "logs" / f"{what.replace(' ', ',')}.log"
            with open(log, "w", encoding="utf-8") as file, redirect_stdout(file), \
                    redirect_stderr(_Both(file, sys.stderr)):
                path, (words,) = _asked(arm, setting, seed)
                failed = launch.script(path.with_suffix(".py"), words)
            plt.close("all")
            took[arm] = time.monotonic() - begun
            if failed:
                arms.remove(arm)
                report.troubles.append(f"{what} failed, see logs/{log.name}")
            rows.append({"run": what, "seconds": took[arm], "": "failed" if failed else ""})
            yield pd.DataFrame(rows)
        if missing and not made or not arms:
            return


def _asked(arm: tuple[str, str, object], setting: Scale, seed: int) -> tuple[Path, list[dict]]:
    """The notebook of an arm and the parameters of its run, as `record.recorded` takes them."""
    notebook, name, value = arm
    words = {"scale": setting.name, "budget": "sweep", "max_hours": "inf", "seed": seed, name: value}
    return record.notebook_path(notebook), [words]


class _Both(io.TextIOBase):
    """A stream that writes to two: bars and errors are seen at once and stay in a log."""

    def __init__(self, *files: TextIO) -> None:
        self.files = files

    def write(self, text: str) -> int:
        return max(file.write(text) for file in self.files)

    def flush(self) -> None:
        for file in self.files:
            file.flush()


def _expected(setting: Scale, pools: list[pd.DataFrame]) -> float:
    """Seconds of a pretraining and a finetuning, before one was made."""
    recipe = setting.pretraining(scales.clips(setting, "sweep"), 0)
    parts = [cost.pretraining(setting.arch(), mel.INAT, recipe),
             *cost.finetuning(setting.arch(), mel.INAT, setting.finetuning("study", 0), pools[0])]
    return cost.total(parts).seconds


# ---------------------------------------------------------------------------------------------------------- the command

def run(out: str = "", minutes: float = 8.0, scale: str = "small") -> int:
    """All parts, one after the other, see the top of this file."""
    if not out or minutes <= 0:
        raise ValueError("out=DIR says where everything goes, minutes=8 how long it may take")
    setting, report = scales.scale(scale), Report(paths.resolve(out), 60 * minutes)
    os.environ["STUDY_RUNS"] = str(report.folder / "records")
    plt.switch_backend("agg")
    names = TESTS[:1] if scale == "smoke" else TESTS
    making = _begin(report.folder / "logs" / "recordings.log", "-c", CHORUS.format(setting.chorus))
    words = ["-m", "pytest", "-v", "--no-header", "-o", "addopts=", "-p", "no:cacheprovider"]
    words += [f"tests/{name}.py" for name in names] if "tests" not in report.done else ["--version"]
    testing = _begin(report.folder / "logs" / "tests.log", *words)
    end = threading.Timer(max(1.0, report.left() + 0.8 * RESERVE_S), _overdue, [report, making, testing])
    end.daemon = True
    end.start()
    try:
        _all(report, setting, making, testing)
    finally:
        end.cancel(), making.kill(), testing.kill()
    report.say("\n## What did not go well\n" + "\n".join(f"- {trouble}" for trouble in report.troubles or ["nothing"]))
    return 1 if report.troubles else 0


def _all(report: Report, setting: Scale, making: subprocess.Popen, testing: subprocess.Popen) -> None:
    report.say(f"# {hardware.named()}: {report.seconds / 60:.1f} minutes at scale {setting.name}")
    report.part("machine", lambda: _machine(setting), report.left(CHECKING), once=False)
    few = _pools("smoke")
    for check in correctness.CHECKS:
        title = f"correctness: {check.__name__.replace('_', ' ')}"
        report.part(title, lambda check=check: check(setting, few), report.left(CHECKING))
    report.part("tests", lambda: _tests(testing, report), report.left(CHECKING))
    testing.kill()
    pools: list[pd.DataFrame] = []
    report.part("recordings", lambda: _made(making, setting, pools), report.left(), once=False)
    if not pools:  # nothing can go on without
        return
    second = scales.scale("tiny" if setting.name == "smoke" else "paper")
    for title, make in rates.parts([setting, second], pools, max(0.3, report.seconds / 240)):  # 2 s of 8 minutes
        report.part(title, make, report.left(MEASURING))
    seconds = WEIGHTS * report.left()
    report.part("weights", lambda: _weights(report, setting, pools, seconds), 1.5 * seconds)
    report.part("records", lambda: _sweep(report, setting, pools), report.left(), once=False)


def _pools(size: str) -> list[pd.DataFrame]:
    return [tables.recordings("chorus", pool, size) for pool in ("wildlife", "general")]


def _overdue(report: Report, *processes: subprocess.Popen) -> None:
    """The last resort, where no alarm is heard."""
    report.say("\nstopped: a part did not end when its time was over")
    for process in processes:
        process.kill()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(paths.command(run, sys.argv[1:], __doc__))
