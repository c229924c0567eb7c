"""The folder of an export: written beside its place, and put there when it is whole."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vital_lib.exports.pictures import IMAGES
from vital_lib.tables import alone_in, unwritable

LISTED = ".export"
"""Lists the files of an export; a folder with other files is never replaced."""

_OLD = "-old"


@contextmanager
def written_whole(folder: Path, sources: Iterable[Any] = ()) -> Generator[Path]:
    """Give a new folder to write into; put it in the place of `folder` if the block succeeds.

    An earlier export in `folder` is replaced, and stays as it is if the block fails.

    Args:
        sources: paths that the export reads; what is no path is passed over.

    Raises:
        FolderInUse: another export into `folder` is running.
        FileExistsError: `folder` has files that no export wrote, or one of `sources`.
        NotADirectoryError: `folder`, or one above it, is a file.
        OSError: `folder` cannot be written, for example because the disk is full.
    """
    folder = folder.resolve()
    with alone_in(folder, "exporting into"):
        before = f".{folder.name}.exporting-"
        _undo(folder, before)
        _refuse_others(folder, sources)
        try:
            with tempfile.TemporaryDirectory(
                dir=folder.parent, prefix=before, ignore_cleanup_errors=True
            ) as made:
                fresh = Path(made)
                fresh.chmod(0o755)
                yield fresh
                _put(fresh, folder)
        except OSError as error:
            raise unwritable(folder, error) from error


def _undo(folder: Path, before: str) -> None:
    """Remove what a killed export left; put the former one back if it has no place."""
    for left in folder.parent.glob(f"{glob.escape(before)}*"):
        if left.name.endswith(_OLD) and not folder.exists():
            left.rename(folder)
        else:
            shutil.rmtree(left)


def _put(fresh: Path, folder: Path) -> None:
    """List the files of `fresh`, flush them, and put it in the place of `folder`."""
    (fresh / LISTED).write_text("".join(f"{name}\n" for name in _files(fresh)), "utf-8")
    for path in fresh.rglob("*"):
        if path.is_file() and path.parent.name != IMAGES:  # one flush each takes too long
            _flush(path)
    old = fresh.with_name(f"{fresh.name}{_OLD}")
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _files(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _refuse_others(folder: Path, sources: Iterable[Any]) -> None:
    if not folder.exists():
        return
    if (folder / LISTED).is_file():
        known = {LISTED, *(folder / LISTED).read_text("utf-8").splitlines()}
        found = _files(folder)
    else:
        known, found = set(), sorted(os.listdir(folder))
    others = [name for name in found if name not in known]
    if others:
        raise FileExistsError(
            f"{folder} holds what no export wrote, {len(others)} of {len(found)} names, first "
            f"{others[0]!r}: give a new or empty folder"
        )
    for place in {os.path.dirname(one) for one in sources if isinstance(one, str | Path)}:
        if Path(os.path.realpath(place)).is_relative_to(folder):
            raise FileExistsError(
                f"{folder} holds images that are to be exported: give another folder, since an "
                "export replaces the earlier one"
            )


def _flush(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
