import json
import math
import subprocess
import sys

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

from lib import metrics, paths, runs
from lib.runs import launch, provenance, record
from lib.sources import chorus
from lib.transfer import starts

PARAMETERS = """scale = "auto"      # how much to compute
seed = 0            # of the training
wildlife = "chorus" # recordings that carry labels
ratio = 7           # general clips per wildlife clip
sleep_s = 0.0       # seconds to wait, for tests
"""
BODY = """import time
import pandas as pd
from lib import runs
share = runs.parse_ratio(ratio)
if wildlife == "none":
    raise RuntimeError("no\\n wildlife")
table = pd.DataFrame({"file": ["a.wav", "b.wav"], "label": ["x", "y"], "split": ["train", "test"]})
run = runs.start(NOTEBOOK, {"wildlife": table}, scale=scale, seed=seed, wildlife=wildlife, ratio=ratio, sleep_s=sleep_s)
time.sleep(sleep_s)
run.record({"top1": 0.25 + seed / 100}, samples_seen=10, paper=runs.paper("mix_ratio", share));
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A notebook that takes parameters and leaves a record, in a folder of its own; records go beside it."""
    path = tmp_path / "notebooks" / "toy.ipynb"
    path.parent.mkdir()
    cells = [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
             nbformat.v4.new_code_cell(f"NOTEBOOK = {str(path)!r}\n" + BODY)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path / "records"))
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STUDY_SCALE", "tiny")
    return path


def call(*words):
    return subprocess.run([sys.executable, "-m", "lib.runs", *map(str, words)], cwd=paths.ROOT, capture_output=True,
                          text=True, timeout=120)


FIVE = dict(ratio=7, scale="tiny", seed=0, data_seed=0, wildlife="chorus", general="chorus", preset="study",
            subtract="median", budget="sweep", pretraining_seed=-1)


def given(**changed):
    """All parameters of the toy, as its parameters cell has them but for some."""
    return {"scale": "auto", "seed": 0, "wildlife": "chorus", "ratio": 7, "sleep_s": 0.0} | changed


# Scales and values

def test_auto_is_what_the_environment_says_and_a_name_always_wins(monkeypatch):
    monkeypatch.setenv("STUDY_SCALE", "small")
    assert runs.scale("auto").name == "small" and runs.scale("paper").name == "paper"
    for said in ("", None):
        monkeypatch.setenv("STUDY_SCALE", said) if said is not None else monkeypatch.delenv("STUDY_SCALE")
        for gpu, name in ((False, "tiny"), (True, "small")):
            monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
            assert runs.scale().name == name
    with pytest.raises(ValueError, match="scale is 'huge': it must be one of smoke, tiny, small, paper or auto"):
        runs.scale("huge")
    monkeypatch.setenv("STUDY_SCALE", "auto")
    with pytest.raises(ValueError, match="STUDY_SCALE is 'auto'"):
        runs.scale("auto")


def test_scales_fit_together():
    for scale in runs.SCALES.values():
        assert scale.batch % 16 == 0 and scale.pretrain_clips >= scale.batch  # 15:1 is exact in every batch
    assert runs.scale("tiny").arch() == starts.READY_ARCH  # the ready weights are the end of its budget curve


def test_small_is_a_t4_s_ten_minutes():
    small = runs.scale("small")
    assert small.pretrain_clips >= 300_000 and small.sweep_clips >= 1_000_000
    train = int(chorus.species(small.chorus)["train"].sum())
    assert small.finetune_epochs * train / small.finetune_batch >= 2_000  # steps


@pytest.mark.parametrize("word, ratio", [(7, 7), ("7", 7), ("0.5", .5), (0, 0), ("inf", math.inf),
                                         (math.inf, math.inf)])
def test_ratio(word, ratio):
    assert runs.parse_ratio(word) == ratio


@pytest.mark.parametrize("word", [-1, "-1", "banana", "nan", math.nan, "", None, True, [7], "-inf"])
def test_wrong_ratio_is_one_clear_line(word):
    with pytest.raises(ValueError, match="ratio is .* it must be a number from 0") as error:
        runs.parse_ratio(word)
    assert "\n" not in str(error.value)


# Names and records

def test_a_name_follows_from_the_parameters():
    defaults = {"scale": "auto", "seed": 0, "data_seed": 0, "wildlife": "chorus", "general": "chorus", "ratio": 7}
    def name(pools=("chorus", "chorus"), **changed):
        return record.name_of("05_mix_ratio", {**defaults, "scale": "tiny", **changed}, defaults,
                              {k: {"name": n} for k, n in zip(("wildlife", "general"), pools)}, ("ratio",))
    assert name() == "ratio=7,seed=0,scale=tiny,data=chorus"
    assert name(ratio="inf", data_seed=3) == "ratio=inf,seed=0,scale=tiny,data=chorus,data_seed=3"
    both = name(pools=("frogs-1a2b3c", "general-4d5e6f"))
    assert both == "ratio=7,seed=0,scale=tiny,data=frogs-1a2b3c+general-4d5e6f"


def test_a_folder_is_named_without_its_place():
    for place in ("../shared/frogs", "/somewhere/frogs/", "C:\\sounds\\frogs", "~/frogs/metadata.csv", "x/frogs.csv"):
        assert record.base(f"folder:{place}") == "frogs"
    assert record.base("chorus") == "chorus"


def test_a_table_hash_knows_content_not_place_or_order():
    def table(root, labels=("x", "y")):
        return pd.DataFrame({"file": [f"{root}/a.wav", f"{root}/sub/b.wav"], "label": labels, "split": "train"})
    ours = record.table_hash(table("/here"))
    assert ours == record.table_hash(table("/over/there").iloc[::-1]) and len(ours) == 6
    assert ours != record.table_hash(table("/here", ("x", "z")))


def test_other_settings_of_a_generator_are_other_recordings(toy):
    table = pd.DataFrame({"file": ["a.wav"], "label": ["x"], "split": ["train"]})  # one table, three sounds
    started = {world: runs.start(str(toy), {"wildlife": table}, **given(seed=0, wildlife=world))
               for world in ("chorus", "chorus:empty=0.2", "chorus:empty=0.6")}
    rows = pd.DataFrame([{**run.parameters, "budget": "sweep", "data.wildlife.hash": run.data["wildlife"]["hash"]}
                         for run in started.values()])
    for run in started.values():
        assert runs.beside(rows, run)["wildlife"].tolist() == [run.data["wildlife"]["name"]]
    here, there = (runs.start(str(toy), {"wildlife": table}, **given(seed=0, wildlife=f"folder:{place}/a=b"))
                   for place in ("/here", "/there"))
    assert here.data["wildlife"]["hash"] == there.data["wildlife"]["hash"] == started["chorus"].data["wildlife"]["hash"]


def test_plain_values_are_strict_json(tmp_path):
    scores = metrics.score(np.eye(3)[[0, 1, 2, 2]], np.array([0, 1, 2, 0]), np.random.default_rng(0))
    plain = paths.plain({"s": scores, "inf": math.inf, "nan": np.float32("nan"), "seven": 7.0, "n": np.int64(3)})
    assert plain["inf"] == "inf" and plain["nan"] is None and repr(plain["seven"]) == "7" and plain["n"] == 3
    assert plain["s"]["recall"]["share"] == [.5, 1, 1]
    paths.write_json(tmp_path / "x.json", plain)
    with pytest.raises(ValueError, match="infinity by"):
        paths.write_json(tmp_path / "y.json", {"x": math.inf})
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]              # whole or absent


def test_a_record_is_found_again(toy, monkeypatch):
    table = pd.DataFrame({"file": ["/far/frogs/a.wav"], "label": ["x"], "split": ["test"], "duration_s": [3.]})
    far = given(seed=1, wildlife="folder:/far/frogs", ratio="inf")
    run = runs.start(str(toy), {"wildlife": table}, **far)
    path = run.record({"top1": metrics.Interval(.4, .3, .5)}, samples_seen=5,
                      paper=runs.paper("mix_ratio", math.inf))
    text = path.read_text()
    assert "Infinity" not in text and "/far" not in text and path.parent.name == "toy"
    stored = json.loads(text)
    assert path.name == f"seed=1,scale=tiny,data=frogs-{record.table_hash(table)},ratio=inf.json"
    assert stored["parameters"]["ratio"] == "inf" and stored["paper"]["top1"] == 60.2
    assert stored["version"] == runs.VERSION
    said = "top-1 40.0 % [30.0, 50.0] on val; paper (liu2026, Table 4, val): top1 60.2, top5 80.2"
    assert said in runs.headline(stored)
    found = runs.records("toy")
    assert found.loc[0, "ratio"] == math.inf and found.loc[0, "top1.value"] == .4 and found.loc[0, "scale"] == "tiny"
    runs.start(str(toy), {"wildlife": table}, **far)                       # by hand: always runs
    monkeypatch.setenv("STUDY_SKIP_RECORDED", "1")                         # in a sweep: not twice
    with pytest.raises(record.Recorded):
        runs.start(str(toy), {"wildlife": table}, **far)
    runs.start(str(toy), {"wildlife": table.assign(label="z")}, **far)     # unless the data changed
    monkeypatch.setattr(record, "VERSION", 99)                            # or results would
    runs.start(str(toy), {"wildlife": table}, **far)
    assert runs.records("toy").empty


def test_a_run_names_every_parameter(toy):
    with pytest.raises(ValueError, match="toy: a run is named after its parameters: give wildlife, sleep_s too"):
        runs.start(str(toy), {}, scale="tiny", seed=0, ratio=1)
    with pytest.raises(ValueError, match="toy has no parameter 'ration', did you mean ratio"):
        runs.start(str(toy), None, **given(ration=1))
    shown = {name: value for name, value in record.defaults_of(record.notebook_path("04_finetuning")).items()
             if name not in record.SHOWN}
    run = runs.start("04_finetuning", None, **shown | {"scale": "tiny"})   # what is only shown need not be given
    assert run.parameters == shown | {"scale": "tiny"}
    assert runs.start("04_finetuning", None, **shown | {"scale": "tiny", "max_hours": 9.0}).name == run.name


def test_files_of_weights_are_recorded_by_their_names(toy):
    defaults = {name: value for name, value in record.defaults_of(record.notebook_path("07")).items()
                if name not in record.SHOWN}
    run = runs.start("07", None, **defaults | {"scale": "tiny", "proxy_weights": "/far/away/mobile.pth"})
    assert run.parameters["proxy_weights"] == "mobile.pth" and run.name.endswith(",proxy_weights=mobile.pth")
    assert runs.start("07", None, **defaults | {"scale": "tiny"}).parameters["proxy_weights"] == ""


def test_a_record_says_what_it_was_computed_with(toy, capsys, monkeypatch):
    for git in ("abc", "abc-dirty"):
        monkeypatch.setattr(record.provenance, "commit", lambda: git)
        run = record.Run("toy", git, given(scale="tiny"), {}, record.folder("tiny"), git=git)
        stored = json.loads(run.record({}, samples_seen=1).read_text())
        assert stored["git"] == git and stored["machine"]["processor"] and stored["threads"] >= 1
        assert stored["machine"]["precision"] in ("float32", "bf16", "fp16") and "gpu" in stored["machine"]
        assert list(stored["versions"]) == ["python", "torch", "timm", "accelerate", "numpy"]
        assert ("uncommitted changes" in capsys.readouterr().out) == (git == "abc-dirty")
    assert len(runs.records("toy")) == 2 and runs.records("toy", committed=True)["git"].tolist() == ["abc"]
    del stored["machine"]                                                  # as records of before have it
    paths.write_json(record.folder("tiny") / "toy" / "abc-dirty.json", stored)
    assert len(runs.records("toy", committed=True)) == 2


def test_a_tree_is_dirty_by_its_code_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert provenance.commit() is None
    for name in ("lib/a.py", "notebooks/b.py", "notebooks/b.ipynb", "papermill_runs/c.json"):
        paths.write_text(tmp_path / name, "old")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", tmp_path]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    clean = provenance.commit()
    assert len(clean) == 40
    for name in ("notebooks/b.ipynb", "papermill_runs/c.json", "papermill_runs/d.json"):  # what runs write
        paths.write_text(tmp_path / name, "new")
    assert provenance.commit() == clean
    for name in ("lib/a.py", "lib/new.py", "notebooks/b.py"):
        before = (tmp_path / name).read_text() if (tmp_path / name).exists() else None
        paths.write_text(tmp_path / name, "new")
        assert provenance.commit() == f"{clean}-dirty"
        (tmp_path / name).write_text(before) if before else (tmp_path / name).unlink()


def test_a_record_from_before_there_was_another_recipe_is_of_the_first(toy):
    path = runs.start("05_mix_ratio", {}, **FIVE).record({"top1": 0.25}, samples_seen=1)
    old = json.loads(path.read_text())
    assert (old["parameters"].pop("subtract"), old["parameters"].pop("preset")) == ("median", "study")
    paths.write_json(path, old)
    assert runs.records("05_mix_ratio")[["preset", "subtract"]].values.tolist() == [["audiomae", "none"]]
    first = {**FIVE, "subtract": "none", "preset": "audiomae"}
    assert [bool(r) for r in record.recorded(record.notebook_path("05"), [FIVE, first])] == [False, True]


def test_a_record_that_lacks_a_parameter_had_its_default(toy, monkeypatch):
    path = runs.start("05_mix_ratio", {}, **FIVE).record({"top1": 0.25}, samples_seen=1)
    old = json.loads(path.read_text())
    assert old["parameters"].pop("data_seed") == 0 and "data_seed" not in path.name
    paths.write_json(path, old)                                            # as before the notebook had it
    assert runs.records("05_mix_ratio")["data_seed"].tolist() == [0]
    asked = [{**FIVE, "data_seed": data_seed} for data_seed in (0, 1)]
    assert [bool(r) for r in record.recorded(record.notebook_path("05"), asked)] == [True, False]
    monkeypatch.setenv("STUDY_SKIP_RECORDED", "1")
    with pytest.raises(record.Recorded):
        runs.start("05_mix_ratio", {}, **FIVE)
    assert "preset=paper" in runs.start("05_mix_ratio", {}, **{**FIVE, "preset": "paper"}).name


def test_smoke_leaves_nothing_among_the_records(monkeypatch):
    monkeypatch.delenv("STUDY_RUNS", raising=False)
    assert not record.folder("smoke").is_relative_to(paths.ROOT)
    assert record.folder("tiny") == paths.ROOT / "papermill_runs"


def test_smoke_is_not_among_the_records(toy):
    table = pd.DataFrame({"file": ["a.wav"], "label": ["x"], "split": ["test"]})
    run = runs.start(str(toy), {"wildlife": table}, **given(scale="smoke", ratio=0.5))
    path = run.record({}, samples_seen=1)
    assert path.exists() and "scale=smoke" in path.name and runs.records("toy").empty


def test_a_broken_record_is_named(toy, tmp_path):
    folder = tmp_path / "records" / "toy"
    folder.mkdir(parents=True)
    (folder / "ratio=1.json").write_text("{")
    with pytest.raises(ValueError, match="ratio=1.json in toy is not a run record"):
        runs.records("toy")


def test_a_kill_in_the_middle_of_writing_leaves_the_old_record(toy, tmp_path):
    folder = tmp_path / "records" / "toy"
    row = {"notebook": "toy", "name": "x", "version": runs.VERSION, "parameters": {"ratio": 1}, "metrics": {}}
    paths.write_json(folder / "x.json", row | {"scale": "tiny", "data": {}})
    killed = "import os, signal; from lib import paths; os.replace = lambda *a: os.kill(os.getpid(), signal.SIGKILL); "
    killed += f"paths.write_json({str(folder / 'x.json')!r}, {{}})"
    done = subprocess.run([sys.executable, "-c", killed], cwd=paths.ROOT)
    assert done.returncode != 0 and len(list(folder.glob(".x.*.json"))) == 1  # what was being written, hidden
    assert runs.records("toy")["ratio"].tolist() == [1]


def test_a_record_that_finds_no_room_is_one_line_and_leaves_the_old_one(toy):
    resource = pytest.importorskip("resource")
    table = pd.DataFrame({"file": ["a.wav"], "label": ["x"], "split": ["test"]})
    run = runs.start(str(toy), {"wildlife": table}, **given(ratio=1))
    path = run.record({"top1": 0.5}, samples_seen=1)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="could not be written .*: make room and run again") as error:
            run.record({"top1": 0.6}, samples_seen=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1


def test_what_of_a_grid_is_recorded(toy, tmp_path, capsys):
    table = pd.DataFrame({"file": ["/far/frogs/a.wav"], "label": ["x"], "split": ["test"]})
    frogs, toads = "folder:/far/frogs", "folder:/far/toads"
    for ratio, source in ((1, frogs), ("inf", frogs), (3, toads), (7, "chorus")):
        run = runs.start(str(toy), {"wildlife": table}, **given(scale="tiny", wildlife=source, ratio=ratio))
        run.record({}, samples_seen=1)
    plan = tmp_path / "toy.sweep.json"
    described = {"notebook": str(toy), "grid": {"ratio": [1, 3, "inf", 7]}, "fixed": {"wildlife": "folder:/near/frogs"}}
    plan.write_text(json.dumps(described))
    capsys.readouterr()
    assert launch.main(["sweep", str(plan), "list=missing"]) == 0 and capsys.readouterr().out == "1,3\n"
    assert launch.main(["sweep", str(plan), "list=all"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split() for line in said[1:3]] == [["1", "missing", "ratio=3"], ["2", "recorded", "ratio=inf"]]
    assert said[-1] == "2 of 4 are missing"


def test_reference_numbers():
    table = runs.reference("mix_ratio", split="val", metric="top1")
    numbers = {"0": 49.0, "1": 53.8, "3": 57.5, "7": 59.4, "15": 60.1, "inf": 60.2}
    assert dict(zip(table.setting, table.value)) == numbers
    assert runs.paper("mix_ratio", 0.5) is None
    with pytest.raises(ValueError, match="no experiment 'mix'"):
        runs.reference("mix")


# The launcher

def test_launcher_runs_records_and_tells(toy, tmp_path):
    done = call(toy, "ratio=inf", "seed=2", f"output={tmp_path}/out/ratio_{{ratio}}.ipynb")
    assert done.returncode == 0, done.stderr
    assert "top-1 27.0 % on val; paper (liu2026, Table 4, val): top1 60.2" in done.stdout
    executed = (tmp_path / "out" / "ratio_inf.ipynb").read_text()
    json.loads(executed, parse_constant=lambda constant: pytest.fail(f"{constant} in the notebook"))
    assert (tmp_path / "records" / "toy" / "seed=2,scale=tiny,data=chorus,ratio=inf.json").exists()


@pytest.mark.parametrize("words, said", [
    (["ration=7"], "toy has no parameter 'ration', did you mean ratio?; it has scale, seed, wildlife, ratio, sleep_s"),
    (["scale=huge"], "scale is 'huge': it must be one of smoke, tiny, small, paper or auto"),
    (["--ratio", "7"], "got '--ratio': it must be name=value"),
    (["output=notebooks/x.txt"], "must be an .ipynb outside"),
    (["output=/tmp/{ration}.ipynb"], "the notebook has no parameter 'ration'"),
    (["timeout=soon"], "timeout=soon: use a whole number"),
])
def test_a_mistake_in_the_words_is_one_clear_line(toy, words, said, capsys):
    assert launch.main([str(toy), *words]) == 2
    line, = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize("words, said", [
    (["wildlife=none"], "toy: RuntimeError: no wildlife"),
    (["sleep_s=30", "timeout=1"], "toy: CellTimeoutError: a cell took longer than the timeout"),
])
def test_a_mistake_that_a_cell_finds_is_one_clear_line(toy, words, said):
    done = call(toy, *words)
    lines = [line for line in done.stderr.replace("\r", "\n").splitlines() if line.strip() and "Executing" not in line]
    assert done.returncode == 1 and len(lines) == 1 and said in lines[0], (done.returncode, done.stderr)
    assert not list(toy.parent.parent.glob("records/toy/*.json"))


def test_launcher_never_overwrites_a_notebook(toy, capsys):
    before = toy.read_bytes()
    assert launch.main([str(toy), f"output={toy}"]) == 2
    assert "not to be overwritten" in capsys.readouterr().err and toy.read_bytes() == before
    done = call("05_mix_ration", "ratio=7")
    assert done.returncode == 2 and "there is no notebook '05_mix_ration'" in done.stderr


def test_sweep_goes_on_after_a_failure_and_skips_what_is_recorded(toy, tmp_path):
    plan = tmp_path / "toy.sweep.json"
    described = {"notebook": str(toy), "grid": {"seed": [0], "ratio": [-1, "inf"]}, "fixed": {"scale": "tiny"}}
    plan.write_text(json.dumps(described))
    done = call("sweep", plan, "jobs=2")
    assert done.returncode == 1 and "seed=0,ratio=inf: done" in done.stdout
    assert "failed: seed=0,ratio=-1: ratio is -1" in done.stderr
    assert runs.records("toy")["ratio"].tolist() == [math.inf]
    notebook = "seed=0,scale=tiny,data=chorus,ratio=inf.ipynb"
    assert (tmp_path / "records" / "toy" / notebook).exists()  # as no output is named
    done = call("sweep", plan, "point=1")
    assert done.returncode == 0 and "seed=0,ratio=inf: already recorded" in done.stdout, done.stderr


def test_an_experiment_wants_all_three_splits():
    table = pd.DataFrame({"file": ["a.wav", "b.wav"], "label": ["x", "y"], "split": ["train", "val"]})
    with pytest.raises(ValueError, match="the wildlife pool has no recordings in test: an experiment learns on train"):
        runs.start("05_mix_ratio", {"wildlife": table, "general": table},
                   **record.defaults_of(record.notebook_path("05_mix_ratio")))


def test_what_is_asked_about_in_one_pool_is_not_heard_in_the_other():
    wildlife = pd.DataFrame({"file": list("abc"), "label": "x", "split": ["train", "val", "test"]})
    general = wildlife.assign(split=["train", "val", "train"])
    with pytest.raises(ValueError, match=r"1 recordings of the wildlife pool's val and test are in train .*\(c\)"):
        runs.start("05_mix_ratio", {"wildlife": wildlife, "general": general},
                   **{k: v for k, v in record.defaults_of(record.notebook_path("05")).items() if k not in record.SHOWN})


def test_records_beside_a_run_share_its_scale_and_recordings():
    def row(scale, digest, budget="sweep", weights=""):
        return {"scale": scale, "data.wildlife.hash": digest, "budget": budget, "weights": weights}

    def run(scale, digest):
        return runs.Run("x", "x", {"scale": scale}, {"wildlife": {"hash": digest}}, None)

    table = pd.DataFrame([row("tiny", "a"), row("tiny", "a"), row("small", "a"), row("tiny", "b"),
                          row("tiny", "a", budget="main"), row("tiny", "a", weights="hub")])
    found = [runs.beside(table, run(*which)) for which in (("tiny", "a"), ("small", "a"), ("tiny", "b"))]
    assert [len(same) for same in found] == [2, 1, 1]
    assert runs.beside(table, run("smoke", "c"))["scale"].tolist() == ["tiny", "tiny"]  # the largest set
    assert runs.beside(table.iloc[:0], run("tiny", "a")).empty
    assert runs.beside(table, run("tiny", "a"), sweep=False)["budget"].tolist() == ["sweep", "sweep", "main"]
