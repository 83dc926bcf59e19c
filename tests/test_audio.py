"""Reading sound: every kind of broken file is a named reason, a part costs a part, windows cover everything."""
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from lib import audio, paths
from lib.sources import tables

SHARED = paths.ROOT.parent / "shared" / "real_audio"
NUMBERS = [0.0004358, 0.0463980, -0.1405545, -0.0463946,
           0.0050735, 0.0617349, -0.1405574, -0.0617326,
           0.0052913, 0.0617269, -0.1405561, -0.0617232]


def tone(seconds=2.0, rate=22_050, hz=440.0):
    return 0.5 * torch.sin(2 * torch.pi * hz * torch.arange(round(seconds * rate)) / rate)


def cut(file, share=0.6):
    """The first `share` of a file's bytes."""
    data = file.read_bytes()
    file.write_bytes(data[:int(len(data) * share)])
    return file


@pytest.mark.parametrize("ending", [".wav", ".flac"])
def test_write_then_read_is_the_same_wave(tmp_path, ending):
    wave = tone()
    file = audio.write(tmp_path / "deep" / f"tone{ending}", wave, 22_050)
    assert audio.info(file) == (22_050, len(wave), 1, 2.0)
    back = audio.read(file)
    assert back.dtype == torch.float32 and back.shape == wave.shape
    torch.testing.assert_close(back, wave, atol=1 / 32_000, rtol=0)
    assert tables.problem(file) is None
    assert os.listdir(file.parent) == [file.name]                       # no temporary file is left


def test_stereo_is_averaged(tmp_path):
    left, right = tone(hz=300), tone(hz=900)
    file = audio.write(tmp_path / "s.wav", torch.stack([left, right], dim=1), 22_050)
    assert audio.info(file).channels == 2
    torch.testing.assert_close(audio.read(file), (left + right) / 2, atol=1e-4, rtol=0)


@pytest.mark.parametrize("rate, subtype, ending", [(8_000, "PCM_16", ".wav"), (96_000, "PCM_24", ".wav"),
                                                   (44_100, "PCM_24", ".flac"), (44_100, "VORBIS", ".ogg"),
                                                   (32_000, "FLOAT", ".wav")])
def test_rates_depths_and_formats_become_the_asked_rate(tmp_path, rate, subtype, ending):
    file = tmp_path / f"x{ending}"
    soundfile.write(file, tone(1.0, rate).numpy(), rate, subtype=subtype)
    wave = audio.read(file, rate=22_050)
    assert wave.shape == (22_050,)
    inside = slice(500, -500)                                           # the resampler's edges ring
    assert (wave[inside] - tone(1.0)[inside]).abs().max() < 0.02
    assert tables.problem(file) is None


def test_resampling_removes_what_the_new_rate_cannot_hold():
    t = torch.arange(3 * 48_000, dtype=torch.float64) / 48_000
    above, below = (torch.sin(2 * torch.pi * hz * t).float() for hz in (1.08 * 11_025, 0.93 * 11_025))
    inside = slice(2_000, -2_000)
    assert audio.resample(above, 48_000, 22_050).shape == (66_150,)
    assert audio.resample(above, 48_000, 22_050)[inside].std() < 0.005 * above.std()
    assert audio.resample(below, 48_000, 22_050)[inside].std() > 0.95 * below.std()


@pytest.mark.parametrize("old, new", [(44_099, 22_050), (47_999, 22_050), (22_254, 16_000), (195_312, 22_050),
                                      (250_001, 32_000), (1_001, 22_050), (22_050, 44_099)])
def test_any_two_rates_are_resampled_well(old, new):
    hz = 0.3 * min(old, new)
    t = torch.arange(2 * old, dtype=torch.float64) / old
    wave = torch.stack([torch.sin(2 * torch.pi * hz * t), 0 * t]).float()  # (2, N)
    made = audio.resample(wave, old, new)
    assert made.shape == (2, 2 * new) and made.dtype == torch.float32 and not made[1].any()
    wanted = torch.sin(2 * torch.pi * hz * torch.arange(2 * new, dtype=torch.float64) / new).float()
    inside = slice(new // 4, -new // 4)
    assert (made[0] - wanted)[inside].abs().max() < 1e-3
    for samples in (1, 2, 7, 1000):
        assert audio.resample(wave[0, :samples], old, new).shape == (-(-samples * new // old),)


def test_a_rate_without_a_common_divisor_takes_little_time_and_memory(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(10.0, 47_999).numpy(), 47_999)
    code = ("import resource, sys, time; from lib import audio\n"
            "audio.read(sys.argv[1]); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "print(len(audio.read(sys.argv[1], 22_050)), sum(map(len, audio.stream(sys.argv[1], 22_050, 1))), "
            "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.wav")], capture_output=True, text=True,
                          cwd=paths.ROOT, check=True)
    whole, streamed, more = map(int, done.stdout.split())
    assert whole == streamed == 220_500 and more < 100_000  # kB; the filter alone would take 4 GB


def test_what_is_digital_silence_depends_on_what_a_file_can_hold(tmp_path):
    for subtype, step in (("PCM_16", 2.0**-15), ("PCM_24", 2.0**-23), ("FLOAT", 0.0), ("PCM_U8", 2.0**-7)):
        soundfile.write(tmp_path / "a.wav", 2e-5 * tone().numpy(), 22_050, subtype=subtype)
        assert audio.step(tmp_path / "a.wav") == step
        assert (audio.read(tmp_path / "a.wav").abs().max() > step) == (subtype in ("PCM_24", "FLOAT"))


def test_a_recording_of_one_sample_a_second_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone().numpy(), 1)
    with pytest.raises(audio.AudioError, match="a.wav: has 1 samples a second, at least 100 are needed"):
        audio.read(tmp_path / "a.wav", 22_050)


@pytest.mark.parametrize("old, new", [(8_000, 22_050), (44_100, 22_050), (48_000, 22_050), (22_050, 16_000),
                                      (16_000, 48_000), (96_000, 32_000), (22_050, 22_050)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_usual_rates_are_resampled_as_by_torchaudio_to_the_bit(torchaudio, old, new, dtype):
    for wave in (tone(0.5, old).to(dtype), torch.ones(2, 3, 7, dtype=dtype), torch.ones(1, dtype=dtype)):
        for _ in range(2):  # a new filter, and a kept one
            wanted = torchaudio.functional.resample(wave, old, new, lowpass_filter_width=32)
            assert torch.equal(audio.resample(wave, old, new), wanted)


def test_resampled_sound_keeps_its_numbers_whatever_the_version_of_torch():
    """Those of torchaudio 2.11.0, with which every stored record was made."""
    made = torch.cat([audio.resample(tone(0.1, old), old, 22_050)[[0, 1, 1000, -1]] for old in (8_000, 44_100, 48_000)])
    torch.testing.assert_close(made, torch.tensor(NUMBERS), atol=1e-6, rtol=0)


def test_a_wave_of_any_length_has_the_length_that_is_said():
    for samples in (0, 1, 2, 440, 441, 442):
        assert audio.resample(torch.zeros(2, 3, samples), 44_100, 16_000).shape == (2, 3, -(-samples * 160 // 441))


def test_a_part_of_a_long_file_reads_only_that_part(tmp_path, monkeypatch):
    rate, noise = 8_000, torch.rand(600 * 8_000, generator=torch.Generator().manual_seed(0)) - 0.5
    file = audio.write(tmp_path / "long.wav", noise, rate)
    decoded, plain = [], soundfile.SoundFile.read
    monkeypatch.setattr(soundfile.SoundFile, "read",
                        lambda self, frames=-1, **kw: decoded.append(frames) or plain(self, frames, **kw))
    part = audio.read(file, start_s=500.0, duration_s=3.0)
    assert decoded == [3 * rate]
    torch.testing.assert_close(part, noise[500 * rate:503 * rate], atol=1e-4, rtol=0)
    assert len(audio.read(file, start_s=599.0, duration_s=3.0)) == rate  # what there is, not padded


def test_asking_for_impossible_parts(tmp_path):
    file = audio.write(tmp_path / "t.wav", tone(), 22_050)
    with pytest.raises(audio.AudioError, match=r"t\.wav: start 5 s is past its end \(2 s\)"):
        audio.read(file, start_s=5.0)
    for start, duration in ((-1.0, 1.0), (0.0, 0.0), (float("nan"), None)):
        with pytest.raises(ValueError, match="need a start >= 0"):
            audio.read(file, start_s=start, duration_s=duration)


def missing(tmp):
    return tmp / "missing.wav"


def folder(tmp):
    (tmp / "folder.wav").mkdir()
    return tmp / "folder.wav"


def empty(tmp):
    (tmp / "empty.wav").touch()
    return tmp / "empty.wav"


def text(tmp):
    (tmp / "text.wav").write_text("this is not sound\n" * 50)
    return tmp / "text.wav"


def header_only(tmp):
    soundfile.write(tmp / "header.wav", np.zeros(0, dtype="float32"), 22_050)
    return tmp / "header.wav"


def cut_wav(tmp):
    return cut(audio.write(tmp / "cut.wav", tone(), 22_050))


def cut_flac(tmp):
    return cut(audio.write(tmp / "cut.flac", tone() + 0.1 * torch.randn(44_100), 22_050))


def cut_ogg(tmp):
    noise = torch.rand(20 * 22_050, generator=torch.Generator().manual_seed(0)) - 0.5
    soundfile.write(tmp / "cut.ogg", noise.numpy(), 22_050)
    return cut(tmp / "cut.ogg")


def not_a_number(tmp):
    wave = tone().numpy()
    wave[30_000] = np.nan
    soundfile.write(tmp / "nan.wav", wave, 22_050, subtype="FLOAT")
    return tmp / "nan.wav"


BROKEN = {missing: "no such file", folder: "is a folder", empty: "0 bytes", text: "no sound format",
          header_only: "no samples", cut_wav: "cut off", cut_flac: "cut off", cut_ogg: "cut off", not_a_number: "NaN"}


@pytest.mark.parametrize("make", BROKEN, ids=lambda make: make.__name__)
def test_broken_files_say_their_name_and_why(tmp_path, make):
    file = make(tmp_path)
    assert BROKEN[make] in tables.problem(file) and str(file) in tables.problem(file)
    with pytest.raises(audio.AudioError, match=BROKEN[make]) as error:
        audio.read(file)
    assert file.name in str(error.value)


def test_a_file_without_permission(tmp_path, monkeypatch):
    file = audio.write(tmp_path / "locked.wav", tone(), 22_050)
    if os.geteuid() == 0:                                               # root may read everything: say no in its place
        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied", str(file))
        monkeypatch.setattr("builtins.open", refuse)
    else:
        file.chmod(stat.S_IWUSR)
    with pytest.raises(audio.AudioError, match=r"locked\.wav: cannot be read \(Permission denied\)"):
        audio.read(file)


def test_a_good_part_of_a_file_with_a_bad_one(tmp_path):
    file = not_a_number(tmp_path)                                       # NaN at 1.36 s
    assert len(audio.read(file, duration_s=1.0)) == 22_050
    with pytest.raises(audio.AudioError, match="NaN"):
        audio.read(file, start_s=1.0, duration_s=1.0)


def test_silence_is_no_problem(tmp_path):
    file = audio.write(tmp_path / "silence.wav", torch.zeros(22_050), 22_050)
    assert tables.problem(file) is None and not audio.read(file).any()


def test_windows_cover_a_recording():
    assert audio.windows(100, 40, 20) == [0, 20, 40, 60]
    assert audio.windows(105, 40, 20) == [0, 20, 40, 60, 65]            # the last one ends where the recording ends
    assert audio.windows(40, 40, 20) == [0] and audio.windows(39, 40, 20) == [0] and audio.windows(0, 40, 20) == [0]
    for samples in range(40, 200, 7):
        starts = audio.windows(samples, 40, 15)
        assert len(set(starts)) == len(starts) and starts[-1] + 40 == samples
        assert max(b - a for a, b in zip([0] + starts, starts)) <= 15
    with pytest.raises(ValueError, match="above 0"):
        audio.windows(100, 40, 0)


def test_write_refuses_what_it_cannot_keep(tmp_path):
    with pytest.raises(ValueError, match="peak 2; need"):
        audio.write(tmp_path / "loud.wav", torch.full((100,), 2.0), 22_050)
    with pytest.raises(ValueError, match="can write .wav and .flac"):
        audio.write(tmp_path / "x.mp3", tone(), 22_050)
    kept = audio.write(tmp_path / "kept.wav", tone(), 22_050)
    with pytest.raises(ValueError, match="nan"):
        audio.write(kept, torch.tensor([0.0, float("nan")]), 22_050)
    assert len(audio.read(kept)) == 44_100 and os.listdir(tmp_path) == ["kept.wav"]


@pytest.mark.skipif(not SHARED.exists(), reason="no real recordings beside the repository")
def test_real_recordings_are_readable():
    files = sorted(file for ending in ("ogg", "wav", "flac", "mp3") for file in SHARED.rglob(f"*.{ending}"))
    assert len(files) > 100
    assert [tables.problem(file) for file in files[::10] if tables.problem(file)] == []


@pytest.mark.parametrize("kind", ["flac", "mp3"])
def test_a_file_damaged_in_its_middle_is_an_audio_error_wherever_it_is_read(tmp_path, kind):
    wave = 0.1 * np.sin(np.arange(22_050 * 20) * 0.3) + 0.01 * np.random.default_rng(0).standard_normal(22_050 * 20)
    file = tmp_path / f"damaged.{kind}"
    soundfile.write(file, wave, 22_050)
    content = bytearray(file.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    file.write_bytes(content)
    refused = 0
    for start in range(0, 18, 2):  # no other error, wherever the decoder meets the hole
        try:
            audio.read(file, start_s=float(start), duration_s=2.0)
        except audio.AudioError as error:
            assert file.name in str(error)
            refused += 1
    assert refused


@pytest.mark.parametrize("rate, channels, seconds, new", [(22_050, 1, 2.3, 22_050), (44_100, 2, 4.0, 22_050),
                                                          (48_000, 1, 5.17, 22_050), (8_000, 1, 3.001, 22_050),
                                                          (22_050, 1, 0.01, 16_000), (96_000, 2, 2.999, 32_000)])
def test_a_stream_joined_is_the_recording(rate, channels, seconds, new, tmp_path):
    wave = 0.1 * np.random.default_rng(0).standard_normal((round(seconds * rate), channels))
    soundfile.write(tmp_path / "a.wav", wave, rate)
    whole = audio.read(tmp_path / "a.wav", new)
    for piece_s in (1, 2, 60):
        pieces = list(audio.stream(tmp_path / "a.wav", new, piece_s))
        assert all(len(p) == piece_s * new for p in pieces[:-1]) and 0 < len(pieces[-1]) <= piece_s * new + 1
        torch.testing.assert_close(torch.cat(pieces), whole, rtol=0, atol=1e-6)


def test_a_stream_that_breaks_off_is_an_error(tmp_path):
    soundfile.write(tmp_path / "a.flac", 0.1 * np.random.default_rng(0).standard_normal(300_000), 22_050)
    whole = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(whole[: len(whole) // 2])
    pieces = audio.stream(tmp_path / "a.flac", 22_050, 1)
    assert len(next(pieces)) == 22_050
    with pytest.raises(audio.AudioError, match="a.flac: .*decoded"):
        list(pieces)


def test_a_long_file_is_streamed_in_little_memory(tmp_path):
    """Half an hour: 159 MB as floats; less than half of it at once, what torch takes for itself included."""
    code = ("import resource, sys; from lib import audio; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "n = sum(len(p) for p in audio.stream(sys.argv[1], 22_050, 96)); "
            "print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)")
    with soundfile.SoundFile(tmp_path / "a.flac", "w", 22_050, 1) as file:
        for _ in range(30):
            file.write(np.zeros(60 * 22_050, np.float32))
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.flac")], capture_output=True, text=True,
                          cwd=paths.ROOT, check=True)
    samples, more = map(int, done.stdout.split())
    assert samples == 1800 * 22_050 and more < 64_000  # kB
