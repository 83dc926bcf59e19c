"""The error browser in plain Python."""

import examples
import numpy as np
import pytest

from lib import mel
from lib.explorers import confusions


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return examples.of_confusions(tmp_path_factory.mktemp("confusions"))


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """What is guessed, and what was learned from."""
    table, _ = examples.recordings(tmp_path_factory.mktemp("recordings"))
    return table[table["split"] == "val"], table[table["split"] == "train"]


def test_orders(one):
    assert one.wrong().tolist() == [1, 2, 5, 4]  # by the probability of the wrong guess: 0.8, 0.6, 0.5, 0.45
    nearest = one.wrong(order="nearest to right first")
    assert nearest.tolist() == [4, 5, 2, 1]  # by what the truth lacks: 0.05, 0.1, 0.3, 0.6
    assert one.wrong((1, 0)).tolist() == [1, 4] and one.wrong((0, 1)).tolist() == []
    with pytest.raises(ValueError, match="order is 'x': choose one of surest first"):
        one.wrong(order="x")


def test_says_what_was_taken_for_what(one):
    view = one.update(place=1)
    assert view.text == ("Mistake 2 of 4: a recording of Cici was taken for Bebe with probability 0.60; "
                         "Cici had 0.30, rank 2 of 3.")
    assert view.numbers == {"recordings": 6, "wrong": 4, "probability of the guess": 0.6,
                            "probability of the truth": 0.3, "rank of the truth": 2}
    assert "own species: Cici; taken for: Bebe" in view.alt
    assert one.update(place=1) == view and one.update(place=0).image != view.image
    assert [title for title, _ in one.hear(place=1)] == ["this recording", "its own species: Cici", "taken for: Bebe"]
    assert one.update(place=99).text.startswith("Mistake 4 of 4")


def test_shows_the_loudest_window_with_its_calls(one):
    wave, _, boxes = one.tested.loudest(1)  # its second half is hiss
    whole = one.tested.waves.read(1, 0, 6 * 22_050)
    assert len(wave) == mel.INAT.samples and wave.square().sum() > 0.9 * whole.square().sum()
    for box in boxes.itertuples():  # where the wave is loud
        inside = wave[round(box.start_s * 22_050) : round(box.end_s * 22_050)]
        assert inside.abs().max() > 0.25
    assert len(boxes) == 3


def test_pairs_and_place(one):
    assert [label for label, _ in one.pair.options][:2] == ["all of them (4)", "Bebe taken for Aba (2)"]
    one.place.value = 3
    one.pair.value = (1, 0)
    assert one.place.value == 1 and one.place.max == 2 and "Mistake 1 of 2" in one.text.value
    one.order.value = "nearest to right first"
    assert "probability 0.45" in one.text.value
    one.listen.click()
    assert one.sounds.value.count("<audio") == 3
    one.pair.value = None
    assert one.place.max == 4 and one.sounds.value == ""


def test_a_perfect_classifier(one, tables):
    seen = confusions.Predictions(np.eye(3)[one.truth], one.truth, np.arange(6), np.arange(3))
    perfect = confusions.Confusions(seen, one.labels, *tables, mel.INAT)
    assert "None of 6 recordings is guessed wrong" in perfect.text.value and perfect.hear() == []


def test_hidden_classes_are_never_the_guess(one, tables):
    p = np.full((6, 3), -np.inf)
    p[:, :2] = [0.4, 0.6]
    seen = confusions.Predictions(p, one.truth, np.arange(6), np.arange(2))
    assert confusions.Confusions(seen, one.labels, *tables, mel.INAT).guess.tolist() == [1] * 6


def test_other_predictions_are_refused(one, tables):
    seen = confusions.Predictions(one.p, one.truth[::-1], np.arange(6), np.arange(3))
    with pytest.raises(ValueError, match="not of this table: they are of 6 recordings"):
        confusions.Confusions(seen, one.labels, *tables, mel.INAT)
