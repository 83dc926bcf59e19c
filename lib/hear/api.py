"""The HEAR interface (Turian et al. 2022): any sound in, embeddings over time or of the whole scene out.

`hearvalidator` and `heareval` take the package lib.hear by its name; each asks `load_model` for a model, its rate and
its sizes, then for embeddings. A sound of any length is cut into segments of the model's length; the patches of one
time column, laid end to end, are its feature (Niizumi et al. 2022, Eq. 1). Every clip goes through constants of the
front end, never through a mean of the batch as in the public runtime of MSM-MAE, so its embedding does not depend on
its batch mates.
"""

import math

import torch
from torch import Tensor, nn

from lib import checkpoints, mel, training
from lib.mae import MAE, Arch
from lib.mel import FrontEnd, LogMel
from lib.transfer import public, reference
from lib.transfer.reference import Frozen

__all__ = ["Embedder", "Windowed", "load_model", "get_timestamp_embeddings", "get_scene_embeddings", "columns"]

RATES = (16_000, 22_050, 32_000, 44_100, 48_000)  # Hz, those in which HEAR's tasks are published
PASS = 64  # segments encoded at once: memory does not grow with the length of a sound


class Embedder(nn.Module):
    """A pretrained model behind its front end: waves (B, N) at sample_rate -> features (B, n, f*D) of columns."""

    def __init__(self, model: MAE, front: FrontEnd) -> None:
        super().__init__()
        arch = model.arch
        if front.rate not in RATES:
            raise ValueError(f"this model hears {front.rate:,} Hz; HEAR's sounds come at "
                             f"{', '.join(f'{r:,}' for r in RATES)} Hz: take a model with one of these")
        if (front.frames, front.mels) != (arch.frames, arch.mels):
            raise ValueError(f"the front end {front.name} gives {front.frames} frames x {front.mels} mels, the model "
                             f"takes {arch.frames} x {arch.mels}: use the front end that belongs to these weights")
        self.model, self.front, self.log_mel = model.eval(), front, LogMel(front)
        self.sample_rate = front.rate
        self.timestamp_embedding_size = self.scene_embedding_size = model.grid.f * arch.dim
        self.step = arch.patch[0] * front.hop  # samples from one column to the next
        # samples to the middle of the first column
        self.first = (arch.patch[0] - 1) * front.hop / 2 + (0 if front.centred else front.window / 2)

    def count(self, samples: int) -> int:
        """Columns of a sound of so many samples: those whose middle lies within it, at least one."""
        return max(1, 1 + math.floor((samples - self.first) / self.step))

    def times(self, samples: int) -> Tensor:
        """The middle of each column in ms (n,); of a sound that ends before the first one, the middle of the sound."""
        at = self.first + self.step * torch.arange(self.count(samples), dtype=torch.float64)  # (n,) samples
        return (at if at[0] <= samples else at.fill_(samples / 2)).mul(1000 / self.front.rate).float()

    def forward(self, audio: Tensor) -> Tensor:
        T, n = self.front.frames, self.count(audio.shape[1])
        segments, silence = math.ceil(n * self.model.arch.patch[0] / T), mel.normalise(self.front.pad, self.front)
        found = []
        for clips in audio.split(PASS):
            at_once = max(1, PASS // max(1, len(clips)))
            specs = (self.spec(clips, s * T, min(at_once, segments - s) * T) for s in range(0, segments, at_once))
            found.append(torch.cat([columns(self.model, spec, silence) for spec in specs], 1)[:, :n])
        return torch.cat(found)  # (B, n, f*D)

    def spec(self, audio: Tensor, first: int, frames: int) -> Tensor:
        """The normalised frames of the whole sound from `first` on, (B, 1, <= frames, M), of the samples they need."""
        hop, reach = self.front.hop, -(-self.front.n_fft // self.front.hop)  # frames whose window reaches over a cut
        begin = max(0, first - reach)
        samples = audio[:, begin * hop : (first + frames + reach) * hop].to(self.log_mel.window.device)
        return self.log_mel(samples)[:, :, first - begin :][:, :, :frames]


class Windowed(nn.Module):
    """A frozen model that gives one vector a window, such as BirdNET: waves (B, N) at sample_rate -> (B, n, D).

    Every half second is heard in the middle of a window of its own; what lies beyond the sound is zeros."""
    HOP_S = 0.5

    def __init__(self, model: Frozen) -> None:
        super().__init__()
        if model.rate not in RATES:
            raise ValueError(f"{model.name} hears {model.rate:,} Hz; HEAR's sounds come at "
                             f"{', '.join(f'{r:,}' for r in RATES)} Hz")
        self.features, self.samples, self.sample_rate = model.features, model.samples, model.rate
        self.name, self.what, self.key = model.name, model.what, model.key  # what is kept is named after these
        self.timestamp_embedding_size = self.scene_embedding_size = model.width
        self.reach = model.seconds / 2 / self.HOP_S  # how many columns away a sound still moves one

    def times(self, samples: int) -> Tensor:
        """The middle of each window in ms (n,); of a sound that ends before the first one, the middle of the sound."""
        step = self.HOP_S * self.sample_rate
        at = (torch.arange(max(1, int(samples / step)), dtype=torch.float64) + 0.5) * step  # (n,) samples
        return (at if at[0] <= samples else at.fill_(samples / 2)).mul(1000 / self.sample_rate).float()

    def forward(self, audio: Tensor) -> Tensor:
        half = self.samples // 2
        padded = nn.functional.pad(audio, (half, self.samples - half))  # a window begins where its middle was
        middles = (self.times(audio.shape[1]).double() * self.sample_rate / 1000).round().long().tolist()
        return torch.stack([self.features(padded[:, first : first + self.samples]) for first in middles], 1)


def columns(model: MAE, spec: Tensor, pad: float) -> Tensor:
    """Normalised specs (B, 1, T', M) of any length -> features (B, ceil(T' / pt), f*D), float32 (Eq. 1).

    Segments of the model's T frames are encoded one by one and laid in a row; the last is filled up with `pad`, and
    what it says about the filling is cut off. The public runtime fills up with 0, the mean, after normalising."""
    (B, _, frames, M), T, (t, f) = spec.shape, model.arch.frames, model.grid
    spec = nn.functional.pad(spec, (0, 0, 0, -frames % T), value=pad)  # (B, 1, S*T, M)
    tokens = model.encode(spec.reshape(-1, 1, T, M))[:, 1:]  # (B*S, L, D)
    features = tokens.reshape(B, spec.shape[2] // T * t, f * model.arch.dim)  # (B, S*t, f*D)
    return features[:, : math.ceil(frames / model.arch.patch[0])].float()


def load_model(path: str = "") -> Embedder | Windowed:
    """A model for HEAR: a checkpoint of ours by its path; public weights by name, "msm_mae", "audiomae", "birdmae",
    "imagenet" (fetched once), or "msm_mae:FILE" where the file is here; "birdnet" where it is installed; "", a floor:
    an untrained model of 2 s."""
    name, _, file = str(path).partition(":")
    if name == "birdnet":
        return Windowed(reference.load(path))
    if name in public.KINDS:
        model, card = public.load(name, file or "hub", frames=public.PUBLIC[name].front.frames)
        return Embedder(model, card.front)
    if path:
        model, card = checkpoints.load(path)
        return Embedder(model, card.front)
    front = mel.MSM_MAE
    arch = Arch(frames=front.frames, mels=front.mels, dim=128, depth=4, heads=2, decoder="plain", decoder_dim=64,
                decoder_depth=1, decoder_heads=1, norm_pixels=False)
    return Embedder(MAE(arch, training.generator(0)), front)


def get_timestamp_embeddings(audio: Tensor, model: nn.Module) -> tuple[Tensor, Tensor]:
    """Waves (B, N) in [-1, 1] at model.sample_rate -> embeddings (B, n, f*D) float32 and their times (B, n) in ms.

    A time is the middle of its patches; columns whose middle lies behind the end of the sound are left out. ValueError
    for anything but finite mono waves. A tensor does not tell its rate: where a file is read, `mel.check_rate` does."""
    _check(audio)
    with torch.no_grad():
        features = model(audio)  # (B, n, f*D)
    return features, model.times(audio.shape[1]).to(features.device).expand(len(audio), -1)


def get_scene_embeddings(audio: Tensor, model: nn.Module) -> Tensor:
    """Waves (B, N) in [-1, 1] at model.sample_rate -> (B, f*D), the means of `get_timestamp_embeddings` over time."""
    return get_timestamp_embeddings(audio, model)[0].mean(1)


def _check(audio: Tensor) -> None:
    if not isinstance(audio, Tensor) or audio.ndim != 2 or not audio.is_floating_point() or not audio.shape[1]:
        got = f"{tuple(audio.shape)} {audio.dtype}" if hasattr(audio, "shape") else type(audio).__name__
        raise ValueError("embeddings need a float tensor (B, N) of mono waves in [-1, 1] with at least one sample, "
                         f"got {got}: one wave is wave[None], stereo (B, 2, N) becomes mono by audio.mean(1), "
                         "16-bit samples come into range by audio / 32768")
    if len(bad := (~audio.isfinite().all(1)).nonzero()):
        raise ValueError(f"{len(bad)} of {len(audio)} waves hold NaN or infinite samples, the first is number "
                         f"{int(bad[0])}: leave them out or mend them")
