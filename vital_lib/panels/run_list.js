import { h, button, section, panel } from "./_panel.js";

function asked(state, run, ui) {
  const labels = run.people
    ? `Labels by people that would be lost: ${run.people.toLocaleString("en")}. `
    : run.people == null ? "Its labels cannot be read, and would be lost. " : "";
  const own = run.current
    ? h("p", { class: "text no" }, h("strong", null, "This notebook reads this run. "),
      "Without it, its cells and those of the other notebooks of this run cannot go on.") : null;
  return h("div", { class: "box onward", role: "alertdialog", "aria-label": `Delete run ${run.name}?`,
    key: `asked ${run.name}` },
  h("p", { class: "text" }, `Delete run ${run.name} (${run.size})? ${labels}This cannot be undone.`), own,
  h("div", { class: "row onward" },
    run.people !== 0 ? button("Back up its labels first", () => ui.call("back_up", run.name)) : null,
    button("Keep", () => ui.call("keep")),
    button("Delete", () => ui.call("delete"), { class: "stop" })));
}

function differences({ settings, topics }, [one, other]) {
  const names = (what) => h("tr", null, [what, one, other].map((name) => h("th", null, name)),
    what === "parameter" ? null : h("th", null, "difference"));
  const number = (text) => h("td", { class: "number" }, text);
  const parameters = settings.length ? h("table", null, names("parameter"),
    settings.map(([name, ...values]) => h("tr", null, h("td", null, name),
      values.map((value) => h("td", { class: "wrap" }, value || "not set")))))
    : h("p", { class: "muted" }, "The parameters are the same.");
  const measured = topics.length ? topics.map(([stage, topic, rows]) => section(stage === topic ? stage : `${stage}: ${topic}`,
    h("table", null, names("measured"), rows.map(([what, ...values]) =>
      h("tr", null, h("td", { class: "wrap" }, what), values.map(number))))))
    : h("p", { class: "muted" }, "They have no metric in common.");
  return [section("Parameters that differ", parameters),
    h("p", { class: "muted onward" }, `Metrics that both have; the difference is ${other} minus ${one}.`),
    h("div", { class: "scroll compared", key: `${one} ${other}` }, measured)];
}

function draw(state, ui) {
  const { runs, compared } = state;
  const made = (run) => {
    const parts = ["figures", "generator", "judge"].filter((part) => run[part]);
    const simulated = parts.filter((part) => run[part] === "simulated");
    const own = parts.filter((part) => run[part] !== "simulated");
    return [simulated.length ? `simulated: ${simulated.join(", ")}` : null,
      ...own.map((part) => `${part} ${run[part]}`)].filter(Boolean).join("; ");
  };
  const row = (run) => h("tr", { key: run.name },
    h("td", { class: "wrap" }, h("strong", null, run.name),
    run.current ? h("span", { class: "muted small" }, " this notebook's") : null),
    h("td", { class: "number" }, run.changed), h("td", { class: "number" }, run.size),
    run.problem ? h("td", { colspan: 4, class: "wrap no" }, `cannot be read: ${run.problem}`) : [
      h("td", null, run.seed), h("td", { class: "wrap" }, made(run)),
      h("td", null, `${run.written + run.stale} of ${state.steps}`,
        run.stale ? h("span", { class: "no" }, `, ${run.stale} stale`) : null),
      h("td", { class: "number" }, run.people ? run.people.toLocaleString("en") : "none")],
    h("td", null, h("div", { class: "row acts" },
      button("Compare", () => ui.call("compare", run.name), { disabled: Boolean(run.problem),
        "aria-label": `Compare ${run.name}`, "aria-pressed": String(compared.includes(run.name)) }),
      button("Back up labels", () => ui.call("back_up", run.name),
        { "aria-label": `Back up the labels of ${run.name}` }),
      button("Delete …", () => ui.call("ask", run.name), { "aria-label": `Delete ${run.name} …` }))));
  const names = ["run", "last written (UTC)", "on disk", "seed", "made with", "steps",
    "labels by people", ""];
  const asking = runs.find((run) => run.name === state.asking);
  return [
    h("div", { class: "head" }, h("h3", null, "Runs"),
      h("span", { class: "muted small" }, `${runs.length} in this folder; choose two to compare them`),
      h("span", { class: "grow" }), button("Refresh", () => ui.call("refresh"))),
    h("div", { class: "body" },
      runs.length ? h("div", { class: "scroll across" }, h("table", null,
        h("tr", null, names.map((name) => h("th", null, name))), runs.map(row)))
        : h("p", { class: "muted" }, "There is no run in this folder."),
      asking ? asked(state, asking, ui) : null,
      h("p", { class: "text onward", role: "status" }, state.note),
      state.difference ? differences(state.difference, compared) : null),
  ];
}

export default panel({ draw });
