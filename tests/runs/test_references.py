"""Beside BirdNET: every recording is tested once, its own scores learn nothing, pairs are of the same recordings."""
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from test_results import write
from toys import tones

from lib.patches import Grid
from lib.runs import record, references, verdicts
from lib.transfer import probe, reference


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(references, "FILE", tmp_path / "references.csv")


def standing_in(name: str) -> reference.Frozen:
    """A model that hears the pitch of the tones, and knows the species of two of them by name."""
    def both(waves):
        power = torch.fft.rfft(waves, 3200).abs().square()
        bands = torch.stack([power[:, a:b].sum(1) for a, b in ((0, 100), (100, 500), (500, 1601))], 1).sqrt()
        return bands, bands / bands.sum(1, keepdim=True)

    labels = ("low_Low", "mid_Mid", "other_Other") if name == "birdnet" else ()
    return reference.Frozen(name, "", 16_000, 3200, 3, name, lambda waves: both(waves)[0], labels, None,
                            both if labels else None)


def test_each_recording_of_a_pool_is_tested_once(tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "load", standing_in)
    monkeypatch.setattr(references, "POOLS", ("birds",))
    folder = tmp_path / "pools" / "birds"
    table = tones(folder, 5, 0, 1, seconds=0.3)
    names = [f"XC{700_000 + 10_000 * i}.wav" for i in range(len(table))]
    for file, name in zip(table["file"], names):
        Path(file).rename(folder / name)
    table.assign(file=names, group=names)[["file", "label", "group"]].to_csv(folder / "metadata.csv", index=False)
    references.measure(str(folder.parent))
    found = pd.read_csv(references.FILE)
    assert sorted(found["file"]) == names
    assert found[references.EMBEDDING].all() and found["new"].sum() == 7
    own = found.groupby("species")[references.OWN].mean()
    assert own["low"] == own["mid"] == 1 and own["high"] == 0  # which it does not name
    assert found["commit"].notna().all() and found["hash"].nunique() == 1
    shown = references.table(references.FILE).set_index(["part", "model"])
    assert shown.loc[("all", references.EMBEDDING), "top1"] == 100 and ("new", references.OWN) in shown.index
    assert shown.loc[("all", references.OWN), "change"] == pytest.approx(-100 / 3)
    assert "BirdNET, its own scores" in references.markdown()
    found.assign(commit="abc-dirty").to_csv(references.FILE, index=False)
    assert references.markdown(committed=True) == ""


def test_own_scores_take_the_pooling_that_is_better_on_val():
    table = pd.DataFrame({"file": list("abcdef"), "label": ["x", "y"] * 3, "split": ["train"] * 2 + ["val"] * 2
                          + ["test"] * 2})
    windows = {"x": [[0.0, 0.9], [0.7, 0.0], [0.7, 0.0]], "y": [[0.1, 0.6]] * 3}  # once in x a y is louder
    scores = np.array([window for label in table["label"] for window in windows[label]], np.float32)
    heard = probe.Features(table, np.arange(6).repeat(3), np.ones(18, int), {"scores": scores}, None, Grid(1, 1),
                           ["x", "y"], False)
    assert references.own_scores(heard, np.array([0, 1]), 0).scores["test"].top1.value == 1  # the mean
    assert references.own_scores(heard, np.array([0, -1]), 0).scores["test"].top1.value == 0.5


def test_recorded_models_are_paired_with_birdnet_on_the_same_recordings(tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    for seed in range(3):
        for init, skill in (("random", .2), ("audioset_ssl", .6)):
            write(runs, "04_finetuning", skill, seed, "birds-abcdef", init=init, weights="", more=("answers_cnn",))
    species = np.repeat(list("abcdefghijkl"), 8)
    rng, n = np.random.default_rng(0), len(species)
    rows = pd.DataFrame({"pool": "birds", "hash": "abcdef", "species": species, "group": np.arange(n).astype(str),
                         "new": (np.arange(n) % 2), "file": "x", "commit": "abc",
                         **{name: (rng.random(n) < 0.7).astype(int) for name in references.FROZEN}})
    rows.to_csv(references.FILE, index=False)
    shown = references.table(references.FILE).set_index(["part", "model"])
    best = shown.loc[("all", "finetuned (audioset_ssl (stand-in))")]
    assert best["seeds"] == 3 and ("all", "small CNN") in shown.index and len(shown) == 2 * (3 + 2)
    arm = record.records("04_finetuning").query("init == 'audioset_ssl'").sort_values("seed")
    hits = np.stack(arm["answers.test.hits"]).astype(float)
    base = np.tile(rows[references.EMBEDDING].to_numpy(float), (3, 1))
    change = verdicts.difference(hits, base, pd.factorize(species)[0])
    assert best[["change", "low"]].tolist() == pytest.approx([100 * change.value, 100 * change.low])
    rows.assign(species=species[::-1]).to_csv(references.FILE, index=False)
    with pytest.raises(ValueError, match="measure again"):
        references.table(references.FILE)
