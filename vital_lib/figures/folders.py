"""Confines a record's path to its image folder, and symbolic links to its figure set.

A path is checked as written, then after its links are resolved. No file is opened here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vital_lib.records import InvalidRecord, shown


class UnreadableImage(InvalidRecord):
    """An image file that is missing, outside its folder, damaged, too large or not an image."""


class ForeignLink(UnreadableImage):
    """A link to a target outside its figure set or benchmark."""


@dataclass(frozen=True)
class ImageFolder:
    """A folder that holds the images of records.

    A symbolic link is followed if its target lies inside `home`. If `home` lies in a repository
    folder of the Hugging Face cache (`snapshots/` next to `blobs/`), the target may lie anywhere in
    that folder.

    Args:
        home: the folder of the figure set or benchmark.
        name: the subfolder that records' paths are relative to, "" for `home` itself.
        follow_links: whether links to any other target are followed too.
        called: the folder's name in messages.
    """

    home: Path
    name: str = ""
    follow_links: bool = False
    called: str = "image folder"

    @cached_property
    def path(self) -> Path:
        """The folder, with links in the path of `home` resolved."""
        return self._home / self.name

    def find(self, image: str) -> Path:
        """Return the path of a record's `image`, links unresolved; the file need not exist.

        Raises:
            UnreadableImage: the path leaves the folder or is not a path.
            ForeignLink: a link in the path ends outside the figure set.
        """
        if "\0" in image:  # normpath of some Python versions cuts the path there
            raise UnreadableImage("image", f"{shown(image)} is not a usable path: a null byte")
        path = Path(os.path.normpath(self.path / image))
        if os.path.isabs(image):  # the record may use the unresolved path of the figure set
            named = Path(os.path.abspath(self.home / self.name))
            path = self.path / path.relative_to(named) if path.is_relative_to(named) else path
        if not path.is_relative_to(self.path):
            raise UnreadableImage("image", f"{shown(image)} leaves the {self.called}")
        self.check_links(path, image)
        return path

    def check_links(self, path: Path, image: str) -> None:
        """Raise `ForeignLink` if `path`, a record's `image`, links to a target outside the set."""
        if self.follow_links:
            return
        parent = str(path.parent)
        if parent not in self._stays:
            self._stays[parent] = self._ends_within(parent)
        if not self._stays[parent] or (os.path.islink(path) and not self._ends_within(path)):
            raise ForeignLink(
                "image",
                f"{shown(image)} leaves the {self.called} by a link that ends outside "
                f"{self._home.name!r}: such links are followed only with follow_links=True",
            )

    @cached_property
    def _home(self) -> Path:
        return self.home.resolve()

    def _ends_within(self, path: Path | str) -> bool:
        end = Path(os.path.realpath(path))
        return any(map(end.is_relative_to, self._within))

    @cached_property
    def _stays(self) -> dict[str, bool]:
        """By folder: whether it lies within the set after its links are resolved."""
        return {}

    @cached_property
    def _within(self) -> tuple[Path, ...]:
        """The resolved folders that may hold the target of a link."""
        caches = (
            place.parent
            for place in self._home.parents
            if place.name == "snapshots" and (place.parent / "blobs").is_dir()
        )
        return (self._home, *caches)


def find_first(image: str, folders: Iterable[ImageFolder]) -> Path:
    """Return the path of `image` in the first of `folders` that holds it.

    If none holds it, the path is in the first folder that allows it.

    Raises:
        UnreadableImage: every folder refuses the path.
        ForeignLink: no folder holds it, and in one of them it is a link to a foreign target.
    """
    refused: list[UnreadableImage] = []
    missing = []
    for folder in folders:
        try:
            path = folder.find(image)
        except UnreadableImage as error:
            refused.append(error)
        else:
            if is_there(path):
                return path
            missing.append(path)
    links = [error for error in refused if isinstance(error, ForeignLink)]
    if links or not missing:
        raise (links or refused)[0]
    return missing[0]


def is_there(path: Path) -> bool:
    """Return whether `path` is a file; False for a path that the system rejects."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # such as a path that is too long
        return False
