"""The front ends against numpy, torchaudio and the public implementations; batches, padding, the way back to sound."""
import json
import warnings
from dataclasses import replace

import librosa
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lib import mel, paths

GOLDEN = paths.ROOT.parent / "shared" / "golden"
ALL = [mel.INAT, mel.AUDIOMAE, mel.BIRDMAE, mel.MSM_MAE]
each = pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.name)
golden = pytest.mark.skipif(not GOLDEN.exists(), reason="no golden data beside the repository")


def noise(*shape, seed=0, level=0.01):
    return level * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def chirp(spec, seconds=3.0, level=0.05):
    """A tone that glides from 1 to 4 kHz, over faint noise."""
    t = torch.arange(round(seconds * spec.rate)) / spec.rate
    return level * torch.sin(2 * torch.pi * (1000 * t + 500 * t ** 2)) + noise(len(t), level=level / 1000)


def fixture(name):
    """Tensors of a golden file (waves as float in [-1, 1]) and its tolerances."""
    card = json.loads((GOLDEN / f"{name}.json").read_text())
    tensors = {k: v.float() / 32_768 if v.dtype == torch.int16 else v
               for k, v in load_file(GOLDEN / f"{name}.safetensors").items()}
    return tensors, lambda key: card["tolerance"].get(key, card["tolerance"]["default"])


def by_hand(x):
    """INAT in numpy: (N,) -> (T, 128) dB, after the public generator of iNatSounds' spectrograms."""
    frames = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64) * 32_768, 512)[::128]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    magnitude = np.abs(np.fft.rfft(frames * hann, 1024)) * 2 / hann.sum()
    to_mel = lambda hz: 1127 * np.log(1 + hz / 700)                                       # noqa: E731
    at, edge = to_mel(np.arange(513) * 22_050 / 1024), np.linspace(to_mel(50), to_mel(11_025), 130)
    bank = np.zeros((513, 128))
    for m in range(128):
        rise, fall = (at - edge[m]) / (edge[m + 1] - edge[m]), (edge[m + 2] - at) / (edge[m + 2] - edge[m + 1])
        bank[:, m] = np.maximum(0, np.minimum(rise, fall))
    return np.clip(20 * np.log10(np.maximum(1e-10, magnitude @ bank)), -50, 50)


def test_inat_equals_numpy():
    wave = torch.cat([chirp(mel.INAT, 1.0), noise(22_050), torch.zeros(22_050)])
    ours = mel.LogMel(mel.INAT)(wave[None], normalise=False)[0, 0]
    theirs = by_hand(wave.numpy())
    assert ours.shape == theirs.shape == (1 + (len(wave) - 512) // 128, 128)
    away = np.abs(ours.numpy() - theirs)                                                   # dB, float32 against 64
    assert away.max() < 0.1 and away[theirs > -30].max() < 0.01 and (ours[-1] == -50).all()
    image = (theirs + 50) * 255 / 100                                                      # the generator's 0 ... 255
    expected = (image / 255 - 0.6569) / 0.1786                                             # the classifier's input
    assert np.abs(mel.LogMel(mel.INAT)(wave[None])[0, 0].numpy() - expected).max() < 0.1 / 17


def test_inat_is_not_plain_stft():
    """Framing over the 1,024-point FFT loses the last two positions of the 512-sample window on either side."""
    wave = noise(1, mel.INAT.samples)
    plain = torch.stft(wave, 1024, 128, 512, torch.hann_window(512), center=False, return_complex=True)
    assert mel.LogMel(mel.INAT)(wave).shape == (1, 1, 512, 128) and plain.shape[-1] == 508


def test_filters_without_a_bin():
    empty = {n: int((mel.filters(replace(mel.INAT, n_fft=n)).sum(dim=0) == 0).sum()) for n in (512, 1024)}
    assert empty == {512: 2, 1024: 0}
    short = replace(mel.INAT, name="inat-512", n_fft=512)
    with pytest.warns(UserWarning, match="2 of 128 mel filters of inat-512 catch no bin of the 512-point FFT"):
        mel.LogMel(short)
    with warnings.catch_warnings():
        warnings.simplefilter("error")                              # said once; and the known ones need no warning
        for spec in [short, *ALL]:
            mel.LogMel(spec)
    assert int((mel.filters(mel.AUDIOMAE).sum(dim=0) == 0).nonzero()[0]) == 3


@pytest.mark.parametrize("spec", [mel.AUDIOMAE, mel.BIRDMAE], ids=lambda spec: spec.name)
@pytest.mark.parametrize("seconds", [0.2, 1.0, 3.3])
def test_kaldi_equals_torchaudio(torchaudio, spec, seconds):
    wave = torch.cat([chirp(spec, seconds), torch.zeros(spec.rate // 10)])[None] + 0.03    # with a constant in it
    theirs = torchaudio.compliance.kaldi.fbank(wave - wave.mean(), htk_compat=True, sample_frequency=spec.rate,
                                               use_energy=False, window_type="hanning", num_mel_bins=128, dither=0.0,
                                               frame_shift=10)
    ours = mel.LogMel(spec)(wave, normalise=False)[0, 0]
    assert ours.shape == theirs.shape
    loud = theirs > -12                                             # at the floor, rounding of the constant decides
    torch.testing.assert_close(ours[loud], theirs[loud], atol=2e-3, rtol=0)
    assert (ours[~loud] < -10).all()


@pytest.mark.parametrize("rate, n_fft, mels, low, high", [(16_000, 400, 80, 50, 8_000), (48_000, 512, 40, 20, 900),
                                                          (22_050, 1024, 128, 0, 11_025), (32_000, 2048, 64, 99, 9e3)])
@pytest.mark.filterwarnings("ignore:At least one mel filterbank")
def test_slaney_s_filters_are_torchaudio_s_to_the_bit(torchaudio, rate, n_fft, mels, low, high):
    front = replace(mel.MSM_MAE, rate=rate, n_fft=n_fft, mels=mels, low_hz=low, high_hz=high)
    theirs = torchaudio.functional.melscale_fbanks(n_fft // 2 + 1, low, high, mels, rate, "slaney", "slaney")
    assert torch.equal(mel.filters(front), theirs)


def test_slaney_s_filters_are_librosa_s():
    theirs = torch.from_numpy(librosa.filters.mel(sr=16_000, n_fft=400, n_mels=80, fmin=50, fmax=8_000)).T
    torch.testing.assert_close(mel.filters(mel.MSM_MAE), theirs, atol=1e-6, rtol=0)


def test_msm_equals_torchaudio(torchaudio):
    spec, wave = mel.MSM_MAE, noise(1, 16_000)
    power = torchaudio.transforms.MelSpectrogram(16_000, 400, 400, 160, 50, 8_000, n_mels=80, norm="slaney",
                                                 mel_scale="slaney")(wave)
    ours = mel.LogMel(spec)(wave, normalise=False)[0, 0]
    torch.testing.assert_close(ours, (power[0].T + torch.finfo(torch.float32).eps).log(), atol=2e-3, rtol=0)


@golden
@pytest.mark.parametrize("clip", ["5s", "11s"])
def test_golden_audiomae(clip):
    stored, tolerance = fixture("audiomae_fbank")
    wave = stored[f"wave_{clip}"]
    spec = replace(mel.AUDIOMAE, pad=0.0)                           # what the original pads with, before normalising
    x = mel.LogMel(spec)((wave - wave.mean())[None], frames=1024)[0, 0]
    assert spec.count(len(wave)) == stored[f"num_frames_{clip}"]
    assert (x[stored["frame_rows"]] - stored[f"features_{clip}"]).abs().max() <= tolerance(f"features_{clip}")
    assert (x.mean(dim=1) - stored[f"frame_mean_{clip}"]).abs().max() <= tolerance(f"frame_mean_{clip}")


@golden
@pytest.mark.parametrize("clip", ["a", "b"])
def test_golden_birdmae(clip):
    stored, tolerance = fixture("birdmae_fbank")
    wave = torch.nn.functional.pad(stored[f"wave_{clip}"], (0, 160_000 - len(stored[f"wave_{clip}"])))   # to 5 s
    wave = (wave - wave.mean())[None]
    lowest = mel.LogMel(mel.BIRDMAE)(wave).min().item()  # what theirs pads with: the batch's minimum
    pad = stored[f"pad_value_{clip}"].item()
    assert abs(lowest - pad) <= 1e-4  # a sum of rounding errors: 5e-5 apart on two processors
    x = mel.LogMel(replace(mel.BIRDMAE, pad=mel.unnormalise(pad, mel.BIRDMAE)))(wave, frames=512)[0, 0]
    assert (x[stored["frame_rows"]] - stored[f"features_{clip}"]).abs().max() <= tolerance(f"features_{clip}")
    assert (x.mean(dim=1) - stored[f"frame_mean_{clip}"]).abs().max() <= tolerance(f"frame_mean_{clip}")


@golden
def test_golden_msm_mae():
    stored, tolerance = fixture("msm_mae_mel")
    x = mel.LogMel(mel.MSM_MAE)(stored["wave"][None], normalise=False)[0, 0]
    assert (x.T - stored["log_mel"]).abs().max() <= tolerance("log_mel")
    assert (mel.filters(mel.MSM_MAE).T - stored["mel_basis"]).abs().max() <= tolerance("mel_basis")
    assert abs(x.mean() - stored["mean"]) <= tolerance("mean") and abs(x.std() - stored["std"]) <= tolerance("std")


@each
def test_samples_are_just_enough(spec):
    assert spec.count(spec.samples) == spec.frames and spec.count(spec.samples - 1) == spec.frames - 1
    assert mel.LogMel(spec)(noise(1, spec.samples)).shape == (1, 1, spec.frames, spec.mels)


def test_three_seconds_at_inat():
    assert mel.INAT.samples == 65_920 and mel.INAT.count(3 * 22_050) == 513
    assert mel.INAT.seconds == pytest.approx(2.990, abs=5e-4) and 256 * mel.INAT.hop_s == pytest.approx(1.486, abs=5e-4)


@each
@pytest.mark.parametrize("share", [1.0, 0.73, 0.31, 0.001])
def test_a_clip_alone_equals_the_clip_in_a_batch(spec, share):
    n = round(share * spec.rate)
    wave = noise(3, spec.rate) + 0.01
    front, lengths = mel.LogMel(spec), torch.tensor([n, spec.rate, spec.rate // 2])
    together, alone = front(wave, lengths), front(wave[:1, :n])
    torch.testing.assert_close(together[:1], front.fit(alone, together.shape[2]), atol=1e-4, rtol=0)
    assert torch.equal(together[0, 0, spec.count(n):],
                       torch.full_like(together[0, 0, spec.count(n):], mel.normalise(spec.pad, spec)))
    torch.testing.assert_close(front(wave, frames=spec.frames), front.fit(front(wave)))


@each
def test_chunks_do_not_show(spec, monkeypatch):
    wave = noise(5, spec.rate)
    whole = mel.LogMel(spec)(wave)
    monkeypatch.setattr(mel, "CHUNK", 37)
    torch.testing.assert_close(mel.LogMel(spec)(wave), whole, atol=1e-4, rtol=0)


@each
def test_degenerate_waves(spec):
    front, pad = mel.LogMel(spec), mel.normalise(spec.pad, spec)
    for samples in (0, 1, spec.window - 1):
        x = front(torch.zeros(2, samples), frames=spec.frames)
        assert x.shape == (2, 1, spec.frames, spec.mels) and torch.allclose(x, torch.tensor(pad))
    assert front(torch.zeros(2, 10)).shape == (2, 1, 1, spec.mels) and front(torch.zeros(0, 9_000)).shape[0] == 0
    silence = front(torch.zeros(1, spec.rate))                      # silence of the file = silence of the padding
    assert torch.allclose(silence, torch.tensor(pad), atol=1e-4)


def test_zero_before_normalising_is_louder_than_silence():
    assert mel.normalise(0.0, mel.AUDIOMAE) == pytest.approx(0.467, abs=5e-4)              # what AudioMAE pads with
    assert mel.normalise(mel.AUDIOMAE.pad, mel.AUDIOMAE) == pytest.approx(-1.28, abs=5e-3)
    assert mel.normalise(mel.BIRDMAE.pad, mel.BIRDMAE) == pytest.approx(-0.98673, abs=1e-5)
    for spec in ALL:
        assert mel.normalise(spec.pad, spec) < mel.normalise(0.0, spec)
        assert mel.unnormalise(mel.normalise(3.0, spec), spec) == pytest.approx(3.0)


@each
def test_each_band_lies_above_its_own_median(spec):
    front = mel.above_median(spec)
    wave = torch.stack([chirp(spec), noise(3 * spec.rate)])
    plain, out = mel.LogMel(spec)(wave), mel.LogMel(front)(wave)
    assert torch.equal(out.transpose(2, 3).median(-1).values, torch.zeros(2, 1, spec.mels))
    steady = out - plain  # what was taken off is one number a band
    torch.testing.assert_close(steady, steady[:, :, :1].expand_as(steady), rtol=0, atol=1e-5)
    raw = mel.LogMel(front)(wave, normalise=False)
    torch.testing.assert_close(mel.unnormalise(out, front), raw, rtol=0, atol=1e-3)


@each
def test_neither_neighbours_nor_padding_enter_a_median(spec):
    log_mel = mel.LogMel(mel.above_median(spec))
    waves = [chirp(spec), noise(spec.rate), noise(spec.window // 2)]
    n = [len(wave) for wave in waves]
    batch = torch.nn.utils.rnn.pad_sequence([*waves], batch_first=True)
    together = log_mel(batch, n, frames=spec.frames)
    for wave, out in zip(waves, together):
        torch.testing.assert_close(out, log_mel(wave[None], frames=spec.frames)[0], rtol=0, atol=1e-5)
    assert (together[1, :, spec.count(n[1]):] == 0).all() and (together[2] == 0).all()


def test_a_gain_does_not_move_what_lies_above_the_median():
    log_mel, wave = mel.LogMel(mel.above_median(mel.INAT)), noise(3 * mel.INAT.rate, level=3e-4)
    torch.testing.assert_close(log_mel(3 * wave[None]), log_mel(wave[None]), rtol=0, atol=1e-3)


@each
def test_float32_within_autocast_and_no_gradient(spec):
    wave, front = noise(2, 9_000).requires_grad_(), mel.LogMel(spec)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = front(wave)
    assert inside.dtype == torch.float32 and not inside.requires_grad
    assert torch.equal(inside, front(wave.double().float()))
    assert torch.equal(front(wave), front(wave)) and not front.state_dict()                # nothing to save


@each
def test_a_click_lands_in_its_frame(spec):
    wave = torch.zeros(1, spec.rate)
    wave[0, spec.rate // 2] = 0.5
    loudest = mel.LogMel(spec)(wave)[0, 0].mean(dim=1).argmax() * spec.hop_s               # start or centre of a frame
    centre = loudest + (0 if spec.centred else spec.window / spec.rate / 2)
    assert abs(centre - 0.5) <= spec.window / spec.rate / 2


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match=r"LogMel inat wants 22,050 Hz, this wave is 44,100 Hz: "
                                         r"read it with audio.read\(file, rate=22050\)"):
        mel.check_rate(mel.INAT, 44_100)
    mel.check_rate(mel.INAT, 22_050)
    front = mel.LogMel(mel.INAT)
    with pytest.raises(ValueError, match=r"got \(9000,\).*needs a float tensor \(B, N\)"):
        front(noise(9_000))
    with pytest.raises(ValueError, match="torch.int16"):
        front(torch.zeros(1, 9_000, dtype=torch.int16))
    with pytest.raises(ValueError, match=r"lengths \[9001\], needs 1 numbers"):
        front(noise(1, 9_000), torch.tensor([9_001]))
    with pytest.raises(ValueError, match="needs one normalised spec"):
        mel.to_wave(torch.zeros(1, 1, 512, 128), mel.INAT)
    with pytest.raises(ValueError, match="kind is 'cqt'"):
        mel.LogMel(replace(mel.INAT, kind="cqt"))


@each
def test_back_to_sound(spec):
    wave = chirp(spec, level=0.005)         # quiet: INAT clips what is louder than +50 dB
    front = mel.LogMel(spec)
    x = front(wave[None])
    back = mel.to_wave(x[0, 0], spec)
    again = front(back[None])
    assert len(back) == (x.shape[2] - 1) * spec.hop + (0 if spec.centred else spec.window) and again.shape == x.shape
    assert torch.corrcoef(torch.stack([x.flatten(), again.flatten()]))[0, 1] > 0.95
    assert 0.5 < back[2_000:-2_000].std() / wave[2_000:-2_000].std() < 2 and back.abs().max() < 0.1
    assert torch.equal(back, mel.to_wave(x[0, 0], spec))            # the phases start from a fixed seed


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@each
def test_cuda_equals_cpu(spec):
    wave = noise(4, spec.rate)
    x = mel.LogMel(spec)(wave.cuda())
    assert x.is_cuda
    torch.testing.assert_close(x.cpu(), mel.LogMel(spec)(wave), atol=2e-3, rtol=0)


@pytest.mark.parametrize("lengths", [[64] * 5, [64, 63, 7, 1, 0]])
def test_the_median_is_torch_s_to_the_last_bit(lengths):
    spec = torch.randn(5, 1, 64, 128, generator=torch.Generator().manual_seed(0)).round(decimals=1)  # ties too
    out = mel.LogMel(mel.above_median(mel.INAT)).subtracted(spec, lengths)
    for one, was, n in zip(out, spec, map(lambda n: max(1, n), lengths)):
        assert torch.equal(one[:, :n], was[:, :n] - was[:, :n].nanmedian(1, keepdim=True).values)
        assert not one[:, n:].any()
