"""What requests cost: estimates before they are sent, the bill after, and the ceiling.

Counts tokens and multiplies by a price; it neither sends nor stores anything.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterable

from vital_lib.client.ledger import Bill, Entry, Ledger
from vital_lib.client.prices import Price
from vital_lib.client.wire import by_length, count_tokens
from vital_lib.prompts import Prompt

_log = logging.getLogger("vital_lib.client")

# Guesses, for as long as the ledger holds no reply of that kind to take the mean of.
_TYPICAL_TOKENS_OUT = {"draft": 400, "generation": 400, "rating": 150}


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

    Tokens of text are counted by the model's own tokenizer where ``tiktoken`` is installed
    (``pip install 'vital-workbench[tokens]'``; it fetches its vocabulary the first time), else by
    length, which is about right for English.

    Args:
        max_usd: the most that this model may cost in this ledger, or None. All that the ledger
            holds counts, whoever asked; what this object has under way counts at its estimate, and
            so does what may have been charged for without anything having come back: requests that
            were under way at a kill, or failed after they were sent.
    """

    def __init__(self, price: Price, model: str, ledger: Ledger, max_usd: float | None) -> None:
        if max_usd is not None and not max_usd >= 0:
            raise ValueError(f"max_usd is {max_usd!r}; give US dollars, 0 or more, or None")
        self._price, self._rule, self._most = price, price.images, max_usd
        self._model, self._ledger = model, ledger
        self._lock = threading.Lock()
        # Here, as it may take a download: later the event loop would wait for it.
        self._count = _counter(model) if price.usd(1, 1) else by_length
        self._claimed = 0.0  # estimated of what is under way, or may have been charged for
        if max_usd is not None:
            lost = ledger.unanswered()
            lost = lost[lost["model"] == model]
            usd = map(price.usd, lost["tokens_in"], lost["prompt"].map(self._tokens_out))
            self._claimed = float(sum(usd))

    def spent(self) -> Bill:
        """The bill of all that the ledger holds of this model, at the prices of their days."""
        return self._ledger.bill(self._model)

    def estimate(self, prompts: Iterable[Prompt]) -> Bill:
        """The bill of prompts if none were answered yet."""
        bill = {"requests": 0, "tokens_in": 0, "tokens_out": 0}
        for prompt in prompts:
            bill["requests"] += 1
            bill["tokens_in"] += self._tokens_in(prompt)
            bill["tokens_out"] += self._tokens_out(prompt.name)
        return {**bill, "usd": self._price.usd(bill["tokens_in"], bill["tokens_out"])}

    def reserve(self, prompt: Prompt) -> float:
        """Set aside what a prompt may cost, in USD.

        Raises:
            CostCeiling: there is not that much left.
        """
        if self._most is None:
            return 0.0
        usd = self._price.usd(self._tokens_in(prompt), self._tokens_out(prompt.name))
        with self._lock:
            taken = self.spent()["usd"] + self._claimed
            if taken + usd > self._most:
                raise CostCeiling(
                    f"model {self._model!r}: {taken:.4f} USD are spent, under way or may have been "
                    f"charged without a reply, and the next request may cost {usd:.4f}; the "
                    f"ceiling is {self._most:g}. Raise max_usd to go on where it stopped."
                )
            self._claimed += usd
        return usd

    def settle(self, reserved: float, entry: Entry | None) -> None:
        """Let go of what was set aside, now that the ledger holds what it did cost.

        Where that is not known (no entry, or none that says), what was sent may have been charged
        for: what was set aside stays claimed.
        """
        if entry is not None and entry.usd is not None:
            self.release(reserved)

    def release(self, reserved: float) -> None:
        """Give back what was set aside for a request that was never sent."""
        with self._lock:
            self._claimed -= reserved

    def _tokens_in(self, prompt: Prompt) -> int:
        return count_tokens(prompt, self._rule, self._count)

    def _tokens_out(self, prompt: str) -> int:
        known = self._ledger.mean_tokens_out(self._model, prompt)
        return round(known) if known is not None else _TYPICAL_TOKENS_OUT.get(prompt, 80)


@functools.cache
def _counter(model: str) -> Callable[[str], int]:
    """Counts a text's tokens: by the model's tokenizer where it is at hand, else by length."""
    try:
        import tiktoken

        encode = tiktoken.encoding_for_model(model).encode_ordinary
    except (ImportError, KeyError):  # not installed, or unknown to it
        return by_length
    except OSError as error:
        _log.warning("model %r: tokens are counted by length, its tokenizer: %s", model, error)
        return by_length
    # Policies and demonstrations stand in every prompt.
    return functools.lru_cache(1024)(lambda text: len(encode(text)))
