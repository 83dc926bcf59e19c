"""The front-end explorer: what window, hop, mel bins, band and logarithm make of a recording, and which mel filters stay empty."""

from collections.abc import Sequence
from dataclasses import replace

import ipywidgets
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lib import mel, plots
from lib.explorers import base
from lib.explorers.base import Explorer, Heard, Sound, View
from lib.explorers.ownsound import OwnSound
from lib.explorers.panels import DPI, FONT, pixels
from lib.mel import FrontEnd

__all__ = ["FrontEnds"]

LENGTHS = (64, 128, 256, 400, 512, 800, 1024, 2048, 4096)  # samples: windows and FFTs
SECONDS = 3.0
LOWEST = 16  # filters drawn


class FrontEnds(Explorer):
    """sounds: name -> Sound. fronts: the published front ends to begin from; choosing one sets all other controls."""

    def __init__(self, sounds: dict[str, Sound], fronts: Sequence[FrontEnd] = (mel.INAT, mel.AUDIOMAE, mel.BIRDMAE, mel.MSM_MAE)) -> None:
        super().__init__()
        self.sounds_of, self.fronts = dict(sounds), {front.name: front for front in fronts}
        self.figure = Figure(figsize=(11, 3.0), dpi=DPI, layout="none")
        FigureCanvasAgg(self.figure)
        self.axes = self.figure.subplots(1, 2, gridspec_kw={"width_ratios": [2.2, 1], "left": 0.05, "right": 0.99, "bottom": 0.17, "top": 0.9, "wspace": 0.1})
        first = fronts[0]
        self.recording, self.front = base.dropdown("recording", list(sounds)), base.dropdown("begin from", list(self.fronts))
        self.window = base.dropdown("window (samples)", LENGTHS, value=first.window)
        self.n_fft = base.dropdown("FFT (points)", LENGTHS, value=first.n_fft)
        self.hop = base.slider("hop (samples)", first.hop, 16, 1024, 16)
        self.mels = base.slider("mel bins", first.mels, 8, 256, 8)
        self.band = ipywidgets.IntRangeSlider(value=(int(first.low_hz), int(first.high_hz)), min=0, max=first.rate // 2, step=50, description="band (Hz)",
                                              continuous_update=False, layout=ipywidgets.Layout(width=base.WIDE), style=base.LABEL)
        self.log = ipywidgets.Checkbox(value=True, description="take the logarithm", indent=False, layout=ipywidgets.Layout(width="14em", margin="2px 2px 2px 2em"))
        self.own = OwnSound(SECONDS, self.add, self.say)
        controls = [self.recording, self.front, self.window, self.hop, self.n_fft, self.mels, self.band, self.log]
        rows = [base.row(self.recording, self.own.panel), base.row(self.front, self.mels), base.row(self.window, self.hop), base.row(self.n_fft, self.band),
                base.row(self.log, self.listen)]
        self._start(rows, controls)

    def spec_of(self, front: str = "", window: int = 0, hop: int = 0, n_fft: int = 0, mels: int = 0, band: tuple[float, float] = (0, 0)) -> FrontEnd:
        """A published front end with some of its numbers changed; 0 leaves a number as it is. The FFT is at least as long as the window."""
        published = self.fronts[front or next(iter(self.fronts))]
        low, high = band if band[1] else (published.low_hz, published.high_hz)
        if not 0 <= low < high <= published.rate / 2:
            raise ValueError(f"the band is {low:g} to {high:g} Hz: it must lie between 0 and half the rate, {published.rate / 2:g} Hz, and have a width")
        window = window or published.window
        changed = replace(published, window=window, hop=hop or published.hop, n_fft=max(n_fft or published.n_fft, window), mels=mels or published.mels, low_hz=float(low), high_hz=float(high))
        return replace(changed, empty=int((mel.filters(changed).sum(0) == 0).sum()))  # known, so that it is not warned about

    def update(self, recording: str = "", log: bool = True, **changes) -> View:
        """changes: of `spec_of`."""
        recording = recording or next(iter(self.sounds_of))
        front, sound = self.spec_of(**changes), self.sounds_of[recording]
        wave = sound.wave[: round(SECONDS * sound.rate)]
        x = mel.unnormalise(base.spec(sound._replace(wave=wave), front), front)[0, 0]  # (T, M) log-mel
        bank = mel.filters(front)
        empty = (bank.sum(0) == 0).nonzero()[:, 0].tolist()
        unit = "dB" if front.kind == "inat" else "natural log of power"
        if not log:
            x, unit = (10 ** (x / 20), "magnitude") if front.kind == "inat" else (x.exp(), "power")
        x[:, empty] = torch.nan  # drawn in grey
        samples = round(len(wave) * front.rate / sound.rate)
        numbers = {"frames": len(x), "mel bins": front.mels, "numbers out": x.numel(), "samples in": samples, "empty filters": len(empty),
                   "window (ms)": 1000 * front.window / front.rate, "hop (ms)": 1000 * front.hop_s, "FFT bins every (Hz)": front.rate / front.n_fft}
        told = f"{len(empty)} of {front.mels} mel filters catch no bin of the {front.n_fft:,}-point FFT"
        told += f" (grey: numbers {', '.join(map(str, empty[:8]))}{' ...' if len(empty) > 8 else ''} from below)" if empty else ""
        text = f"{recording}, {samples / front.rate:.1f} s at {front.rate:,} Hz: {len(x)} frames x {front.mels} mel bins, in {unit}. {told}."
        if changes.get("n_fft") and changes["n_fft"] < front.n_fft:
            text += f" (An FFT is at least as long as its window: {front.n_fft:,} is used.)"
        alt = f"A spectrogram of {recording}, {len(x)} frames by {front.mels} mel bins, and the lowest {min(LOWEST, front.mels)} mel filters over the FFT's bins; {told}."
        return View(self._picture(x, front, bank, empty, unit), text, alt, numbers)

    def hear(self, recording: str = "", log: bool = True, **changes) -> list[Heard]:
        """The recording, and what its log-mel still knows of it."""
        front, sound = self.spec_of(**changes), self.sounds_of[recording or next(iter(self.sounds_of))]
        back = mel.to_wave(base.spec(sound, front)[0, 0, : front.count(round(SECONDS * front.rate))], front, 16)
        return [Heard("recording", sound.wave, sound.rate), Heard("its log-mel turned back into sound", back, front.rate)]

    def choice(self) -> dict:
        return {"recording": self.recording.value, "log": self.log.value, "front": self.front.value, "window": self.window.value, "hop": self.hop.value,
                "n_fft": self.n_fft.value, "mels": self.mels.value, "band": self.band.value}

    def moved(self, control) -> None:
        if control is self.front:
            front = self.fronts[self.front.value]
            self.band.max = max(front.rate // 2, self.band.max)
            self.band.value = (int(front.low_hz), int(front.high_hz))
            self.band.max = front.rate // 2
            self.window.value, self.n_fft.value, self.hop.value, self.mels.value = front.window, front.n_fft, front.hop, front.mels
        if control is self.band and self.band.value[1] - self.band.value[0] < 100:  # a band needs a width
            low = min(self.band.value[0], self.band.max - 100)
            self.band.value = (low, low + 100)

    def add(self, name: str, sound: Sound) -> None:
        """A recording of the reader's own, which is chosen at once."""
        self.sounds_of[name] = sound
        with self.quietly():
            self.recording.options = list(self.sounds_of)
            self.recording.value = name
        self.show()

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
        right.set(xlim=(max(0, float(middle[0]) * 0.7), most), yticks=[], xlabel="frequency (Hz)", title=f"the lowest {n} filters, dots are FFT bins")
        for ax in self.axes:
            ax.title.set_size(FONT)
            ax.xaxis.label.set_size(FONT)
            ax.yaxis.label.set_size(FONT)
            ax.tick_params(labelsize=FONT)
        self.figure.canvas.draw()
        return base.jpeg(pixels(self.figure))
