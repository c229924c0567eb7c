"""Reads a figure set into one checked row per figure and one row per rejected record.

It decides a figure's modalities, group, split and clearance. It does not depend on candidates,
models or people.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from vital_lib.dicom import DicomOptions, dicom_records, reads_as_dicom
from vital_lib.dicom.header import NOT_CHECKED
from vital_lib.dicom.records import FOLDER as DICOM_FOLDER
from vital_lib.figures.ahead import ahead
from vital_lib.figures.articles import Article, article_of
from vital_lib.figures.clearance import CLINIC
from vital_lib.figures.copies import picture_hashes
from vital_lib.figures.fields import figure_fields
from vital_lib.figures.folders import ImageFolder, find_first
from vital_lib.figures.groups import group_names, group_warnings, join_same_images, split_of
from vital_lib.figures.images import FigureImage, open_with_pixels
from vital_lib.licences import is_open
from vital_lib.records import InvalidRecord, UnreadableFile, shown
from vital_lib.records.check import stored_image
from vital_lib.sources import Source, image_folder, open_source
from vital_lib.tables import frame_of

LOG = logging.getLogger(__name__)


class NoUsableFigures(ValueError):
    """A figure set without a usable figure; the message gives the first reasons."""


def read_figures(
    source: str,
    *,
    run: Path,
    seed: int = 0,
    articles: int = 500,
    follow_links: bool = False,
    columns: Mapping[str, str] | None = None,
    progress: bool = False,
    dicom: DicomOptions | None = None,
    cleared_sources: Mapping[str, str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a figure set into the tables `figures` and `figures_rejected`.

    Args:
        source: "clinic" (phantoms made in `run` with `seed` and `articles`), DICOM, or what
            `open_source` accepts. The images of a table lie in `images/` in its folder, named by
            the record's `image` or `<pair_id>.jpg`.
        run: the run's folder. Paths of images are absolute.
        follow_links: also follow image links to files outside the figure set (or its cache folder).
        columns: LLaVA-Med's field name -> the source's, such as {"fig_caption": "Findings"}.
        progress: whether a bar shows the number of records read.
        dicom: how `dicom_records` reads a DICOM file, a DICOMDIR or a folder of such files.
        cleared_sources: by name, why figures may leave: ``{"PMC-OA": "CC BY, published"}``.

    The `group_id` of a figure is the first of these that its record has:
    - its `group_id` or `patient_id`;
    - a PMID, PMCID or DOI in its ids, URLs or paths (`article_of`, `group_names`);
    - its `article_id`, `paper_id` or `pdf_hash`;
    - the article's URL in `source.url` (not one image's), else the document `source.text_path`;
    - the part of `pair_id` before `_F1` or `_fig1`.
    Groups that hold the same image file are joined and may change their split (`joined_groups`):
    a warning is logged, and for each group with more than `LARGE_GROUP` of the figures. Flags in
    `domain` other than `MODALITIES` are ignored. `cleared` is true for the clinic, for
    `cleared_sources`, and for licences that allow reuse (CC0, CC BY, CC BY-SA, public domain),
    unless the record holds its figure back (`cleared`, `cleared_reason`). It is null otherwise.

    Raises:
        FileNotFoundError: `source` holds no figure set.
        ImportError: `source` needs an optional package, which the message names.
        ValueError: `cleared_sources` names a source that no figure has.
        NoUsableFigures: no record is usable.
    """
    opened, of_dicom = _opened(source, run, seed, articles, follow_links, columns, dicom)
    folders = [ImageFolder(home, name, follow_links) for home, name in _homes(opened)]
    embedded, clinic = run / "embedded_images", source == "clinic"
    why = cleared_sources or {}
    reader = _Reader(opened.name, folders, clinic, of_dicom, embedded, cleared_sources=why)
    try:
        seen = ahead(opened.records, reader.look)
        for (place, _), found in tqdm(seen, unit=" records", mininterval=0.5, disable=not progress):
            reader.read(place, found)
    except UnreadableFile as error:
        raise NoUsableFigures(f"{source!r}: {error}") from None
    if not reader.figures:
        raise NoUsableFigures(_none_usable("DICOM" if of_dicom else source, reader.rejected))
    reader.check_sources()
    return reader.grouped(), frame_of("figures_rejected", reader.rejected)


def _opened(
    source: str,
    run: Path,
    seed: int,
    articles: int,
    follow_links: bool,
    columns: Mapping[str, str] | None,
    dicom: DicomOptions | None,
) -> tuple[Source, bool]:
    """Return an opened figure set, and whether it is of DICOM."""
    given = _clinic_file(run, articles, seed) if source == "clinic" else source
    if reads_as_dicom(given):
        return _dicom_source(given, run, dicom, follow_links), True
    try:
        opened = open_source(given, work=run / "sources", columns=columns)
        return (replace(opened, name="clinic") if source == "clinic" else opened), False
    except UnreadableFile as error:
        raise NoUsableFigures(f"{source!r}: {error}") from None


def _homes(opened: Source) -> list[tuple[Path, str]]:
    """Return the folders of a set's images, each with the name of the one that holds them."""
    homes = [(opened.home, image_folder(opened.home)), (opened.home, "")]
    return homes + ([(opened.unpacked, "")] if opened.unpacked else [])


def read_counts(figures: pd.DataFrame, rejected: pd.DataFrame) -> pd.DataFrame:
    """Count the figures by source, and the rejected records by the field that is wrong.

    Args:
        figures, rejected: the tables of `read_figures`.

    Returns:
        Columns what (usable or rejected), kind (the source or the field), records, and first: the
        first figure's id, or the place and the reason of the first record. The largest number is
        first within each.
    """
    told = rejected.assign(first=rejected["place"] + ": " + rejected["reason"])
    parts = {
        "usable": figures.groupby("source", sort=False)["figure_id"],
        "rejected": told.groupby("field", sort=False)["first"],
    }
    counted = [
        part.agg(records="size", first="first")
        .rename_axis("kind")
        .reset_index()
        .assign(what=what)
        .sort_values("records", ascending=False, kind="stable")
        for what, part in parts.items()
    ]
    return pd.concat(counted, ignore_index=True)[["what", "kind", "records", "first"]]


def _clinic_file(run: Path, articles: int, seed: int) -> str:
    from vital_lib import clinic

    return str(clinic.make_figure_set(run / "clinic", articles=articles, seed=seed))


def _dicom_source(
    source: str, run: Path, options: DicomOptions | None, follow_links: bool
) -> Source:
    records = dicom_records(source, run, options, follow_links=follow_links)
    return Source("DICOM", run.absolute() / DICOM_FOLDER, records, "DICOM")


_Seen = tuple[dict, Article, FigureImage | InvalidRecord]
"""The row of a record without its group, its article, and its image or why it cannot be used."""


@dataclass
class _Reader:
    """Collects the rows of `figures` and `figures_rejected` for one figure set."""

    set_name: str
    folders: list[ImageFolder]
    clinic: bool
    dicom: bool
    embedded: Path
    cleared_sources: Mapping[str, str] = field(default_factory=dict)
    figures: list[dict] = field(default_factory=list)
    rejected: list[dict] = field(default_factory=list)
    _articles: list[Article] = field(default_factory=list)
    _notes: list[dict] = field(default_factory=list)
    _places: dict[str, str] = field(default_factory=dict)

    def read(self, place: str, seen: Future[_Seen]) -> None:
        """Add the outcome of `look` on the record at `place`."""
        try:
            row, article, image = seen.result()
            if first := self._places.get(figure_id := row["figure_id"]):
                raise InvalidRecord("pair_id", f"{figure_id!r} was already read from {first}")
            if isinstance(image, InvalidRecord):
                raise image
        except InvalidRecord as wrong:
            where = {"source": self.set_name, "place": place}
            self.rejected.append({**where, "field": wrong.field, "reason": wrong.reason})
        else:
            self._places[row["figure_id"]] = place
            self.figures.append(row)
            self._articles.append(article)
            self._notes += [{"figure_id": figure_id, "note": note} for note in image.notes]

    def check_sources(self) -> None:
        """Raise ValueError if `cleared_sources` names a source that no figure has."""
        sources = {row["source"] for row in self.figures}
        if unknown := sorted(self.cleared_sources.keys() - sources):
            own = ", ".join(map(repr, sorted(sources)[:20]))
            raise ValueError(f"cleared_sources names {unknown}; the figures' sources are {own}")

    def grouped(self) -> pd.DataFrame:
        """Return the table `figures` with groups and splits, and log the warnings."""
        for row, group_id in zip(self.figures, group_names(self._articles), strict=True):
            row |= {"group_id": group_id, "split": split_of(group_id)}
        figures = join_same_images(frame_of("figures", self.figures))
        if self._notes:
            figures.attrs["image_notes"] = self._notes
        for warning in group_warnings(figures):
            LOG.warning("%s: %s", self.set_name, warning)
        return figures

    def look(self, entry: tuple[str, Any]) -> _Seen:
        """Check a record and open its image; several threads call this.

        Raises:
            InvalidRecord: the record cannot be used.
        """
        record = entry[1]
        found = figure_fields(record)
        figure_id = found.pair_id
        stated = _stated_source(record)
        article = article_of(record, figure_id)
        row = {
            "figure_id": figure_id,
            "caption": found.fig_caption,
            "mentions": found.in_text_mention,
            "modalities": found.domain,
            "source": stated["name"] or self.set_name,
            "source_url": stated["url"],
            "licence": stated["licence"],
            "credit": stated["credit"],
            **self._clearance(record, stated["name"] or self.set_name, stated["licence"]),
        }
        try:
            image, pixels = self._opened(found.image, figure_id)
        except InvalidRecord as wrong:
            return row, article, wrong
        whole, inner = picture_hashes(pixels)
        row |= {"image": str(image.path), "sha256": image.sha256}
        row |= {"phash": whole, "phash_inner": inner}
        return row, article, image

    def _opened(self, image: str | dict | None, figure_id: str) -> tuple[FigureImage, Image.Image]:
        if isinstance(image, dict):
            return open_with_pixels(stored_image(image, self.embedded))
        return open_with_pixels(find_first(image or f"{figure_id}.jpg", self.folders))

    def _clearance(self, record: Mapping, source: str, licence: str | None) -> dict:
        if self.clinic:
            return _by_rule("clinic", CLINIC)
        own, stated = record.get("cleared_reason"), record.get("cleared")
        published = self.cleared_sources.get(source)
        if self.dicom and own == NOT_CHECKED and published:
            return _by_rule("source", published)
        if self.dicom or (isinstance(own, str) and own and stated is not True):
            return {"cleared": None, "cleared_reason": str(own)}
        if isinstance(stated, bool | np.bool_) and not stated:
            return {"cleared": None, "cleared_reason": "its record says so"}
        if published:
            return _by_rule("source", published)
        if is_open(licence):
            return _by_rule("licence", f"licence stated as {licence}")
        reason = "no licence stated" if licence is None else f"licence {licence!r}: not checked"
        return {"cleared": None, "cleared_reason": reason}


def _by_rule(rule: str, reason: str) -> dict:
    return {"cleared": True, "cleared_reason": reason, "cleared_by": f"({rule})"}


def _stated_source(record: Mapping) -> dict[str, str | None]:
    """Return the name, licence, credit, URL and document of a record's source, or nulls."""
    source = record.get("source") or {}
    if isinstance(source, str):
        source = {"name": source}
    if not isinstance(source, dict):
        raise InvalidRecord("source", f"wanted an object, received {shown(source)}")
    found = {name: source.get(name) for name in ("name", "credit", "url", "repo", "text_path")}
    found["licence"] = source.get("licence", source.get("license"))
    for name, value in found.items():
        if value is not None and not isinstance(value, str):
            raise InvalidRecord(f"source.{name}", f"wanted text, received {shown(value)}")
    return {name: value or None for name, value in found.items()}


def _none_usable(source: str, rejected: list[dict]) -> str:
    """Return why no record is usable; for DICOM, `source` is no path, which may name a patient."""
    first = [f"{row['place']}: {row['field']}: {row['reason']}" for row in rejected[:3]]
    reasons = "; ".join(first) or "the file holds no records"
    return f"0 of {len(rejected)} records of {source!r} are usable figures; {reasons}"
