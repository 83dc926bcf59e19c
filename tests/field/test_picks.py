"""What to label next: the rules on small cases, and what they are worth."""
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from lib.field import picks


def blobs(species: int = 4, each: int = 30, seed: int = 0) -> tuple[np.ndarray, pd.DataFrame]:
    """Recordings that are easy to tell apart, half of them in train and half in test; the first species is common."""
    rng = np.random.default_rng(seed)
    label = np.concatenate([np.repeat(np.arange(species), each), np.zeros(3 * each, int)])
    x = 4 * np.eye(species)[label] + rng.normal(size=(len(label), species))
    split = np.where(rng.permutation(len(label)) % 2, "train", "test")
    return x, pd.DataFrame({"file": [f"{i}.wav" for i in range(len(x))], "label": label.astype(str), "split": split})


def test_k_centre_is_greedy_and_at_most_twice_the_best():
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=(12, 2))
        distance, picked = cdist(x, x), picks.spread_out(x, 3, np.array([0]))
        for k, one in enumerate(picked):
            near = distance[:, [0, *picked[:k]]].min(1)
            assert one == near.argmax()
        radius = distance[:, [0, *picked]].min(1).max()
        best = min(distance[:, [0, *some]].min(1).max() for some in combinations(range(1, 12), 3))
        assert best <= radius <= 2 * best
    line = np.arange(9.0)[:, None]
    assert picks.spread_out(line, 3, np.array([], int)).tolist() == [0, 8, 4]  # nothing labelled: ends, then middle


def test_the_least_sure_come_first():
    p = np.array([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0], [0.4, 0.3, 0.3], [0.34, 0.33, 0.33]])
    assert picks.margin(p) == pytest.approx([0, 0.8, 0.1, 0.01])
    assert picks.entropy(p)[3] == pytest.approx(np.log(3), abs=1e-3) and picks.entropy(np.eye(3)).tolist() == [0, 0, 0]
    x, rng = np.zeros((4, 2)), np.random.default_rng
    assert picks.choose("margin", 4, x, [], rng(0), p=p).tolist() == [0, 3, 2, 1]
    assert picks.choose("entropy", 4, x, [], rng(0), p=p).tolist() == [3, 2, 0, 1]


def test_both_spreads_over_the_uncertain():
    x = np.array([[0.0], [0.1], [0.2], [0.3], [0.4], [0.5], [9.0], [9.1], [50.0], [60.0], [70.0]])
    sure = np.array([0.0, 0, 0, 0, 0, 0, 0, 0, 0, 0.9, 0.9])
    p = np.stack([(1 + sure) / 2, (1 - sure) / 2], 1)
    got = picks.choose("both", 2, x, [0], np.random.default_rng(0), p=p)
    assert got[0] == 8 and got[1] in (6, 7)  # 60 and 70 lie further away, but the classifier is sure of them


@pytest.mark.parametrize("rule", picks.RULES)
def test_nothing_is_picked_twice_and_nothing_that_is_labelled(rule):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 3)).round()  # with many clips that are alike
    groups, p = np.arange(40) // 2, rng.dirichlet(np.ones(3), 40)
    got = picks.choose(rule, 10, x, [0, 7, 8], np.random.default_rng(0), p=p, groups=groups)
    again = picks.choose(rule, 10, x, [0, 7, 8], np.random.default_rng(0), p=p, groups=groups)
    assert got.tolist() == again.tolist() and len(set(groups[got])) == 10 and not set(groups[got]) & {0, 3, 4}
    every = picks.choose(rule, 99, x, [0, 7, 8], np.random.default_rng(0), p=p, groups=groups)
    assert len(every) == 17 and not len(picks.choose(rule, 5, x, np.arange(40), rng, p=p))
    ties = [picks.choose(rule, 1, np.zeros((40, 3)), [0], np.random.default_rng(k), p=np.full((40, 3), 1 / 3))[0]
            for k in range(8)]
    assert len(set(ties)) > 2  # of equals any: file order must not decide


def test_a_rule_without_what_it_needs_says_so():
    with pytest.raises(ValueError, match="rule is 'best': it must be one of random, margin"):
        picks.choose("best", 1, np.zeros((3, 2)), [], np.random.default_rng(0))
    with pytest.raises(ValueError, match="asks how sure a classifier is: give p"):
        picks.choose("both", 1, np.zeros((3, 2)), [], np.random.default_rng(0))
    x, table = blobs()
    with pytest.raises(ValueError, match="sizes are .*: sizes rise"):
        picks.simulate(x, table, "random", [4, 999], 0)


def test_a_listener_who_picks_meets_rare_species_sooner():
    x, table = blobs()
    curves = pd.concat([picks.simulate(x, table, rule, [2, 4, 8, 16], seed)
                        for rule in ("random", "diverse") for seed in range(3)])
    assert curves.groupby(["rule", "labels"]).size().eq(3).all()
    first = curves[curves["labels"] == 2].groupby("seed")["top1"].nunique()
    assert (first == 1).all()  # the same beginning for every rule
    species = curves.groupby(["rule", "labels"])["species"].mean()
    assert species["diverse", 8] == 4 > species["random", 8]
    targets = np.unique(table.query("split == 'test'")["label"], return_inverse=True)[1]
    won = picks.saved(curves, targets, "diverse", np.random.default_rng(0), draws=200)
    assert won.labels > 2 and "diverse saves" in won.text and "of 16 labels" in won.text
    none = picks.saved(curves, targets, "random", np.random.default_rng(0), draws=20)
    assert (none.labels, none.low, none.high) == (0, 0, 0) and "none that can be told" in none.text


def test_labels_that_are_saved_are_read_off_the_curves():
    sizes = np.array([10.0, 20, 30, 40])
    assert picks._fewer(sizes, np.array([0, 0.2, 0.4, 0.6]), np.array([0, 0.1, 0.2, 0.3])) == 40 - 25
    assert picks._fewer(sizes, np.array([0, 0.1, 0.1, 0.2]), np.array([0, 0.1, 0.2, 0.3])) == -np.inf
    lucky = picks._fewer(sizes, np.array([0, 0.31, 0.1, 0.2]), np.array([0, 0.1, 0.2, 0.3]))
    assert lucky == -np.inf  # one lucky size is no saving
