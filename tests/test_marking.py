"""Which words are marked for a flag, and that marking changes no text."""

from __future__ import annotations

import pytest

from vital_lib.generation import FLAGS
from vital_lib.generation.marking import marked

CAPTION = "Figure 2. Axial CT scan shows 2 lesions of 3.5 cm in the LEFT kidney, without fracture."
MENTION = "The upper left panel: no effusion was seen; both lungs are unremarkable."


def _words(flag: str, response: str) -> list[list[str]]:
    pieces = marked([CAPTION, MENTION], response, [flag])
    return [[words for words, on in own if on] for own in pieces]


@pytest.mark.parametrize(
    ("flag", "response", "found"),
    [
        ("side_against_text", "It lies in the Right kidney.",
         [["LEFT"], ["both lungs"], ["Right"]]),  # the "upper left panel" is a place on the page
        ("modality_against_text", "This MRI shows it.", [["CT"], [], ["MRI"]]),
        ("number_against_text", "Three lesions, 9 cm wide.",
         [["2", "3.5 cm"], [], ["Three", "9 cm"]]),
        ("negation_against_text", "There is a fracture.",
         [["lesions", "without", "fracture"], ["no", "effusion", "unremarkable"], ["fracture"]]),
        ("names_the_text", "As the caption says, two.", [[], [], ["caption"]]),
        ("repeats_the_text", "We see: axial ct scan shows 2 lesions of 3.5 cm, surely.",
         [["Axial CT scan shows 2 lesions of 3.5 cm"], [],
          ["axial ct scan shows 2 lesions of 3.5 cm"]]),
        ("refuses", "I cannot see a left kidney.", [[], [], []]),
    ],
)  # fmt: skip
def test_the_words_that_a_flag_is_about_are_marked(flag, response, found):
    assert _words(flag, response) == found


@pytest.mark.parametrize("text", ["", CAPTION, MENTION, "İstanbul LEFT ﬁbrosis: no 3 cm É left"])
def test_the_pieces_joined_are_the_text_as_written(text):
    for own in marked([text, MENTION], text, FLAGS):
        assert all(words for words, _ in own) or len(own) == 1
    first, _, last = marked([text, MENTION], text, FLAGS)
    assert "".join(words for words, _ in first) == text == "".join(words for words, _ in last)


def test_without_a_flag_nothing_is_marked():
    assert marked([CAPTION], "left", []) == [[(CAPTION, False)], [("left", False)]]
