"""Explorers for the notebooks: something to move, a picture that answers.

An explorer is a class with a pure `update` (plain values in, a `View` out), so that it can be tested and used without any
widget. Its controls call it, and put the answer into an HTML widget. There is no Output widget and no `interact` in it: on
two busy cores these hang nbconvert and papermill (nbclient issue 312).
"""

import base64
import html
import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import ipywidgets
import torch
from IPython.display import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lib import patches, plots
from lib.fit import generator
from lib.mae import MAE
from lib.mel import MelSpec
from lib.patches import Grid, Mask

__all__ = ["MASKS", "View", "Reconstruction"]


def _both(B: int, grid: Grid, ratio: float, generator: torch.Generator) -> Mask:
    """Time columns and mel rows, the same share of each, so that together they hide about `ratio` of the patches."""
    side = 1 - (1 - ratio) ** 0.5
    return patches.time_freq_mask(B, grid, side, side, generator)


MASKS: dict[str, Callable[[int, Grid, float, torch.Generator], Mask]] = {
    "random patches": patches.random_mask,
    "time columns": patches.time_mask,
    "mel rows": patches.freq_mask,
    "time columns and mel rows": _both,
    "every second column": lambda B, grid, ratio, generator: patches.vertical_mask(B, grid),
    "every second row": lambda B, grid, ratio, generator: patches.horizontal_mask(B, grid),
    "chessboard": lambda B, grid, ratio, generator: patches.chessboard_mask(B, grid),
}
PATTERNS = ("every second column", "every second row", "chessboard")  # hide half, whatever ratio and seed


class View(NamedTuple):
    """What an explorer shows."""

    image: bytes  # JPEG
    text: str  # a sentence with the numbers
    alt: str  # the picture in words, for a screen reader
    loss: float  # mean squared error on the hidden patches, in the units of the model's target; NaN where none is hidden
    flat: float  # the same for a guess of each patch's mean


class Reconstruction:
    """Choose a recording and a mask, see input, what is visible, the reconstruction and its error.

    specs: (N, 1, T, M), one per name, made by `front`. `update` is the whole of it; displaying the object adds the controls.
    All controls work by keyboard: Tab moves between them, the arrows change a value, the space bar presses the button.
    """

    def __init__(self, model: MAE, specs: torch.Tensor, front: MelSpec, names: Sequence[str]) -> None:
        if specs.ndim != 4 or len(specs) != len(names) or not len(names):
            raise ValueError(f"Reconstruction got specs of shape {tuple(specs.shape)} and {len(names)} names: it needs specs (N, 1, T, M) and N names")
        if tuple(specs.shape[2:]) != (model.arch.frames, model.arch.mels):
            raise ValueError(f"Reconstruction got specs of {specs.shape[2]} frames x {specs.shape[3]} mels, the model wants {model.arch.frames} x "
                             f"{model.arch.mels}: make them with LogMel(front)(wave, frames={model.arch.frames})")
        self.model, self.specs, self.front, self.names = model.eval(), specs.detach().float().cpu(), front, list(names)
        self._draw_once()
        self._controls()

    @torch.no_grad()
    def update(self, recording: int = 0, kind: str = "random patches", ratio: float = 0.8, seed: int = 0) -> View:
        """One picture. The same arguments give the same picture; `ratio` is the share of patches hidden."""
        if kind not in MASKS:
            raise ValueError(f"unknown mask {kind!r}: choose one of {', '.join(MASKS)}")
        x, device = self.specs[recording : recording + 1], next(self.model.parameters()).device  # (1, 1, T, M)
        mask = MASKS[kind](1, self.model.grid, ratio, generator(seed))
        there, hidden = mask.to(device), mask.hidden[0]
        guess = self.model.decode(self.model.encode(x.to(device), there), there).cpu()  # (1, L, pt*pf)
        target = self.model.target(x)  # (1, L, pt*pf)
        loss = float((guess - target)[0, hidden].square().mean())
        flat = float((target - target.mean(-1, keepdim=True))[0, hidden].square().mean())
        n, L, name = int(hidden.sum()), hidden.numel(), self.names[recording]
        what = kind if kind in PATTERNS else f"{kind}, seed {seed}"
        text = f"{name}: {n} of {L} patches hidden ({n / L:.0%}; {what}). "
        text += f"Mean squared error on hidden patches {loss:.3f}; a guess of each patch's mean has {flat:.3f}." if n else "There is nothing to guess."
        alt = f"Four spectrograms of {name}: input, the {L - n} visible patches, the reconstruction, and its error, largest where it is yellow."
        return View(self._picture(x, mask, self.model.picture(x, guess, mask), loss), text, alt, loss, flat)

    # -- the picture: one figure, drawn anew with other data, which takes a third of the time of a new figure

    def _draw_once(self) -> None:
        self.figure = Figure(figsize=(11, 2.9), dpi=90, layout="constrained")
        FigureCanvasAgg(self.figure)
        axes, x = self.figure.subplots(1, 4, sharey=True), self.specs[0]
        looks = ["viridis" if i == 3 else plots.CMAP for i in range(4)]
        self.images = [plots.spec(ax, x, self.front, " ", (0, 2), look) for ax, look in zip(axes, looks)]
        for ax in axes:
            ax.title.set_size("small")
            ax.label_outer()
        self.figure.canvas.draw()
        self.figure.set_layout_engine("none")  # the layout stays as it is

    def _picture(self, x: torch.Tensor, mask: Mask, picture: torch.Tensor, loss: float) -> bytes:
        low, high = torch.quantile(x, torch.tensor([0.01, 0.998])).tolist()
        borrowed = ", level borrowed" if self.model.arch.norm_pixels else ""
        shown = [(x, "input"), (plots.masked(x, mask, self.model.arch.patch), f"{mask.keep.shape[1]} of {mask.hidden.shape[1]} patches visible"),
                 (picture, f"reconstruction{borrowed}"), ((picture - x).abs(), "|error|" + (f"; loss {loss:.2f}" if loss == loss else ""))]
        for i, (image, (part, title)) in enumerate(zip(self.images, shown)):
            image.set_data(part[0, 0].T.numpy())
            image.set_clim(*((0, 2) if i == 3 else (low, high)))
            image.axes.set_title(title, fontsize="small")
        file = io.BytesIO()
        self.figure.savefig(file, format="jpeg", dpi=90, pil_kwargs={"quality": 82})
        return file.getvalue()

    # -- the controls

    def _controls(self) -> None:
        wide, label = ipywidgets.Layout(width="24em"), {"description_width": "7em"}
        self.recording = ipywidgets.Dropdown(options=[(n, i) for i, n in enumerate(self.names)], description="recording", layout=wide, style=label)
        self.kind = ipywidgets.Dropdown(options=list(MASKS), description="mask", layout=wide, style=label)
        self.ratio = ipywidgets.FloatSlider(value=0.8, min=0.1, max=0.98, step=0.02, readout_format=".2f", description="mask ratio",
                                            continuous_update=False, layout=wide, style=label)
        self.button = ipywidgets.Button(description="new mask", tooltip="draw another mask of the same kind")
        self.seed = 0
        self.picture, self.text = ipywidgets.HTML(), ipywidgets.HTML()
        for control in (self.recording, self.kind, self.ratio):
            control.observe(self._show, names="value")
        self.button.on_click(self._again)
        rows = [ipywidgets.HBox([self.recording, self.ratio]), ipywidgets.HBox([self.kind, self.button])]
        self.panel = ipywidgets.VBox([*rows, self.text, self.picture])
        self._show()

    def _again(self, _) -> None:
        self.seed += 1
        self._show()

    def _show(self, _=None) -> None:
        self.ratio.disabled = self.button.disabled = self.kind.value in PATTERNS  # these have no ratio and nothing to draw anew
        view = self.update(self.recording.value, self.kind.value, self.ratio.value, self.seed)
        data = base64.b64encode(view.image).decode()
        self.text.value = f'<p role="status" style="line-height: 1.4">{html.escape(view.text)}</p>'
        self.picture.value = f'<img style="max-width: 100%" alt="{html.escape(view.alt, quote=True)}" src="data:image/jpeg;base64,{data}">'

    def _ipython_display_(self) -> None:
        display(self.panel)
