"""Who judges what next: every item to a wanted number of people, in the order of a strategy.

A random arm is always kept apart, so that its judgements are a random sample of the items whenever
labelling stops. Places are claimed in the label log's database. This module draws no card.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from vital_lib.annotators import is_simulated
from vital_lib.labels.database import label_claims, label_events
from vital_lib.labels.hollow_pairs import left_out, left_out_in_words
from vital_lib.labels.log import LOOK_UP_AT_ONCE, VOTES, LabelLog, check_text, standing_events
from vital_lib.labels.order import COLUMNS, LEAST_RANDOM_SHARE, in_order, number

GAP = 10
"""A hidden repeat comes after at least so many other items."""


class Queue:
    """The items that one annotator is to judge, handed out a few at a time.

    Items are judged in the order of `items()`, and about every twentieth comes a second time,
    unmarked, to measure how far the annotator agrees with herself. Sides are drawn by a coin per
    item and annotator. A person is never handed what she has judged, nor as a vote what she has
    judged in calibration or adjudication, where she saw what others said. After a reload she gets
    back first what she holds; what she takes in another tab from then on is not handed out here. A
    place that a judgement or an unexpired claim has taken is handed to nobody else; the machines'
    clocks must agree to well within `lease`. `left_out` says how many pairs are kept back, and why.

    Args:
        drafts: columns figure_id, instruction_id, candidate_id, two rows to an instruction; for
            strategy "cluster" also cluster, for "uncertainty" uncertainty (the larger one counts);
            flags, where there are any.
        wanted: how many people judge each item, simulated ones left aside; they all work along the
            same order, so that items are completed one by one. None: everyone judges every item.
        strategy: "random" (a figure's instructions together), "cluster" (round robin over the
            clusters, first those the random arm reaches least), "uncertainty" (most uncertain
            first).
        flagged: whether pairs that are no choice by their flags (`left_out`) are handed out, too.
        random_share: share of the items in the random arm, drawn by hash of item and seed and
            spread evenly over the order; the rest come by the strategy.
        repeats: share of the acts that are hidden repeats.
        lease: seconds for which a place handed out stays claimed.

    Raises:
        ValueError: an empty annotator, a setting out of its range, or drafts that are not so.
        LabelsNotSaved: the log's database fails for now, from this and every method.
    """

    def __init__(
        self,
        log: LabelLog,
        drafts: pd.DataFrame,
        annotator: str,
        *,
        wanted: int | None = None,
        strategy: str = "random",
        flagged: bool = False,
        random_share: float = LEAST_RANDOM_SHARE,
        repeats: float = 0.05,
        seed: int = 0,
        lease: float = 1800.0,
    ) -> None:
        check_text("annotator", annotator)
        _check_settings(wanted, repeats, lease)
        self.annotator = annotator
        self._database, self._wanted, self._lease, self._seed = log.database, wanted, lease, seed
        who = annotator if wanted is None else ""
        kept_back = left_out(drafts)
        self.left_out = left_out_in_words(kept_back, drafts, flagged=flagged)
        if not flagged:
            drafts = drafts[~drafts["instruction_id"].isin(kept_back["instruction_id"])]
        self._items = in_order(drafts, annotator, strategy, random_share, seed, who)
        self._ids = self._items["item_id"].tolist()
        self._place_of = {item: place for place, item in enumerate(self._ids)}
        rng = np.random.default_rng(number(seed, annotator, "repeats"))
        self._repeats_at = rng.random(2 * len(self._ids) + 2 * GAP) < repeats  # by act
        self._repeats_at[: 2 * GAP] = False  # nothing lies far enough back yet
        self._fresh = np.cumsum(~self._repeats_at)

        self._lock = threading.Lock()
        self._votes: dict[str, set[str]] = {}  # item: who has judged it
        self._mine: dict[str, tuple[str, str]] = {}  # item: her event_id and arm, by latest act
        self._repeated: set[str] = set()
        self._seen: set[str] = set()  # judged by her knowing what others said
        self._full: set[str] = set()  # judged by as many others as wanted
        self._claims: dict[str, dict[str, float]] = {}  # item: who holds it until when
        self._until: dict[str, float] = {}  # item: the claim that this queue wrote
        self._waiting: list[dict[str, Any]] = []  # handed out here, not judged yet
        self._handed: set[int] = set()  # places handed out here
        self._next = 0  # places before it were looked at; of those, these may be free again:
        self._again: set[int] = set()
        self._inherited: set[int] = set()  # held by her when the queue was opened: a reload
        self._open()

    @property
    def progress(self) -> tuple[int, int]:
        """How many judgements the annotator has made, and how many she can get to in all.

        Both count the hidden repeats (those to come as expected), which would show themselves
        by a count that stands still.
        """
        with self._lock, self._database.reading() as connection:
            self._catch_up(connection)
        done = len(self._mine) + len(self._repeated)
        seen = sum(item not in self._mine and item not in self._full for item in self._seen)
        left = len(self._ids) - len(self._mine) - len(self._full) - seen
        if not left:
            return done, done
        before = self._fresh[done - 1] if done else 0
        return done, int(np.searchsorted(self._fresh, before + left)) + 1

    def take(self, n: int = 1) -> list[dict[str, Any]]:
        """Claim and hand out the next `n` items, fewer at the end: each item once per queue.

        Each is a dict with item_id, left_id, right_id, queue_arm, figure_id, and repeat_of (the
        event_id of the judgement that it repeats, or None). Claims given back by another tab, or
        soon at their end, are renewed.
        """
        with self._lock:
            with self._database.writing() as connection:
                now = time.time()
                self._catch_up(connection)
                rows = self._choose(n, now)
                claimed = self._claim(connection, [*rows, *self._fading(now)], now + self._lease)
            self._until |= claimed
            self._waiting += rows
            self._handed |= {self._place_of[row["item_id"]] for row in rows}
        return rows

    def hold(self, row: dict[str, Any]) -> None:
        """Claim a row that is shown once more, as after an undo, if it is still to be judged.

        Its item_id and repeat_of count. Where others have taken every place it is not claimed.
        """
        place = self._place_of.get(row["item_id"])
        if place is not None and self.still_open([row]):
            with self._lock:
                others = [other for other in self._waiting if other["item_id"] != row["item_id"]]
                self._waiting, self._handed = [*others, row], self._handed | {place}
            self.take(0)

    def still_open(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of `rows`, of `take`, that are still to be judged, by what the log holds now.

        What she has since judged in calibration or adjudication is no longer to be shown as a vote.
        """
        with self._lock, self._database.reading() as connection:
            self._catch_up(connection)
            return [row for row in rows if not self._is_done(row)]

    def release(self) -> None:
        """Give back what this queue has handed out and the annotator has not judged.

        What she has claimed anew since, in another tab or after a reload, stays hers.
        """
        with self._lock:
            with self._database.writing() as connection:
                self._catch_up(connection)
                mine = [row for row in self._waiting if self._claimed_here(row["item_id"])]
                self._claim(connection, mine, 0.0)
            places = {self._place_of[row["item_id"]] for row in self._waiting}
            self._handed -= places
            self._again |= places
            self._waiting = []

    def items(self) -> pd.DataFrame:
        """The whole order for this annotator: item_id, left_id, right_id, queue_arm."""
        return self._items[COLUMNS[1:]].copy()

    def _open(self) -> None:
        """Read what has been judged and claimed so far, and pass over what is closed."""
        now, claims = time.time(), label_claims.c
        with self._database.reading() as connection:
            # The newest is read before the oldest: what comes in between is then read below.
            newest = connection.scalar(sa.select(sa.func.coalesce(sa.func.max(claims.place), 0)))
            oldest = sa.select(sa.func.min(claims.place)).where(claims.until > now)
            first = connection.scalar(oldest)
            self._claims_seen = newest if first is None else first - 1
            latest = sa.select(sa.func.coalesce(sa.func.max(label_events.c.place), 0))
            self._events_seen = connection.scalar(latest)
            self._note(connection.execute(_standing()))
            self._catch_up(connection)
        held = (item for item in self._claims if self._holds(item, now))
        self._inherited = {self._place_of[item] for item in held if item in self._place_of}
        self._again |= self._inherited
        next(self._free(now), None)

    def _catch_up(self, connection: sa.Connection) -> None:
        """Take in what was judged, undone and claimed since the last look."""
        events, claims = label_events.c, label_claims.c
        new = sa.select(events.place, events.item_id).where(events.place > self._events_seen)
        changed = connection.execute(new.order_by(events.place)).all()
        self._events_seen = changed[-1][0] if changed else self._events_seen
        items = sorted({item for _, item in changed} & self._place_of.keys())
        for start in range(0, len(items), LOOK_UP_AT_ONCE):
            part = items[start : start + LOOK_UP_AT_ONCE]
            for item in part:
                self._votes.pop(item, None)
                self._mine.pop(item, None)
            for known in (self._repeated, self._seen, self._full):
                known.difference_update(part)
            self._note(connection.execute(_standing().where(events.item_id.in_(part))))
        places = (self._place_of[item] for item in items)
        self._again |= {place for place in places if place < self._next}
        asked = sa.select(label_claims).where(claims.place > self._claims_seen)
        for row in connection.execute(asked.order_by(claims.place)):
            self._claims_seen = row.place
            self._claims.setdefault(row.item_id, {})[row.annotator] = row.until
        self._waiting = [row for row in self._waiting if not self._is_done(row)]

    def _note(self, judgements: sa.CursorResult) -> None:
        """Take in standing judgements, in the order in which they were made."""
        for item, annotator, event_id, arm, repeat_of in judgements:
            if item not in self._place_of:
                continue
            mine = annotator == self.annotator
            if arm not in VOTES:
                if mine:
                    self._seen.add(item)
                continue
            voters = self._votes.setdefault(item, set())
            if mine and repeat_of:
                self._repeated.add(item)
            elif mine:
                self._mine.pop(item, None)  # a later act moves it to the end
                self._mine[item] = event_id, arm
            voters.add(annotator)
            if self._is_full(voters) and item not in self._mine:
                self._full.add(item)
            elif mine:
                self._full.discard(item)

    def _is_full(self, people: set[str]) -> bool:
        others = [who for who in people - {self.annotator} if not is_simulated(who)]
        return self._wanted is not None and len(others) >= self._wanted

    def _is_done(self, row: dict[str, Any]) -> bool:
        """Whether she has judged the row, or its item knowing what others said."""
        judged = self._repeated if isinstance(row["repeat_of"], str) else self._mine  # None, NaN
        return row["item_id"] in judged or row["item_id"] in self._seen

    def _free(self, now: float) -> Iterator[int]:
        """The places that may be handed out at `now`, those held before a reload first.

        What is not closed for good goes into `_again`, so that nothing is lost if a take fails.
        """
        for place in sorted(self._again, key=lambda place: (place not in self._inherited, place)):
            if self._closed(place):
                self._again.discard(place)
            elif not self._is_taken(place, now):
                yield place
        while self._next < len(self._ids):
            place = self._next
            self._next += 1
            if not self._closed(place) and place not in self._again:
                self._again.add(place)
                if not self._is_taken(place, now):
                    yield place

    def _closed(self, place: int) -> bool:
        item = self._ids[place]
        judged = item in self._mine or item in self._seen
        return judged or item in self._full or place in self._handed

    def _holds(self, item: str, now: float) -> bool:
        return self._claims.get(item, {}).get(self.annotator, 0.0) > now

    def _claimed_here(self, item: str) -> bool:
        return self._claims.get(item, {}).get(self.annotator) == self._until.get(item)

    def _is_taken(self, place: int, now: float) -> bool:
        """Whether others have or hold every wanted place, or another tab of hers holds one."""
        item = self._ids[place]
        elsewhere = place not in self._inherited and self._holds(item, now)
        return elsewhere or self._is_taken_by_others(item, now)

    def _is_taken_by_others(self, item: str, now: float) -> bool:
        people = {who for who, until in self._claims.get(item, {}).items() if until > now}
        return self._is_full(people | self._votes.get(item, set()))

    def _fading(self, now: float) -> list[dict[str, Any]]:
        """What waits here with less than half a lease left, where others left her a place."""
        soon = now + self._lease / 2
        return [
            row
            for row in self._waiting
            if not self._holds(row["item_id"], soon)
            and not self._is_taken_by_others(row["item_id"], now)
        ]

    def _choose(self, n: int, now: float) -> list[dict[str, Any]]:
        """Up to `n` rows to hand out: hidden repeats where they fall due, else the next free."""
        rows: list[dict[str, Any]] = []
        act = len(self._mine) + len(self._repeated) + len(self._waiting)
        free = self._free(now)
        place = next(free, None)
        while place is not None and len(rows) < n:
            row = self._repeat(rows, act) if self._repeats_at[act] else None
            if row is None:
                row = {**self._items.iloc[place].to_dict(), "repeat_of": None}
                place = next(free, None)
            rows.append(row)
            act += 1
        return rows

    def _repeat(self, rows: list[dict[str, Any]], act: int) -> dict[str, Any] | None:
        """One of her own items of at least `GAP` items ago, its sides drawn anew; None without."""
        out = {row["item_id"] for row in [*self._waiting, *rows] if row["repeat_of"]}
        out |= self._repeated | self._seen
        old = [item for item in list(self._mine)[:-GAP] if item not in out]
        if not old:
            return None
        item = old[number(self._seed, self.annotator, act) % len(old)]
        row = self._items.iloc[self._place_of[item]].to_dict()
        if number(self._seed, self.annotator, item, "repeat") % 2:
            row["left_id"], row["right_id"] = row["right_id"], row["left_id"]
        event_id, arm = self._mine[item]
        return {**row, "queue_arm": arm, "repeat_of": event_id}

    def _claim(self, connection: sa.Connection, rows: list[dict], until: float) -> dict[str, float]:
        """Claim the items of `rows`, repeats aside; returns until when each is claimed."""
        items = [row["item_id"] for row in rows if not isinstance(row["repeat_of"], str)]
        shared = {"annotator": self.annotator, "until": until}
        if items:
            connection.execute(sa.insert(label_claims), [{"item_id": i, **shared} for i in items])
        return dict.fromkeys(items, until)


def _check_settings(wanted: int | None, repeats: float, lease: float) -> None:
    if wanted is not None and wanted < 1:
        raise ValueError(f"wanted {wanted}: give 1 or more, or None for everyone")
    if not 0 <= repeats <= 0.5:
        raise ValueError(f"repeats {repeats}: give a share from 0 to 0.5")
    if not lease > 0:
        raise ValueError(f"lease {lease}: give seconds above 0")


def _standing() -> sa.Select:
    """What stands of everyone's judgements, in the order in which they were made."""
    asked = standing_events("item_id", "annotator", "event_id", "queue_arm", "repeat_of")
    return asked.order_by(label_events.c.place)
