"""Turns of a conversation as today's models word them: where each begins and ends."""

from __future__ import annotations

import json
import re

import pytest
from prompt_rows import DRAFTS, TURNS, read

from vital_lib.prompts import PartConversation, PartDrafts, UnreadableReply, parse

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


def test_turns_inside_two_fences_are_no_turns():
    with pytest.raises(UnreadableReply, match="no line 'Question:' or 'User:'"):
        parse(TURNS, "```\n```\nQ: Which side?\nA: The left.\n```\n```")
