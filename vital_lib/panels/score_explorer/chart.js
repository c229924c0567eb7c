import { h } from "../_panel.js";

// Axes, hovering and export of a chart: an SVG of fixed inner size, scaled to its place on the page.
export const BOX = { width: 640, height: 250, left: 48, right: 14, top: 22, bottom: 36 };

export const signed = (value, digits = 2) => value.toFixed(digits).replace("-", "−");
export const percent = (share, digits) =>
  `${(100 * share).toFixed(digits ?? (share < 0.1 ? 1 : 0))} %`;
export const count = (n) => n.toLocaleString("en");
export const between = (value, low, high) => Math.min(high, Math.max(low, value));

export function scales([left, right], [bottom, top], box = BOX) {
  const wide = box.width - box.left - box.right, high = box.height - box.top - box.bottom;
  const across = wide / (right - left || 1), up = high / (top - bottom || 1);
  return { box, xs: [left, right], ys: [bottom, top],
    x: (value) => box.left + (value - left) * across,
    y: (value) => box.height - box.bottom - (value - bottom) * up,
    back: (x, y) => [left + (x - box.left) / across,
      bottom + (box.height - box.bottom - y) / up] };
}
export function ticks([low, high], n = 6) {
  const rough = (high - low || 1) / n, ten = 10 ** Math.floor(Math.log10(rough));
  const step = ten * ([1, 2, 2.5, 5].find((each) => each * ten >= rough) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const found = Array.from({ length: n * 2 }, (_, i) => (first + i) * step);
  return found.filter((value) => value <= high + step * 1e-9);
}
const plain = (value) => signed(value, Number.isInteger(value) ? 0 : Math.abs(value) < 0.1 ? 2 : 1);
export function axes({ x, y, xs, ys, box }, xLabel, yLabel, told = {}) {
  const base = box.height - box.bottom, middle = (box.top + base) / 2;
  const xText = told.x ?? plain, yText = told.y ?? plain;
  return h("g", { class: "axes" },
    ticks(ys, 4).map((value) => [h("line", { class: "grid", x1: box.left, x2: box.width - box.right,
      y1: y(value), y2: y(value) }),
    h("text", { x: box.left - 6, y: y(value) + 4, "text-anchor": "end" }, yText(value))]),
    h("line", { class: "axis", x1: box.left, x2: box.width - box.right, y1: base, y2: base }),
    ticks(xs).map((value) => [
      h("line", { class: "axis", x1: x(value), x2: x(value), y1: base, y2: base + 4 }),
      h("text", { x: x(value), y: base + 16, "text-anchor": "middle" }, xText(value))]),
    h("text", { x: (box.left + box.width - box.right) / 2, y: box.height - 4,
      "text-anchor": "middle" }, xLabel),
    h("text", { transform: `translate(11 ${middle}) rotate(-90)`, "text-anchor": "middle" }, yLabel));
}
// Where an event points, in the chart's inner units.
export function pointed(event, box = BOX) {
  const svg = event.currentTarget.closest("figure").querySelector("svg").getBoundingClientRect();
  return [(event.clientX - svg.left) / svg.width * box.width,
    (event.clientY - svg.top) / svg.height * box.height];
}

export function download(name, blob) {
  const url = URL.createObjectURL(blob), link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);  // after the browser has taken it
}
// Save a chart as it looks, at twice its size: its canvas, if it has one, below its SVG.
export const savePng = async (figure, name) => {
  const svg = figure.querySelector("svg"), page = svg.getBoundingClientRect();
  const copy = svg.cloneNode(true), drawn = svg.querySelectorAll("*");
  copy.querySelectorAll("*").forEach((node, place) => {
    const look = getComputedStyle(drawn[place]);
    for (const part of ["fill", "stroke", "stroke-width", "opacity", "font-size", "font-family"]) {
      node.style.setProperty(part, look.getPropertyValue(part));
    }
  });
  copy.setAttribute("width", 2 * page.width);
  copy.setAttribute("height", 2 * page.height);
  const image = new Image(), canvas = document.createElement("canvas");
  const source = new XMLSerializer().serializeToString(copy);
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(source)}`;
  await image.decode();
  [canvas.width, canvas.height] = [2 * page.width, 2 * page.height];
  const to = canvas.getContext("2d"), below = figure.querySelector("canvas");
  to.fillStyle = getComputedStyle(figure.closest(".vital")).backgroundColor;
  to.fillRect(0, 0, canvas.width, canvas.height);
  if (below) to.drawImage(below, 0, 0, canvas.width, canvas.height);
  to.drawImage(image, 0, 0);
  canvas.toBlob((blob) => download(`${name}.png`, blob));
};
