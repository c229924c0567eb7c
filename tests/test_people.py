"""Simulated clinicians: what they know, what they notice, and that they are the same each time."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from vital_lib.annotators import Votes
from vital_lib.clinic.lexicon import Truth
from vital_lib.clinic.people import CLINICIANS, NOTE_WITHOUT_TRUTH, SIGNED, Clinicians, tally
from vital_lib.clinic.rates import DEFAULT_RATES
from vital_lib.labels import LabelLog, agreement
from vital_lib.tables import TABLES, Workspace

TRUTH = Truth("chest_xray", "nodule", "right", "upper", "small", 2)
CAPTION = "Chest radiograph of a 40-year-old man with cough, showing nodules on the right."
QUESTION = "On which side is the nodule?"
# A clinician who notices and minds everything and never slips.
PERFECT = replace(
    DEFAULT_RATES,
    clinician_sees_fact=dict.fromkeys(CLINICIANS, 1.0),
    clinician_minds={
        name: dict.fromkeys(("vague", "overconfident", "quoted", "truncated"), 1.0)
        for name in CLINICIANS
    },
    clinician_slip=0.0,
)


def frames(number: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = [f"A1_F{k}" for k in range(number)]
    figures = pd.DataFrame({"figure_id": ids, "caption": CAPTION, "mentions": [[]] * number})
    return figures, pd.DataFrame([{"figure_id": name, **asdict(TRUTH)} for name in ids])


def drafts(figure_ids, answers, question=QUESTION) -> pd.DataFrame:
    """Two responses, `answers`, to one question about each figure."""
    return pd.DataFrame(
        [
            {
                "candidate_id": f"{name}-r1-{letter}",
                "instruction_id": f"{name}-r1",
                "figure_id": name,
                "instruction": question,
                "response": answer,
            }
            for name in figure_ids
            for letter, answer in zip("ab", answers, strict=True)
        ]
    )


@pytest.fixture
def perfect() -> Clinicians:
    return Clinicians(*frames(), rates=PERFECT)


def test_a_true_answer_is_accepted_and_a_wrong_one_rejected_with_its_reason(perfect):
    assert perfect.tick("strict", "A1_F0", QUESTION, "The nodule is on the right.") == (True, ())
    accepted, reasons = perfect.tick("strict", "A1_F0", QUESTION, "It is on the left.")
    assert (accepted, reasons) == (False, ("wrong_side",))


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("Some changes may be present.", "vague"),
        ("Definitely on the right.", "overconfident"),
        ("Right: 40-year-old man with cough, showing nodules on the right.", "quoted"),
        ("The nodule is on the right and", "truncated"),
    ],
)
def test_each_fault_of_style_can_be_minded(perfect, answer, fault):
    assert perfect.tick("lenient", "A1_F0", QUESTION, answer) == (False, (fault,))


def test_a_figure_without_truth_is_judged_by_its_modality_flag_too():
    figures = pd.DataFrame(
        {"figure_id": ["R1"], "caption": "A cyst of the parasite.", "mentions": [["Also on MRI."]]}
    )
    question, wrong = "What modality is this?", "It is a magnetic resonance image."
    for flags, kinds in ((["histology"], ("wrong_modality",)), ([], ())):
        people = Clinicians(figures.assign(modalities=[flags]), None, PERFECT)
        for annotator in CLINICIANS:
            said = people.tick(annotator, "R1", question, wrong)
            assert said == (not kinds, kinds)


def test_a_figure_without_truth_is_judged_by_its_caption():
    people = Clinicians(frames()[0], None, rates=PERFECT)
    assert not people.tick("strict", "A1_F0", QUESTION, "It is on the left.")[0]
    assert people.tick("strict", "A1_F0", "How large is the nodule?", "It is large.")[0]
    assert not Clinicians(*frames(), rates=PERFECT).tick(
        "strict", "A1_F0", "How large is the nodule?", "It is large."
    )[0]


def test_the_same_question_gets_the_same_answer_and_another_seed_another_one():
    figures, truth = frames(200)
    answers = [(name, "Definitely on the right.") for name in figures["figure_id"]]

    def ticks(seed):
        people = Clinicians(figures, truth, seed=seed)
        return [people.tick("moderate", name, QUESTION, text)[0] for name, text in answers]

    assert ticks(1) == ticks(1)
    assert ticks(1) != ticks(2)


def test_clinicians_differ_as_their_rates_say():
    figures, truth = frames(2000)
    people = Clinicians(figures, truth)
    for answer, chances in (
        ("It is on the left.", DEFAULT_RATES.clinician_sees_fact),
        (
            "Definitely on the right.",
            {name: DEFAULT_RATES.clinician_minds[name]["overconfident"] for name in CLINICIANS},
        ),
        ("It is on the right.", dict.fromkeys(CLINICIANS, 0.0)),
    ):
        slip = DEFAULT_RATES.clinician_slip
        for name in CLINICIANS:
            rejected = np.mean(
                [not people.tick(name, id_, QUESTION, answer)[0] for id_ in figures["figure_id"]]
            )
            expected = chances[name] * (1 - slip) + (1 - chances[name]) * slip
            assert abs(rejected - expected) < 0.04, (name, answer)


def test_labels_reach_the_log_once_however_often_they_are_made(tmp_path):
    figures, truth = frames(4)
    rows = drafts(figures["figure_id"], ("It is on the right.", "It is on the left."))
    log = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}")
    people = Clinicians(figures, truth, rates=PERFECT)
    made = people.label(log, rows)
    assert people.label(log, rows) == made == len(log.history())
    preferences = log.preferences()
    assert len(preferences) == 12
    assert set(preferences["annotator"]) == {f"{name} (simulated)" for name in CLINICIANS}
    preferred = np.where(preferences["choice"] == "left", preferences["left_id"],
                         preferences["right_id"])  # fmt: skip
    assert all(name.endswith("-a") for name in preferred)
    assert set(log.history()["note"]) == {"simulated"}


def test_items_already_labelled_by_other_texts_are_refused(tmp_path):
    figures, truth = frames(4)
    log = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}")
    people = Clinicians(figures, truth, rates=PERFECT)
    texts = ("It is on the right.", "It is on the left.")
    people.label(log, drafts(figures["figure_id"], texts))
    before = log.history()
    with pytest.raises(ValueError, match="'A1_F.-r1' and 3 more of these items.*new run folder"):
        people.label(log, drafts(figures["figure_id"], texts[::-1]))
    pd.testing.assert_frame_equal(log.history(), before)
    assert people.label(log, drafts(["A1_F0"], texts)) > 0  # some of them again


def test_one_item_in_twenty_is_judged_again_and_looked_at_afresh(tmp_path):
    figures, truth = frames(1000)
    rows = drafts(figures["figure_id"], ("It is on the right.", "It is on the left."))
    log = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}")
    assert Clinicians(figures, truth).label(log, rows) == len(log.history())
    events = log.history().set_index("event_id")
    again = events[events["repeat_of"].notna()]
    first = events.loc[again["repeat_of"]]
    assert len(log.preferences()) == 3000 == len(events) - len(again)
    assert again["item_id"].tolist() == first["item_id"].tolist()
    assert again["annotator"].tolist() == first["annotator"].tolist()
    assert abs(len(again) / 3000 - 0.05) < 0.015
    turned = (again["left_id"].to_numpy() != first["left_id"].to_numpy()).mean()
    assert 0.3 < turned < 0.7

    figures = figures.assign(modalities=[["ct_scan"]] * 1000)
    rows["group_id"] = rows["figure_id"]
    found = agreement(log.preferences(), log.history(), rows, figures).query("kind == 'self'")
    assert list(found["scope"]) == [f"self: {SIGNED[name]}" for name in sorted(CLINICIANS)]
    # Each sees the one wrong answer as often as the rates say, both times, and slips at times.
    slip = DEFAULT_RATES.clinician_slip
    for name, raw in zip(found["scope"].str[6:], found["raw"], strict=True):
        sees = DEFAULT_RATES.clinician_sees_fact[name.removesuffix(" (simulated)")]
        rejected = sees * (1 - slip) + (1 - sees) * slip
        alike = [p * p + (1 - p) * (1 - p) for p in (rejected, slip)]
        assert abs(raw - np.mean(alike)) < 0.09, name


def test_a_label_without_truth_says_so(tmp_path):
    figures, _ = frames()
    rows = drafts(figures["figure_id"], ("It is on the right.", "It is on the left."))
    log = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}")
    Clinicians(figures, None).label(log, rows)
    assert set(log.history()["note"]) == {NOTE_WITHOUT_TRUTH}
    assert "simulated" in NOTE_WITHOUT_TRUTH and "without truth" in NOTE_WITHOUT_TRUTH


def test_votes_are_counted_by_whose_they_are_and_by_what_they_knew(tmp_path):
    figures, truth = frames(3)
    figures["group_id"], figures["modalities"] = figures["figure_id"], [["chest_xray"]] * 3
    rows = drafts(figures["figure_id"], ("It is on the right.", "It is on the left."))
    workspace = Workspace(tmp_path)
    log = LabelLog(workspace.label_url)
    Clinicians(figures, truth).label(log, rows)
    said = {"left_id": "A1_F0-r1-a", "right_id": "A1_F0-r1-b"}
    log.record(
        item_id="A1_F0-r1", annotator="ann", left_accepted=True, right_accepted=False, **said
    )
    votes = log.preferences()
    assert tally(workspace, votes, rows) == Votes(10, simulated=9, without_truth=9)
    workspace.write("clinic_truth", truth[1:])
    assert tally(workspace, votes, rows) == Votes(10, simulated=9, without_truth=3)
    ticks = Clinicians(figures, truth).ticks(rows)
    assert tally(workspace, ticks) == Votes(18, simulated=18, without_truth=6)
    assert tally(workspace, ticks[:0]) == tally(workspace, votes[:0], rows) == Votes()


def test_unknown_clinicians_and_figures_are_named(perfect):
    with pytest.raises(ValueError, match="'kind'"):
        perfect.tick("kind", "A1_F0", QUESTION, "Right.")
    with pytest.raises(ValueError, match="'A9_F1'"):
        perfect.tick("strict", "A9_F1", QUESTION, "Right.")


def test_ticks_hold_a_row_per_candidate_and_clinician(perfect):
    rows = drafts(["A1_F0"], ("Right.", "Left."))
    ticks = perfect.ticks(rows)
    assert list(ticks.columns) == ["candidate_id", "figure_id", "annotator", "accepted"]
    accepted = ticks.groupby("candidate_id")["accepted"].sum()
    assert accepted.to_dict() == {"A1_F0-r1-a": 3, "A1_F0-r1-b": 0}


def test_error_kinds_are_the_true_ones_whatever_is_noticed():
    rows = drafts(["A1_F0"], ("Right.", "Definitely on the left"))
    blind = replace(DEFAULT_RATES, clinician_sees_fact=dict.fromkeys(CLINICIANS, 0.0))
    kinds = Clinicians(*frames(), rates=blind).error_kinds(rows).set_index("candidate_id")["kinds"]
    assert kinds["A1_F0-r1-a"] == []
    assert kinds["A1_F0-r1-b"] == ["wrong_side", "overconfident", "truncated"]


def benchmark(answers: dict[str, str], question: str = QUESTION):
    questions = pd.DataFrame(
        {"question_id": ["q1"], "image": ["clinic/benchmark_images/A1_F0.png"],
         "question": [question]}
    )  # fmt: skip
    rows = [("q1", model, "none", text) for model, text in answers.items()]
    return questions, pd.DataFrame(rows, columns=["question_id", "model", "control", "answer"])


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        ("Right.", "Left.", "a"),
        ("Left.", "Right.", "b"),
        ("Right.", "On the right.", "tie"),
        ("Definitely left.", "Left.", "b"),
        ("Definitely on the right.", "Left.", "a"),
        ("Possibly something.", "Left.", "a"),
    ],
)
def test_fewer_errors_win_and_facts_weigh_more_than_style(perfect, first, second, winner):
    verdicts = perfect.compare(*benchmark({"m1": first, "m2": second}), "m1", "m2")
    assert list(verdicts.columns) == TABLES["verdicts"].columns
    row = verdicts.iloc[0]
    assert (row["winner"], row["order"]) == (winner, "both")
    assert row["judge"] == "clinicians (simulated)"


def test_of_two_sound_answers_the_one_that_states_more_of_what_is_asked_wins(perfect):
    answers = {"m1": "On the right.", "m2": "In the right upper zone."}
    tables = benchmark(answers, "Where is the nodule?")
    assert perfect.compare(*tables, "m1", "m2")["winner"].tolist() == ["b"]


def test_the_verdict_does_not_depend_on_which_model_is_named_first():
    figures, truth = frames(300)
    people = Clinicians(figures, truth)
    ids = figures["figure_id"]
    questions = pd.DataFrame({"question_id": ids, "image": ids + ".png", "question": QUESTION})
    answers = pd.concat(
        [
            pd.DataFrame({"question_id": ids, "model": model, "control": "none", "answer": text})
            for model, text in (("m1", "Definitely right."), ("m2", "It is on the left."))
        ]
    )
    one = people.compare(questions, answers, "m1", "m2")["winner"]
    other = people.compare(questions, answers, "m2", "m1")["winner"]
    assert one.map({"a": "b", "b": "a", "tie": "tie"}).tolist() == other.tolist()
    assert one.nunique() > 1


def test_a_missing_answer_and_an_image_without_truth_are_refused(perfect):
    questions, answers = benchmark({"m1": "Right."})
    with pytest.raises(ValueError, match="'m2' has no answer"):
        perfect.compare(questions, answers, "m1", "m2")
    with pytest.raises(ValueError, match="no row in clinic_truth"):
        Clinicians(frames()[0], None).compare(questions, answers, "m1", "m1")


def test_ten_thousand_candidates_are_ticked_by_all_three():
    figures, truth = frames(1000)
    rows = pd.DataFrame(
        {
            "candidate_id": [f"c{k}" for k in range(10_000)],
            "figure_id": [f"A1_F{k % 1000}" for k in range(10_000)],
            "instruction": [f"On which side is the nodule of case {k}?" for k in range(10_000)],
            "response": [f"The nodule of case {k} lies on the right." for k in range(10_000)],
        }
    )
    assert len(Clinicians(figures, truth).ticks(rows)) == 30_000
