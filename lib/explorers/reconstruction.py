"""The reconstruction studio: choose a recording, a model and a mask, hide or show patches, see and hear the guess."""
from collections.abc import Sequence

import torch

from lib import mel, patches, plots
from lib.explorers import base
from lib.explorers.base import Sound, View
from lib.explorers.ownsound import OwnSound
from lib.explorers.panels import Panel, Panels
from lib.explorers.patchgrid import Models, PatchExplorer, Scene
from lib.patches import Grid, Mask
from lib.training import generator

__all__ = ["MASKS", "PATTERNS", "Reconstruction", "drawn"]


def _both(B: int, grid: Grid, ratio: float, generator: torch.Generator) -> Mask:
    """Time columns and mel rows, the same share of each, so that together they hide about `ratio` of the patches."""
    side = 1 - (1 - ratio) ** 0.5
    return patches.time_freq_mask(B, grid, side, side, generator)


MASKS = {"random patches": patches.random_mask, "time columns": patches.time_mask, "mel rows": patches.freq_mask,
         "time columns and mel rows": _both}
PATTERNS = {"every second column": patches.vertical_mask, "every second row": patches.horizontal_mask,
            "chessboard": patches.chessboard_mask}  # hide half; they have no ratio and nothing to draw anew
BANDS = ("low", "mid", "high")


def drawn(grid: Grid, kind: str = "random patches", ratio: float = 0.8, seed: int = 0,
          flips: Sequence[int] = ()) -> Mask:
    """The mask of a kind and seed, with the patches numbered in `flips` turned round. At least one must be visible."""
    if kind not in MASKS and kind not in PATTERNS:
        raise ValueError(f"unknown mask {kind!r}: choose one of {', '.join([*MASKS, *PATTERNS])}")
    mask = PATTERNS[kind](1, grid) if kind in PATTERNS else MASKS[kind](1, grid, ratio, generator(seed))
    if not flips:
        return mask
    hidden = mask.hidden.clone()
    hidden[0, list(flips)] ^= True
    return patches.mask_from_hidden(hidden)


class Reconstruction(PatchExplorer):
    """Input, what is visible, the reconstruction and its error, with the error by region, to see and to hear."""

    def __init__(self, models: Models, sounds: dict[str, Sound]) -> None:
        super().__init__(models, sounds, "click a patch to hide or show it")
        self.panels = Panels([plots.CMAP, plots.CMAP, plots.CMAP, "viridis"])
        self.kind = base.dropdown("mask", [*MASKS, *PATTERNS])
        self.ratio = base.slider("mask ratio", 0.8, 0.1, 0.98, 0.02)
        self.seed, self.flips = 0, set()
        self.again = base.button("new mask", "draw another mask of the same kind", lambda: self._draw(self.seed + 1))
        self.one = base.button("hide or show this patch", "the patch at this time column and mel row", self._flip_here)
        self.back = base.button("undo clicks", "the mask as it was drawn", lambda: self._draw(self.seed))
        self.own = OwnSound(next(iter(models.values()))[1].seconds, self.add, self.say)
        self.grid.observe(lambda change: self.flip(change["new"][0]), names="click")
        self._start([base.row(self.recording, self.own.panel), base.row(self.model, self.kind),
                     base.row(self.ratio, self.again, self.listen), self.grid,
                     base.row(self.column, self.mel_row, self.one, self.back)],
                    {"recording": self.recording, "model": self.model, "kind": self.kind, "ratio": self.ratio})

    # -- plain values in, answers out

    @torch.no_grad()
    def _guess(self, recording: str, model: str, **choice) -> tuple[Scene, Mask, torch.Tensor]:
        """The recording, the mask and the model's guess (1, L, pt*pf)."""
        scene = self.scene(recording, model)
        net, device, mask = scene.model, next(scene.model.parameters()).device, drawn(scene.model.grid, **choice)
        on_device = mask.to(device)
        return scene, mask, net.decode(net.encode(scene.x.to(device), on_device), on_device).cpu()

    def update(self, recording: str = "", model: str = "", kind: str = "random patches", ratio: float = 0.8,
               seed: int = 0, flips: Sequence[int] = ()) -> View:
        """ratio: the share of patches hidden; flips: the numbers of patches hidden or shown by hand."""
        scene, mask, guess = self._guess(recording, model, kind=kind, ratio=ratio, seed=seed, flips=flips)
        hidden, target = mask.hidden[0], scene.model.target(scene.x)[0]  # (L,), (L, pt*pf)
        n, L = int(hidden.sum()), hidden.numel()
        errors = _by_region(scene, scene.model.patch_errors(scene.x, guess)[0], hidden)
        flat = _mean((target - target.mean(-1, keepdim=True)).square().mean(-1), hidden)
        by_seed = "" if kind in PATTERNS else f", seed {seed}"
        by_hand = f", {len(flips)} by hand" if flips else ""
        mse = (f"Mean squared error on hidden patches {errors['all hidden']:.3f}; "
               f"a flat patch at its true mean has {flat:.3f}.") if n else "There is nothing to guess."
        text = f"{scene.name}: {n} of {L} patches hidden ({n / L:.0%}; {kind}{by_seed}{by_hand}). {mse}"
        alt = (f"Four spectrograms of {scene.recording}: input, the {L - n} visible patches, the reconstruction, "
               "and its error, largest where it is yellow.")
        return View(self._picture(scene, mask, guess), text, alt, errors | {"guess of the mean": flat})

    def _picture(self, scene: Scene, mask: Mask, guess: torch.Tensor) -> bytes:
        arch, x = scene.model.arch, scene.x[0, 0]  # (T, M)
        limits = tuple(torch.quantile(x, torch.tensor([0.01, 0.998])).tolist())
        visible = plots.masked(scene.x, mask, arch.patch)[0, 0]
        rebuilt = scene.model.picture(scene.x, guess, mask)[0, 0]
        level, L = ", level borrowed" if arch.norm_pixels else "", mask.hidden.shape[1]
        return base.jpeg(self.panels.draw(scene.front, arch.frames, [
            Panel(x, "input", limits, scene.sound.calls),
            Panel(visible, f"{mask.keep.shape[1]} of {L} patches visible", limits),
            Panel(rebuilt, f"reconstruction{level}", limits), Panel((rebuilt - x).abs(), "|error|", (0, 2))]))

    def hear(self, recording: str = "", model: str = "", **choice) -> list[tuple[str, Sound]]:
        """The recording; its log-mel made sound again, the cost of the way back; what is visible; the guess."""
        scene, mask, guess = self._guess(recording, model, **choice)
        x, front = scene.x, scene.front
        visible = plots.masked(x, mask, scene.model.arch.patch).nan_to_num(x.min().item())
        specs = {"the input's log-mel": x, "visible patches only": visible,
                 "reconstruction": scene.model.picture(x, guess, mask)}
        return [("recording", scene.sound), *((title, Sound(mel.to_wave(spec[0, 0], front, 16), front.rate))
                                              for title, spec in specs.items())]

    # -- the controls

    def choice(self) -> dict:
        return super().choice() | {"seed": self.seed, "flips": tuple(sorted(self.flips))}

    def moved(self, control) -> None:
        super().moved(control)
        if control is not self.recording:  # another mask
            self.flips = set()

    def _hidden(self) -> torch.Tensor:
        """The mask that is chosen now (L,)."""
        flips = tuple(self.flips)
        return drawn(Grid(*self.grid.size), self.kind.value, self.ratio.value, self.seed, flips).hidden[0]

    def show(self) -> None:
        self.ratio.disabled = self.again.disabled = self.kind.value in PATTERNS
        self.back.disabled = not self.flips
        self.grid.mark(self._hidden(), sorted(self.flips))
        super().show()

    def flip(self, patch: int) -> None:
        """Hide patch i if it is visible, show it if it is hidden."""
        hidden = self._hidden()
        if not hidden[patch] and int((~hidden).sum()) == 1:
            self.say("this is the last visible patch: the encoder needs at least one")
            return
        self.say("")
        self.flips ^= {patch}
        self.show()

    def _flip_here(self) -> None:
        t, f = self.grid.cursor
        self.flip(t * self.grid.size[1] + f)

    def _draw(self, seed: int) -> None:
        """The mask of a seed, without clicks."""
        self.seed, self.flips = seed, set()
        self.show()


def _by_region(scene: Scene, errors: torch.Tensor, hidden: torch.Tensor) -> dict[str, float]:
    """The mean error (L,) of hidden patches: all, on calls (a quarter or more), off them, by thirds of the mel rows."""
    means, share, grid = {"all hidden": _mean(errors, hidden)}, scene.call_share(), scene.model.grid
    if share is not None:
        means["on calls"] = _mean(errors, hidden & (share >= 0.25))
        means["background"] = _mean(errors, hidden & (share == 0))
    third = torch.arange(grid.f) * len(BANDS) // grid.f  # (f,) the band of each mel row
    khz = mel.centres(scene.front)[:: scene.model.arch.patch[1]] / 1000  # the lower edge of each row
    for i, band in enumerate(BANDS):
        rows = third == i
        if rows.any():
            means[f"{band}, from {khz[rows][0]:.1f} kHz"] = _mean(errors, hidden & rows.repeat(grid.t))
    return means


def _mean(errors: torch.Tensor, where: torch.Tensor) -> float:
    """NaN where there is nothing."""
    return float(errors[where].mean())
