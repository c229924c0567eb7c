"""Read plain values from a pickle without loading it: nothing is imported and nothing is called.

PathVQA is published as pickles of lists of dicts. Loading a pickle runs any code that it names.
This reader follows only the instructions that build lists, dicts, tuples, texts and numbers.
"""

from __future__ import annotations

import pickletools
from typing import Any

_VALUES = {
    *("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}
_PASSED = {"PROTO", "FRAME", "STOP"}
_MARK = object()


def plain_values(content: bytes) -> Any:
    """Return the value of a pickle of lists, dicts, tuples, texts and numbers.

    Raises:
        ValueError: the pickle is damaged or has another instruction, which the message names.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for opcode, argument, place in pickletools.genops(content):
            _follow(opcode.name, argument, stack, memo, place)
        (value,) = stack
    except (IndexError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"damaged: {error}") from None
    return value


def _follow(name: str, argument: Any, stack: list, memo: dict[int, Any], place: int | None) -> None:
    if name in _VALUES:
        stack.append(argument)
    elif name in _CONSTANTS:
        stack.append(_CONSTANTS[name])
    elif name in _EMPTY:
        stack.append(_EMPTY[name]())
    elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
        memo[len(memo) if argument is None else argument] = stack[-1]
    elif name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
    elif name == "MARK":
        stack.append(_MARK)
    elif name in ("APPEND", "SETITEM"):
        _filled(name, stack, 1 + (name == "SETITEM"))
    elif name in ("APPENDS", "SETITEMS"):
        _filled(name, stack, _marked(stack))
    elif name in ("LIST", "DICT", "TUPLE"):
        parts = _taken(stack, _marked(stack))
        stack.append(_made(name, parts))
    elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
        stack.append(tuple(_taken(stack, int(name[-1]))))
    elif name not in _PASSED:
        raise ValueError(f"instruction {name} at byte {place} makes more than plain values")


def _marked(stack: list) -> int:
    """Remove the last mark and return the number of values above it."""
    place = max(n for n, value in enumerate(stack) if value is _MARK)
    del stack[place]
    return len(stack) - place


def _taken(stack: list, count: int) -> list:
    parts = stack[len(stack) - count :]
    del stack[len(stack) - count :]
    return parts


def _made(name: str, parts: list) -> Any:
    if name == "DICT":
        return dict(zip(parts[::2], parts[1::2], strict=True))
    return parts if name == "LIST" else tuple(parts)


def _filled(name: str, stack: list, count: int) -> None:
    parts = _taken(stack, count)
    if name.startswith("APPEND"):
        stack[-1].extend(parts)
    else:
        stack[-1].update(zip(parts[::2], parts[1::2], strict=True))
