import { h, button, section } from "../_panel.js";
import { count, percent, savePng, signed } from "./chart.js";
import { lines } from "./lines.js";
import { scatter, spread } from "./scatter.js";

// The views below the distributions, by name, of what the kernel was given.
export function viewsOf(state, { points }, acts) {
  const curves = Object.entries(points.curves).map(([name, { title }]) => [name, title]);
  return Object.fromEntries([acts ? ["beside", "beside the cut"] : null,
    points.rated ? ["rating", "score and rating"] : null,
    points.compared ? ["other", `selector and ${state.other}`] : null, ...curves].filter(Boolean));
}
export function inspected(state, own, ui, view) {
  const curve = own.points.curves[own.shown], share = own.shown === "expected" && view.cut?.share;
  const plot = curve ? null : plots[own.shown](state, own, view);
  const figure = (event) => event.currentTarget.closest(".inspect").querySelector("figure");
  const left = h("div", { key: own.shown }, curve ? lines(own, curve, share)
    : [scatter(own, ui, view, plot), h("p", { class: "small muted" }, plot.note)],
  h("div", { class: "row small" }, h("p", { class: "readout muted number" },
    (own.below && own.hovered) || "\u00a0"), h("span", { class: "grow" }),
    button("PNG", (event) => savePng(figure(event), `scores_${own.shown}`), { class: "chip",
      "aria-label": "save this view as PNG" })));
  return h("div", { class: "inspect split scores" }, left,
    curve ? null : h("div", null, picks(state, own, ui), listed(state, own, ui),
      detail(state.shown, ui)));
}
const plots = {
  rating: (state, { points }, { label, cut, acts }) => ({
    label: `score against the judge's rating (${label})`,
    x: "score", y: "judge's rating (0 to 10)",
    xs: { range: points.range, of: (row) => points.scores[row] },
    ys: { range: [-0.5, 10.5], of: (row) => points.ratings[row] + spread(row) },
    has: (row) => !Number.isNaN(points.ratings[row]),
    said: (row) => row < 0 ? ""
      : `score ${signed(points.scores[row])}, rating ${points.ratings[row]}`,
    lines: cut ? [["x", cut.line]] : [],
    note: "Draw round points to select them; click one to see it. Points are spread around whole " +
      `ratings.${acts ? " Pale points are left out by the cut." : ""}`,
  }),
  other: (state, { points }, { place, label, cut, acts }) => {
    const [x, y] = ["scores", "others"].map((name) => points.places(place, name));
    const edge = cut && acts ? 100 * (1 - cut.share) : null;
    return {
      label: `place in the ranking by selector and by ${state.other} (${label})`,
      x: "place by the selector (% ranked lower)", y: `place by ${state.other} (% ranked lower)`,
      xs: { range: [0, 100], of: (row) => x[row] }, ys: { range: [0, 100], of: (row) => y[row] },
      has: (row) => !Number.isNaN(y[row]),
      said: (row) => row < 0 ? "" : `selector ${signed(x[row], 0)} %, ${state.other} ` +
        `${signed(y[row], 0)} %: change ${signed(x[row] - y[row], 0)}`,
      lines: edge === null ? [] : [["x", edge], ["y", edge]],
      note: edge === null ? "Draw round points to select them; click one to see it."
        : "Points at the lower right enter the set with the selector, those at the upper left " +
          "leave it. The lines show the share kept, without quotas.",
    };
  },
};
function picks(state, own, ui) {
  const crossing = state.cut?.crossing, apart = state.apart[own.shown];
  const chip = (label, full, n, name, ...args) => button(`${label} ${count(n)}`,
    () => own.call(ui, name, ...args), { class: "chip",
      "aria-pressed": String(state.picked.label === full), disabled: !n });
  const named = own.shown === "rating" ? "judge" : state.other;
  return h("div", { class: "row", role: "group", "aria-label": "select" },
    chip("disagree", `selector and ${named} disagree`, apart[0] + apart[1],
      "select_disagreements", own.shown),
    chip("selector higher", `selector higher than ${named}`, apart[0], "select_disagreements",
      own.shown, "selector"),
    chip(`${named} higher`, `${named} higher`, apart[1], "select_disagreements", own.shown,
      "other"),
    own.shown === "other" && state.set === "pool" ? crossing
      ? [chip("enter the set", "enter the set", crossing[0], "select_crossing", "enter"),
        chip("leave the set", "leave the set", crossing[1], "select_crossing", "leave")]
      : h("span", { class: "no small" }, `${state.other} cannot fill this share`) : null);
}
function listed(state, own, ui) {
  const { picked } = state;
  if (!picked.n) return h("p", { class: "muted small" }, "Nothing is selected.");
  return h("div", null, h("p", { class: "small", role: "status" },
    `${picked.label}: ${count(picked.n)} selected` +
    (picked.list.length < picked.n ? `, the first ${picked.list.length} listed` : "")),
  h("div", { class: "list scroll picked", key: `${picked.label} ${picked.n}` },
    picked.list.map(({ row, score, instruction }) =>
      button([h("span", { class: "number" }, signed(score)), h("span", { class: "clip" },
        instruction)], () => own.call(ui, "look_at", row),
      { class: "item", "aria-pressed": String(row === own.looked) }))));
}
function detail(shown, ui) {
  if (!shown) return null;
  const line = (name, value) => value === null || value === "" ? null
    : [h("dt", null, name), h("dd", null, value)];
  return h("div", { class: "box looking", role: "region", "aria-label": "candidate" },
    ui.picture(shown.figure, 480, 190),
    section("Instruction", h("p", { class: "text" }, shown.instruction)),
    section("Response", h("p", { class: "text" }, shown.response)),
    section("Measures", h("dl", null, line("score", `${signed(shown.score)}, higher than ` +
      `${percent(shown.above, 0)} of those shown`), line("judge's rating",
      shown.rating === null ? "none" : `${shown.rating} of 10`),
    line("ticks", shown.ticks), line("split", shown.split), line("cut", shown.outcome),
    line("id", shown.candidate_id))));
}
