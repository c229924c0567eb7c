"""Scores into a selected set: the cut, the control of the same size, and the export to tune on.

Method, stage 2, item 11. This module knows nothing of where the scores come from: a selector, a
judge's ratings, or anything else that gives a candidate a number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vital_lib.tables import TABLES, write_whole

IMAGE_TOKEN = "<image>"
"""The place of the image in LLaVA's first question."""


def select(
    candidates: pd.DataFrame, scores: Mapping[str, float] | pd.Series, *, share: float = 0.4
) -> pd.DataFrame:
    """Keep the best-scored `share` of `candidates`, as conversations; columns of table `selected`.

    round(share x number of candidates), and at least one, are kept; equal scores by candidate_id.
    The kept rounds of a conversation stay in their order, and a conversation of which none is kept
    is left out. `score` is the mean over the kept rounds, rank 1 the highest.

    Args:
        candidates: columns candidate_id, conversation_id, figure_id, round, instruction, response.
        scores: candidate_id -> score.
        share: above 0, up to 1.

    Raises:
        ValueError: a share outside (0, 1], no candidates, ids that stand twice, or candidates
            without a score; the message counts them.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and up to 1, not {share!r}")
    kept = top_candidates(candidates, scores, n=max(1, round(share * len(candidates))))
    return _conversations(kept, dict(scores))


def select_random(candidates: pd.DataFrame, *, n: int, seed: int = 0) -> pd.DataFrame:
    """The control of a selection: `n` candidates drawn by chance, as conversations.

    Columns of table `selected`; `score` is 0 throughout and the rank says nothing, as nothing was
    scored. `n` counts candidates: the rounds of the selected set that it is compared with.

    Raises:
        ValueError: fewer than `n` candidates, or ids that stand twice.
    """
    kept = random_candidates(candidates, n=n, seed=seed)
    return _conversations(kept, dict.fromkeys(kept["candidate_id"], 0.0))


def top_candidates(
    candidates: pd.DataFrame,
    scores: Mapping[str, float] | pd.Series,
    *,
    n: int,
    seed: int | None = None,
) -> pd.DataFrame:
    """The `n` rows of `candidates` with the highest scores, best first.

    Args:
        scores: candidate_id -> score. A null score (an unread rating) is never among the best.
        seed: draws among equal scores; without it they go by candidate_id. Ratings are full of
            ties, and the order of ids is the order of figures.

    Raises:
        ValueError: candidates that `scores` lacks, `n` below 1 or above the number of candidates
            with a score, or ids that stand twice.
    """
    _check_ids(candidates)
    found = dict(scores)
    ids = candidates["candidate_id"]
    lost = [name for name in ids if name not in found]
    if lost:
        raise ValueError(
            f"{len(lost)} of {len(ids)} candidates have no score, first {lost[0]!r}: score them in "
            "notebooks/06_train_selector.ipynb"
        )
    rows = candidates.assign(_score=[found[name] for name in ids]).dropna(subset="_score")
    _check_number(n, len(rows), "candidates with a score")
    rows = rows.sort_values("candidate_id")
    if seed is not None:
        rows = rows.iloc[np.random.default_rng(seed).permutation(len(rows))]
    rows = rows.sort_values("_score", ascending=False, kind="stable").head(n)
    return rows.drop(columns="_score").reset_index(drop=True)


def random_candidates(candidates: pd.DataFrame, *, n: int, seed: int = 0) -> pd.DataFrame:
    """`n` rows of `candidates` drawn by chance, whatever order they came in.

    Raises:
        ValueError: `n` below 1 or above the number of candidates, or ids that stand twice.
    """
    _check_ids(candidates)
    _check_number(n, len(candidates), "candidates")
    rows = candidates.sort_values("candidate_id")
    drawn = np.random.default_rng(seed).choice(len(rows), size=n, replace=False)
    return rows.iloc[drawn].reset_index(drop=True)


def export_llava(
    selected: pd.DataFrame,
    figures: pd.DataFrame,
    path: str | Path,
    *,
    resolve: Callable[[str], Path],
    image_folder: str | Path | None = None,
) -> int:
    """Write `selected` as LLaVA's training JSON and return the number of conversations.

    A list of {"id", "image", "conversations": [{"from": "human", "value": "<image>\\n..."},
    {"from": "gpt", "value": "..."}, ...]}; the image stands in the first question only. Images are
    not copied. An "<image>" within a text would call for a second image, and is taken out of it.

    Args:
        selected: columns of table `selected`, in the order to be written.
        figures: columns figure_id, image.
        path: the file to write; it appears whole or not at all.
        resolve: the path behind an `image` value, as `Workspace.resolve`.
        image_folder: image paths are written relative to it (LLaVA's `--image_folder`); without
            it they are absolute.

    Raises:
        ValueError: figures that are not given, images outside `image_folder`, or a conversation
            without rounds.
    """
    image_of = dict(zip(figures["figure_id"], figures["image"], strict=True))
    lost = [name for name in selected["figure_id"] if name not in image_of]
    if lost:
        raise ValueError(
            f"{len(lost)} of {len(selected)} conversations are about figures that are not given, "
            f"first {lost[0]!r}"
        )
    records = [
        {
            "id": row["conversation_id"],
            "image": _image_path(resolve(image_of[row["figure_id"]]), image_folder),
            "conversations": _llava_turns(row),
        }
        for row in selected.to_dict("records")
    ]
    text = json.dumps(records, ensure_ascii=False, indent=1) + "\n"
    write_whole(Path(path), lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return len(records)


def _conversations(kept: pd.DataFrame, scores: Mapping[str, float]) -> pd.DataFrame:
    """The rows of `kept` as one row per conversation, best mean score first."""
    turns: dict[tuple[str, str], list[dict[str, str]]] = {}
    found: dict[tuple[str, str], list[float]] = {}
    for row in kept.sort_values(["round", "candidate_id"]).to_dict("records"):
        key = (row["conversation_id"], row["figure_id"])
        turn = {"instruction": row["instruction"], "response": row["response"]}
        turns.setdefault(key, []).append(turn)
        found.setdefault(key, []).append(scores[row["candidate_id"]])
    selected = pd.DataFrame(list(turns), columns=["conversation_id", "figure_id"])
    selected["turns"] = list(turns.values())
    selected["score"] = [float(np.mean(found[key])) for key in turns]
    order = {"by": ["score", "conversation_id"], "ascending": [False, True]}
    selected = selected.sort_values(**order, ignore_index=True)
    selected["rank"] = np.arange(1, len(selected) + 1)
    return selected[TABLES["selected"].columns]


def _llava_turns(conversation: Mapping[str, Any]) -> list[dict[str, str]]:
    turns = []
    for turn in conversation["turns"]:
        turns.append({"from": "human", "value": _plain(turn["instruction"])})
        turns.append({"from": "gpt", "value": _plain(turn["response"])})
    if not turns:
        raise ValueError(f"conversation {conversation['conversation_id']!r} has no rounds")
    turns[0]["value"] = f"{IMAGE_TOKEN}\n{turns[0]['value']}"
    return turns


def _plain(text: str) -> str:
    return text.replace(IMAGE_TOKEN, "").strip()


def _image_path(image: Path, folder: str | Path | None) -> str:
    absolute = Path(image).resolve()
    if folder is None:
        return str(absolute)
    base = Path(folder).resolve()
    if not absolute.is_relative_to(base):
        raise ValueError(
            f"{absolute} is not inside image_folder {str(base)!r}: leave image_folder out to write "
            "absolute paths"
        )
    return absolute.relative_to(base).as_posix()


def _check_ids(candidates: pd.DataFrame) -> None:
    twice = candidates["candidate_id"][candidates["candidate_id"].duplicated()]
    if len(twice):
        raise ValueError(
            f"{len(twice)} of {len(candidates)} candidate_ids stand twice, first {twice.iloc[0]!r}"
        )


def _check_number(n: int, available: int, what: str) -> None:
    if not 1 <= n <= available:
        raise ValueError(f"n = {n!r} with {available} {what}: wanted from 1 to as many")
