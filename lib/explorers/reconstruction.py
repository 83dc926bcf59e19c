"""The reconstruction studio: choose a recording, a model and a mask, hide or show single patches, see and hear what is guessed."""

from collections.abc import Callable, Sequence

import torch

from lib import mel, patches, plots
from lib.explorers import base
from lib.explorers.base import Heard, Sound, View
from lib.explorers.ownsound import OwnSound
from lib.explorers.panels import Panel, Panels
from lib.explorers.patchgrid import PatchExplorer, Scene, call_share
from lib.mae import MAE
from lib.mel import FrontEnd
from lib.patches import Grid, Mask
from lib.training import generator

__all__ = ["MASKS", "PATTERNS", "Studio"]


def _both(B: int, grid: Grid, ratio: float, generator: torch.Generator) -> Mask:
    """Time columns and mel rows, the same share of each, so that together they hide about `ratio` of the patches."""
    side = 1 - (1 - ratio) ** 0.5
    return patches.time_freq_mask(B, grid, side, side, generator)


MASKS: dict[str, Callable[[int, Grid, float, torch.Generator], Mask]] = {
    "random patches": patches.random_mask,
    "time columns": patches.time_mask,
    "mel rows": patches.freq_mask,
    "time columns and mel rows": _both,
    "every second column": lambda B, grid, ratio, generator: patches.vertical_mask(B, grid),
    "every second row": lambda B, grid, ratio, generator: patches.horizontal_mask(B, grid),
    "chessboard": lambda B, grid, ratio, generator: patches.chessboard_mask(B, grid),
}
PATTERNS = ("every second column", "every second row", "chessboard")  # hide half, whatever ratio and seed
BANDS = ("low", "mid", "high")


class Studio(PatchExplorer):
    """See input, what is visible, the reconstruction and its error, with the error by region, and hear them.

    models: name -> (model, its front end); sounds: name -> Sound. `update` is the whole of it; displaying the object adds the controls.
    """

    def __init__(self, models: dict[str, tuple[MAE, FrontEnd]], sounds: dict[str, Sound]) -> None:
        super().__init__(models, sounds, "click a patch to hide or show it")
        self.panels = Panels([plots.CMAP, plots.CMAP, plots.CMAP, "viridis"])
        self.kind = base.dropdown("mask", list(MASKS))
        self.ratio = base.slider("mask ratio", 0.8, 0.1, 0.98, 0.02)
        self.seed, self.flips = 0, set()
        self.again = base.button("new mask", "draw another mask of the same kind", self._again)
        self.one = base.button("hide or show this patch", "the patch at this time column and mel row", lambda: self.flip(self._here()))
        self.back = base.button("undo clicks", "the mask as it was drawn", self._back)
        self.own = OwnSound(next(iter(models.values()))[1].seconds, self.add, self.say)
        self.grid.on_patch(self.flip)
        rows = [base.row(self.recording, self.own.panel), base.row(self.model, self.kind), base.row(self.ratio, self.again, self.listen),
                self.grid, base.row(self.column, self.mel_row, self.one, self.back)]
        self._start(rows, [self.recording, self.model, self.kind, self.ratio])

    # -- plain values in, answers out

    def mask(self, model: str = "", kind: str = "random patches", ratio: float = 0.8, seed: int = 0, flips: Sequence[int] = ()) -> Mask:
        """The mask that is drawn, with the patches numbered in `flips` turned round. At least one patch stays visible."""
        if kind not in MASKS:
            raise ValueError(f"unknown mask {kind!r}: choose one of {', '.join(MASKS)}")
        mask = MASKS[kind](1, self.models[model or self.first[1]][0].grid, ratio, generator(seed))
        if not flips:
            return mask
        hidden = mask.hidden.clone()
        hidden[0, list(flips)] = ~hidden[0, list(flips)]
        return patches.mask_from_hidden(hidden)

    @torch.no_grad()
    def _guess(self, recording: str, model: str, **drawn) -> tuple[Scene, Mask, torch.Tensor]:
        scene, mask = self.scene(recording, model), self.mask(model, **drawn)
        device = next(scene.model.parameters()).device
        there = mask.to(device)
        return scene, mask, scene.model.decode(scene.model.encode(scene.x.to(device), there), there).cpu()  # guess (1, L, pt*pf)

    def update(self, recording: str = "", model: str = "", kind: str = "random patches", ratio: float = 0.8, seed: int = 0,
               flips: Sequence[int] = ()) -> View:
        """The same arguments give the same view; `ratio` is the share of patches hidden, `flips` are patches hidden or shown by hand."""
        recording, model = recording or self.first[0], model or self.first[1]
        scene, mask, guess = self._guess(recording, model, kind=kind, ratio=ratio, seed=seed, flips=flips)
        (x, net, front, _), hidden = scene, mask.hidden[0]  # (L,)
        errors = self._by_region(scene, net.patch_errors(x, guess)[0], hidden)
        target = net.target(x)[0]
        flat = _mean((target - target.mean(-1, keepdim=True)).square().mean(-1), hidden)
        n, L = int(hidden.sum()), hidden.numel()
        what = (kind if kind in PATTERNS else f"{kind}, seed {seed}") + (f", {len(flips)} by hand" if flips else "")
        text = f"{recording}, {model}: {n} of {L} patches hidden ({n / L:.0%}; {what}). "
        text += f"Mean squared error on hidden patches {errors['all hidden']:.3f}; a guess of each patch's mean has {flat:.3f}." if n else "There is nothing to guess."
        alt = f"Four spectrograms of {recording}: input, the {L - n} visible patches, the reconstruction, and its error, largest where it is yellow."
        picture, x = net.picture(x, guess, mask), x[0, 0]
        limits = tuple(torch.quantile(x, torch.tensor([0.01, 0.998])).tolist())
        shown = [Panel(x, "input", limits, scene.sound.calls), Panel(plots.masked(scene.x, mask, net.arch.patch)[0, 0], f"{L - n} of {L} patches visible", limits),
                 Panel(picture[0, 0], "reconstruction" + (", level borrowed" if net.arch.norm_pixels else ""), limits),
                 Panel((picture[0, 0] - x).abs(), "|error|", (0, 2))]
        return View(base.jpeg(self.panels.draw(front, net.arch.frames, shown)), text, alt, errors | {"guess of the mean": flat})

    def _by_region(self, scene: Scene, errors: torch.Tensor, hidden: torch.Tensor) -> dict[str, float]:
        """The mean error (L,) of the hidden patches: all, on calls (a quarter or more of the patch), off them, and by thirds of the mel rows."""
        found, share, grid = {"all hidden": _mean(errors, hidden)}, call_share(scene), scene.model.grid
        if share is not None:
            found |= {"on calls": _mean(errors, hidden & (share >= 0.25)), "background": _mean(errors, hidden & (share == 0))}
        third = torch.arange(grid.f) * len(BANDS) // grid.f  # (f,) the band of each mel row
        khz = mel.centres(scene.front)[:: scene.model.arch.patch[1]] / 1000  # the lower edge of each row
        for i, band in enumerate(BANDS):
            rows = third == i
            if rows.any():
                found[f"{band}, from {khz[rows][0]:.1f} kHz"] = _mean(errors, hidden & rows.repeat(grid.t))
        return found

    def hear(self, recording: str = "", model: str = "", **drawn) -> list[Heard]:
        """The recording; its log-mel turned back into sound, which is what the way back costs; only the visible patches; the reconstruction."""
        scene, mask, guess = self._guess(recording, model, **drawn)
        x, front = scene.x, scene.front
        visible = plots.masked(x, mask, scene.model.arch.patch).nan_to_num(x.min().item())
        back = {"the input's log-mel": x, "visible patches only": visible, "reconstruction": scene.model.picture(x, guess, mask)}
        return [Heard("recording", scene.sound.wave, scene.sound.rate)] + [Heard(name, mel.to_wave(y[0, 0], front, 16), front.rate) for name, y in back.items()]

    # -- the controls

    def choice(self) -> dict:
        return {"recording": self.recording.value, "model": self.model.value, **self._drawn()}

    def _drawn(self) -> dict:
        return {"kind": self.kind.value, "ratio": self.ratio.value, "seed": self.seed, "flips": tuple(sorted(self.flips))}

    def moved(self, control) -> None:
        super().moved(control)
        if control is not self.recording:  # another mask
            self.flips = set()

    def show(self) -> None:
        self.ratio.disabled = self.again.disabled = self.kind.value in PATTERNS  # these have no ratio and nothing to draw anew
        self.back.disabled = not self.flips
        self.grid.mark(self.mask(self.model.value, **self._drawn()).hidden[0].numpy(), sorted(self.flips))
        super().show()

    def flip(self, patch: int) -> None:
        """Hide patch i if it is visible, show it if it is hidden."""
        hidden = self.mask(self.model.value, **self._drawn()).hidden[0]
        if not hidden[patch] and int((~hidden).sum()) == 1:
            self.say("this is the last visible patch: the encoder needs at least one")
            return
        self.say("")
        self.flips ^= {patch}
        self.show()

    def _here(self) -> int:
        return (self.column.value - 1) * self.models[self.model.value][0].grid.f + self.mel_row.value - 1

    def _again(self) -> None:
        self.seed, self.flips = self.seed + 1, set()
        self.show()

    def _back(self) -> None:
        self.flips = set()
        self.show()


def _mean(errors: torch.Tensor, where: torch.Tensor) -> float:
    """NaN where there is nothing."""
    return float(errors[where].mean())
