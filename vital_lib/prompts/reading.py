"""What a reply says: as JSON, or in the words of a model that keeps to no schema.

Nothing is searched for in running text. A number or a winner counts where the reply declares it: on
a line of its own that begins with its name ("Overall: 7.5"), or as all that the reply says. What is
declared twice and differently is not read, since nobody knows which was meant; except a verdict,
where the last one counts: the prompt asks for the rationale first and the verdict after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from vital_lib.prompts.schemas import (
    ChatScores,
    Conversation,
    Drafts,
    Rating,
    RatingCriteria,
    Verdict,
    WordedRating,
)

if TYPE_CHECKING:
    from vital_lib.prompts import Prompt


class Unread(ValueError):
    """A reply that does not fit its prompt's schema; the message says where and why."""


def parse(prompt: Prompt, text: str) -> BaseModel:
    """The reply as the prompt's schema.

    JSON is read alone, in one code fence, or at a line's start or after a colon with words around
    it, unless these leave in doubt that it is meant: an example, another object, something taken
    back or named anew. Otherwise lines that begin with a name: "Overall: 7", "Score: 9/10" or
    "1. Score: 9 points" for a rating, beside the criteria's names (then a `WordedRating`);
    "Answer 1: 7" for scores; "Winner: first", "Winner: Answer 2 is better" or "[[A]]" for a
    verdict; "User:"/"Assistant:", "Question:"/"Answer:" or "Q:"/"A:", numbered or not, for turns,
    whose answers may run over several lines and hold code. A number or a winner may also be all
    that the reply says.

    Raises:
        Unread: the text is neither, does not fit the schema, or breaks off.
    """
    schema, body = prompt.schema, _without_thoughts(text)
    before, inner, after = _object_in(body)
    misfit = None
    if inner:
        try:
            value = schema.model_validate_json(inner)
        except ValidationError as error:
            misfit = Unread(f"{schema.__name__}: {_why(error)}")
        else:
            if _in_doubt(value, before, after):
                raise Unread(f"{schema.__name__}: the words around the JSON leave it in doubt")
            return value
    if body.startswith("{"):
        raise misfit
    try:
        return _in_words(schema, body)
    except Unread as error:
        raise misfit or error from None


def _in_words(schema: type[BaseModel], body: str) -> BaseModel:
    """The reply as a model words it that keeps to no schema; raises Unread."""
    wrapped = _WRAPPED.fullmatch(body)
    body = wrapped["body"].strip() if wrapped else body
    try:
        return _READERS[schema](body)
    except ValidationError as error:
        reason = _why(error)
    except Unread as error:
        reason = "the reply is empty" if not body else str(error)
    if _REFUSAL.match(body):
        reason = f"refused in words: {body[:80]!r}"
    raise Unread(f"{schema.__name__}: {reason}") from None


_FENCE = re.compile(r"^[ \t]*```[a-z]*\s", re.M | re.I)
_BEGUN = re.compile(r"(?:^|(?<=:))[ \t]*(?=\{)", re.M)
_WRAPPED = re.compile(r"```[a-z]*[ \t]*\n(?P<body>(?:(?!```).)*)\n?```", re.S | re.I)
_REFUSAL = re.compile(
    r"\W*(?:i['’]?m|i am)? ?(?:very |so )?sorry\b|\W*i (?:can ?not|can['’]t|am unable|won['’]t)\b",
    re.I,
)
_EXAMPLE = re.compile(
    r"\b(?:(?:for|an?) (?:example|instance)|e\.?g|looks? like|would be|such as|not)\b[^.!?]{0,80}$",
    re.I,
)
# Said after the JSON, these may mean another answer than the JSON gives.
_ANEW = re.compile(
    r"[0-9{]|\[\[|\b(?:first|second|tie|neither|both|other|answer|assistant|response|question|user|"
    r"wait|correct(?:ion|ed)|actually|reflection|second thoughts?|reconsider\w*|instead|mistaken?|"
    r"revis\w+|scratch|change[ds]?|above (?:is|was)|not (?:my|the) \w+)\b",
    re.I,
)


def _without_thoughts(text: str) -> str:
    """The reply after what a reasoning model thought aloud; a lone surrogate becomes a mark."""
    body = text.encode(errors="replace").decode().strip()
    if not body.startswith("<think>"):
        return body
    _, ended, said = body.partition("</think>")
    if not ended:
        raise Unread("the reply breaks off while the model is thinking")
    return said.strip()


def _object_in(body: str) -> tuple[str, str, str]:
    """The words before the JSON object, itself, and the words after; all empty without one."""
    opened, closed = _FENCE.search(body), body.rfind("```")
    if opened and closed >= opened.end() and not body.startswith("{"):
        # To the last fence: two blocks together are not JSON, and so stay unread.
        parts = body[: opened.start()], body[opened.end() : closed].strip(), body[closed + 3 :]
    else:
        begun = _BEGUN.search(body)
        start = begun.end() if begun else len(body)
        end = body.rfind("}", start) + 1 or len(body)  # to the last: two objects are none
        parts = body[:start], body[start:end], body[end:]
    return parts if parts[1].startswith("{") else ("", "", "")


def _in_doubt(value: BaseModel, before: str, after: str) -> bool:
    """Whether the words around a JSON object may mean another answer than the object."""
    if _REFUSAL.match(before) or _EXAMPLE.search(before.strip()[-200:]) or _ANEW.search(after):
        return True
    try:
        told = _READERS[type(value)](before)
    except (Unread, ValidationError):
        return False
    words = {"rationale", "criteria"}
    return told.model_dump(exclude=words) != value.model_dump(exclude=words)


def _why(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False, include_context=False)
    place = ".".join(str(part) for part in first["loc"]) or "reply"
    received = "" if first["type"] == "missing" else f", received {str(first['input'])[:60]!r}"
    more = f" (and {len(others)} more)" if others else ""
    return f"{place}: {first['msg']}{received}{more}"


# ---------------------------------------------------------------- lines that begin with a name

_LABELLED = re.compile(
    r"(?:[-+•|]\s*)?(?:[0-9]{1,2}[.)]\s+)?(?P<name>[a-z][a-z0-9 _]{0,40}?)\s*(?:\([^()]{0,40}\))?"
    r"\s*(?:[:=|]|\s[-–—]\s)\s*(?P<said>\S.*)",
    re.I,
)
# After the number nothing but its scale and a reason without another number: "8 - 9" is none.
_VALUE = (
    r"(?:\[\[)?(?P<number>-?[0-9]{1,3}(?:\.[0-9]{1,6})?)(?:\]\])?(?:\s*points?)?"
    r"(?:\s*(?:/|out of|of)\s*10(?:\s*points?)?)?"
)
_NUMBER = re.compile(rf"{_VALUE}\s*(?:[-–—(;:.,]\D*)?", re.I)
_ALONE = re.compile(rf"{_VALUE}\.?", re.I)
_CRITERIA = tuple(RatingCriteria.model_fields)
_WORDS_ONLY = re.compile(r"\D*")
_FINAL = ("overall", "overall rating", "overall score", "final rating", "final score")
_PLAIN = ("rating", "score")
_WINNER_NAMES = ("winner", "verdict", "final verdict", "better", "better answer", "choice")
_KINDS = ("answer", "assistant", "response")
_WINNERS = {
    **{f"{kind} {sign}": "first" for kind in _KINDS for sign in "1a"},
    **{f"{kind} {sign}": "second" for kind in _KINDS for sign in "2b"},
    **{"first": "first", "a": "first", "second": "second", "b": "second"},
    **dict.fromkeys(("tie", "c", "neither", "both"), "tie"),
}
_WHICH = "|".join(_WINNERS)
_NOUN = "(?: (?:answer|response|one))?"
_BETTER = (
    rf"(?: (?:wins|(?:is|was)(?: the| clearly| slightly){{0,2}} (?:better|best|winner){_NOUN})"
    rf"(?: than (?:the )?(?:other|{_WHICH}){_NOUN})?)?"
)
_REASON = r"(?:(?:\s*[-–—(;:.]|,? (?:because|since|as)\b)(?:(?!\b(?:but|however|wait)\b).)*)?"
_WINNER = re.compile(
    rf"(?:\[\[|[\"'])?(?:the |a )?(?P<word>{_WHICH})(?:\]\]|[\"'])?{_NOUN}{_BETTER}{_REASON}", re.I
)
_BRACKETED = re.compile(rf"\[\[(?P<word>{_WHICH})\]\]", re.I)


def _labelled(body: str) -> Iterator[tuple[str, str, str]]:
    """(name, what it says, the line) of each line; the name is empty where there is none."""
    for line in body.splitlines():
        plain = " ".join(re.sub(r"[*`#]", "", line).split())
        found = _LABELLED.fullmatch(plain.rstrip(" |"))
        name = " ".join(found["name"].lower().replace("_", " ").split()) if found else ""
        yield name, found["said"] if found else "", line


def _number(said: str, form: re.Pattern[str] = _NUMBER) -> float | None:
    found = form.fullmatch(said)
    return float(found["number"]) if found else None


def _numbers(body: str) -> tuple[dict[str, set[float | None]], str]:
    """The numbers declared under each name, None for one that cannot be read; and the other words.

    A name that is followed by words alone declares no number.
    """
    declared: dict[str, set[float | None]] = {}
    others = []
    for name, said, line in _labelled(body):
        if not name or _WORDS_ONLY.fullmatch(said):
            others.append(said if name == "rationale" else line)
        elif name == "rationale":
            others.append(said)
        else:
            declared.setdefault(name, set()).add(_number(said))
            others += [line] if _number(said) is None else []
    return declared, "\n".join(others).strip()


def _only(declared: dict[str, set[float | None]], names: tuple[str, ...]) -> float | None:
    """The one number declared under `names`; None where there is none.

    Raises:
        Unread: several that differ, or one that cannot be read.
    """
    found = set().union(*(declared.get(name, ()) for name in names))
    if None in found:
        raise Unread(f"what is declared as {' or '.join(names)} cannot be read as one number")
    if len(found) > 1:
        several = " and as ".join(f"{number:g}" for number in sorted(found))
        raise Unread(f"{' or '.join(names)} is declared as {several}")
    return found.pop() if found else None


def _rating(body: str) -> WordedRating:
    declared, rationale = _numbers(body)
    overall = next(
        (found for names in (_FINAL, _PLAIN) if (found := _only(declared, names)) is not None),
        _number(body.strip("*`# "), _ALONE),
    )
    if overall is None:
        raise Unread("overall: no line 'Overall: <number>' was found")
    criteria = {name: declared.get(name.replace("_", " "), {None}) for name in _CRITERIA}
    criteria = {name: found.pop() if len(found) == 1 else None for name, found in criteria.items()}
    return WordedRating.model_validate(
        {"rationale": rationale, "criteria": criteria, "overall": overall}
    )


def _scores(body: str) -> ChatScores:
    declared, rationale = _numbers(body)
    places = {"first": "1", "second": "2"}
    scores = {
        place: _only(declared, (f"answer {n}", place, f"assistant {n}"))
        for place, n in places.items()
    }
    lacking = [f"'Answer {places[place]}:'" for place, score in scores.items() if score is None]
    if lacking:
        raise Unread(f"no line {' and none '.join(lacking)} with a number was found")
    return ChatScores.model_validate({"rationale": rationale, **scores})


def _verdict(body: str) -> Verdict:
    lines = [said for name, said, _ in _labelled(body) if name in _WINNER_NAMES]
    said = [found and found["word"] for found in map(_WINNER.fullmatch, lines)]
    said = said if any(said) else []
    said = said or [found["word"] for found in _BRACKETED.finditer(body)]
    alone = body.strip("*`#. ").lower()
    said = said or [word for word in ("first", "second", "tie") if word == alone]
    if not said or said[-1] is None:
        raise Unread("winner: no line 'Winner: first, second or tie' was found")
    rest = [
        said if name == "rationale" else line
        for name, said, line in _labelled(body)
        if name not in _WINNER_NAMES
    ]
    return Verdict(rationale="\n".join(rest).strip(), winner=_WINNERS[said[-1].lower()])


# ---------------------------------------------------------------- turns

_RULE = re.compile(r"[\s#*_-]*(?:(?:round|turn)\s*[0-9]+)?[\s:.*_-]*", re.I)
_TYPES = "question[ _]type|type|kind"


def _turn_line(asks: str, says: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A line that begins a turn; and where, after a sentence's end, an answer begins on it."""
    end = r"[ _]?(?:[0-9]{1,2}|\([0-9]{1,2}\)|[ab]\b)?[*_ ]{0,6}:[*_]{0,6}"
    # Bounded, since a reply may be a long row of one sign.
    before = (
        r"[\s#*_-]{0,20}(?:[0-9]{1,2}[.)]\s{0,9})?"
        r"(?:(?:round|turn)\s?[0-9]{1,3}\s?[-:.–—,]?\s?)?[*_]{0,6}"
    )
    names = f"(?:(?P<asks>{asks})|(?P<says>{says})|(?P<type>{_TYPES}))"
    return (
        re.compile(rf"{before}{names}{end}\s*(?P<said>.*)", re.I),
        re.compile(rf"(?<=[.?!:*])\s+[*_]{{0,6}}(?:{says}){end}\s+", re.I),
    )


_SPELLINGS = (
    _turn_line("question|user|human|instruction", "answer|assistant|gpt|response"),
    _turn_line("q", "a"),
)


def _rounds(body: str, answers: int) -> list[dict[str, Any]]:
    """instruction, question_type, answers (a list) of each round."""
    lines = body.splitlines()
    spelling = next(
        (pair for line in lines for pair in _SPELLINGS if pair[0].fullmatch(line)), None
    )
    if spelling is None:
        raise Unread("no line 'Question:' or 'User:' was found")
    turns = _turns(lines, *spelling)
    rounds: list[dict[str, Any]] = []
    for who, said in turns:
        if who == "asks":
            rounds.append({"instruction": said, "question_type": None, "answers": []})
        elif not rounds:
            raise Unread("an answer stands before the first question")
        elif who == "says":
            rounds[-1]["answers"].append(said)
        else:
            rounds[-1]["question_type"] = said or None
    for place, round in enumerate(rounds, start=1):
        if len(round["answers"]) != answers:
            raise Unread(f"round {place} has {len(round['answers'])} answers, wanted {answers}")
    return rounds


def _turns(
    lines: list[str], line_of: re.Pattern[str], inline: re.Pattern[str]
) -> list[tuple[str, str]]:
    """(asks, says or type, text) of each turn; what stands before the first is left out."""
    turns: list[tuple[str, list[str]]] = []
    fenced = False
    for line in lines:
        found = None if fenced else line_of.fullmatch(line)
        if line.lstrip().startswith("```"):
            fenced = not fenced
        if found:
            first, *others = inline.split(found["said"]) if found["asks"] else [found["said"]]
            turns.append((_who(found), [first]))
            turns += [("says", [said]) for said in others]
            fenced = found["said"].count("```") % 2 == 1
        elif turns and (fenced or not line.strip() or not _is_rule(line)):
            turns[-1][1].append(line)
    if fenced:
        raise Unread("a code fence is not closed: the reply breaks off")
    return [(who, "\n".join(lines).strip()) for who, lines in turns]


def _is_rule(line: str) -> bool:
    """Whether a line only parts rounds: "---", "### Round 2"."""
    return len(line) < 100 and bool(_RULE.fullmatch(line))


def _who(found: re.Match[str]) -> str:
    return next(who for who in ("asks", "says", "type") if found[who])


def _conversation(body: str) -> Conversation:
    rounds = [{**round, "response": round.pop("answers")[0]} for round in _rounds(body, answers=1)]
    return Conversation.model_validate({"rounds": rounds})


def _drafts(body: str) -> Drafts:
    questions = [
        {**round, "response_a": round["answers"][0], "response_b": round["answers"][1]}
        for round in _rounds(body, answers=2)
    ]
    return Drafts.model_validate({"questions": questions})


_READERS: dict[type[BaseModel], Callable[[str], BaseModel]] = {
    Rating: _rating,
    ChatScores: _scores,
    Verdict: _verdict,
    Conversation: _conversation,
    Drafts: _drafts,
}
