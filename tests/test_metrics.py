import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, top_k_accuracy_score

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


def test_pooling_logits_is_a_geometric_mean():
    logits, index = rng().normal(0, 3, (7, 5)), np.array([0, 0, 0, 1, 2, 2, 1])
    geometric = np.stack([stats.gmean(softmax(logits[index == i], axis=1), axis=0) for i in range(3)])
    of_mean_logit = np.stack([softmax(logits[index == i].mean(0)) for i in range(3)])
    ours = metrics.pool(softmax(logits, axis=1), index, 3, "logit")
    assert np.allclose(ours, geometric / geometric.sum(1, keepdims=True), atol=1e-12)
    assert np.allclose(ours, of_mean_logit, atol=1e-12)
    hidden = metrics.pool(metrics.restrict(softmax(logits, axis=1), [0, 3]), index, 3, "logit")
    assert np.allclose(hidden[:, [0, 3]], metrics.restrict(ours, [0, 3])[:, [0, 3]])  # before or after pooling
    assert (hidden[:, [1, 2, 4]] == -np.inf).all()
    vetoed = metrics.pool(np.array([[1., 0.], [0., 1.], [1., 0.]]), np.array([0, 0, 1]), 2, "logit")
    assert vetoed.tolist() == [[.5, .5], [1, 0]]                   # all classes ruled out by some window: no answer
    flat = np.array([[.6, .4, 0.], [0.05, .5, .45]])               # the ways can differ: a veto
    assert [metrics.pool(flat, np.zeros(2, int), 1, how).argmax() for how in ("mean", "logit")] == [1, 1]


@pytest.mark.parametrize("how", ["mean", "max", "logit"])
def test_a_recording_counts_once_however_long_it_is(how):
    windows = np.concatenate([np.tile([[.1, .9]], (50, 1)), [[.8, .2]]])  # fifty wrong, one right
    answers = metrics.pool(windows, np.array([0] * 50 + [1]), 2, how)
    assert np.allclose(answers, [[.1, .9], [.8, .2]])
    assert metrics.class_average(metrics.topk_hits(answers, np.zeros(2, int), 1), np.zeros(2, int)) == .5


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


def test_top5_with_ties_is_the_mean_over_all_orders_of_the_tied():
    scores, targets = rng(2).integers(3, size=(200, 8)).astype(float), rng(3).integers(8, size=200)
    broken = [top_k_accuracy_score(targets, scores + 1e-6 * rng(i).random(scores.shape), k=5, labels=np.arange(8))
              for i in range(400)]
    assert metrics.topk_hits(scores, targets, 5).mean() == pytest.approx(np.mean(broken), abs=.004)


def test_class_average_is_balanced_accuracy():
    scores, targets = toy()
    hits = metrics.topk_hits(scores, targets, 1)
    assert metrics.class_average(hits, targets) == pytest.approx(balanced_accuracy_score(targets, scores.argmax(1)))


def test_a_class_that_is_only_guessed_does_not_count():
    targets, guesses = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 3, 1, 1, 2, 2])  # class 3 is guessed, never a target
    hits = metrics.topk_hits(np.eye(4)[guesses], targets, 1)
    assert metrics.class_average(hits, targets) == pytest.approx(2.5 / 3)         # 0.833; with a zero for class 3 0.625
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        assert balanced_accuracy_score(targets, guesses) == pytest.approx(2.5 / 3)
    recall = metrics.per_class_recall(hits, targets)
    assert [part.tolist() for part in recall] == [[0, 1, 2], [.5, 1, 1], [2, 2, 2]]


def test_mean_ap_and_mean_f1_are_those_of_inatsounds():
    scores, targets = toy(seed=4)
    one_hot = np.eye(7)[targets]
    macro = average_precision_score(one_hot, scores, average="macro")
    assert metrics.mean_average_precision(scores, targets) == pytest.approx(macro)
    by_hand = np.mean([max(f1_score(targets == c, scores[:, c] >= t) for t in np.unique(scores[:, c]))
                       for c in range(7)])
    assert metrics.mean_best_f1(scores, targets) == pytest.approx(by_hand)
    perfect = np.eye(7)[targets]
    assert metrics.mean_average_precision(perfect, targets) == 1
    assert metrics.mean_best_f1(perfect, targets) == pytest.approx(1)
    share = np.bincount(targets) / len(targets)     # a constant model: AP is the share p, best F1 2p / (1 + p)
    assert metrics.mean_average_precision(np.full((60, 7), 1 / 7), targets) == pytest.approx(share.mean())
    assert metrics.mean_best_f1(np.full((60, 7), 1 / 7), targets) == pytest.approx((2 * share / (1 + share)).mean())
    with pytest.raises(ValueError, match="want scores"):
        metrics.mean_average_precision(scores, targets[:-1])


def test_mean_ap_of_hidden_classes():
    scores, targets = toy(seed=4)
    kept = np.arange(1, 7)
    rows = targets > 0
    hidden = metrics.restrict(scores, kept)
    macro = average_precision_score(np.eye(7)[targets[rows]][:, 1:], hidden[rows][:, 1:], average="macro")
    assert metrics.mean_average_precision(hidden[rows], targets[rows]) == pytest.approx(macro)
    assert metrics.mean_average_precision(hidden, targets) < 6 / 7                      # a hidden target is never found
    assert metrics.mean_best_f1(hidden, targets) < 6 / 7


def test_scores_hold_all_of_it():
    scores, targets = toy()
    found = metrics.score(scores, targets, rng())
    assert metrics.Scores._fields[-3:] == ("chosen_from", "mean_ap", "mean_f1")
    assert found.mean_ap == metrics.mean_average_precision(scores, targets)
    assert found.mean_f1 == metrics.mean_best_f1(scores, targets)
    assert found.top1 == metrics.bootstrap(metrics.topk_hits(scores, targets, 1), targets, rng=rng())


def test_interval_agrees_with_scipy_for_one_class(monkeypatch):
    monkeypatch.setattr(metrics, "DRAWS", 8000)
    hits = (rng(1).random(80) < .4).astype(float)
    ours = metrics.bootstrap(hits, np.zeros(80, int), rng=rng())
    theirs = stats.bootstrap((hits,), np.mean, n_resamples=8000, method="percentile", rng=rng()).confidence_interval
    assert ours.value == hits.mean()
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=.013)


def test_interval_agrees_with_a_stratified_bootstrap_by_hand(monkeypatch):
    monkeypatch.setattr(metrics, "DRAWS", 8000)
    generator = rng(5)
    hits, targets = (generator.random(60) < .6).astype(float), np.repeat([0, 1, 2], [10, 20, 30])
    groups = np.arange(60) // 2                                     # pairs of recordings of one animal
    draws = []
    for _ in range(4000):
        shares = []
        for c in range(3):
            names = np.unique(groups[targets == c])
            shares.append(np.concatenate([hits[groups == g] for g in generator.choice(names, len(names))]).mean())
        draws.append(np.mean(shares))
    ours = metrics.bootstrap(hits, targets, groups, rng=rng())
    assert (ours.low, ours.high) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])), abs=.012)


def test_interval_repeats_and_widens_with_groups():
    hits = np.repeat([1., 0., 1., 0., 1., 1.], 10)  # ten recordings of one animal are all right or all wrong
    targets, groups = np.repeat([0, 1], 30), np.repeat(np.arange(6), 10)
    plain = metrics.bootstrap(hits, targets, rng=rng())
    grouped = metrics.bootstrap(hits, targets, groups, rng=rng())
    assert plain == metrics.bootstrap(hits, targets, rng=rng()) != metrics.bootstrap(hits, targets, rng=rng(1))
    assert grouped.high - grouped.low > 2 * (plain.high - plain.low)
    assert plain.value == grouped.value
    with pytest.raises(ValueError, match="one length"):
        metrics.bootstrap(hits, targets[:-1], rng=rng())


def test_no_interval_where_none_can_be_had():
    hits, targets = rng(2).integers(0, 2, 40).astype(float), np.repeat(np.arange(4), 10)
    alone, pairs = targets.copy(), np.arange(40) // 2               # a single group of recordings in every class
    assert metrics.single_groups(targets, alone) == 1 and metrics.single_groups(targets, pairs) == 0
    none = metrics.bootstrap(hits, targets, alone, rng=rng())
    assert np.isnan(none.low) and np.isnan(none.high) and none.value == metrics.class_average(hits, targets)
    assert str(none) == f"{100 * none.value:.1f} % (no interval)"
    half = np.where(targets < 2, alone, pairs + 10)                 # half of the classes can tell: a little too narrow
    assert metrics.bootstrap(hits, targets, half, rng=rng()).low < none.value
    most = np.where(targets < 3, alone, pairs + 10)
    assert np.isnan(metrics.bootstrap(hits, targets, most, rng=rng()).low)
    assert np.isnan(metrics.bootstrap(np.ones(40), targets, rng=rng()).low)  # all draws are alike
    assert str(metrics.Interval(.4, .3, .512)) == "40.0 % [30.0, 51.2]"


def test_score_puts_it_together():
    scores, targets = toy()
    found = metrics.score(metrics.restrict(scores, range(6)), np.minimum(targets, 5), rng())
    assert found.classes == 6 == found.chosen_from and found.recordings == 60
    assert found.top1.low <= found.top1.value <= found.top1.high <= found.top5.value <= 1
    assert found.recall.share.mean() == pytest.approx(found.top1.value)
