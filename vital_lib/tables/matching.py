"""Matches the rows of one table to those of another by id; unmatched rows are always reported."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Set
from typing import Any

import pandas as pd

LOG = logging.getLogger(__name__)


def check_table(table: Any, called: str, *columns: str) -> None:
    """Raise if `table` is no table with these columns.

    Args:
        called: its name in the message.

    Raises:
        ValueError: it is something else, or columns are missing; the message names them.
    """
    kind = type(table).__name__
    lacking = [name for name in columns if name not in getattr(table, "columns", ())]
    if lacking:
        raise ValueError(
            f"{called}: wanted a table with {', '.join(columns)}; this {kind} has no "
            f"{', '.join(lacking)}"
        )


def belonging(
    rows: pd.DataFrame, key: str, known: Iterable[str], *, what: str, to: str
) -> pd.DataFrame:
    """Return the `rows` whose `key` is in `known`; the log counts the others.

    Args:
        what, to: names of the rows and of the known ids, such as "ratings" and "candidates".

    Raises:
        ValueError: no row matches: the two tables are from different runs.
    """
    fits = rows[key].isin(set(known))
    if fits.all():
        return rows
    first = rows[key][~fits].iloc[0]
    if not fits.any():
        raise ValueError(
            f"none of the {len(rows)} {what} belongs to the given {to}, first {first!r}: give the "
            f"{to} of these {what}"
        )
    LOG.warning(
        "%d of %d %s belong to none of the given %s, first %r: they are left out",
        (~fits).sum(), len(rows), what, to, first,
    )  # fmt: skip
    return rows[fits]


def refuse_strays(
    rows: pd.DataFrame, key: str, known: Iterable[str], *, what: str, to: str
) -> None:
    """Raise an error if the `key` of a row is not in `known`; arguments as in `belonging`.

    Raises:
        ValueError: some rows do not match; the message has their number and the first of them.
    """
    way_out = f"give the {to} of these {what}, or leave them out"
    refuse_missing(rows[key], set(known), f"{what} belong to none of the given {to}", way_out)


def refuse_missing(
    ids: Iterable[str], known: Set[str] | Mapping[str, Any], problem: str, way_out: str
) -> None:
    """Raise an error if one of `ids` is not in `known`.

    Args:
        problem: what it means to be missing, such as "candidates have no score".
        way_out: what to do about it.

    Raises:
        ValueError: some ids are missing; the message has their number and the first of them.
    """
    whole = isinstance(ids, pd.Series | pd.Index)
    wanted = ids.to_numpy(object).tolist() if whole else list(ids)  # pandas iterates slowly
    missing = [name for name in wanted if name not in known]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(wanted)} {problem}, first {missing[0]!r}: {way_out}"
        )


def refuse_twice(
    keys: pd.Series | pd.DataFrame, what: str, way_out: str = "give each of them once"
) -> None:
    """Raise an error if two rows have the same key.

    Args:
        keys: the key of each row, in one column or several.
        what: name of the rows, such as "figures".
        way_out: what to do about it.

    Raises:
        ValueError: a key occurs twice; the message has the number of repeats and the first of them.
    """
    frame = keys.to_frame() if isinstance(keys, pd.Series) else keys
    repeats = frame[frame.duplicated()].to_dict("records")
    if repeats:
        first = ", ".join(f"{name} {value!r}" for name, value in repeats[0].items())
        raise ValueError(
            f"{len(repeats)} of {len(frame)} {what} occur twice, first {first}: {way_out}"
        )


def refuse_judges(ratings: pd.DataFrame) -> None:
    """Raise ValueError if several judges rated; without a column judge, there is one."""
    judges = sorted(set(ratings.get("judge", ())))
    if len(judges) > 1:
        raise ValueError(
            f"ratings by {len(judges)} judges ({', '.join(judges)}): keep one judge's ratings"
        )


def column_of(
    ids: pd.Series, column: str, known: pd.DataFrame, key: str, *, what: str, to: str
) -> pd.Series:
    """Return the `column` of each id's row in `known`, with the index of `ids`.

    Args:
        key: the column of `known` that holds the ids; rows of one id have the same value.
        what, to: names of the rows with the ids and of the rows of `known`, as in `belonging`.

    Raises:
        ValueError: some ids are not in `known`, as in `refuse_strays`.
    """
    refuse_strays(ids.to_frame(key), key, known[key], what=what, to=to)
    return ids.map(known.drop_duplicates(key).set_index(key)[column])
