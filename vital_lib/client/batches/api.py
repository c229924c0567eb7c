"""The files and batches of an endpoint, with retries that repeat no upload and no batch.

A call that failed may still have reached the endpoint. Before an upload or a batch is asked for
again, it is therefore looked for by the name of its file. This module does not depend on prompts
or ledgers.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, BinaryIO, TypeVar

import aiohttp
import httpx2
import openai
import tenacity
from openai.types import Batch

from vital_lib.client import faults
from vital_lib.client.batches.files import URL, lines_in

_log = logging.getLogger("vital_lib.client")
_ATTEMPTS = 6
_NAMED = "file"  # the metadata of a batch that names its input file
_SKEW = timedelta(days=1)  # between the clocks here and there, at most
_Value = TypeVar("_Value")


class BatchApi:
    """The calls that a run makes; each is retried while its faults are transient.

    Args:
        client: without retries of its own.
        sleep: waits some seconds, or less if the run ends.
    """

    def __init__(
        self, client: openai.AsyncOpenAI, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._client, self._sleep = client, sleep

    async def upload(self, name: str, file: BinaryIO) -> str:
        """Upload an open input file under `name`; return its id."""
        tried = False

        async def once() -> str:
            nonlocal tried
            if tried and (found := await self._find_file(name)):
                return found
            tried = True
            file.seek(0)
            sent = (name, file, "application/jsonl")
            return (await self._client.files.create(file=sent, purpose="batch")).id

        return await self._retried(once)

    async def create(self, name: str, file_id: str, since: datetime) -> str:
        """Create the batch of an uploaded file; return its id."""
        tried = False

        async def once() -> str:
            nonlocal tried
            if tried and (found := await self._find_batch(name, since)):
                return found
            tried = True
            created = await self._client.batches.create(
                input_file_id=file_id,
                endpoint=URL,
                completion_window="24h",
                metadata={_NAMED: name},
            )
            return created.id

        return await self._retried(once)

    async def find_file(self, name: str) -> str | None:
        """Return the id of the uploaded file of a name, or None."""
        return await self._retried(lambda: self._find_file(name))

    async def find_batch(self, name: str, since: datetime) -> str | None:
        """Return the id of the batch of the file of a name, created after `since`, or None."""
        return await self._retried(lambda: self._find_batch(name, since))

    async def status(self, batch_id: str) -> Batch:
        """Return the state of a batch."""
        return await self._retried(lambda: self._client.batches.retrieve(batch_id))

    async def cancel(self, batch_id: str) -> None:
        """Cancel a batch; one that has ended stays as it is."""
        with contextlib.suppress(openai.BadRequestError, openai.ConflictError):
            await self._retried(lambda: self._client.batches.cancel(batch_id))

    async def lines(self, file_id: str) -> AsyncIterator[bytes]:
        """Yield the lines of a file as they arrive.

        Raises:
            openai.APIError: the file cannot be read; some lines may have been yielded.
        """
        opened = self._client.files.with_streaming_response.content(file_id)
        try:
            async with opened as response:
                async for line in lines_in(response.iter_bytes()):
                    yield line
        except (httpx2.HTTPError, aiohttp.ClientError, OSError) as error:
            request = httpx2.Request("GET", str(self._client.base_url))
            raise openai.APIConnectionError(request=request) from error

    async def remove(self, *file_ids: str | None) -> None:
        """Delete files, as far as that is possible."""
        for file_id in filter(None, file_ids):
            try:
                await self._retried(lambda file_id=file_id: self._client.files.delete(file_id))
            except openai.NotFoundError:
                continue
            except openai.APIError as error:
                words = faults.without_key(str(error))[:200]
                _log.warning("file %s was not deleted at the endpoint: %s", file_id, words)

    async def _find_file(self, name: str) -> str | None:
        async for file in self._client.files.list(purpose="batch"):
            if file.filename == name:
                return file.id
        return None

    async def _find_batch(self, name: str, since: datetime) -> str | None:
        oldest = (since - _SKEW).timestamp()
        async for batch in self._client.batches.list(limit=100):  # the newest first
            if (batch.metadata or {}).get(_NAMED) == name:
                return batch.id
            if (batch.created_at or oldest) < oldest:
                break
        return None

    async def _retried(self, act: Callable[[], Awaitable[_Value]]) -> _Value:
        retrying: Any = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(faults.is_transient),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=faults.wait_seconds,
            sleep=self._sleep,
            reraise=True,
        )

        async def once() -> _Value:
            return await act()

        return await retrying(once)
