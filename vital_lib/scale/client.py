"""A chat client whose requests are sent by Ray's workers.

The run stays in this process: it alone owns the ledger, the cost ceiling, the rate limit and the
retries, by the same code as without Ray. A worker holds a client of its own, which encodes the
images of a request, builds its body, posts it once and hands the response back. The run commits the
reply to the ledger before it counts. A worker that dies is a connection that broke: the run sends
its requests again, through other workers, unless the ledger has their replies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx2
import openai

from vital_lib.client import ChatClient
from vital_lib.client.entries import Request
from vital_lib.client.faults import FAULTS, is_slow, may_cost
from vital_lib.client.images import Images
from vital_lib.client.prices import ImageRule
from vital_lib.client.sending import Sender, Sent
from vital_lib.figures import UnreadableImage
from vital_lib.prompts import Prompt
from vital_lib.receipts import Receipt
from vital_lib.scale.cluster import check_engine, check_workers, connected, nodes

_KEPT = ("retry-after", "retry-after-ms")  # headers of a response that the run reads


def open_client(
    model: str = "clinic", *, engine: str = "local", workers: int | None = None, **options: Any
) -> ChatClient:
    """Open a chat client; "ray" sends its requests from Ray's workers.

    Args:
        engine: "local" or "ray".
        workers: for "ray", the number of workers; None means one per node. More help if the images
            of many requests must be encoded.
        options: arguments of ``ChatClient``. `concurrency` holds for all workers together.

    Raises:
        ValueError: `engine` is unknown, or `workers` is below 1.
        ImportError: Ray is not installed.
        Exception: those of ``ChatClient``.
    """
    check_workers(workers)
    if not check_engine(engine):
        return ChatClient(model, **options)
    return RayClient(model, workers=workers, **options)


class RayClient(ChatClient):
    """A `ChatClient` that sends from Ray's workers, which read the key from their environment.

    The workers start with the first request and end with this object. They open images by path, so
    all nodes must reach them under the same path.
    """

    def __init__(self, model: str, *, workers: int | None = None, **options: Any) -> None:
        given = {name: options.get(name) for name in ("transport", "replay")}
        if named := [name for name, value in given.items() if value is not None]:
            raise ValueError(f"{named[0]} works in one process only: give engine='local'")
        super().__init__(model, **options)
        self._ray = connected()
        self._workers = [self._start() for _ in range(workers or nodes())]

    def open_sender(self) -> Sender:
        """Open what hands the requests of one call of `ask` to the workers."""
        return _RaySender(self)

    async def check(self) -> None:
        """Wait until all workers can send; replace those that have died meanwhile.

        Raises:
            ModelUnavailable: a worker cannot start, or finds no usable key.
        """
        await asyncio.gather(*map(self._check, list(self._workers)))

    async def _check(self, worker: _Worker, *, replaced: bool = False) -> None:
        try:
            why = await worker.actor.check.remote()
        except self._ray.exceptions.RayError as error:
            if replaced:
                raise self.unavailable(f"a Ray worker cannot start: {error}") from None
            await self._check(self._replace(worker), replaced=True)
        else:
            if why:
                raise self.unavailable(f"in a Ray worker: {why}")

    async def post(self, request: Request, prompt: Prompt, without: set[str]) -> _Outcome:
        """Have the least busy worker send a request.

        Raises:
            APIConnectionError: the worker died; the request may have been charged for.
        """
        worker = min(self._workers, key=lambda one: one.in_flight)
        worker.in_flight += 1
        try:
            return await worker.actor.post.remote(request, prompt, without)
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:
            self._replace(worker)
            what = f"the Ray worker that sent it is gone ({type(error).__name__})"
            address = httpx2.Request("POST", self.base_url)
            raise openai.APIConnectionError(message=what, request=address) from None
        finally:
            worker.in_flight -= 1

    def _replace(self, worker: _Worker) -> _Worker:
        if worker not in self._workers:  # another request has replaced it
            return self._workers[0]
        fresh = self._workers[self._workers.index(worker)] = self._start()
        return fresh

    def _start(self) -> _Worker:
        options: dict[str, Any] = {"base_url": None if self._embedded else self.base_url}
        options |= {"local": True, "concurrency": self.concurrency}
        options |= {"timeout_seconds": self.timeout_seconds}
        # Without CPUs of its own, since it mostly waits: it starts however busy the cluster is.
        actor = self._ray.remote(
            num_cpus=0, max_concurrency=2 * self.concurrency, scheduling_strategy="SPREAD"
        )(_Sending)
        return _Worker(actor.remote(self.model, self.images.rule, options))


@dataclass(eq=False)
class _Worker:
    """A worker's actor, and its number of requests in flight."""

    actor: Any
    in_flight: int = 0


class _RaySender(Sender):
    """Hands the requests of one run to a client's workers."""

    _client: RayClient
    _checked: asyncio.Future[None] | None = None

    async def ready(self, prompt: Prompt) -> None:
        """Wait for the workers, which encode a prompt's images when they send it."""
        if self._checked is None:
            self._checked = asyncio.ensure_future(self._client.check())
        await asyncio.shield(self._checked)

    def prepare(self, request: Request, prompt: Prompt, without: Collection[str]) -> Any:
        """Return what a worker needs to build the body."""
        return request, prompt, set(without)

    async def post(self, prepared: Any) -> Sent:
        """Have a worker post once.

        Raises:
            FAULTS: as in `Sender.post`; or the worker died.
            UnreadableImage: the worker cannot read an image.
        """
        outcome = await self._client.post(*prepared)
        if outcome.unreadable:
            raise UnreadableImage(*outcome.unreadable)
        address = httpx2.Request("POST", self._client.base_url)
        if outcome.broken is not None:
            raise _connection_error(*outcome.broken, address)
        response = httpx2.Response(
            outcome.status, headers=outcome.headers, content=outcome.content, request=address
        )
        if outcome.error is not None:
            kind, message, body = outcome.error
            raise kind(message, response=response, body=body)
        return Sent(response, outcome.seconds, outcome.receipts)


class _Outcome(NamedTuple):
    """What came of a request in a worker, in values that pickle.

    Attributes:
        status, headers, content: of the response; `headers` are those in `_KEPT`.
        error: for an error response, the class of the error, its message and its body.
        broken: without a response, the message, whether it was too slow, and whether the request
            may have been charged for.
        unreadable: the field and the reason of an `UnreadableImage`.
    """

    status: int = 0
    headers: dict[str, str] = {}
    content: bytes = b""
    seconds: float = 0.0
    receipts: list[Receipt] = []
    error: tuple[type[openai.APIStatusError], str, object] | None = None
    broken: tuple[str, bool, bool] | None = None
    unreadable: tuple[str, str] | None = None


class _Sending:
    """A worker's actor: the workbench's client, of which only the sending half is used."""

    def __init__(self, model: str, rule: ImageRule, options: dict[str, Any]) -> None:
        self._client = ChatClient(model, **options)
        self._client.images = Images(rule)  # of the real price, which this client does not know
        self._sender = Sender(self._client)

    async def check(self) -> str:
        """Return why nothing can be sent, or an empty text."""
        try:
            await self._client.open_client().close()
        except RuntimeError as error:  # ModelUnavailable: no key, or a malformed one
            return str(error)
        return ""

    async def post(self, request: Request, prompt: Prompt, without: set[str]) -> _Outcome:
        """Send a request once."""
        try:
            held = await self._sender.ready(prompt)
            response, seconds, receipts = await self._sender.post(
                self._sender.prepare(request, prompt, without)
            )
            del held
        except UnreadableImage as error:
            return _Outcome(unreadable=(error.field, error.reason))
        except openai.APIStatusError as error:
            told = type(error), error.message, error.body
            return _outcome_of(error.response)._replace(error=told)
        except FAULTS as error:
            return _Outcome(broken=(str(error), is_slow(error), may_cost(error)))
        return _outcome_of(response)._replace(seconds=seconds, receipts=receipts)


def _outcome_of(response: httpx2.Response) -> _Outcome:
    headers = {name: response.headers[name] for name in _KEPT if name in response.headers}
    return _Outcome(response.status_code, headers, response.content)


def _connection_error(
    message: str, slow: bool, charged: bool, address: httpx2.Request
) -> openai.APIConnectionError:
    """Return the error that `faults` classifies as the worker's was."""
    if slow:
        return openai.APITimeoutError(address)
    error = openai.APIConnectionError(message=message, request=address)
    if not charged:
        error.__cause__ = httpx2.ConnectError(message)
    return error
