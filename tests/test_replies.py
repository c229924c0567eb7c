"""Replies as today's models word them: each is read as a person would read it, or not at all."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from typing import Any

import pytest

from vital_lib.prompts import (
    VERSIONS,
    PartConversation,
    PartDrafts,
    Rating,
    RatingCriteria,
    UnreadableReply,
    Verdict,
    chat_score_prompt,
    draft_prompt,
    generation_prompt,
    parse,
    rating_prompt,
    verdict_prompt,
)

FIGURE = {"caption": "CT of the head.", "mentions": [], "modalities": ["ct_scan"]}
IMAGE = object()  # prompts only place images
VERDICT = verdict_prompt("Which side?", IMAGE, "Left.", "Left.", "Right.")
RATING = rating_prompt(FIGURE, IMAGE, "Which side?", "Left.")
SCORES = chat_score_prompt("Which side?", IMAGE, "Left.", "Right.")
TURNS, DRAFTS = generation_prompt(FIGURE, IMAGE, []), draft_prompt(FIGURE, IMAGE)

CRITERIA = dict.fromkeys(RatingCriteria.model_fields, 7)


def rated(**changes: Any) -> str:
    return json.dumps({"rationale": "sound", "criteria": CRITERIA, "overall": 8} | changes)


def with_criteria(**changes: Any) -> str:
    return rated(criteria=CRITERIA | changes)


EIGHT, THREE = rated(), rated(overall=3)
FIRST = '{"rationale": "It names the side.", "winner": "first"}'
SECOND = FIRST.replace("first", "second")
SCORED = '{"rationale": "close", "first": 8, "second": 7}'


def read(prompt, text: str) -> Any:
    """What a reply says: a number, a winner, two numbers, or the texts of each round."""
    value = parse(prompt, text)
    if prompt is RATING:
        return value.overall
    if prompt is VERDICT:
        return value.winner
    if prompt is SCORES:
        return value.first, value.second
    if prompt is TURNS:
        return [(one.instruction, one.response, one.question_type) for one in value.rounds]
    return [(one.instruction, one.response_a, one.response_b) for one in value.questions]


# ------------------------------------------------------------------ thoughts

CHANNEL = "<|channel|>analysis<|message|>Overall: 3<|end|><|start|>assistant<|channel|>final"


@pytest.mark.parametrize(
    "text",
    [
        "Let me see.\nScore: 3\n</think>\nOverall: 8",
        "<think>\n{THREE}\n</think>\n\n{EIGHT}",
        "{THREE}\n</think>\n{EIGHT}",
        "<Think>Overall: 3</Think>Overall: 8",
        "<think></think>\n\n{EIGHT}",
        "<think>a <think> tag\nOverall: 3</think>Overall: 8",
        "<think>Overall: 3</thinking>Overall: 8",
        "<think>Overall: 3</think>Overall: 8<think>or Overall: 4</think>",
        "<thinking>Overall: 3</thinking>Overall: 8",
        "<thought>\nOverall: 3\n</thought>\nOverall: 8",
        "<reasoning>\nOverall: 3\n</reasoning>\n{EIGHT}",
        "<scratchpad>Overall: 3</scratchpad>\n{EIGHT}",
        "<reflection>Overall: 3</reflection><think>Overall: 4</think>Overall: 8",
        "<|thinking|>Overall: 3<|/thinking|>\nOverall: 8",
        "[THINK]Overall: 3[/THINK]{EIGHT}",
        "◁think▷Overall: 3◁/think▷\n{EIGHT}",
        "<seed:think>Overall: 3</seed:think>Overall: 8",
        "<|begin_of_thought|>Overall: 3<|end_of_thought|>\n"
        "<|begin_of_solution|>Overall: 8<|end_of_solution|>",
        "<|START_THINKING|>Overall: 3<|END_THINKING|><|START_RESPONSE|>{EIGHT}<|END_RESPONSE|>",
        "<unused94>thought\nOverall: 3<unused95>{EIGHT}",
        "<|channel>thought\nOverall: 3<channel|>{EIGHT}",
        f"{CHANNEL}<|message|>{{EIGHT}}<|return|>",
        f"{CHANNEL} <|constrain|>json<|message|>{{EIGHT}}",
        "analysisWe need to rate. Overall: 3.assistantfinal{EIGHT}",
        "&lt;think&gt;Overall: 3&lt;/think&gt;Overall: 8",
        '<details type="reasoning" done="true">\nOverall: 3\n</details>\nOverall: 8',
        "Overall: 8\n<details>\nIt is [think of it] sound.\n</details>",
        "## Thinking\n\nOverall: 3\n\n## Final Response\n\nOverall: 8",
        "Overall: 8<|im_end|>",
        "{EIGHT}<|eot_id|>",
        "{EIGHT}</s>",
        "<|im_start|>assistant\nOverall: 8<|im_end|>\n<|im_start|>user\nOverall: 3",
    ],
)
def test_what_stands_inside_a_thought_is_never_the_rating(text):
    assert read(RATING, text.replace("{EIGHT}", EIGHT).replace("{THREE}", THREE)) == 8


def test_a_thought_decides_no_verdict_and_a_mark_inside_a_text_is_a_part_of_it():
    assert read(VERDICT, "<think>Winner: first</think>Winner: second") == "second"
    assert read(VERDICT, "[[A]] maybe\n</think>\n[[B]]") == "second"
    stray = '{"rationale": "It ends in a stray </think>.", "winner": "second"}'
    assert parse(VERDICT, stray) == Verdict(
        rationale="It ends in a stray </think>.", winner="second"
    )


@pytest.mark.parametrize(
    "text",
    [
        "<think>Overall: 8",
        "Overall: 8\n<think>but maybe Overall: 9",
        "<|channel|>analysis<|message|>Overall: 8",
        "analysisFirst the side.\nOverall: 8",
        "Overall: 8</think>",
        EIGHT + "</think>",
        f"<think>{EIGHT}</think>",
        "[THINK]Overall: 8",
        "◁think▷Overall: 8",
    ],
)
def test_a_reply_that_is_all_thought_is_unread(text):
    with pytest.raises(UnreadableReply, match=r"Rating: .*(thinking|empty)"):
        parse(RATING, text)


# ------------------------------------------------------------------ marks of an answer, fences


@pytest.mark.parametrize(
    ("prompt", "text", "said"),
    [
        (RATING, r"\boxed{8}", 8),
        (RATING, r"The rating is $\boxed{8}$.", 8),
        (RATING, "<answer>8</answer>", 8),
        (RATING, "<answer>8", 8),
        (RATING, "<think>3</think><answer>8/10</answer>", 8),
        (RATING, f"<answer>{EIGHT}</answer>", 8),
        (RATING, "<|begin_of_box|>8<|end_of_box|>", 8),
        (RATING, "<answer><|begin_of_box|>8<|end_of_box|></answer>", 8),
        (RATING, "<rationale>sound</rationale>\n<overall>8</overall>", 8),
        (RATING, "Final answer: 8", 8),
        (VERDICT, r"\boxed{\text{first}}", "first"),
        (VERDICT, r"The verdict: $\boxed{B}$", "second"),
        (VERDICT, "<answer>A</answer>", "first"),
        (VERDICT, "<answer>Answer 2 is better</answer>", "second"),
        (VERDICT, "<final_answer>tie</final_answer>", "tie"),
        (VERDICT, "Winner: first\n<answer>first</answer>", "first"),
        (VERDICT, "<rationale>It names it.</rationale>\n<winner>second</winner>", "second"),
        (SCORES, "<answer>8 7</answer>", (8, 7)),
        (TURNS, "<question>What?</question>\n<answer>It.</answer>", [("What?", "It.", None)]),
    ],
)
def test_the_marks_of_an_answer_come_off(prompt, text, said):
    assert read(prompt, text) == said


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{8} or \boxed{7}",
        "<answer>8</answer> <answer>7</answer>",
        "Overall: 7\n<answer>8</answer>",
        "Overall: 8\n<answer>11</answer>",
        r"Overall: 8. So \boxed{about 8}",
    ],
)
def test_marked_answers_that_contradict_or_say_no_number_are_unread(text):
    with pytest.raises(UnreadableReply, match="Rating"):
        parse(RATING, text)


@pytest.mark.parametrize(
    "form",
    [
        *("```json\n{}\n```", "~~~json\n{}\n~~~", "````\n{}\n````", "```json\n{}", "`{}`"),
        *("'''json\n{}\n'''", "<json>\n{}\n</json>", "```JSON {}```", "- {}", "\ufeff{}"),
        *("Here it is: ```json {} ```", "Here is the JSON {}", "result = {}"),
        "Here:\n\n```json5\n{}\n```\n\nThe mass is 3 cm wide; the answer says so.",
    ],
)
def test_json_is_read_in_every_kind_of_fence(form):
    assert read(RATING, form.replace("{}", EIGHT)) == 8


# ------------------------------------------------------------------ keys, values, spelling


@pytest.mark.parametrize(
    ("prompt", "text", "said"),
    [
        (RATING, rated(overall="8"), 8),
        (RATING, rated(overall="8/10"), 8),
        (RATING, rated(overall="8 out of 10"), 8),
        (RATING, rated(overall="8.5 points"), 8.5),
        (RATING, rated(overall={"score": 8, "reason": "sound"}), 8),
        (RATING, '{"rationale": "sound", "overall": 8/10}', 8),
        (RATING, '{"Rationale": "sound", "Criteria": null, "Overall": 8}', 8),
        (RATING, '{"overall_rating": 8, "explanation": "sound"}', 8),
        (RATING, json.dumps({"rationale": "sound", **CRITERIA, "overall": 8}), 8),
        (RATING, json.dumps({"rating": json.loads(EIGHT)}), 8),
        (RATING, f"[{EIGHT}]", 8),
        (VERDICT, '{"rationale": "", "winner": "First"}', "first"),
        (VERDICT, '{"rationale": "", "winner": "Answer 1"}', "first"),
        (VERDICT, '{"rationale": "", "winner": "ANSWER_2"}', "second"),
        (VERDICT, '{"rationale": "", "winner": "[[B]]"}', "second"),
        (VERDICT, '{"rationale": "", "winner": 2}', "second"),
        (VERDICT, '{"rationale": "", "winner": "the second answer"}', "second"),
        (VERDICT, '{"rationale": "", "winner": "Tie"}', "tie"),
        (VERDICT, '{"verdict": "B", "explanation": "it names the side"}', "second"),
        (VERDICT, '{"winner": "answer1"}', "first"),
        (VERDICT, '{"winner": ["first"]}', "first"),
        (VERDICT, json.dumps(FIRST), "first"),
        (RATING, json.dumps({"name": "rate", "arguments": EIGHT}), 8),
        (SCORES, '{"scores": "8 7"}', (8, 7)),
        (VERDICT, '{"winner": "first"}', "first"),
        (SCORES, '{"rationale": "close", "first": "8", "second": "7/10"}', (8, 7)),
        (SCORES, '{"answer_1": 8, "answer_2": 7}', (8, 7)),
        (SCORES, '{"scores": [8, 7]}', (8, 7)),
        (SCORES, '{"scores": {"First": 8, "Second": 7}, "rationale": "close"}', (8, 7)),
        (SCORES, '{"Answer1": {"score": 8}, "Answer2": {"score": 7}}', (8, 7)),
        (TURNS, '{"rounds": [{"instruction": "What?", "response": "It."}]}', None),
        (TURNS, '[{"Question": "What?", "Answer": "It."}]', None),
        (TURNS, '{"instruction": "What?", "response": "It."}', None),
        (TURNS, '{"rounds": {"1": {"question": "What?", "answer": "It."}}}', None),
        (TURNS, '{"round_1": {"question": "What?", "answer": "It."}}', None),
        (TURNS, '{"conversation": [{"user": "What?", "assistant": "It."}]}', None),
        (
            TURNS,
            '{"conversations": [{"from": "human", "value": "What?"},'
            ' {"from": "gpt", "value": "It."}]}',
            None,
        ),
        (
            TURNS,
            '{"rounds": [{"instruction": "What?", "response": "<think>A scan.</think>It."}]}',
            None,
        ),
        (
            DRAFTS,
            '{"questions": [{"instruction": "What?", "response_a": "x", "response_b": "y"}]}',
            0,
        ),
        (DRAFTS, '[{"question": "What?", "answerA": "x", "answerB": "y", "type": "string"}]', 0),
        (DRAFTS, '{"questions": [{"question": "What?", "responses": ["x", "y"]}]}', 0),
    ],
)
def test_json_is_read_under_the_names_and_in_the_kinds_that_models_give(prompt, text, said):
    wanted = {"generation": [("What?", "It.", None)], "draft": [("What?", "x", "y")]}
    assert read(prompt, text) == (said or wanted[prompt.name])


def test_rounds_one_by_one_are_one_conversation():
    lines = '{"instruction": "What?", "response": "It."}\n{"instruction": "Where?", "response": 3}'
    assert read(TURNS, lines) == [("What?", "It.", None), ("Where?", "3", None)]
    assert read(TURNS, f"{lines}\n") == read(TURNS, f"```jsonl\n{lines}\n```")


@pytest.mark.parametrize(
    ("given", "depth"),
    [(None, None), ("7", 7), ("7/10", 7), ("N/A", None), ({"score": 7, "why": "3 cm"}, 7)],
)
def test_a_criterion_may_be_null_or_text_and_loses_no_other(given, depth):
    value = parse(RATING, with_criteria(depth=given))
    assert isinstance(value, Rating)
    assert (value.overall, value.criteria.scope, value.criteria.depth) == (8, 7, depth)
    listed = [{"criterion": name.title(), "rating": given} for name in CRITERIA]
    assert parse(RATING, rated(criteria=listed)).criteria.depth == depth


@pytest.mark.parametrize(
    "text",
    [
        '{"rationale": "two\nlines\tand a tab", "winner": "first"}',
        '{"rationale": "x", "winner": "first",}',
        "{'rationale': 'It\\'s left', 'winner': 'first'}",
        "{'rationale': 'It's the patient's left', 'winner': 'first'}",
        "{'rationale': None, 'winner': 'first'}",
        '{rationale: "x", winner: "first"}',
        "{rationale: none, winner: first}",
        '{"rationale": "The "mass" is left", "winner": "first"}',
        '{"rationale": "\\(T_1\\)", "winner": "first"}',
        "{“rationale”: “x”, “winner”: “first”}",
        '{"rationale": "x", /* why */ "winner": "first"} // done',
        f"\ufeff  {FIRST}",
        f"{FIRST}\n{FIRST}",
        f"{FIRST}{FIRST}",
        f"```json\n{FIRST}\n```\n```json\n{FIRST}\n```",
        f"{FIRST}\n\nFor the record:\n{FIRST.replace('names', 'tells')}",
        f"An example: {SECOND}\nMy verdict: {FIRST}",
    ],
)
def test_json_that_is_only_spelled_otherwise_or_written_twice_is_read(text):
    assert read(VERDICT, text) == "first"


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (VERDICT, f"{FIRST}\n{SECOND}"),
        (VERDICT, f"```\n{FIRST}\n```\n{SECOND}"),
        (VERDICT, '{"rationale": "x", "winner": "first", "winner": "second"}'),
        (VERDICT, '{"winner": "first", "Winner": "second"}'),
        (VERDICT, '{"verdict": "A", "winner": "second"}'),
        (VERDICT, '{"rationale": "x", "winner": "fir'),
        (VERDICT, '{"rationale": "x", "winner": "first or second"}'),
        (VERDICT, '{"rationale": "x", "winner": true}'),
        (VERDICT, 'Winner: first\n{"rationale": "x", "winner": "sec'),
        (VERDICT, "Winner: second\n<answer>first</answer>"),
        (RATING, '{"rationale": "x", "overall": 1'),
        (RATING, '{"rationale": "said "x", "overall": 9, "y" is wrong", "overall": 4}'),
        (RATING, '{"rationale": "x", "criteria": {"accuracy": 3}}'),
        (RATING, '{"accuracy": {"score": 3}}'),
        (RATING, '{"overall": 8, "overall_rating": 7}'),
        (RATING, rated(overall=None)),
        (RATING, rated(overall="high")),
        (RATING, rated(overall="80%")),
        (RATING, rated(overall="8-9")),
        (RATING, rated(overall="8,5")),
        (SCORES, '{"scores": [8, 7, 6]}'),
        (SCORES, '{"first": 8, "second": null}'),
        (TURNS, '{"rounds": [{"instruction": "What?"}]}'),
        (TURNS, '{"rounds": [{"instruction": "What?", "response": "<think>A scan."}]}'),
        (TURNS, '{"question": "What?", "answer": "It.", "question": "Where?", "answer": "There."}'),
        (RATING, json.dumps(Rating.model_json_schema())),
        (VERDICT, json.dumps(Verdict.model_json_schema())),
    ],
)
def test_json_that_breaks_off_or_contradicts_itself_is_unread(prompt, text):
    with pytest.raises(UnreadableReply, match=prompt.schema.__name__):
        parse(prompt, text)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (VERDICT, '{"rationale": "string", "winner": "first"}'),
        (VERDICT, '{"rationale": "I\'m sorry, but I can\'t view the image.", "winner": "tie"}'),
        (RATING, rated(rationale="I cannot see the image.", overall=0)),
        (RATING, rated(rationale="As an AI language model, I cannot judge images.", overall=5)),
        (VERDICT, "As an AI language model, I cannot judge.\nWinner: tie"),
    ],
)
def test_a_judges_refusal_or_an_echo_of_the_schema_is_no_judgement(prompt, text):
    with pytest.raises(
        UnreadableReply, match="the (reply|rationale) is a refusal|the rationale echoes the schema"
    ):
        parse(prompt, text)


def test_a_judge_who_finds_no_fault_does_not_refuse():
    assert read(RATING, rated(rationale="I cannot fault it: the side is right.")) == 8


# ------------------------------------------------------------------ JSON with words around it


@pytest.mark.parametrize(
    ("prompt", "text", "said"),
    [
        (
            VERDICT,
            f"{FIRST}\n\nExplanation: Answer 1 names the left side, while Answer 2 says right "
            "instead of left. The mass measures 3 cm.",
            "first",
        ),
        (VERDICT, f"Answer 1 is vague. Answer 2 is precise.\n\n{SECOND}", "second"),
        (VERDICT, f"{FIRST}\nThe first answer is better because it names the side.", "first"),
        (
            RATING,
            f"{EIGHT}\n\nThe response correctly names the 3 cm mass; the overall score of 8 "
            "reflects this. Clarity is rated 7.",
            8,
        ),
        (
            RATING,
            f"{EIGHT}\n\n**Explanation**: The first sentence answers the question; other details "
            "(Figure 2) are actually missing.",
            8,
        ),
        (SCORES, f"{SCORED}\nAnswer 1 scores 8 because it is complete; answer 2 gets a 7.", (8, 7)),
    ],
)
def test_json_that_an_explanation_follows_or_precedes_is_read(prompt, text, said):
    assert read(prompt, text) == said


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (VERDICT, f"{FIRST}\nThe second answer is better."),
        (VERDICT, f"{FIRST}\nI would choose Answer 2."),
        (VERDICT, f"{FIRST}\nSo it is a tie."),
        (VERDICT, f"{FIRST}\nHmm, let me reconsider."),
        (VERDICT, f"{FIRST}\nThe above is only an example."),
        (VERDICT, f"{FIRST}\nI am unable to view the image."),
        (RATING, f"{EIGHT}\nActually, I would give 7."),
        (RATING, f"{EIGHT}\nOverall: 7"),
        (RATING, f"{EIGHT}\nI rate it 7/10."),
        (RATING, f"{EIGHT}\nMake that 6."),
        (SCORES, f"9 9\n{SCORED}"),
        (SCORES, f"{SCORED}\nAnswer 2 deserves 9."),
    ],
)
def test_json_that_is_taken_back_or_claimed_anew_is_unread(prompt, text):
    with pytest.raises(UnreadableReply):
        parse(prompt, text)


# ------------------------------------------------------------------ the method's own form


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("8 7\nThe first answer is right; it says 3 cm.", (8, 7)),
        ("8, 7\n\nExplanation: close.", (8, 7)),
        ("8.5 7\nclose", (8.5, 7)),
        ("8/10 7/10\nclose", (8, 7)),
        ("**8 7**\nclose", (8, 7)),
        ("8\t7\nclose", (8, 7)),
        ("8 and 7\nclose", (8, 7)),
        ("10 9\nclose", (10, 9)),
        ("8 8", (8, 8)),
        ("Scores: 8 7\nclose", (8, 7)),
        ("Both are good.\n\n8 7", (8, 7)),
        ("```\n8 7\n```\nclose", (8, 7)),
        ("Answer 1: 8, Answer 2: 7\nclose", (8, 7)),
        ("First: 8, Second: 7\nclose", (8, 7)),
        ("8\n7\nclose", (8, 7)),
        ("Reference answer: 8\nModel answer: 7", (8, 7)),
        ("Score for Answer 1: 8\nScore for Answer 2: 7", (8, 7)),
    ],
)
def test_two_numbers_on_a_line_are_the_scores(text, said):
    assert read(SCORES, text) == said
    assert "8" not in parse(SCORES, text).rationale


@pytest.mark.parametrize(
    "text",
    [
        *("Rating: 8 out of 10 because it names 2 findings", "My overall rating is: 8"),
        *('overall: "8"', "| scope | 7 | fits |\n| overall | 8 | sound |"),
        *("8\nThe response names the 3 cm mass.", "8/10\nSound.", "**8**\n\nSound."),
        *("Sound, but for 2 words.\n\n8", "8 points\nSound."),
    ],
)
def test_a_number_on_the_first_line_or_the_last_is_the_rating(text):
    assert read(RATING, text) == 8


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        *(
            (SCORES, text)
            for text in ("8 7\nclose\n7 8", "8\nclose", "11 7\nclose", "8 7 6\nclose")
        ),
        *(
            (SCORES, text)
            for text in ("8/10\nclose", "7.5\nclose", "Answer 1: 8\nAnswer 2: 7\n9 7")
        ),
        *((RATING, text) for text in ("7\nSound.\nOverall: 8", "8\nSound.\n7", "1.\nSound.")),
        *((VERDICT, text) for text in ("first\nThe side.\nsecond", "The winner is not Answer 1.")),
        *((RATING, text) for text in ("Overall: 8/10, or 7", "Overall: 8/10 - 9/10 for depth")),
        *((RATING, text) for text in ("8 7\nclose", "100\nSound.", "8-9\nSound.")),
    ],
)
def test_numbers_that_contradict_or_are_too_many_are_unread(prompt, text):
    with pytest.raises(UnreadableReply):
        parse(prompt, text)


@pytest.mark.parametrize(
    ("text", "winner"),
    [
        ("My verdict: second", "second"),
        ("The side is named in one.\nThe winner is Answer 1.", "first"),
        ("I would choose Answer 2.", "second"),
        ("**Verdict**\nfirst", "first"),
        ("Answer 2 is better.\n\nIt names the side, Answer 1 does not.", "second"),
        ("Winner: It is a tie", "tie"),
        ("Final Answer: B", "second"),
        ("Answer 1", "first"),
        ("The second answer is better.", "second"),
        ("Verdict: Model A", "first"),
        ("Winner: first\nConclusion: it names the side, the other does not.", "first"),
    ],
)
def test_a_verdict_may_stand_under_other_names(text, winner):
    assert read(VERDICT, text) == winner


# ------------------------------------------------------------------ turns


@pytest.mark.parametrize(
    ("text", "rounds"),
    [
        (
            "Question: What is it?\nAnswer: A tumour.\nType: ductal carcinoma\nGrade: 2\n\n"
            "Question: Where?\nAnswer: Left.",
            [
                ("What is it?", "A tumour.\nType: ductal carcinoma\nGrade: 2", None),
                ("Where?", "Left.", None),
            ],
        ),
        (
            "User: What?\nAssistant: The biopsy:\nResponse: partial\nInstruction: follow up\n"
            "Kind: benign\nUser: Where?\nAssistant: Left.",
            [
                (
                    "What?",
                    "The biopsy:\nResponse: partial\nInstruction: follow up\nKind: benign",
                    None,
                ),
                ("Where?", "Left.", None),
            ],
        ),
        (
            "Type: finding\nQuestion: What?\nAnswer: It.\nType: II\n\nType: place\n"
            "Question: Where?\nAnswer: Left.",
            [("What?", "It.\nType: II", "finding"), ("Where?", "Left.", "place")],
        ),
        (
            "Question: What?\nAnswer: It.\nQuestion type: finding\n\nQuestion: Where?\n"
            "Answer: Left.\nQuestion type: place",
            [("What?", "It.", "finding"), ("Where?", "Left.", "place")],
        ),
        (
            "Question 1 (modality): What?\nAnswer 1: CT.\nQuestion 2 (place): Where?\nAnswer 2: L.",
            [("What?", "CT.", "modality"), ("Where?", "L.", "place")],
        ),
        (
            "User: What?\nAssistant: It.\n\nQuestion: Where?\nAnswer: Left.",
            [("What?", "It.", None), ("Where?", "Left.", None)],
        ),
        (
            "### Question 1\nWhat?\n\n### Answer 1\nIt.\n\n### Question 2\nWhere?\n\n"
            "### Answer 2\nLeft.",
            [("What?", "It.", None), ("Where?", "Left.", None)],
        ),
        ("```\nHuman: What?\nAI: It.\n```\nI hope this helps!", [("What?", "It.", None)]),
        (
            "Q: Murphy's sign?\nA: +\nQ: And?\nA: -",
            [("Murphy's sign?", "+", None), ("And?", "-", None)],
        ),
    ],
)
def test_an_answer_ends_where_the_next_question_begins(text, rounds):
    assert read(TURNS, text) == rounds


@pytest.mark.parametrize(
    "rule", ["===", "---", "***", "* * *", "___", "———", "=== Round 2 ===", "**Round 2**", "##"]
)
def test_what_parts_rounds_is_no_part_of_a_text(rule):
    one, other = "User: What?\nAssistant: It.\n", "User: Where?\nAssistant: Left.\n"
    rounds = [("What?", "It.", None), ("Where?", "Left.", None)]
    assert read(TURNS, f"{one}{rule}\n{other}{rule}") == rounds
    assert read(TURNS, f"{rule}\n{one}\n{rule}\n\n{other}{rule}\nAsk for more!") == rounds
    table = "| a |\n|---|\n| 1 |"
    assert read(TURNS, f"User: What?\nAssistant: {table}\n{rule}\n") == [("What?", table, None)]


def test_a_rule_inside_an_answer_stays():
    text = "User: What?\nAssistant: It.\n\n---\n\nMore.\n\nUser: Where?\nAssistant: Left."
    assert read(TURNS, text)[0][1] == "It.\n\n---\n\nMore."


def test_json_in_an_answer_that_looks_like_a_reply_is_a_part_of_it():
    code = '```json\n{"rounds": [{"instruction": "a", "response": "b"}]}\n```'
    assert read(TURNS, f"User: How?\nAssistant: So:\n{code}") == [("How?", f"So:\n{code}", None)]


def test_a_field_inside_one_of_two_answers_is_a_part_of_it():
    text = "Question: What?\nAnswer A: One.\nResponse: partial\nAnswer B: Two.\nType: II"
    assert read(DRAFTS, text) == [("What?", "One.\nResponse: partial", "Two.\nType: II")]


def rounds_of(*turns):
    made = [
        {"instruction": asked, "response": told, "question_type": None} for asked, told in turns
    ]
    return json.dumps({"rounds": made})


def messages(*said):
    return json.dumps({"messages": [{"role": role, "content": words} for role, words in said]})


@pytest.mark.parametrize(
    ("text", "kept", "why"),
    [
        (rounds_of(("a?", "A."), ("b?", ""), ("c?", "C.")), "AC", "round 2: .*empty"),
        (rounds_of(("a?", "A."), ("b?", None)), "A", "round 2: response"),
        (rounds_of(("", "A."), ("b?", "B.")), "B", "round 1: instruction"),
        (rounds_of(("a?", "<think>A."), ("b?", "B.")), "B", "round 1: .*thinking"),
        ('{"rounds": [{"question": "a?", "answer": "A."}, null]}', "A", "round 2"),
        (f'{rounds_of(("a?", "A."))[:-2]}, {{"instruction": "b?"}}]}}', "A", "round 2"),
        ('{"q": "a?", "a": "A."}\n{"q": "b?", "a": ""}', "A", "round 2: .*empty"),
        (messages(("user", "a?"), ("assistant", "A."), ("user", "b?")), "A", "2: 0 answers"),
        (messages(("user", "a?"), ("user", "b?"), ("assistant", "B.")), "B", "1: 0 answers"),
        (
            messages(("user", "a?"), ("assistant", ""), ("user", "b?"), ("assistant", "B.")),
            "B",
            "round 1: .*empty",
        ),
        ("User: a?\nAssistant:\nUser: b?\nAssistant: B.", "B", "round 1: .*empty"),
        ("User: a?\nAssistant: A.\nUser: b?", "A", "round 2: 0 answers"),
        ("Q: a?\nA: A.\nA: No.\nQ: b?\nA: B.", "B", "round 1: 2 answers"),
    ],
)
def test_a_round_that_says_nothing_is_dropped_and_stops_none_beside_it(text, kept, why):
    value = parse(TURNS, text)
    assert isinstance(value, PartConversation)
    assert [one.response for one in value.rounds] == [f"{letter}." for letter in kept]
    assert len(value.dropped) == 1 and re.search(why, value.dropped[0])


def test_a_draft_without_both_answers_is_dropped_and_the_others_are_read():
    value = parse(DRAFTS, "Question: a?\nAnswer A: 1\nAnswer B: 2\nQuestion: b?\nAnswer A: 1")
    assert value.dropped == ("round 2: 1 answers, wanted 2",) and len(value.questions) == 1
    one = {"instruction": "a?", "response_a": "1", "response_b": "2", "question_type": None}
    text = json.dumps({"questions": [one, one | {"response_b": " "}]})
    assert isinstance(parse(DRAFTS, text), PartDrafts)


@pytest.mark.parametrize(
    "courtesy",
    [
        "Let me know if you need more!",
        "I hope this helps.",
        "Feel free to ask if you have any other questions.",
        "Would you like me to write more rounds?",
        "I hope this helps! Let me know if you'd like changes. 😊",
        "\n\nIf you need further questions, just let me know!",
        "\n\n---\n\n**Please let me know if you would like any modifications.**",
        "Is there anything else you'd like to know?",
        "If you'd like, I can generate more rounds.",
        "I'm happy to provide more examples. Don't hesitate to reach out.",
    ],
)
def test_courtesies_that_end_the_last_answer_are_no_part_of_it(courtesy):
    whole = [("What?", "A mass.", None), ("Where?", "It is left.", None)]
    words = f"User: What?\nAssistant: A mass.\nUser: Where?\nAssistant: It is left. {courtesy}"
    assert read(TURNS, words) == whole
    assert (
        read(TURNS, rounds_of(("What?", "A mass."), ("Where?", f"It is left. {courtesy}"))) == whole
    )
    assert read(DRAFTS, f"Question: Where?\nAnswer A: Left.\nAnswer B: Right. {courtesy}") == [
        ("Where?", "Left.", "Right.")
    ]


@pytest.mark.parametrize(
    "answer",
    [
        "Let me know if you need more!",
        "Left. If you notice bleeding, don't hesitate to call a doctor.",
        "Left. The therapy may help. We hope the margin is clear of it.",
        "Left. Do you have any allergies?",
        "Left. Can a mass be excluded? No.",
        "So:\n```\nleft\n```",
        "+",
    ],
)
def test_an_answer_that_is_no_courtesy_or_nothing_else_stays_whole(answer):
    assert read(TURNS, f"User: Where?\nAssistant: {answer}") == [("Where?", answer, None)]


@pytest.mark.parametrize("gap", [" ", "\n", "\n\n---\n"])
def test_what_opens_a_reply_is_no_part_of_the_first_question(gap):
    text = f"Sure! Here is the conversation:{gap}User: What?\nAssistant: It."
    assert read(TURNS, text) == [("What?", "It.", None)]


# ------------------------------------------------------------------ what is sent; time


def test_the_schemas_and_prompts_that_are_sent_are_what_they_were():
    assert VERSIONS == {
        "draft": "49e94f00b4d3",
        "generation": "0611bacb8c2f",
        "rating": "3dbeffd1ff05",
        "chat_score": "baf854bebdc5",
        "verdict": "2fb3c781ab7e",
    }


@pytest.mark.parametrize(
    "unit",
    [
        *("\n{", '{"', '{"a":', '\n{"a": "x ', "[{", "{'a': 'x ", '" x "y"', "“", f"{FIRST}\n"),
        *(
            "<think>",
            "</think>",
            "<think>x</think>",
            "<answer>",
            r"\boxed{",
            r"\boxed{{",
            "<",
            "<winner>",
        ),
        *("Question: a\nAnswer: b\n", "Question: a\nType: x\n", "User: a\nInstruction: b\n"),
        *("Type: x\n", "---\n", "*" * 40 + "\n", "```\n", "8 7\n", "sorry ", "score the of "),
        *("Thinking\n", "wait. ", "<|channel|>final", "Question: a.   \n"),
    ],
)
def test_a_long_reply_takes_time_in_proportion_to_its_length(unit):
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        begun = time.process_time()
        for prompt, whole in ((RATING, f"{EIGHT}\n{text}"), (VERDICT, text), (TURNS, text)):
            with suppress(UnreadableReply):
                parse(prompt, whole)
        return time.process_time() - begun

    long = min(seconds(160_000), seconds(160_000))  # a collection of garbage may fall into one
    assert long < 3 * 8 * max(seconds(20_000), 0.05)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (VERDICT, "Choose from [[A]], [[B]] or [[C]]."),
        (VERDICT, "[[A]] if assistant A is better, [[B]] if B is, and [[C]] for a tie"),
        (VERDICT, "The winner is first. No, second."),
        (VERDICT, "Winner: first\n\nWait, the second is the better one."),
        (VERDICT, '{"rationale": "...", "winner": "first"}'),
        (RATING, "Overall: 7\n\nActually, overall: 5"),
        (RATING, "Overall: 3, on a scale of five"),
        (RATING, "Overall: 8 - or rather six"),
        (RATING, '{"rationale": "x", "overall": {"score": 7, "max": 5}}'),
        (RATING, '{"rationale": "x", "overall": {"score": 7, "out_of": 100}}'),
    ],
)
def test_what_is_listed_revoked_or_on_another_scale_is_unread(prompt, text):
    with pytest.raises(UnreadableReply):
        parse(prompt, text)


def test_a_stated_scale_of_ten_and_a_verdict_after_another_are_read():
    assert parse(RATING, '{"overall": {"score": 7, "max": 10}}').overall == 7
    assert parse(RATING, "Overall: 7 (on a scale of ten, good)").overall == 7
    assert (
        parse(VERDICT, "Not [[A]] at all. However, the second is exact: [[B]]").winner == "second"
    )


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        *((RATING, f'{{"overall": 7, "{name}": 5}}') for name in ("rating", "score", "total")),
        *((RATING, f'{{"overall": 7, "{name}": "5/10"}}') for name in ("final", "Total score")),
        *((RATING, f"Overall: 7\n{name}: 5") for name in ("Rating", "Score", "Total", "Final")),
        (RATING, with_criteria(overall=5)),
        (RATING, '{"overall": {"score": 8, "rating": 5}}'),
        (SCORES, '{"first": 8, "second": 7, "scores": [5, 6]}'),
        (SCORES, '{"first": 8, "second": 7, "scores": {"first": 8, "second": 6}}'),
        (VERDICT, '{"winner": "first", "answer": "second"}'),
        (VERDICT, '{"winner": "Answer 1", "result": "tie"}'),
    ],
)
def test_a_second_reading_beside_the_first_that_contradicts_it_leaves_none(prompt, text):
    with pytest.raises(UnreadableReply):
        parse(prompt, text)


@pytest.mark.parametrize(
    ("prompt", "text", "said"),
    [
        (RATING, '{"overall": 7, "rating": 7}', 7),
        (RATING, '{"overall": 7, "rating": {"scope": 5}, "average": 5.5}', 7),
        (RATING, '{"overall": 7, "score": "high", "total_score": 63}', 7),
        (RATING, "Overall: 7\nTotal: 63", 7),
        (RATING, "Scope\nScore: 5\nDepth\nScore: 5\nAccuracy\nScore: 6\nOverall: 7", 7),
        (SCORES, '{"first": "Left.", "second": "Right.", "scores": [8, 6]}', (8, 6)),
        (VERDICT, '{"winner": "first", "answer": "Left."}', "first"),
    ],
)
def test_what_stands_beside_a_reading_and_is_none_does_not_contradict_it(prompt, text, said):
    assert read(prompt, text) == said


@pytest.mark.parametrize(
    "text",
    [
        '{"overall": 7, "scope": 3, "criteria": {"scope": 7, "depth": 6}}',
        '{"overall": 7, "criteria": [{"criterion": "scope", "score": 3}, '
        '{"criterion": "scope", "score": 7}, {"criterion": "depth", "score": 6}]}',
        "Scope: 3\nScope: 7\nDepth: 6\nOverall: 7",
    ],
)
def test_a_criterion_that_is_given_twice_and_differently_is_none(text):
    value = parse(RATING, text)
    assert (value.overall, value.criteria.scope, value.criteria.depth) == (7, None, 6)


NOTES = ("placeholder", "example", "an example only", "e.g.", "template", "dummy value", "TBD")
NOTES += (
    "just a placeholder, please replace it",
    "your score here",
    "hypothetical",
    "to be filled in",
)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        *((RATING, f"Overall: 8 ({note})") for note in NOTES),
        *((RATING, rated(overall=f"8 ({note})")) for note in NOTES),
        *(
            (RATING, f"Overall: 8{note}")
            for note in ("/10 (example)", ", for example", " - sample")
        ),
        (RATING, "Overall (placeholder): 8"),
        (RATING, "Overall: 8\nNote: this is only a placeholder."),
        (RATING, "Overall: 8 (made up, not my score)"),
        (RATING, "Overall: 8 (not the actual score)"),
        (RATING, '{"overall": 8} (example)'),
        (RATING, '{"overall": 8, "note": "This is a placeholder."}'),
        (RATING, "For example:\nOverall: 8"),
        (RATING, "Overall: <score>"),
        (RATING, "Overall: <8>"),
        (RATING, rated(rationale="<rationale>")),
        (RATING, rated(rationale="This is an example.")),
        (SCORES, "Answer 1: 8 (example)\nAnswer 2: 7 (example)"),
        (VERDICT, "Winner: first (placeholder)"),
        (VERDICT, '{"rationale": "", "winner": "first (example)"}'),
        (VERDICT, "Winner: <first|second|tie>"),
    ],
)
def test_what_is_put_there_as_an_example_or_to_be_replaced_is_no_verdict(prompt, text):
    with pytest.raises(UnreadableReply):
        parse(prompt, text)


@pytest.mark.parametrize(
    ("prompt", "text", "said"),
    [
        (RATING, "Overall: 8 (a good example of clarity)", 8),
        (RATING, "Overall: 8 because it names an example", 8),
        (RATING, "Overall: 1 - the response is a placeholder", 1),
        (RATING, rated(rationale="An example would have helped."), 8),
        (VERDICT, "Winner: first (its example is exact)", "first"),
    ],
)
def test_a_reason_that_speaks_of_examples_is_a_reason(prompt, text, said):
    assert read(prompt, text) == said


def test_turns_inside_two_fences_are_no_turns():
    with pytest.raises(UnreadableReply, match="no line 'Question:' or 'User:'"):
        parse(TURNS, "```\n```\nQ: Which side?\nA: The left.\n```\n```")
