"""Validate one record with a pydantic model, and name the wrong field of an invalid record."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

IMAGE_TAG = "<image>"
"""Marks the place of the image in LLaVA's texts."""


_BEGINNINGS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp",
               b"II*\0": ".tif", b"MM\0*": ".tif", b"BM": ".bmp"}  # fmt: skip
_SPEAKERS = {"human": "human", "user": "human", "gpt": "gpt", "assistant": "gpt", "model": "gpt"}
_WORD = re.compile(r"(?<=[a-z\d])(?=[A-Z])")


class InvalidRecord(ValueError):
    """A record that cannot be used: the wrong `field` and the `reason`."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class Record(BaseModel):
    """Base of the record models; other fields of a record are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


_Checked = TypeVar("_Checked", bound=Record)


def shown(value: Any) -> str:
    """Return a received value as text, short enough for a table cell."""
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."


def checked(model: type[_Checked], record: Any) -> _Checked:
    """Return `record` as an instance of `model`.

    Raises:
        InvalidRecord: the record is not an object, or a field is missing or has the wrong type; the
            reason shows the value received. A `record` that is an `InvalidRecord` is raised.
    """
    if isinstance(record, InvalidRecord):
        raise record
    if type(record) is not dict and not isinstance(record, Mapping):  # the type is quicker to ask
        raise InvalidRecord("record", f"wanted an object, received {shown(record)}")
    try:
        return model.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InvalidRecord):
        raise cause
    field = ".".join(part for part in first["loc"] if isinstance(part, str)) or "record"
    if first["type"] == "missing":
        raise InvalidRecord(field, "it is missing")
    wanted = str(cause) if cause else first["msg"][0].lower() + first["msg"][1:]
    raise InvalidRecord(field, f"{wanted}, received {shown(first['input'])}")


def rejected_rows(rejected: list[tuple[str, InvalidRecord]]) -> list[dict[str, str]]:
    """Return rejected records as rows {place, field, reason} of a table."""
    return [{"place": place, "field": w.field, "reason": w.reason} for place, w in rejected]


@lru_cache(maxsize=4096)  # a file has few names and many records
def field_name(column: Any) -> str:
    """Return a column's name as a field name: image_name for "Image Name" or "imageName"."""
    return re.sub(r"[\s_-]+", "_", _WORD.sub("_", str(column).strip())).lower()


def without_image_tag(text: str) -> str:
    """Return the text without LLaVA's "<image>", stripped."""
    while IMAGE_TAG in text:  # what stood around one may be another
        text = text.replace(IMAGE_TAG, "")
    return text.strip()


def of_cell(value: Any) -> Any:
    """Parse a cell that holds a list or an object as text; return other values unchanged."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            return read(value)
        except (ValueError, SyntaxError, RecursionError):
            continue
    return value


def rounds_of(messages: Any) -> list[dict[str, str]]:
    """Return rounds {instruction, response} of LLaVA's messages {from: human or gpt, value: text}.

    Messages may also be {role: user or assistant, content: text, or parts of which some are text}.
    Consecutive answers become one response, one per line. System messages and LLaVA's "<image>" are
    removed.

    Raises:
        InvalidRecord: the messages are of another form or out of order, or a text is empty.
    """
    messages = of_cell(messages)
    if not isinstance(messages, list) or not messages:
        raise InvalidRecord(
            "conversations", f"wanted a list of messages, received {shown(messages)}"
        )
    messages = [message for message in messages if role_of(message) != "system"] or messages
    rounds: list[dict[str, str]] = []
    answered = True
    for message in messages:
        speaker, text = _message(message)
        if speaker == "human" and answered:
            rounds.append({"instruction": text, "response": ""})
        elif speaker == "gpt" and rounds:
            before = rounds[-1]["response"]
            rounds[-1]["response"] = f"{before}\n{text}" if before else text
        else:
            raise InvalidRecord("conversations", f"out of order: {shown(message)}")
        answered = speaker == "gpt"
    if not answered:
        raise InvalidRecord("conversations", f"no answer to {shown(messages[-1])}")
    return rounds


def role_of(message: Any) -> str:
    """Return a message's speaker in lower case, or "" if it names none."""
    fields = message if isinstance(message, Mapping) else {}
    return str(fields.get("from", fields.get("role")) or "").strip().lower()


def text_of(message: Any) -> Any:
    """Return a message's text; for a list of parts, the text parts, one per line."""
    fields = message if isinstance(message, Mapping) else {}
    text = fields.get("value", fields.get("content"))
    if not isinstance(text, list):
        return text
    parts = [part.get("text") if isinstance(part, Mapping) else part for part in text]
    return "\n".join(part for part in parts if isinstance(part, str))


def _message(message: Any) -> tuple[str, str]:
    speaker = _SPEAKERS.get(role_of(message))
    if speaker is None:
        wanted = "wanted {from: human or gpt, value: text}"
        raise InvalidRecord("conversations", f"{wanted}, received {shown(message)}")
    text = text_of(message)
    if not isinstance(text, str) or not without_image_tag(text):
        raise InvalidRecord("conversations", f"wanted text, received {shown(text)} from {speaker}")
    return speaker, without_image_tag(text)


def nonblank(value: Any) -> str:
    """Return a text, stripped; raise `ValueError` for a blank one and for other values."""
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise ValueError("wanted text")
    return text


Text = Annotated[str, BeforeValidator(nonblank)]
"""Non-blank text, stripped."""


def name_of(value: Any) -> str:
    """Return a name as text, or a whole number as text; raise `ValueError` for other values."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if type(value) is int else nonblank(value)


Name = Annotated[str, BeforeValidator(name_of)]
"""The name of a record: text, or a whole number as text."""


def named_image(value: Any) -> Any:
    """Return an image's file name with forward slashes, or {bytes, path} as stored in Parquet.

    A list of one item is read as that item. Other values are returned unchanged.

    Raises:
        InvalidRecord: the name is a URL.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return _file_name(value)
    if isinstance(value, bytes):
        return {"bytes": value}
    if isinstance(value, Mapping) and not value.get("bytes") and isinstance(value.get("path"), str):
        return _file_name(value["path"])
    return value


def _file_name(value: str) -> str:
    if "://" in value:
        reason = "is a URL, and nothing is downloaded: save the image in images/"
        raise InvalidRecord("image", f"{shown(value)} {reason}")
    return value.strip().replace("\\", "/")


def image_ending(content: bytes) -> str | None:
    """Return the ending of an image file's name by how its content begins; None for no image."""
    return next((end for mark, end in _BEGINNINGS.items() if content.startswith(mark)), None)


def is_marked_dicom(content: bytes) -> bool:
    """Return whether content has DICOM's mark, even after the beginning of a picture."""
    return content[128:132] == b"DICM"


def stored_image(image: Mapping[str, Any], folder: Path) -> Path:
    """Write an image {bytes, path} of a Parquet file to `folder`, and return the file's path.

    The file is named by the hash of its content.

    Raises:
        InvalidRecord: the image holds no bytes, or is DICOM.
    """
    content = image.get("bytes")
    if not isinstance(content, bytes) or not content:
        raise InvalidRecord("image", f"wanted an image's bytes, received {shown(image)}")
    if is_marked_dicom(content):  # its header may name a patient
        raise InvalidRecord("image", "a DICOM file in a table is not read, and not stored")
    suffix = image_ending(content) or ".img"
    file = folder / f"{hashlib.sha256(content).hexdigest()[:24]}{suffix}"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{threading.get_ident()}.part")
        part.write_bytes(content)
        part.replace(file)
    return file.resolve()
