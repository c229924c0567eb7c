"""Which faults of an endpoint pass, how long to wait for them, and what the others mean.

Knows the API's errors and headers only. A background of single faults is noise and is waited out
quickly; a rate limit is honoured for as long as the endpoint asks.
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

import aiohttp
import httpx2
import openai
import tenacity

from vital_lib.client.bodies import Said, as_text, error_words, read_body

_ATTEMPTS = 12  # at 10 % scattered faults one prompt in 10**12 is lost, at 30 % two in a million
_ATTEMPTS_UNREACHED = 3  # while nothing has answered yet: a wrong address should show soon
_ATTEMPTS_SLOW = 4  # each takes long, and may be charged for
_ATTEMPTS_SPOILT = 5  # each has been charged for
_PATIENCE_SECONDS = 600  # with an endpoint that limits the rate and does not say for how long
_MOST_SECONDS = 86_400  # that an endpoint is obeyed at once

KEY_NAMES = ("OPENAI_API_KEY", "VITAL_API_KEY", "AZURE_OPENAI_API_KEY")
"""Environment variables that may hold a key."""


class NoCompletion(Exception):
    """The endpoint answered with something else, or with less.

    Args:
        text: what it answered.
        reason: what that is, in a sentence.
        words: the endpoint's own, where it tells of an error.
    """

    def __init__(self, text: str, reason: str, words: str = "") -> None:
        super().__init__(text)
        self.reason, self.words = reason, words


FAULTS = (openai.APIError, NoCompletion)
"""What a request may meet instead of a reply."""
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
_FIELDS = {  # of a request, that an endpoint may not know, and how it says so
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
_KINDS = {401: openai.AuthenticationError, 403: openai.PermissionDeniedError}
_KINDS |= {404: openai.NotFoundError, 429: openai.RateLimitError}
_spread = tenacity.wait_random_exponential(multiplier=0.2, max=20)


def is_transient(error: BaseException) -> bool:
    """Whether the same request may well succeed a little later."""
    if isinstance(error, openai.APIConnectionError | NoCompletion):
        return True
    if not isinstance(error, openai.APIStatusError) or error.code == "insufficient_quota":
        return False
    if error.status_code == 501 or (error.status_code >= 500 and _SCHEMA.search(words_of(error))):
        return False  # what it cannot do, it cannot do later
    return error.status_code in (408, 409, 429) or error.status_code >= 500


class RetryPolicy:
    """How often one prompt is sent again, by what befalls it.

    Args:
        reached: whether the endpoint has answered something in this run.

    Attributes:
        may_cost: whether one of the attempts may be charged for though it brought nothing.
    """

    def __init__(self, reached: Callable[[], bool]) -> None:
        self._reached, self.may_cost = reached, False
        self._met: Counter[str] = Counter()
        self._waited_seconds = 0.0  # for a rate limit, beyond what the endpoint asked for

    def is_over(self, state: tenacity.RetryCallState) -> bool:
        """Whether a passing fault has been waited out long enough."""
        error = state.outcome.exception()
        self.may_cost = self.may_cost or may_cost(error)
        if isinstance(error, openai.RateLimitError):  # it is never about one prompt
            self._waited_seconds += max(0.0, state.upcoming_sleep - (asked_seconds(error) or 0.0))
            return self._waited_seconds > _PATIENCE_SECONDS
        kind, most = "failed", _ATTEMPTS
        if isinstance(error, NoCompletion):
            kind, most = "spoilt", _ATTEMPTS_SPOILT
        elif isinstance(error, openai.APIConnectionError) and not self._reached():
            kind, most = "unreached", _ATTEMPTS_UNREACHED
        elif is_slow(error):
            kind, most = "slow", _ATTEMPTS_SLOW
        self._met[kind] += 1
        return self._met[kind] >= most


def wait_seconds(state: tenacity.RetryCallState) -> float:
    """A growing random wait, or what the endpoint asks for, spread a little, if that is longer."""
    asked = asked_seconds(state.outcome.exception()) or 0.0
    return max(_spread(state), asked + random.uniform(0, min(asked / 4, 5)))


def may_cost(error: BaseException) -> bool:
    """Whether a failed attempt may be charged for: it was sent, and was not refused in words."""
    if not isinstance(error, openai.APIConnectionError):
        return isinstance(error, NoCompletion)
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    # openai's client passes on all that aiohttp meets with a connection as ConnectTimeout.
    aiohttps = [cause for cause in causes if isinstance(cause, aiohttp.ClientError)]
    return not any(isinstance(cause, _UNSENT) for cause in aiohttps or causes)


def fault_of(response: httpx2.Response, said: Said) -> openai.APIStatusError | NoCompletion:
    """The fault that a body tells of under a status that is of none."""
    if said.status is None:
        where = "the endpoint answered with no chat completion"
        known = said.error and said.error != said.fault
        fault = (said.fault or "")[:500]
        reason = fault if known else f"{where}: {fault}; is base_url right?"
        return NoCompletion(
            without_key(as_text(response.content))[:2000], without_key(reason), said.error
        )
    kept = ("retry-after", "retry-after-ms")
    headers = {name: response.headers[name] for name in kept if name in response.headers}
    told = httpx2.Response(
        said.status, headers=headers, content=response.content, request=response.request
    )
    kind = _KINDS.get(said.status, openai.APIStatusError)
    return kind(said.error, response=told, body={"code": said.code})


def is_paid(error: openai.APIStatusError) -> bool:
    """Whether an error states tokens, and is not about the key, the model or the rate."""
    about_all = error.status_code in _NOT_OF_FIELDS
    return not about_all and read_body(error.response.content).paid


def words_of(error: BaseException) -> str:
    """The endpoint's own words of an error, wherever it has put them."""
    if isinstance(error, openai.APIStatusError):
        return error_words(error.response.content)
    return error.words if isinstance(error, NoCompletion) else ""


def text_of(error: BaseException) -> str:
    """What came instead of a reply, where something did."""
    return str(error) if isinstance(error, NoCompletion) else ""


def refused_field(error: BaseException, fields: Collection[str]) -> str | None:
    """The one of the fields sent that the endpoint refuses, if it can do without."""
    status = error.status_code if isinstance(error, openai.APIStatusError) else None
    if status in _NOT_OF_FIELDS:
        return None
    found = named_field(words_of(error), fields)
    return found or ("response_format" if status == 501 and "response_format" in fields else None)


def named_field(words: str, fields: Collection[str]) -> str | None:
    """The first of the fields sent that words of an error are about."""
    named = (name for name, about in _FIELDS.items() if about.search(words))
    return next((name for name in named if name in fields), None)


def _refused_parameter(words: str, parameters: Collection[str]) -> str | None:
    """The one of the user's own fields that words refuse; a short name must stand in quotes."""
    if not _REFUSING.search(words):
        return None
    form = {name: re.escape(name) for name in parameters}
    quoted = {name: rf"['\"`]{form[name]}['\"`]|body\.{form[name]}\b" for name in form}
    plain = {name: rf"\b{form[name]}\b" for name in form if len(name) > 5}
    return next((name for name, how in {**quoted, **plain}.items() if re.search(how, words)), None)


def describe(
    error: Exception, *, reached: bool, key_name: str, parameters: Collection[str] = ()
) -> tuple[str, bool]:
    """(what went wrong and the way out, whether it concerns every prompt), of one of `FAULTS`.

    Args:
        reached: whether the endpoint has answered something in this run.
        key_name: the environment variable that its key is read from.
        parameters: names of the fields of a request that the user has set.
    """
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        # The endpoint's words about a key like to repeat a part of it; of 403 they tell more.
        says = f", or see what it says: {_words(error)}" if error.status_code == 403 else ""
        return f"the key was refused ({error.status_code}); set {key_name}{says}", True
    if isinstance(error, openai.NotFoundError):
        return f"no such model there ({_words(error)}); check model and base_url", True
    if isinstance(error, openai.RateLimitError):
        return f"the rate limit or quota is used up ({_words(error)}); ask again later", True
    if is_slow(error):
        return "no reply in time; is it running and not overloaded?", not reached
    if isinstance(error, openai.APIConnectionError):
        return "cannot be reached; is it running, and is base_url right?", True
    asked_badly = isinstance(error, NoCompletion) or error.status_code in (400, 422)
    if asked_badly and (name := _refused_parameter(words_of(error), parameters)):
        out = f"leave {name!r} out of parameters"
        return f"it does not take a field of the request ({_words(error)}); {out}", True
    if isinstance(error, NoCompletion):
        return error.reason, False
    if error.status_code == 402:
        return f"the endpoint wants to be paid first ({_words(error)})", True
    return f"the API refused or failed: {_words(error)}", False


def without_key(text: str) -> str:
    """The text without any key of the environment that an endpoint may have repeated in it.

    Also without what begins like one, eight characters at least, as where the rest is masked; and
    without its base64, wherever in what was encoded it stood.
    """
    for name in KEY_NAMES:
        key = os.environ.get(name, "").strip()
        if len(key) < 8:  # a placeholder such as "none" is no secret, and may be a plain word
            continue
        text = text.replace(key, f"[{name}]")
        encoded = (base64.b64encode(bytes(n) + key.encode())[-(-n * 4 // 3) :] for n in range(3))
        starts = [key[:8], *(form.decode()[:8] for form in encoded)]
        for start in starts[key[:8].isalpha() :]:  # a key that begins with a plain word: "clinical"
            text = re.sub(re.escape(start) + r"[\w*.…+/=-]*", f"[{name}]", text)
    return text


def _words(error: openai.APIStatusError | NoCompletion) -> str:
    return without_key(words_of(error) or str(error))[:500]


def is_slow(error: BaseException | None) -> bool:
    """The endpoint took the request and did not reply in time."""
    return isinstance(error, openai.APITimeoutError) and not isinstance(
        error.__cause__, httpx2.ConnectTimeout
    )


def asked_seconds(error: BaseException | None) -> float | None:
    """What the Retry-After header asks for, a day at most; None if it asks for nothing readable."""
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
