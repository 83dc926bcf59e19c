import math
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lib import mae, mel, patches
from lib.mae import MAE, Arch
from lib.patches import Grid

SMALL = Arch(frames=64, mels=32, patch=(8, 8), dim=32, depth=2, heads=2, decoder="plain", decoder_dim=16,
             decoder_depth=1, decoder_heads=2)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=["plain", "window"])
def model(request) -> MAE:
    depth = 2  # two window blocks: one without, one with the time shift
    return MAE(replace(SMALL, decoder=request.param, decoder_depth=depth), generator()).eval()


@pytest.fixture
def spec() -> torch.Tensor:
    return torch.randn(2, 1, 64, 32, generator=generator(1))


def test_with_nothing_hidden_the_encoder_is_timm(model, spec):
    assert torch.equal(model.encode(spec, None), model.encoder.forward_features(spec))


@pytest.mark.parametrize("patch", [(8, 8), (4, 32), (64, 2), (64, 32)])  # square, strips either way, the whole spec
def test_an_embedding_is_timm_s_and_the_same_in_bf16(patch, spec):
    model = MAE(replace(SMALL, patch=patch), generator())
    embed = model.encoder.patch_embed
    expected = embed.norm(embed.proj(spec).flatten(2).transpose(1, 2))  # (B, L, D), as timm's own
    assert torch.allclose(embed(spec), expected, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert (embed(spec).float() - expected).norm() < 0.02 * expected.norm()


def test_hidden_patches_never_reach_the_encoder_nor_visible_ones_the_loss(model, spec):
    mask = patches.random_mask(2, model.grid, 0.75, generator())
    where = patches.unpatchify(mask.hidden[..., None].expand(-1, -1, 64).float(), model.grid, (8, 8)).bool()
    changed = torch.where(where, torch.randn(spec.shape, generator=generator(2)), spec)
    assert torch.equal(model.encode(changed, mask), model.encode(spec, mask))
    guess = model.decode(model.encode(spec, mask), mask)
    other = torch.where(mask.hidden[..., None], guess, torch.randn(guess.shape, generator=generator(3)))
    assert torch.equal(model.loss(spec, other, mask), model.loss(spec, guess, mask))
    assert not torch.equal(model.loss(changed, guess, mask), model.loss(spec, guess, mask))


class NoWaiting(TorchDispatchMode):
    """An error for what makes the host wait for a GPU: a number asked for, or a size that follows from values."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name().removeprefix("aten::")
        by_mask = name.startswith("index") and any(getattr(i, "dtype", None) in (torch.bool, torch.uint8)
                                                   for a in args if isinstance(a, (list, tuple)) for i in a)
        if by_mask or name in ("_local_scalar_dense", "item", "nonzero", "is_nonzero", "masked_select", "equal"):
            raise RuntimeError(f"{name} waits for the device")
        return function(*args, **kwargs or {})


@pytest.mark.parametrize("front", [mel.INAT, mel.AUDIOMAE, mel.MSM_MAE], ids=lambda front: front.name)
def test_from_waves_to_gradients_nothing_waits_for_the_device(model, front):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, log_mel = model.train().to(device), mel.LogMel(replace(front, frames=64)).to(device)
    wave = torch.randn(2, log_mel.front.samples, generator=generator()).to(device)
    lengths, mask = torch.tensor([wave.shape[1], wave.shape[1] // 2]), patches.random_mask(2, model.grid, 0.75, None)
    with pytest.raises(RuntimeError, match="waits"), NoWaiting():
        wave[wave > 0]

    def step():
        spec = log_mel(wave, lengths, frames=64)[..., :32]
        model(spec, mask.to(device)).loss.backward()

    step()  # whatever is made at first
    torch.cuda.set_sync_debug_mode("error") if device == "cuda" else None
    try:
        with NoWaiting():
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default") if device == "cuda" else None
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_order_of_the_visible_patches_does_not_matter(model, spec):
    mask = patches.random_mask(2, model.grid, 0.5, generator())
    again = patches.mask_from_keep(mask.keep.flip(1), mask.hidden.shape[1])
    a, b = (model.decode(model.encode(spec, m), m) for m in (mask, again))
    assert torch.allclose(a, b, atol=1e-5)


def test_every_visible_patch_matters(model, spec):
    mask = patches.random_mask(2, model.grid, 0.5, generator())
    x = patches.patchify(spec, (8, 8)).clone()
    x[:, mask.keep[0, 0]] += 1.0
    changed = patches.unpatchify(x, model.grid, (8, 8))
    assert not torch.allclose(model.encode(changed, mask)[0], model.encode(spec, mask)[0])


def test_a_shorter_spec_takes_a_prefix_of_the_positions(model, spec):
    latent = model.encode(spec[:, :, :40], None)
    assert latent.shape == (2, 1 + 5 * 4, 32)
    x = model.encoder.patch_embed(spec[:, :, :40]) + model.encoder.pos_embed[:, 1:21]
    x = torch.cat([(model.encoder.cls_token + model.encoder.pos_embed[:, :1]).expand(2, -1, -1), x], 1)
    assert torch.equal(latent, model.encoder.norm(model.encoder.blocks(x)))


def test_the_same_seed_gives_the_same_model():
    a, b, c = (MAE(SMALL, generator(seed)).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["decoder_pred.weight"], c["decoder_pred.weight"])


def test_normalised_target_has_mean_zero_and_unit_variance(model, spec):
    target = model.target(spec * 7 + 3)
    assert target.mean(-1).abs().max() < 1e-4 and (target.var(-1) - 1).abs().max() < 1e-4
    assert torch.equal(model.target(spec, norm_pixels=False), patches.patchify(spec, (8, 8)))


def test_a_floor_leaves_the_noise_of_quiet_patches_small(model, spec):
    floored = MAE(replace(model.arch, floor=0.5), generator())
    quiet = floored.target(0.01 * spec).var(-1)
    assert quiet.max() < 1e-3 and (floored.target(100 * spec).var(-1) - 1).abs().max() < 0.01
    mask = patches.random_mask(2, model.grid, 0.75, generator())
    assert torch.allclose(floored.picture(spec, floored.target(spec), mask), spec, atol=1e-5)


def test_a_perfect_guess_gives_no_loss_and_the_input_as_picture(model, spec):
    mask = patches.random_mask(2, model.grid, 0.75, generator())
    guess = model.target(spec)
    assert model.loss(spec, guess, mask) == 0
    assert torch.allclose(model.picture(spec, guess, mask), spec, atol=1e-5)


def test_window_shift_runs_along_time_only():
    model = MAE(replace(SMALL, decoder="window", decoder_depth=2, mels=64), generator())  # 8 x 8 grid, windows of 4 x 4
    assert [tuple(b.shift_size) for b in model.decoder_blocks] == [(0, 0), (2, 0)]


@pytest.mark.parametrize("frames, mels, patch",
                         [(96, 80, (16, 16)), (208, 80, (16, 16)), (304, 80, (4, 80)), (512, 128, (16, 16))])
def test_both_decoders_work_on_any_grid(frames, mels, patch):
    for decoder in ("plain", "window"):
        model = MAE(replace(SMALL, frames=frames, mels=mels, patch=patch, decoder=decoder, decoder_depth=2),
                    generator())
        mask = patches.random_mask(1, model.grid, 0.75, generator())
        loss, guess = model(torch.randn(1, 1, frames, mels, generator=generator()), mask)
        assert guess.shape == (1, model.grid.t * model.grid.f, patch[0] * patch[1]) and math.isfinite(loss.item())


@pytest.mark.parametrize("call, message", [
    (lambda m: replace(SMALL, decoder="swin"), "'swin'"),
    (lambda m: replace(SMALL, heads=5), "multiple of its 5 heads"),
    (lambda m: replace(SMALL, patch=(7, 8)), "cannot be cut into 7 x 8"),
    (lambda m: m.encode(torch.zeros(1, 1, 64, 40), None), "got 40 mels and 64 frames"),
    (lambda m: m.encode(torch.zeros(1, 1, 128, 32), None), "at most 64 frames"),
    (lambda m: m.encode(torch.zeros(1, 1, 64, 32), patches.chessboard_mask(1, Grid(4, 4))),
     r"the mask is for \(1, 16\)"),
    (lambda m: m.loss(torch.zeros(1, 1, 64, 32), torch.zeros(1, 32, 64), patches.random_mask(1, m.grid, 0, None)),
     "hides none"),
    (lambda m: m.loss(torch.zeros(1, 1, 64, 32), torch.zeros(1, 32, 64), None), "hides none"),
])
def test_errors_say_what_was_got(call, message):
    with pytest.raises(ValueError, match=message):
        call(MAE(SMALL, generator()))


def test_sincos_is_the_public_table(golden):
    T, _ = golden("pos_embed")
    for t, f in ((64, 8), (8, 64), (8, 32), (5, 13)):
        assert torch.allclose(mae.sincos(16, Grid(t, f))[0], T[f"grid_{t}x{f}"], atol=1e-6)
