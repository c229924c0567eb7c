"""A kernel's messages leave at once: on the socket of a real web server and a real client."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import traitlets
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

from vital_lib.connection import UndelayedConnection


class _Connection(UndelayedConnection):
    websocket_handler = traitlets.Any()  # of a server that has no kernels


def test_the_server_does_not_hold_a_message_back_until_the_one_before_is_acknowledged(monkeypatch):
    monkeypatch.setattr(ZMQChannelsWebsocketConnection, "connect", lambda self: "connected")
    found = []

    class Page(WebSocketHandler):
        def open(self) -> None:
            held_back = self._nodelay()
            said = _Connection(websocket_handler=self).connect()
            found.extend([held_back, said, self._nodelay()])
            self.close()

        def _nodelay(self) -> bool:
            own = self.ws_connection.stream.socket
            return bool(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async def visit() -> None:
        listening, port = bind_unused_port()
        server = HTTPServer(Application([("/", Page)]))
        server.add_sockets([listening])
        page = await websocket_connect(f"ws://127.0.0.1:{port}/")
        assert await page.read_message() is None  # closed
        server.stop()

    asyncio.run(visit())
    assert found == [False, "connected", True]


def test_make_lab_starts_jupyterlab_with_this_connection():
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    name = f"{UndelayedConnection.__module__}.{UndelayedConnection.__name__}"
    assert f"--ServerApp.kernel_websocket_connection_class={name} " in makefile
