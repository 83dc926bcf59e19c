"""What is said of a run at its end."""
import numpy as np

from lib import metrics, paths, runs


def scores(share, classes=10, each=20):
    """Scores of answers that are right in this share of each class's recordings."""
    targets = np.repeat(np.arange(classes), each)
    guess = np.where(np.tile(np.arange(each) < round(share * each), classes), targets, (targets + 1) % classes)
    return metrics.score(np.eye(classes)[guess], targets, np.random.default_rng(0))


def test_the_headline_leads_with_test():
    content = {"notebook": "05_mix_ratio", "name": "ratio=7", "paper": runs.paper("mix_ratio", 7),
               "metrics": paths.plain({**scores(0.5)._asdict(), "test": scores(0.4)})}
    said = runs.headline(content)
    assert said.startswith("05_mix_ratio ratio=7: class-averaged top-1 40.0 % [") and "] on test, 50.0 % [" in said
    assert said.endswith("] on val; paper (liu2026, Table 4, val): top1 59.4, top5 78.9")


def test_the_headline_says_where_there_is_no_interval():
    """Of a record made now, whose NaN is null, and of one from before there was the rule."""
    for ends in (None, .2):
        top1 = {"value": .2, "low": ends, "high": ends}
        said = runs.headline({"notebook": "05", "name": "x", "metrics": {"test": {"top1": top1}}, "paper": None})
        assert said == "05 x: class-averaged top-1 20.0 % (no interval) on test"


def test_the_headline_of_a_record_without_scores():
    assert runs.headline({"notebook": "02", "name": "x", "metrics": {"loss": 0.9}, "paper": None}) == "02 x:"


def test_the_main_job_ends_with_one_sentence_about_test():
    opponents = {"logistic": scores(0.6), "cnn": scores(0.8)}
    said = runs.closing("chorus", scores(0.4), opponents, runs.paper("mix_ratio", 7))
    assert "\n" not in said
    assert said.startswith("40.0 % [") and "of the test recordings are right, averaged over 10 species" in said
    assert "chance is 10.0 %, logistic regression on the log-mel's mean and spread has 60.0 % [" in said
    assert "], a small CNN has 80.0 % [" in said
    assert "the paper's row (liu2026, Table 4, species of its own, val) is 59.4 %" in said
    assert "generator's world" in said


def test_the_sentence_leaves_out_what_there_is_not():
    assert runs.closing("folder:~/frogs", scores(0.4), {}, None).endswith("chance is 10.0 %")
