"""The curation browser: move a threshold over scored windows, and look at and listen to what it keeps and drops."""

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lib import data, plots
from lib.explorers import base
from lib.explorers.base import Explorer, Heard, View
from lib.explorers.panels import DPI, FONT, Panel, Panels, pixels
from lib.mel import FrontEnd, LogMel
from lib.transfer import curate

__all__ = ["Sieve"]

SHOWN = 3  # windows side by side
LISTS = {"just kept": (True, None), "just dropped": (False, None), "kept without a call": (True, False), "dropped with a call": (False, True)}


class Sieve(Explorer):
    """scores: name of a filter -> its windows with `score`, as `curate` makes them; table: the recordings they were made of.

    calls: whether each window holds a true call (`curate.holds_call`), and events, their boxes (`chorus.events`), where these are known.
    """

    def __init__(self, scores: dict[str, pd.DataFrame], table: pd.DataFrame, front: FrontEnd, calls: np.ndarray | None = None,
                 events: pd.DataFrame | None = None) -> None:
        super().__init__()
        train = table[table["split"] == "train"].reset_index(drop=True)
        for name, windows in scores.items():
            if len(train) <= windows["recording"].max() or (train["file"].to_numpy()[windows["recording"]] != windows["file"]).any():
                raise ValueError(f"the scores by {name} are of another table: score the windows of this very table")
            if calls is not None and len(calls) != len(windows):
                raise ValueError(f"calls says of {len(calls)} windows whether they hold one, the scores by {name} are of {len(windows)}")
        self.scores, self.train, self.front, self.calls = scores, train, front, calls
        self.boxes = None if events is None else dict(list(events[events["kind"] == "call"].groupby("file")))
        self.waves, self.log_mel = data.Waves(train, front), LogMel(front)
        self.panels = Panels([plots.CMAP] * SHOWN, width=8.0)
        self.figure = Figure(figsize=(3.0, 2.7), dpi=DPI, layout="none")
        FigureCanvasAgg(self.figure)
        self.drawn = None  # the filter whose scores are on the figure
        self.filter = base.dropdown("filter", list(scores))
        self.percent = base.slider("windows kept (%)", 50, 1, 100)
        self.which = base.dropdown("look at", [name for name, (_, call) in LISTS.items() if call is None or calls is not None])
        self.place = base.slider("steps from it", 0, 0, 50)
        self._start([base.row(self.filter, self.percent), base.row(self.which, self.place, self.listen)],
                    [self.filter, self.percent, self.which, self.place])

    def chosen(self, filter: str = "", percent: int = 50, which: str = "just kept", place: int = 0) -> tuple[curate.Kept, pd.DataFrame, int]:
        """What is kept, the windows to look at (a few of a list that runs away from the threshold), and the length of that list."""
        filter = filter or next(iter(self.scores))
        if which not in LISTS or LISTS[which][1] is not None and self.calls is None:
            raise ValueError(f"which is {which!r}: choose one of {', '.join(LISTS)}; the last two need the true calls")
        (side, call), windows = LISTS[which], self.scores[filter]
        kept = curate.keep(windows, f"{percent}%")
        listed = windows[(kept.keep == side) & (True if call is None else self.calls == call) & windows["score"].notna()]
        listed = listed.assign(far=(listed["score"] - kept.threshold).abs()).sort_values("far", kind="stable")
        place = min(place, max(0, len(listed) - SHOWN))
        return kept, listed.iloc[place : place + SHOWN], len(listed)

    def update(self, filter: str = "", percent: int = 50, which: str = "just kept", place: int = 0) -> View:
        """percent: the share of the windows that is kept, those with the highest scores; place: how far from the threshold to begin."""
        filter = filter or next(iter(self.scores))
        kept, shown, many = self.chosen(filter, percent, which, place)
        n, dropped = int(kept.keep.sum()), int((~kept.keep).sum())
        text = (f"{filter}, score {kept.threshold:.4g} and more: {n:,} windows kept, {dropped:,} dropped; {kept.recordings} of {self.train.shape[0]} recordings keep "
                f"at least one. {which}: {many:,} windows" + (f", {len(shown)} of them below." if len(shown) else "."))
        numbers = {"kept": n, "dropped": dropped, "mean kept of a recording (%)": 100 * kept.per_recording}
        if self.calls is not None:
            found = curate.detector(self.scores[filter], kept, self.calls)
            numbers |= {"kept ones with a call (%)": 100 * found.precision, "all windows with a call (%)": 100 * found.base_rate, "calls kept (%)": 100 * found.recall}
        panels = [self._panel(window) for window in shown.itertuples()]
        blank = Panel(np.full((2, 2), np.nan), "", (0, 1))
        image = base.jpeg(self._histogram(filter, kept.threshold), self.panels.draw(self.front, self.front.frames, (panels + [blank] * SHOWN)[:SHOWN]))
        told = "; ".join(panel.title for panel in panels) or "no window"
        return View(image, text, f"Histogram of the scores by {filter} with the threshold, and spectrograms of windows: {told}.", numbers)

    def hear(self, filter: str = "", percent: int = 50, which: str = "just kept", place: int = 0) -> list[Heard]:
        _, shown, _ = self.chosen(filter, percent, which, place)
        return [Heard(f"score {window.score:.3g}, {self.train['label'][window.recording]}", self._wave(window), self.front.rate) for window in shown.itertuples()]

    def choice(self) -> dict:
        return {"filter": self.filter.value, "percent": self.percent.value, "which": self.which.value, "place": self.place.value}

    def moved(self, control) -> None:
        if control is not self.place:
            self.place.value = 0

    # -- pictures

    def _wave(self, window):
        return self.waves.read(window.recording, round(window.start_s * self.front.rate), self.front.samples)

    def _panel(self, window) -> Panel:
        x = self.log_mel(self._wave(window)[None], frames=self.front.frames)[0, 0]
        title, boxes = f"{window.score:.3g}: {self.train['label'][window.recording]}", None
        if self.boxes is not None and window.file in self.boxes:
            near = self.boxes[window.file]
            near = near[(near["start_s"] < window.start_s + self.front.seconds) & (near["end_s"] > window.start_s)]
            boxes = near.assign(start_s=near["start_s"] - window.start_s, end_s=near["end_s"] - window.start_s)
        if self.calls is not None:
            title += ", a call" if self.calls[window.Index] else ", no call"
        return Panel(x, title, None, boxes)

    def _histogram(self, filter: str, threshold: float) -> np.ndarray:
        canvas = self.figure.canvas
        if self.drawn != filter:
            self.figure.clear()
            ax, score = self.figure.add_axes([0.2, 0.5 / 2.7, 0.76, 1 - 0.8 / 2.7]), self.scores[filter]["score"]
            parts = {"windows": score} if self.calls is None else {"with a call": score[self.calls], "without": score[~self.calls]}
            bars = ax.hist([part.dropna() for part in parts.values()], bins=30, stacked=True, label=list(parts), color=["#0173b2", "#de8f05"][: len(parts)])[2]
            for bar in bars[-1] if len(parts) > 1 else ():
                bar.set_hatch("///")  # told apart without colours too
            ax.set_xlabel(f"score by {filter}", fontsize=FONT)
            ax.set_title("all windows, dashed: threshold", fontsize=FONT)
            ax.tick_params(labelsize=FONT)
            ax.spines[["top", "right"]].set_visible(False)
            ax.legend(fontsize=FONT - 1, frameon=False)
            self.line = ax.axvline(threshold, color="black", linestyle="--", animated=True)
            canvas.draw()
            self.background, self.drawn = canvas.copy_from_bbox(self.figure.bbox), filter
        canvas.restore_region(self.background)
        self.line.set_xdata([threshold, threshold])
        self.line.axes.draw_artist(self.line)
        return pixels(self.figure)
