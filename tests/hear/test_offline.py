"""The offline tasks: HEAR's layout, honest splits, true answers, the same bytes for a seed, made file by file."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import soundfile

from lib.hear import api, offline, tasks
from lib.runs.scales import scale
from lib.sources import chorus, chorus_recording
from lib.sources.chorus_voices import RATE


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module", params=offline.NAMES)
def task(cache, request):
    """Each of the five at smoke, made once."""
    return tasks.read(offline.make(request.param, "smoke"))


def waves(task):
    for split, answers in task.splits.items():
        for name, answer in answers.items():
            yield split, name, answer, soundfile.read(task.folder / str(RATE) / split / name)[0]


def test_layout_is_the_official_one(task):
    told = json.loads((task.folder / "task_metadata.json").read_text())
    assert {"task_name", "version", "embedding_type", "prediction_type", "split_mode", "sample_duration", "evaluation",
            "splits"} <= told.keys()
    assert task.folder.name == f"{told['task_name']}-{told['version']}-{told['mode']}"
    assert told["splits"] == (list(offline.SPLITS) if len(task.folds) == 1 else list(task.splits))
    assert pd.read_csv(task.folder / "labelvocabulary.csv").columns.tolist() == ["idx", "label"]
    for split, answers in task.splits.items():
        assert {f.name for f in (task.folder / str(RATE) / split).iterdir()} == set(answers) and answers
    lengths = {len(wave) for *_, wave in waves(task)}
    assert lengths == {round(task.seconds * RATE)} if task.seconds else len(lengths) > 10


def test_levels_are_those_of_recordings(task):
    for *_, wave in waves(task):
        assert 0.001 < np.sqrt(np.mean(wave ** 2)) < 0.2 and np.abs(wave).max() < 0.95


def test_classes_are_there_in_every_split(task):
    said = {split: [a["label"] if task.kind == "event" else a for answer in answers.values() for a in answer]
            for split, answers in task.splits.items()}
    if len(task.folds) == 1:  # of events smoke has too few recordings for all taxa in valid and test
        full = said if task.kind == "scene" else ["train"]
        assert all(set(said[split]) == set(task.labels) for split in full)
    else:  # at smoke 24 clips of 21 classes; they are spread as evenly as can be
        assert set().union(*said.values()) == set(task.labels)
        assert max(map(len, said.values())) - min(map(len, said.values())) <= 2


def test_runs_end_to_end(task):
    result = tasks.evaluate(task, api.load_model(""), 0, options=scale("smoke").predictor)
    assert set(result.scores) == set(task.scores) and np.isfinite(result.score) and len(result.folds) == len(task.folds)


def test_species_clips_hold_a_call_and_keep_their_split(cache):
    task = tasks.read(offline.make("species", "smoke"))
    table = chorus.make("wildlife", "smoke", progress=False)
    assert set(task.labels) == set(table.label[table.split == "test"])
    boxes = chorus.events(table).query("kind == 'call'")
    source = {split: [(row, soundfile.read(row.file)[0]) for row in table[table.split == own].itertuples()]
              for own, split in offline.OURS.items()}
    for split, name, answer, wave in list(waves(task))[::5]:
        places = [(row, whole, int(at)) for row, whole in source[split]
                  for at in np.flatnonzero(whole[: len(whole) - len(wave) + 1] == wave[0])]
        [(row, first)] = [(row, at) for row, whole, at in places  # where it was cut
                          if np.array_equal(whole[at : at + len(wave)], wave)]
        own = boxes[boxes.file == row.file]
        assert answer == [row.label] and chorus_recording.holds_call([first / RATE], own.start_s, own.end_s, 3.0)[0]


def test_events_are_whole_recordings_with_their_true_boxes(cache):
    """Those in which only the labelled animal calls; all boxes lie within the sound."""
    task, table = tasks.read(offline.make("events", "smoke")), chorus.make("wildlife", "smoke", progress=False)
    assert task.labels == ("birds", "frogs", "insects", "mammals")
    boxes = chorus.events(table)
    clean = table[[set(boxes.kind[boxes.file == file]) == {"call"} for file in table.file]]
    made = sorted(waves(task), key=lambda w: w[1])
    assert 0 < len(made) == len(clean) < len(table)
    for row, (split, _, answer, wave) in zip(clean.itertuples(), made):
        own = boxes[boxes.file == row.file]
        assert split == offline.OURS[row.split] and np.array_equal(wave, soundfile.read(row.file)[0])
        assert {e["label"] for e in answer} == {row.taxon}
        boxes_ms = 1000 * own[["start_s", "end_s"]].to_numpy()
        assert np.allclose([(e["start"], e["end"]) for e in answer], boxes_ms, atol=0.06)
        assert all(0 <= e["start"] < e["end"] <= 1000 * len(wave) / RATE + 0.1 for e in answer)


def test_counts_and_pitches_are_balanced(cache):
    for name, labels in (("counting", 6), ("pitch", 48)):
        task = tasks.read(offline.make(name, "smoke"))
        counts = [pd.Series([a[0] for a in answers.values()]).value_counts() for answers in task.splits.values()]
        lowest = int(task.labels[0])
        assert task.labels == tuple(str(lowest + n) for n in range(labels))  # in order: chroma counts on it
        assert all(len(c) == labels and c.nunique() == 1 for c in counts)


def test_a_pitch_is_that_of_its_label():
    """The semitone whose first 8 harmonics hold the most, by ear the pitch: right, or an octave off, in nearly all."""
    hits = []
    for i, midi in enumerate(range(36, 84, 2)):
        size = np.abs(np.fft.rfft(offline._note(midi, np.random.default_rng(i)).numpy()))  # bins of 0.5 Hz
        hz = 440 * 2 ** ((np.arange(36, 84) - 69) / 12)
        heard = sum(0.8 ** k * np.array([size[int(2 * k * f * 0.985) : int(2 * k * f * 1.015) + 1].max() for f in hz])
                    for k in range(1, 9))
        hits.append((np.argmax(heard) - (midi - 36)) % 12 == 0)
    assert np.mean(hits) > 0.85


def digests(folder):
    files = [f for f in folder.rglob("*") if f.suffix in (".wav", ".json", ".csv")]
    return {f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.mark.parametrize("name", ["counting", "pitch"])
def test_the_same_bytes_for_the_same_seed_also_after_a_kill(tmp_path, monkeypatch, name):
    monkeypatch.setitem(offline.SIZES, "smoke", {name: (1, 1, 1)})
    monkeypatch.setattr(offline, "SEMITONES", 4)
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    folder = offline.make(name, "smoke")
    first, wavs = digests(folder), sorted(folder.rglob("*.wav"))
    kept = wavs[0].stat().st_mtime_ns
    for lost in (wavs[1], folder / "task_metadata.json"):  # a run that was killed
        lost.unlink()
    assert offline.make(name, "smoke") == folder and digests(folder) == first and wavs[0].stat().st_mtime_ns == kept
    other = digests(offline.make(name, "smoke", data_seed=1))
    assert other.keys() == first.keys() and all(other[f] != first[f] for f in first if f.endswith(".wav"))


def test_errors():
    with pytest.raises(ValueError, match="no task 'speech' of size 'tiny': tasks are species, counting, pitch, "):
        offline.make("speech")
    with pytest.raises(ValueError, match="size 'huge'.*smoke, tiny"):
        offline.make("pitch", "huge")
