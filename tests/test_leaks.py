"""No val or test recording enters pretraining, filtering, out-of-fold scoring, a label subset, or what normalises the
specs.

Every file that is opened is written down. The recordings of val and test exist and could be read; that nobody does is
the test.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from toys import ARCH, FRONT, tones

from lib import audio, data, mel, paths, pretrain, recordings, sampler, sources, training
from lib.mae import MAE
from lib.sources import chorus
from lib.transfer import curate, finetune, mobilenet

RAW = replace(ARCH, norm_pixels=False)
QUICK = finetune.Recipe(epochs=2, batch=6, lr=1e-3, mixup=False, evaluate=0)


class Guard:
    """Which files were opened, and an assertion about them."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.split, self.group = dict(zip(table["file"], table["split"])), dict(zip(table["file"], table["group"]))
        self.opened: list[str] = []

    def forget(self) -> None:
        self.opened.clear()

    def only_train(self) -> None:
        assert self.opened, "nothing was read at all: this guard would pass whatever happens"
        wrong = sorted({self.split[f] for f in self.opened} - {"train"})
        assert not wrong, f"recordings of {' and '.join(wrong)} were read"

    def groups(self) -> set[str]:
        return {self.group[f] for f in self.opened}


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    """(wildlife, general), without durations, so that even the headers must be read; groups of two recordings."""
    root = tmp_path_factory.mktemp("pools")
    made = [tones(root / name, 6, 2, 2, seconds=0.6, seed=seed).drop(columns="duration_s") for seed,
            name in enumerate(("wildlife", "general"))]
    pairs = [[f"{pool} {label} {split} {i // 2}" for i, (label, split) in enumerate(zip(t["label"], t["split"]))]
             for pool, t in enumerate(made)]
    return [t.assign(group=group) for t, group in zip(made, pairs)]


@pytest.fixture
def guard(pools, monkeypatch, tmp_path):
    """Every way to a sound file: `audio` opens them all through one function."""
    watch, real = Guard(pd.concat(pools)), audio.opened
    monkeypatch.setattr(audio, "opened", lambda file: watch.opened.append(str(file)) or real(file))
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    return watch


def scored(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """The scores of a filter; the selectors start from random weights, which know no recording."""
    if name.startswith("confidence"):
        return curate.confidence(None, ARCH, FRONT, table, QUICK, out_of_fold=3 * (name == "confidence_oof"))
    return curate.reconstruction_loss(MAE(RAW, training.generator(0)), FRONT,
                                      table) if name == "loss" else curate.energy(FRONT, table)


# ----------------------------------------------------------------------------------------------------- the guard itself

def test_the_guard_notices_the_whole_table(pools, guard):
    wildlife = pools[0]
    last = sampler.Draw(len(wildlife) - 1, 0)
    for leak in (lambda: recordings.Recordings(wildlife, FRONT),
                 lambda: data.Clips(wildlife.assign(duration_s=0.6), FRONT, 0, ahead=True)[last],
                 lambda: scored("energy", wildlife.assign(split="train"))):
        guard.forget()
        leak()
        with pytest.raises(AssertionError, match="recordings of test.* were read"):
            guard.only_train()
    guard.forget()
    with pytest.raises(AssertionError, match="nothing was read"):
        guard.only_train()


# --------------------------------------------------------------------------------------------- what may read only train

@pytest.mark.parametrize("ratio", [0.0, 1.0, float("inf")])
def test_pretraining_reads_train_only(pools, guard, ratio):
    pretrain.pretrain(ARCH, FRONT, pretrain.Recipe(clips=80, batch=8, ratio=ratio), *pools)
    guard.only_train()
    drawn = [table for table, out in zip(pools, (np.inf, 0)) if ratio != out]
    assert len(set(guard.opened)) == sum((table["split"] == "train").sum() for table in drawn)  # of what it draws from


@pytest.mark.parametrize("name", [f for f in curate.FILTERS if f != "none"])
def test_filters_read_train_only(pools, guard, name):
    scores = scored(name, pools[0])
    guard.only_train()
    assert set(scores["file"]) == set(pools[0].query("split == 'train'")["file"])
    made = curate.curated(pools[0], scores, curate.keep(scores, "50%"))
    pretrain.pretrain(ARCH, FRONT, pretrain.Recipe(clips=80, batch=8), made, pools[1])
    mobilenet.train(FRONT, made, mobilenet.Recipe("small_050", epochs=1, batch=8), ["high", "low", "mid"])
    guard.only_train()


def test_scores_do_not_depend_on_val_and_test(pools, guard):
    """What a filter says of train stays to the last bit when val and test have other sounds and labels."""
    wildlife = pools[0]
    held = wildlife["split"] != "train"
    other = wildlife.assign(file=wildlife["file"].mask(held, "/gone.wav"),
                            label=wildlife["label"].mask(held, "nothing known"))
    for name in curate.FILTERS[1:]:
        a = scored(name, wildlife)
        for old in paths.cache("scores").glob("*.csv"):
            old.unlink()
        np.testing.assert_array_equal(a["score"], scored(name, other)["score"])


def test_an_out_of_fold_model_never_heard_the_groups_it_scores(pools, guard, monkeypatch):
    wildlife, heard, judged = pools[0], [], []
    train, judge = finetune.finetune, finetune.window_logits

    def tuning(*arguments, **options):
        guard.forget()
        tuned = train(*arguments, **options)
        guard.only_train()
        heard.append(guard.groups())
        return tuned

    def judging(*arguments, **options):
        guard.forget()
        found = list(judge(*arguments, **options))
        judged.append(guard.groups())
        return found

    monkeypatch.setattr(finetune, "finetune", tuning)
    monkeypatch.setattr(finetune, "window_logits", judging)
    scored("confidence_oof", wildlife)
    assert len(heard) == len(judged) == 3 and all(not a & b for a, b in zip(heard, judged))
    everyone = set(wildlife.query("split == 'train'")["group"])
    assert set.union(*judged) == everyone and sum(map(len, judged)) == len(everyone)  # each group is judged once
    heard.clear(), judged.clear()
    scored("confidence", wildlife)  # the paper's selector has heard what it judges: the guard sees that
    assert heard == judged == [everyone]


@pytest.mark.parametrize("fraction", ["1", "50%", "all"])
def test_label_subsets_are_of_train_and_leave_val_and_test_whole(pools, guard, fraction):
    wildlife = pools[0]
    part = sources.subset(wildlife, fraction, 0)
    assert set(part["file"]) <= set(wildlife["file"]) and not guard.opened
    for split in ("val", "test"):
        assert set(part.query("split == @split")["file"]) == set(wildlife.query("split == @split")["file"])
    finetune.finetune(None, ARCH, FRONT, part, QUICK)
    guard.only_train()
    assert set(guard.opened) <= set(part.query("split == 'train'")["file"])


# -------------------------------------------------------------------------------------------------------- normalisation

def test_mean_and_std_are_constants_of_the_front_end(pools, guard, monkeypatch):
    """They are never fitted: whatever the mix or the filter, every spec is made with the numbers the front end came
    with."""
    used, real = [], mel.LogMel.__init__
    monkeypatch.setattr(mel.LogMel, "__init__", lambda self, spec, *a,
                        **k: used.append(spec) or real(self, spec, *a, **k))
    for name in curate.FILTERS[1:]:
        scores = scored(name, pools[0])
        made = curate.curated(pools[0], scores, curate.keep(scores, "30%"))
        for ratio in (0.0, 1.0):
            pretrain.pretrain(ARCH, FRONT, pretrain.Recipe(clips=8, batch=8, ratio=ratio), made, pools[1])
        finetune.finetune(None, ARCH, FRONT, made, QUICK, labels=["high", "low", "mid"])
    assert len(used) > 12 and {(s.mean, s.std, s.divisor, s.pad)
                               for s in used} == {(FRONT.mean, FRONT.std, FRONT.divisor, FRONT.pad)}
    assert (mel.INAT.mean, mel.INAT.std) == (FRONT.mean, FRONT.std)


# --------------------------------------------------------------------------------------------------------------- groups

def test_groups_never_straddle_splits(tmp_path):
    table = chorus.make("wildlife", "smoke", progress=False)
    assert (table.groupby("group")["split"].nunique() == 1).all()
    rows = tones(tmp_path, 8, 0, 0,
                 seconds=0.2).assign(group=lambda t: [f"{label} {i // 2}" for i, label in enumerate(t["label"])])
    rows[["file", "label", "group"]].to_csv(tmp_path / "metadata.csv", index=False)
    made = sources.folder(tmp_path)
    assert set(made["split"]) == {"train", "val", "test"} and (made.groupby("group")["split"].nunique() == 1).all()
    with pytest.raises(ValueError, match="is in more than one split"):
        sources.check(made.assign(group="one place"))


def test_the_general_pool_must_not_hold_what_is_evaluated(pools):
    wildlife, general = pools
    both = pd.concat([general, wildlife[wildlife["split"] == "test"].assign(split="train")], ignore_index=True)
    with pytest.raises(ValueError, match="6 val or test recordings of the wildlife pool are in the train split of the "
                       "general pool"):
        pretrain.pretrain(ARCH, FRONT, pretrain.Recipe(clips=8, batch=4, ratio=1.0), wildlife, both)
