"""Cards and files of weights as they come from outside: whatever they hold, one line says which file and field."""
import json
import os
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from toys import ARCH, FRONT
from wild import VALUES, mutations, one_line, write

from lib import checkpoints, mel, paths, training
from lib.checkpoints import Card
from lib.field import classifier
from lib.mae import MAE, Arch
from lib.transfer import finetune, public


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The weights and the cards, as JSON, of a MAE "toy" and of a classifier "heard"."""
    folder = tmp_path_factory.mktemp("kept")
    mae = checkpoints.save(MAE(ARCH, training.generator(0)), Card("toy", ARCH, FRONT, "", "", ""), folder)
    labels = ["a", "b", "c"]
    model = finetune.classifier(MAE(ARCH, training.generator(0)), ARCH, 3, training.generator(0)).eval()
    heard = classifier.save(model, Card("heard", ARCH, FRONT, "", "", "", labels=labels), folder)
    return {path: json.loads(path.with_suffix(".json").read_text()) for path in (mae, heard)}


@pytest.fixture(scope="module")
def asked(kept):
    """asked(card, which) -> the errors of all that reads such a card: of the MAE (0) or the classifier (1)."""
    def ask(card, which=0):
        path, errors = list(kept)[which], []
        write(path.with_suffix(".json"), card)
        for read in (checkpoints.described, [checkpoints.load, classifier.load][which]):
            try:
                read(path)
            except Exception as error:  # which kind is what is asked
                errors.append(error)
        write(path.with_suffix(".json"), kept[path])
        return errors
    return ask


GONE = object()


@pytest.mark.parametrize("place, value, said", [
    ("arch", None, "arch is None, it must be an object"), ("arch", [1], "arch is [1], it must be an object"),
    ("arch.dim", "32", "dim of arch is '32', it must be a whole number"), ("arch.dim", 0, "dim is 0"),
    ("arch.dim", 32.5, "dim of arch is 32.5"), ("arch.dim", True, "dim of arch is True"),
    ("arch.dim", 10**9, "arch of its card"), ("arch.depth", 10**9, "arch of its card a depth of 1000000000"),
    ("arch.decoder_depth", 10**9, "depth of 1000000000"), ("arch.heads", 0, "heads is 0"),
    ("arch.heads", -2, "heads is -2"), ("arch.decoder_dim", 4, "arch of its card"),
    ("arch.patch", [16], "patch of arch is [16], it must be two whole numbers"), ("arch.patch", [0, 16], "patch is (0"),
    ("arch.patch", 16, "patch of arch is 16"), ("arch.patch", [[16], 16], "patch of arch is [[16], 16]"),
    ("arch.frames", 2**40, "arch of its card"), ("arch.floor", float("nan"), "NaN is no number in JSON"),
    ("arch.floor", -1.0, "floor is -1.0"), ("arch.decoder", "linear", "decoder is"),
    ("front", GONE, "the card has no front"), ("front.rate", GONE, "front has no rate"),
    ("front.rate", "22050", "rate of front is '22050'"), ("front.mels", 0, "mels is 0, need 1 to 512"),
    ("front.n_fft", 10**9, "n_fft is 1000000000"), ("front.hop", 10**9, "hop is 1000000000"),
    ("front.frames", 10**9, "frames is 1000000000"), ("front.frames", 16_000, "front gives 16000 frames"),
    ("front.std", 0.0, "std is 0.0, need more than 0"), ("front.mean", 1e300, "mean of front is 1e+300"),
    ("front.high_hz", 90_000.0, "high_hz is 90000.0"), ("front.kind", "cqt", "kind is 'cqt'"),
    ("front.subtract", "mean", "subtract is 'mean'"), ("front.more", 1, "front has 'more', which no card has"),
    ("labels", "abc", "labels of the card is 'abc', it must be a list of texts"),
    ("labels", ["a", "a", "b"], "labels of the card hold one twice"), ("labels", ["a", "b", " "], "an empty one"),
    ("labels", ["a", 1, None], "labels of the card is ['a', 1, None]"), ("sha256", None, "sha256 of the card is None"),
    ("sha256", 7, "sha256 of the card is 7"), ("sha256", "ab", "sha256 of the card is 'ab'"),
    ("sha256", "0" * 64, "its card says 000000000000"), ("chirp", "x", "chirp of the card is 'x'"),
    ("chirp", [1.0, "x"], "chirp of the card is [1.0, 'x']"), ("name", 3, "name of the card is 3"),
    ("name", "a\nb", "name of the card is 'a\\nb'"), ("name", "", "name of the card is empty"),
    ("more", 1, "the card has 'more'")])
def test_a_card_is_refused_by_its_field(kept, asked, place, value, said):
    for which, (path, card) in enumerate(kept.items()):
        if which and place.startswith("arch.decoder_d"):
            continue  # a classifier has none
        *outer, last = place.split(".")
        card = json.loads(json.dumps(card))
        inner = card[outer[0]] if outer else card
        inner.pop(last) if value is GONE else inner.update({last: value})
        errors = asked(card, which)
        assert len(errors) == 2 and all(said in one_line(error, path.stem) for error in errors), errors


@pytest.mark.parametrize("numbers", [[], [0.1], [0.1] * 9])
def test_a_card_with_another_count_of_chirp_numbers_is_refused(kept, asked, numbers):
    for which, (path, card) in enumerate(kept.items()):
        error, = asked(card | {"chirp": numbers}, which)
        one_line(error, path.stem, "chirp")


@pytest.mark.parametrize("data, said", [
    (b"", "is not JSON"), (b"\xff\xfe{}", "its letters are not UTF-8"), (b"[1, 2]", "the card is [1, 2]"),
    (b"7", "is 7"), (b"{", "is not JSON"),
    (b"[" * 100_000, "is not JSON"), (b'{"name": "a", "name": "b"}', "'name' stands twice")])
def test_a_card_that_is_none_is_one_line(kept, data, said):
    path, card = next(iter(kept.items()))
    path.with_suffix(".json").write_bytes(data)
    with pytest.raises(ValueError) as error:
        checkpoints.load(path)
    write(path.with_suffix(".json"), card)
    assert said in one_line(error.value, "toy.json")


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_said_and_never_waited_for(kept, tmp_path, suffix, make):
    for path in list(kept)[0].parent.glob("toy.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / f"toy{suffix}").unlink()
    make(tmp_path / f"toy{suffix}")
    for read in (checkpoints.described, checkpoints.load, classifier.load):
        with pytest.raises(ValueError) as error:
            read(tmp_path / "toy.safetensors")
        one_line(error.value, f"toy{suffix} is missing")


def test_weights_that_are_not_those_of_the_arch_are_refused_before_a_model_is_made(kept, tmp_path, monkeypatch):
    path, card = next(iter(kept.items()))
    state = load_file(path)
    for change, said in [({"encoder.blocks.0.mlp.fc1.weight": torch.zeros(7, 32)}, "fc1.weight, (7, 32) instead of"),
                         ({"more": torch.zeros(1)}, "more, (1,) instead of none"),
                         ({"encoder.cls_token": None}, "encoder.cls_token, missing instead of (1, 1, 32)")]:
        save_file({k: v for k, v in (state | change).items() if v is not None}, tmp_path / "toy.safetensors")
        write(tmp_path / "toy.json", card | {"sha256": paths.sha256(tmp_path / "toy.safetensors")})
        with monkeypatch.context() as patch, pytest.raises(ValueError) as error:
            patch.setattr(checkpoints, "read", lambda file: pytest.fail("the weights were loaded"))
            checkpoints.load(tmp_path / "toy.safetensors")
        assert said in one_line(error.value, "toy.safetensors")


def test_a_classifier_whose_head_is_of_another_shape_is_refused(kept, tmp_path):
    path, card = list(kept.items())[1]
    state = load_file(path)
    for change in ({"head.weight": torch.zeros(3)}, {"head.weight": torch.zeros(3, 5)}, {"head.bias": torch.zeros(9)}):
        save_file(state | change, tmp_path / "heard.safetensors")
        write(tmp_path / "heard.json", card | {"sha256": paths.sha256(tmp_path / "heard.safetensors")})
        with pytest.raises(ValueError) as error:
            classifier.load(tmp_path / "heard.safetensors")
        one_line(error.value, "heard.safetensors", *change)


@given(st.data())
def test_whatever_a_card_holds_it_is_read_or_refused_in_one_line(kept, asked, data):
    which = data.draw(st.integers(0, 1))
    path, card = list(kept.items())[which]
    for error in asked(data.draw(mutations(card) | VALUES), which):
        one_line(error, path.stem)


# ----------------------------------------------------------------------------------------------------- front end, arch

def test_a_front_end_without_a_number_is_refused_wherever_it_is_made():
    for change, said in [({"mels": 0}, "mels is 0"), ({"low_hz": 12_000.0}, "low_hz is 12000.0"),
                         ({"window": 40_960}, "window is 40960, need 1 to 32,768"),
                         ({"divisor": float("nan")}, "divisor is nan"),
                         ({"hop": 4_000, "frames": 16_000, "window": 4_096, "n_fft": 8_192}, "samples in all")]:
        with pytest.raises(ValueError, match=said):
            replace(mel.INAT, **change)
    with pytest.raises(ValueError, match="frames is 1, need 400 to"):
        replace(mel.MSM_MAE, frames=1)  # centred frames: one alone stands on no sample
    for name in ("dim", "depth", "decoder_heads", "frames"):
        with pytest.raises(ValueError, match=f"{name} is 0: it must be 1 or more"):
            replace(ARCH, **{name: 0})


# --------------------------------------------------------------------------------------------------------- state dicts

NAN, INF = torch.tensor([1.0, float("nan")]), torch.tensor([float("inf")])


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("held, said", [
    ({"a.weight": NAN}, "'a.weight' holds NaN or infinite weights"), ({"a": INF.half()}, "'a' holds NaN"),
    ({"a": torch.tensor([1e300], dtype=torch.float64)}, "'a' holds NaN or infinite"),
    ({"a": torch.arange(3)}, "'a' holds torch.int64 and no weights"),
    ({"a": torch.ones(2).bool()}, "'a' holds torch.bool"),
    ({"a": torch.ones(2, dtype=torch.complex64)}, "'a' holds torch.complex64"),
    ({"a": torch.zeros(()).expand(10**6, 10**6)}, "'a' has a shape of (1000000, 1000000)"),
    ({"a": torch.eye(3).to_sparse()}, "'a' is no plain tensor"),
    ({"a": torch.empty(3, device="meta")}, "'a' is no plain tensor"),
    ({"a": torch.ones(1), "b": 3}, "since 'b' is 3"), ({"a": {"b": torch.ones(1)}}, "since 'a' is"),
    ({1: torch.ones(1)}, "since 1 is"), ({}, "no state dict but {}"), ([1], "no state dict but [1]"),
    (torch.ones(2), "no state dict but tensor"), ({"model": {}}, "no state dict but {}"),
    ({"model": [1], "epoch": 3}, "since 'model' is [1]"), ({"state_dict": 7}, "since 'state_dict' is 7")])
def test_what_is_no_weight_is_named(tmp_path, held, said):
    torch.save(held, tmp_path / "some.pth")
    with pytest.raises(ValueError) as error:
        checkpoints.read(tmp_path / "some.pth")
    assert said in one_line(error.value, "some.pth")


def test_safetensors_are_looked_at_in_the_same_way(tmp_path):
    save_file({"a": NAN}, tmp_path / "some.safetensors")
    with pytest.raises(ValueError, match="some.safetensors: 'a' holds NaN"):
        checkpoints.read(tmp_path / "some.safetensors")


def test_counts_of_batch_norm_are_whole_numbers_and_stay(tmp_path):
    torch.save(torch.nn.BatchNorm1d(3).state_dict(), tmp_path / "some.pth")
    assert checkpoints.read(tmp_path / "some.pth")["num_batches_tracked"] == 0


def test_a_wrapper_s_prefix_is_taken_off_and_said(tmp_path, capsys):
    for prefix in ("module.", "model.", "_orig_mod.", "module._orig_mod."):
        torch.save({"state_dict": {f"{prefix}a": torch.ones(1), f"{prefix}b.c": torch.ones(2)}}, tmp_path / "some.pth")
        assert set(checkpoints.read(tmp_path / "some.pth")) == {"a", "b.c"}
        assert capsys.readouterr().out == f"some.pth: all its names begin with {prefix}, which was taken off\n"
    mixed = {"module.a": torch.ones(1), "b": torch.ones(1)}
    torch.save(mixed, tmp_path / "some.pth")
    assert set(checkpoints.read(tmp_path / "some.pth")) == set(mixed) and not capsys.readouterr().out


def test_a_tensor_called_model_is_a_tensor(tmp_path):
    torch.save({"model": torch.ones(2), "b": torch.ones(1)}, tmp_path / "some.pth")
    assert set(checkpoints.read(tmp_path / "some.pth")) == {"model", "b"}


HEADERS = [b"", b"\x00" * 7, (2**62).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"{}",
           (10).to_bytes(8, "little") + b"{", (4).to_bytes(8, "little") + b"null"]
HEADERS += [len(text).to_bytes(8, "little") + text + b"\x00" * 8 for text in (
    b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,8]}}',
    b'{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}', b'{"a":{"dtype":"X","shape":[2],"data_offsets":[0,8]}}',
    b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,99]}}', b'{"a":{"dtype":"F32","shape":[2]}}', b'[1]')]


@pytest.mark.parametrize("data", HEADERS)
def test_a_safetensors_header_that_lies_is_one_line(tmp_path, kept, data):
    (tmp_path / "toy.safetensors").write_bytes(data)
    write(tmp_path / "toy.json", next(iter(kept.values())) | {"sha256": paths.sha256(tmp_path / "toy.safetensors")})
    for read in (checkpoints.read, checkpoints.load):
        with pytest.raises(ValueError) as error:
            read(tmp_path / "toy.safetensors")
        one_line(error.value, "toy.safetensors")


@given(st.data())
def test_a_file_of_weights_with_other_bytes_is_read_or_refused_in_one_line(kept, tmp_path_factory, data):
    kind = data.draw(st.sampled_from([".safetensors", ".pth", ".old.pth"]))
    file = tmp_path_factory.getbasetemp() / f"bytes{kind}"
    state = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(2)}
    if kind == ".safetensors":
        save_file(state, file)
    else:
        torch.save(state, file, _use_new_zipfile_serialization=kind == ".pth")
    bytes_ = np.frombuffer(file.read_bytes(), np.uint8).copy()
    for _ in range(data.draw(st.integers(1, 4))):
        bytes_[data.draw(st.integers(0, len(bytes_) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(bytes_[: data.draw(st.integers(0, len(bytes_)) | st.just(len(bytes_)))].tobytes())
    try:
        checkpoints.read(file)
    except Exception as error:  # which kind is what is asked
        one_line(error, file.name)


# ------------------------------------------------------------------------------------------------------ public weights

PLAIN = {k.removeprefix("encoder."): v for k, v in MAE(replace(
    ARCH, frames=1024, mels=128), training.generator(0)).state_dict().items()}


@given(st.data())
def test_public_weights_of_any_shapes_are_read_or_refused_in_one_line(tmp_path_factory, data):
    state = dict(PLAIN)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(state)))
        kind = data.draw(st.sampled_from(["leave out", "shape", "rename"]))
        x = state.pop(name)
        if kind == "shape":
            x = torch.zeros(data.draw(st.lists(st.sampled_from([0, 1, 2, 5, 16, 32, 500]), max_size=3)))
        if kind != "leave out":
            more = ["blocks.999999999.norm1.weight", "blocks.x", "blocks.0.attn.q_bias", "decoder_blocks.0.attn.tau"]
            state[name if kind == "shape" else data.draw(st.sampled_from(more))] = x
        if not state:
            return
    file = tmp_path_factory.getbasetemp() / "public.safetensors"
    save_file({k: v.contiguous() for k, v in state.items()}, file)
    with pytest.MonkeyPatch.context() as patch:  # a fresh decoder of one narrow block is quicker to make
        patch.setattr(public, "Arch", partial(Arch, decoder_dim=32, decoder_depth=1, decoder_heads=1))
        try:
            public.load(data.draw(st.sampled_from(["audiomae", "msm_mae", "imagenet"])), file)
        except Exception as error:  # which kind is what is asked
            one_line(error, "public.safetensors")
