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
    card.inert = stop;  // a card that cannot save must get no input
    if (stop) button.focus();
  }

  // Only the tab opened last is active: two tabs would show the same item twice.
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
        "This session has ended. Everything shown as saved is saved.", { stop: true });
    } catch {
      say("No connection to the labelling service. Everything shown as saved is saved.");
    }
  }
  // The card is alone on the page, so its keys work wherever the annotator clicked.
  const focus = () => { if (document.activeElement === document.body)
    card.querySelector(".vital")?.focus(); };
  let shown = null;  // first the calibration round, then the labelling card
  new MutationObserver(() => {
    const now = card.querySelector(".vital");
    if (now !== shown) { shown = now; focus(); }
  }).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("click", focus);

  setInterval(check, 5000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) check(); });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
})();
