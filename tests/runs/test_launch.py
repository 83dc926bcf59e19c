"""Runs by several processes, and runs that are asked to stop."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import nbformat
import papermill
import psutil
import pytest
import torch
from test_record import PARAMETERS, call, toy  # noqa: F401
from test_sweeps import wait_for
from toys import tones

from lib import paths, runs
from lib.course import build
from lib.runs import launch, record, scales

SHARED = """import dataclasses
import matplotlib.pyplot as plt
import torch
from lib import hardware
acc = hardware.accelerator()
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
import time
from pathlib import Path
try:
    (Path(folder) / f"waits{seed}").touch()
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.5)  # as a checkpoint takes
    (Path(folder) / f"saved{seed}").touch()
    raise
"""


def notebook(path, *cells):
    """Writes the two files of a pair."""
    texts = [f'# %% tags=["parameters"]\n{PARAMETERS}', *(f"# %%\n{cell}\n" for cell in cells)]
    path.with_suffix(".py").write_text("\n".join(texts))
    cells = [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
             *map(nbformat.v4.new_code_cell, cells)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def accelerated(*words, processes=2):
    """`accelerate launch --num_processes 2 -m lib.runs ...`; without --multi_gpu, no GPU would mean one process."""
    with socket.socket() as one:
        one.bind(("", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", processes,
               "--main_process_port", port,
               "-m", "lib.runs", *words]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run([str(word) for word in command], cwd=paths.ROOT, env=settings, capture_output=True, text=True,
                          timeout=300)


def test_two_processes_run_a_notebook_and_one_writes_and_says_what_breaks(toy, tmp_path):  # noqa: F811
    table = ("import pandas as pd\nfrom lib import runs\n"
             'table = pd.DataFrame({"file": ["a.wav"], "label": ["x"], "split": ["train"]})\n')
    notebook(toy, SHARED, f"NOTEBOOK = {str(toy)!r}\n" + table + ENDING, BREAKS)
    done = accelerated(toy, "ratio=7", "seed=2")
    assert "process 0 of 2" in done.stdout and "process 1 of 2" not in done.stdout, done.stderr
    assert done.stdout.count("record: ") == 1
    record = json.loads((tmp_path / "records" / "toy" / "seed=2,scale=tiny,data=chorus.json").read_text())
    assert record["metrics"]["top1"] == 0.03 and record["parameters"]["seed"] == 2  # 1 + 2: both took part
    said = [line for line in done.stderr.splitlines() if line.startswith("toy: RuntimeError")]
    assert done.returncode != 0 and said[0] == "toy: RuntimeError: it broke in two lines", done.stderr
    assert f'"{toy.with_suffix(".py")}", line ' in done.stderr  # a plain traceback shows where


@pytest.fixture
def several(monkeypatch):
    """several(rank) makes this process one of two, as far as a notebook without a model can tell."""
    def share(rank):
        for name, value in {"WORLD_SIZE": "2", "RANK": rank, "MPLBACKEND": "agg", "TQDM_DISABLE": "",
                            "ACCELERATE_USE_CPU": "true"}.items():
            monkeypatch.setenv(name, value)  # the launcher sets some of them, for good
        monkeypatch.setattr(sys, "stdout", sys.stdout)
    return share


@pytest.mark.parametrize("rank, times", [("0", 1), ("1", 0)])
def test_tables_are_shown_by_the_first_process(toy, several, capsys, rank, times):  # noqa: F811
    several(rank)
    table = 'pd.DataFrame({"time": ["3 days"]}, index=["pretraining"])'
    notebook(toy, f"import pandas as pd\ntable = {table}\ntable",
             'display(table.rename(index={"pretraining": "finetuning"}), "a text")\nNone', "7")
    assert launch.main([str(toy)]) == 0
    out = capsys.readouterr().out
    assert out.count("pretraining  3 days") == out.count("finetuning  3 days") == times
    assert out.count("toy: starting\n2 processes\n") == times and len(out.splitlines()) == 6 * times


def test_a_script_has_the_values_that_were_given(toy, several, capsys):  # noqa: F811
    several("0")
    typed = PARAMETERS.replace("ratio = 7 ", "ratio: float = 7")
    notebook(toy, "import dataclasses, pickle\n@dataclasses.dataclass\nclass Seen:\n    ratio: float\n"
             "assert pickle.loads(pickle.dumps(Seen(ratio))) == Seen(ratio)\n"
             "print(seed, ratio, wildlife)\nratio = 3\nprint(ratio)")
    file = toy.with_suffix(".py")
    file.write_text(file.read_text().replace(PARAMETERS, typed))
    assert launch.main([str(toy), "ratio=inf", "seed=2"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["2 inf chorus", "3"]  # only the parameters' cell is changed


def test_an_error_of_a_script_is_a_traceback_and_one_line(toy, several, capsys):  # noqa: F811
    several("1")
    notebook(toy, "1\nint('x')")
    assert launch.main([str(toy)]) == 1
    said = capsys.readouterr().err.splitlines()
    line = toy.with_suffix(".py").read_text().splitlines().index("int('x')") + 1
    assert f'"{toy.with_suffix(".py")}", line {line}' in "".join(said)
    assert said[-1] == "toy: invalid literal for int() with base 10: 'x'"
    for word in ("output=x.ipynb", "timeout=3"):
        assert launch.main([str(toy), word]) == 2 and "for a run by one process" in capsys.readouterr().err
    toy.with_suffix(".py").unlink()
    assert launch.main([str(toy)]) == 2 and "toy.py, which is run as a script, is missing" in capsys.readouterr().err


@pytest.mark.parametrize("cell", ["1", "from lib.runs import record\nraise record.Recorded('seed=0')"])
def test_processes_that_end_well_part_in_good_order(toy, several, cell):  # noqa: F811
    """Else, in about one of two ends, gloo's threads abort them: exit code 1, with everything done."""
    several("0")
    notebook(toy, "import torch\ntorch.distributed.init_process_group('gloo', store=torch.distributed.HashStore(), "
             f"rank=0, world_size=1)\n{cell}")
    assert launch.main([str(toy)]) == 0
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_asked_to_stop_lets_its_notebook_save(toy, tmp_path, number):  # noqa: F811
    kernel = "open(f'{folder}/kernel', 'w').write(str(os.getpid()))"
    notebook(toy, f"folder = {str(tmp_path)!r}\nimport os\n{kernel}{SAVES}")
    process = subprocess.Popen([sys.executable, "-m", "lib.runs", str(toy)], cwd=paths.ROOT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    wait_for((tmp_path / "waits0").exists)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 130 and said[-1] == "stopped; the same command goes on", said
    assert (tmp_path / "saved0").exists() and not any("Traceback" in line for line in said)
    assert not psutil.pid_exists(int((tmp_path / "kernel").read_text()))


def test_what_a_notebook_prints_is_seen_at_once_and_its_end_once(toy, tmp_path):  # noqa: F811
    waits = f"import time\nwhile not os.path.exists({str(tmp_path / 'seen')!r}):\n    time.sleep(0.1)"
    notebook(toy, f"import os, sys\nprint('pretraining: step 1 of 2', file=sys.stderr)\n{waits}",
             "print('right on test')\nprint('record: toy/x.json')")
    process = subprocess.Popen([sys.executable, "-m", "lib.runs", str(toy)], cwd=paths.ROOT, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "pretraining: step 1 of 2\n"  # while the notebook runs
    (tmp_path / "seen").touch()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and not err, err
    said = out.splitlines()
    assert said[0].endswith(": starting") and said[1].startswith("notebook -> ")
    assert [line.split(": ")[0] for line in said[2:]] == ["right on test", "record", "notebook"]


# What is said and checked before anything heavy is imported

def test_the_launcher_speaks_before_the_imports(toy):  # noqa: F811
    absent = "import sys\nsys.modules.update(dict.fromkeys(['torch', 'pandas', 'papermill', 'joblib']))"
    words = [str(toy), "ratio=7", "seed=2"]
    code = f"{absent}\nfrom lib.runs import launch\nlaunch.main({words!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True)
    assert done.stdout == "toy ratio=7 seed=2: starting\n"
    assert "import of " in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("said, gpu, meant", [("", True, "small"), ("", False, "tiny"), ("tiny", True, "tiny")])
def test_the_notebook_goes_where_its_record_goes(toy, monkeypatch, capsys, said, gpu, meant):  # noqa: F811
    monkeypatch.setenv("STUDY_SCALE", said)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    asked = []
    monkeypatch.setattr(launch, "_papermill", lambda *given: asked.append(given[2]) or 0)
    assert launch.main([str(toy)]) == 0
    assert asked == [record.folder(meant) / "toy" / f"seed=0,scale={meant},data=chorus.ipynb"]
    assert capsys.readouterr().out == f"toy: starting\nnotebook -> {os.path.relpath(asked[0])}\n"


@pytest.mark.parametrize("word, said", [
    ("ratio=seven", "ratio is 'seven': it must be a number"),
    ("ratio=-1", "ratio is -1: it must be a number from 0 (wildlife only) up, such as 0.5 or 7, or inf (general only)"),
    ("scale=smol", "scale is 'smol': it must be one of smoke, tiny, small, paper or auto, did you mean smoke?"),
    ("budget=sweeps", "budget is 'sweeps': it must be one of none, main, sweep, or a number of clips"),
    ("seed=x", "seed is 'x': it must be a whole number from 0 up"), ("seed=-1", "seed is '-1': it must be a whole"),
    ("seed=1.5", "seed is '1.5': it must be a whole number"), ("05 seed=0 seed=1", "seed is given twice"),
    ("timeout=-5", "timeout is -5: it must be seconds"), ("output=a_{.ipynb", "output is 'a_{.ipynb': "),
    ("04 preset=audiomea",
     "preset is 'audiomea': it must be one of study, audiomae, paper or lora, did you mean audiomae?"),
    ("06 equal_steps=maybe", "equal_steps is 'maybe': it must be true or false"),
    ("04 init=birdmay", "did you mean birdmae?"), ("07 filter=confidenc", "did you mean confidence?"),
    ("08 model=209", "model is '209': it must be one of "), ("12 method=freeze", "did you mean frozen?")])
def test_a_wrong_value_is_refused_before_a_kernel_starts(tmp_path, monkeypatch, capsys, word, said):
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path))
    monkeypatch.setattr(launch, "_papermill", lambda *_: pytest.fail("a kernel was to start"))
    assert launch.main(word.split() if " " in word else ["05", word]) == 2
    line, = capsys.readouterr().err.splitlines()
    assert said in line


def test_what_the_environment_says_is_checked_too(toy, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setenv("STUDY_SCALE", "smal")
    assert launch.main([str(toy)]) == 2
    assert capsys.readouterr().err.startswith("STUDY_SCALE is 'smal': it must be one of")


@pytest.mark.parametrize("name, meant", [
    ("05", "05_mix_ratio"), ("05_mix", "05_mix_ratio"), ("05_mix_ratio", "05_mix_ratio"),
    ("1", "is the beginning of 10_looking_inside, 11_results, 12_your_recordings, 13_break_the_mae, "
          "14_long_recordings, 15_what_to_label"),
    ("05_mix_ration", "did you mean 05_mix_ratio?"), ("", "there is no notebook ''")])
def test_a_notebook_is_known_by_the_beginning_of_its_name(name, meant):
    if meant == "05_mix_ratio":
        assert record.notebook_path(name).stem == meant
    else:
        with pytest.raises(ValueError, match=re.escape(meant)):
            record.notebook_path(name)


TYPED = """# general clips per wildlife clip: 0 is wildlife only,
# and "inf" general only
ratio: float = 7  # the mix
scale: str = "auto"
seed = -1
later: int
"""


@pytest.mark.parametrize("suffix", [".py", ".ipynb"])
def test_defaults_are_read_with_their_types_or_without(tmp_path, suffix):
    cells = [nbformat.v4.new_code_cell(TYPED, metadata={"tags": ["parameters"]}),
             nbformat.v4.new_code_cell("ratio = 3")]
    if suffix == ".py":
        text = f'# %% [markdown]\n# text\n\n# %% tags=["parameters"]\n{TYPED}\n# %%\nratio = 3\n'
        (tmp_path / "typed.py").write_text(text)
    else:
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "typed.ipynb")
    assert record.defaults_of(tmp_path / "typed.ipynb") == {"ratio": 7, "scale": "auto", "seed": -1}


def test_papermill_shows_the_types(tmp_path):
    cells = [nbformat.v4.new_code_cell(TYPED.replace("later: int\n", ""), metadata={"tags": ["parameters"]})]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), tmp_path / "typed.ipynb")
    shown = papermill.inspect_notebook(tmp_path / "typed.ipynb")
    assert shown["ratio"] == {"name": "ratio", "inferred_type_name": "float", "default": "7", "help": "the mix"}
    assert shown["seed"]["inferred_type_name"] == "None"  # what --help-notebook calls an unknown type


def test_the_face_fetches_its_names_when_they_are_used():
    code = ("import sys; from lib import runs; assert 'torch' not in sys.modules and 'pandas' not in sys.modules; "
            "assert {'scale', 'records'} <= set(dir(runs)); runs.SCALES; assert 'torch' in sys.modules")
    assert subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT).returncode == 0
    assert all(hasattr(runs, name) for name in runs.__all__)
    assert runs.scale is scales.scale and runs.records is record.records


def test_a_notebook_loads_what_a_launched_run_left(tmp_path, monkeypatch):
    """05 at smoke: by two processes, and then opened as a notebook, which finds all models."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path / "records"))
    words = ["ratio=7", "scale=smoke", "budget=sweep"]
    for seed, pool in enumerate(("wildlife", "general")):
        tones(tmp_path / pool, train=8, seed=seed).to_csv(tmp_path / f"{pool}.csv", index=False)
        words += [f"{pool}=folder:{tmp_path}/{pool}.csv"]
    path = tmp_path / "notebooks" / "05_mix_ratio.ipynb"
    path.parent.mkdir()
    shutil.copy(build.FOLDER / "05_mix_ratio.py", path.parent)
    nbformat.write(build.source(build.FOLDER / "05_mix_ratio.py"), path)
    done = accelerated(path, *words)
    assert done.returncode == 0, done.stderr
    file, = (tmp_path / "records" / "05_mix_ratio").glob("*.json")
    launched = json.loads(file.read_text())
    file.unlink()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.safetensors")}
    assert len(before) == 2  # of the encoder and the classifier
    done = call(path, *words)
    assert done.returncode == 0, done.stderr
    opened = json.loads(file.read_text())
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.safetensors")} == before
    assert opened["metrics"] == launched["metrics"]
    assert opened["answers"] == launched["answers"]
