"""The preference card loses and duplicates no label: faults, leases, votes in view."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import pandas as pd
import pytest
from card_acts import choose
from preference_card_rows import (
    DRAFTS,
    FIGURES,
    ROWS,
    draft_rows,
    held_cards,
    item_rows,
    send_call,
    send_judgement,
)

from vital_lib.labels import FixedQueue, LabelLog, LabelsNotSaved, Queue
from vital_lib.panels.preference_card.item_key import item_key

pytest_plugins = "preference_card_rows"


class Failing:
    """A log that raises LabelsNotSaved while `broken` is set."""

    def __init__(self, log: LabelLog) -> None:
        self._log, self.broken = log, False

    def __getattr__(self, name: str):
        if self.broken:
            raise LabelsNotSaved("the disk is full")
        return getattr(self._log, name)


# --- no label lost or duplicated


def test_an_event_sent_again_is_one_judgement(card, log):
    key = held_cards(card)[0]["key"]
    for _ in range(3):
        assert send_judgement(card, key, "e1")[0]["saved"] == "e1"
    assert list(log.history()["event_id"]) == ["e1"]
    assert card.item_id == ROWS.item_id[1]


def test_a_failed_save_is_reported_and_the_event_can_be_saved_later(card_on, log):
    failing = Failing(log)
    card = card_on(use=failing)
    key = held_cards(card)[0]["key"]
    failing.broken = True
    answer = send_judgement(card, key, "e1")
    assert answer == [
        {
            **{"failed": "e1", "why": "the disk is full", "final": False},
            "said": "left accepted, right rejected",
        }
    ]
    assert card.item_id == ROWS.item_id[0]
    failing.broken = False
    assert send_judgement(card, key, "e1")[0]["saved"] == "e1"
    assert list(log.history()["event_id"]) == ["e1"]


def test_a_method_raises_the_logs_error(card_on, log):
    failing = Failing(log)
    card = card_on(use=failing)
    failing.broken = True
    with pytest.raises(LabelsNotSaved):
        choose(card, "left")
    failing.broken = False
    choose(card, "left")
    assert len(log.preferences()) == 1


def test_saved_is_sent_even_if_the_next_item_is_unavailable(card_on, log):
    class Gone:
        annotator, progress = "ann", (0, 6)

        def __init__(self) -> None:
            self.rows = ROWS.to_dict("records")[:2]

        def take(self, n):
            if not self.rows:
                raise LabelsNotSaved("gone away")
            rows, self.rows = self.rows, []
            return rows

        def still_open(self, rows):
            return rows

        def release(self) -> None:
            raise LabelsNotSaved("gone away")

    card = card_on(queue=Gone())
    keys = [item_key(row) for row in card._held]
    saved, failed = send_judgement(card, keys[0], "e1")
    assert saved["saved"] == "e1"
    assert "gone away" in failed["why"]
    assert send_judgement(card, keys[1], "e2")[0]["saved"] == "e2"


def test_a_judgement_stored_in_the_browser_is_saved_by_another_kernel(card_on, log):
    key = held_cards(card_on())[2]["key"]
    again = card_on()
    assert send_judgement(again, key, "kept")[0]["saved"] == "kept"
    assert list(log.preferences()["item_id"]) == [ROWS.item_id[2]]
    assert ROWS.item_id[2] not in [row["item_id"] for row in again._held]


def test_two_windows_on_one_item_leave_one_standing_judgement(card_on, log):
    one, two = card_on(), card_on()  # two kernels, like two tabs of the labelling service
    key = held_cards(one)[0]["key"]
    send_judgement(one, key, "e1", True, False)
    send_judgement(two, key, "e2", False, True)
    assert list(log.standing("ann")["event_id"]) == ["e2"]
    assert list(log.preferences()["choice"]) == ["right"]
    assert list(log.history()["corrects"].fillna("")) == ["", "e1"]


def test_a_window_with_another_strategy_still_corrects_the_judgement(card_on, log):
    one, two = card_on(), card_on(ROWS.assign(drawn_by="cluster"))
    send_judgement(one, held_cards(one)[0]["key"], "e1")
    two.sent.clear()
    key = item_key({**ROWS.iloc[0], "drawn_by": "cluster"})
    assert send_judgement(two, key, "e2")[0]["saved"] == "e2"
    assert list(log.standing("ann")["drawn_by"]) == ["random"]


def _voting(log, drafts=DRAFTS):
    return Queue(log, drafts, "ann", repeats=0)


@pytest.mark.parametrize("arm", ["calibration", "adjudication"])
def test_an_item_judged_with_others_votes_in_view_is_no_longer_shown_for_voting(card_on, log, arm):
    voting = card_on(queue=_voting(log))
    shown, second = (row.copy() for row in voting._held[:2])
    card = card_on(pd.DataFrame([{**shown, "drawn_by": arm}]))
    choose(card, "both")
    (message,) = send_call(voting, "refresh")
    keys = [card["key"] for card in message["cards"]]
    assert message["whole"] and len(keys) == 4
    assert keys[0] == item_key(second) and voting.item_id == second["item_id"]
    # A window that still shows the item sends a judgement of it.
    answer = send_judgement(voting, item_key(shown), "e1")[0]
    assert answer["final"] and arm in answer["why"]
    assert log.preferences().empty


def test_an_item_judged_elsewhere_is_also_dropped_at_the_next_judgement(card_on, log):
    voting = card_on(queue=_voting(log))
    first, second, third = (row.copy() for row in voting._held[:3])
    choose(card_on(pd.DataFrame([{**second, "drawn_by": "adjudication"}])), "both")
    dealt = send_judgement(voting, item_key(first), "e1")[-1]
    assert dealt["whole"] and voting.item_id == third["item_id"]
    assert [one["key"] for one in dealt["cards"]] == [item_key(row) for row in voting._held]


def test_a_vote_can_be_revised_after_an_adjudication(card_on, log):
    voting = card_on(queue=_voting(log))
    row = voting._held[0].copy()
    choose(voting, "left")
    choose(card_on(pd.DataFrame([{**row, "drawn_by": "adjudication"}])), "both")
    voting.revise(log.history()["event_id"][0])
    assert held_cards(voting)[0]["revises"]
    choose(voting, "right")
    assert log.preferences()["choice"].tolist() == ["right"]


def test_a_hidden_repeat_or_a_calibration_corrects_no_vote(card_on, log):
    choose(card_on(), "left")
    first = log.history()["event_id"][0]
    rows = ROWS.iloc[:1]
    choose(card_on(queue=FixedQueue(rows.assign(repeat_of=first), "ann")), "right")
    choose(card_on(rows.assign(drawn_by="calibration")), "both")
    assert len(log.standing("ann")) == 3
    assert list(log.preferences()["choice"]) == ["left"]
    assert log.history()["corrects"].isna().all()


def test_labels_from_other_threads_are_all_kept(card_on, log):
    drafts = draft_rows(("f1",), 100)
    card = card_on(item_rows(drafts), drafts)
    threads = [
        threading.Thread(target=lambda: [choose(card, "left") for _ in range(20)]) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.preferences()) == 100
    assert card.finished


def test_a_reload_resumes_at_the_next_item(card_on, log):
    first = card_on()
    choose(first, "left")
    choose(first, "both")
    again = card_on()
    assert again.item_id == ROWS.item_id[2]
    assert send_call(again, "refresh")[-1]["done"] == 2


def test_over_a_real_queue_each_item_gets_one_vote(card_on, log):
    drafts = draft_rows(rounds=10)
    card = card_on(drafts=drafts, queue=Queue(log, drafts, "ann", repeats=0.2))
    acts = 0
    while not card.finished and acts < 100:
        choose(card, "left")
        acts += 1
    assert set(log.preferences()["item_id"]) == set(drafts["instruction_id"])
    assert len(log.preferences()) == 30
    assert acts == len(log.standing("ann")) > 30  # the others are hidden repeats
    assert log.history()["corrects"].isna().all()


def test_a_card_open_longer_than_its_lease_leases_its_items_again(card_on, log, monkeypatch):
    drafts = draft_rows(("f1",), 4)
    card = card_on(drafts=drafts, queue=Queue(log, drafts, "ann", wanted=1, repeats=0))
    after_its_lease = time.time() + 1801
    monkeypatch.setattr("vital_lib.labels.queue.time.time", lambda: after_its_lease)
    assert len(send_call(card, "refresh")[-1]["cards"]) == 4
    assert Queue(log, drafts, "bob", wanted=1, repeats=0).take(4) == []


def test_a_card_reports_items_leased_by_others_and_gets_them_after_release(card_on, log):
    drafts = draft_rows(("f1",), 6)
    bob = Queue(log, drafts, "bob", wanted=1, repeats=0)
    held = bob.take(2)
    card = card_on(drafts=drafts, queue=Queue(log, drafts, "ann", wanted=1, repeats=0))
    while not card.finished:
        choose(card, "both")
    assert (card.sent[-1]["done"], card.sent[-1]["of"], card.sent[-1]["ended"]) == (4, 6, True)
    assert held_cards(card) == []
    bob.release()
    assert len(held_cards(card)) == len(held)
    assert card.item_id in [row["item_id"] for row in held]


def test_a_closed_card_releases_its_unjudged_items(card_on, log):
    drafts = draft_rows(("f1",), 6)
    card = card_on(drafts=drafts, queue=Queue(log, drafts, "ann", wanted=1, repeats=0))
    choose(card, "left")
    bob = Queue(log, drafts, "bob", wanted=1, repeats=0)
    assert len(bob.take(9)) == 1  # the item that ann neither judged nor holds
    card.widget.close()
    assert len(bob.take(9)) == 4
    card.widget.close()
    assert log.preferences()["item_id"].nunique() == 1


def test_an_ending_kernel_releases_its_unjudged_items(log, tmp_path):
    drafts = draft_rows(("f1",), 6)
    drafts.to_pickle(tmp_path / "drafts")
    FIGURES.to_pickle(tmp_path / "figures")
    script = """
import pandas as pd
from vital_lib.labels import LabelLog, Queue
from vital_lib.panels import PreferenceCard
from vital_lib.panels.preference_card.item_key import item_key
drafts, figures = pd.read_pickle("drafts"), pd.read_pickle("figures")
log = LabelLog("sqlite:///labels.sqlite")
queue = Queue(log, drafts, "ann", wanted=1, repeats=0)
card = PreferenceCard(queue, drafts, figures, None, log)
row = card._held[0]
card.judge(item_key(row), "e1", True, False)
assert len(Queue(log, drafts, "bob", wanted=1, repeats=0).take(9)) == 1
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    assert len(Queue(log, drafts, "cat", wanted=1, repeats=0).take(9)) == 4


# --- calibration and adjudication


def test_the_reference_is_sent_only_after_the_judgement(card_on, log):
    reference = {ROWS.left_id[0]: True, ROWS.right_id[0]: False}
    card = card_on(ROWS.assign(drawn_by="calibration"), reference=reference)
    assert card.widget.state["calibrating"]
    key = held_cards(card)[0]["key"]
    assert "reference" not in json.dumps(card.sent)
    (told, *_) = send_judgement(card, key, "e1", False, False)
    assert told["feedback"]["reference"] == {"left": True, "right": False}
    assert len(log.calibrations()) == 1 and log.preferences().empty


def test_the_end_of_a_round_reports_its_result_and_calls_the_next_step(card_on, log):
    rows, gone_on = ROWS.head(2).assign(drawn_by="calibration"), []
    reference = dict.fromkeys(rows.left_id, True) | dict.fromkeys(rows.right_id, False)
    card = card_on(rows, reference=reference, then=lambda: gone_on.append(card.finished))
    assert card.widget.state["goes_on"]
    first, second = (item["key"] for item in held_cards(card))
    message = send_judgement(card, first, "e1", True, False)[-1]
    send_call(card, "go_on")
    assert "result" not in message and gone_on == []  # the round is not finished
    message = send_judgement(card, second, "e2", True, True)[-1]
    assert message["ended"] and message["result"].startswith(
        "You agree with the others on both responses of 1 of 2 items."
    )
    send_call(card, "go_on")
    assert gone_on == [True]


def test_an_adjudication_shows_the_votes_under_each_response(card_on, log):
    votes = pd.DataFrame(
        {
            "item_id": ROWS.item_id[0],
            "annotator": ["bob", "eve", "kim"],
            "candidate_id": [ROWS.left_id[0], ROWS.left_id[0], ROWS.right_id[0]],
            "accepted": [True, False, None],
        }
    )
    card = card_on(ROWS.assign(drawn_by="adjudication"), votes=votes)
    assert [one["votes"] for one in held_cards(card)[:2]] == [
        {"left": [["bob", True], ["eve", False]], "right": []},
        {"left": [], "right": []},
    ]
    choose(card, "left")
    assert len(log.adjudications()) == 1 and log.preferences().empty
