"""The labelling desk: listen to a clip, look at it, and say yes, no or another name; every answer is kept at once.

By keyboard: y, n, o for another name, u to undo, p to play. The answers lie in a CSV `file,label,start_s,end_s` that
`folder:FILE.csv` reads; called again with the same file, the desk goes on where it was left.
"""
import csv
import os
from collections.abc import Sequence
from pathlib import Path

import anywidget
import pandas as pd
import traitlets

from lib import audio, mel, paths, plots
from lib.explorers import base
from lib.explorers.base import Explorer, Sound, View
from lib.explorers.panels import Panel, Panels
from lib.mel import FrontEnd
from lib.sources import listing, tables

__all__ = ["OTHER", "Answers", "Labelling"]

OTHER = "other"  # what a no is called: a class of its own, so that a classifier has a name for what is no species
COLUMNS = ["file", "label", "start_s", "end_s"]


class Answers(anywidget.AnyWidget):
    """Three answers and an undo, as buttons and as keys."""

    _esm = Path(__file__).with_name("labelling.js")
    _css = """
.answers { display: flex; flex-wrap: wrap; gap: 6px 10px; align-items: center; padding: 4px; font-size: 13px; }
.answers:focus { outline: 3px solid #0072b2; outline-offset: 2px; }
.answers button { width: auto; max-width: 22em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.answers input { width: 14em; padding: 4px; }
"""
    guess = traitlets.Unicode("").tag(sync=True)  # what a yes says; without one there is no yes
    names = traitlets.List([]).tag(sync=True)  # that are offered while another is typed
    count = traitlets.Unicode("").tag(sync=True)  # how far the listener is
    said = traitlets.List(["", "", 0]).tag(sync=True)  # "yes", "no", "other" or "undo", a name, how many there were
    heard = traitlets.Int(0).tag(sync=True)  # how many were taken: until then keys wait, so that none answers unheard


class Labelling(Explorer):
    """clips: file, start_s, end_s and, where a classifier has guessed, its label; in the order of listening.

    out: the CSV of the answers; what it holds of other clips stays. names: the species that are offered."""

    def __init__(self, clips: pd.DataFrame, out: str | Path, names: Sequence[str] = (),
                 front: FrontEnd = mel.INAT) -> None:
        super().__init__()
        if clips.empty:
            raise ValueError("there is no clip to label: pick at least one")
        self.clips, self.out, self.front = clips.reset_index(drop=True), paths.resolve(out), front
        self.clips["file"] = [os.path.normpath(paths.resolve(file)) for file in self.clips["file"]]
        longest = (clips["end_s"] - clips["start_s"]).max()  # s
        self.frames = 1 + front.count(max(front.window, round(longest * front.rate)))
        self.labels: list[str | None] = [None] * len(clips)
        self.order: list[int] = []  # in which they were answered
        self.others = pd.DataFrame(columns=COLUMNS)  # answers about other clips
        self.kept = self._there()
        if self.kept is not None:
            self._resume()
        self.panels = Panels([plots.CMAP])
        self.place = base.slider("clip", 1, 1, len(clips))
        self.answers = Answers(names=[plots.plain(name) for name in names])
        self.answers.observe(self._said, names="said")
        with self.quietly():
            self.place.value = 1 + self._next(0)
        self._start([base.row(self.place, self.listen), self.answers], {"place": self.place})

    # -- answers

    def answer(self, place: int, label: str) -> None:
        """Say what a clip holds; it is in the file when this returns. place is counted from 1."""
        if not (label := " ".join(label.split())):
            raise ValueError("a label needs a name: type one, or press n where it is none of the species")
        labels = list(self.labels)
        labels[place - 1] = label
        self._keep(labels, [*(i for i in self.order if i != place - 1), place - 1])

    def undo(self) -> int | None:
        """Take the last answer back: its place, counted from 1, or None where there is none."""
        if not self.order:
            return None
        *order, last = self.order
        labels = list(self.labels)
        labels[last] = None
        self._keep(labels, order)
        return last + 1

    def _keep(self, labels: list[str | None], order: list[int]) -> None:
        """Write these answers, and then have them: what cannot be written was not said."""
        if self._there() != self.kept:
            raise ValueError(f"{self.out.name} was changed by another program since: open the desk again (run its "
                             "cell), it goes on from what the file says now")
        own = self.clips.assign(label=labels)[COLUMNS].dropna(subset="label")
        table = pd.concat([self.others, own]) if len(self.others) else own
        if table.empty:  # a table without rows is none
            self.out.unlink(missing_ok=True)
        else:
            near = [_near(file, self.out.parent) for file in table["file"]]
            text = table.assign(file=near).to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)
            paths.write_text(self.out, text)
        self.labels, self.order, self.kept = labels, order, self._there()

    def _there(self) -> bytes | None:
        """What the file holds at this moment."""
        return self.out.read_bytes() if self.out.exists() else None

    def _resume(self) -> None:
        known = listing.from_csv(self.out, self.out.parent.name)
        if lost := [*(column for column in known if column not in COLUMNS), *known.attrs["left_out"]]:
            raise ValueError(f"{self.out} has columns that the desk would not keep ({', '.join(lost)}): give its "
                             "answers another file")
        known = tables.check(known.assign(split="train"), self.out.name)
        known = known.reindex(columns=COLUMNS).astype({"start_s": float, "end_s": float})
        here = {key: i for i, key in enumerate(map(_key, self.clips.itertuples()))}
        at = [here.get(_key(row)) for row in known.itertuples()]
        for i, label in zip(at, known["label"]):
            if i is not None:
                self.labels[i] = label
                self.order.append(i)
        self.order = list(dict.fromkeys(self.order))
        self.others = known.loc[[i is None for i in at], COLUMNS]

    def _next(self, place: int) -> int:
        """The first clip from a place on, counted from 0, that has no label, else any before it; the last if none."""
        waiting = [i for i, label in enumerate(self.labels) if label is None]
        return next((i for i in waiting if i >= place), waiting[0] if waiting else len(self.labels) - 1)

    def _said(self, change) -> None:
        kind, name, _ = change["new"]
        place = self.place.value
        try:
            if kind == "undo":
                goal = self.undo() or place
            else:
                self.answer(place, {"yes": self._guess(place), "no": OTHER}.get(kind, name))
                goal = 1 + self._next(place)
            self.say("")
            with self.quietly():
                self.place.value = goal
            self.show()
        except (ValueError, OSError) as error:
            self.say(str(error))
        self.answers.heard = self.answers.said[2]

    def _guess(self, place: int) -> str:
        return str(self.clips["label"][place - 1]) if "label" in self.clips else ""

    # -- the picture

    def update(self, place: int = 1) -> View:
        """place: which clip, counted from 1."""
        clip, label, done = self.clips.loc[place - 1], self.labels[place - 1], sum(x is not None for x in self.labels)
        name, guess = Path(clip["file"]).name, self._guess(place)
        where = f"{name}, {clip['start_s']:.1f} to {clip['end_s']:.1f} s"
        text = f"{place} of {len(self.clips)}: {where}. " + (f"Is it {guess}? " if guess else "What is it? ")
        text += f"You said {label}. " if label is not None else ""
        text += (f"{done} of {len(self.clips)} are labelled" + (", all of them" if done == len(self.clips) else "")
                 + f", kept in {self.out.name}.")
        (_, sound), = self.hear(place)
        x = sound.spec(self.front, self.frames)[0, 0]
        image = base.jpeg(self.panels.draw(self.front, self.frames, [Panel(x, where)]))
        alt = f"Spectrogram of {where}, {label or 'not labelled yet'}."
        return View(image, text, alt, {"labelled": done, "left": len(self.clips) - done})

    def hear(self, place: int = 1) -> list[tuple[str, Sound]]:
        clip = self.clips.loc[place - 1]
        wave = audio.read(clip["file"], self.front.rate, clip["start_s"], clip["end_s"] - clip["start_s"])
        return [(f"{place} of {len(self.clips)}", Sound(wave, self.front.rate))]

    def show(self) -> None:
        """Draw, and put the sound there too: a listener listens to every clip."""
        super().show()
        done = sum(label is not None for label in self.labels)
        with self.answers.hold_sync():
            self.answers.guess = plots.plain(self._guess(self.place.value))
            self.answers.count = f"{done} of {len(self.clips)} labelled"
        self.play()


def _near(file: str, folder: Path) -> str:
    """A file as a CSV in this folder names it; a blank that a name begins with would be taken for the CSV's own."""
    name = os.path.relpath(file, folder) if folder in Path(file).parents else file
    return os.path.join(os.curdir, name) if name[0].isspace() else name


def _key(row) -> tuple[str, float, float]:
    return str(row.file), round(row.start_s, 3), round(row.end_s, 3)
