"""What all explorers share: something to move, a picture that answers, a sentence with the numbers, and sound when asked for.

An explorer is a class with a pure `update` (plain values in, a `View` out), so that it can be tested and used without any
widget. Its controls call it, and put the answer into HTML widgets. There is no Output widget and no `interact` in it: on
two busy cores these hang nbconvert and papermill (nbclient issue 312). Everything works by keyboard: Tab moves between the
controls, the arrows change a value, the space bar presses a button. Made for ipywidgets 7.7 (Colab) and 8.
"""

import base64
import html
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import ipywidgets
import numpy as np
import pandas as pd
import torch
from IPython.display import display
from PIL import Image

from lib import audio, plots
from lib.mel import FrontEnd, LogMel

__all__ = ["View", "Sound", "Heard", "Explorer", "spec", "loudest", "jpeg", "uri", "dropdown", "slider", "button", "row"]

WIDE, LABEL = "28em", {"description_width": "11em"}


class View(NamedTuple):
    """What an explorer shows."""

    image: bytes  # JPEG
    text: str  # a sentence that says what is seen
    alt: str  # the picture in words, for a screen reader
    numbers: dict[str, float]  # a small table under the sentence; NaN where there is nothing to measure


class Sound(NamedTuple):
    """A recording to explore."""

    wave: torch.Tensor  # (N,)
    rate: int  # Hz
    calls: pd.DataFrame | None = None  # boxes of the true calls, where known: start_s, end_s (from the wave's begin), low_hz, high_hz


class Heard(NamedTuple):
    """A sound to play, and what it is."""

    title: str
    wave: torch.Tensor  # (N,)
    rate: int


def spec(sound: Sound, front: FrontEnd, frames: int | None = None) -> torch.Tensor:
    """A recording through a front end, resampled where its rate is another, cut or padded to `frames`: (1, 1, T, M)."""
    wave = sound.wave if sound.rate == front.rate else audio.resample(sound.wave, sound.rate, front.rate)
    if frames:
        wave = wave[: frames * front.hop + front.window]
    return LogMel(front)(wave[None], frames=frames)


def loudest(wave: torch.Tensor, count: int, step: int) -> int:
    """The first sample of the window of `count` samples that holds most energy, among those every `step` samples; 0 for a short wave."""
    starts = audio.windows(len(wave), count, step)
    total = torch.cat([torch.zeros(1, dtype=torch.float64), wave.double().square().cumsum(0)])  # (N + 1,)
    return max(starts, key=lambda first: float(total[min(first + count, len(wave))] - total[first]))


# ------------------------------------------------------------------------------------------------------ pictures and controls

def jpeg(*pictures: np.ndarray, quality: int = 76) -> bytes:
    """Pictures (H, W, 3) of the same height side by side, as one JPEG."""
    file = io.BytesIO()
    Image.fromarray(np.concatenate(pictures, axis=1)).save(file, format="jpeg", quality=quality)
    return file.getvalue()


def uri(data: bytes, kind: str = "image/jpeg") -> str:
    """Bytes as an address that an <img> or <audio> can hold."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def dropdown(name: str, options: Sequence, **more) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(options=options, description=name, layout=ipywidgets.Layout(width=WIDE), style=LABEL, **more)


def slider(name: str, value: float, low: float, high: float, step: float = 1) -> ipywidgets.IntSlider | ipywidgets.FloatSlider:
    """A slider that answers when it is let go or an arrow key is pressed: for whole numbers if all four are."""
    kind = ipywidgets.IntSlider if all(isinstance(x, int) for x in (value, low, high, step)) else ipywidgets.FloatSlider
    return kind(value=value, min=low, max=high, step=step, description=name, continuous_update=False, layout=ipywidgets.Layout(width=WIDE), style=LABEL)


def button(name: str, hint: str, press) -> ipywidgets.Button:
    made = ipywidgets.Button(description=name, tooltip=hint, layout=ipywidgets.Layout(width="auto", margin="2px 2px 2px 1em"))
    made.on_click(lambda _: press())
    return made


def row(*widgets: ipywidgets.Widget) -> ipywidgets.HBox:
    """Widgets side by side, on the next line where the page is narrow."""
    return ipywidgets.HBox(list(widgets), layout=ipywidgets.Layout(flex_flow="row wrap", align_items="center"))


# ---------------------------------------------------------------------------------------------------------------- the explorer

class Explorer:
    """The base. A subclass has `update(**choice) -> View`, `hear(**choice) -> list[Heard]` and `choice()`, which reads its controls.

    It makes its controls, then calls `_start` with the rows of its panel and the controls to listen to.
    """

    def __init__(self) -> None:
        self.picture, self.text, self.sounds, self.message = (ipywidgets.HTML(layout=ipywidgets.Layout(width="100%")) for _ in range(4))
        self.listen = button("listen", "make sound of what is shown now; it takes a moment", self.play)
        self.quiet = False  # True while controls are set by the program

    def choice(self) -> dict[str, Any]:
        raise NotImplementedError

    def update(self, **choice) -> View:
        raise NotImplementedError

    def hear(self, **choice) -> list[Heard]:
        raise NotImplementedError

    def _start(self, rows: Sequence[ipywidgets.Widget], watched: Sequence[ipywidgets.Widget]) -> None:
        for control in watched:
            control.observe(self._moved, names="value")
        self.panel = ipywidgets.VBox([*rows, self.message, self.text, self.picture, self.sounds], layout=ipywidgets.Layout(max_width="1120px"))
        self.panel.add_class("explorer")
        self.panel.add_class(type(self).__name__.lower())
        self.show()

    def _moved(self, change) -> None:
        if not self.quiet:
            with self.quietly():
                self.moved(change["owner"])
            self.show()

    def moved(self, control: ipywidgets.Widget) -> None:
        """A control was changed by the reader; what depends on it is set here, before the picture is drawn."""

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Controls that are set within do not draw."""
        before, self.quiet = self.quiet, True
        try:
            yield
        finally:
            self.quiet = before

    def say(self, problem: str) -> None:
        """One line about what went wrong, instead of a traceback; "" takes it away."""
        self.message.value = f'<p role="alert" style="margin: 0"><b>Note:</b> {html.escape(problem)}</p>' if problem else ""

    def show(self) -> None:
        """Draw what the controls say."""
        view = self.update(**self.choice())
        cells = [(html.escape(name), _number(value)) for name, value in view.numbers.items()]
        style = 'style="padding: 0 1em 0 0; text-align: left; background: none"'
        table = "".join(f"<tr>{''.join(f'<{tag} {style}>{cell[i]}</{tag}>' for cell in cells)}</tr>" for i, tag in ((0, "th"), (1, "td")))
        self.text.value = (f'<p role="status" style="line-height: 1.4; margin: 0.3em 0">{html.escape(view.text)}</p>'
                           f'<table style="line-height: 1.3; border: none">{table}</table>')
        self.picture.value = f'<img style="max-width: 100%" alt="{html.escape(view.alt, quote=True)}" src="{uri(view.image)}">'
        self.sounds.value = ""  # what was heard belongs to another picture

    def play(self) -> None:
        """Make the sounds of what is shown."""
        self.sounds.value = '<p role="status">making sound ...</p>'
        try:
            players = [_player(one) for one in self.hear(**self.choice())]
            self.sounds.value = f'<div style="display: flex; flex-wrap: wrap">{"".join(players)}</div>'
        except ValueError as error:
            self.sounds.value = ""
            self.say(str(error))

    def _ipython_display_(self) -> None:
        display(self.panel)


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "–" if value != value else f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def _player(one: Heard) -> str:
    sound, title = plots.sound(one.wave, one.rate), html.escape(one.title, quote=True)
    return (f'<figure style="margin: 0.3em 1em 0 0"><figcaption>{title}</figcaption>'
            f'<audio controls aria-label="{title}" style="width: 250px; height: 36px" src="{uri(sound.data, "audio/mpeg")}"></audio></figure>')
