"""The papers' data sets by parameters alone: every experiment at `smoke` on miniatures of exactly their layouts."""

import json
import os
import subprocess
import sys

import layouts
import pytest

from lib import paths, sources
from lib.runs import record

EXPERIMENTS = {"03_linear_probe": {}, "04_finetuning": {"init": "audioset_ssl+inat_ssl"},
               "05_mix_ratio": {"ratio": "1"}, "06_label_fraction": {"fraction": "50%"},
               "07_data_curation": {"filter": "loss"}}


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return {"wildlife": f"inatsounds:{layouts.inatsounds(root / 'inatsounds')}",
            "general": f"audioset:{layouts.audioset(root / 'audioset')}"}


def test_the_miniatures_have_what_the_data_sets_have(pools):
    wild, gen = (sources.recordings(pools[pool], pool) for pool in record.POOLS)
    assert set(wild["split"]) == {"train", "val", "test"} and set(wild["evaluation"]) == {0, 1}
    assert wild["supercategory"].nunique() > 1
    held_out = wild[wild["split"] != "train"]
    assert set(held_out["label"]) < set(wild["label"])  # species of train only, as in iNatSounds
    assert held_out["evaluation"].eq(1).all()
    assert set(gen["split"]) == {"train", "test"} and gen["duration_s"].gt(0).all()


@pytest.mark.parametrize("notebook", EXPERIMENTS)
def test_a_notebook_runs_on_them(notebook, pools, tmp_path):
    words = [f"{k}={v}" for k, v in {"scale": "smoke", **pools, **EXPERIMENTS[notebook]}.items()]
    settings = os.environ | {"STUDY_CACHE": str(tmp_path / "cache"), "STUDY_RUNS": str(tmp_path / "runs")}
    done = subprocess.run([sys.executable, "-m", "lib.runs", notebook, *words], cwd=paths.ROOT, env=settings,
                          capture_output=True, text=True, timeout=300)
    assert not done.returncode, done.stderr
    (file,) = (tmp_path / "runs" / notebook).glob("*.json")
    kept = json.loads(file.read_text())
    assert [kept["data"][pool]["name"].rpartition("-")[0] for pool in record.POOLS] == ["inatsounds", "audioset"]
    assert 0 <= kept["metrics"]["top1"]["value"] <= 1
    assert str(tmp_path.parent) not in file.read_text()  # no path of this machine
