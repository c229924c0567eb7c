"""Claims about rows that are joined by id: one that belongs to nothing is refused, or counted."""

from __future__ import annotations

import pandas as pd
import pytest
from selector_rows import draft_rows, figure_rows, preference_rows, rated

from vital_lib import evaluation, judging
from vital_lib.client import ChatClient
from vital_lib.demonstrations import choose_demonstrations
from vital_lib.labels import compare_arms
from vital_lib.selector import judge_pairs, judge_ratings
from vital_lib.tables import belonging, column_of, refuse_missing, refuse_strays, refuse_twice

ROWS = pd.DataFrame({"question_id": ["q1", "q2", "q3"]})


def test_rows_that_belong_are_kept_and_the_others_counted(caplog):
    kept = belonging(ROWS, "question_id", ["q1", "q3"], what="answers", to="questions")
    assert kept["question_id"].tolist() == ["q1", "q3"]
    assert "1 of 3 answers belong to none of the given questions, first 'q2'" in caplog.text


def test_rows_that_all_belong_say_nothing(caplog):
    known = ["q1", "q2", "q3", "q4"]
    assert len(belonging(ROWS, "question_id", known, what="answers", to="questions")) == 3
    assert belonging(ROWS[:0], "question_id", known, what="answers", to="questions").empty
    refuse_strays(ROWS, "question_id", known, what="answers", to="questions")
    assert not caplog.text


@pytest.mark.parametrize("known", [[], ["x"], [1, 2, 3]])
def test_rows_of_which_none_belongs_are_refused(known):
    with pytest.raises(ValueError, match="none of the 3 answers belongs .* first 'q1': give the"):
        belonging(ROWS, "question_id", known, what="answers", to="questions")
    with pytest.raises(ValueError, match="3 of 3 answers belong to none of the given questions"):
        refuse_strays(ROWS, "question_id", known, what="answers", to="questions")


def test_missing_ids_and_keys_that_occur_twice_are_counted_and_the_first_is_named():
    refuse_missing(["a", "b"], {"a": 1, "b": 2}, "answers have no score", "score them")
    with pytest.raises(ValueError, match="^2 of 3 answers have no score, first 'b': score them$"):
        refuse_missing(["a", "b", "c"], {"a"}, "answers have no score", "score them")
    keys = pd.DataFrame({"question_id": ["q1", "q1", "q1"], "draw": [0, 1, 0]})
    refuse_twice(keys[:2], "answers")
    with pytest.raises(
        ValueError, match="^1 of 3 answers occur twice, first question_id 'q1', draw 0: give each"
    ):
        refuse_twice(keys, "answers")
    with pytest.raises(ValueError, match="^2 of 3 .* question_id 'q1': keep one$"):
        refuse_twice(keys["question_id"], "answers", "keep one")


def test_a_column_is_looked_up_for_each_id_in_their_order():
    drafts, about = draft_rows(2), {"what": "votes", "to": "drafts"}
    items = pd.Series(["F1-r1", "F0-r1", "F1-r1"], index=[7, 8, 9])
    found = column_of(items, "group_id", drafts, "instruction_id", **about)
    assert found.to_dict() == {7: "g1", 8: "g0", 9: "g1"}
    assert column_of(items[:0], "group_id", drafts, "instruction_id", **about).empty
    with pytest.raises(ValueError, match="1 of 3 votes belong to none of the given drafts, .*'x'"):
        column_of(items.replace("F0-r1", "x"), "group_id", drafts, "instruction_id", **about)


def test_ratings_of_another_run_teach_the_selector_nothing_unsaid(caplog):
    ratings, candidates = rated(20)
    elsewhere = ratings.assign(candidate_id="other-" + ratings["candidate_id"])
    for use in (judge_ratings, lambda *rows: judge_pairs(*rows, n=5)):
        with pytest.raises(ValueError, match="none of the 20 ratings belongs to the given candid"):
            use(elsewhere, candidates)
    both = pd.concat([ratings, elsewhere[:3]])
    assert len(judge_ratings(both, candidates)) == 20
    assert "3 of 23 ratings belong to none of the given candidates" in caplog.text


def test_votes_for_other_drafts_make_no_demonstrations_unsaid(caplog):
    drafts, figures = draft_rows(3), figure_rows(3).assign(modalities=[["mri"]] * 3)
    drafts = drafts.assign(conversation_id=drafts["figure_id"], round=1)
    votes = preference_rows((0, "ann", "a"), (7, "ann", "a"))
    assert len(choose_demonstrations(votes, drafts, figures)) == 1
    assert "2 of 4 votes belong to none of the given drafts" in caplog.text
    with pytest.raises(ValueError, match="none of the 2 votes belongs to the given drafts"):
        choose_demonstrations(preference_rows((7, "ann", "a")), drafts, figures)


def _ratings(*names):
    return pd.DataFrame({"candidate_id": names, "repeat": 0, "overall": 5.0})


def test_ratings_that_are_of_no_probe_or_of_no_rated_answer_are_refused():
    probes = pd.DataFrame({"candidate_id": ["p0"], "probe_of": ["c0"], "kind": ["side"]})
    groups = {"c0": "g0", "c1": "g1"}
    assert len(judging.probe_drop_rate(probes, _ratings("p0"), _ratings("c0"), groups)) == 2
    with pytest.raises(ValueError, match="1 of 2 ratings belong to none of the given probes"):
        judging.probe_drop_rate(probes, _ratings("p0", "p1"), _ratings("c0"), groups)
    with pytest.raises(
        ValueError, match="1 of 1 probe ratings belong to none of the given unchanged"
    ):
        judging.probe_drop_rate(probes, _ratings("p0"), _ratings("c1"), groups)
    with pytest.raises(ValueError, match="1 of 2 blank ratings belong to none"):
        judging.blank_drop_rate(_ratings("c0", "c9"), _ratings("c0", "c1"), groups)


def test_drafts_of_unknown_figures_are_not_compared(tmp_path):
    drafts = draft_rows(2)
    with pytest.raises(ValueError, match="2 of 4 drafts belong to none of the given figures"):
        judging.compare_drafts(drafts, figure_rows(1), ChatClient())


def test_a_judgement_of_other_responses_counts_for_no_arm():
    """The arms were written again after it: it is of a pair, but not of these two responses."""
    key = pd.DataFrame(
        {
            "candidate_id": ["i-a", "i-b"],
            "instruction_id": "i",
            "group_id": "g0",
            "side": ["a", "b"],
        }
    )
    judged = {"item_id": "i", "left_id": "i-a", "left_accepted": True, "right_accepted": False}
    right = pd.DataFrame([{**judged, "right_id": "i-b"}])
    assert compare_arms(right, key)["arms.a_wins"] == 1
    with pytest.raises(ValueError, match="1 of 1 labels belong to none of the given pairs"):
        compare_arms(right.assign(left_id="i-old"), key)


QUESTIONS = pd.DataFrame(
    {
        "question_id": ["q0", "q1", "q2"],
        "group_id": ["g0", "g1", "g2"],
        "kind": ["open", "closed", "chat"],
        "question": ["Which organ?", "Is it left?", "Describe it."],
        "reference": ["lung", "yes", "A lung."],
    }
)


def _answers(*ids):
    same = {"model": "selected", "control": "none", "draw": 0, "answer": "yes"}
    return pd.DataFrame([{"question_id": name, **same} for name in ids])


@pytest.mark.parametrize("measure", ["open_recall", "closed_accuracy", "accuracy_metrics"])
def test_answers_of_which_some_are_to_other_questions_are_refused(measure):
    use = getattr(evaluation, measure)
    use(QUESTIONS, _answers("q0", "q1", "q2"))
    with pytest.raises(ValueError, match="1 of 3 answers belong to none of the given questions"):
        use(QUESTIONS, _answers("q0", "q1", "slake_7"))


def test_verdicts_and_chat_scores_of_other_questions_are_refused():
    compared = {"model_a": "selected", "model_b": "random", "draw": 0, "judge": "j", "winner": "a"}
    verdicts = [
        {"question_id": q, "order": o, **compared} for q in ("q0", "q1") for o in ("ab", "ba")
    ]
    frame = pd.DataFrame(verdicts)
    assert evaluation.win_rate_metrics(QUESTIONS, frame)["evaluation.win_rate_wins"] == 1
    strays = pd.concat([frame, frame[:2].assign(question_id="other")])
    for use in (evaluation.win_values, evaluation.win_rate_metrics):
        with pytest.raises(
            ValueError, match="2 of 6 verdicts belong to none of the given question"
        ):
            use(QUESTIONS, strays)
    scores = {"model": "selected", "draw": 0, "reference_score": None, "model_score": 3.0}
    frame = pd.DataFrame([{"question_id": name, **scores} for name in ("q2", "other")])
    with pytest.raises(ValueError, match="1 of 2 chat scores belong to none"):
        evaluation.relative_scores(QUESTIONS, frame)
