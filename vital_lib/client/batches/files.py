"""The files of a batch: requests as lines of JSON, and the lines that the endpoint returns.

Pure functions of bytes, independent of networks, ledgers and prompts.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from vital_lib.client.bodies import clean

MOST_LINES, MOST_BYTES = 50_000, 200_000_000
"""Of one input file, as OpenAI states them (2026-11)."""

URL = "/v1/chat/completions"
"""What every line of an input file asks for."""

_SHOWN = 80  # characters of a malformed line in a message
_CUSTOM_ID = re.compile(rb'"custom_id"\s*:\s*"(\w+)"')


class Malformed(ValueError):
    """A line of an output file is no reply to a request; the message shows its beginning.

    Attributes:
        key: its custom_id, as far as it can be found.
    """

    def __init__(self, raw: bytes) -> None:
        shown = raw[:_SHOWN].decode(errors="replace")
        super().__init__(f"no reply to a request: {shown!r}{'...' if len(raw) > _SHOWN else ''}")
        found = _CUSTOM_ID.search(raw)
        self.key = found[1].decode() if found else ""


@dataclass(frozen=True)
class Output:
    """A line of an output or error file.

    Args:
        key: its custom_id, the key of the request.
        status: HTTP status of the response; None if the request was not run.
        body: the response's body as JSON.
        code, message: of the error, if the request was not run.
    """

    key: str
    status: int | None = None
    body: bytes = b""
    code: str = ""
    message: str = ""


def line_of(key: str, body: dict[str, Any]) -> bytes:
    """Return a line of an input file: the request of a key."""
    return to_json({"custom_id": key, "method": "POST", "url": URL, "body": body}) + b"\n"


async def lines_in(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the lines of a file that are not blank, without its line ends.

    Only a line feed ends a line: a JSON text may hold the other line ends of Unicode.
    """
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
    if rest.strip():
        yield rest


def read_line(raw: bytes) -> Output:
    """Read a line of an output or error file.

    Raises:
        Malformed: it is not JSON, has no custom_id, or holds neither a response nor an error.
    """
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        line = None
    key = line.get("custom_id") if isinstance(line, dict) else None
    if isinstance(line, dict) and isinstance(key, str):
        response, error = line.get("response"), line.get("error")
        if isinstance(response, dict) and type(response.get("status_code")) is int:
            body = response.get("body")
            content = clean(body) if isinstance(body, str) else json.dumps(body or error)
            return Output(clean(key), response["status_code"], content.encode())
        if isinstance(error, dict):
            words = (clean(str(error.get(name) or "")) for name in ("code", "message"))
            return Output(clean(key), None, b"", *words)
    raise Malformed(raw)
