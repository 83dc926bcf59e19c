"""The front-end explorer: what window, hop, mel bins, band and logarithm make of a recording, and empty mel filters."""
from dataclasses import replace

import ipywidgets
import numpy as np
import torch

from lib import mel, plots
from lib.explorers import base
from lib.explorers.base import Explorer, Sound, View
from lib.explorers.ownsound import OwnSound
from lib.explorers.panels import FONT, Canvas, small_print
from lib.mel import FrontEnd

__all__ = ["FrontEnds"]

FRONTS = {front.name: front for front in (mel.INAT, mel.AUDIOMAE, mel.BIRDMAE, mel.MSM_MAE)}  # to begin from
LENGTHS = (64, 128, 256, 400, 512, 800, 1024, 2048, 4096)  # samples: windows and FFTs
SECONDS = 3.0
LOWEST = 16  # filters drawn


class FrontEnds(Explorer):
    """sounds: name -> Sound. Choosing one of the published front ends sets all other controls."""

    def __init__(self, sounds: dict[str, Sound]) -> None:
        super().__init__()
        self.sounds_of, self.canvas = dict(sounds), Canvas(11, 3.0)
        self.axes = self.canvas.figure.subplots(1, 2, gridspec_kw={
            "width_ratios": [2.2, 1], "left": 0.05, "right": 0.99, "bottom": 0.17, "top": 0.9, "wspace": 0.1})
        first = mel.INAT
        self.recording = base.dropdown("recording", base.named(sounds))
        self.front = base.dropdown("begin from", list(FRONTS))
        self.window = base.dropdown("window (samples)", LENGTHS, value=first.window)
        self.n_fft = base.dropdown("FFT (points)", LENGTHS, value=first.n_fft)
        self.hop = base.slider("hop (samples)", first.hop, 16, 1024, 16)
        self.mels = base.slider("mel bins", first.mels, 8, 256, 8)
        self.band = base.slider("band (Hz)", (int(first.low_hz), int(first.high_hz)), 0, first.rate // 2, 50)
        layout = ipywidgets.Layout(width="14em", margin="2px 2px 2px 2em")
        self.log = ipywidgets.Checkbox(value=True, description="take the logarithm", indent=False, layout=layout)
        self.own = OwnSound(SECONDS, self.add, self.say)
        self._start([base.row(self.recording, self.own.panel), base.row(self.front, self.mels),
                     base.row(self.window, self.hop), base.row(self.n_fft, self.band), base.row(self.log, self.listen)],
                    {"recording": self.recording, "log": self.log, "front": self.front, "window": self.window,
                     "hop": self.hop, "n_fft": self.n_fft, "mels": self.mels, "band": self.band})

    def update(self, recording: str = "", log: bool = True, **changes) -> View:
        """changes: of `changed`."""
        recording = recording or next(iter(self.sounds_of))
        front, sound = changed(**changes), self.sounds_of[recording]
        wave = sound.wave[: round(SECONDS * sound.rate)]
        x = mel.unnormalise(sound._replace(wave=wave).spec(front), front)[0, 0]  # (T, M) log-mel
        unit = "dB" if front.kind == "inat" else "natural log of power"
        if not log:
            x, unit = (10 ** (x / 20), "magnitude") if front.kind == "inat" else (x.exp(), "power")
        bank = mel.filters(front)  # (bins, M)
        empty = (bank.sum(0) == 0).nonzero()[:, 0].tolist()
        x[:, empty] = torch.nan  # drawn in grey
        samples = round(len(wave) * front.rate / sound.rate)
        numbers = {"frames": len(x), "mel bins": front.mels, "numbers out": x.numel(), "samples in": samples,
                   "empty filters": len(empty), "window (ms)": 1000 * front.window / front.rate,
                   "hop (ms)": 1000 * front.hop_s, "FFT bins every (Hz)": front.rate / front.n_fft}
        which = f"{', '.join(map(str, empty[:8]))}{' ...' if len(empty) > 8 else ''}"
        grey = f" (grey: numbers {which} from below)" if empty else ""
        caught = f"{len(empty)} of {front.mels} mel filters catch no bin of the {front.n_fft:,}-point FFT{grey}"
        text = (f"{recording}, {samples / front.rate:.1f} s at {front.rate:,} Hz: {len(x)} frames x {front.mels} mel "
                f"bins, in {unit}. {caught}.")
        if changes.get("n_fft") and changes["n_fft"] < front.n_fft:
            text += f" (An FFT is at least as long as its window: {front.n_fft:,} is used.)"
        alt = (f"A spectrogram of {recording}, {len(x)} frames by {front.mels} mel bins, and the lowest "
               f"{min(LOWEST, front.mels)} mel filters over the FFT's bins; {caught}.")
        return View(self._picture(x, front, bank, empty, unit), text, alt, numbers)

    def hear(self, recording: str = "", log: bool = True, **changes) -> list[tuple[str, Sound]]:
        """The recording, and what its log-mel still knows of it."""
        front, sound = changed(**changes), self.sounds_of[recording or next(iter(self.sounds_of))]
        back = mel.to_wave(sound.spec(front)[0, 0, : front.count(round(SECONDS * front.rate))], front, 16)
        return [("recording", sound), ("its log-mel turned back into sound", Sound(back, front.rate))]

    def moved(self, control) -> None:
        if control is self.front:
            front = FRONTS[self.front.value]
            self.band.max = max(front.rate // 2, self.band.max)
            self.band.value = (int(front.low_hz), int(front.high_hz))
            self.band.max = front.rate // 2
            self.window.value, self.n_fft.value = front.window, front.n_fft
            self.hop.value, self.mels.value = front.hop, front.mels
        low, high = self.band.value
        if control is self.band and high - low < 100:  # a band needs a width
            low = min(low, self.band.max - 100)
            self.band.value = (low, low + 100)

    def _picture(self, x: torch.Tensor, front: FrontEnd, bank: torch.Tensor, empty: list[int], unit: str) -> bytes:
        left, right = self.axes
        for ax in self.axes:
            ax.clear()
        plots.spec(left, x, front, f"{len(x)} frames x {front.mels} mel bins, {unit}")
        n = min(LOWEST, front.mels)
        hz, middle = np.arange(len(bank)) * front.rate / front.n_fft, mel.centres(front).numpy()
        most = float(middle[n - 1]) * 1.1
        there = hz <= most
        right.plot(hz[there], bank[there, :n].numpy(), marker="o", markersize=3, linewidth=1)
        dead = [i for i in empty if i < n]
        if dead:
            right.plot(middle[dead], np.zeros(len(dead)), "kx", markersize=9, markeredgewidth=2, label="empty")
            right.legend(fontsize=FONT, frameon=False, loc="upper right")
        right.set(xlim=(max(0, float(middle[0]) * 0.7), most), yticks=[], xlabel="frequency (Hz)",
                  title=f"the lowest {n} filters, dots are FFT bins")
        for ax in self.axes:
            small_print(ax)
        self.canvas.agg.draw()
        return base.jpeg(self.canvas.pixels())


def changed(front: str = "", window: int = 0, hop: int = 0, n_fft: int = 0, mels: int = 0,
            band: tuple[float, float] = (0, 0)) -> FrontEnd:
    """A published front end with some numbers changed; 0 leaves a number as it is. An FFT is as long as its window."""
    published = FRONTS[front or mel.INAT.name]
    low, high = band if band[1] else (published.low_hz, published.high_hz)
    if not 0 <= low < high <= published.rate / 2:
        raise ValueError(f"the band is {low:g} to {high:g} Hz: it must lie between 0 and half the rate, "
                         f"{published.rate / 2:g} Hz, and have a width")
    window = window or published.window
    front = replace(published, window=window, hop=hop or published.hop, mels=mels or published.mels, low_hz=float(low),
                    high_hz=float(high), n_fft=max(n_fft or published.n_fft, window))
    return replace(front, empty=int((mel.filters(front).sum(0) == 0).sum()))  # known, so that it is not warned about
