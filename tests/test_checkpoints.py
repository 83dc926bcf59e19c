import argparse
import functools
import hashlib
import json
import pickle
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import timm
import torch
from safetensors.torch import save, save_file
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

from lib import checkpoints, mae, mel, patches, paths
from lib.mae import MAE, Arch
from lib.training import generator
from lib.transfer import mobilenet, public

ARCH = Arch(frames=512, dim=32, depth=1, heads=2, decoder="plain", decoder_dim=16, decoder_depth=1, decoder_heads=2)


def weights_of(T: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix("weights."): v for k, v in T.items() if k.startswith("weights.")}


def close(got: dict[str, torch.Tensor], T: dict, card: dict) -> None:
    for key, value in got.items():
        atol = card["tolerance"].get(key, card["tolerance"]["default"])
        assert torch.allclose(value, T[key], atol=atol, rtol=0), f"{key}: off by {(value - T[key]).abs().max():.2e}"


PUBLIC = [("audiomae_swin", "audiomae", (64, 8), dict(heads=3)),
          ("audiomae_plain", "audiomae", (32, 8), dict(heads=4, decoder_heads=4)),
          ("birdmae_encoder", "birdmae", (32, 8), dict(heads=3)),
          ("birdmae_std", "birdmae", (32, 8), dict(heads=4, decoder_heads=3))]


@pytest.mark.parametrize("name, kind, grid, heads", PUBLIC)
def test_time_major_public_models(golden, name, kind, grid, heads):
    T, card = golden(name)
    model = public.convert(weights_of(T), kind, grid=grid, **heads)
    spec, mask = T["input"], patches.mask_from_keep(T["ids_keep"], T["mask"].shape[1])
    mask = mask._replace(restore=T["ids_restore"])
    with torch.no_grad():
        latent = model.encode(spec, mask)
        guess = model.decode(latent, mask)
        close({"mask": mask.hidden.float(),
               "patches": patches.patchify(spec, (16, 16))[: len(T["patches"]), T["patch_rows"]],
               "latent": latent, "pred": guess[: len(T["pred"])], "unmasked": model.encode(spec, None),
               "loss": model.loss(spec, guess, mask, norm_pixels=False),
               "loss_norm_pix": model.loss(spec, guess, mask, norm_pixels=True),
               "loss_per_patch": model.patch_errors(spec, guess, False),
               "loss_per_patch_norm_pix": model.patch_errors(spec, guess, True)}, T, card)


def test_msm_mae_is_turned_to_time_major(golden):
    T, card = golden("msm_mae")
    model = public.convert(weights_of(T), "msm_mae", grid=(13, 5), heads=3, decoder_heads=3)
    theirs = torch.arange(65).view(5, 13).T.flatten()  # our token i is their token theirs[i]
    ours = theirs.argsort()
    spec, mask = T["input"].transpose(2, 3), patches.mask_from_keep(ours[T["ids_keep"]], 65)
    with torch.no_grad():
        latent, features = model.encode(spec, mask), model.encode(spec, None)
        guess = model.decode(latent, mask)
    assert torch.equal(mask.hidden[:, ours], T["mask"].bool())
    pixels = [x[:, ours].unflatten(-1, (16, 16)).transpose(-1, -2).flatten(-2)
              for x in (guess, patches.patchify(spec[:1], (16, 16)))]  # mel first
    close({"latent": latent, "pred": pixels[0], "patches": pixels[1],
           "unmasked": torch.cat([features[:, :1], features[:, 1:][:, ours]], 1),
           "frame_features": features[:, 1:].unflatten(1, (13, 5)).flatten(2), "loss": model.loss(spec, guess, mask),
           "loss_norm_pix": model.loss(spec, guess, mask, norm_pixels=True)}, T, card)


def test_msm_mae_s_long_input_is_windows_in_a_row(golden):
    T, card = golden("msm_mae")
    model = public.convert(weights_of(T), "msm_mae", grid=(13, 5), heads=3, decoder_heads=3)
    spec = T["long"].transpose(2, 3)  # (1, 1, 450, 80)
    # (3, 1, 208, 80) padded with 0
    windows = torch.nn.functional.pad(spec, (0, 0, 0, 3 * 208 - 450)).unflatten(2, (3, 208))[0, 0][:, None]
    with torch.no_grad():
        # (39, 5 D) ours: f * D along
        features = model.encode(windows, None)[:, 1:].unflatten(1, (13, 5)).flatten(2).flatten(0, 1)
    close({"encoded_long": features[None, : -(-450 // 16)]}, T, card)


def test_audiomae_s_finetuned_classifier_through_convert(golden):
    T, card = golden("audiomae_vit")
    weights = weights_of(T)
    encoder = public.convert(weights, "audiomae", grid=(64, 8), heads=3).encoder
    model = mae.vit(Arch(frames=1024, dim=48, depth=2, heads=3), num_classes=7, global_pool="avg").eval()
    state = {k: v for k, v in encoder.state_dict().items() if not k.startswith("norm.")}
    model.load_state_dict(state | {k: v for k, v in weights.items() if k.startswith(("fc_norm.", "head."))},
                          strict=True)
    with torch.no_grad():
        features = model.forward_head(model.forward_features(T["input"]), pre_logits=True)
        close({"features": features, "logits": model.head(features)}, T, card)


def test_position_tables_within_their_own_tolerance(golden):
    T, card = golden("pos_embed")
    close({key: mae.sincos(16, patches.Grid(*map(int, key.removeprefix("grid_").split("x"))))[0] for key in T}, T, card)


def test_an_encoder_alone_gets_a_fresh_decoder_and_says_so(golden, capsys):
    T, _ = golden("audiomae_vit")  # a finetuned file: no norm, fc_norm and a head instead
    model = public.convert(weights_of(T), "audiomae", grid=(64, 8), heads=3)
    said = capsys.readouterr().out
    assert "dropped 4 (a classifier's)" in said and "the file has no decoder" in said
    assert torch.equal(model.encoder.blocks[1].mlp.fc2.weight, T["weights.blocks.1.mlp.fc2.weight"])


def test_a_shorter_grid_takes_the_prefix_of_the_saved_table(golden):
    weights = weights_of(golden("audiomae_swin")[0])
    model = public.convert(weights, "audiomae", grid=(32, 8), heads=3)
    assert model.arch.frames == 512 and torch.equal(model.encoder.pos_embed, weights["pos_embed"][:, :257])


@pytest.mark.parametrize("kind, key, heads", [
    ("audiomae", "audiomae_vitb_decoder1", {}), ("birdmae", "birdmae_base_lightning_ckpt", dict(decoder_heads=16)),
    ("birdmae", "birdmae_base_huggingface", {}), ("msm_mae", "msm_mae_base_80x208p16x16", dict(decoder_heads=6))])
def test_full_size_layouts(golden_keys, kind, key, heads):
    """The published names and shapes, as tensors without memory: every one finds its place."""
    grid = {"audiomae": (64, 8), "birdmae": (32, 8), "msm_mae": (13, 5)}[kind]
    tensors = {k: torch.zeros(()).expand(shape) for k, shape in golden_keys[key]["keys"].items()}
    model = public.convert(tensors, kind, grid=grid, heads=12, **heads)
    assert model.arch.dim == 768 and model.arch.depth == 12


@pytest.mark.parametrize("ratio", [2, 120 / 44])  # 44 * (120 / 44) is 119.99...
def test_the_width_of_the_mlps_is_read_off_the_tensors(ratio, tmp_path):
    arch = replace(ARCH, dim=44, heads=1, decoder_dim=44, decoder_heads=1, mlp_ratio=ratio)
    model = MAE(arch, generator(0))
    assert model.encoder.blocks[0].mlp.fc1.out_features == round(44 * ratio)
    state = {k.removeprefix("encoder."): v for k, v in model.state_dict().items()}
    same = public.convert(state, "audiomae", grid=arch.grid, heads=1, decoder_heads=1)
    assert same.arch.mlp_ratio == ratio and torch.equal(same.encoder.blocks[0].mlp.fc1.weight,
                                                        model.encoder.blocks[0].mlp.fc1.weight)
    checkpoints.save(model, checkpoints.Card("wide", arch, mel.INAT, "nothing", "MIT", "here"), tmp_path)
    assert checkpoints.load(tmp_path / "wide.json")[0].arch == arch


def test_results_of_before_the_mlp_ratio_keep_their_names():
    assert "mlp_ratio" not in paths.plain(ARCH) and paths.key(Arch()) == "3ee8aeae2c78ff1f"
    assert paths.plain(replace(ARCH, mlp_ratio=2.0))["mlp_ratio"] == 2


def test_errors_of_convert():
    state = {k.removeprefix("encoder."): v for k, v in MAE(ARCH, generator(0)).state_dict().items()}

    def convert(change=None, **options):
        given = dict(kind="audiomae", grid=(32, 8), heads=2, decoder_heads=2) | options
        return public.convert({**state, **(change or {})}, **given)

    assert convert().arch.dim == 32
    for options, message in [(dict(kind="wav2vec"), "unknown checkpoint kind 'wav2vec'"),
                             (dict(heads=5), "heads=5 does not divide the width 32"),
                             (dict(decoder_heads=None), "give decoder_heads"),
                             (dict(grid=(64, 8)), "a 64 x 8 grid needs 512"),
                             (dict(change={"norm.weight": torch.zeros(7)}), r"encoder.norm.weight \(7,\)"),
                             (dict(change={"surprise": torch.zeros(7)}), "encoder.surprise")]:
        with pytest.raises(ValueError, match=message):
            convert(**options)
    with pytest.raises(ValueError, match="cls_token, pos_embed"):
        public.convert({"x": torch.zeros(1)}, "audiomae", grid=(32, 8), heads=2)


# ---------------------------------------------------------------------------------------------------------------- files

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
    for name, message in [("evil.pth", "can run code|cannot be read"), ("evil2.pth", "can run code"),
                          ("cut.pth", "cannot be read as weights"),
                          ("cut.safetensors", "cannot be read as weights"), ("text.pth", "can run code|cannot be read"),
                          ("empty.pth", "cannot be read"),
                          ("list.pth", "holds no state dict"), ("nowhere.pth", "no such file")]:
        with pytest.raises(ValueError, match=message) as error:
            checkpoints.read(tmp_path / name)
        assert "\n" not in str(error.value) and name in str(error.value)
    assert "must never run" not in capsys.readouterr().out


def test_window_block_is_the_public_one(golden):
    T, card = golden("swin_block")
    for shift in (0, 2):
        block = mae.WindowBlock(32, 4, (32, 8), (4, 4), shift_size=(shift, 0), init_values=None,
                                norm_layer=mae.Norm).eval()
        weights = {k.removeprefix(f"shift{shift}."): v for k, v in weights_of(T).items()
                   if k.startswith(f"shift{shift}.")}
        weights["attn.logit_scale"] = weights.pop("attn.tau").reciprocal().log()
        block.load_state_dict(weights, strict=True)
        with torch.no_grad():
            close({f"out_shift{shift}": block(T["input"].unflatten(1, (32, 8))).flatten(1, 2)}, T, card)
    assert torch.equal(block.attn_mask, T["attn_mask_shift2"])


# ------------------------------------------------------------------------------------------------------- public weights

def toy(name: str, width: int = 64) -> dict[str, torch.Tensor]:
    """Random weights in a published layout, one block deep: what its file would hold."""
    frames, mels = {"audiomae": (1024, 128), "birdmae": (512, 128), "msm_mae": (208, 80), "imagenet": (224, 224)}[name]
    vit = dict(img_size=(frames, mels), embed_dim=width, depth=1, num_heads=1, in_chans=3 if name == "imagenet" else 1,
               num_classes=10 if name == "imagenet" else 0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = VisionTransformer(**vit).state_dict()
    if name != "msm_mae":
        return state
    arch = Arch(frames=frames, mels=mels, dim=width, depth=1, heads=1, decoder="plain", decoder_dim=32, decoder_depth=1,
                decoder_heads=1)
    state = {k.removeprefix("encoder."): v for k, v in MAE(arch, generator(0)).state_dict().items()}
    for key in [k for k in state if k.endswith("qkv.bias")]:  # its attention has no key bias
        q, _, v = state.pop(key).chunk(3)
        state |= {key.replace("qkv.bias", "q_bias"): q, key.replace("qkv.bias", "v_bias"): v}
    return state


@pytest.fixture
def small(monkeypatch):
    """A fresh decoder of one narrow block instead of the public 16: quicker to make."""
    monkeypatch.setattr(public, "Arch", functools.partial(Arch, decoder_dim=32, decoder_depth=1, decoder_heads=1))


@pytest.mark.parametrize("name, frames, front, said", [
    ("audiomae", 512, mel.AUDIOMAE, "dropped 0, fresh"), ("audiomae", 1024, mel.AUDIOMAE, "no decoder"),
    ("birdmae", 512, mel.BIRDMAE, "no decoder"),
    ("msm_mae", 208, mel.MSM_MAE, "dropped 0, fresh 0"), ("imagenet", 512, mel.INAT, "dropped 2 (a classifier's)")])
def test_public_weights_from_a_file(tmp_path, capsys, small, name, frames, front, said):
    state = toy(name)
    save_file(state, tmp_path / "some.safetensors")
    torch.save({"model": state, "args": argparse.Namespace(lr=1), "epoch": 1}, tmp_path / "some.pth")
    model, card = public.load(name, tmp_path / "some.safetensors", frames=512 if name == "msm_mae" else frames)
    again, other = public.load(name, tmp_path / "some.pth", frames=512 if name == "msm_mae" else frames)
    assert said in capsys.readouterr().out and not model.training
    assert (card.name, card.source, card.front.name, card.front.rate) == (name, "some.safetensors", front.name,
                                                                          front.rate)
    assert card.front.frames == model.arch.frames == frames and model.arch.heads == 1 and card.licence
    assert card.arch == model.arch
    assert card.sha256 == hashlib.sha256((tmp_path / "some.safetensors").read_bytes()).hexdigest() != other.sha256
    assert card.chirp == other.chirp == checkpoints.chirp_numbers(model, card.front)
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in model.state_dict().items())
    assert torch.equal(model.encoder.blocks[0].mlp.fc1.weight, state["blocks.0.mlp.fc1.weight"])
    if name in ("audiomae", "birdmae"):
        assert torch.equal(model.encoder.pos_embed, state["pos_embed"][:, : 1 + frames // 2])
    kept, about = checkpoints.load(checkpoints.save(model, card, tmp_path / "kept"))  # it can be kept as one of ours
    assert about.source == card.source and torch.equal(kept.encoder.pos_embed, model.encoder.pos_embed)


def test_audiomae_with_its_decoder_is_read_whole(tmp_path, golden, capsys):
    weights = weights_of(golden("audiomae_swin")[0])
    torch.save({"model": weights, "args": argparse.Namespace(lr=1)}, tmp_path / "pretrained.pth")
    model, _ = public.load("audiomae", tmp_path / "pretrained.pth")
    assert "fresh 0" in capsys.readouterr().out and model.arch.decoder == "window" and model.arch.frames == 512
    assert torch.equal(model.decoder_pos_embed, weights["decoder_pos_embed"][:, :257])


def test_the_picture_model_sees_a_spec_as_a_grey_picture(capsys, small):
    """One summed channel is what the original computes of a grey picture; positions of the same grid stay, others are
    resized."""
    state = toy("imagenet")
    original = VisionTransformer(img_size=224, embed_dim=64, depth=1, num_heads=1, num_classes=10).eval()
    original.load_state_dict(state)
    grey = torch.randn(2, 1, 224, 224, generator=generator(1))
    same = public.convert(state, "imagenet", grid=(14, 14), heads=1)
    assert torch.equal(same.encoder.pos_embed, state["pos_embed"])
    with torch.no_grad():
        torch.testing.assert_close(same.encoder.patch_embed(grey), original.patch_embed(grey.expand(-1, 3, -1, -1)),
                                   atol=1e-5, rtol=0)
        torch.testing.assert_close(same.encode(grey), original.forward_features(grey.expand(-1, 3, -1, -1)), atol=1e-5,
                                   rtol=0)
    theirs = VisionTransformer(img_size=(512, 128), embed_dim=64, depth=1, num_heads=1, num_classes=0, in_chans=1)
    # timm's way to another size
    adapted = checkpoint_filter_fn({k: v for k, v in state.items() if not k.startswith("head")}, theirs)
    assert torch.equal(public.convert(state, "imagenet", grid=(32, 8), heads=1).encoder.pos_embed, adapted["pos_embed"])
    assert "colours summed to one channel, positions resized to 32 x 8" in capsys.readouterr().out


def test_full_size_picture_layout(golden_keys, small):
    keys = golden_keys["timm_vit_base_patch16_224_1024x128"]["keys"]
    change = {"patch_embed.proj.weight": [768, 3, 16, 16], "pos_embed": [1, 197, 768], "head.weight": [1000, 768],
              "head.bias": [1000]}
    model = public.convert({k: torch.zeros(()).expand(shape) for k, shape in (keys | change).items()}, "imagenet",
                           grid=(32, 8), heads=12)
    assert model.arch.dim == 768 and model.arch.depth == 12


def test_the_mobilenet_of_a_seed():
    a, b, c = mobilenet.network(5), mobilenet.network(5), mobilenet.network(5, seed=1)
    assert torch.equal(a.conv_stem.weight, b.conv_stem.weight)
    assert not torch.equal(a.conv_stem.weight, c.conv_stem.weight)
    assert a(torch.zeros(2, 1, 64, 32)).shape == (2, 5)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_wrong_files_are_refused_in_one_line(tmp_path, capsys, small):
    mobile = timm.create_model("mobilenetv3_large_100").state_dict()
    for file, state in dict(mobile=mobile, audiomae=toy("audiomae"), birdmae=toy("birdmae"), imagenet=toy("imagenet"),
                            msm_mae=toy("msm_mae"),
                            odd=toy("audiomae", width=200), fine={"pos_embed": torch.zeros(1)}).items():
        save_file(state, tmp_path / f"{file}.safetensors")
    torch.save({"model": Payload()}, tmp_path / "evil.pth")
    torch.save({"model": toy("audiomae")}, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:-1000])
    (tmp_path / "cut.zip").write_bytes((tmp_path / "whole.pth").read_bytes()[:-1000])
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("README.md", "nothing here")
    for name, file, message in [
            ("audiomae", "mobile.safetensors",
             "no audiomae encoder: cls_token, pos_embed.*pytorch_model.bin from https://huggingface.co/gaunernst/"),
            ("audiomae", "birdmae.safetensors", "256 patches, that of AudioMAE 512"),
            ("birdmae", "audiomae.safetensors", "512 patches, that of Bird-MAE 256"),
            ("audiomae", "imagenet.safetensors", "3 channels instead of 1"),
            ("imagenet", "audiomae.safetensors", "1 channels instead of 3"),
            ("msm_mae", "audiomae.safetensors", "cannot be cut"), ("audiomae", "msm_mae.safetensors", "65 patches"),
            ("audiomae", "odd.safetensors", "heads=3 does not divide the width 200"),
            ("imagenet", "fine.safetensors", "is missing among its 1 tensors"),
            ("audiomae", "evil.pth", "can run code"), ("audiomae", "cut.pth", "cut off"),
            ("msm_mae", "cut.zip", "cut off"),
            ("msm_mae", "none.zip", "0 .pth files"), ("birdmae", "nowhere.safetensors", "no such file")]:
        with pytest.raises(ValueError, match=message) as error:
            public.load(name, tmp_path / file)
        assert "\n" not in str(error.value) and file in str(error.value)
    with pytest.raises(ValueError, match="no public weights 'wav2vec': use audiomae, birdmae, msm_mae, imagenet"):
        public.load("wav2vec")
    with pytest.raises(ValueError, match="frames=500 .* such as 496"):
        public.load("audiomae", frames=500)
    assert "must never run" not in capsys.readouterr().out


@pytest.fixture
def hub(tmp_path, monkeypatch, small):
    """A hub on this machine: hub.files[path] = bytes are its files, hub.asked the requests; every cache is a fresh
    folder."""
    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self):
            server.asked.append((self.command, self.path, self.headers.get("Range")))
            status, body = server.refuse or 404, b""
            first = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            if not server.refuse and self.path in server.files:
                status, body = 206 if first else 200, server.files[self.path]
            self.send_response(status)
            reasons = {401: "RepoNotFound", 403: "GatedRepo", 404: "EntryNotFound"}
            self.send_header("X-Error-Code", reasons.get(status, ""))
            for key, value in {"Content-Length": len(body) - first,
                               "Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}",
                               "X-Repo-Commit": "abc123",
                               "ETag": f'"{server.etag or hashlib.sha256(body).hexdigest()}"'}.items():
                self.send_header(key, str(value))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[first:])

        do_GET = do_HEAD

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.files, server.asked, server.refuse, server.etag = {}, [], 0, ""
    server.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client of the hub tries for 20 s before it gives up
    threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


REPO = "DBD-research-group/Bird-MAE-Base"


def test_the_hub_is_asked_once(hub):
    hub.files[f"/{REPO}/resolve/main/model.safetensors"] = body = save(toy("birdmae"))
    _, card = public.load("birdmae")
    assert card.source == f"{REPO}@abc123" and card.sha256 == hashlib.sha256(body).hexdigest()
    assert [a[0] for a in hub.asked] == ["HEAD", "GET"]
    assert public.load("birdmae")[1] == card and len(hub.asked) == 2


def test_a_damaged_download_is_removed(hub, tmp_path):
    hub.files[f"/{REPO}/resolve/main/model.safetensors"] = save(toy("birdmae"))
    hub.etag = "0" * 64
    with pytest.raises(ValueError, match="Bird-MAE could not be fetched from the hub .*another sha256"):
        public.load("birdmae")
    hub.etag = ""
    assert public.load("birdmae")[1].source == f"{REPO}@abc123"


def test_a_file_under_its_other_name_and_the_hub_s_own_cache(hub, tmp_path):
    state = toy("audiomae")
    hub.files["/gaunernst/vit_base_patch16_1024_128.audiomae_as2m/resolve/main/model.safetensors"] = save(state)
    model, card = public.load("audiomae")
    assert card.source.endswith("audiomae_as2m@abc123")
    assert torch.equal(model.encoder.pos_embed, state["pos_embed"][:, :257])
    snapshot = tmp_path / "hf" / f"models--{REPO.replace('/', '--')}" / "snapshots/def456"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs/main").write_text("def456")
    save_file(toy("birdmae"), snapshot / "model.safetensors")
    asked = len(hub.asked)
    assert public.load("birdmae")[1].source == f"{REPO}@def456" and len(hub.asked) == asked


def test_a_release_s_zip(hub, tmp_path, monkeypatch):
    torch.save({"model": toy("msm_mae")}, tmp_path / "checkpoint-100.pth")
    with zipfile.ZipFile(tmp_path / "release.zip", "w") as archive:
        archive.write(tmp_path / "checkpoint-100.pth", "80x208p16x16_0422/checkpoint-100.pth")
    monkeypatch.setitem(public.PUBLIC, "msm_mae", public.PUBLIC["msm_mae"]._replace(place=f"{hub.url}/v0.0.1"))
    hub.files["/v0.0.1/80x208p16x16_0422.zip"] = (tmp_path / "release.zip").read_bytes()
    model, card = public.load("msm_mae")
    assert card.source == f"{hub.url}/v0.0.1/80x208p16x16_0422.zip" and model.arch.decoder_heads == 1
    assert public.load("msm_mae", tmp_path / "release.zip")[1].chirp == card.chirp


@pytest.mark.parametrize("status, reason",
                         [(401, "RepositoryNotFound"), (403, "GatedRepo"), (404, "EntryNotFound"),
                          (500, "HfHubHTTPError: .*500")])
def test_a_refusing_hub(hub, status, reason):
    hub.refuse = status
    match = rf"AudioMAE could not be fetched from the hub \(\w*{reason}.* pytorch_model.bin from https://.*its path"
    with pytest.raises(ValueError, match=match) as error:
        public.load("audiomae")
    assert "\n" not in str(error.value)


def test_no_network(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody listens
    with pytest.raises(ValueError, match=r"ImageNet .* could not be fetched from the hub \(.*check the connection"):
        public.load("imagenet")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="could not be fetched from the hub .*check the connection"):
        public.load("imagenet")
