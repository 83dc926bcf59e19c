"""Several processes are one run: the same draws, the same losses to rounding, one checkpoint that any number of them
goes on from."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toys import tones

from lib import paths, sampler

SCRIPT = """
import json, os, sys
from dataclasses import replace
from pathlib import Path
import pandas as pd
import torch
from toys import ARCH, FRONT, tones
from lib import data, hardware, pretrain, training
from lib.transfer import finetune
torch.cpu._is_avx512_bf16_supported = lambda: False  # float32, so that equal means equal

what, tables, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
wildlife, general = (pd.read_json(tables / f"{name}.json") for name in ("wildlife", "general"))
acc, drawn, read = hardware.accelerator(), [], data.Clips.pieces
data.Clips.pieces = lambda self, draw: (drawn.append([draw.number, draw.row]), read(self, draw))[1]
if what.startswith("stop"):  # after so many steps
    save = training.States._save
    training.States._save = lambda *a: save(*a) or a[1] < int(what[4:]) or os._exit(9)
    training.SAVE_EVERY_S = 0.0
if what == "proxy":
    from lib.transfer import mobilenet
    labels = sorted(wildlife["label"].unique())
    done = mobilenet.train(FRONT, wildlife, mobilenet.Recipe("small_050", epochs=1, batch=16, lr=0.02), labels)
    more = {}
elif what in ("finetune", "frequency"):
    recipe = finetune.Recipe(epochs=4, batch=6, lr=1e-3, drop_path=0.0, evaluate=2,
                             readout="fc_norm" if what == "finetune" else what)
    done = finetune.finetune(None, ARCH, FRONT, wildlife, recipe)
    seen = finetune.predict(done.model, FRONT, wildlife[wildlife["split"] == "val"], done.labels)
    more = {"looks": done.looks["top1"].tolist(), "probabilities": seen.probabilities.tolist()}
else:
    micro_batch = 3 if what == "parts" else 0
    recipe = pretrain.Recipe(clips=16 * 12, batch=16, micro_batch=micro_batch, lr=1e-3, ratio=3.0, mask_ratio=0.75)
    done = pretrain.pretrain(replace(ARCH, decoder="window"), FRONT, recipe, wildlife, general)
    more = {}
weights = [float(p.double().abs().sum()) for p in done.model.state_dict().values()]
found = {"log": done.log["loss"].tolist(), "drawn": drawn, "weights": weights} | more
(out / f"{acc.process_index}.json").write_text(json.dumps(found))
if torch.distributed.is_initialized():
    torch.distributed.destroy_process_group()  # as `launch.script`: else gloo's threads may abort at the very end
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    root = tmp_path_factory.mktemp("tables")
    for seed, name in enumerate(("wildlife", "general")):
        tones(root / name, 6, 2, 2, seed=seed).to_json(root / f"{name}.json")
    return root


def run(what: str, processes: int, tables: Path, folder: Path, cache: Path | None = None) -> list[dict]:
    """What each process wrote down; nothing, if it was to be killed."""
    folder.mkdir()
    (folder / "script.py").write_text(SCRIPT)
    # what accelerate launch calls on GPUs
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    found = os.pathsep.join([str(Path(__file__).parents[1]), str(paths.ROOT), *sys.path])
    environment = os.environ | {"PYTHONPATH": found, "OMP_NUM_THREADS": "1",
                                "ACCELERATE_USE_CPU": "1", "STUDY_CACHE": str(cache or folder / "cache")}
    done = subprocess.run([sys.executable, *(launch if processes > 1 else []), str(folder / "script.py"), what,
                           str(tables), str(folder)],
                          env=environment, capture_output=True, text=True, timeout=180)
    found = [folder / f"{rank}.json" for rank in range(processes)]
    if what.startswith("stop"):
        assert done.returncode, "it was to be killed"
        return []
    assert done.returncode == 0, done.stderr
    return [json.loads(file.read_text()) for file in found]


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)


def test_pretraining_by_two_is_pretraining_by_one(tables, tmp_path):
    (one,), two = run("pretrain", 1, tables, tmp_path / "one"), run("pretrain", 2, tables, tmp_path / "two")
    assert two[0]["log"] == two[1]["log"] and two[0]["weights"] == two[1]["weights"]
    close(two[0]["log"], one["log"])
    close(two[0]["weights"], one["weights"])
    assert len(set(one["log"])) == 12
    shares = [{tuple(draw) for draw in process["drawn"]} for process in two]
    assert not shares[0] & shares[1] and shares[0] | shares[1] == {tuple(draw) for draw in one["drawn"]}
    wildlife = sum(split == "train" for split in ["train"] * 18)  # rows of the general pool come after these
    counts = np.array([[row >= wildlife for _, row in sorted(one["drawn"])][i * 16 : i * 16 + 16]
                       for i in range(12)]).sum(1)
    assert (counts == 12).all()  # 3 : 1 exactly, in every batch


def test_processes_may_go_through_their_shares_in_different_parts(tables, tmp_path):
    (one,), two = run("pretrain", 1, tables, tmp_path / "one"), run("parts", 2, tables, tmp_path / "two")
    close(two[0]["log"], one["log"])
    assert two[0]["weights"] == two[1]["weights"]


def test_the_proxy_by_two_is_by_one(tables, tmp_path):
    (one,), two = run("proxy", 1, tables, tmp_path / "one"), run("proxy", 2, tables, tmp_path / "two")
    np.testing.assert_allclose(two[0]["log"], one["log"], rtol=1e-3)
    assert two[0]["log"] == two[1]["log"]


def test_a_run_of_two_that_was_killed_is_gone_on_with_by_one(tables, tmp_path):
    (whole,) = run("pretrain", 1, tables, tmp_path / "whole")
    cache = tmp_path / "cache"
    run("stop5", 2, tables, tmp_path / "killed", cache)
    (resumed,) = run("pretrain", 1, tables, tmp_path / "resumed", cache)
    assert min(number for number, _ in resumed["drawn"]) >= 5 * 16  # it did go on
    close(resumed["log"], whole["log"])
    close(resumed["weights"], whole["weights"])


def test_finetuning_and_predicting_by_two_is_by_one(tables, tmp_path):
    (one,), two = run("finetune", 1, tables, tmp_path / "one"), run("finetune", 2, tables, tmp_path / "two")
    assert two[0]["log"] == two[1]["log"] and two[0]["probabilities"] == two[1]["probabilities"]
    close(two[0]["log"], one["log"])
    close(two[0]["looks"], one["looks"])
    np.testing.assert_allclose(np.array(two[0]["probabilities"])[:, :3], np.array(one["probabilities"])[:, :3],
                               atol=1e-4)


def test_two_processes_with_a_batch_norm_have_one_model(tables, tmp_path):
    (one,), two = run("frequency", 1, tables, tmp_path / "one"), run("frequency", 2, tables, tmp_path / "two")
    for what in ("log", "looks", "weights", "probabilities"):
        assert two[0][what] == two[1][what]
    np.testing.assert_allclose(two[0]["log"], one["log"], atol=0.3)  # each norms its own share of a batch
    assert two[0]["log"] != one["log"]


def test_too_many_processes_for_the_last_batch_are_refused_at_once():
    mixture = sampler.Mixture(10, 0, 0.0, 16, 16 * 3 + 2, 0)
    with pytest.raises(ValueError,
                       match="the last batch of this run holds 2 clips, too few for 2 processes: start fewer"):
        next(mixture.batches(0, 1, 2))
    assert sum(len(batch) for batch in mixture.batches()) == 50
