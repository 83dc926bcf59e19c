"""The attention explorer: click a patch and see where it looks, block by block and head by head."""

import torch

from lib import attention, plots
from lib.explorers import base
from lib.explorers.base import Heard, Sound, View
from lib.explorers.panels import Panel, Panels
from lib.explorers.patchgrid import PatchExplorer, call_share
from lib.mae import MAE
from lib.mel import FrontEnd

__all__ = ["Gaze"]

MEAN = "mean of all"
ALL = -1  # its value: a dropdown shows nothing for None


class Gaze(PatchExplorer):
    """The self-attention of one patch over all others, in a chosen block and head of a chosen model, with nothing hidden.

    models: name -> (model, its front end); sounds: name -> Sound. A patch is (time column, mel row), counted from 0 at the lower left.
    """

    def __init__(self, models: dict[str, tuple[MAE, FrontEnd]], sounds: dict[str, Sound]) -> None:
        super().__init__(models, sounds, "click a patch to see where it attends")
        self.panels = Panels([plots.CMAP, "cividis", "cividis"], height=3.0)
        self.maps = {}  # the blocks of one recording and model, computed when they are looked at
        self.layer, self.head = base.dropdown("block", [1]), base.dropdown("head", [MEAN])
        self._fit_model()
        rows = [base.row(self.recording, self.model), base.row(self.layer, self.head), self.grid, base.row(self.column, self.mel_row, self.listen)]
        self._start(rows, [self.recording, self.model, self.layer, self.head])

    def attend(self, recording: str, model: str, layer: int) -> torch.Tensor:
        """The maps of a block, (1, heads, 1 + L, 1 + L); those of the last recording and model are kept."""
        sound = self.sounds_of[recording]
        if self.maps.get("of") != (id(sound), model):
            self.maps = {"of": (id(sound), model)}
        if layer not in self.maps:
            scene = self.scene(recording, model)
            self.maps[layer] = attention.maps(scene.model, scene.x.to(next(scene.model.parameters()).device), layer).cpu()
        return self.maps[layer]

    def update(self, recording: str = "", model: str = "", layer: int = -1, head: int | None = None, patch: tuple[int, int] = (0, 0)) -> View:
        """layer: the block, counted as in a list; head: its number from 0, None for the mean; patch: (time column, mel row)."""
        recording, model = recording or self.first[0], model or self.first[1]
        scene = self.scene(recording, model)
        x, net, front, sound = scene
        t, f = net.grid
        maps = self.attend(recording, model, layer)
        if head is not None and not 0 <= head < maps.shape[1]:
            raise ValueError(f"head is {head}, this model has {maps.shape[1]} heads a block: choose 0 to {maps.shape[1] - 1}, or None for their mean")
        chosen = maps if head is None else maps[:, [head]]
        seen = attention.from_patch(chosen, net.grid, patch)[0]  # (t, f), sums to 1 less the class token's share
        usual = chosen[0, :, 1:, 1:].mean((0, 1)).unflatten(0, (t, f))  # the same, averaged over all patches that look
        row, column, itself = seen[:, patch[1]].sum(), seen[patch[0]].sum(), seen[patch]
        numbers = {"class token": float(1 - seen.sum()), "itself": float(itself), "rest of its mel row": float(row - itself),
                   "rest of its time column": float(column - itself), "elsewhere": float(seen.sum() - row - column + itself)}
        share = call_share(scene)
        if share is not None:
            numbers["on calls"] = float(seen.flatten()[share >= 0.25].sum())
        p = seen / seen.sum()
        numbers["patches it spreads over"] = float((-(p * p.clamp(min=1e-12).log()).sum()).exp())  # perplexity: t * f if all alike
        L, which = t * f, "mean of heads" if head is None else f"head {head + 1}"
        block = layer % net.arch.depth + 1
        top = float(torch.quantile(seen * L, 0.998))
        text = (f"{recording}, {model}, block {block} of {net.arch.depth}, {which}: the patch in time column {patch[0] + 1} and mel row {patch[1] + 1} "
                f"gives {numbers['itself']:.1%} of its attention to itself and spreads it over about {numbers['patches it spreads over']:.0f} of {L} patches. Shares:")
        alt = (f"Three spectrogram-shaped pictures of {recording}: the input with the patch framed, how that patch spreads its attention, "
               "and what the patches attend to on average; yellow is most.")
        mark = [(patch[0] / t, patch[1] / f, 1 / t, 1 / f)]
        shown = [Panel(x[0, 0], "input, the patch framed", None, sound.calls, mark), Panel(seen * L, f"its attention: yellow is {top:.1f} x an equal share", (0, top), None, mark),
                 Panel(usual * L, "the average patch's attention, same colours", (0, top))]
        return View(base.jpeg(self.panels.draw(front, net.arch.frames, shown)), text, alt, numbers)

    def hear(self, recording: str = "", **_) -> list[Heard]:
        sound = self.scene(recording).sound
        return [Heard("recording", sound.wave, sound.rate)]

    # -- the controls

    def choice(self) -> dict:
        head = None if self.head.value == ALL else self.head.value
        return {"recording": self.recording.value, "model": self.model.value, "layer": self.layer.value, "head": head,
                "patch": (self.column.value - 1, self.mel_row.value - 1)}

    def moved(self, control) -> None:
        super().moved(control)
        if control is self.model:
            self._fit_model()

    def _fit_model(self) -> None:
        """The blocks and heads that this model has; the last block, as in the paper."""
        arch = self.models[self.model.value][0].arch
        with self.quietly():
            self.layer.options = [(f"{i + 1}" + (" (last)" if i + 1 == arch.depth else ""), i) for i in range(arch.depth)]
            self.head.options = [(MEAN, ALL), *((f"{i + 1}", i) for i in range(arch.heads))]
            self.layer.value, self.head.value = arch.depth - 1, ALL

    def pointed(self) -> None:
        if not self.quiet:
            self.show()
