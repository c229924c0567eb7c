"""Accuracy of the clinic's vision-language model on questions about held-out phantoms.

This module knows nothing about training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from vital_lib.clinic.base_models.data import Phantoms
from vital_lib.clinic.base_models.sequences import IMAGE_TEXT
from vital_lib.clinic.base_models.talk import Round, ask_whether_so, choose_of_two
from vital_lib.clinic.base_models.texts import ask_for_caption, ask_plainly, ask_whether
from vital_lib.clinic.lexicon import ATTRIBUTES, Truth, contradictions, read_answer


@torch.inference_mode()
def measure_llava(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, phantoms: Phantoms
) -> dict[str, float]:
    """Share of correct answers about held-out `phantoms`, by kind of question and attribute.

    Keys: ``open_<attribute>`` (terse; all pictures for modality and finding, otherwise those with a
    finding), ``yes_no_<attribute>`` (terse), ``whether_<attribute>`` (yes/no in whole sentences),
    ``choice_<attribute>`` (one of two, in whole sentences) and ``caption``. Terse answers and
    captions must match exactly. For ``whether``, the first two letters must match. For ``choice``,
    the answer must state or name the true value and must not contradict it.
    """
    found = {}
    for subject, tests in _tests(phantoms):
        right = 0
        for start in range(0, len(tests), 64):
            part = tests[start : start + 64]
            answers = _answers(
                model, tokenizer, phantoms, [(row, question) for row, question, _ in part]
            )
            right += sum(test[2](text) for text, test in zip(answers, part, strict=True))
        found[subject] = round(right / len(tests), 4)
    return found


_Test = tuple[int, str, Callable[[str], bool]]  # row, question, whether an answer is right


def _tests(phantoms: Phantoms) -> Iterator[tuple[str, list[_Test]]]:
    """Each metric's name with its tests."""
    truths = phantoms.truths
    everything = range(len(truths))
    shown = [row for row in everything if truths[row].count]
    for name in ATTRIBUTES:
        rows = everything if name in ("modality", "finding") else shown
        yield (
            f"open_{name}",
            [_exactly(row, ask_plainly(truths[row], name, _rng(row))) for row in rows],
        )
        yield (
            f"yes_no_{name}",
            [_exactly(row, ask_whether(truths[row], name, _rng(row))[1:]) for row in shown],
        )
        yield f"whether_{name}", [_whether(row, truths[row], name) for row in shown]
        yield f"choice_{name}", [_choice(row, truths[row], name) for row in shown]
    yield "caption", [_exactly(row, ask_for_caption(truths[row], _rng(row))) for row in everything]


def _rng(row: int) -> np.random.Generator:
    return np.random.default_rng((row, 7))


def _exactly(row: int, exchange: Round) -> _Test:
    question, answer = exchange
    return row, question, lambda given: given == answer


def _whether(row: int, truth: Truth, attribute: str) -> _Test:
    question, answer = ask_whether_so(truth, attribute, _rng(row))
    return row, question, lambda given: given[:2] == answer[:2]


def _choice(row: int, truth: Truth, attribute: str) -> _Test:
    question, *options = choose_of_two(truth, attribute, _rng(row))
    facts = {attribute: getattr(truth, attribute)}

    def right(given: str) -> bool:
        claims = {claim for claim in read_answer(question, given) if claim.attribute == attribute}
        named = [option.split()[-1].lower() in given.lower() for option in options]
        return not contradictions(claims, facts) and (bool(claims) or named == [True, False])

    return row, question, right


def _answers(model, tokenizer, phantoms, questions: list[tuple[int, str]]) -> list[str]:
    texts = [f"USER: {IMAGE_TEXT}{question}\nASSISTANT:" for _, question in questions]
    words = tokenizer(
        texts, padding=True, padding_side="left", return_tensors="pt", return_token_type_ids=False
    )
    pixels = phantoms.batch(np.array([row for row, _ in questions]))
    tokens = model.generate(**words, pixel_values=pixels, max_new_tokens=32)
    new = tokens[:, words["input_ids"].shape[1] :]
    return [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
