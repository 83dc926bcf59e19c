"""Sweeps with a stand-in for the runs, which takes no time; test_runs has one with real runs."""
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_record import toy  # noqa: F401

from lib import paths
from lib.runs import launch

RUN = """import os, sys, time
from pathlib import Path
words = dict(word.split("=", 1) for word in sys.argv[4:])  # -m lib.runs NOTEBOOK name=value ...
place = Path(os.environ["STUDY_RUNS"]) / ("ratio=" + words["ratio"])
place.mkdir(parents=True, exist_ok=True)
begun = len(list(place.glob("begun*")))
(place / f"begun{begun}").touch()
if (place / "record").exists():
    sys.exit(print("already recorded: it"))
print("attempt", begun, flush=True)
time.sleep(float(words.get("sleep_s", 0)))
if begun < int(os.environ.get("FAILS", "0")):
    sys.exit("toy: ValueError: the disk is full\\nand more is said after it")
(place / "record").touch()
"""


@pytest.fixture
def plan(toy, tmp_path):  # noqa: F811
    """plan(ratio=[...], name=value ...) -> a sweep file, what replaces real runs, and the place of their traces."""
    (tmp_path / "run.py").write_text(RUN)

    def describe(ratio, **fixed):
        described = {"notebook": str(toy), "grid": {"ratio": ratio}, "fixed": fixed}
        (tmp_path / "toy.sweep.json").write_text(json.dumps(described))
        return str(tmp_path / "toy.sweep.json"), f"through={sys.executable} {tmp_path / 'run.py'}", tmp_path / "records"
    return describe


def begun(records: Path) -> dict[str, int]:
    return {place.name: len(list(place.glob("begun*"))) for place in sorted(records.glob("ratio=*"))}


def test_points_are_the_grid_in_order(plan):
    file, *_ = plan([0, "inf"])
    points = launch.points(file)
    assert [p.name for p in points] == ["ratio=0", "ratio=inf"] and points[0].words == {"ratio": 0}
    assert len({p.log for p in points}) == 2 and points[0].log == launch.points(file)[0].log
    assert launch.points(plan([0], seed=1)[0])[0].log != points[0].log  # with something else fixed: another run


@pytest.mark.parametrize("text, said", [
    (None, "there is no sweep description"), ('{"notebook": "05_mix_ratio",', "is not JSON: Expecting property name"),
    ('{"notebook": "05_mix_ratio"}', "must hold notebook and grid"),
    ('{"notebook": "05_mix_ratio", "grid": {"seed": [0], "ratio": 7}}',
     "ratio of its grid is 7: it must be a list of values"),
    ('{"notebook": "05_mix_ratio", "grid": {"seed": []}}', "seed of its grid is []: it must be a list of values"),
    ('{"notebook": "05_mix_ratio", "grid": {"ratio": "inf"}}', "ratio of its grid is 'inf': it must be"),
    ("[1]", "must hold notebook and grid (and may hold fixed), it holds [1]"), ("7", "it holds 7"),
    ('{"notebook": "05_mix_ratio", "grid": [1]}', "grid and fixed must be objects"),
    ('{"notebook": "05_mix_ratio", "grid": {}}', "grid must hold a name"),
    ('{"notebook": "05_mix_ratio", "grid": {"seed": [0]}, "fixed": 3}', "grid and fixed must be objects")])
def test_a_wrong_description_is_one_clear_line(tmp_path, capsys, text, said):
    if text:
        (tmp_path / "plan.json").write_text(text)
    assert launch.main(["sweep", str(tmp_path / "plan.json")]) == 2
    line, = capsys.readouterr().err.splitlines()
    assert said in line and "plan.json" in line


def test_a_wrong_name_is_said_before_anything_runs(tmp_path, capsys):
    (tmp_path / "plan.json").write_text('{"notebook": "05_mix_ratio", "grid": {"ratoi": [1, 2]}}')
    assert launch.main(["sweep", str(tmp_path / "plan.json")]) == 2
    out, err = capsys.readouterr()
    assert not out and "no parameter 'ratoi', did you mean ratio?" in err and err.count("\n") == 1


def test_a_failed_run_is_tried_again_and_its_log_keeps_both(plan, monkeypatch, capsys):
    monkeypatch.setenv("FAILS", "1")
    file, through, records = plan([1, 3])
    assert launch.main(["sweep", file, through, "retries=1"]) == 0 and capsys.readouterr().out.count("done (") == 2
    assert begun(records) == {"ratio=1": 2, "ratio=3": 2}
    text = launch.points(file)[0].log.read_text()
    assert text.count("--- ") == 2 and ", attempt 2: -m lib.runs" in text
    assert text.index("attempt 0") < text.index("disk is full") < text.index("attempt 1\n")
    assert launch.main(["sweep", file, through]) == 0 and capsys.readouterr().out.count("already recorded") == 2
    monkeypatch.setenv("FAILS", "9")
    file, through, _ = plan([5])
    assert launch.main(["sweep", file, through, "retries=1"]) == 1
    assert "failed: ratio=5: toy: ValueError: the disk is full; see " in capsys.readouterr().err
    assert begun(records)["ratio=5"] == 2


def test_one_point_by_its_number(plan, capsys):
    file, through, records = plan([0, 1, 3])
    assert launch.main(["sweep", file, through, "point=1"]) == 0 and begun(records) == {"ratio=1": 1}
    capsys.readouterr()
    assert launch.main(["sweep", file, through, "point=3"]) == 2
    assert capsys.readouterr().err == f"point is 3: {file} has 3 points, counted from 0\n"
    for wrong, said in (("jobs=0", "use jobs=1 or more"), ("point=-1", "point is -1: "),
                        ("list=some", "list=all or list=missing"), ("retries=x", "retries=x: use a whole number"),
                        ("points=1", "did you mean point?")):
        assert launch.main(["sweep", file, wrong]) == 2 and said in capsys.readouterr().err, wrong


def test_two_sweeps_at_once_share_the_work(plan):
    file, through, records = plan([0, 1, 3, 7], sleep_s=0.2)
    words = [sys.executable, "-m", "lib.runs", "sweep", file, through]
    both = [subprocess.Popen(words, cwd=paths.ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = "".join(p.communicate(timeout=60)[0] for p in both)
    assert all((records / f"ratio={r}" / "record").exists() for r in (0, 1, 3, 7))
    assert said.count("done (") == 4, said  # none was made twice: it was left to the other, or found recorded later


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 130), (signal.SIGINT, 130)])
def test_a_stopped_sweep_leaves_no_orphan_and_goes_on(plan, number, code):
    file, through, records = plan([0, 1, 3], sleep_s=30)
    process = subprocess.Popen([sys.executable, "-m", "lib.runs", "sweep", file, through, "jobs=2"], cwd=paths.ROOT,
                               stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    wait_for(lambda: records.exists() and len(begun(records)) == 2)
    process.send_signal(number)
    assert "stopped; the same command goes on" in process.communicate(timeout=20)[1] and process.returncode == code
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(records.parent / "run.py") not in left and not list(records.glob("*/record"))
    file, through, _ = plan([0, 1, 3])
    assert launch.main(["sweep", file, through]) == 0 and len(list(records.glob("*/record"))) == 3


def wait_for(what) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, "waited for a minute"
        time.sleep(0.05)


# The cluster's script, with sbatch played by a shell that runs the elements of the array one after the other

SBATCH = """#!/usr/bin/env bash
echo "$@" > "$STUDY_RUNS/sbatch"
for word; do case $word in --array=*) array=${word#--array=} ;; --*) ;; *) words+=("$word") ;; esac; done
array=${array%\\%*}
for n in ${array//,/ }; do
    code=0; SLURM_ARRAY_JOB_ID=4200 SLURM_ARRAY_TASK_ID=$n SLURM_JOB_ID=$((4200 + n)) bash "${words[@]}" || code=$?
    echo "element $n: $code"
done
"""


@pytest.fixture
def slurm(plan, tmp_path, monkeypatch):
    """A PATH with sbatch, scontrol, and a python and an accelerate that do as the stand-in for runs does."""
    folder, real = tmp_path / "bin", shlex.quote(sys.executable)
    folder.mkdir()
    (tmp_path / "records").mkdir()
    for name, text in {"sbatch": SBATCH,
                       "scontrol": '#!/bin/sh\necho "$@" >> "$STUDY_RUNS/scontrol"; echo first; echo second\n',
                       "python": f'#!/bin/sh\nif [ "$3" = sweep ]; then exec {real} "$@"; fi\n'
                                 f'exec {real} "{tmp_path}/run.py" "$@"\n',
                       "accelerate": '#!/bin/sh\necho "$@" >> "$STUDY_RUNS/accelerate"\n'
                                     'while [ "$1" != -m ]; do shift; done\n'
                                     f'exec {real} "{tmp_path}/run.py" "$@"\n',
                       "srun": '#!/bin/sh\n[ "$SRUN_CPUS_PER_TASK" = 16 ] || exit 1; shift\n'
                               'SLURM_NODEID=0 "$@" && SLURM_NODEID=1 exec "$@"\n'}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    return [shutil.which("bash"), str(paths.ROOT / "papermill_runs" / "slurm.sh")]


def test_a_cluster_runs_what_is_missing(slurm, plan, monkeypatch):
    monkeypatch.setenv("FAILS", "1")
    file, _, records = plan([0, 3])
    done = subprocess.run([*slurm, file, "--time=10"], capture_output=True, text=True, timeout=120)
    assert done.stdout.count("done (") == 2 and "element 1: 0" in done.stdout, done.stdout + done.stderr
    asked = ["--array=0,1%4", "--job-name=toy", "--time=10", "papermill_runs/slurm.sh", file]
    assert (records / "sbatch").read_text().split() == asked
    assert begun(records) == {"ratio=0": 2, "ratio=3": 2}  # each failed once and was tried again
    bare = subprocess.run(slurm, capture_output=True, text=True)
    assert bare.returncode and "a sweep description, such as" in bare.stderr


def test_several_machines_start_accelerate_each(slurm, plan, monkeypatch):
    file, _, records = plan([7])
    for name, value in {"ARRAY_TASK_ID": "0", "JOB_ID": "4711", "GPUS_ON_NODE": "4", "JOB_NUM_NODES": "2",
                        "JOB_NODELIST": "n[1-2]", "CPUS_PER_TASK": "16"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    done = subprocess.run([*slurm, file], capture_output=True, text=True, timeout=60)
    shape = ("--multi_gpu --num_machines 2 --num_processes 8 --main_process_port 24711 "
             "--main_process_ip first -m lib.runs")
    lines = (records / "accelerate").read_text().splitlines()
    begins = [line.partition(shape)[0] for line in lines]
    assert begins == ["launch --machine_rank 0 ", "launch --machine_rank 1 "], (lines, done.stderr)
    assert done.returncode == 0 and lines[0].endswith("ratio=7")


@pytest.mark.parametrize("number, requeued", [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_a_job_whose_time_is_up_is_queued_again(slurm, plan, monkeypatch, number, requeued):
    file, _, records = plan([0], sleep_s=30)
    for name, value in {"ARRAY_JOB_ID": "4700", "ARRAY_TASK_ID": "0", "JOB_ID": "4711"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    job = subprocess.Popen([*slurm, file], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (records / "ratio=0" / "begun0").exists())
    job.send_signal(number)
    job.communicate(timeout=20)
    assert job.returncode == 130 and not (records / "ratio=0" / "record").exists()
    asked = (records / "scontrol").read_text() if (records / "scontrol").exists() else ""
    assert asked == ("requeue 4700_0\n" if requeued else "")  # this element; before a preemption Slurm does it itself
