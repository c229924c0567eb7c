import { bar, button, h, panel, tags, texts } from "../_panel.js";
import { Labelling } from "./labelling.js";
import { clamp, picture } from "./picture.js";

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
function response(side, keys, card, ui, act) {
  const own = ui.own, votes = card.votes[side], flags = card.flags[side];
  const title = `${side} response`;
  const ticked = own.draft.ticks[side];
  const tick = (accepted, key) => act(key, accepted ? "✓ Accept" : "✗ Reject",
    `${side} ${accepted}`, (at) => own.tick_side(side, accepted, at),
    { class: `tick ${accepted ? "yes" : "no"}`, "aria-pressed": String(ticked === accepted),
      "aria-label": `${accepted ? "accept" : "reject"} the ${title}` });
  return h("div", { class: "box response", role: "group", "aria-label": title },
    h("h4", null, title),
    h("p", { class: "text scroll", dir: "auto", key: card.key, tabindex: "0" }, card[side]),
    flags.length ? h("div", { class: "flags" }, tags(flags, "warn")) : null,
    votes.length ? h("p", { class: "votes small" }, votes.map(([who, accepted]) =>
      h("span", { class: accepted ? "yes" : "no" },
        `${accepted ? "✓" : "✗"} ${who} ${accepted ? "accepted" : "rejected"}`))) : null,
    own.feedback ? compared(side, own.feedback)
      : h("div", { class: "row" }, tick(true, keys[0]), tick(false, keys[1])));
}
function compared(side, { act, reference }) {
  const word = (accepted) => accepted == null ? "not judged" : accepted ? "✓ accepted"
    : "✗ rejected";
  const yours = act[`${side}_accepted`], right = reference?.[side];
  if (!reference) return h("p", { class: "muted" }, "The reference is shown once this is saved.");
  const same = yours === right;
  return h("dl", { class: "compared" }, h("dt", null, "you"), h("dd", null, word(yours)),
    h("dt", null, "reference"), h("dd", null, word(right)),
    h("dt", null, "result"), h("dd", { class: same ? "yes" : "no" }, same ? "✓ the same"
      : "✗ different"));
}
function choices(state, ui, act) {  // those that judge nothing do not wait for the image
  return h("div", { class: "choices", role: "group", "aria-label": "judge both responses" },
    Object.entries(state.choices).map(([label, choice], n) => act(`${n + 1}`, label, label,
      (at) => ui.own.judge(choice, at), { free: choice.cannot_judge })));
}
function extras(state, ui, act) {
  const own = ui.own, { draft } = own;
  const chip = ([name, label], place) => {
    const props = { class: "chip", "aria-pressed": String(draft.reasons.has(name)), free: true };
    const key = place < 9 ? `⇧${place + 1}` : `reason ${place}`;
    return act(key, label, name, () => own.reason(name), props);
  };
  const note = h("textarea", { class: "grow", rows: 1, maxlength: 500, key: draft.name,
    value: draft.note, placeholder: "Note (optional, Esc to leave)", "aria-label": "note",
    "aria-keyshortcuts": "n", oninput: (event) => own.write(event.target.value) });
  ui.keys.n = () => ui.root.querySelector("textarea").focus();
  return h("section", { class: "extras" }, h("h4", null, "Reasons (optional)"),
    h("div", { class: "row reasons" }, state.reasons.map(chip)),
    h("label", { class: "row note" }, h("kbd", null, "N"), note));
}

// --- the parts of the card
function head(state, ui) {
  const own = ui.own, { done, of } = own, unsaved = own.outbox.size, card = own.card();
  const open = (key, name, label) => {
    ui.keys[key] = (event) => own.once(name, event, () => own.open(name));
    return button([h("kbd", null, key.toUpperCase()), label], ui.keys[key],
      { "aria-label": label, "aria-keyshortcuts": key, "aria-pressed": String(own.panel === name) });
  };
  return h("div", { class: "head" }, h("h3", null, state.title),
    h("span", { class: "muted" }, state.annotator),
  h("div", { class: "row grow going" }, h("span", { class: "muted number" }, own.pace()),
    unsaved > 1 ? h("span", { class: "no number" }, `${unsaved} not saved yet`) : null,
    bar(of ? done / of : 1, { role: "progressbar", "aria-label": "judged",
      "aria-valuemin": 0, "aria-valuemax": of, "aria-valuenow": done }),
    h("span", { class: "number" }, card?.revises ? "revising"
      : card ? `item ${own.number()} of ${of}` : `${done} of ${of} judged`)),
  h("div", { class: "row" }, open("h", "history", "History"), open("?", "help", "Help")));
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
      (word || "Click the card or press Tab to use its keys.")),
    act("u", "Undo", "undo", (at) => own.undo(at), { free: true }));
}
function judging(card, state, ui) {
  const own = ui.own, words = "Press 5 (cannot judge) to skip it.";
  const [found, stage, sliders] = picture(card, ui, { words });
  const act = acts(ui, Boolean(found.url) && !own.feedback);
  const hide = () => ui.set("hidden", !state.hidden);
  const said = [
    state.calibrating ? h("p", { class: "muted small" }, "Calibration round: judge each item "
      + "as usual. The reference is shown after each judgement.") : null,
    h("h4", null, "Instruction"),
    h("p", { class: "text instruction scroll", dir: "auto", key: card.key }, card.instruction),
    card.before ? before(card, own, act) : null,
    h("div", { class: "two" }, response("left", ["q", "a"], card, ui, act),
      response("right", ["w", "s"], card, ui, act)),
    ...(own.feedback ? [onward(ui, "Next item", () => own.go_on())]
      : [choices(state, ui, act), extras(state, ui, act)])];
  return [h("div", { class: "body split" },
    h("div", { class: "figure" }, stage, sliders, h("section", { class: "context" },
      h("div", { class: "row" }, h("h4", { class: "grow" }, "Caption and mentions"),
        act("t", state.hidden ? "Show" : "Hide", "text", hide, { class: "chip", free: true,
          "aria-label": "caption and mentions", "aria-expanded": String(!state.hidden) })),
      state.hidden ? null : h("div", { class: "scroll", key: card.key },
        h("p", { class: "text", dir: "auto" }, card.caption || "No caption."),
        card.mentions.length ? texts(card.mentions) : h("p", { class: "muted" },
          "No mentions.")))),
    h("div", { class: "judge" }, said, foot(ui, act)))];
}
function before(card, own, act) {
  const word = `Your judgement: ${card.before.said}.`;
  return h("p", { class: "row before" }, h("span", { class: "grow" }, word), card.revises
    ? act("k", "Keep", "keep", () => own.leave_as_it_is(), { free: true }) : null);
}
function onward(ui, label, act) {
  const next = (event) => ui.own.once("next", event, act);
  ui.keys.Enter = ui.keys[" "] = next;
  return h("div", { class: "row onward" }, button([h("kbd", null, "Enter"), label], next,
    { class: "main", "aria-keyshortcuts": "Enter" }));
}
function outcome(own) {
  const n = own.outbox.size;
  if (n) return ["…", "That was the last item", `${n} not saved yet. Keep this page open.`];
  if (!own.ended) return ["…", "Loading the next item", "Waiting for the kernel."];
  if (own.elsewhere()) return ["…", "Nothing to judge for now",
    `Other annotators have the remaining items. This page checks again automatically. ${own.done} `
    + `of ${own.of} are judged and saved.`];
  if (own.result?.items) return ["✓", "This is the end of the round", ofTheReference(own.result)];
  return ["✓", "This is the end of the queue", own.of
    ? `All ${own.of} items are judged and saved. Thank you.` : "There is nothing to judge."];
}
function ofTheReference({ items, agreed }) {
  return `You agreed with the reference on both responses of ${agreed} of ${items} `
    + "items. Calibration judgements are saved separately from the labels.";
}
function ending(state, ui) {
  const own = ui.own, [mark, title, word] = outcome(own), act = acts(ui, false);
  const further = mark === "✓" && state.goes_on;
  return h("div", { class: "body" }, h("div", { class: "end" },
    h("p", { class: mark === "✓" ? "yes" : "muted" }, mark), h("h3", null, title),
    h("p", { class: "muted" }, word),
    further ? onward(ui, "Start labelling", () => own.ask("go_on")) : null), foot(ui, act));
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
const KEYS = [["1, 2, 3, 4", "accept only the left, only the right, both, neither"],
  ["5, 6", "cannot judge, unsafe"], ["Q, A", "accept, reject the left response"],
  ["W, S", "accept, reject the right response"], ["⇧1 … ⇧9", "add or remove a reason"],
  ["N", "write a note, Esc to leave"], ["T", "hide or show caption and mentions"],
  ["U", "undo, back to your first item"], ["H", "history: review and revise"],
  ["+, −, arrows", "zoom and pan the image"], ["B, ⇧B", "brighter, darker"],
  ["C, ⇧C", "more, less contrast"], ["0", "reset the image"], ["?, Esc", "open, close help"]];
// Render the guideline's Markdown subset (headings, lists, bold) as elements around text nodes.
function guide(text) {
  const mark = /^(#+|-|\d+\.) (.*)/s, blocks = [""];
  for (const line of text.split("\n")) {
    if (!line.trim() || mark.test(line) || blocks.at(-1).startsWith("#")) blocks.push(line);
    else blocks.push(`${blocks.pop()} ${line.trim()}`);
  }
  const strong = (line) => line.split("**").map((part, n) => n % 2 ? h("strong", null, part) : part);
  return blocks.filter((block) => block.trim()).map((block) => {
    const [, sign, rest] = mark.exec(block) ?? [];
    if (!sign) return h("p", null, strong(block));
    if (sign.startsWith("#")) return h("h4", null, rest);
    return h("p", { class: "point" }, h("span", { class: "muted" }, sign === "-" ? "•" : sign),
      h("span", null, strong(rest)));
  });
}
function helping(state) {
  return h("div", { class: "body split help" },
    h("div", null, h("h4", null, "Keys"), h("dl", null, KEYS.map(([keys, what]) =>
      [h("dt", null, h("kbd", null, keys)), h("dd", null, what)]))),
    h("div", { class: "scroll guide", dir: "auto", tabindex: "0", role: "document",
      "aria-label": "guideline" }, guide(state.guideline || "No guideline.")));
}
function draw(state, ui) {
  const own = ui.own;
  own.fresh();
  const card = own.card();
  ui.root.setAttribute("role", "region");
  ui.root.setAttribute("aria-label", "Preference card");
  const [colour, word] = own.status(), polite = { "aria-live": "polite" };
  const announced = h("div", { class: "spoken" },
    h("p", polite, card ? own.spoken : own.began ? outcome(own)[1] : ""),
    h("p", polite, colour === "muted" ? "" : word));
  if (own.panel) ui.keys.Escape = () => { own.panel = null; own.redraw(); };
  const body = own.panel === "help" ? helping(state) : own.panel === "history" ? listing(ui)
    : card ? judging(card, state, ui) : ending(state, ui);
  return [head(state, ui), refusals(own), ...[body].flat(), announced];
}

export default panel({ draw, begin: (given) => new Labelling(given) });
