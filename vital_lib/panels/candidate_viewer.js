import { h, tags, section, texts, pager, panel } from "./_panel.js";

function draw(state, ui) {
  ui.keys = { ArrowLeft: ["previous"], ArrowRight: ["next"] };
  const head = h("div", { class: "head" }, h("h3", null, "Candidates"),
    h("span", { class: "muted" }, state.figure ?? ""), h("span", { class: "grow" }),
    pager(state, ui));
  if (!state.figure) return [head, h("div", { class: "body muted" }, "There are no candidates.")];
  const cell = (found) => h("div", { class: "box" }, found ? [
    h("p", { class: "text" }, h("strong", null, found.instruction)),
    found.responses.map((response) => h("p",
      { class: `text response ${found.responses.length > 1 ? "one" : ""}` }, response)),
    found.type || found.flags.length
      ? h("div", null, found.type ? tags([found.type]) : null, tags(found.flags, "warn")) : null]
    : h("span", { class: "muted" }, "no such round"));
  const style = `grid-template-columns: 22px repeat(${state.columns.length}, minmax(220px, 1fr))`;
  return [head, h("div", { class: "body" },
    h("div", { class: "about" }, h("div", null, ui.picture(state.figure, 480, 190)),
      h("div", null, section("Caption", h("p", { class: "text" }, state.caption || "none")),
        section("Mentions", texts(state.mentions)))),
    h("div", { class: "wide" }, h("div", { class: "rounds", style },
      h("span"), state.columns.map((column) => h("div", null,
        h("strong", null, column.arm),
        h("div", { class: "muted small" }, column.about))),
      state.rounds.map((round) => [h("span", { class: "muted number" }, String(round)),
        state.columns.map((column) => cell(column.rounds[round]))]))))];
}

export default panel({ draw });
