"""Build the prompt of each task from its policy, layout and reply schema."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from vital_lib.figures.clearance import Clearance, clearance_of
from vital_lib.modalities import MODALITY_NAMES
from vital_lib.prompts.schemas import (
    ChatScores,
    Conversation,
    Drafts,
    Rating,
    Round,
    ShortAnswer,
    Verdict,
)
from vital_lib.records import read_text

if TYPE_CHECKING:
    from vital_lib.figures import FigureImage

_POLICIES = Path(__file__).with_name("policies")
_CANDIDATE = "$figure\nInstruction: $instruction\nResponse: $response"
_ANSWERS = "Question: $question\nReference answer: $reference\nAnswer 1: $first\nAnswer 2: $second"


@dataclass(frozen=True)
class Prompt:
    """The content of one request.

    Args:
        name: draft, generation, rating, chat_score, verdict or answer.
        version: content hash of its template and schema.
        messages: ``{"role": "system|user|assistant", "content": [text or FigureImage, ...]}``.
        schema: schema of the reply.
        seed: seed of this request; None leaves it to ``ChatClient.ask``.
        about: the clearances of the figures that its texts are about, () if there are none. With
            None, the prompt is sent only to a model that keeps it here.
    """

    name: str
    version: str
    messages: tuple[dict[str, Any], ...]
    schema: type[BaseModel]
    seed: int | None = None
    about: tuple[Clearance, ...] | None = None


def figure_text(figure: Mapping[str, Any]) -> str:
    """Return a figure's caption, mentions and modalities as every prompt shows them.

    Each value is folded into one line, so that no caption can forge a section.

    Raises:
        KeyError: the figure lacks `caption`, `mentions` or `modalities`.
    """
    modalities = [MODALITY_NAMES.get(name, _one_line(name)) for name in figure["modalities"]]
    lines = [f"Caption: {_one_line(figure['caption'])}", "Mentions:"]
    lines += [f"- {_one_line(mention)}" for mention in figure["mentions"]]
    return "\n".join([*lines, f"Modalities: {', '.join(modalities) or 'not stated'}"])


def _one_line(value: Any) -> str:
    """Fold a value into one line of valid UTF-8, since damaged text must not stop a request."""
    return " ".join(str(value).split()).encode(errors="replace").decode()


def _policy(name: str) -> str:
    """Return the text of a policy file with its shared parts filled in."""
    text = read_text(_POLICIES / f"{name}.md").strip()
    shared = [part for part in ("material", "writing", "judging") if f"${part}" in text]
    return Template(text).safe_substitute({part: _policy(part) for part in shared})


@dataclass(frozen=True)
class PromptTemplate:
    """The template of a prompt: policy, layout of the user's message, schema of the reply."""

    name: str
    policy: str
    layout: str
    schema: type[BaseModel]

    @cached_property
    def version(self) -> str:
        figure = figure_text({"caption": "", "mentions": [""], "modalities": MODALITY_NAMES})
        return _hash(self.policy, self.layout, self.schema.model_json_schema(), figure)

    def fill(
        self,
        image: FigureImage | None,
        figure: str = "",
        *,
        about: Sequence[Clearance] | None,
        shown: Iterable[dict] = (),
        **values: Any,
    ) -> Prompt:
        """Fill the template; a variable without a value raises KeyError.

        Args:
            about: as in `Prompt`.
        """
        seen = () if image is None else (image,)
        lines = {name: _one_line(value) for name, value in values.items()}
        policy = Template(self.policy).substitute(lines)
        text = Template(self.layout).substitute(lines, figure=figure)
        messages = (_message("system", policy), *shown, _message("user", *seen, text))
        stated = None if about is None else tuple(about)
        return Prompt(self.name, self.version, messages, self.schema, about=stated)


@cache
def with_policy(template: PromptTemplate, policy: str | None) -> PromptTemplate:
    """Return the template with another policy, or unchanged for None.

    Raises:
        ValueError: the policy names other variables than the template's own policy.
    """
    own, named = (Template(text).get_identifiers() for text in (template.policy, policy or ""))
    if policy is not None and set(own) != set(named):
        raise ValueError(
            f"the {template.name} policy names {named or 'no variable'}; it must name {own} and "
            "nothing else (a dollar sign is written $$)"
        )
    return template if policy is None else replace(template, policy=policy)


def _hash(*content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


POLICIES = {
    name: _policy(name)
    for name in ("draft", "generation", "rating", "chat_score", "verdict", "answer")
}
"""Policy of each prompt by name; sending fills in $questions and $rounds."""

_DRAFT = PromptTemplate("draft", POLICIES["draft"], "$figure", Drafts)
_GENERATION = PromptTemplate("generation", POLICIES["generation"], "$figure", Conversation)
_RATING = PromptTemplate("rating", POLICIES["rating"], _CANDIDATE, Rating)
_CHAT_SCORE = PromptTemplate("chat_score", POLICIES["chat_score"], _ANSWERS, ChatScores)
_CAPTIONED = PromptTemplate(
    "chat_score", _policy("chat_score_captioned"), f"Caption: $caption\n{_ANSWERS}", ChatScores
)
_VERDICT = PromptTemplate("verdict", POLICIES["verdict"], _ANSWERS, Verdict)
_ANSWER = PromptTemplate("answer", POLICIES["answer"], "Question: $question", ShortAnswer)
_TEMPLATES = (_DRAFT, _GENERATION, _RATING, _CHAT_SCORE, _VERDICT, _ANSWER)
VERSIONS = {template.name: template.version for template in _TEMPLATES}
"""`Prompt.version` of each prompt by name; chat_score with a caption has another version."""


def draft_prompt(
    figure: Mapping[str, Any], image: FigureImage, questions: int = 4, policy: str | None = None
) -> Prompt:
    """Return a prompt for `questions` instructions about a figure, each with two responses.

    Args:
        policy: text in place of ``POLICIES["draft"]``; it must contain $questions.
    """
    _positive("questions", questions)
    template, about = with_policy(_DRAFT, policy), [clearance_of(figure)]
    return template.fill(image, figure_text(figure), about=about, questions=questions)


def generation_prompt(
    figure: Mapping[str, Any],
    image: FigureImage,
    demonstrations: Sequence[tuple[Mapping[str, Any], FigureImage | None]],
    rounds: int = 5,
    policy: str | None = None,
) -> Prompt:
    """Return a prompt for one conversation of `rounds` rounds about a figure.

    Args:
        figure: with `caption`, `mentions`, `modalities`.
        demonstrations: rows of the table demonstrations (as `figure`, with `turns`) in the order
            in which they are shown, each with its image or, if the image is missing, None.
        policy: text in place of ``POLICIES["generation"]``; it must contain $rounds.
    """
    _positive("rounds", rounds)
    shown = [message for row, seen in demonstrations for message in _demonstration(row, seen)]
    about = [clearance_of(figure), *(demonstration_clearance(row) for row, _ in demonstrations)]
    template = with_policy(_GENERATION, policy)
    return template.fill(image, figure_text(figure), about=about, shown=shown, rounds=rounds)


def demonstration_clearance(row: Mapping[str, Any]) -> Clearance:
    """Return the clearance of a demonstration's texts, by its row."""
    return clearance_of({**row, "figure_id": row.get("demonstration_id", "a demonstration")})


def rating_prompt(
    figure: Mapping[str, Any], image: FigureImage, instruction: str, response: str
) -> Prompt:
    """Return a prompt for a rating of one candidate by the policy."""
    words: dict[str, Any] = {"instruction": instruction, "response": response}
    return _RATING.fill(image, figure_text(figure), about=[clearance_of(figure)], **words)


def chat_score_prompt(
    question: str, image: FigureImage, reference: str, answer: str, caption: str | None = None
) -> Prompt:
    """Return a prompt for scores of the reference answer (first) and a model's answer (second).

    The texts are cleared with the image, as in `verdict_prompt` and `answer_prompt`.

    Args:
        caption: the figure's caption, shown to the judge in addition to the image (LLaVA-Med's
            judge sees the caption instead of the image); None or blank if there is none.
    """
    values: dict[str, Any] = {"question": question, "reference": reference}
    values |= {"first": reference, "second": answer}
    if not isinstance(caption, str) or not caption.strip():  # a table's null may be NaN
        return _CHAT_SCORE.fill(image, about=_about(image), **values)
    return _CAPTIONED.fill(image, about=_about(image), **values, caption=caption)


def verdict_prompt(
    question: str, image: FigureImage, reference: str, first: str, second: str
) -> Prompt:
    """Return a prompt for a verdict on which of two answers is better, in the given order."""
    words: dict[str, Any] = {"question": question, "reference": reference}
    words |= {"first": first, "second": second}
    return _VERDICT.fill(image, about=_about(image), **words)


def answer_prompt(
    question: str, image: FigureImage | None, about: Sequence[Clearance] | None = None
) -> Prompt:
    """Return a prompt for an answer to a benchmark question; without an image, in text alone.

    Args:
        about: the clearance of the question; None for that of the image.
    """
    return _ANSWER.fill(image, about=_about(image) if about is None else about, question=question)


def _about(image: FigureImage | None) -> tuple[Clearance, ...] | None:
    """Return the clearance of an image; None for anything that has none."""
    stated = getattr(image, "clearance", None)
    return None if stated is None else (stated,)


def _demonstration(row: Mapping[str, Any], image: FigureImage | None) -> tuple[dict, dict]:
    seen = () if image is None else (image,)
    rounds = [Round(question_type=None, **turn) for turn in row["turns"]]
    reply = Conversation(rounds=rounds).model_dump_json()
    return _message("user", *seen, figure_text(row)), _message("assistant", reply)


def _message(role: str, *content: Any) -> dict[str, Any]:
    return {"role": role, "content": list(content)}


def _positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value!r}; ask for at least 1")
