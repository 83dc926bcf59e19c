"""Five folds as one run: every recording once, top-1 of all of them, nothing of an incomplete five."""
import numpy as np
import pytest

from lib import metrics
from lib.runs import folds, provenance

RNG = np.random.default_rng(0)


def answers(n: int, hits=None) -> dict:
    hits = RNG.integers(0, 2, n) if hits is None else hits
    return {"hits": hits.tolist(), "targets": (np.arange(n) % 3).tolist(), "groups": (np.arange(n) // 2).tolist()}


def record(fold: int, seed: int = 0, ratio: float = 7, n: int = 12) -> dict:
    said, cnn = ({split: answers(n) for split in ("val", "test")} for _ in range(2))
    cnn = {split: {"hits": part["hits"]} for split, part in cnn.items()}
    scores = {"top1": {"value": 0.0, "low": None, "high": None}, "mean_ap": 0.1 * fold, "recall": {"labels": [fold]}}
    both = {"val": dict(scores), "test": dict(scores)}
    name = f"birds_fold_{fold}-abcdef"
    return {"notebook": "05_mix_ratio", "name": f"ratio={ratio},data={name}", "labels": ["a", "b", "c"],
            "parameters": {"ratio": ratio, "seed": seed, "wildlife": name, "general": "general"}, "seconds": 10.0,
            "data": {"wildlife": {"name": name, "hash": "abcdef", "fold": fold}, "general": {"name": "general",
                                                                                              "hash": "fedcba"}},
            "metrics": {**scores, "test": dict(scores)}, "baselines": {"cnn": both}, "answers": said,
            "answers_cnn": cnn}


def test_one_fold_of_uncommitted_code_is_enough_to_leave_all_out():
    five = [record(k) | {"machine": {}, "git": "a-dirty" if k == 3 else "a"} for k in range(5)]
    assert [provenance.publishable(one) for one in folds.merged(five)] == [False]


def test_five_folds_are_one_run_of_every_recording():
    five = [record(k) for k in range(5)]
    one, = folds.merged([five[k] for k in (3, 1, 4, 0, 2)])  # in any order
    hits = np.concatenate([r["answers"]["test"]["hits"] for r in five])
    targets = np.concatenate([r["answers"]["test"]["targets"] for r in five])
    assert one["answers"]["test"]["hits"] == hits.tolist() and one["answers"]["test"]["targets"] == targets.tolist()
    assert len(set(one["answers"]["test"]["groups"])) == 5 * 6  # no group of one fold is a group of another
    assert one["metrics"]["test"]["top1"]["value"] == pytest.approx(metrics.class_average(hits, targets))
    assert one["metrics"]["test"]["top1"]["low"] < one["metrics"]["test"]["top1"]["value"]
    cnn = np.concatenate([r["answers_cnn"]["val"]["hits"] for r in five])
    assert one["baselines"]["cnn"]["val"]["top1"]["value"] == pytest.approx(metrics.class_average(cnn, targets))
    assert one["metrics"]["mean_ap"] == pytest.approx(0.2) and one["metrics"]["test"]["recordings"] == 60
    assert "recall" not in one["metrics"]["test"]
    assert one["data"]["wildlife"]["name"] == "birds-abcdef" == one["parameters"]["wildlife"]
    assert one["seconds"] == 50 and one["name"] == "ratio=7,data=birds-abcdef"


def test_what_not_all_five_have_is_left_out():
    five = [record(k) for k in range(5)]
    del five[1]["answers_cnn"], five[1]["baselines"]["cnn"], five[2]["metrics"]["mean_ap"]
    one, = folds.merged(five)
    assert "answers_cnn" not in one and not one["baselines"] and "mean_ap" not in one["metrics"]


def test_a_number_that_a_fold_lacks_is_nobodys_mean_and_ends_are_not_averaged():
    five = [record(k) for k in range(5)]
    for k, one in enumerate(five):  # a fold whose every recording was right among five guesses has no interval
        one["metrics"]["test"]["top5"] = {"value": 0.8 + k / 20, "low": None if k == 4 else 0.7, "high": 0.9}
        one["metrics"]["test"]["mean_f1"] = None if k == 1 else 0.5
    one, = folds.merged(five)
    assert one["metrics"]["test"]["top5"] == {"value": pytest.approx(0.9), "low": None, "high": None}
    assert one["metrics"]["test"]["mean_f1"] is None


def test_what_is_incomplete_is_left_out_and_what_has_no_folds_stays():
    plain = {**record(0), "data": {"wildlife": {"name": "chorus", "hash": "123456"}}}
    four, other = [record(k) for k in range(4)], [record(k, seed=1) for k in range(5)]
    merged = folds.merged([plain, *four, record(4, ratio=0), *other])
    assert [one["parameters"]["seed"] for one in merged] == [0, 1] and merged[0] is plain


def test_folds_of_different_data_are_not_joined():
    five = [record(k) for k in range(5)]
    five[2]["data"]["general"]["hash"] = "000000"
    assert not folds.merged(five)
    five = [record(k) for k in range(5)]
    five[2]["labels"] = ["a", "b", "d"]
    with pytest.raises(ValueError, match="have different labels, so their answers cannot be joined"):
        folds.merged(five)
