"""The preference card: two responses to one instruction, each accepted or not.

The browser holds the item shown and the next three. At a press it goes on at once, sends one small
message, and says "saved" only when the kernel answers that the log has committed; whatever was not
kept it sends again under the same event_id. This module takes items from a queue and hands every
judgement to a log: it stores nothing itself, and it never learns who wrote a response. Nor does
the page say so: an item's ids travel packed into one word (``_item_key``).
"""

from __future__ import annotations

import time
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pandas as pd

from vital_lib.annotators import check_person
from vital_lib.labels import LabelsNotSaved, calibration_result
from vital_lib.panels._item_key import ITEM, item_key, item_of, store_of
from vital_lib.panels._judgement import (
    CHOICES,
    FIRST_COUNTS,
    SIDES,
    after_undo,
    arms_like,
    as_message,
    check_blind,
    check_reasons,
    former_of,
    in_history,
    in_words,
    refusal,
)
from vital_lib.panels._pairs import Pairs
from vital_lib.panels._panel import Panel, plain, script_beside
from vital_lib.prompts import RatingCriteria

CRITERIA = tuple(RatingCriteria.model_fields)
"""The criteria of the judge's policy: what a person may give as reasons."""

_AHEAD = 3  # items that the browser holds beyond the one shown
_PAGE = 100  # judgements in one page of the history
_TITLES = {"calibration": "Calibration", "adjudication": "Adjudication"}


class PreferenceCard(Panel):
    """A blinded pair of responses beside their figure, for the queue's annotator.

    Undo, history and revising stay among judgements of the card's own kind: votes, a calibration
    round's, or an adjudication's. When its widget is closed, or the kernel ends, what the queue has
    handed out and nobody has judged goes to others.

    Args:
        queue: a `labels.Queue`, or a `labels.FixedQueue`.
        drafts: columns candidate_id, figure_id, instruction, response; flags, where there are any.
        figures: columns figure_id, caption, mentions.
        image_of: figure_id -> its FigureImage, or JPEG bytes.
        log: the `LabelLog` that judgements go to.
        guideline: plain text shown with the keys on the help key.
        reasons: what may be given as reasons; the first nine have keys.
        reference: candidate_id -> accepted, for a calibration round: after each judgement the
            card shows it beside what was said.
        votes: columns annotator, candidate_id, accepted, shown under each response to whoever
            adjudicates.
        then: called when the annotator goes on from the end of the queue; without it the end has
            nothing to go on to.

    Raises:
        ValueError: the queue names a candidate or figure that is not among the rows given, or its
            annotator is named as a simulated one.
    """

    _draw = script_beside(__file__, "outbox", "work", "picture")
    _actions = ("judge", "refresh", "undo", "revise", "keep", "history", "go_on")

    def __init__(
        self,
        queue: Any,
        drafts: pd.DataFrame,
        figures: pd.DataFrame,
        image_of: Callable[[str], Any],
        log: Any,
        *,
        guideline: str = "",
        reasons: Sequence[str] = CRITERIA,
        reference: Mapping[str, bool] | None = None,
        votes: pd.DataFrame | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(image_of)
        check_person(queue.annotator)
        self.annotator = queue.annotator
        self._queue, self._log = queue, log
        self._pairs = Pairs(drafts, figures, votes)
        self._guideline, self._reasons = guideline, list(reasons)
        self._reference, self._then = reference, then
        self._store = store_of(log.identity, self.annotator)
        self._listed: dict[str, str] = {}  # of the history as last sent: event_id -> item_id
        self._held: list[dict[str, Any]] = []  # the item shown, then those ahead of it
        self._let_go = weakref.finalize(self, _release, queue)  # at the kernel's end, too
        self._fill()
        votes_arm = "random" if votes is None else "adjudication"
        arm = self._held[0].get("queue_arm", votes_arm) if self._held else votes_arm
        self._arms = ("calibration",) if reference is not None else arms_like(arm)
        self._begin()
        self._show()

    @property
    def item_id(self) -> str | None:
        """The item shown; None at the end of the queue."""
        return self._held[0]["item_id"] if self._held else None

    @property
    def finished(self) -> bool:
        """Whether the queue has nothing more for this annotator, at least for now."""
        return not self._held

    def choose(self, choice: str) -> None:
        """Accept the "left", the "right", "both" or "neither" response, and go on.

        Raises:
            ValueError: another choice, or nothing is left to judge.
        """
        if choice not in CHOICES:
            raise ValueError(f"choice {choice!r} is none of {', '.join(CHOICES)}")
        self._say(*CHOICES[choice])

    def tick(self, side: str, accepted: bool) -> None:
        """Accept or reject one response; with both sides ticked the judgement is recorded."""
        if side not in SIDES:
            raise ValueError(f"side {side!r} is neither left nor right")
        with self._lock:
            self._ticks[side] = bool(accepted)
            if len(self._ticks) == len(SIDES):
                self._say(*(self._ticks[name] for name in SIDES))

    def cannot_judge(self) -> None:
        """Leave this item unjudged (the image does not show it, another field, ...), and go on."""
        self._say(None, None, cannot_judge=True)

    def unsafe(self) -> None:
        """Leave this item unjudged and flag it as unsafe to show or to use, and go on."""
        self._say(None, None, cannot_judge=True, unsafe=True)

    def add_reason(self, reason: str) -> None:
        """Give a reason with the judgement of the item shown; a second time takes it back."""
        if reason not in self._reasons:
            raise ValueError(f"reason {reason!r} is none of {', '.join(self._reasons)}")
        self._given ^= {reason}

    def set_note(self, note: str) -> None:
        """A free note to go with the judgement of the item shown."""
        self._note = note

    def toggle_text(self) -> None:
        """Hide caption and mentions, or show them again: to judge by the image alone."""
        state = self.widget.state
        self.widget.state = {**state, "hidden": not state["hidden"]}

    def judge(
        self,
        key: str,
        event_id: str,
        left_accepted: bool | None,
        right_accepted: bool | None,
        *,
        cannot_judge: bool = False,
        unsafe: bool = False,
        reasons: Sequence[str] = (),
        note: str = "",
        seconds: float | None = None,
        side: int = 0,
    ) -> None:
        """Record a whole judgement, as the browser sends it, of the item that `key` stands for.

        What the annotator had said of this item before is corrected by it: whatever the number
        of windows, one judgement stands. The same event_id twice is recorded once. With `side`,
        the pixels at which images are shown, those of the items that come next are sent unasked.

        Raises:
            LabelsNotSaved: the log cannot keep it now; the same call may be made again.
            NotHere: it is of an item, or of a kind, that only another card can place.
            ValueError: no such item, a vote after seeing what others said, a second answer in a
                round, a reason that is not offered, or a judgement that the log refuses.
        """
        with self._lock:
            item = item_of(key)
            self._pairs.check(item, self._arms)
            check_reasons(reasons, self._reasons)
            mine = self._said(item["item_id"])
            check_blind(item, mine)
            former = former_of(item, mine, event_id)
            if former and self._reference is not None:
                raise ValueError(FIRST_COUNTS)
            if former:
                item |= {"corrects": former["event_id"], "queue_arm": former["queue_arm"]}
            said = {"left_accepted": left_accepted, "right_accepted": right_accepted}
            said |= {"cannot_judge": cannot_judge, "unsafe": unsafe}
            more = {"reasons": list(reasons), "note": note.replace("\0", "")}
            more["seconds"] = None if seconds is None else round(float(seconds), 1)
            who = {"annotator": self.annotator, "event_id": event_id}
            self._log.record(**item, **said, **more, **who)
            self._held = [row for row in self._held if item_key(row) != key]
            reference = self._reference and [self._reference.get(item[f"{s}_id"]) for s in SIDES]
            told = {"said": in_words(said), "reference": reference, "first": not former}
            self._tell(saved=event_id, key=key, **told)
            self._begin()
            self._deal(int(side))

    def refresh(self) -> None:
        """Send the browser all that it should hold: after a reload, or when it has run dry."""
        with self._lock:
            self._drop_closed()
            self._fill()
            self._tell_cards(self._held, whole=True)

    def undo(self) -> str | None:
        """Take back the annotator's latest judgement and show its item again, back to the first.

        Where that was a revision, what it had replaced stands again, to be kept or judged anew.
        Returns the event_id taken back; None where nothing is left, or where the latest judgement
        was of an item that is not among these drafts (it is then left standing), or in a round.
        """
        with self._lock:
            if self._says_first_counts():
                return None
            mine = self._log.standing(self.annotator, arms=self._arms, limit=1).to_dict("records")
            known = all(map(self._pairs.knows, mine))
            event_id = self._log.undo(self.annotator, arms=self._arms) if known else None
            former = None
            for event in (event for event in mine if event["event_id"] == event_id):
                former = former_of(event, self._said(event["item_id"]), event_id)
                self._put_first(former or event, revises=bool(former))
                with suppress(LabelsNotSaved):  # it is undone, whoever comes by the item
                    self._queue.hold(self._held[0])
            word = after_undo(bool(event_id), known, bool(former))
            self._tell_cards(self._held, whole=True, word=word)
            return event_id

    def revise(self, event_id: str) -> None:
        """Show the item of that standing judgement again; judging it appends a correction.

        In a round nothing is revised.

        Raises:
            ValueError: no such judgement of this annotator stands, or its item is not here.
        """
        with self._lock:
            if self._says_first_counts():
                return
            listed = self._listed.get(event_id)
            mine = self._log.standing(self.annotator, listed, arms=self._arms)
            found = mine[mine["event_id"] == event_id].to_dict("records")
            if not found or not self._pairs.knows(found[0]):
                raise ValueError(f"no judgement {event_id!r} of {self.annotator!r} stands here")
            self._held = [row for row in self._held if not row.get("revises")]
            self._put_first(found[0], revises=True)
            self._tell_cards(self._held, whole=True, word="Judge this item anew, or keep it.")

    def keep(self) -> None:
        """Leave the judgement that is being revised as it is, and go on where the queue stood."""
        with self._lock:
            self._held = [row for row in self._held if not row.get("revises")]
            self._begin()
            self.refresh()

    def history(self, start: int = 0) -> list[dict[str, Any]]:
        """The annotator's standing judgements, latest first, up to 100 from `start` on.

        Each has event_id, instruction, said, reasons, note, at; the browser gets them too. Those
        of an item held as a hidden repeat are left out: they would answer it.
        """
        end = start + _PAGE
        mine = self._log.standing(self.annotator, arms=self._arms, limit=end + 1).iloc[::-1]
        again = {row["item_id"] for row in self._held if plain(row.get("repeat_of"))}
        page = mine.iloc[start:end]
        events = page[~page["item_id"].isin(again)].to_dict("records")
        events = [event for event in events if self._pairs.knows(event)]
        self._listed |= {event["event_id"]: event["item_id"] for event in events}
        rows = [in_history(event, self._pairs.instruction_of(event)) for event in events]
        self._tell(history=rows, start=start, next=end if len(mine) > end else None)
        return rows

    def go_on(self) -> None:
        """Leave the finished queue for what comes after it, where something does."""
        if self.finished and self._then:
            self._then()

    def _heard(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        """Act on a message of the browser, and say so where the log did not keep it."""
        if content.get("call") not in self._actions:
            super()._heard(widget, content, buffers)
            return
        given = content.get("with", {})
        try:
            getattr(self, content["call"])(**as_message(content["call"], given))
        except (LabelsNotSaved, ValueError) as error:
            self._tell(**refusal(error, given))

    def _closed(self) -> None:
        self._let_go()

    def _say(self, left: bool | None, right: bool | None, **flags: bool) -> None:
        with self._lock:
            if self.finished:
                raise ValueError("the queue is at its end: nothing is left to judge")
            key, seconds = item_key(self._held[0]), time.monotonic() - self._since
            more = {"reasons": sorted(self._given), "note": self._note, "seconds": seconds}
            self.judge(key, uuid.uuid4().hex, left, right, **flags, **more)

    def _begin(self) -> None:
        """A fresh judgement of the item at hand, for whoever judges without a browser."""
        self._ticks: dict[str, bool] = {}
        self._given: set[str] = set()
        self._note, self._since = "", time.monotonic()

    def _fill(self) -> list[dict[str, Any]]:
        """Take what is missing ahead from the queue; returns the items that are new."""
        new = self._queue.take(max(0, 1 + _AHEAD - len(self._held)))  # 0: what is held stays hers
        for row in new:
            self._pairs.check(row)
        self._held += new
        return new

    def _deal(self, side: int) -> None:
        """Send the new items ahead and, where `side` is known, the images the browser lacks."""
        held = {self._pairs.figure_of(row) for row in self._held}
        dropped, new = self._drop_closed(), self._fill()
        lacking = {self._pairs.figure_of(row) for row in new} - held if side > 0 else set()
        coming = [plain(figure) for figure in lacking]
        rows = self._held if dropped else new
        self._tell_cards(rows, whole=dropped, coming=coming, side=side)
        for figure in lacking:
            self._paint(plain(figure), side)

    def _put_first(self, event: Mapping[str, Any], *, revises: bool = False) -> None:
        """Show the item of a judgement, on the sides where it was judged, with what was said."""
        row = {name: event[name] for name in ITEM}
        self._pairs.check(row)
        before = {"said": in_words(event), "reasons": list(event["reasons"])}
        others = [other for other in self._held if item_key(other) != item_key(row)]
        row |= {"revises": revises, "before": {**before, "note": plain(event["note"])}}
        self._held = [row, *others]
        self._begin()

    def _drop_closed(self) -> bool:
        """Let go of what the annotator may no longer be shown; whether there was any."""
        revised = [row for row in self._held if row.get("revises")]
        queued = [row for row in self._held if not row.get("revises")]
        may_be_shown = self._queue.still_open
        kept = [*revised, *may_be_shown(queued)]
        dropped, self._held = len(kept) < len(self._held), kept
        if dropped:
            self._begin()
        return dropped

    def _said(self, item_id: str) -> list[dict[str, Any]]:
        """What stands of all that the annotator has said of an item, in any arm."""
        return self._log.standing(self.annotator, item_id).to_dict("records")

    def _says_first_counts(self) -> bool:
        """Whether nothing is taken back here: in a round, where the reference has been shown."""
        if self._reference is not None:
            self._tell_cards(self._held, whole=True, word=FIRST_COUNTS)
        return self._reference is not None

    def _state(self) -> dict[str, Any]:
        """What stays the same from card to card: all else goes by messages, once."""
        return {
            "annotator": self.annotator,
            "title": _TITLES.get(self._arms[0], "Preferences"),
            "guideline": self._guideline,
            "reasons": [[name, name.replace("_", " ")] for name in self._reasons],
            "calibrating": self._reference is not None,
            "goes_on": self._then is not None,
            "store": self._store,
            "hidden": self.widget.state.get("hidden", False),
        }

    def _tell(self, **content: Any) -> None:
        self.widget.send(content)

    def _tell_cards(self, rows: list[dict[str, Any]], **content: Any) -> None:
        done, of = self._queue.progress
        cards = [self._pairs.as_card(row) for row in rows]
        if self.finished and self._reference is not None:
            mine = self._log.standing(self.annotator, arms=self._arms)
            result = calibration_result(mine, self._reference)
            content["result"] = {name: result[name] for name in ("items", "agreed")}
        self._tell(cards=cards, done=done, of=of, ended=self.finished, **content)


def _release(queue: Any) -> None:
    """Let others have what is not judged; where the log fails now, the claims run out instead."""
    with suppress(LabelsNotSaved):
        queue.release()
