"""Readouts behind an encoder: what they compute, what is left out in training, what is kept of them."""
from dataclasses import replace

import pytest
import torch
from toys import ARCH, FRONT, tones

from lib import training
from lib.checkpoints import Card
from lib.mae import MAE
from lib.transfer import classifier, finetune, readouts

T, F, D = *ARCH.grid, ARCH.dim
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
def test_pitches_are_learned_probe_first(readout, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    table, encoder = tones(tmp_path), MAE(replace(ARCH, depth=2), training.generator(0))
    recipe = finetune.Recipe(epochs=12, batch=6, lr=3e-3, mixup=False, mask_mels=0, mask_frames=0, readout=readout,
                             layer_decay=1.0, evaluate=0)
    tuned = finetune.finetune(encoder, encoder.arch, FRONT, table, recipe)
    assert finetune.evaluate(tuned, FRONT, table, 0).scores["test"].top1.value == 1
    still = finetune.finetune(encoder, encoder.arch, FRONT, table, replace(recipe, probe=1.0, epochs=2)).model
    for name, weights in encoder.encoder.state_dict().items():
        assert torch.equal(still.state_dict()[name], weights)
    assert not torch.equal(tuned.model.blocks[0].attn.qkv.weight, encoder.encoder.blocks[0].attn.qkv.weight)
