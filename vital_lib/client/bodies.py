"""Parse response bodies: the reply, the error and the token counts.

OpenAI-compatible endpoints differ in their bodies: content as parts, unrequested stream chunks,
errors with status 200, errors in many shapes. This module has pure functions of bytes and JSON
values and does not depend on prompts, prices or networks.
"""

from __future__ import annotations

import contextlib
import html
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pydantic_core

from vital_lib.client.other_apis import named_api

_MOST_TOKENS = 10**8  # in one request; larger counts are treated as invalid
_DEEP = 8  # levels of nesting that are searched
_TOKENS_IN = ("prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count")
_TOKENS_IN += ("inputTokens", "prompt_token_count")
_TOKENS_OUT = ("completion_tokens", "output_tokens", "candidatesTokenCount", "eval_count")
_TOKENS_OUT += ("outputTokens", "candidates_token_count", "generated_tokens")
_TOTALS = ("total_tokens", "totalTokenCount", "totalTokens", "total_token_count")
_TOKENS = {*_TOKENS_IN, *_TOKENS_OUT, *_TOTALS}
_DETAILS = ("prompt_tokens_details", "input_tokens_details", "promptTokensDetails")
# Further counts that are charged for and not included in the count under the key.
_FURTHER = {
    "input_tokens": ("cache_creation_input_tokens", "cache_read_input_tokens"),
    "inputTokens": ("cacheReadInputTokens", "cacheWriteInputTokens"),
    "promptTokenCount": ("toolUsePromptTokenCount",),
    "candidatesTokenCount": ("thoughtsTokenCount",),
}
_STATED = re.compile(rf'"({"|".join(_TOKENS)})"\s*:\s*"?(\d+)')
# Fields that hold an error's message, in the order in which they are reported.
_ERROR_KEYS = ("title", "error", "errors", "message", "msg", "detail", "details", "reason")
_ERROR_KEYS += ("description", "error_description", "error_message", "error_msg", "metadata", "raw")
_ERROR_KEYS += ("Message", "exception", "fault", "faultstring")
_TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.S | re.I)
_STATUSES = {  # HTTP status of errors that state a word instead of a number
    "invalid_request_error": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "server_error": 500,
    "overloaded_error": 503,
}
_UNREAD = ("tool_calls", "function_call", "reasoning", "reasoning_content")  # fields of a message
_IMAGE = re.compile(r"data:image/[\w.+-]+;base64,[\w+/=\\]+")
_ASIDE = re.compile(r":|(?:event|id|retry):")  # lines of a stream that hold no chunk


@dataclass(frozen=True)
class Said:
    """The parsed content of a response body.

    Args:
        text: the reply, its parts joined; empty if there is none.
        refusal: the content of the refusal field.
        fault: why the body has no reply; None if it has a reply or a refusal, or if the
            endpoint cut the reply off or filtered it.
        error: the endpoint's error message; empty if there is no error.
        status: the HTTP status stated by an error in the body.
        code: the error code, if it is a known word.
        written: whether the model produced any output, even output without text.
        tokens_in, tokens_out: the stated counts; None if missing or invalid.
        image_tokens: the stated count of image tokens among `tokens_in`; None if not stated.
    """

    text: str = ""
    refusal: str | None = None
    finish_reason: str | None = None
    fault: str | None = None
    error: str = ""
    status: int | None = None
    code: str | None = None
    written: bool = False
    tokens_in: int | None = None
    tokens_out: int | None = None
    image_tokens: int | None = None

    @property
    def paid(self) -> bool:
        """Whether the body states tokens or holds model output."""
        return self.written or bool(self.tokens_in or self.tokens_out)


def read_body(raw: bytes) -> Said:
    """Parse the body of a response to a chat completion request."""
    value = _value_of(raw)
    value = _joined(value) if isinstance(value, list) else value
    tokens_in, tokens_out = _tokens_of(value, raw)
    common: dict[str, Any] = {"tokens_in": tokens_in, "tokens_out": tokens_out}
    common["image_tokens"] = _image_tokens(_usage_in(value))
    if not isinstance(value, dict):
        if api := named_api(value):
            return Said(fault=f"a body without choices: {api}", written=True, **common)
        words = words_of(value)
        page = raw.lstrip()[:1] == b"<"  # a web page is not an error message about the request
        fault = words or "a body that is not JSON, or is truncated JSON"
        return Said(fault=fault, error="" if page else words, **common)
    choice = _first(value.get("choices"))
    message = _message_of(choice)
    text, refusal = _parts(message.get("content"))
    refusal += "".join(_parts(message.get("refusal")))
    ended = choice.get("finish_reason")
    common["finish_reason"] = None if ended is None else clean(str(ended))
    wrong = _error_of(value, choice, bool(message))
    if refusal or (text.strip() and not (wrong and ended in (None, "error"))):
        return Said(text=clean(text), refusal=clean(refusal) or None, written=True, **common)
    if wrong:
        words = words_of(wrong)
        status, code = _status_of(wrong)
        return Said(
            fault=f"an error instead of a reply: {words}", error=words, status=status, code=code,
            written=bool(text), **common,
        )  # fmt: skip
    api = None if "choices" in value else named_api(value)
    if api:
        return Said(fault=f"a body without choices: {api}", written=True, **common)
    held_back = message and ended in ("length", "content_filter")
    fault = None if held_back else _emptiness(value, choice, message)
    return Said(fault=fault, written=bool(message), **common)


def error_words(raw: bytes) -> str:
    """Return the endpoint's error message from an error body, in any known shape."""
    return words_of(_value_of(raw)) or words_of(raw.decode(errors="replace"))


def words_of(value: Any, depth: int = 0) -> str:
    """Return the error message in a text, a list of errors, or an object's message fields.

    An object without message fields is returned whole, as JSON.
    """
    if isinstance(value, str):
        inner = _value_of(value.encode(errors="replace")) if value.lstrip()[:1] in ("{", "[") else 0
        return words_of(inner, depth + 1) if inner and depth < _DEEP else _plain(value)
    if depth >= _DEEP or not isinstance(value, dict | list):
        return ""
    if isinstance(value, list):
        return "; ".join(_distinct(words_of(item, depth + 1) for item in value))
    found = [words_of(value[name], depth + 1) for name in _ERROR_KEYS if name in value]
    about = value.get("loc") or value.get("param")
    about = ".".join(map(str, about)) if isinstance(about, list) else about
    if found and isinstance(about, str) and not any(about in words for words in found):
        found.insert(0, about)
    if found and isinstance(code := value.get("code"), str) and not code.isdigit():
        found.append(code)
    return ": ".join(_distinct(found)) or (clean(json.dumps(value)) if value else "")


def as_text(raw: bytes) -> str:
    """Return a body as text for the ledger, with any echoed images removed."""
    return _IMAGE.sub("[image]", raw.decode("utf-8-sig", errors="replace"))


def clean(text: str) -> str:
    """Replace each lone surrogate, which UTF-8 cannot encode, with a question mark."""
    return text.encode(errors="replace").decode()


def _plain(text: str) -> str:
    """Return a text on one line; for a web page, its visible text."""
    if text.lstrip().startswith("<"):
        text = html.unescape(_TAG.sub(" ", text))
    return clean(" ".join(text.split()))


def _distinct(words: Iterable[str]) -> list[str]:
    """Drop duplicates, empty texts and texts contained in another text."""
    texts = [text for text in dict.fromkeys(words) if text]
    return [text for text in texts if not any(text != other and text in other for other in texts)]


def _value_of(raw: bytes) -> Any:
    """Return the JSON value, a list of stream chunks, or other text; None for broken JSON."""
    with contextlib.suppress(ValueError):
        return pydantic_core.from_json(raw)
    text = raw.decode("utf-8-sig", errors="replace").strip()
    for form in (raw, text):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(form, strict=False)
    lines = [line.strip() for line in text.split("\n")]
    data = [line.removeprefix("data:").strip() for line in lines if not _ASIDE.match(line)]
    with contextlib.suppress(ValueError, RecursionError):
        return [json.loads(line, strict=False) for line in data if line not in ("", "[DONE]")]
    return None if text.startswith(("{", "[", "data:", ":")) else text


def _joined(chunks: list[Any]) -> Any:
    """Join stream chunks into one completion; unwrap a list of one; return other lists as is."""
    dicts = [chunk for chunk in chunks if isinstance(chunk, dict)]
    if len(dicts) < 2 or not any("choices" in chunk for chunk in dicts):
        return dicts[0] if len(dicts) == len(chunks) == 1 else chunks
    whole: dict[str, Any] = {}
    message: dict[str, Any] = {"content": "", "refusal": ""}
    ended = None
    for chunk in dicts:
        choice = _first(chunk.get("choices"))
        if choice.get("index") not in (None, 0):
            continue  # a second choice, which was not requested
        piece = _message_of(choice)
        text, refusal = _parts(piece.get("content"))
        message["content"] += text
        message["refusal"] += refusal + "".join(_parts(piece.get("refusal")))
        message.update({name: piece[name] for name in _UNREAD if piece.get(name)})
        ended = choice.get("finish_reason") or ended
        whole.update({name: given for name, given in chunk.items() if given})
    return {**whole, "choices": [{"message": message, "finish_reason": ended}]}


def _first(choices: Any) -> dict[str, Any]:
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice if isinstance(choice, dict) else {}


def _message_of(choice: dict[str, Any]) -> dict[str, Any]:
    """Return a choice's message, also from stream chunks and plain text completions."""
    for name in ("message", "delta"):
        if isinstance(message := choice.get(name), dict) and message:
            return message
    text = choice.get("message", choice.get("text"))
    return {"content": text} if isinstance(text, str) else {}


def _parts(content: Any) -> tuple[str, str]:
    """Return (text, refusal) of a message's content: a text, parts, or an object as JSON."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if isinstance(content, list):
        pairs = [_parts(part) for part in content]
        return "".join(text for text, _ in pairs), "".join(refusal for _, refusal in pairs)
    if isinstance(content, dict) and (
        isinstance(content.get("type"), str) or content.keys() == {"text"}
    ):
        inner = content.get("text")
        inner = inner.get("value") if isinstance(inner, dict) else inner
        thought = content.get("type") in ("thinking", "reasoning")
        refusal = content.get("refusal")
        return (
            inner if isinstance(inner, str) and not thought else "",
            refusal if isinstance(refusal, str) else "",
        )
    return json.dumps(content), ""


def _error_of(
    value: dict[str, Any], choice: dict[str, Any], has_message: bool
) -> dict[str, Any] | None:
    """Return the object that holds the error; None if there is no error."""
    if value.get("error"):
        return value
    if wrong := choice.get("error"):
        return {"error": wrong}  # without the partial reply in the same choice
    if isinstance(value.get("message"), dict) and "content" in value["message"]:
        return None  # a reply in another API's format
    says = any(value.get(name) for name in _ERROR_KEYS if name != "metadata")
    return value if says and not has_message else None


def _status_of(body: dict[str, Any]) -> tuple[int | None, str | None]:
    """Return the HTTP status and the code word that an error states."""
    error = body["error"] if isinstance(body.get("error"), dict) else body
    named = [error.get(name) for name in ("status_code", "status", "code", "type")]
    words = [text.lower() for text in named if isinstance(text, str) and text.lower() in _STATUSES]
    numbers = [*map(_number, named), *map(_STATUSES.get, words)]
    status = next((n for n in numbers if n is not None and 400 <= n < 600), None)
    return status, words[0] if words else None


def _emptiness(value: dict[str, Any], choice: dict[str, Any], message: dict[str, Any]) -> str:
    """Describe what the body holds instead of text."""
    if not choice:
        none = value.get("choices") == []
        return "an empty list of choices" if none else "a body without choices"
    if not message:
        return "a choice without a message"
    if calls := message.get("tool_calls") or message.get("function_call"):
        call = _first(calls) if isinstance(calls, list) else calls
        names = [
            item.get("name") for item in (call, call.get("function")) if isinstance(item, dict)
        ]
        name = next((f" ({clean(name)[:80]})" for name in names if isinstance(name, str)), "")
        return f"a tool call{name} instead of text"
    ended = choice.get("finish_reason")
    why = "" if ended in (None, "stop") else f", finish_reason {clean(str(ended))[:80]!r}"
    thoughts = any(message.get(name) for name in ("reasoning", "reasoning_content"))
    return f"empty reply{why}" + (": the model returned only reasoning" if thoughts else "")


def _tokens_of(value: Any, raw: bytes) -> tuple[int | None, int | None]:
    """Return the stated tokens in and out; in broken JSON, search the text for them."""
    seen = {} if value is not None else dict(_STATED.findall(raw.decode(errors="replace")))
    usage = seen or _usage_in(value)
    tokens_in, tokens_out, total = (
        next((n for name in names if (n := _stated(usage, name)) is not None), None)
        for names in (_TOKENS_IN, _TOKENS_OUT, _TOTALS)
    )
    if tokens_in is None and total is not None:
        tokens_in = max(0, total - (tokens_out or 0))
    elif tokens_out is None and total is not None:
        tokens_out = max(0, total - (tokens_in or 0))
    return tokens_in, tokens_out


def _stated(usage: dict[str, Any], name: str) -> int | None:
    """Return the count under a name, plus the further counts that are charged for."""
    number = _number(usage.get(name))
    further = (_number(usage.get(other)) or 0 for other in _FURTHER.get(name, ()))
    return None if number is None else number + sum(further)


def _usage_in(value: Any, depth: int = 0) -> dict[str, Any]:
    """Return the first object that states tokens, outer objects before nested objects."""
    if depth >= _DEEP or not isinstance(value, dict | list):
        return {}
    if isinstance(value, dict) and any(map(_number, map(value.get, _TOKENS & value.keys()))):
        return value
    inner = value if isinstance(value, list) else [value.get("usage"), *value.values()]
    return next((found for item in inner if (found := _usage_in(item, depth + 1))), {})


def _image_tokens(usage: dict[str, Any]) -> int | None:
    """Return the image tokens that the details of a usage state, by field or by modality."""
    found = next((usage[name] for name in _DETAILS if usage.get(name)), None)
    if isinstance(found, dict):
        return _number(found.get("image_tokens"))
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    counts = [row.get("tokenCount") for row in rows if row.get("modality") == "IMAGE"]
    return _number(counts[0]) if counts else None


def _number(value: Any) -> int | None:
    """Return a valid token count or status as an int, also from text; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    whole = type(value) in (int, float) and 0 <= value < _MOST_TOKENS and value == int(value)
    return int(value) if whole else None
