import numpy as np
import pandas as pd
import pytest
import soundfile

from lib.sources import chorus, chorus_soundscape
from lib.sources.chorus_voices import RATE


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    monkeypatch.setattr(chorus_soundscape, "BLOCK_S", 15)


def energy(wave, boxes):
    """Of a wave, in all, and outside boxes of time."""
    outside = np.ones(len(wave), bool)
    for box in boxes.itertuples():
        outside[int(box.start_s * RATE): int(box.end_s * RATE) + 1] = False
    return (wave**2).sum(), (wave[outside] ** 2).sum()


def test_every_sound_lies_in_a_true_box_and_several_species_call_at_once():
    wave, truth = chorus_soundscape.make(40, 3, bouts=20, noises=4)
    field, nothing = chorus_soundscape.make(40, 3, bouts=0, noises=0)
    assert len(wave) == len(field) == 40 * RATE and wave.dtype == np.float32 and np.abs(wave).max() < 1
    assert len(nothing) == 0 and list(nothing) == list(truth) == chorus_soundscape.TRUTH
    all_of_it, outside = energy(wave - field, truth)
    assert outside < 0.02 * all_of_it
    calls = truth[truth["kind"] == "call"]
    assert energy(wave - field, calls)[1] > outside  # the rest is in the boxes of the noises
    kinds = chorus.species("tiny").set_index("label")
    assert kinds.loc[calls["label"].unique(), "evaluated"].all()
    assert truth.loc[truth["kind"] == "noise", "label"].str.startswith("noise:").all()
    meets = calls.merge(calls, how="cross").query("label_x != label_y and start_s_x < end_s_y and start_s_y < end_s_x")
    assert len(meets) and truth["start_s"].is_monotonic_increasing and (truth["end_s"] <= 40).all()


def test_a_file_of_another_length_is_the_beginning_of_the_same_soundscape(tmp_path):
    labels = chorus.species("tiny").query("evaluated")["label"][:3].tolist()
    wave, truth = chorus_soundscape.make(33, 1, labels)
    begun = chorus_soundscape.write(tmp_path / "a.wav", 20, 1, labels, bar=None)
    written, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert rate == RATE and len(written) == 20 * RATE and np.abs(written - wave[: len(written)]).max() < 1e-4
    same = truth[truth["start_s"] < 20].assign(end_s=lambda t: t["end_s"].clip(upper=20))
    pd.testing.assert_frame_equal(begun.reset_index(drop=True), same.reset_index(drop=True))
    assert set(truth.query("kind == 'call'")["label"]) <= set(labels)
    assert not np.array_equal(chorus_soundscape.make(5, 2, labels)[0], wave[: 5 * RATE])


def test_a_block_fades_into_the_next_without_a_step():
    field, _ = chorus_soundscape.make(45, 0, bouts=0, noises=0)
    steps, seams = np.abs(np.diff(field)), np.array([15, 27, 30, 42]) * RATE
    assert max(steps[seam - 1] for seam in seams) < np.quantile(steps, 0.999)


def test_a_species_that_nobody_recorded_for_test_is_refused():
    with pytest.raises(ValueError, match="'Corvus corax' is not in the test recordings of chorus smoke; there are "):
        chorus_soundscape.make(3, 0, ["Corvus corax"], size="smoke")
    with pytest.raises(ValueError, match="seconds is 0"):
        chorus_soundscape.make(0, 0)
