import { h, button, section, panel } from "./_panel.js";

const CHART = { width: 380, height: 170, left: 34, right: 10, top: 10, bottom: 22 };

function curves(run) {
  const values = [...run.losses, ...run.held_out].map(([, loss]) => loss);
  const most = Math.max(0, ...values) || 1, { width, height, left, right, top, bottom } = CHART;
  const x = (step) => left + (width - left - right) * step / Math.max(1, run.total);
  const y = (loss) => height - bottom - (height - top - bottom) * loss / most;
  const line = (points) => points.map(([step, loss]) => `${x(step)},${y(loss)}`).join(" ");
  const words = [`Losses of ${run.name}`, ...run.losses.slice(-1).map(([step, loss]) =>
    `training ${loss} at step ${step}`), ...run.held_out.slice(-1).map(([step, loss]) =>
    `held out ${loss} at step ${step}`)].join(", ");
  return h("div", { class: "chart" },
    h("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words },
      [0, most / 2, most].map((loss) => [
        h("line", { class: "grid", x1: left, x2: width - right, y1: y(loss), y2: y(loss) }),
        h("text", { x: left - 5, y: y(loss) + 4, "text-anchor": "end" }, loss.toFixed(1))]),
      h("text", { x: left, y: height - 6 }, "0"),
      h("text", { x: width - right, y: height - 6, "text-anchor": "end" },
        `step ${run.total.toLocaleString("en")}`),
      h("polyline", { class: "outline", stroke: "var(--accent)", points: line(run.losses) }),
      h("polyline", { class: "outline", stroke: "var(--no)", points: line(run.held_out),
        "stroke-dasharray": "5 3" }),
      run.held_out.map(([step, loss]) =>
        h("circle", { cx: x(step), cy: y(loss), r: 3, fill: "var(--no)" }))));
}

function card(run, state, ui) {
  const last = (points) => points.length ? points.at(-1)[1].toFixed(2) : "–";
  const mark = { finished: "yes", stopped: "no" }[run.status] ?? "muted";
  return h("div", { class: "box", key: run.name },
    h("div", { class: "row" }, h("strong", null, run.name),
      h("span", { class: "number" },
        `step ${run.step.toLocaleString("en")} of ${run.total.toLocaleString("en")}`),
      h("span", { class: mark }, run.status),
      h("span", { class: "grow" }),
      state.runs.length > 1 ? button("Answers", () => ui.latest("choose", run.name),
        { "aria-pressed": String(run.name === state.chosen), class: "chip" }) : null),
    curves(run),
    h("p", { class: "small text" }, h("span", { style: "color:var(--accent)" }, "— "),
      `training loss ${last(run.losses)}   `, run.held_out.length
        ? [h("span", { class: "no" }, "‒ ‒ "), `held-out loss ${last(run.held_out)}`] : null),
    run.message ? h("p", { class: "no text" }, run.message) : null,
    run.left_out_n ? h("details", null,
      h("summary", null, `${run.left_out_n.toLocaleString("en")} ${
        run.left_out_n === 1 ? "conversation" : "conversations"} left out or cut`),
      h("ul", null, run.left_out.map((line) => h("li", { class: "text" }, line)))) : null);
}

function draw(state, ui) {
  const { status, asking } = state, active = ["running", "waiting"].includes(status);
  const mark = { finished: ["yes", "✓ finished"], stopped: ["no", "stopped"] }[status]
    ?? ["muted", status];
  const brakes = asking
    ? [h("span", null, "Stop? Steps made are kept."),
      button("Stop", () => ui.call("stop"), { class: "stop" }),
      button("Continue", () => ui.call("go_on"))]  // a double click on Stop lands here
    : active ? [button("Stop", () => ui.call("stop"))] : [];
  const rows = state.samples.map(([question, reference, answer]) => h("tr", null,
    [question, reference, answer].map((text) => h("td", { class: "wrap text" }, text))));
  return [
    h("div", { class: "head" }, h("h3", null, state.title),
      h("span", { class: mark[0], role: "status" }, mark[1]),
      h("div", { class: "row", key: active }, brakes)),
    h("div", { class: "body" },
      h("div", { class: "runs" }, state.runs.map((run) => card(run, state, ui))),
      rows.length ? section(`Sampled answers of ${state.chosen} at step ${state.sampled_at}`,
        h("table", null, h("tr", null, ["question", "reference", "answer"].map((title) =>
          h("th", null, title))), rows)) : null),
  ];
}

export default panel({ draw });
