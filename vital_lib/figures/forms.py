"""Converts records of MedICaT, ROCO and other tables to the fields of LLaVA-Med.

This module knows field and file names; it opens no image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vital_lib.records import InvalidRecord, of_cell, read_records
from vital_lib.records.check import field_name

FIELDS = frozenset(
    {
        *("pair_id", "figure_id", "fig_caption", "caption", "image", "imgs", "file_name"),
        *("pdf_hash", "s2_caption", "roco_id", "in_text_mention", "mentions", "domain"),
    }
)
"""Field names that mark an object as a record, not as a wrapper around a list of records."""

_FILES = ("figures.jsonl", "figures.json", "figures.csv", "figures.parquet", "captions.txt")
_ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
_NAMES = {
    "pair_id": ("pair_id", "figure_id", "roco_id", "image_id", "id"),
    "fig_caption": ("fig_caption", "caption", "text"),
    "image": ("image", "imgs", "images", "img", "image_name", "img_name", "image_path", "img_path",
              "file_name", "filename", "name"),
    "in_text_mention": ("in_text_mention", "mentions"),
}  # fmt: skip
_NO_IMAGES: Mapping[str, Mapping[str, str]] = {}
_ROCO_COLUMNS = ("roco_id", "caption")


def figure_files(source: Path) -> list[Path]:
    """Return the record files of the figure set `source`, a file or a folder.

    In a folder they are `figures` in any format, ROCO's `captions.txt`, its only table, or its
    Parquet parts (also in `data/`).

    Raises:
        FileNotFoundError: there are none; the message lists the accepted files.
    """
    if source.is_file():
        return [source]
    named = [source / name for name in _FILES if (source / name).is_file()]
    if named:
        return named[:1]
    tables = [path for path in sorted(source.glob("*")) if path.suffix.lower() in _ENDINGS]
    parts = sorted([*source.glob("*.parquet"), *source.glob("data/*.parquet")])
    if parts or len(tables) == 1:
        return parts or tables
    raise FileNotFoundError(
        f"no figure set at {str(source)!r}: give 'clinic', a folder with figures.jsonl and images/ "
        f"(or one of {', '.join(_FILES[1:])}, or a single table), or a .jsonl, .json, .csv or "
        ".parquet file in the caption schema of LLaVA-Med, MedICaT or ROCO"
    )


def figure_records(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield the place and the record of each entry of `file`, with LLaVA-Med's field names.

    MedICaT: `pdf_hash`, `fig_uri`, `s2_caption` (or `s2orc_caption`), `s2orc_references` and
    `oa_info` (doi_url, license) are read; the image is `<pdf_hash>_<fig_uri>`.
    ROCO: `captions.txt` (id and caption, tab-separated) is read, with image and licence from
    `licences.txt` in the same folder or the image alone from `dlinks.txt`; or a table with ID and
    Caption.
    Other common names of the fields, such as figure_id, caption, file_name and mentions, are
    accepted in upper or lower case. A record that is not an object is yielded unchanged.
    """
    roco = file.name.startswith("captions") and file.suffix == ".txt"
    images = dict(_roco_images(file.parent)) if roco else {}
    columns = _ROCO_COLUMNS if roco else None
    for place, record in read_records(file, fields=FIELDS, columns=columns):
        if isinstance(record, InvalidRecord) or not isinstance(record, Mapping):
            yield place, record
        elif "pdf_hash" in record:
            yield place, _of_medicat(record)
        else:
            yield place, in_known_words(record, images)


def _roco_images(folder: Path) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Yield each ROCO id with its image (PMC_ID) and licence (CC); `dlinks.txt` has no licence."""
    links, licences = folder / "dlinks.txt", folder / "licences.txt"
    if links.is_file():
        for _, row in read_records(links, columns=("id", "command", "name")):
            archive = re.search(r"(PMC\d+)\.tar", str(_object(row).get("command")))
            if archive:
                yield row["id"], {"PMC_ID": f"{archive[1]}_{row['name']}"}
    if licences.is_file():
        rows = (_object(row) for _, row in read_records(licences))
        yield from ((row.get("ROCO_ID"), row) for row in rows if row)


def _of_medicat(record: Mapping[str, Any]) -> dict[str, Any]:
    image = f"{record.get('pdf_hash')}_{record.get('fig_uri')}"
    open_access = _object(record.get("oa_info"))
    licence = _object(open_access.get("oa")).get("license")
    address = open_access.get("doi_url") or open_access.get("doi")
    return {
        "pair_id": Path(image).stem,
        "image": image,
        "fig_caption": record.get("s2_caption") or record.get("s2orc_caption"),
        "in_text_mention": record.get("s2orc_references"),
        "doi": open_access.get("doi"),
        "pdf_hash": record.get("pdf_hash"),
        "source": {"name": "MedICaT", "url": address, "licence": licence},
    }


def _whole(value: Any) -> Any:
    """Return 7.0 as 7: a table with missing values stores whole numbers as floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def in_known_words(
    record: Mapping[str, Any], images: Mapping[str, Mapping[str, str]] = _NO_IMAGES
) -> dict[str, Any]:
    """Return `record` with LLaVA-Med's field names, whatever the case of its own."""
    given = {field_name(name): _whole(value) for name, value in record.items()}
    found = dict(given)
    for name, others in _NAMES.items():
        if found.get(name) in (None, ""):
            known = next((other for other in others if given.get(other) not in (None, "")), None)
            found |= {} if known is None else {name: given[known]}
    if "domain" not in found and isinstance(named := of_cell(given.get("modalities")), list):
        found["domain"] = {str(name): True for name in named}  # the form of table `figures`
    for name in ("in_text_mention", "domain", "source"):
        if name in found:
            found[name] = of_cell(found[name])
    if licences := images.get(str(found.get("pair_id"))):
        image = licences.get("PMC_ID")
        article = str(image).partition("_")[0]
        address = f"https://pmc.ncbi.nlm.nih.gov/articles/{article}/"
        source = {"name": "ROCO", "url": address, "licence": licences.get("CC")}
        found |= {"image": image, "source": source}
    return found
