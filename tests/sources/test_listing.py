"""Folders and tables as they are on real disks, and recordings that would be in two splits."""
import csv
import os
import unicodedata
from pathlib import PureWindowsPath

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import tone

from lib import audio, sources
from lib.sources import listing, tables


def sound(path, hz=500, seconds=0.3):
    return audio.write(path, tone(hz, seconds, np.random.default_rng(hz)), 22_050)


def read(folder):
    table = sources.folder(folder)
    return table.assign(name=[os.path.relpath(file, folder) for file in table["file"]])


def test_hidden_and_system_folders_are_no_classes(tmp_path):
    for name in ("frog/a.wav", "frog/deep/b.wav", "frog/._a.wav", ".git/x.wav", "__MACOSX/frog/a.wav",
                 "$RECYCLE.BIN/c.wav", "System Volume Information/d.wav", "frog/@eaDir/a.wav", "toad/.Trash-0/e.wav"):
        sound(tmp_path / name)
    assert sorted(read(tmp_path)["name"]) == ["frog/a.wav", "frog/deep/b.wav"]


def test_recordings_have_the_same_order_on_every_system(tmp_path, monkeypatch):
    names = ["B/a.wav", "B/c.WAV", "Z/x.wav", "a/b.wav", "c/b.wav"]  # on Windows a path's own order knows no case
    there = [PureWindowsPath("C:/sounds", name) for name in reversed(names)]
    monkeypatch.setattr(listing, "_sounds", lambda *_: there)
    assert listing.found(tmp_path) == [PureWindowsPath("C:/sounds", name) for name in names]


def test_linked_folders_are_followed_once_and_by_their_own_names(tmp_path):
    for name in ("disk/frog/a.wav", "pool/toad/b.wav"):
        sound(tmp_path / name)
    pool = tmp_path / "pool"
    (pool / "frog").symlink_to(tmp_path / "disk" / "frog")
    (pool / "a_toad").symlink_to(pool / "toad")  # the same recordings under a second name, before it in the alphabet
    (pool / "toad" / "all").symlink_to(pool)  # a circle
    (pool / "toad" / "gone").symlink_to(tmp_path / "nowhere")
    (pool / "toad" / "self.wav").symlink_to(pool / "toad" / "self.wav")
    table = read(pool)
    assert dict(zip(table["name"], table["label"])) == {"frog/a.wav": "frog", "toad/b.wav": "toad"}
    assert len(table.attrs["skipped"]) == 1 and "self.wav: cannot be read" in table.attrs["skipped"][0]


def test_formats_that_cannot_be_read_are_named_and_so_is_a_class_that_has_no_others(tmp_path, capsys):
    sound(tmp_path / "frog" / "a.wav")
    for name in ("b.m4a", "c.WMA", "notes.txt", "photo.jpg"):
        (tmp_path / "toad").mkdir(exist_ok=True)
        (tmp_path / "toad" / name).write_bytes(b"\0\0\0 ftypM4A " + bytes(100))
    table = read(tmp_path)
    said = capsys.readouterr().out
    assert table["label"].tolist() == ["frog"]
    assert [line.partition("toad/")[2] for line in table.attrs["skipped"]] == [
        "b.m4a: .m4a cannot be read here: make a WAV or FLAC of it (ffmpeg -i IN.m4a OUT.wav)",
        "c.WMA: .wma cannot be read here: make a WAV or FLAC of it (ffmpeg -i IN.wma OUT.wav)"]
    assert "skipped 2 of 3 files" in said and "1 of 2 classes have no usable recording: toad" in said


def test_spellings_that_are_one_name_are_one_class_and_others_are_told(tmp_path, capsys):
    decomposed = unicodedata.normalize("NFD", "Kröte")
    for i, name in enumerate(("Kröte", decomposed, "Rana  temporaria", "Rana temporaria", "rana_temporaria", "Bufo")):
        sound(tmp_path / name / f"{i}.wav", 300 + i)
    assert sorted(read(tmp_path)["label"].unique()) == ["Bufo", "Kröte", "Rana temporaria", "rana_temporaria"]
    assert "'Rana temporaria' and 'rana_temporaria' are two classes: give them one name if" in capsys.readouterr().out


def test_a_name_that_is_no_utf_8_is_a_counted_skip(tmp_path):
    sound(tmp_path / "frog" / "a.wav")
    os.rename(sound(tmp_path / "frog" / "b.wav"), os.fsencode(tmp_path / "frog") + b"/caf\xe9.wav")
    [line] = read(tmp_path).attrs["skipped"]
    assert line.endswith(r"caf\udce9.wav: its name is no UTF-8: rename it")


@pytest.mark.parametrize("text, encoding", [
    ("file;label;split\r\na.wav;Kröte;train\r\nb.wav;\"Rana; rot\";test\r\n", "utf-8-sig"),
    ("file\tlabel\tsplit\na.wav\tKröte\ttrain\nb.wav\tRana; rot\ttest\n", "utf-16"),
    ("file,label,split,,\na.wav,Kröte,train,,\n\n ,,,,\nb.wav, Rana; rot , test\n", "cp1252"),
    ("\nsep=;\r\nFile;Label;Split\r\na.wav;Kröte;training\r\nb.wav;\"Rana; rot\";Test\r\n", "utf-8"),
    ('file, label ,split,note\nsub\\c.wav,Kröte,train,"a,\nb"\nb.wav,Rana; rot,test\n', "utf-8")])
def test_tables_of_spreadsheets_are_read(text, encoding, tmp_path):
    for name in ("a.wav", "b.wav", "sub/c.wav"):
        sound(tmp_path / name, len(name) * 100)
    (tmp_path / "metadata.csv").write_bytes(text.encode(encoding))
    assert read(tmp_path)[["label", "split"]].to_numpy().tolist() == [["Kröte", "train"], ["Rana; rot", "test"]]


def test_a_spreadsheet_with_decimal_commas(tmp_path):
    sound(tmp_path / "a.wav", seconds=2.0)
    (tmp_path / "metadata.csv").write_text("file;label;start_s;end_s\na.wav;frog;0,5;1,25\n")
    assert read(tmp_path)[["start_s", "end_s"]].to_numpy().tolist() == [[0.5, 1.25]]


def test_segments_and_copies_in_several_splits_are_told(tmp_path, capsys):
    sound(tmp_path / "a.wav", 400, 2.0)
    sound(tmp_path / "b.wav", 500)
    (tmp_path / "c.wav").write_bytes((tmp_path / "b.wav").read_bytes())
    (tmp_path / "list.csv").write_text("file,label,split,start_s,end_s\na.wav,frog,train,0,1\na.wav,frog,test,1,2\n"
                                       "b.wav,frog,train,,\nc.wav,frog,val,,\n")
    assert len(sources.folder(tmp_path / "list.csv")) == 4
    said = capsys.readouterr().out
    assert "segments of 1 recordings lie in more than one split (a.wav)" in said
    assert "1 files lie in more than one split under other names (b.wav)" in said


def test_a_recording_in_two_splits_is_refused_in_every_source():
    table = pd.DataFrame({"file": ["a", "b", "a"], "label": "frog", "split": ["train", "train", "val"]})
    with pytest.raises(ValueError, match="any: a is in train and in val, from 0 s to its end"):
        sources.check(table, "any")
    apart = table.assign(start_s=[0.0, 0.0, 3.0], end_s=[3.0, 1.0, 6.0])
    assert len(sources.check(apart, "any")) == 3
    with pytest.raises(ValueError, match="from 2.5 s to 3 s"):
        sources.check(apart.assign(start_s=[0.0, 0.0, 2.5]), "any")


NAMES = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(rows=st.lists(st.tuples(NAMES, NAMES, st.sampled_from(["train", "val", "test", ""])), min_size=1, max_size=6),
       extra=st.booleans(), newline=st.sampled_from(["\n", "\r\n"]), delimiter=st.sampled_from(",;\t"))
def test_a_csv_that_was_written_is_read_or_refused_by_line(rows, extra, newline, delimiter, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "list.csv"
    with open(file, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, delimiter=delimiter, lineterminator=newline)
        writer.writerows([["file", "label", "split"], *([*row, "x"] if extra else row for row in rows)])
    try:
        table = listing.from_csv(file, "any")
    except ValueError as error:
        assert extra and "4 fields and the header line 3" in str(error)
        return
    assert not extra
    kept = [row for row in rows if any(row)]
    for got, (name, label, split) in zip(table.astype(object).fillna("").itertuples(), kept, strict=True):
        assert got.label == label.strip() and got.split == split
        assert got.file == listing._path(file.parent, name.strip()) if name.strip() else got.file == ""


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["train", "val", "test", "unlabelled"]),
                          st.integers(0, 9), st.integers(1, 4)), min_size=1, max_size=8))
def test_what_is_let_through_shares_no_second_between_splits(rows):
    table = pd.DataFrame([(f, "x", split, start, start + length) for f, split, start, length in rows],
                         columns=["file", "label", "split", "start_s", "end_s"])
    heard = {}
    shared = False
    for file, split, start, length in rows:
        for second in range(start, start + length):
            shared |= heard.setdefault((file, second), split.replace("unlabelled", "train")) \
                != split.replace("unlabelled", "train")
    try:
        tables.check(table, "any")
    except ValueError:
        assert shared
    else:
        assert not shared
