"""Finetuning: the classifier is the encoder plus a head, the best look at val is kept, and a recording gets one
answer."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from toys import ARCH, FRONT, ramp, tones

from lib import audio, data, mae, mel, metrics, patches, training
from lib.mae import MAE, Arch
from lib.mel import AUDIOMAE, LogMel, normalise, unnormalise
from lib.runs import scales
from lib.runs.scales import SCALES
from lib.transfer import finetune
from lib.transfer.finetune import Recipe

QUICK = Recipe(epochs=4, batch=6, lr=3e-3, mixup=False, mask_mels=0, mask_frames=0)
LABELS = ["high", "low", "mid"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Tones of three pitches; the test recordings are not there, so that reading one is an error."""
    made = tones(tmp_path_factory.mktemp("tones"), 6, 3, 2)
    return made.assign(file=made["file"].where(made["split"] != "test", "/gone/test.wav"))


def tune(table, recipe=QUICK, encoder=None, **options):
    return finetune.finetune(encoder, ARCH, FRONT, table, recipe, **options)


def same(a, b) -> bool:
    a, b = a.model.state_dict(), b.model.state_dict()
    return all(torch.equal(a[k], b[k]) for k in a)


# ----------------------------------------------------------------------------------------------------------- classifier

def test_the_classifier_is_the_encoder_without_its_norm():
    encoder = MAE(replace(ARCH, depth=2), training.generator(0)).eval()
    model = finetune.classifier(encoder, encoder.arch, 5, training.generator(1)).eval()
    spec = torch.randn(3, 1, 64, 32, generator=training.generator(2))
    tokens = model.forward_features(spec)  # (3, 1 + L, D)
    torch.testing.assert_close(encoder.encoder.norm(tokens), encoder.encode(spec), rtol=0, atol=1e-6)
    pooled = model.forward_head(tokens, pre_logits=True)
    # the class token is left out
    torch.testing.assert_close(pooled, model.fc_norm(tokens[:, 1:].mean(1)), rtol=0, atol=1e-6)
    assert (model(spec).softmax(-1) - 0.2).abs().max() < 1e-3  # nearly equal guesses
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == ["pos_embed"]


def test_random_weights_follow_from_the_generator():
    a, b, c = (finetune.classifier(None, ARCH, 3, training.generator(seed)).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["blocks.0.attn.qkv.weight"],
                           c["blocks.0.attn.qkv.weight"]) and not torch.equal(a["head.weight"], c["head.weight"])


@pytest.mark.parametrize("drop", [dict(drop_path=0.9), dict(drop_patches=0.5)])
def test_what_is_dropped_changes_training_only(drop):
    spec, arch = torch.randn(2, 1, 64, 32, generator=training.generator(0)), replace(ARCH, depth=2)
    kept, dropped = (finetune.classifier(None, arch, 3, training.generator(0), **d) for d in ({}, drop))
    assert torch.equal(kept.eval().forward_features(spec), dropped.eval().forward_features(spec))
    assert torch.equal(kept.train().forward_features(spec), kept.eval().forward_features(spec))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        whole, part = (model.train().forward_features(spec).mean(1) for model in (kept, dropped))
    assert not torch.allclose(whole, part, atol=1e-3)


def test_an_encoder_of_another_shape_is_refused():
    with pytest.raises((ValueError, RuntimeError), match="fit|size mismatch"):
        finetune.classifier(MAE(ARCH, training.generator(0)), replace(ARCH, dim=48), 3, training.generator(0))


def test_parity_with_audiomae_s_classifier(golden):
    T, card = golden("audiomae_vit")
    model = mae.vit(Arch(frames=1024, mels=128, dim=48, depth=2, heads=3), num_classes=7, global_pool="avg").eval()
    model.load_state_dict({k.removeprefix("weights."): v for k, v in T.items() if k.startswith("weights.")},
                          strict=True)
    with torch.no_grad():
        features = model.forward_head(model.forward_features(T["input"]), pre_logits=True)
        got = {"features": features, "logits": model(T["input"])}
    for key, value in got.items():
        tolerance = card["tolerance"].get(key, card["tolerance"]["default"])
        assert torch.allclose(value, T[key], atol=tolerance,
                              rtol=0), f"{key}: off by {(value - T[key]).abs().max():.2e}"


# --------------------------------------------------------------------------------------------------------- augmentation

@pytest.mark.parametrize("front, to_power", [(FRONT, lambda x: 10 ** (x / 10)), (AUDIOMAE, torch.exp)])
def test_mixup_adds_powers_and_shares_labels(front, to_power):
    level = torch.tensor([-20.0, 10.0, 0.0]) if front is FRONT else torch.tensor([-9.0, -2.0, -4.0])
    spec = normalise(level, front)[:, None, None, None].expand(3, 1, 4, 2)
    mixed, targets = finetune.mixup(spec, torch.eye(3), front, training.generator(0))
    share = targets[0, 0]
    other = [1, 0, 2]  # the last has no neighbour
    assert 0.05 < share < 0.95 and torch.allclose(targets, share * torch.eye(3) + (1 - share) * torch.eye(3)[other])
    power = share * to_power(level) + (1 - share) * to_power(level[other])
    torch.testing.assert_close(to_power(unnormalise(mixed[:, 0, 0, 0], front)), power, rtol=1e-4, atol=0)
    assert torch.equal(mixed, finetune.mixup(spec, torch.eye(3), front, training.generator(0))[0])


def test_mixup_is_refused_where_levels_are_not_powers(table):
    with pytest.raises(ValueError, match="above each band's median there are none: take subtract=none"):
        finetune.finetune(None, ARCH, mel.above_median(FRONT), table, replace(QUICK, mixup=True))
    presets = {name: SCALES["paper"].finetuning(name, 0).mixup for name in scales.PRESETS}
    assert presets == {"study": False, "audiomae": True, "paper": True, "lora": False}


def test_spec_augment_blanks_one_band_of_each_kind_anywhere():
    spec = torch.ones(2000, 1, 64, 32)
    out = finetune.spec_augment(spec, 15, 50, training.generator(0))[:, 0]
    assert spec.min() == 1 and set(out.unique().tolist()) == {0.0, 1.0}
    rows, columns = (out == 0).all(2), (out == 0).all(1)  # (B, 64) whole frames, (B, 32) whole mel bins
    assert torch.equal(out == 0, rows[:, :, None] | columns[:, None, :])
    for band, widest in ((rows, 50), (columns, 15)):
        width, edges = band.sum(1), band.int().diff(dim=1).abs().sum(1)
        assert width.min() == 0 and width.max() == widest - 1 and edges.max() <= 2 and band.any(0).all()
    assert torch.equal(finetune.spec_augment(spec, 0, 0, training.generator(0)), spec)


def test_every_option_changes_training(table):
    recipe = replace(QUICK, epochs=1)
    plain = tune(table, recipe)
    for option in (dict(mixup=True), dict(mask_mels=15), dict(mask_frames=40), dict(drop_patches=0.5),
                   dict(label_smoothing=0.3), dict(clip_grad=1e-3),
                   dict(layer_decay=0.1), dict(weight_decay=100.0), dict(warmup=0.7), dict(lr=1e-3)):
        assert not same(tune(table, replace(recipe, **option)), plain), option


# ------------------------------------------------------------------------------------------------------------- training

def test_pitches_are_learned(table):
    tuned = tune(table, replace(QUICK, epochs=20, evaluate=4))
    assert tuned.labels == LABELS and tuned.samples == 20 * 18 == tuned.log["clips"].sum()
    assert tuned.looks["step"].tolist() == [14, 29, 44, 59] and tuned.looks["top1"].max() >= 0.9
    assert not tuned.model.training
    seen = finetune.predict(tuned.model, FRONT, table[table["split"] == "val"], LABELS, bar=None)
    assert metrics.class_average(metrics.topk_hits(seen.probabilities, seen.targets, 1),
                                 seen.targets) == tuned.looks["top1"].max()


def test_the_seed_decides_and_workers_do_not(table):
    a, b, c = tune(table), tune(table, workers=2), tune(table, replace(QUICK, seed=1))
    assert same(a, b) and not same(a, c)
    pd.testing.assert_frame_equal(a.log, b.log)


def test_the_encoder_given_is_where_it_starts_and_stays_as_it_was(table):
    encoder = MAE(ARCH, training.generator(5))
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    tuned = tune(table, encoder=encoder)
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    assert not same(tuned, tune(table)) and torch.equal(tuned.model.pos_embed, before["encoder.pos_embed"])
    still = tune(table, replace(QUICK, lr=0.0, lr_min=0.0), encoder=encoder).model.state_dict()
    assert all(torch.equal(still[k.removeprefix("encoder.")], v) for k,
               v in before.items() if k.startswith("encoder.") and ".norm." not in k)


def test_the_best_look_is_kept_and_not_the_last(table, monkeypatch):
    scores, weights, real = iter([0.2, 0.9, 0.4, 0.1]), [], finetune.predict

    def predict(model, *arguments, **options):
        weights.append({k: v.clone() for k, v in model.state_dict().items()})
        return real(model, *arguments, **options)

    monkeypatch.setattr(finetune, "predict", predict)
    monkeypatch.setattr(finetune.metrics, "class_average", lambda *arguments: next(scores))
    tuned = tune(table, replace(QUICK, evaluate=4))
    assert tuned.looks["top1"].tolist() == [0.2, 0.9, 0.4, 0.1] and len(weights) == 4
    final = tuned.model.state_dict()
    assert all(torch.equal(final[k], weights[1][k]) for k in final)
    assert not all(torch.equal(final[k], weights[3][k]) for k in final)


@pytest.mark.parametrize("step", [1, 3, 5, 8])  # before the first look, at it, between two, at the last
def test_an_interrupted_run_goes_on_where_it_was(table, monkeypatch, tmp_path, step):
    recipe = replace(QUICK, epochs=3, evaluate=2)  # 9 steps, looks after steps 3 and 8
    whole = tune(table, recipe)
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(training, "SAVE_EVERY_S", 0)
        looks = []

        def predict(*arguments, **options):
            looks.append(1)
            if step in (3, 8) and len(looks) == (1 if step == 3 else 2):
                raise KeyboardInterrupt
            return real(*arguments, **options)

        real, real_augment = finetune.predict, finetune.spec_augment
        patch.setattr(finetune, "predict", predict)
        seen = iter(range(-2, 100))
        patch.setattr(finetune, "spec_augment",
                      lambda *a: (_ for _ in ()).throw(KeyboardInterrupt) if next(seen) == step and step not in (3, 8)
                      else real_augment(*a))
        with pytest.raises(KeyboardInterrupt):
            tune(table, recipe)
    (folder,) = (tmp_path / "finetuned").iterdir()
    assert list(folder.glob("state-*.pt"))
    resumed = tune(table, recipe)
    assert same(whole, resumed) and [p.name for p in folder.iterdir()] == [".lock"]  # nothing is left
    pd.testing.assert_frame_equal(whole.log, resumed.log)
    pd.testing.assert_frame_equal(whole.looks, resumed.looks)


def test_reuse_loads_what_an_equal_run_left(table, monkeypatch):
    first = tune(table, reuse=True)
    monkeypatch.setattr(training, "fit", None)  # training now would be an error
    again = tune(table, reuse=True)
    assert same(first, again) and not again.model.training
    pd.testing.assert_frame_equal(first.log, again.log)
    pd.testing.assert_frame_equal(first.looks, again.looks)
    monkeypatch.undo()
    fresh = tune(table)
    assert same(first, fresh)  # trained again
    with pytest.raises(TypeError):
        monkeypatch.setattr(training, "fit", None)
        tune(table, reuse=True)  # and the old one is gone


def test_a_recording_that_was_replaced_is_another_training(table, tmp_path):
    file = tmp_path / "a.wav"
    own = table.assign(file=[shutil.copy(table["file"][0], file), *table["file"][1:]])
    first = finetune.folder_of(None, ARCH, FRONT, own, QUICK)
    assert finetune.folder_of(None, ARCH, FRONT, own, QUICK) == first
    audio.write(file, audio.read(file) ** 2, FRONT.rate)  # as long as before
    assert finetune.folder_of(None, ARCH, FRONT, own, QUICK) != first


def test_looking_at_val_does_not_change_training(table):
    often, once = tune(table, replace(QUICK, evaluate=6)), tune(table, replace(QUICK, evaluate=1))
    pd.testing.assert_frame_equal(often.log, once.log)
    assert len(often.looks) == 6 and len(once.looks) == 1


def test_train_alone_trains(table, monkeypatch):
    first, rows, real = tune(table), [], data.Clips.pieces
    quiet = table["split"] == "val"
    others = table.assign(file=table["file"].where(~quiet, table.loc[quiet, "file"].iloc[0]))  # other val recordings
    monkeypatch.setattr(data.Clips, "pieces", lambda self,
                        draw: rows.append(self.source.file(draw.row)) or real(self, draw))
    pd.testing.assert_frame_equal(first.log, tune(others).log)
    train = table.loc[table["split"] == "train", "file"]
    assert set(rows) == set(train) and all(rows.count(f) == QUICK.epochs for f in train)


@pytest.mark.parametrize("change, message", [
    (lambda t: t[t["split"] != "val"], "18 recordings in train and 0 in val"),
    (lambda t: t[t["label"] == "low"], "at least two labels in train and some recordings in val, got 1 labels"),
    (lambda t: t[(t["split"] != "train") | (t["label"] != "mid")],
     "1 labels of this table were not in training, the first is 'mid'"),
])
def test_a_table_that_cannot_be_learned_is_refused_before_training(table, change, message, monkeypatch):
    monkeypatch.setattr(training, "fit", None)
    with pytest.raises(ValueError, match=message):
        tune(change(table))


def test_nothing_looks_at_val_when_evaluate_is_0(table):
    gone = table.assign(file=table["file"].where(table["split"] == "train", "/gone/val.wav"))
    tuned = tune(gone, replace(QUICK, evaluate=0))
    assert tuned.looks.empty and same(tuned, tune(table[table["split"] == "train"], replace(QUICK, evaluate=0)))


def test_labels_may_be_more_than_a_thinned_train_split_holds(table):
    thin = table[(table["split"] != "train") | (table["label"] != "mid")]
    tuned = tune(thin, labels=LABELS)
    assert tuned.labels == LABELS and tuned.model.head.out_features == 3


# -------------------------------------------------------------------------------------------------------------- recipes

def test_a_preset_is_the_published_recipe_at_the_paper_s_scale():
    paper, audiomae = (SCALES["paper"].finetuning(name, 0) for name in ("paper", "audiomae"))
    assert (paper.optimizer, paper.lr, paper.lr_min, paper.batch, paper.epochs, paper.weight_decay,
            paper.layer_decay) == \
        ("Adam", pytest.approx(1e-4), pytest.approx(1e-5), 256, 50, 1e-5, 1.0)  # the author's fork
    assert (audiomae.optimizer, audiomae.lr, audiomae.lr_min, audiomae.layer_decay,
            audiomae.drop_path) == ("AdamW", 1e-3, 1e-6, 0.75, 0.1)
    with pytest.raises(ValueError, match="preset is 'best': it must be one of study, audiomae, paper, lora"):
        SCALES["paper"].finetuning("best", 0)


def test_lora_trains_a_low_rank_update_and_nothing_else_of_the_encoder(table):
    encoder = MAE(ARCH, training.generator(7))
    tuned = tune(table, replace(QUICK, lora=2, drop_path=0.0), encoder)
    state = tuned.model.state_dict()
    base = {k.replace(".base_layer", ""): v for k, v in state.items() if "lora" not in k}
    assert all(torch.equal(base[k], v) for k, v in encoder.encoder.state_dict().items() if not k.startswith("norm."))
    D, C = ARCH.dim, 3
    assert tuned.trainable == 2 * (D + 3 * D) + 2 * D + C * D + C  # A and B of qkv, the head's norm, the head
    assert any(v.abs().max() > 0 for k, v in state.items() if "lora_B" in k)
    # its first weights follow from the seed
    assert same(tuned, tune(table, replace(QUICK, lora=2, drop_path=0.0), encoder))


def test_an_evaluation_is_what_a_record_keeps(table):
    whole = table.assign(file=table["file"].where(table["split"] != "test",
                                                  table.loc[table["split"] == "val", "file"].iloc[0]))
    result = finetune.evaluate(tune(table), FRONT, whole, 0)
    assert set(result.scores) == set(result.answers) == {"val", "test"}
    kept = result.answers["val"]
    assert metrics.class_average(kept["hits"], kept["targets"]) == pytest.approx(result.scores["val"].top1.value,
                                                                                 abs=1e-3)


# ----------------------------------------------------------------------------------------------------------- prediction

class Loudness(nn.Module):
    """Logits from the mean of a spec alone, so that a window's probabilities can be worked out by hand."""

    def forward(self, spec):
        m = spec.float().mean((1, 2, 3))
        return torch.stack([m, -m, 3 * m, 0.5 - m], 1)


def test_a_recording_s_answer_is_the_mean_over_its_windows(tmp_path):
    rng = np.random.default_rng(0)
    swell = torch.linspace(0, 0.8, 30_000) * torch.from_numpy(rng.standard_normal(30_000)).float().clamp(-1, 1)
    files = [str(audio.write(tmp_path / f"{n}.wav", swell[:n], 22_050)) for n in (30_000, 5000, 8576, 12_000)]
    table = pd.DataFrame({"file": files, "label": ["c", "a", "d", "a"], "split": "test",
                          "group": ["x", None, "y", "x"]}, index=[7, 3, 9, 1])
    seen = finetune.predict(Loudness(), FRONT, table, list("abcd"), batch=3, bar=None)
    assert seen.classes.tolist() == [0, 2, 3] and seen.targets.tolist() == [2, 0, 3, 0]
    assert (seen.probabilities[:, 1] == -np.inf).all()
    assert seen.groups[0] == seen.groups[3] and len(set(seen.groups)) == 3
    log_mel, starts = LogMel(FRONT), {0: [0, 4096, 8192, 12_288, 16_384, 20_480, 21_424], 1: [0], 2: [0], 3: [0, 3424]}
    for row, file in enumerate(files):
        wave = audio.read(file)
        specs = torch.cat([log_mel(wave[None, s : s + 8576], frames=64) for s in starts[row]])
        shares = Loudness()(specs)[:, [0, 2, 3]].softmax(-1).mean(0)
        assert np.allclose(seen.probabilities[row, [0, 2, 3]], shares, atol=1e-3)
    assert np.allclose(seen.probabilities[:, [0, 2, 3]].sum(1), 1)


def test_the_batch_size_and_the_order_of_rows_do_not_matter(tmp_path):
    table = tones(tmp_path, 0, 0, 3, seconds=1.1)
    model = finetune.classifier(MAE(ARCH, training.generator(0)), ARCH, 3, training.generator(0))
    nn.init.normal_(model.head.weight, generator=training.generator(1))
    a = finetune.predict(model, FRONT, table, LABELS, batch=64, bar=None)
    b = finetune.predict(model, FRONT, table[::-1], LABELS, batch=2, bar=None)
    assert np.allclose(a.probabilities, b.probabilities[::-1], atol=2e-2) and np.array_equal(a.targets, b.targets[::-1])


def test_a_call_and_a_minute_both_get_one_answer(tmp_path):
    files = [ramp(tmp_path / f"{s}.wav", round(s * 22_050)) for s in (0.05, 0.5, 60)]
    table = pd.DataFrame({"file": files, "label": LABELS, "split": "test"})
    model = finetune.classifier(None, ARCH, 3, training.generator(0))
    seen = finetune.predict(model, FRONT, table, LABELS, bar=None)
    assert seen.probabilities.shape == (3, 3) and np.allclose(seen.probabilities.sum(1), 1) and not model.training


def test_a_label_without_training_and_an_empty_table_are_errors(table):
    model = finetune.classifier(None, ARCH, 2, training.generator(0))
    with pytest.raises(ValueError, match="1 labels of this table were not in training, the first is 'mid'"):
        finetune.predict(model, FRONT, table, ["high", "low"])
    with pytest.raises(ValueError, match="nothing to predict"):
        finetune.predict(model, FRONT, table[:0], ["high", "low"])


def test_what_is_unlabelled_is_never_learnt(table):
    rows = table["label"] == "mid"
    told, without = table.assign(split=table["split"].where(~rows, "unlabelled")), table[~rows]
    tuned, other = (tune(t, replace(QUICK, epochs=1)) for t in (told, without))
    assert tuned.labels == ["high", "low"] and same(tuned, other)


def test_masked_pretraining_leads_into_finetuning(table):
    """The whole way of notebook 05 in one breath: the encoder that pretraining hands back is taken as it is."""
    model = MAE(ARCH, training.generator(0))
    mask = patches.random_mask(2, model.grid, 0.5, training.generator(0))
    model(torch.randn(2, 1, 64, 32, generator=training.generator(1)), mask).loss.backward()
    assert len(tune(table, replace(QUICK, epochs=1), encoder=model).log) == 3


def test_the_study_s_preset_has_a_batch_norm_and_its_front_end_is_said_apart():
    study = SCALES["tiny"].finetuning("study", 0)
    assert (study.readout, study.layer_decay, study.drop_path) == ("frequency", 1.0, 0.0)
    assert SCALES["tiny"].finetuning("study", 0, pretrained=False) == replace(study, epochs=2 * study.epochs)
    audiomae = SCALES["tiny"].finetuning("audiomae", 0)
    assert SCALES["tiny"].finetuning("audiomae", 0, pretrained=False) == audiomae
    assert all(SCALES["tiny"].finetuning(name, 0).readout == "fc_norm" for name in ("audiomae", "paper"))
    assert replace(SCALES["tiny"].finetuning("lora", 0), lora=0) == study  # they differ in nothing else
    above = scales.front(mel.INAT, "median")
    assert above == mel.above_median(mel.INAT) and scales.front(above, "median") == above
    assert scales.front(mel.INAT, "none") == mel.INAT
    with pytest.raises(ValueError, match="subtract is 'mean': it must be median or none"):
        scales.front(mel.INAT, "mean")


@pytest.mark.parametrize("budget, clips", [("none", 0), ("main", 24_000), ("sweep", 24_000), (640_000, 640_000),
                                           ("10000", 10_000)])
def test_a_budget_is_a_name_or_a_number_of_clips(budget, clips):
    assert scales.clips(SCALES["tiny"], budget) == clips
