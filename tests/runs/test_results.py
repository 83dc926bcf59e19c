import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from names import NASTY

from lib import metrics, paths, plots
from lib.runs import experiments, record, results, verdicts

BY_PLACE = {e.place: e for e in results.EXPERIMENTS}
SKILL = {"random": .2, "random+inat_ssl": .5, "audioset_ssl": .6, "audioset_ssl+inat_ssl": .62}


def write(folder, notebook, skill, seed=0, data="chorus", classes=12, each=8, groups=True, more=(), provenance=None,
          digest="abcdef", **parameters):
    """A record of the form the notebooks write, of a model that is right with probability `skill`."""
    generator = np.random.default_rng([seed, int(1000 * skill), len(json.dumps(parameters))])
    targets = np.repeat(np.arange(classes), each)
    answers = {split: {"hits": (generator.random(len(targets)) < skill).astype(float), "targets": targets,
                       "groups": np.arange(len(targets)) // (1 if groups else each)} for split in ("val", "test")}
    tops = {split: metrics.bootstrap(a["hits"], targets, rng=generator) for split, a in answers.items()}
    usual = {"scale": "tiny", "seed": seed, "data_seed": 0, "wildlife": data, "general": data, "budget": "sweep",
             "preset": "study", "subtract": "median"}
    parameters = usual | parameters
    card = {"name": data, "hash": digest, "recordings": 300, "classes": classes, "hours": 1.5}
    other = card if parameters["general"] == data else card | {"name": parameters["general"], "hash": "fedcba"}
    name = ",".join(f"{k}={v}" for k, v in (parameters | {"digest": digest}).items())
    content = {"notebook": notebook, "name": name, "version": record.VERSION, "parameters": parameters, "seed": seed,
               "scale": "tiny", "data": {"wildlife": card, "general": other},
               "metrics": {"top1": tops["val"], "test": {"top1": tops["test"]}}, "labels": list("abcdefghijkl"),
               "samples_seen": 24_000, "seconds": 60.0, **(provenance or {}),
               **dict.fromkeys(("answers", *more), answers)}
    paths.write_json(folder / notebook / f"{paths.key(name)}.json", paths.plain(content))


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
    for seed in range(5):
        for init, skill in SKILL.items():
            for data in ("chorus", "frogs-1a2b3c"):
                write(runs, "04_finetuning", skill, seed, data, init=init, weights="",
                      more=("answers_cnn",) if data != "chorus" else ())
            for fraction in ("1", "8"):  # with all labels it is a run of 04
                write(runs, "06_label_fraction", skill, seed, init=init, fraction=fraction, equal_steps=False,
                      weights="")
        for ratio in (0, 7, "inf"):
            write(runs, "05_mix_ratio", .3 if ratio == 0 else .6, seed, ratio=ratio)
    for seed in range(6):  # for so many comparisons in a table more seeds are needed
        for kind, control, skill in (("none", "none", .6), ("confidence", "none", .3), ("confidence", "windows", .3),
                                     ("confidence", "recordings", .3), ("loss", "none", .5), ("loss", "windows", .5)):
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
    assert table.query("place == 'Table 3' and setting == 'birdmae'")["paper"].item() == 62.76
    assert all(results.markdown(experiment).endswith(": not run.") for experiment in results.EXPERIMENTS)
    assert results.opponents().empty


def test_numbers_are_those_of_metrics(full):
    table = results.rows(BY_PLACE["Table 3"])
    row = table.query("data == 'frogs-1a2b3c' and setting == 'random+inat_ssl'").iloc[0]
    stored = record.records("04_finetuning").query("wildlife == 'frogs-1a2b3c'").sort_values("seed")
    ours, base = (np.stack(stored[stored["init"] == i]["answers.test.hits"]) for i in ("random+inat_ssl", "random"))
    change = verdicts.difference(ours, base, np.array(stored.iloc[0]["answers.test.targets"]))
    assert (row.change, row.low, row.high) == pytest.approx(tuple(100 * v for v in change[:3]))
    assert row.power80 == pytest.approx(100 * change.power80) and row.p == pytest.approx(change.p)
    assert row.holm > row.p  # Holm's, of a whole table
    mean = stored[stored["init"] == "random+inat_ssl"]
    assert row.measured == pytest.approx(100 * mean["test.top1.value"].mean())
    assert row.val == pytest.approx(100 * mean["top1.value"].mean())
    assert (row.paper, row.paper_change, row.seeds) == (47.53, pytest.approx(47.53 - 37.13), 5)
    pd.testing.assert_frame_equal(table, results.rows(BY_PLACE["Table 3"]))


def test_the_paper_stands_beside_test_with_what_it_has(full):
    assert results.rows(BY_PLACE["Table 4"]).set_index("setting")["paper"]["7"] == 59.4  # it has val only
    text = {place: results.markdown(BY_PLACE[place]) for place in ("Table 3", "Table 4")}
    assert "| paper, test | measured, test [95 %] | val |" in text["Table 3"] and "| paper, val |" in text["Table 4"]


def test_verdicts_are_for_real_recordings(full):
    table = results.everything().query("change == change")
    made, real = (table[table["data"].str.startswith("chorus") == b] for b in (True, False))
    assert made[made["seeds"] > 1]["verdict"].str.startswith("in the generator's world: ").all()
    assert not real["verdict"].str.contains("generator").any()
    found = real.set_index(["setting", "against"])["verdict"]
    assert found["random+inat_ssl", "random"] == "same direction"
    assert found["audioset_ssl+inat_ssl (stand-in)", "audioset_ssl (stand-in)"] == "undecided"
    assert (table.query("place == 'Table 2'")["verdict"] == "few seeds, no verdict").all()
    assert "in the generator's world: same direction" in set(made.query("place == 'Table 4'")["verdict"])


def test_single_group_classes_have_no_interval_but_differences_over_species_do(runs):
    for seed in range(3):
        for ratio, skill in ((0, .1), (7, .9)):
            write(runs, "05_mix_ratio", skill, seed, "frogs-1a2b3c", groups=False, ratio=ratio)
    table = results.rows(BY_PLACE["Table 4"]).query("setting == '7'")
    assert table["measured_low"].isna().all() and table["low"].gt(0).all()
    assert table["verdict"].unique().tolist() == ["same direction"]
    assert " (no interval) | " in results.markdown(BY_PLACE["Table 4"])


def test_records_of_other_recordings_are_refused(runs):
    write(runs, "05_mix_ratio", .3, ratio=0)
    write(runs, "05_mix_ratio", .3, ratio=7, each=9)
    with pytest.raises(ValueError, match="05_mix_ratio: records of chorus, tiny list their recordings in different"):
        results.rows(BY_PLACE["Table 4"])


def test_only_arms_of_one_world_are_compared(runs):
    write(runs, "05_mix_ratio", .3, ratio=0)
    write(runs, "05_mix_ratio", .9, ratio=7, budget="none")         # alone in its world
    assert results.rows(BY_PLACE["Table 4"]).empty
    write(runs, "05_mix_ratio", .3, ratio=7)
    table = results.rows(BY_PLACE["Table 4"])
    assert table["setting"].tolist() == ["0", "7"] and (table["data"] == "chorus").all()
    assert table["measured"].max() < 60
    write(runs, "05_mix_ratio", .9, 1, ratio=7)                     # a seed the other arm lacks
    again = results.rows(BY_PLACE["Table 4"])
    assert again.set_index("setting")["change"]["7"] == pytest.approx(table.set_index("setting")["change"]["7"])
    assert [s for s in results.not_run(BY_PLACE["Table 4"])["setting"]] == ["1", "3", "15", "inf"]


def test_curation_stands_beside_the_share_dropped_and_its_control(full):
    table = results.rows(BY_PLACE["Figure 4"]).set_index(["setting", "against"])
    row = table.loc[("confidence 50%", "no filter")]
    assert row["paper"] == 54.8 and row["paper_change"] == pytest.approx(-4.7)
    assert np.isnan(table.loc[("confidence 50%", "confidence 50%, windows at random"), "paper_change"])
    assert row["verdict"] == "in the generator's world: same direction"
    assert "loss 50%" not in table.index.get_level_values(0)
    other = results.rows(BY_PLACE["Figure 5"]).set_index(["setting", "against"])
    assert other.loc[("loss 50%", "no filter"), "paper"] == 55.7   # half dropped, as the panel on finetuning has it
    assert other.loc[("loss 50%, windows at random", "no filter")].notna()["change"]
    small = other.loc[("loss 50%, MobileNetV3", "no filter, MobileNetV3")]
    assert (small["paper"], small["paper_change"]) == (50.5, pytest.approx(-4.4))  # its other panel says 0.06
    kept = table.loc[("confidence 50%, finetuned on kept", "no filter, finetuned on kept")]
    assert (kept["paper"], kept["paper_change"]) == (54.9, pytest.approx(-4.6))


@pytest.mark.parametrize("threshold, number", [("0.5", 54.9), ("0.50", 54.9), ("0.9", 54.8), ("50%", 54.8),
                                               ("0.7", np.nan), ("25%", np.nan)])
def test_a_threshold_finds_its_number_in_the_paper(threshold, number):
    found = experiments.published(BY_PLACE["Figure 4"], "confidence", "val", "full_finetune_top1", threshold)
    assert found == pytest.approx(number, nan_ok=True)


def test_label_fractions_are_compared_at_one_size_and_in_order(full):
    table = results.rows(BY_PLACE["Figure 3"])
    sizes = table["setting"].str.split(", ").str[1].unique().tolist()
    assert sizes == ["1 per species", "8 per species", "all per species"]
    known = table[table["against"].notna()]
    assert (known["setting"].str.split(", ").str[1] == known["against"].str.split(", ").str[1]).all()
    assert known["paper"].isna().all()  # the paper's text says better, without a number
    assert set(known["verdict"]) == {"in the generator's world: same direction"}


def test_every_start_stands_beside_models_without_pretraining(full):
    """Here the small CNN gives the very answers of random weights; of each seed one record's are taken."""
    table = results.opponents()
    assert set(table["data"]) == {"frogs-1a2b3c"} and set(table["against"].dropna()) == {"small CNN"}
    assert table[table["against"].isna()]["setting"].tolist() == ["small CNN"]
    change = table.dropna(subset=["against"])
    assert set(change["setting"]) == {"random", "random+inat_ssl", "audioset_ssl (stand-in)",
                                      "audioset_ssl+inat_ssl (stand-in)"}
    assert (change["change"] == 0).tolist() == [True, False, False, False] and (change["seeds"] == 5).all()


def test_two_short_pretrainings_are_an_arm_beside_one_long_one(runs):
    for seed in range(2):
        for init, budget in (("audioset_ssl", "sweep"), ("audioset_ssl+inat_ssl", "12000")):
            write(runs, "04_finetuning", .5, seed, init=init, weights="", budget=budget)
    row = results.rows(BY_PLACE["Table 3"]).dropna(subset=["change"]).iloc[0]
    assert row["setting"] == "audioset_ssl+inat_ssl (stand-in), 12,000 clips each" and row["data"] == "chorus"
    assert row["against"] == "audioset_ssl (stand-in)" and row["seeds"] == 2
    table = experiments.load(BY_PLACE["Table 3"])
    assert table.groupby("init")["halved"].unique().map(list).to_dict() == {
        "audioset_ssl": [False], "audioset_ssl+inat_ssl": [True]}


def test_a_readout_is_the_mean_over_seeds(runs):
    for seed, value in enumerate((.2, .4)):
        ladder = [{"rung": "linear, mean", "test": {"value": value}}, {"rung": "k-NN", "test": {"value": .1}}]
        write(runs, "03_linear_probe", .3, seed, init="random", weights="", provenance={"ladder": ladder})
    table = results.readouts()
    assert table["random, tiny"].to_dict() == pytest.approx({"linear, mean": 30.0, "k-NN": 10.0})


def test_public_weights_do_not_take_the_place_of_their_stand_in(runs):
    for seed in range(2):
        write(runs, "04_finetuning", .9, seed, init="audioset_ssl", weights="hub")
        for ratio in (0, "inf"):
            write(runs, "05_mix_ratio", .6, seed, ratio=ratio, pretraining_seed=-1)
    known = results.rows(BY_PLACE["Table 3"])["setting"]
    assert {"audioset_ssl (hub)", "audioset_ssl (stand-in)"} <= set(known)


def test_two_sets_of_recordings_of_one_name_are_told_apart(runs):
    for digest, skill in (("aaaaaa", .9), ("bbbbbb", .2)):
        for ratio in (0, 7):
            write(runs, "05_mix_ratio", skill if ratio else .5, ratio=ratio, digest=digest)
    assert set(results.rows(BY_PLACE["Table 4"])["data"]) == {"chorus (aaaaaa)", "chorus (bbbbbb)"}


def test_wildlife_only_and_general_only_are_starts_too(runs):
    for seed in range(2):
        write(runs, "04_finetuning", .2, seed, init="random", weights="")
        for ratio in (0, 7, "inf"):
            write(runs, "05_mix_ratio", .6, seed, ratio=ratio)
    write(runs, "05_mix_ratio", .6, 2, ratio=0, pretraining_seed=0)  # one encoder for several seeds is another arm
    table = results.rows(BY_PLACE["Table 3"]).dropna(subset=["change"])
    assert set(table["setting"]) == {"random+inat_ssl", "audioset_ssl (stand-in)"} and (table["seeds"] == 2).all()


def test_wildlife_only_stands_beside_every_general_pool(runs):
    """It hears none: which one its record names decides nothing."""
    for seed in range(3):
        write(runs, "05_mix_ratio", .3, seed, ratio=0)
        for ratio in (7, "inf"):
            write(runs, "05_mix_ratio", .6, seed, ratio=ratio)
            write(runs, "05_mix_ratio", .3, seed, general="frogs", ratio=ratio)
    write(runs, "05_mix_ratio", .3, ratio=0, budget=1000)  # of other settings
    table = results.rows(BY_PLACE["Table 4"])
    pools = {data: list(rows["setting"]) for data, rows in table.groupby("data", sort=False)}
    assert pools == {"chorus": ["0", "7", "inf", "inf"], "chorus + frogs": ["0", "7", "inf", "inf"]}
    only = table[table["setting"] == "0"]
    assert only["measured"].nunique() == 1 and (only["seeds"] == 3).all()


@pytest.mark.parametrize("name", NASTY)
def test_pools_and_settings_may_be_called_anything(name, runs):
    row = dict.fromkeys(results.COLUMNS, np.nan) | {"setting": name, "against": name, "data": name, "scale": name}
    *_, line = results.text(pd.DataFrame([row | {"verdict": "-"}]), "test").split("\n")
    assert line.count("|") == len(results.HEADS) + 1 and "<img" not in line and "$" not in line
    write(runs, "05_mix_ratio", .3, ratio=0)
    table = experiments.load(BY_PLACE["Table 4"]).assign(data=f"{name} + other")
    figure = results.mix_ratio(table, record.reference("mix_ratio", metric="top1"))
    figure.canvas.draw()
    assert f"{plots.label(name)}\n+ other" in figure.axes[1].get_title()
    plt.close(figure)
