"""chorus: the same bytes for the same seed, honest splits, true boxes, resumable making, clear errors."""
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from lib.sources import chorus


def digests(table):
    return [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in table.file]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The smoke wildlife pool, made once for this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDY_CACHE", str(tmp_path_factory.mktemp("chorus")))
        yield chorus.make("wildlife", "smoke", progress=False)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    return tmp_path


def test_table(smoke):
    assert list(smoke.columns) == ["file", "label", "split", "duration_s", "source", "group", "taxon", "genus"]
    assert smoke.file.is_unique and set(smoke.split) == {"train", "val", "test"} and set(smoke.source) == {"chorus"}
    assert smoke.taxon.nunique() == 4 and smoke.label.nunique() == 8
    for row in smoke.itertuples():
        info = soundfile.info(row.file)
        assert (info.samplerate, info.channels, info.subtype) == (22_050, 1, "PCM_16")
        assert abs(info.frames / info.samplerate - row.duration_s) < 1e-3 and 3 <= row.duration_s <= 5


def test_levels_are_those_of_recordings(smoke):
    waves = [soundfile.read(file)[0] for file in smoke.file]
    level = [20 * np.log10(np.sqrt(np.mean(wave ** 2))) for wave in waves]
    assert max(np.abs(wave).max() for wave in waves) < 0.95 and -52 < min(level) and max(level) < -15


def test_groups_and_species_keep_to_their_splits(smoke):
    assert (smoke.groupby("group").split.nunique() == 1).all()
    kinds = chorus.species("smoke").set_index("label")
    for split in ("val", "test"):
        assert set(smoke[smoke.split == split].label) == set(kinds.index[kinds.evaluated])
    assert set(smoke[smoke.split == "train"].label) == set(kinds.index) and (~kinds.evaluated).sum() == 1


def test_tiny_has_enough_species_without_any_sound():
    kinds = chorus.species("tiny")
    siblings = kinds.genus.value_counts()
    assert len(kinds) >= 30 and kinds.evaluated.sum() >= 32 and 6 <= (~kinds.evaluated).sum() <= 8
    assert kinds.label.is_unique and set(kinds.taxon) == {"birds", "frogs", "insects", "mammals"}
    assert len(siblings) >= 10 and siblings.between(2, 4).all()
    assert kinds[kinds.evaluated].genus.value_counts().min() >= 2
    assert kinds.train.max() == 24 and kinds.train.min() == 3 and chorus.SIZES["tiny"].held_out >= 8
    assert not set(kinds.label) & set(chorus.species("tiny", pool="other_species").label)
    smaller = chorus.species("smoke").merge(kinds, on="label")
    assert len(smaller) == 8 and (smaller.voice_x == smaller.voice_y).all()     # a species is the same at every size


def test_same_bytes_whatever_the_workers_and_after_a_loss(smoke, cache, monkeypatch):
    monkeypatch.setattr(chorus, "MANY", 10)                                     # so that smoke uses the pool, too
    table = chorus.make("wildlife", "smoke", progress=False, workers=2)
    assert digests(table) == digests(smoke)
    for file in table.file[3:6]:
        Path(file).unlink()
    again = chorus.make("wildlife", "smoke", progress=False, workers=1)
    pd.testing.assert_frame_equal(again, table)
    assert digests(again) == digests(smoke)


def test_interrupted_making_goes_on(smoke, cache, monkeypatch):
    made, real = [], chorus._record

    def stops(job):
        if len(made) == 20:
            raise KeyboardInterrupt
        made.append(job.index)
        real(job)
    monkeypatch.setattr(chorus, "_record", stops)
    with pytest.raises(KeyboardInterrupt):
        chorus.make("wildlife", "smoke", progress=False)
    assert not list(cache.rglob("manifest.csv")) and len(list(cache.rglob("*.wav"))) == 20
    before = {file: file.stat().st_mtime_ns for file in cache.rglob("*.wav")}
    monkeypatch.setattr(chorus, "_record", real)
    table = chorus.make("wildlife", "smoke", progress=False)
    assert all(file.stat().st_mtime_ns == then for file, then in before.items())  # what was there stays
    assert digests(table) == digests(smoke)
    pd.testing.assert_frame_equal(table.drop(columns="file"), smoke.drop(columns="file"))


def test_seed_empty_and_difficulty_change_the_sound(smoke):
    first = chorus._rows("wildlife", "smoke", 0)[0]
    job = chorus.Job("wildlife", "smoke", 0, 0.4, 1.0, 0, first, "")
    other = job._replace(data_seed=1, row=chorus._rows("wildlife", "smoke", 1)[0])
    assert chorus._plan(job).samples == chorus._plan(job).samples != chorus._plan(other).samples
    assert first["voice"] != other.row["voice"]
    assert not np.array_equal(chorus._plan(job).place.colour, chorus._plan(job._replace(difficulty=2.0)).place.colour)


def test_boxes_lie_in_files_and_hold_the_calls(smoke):
    boxes = chorus.events(smoke)
    assert set(boxes.file) == set(smoke.file) and set(boxes.kind) <= {"call", "background"}
    joined = boxes.merge(smoke[["file", "duration_s", "label"]], on="file")
    assert (joined.start_s >= 0).all() and (joined.end_s <= joined.duration_s + 1e-3).all()
    assert (joined.start_s < joined.end_s).all()
    assert (joined.low_hz < joined.high_hz).all() and (joined.high_hz <= 11_025).all()
    calls = joined[joined.kind == "call"]
    assert (calls.label_x == calls.label_y).all() and set(calls.file) == set(smoke.file)    # each recording has a call
    louder = []
    for file, its in calls.groupby("file"):
        wave, rate = soundfile.read(file)
        power = np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(wave, 512)[::256] * np.hanning(512))) ** 2
        at = (np.arange(len(power)) * 256 + 256) / rate
        inside = np.any([(at > box.start_s) & (at < box.end_s) for box in its.itertuples()], axis=0)
        if inside.any() and not inside.all():
            hz = np.arange(257) * rate / 512
            band = power[:, (hz >= its.low_hz.min()) & (hz <= its.high_hz.max())].sum(1)
            louder.append(10 * np.log10(band[inside].mean() / band[~inside].mean()))
    assert len(louder) > 40 and np.median(louder) > 6 and np.mean(np.array(louder) > 0) > 0.85


def test_empty_share_follows_its_parameter():
    shares = []
    for empty in (0.2, 0.6):
        rows = list(enumerate(chorus._rows("wildlife", "tiny", 0)))[::8]
        jobs = [chorus.Job("wildlife", "tiny", 0, empty, 1.0, i, row, "") for i, row in rows]
        plans = [chorus._plan(job) for job in jobs]
        table = pd.DataFrame({"file": [i for i, _ in rows], "duration_s": [plan.samples / 22_050 for plan in plans]})
        boxes = [(i, at, at + call.long_s, "call")
                 for (i, _), plan in zip(rows, plans) for at, call, _, _ in plan.calls]
        boxes = pd.DataFrame(boxes, columns=["file", "start_s", "end_s", "kind"])
        shares.append(chorus.empty_share(table, boxes))
    assert 0.1 < shares[0] < 0.3 < 0.45 < shares[1] < 0.7


def test_empty_share_by_hand():
    table = pd.DataFrame({"file": ["a", "b"], "duration_s": [6.0, 4.0]})        # windows at 0, 1.5, 3 and at 0, 1
    boxes = pd.DataFrame({"file": "a", "start_s": [0.2, 2.95], "end_s": [0.9, 4.0], "kind": ["call", "background"]})
    assert chorus.empty_share(table, boxes) == pytest.approx(4 / 5)
    boxes["kind"] = "call"                                                      # the second: 0.05 s in the first window
    assert chorus.empty_share(table, boxes) == pytest.approx(2 / 5)
    assert chorus.empty_share(table, boxes, window_s=6.0) == pytest.approx(1 / 2)


def test_general_and_other_species(cache):
    general, other = (chorus.make(pool, "smoke", progress=False) for pool in ("general", "other_species"))
    assert len(general) == len(other) == 24 and general.taxon.nunique() == 7 and general.label.nunique() == 21
    assert len(chorus.events(general)) == 0 and set(other.split) == {"train"}
    for file in general.file:
        wave, rate = soundfile.read(file)
        seconds = np.sqrt((wave[:len(wave) // rate * rate].reshape(-1, rate) ** 2).mean(1))
        assert seconds.min() > 1e-5 and np.abs(wave).max() < 0.95


@pytest.mark.parametrize("change, words", [
    (dict(pool="birds"), "no pool 'birds'; it has wildlife, general, other_species"),
    (dict(size="huge"), "no size 'huge'; it has smoke, tiny, small, paper"),
    (dict(empty=0.95), "empty=0.95 .* choose 0 to 0.9"), (dict(empty=float("nan")), "empty=nan"),
    (dict(difficulty=0), "difficulty=0 .* choose 0.1 .* to 3"),
])
def test_errors_say_what_to_do(change, words):
    with pytest.raises(ValueError, match=words):
        chorus.make(**dict(dict(pool="wildlife", size="smoke", progress=False), **change))


def test_events_needs_made_recordings(tmp_path):
    with pytest.raises(ValueError, match="call chorus.make first"):
        chorus.events(pd.DataFrame({"file": [str(tmp_path / "x.wav")]}))
