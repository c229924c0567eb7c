"""The connection to Ray: an existing cluster, or the cores of this machine.

The environment variable RAY_ADDRESS names a cluster. Without it, the first use starts Ray on this
machine alone, on loopback, without dashboard and usage statistics.
"""

from __future__ import annotations

import logging
import os
import socket
from types import ModuleType
from typing import Any

from vital_lib.processes import available_cores

ENGINES = ("local", "ray")
"""Where the heavy steps run: in this process, or in Ray's workers."""

_SECONDS = 10.0  # for a first answer of a cluster
_HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"  # a client's start, RFC 9113
_SETTINGS = 4  # type of the frame with which a server answers
_STARTS = 4  # Ray gives each start half a minute, in which a busy machine does not come
_STORE_BYTES = 100 * 2**20  # of Ray's object store: rows go through files, not through the store


def check_engine(engine: str) -> bool:
    """Return whether `engine` is "ray".

    Raises:
        ValueError: neither "local" nor "ray".
    """
    if engine not in ENGINES:
        raise ValueError(f"engine={engine!r}: give one of {', '.join(map(repr, ENGINES))}")
    return engine == "ray"


def check_workers(workers: int | None) -> int | None:
    """Return `workers`.

    Raises:
        ValueError: below 1, or no whole number; None leaves the number to the engine.
    """
    if workers is not None and (type(workers) is not int or workers < 1):
        raise ValueError(f"workers={workers!r}: give 1 or more, or None")
    return workers


def connected(*, cores: int | None = None) -> ModuleType:
    """Return the module `ray`, connected; a connection that exists already is used.

    Args:
        cores: of this machine that Ray uses, without a cluster; None means all.

    Raises:
        ImportError: Ray is not installed; the message has the `pip install`.
        ConnectionError: there is no cluster at RAY_ADDRESS, or Ray cannot start here.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        # Read when Ray is imported. Otherwise Ray listens on the network, without a password.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            "engine='ray' needs Ray: pip install 'vital-workbench[ray]'; "
            "engine='local' works without"
        ) from error
    if not ray.is_initialized():
        _connect(ray, address, cores)
    return ray


def _connect(ray: ModuleType, address: str | None, cores: int | None) -> None:
    how: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if not address:
        how |= {"num_cpus": cores or available_cores(), "object_store_memory": _STORE_BYTES}
        how |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    try:
        _check_address(address)
        _start(ray, address or "local", how)
    except Exception as error:
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        where = f"no cluster at RAY_ADDRESS={address}" if address else "Ray cannot start here"
        way_out = "engine='local' works without Ray"
        if address:
            way_out = "start it, or unset RAY_ADDRESS and restart the kernel to use this machine"
        raise ConnectionError(f"{where} ({why}): {way_out}") from error


def _start(ray: ModuleType, address: str, how: dict[str, Any]) -> None:
    """Start Ray, again if it did not come up in time."""
    for start in range(1, _STARTS + 1):
        try:
            ray.init(address, **how)
            return
        except Exception as error:
            if start == _STARTS or "timed out during startup" not in str(error):
                raise
            ray.shutdown()


def _check_address(address: str | None) -> None:
    """Raise OSError if nothing speaks HTTP/2 at host:port, since Ray would try for minutes."""
    host, _, port = (address or "").rpartition(":")
    if not port.isdecimal() or "/" in host:
        return
    with socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS) as connection:
        if os.environ.get("RAY_USE_TLS", "0") != "0":
            return
        connection.sendall(_HTTP2)
        if connection.recv(4, socket.MSG_WAITALL)[3:] != bytes([_SETTINGS]):
            raise ConnectionError("what listens there is not Ray")


def nodes() -> int:
    """Return the number of nodes that are alive."""
    return sum(node["Alive"] for node in connected().nodes())
