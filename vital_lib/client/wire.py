"""Between prompts and the API's JSON: what is sent, what is kept of it, how a reply is read.

Pure functions: no network, no retries, no clock. Images come encoded from ``images``, and are kept
in the ledger by content hash and size alone.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import httpx2
from pydantic import BaseModel

from vital_lib.client.bodies import as_text, clean, read_body
from vital_lib.client.faults import fault_of, without_key
from vital_lib.client.images import Images
from vital_lib.client.ledger import Entry, Request
from vital_lib.client.prices import ImageRule, Price
from vital_lib.figures import FigureImage
from vital_lib.prompts import Prompt, UnreadableReply, parse

_SAME_FIELD = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


@dataclass(frozen=True)
class Reply:
    """What came back for one prompt.

    Args:
        reply_id: finds the request and the reply in the ledger (``Ledger.trace``).
        value: the reply as the prompt's schema; None where there is none to be had.
        text: the raw reply; of one that was paid for and is of no use, the body that held it.
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


def make_request(model: str, prompt: Prompt, rule: ImageRule, **asked: Any) -> Request:
    """What decides the reply, images by content hash.

    Args:
        asked: seed, repeat, and whatever else `Request` takes.

    Raises:
        TypeError: a message holds anything but text and images from `figures.open_image`.
    """
    return Request(
        model=model,
        prompt=prompt.name,
        prompt_version=prompt.version,
        messages=tuple(map(_kept, prompt.messages)),
        schema=hashlib.sha256(schema_text(prompt.schema).encode()).hexdigest(),
        image_rule=str(rule),
        tokens_in=count_tokens(prompt, rule),
        **asked,
    )


def by_length(text: str) -> int:
    """About how many tokens a text takes, whatever the model."""
    return len(text) // 4


def count_tokens(prompt: Prompt, rule: ImageRule, count: Callable[[str], int] = by_length) -> int:
    """About what a prompt takes: its texts, the form of the reply, and its images by their rule."""
    parts = [part for message in prompt.messages for part in message["content"]]
    texts = [schema_text(prompt.schema), *(part for part in parts if isinstance(part, str))]
    images = (rule.tokens(one.width, one.height) for one in figures_of(prompt))
    return sum(map(count, texts)) + sum(images)


@functools.cache
def schema_text(schema: type[BaseModel]) -> str:
    """The JSON schema that a reply must fit, as it is sent."""
    return json.dumps(schema.model_json_schema())


def figures_of(prompt: Prompt) -> list[FigureImage]:
    """The images that a prompt shows, in order."""
    parts = (part for message in prompt.messages for part in message["content"])
    return [part for part in parts if isinstance(part, FigureImage)]


def make_body(
    request: Request,
    prompt: Prompt,
    images: Images,
    *,
    plain: bool = False,
    without: Collection[str] = (),
) -> dict[str, Any]:
    """The JSON body of the request, images encoded as JPEG.

    Args:
        plain: say in words what form the reply must have, for a server that takes no JSON schema.
        without: fields that the server refuses: response_format (as `plain`), seed, detail of
            images; of max_tokens and max_completion_tokens each gives way to the other.

    Raises:
        UnreadableImage: an image file is not the one that was opened any more.
    """
    detail = {} if "detail" in without or not images.rule.detail else {"detail": images.rule.detail}
    messages = [_sent(message, images, detail) for message in prompt.messages]
    given = {
        _SAME_FIELD.get(name, name) if name in without else name: value
        for name, value in request.parameters.items()
    }
    body = {**given, "model": request.model, "messages": messages}
    if "seed" not in without:
        body["seed"] = seed_sent(request)
    if not plain and "response_format" not in without:
        return {**body, "response_format": _response_format(prompt.schema)}
    words = f"Answer with nothing but JSON that fits this schema: {schema_text(prompt.schema)}"
    return {**body, "messages": [*messages, {"role": "user", "content": words}]}


def seed_sent(request: Request) -> int:
    """The request's seed itself, and another number for every repeat and every attempt."""
    if request.repeat == request.attempt == 0:
        return request.seed
    text = f"{request.seed}/{request.repeat}" + (f"/{request.attempt}" if request.attempt else "")
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) >> 1


def make_entry(response: httpx2.Response, seconds: float, price: Price, request: Request) -> Entry:
    """What the ledger keeps of a response.

    One that has cost tokens and is of no use, whatever its form, is no answer; it has the body as
    it came and a reason. Tokens that the endpoint does not tell, or as no number of tokens that
    there can be, are counted as before an estimate, by length.

    Raises:
        FAULTS: there is no reply, and no sign that anything was charged for.
    """
    said = read_body(response.content)
    if said.fault is not None and not said.paid:
        raise fault_of(response, said)
    text = said.text
    if said.fault is not None or (not text and said.finish_reason == "length"):
        text = as_text(response.content)
    tokens_in = said.tokens_in or request.tokens_in
    tokens_out = said.tokens_out
    if tokens_out is None or (tokens_out == 0 and said.fault is None):
        tokens_out = by_length(text + (said.refusal or ""))
    return Entry(
        answered=said.fault is None,
        text=without_key(text),
        refusal=without_key(said.refusal) if said.refusal else None,
        finish_reason=said.finish_reason,
        error=None if said.fault is None else without_key(said.fault)[:500],
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        seconds=seconds,
        usd=price.usd(tokens_in, tokens_out),
        attempt=request.attempt,
    )


def make_reply(prompt: Prompt, request: Request, entry: Entry) -> Reply:
    """The reply to a prompt from what the ledger keeps; without a value it has a reason."""
    value, reason = None, _why_not(entry)
    if reason is None:
        try:
            value = parse(prompt, entry.text)
        except UnreadableReply as error:
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
def _response_format(schema: type[BaseModel]) -> dict[str, Any]:
    """The API's response_format for a schema."""
    content = json.loads(schema_text(schema))
    named = {"name": schema.__name__, "strict": True, "schema": content}
    return {"type": "json_schema", "json_schema": named}


def _kept(message: dict[str, Any]) -> str:
    """A message as it is kept in the ledger: JSON text, each image by its content hash."""
    parts = message["content"]
    content = [_text(part) if isinstance(part, str) else _by_hash(part) for part in parts]
    return json.dumps({"role": message["role"], "content": content}, ensure_ascii=False)


def _text(text: str) -> str:
    """A text as it can be sent and kept."""
    return text if text.isascii() else clean(text)


def _by_hash(part: Any) -> dict[str, Any]:
    if not isinstance(part, FigureImage):
        raise TypeError(
            f"a message holds a {type(part).__name__}; only text and images that "
            "figures.open_image has checked may be sent"
        )
    return {"image": part.shown_as, "size": (part.width, part.height)}


def _sent(message: dict[str, Any], images: Images, detail: dict[str, str]) -> dict[str, Any]:
    parts = message["content"]
    if len(parts) == 1 and isinstance(parts[0], str):
        # Plain text as a plain string: some servers' chat templates take nothing else.
        return {"role": message["role"], "content": _text(parts[0])}
    return {"role": message["role"], "content": [_part(part, images, detail) for part in parts]}


def _part(part: str | FigureImage, images: Images, detail: dict[str, str]) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": _text(part)}
    url = images.encoded(part).result()
    return {"type": "image_url", "image_url": {"url": url, **detail}}
