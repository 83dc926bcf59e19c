"""attention: the maps are what the model used, to the bit of a float; a period is found where there is one and nowhere
else."""
from dataclasses import replace

import pytest
import timm
import torch

from lib import attention, patches, training
from lib.mae import MAE, Arch
from lib.patches import Grid
from lib.transfer import public

GRID = Grid(6, 3)
ARCH = Arch(frames=96, mels=48, patch=(16, 16), dim=32, depth=3, heads=4, decoder="plain", decoder_dim=16,
            decoder_depth=1,
            decoder_heads=2, norm_pixels=False)


@pytest.fixture
def model():
    """Every weight and bias moved, since fresh biases are 0."""
    model, generator = MAE(ARCH, training.generator(0)).eval(), training.generator(1)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def specs(count=2, frames=96, mels=48):
    return torch.randn(count, 1, frames, mels, generator=training.generator(2))


def through(model, spec, layer):
    """What went into and came out of a block's attention, from the model's own pass."""
    seen = {}
    hook = model.encoder.blocks[layer].attn.register_forward_hook(lambda module, given,
                                                                  result: seen.update(x=given[0], y=result))
    with torch.no_grad():
        model.encode(spec)
    hook.remove()
    return seen["x"], seen["y"]


def mixed(attn, maps, x):
    """The block's output by hand: the maps times the values, heads side by side, the output layer."""
    with torch.no_grad():
        v = attn.qkv(x).unflatten(-1, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)[2]
        return attn.proj((maps @ v).transpose(1, 2).flatten(2))


@pytest.mark.parametrize("layer", [0, 1, -1])
@pytest.mark.parametrize("fused", [True, False])
def test_the_maps_times_the_values_are_the_block_s_output(model, layer, fused):
    attn = model.encoder.blocks[layer].attn
    attn.fused_attn = fused
    maps = attention.maps(model, specs(), layer)
    assert maps.shape == (2, 4, 19, 19) and torch.allclose(maps.sum(-1), torch.ones(2, 4, 19))
    x, y = through(model, specs(), layer)
    torch.testing.assert_close(mixed(attn, maps, x), y, rtol=1e-5, atol=1e-5)


def test_with_normed_queries_and_keys_too(model):
    block = model.encoder.blocks[-1]
    other = timm.models.vision_transformer.Attention(32, 4, qkv_bias=True, qk_norm=True,
                                                     norm_layer=torch.nn.LayerNorm).eval()
    block.attn = other
    x, y = through(model, specs(), -1)
    torch.testing.assert_close(mixed(other, attention.maps(model, specs()), x), y, rtol=1e-5, atol=1e-5)


def test_on_the_public_msm_mae(golden):
    T, card = golden("msm_mae")
    weights = {k.removeprefix("weights."): v for k, v in T.items() if k.startswith("weights.")}
    model = public.convert(weights, "msm_mae", grid=(13, 5), heads=3, decoder_heads=3)
    spec = T["input"].transpose(2, 3)
    x, y = through(model, spec, -1)
    maps = attention.maps(model, spec)
    torch.testing.assert_close(mixed(model.encoder.blocks[-1].attn, maps, x), y, rtol=1e-5, atol=1e-5)
    old = weights["blocks.1.attn.q_bias"]
    assert old.abs().max() > 0  # a learned bias, which a map without it would miss
    bare = public.convert(weights | {"blocks.1.attn.q_bias": 0 * old}, "msm_mae", grid=(13, 5), heads=3,
                          decoder_heads=3)
    assert not torch.allclose(attention.maps(bare, spec), maps, atol=1e-5)


def test_biases_count_the_query_s_and_not_the_key_s(model):
    before, bias = attention.maps(model, specs()), model.encoder.blocks[-1].attn.qkv.bias
    with torch.no_grad():
        # of the keys: the same for all keys of a row, which softmax does not see
        bias[32:64] += torch.randn(32, generator=training.generator(3))
    torch.testing.assert_close(attention.maps(model, specs()), before, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        bias[:32] += torch.randn(32, generator=training.generator(3))
    assert not torch.allclose(attention.maps(model, specs()), before, atol=1e-2)


def test_clips_do_not_touch_each_other_and_nothing_is_left_behind(model):
    spec = specs(3)
    together = attention.maps(model, spec)
    torch.testing.assert_close(torch.cat([attention.maps(model, one[None]) for one in spec]), together)
    assert not model.encoder.blocks[-1].attn.qkv._forward_hooks
    with pytest.raises(ValueError, match="at most 96 frames"):
        attention.maps(model, specs(frames=112))
    assert not model.encoder.blocks[-1].attn.qkv._forward_hooks


def test_shorter_specs(model):
    assert attention.maps(model, specs(frames=48)).shape == (2, 4, 10, 10)


def test_from_a_patch_is_its_row_averaged_over_heads():
    maps = torch.rand(2, 4, 19, 19, generator=training.generator(0)).softmax(-1)
    seen = attention.from_patch(maps, GRID, (4, 1))
    assert seen.shape == (2, 6, 3)
    token = 1 + 4 * 3 + 1
    assert torch.allclose(seen[1, 5, 2], maps[1, :, token, 1 + 5 * 3 + 2].mean())
    assert torch.allclose(seen.sum((1, 2)), 1 - maps[:, :, token, 0].mean(1))


def test_a_patch_that_copies_another_attends_like_it():
    """Two columns with the same sound: without positions, whoever attends to one attends to the other as much."""
    model = MAE(ARCH, training.generator(0)).eval()
    with torch.no_grad():
        model.encoder.pos_embed.zero_()
    spec = specs(1)
    spec[:, :, 64:80] = spec[:, :, 16:32]  # column 4 is column 1
    seen = attention.from_patch(attention.maps(model, spec), GRID, (0, 2))
    assert torch.allclose(seen[0, 4], seen[0, 1], atol=1e-6) and not torch.allclose(seen[0, 3], seen[0, 1], atol=1e-6)


def beats(every: float, columns: int = 40, first: float = 1.0, rows: int = 3):
    """Pictures with a soft beat in the middle row each `every` columns."""
    t, at = torch.arange(columns)[:, None], torch.arange(first, columns, every)
    x = torch.zeros(columns, rows)
    x[:, 1] = torch.exp(-0.5 * ((t - at) / 0.8) ** 2).sum(1)
    return x


@pytest.mark.parametrize("every", [3.0, 5.0, 5.4, 9.0, 12.6, 20.0])
def test_the_period_of_beats(every):
    noise = 0.02 * torch.randn(40, 3, generator=training.generator(0))
    found = attention.period((beats(every) + noise)[None], step_s=0.16)
    assert found.seconds.item() == pytest.approx(0.16 * every, abs=0.04) and found.strength.item() > 0.7


def test_two_beats_are_one_interval_and_no_scale_matters():
    x = torch.stack([beats(11.0, columns=19, first=3), beats(7.0, columns=19, first=3)])
    found, louder = attention.period(x, 0.16), attention.period(50 * x + 3, 0.16)
    assert found.seconds.tolist() == pytest.approx([11 * 0.16, 7 * 0.16], abs=0.05)
    torch.testing.assert_close(found, louder)


def test_no_period_where_nothing_comes_back():
    flat, slope = torch.ones(20, 4), torch.linspace(0, 1, 20)[:, None].expand(20, 4)
    once = torch.exp(-0.5 * ((torch.arange(20.0) - 9)[:, None] / 2) ** 2).expand(20, 4)
    found = attention.period(torch.stack([flat, slope, once]), 0.16)
    assert found.seconds.isnan().all() and found.strength.isnan().all()


@pytest.mark.parametrize("columns", range(4, 12))
def test_every_length_from_four_columns_on(columns):
    x = torch.zeros(1, columns, 1)
    x[0, ::2] = 1.0  # every second column
    assert attention.period(x, 0.5).seconds.item() == pytest.approx(1.0, abs=0.2)


def test_autocorrelation_of_itself():
    x = torch.randn(2, 30, 4, generator=training.generator(0))
    r = attention.autocorrelation(x)
    assert torch.allclose(r[:, 0], torch.ones(2).double()) and r[:, 1:20].abs().max() < 0.6
    assert torch.allclose(attention.autocorrelation(x + torch.arange(4.0)), r)  # a row's level is nothing that changes


def test_errors_say_what_to_do(model):
    maps = attention.maps(model, specs())
    for call, said in [(lambda: attention.maps(model, specs(), 3),
                        "layer is 3, this encoder has 3 blocks: choose -3 to 2"),
                       (lambda: attention.from_patch(maps, Grid(7, 3), (0, 0)),
                        r"a 7 x 3 grid needs \(B, heads, 22, 22\)"),
                       (lambda: attention.from_patch(maps, GRID, (2, 3)),
                        r"is \(2, 3\), the grid has 6 columns and 3 mel rows"),
                       (lambda: attention.autocorrelation(torch.ones(5)), r"row\[None, :, None\]"),
                       (lambda: attention.period(torch.ones(1, 3, 2), 0.1),
                        "got pictures of 3 columns, a repetition needs at least 4")]:
        with pytest.raises(ValueError, match=said):
            call()


def test_a_grid_of_one_mel_row(model):
    """Strips: each column is one patch."""
    strips = MAE(replace(ARCH, patch=(4, 48)), training.generator(0)).eval()
    seen = attention.from_patch(attention.maps(strips, specs()), patches.grid_of(96, 48, (4, 48)), (23, 0))
    assert seen.shape == (2, 24, 1) and attention.period(seen, 0.04).seconds.shape == (2,)
