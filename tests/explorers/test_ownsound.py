"""Sounds of one's own: both shapes of ipywidgets' upload, the microphone's bytes, a line about what cannot be used."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lib.audio import AudioError
from lib.explorers import ownsound


def file(wave, rate=22_050, kind="WAV", subtype=None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(wave), rate, format=kind, subtype=subtype)
    return buffer.getvalue()


NOISE = 0.1 * np.random.default_rng(0).normal(size=44_100)
GOOD = file(NOISE)
BAD = {"no sound format": b"hello, this is text " * 50, "is empty \\(0 bytes\\)": b"", "cut off": GOOD[:30_000],
       "is silent": file(np.zeros(44_100)), "lasts 0.10 s, at least 0.3 s": file(NOISE[:2205]),
       "has 9.0 MB, at most 8 MB": bytes(9_000_000),
       "NaN or infinite": file(np.full(44_100, np.nan), subtype="FLOAT")}


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_takes_what_libsndfile_reads(kind):
    sound = ownsound.read(f"a b.{kind.lower()}", file(NOISE, kind=kind), 3.0)
    assert sound.rate == 22_050 and len(sound.wave) == pytest.approx(44_100, abs=2500) and sound.calls is None


def test_takes_the_loudest_part():
    wave = 0.001 * np.random.default_rng(1).normal(size=10 * 22_050)
    wave[6 * 22_050 : 8 * 22_050] += NOISE
    sound = ownsound.read("long.wav", file(np.stack([wave, wave], 1)), 3.0)  # stereo
    assert len(sound.wave) == 3 * 22_050 and sound.wave.square().sum() > 0.99 * np.square(NOISE).sum()


@pytest.mark.parametrize("message", BAD)
def test_says_in_one_line_what_is_wrong(message):
    with pytest.raises(AudioError, match=message) as error:
        ownsound.read("x.wav", BAD[message], 3.0)
    assert str(error.value).startswith("x.wav") and "\n" not in str(error.value) and "/tmp" not in str(error.value)


def test_both_versions_of_the_upload():
    assert ownsound.uploaded({}) is None and ownsound.uploaded(()) is None
    assert ownsound.uploaded({"a.wav": {"metadata": {"name": "a.wav"}, "content": b"abc"}}) == ("a.wav", b"abc")  # 7
    assert ownsound.uploaded(({"name": "a.wav", "content": memoryview(b"abc")},)) == ("a.wav", b"abc")  # 8


def test_upload_and_microphone_tell_the_explorer():
    taken, said = [], []
    own = ownsound.OwnSound(3.0, lambda name, sound: taken.append((name, sound)), said.append)
    own._uploaded({"new": {"bird.wav": {"content": GOOD}}})
    own._uploaded({"new": ({"name": "text.wav", "content": memoryview(b"text")},)})
    own._uploaded({"new": ()})
    own.microphone.set_state({"wav": memoryview(GOOD)})  # as it comes from the browser
    own.microphone.wav = file(np.zeros(44_100))
    assert [name for name, _ in taken] == ["bird.wav", "microphone 1"]
    assert said[0] == said[2] == ""
    assert said[1].startswith("text.wav: no sound format") and said[3].startswith("microphone 2 is silent")
    assert torch.equal(taken[0][1].wave, taken[1][1].wave)


def test_a_real_recording(shared_frog):
    sound = ownsound.read(shared_frog.name, shared_frog.read_bytes(), 3.0)
    assert len(sound.wave) / sound.rate <= 3.0 and sound.wave.abs().max() > 0


@pytest.fixture
def shared_frog() -> Path:
    from conftest import SHARED

    found = sorted((SHARED / "real_audio" / "frogs").rglob("*.ogg"))[:1]
    if not found:
        pytest.skip("../shared/real_audio is not there")
    return found[0]
