"""Captions and mentions of phantoms: varied, and never other than the truth."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from vital_lib.clinic.captions import write_caption, write_mentions
from vital_lib.clinic.lexicon import (
    COUNTS,
    FINDINGS,
    LEVELS,
    NO_FINDING,
    SIDES,
    SIZES,
    Truth,
    contradictions,
    facts_in,
    read_claims,
)
from vital_lib.modalities import MODALITIES

DETAILS = ("side", "level", "size", "count")


def random_truth(rng: np.random.Generator, modality: str | None = None) -> Truth:
    def draw(values):
        return values[int(rng.integers(len(values)))]

    modality = modality or draw(MODALITIES)
    if rng.random() < 0.15:
        return Truth(modality, NO_FINDING, None, None, None, 0)
    return Truth(
        modality, draw(FINDINGS[modality]), draw(SIDES), draw(LEVELS), draw(SIZES), draw(COUNTS)
    )


@pytest.fixture(scope="module")
def written():
    """2,000 random truths, each with a caption and the mentions that go with it."""
    rng = np.random.default_rng(5)
    rows = []
    for _ in range(2000):
        truth = random_truth(rng)
        caption = write_caption(truth, rng)
        rows.append((truth, caption, write_mentions(truth, set(facts_in([caption])), rng)))
    return rows


def test_nothing_written_contradicts_the_truth(written):
    for truth, caption, mentions in written:
        for text in (caption, *mentions):
            assert contradictions(read_claims(text), truth.facts()) == (), text


def test_what_is_read_back_is_a_part_of_the_truth(written):
    for truth, caption, mentions in written:
        facts = truth.facts()
        for texts in ([caption], [caption, *mentions]):
            for attribute, value in facts_in(texts).items():
                assert facts[attribute] == value, texts


def test_every_caption_states_the_kind_of_finding_or_that_there_is_none(written):
    for truth, caption, _ in written:
        assert facts_in([caption])["finding"] == truth.finding, caption


def test_captions_mostly_state_the_modality_and_each_detail_every_second_time(written):
    stated = [facts_in([caption]) for _, caption, _ in written]
    assert 0.86 < np.mean(["modality" in facts for facts in stated]) < 0.94
    with_finding = [facts for facts in stated if facts["finding"] != NO_FINDING]
    for name in DETAILS:
        assert 0.45 < np.mean([name in facts for facts in with_finding]) < 0.55, name


def test_mentions_state_most_of_what_the_caption_leaves_out(written):
    told = {name: [] for name in (*DETAILS, "modality")}
    for truth, caption, mentions in written:
        missing = set(told) & set(truth.facts()) - set(facts_in([caption]))
        if truth.finding != NO_FINDING:
            for name in missing:
                told[name].append(name in facts_in([caption, *mentions]))
    for name, cases in told.items():
        assert 0.79 < np.mean(cases) < 0.91, name


def test_there_is_always_a_mention(written):
    assert all(1 <= len(mentions) <= 4 for _, _, mentions in written)


@pytest.mark.parametrize("modality", MODALITIES)
def test_each_modality_has_at_least_a_dozen_wordings_of_either_kind_of_caption(modality):
    """The same truth is worded anew: figures (age, numerals) aside, the texts differ."""
    rng = np.random.default_rng(11)
    for truth in (
        Truth(modality, FINDINGS[modality][0], "left", "upper", "small", 2),
        Truth(modality, NO_FINDING, None, None, None, 0),
    ):
        frames = {re.sub(r"\d+", "#", write_caption(truth, rng)) for _ in range(200)}
        assert len(frames) > 60
        mentions = {write_mentions(truth, {"finding"}, rng)[-1] for _ in range(200)}
        assert len(mentions) > 12


def test_both_spellings_occur(written):
    text = " ".join(caption for _, caption, _ in written)
    assert "tumour" in text
    assert re.search(r"\btumor", text)


def test_the_same_seed_writes_the_same_in_every_process(root):
    code = (
        "import numpy as np\n"
        "from vital_lib.clinic.captions import write_caption, write_mentions\n"
        "from vital_lib.clinic.lexicon import Truth\n"
        "rng = np.random.default_rng(3)\n"
        "truth = Truth('mri', 'cyst', 'left', 'upper', 'small', 2)\n"
        "print([(write_caption(truth, rng), write_mentions(truth, {'side'}, rng))"
        " for _ in range(20)])"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
