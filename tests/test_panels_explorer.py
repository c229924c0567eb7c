"""The explorer's state and methods, as its controls call them; no browser."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from explorer_rows import IDS, ROWS, TABLES, many_rows
from panel_rows import CANDIDATES, DRAFTS, FIGURES, HOSTILE, picture_of

from vital_lib.panels import CandidateExplorer
from vital_lib.panels.candidate_explorer.listing import PAGE

LARGEST_MESSAGE = 2_000_000  # bytes


@pytest.fixture
def explorer() -> CandidateExplorer:
    return CandidateExplorer(ROWS, FIGURES, picture_of, **TABLES)


@pytest.fixture(scope="module")
def large() -> CandidateExplorer:
    rows, figures = many_rows(2_000)
    return CandidateExplorer(rows, figures, picture_of)


def _facet(panel: CandidateExplorer, name: str) -> dict[str, int]:
    [facet] = [own for own in panel.widget.state["facets"] if own["name"] == name]
    return {value: n for value, _, n, _ in facet["values"]}


def _listed(panel: CandidateExplorer) -> list[str]:
    return panel.rows()["candidate_id"].tolist()


# --- what is listed


def test_filters_of_several_facets_hold_together_and_a_filter_is_lifted_by_none(explorer):
    explorer.filter(stage="draft", accepted=["all", "some"])
    assert _listed(explorer) == IDS[:2]
    assert explorer.widget.state["of"] == 2 and explorer.widget.state["all"] == len(IDS)
    explorer.filter(accepted=None)
    assert _listed(explorer) == IDS[:8]
    explorer.toggle_filter("stage", "final")
    explorer.toggle_filter("stage", "draft")
    assert _listed(explorer) == IDS[8:]
    explorer.clear_filters()
    assert _listed(explorer) == IDS


def test_the_page_gets_the_counts_of_every_filter(explorer):
    explorer.filter(arm="clinician")
    assert _facet(explorer, "arm") == {"none": 11, "random": 1, "clinician": 2}
    assert _facet(explorer, "stage") == {"draft": 0, "final": 2}
    assert _facet(explorer, "outcome") == {"kept": 2, "left out": 0, "none": 0}


def test_an_unknown_facet_value_or_column_is_refused_with_those_that_exist(explorer):
    with pytest.raises(ValueError, match="facet 'colour': give one of marked, stage, arm"):
        explorer.filter(colour="red")
    with pytest.raises(ValueError, match="arm 'x': give one of none, random, clinician"):
        explorer.filter(arm="x")
    with pytest.raises(ValueError, match="column 'x': give one of candidate_id"):
        explorer.sort("x")
    assert _listed(explorer) == IDS


def test_sorting_twice_by_a_column_turns_the_order_and_its_first_row_is_shown(explorer):
    explorer.jump(IDS[3])
    explorer.sort("rating")
    assert _listed(explorer)[:3] == [IDS[1], IDS[0], IDS[3]]
    assert explorer.candidate_id == IDS[1]
    explorer.sort("rating")
    assert _listed(explorer)[:3] == [IDS[3], IDS[0], IDS[1]]
    assert explorer.candidate_id == IDS[3] and explorer.widget.state["n"] == 1
    explorer.sort(None)
    assert _listed(explorer) == IDS


def test_the_first_listed_candidate_is_shown_if_the_shown_one_is_filtered_away(explorer):
    explorer.jump(IDS[3])
    explorer.search("f3")
    assert explorer.candidate_id == IDS[13]
    explorer.search("nowhere")
    assert explorer.candidate_id is None and explorer.widget.state["shown"] is None
    columns = list(explorer.rows().columns)
    assert explorer.rows().empty and columns[: len(ROWS.columns)] == list(ROWS.columns)


def test_the_value_of_a_column_that_the_table_does_not_show_is_sent_while_it_sorts(explorer):
    assert explorer.widget.state["rows"][0]["sorted"] is None
    explorer.sort("candidate_id", descending=True)
    assert explorer.widget.state["rows"][0]["sorted"] == max(IDS)


# --- what is sent


def test_only_a_page_of_rows_is_sent_and_it_follows_the_shown_row_and_the_scroll(large):
    state = large.widget.state
    assert len(state["rows"]) == PAGE and state["of"] == 2_000
    large.jump(1_000)
    state = large.widget.state
    assert state["first"] <= 999 < state["first"] + PAGE
    large.scroll(1_500)
    rows = large.rows()
    state = large.widget.state
    assert state["n"] == 1_000 and state["first"] == 1_500
    sent = [row["response"] for row in state["rows"]]
    assert sent == rows["response"][1_500 : 1_500 + PAGE].tolist()
    large.scroll(10**9)
    assert large.widget.state["first"] == 2_000 - PAGE


def test_a_text_of_any_length_keeps_the_message_small():
    rows, figures = many_rows(PAGE)
    rows["response"] = "long " * 400_000
    figures["caption"] = "caption " * 400_000
    panel = CandidateExplorer(rows, figures, picture_of)
    assert len(json.dumps(panel.widget.state)) < LARGEST_MESSAGE
    assert panel.search("long long") is None and len(panel.rows()) == PAGE


def test_no_tables_but_candidates_and_figures_are_needed():
    least = CANDIDATES[["candidate_id", "conversation_id", "figure_id", "round", "instruction"]]
    panel = CandidateExplorer(least.assign(response="yes"), FIGURES, picture_of)
    shown = panel.widget.state["shown"]
    assert shown["ratings"] is shown["ticks"] is shown["score"] is shown["cost"] is None
    assert CandidateExplorer(CANDIDATES[:0], FIGURES, picture_of).candidate_id is None


# --- what is marked


def test_selected_rows_come_back_as_a_frame_in_the_order_of_the_table(explorer):
    explorer.sort("score", descending=True)
    for number in (1, 3):
        explorer.toggle_selected(number)
    assert explorer.selected()["candidate_id"].tolist() == [IDS[7], IDS[9]]
    assert explorer.selected()["score"].notna().all()
    explorer.toggle_selected(1)
    assert explorer.selected()["candidate_id"].tolist() == [IDS[7]]
    explorer.select_to(1)  # from row 1, toggled last
    explorer.toggle_selected(2)
    explorer.select_to(4)
    assert explorer.selected()["candidate_id"].tolist() == IDS[6:10]


def test_a_selection_outlives_the_filters_and_all_listed_rows_can_be_added(explorer):
    explorer.select([IDS[0]])
    explorer.filter(arm="clinician")
    explorer.select_listed()
    assert explorer.selected()["candidate_id"].tolist() == [IDS[0], IDS[8], IDS[9]]
    explorer.clear_filters()
    explorer.filter(marked="selected")
    assert _listed(explorer) == [IDS[0], IDS[8], IDS[9]]
    explorer.unselect()
    assert explorer.selected().empty and _facet(explorer, "marked")["selected"] == 0


def test_selections_are_kept_by_name_and_opened_again(explorer):
    explorer.select(IDS[2:4])
    explorer.save_selection(" odd ones ")
    explorer.unselect()
    assert explorer.selections == {"odd ones": IDS[2:4]}
    assert explorer.selected("odd ones")["candidate_id"].tolist() == IDS[2:4]
    assert explorer.widget.state["selections"] == [["odd ones", 2]]
    explorer.open_selection("odd ones")
    assert explorer.selected()["candidate_id"].tolist() == IDS[2:4]
    with pytest.raises(ValueError, match="selection 'x': give one of odd ones"):
        explorer.selected("x")
    with pytest.raises(ValueError, match="needs a name"):
        explorer.save_selection("  ")


def test_rows_are_highlighted_from_python_and_found_by_their_facet(explorer):
    explorer.highlight(np.array([IDS[5], IDS[1]]))
    marks = [row["highlighted"] for row in explorer.widget.state["rows"]]
    assert [IDS[n] for n, on in enumerate(marks) if on] == [IDS[1], IDS[5]]
    explorer.filter(marked="highlighted")
    assert _listed(explorer) == [IDS[1], IDS[5]]
    with pytest.raises(ValueError, match=r"1 of 2 ids are no candidate's: 'x'"):
        explorer.highlight([IDS[0], "x"])
    assert explorer.selected().empty


def test_a_row_that_is_not_listed_is_neither_toggled_nor_shown(explorer):
    for number in (0, -1, 15):
        explorer.toggle_selected(number)
        explorer.select_to(number)
    assert explorer.selected().empty
    with pytest.raises(ValueError, match="no candidate 'x' among the 14 listed"):
        explorer.jump("x")


# --- the detail


def test_the_detail_has_the_judges_repeats_the_ticks_and_the_place_of_the_score(explorer):
    shown = explorer.widget.state["shown"]
    assert shown["id"] == IDS[0]
    assert shown["ratings"]["criteria"] == ["image use", "scope"]
    assert [one["overall"] for one in shown["ratings"]["lines"]] == ["9.0", "8.0"]
    assert shown["ratings"]["lines"][0]["criteria"] == ["3.0", ""]
    assert [one["reason"] for one in shown["ratings"]["lines"]] == ["right side", "second look"]
    assert shown["ticks"] == [["ann", True], ["bob", True]]
    score = shown["score"]
    assert score["score"] == "−2.000" and score["lower"] == 0 and sum(score["bins"]) == 10
    explorer.jump(IDS[9])
    score = explorer.widget.state["shown"]["score"]
    assert (score["lower"], score["of"], score["place"]) == (9, 10, 1.0)
    explorer.jump(IDS[2])
    shown = explorer.widget.state["shown"]
    assert shown["ticks"] == [] and shown["ratings"]["lines"][0]["overall"] == ""


def test_the_conversation_comes_in_order_with_the_shown_response_among_its_drafts():
    mixed = DRAFTS.sample(frac=1, random_state=3)
    panel = CandidateExplorer(mixed, FIGURES, picture_of)
    panel.jump("f2-draft-none-r2-b")
    rounds = panel.widget.state["shown"]["rounds"]
    assert [one["round"] for one in rounds] == [1, 2]
    assert [one["instruction"][:10] for one in rounds] == ["Question 1", "Question 2"]
    shown = [r["id"] for one in rounds for r in one["responses"] if r["shown"]]
    assert shown == ["f2-draft-none-r2-b"]
    assert sum(len(one["responses"]) for one in rounds) == 4


def test_the_words_that_a_flag_is_about_are_marked_and_the_text_stays_whole():
    caption = "A mass in the LEFT lung, 3 cm wide. The left kidney is spared."
    figures = FIGURES.assign(caption=[caption, HOSTILE, ""], mentions=[["Left again."], [], []])
    rows = CANDIDATES.assign(response="The mass lies in the right lung.")
    rows["flags"] = [["side_against_text"]] * len(rows)
    shown = CandidateExplorer(rows, figures, picture_of).widget.state["shown"]
    assert "".join(words for words, _ in shown["caption"]) == caption
    assert [words.lower() for words, on in shown["caption"] if on] == ["left", "left"]
    assert [words for words, on in shown["mentions"][0] if on] == ["Left"]
    [response] = [r for one in shown["rounds"] for r in one["responses"] if r["shown"]]
    assert [words for words, on in response["text"] if on] == ["right"]


def test_the_prompt_is_the_ledgers_and_is_sent_only_when_asked_for():
    trace = {
        "messages": [
            {"role": "system", "content": ["policy"]},
            {"role": "user", "content": [{"image": "h1", "size": [30, 20]}, HOSTILE]},
        ],
        **{"usd": 0.0123, "tokens_in": 1_000, "tokens_out": 20},
    }
    held = {"r1": trace}
    ledger = SimpleNamespace(trace=held.__getitem__)
    rows = CANDIDATES.assign(reply_id=["r1"] * 5 + ["gone"])
    figures = FIGURES.assign(sha256=["h1", "h2", "h3"])
    panel = CandidateExplorer(rows, figures, picture_of, ledger=ledger)
    shown = panel.widget.state["shown"]
    assert shown["prompt"] is None and shown["has_prompt"]
    assert shown["cost"].startswith("1,000 tokens in, 20 tokens out, 0.0123 USD")
    assert "5 candidates" in shown["cost"]
    panel.show_prompt(True)
    image, text = panel.widget.state["shown"]["prompt"][1]["parts"]
    assert image == {"image": "f1", "size": "30 × 20 pixels"} and text == {"text": HOSTILE}
    panel.jump(6)
    shown = panel.widget.state["shown"]
    assert shown["prompt"] is None and "does not hold" in shown["cost"]


def test_the_demonstrations_shown_are_listed_in_order_with_those_that_are_not_given():
    pool = pd.DataFrame(
        {
            "demonstration_id": ["d2"],
            "figure_id": ["f3"],
            "turns": [[{"instruction": "Where?", "response": HOSTILE}]],
            "annotators": [["ann", "bob"]],
        }
    )
    panel = CandidateExplorer(CANDIDATES, FIGURES, picture_of, demonstrations=pool)
    first, second = panel.widget.state["shown"]["demonstrations"]
    assert (first["id"], first["turns"]) == ("d1", [])
    assert second["turns"] == [["Where?", HOSTILE]] and second["by"] == "ann, bob"


# --- side by side


def _asked(*rounds: tuple[str, str, str | None]) -> pd.DataFrame:
    """The candidates of figure f1: (arm, question, type), its rounds numbered per arm."""
    rows, count = [], {}
    for arm, question, kind in rounds:
        count[arm] = count.get(arm, 0) + 1
        row = {**CANDIDATES.iloc[0].to_dict(), "arm": arm, "instruction": question}
        row |= {"conversation_id": f"f1-{arm}", "question_type": kind, "round": count[arm]}
        rows.append(row | {"candidate_id": f"f1-{arm}-r{count[arm]}", "response": question})
    return pd.DataFrame(rows)


def _lines(panel: CandidateExplorer) -> list[list[str | None]]:
    panel.align(True)
    shown = panel.widget.state["shown"]
    return [[cell and cell["instruction"] for cell in line["cells"]] for line in shown["lines"]]


def test_two_arms_are_aligned_by_the_same_question_then_by_its_type():
    rows = _asked(
        ("clinician", "How many?", "count"),
        ("clinician", "WHERE is it?", "level"),
        ("clinician", "Which side?", "side"),
        ("none", "Where is  it?", "side"),
        ("none", "What is it?", "finding"),
        ("none", "Left or right?", "side"),
    )
    panel = CandidateExplorer(rows, FIGURES, picture_of)
    assert _lines(panel) == [
        ["Where is  it?", "WHERE is it?"],
        ["What is it?", None],
        ["Left or right?", "Which side?"],
        [None, "How many?"],
    ]
    shown = panel.widget.state["shown"]
    assert [line["same"] for line in shown["lines"]] == [True, False, False, False]
    assert [arm for arm, _ in shown["columns"]] == ["no demonstrations", "accepted demonstrations"]


def test_questions_without_a_type_are_not_taken_for_alike():
    rows = _asked(("none", "What?", None), ("random", "Where?", None))
    assert _lines(CandidateExplorer(rows, FIGURES, picture_of)) == [
        ["What?", None],
        [None, "Where?"],
    ]


def test_both_drafts_of_an_instruction_stand_in_one_cell_with_their_flags():
    panel = CandidateExplorer(DRAFTS, FIGURES, picture_of)
    panel.align(True)
    shown = panel.widget.state["shown"]
    [cell] = shown["lines"][0]["cells"]
    assert len(cell["responses"]) == 2 and cell["flags"] == ["wrong side"]
    assert "0 demonstrations shown" in shown["columns"][0][1]
    panel.align(False)
    assert "lines" not in panel.widget.state["shown"]


# --- the clinic


def test_it_says_what_the_clinic_has_simulated():
    ticks = pd.DataFrame({"candidate_id": IDS[:1], "annotator": "strict (simulated)"})
    panel = CandidateExplorer(ROWS, FIGURES, picture_of, ticks=ticks.assign(accepted=1.0))
    assert panel.widget.state["note"] == (
        "simulated by the clinic: texts and ticks of simulated clinicians"
    )
    own = CandidateExplorer(ROWS.assign(generator="gpt"), FIGURES, picture_of)
    assert own.widget.state["note"] == ""
