"""The preference card: two responses to one instruction, each accepted or not.

The card shows rows of a queue and hands every judgement to a callback. It says "saved" only after
that callback has returned, and it never learns which arm or model wrote a response: neither do the
browser and the page. It stores nothing itself.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from vital_lib.panels._panel import Panel, plain, script_beside

_CHOICES = {
    "left": (True, False),
    "right": (False, True),
    "both": (True, True),
    "neither": (False, False),
}
_SIDES = ("left", "right")
_NO_TICKS = (None, None)


class PreferenceCard(Panel):
    """A blinded pair of responses beside their figure, for one annotator.

    Args:
        queue: columns item_id, left_id, right_id and, if it has one, queue_arm; in order.
        drafts: columns candidate_id, figure_id, instruction, response.
        figures: columns figure_id, caption, mentions.
        image_of: figure_id -> its FigureImage, or JPEG bytes.
        record: takes the keyword arguments of `LabelLog.record`, returns an event_id once the
            judgement is on disk.
        annotator: who judges.
        done: item_ids judged before; they count in the progress and are not asked again.
        undo: `LabelLog.undo`, so that an undone judgement no longer stands at once. Without it, it
            stands until the item is judged again, which then corrects it.

    Raises:
        ValueError: the queue names a candidate or figure that is not among the rows given.
    """

    _draw = script_beside(__file__)
    _actions = ("choose", "tick", "cannot_judge", "unsafe", "undo", "toggle_text")

    def __init__(
        self,
        queue: pd.DataFrame,
        drafts: pd.DataFrame,
        figures: pd.DataFrame,
        image_of: Callable[[str], Any],
        record: Callable[..., Any],
        annotator: str,
        *,
        done: Iterable[str] = (),
        undo: Callable[[str], str | None] | None = None,
    ) -> None:
        super().__init__(image_of)
        self.annotator = annotator
        self._record, self._take_back = record, undo
        self._responses = drafts.set_index("candidate_id", drop=False)
        self._figures = figures.set_index("figure_id", drop=False)
        before = set(done)
        rows = queue.to_dict("records")
        self._todo = [row for row in rows if row["item_id"] not in before]
        self._before = len(rows) - len(self._todo)
        self._check(rows)
        self._place, self._text_hidden = 0, False
        self._saved: list[str] = []  # event_ids, in the order of self._todo
        self._corrects: dict[str, str] = {}
        self._attempt: tuple[Any, str] | None = None
        self._status = ("", "")
        self._begin()
        self._show()

    @property
    def item_id(self) -> str | None:
        """The item shown; None at the end of the queue."""
        return None if self.finished else self._todo[self._place]["item_id"]

    @property
    def finished(self) -> bool:
        """Whether every item of the queue has been judged."""
        return self._place >= len(self._todo)

    def choose(self, choice: str) -> None:
        """Accept the "left", the "right", "both" or "neither" response, and go on.

        Raises:
            ValueError: another choice, or nothing is left to judge.
        """
        if choice not in _CHOICES:
            raise ValueError(f"choice {choice!r} is none of {', '.join(_CHOICES)}")
        self._judge(_CHOICES[choice])

    def tick(self, side: str, accepted: bool) -> None:
        """Accept or reject one response; with both sides ticked the judgement is recorded."""
        if side not in _SIDES:
            raise ValueError(f"side {side!r} is neither left nor right")
        with self._lock:
            self._ticks[side] = bool(accepted)
            if len(self._ticks) == len(_SIDES):
                self._judge(tuple(self._ticks[name] for name in _SIDES))
            else:
                self._show()

    def cannot_judge(self) -> None:
        """Leave this item unjudged (the image does not show it, another field, ...), and go on."""
        self._judge(_NO_TICKS, cannot_judge=True)

    def unsafe(self) -> None:
        """Leave this item unjudged and flag it as unsafe to show or to use, and go on."""
        self._judge(_NO_TICKS, cannot_judge=True, unsafe=True)

    def undo(self) -> str | None:
        """Go back to the item judged last; return the event_id taken back, None at the start."""
        with self._lock:
            if not self._saved:
                return None
            if self._take_back is not None:
                self._status = ("failed", "Not taken back: the judgement still stands.")
                self._take_back(self.annotator)
            event_id = self._saved.pop()
            self._place -= 1
            if self._take_back is None:
                self._corrects[self._todo[self._place]["item_id"]] = event_id
            self._status = ("undone", "Taken back. Judge this item again.")
            self._begin()
            self._show()
            return event_id

    def toggle_text(self) -> None:
        """Hide caption and mentions, or show them again: to judge by the image alone."""
        with self._lock:
            self._text_hidden = not self._text_hidden
            self._show()

    def _judge(self, ticks: tuple, **flags: bool) -> None:
        """Record a judgement of the item shown; the card goes on only once it is kept."""
        with self._lock:
            if self.finished:
                raise ValueError("the queue is at its end: nothing is left to judge")
            row = self._todo[self._place]
            if self._attempt is None or self._attempt[0] != (ticks, flags):
                # Pressing again after a failure sends the same event, which the log keeps once.
                self._attempt = ((ticks, flags), uuid.uuid4().hex)
            try:
                event_id = self._record(
                    item_id=row["item_id"],
                    left_id=row["left_id"],
                    right_id=row["right_id"],
                    left_accepted=ticks[0],
                    right_accepted=ticks[1],
                    annotator=self.annotator,
                    event_id=self._attempt[1],
                    queue_arm=row.get("queue_arm", "random"),
                    seconds=round(time.monotonic() - self._since, 1),
                    corrects=self._corrects.get(row["item_id"]),
                    **flags,
                )
            except Exception as error:
                self._ticks = {}
                self._status = ("failed", f"Not saved: {error}. Nothing was recorded; try again.")
                self._show()
                raise
            self._saved.append(event_id or self._attempt[1])
            self._corrects.pop(row["item_id"], None)
            self._place += 1
            number = self._before + self._place
            self._status = ("saved", f"Item {number} saved: {_in_words(ticks, flags)}")
            self._begin()
            self._show()

    def _begin(self) -> None:
        """A fresh judgement of the item at hand."""
        self._ticks: dict[str, bool] = {}
        self._attempt = None
        self._since = time.monotonic()

    def _check(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            for side in ("left_id", "right_id"):
                if row[side] not in self._responses.index:
                    raise ValueError(f"{side} {row[side]!r} of the queue is not among the drafts")
            figure = self._responses.at[row["left_id"], "figure_id"]
            if figure not in self._figures.index:
                raise ValueError(f"figure {figure!r} of the queue is not among the figures")

    def _state(self) -> dict[str, Any]:
        done = self._before + self._place
        return {
            "item": f"{self._place}:{len(self._saved)}" if not self.finished else None,
            "annotator": self.annotator,
            "done": done,
            "of": self._before + len(self._todo),
            "status": list(self._status),
            "ticks": dict(self._ticks),
            "hidden": self._text_hidden,
            "can_undo": bool(self._saved),
            "card": None if self.finished else self._card(self._todo[self._place]),
            "ahead": [self._figure_of(row) for row in self._todo[self._place + 1 :][:3]],
        }

    def _card(self, row: dict[str, Any]) -> dict[str, Any]:
        figure = self._figures.loc[self._figure_of(row)]
        shown = not self._text_hidden
        return {
            "figure": plain(figure["figure_id"]),
            "caption": plain(figure["caption"]) if shown else "",
            "mentions": [plain(mention) for mention in figure["mentions"]] if shown else [],
            "instruction": plain(self._responses.at[row["left_id"], "instruction"]),
            "left": plain(self._responses.at[row["left_id"], "response"]),
            "right": plain(self._responses.at[row["right_id"], "response"]),
        }

    def _figure_of(self, row: dict[str, Any]) -> str:
        return plain(self._responses.at[row["left_id"], "figure_id"])


def _in_words(ticks: tuple, flags: dict[str, bool]) -> str:
    if flags.get("unsafe"):
        return "flagged as unsafe"
    if flags:
        return "cannot be judged"
    return ", ".join(
        f"{side} {'accepted' if tick else 'rejected'}"
        for side, tick in zip(_SIDES, ticks, strict=True)
    )
