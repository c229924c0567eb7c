"""Classify endpoint errors: which are transient, how long to wait, and what to tell the user.

Single scattered faults are retried after short waits; a rate limit is waited out for as long as the
endpoint requests. This module depends only on the API's errors and headers.
"""

from __future__ import annotations

import base64
import contextlib
import math
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Collection
from email.utils import parsedate_to_datetime
from typing import cast

import aiohttp
import httpx2
import openai
import tenacity

from vital_lib.client.bodies import Said, as_text, error_words, read_body

_ATTEMPTS = 12  # loses 1 prompt in 10**12 at 10 % random faults, 1 in 2 million at 30 %
_ATTEMPTS_UNREACHED = 3  # before any answer, so that a wrong address shows soon
_ATTEMPTS_SLOW = 4  # each is slow and may be charged for
_ATTEMPTS_SPOILT = 5  # each has been charged for
_PATIENCE_SECONDS = 600  # of waits for rate limits beyond Retry-After
_MOST_SECONDS = 86_400  # longest accepted Retry-After

KEY_NAMES = ("OPENAI_API_KEY", "VITAL_API_KEY", "AZURE_OPENAI_API_KEY")
"""Environment variables that may hold a key."""


class NoCompletion(Exception):
    """The endpoint's response holds no complete chat completion.

    Args:
        text: the response body.
        reason: what is wrong with it, in a sentence.
        words: the endpoint's error message, if the body has one.
    """

    def __init__(self, text: str, reason: str, words: str = "") -> None:
        super().__init__(text)
        self.reason, self.words = reason, words


FAULTS = (openai.APIError, NoCompletion)
"""Exceptions that a request may raise instead of returning a reply."""
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol)
_UNSENT += (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
_SCHEMA = re.compile(
    r"response[ _]?(?:format|schema)|json[ _-]?(?:schema|mode|object)"
    r"|grammar|\bguided|\bebnf\b|\bfsm\b"
    r"|(?:structured|constrained)[ _.-]?(?:json|output|decoding|generation)|llguidance|\boutlines\b"
    r"|lm[ _-]?format[ _-]?enforcer|logits?[ _-]processor|['\"`]strict['\"`]|additionalProperties"
    r"|\b(?:any|all|one)Of\b|\$(?:defs|ref)\b|\b(?:min|max)(?:Items|Length)\b"
    r"|(?:support|invalid|complex|compil|implement)[^.]{0,100}\bschemas?\b"
    r"|\bschemas?\b[^.]{0,100}(?:support|invalid|complex|compil|implement|feature|allowed|exceed"
    r"|too many|nesting)|\bjson output\b|\boutput_(?:config|format)\b",
    re.I,
)
_FIELDS = {  # request fields that an endpoint may reject, and the error messages about them
    "response_format": _SCHEMA,
    "seed": re.compile(r"\bseed\b", re.I),
    "detail": re.compile(r"image_url.{0,100}\bdetail\b|['\"`]detail['\"`]", re.I),
    "max_tokens": re.compile(r"\bmax_tokens\b.{0,200}\bmax_completion_tokens\b", re.I),
    "max_completion_tokens": re.compile(r"\bmax_completion_tokens\b", re.I),
}
_REFUSING = re.compile(
    r"support|unknown|unrecogni[sz]ed|unexpected|extra|deprecated"
    r"|not (?:be )?(?:permitted|allowed)",
    re.I,
)
_NOT_OF_FIELDS = (401, 402, 403, 404, 408, 409, 413, 429)
_KINDS: dict[int, type[openai.APIStatusError]] = {404: openai.NotFoundError}
_KINDS |= {401: openai.AuthenticationError, 403: openai.PermissionDeniedError}
_KINDS |= {429: openai.RateLimitError}
_spread = tenacity.wait_random_exponential(multiplier=0.2, max=20)


def is_transient(error: BaseException | None) -> bool:
    """Return whether the same request may succeed if it is retried."""
    if isinstance(error, openai.APIConnectionError | NoCompletion):
        return True
    if not isinstance(error, openai.APIStatusError) or error.code == "insufficient_quota":
        return False
    if error.status_code == 501 or (error.status_code >= 500 and _SCHEMA.search(words_of(error))):
        return False  # a missing feature stays missing
    return error.status_code in (408, 409, 429) or error.status_code >= 500


class RetryPolicy:
    """Limits the retries of one prompt by the kinds of faults it meets.

    Args:
        reached: returns whether the endpoint has answered any request in this run.

    Attributes:
        may_cost: whether a failed attempt may have been charged for.
    """

    def __init__(self, reached: Callable[[], bool]) -> None:
        self._reached, self.may_cost = reached, False
        self._counts: Counter[str] = Counter()
        self._waited_seconds = 0.0  # for rate limits, beyond the requested waits

    def is_over(self, state: tenacity.RetryCallState) -> bool:
        """Return whether to stop retrying."""
        error = cast(tenacity.Future, state.outcome).exception()
        self.may_cost = self.may_cost or may_cost(error)
        if isinstance(error, openai.RateLimitError):  # never specific to one prompt
            self._waited_seconds += max(0.0, state.upcoming_sleep - (asked_seconds(error) or 0.0))
            return self._waited_seconds > _PATIENCE_SECONDS
        kind, most = "failed", _ATTEMPTS
        if isinstance(error, NoCompletion):
            kind, most = "spoilt", _ATTEMPTS_SPOILT
        elif isinstance(error, openai.APIConnectionError) and not self._reached():
            kind, most = "unreached", _ATTEMPTS_UNREACHED
        elif is_slow(error):
            kind, most = "slow", _ATTEMPTS_SLOW
        self._counts[kind] += 1
        return self._counts[kind] >= most


def wait_seconds(state: tenacity.RetryCallState) -> float:
    """Return the longer of a random exponential backoff and the jittered Retry-After."""
    requested = asked_seconds(cast(tenacity.Future, state.outcome).exception()) or 0.0
    return max(_spread(state), requested + random.uniform(0, min(requested / 4, 5)))


def may_cost(error: BaseException | None) -> bool:
    """Return whether a failed attempt may be charged for: sent, without an error response."""
    if not isinstance(error, openai.APIConnectionError):
        return isinstance(error, NoCompletion)
    causes: list[BaseException] = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    # openai's client reports every aiohttp connection error as ConnectTimeout.
    aiohttps = [cause for cause in causes if isinstance(cause, aiohttp.ClientError)]
    return not any(isinstance(cause, _UNSENT) for cause in aiohttps or causes)


def fault_of(response: httpx2.Response, said: Said) -> openai.APIStatusError | NoCompletion:
    """Return the fault that the body of a response with status 200 describes."""
    if said.status is None:
        where = "the endpoint answered with no chat completion"
        is_error = said.error and said.error != said.fault
        fault = (said.fault or "")[:500]
        reason = fault if is_error else f"{where}: {fault}; is base_url right?"
        return NoCompletion(
            without_key(as_text(response.content))[:2000], without_key(reason), said.error
        )
    kept = ("retry-after", "retry-after-ms")
    headers = {name: response.headers[name] for name in kept if name in response.headers}
    restated = httpx2.Response(
        said.status, headers=headers, content=response.content, request=response.request
    )
    kind = _KINDS.get(said.status, openai.APIStatusError)
    return kind(said.error, response=restated, body={"code": said.code})


def error_of(response: httpx2.Response) -> openai.APIStatusError:
    """Return the error that a response with another status than 200 describes."""
    said = read_body(response.content)
    kind = _KINDS.get(response.status_code, openai.APIStatusError)
    words = said.error or error_words(response.content)
    return kind(words, response=response, body={"code": said.code})


def is_paid(error: openai.APIStatusError) -> bool:
    """Return whether an error states tokens and does not concern the key, the model or the rate."""
    concerns_all = error.status_code in _NOT_OF_FIELDS
    return not concerns_all and read_body(error.response.content).paid


def words_of(error: BaseException) -> str:
    """Return the endpoint's error message; empty if there is none."""
    if isinstance(error, openai.APIStatusError):
        return error_words(error.response.content)
    return error.words if isinstance(error, NoCompletion) else ""


def text_of(error: BaseException) -> str:
    """Return the body that came instead of a reply; empty if there was none."""
    return str(error) if isinstance(error, NoCompletion) else ""


def refused_field(error: BaseException, fields: Collection[str]) -> str | None:
    """Return the sent field that the endpoint rejects and that can be omitted, or None."""
    status = error.status_code if isinstance(error, openai.APIStatusError) else None
    if status in _NOT_OF_FIELDS:
        return None
    found = named_field(words_of(error), fields)
    return found or ("response_format" if status == 501 and "response_format" in fields else None)


def named_field(words: str, fields: Collection[str]) -> str | None:
    """Return the first sent field that an error message is about, or None."""
    named = (name for name, about in _FIELDS.items() if about.search(words))
    return next((name for name in named if name in fields), None)


def _refused_parameter(words: str, parameters: Collection[str]) -> str | None:
    """Return the user's parameter that a message rejects; short names match only in quotes."""
    if not _REFUSING.search(words):
        return None
    form = {name: re.escape(name) for name in parameters}
    quoted = {name: rf"['\"`]{form[name]}['\"`]|body\.{form[name]}\b" for name in form}
    plain = {name: rf"\b{form[name]}\b" for name in form if len(name) > 5}
    return next((name for name, how in {**quoted, **plain}.items() if re.search(how, words)), None)


def describe(
    error: Exception, *, reached: bool, key_name: str, parameters: Collection[str] = ()
) -> tuple[str, bool]:
    """Return (what went wrong and the way out, whether it concerns every prompt) for a fault.

    Args:
        error: one of `FAULTS`.
        reached: whether the endpoint has answered any request in this run.
        key_name: the environment variable that holds its key.
        parameters: names of the request fields set by the user.
    """
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        # Messages about a key often repeat part of it; at 403 they are needed to find the cause.
        says = f", or see its message: {_words(error)}" if error.status_code == 403 else ""
        return f"the key was refused ({error.status_code}); set {key_name}{says}", True
    if isinstance(error, openai.NotFoundError):
        return f"no such model at this address ({_words(error)}); check model and base_url", True
    if isinstance(error, openai.RateLimitError):
        return f"the rate limit or quota is used up ({_words(error)}); try again later", True
    if is_slow(error):
        return "no reply in time; is the server running, or overloaded?", not reached
    if isinstance(error, openai.APIConnectionError):
        return "cannot be reached; is the server running, and is base_url right?", True
    status = getattr(error, "status_code", None)
    invalid = isinstance(error, NoCompletion) or status in (400, 422)
    if invalid and (name := _refused_parameter(words_of(error), parameters)):
        out = f"leave {name!r} out of parameters"
        return f"the endpoint rejects a field of the request ({_words(error)}); {out}", True
    if isinstance(error, NoCompletion):
        return error.reason, False
    if status == 402:
        return f"the endpoint requires payment first ({_words(error)})", True
    return f"the API refused the request or failed: {_words(error)}", False


def without_key(text: str) -> str:
    """Remove the environment's API keys, which an endpoint may have repeated in a text.

    This also removes partly masked keys, recognised by their first eight characters, and base64
    forms of a key at any offset.
    """
    for name in KEY_NAMES:
        key = os.environ.get(name, "").strip()
        if len(key) < 8:  # a placeholder such as "none", not a secret
            continue
        text = text.replace(key, f"[{name}]")
        encoded = (base64.b64encode(bytes(n) + key.encode())[-(-n * 4 // 3) :] for n in range(3))
        starts = [key[:8], *(form.decode()[:8] for form in encoded)]
        for start in starts[key[:8].isalpha() :]:  # the key begins like a word: "clinical"
            text = re.sub(re.escape(start) + r"[\w*.…+/=-]*", f"[{name}]", text)
    return text


def _words(error: Exception) -> str:
    return without_key(words_of(error) or str(error))[:500]


def is_slow(error: BaseException | None) -> bool:
    """Return whether the endpoint accepted the request but did not reply in time."""
    return isinstance(error, openai.APITimeoutError) and not isinstance(
        error.__cause__, httpx2.ConnectTimeout
    )


def asked_seconds(error: BaseException | None) -> float | None:
    """Return the wait in the Retry-After headers, at most a day; None if missing or unreadable."""
    headers = error.response.headers if isinstance(error, openai.APIStatusError) else {}
    for read in (
        lambda: float(headers["retry-after-ms"]) / 1000,
        lambda: float(headers["retry-after"]),
        lambda: parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time(),
    ):
        with contextlib.suppress(KeyError, ValueError, TypeError, OverflowError):
            if math.isfinite(seconds := read()):
                return min(max(0.0, seconds), _MOST_SECONDS)
    return None
