"""Readouts behind an encoder: what they compute, what is left out in training, what is kept of them."""
from dataclasses import replace

import pytest
import torch
from toys import ARCH, FRONT, tones

from lib import training
from lib.checkpoints import Card
from lib.field import classifier
from lib.mae import MAE
from lib.transfer import finetune, readouts

T, F, D = *ARCH.grid, ARCH.dim
LEARN = finetune.Recipe(batch=6, lr=3e-3, mixup=False, mask_mels=0, mask_frames=0, layer_decay=1.0, evaluate=0)
each = pytest.mark.parametrize("readout", readouts.READOUTS)


def made(readout, seed=0, **drop):
    return finetune.classifier(MAE(ARCH, training.generator(seed)), ARCH, 3, training.generator(seed), readout=readout,
                               **drop)


def specs(count=6):
    return torch.randn(count, 1, ARCH.frames, ARCH.mels, generator=training.generator(5))


@each
def test_it_stands_on_the_encoder_of_the_mae(readout):
    tokens, encoder = made(readout).eval().tokens(specs()), MAE(ARCH, training.generator(0)).eval()
    torch.testing.assert_close(tokens.transpose(1, 2).flatten(1, 2), encoder.encode(specs())[:, 1:], rtol=0, atol=1e-5)


def test_mean_and_frequency_are_those_of_msm_mae():
    x = torch.randn(2, F, T, D, generator=training.generator(1))
    torch.testing.assert_close(readouts.Mean(D, F)(x), x.flatten(1, 2).mean(1))
    out = readouts.Frequency(D, F)(x)
    assert out.shape == (2, readouts.Frequency(D, F).width)
    for row in range(F):  # mean and spread of one mel row lie side by side
        both = torch.cat([x[:, row].mean(1), x[:, row].std(1, unbiased=False)], 1)
        torch.testing.assert_close(out[:, 2 * D * row : 2 * D * (row + 1)], both, rtol=0, atol=1e-4)


def test_queries_do_not_mind_the_order_of_patches():
    pool, x = readouts.Queries(D, F), torch.randn(2, F, T, D)
    torch.testing.assert_close(pool(x), pool(x.flip(2)), rtol=0, atol=1e-5)


@each
def test_the_common_vector_of_all_clips_is_taken_off(readout):
    model, x = made(readout).train(), specs(32)
    for _ in range(50):
        model(x)  # the batch norm's averages settle
    normed = model.eval().readout_norm(model.readout(model.tokens(x)))
    assert normed.mean(0).abs().max() < 0.1 and 0.8 < normed.var(0).mean() < 1.2


@each
def test_patches_are_left_out_in_training_only_the_same_number_of_every_row(readout):
    model = made(readout, drop_patches=0.5)
    assert model.train().tokens(specs()).shape == (6, F, T // 2, D) and model(specs()).shape == (6, 3)
    torch.testing.assert_close(model.eval().tokens(specs()), made(readout).eval().tokens(specs()))


@each
def test_it_follows_from_the_generator_and_answers_in_float32(readout):
    a, b, c = (made(readout, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(a[k], b[k]) for k in a) and not torch.equal(a["head.weight"], c["head.weight"])
    with torch.autocast("cpu", torch.bfloat16):
        assert made(readout).eval()(specs()).dtype == torch.float32


@each
def test_it_is_kept_with_the_classifier(readout, tmp_path):
    model = made(readout).eval()
    card = Card("frogs", ARCH, FRONT, "noise", "MIT", "here", labels=("a", "b", "c"))
    loaded = classifier.load(classifier.save(model, card, tmp_path)).model
    torch.testing.assert_close(loaded(specs()), model(specs()))


def test_an_unknown_readout_is_refused():
    with pytest.raises(ValueError, match="readout is 'max': it must be fc_norm or one of mean, frequency, queries"):
        made("max")


@each
def test_pitches_are_learned_encoder_and_all(readout, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    table, encoder = tones(tmp_path), MAE(replace(ARCH, depth=2), training.generator(0))
    recipe = replace(LEARN, epochs=12, readout=readout)
    tuned = finetune.finetune(encoder, encoder.arch, FRONT, table, recipe)
    assert finetune.evaluate(tuned, FRONT, table, 0).scores["test"].top1.value == 1
    assert not torch.equal(tuned.model.blocks[0].attn.qkv.weight, encoder.encoder.blocks[0].attn.qkv.weight)


@each
def test_a_last_batch_of_one_clip_is_learned_from(readout, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    recipe = replace(LEARN, epochs=1, batch=17, readout=readout)  # of 18 recordings
    log = finetune.finetune(None, ARCH, FRONT, tones(tmp_path), recipe).log
    assert log["clips"].tolist() == [17, 1] and log["loss"].notna().all()


@pytest.mark.parametrize("recipe, processes, message", [
    (dict(readout="mean", micro_batch=1), 1, "readout mean has a batch norm, which needs two clips at once or more, got"
                                             " 1: raise batch or micro_batch, or start fewer processes"),
    (dict(readout="queries"), 4, "got 1: raise batch")])
def test_what_a_batch_norm_cannot_do_is_refused_before_training(recipe, processes, message):
    with pytest.raises(ValueError, match=message):
        finetune._check(replace(LEARN, **recipe), 6, processes)
    finetune._check(replace(LEARN, micro_batch=1), 6, 6)  # AudioMAE's has no batch norm


@pytest.mark.parametrize("readout", ["fc_norm", *readouts.READOUTS])
def test_lora_trains_all_that_is_behind_the_encoder(readout):
    model = made(readout)
    readouts.low_rank(model, 2, training.generator(1))
    learned = {name for name, weights in model.named_parameters() if weights.requires_grad}
    behind = {name for name in made(readout).state_dict() if name.startswith(("fc_norm.", "readout.", "head."))}
    assert learned == behind | {name for name, _ in model.named_parameters() if "lora_" in name}
