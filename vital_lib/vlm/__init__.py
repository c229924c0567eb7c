"""The only seam to a model API: prompts in, replies out, in the same order.

Any endpoint that speaks OpenAI's chat completions with a JSON schema will do; the embedded
``"clinic"`` is reached through the very same client. This package knows nothing of what prompts
ask or what tables hold. ``run`` sends, ``faults`` says which errors pass, ``wire`` translates,
``ledger`` keeps every reply, so that none is paid for twice, ``cost`` counts.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import openai

from vital_lib.prompts import Prompt
from vital_lib.vlm.cost import Bill, Cost, CostCeiling
from vital_lib.vlm.ledger import Ledger
from vital_lib.vlm.run import Claims, Run
from vital_lib.vlm.wire import Reply

__all__ = ["VLM", "CostCeiling", "Ledger", "ModelUnavailable", "Reply"]

OPENAI_URL = "https://api.openai.com/v1"
_CLINIC_URL = "http://clinic.invalid/v1"
_Value = TypeVar("_Value")


class ModelUnavailable(RuntimeError):
    """The endpoint serves no prompt at all; names the model, the address and the way out."""


class VLM:
    """A vision-language model behind an OpenAI-compatible endpoint.

    The key to the API is read from the environment when something is sent: OPENAI_API_KEY for
    OpenAI itself, VITAL_API_KEY for any other `base_url` (a local server mostly needs none).

    Args:
        model: the model's name; without `base_url`, one that starts with "clinic" is the
            embedded stand-in.
        base_url: where it is served; None is OpenAI itself, whatever OPENAI_BASE_URL says.
        ledger: SQLite file of requests and replies; None keeps them in memory.
        concurrency: requests under way at once.
        usd_per_million_tokens: prices (in, out); None where they are not known.
        usd_ceiling: the most that this model may cost in this ledger, all runs together.
        transport: an httpx2 transport to use instead of the network.

    Raises:
        ValueError: an argument out of range; the message names it.
    """

    def __init__(
        self,
        model: str = "clinic",
        *,
        base_url: str | None = None,
        ledger: Path | None = None,
        concurrency: int = 32,
        usd_per_million_tokens: tuple[float, float] | None = None,
        usd_ceiling: float | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency!r}; it must be at least 1")
        if base_url is not None and urlsplit(base_url).username is not None:
            raise ValueError("base_url holds a user name or key; set VITAL_API_KEY instead")
        embedded = base_url is None and model.startswith("clinic")
        self.model = model
        self.concurrency = concurrency
        self.base_url = base_url or (_CLINIC_URL if embedded else OPENAI_URL)
        self.ledger = Ledger(ledger)
        self.claims = Claims()
        self.cost = Cost(
            model,
            self.ledger,
            usd_per_million=(0.0, 0.0) if embedded else usd_per_million_tokens,
            usd_ceiling=usd_ceiling,
            flat_images=embedded,
        )
        self._embedded = embedded
        self._transport = transport

    def __repr__(self) -> str:
        return f"VLM({self.model!r}, base_url={self.base_url!r}, ledger={self.ledger!r})"

    def ask(
        self,
        prompts: Iterable[Prompt],
        *,
        seed: int = 0,
        repeat: int = 0,
        on_reply: Callable[[int], None] | None = None,
    ) -> list[Reply]:
        """Send prompts and wait for their replies, in the order of the prompts.

        A request that the ledger holds an answer to is not sent again; one that failed or came
        back empty is. Each reply is in the ledger before it is counted. Works inside a running
        event loop, and from several threads at once.

        Args:
            prompts: taken as there is room to send, so a generator need never hold them all.
            seed: sent with every prompt that carries none of its own.
            repeat: asks the same again, as another request with another seed sent.
            on_reply: called with the number of prompts done so far, in another thread. Raising
                in it ends the run: nothing more is sent, what is under way is still kept.

        Raises:
            ModelUnavailable: wrong key, unknown model, unreachable endpoint, quota used up.
            CostCeiling: the ceiling is reached.
            TypeError: a message holds anything but text and images from `figures.open_image`.
        """

        async def replies() -> list[Reply]:
            run = Run(self, seed=seed, repeat=repeat, on_reply=on_reply)
            return await run.replies(prompts)

        return _in_thread(replies())

    def estimate(self, prompts: Iterable[Prompt]) -> Bill:
        """What prompts would take if none were answered yet: requests, tokens_in, tokens_out, usd.

        Tokens out are the mean of this model's replies to the same kind of prompt in the ledger,
        or a typical number where it has none; usd is None without prices.
        """
        return self.cost.estimate(prompts)

    def spent(self) -> Bill:
        """What the ledger holds of this model: requests, tokens_in, tokens_out, usd."""
        return self.cost.spent()

    def open_client(self) -> openai.AsyncOpenAI:
        """A client for one event loop, with the key from the environment and no retries."""
        return openai.AsyncOpenAI(
            api_key=self._key(),
            base_url=self.base_url,
            max_retries=0,  # `run` waits beside the other requests instead of in their way
            http_client=openai.DefaultAsyncHttpxClient(transport=self._open_transport()),
        )

    def unavailable(self, what: str) -> ModelUnavailable:
        """The one error of an endpoint that serves nothing."""
        return ModelUnavailable(
            f"model {self.model!r} at {self.base_url}: {what}. "
            "Replies that arrived are in the ledger and will not be asked again."
        )

    def _open_transport(self) -> httpx2.AsyncBaseTransport | None:
        if self._transport is None and self._embedded:
            from vital_lib import clinic

            self._transport = clinic.transport()
        return self._transport

    def _key(self) -> str:
        name = "OPENAI_API_KEY" if self.base_url == OPENAI_URL else "VITAL_API_KEY"
        key = "" if self._embedded else os.environ.get(name, "").strip()
        if not key and self.base_url == OPENAI_URL and self._transport is None:
            raise self.unavailable(f"there is no key; set {name} in the environment")
        if not (key.isascii() and key.isprintable()):
            raise self.unavailable(f"{name} holds characters that no key has; set it anew")
        return key or "none"


def _in_thread(coroutine: Coroutine[Any, Any, _Value]) -> _Value:
    """Run a coroutine in an event loop of its own thread: Jupyter's runs in this one already."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(coroutine)

    finished = threading.Event()  # an interrupted join() would take the thread for stopped

    def drive() -> None:
        loop.run_until_complete(asyncio.wait([task]))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        finished.set()

    threading.Thread(target=drive, name="vlm", daemon=True).start()
    try:
        finished.wait()
    except BaseException:  # an interrupt in the notebook ends the run
        loop.call_soon_threadsafe(task.cancel)
        finished.wait()
        raise
    return task.result()
