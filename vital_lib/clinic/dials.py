"""How a served model is to behave: slow, short of capacity, faulty, each by a dial.

Settings and draws only: knows nothing of sockets, HTTP or what the models say.
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
        "rate_limited_after": "429 with Retry-After: the seconds of the dial retry_after",
        "server_error": "500",
        "reset": "the connection is reset (RST) before anything is answered",
        "hang": "nothing is answered until the client gives up",
        "malformed": "200 whose body is broken JSON",
        "truncated": "200 whose body ends before its Content-Length",
        "refusal": "200 with a refusal in place of the content",
        "empty": "200 with empty content",
        "wrong_schema": "200 with valid JSON that does not fit the schema asked for",
    }
)
"""What can be drawn for a request, and what its client then sees."""

REPLIES = ("simulated", "fixed")
_SCALE = 2**64


def _dial(default: Any, meaning: str, **options: Any) -> Any:
    """A field of Dials; the command line shows its meaning too."""
    return field(default=default, metadata={"meaning": meaning}, **options)


@dataclass(frozen=True)
class Dials:
    """How the served models behave. Each field's meaning stands beside it.

    Raises:
        ValueError: a value out of range, an unknown fault, or shares above 1 together.
    """

    latency: float = _dial(0.0, "seconds that a reply takes; a drawn fault takes as long")
    spread: float = _dial(0.0, "seconds that a reply takes longer at most, drawn evenly")
    per_second: int | None = _dial(None, "requests taken within any second; others get 429 at once")
    at_once: int | None = _dial(None, "requests under way at once; others get 429 at once")
    says_when: bool = _dial(False, "such a 429 carries Retry-After, as it does not otherwise")
    retry_after: float = _dial(1.0, "seconds named by Retry-After, where no limit says otherwise")
    faults: Mapping[str, float] = field(
        default_factory=dict, metadata={"meaning": "share of requests drawn for each of FAULTS"}
    )
    key: str | None = _dial(None, "the key to ask for; 401 to whoever sends another", repr=False)
    reply: str = _dial("simulated", "simulated; or fixed: valid, always the same, hardly any work")
    seed: int = _dial(0, "of the draws and of the simulated models")

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in ("latency", "spread", "retry_after"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value!r}; give seconds, 0 or more")
        for name in ("per_second", "at_once"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} is {value!r}; give a whole number from 1, or None")
        if self.reply not in REPLIES:
            raise ValueError(f"reply is {self.reply!r}; give one of {', '.join(REPLIES)}")
        if self.key is not None and not (self.key.isascii() and self.key.strip() == self.key != ""):
            raise ValueError("key is empty, or holds characters that no key has; give another")
        self._check_faults()
        object.__setattr__(self, "faults", MappingProxyType(dict(self.faults)))

    def _check_faults(self) -> None:
        for name, share in self.faults.items():
            if name not in FAULTS:
                raise ValueError(f"fault {name!r} is unknown; there are {', '.join(FAULTS)}")
            if not 0 <= share <= 1:
                raise ValueError(f"fault {name} is {share!r}; give a share from 0 to 1")
        if (total := sum(self.faults.values())) > 1 + 1e-9:
            raise ValueError(f"the faults' shares make {total:g}; give at most 1 together")

    def draw(self, body: bytes, times: int) -> tuple[str | None, float]:
        """What befalls a request: a fault or None, and the seconds until it is answered.

        Depends on nothing but the arguments and the seed, so that a run can be repeated; and on
        `times`, so that a request tried again may fare better.

        Args:
            body: the hash of the request's body.
            times: how often there was a draw for this body before.
        """
        digest = hashlib.sha256(f"{self.seed}/{times}/".encode() + body).digest()
        chance = int.from_bytes(digest[:8], "big") / _SCALE
        seconds = self.latency + self.spread * int.from_bytes(digest[8:16], "big") / _SCALE
        for name in FAULTS:  # in this order, however the shares were written down
            share = self.faults.get(name, 0.0)
            if chance < share:
                return name, seconds
            chance -= share
        return None, seconds
