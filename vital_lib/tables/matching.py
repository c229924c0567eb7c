"""Matches the rows of one table to those of another by id; unmatched rows are always reported."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import pandas as pd

LOG = logging.getLogger(__name__)


def belonging(
    rows: pd.DataFrame, key: str, known: Iterable[str], *, what: str, to: str
) -> pd.DataFrame:
    """Return the `rows` whose `key` is in `known`; the log counts the others.

    Args:
        what, to: names of the rows and of the known ids, such as "ratings" and "candidates".

    Raises:
        ValueError: no row matches: the two tables are from different runs.
    """
    fits, first = _fits(rows, key, known)
    if first is not None and not fits.any():
        raise ValueError(
            f"none of the {len(rows)} {what} belongs to the given {to}, first {first!r}: give the "
            f"{to} of these {what}"
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
    """Raise an error if the `key` of a row is not in `known`; arguments as in `belonging`.

    Raises:
        ValueError: some rows do not match; the message has their number and the first of them.
    """
    fits, first = _fits(rows, key, known)
    if first is not None:
        raise ValueError(
            f"{(~fits).sum()} of {len(rows)} {what} belong to none of the given {to}, first "
            f"{first!r}: give the {to} of these {what}, or leave them out"
        )


def _fits(rows: pd.DataFrame, key: str, known: Iterable[str]) -> tuple[pd.Series, str | None]:
    fits = rows[key].isin(set(known))
    return fits, None if fits.all() else rows[key][~fits].iloc[0]
