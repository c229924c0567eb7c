import { h, button, panel } from "./_panel.js";

function draw(state, ui) {
  const ask = (event) => {
    event.preventDefault();
    const box = event.target.elements.question;
    if (box.value.trim() && !ui.busy) { ui.call("ask", box.value); box.select(); }
  };
  const columns = `grid-template-columns: repeat(${state.models.length}, minmax(150px, 1fr))`;
  const answer = (entry, name) => {
    const found = entry.answers[name];
    return h("div", { class: "box" }, h("h4", null, name), found
      ? [h("p", { class: "text" }, found.text || "(an empty answer)"),
        h("span", { class: "muted small" },
          `May be wrong: check it against the image. ${found.seconds.toFixed(1)} s`)]
      : h("span", { class: entry.failed ? "no" : "muted" },
        entry.failed ? "no answer: the model raised an error" : "thinking …"));
  };
  return [h("div", { class: "head" }, h("h3", null, "Ask the models"),
    h("span", { class: "grow" }), h("span", { class: "tag warn" }, "not for clinical use")),
  h("div", { class: "body split chat" },
    h("div", null, ui.picture(state.figure, 640, 320),
      h("p", { class: "muted small" }, state.figure),
      h("div", { class: "strip" }, state.figures.map((name) => h("button", { type: "button",
        title: name, "aria-label": name, "aria-pressed": String(name === state.figure),
        onclick: () => ui.call("choose", name) }, ui.picture(name, 96, 56))))),
    h("div", null, h("form", { class: "row", onsubmit: ask },
      h("input", { type: "text", name: "question", class: "grow", autocomplete: "off",
        placeholder: "A question about this figure", "aria-label": "question" }),
      h("button", { type: "submit", class: "main", disabled: ui.busy }, "Ask")),
    state.samples.length ? h("div", { class: "row samples", role: "group", "aria-label": "sample questions" },
      state.samples.map((text) => button(text, () => ui.call("ask", text),
        { class: "chip", disabled: ui.busy }))) : null,
    state.asked.length ? state.asked.map((entry) => h("section", null,
      h("p", { class: "text" }, h("strong", null, entry.question),
        h("span", { class: "muted small" }, `  ${entry.figure}`)),
      entry.reference ? h("p", { class: "text muted" }, `Reference: ${entry.reference}`) : null,
      h("div", { class: "answers", style: columns },
        state.models.map((name) => answer(entry, name)))))
      : h("p", { class: "muted" }, "The models' answers appear here side by side.")))];
}

export default panel({ draw });
