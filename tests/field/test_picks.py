"""What to label next: the rules on small cases, and what they are worth."""
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from lib import audio
from lib.field import picks
from lib.patches import Grid
from lib.transfer.probe import Features
from lib.transfer.reference import Frozen


def blobs(species: int = 4, each: int = 30, seed: int = 0) -> tuple[np.ndarray, pd.DataFrame]:
    """Recordings that are easy to tell apart, half of them in train and half in test; the first species is common."""
    rng = np.random.default_rng(seed)
    label = np.concatenate([np.repeat(np.arange(species), each), np.zeros(3 * each, int)])
    x = 9 * np.eye(species)[label] + rng.normal(size=(len(label), species))
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
    curves = pd.concat([picks.simulate(x, table, rule, [2, 4, 8], seed)
                        for rule in ("random", "diverse") for seed in range(3)])
    assert curves.groupby(["rule", "labels"]).size().eq(3).all()
    first = curves[curves["labels"] == 2].groupby("seed")["top1"].nunique()
    assert (first == 1).all()  # the same beginning for every rule
    species = curves.groupby(["rule", "labels"])["species"].mean()
    assert species["diverse", 8] == 4 > species["random", 8]


def test_a_saving_is_said_with_its_interval_and_none_is_said_plainly():
    targets, sizes = np.repeat(np.arange(5), 20), [10, 20, 30, 40]

    def curve(rule, shares, seed):
        hits = [(np.tile(np.arange(20), 5) < 20 * share).astype(float).tolist() for share in shares]
        return pd.DataFrame({"rule": rule, "seed": seed, "labels": sizes, "hits": hits})

    shares = {"random": [0.1, 0.2, 0.3, 0.4], "margin": [0.1, 0.4, 0.5, 0.6], "both": [0.1, 0.1, 0.2, 0.3]}
    curves = pd.concat([curve(rule, share, seed) for rule, share in shares.items() for seed in range(3)])
    said = [picks.saved(curves, targets, rule, np.random.default_rng(0), draws=50) for rule in ("margin", "both")]
    assert said[0][:3] == (20, 20, 20) and said[1].labels == -np.inf
    assert said[0].text == ("margin: 20 fewer for what random picks have with 40 labels (95 % 20 fewer to 20 fewer): "
                            "saves labels.")
    assert "both: not reached for what" in said[1].text and "costs labels" in said[1].text
    assert "saves none" in picks.saved(curves, targets, "random", np.random.default_rng(0), draws=9).text


def test_labels_that_are_saved_are_read_off_the_curves():
    sizes = np.array([10.0, 20, 30, 40])
    assert picks._fewer(sizes, np.array([0, 0.2, 0.4, 0.6]), np.array([0, 0.1, 0.2, 0.3])) == 40 - 25
    assert picks._fewer(sizes, np.array([0, 0.1, 0.1, 0.2]), np.array([0, 0.1, 0.2, 0.3])) == -np.inf
    lucky = picks._fewer(sizes, np.array([0, 0.31, 0.1, 0.2]), np.array([0, 0.1, 0.2, 0.3]))
    assert lucky == -np.inf  # one lucky size is no saving


def test_a_pick_is_a_clip_with_a_begin_and_an_end():
    model = Frozen("toy", "", 100, 300, 2, "", None)
    table = pd.DataFrame({"file": ["a", "b", "c"], "label": list("xyx"), "start_s": [0.0, 10.0, np.nan],
                          "end_s": [7.0, 12.0, np.nan], "duration_s": [20.0, 20.0, 3.0]})
    seconds = [7.0, 2.0, 3.0]
    firsts = [audio.windows(round(100 * s), 300, 150) for s in seconds]
    row = np.repeat(np.arange(3), list(map(len, firsts)))
    x = np.arange(2.0 * len(row)).reshape(-1, 2)
    known = Features(table, row, np.ones(len(row), int), {"embedding": x}, None, Grid(1, 1), ["x", "y"], True)
    clips = picks.windows(known, model)
    assert clips["start_s"].tolist() == pytest.approx([0, 1.5, 3, 4, 10, 0])
    assert clips["end_s"].tolist() == pytest.approx([3, 4.5, 6, 7, 12, 3]) and clips["label"].tolist() == list("xxxxyx")
    assert picks.vectors(known, "embedding")[0].tolist() == x[:4].mean(0).tolist()
