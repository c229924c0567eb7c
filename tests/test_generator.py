"""The simulated generator: it reads the request, errs at the declared rates, follows manners."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from random import Random

import numpy as np
import pytest
from clinic_requests import any_image, phantom_figures, sent

from vital_lib.clinic import asides
from vital_lib.clinic.answering import respond
from vital_lib.clinic.asking import ask, kinds_for, questions_about, subject_of
from vital_lib.clinic.benchmark import write_questions
from vital_lib.clinic.generator import manner_of, write_conversation, write_drafts, write_text
from vital_lib.clinic.lexicon import (
    ATTRIBUTES,
    Truth,
    asked,
    contradictions,
    facts_in,
    read_answer,
    style_faults,
)
from vital_lib.clinic.phantoms import sample_truth
from vital_lib.clinic.question_kinds import TERM_KINDS
from vital_lib.clinic.rates import DEFAULT_RATES, Rates
from vital_lib.clinic.reading import read
from vital_lib.clinic.requests import Demonstration, Shown, demonstrations
from vital_lib.clinic.terms import key_terms
from vital_lib.modalities import MODALITIES
from vital_lib.prompts import draft_prompt, generation_prompt

OWN = manner_of((), DEFAULT_RATES)
FIGURE = {
    "caption": "Chest radiograph showing two small nodules.",
    "mentions": ["The nodules lie in the upper zone of the left lung."],
    "modalities": ["chest_xray"],
}
SHOWN = Shown(FIGURE["caption"], tuple(FIGURE["mentions"]), ("chest_xray",))


def shown_figures(number, seed=0):
    return [
        Shown(figure["caption"], tuple(figure["mentions"]), tuple(figure["modalities"]))
        for figure in phantom_figures(number, seed)
    ]


def responses(shown, manner=OWN, *, rounds=5, seed=0):
    """(subject, question, response, what is wrong with it) of many responses."""
    rng = Random(seed)
    for one in shown:
        subject = subject_of(one)
        for question in questions_about(subject, rounds, rng):
            yield (subject, question, *respond(subject, question, manner, DEFAULT_RATES, rng))


def found_in(subject, question, text):
    """What the lexicon finds wrong with a response."""
    claims = read_answer(question.text, text)
    faults = style_faults(question.text, text, subject.shown.sources)
    return contradictions(claims, subject.facts) + faults


def demonstration(*answers, question="On which side is the nodule?"):
    return Demonstration(SHOWN, tuple((question, answer) for answer in answers))


CLEAN = "The nodule lies in the left lung."
VAGUE = "Something is of note here."


# ---------------------------------------------------------------- what is written reads back


def test_what_is_written_reads_back_as_exactly_the_errors_intended():
    written = list(responses(shown_figures(500)))
    right = sum(found_in(s, q, text) == kinds for s, q, text, kinds in written)
    assert len(written) >= 2000
    assert right / len(written) >= 0.98


def test_every_question_asks_for_what_its_kind_says():
    rng = Random(1)
    subjects = [subject_of(one) for one in shown_figures(150, seed=3)]
    kinds = [(subject, kind) for subject in subjects for kind in kinds_for(subject)]
    assert len({kind.name for _, kind in kinds}) >= 5
    for subject, kind in kinds:
        question = ask(subject, kind, rng)
        assert asked(question.text) == set(kind.asks), question.text


def test_no_question_asks_for_what_the_text_does_not_state():
    checked = 0
    for subject, question, _, _ in responses(shown_figures(150, seed=4)):
        wanted = set(question.kind.asks)
        # A description tells what is known; every other question needs all that it asks for.
        if wanted and wanted != set(ATTRIBUTES):
            checked += 1
            assert wanted <= set(subject.facts)
    assert checked > 300


def test_the_wording_is_not_the_benchmarks():
    rng, coin = np.random.default_rng(5), Random(5)
    truths = [sample_truth(rng) for _ in range(800)]
    theirs = {row["question"] for truth in truths for row in write_questions(truth, rng)}
    subjects = [subject_of(one) for one in shown_figures(300, seed=5)]
    ours = {ask(s, kind, coin).text for s in subjects for kind in kinds_for(s)}
    assert len(ours) > 300
    assert not {text.lower() for text in ours} & {text.lower() for text in theirs}


@pytest.mark.parametrize(
    "sentence",
    [
        *(text for known in asides.KNOWLEDGE.values() for texts in known for text in texts),
        *itertools.chain(*asides.TRAITS.values()),
        *asides.GENERAL,
    ],
)
def test_an_aside_claims_nothing_and_has_no_fault_however_it_is_cut(sentence):
    words = sentence.split()
    for kept in range(1, len(words) + 1):
        assert not read(" ".join(words[:kept]), frozenset(ATTRIBUTES)).claims
    assert style_faults("Why does it matter?", sentence, ()) == ()


@pytest.mark.parametrize("first, more", [*itertools.product(asides.VAGUE, asides.VAGUE_MORE)])
def test_empty_words_are_vague_whatever_was_asked(first, more):
    for question in ("Why?", "What is the main finding?", "How many cysts?", "Is it on the left?"):
        assert style_faults(question, f"{first} {more}", ()) == ("vague",)


def test_responses_are_mostly_8_to_35_words_long():
    lengths = [len(text.split()) for _, _, text, _ in responses(shown_figures(200, seed=6))]
    assert np.mean([8 <= length <= 35 for length in lengths]) > 0.85
    assert abs(np.mean(lengths) - DEFAULT_RATES.own_words) < 5


# ---------------------------------------------------------------- rates


def test_without_demonstrations_the_declared_rates_hold():
    written = list(responses(shown_figures(1600, seed=7)))
    touched, wrong, faults = Counter(), Counter(), Counter()
    for subject, question, _, kinds in written:
        facts = subject.facts
        for attribute in ("side", "modality"):
            touched[f"wrong_{attribute}"] += attribute in question.kind.asks and attribute in facts
        touched["wrong_count"] += "count" in question.kind.asks and facts.get("count", 0) > 0
        touched["invented_finding"] += "finding" in question.kind.asks and "finding" in facts
        touched["missed_finding"] += (
            "finding" in question.kind.asks and facts.get("finding", "none") != "none"
        )
        wrong.update(kind for kind in kinds if kind in DEFAULT_RATES.factual)
        faults.update(kind for kind in kinds if kind in DEFAULT_RATES.style)
    for kind, rate in DEFAULT_RATES.factual.items():
        error = 4 * np.sqrt(rate * (1 - rate) / touched[kind])
        assert touched[kind] > 500
        # A missed finding takes the place of other mistakes of a description, hence the 0.02.
        assert wrong[kind] / touched[kind] == pytest.approx(rate, abs=error + 0.02), kind
    for kind, rate in DEFAULT_RATES.style.items():
        assert faults[kind] / len(written) == pytest.approx(rate, abs=0.02), kind


def test_level_and_size_are_never_mistaken():
    kinds = set().union(*(kinds for *_, kinds in responses(shown_figures(300, seed=8))))
    assert kinds and kinds <= {*DEFAULT_RATES.factual, *DEFAULT_RATES.style}


def test_a_rate_of_nought_makes_no_such_error():
    rates = Rates(
        factual=dict.fromkeys(DEFAULT_RATES.factual, 0.0),
        style=dict.fromkeys(DEFAULT_RATES.style, 0.0),
    )
    rng, manner = Random(9), manner_of((), rates)
    for one in shown_figures(100, seed=9):
        subject = subject_of(one)
        questions = questions_about(subject, 5, rng)
        assert questions
        for question in questions:
            text, kinds = respond(subject, question, manner, rates, rng)
            assert kinds == () == found_in(subject, question, text)


def test_the_two_responses_of_a_draft_err_independently():
    rng, subject = Random(10), subject_of(SHOWN)
    kind = next(kind for kind in kinds_for(subject) if kind.name == "side")
    pairs = []
    for _ in range(3000):
        question = ask(subject, kind, rng)
        pairs.append(
            ["wrong_side" in respond(subject, question, OWN, DEFAULT_RATES, rng)[1] for _ in "ab"]
        )
    assert abs(np.corrcoef(np.array(pairs).T)[0, 1]) < 0.06


# ---------------------------------------------------------------- demonstrations


def test_without_demonstrations_the_manner_is_the_generators_own():
    assert dict(OWN.style) == dict(DEFAULT_RATES.style)
    assert OWN.words == DEFAULT_RATES.own_words


def test_ten_clean_responses_halve_every_fault_of_style():
    manner = manner_of([demonstration(*[CLEAN] * 5)] * 2, DEFAULT_RATES)
    for fault, own in DEFAULT_RATES.style.items():
        assert manner.style[fault] == pytest.approx(own / 2)


def test_faulty_demonstrations_teach_their_fault_and_no_other():
    manner = manner_of([demonstration(*[VAGUE] * 10)], DEFAULT_RATES)
    assert manner.style["vague"] == pytest.approx((0.16 * 10 + 10) / 20)
    assert manner.style["overconfident"] == pytest.approx(0.12 / 2)


def test_demonstrations_as_faulty_as_the_generator_itself_change_nothing():
    # 4 of 25 is the generator's own rate of vague answers.
    manner = manner_of([demonstration(*[VAGUE] * 4, *[CLEAN] * 21)], DEFAULT_RATES)
    assert manner.style["vague"] == pytest.approx(DEFAULT_RATES.style["vague"])


def test_a_demonstration_is_read_against_its_own_caption():
    copied = "It shows this: Chest radiograph showing two small nodules. The nodules lie left."
    text = "Chest radiograph showing two small nodules in the upper zone of the left lung."
    ours, other = Shown(text), Shown("Axial MRI of the brain.")
    question = "What is the main finding?"
    answer = f"As it is put: {text}"
    for shown, quoted in ((ours, 1), (other, 0)):
        manner = manner_of([Demonstration(shown, ((question, answer),))], DEFAULT_RATES)
        assert manner.style["quoted"] == pytest.approx((0.14 * 10 + quoted) / 11)
    assert style_faults(question, copied, ours.sources) == ()  # seven words alone are no copy


def test_demonstrations_move_style_and_leave_mistakes_of_fact_alone():
    clean = manner_of([demonstration(*[CLEAN] * 30)], DEFAULT_RATES)
    counts = {}
    for name, manner in (("own", OWN), ("clean", clean)):
        written = list(responses(shown_figures(1200, seed=11), manner, seed=11))
        counts[name] = Counter(kind for *_, kinds in written for kind in kinds)
        counts[name]["all"] = len(written)
    for kind in DEFAULT_RATES.style:
        assert counts["clean"][kind] < 0.45 * counts["own"][kind], kind
    for kind in DEFAULT_RATES.factual:
        share = [counts[name][kind] / counts[name]["all"] for name in ("own", "clean")]
        assert share[1] == pytest.approx(share[0], abs=0.01), kind


def test_wordy_demonstrations_lengthen_responses_but_not_to_their_own_length():
    wordy = demonstration(*[f"{CLEAN} " + "The patient was seen again. " * 10] * 10)
    manner = manner_of([wordy], DEFAULT_RATES)
    theirs = len(wordy.turns[0][1].split())
    assert OWN.words < manner.words < (OWN.words + theirs) / 2
    terse = manner_of([demonstration(*["Left."] * 10)], DEFAULT_RATES)
    assert terse.words < OWN.words
    lengths = [
        np.mean([len(text.split()) for _, _, text, _ in responses(shown_figures(150), each)])
        for each in (terse, OWN, manner)
    ]
    assert lengths == sorted(lengths)


# ---------------------------------------------------------------- the request as it is sent


def test_the_numbers_asked_for_are_written(tmp_path):
    image = any_image(tmp_path)
    for number in (1, 3, 6):
        drafts = write_drafts(sent(draft_prompt(FIGURE, image, number)))
        rounds = write_conversation(sent(generation_prompt(FIGURE, image, [], number)))
        assert len(drafts["questions"]) == len(rounds["rounds"]) == number
        texts = [question["instruction"] for question in drafts["questions"]]
        assert len(set(texts)) == number


def test_the_reply_holds_the_texts_and_no_word_on_what_is_wrong_with_them(tmp_path):
    drafts = write_drafts(sent(draft_prompt(FIGURE, any_image(tmp_path))))
    fields = {"instruction", "question_type", "response_a", "response_b"}
    assert [set(question) for question in drafts["questions"]] == [fields] * 4


def test_the_same_request_gets_the_same_reply_and_another_seed_another(tmp_path):
    request = sent(draft_prompt(FIGURE, any_image(tmp_path)))
    assert write_drafts(request) == write_drafts(json.loads(json.dumps(request)))
    assert write_drafts(request) != write_drafts({**request, "seed": 1})
    assert write_drafts(request) != write_drafts(request, DEFAULT_RATES, 1)


def test_what_only_an_absent_mention_says_is_not_asked(tmp_path):
    silent = {**FIGURE, "mentions": []}
    image = any_image(tmp_path)
    asked_for = [set(), set()]
    for place, figure in enumerate((FIGURE, silent)):
        for seed in range(20):
            drafts = write_drafts(sent(draft_prompt(figure, image, 6), seed=seed))
            asked_for[place] |= {question["question_type"] for question in drafts["questions"]}
    assert "side" in asked_for[0]
    assert not {"side", "level", "location", "side (yes/no)"} & asked_for[1]


def test_demonstrations_are_found_in_the_request_with_their_sources(tmp_path):
    image = any_image(tmp_path)
    row = {**FIGURE, "turns": [{"instruction": "Which side?", "response": CLEAN}] * 3}
    request = sent(generation_prompt(FIGURE, image, [(row, image), (row, None)]))
    assert demonstrations(request) == [Demonstration(SHOWN, (("Which side?", CLEAN),) * 3)] * 2
    assert demonstrations(sent(generation_prompt(FIGURE, image, []))) == []


def test_demonstrations_in_the_request_reach_the_responses(tmp_path):
    image = any_image(tmp_path)
    row = {**FIGURE, "turns": [{"instruction": "Which side is it on?", "response": VAGUE}] * 8}
    rates = {}
    for name, shown in (("with", [(row, image)] * 5), ("without", [])):
        faults = []
        for seed in range(60):
            request = sent(generation_prompt(FIGURE, image, shown), seed=seed)
            for turn in write_conversation(request)["rounds"]:
                faults += [style_faults(turn["instruction"], turn["response"], SHOWN.sources)]
        rates[name] = np.mean(["vague" in found for found in faults])
    assert rates["with"] > 0.6 > 0.3 > rates["without"]


def test_a_modality_flag_that_stands_alone_is_the_modality_whatever_the_text_names():
    assert Shown("Two small nodules.", (), ("chest_xray",)).facts["modality"] == "chest_xray"
    brain = ("Lesions of the brain are detected by MRI.",)
    assert Shown("A cyst of the parasite.", brain, ("histology",)).facts["modality"] == "histology"
    assert Shown("Axial CT of the head.").facts["modality"] == "ct_scan"


def test_of_several_modality_flags_the_text_can_single_out_one_but_no_other():
    assert "modality" not in Shown("Two small nodules.", (), ("chest_xray", "mri")).facts
    assert Shown("Axial CT of the head.", (), ("ct_scan", "mri")).facts["modality"] == "ct_scan"
    assert "modality" not in Shown("Axial CT of the head.", (), ("histology", "mri")).facts


@pytest.mark.parametrize("modalities", [[], ["mri"], ["mri", "histology"], ["fundus photograph"]])
@pytest.mark.parametrize("caption", ["", "Figure 2", "?!", "Rouleaux formation.", "x" * 5000])
def test_any_figure_can_be_written_about(tmp_path, caption, modalities):
    figure = {"caption": caption, "mentions": [], "modalities": modalities}
    image = any_image(tmp_path)
    drafts = write_drafts(sent(draft_prompt(figure, image)))
    rounds = write_conversation(sent(generation_prompt(figure, image, [])))
    assert len(drafts["questions"]) == 4
    assert len(rounds["rounds"]) == 5


def test_a_figure_of_few_facts_is_spoken_of_in_its_own_terms():
    caption = "Schistocytes (fragmented red cells) in a peripheral blood smear."
    subject, rng = subject_of(Shown(caption)), Random(12)
    texts = [
        respond(subject, ask(subject, kind, rng), OWN, DEFAULT_RATES, rng)[0]
        for kind in TERM_KINDS[:2]
        for _ in range(20)
    ]
    assert sum("fragmented red cells" in text or "peripheral blood" in text for text in texts) > 15


@pytest.mark.parametrize(
    "credit",
    [
        "(credit: modification of work by Ann Miller/Wikimedia Commons)",
        "Courtesy of Ann Miller, Royal Hospital.",
        "Photograph by Ann Miller, licensed under CC BY 4.0.",
        "LM × 400.",
        "Original magnification, 40×.",
    ],
)
def test_a_line_of_credit_or_magnification_is_no_topic(credit):
    assert key_terms((f"Fungal hyphae in lung tissue. {credit}",)) == (
        "fungal hyphae",
        "lung tissue",
    )


def test_a_radiograph_is_one_of_the_chest_only_where_the_chest_is_spoken_of():
    rng = Random(16)
    for caption, chest in (("Radiograph of the carpus.", False), ("Radiograph of a lung.", True)):
        subject = subject_of(Shown(caption, (), () if not chest else ("chest_xray",)))
        kind = next(kind for kind in kinds_for(subject) if kind.name == "modality")
        texts = [subject.phrases(subject.facts, rng).fill(kind.answers[0]) for _ in range(30)]
        assert all("adiograph" in text or "X-ray" in text for text in texts)
        assert any("chest" in text for text in texts) == chest


@pytest.mark.parametrize("caption, seizures", [("liver", False), ("brain", True), ("scan", False)])
def test_what_is_said_of_a_tumour_follows_its_organ(caption, seizures):
    subject = subject_of(Shown(f"MRI of the {caption} showing a tumour.", (), ("mri",)))
    said = " ".join(text for *_, text, _ in responses([subject.shown] * 60, rounds=6))
    assert ("Seizures" in said) == seizures
    assert "biopsy" in said


def test_a_mistaken_modality_is_another_known_one():
    subject, rng = subject_of(SHOWN), Random(13)
    kind = next(kind for kind in kinds_for(subject) if kind.name == "modality")
    said = Counter()
    for _ in range(600):
        text, kinds = respond(subject, ask(subject, kind, rng), OWN, DEFAULT_RATES, rng)
        if "wrong_modality" in kinds:
            said[facts_in([text.split(".")[0]])["modality"]] += 1
    assert said.keys() <= set(MODALITIES) - {"chest_xray"}
    assert len(said) > 2


def test_plain_text_is_a_short_description(tmp_path):
    request = sent(draft_prompt(FIGURE, any_image(tmp_path)))
    texts = [write_text({**request, "seed": seed}) for seed in range(30)]
    facts = Truth("chest_xray", "nodule", "left", "upper", "small", 2).facts()
    assert sum(facts_in([text]).get("finding") == facts["finding"] for text in texts) > 15
    loose = {"model": "clinic", "messages": [{"role": "user", "content": "Hello there"}]}
    assert len(write_text(loose).split()) > 3


@pytest.mark.realdata
def test_real_figures_can_be_written_about_and_read_back(realdata):
    lines = (realdata / "figures" / "figures.jsonl").read_text().splitlines()
    shown = []
    for record in map(json.loads, lines):
        mentions = tuple(" ".join(item["tokens"].split()) for item in record["in_text_mention"])
        modalities = tuple(name for name, flag in record["domain"].items() if flag)
        shown.append(Shown(" ".join(record["fig_caption"].split()), mentions, modalities))
    written = [row for seed in range(6) for row in responses(shown, seed=seed)]
    assert len(written) == 6 * 5 * len(shown)
    right = sum(found_in(s, q, text) == kinds for s, q, text, kinds in written)
    assert right / len(written) >= 0.98


@pytest.mark.realdata
def test_the_released_demonstrations_make_the_generator_more_careful(realdata):
    lines = (realdata / "clinician_demonstrations.jsonl").read_text().splitlines()
    shown = []
    for record in map(json.loads, lines):
        turns = record["conversations"]
        pairs = zip(turns, turns[1:], strict=False)
        rounds = tuple((a["value"], b["value"]) for a, b in pairs if a["from"] == "human")
        mentions = tuple(item["tokens"] for item in record["in_text_mention"])
        shown.append(Demonstration(Shown(record["fig_caption"], mentions), rounds))
    manner = manner_of(shown[:5], DEFAULT_RATES)
    assert sum(manner.style.values()) < sum(DEFAULT_RATES.style.values())
    assert manner.words > DEFAULT_RATES.own_words
