import { h, button } from "../_panel.js";
import { adjusted, painter } from "./greys.js";

// The figure of an item: zoom, pan, brightness and contrast by keys, wheel, pointer and touch. A
// figure of 16-bit greys has a level and a width of its window instead, over its full depth.
const NARROW = 780;  // pixels: up to this width, style.css shows the card in one column
const PLAIN = { window: 0, level: null, width: null };  // the window as the file states it
export const FLAT = { zoom: 1, x: 0, y: 0, brightness: 0, contrast: 0, ...PLAIN };  // light: exponents of 2
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// words: what to do where a figure cannot be shown. pan: what is held with an arrow key to pan.
export function picture(card, ui, { words = "", pan = "" } = {}) {
  const own = ui.own, { view } = own, width = ui.root.clientWidth || 1000;
  const shown = (width > NARROW ? width * 0.4 : width) * (window.devicePixelRatio || 1);
  const side = clamp(256 * Math.ceil(shown / 256), 512, 1024);
  own.side = side;
  own.ahead().forEach((other) => ui.seen(other.figure, side));
  const found = ui.seen(card.figure, side);
  const large = view.zoom > 1.4 && found.url ? ui.seen(card.figure, 2048) : {};
  const move = `transform:translate(${view.x * 100}%,${view.y * 100}%) scale(${view.zoom});`;
  const greys = large.greys ?? found.greys, seen = greys && adjusted(greys, view);
  const light = `filter:brightness(${2 ** view.brightness}) contrast(${2 ** view.contrast})`;
  const place = (view.zoom > 1 ? move : "") + (view.brightness || view.contrast ? light : "");
  const stage = h("div", { class: `picture stage ${view.zoom > 1 ? "zoomed" : ""}`, ...pointing(own, seen), role: "group",
    "aria-label": `figure: plus and minus zoom, ${pan ? "shift and " : ""}arrow keys pan` },
  greys ? h("canvas", { width: greys.width, height: greys.height, role: "img", style: place,
    "aria-label": `Figure ${card.figure}`, paint: painter(greys, seen, card.figure) }) : found.url
    ? h("img", { src: large.url ?? found.url, alt: `Figure ${card.figure}`, style: place,
      draggable: "false", decoding: "sync" })
    : h("span", null, found.missing
      ? `Figure ${card.figure}: ${found.missing}. ${words}`
      : "loading image"));
  return [found, stage, looks(own, ui, pan, greys, seen)];
}
function pointing(own, window) {
  const share = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width - 0.5,
      (event.clientY - box.top) / box.height - 0.5];
  };
  const grip = () => { own.grip = { from: [...own.fingers.values()], view: own.view }; };
  const leave = ({ pointerId }) => { own.dragged = null; if (own.fingers.delete(pointerId)) grip(); };
  return {
    onwheel(event) {
      event.preventDefault();
      own.look({ zoom: own.view.zoom * Math.exp(-event.deltaY / 400) }, share(event));
    },
    onpointerdown(event) {
      event.currentTarget.setPointerCapture(event.pointerId);
      if (window && event.button === 2) {
        own.dragged = { from: share(event), level: window.centre, width: window.width };
        return;
      }
      own.fingers.set(event.pointerId, share(event));
      grip();
    },
    onpointermove(event) {
      if (own.dragged && window) {  // to the right: wider; down: a higher level
        const { from, level, width } = own.dragged, to = share(event);
        own.look({ level: level + (to[1] - from[1]) * width, width: width * 4 ** (to[0] - from[0]) });
        return;
      }
      if (!own.fingers.has(event.pointerId)) return;
      own.fingers.set(event.pointerId, share(event));
      own.see(gripped(own.grip, [...own.fingers.values()]));
    },
    onpointerup: leave, onpointercancel: leave,
    oncontextmenu(event) { if (window) event.preventDefault(); },
  };
}
// Return the view in which the fingers still point at what they touched first.
function gripped({ from, view }, fingers) {
  const [middle, spread] = span(from), [now, wider] = span(fingers);
  const zoomed = looked(view, { zoom: view.zoom * wider / spread }, middle);
  const [x, y] = [zoomed.x + now[0] - middle[0], zoomed.y + now[1] - middle[1]];
  return looked(zoomed, { x, y });
}
function span([first, second = null]) {
  if (!second) return [first, 1];
  const middle = [0, 1].map((axis) => (first[axis] + second[axis]) / 2);
  return [middle, Math.max(0.02, Math.hypot(first[0] - second[0], first[1] - second[1]))];
}
function looks(own, ui, pan, greys, window) {
  const { view } = own, step = 0.25;
  const key = (name, change) => { ui.keys[name] = () => own.look(change()); };
  const zoom = (factor) => () => ({ zoom: own.view.zoom * factor });
  const slide = (name, by) => () => ({ [name]: own.view[name] + by });
  const move = (axis, by) => () => ({ [axis]: own.view[axis] + by });
  for (const name of ["+", "="]) key(name, zoom(1.25));
  key("-", zoom(0.8));
  for (const [name, axis, by] of [["ArrowLeft", "x", 0.1], ["ArrowRight", "x", -0.1],
    ["ArrowUp", "y", 0.1], ["ArrowDown", "y", -0.1]]) key(pan + name, move(axis, by));
  key("0", () => FLAT);
  const slider = (letter, name, words, props) => h("label", { class: "slider" },
    h("span", null, h("kbd", null, letter), words),
    h("input", { type: "range", "aria-label": name, title: `${letter} more, ⇧${letter} less`,
      "aria-keyshortcuts": `${letter.toLowerCase()} Shift+${letter.toLowerCase()}`, ...props }));
  const light = (name) => {
    key(name[0], slide(name, step));
    key(`⇧${name[0]}`, slide(name, -step));
    return slider(name[0].toUpperCase(), name, name, { min: -2, max: 2, step, value: view[name],
      oninput: (event) => own.look({ [name]: Number(event.target.value) }) });
  };
  const small = (label, name, change, shortcut) => button(label, () => own.look(change()),
    { class: "small", "aria-label": name, title: name, "aria-keyshortcuts": shortcut });
  const [first, second, windows = null] = greys ? windowed(own, key, slider, greys, window)
    : [light("brightness"), light("contrast")];
  return h("div", { class: "row looks" },
    small(h("kbd", null, "−"), "zoom out", zoom(0.8), "-"),
    small(h("kbd", null, "+"), "zoom in", zoom(1.25), "+"),
    first, second,
    small([h("kbd", null, "0"), h("span", null, "Reset")], "reset the image", () => FLAT, "0"), windows);
}
// The controls of a window. Brighter is a lower level, or a higher one where low values are white.
function windowed(own, key, slider, greys, window) {
  const { low, high, unit, inverted, windows } = greys, { centre, width } = window;
  const brighter = (by) => () => ({ level: centre - by * (inverted ? -1 : 1) * width / 20 });
  const wider = (factor) => () => ({ width: width * factor });
  for (const [name, change] of [["b", brighter(1)], ["⇧b", brighter(-1)], ["c", wider(0.8)],
    ["⇧c", wider(1.25)]]) key(name, change);
  const next = (view) => ({ ...PLAIN, window: (view.window + 1) % windows.length });
  if (windows.length > 1) key("x", () => next(own.view));
  const span = Math.max(high - low, 1e-6), said = (value) => `${Number(value.toPrecision(4))} ${unit}`.trim();
  return [
    slider("B", "level", ["level ", h("output", null, said(centre))], { min: low, max: high, step: span / 1000,
      value: centre, "aria-valuetext": said(centre),
      oninput: (event) => own.look({ level: Number(event.target.value) }) }),
    slider("C", "width", ["width ", h("output", null, said(width))], { min: Math.log2(span / 1000),
      max: Math.log2(span * 2), step: 0.01, value: Math.log2(width), "aria-valuetext": said(width),
      oninput: (event) => own.look({ width: 2 ** Number(event.target.value) }) }),
    windows.length > 1 ? button([h("kbd", null, "X"), h("span", null,
      `${window.name} (${own.view.window + 1} of ${windows.length})`)],
      () => own.look(next(own.view)), { class: "small windows", "aria-keyshortcuts": "x",
        title: `window ${own.view.window + 1} of ${windows.length}: show the next`,
        "aria-label": `next window; this is ${window.name}` }) : null];
}
// at: offset from the centre, as a share of the frame
export function looked(view, change, at = [0, 0]) {
  const next = { ...view, ...change };
  next.zoom = clamp(next.zoom, 1, 8);
  const grown = next.zoom / view.zoom, reach = (next.zoom - 1) / 2;
  next.x = clamp(at[0] - (at[0] - next.x) * grown, -reach, reach);
  next.y = clamp(at[1] - (at[1] - next.y) * grown, -reach, reach);
  for (const name of ["brightness", "contrast"]) next[name] = clamp(next[name], -2, 2);
  return next;
}
