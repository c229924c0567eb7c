"""Opens images safely: a file is decoded once, to the end, before anyone relies on it.

Every image that the workbench shows, sends or encodes is a ``FigureImage`` from ``open_image``.
This module knows nothing of captions, figure sets or tables.
"""

from __future__ import annotations

import hashlib
import io
import stat
import struct
import warnings
import zlib
from dataclasses import InitVar, dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vital_lib.figures.folders import ImageFolder, UnreadableImage
from vital_lib.figures.greys import GREYS, upright_rgb
from vital_lib.records import InvalidRecord, shown

MAX_PIXELS = 100_000_000
"""Images of more pixels than this are not decoded (300 MB as RGB)."""

MAX_BYTES = 500_000_000
"""Image files of more bytes than this are not read."""

# Raster formats only: Pillow would hand EPS to Ghostscript, and others load plug-ins of their own.
_FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "JPEG2000", "PPM")

# On damaged headers Pillow's readers raise far more than OSError.
_DAMAGED = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, EOFError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip

_DICOM = (
    "is a DICOM file, which is not read here: save its pixels as PNG, in the window to be seen "
    "(pydicom's apply_modality_lut and apply_windowing, or dcmj2pnm), without the patient's data"
)
_DICOM_SUFFIXES = (".dcm", ".dicom", ".dic", ".ima")
_DICOM_STARTS = (b"\x02\0\0\0", b"\x08\0\0\0", b"\x08\0\x05\0", b"\x08\0\x08\0", b"\x08\0\x16\0")

_TOKEN = object()


@dataclass(frozen=True)
class FigureImage:
    """An image file that was checked: it decodes to the end, and these are its hash and size.

    Made by `open_image` only. `width` and `height` are in pixels, as shown (EXIF applied); `notes`
    say what was changed to show it, such as the greys between which 16 bits were stretched.
    """

    path: Path
    sha256: str
    width: int
    height: int
    notes: tuple[str, ...] = ()
    token: InitVar[object] = None

    def __post_init__(self, token: object) -> None:
        if token is not _TOKEN:
            raise TypeError("a FigureImage is made by open_image(path), which checks the file")

    @property
    def shown_as(self) -> str:
        """What to keep features and replies by: `sha256`, another where greys are stretched.

        So that what was made of the same file when it was shown otherwise is not used again.
        """
        stretched = [note for note in self.notes if note.startswith(GREYS)]
        if not stretched:
            return self.sha256
        return hashlib.sha256("\n".join((self.sha256, *stretched)).encode()).hexdigest()

    def pixels(self) -> Image.Image:
        """The image as RGB without metadata, decoded afresh.

        Transparency is laid on white, EXIF orientation applied; 16-bit and floating-point greys
        are stretched to 0..255, for want of a window: between percentiles where a few pixels lie
        far beyond the others. `notes` say between which.

        Raises:
            UnreadableImage: the file is not the one that was checked any more.
        """
        sha256, image, _ = _decode(self.path)
        if sha256 != self.sha256:
            raise UnreadableImage("image", f"{self.path.name!r} changed since it was opened")
        return image

    def jpeg(self, max_side: int = 768) -> bytes:
        """JPEG bytes without metadata, no side longer than `max_side` pixels, never enlarged."""
        picture = self.pixels()
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=90)
        return buffer.getvalue()


def open_image(
    path: str | Path, *, inside: Path | None = None, follow_links: bool = False
) -> FigureImage:
    """Check an image file by decoding it whole.

    Args:
        path: the file.
        inside: a folder that the file must lie in, as `path` is written and where its links end
            (see `ImageFolder`).
        follow_links: whether links may end outside `inside`.

    Raises:
        UnreadableImage: no such file, it leaves `inside`, it is not an image, it is truncated or
            damaged, it is DICOM, or its header states more than 100 million pixels (then it is not
            decoded).
    """
    if inside is not None:
        folder = ImageFolder(inside, follow_links=follow_links)
        path = folder.find(str(path).removeprefix(f"{inside}/"))
    return open_with_pixels(path)[0]


def blank(image: FigureImage) -> Image.Image:
    """An RGB image of the same size in the figure's mean grey: the blank-image control."""
    grey = round(float(np.asarray(image.pixels().convert("L")).mean()))
    return Image.new("RGB", (image.width, image.height), (grey, grey, grey))


def open_with_pixels(path: str | Path) -> tuple[FigureImage, Image.Image]:
    """As `open_image`, with the pixels beside it, so that a reader needs to decode only once."""
    file = _locate(path)
    sha256, image, notes = _decode(file)
    return FigureImage(file, sha256, image.width, image.height, notes, _TOKEN), image


def _locate(path: str | Path) -> Path:
    """`path` made absolute; links are left as they are."""
    file = Path(path).absolute()
    try:
        about = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        about = None
    except (OSError, ValueError) as error:  # a null byte, too long, a loop of links
        raise UnreadableImage("image", f"{shown(file.name)} is no usable path: {error}") from None
    if about is None or not stat.S_ISREG(about.st_mode):
        raise UnreadableImage("image", f"no such image file: {shown(file.name)}")
    if about.st_size > MAX_BYTES:
        size = f"{about.st_size:,} bytes, over {MAX_BYTES:,}"
        raise UnreadableImage("image", f"{file.name!r} has {size}")
    return file


def _decode(file: Path) -> tuple[str, Image.Image, tuple[str, ...]]:
    """SHA-256 of the file's bytes, its first frame as upright RGB without metadata, and notes."""
    content = _read(file)
    sha256 = hashlib.sha256(content).hexdigest()
    image, notes = _upright(_Content(sha256, file.name, content))
    return sha256, image.copy(), notes


@dataclass(frozen=True)
class _Content:
    """The bytes of a file, alike where their hash is."""

    sha256: str
    name: str = field(compare=False)
    data: bytes = field(compare=False, repr=False)


@lru_cache(maxsize=1)  # who opens an image mostly asks for its pixels next
def _upright(content: _Content) -> tuple[Image.Image, tuple[str, ...]]:
    if content.data[128:132] == b"DICM":  # whatever stands before it, such as a TIFF's header
        raise UnreadableImage("image", f"{content.name!r} {_DICOM}")
    try:
        image = _open_header(content.data)
        if image.width * image.height > MAX_PIXELS:
            size = f"{image.width:,} x {image.height:,} pixels"
            raise UnreadableImage("image", f"{content.name!r} has {size}, over {MAX_PIXELS:,}")
        upright, notes = upright_rgb(image, lambda: _open_header(content.data))
    except InvalidRecord:
        raise
    except _DAMAGED as error:
        why = _why_unreadable(content.name, content.data, error)
        raise UnreadableImage("image", why) from None
    upright.info = {}
    return upright, notes


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        reason = f"{file.name!r} cannot be read: {error.strerror}"
        raise UnreadableImage("image", reason) from None


def _open_header(content: bytes) -> Image.Image:
    """The image with its header read and no pixel decoded."""
    with warnings.catch_warnings():
        # Pillow warns from 89 million pixels on; MAX_PIXELS is the limit here.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(content), formats=_FORMATS)


def _why_unreadable(name: str, content: bytes, error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"{name!r} has over {MAX_PIXELS:,} pixels ({error})"
    if isinstance(error, UnidentifiedImageError):
        if Path(name).suffix.lower() in _DICOM_SUFFIXES or content[:4] in _DICOM_STARTS:
            return f"{name!r} {_DICOM} (it lacks the mark DICM)"
        return f"{name!r} is not an image: its {len(content):,} bytes start with {content[:8]!r}"
    return f"{name!r} cannot be decoded: {error or type(error).__name__}"
