"""The reader of free text: claims, denials, answers, questions, contradictions, faults of style."""

from __future__ import annotations

import json
import time

import pytest

from vital_lib.clinic.lexicon import (
    ATTRIBUTES,
    FINDINGS,
    Claim,
    Truth,
    asked,
    contradictions,
    facts_in,
    read_answer,
    read_claims,
    style_faults,
)


def told(claims) -> str:
    """Claims as sorted text: "finding=nodule side!=left"."""
    return " ".join(
        sorted(f"{c.attribute}{'=' if c.holds else '!='}{c.value}" for c in claims)
    )  # fmt: skip


TRUTH = Truth("chest_xray", "nodule", "right", "upper", "small", 2)
NORMAL = Truth("mri", "none", None, None, None, 0)


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("The nodule is left-sided.", "finding=nodule side=left"),
        ("Two small nodules in the right upper zone.",
         "count=2 finding=nodule level=upper side=right size=small"),
        ("A solitary large cyst in the posterior part of the left hemisphere.",
         "count=1 finding=cyst level=lower side=left size=large"),
        ("Three foci of calcification are seen on this CT.",
         "count=3 finding=calcification modality=ct_scan"),
        ("Foci of necrosis, two in number.", "count=2 finding=necrosis"),
        ("Nodules (n = 3) are present.", "count=3 finding=nodule"),
        ("Multiple granulomas.", "count!=1 finding=granuloma"),
        ("The lesion is bulky.", "finding!=none size=large"),
        ("A metastatic nodule.", "finding=metastasis"),
        ("A healed infarct scar in the middle third of the specimen.",
         "finding=infarction scar level=middle"),
    ],
)  # fmt: skip
def test_a_finding_is_read_with_its_details(text, claims):
    assert told(read_claims(text)) == claims


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A hemorrhage.", "A haemorrhage."),
        ("A tumor in the middle third.", "A tumour in the central part."),
        ("X-ray of the chest with a cavity.", "Chest radiograph with a cavitary lesion."),
        ("Computed tomography shows an infarct.", "CT shows an infarcted area."),
        ("A photomicrograph with a granuloma.", "Histology with a granulomatous lesion."),
        ("A nodule at the right base of the lung bases.", "A nodule in the right lower zone."),
        ("There are 2 plaques on MRI.", "Magnetic resonance imaging: two plaques."),
    ],
)
def test_synonyms_and_spellings_read_the_same(one, other):
    assert told(read_claims(one)) == told(read_claims(other)) != ""


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("No nodule is seen.", "finding!=nodule"),
        ("No nodule is seen on this chest X-ray.", "finding!=nodule modality=chest_xray"),
        ("A cavity was not seen.", "finding!=cavity"),
        ("The nodule is absent.", "finding!=nodule"),
        ("No focal abnormality.", "finding=none"),
        ("The image shows no nodule, consolidation or cavity.",
         "finding!=cavity finding!=consolidation finding!=nodule finding=none"),
        ("The tumour lies on the right rather than the left.",
         "finding=tumour side!=left side=right"),
        ("Rather than the left, the tumour lies on the right.",
         "finding=tumour side!=left side=right"),
        ("The nodule isn't on the left.", "finding=nodule side!=left"),
        ("The lesion is a nodule, not a cavity.", "finding!=cavity finding!=none finding=nodule"),
        ("There are not two nodules but one nodule.", "count!=2 count=1 finding=nodule"),
        ("It is not large.", "size!=large"),
        ("Neither consolidation nor cavity is seen; a nodule is present.",
         "finding!=cavity finding!=consolidation finding=nodule"),
        ("There is no other abnormality.", ""),
        ("Apart from a cyst, the brain is normal.", "finding=cyst"),
    ],
)  # fmt: skip
def test_a_denial_reaches_to_the_end_of_its_clause(text, claims):
    assert told(read_claims(text)) == claims


def test_a_clear_left_lung_says_that_the_finding_is_not_there():
    text = "The left lung is clear, while a nodule lies in the right lung."
    assert told(read_claims(text)) == "finding=nodule side!=left side=right"


def test_no_nodule_on_one_side_does_not_deny_the_one_on_the_other():
    text = "There is no nodule in the left lung; a nodule lies in the right lung."
    assert told(read_claims(text)) == "finding=nodule side!=left side=right"


def test_clear_lungs_claim_no_finding_and_a_normal_heart_claims_nothing():
    assert told(read_claims("The lungs are clear.")) == "finding=none"
    assert told(read_claims("The heart is normal in size.")) == ""


def test_bilateral_claims_neither_side():
    assert told(read_claims("Bilateral nodules are seen.")) == "finding=nodule"


@pytest.mark.parametrize(
    "text",
    [
        "If left untreated, the disease may progress.",
        "A two-year-old boy with 3 days of fever; the tube lies 5 cm above the carina.",
        "Small cell carcinoma of the large bowel.",
        "The left ventricle and the upper limb, in a middle-aged patient.",
        "Right after admission she was left in the care of 2 nurses.",
        "The panel (left) was taken in 2019.",
        "Tumor necrosis factor and the abdominal cavity.",
        "Basal cells and the central venous line.",
        "One of the 12 patients had grade 3 disease.",
        "Some abnormality may be present.",
        "Is the nodule on the left?",
    ],
)
def test_words_that_only_look_like_claims_claim_nothing(text):
    assert told(read_claims(text)) == ""


@pytest.mark.parametrize(
    ("question", "answer", "claims"),
    [
        ("On which side is the nodule?", "Left.", "side=left"),
        ("How many nodules are there?", "Two.", "count=2"),
        ("How many nodules are there?", "None.", "count=0"),
        ("How many nodules are there?", "There are no nodules.", "count=0 finding!=nodule"),
        ("Where is the cyst?", "Left anterior.", "level=upper side=left"),
        ("Is the lesion small or large?", "large", "size=large"),
        ("Is this a CT or an MRI?", "MRI", "modality=mri"),
        ("Is this an MRI?", "Yes", "modality=mri"),
        ("Is this an MRI?", "No.", "modality!=mri"),
        ("Is the nodule on the left?", "yes", "finding=nodule side=left"),
        ("Is the nodule on the left?", "No, it is on the right.", "side!=left side=right"),
        ("Is there a nodule?", "No.", "finding!=nodule"),
        ("Is there a nodule in the left lung?", "Yes.", "finding=nodule side=left"),
        ("Is there a nodule in the left lung?", "No.", ""),
        ("Are the lungs normal?", "No", "finding!=none"),
        ("Is the left lung clear?", "No", "side=left"),
        ("Is any abnormality seen?", "No", "finding=none"),
        ("Are there two nodules?", "No", "count!=2"),
        ("Is there more than one nodule?", "No", "count=1"),
        ("Is there a cyst in this MRI?", "No", "finding!=cyst"),
        ("Is the lesion enhanced?", "No", ""),
        ("What abnormality is seen?", "None", "finding=none"),
        ("What does the image show?", "Normal brain.", "finding=none"),
    ],
)
def test_an_answer_is_read_with_its_question(question, answer, claims):
    assert told(read_answer(question, answer)) == claims


@pytest.mark.parametrize(
    ("question", "attributes"),
    [
        ("What imaging modality is this?", {"modality"}),
        ("What abnormality is seen?", {"finding"}),
        ("What is the size of the lesion?", {"size"}),
        ("Which lung is affected?", {"side"}),
        ("Where is the nodule located?", {"side", "level"}),
        ("How many cysts are there, and on which side?", {"count", "side"}),
        ("At what level is the cyst: anterior, central or posterior?", {"level"}),
        ("Is the nodule on the left?", {"side"}),
        ("Is the nodule on the left or the right?", {"side"}),
        ("Is there a nodule?", {"finding"}),
        ("Are there two nodules?", {"count"}),
        ("Does this chest X-ray show a cavity?", {"finding"}),
        ("Could you tell me where the nodule is?", {"side", "level"}),
        ("Describe this image in detail.", set(ATTRIBUTES)),
        ("Describe the borders of the lesion.", set()),
        ("What would you do next?", set()),
    ],
)
def test_a_question_asks_for_attributes(question, attributes):
    assert asked(question) == attributes


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("A nodule on the left.", ("wrong_side",)),
        ("A nodule that is not on the right.", ("wrong_side",)),
        ("A nodule that is not on the left.", ()),
        ("A large nodule in the lower zone.", ("wrong_level", "wrong_size")),
        ("Three nodules on MRI.", ("wrong_modality", "wrong_count")),
        ("A single nodule.", ("wrong_count",)),
        ("Multiple nodules.", ()),
        ("A cavity.", ("invented_finding",)),
        ("No nodule is seen.", ("missed_finding",)),
        ("The lungs are clear.", ("missed_finding",)),
        ("No cavity is seen.", ()),
        ("Two small nodules in the right upper zone on a chest radiograph.", ()),
    ],
)
def test_claims_are_held_against_the_facts(text, errors):
    assert contradictions(read_claims(text), TRUTH.facts()) == errors


def test_where_there_is_no_finding_any_place_of_one_is_invented():
    facts = NORMAL.facts()
    assert facts == {"modality": "mri", "finding": "none", "count": 0}
    claims = read_answer("On which side is the lesion?", "Left.")
    assert contradictions(claims, facts) == ("invented_finding",)
    assert contradictions(read_answer("How many cysts are there?", "None."), facts) == ()


def test_none_of_another_kind_is_no_wrong_count():
    claims = read_answer("How many cavities are there?", "There are no cavities.")
    assert contradictions(claims, TRUTH.facts()) == ()


def test_what_the_facts_do_not_hold_cannot_be_contradicted():
    assert contradictions(read_claims("Three large cysts on the left."), {"modality": "mri"}) == ()


def test_facts_need_exactly_one_claimed_value():
    texts = ["A nodule in the left lung.", "A small nodule in the right lung, seen on CT."]
    assert facts_in(texts) == {"modality": "ct_scan", "finding": "nodule", "size": "small"}


def test_an_answer_that_says_nothing_of_what_is_asked_is_vague():
    assert style_faults("Where is the nodule?", "Some abnormality may be present.", []) == (
        "vague",
    )
    assert style_faults("Where is the nodule?", "The nodule is easily seen.", []) == ("vague",)
    assert style_faults("Where is the nodule?", "In the left upper zone.", []) == ()
    assert style_faults("Is there a nodule?", "No.", []) == ()
    assert style_faults("What is shown?", "Various changes are visible.", []) == ("vague",)
    assert style_faults("What would you do next?", "A biopsy is considered.", []) == ()


def test_certainty_beyond_the_image_is_overconfident():
    question = "On which side is the nodule?"
    for answer in ("Definitely on the left.", "It is left, without any doubt.", "100 % left."):
        assert style_faults(question, answer, []) == ("overconfident",)
    assert style_faults("Is there a nodule?", "No definite nodule is seen.", []) == ()


def test_eight_words_of_a_source_are_quoted_whatever_their_case_and_stops():
    source = "Chest radiograph of a 54-year-old woman: two small nodules, as shown."
    copied = "Of a 54 year old woman two small nodules are seen."
    assert style_faults("What is shown?", copied, ["other", source]) == ("quoted",)
    assert style_faults("What is shown?", "Two small nodules, as shown.", [source]) == ()


def test_a_sentence_without_an_end_is_truncated_and_a_short_answer_is_not():
    question = "Where is the nodule?"
    assert style_faults(question, "The nodule lies in the left", []) == ("truncated",)
    assert style_faults(question, "Left upper zone", []) == ()
    assert style_faults(question, 'It lies in the "left upper zone."', []) == ()


def test_a_truth_outside_the_closed_world_is_refused():
    with pytest.raises(ValueError, match="'cyst': a chest_xray shows"):
        Truth("chest_xray", "cyst", "left", "upper", "small", 1)
    with pytest.raises(ValueError, match="side 'left'"):
        Truth("mri", "none", "left", None, None, 0)
    with pytest.raises(ValueError, match="count 4"):
        Truth("mri", "cyst", "left", "upper", "small", 4)


def test_every_kind_of_finding_is_read_by_its_own_name():
    for kinds in FINDINGS.values():
        for kind in kinds:
            assert Claim("finding", kind) in read_claims(f"There is {kind}."), kind


@pytest.mark.parametrize("piece", ["1-", "no ", "a,", "the left ", "nodule or ", "'.", "("])
def test_a_hostile_text_takes_no_more_than_its_length_explains(piece):
    def seconds(times: int) -> float:
        hostile = piece * times
        start = time.process_time()
        read_answer(f"Is the {hostile}?", hostile)
        style_faults(hostile, hostile, [hostile])
        return time.process_time() - start

    # Four times the text takes a linear reader 4 times as long, a quadratic one 16 times. The
    # least of a few runs in turn: a busy neighbour slows some of them, not all.
    seconds(100)
    short, long = zip(*((seconds(2_000), seconds(8_000)) for _ in range(4)), strict=True)
    assert min(long) < 10 * max(min(short), 0.005)


@pytest.mark.realdata
def test_captions_of_real_articles_yield_no_nonsense(realdata):
    records = [
        json.loads(line) for line in (realdata / "figures" / "figures.jsonl").open(encoding="utf-8")
    ]
    flags = {"chest_xray", "mri", "ct_scan", "histology", "gross"}
    checked = 0
    for record in records:
        facts = facts_in([record["fig_caption"]])
        named = {name for name in flags if record["domain"][name]}
        assert "count" not in facts, record["fig_caption"]
        if facts.get("modality") in flags and named:
            checked += 1
            assert facts["modality"] in named, record["fig_caption"]
    assert checked > 20


@pytest.mark.realdata
def test_answers_to_real_questions_are_read_as_meant(realdata):
    rows = [
        json.loads(line)
        for line in (realdata / "vqa_rad" / "vqa_rad_test.jsonl").open(encoding="utf-8")
    ]
    sides = {"left": 0, "right": 0}
    for row in rows:
        answer = str(row["answer"]).strip().lower()
        if asked(row["question"]) == {"side"} and answer in sides:
            sides[answer] += 1
            assert told(read_answer(row["question"], answer)) == f"side={answer}", row["question"]
    assert min(sides.values()) > 0
