"""Figures as a model is sent them: scaled to what it can use, JPEG, without metadata.

Each is encoded once, off the event loop, and kept in a temporary folder (``TMPDIR`` says where),
which goes with the process; in memory is only what somebody holds, however many figures a run has.
Knows nothing of prompts, prices or networks.
"""

from __future__ import annotations

import base64
import contextlib
import io
import shutil
import tempfile
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from vital_lib.figures import FigureImage
from vital_lib.vlm.prices import ImageRule

_SPARE_BYTES = 2 * 2**30  # are left free on the disk: the ledger may lie there, too
_QUALITY = 90
_HEAD = "data:image/jpeg;base64,"


class Images:
    """The encoded figures of one model, safe to use from several threads.

    Args:
        rule: how the model scales images.
    """

    def __init__(self, rule: ImageRule) -> None:
        self.rule = rule
        self._held: weakref.WeakValueDictionary[str, Future[str]] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(2, "encode")
        self._folder = tempfile.TemporaryDirectory(prefix="vital-", ignore_cleanup_errors=True)

    def encoded(self, figure: FigureImage) -> Future[str]:
        """A data URL with the JPEG, now or as it is ready; UnreadableImage if the file changed.

        As long as anybody holds the future, everybody gets that one.
        """
        with self._lock:
            future = self._held.get(figure.sha256)
            if future is None or (future.done() and future.exception()):
                future = self._held[figure.sha256] = self._threads.submit(self._url, figure)
            return future

    def sent(self, figure: FigureImage) -> dict[str, int | str]:
        """How a figure is sent: image (its file), width, height, bytes, tokens."""
        width, height = self.rule.fit(figure.width, figure.height)
        return {
            "image": figure.path.name,
            "width": width,
            "height": height,
            "bytes": len(base64.b64decode(self.encoded(figure).result().removeprefix(_HEAD))),
            "tokens": self.rule.tokens(figure.width, figure.height),
        }

    def _url(self, figure: FigureImage) -> str:
        kept = Path(self._folder.name, f"{figure.sha256}.jpg")
        with contextlib.suppress(OSError):
            return _as_url(kept.read_bytes())
        data = self._encode(figure)
        with contextlib.suppress(OSError):  # what is not kept is encoded again
            _keep(kept, data)
        return _as_url(data)

    def _encode(self, figure: FigureImage) -> bytes:
        picture = figure.pixels()
        size = self.rule.fit(figure.width, figure.height)
        if size != picture.size:
            picture = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.5)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=_QUALITY)
        return buffer.getvalue()


def _as_url(data: bytes) -> str:
    return _HEAD + base64.b64encode(data).decode()


def _keep(path: Path, data: bytes) -> None:
    if shutil.disk_usage(path.parent).free > _SPARE_BYTES:
        unready = path.with_suffix(".part")
        unready.write_bytes(data)
        unready.replace(path)
