"""Claims about grounding flags: what goes against a figure's text, and what does not."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from vital_lib.client import ChatClient
from vital_lib.clinic import transport
from vital_lib.clinic.lexicon import contradictions, read_answer
from vital_lib.demonstrations import import_demonstrations
from vital_lib.figures import read_figures
from vital_lib.figures.fields import mentions_of, modalities_of
from vital_lib.generation import FLAGS, draft_candidates, grounding_flags
from vital_lib.judging.probes import corrupt_answers
from vital_lib.tables import Workspace

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
        ("A mass of 4.7 cm.", "The mass measures 9 cm.", True),
        ("A mass of 4.7 cm.", "The mass is 47 mm wide, about 5 centimeters.", False),
        ("A mass of 4.7 cm.", "A mass over 3 cm is removed after 6 months.", False),
        ("A mass of 3 x 4.5 cm in a 51-year-old man.", "A mass of 3 by 5.5 cm.", True),
        ("A mass of 3 x 4.5 cm in a 51-year-old man.", "A man, 15 years old.", True),
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
        ("CT without pleural effusion.", "A pleural effusion has been ruled out.", False),
        ("CT showing a pleural effusion.", "A pleural effusion has been excluded.", True),
        ("CT showing a pleural effusion.", "A pleural effusion has not been excluded.", False),
        ("Chest CT | a pleural effusion.", "There is a pleural effusion.", False),
        ("Chest radiograph. Unremarkable.", "The radiograph shows consolidation.", True),
        ("Chest radiograph. Unremarkable.", "No consolidation is seen.", False),
        ("The nodule in the left lung.", "There is no nodule in the right lung.", False),
        ("The nodule in the left lung.", "The right lung shows no nodule.", False),
        ("The nodule in the left lung.", "There is no evidence that the nodule grows.", False),
        ("The nodule in the left lung.", "The nodule is not calcified.", False),
        ("The trachea is displaced by a mass.", "The trachea is not displaced.", True),
        ("The trachea is displaced by a mass.", "The trachea isn't displaced by the nodes.", False),
        ("A mass with no enhancement in the left lobe.", "There is enhancement.", True),
        ("A mass with no enhancement in the left lobe.", "Enhancement of the right lobe.", False),
        ("Worsening of the shadow.", "There is no worsening.", True),
        ("Change in one group, no change in another.", "There is no change.", False),
        (
            "CT shows a large thin-walled cyst beside the third ventricle of the brain.",
            "CT shows no large thin-walled cyst beside the third ventricle of the brain.",
            True,
        ),
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
    lost = "2 of 2 candidates belong to none of the given figures, first 'f'"
    with pytest.raises(ValueError, match=lost):
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
def test_a_real_caption_does_not_contradict_itself(realdata, tmp_path):
    frame, _ = read_figures(str(realdata / "figures"), run=tmp_path)
    rows = frame[["figure_id"]].assign(instruction="Describe it.", response=frame["caption"])
    found = grounding_flags(rows, frame)
    assert not found.map(lambda flags: bool(set(flags) & set(AGAINST))).any()


# ------------------------------------------------------------------ errors put into real wording

_SHOWS = (
    r"(?:(?:show|reveal|display|demonstrat|depict|exhibit|detect|contain)(?:s|es?|e?d|ing)?|"
    r"there (?:is|are|was|were)|with)"
)
_DENIES = re.compile(
    r"\b(?:no|not|without|absen\w+|lack\w*|never|n?either|nor|un\w+|non\w*)\b", re.I
)
_THING = (
    r"((?:(?!(?:and|or|of|in|at|on|to|is|are|was|were|has|have|that|which|with|within|as|from|by|for|"
    r"like|along|can|may|be|this|suggest\w*|indicat\w*|caus\w*|between|behind|around|after|before|"
    r"due|up|no|not|without|any|evidence)\b)[a-z][\w'-]+\s?){1,5})"
)
_FOUND = re.compile(
    rf"\b({_SHOWS}) (?:(?:an?|the|several|multiple|some|its|his|her) )?{_THING}", re.I
)
_LACKS = re.compile(rf"\b(?:no|without)(?: (?:any|evidence of|signs? of|an?))* {_THING}", re.I)
_SAID_OF = re.compile(r"(\w+) (?:is|are|was|were) (?=(\w+))", re.I)
_SPELLED = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"]
_NUMBER = re.compile(
    rf"(?<![\w.,/×-])({'|'.join(_SPELLED)}|\d{{1,3}}(?:\.\d+)?)(?=[ -][a-zµμ%])"
    r"(?! (?:of|and|or|in|to|the|x|shows?|january)\b)",
    re.I,
)
_FRAMES = [  # (what says that it is there, what says that it is not)
    ("There is {}.", "There is no {}."),
    ("The image shows {}.", "The image does not show {}."),
    ("{} can be seen.", "{} is absent."),
    ("The findings include {}.", "There is no evidence of {}."),
    ("Yes, {} is visible.", "No, {} is not visible."),
]


def sentences(text):
    return re.split(r"(?<=[.!?;])\s+", re.sub(r" (?=[.,)])|(?<=\() ", "", text))


def stems(text):
    words = set(re.findall(r"[a-z]{3,}", text.lower()))
    return {word[:5] for word in words - {"the", "this", "image", "scan", "are", "was", "for"}}


def states(text, thing):
    """Whether a sentence of the text without a denial has every word of the thing."""
    return bool(stems(thing)) and any(
        stems(thing) <= stems(sentence) and not _DENIES.search(sentence)
        for sentence in sentences(text)
    )


def another(number):
    if number.lower() in _SPELLED:
        return _SPELLED[(_SPELLED.index(number.lower()) + 2) % len(_SPELLED)]
    return f"{2 * float(number) + 1:g}"


def negated(answer, text):
    """The answer with the first finding denied that the text states as well, or None."""
    for sentence in sentences(answer):
        if _DENIES.search(sentence):
            continue
        for found in _FOUND.finditer(sentence):
            if found[1].lower() != "with" and states(text, found[2]):
                denial = f"{sentence[: found.end(1)]} no {sentence[found.start(2) :]}"
                return re.sub("^Yes", "No", answer.replace(sentence, denial, 1))
        for found in _SAID_OF.finditer(sentence):
            both = stems(found[1]) and stems(found[2])
            if both and states(text, f"{found[1]} {found[2]}"):
                denial = f"{sentence[: found.end()]}not {sentence[found.end() :]}"
                return re.sub("^Yes", "No", answer.replace(sentence, denial, 1))
    return None


def renumbered(answer, text):
    """The answer with the first number changed that the text states as well, or None."""
    stated = {found[1].lower() for found in _NUMBER.finditer(text)}
    for found in _NUMBER.finditer(answer):
        if found[1].lower() in stated:
            return f"{answer[: found.start(1)]}{another(found[1])}{answer[found.end(1) :]}"
    return None


def remarks(text):
    """Short sentences about what the text says: (kind, one that agrees, one that does not)."""
    things, made = {}, []
    for sentence in sentences(text):
        for found in () if _DENIES.search(sentence) else _FOUND.finditer(sentence):
            whole = sentence[found.end() : found.end() + 1] != "," and stems(found[2])
            if whole and not re.search(r"(?:ly|ing)\s*$|^(?:further|other)\b", found[2]):
                things.setdefault(found[2].strip().lower(), True)
        for found in _LACKS.finditer(sentence):
            if not states(text, found[1]):
                things.setdefault(found[1].strip().lower(), False)
        for found in _NUMBER.finditer(sentence):
            rest = re.split(r"[.,;()]|\b(?:is|are|was|in|on|with|of)\b", sentence[found.end() :])[0]
            frame = f"This concerns {{}}{rest.rstrip()}."
            made.append(("number", frame.format(found[1]), frame.format(another(found[1]))))
    for place, (thing, there) in enumerate(things.items()):
        frames = [frame.format(thing) for frame in _FRAMES[place % len(_FRAMES)]]
        made.append(("negation", *(frames if there else reversed(frames))))
    return made


@pytest.fixture
def planted_errors(realdata):
    """Answers and remarks with `kind`, `true`, `flags`: of every second text, kept for this."""
    answers, shown = accepted(realdata)
    answers["candidate_id"] = answers.index.astype(str)
    records = map(json.loads, (realdata / "figures/figures.jsonl").read_text().splitlines())
    figures = [
        {
            "figure_id": record["pair_id"],
            "caption": record["fig_caption"],
            "mentions": mentions_of(record["in_text_mention"]),
            "modalities": modalities_of(record["domain"]),
        }
        for record in records
    ]
    frame = pd.concat([shown[list(figures[0])][1::2], pd.DataFrame(figures[1::2])])
    texts = {
        row["figure_id"]: " ".join([f"{row['caption'].rstrip('. ')}.", *row["mentions"]])
        for row in frame.to_dict("records")
    }
    answers = answers[answers["figure_id"].isin(list(texts))]
    probes = corrupt_answers(answers)
    rows = probes[probes["kind"].isin(["side", "modality"])].assign(true=False).to_dict("records")
    for row in answers.to_dict("records"):
        for kind, plant in (("negation", negated), ("number", renumbered)):
            response = plant(row["response"], texts[row["figure_id"]])
            if response is not None:
                rows.append({**row, "kind": kind, "response": response, "true": False})
    for figure_id, text in texts.items():
        for kind, *pair in remarks(text):
            row = {"figure_id": figure_id, "instruction": "What is seen?", "kind": kind}
            rows += [
                {**row, "response": said, "true": true}
                for said, true in zip(pair, (True, False), strict=True)
            ]
    made = pd.DataFrame(rows)
    return made.assign(flags=grounding_flags(made, frame))


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("kind", "at_least", "recall"),
    [("side", 20, 0.6), ("modality", 50, 0.45), ("number", 25, 0.7), ("negation", 70, 0.8)],
)
def test_an_error_planted_in_real_wording_is_mostly_flagged(planted_errors, kind, at_least, recall):
    wrong = planted_errors[(planted_errors["kind"] == kind) & ~planted_errors["true"]]
    found = wrong["flags"].map(lambda flags: f"{kind}_against_text" in flags)
    assert len(found) >= at_least
    assert found.mean() >= recall


@pytest.mark.realdata
def test_a_short_remark_that_agrees_with_a_real_text_is_hardly_flagged(planted_errors):
    right = planted_errors[planted_errors["true"]]
    assert len(right) >= 80
    assert right["flags"].map(lambda flags: bool(set(flags) & set(AGAINST))).sum() <= 1


# ------------------------------------------------------------------ the clinic's own mistakes


@pytest.fixture(scope="module")
def drafted(tmp_path_factory):
    """Drafts about phantoms, with their figures and what these really show."""
    workspace = Workspace(tmp_path_factory.mktemp("grounding"))
    frame, _ = read_figures("clinic", run=workspace.path, seed=4, articles=120)
    client = ChatClient(transport=transport(), ledger=workspace.ledger)
    drafts, _ = draft_candidates(frame, client)
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
