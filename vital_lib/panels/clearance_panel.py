"""A panel to decide on figures that are not cleared: clear, redact or reject, one at a time."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import astuple
from functools import lru_cache
from os import PathLike
from typing import Any

import pandas as pd

from vital_lib import privacy
from vital_lib.dicom import tiles_beside
from vital_lib.figures import FigureImage, UnreadableImage, image_opener, is_cleared
from vital_lib.panels._panel import Paged, plain, script_beside
from vital_lib.panels._static import Form
from vital_lib.privacy import BurntIn, Identifier

_FRAME = re.compile(r"(.+)-f\d+")  # the figure_id of one frame of a DICOM file
_NAMES = {"figure_id": "id", "group_id": "article or patient", "source": "source",
          "source_url": "address", "credit": "credit"}  # fmt: skip
"""What an export says of a figure besides its image and texts."""

_reader = ThreadPoolExecutor(1, thread_name_prefix="vital-ocr")


class ClearancePanel(Paged):
    """Figures that are not cleared, with what may identify a patient in their image and texts.

    What was found is removed, unless the person keeps it. A grey of 16 bits can be looked at in
    each of its windows and over its whole range. Boxes on one frame of a DICOM file are marked on
    its other frames, too, when they are shown. Each decision goes to the log of the run;
    `privacy.with_decisions` applies it. The saved form of the panel shows counts only.

    Args:
        figures: table `figures`; those that are not cleared are shown.
        run: the run's folder.
        person: who decides.
        look: finds text in an image, such as `privacy.find_burnt_in`.

    Raises:
        ValueError: `person` is empty.
    """

    _script = script_beside(__file__)
    _actions = (*Paged._actions, "clear", "reject")
    _items: Sequence[str] = ()  # figure_ids

    def __init__(
        self,
        figures: pd.DataFrame,
        run: str | PathLike[str],
        *,
        person: str,
        look: Callable[[FigureImage], list[BurntIn]] = privacy.find_burnt_in,
    ) -> None:
        if not person.strip():
            raise ValueError("person is empty: give the name of who decides")
        held = figures[~is_cleared(figures)]
        self._image_of = image_opener(held)
        self._views = lru_cache(2)(lambda name: privacy.views_of(self._image_of(name)))
        super().__init__(self._picture)
        self.person, self._run, self._find = person, run, look
        self._total = len(figures)
        self._rows = {row["figure_id"]: row for row in held.to_dict("records")}
        self._decided: dict[str, str] = {}
        self._drawn: dict[tuple, list] = {}  # file of frames and their size -> boxes on one of them
        self._notice = ""
        self._looked: dict[str, list[BurntIn] | str] = {}  # or why nothing was looked for
        self._looking: set[str] = set()
        self._closing = threading.Event()
        self._items = list(self._rows)
        self.jump(1)

    @property
    def figure_id(self) -> str | None:
        """The id of the figure shown; None if there is none."""
        return self._items[self._place] if self._items else None

    def clear(
        self,
        reason: str,
        boxes: Iterable[Sequence[int]] = (),
        found: Iterable[int] = (),
        words: str = "",
    ) -> None:
        """Clear the figure shown, without what is marked, and show the next undecided one.

        Args:
            reason: why it may leave.
            boxes: (x, y, width, height) to make black, in pixels of the image as shown.
            found: numbers of the found texts to remove, from 0, in the order shown.
            words: a further text to remove wherever it occurs.
        """
        row = self._rows[self._shown()]
        each = self._identifiers(row)
        spans = [each[number] for number in found]
        spans += _occurrences(words, row) if words.strip() else []
        parts = {"boxes": list(boxes), "spans": [(place, *one[1:]) for place, one in _apart(spans)]}
        removed = len(parts["boxes"]) + len(parts["spans"])
        said = f"cleared without {removed} parts" if removed else "cleared"
        self._decide(said, reason, privacy.clear, **parts)

    def reject(self, reason: str) -> None:
        """Reject the figure shown, and show the next undecided one; `reason` as in `clear`."""
        self._decide("rejected", reason, privacy.reject)

    def _decide(self, said: str, reason: str, act: Callable[..., None], **parts: Any) -> None:
        name = self._shown()
        try:
            how = {"person": self.person, "reason": reason, **parts}
            act(self._run, self._rows[name], self._image_of(name), **how)
        except ValueError as error:  # of which UnreadableImage is one
            self._notice = f"not saved: {error}"
            return self._show()
        self._decided[name], self._notice = said, ""
        if "boxes" in parts and (file := self._file_of(name)):
            self._drawn[file] = parts["boxes"]
        later = [*range(self._place + 1, len(self._items)), *range(self._place)]
        undecided = (n for n in later if self._items[n] not in self._decided)
        self.jump(next(undecided, self._place) + 1)
        return None

    def jump(self, number: int) -> None:
        """Show figure `number`, counted from 1."""
        self._notice = ""
        super().jump(number)
        for name in self._items[self._place : self._place + 2]:  # the next one ahead
            self._look(name)

    def _shown(self) -> str:
        if self.figure_id is None:
            raise LookupError("no figure is shown: all are cleared")
        return self.figure_id

    def _picture(self, key: str) -> Any:
        """Return the image of a figure, or one of its views: "<figure_id>\n<place>"."""
        name, _, place = key.partition("\n")
        return self._views(name)[int(place)].picture() if place else self._image_of(name)

    def _file_of(self, name: str) -> tuple | None:
        """Return what the frames of one DICOM file have in common; None for other figures."""
        file = _FRAME.fullmatch(name)
        if file is None or self._rows[name].get("source") != "DICOM":
            return None
        image = self._image_of(name)
        return file[1], image.width, image.height

    def _look(self, name: str) -> None:
        """Look for text in an image, on a thread of its own; the panel is drawn again then."""
        if name not in self._looking:
            self._looking.add(name)
            _reader.submit(self._read, name)

    def _read(self, name: str) -> None:
        if self._closing.is_set():
            return
        try:
            found: list[BurntIn] | str = self._find(self._image_of(name))
        # This is the thread's outermost frame, and the person decides in any case.
        except Exception as error:  # noqa: BLE001
            found = f"no text was looked for in this image: {error}"
        self._looked[name] = found
        if name == self.figure_id:
            self._show()

    def _closed(self) -> None:
        self._closing.set()

    def _identifiers(self, row: dict[str, Any]) -> list[tuple[str, Identifier]]:
        texts = privacy.texts_of(row)
        return [
            (place, one) for place, text in texts.items() for one in privacy.find_identifiers(text)
        ]

    def _state(self) -> dict[str, Any]:
        return {
            **self._pages(),
            "item": self.figure_id,
            "all": self._total,
            "decided": len(self._decided),
            "person": self.person,
            "notice": self._notice,
            "figure": self._figure(),
        }

    def _figure(self) -> dict[str, Any] | None:
        if self.figure_id is None:
            return None
        row, looked = self._rows[self.figure_id], self._looked.get(self.figure_id)
        size, views, tiles, drawn = None, [], None, []
        with suppress(UnreadableImage):
            image = self._image_of(self.figure_id)
            views = [view.name for view in self._views(self.figure_id)]
            tiles = tiles_beside(image.path, image.sha256)
            drawn = self._drawn.get(self._file_of(self.figure_id) or (), [])
            size = [image.width, image.height]
        burnt_in = looked if isinstance(looked, list) else []
        return {
            "id": plain(self.figure_id),
            "size": size,
            "views": views,
            "tiles": tiles and [*astuple(tiles)],
            "drawn": [list(box) for box in drawn],
            "why": plain(row.get("cleared_reason")),
            "now": self._decided.get(self.figure_id, ""),
            "looking": looked is None,
            "unlooked": looked if isinstance(looked, str) else "",
            "burnt_in": [{"text": one.text, "box": list(one.box)} for one in burnt_in],
            "names": [
                [what, plain(row[column])]
                for column, what in _NAMES.items()
                if _is_known(row, column)
            ],
            "texts": _segments(privacy.texts_of(row), self._identifiers(row)),
        }

    def _static(self, state: dict[str, Any]) -> Form:
        counts = f"{state['of']:,} of {state['all']:,} figures are not cleared"
        return Form(f"Clearance: {counts}, {state['decided']:,} decided here")


def _is_known(row: dict[str, Any], column: str) -> bool:
    return isinstance(row.get(column), str) and bool(row[column])


def _segments(texts: dict[str, str], found: list[tuple[str, Identifier]]) -> list[dict[str, Any]]:
    """Return each text in parts: [text, number and kind of what was found there, or null]."""
    shown, number = [], 0
    for place, text in texts.items():
        parts, end = [], 0
        for _, one in filter(lambda pair: pair[0] == place, found):
            parts += [[text[end : one.begin], None, ""]] if one.begin > end else []
            parts.append([text[one.begin : one.end], number, one.kind])
            number, end = number + 1, one.end
        parts += [[text[end:], None, ""]] if end < len(text) else []
        shown.append({"place": place, "parts": parts})
    return shown


def _occurrences(words: str, row: dict[str, Any]) -> list[tuple[str, Identifier]]:
    pattern = re.compile(r"\s+".join(map(re.escape, words.split())), re.IGNORECASE)
    return [
        (place, Identifier("words", *match.span()))
        for place, text in privacy.texts_of(row).items()
        for match in pattern.finditer(text)
    ]


def _apart(spans: list[tuple[str, Identifier]]) -> list[tuple[str, Identifier]]:
    """Return the spans with those that overlap joined."""
    joined: list[tuple[str, Identifier]] = []
    for place, one in sorted(spans, key=lambda pair: (pair[0], pair[1].begin)):
        if joined and joined[-1][0] == place and one.begin < joined[-1][1].end:
            last = joined[-1][1]
            joined[-1] = place, last._replace(end=max(last.end, one.end))
        else:
            joined.append((place, one))
    return joined
