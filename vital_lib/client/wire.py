"""Convert prompts to API requests and ledger entries, and responses to replies.

Pure functions: no network, no retries, no clock. ``images`` encodes the images; the ledger stores
only their content hash and size.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx2
from pydantic import BaseModel

from vital_lib.client.bodies import as_text, clean, read_body
from vital_lib.client.entries import Entry, Line, Request
from vital_lib.client.faults import fault_of, without_key
from vital_lib.client.images import Images
from vital_lib.client.prices import ImageRule, Price
from vital_lib.figures import FigureImage, refusal_of
from vital_lib.prompts import Prompt, UnreadableReply, parse
from vital_lib.receipts import Receipt, receipt_of_file
from vital_lib.seeds import hash31

_SAME_FIELD = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


@dataclass(frozen=True)
class Reply:
    """The reply to one prompt.

    Args:
        reply_id: the key of the request and reply in the ledger (``Ledger.trace``).
        value: the reply parsed into the prompt's schema; None if that is not possible.
        text: the raw reply; for an unusable reply that was paid for, the response body.
        reason: why `value` is None; None if there is a value.
        seconds: duration of the request that returned the reply.
        usd: the cost at the price on that day; None if unknown.
        receipts: of the images sent, in their order; empty for a reply of an earlier release.
    """

    reply_id: str
    value: Any
    text: str
    reason: str | None
    tokens_in: int
    tokens_out: int
    seconds: float
    usd: float | None = 0.0
    receipts: tuple[Receipt, ...] = ()


def make_request(model: str, prompt: Prompt, rule: ImageRule, **options: Any) -> Request:
    """Build the ledger's request for a prompt, with images by content hash.

    Args:
        options: seed and other fields of `Request`.

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
        **options,
    )


def by_length(text: str) -> int:
    """Estimate the tokens of a text from its length, for any model."""
    return len(text) // 4


def count_tokens(prompt: Prompt, rule: ImageRule, count: Callable[[str], int] = by_length) -> int:
    """Estimate a prompt's tokens: its texts, the reply schema, and its images by the rule."""
    parts = [part for message in prompt.messages for part in message["content"]]
    texts = [schema_text(prompt.schema), *(part for part in parts if isinstance(part, str))]
    images = (rule.tokens(figure.width, figure.height) for figure in figures_of(prompt))
    return sum(map(count, texts)) + sum(images)


@functools.cache
def schema_text(schema: type[BaseModel]) -> str:
    """Return the JSON schema of the reply, as sent."""
    return json.dumps(schema.model_json_schema())


def figures_of(prompt: Prompt) -> list[FigureImage]:
    """Return the images in a prompt, in order."""
    parts = (part for message in prompt.messages for part in message["content"])
    return [part for part in parts if isinstance(part, FigureImage)]


def why_held(prompt: Prompt) -> str | None:
    """Return why a prompt may not leave, by its images and by what its texts are about, or None."""
    images = refusal_of(figure.clearance for figure in figures_of(prompt))
    return images or refusal_of(prompt.about)


def make_body(
    request: Request, prompt: Prompt, images: Images, *, without: Collection[str] = ()
) -> dict[str, Any]:
    """Build the JSON body of a request, with images encoded as JPEG.

    Args:
        without: fields that the server rejects: seed, the images' detail, and response_format (a
            message then states the schema). max_tokens and max_completion_tokens replace each
            other.

    Raises:
        UnreadableImage: an image file has changed since it was opened.
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
    if "response_format" not in without:
        return {**body, "response_format": _response_format(prompt.schema)}
    words = f"Answer with nothing but JSON that fits this schema: {schema_text(prompt.schema)}"
    return {**body, "messages": [*messages, {"role": "user", "content": words}]}


def seed_sent(request: Request) -> int:
    """Return the seed to send: the request's seed; from attempt 1 on, a seed derived from it."""
    if request.attempt == 0:
        return request.seed
    return hash31(f"{request.seed}/0/{request.attempt}")


def fields_sent(request: Request, rule: ImageRule, without: Collection[str]) -> set[str]:
    """Return the fields of a request's body that an endpoint may reject."""
    given = {_SAME_FIELD.get(n, n) if n in without else n for n in request.parameters}
    detail = {"detail"} if rule.detail else set()
    return {*given, "seed", "response_format", *detail}.difference(without)


def receipts_of(body: dict[str, Any]) -> list[Receipt]:
    """Return the receipt of each image in a request body; without an image, one that says so."""
    urls = [
        part["image_url"]["url"]
        for message in body["messages"]
        for part in (message["content"] if isinstance(message["content"], list) else ())
        if part["type"] == "image_url"
    ]
    return [_receipt_of_url(url) for url in urls] or [Receipt()]


@functools.lru_cache(maxsize=64)  # one image is sent with several prompts
def _receipt_of_url(url: str) -> Receipt:
    return receipt_of_file(base64.b64decode(url.partition(",")[2]), None)


def make_entry(
    response: httpx2.Response,
    seconds: float,
    price: Price,
    request: Request | Line,
    receipts: Sequence[Receipt],
) -> Entry:
    """Convert the response to a request that carried the images of `receipts` to a ledger entry.

    An unusable reply that cost tokens becomes an unanswered entry with the response body and the
    reason. Token counts that the endpoint omits or states wrongly are estimated by length.

    Raises:
        FAULTS: there is no reply, and no sign that anything was charged for.
    """
    body = read_body(response.content)
    if body.fault is not None and not body.paid:
        raise fault_of(response, body)
    text = body.text
    if body.fault is not None or (not text and body.finish_reason == "length"):
        text = as_text(response.content)
    tokens_in = body.tokens_in or request.tokens_in
    tokens_out = body.tokens_out
    if tokens_out is None or (tokens_out == 0 and body.fault is None):
        tokens_out = by_length(text + (body.refusal or ""))
    return Entry(
        answered=body.fault is None,
        text=without_key(text),
        refusal=without_key(body.refusal) if body.refusal else None,
        finish_reason=body.finish_reason,
        error=None if body.fault is None else without_key(body.fault)[:500],
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        seconds=seconds,
        usd=price.usd(tokens_in, tokens_out),
        attempt=request.attempt,
        receipts=json.dumps([r._replace(image_tokens=body.image_tokens) for r in receipts]),
    )


def make_reply(prompt: Prompt, request: Request, entry: Entry) -> Reply:
    """Build the reply to a prompt from its ledger entry; without a value it has a reason."""
    value, reason = None, _why_not(entry)
    if reason is None:
        try:
            value = parse(prompt, entry.text)
        except UnreadableReply as error:
            reason = str(error)
    return Reply(
        replace(request, attempt=entry.attempt).reply_id if entry.attempt else request.reply_id,
        value, entry.text, reason, entry.tokens_in, entry.tokens_out, entry.seconds, entry.usd,
        tuple(Receipt(*row) for row in json.loads(entry.receipts or "[]")),
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
    """Return the API's response_format for a schema."""
    content = json.loads(schema_text(schema))
    named = {"name": schema.__name__, "strict": True, "schema": content}
    return {"type": "json_schema", "json_schema": named}


def _kept(message: dict[str, Any]) -> str:
    """Return a message as the ledger stores it: JSON text, with images by content hash."""
    parts = message["content"]
    content = [_text(part) if isinstance(part, str) else _by_hash(part) for part in parts]
    return json.dumps({"role": message["role"], "content": content}, ensure_ascii=False)


def _text(text: str) -> str:
    """Return a text without lone surrogates, which cannot be sent or stored."""
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
        # Some servers' chat templates accept plain text only as a string, not as parts.
        return {"role": message["role"], "content": _text(parts[0])}
    return {"role": message["role"], "content": [_part(part, images, detail) for part in parts]}


def _part(part: str | FigureImage, images: Images, detail: dict[str, str]) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": _text(part)}
    url = images.encoded(part).result()
    return {"type": "image_url", "image_url": {"url": url, **detail}}
