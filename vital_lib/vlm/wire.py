"""Between prompts and the API's JSON: what is sent, what is kept of it, how a reply is read.

Pure functions: no network, no retries, no clock. Images are encoded here, at sending, and kept in
the ledger by content hash alone.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from dataclasses import dataclass
from typing import Any

import httpx2
from pydantic import BaseModel, Field, ValidationError

from vital_lib.figures import FigureImage
from vital_lib.prompts import Prompt, Unread, parse
from vital_lib.vlm.faults import without_key
from vital_lib.vlm.ledger import Entry, Request

MAX_SIDE = 768
"""No side of an image is sent with more pixels than this."""


@dataclass(frozen=True)
class Reply:
    """What came back for one prompt.

    Args:
        reply_id: finds the request and the reply in the ledger (``Ledger.trace``).
        value: the reply as the prompt's schema; None where there is none to be had.
        text: the raw reply.
        reason: why `value` is None; None where it is not.
        seconds: what the request took that brought the reply.
    """

    reply_id: str
    value: BaseModel | None
    text: str
    reason: str | None
    tokens_in: int
    tokens_out: int
    seconds: float


def make_request(model: str, prompt: Prompt, *, seed: int, repeat: int) -> Request:
    """What decides the reply, images by content hash.

    Raises:
        TypeError: a message holds anything but text and images from `figures.open_image`.
    """
    return Request(
        model=model,
        prompt=prompt.name,
        prompt_version=prompt.version,
        seed=seed,
        repeat=repeat,
        messages=tuple(_kept(message) for message in prompt.messages),
        schema=_response_format(prompt.schema)[1],
    )


def make_body(request: Request, prompt: Prompt) -> dict[str, Any]:
    """The JSON body of the request, images encoded as JPEG.

    Raises:
        UnreadableImage: an image file is not the one that was opened any more.
    """
    return {
        "model": request.model,
        "messages": [_sent(message) for message in prompt.messages],
        "response_format": _response_format(prompt.schema)[0],
        "seed": seed_sent(request.seed, request.repeat),
    }


def seed_sent(seed: int, repeat: int) -> int:
    """`seed` itself, and another number for every repeat of it."""
    if repeat == 0:
        return seed
    return int(hashlib.sha256(f"{seed}/{repeat}".encode()).hexdigest()[:8], 16) >> 1


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(BaseModel):
    """What is read of the API's reply; some endpoints leave the rest out."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


def make_entry(response: httpx2.Response, seconds: float) -> Entry:
    """What the ledger keeps of a response. An empty reply does not count as an answer."""
    try:
        completion = _Completion.model_validate_json(response.content)
    except ValidationError:
        failure = "the endpoint answered with no chat completion; is base_url right?"
        said = without_key(response.text)[:2000]
        return Entry(answered=False, text=said, error=failure, seconds=seconds)
    choice, usage = completion.choices[0], completion.usage or _Usage()
    text, refusal = choice.message.content or "", choice.message.refusal
    return Entry(
        answered=bool(text.strip() or refusal) or choice.finish_reason == "content_filter",
        text=without_key(text),
        refusal=without_key(refusal) if refusal else None,
        finish_reason=choice.finish_reason,
        tokens_in=usage.prompt_tokens,
        tokens_out=usage.completion_tokens,
        seconds=seconds,
    )


def make_reply(prompt: Prompt, request: Request, entry: Entry) -> Reply:
    """The reply to a prompt from what the ledger keeps; without a value it has a reason."""
    value, reason = None, _why_not(entry)
    if reason is None:
        try:
            value = parse(prompt, entry.text)
        except Unread as error:
            reason = str(error)
    return Reply(
        request.reply_id, value, entry.text, reason,
        entry.tokens_in, entry.tokens_out, entry.seconds,
    )  # fmt: skip


def _why_not(entry: Entry) -> str | None:
    if entry.error:
        return entry.error
    if entry.refusal:
        return f"refused: {entry.refusal}"
    if entry.finish_reason == "content_filter":
        return "held back by the endpoint's content filter"
    if entry.finish_reason == "length":
        return "cut off at the model's token limit"
    return None if entry.text.strip() else "empty reply"


@functools.cache
def _response_format(schema: type[BaseModel]) -> tuple[dict[str, Any], str]:
    """The API's response_format for a schema, and the schema's hash."""
    content = schema.model_json_schema()
    named = {"name": schema.__name__, "strict": True, "schema": content}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return {"type": "json_schema", "json_schema": named}, digest


def _kept(message: dict[str, Any]) -> str:
    """A message as it is kept in the ledger: JSON text, each image by its content hash."""
    content = [part if isinstance(part, str) else _by_hash(part) for part in message["content"]]
    return json.dumps({"role": message["role"], "content": content}, ensure_ascii=False)


def _by_hash(part: Any) -> dict[str, Any]:
    if not isinstance(part, FigureImage):
        raise TypeError(
            f"a message holds a {type(part).__name__}; only text and images that "
            "figures.open_image has checked may be sent"
        )
    return {"image": part.sha256, "max_side": MAX_SIDE}


def _sent(message: dict[str, Any]) -> dict[str, Any]:
    parts = message["content"]
    if len(parts) == 1 and isinstance(parts[0], str):
        # Plain text as a plain string: some servers' chat templates take nothing else.
        return {"role": message["role"], "content": parts[0]}
    return {"role": message["role"], "content": [_part(part) for part in parts]}


def _part(part: str | FigureImage) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    encoded = base64.b64encode(part.jpeg(MAX_SIDE)).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{encoded}"}}
