"""The base classes of all panels: a view that draws plain data, and methods its buttons call.

A panel's appearance is a function of ``state``, a dict of plain values. In the browser,
``_panel.js`` builds elements from that state with text nodes only, never from markup, and patches
them into the panel's view. It requests each image once, at the size shown, and receives it as
bytes, so neither the state nor a saved notebook grows with the number of items viewed.

Every ``.js`` file is a module of its own, which can be checked alone. ``script_beside`` joins a
panel's modules into the one script that anywidget loads.
"""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import numpy as np
import pandas as pd
import traitlets

from vital_lib.panels._static import Form, WithStaticForm, jpeg, picture

_LARGEST_SIDE = 2048  # pixels; larger requests are capped
_IMAGES_KEPT = 16  # JPEGs cached per panel, for a second look or a second window
_GREYS_KEPT = 6  # of megabytes each
_SMALLEST_GREYS = 512  # pixels of the side of an image from which its full depth is sent

# Images are decoded on their own thread, so that a judgement never waits for an image.
_painter = ThreadPoolExecutor(1, thread_name_prefix="vital-images")


_IMPORT = re.compile(r'^import .+ from "(.+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default )", re.MULTILINE)


def script_beside(module: str) -> str:
    """Return `<name>.js` of Python file `<name>.py`, after every module that it imports.

    anywidget loads one module per widget, from text, where relative imports do not resolve. So each
    imported module comes once, before those that import it, and the words `import` and `export` are
    left out. The names at the top level of joined modules must differ.
    """
    joined: dict[Path, str] = {}

    def add(path: Path) -> None:
        source = path.read_text(encoding="utf-8")
        for imported in _IMPORT.findall(source):
            if (other := (path.parent / imported).resolve()) not in joined:
                add(other)
        joined[path] = _EXPORT.sub("", _IMPORT.sub("", source))

    add(Path(module).with_suffix(".js").resolve())
    return "".join(joined.values())


def heard_where_addressed(widget: ipywidgets.DOMWidget) -> None:
    """Route each browser message to `widget` to the subshell that the message names.

    ipykernel 7.4 routes messages to the subshell that last wrote to the page, which may be blocked
    by a running cell or belong to an earlier page. Call this for every widget, of any library,
    whose messages must be handled while a cell runs.
    """
    widget.comm._reply_subshell_for = lambda _data, addressed: addressed


class _View(WithStaticForm, anywidget.AnyWidget):
    """The browser side of one panel: a widget with the panel's script and static form."""

    # All panels share one sheet in JupyterLab's own colours, so that it fits both themes.
    _css = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, panel: Panel) -> None:
        self._esm = panel._script
        self._on_close, self.form, self.settled = panel._closed, panel._form, panel._settled
        super().__init__()

    def close(self) -> None:
        """Remove the view from the page permanently."""
        self._on_close()
        super().close()


def _no_image(key: str) -> Any:
    raise LookupError(f"this panel has no image {key!r}")


class Panel:
    """A widget, the state that it draws, and the methods that its buttons may call.

    Subclasses define ``_script`` (of `script_beside`; its module exports ``panel({ draw })``, whose
    ``draw(state, ui)`` returns a list of elements), ``_actions`` (names of public methods),
    ``_state()`` (plain values) and ``_static(state)`` (what a page without a kernel shows).
    """

    _script = ""
    _actions: tuple[str, ...] = ()
    _shows_greys = False  # whether the script paints greys of 16 bits in a window

    def __init__(self, image_of: Callable[[str], Any] = _no_image) -> None:
        self._greys = lru_cache(_GREYS_KEPT)(lambda key, side: _packed(image_of(key), side))
        self._prepared = lru_cache(_IMAGES_KEPT)(lambda key, side: _jpeg(image_of(key), side))
        self._thumbnail = partial(picture, image_of)
        self._turn = 0
        self._lock = threading.RLock()  # widget messages may arrive on another thread
        self.widget = _View(self)
        heard_where_addressed(self.widget)
        self.widget.on_msg(self._heard)

    def _state(self) -> dict[str, Any]:
        raise NotImplementedError

    def _static(self, state: dict[str, Any]) -> Form:
        """Return the static form of `state`; `_thumbnail` draws an image of it by its key."""
        raise NotImplementedError

    def _form(self) -> Form:
        with self._lock:
            return self._static(self._state())

    def _settled(self) -> bool:
        """Return whether the static form stays as it is when later cells run."""
        return True

    def _closed(self) -> None:
        """Handle the closing of the widget; may be called more than once."""

    def _show(self) -> None:
        """Send the state; the turn number makes it differ, so that the page always gets a reply."""
        with self._lock:
            self._turn += 1
            self.widget.state = {**self._state(), "turn": self._turn}

    def _heard(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        """Handle a message from the browser: an image request or a button press."""
        if "image" in content:
            self._paint(str(content["image"]), int(content["side"]))
            return
        turn = self._turn
        try:
            # Ignore a press meant for an earlier item (a double click, a second window).
            meant = content.get("item") == self.widget.state.get("item")
            if content.get("call") in self._actions and meant:
                getattr(self, content["call"])(*content.get("args", []))
        finally:
            if self._turn == turn:
                self._show()

    def _paint(self, key: str, side: int) -> None:
        """Queue an image to be sent to the browser, with no side longer than `side` pixels."""
        _painter.submit(self._send_image, key, side)

    def _send_image(self, key: str, side: int) -> None:
        answer = {"image": key, "side": side}
        shown = min(max(side, 16), _LARGEST_SIDE)
        try:
            buffers = [self._prepared(key, shown)]
            if self._shows_greys and side >= _SMALLEST_GREYS and (found := self._greys(key, shown)):
                answer["greys"] = found[0]
                buffers.append(found[1])
        # This is the thread's outermost frame, and the page waits for a reply in any case.
        except Exception as error:  # noqa: BLE001
            why = str(error) or type(error).__name__
            self.widget.send({**answer, "missing": f"this image cannot be shown: {why}"})
        else:
            self.widget.send(answer, buffers=buffers)


class Paged(Panel):
    """A panel that shows a sequence of items one at a time."""

    _actions = ("next", "previous", "jump")
    _items: Sequence[Any] = ()
    _place = 0

    def next(self) -> None:
        """Show the next item; at the last item, change nothing."""
        self.jump(self._place + 2)

    def previous(self) -> None:
        """Show the previous item; at the first item, change nothing."""
        self.jump(self._place)

    def jump(self, number: int) -> None:
        """Show item `number`, counted from 1; out of range, show the first or the last item."""
        with self._lock:
            self._place = max(0, min(int(number), len(self._items)) - 1)
            self._show()

    def _pages(self) -> dict[str, int]:
        return {"n": min(self._place + 1, len(self._items)), "of": len(self._items)}


def listed(values: Any) -> list[Any]:
    """Return the values of a cell that holds a list; none if it is null."""
    return list(values) if pd.api.types.is_list_like(values) else []


def figure_texts(figure: Mapping[str, Any] | pd.Series) -> dict[str, Any]:
    """Return a figure's caption and mentions as text."""
    mentions = [plain(mention) for mention in listed(figure["mentions"])]
    return {"caption": plain(figure["caption"]), "mentions": mentions}


def candidate_texts(candidate: Mapping[str, Any] | pd.Series) -> dict[str, str]:
    """Return a candidate's id, figure, instruction and response as text."""
    texts = {name: plain(candidate[name]) for name in ("candidate_id", "instruction", "response")}
    return {**texts, "figure": plain(candidate["figure_id"])}


def plain(value: Any) -> str:
    """Return a table cell as text; None, NaN and NA become an empty string."""
    missing = value is None or (isinstance(value, float) and value != value)
    return "" if missing or str(value) == "<NA>" else str(value)


def _packed(image: Any, side: int) -> tuple[dict[str, Any], bytes] | None:
    """Return a FigureImage's 16-bit greys, compressed, and how they are shown; None without any."""
    found = image.stored_greys(side) if hasattr(image, "stored_greys") else None
    if found is None:
        return None
    stored, greys = found
    ends = greys.values(np.array([stored.min(), stored.max()]))
    size = {"width": stored.shape[1], "height": stored.shape[0]}
    about = {**asdict(greys), **size, "low": float(ends.min()), "high": float(ends.max())}
    return about, zlib.compress(stored.astype("<u2").tobytes(), 1)


def _jpeg(image: Any, side: int) -> bytes:
    """Return JPEG bytes of a FigureImage, of a PIL image, or of bytes that are a JPEG already."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    return jpeg(image, side, quality=90, full_colour=True)
