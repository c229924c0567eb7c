"""Check the values in a notebook's parameter cell, where a mistake costs nothing yet.

A wrong value is shown there in one line, with what would be right. Names of files, models and
endpoints are checked where they are opened. This module opens nothing.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator, Mapping
from numbers import Integral, Real
from reprlib import Repr
from typing import Any

from vital_lib.annotators import ALLOWED


class WrongParameter(ValueError):
    """A parameter has a value that no notebook can use; the message says which are possible."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the message alone."""
        return [f"{type(self).__name__}: {self}"]


TRAINING_SETS = (
    "selected",
    "random",
    "unaligned",
    "judge_top",
    "cluster_typical",
    "all",
    "oracle",
)
"""What `arms` may name: the sets that notebook 08 can tune a model on."""

EXPORTED_FORMS = ("llava", "trl", "ms-swift", "llama-factory", "dataset")
"""What `exported_form` may be: the forms in which notebook 07 can write the selected set."""

_SHORT = Repr()  # a message has one line, whatever the value
_SHORT.maxstring = _SHORT.maxother = 100
_MAGICS = ("run_cell_magic", "run_line_magic")  # of IPython; their last argument is code
Rule = tuple[Callable[[Any], Any], str]


def _one_of(*allowed: Any) -> Rule:
    named = [str(value) if value is None else repr(value) for value in allowed]
    kinds = tuple(map(type, allowed))  # 1 is not True, and a table is equal to nothing
    return lambda value: isinstance(value, kinds) and value in allowed, (
        f"give one of {', '.join(named)}"
    )


def _number(low: float, high: float = math.inf, *, above: bool = False, kind: type = Real) -> Rule:
    def fits(value: Any) -> bool:
        usable = isinstance(value, kind) and not isinstance(value, bool)
        finite = usable and (isinstance(value, Integral) or math.isfinite(value))
        return finite and (low < value if above else low <= value) and value <= high

    words = f"give a {'whole ' if kind is Integral else ''}number"
    words += f" {'above' if above else 'of at least'} {low:g}" if math.isfinite(low) else ""
    return fits, words if high == math.inf else f"{words} and at most {high:,}"


def _or_none(rule: Rule) -> Rule:
    return lambda value: value is None or rule[0](value), f"{rule[1]}, or None"


def _list_of(rule: Rule, fewest: int = 1) -> Rule:
    def fits(value: Any) -> bool:
        return isinstance(value, list | tuple) and len(value) >= fewest and all(map(rule[0], value))

    return fits, f"give a list; for each value, {rule[1]}"


def _either(one: Rule, other: Rule) -> Rule:
    return lambda value: one[0](value) or other[0](value), f"{one[1]}; or {other[1]}"


def _one_or_more(rule: Rule) -> Rule:
    several = _list_of(rule)[0]
    return lambda value: rule[0](value) or several(value), f"{rule[1]}, or a list of them"


def _counted(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _of_several(value: Any) -> bool:
    """Return whether `value` says which of several DICOM frames or slices become figures."""
    return _counted(value) or value in ("middle", "all", "sheet")


_SWITCH: Rule = (lambda value: isinstance(value, bool), "give True or False")
_WORDS: Rule = (lambda value: isinstance(value, str) and value.strip(), "give a text, not empty")
_NAMED: Rule = (
    lambda value: isinstance(value, dict) and all(isinstance(name, str) for name in value),
    'give settings by name, such as {"lora_rank": 16}, or {}',
)
_COLUMNS: Rule = (
    lambda value: (
        isinstance(value, dict)
        and all(isinstance(one, str) and one for pair in value.items() for one in pair)
    ),
    'give the source\'s columns by field, such as {"fig_caption": "Findings"}, or {}',
)
_REASONS: Rule = (
    lambda value: isinstance(value, dict) and all(map(_WORDS[0], (*value, *value.values()))),
    'give a reason by source, such as {"PMC-OA": "CC BY, published"}, or {}',
)
DICOM_OPTIONS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("frames", "series"), _of_several),
    **dict.fromkeys(("header_text", "dates"), _SWITCH[0]),
    "key": _WORDS[0],
}
"""Option of `dicom.DicomOptions` -> whether a notebook's value for it can be used."""

_OF_DICOM: Rule = (
    lambda value: (
        isinstance(value, dict)
        and all(name in DICOM_OPTIONS and DICOM_OPTIONS[name](one) for name, one in value.items())
    ),
    "give {} or options by name: frames and series ('middle', 'all', 'sheet' or a whole number "
    "from 1), key (a file's path), header_text and dates (True or False), as in docs/dicom.md",
)
_SOME, _FROM_NONE = _number(1, kind=Integral), _number(0, kind=Integral)

RULES: dict[str, Rule] = {
    **dict.fromkeys(("local", "flagged", "ask_unread_again", "resume", "reward_model"), _SWITCH),
    **dict.fromkeys(("follow_links", "join_twins", "batch"), _SWITCH),
    "licences": _either(_one_of("stated", "any"), _list_of(_WORDS)),
    "benchmarks": _list_of(_WORDS, fewest=0),
    "practice": _one_of(None, True, False),
    **dict.fromkeys(("run", "figure_set", "encoder", "generator", "annotator"), _WORDS),
    "reviewer": _WORDS,
    **dict.fromkeys(("judge", "base_model", "benchmark"), _WORDS),
    "second_judge": _one_or_more(_WORDS),
    **dict.fromkeys(("label_log", "base_url", "demonstration_pool", "mix"), _or_none(_WORDS)),
    "pool_cleared": _or_none(_WORDS),
    **dict.fromkeys(("articles", "clusters", "questions", "rounds", "repeats"), _SOME),
    **dict.fromkeys(("epochs", "batch_size", "workers", "draws"), _SOME),
    "seed": _number(0, 2**32 - 1, kind=Integral),  # as scikit-learn and pandas take them
    **dict.fromkeys(("train_sample", "validation_sample", "test_sample"), _FROM_NONE),
    "judge_pairs": _FROM_NONE,
    **dict.fromkeys(("wanted", "budget", "questions_asked"), _or_none(_SOME)),
    "max_usd": _or_none(_number(0)),
    "floor": _or_none(_number(-math.inf)),
    "annotators": _one_of(*ALLOWED),
    "strategy": _one_of("random", "cluster", "uncertainty"),
    "share": _number(0, 1, above=True),
    "mix_share": _number(0, above=True),
    "learning_rate": _or_none(_number(0, 1, above=True)),
    "train": _one_of("language", "lora", "projector"),
    "engine": _one_of("local", "ray"),
    "settings": _NAMED,
    "columns": _COLUMNS,
    "dicom": _OF_DICOM,
    "cleared_sources": _REASONS,
    "exported_form": _one_of(*EXPORTED_FORMS),
    "exported_images": _one_of("copy", "link"),
    "weights": _list_of(_number(0)),
    "sizes": _list_of(_FROM_NONE, fewest=0),
    "arms": _list_of(_one_of(*TRAINING_SETS)),
}
"""Parameter -> whether a value can be used, and what to give instead."""


def _of_this_cell(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the running cell of a notebook assigns; all `values` where no cell runs.

    Later cells give some parameters' names to results, such as a table. If the parameter cell is
    run again, these are no parameters. IPython keeps the source of the running cell in `In`.
    """
    source = (values.get("In") or [""])[-1]
    if check_parameters.__name__ not in source:
        return values
    names = set(_names_in(source))
    return {name: value for name, value in values.items() if name in names}


def _names_in(source: str) -> Iterator[str]:
    """Yield the names of a cell, also of the code that IPython gives to a magic such as %%time."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a magic inside a magic
        yield from re.findall(r"\w+", source)
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in _MAGICS:
            for text in node.args[1:]:
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield from _names_in(text.value)


def check_parameters(values: Mapping[str, Any]) -> str:
    """Return how many of `values` are parameters with a rule; all of them have a usable value.

    Args:
        values: name -> value, such as the `globals()` of a notebook, of which only the names in
            the running cell are checked. Names without a rule are ignored.

    Raises:
        WrongParameter: a value cannot be used. The message names each such parameter, the value
            received and the values that are possible.
    """
    given = _of_this_cell(values)
    known = [name for name in RULES if name in given]
    wrong = [
        f"{name} = {' '.join(_SHORT.repr(given[name]).split())}: {RULES[name][1]}"
        for name in known
        if not RULES[name][0](given[name])
    ]
    if wrong:
        raise WrongParameter("; ".join(wrong))
    return f"parameters checked: {len(known)}"
