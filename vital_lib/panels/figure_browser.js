import { h, button, tags, section, texts, pager, panel } from "./_panel.js";

function draw(state, ui) {
  const figure = state.figure;
  const chip = (value, label, count) => button(`${label} ${count}`, () => ui.call("filter", value),
    { class: "chip", "aria-pressed": String(state.modality === value) });
  ui.keys = { ArrowLeft: ["previous"], ArrowRight: ["next"] };
  return [
    h("div", { class: "head" }, h("h3", null, "Figures"), chip(null, "all", state.all),
      state.modalities.map(([value, label, count]) => chip(value, label, count)),
      h("span", { class: "grow" }), pager(state, ui)),
    !figure ? h("div", { class: "body muted" }, "No figure has this modality.")
      : h("div", { class: "body split" },
        h("div", null, ui.picture(figure.id, 640, 400)),
        h("div", null,
          section("Caption", h("p", { class: "text" }, figure.caption || "none")),
          section("Mentions", texts(figure.mentions)),
          section("Modalities", h("div", null, figure.modalities.length
            ? tags(figure.modalities) : h("span", { class: "muted" }, "not stated"))),
          section("Record", h("dl", { class: "small" }, figure.facts.map(([name, value]) =>
            [h("dt", null, name), h("dd", null, value)]))))),
  ];
}

export default panel({ draw });
