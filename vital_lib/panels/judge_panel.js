import { h, button, bar, tags, section, texts, pager, panel } from "./_panel.js";

function draw(state, ui) {
  const shown = state.shown;
  const chip = (value, label, n) => button(`${label} ${n}`, () => ui.call("higher", value),
    { class: "chip", "aria-pressed": String(state.side === value) });
  const signed = (gap) => `${gap > 0 ? "+" : gap < 0 ? "−" : ""}${Math.abs(gap).toFixed(2)}`;
  const measure = (label, share, value) => [h("span", null, label), bar(share),
    h("span", { class: "number" }, value)];
  ui.keys = { ArrowUp: ["previous"], ArrowDown: ["next"] };
  const head = h("div", { class: "head" }, h("h3", null, `Judge vs. ${state.who}`),
    chip(null, "all", state.counts[0]), chip("judge", "judge higher", state.counts[1]),
    chip("people", `${state.who} higher`, state.counts[2]),
    h("span", { class: "muted small" }, `mean difference ${state.mean.toFixed(2)}${state.votes}`),
    h("span", { class: "grow" }), pager(state, ui));
  const number = (text) => h("td", { class: "number" }, text);
  const measured = state.measures.length ? h("div", { class: "box scroll" },
    section("Judge measures", h("table", null,
      h("tr", null, ["", "value", "95 % interval", "n"].map((name) => h("th", null, name))),
      state.measures.map(([meaning, ...numbers]) =>
        h("tr", null, h("td", { class: "wrap" }, meaning), numbers.map(number)))))) : null;
  const several = state.versions.length > 1;  // then the policy text fits at most one version
  const policy = state.policy ? h("div", { class: "box scroll" },
    h("div", { class: "row", style: "margin-bottom:4px" }, h("h4", null, "Rating policy"),
      tags(state.versions.map((version) => `version ${version}`), several ? "warn" : ""),
      several ? h("span", { class: "small no" }, "ratings of several policy versions") : null),
    h("p", { class: "text small" }, state.policy)) : null;
  const judge = measured || policy ? h("div", {
    class: `body judged ${measured && policy ? "two" : ""}` }, measured, policy) : null;
  if (!shown) return [head, h("div", { class: "body muted" },
    "No candidate has both a rating by the judge and an annotator's judgement."), judge];
  const list = h("div", { class: "list scroll" }, h("h4", null, `Judge − ${state.who}`),
    state.list.map(([gap, instruction], place) =>
      button([h("span", { class: `number ${gap > 0 ? "no" : "yes"}` }, signed(gap)),
        h("span", { class: "clip" }, instruction)], () => ui.latest("jump", place + 1),
      { class: "item", title: instruction, "aria-pressed": String(place + 1 === state.n) })),
    state.more ? h("p", { class: "muted small" }, `the ${state.of} largest differences`) : null);
  return [head, h("div", { class: "body disagreement" }, list,
    h("div", null, ui.picture(shown.figure, 480, 220),
      section("Caption", h("p", { class: "text" }, shown.caption || "none")),
      h("details", { key: shown.figure, class: "small" },
        h("summary", null, `Mentions (${shown.mentions.length})`), texts(shown.mentions))),
    h("div", null,
      section("Instruction", h("p", { class: "text" }, shown.instruction)),
      section("Response", h("p", { class: "text" }, shown.response)),
      section(`Judge and ${state.who}`, h("div", { class: "measures" },
        measure("judge's rating", shown.rating / 10, `${shown.rating.toFixed(1)} of 10`),
        measure(`accepted by ${state.who}`, shown.accepted, shown.people))),
      section("Judge's rationale", h("p", { class: "text" }, shown.rationale || "none")),
      shown.criteria.length ? section("Criteria", h("div", { class: "measures small" },
        shown.criteria.map(([name, rating]) => measure(name, rating / 10, rating.toFixed(1)))))
        : null)), judge];
}

export default panel({ draw });
