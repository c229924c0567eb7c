"""Rounds of a conversation in plain text: lines that begin with a speaker, and their continuations.

An answer ends where the next question begins; other words before a colon do not end it. Separators
("---", "=== Round 2 ===") belong to no text. This module does not depend on JSON.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from vital_lib.prompts._marks import UnreadableReply

_SIGN = r"[#*_=+•·─━—–-]"
_RULE = re.compile(
    rf"\s*(?:{_SIGN}\s*){{2,}}|(?:{_SIGN}|\s)*(?:round|turn)\s*[0-9]+[\s:.]*(?:{_SIGN}|\s)*", re.I
)
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_NAMED_FENCE = re.compile(r"^[ \t]*(?P<fence>`{3,}|~{3,})[\w+-]*[ \t]*$", re.M)
_ASKS, _SAYS = "question|user|human|instruction", "answer|assistant|gpt|response|ai|bot|reply"
_TAG = re.compile(
    r"<(?P<shut>/?)(?P<name>(?:question_?type|question|instruction|user|assistant|"
    r"(?:answer|response)(?:_?[ab12])?))>",
    re.I,
)


_OPENING = re.compile(
    r"\A\W*(?:sure|certainly|of course|absolutely|okay|ok|here)\b[^:\n]{0,120}:[ \t]*"
    rf"(?=[*_]{{0,3}}(?:{_ASKS}|q)(?: ?[0-9]{{1,2}})?[*_]{{0,3}}:)",
    re.I,
)


def _line_of(asks: str, says: str) -> re.Pattern[str]:
    """Return the pattern of a line that begins a turn: "**Question 1:** What?", "### Answer"."""
    # Bounded repetitions, since a reply may be a long run of one character.
    before = (
        r"(?P<before>[\s#*_-]{0,20}+(?:[0-9]{1,2}[.)]\s{0,9}+)?"
        r"(?:(?:round|turn)\s?[0-9]{1,3}\s?[-:.–—,]?\s?)?[*_]{0,6}+)"
    )
    names = rf"(?:(?P<asks>{asks})|(?P<says>{says})|(?P<type>question[ _]type|type|kind))"
    index = r"[ _]?(?:#?[0-9]{1,2}|\([0-9ab]{1,2}\)|[ab]\b)"
    return re.compile(
        rf"{before}{names}(?P<index>{index})?(?:[ ]?\((?P<kind>[a-z][^()\n]{{1,40}})\))?"
        rf"[*_ ]{{0,6}}(?:(?P<colon>:)[*_]{{0,6}}\s*(?P<rest>.*)|(?P<end>[*_#]{{0,6}}\s{{0,9}}))",
        re.I,
    )


def _inline_of(says: str) -> re.Pattern[str]:
    """Return the pattern of an answer that begins on its question's line, after a sentence."""
    end = r"[ _]?(?:[0-9]{1,2}|\([0-9]{1,2}\)|[ab]\b)?[*_ ]{0,6}:[*_]{0,6}"
    return re.compile(rf"(?<=[.?!:*])\s+[*_]{{0,6}}(?:{says}){end}\s+", re.I)


_SPELLINGS = tuple(
    (_line_of(asks, says), _inline_of(says)) for asks, says in ((_ASKS, _SAYS), "qa")
)


@dataclass
class _Round:
    """A round under construction: the lines of its question and of each answer."""

    question: list[str]
    kind: str | None = None
    answers: list[list[str]] = field(default_factory=list)

    @property
    def last(self) -> list[str]:
        return self.answers[-1] if self.answers else self.question


def rounds_in(body: str, *responses: str) -> list[dict[str, str | None] | str]:
    """Return the rounds of a plain-text reply.

    Args:
        responses: the names of the answers to each question.

    Returns:
        For each round, a dict of instruction, question_type (or None) and each of `responses`. For
        a round with more or fewer answers, the reason as text.

    Raises:
        UnreadableReply: no round has that many answers, an answer comes before the first question,
            or the reply breaks off in a code fence.
    """
    answers = len(responses)
    lines = _unfenced(_TAG.sub(_tag_line, _OPENING.sub("", body))).splitlines()
    found = next(((p, i) for line in lines for p, i in _SPELLINGS if _speaks(p, line)), None)
    rounds = _Reader(*found, answers).read(lines) if found else []
    if not rounds:
        raise UnreadableReply("no line 'Question:' or 'User:' was found")
    if all(len(round.answers) != answers for round in rounds):
        raise UnreadableReply(f"round 1 has {len(rounds[0].answers)} answers, wanted {answers}")
    if len(rounds) > 1 and any(_ends_in_rule(round.last) for round in rounds[:-1]):
        _cut_at_rule(rounds[-1].last)
    return [
        {
            "instruction": _text(round.question),
            "question_type": round.kind,
            **dict(zip(responses, map(_text, round.answers), strict=True)),
        }
        if len(round.answers) == answers
        else f"{len(round.answers)} answers, wanted {answers}"
        for round in rounds
    ]


def begins_a_turn(body: str) -> bool:
    """Return whether any line begins a question or an answer."""
    return any(_speaks(pattern, line) for line in body.splitlines() for pattern, _ in _SPELLINGS)


class _Reader:
    """Read lines into rounds; the first round sets the names of questions and of answers."""

    def __init__(self, line_of: re.Pattern[str], inline: re.Pattern[str], answers: int) -> None:
        self._line_of, self._inline, self._wanted = line_of, inline, answers
        self._rounds: list[_Round] = []
        self._names: dict[str, str] = {}  # asks, says: the name in use
        self._indexed = False
        self._kind: str | None = None  # of the next question
        self._kinds_first = False

    def read(self, lines: list[str]) -> list[_Round]:
        fence = ""
        for place, line in enumerate(lines):
            found = None if fence else _begins(self._line_of, line)
            taken = found and self._take(found, lines, place)
            if not taken and self._rounds:
                self._rounds[-1].last.append(line)
            fence = _fence_after(fence, found["rest"] or "" if taken else line)
        if fence:
            raise UnreadableReply("a code fence is not closed: the reply breaks off")
        return self._rounds

    def _take(self, found: re.Match[str], lines: list[str], place: int) -> bool:
        """Begin a turn or set a type if the line does so; return whether it does."""
        if found["asks"]:
            return self._begin_question(found, lines, place)
        return self._begin_answer(found) if found["says"] else self._name_type(found, lines, place)

    def _begin_question(self, found: re.Match[str], lines: list[str], place: int) -> bool:
        name = found["asks"].lower()
        if name != self._names.setdefault("asks", name) and not self._is_answered(lines, place):
            return False
        first, *others = self._inline.split(found["rest"] or "")
        kind = found["kind"] or self._kind
        self._rounds.append(_Round([first], kind.strip() if kind else None, [[o] for o in others]))
        self._kind = None
        return True

    def _begin_answer(self, found: re.Match[str]) -> bool:
        if not self._rounds:
            raise UnreadableReply("an answer comes before the first question")
        name, indexed = found["says"].lower(), found["index"] is not None
        if "says" not in self._names:
            self._names["says"], self._indexed = name, indexed
        own = name == self._names["says"] or len(self._rounds[-1].answers) < self._wanted
        if not own or (self._wanted > 1 and indexed != self._indexed):
            return False
        self._rounds[-1].answers.append([found["rest"] or ""])
        return True

    def _name_type(self, found: re.Match[str], lines: list[str], place: int) -> bool:
        kind = (found["rest"] or "").strip()
        if not self._rounds:
            self._kind, self._kinds_first = kind or None, True
            return True
        current = self._rounds[-1]
        if not current.answers:
            current.kind = kind or current.kind
            return True
        if self._kinds_first and self._question_follows(lines, place):
            self._kind = kind or None
            return True
        if "question" in found["type"].lower() and not self._kinds_first:
            current.kind = current.kind or kind or None
            return True
        return False

    def _question_follows(self, lines: list[str], place: int) -> bool:
        """Return whether the next line of text begins a question."""
        after = (line for line in lines[place + 1 :] if line.strip() and not _is_rule(line))
        found = _begins(self._line_of, next(after, ""))
        return bool(found and found["asks"])

    def _is_answered(self, lines: list[str], place: int) -> bool:
        """Return whether the next turn is an answer."""
        turns = (_speaks(self._line_of, line) for line in lines[place + 1 :])
        found = next(filter(None, turns), None)
        return bool(found and found["says"])


def _begins(pattern: re.Pattern[str], line: str) -> re.Match[str] | None:
    """Match a line that begins a turn: with a colon, or as a heading."""
    found = pattern.fullmatch(line)
    headed = found and ("#" in found["before"] or "**" in found["before"])
    return found if found and (found["colon"] or headed) else None


def _speaks(pattern: re.Pattern[str], line: str) -> re.Match[str] | None:
    """Match a line that begins a question or an answer."""
    found = _begins(pattern, line)
    return found if found and not found["type"] else None


def _tag_line(found: re.Match[str]) -> str:
    return "\n" if found["shut"] else f"\n{found['name'].replace('_', ' ')}: "


def _fence_after(fence: str, line: str) -> str:
    """Return the code fence that is open after a line, or ""."""
    mark = _FENCE.match(line)
    if fence:
        closes = (mark and mark[1].startswith(fence)) or line.rstrip().endswith(fence)
        return "" if closes else fence
    opened = mark[1] if mark else ""
    if not opened and line.count("```") % 2:
        return "```"
    return "" if opened and line.count(opened) % 2 == 0 else opened


def _unfenced(body: str) -> str:
    """Return the content of a code fence around all turns; else the text itself."""
    opened = _NAMED_FENCE.search(body)
    if not opened or begins_a_turn(body[: opened.start()]):
        return body
    close = re.compile(rf"^[ \t]*{opened['fence']}[ \t]*$", re.M)
    closed = list(close.finditer(body, opened.end()))
    if not closed or begins_a_turn(body[closed[-1].end() :]):
        return body
    return body[opened.end() : closed[-1].start()]


def _is_rule(line: str) -> bool:
    """Return whether a line only separates rounds: "---", "### Round 2"."""
    return bool(line.strip()) and len(line) < 100 and bool(_RULE.fullmatch(line))


def _ends_in_rule(lines: list[str]) -> bool:
    return _is_rule(next((line for line in reversed(lines) if line.strip()), ""))


def _cut_at_rule(lines: list[str]) -> None:
    """Drop the text after the last separator, since it belongs to no answer."""
    fence, last = "", None
    for place, line in enumerate(lines):
        last = place if not fence and place and _is_rule(line) else last
        fence = _fence_after(fence, line)
    if last is not None:
        del lines[last:]


def _text(lines: list[str]) -> str:
    """Join the lines, without separators at the start and the end."""
    start, end = 0, len(lines)
    while end > 1 and (not lines[end - 1].strip() or _is_rule(lines[end - 1])):
        end -= 1
    if not lines[0].strip():
        while start < end and (not lines[start].strip() or _is_rule(lines[start])):
            start += 1
    return "\n".join(lines[start:end]).strip()
