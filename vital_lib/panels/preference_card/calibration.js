import { button, h } from "../_panel.js";
import { onward } from "./guideline.js";

// The feedback of a calibration round: one's own judgement beside what the others decided, and why.
const SIDES = ["left", "right"];
const word = (accepted) => accepted == null ? "not judged" : accepted ? "✓ accepted"
  : "✗ rejected";
export const compared = (told) => h("div", { class: "two outcome" },
  SIDES.map((side) => comparison(side, told)));
function comparison(side, { act, reference, accepted, judged }) {
  const title = h("h4", null, `${side} response`);
  if (!reference) {
    return h("div", null, title, h("p", { class: "muted" }, "Saving … Then you see the others."));
  }
  const yours = act[`${side}_accepted`], theirs = reference[side], same = yours === theirs;
  const number = theirs ? accepted[side] : judged - accepted[side];
  return h("div", { class: "compared" }, title, h("dl", null, h("dt", null, "you"), h("dd", null, word(yours)),
    h("dt", null, "others"), h("dd", null, word(theirs) + (judged && theirs != null
      ? ` by ${number} of ${judged}` : "")),
    h("dt", null, "result"), h("dd", { class: same ? "yes" : "no" }, same ? "✓ the same"
      : "✗ different")));
}
export function grounds(state, { act, reference, reasons, annotators, judged, so_far }) {
  if (!reference) return null;
  const known = new Map(state.reasons.map(([name, label, meaning]) => [name, [label, meaning]]));
  const named = (name) => known.get(name)?.[0] ?? name.replaceAll("_", " ");
  const skips = annotators - judged, given = Object.entries(reasons);
  return h("section", { class: "grounds" }, h("h4", null, "Why the others decided so"),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "reasons" },
      given.length ? h("dl", null, given.map(([name, number]) => [
        h("dt", null, h("strong", null, named(name)), ` · ${number} of ${annotators}`),
        h("dd", null, known.get(name)?.[1] || "The guideline does not define it.")]))
        : h("p", { class: "muted" }, "They gave no reasons. The guideline (key ?) says what to "
          + "accept and what to reject."),
      skips ? h("p", { class: "muted" }, `${skips} more could not judge this item.`) : null),
    h("p", null, h("span", { class: "muted" }, "Your reasons: "),
      act.reasons.length ? act.reasons.map(named).join(", ") : "none",
      act.note ? [h("span", { class: "muted" }, " · Your note: "),
        h("span", { class: "text", dir: "auto" }, act.note)] : null),
    h("p", { class: "so-far" }, h("strong", null, "So far: "), so_far));
}
export function further(ui) {
  const own = ui.own, { review } = own;
  if (!review) return onward(ui, "Next item", () => own.go_on());
  const back = (event) => own.once("back", event, () => own.turn(-1));
  const end = (event) => own.once("end", event, () => { own.review = null; });
  const last = review.place === review.items.length - 1;
  Object.assign(ui.keys, { p: back, Escape: end });
  return onward(ui, last ? "End of the review" : "Next item", () => own.turn(1),
    button([h("kbd", null, "P"), h("span", null, "Previous")], back, { "aria-label": "previous item",
      "aria-keyshortcuts": "p", disabled: review.place === 0 }));
}
