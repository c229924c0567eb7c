import { h, button, bar, section, panel } from "../_panel.js";
import { between, count, download, percent, savePng, signed } from "./chart.js";
import { histogram } from "./histogram.js";
import { inspected, viewsOf } from "./inspecting.js";
import { Cut, Points, columnOf } from "./points.js";

const WATCHED = ["modality", "cluster"];  // groups that must not fall below half their share

// What the page holds of one explorer: the columns, and the step of the cut while it is moved.
class Explorer {
  constructor({ model, redraw }) {
    Object.assign(this, { model, redrawAll: redraw, points: null, cut: null, step: null,
      held: false, shares: false, hovered: "", below: false, due: false, waiting: [], loop: null, picked: [],
      looked: -1, shown: null });
    model.send({ points: true });
  }
  receive(message, buffers) {
    if (message.file) download(message.file, new Blob([buffers[0]], { type: "text/csv" }));
    if (message.points) this.points = new Points(message, buffers);
    if (message.cut) this.cut = new Cut(message.cut, buffers);
    if (message.picked !== undefined) this.picked = columnOf(Int32Array, buffers[0]);
    this.redraw();
  }
  redraw() {  // once for each frame
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => { this.due = false; this.redrawAll(); });
  }
  hover(text, below = false) {  // below: in the views under the histogram
    if (text === this.hovered) return;
    Object.assign(this, { hovered: text, below });
    this.redraw();
  }
  // Call a method of the kernel's panel after those called before; a newer share replaces an older.
  call(ui, name, ...args) {
    if (this.waiting.at(-1)?.[0] === name) this.waiting.pop();
    this.waiting.push([name, ...args]);
    this.next(ui);
  }
  next(ui) {
    if (!ui.busy && this.waiting.length) ui.call(...this.waiting.shift());
  }
  // At the end of a drag or key press, do not wait for replies: where the kernel runs messages and
  // cells in one order, a cell that is run from now on finds the newest share.
  settle(ui) { while (this.waiting.length) ui.now(...this.waiting.shift()); }
  choose(ui, rows) {  // of a lasso
    this.picked = rows;
    this.call(ui, "select", rows);
  }
  moveTo(step, ui) {
    const next = between(step, 0, this.cut.shares.length - 1);
    if (next === this.step) return;
    this.step = next;
    this.call(ui, "set_share", this.cut.shares[next]);
    this.redraw();
  }
  key(event, ui) {
    const { shares } = this.cut, last = shares.length - 1;
    const now = this.step === null ? this.model.get("state").cut.share : shares[this.step];
    const by = (change) => this.cut.stepOf(now + change);
    const keys = { ArrowRight: () => by(-0.01), ArrowUp: () => by(-0.01), ArrowLeft: () => by(0.01),
      ArrowDown: () => by(0.01), PageUp: () => by(-0.1), PageDown: () => by(0.1), Home: () => last,
      End: () => 0 };
    if (!keys[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    this.moveTo(keys[event.key](), ui);
  }
  // The cut as shown: the step that is being moved to, else what the kernel has.
  cutNow(state, ui) {
    if (!state.cut || !this.cut) return null;
    if (!this.held && !ui.busy && !this.waiting.length) this.step = null;
    const { step } = this;
    if (step === null) return { ...state.cut, keeps: this.cut.keeps(state.cut.quota) };
    return { ...state.cut, share: this.cut.shares[step], line: this.cut.lines[step],
      keeps: this.cut.keeps(this.cut.quota(step)) };
  }
}
const chips = (label, names, now, act) => h("div", { class: "row", role: "group",
  "aria-label": label }, h("span", { class: "muted small" }, label), names.map(([name, text]) =>
  button(text, () => act(name), { class: "chip", "aria-pressed": String(name === now) })));

function draw(state, ui) {
  const { own } = ui;
  const head = (...more) => h("div", { class: "head" }, h("h3", null, "Scores"), more);
  if (!own?.points || (state.cut && !own.cut)) {
    return [head(), h("div", { class: "body muted" }, "loading scores")];
  }
  queueMicrotask(() => own.next(ui));
  const cut = own.cutNow(state, ui);
  const [, label, n, place] = state.sets.find(([name]) => name === state.set);
  const acts = state.set === "pool";
  const kept = acts ? cut.keeps : () => true;
  const view = { place, by: state.by, n, label, cut, acts, kept, inside: own.points.in(place) };
  const views = viewsOf(state, own, acts);
  if (!views[own.shown]) [own.shown] = Object.keys(views);
  own.looked = state.shown?.row ?? -1;
  return [head(...counts(state, cut, own, ui)), h("div", { class: "body" }, chosen(state, own, ui),
    h("div", { class: "split scores" },
      h("div", null, histogram(own, ui, view), under(state, own, ui)),
      h("div", null, groups(view, state, own), cut ? within(state, cut, own, ui) : null)),
    own.shown ? h("div", { class: "onward" }, chips("view", Object.entries(views), own.shown,
      (name) => { own.shown = name; own.redraw(); }),
    own.shown === "beside" ? beside(cut, ui) : inspected(state, own, ui, view)) : null)];
}
function counts(state, cut, own, ui) {
  const left = [[state.no_answer, "refuse or echo the request"],
    [cut?.unscored, "without a score"]].filter(([n]) => n);
  const kept = cut && own.points.number(0, cut.keeps);
  return [h("span", { class: "grow" }), ui.late ? h("span", { class: "no" }, "waiting for the kernel")
    : null, left.map(([n, why]) => h("span", { class: "no" }, `${count(n)} ${why}`)),
  cut ? h("span", { class: "number", role: "status", "aria-busy": String(own.step !== null) }, `${count(kept)} of ${count(cut.of)} ` +
    `candidates kept (${percent(cut.share, 1)})`) : null];
}
function chosen(state, own, ui) {
  const sets = state.sets.map(([name, label, n]) => [name, `${label} ${count(n)}`]);
  const by = Object.entries(own.points.facets).map(([name, { label }]) => [name, label]);
  const learned = state.set === "pool" && state.cut.learned
    ? h("p", { class: "small muted" }, `${count(state.cut.learned)} of these are about training ` +
      "articles: the selector may have learned from their ratings. Judge it on held-out articles.")
    : null;
  return h("div", { class: "choosing" }, chips("show", sets, state.set,
    (name) => own.call(ui, "show_set", name)), learned,
  chips("by", by, state.by, (name) => own.call(ui, "split_by", name)));
}
function under(state, own, ui) {
  const figure = (event) => event.currentTarget.closest(".split").querySelector("figure");
  return h("div", { class: "row small" },
    chips("scale", [[false, "candidates"], [true, "share of group"]], own.shares, (value) => {
      own.shares = value;
      own.redraw();
    }), h("span", { class: "grow" }),
    button("PNG", (event) => savePng(figure(event), `scores_${state.set}_by_${state.by}`),
      { class: "chip", "aria-label": "save the histogram as PNG" }),
    button("CSV", () => own.call(ui, "save_table"), { class: "chip",
      "aria-label": "save the rows shown as CSV" }),
    h("p", { class: "readout muted number" }, (!own.below && own.hovered) || "\u00a0"));
}
function groups(view, state, own) {
  const facet = own.points.facets[state.by];
  const rows = own.points.groups(view.place, state.by, view.kept);
  const all = rows.reduce((sum, row) => sum + row.all, 0) || 1;
  const kept = rows.reduce((sum, row) => sum + row.kept, 0) || 1;
  const name = (i) => h("td", { class: "wrap" },
    h("i", { class: "dot", style: `background:${facet.colours[i]}` }), facet.names[i]);
  const line = (row, i) => !row.all ? null : h("tr", null, name(i), view.acts
    ? [h("td", { class: "number" }, `${count(row.kept)} of ${count(row.all)}`),
      h("td", { class: "meter" }, bar(row.kept / row.all)),
      h("td", { class: `number ${thin(row, all, kept) ? "no" : ""}` },
        `${thin(row, all, kept) ? "⚠ " : ""}${percent(row.all / all)} → ${percent(row.kept / kept)}`)]
    : [h("td", { class: "number" }, count(row.all)), h("td", { class: "meter" }, bar(row.all / all)),
      h("td", { class: "number" }, signed(median(row.scores)))]);
  const heads = view.acts ? [facet.label, "kept", "", "share before → after"]
    : [facet.label, "candidates", "", "median score"];
  return h("div", { class: "scroll groups" }, h("table", { "aria-label": `groups by ${facet.label}` },
    h("tr", null, heads.map((text) => h("th", null, text))), rows.map(line)));
}
const thin = (row, all, kept) => row.kept / kept < 0.5 * row.all / all;
const median = (falling) => {
  const half = (falling.length - 1) / 2;
  return (falling[Math.floor(half)] + falling[Math.ceil(half)]) / 2;
};
// The quotas of the cut, and a warning for each group that loses more than half its share.
function within(state, cut, own, ui) {
  const watched = WATCHED.filter((name) => own.points.facets[name]);
  const found = watched.flatMap((name) => {
    const rows = own.points.groups(0, name, cut.keeps), facet = own.points.facets[name];
    const all = rows.reduce((sum, row) => sum + row.all, 0);
    const kept = rows.reduce((sum, row) => sum + row.kept, 0);
    return rows.map((row, i) => row.all && thin(row, all, kept)
      ? `${facet.label} ${facet.names[i]}: ${percent(row.all / all)} → ${percent(row.kept / kept)}`
      : null).filter(Boolean);
  });
  return h("div", { class: "quotas" },
    chips("quota for each", state.cut.withins.map((name) => [name, name]), state.cut.within,
      (name) => own.call(ui, "set_within", name)),
    h("div", { role: "status", class: `small ${found.length ? "no" : "muted"}` }, found.length
      ? [h("strong", null, `⚠ ${found.length} below half the share in the pool`),
        h("ul", null, found.map((text) => h("li", null, text)))]
      : `✓ Each ${watched.join(" and each ")} keeps at least half its share of the pool.`));
}
function beside(cut, ui) {
  const one = (row) => h("div", { class: "box case", key: row.candidate_id },
    h("div", null, ui.picture(row.figure, 240, 84)),
    h("div", null, h("div", { class: "muted small" }, `score ${signed(row.score, 3)}`),
      h("p", { class: "text" }, h("strong", null, row.instruction)),
      h("p", { class: "text" }, row.response)));
  return h("div", { class: "two borderline" },
    section("Lowest scores kept", cut.inside.map(one)),
    section("Highest scores left out", cut.outside.length ? cut.outside.map(one)
      : h("p", { class: "muted" }, "No candidates are left out.")));
}

export default panel({ draw, begin: (given) => new Explorer(given) });
