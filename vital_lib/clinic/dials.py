"""Settings for how a served model behaves: latency, capacity limits, faults and key.

Independent of sockets, HTTP and the content of replies.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "rate_limited": "429 without Retry-After",
        "rate_limited_after": "429 with Retry-After set to retry_after",
        "server_error": "500",
        "reset": "connection reset (RST) before any reply",
        "hang": "no reply until the client closes the connection",
        "malformed": "200 with a body of broken JSON",
        "truncated": "200 with a body shorter than its Content-Length",
        "refusal": "200 with a refusal in place of the content",
        "empty": "200 with empty content",
        "wrong_schema": "200 with valid JSON that does not fit the requested schema",
    }
)
"""Fault name -> what the client receives."""

BATCH_FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "expired": "not answered in time; its batch is expired instead of completed",
        "failed": "a 500 in the error file",
        "duplicated": "its line twice in the output",
        "malformed": "half of its line in the output",
        "missing": "answered, but in no file",
    }
)
"""Fault of a request in a batch -> what the client receives."""

REPLIES = ("simulated", "fixed")
_SCALE = 2**64


def _dial(default: Any, meaning: str, **options: Any) -> Any:
    """Return a field of Dials; `meaning` is also its help text on the command line."""
    return field(default=default, metadata={"meaning": meaning}, **options)


@dataclass(frozen=True)
class Dials:
    """Settings of the served models; each field's meaning is in its metadata.

    Raises:
        ValueError: a value is out of range, a fault is unknown, or the shares sum to more than 1.
    """

    latency: float = _dial(0.0, "seconds before a reply or a fault is sent")
    spread: float = _dial(0.0, "most seconds added to latency, drawn uniformly")
    per_second: int | None = _dial(None, "requests accepted in any one second; others get 429")
    at_once: int | None = _dial(None, "requests in progress at once; others get 429 immediately")
    says_when: bool = _dial(False, "send Retry-After with the 429 of per_second and at_once")
    retry_after: float = _dial(1.0, "seconds in Retry-After, except for the limit per_second")
    faults: Mapping[str, float] = field(
        default_factory=dict, metadata={"meaning": "share of requests that get each of FAULTS"}
    )
    batch_seconds: float = _dial(0.0, "seconds before a batch ends, at least")
    batch_queue: int | None = _dial(None, "requests in batches at once; a further batch fails")
    batch_lost: int = _dial(0, "uploads, and batches, that are taken without an answer at first")
    batch_faults: Mapping[str, float] = field(
        default_factory=dict,
        metadata={"meaning": "share of requests in batches that get each of BATCH_FAULTS"},
    )
    key: str | None = _dial(None, "the API key that clients must send; others get 401", repr=False)
    reply: str = _dial("simulated", "simulated, or fixed: the same valid reply, at almost no cost")
    seed: int = _dial(0, "seed of the drawn faults and of the simulated models")

    def __post_init__(self) -> None:
        """Validate the values."""
        for name in ("latency", "spread", "retry_after", "batch_seconds"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value!r}; give seconds, 0 or more")
        for name in ("per_second", "at_once", "batch_queue"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} is {value!r}; give a whole number from 1, or None")
        if self.reply not in REPLIES:
            raise ValueError(f"reply is {self.reply!r}; give one of {', '.join(REPLIES)}")
        if self.key is not None and not (self.key.isascii() and self.key.strip() == self.key != ""):
            raise ValueError("key is empty, not ASCII or has outer spaces; give another")
        for name, known in (("faults", FAULTS), ("batch_faults", BATCH_FAULTS)):
            shares = getattr(self, name)
            _check_faults(shares, known)
            object.__setattr__(self, name, MappingProxyType(dict(shares)))

    def draw(self, body: bytes, times: int) -> tuple[str | None, float]:
        """Return (fault or None, seconds until the reply) for a request.

        Depends only on the arguments and the seed, so that a run is reproducible. `times` lets a
        retry of the same request get another result.

        Args:
            body: hash of the request body.
            times: number of earlier draws for this body.
        """
        digest = hashlib.sha256(f"{self.seed}/{times}/".encode() + body).digest()
        seconds = self.latency + self.spread * int.from_bytes(digest[8:16], "big") / _SCALE
        return _drawn(digest, self.faults, FAULTS), seconds

    def draw_line(self, body: bytes, times: int) -> str | None:
        """Return the fault of a request in a batch, or None; arguments as for `draw`."""
        digest = hashlib.sha256(f"{self.seed}/batch/{times}/".encode() + body).digest()
        return _drawn(digest, self.batch_faults, BATCH_FAULTS)


def _check_faults(shares: Mapping[str, float], known: Mapping[str, str]) -> None:
    for name, share in shares.items():
        if name not in known:
            raise ValueError(f"fault {name!r} is unknown; give one of {', '.join(known)}")
        if not 0 <= share <= 1:
            raise ValueError(f"fault {name} is {share!r}; give a share from 0 to 1")
    if (total := sum(shares.values())) > 1 + 1e-9:
        raise ValueError(f"the fault shares sum to {total:g}; give at most 1 in total")


def _drawn(digest: bytes, shares: Mapping[str, float], known: Mapping[str, str]) -> str | None:
    """Return the fault that a hash draws, or None."""
    chance = int.from_bytes(digest[:8], "big") / _SCALE
    for name in known:  # a fixed order, independent of the order in `shares`
        share = shares.get(name, 0.0)
        if chance < share:
            return name
        chance -= share
    return None
