"""Rows of spectrograms: drawing over a kept background gives what drawing everything gives."""

import numpy as np
import pandas as pd
import torch

from lib import mel, plots, training
from lib.explorers.panels import Panel, Panels

X = torch.randn(512, 128, generator=training.generator(0))
CALLS = pd.DataFrame({"start_s": [0.5], "end_s": [1.0], "low_hz": [2000.0], "high_hz": [3000.0]})
ROW = [Panel(X, "one", (-2, 2), CALLS, (0.5, 0.5, 0.1, 0.1)), Panel(X[::16, ::16], "coarse")]


def test_equals_a_figure_drawn_whole():
    panels = Panels([plots.CMAP, "cividis"])
    fast = panels.draw(mel.INAT, 512, ROW)
    for ax, image in zip(panels.axes, panels.images):
        image.set_animated(False)
        ax.title.set_animated(False)
    plots.boxes(panels.axes[0], CALLS, mel.INAT)
    panels.agg.draw()
    whole = panels.pixels().astype(int)
    assert fast.shape == whole.shape == (297, 1210, 3)
    different = np.abs(fast - whole).max(2) > 60  # the white frame, and the spines, which the fast picture overpaints
    assert different.mean() < 0.01


def test_leaves_no_trace():
    panels = Panels([plots.CMAP, "cividis"])
    first = panels.draw(mel.INAT, 512, ROW)
    panels.draw(mel.INAT, 512, [Panel(-X, "a long and other title"), Panel(X, "")])
    panels.draw(mel.MSM_MAE, 304, [Panel(X[:304, :80], "other axes"), Panel(X, "")])
    assert (panels.draw(mel.INAT, 512, ROW) == first).all()


def test_nan_is_the_grey_of_hidden_patches():
    hidden = X.clone()
    hidden[:256] = torch.nan
    grey = Panels([plots.CMAP]).draw(mel.INAT, 512, [Panel(hidden, "")])
    assert (grey == 191).all(2).mean() > 0.3  # 0.75
