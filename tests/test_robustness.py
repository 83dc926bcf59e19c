"""What happens to long runs: killed while chorus is made, a full disk for real, a kernel that is interrupted. The
result is that of a quiet run."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from jupyter_client.manager import start_new_kernel
from toys import ARCH, FRONT, tones

from lib import mae, paths, pretrain, training
from lib.sources import chorus
from lib.transfer import finetune, probe


def wait_for(happened, seconds=300.0):
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.002)


def elsewhere(cache: Path) -> dict[str, str]:
    found = os.pathsep.join([str(paths.ROOT), str(Path(__file__).parent), *sys.path])
    return {**os.environ, "STUDY_CACHE": str(cache), "OMP_NUM_THREADS": "1", "PYTHONPATH": found}


# --------------------------------------------------------------------------------------------------------------- chorus

VICTIMS = """
import os, sys
from lib.sources import chorus
for _ in range(3):  # one import for all
    victim = os.fork()
    if not victim:
        chorus.make("general", "smoke", progress=False, workers=1)
        os._exit(0)
    print(victim, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(victim, 0)[1]), flush=True)
"""
WORKERS = "from lib.sources import chorus\nchorus.MANY = 1\nchorus.make('general', 'smoke', progress=False, workers=2)"


def digests(folder: Path) -> dict[str, str]:
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.rglob("*") if f.is_file()
            and f.name != ".lock"}


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """What chorus makes when nothing happens: name -> sha256."""
    cache = tmp_path_factory.mktemp("quiet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDY_CACHE", str(cache))
        chorus.make("general", "smoke", progress=False, workers=1)
    return digests(cache)


def made(cache: Path) -> int:
    return len([f for f in cache.rglob("general_*.wav") if not f.name.startswith(".")])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_chorus_killed_at_three_moments_is_the_same_chorus(quiet, tmp_path, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", VICTIMS], env=elsewhere(tmp_path), stdout=subprocess.PIPE,
                          text=True) as parent:
        for count in (1, 9, 17):
            victim = int(parent.stdout.readline())
            wait_for(lambda: made(tmp_path) >= count)
            os.kill(victim, signal.SIGKILL)
            assert int(parent.stdout.readline()) == -signal.SIGKILL and made(tmp_path) < 24
    [folder] = (tmp_path / "chorus").iterdir()
    (folder / ".general_00020.0f0f0f0f.wav").write_bytes(b"half")  # what a kill leaves of `paths.atomic`
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    chorus.make("general", "smoke", progress=False, workers=1)
    assert digests(tmp_path) == quiet


def test_no_worker_of_chorus_outlives_a_killed_parent(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", WORKERS], env=elsewhere(tmp_path))
    wait_for(lambda: made(tmp_path) >= 2)
    workers = psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    assert workers and not psutil.wait_procs(workers, timeout=10)[1]


def test_a_script_without_a_main_guard_makes_chorus_alone(quiet, tmp_path):
    (tmp_path / "script.py").write_text(WORKERS)  # each worker runs it once more as it starts
    subprocess.run([sys.executable, tmp_path / "script.py"], env=elsewhere(tmp_path), timeout=300, check=True)
    assert digests(tmp_path / "chorus") == quiet


# ------------------------------------------------------------------------------------------------------------ full disk

@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("tones"), 6, 3, 2)


@contextmanager
def room(size: int):
    """No file may grow beyond that many bytes: writing on is an OSError, as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def weights(run) -> str:
    return hashlib.sha256(b"".join(v.numpy().tobytes() for v in run.model.state_dict().values())).hexdigest()


def pretrained(table):
    return pretrain.pretrain(ARCH, FRONT, pretrain.Recipe(clips=80, batch=8, lr=2e-3, ratio=0), table, table.iloc[:0])


def finetuned(table):
    return finetune.finetune(None, ARCH, FRONT, table, finetune.Recipe(epochs=4, batch=6, lr=3e-3), reuse=True)


def test_pretraining_without_room_keeps_its_last_state_and_goes_on(table, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "SAVE_EVERY_S", 0)
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "whole"))
    whole = pretrained(table)
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "full"))
    real = training.States._save

    def fills(states, step, state):
        with room(10_000 if step > 4 else 10**9):
            return real(states, step, state)

    with monkeypatch.context() as patch:
        patch.setattr(training.States, "_save", fills)
        with pytest.raises(OSError, match=r"state after step 10 could not be saved .*\[Errno 27\].* goes on from the "
                           r"state before") as error:
            pretrained(table)
    assert "\n" not in str(error.value) and "step 5 could not be saved" in capsys.readouterr().out
    [folder] = (tmp_path / "full" / "pretrained").iterdir()
    assert sorted(f.name for f in folder.iterdir()) == [".lock", "log.jsonl", "recipe.json", "state-4.pt"]
    assert len((folder / "log.jsonl").read_text().splitlines()) == 4
    assert torch.load(folder / "state-4.pt", weights_only=True)
    (folder / ".weights.0f0f0f0f.safetensors").write_bytes(b"half")  # what a kill leaves
    gone_on = pretrained(table)
    assert weights(gone_on) == weights(whole) and digests(folder) == digests(whole.folder)
    pd.testing.assert_frame_equal(gone_on.log, whole.log)


def test_finetuning_without_room_for_a_look_goes_on(table, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "whole"))
    whole = finetuned(table)
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "full"))
    with room(10_000), pytest.raises(OSError, match=r"could not be written .*free some space") as error:
        finetuned(table)
    assert "\n" not in str(error.value) and str(tmp_path / "full") in str(error.value)
    gone_on = finetuned(table)
    assert weights(gone_on) == weights(whole) and gone_on.looks.equals(whole.looks)
    assert digests(tmp_path / "full") == digests(tmp_path / "whole")


def test_features_and_chorus_without_room_are_made_again(quiet, table, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    model = mae.MAE(ARCH, training.generator(0))
    with room(10_000):
        with pytest.raises(OSError, match="features could not be written in .*free some space"):
            probe.features(model, FRONT, table)
        with pytest.raises(OSError, match=r"general_00000.wav could not be written .*free some space"):
            chorus.make("general", "smoke", progress=False, workers=1)
    boxes = "general_00000.json"  # of the file that was to be written next: whole, and written again
    assert not [f.name for f in tmp_path.rglob("*.*") if f.is_file() and f.name not in (".lock", boxes)]
    known = probe.features(model, FRONT, table)
    assert not known.cached and probe.features(model, FRONT, table).cached and len(known.tokens) == len(known.row)
    # 0.6 s: no window is padded
    np.testing.assert_allclose(known.tokens[:, 1:].astype(np.float32).mean(1), known.kinds["mean"], atol=2e-3)
    chorus.make("general", "smoke", progress=False, workers=1)
    assert digests(tmp_path / "chorus") == quiet


# --------------------------------------------------------------------------------------------------------------- kernel

CELLS = """
import json, time
from pathlib import Path
import test_robustness as toy
from lib import patches, training
real = patches.random_mask
training.SAVE_EVERY_S = 0
def slow(*arguments):
    flag.touch()
    time.sleep(0.02)
    return real(*arguments)
flag = Path({flag!r})
patches.random_mask = slow
table = toy.tones(Path({sounds!r}), 6, 0, 0)
def cell():
    recipe = toy.pretrain.Recipe(clips=400, batch=8, lr=2e-3)
    run = toy.pretrain.pretrain(toy.ARCH, toy.FRONT, recipe, table, table.iloc[:0])
    print(json.dumps([toy.weights(run), run.log["loss"].tolist()]))
"""


def test_an_interrupted_kernel_has_saved_and_lives_on(tmp_path):
    flag = tmp_path / "begun"
    manager, client = start_new_kernel(cwd=str(paths.ROOT), env=elsewhere(tmp_path / "cache"),
                                       stderr=subprocess.DEVNULL)
    said = []

    def look(message):
        content = message["content"]
        said.append(content.get("ename") or content.get("text", ""))

    def run(code):
        said.clear()
        client.execute_interactive(code, timeout=60, output_hook=look)
        return "".join(said)

    try:
        assert not run(CELLS.format(flag=str(flag), sounds=str(tmp_path / "sounds")))
        flag.unlink(missing_ok=True)
        asked = client.execute("cell()")
        wait_for(flag.exists)
        wait_for(lambda: any((tmp_path / "cache").rglob("state-*.pt")))  # a busy machine takes its time
        manager.interrupt_kernel()
        answer = client.get_shell_msg(timeout=60)
        assert answer["parent_header"]["msg_id"] == asked and answer["content"]["ename"] == "KeyboardInterrupt"
        states = list((tmp_path / "cache" / "pretrained").glob("*/state-*.pt"))  # two, if it was between new and old
        assert len(states) in (1, 2) and all(0 < int(state.stem.removeprefix("state-")) < 50 for state in states)
        run("patches.random_mask = real")
        gone_on, whole = (json.loads(run("cell()").splitlines()[-1]) for _ in range(2))  # the second begins anew
        assert gone_on == whole and not list((tmp_path / "cache").rglob("state-*"))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
