"""Frozen models behind one small interface, ours and others': waves of one rate in, a vector a window out.

What is measured beside each other, kept as a classifier or searched for neighbours needs no more of a model than this.
"""
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lib import checkpoints, hardware, paths
from lib.checkpoints import Card
from lib.mae import MAE
from lib.mel import LogMel
from lib.transfer import probe, public, starts

__all__ = ["Frozen", "load", "ours"]


@dataclass(frozen=True)
class Frozen:
    """A frozen model. `features` takes waves (B, N) in [-1, 1] at `rate`, N <= `samples`, and gives (B, D) float32.

    A shorter wave is a whole short recording: it is filled up as the model wants it, and what is filled up is left out
    of means where the model allows it. `scores` gives (B, C), the model's own certainty of each of its `labels`, each
    by itself."""
    name: str
    what: str  # one line: what it was trained on, where it is from, its licence
    rate: int  # Hz
    samples: int  # of a window
    width: int  # D
    key: str  # of its weights: what is kept of it is named after them
    features: Callable[[Tensor], Tensor]
    labels: tuple[str, ...] = ()  # the species that it names itself
    scores: Callable[[Tensor], Tensor] | None = None

    @property
    def seconds(self) -> float:
        return self.samples / self.rate


def load(name: str) -> Frozen:
    """A frozen model by its name: "ready" (the weights in this repository), public weights such as "audiomae" (the hub)
    or "audiomae:FILE", or the path of a checkpoint."""
    kind, _, file = name.partition(":")
    if name == "ready":
        return ours(*starts.load_ready())
    if kind in public.KINDS:
        return ours(*public.load(kind, file or "hub", frames=public.PUBLIC[kind].front.frames))
    return ours(*checkpoints.load(name))


def ours(model: MAE, card: Card, kind: str = "spread") -> Frozen:
    """Any MAE: of its patches one of `probe.KINDS`, by default each mel row's mean and standard deviation over time."""
    front, device = card.front, hardware.accelerator().device
    log_mel, model = LogMel(front).to(device), model.to(device).eval()

    @torch.no_grad()
    def features(waves: Tensor) -> Tensor:
        frames = min(front.frames, front.count(waves.shape[1]))
        columns = max(1, -(-frames // model.arch.patch[0]))  # that hold sound
        said = model.encode(log_mel(waves.to(device), frames=front.frames)).float()  # (B, 1+L, D)
        return probe.pooled(said, model.grid, torch.full((len(said),), columns, device=device))[kind].cpu()

    (_, f), dim = model.grid, model.arch.dim
    width = {"class": dim, "mean": dim, "frequency": f * dim, "spread": 2 * f * dim}[kind]
    what = f"{card.trained_on} ({card.source}; {card.licence})"
    return Frozen(card.name, what, front.rate, front.samples, width, paths.key(card.sha256, kind), features)
