"""Read records from JSON documents, JSON Lines, and the intact parts of damaged documents."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from vital_lib.records.check import InvalidRecord, shown

_LINE = re.compile(r"\r\n|\r|\n")  # not str.splitlines, which also ends lines at U+2028 and others
_FIRST_KEY = re.compile(r'\{\s*("(?:[^"\\]|\\.)*")\s*:')
_KEY = re.compile(r'("(?:[^"\\]|\\.)*")\s*:')
_WRAPPER = re.compile(  # an object that begins with a list, or with plain values before it
    r'\s*\{\s*(?:"(?:[^"\\]|\\.)*"\s*:\s*(?:"(?:[^"\\]|\\.)*"|[\w.+-]+)\s*,\s*)*'
    r'"(?:[^"\\]|\\.)*"\s*:\s*\['
)
_BETWEEN = re.compile(r'(?:[\s,\]}]|"(?:[^"\\]|\\.)*"\s*:\s*\[)+')
_DECODER = json.JSONDecoder(parse_constant=lambda name: None)  # NaN is a missing value


def json_records(text: str, name: str, fields: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Yield the records of a JSON document or of JSON Lines; the content decides which it is."""
    whole, error = _parsed(text)
    if error is None:
        line = 1 + text[: len(text) - len(text.lstrip())].count("\n")
        yield from unwrapped(whole, name, fields, single=f"{name}:{line}")
        return
    lines = [(n, line.strip()) for n, line in enumerate(_LINE.split(text), start=1) if line.strip()]
    begins = None if _values_behind(error) else _list_in(text, set(fields))
    if not _in_lines([line for _, line in lines], name, error, begins is not None):
        yield from _salvaged(text, name, error, begins)
        return
    for n, line in lines:
        value, error = _parsed(line.removesuffix(","))
        wrong = error and InvalidRecord("record", f"not JSON ({error}): {shown(line[:80])}")
        yield f"{name}:{n}", wrong or value


def _in_lines(lines: list[str], name: str, error: Exception, listed: bool) -> bool:
    """Return whether a text that is not valid JSON is JSON Lines rather than a damaged document.

    Args:
        listed: whether the text begins like a document that holds a list.
    """
    if _values_behind(error):
        return _parsed(lines[0].removesuffix(","))[1] is None  # otherwise, objects that span lines
    alone = sum(isinstance(_parsed(line)[0], dict) for line in lines)
    if listed:
        return 2 * alone >= len(lines)
    begun = sum(line.startswith("{") for line in lines)
    return 2 * begun >= len(lines) or (alone > 0 and name.endswith(("l", ".ndjson")))


def _values_behind(error: Exception) -> bool:
    return str(error).startswith("Extra data")


def _parsed(text: str) -> tuple[Any, Exception | None]:
    try:
        return _DECODER.decode(text.strip("\ufeff \t\r\n")), None
    except (ValueError, RecursionError) as error:
        return None, error


def unwrapped(
    value: Any, name: str, fields: Collection[str], single: str | None = None
) -> Iterator[tuple[str, Any]]:
    """Yield the records of a parsed document.

    The document is a list of records, an object of columns, an object of lists (one per domain), an
    object with one list and fields that describe it, or an object of records. An object with one of
    `fields` is itself a record.
    """
    known = set(fields)
    if isinstance(value, list):
        yield from ((f"{name}[{n}]", record) for n, record in enumerate(value))
    elif not isinstance(value, Mapping):
        yield single or name, value
    elif rows := _columns(value, known):
        yield from ((f"{name}[{n}]", record) for n, record in enumerate(rows))
    elif _is_record(value, known):
        yield single or name, value
    else:
        yield from _of_wrapper(value, name, known)


def _of_wrapper(value: Mapping, name: str, known: set[str]) -> Iterator[tuple[str, Any]]:
    lists = [key for key, one in value.items() if isinstance(one, list)]
    objects = [key for key, one in value.items() if isinstance(one, Mapping)]
    if not lists and not any(known & set(value[key]) for key in objects):
        objects = [key for key in objects if _holds_list(value[key])] or objects
    for key, one in value.items():
        if isinstance(one, list):
            yield from ((f"{name}:{key}[{n}]", record) for n, record in enumerate(one))
        elif len(lists) > 1:
            reason = f"wanted a list of records, received {shown(one)}"
            yield f"{name}:{key}", InvalidRecord(key, reason)
        elif not lists and key in objects:
            holds_records = len(objects) == 1 and not _is_record(one, known)
            inside = unwrapped(one, f"{name}:{key}", known) if holds_records else ()
            yield from inside or [
                (f"{name}:{key}", one if len(objects) == 1 else {"id": key, **one})
            ]


def _is_record(value: Mapping, known: set[str]) -> bool:
    """Return whether an object is itself a record, rather than the wrapper of a list of records."""
    own = known & set(value)
    inside = [one for key, one in value.items() if key not in known]
    deeper = [one for part in inside if isinstance(part, Mapping) for one in part.values()]
    lists = [one for one in inside + deeper if isinstance(one, list)]
    firsts = [one[0] for one in lists if one and isinstance(one[0], Mapping)]
    if any(len(known & set(first)) > len(own) for first in firsts):
        return False  # a wrapper may share field names, such as name or version, with its records
    return bool(own) or not any(isinstance(one, list | dict) for one in value.values())


def _holds_list(value: Any) -> bool:
    return isinstance(value, list) or (
        isinstance(value, Mapping) and any(map(_holds_list, value.values()))
    )


def _columns(value: Mapping, known: set[str]) -> list[dict]:
    """Return the rows of an object of columns, as pandas and datasets write a table; else []."""
    columns = [dict(enumerate(one)) if isinstance(one, list) else one for one in value.values()]
    if (
        len(columns) < 2
        or not known & set(value)
        or not all(isinstance(one, dict) for one in columns)
    ):
        return []
    places = list(columns[0])
    if any(list(one) != places for one in columns):
        return []
    return [dict(zip(value, [one[n] for one in columns], strict=True)) for n in places]


def _salvaged(
    text: str, name: str, error: Exception, begins: int | None
) -> Iterator[tuple[str, Any]]:
    """Yield the records of a document that is not valid JSON; each error is an `InvalidRecord`.

    The document's list begins at `begins`; its objects may also follow one another without a list.
    After a damaged record, reading resumes at the next object that begins with the name of the
    first record's first field.
    """
    ends = [found.start() for found in re.finditer("\n", text)]

    def at_line(position: int) -> str:
        return f"{name}:{bisect_left(ends, position) + 1}"

    place = 0 if _values_behind(error) else begins
    if place is None or (first := _FIRST_KEY.search(text, place)) is None:
        wrong = InvalidRecord("record", f"not JSON ({error}): {shown(text[:80])}")
        yield at_line(getattr(error, "pos", 0)), wrong
        return
    record = re.compile(r"\{\s*" + re.escape(first[1]) + r"\s*:")
    while place < len(text):
        between = _BETWEEN.match(text, place)
        place = between.end() if between else place
        if place >= len(text):
            break
        where = at_line(place)
        try:
            value, place = _DECODER.raw_decode(text, place)
            yield where, value
        except (ValueError, RecursionError) as wrong:
            received = shown(text[place : place + 80])
            yield where, InvalidRecord("record", f"not JSON ({wrong}): {received}")
            following = record.search(text, place + 1)
            place = following.start() if following else len(text)
    if not text.rstrip().endswith(("]", "}")):
        yield at_line(len(text)), InvalidRecord("record", "the file ends within its list")


def _list_in(text: str, known: set[str]) -> int | None:
    """Return where a document's first list begins; None if it is one record or has no list."""
    start = len(text) - len(text.lstrip("\ufeff \t\r\n"))
    if text[start : start + 1] == "[":
        return start + 1
    wrapper = _WRAPPER.match(text)
    names = {json.loads(key) for key in _KEY.findall(wrapper[0])} if wrapper else set()
    return wrapper.end() if wrapper and not known & names else None
