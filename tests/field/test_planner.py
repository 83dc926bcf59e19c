import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from lib.field import planner
from lib.patches import Grid
from lib.transfer.probe import Features

SIZES = np.array([1, 2, 3, 4, 6, 8])


def synthetic(a, b, c, seed, species=8, each=20, draws=10, sizes=SIZES):
    """A pilot whose every recording errs with the law's probability; recordings differ, and some are hard in all
    draws."""
    rng = np.random.default_rng(seed)
    R, D = species * each, draws
    # uniform, in part the recording's own
    luck = norm.cdf(0.5**0.5 * rng.standard_normal(R)[None] + 0.5**0.5 * rng.standard_normal((D, R)))
    hits = (luck[:, None] > planner.power_law(sizes, a, b, c)[None, :, None]).astype(float)  # (D, K, R)
    asked = rng.random((D, R)) < 0.3
    return planner.Pilot(sizes, np.where(asked[:, None], hits, np.nan), np.arange(R) % species, np.arange(R),
                         list("abcdefgh")[:species], [], "recording")


@pytest.mark.parametrize("law", [(0.6, 0.5, 0.1), (0.8, 1.0, 0.0), (0.3, 0.2, 0.3), (0.5, 2.0, 0.2)])
def test_a_law_without_noise_is_found(law):
    found = planner.follow(SIZES, planner.power_law(SIZES, *law))
    assert found == pytest.approx(law, abs=0.01)


def test_a_flat_curve_has_no_fall():
    a, _, c = planner.follow(SIZES, np.full(6, 0.4))
    assert a + c == pytest.approx(0.4, abs=1e-6)
    assert planner.follow(SIZES, np.linspace(0.3, 0.5, 6))[0] == pytest.approx(0, abs=1e-9)  # it cannot rise


def test_the_interval_holds_the_truth():
    law, target, inside = (0.7, 0.6, 0.1), 0.7, 0
    truth = (law[0] / (1 - target - law[2])) ** (1 / law[1])  # 8.07: the edge of the pilot
    for seed in range(30):
        answer = planner.needed(planner.curve(synthetic(*law, seed), seed, n=100), target)
        inside += answer.low <= truth <= answer.high
    assert inside >= 26, f"the 95 % interval held the true {truth:.1f} in {inside} of 30 pilots"


@pytest.mark.parametrize("law, target, verdict", [
    ((0.7, 0.9, 0.05), 0.75, "reached"), ((0.8, 0.6, 0.02), 0.8, "forecast"),
    ((0.5, 2.0, 0.4), 0.9, "cannot be reached"),
    ((0.0, 1.0, 0.5), 0.8, "cannot be said"), ((0.5, 0.3, 0.25), 0.74, "cannot be said")])
def test_verdicts(law, target, verdict):
    answer = planner.needed(planner.curve(synthetic(*law, 1, species=8, each=60), n=100), target)
    assert answer.verdict == verdict, answer.text
    assert f"{target:.0%}" in answer.text


def test_a_flat_pilot_gives_no_number():
    answer = planner.needed(planner.curve(synthetic(0.0, 1.0, 0.5, 3), n=100), 0.6)
    assert answer.verdict == "cannot be said" and "does not clearly fall" in answer.text


def test_numbers_that_nobody_could_label_are_not_spelled_out():
    found = planner.curve(synthetic(0.93, 0.06, 0.0, 3), n=100)  # 0.2 is reached at 10 to the 11
    assert "1,000,000 or more" in planner.needed(found._replace(laws=np.tile([0.93, 0.06, 0.0], (100, 1))), 0.8).text


def test_a_summary_is_plain_json():
    p = synthetic(0.8, 0.6, 0.02, 1)
    short = json.loads(json.dumps(planner.summary(p, planner.curve(p, n=50), 0.8), allow_nan=False))
    assert short["sizes"] == SIZES.tolist() and short["answer"]["verdict"] and short["target"] == 0.8
    assert short["fan"]["n"][-1] == 80
    assert all(a <= b for a, b in zip(short["fan"]["low"], short["fan"]["high"]))
    assert np.all(np.diff(short["fan"]["high"]) >= 0)


def test_three_sizes_are_too_few():
    answer = planner.needed(planner.curve(synthetic(0.7, 0.6, 0.1, 0, sizes=SIZES[:3]), n=20), 0.95)
    assert answer.verdict == "cannot be said" and "3 sizes" in answer.text


@pytest.mark.parametrize("target", [0, 1, 80])
def test_a_target_is_a_share(target):
    with pytest.raises(ValueError, match="between 0 and 1, such as 0.8"):
        planner.needed(planner.curve(synthetic(0.7, 0.6, 0.1, 0), n=2), target)


def known(species=3, groups=8, rows=2, spread=1.0, seed=0, places=False):
    """Features of recordings in groups: every species a place in the plane, each group and row somewhere around it."""
    rng, table, x = np.random.default_rng(seed), [], []
    for s in range(species):
        for g in range(groups):
            centre = 3 * np.eye(species)[s] + spread * rng.standard_normal(species)
            for r in range(rows):
                group = f"place {g}" if places else f"{s}-{g}"
                table.append(dict(file=f"{s}-{g}-{r}.wav", label=f"species {s}", group=group, split="train"))
                x.append(np.stack([centre, centre]) + 0.1 * rng.standard_normal((2, species)))  # two windows
    row = np.repeat(np.arange(len(table)), 2)
    return Features(pd.DataFrame(table), row, np.ones(len(row)), {"mean": np.concatenate(x).astype("f4")}, None,
                    Grid(1, 1), [], True)


def test_a_pilot_never_asks_what_it_has_learnt(monkeypatch):
    features, learnt = known(), []
    learn = planner._learn
    monkeypatch.setattr(planner, "_learn", lambda x, rows: learnt.append(rows) or learn(x, rows))
    p = planner.pilot(features, draws=4, bar=None)
    K = len(p.sizes)
    assert p.sizes.tolist() == [1, 2, 3, 4, 6] and p.hits.shape == (4, K, 48)
    for i, rows in enumerate(learnt):
        asked = p.groups[~np.isnan(p.hits[i // K, i % K])]
        assert not set(asked) & set(rows["group"]) and len(set(asked)) == 6  # two groups of each species
        assert (rows.groupby("target")["group"].nunique() == p.sizes[i % K]).all()
        assert (rows.groupby("group").size() == 2).all()
        if i % K:
            assert set(learnt[i - 1].index) < set(rows.index)  # nested


def test_recordings_are_counted_but_groups_held_out():
    p = planner.pilot(known(groups=5, rows=6), unit="recording", draws=3, bar=None)
    assert p.sizes[-1] == 24 and p.unit == "recording"
    for draw in p.hits:
        asked = ~np.isnan(draw[0])
        assert not set(p.groups[asked]) & set(p.groups[~asked])


def test_places_with_all_species_are_held_out_whole():
    p = planner.pilot(known(places=True), draws=3, bar=None)
    assert all(len(set(p.groups[~np.isnan(draw[0])])) == 2 for draw in p.hits) and p.sizes[-1] == 6


def test_a_pilot_repeats_itself_and_learns():
    first, second, other = (planner.pilot(known(), draws=3, seed=seed, bar=None) for seed in (0, 0, 1))
    assert np.array_equal(first.hits, second.hits, equal_nan=True)
    assert not np.array_equal(first.hits, other.hits, equal_nan=True)
    easy = planner.curve(planner.pilot(known(spread=0.1), draws=3, bar=None), n=20)
    assert easy.error[-1].value == 0
    hard = planner.curve(planner.pilot(known(spread=2.0, groups=20), draws=10, bar=None), n=20)
    assert hard.error[0].value > hard.error[-1].value + 0.05
    assert hard.error[0].low <= hard.error[0].value <= hard.error[0].high


def test_rare_species_are_left_out_and_named():
    features = known(groups=8)
    rare = features.table["label"].eq("species 1") & ~features.table["group"].isin(["1-0", "1-1", "1-2"])
    p = planner.pilot(Features(features.table[~rare].reset_index(drop=True), *_thin(features, ~rare)), draws=2,
                      bar=None)
    assert p.left_out == ["species 1"] and p.labels == ["species 0", "species 2"]
    with pytest.raises(ValueError, match="at least two species with 4 groups"):
        planner.pilot(known(groups=4), draws=2, bar=None)
    with pytest.raises(ValueError, match="it must be recording"):
        planner.pilot(features, unit="clip")


def test_a_rare_species_does_not_cut_the_curve_short():
    features = known(species=6, groups=12)
    # 1-10 and 1-11 are left out
    rare = features.table["label"].eq("species 1") & features.table["group"].str.len().gt(3)
    rare |= features.table["label"].eq("species 1") & features.table["group"].isin(["1-5", "1-6", "1-7", "1-8", "1-9"])
    p = planner.pilot(Features(features.table[~rare].reset_index(drop=True), *_thin(features, ~rare)), draws=2,
                      bar=None)
    assert p.left_out == ["species 1"] and p.sizes[-1] == 8  # it has 5 groups, the others 12: 4 and 10 to learn from


def _thin(features, keep):
    keep = keep.to_numpy()
    windows = keep[features.row]
    row = (np.cumsum(keep) - 1)[features.row[windows]]
    kinds = {k: v[windows] for k, v in features.kinds.items()}
    return row, features.columns[windows], kinds, None, features.grid, [], True
