"""Wave to log-mel and back, with the front ends of the known models.

A front end belongs to a checkpoint: rate, window, filters, logarithm, mean, std and pad value are one `FrontEnd`.
`LogMel(front)` turns a batch of waves (B, N) into specs (B, 1, T, M), time before mel, on the device of the waves.
Three recipes are in use, and only their details differ: frames -> FFT -> triangles on a mel axis -> logarithm.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace

import librosa
import numpy as np
import torch

__all__ = ["FrontEnd", "INAT", "AUDIOMAE", "BIRDMAE", "MSM_MAE", "LogMel", "above_median", "filters", "centres",
           "normalise", "unnormalise", "to_wave", "check_rate"]

EPS = torch.finfo(torch.float32).eps    # 1.19e-07: kaldi's floor under the logarithm, MSM-MAE's offset in it
SILENCE = math.log(EPS)                 # -15.9424: log-mel of true silence in both
CHUNK, CHUNK_GPU = 1024, 65_536         # frames transformed at once: they fit a processor's cache, they fill a GPU
BLOCK = 32                              # filters multiplied at once: neighbours share few FFT bins, the rest is zeros
LARGEST = {"rate": 10_000_000, "window": 32_768, "hop": 32_768, "n_fft": 32_768, "mels": 512, "frames": 16_384}
LONGEST = 2**24                         # samples of a model's input: so that a damaged card cannot fill the memory
KINDS = ("inat", "kaldi", "msm")


@dataclass(frozen=True)
class FrontEnd:
    """Everything between a wave and a model's input; times in samples, frequencies in Hz."""
    name: str
    rate: int               # Hz; another rate is refused (`check_rate`), never resampled in passing
    window: int             # samples under the window
    hop: int                # samples from frame to frame
    n_fft: int              # FFT length; longer than the window = zero-padded, finer bins, no finer detail
    mels: int
    low_hz: float
    high_hz: float
    kind: str               # "inat" (dB of magnitude), "kaldi" (ln of power) or "msm" (ln of power, centred frames)
    mean: float             # a constant of the front end, never refitted on a mixture of data
    std: float
    divisor: float          # spec = (log-mel - mean) / (divisor * std); 2 in AST and its heirs, 1 elsewhere
    pad: float              # log-mel (BEFORE normalising) that stands for "nothing here": silence, not 0
    frames: int             # frames of the model's input
    empty: int = 0          # filters known to catch no FFT bin; another number is warned about
    subtract: str = ""      # "median": of every clip each band's median over time is taken off (see `above_median`)

    def __post_init__(self) -> None:
        needs = [(name, 1 <= getattr(self, name) <= most, f"1 to {most:,}") for name, most in LARGEST.items()]
        needs += [("kind", self.kind in KINDS, f"one of {', '.join(KINDS)}"),
                  ("low_hz", 0 <= self.low_hz < self.high_hz, f"0 or more and less than high_hz = {self.high_hz}"),
                  ("high_hz", self.high_hz <= self.rate / 2, f"at most half the rate of {self.rate} Hz"),
                  *((name, 0 < getattr(self, name) < math.inf, "more than 0") for name in ("std", "divisor")),
                  *((name, math.isfinite(getattr(self, name)), "a finite number") for name in ("mean", "pad")),
                  ("frames", self.window <= self.samples <= LONGEST, f"{self.window} to {LONGEST:,} samples in all"),
                  ("empty", 0 <= self.empty <= self.mels, f"0 to mels = {self.mels}"),
                  ("subtract", self.subtract in ("", "median"), '"median" or ""')]
        for name, fits, need in needs:
            if not fits:
                raise ValueError(f"FrontEnd {self.name}: {name} is {getattr(self, name)!r}, need {need}")

    @property
    def samples(self) -> int:
        """Samples of a wave that has exactly `frames` frames."""
        return (self.frames - 1) * self.hop + (0 if self.centred else self.window)

    @property
    def seconds(self) -> float:
        return self.samples / self.rate

    @property
    def hop_s(self) -> float:
        return self.hop / self.rate

    @property
    def centred(self) -> bool:
        """Frames stand centred on multiples of the hop (edges reflected) instead of inside the wave."""
        return self.kind == "msm"

    def count(self, samples: int) -> int:
        """Frames of a wave of so many samples; a wave shorter than one window has none."""
        if samples < self.window:
            return 0
        return 1 + (samples - (0 if self.centred else self.window)) // self.hop


# Liu et al. 2026: window 512, hop 128, 128 mels, 50 Hz to 11.025 kHz. The rest is from the data set's public generator
# (gvanhorn38/iNatSounds, data/inat/wav2mel.py): 1,024-point FFT, dB re one step of a 16-bit file, clipped to +-50 dB.
# Its normalisation (x / 255 - 0.6569) / 0.1786 of the 8-bit image is written here in dB; we do not round to 8 bits.
INAT = FrontEnd("inat", 22_050, 512, 128, 1024, 128, 50.0, 11_025.0, "inat",
               mean=15.69, std=17.86, divisor=1.0, pad=-50.0, frames=512)
# AudioMAE and Bird-MAE: kaldi's fbank, 20 Hz to half the rate. AudioMAE pads its log-mel with 0, which is louder than
# average (+0.467 after normalising), Bird-MAE with the batch's minimum; here both pad with silence. Both first take the
# clip's mean from the wave; kaldi then takes each frame's mean, which undoes any constant, so that step is left out.
AUDIOMAE = FrontEnd("audiomae", 16_000, 400, 160, 512, 128, 20.0, 8_000.0, "kaldi",
                   mean=-4.2677393, std=4.5689974, divisor=2.0, pad=SILENCE, frames=1024, empty=1)
BIRDMAE = FrontEnd("birdmae", 32_000, 800, 320, 1024, 128, 20.0, 16_000.0, "kaldi",
                  mean=-7.2, std=4.43, divisor=2.0, pad=SILENCE, frames=512)
# MSM-MAE normalises by the batch's own mean and std, so a clip's embedding depends on its neighbours. We use constants:
# the norm_stats (-7.1, 4.2) that its successor M2D keeps for the same log-mel on AudioSet.
MSM_MEAN, MSM_STD = -7.1, 4.2
MSM_MAE = FrontEnd("msm_mae", 16_000, 400, 160, 400, 80, 50.0, 8_000.0, "msm",
                  mean=MSM_MEAN, std=MSM_STD, divisor=1.0, pad=SILENCE, frames=208)


def above_median(front: FrontEnd) -> FrontEnd:
    """The same front end with the median over a clip's own frames taken off each of its bands.

    A spec then says how far a frame lies above what the band usually has, in units of divisor * std: a steady bed, a
    hum and what the recorder makes of each frequency are gone, and so is whatever fills a band for more than half of
    the clip, a cicada or a full chorus. Its pad is 0, the median. Related to the "median clipping" of bird sound
    (Lasseck 2013), which keeps what is some times above the medians of its row and its column."""
    return replace(front, name=f"{front.name}-median", mean=0.0, pad=0.0, subtract="median")


def normalise(x, front: FrontEnd):
    """Log-mel -> what the model sees."""
    return (x - front.mean) / (front.divisor * front.std)


def unnormalise(x, front: FrontEnd):
    """What the model sees -> log-mel (dB for INAT, natural logarithm for the others)."""
    return x * (front.divisor * front.std) + front.mean


def check_rate(front: FrontEnd, rate: int) -> None:
    """ValueError unless a wave's rate is the one the front end is made for."""
    if rate != front.rate:
        raise ValueError(f"LogMel {front.name} wants {front.rate:,} Hz, this wave is {rate:,} Hz: "
                         f"read it with audio.read(file, rate={front.rate})")


def filters(front: FrontEnd) -> torch.Tensor:
    """The mel filters as a matrix (n_fft / 2 + 1, mels), float32: each column a triangle over the FFT's bins."""
    if front.kind == "msm":
        return _slaney(front)
    hz = torch.arange(front.n_fft // 2 + 1, dtype=torch.float64) * front.rate / front.n_fft
    mel = 1127 * torch.log1p(hz / 700)[:, None]                                          # (bins, 1), HTK's mel axis
    edge = 1127 * torch.log1p(_edges(front) / 700)                                        # (mels + 2,), equal steps
    rise = (mel - edge[:-2]) / (edge[1:-1] - edge[:-2])                                  # (bins, mels)
    fall = (edge[2:] - mel) / (edge[2:] - edge[1:-1])                                    # (bins, mels)
    return torch.minimum(rise, fall).clamp(min=0).float()


def _slaney(front):
    """Triangles linear in Hz, each of the same area, librosa's default (bins, mels): in float32 from the start, which
    makes them torchaudio.functional.melscale_fbanks(norm="slaney", mel_scale="slaney") to the bit."""
    hz = torch.linspace(0, front.rate // 2, front.n_fft // 2 + 1)[:, None]               # (bins, 1)
    mel = torch.linspace(*librosa.hz_to_mel([front.low_hz, front.high_hz]), front.mels + 2)
    edge = torch.where(mel < 15, mel * (200 / 3), 1000 * torch.exp((math.log(6.4) / 27) * (mel - 15)))  # (mels + 2,)
    rise = (hz - edge[:-2]) / (edge[1:-1] - edge[:-2])                                   # (bins, mels)
    fall = (edge[2:] - hz) / (edge[2:] - edge[1:-1])                                     # (bins, mels)
    return torch.minimum(rise, fall).clamp(min=0) * (2 / (edge[2:] - edge[:-2]))


def centres(front: FrontEnd) -> torch.Tensor:
    """Hz at the middle of each mel filter (mels,): the tick marks of a spectrogram."""
    return _edges(front)[1:-1].float()


def _edges(front):
    """Hz where the triangles begin, peak and end (mels + 2,): equal steps on Slaney's mel axis ("msm") or on HTK's."""
    hz = librosa.mel_frequencies(front.mels + 2, fmin=front.low_hz, fmax=front.high_hz, htk=front.kind != "msm")
    return torch.from_numpy(hz).double()


class LogMel(torch.nn.Module):
    """Waves (B, N) in [-1, 1] at front.rate -> specs (B, 1, T, M), normalised unless told not to, float32, no gradient.

    Clips do not touch each other: alone or in a batch with longer ones, the frames are the same. `lengths` (B,) in
    samples says where each clip ends: later frames get the pad value; it lies on the host, so that no GPU is waited
    for. `frames` pads or cuts the time axis. A clip shorter than one window has no frame of its own: one frame (or
    `frames`) of pad value comes out.
    """

    def __init__(self, front: FrontEnd):
        super().__init__()
        self.front = front
        bank = filters(front)
        empty = int((bank.sum(dim=0) == 0).sum())
        if empty != front.empty:
            _warn_once(f"{empty} of {front.mels} mel filters of {front.name} catch no bin of the {front.n_fft}-point "
                       "FFT and stay at the floor: use a longer n_fft (zero-padded) or fewer mels")
        window = torch.hann_window(front.window, periodic=front.kind != "kaldi")           # kaldi's is symmetric
        if front.kind == "inat":         # magnitudes in steps of a 16-bit file, a full sine's peak = its amplitude
            bank = bank * _loudness(front)
        self.register_buffer("window", window, persistent=False)
        self.bins = []                                                                   # per block: the bins it uses
        for i, block in enumerate(bank.split(BLOCK, dim=1)):
            used = block.sum(dim=1).nonzero()
            self.bins.append(slice(int(used.min()), int(used.max()) + 1) if len(used) else slice(0, 1))
            self.register_buffer(f"bank{i}", block[self.bins[i]].contiguous(), persistent=False)

    @torch.no_grad()
    def forward(self, wave: torch.Tensor, lengths: torch.Tensor | None = None, normalise: bool = True,
                frames: int | None = None) -> torch.Tensor:
        front = self.front
        if not isinstance(wave, torch.Tensor) or wave.ndim != 2 or not wave.is_floating_point():
            got = f"{tuple(wave.shape)} {wave.dtype}" if hasattr(wave, "shape") else type(wave).__name__
            raise ValueError(f"LogMel {front.name} got {got}, needs a float tensor (B, N): one wave is wave[None]")
        if self.window.device != wave.device:
            self.to(wave.device)
        with torch.autocast(wave.device.type, enabled=False):
            wave, lengths = wave.float(), self._lengths(wave, lengths)
            log_mel = self._log_mel(wave, lengths)                                       # (B, T, M)
        present = [front.count(n) for n in lengths]                                      # host numbers: nothing waits
        if any(n < log_mel.shape[1] for n in present):
            steps = torch.arange(log_mel.shape[1], device=wave.device)
            ends = torch.tensor(present).to(wave.device, non_blocking=True)[:, None]     # (B, 1)
            log_mel.masked_fill_((steps >= ends)[..., None], front.pad)
        if front.subtract:
            log_mel = self.subtracted(log_mel, present)
        if normalise:
            log_mel.sub_(front.mean).div_(front.divisor * front.std)
        spec = log_mel[:, None]                                                      # (B, 1, T, M)
        return spec if frames is None else self.fit(spec, frames, normalise)

    def fit(self, x: torch.Tensor, frames: int | None = None, normalised: bool = True) -> torch.Tensor:
        """Specs (B, 1, T, M) -> (B, 1, frames, M): cut, or the pad value at the end (default: the model's frames)."""
        frames = self.front.frames if frames is None else frames
        pad = normalise(self.front.pad, self.front) if normalised else self.front.pad
        return torch.nn.functional.pad(x[:, :, :frames], (0, 0, 0, max(0, frames - x.shape[2])), value=pad)

    def subtracted(self, x: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        """Specs (..., T, M) of clips with so many frames of their own, without each band's median over those frames.

        Frames behind a clip's own become 0. Of an even number of frames the median is the lower middle one; on a CPU
        numpy's sort finds it in a fifth of the time of torch's nanmedian, which took a fifth of a finetuning step."""
        if self.front.subtract != "median":
            return x
        bands, behind = x.transpose(-1, -2).contiguous(), None                           # (..., M, T)
        own = torch.tensor(lengths).clamp(1, x.shape[-2]).view(-1, *(1,) * (x.ndim - 1))  # (B, .., 1)
        if min(lengths) < x.shape[-2]:
            behind = torch.arange(x.shape[-2], device=x.device) >= own.to(x.device, non_blocking=True)  # (B, .., T)
            bands = bands.masked_fill(behind, torch.nan)                                 # the last in any order
        on_host = x.device.type == "cpu"
        ordered = torch.from_numpy(np.sort(bands.numpy(), -1)) if on_host else bands.sort(-1).values
        middle = ((own - 1) // 2).to(x.device, non_blocking=True).expand(*bands.shape[:-1], 1)
        bands = bands - ordered.gather(-1, middle)
        return (bands if behind is None else bands.masked_fill(behind, 0.0)).transpose(-1, -2)

    def _lengths(self, wave, lengths):
        if lengths is None:
            return [wave.shape[1]] * len(wave)
        lengths = torch.as_tensor(lengths).tolist()
        if len(lengths) != len(wave) or not all(0 <= n <= wave.shape[1] for n in lengths):
            raise ValueError(f"LogMel {self.front.name} got lengths {lengths}, needs {len(wave)} numbers of samples "
                             f"between 0 and {wave.shape[1]}")
        return lengths

    def _log_mel(self, wave, lengths):
        front, (B, N) = self.front, wave.shape
        T = front.count(max(lengths, default=N))
        if T < 1 or B < 1:
            return wave.new_full((B, max(T, 1), front.mels), front.pad)
        if front.centred:
            wave = _reflect(wave, lengths, front.n_fft // 2)                              # (B, N + n_fft)
        framed = wave.unfold(1, front.window, front.hop)[:, :T]                            # (B, T, window), a view
        out = wave.new_empty(B, T, front.mels)
        chunk = CHUNK if wave.device.type == "cpu" else CHUNK_GPU
        padded = wave.new_zeros(min(chunk, B * T), front.n_fft)    # zero behind the window, whatever is written there
        for clips, into in zip(framed.split(max(1, chunk // T)), out.split(max(1, chunk // T))):
            for part, there in zip(clips.split(chunk, dim=1), into.split(chunk, dim=1)):
                room = padded[: part.shape[0] * part.shape[1]].view(*part.shape[:2], -1)   # (b, t, n_fft)
                _RECIPES[front.kind](self, part, room, there.view(-1, front.mels))
        return out

    def _power(self, frames, room):
        """(b, t, window) -> (b*t, n_fft / 2 + 1) power of the zero-padded FFT; squares are faster than abs()."""
        torch.mul(frames, self.window, out=room[..., : self.front.window])
        fft = torch.view_as_real(torch.fft.rfft(room)).square_().flatten(0, 1)              # (b*t, n_fft / 2 + 1, 2)
        return fft[..., 0] + fft[..., 1]

    def _mel(self, x, out):
        """(b*t, n_fft / 2 + 1) -> out (b*t, M), block by block."""
        for i, (bins, part) in enumerate(zip(self.bins, out.split(BLOCK, dim=1))):
            torch.mm(x[:, bins], getattr(self, f"bank{i}"), out=part)
        return out


def _inat(log_mel, frames, room, out):
    """(b, t, window) -> out (b*t, M) in dB re one step of a 16-bit file, clipped to +-50. Magnitude, not power."""
    log_mel._mel(log_mel._power(frames, room).sqrt_(), out).clamp_(min=1e-10).log10_().mul_(20).clamp_(-50, 50)


def _kaldi(log_mel, frames, room, out):
    """(b, t, window) -> out (b*t, M): DC out, pre-emphasis 0.97 with the first sample repeated, power, floor, ln."""
    frames = frames - frames.mean(dim=-1, keepdim=True)
    frames = frames - 0.97 * torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
    log_mel._mel(log_mel._power(frames, room), out).clamp_(min=EPS).log_()


def _msm(log_mel, frames, room, out):
    """(b, t, window) -> out (b*t, M): power, offset, ln."""
    log_mel._mel(log_mel._power(frames, room), out).add_(EPS).log_()


_RECIPES = dict(zip(KINDS, (_inat, _kaldi, _msm)))
_SAID = set()


def _warn_once(text):
    if text not in _SAID:
        _SAID.add(text)
        warnings.warn(text, stacklevel=3)


def _reflect(wave, lengths, pad):
    """(B, N) -> (B, N + 2 pad): each clip mirrored at its own two ends, whatever its neighbours' lengths."""
    last = torch.tensor(lengths).to(wave.device, non_blocking=True)[:, None] - 1         # (B, 1)
    at = torch.arange(-pad, wave.shape[1] + pad, device=wave.device).abs()               # (N + 2 pad,)
    at = (last - (last - at).abs()).clamp(min=0)                                         # (B, N + 2 pad)
    return wave.gather(1, at.clamp(max=wave.shape[1] - 1))


def to_wave(x, front: FrontEnd, iterations: int = 32) -> torch.Tensor:
    """A normalised spec (T, M) -> wave (N,) at front.rate: mel filters undone, phases guessed by librosa's Griffin-Lim.

    What lay between the filters and every phase are lost for good: play the round trip of an original beside any guess.
    """
    x = torch.as_tensor(x).detach().cpu().float()
    if x.ndim != 2 or x.shape[1] != front.mels or len(x) < 1:
        raise ValueError(f"to_wave got {tuple(x.shape)}, needs one normalised spec (T, {front.mels}): "
                         "take spec[0, 0] of (B, 1, T, M)")
    log_mel, bank = unnormalise(x, front), filters(front)
    if front.kind == "inat":
        stft = _least_squares(10 ** (log_mel / 20) / _loudness(front), bank)              # (T, bins) magnitude
    else:
        stft = _least_squares(log_mel.exp(), bank).sqrt()
    if front.kind == "kaldi":                                                             # undo pre-emphasis, no DC
        turn = 2j * math.pi * torch.arange(stft.shape[1]) / front.n_fft
        stft = stft / (1 - 0.97 * torch.exp(-turn)).abs()
        stft[:, 0] = 0
    # so that nothing is divided by a window's end
    edge = 0 if front.centred else -(-front.window // (2 * front.hop))
    stft = torch.cat([stft[:1].expand(edge, -1), stft, stft[-1:].expand(edge, -1)])      # (T + 2 edge, bins)
    wave = librosa.griffinlim(stft.T.numpy(), n_iter=iterations, hop_length=front.hop, win_length=front.window,
                              n_fft=front.n_fft, random_state=0)
    first = 0 if front.centred else edge * front.hop - front.window // 2
    count = (len(x) - 1) * front.hop + (0 if front.centred else front.window)
    return torch.from_numpy(wave[first:first + count].copy())


def _loudness(front):
    """INAT's factor from FFT magnitude to steps of a 16-bit file: a full sine's magnitude becomes its amplitude."""
    return 32_768 * 2 / torch.hann_window(front.window, dtype=torch.float64).sum().item()


def _least_squares(mel, bank):
    """(T, M) mel -> (T, bins) >= 0 with `result @ bank` near mel, by multiplicative updates.

    librosa.util.nnls finds the same kind of answer, but takes 17 s to minutes for 3 s of these sounds; this 0.1 s."""
    x = mel @ (bank / (bank.sum(dim=0) + 1e-12)).T / (bank.sum(dim=1) + 1e-6)            # start: spread over bins
    up, square = mel @ bank.T, bank @ bank.T                                             # (T, bins), (bins, bins)
    for _ in range(60):
        x = x * up / (x @ square).clamp(min=1e-20)
    return x
