import { button, h } from "../_panel.js";

// The guideline: read before the first item, and afterwards at any time, beside the list of keys.
const JUDGING = [["1, 2, 3, 4", "accept only the left, only the right, both, neither"],
  ["5, 6", "cannot judge, unsafe"], ["Q, A", "accept, reject the left response"],
  ["W, S", "accept, reject the right response"], ["⇧1 … ⇧9", "add or remove a reason"],
  ["I", "show or hide what the reasons mean"]];
const chosen = ({ choices }) => Object.keys(choices).map((label, n) => [n + 1, label.toLowerCase()]);
const keysOf = (state) => [...(state.ticks ? JUDGING : chosen(state)),
  ["N", "write a note, Esc to leave"], ["T", `hide or show ${state.words.context.toLowerCase()}`], ["U", "undo, back to your first item"],
  ["H", "history: review and revise"], ["+, −, arrows", "zoom and pan the image"],
  ["B, ⇧B", "brighter, darker"], ["C, ⇧C", "more, less contrast"], ["0", "reset the image"], ["X", "next window of DICOM"],
  ...(state.ticks ? [["R, P", "review a calibration round, previous item"]] : []), ["?, Esc", "open, close the guideline"]];
// Render the guideline's Markdown subset (headings, lists, bold) as elements around text nodes.
function guide(text) {
  const mark = /^(#+|-|\d+\.) (.*)/s, blocks = [""];
  for (const line of text.split("\n")) {
    if (!line.trim() || mark.test(line) || blocks.at(-1).startsWith("#")) blocks.push(line);
    else blocks.push(`${blocks.pop()} ${line.trim()}`);
  }
  const strong = (line) => line.split("**").map((part, n) => n % 2 ? h("strong", null, part) : part);
  return blocks.filter((block) => block.trim()).map((block) => {
    const [, sign, rest] = mark.exec(block) ?? [];
    if (!sign) return h("p", null, strong(block));
    if (sign.startsWith("#")) return h("h4", null, rest);
    return h("p", { class: "point" }, h("span", { class: "muted" }, sign === "-" ? "•" : sign),
      h("span", null, strong(rest)));
  });
}
const page = (text) => h("div", { class: "scroll guide", dir: "auto", tabindex: "0",
  role: "document", "aria-label": "guideline" }, guide(text || "No guideline."));
// A wide button for what comes next, by Enter; on a phone it stays at the bottom edge.
export function onward(ui, label, act, ...before) {
  const next = (event) => ui.own.once("next", event, act);
  ui.keys.Enter = ui.keys[" "] = next;
  return h("div", { class: "row onward reach" }, before, button(
    [h("kbd", null, "Enter"), h("span", null, label)], next,
    { class: "main", "aria-label": label, "aria-keyshortcuts": "Enter" }));
}
export function reading(state, ui) {
  const changed = ui.own.reading === "changed";
  return h("div", { class: "body help" }, h("h3", null, changed
    ? "The guideline has changed since you last read it" : "Before you start: how to judge"),
  h("p", { class: "muted" }, "Please read it to the end. Afterwards the button Guideline (key ?) "
    + "shows it at any time."), page(state.guideline),
  onward(ui, changed ? "Continue" : "Start", (at) => ui.own.start(at)));
}
export function helping(state, ui) {
  const back = (event) => ui.own.once("close", event, () => { ui.own.panel = null; });
  return h("div", { class: "body help" }, h("div", { class: "split" }, page(state.guideline),
    h("div", { class: "keys" }, h("h4", null, "Keys"), h("dl", null, keysOf(state).map(([keys, what]) =>
      [h("dt", null, h("kbd", null, keys)), h("dd", null, what)])))),
  h("div", { class: "row onward reach" }, button([h("kbd", null, "Esc"), h("span", null, "Close")],
    back, { class: "main", "aria-label": "close the guideline", "aria-keyshortcuts": "Escape" })));
}
