import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.field import events


def merged(windows, scores, labels=("frog", "toad"), thresholds=0.5, **options):
    start, end = np.array(windows, float).T
    return events.merge(start, end, np.array(scores), labels, thresholds, **options)


def test_windows_of_a_species_that_overlap_or_touch_are_one_event_and_two_species_have_their_own():
    found = merged([(0, 3), (1.5, 4.5), (3, 6), (4.5, 7.5), (6, 9), (12, 15)],
                   [(0.6, 0), (0.9, 0.8), (0.1, 0.5), (0.2, 0), (0.5, 0), (0.7, 0.7)])
    assert found.to_dict("list") == {
        "label": ["frog", "toad", "frog", "frog", "toad"], "start_s": [0, 1.5, 6, 12, 12],
        "end_s": [4.5, 6, 9, 15, 15], "score": [0.9, 0.8, 0.5, 0.7, 0.7], "windows": [2, 2, 1, 1, 1]}


def test_gaps_are_bridged_short_events_dropped_and_each_species_has_its_threshold():
    windows, scores = [(0, 1), (1.5, 2.5), (5, 6)], [(0.4, 0.4), (0.6, 0.4), (0.6, 0.4)]
    assert merged(windows, scores, gap_s=0.5, thresholds=0.4)["end_s"].tolist() == [2.5, 2.5, 6, 6]
    assert merged(windows, scores, thresholds=np.array([0.5, np.nan]))["start_s"].tolist() == [1.5, 5]
    left = merged(windows, scores, gap_s=0.5, least_s=2.0, thresholds=0.4)
    assert left[["label", "start_s", "end_s"]].values.tolist() == [["frog", 0, 2.5], ["toad", 0, 2.5]]


def test_no_event_is_an_empty_table_with_the_same_columns():
    found = merged([(0, 3)], [(0.1, 0.2)])
    assert len(found) == 0 and list(found) == events.COLUMNS
    assert len(events.merge([], [], np.empty((0, 2)), ["a", "b"], 0.5)) == 0


def test_a_window_without_a_score_is_an_error():
    with pytest.raises(ValueError, match="the window at 1.5 s has no score"):
        merged([(0, 3), (1.5, 4.5)], [(0.9, 0.9), (0.9, np.nan)])


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9), st.booleans(), st.booleans()), min_size=1),
       st.integers(0, 3), st.randoms())
def test_events_are_the_covered_seconds_in_whatever_order_windows_come(windows, gap, random):
    random.shuffle(windows)
    start, long, *sure = np.array(windows, float).T
    found = events.merge(start, start + long, np.stack(sure, 1), ("a", "b"), 0.5, gap_s=gap)
    for label, on in zip("ab", np.stack(sure).astype(bool)):
        covered = np.zeros(64, bool)  # second by second, gaps filled by hand
        for a, n in zip(start[on].astype(int), long[on].astype(int)):
            covered[a: a + n] = True
        ends = np.flatnonzero(np.diff(np.r_[0, covered, 0]))
        stretches = []
        for a, b in ends.reshape(-1, 2).tolist():
            if stretches and a - stretches[-1][1] <= gap:
                stretches[-1][1] = b
            else:
                stretches.append([a, b])
        own = found[found["label"] == label]
        assert own[["start_s", "end_s"]].values.tolist() == stretches and own["windows"].sum() == on.sum()
    pd.testing.assert_frame_equal(found, found.sort_values("start_s", kind="stable"))
