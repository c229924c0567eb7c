import { h, button } from "../_panel.js";

// The virtual table: as high as all rows, with elements for those that the kernel has sent.
export const ROW = 46;  // pixels, as in style.css
const WIDTHS = { arm: 60, rating: 50, accepted: 58, score: 48, flags: 40 };  // pixels

export function table(state, own) {
  const given = new Set(state.columns.map(([name]) => name));
  const names = Object.keys(WIDTHS).filter((name) => given.has(name) && !state.aligned);  // no room
  const [by, down] = state.sort, extra = state.rows[0]?.sorted != null;
  const title = (name, label) => h("span", { role: "columnheader", class: "cell",
    "aria-sort": by === name ? (down ? "descending" : "ascending") : "none" },
  button(`${by === name ? (down ? "▾" : "▴") : ""}${label}`, () => own.ask("sort", name),
    { title: `sort by ${label}` }));
  const style = "grid-template-columns: 22px minmax(130px, 1fr) "
    + (extra ? "minmax(60px, 110px) " : "") + names.map((name) => `${WIDTHS[name]}px`).join(" ");
  const head = h("div", { class: "line titles", role: "row", style },
    h("span", { role: "columnheader", class: "cell" }, h("span", { class: "spoken" }, "selected")),
    title("instruction", "instruction and response"),
    extra ? title(by, state.columns.find(([name]) => name === by)?.[1] ?? by) : null,
    names.map((name) => title(name, name)));
  const rows = state.rows.map((row, n) => line(row, state.first + n, { own, names, extra, style }));
  const shown = own.place >= state.first && own.place < state.first + rows.length;
  return h("div", { class: "grid", role: "grid", tabindex: "0", "aria-label": "candidates",
    "data-lm-suppress-shortcuts": "true", "aria-rowcount": state.of + 1,
    "aria-multiselectable": "true",
    "aria-activedescendant": shown ? `${own.name}-${own.place}` : null,
    onscroll: (event) => own.scrolled(event.currentTarget, state) }, head,
  state.of ? h("div", { class: "lines", role: "rowgroup", style: `height:${state.of * ROW}px` }, rows)
    : h("p", { class: "muted" }, "No candidate fits. Lift a filter, or clear the search."));
}
function line(row, place, { own, names, extra, style }) {
  const press = (event) => event.shiftKey ? own.ask("select_to", place + 1)
    : event.ctrlKey || event.metaKey ? own.ask("toggle_selected", place + 1) : own.go(place);
  const mark = (event) => { event.stopPropagation(); own.ask("toggle_selected", place + 1); };
  const marked = row.highlighted ? " highlighted" : "";
  return h("div", { class: `line${own.place === place ? " current" : ""}${marked}`, role: "row",
    id: `${own.name}-${place}`, "aria-rowindex": place + 2, "aria-selected": String(row.selected),
    style: `top:${place * ROW}px;${style}`, onclick: press },
  h("span", { class: "cell", role: "gridcell", onclick: mark, title: "select (X)" },
    row.selected ? "☑" : "☐", row.highlighted
      ? h("span", { class: "spoken" }, "highlighted") : null),
  h("span", { class: "cell said", role: "gridcell" },
    h("strong", { class: "clip", dir: "auto" }, row.instruction),
    h("span", { class: "clip", dir: "auto" }, row.response)),
  extra ? h("span", { class: "cell clip", role: "gridcell", title: row.sorted }, row.sorted) : null,
  names.map((name) => h("span", { class: "cell number clip", role: "gridcell" },
    name === "flags" && !row.flags ? "" : String(row[name]))));
}
