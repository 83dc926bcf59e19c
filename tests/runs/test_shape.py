"""Records as they come from outside: what their readers rely on is checked where they are read."""
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wild import VALUES, mutations, one_line, write

from lib import paths
from lib.runs import folds, record

WHOLE = {"notebook": "05_mix_ratio", "name": "x", "version": record.VERSION, "scale": "tiny", "seed": 0,
         "parameters": {"seed": 0, "ratio": 7, "scale": "tiny", "wildlife": "birds_fold_0-abcdef",
                        "general": "general"},
         "data": {"wildlife": {"name": "birds_fold_0-abcdef", "hash": "abcdef", "fold": 0},
                  "general": {"name": "general", "hash": "fedcba"}},
         "metrics": {"top1": {"value": 0.5, "low": 0.1, "high": 0.9}, "loss": None, "test": {"top1": {"value": 0.5}}},
         "answers": {split: {key: [0, 1, 1] for key in ("hits", "targets", "groups")} for split in ("val", "test")},
         "answers_cnn": {split: {"hits": [0, 1, 0]} for split in ("val", "test")}, "labels": ["a", "b"],
         "baselines": {"cnn": {"val": {"top1": {"value": 0.5}}, "test": {"mean_f1": 0.1}}}, "seconds": 3.5,
         "git": "abc", "machine": {}, "samples_seen": 10, "paper": None}


@pytest.mark.parametrize("place, value, said", [
    ("metrics", None, "metrics is None, it must be an object"), ("metrics", [1], "metrics is [1]"),
    ("metrics.test", 3, "the scores of answers.test is 3"),
    ("version", "2", "version is '2', it must be a whole number"),
    ("version", None, "version is None"), ("version", True, "version is True"), ("data", [], "data is []"),
    ("data.wildlife", "birds", "data.wildlife is 'birds', it must be an object"), ("scale", 7, "scale is 7"),
    ("data.wildlife.hash", 7, "data.wildlife.hash is 7"), ("data.wildlife.fold", "0", "data.wildlife.fold is '0'"),
    ("parameters", "x", "parameters is 'x'"), ("parameters.ratio", [7], "parameters.ratio is [7]"),
    ("seconds", "3", "seconds is '3', it must be a whole number or a number or null"), ("machine", 1, "machine is 1"),
    ("answers", [1], "answers is [1]"), ("answers.test", [1], "answers.test is [1]"),
    ("answers.test.hits", 3, "answers.test.hits is 3, it must be a list"),
    ("answers.val.hits", [0, "x", 1], "a value of answers.val.hits is 'x'"),
    ("answers.val.groups", [0, 1], "answers.val.groups holds 2 values, not 3 as others"),
    ("baselines.cnn", 3, "the scores of answers_cnn is 3"), ("baselines.cnn.test", 3, "answers_cnn.test is 3")])
def test_a_record_is_refused_by_its_field(tmp_path, place, value, said):
    content = json.loads(json.dumps(WHOLE))
    *way, last = place.split(".")
    inner = content
    for key in way:
        inner = inner[key]
    inner[last] = value
    with pytest.raises(ValueError) as error:
        record.read(write(tmp_path / "x.json", content))
    assert said in one_line(error.value, f"x.json in {tmp_path.name} is not a run record", "remove it")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"null", b'{"version": NaN}'])
def test_a_file_that_is_no_record_is_one_line_wherever_records_are_read(tmp_path, monkeypatch, data):
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path))
    folder = tmp_path / "05_mix_ratio"
    folder.mkdir()
    (folder / "x.json").write_bytes(data)
    path = record.notebook_path("05_mix_ratio")
    for read in (lambda: record.read(folder / "x.json"), lambda: record.records("05_mix_ratio"),
                 lambda: record.recorded(path, [record.defaults_of(path)])):
        with pytest.raises(ValueError) as error:
            read()
        one_line(error.value, "x.json in 05_mix_ratio is not a run record")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_no_record(tmp_path, make):
    make(tmp_path / "x.json")
    with pytest.raises(ValueError) as error:
        record.read(tmp_path / "x.json")
    one_line(error.value, "x.json is no file")


def test_records_of_another_version_are_left_out_whatever_they_hold(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path))
    (tmp_path / "05_mix_ratio").mkdir()
    write(tmp_path / "05_mix_ratio" / "x.json", {"version": record.VERSION - 1, "metrics": 7})
    assert record.records("05_mix_ratio").empty


def test_every_record_of_the_repository_is_one():
    files = [file for file in (paths.ROOT / "papermill_runs").glob("[01]*/*.json")]
    assert len(files) > 400 and all(record.read(file)["version"] == record.VERSION for file in files)


@given(st.data())
def test_whatever_a_record_holds_it_is_read_or_refused_in_one_line(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "05_mix_ratio"
    folder.mkdir(exist_ok=True)
    for fold in range(5):  # the others of its five
        text = json.dumps(WHOLE).replace("fold_0", f"fold_{fold}").replace('"fold": 0', f'"fold": {fold}')
        (folder / f"{fold}.json").write_text(text)
    file = write(folder / "2.json", data.draw(mutations(json.loads((folder / "2.json").read_text())) | VALUES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDY_RUNS", str(folder.parent))
        try:
            read = record.read(file)
        except Exception as error:  # which kind is what is asked
            one_line(error, "2.json")
            return
        try:
            folds.merged([record.read(folder / f"{fold}.json") for fold in (0, 1, 3, 4)] + [read])
            record.records("05_mix_ratio")
        except Exception as error:
            one_line(error, "05_mix_ratio: the folds of", "different labels")


# ------------------------------------------------------------------------------------------------- where records go

def test_smoke_writes_in_the_user_s_own_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("STUDY_RUNS", raising=False)
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    assert record.folder("smoke") == tmp_path / "smoke"


def test_a_run_whose_record_cannot_be_written_does_not_begin(tmp_path, monkeypatch):
    asked = record.defaults_of(record.notebook_path("02")) | {"scale": "tiny"}
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path / "runs"))
    run = record.start("02", {}, **asked)
    assert not list(run.folder.rglob("*.json"))  # nothing of the trial is left
    path = Path(run.folder / run.place)
    path.mkdir()
    with pytest.raises(OSError, match=r"could not be written in .*02_pretraining \(a folder has its name\): make that"):
        record.start("02", {}, **asked)
    (tmp_path / "file").touch()
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path / "file"))
    with pytest.raises(OSError, match=r"could not be written in .*file/02_pretraining \(Not a directory\)") as error:
        record.start("02", {}, **asked)
    assert "\n" not in str(error.value)
