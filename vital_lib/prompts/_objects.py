"""Find JSON in a reply and read it, also where its spelling is not strict JSON.

Every token is kept and respelled, and none is added, so JSON that breaks off stays unread. This
module does not depend on schemas. Its functions take time linear in the text's length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from vital_lib.prompts._marks import UnreadableReply

_TRIES = 4  # failed parses after which the rest counts as plain text

_LIKE = r"(?:\{\s*(?:[\"'“}]|\w{1,40}\s*:)|\[\s*\{)"
_FIRST = re.compile(
    r"(?:^[ \t]*+(?:(?:`{3,}+|~{3,}+|'{3}|\"{3})[\w+-]{0,20}+|[`'\"]|[-*+•][ \t]|"
    rf"[0-9]{{1,2}}[.)][ \t])?|`{{3,}}+[\w+-]{{0,20}}+|\bjson\b|(?<=[:`~>=]))[ \t]*+(?={_LIKE})",
    re.M | re.I,
)
_NEXT = re.compile(rf"(?={_LIKE})")
# A quote closes a string only before a comma, a colon, a closing bracket or the end.
_ENDS = r"(?=\s*+(?:[,:}\]]|$))"
_TOKEN = re.compile(
    rf"\s*+(?:(?P<skip>//[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/)|(?P<sign>[{{}}\[\]:,])|"
    rf'"(?P<double>(?:[^"\\]++|\\.|"(?!\s*+(?:[,:}}\]]|$)))*+)"{_ENDS}|'
    rf"'(?P<single>(?:[^'\\]++|\\.|'(?!\s*+(?:[,:}}\]]|$)))*+)'{_ENDS}|"
    rf"“(?P<curly>[^”]*+)”|(?P<bare>[^\s{{}}\[\]:,\"'“]++))",
    re.S,
)
_ESCAPE = re.compile(r"\\(?:([\"\\/bfnrt]|u[0-9a-fA-F]{4})|(.))|\"", re.S)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,9})(?:\.[0-9]{1,17})?")
_LITERALS = {"true": "true", "false": "false", "null": "null", "none": "null"}


class Found(NamedTuple):
    """The position of a JSON value, and the value; None for a text that only begins like JSON."""

    start: int
    end: int
    value: Any


class Twice(UnreadableReply):
    """An object holds one key twice, with different values."""


@lru_cache(maxsize=1024)
def key_name(key: str) -> str:
    """Normalise a key for comparison: "answer1", "Answer-1" and "answer_1" become equal."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[a-z])(?=[0-9])", " ", key)
    return " ".join(re.sub(r"[\W_]+", " ", words).lower().split())


def whole_object(body: str) -> Any:
    """Return the JSON object that makes up all of `body`, possibly as a quoted string; else None.

    Keys are normalised by `key_name`.

    Raises:
        Twice: an object holds one key twice, with different values.
    """
    value = _loads(body) if body[:1] in ("{", '"') else None
    return whole_object(value) if isinstance(value, str) and value[:1] == "{" else value


def objects_in(body: str) -> Iterator[Found]:
    """Yield the JSON objects and lists of objects in `body`, in order.

    The first begins a line, or follows a colon or a quoting mark. Keys are normalised by
    `key_name`.

    Raises:
        Twice: an object holds one key twice, with different values.
    """
    place, begins, failed = 0, _FIRST, 0
    while failed < _TRIES and (begun := begins.search(body, place)):
        found = _read_at(body, begun.end())
        failed += found.value is None
        place = max(found.end, found.start + 1)
        begins = begins if found.value is None else _NEXT
        yield found


def _read_at(body: str, start: int) -> Found:
    try:
        value, end = _DECODER.raw_decode(body, start)
        return Found(start, end, value)
    except Twice:
        raise
    except (ValueError, RecursionError):
        spelled, end = _respelled(body, start)
    return Found(start, end, _loads(spelled))


def _respelled(body: str, start: int) -> tuple[str, int]:
    """Return the value at `start` as strict JSON and its end; "" if its bracket never closes."""
    tokens: list[str] = []
    depth, place = 0, start
    while found := _TOKEN.match(body, place):
        place, kind = found.end(), str(found.lastgroup)
        if kind == "skip":
            continue
        token = found[kind]
        if token in ("}", "]") and kind == "sign":
            depth -= 1
            if tokens and tokens[-1] == ",":
                tokens.pop()
        depth += kind == "sign" and token in ("{", "[")
        tokens.append(token if kind == "sign" else _literal(token, kind))
        if depth <= 0:
            return "".join(tokens), place
    return "", place


def _literal(token: str, kind: str) -> str:
    if kind == "bare":
        word = _LITERALS.get(token.lower())
        return word or (token if _NUMBER.fullmatch(token) else json.dumps(token))
    return f'"{_ESCAPE.sub(_escape, token)}"'


def _escape(found: re.Match[str]) -> str:
    if found[1]:
        return found[0]
    if found[2] is None:
        return '\\"'
    return found[2] if found[2] in "'\n" else "\\\\" + found[2]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in pairs:
        name = key_name(key)
        if name in kept and kept[name] != value:
            raise Twice(f"{key!r} has two values: {_short(kept[name])} and {_short(value)}")
        kept[name] = value
    return kept


def _short(value: Any) -> str:
    return repr(value)[:60]


_DECODER = json.JSONDecoder(object_pairs_hook=_once, strict=False)


def _loads(text: str) -> Any:
    """Return the value of a JSON text; None if it is not JSON or nested too deeply."""
    try:
        return _DECODER.decode(text)
    except Twice:
        raise
    except (ValueError, RecursionError):
        return None
