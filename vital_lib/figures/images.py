"""Opens images safely: each file is fully decoded once before it is used.

Every image that the workbench shows, sends or encodes is a ``FigureImage`` from ``open_image``.
This module does not depend on captions or figure sets.
"""

from __future__ import annotations

import hashlib
import io
import stat
import struct
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from vital_lib.dicom.windows import Greys, greys_beside
from vital_lib.figures.clearance import Clearance, clearance_of
from vital_lib.figures.folders import UnreadableImage
from vital_lib.figures.greys import GREYS, upright_rgb
from vital_lib.records import InvalidRecord, shown

MAX_PIXELS = 100_000_000
"""Most pixels of an image that is decoded (300 MB as RGB)."""

MAX_BYTES = 500_000_000
"""Most bytes of an image file that is read."""

MAX_ASPECT = 200
"""Longest side in shortest sides. A model's processor scales the shortest side to some hundred
pixels: a line of 20,000 pixels would then need 7 GB, and Qwen's refuses it."""

# Raster formats only: Pillow would pass EPS to Ghostscript, and other formats load plug-ins.
_FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "JPEG2000", "PPM")

# Pillow raises all of these on damaged files, not only OSError.
_DAMAGED = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, EOFError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip

_DICOM = (
    "is a DICOM file, which is read only as a figure set of its own: give the DICOM file or its "
    "folder as the figure set (docs/dicom.md), which keeps the pixels as PNG without the header"
)
_DICOM_SUFFIXES = (".dcm", ".dicom", ".dic", ".ima")
_DICOM_STARTS = (b"\x02\0\0\0", b"\x08\0\0\0", b"\x08\0\x05\0", b"\x08\0\x08\0", b"\x08\0\x16\0")

_GREY_PNG = b"\x89PNG\r\n\x1a\n" + b"\x10\0"  # the signature; 16 bits, grey

CLEARANCE = "clearance"
"""Key of ``Image.info`` under which pixels keep the `Clearance` of their figure.

Pillow's own operations keep it, such as mirroring. No format writes it to a file.
"""

_TOKEN = object()
_BY_PATH = Clearance("an image", False, "it was opened by its path, without the row that clears it")
_FILTERS = Lock()


@dataclass(frozen=True)
class FigureImage:
    """A checked image file: it decodes completely, and its hash and size are known.

    Only `open_image` and `open_figure` make one. `width` and `height` are in pixels after EXIF
    rotation. `notes` report what was changed to show the image, such as the range of a stretched
    16-bit grey. `clearance` says whether the image may leave; by `open_image` it may not.
    """

    path: Path
    sha256: str
    width: int
    height: int
    notes: tuple[str, ...] = ()
    clearance: Clearance = _BY_PATH
    token: InitVar[object] = None

    def __post_init__(self, token: object) -> None:
        if token is not _TOKEN:
            raise TypeError("a FigureImage is made by open_image(path), which checks the file")

    @property
    def shown_as(self) -> str:
        """Cache key of the image as shown: `sha256`, or another hash if its greys are stretched.

        Features and replies of the same file under another stretch or window are not reused.
        """
        stretched = [note for note in self.notes if note.startswith(GREYS)]
        if not stretched:
            return self.sha256
        return hashlib.sha256("\n".join((self.sha256, *stretched)).encode()).hexdigest()

    def pixels(self) -> Image.Image:
        """Decode the image as RGB without metadata; ``info`` holds only its `clearance`.

        Transparency becomes white, and EXIF orientation is applied. Greys read from DICOM are shown
        in their first window. Other 16-bit and floating-point greys are stretched to 0..255 because
        the file states no window; `notes` give the range. The range ends at a percentile where a
        few pixels lie far beyond the others.

        Raises:
            UnreadableImage: the file has changed since it was checked.
        """
        sha256, image, _ = _decode(self.path, _upright_kept)
        self._check(sha256)
        image = image.copy()  # the caller may change it
        image.info[CLEARANCE] = self.clearance
        return image

    def stored_greys(self, max_side: int = 2048) -> tuple[np.ndarray, Greys] | None:
        """Return the stored greys, uint16 (H, W), and the windows that show them.

        Greys are scaled down to sides of `max_side` pixels. Only 16-bit greys with windows beside
        them have both (those read from DICOM); for other images, return None.

        Raises:
            UnreadableImage: the file has changed since it was checked.
        """
        content = _read(self.path)
        sha256 = hashlib.sha256(content).hexdigest()
        self._check(sha256)
        if (greys := _windows_of(self.path, content, sha256)) is None:
            return None
        image = _open_header(content)
        if max(image.size) > max_side:
            share = max_side / max(image.size)
            size = [max(1, round(side * share)) for side in image.size]
            values = np.asarray(image).astype(np.float32)
            scaled = Image.fromarray(values).resize(size, Image.Resampling.BOX)
            return np.floor(np.asarray(scaled) + 0.5).astype(np.uint16), greys
        return np.asarray(image).astype(np.uint16), greys

    def _check(self, sha256: str) -> None:
        if sha256 != self.sha256:
            raise UnreadableImage("image", f"{self.path.name!r} changed since it was opened")

    def jpeg(self, max_side: int = 768) -> bytes:
        """Encode the image as JPEG without metadata, scaled down to sides of `max_side` pixels."""
        picture = self.pixels()
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=90)
        return buffer.getvalue()


def open_image(path: str | Path) -> FigureImage:
    """Check an image file by decoding it completely.

    Raises:
        UnreadableImage: the file does not exist, is not an image, is DICOM, is truncated or
            damaged, or exceeds `MAX_BYTES`, `MAX_PIXELS` or `MAX_ASPECT`.
    """
    return _opened(path, _upright_kept)[0]


def open_figure(row: Mapping[str, Any]) -> FigureImage:
    """Open the image of a row, with the row's clearance if the file is the one that it names.

    Args:
        row: of table `figures` or `questions`: image; sha256, cleared and cleared_reason if known.

    Raises:
        UnreadableImage: as `open_image`.
    """
    opened, clearance = open_image(row["image"]), clearance_of(row)
    if clearance.cleared and opened.sha256 != row.get("sha256"):
        known = isinstance(row.get("sha256"), str)
        why = (
            "its file is not the one that was cleared" if known else "no hash of its file is known"
        )
        clearance = clearance._replace(cleared=False, reason=why)
    return replace(opened, clearance=clearance, token=_TOKEN)


def blank(image: FigureImage) -> Image.Image:
    """Return an RGB image of the same size in the figure's mean grey: the blank-image control."""
    grey = round(float(np.asarray(image.pixels().convert("L")).mean()))
    picture = Image.new("RGB", (image.width, image.height), (grey, grey, grey))
    picture.info[CLEARANCE] = image.clearance
    return picture


def open_with_pixels(path: str | Path) -> tuple[FigureImage, Image.Image]:
    """Check an image file as `open_image` does, and also return its pixels from that decoding."""
    return _opened(path, _upright)


def _opened(path: str | Path, upright: _Upright) -> tuple[FigureImage, Image.Image]:
    file = _locate(path)
    sha256, image, notes = _decode(file, upright)
    return FigureImage(file, sha256, image.width, image.height, notes, token=_TOKEN), image


def _locate(path: str | Path) -> Path:
    """Return the absolute `path`, links unresolved, of an existing file within `MAX_BYTES`."""
    file = Path(path).absolute()
    try:
        about = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        about = None
    except (OSError, ValueError) as error:  # a null byte, too long, a loop of links
        why = getattr(error, "strerror", None) or error  # the whole error repeats the path
        raise UnreadableImage("image", f"{shown(file.name)} is not a usable path: {why}") from None
    if about is None or not stat.S_ISREG(about.st_mode):
        url = "; this is a URL: download it first" if "://" in str(path) else ""
        raise UnreadableImage("image", f"no such image file: {shown(file.name)}{url}")
    if about.st_size > MAX_BYTES:
        size = f"{about.st_size:,} bytes, over {MAX_BYTES:,}"
        raise UnreadableImage("image", f"{file.name!r} has {size}")
    return file


def _decode(file: Path, upright: _Upright) -> tuple[str, Image.Image, tuple[str, ...]]:
    """Return the SHA-256 of the file, its first frame as upright RGB, and the notes."""
    content = _read(file)
    sha256 = hashlib.sha256(content).hexdigest()
    greys = _windows_of(file, content, sha256)
    return sha256, *upright(_Content(sha256, file.name, content, greys))


@dataclass(frozen=True)
class _Content:
    """The bytes of a file and the windows beside it; equal if hashes and windows are equal."""

    sha256: str
    name: str = field(compare=False)
    data: bytes = field(compare=False, repr=False)
    greys: Greys | None = None


def _windows_of(file: Path, content: bytes, sha256: str) -> Greys | None:
    """Return the windows beside a PNG of 16-bit greys, or None."""
    return greys_beside(file, sha256) if content[:8] + content[24:26] == _GREY_PNG else None


_Upright = Callable[[_Content], tuple[Image.Image, tuple[str, ...]]]


def _upright(content: _Content) -> tuple[Image.Image, tuple[str, ...]]:
    if content.data[128:132] == b"DICM":  # even after a valid TIFF header
        raise UnreadableImage("image", f"{content.name!r} {_DICOM}")
    try:
        image = _open_header(content.data)
        size = f"{image.width:,} x {image.height:,} pixels"
        if image.width * image.height > MAX_PIXELS:
            raise UnreadableImage("image", f"{content.name!r} has {size}, over {MAX_PIXELS:,}")
        if max(image.size) > MAX_ASPECT * min(image.size):
            why = f"one side is over {MAX_ASPECT} times the other: crop it"
            raise UnreadableImage("image", f"{content.name!r} has {size}, {why}")
        if content.greys is None:
            upright, notes = upright_rgb(image, lambda: _open_header(content.data))
        else:
            shades = content.greys.shades()[np.asarray(image)]
            upright = Image.fromarray(shades).convert("RGB")
            notes = (f"{GREYS} {content.greys.note()}",)
    except InvalidRecord:
        raise
    except _DAMAGED as error:
        why = _why_unreadable(content.name, content.data, error)
        raise UnreadableImage("image", why) from None
    upright.info = {}
    return upright, notes


_upright_kept = lru_cache(maxsize=1)(_upright)  # pixels are usually needed right after the check


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        reason = f"{file.name!r} cannot be read: {error.strerror}"
        raise UnreadableImage("image", reason) from None


def _open_header(content: bytes) -> ImageFile.ImageFile:
    """Open the image, reading its header only."""
    with _FILTERS, warnings.catch_warnings():  # the filters are common to all threads
        # Pillow warns above 89 million pixels, below MAX_PIXELS.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(content), formats=_FORMATS)


def _why_unreadable(name: str, content: bytes, error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"{name!r} has over {MAX_PIXELS:,} pixels ({error})"
    if isinstance(error, UnidentifiedImageError):
        if Path(name).suffix.lower() in _DICOM_SUFFIXES or content[:4] in _DICOM_STARTS:
            return f"{name!r} {_DICOM} (it lacks the DICM mark)"
        return f"{name!r} is not an image: its {len(content):,} bytes start with {content[:8]!r}"
    return f"{name!r} cannot be decoded: {error or type(error).__name__}"
