"""Reads figure sets: one checked row for each figure, one for each record that cannot be used.

It decides a figure's modalities, group, split and clearance, and knows nothing of candidates,
models or people.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from PIL import Image

from vital_lib.figures.images import (
    FigureImage,
    Rejected,
    open_image,
    open_with_pixels,
    shown,
)
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
    file = _clinic_file(run, articles, seed) if clinic else _figure_file(Path(source))
    reader = _Reader(
        set_name="clinic" if clinic else _set_name(file),
        folder=file.parent / "images",
        relative_to=run.resolve() if clinic else None,
    )
    total = 0
    for place, record in records_of(file):
        total += 1
        reader.read(place, record)
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


def _figure_file(path: Path) -> Path:
    file = (path / "figures.jsonl" if path.is_dir() else path).resolve()
    if not file.is_file():
        raise FileNotFoundError(
            f"no figure set at {str(path)!r}: give 'clinic', a folder with figures.jsonl and "
            "images/, or a .jsonl or .json file in LLaVA-Med's caption schema"
        )
    return file


def _set_name(file: Path) -> str:
    return file.parent.name if file.name == "figures.jsonl" else file.name


def records_of(file: Path) -> Iterator[tuple[str, Any]]:
    """Each record with its place; a `Rejected` stands in for one that is not JSON."""
    if file.suffix == ".json":
        yield from _records_by_domain(file)
        return
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f"{file.name}:{number}", _parse(line)


def _records_by_domain(file: Path) -> Iterator[tuple[str, Any]]:
    content = _parse(file.read_bytes())
    if not isinstance(content, dict):
        reason = f"wanted a dict of domain to records, received {shown(content)}"
        yield file.name, content if isinstance(content, Rejected) else Rejected("record", reason)
        return
    for domain, records in content.items():
        if not isinstance(records, list):
            wrong = Rejected(domain, f"wanted a list of records, received {shown(records)}")
            yield f"{file.name}:{domain}", wrong
            continue
        for number, record in enumerate(records):
            yield f"{file.name}:{domain}[{number}]", record


def _parse(text: bytes) -> Any:
    try:
        return json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return Rejected("record", f"not JSON ({error}): {shown(text[:80])}")


class _Reader:
    """Collects the rows of `figures` and `figures_rejected` of one figure set."""

    def __init__(self, set_name: str, folder: Path, relative_to: Path | None) -> None:
        self.set_name = set_name
        self.folder = folder
        self.relative_to = relative_to
        self.figures: list[dict] = []
        self.rejected: list[dict] = []
        self._places: dict[str, str] = {}
        self._phash = _load_phash()

    def read(self, place: str, record: Any) -> None:
        try:
            if isinstance(record, Rejected):
                raise record
            row = self._row(place, record)
        except Rejected as wrong:
            where = {"source": self.set_name, "place": place}
            self.rejected.append({**where, "field": wrong.field, "reason": wrong.reason})
        else:
            self._places[row["figure_id"]] = place
            self.figures.append(row)

    def _row(self, place: str, record: Any) -> dict:
        if not isinstance(record, dict):
            raise Rejected("record", f"wanted an object, received {shown(record)}")
        check_unicode(record)
        figure_id = required_text(record, "pair_id")
        if figure_id in self._places:
            first = self._places[figure_id]
            raise Rejected("pair_id", f"{figure_id!r} was already read from {first}")
        stated = _stated_source(record)
        text = {
            "caption": required_text(record, "fig_caption"),
            "mentions": mentions_of(record.get("in_text_mention")),
            "modalities": modalities_of(record.get("domain")),
        }
        group_id = _group_id(record, stated, figure_id)
        image, pixels = open_with_pixels(
            self.folder / _image_name(record, figure_id), inside=self.folder
        )
        return {
            "figure_id": figure_id,
            "image": self._image_column(image.path),
            **text,
            "group_id": group_id,
            "split": split_of(group_id),
            "sha256": image.sha256,
            "phash": str(self._phash(pixels)),
            "source": stated["name"] or self.set_name,
            "licence": stated["licence"],
            "credit": stated["credit"],
            **self._clearance(stated["licence"]),
        }

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


def check_unicode(record: Mapping) -> None:
    """JSON may spell half a surrogate pair, which no table and no hash can hold."""
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[max(0, error.start - 20) : error.end]
        raise Rejected("record", f"not Unicode text: {shown(half)}") from None
    except RecursionError:
        raise Rejected("record", "nested too deeply to be read") from None


def required_text(record: Mapping, field: str) -> str:
    """The text in `field`, stripped; raises `Rejected` where it is missing, blank or no text."""
    value = record.get(field)
    if not isinstance(value, str) or not value.strip():
        received = f"received {shown(value)}" if field in record else "it is missing"
        raise Rejected(field, f"wanted text, {received}")
    return value.strip()


def _image_name(record: Mapping, figure_id: str) -> str:
    return f"{figure_id}.jpg" if record.get("image") is None else required_text(record, "image")


def mentions_of(value: Any) -> list[str]:
    """Tokens of each mention; LLaVA-Med writes one of empty tokens where there is none.

    Raises:
        Rejected: `value` is neither null nor a list of {tokens: text}.
    """
    wanted = "wanted a list of {tokens: text}, received "
    if value is None:
        return []
    if not isinstance(value, list):
        raise Rejected("in_text_mention", wanted + shown(value))
    for mention in value:
        if not isinstance(mention, dict) or not isinstance(mention.get("tokens"), str):
            raise Rejected("in_text_mention", wanted + shown(mention))
    return [tokens for mention in value if (tokens := mention["tokens"].strip())]


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
