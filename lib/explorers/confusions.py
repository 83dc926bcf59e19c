"""The error browser: a classifier's worst confusions, each beside its own species and the one it was taken for."""
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib import plots
from lib.explorers import base
from lib.explorers.base import Excerpts, Explorer, Sound, View
from lib.explorers.panels import FONT, Canvas, Panels, small_print
from lib.mel import FrontEnd
from lib.transfer.finetune import Predictions

__all__ = ["ORDERS", "Confusions"]

ORDERS = ("surest first", "nearest to right first")
BARS = 5  # guesses shown
TRUE, FALSE = ("#de8f05", "///", " (truth)"), ("#0173b2", None, "")  # a bar's colour, hatch and word


class Confusions(Explorer):
    """seen: `finetune.predict` on the recordings of `table`, row by row; labels: the model's classes; train: what it
    learned from; events: the boxes of the true calls (`chorus.events`), where known.

    Of each recording the window with most energy is shown."""

    def __init__(self, seen: Predictions, labels: list[str], table: pd.DataFrame, train: pd.DataFrame,
                 front: FrontEnd, events: pd.DataFrame | None = None) -> None:
        super().__init__()
        if len(table) != len(seen.targets) or [labels[i] for i in seen.targets] != table["label"].tolist():
            raise ValueError(f"these predictions are not of this table: they are of {len(seen.targets)} recordings, "
                             f"it has {len(table)}; predict this very table")
        self.p, self.truth, self.labels = np.maximum(seen.probabilities, 0), seen.targets, labels  # hidden is -inf
        self.guess, self.classes = self.p.argmax(1), len(seen.classes)
        self.front, self.train_label = front, train["label"].to_numpy()
        self.tested, self.trained = (Excerpts(part, front, events) for part in (table, train))
        self.panels, self.canvas = Panels([plots.CMAP] * 3, width=8.0), Canvas(3.0)
        self.ax = self.canvas.figure.add_axes([0.04, 0.5 / 2.7, 0.9, 1 - 0.8 / 2.7])
        wrong = np.flatnonzero(self.guess != self.truth)
        pairs = pd.Series(list(zip(self.truth[wrong], self.guess[wrong])), dtype=object).value_counts()
        named = [(plots.plain(f"{labels[a]} taken for {labels[b]} ({n})"), (a, b)) for (a, b), n in pairs.items()]
        self.pair = base.dropdown("confusion", [(f"all of them ({len(wrong)})", None), *named])
        self.order = base.dropdown("order", list(ORDERS))
        self.place = base.slider("mistake", 1, 1, max(1, len(wrong)))
        self._start([base.row(self.pair, self.order), base.row(self.place, self.listen)],
                    {"pair": self.pair, "order": self.order, "place": self.place})

    def wrong(self, pair: tuple[int, int] | None = None, order: str = ORDERS[0]) -> np.ndarray:
        """The rows that were guessed wrong, of all pairs or of one (true class, guess), in an order."""
        if order not in ORDERS:
            raise ValueError(f"order is {order!r}: choose one of {', '.join(ORDERS)}")
        wrong = self.guess != self.truth
        if pair is not None:
            wrong &= (self.truth == pair[0]) & (self.guess == pair[1])
        rows = np.flatnonzero(wrong)
        sure = self.p[rows, self.guess[rows]]
        return rows[np.argsort(-sure if order == ORDERS[0] else sure - self.p[rows, self.truth[rows]], kind="stable")]

    def update(self, pair: tuple[int, int] | None = None, order: str = ORDERS[0], place: int = 0) -> View:
        """place: which of the list, counted from 0; the last one where the list is shorter."""
        rows, count = self.wrong(pair, order), len(self.truth)
        numbers = {"recordings": count, "wrong": int((self.guess != self.truth).sum())}
        if not len(rows):
            text = f"None of {count} recordings is guessed wrong."
            return View(self._picture(None, []), text, "Nothing to show.", numbers)
        place = min(place, len(rows) - 1)
        p, truth, guess = self.p[rows[place]], self.truth[rows[place]], self.guess[rows[place]]
        rank = 1 + int((p > p[truth]).sum())
        numbers |= {"probability of the guess": float(p[guess]), "probability of the truth": float(p[truth]),
                    "rank of the truth": rank}
        text = (f"Mistake {place + 1} of {len(rows)}: a recording of {self.labels[truth]} was taken for "
                f"{self.labels[guess]} with probability {p[guess]:.2f}; {self.labels[truth]} had {p[truth]:.2f}, "
                f"rank {rank} of {self.classes}.")
        sounds = self._sounds(rows[place])
        alt = f"Bars of the five likeliest species, and spectrograms: {'; '.join(title for title, _ in sounds)}."
        return View(self._picture(rows[place], sounds), text, alt, numbers)

    def hear(self, pair: tuple[int, int] | None = None, order: str = ORDERS[0],
             place: int = 0) -> list[tuple[str, Sound]]:
        rows = self.wrong(pair, order)
        return self._sounds(rows[min(place, len(rows) - 1)]) if len(rows) else []

    def choice(self) -> dict:
        return super().choice() | {"place": self.place.value - 1}

    def moved(self, control) -> None:
        if control is not self.place:
            self.place.value = 1
            self.place.max = max(1, len(self.wrong(self.pair.value)))

    # -- pictures and sounds

    def _sounds(self, row: int) -> list[tuple[str, Sound]]:
        """The recording, another one of its species, and one of the species it was taken for."""
        sounds = [("this recording", self.tested.loudest(row))]
        for name, number in (("its own species", self.truth[row]), ("taken for", self.guess[row])):
            same = np.flatnonzero(self.train_label == self.labels[number])
            if len(same):
                sounds.append((f"{name}: {self.labels[number]}", self.trained.loudest(int(same[0]))))
        return sounds

    def _picture(self, row: int | None, sounds: Sequence[tuple[str, Sound]]) -> bytes:
        return base.jpeg(self._bars(row), self.panels.draw_sounds(self.front, sounds))

    def _bars(self, row: int | None) -> np.ndarray:
        """The likeliest classes of a recording, the truth hatched."""
        ax = self.ax
        ax.clear()
        best = [] if row is None else np.argsort(-self.p[row], kind="stable")[:BARS]
        for i, k in enumerate(best):
            color, hatch, suffix = TRUE if k == self.truth[row] else FALSE
            ax.barh(-i, self.p[row, k], color=color, hatch=hatch, height=0.45)
            ax.text(0, -i + 0.28, plots.label(self.labels[k]) + suffix, fontsize=FONT - 0.5, va="bottom")
        ax.set(ylim=(-BARS + 0.6, 0.75), xlim=(0, 1), yticks=[], xlabel="probability", title=f"the {BARS} likeliest")
        small_print(ax)
        ax.spines[["top", "right", "left"]].set_visible(False)
        self.canvas.agg.draw()
        return self.canvas.pixels()
