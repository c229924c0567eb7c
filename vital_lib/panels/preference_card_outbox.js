// What this browser keeps of a person's work on one set of items, so that it outlives a reload and
// a kernel: judgements not yet acknowledged, one entry each, and drafts, one for each item begun.
// An entry goes when it is named, never because a card cannot read or place it.
function openOutbox(store) {
  const quietly = (act) => { try { return act(); } catch { return []; } };  // a private window
  const box = (prefix) => ({
    put: (name, what) => quietly(() => localStorage.setItem(prefix + name, JSON.stringify(what))),
    drop: (name) => quietly(() => localStorage.removeItem(prefix + name)),
    all: () => quietly(() => Object.keys(localStorage)).filter((name) => name.startsWith(prefix))
      .flatMap((name) => quietly(() => {
        const what = JSON.parse(localStorage.getItem(name));
        return what && typeof what === "object" ? [[name.slice(prefix.length), what]] : [];
      })),
  });
  return { acts: box(`vital-unsaved/${store}/`), drafts: box(`vital-draft/${store}/`) };
}

// The judgements made and not yet saved, oldest first, and those that the log will never take.
class Outbox {
  constructor(kept, send) {
    Object.assign(this, { kept, send, acts: new Map(), refused: new Map(), away: new Set() });
    const old = kept.all().map(([, one]) => one).filter(({ act }) => act?.event_id);
    old.sort((one, other) => one.at - other.at);
    for (const { act } of old) this.hold(act, { counts: true });
    this.latest = old.at(-1)?.at ?? 0;
  }
  keep(act) {  // with a time, later for each: undo goes by the order in which they were said
    this.latest = Math.max(Date.now(), this.latest + 1);
    this.kept.put(act.event_id, { act, at: this.latest });
  }
  get size() { return this.acts.size; }
  keys() { return [...this.acts.values()].map(({ act }) => act.key); }
  counted() { return [...this.acts.values()].filter((entry) => entry.counts).length; }
  hold(act, more) {  // more: whether it counts as one more item, and the name of its draft
    this.acts.set(act.event_id, { act, tries: 0, why: "", late: false,
      again: performance.now() + SILENT, ...more });
  }
  resend(entries = this.acts.values()) {
    for (const entry of entries) {
      entry.again = performance.now() + Math.min(SILENT * 2 ** entry.tries++, LONGEST_WAIT);
      this.send(entry.act);
    }
  }
  tick() {  // the oldest is tried alone, and the rest once it is saved: the log keeps their order
    const [oldest] = this.acts.values();
    if (!oldest || performance.now() < oldest.again) return;
    oldest.late = !oldest.why;
    this.resend([oldest]);
  }
  saved(id) {
    const entry = this.acts.get(id);
    this.acts.delete(id);
    this.kept.drop(id);
    if (entry?.why || entry?.late) this.resend();
    return entry;
  }
  failed(id, why, final) {
    const entry = this.acts.get(id);
    if (!entry) return entry;
    if (final) {  // kept and listed, until the person dismisses it
      this.acts.delete(id);
      this.refused.set(id, { act: entry.act, why });
    } else {
      Object.assign(entry, { why, late: false,
        again: performance.now() + Math.min(500 * 2 ** entry.tries, LONGEST_WAIT) });
    }
    return entry;
  }
  not_here(id) {  // it stays kept, for a card that has its item
    if (this.acts.delete(id)) this.away.add(id);
  }
  dismiss(id) {
    this.refused.delete(id);
    this.kept.drop(id);
  }
  trouble() {  // in words; nothing where all goes well
    const entries = [...this.acts.values()], n = entries.length;
    const kept = `${n === 1 ? "It is" : `${n} are`} kept here and sent again.`;
    const why = entries.find((entry) => entry.why)?.why;
    if (why) return `Not saved: ${why}. ${kept}`;
    return entries.some((entry) => entry.late)
      ? `Not saved yet: the kernel has not answered. ${kept}` : "";
  }
}
