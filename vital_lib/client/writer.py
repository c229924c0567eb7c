"""Write to the ledger outside the event loop, with one commit for all pending writes.

A commit to disk takes about half a millisecond. Grouping the writes of all requests in flight
makes its share per request small, and only the requests being written wait for it.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from vital_lib.client.entries import Entry, Request
from vital_lib.client.ledger import Ledger

_GATHER_SECONDS = 0.004  # collects replies that arrive close together


class Writer:
    """Writes one run's rows in its own thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._thread = ledger, ThreadPoolExecutor(1, "ledger")
        self._sent: list[Request] = []
        self._entries: list[tuple[Request, Entry]] = []
        self._committed: asyncio.Future[None] | None = None  # for the pending rows
        self._writing: asyncio.Task[None] | None = None

    def sent(self, request: Request) -> None:
        """Record that a request is sent, without waiting: it is on disk long before a reply."""
        self._sent.append(request)
        self._due()

    async def keep(self, request: Request, entry: Entry) -> None:
        """Store an entry; return when it is on disk.

        Raises:
            LedgerUnwritable: the ledger cannot be written.
            Exception: any other error of the ledger.
        """
        self._entries.append((request, entry))
        await asyncio.shield(self._due())

    async def close(self) -> None:
        """Write the pending rows and end the thread."""
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
                done.exception()  # marks it as retrieved; `sent` has no waiter to retrieve it
        self._writing = None
