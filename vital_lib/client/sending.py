"""Send one request at a time: encode its images, build its body, post it, time the response.

A `Sender` serves one call of ``ChatClient.ask``. It retries and stores nothing; ``run`` does. A
client may open another kind of sender, which sends from other processes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2
import openai
from pydantic_core import to_json

from vital_lib.client import faults, wire
from vital_lib.client.entries import Request
from vital_lib.prompts import Prompt
from vital_lib.receipts import Receipt

if TYPE_CHECKING:
    from vital_lib.client import ChatClient


class Sent(NamedTuple):
    """What came of a request: the response, the seconds it took, and receipts of its images."""

    response: httpx2.Response
    seconds: float
    receipts: list[Receipt]


class Sender:
    """Sends from this process, in the event loop of the run."""

    def __init__(self, client: ChatClient) -> None:
        self._client = client
        self._openai: openai.AsyncOpenAI | None = None

    async def ready(self, prompt: Prompt) -> object:
        """Encode a prompt's images; hold what is returned until the prompt is answered.

        Raises:
            UnreadableImage: an image file has changed since it was opened.
        """
        images = [self._client.images.encoded(figure) for figure in wire.figures_of(prompt)]
        for image in images:
            if not image.done():
                await asyncio.shield(asyncio.wrap_future(image))
            image.result()
        return images

    def prepare(self, request: Request, prompt: Prompt, without: Collection[str]) -> Any:
        """Return what `post` sends: the request's body, without the fields in `without`.

        Raises:
            UnreadableImage: an image file has changed since it was opened.
            ModelUnavailable: the key is missing or malformed.
        """
        if self._openai is None:
            self._openai = self._client.open_client()
        return wire.make_body(request, prompt, self._client.images, without=without)

    async def post(self, prepared: Any) -> Sent:
        """Post once, within the client's time limit.

        An error that states tokens was paid for, and is returned as a response.

        Raises:
            FAULTS: there is no response, or it is an error.
        """
        if self._openai is None:
            raise RuntimeError("prepare the request before it is posted")
        started = time.monotonic()
        try:
            # The OpenAI client's own timeout limits only the gap between two bytes.
            async with asyncio.timeout(self._client.timeout_seconds):
                response = await self._openai.post(
                    "/chat/completions", content=to_json(prepared), cast_to=httpx2.Response
                )
        except TimeoutError:
            raise openai.APITimeoutError(httpx2.Request("POST", self._client.base_url)) from None
        except openai.APIStatusError as error:
            if not faults.is_paid(error):
                raise
            response = error.response
        return Sent(response, time.monotonic() - started, wire.receipts_of(prepared))

    async def close(self) -> None:
        """Close the connections."""
        if self._openai is not None:
            await self._openai.close()
