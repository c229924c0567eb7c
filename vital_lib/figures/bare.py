"""Image files without metadata: what only describes the pixels is removed; no pixel changes.

EXIF with GPS, XMP, IPTC, comments, texts, times, ICC profiles, thumbnails, further frames and
whatever follows the image are left out, by keeping only what a decoder needs.
"""

from __future__ import annotations

import re
import struct

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_JPEG_KEPT = {*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDD} - {0xC8}  # frames, tables, scans, restarts
_JFIF, _ADOBE, _END, _SCAN = 0xE0, 0xEE, 0xD9, 0xDA
_JFIF_BYTES, _ADOBE_BYTES = 18, 16  # of a segment without a thumbnail and without a comment
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # ends a scan; FF00 and RSTn belong to it


def without_metadata(content: bytes) -> bytes | None:
    """Return a PNG or JPEG file with the same pixels and without metadata.

    Return None for another format, and for a file whose parts cannot be told apart.
    """
    try:
        if content.startswith(PNG):
            return _bare_png(content)
        return _bare_jpeg(content) if content.startswith(JPEG) else None
    except (struct.error, IndexError, ValueError):
        return None


def _bare_png(content: bytes) -> bytes:
    parts, place = [PNG], len(PNG)
    while True:
        length, kind = struct.unpack_from(">I4s", content, place)
        end = place + 12 + length
        if end > len(content):
            raise ValueError("a cut chunk")
        if kind in _PNG_KEPT:
            parts.append(content[place:end])
        if kind == b"IEND":
            return b"".join(parts)
        place = end


def _bare_jpeg(content: bytes) -> bytes:
    parts, place = [JPEG], 2
    while True:
        while content[place : place + 2] == b"\xff\xff":  # fill bytes
            place += 1
        mark, kind = content[place], content[place + 1]
        if mark != 0xFF:
            raise ValueError("no marker")
        if kind == _END:
            return b"".join([*parts, b"\xff\xd9"])
        (length,) = struct.unpack_from(">H", content, place + 2)
        end = place + 2 + length
        if kind == _SCAN:
            found = _MARKER.search(content, end)
            if found is None:
                raise ValueError("no end")
            end = found.start()
        if end > len(content):
            raise ValueError("a cut segment")
        if kind in _JPEG_KEPT or _is_needed(content[place:end]):
            parts.append(content[place:end])
        place = end


def _is_needed(segment: bytes) -> bool:
    """Return whether an application's segment tells the colours or the density, and no more."""
    adobe = segment[1] == _ADOBE and segment[4:9] == b"Adobe"
    plain = segment[1] == _JFIF and segment[4:9] == b"JFIF\0" and segment[16:18] == b"\0\0"
    return (adobe and len(segment) == _ADOBE_BYTES) or (plain and len(segment) == _JFIF_BYTES)
