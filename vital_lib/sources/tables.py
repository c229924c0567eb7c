"""Finds the tables of a figure set, and streams their records.

A table is a file of JSON Lines, JSON, CSV or Parquet. This module opens no image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vital_lib.records import read_records
from vital_lib.sources.forms import FIELDS
from vital_lib.sources.pictures import IMAGE_SUFFIXES
from vital_lib.sources.samples import row_record

_FILES = ("figures.jsonl", "figures.json", "figures.csv", "figures.parquet", "captions.txt")
_ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
TABLES = (".jsonl", ".ndjson", ".csv", ".tsv")
"""Endings of files that are a table wherever they lie; .json may be a text beside an image."""

_IMAGE_FOLDERS = ("images", "figures", "imgs")
_ROCO_COLUMNS = ("roco_id", "caption")


def image_folder(home: Path) -> str:
    """Return the name of the image folder: `images`, MedICaT's `figures` or SLAKE's `imgs`."""
    return next((name for name in _IMAGE_FOLDERS if (home / name).is_dir()), _IMAGE_FOLDERS[0])


def has_named_table(folder: Path) -> bool:
    """Return whether a folder has a file with the name of a figure set's table."""
    return any((folder / name).is_file() for name in _FILES)


def figure_files(source: Path) -> list[Path]:
    """Return the record files of the figure set `source`, a file or a folder.

    In a folder they are `figures` in any format, ROCO's `captions.txt`, its only table, or its
    Parquet parts (also in `data/`). A JSON file with the name of an image is no table.

    Raises:
        FileNotFoundError: there are none; the message lists the accepted files.
    """
    if source.is_file():
        return [source]
    named = [source / name for name in _FILES if (source / name).is_file()]
    if named:
        return named[:1]
    beside = {path.stem for path in source.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES}
    found = [path for path in sorted(source.glob("*")) if path.suffix.lower() in _ENDINGS]
    tables = [path for path in found if path.suffix.lower() != ".json" or path.stem not in beside]
    parts = sorted([*source.glob("*.parquet"), *source.glob("data/*.parquet")])
    if parts or len(tables) == 1:
        return parts or tables
    where = "" if source.is_absolute() else f" (from the folder {Path.cwd().name!r})"
    raise FileNotFoundError(
        f"no figure set at {str(source)!r}{where}: give 'clinic', a folder with figures.jsonl and "
        f"images/ (or one of {', '.join(_FILES[1:])}, or a single table), or a .jsonl, .json, .csv "
        "or .parquet file in the caption schema of LLaVA-Med, MedICaT or ROCO; articles, shards, "
        "data sets and folders of images are in docs/sources.md"
    )


def home_of(file: Path) -> Path:
    """Return the folder of a set's file; that of its link target if only that one has images."""
    homes = [file.parent.absolute(), file.resolve().parent]
    return next((home for home in homes if (home / image_folder(home)).is_dir()), homes[0])


def set_name(file: Path) -> str:
    """Return the name of a figure set by its table: the folder's if the table is figures.jsonl."""
    return file.parent.name if file.name == "figures.jsonl" else file.name


def figure_records(
    file: Path, columns: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Any]]:
    """Yield the place and the record of each entry of `file`, with LLaVA-Med's field names.

    MedICaT: `pdf_hash`, `fig_uri`, `s2_caption` (or `s2orc_caption`), `s2orc_references` and
    `oa_info` (doi_url, license) are read; the image is `<pdf_hash>_<fig_uri>`.
    ROCO: `captions.txt` (id and caption, tab-separated) is read, with image and licence from
    `licences.txt` in the same folder or the image alone from `dlinks.txt`; or a table with ID and
    Caption.
    LLaVA-Med's alignment data: the answer of a conversation of one round is the caption.
    Other common names of the fields, such as figure_id, caption, file_name and mentions, are
    accepted in upper or lower case. A record that is not an object is yielded unchanged.

    Args:
        columns: LLaVA-Med's field name -> the name of the file's column, see `named`.
    """
    roco = file.name.startswith("captions") and file.suffix == ".txt"
    images = dict(_roco_images(file.parent)) if roco else {}
    no_header = _ROCO_COLUMNS if roco else None
    fields = FIELDS | {*(columns or {}).values()}
    for place, record in read_records(file, fields=fields, columns=no_header):
        yield place, row_record(record, columns, images)


def _roco_images(folder: Path) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Yield each ROCO id with its image (PMC_ID) and licence (CC); `dlinks.txt` has no licence."""
    links, licences = folder / "dlinks.txt", folder / "licences.txt"
    if links.is_file():
        for _, row in read_records(links, columns=("id", "command", "name")):
            archive = re.search(r"(PMC\d+)\.tar", str(_as_object(row).get("command")))
            if archive:
                yield row["id"], {"PMC_ID": f"{archive[1]}_{row['name']}"}
    if licences.is_file():
        rows = (_as_object(row) for _, row in read_records(licences))
        yield from ((row.get("ROCO_ID"), row) for row in rows if row)


def _as_object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
