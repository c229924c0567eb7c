"""The requests of one call: those that wait for a reply, and the replies of the others."""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vital_lib.client import wire
from vital_lib.client.entries import Entry, Request
from vital_lib.client.job import Control
from vital_lib.client.run import NOT_SENT
from vital_lib.client.wire import Reply
from vital_lib.figures import FigureImage
from vital_lib.prompts import Prompt

if TYPE_CHECKING:
    from vital_lib.client import ChatClient

_TRIES = 3  # of a request whose line failed, expired or is missing


@dataclass(frozen=True, slots=True)
class Spooled:
    """A prompt without its texts, its images in order, and where its texts are."""

    prompt: Prompt
    figures: tuple[FigureImage, ...]
    place: int
    length: int


@dataclass(slots=True)
class Wanted:
    """A request without a reply.

    Args:
        places: of its prompts in the call.
        spooled: its prompt.
        attempt: as in `Request`.
        usd: its estimated cost.
        file: the name of the file that holds it; None if it must be submitted.
        tries: how often it was submitted in vain.
        without: fields omitted when it was submitted last.
    """

    places: list[int]
    spooled: Spooled
    attempt: int
    usd: float
    file: str | None = None
    tries: int = 0
    without: frozenset[str] = field(default_factory=frozenset)


class Spool:
    """The texts of prompts in an unnamed temporary file, so that memory need not hold them.

    The file goes with this object, even if the process is killed.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object

    def put(self, prompt: Prompt) -> Spooled:
        """Store a prompt."""
        figures = tuple(wire.figures_of(prompt))
        messages = [
            [
                message["role"],
                [part if isinstance(part, str) else None for part in message["content"]],
            ]
            for message in prompt.messages
        ]
        place = self._file.seek(0, io.SEEK_END)
        length = self._file.write(json.dumps(messages).encode())
        return Spooled(replace(prompt, messages=()), figures, place, length)

    def get(self, spooled: Spooled) -> Prompt:
        """Return a stored prompt."""
        self._file.seek(spooled.place)
        figures = iter(spooled.figures)
        messages = tuple(
            {"role": role, "content": [next(figures) if part is None else part for part in content]}
            for role, content in json.loads(self._file.read(spooled.length))
        )
        return replace(spooled.prompt, messages=messages)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


class Asked:
    """The requests of one call; arguments as for ``ChatClient.ask``.

    Attributes:
        waiting: by key, the requests without a reply.
    """

    def __init__(
        self,
        client: ChatClient,
        seed: int,
        again: bool,
        on_reply: Callable[[int], None] | None,
        into: Callable[[Reply], Any] | None,
        control: Control,
    ) -> None:
        self._client, self._ledger, self._seed, self._again = client, client.ledger, seed, again
        self._on_reply, self._into, self._control = on_reply, into, control
        self.waiting: dict[str, Wanted] = {}
        self._results: dict[int, Any] = {}
        self._spool, self._done = Spool(), 0

    def results(self, total: int) -> list[Any]:
        """Return the replies in the order of the prompts; some say that they were not sent."""
        unsent = NOT_SENT if self._into is None else self._into(NOT_SENT)
        return [self._results.get(place, unsent) for place in range(total)]

    def asked(self, key: str) -> tuple[Request, Prompt, float]:
        """Return a waiting request with its prompt and its estimated cost."""
        wanted = self.waiting[key]
        prompt = self._spool.get(wanted.spooled)
        return self._request(prompt, wanted.attempt), prompt, wanted.usd

    def _request(self, prompt: Prompt, attempt: int = 0) -> Request:
        client, seed = self._client, self._seed if prompt.seed is None else prompt.seed
        return wire.make_request(
            client.model, prompt, client.images.rule, seed=seed,
            endpoint=client.endpoint, parameters=client.parameters, attempt=attempt,
        )  # fmt: skip

    def close(self) -> None:
        """Remove what is on disk."""
        self._spool.close()

    async def read(self, prompts: Iterable[Prompt]) -> int:
        """Deliver what the ledger knows, spool the rest, and return the number of prompts."""
        place = -1
        for place, prompt in enumerate(prompts):
            await asyncio.sleep(0)  # lets a stop take effect
            if self._control.state == "stopped":
                continue
            request, attempt = self._request(prompt), 0
            if not 0 <= request.seed < 2**63:  # the ledger's integer range
                raise ValueError(f"seed is {request.seed!r}; give 0 to 2**63 - 1")
            if request.key in self.waiting:
                self.waiting[request.key].places.append(place)
                continue
            entry = self._ledger.find(request.key)
            if entry is not None and self._again:
                attempt = entry.attempt + 1
            elif entry is not None:
                self._control.count(known=1)
                self._deliver(place, prompt, request, entry)
                continue
            usd = self._client.cost.in_batch(prompt)
            spooled = self._spool.put(prompt)
            self.waiting[request.key] = Wanted([place], spooled, attempt, usd)
        return place + 1

    def _deliver(self, place: int, prompt: Prompt, request: Request, entry: Entry) -> None:
        reply = wire.make_reply(prompt, request, entry)
        self._results[place] = reply if self._into is None else self._into(reply)
        self._done += 1
        self._control.count(done=1, failed=int(reply.value is None))
        if self._on_reply is not None:
            self._on_reply(self._done)

    def finish(self, key: str, entry: Entry) -> None:
        """Deliver the entry of a wanted request to all its prompts."""
        request, prompt, _ = self.asked(key)
        for place in self.waiting.pop(key).places:
            self._deliver(place, prompt, request, entry)

    def give_up(self, key: str, why: str, usd: float | None = 0.0) -> None:
        """Store why a request has no reply, and deliver that; `usd` is None if it may have cost."""
        request, *_ = self.asked(key)
        entry = Entry(False, error=why, usd=usd, attempt=request.attempt)
        self._ledger.append([(request, entry)])
        self.finish(key, entry)

    def find(self, key: str) -> None:
        """Deliver the reply of a request that is in no file any more, or mark it as lacking."""
        wanted = self.waiting[key]
        entry = self._ledger.find(key)
        if entry is not None and entry.attempt >= wanted.attempt:
            self.finish(key, entry)
        else:
            wanted.file = None

    def submit_again(self, key: str, why: str, usd: float | None) -> None:
        """Mark a request as lacking, or give it up after too many tries."""
        wanted = self.waiting[key]
        wanted.file, wanted.tries = None, wanted.tries + 1
        if wanted.tries >= _TRIES:
            self.give_up(key, f"{why}; submitted {wanted.tries} times", usd)
