"""Panels by their methods, without a browser: what is shown, what is called, what is never sent."""

from __future__ import annotations

import base64
import inspect
import io
import json
import re
import shutil
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from loopback import fault, in_process, said, save_image
from PIL import Image
from pydantic import BaseModel

from vital_lib import judging, panels
from vital_lib.annotators import Votes
from vital_lib.client import ChatClient
from vital_lib.client.job import Job
from vital_lib.figures import open_image
from vital_lib.labels import FixedQueue, LabelLog
from vital_lib.panels import (
    CandidateViewer,
    ClusterMap,
    CutPanel,
    FigureBrowser,
    JudgePanel,
    ModelChat,
    PreferenceCard,
    PromptViewer,
    RunMonitor,
    _panel,
)
from vital_lib.prompts import verdict_prompt
from vital_lib.selection import conversations, cut, top_candidates
from vital_lib.statistics import Interval

FOLDER = Path(panels.__file__).parent
HOSTILE = '<img src=x onerror="alert(1)"> $x^2$ & "quotes"'
FIGURES = pd.DataFrame(
    {
        "figure_id": ["f1", "f2", "f3"],
        "caption": ["A radiograph.", HOSTILE, "A slice."],
        "mentions": [["Seen in Fig 1.", "Again."], [], ["Fig 3."]],
        "modalities": [["chest_xray"], [], ["mri", "ct_scan"]],
        "group_id": ["g1", "g2", "g3"],
        "split": ["train", "test", "train"],
        "licence": ["CC0", None, float("nan")],
    }
)


def _candidate(figure: str, stage: str, arm: str, number: int, letter: str = "a") -> dict:
    conversation = f"{figure}-{stage}-{arm}"
    return {
        "candidate_id": f"{conversation}-r{number}-{letter}",
        "instruction_id": f"{conversation}-r{number}",
        "conversation_id": conversation,
        "figure_id": figure,
        "stage": stage,
        "arm": arm,
        "round": number,
        "instruction": f"Question {number} about {figure}?",
        "response": f"Answer {letter} of {arm}: {HOSTILE}",
        "question_type": "location",
        "demonstration_ids": [] if arm == "none" else ["d1", "d2"],
        "generator": "clinic",
        "prompt_version": "0123456789",
        "flags": ["wrong_side"] if letter == "b" else [],
    }


DRAFTS = pd.DataFrame(
    [_candidate(f, "draft", "none", r, x) for f in ("f1", "f2") for r in (1, 2) for x in "ab"]
)
CANDIDATES = pd.DataFrame(
    [_candidate("f1", "final", "clinician", r) for r in (1, 2)]
    + [_candidate("f1", "final", "none", r) for r in (1, 2, 3)]
    + [_candidate("f3", "final", "random", 1)]
)
SCORES = CANDIDATES[["candidate_id"]].assign(score=[0.5, 2.0, -1.0, 0.1, 0.1, 0.3])
CRITERIA = [{"criterion": "image_use", "rating": 3.0}]
RATINGS = pd.DataFrame(
    {
        "candidate_id": [DRAFTS.candidate_id[i] for i in (0, 0, 1, 2, 3)],
        "judge": "clinic",
        "repeat": [0, 1, 0, 0, 0],
        "overall": [9.0, 8.0, 2.0, None, 6.0],
        "criteria": [CRITERIA] * 5,
        "rationale": [HOSTILE, "second", "poor", None, "fair"],
    }
)
PEOPLE = pd.DataFrame(
    {"candidate_id": list(DRAFTS.candidate_id[:4]), "accepted": [0.0, 1.0, 1.0, 1.0]}
).assign(annotators=1)


POOL = pd.DataFrame(
    {
        "demonstration_id": ["d1"],
        "figure_id": ["f1"],
        "caption": ["A radiograph."],
        "mentions": [[]],
        "modalities": [["chest_xray"]],
        "turns": [[{"instruction": "What is it?", "response": HOSTILE}]],
        "annotators": [["ann"]],
        "origin": ["this run"],
    }
)


def _picture(figure_id: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (30, 20), "grey").save(file, format="JPEG")
    return file.getvalue()


@pytest.fixture
def card(tmp_path) -> PreferenceCard:
    ids, items = list(DRAFTS.candidate_id), list(DRAFTS.instruction_id[::2])
    rows = pd.DataFrame({"item_id": items, "left_id": ids[::2], "right_id": ids[1::2]})
    log = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}")
    return PreferenceCard(FixedQueue(rows, "ann"), DRAFTS, FIGURES, _picture, log)


class Reply(BaseModel):
    answer: str


OFFERED = [name for name, value in vars(panels).items() if isinstance(value, type)]


def _prompt(image) -> SimpleNamespace:
    messages = (
        {"role": "system", "content": ["a" * 40]},
        {"role": "user", "content": [image, HOSTILE, image]},
    )
    return SimpleNamespace(name="rating", version="v1", messages=messages, schema=Reply)


@pytest.fixture
def image(tmp_path):
    Image.new("RGB", (300, 200), "grey").save(tmp_path / "one.png")
    return open_image(tmp_path / "one.png")


@pytest.fixture
def every_panel(card, image) -> list:
    return [
        card,
        FigureBrowser(FIGURES, _picture),
        PromptViewer(_prompt(image)),
        CandidateViewer(CANDIDATES, FIGURES, _picture),
        JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, _picture),
        CutPanel(SCORES, CANDIDATES, FIGURES, _picture),
        RunMonitor(Job(lambda control: None, 3)),
        ModelChat({"base": lambda image, question: HOSTILE}, {"f1": image}),
        ClusterMap(np.eye(len(FIGURES), 2), FIGURES, POOL, _picture).conversations,
    ]


def _press(panel, name: str, *args, item: object = "as shown") -> None:
    """What the browser sends for a button pressed."""
    if item == "as shown":
        item = panel.widget.state.get("item")
    panel._heard(panel.widget, {"call": name, "args": list(args), "item": item}, [])


# --- every panel


def test_every_panel_of_the_package_is_among_those_tested(every_panel):
    names = [type(panel).__name__ for panel in every_panel]
    # The map is a scatter of another library with a panel of ours beside it.
    names[names.index("_Conversations")] = "ClusterMap"
    assert sorted(names) == sorted(OFFERED)


def test_what_goes_to_the_browser_is_plain_json_and_no_image(every_panel):
    for panel in every_panel:
        text = json.dumps(panel.widget.state, allow_nan=False)
        assert len(text) < 10_000, type(panel).__name__


def test_text_is_sent_as_it_is_and_never_made_into_markup(every_panel):
    for panel in every_panel:
        source = str(panel.widget._esm)
        for way in (
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "srcdoc",
        ):
            assert way not in source, (type(panel).__name__, way)
    browser = FigureBrowser(FIGURES, _picture)
    browser.jump("f2")
    assert browser.widget.state["figure"]["caption"] == HOSTILE


def test_every_button_calls_a_public_method(every_panel):
    named = [(panel, name) for panel in every_panel for name in panel._actions]
    assert len({type(panel) for panel, _ in named}) > 5
    for panel, name in named:
        assert callable(getattr(panel, name)) and not name.startswith("_")


def test_the_browser_can_call_nothing_but_the_buttons_methods():
    browser = FigureBrowser(FIGURES, _picture)
    for name in ("_show", "__init__", "widget", "nothing"):
        _press(browser, name, "f2")
    assert browser.figure_id == "f1"


def test_an_image_is_sent_as_bytes_of_the_size_asked_for(image):
    panel, sent = FigureBrowser(FIGURES, lambda figure: image), []
    panel.widget.send = lambda content, buffers=(): sent.append((content, buffers))
    panel._heard(panel.widget, {"image": "f1", "side": 90}, [])
    _panel._painter.submit(lambda: None).result(20)  # images come from a thread of their own
    content, (data,) = sent[0]
    assert content == {"image": "f1", "side": 90}
    assert Image.open(io.BytesIO(data)).size == (90, 60)


def test_an_image_that_cannot_be_read_is_reported_in_its_place(tmp_path):
    panel, sent = FigureBrowser(FIGURES, lambda figure: open_image(tmp_path / figure)), []
    panel.widget.send = lambda content, buffers=(): sent.append((content, list(buffers)))
    panel._heard(panel.widget, {"image": "f1", "side": 90}, [])
    _panel._painter.submit(lambda: None).result(20)  # images come from a thread of their own
    assert "cannot be shown" in sent[0][0]["missing"]
    assert sent[0][1] == []


# --- the figure browser


def test_next_and_previous_stop_at_the_ends():
    browser = FigureBrowser(FIGURES, _picture)
    browser.previous()
    assert browser.figure_id == "f1"
    for _ in range(5):
        browser.next()
    assert browser.figure_id == "f3"
    assert (browser.widget.state["n"], browser.widget.state["of"]) == (3, 3)


def test_a_filter_keeps_the_figures_flagged_so():
    browser = FigureBrowser(FIGURES, _picture)
    browser.filter("ct_scan")
    assert (browser.figure_id, browser.widget.state["of"]) == ("f3", 1)
    browser.filter("not_stated")
    assert browser.figure_id == "f2"
    browser.filter("histology")
    assert browser.figure_id is None and browser.widget.state["n"] == 0
    browser.filter(None)
    assert browser.widget.state["of"] == 3


def test_a_figure_is_found_by_its_id_or_its_absence_is_said():
    browser = FigureBrowser(FIGURES, _picture)
    browser.jump("f2")
    assert browser.widget.state["n"] == 2
    with pytest.raises(ValueError, match="'f9'"):
        browser.jump("f9")


def test_facts_that_are_missing_are_left_out():
    browser = FigureBrowser(FIGURES, _picture)
    assert ["licence", "CC0"] in browser.widget.state["figure"]["facts"]
    for number in (2, 3):
        browser.jump(number)
        assert "licence" not in dict(browser.widget.state["figure"]["facts"])


# --- the prompt viewer


def test_a_prompt_is_shown_message_by_message(image):
    state = PromptViewer(_prompt(image)).widget.state
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

    image = open_image(save_image(tmp_path / "large.png", seed=1, side=1600))
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


# --- the candidate viewer


def test_arms_stand_side_by_side_and_their_rounds_are_aligned():
    state = CandidateViewer(CANDIDATES, FIGURES, _picture).widget.state
    assert [c["arm"] for c in state["columns"]] == [
        "no demonstrations",
        "accepted demonstrations",
    ]
    assert state["rounds"] == [1, 2, 3]
    assert [sorted(c["rounds"]) for c in state["columns"]] == [["1", "2", "3"], ["1", "2"]]
    assert "2 demonstrations shown" in state["columns"][1]["about"]


def test_both_drafts_of_an_instruction_stand_in_one_cell_with_their_flags():
    state = CandidateViewer(DRAFTS, FIGURES, _picture).widget.state
    cell = state["columns"][0]["rounds"]["1"]
    assert len(cell["responses"]) == 2
    assert cell["flags"] == ["wrong side"]


def test_the_candidate_viewer_goes_from_figure_to_figure():
    viewer = CandidateViewer(CANDIDATES, FIGURES, _picture)
    viewer.next()
    assert viewer.figure_id == "f3"
    viewer.jump("f1")
    assert viewer.figure_id == "f1"


def test_no_candidates_are_shown_as_none():
    assert CandidateViewer(CANDIDATES[:0], FIGURES, _picture).figure_id is None


# --- the judge panel


def test_the_largest_disagreement_comes_first_and_unread_ratings_are_left_out():
    panel = JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, _picture)
    gaps = panel.disagreements.set_index("candidate_id").gap.round(6).to_dict()
    first, second, _, fourth = DRAFTS.candidate_id[:4]
    assert gaps == {first: 0.85, second: -0.8, fourth: -0.4}
    assert panel.candidate_id == first


def test_only_what_one_side_rates_higher_can_be_listed():
    panel = JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, _picture)
    panel.higher("people")
    assert panel.candidate_id == DRAFTS.candidate_id[1]
    assert panel.widget.state["of"] == 2
    panel.higher("judge")
    assert panel.widget.state["of"] == 1


def test_repeats_are_averaged_and_the_first_reasons_shown():
    shown = JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, _picture).widget.state["shown"]
    assert (shown["rating"], shown["rationale"]) == (8.5, HOSTILE)
    assert shown["criteria"] == [["image use", 3.0]]
    assert shown["people"] == "0 of 1"


def test_shares_come_with_their_number_of_people():
    shares = PEOPLE.assign(accepted=[1 / 3, 1.0, 1.0, 0.5], annotators=[3, 3, 3, 2])
    panel = JudgePanel(RATINGS, DRAFTS, shares, FIGURES, _picture)
    rows = panel.disagreements.set_index("candidate_id")
    assert rows.annotators.to_dict() == dict(
        zip(DRAFTS.candidate_id[[0, 1, 3]], [3, 3, 2], strict=True)
    )
    panel.higher("judge")
    assert panel.widget.state["shown"]["people"] == "1 of 3"


def test_without_anything_judged_by_both_the_panel_says_so():
    panel = JudgePanel(RATINGS[:0], DRAFTS, PEOPLE, FIGURES, _picture)
    assert panel.candidate_id is None and panel.widget.state["shown"] is None


def test_the_policy_and_the_measures_stand_beside_the_disagreements():
    measures = judging.measured(
        agreement=Interval(0.8, 0.7, 0.9, 1200), null_share=Interval(0.0, float("nan"), 1.0, 3)
    )
    panel = JudgePanel(
        RATINGS, DRAFTS, PEOPLE, FIGURES, _picture, policy=HOSTILE, measures=measures
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
        panel = JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, _picture, votes=votes)
        assert panel.widget.state["who"] == named
    panel = JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, _picture, votes=Votes(3, 3, 1))
    assert "1 of 3 judged without truth" in panel.widget.state["votes"]
    assert "clinicians" not in JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, _picture)._judge["who"]


def test_the_policy_stands_with_the_versions_that_the_ratings_were_made_by():
    one, several = (RATINGS.assign(prompt_version=version) for version in ("v1", list("babab")))
    for ratings, versions in ((RATINGS, []), (one, ["v1"]), (several, ["a", "b"])):
        panel = JudgePanel(ratings, DRAFTS, PEOPLE, FIGURES, _picture, policy="Rate.")
        assert panel.widget.state["versions"] == versions


def test_a_measure_below_zero_is_shown_with_a_minus():
    measures = judging.measured(agreement=Interval(-0.001, -0.25, 0.9, 3))
    panel = JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, _picture, measures=measures)
    assert panel.widget.state["measures"][0][1:3] == ["0.00", "−0.25 to 0.90"]


# --- the cut


def test_a_share_keeps_that_many_of_the_best_scored():
    panel = CutPanel(SCORES, CANDIDATES, FIGURES, _picture, share=0.5)
    best = SCORES.sort_values("score", ascending=False).candidate_id
    assert panel.kept == list(best[:3])
    panel.set_share(1)
    assert sorted(panel.kept) == sorted(CANDIDATES.candidate_id)
    panel.set_share(0.001)
    assert panel.kept == [best.iloc[0]]


@pytest.mark.parametrize("share", [0.1, 0.25, 0.4, 0.75, 0.9])
def test_the_cut_keeps_what_the_selection_will_keep(share):
    kept = CutPanel(SCORES, CANDIDATES, FIGURES, _picture, share=share).kept
    scores = SCORES.set_index("candidate_id").score
    number = max(1, round(share * len(CANDIDATES)))
    assert kept == list(top_candidates(CANDIDATES, scores, n=number).candidate_id)
    turns = conversations(CANDIDATES, cut(CANDIDATES, scores, share=share)).turns
    assert sum(len(rounds) for rounds in turns) == len(kept)


def test_refusals_and_echoes_are_counted_and_not_shown_beside_the_cut():
    best = SCORES.sort_values("score", ascending=False).candidate_id.iloc[0]
    rows = CANDIDATES.assign(flags=[["refuses"] * (i == best) for i in CANDIDATES.candidate_id])
    panel = CutPanel(SCORES, rows, FIGURES, _picture, share=1)
    state = panel.widget.state
    assert best not in panel.kept and len(panel.kept) == 5
    assert (state["of"], state["no_answer"], state["unscored"]) == (5, 1, 0)
    kept = CutPanel(SCORES, rows, FIGURES, _picture, share=0.5, flagged=True)
    assert best in kept.kept and kept.widget.state["no_answer"] == 0


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_a_share_outside_its_range_is_refused(share):
    with pytest.raises(ValueError, match="above 0"):
        CutPanel(SCORES, CANDIDATES, FIGURES, _picture).set_share(share)


def test_borderline_cases_stand_next_to_the_cut():
    panel = CutPanel(SCORES, CANDIDATES, FIGURES, _picture, share=0.5)
    state = panel.widget.state
    assert state["inside"][-1]["candidate_id"] == panel.kept[-1]
    assert state["outside"][0]["score"] <= state["inside"][-1]["score"]
    assert len(state["outside"]) == 3


def test_coverage_adds_up_before_and_after_the_cut():
    state = CutPanel(SCORES, CANDIDATES, FIGURES, _picture, share=0.5).widget.state
    rows = {row["name"]: (row["before"], row["after"]) for row in state["coverage"]}
    assert rows == {"chest X-ray": (5, 2), "several": (1, 1)}
    assert sum(row["share_after"] for row in state["coverage"]) == pytest.approx(1)


def test_within_groups_the_panel_keeps_what_the_selection_keeps_and_shows_their_mix():
    panel = CutPanel(SCORES, CANDIDATES, FIGURES, _picture, share=0.5, within="arm")
    scores = SCORES.set_index("candidate_id").score
    kept = top_candidates(CANDIDATES, scores, share=0.5, within="arm")
    assert panel.kept == list(kept.candidate_id)
    assert panel.kept != CutPanel(SCORES, CANDIDATES, FIGURES, _picture, share=0.5).kept
    state = panel.widget.state
    rows = {row["name"]: (row["before"], row["after"]) for row in state["coverage"]}
    assert rows == {"none": (3, 1), "clinician": (2, 1), "random": (1, 1)}
    assert state["grouped"] and state["threshold"] == scores[panel.kept].min()
    assert state["outside"][0]["candidate_id"] not in panel.kept


def test_a_floor_empties_places_in_the_panel_too():
    panel = CutPanel(SCORES, CANDIDATES, FIGURES, _picture, share=1, floor=0.2)
    assert len(panel.kept) == (SCORES.score >= 0.2).sum() == 3


def test_candidates_without_a_score_are_counted_not_kept():
    panel = CutPanel(SCORES[:4], CANDIDATES, FIGURES, _picture, share=1)
    assert len(panel.kept) == 4
    assert panel.widget.state["unscored"] == 2


def test_scores_all_alike_can_still_be_drawn():
    state = CutPanel(SCORES.assign(score=0.0), CANDIDATES, FIGURES, _picture).widget.state
    assert 0 <= state["place"] <= 1


# --- model chat


def test_every_model_is_asked_about_the_chosen_image(image):
    asked = []

    def model(pixels, question):
        asked.append((pixels.size, question))
        return "an answer"

    small = Image.new("RGB", (8, 8))
    chat = ModelChat({"base": model, "tuned": model}, {"one": image, "two": small})
    chat.choose("two")
    assert chat.ask(" What? ") == {"base": "an answer", "tuned": "an answer"}
    assert asked == [((8, 8), "What?")] * 2
    chat.choose("one")
    chat.ask("And?")
    assert asked[-1][0] == (300, 200)
    assert [entry["question"] for entry in chat.widget.state["asked"]] == ["And?", "What?"]


def test_a_model_that_raises_is_shown_as_having_no_answer(image):
    def broken(pixels, question):
        raise RuntimeError("out of memory")

    chat = ModelChat({"good": lambda i, q: "yes", "broken": broken}, {"one": image})
    with pytest.raises(RuntimeError, match="out of memory"):
        chat.ask("What?")
    entry = chat.widget.state["asked"][0]
    assert entry["failed"] and entry["answers"]["good"]["text"] == "yes"


def test_an_empty_question_and_an_unknown_figure_are_refused(image):
    chat = ModelChat({"base": lambda i, q: "yes"}, {"one": image})
    with pytest.raises(ValueError, match="empty"):
        chat.ask("  ")
    with pytest.raises(ValueError, match="'three'"):
        chat.choose("three")


def test_the_chat_says_that_it_is_not_for_clinical_use(image):
    chat = ModelChat({"base": lambda i, q: "yes"}, {"one": image})
    assert "not for clinical use" in str(chat.widget._esm)


# --- the package


IMPORT = re.compile(r'^import \{ (.+) \} from "(.+)";$', re.M)
TOP_LEVEL = re.compile(r"^(?:export )?(?:const|let|function|class) (\w+)", re.M)


def test_every_panel_draws_with_the_script_beside_it(every_panel):
    used = set()
    for panel in every_panel:
        source = str(panel.widget._esm)
        for script in pieces(Path(inspect.getfile(type(panel))).with_suffix(".js")):
            used.add(script)
            text = re.sub(
                r"^export (?!default)", "", IMPORT.sub("", script.read_text()), flags=re.M
            )
            assert source.count(text.strip()) == 1, script.name
        assert re.findall(r"^(?:import|export) .*", source, re.M)[1:] == []
    assert used == set(FOLDER.rglob("*.js"))


def pieces(script: Path) -> set[Path]:
    imported = [script.parent / other for _, other in IMPORT.findall(script.read_text())]
    return {script, *(piece for path in imported for piece in pieces(path.resolve()))}


def test_every_script_imports_what_others_export_and_joined_names_differ(every_panel):
    for path in FOLDER.rglob("*.js"):
        source = path.read_text()
        assert len(IMPORT.findall(source)) == source.count("import ")
        for names, other in IMPORT.findall(source):
            exported = re.findall(
                r"^export (?:const|function|class) (.+)", (path.parent / other).read_text(), re.M
            )
            for name in names.split(", "):
                assert any(re.search(rf"\b{name}\b", line) for line in exported), (path.name, name)
    for panel in every_panel:
        names = TOP_LEVEL.findall(str(panel.widget._esm))
        assert len(names) == len(set(names))


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js on the path")
def test_every_script_loads_alone_and_joined(every_panel, tmp_path):
    joined = []
    for number, panel in enumerate(every_panel):
        joined.append(tmp_path / f"{number}.mjs")
        joined[-1].write_text(str(panel.widget._esm))
    urls = [path.resolve().as_uri() for path in [*FOLDER.rglob("*.js"), *joined]]
    script = f"for (const url of {json.dumps(urls)}) await import(url);"
    command = ["node", "--experimental-default-type=module", "--input-type=module", "-e", script]
    subprocess.run(command, check=True)


def test_whatever_a_panel_loads_is_shipped_with_the_package():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["vital_lib.panels"]
    shipped = {path for pattern in patterns for path in FOLDER.glob(pattern)}
    files = {path for path in FOLDER.rglob("*") if path.is_file() and path.suffix[:3] != ".py"}
    assert FOLDER / "style.css" in shipped and shipped == files


def test_no_panel_reads_or_writes_a_file_but_its_script_and_style():
    own = ("Path(module)", 'Path(__file__).with_name("style.css")')
    modules = list(FOLDER.rglob("*.py"))
    assert len(modules) > len(OFFERED)
    for path in modules:
        source = path.read_text()
        for asset in own:
            source = source.replace(asset, "")
        assert not [word for word in ("open(", "Path(", "to_parquet", "sqlite") if word in source]
