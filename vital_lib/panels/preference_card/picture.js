import { h, button } from "../_panel.js";

// The figure of an item: zoom, pan, brightness and contrast by keys, wheel, pointer and touch.
const NARROW = 780;  // pixels: up to this width, style.css shows the card in one column
export const FLAT = { zoom: 1, x: 0, y: 0, brightness: 0, contrast: 0 };  // light: exponents of 2
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
  const light = `filter:brightness(${2 ** view.brightness}) contrast(${2 ** view.contrast})`;
  const place = (view.zoom > 1 ? move : "") + (view.brightness || view.contrast ? light : "");
  const stage = h("div", { class: `picture stage ${view.zoom > 1 ? "zoomed" : ""}`, ...pointing(own), role: "group",
    "aria-label": `figure: plus and minus zoom, ${pan ? "shift and " : ""}arrow keys pan` },
  found.url
    ? h("img", { src: large.url ?? found.url, alt: `Figure ${card.figure}`, style: place,
      draggable: "false", decoding: "sync" })
    : h("span", null, found.missing
      ? `Figure ${card.figure}: ${found.missing}. ${words}`
      : "loading image"));
  return [found, stage, looks(own, ui, pan)];
}
function pointing(own) {
  const share = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width - 0.5,
      (event.clientY - box.top) / box.height - 0.5];
  };
  const grip = () => { own.grip = { from: [...own.fingers.values()], view: own.view }; };
  const leave = ({ pointerId }) => { if (own.fingers.delete(pointerId)) grip(); };
  return {
    onwheel(event) {
      event.preventDefault();
      own.look({ zoom: own.view.zoom * Math.exp(-event.deltaY / 400) }, share(event));
    },
    onpointerdown(event) {
      event.currentTarget.setPointerCapture(event.pointerId);
      own.fingers.set(event.pointerId, share(event));
      grip();
    },
    onpointermove(event) {
      if (!own.fingers.has(event.pointerId)) return;
      own.fingers.set(event.pointerId, share(event));
      own.see(gripped(own.grip, [...own.fingers.values()]));
    },
    onpointerup: leave, onpointercancel: leave,
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
function looks(own, ui, pan) {
  const { view } = own, step = 0.25;
  const key = (name, change) => { ui.keys[name] = () => own.look(change()); };
  const zoom = (factor) => () => ({ zoom: own.view.zoom * factor });
  const slide = (name, by) => () => ({ [name]: own.view[name] + by });
  const move = (axis, by) => () => ({ [axis]: own.view[axis] + by });
  for (const name of ["+", "="]) key(name, zoom(1.25));
  key("-", zoom(0.8));
  for (const [name, axis, by] of [["ArrowLeft", "x", 0.1], ["ArrowRight", "x", -0.1],
    ["ArrowUp", "y", 0.1], ["ArrowDown", "y", -0.1]]) key(pan + name, move(axis, by));
  for (const name of ["brightness", "contrast"]) {
    key(name[0], slide(name, step));
    key(`⇧${name[0]}`, slide(name, -step));
  }
  key("0", () => FLAT);
  const slider = (name) => h("label", { class: "slider" },
    h("span", null, h("kbd", null, name[0].toUpperCase()), name),
    h("input", { type: "range", min: -2, max: 2, step, value: view[name],
      "aria-label": name, "aria-keyshortcuts": `${name[0]} Shift+${name[0]}`,
      title: `${name[0].toUpperCase()} more, ⇧${name[0].toUpperCase()} less`,
      oninput: (event) => own.look({ [name]: Number(event.target.value) }) }));
  const small = (label, name, change, shortcut) => button(label, () => own.look(change()),
    { class: "small", "aria-label": name, title: name, "aria-keyshortcuts": shortcut });
  return h("div", { class: "row looks" },
    small(h("kbd", null, "−"), "zoom out", zoom(0.8), "-"),
    small(h("kbd", null, "+"), "zoom in", zoom(1.25), "+"),
    slider("brightness"), slider("contrast"),
    small([h("kbd", null, "0"), h("span", null, "Reset")], "reset the image", () => FLAT, "0"));
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
