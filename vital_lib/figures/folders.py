"""Where the paths in a record may lead: no further than its own folder, nor links beyond its set.

A path is checked as it is written, then where its links end. Knows nothing of what files hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vital_lib.records import InvalidRecord, shown


class UnreadableImage(InvalidRecord):
    """An image file that is missing, outside its folder, damaged, too large, or no image."""


class ForeignLink(UnreadableImage):
    """A link that ends outside the figure set or benchmark that it lies in."""


@dataclass(frozen=True)
class ImageFolder:
    """A folder in which records name images.

    A symbolic link is followed where it ends inside `home`, or, where `home` lies in a repository
    folder of the hub's cache (`snapshots/` beside `blobs/`), inside that.

    Args:
        home: the figure set's or benchmark's own folder.
        name: the folder in it that records' paths start from, "" for `home` itself.
        follow_links: whether links that end elsewhere are followed, too.
        called: what it is called in a message.
    """

    home: Path
    name: str = ""
    follow_links: bool = False
    called: str = "image folder"

    @cached_property
    def path(self) -> Path:
        """The folder itself; links above `home`, which the user named, are resolved."""
        return self._home / self.name

    def find(self, image: str) -> Path:
        """The file that a record calls `image`, whether or not it is there; links not resolved.

        Raises:
            UnreadableImage: the path leaves the folder, or is none.
            ForeignLink: it ends where links may not lead.
        """
        if "\0" in image:  # normpath of some Pythons cuts there
            raise UnreadableImage("image", f"{shown(image)} is no usable path: a null byte")
        path = Path(os.path.normpath(self.path / image))
        if os.path.isabs(image):  # perhaps through the link by which the user named the set
            named = Path(os.path.abspath(self.home / self.name))
            path = self.path / path.relative_to(named) if path.is_relative_to(named) else path
        if not path.is_relative_to(self.path):
            raise UnreadableImage("image", f"{shown(image)} leaves the {self.called}")
        self.check_links(path, image)
        return path

    def check_links(self, path: Path, image: str) -> None:
        """Raise `ForeignLink` where `path`, which a record calls `image`, ends elsewhere."""
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
        """Of each folder looked into: whether its links end where they may."""
        return {}

    @cached_property
    def _within(self) -> tuple[Path, ...]:
        """The folders, themselves no links, in which a link may end."""
        caches = (
            place.parent
            for place in self._home.parents
            if place.name == "snapshots" and (place.parent / "blobs").is_dir()
        )
        return (self._home, *caches)


def find_first(image: str, folders: Iterable[ImageFolder]) -> Path:
    """The file `image` in the first of `folders` that holds it; where none does, in the first.

    Raises:
        UnreadableImage: no folder may open it, or one that holds it may not.
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
    """Whether `path` is a file; one that the system can make nothing of is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long
        return False
