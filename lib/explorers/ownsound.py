"""A sound of one's own for an explorer: a file from the disk, or three seconds from the microphone.

What cannot be used is said in one line: no sound file, empty, cut off, silent, too short, too large.
"""
import tempfile
from collections.abc import Callable
from pathlib import Path

import anywidget
import ipywidgets
import traitlets

from lib import audio
from lib.audio import AudioError
from lib.explorers.base import Sound, loudest, row

__all__ = ["LIMIT", "Microphone", "OwnSound", "excerpt", "read", "uploaded"]

LIMIT = 8_000_000  # bytes of a file; Jupyter's connection refuses messages of more than 10 MB
SHORTEST, LONGEST = 0.3, 120.0  # s, s that are searched for the loudest part


class Microphone(anywidget.AnyWidget):
    """A button that records in the browser and sends a WAV file."""

    _esm = Path(__file__).with_name("ownsound.js")
    _css = ".microphone { width: auto; margin: 2px 1em 2px 1em; } .microphone-note { font-size: 13px; }"
    seconds = traitlets.Int(3).tag(sync=True)
    wav = traitlets.Bytes(b"").tag(sync=True, echo_update=False, from_json=lambda view, _: bytes(view))


def uploaded(value) -> tuple[str, bytes] | None:
    """(name, content) of what a FileUpload holds: in version 7 a dict by name, in 8 a tuple of dicts; None if empty."""
    if not value:
        return None
    if isinstance(value, dict):
        name, file = next(iter(value.items()))
    else:
        name, file = value[-1]["name"], value[-1]
    return name, bytes(file["content"])


def read(name: str, content: bytes, seconds: float) -> Sound:
    """The loudest `seconds` of a sound file given as bytes; AudioError, in one line, if it cannot be used."""
    if len(content) > LIMIT:
        raise AudioError(f"{name} has {len(content) / 1e6:.1f} MB, at most {LIMIT / 1e6:.0f} MB can be uploaded: "
                         "cut out a part, or put it into a folder and use folder:PATH")
    ending = Path(name).suffix
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"sound{ending if ending[1:].isalnum() and len(ending) < 8 else ''}"  # one a disk takes
        file.write_bytes(content)
        try:
            return excerpt(file, name, seconds)
        except AudioError as error:
            raise AudioError(str(error).replace(str(file), name)) from None


def excerpt(file: Path, name: str, seconds: float) -> Sound:
    """The loudest `seconds` of the first two minutes of a sound file; AudioError, which calls it `name`, if it is short
    or silent, or if it cannot be read."""
    rate, silence = audio.info(file).rate, audio.step(file)
    wave = audio.read(file, duration_s=LONGEST)
    if len(wave) < SHORTEST * rate:
        raise AudioError(f"{name} lasts {len(wave) / rate:.2f} s, at least {SHORTEST} s are needed")
    if wave.abs().max() <= silence:
        raise AudioError(f"{name} is silent: its largest sample is {wave.abs().max():.1e} of 1")
    count = round(seconds * rate)
    first = loudest(wave, count, max(1, rate // 4))
    return Sound(wave[first : first + count], rate)


class OwnSound:
    """An upload button and a microphone.

    They call take(name, sound) with what is usable and say(problem) with what is not ("" when all is well)."""

    def __init__(self, seconds: float, take: Callable[[str, Sound], None], say: Callable[[str], None]) -> None:
        self.seconds, self.take, self.say, self.count = seconds, take, say, 0
        hint = f"WAV, FLAC, OGG or MP3, up to {LIMIT / 1e6:.0f} MB; its loudest {seconds:.0f} s are taken"
        self.upload = ipywidgets.FileUpload(accept=".wav,.flac,.ogg,.mp3", multiple=False, tooltip=hint,
                                            description="upload a sound", layout=ipywidgets.Layout(width="auto"))
        self.microphone = Microphone(seconds=max(1, round(seconds)))
        self.upload.observe(self._uploaded, names="value")
        self.microphone.observe(self._recorded, names="wav")
        self.panel = row(self.upload, self.microphone)

    def _uploaded(self, change) -> None:
        file = uploaded(change["new"])
        if file:
            self._use(*file)

    def _recorded(self, change) -> None:
        self.count += 1
        self._use(f"microphone {self.count}", bytes(change["new"]))

    def _use(self, name: str, content: bytes) -> None:
        try:
            sound = read(name, content, self.seconds)
        except AudioError as error:
            self.say(str(error))
        else:
            self.say("")
            self.take(name, sound)
