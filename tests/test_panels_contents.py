"""What each panel shows and its methods do, without a browser."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from loopback import cleared, fault, in_process, said, save_image
from panel_rows import (
    DRAFTS,
    FIGURES,
    HOSTILE,
    PEOPLE,
    PREFERENCES,
    RATINGS,
    REWARDED,
    picture_of,
    rating_prompt,
)
from PIL import Image

from vital_lib import judging
from vital_lib.annotators import Votes
from vital_lib.client import ChatClient
from vital_lib.panels import (
    FigureBrowser,
    JudgePanel,
    ModelChat,
    PromptViewer,
    RewardPanel,
)
from vital_lib.prompts import verdict_prompt
from vital_lib.statistics import Interval

pytest_plugins = "panel_rows"

# --- the figure browser


def test_next_and_previous_stop_at_the_ends():
    browser = FigureBrowser(FIGURES, picture_of)
    browser.previous()
    assert browser.figure_id == "f1"
    for _ in range(5):
        browser.next()
    assert browser.figure_id == "f3"
    assert (browser.widget.state["n"], browser.widget.state["of"]) == (3, 3)


def test_a_filter_keeps_the_figures_flagged_so():
    browser = FigureBrowser(FIGURES, picture_of)
    browser.filter("ct_scan")
    assert (browser.figure_id, browser.widget.state["of"]) == ("f3", 1)
    browser.filter("not_stated")
    assert browser.figure_id == "f2"
    browser.filter("histology")
    assert browser.figure_id is None and browser.widget.state["n"] == 0
    browser.filter(None)
    assert browser.widget.state["of"] == 3


def test_a_figure_is_found_by_its_id_or_its_absence_is_said():
    browser = FigureBrowser(FIGURES, picture_of)
    browser.jump("f2")
    assert browser.widget.state["n"] == 2
    with pytest.raises(ValueError, match="'f9'"):
        browser.jump("f9")


def test_facts_that_are_missing_are_left_out():
    browser = FigureBrowser(FIGURES, picture_of)
    assert ["licence", "CC0"] in browser.widget.state["figure"]["facts"]
    for number in (2, 3):
        browser.jump(number)
        assert "licence" not in dict(browser.widget.state["figure"]["facts"])


# --- the prompt viewer


def test_a_prompt_is_shown_message_by_message(wide_image):
    state = PromptViewer(rating_prompt(wide_image)).widget.state
    assert [message["role"] for message in state["messages"]] == ["system", "user"]
    parts = state["messages"][1]["parts"]
    assert [part.get("text", part.get("size")) for part in parts] == [
        [300, 200],
        HOSTILE,
        [300, 200],
    ]
    assert json.loads(state["schema"])["required"] == ["answer"]
    assert (state["tokens"], state["settings"]) == (None, [])


@pytest.mark.parametrize("refusing", [False, True])
def test_a_prompt_beside_its_model_is_shown_word_for_word_as_it_is_sent(tmp_path, refusing):
    """Also after the endpoint has refused a JSON schema and a seed: then words say the form."""
    bodies = []

    def answer(body, place):
        bodies.append(body)
        refused = [name for name in ("response_format", "seed") if refusing and name in body]
        return fault(400, f"unknown field: {refused[0]}") if refused else said("{}")

    image = cleared(save_image(tmp_path / "large.png", seed=1, side=1600))
    prompt = replace(verdict_prompt(HOSTILE, image, "r", "x", "y"), seed=7)
    settings = {"prices": _prices(tmp_path), "parameters": {"temperature": 0.5}}
    client = ChatClient(
        "judge", base_url="http://a.test/v1", transport=in_process(answer), **settings
    )
    client.ask([prompt])
    viewer = PromptViewer(prompt, client)
    state, sent = viewer.widget.state, bodies[-1]
    assert ("seed" in sent, bool(state["schema"])) == (not refusing, not refusing)
    assert state["settings"] == [f"{name} {sent[name]}" for name in SETTINGS if name in sent]
    assert [_drawn(viewer, message) for message in state["messages"]] == [
        (message["role"], _parts_sent(message["content"])) for message in sent["messages"]
    ]
    facts = state["messages"][1]["parts"][0]["sent"]
    assert (facts["width"], facts["height"], facts["tokens"]) == (768, 768, 765)
    assert state["tokens"] == viewer.tokens == client.estimate([prompt])["tokens_in"]


SETTINGS = ("model", "temperature", "seed")


def _prices(folder: Path) -> Path:
    header = "model,usd_per_million_in,usd_per_million_out,image_tokens,as_of"
    (folder / "prices.csv").write_text(f"{header}\njudge,1,2,tiles 85 170,2025-01-01\n")
    return folder / "prices.csv"


def _drawn(viewer: PromptViewer, message: dict) -> tuple:
    """The role, and texts and JPEGs as the browser gets them."""
    parts = message["parts"]
    return message["role"], [
        part["text"] if "text" in part else viewer._prepared(part["image"], 320) for part in parts
    ]


def _parts_sent(content: str | list) -> list:
    if isinstance(content, str):
        return [content]
    head = "data:image/jpeg;base64,"
    return [
        part["text"]
        if part["type"] == "text"
        else base64.b64decode(part["image_url"]["url"].removeprefix(head))
        for part in content
    ]


# --- the panel of what annotators reward


def test_a_property_shows_its_effects_and_the_pairs_that_differ_in_it():
    panel = RewardPanel(REWARDED, DRAFTS, PREFERENCES, RATINGS, picture_of, votes=Votes(4, 4))
    state = panel.widget.state
    assert (panel.name, state["of"]) == ("flag_wrong_side", 4)
    assert [row["people"] for row in state["list"]] == [["−"], [""]]
    assert state["effects"] == [
        ["simulated clinicians", "−20.0 points with it [−30.0, −10.0]", ""],
        ["judge j", "+2.0 points with it [−3.0, 7.0]", "not beyond chance"],
    ]
    more, less = state["shown"]["sides"]
    assert (more["accepted"], more["rating"], less["rating"]) == ("0 %", "2.0 of 10", "8.5 of 10")
    panel.choose("words")
    assert panel.widget.state["of"] == 0 and panel.widget.state["shown"] is None
    assert panel.widget.state["effects"] == [
        ["simulated clinicians", "too few: 2 articles with a difference", ""]
    ]


def test_without_votes_the_panel_of_rewards_is_empty():
    panel = RewardPanel(REWARDED[:0], DRAFTS, PREFERENCES[:0], None, picture_of)
    assert (panel.name, panel.widget.state["list"], panel.widget.state["of"]) == (None, [], 0)


# --- the judge panel


def test_the_largest_disagreement_comes_first_and_unread_ratings_are_left_out():
    panel = JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, picture_of)
    gaps = panel.disagreements.set_index("candidate_id").gap.round(6).to_dict()
    first, second, _, fourth = DRAFTS.candidate_id[:4]
    assert gaps == {first: 0.85, second: -0.8, fourth: -0.4}
    assert panel.candidate_id == first


def test_only_what_one_side_rates_higher_can_be_listed():
    panel = JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, picture_of)
    panel.higher("people")
    assert panel.candidate_id == DRAFTS.candidate_id[1]
    assert panel.widget.state["of"] == 2
    panel.higher("judge")
    assert panel.widget.state["of"] == 1


def test_repeats_are_averaged_and_the_first_reasons_shown():
    shown = JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, picture_of).widget.state["shown"]
    assert (shown["rating"], shown["rationale"]) == (8.5, HOSTILE)
    assert shown["criteria"] == [["image use", 3.0]]
    assert shown["people"] == "0 of 1"


def test_shares_come_with_their_number_of_people():
    shares = PEOPLE.assign(accepted=[1 / 3, 1.0, 1.0, 0.5], annotators=[3, 3, 3, 2])
    panel = JudgePanel(RATINGS, DRAFTS, shares, FIGURES, picture_of)
    rows = panel.disagreements.set_index("candidate_id")
    assert rows.annotators.to_dict() == dict(
        zip(DRAFTS.candidate_id[[0, 1, 3]], [3, 3, 2], strict=True)
    )
    panel.higher("judge")
    assert panel.widget.state["shown"]["people"] == "1 of 3"


def test_without_anything_judged_by_both_the_panel_says_so():
    panel = JudgePanel(RATINGS[:0], DRAFTS, PEOPLE, FIGURES, picture_of)
    assert panel.candidate_id is None and panel.widget.state["shown"] is None


def test_the_policy_and_the_measures_stand_beside_the_disagreements():
    measures = judging.measured(
        agreement=Interval(0.8, 0.7, 0.9, 1200), null_share=Interval(0.0, float("nan"), 1.0, 3)
    )
    panel = JudgePanel(
        RATINGS, DRAFTS, PEOPLE, FIGURES, picture_of, policy=HOSTILE, measures=measures
    )
    state = panel.widget.state
    assert state["policy"] == HOSTILE and state["of"] == 3
    agreement, nulls = state["measures"]
    assert "annotators" in agreement[0] and agreement[1:] == ["0.80", "0.70 to 0.90", "1,200"]
    assert nulls[1:] == ["0.00", "", "3"]
    panel.higher("people")
    assert panel.widget.state["measures"] == state["measures"]


def test_the_panel_says_whose_votes_the_judge_is_held_against():
    for votes, named in ((Votes(3, 3), "simulated clinicians"), (Votes(3), "clinicians")):
        panel = JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, picture_of, votes=votes)
        assert panel.widget.state["who"] == named
    panel = JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, picture_of, votes=Votes(3, 3, 1))
    assert "1 of 3 judged without truth" in panel.widget.state["votes"]
    assert (
        "clinicians" not in JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, picture_of)._judge["who"]
    )


def test_the_policy_stands_with_the_versions_that_the_ratings_were_made_by():
    one, several = (RATINGS.assign(prompt_version=version) for version in ("v1", list("babab")))
    for ratings, versions in ((RATINGS, []), (one, ["v1"]), (several, ["a", "b"])):
        panel = JudgePanel(ratings, DRAFTS, PEOPLE, FIGURES, picture_of, policy="Rate.")
        assert panel.widget.state["versions"] == versions


def test_a_measure_below_zero_is_shown_with_a_minus():
    measures = judging.measured(agreement=Interval(-0.001, -0.25, 0.9, 3))
    panel = JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, picture_of, measures=measures)
    assert panel.widget.state["measures"][0][1:3] == ["0.00", "−0.25 to 0.90"]


# --- model chat


def test_every_model_is_asked_about_the_chosen_image(wide_image):
    asked = []

    def model(pixels, question):
        asked.append((pixels.size, question))
        return "an answer"

    small = Image.new("RGB", (8, 8))
    chat = ModelChat({"base": model, "tuned": model}, {"one": wide_image, "two": small})
    chat.choose("two")
    assert chat.ask(" What? ") == {"base": "an answer", "tuned": "an answer"}
    assert asked == [((8, 8), "What?")] * 2
    chat.choose("one")
    chat.ask("And?")
    assert asked[-1][0] == (300, 200)
    assert [entry["question"] for entry in chat.widget.state["asked"]] == ["And?", "What?"]


def test_a_sample_question_is_offered_and_its_reference_shown(wide_image):
    samples = {
        "one": [("Which side?", "left"), (HOSTILE, "x"), *((f"Q{n}?", "y") for n in range(9))]
    }
    chat = ModelChat(
        {"base": lambda i, q: "right"}, {"one": wide_image, "two": wide_image}, samples
    )
    assert chat.widget.state["samples"] == ["Which side?", HOSTILE, "Q0?", "Q1?", "Q2?", "Q3?"]
    chat.ask("Which side?")
    chat.ask("Which organ?")
    assert [entry["reference"] for entry in chat.widget.state["asked"]] == ["", "left"]
    chat.choose("two")
    assert chat.widget.state["samples"] == []


def test_a_model_that_raises_is_shown_as_having_no_answer(wide_image):
    def broken(pixels, question):
        raise RuntimeError("out of memory")

    chat = ModelChat({"good": lambda i, q: "yes", "broken": broken}, {"one": wide_image})
    with pytest.raises(RuntimeError, match="out of memory"):
        chat.ask("What?")
    entry = chat.widget.state["asked"][0]
    assert entry["failed"] and entry["answers"]["good"]["text"] == "yes"


def test_an_empty_question_and_an_unknown_figure_are_refused(wide_image):
    chat = ModelChat({"base": lambda i, q: "yes"}, {"one": wide_image})
    with pytest.raises(ValueError, match="empty"):
        chat.ask("  ")
    with pytest.raises(ValueError, match="'three'"):
        chat.choose("three")


def test_the_chat_says_that_it_is_not_for_clinical_use(wide_image):
    chat = ModelChat({"base": lambda i, q: "yes"}, {"one": wide_image})
    assert "not for clinical use" in str(chat.widget._esm)
