"""What the ledger stores: a request with its key, and the result of sending it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from vital_lib.receipts import Receipt


@dataclass(frozen=True)
class Request:
    """A request and its key, a hash of what determines the reply.

    Args:
        prompt: the prompt's name; not part of the key, which has its version.
        messages: each message as JSON text, with images as content hash and size.
        schema: hash of the JSON schema that the reply must fit.
        endpoint: identifies the server, since servers may use the same name for different models.
        parameters: further request fields, such as a temperature; JSON values.
        attempt: 0 for the first request, plus 1 for each new attempt; not part of the key.
        image_rule: how images are scaled (see `prices`); not part of the key, so that a change of
            the price table does not invalidate replies.
        tokens_in: estimated, used if the endpoint states no count; not part of the key.
    """

    model: str
    prompt: str
    prompt_version: str
    seed: int
    messages: tuple[str, ...]
    schema: str
    endpoint: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    attempt: int = 0
    image_rule: str = ""
    tokens_in: int = 0
    hashes: tuple[str, ...] = field(init=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        hashes = tuple(hash_of(message) for message in self.messages)
        # The 0 keeps the keys of ledgers valid that counted repeats; so does their column `repeat`.
        parts: list[Any] = [self.model, hashes, self.schema, self.prompt_version, self.seed, 0]
        parts += filter(None, (self.endpoint, self.parameters))
        object.__setattr__(self, "hashes", hashes)
        object.__setattr__(self, "key", hash_of(json.dumps(parts, sort_keys=True)))

    @property
    def reply_id(self) -> str:
        """The first 16 hexadecimal digits of the key; from attempt 1 on, followed by its number."""
        return self.key[:16] + (f"-{self.attempt}" if self.attempt else "")


@dataclass(frozen=True)
class Line:
    """A request in a batch, as it is kept until its reply: what the reply's entry needs.

    Args:
        receipts: of the images in it.
        tokens_in: estimated.
        usd: its estimated cost.
    """

    key: str
    attempt: int
    tokens_in: int
    receipts: tuple[Receipt, ...]
    usd: float


@dataclass(frozen=True)
class Entry:
    """The unparsed result of one request.

    Args:
        answered: not to be sent again: the model replied, or two unusable replies were paid for.
        text: the reply's raw text; the response body if the reply is unusable; empty if none.
        error: why there is no reply.
        seconds: from sending to the reply.
        usd: the cost at the price on that day; None if unknown.
        attempt: see `Request`.
        receipts: of the images sent, as JSON; None from an earlier release.
    """

    answered: bool
    text: str = ""
    refusal: str | None = None
    finish_reason: str | None = None
    error: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    usd: float | None = 0.0
    attempt: int = 0
    receipts: str | None = None


def hash_of(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
