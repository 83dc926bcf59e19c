"""Frozen features on tasks: counts behind a score, its interval, differences over seeds and recordings, Table 7."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from lib import paths
from lib.hear import api, frozen, offline, predictor, scores, tasks
from lib.hear.scores import Event
from lib.runs import record, results_hear, scales


def hits(skill, S=3, R=200, seed=0):
    return (np.random.default_rng([seed, int(1000 * skill)]).random((S, R)) < skill).astype(int), np.ones((S, R), int)


def test_counts_give_the_official_scores():
    rng = np.random.default_rng(0)
    p, y = rng.random((40, 5)), np.eye(5)[rng.integers(5, size=40)]
    result = predictor.Result(0.0, {}, pd.DataFrame(), pd.DataFrame(), predictor.Answers([], p, y))
    right, of = frozen.counts(result, "top1_acc")
    assert right.sum() / of.sum() == pytest.approx(scores.top1(p, y))
    events = [[[Event(int(rng.integers(2)), float(t), float(t + 300))
                for t in np.sort(rng.uniform(0, 5000, rng.integers(6)))] for _ in range(30)] for _ in range(2)]
    result = predictor.Result(0.0, {}, pd.DataFrame(), pd.DataFrame(), predictor.Answers([], *events))
    right, of = frozen.counts(result, "event_onset_200ms_fms")
    assert right.sum() / of.sum() == pytest.approx(scores.onset_f(*events)) and 0 < right.sum() < of.sum()
    assert frozen.counts(result, "mAP") is None


def test_an_interval_covers_what_it_should():
    """A model that is right half of the time: 0.5 is inside in about 95 of 100 repeats."""
    inside = 0
    for i in range(100):
        right, of = (x[0] for x in hits(.5, S=1, R=120, seed=i))
        one = frozen.interval(right, of, rng=np.random.default_rng(i))
        assert one.value == right.mean()
        inside += one.low <= 0.5 <= one.high
    assert 88 <= inside <= 100


def test_events_that_nobody_heard_score_nothing():
    assert tuple(frozen.interval(np.zeros(5), np.zeros(5), rng=np.random.default_rng(0))) == (0, 0, 0)


def models(**skills):
    """Rows by seed, as `results_hear.arms` has them, of a model with these skills on tasks of these sizes."""
    counts = {name: hits(skill, R=R, seed=seed) for name, (skill, R, seed) in skills.items()}
    return pd.DataFrame([{f"tasks.{name}.{key}": list(map(int, x[s])) for name, pair in counts.items()
                          for key, x in zip(("right", "of"), pair)} for s in range(3)])


def test_a_difference_is_that_of_the_scores_and_its_interval_knows_it():
    a, b = models(x=(.9, 200, 0), y=(.5, 50, 0)), models(x=(.3, 200, 0), y=(.5, 50, 1))
    found = results_hear.differences(a, b)
    assert list(found) == ["x", "y", "mean"]
    for name in ("x", "y"):
        right = [np.mean(arm[f"tasks.{name}.right"].tolist()) for arm in (a, b)]
        assert found[name].value == pytest.approx(right[0] - right[1])
        assert found[name].low < found[name].value < found[name].high
    assert found["mean"].value == pytest.approx((found["x"].value + found["y"].value) / 2)
    assert found["x"].low > 0 and found["y"].low < 0 < found["y"].high
    assert all(same.value == 0 for same in results_hear.differences(a, a).values())


def test_other_recordings_cannot_be_paired():
    with pytest.raises(ValueError, match=r"x: one model has counts \(3, 200\).*\(3, 150\)"):
        results_hear.differences(models(x=(.5, 200, 0)), models(x=(.5, 150, 0)))


@pytest.mark.parametrize("samples", [800, 2_000, 16_000, 50_001])
def test_logmel_columns_keep_the_contract(samples):
    model = frozen.LogMelColumns()
    waves = 0.1 * torch.randn(3, samples, generator=torch.Generator().manual_seed(0))
    x, times = api.get_timestamp_embeddings(waves, model)
    assert x.shape == (3, times.shape[1], model.timestamp_embedding_size) and x.isfinite().all()
    assert times[0, -1] <= 1000 * samples / model.sample_rate and (times[0].diff() > 0).all()
    alone = api.get_scene_embeddings(waves[:1], model)
    assert torch.allclose(alone, api.get_scene_embeddings(waves, model)[:1], atol=1e-6)


def test_every_task_end_to_end_and_the_same_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    row = [tasks.read(offline.make(name, "smoke", 0)) for name in ("pitch", "events")]
    found = [frozen.evaluate(frozen.LogMelColumns(), row, 0, scales.scale("smoke").predictor) for _ in range(2)]
    assert found[0] == found[1] and list(found[0]) == ["pitch", "events"]
    for answer in found[0].values():
        json.dumps(paths.plain(answer), allow_nan=False)
        assert len(answer["right"]) == len(answer["of"]) == answer["recordings"]
        assert answer["low"] <= answer["score"] <= answer["high"]


def test_models_by_name():
    smoke = scales.scale("smoke")
    one, two = (frozen.model("untrained", *smoke.msm_mae("208"), smoke.msm_recipe(0, s), {}) for s in (0, 1))
    assert "random weights" in one.what and one.samples == 0
    assert not torch.equal(one.embedder.model.encoder.cls_token, two.embedder.model.encoder.cls_token)
    with pytest.raises(ValueError, match="nowhere"):
        frozen.model("nowhere.safetensors", *smoke.msm_mae("208"), smoke.msm_recipe(0, 0), {})


def write(folder, model, skill, seed):
    """A record as 08 leaves it, of a model that is right with probability `skill` on every task."""
    answers = {name: {"score": skill, "right": hits(skill, 1, seed=seed)[0][0].tolist(), "of": [1] * 200}
               for name in ("species", "events")}
    parameters = {"model": model, "scale": "tiny", "seed": seed, "data_seed": 0, "wildlife": "chorus",
                  "general": "chorus", "budget": "main"}
    pools = {pool: {"name": "chorus", "hash": "abcdef"} for pool in record.POOLS}
    paths.write_json(folder / "08_design_choices" / f"{model},{seed}.json", {
        "notebook": "08_design_choices", "name": f"{model},{seed}", "version": record.VERSION,
        "parameters": parameters, "seed": seed, "scale": "tiny", "data": pools, "metrics": {"mean": skill},
        "tasks": answers})


def test_rows_stand_beside_the_paper(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path))
    assert set(results_hear.rows("Table 7")["verdict"]) == {"not run"}
    for seed in range(5):
        write(tmp_path, "304", .7, seed)
        write(tmp_path, "304_80x4", .4, seed)
    table = results_hear.rows("Table 7").set_index("task")
    assert table.loc["species", "paper_change"] == pytest.approx(88.1 - 87.3)  # its model, Speech Commands
    assert table.loc["species", "verdict"] == "in the generator's world: opposite" and table.loc["species", "high"] < 0
    assert table.loc["events", "verdict"] == "in the generator's world: lower, the paper does not say"
    assert table.loc["mean", "verdict"] == "in the generator's world: same direction"
    assert table.loc["mean", "seeds"] == 5
    assert "| 304_80x4 | 304 | -0.8 |" in results_hear.markdown("Table 7")


def test_seeds_and_recordings_are_crossed_in_the_scores_own_units():
    rng, arms = np.random.default_rng(1), {}
    for name, skill in (("a", .8), ("b", .6)):
        of = rng.integers(0, 4, (3, 60))                            # events: some recordings have none
        right = rng.binomial(of, skill)
        one = [{f"tasks.{task}.{k}": v.tolist() for task in ("events", "more") for k, v in (("right", r), ("of", o))}
               for r, o in zip(right, of)]
        arms[name] = pd.DataFrame(one, range(3)), right.sum(axis=1) / of.sum(axis=1)
    (a, scores_a), (b, scores_b) = arms.values()
    found = results_hear.differences(a, b)
    assert found["events"].value == pytest.approx(np.mean(scores_a - scores_b))
    assert found["events"].low < found["events"].value < found["events"].high and found["events"].seeds == 3
    assert found["mean"].value == pytest.approx(found["events"].value)
    assert results_hear.differences(a, a)["mean"].p != results_hear.differences(a, a)["mean"].p  # no interval


def test_statements_stand_beside_the_mean_and_the_range_of_the_seeds(tmp_path, monkeypatch):
    stored = paths.ROOT / "papermill_runs" / "10_looking_inside" / "seed=0,scale=tiny,data=chorus.json"
    run = json.loads(stored.read_text(encoding="utf-8"))
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path))
    assert "not run" in results_hear.inside()
    (tmp_path / "10_looking_inside").mkdir()
    for seed, auc in enumerate((0.3, 0.4, 0.8)):
        run["metrics"]["to_calls"]["attention"]["AUC"] = auc
        run["parameters"]["seed"] = run["seed"] = seed
        (tmp_path / "10_looking_inside" / f"seed={seed}.json").write_text(json.dumps(run))
    assert "seeds: 3" in results_hear.inside() and "AUC of other calls 0.50 (0.30 to 0.80)" in results_hear.inside()
