"""Rows of one table that belong to rows of another, by id: what belongs to none is never silent."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import pandas as pd

LOG = logging.getLogger(__name__)


def belonging(
    rows: pd.DataFrame, key: str, known: Iterable[str], *, what: str, to: str
) -> pd.DataFrame:
    """The `rows` whose `key` is one of `known`; how many are not is said in the log.

    Args:
        what, to: what the rows and the known ids are called, such as "ratings", "candidates".

    Raises:
        ValueError: not one row belongs: the two tables are of different runs.
    """
    fits, first = _fits(rows, key, known)
    if first is not None and not fits.any():
        raise ValueError(
            f"none of the {len(rows)} {what} belongs to the given {to}, first {first!r}: give the "
            f"{to} that they are of"
        )
    if first is not None:
        LOG.warning(
            "%d of %d %s belong to none of the given %s, first %r: they are left out",
            (~fits).sum(), len(rows), what, to, first,
        )  # fmt: skip
    return rows[fits]


def refuse_strays(
    rows: pd.DataFrame, key: str, known: Iterable[str], *, what: str, to: str
) -> None:
    """Raise where a row belongs to none of `known`; arguments as in `belonging`.

    Raises:
        ValueError: how many rows do not belong, the first of them, and the way out.
    """
    fits, first = _fits(rows, key, known)
    if first is not None:
        raise ValueError(
            f"{(~fits).sum()} of {len(rows)} {what} belong to none of the given {to}, first "
            f"{first!r}: give the {to} that they are of, or leave these {what} out"
        )


def _fits(rows: pd.DataFrame, key: str, known: Iterable[str]) -> tuple[pd.Series, str | None]:
    fits = rows[key].isin(set(known))
    return fits, None if fits.all() else rows[key][~fits].iloc[0]
