"""Checks the fields of a record that make a figure: its id, texts, image and modalities.

This module opens no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator

from vital_lib.modalities import MODALITIES, flag_of
from vital_lib.records import InvalidRecord, Record, Text, checked, shown
from vital_lib.records.check import Name, name_of, named_image, nonblank

_WANTED_MENTIONS = "wanted a list of texts or of {tokens: text}"


def _image_of(value: Any) -> str | dict | None:
    """Return a file name, or an image as {bytes, path}, the form in Parquet data sets."""
    value = named_image(value)
    if value is None or isinstance(value, dict) or (isinstance(value, str) and value):
        return value
    raise InvalidRecord("image", f"wanted a file's name, received {shown(value)}")


def mentions_of(value: Any) -> list[str]:
    """Return the text of each mention, without empty ones (LLaVA-Med's form of "no mention").

    Raises:
        InvalidRecord: `value` is not null, a text, or a list of texts or of {tokens: text}.
    """
    if value is None:
        return []
    if isinstance(value, str | dict):
        value = [value]
    if not isinstance(value, list | tuple):
        raise InvalidRecord("in_text_mention", f"{_WANTED_MENTIONS}, received {shown(value)}")
    texts = []
    for mention in value:
        text = mention
        if isinstance(mention, dict):
            text = mention["tokens"] if "tokens" in mention else mention.get("text")
        if mention is None:
            continue
        if not isinstance(text, str):
            raise InvalidRecord("in_text_mention", f"{_WANTED_MENTIONS}, received {shown(mention)}")
        if text := text.strip():
            texts.append(text)
    return texts


def modalities_of(flags: Any) -> list[str]:
    """Return the modalities whose flag is true, or that are named ("CT", or ["CT", "MRI"]).

    Raises:
        InvalidRecord: `flags` is not null, {modality: true or false}, or names.
    """
    if flags is None:
        return []
    named = [flags] if isinstance(flags, str) else flags
    if isinstance(named, list | tuple) and all(isinstance(name, str) for name in named):
        flags = dict.fromkeys(filter(None, map(flag_of, named)), True)
    if not isinstance(flags, dict):
        wanted = f"wanted {{modality: true or false}} or names of {', '.join(MODALITIES)}"
        raise InvalidRecord("domain", f"{wanted}; received {shown(flags)}")
    found = []
    for name in MODALITIES:
        flag = flags.get(name)
        if flag is True or flag == 1:
            found.append(name)
        elif flag is not False and flag not in (False, None):
            wrong = f"{name} is {shown(flags[name])}"
            raise InvalidRecord("domain", f"wanted true or false, but {wrong}")
    return found


class _FigureRecord(Record):
    """The fields of a record that make a figure, except its source and its group."""

    pair_id: Name
    fig_caption: Text
    image: Annotated[Any, BeforeValidator(_image_of)] = None
    in_text_mention: Annotated[list[str], BeforeValidator(mentions_of)] = []
    domain: Annotated[list[str], BeforeValidator(modalities_of)] = []


class FigureFields(NamedTuple):
    """The checked fields of a record that make a figure, except its source and its group."""

    pair_id: str
    fig_caption: str
    image: str | dict | None
    in_text_mention: list[str]
    domain: list[str]


def figure_fields(record: Any) -> FigureFields:
    """Check the fields of a record with LLaVA-Med's field names.

    Raises:
        InvalidRecord: a field is missing or has the wrong type, or `record` is one.
    """
    if type(record) is dict:
        _check_present(record)
        try:  # as `_FigureRecord` does, which is slower and says what is wrong
            return FigureFields(
                name_of(record["pair_id"]),
                nonblank(record["fig_caption"]),
                _image_of(record.get("image")),
                mentions_of(record.get("in_text_mention")),
                modalities_of(record.get("domain")),
            )
        except (KeyError, ValueError):
            pass
    found = checked(_FigureRecord, record)
    return FigureFields(*(getattr(found, name) for name in FigureFields._fields))


def _check_present(record: Mapping[str, Any]) -> None:
    """Raise InvalidRecord if a record lacks a field, with the names that it has instead."""
    for name in ("pair_id", "fig_caption"):
        if name not in record:
            has = ", ".join(map(str, list(record)[:12]))[:200]
            way_out = f'if one of these is it, columns = {{"{name}": ...}} says so'
            raise InvalidRecord(
                name, f"it is missing; the record has {has or 'nothing'}: {way_out}"
            )
