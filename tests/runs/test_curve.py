"""What a budget buys: differences are those of the pairs that the table names, and the figure shows every run."""
import numpy as np
import pandas as pd
import pytest

from lib.runs import curve, verdicts

CLIPS, SEEDS = (0, 1000, 24000), (0, 1, 2)
TARGETS = np.repeat(np.arange(8), 6)
RIGHT = {"answers": 0.5, "answers_frozen": 0.4, "answers_logistic": 0.3, "answers_cnn": 0.8}


@pytest.fixture
def runs():
    rng, rows = np.random.default_rng(0), []
    for clips in CLIPS:
        for seed in SEEDS:
            hits = {k: (rng.random(len(TARGETS)) < p + clips / 1e5).astype(float) for k, p in RIGHT.items()}
            rows.append({"samples_seen": clips, "seed": seed, "data_seed": 0,
                         "pretraining_seed": 0 if clips == 1000 else -1, "answers.test.targets": TARGETS,
                         "test.top1.value": hits["answers"].mean(),
                         **{f"{k}.test.hits": h for k, h in hits.items()},
                         **{f"baselines.{k[8:]}.test.top1.value": h.mean() for k, h in hits.items() if k != "answers"}})
    return pd.DataFrame(rows)


def test_every_budget_stands_against_random_weights_and_logistic_regression(runs):
    table = curve.compared(runs)
    # random weights have one base less than two budgets have; the small CNN is for the finetuned alone
    assert len(table) == 2 * (1 + 2 * 2) + 3
    assert dict(zip(table["clips"], table["encoders"])) == {"0": 3, "1,000": 1, "24,000": 3}
    table = table.set_index(["read", "clips", "against"])
    row = table.loc["frozen", "24,000", "random weights"]
    ours, base = (np.stack(runs.loc[runs["samples_seen"] == clips, "answers_frozen.test.hits"]) for clips in (24000, 0))
    assert row["change"] == pytest.approx(100 * verdicts.difference(ours, base, TARGETS).value)
    row, arm = table.loc["finetuned", "1,000", "logistic regression"], runs[runs["samples_seen"] == 1000]
    ours, base = (np.stack(arm[f"{name}.test.hits"]) for name in ("answers", "answers_logistic"))
    assert row["change"] == pytest.approx(100 * verdicts.difference(ours, base, TARGETS).value) and row["seeds"] == 3
    assert table.loc["finetuned", "24,000", "small CNN"]["change"] < 0
    assert len(curve.compared(runs.drop(columns="answers_cnn.test.hits"))) == 2 * (1 + 2 * 2)


def test_the_main_job_and_the_sweep_over_ratios_are_not_in_it(monkeypatch):
    budgets = pd.Series(["none", "24000", "main", "sweep"])
    records = pd.DataFrame({"budget": budgets, "ratio": 7.0, "preset": "study", "subtract": "median", "seed": 0,
                            "data_seed": 0, "samples_seen": [0, 24000, 24000, 40000], "pretraining_seed": -1,
                            "scale": "tiny", "data.wildlife.hash": "a", "data.general.hash": "b"})
    shared = records.iloc[[1, 1]].assign(pretraining_seed=0, seed=[0, 1])
    monkeypatch.setattr(curve.record, "records", lambda notebook, committed: pd.concat([shared, records]))
    known = curve.load().sort_values(["samples_seen", "seed"])
    assert known["budget"].tolist() == ["none", "24000", "24000"] and known["seed"].tolist() == [0, 0, 1]
    assert known["pretraining_seed"].tolist() == [-1, -1, 0]  # of two runs of seed 0 the one with its own encoder


def test_the_two_readings_are_families_of_their_own(runs):
    both, alone = curve.compared(runs), curve.compared(runs.drop(columns="answers_frozen.test.hits"))
    assert set(alone["read"]) == {"finetuned"}
    pd.testing.assert_frame_equal(both[both["read"] == "finetuned"], alone)


def test_the_figure_has_every_run_and_opponent(runs):
    scores, gains = curve.figure(runs).axes
    labels = [text.get_text() for text in scores.get_legend().get_texts()]
    assert labels == ["finetuned", "frozen, logistic regression", "small CNN", "logistic regression"]
    assert sorted(len(line.get_xdata()) for line in scores.lines if line.get_marker() == ".") == [9, 9]
    assert [tick.get_text() for tick in gains.get_xticklabels()] == ["random\nweights", "1k", "24k"]
    assert len(gains.containers) == 2


def test_the_curve_is_a_table_a_world(runs, monkeypatch):
    named = {"data.wildlife.name": "chorus", "data.general.name": "chorus", "data.wildlife.hash": "a",
             "data.general.hash": "b", "scale": "tiny"}
    named["baselines.logistic.test.top1.value"] = 0.3  # of every seed
    monkeypatch.setattr(curve, "load", lambda committed: runs.assign(**named))
    head, _, *lines = curve.markdown().partition("\n\n")[2].splitlines()
    assert [line.split(" | ")[0] for line in lines] == [
        "| random weights", "| 1,000 clips", "| 24,000 clips", "| small CNN", "| logistic regression"]
    assert all(line.count("|") == head.count("|") for line in lines) and " [" in lines[2] and " [" not in lines[3]
    assert " to " in lines[0] and "| 30.0 |" in lines[4]  # of one number there is no range


def test_without_records_there_is_an_empty_figure_and_no_table():
    assert curve.compared(pd.DataFrame()).empty and len(curve.figure(pd.DataFrame()).axes) == 2
