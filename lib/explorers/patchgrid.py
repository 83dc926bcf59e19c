"""A spectrogram cut into patches that can be clicked, one small anywidget, and what explorers with such a grid share.

By mouse a patch is clicked; by keyboard the arrows move the frame and the space bar clicks. Hidden patches are grey and hatched, so that
no colour has to be told from another. Where the page cannot load it, the sliders beside it do the same.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets

from lib import patches, plots
from lib.explorers import base
from lib.explorers.base import Explorer, Sound
from lib.mae import MAE
from lib.mel import FrontEnd, centres
from lib.patches import Grid

__all__ = ["PatchGrid", "Scene", "PatchExplorer", "call_share"]

SCRIPT = """
function render({ model, el }) {
  const NS = "http://www.w3.org/2000/svg", made = (tag, given) => {
    const node = document.createElementNS(NS, tag);
    for (const key in given) node.setAttribute(key, given[key]);
    return node;
  };
  const hatch = "hatch" + Math.random().toString(36).slice(2);
  const W = 16, H = 16, svg = made("svg", { tabindex: 0, role: "application", "aria-roledescription": "patch grid", preserveAspectRatio: "none" });
  svg.classList.add("patchgrid");
  const note = document.createElement("div");
  note.className = "patchgrid-note";
  el.append(svg, note);
  function draw() {
    const [t, f] = model.get("size"), [ct, cf] = model.get("cursor"), hidden = new Set(model.get("hidden")), changed = new Set(model.get("changed"));
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${t * W} ${f * H}`);
    const defs = made("defs", {}), pattern = made("pattern", { id: hatch, width: 4, height: 4, patternUnits: "userSpaceOnUse" });
    pattern.append(made("rect", { width: 4, height: 4, fill: "#bfbfbf" }), made("path", { d: "M0 4L4 0", stroke: "#808080", "stroke-width": 0.7 }));
    defs.append(pattern);
    svg.append(defs, made("image", { href: model.get("image"), width: t * W, height: f * H, preserveAspectRatio: "none" }));
    for (let i = 0; i < t * f; i++) {
      const x = Math.floor(i / f) * W, y = (f - 1 - i % f) * H;
      svg.append(made("rect", { x, y, width: W, height: H, "data-patch": i, fill: hidden.has(i) ? `url(#${hatch})` : "transparent", stroke: "#00000055", "stroke-width": 0.6 }));
      if (changed.has(i)) svg.append(made("circle", { cx: x + W / 2, cy: y + H / 2, r: 3, fill: "white", stroke: "black", "pointer-events": "none" }));
    }
    const frame = { x: ct * W, y: (f - 1 - cf) * H, width: W, height: H, fill: "none", "pointer-events": "none" };
    svg.append(made("rect", { ...frame, stroke: "black", "stroke-width": 4 }), made("rect", { ...frame, stroke: "white", "stroke-width": 2 }));
    const state = hidden.size ? (hidden.has(ct * f + cf) ? ", hidden" : ", visible") : "";
    const where = `time column ${ct + 1} of ${t}, mel row ${cf + 1} of ${f} from below${state}`;
    svg.setAttribute("aria-label", `${model.get("label")}: ${where}. Arrows move, space bar clicks.`);
    note.textContent = `${model.get("label")}: ${where}`;
  }
  function click(ct, cf) {
    const f = model.get("size")[1];
    model.set("cursor", [ct, cf]);
    model.set("click", [ct * f + cf, model.get("click")[1] + 1]);
    model.save_changes();
  }
  svg.addEventListener("click", (event) => {
    const i = event.target.dataset.patch, f = model.get("size")[1];
    svg.focus();
    if (i !== undefined) click(Math.floor(i / f), i % f);
  });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    const [t, f] = model.get("size"), [ct, cf] = model.get("cursor");
    if (event.key === " " || event.key === "Enter") click(ct, cf);
    else if (step) {
      model.set("cursor", [Math.min(t - 1, Math.max(0, ct + step[0])), Math.min(f - 1, Math.max(0, cf + step[1]))]);
      model.save_changes();
    } else return;
    event.preventDefault();
    event.stopPropagation();  // JupyterLab has keys of its own
  });
  for (const name of ["size", "image", "hidden", "changed", "cursor", "label"]) model.on("change:" + name, draw);
  draw();
}
export default { render };
"""

STYLE = """
.patchgrid { width: 100%; max-width: 640px; height: 150px; display: block; cursor: pointer; background: #333; }
.patchgrid:focus { outline: 3px solid #0072b2; outline-offset: 2px; }
.patchgrid-note { font-size: 13px; line-height: 1.6; }
"""


class PatchGrid(anywidget.AnyWidget):
    """Patches are numbered time-major, i = t * F + f, with mel row 0 at the bottom."""

    _esm, _css = SCRIPT, STYLE
    size = traitlets.List([1, 1]).tag(sync=True)  # time columns, mel rows
    image = traitlets.Unicode("").tag(sync=True)  # the picture behind it
    hidden = traitlets.List([]).tag(sync=True)  # numbers of the patches drawn grey
    changed = traitlets.List([]).tag(sync=True)  # numbers of the patches with a dot
    cursor = traitlets.List([0, 0]).tag(sync=True)  # time column and mel row of the frame
    click = traitlets.List([0, 0]).tag(sync=True)  # the patch clicked last, and how many clicks there were
    label = traitlets.Unicode("").tag(sync=True)

    def on_patch(self, do: Callable[[int], None]) -> None:
        """Call do(i) when patch i is clicked."""
        self.observe(lambda change: do(int(change["new"][0])), names="click")

    def lay(self, grid: Grid, image: str) -> None:
        """Another spectrogram, perhaps of another grid; the frame stays where it is, if it can."""
        t, f = self.cursor
        with self.hold_sync():
            self.size, self.image, self.cursor = list(grid), image, [min(t, grid.t - 1), min(f, grid.f - 1)]

    def mark(self, hidden: np.ndarray | Sequence[bool], changed: Sequence[int] = ()) -> None:
        """hidden: a bool per patch (L,); changed: the numbers of those that get a dot."""
        with self.hold_sync():
            self.hidden, self.changed = np.flatnonzero(np.asarray(hidden)).tolist(), [int(i) for i in changed]


class Scene(NamedTuple):
    """A recording as a model takes it."""

    x: torch.Tensor  # (1, 1, T, M)
    model: MAE
    front: FrontEnd
    sound: Sound


def call_share(scene: Scene) -> torch.Tensor | None:
    """The share of each patch that lies in the box of a true call: (L,); None where these are not known."""
    if scene.sound.calls is None:
        return None
    canvas, middle = torch.zeros_like(scene.x), centres(scene.front)
    for call in scene.sound.calls.itertuples():
        first, last = (max(0, round(s / scene.front.hop_s)) for s in (call.start_s, call.end_s))
        canvas[0, 0, first:last, (middle >= call.low_hz) & (middle <= call.high_hz)] = 1
    return patches.patchify(canvas, scene.model.arch.patch)[0].mean(-1)


class PatchExplorer(Explorer):
    """The base of explorers that choose a recording, a model and a patch.

    models: name -> (model, its front end). sounds: name -> Sound, at any rate; each model hears as much of it as its input is long.
    """

    def __init__(self, models: dict[str, tuple[MAE, FrontEnd]], sounds: dict[str, Sound], label: str) -> None:
        super().__init__()
        if not models or not sounds:
            raise ValueError(f"{type(self).__name__} got {len(models)} models and {len(sounds)} sounds: it needs at least one of each")
        for name, (model, front) in models.items():
            if model.arch.mels != front.mels:
                raise ValueError(f"model {name!r} takes {model.arch.mels} mels, its front end {front.name} makes {front.mels}: give each model the front end it was trained with")
        self.models, self.sounds_of = {name: (model.eval(), front) for name, (model, front) in models.items()}, dict(sounds)
        self.recording, self.model = base.dropdown("recording", list(sounds)), base.dropdown("model", list(models))
        self.column, self.mel_row = base.slider("time column", 1, 1, 2), base.slider("mel row", 1, 1, 2)
        self.grid = PatchGrid(label=label)
        self._lay()
        self.column.observe(self._slid, names="value")
        self.mel_row.observe(self._slid, names="value")
        self.grid.observe(self._framed, names="cursor")

    @property
    def first(self) -> tuple[str, str]:
        """The first recording and the first model, which `update` takes if none is named."""
        return next(iter(self.sounds_of)), next(iter(self.models))

    def scene(self, recording: str = "", model: str = "") -> Scene:
        recording, model = recording or self.first[0], model or self.first[1]
        for what, name, known in (("recording", recording, self.sounds_of), ("model", model, self.models)):
            if name not in known:
                raise ValueError(f"there is no {what} {name!r}: choose one of {', '.join(known)}")
        (net, front), sound = self.models[model], self.sounds_of[recording]
        return Scene(base.spec(sound, front, net.arch.frames), net, front, sound)

    def add(self, name: str, sound: Sound) -> None:
        """A recording of the reader's own, which is chosen at once."""
        self.sounds_of[name] = sound
        with self.quietly():
            self.recording.options = list(self.sounds_of)
            self.recording.value = name
            self.moved(self.recording)
        self.show()

    def moved(self, control) -> None:
        if control in (self.recording, self.model):
            self._lay()

    def _lay(self) -> None:
        """The grid of the recording and model that are chosen."""
        scene = self.scene(self.recording.value, self.model.value)
        x, grid = scene.x[0, 0].numpy(), scene.model.grid
        low, high = np.quantile(x, [0.01, 0.998])
        colours = plt.get_cmap(plots.CMAP)((x.T[::-1] - low) / max(high - low, 1e-6), bytes=True)[..., :3]  # (M, T, 3)
        self.grid.lay(grid, base.uri(base.jpeg(colours)))
        for control, most in ((self.column, grid.t), (self.mel_row, grid.f)):
            control.max = most

    def _slid(self, _) -> None:
        if not self.quiet:
            self.grid.cursor = [self.column.value - 1, self.mel_row.value - 1]

    def _framed(self, change) -> None:
        t, f = change["new"]
        with self.quietly():  # both, before anything is drawn
            self.column.value, self.mel_row.value = t + 1, f + 1
        self.pointed()

    def pointed(self) -> None:
        """Another patch is framed."""
