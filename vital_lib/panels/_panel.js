const SVG = "http://www.w3.org/2000/svg";
const flat = (kids) => kids.flat(9).filter((kid) => kid != null && kid !== false);
export const h = (tag, props, ...kids) => ({ tag, props: props ?? {}, kids: flat(kids) });
const FOCUSABLE = /^(button|input|select|summary|textarea)$/;
const TYPED = /^(text|number|textarea)$/;
const SCROLLS = /^(Arrow|Page|Home|End)/;
const ITS_OWN = { range: SCROLLS, button: /^(Enter| )$/, submit: /^(Enter| )$/,
  "select-one": /./ };
const isText = (v) => typeof v !== "object";
const words = (v) => String(v).replaceAll("\0", "\u2400");  // show NUL as a visible character

function create(v, svg) {
  if (isText(v)) return document.createTextNode(words(v));
  svg = svg || v.tag === "svg";
  const node = svg ? document.createElementNS(SVG, v.tag) : document.createElement(v.tag);
  // Jupyter's command mode takes the keys of every focused element that is not a text field, so
  // suppress its shortcuts on each such element, not only on the root.
  const scrolls = /\bscroll\b/.test(v.props.class);  // browsers make overflowing boxes focusable
  if (scrolls || FOCUSABLE.test(v.tag)) node.dataset.lmSuppressShortcuts = "true";
  if (v.props.open) node.open = true;  // set once: afterwards the reader controls it
  node.vital = v;
  dress(node, {}, v.props);
  for (const kid of v.kids) node.append(create(kid, svg));
  if (v.tag === "select") node.value = v.props.value;  // once it has its options
  return node;
}
function dress(node, before, props) {
  for (const name of Object.keys({ ...before, ...props })) {
    const value = props[name];
    if (name === "key" || name === "open") continue;
    if (name.startsWith("on")) node[name] = value ?? null;
    else if (name === "paint") value?.(node);
    else if (name === "disabled") node.disabled = Boolean(value);
    else if (name === "value" && node.tagName !== "OPTION") {  // an option may have the value ""
      const typed = node === document.activeElement && TYPED.test(node.type);
      if (node.value !== String(value) && !typed) node.value = value;
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
    else if (isText(v)) { if (node.data !== words(v)) node.data = words(v); }
    else { dress(node, old.props, v.props); node.vital = v; patch(node, v.kids); }
  });
  while (parent.childNodes.length > wanted.length) parent.lastChild.remove();
}

export const button = (label, onclick, props) => h("button", { type: "button", onclick, ...props }, label);
export const bar = (share, props) => h("div", { class: "bar", ...props },
  h("i", { style: `width:${Math.round(1000 * Math.min(1, Math.max(0, share))) / 10}%` }));
export const tags = (names, cls) => names.map((name) => h("span", { class: `tag ${cls ?? ""}` }, name));
export const section = (title, ...kids) => h("section", null, h("h4", null, title), kids);
export const texts = (lines) => lines.length
  ? h("ul", null, lines.map((line) => h("li", { class: "text", dir: "auto" }, line)))
  : h("p", { class: "muted text" }, "none");
export const pager = (state, ui) => h("div", { class: "row" },
  button("‹ Previous", () => ui.latest("previous"), { disabled: state.n <= 1 }),
  h("input", { type: "number", min: 1, max: state.of, value: state.n, "aria-label": "go to number",
    onchange: (event) => ui.call("jump", Number(event.target.value)) }),
  h("span", { class: "number" }, `of ${state.of}`),
  button("Next ›", () => ui.latest("next"), { disabled: state.n >= state.of }));

// Return the name of a key as its button shows it. Digits are read from the key's position on any
// layout, unless the typed character is bound itself (on a French layout, "-" is on the 6 key).
// Letters are read from the position only if the layout types no Latin letters.
function keyName({ code, key, shiftKey }, keys) {
  const [, letter, digit] = /^(?:Key([A-Z])|Digit(\d))$/.exec(code) ?? [];
  const typed = key.length === 1 ? key.toLowerCase() : key;
  const itself = /^[a-z]$/.test(typed) || (keys[typed] && !/^\d$/.test(typed));
  const name = itself ? typed : digit ?? letter?.toLowerCase() ?? typed;
  return shiftKey && keys[`⇧${name}`] ? `⇧${name}` : shiftKey && name === digit ? "" : name;
}
const keptByIt = (node, key) => ITS_OWN[node.type]?.test(key) || (SCROLLS.test(key)
  && node.classList.contains("scroll") && node.scrollHeight > node.clientHeight);

// A panel's script exports panel({ draw, begin }). draw(state, ui) returns the elements. begin, which
// is optional, is called once per widget with { model, redraw, seen, again }; its result is ui.own in
// draw, and its receive(message, buffers) gets the kernel's messages.
export const panel = ({ draw, begin }) => () => {
  const images = new Map(), views = new Set();
  let pending = 0, late = false, waiting = null, timer = null, own = null;
  const redraw = () => views.forEach((view) => view());
  function send(model, name, args) {
    pending += 1;
    clearTimeout(timer);
    timer = setTimeout(() => { late = true; redraw(); }, 1500);
    model.send({ call: name, args, item: model.get("state").item ?? null });
    redraw();
  }
  function settle(model) {
    clearTimeout(timer);
    [late, pending] = [false, Math.max(0, pending - 1)];
    if (waiting && !pending) { const [name, args] = waiting; waiting = null; send(model, name, args); }
    redraw();
  }
  async function receive(message, buffers) {
    if (message.image === undefined) return own?.receive(message, buffers);
    const name = `${message.side} ${message.image}`;
    if (images.get(name)?.url) return;
    const found = buffers.length ? await decoded(buffers[0]) : { missing: message.missing };
    if (message.greys) found.greys = await unpacked(message.greys, buffers[1]);
    images.set(name, found);
    const deep = [...images].filter(([, { greys }]) => greys);  // megabytes each
    if (deep.length > 8) forget(...deep[0]);
    redraw();
  }
  function forget(name, { url }) {
    if (url) URL.revokeObjectURL(url);
    images.delete(name);
  }
  async function unpacked(greys, bytes) {  // 16 bits a pixel
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return { ...greys, stored: new Uint16Array(await new Response(stream).arrayBuffer()) };
  }
  async function decoded(bytes) {
    const url = URL.createObjectURL(new Blob([bytes])), image = new Image();
    image.src = url;
    try { await image.decode(); } catch { return { missing: "this image cannot be shown" }; }
    return { url, image };  // kept, so that the browser does not decode it again
  }
  function fetched(model, id, side, coming = false) {  // coming: sent without a request
    const name = `${side} ${id}`;
    if (!images.has(name)) {
      images.set(name, {});
      if (images.size > 300) forget(...images.entries().next().value);  // limit the browser's memory
      if (!coming) model.send({ image: id, side });
    }
    return images.get(name);
  }
  function again(id) {  // request a failed image again
    for (const [name, { missing }] of images) {
      if (missing && name.endsWith(` ${id}`)) images.delete(name);
    }
  }
  return {
    initialize({ model }) {
      const start = () => {  // the widget is created before its state arrives
        if (!begin || own || !model.get("state").turn) return;
        own = begin({ model, redraw, again, seen: (...of) => fetched(model, ...of) });
      };
      start();
      model.on("change:state", () => { start(); settle(model); });
      model.on("msg:custom", receive);
      return () => own?.end();
    },
    render({ model, el }) {
      const root = document.createElement("div");
      root.className = "vital";
      root.dataset.lmSuppressShortcuts = "true";
      el.append(root);
      const ui = {
        keys: {},
        get own() { return own; },
        root,
        set: (name, value) => {
          model.set("state", { ...model.get("state"), [name]: value });
          model.save_changes();
        },
        get busy() { return pending > 0; },
        get late() { return late; },
        call(name, ...args) { if (!pending) send(model, name, args); },
        now(name, ...args) { send(model, name, args); },  // before any cell that is run later
        latest(name, ...args) { pending ? (waiting = [name, args]) : send(model, name, args); },
        seen: (id, side) => fetched(model, id, side),
        picture(id, side, height) {
          const found = fetched(model, id, side);
          return h("div", { class: "picture", style: `height:${height}px`, key: id }, found.url
            ? h("img", { src: found.url, alt: `Figure ${id}` })
            : h("span", null, found.missing ?? "loading image"));
        },
      };
      root.onkeydown = (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        event.stopPropagation();
        const typing = TYPED.test(event.target.type);
        if (typing && event.key === "Escape") root.focus();
        const act = ui.keys[keyName(event, ui.keys)];
        if (!act || typing || keptByIt(event.target, event.key)) return;
        event.preventDefault();
        if (typeof act === "function") act(event);
        else if (!event.repeat) ui.call(...act);
      };
      const view = () => {
        if (!model.get("state").turn) return;
        ui.keys = {};
        const inside = root.contains(document.activeElement);
        patch(root, flat(draw(model.get("state"), ui)));
        // If the focused element is gone, focus the panel, or Jupyter would get the next key.
        if (inside && !root.contains(document.activeElement)) root.focus({ preventScroll: true });
        Object.keys(ui.keys).length ? (root.tabIndex = 0) : root.removeAttribute("tabindex");
      };
      views.add(view);
      view();
      return () => views.delete(view);
    },
  };
};
