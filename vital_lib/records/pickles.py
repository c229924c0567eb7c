"""Read plain values from a pickle: nothing that it names is imported, so nothing can be called.

PathVQA is published as pickles of lists of dicts. An ordinary load runs any code that a pickle
names. Here its instructions are checked before any is followed, and must be those that build lists,
dicts, tuples, texts and numbers.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

_PLAIN = {
    *("PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE"),
    *("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE", "LIST", "DICT", "TUPLE"),
    *("TUPLE1", "TUPLE2", "TUPLE3", "APPEND", "APPENDS", "SETITEM", "SETITEMS"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
}
_DAMAGED = (pickle.UnpicklingError, EOFError, LookupError, OverflowError, AttributeError, TypeError)
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise ValueError(f"it names {module}.{name}")


def plain_values(content: bytes) -> Any:
    """Return the value of a pickle of lists, dicts, tuples, texts and numbers.

    Raises:
        ValueError: the pickle is damaged or has another instruction, which the message names.
    """
    for opcode, argument, place in pickletools.genops(content):
        if opcode.name not in _PLAIN:
            raise ValueError(
                f"instruction {opcode.name} at byte {place} makes more than plain values"
            )
        if opcode.name in _PUTS and int(argument or 0) > len(content):
            # The unpickler would reserve memory for that many places.
            raise ValueError(f"damaged: place {argument} at byte {place}")
    try:
        return _PlainUnpickler(io.BytesIO(content), encoding="latin-1").load()
    except _DAMAGED as error:
        raise ValueError(f"damaged: {error}") from None
