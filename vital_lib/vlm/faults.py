"""Which faults of an endpoint pass, how long to wait for them, and what the others mean.

Knows the API's errors and headers only. A background of single faults is noise and is waited out
quickly; a rate limit is honoured for as long as the endpoint asks.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import httpx2
import openai
import tenacity

_ATTEMPTS = 12  # at 10 % scattered faults one prompt in 10**12 is lost, at 30 % two in a million
_ATTEMPTS_UNREACHED = 3  # while nothing has answered yet: a wrong address should show soon
_ATTEMPTS_SLOW = 4  # each takes long, and may be charged for
_ATTEMPTS_SPOILT = 5  # each has been charged for
_PATIENCE_SECONDS = 600  # with an endpoint that limits the rate and does not say for how long

KEY_NAMES = ("OPENAI_API_KEY", "VITAL_API_KEY", "AZURE_OPENAI_API_KEY")
"""Environment variables that may hold a key."""


class NoCompletion(Exception):
    """The endpoint answered with something else, or with less; has the reply's text."""


_spread = tenacity.wait_random_exponential(multiplier=0.2, max=20)


def passes(error: BaseException) -> bool:
    """Whether the same request may well succeed a little later."""
    if isinstance(error, openai.APIConnectionError | NoCompletion):
        return True
    if not isinstance(error, openai.APIStatusError) or error.code == "insufficient_quota":
        return False
    return error.status_code in (408, 409, 429) or error.status_code >= 500


class Patience:
    """How often one prompt is sent again, by what befalls it.

    Args:
        reached: whether the endpoint has answered something in this run.
    """

    def __init__(self, reached: Callable[[], bool]) -> None:
        self._reached = reached
        self._met: Counter[str] = Counter()

    def is_over(self, state: tenacity.RetryCallState) -> bool:
        """Whether a passing fault has been waited out long enough."""
        error = state.outcome.exception()
        if isinstance(error, openai.RateLimitError):  # it is never about one prompt
            patient = state.seconds_since_start <= _PATIENCE_SECONDS
            return asked_seconds(error) is None and not patient
        kind, most = "failed", _ATTEMPTS
        if isinstance(error, NoCompletion):
            kind, most = "spoilt", _ATTEMPTS_SPOILT
        elif isinstance(error, openai.APIConnectionError) and not self._reached():
            kind, most = "unreached", _ATTEMPTS_UNREACHED
        elif _slow(error):
            kind, most = "slow", _ATTEMPTS_SLOW
        self._met[kind] += 1
        return self._met[kind] >= most


def wait_seconds(state: tenacity.RetryCallState) -> float:
    """What the endpoint asks for, spread a little; else a growing random wait."""
    asked = asked_seconds(state.outcome.exception())
    return _spread(state) if asked is None else asked + random.uniform(0, min(asked / 4, 5))


def takes_no_schema(error: openai.APIError) -> bool:
    """Whether the endpoint refused the request for the form of reply that it asks for."""
    refused = isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError)
    words = ("response_format", "json_schema")
    return refused and any(word in error.message for word in words)


def describe(error: openai.APIError | NoCompletion, *, reached: bool) -> tuple[str, bool]:
    """(what went wrong and the way out, whether it concerns every prompt)."""
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        # The endpoint's words are left out: they like to repeat a part of the key.
        return f"the key was refused ({error.status_code}); set {' or '.join(KEY_NAMES)}", True
    if isinstance(error, openai.NotFoundError):
        return f"no such model there ({_words(error)}); check model and base_url", True
    if isinstance(error, openai.RateLimitError):
        return f"the rate limit or quota is used up ({_words(error)}); ask again later", True
    if isinstance(error, NoCompletion):
        return "the endpoint answered with no chat completion; is base_url right?", False
    if _slow(error):
        return "no reply in time; is it running and not overloaded?", not reached
    if isinstance(error, openai.APIConnectionError):
        return "cannot be reached; is it running, and is base_url right?", True
    return f"the API refused or failed: {_words(error)}", False


def without_key(text: str) -> str:
    """The text without any key of the environment that an endpoint may have repeated in it."""
    for name in KEY_NAMES:
        key = os.environ.get(name, "").strip()
        if len(key) >= 8:  # a placeholder such as "none" is no secret, and may be a plain word
            text = text.replace(key, f"[{name}]")
    return text


def _words(error: openai.APIError) -> str:
    return without_key(" ".join(error.message.split()))[:500]


def _slow(error: BaseException | None) -> bool:
    """The endpoint took the request and did not reply in time."""
    return isinstance(error, openai.APITimeoutError) and not isinstance(
        error.__cause__, httpx2.ConnectTimeout
    )


def asked_seconds(error: BaseException | None) -> float | None:
    """What the Retry-After header asks for, as milliseconds, seconds or a date."""
    if not isinstance(error, openai.APIStatusError):
        return None
    headers = error.response.headers
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        return max(0.0, float(headers["retry-after"]))
    except KeyError:
        return None
    except ValueError:
        return _seconds_until(headers.get("retry-after", ""))


def _seconds_until(date: str) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
