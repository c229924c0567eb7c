"""Copies the files of a remote place to this machine, by fsspec: s3://, gs://, https://, ...

A copy is made once, and again only when the remote file changes. This module does not know what the
files are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from vital_lib.records import UnreadableFile, shown
from vital_lib.records.check import is_marked_dicom

MAX_FILES = 1_000_000
"""Most files of a remote folder."""

MAX_COPY_BYTES = 500_000_000_000
"""Most bytes of a remote place."""

_BLOCK = 4_000_000
_REFUSED = ("file", "local")  # a path needs no protocol
_STATE = ("ETag", "etag", "LastModified", "mtime", "created", "updated", "size")


def is_remote(source: str) -> bool:
    """Return whether `source` names a protocol, such as s3:// or https://."""
    return "://" in source


def local_copy(source: str, work: Path) -> Path:
    """Return the local copy of a remote file or folder; it is below `work`.

    Raises:
        FileNotFoundError: there is nothing at `source`.
        UnreadableFile: the protocol is unknown or needs a package that the message names, the place
            cannot be reached, or it is larger than is allowed.
    """
    import fsspec

    protocol, _, rest = source.partition("://")
    if protocol in _REFUSED or "::" in source:
        raise UnreadableFile(f"{shown(source)}: give a path, or one protocol alone")
    home = work / hashlib.sha256(source.encode()).hexdigest()[:16]
    try:
        system, path = fsspec.core.url_to_fs(source)
        target = home / _base(rest)
        if system.isfile(path):
            _copy(system, path, target)
            return target
        for number, (name, inner) in enumerate(_listed(system, path)):
            if number >= MAX_FILES:
                raise UnreadableFile(f"{shown(source)} has over {MAX_FILES:,} files")
            _copy(system, name, target / inner)
    except UnreadableFile:
        raise
    except FileNotFoundError:
        raise FileNotFoundError(f"no figure set at {source!r}: nothing is there") from None
    except ImportError as error:
        raise UnreadableFile(f"{shown(source)} needs a package: {error}") from None
    except Exception as error:  # noqa: BLE001 (each file system has errors of its own)
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UnreadableFile(f"{shown(source)} cannot be read: {reason}") from None
    if not target.is_dir():
        raise FileNotFoundError(f"no figure set at {source!r}: nothing is there")
    return target


def _base(rest: str) -> str:
    base = PurePosixPath(rest.partition("?")[0].rstrip("/")).name
    kept = "".join(sign if sign.isalnum() or sign in "._- " else "_" for sign in base)
    return kept.lstrip(".") or "set"


def _listed(system: Any, path: str) -> Iterator[tuple[str, PurePosixPath]]:
    """Yield each file below a folder and its path relative to it; names cannot leave it."""
    root = PurePosixPath(path)
    total = 0
    for name, about in sorted(system.find(path, detail=True).items()):
        inner = PurePosixPath(name)
        inner = inner.relative_to(root) if inner.is_relative_to(root) else PurePosixPath(inner.name)
        if ".." in inner.parts or any(part.startswith(".") for part in inner.parts):
            continue
        total += about.get("size") or 0
        if total > MAX_COPY_BYTES:
            raise UnreadableFile(f"{shown(path)} has over {MAX_COPY_BYTES:,} bytes")
        yield name, inner


def _copy(system: Any, path: str, target: Path) -> None:
    """Copy a file unless its copy has the same state: its size, and its tag or time."""
    about = system.info(path)
    state = json.dumps({name: str(about[name]) for name in _STATE if about.get(name) is not None})
    note = target.with_name(f".{target.name}.copied")
    if target.is_file() and note.is_file() and note.read_text() == state:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    total = 0
    with system.open(path, "rb") as remote, part.open("wb") as local:
        while block := remote.read(_BLOCK):
            if not total and is_marked_dicom(block):  # its header may name a patient
                raise UnreadableFile(
                    f"{shown(path)} is DICOM, which is read from local places alone"
                )
            total += len(block)
            if total > MAX_COPY_BYTES:
                raise UnreadableFile(f"{shown(path)} has over {MAX_COPY_BYTES:,} bytes")
            local.write(block)
    part.replace(target)
    note.write_text(state)
