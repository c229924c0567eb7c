import { h, button, pager, panel } from "./_panel.js";

// Inline, so that it also applies while the pointer hovers over the button.
const pressed = "background:var(--accent);color:var(--on-accent)";
function draw(state, ui) {
  const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
  const dot = (modality) => h("i", { class: "dot", style: `background:${modality.colour}` });
  const chip = (label, on, ...call) => button(label, () => ui.call(...call),
    { class: "chip", "aria-pressed": on == null ? null : String(on),
      style: `min-height:27px;${on ? pressed : ""}` });
  const missing = state.modalities.filter((one) => !one.picked).map((one) => one.name);
  const where = state.whole ? "whole map" : count(state.figures, "figure");
  const one = (row) => h("div", { class: "box case", key: row.id },
    h("div", null, row.figure ? ui.picture(row.figure, 240, 84)
      : h("div", { class: "picture", style: "height:84px" }, h("span", null, "image not available"))),
    h("div", null, h("div", { class: "row small" },
      row.modalities.map((name) => h("span", null, dot(name), name.name)),
      h("span", { class: "muted grow clip", title: row.id }, `${row.figure} · ${row.origin}`),
      button(row.picked ? "✓ picked" : "Pick", () => ui.call(row.picked ? "unpick" : "pick", row.id),
        { class: "chip", "aria-pressed": String(row.picked), "aria-label": `pick ${row.id}`,
          style: row.picked ? pressed : null })),
    row.turns.map(([instruction, response]) => [
      h("p", { class: "text", style: "margin-top:4px" }, h("strong", null, instruction)),
      h("p", { class: "text" }, response)])));
  ui.keys = { ArrowLeft: ["previous"], ArrowRight: ["next"] };
  return [
    h("div", { class: "head" }, h("h3", null, "Demonstrations"), h("span", { class: "grow" }),
      h("span", { class: "number" }, count(state.picks, "pick"),
        state.tokens == null ? null : h("span", { class: "muted" },
          ` · prompt about ${count(state.tokens, "token")}`)),
      state.prompt ? chip("Preview the prompt", state.previewed, "preview", !state.previewed) : null),
    h("div", { class: "body" },
      h("p", { class: "small muted", style: "margin:0 0 10px" },
        "Draw a region on the map with the mouse, or select a modality with its button. " +
        "Small dots are figures, larger dots have accepted conversations, the largest are picked."),
      h("h4", null, "Picked by modality"),
      h("div", { class: "row" }, state.modalities.map((one) => button(
        [dot(one), `${one.name} `, h("strong", { class: one.picked ? "yes" : "no" }, one.picked),
          ` of ${one.of}`], () => ui.call("select_modality", one.id),
        { class: "chip", title: "select the figures of this modality" }))),
      h("p", { class: "small muted", style: "margin:4px 0 10px" }, missing.length
        ? `Pick some of each modality. None picked yet: ${missing.join(", ")}.`
        : "✓ Every modality has at least one pick."),
      h("div", { class: "row" },
        chip(`Region: ${where}`, state.listed === "region", "show_list", "region"),
        state.elsewhere ? chip(`Not on the map ${state.elsewhere}`, state.listed === "elsewhere",
          "show_list", "elsewhere") : null,
        chip(`Picked ${state.picks}`, state.listed === "picked", "show_list", "picked"),
        state.whole ? null : chip("Whole map", null, "select_modality", null),
        state.picks ? chip("Unpick all", null, "clear") : null),
      h("div", { class: "row", style: "margin:10px 0" },
        h("strong", { class: "number" }, count(state.conversations, "conversation")),
        state.unpicked ? button(`Pick all ${state.unpicked}`, () => ui.call("pick_region"))
          : state.conversations ? button("Unpick these", () => ui.call("unpick_region")) : null,
        h("span", { class: "grow" }), state.of > 1 ? pager(state, ui) : null),
      h("div", { class: "list", style: "max-height:352px;gap:8px",
        key: `${state.listed} ${state.n} ${state.figures} ${state.conversations}` }, state.shown.length
        ? state.shown.map(one)
        : h("p", { class: "muted" }, state.listed === "picked" ? "No picks yet."
          : "No accepted conversations in this region. Draw another region.")))];
}

export default panel({ draw });
