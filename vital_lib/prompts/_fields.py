"""Fit a model's JSON, whose fields may have other names, to a schema.

Nothing is invented: a missing field becomes None if the schema or its partial form allows it. A
value that cannot be read as the field's type is passed on unchanged, and the schema rejects it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, get_args

from pydantic import BaseModel

from vital_lib.prompts._marks import UnreadableReply, answers_in, without_thoughts
from vital_lib.prompts._objects import key_name, whole_object
from vital_lib.prompts._words import (
    CRITERIA,
    FINAL,
    LOOSE,
    PLAIN,
    RATIONALE_NAMES,
    RIVALS,
    SCORE_NAMES,
    WINNER_NAMES,
    is_rating,
    is_template,
    number_in,
    pair_in,
    winner_in,
)
from vital_lib.prompts.schemas import (
    ChatScores,
    Conversation,
    Drafts,
    PartialRating,
    Rating,
    Verdict,
    readable,
)

Fields = dict[str, Any]

_ROUNDS = ("rounds", "conversation", "conversations", "turns", "messages", "dialogue", "questions")
_QUESTIONS = ("questions", "drafts", "items", "rounds")
_INSTRUCTION = ("instruction", "question", "user", "human", "prompt", "q")
_RESPONSE = ("response", "answer", "assistant", "gpt", "ai", "reply", "a")
_TYPE = ("question type", "type", "kind", "category")
_BOTH = ("responses", "answers")
_LETTERS = {"a": ("a", "1", "first"), "b": ("b", "2", "second")}
_SPEAKER, _TEXT = ("from", "role", "speaker"), ("value", "content", "text")
_NAMES: dict[type[BaseModel], tuple[str, ...]] = {
    Rating: (*FINAL, *PLAIN),
    ChatScores: (*sum(SCORE_NAMES.values(), ()), "scores"),
    Verdict: (*WINNER_NAMES, *LOOSE),
    Conversation: (*_ROUNDS, *_INSTRUCTION),
    Drafts: (*_QUESTIONS, *_INSTRUCTION),
}
_NOTES = ("note", "notes", "comment", "comments", "remark", "disclaimer")
_CRITERION_NAMES = {"criteria", *CRITERIA.values()}  # a number under these is not an overall rating
_ECHO = re.compile(
    r"[\"'<\[{(]*(?:(?:string|str)(?: \| null)?|\.{3}|…|response[_ ]?[ab12]?|instruction|"
    r"question[_ ]type|(?:the )?(?:first|second) (?:response|answer)|"
    r"(?:insert )?(?:your|the) (?:answer|question|response|instruction|text)(?: (?:here|text))?)"
    r"[\"'>\]})]*\.?",
    re.I,
)


def speaks_of(schema: type[BaseModel], value: Any) -> Fields | None:
    """Return the object in `value` that names a field of the schema, or None.

    Args:
        value: a JSON object or a list of objects, as `_objects` reads them. The object may be the
            only item of a list or the only object inside another one.
    """
    names = _NAMES[schema]
    for _ in range(3):
        if isinstance(value, list):
            if schema in (Conversation, Drafts) and value and _lists_rounds(value):
                return {names[0]: value}
            value = value[0] if len(value) == 1 else None
        if not isinstance(value, dict):
            return None
        named = [value[name] for name in names if name in value]
        if named and not _holds(schema, named[0]):
            return value
        if schema in (Conversation, Drafts) and value and _lists_rounds([*value.values()]):
            return {names[0]: [*value.values()]}
        inner = [
            _decoded(item)
            for name, item in value.items()
            if isinstance(_decoded(item), dict | list) and name not in _CRITERION_NAMES
        ]
        value = inner[0] if len(inner) == 1 else None
    return None


def fitted(schema: type[BaseModel], fields: Fields) -> BaseModel:
    """Return the fields as the schema.

    A rating with missing criteria becomes a `PartialRating`. Rounds that cannot be read are dropped
    (`readable`).

    Raises:
        ValidationError: the fields do not fit.
        UnreadableReply: a note in them says that they are a template.
    """
    if schema in (Conversation, Drafts):
        return readable(schema, _rounds(schema, fields))
    notes = [fields[name] for name in _NOTES if isinstance(fields.get(name), str)]
    if any(map(is_template, notes)):
        raise UnreadableReply(f"a note in the reply marks it as a template: {notes[0]!r}")
    made = _MAKERS[schema](fields)
    if schema is Rating and None in made["criteria"].values():
        return PartialRating.model_validate(made)
    return schema.model_validate(made)


def is_round(fields: Fields) -> bool:
    """Return whether an object is a single round rather than an object with a list of rounds."""
    return not _has(fields, (*_ROUNDS, *_QUESTIONS))


def joined(rounds: Iterable[Fields]) -> Fields:
    """Return separate rounds as one list; a repetition of the previous round is dropped."""
    kept: list[Fields] = []
    for fields in rounds:
        if fields not in kept[-1:]:
            kept.append(fields)
    return {"rounds": kept}


def is_echo(text: str) -> bool:
    """Return whether a text is a placeholder: "string", "...", "your answer"."""
    return bool(_ECHO.fullmatch(text.strip()))


def _decoded(value: Any) -> Any:
    """Return the object that a text encodes, such as a tool call's arguments; else the value."""
    is_text = isinstance(value, str) and value[:1] == "{"
    return (whole_object(value) or value) if is_text else value


def _holds(schema: type[BaseModel], value: Any) -> bool:
    """Return whether a value under one of the schema's names is itself an object of the schema."""
    return isinstance(value, dict) and len(schema.model_fields.keys() & value.keys()) > 1


def _lists_rounds(value: list[Any]) -> bool:
    return all(isinstance(one, dict) and ({*_INSTRUCTION, *_SPEAKER} & one.keys()) for one in value)


def _first(fields: Fields, names: tuple[str, ...], default: Any = None) -> Any:
    """Return the first value under these names that is not null."""
    return next((fields[n] for n in names if fields.get(n) is not None), default)


def _rationale(fields: Fields) -> str:
    value = _first(fields, RATIONALE_NAMES, "")
    if isinstance(value, list):
        value = "\n".join(map(str, value))
    return value if isinstance(value, str) else str(value)


def _rating(fields: Fields) -> Fields:
    given = _first(fields, ("criteria", "criterion ratings", "ratings", "scores"), fields)
    if isinstance(given, list):
        rows = [one for one in given if isinstance(one, dict)]
        given = [{_first(one, ("criterion", "name"), ""): one} for one in rows]
    parts = given if isinstance(given, list) else [given] if isinstance(given, dict) else []
    named = [{key_name(str(name)): one for name, one in part.items()} for part in parts]
    criteria = {field: _numbers((name,), *named, fields) for field, name in CRITERIA.items()}
    overall = number_in(_only(fields, FINAL) if _has(fields, FINAL) else _only(fields, PLAIN))
    rivals = () if _has(fields, FINAL[3:]) else RIVALS
    others = [*_numbers(rivals, fields), *_numbers(FINAL, *named)]
    others = [one for one in others if is_rating(one) and one != overall]
    return {
        "rationale": _rationale(fields),
        "criteria": {name: one[0] if len({*one}) == 1 else None for name, one in criteria.items()},
        "overall": [overall, *others] if is_rating(overall) and others else overall,
    }


def _has(fields: Fields, names: tuple[str, ...]) -> bool:
    return any(name in fields for name in names)


def _only(fields: Fields, names: tuple[str, ...]) -> Any:
    """Return the value under these names, or the list of values if their numbers differ."""
    given = [fields[name] for name in names if name in fields]
    read = [number_in(one) for one in given]
    return given[0] if given and all(one == read[0] for one in read) else given or None


def _numbers(names: tuple[str, ...], *parts: Fields) -> list[float]:
    """Return the numbers under these names in any of the parts."""
    read = [number_in(part[name]) for part in parts for name in names if name in part]
    return [float(one) for one in read if type(one) in (int, float)]


def _scores(fields: Fields) -> Fields:
    given = fields.get("scores", fields)
    given = pair_in(given) or given
    if isinstance(given, list):
        given = dict(zip(SCORE_NAMES, given, strict=True)) if len(given) == 2 else {}
    inner = given if isinstance(given, dict) else {}
    found = {}
    for place, names in SCORE_NAMES.items():
        one = number_in(_only({**fields, **inner}, names))
        others = [other for other in _numbers(names, fields) if other != one]
        found[place] = [one, *others] if others else one
    return {"rationale": _rationale(fields), **found}


def _verdict(fields: Fields) -> Fields:
    names = WINNER_NAMES if _has(fields, WINNER_NAMES) else LOOSE
    named = [winner_in(fields[name]) for name in names if name in fields]
    loose = [winner_in(fields[name]) for name in LOOSE if name in fields]
    named += [one for one in loose if one in get_args(Verdict.model_fields["winner"].annotation)]
    winner = named[0] if all(one == named[0] for one in named) else named
    return {"rationale": _rationale(fields), "winner": winner}


def _rounds(schema: type[BaseModel], fields: Fields) -> Any:
    """Return the list of rounds; an object that is itself a round becomes a list."""
    given = _first(fields, _ROUNDS if schema is Conversation else _QUESTIONS)
    if isinstance(given, dict) and _lists_rounds([*given.values()]):
        given = [*given.values()]
    elif given is None and _has(fields, _INSTRUCTION):
        given = [fields]
    if not isinstance(given, list):
        return given
    spoken = all(_has(one, _SPEAKER) for one in given if isinstance(one, dict))
    if schema is Conversation and given and spoken:
        given = _paired(given)
    return [_read_round(schema, one) for one in given]


def _read_round(schema: type[BaseModel], given: Any) -> Any:
    """Return a round's fields; for a round that breaks off inside a thought, the reason as text."""
    try:
        read = _round if schema is Conversation else _question
        return read(given) if isinstance(given, dict) else given
    except UnreadableReply as error:
        return str(error)


def _round(fields: Fields) -> Fields:
    return {
        "instruction": _text(_first(fields, _INSTRUCTION)),
        "response": _text(_first(fields, _RESPONSE)),
        "question_type": _type(fields),
    }


def _paired(messages: list[Any]) -> list[Any]:
    """Return messages as rounds; a round without exactly one answer becomes the reason as text."""
    rounds: list[tuple[Any, list[Any]]] = []
    for message in messages:
        speaker = str(_first(message, _SPEAKER)).lower() if isinstance(message, dict) else ""
        text = _first(message, _TEXT) if speaker else None
        if speaker in ("user", "human"):
            rounds.append((text, []))
        elif speaker != "system":
            rounds = rounds or [(None, [])]
            rounds[-1][1].append(text)
    return [
        {"instruction": instruction, "response": responses[0]}
        if len(responses) == 1
        else f"{len(responses)} answers, wanted 1"
        for instruction, responses in rounds
    ]


def _question(fields: Fields) -> Fields:
    both = _first(fields, _BOTH)
    made = {"instruction": _text(_first(fields, _INSTRUCTION)), "question_type": _type(fields)}
    for place, (letter, signs) in enumerate(_LETTERS.items()):
        names = [f"{noun} {sign}" for noun in ("response", "answer") for sign in signs[:2]]
        names += [f"{signs[2]} response", f"{signs[2]} answer", letter]
        listed = both[place] if isinstance(both, list) and len(both) == 2 else None
        value = _first(fields, tuple(names), listed)
        value = _first(value, (*_RESPONSE, *_TEXT)) if isinstance(value, dict) else value
        made[f"response_{letter}"] = _text(value)
    return made


def _type(fields: Fields) -> Any:
    value = _first(fields, _TYPE)
    return None if isinstance(value, str) and (not value.strip() or is_echo(value)) else value


def _text(value: Any) -> Any:
    """Return a text without thoughts and enclosing answer marks; a number becomes text."""
    if type(value) in (int, float):
        return str(value)
    if not isinstance(value, str):
        return value
    text = without_thoughts(value.strip())
    answers, outside = answers_in(text)
    return answers[0] if len(answers) == 1 and not outside else text


_MAKERS: dict[type[BaseModel], Callable[[Fields], Fields]] = {
    Rating: _rating,
    ChatScores: _scores,
    Verdict: _verdict,
}
