"""Encode figures for a model: scaled to the size it can use, as JPEG, without metadata.

Each figure is encoded once, outside the event loop, and cached in an unnamed temporary file under
``TMPDIR``, so that even a killed process leaves no file behind. Memory holds only the images that
are in use. This module does not depend on prompts, prices or networks.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import shutil
import tempfile
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor

from PIL import Image

from vital_lib.client.prices import ImageRule
from vital_lib.figures import FigureImage

_SPARE_BYTES = 2 * 2**30  # left free on the disk, which may also hold the ledger
_QUALITY = 90
_HEAD = "data:image/jpeg;base64,"


class Images:
    """Encodes and caches figures for one model; safe to use from several threads.

    Args:
        rule: how the model scales images.
    """

    def __init__(self, rule: ImageRule) -> None:
        self.rule = rule
        self._held: weakref.WeakValueDictionary[str, Future[str]] = weakref.WeakValueDictionary()
        self._lock, self._filing = threading.Lock(), threading.Lock()
        self._threads = ThreadPoolExecutor(2, "encode")
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed with this object
        self._places: dict[str, tuple[int, int]] = {}  # offset and length in the file

    def encoded(self, figure: FigureImage) -> Future[str]:
        """Return a future of the JPEG as a data URL; it raises UnreadableImage if the file changed.

        While a caller holds the future, further calls return the same future.
        """
        with self._lock:
            future = self._held.get(figure.sha256)
            if future is None or (future.done() and future.exception()):
                future = self._held[figure.sha256] = self._threads.submit(self._url, figure)
            return future

    def sent(self, figure: FigureImage) -> dict[str, int | str]:
        """Describe how a figure is sent: image (file name), width, height, bytes, tokens."""
        width, height = self.rule.fit(figure.width, figure.height)
        return {
            "image": figure.path.name,
            "width": width,
            "height": height,
            "bytes": len(base64.b64decode(self.encoded(figure).result().removeprefix(_HEAD))),
            "tokens": self.rule.tokens(figure.width, figure.height),
        }

    def expected(self, picture: Image.Image) -> str:
        """Return the hash that the receipt of an RGB image must have, from a new encoding of it."""
        return hashlib.sha256(self._encode(picture)).hexdigest()

    def _url(self, figure: FigureImage) -> str:
        data = self._kept(figure)
        if data is None:
            data = self._encode(figure.pixels())
            with contextlib.suppress(OSError):  # without the cache, the figure is encoded again
                self._keep(figure, data)
        return _HEAD + base64.b64encode(data).decode()

    def _kept(self, figure: FigureImage) -> bytes | None:
        with self._filing:
            begin, length = self._places.get(figure.sha256, (0, 0))
            self._file.seek(begin)
            return self._file.read(length) if length else None

    def _keep(self, figure: FigureImage, data: bytes) -> None:
        with self._filing:
            begin = self._file.seek(0, io.SEEK_END)
            spare = shutil.disk_usage(tempfile.gettempdir()).free > _SPARE_BYTES
            if spare and self._file.write(data) == len(data):
                self._places[figure.sha256] = begin, len(data)

    def _encode(self, picture: Image.Image) -> bytes:
        size = self.rule.fit(*picture.size)
        if size != picture.size:
            picture = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.5)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=_QUALITY)
        return buffer.getvalue()
