"""One benchmark question: its validated fields, its id and the path of its image.

Reads one record at a time, with fields named as in ``published.NAMES``; opens no image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from os.path import normpath
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from vital_lib.evaluation.published import benchmark_root, says_nothing, split_called
from vital_lib.figures import ImageFolder
from vital_lib.records import InvalidRecord, Record, shown, without_image_tag
from vital_lib.records.check import named_image

KINDS = ("open", "closed", "chat")

_KIND_NAMES = {"yes/no": "closed", "other": "open", "number": "open"}  # PathVQA's
_IMAGE_FOLDERS = ("", "images", "imgs", "benchmark_images", "images/test", "images/train",
                  "images/val")  # fmt: skip
_ENDINGS = ("", ".jpg", ".png", ".jpeg", ".tif")


def _plain(value: Any) -> str:
    """Return text, or a number in its usual notation, without LLaVA's image placeholder."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("wanted text or a number")
    text = without_image_tag(str(value))
    if not text:
        raise ValueError("wanted text or a number")
    return text


def _answer(value: Any) -> str:
    """Return a reference answer: of PathVQA's weighted answers, the one of the highest weight."""
    if isinstance(value, Mapping):
        value = max(value, key=value.get, default=None)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return _plain(value)


def _image(value: Any) -> str | dict:
    value = named_image(value)
    return value if isinstance(value, dict) else _plain(value)


def _kind(value: Any) -> str | None:
    text = re.sub(r"[ _-]ended$", "", str(value or "").strip().lower())
    if not text:
        return None
    if (kind := _KIND_NAMES.get(text, text)) not in KINDS:
        raise ValueError(f"wanted {', '.join(KINDS)}")
    return kind


def _optional(value: Any) -> str | None:
    return str(value).strip() or None if isinstance(value, str | int | float) else None


_Maybe = Annotated[str | None, BeforeValidator(_optional)]


class Question(Record):
    """One question, with our names for the fields of its file."""

    image: Annotated[Any, BeforeValidator(_image)]
    question: Annotated[str, BeforeValidator(_plain)]
    reference: Annotated[str, BeforeValidator(_answer)]
    kind: Annotated[str | None, BeforeValidator(_kind)] = None
    question_id: Annotated[str | None, BeforeValidator(_plain)] = None
    qid: Annotated[str | None, BeforeValidator(_plain)] = None
    question_type: _Maybe = None
    modality: _Maybe = None
    group_id: _Maybe = None


def question_id(found: Question, name: str, file: Path, number: int) -> str:
    """Return the record's own id; a numeric one gets the name of its file or benchmark as prefix.

    A record without an id is named after the benchmark and its `qid`, or else `number`.
    """
    short = "".join(letter for letter in name.lower() if letter.isalnum() or letter == "_")
    if found.question_id is not None:
        stem = short if says_nothing(file.stem) else file.stem
        return f"{stem}_{found.question_id}" if found.question_id.isdecimal() else found.question_id
    return f"{short}_{number if found.qid is None else found.qid}"


def kind_told_by(found: Question) -> str:
    """Return "closed" if the reference is yes or no, else "open"."""
    closed = found.reference.strip(" .").lower() in ("yes", "no")
    return "closed" if closed else "open"


def stated_split(record: Mapping[str, Any]) -> str | None:
    """Return the split that a record states in `split`, or in VQA-RAD's `phrase_type`."""
    phrase = record.get("phrase_type")
    if isinstance(phrase, str) and "qid_linked_id" in record:
        return "test" if phrase.strip().lower().startswith("test") else "train"
    split = record.get("split")
    return split_called(split) if isinstance(split, str) else None


def stated_modalities(record: Mapping[str, Any]) -> str | None:
    """Return the modalities that LLaVA-Med's `domain` flags, comma-separated."""
    flags = record.get("domain")
    if isinstance(flags, Mapping):
        return ", ".join(name for name, on in flags.items() if on) or None
    return None


def unended(image: str) -> str:
    """Return the image's name without its extension: the group of a figure that states none."""
    return Path(image).with_suffix("").as_posix().removeprefix("images/")


def image_file(image: str, file: Path, *, follow_links: bool = False) -> Path:
    """Return the image's absolute path: beside the file, in an image folder there, or further up.

    Parent folders are searched up to the benchmark's own (`benchmark_root`).

    Raises:
        InvalidRecord: the path is unusable, or leaves the benchmark's folder as written or, without
            `follow_links`, by a link.
    """
    file = file.absolute()
    root = benchmark_root(file)
    if not Path(normpath(file.parent / image)).is_relative_to(file.parent):
        raise InvalidRecord("image", f"{shown(image)} leaves the benchmark's folder")
    folders = [folder for folder in file.parents if folder.is_relative_to(root)]
    inside = [
        path
        for folder in folders
        for below in _IMAGE_FOLDERS
        if (path := Path(normpath(folder / below / image))).is_relative_to(root)
    ]
    ended = (path.with_name(path.name + end) for end in _ENDINGS for path in inside)
    try:
        found = next((path for path in ended if path.is_file()), inside[0])
    except (OSError, ValueError) as error:
        raise InvalidRecord("image", f"{shown(image)} is not a usable path: {error}") from None
    ImageFolder(root, "", follow_links, "benchmark's folder").check_links(found, image)
    return found
