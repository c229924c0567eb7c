"""The preference card: accept or reject each of two responses to an instruction.

The browser holds the current item and the next three. When the annotator judges an item, it shows
the next item at once and sends one small message. It reports "saved" only after the kernel confirms
that the log has committed, and retries unsaved judgements under the same event_id. This module
takes items from a queue, passes each judgement to a log and stores nothing itself. It does not know
who wrote a response, and the page does not show it: item ids travel packed into a key
(``item_key``).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pandas as pd

from vital_lib.annotators import check_person
from vital_lib.labels import SIDES, LabelsNotSaved
from vital_lib.panels._panel import Panel, plain, script_beside
from vital_lib.panels._static import Form, joined, note, paragraph, side_by_side
from vital_lib.panels.preference_card.feedback import known
from vital_lib.panels.preference_card.item_key import ITEM, item_key, item_of, store_of
from vital_lib.panels.preference_card.judgement import (
    FIRST_COUNTS,
    PREFERENCES,
    after_undo,
    arms_like,
    as_message,
    check_blind,
    check_reasons,
    edition_of,
    former_of,
    in_history,
    reasons_offered,
    refusal,
)
from vital_lib.panels.preference_card.pairs import Pairs
from vital_lib.prompts import RatingCriteria

CRITERIA = tuple(RatingCriteria.model_fields)
"""The criteria of the judge's policy, offered to annotators as reasons."""

_AHEAD = 3  # items that the browser holds in addition to the current item
_PAGE = 100  # judgements per page of the history
_PRACTICE = " · practice: labels do not count"
_TITLES = {"calibration": "Calibration", "adjudication": "Adjudication"}


class PreferenceCard(Panel):
    """A blinded pair of responses next to their figure, for the queue's annotator.

    Undo, history and revise cover only judgements of the card's own kind: votes, calibration or
    adjudication. When the widget is closed or the kernel ends, the card releases its unjudged items
    to other annotators.

    Args:
        queue: a `labels.Queue`, or a `labels.FixedQueue`.
        drafts: columns candidate_id, figure_id, instruction, response; optional instruction_id,
            flags.
        figures: columns figure_id, caption, mentions.
        image_of: figure_id -> its FigureImage, or JPEG bytes.
        log: the `LabelLog` that records the judgements.
        guideline: text shown at one key or click, next to the list of keys.
        guideline_first: whether an annotator reads the guideline before the first item, and again
            after it has changed. The browser's storage holds which text was read: this is no
            judgement, so it is not in the log, and another browser shows the text once more.
        reasons: those offered; the first nine have keys, all the guideline's `definitions`.
        reference: candidate_id -> accepted, for a calibration round: the card compares each
            judgement with it. Or a function that returns it and `others` (`calibration_now`),
            called at each judgement.
        others: `labels.calibration_feedback`, for a calibration round: how many others accepted
            a response, and their reasons.
        votes: columns annotator, candidate_id, accepted, for adjudication: the card shows them
            under each response.
        practice: whether `log` is a `labels.practice_log`; the card then says so.
        then: called by a button at the end of the queue, which is missing without it.

    Raises:
        ValueError: the queue names a candidate or figure that is not among the rows given, or the
            annotator's name is reserved for simulated annotators.
    """

    _script = script_beside(__file__)
    _actions = ("judge", "refresh", "undo", "revise", "keep", "history", "review", "go_on")
    _kind, _shows_greys = PREFERENCES, True

    def __init__(
        self,
        queue: Any,
        drafts: pd.DataFrame,
        figures: pd.DataFrame,
        image_of: Callable[[str], Any],
        log: Any,
        *,
        guideline: str = "",
        guideline_first: bool = False,
        reasons: Sequence[str] = CRITERIA,
        reference: Mapping[str, bool] | Callable[[], tuple[Any, Any]] | None = None,
        others: Mapping[str, Any] | None = None,
        votes: pd.DataFrame | None = None,
        then: Callable[[], None] | None = None,
        practice: bool = False,
    ) -> None:
        super().__init__(image_of)
        check_person(queue.annotator)
        self.annotator = queue.annotator
        self._queue, self._log = queue, log
        self._pairs = Pairs(drafts, figures, votes)
        self._guideline, self._reasons = guideline, list(reasons)
        self._edition = edition_of(guideline) if guideline_first else ""
        self._calibrating, self._feedback = reference is not None, lambda: known(reference, others)
        self._then, self._practice = then, practice
        self._store = store_of(log.identity, self.annotator)
        self._listed: dict[str, str] = {}  # event_id -> item_id of the history rows sent
        self._held: list[dict[str, Any]] = []  # the current item, then the next items
        self._let_go = weakref.finalize(self, _release, queue)  # also runs when the kernel ends
        self._fill()
        votes_arm = self._kind.arm if votes is None else "adjudication"
        arm = self._held[0].get("drawn_by", votes_arm) if self._held else votes_arm
        self._arms = ("calibration",) if self._calibrating else arms_like(arm)
        self._show()

    @property
    def item_id(self) -> str | None:
        """The id of the current item; None at the end of the queue."""
        return self._held[0]["item_id"] if self._held else None

    @property
    def finished(self) -> bool:
        """Whether the queue has no more items for this annotator at present."""
        return not self._held

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
        """Record a judgement, as the browser sends it, of the item that `key` packs.

        It corrects the annotator's earlier judgement of the item, so that one judgement stands
        however many windows are open. A repeated event_id is recorded once. If `side`, the size in
        pixels at which images are shown, is given, the images of the next items are sent as well.

        Raises:
            LabelsNotSaved: the log cannot save it now; the same call may be retried.
            NotHere: the item or its arm does not belong to this card.
            ValueError: no such item, a vote after seeing others' answers, a second answer in a
                calibration round, a reason that is not offered, or the log refuses the judgement.
        """
        with self._lock:
            item = item_of(key)
            self._pairs.check(item, self._arms)
            check_reasons(reasons, self._reasons)
            standing = self._standing(item["item_id"])
            check_blind(item, standing)
            former = former_of(item, standing, event_id)
            if former and self._calibrating:
                raise ValueError(FIRST_COUNTS)
            if former:
                item |= {"corrects": former["event_id"], "drawn_by": former["drawn_by"]}
            judgement = {"left_accepted": left_accepted, "right_accepted": right_accepted}
            judgement |= {"cannot_judge": cannot_judge, "unsafe": unsafe}
            more = {"reasons": list(reasons), "note": note.replace("\0", "")}
            more["seconds"] = None if seconds is None else round(float(seconds), 1)
            ids = {"annotator": self.annotator, "event_id": event_id}
            self._log.record(**item, **judgement, **more, **ids)
            self._held = [row for row in self._held if item_key(row) != key]
            told = self._feedback().on(item, self._calibrated()) if self._calibrating else None
            reply = {"said": self._kind.in_words(judgement), "feedback": told, "first": not former}
            self._send(saved=event_id, key=key, **reply)
            self._deal(int(side))

    def refresh(self) -> None:
        """Send the browser all items that it should hold, after a reload or when it runs out."""
        with self._lock:
            self._drop_closed()
            self._fill()
            self._send_cards(self._held, whole=True)

    def undo(self) -> str | None:
        """Undo the annotator's latest judgement and show its item again.

        Repeated calls go back to the first judgement. If the judgement was a revision, the one it
        replaced is restored, and the annotator may keep it or judge again.

        Returns:
            The event_id undone. None if there is nothing to undo, if the latest judgement is of an
            item that is not among these drafts (it is left unchanged), or in a calibration round.
        """
        with self._lock:
            if self._refuse_change():
                return None
            latest = self._log.standing(self.annotator, arms=self._arms, limit=1).to_dict("records")
            known = all(map(self._pairs.knows, latest))
            event_id = self._log.undo(self.annotator, arms=self._arms) if known else None
            former = None
            for event in latest:
                if event_id is None or event["event_id"] != event_id:
                    continue
                former = former_of(event, self._standing(event["item_id"]), event_id)
                self._put_first(former or event, revises=bool(former))
                with suppress(LabelsNotSaved):  # undone even if another annotator gets the item
                    self._queue.hold(self._held[0])
            word = after_undo(bool(event_id), known, bool(former))
            self._send_cards(self._held, whole=True, word=word)
            return event_id

    def revise(self, event_id: str) -> None:
        """Show the item of judgement `event_id` again; judging it appends a correction.

        In a calibration round, nothing can be revised.

        Raises:
            ValueError: `event_id` is not a current judgement of this annotator on this card.
        """
        with self._lock:
            if self._refuse_change():
                return
            listed = self._listed.get(event_id)
            standing = self._log.standing(self.annotator, listed, arms=self._arms)
            found = standing[standing["event_id"] == event_id].to_dict("records")
            if not found or not self._pairs.knows(found[0]):
                raise ValueError(
                    f"{event_id!r} is not a current judgement of {self.annotator!r} on this card"
                )
            self._held = [row for row in self._held if not row.get("revises")]
            self._put_first(found[0], revises=True)
            self._send_cards(self._held, whole=True, word="Judge this item again or keep it.")

    def keep(self) -> None:
        """Keep the judgement being revised unchanged and return to the queue."""
        with self._lock:
            self._held = [row for row in self._held if not row.get("revises")]
            self.refresh()

    def history(self, start: int = 0) -> list[dict[str, Any]]:
        """Return the annotator's current judgements, latest first, up to 100 from `start`.

        Each has event_id, instruction, said, reasons, note, at; the browser gets them too.
        Judgements of an item that is held as a hidden repeat are left out, because they would give
        away the answer.
        """
        end = start + _PAGE
        latest = self._log.standing(self.annotator, arms=self._arms, limit=end + 1).iloc[::-1]
        repeats = {row["item_id"] for row in self._held if plain(row.get("repeat_of"))}
        page = latest.iloc[start:end]
        events = page[~page["item_id"].isin(repeats)].to_dict("records")
        events = [event for event in events if self._pairs.knows(event)]
        self._listed |= {event["event_id"]: event["item_id"] for event in events}
        of, said = self._pairs.instruction_of, self._kind.in_words
        rows = [in_history(event, of(event), said(event)) for event in events]
        self._send(history=rows, start=start, next=end if len(latest) > end else None)
        return rows

    def review(self) -> list[dict[str, Any]]:
        """Return the items of a finished calibration round in the order judged; the page gets them.

        Each is as in `Feedback.reviewed`.

        Raises:
            ValueError: this is no calibration round, or it is not finished.
        """
        if not (self._calibrating and self.finished):
            raise ValueError("only a finished calibration round can be reviewed")
        items = self._feedback().reviewed(self._calibrated(), self._pairs)
        self._send(review=items)
        return items

    def go_on(self) -> None:
        """Call `then` if the queue is finished and `then` was given."""
        if self.finished and self._then:
            self._then()

    def _heard(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        """Handle a message from the browser; if the judgement was not saved, report why."""
        if content.get("call") not in self._actions:
            super()._heard(widget, content, buffers)
            return
        given = content.get("with", {})
        try:
            getattr(self, content["call"])(**as_message(content["call"], given))
        except (LabelsNotSaved, ValueError) as error:
            self._send(**refusal(error, given, self._kind.in_words))

    def _closed(self) -> None:
        self._let_go()

    def _fill(self) -> list[dict[str, Any]]:
        """Take the missing next items from the queue and return them."""
        new = self._queue.take(max(0, 1 + _AHEAD - len(self._held)))  # 0 still renews the lease
        for row in new:
            self._pairs.check(row)
        self._held += new
        return new

    def _deal(self, side: int) -> None:
        """Send the new items and, if `side` is known, the images that the browser lacks."""
        held = {self._pairs.figure_of(row) for row in self._held}
        dropped, new = self._drop_closed(), self._fill()
        lacking = {self._pairs.figure_of(row) for row in new} - held if side > 0 else set()
        coming = [plain(figure) for figure in lacking]
        rows = self._held if dropped else new
        self._send_cards(rows, whole=dropped, coming=coming, side=side)
        for figure in lacking:
            self._paint(plain(figure), side)

    def _put_first(self, event: Mapping[str, Any], *, revises: bool = False) -> None:
        """Show the item of a judgement with its original sides, choice, reasons and note."""
        row = {name: event[name] for name in ITEM}
        self._pairs.check(row)
        before = {"said": self._kind.in_words(event), "reasons": list(event["reasons"])}
        others = [other for other in self._held if item_key(other) != item_key(row)]
        row |= {"revises": revises, "before": {**before, "note": plain(event["note"])}}
        self._held = [row, *others]

    def _drop_closed(self) -> bool:
        """Drop items that the annotator may no longer see; return whether there were any."""
        revised = [row for row in self._held if row.get("revises")]
        queued = [row for row in self._held if not row.get("revises")]
        may_be_shown = self._queue.still_open
        kept = [*revised, *may_be_shown(queued)]
        dropped, self._held = len(kept) < len(self._held), kept
        return dropped

    def _standing(self, item_id: str) -> list[dict[str, Any]]:
        """Return the annotator's current judgements of an item, in any arm."""
        return self._log.standing(self.annotator, item_id).to_dict("records")

    def _refuse_change(self) -> bool:
        """Return whether this is a calibration round; if so, tell the page that answers are final.

        The annotator has already seen the reference.
        """
        if self._calibrating:
            self._send_cards(self._held, whole=True, word=FIRST_COUNTS)
        return self._calibrating

    def _calibrated(self) -> pd.DataFrame:
        """Return the annotator's current calibration judgements."""
        return self._log.standing(self.annotator, arms=("calibration",))

    def _state(self) -> dict[str, Any]:
        """Return what stays the same for all items; messages carry everything else, once."""
        return {
            "annotator": self.annotator,
            "title": _TITLES.get(self._arms[0], self._kind.title) + _PRACTICE * self._practice,
            "guideline": self._guideline,
            "edition": self._edition,
            **self._kind.state(),
            "reasons": reasons_offered(self._reasons, self._guideline),
            "calibrating": self._calibrating,
            "goes_on": self._then is not None,
            "store": self._store,
            "hidden": self.widget.state.get("hidden", False),
        }

    def _static(self, state: dict[str, Any]) -> Form:
        done, of = self._queue.progress
        summary = f"{state['title']}. Judged by {self.annotator}: {done:,} of {of:,} items"
        if self.finished:
            return Form(f"{summary}; the queue is finished")
        card, words = self._pairs.as_card(self._held[0]), self._kind.words
        sides = [
            paragraph(f"{side} {words['response']}".capitalize(), card[side]) for side in SIDES
        ]
        pair = joined(
            paragraph("The next item", card["instruction"]),
            side_by_side(*sides),
            paragraph(words["caption"], card["caption"]),
            note(f"Items are judged {words['where']}."),
        )
        return Form(summary, [side_by_side(self._thumbnail(card["figure"]), pair)])

    def _send(self, **content: Any) -> None:
        self.widget.send(content)

    def _send_cards(self, rows: list[dict[str, Any]], **content: Any) -> None:
        done, of = self._queue.progress
        cards = [self._pairs.as_card(row) for row in rows]
        if self.finished and self._calibrating:
            content["result"] = self._feedback().so_far(self._calibrated())
        self._send(cards=cards, done=done, of=of, ended=self.finished, **content)


def _release(queue: Any) -> None:
    """Release the unjudged items; if the log fails now, their leases expire instead."""
    with suppress(LabelsNotSaved):
        queue.release()
