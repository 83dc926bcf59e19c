"""The page of results and the README's sentences: written from the records of committed code and nothing else."""
import json
import re
import shutil
import subprocess
import warnings

import pandas as pd
import pytest
from test_results import write

from lib import paths
from lib.runs import criteria, report, results


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path))
    monkeypatch.setattr(criteria, "PRIMARY", "birds")  # these have no folds and no other pool
    return tmp_path


def few(runs, **more) -> None:
    for seed in range(5):
        for init, skill in {"random": .2, "audioset_ssl": .6, "audioset_ssl+inat_ssl": .6}.items():
            write(runs, "04_finetuning", skill, seed, "birds-abcdef", init=init, weights="", **more)
        for ratio, skill in ((0, .5), (7, .8), ("inf", .8)):
            write(runs, "05_mix_ratio", skill, seed, "birds-abcdef", ratio=ratio, **more)


def test_both_are_written_once_and_then_left(runs, tmp_path):
    few(runs)
    readme, page = tmp_path / "README.md", tmp_path / "RESULTS.md"
    readme.write_text(f"# A\n\n{report.BEGIN}\nold\n{report.END}\n\nafter\n", encoding="utf-8")
    assert report.write(readme, page) == ["README.md", "RESULTS.md"] and report.write(readme, page) == []
    first = readme.read_text(encoding="utf-8")
    assert first.startswith("# A\n") and first.endswith("after\n") and "\nold\n" not in first
    assert len(re.findall(r"(?m)^- \*\*", first)) == 5 and "(holds)" in first and "not run" in first
    text = page.read_text(encoding="utf-8")
    assert "| random | 37.13 |" in text and "needs the public weights" in text
    assert "birds, tiny" in text and "abcdef |" in text and "birds-abcdef" not in text  # a name without digits
    assert not re.search(r"\bnan\b|\binf\]", text)
    readme.write_text("# A\n", encoding="utf-8")
    with pytest.raises(ValueError, match="once each"):
        report.write(readme, page)


def test_runs_of_uncommitted_code_are_left_out(runs):
    few(runs, provenance={"git": "a-dirty", "machine": {"processor": "x"}})
    known = report.judged(committed=True)
    assert known.empty and all("not run" in sentence for sentence in report.sentences(known))


def test_a_sentence_says_what_the_criterion_says(runs):
    few(runs)
    judged = report.judged()
    known = judged.set_index(["setting", "against"])
    row = known.loc[("7", "0")]
    assert f"minus wildlife only {row['change']:+.1f} [{row['low']:+.1f}, " in report.sentences(judged)[1]
    assert row["verdict"] == "holds" and known.loc[("inf", "7"), "verdict"] == "undecided"


def test_other_pools_and_recipes_change_neither_a_verdict_nor_a_sentence(runs):
    few(runs)
    before = report.judged()
    said = report.sentences(before)
    for seed in range(6):
        for ratio, skill in ((0, .9), (3, .5), (7, .1), ("inf", .5)):
            write(runs, "05_mix_ratio", skill, seed, "birds-abcdef", ratio=ratio, preset="paper")
            write(runs, "05_mix_ratio", skill, seed, "frogs-abcdef", ratio=ratio)
    after = report.judged()
    assert set(after["data"]) == {"birds", "birds (preset=paper)", "frogs"} and report.sentences(after) == said
    pd.testing.assert_frame_equal(after[after["data"] == "birds"].reset_index(drop=True), before)
    raw = results.rows(results.BY_PLACE["Table 4"]).query("data == 'birds' and setting == '7'")["p"].item()
    assert before.set_index(["setting", "against"]).loc[("7", "0"), "p"] == raw  # Holm's once, over the criteria


def test_a_notebook_ends_with_its_claims(runs):
    few(runs)
    text = report.answered("Table 4", "Figure 4")
    assert "| Table 4: General sound only beats wildlife only | inf minus 0: above 0, p < 0.05 after Holm |" in text
    assert text.endswith("Not run: Pretraining only on windows that a classifier is sure of costs accuracy.")
    assert report.answered("Table 4", pools=["birds"]) == report.answered("Table 4")
    assert "| Table 4: " not in report.answered("Table 4", pools=["frogs"])


def test_every_description_of_runs_is_listed_with_what_is_recorded():
    table = report.sweeps().set_index("runs")
    files = {file.name.removesuffix(".sweep.json") for file in report.PAGE.parent.glob("*.sweep.json")}
    assert set(table.index) == files and (table["recorded"] <= table["points"]).all()
    assert (table.loc[table["recorded"] > 0, "hours"] > 0).all()


def rows(*changes) -> pd.DataFrame:
    """Differences (low, high, p) of the arms of Table 4's criteria, in their order."""
    arms = [c for c in criteria.CRITERIA if c.place == "Table 4"]
    return pd.DataFrame([{"place": c.place, "setting": c.setting, "against": c.against, "data": "birds",
                          "scale": "tiny", "seeds": 5, "change": (low + high) / 2, "low": low, "high": high, "p": p,
                          "power80": 1.0}
                         for c, (low, high, p) in zip(arms, changes)])


@pytest.mark.parametrize("changes, said", [
    (((1, 5, .001), (-5, -1, .002), (-1, 1, .9)), ["holds", "opposite", "holds"]),
    (((-1, 5, .2), (-2, 2, .9), (-4, 2, .5)), ["undecided", "no difference", "undecided"]),
    (((0.1, 5, .03), (0.1, 4, .04), (4, 6, .001)), ["undecided", "undecided", "opposite"]),  # Holm over the three
    (((1, 5, float("nan")),), ["no verdict: few seeds, or no interval"])])
def test_verdicts_are_those_of_the_criteria(changes, said):
    assert criteria.judged(rows(*changes))["verdict"].tolist() == said


def test_a_control_without_an_auc_has_a_line(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path))
    for control, auc in (("none", .9), ("windows", None)):
        write(tmp_path, "07_data_curation", .5, filter="loss", threshold="50%", control=control,
              provenance={"metrics": {"detector": {"precision": .75, "auc": auc}}})
    assert sorted(line.split(" | ")[3:6] for line in report._detectors().splitlines()[-2:]) == [
        ["none", "0.75", "0.9"], ["windows", "0.75", "-"]]


def test_pools_are_families_of_their_own():
    one = rows((1, 5, .03), (-5, 5, .9), (-1, 1, .9))
    alone = rows((1, 5, .03))
    both = criteria.judged(pd.concat([one, alone.assign(data="chorus")]))
    assert both["verdict"].tolist() == ["undecided", "undecided", "holds", "holds"]


def test_readme_and_page_say_what_the_committed_records_say(tmp_path, monkeypatch):
    """Of a clone in which the main job has run, its new record is not yet theirs."""
    archive = ["git", "archive", "--output", str(tmp_path / "runs.tar"), "HEAD", "papermill_runs"]
    if subprocess.run(archive, cwd=paths.ROOT, capture_output=True).returncode == 0:  # else no clone: what is there
        shutil.unpack_archive(tmp_path / "runs.tar", tmp_path)
        monkeypatch.setenv("STUDY_RUNS", str(tmp_path / "papermill_runs"))
    inside = (paths.ROOT / "README.md").read_text(encoding="utf-8").partition(report.BEGIN)[2].partition(report.END)[0]
    late = "is older than the records: python -m lib.runs.report"
    warnings.simplefilter("error")  # a notebook would show them
    known = report.judged(committed=True)
    said = [f"- {sentence}" for sentence in report.sentences(known)]
    assert inside.strip("\n").splitlines()[2:] == said, f"the README {late}"
    assert report.PAGE.read_text(encoding="utf-8") == report.page(known), f"RESULTS.md {late}"


def test_no_record_is_old_or_of_uncommitted_code():
    for file in sorted(report.PAGE.parent.glob("*/*.json")):
        if file.parent.name != "ready":
            record = json.loads(file.read_text(encoding="utf-8"))
            assert record["version"] == report.record.VERSION and not record["git"].endswith("-dirty"), file.name
            assert {"machine", "versions", "threads"} <= set(record), file.name
