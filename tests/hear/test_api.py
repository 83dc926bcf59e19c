"""The HEAR interface: the public runtime's features, HEAR's contract, an answer or one line to what comes in."""

import argparse
import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import ARCH, FRONT

from lib import checkpoints, mel, training
from lib.hear import api
from lib.mae import MAE, Arch
from lib.transfer import probe, public, reference

MSM = Arch(frames=208, mels=80, dim=48, depth=1, heads=3, decoder="plain", decoder_dim=16, decoder_depth=1,
           decoder_heads=1, norm_pixels=False)
TIMES = replace(MSM, frames=200, patch=(4, 16), dim=16, heads=2, norm_pixels=True)


def embedder(arch=MSM, front=mel.MSM_MAE):
    return api.Embedder(MAE(arch, training.generator(0)), replace(front, frames=arch.frames, mels=arch.mels))


@pytest.fixture(scope="module")
def model():
    return embedder()


def noise(clips, seconds, rate=16_000, seed=0):
    return torch.rand(clips, round(seconds * rate), generator=training.generator(seed)) * 2 - 1


# --------------------------------------------------------------------------------------------------------------- parity

@pytest.fixture
def published(golden):
    """The public model's tensors, its card, and its weights in our MAE."""
    stored, card = golden("msm_mae")
    weights = {k.removeprefix("weights."): v for k, v in stored.items() if k.startswith("weights.")}
    model = public.convert(weights, "msm_mae", grid=(13, 5), heads=3, decoder_heads=3)
    return stored, card["tolerance"]["default"], model


def test_columns_are_the_public_features(published):
    stored, tolerance, model = published
    with torch.no_grad():
        one = api.columns(model, stored["input"].transpose(2, 3), 0.0)
        long = api.columns(model, stored["long"].transpose(2, 3), 0.0)  # 450 frames in windows of 208, filled up with 0
    assert torch.allclose(one, stored["frame_features"], atol=tolerance, rtol=0)
    assert long.shape == (1, 29, 240) and torch.allclose(long, stored["encoded_long"], atol=tolerance, rtol=0)


def test_what_it_hears_is_the_public_front_end(golden):
    stored, card = golden("msm_mae_mel")
    x = embedder().spec(stored["wave"][None], 0, 208)[0, 0]  # (201, 80)
    assert (mel.unnormalise(x, mel.MSM_MAE).T - stored["log_mel"]).abs().max() <= card["tolerance"]["default"]


def test_a_scene_of_whole_columns_is_the_probe_s_frequency_feature(model):
    wave = noise(2, 3.325)  # 333 frames: 20 columns of sound and 13 frames, whose middle is still within it
    features, _ = api.get_timestamp_embeddings(wave, model)
    with torch.no_grad():
        tokens = model.model.encode(mel.LogMel(mel.MSM_MAE)(wave, frames=416).reshape(4, 1, 208, 80))
    tokens = torch.cat([tokens[::2], tokens[1::2, 1:]], 1)  # (B, 1 + 26 * 5, D)
    by_probe = probe.pooled(tokens, probe.Grid(26, 5), torch.tensor([21, 21]))["frequency"]
    assert features.shape == (2, 21, 240)
    assert torch.allclose(api.get_scene_embeddings(wave, model), by_probe, atol=1e-5)


# ------------------------------------------------------------------------------------------------------------- contract

FRONTS = {"msm": (MSM, mel.MSM_MAE), "16x4": (TIMES, mel.MSM_MAE), "inat": (replace(ARCH, mels=32), FRONT),
          "birdmae": (replace(ARCH, mels=128), mel.BIRDMAE), "audiomae": (replace(ARCH, mels=128), mel.AUDIOMAE)}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A function that saves an untrained model of a front end, and returns the path that HEAR's tools are given."""
    def save(name):
        arch, front = FRONTS[name]
        front = replace(front, frames=arch.frames, mels=arch.mels)
        card = checkpoints.Card(name, arch, front, "nothing", "MIT", "a test")
        return str(checkpoints.save(MAE(arch, training.generator(0)), card, tmp_path_factory.mktemp(name)))
    return save


@pytest.mark.parametrize("name", ["", *FRONTS])
def test_the_contract_that_hearvalidator_checks(name, checkpoint):
    """The calls of hearvalidator/validate.py: the package by its name, a model by its path, sounds of these lengths."""
    module = importlib.import_module("lib.hear")
    model = module.load_model(checkpoint(name) if name else "")
    assert isinstance(model.to("cpu"), torch.nn.Module) and model.sample_rate in api.RATES
    sizes = model.sample_rate, model.scene_embedding_size, model.timestamp_embedding_size
    assert all(isinstance(size, int) for size in sizes)
    for seconds in (1.07, 1.98, 4.0):
        audio = torch.rand(2, int(seconds * model.sample_rate)) * 2 - 1
        embeddings, timestamps = module.get_timestamp_embeddings(audio, model)
        assert embeddings.dtype == torch.float32 and timestamps.ndim == 2 and len(timestamps) == 2
        assert embeddings.shape == (*timestamps.shape, model.timestamp_embedding_size)
        steps = np.diff(timestamps.numpy())  # ms
        assert np.abs(steps - steps.mean()).max() < 1 and 0 <= timestamps.min() <= steps.mean()
        assert 1000 * seconds - steps.mean() <= timestamps.max() <= 1000 * seconds
    scene = module.get_scene_embeddings(torch.rand(4, int(2.74 * model.sample_rate)) * 2 - 1, model)
    assert scene.dtype == torch.float32 and scene.shape == (4, model.scene_embedding_size) and scene.isfinite().all()


@pytest.mark.parametrize("front", FRONTS)
def test_times_are_where_the_sound_is(front):
    """A click at the time of a column is heard in that column's frames more than in any other's."""
    model = embedder(*FRONTS[front])
    need, rate = model.front.samples, model.sample_rate
    times = model.times(need)

    def columns(wave):
        return model.spec(wave, 0, model.front.frames)[0, 0].unflatten(0, (-1, model.model.arch.patch[0]))  # (t, pt, M)

    for column in (0, len(times) // 2, len(times) - 1):
        wave = torch.zeros(1, need)
        wave[0, round(float(times[column]) / 1000 * rate)] = 0.5
        loud = (columns(wave) - columns(torch.zeros(1, need))).abs().sum((1, 2))  # (t,)
        assert int(loud.argmax()) == column


def test_batch_mates_do_not_matter(model):
    wave = torch.cat([noise(1, 2.5), 0.001 * noise(1, 2.5, seed=1), torch.zeros(1, 40_000)])
    together, _ = api.get_timestamp_embeddings(wave, model)
    for i in range(3):
        assert torch.allclose(api.get_timestamp_embeddings(wave[i : i + 1], model)[0][0], together[i], atol=1e-5)
    spec = mel.LogMel(mel.MSM_MAE)(wave, normalise=False)  # the public runtime's way: mean and std of the batch
    with torch.no_grad():
        theirs = [api.columns(model.model, (x - x.mean()) / x.std(), 0.0)[0] for x in (spec, spec[:1])]
    assert (theirs[0] - theirs[1]).abs().max() > 0.1


def test_a_repeat_is_the_same_and_the_model_stays_as_it_was(model):
    before = {k: v.clone() for k, v in model.state_dict().items()}
    a, b = (api.get_scene_embeddings(noise(2, 1.0), model) for _ in range(2))
    assert torch.equal(a, b) and not a.requires_grad
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not torch.allclose(a, api.get_scene_embeddings(noise(2, 1.0, seed=1), model), atol=1e-3)


# ------------------------------------------------------------------------------------------------------------ odd input

@pytest.mark.parametrize("front", FRONTS)
def test_a_long_sound_in_passes_is_the_same_as_in_one(front, monkeypatch):
    model = embedder(*FRONTS[front])
    wave = noise(2, 9.7, model.sample_rate)
    whole, _ = api.get_timestamp_embeddings(wave, model)
    monkeypatch.setattr(api, "PASS", 2)  # one segment of both clips at a time
    pieces, _ = api.get_timestamp_embeddings(wave, model)
    assert torch.allclose(whole, pieces, atol=1e-4)
    full = mel.LogMel(model.front)(wave)
    T = model.front.frames
    for first in range(0, full.shape[2] - T, T):
        assert torch.allclose(model.spec(wave, first, T), full[:, :, first : first + T], atol=1e-4)


def test_ten_minutes(model):
    features, times = api.get_timestamp_embeddings(noise(1, 600.0), model)
    assert features.shape == (1, 3750, 240) and features.isfinite().all()
    assert 599_800 < times[0, -1] <= 600_000 and (times.diff() - 160).abs().max() < 1


@pytest.mark.parametrize("samples", [1, 100, 399, 400, 800, 1199, 1200, 1201])
def test_very_short_sounds_have_one_column(model, samples):
    features, times = api.get_timestamp_embeddings(noise(2, samples / 16_000), model)
    assert features.shape == (2, 1, 240) and features.isfinite().all()
    middle = 75.0 if samples >= 1200 else samples / 32  # ms, of 16 frames of 10 ms, or of the sound
    assert times.tolist() == [[middle]] * 2


def test_silence_and_no_clips(model):
    silent = api.get_scene_embeddings(torch.zeros(2, 32_000), model)
    assert silent.isfinite().all() and torch.allclose(silent[0], silent[1], atol=1e-6)
    features, times = api.get_timestamp_embeddings(torch.zeros(0, 32_000), model)
    assert features.shape == (0, 13, 240) and times.shape == (0, 13)
    assert api.get_scene_embeddings(torch.zeros(0, 32_000), model).shape == (0, 240)


def test_a_segment_too_many_is_not_encoded(model, monkeypatch):
    """2.08 s have 209 centred frames: the last one is no reason for a second segment."""
    encoded, real = [], MAE.encode
    monkeypatch.setattr(MAE, "encode", lambda self, spec, *a: encoded.append(len(spec)) or real(self, spec, *a))
    assert api.get_timestamp_embeddings(noise(3, 2.08), model)[0].shape[1] == 13 and encoded == [3]


@pytest.mark.parametrize("wave, message", [
    (torch.full((2, 900), float("nan")), "2 of 2 waves hold NaN or infinite samples, the first is number 0"),
    (torch.tensor([[0.0] * 900, [0.0] * 899 + [float("inf")]]), "1 of 2 waves hold NaN .* number 1"),
    (torch.zeros(2, 2, 900), r"got \(2, 2, 900\) torch.float32.*stereo .* audio.mean\(1\)"),
    (torch.zeros(900), r"got \(900,\) .*one wave is wave\[None\]"),
    (torch.zeros(2, 900, dtype=torch.int16), "torch.int16.*16-bit samples come into range by audio / 32768"),
    (torch.zeros(2, 0), r"at least one sample, got \(2, 0\)"),
    (np.zeros((2, 900)), "float tensor .* float64")], ids=["nan", "inf", "stereo", "one", "int16", "empty", "numpy"])
def test_what_cannot_be_embedded_is_refused_in_one_line(model, wave, message):
    for ask in (api.get_timestamp_embeddings, api.get_scene_embeddings):
        with pytest.raises(ValueError, match=message) as error:
            ask(wave, model)
        assert "\n" not in str(error.value)


def test_rates_that_hear_does_not_have():
    with pytest.raises(ValueError, match="hears 8,000 Hz; HEAR's sounds come at 16,000"):
        embedder(front=replace(mel.MSM_MAE, rate=8_000, high_hz=4_000))
    with pytest.raises(ValueError, match="wants 16,000 Hz, this wave is 8,000 Hz"):
        mel.check_rate(embedder().front, 8_000)
    with pytest.raises(ValueError, match="gives 96 frames x 80 mels, the model takes 208 x 80"):
        api.Embedder(MAE(MSM), replace(mel.MSM_MAE, frames=96))


# --------------------------------------------------------------------------------------------------------------- models

def test_no_path_is_an_untrained_model():
    a, b = api.load_model(), api.load_model("")
    assert (a.sample_rate, a.scene_embedding_size, a.timestamp_embedding_size) == (16_000, 5 * 128, 5 * 128)
    assert torch.equal(a.model.encoder.blocks[0].mlp.fc1.weight, b.model.encoder.blocks[0].mlp.fc1.weight)


def test_a_checkpoint_of_ours_by_its_path(model, tmp_path):
    card = checkpoints.Card("some", MSM, mel.MSM_MAE, "nothing", "MIT", "a test")
    loaded = api.load_model(str(checkpoints.save(model.model, card, tmp_path)))
    assert torch.equal(api.get_scene_embeddings(noise(1, 1.0), loaded), api.get_scene_embeddings(noise(1, 1.0), model))
    with pytest.raises(ValueError, match="nothing.safetensors: nothing.json is missing|nothing.json is missing"):
        api.load_model(str(tmp_path / "nothing.safetensors"))


def test_public_weights_from_a_file(golden, tmp_path, capsys):
    weights = {k.removeprefix("weights."): v for k, v in golden("msm_mae")[0].items() if k.startswith("weights.")}
    torch.save({"model": weights, "args": argparse.Namespace(lr=1)}, tmp_path / "checkpoint-100.pth")
    model = api.load_model(f"msm_mae:{tmp_path / 'checkpoint-100.pth'}")
    assert model.sample_rate == 16_000 and model.scene_embedding_size == 240


def test_a_model_of_one_vector_a_window_speaks_at_every_half_second():
    loudest = lambda waves: waves.abs().amax(1, keepdim=True)  # noqa: E731
    ear = api.Windowed(reference.Frozen("peak", "", 16_000, 32_000, 1, "key", loudest))
    wave = torch.zeros(2, 5 * 16_000)
    wave[0, 4 * 16_000] = 1.0
    said, when = api.get_timestamp_embeddings(wave, ear)
    assert said.shape == (2, 10, 1) and when[0].tolist() == [250 + 500 * i for i in range(10)]
    assert said[0, :, 0].tolist() == [abs(250 + 500 * i - 4000) <= 1000 for i in range(10)] and not said[1].any()
    assert api.get_scene_embeddings(wave, ear)[0].item() == pytest.approx(0.4)
    short, when = api.get_timestamp_embeddings(0.5 * torch.ones(1, 1600), ear)
    assert short.tolist() == [[[0.5]]] and when.tolist() == [[50]]
