"""The preference card with a guideline to read first, and in a calibration round."""

from __future__ import annotations

import json
from functools import partial

import pytest
from preference_card_rows import ROWS, held_cards, send_call, send_judgement

from vital_lib.labels import calibration_feedback, calibration_now, guideline
from vital_lib.panels.preference_card import CRITERIA

pytest_plugins = "preference_card_rows"

ROUND = ROWS.head(2).assign(drawn_by="calibration")
REFERENCE = dict.fromkeys(ROUND.left_id, True) | dict.fromkeys(ROUND.right_id, False)


def _voted(log) -> dict:
    """Two people vote as `REFERENCE` says, with reasons and notes; the feedback for ann."""
    ticks = {"left_accepted": True, "right_accepted": False}
    for item in ROUND.itertuples():
        ids = {"item_id": item.item_id, "left_id": item.left_id, "right_id": item.right_id}
        log.record(annotator="bob", **ids, **ticks, reasons=["accuracy", "depth"], note="private")
        log.record(annotator="kim", **ids, **ticks, reasons=["accuracy"])
    return calibration_feedback(log.history(), "ann", ROUND["item_id"])


@pytest.fixture
def round_of(card_on, log):
    """A function that makes the card of ann's calibration round."""

    def make(**more):
        return card_on(ROUND, reference=REFERENCE, others=_voted(log), **more)

    return make


def test_every_reason_comes_with_the_guidelines_sentence(card_on):
    offered = card_on(guideline=guideline()).widget.state["reasons"]
    assert [name for name, *_ in offered] == list(CRITERIA)
    assert [
        "image_use",
        "image use",
        "it needs the image and rests on what can be seen there.",
    ] in (offered)
    assert all(meaning for *_, meaning in offered)
    assert card_on(reasons=["speed"]).widget.state["reasons"] == [["speed", "speed", ""]]


def test_a_guideline_to_read_first_has_an_edition_that_changes_with_its_text(card_on):
    def edition(text: str, **more) -> str:
        return card_on(guideline=text, **more).widget.state["edition"]

    first = edition("Judge alone.", guideline_first=True)
    assert first == edition("Judge alone.", guideline_first=True) != ""
    assert first != edition("Judge alone!", guideline_first=True)
    assert edition("Judge alone.") == edition("", guideline_first=True) == ""


def test_feedback_says_how_many_others_decided_so_and_why(round_of):
    card = round_of()
    key = held_cards(card)[0]["key"]
    assert "accuracy" not in json.dumps(card.sent)
    told = send_judgement(card, key, "e1", True, True)[0]["feedback"]
    assert told["accepted"] == {"left": 2, "right": 0}
    assert (told["judged"], told["annotators"]) == (2, 2)
    assert told["reasons"] == {"accuracy": 2, "depth": 1}
    assert told["so_far"].endswith("of 0 of 1 item. You accepted 1 response that they rejected.")
    sent = json.dumps(card.sent)
    assert not any(word in sent for word in ("bob", "kim", "private"))


def test_without_others_the_feedback_has_the_reference_alone(card_on):
    card = card_on(ROUND, reference=REFERENCE)
    told = send_judgement(card, held_cards(card)[0]["key"], "e1")[0]["feedback"]
    assert told["reference"] == {"left": True, "right": False}
    assert (told["judged"], told["reasons"]) == (0, {})


def test_an_open_round_follows_the_votes_that_are_withdrawn_and_given_meanwhile(card_on, log):
    _voted(log)
    now = partial(calibration_now, log, "people", "ann", set(ROUND["item_id"]))
    card = card_on(ROUND, reference=now)
    log.undo("kim")  # the vote on the second item
    first, second = (item["key"] for item in held_cards(card))
    told = send_judgement(card, first, "e1", True, False)[0]["feedback"]
    assert told["reference"] == {"left": True, "right": False} and told["judged"] == 2
    told = send_judgement(card, second, "e2", True, False)[0]["feedback"]
    assert told["reference"] == {"left": None, "right": None}
    assert (told["judged"], told["so_far"]) == (
        1,
        "You agree with the others on both responses of 1 of 1 item.",
    )
    item = ROUND.iloc[1]
    log.record(
        annotator="kim",
        left_accepted=False,
        right_accepted=False,
        **item[["item_id", "left_id", "right_id"]],
    )
    (message,) = send_call(card, "review")  # a judged item keeps the feedback of its time
    assert [one["judged"] for one in message["review"]] == [2]


def test_a_vote_gets_no_feedback(card):
    assert send_judgement(card, held_cards(card)[0]["key"], "e1")[0]["feedback"] is None


def test_a_finished_round_can_be_reviewed_in_order_and_an_unfinished_one_cannot(round_of, log):
    card = round_of()
    first, second = (item["key"] for item in held_cards(card))
    send_judgement(card, first, "e1", True, True, reasons=["scope"], note="<b>mine</b>")
    assert "only a finished calibration round" in send_call(card, "review")[0]["why"]
    send_judgement(card, second, "e2", None, None, cannot_judge=True)
    (message,) = send_call(card, "review")
    one, two = message["review"]
    assert [item["card"]["key"] for item in (one, two)] == [first, second]
    assert one["act"] == {
        **{"left_accepted": True, "right_accepted": True, "cannot_judge": False, "unsafe": False},
        **{"reasons": ["scope"], "note": "<b>mine</b>"},
    }
    assert two["act"]["left_accepted"] is None and two["act"]["cannot_judge"]
    assert one["reasons"] == {"accuracy": 2, "depth": 1}
    assert one["so_far"] == two["so_far"]  # of the whole round
    json.dumps(message)  # plain values
    assert len(log.calibrations()) == 2


def test_a_card_for_votes_has_nothing_to_review(card):
    (message,) = send_call(card, "review")
    assert "only a finished calibration round" in message["why"]
