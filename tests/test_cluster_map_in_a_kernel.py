"""The cluster map in a real kernel, without a browser: where a lasso is heard, and when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

MAP = """
import threading
import numpy as np
import pandas as pd
from vital_lib.panels.cluster_map import ClusterMap

figures = pd.DataFrame({"figure_id": ["f0", "f1", "f2"], "modalities": [["mri"]] * 3})
pool = pd.DataFrame([
    {"demonstration_id": f"{f}-accepted", "figure_id": f, "caption": "", "mentions": [],
     "modalities": ["mri"], "turns": [{"instruction": "What?", "response": "It."}],
     "annotators": ["ann"], "origin": "this run"} for f in figures["figure_id"]])
chooser = ClusterMap(np.array([[0.0, 0], [1, 1], [2, 0]]), figures, pool, lambda name: b"")
heard = threading.Event()
chooser.conversations.widget.observe(
    lambda change: change["new"]["whole"] or heard.set(), "state")
print(chooser._scatter.widget.comm.comm_id)
"""


class _Kernel:
    """A kernel with a map in it, and what its page would send."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client
        self._comm = self.run(MAP).strip()

    def run(self, code: str, subshell: str | None = None, lasso_in: str | None = None) -> str:
        """What the code prints; with `lasso_in`, a lasso is sent there while the code runs."""
        said: list[str] = []

        def hook(message: dict) -> None:
            if message["msg_type"] == "execute_input" and lasso_in:
                self.lasso(lasso_in)
            said.append(message["content"].get("text", ""))
            assert message["msg_type"] != "error", message["content"]

        message = self._client.session.msg(
            "execute_request", {"code": code, "silent": False, "store_history": False}
        )
        message["header"]["subshell_id"] = subshell
        self._client.shell_channel.send(message)
        while True:
            got = self._client.get_iopub_msg(timeout=30)
            if got["parent_header"].get("msg_id") != message["msg_id"]:
                continue
            hook(got)
            if got["content"].get("execution_state") == "idle":
                return "".join(said)

    def lasso(self, subshell: str | None) -> None:
        """Send the dots 0 and 2 as selected, addressed to that subshell."""
        data = {
            "method": "update",
            "state": {"selection": {"dtype": "uint32", "shape": [2]}},
            "buffer_paths": [["selection", "view"]],
        }
        message = self._client.session.msg("comm_msg", {"comm_id": self._comm, "data": data})
        message["header"]["subshell_id"] = subshell
        dots = bytes([0, 0, 0, 0, 2, 0, 0, 0])
        self._client.session.send(self._client.shell_channel.socket, message, buffers=[dots])

    def subshell(self) -> str:
        """A new subshell's id."""
        return self._control("create_subshell_request", {})["subshell_id"]

    def end(self, subshell: str) -> None:
        """End a subshell."""
        self._control("delete_subshell_request", {"subshell_id": subshell})

    def _control(self, kind: str, content: dict) -> dict:
        self._client.control_channel.send(self._client.session.msg(kind, content))
        reply = self._client.get_control_msg(timeout=30)
        assert reply["content"]["status"] == "ok", reply["content"]
        return reply["content"]


@pytest.fixture(scope="module")
def kernel() -> Iterator[_Kernel]:
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(Path(__file__).parents[1]))
    try:
        yield _Kernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_lasso_is_heard_while_a_cell_runs(kernel):
    own = kernel.subshell()
    said = kernel.run("print(heard.wait(10), chooser.listed())", lasso_in=own)
    assert said == "True ['f0-accepted', 'f2-accepted']\n"
    kernel.end(own)


def test_a_lasso_is_heard_after_the_shell_of_an_earlier_message_has_gone(kernel):
    gone, own = kernel.subshell(), kernel.subshell()
    kernel.run("chooser.select([]); heard.clear()", subshell=gone)  # it writes to the map
    kernel.end(gone)
    kernel.lasso(own)
    assert kernel.run("print(heard.wait(10), chooser.listed())") == (
        "True ['f0-accepted', 'f2-accepted']\n"
    )
    kernel.end(own)
