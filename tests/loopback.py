"""An OpenAI-compatible test server on 127.0.0.1, with programmed replies and faults.

`in_process` does the same without a network; `save_image` writes test images.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2
import numpy as np
from PIL import Image

from vital_lib.figures import FigureImage, open_figure, open_image

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers and body of a response."""


def said(
    content: str | None,
    *,
    finish_reason: str = "stop",
    refusal: str | None = None,
    tokens: tuple[int, int] = (100, 20),
) -> Answer:
    """Return a chat completion with this content."""
    message = {"role": "assistant", "content": content, "refusal": refusal}
    body = {
        "id": "chatcmpl-loopback",
        "object": "chat.completion",
        "created": 0,
        "model": "loopback",
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]},
    }
    return 200, {"content-type": "application/json"}, json.dumps(body).encode()


def fault(status: int, message: str = "a fault", *, code: str | None = None, **headers: str):
    """Return an API error; header names have `_` for `-`, such as ``retry_after="1"``."""
    body = json.dumps({"error": {"message": message, "type": "fault", "code": code}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"content-type": "application/json", **named}, body


def in_process(answer: Callable[[dict[str, Any], int], Answer]) -> httpx2.MockTransport:
    """Return a transport without a network; `answer` as in `Loopback`."""
    places = iter(range(10**9))

    async def handle(request: httpx2.Request) -> httpx2.Response:
        status, headers, content = answer(json.loads(request.content), next(places))
        return httpx2.Response(status, headers=headers, content=content)

    return httpx2.MockTransport(handle)


def save_image(path: Path, seed: int, side: int = 48) -> Path:
    """Write a PNG of noise; each `seed` gives a different image."""
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def cleared(path: Path) -> FigureImage:
    """Open an image that may be sent to any server."""
    stated = {"figure_id": path.stem, "cleared": True, "cleared_reason": "noise"}
    return open_figure({"image": path, "sha256": open_image(path).sha256, **stated})


class Loopback:
    """A server as a context manager.

    Args:
        answer: called with a request's JSON body and its index from 0; returns the response.
    """

    def __init__(self, answer: Callable[[dict[str, Any], int], Answer]) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.authorizations: list[str] = []
        self.times: list[float] = []
        self._answer, self._lock = answer, threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Loopback:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def respond(self, raw: bytes, authorization: str) -> Answer:
        body = json.loads(raw)
        with self._lock:
            place = len(self.bodies)
            self.bodies.append(body)
            self.authorizations.append(authorization)
            self.times.append(time.monotonic())
        return self._answer(body, place)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore errors of clients that hang up, as an interrupted run does."""


def _handler_of(loopback: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            if self.path != "/v1/chat/completions":
                status, headers, body = fault(404, f"no {self.path} here")
            else:
                authorization = self.headers.get("authorization", "")
                status, headers, body = loopback.respond(raw, authorization)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
