"""Between prompts and the API's JSON: what is sent, what is kept of it, how a reply is read.

Pure functions: no network, no retries, no clock. Images come encoded from ``images``, and are kept
in the ledger by content hash and size alone.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import httpx2
from pydantic import BaseModel, Field, ValidationError

from vital_lib.figures import FigureImage
from vital_lib.prompts import Prompt, Unread, parse
from vital_lib.vlm.faults import NoCompletion, without_key
from vital_lib.vlm.images import Images
from vital_lib.vlm.ledger import Entry, Request
from vital_lib.vlm.prices import ImageRule, Price


@dataclass(frozen=True)
class Reply:
    """What came back for one prompt.

    Args:
        reply_id: finds the request and the reply in the ledger (``Ledger.trace``).
        value: the reply as the prompt's schema; None where there is none to be had.
        text: the raw reply.
        reason: why `value` is None; None where it is not.
        seconds: what the request took that brought the reply.
        usd: what it cost at the price of its day.
    """

    reply_id: str
    value: BaseModel | None
    text: str
    reason: str | None
    tokens_in: int
    tokens_out: int
    seconds: float
    usd: float | None = 0.0


def make_request(
    model: str, prompt: Prompt, rule: ImageRule, *, seed: int, repeat: int, endpoint: str = ""
) -> Request:
    """What decides the reply, images by content hash and by the size that they are sent in.

    Raises:
        TypeError: a message holds anything but text and images from `figures.open_image`.
    """
    return Request(
        model=model,
        prompt=prompt.name,
        prompt_version=prompt.version,
        seed=seed,
        repeat=repeat,
        messages=tuple(_kept(message, rule) for message in prompt.messages),
        schema=_response_format(prompt.schema)[1],
        endpoint=endpoint,
    )


def figures_of(prompt: Prompt) -> list[FigureImage]:
    """The images that a prompt shows, in order."""
    parts = (part for message in prompt.messages for part in message["content"])
    return [part for part in parts if isinstance(part, FigureImage)]


def make_body(
    request: Request, prompt: Prompt, images: Images, *, plain: bool = False
) -> dict[str, Any]:
    """The JSON body of the request, images encoded as JPEG.

    Args:
        plain: say in words what form the reply must have, for a server that takes no JSON schema.

    Raises:
        UnreadableImage: an image file is not the one that was opened any more.
    """
    messages = [_sent(message, images) for message in prompt.messages]
    body = {"model": request.model, "messages": messages, "seed": seed_sent(request)}
    form = _response_format(prompt.schema)[0]
    if not plain:
        return {**body, "response_format": form}
    wanted = json.dumps(form["json_schema"]["schema"])
    words = f"Answer with nothing but JSON that fits this schema: {wanted}"
    return {**body, "messages": [*messages, {"role": "user", "content": words}]}


def seed_sent(request: Request) -> int:
    """The request's seed itself, and another number for every repeat and every attempt."""
    if request.repeat == request.attempt == 0:
        return request.seed
    text = f"{request.seed}/{request.repeat}" + (f"/{request.attempt}" if request.attempt else "")
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) >> 1


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


def make_entry(response: httpx2.Response, seconds: float, price: Price, attempt: int = 0) -> Entry:
    """What the ledger keeps of a response. An empty reply does not count as an answer.

    Raises:
        NoCompletion: the response is not a chat completion, or not all of one.
    """
    try:
        completion = _Completion.model_validate_json(response.content)
    except ValidationError:
        raise NoCompletion(without_key(response.text)[:2000]) from None
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
        usd=price.usd(usage.prompt_tokens, usage.completion_tokens),
        attempt=attempt,
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
        replace(request, attempt=entry.attempt).reply_id if entry.attempt else request.reply_id,
        value, entry.text, reason, entry.tokens_in, entry.tokens_out, entry.seconds, entry.usd,
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


def _kept(message: dict[str, Any], rule: ImageRule) -> str:
    """A message as it is kept in the ledger: JSON text, each image by its content hash."""
    parts = message["content"]
    content = [part if isinstance(part, str) else _by_hash(part, rule) for part in parts]
    return json.dumps({"role": message["role"], "content": content}, ensure_ascii=False)


def _by_hash(part: Any, rule: ImageRule) -> dict[str, Any]:
    if not isinstance(part, FigureImage):
        raise TypeError(
            f"a message holds a {type(part).__name__}; only text and images that "
            "figures.open_image has checked may be sent"
        )
    detail = {"detail": rule.detail} if rule.detail else {}
    return {"image": part.sha256, "size": rule.fit(part.width, part.height), **detail}


def _sent(message: dict[str, Any], images: Images) -> dict[str, Any]:
    parts = message["content"]
    if len(parts) == 1 and isinstance(parts[0], str):
        # Plain text as a plain string: some servers' chat templates take nothing else.
        return {"role": message["role"], "content": parts[0]}
    return {"role": message["role"], "content": [_part(part, images) for part in parts]}


def _part(part: str | FigureImage, images: Images) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    detail = {"detail": images.rule.detail} if images.rule.detail else {}
    url = images.encoded(part).result()
    return {"type": "image_url", "image_url": {"url": url, **detail}}
