"""Self-preference: a judge may prefer text of its own family of models.

A model's family is told by its name alone: the first of `FAMILIES` that occurs in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import pandas as pd

from vital_lib.evaluation.verdicts import PEOPLE, judges_that_do_not_compare, rater_values
from vital_lib.statistics import LEAST_GROUPS, Interval, claim_difference, difference_interval

FAMILIES: dict[str, tuple[str, ...]] = {
    "LLaVA": ("llava",),
    "HuatuoGPT": ("huatuogpt",),
    "GPT": ("gpt", "chatgpt", "o1", "o3", "o4"),
    "Claude": ("claude",),
    "Gemini and Gemma": ("gemini", "gemma"),
    "Qwen": ("qwen", "qwq", "qvq"),
    "Llama": ("llama",),
    "Mistral": ("mistral", "mixtral", "pixtral"),
    "InternVL": ("internvl", "internlm"),
    "SmolVLM": ("smolvlm", "smollm", "idefics"),
    "DeepSeek": ("deepseek",),
    "Phi": ("phi",),
    "Grok": ("grok",),
}
"""Family -> what a model's name contains; four letters or fewer must begin a word.

The first family counts, so the model's own name decides, not the one that it was tuned from:
"llava-v1.6-mistral-7b" is a LLaVA.
"""
_SHORT = 4
_ABOVE = ("more often than", "less often than")


def family_of(model: str) -> str | None:
    """Return the family of a model by its id, such as "Qwen" for "Qwen/Qwen3-VL-4B"; or None."""
    name = model.lower()
    for family, parts in FAMILIES.items():
        for part in parts:
            start = r"(?<![a-z0-9])" if len(part) <= _SHORT else ""
            if re.search(start + part + (r"(?![a-z0-9])" if part[-1].isdigit() else ""), name):
                return family
    return None


def same_family(judge: str, author: str) -> str:
    """Return a warning if a judge wrote the text itself, or has its author's family; else "".

    Args:
        judge, author: ids of models; the warning shows both.
    """
    if judge == author:
        return f"the judge {judge} wrote the text itself: a judge may prefer its own text"
    family = family_of(judge)
    if family is None or family != family_of(author):
        return ""
    return (
        f"the judge {judge} and {author}, which wrote the text, are both of the family {family}: "
        "a judge may prefer text of its own family"
    )


def judge_warnings(verdicts: pd.DataFrame, author: str) -> list[str]:
    """Return a sentence on each judge that does not compare, or is of the author's family.

    Args:
        verdicts: rows of table ``verdicts``.
        author: id of the model that wrote what the compared models were tuned on.
    """
    judges = verdicts["judge"][verdicts["order"] != "both"].unique()
    alike = [same_family(judge, author) for judge in judges]
    return [*judges_that_do_not_compare(verdicts), *filter(None, alike)]


def self_preference(
    questions: pd.DataFrame, verdicts: pd.DataFrame, authors: Mapping[str, str], *, seed: int = 0
) -> pd.DataFrame:
    """Measure how much more often a judge prefers text of its own family than people do.

    Comparisons count if exactly one side's author has the judge's family. The excess is measured
    on the answers that people compared too, so that a model that is better does not count as
    preferred.

    Args:
        questions, verdicts: as for `rater_values`.
        authors: model (as in `verdicts`) -> id of the model that wrote its text: for a tuned model
            the generator of what it was tuned on.

    Returns:
        judge, own (the author of its family), other (the other author), compared, win_rate (of its
        own family's text, by this judge), people (by people, on what they compared), excess (by
        how many points the judge is above the people), low, high; all in percent. people and
        excess are null without people's verdicts, low and high for fewer than `LEAST_GROUPS`
        articles.
    """
    values = rater_values(questions, verdicts)
    people = values[values["judge"] == PEOPLE].drop(columns="judge")
    rows = []
    for (judge, a, b), own in values.groupby(["judge", "model_a", "model_b"], sort=False):
        family = family_of(judge)
        sides = [authors.get(name) for name in (a, b)]
        alike = [family is not None and family_of(side or "") == family for side in sides]
        if judge == PEOPLE or sum(alike) != 1 or None in sides:
            continue
        keys = [name for name in people if name != "value"]
        both = own.merge(people, on=keys, suffixes=("", "_people"))
        points = [
            100 * (part if alike[0] else 1 - part)
            for part in (own["value"], both["value"], both["value_people"])
        ]
        excess = Interval(math.nan, math.nan, math.nan, 0, 0)
        if len(both):
            excess = difference_interval(*points[1:], both["group_id"], seed=seed)
        few = (excess.groups or 0) < LEAST_GROUPS
        ends = (math.nan, math.nan) if few else (excess.low, excess.high)
        names = sides if alike[0] else sides[::-1]
        numbers = (points[0].mean(), points[2].mean(), excess.estimate, *ends)
        rows.append((judge, *names, len(both), *numbers))
    columns = ["judge", "own", "other", "compared", "win_rate", "people", "excess", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def self_preference_in_words(preference: pd.DataFrame) -> list[str]:
    """Return a sentence on each row of `self_preference`."""
    said = []
    for row in preference.itertuples():
        words = (
            f"{row.judge} prefers the text of {row.own}, of its own family, to that of {row.other} "
            f"in {row.win_rate:.1f} % of the comparisons"
        )
        if row.compared:
            interval = Interval(row.excess, row.low, row.high, row.compared)
            above = claim_difference("people", interval, scale=1, words=_ABOVE)
            words += f"; on {row.compared} answers that people compared too, {above}"
        said.append(words)
    return said
