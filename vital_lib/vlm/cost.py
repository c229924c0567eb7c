"""What requests cost: estimates before they are sent, the bill after, and the ceiling.

Counts tokens and multiplies by a price; it neither sends nor stores anything.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable

from vital_lib.figures import FigureImage
from vital_lib.prompts import Prompt
from vital_lib.vlm.ledger import Bill, Entry, Ledger
from vital_lib.vlm.prices import Price

# Guesses, for as long as the ledger holds no reply of that kind to take the mean of.
_TYPICAL_TOKENS_OUT = {"draft": 400, "generation": 400, "rating": 150}
_CHARACTERS_PER_TOKEN = 4


class CostCeiling(RuntimeError):
    """The next request could pass the ceiling; what has been answered is in the ledger."""


def cost_per(bill: Bill, **counts: int) -> dict[str, float | None]:
    """What one item cost of each kind that a bill paid for; None where there is none.

    ``cost_per(ledger.bill(), accepted=120, selected=40)`` gives ``usd_per_accepted`` and
    ``usd_per_selected``: all that was spent over those that are left.
    """
    return {
        f"usd_per_{name}": bill["usd"] / count if count else None for name, count in counts.items()
    }


class Cost:
    """The price of one model, what its ledger holds, and what is under way.

    Args:
        max_usd: the most that this model may cost in this ledger, or None.
    """

    def __init__(self, price: Price, model: str, ledger: Ledger, max_usd: float | None) -> None:
        if max_usd is not None and not max_usd >= 0:
            raise ValueError(f"max_usd is {max_usd!r}; give US dollars, 0 or more, or None")
        self._price, self._rule, self._most = price, price.images, max_usd
        self._model, self._ledger = model, ledger
        self._lock = threading.Lock()
        self._claimed = self.spent()["usd"]  # spent, and estimated of what is under way
        self._typical = functools.cache(self._tokens_out)

    def spent(self) -> Bill:
        """The bill of all that the ledger holds of this model, at the prices of their days."""
        return self._ledger.bill(self._model)

    def estimate(self, prompts: Iterable[Prompt]) -> Bill:
        """The bill of prompts if none were answered yet."""
        bill = {"requests": 0, "tokens_in": 0, "tokens_out": 0}
        typical = functools.cache(self._tokens_out)
        for prompt in prompts:
            bill["requests"] += 1
            bill["tokens_in"] += self._tokens_in(prompt)
            bill["tokens_out"] += typical(prompt.name)
        return {**bill, "usd": self._price.usd(bill["tokens_in"], bill["tokens_out"])}

    def reserve(self, prompt: Prompt) -> float:
        """Set aside what a prompt may cost, in USD.

        Raises:
            CostCeiling: there is not that much left.
        """
        if self._most is None:
            return 0.0
        usd = self._price.usd(self._tokens_in(prompt), self._typical(prompt.name))
        with self._lock:
            if self._claimed + usd > self._most:
                raise CostCeiling(
                    f"model {self._model!r}: {self._claimed:.4f} USD are spent or under way and "
                    f"the next request may cost {usd:.4f}; the ceiling is {self._most:g}. "
                    "Raise max_usd to go on where it stopped."
                )
            self._claimed += usd
        return usd

    def settle(self, reserved: float, entry: Entry | None) -> None:
        """Replace what was set aside by what the reply did cost; None where there was none."""
        with self._lock:
            self._claimed += (entry.usd or 0.0 if entry else 0.0) - reserved

    def _tokens_in(self, prompt: Prompt) -> int:
        parts = [part for message in prompt.messages for part in message["content"]]
        count = _counter(self._model)
        texts = sum(count(part) for part in parts if isinstance(part, str))
        figures = (part for part in parts if isinstance(part, FigureImage))
        return texts + sum(self._rule.tokens(one.width, one.height) for one in figures)

    def _tokens_out(self, prompt: str) -> int:
        known = self._ledger.mean_tokens_out(self._model, prompt)
        return round(known) if known is not None else _TYPICAL_TOKENS_OUT.get(prompt, 80)


@functools.cache
def _counter(model: str) -> Callable[[str], int]:
    """Counts a text's tokens: by the model's tokenizer where it is at hand, else by length."""
    try:
        import tiktoken

        encoding = tiktoken.encoding_for_model(model)
    except (ImportError, KeyError, OSError):  # not installed, unknown to it, or not to be had
        return lambda text: len(text) // _CHARACTERS_PER_TOKEN
    return lambda text: len(encoding.encode_ordinary(text))
