"""The chat client: a model behind an OpenAI-compatible endpoint, with its ledger and price."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import openai
import pandas as pd

from vital_lib.client import faults, wire
from vital_lib.client.batches import BatchRun, Pending, cancel
from vital_lib.client.cost import Cost
from vital_lib.client.images import Images
from vital_lib.client.job import Control
from vital_lib.client.ledger import Bill, Ledger
from vital_lib.client.limits import InFlight
from vital_lib.client.prices import nothing, price_of
from vital_lib.client.run import Run
from vital_lib.client.sending import Sender
from vital_lib.client.wire import Reply
from vital_lib.figures import NotCleared, held_back_in_words
from vital_lib.prompts import Prompt
from vital_lib.stopping import stoppable

OPENAI_URL = "https://api.openai.com/v1"
OFFLINE = "VITAL_OFFLINE"
"""Environment variable: if it is set, no client sends a request; replies come from the ledger."""
_CLINIC_URL = "http://clinic.invalid/v1"
_SET_HERE = ("model", "messages", "seed", "response_format", "stream")  # request fields
_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_Value = TypeVar("_Value")


class ModelUnavailable(RuntimeError):
    """The endpoint cannot serve any prompt; the message names the model, the address and a fix."""


class ChatClient:
    """A vision-language model behind an OpenAI-compatible endpoint.

    The API key is read from the environment when a run sends its first request: OPENAI_API_KEY for
    OpenAI, AZURE_OPENAI_API_KEY for Azure, VITAL_API_KEY for any other `base_url`. Local servers
    usually need no key.

    Args:
        model: the model name, or the deployment name on Azure. Without `base_url`, a name that
            starts with "clinic" selects the embedded simulated model.
        base_url: the endpoint's address; None is OpenAI, and OPENAI_BASE_URL is ignored. Azure:
            ``https://<resource>.openai.azure.com/openai/v1/``. vLLM, Ollama and others: the
            server's address, ending in ``/v1``.
        ledger: SQLite file of requests and replies; None keeps them in memory.
        concurrency: maximum number of requests in flight.
        max_usd: cost ceiling for this model in this ledger, over all runs.
        local: the model runs on the user's own server. It is free, no price is looked up, and it
            may see figures that are not cleared.
        prices: the user's own price table; its lines override those of ``prices.csv``.
        transport: an httpx2 transport to use instead of the network.
        replay: a file written by `Ledger.export`; replies come from it, not from an endpoint.
        timeout_seconds: time limit of a whole request, which is then retried. If the endpoint has
            not answered any request yet, the run ends instead.
        parameters: further request fields as JSON values, such as temperature,
            max_completion_tokens or reasoning_effort. Changing a value makes a new request.

    Raises:
        ValueError: an argument is out of range; the message names it.
        TypeError: a value of `parameters` is not JSON.
        UnknownPrice: the price table has no line for `model`; the message shows the line to add.
        LedgerUnwritable: `ledger` cannot be opened or is not a ledger.
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
        self.replayed = replay is not None or bool(os.environ.get(OFFLINE))
        free = local or self._embedded or replay is not None
        self.sends_out = not free
        """Whether prompts leave for another's server: each figure in them must be cleared."""
        self.price = nothing(model) if free else price_of(model, prices)
        self.ledger = Ledger(ledger) if replay is None else Ledger.of_export(replay)
        self.images = Images(self.price.images)
        self.in_flight = InFlight.of(self.ledger.path)
        self.cost = Cost(self.price, model, self.ledger, max_usd, lambda: self.pending.usd())
        self.refused: set[str] = set()  # fields that the endpoint rejects; omitted from requests

    @functools.cached_property
    def endpoint(self) -> str:
        """The part of a request's key that identifies the server: its address or clinic rates."""
        if self._embedded:
            from vital_lib.clinic.rates import DEFAULT_RATES, rates_fingerprint

            return f"clinic/{rates_fingerprint(DEFAULT_RATES)[:12]}"
        if self.key_name == "OPENAI_API_KEY":
            return ""
        parts = urlsplit(self.base_url)
        return parts.netloc + parts.path.rstrip("/")

    @functools.cached_property
    def pending(self) -> Pending:
        """This model's requests in batches."""
        return Pending(self.ledger, self.endpoint, self.model)

    @functools.cached_property
    def key_name(self) -> str:
        """The name of the environment variable that holds the key."""
        parts = urlsplit(self.base_url)
        if (parts.scheme, parts.hostname) == ("https", urlsplit(OPENAI_URL).hostname):
            return "OPENAI_API_KEY"
        azure = (parts.hostname or "").endswith(_AZURE)
        return "AZURE_OPENAI_API_KEY" if azure else "VITAL_API_KEY"

    def __repr__(self) -> str:
        return f"ChatClient({self.model!r}, base_url={self.base_url!r}, ledger={self.ledger!r})"

    @stoppable("replies so far are in the ledger. Run the cell again to send only the rest")
    def ask(
        self,
        prompts: Iterable[Prompt],
        *,
        seed: int = 0,
        again: bool = False,
        on_reply: Callable[[int], None] | None = None,
        into: Callable[[Reply], Any] | None = None,
        control: Control | None = None,
        batch: bool = False,
    ) -> list[Any]:
        """Send prompts and return their replies, in the order of the prompts.

        Requests answered in the ledger are not sent again; failed requests are. A reply that cost
        tokens but is unusable (empty, a tool call, an error that states tokens) is requested once
        more, in this call or the next. If the second reply is unusable too, the prompt's reply has
        no value, and its text is the response body. Each reply is written to the ledger before it
        is counted. The call works inside a running event loop and from several threads at once.

        An interrupt (KeyboardInterrupt, ■ in the notebook) stops sending; the call ends when the
        requests in flight are answered and stored. A second interrupt ends it at once.

        Args:
            prompts: consumed only as fast as they can be sent, so a generator need not hold them
                all. After `control` is stopped, the remaining prompts are only counted; a slow
                generator should check `control.state` and end.
            seed: the seed of prompts that have no seed of their own.
            again: send answered requests again, as a new attempt with a different seed. The new
                answer replaces the old answer in later calls.
            on_reply: called in another thread with the number of prompts done so far. If it raises,
                the run ends: nothing more is sent, requests in flight are still stored.
            into: called in another thread with each reply as it arrives. Its return value replaces
                the reply in the list, so that replies need not stay in memory. The run waits for
                it, so it should be fast.
            control: pauses, resumes or stops the run from another thread, and holds its `Tally`.
                Prompts that a stopped run did not send get a reply without a value, with the
                reason `UNSENT`.
            batch: submit the requests in OpenAI's batches, at half the price, and wait for them,
                which may take a day. After a stop, an interrupt or a kill, the batches go on, and
                the same call collects them; `cancel_batches` cancels them. A line that failed,
                expired or is missing is submitted three times at most. `max_usd` is checked for
                all requests before the first is submitted. The prompts are read to the end first.

        Returns:
            A `Reply` for each prompt, or the return value of `into`.

        Raises:
            ValueError: a seed is below 0 or above 2**63 - 1; or `batch` with the embedded clinic.
            ModelUnavailable: wrong key, unknown model, unreachable endpoint or exhausted quota; an
                endpoint without batches, or one that refuses a batch; without `batch`, a request
                that is in a batch.
            CostCeiling: the ceiling is reached.
            LedgerUnwritable: the ledger cannot be written, for example because the disk is full.
            TypeError: a message holds anything but text and images from `figures.open_image`.
            NotCleared: a prompt may not leave (`why_held`). Nothing of it was sent or stored, and
                no later prompt is sent; replies that arrived are in the ledger.
        """
        run = self._run(batch, seed, again, on_reply, into, control)
        return _in_thread(run.replies(self._allowed(prompts)), run.interrupt)

    def why_held(self, prompt: Prompt) -> str | None:
        """Return why a prompt may not be sent to this model, or None.

        A model that is not `local` and not the embedded clinic gets cleared figures only: each
        image in the prompt, and each figure that its texts are about. Callers leave such prompts
        out and say so; `ask` refuses them.
        """
        return wire.why_held(prompt) if self.sends_out else None

    def held_back(self, rows: pd.DataFrame, what: str = "figures") -> str:
        """Return a line on the rows of `figures` or `questions` that this model does not get.

        It states how many, why, and what to do; it is empty if the model gets all.
        """
        told = held_back_in_words(rows, what) if self.sends_out else ""
        return f"{told}\n" if told else ""

    def _allowed(self, prompts: Iterable[Prompt]) -> Iterator[Prompt]:
        """Yield the prompts; raise NotCleared at the first one that may not be sent."""
        for prompt in prompts:
            if why := self.why_held(prompt):
                raise NotCleared(f"not sent to {self.model!r}: {why}")
            yield prompt

    def cancel_batches(self) -> int:
        """Cancel this model's batches in this ledger that are not collected; return their requests.

        Requests that a batch has answered are paid for; the next ``ask(batch=True)`` collects them.
        A batch that the endpoint does not know is given up.

        Raises:
            ModelUnavailable: wrong key, or unreachable endpoint.
        """
        return _in_thread(cancel(self), lambda: None)

    def estimate(self, prompts: Iterable[Prompt], *, batch: bool = False) -> Bill:
        """Estimate requests, tokens_in, tokens_out and usd, as if no prompt were answered yet.

        tokens_out uses the mean length of this model's replies to the same kind of prompt in the
        ledger, or a typical length if the ledger has none.
        """
        return self.cost.estimate(prompts, batch=batch)

    def spent(self) -> Bill:
        """Return this model's totals in the ledger: requests, tokens_in, tokens_out, usd."""
        return self.cost.spent()

    def open_client(self) -> openai.AsyncOpenAI:
        """Open an OpenAI client for one event loop, with the environment's key and no retries."""
        client = openai.AsyncOpenAI(
            api_key=self._key(),
            base_url=self.base_url,
            max_retries=0,  # `run` retries, and its waits do not block other requests
            timeout=httpx2.Timeout(self.timeout_seconds, connect=10.0),
            http_client=self._http_client(),
        )
        if self.key_name != "OPENAI_API_KEY":  # OpenAI's settings must not reach another endpoint
            client.organization = client.project = None
            client._custom_headers = {}
        return client

    def open_sender(self) -> Sender:
        """Open what sends the requests of one call of `ask`."""
        return Sender(self)

    def unavailable(self, what: str) -> ModelUnavailable:
        """Return the error for an endpoint that cannot serve any prompt."""
        return ModelUnavailable(
            f"model {self.model!r} at {self.base_url}: {what}. "
            "Replies that arrived are in the ledger and will not be requested again."
        )

    def _run(self, batch: bool, *arguments: Any) -> Run | BatchRun:
        if not batch or self.replayed:
            return Run(self, *arguments)
        if self._embedded:
            way_out = "run `make serve-clinic` and give its address as base_url, or leave batch out"
            raise ValueError(f"the embedded clinic has no batches; {way_out}")
        return BatchRun(self, *arguments)

    def describe(self, error: Exception, *, reached: bool = True) -> tuple[str, bool]:
        """Return (what went wrong, whether it concerns every prompt) for a fault."""
        names = {"key_name": self.key_name, "parameters": self.parameters}
        return faults.describe(error, reached=reached, **names)

    def _http_client(self) -> httpx2.AsyncClient:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=self.concurrency)
        transport = self._open_transport()
        if transport is None:
            # Twice as fast with more than 64 requests in flight.
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
            raise self.unavailable(f"{name} holds characters that no key has; set it again")
        return key or "none"


@functools.cache
def _certificates() -> ssl.SSLContext:
    """The trusted certificates, read once because that takes as long as many requests."""
    return httpx2.create_ssl_context()


def _checked(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a copy of the further request fields, converted to JSON values."""
    clash = sorted(set(_SET_HERE) & set(parameters or ()))
    if clash:
        raise ValueError(f"parameters has {clash[0]!r}, which each request sets; leave it out")
    return json.loads(json.dumps(dict(parameters or {}), allow_nan=False))


def _in_thread(coroutine: Coroutine[Any, Any, _Value], end: Callable[[], None]) -> _Value:
    """Run a coroutine in an event loop in a new thread, because Jupyter's loop occupies this one.

    Args:
        end: called at the first interrupt to end the coroutine; the second interrupt cancels it.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(coroutine)
    finished = threading.Event()  # an interrupted join() would mark the thread as stopped

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
            with contextlib.suppress(RuntimeError):  # the loop has just closed
                loop.call_soon_threadsafe(act)
    if interrupt is not None:
        finished.wait()
        raise interrupt
    return task.result()
