"""Reads tar archives that nobody vouches for: no path escapes, no link is followed, no bomb opens.

Members are read one after another; nothing is extracted by the archive's own names before they are
checked. This module does not know what the members are.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from vital_lib.records import InvalidRecord, shown
from vital_lib.records.check import is_marked_dicom

MAX_MEMBERS = 2_000_000
"""Most members of an archive that are looked at."""

MAX_MEMBER_BYTES = 500_000_000
"""Most bytes of a member that is read."""

MAX_RATIO = 100
"""Most unpacked bytes per byte of a compressed archive; text of articles has 3 to 10."""

_FLOOR = 50_000_000  # a small archive may unpack to this much, whatever its ratio
_MAX_UNPACKED = 20_000_000_000  # in a folder, of one archive
_OTHER_PACKERS = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd",
                  b"PK\3\4": "zip"}  # fmt: skip
_END = bytes(tarfile.BLOCKSIZE)
_MAX_HEADER = 1_000_000
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
             tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)  # fmt: skip
_DAMAGED = (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, OverflowError,
            struct.error, IndexError, KeyError, AttributeError, TypeError)  # fmt: skip

Member = tuple[str, bytes | InvalidRecord]
"""A member's name, and its content or why it was refused."""


class _TooMuch(Exception):
    """The archive unpacks to more than it may."""


class _Header(tarfile.TarInfo):
    """A header that refuses extended headers of a size that only an attack has."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _EXTENDED and self.size > _MAX_HEADER:
            raise tarfile.ReadError(f"an extended header of {self.size:,} bytes")
        return super()._proc_member(tar)  # ty: ignore[missing-attribute]


class _Counted:
    """A stream that counts what is read from it, and ends an archive that unpacks to too much."""

    def __init__(self, stream: BinaryIO, limit: int | None) -> None:
        self._stream, self._limit = stream, limit
        self._read = 0
        self._tail = b""

    def ends_at(self, place: int) -> bool:
        """Return whether the block at `place`, one of the last that were read, ends an archive.

        tarfile ends without an error at a damaged header, as it does at the block of zeros.
        """
        start = place - (self._read - len(self._tail))
        return start >= 0 and self._tail[start : start + tarfile.BLOCKSIZE] == _END

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._read += len(data)
        self._tail = self._tail[-tarfile.RECORDSIZE :] + data
        if self._limit is not None and self._read > self._limit:
            raise _TooMuch(f"it unpacks to over {self._limit:,} bytes, {MAX_RATIO} times its size")
        return data


def is_tar(file: Path) -> bool:
    """Return whether the name is that of a tar archive, compressed by gzip or not."""
    return file.name.lower().endswith((".tar", ".tar.gz", ".tgz"))


def members(file: Path, wanted: Callable[[str], bool]) -> Iterator[Member]:
    """Yield the name and the content of each wanted member of a tar archive, in its order.

    A member with an unsafe path, a link, a device, a sparse file and one over `MAX_MEMBER_BYTES`
    are refused: an `InvalidRecord` in place of the content. So is what follows a damaged place,
    and what an archive unpacks beyond `MAX_RATIO` times its size.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    return _walked(file, wanted, read=True)


def member_names(file: Path) -> Iterator[str]:
    """Yield the name of each file in a tar archive that `members` would not refuse."""
    for name, content in _walked(file, lambda name: True, read=False):
        if not isinstance(content, InvalidRecord):
            yield name


def _walked(file: Path, wanted: Callable[[str], bool], read: bool) -> Iterator[Member]:
    with file.open("rb") as raw:
        start = raw.read(6)
        packed = start.startswith(b"\x1f\x8b")
        raw.seek(0)
        if how := next(
            (_OTHER_PACKERS[mark] for mark in _OTHER_PACKERS if start.startswith(mark)), ""
        ):
            why = f"it is compressed by {how}: unpack it, or compress it by gzip"
            yield file.name, InvalidRecord("archive", why)
            return
        stream = gzip.GzipFile(fileobj=raw) if packed else raw
        limit = max(_FLOOR, MAX_RATIO * file.stat().st_size) if packed else None
        counted = _Counted(stream, limit)  # ty: ignore[invalid-argument-type]
        last = file.name
        try:
            with tarfile.open(fileobj=counted, mode="r|", tarinfo=_Header) as tar:  # ty: ignore
                for number, info in enumerate(tar):
                    tar.members = []  # it would keep the header of every member
                    last = _printable(info.name)
                    if number >= MAX_MEMBERS:
                        raise _TooMuch(f"it has over {MAX_MEMBERS:,} members")
                    yield from _checked(tar, info, last, wanted(last), read)
            if not counted.ends_at(tar.offset):
                yield last, InvalidRecord("archive", "ends or is damaged after this member")
        except _TooMuch as error:
            yield last, InvalidRecord("archive", f"refused from this member on: {error}")
        except _DAMAGED as error:
            yield last, InvalidRecord("archive", f"cannot be read from this member on: {error}")


def _checked(
    tar: tarfile.TarFile, info: tarfile.TarInfo, name: str, wanted: bool, read: bool
) -> Iterator[Member]:
    if info.isdir():
        return
    reason = None
    if not is_safe(name) or "\0" in info.name:
        reason = "its path leaves the archive"
    elif info.issym() or info.islnk():
        reason = f"a link to {shown(_printable(info.linkname))}: links are not followed"
    elif not info.isreg() or info.issparse():
        reason = "neither a file nor a folder"
    elif info.size > MAX_MEMBER_BYTES and wanted:
        reason = f"{info.size:,} bytes, over {MAX_MEMBER_BYTES:,}"
    if reason:
        yield name, InvalidRecord("archive", f"member refused: {reason}")
    elif wanted:
        content = tar.extractfile(info) if read else None
        yield name, content.read() if content else b""


def is_safe(name: str) -> bool:
    """Return whether a member's name stays within the folder that it is unpacked to."""
    path = PurePosixPath(name.replace("\\", "/"))
    return (
        bool(path.parts) and not path.is_absolute() and ".." not in path.parts and ":" not in name
    )


def _printable(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()


def unpack(file: Path, folder: Path, wanted: Callable[[str], bool]) -> tuple[Path, list[Member]]:
    """Unpack the wanted members of an archive below `folder`, once, and list the refused ones.

    Returns:
        The folder of the members, named by the archive's place, size and time; and the name of each
        refused member with the reason, empty if it was unpacked before.
    """
    about = file.stat()
    key = f"{file.resolve()}\n{about.st_size}\n{about.st_mtime_ns}"
    target = folder / hashlib.sha256(key.encode()).hexdigest()[:16]
    refused: list[Member] = []
    if target.is_dir():
        return target, refused
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    total = 0
    for name, content in members(file, wanted):
        if isinstance(content, InvalidRecord):
            refused.append((name, content))
            continue
        if is_marked_dicom(content):  # its header may name a patient
            reason = "member refused: DICOM is not read from archives"
            refused.append((name, InvalidRecord("archive", reason)))
            continue
        total += len(content)
        if total > _MAX_UNPACKED:
            reason = f"refused from this member on: over {_MAX_UNPACKED:,} bytes"
            refused.append((name, InvalidRecord("archive", reason)))
            break
        try:
            path = part.joinpath(*PurePosixPath(name.replace("\\", "/")).parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except (OSError, ValueError) as error:  # a file where another member has a folder
            reason = f"cannot be written: {error.__class__.__name__}"
            refused.append((name, InvalidRecord("archive", reason)))
    if not refused:
        part.replace(target)
        return target, refused
    return part, refused
