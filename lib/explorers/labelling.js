// Three answers and an undo: as buttons, and by the keys y, n, o, u; p plays the sound below.
function made(tag, given) {
  return Object.assign(document.createElement(tag), given);
}

function render({ model, el }) {
  const box = made("div", { className: "answers", tabIndex: 0 });
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "answers; keys: y yes, n no, o other name, u undo, p play");
  const known = made("datalist", { id: "names" + Math.random().toString(36).slice(2) });
  const name = made("input", { type: "text", placeholder: "another name" });
  name.setAttribute("list", known.id);
  name.setAttribute("aria-label", "another name");
  const count = made("span", {});
  const buttons = {};

  const busy = () => model.get("heard") !== model.get("said")[2];  // the last answer is not kept yet

  function say(kind) {
    if (kind === "yes" && !model.get("guess") || busy()) return;
    const words = name.value;
    name.value = "";
    model.set("said", [kind, words, model.get("said")[2] + 1]);
    model.save_changes();
    box.focus();
    draw();
  }

  for (const kind of ["yes", "no", "other", "undo"]) {
    buttons[kind] = made("button", { className: "jupyter-widgets jupyter-button", type: "button" });
    buttons[kind].addEventListener("click", () => say(kind));
  }
  buttons.no.textContent = "no, none of these (n)";
  buttons.other.textContent = "use this name (o)";
  buttons.undo.textContent = "undo (u)";
  box.append(buttons.yes, buttons.no, name, known, buttons.other, buttons.undo, count);
  el.append(box);

  function draw() {  // names come from outside: text, never markup
    const guess = model.get("guess");
    buttons.yes.textContent = guess ? `yes, ${guess} (y)` : "no guess";
    buttons.yes.title = guess;
    buttons.yes.disabled = !guess;
    known.replaceChildren(...model.get("names").map((value) => made("option", { value })));
    count.textContent = model.get("count");
    box.setAttribute("aria-busy", busy());
  }

  function play() {
    const player = el.closest(".explorer")?.querySelector("audio");
    if (player) player.paused ? player.play() : player.pause();
  }

  box.addEventListener("keydown", (event) => {
    const typing = event.target === name, plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    event.stopPropagation();  // JupyterLab has keys of its own
    if (typing && event.key === "Enter") say("other");
    else if (typing && event.key === "Escape") box.focus();
    else if (typing || !plain) return;
    else if (event.key === "y") say("yes");
    else if (event.key === "n") say("no");
    else if (event.key === "u") say("undo");
    else if (event.key === "p") play();
    else if (event.key === "o") name.focus();
    else return;
    event.preventDefault();
  });
  for (const trait of ["guess", "names", "count", "heard"]) model.on("change:" + trait, draw);
  draw();
}

export default { render };
