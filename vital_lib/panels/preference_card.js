const DOUBLE = 200, SILENT = 1500, LONGEST_WAIT = 8000;  // milliseconds
const SIDES = ["left", "right"];
const CHOICES = { left: [true, false], right: [false, true], both: [true, true],
  neither: [false, false] };
const FLAT = { zoom: 1, x: 0, y: 0, brightness: 0, contrast: 0 };  // light in powers of two
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)),
  (byte) => byte.toString(16).padStart(2, "0")).join("");
const inWords = (said) => said.unsafe ? "flagged as unsafe" : said.cannot_judge
  ? "cannot be judged"
  : SIDES.map((s) => `${s} ${said[`${s}_accepted`] ? "accepted" : "rejected"}`).join(", ");

// What was judged and not yet acknowledged outlives a reload and a kernel: one entry for each act.
function shelf(store) {
  const prefix = `vital-unsaved/${store}/`;
  const quietly = (act) => { try { return act(); } catch { return []; } };  // a private window
  return {
    put: (act) => quietly(() => localStorage.setItem(prefix + act.event_id, JSON.stringify(act))),
    drop: (id) => quietly(() => localStorage.removeItem(prefix + id)),
    all: () => quietly(() => Object.keys(localStorage).filter((name) => name.startsWith(prefix))
      .map((name) => JSON.parse(localStorage.getItem(name)))),
  };
}

// One annotator at work: the items held, what was said and not yet saved, and the way it is seen.
class Labelling {
  constructor({ model, redraw, seen }) {
    Object.assign(this, { model, redraw, seen, held: [], done: 0, of: 0, ended: false,
      unsaved: new Map(), gone: new Set(), draft: {}, view: { ...FLAT }, panel: null,
      history: null, feedback: null, said: null, waiting: null, undoing: false, paces: [],
      pressed: -DOUBLE, last: ["", -DOUBLE], asked: 0, asks: 0, began: false });
    this.shelf = shelf(model.get("state").store);
    for (const act of this.shelf.all()) this.hold(act);
    this.back = () => this.resend(this.unsaved.values());
    this.leaving = (event) => { if (this.unsaved.size) event.preventDefault(); };
    window.addEventListener("online", this.back);
    window.addEventListener("beforeunload", this.leaving);
    this.clock = setInterval(() => this.tick(), 250);
    this.back();
    this.refresh();
  }
  end() {
    clearInterval(this.clock);
    window.removeEventListener("online", this.back);
    window.removeEventListener("beforeunload", this.leaving);
  }

  // --- to the kernel and back
  send(call, given = {}) {
    // A connection that is gone throws, or promises in vain: what matters is sent again anyway.
    try { this.model.send({ call, with: given }); } catch { /* said by the clock */ }
  }
  refresh() {
    this.asked = performance.now();
    this.asks += 1;
    this.send("refresh");
  }
  hold(act) {
    this.unsaved.set(act.event_id, { act, tries: 0, why: "", again: performance.now() + SILENT,
      late: false });
    this.gone.add(act.key);
  }
  resend(entries) {
    for (const entry of entries) {
      entry.again = performance.now() + Math.min(SILENT * 2 ** entry.tries++, LONGEST_WAIT);
      this.send("judge", entry.act);
    }
  }
  tick() {
    const before = this.status().join(), [oldest] = this.unsaved.values();
    // The oldest is tried alone, and the rest once it is saved: the log keeps their order.
    if (oldest && performance.now() > oldest.again) {
      oldest.late = !oldest.why;
      this.resend([oldest]);
    }
    const dry = (!this.card() && !this.ended) || this.waiting;
    const patience = Math.min(SILENT * 2 ** this.asks, LONGEST_WAIT);
    if (dry && performance.now() - this.asked > patience) this.refresh();
    if (this.status().join() !== before) this.redraw();
  }
  receive(message) {
    if (message.saved) this.saved(message);
    if (message.why !== undefined) this.failed(message);
    if (message.history) this.listed(message);
    if (message.cards) this.dealt(message);
    if (!this.unsaved.size && this.undoing) { this.undoing = false; this.ask("undo"); }
    this.redraw();
  }
  saved({ saved, key, said, reference }) {
    const { why, late } = this.unsaved.get(saved) ?? {};  // it is kept by the log now
    this.unsaved.delete(saved);
    this.shelf.drop(saved);
    if (why || late) this.back();
    this.held = this.held.filter((card) => card.key !== key);
    this.gone.delete(key);
    if (this.feedback?.event_id === saved) this.feedback.reference = reference;
    this.said = ["yes", `Saved: ${said}`];
  }
  failed({ failed, why, final }) {
    const entry = this.unsaved.get(failed);
    this.waiting = null;
    if (!entry || final) this.said = ["no", why];
    if (!entry) return;
    if (!final) {
      Object.assign(entry, { why, late: false,
        again: performance.now() + Math.min(500 * 2 ** entry.tries, LONGEST_WAIT) });
      return;
    }
    this.said = ["no", `Not saved: ${why}. Please judge this item again.`];
    this.unsaved.delete(failed);
    this.shelf.drop(failed);
    this.gone.delete(entry.act.key);
    if (this.feedback?.event_id === failed) this.feedback = null;
  }
  listed({ history, start, of }) {
    this.waiting = null;
    this.history = { of, rows: start ? [...(this.history?.rows ?? []), ...history] : history };
  }
  dealt({ cards, whole, done, of, ended, word }) {
    const known = new Set(whole ? [] : this.held.map((card) => card.key));
    this.held = [...(whole ? [] : this.held), ...cards.filter((card) => !known.has(card.key))];
    Object.assign(this, { done, of, ended, asks: 0, began: true });
    if (whole) this.waiting = null;
    if (word) this.said = ["muted", word];
  }

  // --- what is on the screen
  card() { return this.feedback?.card ?? this.held.find((card) => !this.gone.has(card.key)); }
  ahead() { return this.held.filter((card) => !this.gone.has(card.key)).slice(0, 4); }
  number() { return Math.min(this.done + this.unsaved.size + (this.feedback ? 0 : 1), this.of); }
  fresh() {
    const card = this.card(), before = this.draft;
    if (card?.key === before.key && card?.before?.said === before.said) return;
    // A card that another window or the kernel changed is protected as after a press of one's own.
    if (before.key && !this.gone.has(before.key)) this.pressed = performance.now();
    if (card?.figure !== before.figure) this.view = { ...FLAT };
    this.draft = { key: card?.key, figure: card?.figure, said: card?.before?.said, ticks: {},
      reasons: new Set(card?.before?.reasons), note: card?.before?.note ?? "",
      since: performance.now() };
  }
  status() {
    const entries = [...this.unsaved.values()], n = entries.length;
    const kept = `${n === 1 ? "It is" : `${n} are`} kept here and sent again.`;
    const why = entries.find((entry) => entry.why)?.why;
    if (why) return ["no", `Not saved: ${why}. ${kept}`];
    if (entries.some((entry) => entry.late)) {
      return ["no", `Not saved yet: the kernel has not answered. ${kept}`];
    }
    if (this.waiting && performance.now() - this.waiting[1] > SILENT) {
      return ["no", "The kernel has not answered yet."];
    }
    if (n) return ["muted", "Saving …"];
    return this.said ?? ["muted", ""];
  }
  pace() {
    if (this.paces.length < 3) return "";
    const seconds = [...this.paces].sort((a, b) => a - b)[this.paces.length >> 1];
    const left = seconds * Math.max(0, this.of - this.done - this.unsaved.size) / 60;
    const each = seconds < 10 ? seconds.toFixed(1) : Math.round(seconds);
    const rest = left < 1 ? "under a minute" : left < 90 ? `about ${Math.round(left)} min`
      : `about ${(left / 60).toFixed(1)} h`;
    return `${each} s an item · ${rest} left`;
  }

  // --- what the annotator does; a second press within 200 ms is no press
  once(name, event, act) {
    const at = event?.timeStamp ?? performance.now();
    if (event?.repeat || (this.last[0] === name && at - this.last[1] < DOUBLE)) return;
    this.last = [name, at];
    act(at);
    this.redraw();
  }
  ready(at) { return !this.waiting && !this.undoing && at - this.pressed >= DOUBLE; }
  tick_side(side, accepted, at) {
    if (!this.ready(at)) return;
    this.draft.ticks[side] = accepted;
    const [left, right] = SIDES.map((name) => this.draft.ticks[name]);
    if (left !== undefined && right !== undefined) this.judge([left, right], {}, at);
  }
  judge([left, right], flags, at) {
    const card = this.card();
    if (!card || this.feedback || !this.ready(at)) return;
    const { reasons, note, since } = this.draft, seconds = (at - since) / 1000;
    const act = { key: card.key, event_id: newId(), left_accepted: left, right_accepted: right,
      ...flags, reasons: [...reasons], note, seconds: Math.max(0, Math.round(seconds * 10) / 10) };
    this.pressed = at;
    this.paces = [...this.paces.slice(-19), act.seconds];
    this.hold(act);
    if (this.model.get("state").calibrating) this.feedback = { card, act, event_id: act.event_id };
    // The next card first: the message waits until it is drawn, not until it is painted.
    queueMicrotask(() => { this.shelf.put(act); this.send("judge", act); });
  }
  go_on() { this.feedback = null; }
  undo(at) {
    if (!this.ready(at)) return;
    this.pressed = at;
    this.feedback = null;
    if (this.unsaved.size) this.undoing = true;  // it takes back the latest act, once that is saved
    else this.ask("undo");
  }
  ask(call, given) {
    this.waiting = [call, performance.now()];
    this.asked = performance.now();
    this.send(call, given);
  }
  open(panel) {
    this.panel = this.panel === panel ? null : panel;
    if (this.panel === "history") { this.history = null; this.ask("history", { start: 0 }); }
  }
  revise(event_id) { this.panel = null; this.feedback = null; this.ask("revise", { event_id }); }
  reason(name) {
    const { reasons } = this.draft;
    if (!reasons.delete(name)) reasons.add(name);
  }
  look(change, at = [0, 0]) {  // at: from the middle, as a share of the picture's frame
    const next = { ...this.view, ...change };
    next.zoom = clamp(next.zoom, 1, 8);
    const grown = next.zoom / this.view.zoom, reach = (next.zoom - 1) / 2;
    next.x = clamp(at[0] - (at[0] - next.x) * grown, -reach, reach);
    next.y = clamp(at[1] - (at[1] - next.y) * grown, -reach, reach);
    for (const name of ["brightness", "contrast"]) next[name] = clamp(next[name], -2, 2);
    this.view = next;
    this.redraw();
  }
}
const begin = (given) => new Labelling(given);

// --- the picture
function picture(card, state, ui) {
  const own = ui.own, { view } = own, width = ui.root.clientWidth || 1000;
  const shown = (width > 720 ? width * 0.4 : width) * (window.devicePixelRatio || 1);
  const side = clamp(256 * Math.ceil(shown / 256), 512, 1024);
  own.ahead().forEach((other) => ui.seen(other.figure, side));
  const found = ui.seen(card.figure, side);
  const large = view.zoom > 1.4 && found.url ? ui.seen(card.figure, 2048) : {};
  const move = `transform:translate(${view.x * 100}%,${view.y * 100}%) scale(${view.zoom});`;
  const light = `filter:brightness(${2 ** view.brightness}) contrast(${2 ** view.contrast})`;
  const place = (view.zoom > 1 ? move : "") + (view.brightness || view.contrast ? light : "");
  const stage = h("div", { class: "picture stage", ...pointing(own), role: "group",
    "aria-label": "figure: plus and minus zoom, the arrows move it" },
  found.url
    ? h("img", { src: large.url ?? found.url, alt: `Figure ${card.figure}`, style: place,
      draggable: "false", decoding: "sync" })
    : h("span", null, found.missing
      ? `Figure ${card.figure}: ${found.missing}. Press 5 to skip it: cannot judge.`
      : "loading the image"));
  return [found, stage, looks(own, ui)];
}
function pointing(own) {
  const share = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width - 0.5,
      (event.clientY - box.top) / box.height - 0.5];
  };
  return {
    onwheel(event) {
      event.preventDefault();
      own.look({ zoom: own.view.zoom * Math.exp(-event.deltaY / 400) }, share(event));
    },
    onpointerdown(event) {
      event.currentTarget.setPointerCapture(event.pointerId);
      own.drag = [share(event), own.view];
    },
    onpointermove(event) {
      if (!own.drag) return;
      const [[x, y], view] = own.drag, [nowX, nowY] = share(event);
      own.look({ x: view.x + nowX - x, y: view.y + nowY - y });
    },
    onpointerup() { own.drag = null; },
    onpointercancel() { own.drag = null; },
  };
}
function looks(own, ui) {
  const { view } = own, step = 0.25;
  const key = (name, change) => { ui.keys[name] = () => own.look(change()); };
  const zoom = (factor) => () => ({ zoom: own.view.zoom * factor });
  const slide = (name, by) => () => ({ [name]: own.view[name] + by });
  const pan = (axis, by) => () => ({ [axis]: own.view[axis] + by });
  for (const name of ["+", "="]) key(name, zoom(1.25));
  key("-", zoom(0.8));
  for (const [name, axis, by] of [["ArrowLeft", "x", 0.1], ["ArrowRight", "x", -0.1],
    ["ArrowUp", "y", 0.1], ["ArrowDown", "y", -0.1]]) key(name, pan(axis, by));
  for (const name of ["brightness", "contrast"]) {
    key(name[0], slide(name, step));
    key(`⇧${name[0]}`, slide(name, -step));
  }
  key("0", () => FLAT);
  const slider = (name) => h("label", { class: "slider" },
    h("span", null, h("kbd", null, name[0].toUpperCase()), name),
    h("input", { type: "range", min: -2, max: 2, step, value: view[name],
      "aria-label": name, "aria-keyshortcuts": `${name[0]} Shift+${name[0]}`,
      title: `${name[0].toUpperCase()} more, ⇧${name[0].toUpperCase()} less`,
      oninput: (event) => own.look({ [name]: Number(event.target.value) }) }));
  const small = (label, name, change, shortcut) => button(label, () => own.look(change()),
    { class: "small", "aria-label": name, title: name, "aria-keyshortcuts": shortcut });
  return h("div", { class: "row looks" },
    small(h("kbd", null, "−"), "zoom out", zoom(0.8), "-"),
    small(h("kbd", null, "+"), "zoom in", zoom(1.25), "+"),
    slider("brightness"), slider("contrast"),
    small([h("kbd", null, "0"), h("span", null, "Reset")], "reset the picture", () => FLAT, "0"));
}

// --- what is said of it
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
  const own = ui.own, votes = card.votes[SIDES.indexOf(side)], title = `${side} response`;
  const ticked = own.draft.ticks[side];
  const tick = (accepted, key) => act(key, accepted ? "✓ Accept" : "✗ Reject",
    `${side} ${accepted}`, (at) => own.tick_side(side, accepted, at),
    { class: `tick ${accepted ? "yes" : "no"}`, "aria-pressed": String(ticked === accepted),
      "aria-label": `${accepted ? "accept" : "reject"} the ${title}` });
  return h("div", { class: "box response", role: "group", "aria-label": title },
    h("h4", null, title),
    h("p", { class: "text scroll", dir: "auto", key: card.key }, card[side]),
    votes.length ? h("p", { class: "votes small" }, votes.map(([who, accepted]) =>
      h("span", { class: accepted ? "yes" : "no" },
        `${accepted ? "✓" : "✗"} ${who} ${accepted ? "accepted" : "rejected"}`))) : null,
    own.feedback ? compared(side, own.feedback)
      : h("div", { class: "row" }, tick(true, keys[0]), tick(false, keys[1])));
}
function compared(side, { act, reference }) {
  const word = (accepted) => accepted == null ? "not judged" : accepted ? "✓ accepted"
    : "✗ rejected";
  const yours = act[`${side}_accepted`], right = reference?.[SIDES.indexOf(side)];
  if (!reference) return h("p", { class: "muted" }, "The reference comes when this is saved.");
  const same = yours === right;
  return h("dl", { class: "compared" }, h("dt", null, "you"), h("dd", null, word(yours)),
    h("dt", null, "reference"), h("dd", null, word(right)),
    h("dt", null, "so"), h("dd", { class: same ? "yes" : "no" }, same ? "✓ the same"
      : "✗ different"));
}
function choices(ui, act) {
  const own = ui.own;
  const choice = (key, label, name) => act(key, label, name,
    (at) => own.judge(CHOICES[name], {}, at));
  const skip = (key, label, flags) => act(key, label, label,
    (at) => own.judge([null, null], flags, at), { free: true });
  return [h("div", { class: "choices", role: "group", "aria-label": "both responses at once" },
    choice("1", "Only left", "left"), choice("2", "Only right", "right"),
    choice("3", "Both", "both"), choice("4", "Neither", "neither"),
    skip("5", "Cannot judge", { cannot_judge: true }),
    skip("6", "Unsafe", { cannot_judge: true, unsafe: true }))];
}
function extras(state, ui, act) {
  const own = ui.own, { draft } = own;
  const chip = ([name, label], place) => {
    const props = { class: "chip", "aria-pressed": String(draft.reasons.has(name)), free: true };
    const key = place < 9 ? `⇧${place + 1}` : `reason ${place}`;
    return act(key, label, name, () => own.reason(name), props);
  };
  const note = h("textarea", { class: "grow", rows: 1, maxlength: 500, key: draft.key,
    value: draft.note, placeholder: "A note, if you like (Esc leaves it)", "aria-label": "note",
    "aria-keyshortcuts": "n", oninput: (event) => { own.draft.note = event.target.value; } });
  ui.keys.n = () => ui.root.querySelector("textarea").focus();
  return h("section", { class: "extras" }, h("h4", null, "Why (optional)"),
    h("div", { class: "row reasons" }, state.reasons.map(chip)),
    h("label", { class: "row note" }, h("kbd", null, "N"), note));
}

// --- the parts of the card
function head(state, ui) {
  const own = ui.own, { done, of } = own, unsaved = own.unsaved.size;
  const open = (key, name, label) => {
    ui.keys[key] = (event) => own.once(name, event, () => own.open(name));
    return button([h("kbd", null, key.toUpperCase()), label], ui.keys[key],
      { "aria-label": label, "aria-keyshortcuts": key, "aria-pressed": String(own.panel === name) });
  };
  return h("div", { class: "head" }, h("h3", null, state.calibrating ? "Calibration"
    : "Preferences"), h("span", { class: "muted" }, state.annotator),
  h("div", { class: "row grow going" }, h("span", { class: "muted number" }, own.pace()),
    unsaved > 1 ? h("span", { class: "no number" }, `${unsaved} not saved yet`) : null,
    bar(of ? done / of : 1, { role: "progressbar", "aria-label": "judged",
      "aria-valuemin": 0, "aria-valuemax": of, "aria-valuenow": done }),
    h("span", { class: "number" }, own.card()?.revises ? "revising"
      : own.card() ? `item ${own.number()} of ${of}` : `${done} of ${of} judged`)),
  h("div", { class: "row" }, open("h", "history", "History"), open("?", "help", "Help")));
}
function foot(ui, act) {
  const own = ui.own, [colour, word] = own.status();
  const mark = { yes: "✓ ", no: "✗ " }[colour] ?? "";
  return h("div", { class: "row foot" },
    h("span", { class: `${colour} grow`, role: "status", "aria-live": "polite" }, mark +
      (word || "Click the card, or Tab to it: then its keys work.")),
    act("u", "Undo", "undo", (at) => own.undo(at), { free: true }));
}
function judging(card, state, ui) {
  const own = ui.own, [found, stage, sliders] = picture(card, state, ui);
  const act = acts(ui, Boolean(found.url) && !own.feedback);
  const hide = () => ui.set("hidden", !state.hidden);
  const said = [
    h("h4", null, "Instruction"),
    h("p", { class: "text instruction scroll", dir: "auto", key: card.key }, card.instruction),
    card.before ? before(card, own, act) : null,
    h("div", { class: "two" }, response("left", ["q", "a"], card, ui, act),
      response("right", ["w", "s"], card, ui, act)),
    ...(own.feedback ? [onward(own, ui)] : [...choices(ui, act), extras(state, ui, act)])];
  return [h("div", { class: "body split" },
    h("div", { class: "figure" }, stage, sliders, h("section", { class: "context" },
      h("div", { class: "row" }, h("h4", { class: "grow" }, "Caption and mentions"),
        act("t", state.hidden ? "Show" : "Hide", "text", hide, { class: "chip", free: true,
          "aria-label": "caption and mentions", "aria-expanded": String(!state.hidden) })),
      state.hidden ? null : h("div", { class: "scroll", key: card.key },
        h("p", { class: "text", dir: "auto" }, card.caption || "No caption."),
        card.mentions.length ? texts(card.mentions) : h("p", { class: "muted" },
          "No sentence mentions the figure.")))),
    h("div", { class: "judge" }, said, foot(ui, act)))];
}
function before(card, own, act) {
  const word = `You said: ${card.before.said}.`;
  return h("p", { class: "row before" }, h("span", { class: "grow" }, word), card.revises
    ? act("k", "Keep it", "keep", () => own.ask("keep"), { free: true }) : null);
}
function onward(own, ui) {
  const next = (event) => own.once("next", event, () => own.go_on());
  ui.keys.Enter = ui.keys[" "] = next;
  return h("div", { class: "row onward" }, button([h("kbd", null, "Enter"), "Next item"], next,
    { class: "main", "aria-keyshortcuts": "Enter" }));
}
function ending(ui) {
  const own = ui.own, n = own.unsaved.size, act = acts(ui, false);
  const [mark, title, word] = n
    ? ["…", "That was the last item", `${n} not saved yet: please keep this page open.`]
    : own.ended ? ["✓", "This is the end of the queue", own.of
      ? `All ${own.of} items are judged and saved. Thank you.` : "There is nothing to judge."]
      : ["…", "Fetching the next item", "The kernel is asked for it."];
  return h("div", { class: "body" }, h("div", { class: "end" },
    h("p", { class: mark === "✓" ? "yes" : "muted" }, mark), h("h3", null, title),
    h("p", { class: "muted" }, word)), foot(ui, act));
}
function listing(ui) {
  const own = ui.own, { rows, of } = own.history ?? {};
  const step = (by) => (event) => {
    const all = [...ui.root.querySelectorAll(".history button")];
    all[clamp(all.indexOf(event.target) + by, 0, all.length - 1)]?.focus();
  };
  Object.assign(ui.keys, { ArrowDown: step(1), ArrowUp: step(-1) });
  const row = (entry, place) => button([h("span", { class: "number muted" }, of - place),
    h("span", { class: "grow clip", dir: "auto" }, entry.instruction),
    h("span", null, [entry.said, ...entry.reasons.map((name) => name.replaceAll("_", " "))]
      .join(" · ")), entry.note ? h("span", { class: "muted clip noted" }, entry.note) : null],
  () => own.once(entry.event_id, null, () => own.revise(entry.event_id)),
  { class: "item", title: "revise this judgement" });
  return h("div", { class: "body" }, h("h4", null, "What you have said, latest first"),
    h("p", { class: "muted" }, !rows ? "Asking the kernel …" : rows.length
      ? "Open one to judge it anew: arrows and Enter, or a click. Nothing is overwritten."
      : "Nothing yet."),
    h("div", { class: "list history" }, rows?.map(row), rows && rows.length < of
      ? button("Earlier ones", () => own.ask("history", { start: rows.length })) : null));
}
const KEYS = [["1, 2, 3, 4", "accept only the left, only the right, both, neither"],
  ["5, 6", "cannot judge, unsafe"], ["Q, A", "accept, reject the left response"],
  ["W, S", "accept, reject the right response"], ["⇧1 … ⇧9", "give a reason, or take it back"],
  ["N", "write a note; Esc leaves it"], ["T", "hide or show caption and mentions"],
  ["U", "undo, back to your first item"], ["H", "history: read and revise"],
  ["+, −, arrows", "zoom the image and move it"], ["B, ⇧B", "brighter, darker"],
  ["C, ⇧C", "more contrast, less"], ["0", "the image as it was"], ["?, Esc", "this page, and back"]];
// The guideline's own few marks (headings, lists, strong words), as elements around text nodes.
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
      "aria-label": "guideline" }, guide(state.guideline || "No guideline was given.")));
}
function draw(state, ui) {
  const own = ui.own;
  own.fresh();
  const card = own.card(), top = head(state, ui);
  ui.root.setAttribute("role", "region");
  ui.root.setAttribute("aria-label", "Preference card");
  const spoken = card && own.began ? `Item ${own.number()}: ${card.instruction.slice(0, 300)}` : "";
  const announced = h("p", { class: "spoken", "aria-live": "polite" }, spoken);
  if (own.panel) ui.keys.Escape = () => { own.panel = null; own.redraw(); };
  const body = own.panel === "help" ? helping(state) : own.panel === "history" ? listing(ui)
    : card ? judging(card, state, ui) : ending(ui);
  return [top, ...[body].flat(), announced];
}
