"""Ratings, scores and verdicts in the plain text of a reply that follows no schema.

Running text is not searched. A number or a winner counts only where the reply declares it: on a
line that begins with its name ("Overall: 7.5"), on a first or last line that holds nothing else, or
as the whole reply. Two different declarations of a rating or score make a reply unread, since
nobody knows which was meant. Of several verdicts the last one counts: the prompt requests the
rationale first and the verdict after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from vital_lib.prompts._marks import UnreadableReply
from vital_lib.prompts._objects import key_name
from vital_lib.prompts.schemas import ChatScores, PartialRating, RatingCriteria, Verdict

CRITERIA = {name: name.replace("_", " ") for name in RatingCriteria.model_fields}
"""From each criterion's field to its name in words."""

FINAL = ("overall", "overall rating", "overall score", "final rating", "final score")
PLAIN = ("rating", "score")
"""Names of an overall rating; those in `FINAL` take precedence over those in `PLAIN`."""

RIVALS = (*PLAIN, "final", "total", "total score", "total rating", "grade", "verdict", "result")
RIVALS += ("final verdict", "final answer", "final grade", "decision", "judgment", "conclusion")
"""Names whose rating contradicts a different overall rating, unless that one is called final."""

WINNER_NAMES = ("winner", "verdict", "final verdict", "better", "better answer", "choice")
RATIONALE_NAMES = ("rationale", "explanation", "reasoning", "reason", "justification")

LOOSE = ("answer", "final answer", "result", "decision", "judgment", "judgement", "conclusion")
LOOSE += ("preferred", "preferred answer", "preference", "best", "best answer")
"""Names that may introduce other things, so only an unmistakable answer counts under them."""

_LABELLED = re.compile(
    r"(?:[-+•|]\s*)?(?:[0-9]{1,2}[.)]\s+)?(?P<name>[a-z][a-z0-9 _]{0,40}?)"
    r"\s*(?:\((?P<note>[^()]{0,40})\))?\s*(?:[:=|]|\s[-–—]\s)\s*(?P<value>\S.*)",
    re.I,
)
_TAG = re.compile(r"<(?P<shut>/?)(?P<name>[a-z][a-z_0-9]{1,19})>", re.I)

# Only a scale and a reason without numbers may follow the number: "8 - 9" is not a number.
_VALUE = (
    r"(?:\[\[)?(?P<number>-?[0-9]{1,3}(?:\.[0-9]{1,6})?)(?:\]\])?(?:\s*points?)?"
    r"(?:\s*(?:/|out of|of)\s*10(?:\s*points?)?)?"
)
_OTHERWISE = (  # another scale, or a second number in words
    r"(?!.*\b(?:(?:scale|out|maximum) of (?!ten)|stars\b|percent\b|or (?:rather|maybe|perhaps)\b))"
)
_NUMBER = re.compile(
    rf"{_VALUE}\s*(?:[-–—(;:.,|]{_OTHERWISE}\D*|,?\s*(?:because|since|as)\b\D*)?", re.I
)
# After a stated scale, a reason may contain numbers but no other rating.
_ON_SCALE = re.compile(
    r"(?P<number>[0-9]{1,2}(?:\.[0-9]{1,6})?)\s*(?:/|out of)\s*10\b(?:\s*points?)?\s*"
    r"(?:[-–—(;:.,|]|because\b|since\b|as\b)"
    r"(?!.*(?:\b(?:or|to|maybe|perhaps|rather|than)\b|[0-9]\s*(?:/|out of|of)\s*10\b)).*",
    re.I | re.S,
)
_ALONE = re.compile(rf"{_VALUE}\.?", re.I)
_LINE_OF_ONE = re.compile(_VALUE, re.I)
_ONE = r"(?:\[\[)?([0-9]{1,2}(?:\.[0-9]{1,6})?)(?:\]\])?(?:\s*(?:/|out of)\s*10)?"
_LINE_OF_TWO = re.compile(
    rf"(?:scores?\s*:?\s*)?[(\[]?{_ONE}(?:\s*[,;|&]\s*|\s+(?:and\s+)?){_ONE}[)\]]?\.?", re.I
)
# A note that marks a value as a placeholder. "a good example of clarity" is a reason instead.
_TEMPLATE = re.compile(
    r"[\W_]*(?:(?:note|nb|comment)\b\W*)?(?:(?:out of |of )?10\b\W*)?(?:points?\b\W*)?"
    r"(?:(?:this|that|it|is|just|only|merely|as|for|an?|the|my|some|purely)\s+)*"
    r"(?:place[- ]?holder|template|example|sample|dummy|illustrative|illustration|instance|e\.?g|"
    r"hypothetical|mock|fictional|fictitious|made[- ]up|random|arbitrary|"
    r"not (?:my|an?|the) (?:real|actual|true|final)|"
    r"tb[acd]|(?:to be |please )?(?:determined|decided|fill(?:ed)?|replaced?)|"
    r"(?:insert |put )?your (?:own )?(?:score|rating|number|verdict|choice|value|rationale)|"
    r"(?:score|rating|number|verdict|rationale|winner|reason|explanation) here)"
    r"(?:\s+(?:only|value|score|rating|number|here|verdict|winner|purposes?|in|output|format|later|"
    r"this|it|me))*[\W_]*"
    r"(?:(?:to be|please|replace|change|fill|not (?:my|an?|the)|do not|don['’]t)\b[^.]*"
    r"\.?\W{0,3})?",
    re.I,
)
_ARTICLES = re.compile(r"^(?:my|the) | is$")
_STATED = re.compile(
    r"(?:(?:so|thus|therefore|overall|hence),? )?(?:(?:the |my )?(?:final )?(?:winner|verdict|"
    r"choice|(?:better|best|preferred) answer) is|"
    r"i (?:would )?(?:choose|pick|prefer|select|vote for)) (.*)",
    re.I,
)
_WORDS_ONLY = re.compile(r"\D*")
_FENCE_LINE = re.compile(r"\s*(?:`{3,}|~{3,})[\w+-]*\s*")

_KINDS = ("answer", "assistant", "response", "model", "option", "candidate")
_WINNERS: dict[str, Literal["first", "second", "tie"]] = {
    **{f"{kind} {sign}": "first" for kind in _KINDS for sign in ("1", "a", "one")},
    **{f"{kind} {sign}": "second" for kind in _KINDS for sign in ("2", "b", "two")},
    **{"first": "first", "a": "first", "1": "first"},
    **{"second": "second", "b": "second", "2": "second"},
    **dict.fromkeys(("tie", "tied", "draw", "equal", "c", "neither", "both"), "tie"),
}
_WHICH = "|".join(_WINNERS)
_NOUN = "(?: (?:answer|response|assistant|model|one|option))?"
_BETTER = (
    rf"(?: (?:wins|(?:is|was)(?: the| clearly| slightly| much){{0,2}} "
    rf"(?:better|best|winner){_NOUN})(?: than (?:the )?(?:other|{_WHICH}){_NOUN})?)?"
)
_REASON = r"(?:(?:\s*[-–—(;:.]|,? (?:because|since|as)\b)(?:(?!\b(?:but|however|wait)\b|\bno,).)*)?"
_NAMED = (
    rf"(?:\[\[|[\"'])?(?:it(?: i|['’])s )?(?:the |a |an )?(?P<word>{_WHICH})(?:\]\]|[\"'])?"
    rf"{_NOUN}{_BETTER}"
)
_WINNER = re.compile(rf"{_NAMED}{_REASON}", re.I | re.S)
_ALONE_WINNER = re.compile(rf"{_NAMED}[.!]?", re.I)
_BRACKETED = re.compile(rf"\[\[(?P<word>{_WHICH})\]\]", re.I)
_NEXT_ON_THE_LINE = re.compile(
    r"[,;|][ \t]*(?:and )?(?=(?:(?:answer|assistant|response|score) [12ab]|second)[ \t]*[:=])", re.I
)


def pair_in(value: Any) -> list[float] | None:
    """Return the two numbers of a text such as "8 7", or None."""
    found = _LINE_OF_TWO.fullmatch(_bare(value)) if isinstance(value, str) else None
    return [float(found[1]), float(found[2])] if found else None


_SCALE_NAMES = ("max", "maximum", "max score", "out of", "of", "scale", "total", "best")


def number_in(value: Any) -> Any:
    """Return the number in a text ("8", "8/10") or under a name such as score; else the value.

    True and "high" are not numbers and are returned unchanged.
    """
    if isinstance(value, dict):
        named = {key_name(name): one for name, one in value.items()}
        scale = [number_in(named[name]) for name in _SCALE_NAMES if name in named]
        given = [number_in(named[name]) for name in ("score", "rating", "value") if name in named]
        if any(one != 10 for one in scale) or any(one != given[0] for one in given):
            return value
        value = given[0] if given else value
    number = _number(value.strip("*`# \n")) if isinstance(value, str) else None
    return value if number is None else number


def winner_in(value: Any) -> Any:
    """Return first, second or tie if a value names one ("Answer 1", "[[B]]"); else the value."""
    if isinstance(value, list) and len(value) == 1:
        return winner_in(value[0])
    text = str(value) if type(value) is int else value
    if isinstance(text, str) and (
        found := _winner(" ".join(_spaced(text).strip("*`#. \n").split()))
    ):
        return _WINNERS[found["word"].lower()]
    return value


def is_template(text: str) -> bool:
    """Return whether a text, or the text after a value, marks a placeholder."""
    return bool(_TEMPLATE.fullmatch(text))


def is_rating(value: Any) -> bool:
    """Return whether a value is a number from 0 to 10."""
    return type(value) in (int, float) and 0 <= value <= 10


def _winner(text: str) -> re.Match[str] | None:
    found = _WINNER.fullmatch(text)
    return found if found and not is_template(text[found.end("word") :]) else None


def rating(body: str) -> PartialRating:
    """Read a rating from plain text; a criterion without exactly one number is None.

    Raises:
        UnreadableReply: no overall rating is declared, or two that differ.
    """
    declared, rationale = _numbers(body)
    overall = next(
        (found for names in (FINAL, PLAIN, LOOSE) if (found := _only(declared, names)) is not None),
        None,
    )
    rivals = [given[0] for name in RIVALS if len(given := declared.get(name, ())) == 1]
    if overall is not None and not declared.keys() & {*FINAL[3:]}:
        # A "Score:" that occurs more than once rates the criteria.
        _agreed([overall, *filter(is_rating, rivals)], "overall")
    if overall is None:
        overall = _number(body.strip("*`# "), _ALONE)
    on_line = {float(found["number"]) for found in _edges(body, _LINE_OF_ONE)}
    overall = _agreed([*on_line, overall], "overall")
    if overall is None:
        raise UnreadableReply("overall: no line 'Overall: <number>' was found")
    criteria = {field: {*declared.get(name, [None])} for field, name in CRITERIA.items()}
    criteria = {name: found.pop() if len(found) == 1 else None for name, found in criteria.items()}
    return PartialRating.model_validate(
        {"rationale": rationale, "criteria": criteria, "overall": overall}
    )


def scores(body: str) -> ChatScores:
    """Read two scores from plain text: by name, or as two numbers on the first or the last line.

    Raises:
        UnreadableReply: a score is not declared, or is declared twice with different values.
    """
    declared, rationale = _numbers(_NEXT_ON_THE_LINE.sub("\n", body))
    pairs = {(float(one[1]), float(one[2])) for one in _edges(body, _LINE_OF_TWO)}
    pairs |= _two_lines(body)
    found = {}
    for at, (place, names) in enumerate(SCORE_NAMES.items()):
        found[place] = _agreed([*(pair[at] for pair in pairs), _only(declared, names)], place)
    lacking = [f"'Answer {n}:'" for n, one in enumerate(found.values(), start=1) if one is None]
    if lacking:
        raise UnreadableReply(f"no line {' or '.join(lacking)} with a number was found")
    return ChatScores.model_validate({"rationale": rationale, **found})


SCORE_NAMES = {
    place: (
        *(f"{kind} {sign}" for kind in ("answer", "assistant", "response") for sign in signs),
        *(f"answer {sign} score" for sign in signs),
        *(f"score {of}answer {sign}" for of in ("of ", "for ") for sign in signs),
        *(f"score {signs[0]}", place, f"{place} answer", f"{place} score", f"{own} answer"),
    )
    for place, signs, own in (("first", "1a", "reference"), ("second", "2b", "model"))
}
"""The names of each score in a reply."""


def verdict(body: str) -> Verdict:
    """Read the last verdict that is declared in plain text.

    Raises:
        UnreadableReply: no verdict is declared, or the last one names no winner.
    """
    lines = list(_labelled(body))
    words = [found and found["word"] for found in map(_declared, lines) if found is not False]
    if not any(words):
        words = _bracketed(body)
    if not words:
        words = [found["word"] for found in _edges(body, _ALONE_WINNER) if len(found["word"]) > 1]
        words = words if len({_WINNERS[word.lower()] for word in words}) == 1 else []
    if not words or words[-1] is None:
        raise UnreadableReply("winner: no line 'Winner: first, second or tie' was found")
    rest = [
        value if name in RATIONALE_NAMES else line
        for name, value, line in lines
        if name not in WINNER_NAMES
    ]
    return Verdict(rationale="\n".join(rest).strip(), winner=_WINNERS[words[-1].lower()])


def _bracketed(body: str) -> list[str | None]:
    """Return the winners in double brackets; [None] if the last of them only lists the choices."""
    found = list(_BRACKETED.finditer(body))
    last = body[found[-1].start() :] if found else ""
    listed = len(found) > 1 and re.search(
        r"(?:\bor|,|\band)(?: choose)?\s*$", body[found[-2].end() : found[-1].start()], re.I
    )
    return [None] if listed or re.match(r"\S+ if\b", last) else [one["word"] for one in found]


def _declared(line: tuple[str, str, str]) -> re.Match[str] | Literal[False] | None:
    """Return the winner that a line declares; None if unreadable, False if it declares nothing."""
    name, value, text = line
    if name in WINNER_NAMES:
        return _winner(value)
    stated = _STATED.fullmatch(_bare(text).rstrip(".!"))
    return (name in LOOSE and _winner(value)) or (stated and _winner(stated[1])) or False


def _spaced(text: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[12]\b)", " ", text.replace("_", " "))


def tags_as_lines(body: str) -> str:
    """Rewrite tags of known names as lines: "<winner>first</winner>" as "winner: first"."""

    def line(found: re.Match[str]) -> str:
        name = key_name(found["name"])
        if name not in _TAGS:
            return found[0]
        return "\n" if found["shut"] else f"\n{name}: "

    return _TAG.sub(line, body)


_TAGS = {*FINAL, *PLAIN, *WINNER_NAMES, *RATIONALE_NAMES, *CRITERIA.values()}
_TAGS |= {name for names in SCORE_NAMES.values() for name in names}


def _labelled(body: str) -> Iterator[tuple[str, str, str]]:
    """Yield (name, value, line) for each line; name and value are "" if the line has no name."""
    for line in body.splitlines():
        plain = " ".join(re.sub(r"[*`#]", "", line).split())
        found = _LABELLED.fullmatch(plain.rstrip(" |"))
        name = _ARTICLES.sub("", key_name(found["name"])) if found else ""
        value = found["value"] if found else ""
        templated = found and value and found["note"] and is_template(found["note"])
        yield name, f"{value} (example)" if templated else value, line


def _number(text: str, form: re.Pattern[str] = _NUMBER) -> float | None:
    text = text.strip("\"'")
    found = form.fullmatch(text) or (form is _NUMBER and _ON_SCALE.fullmatch(text))
    if not found or is_template(text[found.end("number") :]):
        return None
    return float(found["number"])


def _numbers(body: str) -> tuple[dict[str, list[float | None]], str]:
    """Return the numbers declared under each name, and the remaining text.

    A number that cannot be read is None. A name followed only by words declares no number.
    """
    declared: dict[str, list[float | None]] = {}
    others = []
    for name, value, line in _labelled(body):
        if name in RATIONALE_NAMES:
            others.append(value)
        elif any(form.fullmatch(_bare(line)) for form in (_LINE_OF_ONE, _LINE_OF_TWO)):
            continue  # a bare number, which `_edges` reads
        elif not name or _WORDS_ONLY.fullmatch(value) or (name in LOOSE and _number(value) is None):
            others.append(line)
        else:
            declared.setdefault(name, []).append(_number(value))
            others += [line] if _number(value) is None else []
    return declared, "\n".join(others).strip()


def _only(declared: dict[str, list[float | None]], names: tuple[str, ...]) -> float | None:
    """Return the number declared under `names`, or None.

    Raises:
        UnreadableReply: two numbers differ, or one cannot be read.
    """
    found = set().union(*(declared.get(name, ()) for name in names))
    if None in found:
        raise UnreadableReply(f"{names[0]} is declared, but not as a single number")
    return _agreed(found, names[0])


def _agreed(found: Any, what: str) -> float | None:
    several = sorted({one for one in found if one is not None})
    if len(several) > 1:
        raise UnreadableReply(
            f"{what} is declared as {' and as '.join(f'{one:g}' for one in several)}"
        )
    return several[0] if several else None


def _edges(body: str, form: re.Pattern[str]) -> list[re.Match[str]]:
    """Match the first and the last line, ignoring blank lines and code fences."""
    lines = [line for line in body.splitlines() if line.strip() and not _FENCE_LINE.fullmatch(line)]
    edges = (lines[:1], lines[-1:])
    return [found for line in sum(edges, []) if (found := form.fullmatch(_bare(line)))]


def _two_lines(body: str) -> set[tuple[float, float]]:
    """Return the numbers on the first two lines if each holds one and the third line holds none."""
    lines = [_LINE_OF_ONE.fullmatch(_bare(line)) for line in body.split("\n", 6) if line.strip()]
    match [found and float(found["number"]) for found in lines[:3]]:
        case [float(first), float(second)] | [float(first), float(second), None]:
            return {(first, second)}
    return set()


def _bare(line: str) -> str:
    return " ".join(line.strip("*`#$ \t").split())
