"""The map of sounds: a point a clip, near what a model hears as alike; a point that is clicked is shown with its
nearest neighbours, and can be heard.

By keyboard: Tab to the map, the arrows go to the nearest point in that direction; or the slider beside it.
"""
from pathlib import Path

import anywidget
import numpy as np
import pandas as pd
import traitlets

from lib import audio, mel, plots
from lib.explorers import base
from lib.explorers.base import Explorer, Sound, View
from lib.explorers.panels import Panels
from lib.field import embeddings
from lib.mel import FrontEnd

__all__ = ["Points", "SoundMap"]

NEAR = 2  # neighbours that are shown


class Points(anywidget.AnyWidget):
    """Points on a plane, of which one is chosen."""

    _esm = Path(__file__).with_name("soundmap.js")
    _css = """
.soundpoints { width: 100%; max-width: 720px; height: 360px; display: block; cursor: pointer; border: 1px solid #999; }
.soundpoints:focus { outline: 3px solid #0072b2; outline-offset: 2px; }
.soundpoints-note { font-size: 13px; line-height: 1.6; }
"""
    xy = traitlets.List([]).tag(sync=True)  # of each point, from 0 to 1
    lit = traitlets.List([]).tag(sync=True)  # numbers of the points in colour
    picked = traitlets.List([]).tag(sync=True)  # numbers of the points with a square around them
    near = traitlets.List([]).tag(sync=True)  # numbers of the neighbours
    chosen = traitlets.Int(0).tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)


class SoundMap(Explorer):
    """clips: file, start_s, end_s, label, W rows; x (W, D) their vectors; points (W, 2), as `embeddings.flat` makes.

    picked: rows that get a square, such as the next to label."""

    def __init__(self, clips: pd.DataFrame, x: np.ndarray, points: np.ndarray, picked: np.ndarray = np.array([], int),
                 front: FrontEnd = mel.INAT) -> None:
        super().__init__()
        if not len(clips) == len(x) == len(points):
            raise ValueError(f"got {len(clips)} clips, {len(x)} vectors and {len(points)} points: they must be as many")
        self.clips, self.x, self.front = clips.reset_index(drop=True), x, front
        self.names = self.clips["label"].astype(str).to_numpy()
        self.panels = Panels([plots.CMAP] * (1 + NEAR))
        low, high = points.min(0), points.max(0)
        xy = 0.03 + 0.94 * (points - low) / np.maximum(high - low, 1e-9)
        self.points = Points(xy=xy.round(4).tolist(), picked=[int(i) for i in picked])
        self.clip = base.slider("clip", 1, 1, len(clips))
        self.species = base.dropdown("in colour", [("nothing", None), *base.named(sorted(set(self.names)))])
        traitlets.dlink((self.points, "chosen"), (self.clip, "value"), lambda chosen: chosen + 1)
        traitlets.dlink((self.clip, "value"), (self.points, "chosen"), lambda clip: clip - 1)
        self._start([base.row(self.species, self.clip, self.listen), self.points],
                    {"clip": self.clip, "species": self.species})

    def around(self, clip: int) -> list[tuple[int, float]]:
        """A clip (counted from 1) and its nearest neighbours, as rows with the cosine to it."""
        rows, cosines = embeddings.nearest(self.x, self.x[clip - 1], 1 + NEAR)
        others = [(int(row), float(cosine)) for row, cosine in zip(rows[0], cosines[0]) if row != clip - 1]
        return [(clip - 1, 1.0), *others[:NEAR]]

    def update(self, clip: int = 1, species: str | None = None) -> View:
        """clip: which, counted from 1; species: whose points are in colour."""
        shown, lit = self.around(clip), np.flatnonzero(self.names == species)
        with self.points.hold_sync():
            self.points.near, self.points.lit = [row for row, _ in shown[1:]], lit.tolist()
            self.points.note = f"clip {clip} of {len(self.clips)}: {plots.plain(self.names[clip - 1])}"
        alike = "; ".join(f"{self.names[row]} (cosine {cosine:.2f})" for row, cosine in shown[1:])
        text = f"Clip {clip} of {len(self.clips)} is of {self.names[clip - 1]}. Most like it: {alike or 'nothing'}."
        if species is not None:
            text += f" In colour: {len(lit)} clips of {species}."
        titles = [self._title(row) for row, _ in shown]
        image = base.jpeg(self.panels.draw_sounds(self.front, [(t, self._sound(row))
                                                               for t, (row, _) in zip(titles, shown)]))
        same = [float(self.names[row] == self.names[clip - 1]) for row, _ in shown[1:]]
        return View(image, text, f"Spectrograms of a clip and of those most like it: {'; '.join(titles)}.",
                    {"neighbours of its species": int(sum(same))})

    def hear(self, clip: int = 1, species: str | None = None) -> list[tuple[str, Sound]]:
        return [(self._title(row), self._sound(row)) for row, _ in self.around(clip)]

    def _title(self, row: int) -> str:
        return f"{row + 1}: {self.names[row]}"

    def _sound(self, row: int) -> Sound:
        clip = self.clips.loc[row]
        seconds = min(clip["end_s"] - clip["start_s"], self.front.seconds)
        return Sound(audio.read(clip["file"], self.front.rate, clip["start_s"], seconds), self.front.rate)
