"""The curation browser: move a threshold over scored windows, look at and listen to what it keeps and drops."""
import numpy as np
import pandas as pd

from lib import plots
from lib.explorers import base
from lib.explorers.base import Excerpts, Explorer, Sound, View
from lib.explorers.panels import FONT, Canvas, Panels, small_print
from lib.mel import FrontEnd
from lib.transfer import curate

__all__ = ["LISTS", "Curation"]

SHOWN = 3  # windows side by side
LISTS = {"just kept": (True, None), "just dropped": (False, None),  # whether it is kept, whether it holds a call
         "kept without a call": (True, False), "dropped with a call": (False, True)}


class Curation(Explorer):
    """scores: name of a filter -> its windows with `score`, as `curate` makes them; table: the recordings of these.

    calls: whether each window holds a true call (`curate.holds_call`), and events, their boxes (`chorus.events`), where
    these are known."""

    def __init__(self, scores: dict[str, pd.DataFrame], table: pd.DataFrame, front: FrontEnd,
                 calls: np.ndarray | None = None, events: pd.DataFrame | None = None) -> None:
        super().__init__()
        train = table[table["split"] == "train"].reset_index(drop=True)
        files = train["file"].to_numpy()
        for name, scored in scores.items():
            recording = scored["recording"]
            if len(files) <= recording.max() or (files[recording] != scored["file"]).any():
                raise ValueError(f"the scores by {name} are of another table: score the windows of this very table")
            if calls is not None and len(calls) != len(scored):
                raise ValueError(f"calls says of {len(calls)} windows whether they hold one, the scores by {name} "
                                 f"are of {len(scored)}")
        self.scores, self.train, self.front, self.calls = scores, train, front, calls
        self.windows, self.panels = Excerpts(train, front, events), Panels([plots.CMAP] * SHOWN, width=8.0)
        self.canvas = Canvas(3.0)
        self.ax = self.canvas.figure.add_axes([0.2, 0.5 / 2.7, 0.76, 1 - 0.8 / 2.7])
        self.filter = base.dropdown("filter", base.named(scores))
        self.percent = base.slider("windows kept (%)", 50, 1, 100)
        known = [name for name, (_, call) in LISTS.items() if call is None or calls is not None]
        self.which = base.dropdown("look at", known)
        self.place = base.slider("steps from it", 0, 0, 50)
        self._start([base.row(self.filter, self.percent), base.row(self.which, self.place, self.listen)],
                    {"filter": self.filter, "percent": self.percent, "which": self.which, "place": self.place})

    def chosen(self, filter: str = "", percent: int = 50, which: str = "just kept",
               place: int = 0) -> tuple[curate.Kept, pd.DataFrame, int]:
        """What is kept, the windows to look at, nearest to the threshold first, and how many of their kind exist."""
        if which not in LISTS or LISTS[which][1] is not None and self.calls is None:
            raise ValueError(f"which is {which!r}: choose one of {', '.join(LISTS)}; the last two need the true calls")
        (side, call), scored = LISTS[which], self.scores[filter or next(iter(self.scores))]
        kept = curate.keep(scored, f"{percent}%")
        listed = scored[(kept.keep == side) & (call is None or self.calls == call) & scored["score"].notna()]
        listed = listed.assign(far=(listed["score"] - kept.threshold).abs()).sort_values("far", kind="stable")
        place = min(place, max(0, len(listed) - SHOWN))
        return kept, listed.iloc[place : place + SHOWN], len(listed)

    def update(self, filter: str = "", percent: int = 50, which: str = "just kept", place: int = 0) -> View:
        """percent: the share of windows kept, those with the highest scores; place: how far from the threshold."""
        filter = filter or next(iter(self.scores))
        kept, shown, count = self.chosen(filter, percent, which, place)
        numbers = {"kept": int(kept.keep.sum()), "dropped": int((~kept.keep).sum()),
                   "mean kept of a recording (%)": 100 * kept.per_recording}
        if self.calls is not None:
            found = curate.detector(self.scores[filter], kept, self.calls)
            numbers |= {"kept ones with a call (%)": 100 * found.precision,
                        "all windows with a call (%)": 100 * found.base_rate, "calls kept (%)": 100 * found.recall}
        below = f", {len(shown)} of them below." if len(shown) else "."
        text = (f"{filter}, score {kept.threshold:.4g} and more: {numbers['kept']:,} windows kept, "
                f"{numbers['dropped']:,} dropped; {kept.recordings} of {len(self.train)} recordings keep at least one. "
                f"{which}: {count:,} windows{below}")
        sounds = [(self._title(window), self._sound(window)) for window in shown.itertuples()]
        titles = "; ".join(title for title, _ in sounds) or "no window"
        alt = f"Histogram of the scores by {filter} with the threshold, and spectrograms of windows: {titles}."
        image = base.jpeg(self._histogram(filter, kept.threshold), self.panels.draw_sounds(self.front, sounds))
        return View(image, text, alt, numbers)

    def hear(self, **choice) -> list[tuple[str, Sound]]:
        return [(f"score {window.score:.3g}, {self.train['label'][window.recording]}", self._sound(window))
                for window in self.chosen(**choice)[1].itertuples()]

    def moved(self, control) -> None:
        if control is not self.place:
            self.place.value = 0

    # -- pictures

    def _sound(self, window) -> Sound:
        return self.windows.at(window.recording, window.start_s)

    def _title(self, window) -> str:
        title = f"{window.score:.3g}: {self.train['label'][window.recording]}"
        if self.calls is None:
            return title
        return title + (", a call" if self.calls[window.Index] else ", no call")

    def _histogram(self, filter: str, threshold: float) -> np.ndarray:
        self.canvas.background(filter, lambda: self._draw_bars(filter, threshold))
        self.line.set_xdata([threshold, threshold])
        return self.canvas.pixels(self.line)

    def _draw_bars(self, filter: str, threshold: float) -> None:
        ax, score = self.ax, self.scores[filter]["score"]
        ax.clear()
        groups = {"windows": score}
        if self.calls is not None:
            groups = {"with a call": score[self.calls], "without": score[~self.calls]}
        bars = ax.hist([group.dropna() for group in groups.values()], bins=30, stacked=True, label=list(groups),
                       color=["#0173b2", "#de8f05"][: len(groups)])[2]
        for bar in bars[-1] if len(groups) > 1 else ():
            bar.set_hatch("///")  # told apart without colours too
        ax.set(xlabel=f"score by {plots.label(filter)}", ylabel="windows",
               title="all windows, dashed: threshold")
        small_print(ax)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(fontsize=FONT - 1, frameon=False)
        self.line = ax.axvline(threshold, color="black", linestyle="--", animated=True)
