"""Reads a chat-completions request as it was really sent: the figure, the demonstrations, the task.

The layouts are those of ``vital_lib.prompts``. Whatever a prompt fails to carry is not there for
the simulated models either: they read nothing but the request. Knows nothing of rates, of errors
or of how answers are worded.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from vital_lib.clinic.lexicon import known_facts
from vital_lib.modalities import MODALITY_NAMES

_BY_NAME = {written: name for name, written in MODALITY_NAMES.items()}
_WANTED = re.compile(r"\b(?:Questions|Rounds) wanted: (\d+)")
_FIGURE = re.compile(
    r"Caption: (?P<caption>.*)\nMentions:(?P<mentions>(?:\n- .*)*)\nModalities: (?P<modalities>.*)"
)
_ANSWERS = re.compile(
    r"(?:Caption: .*\n)?Question: (?P<question>.*)\nReference answer: (?P<reference>.*)\n"
    r"Answer 1: (?P<first>.*)\nAnswer 2: (?P<second>.*)"
)
_CANDIDATE = re.compile(r"\nInstruction: (?P<instruction>.*)\nResponse: (?P<response>.*)")


class BadRequest(ValueError):
    """A request that cannot be served; `param` names the field at fault, as the API does."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True)
class Shown:
    """A figure's text as a request shows it; `modalities` as canonical names where known."""

    caption: str
    mentions: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """What an answer can be copied from."""
        return (self.caption, *self.mentions)

    @property
    def facts(self) -> dict[str, str | int]:
        """Attribute -> value, as the text and the modality line state it."""
        return dict(_facts(self))


@dataclass(frozen=True)
class Demonstration:
    """A conversation shown as an example: its figure's text, and (instruction, response) each."""

    shown: Shown
    turns: tuple[tuple[str, str], ...]


def shown_figure(request: Mapping[str, Any]) -> Shown:
    """The figure of the request's last user message.

    Raises:
        BadRequest: the message lacks the caption, the mentions or the modalities.
    """
    text = last_text(request)
    found = _FIGURE.match(text)
    if found is None:
        raise _lacking("lines 'Caption: ', 'Mentions:' and 'Modalities: '", text)
    return _shown(found.group())


def shown_candidate(request: Mapping[str, Any]) -> tuple[Shown, str, str]:
    """(figure, instruction, response) of a rating request.

    Raises:
        BadRequest: the last user message lacks one of them.
    """
    text = last_text(request)
    found = _FIGURE.match(text)
    candidate = _CANDIDATE.fullmatch(text, found.end()) if found else None
    if candidate is None:
        raise _lacking("a figure's text, then 'Instruction: ' and 'Response: '", text)
    return _shown(found.group()), candidate["instruction"], candidate["response"]


def shown_answers(request: Mapping[str, Any]) -> dict[str, str]:
    """question, reference, first and second of a request to score or compare answers.

    Raises:
        BadRequest: the last user message lacks one of them.
    """
    text = last_text(request)
    found = _ANSWERS.fullmatch(text)
    if found is None:
        raise _lacking("'Question: ', 'Reference answer: ', 'Answer 1: ' and 'Answer 2: '", text)
    return found.groupdict()


def demonstrations(request: Mapping[str, Any]) -> list[Demonstration]:
    """The conversations shown before the last figure, in order; other exchanges are left out."""
    found, asked_text = [], None
    for role, text in texts(request):
        if role == "assistant" and asked_text is not None:
            found.append(_demonstration(asked_text, text))
        asked_text = text if role == "user" else None
    return [demonstration for demonstration in found if demonstration is not None]


def wanted(request: Mapping[str, Any], otherwise: int) -> int:
    """The number of questions or rounds that the system message asks for."""
    for role, text in texts(request):
        found = _WANTED.search(text) if role == "system" else None
        if found:
            return int(found[1])
    return otherwise


def task(request: Mapping[str, Any]) -> str | None:
    """Name of the JSON schema that the reply is to fit; None asks for plain text.

    Raises:
        BadRequest: a response_format other than text or a named json_schema.
    """
    wanted_format = request.get("response_format") or {"type": "text"}
    kind = wanted_format.get("type") if isinstance(wanted_format, Mapping) else None
    if kind == "text":
        return None
    schema = wanted_format.get("json_schema") if kind == "json_schema" else None
    if not isinstance(schema, Mapping) or not isinstance(schema.get("name"), str):
        raise BadRequest(
            f"response_format is {str(wanted_format)[:80]}: wanted text, or json_schema with a "
            "name",
            "response_format",
        )
    return schema["name"]


def randomness(request: Mapping[str, Any], seed: int) -> random.Random:
    """A random source that depends on `seed` and on what the request says, and on nothing else."""
    digest = hashlib.sha256(
        json.dumps([seed, request.get("seed"), request.get("model"), task(request)]).encode()
    )
    for role, content in _messages(request):
        digest.update(f"\x00{role}".encode())
        for kind, value in content:
            digest.update(f"\x01{kind}\x02{value}".encode(errors="replace"))
    return random.Random(digest.digest())


def texts(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(role, text) of each message, its text parts joined by newlines."""
    for role, content in _messages(request):
        yield role, "\n".join(value for kind, value in content if kind == "text")


def count_images(request: Mapping[str, Any]) -> int:
    """How many images the request carries."""
    return sum(kind == "image_url" for _, content in _messages(request) for kind, _ in content)


def last_text(request: Mapping[str, Any]) -> str:
    """Text of the last user message.

    Raises:
        BadRequest: there is no user message.
    """
    said = [text for role, text in texts(request) if role == "user"]
    if not said:
        raise BadRequest("no message has the role 'user'", "messages")
    return said[-1]


def _messages(request: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list with at least one message", "messages")
    for place, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise BadRequest(f"messages[{place}] has no role", f"messages[{place}].role")
        yield message["role"], _parts(message.get("content"), f"messages[{place}].content")


def _parts(content: Any, place: str) -> list[tuple[str, str]]:
    """(text or image_url, value) of each part of a message."""
    if content is None or isinstance(content, str):
        return [("text", content or "")]
    if not isinstance(content, list):
        raise BadRequest(f"{place} is neither a text nor a list of parts", place)
    parts = []
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, Mapping) else None
        value = part.get(kind) if kind in ("text", "image_url") else None
        if kind == "image_url" and isinstance(value, Mapping):
            value = value.get("url")
        if not isinstance(value, str):
            raise BadRequest(f"{place}[{number}] is no text and no image_url", f"{place}[{number}]")
        parts.append((kind, value))
    return parts


@lru_cache(maxsize=4096)
def _shown(text: str) -> Shown:
    found = _FIGURE.match(text)
    mentions = tuple(line[2:] for line in found["mentions"].split("\n")[1:])
    written = found["modalities"]
    names = () if written == "not stated" else tuple(written.split(", "))
    return Shown(found["caption"], mentions, tuple(_BY_NAME.get(name, name) for name in names))


@lru_cache(maxsize=4096)
def _facts(shown: Shown) -> tuple[tuple[str, str | int], ...]:
    facts = known_facts(shown.sources, shown.modalities)
    return tuple(facts.items())


@lru_cache(maxsize=4096)
def _demonstration(user_text: str, reply: str) -> Demonstration | None:
    """The two messages as a demonstration; a reply that is no conversation is one response."""
    found = _FIGURE.match(user_text)
    if found is None:
        return None
    try:
        rounds = json.loads(reply)["rounds"]
        turns = tuple((str(turn["instruction"]), str(turn["response"])) for turn in rounds)
    except (json.JSONDecodeError, KeyError, TypeError):
        turns = (("", reply),)
    return Demonstration(_shown(found.group()), turns)


def _lacking(what: str, text: str) -> BadRequest:
    return BadRequest(
        f"the last user message lacks {what}; it begins {text[:60]!r}", "messages[-1].content"
    )
