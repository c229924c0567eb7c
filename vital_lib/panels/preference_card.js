function draw(state, ui) {
  const card = state.card, [kind, said] = state.status;
  const undo = button([h("kbd", null, "U"), "Undo"], once(() => ui.call("undo")),
    { disabled: !state.can_undo });
  const word = ui.late ? "Not saved yet: the kernel has not answered" : ui.busy ? "Saving …"
    : said || "Press a button, or click into the card and press its key.";
  const kept = kind === "saved" && !ui.busy;
  const colour = ui.late || kind === "failed" ? "no" : kept ? "yes" : "muted";
  const mark = colour === "yes" ? "✓ " : colour === "no" ? "✗ " : "";
  const foot = h("div", { class: "row foot" },
    h("span", { class: colour, role: "status", "aria-live": "polite" }, mark + word),
    h("span", { class: "grow" }), card ? null : undo);
  const head = h("div", { class: "head" }, h("h3", null, "Preferences"),
    h("span", { class: "muted" }, state.annotator), h("span", { class: "grow" }),
    bar(state.of ? state.done / state.of : 1, { style: "width:160px" }),
    h("span", { class: "number" }, card ? `item ${state.done + 1} of ${state.of}`
      : `${state.done} of ${state.of} judged`));
  if (state.can_undo) ui.keys.u = ["undo"];
  if (!card) return [head, h("div", { class: "body" }, h("div", { class: "end" },
    h("p", { class: "yes" }, "✓"), h("h3", null, "This is the end of the queue"),
    h("p", { class: "muted" }, state.of ? `All ${state.of} items are judged and saved.`
      : "The queue is empty: there is nothing to judge.")), foot)];
  const side = 640, image = ui.seen(card.figure, side), seen = Boolean(image.url);
  state.ahead.forEach((id) => ui.seen(id, side));
  const act = (key, label, call, needsImage, props) => {
    if (seen || !needsImage) ui.keys[key] = call;
    return button([h("kbd", null, key.toUpperCase()), label], once(() => ui.call(...call)),
      { disabled: needsImage && !seen, ...props });
  };
  const tick = (name, accepted, key) => act(key, accepted ? "✓ accept" : "✗ reject",
    ["tick", name, accepted], true, { class: `tick ${accepted ? "yes" : "no"}`,
      "aria-pressed": String(state.ticks[name] === accepted) });
  const response = (name, title, keys) => h("div", { class: "box response" },
    h("h4", null, title), h("p", { class: "text" }, card[name]),
    h("div", { class: "row" }, tick(name, true, keys[0]), tick(name, false, keys[1])));
  return [head, h("div", { class: "body split" },
    h("div", null, ui.picture(card.figure, side, 360),
      h("section", { class: "row" },
        act("t", state.hidden ? "Show caption and mentions" : "Hide caption and mentions",
          ["toggle_text"], false, { class: "chip" })),
      state.hidden ? null : [section("Caption", h("p", { class: "text" }, card.caption || "none")),
        section("Mentions", texts(card.mentions))]),
    h("div", { class: "judge" },
      h("h4", null, "Instruction"), h("p", { class: "text instruction" }, card.instruction),
      h("div", { class: "two" }, response("left", "Left response", ["q", "a"]),
        response("right", "Right response", ["w", "s"])),
      h("div", { class: "choices" },
        act("1", "Only left", ["choose", "left"], true),
        act("2", "Only right", ["choose", "right"], true),
        act("3", "Both", ["choose", "both"], true),
        act("4", "Neither", ["choose", "neither"], true)),
      h("div", { class: "row" },
        act("5", "Cannot judge", ["cannot_judge"], false),
        act("6", "Unsafe", ["unsafe"], false), h("span", { class: "grow" }), undo),
      foot))];
}
// The second press of a double click would fall on the next item.
const once = (act) => (event) => { if (event.detail < 2) act(); };
