"""Reads WebDataset shards: tar archives whose neighbouring files with one key are one sample.

The key of a file ends at the first dot of its base name, as in WebDataset. This module also makes
a record of a sample that another reader has split into columns, as `datasets` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vital_lib.records import InvalidRecord, shown
from vital_lib.sources.archives import members
from vital_lib.sources.forms import known_record

MAX_PARTS = 1_000
"""Most files of one sample."""

MAX_SAMPLE_BYTES = 1_000_000_000
"""Most bytes of one sample: what is held in memory."""

_MANY_PARTS, _MANY_BYTES = 60, 100_000_000
_IMAGES = ("jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp", "gif", "ppm", "pgm", "jp2", "image")
_TEXTS = ("txt", "caption", "text", "cap")
_OBJECTS = ("json", "jsonl")
_KNOWN = (*_IMAGES, *_TEXTS, *_OBJECTS)
_LONGEST_TEXT = 20_000_000


def shard_records(
    file: Path, columns: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Any]]:
    """Yield the place and the record of each sample of a shard, read one after another.

    A sample has an image (`jpg`, `png`, ...), and a caption in `txt` or a record in `json` or
    `jsonl`. Its key is its pair_id unless the record has one. Of several images in a sample, each
    with a text of its own name, each is a record: the key of such files holds dots.
    """
    key, stem, size = None, "", 0
    parts: dict[str, bytes] = {}
    for name, content in members(file, _is_known):
        if isinstance(content, InvalidRecord):
            yield f"{file.name}:{name}", content
            continue
        found, ending = split_key(name.removeprefix("./"))  # as `tar -cf shard.tar .` names it
        size += len(content)
        before, stem = stem, ending.rpartition(".")[0]
        many = len(parts) >= _MANY_PARTS or size > _MANY_BYTES  # keys such as UIDs of one root
        full = len(parts) >= MAX_PARTS or size > MAX_SAMPLE_BYTES
        if found != key or full or (many and stem != before):
            yield from _samples(file.name, key, parts, columns)
            key, parts, size = found, {}, len(content)
        parts[ending] = content
    yield from _samples(file.name, key, parts, columns)


def split_key(name: str) -> tuple[str, str]:
    """Return the key of a file in a shard, which ends at the first dot of its base name, and the
    rest.

    >>> split_key("a.b/c.seg.png")
    ('a.b/c', 'seg.png')
    """
    folder, slash, base = name.rpartition("/")
    start, _, ending = base.partition(".")
    return f"{folder}{slash}{start}", ending


def _is_known(name: str) -> bool:
    base = name.rpartition("/")[2]
    return not base.startswith(".") and base.rpartition(".")[2].lower() in _KNOWN


def _samples(
    file: str, key: str | None, parts: Mapping[str, bytes], columns: Mapping[str, str] | None
) -> Iterator[tuple[str, Any]]:
    """Yield the samples of one key: more than one if images and texts share longer names."""
    if key is None:
        return
    named: dict[str, dict[str, bytes]] = {}
    for ending, content in parts.items():
        inner, _, kind = ending.rpartition(".")
        named.setdefault(inner, {})[kind.lower()] = content
    whole = {inner: one for inner, one in named.items() if _images(one) and _texts(one)}
    if len(whole) > 1 or (whole and "" not in whole):
        samples = {f"{key}.{inner}" if inner else key: one for inner, one in whole.items()}
    else:  # parts such as seg.png belong to the one sample; its own names come first
        merged: dict[str, bytes] = {}
        for _, one in sorted(named.items(), key=lambda pair: len(pair[0])):
            merged = {**one, **merged}
        samples = {key: merged}
    for name, one in samples.items():
        place = f"{file}:{name}"
        yield place, row_record({**one, "__key__": name}, columns)


def _images(parts: Mapping[str, Any]) -> list[str]:
    return [kind for kind in _IMAGES if parts.get(kind) is not None]


def _texts(parts: Mapping[str, Any]) -> list[str]:
    return [kind for kind in (*_TEXTS, *_OBJECTS) if parts.get(kind) is not None]


def row_record(
    row: Any,
    columns: Mapping[str, str] | None = None,
    images: Mapping[str, Mapping[str, str]] | None = None,
) -> Any:
    """Return the record of a row: of a table, or of a shard as `datasets` splits it in columns."""
    if type(row) is not dict and not isinstance(row, Mapping):
        return row
    key = row.get("__key__")
    try:
        row = sample_record(key, row) if isinstance(key, str) else row
    except InvalidRecord as wrong:
        return wrong
    return known_record(row, columns, images or {})


def sample_record(key: str, parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a sample, with the field names of its own object.

    Args:
        key: the sample's key.
        parts: kind (such as jpg, txt, json) -> bytes, or what `datasets` makes of them: an image as
            {bytes, path}, a text, an object.

    Raises:
        InvalidRecord: the sample has no image, or its text or object cannot be read.
    """
    images = _images(parts)
    if not images:
        kinds = ", ".join(sorted(map(str, parts))[:5]) or "nothing"
        raise InvalidRecord("image", f"the sample has no image, only {kinds}")
    image = parts[images[0]]
    if isinstance(image, bytes):
        image = {"bytes": image, "path": f"{key}.{images[0]}"}
    record: dict[str, Any] = {}
    for kind in _OBJECTS:
        if parts.get(kind) is not None:
            record = _object(kind, parts[kind])
            break
    text = next((_text(kind, parts[kind]) for kind in _TEXTS if parts.get(kind) is not None), None)
    name = record.get("pair_id") or record.get("figure_id") or key.replace("/", "_")
    record = {**record, "pair_id": name, "image": image}
    return record if text is None else {**record, "fig_caption": text}


def _text(kind: str, content: Any) -> str:
    if isinstance(content, bytes):
        try:
            return content[:_LONGEST_TEXT].decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidRecord(kind, f"not UTF-8: {error.reason} at byte {error.start}") from None
    return content


def _object(kind: str, content: Any) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        text = _text(kind, content)
        try:
            found = json.loads(text, parse_constant=lambda name: None)
        except (ValueError, RecursionError, TypeError) as error:
            raise InvalidRecord(kind, f"not JSON ({error}): {shown(text)}") from None
        if not isinstance(found, dict):
            raise InvalidRecord(kind, f"wanted an object, received {shown(found)}")
        content = found
    return dict(content)
