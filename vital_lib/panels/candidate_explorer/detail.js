import { h, tags, section } from "../_panel.js";
import { picture } from "../preference_card/picture.js";

// The candidate shown, or all candidates of its figure in columns.
const pieces = (parts, props) => h("p", { class: "text", dir: "auto", ...props },
  parts.map(([words, marked]) => marked ? h("mark", null, words) : words));
const fold = (key, title, ...kids) => h("details", { key }, h("summary", null, title), kids);

export function detail(state, ui) {
  const own = ui.own, shown = state.shown;
  if (!shown) return h("div", { class: "detail" });
  const [, stage, sliders] = picture(shown, ui, { pan: "⇧" });
  const about = h("div", { class: "row" }, h("strong", null, shown.id),
    h("span", { class: "grow" }), own.key("v", state.aligned ? "One candidate" : "Aligned",
      () => own.ask("align", !state.aligned), { "aria-pressed": String(state.aligned) }));
  const text = [section("Caption", pieces(shown.caption)),
    section("Mentions", shown.mentions.length
      ? h("ul", null, shown.mentions.map((mention) => h("li", null, pieces(mention))))
      : h("p", { class: "muted" }, "none"))];
  return h("div", { class: "detail scroll", tabindex: "0", role: "region",
    "aria-label": `candidate ${shown.id}`, key: `${shown.id} ${state.aligned}` }, about,
  state.aligned ? [h("div", { class: "two" }, h("div", null, stage, sliders), h("div", null, text)),
    columns(shown)] : [
    h("div", { class: "facts" }, tags(shown.facts.map((fact) => fact.join(": "))),
      tags(shown.flags, "warn")), stage, sliders, text,
    section("Conversation", shown.rounds.map(round)), rated(shown), ticked(shown), scored(shown),
    shown.demonstrations.length ? section(`Demonstrations shown (${shown.demonstrations.length})`,
      shown.demonstrations.map(demonstration)) : null,
    shown.cost ? section("Prompt and cost", h("p", { class: "small" }, shown.cost),
      prompt(state, ui)) : null]);
}
const round = ({ round: n, instruction, responses }) => h("div", {
  class: `box said${responses.some((one) => one.shown) ? " current" : ""}` },
h("p", { class: "text", dir: "auto" }, h("span", { class: "muted number" }, `${n} `),
  h("strong", null, instruction)),
responses.map(({ text, shown }) => pieces(text, { class: `text${shown ? "" : " muted"}`,
  "aria-current": shown ? "true" : null })));

function rated({ ratings }) {
  if (!ratings) return null;
  const { criteria, lines } = ratings;
  if (!lines.length) return section("Ratings", h("p", { class: "muted" }, "not rated"));
  const cells = (values) => values.map((value) => h("td", { class: "number" }, value || "–"));
  return section("Ratings by criterion and repeat", h("div", { class: "wide" }, h("table", null,
    h("tr", null, h("th", null, `judge ${lines[0].judge}`),
      lines.map((one) => h("th", null, `${one.repeat + 1}`))),
    h("tr", null, h("td", null, h("strong", null, "overall")),
      cells(lines.map((one) => one.overall))),
    criteria.map((name, n) => h("tr", null, h("td", null, name),
      cells(lines.map((one) => one.criteria[n])))))),
  h("ol", { class: "small" }, lines.map((one) =>
    h("li", { class: "text", dir: "auto" }, one.reason || "no reason given"))));
}
function ticked({ ticks }) {
  return ticks && section("Annotators", ticks.length ? h("p", { class: "votes" },
    ticks.map(([who, accepted]) => h("span", { class: accepted ? "yes" : "no" },
      `${accepted ? "✓" : "✗"} ${who} ${accepted ? "accepted" : "rejected"}`)))
    : h("p", { class: "muted" }, "not judged"));
}
function scored({ score }) {
  if (!score) return null;
  const most = Math.max(...score.bins), width = 100 / score.bins.length;
  const share = Math.round(100 * score.lower / score.of);
  return section("Score", h("p", null, h("strong", { class: "number" }, score.score),
    `, above ${share} % of the ${score.of.toLocaleString("en")} scored candidates`),
  h("div", { class: "histogram low" }, h("svg", { viewBox: "0 0 100 100", role: "img",
    preserveAspectRatio: "none", "aria-label": `distribution of scores; above ${share} %` },
  score.bins.map((n, at) => h("rect", { x: at * width + 0.1, width: width - 0.2,
    y: 100 - 100 * n / most, height: 100 * n / most }))),
  h("div", { class: "cut", style: `left:${100 * score.place}%` })));
}
const demonstration = ({ id, figure, by, turns }) => fold(id,
  `${figure || id}${by ? `, accepted by ${by}` : ""}`,
  turns.length ? turns.map(([instruction, response]) => h("div", { class: "box said" },
    h("p", { class: "text" }, h("strong", null, instruction)), h("p", { class: "text" }, response)))
    : h("p", { class: "muted" }, "This demonstration is not in the table given."));

function prompt(state, ui) {
  const { shown, with_prompt } = state, own = ui.own;
  if (!shown.has_prompt) return null;
  const part = (p) => p.text !== undefined ? h("p", { class: "text" }, p.text)
    : h("div", { class: "row" }, p.image
      ? h("div", { style: "width:120px" }, ui.picture(p.image, 240, 90)) : null,
    h("span", { class: "muted small" }, `image ${p.image}, ${p.size}`));
  return [own.key("p", with_prompt ? "Hide the prompt" : "Show the exact prompt",
    () => own.ask("show_prompt", !with_prompt), { "aria-expanded": String(with_prompt) }),
  shown.prompt ? h("div", { class: "parts" }, shown.prompt.map(({ role, parts }) =>
    h("div", { class: `box message ${role}` }, h("h4", null, role), parts.map(part)))) : null];
}
function columns({ columns: heads, lines }) {
  const style = `grid-template-columns: repeat(${heads.length}, minmax(200px, 1fr))`;
  const cell = (found) => h("div", { class: "box said" }, found ? [
    h("p", { class: "text" }, h("strong", null, found.instruction)),
    found.responses.map((response) => h("p", { class: "text" }, response)),
    h("div", null, found.type ? tags([found.type]) : null, tags(found.flags, "warn"))]
    : h("span", { class: "muted" }, "not asked"));
  return h("div", { class: "wide" }, h("div", { class: "rounds", style },
    heads.map(([arm, how]) => h("div", null, h("strong", null, arm),
      h("div", { class: "muted small" }, how))),
    lines.map(({ same, cells }) => [heads.length > 1 ? h("div", { class: "muted small whole" },
      same ? "same question" : cells.filter(Boolean).length > 1 ? "same type of question"
        : "asked in one conversation only") : null, cells.map(cell)])));
}
