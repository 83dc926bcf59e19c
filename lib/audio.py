"""Sound files: what is in one, read a part of it, cut it into windows, write one.

A wave is a float32 tensor (N,) in [-1, 1], mono. soundfile decodes (WAV, FLAC, OGG, MP3), torchaudio resamples.
A broken file is never an empty wave: it is an `AudioError` with the file's name and the reason.
"""

import math
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import soundfile
import torch
import torchaudio

from lib import paths

__all__ = ["AudioError", "Info", "info", "read", "stream", "resample", "windows", "write"]

SOUNDS = set(".wav .flac .ogg .oga .mp3 .aif .aiff .aifc .au .snd .w64 .rf64 .caf .opus".split())


class AudioError(ValueError):
    """A sound file cannot be used; the message names the file and the reason."""


class Info(NamedTuple):
    rate: int           # samples per second and channel
    frames: int         # samples per channel
    channels: int
    duration_s: float


def info(file) -> Info:
    """Rate, length and channels of a sound file from its header; AudioError if there is no usable one."""
    with opened(file) as sound:
        return Info(sound.samplerate, sound.frames, sound.channels, sound.frames / sound.samplerate)


def read(file, rate: int | None = None, start_s: float = 0.0, duration_s: float | None = None) -> torch.Tensor:
    """A file, or `duration_s` of it from `start_s` -> wave (N,) float32, mono, at `rate` (None: the file's own).

    Mono is the mean of the channels. Only the part asked for is decoded. At the end of the file the wave is shorter
    than asked: padding belongs to the front end, which knows what silence is. AudioError if the part cannot be decoded
    or holds NaN or infinity."""
    if not (math.isfinite(start_s) and start_s >= 0) or (duration_s is not None and not duration_s > 0):
        raise ValueError(f"start_s={start_s}, duration_s={duration_s}: need a start >= 0 and a duration > 0 (or None)")
    with opened(file) as sound:
        own_rate = sound.samplerate
        first = round(start_s * own_rate)
        count = sound.frames - first
        if count <= 0:
            raise AudioError(f"{file}: start {start_s:g} s is past its end ({sound.frames / own_rate:g} s)")
        if duration_s is not None and math.isfinite(duration_s):
            count = min(count, max(1, round(duration_s * own_rate)))
        wave = decode(sound, count, file, first).mean(dim=1)                            # (N,)
    return wave if rate in (None, own_rate) else resample(wave, own_rate, rate)


def stream(file, rate: int, seconds: int = 60) -> Iterator[torch.Tensor]:
    """A whole file in pieces (N,) of so many seconds, mono, at `rate`; joined they are `read(file, rate)`.

    Of a recording of any length little more than a piece is in memory. It is decoded once, from its beginning to its
    end, and the resampler sees a second more on either side of a piece, so that no seam can be heard or found.
    AudioError as in `read`."""
    with opened(file) as sound:
        own_rate, left = sound.samplerate, sound.frames
        lead, held = 0, torch.zeros(0)                                                  # lead: held before the piece
        step = seconds * own_rate
        while True:
            count = min(left, lead + step + own_rate - len(held))
            held, left = torch.cat([held, decode(sound, count, file).mean(dim=1)]), left - count
            wave = held if rate == own_rate else resample(held, own_rate, rate)
            first = lead // own_rate * rate
            if len(held) <= lead + step:                                                # nothing lies behind this piece
                yield wave[first:]
                return
            yield wave[first:first + seconds * rate]
            held, lead = held[lead + step - own_rate:], own_rate


def resample(wave: torch.Tensor, old: int, new: int) -> torch.Tensor:
    """A wave (..., N) at `old` Hz -> (..., ceil(N * new / old)) at `new` Hz.

    torchaudio's default filter (6 zero crossings) lets a tone just above half the new rate through at -12 dB, as a
    false lower tone. 32 crossings take it to -55 dB and cost no measurable time."""
    return _resampler(old, new, wave.dtype, wave.device)(wave)


@cache
def _resampler(old: int, new: int, dtype: torch.dtype, device: torch.device) -> torchaudio.transforms.Resample:
    """Keeps its filter, which torchaudio.functional.resample makes anew at every call; the samples are the same."""
    return torchaudio.transforms.Resample(old, new, lowpass_filter_width=32, dtype=dtype).to(device)


def windows(samples: int, length: int, step: int) -> list[int]:
    """First samples of the windows that cover a recording; the last is aligned to its end; shorter than one: [0]."""
    if length < 1 or step < 1 or samples < 0:
        raise ValueError(f"windows(samples={samples}, length={length}, step={step}): length and step must be above 0")
    last = max(samples - length, 0)
    return [*range(0, last, step), last]


def write(file, wave: torch.Tensor, rate: int) -> Path:
    """Write a wave (N,) or (N, channels) as 16-bit WAV or FLAC (by the name's ending): the complete file or none."""
    file, wave = Path(file), torch.as_tensor(wave).detach().cpu().float()
    if file.suffix.lower() not in (".wav", ".flac"):
        raise ValueError(f"{file.name}: can write .wav and .flac, not {file.suffix or 'a name without ending'!r}")
    if wave.ndim not in (1, 2) or not torch.isfinite(wave).all() or (wave.numel() and wave.abs().max() > 1.001):
        peak = wave.abs().max().item() if wave.numel() else 0.0
        raise ValueError(f"{file.name}: got shape {tuple(wave.shape)}, peak {peak:.3g}; need (N,), finite and within "
                         "[-1, 1]: divide by the peak first")
    with paths.atomic(file) as part:
        soundfile.write(str(part), wave.numpy(), int(rate), subtype="PCM_16")
    return file


def opened(file) -> soundfile.SoundFile:
    """The opened file, after the checks that a decoder leaves out (no folder, not empty, not cut off, some samples)."""
    if Path(file).is_dir():
        raise AudioError(f"{file}: is a folder, not a sound file")
    try:
        with open(file, "rb") as raw:
            if reason := _cut_off(raw):
                raise AudioError(f"{file}: {reason}")
        sound = soundfile.SoundFile(str(file))
    except FileNotFoundError:
        raise AudioError(f"{file}: no such file") from None
    except OSError as error:
        raise AudioError(f"{file}: cannot be read ({error.strerror or error})") from error
    except (soundfile.LibsndfileError, TypeError) as error:      # TypeError: soundfile asks for the rate of a .raw file
        raise AudioError(f"{file}: no sound format that libsndfile knows ({error})") from error
    if sound.frames < 1 or sound.samplerate < 1:
        sound.close()
        raise AudioError(f"{file}: has a header but no samples")
    return sound


def decode(sound: soundfile.SoundFile, count: int, file, first: int | None = None) -> torch.Tensor:
    """The next frames, or those from `first` -> (count, channels); AudioError if some are absent or not finite."""
    try:
        if first is not None:
            sound.seek(first)
        samples = sound.read(count, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, ValueError) as error:     # ValueError: a damaged MP3 reads behind its own end
        raise AudioError(f"{file}: cannot be decoded to its end, cut off or damaged ({error})") from error
    if len(samples) < count:
        raise AudioError(f"{file}: cut off, {len(samples):,} of {count:,} samples decoded")
    samples = torch.from_numpy(samples)
    if not torch.isfinite(samples).all():
        raise AudioError(f"{file}: holds NaN or infinite samples")
    return samples


def _cut_off(raw) -> str | None:
    """Why the bytes of an open file cannot be complete, or None. libsndfile plays a cut WAV or OGG without a word."""
    head, size = raw.read(12), os.fstat(raw.fileno()).st_size
    if size == 0:
        return "is empty (0 bytes)"
    announced = int.from_bytes(head[4:8], "little")
    if head[:4] == b"RIFF" and announced not in (0, 0xFFFFFFFF) and announced + 8 > size + 1:  # these from streaming
        return f"cut off, {size:,} of {announced + 8:,} bytes"
    if head[:4] == b"OggS":
        raw.seek(max(0, size - 66_000))                          # a page is at most 65,307 bytes long
        page = raw.read().rsplit(b"OggS", 1)[-1]                 # version, flags, ..., number of segments at 22
        if len(page) < 23 or not page[1] & 4:                    # 4 = last page of the stream
            return "cut off, its last Ogg page is missing"
        if len(page) < 23 + page[22] + sum(page[23:23 + page[22]]):
            return "cut off within its last Ogg page"
    return None
