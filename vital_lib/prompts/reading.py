"""What a reply says: as JSON, or in the words of a model that keeps to no schema.

The schema that is sent is strict; a reply is read as a person would read it. Thoughts and the marks
round an answer come off first. JSON is read in whatever spelling and under whatever names, words as
`_words` and `_turns` read them. Where two readings of one reply contradict each other, or the words
around a JSON object leave in doubt that it is meant, there is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

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
from vital_lib.prompts._words import TAGS, is_template, rating, scores, tags_as_lines, verdict
from vital_lib.prompts.schemas import (
    ChatScores,
    Conversation,
    DraftQuestion,
    Drafts,
    Rating,
    RatingCriteria,
    Round,
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
    """The reply as the prompt's schema, after thoughts and the marks round an answer.

    JSON is read alone, in code fences, or at a line's start or after a colon with words around it,
    unless these leave in doubt that it is meant: an example, another object, something taken back
    or claimed anew. Keys may be spelled in any case and under the names that models give them;
    numbers and winners may be text ("8/10", "First"); a question's type, criteria and a rationale
    may be missing. A rating without all of its criteria is a `PartialRating`; rounds or drafts
    without those that say nothing are a `PartConversation` or `PartDrafts`. Courtesies that end
    the last answer ("Let me know if you need more!") are left out.

    Otherwise lines that begin with a name: "Overall: 7", "Score: 9/10" or "1. Score: 9 points" for
    a rating, beside the criteria's names; "Answer 1: 7" for scores; "Winner: first", "Winner:
    Answer 2 is better" or "[[A]]" for a verdict; "User:"/"Assistant:", "Question:"/"Answer:" or
    "Q:"/"A:", numbered or not, for turns, whose answers may run over several lines and hold code.
    A number or a winner may also be all that the reply says; a rating or two scores may stand on
    its first line or its last.

    Raises:
        UnreadableReply: the text is neither, does not fit the schema, contradicts itself, refuses,
            echoes the schema, or breaks off.
    """
    try:
        return _without_courtesy(_read(prompt.schema, cleaned(text)))
    except ValidationError as error:
        reason = _why(error)
    except UnreadableReply as error:
        reason = str(error)
    raise UnreadableReply(f"{prompt.schema.__name__}: {reason}")


def _without_courtesy(value: BaseModel) -> BaseModel:
    """Rounds without what ends the last answer and is said to the one who asked for them."""
    if not isinstance(value, Conversation | Drafts):
        return value
    name = "rounds" if isinstance(value, Conversation) else "questions"
    *before, last = getattr(value, name)
    said = {key: text for key, text in last if key.startswith("response")}
    left = {key: without_courtesy(text) for key, text in said.items()}
    if left == said:
        return value
    return value.model_copy(update={name: [*before, last.model_copy(update=left)]})


def _read(schema: type[BaseModel], body: str) -> BaseModel:
    if (value := _as_sent(schema, body)) is not None:
        return _checked(value)
    if (whole := whole_object(body)) is not None and body[:1] == '"':
        body = json.dumps(whole)
    if speaks_of(schema, whole) is None:  # marks inside its texts are none of the reply's
        body = after_headings(without_thoughts(body))
    if not body:
        raise UnreadableReply("the reply is empty")
    answers, outside = answers_in(body)
    if not answers or body[0] == "{" or schema in _TURNS:  # whose answers may wear such marks
        return _plain(schema, answers[0] if len(answers) == 1 and not outside else body)
    readings = [_marked(schema, answer) for answer in answers]
    with suppress(UnreadableReply, ValidationError):
        readings.append(_plain(schema, outside))
    return _agreed(readings)


def _as_sent(schema: type[BaseModel], body: str) -> BaseModel | None:
    """The reply where it keeps to the schema as it was sent: most do, and are read in no time."""
    if body.startswith("```") and body.endswith("}\n```"):
        body = body[body.find("\n") + 1 : -4]
    if body[:1] != "{" or has_marks(body):
        return None
    try:
        value = schema.model_validate_json(body)
    except ValidationError:
        return None
    # As many keys as fields: none stands twice, none beside them says otherwise.
    return value if body.count('":') == _fields_of(value) else None


def _fields_of(value: BaseModel) -> int:
    if isinstance(value, Conversation):
        return 1 + len(Round.model_fields) * len(value.rounds)
    if isinstance(value, Drafts):
        return 1 + len(DraftQuestion.model_fields) * len(value.questions)
    nested = len(RatingCriteria.model_fields) if isinstance(value, Rating) else 0
    return len(type(value).model_fields) + nested


def _marked(schema: type[BaseModel], answer: str) -> BaseModel:
    """What stands inside the marks of an answer, which may be a bare letter."""
    try:
        return _plain(schema, answer)
    except (UnreadableReply, ValidationError):
        if schema is Verdict and "\n" not in answer:
            return _plain(schema, f"Winner: {answer}")
        raise


def _plain(schema: type[BaseModel], body: str) -> BaseModel:
    """JSON or words, without thoughts and marks."""
    found, after = _objects(schema, body)
    if not found:
        return _in_words(schema, body)
    meant = [(before, fields) for before, fields in found if not is_example(before)]
    if schema in _TURNS and len(meant) > 1 and all(is_round(fields) for _, fields in meant):
        meant = [(meant[0][0], joined(fields for _, fields in meant))]
    values = [_checked(fitted(schema, fields)) for _, fields in meant]
    if not values:
        raise UnreadableReply("the words before the JSON make it an example")
    value = _agreed(values)
    before = "".join(words for words, _ in found)
    if refuses(before) or is_taken_back(value, after) or _says_else(schema, value, before, after):
        raise UnreadableReply("the words around the JSON leave it in doubt")
    return value


def _objects(schema: type[BaseModel], body: str) -> tuple[list[tuple[str, Fields]], str]:
    """What JSON in the text speaks of the schema, each with the words before it; the words after.

    Raises:
        UnreadableReply: some of it breaks off.
    """
    found, place, seen = [], 0, 0
    for one in objects_in(body):
        if schema in _TURNS and not found and begins_a_turn(body[seen : one.start]):
            break  # rounds in words, with JSON in one of them
        seen = one.start
        fields = speaks_of(schema, one.value)
        if fields is not None:
            found.append((body[place : one.start], fields))
            place = one.end
        elif one.value is None and _names_a_field(schema, body[one.start :]):
            raise UnreadableReply(f"JSON that breaks off, or is none: {body[one.start :][:60]!r}")
    return found, body[place:]


def _names_a_field(schema: type[BaseModel], text: str) -> bool:
    names = "|".join(schema.model_fields)
    return bool(re.search(rf"\b(?:{names})[\"'”]?\s*:", text, re.I))


def _in_words(schema: type[BaseModel], body: str) -> BaseModel:
    """The reply as a model words it that keeps to no schema; raises UnreadableReply."""
    fenced = _FENCED.fullmatch(body)
    body = fenced["body"].strip() if fenced else body
    if schema not in _TURNS and ends_by_taking_back(body):
        raise UnreadableReply("what is said last takes back what stands before it")
    try:
        return _checked(_READERS[schema](body))
    except ValidationError as error:
        reason = _why(error)
    except UnreadableReply as error:
        reason = str(error) if body else "the reply is empty"
    raise UnreadableReply(f"refused in words: {body[:80]!r}" if refuses(body) else reason)


def _checked(value: BaseModel) -> BaseModel:
    """The value, unless its rationale is the schema's own word, or a refusal.

    Raises:
        UnreadableReply: it is.
    """
    rationale = getattr(value, "rationale", "")
    if _ECHOED.fullmatch(rationale.strip()) or is_template(rationale):
        raise UnreadableReply(f"the schema is echoed back: rationale {rationale!r}")
    if refuses(rationale):
        raise UnreadableReply(f"refused in words: {rationale[:80]!r}")
    return value


def _agreed(values: list[BaseModel]) -> BaseModel:
    """The first of the readings, if none contradicts another.

    Raises:
        UnreadableReply: two do.
    """
    for other in values[1:]:
        if _contradict(values[0], other):
            raise UnreadableReply(f"{len(values)} readings contradict each other")
    return values[0]


def _contradict(one: BaseModel, other: BaseModel) -> bool:
    """Whether two readings differ in more than words; what one leaves out is no difference."""
    left, right = (value.model_dump(exclude={"rationale", "dropped"}) for value in (one, other))
    mine, theirs = left.pop("criteria", {}), right.pop("criteria", {})
    both = [(mine[name], theirs[name]) for name in mine if None not in (mine[name], theirs[name])]
    return left != right or any(a != b for a, b in both)


def _says_else(schema: type[BaseModel], value: BaseModel, *around: str) -> bool:
    """Whether the words around a JSON object declare another answer."""
    for words in filter(_WORD.search, around):
        with suppress(UnreadableReply, ValidationError):
            if _contradict(value, _READERS[schema](words)):
                return True
    return False


def _why(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False, include_context=False)
    place = ".".join(str(part) for part in first["loc"]) or "reply"
    received = "" if first["type"] == "missing" else f", received {str(first['input'])[:60]!r}"
    more = f" (and {len(others)} more)" if others else ""
    return f"{place}: {first['msg']}{received}{more}"


def _conversation(body: str) -> Conversation:
    return readable(
        Conversation,
        [
            one if isinstance(one, str) else {**one, "response": one["answers"][0]}
            for one in rounds_in(body, answers=1)
        ],
    )


def _drafts(body: str) -> Drafts:
    return readable(
        Drafts,
        [
            one
            if isinstance(one, str)
            else {**one, **dict(zip(("response_a", "response_b"), one["answers"], strict=True))}
            for one in rounds_in(body, answers=2)
        ],
    )


def _tagged(read: Callable[[str], BaseModel]) -> Callable[[str], BaseModel]:
    return lambda body: read(tags_as_lines(body, TAGS))


_READERS: dict[type[BaseModel], Callable[[str], BaseModel]] = {
    Rating: _tagged(rating),
    ChatScores: _tagged(scores),
    Verdict: _tagged(verdict),
    Conversation: _conversation,
    Drafts: _drafts,
}
