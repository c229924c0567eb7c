import { h, button, section, pager, panel } from "./_panel.js";

function draw(state, ui) {
  ui.keys = { ArrowLeft: ["previous"], ArrowRight: ["next"] };
  const head = h("div", { class: "head" }, h("h3", null, `What ${state.who} reward`),
    h("span", { class: "muted small" }, state.votes.trim()), h("span", { class: "grow" }),
    pager(state, ui));
  if (!state.list.length) return [head, h("div", { class: "body muted" }, "There are no votes yet.")];
  const meaning = { "+": "higher with it", "−": "lower with it", "": "no clear effect" };
  const sign = (value) => h("span", { class: `number ${{ "+": "yes", "−": "no" }[value] ?? "muted"}`,
    title: meaning[value], "aria-label": meaning[value] }, value || "·");
  const choice = (row) => button([
    h("span", { class: "sign" }, row.people.map(sign)), h("span", { class: "sign" }, row.judges.map(sign)),
    h("span", { class: "clip" }, row.label)], () => ui.latest("choose", row.name),
  { class: "item", title: row.label, "aria-pressed": String(row.name === state.name) });
  const list = h("div", { class: "list scroll" },
    h("p", { class: "muted small" }, `${state.who} · judge · property`), state.list.map(choice));
  const effects = h("table", null, state.effects.map(([source, effect, note]) => h("tr", null,
    h("td", null, source), h("td", { class: "number wrap" }, effect),
    h("td", { class: "muted wrap" }, note))));
  const side = (found, title) => h("div", { class: "box" }, h("h4", null, title),
    h("p", { class: "text" }, found.runs.map(([text, own]) => own ? h("mark", null, text) : text)),
    h("p", { class: "muted small" }, `accepted by ${found.accepted}`,
      found.rating ? ` · judge ${found.rating}` : "", ` · ${found.value}`));
  const shown = state.shown;
  const pair = shown ? h("div", { class: "split" }, ui.picture(shown.figure, 480, 240),
    h("div", null, h("p", { class: "text" }, h("strong", null, shown.instruction)),
      h("div", { class: "two onward" }, side(shown.sides[0], "more of it"),
        side(shown.sides[1], "less of it"))))
    : h("p", { class: "muted" }, "No pair of responses differs in this property.");
  return [head, h("div", { class: "body rewards" }, list,
    h("div", null, section("Effect", effects), section("Pairs that differ in it", pair)))];
}

export default panel({ draw });
