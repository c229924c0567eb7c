"""Replies in the form of other APIs than OpenAI's chat completions: whose they are, and what to do.

An endpoint that answers so has understood the request and been paid for the reply, yet every next
one would come in the same form. Pure functions of JSON's values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_SENT_TO = "its address for chat completions is base_url {}"
_LOCAL = "the address for chat completions is that of the server, with /v1 at its end, such as {}"


def _texts(parts: Any) -> bool:
    """Whether these are parts of a message, of which one holds a text."""
    return isinstance(parts, list) and any(isinstance(one, dict) and "text" in one for one in parts)


def _object(value: dict[str, Any], *names: str) -> dict[str, Any]:
    """The object, or the first of a list of them, that stands under these names; else empty."""
    inner: Any = value
    for name in names:
        inner = inner.get(name) if isinstance(inner, dict) else None
        inner = inner[0] if isinstance(inner, list) and inner else inner
    return inner if isinstance(inner, dict) else {}


def _is_cohere(value: dict[str, Any]) -> bool:
    return _texts(_object(value, "message").get("content")) and (
        "finish_reason" in value or "billed_units" in _object(value, "usage")
    )


def _is_anthropic(value: dict[str, Any]) -> bool:
    usage = {*_object(value, "usage"), *_object(value, "message", "usage")}
    named = value.get("type") in ("message", "message_start") or "stop_reason" in value
    parts = isinstance(value.get("content"), list) or value.get("type") == "message_start"
    return parts and (named or "input_tokens" in usage)


def _is_gemini(value: dict[str, Any]) -> bool:
    candidates = isinstance(value.get("candidates"), list)
    return candidates and ("usageMetadata" in value or bool(_object(value, "candidates")))


def _is_responses(value: dict[str, Any]) -> bool:
    output = value.get("output")
    parts = [one for one in output if isinstance(one, dict)] if isinstance(output, list) else []
    return value.get("object") == "response" or any(_texts(one.get("content")) for one in parts)


def _is_bedrock(value: dict[str, Any]) -> bool:
    return _texts(_object(value, "output", "message").get("content"))


def _is_ollama(value: dict[str, Any]) -> bool:
    said = _object(value, "message").get("content", value.get("response"))
    signs = {"done", "eval_count", "prompt_eval_count", "eval_duration", "created_at"}
    return isinstance(said, str) and bool(signs & value.keys())


def _is_tgi(value: dict[str, Any]) -> bool:
    return isinstance(value.get("generated_text"), str)


_APIS: tuple[tuple[str, Callable[[dict[str, Any]], bool], str], ...] = (
    ("Cohere's chat API", _is_cohere, _SENT_TO.format("https://api.cohere.ai/compatibility/v1")),
    ("Anthropic's Messages API", _is_anthropic, _SENT_TO.format("https://api.anthropic.com/v1")),
    (
        "Gemini's generateContent API",
        _is_gemini,
        _SENT_TO.format("https://generativelanguage.googleapis.com/v1beta/openai"),
    ),
    ("OpenAI's Responses API", _is_responses, _SENT_TO.format("https://api.openai.com/v1")),
    (
        "Amazon Bedrock's Converse API",
        _is_bedrock,
        _SENT_TO.format("https://bedrock-runtime.<region>.amazonaws.com/openai/v1"),
    ),
    ("Ollama's own API", _is_ollama, _LOCAL.format("http://localhost:11434/v1")),
    ("TGI's own API", _is_tgi, _LOCAL.format("http://localhost:8080/v1")),
)


def named_api(value: Any) -> str | None:
    """Whose form a body has, and the way out; None where it is none of these.

    Args:
        value: the body's JSON, or the chunks of a stream.
    """
    one = value[0] if isinstance(value, list) and value else value
    if not isinstance(one, dict):
        return None
    return next((f"a reply of {name}: {way}" for name, is_its, way in _APIS if is_its(one)), None)
