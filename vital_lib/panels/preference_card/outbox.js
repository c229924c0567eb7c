export const SILENT = 1500, LONGEST_WAIT = 8000;  // milliseconds

// Browser storage for one annotator and label log. It survives a reload and a kernel restart, and
// holds one entry per unacknowledged judgement, one draft per started item, and the guideline read
// last. Entries are removed only by name, never because a card cannot read them or lacks their item.
export function openOutbox(store) {
  const quietly = (act) => { try { return act(); } catch { return []; } };  // private window
  const box = (prefix) => ({
    put: (name, what) => !quietly(() => localStorage.setItem(prefix + name, JSON.stringify(what))),
    drop: (name) => quietly(() => localStorage.removeItem(prefix + name)),
    all: () => quietly(() => Object.keys(localStorage)).filter((name) => name.startsWith(prefix))
      .flatMap((name) => quietly(() => {
        const what = JSON.parse(localStorage.getItem(name));
        return what && typeof what === "object" ? [[name.slice(prefix.length), what]] : [];
      })),
  });
  return { acts: box(`vital-unsaved/${store}/`), drafts: box(`vital-draft/${store}/`),
    read: box(`vital-read/${store}/`) };
}

// The judgements not yet saved, oldest first, and those that the log refused permanently.
export class Outbox {
  constructor(kept, send) {
    Object.assign(this, { kept, send, acts: new Map(), refused: new Map(), away: new Set() });
    const old = kept.all().map(([, one]) => one).filter(({ act }) => act?.event_id);
    old.sort((one, other) => one.at - other.at);
    for (const { act } of old) this.hold(act, { counts: true });
    this.latest = old.at(-1)?.at ?? 0;
  }
  keep(act) {  // with increasing times: undo follows the order in which they were made
    this.latest = Math.max(Date.now(), this.latest + 1);
    this.kept.put(act.event_id, { act, at: this.latest });
  }
  get size() { return this.acts.size; }
  keys() { return [...this.acts.values()].map(({ act }) => act.key); }
  counted() { return [...this.acts.values()].filter((entry) => entry.counts).length; }
  hold(act, more) {  // more: whether it counts as a new item, and its draft's name
    this.acts.set(act.event_id, { act, tries: 0, why: "", late: false,
      again: performance.now() + SILENT, ...more });
  }
  resend(entries = this.acts.values()) {
    for (const entry of entries) {
      entry.again = performance.now() + Math.min(SILENT * 2 ** entry.tries++, LONGEST_WAIT);
      this.send(entry.act);
    }
  }
  tick() {  // retry only the oldest, and the rest once it is saved, to keep their order in the log
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
  failed(id, why, final, said) {
    const entry = this.acts.get(id);
    if (!entry) return entry;
    if (final) {  // kept and listed until the annotator dismisses it
      this.acts.delete(id);
      this.refused.set(id, { act: entry.act, why, said });
    } else {
      Object.assign(entry, { why, late: false,
        again: performance.now() + Math.min(500 * 2 ** entry.tries, LONGEST_WAIT) });
    }
    return entry;
  }
  not_here(id) {  // it stays in storage for a card that has its item
    if (this.acts.delete(id)) this.away.add(id);
  }
  dismiss(id) {
    this.refused.delete(id);
    this.kept.drop(id);
  }
  trouble() {  // as text; empty if there is no trouble
    const entries = [...this.acts.values()], n = entries.length;
    const kept = `${n === 1 ? "It is" : `${n} are`} kept in this browser and retried.`;
    const why = entries.find((entry) => entry.why)?.why;
    if (why) return `Not saved: ${why}. ${kept}`;
    return entries.some((entry) => entry.late)
      ? `Not saved yet: the kernel has not answered. ${kept}` : "";
  }
}
