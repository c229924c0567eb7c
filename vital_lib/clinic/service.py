"""The clinic's models behind the API of real models: chat completions and the list of models.

The ordinary client takes the transport, so the embedded models use the same code path as real ones;
`server` serves the same API over a socket. The same request always gets the same reply: random
draws depend only on the request and on the service's seed, never on time, order or concurrency.
Independent of tables, runs and the ground truth.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from vital_lib.clinic.generator import write_conversation, write_drafts, write_text
from vital_lib.clinic.judges import SECOND, compare, rate, score
from vital_lib.clinic.rates import DEFAULT_RATES, Rates
from vital_lib.clinic.requests import BadRequest, count_images, randomness, task, texts

MODELS = ("clinic", SECOND)
"""The models served: the generator and rating judge, and the second judge."""

CHARACTERS_PER_TOKEN, TOKENS_PER_IMAGE = 4, 85

_TASKS: dict[str, Callable[[Mapping[str, Any], Rates, int], dict[str, Any]]] = {
    "Drafts": write_drafts,
    "Conversation": write_conversation,
    "Rating": rate,
    "ChatScores": score,
    "Verdict": compare,
}


class _Refused(Exception):
    """An error reply in the API's format."""

    def __init__(self, status: int, message: str, param: str | None, code: str | None) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


def transport(rates: Rates = DEFAULT_RATES, seed: int = 0) -> httpx2.MockTransport:
    """Return a transport that calls `respond`, for a client in this process."""

    async def handle(request: httpx2.Request) -> httpx2.Response:
        status, reply = respond(request.method, request.url.path, request.content, rates, seed)
        return httpx2.Response(status, json=reply)

    return httpx2.MockTransport(handle)


def respond(
    method: str, path: str, content: bytes, rates: Rates = DEFAULT_RATES, seed: int = 0
) -> tuple[int, dict[str, Any]]:
    """Return status and JSON of the reply to POST .../chat/completions or GET .../models.

    Errors have the API's format: 404 for an unknown URL or model, 405 for a wrong method, and 400
    with the field name for an invalid request.
    """
    try:
        if path.endswith("/models"):
            _check_method(method, "GET")
            return 200, _listed()
        return 200, _completion(_body(method, path, content), rates, seed)
    except _Refused as error:
        return error.status, _error(str(error), error.param, error.code)
    except BadRequest as error:
        return 400, _error(str(error), error.param, None)


def _check_method(method: str, wanted: str) -> None:
    if method != wanted:
        raise _Refused(405, f"{method} is not allowed here; use {wanted}", None, None)


def _listed() -> dict[str, Any]:
    models = [
        {"id": name, "object": "model", "created": 0, "owned_by": "clinic"} for name in MODELS
    ]
    return {"object": "list", "data": models}


def _body(method: str, path: str, content: bytes) -> Mapping[str, Any]:
    if not path.endswith("/chat/completions"):
        raise _Refused(404, f"Unknown request URL: {method} {path}", None, None)
    _check_method(method, "POST")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _Refused(400, f"The body is not JSON: {error}", None, None) from None
    if not isinstance(body, dict):
        raise _Refused(400, "The body is not a JSON object", None, None)
    if body.get("model") not in MODELS:
        message = f"The model {str(body.get('model'))!r} does not exist; use one of {MODELS}"
        raise _Refused(404, message, "model", "model_not_found")
    if body.get("stream"):
        raise _Refused(400, "stream is not supported; leave it out", "stream", None)
    return body


def _completion(body: Mapping[str, Any], rates: Rates, seed: int) -> dict[str, Any]:
    """Return the reply in the API's format, cut at the token limit if the request sets one."""
    name = task(body)
    if name is None:
        content = write_text(body, rates, seed)
    elif name in _TASKS:
        content = json.dumps(_TASKS[name](body, rates, seed))
    else:
        known = ", ".join(_TASKS)
        raise BadRequest(f"schema {name!r} is unknown; the clinic knows {known}", "response_format")
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    cut = isinstance(limit, int) and len(content) > limit * CHARACTERS_PER_TOKEN
    if cut:
        content = content[: limit * CHARACTERS_PER_TOKEN]
    return {
        "id": f"chatcmpl-{randomness(body, seed).getrandbits(96):024x}",
        "object": "chat.completion",
        "created": 0,  # no clock, so that the same request gets the same bytes
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "finish_reason": "length" if cut else "stop",
                "message": {"role": "assistant", "content": content, "refusal": None},
                "logprobs": None,
            }
        ],
        "usage": _usage(body, content),
    }


def _usage(body: Mapping[str, Any], content: str) -> dict[str, int]:
    characters = sum(len(text) for _, text in texts(body))
    prompt = characters // CHARACTERS_PER_TOKEN + TOKENS_PER_IMAGE * count_images(body)
    reply = len(content) // CHARACTERS_PER_TOKEN
    return {"prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": prompt + reply}


def _error(message: str, param: str | None, code: str | None) -> dict[str, Any]:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return {"error": error}
