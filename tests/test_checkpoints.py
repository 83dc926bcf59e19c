import argparse
import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from lib import checkpoints, mae, mel, patches
from lib.fit import generator
from lib.mae import MAE, Arch

ARCH = Arch(frames=512, dim=32, depth=1, heads=2, decoder="plain", decoder_dim=16, decoder_depth=1, decoder_heads=2)


def weights_of(T: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix("weights."): v for k, v in T.items() if k.startswith("weights.")}


def close(got: dict[str, torch.Tensor], T: dict, card: dict) -> None:
    for key, value in got.items():
        atol = card["tolerance"].get(key, card["tolerance"]["default"])
        assert torch.allclose(value, T[key], atol=atol, rtol=0), f"{key}: off by {(value - T[key]).abs().max():.2e}"


PUBLIC = [("audiomae_swin", "audiomae", (64, 8), dict(heads=3)), ("audiomae_plain", "audiomae", (32, 8), dict(heads=4, decoder_heads=4)),
          ("birdmae_encoder", "birdmae", (32, 8), dict(heads=3)), ("birdmae_std", "birdmae", (32, 8), dict(heads=4, decoder_heads=3))]


@pytest.mark.parametrize("name, kind, grid, heads", PUBLIC)
def test_time_major_public_models(golden, name, kind, grid, heads):
    T, card = golden(name)
    model = checkpoints.convert(weights_of(T), kind, grid=grid, **heads)
    spec, mask = T["input"], patches.mask_from_keep(T["ids_keep"], T["mask"].shape[1])._replace(restore=T["ids_restore"])
    with torch.no_grad():
        latent = model.encode(spec, mask)
        guess = model.decode(latent, mask)
        close({"latent": latent, "pred": guess[: len(T["pred"])], "unmasked": model.encode(spec, None),
               "loss": model.loss(spec, guess, mask, norm_pixels=False), "loss_norm_pix": model.loss(spec, guess, mask, norm_pixels=True),
               "loss_per_patch": model.patch_errors(spec, guess, False), "loss_per_patch_norm_pix": model.patch_errors(spec, guess, True)}, T, card)


def test_msm_mae_is_turned_to_time_major(golden):
    T, card = golden("msm_mae")
    model = checkpoints.convert(weights_of(T), "msm_mae", grid=(13, 5), heads=3, decoder_heads=3)
    theirs = torch.arange(65).view(5, 13).T.flatten()  # our token i is their token theirs[i]
    ours = theirs.argsort()
    spec, mask = T["input"].transpose(2, 3), patches.mask_from_keep(ours[T["ids_keep"]], 65)
    with torch.no_grad():
        latent, features = model.encode(spec, mask), model.encode(spec, None)
        guess = model.decode(latent, mask)
    assert torch.equal(mask.hidden[:, ours], T["mask"].bool())
    pixels = guess[:, ours].unflatten(-1, (16, 16)).transpose(-1, -2).flatten(-2)  # mel-major tokens, pixels mel first
    close({"latent": latent, "pred": pixels, "unmasked": torch.cat([features[:, :1], features[:, 1:][:, ours]], 1),
           "frame_features": features[:, 1:].unflatten(1, (13, 5)).flatten(2), "loss": model.loss(spec, guess, mask),
           "loss_norm_pix": model.loss(spec, guess, mask, norm_pixels=True)}, T, card)


def test_an_encoder_alone_gets_a_fresh_decoder_and_says_so(golden, capsys):
    T, _ = golden("audiomae_vit")  # a finetuned file: no norm, fc_norm and a head instead
    model = checkpoints.convert(weights_of(T), "audiomae", grid=(64, 8), heads=3)
    said = capsys.readouterr().out
    assert "dropped 4 (a classifier's)" in said and "the file has no decoder" in said
    assert torch.equal(model.encoder.blocks[1].mlp.fc2.weight, T["weights.blocks.1.mlp.fc2.weight"])


def test_a_shorter_grid_takes_the_prefix_of_the_saved_table(golden):
    weights = weights_of(golden("audiomae_swin")[0])
    model = checkpoints.convert(weights, "audiomae", grid=(32, 8), heads=3)
    assert model.arch.frames == 512 and torch.equal(model.encoder.pos_embed, weights["pos_embed"][:, :257])


@pytest.mark.parametrize("kind, key, heads", [("audiomae", "audiomae_vitb_decoder1", {}), ("birdmae", "birdmae_base_lightning_ckpt", dict(decoder_heads=16)),
                                              ("birdmae", "birdmae_base_huggingface", {}), ("msm_mae", "msm_mae_base_80x208p16x16", dict(decoder_heads=6))])
def test_full_size_layouts(golden_keys, kind, key, heads):
    """The published names and shapes, as tensors without memory: every one finds its place."""
    grid = {"audiomae": (64, 8), "birdmae": (32, 8), "msm_mae": (13, 5)}[kind]
    tensors = {k: torch.zeros(()).expand(shape) for k, shape in golden_keys[key]["keys"].items()}
    model = checkpoints.convert(tensors, kind, grid=grid, heads=12, **heads)
    assert model.arch.dim == 768 and model.arch.depth == 12


def test_errors_of_convert():
    state = {k.removeprefix("encoder."): v for k, v in MAE(ARCH, generator(0)).state_dict().items()}
    convert = lambda change=None, **options: checkpoints.convert(  # noqa: E731
        {**state, **(change or {})}, **dict(kind="audiomae", grid=(32, 8), heads=2, decoder_heads=2) | options)
    assert convert().arch.dim == 32
    for options, message in [(dict(kind="wav2vec"), "unknown checkpoint kind 'wav2vec'"), (dict(heads=5), "heads=5 does not divide the width 32"),
                             (dict(decoder_heads=None), "give decoder_heads"), (dict(grid=(64, 8)), "a 64 x 8 grid needs 512"),
                             (dict(change={"norm.weight": torch.zeros(7)}), r"encoder.norm.weight \(7,\)"),
                             (dict(change={"surprise": torch.zeros(7)}), "encoder.surprise")]:
        with pytest.raises(ValueError, match=message):
            convert(**options)
    with pytest.raises(ValueError, match="cls_token, pos_embed"):
        checkpoints.convert({"x": torch.zeros(1)}, "audiomae", grid=(32, 8), heads=2)


# ------------------------------------------------------------------------------------------------------------------ files

def test_save_and_load_give_the_same_model(tmp_path):
    model = MAE(ARCH, generator(3)).eval()
    path = checkpoints.save(model, checkpoints.Card("toy", ARCH, mel.INAT, "nothing", "MIT", "a test"), tmp_path)
    again, card = checkpoints.load(path)
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in model.state_dict().items())
    assert card.arch == ARCH and card.front == mel.INAT and len(card.chirp) == 8 and len(card.sha256) == 64


def test_two_models_have_two_fingerprints():
    a, b = (checkpoints.chirp_numbers(MAE(ARCH, generator(seed)).eval(), mel.INAT) for seed in (0, 1))
    assert a != b


def test_a_changed_or_foreign_file_is_refused(tmp_path):
    model = MAE(ARCH, generator(3)).eval()
    path = checkpoints.save(model, checkpoints.Card("toy", ARCH, mel.INAT, "nothing", "MIT", "a test"), tmp_path)
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(card | {"front": card["front"] | {"low_hz": 1000.0}}))
    with pytest.raises(ValueError, match="other numbers on the chirp"):
        checkpoints.load(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="sha256"):
        checkpoints.load(path)
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(ValueError, match="not a card"):
        checkpoints.load(path)
    with pytest.raises(ValueError, match="other.json is missing"):
        checkpoints.load(tmp_path / "other.safetensors")


class Payload:
    def __reduce__(self):
        return print, ("this must never run",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_reading_foreign_files(tmp_path, capsys):
    state = {"a": torch.arange(3.0)}
    torch.save({"model": state, "args": argparse.Namespace(lr=1)}, tmp_path / "mae.pth")  # as the public MAE files are
    save_file(state, tmp_path / "mae.safetensors")
    for name in ("mae.pth", "mae.safetensors"):
        assert torch.equal(checkpoints.read(tmp_path / name)["a"], state["a"])
    with open(tmp_path / "evil.pth", "wb") as file:
        pickle.dump({"model": Payload()}, file)
    torch.save({"model": Payload()}, tmp_path / "evil2.pth")
    whole = (tmp_path / "mae.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "mae.safetensors").read_bytes()[:-4])
    (tmp_path / "text.pth").write_text("not found")
    (tmp_path / "empty.pth").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pth")
    for name, message in [("evil.pth", "can run code|cannot be read"), ("evil2.pth", "can run code"), ("cut.pth", "cannot be read as weights"),
                          ("cut.safetensors", "cannot be read as weights"), ("text.pth", "can run code|cannot be read"), ("empty.pth", "cannot be read"),
                          ("list.pth", "holds no state dict"), ("nowhere.pth", "no such file")]:
        with pytest.raises(ValueError, match=message) as error:
            checkpoints.read(tmp_path / name)
        assert "\n" not in str(error.value) and name in str(error.value)
    assert "must never run" not in capsys.readouterr().out


def test_window_block_is_the_public_one(golden):
    T, card = golden("swin_block")
    for shift in (0, 2):
        block = mae.WindowBlock(32, 4, (32, 8), (4, 4), shift_size=(shift, 0), init_values=None, norm_layer=mae.Norm).eval()
        weights = {k.removeprefix(f"shift{shift}."): v for k, v in weights_of(T).items() if k.startswith(f"shift{shift}.")}
        weights["attn.logit_scale"] = weights.pop("attn.tau").reciprocal().log()
        block.load_state_dict(weights, strict=True)
        with torch.no_grad():
            close({f"out_shift{shift}": block(T["input"].unflatten(1, (32, 8))).flatten(1, 2)}, T, card)
    assert torch.equal(block.attn_mask, T["attn_mask_shift2"])
