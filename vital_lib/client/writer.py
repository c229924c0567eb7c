"""Appends to the ledger beside the event loop, everything that came meanwhile in one commit.

A disk takes about half a millisecond to promise that it keeps something; shared by all that is
under way, that is little each, and nothing waits for it but who was promised.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from vital_lib.client.ledger import Entry, Ledger, Request

_GATHER_SECONDS = 0.004  # for replies that come close together


class Writer:
    """Writes for one run, in a thread of its own."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._thread = ledger, ThreadPoolExecutor(1, "ledger")
        self._sent: list[Request] = []
        self._entries: list[tuple[Request, Entry]] = []
        self._committed: asyncio.Future[None] | None = None  # of what has gathered
        self._writing: asyncio.Task[None] | None = None

    def sent(self, request: Request) -> None:
        """Note that a request goes out. Nobody waits for it: it is on disk long before a reply."""
        self._sent.append(request)
        self._due()

    async def keep(self, request: Request, entry: Entry) -> None:
        """Keep what came back; returns once it is on disk.

        Raises:
            LedgerUnwritable: it cannot be.
            Exception: whatever else the ledger raises.
        """
        self._entries.append((request, entry))
        await asyncio.shield(self._due())

    async def close(self) -> None:
        """Write what is left."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
        self._thread.shutdown()

    def _due(self) -> asyncio.Future[None]:
        if self._committed is None:
            self._committed = asyncio.get_running_loop().create_future()
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return self._committed

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._committed is not None:
            await asyncio.sleep(_GATHER_SECONDS)
            sent, entries, done = self._sent, self._entries, self._committed
            self._sent, self._entries, self._committed = [], [], None
            written = loop.run_in_executor(self._thread, self._ledger.append, entries, sent)
            await asyncio.wait([written])
            if (error := written.exception()) is None:
                done.set_result(None)
            else:
                done.set_exception(error)
                done.exception()  # whoever waits is told; a note of sending has nobody who waits
        self._writing = None
