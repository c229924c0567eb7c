"""The order in which one annotator judges the drafts, with the sides and the arm of each item.

Order, sides and arms are drawn by hashes of ids and a seed, so they are always reproducible. This
module does not read any judgements.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from vital_lib.labels.events import REQUESTED, STRATEGIES
from vital_lib.seeds import hash64

COLUMNS = ["figure_id", "item_id", "left_id", "right_id", "drawn_by"]
"""Columns of an order."""
LEAST_RANDOM_SHARE = 0.2
"""Smallest share of the random arm, on which agreement and alignment are measured."""


def in_order(
    drafts: pd.DataFrame, annotator: str, strategy: str, random_share: float, seed: int, who: str
) -> pd.DataFrame:
    """Return the drafted items in the order in which they are handed out; columns `COLUMNS`.

    Args:
        drafts, strategy, random_share, seed: as in `Queue`.
        annotator: the annotator for whom the sides are drawn.
        who: the annotator for an individual order, or "" for the order that all share.

    Raises:
        ValueError: an instruction without exactly two responses, an unknown strategy, a strategy
            whose column is missing or incomplete, or a `random_share` out of range.
    """
    if not LEAST_RANDOM_SHARE <= random_share <= 1:
        raise ValueError(
            f"random_share {random_share}: agreement is measured on the random arm, so "
            f"give {LEAST_RANDOM_SHARE} to 1"
        )
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy {strategy!r}: give one of {', '.join(STRATEGIES)}")
    pairs = _pairs(drafts, seed, annotator)
    if strategy == "random":
        order = np.argsort(_hashes(pairs["figure_id"], seed, who, "order"), kind="stable")
        arms: Any = "random"
    else:
        values = _values(strategy, drafts)[pairs[["first", "second"]].to_numpy()]
        shuffle = _hashes(pairs["item_id"], seed, who, "order")
        drawn = np.argsort(_hashes(pairs["item_id"], seed, "arm"), kind="stable")
        cut = int(np.ceil(random_share * len(pairs)))
        drawn, rest = drawn[:cut], drawn[cut:]
        drawn = drawn[np.argsort(shuffle[drawn], kind="stable")]
        rank = _most_uncertain if strategy == "uncertainty" else _round_robin
        order, is_random = _interleaved(drawn, rank(values, shuffle, drawn, rest))
        arms = np.where(is_random, "random", strategy)
    ordered = pairs.iloc[order].assign(drawn_by=arms)
    return ordered[COLUMNS].reset_index(drop=True)


def requested_first(ordered: pd.DataFrame, items: Iterable[str]) -> pd.DataFrame:
    """Return an order with the requested `items` first, in an arm of their own.

    A person chose them, so they are no random sample. Items that are not in the order are ignored.

    Args:
        ordered: from `in_order`.
    """
    place = {item: n for n, item in enumerate(dict.fromkeys(items))}
    ranks = ordered["item_id"].map(place).fillna(len(place))
    arms = ordered["drawn_by"].where(ranks == len(place), REQUESTED)
    rows = ordered.assign(drawn_by=arms)
    return rows.iloc[np.argsort(ranks.to_numpy(), kind="stable")].reset_index(drop=True)


def _pairs(drafts: pd.DataFrame, seed: int, annotator: str) -> pd.DataFrame:
    """Return one row per instruction, in the order of `drafts`.

    Columns: `COLUMNS` without drawn_by, and `first` and `second`, the places of its two responses
    in `drafts`.
    """
    codes, items = pd.factorize(drafts["instruction_id"])
    by_item = np.argsort(codes, kind="stable")
    counts = np.bincount(codes, minlength=len(items))
    responses = drafts["candidate_id"].to_numpy(object)
    if (counts != 2).any():
        at = int(np.flatnonzero(counts != 2)[0])
        raise _not_two(items[at], responses[codes == at])
    places = by_item.reshape(-1, 2)
    a, b = responses[places].T
    if (a == b).any():
        at = int(np.flatnonzero(a == b)[0])
        raise _not_two(items[at], [a[at], b[at]])
    heads = _hashes(items, seed, annotator, "sides") % 2 == 1
    left_is_a = (a < b) == heads  # by id, so that the row order does not affect the sides
    return pd.DataFrame(
        {
            "figure_id": drafts["figure_id"].to_numpy(object)[places[:, 0]],
            "item_id": items.to_numpy(object),
            "left_id": np.where(left_is_a, a, b),
            "right_id": np.where(left_is_a, b, a),
            "first": places[:, 0],
            "second": places[:, 1],
        }
    )


def _not_two(item: str, responses: Any) -> ValueError:
    return ValueError(
        f"instruction {item!r} has the responses {sorted(responses)}: give exactly two"
    )


def _values(strategy: str, drafts: pd.DataFrame) -> np.ndarray:
    """Return the strategy's column, one value per draft; clusters are numbered from 0."""
    if strategy not in drafts:
        raise ValueError(f"strategy {strategy!r} needs a column {strategy} in the drafts")
    empty = int(drafts[strategy].isna().sum())
    if empty:
        raise ValueError(
            f"{empty} of {len(drafts)} drafts have no {strategy}: give them one, or leave them out"
        )
    if strategy == "cluster":
        return pd.factorize(drafts[strategy])[0]
    return drafts[strategy].to_numpy(float)


def _most_uncertain(
    values: np.ndarray, shuffle: np.ndarray, drawn: np.ndarray, rest: np.ndarray
) -> np.ndarray:
    """Return `rest` by falling uncertainty, the larger value of an item's two responses."""
    return rest[np.lexsort([shuffle[rest], -values.max(axis=1)[rest]])]


def _round_robin(
    values: np.ndarray, shuffle: np.ndarray, drawn: np.ndarray, rest: np.ndarray
) -> np.ndarray:
    """Return `rest` in rounds of one item per cluster, those least in the random arm first."""
    rest = rest[np.argsort(shuffle[rest], kind="stable")]
    clusters = values[:, 0]
    reached = np.bincount(clusters[drawn], minlength=clusters.max(initial=0) + 1)
    turn = pd.Series(clusters[rest]).groupby(clusters[rest]).cumcount().to_numpy()
    return rest[np.lexsort([clusters[rest], reached[clusters[rest]], turn])]


def _interleaved(drawn: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spread `drawn` and `rest` evenly over one order; also return which entries are `drawn`.

    On ties `drawn` comes first, so it has its share of the order at any stopping point.
    """
    places = [
        np.arange(len(drawn)) / max(len(drawn), 1),
        np.arange(1, len(rest) + 1) / max(len(rest), 1),
    ]
    together = np.argsort(np.concatenate(places), kind="stable")
    return np.concatenate([drawn, rest])[together], together < len(drawn)


def _hashes(values: Any, *parts: Any) -> np.ndarray:
    """Return a 64-bit hash of each value, which depends only on the value and on `parts`."""
    key = f"{number(*parts):016x}"
    return pd.util.hash_array(np.asarray(values, dtype=object), hash_key=key, categorize=False)


def number(*parts: Any) -> int:
    """Return a 64-bit hash of `parts`."""
    return hash64("\x1f".join(map(str, parts)))


def rows_to_judge(
    items: Iterable[str], drafts: pd.DataFrame, annotator: str, arm: str, seed: int
) -> pd.DataFrame:
    """Return `items`, in order, as rows of a fixed queue; columns as in `adjudication_rows`."""
    items = list(items)
    shown = drafts[drafts["instruction_id"].isin(items)].groupby("instruction_id")
    sides = {item: sorted(ids) for item, ids in shown["candidate_id"]}
    rows = []
    for item in items:
        ids = sides.get(item, [])
        if len(ids) != 2 or ids[0] == ids[1]:
            raise _not_two(item, ids)
        coin = hashlib.sha256(f"{seed}\x1f{annotator}\x1f{item}".encode(errors="replace")).digest()
        rows.append((item, *(ids if coin[0] % 2 else ids[::-1]), arm, None))
    figure_of = dict(zip(drafts["instruction_id"], drafts["figure_id"], strict=True))
    frame = pd.DataFrame(rows, columns=["item_id", "left_id", "right_id", "drawn_by", "repeat_of"])
    return frame.assign(figure_id=[figure_of[item] for item in items])
