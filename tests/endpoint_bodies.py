"""Bodies of responses as endpoints of many kinds send them."""

from __future__ import annotations

import json

TIE = '{"rationale": "", "winner": "tie"}'
"""The text of a verdict."""

USAGE = {"prompt_tokens": 100, "completion_tokens": 20}
"""Tokens as a chat completion states them."""


def body(value):
    """Return a response of status 200 with this content."""
    text = value if isinstance(value, str) else json.dumps(value)
    return 200, {"content-type": "application/json"}, text.encode()


def completion(message, finish_reason="stop", usage=USAGE, **more):
    """Return a chat completion with this message."""
    choices = [{"index": 0, "message": message, "finish_reason": finish_reason}]
    return {"choices": choices, "usage": usage, **more}


def stream(*chunks):
    """Return the text of a streamed response."""
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


def calling(**message):
    """Return a chat completion that calls a tool."""
    call = {"id": "c1", "type": "function", "function": {"name": "zoom", "arguments": "{}"}}
    return completion({"content": None, "tool_calls": [call], **message}, "tool_calls")
