"""Pseudonyms and shifts of dates by a secret key, which lies outside every run.

Whoever has the key can compute the pseudonym of a patient whose id they know; without it, nobody
can. Without the file a new key is made, and so new pseudonyms. This module reads no DICOM.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import stat
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

LOG = logging.getLogger(__name__)
_BYTES = 32
_LONGEST_SHIFT = 3_650  # days


class UnsafeKey(ValueError):
    """A key that others may read, that lies in the run, or that is no key."""


@dataclass(frozen=True)
class PatientKey:
    """A secret from which the pseudonyms of patients, series and images follow."""

    secret: bytes = field(repr=False)

    def name(self, kind: str, *parts: str) -> str:
        """Return the pseudonym "<kind>-<16 hexadecimal digits>" of what `parts` identify."""
        return f"{kind}-{self._hash(kind, *parts)[:16]}"

    def shifted(self, day: date, patient: str) -> date:
        """Return `day` moved by the whole days, 1 to 3,650 into the past, that `patient` has.

        Args:
            patient: the pseudonym. All dates of one patient move alike, so intervals remain.
        """
        days = 1 + int(self._hash("days", patient), 16) % _LONGEST_SHIFT
        return day - min(timedelta(days), day - date.min)

    @property
    def fingerprint(self) -> str:
        """Eight digits that tell two keys apart and do not disclose either."""
        return self._hash("fingerprint")[:8]

    def _hash(self, *parts: str) -> str:
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hmac.new(self.secret, text, hashlib.sha256).hexdigest()


def default_key_file() -> Path:
    """Return `vital-workbench/patients.key` in the user's folder of settings."""
    settings = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(settings) / "vital-workbench" / "patients.key"


def open_key(file: str | Path | None, run: Path) -> PatientKey:
    """Read the key; make it if there is none, and say so.

    Args:
        file: the key's file; None for `default_key_file()`.
        run: the run's folder, which must not hold the key.

    Raises:
        UnsafeKey: the file lies in the run, can be read by others, or holds no key.
        OSError: the file cannot be read or made.
    """
    file = default_key_file() if file is None else Path(file)
    if file.resolve().is_relative_to(run.resolve()):
        raise UnsafeKey(f"the key {file.name!r} lies in the run: whoever gets the run would get it")
    try:
        return _read(file)
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = secrets.token_bytes(_BYTES)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another process made it a moment ago
        return _read(file)
    with os.fdopen(handle, "w") as opened:
        opened.write(secret.hex() + "\n")
    LOG.warning(
        "there was no patient key at %s: a new one was made. Patients, series and images get new "
        "pseudonyms, so figures of earlier runs do not match. Keep this file, and keep it secret.",
        file,
    )
    return PatientKey(secret)


def note_key(key: PatientKey, folder: Path) -> None:
    """Keep the key's fingerprint in `folder`; warn if other pseudonyms were made there before."""
    file = folder / "key_fingerprint.txt"
    before = file.read_text("utf-8").strip() if file.is_file() else key.fingerprint
    if before != key.fingerprint:
        LOG.warning(
            "this run's earlier figures were named by another patient key (%s, now %s): the same "
            "patients have new pseudonyms, and may have changed their split",
            before,
            key.fingerprint,
        )
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(key.fingerprint + "\n", "utf-8")


def _read(file: Path) -> PatientKey:
    with open(file, encoding="ascii", errors="replace") as opened:
        mode = os.fstat(opened.fileno()).st_mode
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            raise UnsafeKey(f"{file} can be read by others: run `chmod 600` on it")
        text = opened.read(1_000).strip()
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) < _BYTES:
        wanted = f"wanted {2 * _BYTES} hexadecimal digits"
        raise UnsafeKey(f"{file} holds no key: {wanted}, received {len(text)} characters")
    return PatientKey(secret)
