from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from lib.field import scoring
from lib.sources import selections


def marked(*rows):
    return pd.DataFrame(rows, columns=["label", "start_s", "end_s"])


WINDOWS = pd.DataFrame({"start_s": [0.0, 1.5, 3.0, 4.5], "end_s": [3.0, 4.5, 6.0, 7.5]})


def test_a_window_holds_a_call_of_which_a_tenth_of_a_second_or_half_lies_inside():
    truth = marked(("frog", 2.95, 4.0), ("toad", 5.9, 6.02), ("bird", 0.0, 1.0))
    assert scoring.present(truth, WINDOWS, ["frog", "toad"]).T.tolist() == [[False, True, True, False],
                                                                             [False, False, True, True]]
    assert scoring.present(truth, WINDOWS, ["frog"], least_s=0)[:, 0].tolist() == [True, True, True, False]


def test_recordings_are_kept_apart():
    windows, truth = WINDOWS.assign(file="a.wav"), marked(("frog", 0, 9)).assign(file="b.wav")
    assert not scoring.present(truth, windows, ["frog"]).any()
    found = scoring.compare(truth, truth.assign(file="a.wav"), ["frog"], scoring.overlapping())
    assert found[["true", "found", "right"]].values.tolist() == [[0, 1, 0], [1, 0, 0]]


def test_class_mean_average_precision_is_scikit_learns_over_the_species_that_occur():
    rng = np.random.default_rng(0)
    present, scores, minute = rng.random((300, 5)) < 0.1, rng.normal(size=(300, 5)).round(1), np.arange(300) // 30
    present[:, 4] = False
    ap = scoring.average_precision(present, scores)
    assert ap[:4] == pytest.approx([average_precision_score(present[:, c], scores[:, c]) for c in range(4)])
    assert np.isnan(ap[4])
    mean = scoring.cmap(present, scores, minute, rng)
    assert mean.value == pytest.approx(average_precision_score(present[:, :4], scores[:, :4], average="macro"))
    assert mean.low < mean.value < mean.high


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=12))
def test_windows_that_count_several_times_are_scikit_learns_sample_weight(windows):
    is_it, score, times = np.array(windows).T
    found = scoring._weighted(is_it.astype(bool), score.astype(float), times[None])[0]
    if (is_it * times).any():
        assert found == pytest.approx(average_precision_score(is_it, score, sample_weight=times))
    else:
        assert np.isnan(found)


def test_an_interval_is_over_blocks_and_one_block_has_none():
    rng = np.random.default_rng(0)
    present = rng.random((400, 1)) < 0.3
    scores = present + rng.normal(size=(400, 1))
    width = [np.ptp(scoring.cmap(present, scores, np.arange(400) // n, np.random.default_rng(0))[1:]) for n in (1, 40)]
    twice = [np.repeat(x, 20, 0) for x in (present[:20], scores[:20])]  # 20 windows, each seen 20 times
    assert width[0] < np.ptp(scoring.cmap(*twice, np.arange(400) // 20, np.random.default_rng(0))[1:]) / 2
    assert np.isnan(scoring.cmap(present, scores, np.zeros(400), rng).low)
    rows = marked(("frog", 59.0, 61.0), ("frog", 60.0, 70.0))
    assert scoring.blocks(rows, minutes=1).tolist() == [" 0", " 1"] and set(scoring.blocks(rows)) == {""}


def test_a_hand_worked_event_score():
    truth = marked(("frog", 0, 2), ("frog", 10, 14), ("frog", 70, 71), ("toad", 5, 6))
    found = marked(("frog", 0.4, 2.9), ("frog", 10.6, 14), ("bird", 0, 1), ("frog", 70, 71), ("toad", 30, 31))
    counts = scoring.compare(truth, found, ["frog", "toad", "newt"], scoring.near(0.5, 0.5), minutes=1)
    assert counts.values.tolist() == [[" 0", "frog", 2, 2, 1], [" 0", "toad", 1, 1, 0], [" 1", "frog", 1, 1, 1]]
    each = scoring.table(counts)
    assert each.loc["frog", ["precision", "recall", "f1"]].tolist() == pytest.approx([2 / 3] * 3)
    assert each.loc["toad", "f1"] == 0 and each.loc["all", "f1"] == pytest.approx(4 / 8)
    assert scoring.f1(counts, np.random.default_rng(0)).value == pytest.approx(1 / 3)
    assert scoring.table(scoring.compare(truth, found, ["frog"], scoring.overlapping(0.5))).loc["all", "right"] == 3
    with_none = scoring.table(scoring.compare(truth, found[:0], ["frog"], scoring.near()))
    assert with_none.loc["frog", "recall"] == 0 and np.isnan(with_none.loc["frog", "precision"])


def test_false_alarms_with_the_same_index_count_once_each():
    found = pd.concat([marked(("frog", 0, 1)).assign(file=file) for file in ("a.wav", "b.wav")])
    counts = scoring.compare(marked(("frog", 50, 51)).assign(file="a.wav"), found, ["frog"], scoring.near())
    assert scoring.table(counts).loc["all", ["true", "found", "right"]].tolist() == [1, 2, 0]


def test_a_perfect_answer_scores_one_whatever_the_rule():
    truth = marked(("frog", 0, 2), ("frog", 1, 2.5), ("toad", 5, 6), ("frog", 130, 131))
    for rule in (scoring.near(0), scoring.overlapping(1.0)):
        assert scoring.f1(scoring.compare(truth, truth, ["frog", "toad"], rule, 1), np.random.default_rng(0)).value == 1


def brute(may):
    """The most pairs, by trying every choice of each true event."""
    best = 0
    for choice in product(range(-1, may.shape[1]), repeat=may.shape[0]):
        taken = [m for m in choice if m >= 0]
        if len(taken) == len(set(taken)) and all(m < 0 or may[n, m] for n, m in enumerate(choice)):
            best = max(best, len(taken))
    return best


times = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 4)), max_size=4)


@given(times, times, st.sampled_from([scoring.near(1), scoring.near(2, 1.0), scoring.overlapping(0),
                                      scoring.overlapping()]))
def test_no_matching_pairs_more(true, found, rule):
    true, found = (np.array(x, float).reshape(-1, 2).cumsum(1) for x in (true, found))  # (start, length) before
    pair = scoring.match(true, found, rule)
    hit = pair >= 0
    assert len(set(pair[hit])) == hit.sum() == brute(rule(true, found))
    assert all(rule(true, found)[n, pair[n]] for n in np.flatnonzero(hit))


def test_calls_of_a_song_are_joined_as_people_mark_them():
    truth = marked(("frog", 0, 1), ("toad", 0.5, 1), ("frog", 1.8, 2.5), ("frog", 5, 6))
    assert scoring.joined(truth, 1.0)[["label", "start_s", "end_s"]].values.tolist() == [
        ["frog", 0, 2.5], ["toad", 0.5, 1], ["frog", 5, 6]]
    assert len(scoring.joined(truth[:0], 1.0)) == 0


def test_what_was_exported_for_raven_and_audacity_scores_one_when_read_as_truth(tmp_path):
    found = marked(("frog", 0, 3), ("toad", 2, 4.5)).assign(file="a.wav", score=0.9, windows=1)
    for file in selections.export(found, tmp_path, (50.0, 11_025.0))[:2]:
        counts = scoring.compare(selections.read(file), found.drop(columns="file"), ["frog", "toad"],
                                 scoring.near(0.01))
        assert scoring.table(counts).loc["all", "f1"] == 1


def test_a_bout_is_found_by_a_true_find_only():
    calls = pd.DataFrame({"label": ["frog", "frog", "toad"], "start_s": [1.0, 4.0, 20.0], "end_s": [2.0, 5.0, 21.0]})
    bouts = pd.DataFrame({"label": ["frog", "toad"], "start_s": [1.0, 20.0], "end_s": [5.0, 21.0]})
    finds = pd.DataFrame({"label": ["frog", "frog", "toad"], "start_s": [2.4, 0.0, 40.0], "end_s": [3.6, 1.5, 43.0]})
    assert scoring.judged(finds, calls, bouts, ["frog", "noise", "toad"]) == {
        "selections": 3, "true": 1, "precision": pytest.approx(1 / 3), "bouts": 2, "recall": 0.5}
    assert scoring.judged(finds[:1], calls, bouts, ["frog", "noise", "toad"])["recall"] == 0
