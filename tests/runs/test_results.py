import json

import numpy as np
import pandas as pd
import pytest

from lib import metrics, paths
from lib.runs import record, results

BY_PLACE = {e.place: e for e in results.EXPERIMENTS}
SKILL = {"random": .2, "random+inat_ssl": .5, "audioset_ssl": .6, "audioset_ssl+inat_ssl": .62}


def write(folder, notebook, skill, seed=0, data="chorus", classes=12, each=8, groups=True, more=(), **parameters):
    """A record of the form the notebooks write, of a model that is right with probability `skill`."""
    generator = np.random.default_rng([seed, int(1000 * skill), len(json.dumps(parameters))])
    targets = np.repeat(np.arange(classes), each)
    answers = {split: {"hits": (generator.random(len(targets)) < skill).astype(float), "targets": targets,
                       "groups": np.arange(len(targets)) // (1 if groups else each)} for split in ("val", "test")}
    tops = {split: metrics.bootstrap(a["hits"], targets, rng=generator) for split, a in answers.items()}
    parameters = {"scale": "tiny", "seed": seed, "data_seed": 0, "wildlife": data, "general": data, "budget": "sweep"} | parameters
    pools = {p: {"name": data, "hash": "abcdef", "recordings": 300, "classes": classes, "hours": 1.5} for p in ("wildlife", "general")}
    name = ",".join(f"{k}={v}" for k, v in parameters.items())
    content = {"notebook": notebook, "name": name, "version": record.VERSION, "parameters": parameters, "seed": seed, "scale": "tiny", "data": pools,
               "metrics": {"top1": tops["val"], "test": {"top1": tops["test"]}}, "labels": list("abcdefghijkl"), "answers": answers,
               **dict.fromkeys(more, answers)}
    paths.write_json(folder / notebook / f"{record.hashlib.sha256(name.encode()).hexdigest()[:12]}.json", paths.plain(content))


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path))
    return tmp_path


@pytest.fixture
def full(made, monkeypatch):
    monkeypatch.setenv("STUDY_RUNS", str(made))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """All tables, on chorus and, for Table 3, on real recordings too."""
    runs = tmp_path_factory.mktemp("runs")
    for seed in range(3):
        for init, skill in SKILL.items():
            for data in ("chorus", "frogs-1a2b3c"):
                write(runs, "04_finetuning", skill, seed, data, init=init, preset="audiomae", weights="")
            for fraction in ("1", "8"):  # with all labels it is a run of 04
                write(runs, "06_label_fraction", skill, seed, init=init, fraction=fraction, equal_steps=False, weights="")
        for ratio in (0, 7, "inf"):
            write(runs, "05_mix_ratio", .3 if ratio == 0 else .6, seed, ratio=ratio)
        for kind, control, skill in [("none", False, .6), *((k, c, s) for k, s in (("confidence", .3), ("loss", .5)) for c in (False, True))]:
            write(runs, "07_data_curation", skill, seed, filter=kind, threshold="50%", control=control,
                  more=("answers_filtered", "answers_proxy"))
    for init in ("random", "audioset_ssl+inat_ssl"):
        write(runs, "03_linear_probe", .3, init=init)
    return runs


def test_without_any_record_everything_is_not_run(runs):
    table = results.everything()
    assert table["measured"].isna().all() and table["verdict"].str.startswith("not run").all()
    assert set(table["place"]) == set(BY_PLACE) and len(results.pools()) == 0
    public = table[table["setting"].isin(results.PUBLIC)]
    assert len(public) and (public["verdict"] == "not run: needs the public weights").all()
    assert table.query("place == 'Table 3' and setting == 'birdmae' and split == 'test'")["paper"].item() == 62.76
    assert results.section().count(": not run.") == len(results.EXPERIMENTS) + 1  # and the ladder of the second paper


def test_numbers_are_those_of_metrics(full):
    table = results.rows(BY_PLACE["Table 3"])
    row = table.query("data == 'frogs-1a2b3c' and setting == 'random+inat_ssl' and split == 'test'").iloc[0]
    stored = record.records("04_finetuning").query("wildlife == 'frogs-1a2b3c'").sort_values("seed")
    ours, base = (np.stack(stored[stored["init"] == i]["answers.test.hits"]) for i in ("random+inat_ssl", "random"))
    targets, groups = (np.array(stored.iloc[0][f"answers.test.{k}"]) for k in ("targets", "groups"))
    recordings, species = (metrics.across_seeds(ours, base, targets, groups, over=o, rng=np.random.default_rng(0)) for o in ("groups", "classes"))
    assert (row.change, row.low, row.high) == pytest.approx(tuple(100 * v for v in recordings))
    assert (row.low_species, row.high_species) == pytest.approx((100 * species.low, 100 * species.high))
    assert row.measured == pytest.approx(100 * stored[stored["init"] == "random+inat_ssl"]["test.top1.value"].mean())
    assert (row.paper, row.paper_change, row.seeds) == (47.53, pytest.approx(47.53 - 37.13), 3) and row.detectable > 0
    pd.testing.assert_frame_equal(table, results.rows(BY_PLACE["Table 3"]))


def test_verdicts_are_for_real_recordings(full):
    table = results.everything().query("split == 'val' and change == change")
    made, real = (table[table["data"].str.startswith("chorus") == b] for b in (True, False))
    assert made[made["seeds"] > 1]["verdict"].str.startswith("in the generator's world: ").all()
    assert not real["verdict"].str.contains("generator").any()
    found = real.set_index(["setting", "against"])["verdict"]
    assert found["random+inat_ssl", "random"] == "same direction"
    assert found["audioset_ssl+inat_ssl (stand-in)", "audioset_ssl (stand-in)"] == "undecided"
    assert (table.query("place == 'Table 2'")["verdict"] == "one seed, no verdict").all()
    assert "in the generator's world: same direction" in set(made.query("place == 'Table 4'")["verdict"])


@pytest.mark.parametrize("direction, low, high, said", [
    (1, 1, 3, "same direction"), (-1, 1, 3, "opposite"), (1, -1, 3, "undecided"), (0, 1, 3, "higher, the paper does not say"),
    (0, -3, -1, "lower, the paper does not say"), (-1, -3, -1, "same direction"), (1, 0, 0, "undecided")])
def test_verdict(direction, low, high, said):
    interval = metrics.Interval((low + high) / 2, low, high)
    assert results.verdict(direction, [interval, interval], 3, "frogs-1a2b3c") == said
    for made in ("chorus", "chorus_empty_0.6-1a2b3c", "chorus + chorus_other_species-1a2b3c"):
        assert results.verdict(direction, [interval, interval], 3, made) == f"in the generator's world: {said}"
    assert results.verdict(direction, [interval, metrics.Interval(0, -9, 9)], 3, "frogs") == "undecided"  # other species might say otherwise
    assert results.verdict(direction, [interval], 1, "frogs") == "one seed, no verdict"
    assert results.verdict(direction, [interval], 1, "frogs", True) == "one seed and too few groups, no verdict"


def test_single_group_classes_carry_no_verdict(runs):
    for seed in range(2):
        for ratio, skill in ((0, .1), (7, .9)):
            write(runs, "05_mix_ratio", skill, seed, "frogs-1a2b3c", groups=False, ratio=ratio)
    assert results.rows(BY_PLACE["Table 4"]).query("setting == '7'")["verdict"].unique().tolist() == ["too few groups, no verdict"]


def test_records_of_other_recordings_are_refused(runs):
    write(runs, "05_mix_ratio", .3, ratio=0)
    write(runs, "05_mix_ratio", .3, ratio=7, each=9)
    with pytest.raises(ValueError, match="05_mix_ratio: records of chorus, tiny list their recordings in different orders"):
        results.rows(BY_PLACE["Table 4"])


def test_only_arms_of_one_world_are_compared(runs):
    write(runs, "05_mix_ratio", .3, ratio=0)
    write(runs, "05_mix_ratio", .9, ratio=7, budget="none")         # alone in its world
    assert results.rows(BY_PLACE["Table 4"]).empty
    write(runs, "05_mix_ratio", .3, ratio=7)
    table = results.rows(BY_PLACE["Table 4"], ("val",))
    assert table["setting"].tolist() == ["0", "7"] and (table["data"] == "chorus").all() and table["measured"].max() < 60
    write(runs, "05_mix_ratio", .9, 1, ratio=7)                     # a seed the other arm lacks
    assert results.rows(BY_PLACE["Table 4"], ("val",)).set_index("setting")["change"]["7"] == pytest.approx(table.set_index("setting")["change"]["7"])
    assert [s for s in results.not_run(BY_PLACE["Table 4"])["setting"]] == ["1", "3", "15", "inf"]


def test_curation_stands_beside_the_share_dropped_and_its_control(full):
    table = results.rows(BY_PLACE["Figure 4"], ("val",)).set_index(["setting", "against"])
    row = table.loc[("confidence 50%", "no filter")]
    assert row["paper"] == 54.8 and row["paper_change"] == pytest.approx(-4.7)
    assert np.isnan(table.loc[("confidence 50%", "confidence 50%, as many at random"), "paper_change"])
    assert row["verdict"] == "in the generator's world: same direction"
    assert "loss 50%" not in table.index.get_level_values(0)
    other = results.rows(BY_PLACE["Figure 5"], ("val",)).set_index(["setting", "against"])
    assert other.loc[("loss 50%", "no filter"), "paper"] == 55.7   # half the windows dropped, as the panel on finetuning has it
    assert other.loc[("loss 50%, as many at random", "no filter")].notna()["change"]
    small = other.loc[("loss 50%, MobileNetV3", "no filter, MobileNetV3")]
    assert (small["paper"], small["paper_change"]) == (50.5, pytest.approx(-4.4))  # its other panel says 0.06 for the same half
    kept = table.loc[("confidence 50%, finetuned on kept", "no filter, finetuned on kept")]
    assert (kept["paper"], kept["paper_change"]) == (54.9, pytest.approx(-4.6))


@pytest.mark.parametrize("threshold, number", [("0.5", 54.9), ("0.50", 54.9), ("0.9", 54.8), ("50%", 54.8), ("0.7", np.nan), ("25%", np.nan)])
def test_a_threshold_finds_its_number_in_the_paper(threshold, number):
    assert results._paper(BY_PLACE["Figure 4"], "confidence", "val", "full_finetune_top1", threshold) == pytest.approx(number, nan_ok=True)


def test_label_fractions_are_compared_at_one_size_and_in_order(full):
    table = results.rows(BY_PLACE["Figure 3"], ("val",))
    assert table["setting"].str.split(", ").str[1].unique().tolist() == ["1 per species", "8 per species", "all per species"]
    known = table[table["against"].notna()]
    assert (known["setting"].str.split(", ").str[1] == known["against"].str.split(", ").str[1]).all() and known["paper"].isna().all()
    assert set(known["verdict"]) == {"in the generator's world: same direction"}  # the paper's text says better, without a number


def test_readme_is_written_once_and_then_left(full, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# A\n\n{results.BEGIN}\nold\n{results.END}\n\nafter\n", encoding="utf-8")
    assert results.write_readme(readme)
    first = readme.read_text(encoding="utf-8")
    assert not results.write_readme(readme) and readme.read_text(encoding="utf-8") == first
    assert first.startswith("# A\n") and first.endswith("after\n") and "old" not in first and "python -m lib.runs.results" in first
    assert "| random | 38.02 |" in first and "needs the public weights" in first and "nan" not in first.lower().replace("finance", "")
    readme.write_text("# A\n", encoding="utf-8")
    with pytest.raises(ValueError, match="once each"):
        results.write_readme(readme)


def test_the_readme_says_what_the_records_say():
    text = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    inside = text.partition(results.BEGIN)[2].partition(results.END)[0].strip("\n")
    assert inside == results.section(), "the README is older than the records: python -m lib.runs.results"
