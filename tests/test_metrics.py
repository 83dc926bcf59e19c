import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from lib import metrics


def rng(seed=0):
    return np.random.default_rng(seed)


def toy(n=60, classes=7, seed=0):
    generator = rng(seed)
    targets = np.concatenate([np.arange(classes), generator.integers(classes, size=n - classes)])
    scores = generator.normal(size=(n, classes)) + 1.5 * np.eye(classes)[targets]
    return softmax(scores, axis=1), targets


def test_pool_is_mean_or_max_over_windows():
    windows = np.array([[.2, .8], [.9, .1], [.4, .6]])
    index = np.array([1, 0, 1])
    assert np.allclose(metrics.pool(windows, index, 2), [[.9, .1], [.3, .7]])
    assert np.allclose(metrics.pool(windows, index, 2, "max"), [[.9, .1], [.4, .8]])
    with pytest.raises(ValueError, match="1 recordings without any"):
        metrics.pool(windows, index, 3)
    with pytest.raises(ValueError, match="'mean' or 'max'"):
        metrics.pool(windows, index, 2, "median")


def test_restrict_is_a_softmax_over_the_kept_logits():
    logits = rng().normal(size=(5, 6))
    kept = [1, 4, 5]
    out = metrics.restrict(softmax(logits, axis=1), kept)
    assert np.allclose(out[:, kept], softmax(logits[:, kept], axis=1))
    assert (out[:, [0, 2, 3]] == -np.inf).all()
    pooled = metrics.pool(out, np.array([0, 0, 1, 1, 1]), 2)
    assert (pooled[:, 0] == -np.inf).all() and np.allclose(pooled[:, kept].sum(1), 1)


def test_a_hidden_class_is_never_guessed_not_even_in_a_tie():
    out = metrics.restrict(np.array([[1., 0., 0.]]), [1, 2])       # all probability lay on the hidden class
    assert np.allclose(out[0, 1:], .5)
    assert metrics.topk_hits(out, np.array([0]), 3) == 0           # a hidden class as a target is a miss, never a hit
    assert metrics.topk_hits(out, np.array([1]), 1) == .5
    with pytest.raises(ValueError, match="softmax to logits"):
        metrics.restrict(np.array([[-1., 2.]]), [0])
    with pytest.raises(ValueError, match="within 0 .. 1"):
        metrics.restrict(np.array([[.5, .5]]), [2])


@pytest.mark.parametrize("k", [1, 3, 5])
def test_topk_equals_scikit_learn_without_ties(k):
    scores, targets = toy()
    assert metrics.topk_hits(scores, targets, k).mean() == pytest.approx(
        top_k_accuracy_score(targets, scores, k=k, labels=np.arange(7)))


def test_ties_count_as_their_expected_value():
    constant = np.ones((4, 4))
    for k in (1, 2, 4, 9):
        assert metrics.topk_hits(constant, np.arange(4), k).tolist() == [min(k / 4, 1)] * 4
    scores = np.array([[3., 2., 2., 2., 0.]])
    assert metrics.topk_hits(scores, np.array([1]), 3) == pytest.approx(2 / 3)  # two places left for three equals
    order = rng().permutation(5)                                                # the order of classes does not matter
    assert metrics.topk_hits(scores[:, order], np.array([list(order).index(1)]), 3) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="NaN in 1 of 2"):
        metrics.topk_hits(np.array([[0., 1.], [np.nan, 0.]]), np.array([0, 1]), 1)


def test_class_average_is_balanced_accuracy():
    scores, targets = toy()
    hits = metrics.topk_hits(scores, targets, 1)
    assert metrics.class_average(hits, targets) == pytest.approx(balanced_accuracy_score(targets, scores.argmax(1)))


def test_a_class_that_is_only_guessed_does_not_count():
    targets, guesses = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 3, 1, 1, 2, 2])  # class 3 is guessed, never a target
    hits = metrics.topk_hits(np.eye(4)[guesses], targets, 1)
    assert metrics.class_average(hits, targets) == pytest.approx(2.5 / 3)          # 0.833; with a zero for class 3 0.625
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        assert balanced_accuracy_score(targets, guesses) == pytest.approx(2.5 / 3)
    recall = metrics.per_class_recall(hits, targets)
    assert recall.labels.tolist() == [0, 1, 2] and recall.share.tolist() == [.5, 1, 1] and recall.count.tolist() == [2, 2, 2]


def test_interval_agrees_with_scipy_for_one_class():
    hits = (rng(1).random(80) < .4).astype(float)
    ours = metrics.bootstrap(hits, np.zeros(80, int), n=8000, rng=rng())
    theirs = stats.bootstrap((hits,), np.mean, n_resamples=8000, method="percentile", rng=rng()).confidence_interval
    assert ours.value == hits.mean()
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=.013)


def test_interval_repeats_and_widens_with_groups():
    hits = np.repeat([1., 0., 1., 0., 1., 1.], 10)                  # ten recordings of one animal are all right or all wrong
    targets, groups = np.repeat([0, 1], 30), np.repeat(np.arange(6), 10)
    plain = metrics.bootstrap(hits, targets, rng=rng())
    grouped = metrics.bootstrap(hits, targets, groups, rng=rng())
    assert plain == metrics.bootstrap(hits, targets, rng=rng()) != metrics.bootstrap(hits, targets, rng=rng(1))
    assert grouped.high - grouped.low > 2 * (plain.high - plain.low)
    assert plain.value == grouped.value
    with pytest.raises(ValueError, match="one length"):
        metrics.bootstrap(hits, targets[:-1], rng=rng())


def test_a_paired_difference_is_narrower_than_two_intervals():
    scores, targets = toy(200)
    a = metrics.topk_hits(scores, targets, 1)
    b = a.copy()
    b[:10] = 0                                                      # the same answers but for ten recordings
    difference = metrics.paired_difference(a, b, targets, rng=rng())
    assert difference.value == pytest.approx(metrics.class_average(a, targets) - metrics.class_average(b, targets))
    assert difference.low <= difference.value <= difference.high
    single = metrics.bootstrap(a, targets, rng=rng())
    assert difference.high - difference.low < single.high - single.low
    assert metrics.paired_difference(a, a, targets, rng=rng()) == (0, 0, 0)


def test_seeds_are_resampled_too():
    targets = np.repeat([0, 1], 50)
    a, b = np.zeros((3, 100)), np.zeros((3, 100))
    a[0] = 1                                                        # seed 0 gains everything, the others nothing
    difference = metrics.across_seeds(a, b, targets, rng=rng())
    assert difference.value == pytest.approx(1 / 3) and (difference.low, difference.high) == (0, 1)
    with pytest.raises(ValueError, match="same seeds and recordings"):
        metrics.across_seeds(a, b[:2], targets, rng=rng())


def test_smallest_detectable_falls_with_recordings_and_matches_the_interval():
    def arms(n):
        generator = rng(3)
        return (generator.random(n) < .5).astype(float), (generator.random(n) < .5).astype(float), np.arange(n) % 2

    few, many = (metrics.smallest_detectable(*arms(n), rng=rng()) for n in (40, 640))
    assert few / many == pytest.approx(4, rel=.25)                  # one over the square root
    interval = metrics.paired_difference(*arms(640), rng=rng())
    assert many == pytest.approx((interval.high - interval.low) / 2, rel=.1)


def test_score_puts_it_together():
    scores, targets = toy()
    found = metrics.score(metrics.restrict(scores, range(6)), np.minimum(targets, 5), rng())
    assert found.classes == 6 == found.chosen_from and found.recordings == 60
    assert found.top1.low <= found.top1.value <= found.top1.high <= found.top5.value <= 1
    assert found.recall.share.mean() == pytest.approx(found.top1.value)
