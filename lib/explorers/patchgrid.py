"""A spectrogram cut into patches that can be clicked, one small anywidget, and what explorers with such a grid share.

By mouse a patch is clicked; by keyboard the arrows move the frame and the space bar clicks. Hidden patches are grey
and hatched, so that no colour has to be told from another. Where a page cannot load it, the sliders beside it do.
"""
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets

from lib import patches, plots
from lib.explorers import base
from lib.explorers.base import Explorer, Sound
from lib.mae import MAE
from lib.mel import FrontEnd, centres
from lib.patches import Grid

__all__ = ["PatchGrid", "Models", "Scene", "PatchExplorer"]

Models = dict[str, tuple[MAE, FrontEnd]]  # by name: a model, the front end it was trained with


class PatchGrid(anywidget.AnyWidget):
    """Patches are numbered time-major, i = t * F + f, with mel row 0 at the bottom."""

    _esm = Path(__file__).with_name("patchgrid.js")
    _css = """
.patchgrid { width: 100%; max-width: 640px; height: 150px; display: block; cursor: pointer; background: #333; }
.patchgrid:focus { outline: 3px solid #0072b2; outline-offset: 2px; }
.patchgrid-note { font-size: 13px; line-height: 1.6; }
"""
    size = traitlets.List([1, 1]).tag(sync=True)  # time columns, mel rows
    image = traitlets.Unicode("").tag(sync=True)  # the picture behind it
    hidden = traitlets.List([]).tag(sync=True)  # numbers of the patches drawn grey
    changed = traitlets.List([]).tag(sync=True)  # numbers of the patches with a dot
    cursor = traitlets.List([0, 0]).tag(sync=True)  # time column and mel row of the frame
    click = traitlets.List([0, 0]).tag(sync=True)  # the patch clicked last, and how many clicks there were
    label = traitlets.Unicode("").tag(sync=True)

    def lay(self, grid: Grid, image: str) -> None:
        """Another spectrogram, perhaps of another grid; the frame stays where it is, if it can."""
        t, f = self.cursor
        with self.hold_sync():
            self.size, self.image, self.cursor = list(grid), image, [min(t, grid.t - 1), min(f, grid.f - 1)]

    def mark(self, hidden: Sequence[bool], changed: Sequence[int] = ()) -> None:
        """hidden: a bool per patch (L,); changed: the numbers of those that get a dot."""
        with self.hold_sync():
            self.hidden, self.changed = np.flatnonzero(hidden).tolist(), list(changed)


class Scene(NamedTuple):
    """A recording as a model takes it."""
    x: torch.Tensor  # (1, 1, T, M)
    model: MAE
    front: FrontEnd
    sound: Sound
    recording: str  # its name
    name: str  # of the recording and the model

    def call_share(self) -> torch.Tensor | None:
        """The share of each patch that lies in the box of a true call: (L,); None where these are not known."""
        if self.sound.calls is None:
            return None
        inside, middle = torch.zeros_like(self.x), centres(self.front)
        for call in self.sound.calls.itertuples():
            first, last = (max(0, round(s / self.front.hop_s)) for s in (call.start_s, call.end_s))
            inside[0, 0, first:last, (middle >= call.low_hz) & (middle <= call.high_hz)] = 1
        return patches.patchify(inside, self.model.arch.patch)[0].mean(-1)


class PatchExplorer(Explorer):
    """The base of explorers that choose a recording, a model and a patch. sounds: by name, at any rate."""

    def __init__(self, models: Models, sounds: dict[str, Sound], label: str) -> None:
        super().__init__()
        if not models or not sounds:
            raise ValueError(f"{type(self).__name__} got {len(models)} models and {len(sounds)} sounds: "
                             "it needs at least one of each")
        for name, (model, front) in models.items():
            if model.arch.mels != front.mels:
                raise ValueError(f"model {name!r} takes {model.arch.mels} mels, its front end {front.name} makes "
                                 f"{front.mels}: give each model the front end it was trained with")
        self.models = {name: (model.eval(), front) for name, (model, front) in models.items()}
        self.sounds_of = dict(sounds)
        self.recording = base.dropdown("recording", base.named(sounds))
        self.model = base.dropdown("model", base.named(models))
        self.column, self.mel_row = base.slider("time column", 1, 1, 2), base.slider("mel row", 1, 1, 2)
        self.grid = PatchGrid(label=label)
        self._lay()
        cursor, grid = (self.grid, "cursor"), self.grid
        traitlets.dlink(cursor, (self.column, "value"), lambda at: at[0] + 1)
        traitlets.dlink(cursor, (self.mel_row, "value"), lambda at: at[1] + 1)
        traitlets.dlink((self.column, "value"), cursor, lambda column: [column - 1, grid.cursor[1]])
        traitlets.dlink((self.mel_row, "value"), cursor, lambda mel_row: [grid.cursor[0], mel_row - 1])

    def scene(self, recording: str = "", model: str = "") -> Scene:
        """A recording and a model by their names; the first ones, if none is named."""
        recording, model = recording or next(iter(self.sounds_of)), model or next(iter(self.models))
        for what, name, names in (("recording", recording, self.sounds_of), ("model", model, self.models)):
            if name not in names:
                raise ValueError(f"there is no {what} {name!r}: choose one of {', '.join(names)}")
        (net, front), sound = self.models[model], self.sounds_of[recording]
        return Scene(sound.spec(front, net.arch.frames), net, front, sound, recording, f"{recording}, {model}")

    def moved(self, control) -> None:
        if control in (self.recording, self.model):
            self._lay()

    def _lay(self) -> None:
        """The grid of the recording and model that are chosen."""
        scene = self.scene(self.recording.value, self.model.value)
        x, grid = scene.x[0, 0].numpy(), scene.model.grid
        low, high = np.quantile(x, [0.01, 0.998])
        shades = (x.T[::-1] - low) / max(high - low, 1e-6)  # (M, T)
        colours = plt.get_cmap(plots.CMAP)(shades, bytes=True)[..., :3]  # (M, T, 3)
        self.grid.lay(grid, base.uri(base.jpeg(colours)))
        self.column.max, self.mel_row.max = grid.t, grid.f
