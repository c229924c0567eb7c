"""Undo and revision of judgements on the preference card."""

from __future__ import annotations

import pandas as pd
import pytest
from card_acts import choose
from preference_card_rows import DRAFTS, ROWS, send_judgement

from vital_lib.labels import FixedQueue, Queue
from vital_lib.panels import preference_card
from vital_lib.panels.preference_card.item_key import item_key

pytest_plugins = "preference_card_rows"


def test_undo_goes_back_to_the_first_card_across_reloads(card_on, log):
    first = card_on()
    for _ in range(3):
        choose(first, "both")
    again = card_on()
    assert [again.undo() is None for _ in range(4)] == [False, False, False, True]
    assert again.item_id == ROWS.item_id[0]
    assert log.preferences().empty
    choose(again, "left")
    choose(again, "right")
    assert list(log.preferences()["item_id"]) == list(ROWS.item_id[:2])


def test_an_undone_item_returns_with_its_sides_and_its_former_judgement(card_on, log):
    card = card_on()
    choose(card, "left", reasons=["depth"], note="too short")
    taken_back = card.undo()
    assert taken_back == log.history()["event_id"][0]
    whole = card.sent[-1]
    assert whole["whole"] and "Undone" in whole["word"]
    shown = whole["cards"][0]
    assert shown["left"] == DRAFTS["response"][0]
    assert shown["before"] == {
        "said": "left accepted, right rejected",
        "reasons": ["depth"],
        "note": "too short",
    }
    assert len(whole["cards"]) == 5  # the undone item and the four held items


def test_undo_without_a_judgement_shows_a_message(card):
    assert card.undo() is None
    assert card.sent[-1]["word"] == "There is nothing to undo."


def test_undo_ignores_judgements_outside_the_card(card_on, log):
    elsewhere = {"item_id": "x", "left_id": "xa", "right_id": "xb", "annotator": "ann"}
    log.record(**elsewhere, left_accepted=True, right_accepted=True)
    card = card_on()
    assert card.undo() is None
    assert len(log.standing("ann")) == 1
    assert "not on this card" in card.sent[-1]["word"]


def test_the_history_lists_standing_judgements_latest_first(card, log):
    choose(card, "left", reasons=["accuracy"])
    choose(card, "skip", unsafe=True)
    choose(card, "both")
    card.undo()
    rows = card.history()
    assert [row["said"] for row in rows] == ["flagged as unsafe", "left accepted, right rejected"]
    assert rows[1]["reasons"] == ["accuracy"]
    assert card.sent[-1]["history"] == rows and card.sent[-1]["next"] is None
    assert card.history(start=1) == rows[1:]


def test_undo_history_and_revision_are_limited_to_the_cards_arms(card_on, log):
    votes = pd.DataFrame(columns=["item_id", "annotator", "candidate_id", "accepted"])
    voting = card_on()
    calibrating = card_on(ROWS.iloc[1:2].assign(drawn_by="calibration"))
    settling = card_on(ROWS.iloc[2:3].assign(drawn_by="adjudication"), votes=votes)
    cards = {"random": voting, "calibration": calibrating, "adjudication": settling}
    for card in cards.values():
        choose(card, "left")
    for arm, card in cards.items():
        (row,) = card.history()
        assert log.standing("ann", arms=[arm])["event_id"].tolist() == [row["event_id"]]
        others = log.standing("ann").query("drawn_by != @arm")["event_id"]
        with pytest.raises(ValueError, match="is not a current judgement of 'ann' on this card"):
            card.revise(others.iloc[0])
        assert card.undo() == row["event_id"]
        assert card.undo() is None
        assert log.standing("ann")["event_id"].tolist() == others.tolist()
        choose(card, "left")


def test_calibration_answers_are_final(card_on, log):
    rows = ROWS.assign(drawn_by="calibration")
    reference = dict.fromkeys(DRAFTS.candidate_id, True)
    card = card_on(rows, reference=reference)
    other = card_on(rows, reference=reference)
    choose(card, "left")
    first = log.history()["event_id"][0]
    assert [row["event_id"] for row in card.history()] == [first]
    for act in (card.undo, lambda: card.revise(first)):
        assert act() is None
        assert card.sent[-1]["word"] == "Calibration answers are final: the first answer counts."
        assert card.sent[-1]["whole"] and card.item_id == rows.item_id[1]
    answer = send_judgement(other, item_key(rows.iloc[0]), "e2")[0]  # another window
    assert answer["final"] and "first answer" in answer["why"]
    assert log.history()["event_id"].tolist() == [first]


def test_an_undone_or_revised_item_that_is_still_held_is_held_once(card_on, log):
    holding = card_on(queue=FixedQueue(ROWS, "ann"))
    choose(card_on(), "left")
    first = log.history()["event_id"][0]
    for act in (lambda: holding.revise(first), holding.undo):
        act()
        keys = [one["key"] for one in holding.sent[-1]["cards"]]
        assert len(keys) == len(set(keys)) == 4 and holding.item_id == ROWS.item_id[0]


def test_an_undone_item_is_leased_again(card_on, log):
    earlier = card_on(queue=Queue(log, DRAFTS, "ann", wanted=1, repeats=0, lease=1e-6))
    item_id = earlier.item_id
    choose(earlier, "left")
    card = card_on(queue=Queue(log, DRAFTS, "ann", wanted=1, repeats=0))
    card.undo()
    bob = Queue(log, DRAFTS, "bob", wanted=1, repeats=0)
    assert item_id not in [row["item_id"] for row in bob.take(99)]
    assert card.item_id == item_id


@pytest.mark.parametrize("side", ["left_id", "right_id"])
def test_undo_keeps_judgements_whose_drafts_are_gone(card_on, log, side):
    choose(card_on(), "left")
    left = DRAFTS[DRAFTS["candidate_id"] != ROWS[side][0]]
    card = card_on(ROWS.iloc[1:], left)
    assert card.undo() is None and "not on this card" in card.sent[-1]["word"]
    assert card.history() == []
    with pytest.raises(ValueError, match="is not a current judgement of 'ann' on this card"):
        card.revise(log.history()["event_id"][0])
    assert len(log.history()) == 1


def test_an_empty_calibration_or_adjudication_undoes_no_vote(card_on, log):
    choose(card_on(), "left")
    votes = pd.DataFrame(columns=["item_id", "annotator", "candidate_id", "accepted"])
    for more in ({"reference": {}}, {"votes": votes}):
        assert card_on(ROWS.iloc[:0], **more).undo() is None
    assert len(log.preferences()) == 1


def test_the_title_names_the_kind_of_card(card_on):
    adjudication = card_on(ROWS.assign(drawn_by="adjudication"))
    titles = [
        card.widget.state["title"] for card in (card_on(), card_on(reference={}), adjudication)
    ]
    assert titles == ["Preferences", "Calibration", "Adjudication"]
    practice = card_on(practice=True).widget.state["title"]
    assert practice == "Preferences · practice: labels do not count"


def test_the_history_hides_the_first_answer_while_its_repeat_is_open(card_on, log):
    first = card_on()
    choose(first, "left")
    choose(first, "both")
    event_id = log.history()["event_id"][0]
    repeat = pd.concat([ROWS.iloc[:1].assign(repeat_of=event_id), ROWS.iloc[2:3]])
    card = card_on(queue=FixedQueue(repeat, "ann"))
    assert [row["said"] for row in card.history()] == ["left accepted, right accepted"]
    choose(card, "right")
    assert len(card.history()) == 3


def test_a_long_history_is_read_by_page(card_on, log, monkeypatch):
    monkeypatch.setattr(preference_card.card, "_PAGE", 2)
    card = card_on()
    for _ in range(5):
        choose(card, "both")
    limits = []
    standing = log.standing
    monkeypatch.setattr(log, "standing", lambda *a, **k: limits.append(k) or standing(*a, **k))
    pages = [card.history(start) for start in (0, 2, 4)]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [one["next"] for one in card.sent[-3:]] == [2, 4, None]
    assert [given["limit"] for given in limits] == [3, 5, 7]
    card.revise(pages[1][0]["event_id"])
    choose(card, "left")
    card.undo()
    assert pages[1][0]["event_id"] in set(standing("ann")["event_id"])


def test_no_action_reads_the_whole_log(card_on, log, monkeypatch):
    card = card_on(queue=Queue(log, DRAFTS, "ann", repeats=0))
    choose(card, "left")
    event_id = card.history()[0]["event_id"]
    standing = log.standing

    def bounded(annotator, item_id=None, arms=None, limit=None):
        assert item_id or limit, "the whole log"
        return standing(annotator, item_id, arms, limit)

    monkeypatch.setattr(log, "standing", bounded)
    choose(card, "both")
    card.undo()
    card.revise(event_id)
    choose(card, "right")
    assert log.preferences()["choice"].tolist() == ["right"]


def test_undoing_a_revision_shows_the_former_judgement_which_can_be_kept(card, log):
    choose(card, "left")
    first = log.history()["event_id"][0]
    card.revise(first)
    choose(card, "neither")
    card.undo()
    shown = card.sent[-1]["cards"][0]
    assert shown["revises"] and shown["before"]["said"] == "left accepted, right rejected"
    assert "previous judgement is restored" in card.sent[-1]["word"]
    card.keep()
    assert card.item_id == ROWS.item_id[1]
    assert log.standing("ann")["event_id"].tolist() == [first]


def test_a_revision_appends_a_correction_and_returns_to_the_queue(card, log):
    choose(card, "left")
    choose(card, "both")
    first = log.history()["event_id"][0]
    card.revise(first)
    assert card.item_id == ROWS.item_id[0]
    assert card.sent[-1]["cards"][0]["revises"]
    choose(card, "neither")
    assert card.item_id == ROWS.item_id[2]
    events = log.history()
    assert len(events) == 3 and events["corrects"][2] == first
    assert dict(zip(log.preferences().item_id, log.preferences().choice, strict=True)) == {
        ROWS.item_id[0]: "neither",
        ROWS.item_id[1]: "both",
    }


def test_keeping_a_judgement_under_revision_changes_nothing(card, log):
    choose(card, "left")
    card.revise(log.history()["event_id"][0])
    card.keep()
    assert card.item_id == ROWS.item_id[1]
    assert len(log.history()) == 1


def test_only_standing_judgements_can_be_revised(card, log):
    choose(card, "left")
    taken_back = card.undo()
    for event_id in (taken_back, "nothing"):
        with pytest.raises(ValueError, match=event_id):
            card.revise(event_id)
