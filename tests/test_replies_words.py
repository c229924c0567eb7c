"""Replies in words, with thoughts and marks: what is read of them, and what is in doubt."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from prompt_rows import EIGHT, FIRST, RATING, SCORES, TURNS, VERDICT, rated, read, with_criteria

from vital_lib.prompts import UnreadableReply, Verdict, parse

THREE = rated(overall=3)


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


# ------------------------------------------------------------------ time


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
