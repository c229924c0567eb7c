"""Secret links, one per annotator: created, renewed and recognised.

Only the SHA-256 of a link's secret is stored, in a file that only its owner can read, so a link is
shown only when it is created. It stays valid across restarts until it is renewed. This module does
not depend on the server.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from vital_lib.tables import write_text

FILE = "label_links.json"
"""File of the links' hashes in the run folder."""

_FORMAT_VERSION = 1


class UnreadableLinks(RuntimeError):
    """The file of links is damaged or has another format; the message gives the way out."""


def issue(
    run: Path, annotators: Sequence[str], *, renew: Collection[str] = ()
) -> dict[str, str | None]:
    """Create a link for each annotator who has none, and a new link for those in `renew`.

    Returns annotator -> secret of the new link, or None if the earlier link stays valid, which
    cannot be shown again.

    Raises:
        UnreadableLinks: this release cannot read the file of links.
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
    """Return SHA-256 of a link's secret -> annotator, for these `annotators` only."""
    return {row["sha256"]: name for name, row in _read(run).items() if name in annotators}


def fingerprint(secret: str) -> str:
    """Return SHA-256 of `secret` in hexadecimal; its 256 random bits need no salt or delay."""
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
            f"{path} is damaged or was written by another release: move it away, restart, and hand "
            "out the new links"
        )
    return links


def _write(run: Path, links: dict[str, dict[str, str]]) -> None:
    """Write the file atomically; from the start only its owner can read it."""
    text = json.dumps({"format_version": _FORMAT_VERSION, "links": links}, indent=1)
    write_text(run / FILE, text, mode=0o600)
