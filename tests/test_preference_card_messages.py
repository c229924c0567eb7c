"""The preference card's judgements, messages and images, without a browser."""

from __future__ import annotations

import base64
import functools
import json
import threading
import tracemalloc
import zlib
from pathlib import Path

import pandas as pd
import pytest
from card_acts import choose
from preference_card_rows import (
    DRAFTS,
    FIGURES,
    HOSTILE,
    ROWS,
    draft_rows,
    held_cards,
    item_rows,
    picture_of,
    send_call,
    send_judgement,
)

from vital_lib.labels import FixedQueue, LabelLog
from vital_lib.panels import PreferenceCard, _panel, preference_card
from vital_lib.panels.preference_card import CRITERIA
from vital_lib.panels.preference_card.item_key import item_key

pytest_plugins = "preference_card_rows"

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
    assert [name for name, *_ in card.widget.state["reasons"]] == list(CRITERIA)
    assert "accuracy" in CRITERIA and len(CRITERIA) == 9


def test_each_side_shows_the_response_of_its_candidate(card):
    responses = DRAFTS.set_index("candidate_id").response
    cards = held_cards(card)
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
    shown = held_cards(card)
    assert [one["instruction"] for one in shown] == list(DRAFTS["instruction"][:8:2])
    assert [one["figure"] for one in shown] == ["f1", "f1", "f2", "f2"]


def test_after_a_judgement_only_the_new_cards_text_is_sent(card):
    keys = [one["key"] for one in held_cards(card)]
    saved, dealt = send_judgement(card, keys[0], "e1")
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
        "key": held_cards(card)[0]["key"],
        "event_id": "0" * 32,
        "left_accepted": True,
        "right_accepted": False,
        "reasons": list(CRITERIA),
        "note": "x" * 300,
        "seconds": 12.3,
    }
    assert len(json.dumps({"call": "judge", "with": given})) <= 1000


def test_the_synced_state_has_no_texts_and_does_not_grow_with_the_items(card_on, log):
    drafts = draft_rows(rounds=200)
    small, large = (card_on(item_rows(d), d).widget.state for d in (DRAFTS, drafts))
    assert len(json.dumps(small)) == len(json.dumps(large)) < 2000
    assert "Question" not in json.dumps(large)


def test_the_browser_never_receives_the_source_of_a_response(card):
    send_judgement(card, held_cards(card)[0]["key"], "e1")
    text = json.dumps([card.widget.state, card.sent])
    ids = [*DRAFTS.candidate_id, *DRAFTS.instruction_id, "draft"]
    assert not [word for word in ids if word in text]


def test_the_browser_can_call_only_the_cards_actions(card, log):
    for name in ("_judge_current", "_log", "__init__", "widget", "nothing", "choose"):
        send_call(card, name)
    assert log.history().empty


def test_an_invalid_key_is_refused_as_final(card, log):
    for key in ("", "nonsense", "AAAA"):
        answer = send_judgement(card, key, "e1")[0]
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
    given = {"key": held_cards(card)[0]["key"], "event_id": "e1", "left_accepted": True}
    (answer,) = send_call(card, "judge", **{**given, "right_accepted": True, **wrong})
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
    for again in (card_on(item_rows(fewer), fewer), card_on(reference={}), card_on(use=same_log)):
        assert again.widget.state["store"] == stores[0]


def test_a_judgement_for_another_card_is_left_to_that_card(card_on, log):
    fewer, away = DRAFTS.iloc[:4], ROWS.iloc[3].to_dict()
    card = card_on(item_rows(fewer), fewer)
    odd = {**ROWS.iloc[0], "right_id": ROWS.right_id[3]}  # only one response is on this card
    other_arm = {**ROWS.iloc[0], "drawn_by": "calibration"}
    for row in (away, odd, other_arm):
        answer = send_judgement(card, item_key(row), "kept")
        assert answer == [{"not_here": "kept"}]
    assert log.history().empty and card.item_id == ROWS.item_id[0]
    assert send_judgement(card_on(), item_key(away), "kept")[0]["saved"] == "kept"


def test_a_key_of_mixed_or_unknown_items_is_refused(card, log):
    mixed = {**ROWS.iloc[0], "right_id": ROWS.right_id[1]}
    for row in (mixed, {**ROWS.iloc[0], "item_id": "made-up"}):
        answer = send_judgement(card, item_key(row), "e1")[0]
        assert answer["final"] and repr(row["item_id"]) in answer["why"]
    assert log.history().empty


@pytest.mark.parametrize("reasons", [["taste"], ["depth", "x" * 5000], ["depth"] * 21])
def test_unknown_or_too_many_reasons_are_refused(card, log, reasons):
    (answer,) = send_judgement(card, held_cards(card)[0]["key"], "e1", reasons=reasons)
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
    shown = held_cards(card_on(drafts=drafts))
    assert shown[0]["left"] == huge
    assert shown[2]["caption"] == HOSTILE and HOSTILE in shown[2]["left"]


def test_the_hidden_text_setting_is_kept(card):
    assert card.widget.state["hidden"] is False
    card.widget.state = {**card.widget.state, "hidden": True}  # as the page sets it
    turn = card.widget.state["turn"]
    card._heard(card.widget, {"call": "unknown"}, [])  # the state is sent anew
    assert card.widget.state["turn"] > turn and card.widget.state["hidden"] is True


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
        return picture_of(figure_id)

    card = PreferenceCard(FixedQueue(ROWS, "ann", log), DRAFTS, FIGURES, image_of, log)
    sent = []
    card.widget.send = lambda content, buffers=(): sent.append((content, len(buffers)))
    for _ in range(2):
        card._heard(card.widget, {"image": "f1", "side": 512}, [])
    _panel._painter.submit(lambda: None).result(20)
    assert sent[0][0]["image"] == "f1" and why in sent[0][0]["missing"]
    assert sent[1] == ({"image": "f1", "side": 512}, 1)


def test_images_of_the_next_items_are_prefetched_unless_the_browser_has_them(card):
    keys = [one["key"] for one in held_cards(card)]  # figures f1, f1, f2, f2
    for number, key in enumerate(keys[:2]):
        send_judgement(card, key, f"e{number}", side=512)
    _panel._painter.submit(lambda: None).result(20)
    dealt = [one for one in card.sent if one.get("side") == 512 and "cards" in one]
    assert [one["coming"] for one in dealt] == [["f3"], []]
    assert [one for one in card.sent if "image" in one] == [{"image": "f3", "side": 512}]


def test_the_kernel_keeps_few_images_in_memory(log):
    figures = pd.DataFrame(
        {"figure_id": [f"g{n}" for n in range(60)], "caption": "", "mentions": ""}
    )
    drafts = draft_rows(tuple(figures.figure_id), 1)
    card = PreferenceCard(
        FixedQueue(item_rows(drafts), "ann", log), drafts, figures, lambda name: bytes(100_000), log
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
