"""Drafted pairs that annotators do not judge, because their flags leave nothing to choose.

This module reads the flags of the drafts. It opens no log and sets no flags.
"""

from __future__ import annotations

import pandas as pd

from vital_lib.tables import NO_ANSWER, flags_in_words


def left_out(drafts: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of `drafts` that annotators do not judge: columns instruction_id, why.

    A pair is left out if both responses have the flag "said twice" (they are the same text, or an
    earlier round of their conversation has both), or if a response echoes the request or refuses.
    Other flags are only hints for the annotator. `why` has the wording of the candidate explorer
    and the preference card.

    Args:
        drafts: columns instruction_id and flags (lists); without flags no pair is left out.
    """
    if "flags" not in drafts:
        return pd.DataFrame(columns=["instruction_id", "why"])
    ids = drafts["instruction_id"].reset_index(drop=True)
    flags = drafts["flags"].reset_index(drop=True)
    flags = flags[flags.map(len, na_action="ignore") > 0].explode()
    flags = flags[flags.isin(NO_ANSWER)]
    found = pd.DataFrame({"instruction_id": ids.reindex(flags.index), "flag": flags})
    found = found.reset_index().drop_duplicates()  # one row per response and flag
    count = found.groupby(["instruction_id", "flag"])["flag"].transform("size")
    sizes = ids[ids.isin(found["instruction_id"])].value_counts()
    whole = count == found["instruction_id"].map(sizes)
    found = found[whole | (found["flag"] != NO_ANSWER[0])]
    why = found.groupby("instruction_id", sort=False)["flag"].agg(
        lambda names: " and ".join(flags_in_words(names))
    )
    return why.rename("why").reset_index()


def left_out_in_words(found: pd.DataFrame, drafts: pd.DataFrame, *, flagged: bool) -> str:
    """Describe how many pairs are left out and why, as in "3 of 90 pairs left out: refuses (3)".

    Args:
        found: the result of `left_out` for `drafts`.
        flagged: whether annotators judge the flagged pairs all the same.
    """
    pairs = drafts["instruction_id"].nunique()
    if "flags" not in drafts:
        return f"0 of {pairs:,} pairs left out: these drafts carry no flags"
    counts = found["why"].value_counts(sort=False).sort_index()
    why = ", ".join(f"{name} ({n:,})" for name, n in counts.items())
    if flagged and why:
        return f"0 of {pairs:,} pairs left out, though {len(found):,} are flagged: {why}"
    return f"{len(found):,} of {pairs:,} pairs left out{': ' if why else ''}{why}"
