"""A row of spectrograms that is drawn again and again: axes and labels once, and each time only what has changed.

A new matplotlib figure of four spectrograms takes a third of a second on a busy core; drawing only the pictures, their titles and
frames over a kept background takes a tenth of that.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from lib import plots
from lib.mel import FrontEnd

__all__ = ["Panel", "Panels", "pixels"]

DPI, FONT = 100, 9.5  # points; at this dpi 13 pixels


class Panel(NamedTuple):
    """One spectrogram of a row."""

    x: torch.Tensor  # (T, M), or fewer and larger cells over the same area, such as (t, f); NaN is grey
    title: str
    limits: tuple[float, float] | None = None  # of the colours; None takes the 1 % and 99.8 % quantiles
    calls: pd.DataFrame | None = None  # boxes to frame in cyan
    marks: Sequence[tuple[float, float, float, float]] = ()  # frames in white: x and y of a corner, width, height, as shares of the picture


class Panels:
    """looks: the colour map of each panel. Width and height in inches at 100 dpi."""

    def __init__(self, looks: Sequence[str], width: float = 11.0, height: float = 2.7) -> None:
        self.figure = Figure(figsize=(width, height), dpi=DPI, layout="none")
        FigureCanvasAgg(self.figure)
        self.axes = np.atleast_1d(self.figure.subplots(1, len(looks), sharey=True))
        self.figure.subplots_adjust(left=0.55 / width, right=1 - 0.1 / width, bottom=0.5 / height, top=1 - 0.3 / height, wspace=0.06)
        self.looks, self.key = looks, None

    def draw(self, front: FrontEnd, frames: int, shown: Sequence[Panel]) -> np.ndarray:
        """The row as pixels (H, W, 3): one Panel per look, over `frames` frames of the front end."""
        canvas = self.figure.canvas
        if self.key != (front, frames):
            self._draw_once(front, frames)
            canvas.draw()  # animated artists stay out
            self.background, self.key = canvas.copy_from_bbox(self.figure.bbox), (front, frames)
        canvas.restore_region(self.background)
        for ax, image, panel in zip(self.axes, self.images, shown):
            x = torch.as_tensor(panel.x).detach().float().cpu().numpy()
            image.set_data(x.T)
            image.set_clim(*(panel.limits or np.nanquantile(x, [0.01, 0.998])))
            ax.title.set_text(panel.title)
            if panel.calls is not None:
                plots.boxes(ax, panel.calls, front)
            for left, low, wide, high in panel.marks:
                ax.add_patch(Rectangle((left * frames * front.hop_s, low * front.mels), wide * frames * front.hop_s, high * front.mels, fill=False,
                                       edgecolor="white", linewidth=2, path_effects=[withStroke(linewidth=4, foreground="black")]))
            for artist in (image, *ax.patches, ax.title):
                ax.draw_artist(artist)
            for patch in list(ax.patches):
                patch.remove()
        return pixels(self.figure)

    def _draw_once(self, front: FrontEnd, frames: int) -> None:
        self.images = []
        for i, (ax, look) in enumerate(zip(self.axes, self.looks)):
            ax.clear()
            self.images.append(plots.spec(ax, torch.zeros(frames, front.mels), front, " ", (0, 1), look))
            self.images[-1].set_animated(True)
            ax.set_title(" ", fontsize=FONT, animated=True)
            ax.tick_params(labelsize=FONT, labelleft=i == 0)
            ax.set_xlabel("time (s)", fontsize=FONT)
            ax.set_ylabel("frequency (kHz)" if i == 0 else "", fontsize=FONT)
            ax.set_xticks([tick for tick in ax.get_xticks() if 0 <= tick < 0.95 * frames * front.hop_s])  # a last label would touch the next panel


def pixels(figure: Figure) -> np.ndarray:
    """What is on a figure's canvas now: (H, W, 3)."""
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
