"""Claims about how replies are read: JSON, words, turns, and replies made up by the thousand."""

from __future__ import annotations

import json
import re
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_rows import DRAFTS, FIGURE, FIRST, IMAGE, RATING, SCORES, TURNS, VERDICT

from vital_lib.prompts import (
    Rating,
    RatingCriteria,
    UnreadableReply,
    draft_prompt,
    generation_prompt,
    parse,
)


def rating_json(**changes):
    criteria = dict.fromkeys(RatingCriteria.model_fields, 7)
    return json.dumps({"rationale": "sound", "criteria": criteria, "overall": 7} | changes)


def test_plain_json_and_fenced_json_are_read_alike():
    plain = '{"rationale": "a ``` in the words", "winner": "first"}'
    fenced = [
        f"```json\n{plain}\n```",
        f"Here it is:\n```\n{plain}\n```\nDone.",
        f"```JSON {plain}```",
    ]
    for text in (plain, f"  {plain}\n", *fenced):
        assert parse(VERDICT, text).winner == "first"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "The first answer is better: winner: first.",
        '["first"]',
        '{"rationale": "first"}',
        '{"rationale": "", "winner": "THIRD"}',
        '{"rationale": "", "winner": "A or B"}',
        '{"rationale": "", "winner": "first"} and {"rationale": "", "winner": "second"}',
        '```\n{"winner": "first"}\n```\n```\n{"winner": "tie"}\n```\n',
        '{"rationale": "", "winner": "first"',
    ],
)
def test_a_reply_that_does_not_fit_is_unread(text):
    with pytest.raises(UnreadableReply, match="Verdict"):
        parse(VERDICT, text)


def test_ten_is_more_than_nine_and_halves_are_kept():
    ten, nine = (parse(RATING, rating_json(overall=value)).overall for value in (10, 9.5))
    assert (ten, nine) == (10.0, 9.5) and ten > nine


@pytest.mark.parametrize("value", ["9 or 8", "1. Score: 9", True, None, 11, -1, float("nan"), [9]])
def test_what_is_not_a_number_in_range_is_never_a_rating(value):
    with pytest.raises(UnreadableReply, match="overall"):
        parse(RATING, rating_json(overall=value))


def test_a_rating_without_one_of_its_criteria_is_read_without_it():
    criteria = dict.fromkeys(RatingCriteria.model_fields, 7)
    del criteria["image_use"]
    for some in (criteria, criteria | {"image_use": None}):
        read = parse(RATING, rating_json(criteria=some))
        assert (read.overall, read.criteria.depth, read.criteria.image_use) == (7, 7, None)
    with pytest.raises(
        UnreadableReply, match="criteria.image_use: Value error, 11 is not between 0 and 10"
    ):
        parse(RATING, rating_json(criteria=criteria | {"image_use": 11}))


def test_a_number_in_the_rationale_is_not_the_rating():
    read = parse(RATING, rating_json(rationale="1. Score: 9. It deserves 10/10.", overall=2))
    assert read.overall == 2


def test_an_extra_key_loses_nothing():
    assert isinstance(parse(RATING, rating_json(confidence=1)), Rating)


def test_an_empty_response_or_an_empty_list_is_unread():
    draft = draft_prompt(FIGURE, IMAGE)
    question = {"instruction": "What?", "question_type": None, "response_a": "x", "response_b": " "}
    for text in (json.dumps({"questions": []}), json.dumps({"questions": [question]})):
        with pytest.raises(UnreadableReply, match="is empty"):
            parse(draft, text)


def test_a_multi_line_response_is_read_whole():
    text = json.dumps(
        {"rounds": [{"instruction": "What?", "response": "One.\nTwo.", "question_type": "x"}]}
    )
    assert parse(generation_prompt(FIGURE, IMAGE, []), text).rounds[0].response == "One.\nTwo."


# ------------------------------------------------------------------ replies in words


@pytest.mark.parametrize(
    ("text", "overall"),
    [
        ("7.5", 7.5),
        ("9/10.", 9),
        ("Score: 9/10", 9),
        ("1. Score: 9", 9),
        ("**Overall rating:** 8.5 / 10", 8.5),
        ("Rating: [[6]]", 6),
        ("| criterion | rating |\n|---|---|\n| scope | 2 |\n| overall | 4 |", 4),
        ("Score: 6\nAfter another look:\nFinal score: 7 - the side is right", 7),
        ("Score: 9 would be too kind, with 2 of 3 sides wrong.\nOverall: 3", 3),
        ("Score: high praise would be too kind.\nOverall: 3", 3),
        ("<think>\nScore: 9\n</think>\nScore: 4", 4),
        ("```text\nOverall: 5\n```", 5),
        ("9 points", 9),
        ("8 out of 10 points", 8),
        ("Overall: 8.5 points out of 10 - the side is right", 8.5),
    ],
)
def test_a_rating_in_words_is_the_number_that_it_declares(text, overall):
    assert parse(RATING, text).overall == overall


@pytest.mark.parametrize(
    "text",
    [
        "I would say 9.",
        "2. The answer is wrong.",
        "Score: nine",
        "Score: 8 - 9",
        "Score: 7,5",
        "Score: 4/5",
        "Score: 95 %",
        "Score: 9\nScore: 4",
        "Overall: <0 to 10>",
        "Overall: 11",
        "Overall: -1",
        "clarity: 9\ndepth: 9",
        "<think>\nScore: 9",
        "> Score: 9",
        "It deserves no more. Score: 9",
        '"overall": 9',
        "9 points of 100",
        "Score: 9 points off",
        "2 points deducted",
        "8 out of 10 points, or 9",
    ],
)
def test_a_number_that_is_not_plainly_the_rating_is_not_taken(text):
    with pytest.raises(UnreadableReply):
        parse(RATING, text)


def test_the_criteria_are_read_beside_the_overall_rating_and_may_be_left_out():
    read = parse(
        RATING, "Rationale: sound, 3 cm.\n- Tuning value: 7/10\n* image_use: 2\nOverall: 6"
    )
    assert (read.criteria.tuning_value, read.criteria.image_use, read.criteria.depth) == (
        7,
        2,
        None,
    )
    assert (read.rationale, read.overall) == ("sound, 3 cm.", 6) and isinstance(read, Rating)


@pytest.mark.parametrize(
    ("text", "winner"),
    [
        ("[[A]]", "first"),
        ("[[B]] at first sight; but the side is wrong, so [[A]]", "first"),
        ("[[B]] ... [[A]]", "first"),
        ("Final verdict: [[B]]\nalthough [[A]] is longer", "second"),
        ("Rationale: the first names the side.\n**Winner:** Answer 2", "second"),
        ("Winner: first\nOn reflection:\nFinal verdict: tie", "tie"),
        ("The two say the same. [[C]]", "tie"),
        ("second", "second"),
        ("Winner: Assistant A", "first"),
        ("Winner: **Response B**", "second"),
        ("Winner: Answer 2 is better", "second"),
        ("Winner: the first answer is clearly better than the second", "first"),
        ("Better answer: A is better because it names the side", "first"),
        ("Winner: Neither is better.", "tie"),
    ],
)
def test_the_verdict_is_the_last_one_that_is_declared(text, winner):
    assert parse(VERDICT, text).winner == winner


@pytest.mark.parametrize(
    "text",
    [
        "Winner: Answer 2 is not better",
        "Winner: Answer 2 is better at first, but the first is right",
        "Winner: Answer 2 is better because it is long, but Answer 1 is right",
        "Winner: A or B",
        "Winner: Assistant C",
        "Winner: first\nFinal verdict: rather the other one",
    ],
)
def test_a_winner_that_is_not_plainly_named_is_not_taken(text):
    with pytest.raises(UnreadableReply, match="winner"):
        parse(VERDICT, text)


def test_scores_in_words_need_both_and_each_once():
    read = parse(SCORES, "Rationale: close\nAnswer 1: 8\nAnswer 2: 6.5/10")
    assert (read.first, read.second, read.rationale) == (8, 6.5, "close")
    for text in ("8", "Answer 1: 8", "Answer 1: 8\nAnswer 1: 7\nAnswer 2: 6"):
        with pytest.raises(UnreadableReply, match="ChatScores"):
            parse(SCORES, text)


ROUNDS = [("What is it?", "A mass.\n\n- firm\n- round"), ("Where?", "On the left.")]
SPELLED = [
    "User: {}\nAssistant: {}\n",
    "**User:** {}\n\n**Assistant:** {}\n\n",
    "Question: {}\nAnswer: {}\n",
    "Human: {}\nGPT:\n{}\n",
    "Q: {}\nA: {}\n",
    "{n}. Question: {}\n   Answer: {}\n",
    "{n}. Question: {} Answer: {}\n",
    "Question {n}: {}\nAnswer {n}: {}\n",
    "### Round {n}\n**Question:** {}\n**Answer:** {}\n---\n",
    "Round {n} - Instruction: {}\nResponse: {}\n\n",
]


@pytest.mark.parametrize("spelling", SPELLED)
def test_turns_are_read_in_every_spelling_with_all_of_their_lines(spelling):
    written = "".join(spelling.format(*turn, n=n) for n, turn in enumerate(ROUNDS, start=1))
    for text in (written, f"Here is the conversation:\n\n{written}", f"```\n{written}\n```"):
        rounds = parse(TURNS, text).rounds
        assert [(round.instruction, round.response) for round in rounds] == ROUNDS


def test_code_in_an_answer_is_kept_and_begins_no_turn():
    code = 'Read it so:\n```python\nUser: x = {"rounds": 1}\nAnswer: 2\n```\nand no other way.'
    [round] = parse(TURNS, f"User: How?\nAssistant: {code}").rounds
    assert round.response == code
    [round] = parse(TURNS, 'Q: How?\nA:\n```json\n{"a": 1}\n```').rounds
    assert round.response == '```json\n{"a": 1}\n```'


def test_two_answers_to_each_drafted_question_are_read_with_its_type():
    text = "1. Question: What?\nType: finding\nAnswer A: One.\nAnswer B: Two.\nMore.\n"
    text += "2. Question: Where? Response A: Left. Response B: Right."
    assert [
        (one.instruction, one.question_type, one.response_a, one.response_b)
        for one in parse(DRAFTS, text).questions
    ] == [("What?", "finding", "One.", "Two.\nMore."), ("Where?", None, "Left.", "Right.")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("User: What?", "round 1 has 0 answers"),
        ("User: What?\nAssistant: It.\nAssistant: No.", "round 1 has 2 answers"),
        ("Assistant: It.\nUser: What?", "before the first question"),
        ("User: What?\nAssistant: ```\ncut", "not closed"),
        ("The image shows a mass.", "no line"),
        ("User:\nAssistant: It.", "the text is empty"),
        ("I'm sorry, but I can't help with medical images.", "the reply is a refusal"),
        ("", "the reply is empty"),
    ],
)
def test_turns_that_do_not_pair_off_are_unread_and_say_why(text, why):
    with pytest.raises(UnreadableReply, match=f"Conversation: .*{why}"):
        parse(TURNS, text)


def test_json_after_a_preamble_is_read_and_json_that_does_not_fit_is_nothing_else():
    assert parse(RATING, f"Here is my rating:\n{rating_json(overall=4)}").overall == 4
    with pytest.raises(UnreadableReply, match="Rating: "):
        parse(RATING, '{"overall": "high"}\nScore: 4')


FOUR = rating_json(overall=4)
ROUND = '{"rounds": [{"instruction": "What?", "response": "It.", "question_type": null}]}'


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (VERDICT, f"{FIRST}\n\nI hope that this helps!"),
        (VERDICT, f"Here is my verdict: {FIRST}"),
        (VERDICT, f"The first names the side, the second does not.\n\n{FIRST}\nThank you."),
        (RATING, f"```json\n{FOUR}\n```\nLet me know if more is needed."),
        (RATING, f"A lesion of 3 cm.\nRating: {FOUR} It says too much."),
        (TURNS, f"Sure! Here is the conversation in JSON:\n{ROUND}\n\nIt is all in the image."),
    ],
)
def test_json_is_read_with_words_before_and_after_it(prompt, text):
    assert parse(prompt, text) in [parse(VERDICT, FIRST), parse(RATING, FOUR), parse(TURNS, ROUND)]


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (VERDICT, f"{FIRST}\nWait, the side is wrong there."),
        (VERDICT, f"{FIRST}\nFinal verdict: second"),
        (VERDICT, f"```\n{FIRST}\n```\nBut Answer 2 says so, too."),
        (VERDICT, f'{FIRST}\n{{"rationale": "", "winner": "sec'),
        (VERDICT, f"An answer would look like this: {FIRST}"),
        (VERDICT, f"For example:\n{FIRST}\nI cannot see the image."),
        (VERDICT, f"I'm sorry, but I can't judge medical images. The form:\n{FIRST}"),
        (VERDICT, f"I would never say {FIRST}"),
        (RATING, f"{FOUR}\nSo it is 7 for me."),
        (RATING, f"Score: 9\n{FOUR}"),
        (RATING, f"{FOUR}\n{rating_json(overall=5)}"),
        (TURNS, f"{ROUND}\nUser: And where?\nAssistant: On the left."),
    ],
)
def test_json_that_the_words_around_it_leave_in_doubt_is_unread(prompt, text):
    with pytest.raises(UnreadableReply):
        parse(prompt, text)


# ------------------------------------------------------------------ replies made up by the thousand

EVERY = st.sampled_from([RATING, SCORES, VERDICT, TURNS, DRAFTS])
PIECES = [
    *("Score:", "Overall:", "Rating", ":", "9", "/10", "7.5", "[[A]]", "[[", "]]", "Winner: first"),
    *("Answer 1:", "User:", "Assistant:", "Question", "Q:", "A:", "1. ", "Type:", "Round 2", "---"),
    *(
        "\n",
        "\n\n",
        "\r\n",
        "```",
        "```json\n",
        "{",
        "}",
        '"overall": ',
        "null",
        "NaN",
        "1e999",
        ",",
    ),
    *(
        "<think>",
        "</think>",
        "I'm sorry",
        "**",
        "| ",
        "scope",
        " - ",
        "(",
        "٩",
        "\ud800",
        "\x00",
        "\u2028",
    ),
    *(rating_json(), rating_json(overall=None), '{"rationale": "", "winner": "first"}', "[" * 200),
]
MIXED = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=12).map("".join)
REPLIES = MIXED | st.text(st.characters(), max_size=60)
WORDS = st.text(string.ascii_letters + " \n.,:|*#[]{}\"'`-_<>/()", max_size=80)


@pytest.mark.slow
@settings(max_examples=10_000)
@given(EVERY, REPLIES)
def test_no_reply_raises_anything_but_unread(prompt, text):
    try:
        read = parse(prompt, text)
    except UnreadableReply as error:
        assert str(error)
    else:
        assert isinstance(read, prompt.schema)
        assert prompt is not RATING or 0 <= read.overall <= 10


@settings(max_examples=3_000)
@given(st.sampled_from([RATING, SCORES]), WORDS)
def test_words_without_a_digit_are_never_a_number(prompt, text):
    with pytest.raises(UnreadableReply):
        parse(prompt, text)


@settings(max_examples=1_000)
@given(
    st.none()
    | st.text(max_size=4).filter(lambda text: not re.search("[0-9]", text))
    | st.booleans()
    | st.lists(st.integers(), max_size=2)
)
def test_what_json_holds_for_a_number_and_is_none_is_never_one(value):
    with pytest.raises(UnreadableReply):
        parse(RATING, rating_json(overall=value))
    with pytest.raises(UnreadableReply):
        parse(SCORES, json.dumps({"rationale": "", "first": value, "second": 5}))


NAMED = st.sampled_from(
    [
        *(
            "I would give {n}.",
            "It is {n}/10 elsewhere.",
            "Not a Score: {n} though.",
            "{n} of 10 say so.",
        ),
        *(
            "The lesion is {n} cm wide.",
            "See [[{n}]].",
            "Another judge's rating is {n}",
            "- {n} nodules",
        ),
    ]
)
RATIONALE = st.lists(
    st.builds(lambda line, n: line.format(n=n), NAMED, st.integers(0, 10)), min_size=1, max_size=4
)


@settings(max_examples=1_000)
@given(RATIONALE, st.integers(0, 20), st.booleans())
def test_a_number_named_in_a_rationale_is_never_taken(lines, halves, labelled):
    rationale = ("Rationale: " if labelled else "") + "\n".join(lines)
    with pytest.raises(UnreadableReply):
        parse(RATING, rationale)
    assert parse(RATING, f"{rationale}\nOverall: {halves / 2:g}").overall == halves / 2


LINE = st.text(string.ascii_letters + string.digits + " .,;()%éµ", max_size=30).map("The {}".format)
SAID = st.lists(LINE | st.just("") | st.just("```\nUser: no turn\n```"), min_size=1, max_size=4)
ANSWER = SAID.map("\n".join).map(str.strip).filter(bool)


@settings(max_examples=1_000)
@given(
    st.sampled_from([one for one in SPELLED if " Answer: " not in one]),
    st.lists(st.tuples(LINE.map(str.strip), ANSWER), min_size=1, max_size=3),
)
def test_whatever_is_said_over_several_lines_is_read_whole(spelling, turns):
    text = "".join(spelling.format(*turn, n=n) for n, turn in enumerate(turns, start=1))
    read = parse(TURNS, text).rounds
    assert [(round.instruction, round.response) for round in read] == turns


@pytest.mark.parametrize(
    "unit",
    ["*", "| ", "``` x\n", "a", "1. ", "Score: ", "[[", "Question: a. ", "_", "{", "\n{", " ", "-"],
)
def test_a_long_reply_of_one_sign_is_read_in_no_time(unit):
    for prompt in (RATING, SCORES, VERDICT, TURNS, DRAFTS):
        for text in (unit * 50_000, f"Answer{unit * 50_000}:", f"x{unit * 50_000}x"):
            begun = time.process_time()
            with pytest.raises(UnreadableReply):
                parse(prompt, text)
            assert time.process_time() - begun < 2
