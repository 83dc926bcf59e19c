import csv
import os
import re
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from toys import tone

from lib import paths, sources
from lib.sources import labels, selections, tables


@pytest.mark.parametrize("threshold", [0, -1, 1.5, float("nan"), "half", None, True])
def test_a_threshold_is_a_probability(threshold):
    with pytest.raises(ValueError, match=f"threshold is {threshold}: .* above 0 and at most 1"):
        selections.checked(threshold)


FOUND = pd.DataFrame({"file": ["pond/a.wav", "pond/a.wav", "b.flac"], "label": ["Rana temporaria", "Bufo bufo", "Été"],
                      "start_s": [0.0, 61.25, 3.123456],
                      "end_s": [4.5, 3600.5, 6.0], "score": [0.91, 0.5, 1.0], "windows": [2, 40, 1]})


def test_raven_and_audacity_files_come_back(tmp_path):
    written = selections.export(FOUND, tmp_path, (50.0, 11_025.0), {"b.flac": 16_000})
    assert [str(f.relative_to(tmp_path)) for f in written] == ["audacity/pond/a.txt",
                                                               "raven/pond/a.Table.1.selections.txt", "audacity/b.txt",
                                                               "raven/b.Table.1.selections.txt", "selections.csv"]
    for file, track, table in (("pond/a.wav", *written[:2]), ("b.flac", *written[2:4])):
        own = FOUND[FOUND["file"] == file].reset_index(drop=True)[["label", "start_s", "end_s"]]
        pd.testing.assert_frame_equal(selections.read(track), own)
        pd.testing.assert_frame_equal(selections.read(table), own)
    pd.testing.assert_frame_equal(pd.read_csv(written[-1]), FOUND.round(4))


def test_a_raven_table_is_as_raven_writes_it(tmp_path):
    written = selections.export(FOUND, tmp_path, (50.0, 11_025.0), {"b.flac": 16_000})
    lines = written[1].read_text().split("\n")
    assert lines[0].split("\t") == ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)",
                                    "High Freq (Hz)", "Species", "Score"]
    assert lines[1] == "1\tSpectrogram 1\t1\t0.000000\t4.500000\t50.0\t11025.0\tRana temporaria\t0.9100"
    assert lines[3] == "" and len(lines) == 4
    assert "\t8000.0\tÉté\t" in written[3].read_text(encoding="utf-8")  # no box above what the recording holds
    assert written[0].read_bytes() == b"0.000000\t4.500000\tRana temporaria\n61.250000\t3600.500000\tBufo bufo\n"


def test_recordings_of_one_name_do_not_meet(tmp_path):
    two = FOUND.assign(file=["a.wav", "a.mp3", "a.wav"])
    names = [f.name for f in selections.export(two, tmp_path, (50, 11_025))]
    assert sorted(names) == ["a.mp3.Table.1.selections.txt", "a.mp3.txt", "a.wav.Table.1.selections.txt", "a.wav.txt",
                             "selections.csv"]


def test_what_people_export_is_read(tmp_path):
    raven = tmp_path / "r.txt"
    raven.write_text("Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"
                     "\tFile Offset (s)\tAnnotation\n1\tWaveform 1\t1\t600.5\t602\t0\t1\t0.5\tfrog\n"
                     "1\tSpectrogram 1\t1\t600.5\t602\t0\t1\t0.5\tfrog\n"
                     "2\tSpectrogram 1\t1\t610\t611.5\t0\t1\t10\t toad \n",
                     encoding="cp1252")
    assert selections.read(raven).to_dict("list") == {"label": ["frog", "toad"], "start_s": [0.5, 10.0],
                                                      "end_s": [2.0, 11.5]}  # one of a sequence of files
    with pytest.raises(ValueError, match="r.txt: no column Kind with the species.* name it with column="):
        selections.read(raven, "Kind")
    track = tmp_path / "a.txt"
    track.write_text("\ufeff1.000000\t2.500000\tfrog\n\\\t1484.669312\t2969.338523\n\n3.0\t3.0\tpoint\n4.0\t5.0\n",
                     encoding="utf-8")
    assert selections.read(track).to_dict("list") == {"label": ["frog", "point", ""], "start_s": [1, 3, 4],
                                                      "end_s": [2.5, 3, 5]}
    track.write_text("1.0\t2.0\tfrog\n1,5\t2,5\ttoad\n")
    with pytest.raises(ValueError,
                       match=r"a.txt: line 2 is '1,5\\t2,5\\ttoad': a label track has start, end and label"):
        selections.read(track)
    raven.write_text("Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\t0\t1\tfrog\n2\t\t1\ttoad\n")
    with pytest.raises(ValueError, match="r.txt: line 3 has no times"):
        selections.read(raven)


def test_what_is_marked_in_one_recording_is_of_it_alone(tmp_path, capsys):
    raven = tmp_path / "r.txt"
    raven.write_text("Selection\tBegin File\tBegin Time (s)\tEnd Time (s)\tFile Offset (s)\tSpecies\n"
                     "1\tNight.wav\t3\t7\t3\tfrog\n2\tday.wav\t103\t107\t20\tfrog\n"
                     "3\tnight.wav\t70\t71\t70\ttoad\n4\tnight.wav\t8\t8\t8\ttoad\n")
    assert selections.marked(raven, "night.wav", 70).to_dict("list") == {"label": ["frog"], "start_s": [3],
                                                                         "end_s": [7]}
    said = capsys.readouterr().out
    assert "left out 3 of 4 labels" in said and "'frog' at 20 s is of day.wav" in said
    assert "'toad' at 70 s begins behind the end of night.wav (70 s)" in said and "'toad' at 8 s has no length" in said
    with pytest.raises(ValueError, match="r.txt: marks nothing in dusk.wav; the first of 4 labels: .frog. at 3 s"):
        selections.marked(raven, "dusk.wav", 70)
    raven.write_text("Selection\tBegin Path\tBegin Time (s)\tEnd Time (s)\tFile Offset (s)\tSpecies\n"
                     "1\tD:\\siteA\\0501.WAV\t1\t2\t1\tfrog\n"  # every AudioMoth's are called so
                     "2\tD:\\siteB\\0501.WAV\t3\t4\t3\ttoad\n")
    for site, label in (("siteA", "frog"), ("siteB", "toad")):
        assert selections.marked(raven, f"/data/{site}/0501.wav", 70)["label"].tolist() == [label]
    with pytest.raises(ValueError, match="may both be 0501.wav: keep one table per recording"):
        selections.marked(raven, "0501.wav", 70)
    raven.write_text("1.0\t2.0\tfrog\n")  # a label track names no recording
    assert len(selections.marked(raven, "dusk.wav", 70)) == 1


@pytest.fixture
def pond(tmp_path):
    """Three recordings; one labelled in Audacity, one in Raven, one not."""
    rng = np.random.default_rng(0)
    for name in ("a.wav", "2024/b.flac", "c.ogg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, tone(800, 8.0, rng, 8000).numpy(), 8000)
    (tmp_path / "a.txt").write_text("0.5\t2.0\tfrog\n3.0\t3.0\tfrog\n4.0\t5.0\t\n6.0\t7.0\ttoad\n")
    (tmp_path / "2024" / "b.Table.1.selections.txt").write_text(
        "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\t1\t4\tfrog\n2\t5\t8\ttoad\n")
    (tmp_path / "notes.txt").write_text("no labels of anything")
    return tmp_path


def test_labels_of_a_folder_become_its_table(pond, capsys):
    table = selections.annotations(pond)
    assert table.to_dict("list") == {"file": ["2024/b.flac", "2024/b.flac", "a.wav", "a.wav"],
                                     "label": ["frog", "toad", "frog", "toad"],
                                     "start_s": [1, 5, 0.5, 6], "end_s": [4, 8, 2, 7]}
    assert table.attrs["skipped"] == ["a.txt: 'frog' at 3 s has no length", "a.txt: '' at 4 s has no name",
                                      "c.ogg: no label file beside it"]
    assert "left out 3" in capsys.readouterr().out
    table.to_csv(pond / "metadata.csv", index=False)
    read = sources.folder(pond)
    assert read["duration_s"].eq(8).all() and len(read) == 4 and read.groupby("file")["split"].nunique().eq(1).all()
    assert read[["label", "start_s", "end_s"]].equals(table[["label", "start_s", "end_s"]])


def test_a_folder_without_labels_says_what_it_looks_for(pond):
    for file in pond.rglob("*.txt"):
        file.unlink()
    match = r"none of its 3 recordings has a label; looked for REC.txt \(Audacity\) and REC.Table.1.selections.txt"
    with pytest.raises(ValueError, match=match):
        selections.annotations(pond)


def test_a_long_recording_with_many_labels_is_decoded_once(pond, monkeypatch):
    seen, decoded = [], tables._decoded
    monkeypatch.setattr(tables, "_decoded", lambda file: seen.append(file) or decoded(file))
    selections.annotations(pond).to_csv(pond / "metadata.csv", index=False)
    sources.folder(pond)
    assert len(seen) == len(set(seen)) == 2


# What a label file says

HEAD = ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"]


def raven(*rows, more=("Species",)):
    """A Raven table of rows (number, view, begin, end, *the other columns)."""
    lines = [[*HEAD, *more]] + [[n, view, 1, begin, end, 0, 1, *rest] for n, view, begin, end, *rest in rows]
    return "".join("\t".join(map(str, line)) + "\n" for line in lines)


def said(text, name="t.txt", column=""):
    return labels.read(text, name, column)[["label", "start_s", "end_s"]].to_numpy().tolist()


@pytest.mark.parametrize("name, right", [
    ("raven_quotes", [['"song', 1.0, 1.5], ["B", 2.0, 2.5], ['call"', 3.0, 3.5], ["D", 4.0, 4.5]]),
    ("raven_sequence", [["A", 0.1, 0.5], ["B", 1.0, 1.5]]),
    ("raven_pasted", [["A", 0.1, 0.5], ["B", 1.0, 1.5], ["C", 3.0, 3.5]])])
def test_the_tables_that_were_read_wrongly_are_read_right(name, right):
    file = paths.ROOT.parent / "shared" / "faults" / f"{name}.txt"
    if not file.exists():
        pytest.skip("../shared/faults is not there")
    assert selections.read(file)[["label", "start_s", "end_s"]].to_numpy().tolist() == right


def test_a_quote_is_a_letter_like_any_other():
    text = raven((1, "S", 1, 1.5, '"song'), (2, "S", 2, 2.5, "B"), (3, "S", 3, 3.5, 'call"'), (4, "S", 4, 5, '"C" D'))
    assert [row[0] for row in said(text)] == ['"song', "B", 'call"', '"C" D']


def test_a_label_file_is_split_at_line_ends_and_tabs_alone():
    odd = ["a\x0bb", "a\x1cb", "a\x85b", "a\u2028b", "a\u2029b", "a\x0cb", "\\a", "a\0b"]
    assert [row[0] for row in said("".join(f"1\t2\t{label}\n" for label in [*odd, "a\tb"]))] == [*odd, "a\tb"]
    assert [row[0] for row in said(raven(*((1, "S", 1, 2, label) for label in odd)))] == odd


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n", "\n\n \t\n"])
def test_any_encoding_and_line_end_gives_the_same_rows(encoding, end, tmp_path):
    for text in (raven((1, "S", 0.5, 2, "Été")), "0.5\t2\tÉté\n"):
        (tmp_path / "t.txt").write_bytes(("\n" + text).replace("\n", end).encode(encoding))
        assert selections.read(tmp_path / "t.txt").to_numpy().tolist() == [["Été", 0.5, 2.0]]


def test_only_a_selection_in_another_view_counts_once():
    pasted = raven((1, "S", 0.1, 0.5, "A"), (2, "S", 1, 1.5, "B")) + "\ufeff" + raven((1, "S", 3, 3.5, "C"))
    assert [row[0] for row in said(pasted)] == ["A", "B", "C"]
    assert [row[0] for row in said(pasted.replace("\tS\t", "\t\t"))] == ["A", "B", "C"]
    both = raven((1, "Waveform 1", 1, 2, "A"), (1, "Spectrogram 1", 1, 2, "A"), (1, "Spectrogram 1", 1, 2, "B"),
                 (2, "Spectrogram 1", 1, 2, "A"), (2, "Spectrogram 1", 1, 2, "A"))
    assert said(both) == [["A", 1, 2], ["B", 1, 2], ["A", 1, 2], ["A", 1, 2]]
    measured = raven((1, "Waveform 1", 1, 2, "A", ""), (1, "Spectrogram 1", 1, 2, "A", "70.1"),
                     more=("Species", "Peak Power"))  # of which a waveform has none
    assert len(said(measured)) == 1


def test_columns_may_differ_in_letter_case_and_blanks_and_change_where_tables_were_pasted():
    head = "selection\tVIEW\tBegin  Time (S)\t End Time (s)\tspecies \n"
    assert said(head + "1\tS\t1\t2\tA\n" + "Species\tEnd Time (s)\tBegin Time (s)\nB\t4\t3\n") == [["A", 1, 2],
                                                                                                  ["B", 3, 4]]
    assert said(head.replace("species", "kind") + "1\tS\t1\t2\tA\n", column="Kind") == [["A", 1, 2]]
    assert said("1\t2\tBegin Time (s)\n3\t4\tfrog\n") == [["Begin Time (s)", 1, 2], ["frog", 3, 4]]
    with pytest.raises(ValueError, match="t.txt: line 1 has the column 'species' 2 times: rename"):
        said(raven((1, "S", 1, 2, "A", "B"), more=("Species", "species")))


@pytest.mark.parametrize("times", [("nan", "2"), ("1", "inf"), ("-1", "2"), ("3", "2"), ("1", "1e999"), ("1_0", "20"),
                                   ("", "2"), ("1,500", "2,500"), ("1.500,5", "2"), ("0.5", "1,5"), ("0x1", "2")])
def test_times_that_are_none_are_refused_by_line(times):
    with pytest.raises(ValueError, match=r"^t.txt: line 3 has no times from 0 on.* Begin Time '.*', End Time '"):
        said(raven((1, "S", 0, 1, "A"), (2, "S", *times, "B")))
    with pytest.raises(ValueError, match=r"^t.txt: line 2 is '.*: a label track has start, end and label"):
        said("0\t1\tA\n" + "\t".join(times) + "\tB\n")


def test_decimal_commas_are_read_where_they_can_mean_nothing_else():
    for text in (raven((1, "S", "0,5", "1,500", "A"), (2, "S", 2, "1234,5", "B")), "0,5\t1,500\tA\n2\t1234,5\tB\n"):
        assert said(text) == [["A", 0.5, 1.5], ["B", 2, 1234.5]]


def test_a_row_with_more_or_fewer_fields_than_the_header_is_named_and_never_shifted():
    for row, fields in (("2\tS\t1\t2\t3\t0\t1\n", 7), ("2\tS\t1\t2\t3\t0\t1\tB\tC\n", 9)):
        with pytest.raises(ValueError, match=f"t.txt: line 3 has {fields} fields, its header 8: each row needs"):
            said(raven((1, "S", 0, 1, "A")) + row)


# Label files in a folder of recordings

@pytest.fixture
def lake(tmp_path):
    """lake(*names) -> a folder with recordings of those names, which nothing decodes."""
    def made(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path
    return made


def found(folder):
    return selections.annotations(folder).to_numpy().tolist()


OF = ("Begin File", "File Offset (s)", "Species")  # further columns of a table of several recordings


def test_a_table_of_several_recordings_gives_each_its_own_labels(lake):
    root = lake("r1.wav", "r2.wav", "r3.wav")
    table = raven((1, "S", 0.1, 0.5, "r1.wav", 0.1, "A"), (2, "S", 6, 6.5, "r2.wav", 1, "B"),
                  (3, "S", 60, 61, "r9.wav", 2, "C"), more=OF)
    for name in ("r1.Table.1.selections.txt", "night.txt", "below/night.txt"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(table)
        got = selections.annotations(root)
        assert got.to_numpy().tolist() == [["r1.wav", "A", 0.1, 0.5], ["r2.wav", "B", 1, 1.5]]
        assert got.attrs["skipped"] == [f"{name}: 'C' at 2 s is of r9.wav, which is not in this folder",
                                        "r3.wav: no label file beside it"]
        (root / name).unlink()
    (root / "night.txt").write_text(table.replace("\t2\tC", "\t\tC"))
    with pytest.raises(ValueError, match="night.txt: line 4 is of r9.wav, others .* no File Offset .*: add that"):
        selections.annotations(root)


def test_the_folders_of_a_begin_path_tell_recordings_of_one_name_apart(lake):
    root, more = lake("pond/r.wav", "lake/r.wav"), ("Begin File", "Begin Path", "Species")
    (root / "pond" / "t.txt").write_text(raven((1, "S", 1, 2, "r.wav", r"D:\Field\Lake\r.wav", "A"), more=more))
    assert found(root) == [["lake/r.wav", "A", 1, 2]]
    (root / "pond" / "t.txt").write_text(raven((1, "S", 1, 2, "r.wav", "", "A"), more=more))
    assert found(root) == [["pond/r.wav", "A", 1, 2]]  # beside the table
    (root / "pond" / "t.txt").rename(root / "t.txt")
    with pytest.raises(ValueError, match="t.txt: r.wav is lake/r.wav and pond/r.wav: give the table a Begin Path"):
        selections.annotations(root)


def test_a_label_file_that_fits_two_recordings_is_an_error_that_names_all_three(lake):
    root = lake("a.wav", "a.flac")
    (root / "a.txt").write_text("1\t2\tfrog\n")
    match = "a.txt may be of a.flac or of a.wav: call it a.flac.txt or a.wav.txt, or let a Raven table say it"
    with pytest.raises(ValueError, match=match):
        selections.annotations(root)
    (root / "a.txt").write_text(raven((1, "S", 1, 2, "a.wav", 1, "frog"), more=OF))
    assert found(root) == [["a.wav", "frog", 1, 2]]
    (root / "a.txt").rename(root / "a.flac.txt")
    (root / "a.flac.txt").write_text("1\t2\tfrog\n")
    assert found(root) == [["a.flac", "frog", 1, 2]]


def test_a_file_called_after_the_whole_name_belongs_to_that_recording_alone(lake):
    root = lake("a.wav", "a.wav.wav")
    for name, label in (("a.wav.txt", "frog"), ("a.wav.wav.txt", "toad")):
        (root / name).write_text(f"1\t2\t{label}\n")
    assert found(root) == [["a.wav", "frog", 1, 2], ["a.wav.wav", "toad", 1, 2]]


def test_letter_cases_and_unicode_forms_part_a_label_file_from_no_recording_but_the_exact_one_is_preferred(lake):
    root = lake("A.WAV", "E\u0301.wav", "b.wav", "B.wav")
    for name in ("a.txt", "É.txt", "b.txt"):
        (root / name).write_text("1\t2\tfrog\n")
    assert [row[0] for row in found(root)] == ["A.WAV", "E\u0301.wav", "b.wav"]


def test_what_stands_in_two_files_of_a_recording_counts_once(lake):
    root = lake("a.wav")
    (root / "a.txt").write_text("1\t2\tfrog\n5\t6\tfrog\n5\t6\tfrog\n7\t8\ttoad\n")
    (root / "a.Table.2.selections.txt").write_text(
        raven((1, "S", 1.001, 1.999, "frog"), (2, "S", 5, 6, "frog"), (3, "S", 5, 6, "toad"),
              (4, "S", 7, 8.01, "toad")))
    got = selections.annotations(root)
    assert sorted(got[["label", "start_s", "end_s"]].to_numpy().tolist()) == [
        ["frog", 1.001, 1.999], ["frog", 5, 6], ["frog", 5, 6], ["toad", 5, 6], ["toad", 7, 8], ["toad", 7, 8.01]]
    assert got.attrs["skipped"] == ["a.txt: 2 of its labels stand in another file too and count once"]


def test_a_table_of_no_recording_is_named_and_notes_are_not(lake):
    root = lake("a.wav")
    (root / "a.txt").write_text("1\t2\tfrog\n")
    (root / "b.txt").write_text(raven((1, "S", 1, 2, "toad")))
    (root / "c.txt").write_text(raven((1, "S", 2, 1, "toad")))
    (root / "notes.txt").write_text("rain")
    skipped = selections.annotations(root).attrs["skipped"]
    assert skipped[0] == "b.txt: 'toad' at 1 s is of no recording: its file is called after none"
    assert len(skipped) == 2 and skipped[1].startswith("c.txt: line 2 has no times")


# What is written

BLANKS = "".join(c for c in map(chr, range(32, 0x3001)) if c.isspace())  # what reading strips
LABELS = st.text(st.one_of(st.characters(exclude_categories=["Cs"]),
                           st.sampled_from("\t\n\r\0\x0b\x1c\x7f\x85\u2028\"'\\ ,␀␉␡␦\ufeff")), max_size=8)
NAMES = st.builds("{}{}".format, st.text("aAé\u0301\\. -ß", min_size=1, max_size=3),
                  st.sampled_from(["", ".wav", ".flac", ".wav.wav", ".txt", ".Table.1.selections", "x" * 240]))
FILES = st.lists(NAMES, min_size=1, max_size=3).map("/".join).filter(
    lambda file: not {"", ".", ".."} & set(file.split("/")))
TIMES = st.tuples(*[st.floats(0, 1e9, allow_subnormal=False)] * 2).map(sorted)


@given(st.lists(st.tuples(FILES, LABELS, TIMES, st.floats(0, 1)), min_size=1, max_size=3))
def test_what_is_exported_is_read_back_whatever_labels_and_files_are_called(rows):
    table = pd.DataFrame([(file, label, *times, score, 1) for file, label, times, score in rows],
                         columns=selections.COLUMNS)
    files = list(table["file"].unique())
    with tempfile.TemporaryDirectory() as folder:
        written = selections.export(table, folder, (50, 11_025))
        assert len(set(written)) == len({str(file).casefold() for file in written}) == 2 * len(files) + 1
        for i, file in enumerate(files):
            own = table[table["file"] == file]
            for path in written[2 * i : 2 * i + 2]:
                back = selections.read(path)
                assert back["label"].tolist() == [label.strip(BLANKS) for label in own["label"]]
                assert np.allclose(back[["start_s", "end_s"]], own[["start_s", "end_s"]], rtol=0, atol=1e-6)
        with open(written[-1], encoding="utf-8", newline="") as opened:
            assert [row["label"] for row in csv.DictReader(opened)] == table["label"].tolist()


@given(st.lists(FILES, min_size=1, max_size=8, unique=True), st.data())
def test_a_recording_s_name_is_its_own_on_any_disk_and_short_enough(files, data):
    named = selections.names(files)
    assert named == selections.names(data.draw(st.permutations(files))) and set(named) == set(files)
    places = [f"{name}{ending}" for name in named.values() for ending in (".txt", ".Table.1.selections.txt")]
    plain = [unicodedata.normalize("NFC", place).casefold() for place in places]
    folders = {unicodedata.normalize("NFC", str(folder)).casefold() for file in files for folder in Path(file).parents}
    assert len(set(plain)) == len(places) and not folders & set(plain)
    assert all(len(os.fsencode(Path(place).name)) <= 245 for place in places)
    assert all(os.path.dirname(name) == os.path.dirname(file) for file, name in named.items())


def test_names_are_as_short_as_they_can_be_and_a_file_outside_is_refused():
    assert selections.names(["pond/a.wav", "b.wav", "b.flac", "c.wav", "c.wav.wav", "x.wav", "x.txt/y.wav"]) == {
        "pond/a.wav": "pond/a", "b.wav": "b.wav", "b.flac": "b.flac", "c.wav": "c", "c.wav.wav": "c.wav.wav",
        "x.wav": "x.wav", "x.txt/y.wav": "x.txt/y"}
    for file in ("/data/a.wav", "../a.wav"):
        with pytest.raises(ValueError, match=f"'{file}' leads out of the folder of recordings"):
            selections.names([file])


def test_a_name_does_not_depend_on_which_recordings_have_selections(tmp_path):
    named = selections.names(["b.flac", "b.wav", "pond/a.wav"])
    written = selections.export(FOUND, tmp_path, (50, 11_025), named=named)
    assert [str(f.relative_to(tmp_path)) for f in written[::2]] == ["audacity/pond/a.txt", "audacity/b.flac.txt",
                                                                    "selections.csv"]


def test_half_a_character_in_a_label_or_a_file_name_does_not_end_an_export(tmp_path):
    odd = FOUND.astype(object).assign(file=pd.Series(["\udce9.wav"] * 3, dtype=object),
                                      label=pd.Series(["\ud800", "a", "b"], dtype=object))
    track, table, _ = selections.export(odd, tmp_path, (50, 11_025))
    assert selections.read(track)["label"].tolist() == selections.read(table)["label"].tolist() == ["\\ud800", "a", "b"]


def test_what_is_exported_is_found_again_beside_its_recording(lake):
    long = "x" * 246 + ".wav"
    root = lake("pond/a.wav", "pond/a.flac", "A.wav", "a.wav", long)
    table = pd.DataFrame([(file, file[:9], 1.0, 2.0, 0.5, 1) for file in sorted(
        str(f.relative_to(root)) for f in root.rglob("*.*"))], columns=selections.COLUMNS)
    written = selections.export(table, root / "out", (50, 11_025))
    for track in written[:-1:2]:
        track.rename(root / track.relative_to(root / "out" / "audacity"))
    assert found(root) == table[selections.COLUMNS[:4]].to_numpy().tolist()


TEXTS = (raven((1, "Waveform 1", 0.1, 0.5, "r1.wav", 0.1, "A"), (1, "Spectrogram 1", 0.1, 0.5, "r1.wav", 0.1, "A"),
               (2, "Spectrogram 1", "6,25", 6.5, "r2.wav", 1, '"B'), more=OF),
         raven((1, "S", "0,5", "1,5", "A"), (2, "S", 2, 3, "")) + raven((1, "S", 3, 3.5, "C")),
         raven((1, "S", 0.5, 1.5, "A"), (2, "S", 2, 3, "B")), "0.5\t2.0\tfrog\n3.0\t3.0\tpoint\n4.0\t5.0\n",
         "0,5\t2,25\tfrog\n\\\t100,0\t2000,0\n3\t4\ttoad\n")
SPLICES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 9), st.one_of(
    st.sampled_from(["", "\t", "\n", "\r", '"', "\\", ",", ".", "nan", "-", "1e", "Begin Time (s)", "\0", "\x85", "9"]),
    st.text(max_size=3))), min_size=1, max_size=4)


@given(st.sampled_from(TEXTS), SPLICES, st.sampled_from(["utf-8", "utf-16", "cp1252"]))
def test_a_damaged_label_file_loses_no_row_without_a_word(text, splices, encoding):
    for at, length, put in splices:
        text = text[:at] + put + text[at + length :]
    with tempfile.TemporaryDirectory() as folder:
        (file := Path(folder) / "t.txt").write_bytes(content := text.encode(encoding, "replace"))
        try:
            got = selections.read(file)
        except ValueError as error:
            assert str(error).startswith("t.txt: ") and "\n" not in str(error)
            return
    lines = [line for line in re.split("[\r\n]", content.decode(encoding).removeprefix("\ufeff")) if line.strip()]
    if labels.is_table("\n".join(lines)):
        rows = [line.split("\t") for line in lines if not re.search(r"(?i)begin\s+time\s+\(s\)", line)]
        assert len({(row[0], *row[2:]) for row in map(tuple, rows)}) <= len(got) < len(lines)
    else:
        assert len(got) == sum(not line.startswith("\\\t") for line in lines)
    assert np.isfinite(got[["start_s", "end_s"]]).all(axis=None) and (0 <= got["start_s"]).all()
    assert (got["start_s"] <= got["end_s"]).all()
