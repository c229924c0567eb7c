"""Finds the DICOM files of a file, a folder or a DICOMDIR, and reads one of them.

A file is named by its place in the sorted list ("file 3 of 12"), because the names of files and
folders may name patients. Nothing that pydicom warns of, logs or raises is passed on, because its
texts quote headers.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import stat
import warnings
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vital_lib.records import InvalidRecord

if TYPE_CHECKING:
    from pydicom import Dataset

MAX_BYTES = 500_000_000
"""Most bytes of a DICOM file, and of a deflated one once inflated."""

SUFFIXES = (".dcm", ".dicom", ".dic", ".ima")
"""Endings of files that are read as DICOM without the DICM mark as well."""

STARTS = (b"\x02\0\0\0", b"\x08\0\0\0", b"\x08\0\x05\0", b"\x08\0\x08\0", b"\x08\0\x16\0")
"""How DICOM without a preamble starts."""

WORD = "dicom:"
"""Before a path, says that it is DICOM whatever else lies there."""

_TABLES = ("figures.jsonl", "figures.json", "figures.csv", "figures.parquet", "captions.txt")
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".webp", ".bmp")
MOST_READS = 1_000_000
"""Most pieces in which a header is read, some seconds of work."""

MOST_HEADER = 16_000_000
"""Most bytes of the values that are read, without the pixels."""

_PIXELS, _UNDEFINED = ("PixelData", "FloatPixelData", "DoubleFloatPixelData"), 0xFFFFFFFF
_DEFLATED = "1.2.840.10008.1.2.1.99"
_DIRECTORY = "1.2.840.10008.1.3.10"
_MOST_LOOKED_AT = 2_000  # files, to tell whether a folder holds DICOM
_PLACE = re.compile(r"file (\d+) of (\d+)")
_MISSING = "pydicom is not installed: pip install 'vital-workbench[dicom]'"


def reads_as_dicom(source: str) -> bool:
    """Return whether a figure set is DICOM: a file, a DICOMDIR, or a folder with such files.

    A folder is DICOM if it has no table of figures and its first picture of any kind is DICOM.
    After the word "dicom:", `source` always is.
    """
    if source.startswith(WORD):
        return True
    path = Path(source)
    if not path.is_dir():
        return path.is_file() and is_dicom(path)
    if any((path / name).is_file() for name in _TABLES):
        return False
    for count, file in enumerate(_walk(path)):
        if count > _MOST_LOOKED_AT or file.suffix.lower() in _PICTURES:
            return False
        if file.suffix.lower() in SUFFIXES or _head(file, 132)[128:] == b"DICM":
            return True
    return False


def is_dicom(path: Path) -> bool:
    """Return whether a file has the DICM mark, or starts or is called like a DICOM file."""
    head = _head(path, 132)
    return head[128:] == b"DICM" or path.suffix.lower() in SUFFIXES or head[:4] in STARTS


def list_files(source: Path) -> list[Path]:
    """Return all files of a folder, those that a DICOMDIR refers to, or the file itself.

    They are sorted by their paths. Files that a DICOMDIR refers to need not exist.

    Raises:
        InvalidRecord: the DICOMDIR cannot be read.
    """
    if source.is_dir():
        return sorted(_walk(source))
    if source.name.upper() != "DICOMDIR" and not _is_directory(source):
        return [source]
    return sorted(_referenced(source))


def find_file(source: str | Path, place: str) -> Path:
    """Return the file behind a place of `figures_rejected`, such as "file 3 of 12, frame 2".

    Args:
        source: as it was read; its files must be the same as then.

    Raises:
        ValueError: `source` has no such place, or another number of files than then.
    """
    files = list_files(Path(str(source).removeprefix(WORD)))
    found = _PLACE.match(place)
    if not found or int(found[2]) != len(files) or not 1 <= int(found[1]) <= len(files):
        raise ValueError(f"no {place!r} among {len(files)} files: give a place as it is listed")
    return files[int(found[1]) - 1]


def place_of(number: int, total: int) -> str:
    """Return the place of file `number`, counted from 1."""
    return f"file {number} of {total}"


def check_link(path: Path, home: Path) -> None:
    """Raise `InvalidRecord` if `path`, with its links followed, ends outside the folder `home`."""
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(home)):
        why = "is a link that ends outside the folder: followed only with follow_links=True"
        raise InvalidRecord("file", why)


def read_dataset(path: Path, tags: Sequence[str], *, pixels: bool = True) -> tuple[Dataset, str]:
    """Read the listed tags of a file, with a transfer syntax even if the file states none.

    Returns:
        The dataset, and the SHA-256 of the whole file.

    Raises:
        InvalidRecord: the file is missing, too large or no DICOM, or its header is damaged.
    """
    try:
        about = path.stat()
    except (OSError, ValueError):
        raise InvalidRecord("file", "does not exist or cannot be opened") from None
    if not stat.S_ISREG(about.st_mode):
        raise InvalidRecord("file", "is no regular file")
    if about.st_size > MAX_BYTES:
        raise InvalidRecord("file", f"{about.st_size:,} bytes, over {MAX_BYTES:,}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidRecord("file", f"cannot be read: {error.strerror}") from None
    sha256 = hashlib.sha256(content).hexdigest()
    with quiet():
        try:
            return _parsed(_inflated(content), tags, pixels), sha256
        except (InvalidRecord, ImportError):
            raise
        except Exception as error:  # noqa: BLE001 - a damaged header raises anything, and quotes it
            why = f"cannot be read as DICOM ({type(error).__name__})"
            raise InvalidRecord("header", why) from None


@contextmanager
def quiet() -> Generator[None]:
    """Keep pydicom's warnings and log from the screen: they quote headers."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "pylibjpeg")]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:  # by their level, which the loggers of their modules inherit
                logger.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)


def syntax_name(ds: Dataset) -> str:
    """Return the registered name of a transfer syntax, or "an unknown transfer syntax"."""
    from pydicom.uid import UID_dictionary

    uid = ds.file_meta.get("TransferSyntaxUID")
    return uid.name if uid in UID_dictionary else "an unknown transfer syntax"


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(parent, name) for name in sorted(names))


class _Counted(io.BytesIO):
    """A file that refuses to be read in more than `MOST_READS` pieces: every tag is at least one.

    pydicom takes minutes for a file of zeros, which are empty tags.
    """

    _reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads > MOST_READS:
            raise InvalidRecord("header", f"has over {MOST_READS:,} tags")
        return super().read(size)


def _parsed(content: bytes, tags: Sequence[str], pixels: bool) -> Dataset:
    try:
        import pydicom
    except ImportError:
        raise ImportError(_MISSING) from None
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    # By force: files without a preamble are common in archives.
    ds = pydicom.dcmread(
        _Counted(content), specific_tags=list(tags), force=True, stop_before_pixels=not pixels
    )
    if not len(ds):
        raise InvalidRecord("header", "holds no DICOM tag that is read")
    raw = [ds.get_item(element) for element in tags if element not in _PIXELS]
    if sum((getattr(found, "length", 0) or 0) % _UNDEFINED for found in raw) > MOST_HEADER:
        raise InvalidRecord("header", f"has over {MOST_HEADER:,} bytes")
    if not ds.original_encoding[1]:
        _swap_palettes(ds)
    if not hasattr(ds, "file_meta"):
        ds.file_meta = FileMetaDataset()
    if not ds.file_meta.get("TransferSyntaxUID"):
        implicit, little = ds.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return ds


def _swap_palettes(ds: Dataset) -> None:
    """Put the palettes of a big-endian file in the order in which pydicom 3.0 reads them."""
    for colour in ("Red", "Green", "Blue"):
        name = f"{colour}PaletteColorLookupTableData"
        if isinstance(data := ds.get(name), bytes) and len(data) % 2 == 0:
            swapped = bytearray(data)
            swapped[::2], swapped[1::2] = data[1::2], data[::2]
            ds[name].value = bytes(swapped)


def _inflated(content: bytes) -> bytes:
    """Return a file as it is, or a deflated one inflated and without its group of meta information.

    Raises:
        InvalidRecord: it inflates beyond `MAX_BYTES`. pydicom would inflate all of it.
        zlib.error: it is damaged.
    """
    if _DEFLATED.encode() not in content[132:2_000]:
        return content
    if content[128:132] != b"DICM" or content[132:136] != b"\x02\0\0\0":
        raise InvalidRecord("header", "is deflated, and does not say where that begins")
    start = 144 + int.from_bytes(content[140:144], "little")
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    inside = inflate.decompress(content[start:], MAX_BYTES)
    if inflate.unconsumed_tail:
        raise InvalidRecord("file", f"inflates to over {MAX_BYTES:,} bytes")
    return content[:132] + inside


def _is_directory(path: Path) -> bool:
    return _DIRECTORY.encode() in _head(path, 1_000)


def _head(path: Path, most: int) -> bytes:
    """Return the first bytes of a regular file; none of another kind, which could block."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return b""
        with open(path, "rb") as file:
            return file.read(most)
    except OSError:
        return b""


def _referenced(directory: Path) -> set[Path]:
    """Return the files that a DICOMDIR refers to, all of them within its folder."""
    ds, _ = read_dataset(directory, ["DirectoryRecordSequence"])
    found = set()
    try:
        records = list(ds.get("DirectoryRecordSequence") or ())
        for record in records:
            name = record.get("ReferencedFileID")
            parts = [name] if isinstance(name, str) else list(name or ())
            if parts and not any(part in ("", "..", ".") or "/" in part or "\\" in part
                                 or "\0" in part for part in map(str, parts)):  # fmt: skip
                found.add(directory.parent.joinpath(*map(str, parts)))
    except Exception as error:  # noqa: BLE001 - as in read_dataset
        why = f"the DICOMDIR cannot be read ({type(error).__name__})"
        raise InvalidRecord("DirectoryRecordSequence", why) from None
    if not found:
        raise InvalidRecord("DirectoryRecordSequence", "the DICOMDIR refers to no file")
    return found
