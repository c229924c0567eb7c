"""JSON as today's models write it: other names, fences, spelling, words around it."""

from __future__ import annotations

import json

import pytest
from prompt_rows import (
    CRITERIA,
    DRAFTS,
    EIGHT,
    FIRST,
    RATING,
    SCORES,
    TURNS,
    VERDICT,
    rated,
    read,
    with_criteria,
)

from vital_lib.prompts import Rating, UnreadableReply, Verdict, parse

SECOND = FIRST.replace("first", "second")
SCORED = '{"rationale": "close", "first": 8, "second": 7}'


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
