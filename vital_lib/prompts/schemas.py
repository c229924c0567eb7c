"""Reply schemas, sent to a server as JSON schemas and checked when a reply is read.

The docstrings of the schemas that are sent (`Drafts`, `Conversation`, `Rating`, `ChatScores`,
`Verdict`, `ShortAnswer` and their parts) belong to the JSON schema: changing one changes its
prompt's version.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model


def _stripped(text: str) -> str:
    text = text.strip()
    if not text:
        raise ValueError("the text is empty")
    return text


def _between(low: float, high: float):
    """Return a validator of numbers from `low` to `high`; NaN is invalid."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"{value:g} is not between {low:g} and {high:g}")
        return value

    return check


def _not_empty(items: list) -> list:
    if not items:
        raise ValueError("the list is empty")
    return items


# Lengths and ranges are checked when reading and described in words, because servers differ in
# which JSON schema keywords they accept. Numbers are strict: neither "9" nor true is a rating.
_Text = Annotated[str, AfterValidator(_stripped)]
_Rated = Annotated[
    float, Field(strict=True, description="0 (worst) to 10 (best)"), AfterValidator(_between(0, 10))
]
_Scored = Annotated[
    float, Field(strict=True, description="1 (worst) to 10 (best)"), AfterValidator(_between(1, 10))
]


class _Part(BaseModel):
    """Base of the schemas: the JSON schema allows no extra key, and reading ignores extra keys."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False}, frozen=True)


class DraftQuestion(_Part):
    """One drafted instruction with two responses, to be judged side by side."""

    instruction: _Text
    question_type: str | None
    response_a: _Text
    response_b: _Text


class Drafts(_Part):
    """The drafted questions about one figure."""

    questions: Annotated[list[DraftQuestion], AfterValidator(_not_empty)]


class Round(_Part):
    """One round of a conversation."""

    instruction: _Text
    response: _Text
    question_type: str | None


class Conversation(_Part):
    """The ordered rounds about one figure; a demonstration is shown in this form too."""

    rounds: Annotated[list[Round], AfterValidator(_not_empty)]


class PartDrafts(Drafts):
    """Drafts without the questions that could not be read; `dropped` holds the reason for each."""

    dropped: tuple[str, ...]


class PartConversation(Conversation):
    """A conversation without the rounds that could not be read; `dropped` holds their reasons."""

    dropped: tuple[str, ...]


_PARTS: dict[type[BaseModel], tuple[str, type[BaseModel], type[BaseModel]]] = {
    Drafts: ("questions", DraftQuestion, PartDrafts),
    Conversation: ("rounds", Round, PartConversation),
}


def readable(schema: type[Drafts] | type[Conversation], given: Any) -> BaseModel:
    """Return a list of rounds as `schema`, or as its partial form if some cannot be read.

    Args:
        given: for each round a mapping, or as text the reason why it could not be read.

    Raises:
        ValidationError: `given` is not a list, or no round can be read.
    """
    name, part, partly = _PARTS[schema]
    kept, dropped = [], []
    for place, one in enumerate(given if isinstance(given, list) else [], start=1):
        try:
            kept.append(part.model_validate(one))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            why = one if isinstance(one, str) else f"{where or name}: {first['msg']}"
            dropped.append(f"round {place}: {why}")
    if not kept or not dropped:
        return schema.model_validate({name: given})
    return partly.model_validate({name: kept, "dropped": dropped})


class RatingCriteria(_Part):
    """Ratings by criterion of the rating policy."""

    scope: _Rated
    tuning_value: _Rated
    alignment: _Rated
    accuracy: _Rated
    utility: _Rated
    image_use: _Rated
    clarity: _Rated
    depth: _Rated
    precision: _Rated


class Rating(_Part):
    """A rating by the policy; the rationale comes before the numbers."""

    rationale: str
    criteria: RatingCriteria
    overall: _Rated


_OPTIONAL: dict[str, Any] = dict.fromkeys(RatingCriteria.model_fields, (_Rated | None, None))
_Stated = create_model("_Stated", __base__=RatingCriteria, **_OPTIONAL)


class PartialRating(Rating):
    """A rating in which missing criteria are None."""

    criteria: _Stated  # ty: ignore[invalid-type-form] - a class made at run time


class ChatScores(_Part):
    """Scores of two answers."""

    rationale: str
    first: _Scored
    second: _Scored


class Verdict(_Part):
    """Which of two answers is better."""

    rationale: str
    winner: Literal["first", "second", "tie"]


class ShortAnswer(_Part):
    """The answer to one question."""

    answer: _Text
