import { h } from "../_panel.js";
import { axes, percent, scales, signed } from "./chart.js";
import { TALL } from "./scatter.js";

// Curves with their intervals; `share` marks where the cut is, if the curves are over shares.
export function lines(own, curve, share) {
  const { series, ticks: steps } = curve, at = (x) => steps ? steps.indexOf(x) : x;
  const all = series.flatMap(({ points }) => points);
  const reach = all.flatMap(([, y, low, high]) => [y, low ?? y, high ?? y]);
  const top = Math.min(100, 5 * Math.ceil(Math.max(...reach) / 5));
  const frame = scales([Math.min(...all.map(([x]) => at(x))) - (steps ? 0.3 : 0),
    Math.max(...all.map(([x]) => at(x))) + (steps ? 0.3 : 0)],
  [5 * Math.floor(Math.min(...reach) / 5), top], TALL);
  const { x, y } = frame, told = steps
    ? { x: (value) => Number.isInteger(value) ? steps[value]?.toLocaleString("en") ?? "" : "" }
    : {};
  const path = (points, part) => points.map((point) => `${x(at(point[0]))} ${y(part(point))}`);
  const band = (points) => points.every(([, , low]) => low !== null)
    ? `M${[...path(points, (p) => p[3]), ...path(points, (p) => p[2]).reverse()].join("L")}Z` : "";
  return h("div", null, h("figure", { class: "chart" },
    h("svg", { viewBox: `0 0 ${TALL.width} ${TALL.height}`, role: "img",
      "aria-label": `${curve.title}: ${nearby(curve, share)}` },
    axes(frame, curve.x, curve.y, told),
    series.map(({ colour, points }) => [h("path", { class: "band", fill: colour, d: band(points) }),
      h("path", { class: "outline", stroke: colour, d: `M${path(points, (p) => p[1]).join("L")}` }),
      points.map((point) => h("circle", { class: "point", fill: colour, cx: x(at(point[0])),
        cy: y(point[1]), r: 3, onpointerenter: () => own.hover(value(curve, point), true),
        onpointerleave: () => own.hover("", true) }))]),
    share ? h("line", { class: "mark", x1: x(100 * share), x2: x(100 * share),
      y1: TALL.top, y2: TALL.height - TALL.bottom }) : null)),
  h("div", { class: "row small" }, series.map(({ name, colour }) => h("span", null,
    h("i", { class: "dot", style: `background:${colour}` }), name))),
  h("p", { class: "small", role: share ? "status" : null }, nearby(curve, share)),
  h("p", { class: "small muted" }, curve.note));
}
const range = ([, y, low, high]) => `${signed(y, 1)} %` +
  (low === null ? "" : ` [${signed(low, 1)}, ${signed(high, 1)}]`);
const value = (curve, point) => `${curve.x.replace(" (%)", "")} ${point[0].toLocaleString("en")}` +
  `${curve.ticks ? "" : " %"}: ${range(point)}`;
// The values at the share nearest to the cut's, or the last of each curve.
function nearby({ series, x, ticks: steps }, share) {
  const nearest = (points) => share ? points.reduce((best, point) =>
    Math.abs(point[0] - 100 * share) < Math.abs(best[0] - 100 * share) ? point : best)
    : points.at(-1);
  const [first] = series, where = nearest(first.points)[0];
  const place = steps ? `${x.replace(/ \(.*/, "")} = ${where.toLocaleString("en")}`
    : `at a share of ${percent(where / 100, 0)}`;
  return `${place}: ${series.map(({ name, points }) => `${name} ${range(nearest(points))}`).join("; ")}`;
}
