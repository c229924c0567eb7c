"""Converts records of MedICaT, ROCO, BIOMEDICA and other tables to the fields of LLaVA-Med.

This module knows the names of fields; it opens no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vital_lib.records import InvalidRecord, of_cell, rounds_of
from vital_lib.records.check import field_name

FIELDS = frozenset(
    {
        *("pair_id", "figure_id", "fig_caption", "caption", "image", "imgs", "file_name"),
        *("pdf_hash", "s2_caption", "roco_id", "in_text_mention", "mentions", "domain"),
        *("conversations", "conversatons", "image_file_name"),
    }
)
"""Field names that mark an object as a record, not as a wrapper around a list of records."""

_NAMES = {
    "pair_id": ("pair_id", "figure_id", "roco_id", "image_id", "image_cluster_id", "id"),
    "fig_caption": ("fig_caption", "sub_caption", "caption", "image_caption", "full_caption",
                    "text"),
    "image": ("image", "imgs", "images", "img", "image_name", "img_name", "image_path", "img_path",
              "file_name", "filename", "image_file_name", "media_name", "name"),
    "in_text_mention": ("in_text_mention", "mentions", "inline_mentions", "intext_refs"),
    "pmcid": ("pmcid", "pmc_id", "article_accession_id"),
}  # fmt: skip
_SOURCE = {
    "licence": ("licence", "license", "article_license", "article_licence"),
    "credit": ("credit", "article_citation", "citation"),
    "url": ("url", "article_url", "source_url"),
}
_OTHERS = (
    *("in_text_mention", "domain", "modalities", "group_id", "patient_id", "pmid", "doi", "source"),
    *("pubmed_id", "pmc", "article_id", "paper_id", "pdf_hash", "cleared", "cleared_reason"),
    *("image_url", "media_url", "link", "pmc_tar_url", "image_file_path", "conversations"),
)
_MODALITIES = {
    "computerized tomography": "ct_scan",
    "magnetic resonance": "mri",
    "functional magnetic resonance": "mri",
}
"""BIOMEDICA's labels that are one of our modalities; its others are wider or narrower."""

_NO_IMAGES: Mapping[str, Mapping[str, str]] = {}


def check_columns(columns: Mapping[str, str]) -> None:
    """Raise ValueError if `columns` names a field that no record has."""
    known = {*_NAMES, *_SOURCE, *_OTHERS}
    known |= {name for names in (_NAMES | _SOURCE).values() for name in names}
    if unknown := [field for field in columns if _own_field(field) not in known]:
        fields = ", ".join(dict.fromkeys((*_NAMES, *_OTHERS[:8], *_SOURCE)))
        raise ValueError(
            f"columns names {unknown}: the left side is a field of the workbench, the right side "
            f"your column; fields are {fields}"
        )


def _own_field(field: str) -> str:
    """Return the name of a field in a record without nesting: licence for source.licence."""
    return {"source.name": "source"}.get(field, field.removeprefix("source."))


def known_record(
    record: Mapping[str, Any],
    columns: Mapping[str, str] | None = None,
    images: Mapping[str, Mapping[str, str]] = _NO_IMAGES,
) -> dict[str, Any] | InvalidRecord:
    """Return a record of any known form with LLaVA-Med's field names, or why it cannot be."""
    try:
        if columns:
            record = named(record, columns)
        if "pdf_hash" in record and "fig_uri" in record:
            return _of_medicat(record)
        found = in_known_words(record, images)
        if found.get("fig_caption") in (None, ""):
            _add_caption(found)
        return found
    except InvalidRecord as wrong:
        return wrong


def named(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """Return `record` with the fields that `columns` maps to its own columns.

    Args:
        columns: field name -> column, such as {"fig_caption": "Befund", "licence": "Lizenz"}. The
            fields are those of LLaVA-Med, and licence, credit and url, also as source.licence.

    Raises:
        InvalidRecord: the record has no such column; the reason lists those it has.
    """
    known = {field_name(name): name for name in record}
    found = dict(record)
    for field, column in columns.items():
        own = column if column in record else known.get(field_name(column))
        if own is None:
            has = ", ".join(map(str, list(record)[:12]))
            raise InvalidRecord(field, f"no column {column!r}; the record has {has}")
        found[_own_field(field)] = record[own]
    return found


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
    return int(value) if value.is_integer() else value


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def in_known_words(
    record: Mapping[str, Any], images: Mapping[str, Mapping[str, str]] = _NO_IMAGES
) -> dict[str, Any]:
    """Return `record` with LLaVA-Med's field names, whatever the case of its own."""
    plan = _plan_of(tuple(record))
    if plan.nothing and not images and float not in map(type, record.values()):
        found = dict(record)
    else:
        found = _as_planned(record, plan, images)
    for name in plan.cells:
        if isinstance(cell := found.get(name), str):
            found[name] = of_cell(cell)
    return found


def _as_planned(
    record: Mapping[str, Any], plan: _Plan, images: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    found = {
        name: _whole(value) if type(value) is float else value
        for name, value in zip(plan.names, record.values(), strict=True)
    }
    for name, others in plan.renamed:
        if found.get(name) in (None, "") and (known := _first_of(found, others)) is not None:
            found[name] = known
    if plan.listed and isinstance(labels := of_cell(found.get("modalities")), list):
        found["domain"] = {str(name): True for name in labels}  # the form of table `figures`
    if plan.biomedica:
        _add_biomedica(found)
    if plan.stated:
        _add_source(found, {name: _first_of(found, names) for name, names in plan.stated})
    if licences := images.get(str(found.get("pair_id"))) if images else None:
        image = licences.get("PMC_ID")
        article = str(image).partition("_")[0]
        address = f"https://pmc.ncbi.nlm.nih.gov/articles/{article}/"
        source = {"name": "ROCO", "url": address, "licence": licences.get("CC")}
        found |= {"image": image, "source": source}
    return found


def _add_source(found: dict[str, Any], stated: Mapping[str, Any]) -> None:
    """Add licence, credit and address that stand beside the source to it; its own count first."""
    own = of_cell(found.get("source"))
    if isinstance(own, str) and own and "://" not in own:
        own = {"name": own}
    if own in (None, "") or isinstance(own, Mapping):
        beside = {name: value for name, value in stated.items() if value is not None}
        known = {name for name, value in (own or {}).items() if value not in (None, "")}
        known |= {"licence"} if "license" in known else set()
        if missing := {name: beside[name] for name in beside if name not in known}:
            found["source"] = {**(own or {}), **missing}


@dataclass(frozen=True)
class _Plan:
    """What has to be done to records with certain names of fields."""

    names: tuple[str, ...]
    renamed: tuple[tuple[str, tuple[str, ...]], ...]
    cells: tuple[str, ...]
    stated: tuple[tuple[str, tuple[str, ...]], ...]
    listed: bool
    biomedica: bool
    nothing: bool


@lru_cache(maxsize=1024)  # a file has few sets of names and many records
def _plan_of(names: tuple[Any, ...]) -> _Plan:
    own = tuple(map(field_name, names))
    there = {
        name: tuple(other for other in others if other in own and other != name)
        for name, others in (_NAMES | _SOURCE).items()
    }
    cells = ("in_text_mention", "domain", "source")
    filled = {*own, *(name for name in _NAMES if there[name])}
    done = own == names and not any(there.values()) and own == tuple(dict.fromkeys(own))
    others = {*_SOURCE, "modalities", "image_context", "image_secondary_label"}
    return _Plan(
        names=own,
        renamed=tuple((name, there[name]) for name in _NAMES if there[name]),
        cells=tuple(name for name in cells if name in filled),
        stated=tuple(
            (name, ((name,) if name in own else ()) + there[name])
            for name in _SOURCE
            if name in own or there[name]
        ),
        listed="domain" not in own and "modalities" in own,
        biomedica=not {"image_context", "image_secondary_label"}.isdisjoint(own),
        nothing=done and others.isdisjoint(own),
    )


def _first_of(given: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((given[name] for name in names if given.get(name) not in (None, "")), None)


def _add_caption(found: dict[str, Any]) -> None:
    """Take the answer of LLaVA-Med's alignment data, a conversation of one round, as the caption.

    A conversation of several rounds has no caption; it is in LLaVA-Med's file of captions.
    """
    said = found.get("conversations", found.get("conversatons"))  # as LLaVA-Med spelled it
    if said is None:
        return
    rounds = rounds_of(said)
    if len(rounds) > 1:
        raise InvalidRecord(
            "fig_caption",
            f"a conversation of {len(rounds)} rounds has no caption: give "
            "llava_med_instruct_fig_captions.json, which has that of each figure",
        )
    found["fig_caption"] = rounds[0]["response"]


def _add_biomedica(found: dict[str, Any]) -> None:
    """Add the mentions of BIOMEDICA's figure among those of its article, and its modality."""
    own = str(found.get("image_cluster_id") or found.get("image_id"))
    context = of_cell(found.get("image_context"))
    texts: list[Any] = []
    for part in context if isinstance(context, list) else [context]:
        said = {str(name): text for name, text in _object(part).items()}.get(own)
        texts += said if isinstance(said, list) else [said]
    if "in_text_mention" not in found:
        found["in_text_mention"] = [text for text in texts if isinstance(text, str)]
    labels = of_cell(found.get("image_secondary_label"))
    if "domain" not in found and isinstance(labels, list):
        flags = (_MODALITIES.get(str(label).strip().lower()) for label in labels)
        found["domain"] = {flag: True for flag in flags if flag}
