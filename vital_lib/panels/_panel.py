"""What all panels share: a view that draws plain data, and methods that its buttons may call.

A panel's whole appearance is a function of ``state``, a dict of plain values. The browser's part
below builds elements from that state with text nodes only, never from markup, and patches them
into the one view that a panel has. It asks for each image once, at the size shown, and gets it as
bytes: neither the state nor a saved notebook grows with the items looked at.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import traitlets

from vital_lib.panels._style import CSS

_LARGEST_SIDE = 1024  # pixels; more is never shown
_UNSEEN = (ValueError, KeyError, OSError)  # what image_of raises for an image that is not there

_ESM = r"""
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
"""


class _View(anywidget.AnyWidget):
    """The browser's part of one panel."""

    _css = CSS
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, draw: str) -> None:
        self._esm = _ESM + draw
        super().__init__()


class Panel:
    """One widget, the state that it draws, and the methods that its buttons may call.

    Subclasses give ``_draw`` (a JavaScript function ``draw(state, ui)`` that returns a list of
    elements), ``_actions`` (names of public methods) and ``_state()`` (plain values).
    """

    _draw = ""
    _actions: tuple[str, ...] = ()

    def __init__(self, image_of: Callable[[str], Any] | None = None) -> None:
        self._image_of = image_of
        self._turn = 0
        self._lock = threading.RLock()  # widget messages may come on another thread
        self.widget = _View(self._draw)
        self.widget.on_msg(self._heard)

    def _state(self) -> dict[str, Any]:
        raise NotImplementedError

    def _show(self) -> None:
        """Send the state; the count makes it an answer even where nothing else changed."""
        with self._lock:
            self._turn += 1
            self.widget.state = {**self._state(), "turn": self._turn}

    def _heard(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        """Act on a message of the browser: an image wanted, or a button pressed."""
        if "image" in content:
            self._send_image(str(content["image"]), int(content["side"]))
            return
        turn = self._turn
        try:
            # A press on what has gone since (a double click, a second window) is not for this item.
            meant = content.get("item") == self.widget.state.get("item")
            if content.get("call") in self._actions and meant:
                getattr(self, content["call"])(*content.get("args", []))
        finally:
            if self._turn == turn:
                self._show()

    def _send_image(self, key: str, side: int) -> None:
        answer = {"image": key, "side": side}
        try:
            data = _jpeg(self._image_of(key), min(max(side, 16), _LARGEST_SIDE))
        except _UNSEEN as error:
            self.widget.send({**answer, "missing": f"this image cannot be shown: {error}"})
        else:
            self.widget.send(answer, buffers=[data])


class Paged(Panel):
    """A panel over a sequence of items, one shown at a time."""

    _actions = ("next", "previous", "jump")
    _items: Sequence[Any] = ()
    _place = 0

    def next(self) -> None:
        """Show the next item; the last one stays."""
        self.jump(self._place + 2)

    def previous(self) -> None:
        """Show the item before; the first one stays."""
        self.jump(self._place)

    def jump(self, number: int) -> None:
        """Show item `number`, counted from 1; a number beyond either end shows that end."""
        with self._lock:
            self._place = max(0, min(int(number), len(self._items)) - 1)
            self._show()

    def _pages(self) -> dict[str, int]:
        return {"n": min(self._place + 1, len(self._items)), "of": len(self._items)}


def plain(value: Any) -> str:
    """A cell of a table as text; nothing for None, NaN and NA."""
    missing = value is None or (isinstance(value, float) and value != value)
    return "" if missing or str(value) == "<NA>" else str(value)


def _jpeg(image: Any, side: int) -> bytes:
    """JPEG bytes of a FigureImage, a PIL image, or bytes that are a JPEG already."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if hasattr(image, "jpeg"):
        return image.jpeg(side)
    small, file = image.convert("RGB"), io.BytesIO()
    small.thumbnail((side, side))
    small.save(file, format="JPEG", quality=90)
    return file.getvalue()
