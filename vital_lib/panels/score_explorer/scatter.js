import { h } from "../_panel.js";
import { BOX, axes, between, pointed, scales } from "./chart.js";

export const TALL = { ...BOX, height: 330 };
const SHARP = 2, REACH = 8, FEW = 4;  // canvas pixels per unit; units to the nearest point; to a click

// Rows of a set at (x, y) on a canvas, with a lasso. `plot` has columns xs and ys and the axes.
export function scatter(own, ui, view, plot) {
  const frame = scales(plot.xs.range, plot.ys.range, TALL);
  queueMicrotask(() => paint(ui.root.querySelector("canvas"), own, view, plot, frame));
  const nearest = (event) => nearestRow(own, view, plot, frame, pointed(event, TALL));
  const loop = (event) => { own.loop.push(pointed(event, TALL)); };
  const [low, high] = [frame.y(frame.ys[0]), frame.y(frame.ys[1])];
  return h("figure", { class: "chart" }, h("canvas", { width: SHARP * TALL.width,
    height: SHARP * TALL.height, "aria-hidden": "true" }),
  h("svg", { viewBox: `0 0 ${TALL.width} ${TALL.height}`, role: "img", class: "lasso",
    "aria-label": plot.label,
    onpointerdown(event) {
      event.currentTarget.setPointerCapture(event.pointerId);
      own.loop = [];
      loop(event);
    },
    onpointermove(event) {
      if (own.loop) loop(event); else own.hover(plot.said(nearest(event)), true);
      if (own.loop) own.redraw();
    },
    onpointerup(event) {
      const path = own.loop ?? [];
      own.loop = null;
      if (span(path) > FEW) own.choose(ui, rowsIn(own, view, plot, frame, path));
      else if (nearest(event) >= 0) own.call(ui, "look_at", nearest(event));
      own.redraw();
    },
    onpointercancel() { own.loop = null; own.redraw(); },
    onpointerleave() { own.hover("", true); } },
  axes(frame, plot.x, plot.y), (plot.lines ?? []).map(([axis, value]) => axis === "x"
    ? h("line", { class: "mark", x1: frame.x(value), x2: frame.x(value), y1: high, y2: low })
    : h("line", { class: "mark", x1: TALL.left, x2: TALL.width - TALL.right, y1: frame.y(value),
      y2: frame.y(value) })),
  own.looked >= 0 && view.inside(own.looked) && plot.has(own.looked)
    ? h("circle", { class: "looked", cx: frame.x(plot.xs.of(own.looked)),
      cy: frame.y(plot.ys.of(own.looked)), r: 7 }) : null,
  own.loop ? h("path", { class: "loop", d: `M${own.loop.map((at) => at.join(" ")).join("L")}Z` })
    : null));
}
function paint(canvas, own, view, plot, { x, y }) {
  if (!canvas) return;
  const to = canvas.getContext("2d"), { codes, colours } = own.points.facets[view.by];
  to.setTransform(SHARP, 0, 0, SHARP, 0, 0);
  to.clearRect(0, 0, TALL.width, TALL.height);
  const rows = Array.from({ length: 2 * colours.length }, () => []);  // kept ones last: on top
  for (let row = 0; row < codes.length; row += 1) {
    if (view.inside(row) && plot.has(row)) {
      rows[codes[row] + (view.kept(row) ? colours.length : 0)].push(row);
    }
  }
  rows.forEach((some, place) => {
    to.fillStyle = colours[place % colours.length];
    to.globalAlpha = place < colours.length ? 0.25 : 0.75;
    for (const row of some) to.fillRect(x(plot.xs.of(row)) - 1.6, y(plot.ys.of(row)) - 1.6, 3.2, 3.2);
  });
  to.globalAlpha = 1;
  to.strokeStyle = getComputedStyle(canvas).color;
  for (const row of own.picked) {
    if (view.inside(row) && plot.has(row)) {
      to.strokeRect(x(plot.xs.of(row)) - 2.4, y(plot.ys.of(row)) - 2.4, 4.8, 4.8);
    }
  }
}
function nearestRow({ points }, view, plot, { x, y }, [atX, atY]) {
  let best = -1, reach = REACH ** 2;
  for (let row = 0; row < points.scores.length; row += 1) {
    if (!view.inside(row) || !plot.has(row)) continue;
    const far = (x(plot.xs.of(row)) - atX) ** 2 + (y(plot.ys.of(row)) - atY) ** 2;
    if (far < reach) [best, reach] = [row, far];
  }
  return best;
}
const span = (path) => {
  const sides = [0, 1].map((axis) => path.map((at) => at[axis]));
  return path.length ? Math.max(...sides.map((all) => Math.max(...all) - Math.min(...all))) : 0;
};
function rowsIn({ points }, view, plot, { x, y }, path) {
  const found = [];
  for (let row = 0; row < points.scores.length; row += 1) {
    if (view.inside(row) && plot.has(row) &&
      inPath(x(plot.xs.of(row)), y(plot.ys.of(row)), path)) found.push(row);
  }
  return found;
}
// Whether a point is in a closed path: an odd number of its sides lie to the right of the point.
function inPath(atX, atY, path) {
  let odd = false;
  path.forEach(([x, y], i) => {
    const [lastX, lastY] = path.at(i - 1);
    if ((y > atY) !== (lastY > atY) && atX < x + (lastX - x) * (atY - y) / (lastY - y)) odd = !odd;
  });
  return odd;
}
// A whole rating covers many points: spread them, the same way each time.
export const spread = (row) => between(((row * 0.618034) % 1) - 0.5, -0.5, 0.5) * 0.7;
