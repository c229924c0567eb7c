import { LONGEST_WAIT, openOutbox, Outbox, SILENT } from "./outbox.js";
import { FLAT, looked } from "./picture.js";

const DOUBLE = 200, SLOWLY = 30000;  // milliseconds
const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)),
  (byte) => byte.toString(16).padStart(2, "0")).join("");

// One annotator's session: the items held, the draft of the current item, and its image view. Of a
// calibration round it also holds the feedback on the item just judged, and the items reviewed.
export class Labelling {
  constructor({ model, redraw, seen, again }) {
    Object.assign(this, { model, redraw, seen, again, held: [], done: 0, of: 0, ended: false,
      gone: new Set(), side: 0, draft: {}, view: { ...FLAT }, fingers: new Map(), panel: null,
      history: null, feedback: null, review: null, noted: null, kept: true, meanings: false, said: null,
      spoken: "", turned: false, id: `vital-${newId().slice(0, 8)}`, waiting: null, undoing: false,
      paces: [], pressed: -DOUBLE, last: ["", -DOUBLE], asked: 0, asks: 0, began: false });
    const { store, edition } = model.get("state"), kept = openOutbox(store);
    Object.assign(this, { store: kept.drafts, readings: kept.read });
    const { edition: before } = new Map(kept.read.all()).get("guideline") ?? {};
    this.reading = !edition || before === edition ? null : before ? "changed" : "first";
    this.drafts = new Map(kept.drafts.all());
    this.outbox = new Outbox(kept.acts, (act) => this.send("judge", { ...act, side: this.side }));
    this.gone = new Set(this.outbox.keys());
    this.back = () => this.outbox.resend();
    this.leaving = (event) => { if (this.outbox.size) event.preventDefault(); };
    this.looked = () => { if (this.began) this.refresh(); };  // items may have closed
    this.listens = { online: this.back, beforeunload: this.leaving, focus: this.looked };
    for (const [name, act] of Object.entries(this.listens)) window.addEventListener(name, act);
    this.clock = setInterval(() => this.tick(), 250);
    this.back();
    this.refresh();
  }
  end() {
    clearInterval(this.clock);
    for (const [name, act] of Object.entries(this.listens)) window.removeEventListener(name, act);
  }

  // --- to the kernel and back
  send(call, given = {}) {
    // A lost connection throws or drops the message. Judgements are retried in any case.
    try { this.model.send({ call, with: given }); } catch { /* the clock reports it */ }
  }
  refresh() {
    this.asked = performance.now();
    this.asks += 1;
    this.send("refresh");
  }
  tick() {
    const before = this.status().join();
    this.outbox.tick();
    const dry = (!this.card() && !this.ended) || this.waiting;
    const patience = dry ? Math.min(SILENT * 2 ** this.asks, LONGEST_WAIT)
      : this.elsewhere() ? SLOWLY : Infinity;
    if (performance.now() - this.asked > patience) this.refresh();
    if (this.status().join() !== before) this.redraw();
  }
  receive(message) {
    if (message.saved !== undefined) this.saved(message);
    if (message.why !== undefined) this.failed(message);
    if (message.not_here) this.outbox.not_here(message.not_here);
    if (message.history) this.listed(message);
    if (message.review) this.reviewed(message);
    if (message.cards) this.dealt(message);
    if (!this.outbox.size && this.undoing) { this.undoing = false; this.ask("undo"); }
    this.redraw();
  }
  saved({ saved, key, said, feedback, first }) {
    const entry = this.outbox.saved(saved);
    if (entry?.counts && first) this.done += 1;  // until the kernel sends its own count
    this.held = this.held.filter((card) => card.key !== key);
    this.gone.delete(key);
    if (this.feedback?.event_id === saved) Object.assign(this.feedback, feedback);
    this.said = ["yes", `Saved: ${said}`];
  }
  failed({ failed, why, final, said }) {
    const entry = this.outbox.failed(failed, why, final, said);
    this.waiting = null;
    if (!entry) this.said = ["no", why];
    if (!entry || !final) return;
    this.said = ["no", "Not saved: see above. Judge this item again."];
    this.gone.delete(entry.act.key);
    if (entry.name) this.keep(entry.name, { ...entry.act, ticks: {} });
    if (this.feedback?.event_id === failed) this.feedback = null;
    this.refresh();  // the item may be closed by now
  }
  listed({ history, start, next }) {
    this.waiting = null;
    this.history = { next, rows: start ? [...(this.history?.rows ?? []), ...history] : history };
  }
  reviewed({ review }) {
    this.waiting = null;
    this.review = review.length ? { items: review, place: 0 } : null;
  }
  dealt({ cards, whole, done, of, ended, word, result, coming = [], side }) {
    for (const figure of coming) this.seen(figure, side, true);
    const known = new Set(whole ? [] : this.held.map((card) => card.key));
    this.held = [...(whole ? [] : this.held), ...cards.filter((card) => !known.has(card.key))];
    Object.assign(this, { done, of, ended, result, asks: 0, began: true });
    if (whole) this.waiting = null;
    if (word) this.said = ["muted", word];
  }

  // --- what is on the screen
  told() { return this.review?.items[this.review.place] ?? this.feedback; }  // or null
  card() { return this.told()?.card ?? this.held.find((card) => !this.gone.has(card.key)); }
  ahead() { return this.held.filter((card) => !this.gone.has(card.key)).slice(0, 4); }
  number() {
    return Math.min(this.done + this.outbox.counted() + (this.feedback ? 0 : 1), this.of);
  }
  elsewhere() {  // nothing left here, but other annotators hold the rest
    return this.ended && !this.card() && !this.outbox.size && this.done < this.of;
  }
  fresh() {
    if (this.reading) return;
    const card = this.card(), before = this.draft;
    const name = card && `${card.key} ${card.before?.said ?? ""}`;
    if (name === before.name) return;
    // If another window or the kernel changed the card, ignore presses for a moment, too.
    if (before.key && !this.gone.has(before.key)) this.pressed = performance.now();
    if (card?.figure !== before.figure) {
      this.view = { ...FLAT };
      this.fingers.clear();
    }
    const { ticks, reasons, note } = this.drafts.get(name) ?? card?.before ?? {};
    this.turned ||= Boolean(before.key);  // then a narrow page scrolls up to the figure
    this.draft = { name, key: card?.key, figure: card?.figure, ticks: { ...ticks },
      reasons: new Set(reasons), note: note ?? "", since: performance.now() };
    this.spoken = card ? `Item ${this.number()}: ${card.instruction.slice(0, 300)}` : "";
    if (card) this.again(card.figure);
  }
  keep(name, { ticks, reasons, note }) {
    const draft = { ticks, reasons: [...reasons], note };
    this.drafts.set(name, draft);
    this.kept = this.store.put(name, draft);
  }
  forget(name) { if (this.drafts.delete(name)) this.store.drop(name); }
  status() {
    const trouble = this.outbox.trouble();
    if (trouble) return ["no", trouble];
    if (this.waiting && performance.now() - this.waiting[1] > SILENT) {
      return ["no", "The kernel has not answered yet."];
    }
    return this.outbox.size ? ["muted", "Saving …"] : this.said ?? ["muted", ""];
  }
  // The state of the note in the field and of the note on the item before: [colour, words] each.
  note_states() {
    const { note } = this.draft, card = this.card(), states = [], told = this.told();
    if (!told && card.revises && note && note === card.before.note) states.push(["yes", "Saved."]);
    else if (!told && note.trim()) {
      states.push(this.kept ? ["muted", "Draft, kept in this browser. Saved with your judgement."]
        : ["no", "Draft, not kept if you close this page: your browser refuses storage. Judge the "
          + "item to save it."]);
    }
    const entry = this.outbox.acts.get(this.noted), refused = this.outbox.refused.get(this.noted);
    const last = this.feedback ? "Your note" : "Note on the item before";
    if (refused) {
      states.push(["no", `${last}: not saved (${refused.why}). Copy it from the top of the card, `
        + "or judge the item again."]);
    } else if (entry?.why || entry?.late) {
      states.push(["no", `${last}: not saved yet (${entry.why || "the kernel has not answered"}). `
        + "It is kept in this browser and retried. Keep this page open."]);
    } else if (entry) states.push(["muted", `${last}: saving …`]);
    else if (this.noted && !states.length) states.push(["yes", `${last}: saved.`]);
    return states;
  }
  pace() {
    if (this.paces.length < 3) return "";
    const seconds = [...this.paces].sort((a, b) => a - b)[this.paces.length >> 1];
    const left = seconds * Math.max(0, this.of - this.done - this.outbox.counted()) / 60;
    const each = seconds < 10 ? seconds.toFixed(1) : Math.round(seconds);
    const rest = left < 1 ? "under a minute" : left < 90 ? `about ${Math.round(left)} min`
      : `about ${(left / 60).toFixed(1)} h`;
    return `${each} s per item · ${rest} left`;
  }

  // --- what the annotator does; a second press within 200 ms is ignored
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
    const { left, right } = this.draft.ticks;
    if (left !== undefined && right !== undefined) {
      this.judge({ left_accepted: left, right_accepted: right }, at);
    } else this.keep(this.draft.name, this.draft);
  }
  judge(choice, at) {
    const card = this.card();
    if (!card || this.told() || !this.ready(at)) return;
    const { name, reasons, note, since } = this.draft, seconds = (at - since) / 1000;
    const act = { key: card.key, event_id: newId(), ...choice, reasons: [...reasons], note,
      seconds: Math.max(0, Math.round(seconds * 10) / 10) };
    this.pressed = at;
    this.paces = [...this.paces.slice(-19), act.seconds];
    this.outbox.hold(act, { name, counts: !card.revises });
    if (note.trim() || !this.outbox.acts.has(this.noted)) this.noted = note.trim() && act.event_id;
    this.gone.add(card.key);
    if (this.model.get("state").calibrating) this.feedback = { card, act, event_id: act.event_id };
    // Draw the next card first: the message waits for the drawing, not for the painting.
    queueMicrotask(() => {
      const behind = this.outbox.trouble();  // then it is sent after the one before it
      this.outbox.keep(act);
      if (!behind) this.send("judge", { ...act, side: this.side });
      this.forget(name);
    });
  }
  go_on() { this.feedback = null; }
  turn(by) {  // past the last item, the review ends
    const place = Math.max(0, this.review.place + by);
    this.review = place < this.review.items.length ? { ...this.review, place } : null;
  }
  start(at) {
    this.readings.put("guideline", { edition: this.model.get("state").edition });
    Object.assign(this, { reading: null, turned: true, pressed: at });
  }
  undo(at) {
    if (!this.ready(at)) return;
    this.pressed = at;
    if (this.outbox.size) this.undoing = true;  // undo the latest judgement once it is saved
    else this.ask("undo");
  }
  ask(call, given) {
    this.waiting = [call, performance.now()];
    this.asked = performance.now();
    this.send(call, given);
  }
  leave_as_it_is() {
    if (this.draft.note === this.card().before.note) this.forget(this.draft.name);
    else this.said = ["muted", "The changed note is kept as a draft. Revise the item to save it."];
    this.ask("keep");
  }
  open(panel) {
    this.panel = this.panel === panel ? null : panel;
    if (this.panel === "history") { this.history = null; this.ask("history", { start: 0 }); }
  }
  revise(event_id) { this.panel = null; this.ask("revise", { event_id }); }
  reason(name) {
    const { reasons } = this.draft;
    if (!reasons.delete(name)) reasons.add(name);
    this.keep(this.draft.name, this.draft);
  }
  write(note) {
    this.draft.note = note;
    this.keep(this.draft.name, this.draft);
    this.redraw();
  }
  look(change, at) { this.see(looked(this.view, change, at)); }
  see(view) {
    this.view = view;
    this.redraw();
  }
  async copy(act) {
    const text = JSON.stringify(act);
    try {
      await navigator.clipboard.writeText(text);
      this.said = ["muted", "Copied."];
    } catch { window.prompt("Copy this text:", text); }  // a page without TLS has no clipboard
    this.redraw();
  }
}
