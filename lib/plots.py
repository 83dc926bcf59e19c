"""Pictures, tables and sounds in one style: time runs left to right, mel upwards, hidden patches are grey.

Names of classes, files, pools and models come from outside and may hold anything: they are shown as the text they are,
through `table` as HTML, `label` in figures, `escaped` in HTML of one's own and `plain` in print."""

import html
import inspect
import io
import os
import re
from collections.abc import Callable, Sequence
from functools import cache
from numbers import Number

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import soundfile
import torch
from IPython.display import Audio, Code
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib_inline.backend_inline import set_matplotlib_formats
from pandas.io.formats.style import Styler

from lib import audio, mel, patches, paths
from lib.mel import FrontEnd
from lib.patches import Mask

__all__ = ["style", "save", "plain", "escaped", "label", "table", "spec", "masked", "reconstruction", "boxes", "curve",
           "source", "sound", "HIDDEN"]

HIDDEN = "0.75"  # the grey of a hidden patch
CMAP = "magma"
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # controls, and what is no UTF-8
LONGEST = 60  # characters of a name in a figure


def style(photo: bool = True) -> None:
    """One look for all figures: colour-blind safe, readable when projected. photo: store them as JPEG, since a
    spectrogram as PNG is seven times as large; pass False in a notebook of line plots."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind", rc={
        "figure.dpi": 110, "savefig.dpi": 120, "figure.constrained_layout.use": True, "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": "medium", "legend.frameon": False, "figure.facecolor": "white"})
    if photo:
        set_matplotlib_formats("jpeg", pil_kwargs={"quality": 82})
    else:
        set_matplotlib_formats("png")


def save(figure: Figure, name: str) -> None:
    """Keep a figure as figures/NAME.png, for the README; beside its records where STUDY_RUNS keeps them elsewhere."""
    elsewhere = os.environ.get("STUDY_RUNS")
    folder = paths.resolve(elsewhere) if elsewhere else paths.ROOT
    with paths.atomic(folder / "figures" / f"{name}.png") as part:
        figure.savefig(part, dpi=120, metadata={"Software": None})


def plain(text: object) -> str:
    """A text in one line that can be written as UTF-8: line ends and tabs are blanks, what has no sign (as bytes of a
    file's name that are no UTF-8) stands there with a backslash."""
    return UNSEEN.sub(lambda found: " " if found[0].isspace() else _spelt(found[0]), str(text))


def escaped(text: object) -> str:
    """A text for HTML, between tags or in the quotes of an attribute: `plain`, and no part of it is markup."""
    return html.escape(plain(text))


def label(text: object, longest: int = LONGEST) -> str:
    """A text for a title, a tick, a legend or a note of a figure: `plain`, none of it is math, and all of it is drawn.

    Characters without a glyph are spelt with a backslash. The middle of what is longer than `longest` is left out."""
    glyphs = _glyphs(findfont(FontProperties()))
    shown = "".join(c if ord(c) in glyphs else _spelt(c) for c in plain(text))
    if len(shown) > longest:
        end = longest // 3
        shown = f"{shown[: longest - end - 1]}…{shown[len(shown) - end :]}"
    blank = " " if shown.startswith("_") else ""  # a legend leaves out what begins with it
    return blank + shown.replace("$", r"\$")


@cache
def _glyphs(font: str) -> frozenset[int]:
    return frozenset(get_font(font).get_charmap())


def _spelt(character: str) -> str:
    return character.encode("unicode_escape").decode()


def table(frame: pd.DataFrame) -> Styler:
    """A frame as an HTML table, to be formatted further, in which every text is `escaped`, also the names of rows and
    columns: a format finds a column by its escaped name. (pandas' own `escape` forgets itself at the next `format`.)"""
    shown = frame.rename(index=_cell, columns=_cell).rename_axis(index=_cell, columns=_cell)
    for place, dtype in enumerate(frame.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype):
            cells = np.empty(len(frame), dtype=object)  # as objects: pandas would make floats of whole numbers
            cells[:] = [_cell(value) for value in frame.iloc[:, place]]
            shown.isetitem(place, cells)
    styler = shown.style
    texts = [*shown.index.names, *shown.columns.names, *shown.index, *shown.columns, *shown.to_numpy().ravel()]
    if re.search(r"[$\\]", " ".join(map(str, texts))):
        styler.set_table_attributes('class="tex2jax_ignore mathjax_ignore"')  # Jupyter sets math in tables too
    return styler


def _cell(value: object) -> object:
    """A value of a table: numbers and nothing as they are, all else as escaped text."""
    number = isinstance(value, Number) or pd.api.types.is_scalar(value) and pd.isna(value)
    return value if number else html.escape(plain(value), quote=False)


def spec(ax: Axes, x: torch.Tensor, front: FrontEnd, title: str | Sequence[str] = "",
         limits: tuple[float, float] | None = None, cmap: str = CMAP) -> AxesImage:
    """Draw one spec (T, M), or (1, T, M) or (1, 1, T, M): seconds along x, kHz at their mel positions along y, NaN in
    grey.

    title: a line, or several, as `label` writes them. limits: the values at the ends of the colour scale; None takes
    the 1 % and 99.8 % quantiles of this picture.
    """
    x = torch.as_tensor(x).detach().float().cpu().reshape(x.shape[-2:]).numpy()  # (T, M)
    low, high = limits or np.nanquantile(x, [0.01, 0.998])
    colours = plt.get_cmap(cmap).with_extremes(bad=HIDDEN)
    image = ax.imshow(x.T, origin="lower", aspect="auto", cmap=colours, vmin=low, vmax=high, interpolation="nearest",
                      extent=(0, len(x) * front.hop_s, 0, x.shape[1]))
    centres = mel.centres(front)  # (M,) Hz
    ticks = [khz for khz in (0.5, 1, 2, 4, 8) if khz * 1000 < front.high_hz]
    ax.set_yticks([int((centres - 1000 * khz).abs().argmin()) + 0.5 for khz in ticks], [f"{khz:g}" for khz in ticks])
    lines = [title] if isinstance(title, str) else title
    ax.set(title="\n".join(map(label, lines)), xlabel="time (s)", ylabel="frequency (kHz)")
    return image


def masked(x: torch.Tensor, mask: Mask, patch: tuple[int, int]) -> torch.Tensor:
    """What the encoder sees of specs (B, 1, T, M): hidden patches are NaN, which `spec` draws in grey."""
    flat = patches.patchify(x.float(), patch).masked_fill(mask.hidden[..., None], torch.nan)
    return patches.unpatchify(flat, patches.grid_of(*x.shape[2:], patch), patch)


def reconstruction(model, x: torch.Tensor, mask: Mask, front: FrontEnd, names: Sequence[str] = ()) -> Figure:
    """Input, what is visible, the reconstruction and its error for specs (B, 1, T, M), a row each.

    Visible patches are pasted into the reconstruction. With a per-patch-normalised target every guessed patch borrows
    the mean and std of its true patch, and the title says so.
    """
    with torch.no_grad():
        guess = model.decode(model.encode(x, mask), mask)
        errors = model.patch_errors(x, guess)  # (B, L)
    picture = model.picture(x, guess, mask)
    figure, axes = plt.subplots(len(x), 4, figsize=(11, 2.3 * len(x) + 0.4), sharex=True, sharey=True, squeeze=False)
    guessed = "guess, level borrowed" if model.arch.norm_pixels else "guess, nothing borrowed"
    unit = " (flat: 1)" if model.arch.norm_pixels else ""
    for i, row in enumerate(axes):
        limits = tuple(np.quantile(x[i].numpy(), [0.01, 0.998]))
        shown = [x[i], masked(x, mask, model.arch.patch)[i], picture[i], (picture - x)[i].abs()]
        mse = float(errors[i][mask.hidden[i]].mean())
        titles = [names[i] if len(names) else "input",
                  f"{int((~mask.hidden[i]).sum())} of {mask.hidden.shape[1]} patches visible",
                  guessed, f"|error|; loss {mse:.2f}{unit}"]
        for ax, part, title in zip(row, shown, titles):
            error = part is shown[3]
            spec(ax, part, front, title, (0, 2) if error else limits, "viridis" if error else CMAP)
            ax.title.set_size(11)
            ax.set(xlabel="time (s)" if i == len(x) - 1 else "", ylabel="frequency (kHz)" if ax is row[0] else "")
    return figure


def boxes(ax: Axes, events: pd.DataFrame, front: FrontEnd, offset_s: float = 0.0, **look) -> None:
    """Draw event boxes (columns start_s, end_s, low_hz, high_hz) over a `spec` that begins offset_s into the
    recording."""
    centres = mel.centres(front).numpy()  # (M,) Hz, rising
    for event in events.itertuples():
        low, high = np.interp([event.low_hz, event.high_hz], centres, np.arange(front.mels))
        options = dict(fill=False, edgecolor="cyan", linewidth=1.5) | look
        ax.add_patch(Rectangle((event.start_s - offset_s, low), event.end_s - event.start_s, high - low + 1, **options))


def curve(ax: Axes, log: pd.DataFrame, label: str = "", smooth: int = 50) -> None:
    """The loss against clips seen (not steps: batches differ), as the running mean over `smooth` steps."""
    ax.plot(log["clips"].cumsum(), log["loss"].rolling(smooth, min_periods=1).mean(), label=label)
    ax.set(xlabel="clips seen", ylabel="loss")


class _Listing(Code):
    """Source that scrolls sideways: JupyterLab breaks long lines of outputs in the middle of a word."""

    def _repr_html_(self) -> str:
        return super()._repr_html_().replace("<pre>", '<pre style="white-space: pre; overflow-x: auto">')


class _Player(Audio):
    """A player under a title. Where players are taken out (on GitHub; in JupyterLab until a notebook is trusted), the
    sentence within it is left."""

    def __init__(self, mp3: bytes, title: str) -> None:
        super().__init__(mp3)
        self.title, self.mimetype = title, "audio/mpeg"

    def _repr_html_(self) -> str:
        title, src = escaped(self.title), self.src_attr()
        return (f'<figure style="margin: 0.3em 0"><figcaption>{title}</figcaption>'
                f'<audio controls aria-label="{title}" src="{src}">No player here. GitHub leaves sounds out; '
                "in JupyterLab run the cell, or trust the notebook (View, Activate Command Palette, Trust Notebook)."
                "</audio></figure>")

    def __repr__(self) -> str:
        return f"a sound to play: {self.title}"


def source(function: Callable) -> Code:
    """The source of a function on screen, so that nothing the notebook calls is hidden."""
    return _Listing(inspect.getsource(function), language="python")


def sound(wave: torch.Tensor, rate: int, seconds: float = 3.0, at: int = 22_050, title: str = "sound") -> Audio:
    """A player for the first seconds of a wave (N,), levelled to a common peak; MP3, which keeps a notebook small.

    title: what is heard, above the player and for screen readers."""
    wave = torch.as_tensor(wave).detach().float().cpu()[: int(seconds * rate)]
    wave = audio.resample(wave, rate, at) if rate != at else wave
    buffer = io.BytesIO()
    soundfile.write(buffer, (0.7 * wave / wave.abs().max().clamp(min=1e-6)).numpy(), at, format="MP3")
    return _Player(buffer.getvalue(), title)
