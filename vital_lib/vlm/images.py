"""Figures as a model is sent them: scaled to what it can use, JPEG, without metadata.

Each is encoded once, off the event loop, and kept as long as there is room: in bounded memory,
however many figures a run has. Knows nothing of prompts, prices or networks.
"""

from __future__ import annotations

import base64
import io
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from PIL import Image

from vital_lib.figures import FigureImage
from vital_lib.vlm.prices import ImageRule

_ROOM_BYTES = 32 * 2**20
_QUALITY = 90
_HEAD = "data:image/jpeg;base64,"


class Images:
    """The encoded figures of one model, safe to use from several threads.

    Args:
        rule: how the model scales images.
        room_bytes: encoded images are kept up to this; the longest unused go first.
    """

    def __init__(self, rule: ImageRule, room_bytes: int = _ROOM_BYTES) -> None:
        self.rule = rule
        self._room, self._bytes = room_bytes, 0
        self._kept: dict[str, Future[str]] = {}  # by content, the latest used last
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(2, "encode")

    def encoded(self, figure: FigureImage) -> Future[str]:
        """A data URL with the JPEG, now or as it is ready; UnreadableImage if the file changed."""
        with self._lock:
            future = self._kept.pop(figure.sha256, None)
            if future is None:
                future = self._threads.submit(self._encode, figure)
            self._kept[figure.sha256] = future
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

    def _encode(self, figure: FigureImage) -> str:
        try:
            picture = figure.pixels()
            size = self.rule.fit(figure.width, figure.height)
            if size != picture.size:
                picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=_QUALITY)
        except BaseException:
            with self._lock:
                self._kept.pop(figure.sha256, None)
            raise
        content = _HEAD + base64.b64encode(buffer.getvalue()).decode()
        with self._lock:
            self._bytes += len(content)
            for sha256, future in list(self._kept.items()):
                if self._bytes <= self._room:
                    break
                if future.done():
                    self._bytes -= len(self._kept.pop(sha256).result())
        return content
