"""One secret link per annotator: made, renewed, recognised.

Only the SHA-256 of a link's secret is kept, in a file that its owner alone may read, so a link can
be shown once: when it is made. It stays valid over restarts until it is renewed. This module knows
nothing of servers.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

FILE = "label_links.json"
"""The links' hashes, in the run folder."""

_FORMAT_VERSION = 1


class UnreadableLinks(RuntimeError):
    """The file of links is damaged or of another format; the message says what to do."""


def issue(
    run: Path, annotators: Sequence[str], *, renew: Collection[str] = ()
) -> dict[str, str | None]:
    """Give a link to each annotator who has none, and a new one to those in `renew`.

    Returns annotator -> the secret of her new link, or None where her earlier link stays valid:
    that one cannot be shown again.

    Raises:
        UnreadableLinks: the file is not one that this release wrote.
    """
    kept = _read(run)
    made = {name: secrets.token_urlsafe(32) for name in annotators if name in renew}
    made |= {name: secrets.token_urlsafe(32) for name in annotators if name not in {*kept, *made}}
    if made:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        new = {name: {"sha256": fingerprint(secret), "at": now} for name, secret in made.items()}
        _write(run, {**kept, **new})
    return {name: made.get(name) for name in annotators}


def annotators_by_hash(run: Path, annotators: Collection[str]) -> dict[str, str]:
    """SHA-256 of a link's secret -> its annotator, for these `annotators` and nobody else."""
    return {row["sha256"]: name for name, row in _read(run).items() if name in annotators}


def fingerprint(secret: str) -> str:
    """SHA-256 of `secret` in hexadecimal; with 256 random bits it needs neither salt nor delay."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _read(run: Path) -> dict[str, dict[str, str]]:
    path = run / FILE
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text())
        links = content["links"]
        usable = content["format_version"] == _FORMAT_VERSION and all(
            isinstance(row["sha256"], str) for row in links.values()
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        usable = False
    if not usable:
        raise UnreadableLinks(
            f"{path} is damaged or of another release: move it away, start again, and hand out "
            "the new links"
        )
    return links


def _write(run: Path, links: dict[str, dict[str, str]]) -> None:
    """Write the file whole, readable by its owner alone from the first byte on."""
    handle, temporary = tempfile.mkstemp(dir=run, prefix=f".{FILE}-")  # its mode is 600
    try:
        with os.fdopen(handle, "w") as file:
            json.dump({"format_version": _FORMAT_VERSION, "links": links}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, run / FILE)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
