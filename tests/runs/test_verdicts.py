import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax

from lib import metrics
from lib.runs import verdicts


def rng(seed=0):
    return np.random.default_rng(seed)


def test_restricting_as_published_leaves_hidden_classes_a_little():
    logits, kept = rng().normal(size=(4, 6)), [1, 4, 5]
    out = verdicts.restrict_as_published(logits, kept)
    mask = np.isin(np.arange(6), kept) * 1.0
    published = logits * mask + logits.min() * (1 - mask)           # the published line
    assert np.allclose(out, softmax(published, axis=1))
    ours = metrics.restrict(softmax(logits, axis=1), kept)
    assert (out[:, 0] > 0).all()
    assert np.allclose(out[:, kept] / out[:, kept].sum(1, keepdims=True), ours[:, kept])    # one window: same ranking
    assert not np.allclose(out[:1], verdicts.restrict_as_published(logits[:1], kept))  # and it depends on the batch
    with pytest.raises(ValueError, match="within 0 .. 5"):
        verdicts.restrict_as_published(logits, [6])
    with pytest.raises(ValueError, match="1 of them not finite"):
        verdicts.restrict_as_published(np.array([[1., -np.inf]]), [0])


def test_a_paired_difference_is_narrower_than_two_intervals():
    targets = np.arange(200) % 7
    a = (rng().random(200) < .6).astype(float)
    b = a.copy()
    b[:10] = 0                                                      # the same answers but for ten recordings
    difference = verdicts.paired_difference(a, b, targets, rng=rng())
    assert difference.value == pytest.approx(metrics.class_average(a, targets) - metrics.class_average(b, targets))
    assert difference.low <= difference.value <= difference.high
    single = metrics.bootstrap(a, targets, rng=rng())
    assert difference.high - difference.low < single.high - single.low
    assert verdicts.paired_difference(a, a, targets, rng=rng()) == (0, 0, 0)


def test_seeds_are_resampled_too():
    targets = np.repeat([0, 1], 50)
    a, b = np.zeros((3, 100)), np.zeros((3, 100))
    a[0] = 1                                                        # seed 0 gains everything, the others nothing
    difference = verdicts.across_seeds(a, b, targets, rng=rng())
    assert difference.value == pytest.approx(1 / 3) and (difference.low, difference.high) == (0, 1)
    with pytest.raises(ValueError, match="same seeds and recordings"):
        verdicts.across_seeds(a, b[:2], targets, rng=rng())


def test_species_are_resampled_on_request(monkeypatch):
    generator = rng(6)
    targets = np.repeat(np.arange(12), 8)
    gain = np.repeat(generator.normal(size=12), 8)  # a difference that depends on the species and on nothing else
    a, b = gain[None], np.zeros((1, 96))
    recordings = verdicts.across_seeds(a, b, targets, rng=rng())
    monkeypatch.setattr(metrics, "DRAWS", 8000)
    species = verdicts.across_seeds(a, b, targets, over="classes", rng=rng())
    theirs = stats.bootstrap((gain[::8],), np.mean, n_resamples=8000, method="percentile", rng=rng())
    low, high = theirs.confidence_interval
    assert recordings.high - recordings.low < 1e-9  # other recordings of these species would say the same
    assert (species.low, species.high) == pytest.approx((low, high), abs=.04) and species.value == recordings.value
    with pytest.raises(ValueError, match="'groups' or 'classes'"):
        verdicts.across_seeds(a, b, targets, over="seeds", rng=rng())


@pytest.mark.parametrize("over", ["groups", "classes"])
def test_a_paired_difference_covers_zero_when_there_is_none(over, monkeypatch):
    monkeypatch.setattr(metrics, "DRAWS", 400)
    covered, worlds, targets = 0, 150, np.repeat(np.arange(20), 12)
    for world in range(worlds):
        generator = rng(world)
        easy = generator.random(240)                                # both arms find the same recordings easy
        a, b = ((generator.random((1, 240)) < easy).astype(float) for _ in range(2))
        interval = verdicts.across_seeds(a, b, targets, over=over, rng=generator)
        covered += interval.low <= 0 <= interval.high
    assert covered / worlds == pytest.approx(.95, abs=.05)  # to three standard errors


def test_smallest_detectable_falls_with_recordings_and_matches_the_interval():
    def arms(n):
        generator = rng(3)
        return (generator.random(n) < .5).astype(float), (generator.random(n) < .5).astype(float), np.arange(n) % 2

    few, many = (verdicts.smallest_detectable(*arms(n), rng=rng()) for n in (40, 640))
    assert few / many == pytest.approx(4, rel=.25)                  # one over the square root
    interval = verdicts.paired_difference(*arms(640), rng=rng())
    assert many == pytest.approx((interval.high - interval.low) / 2, rel=.1)


@pytest.mark.parametrize("direction, low, high, said", [
    (1, 1, 3, "same direction"), (-1, 1, 3, "opposite"), (1, -1, 3, "undecided"),
    (0, 1, 3, "higher, the paper does not say"),
    (0, -3, -1, "lower, the paper does not say"), (-1, -3, -1, "same direction"), (1, 0, 0, "undecided")])
def test_verdict(direction, low, high, said):
    interval = metrics.Interval((low + high) / 2, low, high)
    assert verdicts.verdict(direction, [interval, interval], 3, "frogs-1a2b3c") == said
    for made in ("chorus", "chorus_empty_0.6-1a2b3c", "chorus + chorus_other_species-1a2b3c"):
        assert verdicts.verdict(direction, [interval, interval], 3, made) == f"in the generator's world: {said}"
    other_species = metrics.Interval(0, -9, 9)
    assert verdicts.verdict(direction, [interval, other_species], 3, "frogs") == "undecided"
    assert verdicts.verdict(direction, [interval], 1, "frogs") == "one seed, no verdict"
    assert verdicts.verdict(direction, [interval], 1, "frogs", True) == "one seed and too few groups, no verdict"
