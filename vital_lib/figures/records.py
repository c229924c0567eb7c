"""Reads figure sets: one checked row for each figure, one for each record that cannot be used.

It decides a figure's modalities, group, split and clearance, and knows nothing of candidates,
models or people.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
from PIL import Image
from pydantic import BeforeValidator, Field

from vital_lib.figures.forms import figure_files, figure_records
from vital_lib.figures.images import FigureImage, open_image, open_with_pixels
from vital_lib.records import Record, Rejected, Text, UnreadableFile, checked, shown
from vital_lib.records.check import stored_image
from vital_lib.tables import TABLES, empty_frame

if TYPE_CHECKING:
    from imagehash import ImageHash

MODALITIES = ("chest_xray", "ct_scan", "mri", "histology", "gross")
"""The five modality flags of the caption schema; a figure may have several, or none."""

_OPEN_LICENCE = re.compile(
    r"(?:cc0|cc[ -]by(?:[ -]sa)?)(?:[ -]\d+(?:\.\d+)?)?(?: (?:international|unported|universal))?"
    r"|public domain(?: \(.*\))?",
    re.IGNORECASE,
)
_WANTED_MENTIONS = "wanted a list of texts or of {tokens: text}"
_FIGURE_PART = re.compile(r"_(?:figure|fig|f)[-_]?\d", re.IGNORECASE)
_ONE_FILE = re.compile(r"(?:/File:.*|\.(?:jpe?g|png|gif|tiff?|webp|svg))$", re.IGNORECASE)


class NoUsableFigures(ValueError):
    """A figure set without one usable figure; the message gives the first reasons."""


def split_of(group_id: str) -> str:
    """train (0.55), validation (0.10) or test (0.35) by the SHA-256 of `group_id` alone.

    No article or patient stands on both sides, and none changes side when figures are added.
    """
    share = int.from_bytes(hashlib.sha256(group_id.encode()).digest()[:8], "big") / 2**64
    if share < 0.55:
        return "train"
    return "validation" if share < 0.65 else "test"


def read_figures(
    source: str, *, run: Path, seed: int = 0, articles: int = 500
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a figure set: the tables `figures` and `figures_rejected`.

    Args:
        source: "clinic" (phantoms, made below `run` with `seed` and `articles`); a folder with
            `figures.jsonl` and `images/`; a `.jsonl` with one record a line; or a `.json` in the
            caption schema of LLaVA-Med (domain to list of records). Images lie in `images/`
            beside the file, named by the record's `image` or `<pair_id>.jpg`.
        run: the run's folder; clinic images are given relative to it, others as absolute paths.

    A record's `group_id` column is the first of: its `group_id`, `patient_id`, `pmid`; the
    article's address in `source.url` (not where that names one image file); without an address
    the document in `source.text_path`; else what stands before `_F1` or `_fig1` in `pair_id`.
    Flags in `domain` beyond `MODALITIES` are passed over. `cleared` is true for the clinic and
    for licences that allow re-use (CC0, CC BY, CC BY-SA, public domain), null otherwise.

    Raises:
        FileNotFoundError: `source` is not there, or is a folder without `figures.jsonl`.
        NoUsableFigures: not one record could be used.
    """
    clinic = source == "clinic"
    files = [_clinic_file(run, articles, seed)] if clinic else figure_files(Path(source))
    file = files[0].resolve()
    reader = _Reader(
        set_name="clinic" if clinic else _set_name(file),
        folder=_image_folder(file.parent),
        relative_to=run.resolve() if clinic else None,
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
    return _frame("figures", reader.figures), _frame("figures_rejected", reader.rejected)


def image_opener(
    figures: pd.DataFrame, resolve: Callable[[str], Path]
) -> Callable[[str], FigureImage]:
    """A function from figure_id to its opened image; each is checked once.

    Args:
        figures: columns figure_id, image.
        resolve: from an `image` to its file (`Workspace.resolve`).

    Raises (the function, when called):
        KeyError: no such figure.
        UnreadableImage: its file is not the image that was read.
    """
    images = dict(zip(figures["figure_id"], figures["image"], strict=True))
    return cache(lambda figure_id: open_image(resolve(images[figure_id])))


def _clinic_file(run: Path, articles: int, seed: int) -> Path:
    from vital_lib import clinic

    return clinic.make_figure_set(run / "clinic", articles=articles, seed=seed)


def _image_folder(beside: Path) -> Path:
    """Where images lie: `images/`, or MedICaT's `figures/`, or SLAKE's `imgs/`."""
    folders = [beside / name for name in ("images", "figures", "imgs")]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def _set_name(file: Path) -> str:
    return file.parent.name if file.name == "figures.jsonl" else file.name


class _FigureRecord(Record):
    """The fields of a record that make a figure, but for its source and its group."""

    pair_id: Text
    fig_caption: Text
    image: Annotated[Any, BeforeValidator(lambda value: _image_of(value))] = None
    in_text_mention: Annotated[list[str], BeforeValidator(lambda value: mentions_of(value))] = (
        Field(default=[])
    )
    domain: Annotated[list[str], BeforeValidator(lambda value: modalities_of(value))] = Field(
        default=[]
    )


class _Reader:
    """Collects the rows of `figures` and `figures_rejected` of one figure set."""

    def __init__(
        self, set_name: str, folder: Path, relative_to: Path | None, embedded: Path
    ) -> None:
        self.set_name = set_name
        self.embedded = embedded
        self.folder = folder
        self.relative_to = relative_to
        self.figures: list[dict] = []
        self.rejected: list[dict] = []
        self._places: dict[str, str] = {}
        self._phash = _load_phash()

    def read(self, place: str, record: Any) -> None:
        try:
            row = self._row(place, record)
        except Rejected as wrong:
            where = {"source": self.set_name, "place": place}
            self.rejected.append({**where, "field": wrong.field, "reason": wrong.reason})
        else:
            self._places[row["figure_id"]] = place
            self.figures.append(row)

    def _row(self, place: str, record: Any) -> dict:
        found = checked(_FigureRecord, record)
        figure_id = found.pair_id
        if figure_id in self._places:
            first = self._places[figure_id]
            raise Rejected("pair_id", f"{figure_id!r} was already read from {first}")
        stated = _stated_source(record)
        group_id = _group_id(record, stated, figure_id)
        image, pixels = self._opened(found.image, figure_id)
        return {
            "figure_id": figure_id,
            "image": self._image_column(image.path),
            "caption": found.fig_caption,
            "mentions": found.in_text_mention,
            "modalities": found.domain,
            "group_id": group_id,
            "split": split_of(group_id),
            "sha256": image.sha256,
            "phash": str(self._phash(pixels)),
            "source": stated["name"] or self.set_name,
            "licence": stated["licence"],
            "credit": stated["credit"],
            **self._clearance(stated["licence"]),
        }

    def _opened(self, image: str | dict | None, figure_id: str) -> tuple[FigureImage, Image.Image]:
        if isinstance(image, dict):
            return open_with_pixels(stored_image(image, self.embedded), inside=self.embedded)
        name = image or f"{figure_id}.jpg"
        folder = self.folder
        if "\0" not in name and not (folder / name).is_file():
            beside = folder.parent / name
            folder = folder.parent if beside.is_file() else folder
        return open_with_pixels(folder / name, inside=folder)

    def _image_column(self, path: Path) -> str:
        return path.relative_to(self.relative_to).as_posix() if self.relative_to else str(path)

    def _clearance(self, licence: str | None) -> dict:
        if self.relative_to:
            return {"cleared": True, "cleared_reason": "comes with the workbench's clinic"}
        if licence is not None and _OPEN_LICENCE.fullmatch(licence.strip()):
            return {"cleared": True, "cleared_reason": f"licence stated as {licence}"}
        reason = "no licence stated" if licence is None else f"licence {licence!r}: not checked"
        return {"cleared": None, "cleared_reason": reason}


def _load_phash() -> Callable[[Image.Image], ImageHash]:
    from imagehash import phash

    return phash


def _image_of(value: Any) -> str | dict | None:
    """A file's name, or {bytes, path} as datasets keep an image in Parquet."""
    if value is None or isinstance(value, dict):
        return value
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise Rejected("image", f"wanted a file's name, received {shown(value)}")


def mentions_of(value: Any) -> list[str]:
    """The text of each mention; LLaVA-Med writes one of empty tokens where there is none.

    Raises:
        Rejected: `value` is neither null, a text, nor a list of texts or {tokens: text}.
    """
    if value is None:
        return []
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        raise Rejected("in_text_mention", f"{_WANTED_MENTIONS}, received {shown(value)}")
    texts = [one.get("tokens") if isinstance(one, dict) else one for one in value]
    for text, mention in zip(texts, value, strict=True):
        if not isinstance(text, str):
            raise Rejected("in_text_mention", f"{_WANTED_MENTIONS}, received {shown(mention)}")
    return [text.strip() for text in texts if text.strip()]


def modalities_of(flags: Any) -> list[str]:
    """The modalities whose flag is true; raises `Rejected` where `flags` are no flags."""
    if flags is None:
        return []
    if not isinstance(flags, dict):
        raise Rejected("domain", f"wanted {{modality: true or false}}, received {shown(flags)}")
    for name in MODALITIES:
        if flags.get(name) not in (True, False, None):
            wrong = f"{name} is {shown(flags[name])}"
            raise Rejected("domain", f"wanted true or false, but {wrong}")
    return [name for name in MODALITIES if flags.get(name)]


def _stated_source(record: Mapping) -> dict[str, str | None]:
    """Name, licence, credit, address and document as the record states them, null where not."""
    source = record.get("source") or {}
    if isinstance(source, str):
        source = {"name": source}
    if not isinstance(source, dict):
        raise Rejected("source", f"wanted an object, received {shown(source)}")
    found = {name: source.get(name) for name in ("name", "credit", "url", "repo", "text_path")}
    found["licence"] = source.get("licence", source.get("license"))
    for name, value in found.items():
        if value is not None and not isinstance(value, str):
            raise Rejected(f"source.{name}", f"wanted text, received {shown(value)}")
    return {name: value or None for name, value in found.items()}


def _group_id(record: Mapping, stated: Mapping, figure_id: str) -> str:
    for field in ("group_id", "patient_id", "pmid"):
        value = record.get(field)
        if isinstance(value, bool) or not isinstance(value, str | int | None):
            raise Rejected(field, f"wanted text or a whole number, received {shown(value)}")
        if value is not None and str(value).strip():
            return str(value).strip()
    if stated["url"]:
        article = re.sub(r"/figures?/[^/]*$", "", re.sub(r"[#?].*$", "", stated["url"]))
        if not _ONE_FILE.search(article):
            return article
    elif stated["text_path"]:
        return "/".join(filter(None, (stated["repo"], stated["text_path"])))
    before = _FIGURE_PART.split(figure_id)[0]
    return before or figure_id


def _none_usable(source: str, total: int, rejected: list[dict]) -> str:
    first = [f"{row['place']}: {row['field']}: {row['reason']}" for row in rejected[:3]]
    return f"0 of {total} records of {source!r} are usable figures; " + "; ".join(first)


def _frame(name: str, rows: list[dict]) -> pd.DataFrame:
    """The rows in the types that a read from disk would give, columns as declared."""
    if not rows:
        return empty_frame(name)
    frame = pd.DataFrame(rows, columns=TABLES[name].columns)
    return frame.astype({"cleared": "boolean"}) if "cleared" in frame else frame
