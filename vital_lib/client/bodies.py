"""What the body of a response says, in whatever form it comes: a reply, an error, tokens.

Endpoints that speak OpenAI's chat completions differ in this: content as parts, chunks of a stream
that nobody asked for, errors under a status of 200 or of any shape. Pure functions of bytes and of
JSON's values; knows nothing of prompts, prices or networks.
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

_MOST_TOKENS = 10**8  # that one request can take
_DEEP = 8  # levels that are looked through
_TOKENS_IN = ("prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count")
_TOKENS_IN += ("inputTokens", "prompt_token_count")
_TOKENS_OUT = ("completion_tokens", "output_tokens", "candidatesTokenCount", "eval_count")
_TOKENS_OUT += ("outputTokens", "candidates_token_count", "generated_tokens")
_TOTALS = ("total_tokens", "totalTokenCount", "totalTokens", "total_token_count")
_TOKENS = {*_TOKENS_IN, *_TOKENS_OUT, *_TOTALS}
# What is charged for beside the number under the first name, which does not hold it.
_BESIDE = {
    "input_tokens": ("cache_creation_input_tokens", "cache_read_input_tokens"),
    "inputTokens": ("cacheReadInputTokens", "cacheWriteInputTokens"),
    "promptTokenCount": ("toolUsePromptTokenCount",),
    "candidatesTokenCount": ("thoughtsTokenCount",),
}
_TOLD = re.compile(rf'"({"|".join(_TOKENS)})"\s*:\s*"?(\d+)')
# Where errors put their words, in the order in which these are told.
_SAYING = ("title", "error", "errors", "message", "msg", "detail", "details", "reason")
_SAYING += ("description", "error_description", "error_message", "error_msg", "metadata", "raw")
_SAYING += ("Message", "exception", "fault", "faultstring")
_TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.S | re.I)
_STATUSES = {  # of errors that have a word where others have a number
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
_UNREAD = ("tool_calls", "function_call", "reasoning", "reasoning_content")  # of a message
_IMAGE = re.compile(r"data:image/[\w.+-]+;base64,[\w+/=\\]+")
_ASIDE = re.compile(r":|(?:event|id|retry):")  # lines of a stream that are no chunks


@dataclass(frozen=True)
class Said:
    """What a body says.

    Args:
        text: the reply, its parts joined; empty where there is none.
        refusal: what stands in the field for it.
        fault: why there is nothing to be read; None where there is, or the model was held back.
        error: the endpoint's own words, where it tells of an error; else empty.
        status: of HTTP, that an error names in the body.
        code: the error's, in a word.
        written: the model has written something, be it no text.
        tokens_in, tokens_out: as stated; None where no number is, or none that there can be.
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

    @property
    def paid(self) -> bool:
        """Whether it states tokens, or holds what a model has written."""
        return self.written or bool(self.tokens_in or self.tokens_out)


def read_body(raw: bytes) -> Said:
    """What the body of a response to a request for a chat completion says."""
    value = _value_of(raw)
    value = _joined(value) if isinstance(value, list) else value
    tokens_in, tokens_out = _tokens_of(value, raw)
    told = {"tokens_in": tokens_in, "tokens_out": tokens_out}
    if not isinstance(value, dict):
        if api := named_api(value):
            return Said(fault=f"a body without choices: {api}", written=True, **told)
        words = words_of(value)
        page = raw.lstrip()[:1] == b"<"  # it says nothing of requests
        fault = words or "a body that is no JSON, or not all of one"
        return Said(fault=fault, error="" if page else words, **told)
    choice = _first(value.get("choices"))
    message = _message_of(choice)
    text, refusal = _parts(message.get("content"))
    refusal += "".join(_parts(message.get("refusal")))
    ended = choice.get("finish_reason")
    told["finish_reason"] = None if ended is None else clean(str(ended))
    wrong = _error_of(value, choice, bool(message))
    if refusal or (text.strip() and not (wrong and ended in (None, "error"))):
        return Said(text=clean(text), refusal=clean(refusal) or None, written=True, **told)
    if wrong:
        words = words_of(wrong)
        status, code = _status_of(wrong)
        return Said(
            fault=f"an error in place of a reply: {words}", error=words, status=status, code=code,
            written=bool(text), **told,
        )  # fmt: skip
    api = None if "choices" in value else named_api(value)
    if api:
        return Said(fault=f"a body without choices: {api}", written=True, **told)
    held_back = message and ended in ("length", "content_filter")
    fault = None if held_back else _emptiness(value, choice, message)
    return Said(fault=fault, written=bool(message), **told)


def error_words(raw: bytes) -> str:
    """What the body of an error says, in the endpoint's words, wherever they stand in it."""
    return words_of(_value_of(raw)) or words_of(raw.decode(errors="replace"))


def words_of(value: Any, depth: int = 0) -> str:
    """The words of an error: of a text, of a list of errors, of the fields that hold words.

    Where an object has no such field, all of it.
    """
    if isinstance(value, str):
        inner = _value_of(value.encode(errors="replace")) if value.lstrip()[:1] in ("{", "[") else 0
        return words_of(inner, depth + 1) if inner and depth < _DEEP else _plain(value)
    if depth >= _DEEP or not isinstance(value, dict | list):
        return ""
    if isinstance(value, list):
        return "; ".join(_unlike(words_of(one, depth + 1) for one in value))
    said = [words_of(value[name], depth + 1) for name in _SAYING if name in value]
    about = value.get("loc") or value.get("param")
    about = ".".join(map(str, about)) if isinstance(about, list) else about
    if said and isinstance(about, str) and not any(about in words for words in said):
        said.insert(0, about)
    if said and isinstance(code := value.get("code"), str) and not code.isdigit():
        said.append(code)
    return ": ".join(_unlike(said)) or (clean(json.dumps(value)) if value else "")


def as_text(raw: bytes) -> str:
    """A body as the ledger can keep it: it holds no image that an endpoint sends back."""
    return _IMAGE.sub("[image]", raw.decode("utf-8-sig", errors="replace"))


def clean(text: str) -> str:
    """The text with a mark for each lone surrogate, which no file can hold."""
    return text.encode(errors="replace").decode()


def _plain(text: str) -> str:
    """A text on one line; of a web page what it shows."""
    if text.lstrip().startswith("<"):
        text = html.unescape(_TAG.sub(" ", text))
    return clean(" ".join(text.split()))


def _unlike(words: Iterable[str]) -> list[str]:
    """Each of them once, without those that stand in another."""
    said = [one for one in dict.fromkeys(words) if one]
    return [one for one in said if not any(one != other and one in other for other in said)]


def _value_of(raw: bytes) -> Any:
    """The JSON value; a list of the chunks of a stream; a text that is neither; None if broken."""
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
    """One completion of a stream's chunks, or of a list that holds one; else the list itself."""
    dicts = [chunk for chunk in chunks if isinstance(chunk, dict)]
    if len(dicts) < 2 or not any("choices" in chunk for chunk in dicts):
        return dicts[0] if len(dicts) == len(chunks) == 1 else chunks
    whole: dict[str, Any] = {}
    message: dict[str, Any] = {"content": "", "refusal": ""}
    ended = None
    for chunk in dicts:
        choice = _first(chunk.get("choices"))
        if choice.get("index") not in (None, 0):
            continue  # of another reply, which nobody asked for
        piece = _message_of(choice)
        text, refusal = _parts(piece.get("content"))
        message["content"] += text
        message["refusal"] += refusal + "".join(_parts(piece.get("refusal")))
        message.update({name: piece[name] for name in _UNREAD if piece.get(name)})
        ended = choice.get("finish_reason") or ended
        whole.update({name: given for name, given in chunk.items() if given})
    return {**whole, "choices": [{"message": message, "finish_reason": ended}]}


def _first(choices: Any) -> dict[str, Any]:
    one = choices[0] if isinstance(choices, list) and choices else None
    return one if isinstance(one, dict) else {}


def _message_of(choice: dict[str, Any]) -> dict[str, Any]:
    """A choice's message, be it a chunk's, or of completions that are no chat."""
    for name in ("message", "delta"):
        if isinstance(message := choice.get(name), dict) and message:
            return message
    text = choice.get("message", choice.get("text"))
    return {"content": text} if isinstance(text, str) else {}


def _parts(content: Any) -> tuple[str, str]:
    """Text and refusal of a message's content: a text, parts of one, or an object as JSON."""
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
    """The object that tells of an error; None where none does."""
    if value.get("error"):
        return value
    if wrong := choice.get("error"):
        return {"error": wrong}  # without the part of a reply that stands beside it
    if isinstance(value.get("message"), dict) and "content" in value["message"]:
        return None  # a reply in another API's form
    says = any(value.get(name) for name in _SAYING if name != "metadata")
    return value if says and not has_message else None


def _status_of(told: dict[str, Any]) -> tuple[int | None, str | None]:
    """The status of HTTP that an error names, and its code in a word."""
    error = told["error"] if isinstance(told.get("error"), dict) else told
    named = [error.get(name) for name in ("status_code", "status", "code", "type")]
    words = [one.lower() for one in named if isinstance(one, str) and one.lower() in _STATUSES]
    numbers = [*map(_number, named), *map(_STATUSES.get, words)]
    status = next((one for one in numbers if one is not None and 400 <= one < 600), None)
    return status, words[0] if words else None


def _emptiness(value: dict[str, Any], choice: dict[str, Any], message: dict[str, Any]) -> str:
    """What there is instead of a text, named as what it is."""
    if not choice:
        none = value.get("choices") == []
        return "an empty list of choices" if none else "a body without choices"
    if not message:
        return "a choice without a message"
    if calls := message.get("tool_calls") or message.get("function_call"):
        call = _first(calls) if isinstance(calls, list) else calls
        names = [one.get("name") for one in (call, call.get("function")) if isinstance(one, dict)]
        name = next((f" ({clean(one)[:80]})" for one in names if isinstance(one, str)), "")
        return f"a tool call{name} in place of a text"
    ended = choice.get("finish_reason")
    why = "" if ended in (None, "stop") else f", ended by {clean(str(ended))[:80]!r}"
    thoughts = any(message.get(name) for name in ("reasoning", "reasoning_content"))
    return f"empty reply{why}" + (": the model only thought" if thoughts else "")


def _tokens_of(value: Any, raw: bytes) -> tuple[int | None, int | None]:
    """Tokens in and out as they are stated, wherever; of a broken body, as it can be seen."""
    seen = {} if value is not None else dict(_TOLD.findall(raw.decode(errors="replace")))
    usage = seen or _usage_in(value)
    told_in, told_out, total = (
        next((n for name in names if (n := _told(usage, name)) is not None), None)
        for names in (_TOKENS_IN, _TOKENS_OUT, _TOTALS)
    )
    if told_in is None and total is not None:
        told_in = max(0, total - (told_out or 0))
    elif told_out is None and total is not None:
        told_out = max(0, total - told_in)
    return told_in, told_out


def _told(usage: dict[str, Any], name: str) -> int | None:
    """The number under a name, with what is charged for beside it."""
    number = _number(usage.get(name))
    beside = (_number(usage.get(other)) or 0 for other in _BESIDE.get(name, ()))
    return None if number is None else number + sum(beside)


def _usage_in(value: Any, depth: int = 0) -> dict[str, Any]:
    """The first object that states tokens, the outermost before those in others."""
    if depth >= _DEEP or not isinstance(value, dict | list):
        return {}
    if isinstance(value, dict) and any(map(_number, map(value.get, _TOKENS & value.keys()))):
        return value
    inner = value if isinstance(value, list) else [value.get("usage"), *value.values()]
    return next((found for one in inner if (found := _usage_in(one, depth + 1))), {})


def _number(told: Any) -> int | None:
    """A number of tokens, or of a status, also as text; None for anything else."""
    if isinstance(told, str) and told.isascii() and told.isdigit() and len(told) < 12:
        told = int(told)
    whole = type(told) in (int, float) and 0 <= told < _MOST_TOKENS and told == int(told)
    return int(told) if whole else None
