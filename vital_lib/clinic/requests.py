"""Parse a chat-completions request: its figures, demonstrations and task.

The layouts are those of ``vital_lib.prompts``. The simulated models read only the request, so what
a prompt omits is missing for them too. Independent of rates, errors and the wording of answers.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

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
    """An invalid request; `param` names the invalid field, as in the API."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True)
class Shown:
    """A figure's text in a request; `modalities` holds canonical names if they are known."""

    caption: str
    mentions: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """The texts that an answer can quote."""
        return (self.caption, *self.mentions)

    @property
    def facts(self) -> dict[str, str | int]:
        """Attribute -> value, as stated in the text and the modality line."""
        return dict(_facts(self))


@dataclass(frozen=True)
class Demonstration:
    """An example conversation: its figure's text and its (instruction, response) turns."""

    shown: Shown
    turns: tuple[tuple[str, str], ...]


def shown_figure(request: Mapping[str, Any]) -> Shown:
    """Return the figure in the last user message.

    Raises:
        BadRequest: the message lacks the caption, the mentions or the modalities.
    """
    text = last_text(request)
    found = _FIGURE.match(text)
    if found is None:
        raise _lacking("lines 'Caption: ', 'Mentions:' and 'Modalities: '", text)
    return _shown(found.group())


def shown_candidate(request: Mapping[str, Any]) -> tuple[Shown, str, str]:
    """Return (figure, instruction, response) of a rating request.

    Raises:
        BadRequest: the last user message lacks one of them.
    """
    text = last_text(request)
    found = _FIGURE.match(text)
    candidate = _CANDIDATE.fullmatch(text, found.end()) if found else None
    if found is None or candidate is None:
        raise _lacking("a figure's text, then 'Instruction: ' and 'Response: '", text)
    return _shown(found.group()), candidate["instruction"], candidate["response"]


def shown_answers(request: Mapping[str, Any]) -> dict[str, str]:
    """Return question, reference, first and second of a request to score or compare answers.

    Raises:
        BadRequest: the last user message lacks one of them.
    """
    text = last_text(request)
    found = _ANSWERS.fullmatch(text)
    if found is None:
        raise _lacking("'Question: ', 'Reference answer: ', 'Answer 1: ' and 'Answer 2: '", text)
    return found.groupdict()


def demonstrations(request: Mapping[str, Any]) -> list[Demonstration]:
    """Return the conversations before the last figure, in order, without other messages."""
    found, user_text = [], None
    for role, text in texts(request):
        if role == "assistant" and user_text is not None:
            found.append(_demonstration(user_text, text))
        user_text = text if role == "user" else None
    return [demonstration for demonstration in found if demonstration is not None]


def wanted(request: Mapping[str, Any], otherwise: int) -> int:
    """Return the number of questions or rounds in the system message, or `otherwise`."""
    for role, text in texts(request):
        found = _WANTED.search(text) if role == "system" else None
        if found:
            return int(found[1])
    return otherwise


def task(request: Mapping[str, Any]) -> str | None:
    """Return the name of the JSON schema for the reply, or None for plain text.

    Raises:
        BadRequest: response_format is neither text nor a named json_schema.
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
    """Return a random generator that depends only on `seed` and the content of the request."""
    digest = hashlib.sha256(
        json.dumps([seed, request.get("seed"), request.get("model"), task(request)]).encode()
    )
    for role, content in _messages(request):
        digest.update(f"\x00{role}".encode())
        for kind, value in content:
            digest.update(f"\x01{kind}\x02{value}".encode(errors="replace"))
    return random.Random(digest.digest())


def texts(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (role, text) of each message, its text parts joined by newlines."""
    for role, content in _messages(request):
        yield role, "\n".join(value for kind, value in content if kind == "text")


def count_images(request: Mapping[str, Any]) -> int:
    """Return the number of images in the request."""
    return sum(kind == "image_url" for _, content in _messages(request) for kind, _ in content)


def last_text(request: Mapping[str, Any]) -> str:
    """Return the text of the last user message.

    Raises:
        BadRequest: there is no user message.
    """
    user_texts = [text for role, text in texts(request) if role == "user"]
    if not user_texts:
        raise BadRequest("no message has the role 'user'", "messages")
    return user_texts[-1]


def _messages(request: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list with at least one message", "messages")
    for place, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise BadRequest(f"messages[{place}] has no role", f"messages[{place}].role")
        yield message["role"], _parts(message.get("content"), f"messages[{place}].content")


def _parts(content: Any, place: str) -> list[tuple[str, str]]:
    """Return (text or image_url, value) of each part of a message."""
    if content is None or isinstance(content, str):
        return [("text", content or "")]
    if not isinstance(content, list):
        raise BadRequest(f"{place} is neither a string nor a list of parts", place)
    parts = []
    for number, part in enumerate(content):
        kind = str(part.get("type")) if isinstance(part, Mapping) else ""
        value = part.get(kind) if kind in ("text", "image_url") else None
        if kind == "image_url" and isinstance(value, Mapping):
            value = value.get("url")
        if not isinstance(value, str):
            raise BadRequest(f"{place}[{number}] is not text or image_url", f"{place}[{number}]")
        parts.append((kind, value))
    return parts


@lru_cache(maxsize=4096)
def _shown(text: str) -> Shown:
    found = cast(re.Match[str], _FIGURE.match(text))
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
    """Parse two messages as a demonstration; a reply that is no conversation counts as one turn."""
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
