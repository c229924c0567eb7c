import { h } from "../_panel.js";
import { BOX, axes, between, count, percent, pointed, scales, signed } from "./chart.js";

const box = (x, y, wide, high) => `M${x.toFixed(1)} ${y.toFixed(1)}h${wide.toFixed(1)}` +
  `v${high.toFixed(1)}h${(-wide).toFixed(1)}z`;

// Scores of a set, stacked by group (or each group as a share of its own), with the cut on top.
export function histogram(own, ui, view) {
  const { points } = own, { edges } = points, facet = points.facets[view.by];
  const layers = points.histogram(view.place, view.by, view.kept);
  const totals = layers.map((layer) => layer.all.reduce((sum, n) => sum + n, 0));
  const tops = own.shares ? layers.map((layer, i) => Math.max(...layer.all) / (totals[i] || 1))
    : edges.slice(1).map((_, bin) => layers.reduce((sum, layer) => sum + layer.all[bin], 0));
  const frame = scales(points.range, [0, Math.max(own.shares ? 0.01 : 1, ...tops) * 1.04]);
  const drawn = own.shares ? outlines(layers, totals, edges, facet, frame)
    : stacks(layers, edges, facet, frame);
  const hover = (event) => {
    const [x] = pointed(event), [score] = frame.back(x, 0);
    const bin = edges.findLastIndex((edge) => edge <= score);
    own.hover(bin < 0 || bin >= edges.length - 1 ? "" : said(bin, layers, edges, facet, view));
  };
  const told = own.shares ? { y: (value) => percent(value, 0) } : { y: count };
  return h("figure", { class: "chart" },
    h("svg", { viewBox: `0 0 ${BOX.width} ${BOX.height}`, role: "group",
      "aria-label": `scores of ${count(view.n)} candidates (${view.label}), by ${facet.label}`,
      onpointermove: hover, onpointerleave: () => own.hover("") },
    axes(frame, "score (higher is better; only the order has meaning)",
      own.shares ? "share of the group (%)" : "candidates", told), drawn,
    view.cut ? line(own, ui, view.cut, frame) : null));
}
function stacks(layers, edges, { colours }, { x, y }) {
  const floor = edges.slice(1).map(() => 0), gap = 0.5;
  const wide = x(edges[1]) - x(edges[0]) - gap;
  const path = (numbers) => edges.slice(1).map((_, bin) => {
    const n = numbers[bin];
    floor[bin] += n;
    return n ? box(x(edges[bin]), y(floor[bin]), wide, y(0) - y(n)) : "";
  }).join("");
  const part = (cls, numbers) => layers.map((layer, i) =>
    h("path", { class: cls, fill: colours[i], d: path(numbers(layer)) }));
  return [h("g", null, part("kept", (layer) => layer.kept)),
    h("g", null, part("left", (layer) => layer.all.map((n, bin) => n - layer.kept[bin])))];
}
function outlines(layers, totals, edges, { colours }, { x, y }) {
  return h("g", null, layers.map((layer, i) => totals[i] ? h("path", { class: "outline",
    stroke: colours[i], d: `M${x(edges[0])} ${y(0)}` + edges.slice(1).map((edge, bin) =>
      `V${y(layer.all[bin] / totals[i]).toFixed(1)}H${x(edge).toFixed(1)}`).join("") }) : null));
}
function said(bin, layers, edges, { names }, view) {
  const all = layers.reduce((sum, layer) => sum + layer.all[bin], 0);
  const kept = layers.reduce((sum, layer) => sum + layer.kept[bin], 0);
  const parts = names.map((name, i) => [name, layers[i].all[bin]]).filter(([, n]) => n);
  parts.sort((a, b) => b[1] - a[1]);
  const more = parts.length > 4 ? ", …" : "";
  return `score ${signed(edges[bin])} to ${signed(edges[bin + 1])}: ${count(all)}` +
    `${view.acts ? `, ${count(kept)} kept` : ""}` +
    `${all ? ` (${parts.slice(0, 4).map(([name, n]) => `${name} ${n}`).join(", ")}${more})` : ""}`;
}
// The cut: a slider over the scores, moved by mouse and by keys. Its result is the share kept.
function line(own, ui, cut, { x, xs, back }) {
  const at = between(x(cut.line), x(xs[0]), x(xs[1])), top = BOX.top, low = BOX.height - BOX.bottom;
  const text = `${percent(cut.share, 1)} kept`, right = at > BOX.width - 110;
  const to = (event) => own.moveTo(own.cut.stepAt(back(pointed(event)[0], 0)[0]), ui);
  const leave = () => { own.held = false; own.settle(ui); own.redraw(); };
  return h("g", { class: "cut", role: "slider", tabindex: 0, "data-lm-suppress-shortcuts": "true",
    "aria-label": "cut: arrow keys move it by 1 % of the candidates, page keys by 10 %",
    "aria-valuemin": xs[0].toFixed(2), "aria-valuemax": xs[1].toFixed(2),
    "aria-valuenow": cut.line.toFixed(2), "aria-orientation": "horizontal",
    "aria-valuetext": `${text}, score ${signed(cut.line)}`,
    onkeydown: (event) => own.key(event, ui), onkeyup: () => own.settle(ui),
    onpointerdown: (event) => {
      event.currentTarget.setPointerCapture(event.pointerId);
      event.currentTarget.focus({ preventScroll: true });
      event.preventDefault();
      own.held = true;
    },
    onpointermove: (event) => { if (own.held) { event.stopPropagation(); to(event); } },
    onpointerup: leave, onpointercancel: leave },
  h("rect", { class: "reach", x: at - 9, y: 0, width: 18, height: low }),
  h("line", { x1: at, x2: at, y1: top, y2: low }),
  h("rect", { class: "grip", x: at - 4, y: (top + low) / 2 - 13, width: 8, height: 26, rx: 3 }),
  h("text", { x: at + (right ? -6 : 6), y: 13, "text-anchor": right ? "end" : "start" }, text));
}
