"""Which requests are under way in this process, so that none is sent twice at once."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import Future
from pathlib import Path

from vital_lib.client.ledger import Entry


class InFlight:
    """Which requests are under way, over all threads, so that none is sent twice at once."""

    _of_files: weakref.WeakValueDictionary[Path, InFlight] = weakref.WeakValueDictionary()
    _opening = threading.Lock()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[Entry | None]] = {}

    @classmethod
    def of(cls, path: Path | None) -> InFlight:
        """Those of a ledger's file, for all of this process who use it; None: of nobody else."""
        if path is None:
            return cls()
        with cls._opening:
            return cls._of_files.setdefault(Path(path).resolve(), cls())

    def claim(self, key: str) -> Future[Entry | None] | None:
        """None where the caller shall send it; otherwise the future of who is sending it."""
        with self._lock:
            if key in self._under_way:
                return self._under_way[key]
            self._under_way[key] = future = Future()
            future.set_running_or_notify_cancel()  # who waits for it cannot cancel it for others
            return None

    def release(self, key: str, entry: Entry | None) -> None:
        """Hand over what came back; None if nothing did, so that a waiter tries itself."""
        with self._lock:
            future = self._under_way.pop(key)
        future.set_result(entry)
