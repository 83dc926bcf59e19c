"""Tables of recordings, clips cut from them, and the mixture: what is left out is named, and every draw repeats."""

import hashlib
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from toys import BAD, FRONT, GOOD, mess, ramp, tone, tones

from lib import audio, data, hardware, paths, recordings, sources
from lib.data import Clips, Windows
from lib.mel import MSM_MAE, LogMel, above_median, normalise
from lib.runs import record
from lib.sampler import Draw, Mixture

INF = float("inf")


# --------------------------------------------------------------------------------------------------------------- tables

@pytest.fixture(scope="module")
def messy(tmp_path_factory):
    return mess(tmp_path_factory.mktemp("sounds") / "messy")


def test_good_files_of_every_kind_stay_and_bad_ones_are_counted_and_named(messy, capsys):
    table = sources.folder(messy)
    assert {f.rsplit("/", 1)[1] for f in table["file"]} == set(GOOD) and len(table) == 2 * len(GOOD)
    assert set(table["label"]) == {"frog", "toad"} and (table["duration_s"] > 0).all()
    said, skipped = capsys.readouterr().out, table.attrs["skipped"]
    assert f"skipped {2 * len(BAD)} of {2 * len(GOOD) + 2 * len(BAD)} files" in said and "and 8 more" in said
    for name, reason in BAD.items():
        lines = [line for line in skipped if f"/{name}: " in line]
        assert len(lines) == 2 and all(reason in line for line in lines), f"{name}: {lines}"
    assert sum(line.strip() in skipped for line in said.splitlines()) == 10


def test_every_good_file_can_be_cut_into_clips(messy):
    table = sources.folder(messy)
    for dataset in (Clips(table, FRONT, 0), Clips(table, FRONT, 0, ahead=True)):
        batch = next(iter(data.loader(dataset, [[Draw(row, row) for row in range(len(table))]])))
        spec = batch.spec(LogMel(FRONT))
        assert spec.shape == (len(table), 1, 64, 32) and spec.isfinite().all()


def test_a_folder_of_bad_files_only_says_what_was_looked_for(messy, tmp_path):
    for name in ("empty.wav", "text.wav"):
        (tmp_path / "bad" / "frog").mkdir(parents=True, exist_ok=True)
        (tmp_path / "bad" / "frog" / name).write_bytes((messy / "frog" / name).read_bytes())
    with pytest.raises(ValueError, match=r"none of 2 files can be used, the first: .*empty.wav: is empty"):
        sources.folder(tmp_path / "bad")


def test_sounds_beside_the_class_folders_are_reported(tmp_path, capsys):
    tones(tmp_path / "low", 3, 0, 0)
    ramp(tmp_path / "stray.wav", 9000)
    assert [s.endswith("stray.wav: lies outside any class folder")
            for s in sources.folder(tmp_path).attrs["skipped"]] == [True]
    assert "skipped 1 of 10 files" in capsys.readouterr().out


def empty(folder):
    (folder / "nothing").mkdir()
    return folder / "nothing"


def flat(folder):
    ramp(folder / "flat" / "a.wav", 9000)
    return folder / "flat"


def written(text):
    def make(folder):
        ramp(folder / "a.wav", 9000)
        (folder / "list.csv").write_text(text)
        return folder / "list.csv"
    return make


@pytest.mark.parametrize("make, message", [
    (lambda folder: "/nowhere",
     r"folder:/nowhere: there is no such folder or CSV file \('nowhere' was looked for in '/'\)"),
    (lambda folder: "", "no such folder"),
    (empty, r"no sounds in class folders; looked for nothing/CLASS/\*.wav .* nothing/metadata.csv"),
    (flat, "found 1 sounds outside any class folder"),
    (written(""), "list.csv cannot be read as a table"),
    (written("file,label\n"), "list.csv has a header line but no rows"),
    (written("path,label\na.wav,frog\n"), "list.csv has the columns path, label; file is missing"),
    (written("name\na.wav\n"), "file and label is missing"),
    (written("file|label\na.wav|frog\n"), "has the columns file|label; file and label is missing"),
    (written("file,label,split\na.wav,frog,train\na.wav,Rana, a frog,test\n"),
     "list.csv, line 3 has 4 fields and the header line 3: put a field that holds the separator into quotes"),
    (written("file,label,file\na.wav,frog,b.wav\n"), "list.csv has two columns file: keep one"),
    (written('file,label\na.wav,"frog\n' + "b.wav,frog\n" * 20_000), "cannot be read as a table .line .*field larger"),
    (written("file,label,split\na.wav,frog,train\n./a.wav,frog,test\n"),
     "a.wav is in train and in test, from 0 s to its end: what a model is asked about"),
    (written("file,label,split\na.wav,frog,unlabelled\na.wav,frog,val\n"), "a.wav is in train and in val, from 0 s"),
    (written("file,label,split,start_s,end_s\na.wav,frog,train,0,0.2\na.wav,frog,val,0.3,0.35\n"
             "a.wav,frog,test,0.15,0.25\n"), "a.wav is in train and in test, from 0.15 s to 0.2 s"),
    (written("file,label\na.wav,frog\na.wav,\n,toad\n"), r"row 1 is not usable: file='.*a.wav', label=nothing"),
    (written("file,label\n,frog\n"), "row 0 is not usable: file=nothing"),
    (written("file,label,split\na.wav,frog,train\na.wav,frog,later\n"), "row 1 is not usable: .*split='later'"),
    (written("file,label,split,group\na.wav,frog,train,pond\nb.wav,frog,test,pond\n"),
     "group 'pond' is in more than one split"),
    (written("file,label,start_s,end_s\na.wav,frog,0.2,0.1\n"), "row 0 is not usable: start_s=0.2, end_s=0.1"),
    (written("file,label,start_s\na.wav,frog,7\n"),
     "none of 1 files can be used, the first: .*starts at 7 s, past its end"),
])
def test_errors_of_a_folder_are_one_line_that_says_what_is_needed(tmp_path, make, message):
    with pytest.raises(ValueError, match=message) as error:
        sources.recordings(f"folder:{make(tmp_path)}", "wildlife")
    assert "\n" not in str(error.value)


def test_a_csv_names_its_splits_as_people_do(tmp_path):
    for name in "abcdef":
        ramp(tmp_path / f"{name}.wav", 9000)
    (tmp_path / "metadata.csv").write_text("file, label, split, note\na.wav, NA, Train, x\nb.wav, NA, valid,\nc.wav, "
                                           "None , eval,\n"
                                           f"{tmp_path}/d.wav, None, dev,\ne.wav, NA, test,\nmissing.wav, NA, train,\n")
    table = sources.folder(tmp_path)
    assert table["split"].tolist() == ["train", "val", "test", "val",
                                       "test"] and table["label"].tolist() == ["NA", "NA", "None", "None", "NA"]
    assert len(table.attrs["skipped"]) == 1 and "missing.wav: no such file" in table.attrs["skipped"][0]


def test_a_csv_of_file_and_label_is_split_and_keeps_segments(tmp_path):
    file = ramp(tmp_path / "a.wav", 30_000)
    (tmp_path / "list.csv").write_text("file,label,start_s,end_s\na.wav,frog,0.5,1.0\na.wav,frog,,\n")
    table = sources.folder(tmp_path / "list.csv")
    assert table["split"].tolist() == ["train", "train"] and table["file"].tolist() == [file, file]
    assert [len(wave) for wave, _,
            _ in Windows(table, FRONT)][:1] == [8576] and len(Windows(table, FRONT).places) == 2 + 7


def split_of(tmp_path, seed=0, grouped=False):
    rows = ["file,label,group"]
    for label, n in (("many", 20), ("few", 3), ("two", 2), ("one", 1)):
        for i in range(n):
            ramp(tmp_path / f"{label}{i}.wav", 600)
            rows.append(f"{label}{i}.wav,{label},{f'{label} pond {i // 2}' if grouped else ''}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    return sources.folder(tmp_path / "list.csv", seed)


def test_the_split_is_stratified_and_seeded(tmp_path):
    table, again, other = split_of(tmp_path), split_of(tmp_path), split_of(tmp_path, seed=1)
    counts = table.groupby(["label", "split"]).size().to_dict()
    assert counts == {("many", "train"): 12, ("many", "val"): 4, ("many", "test"): 4, ("few", "train"): 1,
                      ("few", "val"): 1, ("few", "test"): 1,
                      ("two", "train"): 2, ("one", "train"): 1}
    pd.testing.assert_frame_equal(table, again)
    assert (table["split"] != other["split"]).any() and other.groupby(["label", "split"]).size().to_dict() == counts


def test_no_group_crosses_splits(tmp_path):
    table = split_of(tmp_path, grouped=True)
    assert (table.groupby("group")["split"].nunique() == 1).all()
    assert table[table["label"] == "many"]["split"].value_counts().to_dict() == {"train": 12, "val": 4, "test": 4}


@pytest.mark.parametrize("grouped", [False, True])
def test_five_folds_test_every_recording_once(tmp_path, grouped):
    split_of(tmp_path, grouped=grouped)
    folded = [sources.recordings(f"folder:{tmp_path / 'list.csv'}?fold={k}", "wildlife") for k in range(5)]
    tested = pd.concat([table[table["split"] == "test"] for table in folded])
    assert sorted(tested["label"]) == ["many"] * 20 and tested["file"].is_unique
    for k, table in enumerate(folded):
        assert set(table.loc[table["split"] == "unlabelled", "label"]) == {"few", "two", "one"}
        assert set(table["split"]) == {"train", "val", "test", "unlabelled"} and len(table) == 26
        assert table[table["split"] == "val"]["file"].tolist() \
            == folded[(k + 1) % 5].loc[folded[(k + 1) % 5]["split"] == "test", "file"].tolist()
        if grouped:
            assert (table.groupby("group")["split"].nunique() == 1).all()


def test_folds_are_refused_where_nothing_can_be_tested(tmp_path):
    for k in range(4):
        ramp(tmp_path / "frog" / f"{k}.wav", 600)
    with pytest.raises(ValueError, match="no class has 5 recordings in three groups or more.*leave .fold= out"):
        sources.recordings(f"folder:{tmp_path}?fold=0", "wildlife")
    with pytest.raises(ValueError, match="fold is '5': it must be one of 0 to 4"):
        sources.recordings(f"folder:{tmp_path}?fold=5", "wildlife")


def test_an_untested_recording_of_a_tested_group_is_left_out(tmp_path):
    rows = ["file,label,group"] + [f"{i}.wav,frog,pond {i}" for i in range(6)] + ["rare.wav,newt,pond 2"]
    for i in [*range(6), "rare"]:
        ramp(tmp_path / f"{i}.wav", 600)
    (tmp_path / "list.csv").write_text("\n".join(rows))
    for k in range(5):
        assert "newt" not in set(sources.folder(tmp_path / "list.csv", fold=k)["label"])


def test_a_group_with_two_labels_stays_together(tmp_path):
    text = "".join(f"s{i}{k}.wav,label{k},place {i}\n" for i in range(10) for k in range(2))
    for i in range(10):
        for k in range(2):
            ramp(tmp_path / f"s{i}{k}.wav", 600)
    (tmp_path / "list.csv").write_text("file,label,group\n" + text)
    table = sources.folder(tmp_path / "list.csv")
    assert (table.groupby("group")["split"].nunique() == 1).all() and set(table["split"]) == {"train", "val", "test"}


def test_every_class_can_be_learnt_whatever_groups_it_shares(tmp_path):
    places = {"wide": [0, 1, 2, 3, 4], "narrow": [0, 0, 0]}  # all of the second class is from one place of the first
    rows = [(f"{label}{i}.wav", label, f"place {place}") for label, where in places.items() for i,
            place in enumerate(where)]
    for name, _, _ in rows:
        ramp(tmp_path / name, 600)
    (tmp_path / "list.csv").write_text("file,label,group\n" + "".join(",".join(row) + "\n" for row in rows))
    for seed in range(8):
        table = sources.folder(tmp_path / "list.csv", seed)
        assert set(table.loc[table["split"] == "train",
                             "label"]) == {"wide", "narrow"} and (table.groupby("group")["split"].nunique() == 1).all()


def test_paths_start_at_the_repository_or_at_home_and_may_hold_colons(tmp_path, monkeypatch):
    tones(tmp_path / "set:1=2" / "low", 3, 0, 0)
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir("/")
    tables = [sources.recordings(f"folder:{p}", "general") for p in ("set:1=2", "~/set:1=2", tmp_path / "set:1=2")]
    assert [len(t) for t in tables] == [9, 9, 9]
    assert tables[0]["file"].tolist() == tables[1]["file"].tolist() == tables[2]["file"].tolist()


def test_chorus_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    wildlife, general = (sources.recordings("chorus", pool, "smoke") for pool in ("wildlife", "general"))
    assert set(wildlife["split"]) == {"train", "val", "test"} and (general["split"] == "train").any()
    null = sources.recordings("chorus:other_species", "general", "smoke")
    assert not set(null["label"]) & set(wildlife["label"])
    assert str(tmp_path) in wildlife["file"][0]


@pytest.mark.parametrize("name, pool, message", [
    ("banana", "wildlife", "unknown data 'banana' for the wildlife pool: use chorus"),
    ("inatsound:x", "wildlife", r"inatsounds:ROOT, audioset:ROOT or esc50\[:ROOT\]"),
    ("inatsounds:/nowhere", "wildlife", "inatsounds:/nowhere: no split is prepared"),
    ("chorus:loud=3", "wildlife", "chorus knows the options empty"),
    ("chorus:other_species", "wildlife", "as wildlife pool"),
    ("chorus:empty=lots", "wildlife", "empty wants a number, got 'lots'"),
    ("chorus:empty=7", "wildlife", "empty=7.0 is not a share"),
])
def test_unknown_data_are_one_clear_line(name, pool, message):
    with pytest.raises(ValueError, match=message):
        sources.recordings(name, pool, "smoke")


def test_padded_share_is_the_mean_over_recordings():
    table = pd.DataFrame({"duration_s": [FRONT.seconds / 2, FRONT.seconds, 10.0]})
    assert sources.padded_share(table, FRONT) == pytest.approx(0.5 / 3) and sources.padded_share(table[:0], FRONT) == 0


# ---------------------------------------------------------------------------------------------------------------- clips

def table_of(*files, **columns):
    return pd.DataFrame({"file": files, "label": "x", "split": "train", **columns})


def start_of(wave) -> int:
    return round(float(wave[0]) * 32_767)


def test_crops_start_everywhere_from_the_first_to_the_last_place(tmp_path):
    need = FRONT.samples
    clips = Clips(table_of(ramp(tmp_path / "a.wav", need + 20)), FRONT, seed=3)
    starts = np.bincount([start_of(clips[Draw(0, number)][0]) for number in range(2000)], minlength=21)
    assert len(starts) == 21 and starts.min() > 50 and starts.max() < 150  # 95 expected
    assert all(len(clips[Draw(0, number)][0]) == need for number in range(20))


def test_a_draw_repeats_whatever_the_workers_and_the_order(tmp_path):
    table, front = tones(tmp_path, 2, 0, 0), FRONT
    batches = list(Mixture(6, 0, 0.0, 4, 20, seed=1).batches())
    for ahead in (False, True):
        clips = Clips(table, front, 5, ahead=ahead)
        alone, shared = (list(data.loader(clips, batches, workers)) for workers in (0, 2))
        assert all(torch.equal(a.x, b.x) and a.files == b.files and torch.equal(a.row, b.row) for a,
                   b in zip(alone, shared, strict=True))
        backwards = [clips[draw][0] for draw in reversed(sum(batches, []))][::-1]
        flat = torch.cat([b.x.squeeze(1) for b in alone])
        assert all(torch.equal(a, b) for a, b in zip(flat, backwards, strict=True))
    other = Clips(table, front, 6)
    assert any(not torch.equal(other[draw][0], Clips(table, front, 5)[draw][0]) for draw in batches[0])


def test_a_loader_s_processes_may_be_fresh_ones_as_on_windows_and_macos(tmp_path):
    clips, batches = Clips(tones(tmp_path, 2, 0, 0), FRONT, 5), [[Draw(0, 0), Draw(1, 1)]]
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        (spawned,) = data.loader(clips, batches, 1)
    finally:
        multiprocessing.set_start_method(before, force=True)
    (alone,) = data.loader(clips, batches)
    assert torch.equal(spawned.x, alone.x) and spawned.files == alone.files


@pytest.mark.parametrize("ahead", [False, True])
def test_batches_cut_on_the_device_are_those_read_from_the_files(tmp_path, ahead, monkeypatch):
    """Long, short, joined, kept to windows, segments, without a sample, unreadable: to the last sample."""
    device = hardware.accelerator().device
    table = tones(tmp_path, 3, 0, 0, seconds=1.0).assign(kept=[(0.1, 0.3), None] * 4 + [None], start_s=0.05)
    parts = [table_of(*(ramp(tmp_path / f"{n}.wav", n) for n in (300, 700, 2500, 4000, 9000))).assign(label="short")]
    parts += [table_of(*(ramp(tmp_path / f"gone{n}.wav", 9000) for n in range(2)), duration_s=9000 / 22_050)]
    table = pd.concat([table, *parts, *[table.assign(start_s=0.0)] * 25], ignore_index=True)
    gone = [row for row, file in enumerate(table["file"]) if "gone" in file]
    for row in gone:
        Path(table["file"][row]).unlink()
    join = (table["label"] == "short").to_numpy()
    batches = list(Mixture(len(table), 0, 0.0, 16, 4 * len(table), seed=1).batches())
    clips = [Clips(table, FRONT, 5, join, ahead=ahead, device=device) for _ in range(2)]
    windows = [Windows(table, FRONT, ahead=ahead, device=device) for _ in range(2)]
    assert clips[0].source.resident().flat.device.type == device.type
    assert clips[0].source.resident() is clips[1].source.resident()  # nothing is decoded twice
    missed = set()
    for (one, other), wanted in [(clips, batches), (windows, [list(range(len(windows[0])))])]:
        for draws, batch in zip(wanted, data.loader(one, wanted if one is clips[0] else len(one)), strict=True):
            read = other.__getitems__(draws)
            assert torch.equal(batch.x.cpu(), read.x) and batch.x.dtype == torch.float32 == read.x.dtype
            assert torch.equal(batch.length, read.length) and torch.equal(batch.row, read.row)
            assert batch.files == read.files and batch.unreadable == read.unreadable and batch[4:6] == read[4:6]
            missed |= set(batch.unreadable)
    assert {Path(reason.partition(": ")[0]).name for reason in missed} == {"gone0.wav", "gone1.wav"}


def test_what_is_kept_is_decoded_anew_when_a_file_changes_and_makes_room_for_others(tmp_path, monkeypatch):
    table = table_of(ramp(tmp_path / "a.wav", 9000))
    first = Clips(table, FRONT, 0)
    (old,) = data.loader(first, [[Draw(0, 0)]])
    audio.write(tmp_path / "a.wav", torch.full((9000,), 0.5), 22_050)
    (new,) = data.loader(Clips(table, FRONT, 0), [[Draw(0, 0)]])
    assert not torch.equal(old.x, new.x) and torch.allclose(new.x, torch.tensor(0.5), atol=1e-4)
    monkeypatch.setattr(recordings, "MEMORY", 1.5 * recordings.Resident.size(first.source))
    other = Clips(table_of(ramp(tmp_path / "b.wav", 9000)), FRONT, 0)
    assert other.source.resident() and len(recordings._residents) == 1
    monkeypatch.setattr(recordings, "MEMORY", 0)
    assert Clips(table, FRONT, 0).source.resident() is None


def test_batches_prepared_ahead_are_the_same_and_errors_come_through():
    def until(n):
        for i in range(n):
            yield i + 1
        raise audio.AudioError("the disk is gone")

    seen = []
    with pytest.raises(audio.AudioError, match="the disk is gone"):
        for i in data.prefetch(until(5)):
            seen.append(i)
    assert seen == [1, 2, 3, 4, 5] and next(data.prefetch(iter([7]))) == 7 and list(data.prefetch([])) == []


def test_the_global_random_state_stays_as_it_is(tmp_path):
    clips = Clips(tones(tmp_path, 2, 0, 0), FRONT, 0)
    before = torch.get_rng_state()
    list(data.loader(clips, list(Mixture(6, 0, 0.0, 4, 8, seed=1).batches())))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("ahead", [False, True])
def test_behind_the_end_of_a_short_recording_stands_the_pad_value(tmp_path, ahead):
    front = replace(FRONT, pad=-31.0)
    table = table_of(ramp(tmp_path / "short.wav", 4000), ramp(tmp_path / "shorter.wav", 300),
                     ramp(tmp_path / "long.wav", 20_000))
    batch = next(iter(data.loader(Clips(table, front, 0, ahead=ahead), [[Draw(0, 0), Draw(1, 1), Draw(2, 2)]])))
    spec = batch.spec(LogMel(front))[:, 0]  # (3, 64, 32)
    n, silence = front.count(4000), torch.tensor(normalise(-31.0, front))
    assert 0 < n < 64 and torch.allclose(spec[0, n:], silence, atol=1e-3)
    assert torch.allclose(spec[1], silence, atol=1e-3)
    assert not torch.isclose(spec[0, :n], silence, atol=1e-3).all(1).any()
    assert not torch.isclose(spec[2], silence, atol=1e-3).all(1).any()


@pytest.mark.parametrize("ahead", [False, True])
def test_short_general_clips_are_filled_up_from_their_own_class_only(tmp_path, ahead):
    levels = {"a1": 0.1, "a2": 0.2, "b1": 0.4, "b2": 0.5, "wild": 0.3}
    files = [str(audio.write(tmp_path / f"{name}.wav", torch.full((2000,), level), 22_050)) for name,
             level in levels.items()]
    table = table_of(*files).assign(label=["a", "a", "b", "b", "a"])
    clips = Clips(table, FRONT, 0, join=np.array([True] * 4 + [False]), ahead=ahead)
    for number in range(20):
        x, n, _ = clips[Draw(0, number)]
        assert n == len(x) == clips.source.need
        if not ahead:
            assert set(x.mul(10).round().int().tolist()) <= {1, 2} and int(x[0] * 10 + 0.5) == 1
    assert clips[Draw(4, 0)][1] < clips.source.need  # wildlife keeps its true length
    if not ahead:
        assert {2} <= {v for number in range(20) for v in clips[Draw(0, number)][0].mul(10).round().int().tolist()}


def test_memory_and_disk_give_the_same_pieces(tmp_path, monkeypatch):
    table = tones(tmp_path, 1, 0, 0, seconds=1.0).assign(start_s=[0.0, 0.1, 0.2], end_s=[np.nan, 0.8, 0.3])
    table.loc[len(table)] = table.loc[0]
    table.loc[3, "file"] = str(audio.write(tmp_path / "slow.wav",
                                           audio.resample(audio.read(table["file"][0]), 22_050, 8000), 8000))
    memory = recordings.Recordings(table, FRONT)
    monkeypatch.setattr(recordings, "MEMORY", 0)
    disk = recordings.Recordings(table, FRONT)
    assert memory.decoded is not None and disk.decoded is None
    for row, length in enumerate([22_050, round(0.7 * 22_050), round(0.1 * 22_050), 22_050]):
        for first in {0, min(777, length - 1), max(0, length - 8576), max(0, length - 5000)}:
            a, b = memory.read(row, first, 8576), disk.read(row, first, 8576)
            assert len(a) == len(b) == min(8576, length - first)
            if row < 3:
                assert (a - b).abs().max() <= 1 / 32_767
    # the same tone, resampled
    assert (memory.read(3, 0, 8576) - memory.read(0, 0, 8576))[100:-100].abs().mean() < 0.002


def test_specs_made_ahead_are_the_front_end_of_the_wave(tmp_path):
    table, log_mel = tones(tmp_path, 1, 0, 0, seconds=1.0), LogMel(FRONT)
    waves, specs = recordings.Recordings(table, FRONT), recordings.Recordings(table, FRONT, ahead=True)
    assert specs.log_mel and specs.length.tolist() == [FRONT.count(22_050)] * 3
    for row, k in ((0, 0), (1, 37), (2, specs.length[2] - 64)):
        piece = log_mel(waves.read(row, k * FRONT.hop, FRONT.samples)[None])[0, 0]
        assert piece.shape == (64, 32) and torch.allclose(specs.read(row, k, 64), piece, atol=3e-3)
    # centred frames know their clip's edges
    assert not recordings.Recordings(table, replace(MSM_MAE, frames=64), ahead=True).log_mel


def test_segments_are_kept_to(tmp_path):
    file = ramp(tmp_path / "a.wav", 30_000)
    table = table_of(file, file, duration_s=30_000 / 22_050, start_s=[10_000 / 22_050, np.nan],
                     end_s=[20_000 / 22_050, 9.0])
    clips = Clips(table, FRONT, 0)
    starts = [start_of(clips[Draw(0, number)][0]) for number in range(300)]
    assert min(starts) >= 10_000 and max(starts) <= 20_000 - FRONT.samples and max(starts) - min(starts) > 1200
    assert clips.source.length[1] == 30_000  # an end past the file's is the file's


def test_windows_cover_every_recording_to_its_end(tmp_path):
    need, step = FRONT.samples, 32 * FRONT.hop
    lengths = [1, 600, need, need + 1, need + 49 * step, need + 49 * step - 1000]
    windows = Windows(table_of(*(ramp(tmp_path / f"{n}.wav", n) for n in lengths)), FRONT)
    for row, n in enumerate(lengths):
        starts = [first for r, first in windows.places if r == row]
        assert starts[0] == 0 and 0 <= max(0, n - need) - starts[-1] < FRONT.hop
        assert all(b - a <= step for a, b in zip(starts, starts[1:]))
        assert len(starts) == [1, 1, 1, 1, 50, 50][row]
    seen = [(int(row), int(n)) for batch in data.loader(windows, 16) for row, n in zip(batch.row, batch.length)]
    assert [row for row, _ in seen] == [row for row, _ in windows.places]
    assert all(n == min(need, lengths[row]) for row, n in seen)


def test_windows_of_waves_and_of_specs_begin_at_the_same_times(tmp_path):
    table = table_of(*(ramp(tmp_path / f"{n}.wav", n)
                       for n in [600, FRONT.samples + 100, FRONT.samples + 1000, 5 * FRONT.samples + 77]))
    waves, specs = Windows(table, FRONT), Windows(table, FRONT, ahead=True)
    assert waves.start_s == pytest.approx(specs.start_s)
    assert [r for r, _ in waves.places] == [r for r, _ in specs.places]



# -------------------------------------------------------------------------------------------------------------- subsets

def labelled() -> pd.DataFrame:
    rows = [(f"{label}{i}", label, split) for label,
            n in (("a", 1), ("b", 3), ("c", 30)) for split in ("train", "val") for i in range(n)]
    return pd.DataFrame(rows, columns=["file", "label", "split"]).assign(file=lambda t: t["file"] + t["split"])


def test_subsets_are_nested_stratified_and_leave_other_splits_alone():
    table = labelled()
    parts = {f: sources.subset(table, f, 0) for f in ("1", "2", "8", "all", "1%", "10%", "50%", "100%")}
    train = {f: t[t["split"] == "train"]["label"].value_counts().to_dict() for f, t in parts.items()}
    assert train["2"] == {"a": 1, "b": 2, "c": 2} and train["8"] == {"a": 1, "b": 3, "c": 8}
    assert train["10%"] == {"a": 1, "b": 1, "c": 3}
    assert train["all"] == train["100%"] == {"a": 1, "b": 3, "c": 30} and train["1%"] == {"a": 1, "b": 1, "c": 1}
    assert all(len(t[t["split"] == "val"]) == 34 for t in parts.values())
    for chain in (["1", "2", "8", "all"], ["1%", "10%", "50%", "100%"]):
        files = [set(parts[f]["file"]) for f in chain]
        assert all(small <= large for small, large in zip(files, files[1:]))


def test_the_seed_draws_a_subset():
    table = labelled()
    assert sources.subset(table, "4", 1).equals(sources.subset(table, "4", 1))
    assert not sources.subset(table, "4", 1).equals(sources.subset(table, "4", 2))


@pytest.mark.parametrize("fraction", ["0", "-1", "half", "0%", "120%", "1.5", ""])
def test_a_fraction_that_makes_no_sense_is_refused(fraction):
    with pytest.raises(ValueError, match="fraction is '.*': it must be recordings per class"):
        sources.subset(labelled(), fraction, 0)


# ----------------------------------------------------------------------------------------------------------------- kept

@pytest.mark.parametrize("ahead", [False, True])
def test_kept_windows_and_nothing_else(tmp_path, ahead):
    unit = FRONT.hop if not ahead else 1  # ramp: sample k is k steps high; a spec tells where it was cut by comparison
    table = pd.concat([table_of(ramp(tmp_path / "a.wav", 30_000))] * 2, ignore_index=True)
    # the last lies behind the last full window
    starts = (10 * FRONT.hop / FRONT.rate, 40 * FRONT.hop / FRONT.rate, 30_000 / FRONT.rate)
    table["kept"] = [starts, None]
    clips = Clips(table, FRONT, seed=0, ahead=ahead)
    last = clips.source.length[0] - clips.source.need
    wanted = [clips.source.read(0, first, clips.source.need) for first in (10 * unit, 40 * unit, last)]
    seen = [next((i for i, w in enumerate(wanted) if torch.equal(clips[Draw(0, n)][0], w)), None) for n in range(60)]
    assert set(seen) == {0, 1, 2} and min(map(seen.count, (0, 1, 2))) > 8
    free = Clips(table.drop(columns="kept"), FRONT, seed=0, ahead=ahead)
    # None, or NaN from a concat: a free crop
    assert all(torch.equal(clips[Draw(1, n)][0], free[Draw(1, n)][0]) for n in range(5))
    mixed = Clips(pd.concat([table, table.drop(columns="kept")], ignore_index=True), FRONT, seed=0, ahead=ahead)
    assert torch.equal(mixed[Draw(2, 3)][0], free[Draw(0, 3)][0])


def test_windows_know_when_they_start(tmp_path):
    table = table_of(ramp(tmp_path / "a.wav", 30_000))
    for ahead in (False, True):
        windows = data.Windows(table, FRONT, ahead=ahead)
        clips = Clips(table.assign(kept=[(windows.start_s[2],)]), FRONT, 0, ahead=ahead)
        assert torch.equal(clips[Draw(0, 0)][0], windows[2][0])


@pytest.mark.parametrize("kept", [(), (-1.0, 2.0), [1.0], "1.5"])
def test_a_wrong_kept_is_named(kept):
    table = pd.DataFrame({"file": ["a.wav", "b.wav"], "label": "x", "split": "train", "kept": [(0.0,), kept]})
    with pytest.raises(ValueError, match="row 1 is not usable: kept=.*it must be a tuple of window starts"):
        sources.check(table)
    assert len(sources.check(table.assign(kept=[(0.0, 1.5), None]))) == 2


# ------------------------------------------------------------------------------------------------------------ processes


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("ahead", [False, True])
def test_a_batch_knows_its_place_also_when_cut(tmp_path, ahead, workers):
    clips = Clips(tones(tmp_path, 2, 0, 0), FRONT, 0, ahead=ahead)
    [whole], [last] = (list(data.loader(clips, Mixture(6, 0, 0.0, 6, 6, 0).batches(0, *share), workers))
                       for share in ((0, 1), (1, 2)))
    assert (whole.first, whole.of, last.first, last.of) == (0, 6, 4, 6)
    assert torch.equal(last.x, whole.x[4:]) and last.files == whole.files[4:]
    parts = whole.parts(4)
    assert [(p.first, p.of, len(p.row), p.share) for p in parts] == [(0, 6, 4, 4 / 6), (4, 6, 2, 2 / 6)]
    assert torch.equal(torch.cat([p.x for p in parts]), whole.x) and sum((p.files for p in parts), []) == whole.files
    assert [(p.first, p.of) for p in last.parts(1)] == [(4, 6), (5, 6)] and whole.parts(0) == [whole] == whole.parts(6)


# ----------------------------------------------------------------------------------------------------------- unreadable

def two_hundred(folder, gone=1):
    """A table of 200 rows whose last files are not there any more, with 12 good ones to cut from; and the draws of all
    of them."""
    table = pd.concat([tones(folder, 4, 0, 0)] * 17, ignore_index=True)[:200]
    table.loc[200 - gone :, "file"] = [str(folder / f"gone{i}.wav") for i in range(gone)]
    return table, [[Draw(row, row) for row in range(first, first + 20)] for first in range(0, 200, 20)]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("ahead", [False, True])
def test_another_recording_of_the_pool_stands_in_for_a_vanished_one(tmp_path, capsys, ahead, workers):
    table, draws = two_hundred(tmp_path)
    join = np.arange(200) >= 150
    seen = list(data.loader(Clips(table, FRONT, 5, join, ahead), draws + draws, workers))
    whole = list(data.loader(Clips(table.assign(file=[*table["file"][:199], table["file"][0]]), FRONT, 5, join, ahead),
                             draws))
    assert all(torch.equal(a.x[:19], b.x[:19]) and torch.equal(a.row[:19], b.row[:19]) for a, b in zip(seen, whole))
    assert all(torch.equal(a.x, b.x) and a.files == b.files for a, b in zip(seen[:10], seen[10:], strict=True))
    assert [b.unreadable for b in seen[:10]] == [[]] * 9 + [[f"{tmp_path}/gone0.wav: no such file"]]
    row = int(seen[9].row[19])
    assert 150 <= row < 199 and seen[9].files[19] == table["file"][row] and seen[9].length[19] > 0
    assert capsys.readouterr().out.count("passed over: ") == 1  # told once


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("ahead", [False, True])
def test_a_vanished_recording_is_a_window_of_silence(tmp_path, ahead, workers):
    table, _ = two_hundred(tmp_path)
    table.loc[198, "duration_s"] = 0.0  # without any sample: silence as well, and no problem
    seen, log_mel = list(data.loader(Windows(table, FRONT, ahead), 50, workers)), LogMel(FRONT)
    assert sum((b.unreadable for b in seen), []) == [f"{tmp_path}/gone0.wav: no such file"]
    spec, row = torch.cat([b.spec(log_mel) for b in seen]), torch.cat([b.row for b in seen])
    assert (spec[row >= 198]
            == normalise(FRONT.pad, FRONT)).logical_or(spec[row >= 198].sub(normalise(-50.0, FRONT)).abs() < 2e-3).all()
    assert (spec[row < 198].amax((1, 2,
                                  3)) > 0).all() and (row == 199).sum() == (row == 0).sum() and (row == 198).sum() == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_more_than_one_in_a_hundred_is_an_error(tmp_path, workers):
    table, draws = two_hundred(tmp_path, gone=3)
    for dataset, batches in ((Clips(table, FRONT, 5), draws), (Windows(table, FRONT), 20)):
        with pytest.raises(audio.AudioError,
                           match=r"gone2.wav: no such file; 3 of 200 recordings could not be read, and at most 1 %"):
            list(data.loader(dataset, batches, workers))
    with pytest.raises(audio.AudioError, match=r"gone0.wav: no such file; 1 of 50"):
        list(data.loader(Windows(table[:198].tail(50), FRONT), 20, workers))


def test_a_storage_that_is_gone_is_an_error_at_once():
    table = pd.DataFrame({"file": [f"/gone/{i}.wav" for i in range(5000)], "label": "x", "split": "train",
                          "duration_s": 1.0})
    with pytest.raises(audio.AudioError,
                       match="/gone/7.wav: no such file; nor could any of 10 recordings drawn in its place") as error:
        list(data.loader(Clips(table, FRONT, 0), [[Draw(7, 0), Draw(8, 1)]], 1))
    assert "\n" not in str(error.value)


# --------------------------------------------------------------------------------------------------------- large tables

def test_a_large_table_opens_no_file_and_stays_small(monkeypatch):
    """In bytes a row, which is what decides whether two million fit."""
    rows, rng = 100_000, np.random.default_rng(0)
    table = pd.DataFrame({"file": [f"/data/audioset/clips/unbal_train/{i % 97:02d}/{i:011d}.flac" for i in range(rows)],
                          "split": "train",
                          "label": pd.Categorical.from_codes(rng.integers(0, 500, rows),
                                                             [f"class {k:03d}" for k in range(500)]),
                                                             "duration_s": 10.0})
    monkeypatch.setattr(audio, "info", None)
    monkeypatch.setattr(audio, "read", lambda file, rate, start_s, duration_s: torch.zeros(round(rate * duration_s)))
    tracemalloc.start()
    checked = sources.check(table)
    clips = Clips(checked, FRONT, 0, np.ones(rows, bool))
    batch = next(iter(data.loader(clips, Mixture(0, rows, INF, 64, 640, 0).batches())))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert batch.files == [table["file"][int(row)] for row in batch.row]
    assert kept < 300 * rows and peak < 900 * rows and len(pickle.dumps(clips)) < 200 * rows
    assert clips.source.decoded is None and list(checked["label"][:5]) == list(table["label"][:5])


def test_a_table_hash_is_what_it_was_before_it_was_quick():
    """Records and folders of the cache are named after it."""
    def plain(table):
        files = [Path(f).as_posix() for f in table["file"]]
        root = os.path.commonpath([os.path.dirname(f) for f in files]) if files else ""
        columns = [c for c in ("label", "split", "group", "start_s", "end_s", "duration_s") if c in table]
        rows = sorted(json.dumps([os.path.relpath(f, root or ".")] + [str(v) for v in row], ensure_ascii=False)
                      for f, row in zip(files, table[columns].itertuples(index=False)))
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:6]

    for files in (["/a/b/c.wav", "/a/b/d/é.wav", "/a/\"x\".wav"], ["a.wav", "b/c.wav", "c.wav"],
                  ["./x//y/../a.wav", "x/b.wav", "x/y.wav"],
                  ["/a.wav", "/b/c.wav", "/c.wav"], ["../u/a.wav", "../u/v/b.wav", "../u/c.wav"],
                  ["/a/b/../c.wav", "/a/./d.wav", "/a/e.wav"]):
        table = pd.DataFrame({"file": files, "label": ["ß", "a\nb", "c"], "split": "train", "group": ["g", None, "h"]})
        segments = table.assign(start_s=[0.1, np.nan, 1e-7], end_s=[1, 2, 3],
                                duration_s=np.array([1.5, 2.1, 3], np.float32))
        for one in (table, segments, segments.drop(columns="group"), table.assign(group=[1, np.nan, 3]), table[:1],
                    table[:0]):
            assert record.table_hash(one) == plain(one)
            assert record.table_hash(one.assign(label=one["label"].astype("category"),
                                                split=one["split"].astype("category"))) == plain(one)


def test_names_come_back_as_they_were():
    names = ["/a/é.wav", "b.wav", "/c/\udcff.wav", "x" * 300, "/d/日本.flac"]
    held = recordings.Recordings(pd.DataFrame({"file": pd.Series(names, dtype=object), "duration_s": 1.0}), FRONT)
    assert [held.file(row) for row in range(len(held))] == names and held.file(np.int64(4)) == names[4]
    assert len(Windows(table_of()[:0].assign(duration_s=0.0), FRONT)) == 0


def test_frames_of_many_recordings_are_those_of_one():
    samples = np.arange(0, 3000, 7)
    for front in (FRONT, MSM_MAE):
        assert recordings.frames_of(samples, front).tolist() == [front.count(int(n)) for n in samples]
    lengths = [1, 63, 64, 65, 96, 97, 1000]
    seconds = [((n - 1) * FRONT.hop + FRONT.window) / FRONT.rate for n in lengths]
    windows = Windows(table_of(*map(str, lengths), duration_s=seconds), FRONT, ahead=True)
    assert windows.places.tolist() == [[row, first] for row,
                                       n in enumerate(lengths) for first in audio.windows(n, 64, 32)]


ABANDONED = """
import sys
from pathlib import Path
from toys import FRONT, tones
from lib import data
table = tones(Path(sys.argv[1]), 20, 1, 1)
batches = iter(data.loader(data.Windows(table, FRONT), 2, workers=1))
next(batches)  # and the rest is left, as when a cell fails
print("left", flush=True)
"""


def test_a_process_that_leaves_its_workers_ends(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(paths.ROOT), *sys.path])}
    done = subprocess.run([sys.executable, "-c", ABANDONED, str(tmp_path)], env=environment, capture_output=True,
                          text=True, timeout=300)
    assert done.stdout == "left\n" and done.returncode == 0, done.stderr


@pytest.mark.parametrize("ahead", [True, False])
def test_the_median_is_that_of_the_clip_however_it_was_cut(tmp_path, ahead):
    front = above_median(FRONT)
    table = pd.concat([tones(tmp_path / "long", 1, 1, 1), tones(tmp_path / "short", 1, 1, 1, seconds=0.3)],
                      ignore_index=True)
    log_mel = LogMel(front)
    for batch in data.loader(Windows(table, front, ahead=ahead), 8):
        for x, n in zip(batch.spec(log_mel)[:, 0], batch.frames(front)):
            assert x[:n].median(0).values.abs().max() < 2e-3 and (x[n:] == 0).all() and x.abs().max() > 0.1


@pytest.mark.parametrize("ahead", [False, True])
def test_a_quiet_recording_keeps_its_steps_wherever_it_is_kept(ahead, tmp_path):
    """A recorder of 32-bit floats whose peak is below one step of 16 bits, beside one of the usual level."""
    rng, files = np.random.default_rng(0), []
    for name, gain in (("quiet", 2e-5), ("loud", 0.2)):
        files.append(tmp_path / f"{name}.wav")
        soundfile.write(files[-1], gain * tone(2000, 0.6, rng).numpy() / 0.5, 22_050, subtype="FLOAT")
    table = pd.DataFrame({"file": [str(file) for file in files], "label": "a", "split": "train"})
    clips = Clips(table, FRONT, 0, ahead=ahead)
    draws = [Draw(row, number) for row in (0, 1) for number in (0, 1)]
    kept = clips.cut(clips.source.resident(), draws)
    for i, draw in enumerate(draws):
        piece = clips.pieces(draw)[0]
        wave = audio.read(table["file"][piece.row])
        if ahead:
            wanted = LogMel(FRONT)(wave[None])[0, 0][piece.first : piece.first + piece.count]
        else:
            wanted = wave[piece.first : piece.first + piece.count]
        near = (2e-3 if draw.row == 0 or not ahead else 0.1) * (wanted.max() - wanted.min())  # 16 bits of the loud one
        assert (kept.x[i].reshape(-1, *wanted.shape[1:])[: piece.count] - wanted).abs().max() < near
        assert (clips.source.read(*piece) - wanted).abs().max() < near
