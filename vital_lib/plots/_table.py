"""A readable table: text left-aligned and in full, numbers right-aligned and rounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vital_lib.modalities import MODALITY_LABELS
from vital_lib.tables import metrics_in_words

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

_LONG = 36  # characters; longer texts are wrapped
_MANY = 100  # whole numbers in a column that reaches it are shown as counts
_TOP = {"selector": "th, td", "props": "vertical-align: top; text-align: left; padding: 4px 10px"}
_CAPTION = {"selector": "caption", "props": "caption-side: bottom; text-align: left; opacity: .7"}
_NUMBER = "text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap"
_WRAPPED = "white-space: pre-line; min-width: 16em; max-width: 42em; overflow-wrap: anywhere"


def table(rows: pd.DataFrame | pd.Series | Mapping[str, Any], n: int | None = None) -> Styler:
    """Return the first `n` of `rows` (all by default) as a table for a notebook.

    Lists are joined, true and false become ✓ and ✗, modalities have their names, and missing values
    stay empty. An unnamed numeric index is hidden. Texts are escaped.

    Args:
        rows: a frame, a series, or a mapping, which becomes one row.
        n: the number of rows to show.
    """
    frame = pd.DataFrame([rows]) if isinstance(rows, Mapping) else pd.DataFrame(rows)
    of, frame = len(frame), frame.head(n) if n is not None else frame
    names = list(frame.index.names)
    if any(names) or not pd.api.types.is_integer_dtype(frame.index):
        frame = frame.rename_axis([name or "" for name in names]).reset_index()
    frame.columns = [str(name) for name in frame.columns]
    frame = frame.infer_objects()  # numbers among None are numbers
    for name in {"modality", "modalities"} & set(frame):
        frame = frame.assign(**{name: frame[name].map(_modality)})
    texts = frame.apply(_texts).reset_index(drop=True)
    shown = texts.style.hide().format(escape="html").format_index(escape="html", axis=1)
    looks = {name: _look(frame[name], texts[name]) for name in frame}
    shown = shown.set_table_styles([_TOP, _CAPTION]).set_table_styles(looks, overwrite=False)
    if len(frame) < of or not of:
        shown = shown.set_caption(f"{len(frame):,} of {of:,} rows" if of else "no rows")
    return shown


def metrics_table(metrics: Mapping[str, float]) -> Styler:
    """Return `metrics` in words, with units and 95 % intervals, the most important first."""
    shown = metrics_in_words(metrics)[["topic", "what", "value", "interval", "votes"]]
    shown = shown.rename(columns={"what": "measured", "interval": "95 % interval"})
    return table(shown.loc[:, (shown != "").any()])


def _modality(value: Any) -> Any:
    """Return the label of a modality flag, or of each of a list of flags."""
    if isinstance(value, list | tuple | np.ndarray):
        return [_modality(part) for part in value]
    return MODALITY_LABELS.get(value, value)


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _look(column: pd.Series, texts: pd.Series) -> list[dict[str, str]]:
    """Return the style of one column, header included."""
    if _is_number(column):
        style = _NUMBER
    else:
        style = _WRAPPED if texts.astype(str).str.len().max() > _LONG else "white-space: nowrap"
    return [{"selector": "", "props": style}]


def _texts(column: pd.Series) -> pd.Series:
    """Return a column as text, with its numbers rounded alike."""
    if not _is_number(column):
        return column.map(_text).astype(object)
    known = column.dropna().astype(float)
    counts = (known % 1 == 0).all() or known.abs().max() >= _MANY
    return pd.Series([_number(value, counts) for value in column], column.index, dtype=object)


def _number(value: Any, counts: bool) -> str:
    if pd.isna(value):
        return ""
    digits = 0 if counts and value % 1 == 0 else 3 if abs(value) < 10 else 1
    return f"{value:,.{digits}f}".replace("-", "−")


def _text(value: Any) -> str:
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, bool | np.bool_):
        return "✓" if value else "✗"
    return "" if value is None or value is pd.NA or value != value else str(value)
