"""The error browser: a classifier's worst confusions, each beside a recording of what it is and one of what it was taken for."""

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lib import data, plots
from lib.explorers import base
from lib.explorers.base import Explorer, Heard, View
from lib.explorers.panels import DPI, FONT, Panel, Panels, pixels
from lib.mel import FrontEnd, LogMel
from lib.transfer.finetune import Predictions

__all__ = ["Mistakes"]

ALL = "all of them"
ORDERS = ("surest first", "nearest to right first")
BARS = 5  # guesses shown


class Mistakes(Explorer):
    """seen: `finetune.predict` on the recordings of `table`, row by row; labels: the model's classes; train: what it learned from.

    events: the boxes of the true calls (`chorus.events`), where known. Of each recording the window with most energy is shown.
    """

    def __init__(self, seen: Predictions, labels: list[str], table: pd.DataFrame, train: pd.DataFrame, front: FrontEnd, events: pd.DataFrame | None = None) -> None:
        super().__init__()
        if len(table) != len(seen.targets) or [labels[i] for i in seen.targets] != table["label"].tolist():
            raise ValueError(f"these predictions are not of this table: they are of {len(seen.targets)} recordings, it has {len(table)}; predict this very table")
        self.p, self.truth, self.labels, self.front = np.maximum(seen.probabilities, 0), seen.targets, labels, front  # hidden classes are -inf
        self.guess, self.classes = self.p.argmax(1), len(seen.classes)
        self.table, self.train = table.reset_index(drop=True), train.reset_index(drop=True)
        self.sources = {id(part): data.Waves(part, front) for part in (self.table, self.train)}
        self.boxes = None if events is None else dict(list(events[events["kind"] == "call"].groupby("file")))
        self.log_mel, self.panels = LogMel(front), Panels([plots.CMAP] * 3, width=8.0)
        self.figure = Figure(figsize=(3.0, 2.7), dpi=DPI, layout="none")
        FigureCanvasAgg(self.figure)
        self.ax = self.figure.add_axes([0.04, 0.5 / 2.7, 0.9, 1 - 0.8 / 2.7])
        wrong = np.flatnonzero(self.guess != self.truth)
        pairs = pd.Series(list(zip(self.truth[wrong], self.guess[wrong])), dtype=object).value_counts()
        self.pair = base.dropdown("confusion", [(f"{ALL} ({len(wrong)})", None)] + [(f"{labels[a]} taken for {labels[b]} ({n})", (a, b)) for (a, b), n in pairs.items()])
        self.order = base.dropdown("order", list(ORDERS))
        self.place = base.slider("mistake", 1, 1, max(1, len(wrong)))
        self._start([base.row(self.pair, self.order), base.row(self.place, self.listen)], [self.pair, self.order, self.place])

    def wrong(self, pair: tuple[int, int] | None = None, order: str = ORDERS[0]) -> np.ndarray:
        """The rows that were guessed wrong, of all pairs or of one (true class, guess), in an order."""
        if order not in ORDERS:
            raise ValueError(f"order is {order!r}: choose one of {', '.join(ORDERS)}")
        rows = np.flatnonzero((self.guess != self.truth) & (True if pair is None else (self.truth == pair[0]) & (self.guess == pair[1])))
        sure = self.p[rows, self.guess[rows]]
        return rows[np.argsort(-sure if order == ORDERS[0] else sure - self.p[rows, self.truth[rows]], kind="stable")]

    def update(self, pair: tuple[int, int] | None = None, order: str = ORDERS[0], place: int = 0) -> View:
        """place: which of the list, counted from 0."""
        rows, many = self.wrong(pair, order), len(self.truth)
        numbers = {"recordings": many, "wrong": int((self.guess != self.truth).sum())}
        if not len(rows):
            blank = [Panel(np.full((2, 2), np.nan), "", (0, 1))] * 3
            self.ax.clear()
            return View(base.jpeg(self._bars(None), self.panels.draw(self.front, self.front.frames, blank)), f"None of {many} recordings is guessed wrong.", "Nothing to show.", numbers)
        row = rows[min(place, len(rows) - 1)]
        a, b, rank = self.truth[row], self.guess[row], 1 + int((self.p[row] > self.p[row, self.truth[row]]).sum())
        numbers |= {"probability of the guess": float(self.p[row, b]), "probability of the truth": float(self.p[row, a]), "rank of the truth": rank}
        text = (f"Mistake {min(place, len(rows) - 1) + 1} of {len(rows)}: a recording of {self.labels[a]} was taken for {self.labels[b]} with probability {self.p[row, b]:.2f}; "
                f"{self.labels[a]} had {self.p[row, a]:.2f}, rank {rank} of {self.classes}.")
        shown = [Panel(self.log_mel(wave[None], frames=self.front.frames)[0, 0], title, None, boxes) for title, wave, boxes in self._sounds(row)]
        alt = f"Bars of the five likeliest species, and spectrograms: {'; '.join(panel.title for panel in shown)}."
        return View(base.jpeg(self._bars(row), self.panels.draw(self.front, self.front.frames, (shown + [Panel(np.full((2, 2), np.nan), "", (0, 1))] * 3)[:3])), text, alt, numbers)

    def hear(self, pair: tuple[int, int] | None = None, order: str = ORDERS[0], place: int = 0) -> list[Heard]:
        rows = self.wrong(pair, order)
        return [Heard(title, wave, self.front.rate) for title, wave, _ in self._sounds(rows[min(place, len(rows) - 1)])] if len(rows) else []

    def choice(self) -> dict:
        return {"pair": self.pair.value, "order": self.order.value, "place": self.place.value - 1}

    def moved(self, control) -> None:
        if control is not self.place:
            self.place.value = 1
            self.place.max = max(1, len(self.wrong(self.pair.value)))

    # -- pictures and sounds

    def _sounds(self, row: int) -> list[tuple]:
        """(title, wave, boxes) of the recording, of another one of its species, and of one of the species it was taken for."""
        found = [("this recording", *self._window(self.table, row))]
        for name, number in (("its own species", self.truth[row]), ("taken for", self.guess[row])):
            same = np.flatnonzero((self.train["label"] == self.labels[number]).to_numpy())
            found += [(f"{name}: {self.labels[number]}", *self._window(self.train, int(same[0])))] if len(same) else []
        return found

    def _window(self, table: pd.DataFrame, row: int) -> tuple:
        """The wave of the loudest window of a recording, and the boxes of the calls in it."""
        waves, front = self.sources[id(table)], self.front
        wave = waves.read(row, 0, int(waves.length[row]))
        first = base.loudest(wave, front.samples, front.rate // 4)
        wave, boxes, file = wave[first : first + front.samples], None, table["file"][row]
        if self.boxes is not None and file in self.boxes:
            near, at = self.boxes[file], first / front.rate
            near = near[(near["start_s"] < at + front.seconds) & (near["end_s"] > at)]
            boxes = near.assign(start_s=near["start_s"] - at, end_s=near["end_s"] - at)
        return wave, boxes

    def _bars(self, row: int | None) -> np.ndarray:
        """The likeliest classes of a recording, the truth hatched."""
        ax = self.ax
        ax.clear()
        if row is not None:
            best = np.argsort(-self.p[row], kind="stable")[:BARS]
            for i, k in enumerate(best):
                ax.barh(-i, self.p[row, k], color="#de8f05" if k == self.truth[row] else "#0173b2", hatch="///" if k == self.truth[row] else None, height=0.45)
                ax.text(0, -i + 0.28, self.labels[k] + (" (truth)" if k == self.truth[row] else ""), fontsize=FONT - 0.5, va="bottom")
        ax.set(ylim=(-BARS + 0.6, 0.75), xlim=(0, 1), yticks=[])
        ax.set_xlabel("probability", fontsize=FONT)
        ax.set_title(f"the {BARS} likeliest", fontsize=FONT)
        ax.tick_params(labelsize=FONT)
        ax.spines[["top", "right", "left"]].set_visible(False)
        self.figure.canvas.draw()
        return pixels(self.figure)
