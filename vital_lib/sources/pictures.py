"""Reads a folder of images, each with a text beside it: `scan.png` and `scan.txt` or `scan.json`.

This module opens no image.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vital_lib.records import InvalidRecord, UnreadableFile, read_text, shown
from vital_lib.sources.forms import known_record

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".gif", ".bmp", ".jp2", ".ppm"}
)
MAX_TEXT_BYTES = 10_000_000
"""Most bytes of a text beside an image."""

_TEXTS = (".json", ".txt")


def holds_images(folder: Path) -> bool:
    """Return whether an image lies in `folder` or below it; links to folders are not followed."""
    return any(Path(name).suffix.lower() in IMAGE_SUFFIXES for _, name in _files(folder))


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each file below a folder as (its folder relative to it, its name), in order."""
    for at, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inner = Path(at).relative_to(folder).as_posix()
        yield from ((inner, name) for name in sorted(names) if not name.startswith("."))


def picture_records(
    folder: Path, columns: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Any]]:
    """Yield the place and the record of each image below `folder`, in order of the paths.

    The whole text of `<image>.txt` is the caption; `<image>.json` is a record of its own, whose
    fields may have any known names. The path without its ending, with "_" for "/", is the pair_id
    unless the record has one. A text without an image is an `InvalidRecord`, as is an image without
    a text.
    """
    at, names = None, []
    for inner, name in _files(folder):
        if inner != at:
            yield from _of_folder(folder, at, names, columns)
            at, names = inner, []
        names.append(name)
    yield from _of_folder(folder, at, names, columns)


def _of_folder(
    folder: Path, inner: str | None, names: list[str], columns: Mapping[str, str] | None
) -> Iterator[tuple[str, Any]]:
    if inner is None:
        return
    texts = {name.lower(): name for name in names if Path(name).suffix.lower() in _TEXTS}
    used: set[str] = set()
    for name in names:
        if Path(name).suffix.lower() not in IMAGE_SUFFIXES:
            continue
        path = (Path(inner) / name).as_posix()
        stems = (Path(name).stem, name)  # scan.txt, or scan.png.txt
        beside = [texts.get(f"{stem}{end}".lower()) for end in _TEXTS for stem in stems]
        found = [text for text in beside if text]
        used.update(found)
        yield path, _record(folder, path, found, columns)
    for name in texts.values():
        if name not in used:
            reason = f"no image beside this text: {Path(name).stem}.png, .jpg, ..."
            yield (Path(inner) / name).as_posix(), InvalidRecord("image", reason)


def _record(folder: Path, path: str, texts: list[str], columns: Mapping[str, str] | None) -> Any:
    stem = Path(path).with_suffix("").as_posix()
    if not texts:
        base = Path(stem).name
        return InvalidRecord("fig_caption", f"no text beside the image: {base}.txt or {base}.json")
    record: dict[str, Any] = {}
    try:
        for name in texts:
            text = _text(folder, folder / Path(path).parent / name)
            own = _object(text) if name.lower().endswith(".json") else {"fig_caption": text}
            record = {**own, **record}
    except InvalidRecord as wrong:
        return wrong
    except (UnreadableFile, OSError) as error:
        return InvalidRecord("fig_caption", f"the text beside it cannot be read: {error}")
    if "pair_id" not in record and "figure_id" not in record:
        record["pair_id"] = stem.replace("/", "_")
    return known_record({**record, "image": path}, columns)


def _text(folder: Path, file: Path) -> str:
    if file.is_symlink() and not file.resolve().is_relative_to(folder.resolve()):
        raise InvalidRecord("fig_caption", f"{file.name!r} is a link that leaves the folder")
    if (size := file.stat().st_size) > MAX_TEXT_BYTES:
        raise InvalidRecord(
            "fig_caption", f"{file.name!r} has {size:,} bytes, over {MAX_TEXT_BYTES:,}"
        )
    return read_text(file)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, parse_constant=lambda name: None)
    except (ValueError, RecursionError) as error:
        raise InvalidRecord("record", f"not JSON ({error}): {shown(text[:80])}") from None
    if not isinstance(found, dict):
        raise InvalidRecord("record", f"wanted an object, received {shown(found)}")
    return found
