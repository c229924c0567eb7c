import { h, tags, panel } from "./_panel.js";

function draw(state, ui) {
  const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
  const pixels = (width, height) => `${width} × ${height} pixels`;
  const said = ({ size, sent }) => !sent ? pixels(...size) : [
    pixels(sent.width, sent.height) + (sent.width === size[0] && sent.height === size[1]
      ? "" : `, scaled down from ${size[0]} × ${size[1]}`),
    `JPEG of ${Math.ceil(sent.bytes / 1000)} kB`, count(sent.tokens, "token")].join(" · ");
  const part = (p) => p.text !== undefined ? h("p", { class: "text" }, p.text)
    : h("div", { class: "row" }, h("div", { style: "width:150px" }, ui.picture(p.image, 320, 120)),
      h("span", { class: "muted small" }, said(p)));
  return [
    h("div", { class: "head" }, h("h3", null, `Prompt: ${state.name}`),
      tags([`version ${state.version}`, ...state.settings]), h("span", { class: "grow" }),
      h("span", { class: "muted number" }, [count(state.messages.length, "message"),
        count(state.images, "image"),
        ...(state.tokens == null ? [] : [`about ${count(state.tokens, "token")}`])].join(" · "))),
    h("div", { class: "body prompt scroll" },
      state.messages.map((message) => h("section", { class: `box message ${message.role}` },
        h("h4", null, message.role), h("div", { class: "parts" }, message.parts.map(part)))),
      state.schema ? h("section", { class: "box" }, h("details", null,
        h("summary", null, `Reply schema: ${state.reply}`),
        h("pre", { class: "text small" }, state.schema))) : null),
  ];
}

export default panel({ draw });
