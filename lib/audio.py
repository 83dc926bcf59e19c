"""Sound files: what is in one, read a part of it, cut it into windows, write one.

A wave is a float32 tensor (N,) in [-1, 1], mono. soundfile decodes (WAV, FLAC, OGG, MP3), a windowed sinc resamples.
All of a file is read, or none of it: its length is what its bytes hold, whatever its header says (lib.container), and a
broken file is an `AudioError` with its name and the reason, never a shorter wave.
"""

import math
import os
import stat
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
import torch

from lib import container, paths

__all__ = ["AudioError", "Info", "info", "step", "read", "stream", "resample", "windows", "write"]

SOUNDS = set(".wav .flac .ogg .oga .mp3 .aif .aiff .aifc .au .snd .w64 .rf64 .caf .opus".split())
OTHER = set(".m4a .mp4 .aac .wma .amr .3gp .3gpp .webm .mka .mkv .mov .ape .wv .ac3 .tta .dsf .wac .awb".split())
STEPS = {"PCM_S8": 2.0**-7, "PCM_U8": 2.0**-7, "PCM_24": 2.0**-23, "PCM_32": 2.0**-31, "FLOAT": 0.0, "DOUBLE": 0.0}
SLOWEST = 100  # Hz, of a recording: what says less would be enormous when it is resampled
BLOCK = 2**20  # frames decoded at a time, where what they hold is not needed
# libsndfile 1.2.2 gives other samples than in the whole file soon behind a jump in an MP3 or Vorbis, behind one to the
# last page of a Vorbis file, and anywhere behind one in an Opus file whose time does not begin at 0
LEAD = 28_000  # frames decoded before what is wanted
TAIL = BLOCK  # frames at the end of a Vorbis file to which no jump leads; no page holds more
LARGEST = 10**6  # numbers in the filters that are kept for two rates
CROSSINGS, ROLLOFF = 32, 0.99  # of the sinc: zero crossings on a side, its band edge as a share of half the lower rate


class AudioError(ValueError):
    """A sound file cannot be used; the message names the file and the reason, in one line whatever its name holds."""

    def __init__(self, message: str) -> None:
        super().__init__(paths.line(message))


class Info(NamedTuple):
    rate: int           # samples per second and channel
    frames: int         # samples per channel
    channels: int
    duration_s: float


def info(file) -> Info:
    """Rate, length and channels of a sound file; AudioError if it is not whole."""
    with Opened(file) as sound:
        return Info(sound.rate, sound.frames, sound.channels, sound.frames / sound.rate)


def step(file) -> float:
    """The smallest step of a file's samples, 0 for floats: what never exceeds it is digital silence.

    Of compressed files it is that of 16 bits."""
    with Opened(file) as sound:
        return STEPS.get(sound.sound.subtype, 2.0**-15)


def read(file, rate: int | None = None, start_s: float = 0.0, duration_s: float | None = None) -> torch.Tensor:
    """A file, or `duration_s` of it from `start_s` -> wave (N,) float32, mono, at `rate` (None: the file's own).

    Mono is the mean of the channels. Little more than the part asked for is decoded, and it is the same as in the whole
    file. At the end of the file the wave is shorter than asked: padding belongs to the front end, which knows what
    silence is. AudioError if the part cannot be decoded or holds NaN or infinity."""
    if not (math.isfinite(start_s) and start_s >= 0) or (duration_s is not None and not duration_s > 0):
        raise ValueError(f"start_s={start_s}, duration_s={duration_s}: need a start >= 0 and a duration > 0 (or None)")
    with Opened(file) as sound:
        own_rate = sound.rate
        first = round(start_s * own_rate)
        count = sound.frames - first
        if count <= 0:
            raise AudioError(f"{file}: start {start_s:g} s is past its end ({sound.frames / own_rate:g} s)")
        if duration_s is not None and math.isfinite(duration_s):
            count = min(count, max(1, round(duration_s * own_rate)))
        sound.go(first)
        wave = sound.take(count)                                                        # (N,)
    return wave if rate in (None, own_rate) else resample(wave, own_rate, rate)


def stream(file, rate: int, seconds: int = 60) -> Iterator[torch.Tensor]:
    """A whole file in pieces (N,) of so many seconds, mono, at `rate`; joined they are `read(file, rate)`.

    Of a recording of any length little more than a piece is in memory. It is decoded once, from its beginning to its
    end, and the resampler sees a second more on either side of a piece, so that no seam can be heard or found.
    AudioError as in `read`."""
    with Opened(file) as sound:
        own_rate, left = sound.rate, sound.frames
        lead, held = 0, torch.zeros(0)                                                  # lead: held before the piece
        step = seconds * own_rate
        while True:
            count = min(left, lead + step + own_rate - len(held))
            held, left = torch.cat([held, sound.take(count)]), left - count
            wave = held if rate == own_rate else resample(held, own_rate, rate)
            first = lead // own_rate * rate
            if len(held) <= lead + step:                                                # nothing lies behind this piece
                yield wave[first:]
                return
            yield wave[first:first + seconds * rate]
            held, lead = held[lead + step - own_rate:], own_rate


def resample(wave: torch.Tensor, old: int, new: int) -> torch.Tensor:
    """A wave (..., N) at `old` Hz -> (..., ceil(N * new / old)) at `new` Hz, in bounded memory for any two rates.

    To the bit torchaudio.functional.resample(wave, old, new, lowpass_filter_width=32), which needs a torch of its own
    version: Smith's windowed sinc (ccrma.stanford.edu/~jos/resample). torchaudio's default of 6 crossings lets a tone
    just above half the new rate through at -12 dB, as a false lower tone. 32 crossings take it to -55 dB and cost no
    measurable time. The filters have more numbers than the rates' product over their squared common divisor: where
    these are too many (47,999 Hz to 22,050: 4 GB), soxr resamples."""
    if old == new:
        return wave
    common, length = math.gcd(old, new), -(-wave.shape[-1] * new // old)
    flat = wave.reshape(wave.shape[:-1].numel(), wave.shape[-1])                        # (B, N)
    if (old // common) * (new // common) <= LARGEST:
        kernels, width = _sincs(old // common, new // common, wave.dtype, wave.device)
        padded = torch.nn.functional.pad(flat, (width, width + old // common))
        made = torch.nn.functional.conv1d(padded[:, None], kernels, stride=old // common)  # (B, new, N / old)
        made = made.transpose(1, 2).reshape(len(flat), -1)[:, :length]
    else:
        padded = torch.nn.functional.pad(flat, (0, old // new + 1))
        made = soxr.resample(padded.T.cpu().numpy(), old, new)[:length]                 # (length, B)
        made = torch.from_numpy(np.ascontiguousarray(made.T)).to(wave.device)
    return made.reshape(*wave.shape[:-1], length)


@cache
def _sincs(old: int, new: int, dtype: torch.dtype, device: torch.device) -> tuple[torch.Tensor, int]:
    """For rates without a common divisor: a filter for each of `new` places between samples (new, 1, old + 2 width),
    and the samples that one reaches to either side. Sample j of the result is a sum over x[i] sinc(i / old - j / new).
    """
    edge = ROLLOFF * min(old, new)
    width = math.ceil(CROSSINGS * old / edge)
    t = torch.arange(0, -new, -1, dtype=dtype)[:, None, None] / new                     # (new, 1, 1)
    t = t + torch.arange(-width, width + old, dtype=dtype) / old                        # (new, 1, old + 2 width)
    t = (t * edge).clamp(-CROSSINGS, CROSSINGS)
    hann = torch.cos(t * math.pi / CROSSINGS / 2) ** 2
    t = t * math.pi
    sinc = torch.where(t == 0, torch.ones_like(t), t.sin() / t)
    return (sinc * (hann * (edge / old))).to(device), width


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


class Opened:
    """A sound file that is whole, being decoded from its beginning or from a frame that `go` leads to."""

    def __init__(self, file) -> None:
        self.file, self.sound = file, opened(file)
        self.rate, self.frames, self.channels = self.sound.samplerate, self.sound.frames, self.sound.channels
        self.seekable, self.place = self.sound.seekable(), 0  # the frame that is decoded next

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_) -> None:
        self.sound.close()

    def go(self, first: int) -> None:
        """Go to a frame of a file of which nothing was taken; the same samples follow as without a jump."""
        near = first
        if self.sound.format in ("MP3", "OGG"):
            near = max(0, first - LEAD)
        if self.sound.format == "OGG":
            near = 0 if self.sound.subtype == "OPUS" else max(0, min(near, self.frames - TAIL))
        if near and self.seekable:
            try:
                self.place = self.sound.seek(near)
            except soundfile.LibsndfileError:  # as of a FLAC with a damaged header, which decodes
                self.sound.close()
                self.sound = opened(self.file)
        while self.place < first:
            self.take(min(BLOCK, first - self.place))

    def take(self, count: int) -> torch.Tensor:
        """The next frames, the mean of their channels (count,); AudioError if some are absent or not finite."""
        self.sound.seekable = lambda: False  # else soundfile jumps to where it is after each read, see LEAD
        try:
            samples = self.sound.read(count, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, ValueError) as error:  # ValueError: a damaged MP3 reads behind its own end
            raise AudioError(f"{self.file}: cannot be decoded to its end, cut off or damaged ({error})") from error
        if len(samples) < count:
            raise AudioError(f"{self.file}: cut off, {self.place + len(samples):,} of {self.frames:,} samples decoded")
        self.place += count
        samples = torch.from_numpy(samples)                                             # (count, channels)
        if not torch.isfinite(samples).all():
            raise AudioError(f"{self.file}: holds NaN or infinite samples")
        return samples.mean(dim=1)


def opened(file) -> soundfile.SoundFile:
    """The opened file, with the header that fits; AudioError where it is no sound file or not whole."""
    try:
        os.fspath(file).encode()
        about = os.stat(file)
        if not stat.S_ISREG(about.st_mode):  # a pipe would wait for somebody to write into it
            raise AudioError(f"{file}: is a {'folder' if stat.S_ISDIR(about.st_mode) else 'pipe or device'}, "
                             "not a sound file")
        header, reason = _inspected(os.fspath(file), about.st_size, about.st_mtime_ns)
        if reason:
            raise AudioError(f"{file}: {reason}")
        sound = soundfile.SoundFile(container.Mended(open(file, "rb"), header) if header else str(file))
    except FileNotFoundError:
        raise AudioError(f"{file}: no such file") from None
    except OSError as error:
        raise AudioError(f"{file}: cannot be read ({error.strerror or error})") from error
    except (soundfile.LibsndfileError, TypeError) as error:      # TypeError: soundfile asks for the rate of a .raw file
        raise AudioError(f"{file}: {_unknown(file, error)}") from error
    except UnicodeEncodeError:
        raise AudioError(f"{file}: its name is no UTF-8: rename it") from None
    except ValueError as error:
        if isinstance(error, AudioError):
            raise
        raise AudioError(f"{file}: is no name of a file ({error})") from None
    wrong = ("has a header but no samples" if sound.frames < 1 else
             "does not say how long it is: write it anew" if sound.frames > 2**60 else
             f"has {sound.samplerate} samples a second, at least {SLOWEST} are needed" if sound.samplerate < SLOWEST
             else "")
    if wrong:
        sound.close()
        raise AudioError(f"{file}: {wrong}")
    return sound


@lru_cache(1 << 16)
def _inspected(file: str, size: int, time_ns: int) -> tuple[container.Header | None, str]:
    """A better header for a file, or why it is not whole; looked up once while it has this size and time."""
    try:
        with open(file, "rb") as raw:
            return container.inspect(raw), ""
    except container.Incomplete as error:
        return None, str(error)


def _unknown(file, error: Exception) -> str:
    ending = Path(file).suffix.lower()
    if ending in OTHER:
        return f"{ending} cannot be read here: make a WAV or FLAC of it (ffmpeg -i IN{ending} OUT.wav)"
    return f"no sound format that libsndfile knows ({getattr(error, 'error_string', '') or error})"
