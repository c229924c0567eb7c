"""Recognise replies in the formats of other APIs than OpenAI's chat completions.

Such an endpoint has accepted and charged for the request, but every further reply would have the
same format. This module has pure functions of JSON values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_BASE_URL = "for chat completions, set base_url to {}"
_LOCAL = "for chat completions, set base_url to the server's address plus /v1, such as {}"


def _texts(parts: Any) -> bool:
    """Return whether a value is a list of message parts with at least one text."""
    return isinstance(parts, list) and any(isinstance(it, dict) and "text" in it for it in parts)


def _object(value: dict[str, Any], *names: str) -> dict[str, Any]:
    """Follow a path of names, taking the first item of lists; empty if there is no object."""
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
    parts = [part for part in output if isinstance(part, dict)] if isinstance(output, list) else []
    return value.get("object") == "response" or any(_texts(part.get("content")) for part in parts)


def _is_bedrock(value: dict[str, Any]) -> bool:
    return _texts(_object(value, "output", "message").get("content"))


def _is_ollama(value: dict[str, Any]) -> bool:
    text = _object(value, "message").get("content", value.get("response"))
    signs = {"done", "eval_count", "prompt_eval_count", "eval_duration", "created_at"}
    return isinstance(text, str) and bool(signs & value.keys())


def _is_tgi(value: dict[str, Any]) -> bool:
    return isinstance(value.get("generated_text"), str)


_APIS: tuple[tuple[str, Callable[[dict[str, Any]], bool], str], ...] = (
    ("Cohere's chat API", _is_cohere, _BASE_URL.format("https://api.cohere.ai/compatibility/v1")),
    ("Anthropic's Messages API", _is_anthropic, _BASE_URL.format("https://api.anthropic.com/v1")),
    (
        "Gemini's generateContent API",
        _is_gemini,
        _BASE_URL.format("https://generativelanguage.googleapis.com/v1beta/openai"),
    ),
    ("OpenAI's Responses API", _is_responses, _BASE_URL.format("https://api.openai.com/v1")),
    (
        "Amazon Bedrock's Converse API",
        _is_bedrock,
        _BASE_URL.format("https://bedrock-runtime.<region>.amazonaws.com/openai/v1"),
    ),
    ("Ollama's own API", _is_ollama, _LOCAL.format("http://localhost:11434/v1")),
    ("TGI's own API", _is_tgi, _LOCAL.format("http://localhost:8080/v1")),
)


def named_api(value: Any) -> str | None:
    """Name the API whose format a body has, with the base_url to use; None if unknown.

    Args:
        value: the body's JSON, or the chunks of a stream.
    """
    body = value[0] if isinstance(value, list) and value else value
    if not isinstance(body, dict):
        return None
    return next((f"a reply of {name}: {fix}" for name, is_its, fix in _APIS if is_its(body)), None)
