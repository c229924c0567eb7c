"""Judge on a preference card by the call that the page's buttons send."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from vital_lib.panels import PreferenceCard
from vital_lib.panels.preference_card.item_key import item_key

TICKS = {
    "left": (True, False),
    "right": (False, True),
    "both": (True, True),
    "neither": (False, False),
    "skip": (None, None),
}


def choose(
    card: PreferenceCard,
    choice: str,
    *,
    reasons: Sequence[str] = (),
    note: str = "",
    unsafe: bool = False,
) -> None:
    """Judge the current item: one of `TICKS`."""
    left, right = TICKS[choice]
    with card._lock:
        card.judge(
            item_key(card._held[0]),
            uuid.uuid4().hex,
            left,
            right,
            cannot_judge=left is None,
            unsafe=unsafe,
            reasons=reasons,
            note=note,
            seconds=1.0,
        )
