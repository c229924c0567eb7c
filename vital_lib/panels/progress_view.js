function draw(state) {
  const share = state.of ? state.n / state.of : 1;
  const time = (s) => s < 90 ? `${s.toFixed(s < 10 ? 1 : 0)} s`
    : `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  const left = state.n && !state.ended && share < 1
    ? `, about ${time(state.seconds * (1 / share - 1))} left` : "";
  const mark = { done: ["yes", "✓ done"], early: ["no", "ended early"] }[state.ended];
  return [h("div", { class: "head work" },
    h("h3", null, state.title), mark ? h("span", { class: mark[0] }, mark[1]) : null,
    h("span", { class: "muted grow" }, state.message),
    h("span", { class: "number muted" }, time(state.seconds) + left),
    h("span", { class: "number" }, `${state.n.toLocaleString("en")} of ` +
      state.of.toLocaleString("en")),
    bar(share, { class: `bar ${state.ended}`, role: "progressbar", "aria-valuemin": 0,
      "aria-valuemax": state.of, "aria-valuenow": state.n }))];
}
