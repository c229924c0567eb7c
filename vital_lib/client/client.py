"""A chat client: a model behind an OpenAI-compatible endpoint, its ledger and its price."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import openai
import pandas as pd

from vital_lib.client.control import Control
from vital_lib.client.cost import Cost
from vital_lib.client.images import Images
from vital_lib.client.in_flight import InFlight
from vital_lib.client.ledger import Bill, Ledger
from vital_lib.client.prices import nothing, price_of
from vital_lib.client.run import Run
from vital_lib.client.wire import Reply, figures_of
from vital_lib.prompts import Prompt

OPENAI_URL = "https://api.openai.com/v1"
_CLINIC_URL = "http://clinic.invalid/v1"
_SET_HERE = ("model", "messages", "seed", "response_format", "stream")  # fields of a request
_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_Value = TypeVar("_Value")


class ModelUnavailable(RuntimeError):
    """The endpoint serves no prompt at all; names the model, the address and the way out."""


class ChatClient:
    """A vision-language model behind an OpenAI-compatible endpoint.

    The key to the API is read from the environment when something is sent: OPENAI_API_KEY for
    OpenAI itself, AZURE_OPENAI_API_KEY for Azure, VITAL_API_KEY for any other `base_url` (a local
    server mostly needs none).

    Args:
        model: the model's name, on Azure the deployment's; without `base_url`, one that starts
            with "clinic" is the embedded stand-in.
        base_url: where it is served; None is OpenAI itself, whatever OPENAI_BASE_URL says. Azure:
            ``https://<resource>.openai.azure.com/openai/v1/``; vLLM, Ollama and others: up to and
            with ``/v1``.
        ledger: SQLite file of requests and replies; None keeps them in memory.
        concurrency: requests under way at once, at best.
        max_usd: the most that this model may cost in this ledger, all runs together.
        local: it costs nothing, as a server of one's own does; no price is looked up.
        prices: a table of one's own, whose lines go before those of ``prices.csv`` here.
        transport: an httpx2 transport to use instead of the network.
        replay: a file of `Ledger.export`, which answers instead of `ledger` and of any endpoint.
        timeout_seconds: how long a request may take as a whole; then it is sent again. Where
            nothing has answered yet, the run ends.
        parameters: further fields of each request as the API's JSON has them, such as temperature,
            max_completion_tokens or reasoning_effort; another value is another request.

    Raises:
        ValueError: an argument out of range; the message names it.
        TypeError: a value of `parameters` that is no JSON.
        UnknownPrice: the price table has no line for `model`; the message shows the line to add.
        LedgerUnwritable: `ledger` cannot be opened, or is no ledger.
    """

    def __init__(
        self,
        model: str = "clinic",
        *,
        base_url: str | None = None,
        ledger: Path | None = None,
        concurrency: int = 64,
        max_usd: float | None = None,
        local: bool = False,
        prices: Path | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        replay: Path | None = None,
        timeout_seconds: float = 120.0,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency!r}; it must be at least 1")
        if not timeout_seconds > 0:
            raise ValueError(f"timeout_seconds is {timeout_seconds!r}; give more than 0")
        if base_url is not None and set("?#@") & set(base_url):
            holds = "base_url holds '?', '#' or '@': a query, a fragment or a password"
            raise ValueError(f"{holds}; give the address alone, and set VITAL_API_KEY for a key")
        self._embedded = base_url is None and model.startswith("clinic")
        self._transport, self.timeout_seconds = transport, timeout_seconds
        self.model, self.concurrency, self.parameters = model, concurrency, _checked(parameters)
        self.base_url = base_url or (_CLINIC_URL if self._embedded else OPENAI_URL)
        self.replayed = replay is not None
        free = local or self._embedded or self.replayed
        self.price = nothing(model) if free else price_of(model, prices)
        self.ledger = Ledger.of_export(replay) if self.replayed else Ledger(ledger)
        self.images = Images(self.price.images)
        self.in_flight = InFlight.of(self.ledger.path)
        self.cost = Cost(self.price, model, self.ledger, max_usd)
        self.refused: set[str] = set()  # fields that the endpoint does not take: left out

    @functools.cached_property
    def endpoint(self) -> str:
        """Tells apart what answers to the model's name: address, or the clinic's rates."""
        if self._embedded:
            from vital_lib.clinic.rates import DEFAULT_RATES, rates_fingerprint

            return f"clinic/{rates_fingerprint(DEFAULT_RATES)[:12]}"
        if self.key_name == "OPENAI_API_KEY":
            return ""
        parts = urlsplit(self.base_url)
        return parts.netloc + parts.path.rstrip("/")

    @functools.cached_property
    def key_name(self) -> str:
        """The environment variable that the key is read from."""
        parts = urlsplit(self.base_url)
        if (parts.scheme, parts.hostname) == ("https", urlsplit(OPENAI_URL).hostname):
            return "OPENAI_API_KEY"
        azure = (parts.hostname or "").endswith(_AZURE)
        return "AZURE_OPENAI_API_KEY" if azure else "VITAL_API_KEY"

    def __repr__(self) -> str:
        return f"ChatClient({self.model!r}, base_url={self.base_url!r}, ledger={self.ledger!r})"

    def ask(
        self,
        prompts: Iterable[Prompt],
        *,
        seed: int = 0,
        repeat: int = 0,
        again: bool = False,
        on_reply: Callable[[int], None] | None = None,
        into: Callable[[Reply], Any] | None = None,
        control: Control | None = None,
    ) -> list[Any]:
        """Send prompts and wait for their replies, in the order of the prompts.

        A request that the ledger holds an answer to is not sent again; one that failed is. What was
        paid for and is of no use (empty, a tool call, an error that states tokens) is asked once
        more, by this call or the next one, and then stays without a value, its body the text. Each
        reply is in the ledger before it is counted. Works inside a running event loop, and from
        several threads at once.

        Interrupted (KeyboardInterrupt, ■ in the notebook), it sends nothing more and ends once what
        is under way has arrived and is kept; interrupted again, it ends at once.

        Args:
            prompts: taken as there is room to send, so a generator need never hold them all. Once
                `control` is stopped the rest is only counted: a generator that takes its time over
                each had better look at `control` and end.
            seed: sent with every prompt that carries none of its own.
            repeat: asks the same again, as another request with another seed sent.
            again: ask anew what has been answered, as a new attempt with another seed; its answer
                is the one that counts from then on.
            on_reply: called with the number of prompts done so far, in another thread. Raising
                in it ends the run: nothing more is sent, what is under way is still kept.
            into: called with each reply as it comes, in another thread; what it returns stands in
                the list in place of the reply, so that replies need not be held. Keep it quick:
                the run waits for it.
            control: pauses, resumes or stops the run from elsewhere, and tells how it stands. What
                a stopped run did not send comes back without a value, for the reason `UNSENT`.

        Returns:
            A `Reply` for each prompt, or what `into` made of it.

        Raises:
            ValueError: a seed or `repeat` below 0 or above what 63 bits hold.
            ModelUnavailable: wrong key, unknown model, unreachable endpoint, quota used up.
            CostCeiling: the ceiling is reached.
            LedgerUnwritable: the ledger cannot be written, as when the disk is full.
            TypeError: a message holds anything but text and images from `figures.open_image`.
        """

        run = Run(self, seed, repeat, again, on_reply, into, control)
        return _in_thread(run.replies(prompts), run.interrupt)

    def estimate(self, prompts: Iterable[Prompt]) -> Bill:
        """What prompts would take if none were answered yet: requests, tokens_in, tokens_out, usd.

        Tokens out are the mean of this model's replies to the same kind of prompt in the ledger,
        or a typical number where it has none.
        """
        return self.cost.estimate(prompts)

    def spent(self) -> Bill:
        """What the ledger holds of this model: requests, tokens_in, tokens_out, usd."""
        return self.cost.spent()

    def images_sent(self, prompts: Iterable[Prompt]) -> pd.DataFrame:
        """How prompts' images are sent: image, width, height, bytes, tokens; one row each."""
        figures = {one.sha256: one for prompt in prompts for one in figures_of(prompt)}
        columns = ["image", "width", "height", "bytes", "tokens"]
        return pd.DataFrame([self.images.sent(one) for one in figures.values()], columns=columns)

    def open_client(self) -> openai.AsyncOpenAI:
        """A client for one event loop, with the key from the environment and no retries."""
        client = openai.AsyncOpenAI(
            api_key=self._key(),
            base_url=self.base_url,
            max_retries=0,  # `run` waits beside the other requests instead of in their way
            timeout=httpx2.Timeout(self.timeout_seconds, connect=10.0),
            http_client=self._http_client(),
        )
        if self.key_name != "OPENAI_API_KEY":  # then what is set for OpenAI is not sent
            client.organization = client.project = None
            client._custom_headers = {}
        return client

    def unavailable(self, what: str) -> ModelUnavailable:
        """The one error of an endpoint that serves nothing."""
        return ModelUnavailable(
            f"model {self.model!r} at {self.base_url}: {what}. "
            "Replies that arrived are in the ledger and will not be asked again."
        )

    def _http_client(self) -> httpx2.AsyncClient:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=self.concurrency)
        transport = self._open_transport()
        if transport is None:
            # Twice as fast above 64 at once.
            return openai.DefaultAioHttpClient(limits=limits, verify=_certificates())
        return openai.DefaultAsyncHttpxClient(transport=transport, limits=limits)

    def _open_transport(self) -> httpx2.AsyncBaseTransport | None:
        if self._transport is None and self._embedded:
            from vital_lib import clinic

            self._transport = clinic.transport()
        return self._transport

    def _key(self) -> str:
        name = self.key_name
        key = "" if self._embedded else os.environ.get(name, "").strip()
        if not key and name != "VITAL_API_KEY" and self._transport is None:
            raise self.unavailable(f"there is no key; set {name} in the environment")
        if not (key.isascii() and key.isprintable()):
            raise self.unavailable(f"{name} holds characters that no key has; set it anew")
        return key or "none"


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Whom to trust, read once: that takes as long as many requests."""
    return httpx2.create_ssl_context()


def _checked(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy of the further fields of a request, as JSON has them."""
    clash = sorted(set(_SET_HERE) & set(parameters or ()))
    if clash:
        raise ValueError(f"parameters has {clash[0]!r}, which is set with each request; leave it")
    return json.loads(json.dumps(dict(parameters or {}), allow_nan=False))


def _in_thread(coroutine: Coroutine[Any, Any, _Value], end: Callable[[], None]) -> _Value:
    """Run a coroutine in an event loop of its own thread: Jupyter's runs in this one already.

    Args:
        end: makes the coroutine come to its end, at the first interrupt; the second cancels it.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(coroutine)
    finished = threading.Event()  # an interrupted join() would take the thread for stopped

    def drive() -> None:
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        finished.set()

    threading.Thread(target=drive, name="client", daemon=True).start()
    interrupt = None
    for act in (end, task.cancel):
        try:
            finished.wait()
        except BaseException as error:  # noqa: BLE001 - raised below
            interrupt = interrupt or error
            with contextlib.suppress(RuntimeError):  # it has ended just now
                loop.call_soon_threadsafe(act)
    if interrupt is not None:
        finished.wait()
        raise interrupt
    return task.result()
