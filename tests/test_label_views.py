"""What the judgements amount to, from plain frames: no log is opened."""

from __future__ import annotations

import pandas as pd
import pytest

from vital_lib.labels import check_same_texts


def _drafts(**answers: str) -> pd.DataFrame:
    rows = [(name, "What is seen?", text) for name, text in answers.items()]
    return pd.DataFrame(rows, columns=["candidate_id", "instruction", "response"])


VOTES = pd.DataFrame({"left_id": ["a", "d"], "right_id": ["b", "c"]})
BEFORE = _drafts(a="One.", b="Two.", x="Three.")


def test_drafts_may_change_where_nobody_has_judged_them():
    check_same_texts(VOTES, BEFORE, BEFORE)
    check_same_texts(VOTES, BEFORE, _drafts(a="One.", b="Two.", x="Changed.", y="New."))
    check_same_texts(VOTES, BEFORE, _drafts(a="One."))  # b is gone: its votes name no text
    check_same_texts(VOTES.head(0), BEFORE, _drafts(a="Changed."))


def test_another_text_under_a_judged_id_is_refused_with_the_way_out():
    after = _drafts(a="One.", b="Changed.", x="Three.")
    with pytest.raises(ValueError, match=r"1 of 2 judged responses.*'b'.*without its labels"):
        check_same_texts(VOTES, BEFORE, after)
    with pytest.raises(ValueError, match="2 of 2"):
        check_same_texts(VOTES, BEFORE, BEFORE.assign(instruction="Where?"))
