"""Curation: scores of windows, what is kept, and controls that keep as many."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file
from sklearn.metrics import precision_score, recall_score, roc_auc_score
from toys import ARCH, FRONT, tone, tones

from lib import audio, data, hardware, mel, patches, pretrain, sampler, training
from lib.mae import MAE
from lib.runs import scales
from lib.sources import chorus, tables
from lib.transfer import curate, finetune, mobilenet, reference

QUICK = finetune.Recipe(epochs=1, batch=6, lr=1e-3, mixup=False, mask_mels=0, mask_frames=0)
RAW = replace(ARCH, norm_pixels=False)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """18 train recordings of 1 s (5 windows each) in groups of two; val and test are not there, so that reading one is
    an error."""
    made = tones(tmp_path_factory.mktemp("tones"), 6, 2, 2, seconds=1.0)
    made["group"] = [f"{label} {split} {i // 2}" for i, (label, split) in enumerate(zip(made["label"], made["split"]))]
    gone = "/gone/" + made["split"] + made.index.astype(str)
    return made.assign(file=made["file"].where(made["split"] == "train", gone))


def train_labels(table) -> np.ndarray:
    return table.loc[table["split"] == "train", "label"].to_numpy(str)


def some(score, per_recording=5) -> pd.DataFrame:
    score = np.asarray(score, float)
    recording = np.arange(len(score)) // per_recording
    start_s = np.arange(len(score)) % per_recording * 0.2
    return pd.DataFrame({"recording": recording, "file": [f"{r}.wav" for r in recording], "start_s": start_s,
                         "score": score})


def teacher(asked: list, labels: tuple[str, ...] = ("high_High tone", "Low", "mid")) -> reference.Frozen:
    """It hears parts of 0.2 s at 16 kHz, and is as certain of the highest tone as a part is loud."""
    def scores(waves):
        asked.append(waves.shape)
        return waves.abs().amax(1)[:, None] * torch.tensor([1.0, 0.5, 0.25])

    return reference.Frozen("teacher", "", 16_000, 3200, 3, "key", lambda waves: waves[:, :3], labels, scores)


def test_a_teacher_says_of_every_window_how_certain_it_is_of_the_label(table, capsys):
    asked = []
    scores = curate.taught(teacher(asked), FRONT, table)
    assert scores[["recording", "file", "start_s"]].equals(curate.grid(table, FRONT))
    train = table[table["split"] == "train"].reset_index(drop=True)
    window = scores.iloc[7]
    wave = audio.read(window.file, 16_000)[round(window.start_s * 16_000):][: round(FRONT.seconds * 16_000)]
    share = {"high": 1.0, "low": 0.5, "mid": 0.25}[train["label"][window.recording]]
    assert window.score == pytest.approx(share * wave.abs().max().item(), rel=1e-3)
    assert asked[0] == (3, 3200) and capsys.readouterr().out == ""  # 0.39 s in parts of 0.2 s, half overlapping
    count = len(asked)
    assert curate.taught(teacher(asked), FRONT, table)["score"].equals(scores["score"]) and len(asked) == count


def test_windows_of_a_species_that_the_teacher_does_not_name_stay(table, capsys):
    scores = curate.taught(teacher([], ("high", "low", "other")), FRONT, table)
    mid = (train_labels(table) == "mid")[scores["recording"]]
    assert scores["score"].isna().equals(pd.Series(mid)) and "does not name 1 of 3 species (mid)" in \
        capsys.readouterr().out
    assert curate.keep(scores, "10%").keep[mid].all()
    with pytest.raises(ValueError, match="teacher names 1 of 3 species of train, not 'low'"):
        curate.taught(teacher([], ("high", "one", "other")), FRONT, table)
    with pytest.raises(ValueError, match="it goes with filter='confidence', not 'loss'"):
        curate.check("loss", "50%", "none", "birdnet")


# ----------------------------------------------------------------------------------------------------------------- grid

def test_the_grid_is_that_of_evaluation(table):
    train = table[table["split"] == "train"].reset_index(drop=True)
    on_cpu = hardware.accelerator().device.type == "cpu"
    grid, windows = curate.grid(table, FRONT), data.Windows(train, FRONT, ahead=on_cpu)
    assert len(grid) == len(windows) and list(grid["recording"]) == [row for row, _ in windows.places]
    assert set(grid["file"]) == set(train["file"])
    first = grid[grid["recording"] == 0]["start_s"].to_numpy()
    np.testing.assert_allclose(np.diff(first)[:-1], 32 * FRONT.hop_s, atol=1e-9)  # half of 64 frames
    assert first[-1] + FRONT.seconds == pytest.approx(1.0, abs=FRONT.hop_s + 1e-3)  # the last ends with the recording


def test_a_table_without_train_is_refused(table):
    with pytest.raises(ValueError, match="nothing to curate: none of the 12 recordings is in the train split"):
        curate.grid(table[table["split"] != "train"], FRONT)


# --------------------------------------------------------------------------------------------------------------- scores

class Perfect(torch.nn.Module):
    """Knows the pitch by the loudest mel band: the truth of the toys."""

    def forward(self, spec):
        band = spec.mean((1, 2)).argmax(-1)  # (B,)
        return 1e3 * torch.nn.functional.one_hot((band > 5).long() + (band > 18).long(), 3).float()


def perfect(*_, **__):
    return finetune.Finetuned(Perfect(), ["low", "mid", "high"], pd.DataFrame(), pd.DataFrame(), 0, 0)


def test_the_confidence_of_a_perfect_classifier_is_one(table, monkeypatch):
    monkeypatch.setattr(finetune, "finetune", perfect)
    scores = curate.confidence(None, ARCH, FRONT, table, QUICK)
    np.testing.assert_allclose(scores["score"], 1.0)
    swapped = table.assign(label=table["label"].map({"low": "mid", "mid": "low", "high": "high"}))
    scores = curate.confidence(None, ARCH, FRONT, swapped, QUICK)
    np.testing.assert_allclose(scores["score"], (train_labels(swapped)[scores["recording"]] == "high").astype(float),
                               atol=1e-12)


def test_confidence_repeats_by_seed_and_is_stored(table, monkeypatch, tmp_path):
    a = curate.confidence(None, ARCH, FRONT, table, QUICK)
    assert ((0 < a["score"]) & (a["score"] < 1)).all()
    stored = list((tmp_path / "cache" / "scores").glob("confidence-*.csv"))
    assert len(stored) == 1 and not any(str(f) in stored[0].read_text() for f in table["file"])
    with monkeypatch.context() as patch:
        patch.setattr(finetune, "finetune", None)  # calling it would be an error
        pd.testing.assert_frame_equal(curate.confidence(None, ARCH, FRONT, table, QUICK), a)
    stored[0].unlink()
    pd.testing.assert_frame_equal(curate.confidence(None, ARCH, FRONT, table, QUICK), a)
    assert not np.allclose(curate.confidence(None, ARCH, FRONT, table, replace(QUICK, seed=1))["score"], a["score"])
    encoder = MAE(ARCH, training.generator(5))
    assert not np.allclose(curate.confidence(encoder, ARCH, FRONT, table, QUICK)["score"], a["score"])


def test_a_selector_keeps_its_last_step(table, monkeypatch):
    seen, real = [], finetune.finetune
    monkeypatch.setattr(finetune, "finetune", lambda *a, **k: seen.append((a, k)) or real(*a, **k))
    curate.confidence(None, ARCH, FRONT, table, replace(QUICK, evaluate=3))
    assert [a[4].evaluate for a, _ in seen] == [0] and set(seen[0][0][3]["split"]) == {"train"}


def test_folds_keep_groups_and_spread_classes(table):
    train = table[table["split"] == "train"].reset_index(drop=True)
    fold = tables.folds(train, 3, 0)
    assert set(fold) == {0, 1, 2} and (train.assign(fold=fold).groupby("group")["fold"].nunique() == 1).all()
    assert (train.assign(fold=fold).groupby(["label", "fold"]).size() == 2).all()
    np.testing.assert_array_equal(fold, tables.folds(train, 3, 0))
    assert any((fold != tables.folds(train, 3, seed)).any() for seed in range(1, 5))
    alone = tables.folds(train.drop(columns="group"), 4, 0)
    assert train.assign(fold=alone).groupby("label")["fold"].nunique().min() == 4
    with pytest.raises(ValueError, match="2 folds or more, got 1"):
        tables.folds(train, 1, 0)


def test_a_species_with_one_group_has_no_score_out_of_fold_and_stays(table):
    lonely = table.assign(group=table["group"].where(table["label"] != "low", "one place " + table["split"]))
    scores = curate.confidence(None, ARCH, FRONT, lonely, QUICK, out_of_fold=3)
    low = train_labels(lonely)[scores["recording"]] == "low"
    assert scores["score"].isna().to_numpy()[low].all() and scores["score"].notna().to_numpy()[~low].all()
    kept = curate.keep(scores, "50%")
    assert kept.keep[low].all() and kept.unscored == low.sum()
    assert kept.keep[~low].mean() == pytest.approx(0.5, abs=0.05)


def test_the_reconstruction_loss_averages_several_masks(table):
    model = MAE(RAW, training.generator(0))
    scores = curate.reconstruction_loss(model, FRONT, table, masks=3, seed=7)["score"].to_numpy()
    train = table[table["split"] == "train"].reset_index(drop=True)
    windows = data.Windows(train, FRONT, ahead=True)
    batch = next(iter(data.loader(windows, 64)))
    spec = batch.spec(mel.LogMel(FRONT))
    each = []
    with torch.no_grad():
        for k in range(3):
            mask = patches.random_mask(64, model.grid, 0.8, training.generator(7, 4, 0, k))
            each.append(model.loss(spec[:1], model.decode(model.encode(spec, mask), mask)[:1],
                                   patches.Mask(*(m[:1] for m in mask))))
    near = 1e-5 if hardware.accelerator().device.type == "cpu" else 5e-3  # a GPU multiplies in TF32
    assert scores[0] == pytest.approx(float(torch.stack(each).mean()), rel=near) and torch.stack(each).std() > 0
    one = curate.reconstruction_loss(model, FRONT, table, masks=1, seed=7)["score"].to_numpy()
    other = curate.reconstruction_loss(model, FRONT, table, masks=1, seed=8)["score"].to_numpy()
    assert not np.allclose(one, other) and not np.allclose(one, scores)
    np.testing.assert_array_equal(scores, curate.reconstruction_loss(model, FRONT, table, masks=3, seed=7)["score"])


def test_padding_does_not_count_as_easy_to_guess(tmp_path):
    rng = np.random.default_rng(0)
    whole = tone(1500, FRONT.seconds, rng)
    half = audio.write(tmp_path / "half.wav", whole[: len(whole) // 2], 22_050)
    both = pd.DataFrame({"file": [str(audio.write(tmp_path / "whole.wav", whole, 22_050)), str(half)], "label": "mid",
                         "split": "train"})
    scores = curate.reconstruction_loss(MAE(RAW, training.generator(0)), FRONT, both, masks=8)["score"]
    assert scores[1] == pytest.approx(scores[0], rel=0.4)  # with the padding it is 1.8 has another loss than a tone


def test_a_normalised_target_is_refused(table):
    with pytest.raises(ValueError, match="needs a MAE with the raw target"):
        curate.reconstruction_loss(MAE(ARCH), FRONT, table)


def test_energy_of_silence_is_zero_and_loudness_does_not_matter(tmp_path):
    wave = tone(900, 1.0, np.random.default_rng(0))
    wave[: len(wave) // 2] *= 0.1
    rows = [audio.write(tmp_path / f"{i}.wav", x, 22_050) for i, x in enumerate((wave, 0.5 * wave, 0 * wave))]
    table = pd.DataFrame({"file": [str(r) for r in rows], "label": "x", "split": "train"})
    scores = curate.energy(FRONT, table).groupby("recording")["score"].agg(list)
    np.testing.assert_allclose(scores[0], scores[1], rtol=0.01)  # two loudnesses of a 16-bit file
    assert set(scores[2]) == {0.0} and scores[0][-1] > 20 * scores[0][0]
    first = wave[: FRONT.samples] / wave.abs().max()
    assert scores[0][0] == pytest.approx(float(first.square().sum()), rel=0.02)


# ----------------------------------------------------------------------------------------------------------------- keep

def test_a_threshold_keeps_what_reaches_it():
    scores = some([0.1, 0.5, 0.5, 0.9, 0.2, 0.9, 0.9, 0.9, 0.9, 0.9])
    kept = curate.keep(scores, 0.5)
    assert kept.keep.tolist() == [False, True, True, True, False, True, True, True, True, True]
    assert kept[1:] == (0.5, 0.8, pytest.approx((0.6 + 1.0) / 2), 2, 0)
    assert curate.keep(scores, "0.5").keep.tolist() == kept.keep.tolist()  # as the launcher gives it
    high = curate.keep(scores.assign(score=[0, 0, 0, 0, 0, 1, 1, 1, 1, 1]), 1)
    assert (high.recordings, high.windows, high.per_recording) == (1, 0.5, 0.5)


@pytest.mark.parametrize("share, kept", [("50%", 5), ("30%", 3), ("100%", 10), ("1%", 1)])
def test_a_share_counts_and_ties_stay(share, kept):
    assert curate.keep(some(np.arange(10)[::-1]), share).keep.tolist() == [True] * kept + [False] * (10 - kept)
    assert curate.keep(some([3, 2, 2, 2, 2, 2, 2, 1, 1, 1]), "50%").keep.sum() == 7
    assert curate.keep(some([1] * 10), share).keep.all()


def test_a_control_keeps_as_many_in_every_recording():
    scores = some(np.random.default_rng(0).random(200))
    kept = curate.keep(scores, "40%")
    control = curate.control(scores, kept, np.random.default_rng(1))

    def count(kept):
        return pd.Series(kept.keep).groupby(scores["recording"]).sum().tolist()

    assert count(control) == count(kept) and (control.keep != kept.keep).any() and control[1:] == kept[1:]
    again, other = (curate.control(scores, kept, np.random.default_rng(seed)) for seed in (1, 2))
    assert (again.keep == control.keep).all() and (other.keep != control.keep).any()
    assert 0.2 < (control.keep & kept.keep).sum() / kept.keep.sum() < 0.8  # chosen without looking at the score


def test_a_control_may_draw_the_recordings_too():
    scores = some(np.r_[np.random.default_rng(0).random(100) + 1, np.random.default_rng(1).random(100)])
    kept = curate.keep(scores, "40%")  # from the first half of the recordings alone
    drawn = [curate.control(scores, kept, np.random.default_rng(seed), recordings=True) for seed in range(20)]
    there = [set(scores["recording"][one.keep]) for one in drawn]
    assert all(one.windows == kept.windows and one.recordings == kept.recordings for one in drawn)
    assert set.union(*there) == set(scores["recording"]) and len({tuple(sorted(t)) for t in there}) == 20
    assert (drawn[0].keep == curate.control(scores, kept, np.random.default_rng(0), recordings=True).keep).all()


def test_recordings_that_hold_too_few_windows_are_joined_by_others():
    scores = pd.DataFrame({"recording": [0] * 6 + [1, 2, 3, 4], "score": [2.0] * 6 + [1.0] * 4})
    kept = curate.keep(scores, "60%")
    for seed in range(10):
        drawn = curate.control(scores, kept, np.random.default_rng(seed), recordings=True)
        assert drawn.keep.sum() == 6 and drawn.recordings >= kept.recordings == 1


def test_curated_rows_and_what_drops_out(table):
    scores = curate.grid(table, FRONT)
    scores["score"] = (scores["recording"] >= 3).astype(float) + 0.1 * (scores["start_s"] > 0.3)
    kept = curate.keep(scores, 1.05)
    made = curate.curated(table, scores, kept)
    train = made[made["split"] == "train"]
    assert len(train) == 15 == kept.recordings and len(made) == len(table) - 3
    assert made.loc[made["split"] != "train", "kept"].isna().all()
    assert sum(train["kept"].map(len)) == kept.keep.sum() and min(min(k) for k in train["kept"]) > 0.3
    clips = data.Clips(train.reset_index(drop=True), FRONT, 0, ahead=True)
    seen = {tuple(clips[sampler.Draw(0, n)][0][0, :4].tolist()) for n in range(40)}
    assert len(seen) == len(train["kept"].iloc[0])  # every kept window, and nothing else
    with pytest.raises(ValueError, match="scores are of another table: they know 18 train recordings, this one has 15"):
        curate.curated(made, scores, kept)


def test_pretraining_is_cached_by_what_was_kept(table):
    scores = curate.grid(table, FRONT).assign(score=1.0)
    scores["score"] = np.random.default_rng(0).random(len(scores))
    kept = curate.keep(scores, "60%")
    chosen = curate.control(scores, kept, np.random.default_rng(0))
    recipe = pretrain.Recipe(clips=8, batch=4)
    none = table.iloc[:0]
    tables = [table, *(curate.curated(table, scores, k) for k in (kept, chosen, kept))]
    assert len(tables[1]) == len(tables[2])
    runs = [pretrain.pretrain(ARCH, FRONT, recipe, t, none, reuse=True) for t in tables]
    assert [r.reused for r in runs] == [False, False, False, True] and len({r.folder for r in runs}) == 3
    assert not torch.equal(runs[1].model.decoder_pred.weight, runs[2].model.decoder_pred.weight)


@pytest.mark.parametrize("arguments, message", [
    (("loudness", "50%", "none"),
     "filter is 'loudness': it must be one of none, confidence, confidence_oof, loss, energy"),
    (("none", "50%", "windows"), "keeps all: choose a filter or control='none'"),
    (("loss", "50%", "window"), "control is 'window': it must be one of none, windows, recordings"),
    (("loss", "half", "none"), "threshold is 'half': it must be a score such as 0.88, or the share"),
    (("loss", "0%", "none"), "threshold is '0%'"),
    (("loss", "120%", "none"), "threshold is '120%'"),
    (("loss", float("nan"), "none"), "threshold is nan"),
])
def test_wrong_choices_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        curate.check(*arguments)


def test_right_choices():
    assert (curate.check("confidence", "50%", "windows"), curate.check("energy", 200, "none"),
            curate.check("loss", "0.25", "none")) == (0.5, 200, 0.25)


def test_an_empty_result_names_the_scores():
    match = "threshold 2 keeps none of 10 windows: their scores run from 0 to 0.9; choose a lower one"
    with pytest.raises(ValueError, match=match):
        curate.keep(some(np.arange(10) / 10), 2)


# ---------------------------------------------------------------------------------------- against the generator's truth

def test_calls_follow_the_rule_of_empty_share():
    table = chorus.make("wildlife", "smoke", progress=False)
    train, events = table[table["split"] == "train"].reset_index(drop=True), chorus.events(table)
    front = mel.INAT
    windows = curate.grid(train, front)
    calls = curate.holds_call(windows, events, front)
    ours = pd.Series(calls).groupby(windows["recording"]).any()
    assert ours.all()  # every recording holds a call
    assert 1 - calls.mean() == pytest.approx(chorus.empty_share(train, events), abs=0.1)  # windows of 2.99 and 3 s
    i = int(np.flatnonzero(~calls)[0]) if (~calls).any() else None
    if i is not None:
        start_s, calls = windows["start_s"][i], events[events["kind"] == "call"]
        inside = calls[(calls["file"] == windows["file"][i]) & (calls["start_s"] < start_s + 2.89)]
        assert not (inside["end_s"] > windows["start_s"][i] + 0.1).any()


def test_the_detector_is_scikit_learns():
    rng = np.random.default_rng(0)
    calls, scores = rng.random(200) < 0.6, some(rng.random(200))
    scores["score"] += 0.3 * calls
    kept = curate.keep(scores, "45%")
    found = curate.detector(scores, kept, calls)
    theirs = (precision_score(calls, kept.keep), recall_score(calls, kept.keep), roc_auc_score(calls, scores["score"]),
              calls.mean())
    assert found == pytest.approx(theirs)
    assert np.isnan(curate.detector(scores, kept, np.ones(200, bool)).auc)
    unknown = scores.assign(score=scores["score"].where(np.arange(200) > 20))
    assert curate.detector(unknown, kept, calls).auc == pytest.approx(roc_auc_score(calls[21:], scores["score"][21:]))


# ---------------------------------------------------------------------------------------------------------------- proxy

def test_the_proxy_learns_from_kept_windows_and_repeats(table):
    scores = curate.grid(table, FRONT).assign(score=1.0)
    made, labels = curate.curated(table, scores, curate.keep(scores, "100%")), ["high", "low", "mid", "unheard"]
    recipe = mobilenet.Recipe("small_050", epochs=6, batch=6, lr=0.005)
    a, b = (mobilenet.train(FRONT, made, recipe, labels) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(a.model.state_dict().values(), b.model.state_dict().values()))
    assert len(a.log) == 18 and a.samples == 108 and a.log["loss"].iloc[-3:].mean() < a.log["loss"].iloc[:3].mean()
    seen = finetune.predict(a.model, FRONT, made[made["split"] == "train"], a.labels, bar=None)
    assert seen.probabilities.shape == (18, 4) and np.isneginf(seen.probabilities[:, 3]).all()


@pytest.fixture
def pictures(tmp_path):
    """A stand-in for ImageNet weights: timm's smallest MobileNetV3 for three colours and 1,000 classes, in a file."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        state = timm.create_model("mobilenetv3_small_050").state_dict()
    save_file(state, tmp_path / "pictures.safetensors")
    return tmp_path / "pictures.safetensors", state


def from_pictures(model, state, drawn) -> bool:
    """All but the head is the file's, colours summed; the head is the drawn one."""
    wanted = {k: v.sum(1, keepdim=True) if k == "conv_stem.weight" else v for k, v in state.items()}
    wanted |= {k: v for k, v in drawn.state_dict().items() if k.startswith("classifier.")}
    return all(torch.equal(v, wanted[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("classes", [5, 1000])  # as many as ImageNet's
def test_a_mobilenet_starts_from_a_file_and_draws_its_head(pictures, tmp_path, classes):
    file, state = pictures
    torch.save({"state_dict": state}, tmp_path / "pictures.pth")
    drawn = mobilenet.network(classes, seed=3, size="small_050")
    for place in (file, tmp_path / "pictures.pth"):
        model = mobilenet.network(classes, seed=3, size="small_050", weights=str(place))
        assert from_pictures(model, state, drawn) and not torch.equal(model.conv_stem.weight, drawn.conv_stem.weight)
    assert model(torch.zeros(2, 1, 64, 32)).shape == (2, classes)


def test_the_proxy_starts_from_what_it_is_given(table, pictures):
    recipe = mobilenet.Recipe("small_050", epochs=1, batch=6, lr=0.0, weight_decay=0.0)
    labels = ["high", "low", "mid"]
    plain, named = (mobilenet.train(FRONT, table, recipe, labels, weights=start) for start in ("", str(pictures[0])))
    learnt = {k: v for k, v in named.model.state_dict().items() if "running" not in k and "tracked" not in k}
    assert torch.equal(learnt["conv_stem.weight"], pictures[1]["conv_stem.weight"].sum(1, keepdim=True))
    assert torch.equal(learnt["classifier.weight"], plain.model.classifier.weight)
    drawn = mobilenet.network(3, seed=training.generator(0, 5).initial_seed(), size="small_050")
    assert torch.equal(plain.model.conv_stem.weight, drawn.conv_stem.weight)


def test_the_hub_is_asked_for_the_weights_of_this_size(pictures, monkeypatch):
    asked = []
    monkeypatch.setattr(timm.models._hub, "hf_hub_download",
                        lambda repo_id, filename, **_: asked.append((repo_id, filename)) or str(pictures[0]))
    model = mobilenet.network(5, seed=3, size="small_050", weights="hub")
    assert asked == [("timm/mobilenetv3_small_050.lamb_in1k", "model.safetensors")]
    assert from_pictures(model, pictures[1], mobilenet.network(5, seed=3, size="small_050"))


def test_weights_that_cannot_be_had_are_one_line(pictures, tmp_path, monkeypatch):
    def offline(*_, **__):
        raise LocalEntryNotFoundError("Please check\nyour connection") from ConnectionError("Name not known\nat all")

    monkeypatch.setattr(timm.models._hub, "hf_hub_download", offline)
    save_file({f"features.{k}": v for k, v in pictures[1].items()}, tmp_path / "torchvision.safetensors")
    page = "https://huggingface.co/timm/mobilenetv3_"
    for size, weights, said in [
            ("small_050", "hub", r"mobilenetv3_small_050 could not be fetched from the hub \(Name not known\): "
             f"check the connection, or download model.safetensors from {page}small_050.lamb_in1k and give its path$"),
            ("small_050", "gone/mobile.pth", "gone/mobile.pth: there is no such file"),
            ("small_050", str(tmp_path / "torchvision.safetensors"), "^torchvision.safetensors holds no weights of "),
            ("large_100", str(pictures[0]), "^pictures.safetensors holds no weights of timm's mobilenetv3_large_100: "
             f"its file is model.safetensors from {page}large_100.ra_in1k$")]:
        with pytest.raises(ValueError, match=said) as error:
            mobilenet.network(5, size=size, weights=weights)
        assert "\n" not in str(error.value)


def test_the_paper_has_the_large_proxy():
    assert scales.scale("paper").proxy(2) == mobilenet.Recipe(epochs=50, seed=2)
    assert mobilenet.Recipe().size == "large_100"
    assert scales.scale("tiny").proxy(0).size == "small_050"
