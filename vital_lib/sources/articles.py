"""Reads folders and packages of articles: XML files with their images beside them.

A package is a `.tar.gz` as PMC's Open Access service has them. This module finds files; `jats`
reads them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from vital_lib.records import InvalidRecord
from vital_lib.sources.archives import is_tar, member_names, unpack
from vital_lib.sources.jats import IMAGE_ENDINGS, MAX_ARTICLE_BYTES, article_records

ARTICLE_ENDINGS = (".nxml", ".xml")

_LOOKED_AT = 200  # files; a package of one article has a few dozen
_IMAGE_FOLDERS = ("", "images", "figures", "imgs")


def is_article(name: str) -> bool:
    """Return whether a file's name is that of an article in XML."""
    return name.lower().endswith(ARTICLE_ENDINGS)


def holds_articles(file: Path) -> bool:
    """Return whether one of the first files of a tar archive is an article."""
    names = islice(member_names(file), _LOOKED_AT)
    return any(map(is_article, names))


def articles_in(folder: Path) -> list[Path]:
    """Return the XML files and the packages in a folder and below it, in order of their paths.

    Links to folders are not followed.
    """
    found: list[Path] = []
    for at, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(at) / name for name in sorted(names) if is_article(name)]
    packages = [path for path in sorted(folder.glob("*")) if is_tar(path) and holds_articles(path)]
    return sorted([*found, *packages])


def records_in(file: Path, home: Path, work: Path) -> Iterator[tuple[str, Any]]:
    """Yield the place and the record of each figure of an article, or of a package's articles.

    Args:
        file: an XML file below `home`, or a package.
        home: the set's folder; the images' names are relative to it.
        work: where packages are unpacked. The images of a package have absolute names, and lie
            there.
    """
    if not is_tar(file):
        yield from _of_file(file, home, "")
        return
    folder, refused = unpack(file, work, _is_wanted)
    for name, wrong in refused:
        yield f"{file.name}:{name}", wrong
    for inner in articles_in(folder):
        if is_article(inner.name):
            for place, record in _of_file(inner, folder, f"{folder.as_posix()}/"):
                yield f"{file.name}:{place}", record


def _is_wanted(name: str) -> bool:
    return is_article(name) or name.lower().endswith(IMAGE_ENDINGS)


def _of_file(file: Path, home: Path, before: str) -> Iterator[tuple[str, Any]]:
    """Yield the records of an XML file; `before` begins the names of its images."""
    place = file.relative_to(home).as_posix()
    if file.is_symlink() and not file.resolve().is_relative_to(home.resolve()):
        yield place, InvalidRecord("record", "a link that leaves the folder")
        return
    if (size := file.stat().st_size) > MAX_ARTICLE_BYTES:
        yield place, InvalidRecord("record", f"{size:,} bytes, over {MAX_ARTICLE_BYTES:,}")
        return
    inner = file.parent.relative_to(home).as_posix()
    folder = before + ("" if inner == "." else f"{inner}/")
    images: dict[str, str] = {}
    for name in (*_IMAGE_FOLDERS, file.stem):
        beside = file.parent / name
        if not beside.is_dir():
            continue
        for image in sorted(os.listdir(beside), reverse=True):
            if image.lower().endswith(IMAGE_ENDINGS):
                path = f"{folder}{name}/{image}" if name else f"{folder}{image}"
                images.setdefault(image.lower(), path)
    yield from article_records(file.read_bytes(), place, folder, images)
