"""Majorities, decided items and accepted shares, computed from data frames without a log."""

from __future__ import annotations

import pandas as pd
import pytest
from label_rows import judged

from vital_lib.labels import (
    accepted_share,
    check_same_texts,
    decided_items,
    majority_ticks,
)


def votes(*ticks: tuple, item: str = "i1") -> list[dict]:
    """Rows of preferences, each of another annotator; every second row has its sides swapped."""
    rows = []
    for n, (a, b) in enumerate(ticks):
        row = judged(item, (a, b), who=f"p{n}")
        if n % 2:
            row |= {"left_id": row["right_id"], "right_id": row["left_id"]}
            row |= {"left_accepted": b, "right_accepted": a}
        rows.append(row)
    return rows


def test_the_majority_is_taken_per_response_regardless_of_its_side():
    rows = pd.DataFrame(votes((True, False), (True, True), (False, False)))
    vote = majority_ticks(rows).iloc[0]
    assert (vote["item_id"], vote["first_id"], vote["second_id"]) == ("i1", "i1-a", "i1-b")
    assert (vote["first_accepted"], vote["second_accepted"]) == (True, False)


def test_half_is_not_a_majority_and_a_skip_is_not_a_vote():
    rows = pd.DataFrame(votes((True, False), (False, False), (None, None)))
    vote = majority_ticks(rows).iloc[0]
    assert pd.isna(vote["first_accepted"])
    assert not vote["second_accepted"]


def test_an_item_is_decided_when_one_response_is_accepted_and_the_other_rejected():
    rows = pd.DataFrame(
        votes((True, False), item="i1")
        + votes((True, True), item="i2")
        + votes((False, False), item="i3")
        + votes((False, True), (False, True), item="i4")
        + votes((True, False), (False, False), item="i5")
        + votes((None, None), item="i6")
    )
    assert decided_items(rows) == ["i1", "i4"]
    assert decided_items(rows.iloc[:0]) == []


def test_the_accepted_share_counts_only_annotators_who_judged():
    rows = pd.DataFrame(votes((True, False), (True, True), (False, True), (None, None)))
    shares = accepted_share(rows).set_index("candidate_id")
    assert shares["accepted"].to_dict() == pytest.approx({"i1-a": 2 / 3, "i1-b": 2 / 3})
    assert shares["annotators"].to_dict() == {"i1-a": 3, "i1-b": 3}


def test_an_item_with_three_responses_is_refused():
    rows = pd.DataFrame([judged(), judged(right_id="i1-c", who="ben")])
    with pytest.raises(ValueError, match="item 'i1' was judged on 3 responses"):
        majority_ticks(rows)


def _drafts(**answers: str) -> pd.DataFrame:
    rows = [(name, "What is seen?", text) for name, text in answers.items()]
    return pd.DataFrame(rows, columns=["candidate_id", "instruction", "response"])


VOTES = pd.DataFrame({"left_id": ["a", "d"], "right_id": ["b", "c"]})
BEFORE = _drafts(a="One.", b="Two.", x="Three.")


def test_drafts_without_judgements_may_change():
    check_same_texts(VOTES, BEFORE, BEFORE)
    check_same_texts(VOTES, BEFORE, _drafts(a="One.", b="Two.", x="Changed.", y="New."))
    check_same_texts(VOTES, BEFORE, _drafts(a="One."))  # b has no draft, so nothing to compare
    check_same_texts(VOTES.head(0), BEFORE, _drafts(a="Changed."))


def test_a_changed_text_under_a_judged_id_is_refused_with_the_way_out():
    after = _drafts(a="One.", b="Changed.", x="Three.")
    with pytest.raises(ValueError, match=r"1 of 2 judged responses.*'b'.*without its labels"):
        check_same_texts(VOTES, BEFORE, after)
    with pytest.raises(ValueError, match="2 of 2"):
        check_same_texts(VOTES, BEFORE, BEFORE.assign(instruction="Where?"))
