"""The images of an export: copied or linked beside the file, or embedded in it.

An image is exported as its file, without metadata, if every reader shows it as the workbench does.
Others, such as 16-bit greys, transparent or turned images, become a PNG of what the workbench
shows.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from vital_lib.figures import UnreadableImage, open_image
from vital_lib.figures.bare import without_metadata

IMAGES = "images"
"""The folder of images beside a training file."""

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_CHANGED_BY = (b"tRNS", b"eXIf", b"Raw profile")  # chunks of a PNG: transparency, orientation
_ORIENTATION = 274
_LONGEST = 80


class Pictures:
    """The images of figures, by figure_id: `path` places one in `folder`, `content` reads one.

    Args:
        figures: figure_id -> path of the image and SHA-256 of its file, or None if not known.
        folder: the folder of the training file.
        how: "copy" or "link"; a link leads to the original file, if that has no metadata.
    """

    def __init__(
        self, figures: Mapping[str, tuple[Any, str | None]], folder: Path, how: str
    ) -> None:
        self._figures = figures
        self.folder = folder
        self._how = how
        self._names: dict[str, str] = {}
        self._taken = {"con", "prn", "aux", "nul"}  # devices, where the system is Windows
        self._placed: dict[str, str] = {}

    def path(self, figure_id: str) -> str:
        """Return the path of the figure's image relative to `folder`; place it there first.

        Raises:
            UnreadableImage: no such file, no image, or another file than was read in notebook 01.
        """
        if figure_id not in self._placed:
            image, checksum = self._figures[figure_id]
            content, suffix, as_it_is = read_picture(image, checksum)  # as_it_is: byte for byte
            place = self.folder / IMAGES / self._name(figure_id, suffix)
            place.parent.mkdir(exist_ok=True)
            if as_it_is and self._how == "link":
                place.symlink_to(Path(image).parent.resolve() / Path(image).name)
            else:
                place.write_bytes(content)
            self._placed[figure_id] = place.relative_to(self.folder).as_posix()
        return self._placed[figure_id]

    def content(self, figure_id: str) -> dict[str, Any]:
        """Return the image as {"bytes", "path"}, as a Parquet file holds it; `path` is a name.

        Raises:
            UnreadableImage: as in `path`.
        """
        content, suffix, _ = read_picture(*self._figures[figure_id])
        return {"bytes": content, "path": self._name(figure_id, suffix)}

    def _name(self, figure_id: str, suffix: str) -> str:
        """Return a file name for the figure that no other has, on any kind of disk."""
        if figure_id not in self._names:
            name = re.sub(r"[^A-Za-z0-9_.-]+", "_", figure_id)[:_LONGEST].strip(".")
            if name != figure_id or name.lower() in self._taken:
                digest = hashlib.sha256(figure_id.encode()).hexdigest()
                name = f"{name}-{digest[:12]}".lstrip("-")
            self._taken.add(name.lower())
            self._names[figure_id] = name
        return self._names[figure_id] + suffix


def read_picture(image: Any, checksum: str | None) -> tuple[bytes, str, bool]:
    """Return the bytes of an image to export, the suffix of its name, and if they are its file's.

    They hold no metadata.

    A file with the `checksum` of notebook 01 was decoded there. Without one it is decoded here.

    Raises:
        UnreadableImage: no such file, no image, or another file than was read in notebook 01.
    """
    if not isinstance(image, str | Path):
        raise UnreadableImage("image", f"{image!r} is not the path of one image")
    if checksum is None:
        open_image(image)
    try:
        content = Path(image).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error  # without the path
        raise UnreadableImage("image", f"{Path(image).name!r} cannot be read: {why}") from None
    if checksum not in (None, hashlib.sha256(content).hexdigest()):
        raise UnreadableImage(
            "image", f"{Path(image).name!r} has changed since notebook 01 read it"
        )
    suffix, bare = _suffix_if_plain(content), without_metadata(content)
    if suffix and bare is not None:
        return bare, suffix, bare == content
    buffer = io.BytesIO()
    open_image(image).pixels().save(buffer, "PNG")
    return buffer.getvalue(), ".png", False


def _suffix_if_plain(content: bytes) -> str:
    """Return the suffix of an image that all readers show alike, or an empty text."""
    if content.startswith(_PNG):
        bits, colours = content[24:26]
        alike = bits <= 8 and colours in (0, 2, 3)  # grey, RGB, palette
        return ".png" if alike and not any(mark in content for mark in _CHANGED_BY) else ""
    if content.startswith(_JPEG):
        with Image.open(io.BytesIO(content)) as header:
            upright = header.getexif().get(_ORIENTATION, 1) == 1
            return ".jpg" if upright and header.mode in ("L", "RGB") else ""
    return ""


def images_of(figures: pd.DataFrame) -> dict[str, tuple[Any, str | None]]:
    """Return figure_id -> (image, sha256 or None) of figures with columns figure_id, image."""
    known = figures["sha256"] if "sha256" in figures else pd.Series(None, figures.index)
    checksums = known.astype(object).where(known.notna(), None)
    return dict(
        zip(figures["figure_id"], zip(figures["image"], checksums, strict=True), strict=True)
    )
