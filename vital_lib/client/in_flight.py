"""Track the requests in flight in this process, so that duplicates share one request."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import Future
from pathlib import Path

from vital_lib.client.ledger import Entry


class InFlight:
    """The requests in flight over all threads, by key."""

    _of_files: weakref.WeakValueDictionary[Path, InFlight] = weakref.WeakValueDictionary()
    _opening = threading.Lock()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[Entry | None]] = {}

    @classmethod
    def of(cls, path: Path | None) -> InFlight:
        """Return the object that all users of a ledger file share; for None, a new object."""
        if path is None:
            return cls()
        with cls._opening:
            return cls._of_files.setdefault(Path(path).resolve(), cls())

    def claim(self, key: str) -> Future[Entry | None] | None:
        """Return None if the caller must send the request, or the future of one in flight."""
        with self._lock:
            if key in self._under_way:
                return self._under_way[key]
            self._under_way[key] = future = Future()
            future.set_running_or_notify_cancel()  # a waiter cannot cancel it for other waiters
            return None

    def release(self, key: str, entry: Entry | None) -> None:
        """Pass the entry to the waiters; after None, a waiter sends the request itself."""
        with self._lock:
            future = self._under_way.pop(key)
        future.set_result(entry)
