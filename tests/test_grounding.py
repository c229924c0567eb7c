"""Claims about grounding flags: what goes against a figure's text, and what does not."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from vital_lib.clinic import transport
from vital_lib.clinic.lexicon import contradictions, read_answer
from vital_lib.demonstrations import import_demonstrations
from vital_lib.figures import read_figures
from vital_lib.generation import FLAGS, draft_candidates, grounding_flags
from vital_lib.tables import Workspace
from vital_lib.vlm import VLM

AGAINST = FLAGS[:4]


def flags(response, *, caption, mentions=(), modalities=(), instruction="What does it show?"):
    figure = {"figure_id": "f", "caption": caption, "mentions": mentions, "modalities": modalities}
    row = {"figure_id": "f", "instruction": instruction, "response": response}
    return grounding_flags(pd.DataFrame([row]), pd.DataFrame([figure])).iloc[0]


# ------------------------------------------------------------------ sides

RIGHT = "Chest CT with a nodule in the right lower lobe."


@pytest.mark.parametrize(
    "answer",
    [
        "There is a nodule in the left lower lobe.",
        "A left-sided nodule.",
        "It lies on the left.",
        "The left lung holds a nodule, without a shift of the mediastinum to the right.",
    ],
)
def test_the_other_side_is_flagged(answer):
    assert flags(answer, caption=RIGHT) == ["side_against_text"]


@pytest.mark.parametrize(
    ("caption", "answer"),
    [
        (RIGHT, "There is a nodule in the right lower lobe."),
        (RIGHT, "The nodule lies on the left side of the image."),
        (RIGHT, "It would be dangerous if left untreated."),
        (RIGHT, "The left panel is magnified."),
        (RIGHT, "The left ventricle is of ordinary size."),
        (RIGHT, "Both lungs are shown; the left lung is there for comparison."),
        (RIGHT, "The trachea is displaced to the left."),
        ("Bilateral infiltrates, denser in the right lung.", "Infiltrates in the left lung."),
        ("A mass in the right lung and a cyst in the left kidney.", "A mass in the left lung."),
        ("The trachea is deviated to the left.", "The mass pushes from the right side."),
        ("CT (left) and MRI (right) of the brain.", "An abnormality in the right hemisphere."),
    ],
)
def test_a_side_that_the_text_leaves_open_is_no_claim(caption, answer):
    assert flags(answer, caption=caption) == []


def test_a_side_stated_only_in_a_mention_counts():
    said = {"caption": "Chest radiograph.", "mentions": ["The left lung showed an opacity."]}
    assert flags("The right lung shows an opacity.", **said) == ["side_against_text"]
    said["mentions"] += ["The right one was clear."]
    assert flags("The right lung shows an opacity.", **said) == []


# ------------------------------------------------------------------ modalities


@pytest.mark.parametrize(
    ("instruction", "answer", "wrong"),
    [
        ("What imaging modality was used?", "Magnetic resonance imaging.", True),
        ("What imaging modality was used?", "Computed tomography, not MRI.", False),
        ("Is this an MRI?", "Yes, it is.", True),
        ("Is this a CT scan?", "Yes, it is.", False),
        ("Is this an MRI?", "No, it is a CT scan.", False),
        ("What is shown?", "This chest X-ray shows a mass.", True),
        ("What is shown?", "This axial CT scan shows a mass.", False),
        ("What comes next?", "MRI is often the next step.", False),
    ],
)
def test_another_modality_is_flagged_where_it_is_said_of_the_image(instruction, answer, wrong):
    said = {"caption": "A mass.", "modalities": ["ct_scan"], "instruction": instruction}
    assert ("modality_against_text" in flags(answer, **said)) == wrong


def test_several_modalities_in_the_text_leave_each_open():
    caption = "MRI and CT of the knee, and a film."
    for name in ("MRI", "CT scan", "X-ray"):
        assert flags(f"This {name} shows the knee.", caption=caption, modalities=["mri"]) == []


# ------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    ("caption", "answer", "wrong"),
    [
        ("Two nodules.", "There are three nodules.", True),
        ("Two nodules.", "There are 2 nodules.", False),
        ("A solitary nodule.", "Several nodules are seen.", True),
        ("Multiple nodules.", "There are four nodules.", False),
        ("Multiple nodules.", "A single nodule is seen.", True),
        ("Two nodules.", "The lesions are three in number.", True),
        ("Two nodules measuring 3 cm.", "Nodules of 3 cm in two places.", False),
        ("A 3-year-old boy. Two nodules.", "Two nodules, 12 mm wide, in a 3-year-old boy.", False),
        ("Two nodules in one patient of five.", "Two nodules.", False),
        ("Two nodules and three cysts.", "Three cysts.", False),
    ],
)
def test_another_number_of_the_same_thing_is_flagged(caption, answer, wrong):
    assert ("number_against_text" in flags(answer, caption=caption)) == wrong


def test_a_bare_number_answers_how_many():
    said = {"caption": "Two nodules.", "instruction": "How many nodules are there?"}
    assert flags("Three.", **said) == ["number_against_text"]
    assert flags("Two.", **said) == []


# ------------------------------------------------------------------ negation


@pytest.mark.parametrize(
    ("caption", "answer", "wrong"),
    [
        ("CT showing a pleural effusion.", "There is no pleural effusion.", True),
        ("CT showing a pleural effusion.", "The image shows no abnormality.", True),
        ("CT showing a pleural effusion.", "The scan is normal.", True),
        ("CT showing a pleural effusion.", "A pleural effusion without pneumothorax.", False),
        ("CT showing a pleural effusion.", "No other abnormality is seen.", False),
        ("CT showing a pleural effusion.", "An effusion may not be visible early on.", False),
        ("CT without pleural effusion.", "There is a pleural effusion.", True),
        ("CT without pleural effusion.", "A pleural effusion might follow.", False),
        ("Chest radiograph. Unremarkable.", "The radiograph shows consolidation.", True),
        ("Chest radiograph. Unremarkable.", "No consolidation is seen.", False),
        ("The nodule in the left lung.", "There is no nodule in the right lung.", False),
    ],
)
def test_denying_what_the_text_asserts_is_flagged_and_asserting_what_it_denies(
    caption, answer, wrong
):
    assert ("negation_against_text" in flags(answer, caption=caption)) == wrong


def test_a_no_denies_what_was_asked():
    said = {"caption": "CT showing a pleural effusion.", "instruction": "Is there an effusion?"}
    assert flags("No.", **said) == ["negation_against_text"]
    assert flags("Yes.", **said) == []


# ------------------------------------------------------------------ the text itself


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        ("The caption says that it is a cyst.", True),
        ("It is a cyst, as described in the text.", True),
        ("According to the provided context, it is a cyst.", True),
        ("It is a cyst in the context of chronic disease.", False),
        ("The image shows a cyst, as indicated by the arrow.", False),
    ],
)
def test_naming_the_text_is_flagged(answer, names):
    assert ("names_the_text" in flags(answer, caption="Cyst.")) == names


def test_eight_words_of_the_text_are_a_repetition_and_seven_are_none():
    caption = "A large thin-walled cyst lies beside the third ventricle of the brain."
    eight = "We see that a Large, thin walled cyst lies beside THE third."
    assert flags(eight, caption=caption) == ["repeats_the_text"]
    assert flags("A large thin-walled cyst lies beside.", caption=caption) == []


def test_flags_come_as_one_list_a_candidate_in_the_candidates_order():
    figure = {"figure_id": "f", "caption": RIGHT, "mentions": [], "modalities": ["ct_scan"]}
    row = {"figure_id": "f", "instruction": "What is it?"}
    wrong = "This MRI shows three nodules in the left lung, as the caption says."
    rows = [row | {"response": "A nodule."}, row | {"response": wrong}]
    found = grounding_flags(pd.DataFrame(rows, index=[7, 3]), pd.DataFrame([figure]))
    assert found.to_dict() == {
        7: [],
        3: ["side_against_text", "modality_against_text", "names_the_text"],
    }
    with pytest.raises(ValueError, match="figure 'f' of a candidate is not in figures"):
        grounding_flags(pd.DataFrame(rows), pd.DataFrame([figure | {"figure_id": "g"}]))


def test_no_text_is_too_odd_to_be_read():
    for text in ("", "?", "No", "(left", "two " * 4000, "no " * 4000, "left 12 right,\n\n" * 900):
        assert isinstance(flags(text, caption=text, instruction=text), list)


# ------------------------------------------------------------------ accepted answers, real captions


def accepted(realdata):
    """The published demonstrations: (accepted answers, their figures' text)."""
    shown = import_demonstrations(realdata / "clinician_demonstrations.jsonl")
    shown["figure_id"] = shown["demonstration_id"]
    rows = [
        {"figure_id": row.figure_id, **turn} for row in shown.itertuples() for turn in row.turns
    ]
    return pd.DataFrame(rows), shown


@pytest.mark.realdata
def test_answers_that_clinicians_accepted_are_hardly_flagged(realdata):
    answers, shown = accepted(realdata)
    found = grounding_flags(answers, shown).explode().value_counts()
    assert len(answers) == 221
    assert found.reindex(AGAINST).fillna(0).sum() <= 1, found
    assert found["names_the_text"] <= 12 and found["repeats_the_text"] <= 16


@pytest.mark.realdata
def test_a_side_swapped_in_an_accepted_answer_is_mostly_flagged(realdata):
    answers, shown = accepted(realdata)
    other = {"left": "right", "right": "left"}
    swapped = answers.assign(
        response=[
            re.sub(r"\b(left|right)\b", lambda found: other[found[1]], answer)
            for answer in answers["response"]
        ]
    )
    changed = swapped["response"] != answers["response"]
    found = grounding_flags(swapped[changed], shown)
    assert changed.sum() == 40
    assert found.map(lambda flags: "side_against_text" in flags).mean() > 0.55


@pytest.mark.realdata
def test_a_real_caption_does_not_contradict_itself(realdata, tmp_path, monkeypatch):
    # what is taken from the text is passed over, unless nothing is long enough to be
    monkeypatch.setattr("vital_lib.generation.grounding.REPEATED_WORDS", 10_000)
    frame, _ = read_figures(str(realdata / "figures"), run=tmp_path)
    rows = frame[["figure_id"]].assign(instruction="Describe it.", response=frame["caption"])
    found = grounding_flags(rows, frame)
    assert not found.map(lambda flags: bool(set(flags) & set(AGAINST))).any()


# ------------------------------------------------------------------ the clinic's own mistakes


@pytest.fixture(scope="module")
def drafted(tmp_path_factory):
    """Drafts about phantoms, with their figures and what these really show."""
    workspace = Workspace(tmp_path_factory.mktemp("grounding"))
    frame, _ = read_figures("clinic", run=workspace.path, seed=4, articles=120)
    vlm = VLM(transport=transport(), ledger=workspace.ledger)
    drafts, _ = draft_candidates(frame, vlm, resolve=workspace.resolve)
    facts = {
        row["figure_id"]: {name: value for name, value in row.items() if not pd.isna(value)}
        for row in workspace.read("clinic_truth").to_dict("records")
    }
    drafts = drafts[drafts["figure_id"].isin(list(facts))]
    kinds = [
        set(contradictions(read_answer(row.instruction, row.response), facts[row.figure_id]))
        for row in drafts.itertuples()
    ]
    return drafts, kinds


@pytest.mark.parametrize(
    ("flag", "kinds", "precision", "recall"),
    [
        ("side_against_text", {"wrong_side"}, 0.95, 0.9),
        ("modality_against_text", {"wrong_modality"}, 0.95, 0.8),
        ("number_against_text", {"wrong_count"}, 0.95, 0.65),
        ("negation_against_text", {"missed_finding", "invented_finding", "wrong_side"}, 0.85, 0),
        ("negation_against_text", {"missed_finding"}, 0, 0.8),
    ],
)
def test_flags_find_the_mistakes_that_the_text_can_show(drafted, flag, kinds, precision, recall):
    drafts, wrong = drafted
    flagged = drafts["flags"].map(lambda flags: flag in flags).to_numpy(bool)
    really = pd.Series([bool(kinds & found) for found in wrong]).to_numpy(bool)
    assert really.sum() > 10
    hits = (flagged & really).sum()
    assert hits / flagged.sum() >= precision and hits / really.sum() >= recall
