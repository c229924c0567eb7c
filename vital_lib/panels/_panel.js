const SVG = "http://www.w3.org/2000/svg";
const h = (tag, props, ...kids) =>
  ({ tag, props: props ?? {}, kids: kids.flat(9).filter((kid) => kid != null && kid !== false) });
const FOCUSABLE = /^(button|input|summary)$/;
const isText = (v) => typeof v !== "object";

function create(v, svg) {
  if (isText(v)) return document.createTextNode(String(v));
  svg = svg || v.tag === "svg";
  const node = svg ? document.createElementNS(SVG, v.tag) : document.createElement(v.tag);
  // Jupyter's command mode claims every focused element that is not typed into, not only the root.
  if (FOCUSABLE.test(v.tag)) node.dataset.lmSuppressShortcuts = "true";
  if (v.props.open) node.open = true;  // only at first: afterwards it is the reader's
  node.vital = v;
  dress(node, {}, v.props);
  for (const kid of v.kids) node.append(create(kid, svg));
  return node;
}
function dress(node, before, props) {
  for (const name of Object.keys({ ...before, ...props })) {
    const value = props[name];
    if (name === "key" || name === "open") continue;
    if (name.startsWith("on")) node[name] = value ?? null;
    else if (name === "disabled") node.disabled = Boolean(value);
    else if (name === "value") {
      if (node.value !== String(value) && node !== document.activeElement) node.value = value;
    } else if (value == null || value === false) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
  }
}
function patch(parent, wanted) {
  wanted.forEach((v, place) => {
    const node = parent.childNodes[place], old = node?.vital;
    const same = node && (isText(v) ? node.nodeType === 3
      : old && old.tag === v.tag && old.props.key === v.props.key);
    if (!same) node ? node.replaceWith(create(v, parent.namespaceURI === SVG))
      : parent.append(create(v, parent.namespaceURI === SVG));
    else if (isText(v)) { if (node.data !== String(v)) node.data = String(v); }
    else { dress(node, old.props, v.props); node.vital = v; patch(node, v.kids); }
  });
  while (parent.childNodes.length > wanted.length) parent.lastChild.remove();
}

const button = (label, onclick, props) => h("button", { type: "button", onclick, ...props }, label);
const bar = (share, props) => h("div", { class: "bar", ...props },
  h("i", { style: `width:${Math.round(1000 * Math.min(1, Math.max(0, share))) / 10}%` }));
const tags = (names, cls) => names.map((name) => h("span", { class: `tag ${cls ?? ""}` }, name));
const section = (title, ...kids) => h("section", null, h("h4", null, title), kids);
const texts = (lines) => lines.length
  ? h("ul", null, lines.map((line) => h("li", { class: "text" }, line)))
  : h("p", { class: "muted text" }, "none");
const pager = (state, ui) => h("div", { class: "row" },
  button("‹ Previous", () => ui.latest("previous"), { disabled: state.n <= 1 }),
  h("input", { type: "number", min: 1, max: state.of, value: state.n, "aria-label": "go to number",
    onchange: (event) => ui.call("jump", Number(event.target.value)) }),
  h("span", { class: "number" }, `of ${state.of}`),
  button("Next ›", () => ui.latest("next"), { disabled: state.n >= state.of }));

export default () => {
  const images = new Map(), views = new Set();
  let pending = false, late = false, waiting = null, timer = null;
  const redraw = () => views.forEach((view) => view());
  function send(model, name, args) {
    pending = true;
    timer = setTimeout(() => { late = true; redraw(); }, 1500);
    model.send({ call: name, args, item: model.get("state").item ?? null });
    redraw();
  }
  function settle(model) {
    clearTimeout(timer);
    pending = late = false;
    if (waiting) { const [name, args] = waiting; waiting = null; send(model, name, args); }
    redraw();
  }
  function receive(message, buffers) {
    if (message.image === undefined) return;
    const url = buffers.length ? URL.createObjectURL(new Blob([buffers[0]])) : null;
    images.set(`${message.side} ${message.image}`, { url, missing: message.missing });
    redraw();
  }
  function fetched(model, id, side) {
    const name = `${side} ${id}`;
    if (!images.has(name)) {
      images.set(name, {});
      if (images.size > 300) {  // the browser's memory is not the figure set's
        const [oldest, { url }] = images.entries().next().value;
        if (url) URL.revokeObjectURL(url);
        images.delete(oldest);
      }
      model.send({ image: id, side });
    }
    return images.get(name);
  }
  return {
    initialize({ model }) {
      model.on("change:state", () => settle(model));
      model.on("msg:custom", receive);
    },
    render({ model, el }) {
      const root = document.createElement("div");
      root.className = "vital";
      root.dataset.lmSuppressShortcuts = "true";
      el.append(root);
      const ui = {
        keys: {},
        get busy() { return pending; },
        get late() { return late; },
        call(name, ...args) { if (!pending) send(model, name, args); },
        latest(name, ...args) { pending ? (waiting = [name, args]) : send(model, name, args); },
        seen: (id, side) => fetched(model, id, side),
        picture(id, side, height) {
          const found = fetched(model, id, side);
          return h("div", { class: "picture", style: `height:${height}px`, key: id }, found.url
            ? h("img", { src: found.url, alt: `Figure ${id}` })
            : h("span", null, found.missing ?? "loading the image"));
        },
      };
      root.onkeydown = (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        event.stopPropagation();
        const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
        if (event.target.tagName === "INPUT" || !ui.keys[key]) return;
        event.preventDefault();
        if (!event.repeat) ui.call(...ui.keys[key]);
      };
      const view = () => {
        ui.keys = {};
        patch(root, draw(model.get("state"), ui));
        Object.keys(ui.keys).length ? (root.tabIndex = 0) : root.removeAttribute("tabindex");
      };
      views.add(view);
      view();
      return () => views.delete(view);
    },
  };
};
