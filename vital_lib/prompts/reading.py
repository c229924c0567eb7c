"""Read a reply: as JSON, or as the plain text of a model that follows no schema.

The schema sent with a request is strict, but its reply is read as a person would read it. Thoughts
and answer marks are removed first. JSON is read in any spelling and under any common name; plain
text is read by `_words` and `_turns`. A reply is unread if two readings contradict each other, or
if the text around a JSON object casts doubt on it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from vital_lib.prompts._courtesies import without_courtesy
from vital_lib.prompts._doubt import ends_by_taking_back, is_example, is_taken_back, refuses
from vital_lib.prompts._fields import Fields, fitted, is_round, joined, speaks_of
from vital_lib.prompts._marks import (
    UnreadableReply,
    after_headings,
    answers_in,
    cleaned,
    has_marks,
    without_thoughts,
)
from vital_lib.prompts._objects import objects_in, whole_object
from vital_lib.prompts._turns import begins_a_turn, rounds_in
from vital_lib.prompts._words import is_template, rating, scores, tags_as_lines, verdict
from vital_lib.prompts.schemas import (
    ChatScores,
    Conversation,
    Drafts,
    Rating,
    ShortAnswer,
    Verdict,
    readable,
)

if TYPE_CHECKING:
    from vital_lib.prompts import Prompt

_FENCED = re.compile(
    r"(?P<fence>`{3,}|~{3,})[\w+-]*[ \t]*\n(?P<body>(?:(?!(?P=fence)).)*)\n?(?P=fence)", re.S
)
_WORD = re.compile(r"\w")
_ECHOED = re.compile(r"string|str|\.{3}|…|<[^<>]+>", re.I)
_TURNS = (Conversation, Drafts)


def parse(prompt: Prompt, text: str) -> BaseModel:
    """Return the reply as an instance of the prompt's schema.

    JSON may be the whole reply, stand in a code fence, or follow text at a line's start or after a
    colon. It is unread if the text around it marks it as an example, retracts it, or claims another
    answer. Keys may be spelled in any case and under other common names; numbers and winners may be
    text ("8/10", "First"); a question's type, criteria and a rationale may be missing. A rating
    with missing criteria is a `PartialRating`. Rounds or drafts that cannot be read are dropped,
    which gives a `PartConversation` or `PartDrafts`. Courtesies at the end of the last answer ("Let
    me know if you need more!") are removed.

    Plain text is read from lines that begin with a name: "Overall: 7", "Score: 9/10" or "1. Score:
    9 points" for a rating, and the names of the criteria; "Answer 1: 7" for scores; "Winner:
    first", "Winner: Answer 2 is better" or "[[A]]" for a verdict; "User:"/"Assistant:",
    "Question:"/"Answer:" or "Q:"/"A:", numbered or not, for turns, whose answers may span several
    lines and hold code. A number or a winner may also be the whole reply; a rating or two scores
    may be the whole first or last line. Any text is an answer to a benchmark question.

    Raises:
        UnreadableReply: the reply is neither JSON nor such text, does not fit the schema,
            contradicts itself, refuses, echoes the schema, or breaks off.
    """
    try:
        return _without_courtesy(_read(prompt.schema, cleaned(text)))
    except UnreadableReply as error:
        raise UnreadableReply(f"{prompt.schema.__name__}: {error}") from None


def _without_courtesy(value: BaseModel) -> BaseModel:
    """Return a conversation or drafts without the courtesies that end the last answer."""
    if not isinstance(value, Conversation | Drafts):
        return value
    name = "rounds" if isinstance(value, Conversation) else "questions"
    *before, last = getattr(value, name)
    texts = {key: text for key, text in last if key.startswith("response")}
    kept = {key: without_courtesy(text) for key, text in texts.items()}
    if kept == texts:
        return value
    return value.model_copy(update={name: [*before, last.model_copy(update=kept)]})


def _read(schema: type[BaseModel], body: str) -> BaseModel:
    if (value := _as_sent(schema, body)) is not None:
        return _checked(value)
    if schema is ShortAnswer:  # any text may be an answer
        return _fit(lambda text: ShortAnswer(answer=text), without_thoughts(body))
    if (whole := whole_object(body)) is not None and body[:1] == '"':
        body = json.dumps(whole)
    if speaks_of(schema, whole) is None:  # marks inside JSON strings are not marks of the reply
        body = after_headings(without_thoughts(body))
    if not body:
        raise UnreadableReply("the reply is empty")
    answers, outside = answers_in(body)
    if not answers or body[0] == "{" or schema in _TURNS:  # an answer's text may hold such marks
        return _plain(schema, answers[0] if len(answers) == 1 and not outside else body)
    readings = [_marked(schema, answer) for answer in answers]
    with suppress(UnreadableReply):
        readings.append(_plain(schema, outside))
    return _agreed(readings)


def _as_sent(schema: type[BaseModel], body: str) -> BaseModel | None:
    """Return a reply that fits the schema as sent; most replies do, and this path is fast."""
    if body.startswith("```") and body.endswith("}\n```"):
        body = body[body.find("\n") + 1 : -4]
    if body[:1] != "{" or has_marks(body):
        return None
    try:
        value = schema.model_validate_json(body)
    except ValidationError:
        return None
    # As many keys as fields: no key is repeated, and no extra key contradicts them.
    return value if body.count('":') == value.model_dump_json().count('":') else None


def _marked(schema: type[BaseModel], answer: str) -> BaseModel:
    """Read the text inside answer marks, which may be a bare letter."""
    try:
        return _plain(schema, answer)
    except UnreadableReply:
        if schema is Verdict and "\n" not in answer:
            return _plain(schema, f"Winner: {answer}")
        raise


def _plain(schema: type[BaseModel], body: str) -> BaseModel:
    """Read JSON or plain text without thoughts and answer marks."""
    found, after = _objects(schema, body)
    if not found:
        return _in_words(schema, body)
    meant = [(before, fields) for before, fields in found if not is_example(before)]
    if schema in _TURNS and len(meant) > 1 and all(is_round(fields) for _, fields in meant):
        meant = [(meant[0][0], joined(fields for _, fields in meant))]
    values = [_checked(_fit(fitted, schema, fields)) for _, fields in meant]
    if not values:
        raise UnreadableReply("the text before the JSON marks it as an example")
    value = _agreed(values)
    before = "".join(words for words, _ in found)
    if refuses(before) or is_taken_back(value, after) or _disagrees(schema, value, before, after):
        raise UnreadableReply("the text around the JSON refuses, retracts or contradicts it")
    return value


def _objects(schema: type[BaseModel], body: str) -> tuple[list[tuple[str, Fields]], str]:
    """Find the JSON objects that name fields of the schema.

    Returns:
        (text before it, object) for each, and the text after the last.

    Raises:
        UnreadableReply: such an object breaks off.
    """
    found, place, seen = [], 0, 0
    for one in objects_in(body):
        if schema in _TURNS and not found and begins_a_turn(body[seen : one.start]):
            break  # rounds in plain text, with JSON inside one of them
        seen = one.start
        fields = speaks_of(schema, one.value)
        if fields is not None:
            found.append((body[place : one.start], fields))
            place = one.end
        elif one.value is None and _names_a_field(schema, body[one.start :]):
            raise UnreadableReply(f"the JSON breaks off or is invalid: {body[one.start :][:60]!r}")
    return found, body[place:]


def _names_a_field(schema: type[BaseModel], text: str) -> bool:
    names = "|".join(schema.model_fields)
    return bool(re.search(rf"\b(?:{names})[\"'”]?\s*:", text, re.I))


def _in_words(schema: type[BaseModel], body: str) -> BaseModel:
    """Read a reply without JSON, or raise UnreadableReply."""
    fenced = _FENCED.fullmatch(body)
    body = fenced["body"].strip() if fenced else body
    if schema not in _TURNS and ends_by_taking_back(body):
        raise UnreadableReply("the last line retracts the lines before it")
    try:
        return _checked(_fit(_READERS[schema], body))
    except UnreadableReply as error:
        reason = f"the reply is a refusal: {body[:80]!r}" if refuses(body) else str(error)
        raise UnreadableReply(reason if body else "the reply is empty") from None


def _checked(value: BaseModel) -> BaseModel:
    """Return the value.

    Raises:
        UnreadableReply: its rationale echoes the schema or is a refusal.
    """
    rationale = getattr(value, "rationale", "")
    if _ECHOED.fullmatch(rationale.strip()) or is_template(rationale):
        raise UnreadableReply(f"the rationale echoes the schema: {rationale!r}")
    if refuses(rationale):
        raise UnreadableReply(f"the rationale is a refusal: {rationale[:80]!r}")
    return value


def _agreed(values: list[BaseModel]) -> BaseModel:
    """Return the first reading.

    Raises:
        UnreadableReply: another reading contradicts it.
    """
    for other in values[1:]:
        if _contradict(values[0], other):
            raise UnreadableReply(f"{len(values)} readings contradict each other")
    return values[0]


def _contradict(one: BaseModel, other: BaseModel) -> bool:
    """Return whether two readings differ in more than text; missing criteria do not count."""
    left, right = (value.model_dump(exclude={"rationale", "dropped"}) for value in (one, other))
    ours, theirs = left.pop("criteria", {}), right.pop("criteria", {})
    both = [(ours[name], theirs[name]) for name in ours if None not in (ours[name], theirs[name])]
    return left != right or any(a != b for a, b in both)


def _disagrees(schema: type[BaseModel], value: BaseModel, *around: str) -> bool:
    """Return whether the text around a JSON object declares another answer."""
    for words in filter(_WORD.search, around):
        with suppress(UnreadableReply):
            if _contradict(value, _fit(_READERS[schema], words)):
                return True
    return False


def _fit(read: Callable[..., BaseModel], *given: Any) -> BaseModel:
    """Call `read`; a value that does not fit the schema raises UnreadableReply."""
    try:
        return read(*given)
    except ValidationError as error:
        first, *others = error.errors(include_url=False, include_context=False)
    place = ".".join(str(part) for part in first["loc"]) or "reply"
    received = "" if first["type"] == "missing" else f", received {str(first['input'])[:60]!r}"
    more = f" (and {len(others)} more)" if others else ""
    raise UnreadableReply(f"{place}: {first['msg']}{received}{more}")


_READERS: dict[type[BaseModel], Callable[[str], BaseModel]] = {
    Rating: lambda body: rating(tags_as_lines(body)),
    ChatScores: lambda body: scores(tags_as_lines(body)),
    Verdict: lambda body: verdict(tags_as_lines(body)),
    Conversation: lambda body: readable(Conversation, rounds_in(body, "response")),
    Drafts: lambda body: readable(Drafts, rounds_in(body, "response_a", "response_b")),
}
