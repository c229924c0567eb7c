"""What all panels share: a view that draws plain data, and methods that its buttons may call.

A panel's whole appearance is a function of ``state``, a dict of plain values. The browser's part,
``_panel.js``, builds elements from that state with text nodes only, never from markup, and patches
them into the one view that a panel has. It asks for each image once, at the size shown, and gets it
as bytes: neither the state nor a saved notebook grows with the items looked at.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

_LARGEST_SIDE = 2048  # pixels; more is never shown
_IMAGES_KEPT = 16  # of one panel, as JPEG: whoever looks again soon, or from a second window

# Images are decoded on a thread of their own: what a person says never waits for a picture.
_painter = ThreadPoolExecutor(1, thread_name_prefix="vital-images")


def script_beside(module: str, *parts: str) -> str:
    """The JavaScript beside the Python file `module`: its parts' (`<name>_<part>.js`), its own."""
    file = Path(module)
    names = [*(f"{file.stem}_{part}" for part in parts), file.stem]
    return "".join(file.with_name(f"{name}.js").read_text(encoding="utf-8") for name in names)


def heard_where_addressed(widget: ipywidgets.DOMWidget) -> None:
    """Have the browser's messages to `widget` handled by the subshell that each of them names.

    ipykernel (7.4) hands them to the one that wrote to the page last, which may wait in a cell by
    now, or be gone with an earlier page. For every widget whose messages matter while a cell runs,
    those of other libraries included.
    """
    widget.comm._reply_subshell_for = lambda _data, addressed: addressed


class _View(anywidget.AnyWidget):
    """The browser's part of one panel: one module of ``_panel.js`` and the panel's own ``draw``."""

    # One sheet for all panels, in JupyterLab's own colours, so that both themes fit.
    _css = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    _shared = script_beside(__file__)
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, draw: str, on_close: Callable[[], None]) -> None:
        self._esm = self._shared + draw
        self._on_close = on_close
        super().__init__()

    def close(self) -> None:
        """Take the view off the page for good."""
        self._on_close()
        super().close()


class Panel:
    """One widget, the state that it draws, and the methods that its buttons may call.

    Subclasses give ``_draw`` (a JavaScript function ``draw(state, ui)`` that returns a list of
    elements, in a file beside their own; it may use whatever ``_panel.js`` defines), ``_actions``
    (names of public methods) and ``_state()`` (plain values).
    """

    _draw = ""
    _actions: tuple[str, ...] = ()

    def __init__(self, image_of: Callable[[str], Any] | None = None) -> None:
        self._prepared = lru_cache(_IMAGES_KEPT)(lambda key, side: _jpeg(image_of(key), side))
        self._turn = 0
        self._lock = threading.RLock()  # widget messages may come on another thread
        self.widget = _View(self._draw, self._closed)
        heard_where_addressed(self.widget)
        self.widget.on_msg(self._heard)

    def _state(self) -> dict[str, Any]:
        raise NotImplementedError

    def _closed(self) -> None:
        """Called when the widget is closed, maybe more than once."""

    def _show(self) -> None:
        """Send the state; the count makes it an answer even where nothing else changed."""
        with self._lock:
            self._turn += 1
            self.widget.state = {**self._state(), "turn": self._turn}

    def _heard(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        """Act on a message of the browser: an image wanted, or a button pressed."""
        if "image" in content:
            self._paint(str(content["image"]), int(content["side"]))
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

    def _paint(self, key: str, side: int) -> None:
        """Send the browser that image, no side longer than `side` pixels, when it is ready."""
        _painter.submit(self._send_image, key, side)

    def _send_image(self, key: str, side: int) -> None:
        answer = {"image": key, "side": side}
        try:
            data = self._prepared(key, min(max(side, 16), _LARGEST_SIDE))
        # The thread's outermost frame: whatever it is, a page waits for the answer.
        except Exception as error:  # noqa: BLE001
            why = str(error) or type(error).__name__
            self.widget.send({**answer, "missing": f"this image cannot be shown: {why}"})
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
    small = image.pixels() if hasattr(image, "pixels") else image.convert("RGB")
    file = io.BytesIO()
    small.thumbnail((side, side), reducing_gap=2.0)
    small.save(file, format="JPEG", quality=90)
    return file.getvalue()
