"""Servers of Jupyter's kind in processes of their own, on loopback, with nobody's settings.

They are started as a user starts them, and are ended by the process that started them. This module
knows nothing of what they serve.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 60
_FOLDERS = {
    "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data",
    "JUPYTER_RUNTIME_DIR": "runtime",
    "JUPYTERLAB_SETTINGS_DIR": "settings",
    "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    "IPYTHONDIR": "ipython",
}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def jupyter_environment(private: Path) -> dict[str, str]:
    """The environment of a Jupyter that finds no settings but those in the folder `private`."""
    return {**os.environ, **{name: str(private / folder) for name, folder in _FOLDERS.items()}}


def status(url: str) -> int | None:
    """The status of the reply to a GET of `url`, or None where nobody answers yet."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


@contextmanager
def running_process(
    command: Sequence[str],
    ready: Callable[[], bool],
    *,
    environment: Mapping[str, str],
    log: Path,
    printed: Path | None = None,
) -> Iterator[subprocess.Popen]:
    """Run `command` until the block ends; the block is entered once it is `ready`.

    Args:
        log: the file for what it writes to standard error.
        printed: the file for its standard output; `log` too if None.
    Raises:
        RuntimeError: it ended, or START_SECONDS passed, before it was ready.
    """
    with (printed or log).open("ab") as out, log.open("ab") as errors:
        process = subprocess.Popen(
            command, stdout=out, stderr=errors, env=environment, cwd=log.parent
        )
        try:
            _wait(process, ready, log)
            yield process
        finally:
            process.terminate()  # it ends its kernels, too
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen, ready: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() >= end:
            raise RuntimeError(f"{process.args} did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)  # between two looks: it does not tell when it has begun to listen
