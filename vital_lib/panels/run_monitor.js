import { h, button, bar, panel } from "./_panel.js";

function draw(state, ui) {
  const { status, asking, done, total } = state;
  const count = (n) => n.toLocaleString("en");
  const short = (n) => Intl.NumberFormat("en", { notation: "compact",
    maximumSignificantDigits: 3 }).format(n);
  const time = (s) => s < 90 ? `${s} s` : s < 5400 ? `${Math.round(s / 60)} min`
    : `${(s / 3600).toFixed(1)} h`;
  const usd = (n) => `$${n.toFixed(n > 0 && n < 10 ? 4 : 2)}`;
  const cell = (name, value) => h("div", null, h("h4", null, name),
    h("span", { class: "number" }, value ?? "–"));
  const active = ["running", "paused"].includes(status), ended = state.seconds != null;
  const mark = { finished: ["yes", "✓ finished"], stopped: ["no", "stopped"],
    failed: ["no", "✗ failed"] }[status] ?? ["muted", status];
  const brakes = asking
    ? [h("span", null, "Stop? Completed requests are kept."), button("Stop", () => ui.call("stop"), { class: "stop" }),
      button("Continue", () => ui.call("go_on"))]  // a double click on Stop lands here
    : active ? [status === "paused" ? button("Resume", () => ui.call("resume"), { class: "main" })
      : button("Pause", () => ui.call("pause")), button("Stop", () => ui.call("stop"))] : [];
  return [
    h("div", { class: "head" }, h("h3", null, state.title),
      h("span", { class: mark[0], role: "status" }, mark[1]),
      h("div", { class: "row", key: active }, brakes)),
    h("div", { class: "body" },
      bar(total ? done / total : 1, { role: "progressbar", "aria-valuemin": 0,
        class: `bar ${{ finished: "done", stopped: "early", failed: "early" }[status] ?? ""}`,
        "aria-valuemax": total, "aria-valuenow": done }),
      h("div", { class: "tally" },
        cell("done", `${count(done)} of ${count(total)}`), cell("failed", count(state.failed)),
        cell("from ledger", count(state.known)), cell("in flight", count(state.in_flight)),
        cell("tokens in", short(state.tokens_in)), cell("tokens out", short(state.tokens_out)),
        cell("spent", usd(state.usd)),
        cell("per second", state.per_second ? state.per_second.toFixed(1) : null),
        ended ? cell("took", time(state.seconds))
          : cell("time left", state.seconds_left == null ? null : time(state.seconds_left))),
      h("p", { class: `text ${status === "failed" ? "no" : "muted"}` }, state.message)),
  ];
}

export default panel({ draw });
