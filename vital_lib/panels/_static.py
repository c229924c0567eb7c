"""The static form of a panel: what a page shows of it where no kernel answers.

A panel's output has this form beside its live view. GitHub, the documentation site and a notebook
opened without a kernel show it: HTML of texts, tables and images, without scripts and without a
style sheet, and one line of plain text. ``Markup`` escapes every text. This module does not depend
on what a panel shows.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import ipywidgets
import pandas as pd
from IPython import get_ipython
from IPython.display import display
from markupsafe import Markup
from PIL import Image, ImageFile

from vital_lib.figures.greys import rgb

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST = 300_000
"""Characters that one static form has at most."""

_CHARACTERS = 600  # of one text
_SIDE = 300  # pixels of an image, which is shown smaller
_SHOWN = 220  # pixels of width at which it is shown
_CELL = "text-align: left; vertical-align: top; padding: 3px 12px 3px 0"
_WIDE = f"{_CELL}; min-width: 200px"
_LIVE = "Saved view. In a running notebook, this cell shows the panel itself."
# Page scripts that typeset formulas leave elements of these classes alone: a "$" is data.
_FORM = (
    '<div class="tex2jax_ignore mathjax_ignore" style="max-width: 1100px; overflow-x: auto">'
    "<p><strong>{}</strong></p>{}<p><em>{}</em></p></div>"
)


class Form(NamedTuple):
    """What is shown in the place of a panel: one line of text, and parts of HTML below it."""

    summary: str
    parts: Sequence[Markup] = ()


class WithStaticForm:
    """A widget whose output has a static form beside its live view.

    Attributes:
        form: called when the widget is displayed.
        settled: whether the form stays as it is. If it does not, it is made once more, after the
            cell in which it becomes settled: a panel may show work that later cells wait for.
    """

    form: Callable[[], Form]
    settled: Callable[[], bool]

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)  # ty: ignore[missing-attribute]
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        try:
            form = self.form()
            return data | {"text/plain": _line(form.summary), "text/html": str(_html(form))}
        # The live view must be shown, whatever fails here.
        except Exception as error:  # noqa: BLE001
            return data | {"text/plain": _line(f"a panel without a saved view: {error!r}")}

    def _ipython_display_(self) -> None:
        if self.settled():
            raise NotImplementedError  # IPython then takes the bundle as it is
        handle = display(self._repr_mimebundle_(), raw=True, display_id=True)
        shell = get_ipython()
        if handle is None or shell is None:
            return

        def after_cell(*_: Any) -> None:
            if self.settled():
                shell.events.unregister("post_run_cell", after_cell)
                handle.update(self._repr_mimebundle_(), raw=True)

        shell.events.register("post_run_cell", after_cell)


class StaticBox(WithStaticForm, ipywidgets.VBox):
    """Widgets below each other, with one static form for all of them."""

    def __init__(self, children: Iterable[ipywidgets.Widget], form: Callable[[], Form]) -> None:
        self.form, self.settled = form, lambda: True
        super().__init__(list(children))


def text(value: Any, most: int = _CHARACTERS) -> Markup:
    """Return a value as escaped text with its line breaks, cut after `most` characters."""
    whole = _plain(value)
    lines = (whole if len(whole) <= most else f"{whole[:most]} …").split("\n")
    return Markup("<br>").join(lines)


def paragraph(title: str, value: Any, most: int = _CHARACTERS) -> Markup:
    """Return a text below its title; "none" if it is empty."""
    shown = value if isinstance(value, Markup) else text(value, most)
    return Markup("<p><strong>{}</strong><br>{}</p>").format(text(title), shown or "none")


def note(value: Any) -> Markup:
    """Return a text without a title."""
    return Markup("<p>{}</p>").format(text(value))


def table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> Markup:
    """Return a table; a column whose cells are all empty is left out.

    Args:
        titles: of the columns; if all are empty, the table has no row of titles.
        rows: texts, or Markup.
    """
    cells = [[cell if isinstance(cell, Markup) else text(cell) for cell in row] for row in rows]
    used = [place for place in range(len(titles)) if any(row[place] for row in cells)]
    head = _row("th", [text(titles[place]) for place in used]) if any(titles) else Markup("")
    body = Markup("").join(_row("td", [row[place] for place in used]) for row in cells)
    return Markup("<table>{}{}</table>").format(head, body)


def side_by_side(*parts: Markup) -> Markup:
    """Return parts side by side."""
    return Markup("<table>{}</table>").format(_row("td", parts, _WIDE))


def folded(title: str, value: Any, most: int) -> Markup:
    """Return a text with its spaces, such as JSON, that the reader unfolds."""
    form = Markup("<details><summary>{}</summary><pre>{}</pre></details>")
    return form.format(text(title), _plain(value)[:most])


def joined(*parts: Markup) -> Markup:
    """Return parts below each other."""
    return Markup("").join(parts)


def picture(image_of: Callable[[str], Any], key: str) -> Markup:
    """Return an image as a small JPEG in the page, or the reason why it cannot be shown.

    Args:
        image_of: key -> a FigureImage, a PIL image or bytes of an image file.
    """
    try:
        data = _small(image_of(key))
    # An image of any kind may be broken in any way; the reason stands in its place.
    except Exception as error:  # noqa: BLE001
        why = str(error) or type(error).__name__
        return Markup("<em>this image cannot be shown: {}</em>").format(text(why, 200))
    return _image("jpeg", data, f"Figure {_plain(key)}", _SHOWN)


def plot(figure: Figure, alt: str) -> Markup:
    """Return a plot of ``vital_lib.plots`` as a PNG with a transparent ground."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return _image("png", file.getvalue(), alt, round(72 * figure.get_figwidth()))


def jpeg(image: Any, side: int, quality: int, *, full_colour: bool = False) -> bytes:
    """Return a FigureImage or a PIL image as JPEG bytes, at most `side` pixels wide and high.

    Without `full_colour`, two by two pixels share a colour, which blurs thin coloured lines.
    """
    small = rgb(image) if isinstance(image, Image.Image) else image.pixels()
    small.thumbnail((side, side), reducing_gap=2.0)
    file = io.BytesIO()
    small.save(file, format="JPEG", quality=quality, subsampling=0 if full_colour else 2)
    return file.getvalue()


def _small(image: Any) -> bytes:
    if isinstance(image, bytes | bytearray | memoryview):
        parser = ImageFile.Parser()
        parser.feed(bytes(image))
        image = parser.close()
    return jpeg(image, _SIDE, quality=80)


def _image(kind: str, data: bytes, alt: str, width: int) -> Markup:
    form = '<img src="data:image/{};base64,{}" alt="{}" width="{}" style="max-width: none">'
    return Markup(form).format(kind, base64.b64encode(data).decode(), alt, width)


def _row(tag: str, cells: Iterable[Markup], style: str = _CELL) -> Markup:
    cell = Markup(f'<{tag} style="{style}">{{}}</{tag}>')
    return Markup("<tr>{}</tr>").format(Markup("").join(cell.format(own) for own in cells))


def _html(form: Form) -> Markup:
    """Return a form as HTML of at most `LARGEST` characters, with as many parts as have room."""
    room, parts = LARGEST - 2_000, []
    for part in form.parts:
        if len(part) <= room:
            parts.append(part)
            room -= len(part)
    left_out = len(form.parts) - len(parts)
    note = f"{left_out} of {len(form.parts)} parts are too large to be saved. " if left_out else ""
    return Markup(_FORM).format(text(form.summary), joined(*parts), note + _LIVE)


def _plain(value: Any) -> str:
    """Return a value as text that every file and page can hold; missing values are empty."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    whole = str(value).replace("\0", "\u2400").replace("\r\n", "\n")
    return whole.encode("utf-8", "replace").decode("utf-8")


def _line(value: Any) -> str:
    return " ".join(_plain(value).split())
