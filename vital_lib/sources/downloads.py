"""Downloads a list of images, once, with the hash of each; what fails is listed, not fatal.

Links of published lists are often dead, so a dead link is a result. A log in the folder says what
became of each link; a stopped or killed download goes on where it was. This module does not know
what the images show.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2

from vital_lib.records import InvalidRecord, shown
from vital_lib.records.check import image_ending, is_marked_dicom
from vital_lib.sources.archives import members

MAX_BYTES = 500_000_000
"""Most bytes of an image, or of the package that holds it, that are downloaded."""

MAX_SECONDS = 300.0
"""Most seconds that one download takes, however slowly its bytes arrive."""

LOG = "downloads.jsonl"
"""The log's name: one line for each attempt."""

_REDIRECTS = 5
_AT_ONCE = 8
_AHEAD = 64  # links that are under way or wait
_TIMEOUT = httpx2.Timeout(20.0)
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_TRIES = 3
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Link:
    """An image to download: its address, and the member's path if it lies in a tar package."""

    url: str
    member: str | None = None

    @property
    def key(self) -> str:
        return self.url if self.member is None else f"{self.url}#{self.member}"


@dataclass(frozen=True)
class Fetched:
    """What became of a link.

    Args:
        key: the link's address and member.
        file: the image's name in the folder; null if there is none.
        sha256: of the image's bytes; size: their number.
        reason: why there is no image; null if there is one.
    """

    key: str
    file: str | None = None
    sha256: str | None = None
    size: int | None = None
    reason: str | None = None


class _Dead(Exception):
    """A link that gives no image, with the reason."""


def download(
    links: Iterable[Link], folder: Path, *, again: bool = False
) -> Iterator[tuple[Link, Fetched]]:
    """Download each image into `folder`, and yield each link with what became of it, in order.

    What the log in the folder says is kept, and whose file is there with its size, is not fetched
    again; a dead link only with `again`. Redirects are followed to http and https alone. A few
    links are under way at once, and no list is held in memory.

    Raises:
        OSError: `folder` cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = _Log(folder / LOG)
    stop = threading.Event()
    waiting = iter(links)
    with httpx2.Client(timeout=_TIMEOUT, follow_redirects=False) as client:
        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            fetch = partial(_fetched, client, folder, log, again, stop)
            begun = [(link, pool.submit(fetch, link)) for link in islice(waiting, _AHEAD)]
            while begun:
                link, future = begun.pop(0)
                yield link, future.result()
                begun += [(link, pool.submit(fetch, link)) for link in islice(waiting, 1)]
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
            log.close()


class _Log:
    """The log of a folder; its newest line about a link counts."""

    def __init__(self, path: Path) -> None:
        self._known: dict[str, Fetched] = {}
        self._lock = threading.Lock()
        self._running: dict[str, threading.Lock] = {}
        lines = path.read_bytes().split(b"\n") if path.is_file() else []
        for line in lines:
            try:
                one = Fetched(**json.loads(line))
            except (ValueError, TypeError):  # a line cut short by a kill
                continue
            self._known[one.key] = one
        self._file = path.open("ab")
        if lines and lines[-1]:
            self._file.write(b"\n")

    def get(self, key: str) -> Fetched | None:
        with self._lock:
            return self._known.get(key)

    def alone(self, key: str) -> threading.Lock:
        """Return the lock of one link, which a list may hold twice."""
        with self._lock:
            return self._running.setdefault(key, threading.Lock())

    def add(self, one: Fetched) -> None:
        with self._lock:
            self._known[one.key] = one
            self._file.write(json.dumps(asdict(one)).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _fetched(
    client: httpx2.Client, folder: Path, log: _Log, again: bool, stop: threading.Event, link: Link
) -> Fetched:
    with log.alone(link.key):
        known = log.get(link.key)
        if known and known.file and _is_kept(folder / known.file, known):
            return known
        if known and known.reason and not again:
            return known
        stem = hashlib.sha256(link.key.encode()).hexdigest()[:24]
        part = folder / f"{stem}.part"
        try:
            _check(link.url)
            _transfer(client, link.url, part, stop)
            found = _kept(part, folder, stem, link)
        except _Dead as error:
            found = Fetched(link.key, reason=str(error))
        finally:
            part.unlink(missing_ok=True)
        if not stop.is_set():
            log.add(found)
        return found


def _is_kept(file: Path, known: Fetched) -> bool:
    return file.is_file() and file.stat().st_size == known.size


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise _Dead(f"{shown(url)} is no http or https address")


def _transfer(client: httpx2.Client, url: str, part: Path, stop: threading.Event) -> None:
    for tried in range(1, _TRIES + 1):
        try:
            _get(client, url, part, stop)
            return
        except httpx2.HTTPStatusError as error:
            status = error.response.status_code
            reason = f"{status} {error.response.reason_phrase}".strip()
            if status not in _BUSY:
                raise _Dead(f"dead link: {reason}") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError) as error:
            reason = f"{type(error).__name__}: {error}".strip(" :")
        if tried == _TRIES or stop.wait(_PAUSE_SECONDS * tried):
            raise _Dead(f"not reached in {tried} tries: {reason}")


def _get(client: httpx2.Client, url: str, part: Path, stop: threading.Event) -> None:
    """Write what `url` answers to `part`, following redirects to http and https."""
    until = time.monotonic() + MAX_SECONDS
    for _ in range(_REDIRECTS + 1):
        with client.stream("GET", url) as response:
            if response.has_redirect_location:
                url = urljoin(url, response.headers["location"])
                _check(url)
                continue
            response.raise_for_status()
            total = 0
            with part.open("wb") as file:
                for block in response.iter_bytes():
                    total += len(block)
                    if total > MAX_BYTES:
                        raise _Dead(f"over {MAX_BYTES:,} bytes")
                    if time.monotonic() > until or stop.is_set():
                        raise _Dead(f"not complete after {MAX_SECONDS:g} seconds")
                    file.write(block)
            if not total:
                raise _Dead("the answer is empty")
            return
    raise _Dead(f"over {_REDIRECTS} redirects")


def _kept(part: Path, folder: Path, stem: str, link: Link) -> Fetched:
    """Move the image to its name in the folder, and return its hash."""
    if link.member is not None:
        content = _member(part, link.member)
        part.write_bytes(content)
    with part.open("rb") as file:
        start = file.read(132)
        ending = None if is_marked_dicom(start) else image_ending(start)
        if ending is None:
            raise _Dead(f"the answer is no image: it begins with {shown(start[:16])}")
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.flush()
    size = part.stat().st_size
    part.replace(folder / f"{stem}{ending}")
    return Fetched(link.key, f"{stem}{ending}", digest, size)


def _member(package: Path, wanted: str) -> bytes:
    refused = ""
    for name, content in members(package, wanted.__eq__):
        if not isinstance(content, InvalidRecord):
            return content
        refused = f" ({content.reason})" if name == wanted else refused or f" ({content.reason})"
    raise _Dead(f"the package has no member {shown(wanted)}{refused}")


def link_of(record: Mapping[str, Any]) -> Link:
    """Return the link of a record: its `image` or `url`, or LLaVA-Med's package and path in it.

    Raises:
        InvalidRecord: it has none.
    """
    package, member = record.get("pmc_tar_url"), record.get("image_file_path")
    if isinstance(package, str) and isinstance(member, str):
        return Link(package.strip(), member)
    for name in ("image", "image_url", "media_url", "url", "link"):
        value = record.get(name)
        if isinstance(value, str) and "://" in value:
            return Link(value.strip())
    raise InvalidRecord("image", "the record has no address of an image")
