"""The kernel's messages to a page, each sent at once: `make lab` and `make label` use it.

Jupyter's server leaves Nagle's algorithm on. A message then waits until the page has acknowledged
the one before, which takes a browser up to 40 ms: longer than a panel needs to answer.
"""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class UndelayedConnection(ZMQChannelsWebsocketConnection):
    """Jupyter's connection between one page and one kernel, without Nagle's algorithm."""

    def connect(self) -> Any:
        """Connect to the kernel once the page has opened its web socket."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()
