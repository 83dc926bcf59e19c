import numpy as np
import pandas as pd
import pytest

from lib.field import noise
from lib.sources import chorus


def labelled(*rows, seconds=20.0, **more):
    table = pd.DataFrame(rows, columns=["file", "label", "start_s", "end_s"])
    return table.assign(split="train", group=table["file"], duration_s=seconds, **more)


def test_labels_and_gaps_fill_a_recording_and_a_short_pause_is_no_gap():
    table = labelled(("a.wav", "frog", 2.0, 5.0), ("a.wav", "toad", 4.0, 8.0), ("a.wav", "frog", 8.5, 9.0),
                     ("b.wav", "frog", 0.0, 20.0))
    found = noise.gaps(table)
    assert found[["file", "label", "start_s", "end_s"]].values.tolist() == [
        ["a.wav", "noise", 0.0, 2.0], ["a.wav", "noise", 9.0, 20.0]]
    assert found["group"].eq("a.wav").all() and found["split"].eq("train").all()


def test_a_gap_between_stretches_of_two_splits_is_in_neither():
    table = labelled(("a.wav", "frog", 2.0, 5.0), ("a.wav", "frog", 8.0, 9.0), ("a.wav", "frog", 12.0, 13.0))
    found = noise.gaps(table.assign(split=["train", "train", "test"], group=["night 1", "night 1", "night 2"]))
    assert found[["start_s", "end_s", "split", "group"]].values.tolist() == [
        [0.0, 2.0, "train", "night 1"], [5.0, 8.0, "train", "night 1"], [13.0, 20.0, "test", "night 2"]]


def test_short_labels_grow_to_a_window_within_their_recording():
    table = labelled(("a.wav", "frog", 0.0, 0.4), ("a.wav", "frog", 9.8, 10.2), ("a.wav", "frog", 19.9, 20.0),
                     ("a.wav", "frog", 3.0, 9.0))
    grown = noise.widened(table, 3.0)
    assert grown[["start_s", "end_s"]].values.tolist() == [[0.0, 3.0], [8.5, 11.5], [17.0, 20.0], [3.0, 9.0]]
    short = noise.widened(labelled(("a.wav", "frog", 0.5, 1.0), seconds=2.0), 3.0)
    assert short[["start_s", "end_s"]].values.tolist() == [[0.0, 2.0]]


def test_nothing_is_taken_from_a_recording_with_one_label_for_all_of_it():
    table = labelled(("a.wav", "frog", 2.0, 5.0), ("b.wav", "frog", np.nan, np.nan), ("c.wav", "Other", np.nan, np.nan))
    found = noise.added(table, None, 3.0, silent=True)
    assert found.loc[found["label"] == "noise", "file"].tolist() == ["c.wav", "a.wav", "a.wav"]
    assert noise.added(table[["file", "label", "split"]], None, 3.0)["label"].tolist() == ["frog", "frog", "noise"]


def test_unless_all_calls_are_marked_there_is_no_gap():
    table = labelled(("a.wav", "frog", 3.0, 6.0), seconds=60.0)
    assert noise.added(table, None, 3.0)["label"].tolist() == ["frog"]


def test_a_label_without_beginning_or_end_reaches_to_that_of_the_file():
    table = labelled(("a.wav", "frog", 10.0, np.nan), ("b.wav", "frog", np.nan, 30.0), ("b.wav", "toad", 40.0, 45.0),
                     ("c.wav", "frog", np.nan, np.nan), ("c.wav", "toad", 5.0, 6.0), seconds=60.0)
    found = noise.added(table, None, 3.0, silent=True).query("label == 'noise'")
    assert sorted(found[["file", "start_s", "end_s"]].values.tolist()) == [
        ["a.wav", 0.0, 10.0], ["b.wav", 30.0, 40.0], ["b.wav", 45.0, 60.0]]


def test_labels_of_two_splits_do_not_grow_into_each_other():
    table = labelled(("a.wav", "frog", 10.0, 10.2), ("a.wav", "frog", 11.0, 11.2)).assign(
        split=["train", "test"], group=["a", "b"])
    found = noise.added(table, None, 3.0, silent=True)
    assert np.allclose(found.query("label == 'frog'")[["start_s", "end_s"]], [[7.6, 10.6], [10.6, 13.6]])
    assert np.allclose(found.query("label == 'noise'")[["start_s", "end_s"]], [[0.0, 7.6], [13.6, 20.0]])


def test_noise_keeps_its_own_stretches_and_places():
    table = pd.DataFrame({"file": ["frog.wav"], "label": "frog", "split": "val", "group": "1"})
    general = labelled(("rain.wav", "noise", 0.0, 5.0), ("rain.wav", "noise", 20.0, 25.0), seconds=3600.0)
    found = noise.added(table, general.assign(split=["train", "test"], group=["1", "2"]), 3.0)
    assert found[["start_s", "end_s"]].fillna(-1).values.tolist() == [[-1, -1], [0, 5], [20, 25]]
    with pytest.raises(ValueError, match="rain.wav is in train and in test"):
        noise.added(table, general.assign(end_s=30.0, split=["train", "test"], group=["1", "2"]), 3.0)


def test_sounds_that_are_to_test_it_are_left_out(monkeypatch):
    rows = [("rain", "weather"), ("talking", "speech"), ("drill", "machine"), ("chords", "music")]
    table = pd.DataFrame(rows, columns=["label", "taxon"]).assign(split="train", group="clip 0")
    monkeypatch.setattr(chorus, "make", lambda pool, size, seed, **_: table.assign(file=f"{seed}.wav"))
    found = noise.everyday("chorus", ("weather", "talking", "drill"))
    assert len(found) == noise.CLIPS and found["label"].eq("noise").all() and found["taxon"].eq("music").all()
    assert found["split"].value_counts().to_dict() == {"train": 5, "val": 2, "test": 1} and found["group"].is_unique


def test_calls_close_together_are_marked_as_one_stretch():
    table = pd.DataFrame({"file": ["a.wav", "b.wav"], "label": ["frog", "toad"], "split": "val"})
    boxes = pd.DataFrame([("b.wav", 1.0, 2.0), ("a.wav", 0.0, 4.0), ("a.wav", 1.0, 2.0), ("a.wav", 4.8, 5.0),
                          ("a.wav", 7.0, 8.0)], columns=["file", "start_s", "end_s"])
    assert noise.marked(table, boxes)[["label", "start_s", "end_s"]].values.tolist() == [
        ["frog", 0.0, 5.0], ["frog", 7.0, 8.0], ["toad", 1.0, 2.0]]
