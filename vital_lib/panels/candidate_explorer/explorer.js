import { h, button, panel } from "../_panel.js";
import { FLAT, looked } from "../preference_card/picture.js";
import { ROW, table } from "./table.js";
import { detail } from "./detail.js";

const OPEN = new Set(["marked", "stage", "arm", "flag"]);  // facets that are unfolded at first
const AHEAD = 20;  // rows above the first visible one that are asked for

// What the page remembers: the row that the keys are at, the view of the image, and what it still
// has to ask the kernel, each call once and with its last values.
class Browsing {
  constructor({ redraw }) {
    Object.assign(this, { redraw, name: `row${Math.random().toString(36).slice(2)}`, place: 0,
      view: { ...FLAT }, fingers: new Map(), figure: null, revealed: "", waiting: new Map() });
  }
  receive() {}
  end() {}
  ahead() { return []; }
  look(change, at) { this.see(looked(this.view, change, at)); }
  see(view) { this.view = view; this.redraw(); }
  ask(name, ...args) {
    const several = name.startsWith("toggle") ? JSON.stringify(args) : "";
    this.waiting.set(name + several, [name, args]);
    this.send();
  }
  send() {
    if (this.ui.busy || !this.waiting.size) return;
    const [[key, [name, args]]] = this.waiting;
    this.waiting.delete(key);
    this.ui.call(name, ...args);
  }
  go(place) {
    const last = this.ui.root.querySelector(".grid")?.getAttribute("aria-rowcount") - 2;
    this.place = Math.max(0, Math.min(place, last));
    this.ask("jump", this.place + 1);
    this.redraw();
  }
  scrolled(grid, { first, rows, of }) {
    const top = Math.floor(grid.scrollTop / ROW), n = Math.ceil(grid.clientHeight / ROW);
    const end = Math.min(top + n, of);
    if (top < first || end > first + rows.length) this.ask("scroll", Math.max(0, top - AHEAD));
  }
  meet(state, ui) {
    this.ui = ui;
    if (!ui.busy && !this.waiting.size) this.place = state.n - 1;
    if (this.waiting.size) queueMicrotask(() => this.send());
    if (this.figure !== state.shown?.figure) {
      this.figure = state.shown?.figure;
      this.view = { ...FLAT };
      this.fingers.clear();
    }
    const at = `${state.n} ${state.of} ${state.sort} ${state.query}`;
    if (this.revealed === at) return;
    this.revealed = at;
    queueMicrotask(() => this.reveal(state.n - 1));
  }
  reveal(place) {  // after the rows are drawn
    const grid = this.ui.root.querySelector(".grid");
    if (!grid) return;
    const top = place * ROW, room = grid.clientHeight - ROW;  // under the titles
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top + ROW > grid.scrollTop + room) grid.scrollTop = top + ROW - room;
  }
  key(name, label, act, props) {
    this.ui.keys[name] = act;
    return button([h("kbd", null, name.toUpperCase()), label], act, { "aria-keyshortcuts":
      name.replace("⇧", "Shift+"), "aria-label": label, ...props });
  }
}
function keys(state, { own, keys: bound, root }) {
  const high = () => root.querySelector(".grid")?.clientHeight ?? 0;
  const rows = () => Math.max(1, Math.floor(high() / ROW) - 2);
  Object.assign(bound, {
    ArrowDown: () => own.go(own.place + 1), ArrowUp: () => own.go(own.place - 1),
    PageDown: () => own.go(own.place + rows()), PageUp: () => own.go(own.place - rows()),
    Home: () => own.go(0), End: () => own.go(state.of - 1),
    x: () => own.ask("toggle_selected", own.place + 1),
    " ": () => own.ask("toggle_selected", own.place + 1),
    "⇧x": () => own.ask("select_to", own.place + 1),
    "/": () => root.querySelector("[role=searchbox]").focus(),
  });
}
function head(state, own) {
  const [by, down] = state.sort, count = (n) => n.toLocaleString("en");
  return h("div", { class: "head" }, h("h3", null, "Candidates"),
    h("label", { class: "row" }, h("kbd", null, "/"), h("input", { type: "text", role: "searchbox",
      "aria-label": "search in instruction, response and caption", "aria-keyshortcuts": "/",
      placeholder: "Search texts and captions", value: state.query, size: 24,
      oninput: (event) => own.ask("search", event.target.value) })),
    h("strong", { class: "number", role: "status" }, state.of === state.all
      ? `${count(state.all)} candidates` : `${count(state.of)} of ${count(state.all)} candidates`),
    button("Clear", () => own.clear(), { "aria-label": "clear filters and search" }),
    h("span", { class: "muted small" }, state.note), h("span", { class: "grow" }),
    h("label", { class: "row small" }, "sort by", h("select", { "aria-label": "sort by",
      value: by ?? "", onchange: (event) => own.ask("sort", event.target.value || null, false) },
    h("option", { value: "" }, "order of the table"),
    state.columns.map(([name, title]) => h("option", { value: name }, title)))),
    button(down ? "▾ falling" : "▴ rising", () => own.ask("sort", by, !down),
      { "aria-label": "direction of the order", disabled: !by }));
}
const facet = (own) => ({ name, title, values }) => h("details", { key: name,
  open: OPEN.has(name) || values.some(([, , , on]) => on) }, h("summary", null, title),
values.map(([value, label, n, on]) => button([h("span", { class: "clip" }, label),
  h("span", { class: "number" }, n.toLocaleString("en"))],
() => own.ask("toggle_filter", name, value), { class: "facet", title: label,
  "aria-label": `${title} ${label}: ${n}`, "aria-pressed": String(on), disabled: !n && !on })));

function foot(state, own, root) {
  const name = () => root.querySelector("[name=selection]");
  const save = () => { if (name().value.trim()) own.ask("save_selection", name().value); };
  const few = !state.selected, [log, exports] = state.acts;
  const act = (key, label, name) => own.key(key, label, () => own.ask(name), { disabled: !state.of });
  return h("div", { class: "row foot acts" },
    h("strong", { class: "number" }, `${state.selected.toLocaleString("en")} selected`),
    button("Select all listed", () => own.ask("select_listed"), { disabled: !state.of }),
    button("Unselect", () => own.ask("unselect"), { disabled: few }),
    h("input", { type: "text", name: "selection", "aria-label": "name of the selection", size: 14,
      placeholder: "Name", onkeydown: (event) => { if (event.key === "Enter") save(); } }),
    button("Save selection", save, { disabled: few }),
    state.selections.map(([title, n]) => button(`${title} (${n.toLocaleString("en")})`,
      () => own.ask("open_selection", title), { class: "chip", title: "select these again" })),
    log ? [act("l", "Send to the label queue", "send_to_queue"),
      act("j", "Send to adjudication", "send_to_adjudication")] : null,
    exports ? act("e", "Export the listed rows", "export") : null,
    h("span", { class: "grow small", role: "status" }, state.said), h("span", { class: "muted small" },
      "↑ ↓ move · X select · ⇧X select to here · + − 0 and ⇧ arrows: image"));
}
function draw(state, ui) {
  const own = ui.own;
  own.meet(state, ui);
  own.clear = () => {
    const search = ui.root.querySelector("[role=searchbox]");
    search.value = "";
    own.ask("clear_filters");
  };
  const right = detail(state, ui);  // before the rows' keys: the image has keys of its own
  keys(state, ui);
  return [head(state, own), h("div", { class: `explorer${state.aligned ? " aligned" : ""}` },
    h("div", { class: "facets scroll", role: "group", "aria-label": "filters" },
      state.facets.map(facet(own))),
    table(state, own), right), foot(state, own, ui.root)];
}

export default panel({ draw, begin: (given) => new Browsing(given) });
