(() => {
  const config = JSON.parse(document.getElementById("jupyter-config-data").textContent);
  const note = document.getElementById("note"), card = document.getElementById("rendered_cells");
  const text = note.querySelector("p"), button = note.querySelector("button");
  button.onclick = () => location.reload();
  let ended = false;
  function say(words, { stop = false } = {}) {
    if (ended) return;
    text.textContent = words;
    note.hidden = !words;
    button.hidden = !stop;
    ended = stop;
    card.inert = stop;  // no key or press may reach a card that cannot save
    if (stop) button.focus();
  }

  // The last tab opened is the one to label in: two would show the same item twice.
  const tabs = new BroadcastChannel(`vital ${config.baseUrl} ${config.annotator}`);
  tabs.onmessage = () => say("Your card was opened in another tab.", { stop: true });
  tabs.postMessage("opened");

  async function check() {
    if (ended) return;
    try {
      const reply = await fetch(`${config.baseUrl}api/kernels/${config.kernelId}`,
        { headers: { Authorization: `token ${config.token}` }, cache: "no-store" });
      if (reply.ok) say("");
      else if (reply.status < 500) say(
        "This page has ended. All that was shown as saved is saved.", { stop: true });
    } catch {
      say("No connection to the labelling service. All that was shown as saved is saved.");
    }
  }
  // The card is alone here: its keys work wherever one has clicked.
  const focus = () => { if (document.activeElement === document.body)
    card.querySelector(".vital")?.focus(); };
  let shown = null;  // the calibration round, and then the card of the labels
  new MutationObserver(() => {
    const now = card.querySelector(".vital");
    if (now !== shown) { shown = now; focus(); }
  }).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("click", focus);

  setInterval(check, 5000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) check(); });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
})();
