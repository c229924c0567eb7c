import { h, bar, section, panel } from "./_panel.js";

const score = (value, digits) => value.toFixed(digits).replace("-", "−");
function histogram(state) {
  const { layers } = state.bins, n = layers[0].counts.length, base = new Array(n).fill(0);
  const totals = base.map((_, i) => layers.reduce((sum, layer) => sum + layer.counts[i], 0));
  const unit = 88 / Math.max(1, ...totals), width = 100 / n, cut = 100 * state.place;
  const rects = layers.map((layer) => layer.counts.map((count, i) => {
    base[i] += count;
    return h("rect", { x: i * width + width * 0.06, width: width * 0.88, y: 100 - base[i] * unit,
      height: count * unit, fill: layer.colour });
  }));
  return h("div", { class: "histogram" },
    h("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img",
      "aria-label": "histogram of scores" }, rects,
    h("rect", { class: "veil", x: 0, y: 0, width: cut, height: 100 })),
    h("div", { class: "cut", style: `left:${cut}%` },
      h("span", { class: cut > 70 ? "before" : "" },
        `${state.grouped ? "lowest kept" : "cut at"} ${score(state.threshold, 2)}`)));
}
function draw(state, ui) {
  const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
  const change = (row) => h("td", { class: "number" },
    `${percent(row.share_before)} → ${percent(row.share_after)}`);
  const one = (row) => h("div", { class: "box case", key: row.candidate_id },
    h("div", null, ui.picture(row.figure, 240, 84)),
    h("div", null, h("div", { class: "muted small" }, `score ${score(row.score, 3)}`),
      h("p", { class: "text" }, h("strong", null, row.instruction)),
      h("p", { class: "text" }, row.response)));
  const range = { type: "range", min: 1, max: 100, step: 1, value: Math.round(100 * state.share),
    "aria-label": "share kept, in per cent",
    oninput: (event) => ui.latest("set_share", Number(event.target.value) / 100) };
  const bins = state.bins;
  return [h("div", { class: "head" }, h("h3", null, "Cut"),
    h("span", { class: "muted" }, "share kept"), h("input", { ...range, class: "share" }),
    h("strong", { class: "number" }, percent(state.share)), h("span", { class: "grow" }),
    state.no_answer ? h("span", { class: "no" }, `${state.no_answer} refuse or echo the request`) : null,
    state.unscored ? h("span", { class: "no" }, `${state.unscored} without a score`) : null,
    h("span", { class: "number" }, `${state.kept.toLocaleString("en")} of ` +
      `${state.of.toLocaleString("en")} candidates kept`)),
  h("div", { class: "body" }, h("div", { class: "split scores" },
    h("div", null, h("h4", null, "Scores by modality"), histogram(state),
      h("div", { class: "row small muted number" }, h("span", null, score(bins.from, 2)),
        h("span", { class: "grow" }), "score (higher is better)", h("span", { class: "grow" }),
        h("span", null, score(bins.to, 2)))),
    h("div", null, h("h4", null, "Coverage"), h("table", null,
      h("tr", null, [state.grouped ? "group" : "modality", "kept", "",
        "share before → after"].map((name) => h("th", null, name))),
      state.coverage.map((row) => h("tr", null,
        h("td", null, h("i", { class: "dot", style: `background:${row.colour}` }), row.name),
        h("td", { class: "number" }, `${row.after} of ${row.before}`),
        h("td", { style: "width:22%" }, bar(row.after / row.before)), change(row)))))),
  h("div", { class: "two borderline" },
    section("Lowest scores kept", state.inside.map(one)),
    section("Highest scores left out", state.outside.length ? state.outside.map(one)
      : h("p", { class: "muted" }, "No candidates are left out."))))];
}

export default panel({ draw });
