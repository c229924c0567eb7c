"""Demonstrations: conversations of responses that annotators accepted, and a control pool.

Demonstrations come from this run's preferences or from a published file. This module has no user
interface, prompts or models.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AliasChoices, BeforeValidator, Field

from vital_lib.figures.fields import mentions_of, modalities_of
from vital_lib.labels import votes_long
from vital_lib.records import (
    InvalidRecord,
    Record,
    Text,
    checked,
    read_records,
    rejected_rows,
    rounds_of,
)
from vital_lib.records.check import Name
from vital_lib.sources import in_known_words
from vital_lib.tables import belonging, frame_of, not_to_learn, refuse_missing

LOG = logging.getLogger(__name__)

NOT_CLEARED = "no reason was given why these demonstrations may leave"

RULES: dict[str, Callable[[int, int], bool]] = {
    "majority": lambda accepted, judged: 2 * accepted > judged,
    "all": lambda accepted, judged: accepted == judged,
    "any": lambda accepted, judged: accepted >= 1,
}
"""Rules for accepting a response, given the numbers of annotators who accepted and judged it."""


def choose_demonstrations(
    preferences: pd.DataFrame,
    drafts: pd.DataFrame,
    figures: pd.DataFrame,
    *,
    rule: str = "majority",
    seed: int = 0,
) -> pd.DataFrame:
    """Build conversations of accepted responses, from figures of the training split only.

    Each instruction keeps its accepted response with the most acceptances; ties are broken at
    random by `seed`. Instructions without an accepted response are left out. Votes for candidates
    that are not in `drafts` are ignored, and the log counts them.

    Args:
        preferences: table `preferences`; a skipped item (null ticks) is not a vote.
        drafts: table `drafts`.
        figures: table `figures`.
        rule: a key of `RULES`: "majority", "all" or "any" of the response's annotators accept it.

    Returns:
        Table `demonstrations` with origin "this run"; annotators are those who accepted a response
        in the conversation.

    Raises:
        ValueError: the rule is unknown, a draft's figure is not in `figures`, or there are votes
            but none for a candidate in `drafts`.
    """
    if rule not in RULES:
        raise ValueError(f"rule={rule!r}: give one of {', '.join(RULES)}")
    votes = votes_long(preferences).astype({"accepted": bool})
    votes = belonging(votes, "candidate_id", drafts["candidate_id"], what="votes", to="drafts")
    counted = votes.groupby("candidate_id")["accepted"].agg(ticks="sum", judged="count")
    accepted = {
        row.Index: int(row.ticks)
        for row in counted.itertuples()
        if RULES[rule](row.ticks, row.judged)
    }
    kept = _training(drafts, figures)
    kept = kept[kept["candidate_id"].isin(accepted)]
    chosen = _one_per_instruction(kept, accepted, seed)
    ticks = votes[votes["accepted"]].groupby("candidate_id")["annotator"].agg(set)
    return _conversations(chosen, figures, "this run", ticks.to_dict())


def random_demonstrations(
    drafts: pd.DataFrame, figures: pd.DataFrame, *, n: int, seed: int
) -> pd.DataFrame:
    """Draw the control pool: `n` drafted conversations, without regard to preferences.

    They come from the training split, with one random response per instruction. If there are fewer
    than `n`, all are returned. Responses flagged as refusing or echoing the request are left out,
    and the log counts them.

    Returns:
        Table `demonstrations` with origin "random" and no annotators.

    Raises:
        ValueError: a draft's figure is not in `figures`.
    """
    kept = _training(drafts, figures)
    answers = not_to_learn(kept).isna()
    if not answers.all():
        counts = (~answers).sum(), len(kept)
        LOG.info("%d of %d drafts refuse or echo the request and are left out", *counts)
    kept = kept[answers]
    conversations = np.array(sorted(kept["conversation_id"].unique()), dtype=object)
    drawn = np.random.default_rng(seed).permutation(conversations)[:n]
    kept = kept[kept["conversation_id"].isin(drawn)]
    return _conversations(_one_per_instruction(kept, {}, seed), figures, "random", {})


def import_demonstrations(
    path: str | Path, figures: pd.DataFrame | None = None, *, cleared: str | None = None
) -> pd.DataFrame:
    """Read demonstrations from a file, such as the 58 that BioMed-VITAL published.

    Records (JSON Lines, JSON, CSV, Parquet) have `pair_id`, `fig_caption`, `in_text_mention` (texts
    or {tokens}), `domain`, and `conversations` of {from: human or gpt, value}. Consecutive answers
    become one response. LLaVA-Med's published few-shot examples are read from their Python file,
    which is not executed.

    Args:
        figures: table `figures`. `figure_id` is null if the figure is not in it. Demonstrations of
            its figures outside the training split are left out.
        cleared: why their texts may leave, such as "Apache 2.0, published"; without it, they are
            shown only to models of your own.

    Returns:
        Table `demonstrations`: origin is the file name, and annotators are empty. ``.attrs`` has
        ``records`` (number of records), ``rejected`` (place, field and reason of each unusable
        record) and ``not_for_training`` (figure ids left out). The log counts the last two.

    Raises:
        ValueError: no record is usable; the message gives the first reasons.
    """
    file = Path(path)
    known = {} if figures is None else figures.set_index("figure_id")["split"].to_dict()
    rows: dict[str, dict] = {}
    rejected: list[tuple[str, InvalidRecord]] = []
    total = 0
    for place, record in read_records(file, fields=("pair_id", "conversations", "messages")):
        total += 1
        try:
            row = _imported(record, file.name)
            if row["demonstration_id"] in rows:
                raise InvalidRecord("pair_id", f"{row['figure_id']!r} was already read")
        except InvalidRecord as wrong:
            rejected.append((place, wrong))
        else:
            rows[row["demonstration_id"]] = row
    if not rows:
        first = "; ".join(f"{place}: {wrong}" for place, wrong in rejected[:3])
        reasons = first or "the file holds no records"
        raise ValueError(f"0 of {total} records of {file.name} are demonstrations; {reasons}")
    kept = [row for row in rows.values() if known.get(row["figure_id"], "train") == "train"]
    names = [row["figure_id"] for row in rows.values()]
    apart = [name for name in names if known.get(name, "train") != "train"]
    placed = [row if row["figure_id"] in known else {**row, "figure_id": None} for row in kept]
    stated = {"cleared": bool(cleared) or None, "cleared_reason": cleared or NOT_CLEARED}
    frame = frame_of("demonstrations", [row | stated for row in placed])
    frame.attrs = {"records": total, "rejected": rejected_rows(rejected), "not_for_training": apart}
    if rejected:
        place, wrong = rejected[0]
        LOG.warning(
            "%d of %d records are not demonstrations: %s: %s", len(rejected), total, place, wrong
        )
    if apart:
        why = "their figures are outside the training split"
        LOG.warning("%d of %d demonstrations are left out: %s", len(apart), len(rows), why)
    return frame


def _training(drafts: pd.DataFrame, figures: pd.DataFrame) -> pd.DataFrame:
    drafted, known = sorted(set(drafts["figure_id"])), set(figures["figure_id"])
    problem = "drafted figures are not in the table figures"
    refuse_missing(drafted, known, problem, "run notebook 02 again after 01")
    return drafts[drafts["split"] == "train"]


def _one_per_instruction(
    drafts: pd.DataFrame, accepted: Mapping[str, int], seed: int
) -> pd.DataFrame:
    """Keep each instruction's row with the most acceptances; ties are broken by `_draw`."""
    rank = [(-accepted.get(name, 0), _draw(seed, name)) for name in drafts["candidate_id"]]
    order = sorted(range(len(drafts)), key=rank.__getitem__)
    best = drafts.iloc[order].drop_duplicates("instruction_id")
    return best.sort_values(["conversation_id", "round"])


def _draw(seed: int, candidate_id: str) -> bytes:
    """Return a pseudo-random value that depends on the candidate alone, not on the others."""
    return hashlib.sha256(f"{seed} {candidate_id}".encode()).digest()


def _conversations(
    chosen: pd.DataFrame, figures: pd.DataFrame, origin: str, ticks: Mapping[str, set[str]]
) -> pd.DataFrame:
    named = ["caption", "mentions", "modalities", "cleared", "cleared_reason"]
    described = figures.set_index("figure_id").reindex(columns=named)
    kind = "random" if origin == "random" else "accepted"
    rows = []
    for conversation_id, turns in chosen.groupby("conversation_id", sort=True):
        figure_id = turns["figure_id"].iloc[0]
        annotators = set().union(*(ticks.get(name, set()) for name in turns["candidate_id"]))
        row = {
            "demonstration_id": f"{conversation_id}-{kind}",
            "figure_id": figure_id,
            **described.loc[figure_id].to_dict(),
            "turns": turns[["instruction", "response"]].to_dict("records"),
            "annotators": sorted(annotators),
            "origin": origin,
        }
        rows.append(row)
    return frame_of("demonstrations", rows)


class _Demonstration(Record):
    """The fields of a record that make a demonstration."""

    pair_id: Name
    fig_caption: Text
    in_text_mention: Annotated[list[str], BeforeValidator(mentions_of)] = []
    domain: Annotated[list[str], BeforeValidator(modalities_of)] = []
    conversations: Annotated[list[dict[str, str]], BeforeValidator(rounds_of)] = Field(
        validation_alias=AliasChoices("conversations", "conversatons", "messages")
    )


def _imported(record: Any, origin: str) -> dict:
    known = in_known_words(record) if isinstance(record, Mapping) else record
    found = checked(_Demonstration, known)
    return {
        "demonstration_id": f"{found.pair_id}-{Path(origin).stem}",
        "figure_id": found.pair_id,
        "caption": found.fig_caption,
        "mentions": found.in_text_mention,
        "modalities": found.domain,
        "turns": found.conversations,
        "annotators": [],
        "origin": origin,
    }
