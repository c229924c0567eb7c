import { h, button, section, pager, panel } from "./_panel.js";

const WIDEST = 1024, STEP = 0.01;

// What the person has marked on a figure, until it is decided: boxes, of which those that were
// found in the image come first, and the numbers of found texts that are kept.
function begin({ redraw }) {
  const marks = new Map();
  return {
    reason: "", words: "", from: null, redraw,
    of(figure) {
      if (!marks.has(figure.id)) {
        marks.set(figure.id, { drawn: figure.drawn.map((box) => ({ text: "", box, on: true })),
          kept: new Set(), picked: -1, view: 0 });
      }
      const own = marks.get(figure.id);
      if (!own.known && !figure.looking) {
        own.known = true;
        own.drawn.unshift(...figure.burnt_in.map(({ text, box }) => ({ text, box, on: true })));
        if (own.picked >= 0) own.picked += figure.burnt_in.length;
      }
      return own;
    },
    receive() {},
    end() {},
  };
}

const between = (low, value, high) => Math.min(high, Math.max(low, value));
function fitted([x, y, width, height], [w, h_]) {
  const [left, top] = [between(0, Math.round(x), w - 1), between(0, Math.round(y), h_ - 1)];
  return [left, top, between(1, Math.round(width), w - left), between(1, Math.round(height), h_ - top)];
}
// What boxes cover of a frame of a contact sheet, at the same place of every frame, as
// `vital_lib/dicom/sheets.py` has it.
function onAll(boxes, [w, h_, gap, across, count] = [0, 0, 0, 1, 0]) {
  const corners = Array.from({ length: count }, (_, n) =>
    [(n % across) * (w + gap), Math.floor(n / across) * (h_ + gap)]);
  const parts = boxes.flatMap(([x, y, width, height]) => corners.map(([left, top]) => {
    const [a, b] = [Math.max(0, x - left), Math.max(0, y - top)];
    return [a, b, Math.min(w, x + width - left) - a, Math.min(h_, y + height - top) - b];
  })).filter(([, , width, height]) => width > 0 && height > 0);
  const own = new Set(parts.map(String));
  return corners.flatMap(([left, top]) => [...own].map((part) => {
    const [a, b, width, height] = part.split(",").map(Number);
    return [left + a, top + b, width, height];
  }));
}
function pointOf(event, svg) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  return [point.x, point.y];
}

function image(figure, own, ui) {
  const key = own.view ? `${figure.id}\n${own.view}` : figure.id;
  const shown = ui.seen(key, WIDEST), [w, h_] = figure.size ?? [4, 3], { from } = ui.own;
  if (!shown.url) {
    return h("div", { class: "picture", style: "height:420px" },
      h("span", null, shown.missing ?? "loading image"));
  }
  const line = Math.max(w, h_) / 300;
  const box = ({ box: [x, y, width, height], on }, number) => h("rect", { x, y, width, height,
    class: `removed ${on ? "" : "off"} ${number === own.picked ? "picked" : ""}`, "stroke-width": line });
  const drag = from && fitted(rectangle(from), figure.size);
  const all = onAll(own.drawn.filter(({ on }) => on).map((one) => one.box), figure.tiles ?? undefined);
  return h("div", { class: "picture", style: "height:420px", key: figure.id }, h("svg", {
    class: "clearing", viewBox: `0 0 ${w} ${h_}`, role: "img", "aria-label": `Figure ${figure.id}`,
    onpointerdown: (event) => {
      event.preventDefault();
      ui.root.focus({ preventScroll: true });
      event.currentTarget.setPointerCapture(event.pointerId);
      ui.own.from = [...pointOf(event, event.currentTarget), ...pointOf(event, event.currentTarget)];
    },
    onpointermove: (event) => {
      if (!ui.own.from) return;
      ui.own.from.splice(2, 2, ...pointOf(event, event.currentTarget));
      ui.own.redraw();
    },
    onpointercancel: () => { ui.own.from = null; ui.own.redraw(); },
    onpointerup: () => {
      if (shortest(ui.own.from) > line * 2) add(own, fitted(rectangle(ui.own.from), figure.size));
      ui.own.from = null;
      ui.own.redraw();
    } },
    h("image", { href: shown.url, width: w, height: h_, preserveAspectRatio: "none" }),
    all.map(([x, y, width, height]) => h("rect", { x, y, width, height, class: "everywhere" })),
    own.drawn.map(box),
    drag ? box({ box: drag, on: true }, -2) : null));
}
const rectangle = ([a, b, c, d]) => [Math.min(a, c), Math.min(b, d), Math.abs(c - a), Math.abs(d - b)];
const shortest = (from) => (from ? Math.min(rectangle(from)[2], rectangle(from)[3]) : 0);
function add(own, box) {
  own.picked = own.drawn.push({ text: "", box, on: true }) - 1;
}

function draw(state, ui) {
  const figure = state.figure, head = h("div", { class: "head" }, h("h3", null, "Clearance"),
    h("span", { class: "number" }, `${state.of} of ${state.all} figures not cleared · `
      + `${state.decided} decided`),
    h("span", { class: "grow" }), figure ? pager(state, ui) : null);
  if (!figure) return [head, h("div", { class: "body muted" }, "All figures are cleared.")];
  const own = ui.own.of(figure), [w, h_] = figure.size ?? [1, 1];
  const boxes = own.drawn.filter(({ on }) => on).map(({ box }) => box);
  const numbers = figure.texts.flatMap(({ parts }) => parts.map(([, number]) => number))
    .filter((number) => number != null);
  const found = numbers.filter((number) => !own.kept.has(number));
  const again = () => ui.own.redraw();
  const said = () => {
    if (ui.own.reason.trim()) return true;
    ui.root.querySelector("input.reason")?.focus();
    return false;
  };
  const act = (...call) => { if (said() && figure.size) { ui.own.words = ""; ui.call(...call); } };
  const clear = () => { const { words } = ui.own;
    act("clear", ui.own.reason, boxes, found, words); };
  const reject = () => act("reject", ui.own.reason);
  const move = (dx, dy, grow) => () => {
    const one = own.drawn[own.picked];
    if (!one) return;
    const [x, y, width, height] = one.box, [sx, sy] = [dx * STEP * w, dy * STEP * h_];
    one.box = fitted(grow ? [x, y, width + sx, height + sy] : [x + sx, y + sy, width, height], figure.size);
    again();
  };
  const remove = () => { own.drawn.splice(own.picked, 1); own.picked = own.drawn.length - 1; again(); };
  ui.keys = {
    n: ["next"], p: ["previous"], c: clear, x: reject,
    b: () => { add(own, fitted([w * 0.4, h_ * 0.4, w * 0.2, h_ * 0.2], figure.size ?? [1, 1])); again(); },
    ArrowLeft: move(-1, 0), ArrowRight: move(1, 0), ArrowUp: move(0, -1), ArrowDown: move(0, 1),
    "⇧ArrowLeft": move(-1, 0, true), "⇧ArrowRight": move(1, 0, true),
    "⇧ArrowUp": move(0, -1, true), "⇧ArrowDown": move(0, 1, true),
    Delete: remove, Backspace: remove,
  };
  const views = figure.views.length;
  const turn = () => { own.view = (own.view + 1) % views; again(); };
  if (views > 1) ui.keys.w = turn;
  const removed = boxes.length + found.length + (ui.own.words.trim() ? 1 : 0);
  return [head, h("div", { class: "body split even" },
    h("div", null, image(figure, own, ui),
      views > 1 ? h("div", { class: "row", style: "margin-top:8px" },
        button([h("kbd", null, "w"), h("span", null, "Next view")], turn, { "aria-keyshortcuts": "w" }),
        h("span", { class: "small muted" }, `${own.view + 1} of ${views}: ${figure.views[own.view]}. `
          + "On a card, all of these can be seen: look at each.")) : null,
      h("p", { class: "small muted" }, h("kbd", null, "b"), "or drag: a black box. ",
        h("kbd", null, "arrows"), "move it, with ", h("kbd", null, "⇧"), "resize it, ",
        h("kbd", null, "Delete"), "removes it.",
        figure.tiles ? ` A box is black in all ${figure.tiles[4]} frames.` : null),
      section("Text found in the image", figure.looking ? h("p", { class: "muted" }, "looking …")
        : figure.unlooked ? h("p", { class: "no text" }, figure.unlooked)
          : figure.burnt_in.length ? null : h("p", { class: "muted" }, "none found"),
      h("div", { class: "row scroll" }, own.drawn.map((one, number) => button(
        `${one.on ? "▪ black: " : "kept: "}${one.text || `box ${number + 1}`}`,
        () => { one.on = !one.on; own.picked = number; again(); },
        { class: "chip", "aria-pressed": String(one.on) }))))),
    h("div", null,
      h("p", { class: "before" }, figure.now ? `Decided: ${figure.now}.` : `Held back: ${figure.why}.`),
      figure.texts.map(({ place, parts }) => section(place, h("p", { class: "text", dir: "auto" },
        parts.map(([words, number, kind]) => (number == null ? words : button(words, () => {
          if (!own.kept.delete(number)) own.kept.add(number);
          again();
        }, { class: `found ${own.kept.has(number) ? "" : "gone"}`, title: kind,
          "aria-pressed": String(!own.kept.has(number)), "aria-label": `remove ${kind}: ${words}` })))))),
      section("Leaves with it, unchanged", h("p", { class: "text small" },
        figure.names.map(([what, name]) => h("span", { style: "display:block" }, `${what}: ${name}`)))),
      h("div", { class: "foot" },
        h("div", { class: "row" }, h("input", { type: "text", class: "grow", value: ui.own.words,
          placeholder: "also remove these words from the texts", "aria-label": "words to remove",
          oninput: (event) => { ui.own.words = event.target.value; again(); } })),
        h("div", { class: "row", style: "margin-top:8px" }, h("input", { type: "text",
          class: "grow reason", value: ui.own.reason, placeholder: "reason (needed)",
          "aria-label": "reason", oninput: (event) => { ui.own.reason = event.target.value; } }),
        h("span", { class: "muted" }, `as ${state.person}`)),
        h("div", { class: "row", style: "margin-top:8px" },
          button([h("kbd", null, "c"), removed ? `Clear without ${removed} marked` : "Clear as it is"],
            clear, { class: "main", disabled: !figure.size || ui.busy }),
          button([h("kbd", null, "x"), "Reject"], reject, { class: "stop", disabled: ui.busy })),
        state.notice ? h("p", { class: "no text" }, state.notice) : null)))];
}

export default panel({ draw, begin });
