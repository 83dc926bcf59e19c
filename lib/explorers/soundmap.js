// A map of points that are clicked, or reached by the arrows: each goes to the nearest point in its direction.
const NS = "http://www.w3.org/2000/svg", W = 720, H = 360;
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function made(tag, given) {
  const node = document.createElementNS(NS, tag);
  for (const key in given) node.setAttribute(key, given[key]);
  return node;
}

function render({ model, el }) {
  const svg = made("svg", { viewBox: `0 0 ${W} ${H}`, tabindex: 0, role: "application",
                            "aria-roledescription": "map of sounds" });
  svg.classList.add("soundpoints");
  const note = document.createElement("div");
  note.className = "soundpoints-note";
  el.append(svg, note);
  const at = (i) => { const [x, y] = model.get("xy")[i]; return [x * W, (1 - y) * H]; };

  function draw() {
    const lit = new Set(model.get("lit")), dots = model.get("xy").map((_, i) => i);
    dots.sort((a, b) => lit.has(a) - lit.has(b));  // those in colour lie above
    svg.replaceChildren(...dots.map((i) => {
      const [cx, cy] = at(i), colour = lit.has(i) ? "#de8f05" : "#b0b0b0";
      return made("circle", { cx, cy, r: lit.has(i) ? 5 : 3.5, fill: colour, stroke: "#555", "stroke-width": 0.5,
                              "data-point": i });
    }));
    for (const i of model.get("picked")) {
      const [cx, cy] = at(i);
      svg.append(made("rect", { x: cx - 6, y: cy - 6, width: 12, height: 12, fill: "none", stroke: "black",
                                "stroke-width": 1.2, "pointer-events": "none" }));
    }
    for (const [i, r, width] of [...model.get("near").map((i) => [i, 8, 1.5]), [model.get("chosen"), 9, 3.5]]) {
      const [cx, cy] = at(i);
      svg.append(made("circle", { cx, cy, r, fill: "none", stroke: "#0072b2", "stroke-width": width,
                                  "pointer-events": "none" }));
    }
    note.textContent = model.get("note");
    svg.setAttribute("aria-label", `map of sounds: ${model.get("note")}. Arrows move to the nearest point.`);
  }

  function choose(i) {
    model.set("chosen", i);
    model.save_changes();
  }

  svg.addEventListener("click", (event) => {
    const point = svg.createSVGPoint();
    [point.x, point.y] = [event.clientX, event.clientY];
    const { x, y } = point.matrixTransform(svg.getScreenCTM().inverse());
    const far = model.get("xy").map((_, i) => { const [cx, cy] = at(i); return Math.hypot(cx - x, cy - y); });
    svg.focus();
    const nearest = far.indexOf(Math.min(...far));
    if (far[nearest] < 12) choose(nearest);
  });
  svg.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    const [x, y] = at(model.get("chosen"));
    let best = null, least = Infinity;
    model.get("xy").forEach((_, i) => {
      const [cx, cy] = at(i), along = (cx - x) * step[0] - (cy - y) * step[1];
      const across = Math.abs((cx - x) * step[1]) + Math.abs((cy - y) * step[0]);
      if (along > 0 && along + 2 * across < least) [best, least] = [i, along + 2 * across];
    });
    if (best !== null) choose(best);
    event.preventDefault();
    event.stopPropagation();  // JupyterLab has keys of its own
  });
  for (const name of ["xy", "lit", "picked", "near", "chosen", "note"]) model.on("change:" + name, draw);
  draw();
}

export default { render };
