"""A client of a server on this machine, with prompts and replies, for tests of the client."""

from __future__ import annotations

import json

from loopback import said

from vital_lib.client import ChatClient
from vital_lib.prompts import verdict_prompt

KEY = "sk-secret-0123456789abcdef"
"""A key that must appear nowhere."""

PRICES = "model,usd_per_million_in,usd_per_million_out,image_tokens,as_of\n"
"""The first line of a price table."""

PROSE = said("The film is dark.")
"""A response that is no verdict."""

TIE = said('{"rationale": "", "winner": "tie"}')
"""A response with a verdict."""


def verdicts(image, count, start=0):
    """Yield prompts that contain their number, so that each reply can be identified."""
    for number in range(start, start + count):
        yield verdict_prompt(f"number {number}", image, "r", "x", "y")


def echo(body, place=0):
    """Return a verdict whose rationale is the question's number."""
    question = body["messages"][-1]["content"][1]["text"].splitlines()[0]
    return said(json.dumps({"rationale": question.split()[-1], "winner": "tie"}))


def local(server, **options):
    """Return a client of `server`, without a price unless `options` say otherwise."""
    return ChatClient("judge", base_url=server.base_url, **{"local": True, **options})
