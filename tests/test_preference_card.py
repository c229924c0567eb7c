"""The preference card by its methods and messages, without a browser, over the real label log."""

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
from PIL import Image

from vital_lib.labels import FixedQueue, LabelLog, LabelsNotSaved, Queue
from vital_lib.panels import PreferenceCard, _panel, preference_card
from vital_lib.panels.preference_card import CRITERIA

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
    return pd.DataFrame({**rows, "queue_arm": "random", **more})


DRAFTS = _drafts()
ROWS = _rows(DRAFTS)


def _picture(figure_id: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (30, 20), "grey").save(file, format="JPEG")
    return file.getvalue()


class Failing:
    """A log whose database is gone while `broken` is set."""

    def __init__(self, log: LabelLog) -> None:
        self._log, self.broken = log, False

    def __getattr__(self, name: str):
        if self.broken:
            raise LabelsNotSaved("the disk is full")
        return getattr(self._log, name)


@pytest.fixture
def card_on(log):
    """Makes a card over rows, which keeps what it sends in `card.sent`."""

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


def _hear(card: PreferenceCard, call: str, **given) -> list[dict]:
    """What the browser sends, and what the kernel answers."""
    before = len(card.sent)
    card._heard(card.widget, {"call": call, "with": given}, [])
    return card.sent[before:]


def _cards(card: PreferenceCard) -> list[dict]:
    """What the browser would hold after a reload."""
    return _hear(card, "refresh")[-1]["cards"]


def _judge(card: PreferenceCard, key: str, event_id: str, left=True, right=False, **more):
    return _hear(
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
def test_each_choice_accepts_what_it_says(card, log, choice, ticks):
    card.choose(choice)
    event = log.history().iloc[0]
    assert (event["left_accepted"], event["right_accepted"]) == ticks


def test_a_judgement_is_recorded_with_the_row_of_the_queue(card_on, log):
    card = card_on(ROWS.assign(queue_arm="cluster"))
    card.choose("left")
    event, row = log.history().iloc[0], ROWS.iloc[0]
    assert tuple(event[["item_id", "left_id", "right_id"]]) == tuple(row[:3])
    assert (event["annotator"], event["queue_arm"]) == ("ann", "cluster")
    assert event["seconds"] >= 0
    assert pd.isna(event["corrects"]) and pd.isna(event["repeat_of"])


def test_an_unknown_choice_side_or_reason_is_refused_with_its_value(card, log):
    for act, value in ((card.choose, "middle"), (card.add_reason, "taste")):
        with pytest.raises(ValueError, match=value):
            act(value)
    with pytest.raises(ValueError, match="'middle'"):
        card.tick("middle", True)
    assert log.history().empty


def test_two_ticks_make_one_judgement_and_one_makes_none(card, log):
    card.tick("right", True)
    assert log.history().empty
    card.tick("left", False)
    card.tick("left", True)
    assert list(log.preferences().choice) == ["right"]


def test_a_tick_can_be_changed_before_the_other_side_is_ticked(card, log):
    card.tick("left", True)
    card.tick("left", False)
    card.tick("right", True)
    assert list(log.preferences().choice) == ["right"]


def test_cannot_judge_and_unsafe_carry_no_ticks(card, log):
    card.cannot_judge()
    card.unsafe()
    events = log.history()
    assert events["left_accepted"].isna().all() and events["cannot_judge"].all()
    assert list(events["unsafe"]) == [False, True]


def test_reasons_and_a_note_go_with_the_judgement_and_not_with_the_next(card, log):
    card.add_reason("accuracy")
    card.add_reason("depth")
    card.add_reason("depth")
    card.set_note("the side\0 is wrong")
    card.choose("left")
    card.choose("both")
    events = log.history()
    assert list(events["reasons"]) == [["accuracy"], []]
    assert list(events["note"]) == ["the side is wrong", ""]


def test_the_reasons_offered_are_the_criteria_of_the_judges_policy(card):
    assert [name for name, _ in card.widget.state["reasons"]] == list(CRITERIA)
    assert "accuracy" in CRITERIA and len(CRITERIA) == 9


def test_the_left_text_is_the_response_of_the_left_candidate(card):
    responses = DRAFTS.set_index("candidate_id").response
    cards = _cards(card)
    assert len(cards) > 1
    for shown, row in zip(cards, ROWS.itertuples(), strict=False):  # not all are dealt at once
        assert (shown["left"], shown["right"]) == (responses[row.left_id], responses[row.right_id])


def test_the_end_says_so_and_takes_nothing_more(card, log):
    for _ in range(len(ROWS)):
        assert not card.finished
        card.choose("both")
    assert card.finished and card.item_id is None
    assert card.sent[-1]["ended"] and card.sent[-1]["done"] == card.sent[-1]["of"] == len(ROWS)
    with pytest.raises(ValueError, match="at its end"):
        card.choose("both")
    assert len(log.history()) == len(ROWS)


def test_a_queue_that_names_an_unknown_candidate_or_figure_is_refused(card_on):
    with pytest.raises(ValueError, match="right_id 'elsewhere'"):
        card_on(ROWS.assign(right_id="elsewhere"))
    with pytest.raises(ValueError, match="figure 'f9'"):
        card_on(drafts=DRAFTS.assign(figure_id="f9"))


# --- the messages


def test_the_browser_holds_the_item_shown_and_the_next_three(card):
    shown = _cards(card)
    assert [one["instruction"] for one in shown] == list(DRAFTS["instruction"][:8:2])
    assert [one["figure"] for one in shown] == ["f1", "f1", "f2", "f2"]


def test_after_a_judgement_only_the_new_cards_text_is_sent(card):
    keys = [one["key"] for one in _cards(card)]
    saved, dealt = _judge(card, keys[0], "e1")
    assert (saved["saved"], saved["key"]) == ("e1", keys[0])
    assert [one["instruction"] for one in dealt["cards"]] == ["Question 1 about f3?"]
    assert (dealt["done"], dealt["of"]) == (1, len(ROWS))


def test_saved_is_said_only_when_another_connection_can_read_it(card, log, tmp_path):
    other, seen = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}"), []
    card.widget.send = lambda content: seen.append(
        ("saved" in content, list(other.history()["event_id"]))
    )
    key = preference_card.item_key(card._held[0])
    _judge_quietly(card, key, "e1")
    assert seen[0] == (True, ["e1"])


def _judge_quietly(card, key, event_id):
    given = {"key": key, "event_id": event_id, "left_accepted": True, "right_accepted": True}
    card._heard(card.widget, {"call": "judge", "with": given}, [])


def test_a_label_of_usual_length_is_a_message_of_less_than_a_kilobyte(card):
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


def test_the_synced_state_does_not_grow_with_the_cards_nor_hold_their_texts(card_on, log):
    drafts = _drafts(rounds=200)
    small, large = (card_on(_rows(d), d).widget.state for d in (DRAFTS, drafts))
    assert len(json.dumps(small)) == len(json.dumps(large)) < 2000
    assert "Question" not in json.dumps(large)


def test_the_browser_never_learns_who_wrote_a_response(card):
    _judge(card, _cards(card)[0]["key"], "e1")
    text = json.dumps([card.widget.state, card.sent])
    ids = [*DRAFTS.candidate_id, *DRAFTS.instruction_id, "draft"]
    assert not [word for word in ids if word in text]


def test_the_browser_can_call_nothing_but_the_acts(card, log):
    for name in ("_judge_current", "_log", "__init__", "widget", "nothing", "choose"):
        _hear(card, name)
    assert log.history().empty


def test_a_key_that_stands_for_nothing_is_refused_for_good(card, log):
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
def test_a_malformed_judgement_is_refused_for_good_and_by_its_fault(card, log, wrong, named):
    given = {"key": _cards(card)[0]["key"], "event_id": "e1", "left_accepted": True}
    (answer,) = _hear(card, "judge", **{**given, "right_accepted": True, **wrong})
    assert answer["final"] and named in answer["why"]
    assert answer["failed"] == wrong.get("event_id", "e1")
    assert log.history().empty and card.item_id == ROWS.item_id[0]


def test_a_message_that_is_no_judgement_at_all_is_refused(card, log):
    for given in (None, [], "e1", {}):
        card._heard(card.widget, {"call": "judge", "with": given}, [])
        assert card.sent[-1]["final"]
    assert log.history().empty


def test_what_a_browser_keeps_is_told_apart_by_log_and_person(card_on, log, tmp_path):
    other_log = LabelLog(f"sqlite:///{tmp_path / 'other.sqlite'}")
    cards = [card_on(), card_on(use=other_log), card_on(queue=FixedQueue(ROWS, "bob", log))]
    stores = [card.widget.state["store"] for card in cards]
    assert len(set(stores)) == 3
    fewer = DRAFTS.iloc[:4]  # whatever the card's items, kind and way to the log
    same_log = LabelLog(f"sqlite:///{tmp_path / '.' / 'labels.sqlite'}?timeout=9")
    for again in (card_on(_rows(fewer), fewer), card_on(reference={}), card_on(use=same_log)):
        assert again.widget.state["store"] == stores[0]


def test_a_judgement_of_another_cards_items_or_kind_is_left_to_that_card(card_on, log):
    fewer, away = DRAFTS.iloc[:4], ROWS.iloc[3].to_dict()
    card = card_on(_rows(fewer), fewer)
    odd = {**ROWS.iloc[0], "right_id": ROWS.right_id[3]}  # one of its responses is here
    other_arm = {**ROWS.iloc[0], "queue_arm": "calibration"}
    for row in (away, odd, other_arm):
        answer = _judge(card, preference_card.item_key(row), "kept")
        assert answer == [{"not_here": "kept"}]
    assert log.history().empty and card.item_id == ROWS.item_id[0]
    assert _judge(card_on(), preference_card.item_key(away), "kept")[0]["saved"] == "kept"


def test_a_key_of_two_items_or_of_none_of_ones_own_is_refused(card, log):
    mixed = {**ROWS.iloc[0], "right_id": ROWS.right_id[1]}
    for row in (mixed, {**ROWS.iloc[0], "item_id": "made-up"}):
        answer = _judge(card, preference_card.item_key(row), "e1")[0]
        assert answer["final"] and repr(row["item_id"]) in answer["why"]
    assert log.history().empty


@pytest.mark.parametrize("reasons", [["taste"], ["depth", "x" * 5000], ["depth"] * 21])
def test_reasons_that_are_not_offered_or_too_many_are_refused(card, log, reasons):
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
def test_an_odd_message_is_answered_and_changes_nothing(card, log, call, given):
    card.choose("left")
    card._heard(card.widget, {"call": call, "with": given}, [])
    assert card.sent[-1]["final"] and len(json.dumps(card.sent[-1])) < 500
    assert len(log.history()) == 1


def test_text_goes_to_the_browser_as_it_is(card_on):
    huge = "word " * 20_000
    drafts = DRAFTS.assign(response=[huge, *DRAFTS["response"][1:]])
    shown = _cards(card_on(drafts=drafts))
    assert shown[0]["left"] == huge
    assert shown[2]["caption"] == HOSTILE and HOSTILE in shown[2]["left"]


def test_hiding_the_text_is_remembered(card):
    assert card.widget.state["hidden"] is False
    card.toggle_text()
    assert card.widget.state["hidden"] is True


# --- nothing lost, nothing twice


def test_the_same_event_sent_again_is_one_judgement(card, log):
    key = _cards(card)[0]["key"]
    for _ in range(3):
        assert _judge(card, key, "e1")[0]["saved"] == "e1"
    assert list(log.history()["event_id"]) == ["e1"]
    assert card.item_id == ROWS.item_id[1]


def test_a_failed_save_is_said_and_the_same_event_is_kept_later(card_on, log):
    failing = Failing(log)
    card = card_on(use=failing)
    key = _cards(card)[0]["key"]
    failing.broken = True
    answer = _judge(card, key, "e1")
    assert answer == [{"failed": "e1", "why": "the disk is full", "final": False}]
    assert card.item_id == ROWS.item_id[0]
    failing.broken = False
    assert _judge(card, key, "e1")[0]["saved"] == "e1"
    assert list(log.history()["event_id"]) == ["e1"]


def test_a_judgement_made_by_method_raises_what_the_log_raises(card_on, log):
    failing = Failing(log)
    card = card_on(use=failing)
    failing.broken = True
    with pytest.raises(LabelsNotSaved):
        card.choose("left")
    failing.broken = False
    card.choose("left")
    assert len(log.preferences()) == 1


def test_saved_is_said_even_where_the_next_item_cannot_be_had(card_on, log):
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
    keys = [preference_card.item_key(row) for row in card._held]
    saved, failed = _judge(card, keys[0], "e1")
    assert saved["saved"] == "e1"
    assert "gone away" in failed["why"]
    assert _judge(card, keys[1], "e2")[0]["saved"] == "e2"


def test_a_judgement_kept_in_the_browser_finds_its_item_in_another_kernel(card_on, log):
    key = _cards(card_on())[2]["key"]
    again = card_on()
    assert _judge(again, key, "kept")[0]["saved"] == "kept"
    assert list(log.preferences()["item_id"]) == [ROWS.item_id[2]]
    assert ROWS.item_id[2] not in [row["item_id"] for row in again._held]


def test_two_windows_on_one_item_leave_one_judgement_standing(card_on, log):
    one, two = card_on(), card_on()  # two kernels, as two tabs of the labelling service
    key = _cards(one)[0]["key"]
    _judge(one, key, "e1", True, False)
    _judge(two, key, "e2", False, True)
    assert list(log.standing("ann")["event_id"]) == ["e2"]
    assert list(log.preferences()["choice"]) == ["right"]
    assert list(log.history()["corrects"].fillna("")) == ["", "e1"]


def test_a_strategy_changed_between_two_windows_corrects_all_the_same(card_on, log):
    one, two = card_on(), card_on(ROWS.assign(queue_arm="cluster"))
    _judge(one, _cards(one)[0]["key"], "e1")
    two.sent.clear()
    key = preference_card.item_key({**ROWS.iloc[0], "queue_arm": "cluster"})
    assert _judge(two, key, "e2")[0]["saved"] == "e2"
    assert list(log.standing("ann")["queue_arm"]) == ["random"]


def _voting(log, drafts=DRAFTS):
    return Queue(log, drafts, "ann", repeats=0)


@pytest.mark.parametrize("arm", ["calibration", "adjudication"])
def test_what_one_has_seen_others_say_of_is_no_longer_shown_as_a_vote(card_on, log, arm):
    voting = card_on(queue=_voting(log))
    shown, second = (row.copy() for row in voting._held[:2])
    card = card_on(pd.DataFrame([{**shown, "queue_arm": arm}]))
    card.choose("both")
    voting.tick("left", True)
    (told,) = _hear(voting, "refresh")
    voting.tick("right", True)  # of the next item: a tick of the last one is not its own
    keys = [one["key"] for one in told["cards"]]
    assert told["whole"] and len(keys) == 4
    assert keys[0] == preference_card.item_key(second) and voting.item_id == second["item_id"]
    answer = _judge(voting, preference_card.item_key(shown), "e1")[
        0
    ]  # a window that shows it still
    assert answer["final"] and arm in answer["why"]
    assert log.preferences().empty


def test_an_item_seen_elsewhere_is_dropped_at_the_next_judgement_too(card_on, log):
    voting = card_on(queue=_voting(log))
    first, second, third = (row.copy() for row in voting._held[:3])
    card_on(pd.DataFrame([{**second, "queue_arm": "adjudication"}])).choose("both")
    dealt = _judge(voting, preference_card.item_key(first), "e1")[-1]
    assert dealt["whole"] and voting.item_id == third["item_id"]
    assert [one["key"] for one in dealt["cards"]] == [
        preference_card.item_key(row) for row in voting._held
    ]


def test_a_vote_given_before_an_adjudication_may_be_revised_after_it(card_on, log):
    voting = card_on(queue=_voting(log))
    row = voting._held[0].copy()
    voting.choose("left")
    card_on(pd.DataFrame([{**row, "queue_arm": "adjudication"}])).choose("both")
    voting.revise(log.history()["event_id"][0])
    assert _cards(voting)[0]["revises"]
    voting.choose("right")
    assert log.preferences()["choice"].tolist() == ["right"]


def test_a_hidden_repeat_and_a_calibration_correct_no_vote(card_on, log):
    card_on().choose("left")
    first = log.history()["event_id"][0]
    rows = ROWS.iloc[:1]
    card_on(queue=FixedQueue(rows.assign(repeat_of=first), "ann")).choose("right")
    card_on(rows.assign(queue_arm="calibration")).choose("both")
    assert len(log.standing("ann")) == 3
    assert list(log.preferences()["choice"]) == ["left"]
    assert log.history()["corrects"].isna().all()


def test_labels_from_other_threads_are_all_kept(card_on, log):
    drafts = _drafts(("f1",), 100)
    card = card_on(_rows(drafts), drafts)
    threads = [
        threading.Thread(target=lambda: [card.choose("left") for _ in range(20)]) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.preferences()) == 100
    assert card.finished


def test_a_reload_goes_on_where_the_person_stopped(card_on, log):
    first = card_on()
    first.choose("left")
    first.choose("both")
    again = card_on()
    assert again.item_id == ROWS.item_id[2]
    assert _hear(again, "refresh")[-1]["done"] == 2


def test_the_card_works_over_a_real_queue_and_meets_each_item_once(card_on, log):
    drafts = _drafts(rounds=10)
    card = card_on(drafts=drafts, queue=Queue(log, drafts, "ann", repeats=0.2))
    acts = 0
    while not card.finished and acts < 100:
        card.choose("left")
        acts += 1
    assert set(log.preferences()["item_id"]) == set(drafts["instruction_id"])
    assert len(log.preferences()) == 30
    assert acts == len(log.standing("ann")) > 30  # the rest are hidden repeats
    assert log.history()["corrects"].isna().all()


def test_what_a_card_left_open_shows_is_held_again_when_one_comes_back_to_it(
    card_on, log, monkeypatch
):
    drafts = _drafts(("f1",), 4)
    card = card_on(drafts=drafts, queue=Queue(log, drafts, "ann", wanted=1, repeats=0))
    after_its_lease = time.time() + 1801
    monkeypatch.setattr("vital_lib.labels.queue.time.time", lambda: after_its_lease)
    assert len(_hear(card, "refresh")[-1]["cards"]) == 4
    assert Queue(log, drafts, "bob", wanted=1, repeats=0).take(4) == []


def test_at_an_end_that_others_hold_the_card_says_how_much_is_left_and_asks_again(card_on, log):
    drafts = _drafts(("f1",), 6)
    bob = Queue(log, drafts, "bob", wanted=1, repeats=0)
    held = bob.take(2)
    card = card_on(drafts=drafts, queue=Queue(log, drafts, "ann", wanted=1, repeats=0))
    while not card.finished:
        card.choose("both")
    assert (card.sent[-1]["done"], card.sent[-1]["of"], card.sent[-1]["ended"]) == (4, 6, True)
    assert _cards(card) == []
    bob.release()
    assert len(_cards(card)) == len(held)
    assert card.item_id in [row["item_id"] for row in held]


def test_a_closed_card_gives_back_what_nobody_judged(card_on, log):
    drafts = _drafts(("f1",), 6)
    card = card_on(drafts=drafts, queue=Queue(log, drafts, "ann", wanted=1, repeats=0))
    card.choose("left")
    bob = Queue(log, drafts, "bob", wanted=1, repeats=0)
    assert len(bob.take(9)) == 1  # what ann neither judged nor holds
    card.widget.close()
    assert len(bob.take(9)) == 4
    card.widget.close()
    assert log.preferences()["item_id"].nunique() == 1


def test_a_kernel_that_ends_gives_back_what_nobody_judged(log, tmp_path):
    drafts = _drafts(("f1",), 6)
    drafts.to_pickle(tmp_path / "drafts")
    FIGURES.to_pickle(tmp_path / "figures")
    script = """
import pandas as pd
from vital_lib.labels import LabelLog, Queue
from vital_lib.panels import PreferenceCard
drafts, figures = pd.read_pickle("drafts"), pd.read_pickle("figures")
log = LabelLog("sqlite:///labels.sqlite")
queue = Queue(log, drafts, "ann", wanted=1, repeats=0)
card = PreferenceCard(queue, drafts, figures, None, log)
card.choose("left")
assert len(Queue(log, drafts, "bob", wanted=1, repeats=0).take(9)) == 1
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    assert len(Queue(log, drafts, "cat", wanted=1, repeats=0).take(9)) == 4


# --- undo and revise


def test_undo_goes_back_to_the_first_card_across_reloads(card_on, log):
    first = card_on()
    for _ in range(3):
        first.choose("both")
    again = card_on()
    assert [again.undo() is None for _ in range(4)] == [False, False, False, True]
    assert again.item_id == ROWS.item_id[0]
    assert log.preferences().empty
    again.choose("left")
    again.choose("right")
    assert list(log.preferences()["item_id"]) == list(ROWS.item_id[:2])


def test_an_undone_item_comes_back_with_its_sides_and_what_was_said(card_on, log):
    card = card_on()
    card.add_reason("depth")
    card.set_note("too short")
    card.choose("left")
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
    assert len(whole["cards"]) == 5  # the item taken back, and those that were held


def test_nothing_to_undo_is_said(card):
    assert card.undo() is None
    assert card.sent[-1]["word"] == "There is nothing to undo."


def test_undo_leaves_alone_what_is_not_on_this_card(card_on, log):
    elsewhere = {"item_id": "x", "left_id": "xa", "right_id": "xb", "annotator": "ann"}
    log.record(**elsewhere, left_accepted=True, right_accepted=True)
    card = card_on()
    assert card.undo() is None
    assert len(log.standing("ann")) == 1
    assert "not on this card" in card.sent[-1]["word"]


def test_the_history_lists_what_stands_latest_first(card, log):
    card.add_reason("accuracy")
    card.choose("left")
    card.unsafe()
    card.choose("both")
    card.undo()
    rows = card.history()
    assert [row["said"] for row in rows] == ["flagged as unsafe", "left accepted, right rejected"]
    assert rows[1]["reasons"] == ["accuracy"]
    assert card.sent[-1]["history"] == rows and card.sent[-1]["next"] is None
    assert card.history(start=1) == rows[1:]


def test_undo_history_and_revising_stay_within_the_cards_own_arms(card_on, log):
    votes = pd.DataFrame(columns=["item_id", "annotator", "candidate_id", "accepted"])
    voting = card_on()
    calibrating = card_on(ROWS.iloc[1:2].assign(queue_arm="calibration"))
    settling = card_on(ROWS.iloc[2:3].assign(queue_arm="adjudication"), votes=votes)
    cards = {"random": voting, "calibration": calibrating, "adjudication": settling}
    for card in cards.values():
        card.choose("left")
    for arm, card in cards.items():
        (row,) = card.history()
        assert log.standing("ann", arms=[arm])["event_id"].tolist() == [row["event_id"]]
        others = log.standing("ann").query("queue_arm != @arm")["event_id"]
        with pytest.raises(ValueError, match="is not a current judgement of 'ann' on this card"):
            card.revise(others.iloc[0])
        assert card.undo() == row["event_id"]
        assert card.undo() is None
        assert log.standing("ann")["event_id"].tolist() == others.tolist()
        card.choose("left")


def test_in_a_round_the_first_answer_counts(card_on, log):
    rows = ROWS.assign(queue_arm="calibration")
    reference = dict.fromkeys(DRAFTS.candidate_id, True)
    card = card_on(rows, reference=reference)
    other = card_on(rows, reference=reference)
    card.choose("left")
    first = log.history()["event_id"][0]
    assert [row["event_id"] for row in card.history()] == [first]
    for act in (card.undo, lambda: card.revise(first)):
        assert act() is None
        assert card.sent[-1]["word"] == "Calibration answers are final: the first answer counts."
        assert card.sent[-1]["whole"] and card.item_id == rows.item_id[1]
    answer = _judge(other, preference_card.item_key(rows.iloc[0]), "e2")[0]  # another window
    assert answer["final"] and "first answer" in answer["why"]
    assert log.history()["event_id"].tolist() == [first]


def test_an_item_undone_or_revised_where_it_is_still_held_is_held_once(card_on, log):
    holding = card_on(queue=FixedQueue(ROWS, "ann"))
    card_on().choose("left")
    first = log.history()["event_id"][0]
    for act in (lambda: holding.revise(first), holding.undo):
        act()
        keys = [one["key"] for one in holding.sent[-1]["cards"]]
        assert len(keys) == len(set(keys)) == 4 and holding.item_id == ROWS.item_id[0]


def test_what_is_undone_is_claimed_again(card_on, log):
    earlier = card_on(queue=Queue(log, DRAFTS, "ann", wanted=1, repeats=0, lease=1e-6))
    item_id = earlier.item_id
    earlier.choose("left")
    card = card_on(queue=Queue(log, DRAFTS, "ann", wanted=1, repeats=0))
    card.undo()
    bob = Queue(log, DRAFTS, "bob", wanted=1, repeats=0)
    assert item_id not in [row["item_id"] for row in bob.take(99)]
    assert card.item_id == item_id


@pytest.mark.parametrize("side", ["left_id", "right_id"])
def test_undo_leaves_standing_what_a_change_of_drafts_took_off_the_card(card_on, log, side):
    card_on().choose("left")
    left = DRAFTS[DRAFTS["candidate_id"] != ROWS[side][0]]
    card = card_on(ROWS.iloc[1:], left)
    assert card.undo() is None and "not on this card" in card.sent[-1]["word"]
    assert card.history() == []
    with pytest.raises(ValueError, match="is not a current judgement of 'ann' on this card"):
        card.revise(log.history()["event_id"][0])
    assert len(log.history()) == 1


def test_a_finished_calibration_or_adjudication_undoes_no_vote(card_on, log):
    card_on().choose("left")
    votes = pd.DataFrame(columns=["item_id", "annotator", "candidate_id", "accepted"])
    for more in ({"reference": {}}, {"votes": votes}):
        assert card_on(ROWS.iloc[:0], **more).undo() is None
    assert len(log.preferences()) == 1


def test_the_title_names_the_kind_of_judging(card_on):
    adjudication = card_on(ROWS.assign(queue_arm="adjudication"))
    titles = [
        card.widget.state["title"] for card in (card_on(), card_on(reference={}), adjudication)
    ]
    assert titles == ["Preferences", "Calibration", "Adjudication"]


def test_the_history_keeps_back_the_first_answer_to_a_hidden_repeat(card_on, log):
    first = card_on()
    first.choose("left")
    first.choose("both")
    event_id = log.history()["event_id"][0]
    repeat = pd.concat([ROWS.iloc[:1].assign(repeat_of=event_id), ROWS.iloc[2:3]])
    card = card_on(queue=FixedQueue(repeat, "ann"))
    assert [row["said"] for row in card.history()] == ["left accepted, right accepted"]
    card.choose("right")
    assert len(card.history()) == 3


def test_of_a_long_history_a_page_is_read_at_a_time(card_on, log, monkeypatch):
    monkeypatch.setattr(preference_card, "_PAGE", 2)
    card = card_on()
    for _ in range(5):
        card.choose("both")
    asked = []
    standing = log.standing
    monkeypatch.setattr(log, "standing", lambda *a, **k: asked.append(k) or standing(*a, **k))
    pages = [card.history(start) for start in (0, 2, 4)]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [one["next"] for one in card.sent[-3:]] == [2, 4, None]
    assert [one["limit"] for one in asked] == [3, 5, 7]
    card.revise(pages[1][0]["event_id"])
    card.choose("left")
    card.undo()
    assert pages[1][0]["event_id"] in set(standing("ann")["event_id"])


def test_no_act_reads_all_that_was_said(card_on, log, monkeypatch):
    card = card_on(queue=Queue(log, DRAFTS, "ann", repeats=0))
    card.choose("left")
    event_id = card.history()[0]["event_id"]
    standing = log.standing

    def bounded(annotator, item_id=None, arms=None, limit=None):
        assert item_id or limit, "the whole log"
        return standing(annotator, item_id, arms, limit)

    monkeypatch.setattr(log, "standing", bounded)
    card.choose("both")
    card.undo()
    card.revise(event_id)
    card.choose("right")
    assert log.preferences()["choice"].tolist() == ["right"]


def test_after_undoing_a_revision_the_former_judgement_is_shown_and_may_be_kept(card, log):
    card.choose("left")
    first = log.history()["event_id"][0]
    card.revise(first)
    card.choose("neither")
    card.undo()
    shown = card.sent[-1]["cards"][0]
    assert shown["revises"] and shown["before"]["said"] == "left accepted, right rejected"
    assert "previous judgement is restored" in card.sent[-1]["word"]
    card.keep()
    assert card.item_id == ROWS.item_id[1]
    assert log.standing("ann")["event_id"].tolist() == [first]


def test_revising_appends_a_correction_and_goes_back_to_the_queue(card, log):
    card.choose("left")
    card.choose("both")
    first = log.history()["event_id"][0]
    card.revise(first)
    assert card.item_id == ROWS.item_id[0]
    assert card.sent[-1]["cards"][0]["revises"]
    card.choose("neither")
    assert card.item_id == ROWS.item_id[2]
    events = log.history()
    assert len(events) == 3 and events["corrects"][2] == first
    assert dict(zip(log.preferences().item_id, log.preferences().choice, strict=True)) == {
        ROWS.item_id[0]: "neither",
        ROWS.item_id[1]: "both",
    }


def test_a_revision_that_is_kept_changes_nothing(card, log):
    card.choose("left")
    card.revise(log.history()["event_id"][0])
    card.keep()
    assert card.item_id == ROWS.item_id[1]
    assert len(log.history()) == 1


def test_only_ones_own_standing_judgement_can_be_revised(card, log):
    card.choose("left")
    taken_back = card.undo()
    for event_id in (taken_back, "nothing"):
        with pytest.raises(ValueError, match=event_id):
            card.revise(event_id)


# --- calibration and adjudication


def test_the_reference_is_sent_after_the_judgement_and_not_before(card_on, log):
    reference = {ROWS.left_id[0]: True, ROWS.right_id[0]: False}
    card = card_on(ROWS.assign(queue_arm="calibration"), reference=reference)
    assert card.widget.state["calibrating"]
    key = _cards(card)[0]["key"]
    assert "reference" not in json.dumps(card.sent)
    assert _judge(card, key, "e1", False, False)[0]["reference"] == [True, False]
    assert len(log.calibrations()) == 1 and log.preferences().empty


def test_the_end_of_a_round_says_how_it_went_and_goes_on_to_what_comes_after(card_on, log):
    rows, gone_on = ROWS.head(2).assign(queue_arm="calibration"), []
    reference = dict.fromkeys(rows.left_id, True) | dict.fromkeys(rows.right_id, False)
    card = card_on(rows, reference=reference, then=lambda: gone_on.append(card.finished))
    assert card.widget.state["goes_on"]
    first, second = (item["key"] for item in _cards(card))
    told = _judge(card, first, "e1", True, False)[-1]
    _hear(card, "go_on")
    assert "result" not in told and gone_on == []  # not before its end
    told = _judge(card, second, "e2", True, True)[-1]
    assert told["ended"] and told["result"] == {"items": 2, "agreed": 1}
    _hear(card, "go_on")
    assert gone_on == [True]


def test_whoever_adjudicates_sees_the_votes_under_each_response(card_on, log):
    votes = pd.DataFrame(
        {
            "item_id": ROWS.item_id[0],
            "annotator": ["bob", "eve", "kim"],
            "candidate_id": [ROWS.left_id[0], ROWS.left_id[0], ROWS.right_id[0]],
            "accepted": [True, False, None],
        }
    )
    card = card_on(ROWS.assign(queue_arm="adjudication"), votes=votes)
    assert [one["votes"] for one in _cards(card)[:2]] == [
        [[["bob", True], ["eve", False]], []],
        [[], []],
    ]
    card.choose("left")
    assert len(log.adjudications()) == 1 and log.preferences().empty


# --- images and memory


def test_an_image_is_prepared_off_the_thread_that_records(card_on, log):
    card = card_on()
    busy, go_on = threading.Event(), threading.Event()

    def blocking():
        busy.set()
        go_on.wait(20)

    _panel._painter.submit(blocking)
    busy.wait(20)
    card._heard(card.widget, {"image": "f1", "side": 512}, [])
    card.choose("left")
    assert len(log.preferences()) == 1
    assert not [one for one in card.sent if "image" in one]
    go_on.set()
    _panel._painter.submit(lambda: None).result(20)
    assert [one for one in card.sent if "image" in one] == [{"image": "f1", "side": 512}]


@pytest.mark.parametrize(
    ("fault", "why"),
    [(RuntimeError("decoder crashed"), "decoder crashed"), (MemoryError(), "Memory")],
)
def test_an_image_that_fails_in_any_way_is_said_with_its_reason_and_tried_anew(log, fault, why):
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


def test_images_of_the_items_that_come_next_are_sent_unasked_unless_the_browser_has_them(card):
    keys = [one["key"] for one in _cards(card)]  # of f1, f1, f2, f2
    for number, key in enumerate(keys[:2]):
        _judge(card, key, f"e{number}", side=512)
    _panel._painter.submit(lambda: None).result(20)
    dealt = [one for one in card.sent if one.get("side") == 512 and "cards" in one]
    assert [one["coming"] for one in dealt] == [["f3"], []]
    assert [one for one in card.sent if "image" in one] == [{"image": "f3", "side": 512}]


def test_the_kernel_keeps_a_few_images_however_many_are_shown(log):
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


def test_the_card_reads_and_writes_no_file_of_its_own():
    source = Path(preference_card.__file__).read_text()
    assert "open(" not in source and "write_" not in source
