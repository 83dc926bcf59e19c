"""Pictures and sounds in one style: time runs left to right, mel upwards, hidden patches are grey."""

import inspect
import io
import os
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import soundfile
import torch
import torchaudio
from IPython.display import Audio, Code
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib_inline.backend_inline import set_matplotlib_formats

from lib import mel, patches, paths
from lib.mel import FrontEnd
from lib.patches import Mask

__all__ = ["style", "save", "spec", "masked", "reconstruction", "boxes", "curve", "source", "sound", "HIDDEN"]

HIDDEN = "0.75"  # the grey of a hidden patch
CMAP = "magma"


def style(photo: bool = True) -> None:
    """One look for all figures: colour-blind safe, readable when projected. photo: store them as JPEG, since a
    spectrogram as PNG is seven times as large; pass False in a notebook of line plots."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind", rc={
        "figure.dpi": 100, "savefig.dpi": 120, "figure.constrained_layout.use": True, "axes.spines.top": False,
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


def spec(ax: Axes, x: torch.Tensor, front: FrontEnd, title: str = "", limits: tuple[float, float] | None = None,
         cmap: str = CMAP) -> AxesImage:
    """Draw one spec (T, M), or (1, T, M) or (1, 1, T, M): seconds along x, kHz at their mel positions along y, NaN in
    grey.

    limits: the values at the ends of the colour scale; None takes the 1 % and 99.8 % quantiles of this picture.
    """
    x = torch.as_tensor(x).detach().float().cpu().reshape(x.shape[-2:]).numpy()  # (T, M)
    low, high = limits or np.nanquantile(x, [0.01, 0.998])
    colours = plt.get_cmap(cmap).with_extremes(bad=HIDDEN)
    image = ax.imshow(x.T, origin="lower", aspect="auto", cmap=colours, vmin=low, vmax=high, interpolation="nearest",
                      extent=(0, len(x) * front.hop_s, 0, x.shape[1]))
    centres = mel.centres(front)  # (M,) Hz
    ticks = [khz for khz in (0.5, 1, 2, 4, 8) if khz * 1000 < front.high_hz]
    ax.set_yticks([int((centres - 1000 * khz).abs().argmin()) + 0.5 for khz in ticks], [f"{khz:g}" for khz in ticks])
    ax.set(title=title, xlabel="time (s)", ylabel="frequency (kHz)")
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
    figure, axes = plt.subplots(len(x), 4, figsize=(13, 2.5 * len(x) + 0.4), sharex=True, sharey=True, squeeze=False)
    borrowed = " (level of each patch borrowed)" if model.arch.norm_pixels else ""
    for i, row in enumerate(axes):
        limits = tuple(np.quantile(x[i].numpy(), [0.01, 0.998]))
        shown = [x[i], masked(x, mask, model.arch.patch)[i], picture[i], (picture - x)[i].abs()]
        mse = float(errors[i][mask.hidden[i]].mean())
        titles = [names[i] if len(names) else "input",
                  f"{int((~mask.hidden[i]).sum())} of {mask.hidden.shape[1]} patches visible",
                  f"reconstruction{borrowed if i == 0 else ''}", f"|error|; loss {mse:.2f}"]
        for ax, part, title in zip(row, shown, titles):
            error = part is shown[3]
            spec(ax, part, front, title, (0, 2) if error else limits, "viridis" if error else CMAP)
            ax.title.set_size("small")
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


def source(function: Callable) -> Code:
    """The source of a function on screen, so that nothing the notebook calls is hidden."""
    return Code(inspect.getsource(function), language="python")


def sound(wave: torch.Tensor, rate: int, seconds: float = 3.0, at: int = 22_050) -> Audio:
    """A player for the first seconds of a wave (N,), levelled to a common peak; MP3, which keeps a notebook small."""
    wave = torch.as_tensor(wave).detach().float().cpu()[: int(seconds * rate)]
    wave = torchaudio.functional.resample(wave, rate, at) if rate != at else wave
    buffer = io.BytesIO()
    soundfile.write(buffer, (0.7 * wave / wave.abs().max().clamp(min=1e-6)).numpy(), at, format="MP3")
    player = Audio(buffer.getvalue())
    player.mimetype = "audio/mpeg"
    return player
