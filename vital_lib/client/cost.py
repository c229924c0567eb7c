"""Cost of requests: estimates, the bill and the ceiling.

This module counts tokens and applies prices; it neither sends nor stores anything.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Collection, Iterable

from vital_lib.client.ledger import Bill, Ledger
from vital_lib.client.prices import Price
from vital_lib.client.wire import by_length, count_tokens
from vital_lib.prompts import Prompt

_log = logging.getLogger("vital_lib.client")

# Used until the ledger holds replies to that kind of prompt.
_TYPICAL_TOKENS_OUT = {"draft": 400, "generation": 400, "rating": 150}


class CostCeiling(RuntimeError):
    """The next request could exceed the ceiling; replies so far are in the ledger."""


def cost_per(bill: Bill, **counts: int) -> dict[str, float | None]:
    """Return the total cost per item of each count; None where the count is 0.

    ``cost_per(ledger.bill(), accepted=120, selected=40)`` returns ``usd_per_accepted`` and
    ``usd_per_selected``: the whole bill divided by each count.
    """
    return {
        f"usd_per_{name}": bill["usd"] / count if count else None for name, count in counts.items()
    }


class Cost:
    """Tracks the cost of one model: the ledger's bill and the estimates of requests in flight.

    Text tokens are counted with the model's tokenizer if ``tiktoken`` is installed
    (``pip install 'vital-workbench[tokens]'``; it downloads its vocabulary on first use). Otherwise
    they are estimated from the text length, which is roughly right for English.

    Args:
        max_usd: cost ceiling for this model in this ledger, or None. These amounts count: the
            ledger's bill from all processes, the estimates of this object's requests in flight,
            and the estimates of requests without a known cost. Such requests were in flight when a
            process was killed, or failed after they were sent.
        in_batches: returns the estimates of the model's requests in batches, which count, too.
    """

    def __init__(
        self,
        price: Price,
        model: str,
        ledger: Ledger,
        max_usd: float | None,
        in_batches: Callable[[], float],
    ) -> None:
        if max_usd is not None and not max_usd >= 0:
            raise ValueError(f"max_usd is {max_usd!r}; give US dollars, 0 or more, or None")
        self._price, self._rule, self._most = price, price.images, max_usd
        self._model, self._ledger, self._in_batches = model, ledger, in_batches
        self._lock = threading.Lock()
        # Loaded here because it may download a file, which would block the event loop later.
        self._count = _counter(model) if price.usd(1, 1) else by_length
        self._reserved = 0.0  # estimates of requests in flight, or without a known cost
        if max_usd is not None:
            lost = ledger.unanswered()
            lost = lost[lost["model"] == model]
            usd = map(price.usd, lost["tokens_in"], lost["prompt"].map(self._tokens_out))
            self._reserved = float(sum(usd))

    def spent(self) -> Bill:
        """Return this model's bill in the ledger, at the prices when each reply arrived."""
        return self._ledger.bill(self._model)

    def estimate(self, prompts: Iterable[Prompt], *, batch: bool = False) -> Bill:
        """Estimate the bill of prompts, as if none were answered yet; in batches, at half price."""
        bill = {"requests": 0, "tokens_in": 0, "tokens_out": 0}
        for prompt in prompts:
            bill["requests"] += 1
            bill["tokens_in"] += self._tokens_in(prompt)
            bill["tokens_out"] += self._tokens_out(prompt.name)
        price = self._price.in_batch() if batch else self._price
        return {**bill, "usd": price.usd(bill["tokens_in"], bill["tokens_out"])}

    def reserve(self, prompt: Prompt) -> float:
        """Reserve a prompt's estimated cost and return it, in USD.

        Raises:
            CostCeiling: the estimate exceeds what is left below the ceiling.
        """
        if self._most is None:
            return 0.0
        usd = self._price.usd(self._tokens_in(prompt), self._tokens_out(prompt.name))
        with self._lock:
            self._check(usd, "the next request may cost")
            self._reserved += usd
        return usd

    def hold(self, usd: float) -> None:
        """Count a request that may have been charged for, but has no reply."""
        with self._lock:
            self._reserved += usd

    def check_batch(self, estimates: Collection[float]) -> None:
        """Check that requests that are about to be submitted in batches fit below the ceiling.

        Args:
            estimates: of each request, from `in_batch`.

        Raises:
            CostCeiling: together they exceed what is left, so none is to be submitted.
        """
        with self._lock:
            self._check(sum(estimates), f"{len(estimates):,} requests in batches may cost")

    def in_batch(self, prompt: Prompt) -> float:
        """Return the estimated cost of a prompt in a batch, in USD."""
        return self.estimate([prompt], batch=True)["usd"]

    def _check(self, usd: float, what: str) -> None:
        if self._most is None:
            return
        taken = self.spent()["usd"] + self._reserved + self._in_batches()
        if taken + usd > self._most:
            raise CostCeiling(
                f"model {self._model!r}: {taken:.4f} USD are spent, reserved or possibly "
                f"charged without a reply, and {what} {usd:.4f}; the "
                f"ceiling is {self._most:g}. Raise max_usd to continue where the run stopped."
            )

    def release(self, reserved: float) -> None:
        """Release a reservation: the ledger holds the actual cost, or nothing was charged for."""
        with self._lock:
            self._reserved -= reserved

    def _tokens_in(self, prompt: Prompt) -> int:
        return count_tokens(prompt, self._rule, self._count)

    def _tokens_out(self, prompt: str) -> int:
        mean = self._ledger.mean_tokens_out(self._model, prompt)
        return round(mean) if mean is not None else _TYPICAL_TOKENS_OUT.get(prompt, 80)


@functools.cache
def _counter(model: str) -> Callable[[str], int]:
    """Return the model's token counter, or `by_length` if its tokenizer is not available."""
    try:
        import tiktoken

        encode = tiktoken.encoding_for_model(model).encode_ordinary
    except (ImportError, KeyError):  # tiktoken is not installed, or does not know the model
        return by_length
    except OSError as error:
        _log.warning("model %r: tokens are counted by length; tokenizer: %s", model, error)
        return by_length
    # Cached because policies and demonstrations repeat in every prompt.
    return functools.lru_cache(1024)(lambda text: len(encode(text)))
