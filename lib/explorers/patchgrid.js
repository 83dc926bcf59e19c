// The patch grid: a spectrogram under a grid of patches that are clicked, or reached by the arrows and the space bar.
const NS = "http://www.w3.org/2000/svg", W = 16, H = 16;
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function made(tag, given) {
  const node = document.createElementNS(NS, tag);
  for (const key in given) node.setAttribute(key, given[key]);
  return node;
}

function hatching(id) {
  const pattern = made("pattern", { id, width: 4, height: 4, patternUnits: "userSpaceOnUse" });
  pattern.append(made("rect", { width: 4, height: 4, fill: "#bfbfbf" }));
  pattern.append(made("path", { d: "M0 4L4 0", stroke: "#808080", "stroke-width": 0.7 }));
  const defs = made("defs", {});
  defs.append(pattern);
  return defs;
}

function render({ model, el }) {
  const hatch = "hatch" + Math.random().toString(36).slice(2);
  const svg = made("svg", { tabindex: 0, role: "application", "aria-roledescription": "patch grid",
                            preserveAspectRatio: "none" });
  svg.classList.add("patchgrid");
  const note = document.createElement("div");
  note.className = "patchgrid-note";
  el.append(svg, note);

  function draw() {
    const [t, f] = model.get("size"), [ct, cf] = model.get("cursor");
    const hidden = new Set(model.get("hidden")), changed = new Set(model.get("changed"));
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${t * W} ${f * H}`);
    const picture = { href: model.get("image"), width: t * W, height: f * H, preserveAspectRatio: "none" };
    svg.append(hatching(hatch), made("image", picture));
    for (let i = 0; i < t * f; i++) {  // time-major, mel row 0 at the bottom
      const x = Math.floor(i / f) * W, y = (f - 1 - i % f) * H, fill = hidden.has(i) ? `url(#${hatch})` : "transparent";
      svg.append(made("rect", { x, y, width: W, height: H, "data-patch": i, fill,
                                stroke: "#00000055", "stroke-width": 0.6 }));
      if (changed.has(i)) svg.append(made("circle", { cx: x + W / 2, cy: y + H / 2, r: 3, fill: "white",
                                                      stroke: "black", "pointer-events": "none" }));
    }
    const frame = { x: ct * W, y: (f - 1 - cf) * H, width: W, height: H, fill: "none", "pointer-events": "none" };
    svg.append(made("rect", { ...frame, stroke: "black", "stroke-width": 4 }));
    svg.append(made("rect", { ...frame, stroke: "white", "stroke-width": 2 }));
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
    const step = STEPS[event.key];
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
