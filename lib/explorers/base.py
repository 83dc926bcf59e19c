"""What all explorers share: something to move, a picture that answers, a sentence with the numbers, sound on request.

An explorer is a class with a pure `update` (plain values in, a `View` out): it is tested and used without any widget.
Its controls call `update` and put the answer into HTML widgets. There is no Output widget and no `interact` in it: on
two busy cores these hang nbconvert and papermill (nbclient issue 312). Everything works by keyboard: Tab moves between
the controls, the arrows change a value, the space bar presses a button. Made for ipywidgets 7.7 (Colab) and 8.
"""
import base64
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import ipywidgets
import numpy as np
import pandas as pd
import torch
from IPython.display import display
from ipywidgets import Layout
from PIL import Image

from lib import audio, plots, recordings
from lib.mel import FrontEnd, LogMel

__all__ = ["View", "Sound", "Excerpts", "Explorer", "boxes_within", "loudest", "jpeg", "uri", "dropdown", "named",
           "slider", "button", "row"]

DPI = 110  # of every picture
WIDE, LABEL = "28em", {"description_width": "11em"}


class View(NamedTuple):
    """What an explorer shows."""
    image: bytes  # JPEG
    text: str  # a sentence that says what is seen
    alt: str  # the picture in words, for a screen reader
    numbers: dict[str, float]  # a small table under the sentence; NaN where there is nothing to measure


# --------------------------------------------------------------------------------------------------- what is looked at

class Sound(NamedTuple):
    """A recording to explore, or a sound to play."""
    wave: torch.Tensor  # (N,)
    rate: int  # Hz
    calls: pd.DataFrame | None = None  # the boxes of the true calls, where known: start_s, end_s, low_hz, high_hz

    def spec(self, front: FrontEnd, frames: int | None = None) -> torch.Tensor:
        """The wave through a front end, resampled if need be, cut or padded to `frames`: (1, 1, T, M)."""
        wave = self.wave if self.rate == front.rate else audio.resample(self.wave, self.rate, front.rate)
        if frames:
            wave = wave[: frames * front.hop + front.window]
        return _log_mel(front)(wave[None], frames=frames)


@lru_cache(8)
def _log_mel(front: FrontEnd) -> LogMel:
    return LogMel(front)  # its filters take longer to make than to use


class Excerpts:
    """Parts of a table's recordings, each as long as the front end's input, with the boxes of the calls in it.

    events: the boxes of all recordings (`chorus.events`), where they are known."""

    def __init__(self, table: pd.DataFrame, front: FrontEnd, events: pd.DataFrame | None) -> None:
        self.files, self.front, self.waves = table["file"].tolist(), front, recordings.Recordings(table, front)
        self.calls = {} if events is None else dict(list(events[events["kind"] == "call"].groupby("file")))

    def at(self, row: int, start_s: float) -> Sound:
        """The window of a recording that begins at start_s."""
        wave = self.waves.read(row, round(start_s * self.front.rate), self.front.samples)
        calls = self.calls.get(self.files[row])
        within = None if calls is None else boxes_within(calls, start_s, self.front.seconds)
        return Sound(wave, self.front.rate, within)

    def loudest(self, row: int) -> Sound:
        """The window of a recording with most energy."""
        wave = self.waves.read(row, 0, int(self.waves.length[row]))
        return self.at(row, loudest(wave, self.front.samples, self.front.rate // 4) / self.front.rate)


def boxes_within(calls: pd.DataFrame, start_s: float, seconds: float) -> pd.DataFrame:
    """The boxes that reach into a window, their times counted from its begin."""
    near = calls[(calls["start_s"] < start_s + seconds) & (calls["end_s"] > start_s)]
    return near.assign(start_s=near["start_s"] - start_s, end_s=near["end_s"] - start_s)


def loudest(wave: torch.Tensor, count: int, step: int) -> int:
    """The first sample of the window of `count` samples with most energy, among windows every `step` samples."""
    energy = torch.cat([torch.zeros(1, dtype=torch.float64), wave.double().square().cumsum(0)])  # (N + 1,)
    starts = audio.windows(len(wave), count, step)
    return max(starts, key=lambda first: float(energy[min(first + count, len(wave))] - energy[first]))


# ----------------------------------------------------------------------------------------------- pictures and controls

def jpeg(*pictures: np.ndarray) -> bytes:
    """Pictures (H, W, 3) of the same height side by side, as one JPEG."""
    file = io.BytesIO()
    Image.fromarray(np.concatenate(pictures, axis=1)).save(file, format="jpeg", quality=76, dpi=(DPI, DPI))
    return file.getvalue()


def uri(content: bytes, kind: str = "image/jpeg") -> str:
    """Bytes as an address that an <img> or <audio> can hold."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def dropdown(name: str, options: Sequence, **more) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(options=options, description=name, layout=Layout(width=WIDE), style=LABEL, **more)


def named(names: Iterable[str]) -> list[tuple[str, str]]:
    """Names from outside as a dropdown's options: what is shown, and the name."""
    return [(plots.plain(name), name) for name in names]


def slider(name: str, value, low: float, high: float, step: float = 1):
    """A slider that answers when it is let go or an arrow key is pressed: of a pair, of whole numbers or of any."""
    whole = ipywidgets.IntRangeSlider if isinstance(value, tuple) else ipywidgets.IntSlider
    kind = whole if isinstance(step, int) else ipywidgets.FloatSlider
    return kind(value=value, min=low, max=high, step=step, description=name, continuous_update=False,
                layout=Layout(width=WIDE), style=LABEL)


def button(name: str, hint: str, press: Callable[[], None]) -> ipywidgets.Button:
    made = ipywidgets.Button(description=name, tooltip=hint, layout=Layout(width="auto", margin="2px 2px 2px 1em"))
    made.on_click(lambda _: press())
    return made


def row(*widgets: ipywidgets.Widget) -> ipywidgets.HBox:
    """Widgets side by side, on the next line where the page is narrow."""
    return ipywidgets.HBox(list(widgets), layout=Layout(flex_flow="row wrap", align_items="center"))


# -------------------------------------------------------------------------------------------------------- the explorer

class Explorer:
    """The base. A subclass has `update(**choice) -> View` and `hear(**choice)`, which gives titles and sounds to play.

    It makes its controls, then calls `_start` with the rows of its panel and the control of each argument of `update`.
    Where the reader may bring sounds, its dropdown is `recording` and its sounds, name -> Sound, are `sounds_of`."""

    def __init__(self) -> None:
        answers = (ipywidgets.HTML(layout=Layout(width="100%")) for _ in range(4))
        self.picture, self.text, self.sounds, self.message = answers
        self.listen = button("listen", "make sound of what is shown now; it takes a moment", self.play)
        self.quiet = False  # True while controls are set by the program

    def choice(self) -> dict[str, Any]:
        """What the controls say, as `update` takes it."""
        return {name: control.value for name, control in self.controls.items()}

    def _start(self, rows: Sequence[ipywidgets.Widget], controls: Mapping[str, ipywidgets.Widget]) -> None:
        self.controls = controls
        for control in controls.values():
            control.observe(self._moved, names="value")
        answers = [self.message, self.text, self.picture, self.sounds]
        self.panel = ipywidgets.VBox([*rows, *answers], layout=Layout(max_width="1120px"))
        self.panel.add_class("explorer")
        self.panel.add_class(type(self).__name__.lower())
        self.show()

    def _moved(self, change) -> None:
        if not self.quiet:
            with self.quietly():
                self.moved(change["owner"])
            self.show()

    def moved(self, control: ipywidgets.Widget) -> None:
        """The reader changed a control; what depends on it is set here, before the picture is drawn."""

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Controls that are set within do not draw."""
        before, self.quiet = self.quiet, True
        try:
            yield
        finally:
            self.quiet = before

    def add(self, name: str, sound: Sound) -> None:
        """A recording of the reader's own, which is chosen at once."""
        self.sounds_of[name] = sound
        with self.quietly():
            self.recording.options = named(self.sounds_of)
            self.recording.value = name
            self.moved(self.recording)
        self.show()

    def say(self, problem: str) -> None:
        """One line about what went wrong, instead of a traceback; "" takes it away."""
        note = f'<p role="alert" style="margin: 0"><b>Note:</b> {plots.escaped(problem)}</p>'
        self.message.value = note if problem else ""

    def show(self) -> None:
        """Draw what the controls say."""
        view = self.update(**self.choice())
        style = 'style="padding: 0 1em 0 0; text-align: left; background: none"'
        names = "".join(f"<th {style}>{plots.escaped(name)}</th>" for name in view.numbers)
        values = "".join(f"<td {style}>{_number(value)}</td>" for value in view.numbers.values())
        sentence = f'<p role="status" style="line-height: 1.4; margin: 0.3em 0">{plots.escaped(view.text)}</p>'
        table = f'<table style="line-height: 1.3; border: none"><tr>{names}</tr><tr>{values}</tr></table>'
        self.text.value = sentence + _sideways(table)
        image = f'<img style="max-width: 100%" alt="{plots.escaped(view.alt)}" src="{uri(view.image)}">'
        self.picture.value = _sideways(f'<div style="min-width: 620px">{image}</div>')
        self.sounds.value = ""  # what was heard belongs to another picture

    def play(self) -> None:
        """Make the sounds of what is shown."""
        self.sounds.value = '<p role="status">making sound ...</p>'
        try:
            players = "".join(_player(title, sound) for title, sound in self.hear(**self.choice()))
            self.sounds.value = f'<div style="display: flex; flex-wrap: wrap">{players}</div>'
        except ValueError as error:
            self.sounds.value = ""
            self.say(str(error))

    def _ipython_display_(self) -> None:
        display(self.panel)


def _sideways(markup: str) -> str:
    """What scrolls sideways where the page is narrower, as on a phone."""
    return f'<div style="overflow-x: auto">{markup}</div>'


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if math.isnan(value):
        return "–"
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 100 else 0
    return f"{value:,.{digits}f}"


def _player(title: str, sound: Sound) -> str:
    title, source = plots.escaped(title), uri(plots.sound(sound.wave, sound.rate).data, "audio/mpeg")
    return (f'<figure style="margin: 0.3em 1em 0 0"><figcaption>{title}</figcaption><audio controls '
            f'aria-label="{title}" style="width: 250px; height: 36px" src="{source}"></audio></figure>')
