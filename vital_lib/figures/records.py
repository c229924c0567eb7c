"""Reads a figure set into one checked row per figure and one row per rejected record.

It decides a figure's modalities, group, split and clearance. It does not depend on candidates,
models or people.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from PIL import Image
from pydantic import BeforeValidator

from vital_lib.figures.articles import Article, article_of
from vital_lib.figures.folders import ImageFolder, find_first
from vital_lib.figures.forms import figure_files, figure_records
from vital_lib.figures.groups import group_names, group_warnings, join_same_images, split_of
from vital_lib.figures.images import FigureImage, open_image, open_with_pixels
from vital_lib.modalities import MODALITIES
from vital_lib.records import InvalidRecord, Record, Text, UnreadableFile, checked, shown
from vital_lib.records.check import Name, named_image, stored_image
from vital_lib.tables import frame_of

LOG = logging.getLogger(__name__)
_OPEN_LICENCE = re.compile(
    r"(?:cc0|cc[ -]by(?:[ -]sa)?)(?:[ -]\d+(?:\.\d+)?)?(?: (?:international|unported|universal))?"
    r"|public domain(?: \(.*\))?",
    re.IGNORECASE,
)
_IMAGE_FOLDERS = ("images", "figures", "imgs")
_WANTED_MENTIONS = "wanted a list of texts or of {tokens: text}"


class NoUsableFigures(ValueError):
    """A figure set without a usable figure; the message gives the first reasons."""


def read_figures(
    source: str, *, run: Path, seed: int = 0, articles: int = 500, follow_links: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a figure set into the tables `figures` and `figures_rejected`.

    Args:
        source: "clinic" (phantoms made in `run` with `seed` and `articles`), or a file or folder
            that `figure_files` accepts: `figures.jsonl` with one record per line, or a table or
            JSON file in the caption schema of LLaVA-Med, MedICaT or ROCO. Images lie in `images/`
            in the file's folder, named by the record's `image` or `<pair_id>.jpg`.
        run: the run's folder. Paths of images are absolute.
        follow_links: whether image links to files outside the figure set are followed. Links
            within it, or within the repository folder of the Hugging Face cache, always are. A
            record's own path may never leave its folder.

    The `group_id` of a figure is the first of these that its record has:
    - its `group_id` or `patient_id`;
    - a PMID, PMCID or DOI in its ids, URLs or paths (`article_of`, `group_names`);
    - its `article_id`, `paper_id` or `pdf_hash`;
    - the article's URL in `source.url`, unless that is the URL of one image file;
    - the document in `source.text_path`, if there is no URL;
    - the part of `pair_id` before `_F1` or `_fig1`.

    Groups that hold the same image file are joined and may change their split (`joined_groups`).
    A warning is logged for each joined group and each group with more than `LARGE_GROUP` of the
    figures.

    Flags in `domain` other than `MODALITIES` are ignored. `cleared` is true for the clinic and for
    licences that allow reuse (CC0, CC BY, CC BY-SA, public domain), null otherwise.

    Raises:
        FileNotFoundError: `source` holds no figure set.
        NoUsableFigures: no record is usable.
    """
    clinic = source == "clinic"
    files = [_clinic_file(run, articles, seed)] if clinic else figure_files(Path(source))
    home = _home_of(files[0])
    reader = _Reader(
        set_name="clinic" if clinic else _set_name(home.resolve() / files[0].name),
        folders=[ImageFolder(home, name, follow_links) for name in (_image_folder(home), "")],
        clinic=clinic,
        embedded=run / "embedded_images",
    )
    total = 0
    try:
        for place, record in (found for part in files for found in figure_records(part)):
            total += 1
            reader.read(place, record)
    except UnreadableFile as error:
        raise NoUsableFigures(f"{source!r}: {error}") from None
    if not reader.figures:
        raise NoUsableFigures(_none_usable(source, total, reader.rejected))
    return reader.grouped(), frame_of("figures_rejected", reader.rejected)


def image_notes(figures: pd.DataFrame) -> pd.DataFrame:
    """List the changes made to show the images of `read_figures`: columns figure_id, note.

    Examples are the range of a stretched 16-bit grey, and that only the first of several frames is
    shown. Most images have no note.
    """
    return pd.DataFrame(figures.attrs.get("image_notes", []), columns=["figure_id", "note"])


def image_opener(figures: pd.DataFrame) -> Callable[[str], FigureImage]:
    """Return a function from a figure_id to its opened image; each image is checked once.

    Args:
        figures: columns figure_id, image.

    Raises (by the returned function):
        KeyError: the figure is not in `figures`.
        UnreadableImage: the image cannot be opened.
    """
    images = dict(zip(figures["figure_id"], figures["image"], strict=True))
    return cache(lambda figure_id: open_image(images[figure_id]))


def _clinic_file(run: Path, articles: int, seed: int) -> Path:
    from vital_lib import clinic

    return clinic.make_figure_set(run / "clinic", articles=articles, seed=seed)


def _home_of(file: Path) -> Path:
    """Return the folder of a set's file; that of its link target if only that one has images."""
    homes = [file.parent.absolute(), file.resolve().parent]
    return next((home for home in homes if (home / _image_folder(home)).is_dir()), homes[0])


def _image_folder(home: Path) -> str:
    """Return the name of the image folder: `images`, MedICaT's `figures` or SLAKE's `imgs`."""
    return next((name for name in _IMAGE_FOLDERS if (home / name).is_dir()), _IMAGE_FOLDERS[0])


def _set_name(file: Path) -> str:
    return file.parent.name if file.name == "figures.jsonl" else file.name


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
    value = [item for item in value if item is not None]
    texts = [
        item.get("tokens", item.get("text")) if isinstance(item, dict) else item for item in value
    ]
    for text, mention in zip(texts, value, strict=True):
        if not isinstance(text, str):
            raise InvalidRecord("in_text_mention", f"{_WANTED_MENTIONS}, received {shown(mention)}")
    return [text.strip() for text in texts if text.strip()]


def modalities_of(flags: Any) -> list[str]:
    """Return the modalities whose flag is true.

    Raises:
        InvalidRecord: `flags` is not null or {modality: true or false}.
    """
    if flags is None:
        return []
    if not isinstance(flags, dict):
        raise InvalidRecord(
            "domain", f"wanted {{modality: true or false}}, received {shown(flags)}"
        )
    for name in MODALITIES:
        if flags.get(name) not in (True, False, None):
            wrong = f"{name} is {shown(flags[name])}"
            raise InvalidRecord("domain", f"wanted true or false, but {wrong}")
    return [name for name in MODALITIES if flags.get(name)]


class _FigureRecord(Record):
    """The fields of a record that make a figure, except its source and its group."""

    pair_id: Name
    fig_caption: Text
    image: Annotated[Any, BeforeValidator(_image_of)] = None
    in_text_mention: Annotated[list[str], BeforeValidator(mentions_of)] = []
    domain: Annotated[list[str], BeforeValidator(modalities_of)] = []


@dataclass
class _Reader:
    """Collects the rows of `figures` and `figures_rejected` for one figure set."""

    set_name: str
    folders: list[ImageFolder]
    clinic: bool
    embedded: Path
    figures: list[dict] = field(default_factory=list)
    rejected: list[dict] = field(default_factory=list)
    _articles: list[Article] = field(default_factory=list)
    _notes: list[dict] = field(default_factory=list)
    _places: dict[str, str] = field(default_factory=dict)

    def read(self, place: str, record: Any) -> None:
        try:
            row, article, notes = self._row(record)
        except InvalidRecord as wrong:
            where = {"source": self.set_name, "place": place}
            self.rejected.append({**where, "field": wrong.field, "reason": wrong.reason})
        else:
            self._places[row["figure_id"]] = place
            self.figures.append(row)
            self._articles.append(article)
            self._notes += [{"figure_id": row["figure_id"], "note": note} for note in notes]

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

    def _row(self, record: Any) -> tuple[dict, Article, tuple[str, ...]]:
        from imagehash import phash  # slow to import

        found = checked(_FigureRecord, record)
        figure_id = found.pair_id
        if figure_id in self._places:
            first = self._places[figure_id]
            raise InvalidRecord("pair_id", f"{figure_id!r} was already read from {first}")
        stated = _stated_source(record)
        article = article_of(record, figure_id)
        image, pixels = self._opened(found.image, figure_id)
        row = {
            "figure_id": figure_id,
            "image": str(image.path),
            "caption": found.fig_caption,
            "mentions": found.in_text_mention,
            "modalities": found.domain,
            "sha256": image.sha256,
            "phash": str(phash(pixels)),
            "source": stated["name"] or self.set_name,
            "licence": stated["licence"],
            "credit": stated["credit"],
            **self._clearance(stated["licence"]),
        }
        return row, article, image.notes

    def _opened(self, image: str | dict | None, figure_id: str) -> tuple[FigureImage, Image.Image]:
        if isinstance(image, dict):
            return open_with_pixels(stored_image(image, self.embedded))
        return open_with_pixels(find_first(image or f"{figure_id}.jpg", self.folders))

    def _clearance(self, licence: str | None) -> dict:
        if self.clinic:
            return {"cleared": True, "cleared_reason": "comes with the workbench's clinic"}
        if licence is not None and _OPEN_LICENCE.fullmatch(licence.strip()):
            return {"cleared": True, "cleared_reason": f"licence stated as {licence}"}
        reason = "no licence stated" if licence is None else f"licence {licence!r}: not checked"
        return {"cleared": None, "cleared_reason": reason}


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


def _none_usable(source: str, total: int, rejected: list[dict]) -> str:
    first = [f"{row['place']}: {row['field']}: {row['reason']}" for row in rejected[:3]]
    reasons = "; ".join(first) or "the file holds no records"
    return f"0 of {total} records of {source!r} are usable figures; {reasons}"
