function draw(state, ui) {
  const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
  const part = (p) => p.text !== undefined ? h("p", { class: "text" }, p.text)
    : h("div", { class: "row" }, h("div", { style: "width:150px" }, ui.picture(p.image, 320, 120)),
      h("span", { class: "muted small" }, `image, ${p.size} pixels`));
  return [
    h("div", { class: "head" }, h("h3", null, `Prompt: ${state.name}`),
      tags([`version ${state.version}`]), h("span", { class: "grow" }),
      h("span", { class: "muted number" }, [count(state.messages.length, "message"),
        count(state.images, "image"), `about ${count(state.tokens, "token")}`].join(" · "))),
    h("div", { class: "body prompt" },
      state.messages.map((message) => h("section", { class: `box message ${message.role}` },
        h("h4", null, message.role), h("div", { class: "parts" }, message.parts.map(part)))),
      h("section", { class: "box" }, h("details", null,
        h("summary", null, `Schema that the reply must fit: ${state.reply}`),
        h("pre", { class: "text small" }, state.schema)))),
  ];
}
