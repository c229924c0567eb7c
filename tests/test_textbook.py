"""The base models' textbook: complete, in its own words, and in the words that are written."""

from __future__ import annotations

import itertools
import re
from functools import lru_cache

import numpy as np
import pytest
from clinic_requests import any_image, phantom_figures, sent

from vital_lib.clinic.base_models.textbook import SENTENCES, write_passage
from vital_lib.clinic.benchmark import write_questions
from vital_lib.clinic.generator import write_conversation
from vital_lib.clinic.lexicon import FINDINGS
from vital_lib.clinic.phantoms import sample_truth
from vital_lib.modalities import MODALITIES
from vital_lib.prompts import generation_prompt

WRITTEN = 500
RUN = 5
THEMES = ("anatomy", "reading", "clinic", "reports", "questions", "quoting", "causes")
_WORD = re.compile(r"[^\W\d_]+(?:[’'-][^\W\d_]+)*")
_PART = re.compile(r"[^\W_]+")
_CHOICE = re.compile(r"\{([^{}]*)\}")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> list[str]:
    """Captions, mentions and conversations about 500 phantoms, and a benchmark about 500."""
    image = any_image(tmp_path_factory.mktemp("image"))
    texts = []
    for number, figure in enumerate(phantom_figures(WRITTEN, seed=3)):
        texts += [figure["caption"], *figure["mentions"]]
        prompt = generation_prompt({"figure_id": f"f{number}", **figure}, image, [], rounds=5)
        for turn in write_conversation(sent(prompt, seed=number))["rounds"]:
            texts += [turn["instruction"], turn["response"]]
    rng = np.random.default_rng(4)
    for _ in range(WRITTEN):
        for row in write_questions(sample_truth(rng), rng):
            texts += [row["question"], row["reference"]]
    return texts


@lru_cache(maxsize=1)
def wordings() -> tuple[str, ...]:
    """Every sentence with every choice of its alternatives."""
    return tuple(
        "".join(parts)
        for page in SENTENCES.values()
        for sentence in page
        for parts in itertools.product(
            *(
                text.split("|") if place % 2 else [text]
                for place, text in enumerate(_CHOICE.split(sentence))
            )
        )
    )


def runs(text: str) -> set[tuple[str, ...]]:
    words = _PART.findall(text.lower())
    return set(zip(*(words[start:] for start in range(RUN)), strict=False))


def test_every_finding_and_modality_and_theme_has_its_sentences():
    findings = [kind for kinds in FINDINGS.values() for kind in kinds]
    assert set(SENTENCES) == {*findings, "none", *MODALITIES, *THEMES}
    assert all(len(SENTENCES[name]) >= 10 for name in [*findings, "none"])
    assert all(len(SENTENCES[name]) >= 12 for name in MODALITIES)
    assert all(len(SENTENCES[name]) >= 25 for name in THEMES)


def test_no_sentence_stands_twice():
    sentences = [sentence for page in SENTENCES.values() for sentence in page]
    assert len(sentences) == len(set(sentences)) >= 380


def test_every_sentence_is_six_to_22_words_long_and_ends():
    odd = [
        text
        for text in wordings()
        if not (6 <= len(text.split()) <= 22 and text[0].isupper() and text.endswith("."))
    ]
    assert len(wordings()) >= 380 and odd == []


def test_braces_all_expand():
    assert not any(set("{|}") & set(text) for text in wordings())
    rng = np.random.default_rng(0)
    assert not any(set("{|}") & set(write_passage(rng)) for _ in range(2000))


def test_no_five_words_in_a_row_are_shared_with_what_is_written(written):
    theirs = set().union(*map(runs, written))
    shared = {text: runs(text) & theirs for text in wordings() if runs(text) & theirs}
    assert shared == {}


def test_nearly_every_written_word_is_in_the_textbook(written):
    known = {word.lower() for text in wordings() for word in _WORD.findall(text)}
    needed = {word.lower() for text in written for word in _WORD.findall(text)}
    assert len(needed) > 700
    assert len(needed & known) / len(needed) >= 0.95, sorted(needed - known)


def test_nearly_every_word_written_with_a_capital_is_met_with_a_capital(written):
    known = {word for text in wordings() for word in _WORD.findall(text) if word[0].isupper()}
    needed = {word for text in written for word in _WORD.findall(text) if word[0].isupper()}
    assert len(needed & known) / len(needed) >= 0.95, sorted(needed - known)


def test_a_passage_is_two_to_four_different_sentences_of_its_subject():
    page = {
        re.sub(r"\\\{.*?\\\}", "\0", re.escape(sentence)).replace("\0", ".*")
        for sentence in SENTENCES["cyst"]
    }
    rng = np.random.default_rng(1)
    lengths = set()
    for _ in range(50):
        parts = re.split(r"(?<=\.) ", write_passage(rng, "cyst"))
        fitting = [next(p for p in page if re.fullmatch(p, part)) for part in parts]
        assert len(set(fitting)) == len(parts)
        lengths.add(len(parts))
    assert lengths == {2, 3, 4}


def test_a_passage_is_the_same_again_from_the_same_seed():
    again = [[write_passage(np.random.default_rng(s)) for s in range(20)] for _ in range(2)]
    assert again[0] == again[1]


def test_thousands_of_passages_differ():
    rng = np.random.default_rng(2)
    assert len({write_passage(rng) for _ in range(3000)}) > 2900


def test_an_unknown_subject_is_named_in_the_error():
    with pytest.raises(ValueError, match="'spleen'"):
        write_passage(np.random.default_rng(0), "spleen")
