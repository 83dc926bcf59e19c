"""Pictures that are drawn again and again: axes and labels once, and each time only what has changed.

A new matplotlib figure of four spectrograms takes a third of a second on a busy core; drawing only the pictures, their
titles and frames over a kept background takes a tenth of that.
"""
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from lib import plots
from lib.explorers.base import DPI, Sound
from lib.mel import FrontEnd

__all__ = ["Canvas", "Panel", "Panels", "small_print"]

FONT = 9.5  # points


class Canvas:
    """A figure without a window, of so many inches. Its background is drawn once, what changes is drawn over it."""

    def __init__(self, width: float, height: float = 2.7) -> None:
        self.figure = Figure(figsize=(width, height), dpi=DPI, layout="none")
        self.agg, self.drawn = FigureCanvasAgg(self.figure), None

    def background(self, key: Hashable, draw: Callable[[], None]) -> None:
        """Make the figure blank but for its background. `draw` draws that, if another `key` was drawn before."""
        if self.drawn != key:
            draw()
            self.agg.draw()  # animated artists stay out
            self.kept, self.drawn = self.agg.copy_from_bbox(self.figure.bbox), key
        self.agg.restore_region(self.kept)

    def pixels(self, *changed: Artist) -> np.ndarray:
        """The figure with these artists drawn over it: (H, W, 3)."""
        for artist in changed:
            artist.axes.draw_artist(artist)
        return np.asarray(self.agg.buffer_rgba())[..., :3].copy()


def small_print(ax: Axes) -> None:
    """The title, the labels and the ticks of axes in the size that all explorers have."""
    for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
        text.set_size(FONT)
    ax.tick_params(labelsize=FONT)


class Panel(NamedTuple):
    """One spectrogram of a row."""
    x: torch.Tensor  # (T, M), or fewer and larger cells over the same area, such as (t, f); NaN is grey
    title: str
    limits: tuple[float, float] | None = None  # of the colours; None takes the 1 % and 99.8 % quantiles
    calls: pd.DataFrame | None = None  # boxes to frame in cyan
    mark: tuple[float, float, float, float] | None = None  # a white frame: x, y, width, height, shares of the picture


BLANK = Panel(torch.full((2, 2), torch.nan), "", (0, 1))


class Panels(Canvas):
    """A row of spectrograms. looks: the colour map of each panel. Width and height in inches."""

    def __init__(self, looks: Sequence[str], width: float = 11.0, height: float = 2.7) -> None:
        super().__init__(width, height)
        self.axes = np.atleast_1d(self.figure.subplots(1, len(looks), sharey=True))
        self.figure.subplots_adjust(left=0.65 / width, right=1 - 0.1 / width, bottom=0.5 / height,
                                    top=1 - 0.3 / height, wspace=0.06)
        self.looks = looks

    def draw(self, front: FrontEnd, frames: int, panels: Sequence[Panel]) -> np.ndarray:
        """The row as pixels (H, W, 3), over `frames` frames of the front end; where panels are lacking it is grey."""
        self.background((front, frames), lambda: self._draw_axes(front, frames))
        panels, changed = [*panels, *[BLANK] * len(self.looks)], []
        for ax, image, panel in zip(self.axes, self.images, panels):
            x = torch.as_tensor(panel.x).detach().float().cpu().numpy()
            image.set_data(x.T)
            image.set_clim(*(panel.limits or np.nanquantile(x, [0.01, 0.998])))
            ax.title.set_text(plots.label(panel.title))
            if panel.calls is not None:
                plots.boxes(ax, panel.calls, front)
            if panel.mark:
                left, low, wide, high = np.multiply(panel.mark, [frames * front.hop_s, front.mels] * 2)
                ax.add_patch(Rectangle((left, low), wide, high, fill=False, edgecolor="white", linewidth=2,
                                       path_effects=[withStroke(linewidth=4, foreground="black")]))
            changed += [image, *ax.patches, ax.title]
        row = self.pixels(*changed)
        for ax in self.axes:
            for patch in list(ax.patches):
                patch.remove()
        return row

    def draw_sounds(self, front: FrontEnd, sounds: Sequence[tuple[str, Sound]]) -> np.ndarray:
        """The row of titles and sounds, each as long as the front end's input, with their calls."""
        return self.draw(front, front.frames, [Panel(sound.spec(front, front.frames)[0, 0], title, None, sound.calls)
                                               for title, sound in sounds])

    def _draw_axes(self, front: FrontEnd, frames: int) -> None:
        self.images, seconds = [], frames * front.hop_s
        for ax, look in zip(self.axes, self.looks):
            ax.clear()
            image = plots.spec(ax, torch.zeros(frames, front.mels), front, " ", (0, 1), look)
            for artist in (image, ax.title):
                artist.set_animated(True)
            self.images.append(image)
            small_print(ax)
            if ax is not self.axes[0]:
                ax.set_ylabel("")
                ax.tick_params(labelleft=False)
            ax.set_xticks([tick for tick in ax.get_xticks() if 0 <= tick < 0.95 * seconds])  # none near the next panel
