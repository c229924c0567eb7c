"""What requests cost: estimates before they are sent, the bill after, and the ceiling.

Counts tokens and multiplies by prices; it neither sends nor stores anything.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Iterable

from vital_lib.figures import FigureImage
from vital_lib.prompts import Prompt
from vital_lib.vlm.ledger import Entry, Ledger
from vital_lib.vlm.wire import MAX_SIDE

Bill = dict[str, float | None]
"""requests, tokens_in, tokens_out, usd (None where prices are not known)."""

# Guesses, for as long as the ledger holds no reply of that kind to take the mean of.
_TYPICAL_TOKENS_OUT = {"draft": 400, "generation": 400, "rating": 150}


class CostCeiling(RuntimeError):
    """The next request could pass the ceiling; what has been answered is in the ledger."""


class Cost:
    """The prices of one model, what its ledger holds, and what is under way.

    Args:
        usd_per_million: prices of tokens (in, out), or None.
        usd_ceiling: the most that this model may cost in this ledger, or None.
        flat_images: an image is 85 tokens whatever its size, as the embedded model counts.
    """

    def __init__(
        self,
        model: str,
        ledger: Ledger,
        *,
        usd_per_million: tuple[float, float] | None,
        usd_ceiling: float | None,
        flat_images: bool,
    ) -> None:
        if usd_ceiling is not None and usd_per_million is None:
            raise ValueError("usd_ceiling needs usd_per_million_tokens=(in, out) to be kept")
        self._model, self._ledger, self._flat_images = model, ledger, flat_images
        self._prices, self._ceiling = usd_per_million, usd_ceiling
        self._lock = threading.Lock()
        self._claimed = self.spent()["usd"] or 0.0  # spent, and estimated of what is under way
        self._typical = functools.cache(self._tokens_out)

    def spent(self) -> Bill:
        """The bill of all that the ledger holds of this model."""
        return self._bill(*self._ledger.totals(self._model))

    def estimate(self, prompts: Iterable[Prompt]) -> Bill:
        """The bill of prompts if none were answered yet."""
        requests = tokens_in = tokens_out = 0
        typical = functools.cache(self._tokens_out)
        for prompt in prompts:
            requests += 1
            tokens_in += self._tokens_in(prompt)
            tokens_out += typical(prompt.name)
        return self._bill(requests, tokens_in, tokens_out)

    def reserve(self, prompt: Prompt) -> float:
        """Set aside what a prompt may cost, in USD.

        Raises:
            CostCeiling: there is not that much left.
        """
        if self._ceiling is None:
            return 0.0
        usd = self._usd(self._tokens_in(prompt), self._typical(prompt.name))
        with self._lock:
            if self._claimed + usd > self._ceiling:
                raise CostCeiling(
                    f"model {self._model!r}: {self._claimed:.4f} USD are spent or under way and "
                    f"the next request may cost {usd:.4f}; the ceiling is {self._ceiling:g}. "
                    "Raise usd_ceiling to go on where it stopped."
                )
            self._claimed += usd
        return usd

    def settle(self, reserved: float, entry: Entry | None) -> None:
        """Replace what was set aside by what the reply did cost; None where there was none."""
        if self._ceiling is not None:
            real = self._usd(entry.tokens_in, entry.tokens_out) if entry else 0.0
            with self._lock:
                self._claimed += real - reserved

    def _bill(self, requests: int, tokens_in: int, tokens_out: int) -> Bill:
        tokens = {"tokens_in": tokens_in, "tokens_out": tokens_out}
        return {"requests": requests, **tokens, "usd": self._usd(tokens_in, tokens_out)}

    def _usd(self, tokens_in: int, tokens_out: int) -> float | None:
        if self._prices is None:
            return None
        return (tokens_in * self._prices[0] + tokens_out * self._prices[1]) / 1e6

    def _tokens_in(self, prompt: Prompt) -> int:
        parts = [part for message in prompt.messages for part in message["content"]]
        texts = sum(len(part) // 4 for part in parts if isinstance(part, str))
        return texts + sum(self._tokens_image(p) for p in parts if isinstance(p, FigureImage))

    def _tokens_image(self, image: FigureImage) -> int:
        if self._flat_images:
            return 85
        # OpenAI's published rule: 85, and 170 for each tile of 512 pixels. Others differ.
        scale = min(1.0, MAX_SIDE / max(image.width, image.height))
        wide, high = (math.ceil(side * scale / 512) for side in (image.width, image.height))
        return 85 + 170 * wide * high

    def _tokens_out(self, prompt: str) -> int:
        known = self._ledger.mean_tokens_out(self._model, prompt)
        return round(known) if known is not None else _TYPICAL_TOKENS_OUT.get(prompt, 80)
