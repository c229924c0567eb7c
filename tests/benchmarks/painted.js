// Milliseconds from an act (a key, a click) to the next image decoded and painted, and to the word
// "Saved", as the page sees them: window.painted, window.saved. Knows the page by selectors only.
({ act, image, status }) => {
  const task = () => new Promise((done) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = done;
    channel.port2.postMessage(0);
  });
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const last = (selector) => [...document.querySelectorAll(selector)].at(-1);
  let waiting = null, unsaved = null;
  window.painted = [];
  window.saved = [];

  async function look() {
    if (unsaved !== null && last(status)?.innerText.startsWith("✓ Saved")) {
      window.saved.push(performance.now() - unsaved);
      unsaved = null;
    }
    const shown = last(image);
    if (!waiting || !shown?.complete || !shown.naturalWidth) return;
    if (shown === waiting.shown && shown.src === waiting.src) return;
    const { since } = waiting;
    waiting = null;
    await shown.decode();
    await frame();
    await task();  // comes once that frame is drawn
    window.painted.push(performance.now() - since);
  }
  document.addEventListener(act, async (event) => {
    const shown = last(image), since = event.timeStamp;
    waiting = { shown, src: shown?.src, since };
    await task();  // what the page itself does at the act comes first
    if (status) unsaved = since;
    look();
  }, true);
  document.addEventListener("load", look, true);
  const changes = { childList: true, subtree: true, characterData: true, attributes: true };
  new MutationObserver(look).observe(document.body, { ...changes, attributeFilter: ["src"] });
}
