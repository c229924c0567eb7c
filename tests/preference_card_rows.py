"""A preference card on a real label log, its figures and drafts, and calls as the browser's."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from PIL import Image

from vital_lib.labels import FixedQueue
from vital_lib.panels import PreferenceCard

HOSTILE = '<img src=x onerror="alert(1)"> $x^2$ **bold** \u202eright to left\u202c \0 end'
FIGURES = pd.DataFrame(
    {
        "figure_id": ["f1", "f2", "f3"],
        "caption": ["A radiograph.", HOSTILE, "A slice."],
        "mentions": [["Seen in Fig 1.", "Again."], [], ["Fig 3."]],
    }
)


def draft_rows(figures=("f1", "f2", "f3"), rounds=2) -> pd.DataFrame:
    """Drafts a and b of each round of each figure."""
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


def item_rows(drafts: pd.DataFrame, **more) -> pd.DataFrame:
    """The items of `drafts` in their order, response a on the left."""
    ids = drafts["candidate_id"].tolist()
    items = drafts["instruction_id"].tolist()[::2]
    rows = {"item_id": items, "left_id": ids[::2], "right_id": ids[1::2]}
    return pd.DataFrame({**rows, "drawn_by": "random", **more})


DRAFTS = draft_rows()
ROWS = item_rows(DRAFTS)


def picture_of(figure_id: str) -> bytes:
    """A small grey JPEG for any figure."""
    file = io.BytesIO()
    Image.new("RGB", (30, 20), "grey").save(file, format="JPEG")
    return file.getvalue()


@pytest.fixture
def card_on(log):
    """A function that makes a card over rows; the card keeps its messages in `card.sent`."""

    def make(rows=ROWS, drafts=DRAFTS, use=log, queue=None, **more) -> PreferenceCard:
        queue = queue or FixedQueue(rows, "ann", log)
        card = PreferenceCard(queue, drafts, FIGURES, picture_of, use, **more)
        card.sent = []
        card.widget.send = lambda content, buffers=(): card.sent.append(content)
        return card

    return make


@pytest.fixture
def card(card_on) -> PreferenceCard:
    """A card over every item."""
    return card_on()


def send_call(card: PreferenceCard, call: str, **given) -> list[dict]:
    """Send a call as the browser does; return the kernel's messages."""
    before = len(card.sent)
    card._heard(card.widget, {"call": call, "with": given}, [])
    return card.sent[before:]


def held_cards(card: PreferenceCard) -> list[dict]:
    """The cards that the browser holds after a reload."""
    return send_call(card, "refresh")[-1]["cards"]


def send_judgement(card: PreferenceCard, key: str, event_id: str, left=True, right=False, **more):
    """Send a judgement as the browser does; return the kernel's messages."""
    return send_call(
        card, "judge", key=key, event_id=event_id, left_accepted=left, right_accepted=right, **more
    )
