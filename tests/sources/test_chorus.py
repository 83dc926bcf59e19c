"""chorus: the same bytes for the same seed, honest splits, true boxes, resumable making, clear errors."""
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from lib.sources import chorus, chorus_recording


def job(pool, size, index=0, data_seed=0, empty=0.4, difficulty=1.0):
    return chorus._job(pool, size, data_seed, empty, difficulty, index, chorus._rows(pool, size, data_seed)[index], "")


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
    assert list(smoke.columns) == ["file", "label", "split", "duration_s", "source", "group", "taxon", "genus",
                                   "recordist"]
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
    assert kinds.train.max() == 24 and kinds.train.min() == 3 and set(kinds.test) == {0, 24}
    assert 0.28 < kinds.second.notna().mean() < 0.38                            # a third has two types of call
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
    made, real = [], chorus_recording.write

    def stops(job):
        if len(made) == 20:
            raise KeyboardInterrupt
        made.append(job.index)
        real(job)
    monkeypatch.setattr(chorus_recording, "write", stops)
    with pytest.raises(KeyboardInterrupt):
        chorus.make("wildlife", "smoke", progress=False)
    assert not list(cache.rglob("manifest.csv")) and len(list(cache.rglob("*.wav"))) == 20
    before = {file: file.stat().st_mtime_ns for file in cache.rglob("*.wav")}
    monkeypatch.setattr(chorus_recording, "write", real)
    table = chorus.make("wildlife", "smoke", progress=False)
    assert all(file.stat().st_mtime_ns == then for file, then in before.items())  # what was there stays
    assert digests(table) == digests(smoke)
    pd.testing.assert_frame_equal(table.drop(columns="file"), smoke.drop(columns="file"))


def test_seed_empty_and_difficulty_change_the_sound(smoke):
    one, other = (job("wildlife", "smoke", data_seed=seed) for seed in (0, 1))
    plan = chorus_recording.plan
    assert plan(one).samples == plan(one).samples != plan(other).samples and one.row["voice"] != other.row["voice"]
    colours = [plan(each).place.recorder.colour for each in (one, one._replace(difficulty=2.0))]
    assert not np.array_equal(*colours)


def test_boxes_lie_in_files_and_hold_the_calls(smoke):
    boxes = chorus.events(smoke)
    assert set(boxes.file) == set(smoke.file) and set(boxes.kind) <= {"call", "background"}
    joined = boxes.merge(smoke[["file", "duration_s", "label"]], on="file")
    assert (joined.start_s >= 0).all() and (joined.end_s <= joined.duration_s + 1e-3).all()
    assert (joined.start_s < joined.end_s).all()
    assert (joined.low_hz < joined.high_hz).all() and (joined.high_hz <= 11_025).all()
    calls = joined[joined.kind == "call"]
    assert (calls.label_x == calls.label_y).all() and set(calls.file) == set(smoke.file)    # each recording has a call
    for side, sign in (("start_s", 1), ("end_s", -1), ("low_hz", 1), ("high_hz", -1)):
        assert (sign * boxes[f"inner_{side}"] >= sign * boxes[side]).all()
    assert (boxes.inner_start_s < boxes.inner_end_s).all() and (boxes.inner_low_hz < boxes.inner_high_hz).all()
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


def test_a_box_holds_the_call_that_was_sung():
    """Share of each call's energy, by a Fourier transform and a cut in time: nothing that the boxes are made with."""
    for index in range(0, 1463, 61):                                            # 24 recordings, all taxa
        rendered = chorus_recording.render(job("wildlife", "tiny", index))
        for piece, box in zip(rendered.pieces, chorus_recording.boxes(rendered), strict=True):
            wave, rate = piece.wave.astype(float), 22_050
            start_s, end_s, low_hz, high_hz = box[:4]
            hz = np.arange(len(wave) // 2 + 1) * rate / len(wave)
            band = np.fft.irfft(np.where((hz >= low_hz) & (hz <= high_hz), np.fft.rfft(wave), 0), len(wave))
            inside = band[max(0, round(start_s * rate) - piece.at):round(end_s * rate) - piece.at + 1]
            assert 0.98 < (inside ** 2).sum() / (wave ** 2).sum() < 0.999


def test_an_inner_box_shrinks_with_the_call():
    rendered = chorus_recording.render(job("wildlife", "tiny", 5))
    area = []
    for gain in (1.0, 0.1, 1e-4):
        quieter = rendered._replace(pieces=[piece._replace(wave=piece.wave * gain) for piece in rendered.pieces])
        box = np.array([row[4:8] for row in chorus_recording.boxes(quieter)])
        area.append(((box[:, 1] - box[:, 0]) * (box[:, 3] - box[:, 2])).mean())
    assert area[0] > 2 * area[1] > 4 * area[2] > 0                              # at the end one cell of the spectrogram


def test_some_general_clips_hold_an_animal():
    plans = [chorus_recording.plan(job("general", "tiny", i)) for i in range(0, 2000, 10)]
    assert 0.03 < np.mean([len(plan.others) > 0 for plan in plans]) < 0.15 and not any(plan.calls for plan in plans)


def test_wrong_labels_and_recordists_are_where_they_belong(cache, smoke):
    table = chorus.make("wildlife", "smoke", wrong_labels=0.5, recordist=1.0, progress=False)
    true = chorus.events(table).query("kind == 'call'").groupby("file").label.unique().str[0]
    wrong = table.set_index("file").label != true
    train = (table.split == "train").to_numpy()
    assert 0.2 < wrong[train].mean() < 0.8 and not wrong[~train].any() and set(table.label) == set(smoke.label)
    named = table.assign(true=true.loc[table.file].to_numpy()).groupby(["split", "true"]).recordist.nunique()
    assert (named["train"] == 1).all() and (named["val"] == 1).all()            # at 1 each species has its own
    assert (table.groupby("group").recordist.nunique() == 1).all() and set(smoke.recordist) == {""}


def test_empty_share_follows_its_parameter():
    shares = []
    for empty in (0.2, 0.6):
        jobs = [job("wildlife", "tiny", i, empty=empty) for i in range(0, 1463, 12)]
        plans = [chorus_recording.plan(job) for job in jobs]
        table = pd.DataFrame({"file": [job.index for job in jobs],
                              "duration_s": [plan.samples / 22_050 for plan in plans]})
        boxes = [(job.index, at, at + call.long_s, "call")
                 for job, plan in zip(jobs, plans) for at, call, _, _ in plan.calls]
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
    assert set(other.split) == {"train"} and set(chorus.events(general).kind) <= {"background"}
    for file in general.file:
        wave, rate = soundfile.read(file)
        seconds = np.sqrt((wave[:len(wave) // rate * rate].reshape(-1, rate) ** 2).mean(1))
        assert seconds.min() > 1e-5 and np.abs(wave).max() < 0.95


@pytest.mark.parametrize("change, words", [
    (dict(pool="birds"), "no pool 'birds'; it has wildlife, general, other_species"),
    (dict(size="huge"), "no size 'huge'; it has smoke, tiny, small, paper"),
    (dict(empty=0.95), "empty=0.95 .* choose 0 to 0.9"), (dict(empty=float("nan")), "empty=nan"),
    (dict(difficulty=0), "difficulty=0 .* choose 0.1 to 3"),
    (dict(wrong_labels=1), "wrong_labels=1 .* choose 0 to 0.9"), (dict(recordist=-1), "recordist=-1 .* choose 0 to 1"),
])
def test_errors_say_what_to_do(change, words):
    with pytest.raises(ValueError, match=words):
        chorus.make(**dict(dict(pool="wildlife", size="smoke", progress=False), **change))


def test_events_needs_made_recordings(tmp_path):
    with pytest.raises(ValueError, match="call chorus.make first"):
        chorus.events(pd.DataFrame({"file": [str(tmp_path / "x.wav")]}))
