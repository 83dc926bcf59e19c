"""Probing: the encoder is read once and stays as it was, readouts learn from train alone, and are what the well-known
ones are."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits
from toys import ARCH, FRONT, tones

from lib import data, hardware, training
from lib.field import picks
from lib.mae import MAE
from lib.mel import LogMel
from lib.patches import Grid
from lib.transfer import probe, public

QUICK = probe.Recipe(epochs=20, batch=8, lrs=(0.1,))
READOUTS = {"linear": ("mean", probe.linear), "plain": ("class", partial(probe.linear, batchnorm=False)),
            "attentive": ("tokens", probe.Attentive),
            "prototypes": ("tokens", probe.Prototypes)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Three windows a recording, and one recording that is shorter than a window."""
    folder = tmp_path_factory.mktemp("tones")
    made = tones(folder, 6, 3, 3, seconds=0.8)
    short = tones(folder / "short", 1, 0, 0, seconds=0.2, seed=1)
    return pd.concat([made, short], ignore_index=True)


@pytest.fixture
def model():
    return MAE(ARCH, training.generator(0))


def made(shift: float, seed: int = 0, recordings: int = 60, windows: int = 3, width: int = 12, classes: int = 3,
         scale: float = 1.0) -> probe.Features:
    """Features without an encoder: every class lies in a direction of its own, `shift` noise widths away."""
    rng, grid = np.random.default_rng(seed), Grid(4, 2)
    label = np.arange(recordings) % classes
    split = np.where(np.arange(recordings) < recordings // 2, "train",
                     np.where(np.arange(recordings) % 2, "val", "test"))
    table = pd.DataFrame({"file": [f"{i}.wav" for i in range(recordings)], "label": [f"s{i}" for i in label],
                          "split": split})
    row = np.arange(recordings).repeat(windows)
    x = shift * np.eye(classes, width)[label[row]] + rng.standard_normal((len(row), width))
    tokens = rng.standard_normal((len(row), 1 + 8, width))
    # one patch tells
    tokens[np.arange(len(row)), 1 + rng.integers(8, size=len(row))] += 3 * shift * np.eye(classes, width)[label[row]]
    x = (scale * x).astype(np.float32)
    return probe.Features(table, row, np.full(len(row), 4),
                          {"class": x, "mean": x, "frequency": np.concatenate([x, x], 1)},
                          tokens.astype(np.float16), grid, sorted(set(table["label"])), False)


def windows_of(known, split):
    return np.flatnonzero((known.table["split"] == split).to_numpy()[known.row])


def relabel(known, split):
    """The same features with the labels of a split turned by one class."""
    here = known.table["split"] == split
    turned = [f"s{(int(label[1:]) + 1) % 3}" for label in known.table["label"]]
    return replace(known, table=known.table.assign(label=np.where(here, turned, known.table["label"])))


# ------------------------------------------------------------------------------------------------------------- features

def test_features_are_the_encoder_s_answers_to_every_window(table, model):
    known = probe.features(model, FRONT, table, batch=7, bar=None)
    windows = data.Windows(table, FRONT, ahead=True)
    assert len(known.row) == len(windows) == len(known.tokens)
    assert known.row.tolist() == [row for row, _ in windows.places]
    batch = next(iter(data.loader(windows, len(windows))))
    with torch.no_grad():
        tokens = model.encode(batch.spec(LogMel(FRONT)))
    assert torch.allclose(torch.tensor(known.tokens.astype(np.float32)), tokens, atol=2e-3)
    assert known.tokens.dtype == np.float16
    near = 1e-5 if hardware.accelerator().device.type == "cpu" else 2e-3  # a GPU multiplies in TF32
    assert torch.allclose(torch.from_numpy(known.kinds["class"]), tokens[:, 0], atol=near)
    full = known.columns == 4
    assert torch.allclose(torch.from_numpy(known.kinds["mean"][full]), tokens[full, 1:].mean(1), atol=near)
    assert known.labels == ["high", "low", "mid"] and known.kinds["frequency"].shape == (len(windows), 2 * 32)


def test_frequency_concatenation_by_hand():
    tokens = torch.arange(2 * 7 * 2).float().reshape(2, 7, 2)  # a class token, then t = 3 times of f = 2 mel rows
    got = probe.pooled(tokens, Grid(3, 2), torch.tensor([3, 3]))["frequency"]
    for w in range(2):
        times = [torch.cat([tokens[w, 1 + 2 * t], tokens[w, 2 + 2 * t]]) for t in range(3)]
        assert torch.allclose(got[w], torch.stack(times).mean(0))


def test_frequency_concatenation_is_msm_mae_s(golden):
    T, card = golden("msm_mae")
    weights = {k.removeprefix("weights."): v for k, v in T.items() if k.startswith("weights.")}
    model = public.convert(weights, "msm_mae", grid=(13, 5), heads=3, decoder_heads=3)
    with torch.no_grad():
        tokens = model.encode(T["input"].transpose(2, 3), None)
    got = probe.pooled(tokens, Grid(13, 5), torch.full((len(tokens),), 13))["frequency"]
    assert torch.allclose(got, T["frame_features"].mean(1), atol=card["tolerance"]["default"])


def test_padding_enters_no_mean_and_no_patch(table, model):
    known = probe.features(model, FRONT, table, bar=None)
    short = np.flatnonzero(known.columns < 4)
    assert len(short) == 3 and set(table["duration_s"][known.row[short]]) == {0.2}
    w, n = short[0], known.columns[short[0]]
    patches = torch.tensor(known.tokens[w, 1:].astype(np.float32)).unflatten(0, (4, 2))  # (t, f, D)
    assert torch.allclose(torch.from_numpy(known.kinds["mean"][w]), patches[:n].mean((0, 1)), atol=2e-3)
    taken = known.take("tokens", np.array([0, w]))  # beside a window that is full
    assert {tuple(x.tolist()) for x in taken[1]} == {tuple(x.tolist()) for x in patches[:n].flatten(0, 1)}
    assert torch.equal(taken[0], torch.tensor(known.tokens[0, 1:].astype(np.float32)))


def test_the_encoder_stays_frozen(table, model):
    before = {k: v.clone() for k, v in model.state_dict().items()}
    known = probe.features(model, FRONT, table, bar=None)
    for kind, readout in READOUTS.values():
        probe.train("x", known, kind, readout, replace(QUICK, epochs=2))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_a_second_call_only_reads(table, model, monkeypatch):
    first = probe.features(model, FRONT, table, bar=None)
    calls, real = [], MAE.encode
    monkeypatch.setattr(MAE, "encode", lambda self, *a: calls.append(1) or real(self, *a))
    again = probe.features(model, FRONT, table.assign(label="x", split="train"), batch=3, bar=None)
    assert not first.cached and again.cached and not calls and again.labels == ["x"]
    assert all(np.array_equal(first.kinds[k], again.kinds[k]) for k in probe.KINDS)
    assert np.array_equal(first.tokens, again.tokens)
    for other, front, rows in [(MAE(ARCH, training.generator(1)), FRONT, table),
                               (model, replace(FRONT, mean=FRONT.mean + 1), table),
                               (model, FRONT, table.iloc[1:]), (model, FRONT, table.iloc[::-1]),
                               (model, FRONT, table.assign(start_s=0.1))]:
        calls.clear()
        assert not probe.features(other, front, rows, bar=None).cached and calls


def test_another_decoder_has_the_same_features(table, model):
    probe.features(model, FRONT, table, bar=None)
    with torch.no_grad():
        model.decoder_pred.weight.add_(1)
    assert probe.features(model, FRONT, table, bar=None).cached


def test_an_interrupted_extraction_is_made_again(table, model, monkeypatch):
    real, calls = MAE.encode, []
    monkeypatch.setattr(MAE, "encode", lambda self, *a: real(self, *a) if calls.append(1) or len(calls) < 3 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        probe.features(model, FRONT, table, batch=8, bar=None)
    monkeypatch.setattr(MAE, "encode", real)
    assert not probe.features(model, FRONT, table, bar=None).cached


def test_tokens_too_large_to_keep_leave_the_pooled_kinds(table, model, monkeypatch):
    monkeypatch.setattr(probe, "MEMORY", 1000)
    known = probe.features(model, FRONT, table, bar=None)
    assert known.tokens is None and known.take("mean", np.array([0])).shape == (1, 32)
    with pytest.raises(ValueError, match="too large to keep"):
        known.take("tokens", np.array([0]))


# ------------------------------------------------------------------------------------------------------------- readouts

@pytest.mark.parametrize("name", READOUTS)
def test_what_is_separable_is_learnt(name):
    kind, readout = READOUTS[name]
    recipe = replace(QUICK, epochs=40) if kind != "tokens" else replace(probe.TOKENS, epochs=60, batch=16, lrs=(0.03,))
    known = made(6.0, recordings=120)
    scores = probe.evaluate(probe.train(name, known, kind, readout, recipe), known, 0).scores
    assert scores["val"].top1.value == 1.0 and scores["test"].top1.value == 1.0 and scores["val"].chosen_from == 3


@pytest.mark.parametrize("reference", [probe.neighbours, probe.logistic])
def test_what_is_separable_is_known_to_the_references(reference):
    known = made(6.0)
    assert probe.evaluate(reference(known), known, 0).scores["test"].top1.value == 1.0


def test_the_linear_probe_is_near_logistic_regression():
    known = made(1.5, recordings=600, windows=1)
    rung = probe.train("linear", known, "mean", probe.linear, replace(QUICK, epochs=60, batch=32, lrs=(0.01, 0.1)))
    train, test = windows_of(known, "train"), windows_of(known, "test")
    y = known.table["label"].to_numpy()[known.row]
    reference = LogisticRegression(C=1e3).fit(known.kinds["mean"][train], y[train]).predict(known.kinds["mean"][test])
    ours = np.array(known.labels)[rung.probabilities(test).argmax(1)]
    a, b = (balanced_accuracy_score(y[test], guess) for guess in (ours, reference))
    assert 0.6 < b < 0.95 and abs(a - b) < 0.03


@pytest.mark.parametrize("learn", [lambda x, y: probe.regression(x, y, np.ones(len(x)), 10.0)[-1], picks.learn])
def test_the_number_of_cores_does_not_change_a_regression(learn):
    rng = np.random.default_rng(0)
    y = rng.integers(11, size=300)
    x = (rng.normal(size=(300, 384)) + 0.1 * rng.normal(size=(11, 384))[y]).astype(np.float32)
    with threadpool_limits(1, "blas"):
        one = learn(x, y).coef_
    with threadpool_limits(2, "blas"):
        assert (learn(x, y).coef_ == one).all()


def test_batchnorm_undoes_the_scale_of_a_feature():
    base, small = made(3.0), made(3.0, scale=1e-2)
    # all that tells lies in the second digit
    small = replace(small, kinds={k: x + 5.0 for k, x in small.kinds.items()})

    def top1(known, norm):
        return probe.train("x", known, "mean", partial(probe.linear, batchnorm=norm), QUICK).sweep["top1"].max()

    with_norm, without = ([top1(known, norm) for known in (base, small)] for norm in (True, False))
    assert abs(with_norm[0] - with_norm[1]) < 0.1 and with_norm[1] > 0.9 and without[0] > 0.9 and without[1] < 0.6


def test_parity_with_scikit_learn_s_neighbours():
    known = made(1.0)
    rung, train, val = probe.neighbours(known, ks=(5,)), windows_of(known, "train"), windows_of(known, "val")
    y = known.table["label"].to_numpy()[known.row]
    unit = known.kinds["mean"] / np.linalg.norm(known.kinds["mean"], axis=1, keepdims=True)
    # on the unit sphere the nearest by angle is the nearest
    theirs = KNeighborsClassifier(5).fit(unit[train], y[train])
    np.testing.assert_allclose(rung.probabilities(val), theirs.predict_proba(unit[val]), atol=1e-6)
    assert rung.trainable == 0 and probe.neighbours(known, ks=(1, 10_000)).sweep["value"].tolist() == [1]


def test_a_prototype_finds_its_patch():
    model = probe.Prototypes(8, 3, training.generator(0), each=2).eval()
    tokens = torch.randn(5, 10, 8, generator=training.generator(1))
    with torch.no_grad():
        tokens[2, 7] = 4 * model.prototypes[1, 0]
        found = model.similarity(tokens)  # (W, L, C, J)
        assert found.shape == (5, 10, 3, 2) and found[2, 7, 1, 0] > 0.999 and found.abs().max() <= 1.0001
        expected = 10 * found.amax(1).sum(-1) - 2
        assert torch.allclose(model(tokens), expected, atol=1e-4)
        assert torch.allclose(model(tokens[:, torch.randperm(10, generator=training.generator(2))]), expected,
                              atol=1e-4)  # a place tells nothing
        model.weight[1] = -1.0
        assert torch.allclose(model(tokens)[:, 1], torch.tensor(-2.0))  # no class can be spoken against


def test_the_seed_decides_and_the_global_generator_does_not():
    known = made(1.0)
    for name, (kind, readout) in READOUTS.items():
        torch.manual_seed(1)
        state = torch.get_rng_state()
        a = probe.train(name, known, kind, readout, replace(QUICK, epochs=2))
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(2)
        b, c = (probe.train(name, known, kind, readout, replace(QUICK, epochs=2, seed=seed)) for seed in (0, 1))
        val = windows_of(known, "val")
        assert np.array_equal(a.probabilities(val), b.probabilities(val))
        assert not np.array_equal(a.probabilities(val), c.probabilities(val))


def test_every_field_of_the_recipe_matters():
    known, val = made(1.0), windows_of(made(1.0), "val")
    plain = probe.train("x", known, "mean", probe.linear, QUICK).probabilities(val)
    for change in (dict(epochs=10), dict(batch=16), dict(optimizer="AdamW"), dict(lrs=(0.3,)), dict(weight_decay=0.1),
                   dict(warmup=0.5),
                   dict(seed=1)):
        other = probe.train("x", known, "mean", probe.linear, replace(QUICK, **change))
        assert not np.allclose(other.probabilities(val), plain), change


@pytest.mark.parametrize("learn", [partial(probe.neighbours, ks=(5,)), partial(probe.logistic, Cs=(1.0,)), *[
    partial(probe.train, "x", kind=kind, readout=readout, recipe=replace(QUICK, epochs=3))
    for kind, readout in READOUTS.values()]])
def test_labels_of_val_and_test_are_not_learnt_from(learn):
    known = made(2.0)
    val, results = windows_of(known, "val"), []
    for changed in (known, relabel(known, "val"), relabel(known, "test"), relabel(known, "train")):
        results.append(learn(features=changed).probabilities(val))
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])
    assert not np.allclose(results[0], results[3])


def test_the_choice_is_made_on_val_and_test_is_not_looked_at():
    known = made(2.0)
    recipe = replace(QUICK, epochs=3, lrs=(1e-5, 0.1, 1e6))
    a, b = (probe.train("x", changed, "mean", probe.linear, recipe) for changed in (known, relabel(known, "test")))
    pd.testing.assert_frame_equal(a.sweep, b.sweep)
    assert a.chosen == a.sweep["value"][a.sweep["top1"].idxmax()] == b.chosen
    assert probe.evaluate(a, known, 0).scores["val"].top1.value == a.sweep["top1"].max()
    without = replace(known, table=known.table.assign(split=known.table["split"].replace("test", "val")))
    with pytest.raises(ValueError, match="no recordings in test"):
        probe.evaluate(probe.train("x", without, "mean", probe.linear, recipe), without, 0)


def test_a_rate_that_diverges_scores_nothing():
    known = made(2.0)
    rung = probe.train("x", known, "mean", partial(probe.linear, batchnorm=False), replace(QUICK, lrs=(1e38, 0.1)))
    assert rung.sweep["top1"][0] == 0 and rung.chosen == 0.1


def test_answers_fit_a_record():
    known = made(1.0)
    known = replace(known, table=known.table.assign(group=[f"g{i // 2}" for i in range(60)]))
    result = probe.evaluate(probe.neighbours(known), known, 0)
    for split, answer in result.answers.items():
        n = (known.table["split"] == split).sum()
        assert {k: len(v) for k, v in answer.items()} == {"hits": n, "targets": n, "groups": n}
        assert result.scores[split].recordings == len(answer["hits"])


def test_errors():
    known = made(1.0)
    no_val = replace(known, table=known.table.assign(split=known.table["split"].replace("val", "test")))
    one = replace(known, labels=["s0"])
    for bad in (no_val, one):
        for learn in (probe.neighbours, probe.logistic, partial(probe.train, "x", kind="mean", readout=probe.linear)):
            with pytest.raises(ValueError, match="at least two labels in train and some recordings in val, got"):
                learn(features=bad)
    owls = known.table["label"].mask(known.table["split"] == "val", "owl")
    stranger = replace(known, table=known.table.assign(label=owls))
    with pytest.raises(ValueError, match="1 labels of val were not in train, the first is 'owl'"):
        probe.neighbours(stranger)
    with pytest.raises(ValueError, match="no features 'max': there are class, mean, frequency, tokens"):
        known.take("max", np.array([0]))
    with pytest.raises(ValueError, match="nothing to encode"):
        probe.features(MAE(ARCH), FRONT, known.table.iloc[:0])
