"""The preference card's methods and messages on a real label log, without a browser."""

from __future__ import annotations

import base64
import functools
import io
import json
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from pathlib import Path

import pandas as pd
import pytest
from card_acts import choose
from PIL import Image

from vital_lib.labels import FixedQueue, LabelLog, LabelsNotSaved, Queue
from vital_lib.panels import PreferenceCard, _panel, preference_card
from vital_lib.panels.preference_card import CRITERIA
from vital_lib.panels.preference_card.item_key import item_key

HOSTILE = '<img src=x onerror="alert(1)"> $x^2$ **bold** \u202eright to left\u202c \0 end'
FIGURES = pd.DataFrame(
    {
        "figure_id": ["f1", "f2", "f3"],
        "caption": ["A radiograph.", HOSTILE, "A slice."],
        "mentions": [["Seen in Fig 1.", "Again."], [], ["Fig 3."]],
    }
)


def _drafts(figures=("f1", "f2", "f3"), rounds=2) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "candidate_id": f"{figure}-draft-none-r{number}-{letter}",
            "instruction_id": f"{figure}-draft-none-r{number}",
            "figure_id": figure,
            "instruction": f"Question {number} about {figure}?",
            "response": f"Answer {letter} {number} of {figure}: {HOSTILE}",
        }
        for figure in figures
        for number in range(1, rounds + 1)
        for letter in "ab"
    )


def _rows(drafts: pd.DataFrame, **more) -> pd.DataFrame:
    """The items of `drafts` in their order, response a on the left."""
    ids = drafts["candidate_id"].tolist()
    items = drafts["instruction_id"].tolist()[::2]
    rows = {"item_id": items, "left_id": ids[::2], "right_id": ids[1::2]}
    return pd.DataFrame({**rows, "drawn_by": "random", **more})


DRAFTS = _drafts()
ROWS = _rows(DRAFTS)


def _picture(figure_id: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (30, 20), "grey").save(file, format="JPEG")
    return file.getvalue()


class Failing:
    """A log that raises LabelsNotSaved while `broken` is set."""

    def __init__(self, log: LabelLog) -> None:
        self._log, self.broken = log, False

    def __getattr__(self, name: str):
        if self.broken:
            raise LabelsNotSaved("the disk is full")
        return getattr(self._log, name)


@pytest.fixture
def card_on(log):
    """A function that makes a card over rows; the card keeps its messages in `card.sent`."""

    def make(rows=ROWS, drafts=DRAFTS, use=log, queue=None, **more) -> PreferenceCard:
        queue = queue or FixedQueue(rows, "ann", log)
        card = PreferenceCard(queue, drafts, FIGURES, _picture, use, **more)
        card.sent = []
        card.widget.send = lambda content, buffers=(): card.sent.append(content)
        return card

    return make


@pytest.fixture
def card(card_on) -> PreferenceCard:
    return card_on()


def _call(card: PreferenceCard, call: str, **given) -> list[dict]:
    """Send a call as the browser does; return the kernel's messages."""
    before = len(card.sent)
    card._heard(card.widget, {"call": call, "with": given}, [])
    return card.sent[before:]


def _cards(card: PreferenceCard) -> list[dict]:
    """The cards that the browser holds after a reload."""
    return _call(card, "refresh")[-1]["cards"]


def _judge(card: PreferenceCard, key: str, event_id: str, left=True, right=False, **more):
    return _call(
        card, "judge", key=key, event_id=event_id, left_accepted=left, right_accepted=right, **more
    )


# --- judging


@pytest.mark.parametrize(
    ("choice", "ticks"),
    [
        ("left", (True, False)),
        ("right", (False, True)),
        ("both", (True, True)),
        ("neither", (False, False)),
    ],
)
def test_each_choice_records_its_ticks(card, log, choice, ticks):
    choose(card, choice)
    event = log.history().iloc[0]
    assert (event["left_accepted"], event["right_accepted"]) == ticks


def test_a_judgement_is_recorded_with_its_queue_row(card_on, log):
    card = card_on(ROWS.assign(drawn_by="cluster"))
    choose(card, "left")
    event, row = log.history().iloc[0], ROWS.iloc[0]
    assert tuple(event[["item_id", "left_id", "right_id"]]) == tuple(row[:3])
    assert (event["annotator"], event["drawn_by"]) == ("ann", "cluster")
    assert event["seconds"] >= 0
    assert pd.isna(event["corrects"]) and pd.isna(event["repeat_of"])


def test_an_unknown_reason_is_refused_with_its_value(card, log):
    with pytest.raises(ValueError, match="taste"):
        choose(card, "left", reasons=["taste"])
    assert log.history().empty


def test_cannot_judge_and_unsafe_record_no_ticks(card, log):
    choose(card, "skip")
    choose(card, "skip", unsafe=True)
    events = log.history()
    assert events["left_accepted"].isna().all() and events["cannot_judge"].all()
    assert list(events["unsafe"]) == [False, True]


def test_reasons_and_a_note_belong_to_one_judgement_only(card, log):
    choose(card, "left", reasons=["accuracy"], note="the side\0 is wrong")
    choose(card, "both")
    events = log.history()
    assert list(events["reasons"]) == [["accuracy"], []]
    assert list(events["note"]) == ["the side is wrong", ""]


def test_the_offered_reasons_are_the_criteria_of_the_judges_policy(card):
    assert [name for name, _ in card.widget.state["reasons"]] == list(CRITERIA)
    assert "accuracy" in CRITERIA and len(CRITERIA) == 9


def test_each_side_shows_the_response_of_its_candidate(card):
    responses = DRAFTS.set_index("candidate_id").response
    cards = _cards(card)
    assert len(cards) > 1
    for shown, row in zip(cards, ROWS.itertuples(), strict=False):  # only some are sent at once
        assert (shown["left"], shown["right"]) == (responses[row.left_id], responses[row.right_id])


def test_a_finished_card_reports_its_end(card, log):
    for _ in range(len(ROWS)):
        assert not card.finished
        choose(card, "both")
    assert card.finished and card.item_id is None
    assert card.sent[-1]["ended"] and card.sent[-1]["done"] == card.sent[-1]["of"] == len(ROWS)
    assert len(log.history()) == len(ROWS)


def test_a_queue_with_an_unknown_candidate_or_figure_is_refused(card_on):
    with pytest.raises(ValueError, match="right_id 'elsewhere'"):
        card_on(ROWS.assign(right_id="elsewhere"))
    with pytest.raises(ValueError, match="figure 'f9'"):
        card_on(drafts=DRAFTS.assign(figure_id="f9"))


# --- the messages


def test_the_browser_holds_the_current_item_and_the_next_three(card):
    shown = _cards(card)
    assert [one["instruction"] for one in shown] == list(DRAFTS["instruction"][:8:2])
    assert [one["figure"] for one in shown] == ["f1", "f1", "f2", "f2"]


def test_after_a_judgement_only_the_new_cards_text_is_sent(card):
    keys = [one["key"] for one in _cards(card)]
    saved, dealt = _judge(card, keys[0], "e1")
    assert (saved["saved"], saved["key"]) == ("e1", keys[0])
    assert [one["instruction"] for one in dealt["cards"]] == ["Question 1 about f3?"]
    assert (dealt["done"], dealt["of"]) == (1, len(ROWS))


def test_saved_is_sent_only_after_another_connection_can_read_the_label(card, log, tmp_path):
    other, seen = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}"), []
    card.widget.send = lambda content: seen.append(
        ("saved" in content, list(other.history()["event_id"]))
    )
    key = item_key(card._held[0])
    _judge_quietly(card, key, "e1")
    assert seen[0] == (True, ["e1"])


def _judge_quietly(card, key, event_id):
    given = {"key": key, "event_id": event_id, "left_accepted": True, "right_accepted": True}
    card._heard(card.widget, {"call": "judge", "with": given}, [])


def test_a_typical_label_is_a_message_of_at_most_a_kilobyte(card):
    given = {
        "key": _cards(card)[0]["key"],
        "event_id": "0" * 32,
        "left_accepted": True,
        "right_accepted": False,
        "reasons": list(CRITERIA),
        "note": "x" * 300,
        "seconds": 12.3,
    }
    assert len(json.dumps({"call": "judge", "with": given})) <= 1000


def test_the_synced_state_has_no_texts_and_does_not_grow_with_the_items(card_on, log):
    drafts = _drafts(rounds=200)
    small, large = (card_on(_rows(d), d).widget.state for d in (DRAFTS, drafts))
    assert len(json.dumps(small)) == len(json.dumps(large)) < 2000
    assert "Question" not in json.dumps(large)


def test_the_browser_never_receives_the_source_of_a_response(card):
    _judge(card, _cards(card)[0]["key"], "e1")
    text = json.dumps([card.widget.state, card.sent])
    ids = [*DRAFTS.candidate_id, *DRAFTS.instruction_id, "draft"]
    assert not [word for word in ids if word in text]


def test_the_browser_can_call_only_the_cards_actions(card, log):
    for name in ("_judge_current", "_log", "__init__", "widget", "nothing", "choose"):
        _call(card, name)
    assert log.history().empty


def test_an_invalid_key_is_refused_as_final(card, log):
    for key in ("", "nonsense", "AAAA"):
        answer = _judge(card, key, "e1")[0]
        assert answer["final"] and "is not the key of an item on this card" in answer["why"]
    assert log.history().empty


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"reasons": None}, "reasons"),
        ({"reasons": "accuracy"}, "reasons"),
        ({"colour": "red"}, "colour"),
        ({"event_id": ""}, "event_id"),
        ({"event_id": None}, "event_id"),
        ({"note": 3}, "note"),
        ({"seconds": "long"}, "seconds"),
        ({"left_accepted": "yes"}, "left_accepted"),
        ({"key": None}, "key"),
        ({"left_accepted": None}, "ticks"),
    ],
)
def test_a_malformed_judgement_is_refused_as_final_with_the_wrong_field(card, log, wrong, named):
    given = {"key": _cards(card)[0]["key"], "event_id": "e1", "left_accepted": True}
    (answer,) = _call(card, "judge", **{**given, "right_accepted": True, **wrong})
    assert answer["final"] and named in answer["why"]
    assert answer["failed"] == wrong.get("event_id", "e1")
    assert log.history().empty and card.item_id == ROWS.item_id[0]


def test_a_message_without_a_judgement_is_refused(card, log):
    for given in (None, [], "e1", {}):
        card._heard(card.widget, {"call": "judge", "with": given}, [])
        assert card.sent[-1]["final"]
    assert log.history().empty


def test_the_browsers_store_is_separate_per_log_and_annotator(card_on, log, tmp_path):
    other_log = LabelLog(f"sqlite:///{tmp_path / 'other.sqlite'}")
    cards = [card_on(), card_on(use=other_log), card_on(queue=FixedQueue(ROWS, "bob", log))]
    stores = [card.widget.state["store"] for card in cards]
    assert len(set(stores)) == 3
    fewer = DRAFTS.iloc[:4]
    # Other items, another kind of card or another path to the same log keep the store.
    same_log = LabelLog(f"sqlite:///{tmp_path / '.' / 'labels.sqlite'}?timeout=9")
    for again in (card_on(_rows(fewer), fewer), card_on(reference={}), card_on(use=same_log)):
        assert again.widget.state["store"] == stores[0]


def test_a_judgement_for_another_card_is_left_to_that_card(card_on, log):
    fewer, away = DRAFTS.iloc[:4], ROWS.iloc[3].to_dict()
    card = card_on(_rows(fewer), fewer)
    odd = {**ROWS.iloc[0], "right_id": ROWS.right_id[3]}  # only one response is on this card
    other_arm = {**ROWS.iloc[0], "drawn_by": "calibration"}
    for row in (away, odd, other_arm):
        answer = _judge(card, item_key(row), "kept")
        assert answer == [{"not_here": "kept"}]
    assert log.history().empty and card.item_id == ROWS.item_id[0]
    assert _judge(card_on(), item_key(away), "kept")[0]["saved"] == "kept"


def test_a_key_of_mixed_or_unknown_items_is_refused(card, log):
    mixed = {**ROWS.iloc[0], "right_id": ROWS.right_id[1]}
    for row in (mixed, {**ROWS.iloc[0], "item_id": "made-up"}):
        answer = _judge(card, item_key(row), "e1")[0]
        assert answer["final"] and repr(row["item_id"]) in answer["why"]
    assert log.history().empty


@pytest.mark.parametrize("reasons", [["taste"], ["depth", "x" * 5000], ["depth"] * 21])
def test_unknown_or_too_many_reasons_are_refused(card, log, reasons):
    (answer,) = _judge(card, _cards(card)[0]["key"], "e1", reasons=reasons)
    assert answer["final"] and "at most 20 of scope" in answer["why"] and len(answer["why"]) < 300
    assert log.history().empty


DEEP = base64.urlsafe_b64encode(zlib.compress(b"[" * 100_000)).decode()
DEEP_LIST = functools.reduce(lambda inner, _: [inner], range(2000), [])


@pytest.mark.parametrize(
    ("call", "given"),
    [
        ("undo", []),
        ("undo", {"x": 1}),
        ("refresh", None),
        ("revise", {}),
        ("revise", {"event_id": 5}),
        ("history", {"start": "x"}),
        ("history", {"start": -5}),
        ("judge", {"key": DEEP, "event_id": "e", "left_accepted": True, "right_accepted": True}),
        ("judge", {"key": DEEP_LIST, "event_id": DEEP_LIST}),
    ],
)
def test_an_invalid_message_gets_an_answer_and_changes_nothing(card, log, call, given):
    choose(card, "left")
    card._heard(card.widget, {"call": call, "with": given}, [])
    assert card.sent[-1]["final"] and len(json.dumps(card.sent[-1])) < 500
    assert len(log.history()) == 1


def test_texts_are_sent_to_the_browser_unchanged(card_on):
    huge = "word " * 20_000
    drafts = DRAFTS.assign(response=[huge, *DRAFTS["response"][1:]])
    shown = _cards(card_on(drafts=drafts))
    assert shown[0]["left"] == huge
    assert shown[2]["caption"] == HOSTILE and HOSTILE in shown[2]["left"]


def test_the_hidden_text_setting_is_kept(card):
    assert card.widget.state["hidden"] is False
    card.widget.state = {**card.widget.state, "hidden": True}  # as the page sets it
    turn = card.widget.state["turn"]
    card._heard(card.widget, {"call": "unknown"}, [])  # the state is sent anew
    assert card.widget.state["turn"] > turn and card.widget.state["hidden"] is True


# --- no label lost or duplicated


def test_an_event_sent_again_is_one_judgement(card, log):
    key = _cards(card)[0]["key"]
    for _ in range(3):
        assert _judge(card, key, "e1")[0]["saved"] == "e1"
    assert list(log.history()["event_id"]) == ["e1"]
    assert card.item_id == ROWS.item_id[1]


def test_a_failed_save_is_reported_and_the_event_can_be_saved_later(card_on, log):
    failing = Failing(log)
    card = card_on(use=failing)
    key = _cards(card)[0]["key"]
    failing.broken = True
    answer = _judge(card, key, "e1")
    assert answer == [
        {
            **{"failed": "e1", "why": "the disk is full", "final": False},
            "said": "left accepted, right rejected",
        }
    ]
    assert card.item_id == ROWS.item_id[0]
    failing.broken = False
    assert _judge(card, key, "e1")[0]["saved"] == "e1"
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
    saved, failed = _judge(card, keys[0], "e1")
    assert saved["saved"] == "e1"
    assert "gone away" in failed["why"]
    assert _judge(card, keys[1], "e2")[0]["saved"] == "e2"


def test_a_judgement_stored_in_the_browser_is_saved_by_another_kernel(card_on, log):
    key = _cards(card_on())[2]["key"]
    again = card_on()
    assert _judge(again, key, "kept")[0]["saved"] == "kept"
    assert list(log.preferences()["item_id"]) == [ROWS.item_id[2]]
    assert ROWS.item_id[2] not in [row["item_id"] for row in again._held]


def test_two_windows_on_one_item_leave_one_standing_judgement(card_on, log):
    one, two = card_on(), card_on()  # two kernels, like two tabs of the labelling service
    key = _cards(one)[0]["key"]
    _judge(one, key, "e1", True, False)
    _judge(two, key, "e2", False, True)
    assert list(log.standing("ann")["event_id"]) == ["e2"]
    assert list(log.preferences()["choice"]) == ["right"]
    assert list(log.history()["corrects"].fillna("")) == ["", "e1"]


def test_a_window_with_another_strategy_still_corrects_the_judgement(card_on, log):
    one, two = card_on(), card_on(ROWS.assign(drawn_by="cluster"))
    _judge(one, _cards(one)[0]["key"], "e1")
    two.sent.clear()
    key = item_key({**ROWS.iloc[0], "drawn_by": "cluster"})
    assert _judge(two, key, "e2")[0]["saved"] == "e2"
    assert list(log.standing("ann")["drawn_by"]) == ["random"]


def _voting(log, drafts=DRAFTS):
    return Queue(log, drafts, "ann", repeats=0)


@pytest.mark.parametrize("arm", ["calibration", "adjudication"])
def test_an_item_judged_with_others_votes_in_view_is_no_longer_shown_for_voting(card_on, log, arm):
    voting = card_on(queue=_voting(log))
    shown, second = (row.copy() for row in voting._held[:2])
    card = card_on(pd.DataFrame([{**shown, "drawn_by": arm}]))
    choose(card, "both")
    (message,) = _call(voting, "refresh")
    keys = [card["key"] for card in message["cards"]]
    assert message["whole"] and len(keys) == 4
    assert keys[0] == item_key(second) and voting.item_id == second["item_id"]
    # A window that still shows the item sends a judgement of it.
    answer = _judge(voting, item_key(shown), "e1")[0]
    assert answer["final"] and arm in answer["why"]
    assert log.preferences().empty


def test_an_item_judged_elsewhere_is_also_dropped_at_the_next_judgement(card_on, log):
    voting = card_on(queue=_voting(log))
    first, second, third = (row.copy() for row in voting._held[:3])
    choose(card_on(pd.DataFrame([{**second, "drawn_by": "adjudication"}])), "both")
    dealt = _judge(voting, item_key(first), "e1")[-1]
    assert dealt["whole"] and voting.item_id == third["item_id"]
    assert [one["key"] for one in dealt["cards"]] == [item_key(row) for row in voting._held]


def test_a_vote_can_be_revised_after_an_adjudication(card_on, log):
    voting = card_on(queue=_voting(log))
    row = voting._held[0].copy()
    choose(voting, "left")
    choose(card_on(pd.DataFrame([{**row, "drawn_by": "adjudication"}])), "both")
    voting.revise(log.history()["event_id"][0])
    assert _cards(voting)[0]["revises"]
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
    drafts = _drafts(("f1",), 100)
    card = card_on(_rows(drafts), drafts)
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
    assert _call(again, "refresh")[-1]["done"] == 2


def test_over_a_real_queue_each_item_gets_one_vote(card_on, log):
    drafts = _drafts(rounds=10)
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
    drafts = _drafts(("f1",), 4)
    card = card_on(drafts=drafts, queue=Queue(log, drafts, "ann", wanted=1, repeats=0))
    after_its_lease = time.time() + 1801
    monkeypatch.setattr("vital_lib.labels.queue.time.time", lambda: after_its_lease)
    assert len(_call(card, "refresh")[-1]["cards"]) == 4
    assert Queue(log, drafts, "bob", wanted=1, repeats=0).take(4) == []


def test_a_card_reports_items_leased_by_others_and_gets_them_after_release(card_on, log):
    drafts = _drafts(("f1",), 6)
    bob = Queue(log, drafts, "bob", wanted=1, repeats=0)
    held = bob.take(2)
    card = card_on(drafts=drafts, queue=Queue(log, drafts, "ann", wanted=1, repeats=0))
    while not card.finished:
        choose(card, "both")
    assert (card.sent[-1]["done"], card.sent[-1]["of"], card.sent[-1]["ended"]) == (4, 6, True)
    assert _cards(card) == []
    bob.release()
    assert len(_cards(card)) == len(held)
    assert card.item_id in [row["item_id"] for row in held]


def test_a_closed_card_releases_its_unjudged_items(card_on, log):
    drafts = _drafts(("f1",), 6)
    card = card_on(drafts=drafts, queue=Queue(log, drafts, "ann", wanted=1, repeats=0))
    choose(card, "left")
    bob = Queue(log, drafts, "bob", wanted=1, repeats=0)
    assert len(bob.take(9)) == 1  # the item that ann neither judged nor holds
    card.widget.close()
    assert len(bob.take(9)) == 4
    card.widget.close()
    assert log.preferences()["item_id"].nunique() == 1


def test_an_ending_kernel_releases_its_unjudged_items(log, tmp_path):
    drafts = _drafts(("f1",), 6)
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


# --- undo and revise


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
    answer = _judge(other, item_key(rows.iloc[0]), "e2")[0]  # another window
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


# --- calibration and adjudication


def test_the_reference_is_sent_only_after_the_judgement(card_on, log):
    reference = {ROWS.left_id[0]: True, ROWS.right_id[0]: False}
    card = card_on(ROWS.assign(drawn_by="calibration"), reference=reference)
    assert card.widget.state["calibrating"]
    key = _cards(card)[0]["key"]
    assert "reference" not in json.dumps(card.sent)
    assert _judge(card, key, "e1", False, False)[0]["reference"] == {"left": True, "right": False}
    assert len(log.calibrations()) == 1 and log.preferences().empty


def test_the_end_of_a_round_reports_its_result_and_calls_the_next_step(card_on, log):
    rows, gone_on = ROWS.head(2).assign(drawn_by="calibration"), []
    reference = dict.fromkeys(rows.left_id, True) | dict.fromkeys(rows.right_id, False)
    card = card_on(rows, reference=reference, then=lambda: gone_on.append(card.finished))
    assert card.widget.state["goes_on"]
    first, second = (item["key"] for item in _cards(card))
    message = _judge(card, first, "e1", True, False)[-1]
    _call(card, "go_on")
    assert "result" not in message and gone_on == []  # the round is not finished
    message = _judge(card, second, "e2", True, True)[-1]
    assert message["ended"] and message["result"] == {"items": 2, "agreed": 1}
    _call(card, "go_on")
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
    assert [one["votes"] for one in _cards(card)[:2]] == [
        {"left": [["bob", True], ["eve", False]], "right": []},
        {"left": [], "right": []},
    ]
    choose(card, "left")
    assert len(log.adjudications()) == 1 and log.preferences().empty


# --- images and memory


def test_images_are_prepared_outside_the_thread_that_records_labels(card_on, log):
    card = card_on()
    busy, go_on = threading.Event(), threading.Event()

    def blocking():
        busy.set()
        go_on.wait(20)

    _panel._painter.submit(blocking)
    busy.wait(20)
    card._heard(card.widget, {"image": "f1", "side": 512}, [])
    choose(card, "left")
    assert len(log.preferences()) == 1
    assert not [one for one in card.sent if "image" in one]
    go_on.set()
    _panel._painter.submit(lambda: None).result(20)
    assert [one for one in card.sent if "image" in one] == [{"image": "f1", "side": 512}]


@pytest.mark.parametrize(
    ("fault", "why"),
    [(RuntimeError("decoder crashed"), "decoder crashed"), (MemoryError(), "Memory")],
)
def test_a_failed_image_is_reported_with_its_reason_and_retried(log, fault, why):
    faults = [fault]

    def image_of(figure_id):
        if faults:
            raise faults.pop()
        return _picture(figure_id)

    card = PreferenceCard(FixedQueue(ROWS, "ann", log), DRAFTS, FIGURES, image_of, log)
    sent = []
    card.widget.send = lambda content, buffers=(): sent.append((content, len(buffers)))
    for _ in range(2):
        card._heard(card.widget, {"image": "f1", "side": 512}, [])
    _panel._painter.submit(lambda: None).result(20)
    assert sent[0][0]["image"] == "f1" and why in sent[0][0]["missing"]
    assert sent[1] == ({"image": "f1", "side": 512}, 1)


def test_images_of_the_next_items_are_prefetched_unless_the_browser_has_them(card):
    keys = [one["key"] for one in _cards(card)]  # figures f1, f1, f2, f2
    for number, key in enumerate(keys[:2]):
        _judge(card, key, f"e{number}", side=512)
    _panel._painter.submit(lambda: None).result(20)
    dealt = [one for one in card.sent if one.get("side") == 512 and "cards" in one]
    assert [one["coming"] for one in dealt] == [["f3"], []]
    assert [one for one in card.sent if "image" in one] == [{"image": "f3", "side": 512}]


def test_the_kernel_keeps_few_images_in_memory(log):
    figures = pd.DataFrame(
        {"figure_id": [f"g{n}" for n in range(60)], "caption": "", "mentions": ""}
    )
    drafts = _drafts(tuple(figures.figure_id), 1)
    card = PreferenceCard(
        FixedQueue(_rows(drafts), "ann", log), drafts, figures, lambda name: bytes(100_000), log
    )
    card.widget.send = lambda content, buffers=(): None
    tracemalloc.start()
    for figure in figures.figure_id:
        card._heard(card.widget, {"image": figure, "side": 512}, [])
    _panel._painter.submit(lambda: None).result(20)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 2_500_000


def test_the_card_reads_and_writes_no_files():
    for path in Path(preference_card.__file__).parent.glob("*.py"):
        source = path.read_text()
        assert "open(" not in source and "write_" not in source
