"""The attention explorer: click a patch and see where it looks, block by block and head by head."""
import torch

from lib import attention, plots
from lib.explorers import base
from lib.explorers.base import Sound, View
from lib.explorers.panels import Panel, Panels
from lib.explorers.patchgrid import Models, PatchExplorer, Scene

__all__ = ["AttentionMaps"]

MEAN = "mean of all"
ALL = -1  # its value: a dropdown shows nothing for None


class AttentionMaps(PatchExplorer):
    """The self-attention of one patch over all others, in one block and head of a model, with nothing hidden.

    A patch is (time column, mel row), counted from 0 at the lower left."""

    def __init__(self, models: Models, sounds: dict[str, Sound]) -> None:
        super().__init__(models, sounds, "click a patch to see where it attends")
        self.panels = Panels([plots.CMAP, "cividis", "cividis"], height=3.0)
        self.maps, self.maps_of = {}, (None, "")  # block -> maps, of one sound and model
        self.layer, self.head = base.dropdown("block", [1]), base.dropdown("head", [MEAN])
        self._fit_model()
        self.grid.observe(self._pointed, names="cursor")
        self._start([base.row(self.recording, self.model), base.row(self.layer, self.head), self.grid,
                     base.row(self.column, self.mel_row, self.listen)],
                    {"recording": self.recording, "model": self.model, "layer": self.layer, "head": self.head})

    def attend(self, scene: Scene, layer: int) -> torch.Tensor:
        """The maps of a block, (1, heads, 1 + L, 1 + L); those of the last recording and model are kept."""
        sound, name = self.maps_of
        if sound is not scene.sound or name != scene.name:
            self.maps, self.maps_of = {}, (scene.sound, scene.name)
        if layer not in self.maps:
            x = scene.x.to(next(scene.model.parameters()).device)
            self.maps[layer] = attention.maps(scene.model, x, layer).cpu()
        return self.maps[layer]

    def update(self, recording: str = "", model: str = "", layer: int = -1, head: int | None = None,
               patch: tuple[int, int] = (0, 0)) -> View:
        """layer: the block, counted as in a list. head: its number from 0, None for the mean of all heads."""
        scene = self.scene(recording, model)
        maps, grid, depth = self.attend(scene, layer), scene.model.grid, scene.model.arch.depth
        heads, L = maps.shape[1], grid.t * grid.f
        if head is not None and not 0 <= head < heads:
            raise ValueError(f"head is {head}, this model has {heads} heads a block: choose 0 to {heads - 1}, "
                             "or None for their mean")
        chosen = maps if head is None else maps[:, [head]]
        seen = attention.from_patch(chosen, grid, patch)[0]  # (t, f), sums to 1 less the class token's share
        usual = chosen[0, :, 1:, 1:].mean((0, 1)).unflatten(0, tuple(grid))  # (t, f), the mean of all patches that look
        numbers = _shares(seen, patch, scene.call_share())
        which = "mean of heads" if head is None else f"head {head + 1}"
        text = (f"{scene.name}, block {layer % depth + 1} of {depth}, {which}: the patch in time column {patch[0] + 1} "
                f"and mel row {patch[1] + 1} gives {numbers['itself']:.1%} of its attention to itself and spreads it "
                f"over about {numbers['patches it spreads over']:.0f} of {L} patches. Shares:")
        alt = (f"Three spectrogram-shaped pictures of {scene.recording}: the input with the patch framed, how that "
               "patch spreads its attention, and what the patches attend to on average; yellow is most.")
        return View(self._picture(scene, patch, seen * L, usual * L), text, alt, numbers)

    def _picture(self, scene: Scene, patch: tuple[int, int], seen: torch.Tensor, usual: torch.Tensor) -> bytes:
        """seen and usual (t, f): attention in units of an equal share."""
        t, f = scene.model.grid
        frame, top = (patch[0] / t, patch[1] / f, 1 / t, 1 / f), float(torch.quantile(seen, 0.998))
        return base.jpeg(self.panels.draw(scene.front, scene.model.arch.frames, [
            Panel(scene.x[0, 0], "input, the patch framed", None, scene.sound.calls, frame),
            Panel(seen, f"its attention: yellow is {top:.1f} x an equal share", (0, top), None, frame),
            Panel(usual, "the average patch's attention, same colours", (0, top))]))

    def hear(self, recording: str = "", **_) -> list[tuple[str, Sound]]:
        return [("recording", self.scene(recording).sound)]

    # -- the controls

    def choice(self) -> dict:
        head = None if self.head.value == ALL else self.head.value
        return super().choice() | {"head": head, "patch": tuple(self.grid.cursor)}

    def moved(self, control) -> None:
        super().moved(control)
        if control is self.model:
            self._fit_model()

    def _fit_model(self) -> None:
        """The blocks and heads that this model has; the last block, as in the paper."""
        arch = self.models[self.model.value][0].arch
        last = arch.depth - 1
        with self.quietly():
            self.layer.options = [*((f"{i + 1}", i) for i in range(last)), (f"{arch.depth} (last)", last)]
            self.head.options = [(MEAN, ALL), *((f"{i + 1}", i) for i in range(arch.heads))]
            self.layer.value, self.head.value = last, ALL

    def _pointed(self, _) -> None:
        if not self.quiet:
            self.show()


def _shares(seen: torch.Tensor, patch: tuple[int, int], call_share: torch.Tensor | None) -> dict[str, float]:
    """How a patch spreads its attention, (t, f) without the class token's share."""
    row, column, itself = seen[:, patch[1]].sum(), seen[patch[0]].sum(), seen[patch]
    shares = {"class token": 1 - seen.sum(), "itself": itself, "rest of its mel row": row - itself,
              "rest of its time column": column - itself, "elsewhere": seen.sum() - row - column + itself}
    if call_share is not None:
        shares["on calls"] = seen.flatten()[call_share >= 0.25].sum()
    p = seen / seen.sum()
    shares["patches it spreads over"] = (-(p * p.clamp(min=1e-12).log()).sum()).exp()  # perplexity: t * f if all alike
    return {name: float(share) for name, share in shares.items()}
