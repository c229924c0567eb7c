import { bar, button, h, panel, tags, texts } from "../_panel.js";
import { compared, further, grounds } from "./calibration.js";
import { helping, onward, reading } from "./guideline.js";
import { Labelling } from "./labelling.js";
import { clamp, picture } from "./picture.js";

const touch = () => matchMedia("(hover: none) and (pointer: coarse)").matches;
// Up to this width, or in so low a window, style.css keeps the buttons at the bottom edge.
const PHONE = 520, LOW = "(max-height: 500px)";

// The card's elements, rebuilt at every change: first the controls to judge an item.
function acts(ui, open) {
  const own = ui.own;
  return (key, label, name, act, props) => {
    const { free, ...rest } = props ?? {};
    const can = open || free, press = (event) => can && own.once(name, event, act);
    ui.keys[key] = press;
    const named = key.length < 3;
    return button([named ? h("kbd", null, key.toUpperCase()) : null, h("span", null, label)], press,
      { "aria-label": label, "aria-keyshortcuts": named ? key.replace("⇧", "Shift+") : null,
        "aria-disabled": can ? null : "true", ...rest });
  };
}
function response(side, card, noun) {
  const votes = card.votes[side], flags = card.flags[side], title = `${side} ${noun}`;
  return h("div", { class: "box response", role: "group", "aria-label": title },
    h("h4", null, title),
    h("p", { class: "text scroll", dir: "auto", key: card.key, tabindex: "0" }, card[side]),
    flags.length ? h("div", { class: "flags" }, tags(flags, "warn")) : null,
    votes.length ? h("p", { class: "votes small" }, votes.map(([who, accepted]) =>
      h("span", { class: accepted ? "yes" : "no" },
        `${accepted ? "✓" : "✗"} ${who} ${accepted ? "accepted" : "rejected"}`))) : null);
}
function ticks(ui, act) {  // on a phone they stay at the bottom edge
  const { own } = ui;
  const tick = (side, accepted, key) => act(key, accepted ? "✓ Accept" : "✗ Reject",
    `${side} ${accepted}`, (at) => own.tick_side(side, accepted, at),
    { class: `tick ${accepted ? "yes" : "no"}`,
      "aria-pressed": String(own.draft.ticks[side] === accepted),
      "aria-label": `${accepted ? "accept" : "reject"} the ${side} response` });
  return h("div", { class: "two ticks reach" }, [["left", "q", "a"], ["right", "w", "s"]].map(
    ([side, yes, no]) => h("div", { class: "row", role: "group", "aria-label": `judge the ${side}` },
      h("span", { class: "side muted" }, side), tick(side, true, yes), tick(side, false, no))));
}
function choices(state, ui, act) {  // those that judge nothing do not wait for the image
  return h("div", { class: "choices", role: "group", "aria-label": "judge both responses" },
    Object.entries(state.choices).map(([label, choice], n) => act(`${n + 1}`, label, label,
      (at) => ui.own.judge(choice, at), { free: choice.cannot_judge })));
}
function extras(state, ui, act) {
  const own = ui.own, { draft } = own;
  const chip = ([name, label, meaning], place) => {
    const tip = meaning ? `${own.id}-${place}` : null;
    const props = { class: "chip", "aria-pressed": String(draft.reasons.has(name)), free: true,
      "aria-describedby": tip };
    const key = place < 9 ? `⇧${place + 1}` : `reason ${place}`;
    return [act(key, label, name, () => own.reason(name), props),
      tip ? h("span", { class: "tip", role: "tooltip", id: tip }, meaning) : null];
  };
  const meant = state.reasons.filter(([, , meaning]) => meaning);
  const note = h("textarea", { class: "grow", rows: 1, maxlength: 500, key: draft.name,
    value: draft.note, placeholder: "Note (optional, Esc to leave)", "aria-label": "note",
    "aria-keyshortcuts": "n", oninput: (event) => own.write(event.target.value) });
  ui.keys.n = () => ui.root.querySelector("textarea").focus();
  return h("section", { class: "extras" }, h("div", { class: "row" },
    state.reasons.length ? h("h4", { class: "grow" }, "Reasons (optional)") : null,
    meant.length ? act("i", "Meanings", "meanings", () => { own.meanings = !own.meanings; },
      { class: "chip", free: true, "aria-label": "what the reasons mean",
        "aria-expanded": String(own.meanings) }) : null),
  h("div", { class: "row reasons" }, state.reasons.map(chip)),
  own.meanings ? h("dl", { class: "meanings" }, meant.map(([, label, meaning]) =>
    [h("dt", null, label), h("dd", null, meaning)])) : null,
  h("label", { class: "row note" }, h("kbd", null, "N"), note), noteState(own));
}
function noteState(own) {
  return h("p", { class: "noting small", "aria-live": "polite" },
    own.note_states().map(([colour, words]) => h("span", { class: colour }, words)));
}

// --- the parts of the card
function head(state, ui) {
  const own = ui.own, { done, of } = own, unsaved = own.outbox.size, card = own.card();
  const open = (key, name, label) => {
    ui.keys[key] = (event) => own.once(name, event, () => own.open(name));
    return button([h("kbd", null, key.toUpperCase()), h("span", null, label)], ui.keys[key],
      { "aria-label": label, "aria-keyshortcuts": key, "aria-pressed": String(own.panel === name) });
  };
  const { review } = own;
  return h("div", { class: "head" }, h("h3", null, state.title),
    h("span", { class: "muted" }, state.annotator),
  h("div", { class: "row grow going" }, h("span", { class: "muted number" }, own.pace()),
    unsaved > 1 ? h("span", { class: "no number" }, `${unsaved} not saved yet`) : null,
    bar(of ? done / of : 1, { role: "progressbar", "aria-label": "judged",
      "aria-valuemin": 0, "aria-valuemax": of, "aria-valuenow": done }),
    h("span", { class: "number" }, review ? `review: ${review.place + 1} of ${review.items.length}`
      : card?.revises ? "revising" : card ? `item ${own.number()} of ${of}` : `${done} of ${of} judged`)),
  own.reading ? null : h("div", { class: "row" }, open("h", "history", "History"),
    open("?", "help", "Guideline")));
}
// Judgements that the log refuses permanently stay listed until the annotator dismisses them.
function refusals(own) {
  const n = own.outbox.away.size, what = n === 1 ? "1 judgement of another item is"
    : `${n} judgements of other items are`;
  const away = n ? h("p", { class: "muted small away" },
    `${what} kept in this browser until you open the matching card.`) : null;
  const refused = [...own.outbox.refused.values()];
  return h("div", { class: "refused" }, away, refused.map(({ act, why, said }) =>
    h("div", { class: "row", key: act.event_id },
      h("span", { class: "no grow text" }, `✗ Not saved: ${why}. Your judgement: ${said}`
        + `${act.note ? ` (${act.note})` : ""}.`),
      button("Copy", () => own.copy(act), { "aria-label": "copy the unsaved judgement" }),
      button("Dismiss", () => { own.outbox.dismiss(act.event_id); own.redraw(); },
        { "aria-label": "dismiss the unsaved judgement" }))));
}
function foot(ui, act) {
  const own = ui.own, [colour, word] = own.status();
  const mark = { yes: "✓ ", no: "✗ " }[colour] ?? "";
  return h("div", { class: "row foot" },  // screen readers read `spoken`, once
    h("span", { class: `${colour} grow`, role: "status", "aria-live": "off" }, mark +
      (word || (touch() ? "" : "Click the card or press Tab to use its keys."))),
    act("u", "Undo", "undo", (at) => own.undo(at), { free: true }));
}
function judging(card, state, ui) {
  const own = ui.own, told = own.told(), { words } = state, skip = "Press 5 (cannot judge) to skip it.";
  const [found, stage, sliders] = picture(card, ui, { words: skip });
  const act = acts(ui, Boolean(found.url) && !told);
  const hide = () => ui.set("hidden", !state.hidden);
  const said = [
    state.calibrating ? h("p", { class: "muted small" }, own.review
      ? "Review: your answers beside those of the others. They are final."
      : "Calibration round: judge each item as usual. Then you see what others decided, and why.")
      : null,
    h("h4", null, words.instruction),
    h("p", { class: "text instruction scroll", dir: "auto", key: card.key }, card.instruction),
    card.before ? before(card, own, act) : null,
    h("div", { class: "two" }, response("left", card, words.response), response("right", card, words.response)),
    ...(told ? [compared(told), grounds(state, told), own.feedback ? noteState(own) : null,
      further(ui)] : [state.ticks ? ticks(ui, act) : null, choices(state, ui, act), extras(state, ui, act)])];
  return [h("div", { class: "body split" },
    h("div", { class: "figure" }, stage, sliders, h("section", { class: "context" },
      h("div", { class: "row" }, h("h4", { class: "grow" }, words.context),
        act("t", state.hidden ? "Show" : "Hide", "text", hide, { class: "chip", free: true,
          "aria-label": words.context.toLowerCase(), "aria-expanded": String(!state.hidden) })),
      state.hidden ? null : h("div", { class: "scroll", key: card.key },
        h("p", { class: "text", dir: "auto" }, card.caption || `No ${words.caption.toLowerCase()}.`),
        card.mentions.length ? texts(card.mentions) : state.ticks ? h("p", { class: "muted" },
          "No mentions.") : null))),
    h("div", { class: "judge" }, said, foot(ui, act)))];
}
function before(card, own, act) {
  const word = `Your judgement: ${card.before.said}.`;
  return h("p", { class: "row before" }, h("span", { class: "grow" }, word), card.revises
    ? act("k", "Keep", "keep", () => own.leave_as_it_is(), { free: true }) : null);
}
function outcome(own) {
  const n = own.outbox.size;
  if (n) return ["…", "That was the last item", `${n} not saved yet. Keep this page open.`];
  if (!own.ended) return ["…", "Loading the next item", "Waiting for the kernel."];
  if (own.elsewhere()) return ["…", "Nothing to judge for now",
    `Other annotators have the remaining items. This page checks again automatically. ${own.done} `
    + `of ${own.of} are judged and saved.`];
  if (own.result) return ["✓", "This is the end of the round", `${own.result} Calibration `
    + "judgements are saved separately from the labels."];
  return ["✓", "This is the end of the queue", own.of
    ? `All ${own.of} items are judged and saved. Thank you.` : "There is nothing to judge."];
}
function ending(state, ui) {
  const own = ui.own, [mark, title, word] = outcome(own), act = acts(ui, false);
  const done = mark === "✓", review = done && own.result
    ? act("r", "Review the items", "review", () => own.ask("review"), { free: true }) : null;
  return h("div", { class: "body" }, h("div", { class: "end" },
    h("p", { class: mark === "✓" ? "yes" : "muted" }, mark), h("h3", null, title),
    h("p", { class: "muted" }, word),
    done && state.goes_on ? onward(ui, "Start labelling", () => own.ask("go_on"), review) : review
      ? h("div", { class: "row onward reach" }, review) : null), foot(ui, act));
}
function listing(ui) {
  const own = ui.own, { rows, next } = own.history ?? {};
  const step = (by) => (event) => {
    const all = [...ui.root.querySelectorAll(".history button")];
    all[clamp(all.indexOf(event.target) + by, 0, all.length - 1)]?.focus();
  };
  Object.assign(ui.keys, { ArrowDown: step(1), ArrowUp: step(-1) });
  const row = (entry, place) => button([h("span", { class: "number muted" }, place + 1),
    h("span", { class: "grow clip", dir: "auto" }, entry.instruction),
    h("span", null, [entry.said, ...entry.reasons.map((name) => name.replaceAll("_", " "))]
      .join(" · ")), entry.note ? h("span", { class: "muted clip noted" }, entry.note) : null],
  () => own.once(entry.event_id, null, () => own.revise(entry.event_id)),
  { class: "item", title: "revise this judgement" });
  return h("div", { class: "body" }, h("h4", null, "Your judgements, latest first"),
    h("p", { class: "muted" }, !rows ? "Loading …" : rows.length
      ? "Select a judgement to revise it (arrow keys and Enter, or click). Nothing is overwritten."
      : "No judgements yet."),
    h("div", { class: "list history" }, rows?.map(row), next
      ? button("Show earlier", () => own.ask("history", { start: next })) : null));
}
function draw(state, ui) {
  const own = ui.own;
  own.fresh();
  const phone = ui.root.clientWidth <= PHONE || matchMedia(LOW).matches;
  if (own.turned && phone) ui.root.scrollIntoView({ block: "start" });
  own.turned = false;
  const card = own.card();
  ui.root.setAttribute("role", "region");
  ui.root.setAttribute("aria-label", "Preference card");
  const [colour, word] = own.status(), polite = { "aria-live": "polite" };
  const announced = h("div", { class: "spoken" },
    h("p", polite, own.reading ? "" : card ? own.spoken
      : own.began ? outcome(own)[1] : ""),
    h("p", polite, colour === "muted" ? "" : word));
  if (own.panel) ui.keys.Escape = () => { own.panel = null; own.redraw(); };
  const body = own.reading ? reading(state, ui) : own.panel === "help" ? helping(state, ui) : own.panel === "history" ? listing(ui)
    : card ? judging(card, state, ui) : ending(state, ui);
  return [head(state, ui), refusals(own), ...[body].flat(), announced];
}

export default panel({ draw, begin: (given) => new Labelling(given) });
