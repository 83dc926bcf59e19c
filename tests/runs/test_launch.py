"""Runs by several processes, and runs that are asked to stop."""
import json
import os
import signal
import socket
import subprocess
import sys

import nbformat
import pytest
from test_record import PARAMETERS, call, toy  # noqa: F401
from test_sweeps import wait_for
from toys import tones

from lib import paths
from lib.course import build
from lib.runs import launch, script

SHARED = """import dataclasses
import matplotlib.pyplot as plt
import torch
from lib import fit, plots
acc = fit.accelerator()
@dataclasses.dataclass
class Seen:
    ranks: float
display(Seen(0.0))
figure, ax = plt.subplots()
print("process", acc.process_index, "of", acc.num_processes)
seen = Seen(acc.reduce(torch.tensor(float(acc.process_index + 1), device=acc.device)).item())
"""
ENDING = """import os, time
share = runs.parse_ratio(ratio)
run = runs.start(NOTEBOOK, {"wildlife": table}, scale=scale, seed=seed, wildlife=wildlife, ratio=ratio, sleep_s=sleep_s)
run.record({"top1": seen.ranks / 100}, samples_seen=10);
"""
BREAKS = """acc.wait_for_everyone()  # the record is written
if acc.process_index == 1:
    raise RuntimeError("it broke\\nin two lines")
acc.wait_for_everyone()
"""
SAVES = """
try:
    (folder / f"waits{seed}").touch()
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(6)  # as long as a large checkpoint may take, and longer than nbclient would wait
    (folder / f"saved{seed}").touch()
    raise
"""


def notebook(path, *cells):
    cells = [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), *map(nbformat.v4.new_code_cell, cells)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def accelerated(*words, processes=2):
    """`accelerate launch --num_processes 2 -m lib.runs ...`; without --multi_gpu it would start one process where there is no GPU."""
    with socket.socket() as one:
        one.bind(("", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", processes, "--main_process_port", port,
               "-m", "lib.runs", *words]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run([str(word) for word in command], cwd=paths.ROOT, env=settings, capture_output=True, text=True, timeout=300)


def test_two_processes_run_a_notebook_and_one_writes_and_says_what_breaks(toy, tmp_path):  # noqa: F811
    table = 'import pandas as pd\nfrom lib import runs\ntable = pd.DataFrame({"file": ["a.wav"], "label": ["x"], "split": ["train"]})\n'
    notebook(toy, SHARED, f"NOTEBOOK = {str(toy)!r}\n" + table + ENDING, BREAKS)
    done = accelerated(toy, "ratio=7", "seed=2")
    assert "process 0 of 2" in done.stdout and "process 1 of 2" not in done.stdout and done.stdout.count("record: ") == 1, done.stderr
    record = json.loads((tmp_path / "records" / "toy" / "seed=2,scale=tiny,data=chorus.json").read_text())
    assert record["metrics"]["top1"] == 0.03 and record["parameters"]["seed"] == 2  # 1 + 2: both took part
    said = [line for line in done.stderr.splitlines() if line.startswith("toy: ")]
    assert done.returncode != 0 and said == ["toy: RuntimeError: it broke in two lines (toy, code cell 4, line 3; process 1 of 2)"], done.stderr


def shared(rank, monkeypatch):
    """This process as one of two, as far as a notebook without a model can tell."""
    for name, value in {"WORLD_SIZE": "2", "RANK": rank, "MPLBACKEND": "agg", "TQDM_DISABLE": "", "ACCELERATE_USE_CPU": "true"}.items():
        monkeypatch.setenv(name, value)  # execute sets some of them, for good


@pytest.mark.parametrize("rank, times", [("0", 1), ("1", 0)])
def test_tables_are_shown_by_the_first_process(toy, monkeypatch, capsys, rank, times):  # noqa: F811
    shared(rank, monkeypatch)
    notebook(toy, 'import pandas as pd\ntable = pd.DataFrame({"time": ["3 days"]}, index=["pretraining"])\ntable',
             'display(table.rename(index={"pretraining": "finetuning"}), "a text")\nNone', "7", "")
    assert launch.main([str(toy)]) == 0
    out = capsys.readouterr().out
    assert out.count("pretraining  3 days") == out.count("finetuning  3 days") == times and len(out.splitlines()) == 4 * times


@pytest.mark.parametrize("cell, said", [
    ("runs.parse_ratio(-1)", "toy: ratio is -1: it must be a number from 0 (wildlife only) up, such as 0.5 or 7, or inf (general only)\n"),
    ("1\nint('x')", "toy: invalid literal for int() with base 10: 'x' (toy, code cell 3, line 2; process 1 of 2)\n")])
def test_an_error_names_its_place_unless_it_says_what_to_do(toy, monkeypatch, capsys, cell, said):  # noqa: F811
    shared("1", monkeypatch)
    notebook(toy, "from lib import runs", cell)
    assert launch.main([str(toy)]) == 1 and capsys.readouterr().err == said


def test_only_the_first_process_that_fails_says_why(tmp_path, monkeypatch, capsys):
    for rank in "10":
        (tmp_path / rank).mkdir()
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / rank / "error.json"))
        script.tell(f"05_mix_ratio: process {rank} failed")
    assert capsys.readouterr().err == "05_mix_ratio: process 1 failed\n"
    assert "process 1 failed" in (tmp_path / "1" / "error.json").read_text()  # for torchrun's own report


def test_a_run_asked_to_stop_lets_its_notebook_save(toy, tmp_path):  # noqa: F811
    handle = "import signal, time\nfrom pathlib import Path\nsignal.signal(signal.SIGTERM, signal.default_int_handler)\n"  # as lib.training does
    notebook(toy, handle + f"folder = Path({str(tmp_path)!r})" + SAVES)
    both = [subprocess.Popen([sys.executable, "-m", "lib.runs", str(toy), f"seed={seed}"], cwd=paths.ROOT, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True) for seed in range(2)]
    wait_for(lambda: len(list(tmp_path.glob("waits?"))) == 2)
    for process, number in zip(both, (signal.SIGINT, signal.SIGTERM)):
        process.send_signal(number)
    for seed, (process, code) in enumerate(zip(both, (130, 143))):
        said = process.communicate(timeout=60)[1]
        assert process.returncode == code and said.splitlines()[-1] == "stopped" and (tmp_path / f"saved{seed}").exists()


def test_a_notebook_loads_what_a_launched_run_left(tmp_path, monkeypatch):
    """05 at smoke: by two processes, and then opened as a notebook, which finds the pretrained and the finetuned model."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path / "records"))
    words = ["ratio=7", "scale=smoke", "budget=sweep"]
    for seed, pool in enumerate(("wildlife", "general")):
        tones(tmp_path / pool, train=8, seed=seed).to_csv(tmp_path / f"{pool}.csv", index=False)
        words += [f"{pool}=folder:{tmp_path}/{pool}.csv"]
    path = tmp_path / "notebooks" / "05_mix_ratio.ipynb"
    path.parent.mkdir()
    nbformat.write(build.source(build.FOLDER / "05_mix_ratio.py"), path)
    done = accelerated(path, *words)
    assert done.returncode == 0, done.stderr
    file, = (tmp_path / "records" / "05_mix_ratio").glob("*.json")
    launched = json.loads(file.read_text())
    file.unlink()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.safetensors")}
    assert len(before) == 2  # one of each
    done = call(path, *words)
    assert done.returncode == 0, done.stderr
    opened = json.loads(file.read_text())
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.safetensors")} == before
    assert opened["metrics"] == launched["metrics"]
    assert opened["answers"] == launched["answers"]
