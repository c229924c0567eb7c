"""Which faults of an endpoint pass, how long to wait for them, and what the others mean.

Knows the API's errors and headers only. A background of single faults is noise and is waited out
quickly; a rate limit is honoured as long as the endpoint asks for up to two minutes.
"""

from __future__ import annotations

import os
import random
import time
from email.utils import parsedate_to_datetime

import httpx2
import openai
import tenacity

_ATTEMPTS = 8  # at 7 % scattered faults: one prompt in two thousand million is lost
_ATTEMPTS_UNREACHED = 3  # while nothing has answered yet: a wrong address should show soon
_ATTEMPTS_TIMEOUT = 2
_PATIENCE_SECONDS = 600  # with an endpoint that limits the rate: it is never about one prompt
_LONGEST_WAIT_SECONDS = 120  # of a Retry-After; beyond it, better to come back later

KEY_NAMES = ("OPENAI_API_KEY", "VITAL_API_KEY")
"""Environment variables that may hold a key."""

_spread = tenacity.wait_random_exponential(multiplier=0.2, max=20)


def passes(error: BaseException) -> bool:
    """Whether the same request may well succeed a little later."""
    if isinstance(error, openai.APIConnectionError):
        return True
    if not isinstance(error, openai.APIStatusError) or error.code == "insufficient_quota":
        return False
    if (_asked_seconds(error) or 0) > _LONGEST_WAIT_SECONDS:
        return False
    return error.status_code in (408, 409, 429) or error.status_code >= 500


def enough(state: tenacity.RetryCallState, *, reached: bool) -> bool:
    """Whether a passing fault has been waited out long enough.

    Args:
        reached: the endpoint has answered something in this run.
    """
    error = state.outcome.exception()
    if isinstance(error, openai.RateLimitError):
        return state.seconds_since_start > _PATIENCE_SECONDS
    if _slow(error):
        return state.attempt_number >= _ATTEMPTS_TIMEOUT
    if isinstance(error, openai.APIConnectionError) and not reached:
        return state.attempt_number >= _ATTEMPTS_UNREACHED
    return state.attempt_number >= _ATTEMPTS


def wait_seconds(state: tenacity.RetryCallState) -> float:
    """What the endpoint asks for, spread a little; else a growing random wait."""
    asked = _asked_seconds(state.outcome.exception())
    return _spread(state) if asked is None else asked * random.uniform(1, 1.25)


def describe(error: openai.APIError) -> tuple[str, bool]:
    """(what went wrong and the way out, whether it concerns every prompt)."""
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        # The endpoint's words are left out: they like to repeat a part of the key.
        return f"the key was refused ({error.status_code}); set {' or '.join(KEY_NAMES)}", True
    if isinstance(error, openai.NotFoundError):
        return f"no such model there ({_words(error)}); check model and base_url", True
    if isinstance(error, openai.RateLimitError):
        return f"the rate limit or quota is used up ({_words(error)}); ask again later", True
    if _slow(error):
        return "no reply in time", False
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


def _asked_seconds(error: BaseException | None) -> float | None:
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
