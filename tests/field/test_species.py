import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support
from toys import FRONT, tones

from lib import audio
from lib.field import species
from lib.transfer.finetune import Predictions

LABELS = ["frog", "newt", "toad"]


@pytest.mark.parametrize("k, n", [(0, 1), (1, 1), (3, 7), (50, 100), (7, 7)])
def test_wilson_is_scipys(k, n):
    theirs = binomtest(k, n).proportion_ci(method="wilson")
    assert species.wilson(k / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-5)
    assert species.wilson(np.nan, 0) == (0, 1)


def test_the_species_table_is_scikit_learns():
    rng = np.random.default_rng(0)
    targets, p = rng.integers(3, size=60), rng.random((60, 3))
    table = species.scores(Predictions(p, targets, np.arange(60), np.arange(3)), LABELS)
    precision, recall, _, n = precision_recall_fscore_support(targets, p.argmax(1))
    np.testing.assert_allclose(table[["precision", "recall", "n"]], np.stack([precision, recall, n], 1))
    assert table["named"].sum() == 60 and (table["recall_low"] < table["recall"]).all()
    assert (table["recall"] < table["recall_high"]).all()


def test_recordings_of_one_group_are_one_statement():
    p = np.eye(3)[[0, 0, 0, 0, 2]]
    p[:, 1] = -np.inf  # hidden: it does not occur in this split
    table = species.scores(Predictions(p, np.array([0, 0, 0, 2, 2]), np.array([0, 0, 0, 1, 2]), np.array([0, 2])),
                           LABELS)
    assert table.loc["frog", ["n", "groups", "recall", "named"]].tolist() == [3, 1, 1, 4]
    assert table.loc["frog", ["recall_low", "recall_high"]].tolist() == pytest.approx(species.wilson(1, 1))
    assert table["taken_for"].tolist() == ["", "frog"] and table.loc["frog", "precision"] == 0.75


def test_a_species_never_named_has_no_precision():
    table = species.scores(Predictions(np.eye(3)[[0, 0]], np.array([0, 2]), np.arange(2), np.array([0, 2])), LABELS)
    assert np.isnan(table.loc["toad", "precision"])
    assert table.loc["toad", ["precision_low", "precision_high"]].tolist() == [0, 1]


def test_counts_and_warnings(tmp_path):
    table = tones(tmp_path)
    found = species.counts(table)
    assert found.to_dict("list") == {"recordings": [10] * 3, "groups": [10] * 3, "minutes": pytest.approx([0.1] * 3),
                                     "train": [6] * 3, "val": [2] * 3, "test": [2] * 3}
    assert [w.partition(":")[0] for w in species.warnings(table, FRONT)] == ["no group column"]
    good = table.assign(group=table["file"])
    assert species.warnings(good, FRONT) == []
    segments = good.assign(start_s=0.1, end_s=0.4)
    assert species.counts(segments)["minutes"].tolist() == pytest.approx([0.05] * 3)


def test_what_is_wrong_is_named(tmp_path):
    table = tones(tmp_path)
    table = table.assign(group=table["file"])
    shutil.copy(table.query("split == 'train'")["file"].iloc[0], table.query("split == 'test'")["file"].iloc[0])
    low = table["file"].iloc[1]
    audio.write(low, audio.read(low, 8000), 8000)
    table.loc[2, "duration_s"] = 0.2
    newts = pd.concat([table.query("label == 'low' and split == 'train'").head(2)] * 40,
                      ignore_index=True).assign(label="newt")
    said = "\n".join(species.warnings(pd.concat([table, newts], ignore_index=True), FRONT))
    for text in ("1 of 4 species have fewer than 3 independent groups",
                 "1 of 4 species are not in test: nothing will be known about them (newt)",
                 "the commonest species has 80 recordings in train, the rarest 6",
                 "1 of 30 files have fewer than 22,050 samples a second (low1.wav)",
                 "nothing above 4 kHz", "1 of 110 recordings are shorter than the model's window of 0.39 s",
                 "1 files lie in more than one split under other names (low0.wav)"):
        assert text in said, said
    assert str(tmp_path) not in said


def test_a_warning_is_one_line_whatever_a_species_is_called(tmp_path):
    table = tones(tmp_path).replace({"label": {"low": "two\nlines"}})
    rare = table.iloc[[0]].assign(label="rare\tone", split="train")
    said = species.warnings(pd.concat([table, rare], ignore_index=True).assign(group="one"), FRONT)
    assert any("two lines" in warning for warning in said)
    assert any("rare one" in warning for warning in said) and not any("\n" in warning for warning in said)
