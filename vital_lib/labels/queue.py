"""The labelling queue: each item goes to a wanted number of annotators, in a strategy's order.

There is always a random arm, so that its judgements are a random sample of the items whenever
labelling stops. Annotators lease items in the label log's database (table `label_leases`). This
module displays nothing.
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
from vital_lib.labels.database import label_events, label_leases
from vital_lib.labels.events import VOTES, check_text, standing_events
from vital_lib.labels.hollow_pairs import left_out, left_out_in_words
from vital_lib.labels.log import LOOK_UP_AT_ONCE, LabelLog
from vital_lib.labels.order import COLUMNS, LEAST_RANDOM_SHARE, in_order, number, requested_first

GAP = 10
"""Smallest number of other items between an item and its hidden repeat."""


class Queue:
    """The items for one annotator to judge, handed out a few at a time.

    Items come in the order of `items()`: first those requested before this queue was opened
    (`LabelLog.request`), then those of the strategy. Some of them come a second time, unmarked, to
    measure the annotator's agreement with earlier answers. Sides are drawn by hash of item and
    annotator.

    The annotator does not get items they have judged, including those of calibration and
    adjudication, where others' judgements are shown. After a reload they first get the items they
    hold; items that they take in another tab from then on are not handed out here.

    Each item has `wanted` places. A place taken by a judgement or an unexpired lease goes to no one
    else, provided that the machines' clocks agree to well within `lease`. `left_out` describes how
    many pairs are left out, and why.

    Args:
        drafts: columns figure_id, instruction_id, candidate_id, two rows per instruction; also
            cluster for strategy "cluster", and uncertainty for "uncertainty" (the larger value of
            a pair counts); optionally flags.
        wanted: number of annotators per item, without simulated ones. All work along the same
            order, so that items are completed one by one. None: everyone judges every item.
        strategy: "random" (a figure's instructions together), "cluster" (round robin over the
            clusters, those least in the random arm first), "uncertainty" (most uncertain first).
        flagged: whether to hand out the pairs that are otherwise left out for their flags.
        random_share: share of items in the random arm, drawn by hash of item and seed and spread
            evenly over the order; the strategy orders the other items.
        repeats: share of judgements that are hidden repeats.
        lease: seconds for which an item that was handed out stays leased.

    Raises:
        ValueError: an empty annotator, a setting out of range, or unsuitable drafts.
        LabelsNotSaved: the log's database fails at the moment; any method can raise it.
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
        order_key = annotator if wanted is None else ""
        excluded = left_out(drafts)
        self.left_out = left_out_in_words(excluded, drafts, flagged=flagged)
        if not flagged:
            drafts = drafts[~drafts["instruction_id"].isin(excluded["instruction_id"])]
        ordered = in_order(drafts, annotator, strategy, random_share, seed, order_key)
        self._items = requested_first(ordered, log.requests("label"))
        self._ids = self._items["item_id"].tolist()
        self._place_of = {item: place for place, item in enumerate(self._ids)}
        rng = np.random.default_rng(number(seed, annotator, "repeats"))
        self._repeats_at = (
            rng.random(2 * len(self._ids) + 2 * GAP) < repeats
        )  # by number of judgements
        self._repeats_at[: 2 * GAP] = False  # no item is far enough back yet
        self._fresh = np.cumsum(~self._repeats_at)

        self._lock = threading.Lock()
        self._votes: dict[str, set[str]] = {}  # item -> its annotators
        self._own: dict[str, tuple[str, str]] = {}  # item -> own event_id and arm, oldest first
        self._repeated: set[str] = set()
        self._informed: set[str] = set()  # judged by the annotator after seeing others' judgements
        self._full: set[str] = set()  # judged by the wanted number of others
        self._leases: dict[str, dict[str, float]] = {}  # item -> annotator -> expiry
        self._written: dict[str, float] = {}  # item -> expiry of the lease that this queue wrote
        self._pending: list[dict[str, Any]] = []  # handed out here, not judged yet
        self._handed_out: set[int] = set()  # places handed out here
        self._next = 0  # all places before it were examined
        self._revisit: set[int] = set()  # examined places that may be free again
        self._inherited: set[int] = set()  # held when this queue was opened, as after a reload
        self._open()

    @property
    def progress(self) -> tuple[int, int]:
        """Number of judgements that the annotator has made, and number they can make in total.

        Both include hidden repeats (future ones as expected); otherwise the count would stop at a
        repeat and reveal it.
        """
        with self._lock, self._database.reading() as connection:
            self._catch_up(connection)
        done = len(self._own) + len(self._repeated)
        informed = sum(item not in self._own and item not in self._full for item in self._informed)
        left = len(self._ids) - len(self._own) - len(self._full) - informed
        if not left:
            return done, done
        before = self._fresh[done - 1] if done else 0
        return done, int(np.searchsorted(self._fresh, before + left)) + 1

    def take(self, n: int = 1) -> list[dict[str, Any]]:
        """Lease and return the next `n` items, fewer at the end; each item comes once per queue.

        Each is a dict with item_id, left_id, right_id, drawn_by, figure_id, and repeat_of (the
        event_id of the judgement that it repeats, or None). This also renews leases of pending
        items that another tab has released or that expire soon.
        """
        with self._lock:
            with self._database.writing() as connection:
                now = time.time()
                self._catch_up(connection)
                rows = self._choose(n, now)
                leased = self._write_leases(
                    connection, [*rows, *self._expiring(now)], now + self._lease
                )
            self._written |= leased
            self._pending += rows
            self._handed_out |= {self._place_of[row["item_id"]] for row in rows}
        return rows

    def hold(self, row: dict[str, Any]) -> None:
        """Lease a row that is shown again, as after an undo, if it is still open.

        Only its item_id and repeat_of are used. It is not leased if others have taken every place.
        """
        place = self._place_of.get(row["item_id"])
        if place is not None and self.still_open([row]):
            with self._lock:
                others = [other for other in self._pending if other["item_id"] != row["item_id"]]
                self._pending, self._handed_out = [*others, row], self._handed_out | {place}
            self.take(0)

    def still_open(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return those of `rows` (from `take`) that the annotator has not judged yet.

        A judgement in calibration or adjudication also closes the item.
        """
        with self._lock, self._database.reading() as connection:
            self._catch_up(connection)
            return [row for row in rows if not self._is_done(row)]

    def release(self) -> None:
        """Release the items that this queue has handed out and the annotator has not judged.

        A lease that the annotator has renewed since, in another tab or after a reload, remains.
        """
        with self._lock:
            with self._database.writing() as connection:
                self._catch_up(connection)
                leased = [row for row in self._pending if self._leased_here(row["item_id"])]
                self._write_leases(connection, leased, 0.0)
            places = {self._place_of[row["item_id"]] for row in self._pending}
            self._handed_out -= places
            self._revisit |= places
            self._pending = []

    def items(self) -> pd.DataFrame:
        """Return the full order for this annotator: item_id, left_id, right_id, drawn_by."""
        return self._items[COLUMNS[1:]].copy()

    def _open(self) -> None:
        """Read all judgements and unexpired leases, and pass over closed places."""
        now, leases = time.time(), label_leases.c
        with self._database.reading() as connection:
            # Read the newest place before the oldest: leases written in between are read below.
            newest = connection.scalar(sa.select(sa.func.coalesce(sa.func.max(leases.place), 0)))
            oldest = sa.select(sa.func.min(leases.place)).where(leases.until > now)
            first = connection.scalar(oldest)
            self._leases_seen = newest if first is None else first - 1
            latest = sa.select(sa.func.coalesce(sa.func.max(label_events.c.place), 0))
            self._events_seen = connection.scalar(latest)
            self._add_judgements(connection.execute(_standing()))
            self._catch_up(connection)
        held = (item for item in self._leases if self._holds(item, now))
        self._inherited = {self._place_of[item] for item in held if item in self._place_of}
        self._revisit |= self._inherited
        next(self._free(now), None)

    def _catch_up(self, connection: sa.Connection) -> None:
        """Read the judgements, undos and leases since the last call."""
        events, leases = label_events.c, label_leases.c
        new = sa.select(events.place, events.item_id).where(events.place > self._events_seen)
        changed = connection.execute(new.order_by(events.place)).all()
        self._events_seen = changed[-1][0] if changed else self._events_seen
        items = sorted({item for _, item in changed} & self._place_of.keys())
        for start in range(0, len(items), LOOK_UP_AT_ONCE):
            part = items[start : start + LOOK_UP_AT_ONCE]
            for item in part:
                self._votes.pop(item, None)
                self._own.pop(item, None)
            for judged in (self._repeated, self._informed, self._full):
                judged.difference_update(part)
            self._add_judgements(connection.execute(_standing().where(events.item_id.in_(part))))
        places = (self._place_of[item] for item in items)
        self._revisit |= {place for place in places if place < self._next}
        query = sa.select(label_leases).where(leases.place > self._leases_seen)
        for row in connection.execute(query.order_by(leases.place)):
            self._leases_seen = row.place
            self._leases.setdefault(row.item_id, {})[row.annotator] = row.until
        self._pending = [row for row in self._pending if not self._is_done(row)]

    def _add_judgements(self, judgements: sa.CursorResult) -> None:
        """Add current judgements, given in the order in which they were made."""
        for item, annotator, event_id, arm, repeat_of in judgements:
            if item not in self._place_of:
                continue
            own = annotator == self.annotator
            if arm not in VOTES:
                if own:
                    self._informed.add(item)
                continue
            voters = self._votes.setdefault(item, set())
            if own and repeat_of:
                self._repeated.add(item)
            elif own:
                self._own.pop(item, None)  # a later judgement moves it to the end
                self._own[item] = event_id, arm
            voters.add(annotator)
            if self._is_full(voters) and item not in self._own:
                self._full.add(item)
            elif own:
                self._full.discard(item)

    def _is_full(self, annotators: set[str]) -> bool:
        others = [name for name in annotators - {self.annotator} if not is_simulated(name)]
        return self._wanted is not None and len(others) >= self._wanted

    def _is_done(self, row: dict[str, Any]) -> bool:
        """Whether the annotator has judged the row, or its item after seeing others' judgements."""
        judged = self._repeated if isinstance(row["repeat_of"], str) else self._own  # None, NaN
        return row["item_id"] in judged or row["item_id"] in self._informed

    def _free(self, now: float) -> Iterator[int]:
        """Yield the places that can be handed out at `now`, those held before a reload first.

        Places that are not closed stay in `_revisit`, so that none is lost if a take fails.
        """
        for place in sorted(self._revisit, key=lambda place: (place not in self._inherited, place)):
            if self._closed(place):
                self._revisit.discard(place)
            elif not self._is_taken(place, now):
                yield place
        while self._next < len(self._ids):
            place = self._next
            self._next += 1
            if not self._closed(place) and place not in self._revisit:
                self._revisit.add(place)
                if not self._is_taken(place, now):
                    yield place

    def _closed(self, place: int) -> bool:
        item = self._ids[place]
        judged = item in self._own or item in self._informed
        return judged or item in self._full or place in self._handed_out

    def _holds(self, item: str, now: float) -> bool:
        return self._leases.get(item, {}).get(self.annotator, 0.0) > now

    def _leased_here(self, item: str) -> bool:
        return self._leases.get(item, {}).get(self.annotator) == self._written.get(item)

    def _is_taken(self, place: int, now: float) -> bool:
        """Whether others have taken every place, or the annotator holds the item in another tab."""
        item = self._ids[place]
        elsewhere = place not in self._inherited and self._holds(item, now)
        return elsewhere or self._is_taken_by_others(item, now)

    def _is_taken_by_others(self, item: str, now: float) -> bool:
        annotators = {name for name, until in self._leases.get(item, {}).items() if until > now}
        return self._is_full(annotators | self._votes.get(item, set()))

    def _expiring(self, now: float) -> list[dict[str, Any]]:
        """Return pending rows with under half a lease left, unless others have every place."""
        soon = now + self._lease / 2
        return [
            row
            for row in self._pending
            if not self._holds(row["item_id"], soon)
            and not self._is_taken_by_others(row["item_id"], now)
        ]

    def _choose(self, n: int, now: float) -> list[dict[str, Any]]:
        """Choose up to `n` rows: a hidden repeat where one is due, otherwise the next free item."""
        rows: list[dict[str, Any]] = []
        act = len(self._own) + len(self._repeated) + len(self._pending)
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
        """Return an item judged at least `GAP` items ago, with new sides; None if there is none."""
        excluded = {row["item_id"] for row in [*self._pending, *rows] if row["repeat_of"]}
        excluded |= self._repeated | self._informed
        old = [item for item in list(self._own)[:-GAP] if item not in excluded]
        if not old:
            return None
        item = old[number(self._seed, self.annotator, act) % len(old)]
        row = self._items.iloc[self._place_of[item]].to_dict()
        if number(self._seed, self.annotator, item, "repeat") % 2:
            row["left_id"], row["right_id"] = row["right_id"], row["left_id"]
        event_id, arm = self._own[item]
        return {**row, "drawn_by": arm, "repeat_of": event_id}

    def _write_leases(
        self, connection: sa.Connection, rows: list[dict], until: float
    ) -> dict[str, float]:
        """Lease the items of `rows` except repeats; return item -> expiry of its lease."""
        items = [row["item_id"] for row in rows if not isinstance(row["repeat_of"], str)]
        shared = {"annotator": self.annotator, "until": until}
        if items:
            connection.execute(sa.insert(label_leases), [{"item_id": i, **shared} for i in items])
        return dict.fromkeys(items, until)


def _check_settings(wanted: int | None, repeats: float, lease: float) -> None:
    if wanted is not None and wanted < 1:
        raise ValueError(f"wanted {wanted}: give 1 or more, or None for everyone")
    if not 0 <= repeats <= 0.5:
        raise ValueError(f"repeats {repeats}: give a share from 0 to 0.5")
    if not lease > 0:
        raise ValueError(f"lease {lease}: give seconds above 0")


def _standing() -> sa.Select:
    """Select everyone's current judgements, in the order in which they were made."""
    query = standing_events("item_id", "annotator", "event_id", "drawn_by", "repeat_of")
    return query.order_by(label_events.c.place)
