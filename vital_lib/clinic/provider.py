"""Decide how a model provider answers each request (limits, faults, replies), and count requests.

`server` sends the answers over a socket, and `service` computes the replies. Stores hashes of
request bodies, never bodies or headers.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vital_lib.clinic.batches import Batches
from vital_lib.clinic.dials import Dials
from vital_lib.clinic.service import respond

_RATE_LIMITED = (429, "Rate limit reached; try again later", "requests", "rate_limit_exceeded")
_ERRORS = {
    "rate_limited": _RATE_LIMITED,
    "rate_limited_after": _RATE_LIMITED,
    "limit": _RATE_LIMITED,
    "server_error": (500, "The server had an error; try again", "server_error", None),
    "wrong_key": (401, "Incorrect API key provided", "invalid_request_error", "invalid_api_key"),
}
_OF_BATCHES = re.compile(r"/(?:files|batches)(?:/|$)")
_TURNED_AWAY = ("limit", "wrong_key", "bad_request")
_CRITERIA = (
    *("scope", "tuning_value", "alignment", "accuracy", "utility"),
    *("image_use", "clarity", "depth", "precision"),
)
_RESPONSE = "The image shows a rounded lesion with a smooth margin, of which the text says no more."
_ASKED = {"instruction": "What does the image show?", "question_type": "open"}
_FIXED: Mapping[str, Any] = {
    "Conversation": {"rounds": [{**_ASKED, "response": _RESPONSE}] * 5},
    "Drafts": {"questions": [{**_ASKED, "response_a": _RESPONSE, "response_b": "A lesion."}] * 4},
    "Rating": {"rationale": _RESPONSE, "criteria": dict.fromkeys(_CRITERIA, 7), "overall": 7},
    "ChatScores": {"rationale": _RESPONSE, "first": 8, "second": 7},
    "Verdict": {"rationale": _RESPONSE, "winner": "tie"},
}
_FIXED_TOKENS = {"prompt_tokens": 1000, "completion_tokens": 150, "total_tokens": 1150}


@dataclass(frozen=True)
class Answer:
    """The answer to one request.

    Args:
        kind: "answered", a name of FAULTS, an immediate refusal ("limit", "wrong_key",
            "bad_request"); not counted are "page", and "lost", which is done but not answered.
        seconds: delay before it is sent.
        tokens: prompt and completion tokens, as in the body's usage.
        asked: hash of the request body.
    """

    kind: str
    status: int = 0
    body: bytes = b""
    seconds: float = 0.0
    retry_after: float | None = None
    tokens: tuple[int, int] = (0, 0)
    asked: bytes = b""


class Provider:
    """Answers requests according to the dials, and counts them.

    The caller passes every answer of `receive` to `finish`, once it is sent or the client has
    disconnected.

    Args:
        clock: monotonic clock, in seconds.
    """

    def __init__(self, dials: Dials, clock: Callable[[], float] = time.monotonic) -> None:
        self._dials, self._clock = dials, clock
        self._batches = Batches(dials, self._reply, clock, time.time)
        self._taken: deque[float] = deque()  # times of requests accepted in the last second
        self._in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Restart the counts and the draws; requests in progress count as new ones."""
        self._since = self._clock()
        self._batches.reset()
        self._requests = self._most_in_flight = self._in_flight
        self._answered = self._abandoned = self._repeated = self._in = self._out = 0
        self._faults: Counter[str] = Counter()
        self._drawn: Counter[bytes] = Counter()  # number of draws by body
        self._known: set[bytes] = set()  # bodies answered before

    def stats(self) -> dict[str, Any]:
        """Return counts of requests and answers since the start or the last `reset`.

        At any time, requests = answered + abandoned + in_flight + the sum of faults.

        Returns:
            requests: chat completion requests.
            answered: complete replies.
            abandoned: requests whose client disconnected before the reply; a provider may charge
                for them.
            faults: number by kind (FAULTS, limit, wrong_key, bad_request).
            distinct: different request bodies.
            repeated: complete replies to a body answered before, so paid for twice.
            in_flight, most_in_flight: requests in progress, now and at most.
            tokens_in, tokens_out: tokens of all replies sent, complete or faulty.
            batches: counts of files and batches; see `Batches.stats`.
            seconds: time since the start or the last `reset`.
        """
        return {
            "requests": self._requests,
            "answered": self._answered,
            "abandoned": self._abandoned,
            "faults": dict(sorted(self._faults.items())),
            "distinct": len(self._drawn),
            "repeated": self._repeated,
            "in_flight": self._in_flight,
            "most_in_flight": self._most_in_flight,
            "tokens_in": self._in,
            "tokens_out": self._out,
            "batches": self._batches.stats(),
            "seconds": round(self._clock() - self._since, 3),
        }

    def receive(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return the answer to a request; `headers` has lower-case names."""
        path = target.partition("?")[0]
        if path in ("/stats", "/stats/reset"):
            return self._page(method, path)
        refused = self._refused(headers)
        if not path.endswith("/chat/completions"):
            if refused:
                return Answer("page", 401, refused.body)
            if _OF_BATCHES.search(path):
                lost = self._batches.loses(method, path)
                done = self._batches.respond(method, target, headers, body)
                return Answer("lost" if lost else "page", *done)
            return Answer("page", *_encoded(respond(method, path, body)))
        asked = hashlib.sha256(body).digest()
        self._drawn[asked] += 0
        answer = refused or self._limited() or self._decide(method, path, body, asked)
        self._requests += 1
        if answer.kind in _TURNED_AWAY:  # never in progress, so not counted towards at_once
            self._faults[answer.kind] += 1
            return answer
        self._in_flight += 1
        self._most_in_flight = max(self._most_in_flight, self._in_flight)
        return answer

    def work(self) -> bool:
        """Do one step of the batches; return whether there are more steps to do now."""
        return self._batches.work()

    def finish(self, answer: Answer, *, heard: bool) -> None:
        """Count an answer; `heard` is False if the client disconnected before it was sent."""
        if answer.kind in ("page", "lost", *_TURNED_AWAY):
            return
        self._in_flight -= 1
        if not heard and answer.kind != "hang":
            self._abandoned += 1
            return
        self._in += answer.tokens[0]
        self._out += answer.tokens[1]
        if answer.kind != "answered":
            self._faults[answer.kind] += 1
            return
        self._answered += 1
        self._repeated += answer.asked in self._known
        self._known.add(answer.asked)

    def _page(self, method: str, path: str) -> Answer:
        if path == "/stats/reset":
            if method != "POST":
                return Answer("page", 405, b'{"error": {"message": "use POST"}}')
            self.reset()
        return Answer("page", *_encoded((200, self.stats())))

    def _refused(self, headers: Mapping[str, str]) -> Answer | None:
        """Return 401 unless the key is sent in the header of OpenAI or of Azure."""
        if self._dials.key is None:
            return None
        sent = headers.get("authorization", "").removeprefix("Bearer ")
        sent = sent or headers.get("api-key", "")
        if hmac.compare_digest(sent.encode(), self._dials.key.encode()):
            return None
        return _failure("wrong_key")

    def _limited(self) -> Answer | None:
        """Return 429 if a limit is reached; otherwise register the request and return None."""
        dials, now = self._dials, self._clock()
        while self._taken and self._taken[0] <= now - 1:
            self._taken.popleft()
        wait = None
        if dials.at_once is not None and self._in_flight >= dials.at_once:
            wait = dials.retry_after
        elif dials.per_second is not None and len(self._taken) >= dials.per_second:
            wait = round(self._taken[0] + 1 - now, 3)
        if wait is None:
            self._taken.append(now)
            return None
        return _failure("limit", retry_after=wait if dials.says_when else None)

    def _decide(self, method: str, path: str, body: bytes, asked: bytes) -> Answer:
        fault, seconds = self._dials.draw(asked, self._drawn[asked])
        self._drawn[asked] += 1
        if fault in ("reset", "hang"):
            return Answer(fault, seconds=seconds)
        if fault in _ERRORS:
            after = self._dials.retry_after if fault == "rate_limited_after" else None
            return _failure(fault, seconds=seconds, retry_after=after)
        status, reply = self._reply(body, method, path)
        if status != 200:
            return Answer("bad_request", *_encoded((status, reply)))
        usage = reply["usage"]
        tokens = usage["prompt_tokens"], usage["completion_tokens"]
        spoilt = _spoilt(reply, fault)
        return Answer(fault or "answered", 200, spoilt, seconds, tokens=tokens, asked=asked)

    def _reply(
        self, body: bytes, method: str = "POST", path: str = "/chat/completions"
    ) -> tuple[int, dict[str, Any]]:
        if self._dials.reply == "fixed":
            return 200, _fixed(body)
        return respond(method, path, body, seed=self._dials.seed)


def _encoded(response: tuple[int, dict[str, Any]]) -> tuple[int, bytes]:
    return response[0], json.dumps(response[1]).encode()


def _failure(kind: str, *, seconds: float = 0.0, retry_after: float | None = None) -> Answer:
    status, message, type_, code = _ERRORS[kind]
    error = {"message": message, "type": type_, "param": None, "code": code}
    return Answer(kind, *_encoded((status, {"error": error})), seconds, retry_after)


def _fixed(body: bytes) -> dict[str, Any]:
    """Return the constant valid reply for the schema named in `body`, which is not parsed."""
    place = body.find(b'"json_schema"')
    tail = body[place : place + 200] if place >= 0 else b""
    name = next((name for name in _FIXED if f'"{name}"'.encode() in tail), "Conversation")
    message = {"role": "assistant", "content": json.dumps(_FIXED[name]), "refusal": None}
    return {
        "id": "chatcmpl-fixed",
        "object": "chat.completion",
        "created": 0,
        "model": "clinic",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}],
        "usage": _FIXED_TOKENS,
    }


def _spoilt(reply: dict[str, Any], fault: str | None) -> bytes:
    """Return the reply's JSON with the fault applied; the server itself cuts truncated replies."""
    message = reply["choices"][0]["message"]
    if fault == "refusal":
        message.update(content=None, refusal="I'm sorry, but I can't help with that.")
    elif fault == "empty":
        message["content"] = ""
    elif fault == "wrong_schema":
        message["content"] = json.dumps({"reply": message["content"]})
    whole = json.dumps(reply).encode()
    return whole[: len(whole) * 2 // 3] if fault == "malformed" else whole
