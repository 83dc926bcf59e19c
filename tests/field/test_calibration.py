import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from lib.field import calibration


def val(times, shift=0.0, n=1500, classes=3, seed=0):
    """Log odds that say `times` too much, the truth as numbers (class 0 where none of the others is), and groups."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(classes, size=n)
    honest = np.where(targets[:, None] == np.arange(classes), 1.5, -1.5) + rng.normal(0, 1.7, (n, classes)) - 0.7
    return times * honest + shift, targets, np.arange(n) // 5


@pytest.mark.parametrize("times, shift", [(4.0, 0.0), (0.3, 0.0), (3.0, 2.0)])
def test_after_calibration_a_score_is_the_share_that_is_right(times, shift):
    told = calibration.calibrate(*val(times, shift))
    odds, targets, _ = val(times, shift, seed=1)
    truth, errors = targets[:, None] == np.arange(3), []
    for p in (expit(odds), calibration.scores(odds, told.slope, told.offset)):
        tenths = calibration.reliability(p.ravel(), truth.ravel())
        errors.append(np.average((tenths["score"] - tenths["share"]).abs(), weights=tenths["n"]))
    assert errors[1] < 0.03 < errors[0] and told.losses[told.way] == min(told.losses.values())
    assert len(told.numbers) == 6 and (told.slope > 0).all()


def test_the_way_is_chosen_by_groups_that_it_did_not_learn_from():
    """With six recordings and a label that hardly occurs, a line each would follow chance."""
    odds, targets, _ = val(1.0, n=60, classes=12)
    told = calibration.calibrate(odds, targets, np.arange(60) // 10)
    assert told.losses["a line each"] > told.losses[told.way]
    once = calibration.calibrate(odds, targets, np.zeros(60))  # a single group: nothing can be held out
    assert np.isfinite([*once.slope, *once.offset]).all()


def test_a_threshold_is_the_lowest_that_has_the_wanted_precision_and_says_where_val_cannot_support_one():
    p = np.array([[0.9, 0.1], [0.8, 0.95], [0.7, 0.2], [0.6, 0.9], [0.6, 0.1], [0.5, 0.3]])
    targets = np.array([0, 0, 1, 0, 0, 0])  # label 1 occurs once, and lower than what is not it
    found = calibration.thresholds(p, targets, np.arange(6), ["frog", "noise"], 0.8)
    assert found.loc["frog", ["threshold", "found", "right", "supported"]].tolist() == [0.5, 6, 5, True]
    assert found.loc["frog", "low"] < found.loc["frog", "precision"] == 5 / 6 < found.loc["frog", "high"]
    assert calibration.thresholds(p, targets, np.arange(6), ["frog", "noise"], 0.9)["supported"].tolist() == [
        False, False]  # two right ones are not three groups
    assert not found.loc["noise", "supported"] and found.loc["noise", "threshold"] == 0.8
    one = calibration.thresholds(p, targets, np.zeros(6), ["frog", "noise"], 0.8)
    assert not one["supported"].any()  # six windows of one recording are one


def test_equal_scores_are_found_together():
    p = np.array([0.9, 0.5, 0.5, 0.5])[:, None]
    found = calibration.thresholds(p, np.array([0, 0, 1, 1]), np.arange(4), ["frog"], 1.0)
    assert found["threshold"].item() == 1.0 and not found["supported"].item()


def test_thresholds_are_tested_on_other_windows():
    table = pd.DataFrame({"threshold": [0.5, 0.9]}, index=["frog", "toad"])
    tested = calibration.tested(table, np.array([[0.6, 0.1], [0.7, 0.2], [0.1, 0.8]]), np.array([0, 1, 1]))
    assert tested["on_test"].iloc[0] == 0.5 and np.isnan(tested["on_test"].iloc[1])
