"""Check the values in a notebook's parameter cell, where a mistake costs nothing yet.

A wrong value is shown there in one line, with what would be right. Names of files, models and
endpoints are checked where they are opened. This module opens nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Number, Real
from types import NoneType
from typing import Any

from vital_lib.annotators import ALLOWED


class WrongParameter(ValueError):
    """A parameter has a value that no notebook can use; the message says which are possible."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the message alone."""
        return [f"{type(self).__name__}: {self}"]


Rule = tuple[Callable[[Any], bool], str]


def _one_of(*allowed: Any) -> Rule:
    named = [str(value) if value is None else repr(value) for value in allowed]
    return lambda value: value in allowed, f"give one of {', '.join(named)}"


def _whole(low: int) -> Rule:
    def fits(value: Any) -> bool:
        return isinstance(value, Integral) and not isinstance(value, bool) and value >= low

    return fits, f"give a whole number, at least {low}"


def _number(low: float, high: float = math.inf, *, above: bool = False) -> Rule:
    def fits(value: Any) -> bool:
        if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
            return False
        return (low < value if above else low <= value) and value <= high

    words = f"give a number {'above' if above else 'of at least'} {low:g}"
    return fits, words if high == math.inf else f"{words} and at most {high:g}"


def _or_none(rule: Rule) -> Rule:
    return lambda value: value is None or rule[0](value), f"{rule[1]}, or None"


def _list_of(rule: Rule, fewest: int = 1) -> Rule:
    def fits(value: Any) -> bool:
        return isinstance(value, list | tuple) and len(value) >= fewest and all(map(rule[0], value))

    return fits, f"give a list; for each value, {rule[1]}"


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


_PLAIN = (str, bytes, Number, NoneType, list, tuple, set, dict)
_SWITCH: Rule = (lambda value: isinstance(value, bool), "give True or False")
_WORDS: Rule = (_text, "give a text that is not empty")
_SOME, _FROM_NONE = _whole(1), _whole(0)

RULES: dict[str, Rule] = {
    **dict.fromkeys(("local", "flagged", "ask_unread_again"), _SWITCH),
    **dict.fromkeys(("follow_links", "join_twins"), _SWITCH),
    "practice": _one_of(None, True, False),
    **dict.fromkeys(("run", "figure_set", "encoder", "generator", "annotator"), _WORDS),
    **dict.fromkeys(("judge", "second_judge", "base_model", "benchmark"), _WORDS),
    **dict.fromkeys(("label_log", "base_url", "demonstration_pool", "mix"), _or_none(_WORDS)),
    **dict.fromkeys(("articles", "clusters", "questions", "rounds", "repeats"), _SOME),
    **dict.fromkeys(("epochs", "batch_size", "lora_rank", "workers", "draws"), _SOME),
    **dict.fromkeys(("seed", "train_sample", "validation_sample", "test_sample"), _FROM_NONE),
    "judge_pairs": _FROM_NONE,
    **dict.fromkeys(("wanted", "budget", "questions_asked"), _or_none(_SOME)),
    "max_usd": _or_none(_number(0)),
    "floor": _or_none(_number(-math.inf)),
    "annotators": _one_of(*ALLOWED),
    "strategy": _one_of("random", "cluster", "uncertainty"),
    "share": _number(0, 1, above=True),
    "mix_share": _number(0, above=True),
    "interpolation": _number(0, 1, above=True),
    "learning_rate": _or_none(_number(0, 1, above=True)),
    "train": _one_of("language", "lora"),
    "exported_images": _one_of(None, "copy", "link"),
    "weights": _list_of(_number(0)),
    "sizes": _list_of(_FROM_NONE, fewest=0),
    "arms": _list_of(_WORDS),
}
"""Parameter -> whether a value can be used, and what to give instead."""


def check_parameters(values: Mapping[str, Any]) -> str:
    """Return how many of `values` are parameters with a rule; all of them have a usable value.

    Args:
        values: name -> value, such as the `globals()` of a notebook; other names are ignored. If
            the cell is run again, a later cell may have given a parameter's name to a result, such
            as a table or a model: values that no parameter cell can contain are ignored too.

    Raises:
        WrongParameter: a value cannot be used. The message names each such parameter, the value
            received and the values that are possible.
    """
    known = [name for name in RULES if name in values and isinstance(values[name], _PLAIN)]
    wrong = [
        f"{name} = {values[name]!r}: {RULES[name][1]}"
        for name in known
        if not RULES[name][0](values[name])
    ]
    if wrong:
        raise WrongParameter("; ".join(wrong))
    return f"parameters checked: {len(known)}"
