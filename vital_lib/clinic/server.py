"""Serve the clinic's models over HTTP to any OpenAI client, with set latency, limits and faults.

``python -m vital_lib.clinic.server --port 8801 --latency 0.2 --fault reset=0.01`` serves
``POST /v1/chat/completions``, ``GET /v1/models``, and a simulation of ``/v1/files`` and
``/v1/batches``. ``GET /stats`` returns request counts, and ``POST /stats/reset`` restarts them.
Requests are not logged. `provider` decides the answers; this module implements the part of HTTP/1.1
that OpenAI clients use.

An asyncio protocol can reset a connection or cut a reply short. It takes 0.2 ms of CPU time for a
request of 100 kB, half as much as tornado.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import http.client
import ipaddress
import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import IO, Any, cast

from vital_lib.clinic.dials import BATCH_FAULTS, FAULTS, Dials
from vital_lib.clinic.provider import Answer, Provider

__all__ = ["FAULTS", "Dials", "Server", "running", "serve"]

LOOPBACK = "127.0.0.1"
_HEAD_BYTES, _BODY_BYTES = 2**16, 2**28  # at most
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds
_SHARES = ("faults", "batch_faults")  # dials that map names to shares
_BACKLOG = 1024  # pending connections: clients open hundreds at once


@dataclass(frozen=True)
class Server:
    """A server that runs in a separate process.

    Args:
        url: the base_url for a client.
        pid: its process id.
    """

    url: str
    pid: int

    def stats(self) -> dict[str, Any]:
        """Return the counts of requests and answers; see `Provider.stats`."""
        return self._get("GET", "/stats")

    def reset(self) -> None:
        """Restart the counts and the fault draws."""
        self._get("POST", "/stats/reset")

    def _get(self, method: str, path: str) -> dict[str, Any]:
        place = self.url.removeprefix("http://").removesuffix("/v1")
        connection = http.client.HTTPConnection(place, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path)
            return json.load(connection.getresponse())


def serve(
    port: int,
    dials: Dials | None = None,
    *,
    host: str = LOOPBACK,
    started: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until interrupted.

    Args:
        port: 0 takes any free port.
        host: an address other than loopback admits other machines; a warning is logged.
        started: called with the base_url once the server accepts requests.

    Raises:
        OSError: the port or the address is not available.
        ValueError: the port is out of range.
    """
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(port, dials or Dials(), host, started, ends_with_stdin=False))


@contextlib.contextmanager
def running(dials: Dials | None = None, port: int = 0) -> Generator[Server]:
    """Run a server in a separate process on loopback until the block ends.

    It also ends with the process that started it, even after SIGKILL, and ignores Ctrl-C. It gets
    the dials through a pipe, so that the key does not appear in the list of processes.

    Raises:
        OSError: as for `serve`.
    """
    dials = dials or Dials()
    process = subprocess.Popen(
        [sys.executable, "-m", "vital_lib.clinic.server", "--managed"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    dials_in, report = cast(IO[str], process.stdin), cast(IO[str], process.stdout)
    try:
        shares = {name: dict(getattr(dials, name)) for name in _SHARES}
        settings = {**vars(dials), **shares}
        dials_in.write(json.dumps({"port": port, "dials": settings}) + "\n")
        dials_in.flush()
        reply = json.loads(report.readline() or "{}")
        if "url" not in reply:
            raise OSError(reply.get("error", "the server did not start; its output shows why"))
        yield Server(reply["url"], process.pid)
    finally:
        with contextlib.suppress(BrokenPipeError):
            dials_in.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        report.close()


async def _serve(
    port: int, dials: Dials, host: str, started: Callable[[str], None], *, ends_with_stdin: bool
) -> None:
    if not 0 <= port < 65536:
        raise ValueError(f"port {port} is out of range; give 1 to 65535, or 0 for any free port")
    if not _on_loopback(host):
        logging.getLogger(__name__).warning(
            "listening on %s: other machines on the network can connect to this server, which is "
            "meant for tests on one machine. Omit --host to listen on this machine only.",
            host,
        )
    loop, end, provider = asyncio.get_running_loop(), asyncio.Event(), Provider(dials)
    wake = _worker(provider)
    try:
        server = await loop.create_server(
            lambda: _Connection(provider, wake), host, port, backlog=_BACKLOG
        )
    except OSError as error:
        used = error.errno == errno.EADDRINUSE
        why = "it is in use" if used else error.strerror or str(error)
        way_out = "give another port, or 0 for any free port"
        raise OSError(f"cannot listen on port {port} of {host}: {why}; {way_out}") from None
    if ends_with_stdin:
        loop.add_reader(sys.stdin.fileno(), end.set)
    taken = server.sockets[0].getsockname()[1]
    started(f"http://{f'[{host}]' if ':' in host else host}:{taken}/v1")
    await end.wait()


def _worker(provider: Provider) -> Callable[[], None]:
    """Return a function that does the steps of the batches, one between two events of the loop."""
    busy = False

    def step() -> None:
        nonlocal busy
        busy = provider.work()
        if busy:
            asyncio.get_running_loop().call_soon(step)

    return lambda: None if busy else step()


def _on_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


class _Unreadable(Exception):
    """The data received is not a request that this server supports."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Connection(asyncio.Protocol):
    """One client's connection; requests are answered one after another, each when due."""

    def __init__(self, provider: Provider, wake: Callable[[], None]) -> None:
        self._provider, self._wake = provider, wake
        self._buffer = bytearray()
        self._head: tuple[str, str, dict[str, str]] | None = None
        self._length = 0  # of the body in bytes
        self._answer: Answer | None = None  # pending
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Keep the transport, which sends or aborts answers."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read the new data; asyncio closes the connection when the client does."""
        self._buffer += data
        if self._answer is None and not self._transport.is_closing():
            try:
                self._read()
            except _Unreadable as error:
                body = json.dumps({"error": {"message": str(error)}}).encode()
                self._write(Answer("page", error.status, body), closes=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a pending answer as not delivered."""
        if self._timer is not None:
            self._timer.cancel()
        if self._answer is not None:
            self._provider.finish(self._answer, heard=False)
            self._answer = None

    def _read(self) -> None:
        """Start to answer the next request, once it is complete."""
        if self._head is None:
            self._head = self._read_head()
        if self._head is None or len(self._buffer) < self._length:
            return
        body = bytes(memoryview(self._buffer)[: self._length])
        del self._buffer[: self._length]
        (method, path, headers), self._head = self._head, None
        self._closes = headers.get("connection", "").lower() == "close"
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        self._answer = self._provider.receive(method, path, headers, body)
        self._wake()
        if self._answer.kind != "hang":
            self._timer = loop.call_at(arrived + self._answer.seconds, self._send, self._answer)

    def _read_head(self) -> tuple[str, str, dict[str, str]] | None:
        end = self._buffer.find(b"\r\n\r\n")
        if max(end, len(self._buffer) if end < 0 else 0) > _HEAD_BYTES:
            raise _Unreadable(431, f"the request head is longer than {_HEAD_BYTES} bytes")
        if end < 0:
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        method, _, rest = first.partition(" ")
        path, _, version = rest.rpartition(" ")
        if not version.startswith("HTTP/1."):
            raise _Unreadable(400, f"this is not an HTTP/1.1 request: {first[:80]!r}")
        split = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in split}
        if "transfer-encoding" in headers:
            raise _Unreadable(411, "send the whole body with Content-Length")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise _Unreadable(400, f"Content-Length is {length[:40]!r}; it must be a number")
        if int(length) > _BODY_BYTES:
            raise _Unreadable(413, f"the body has {length} bytes; at most {_BODY_BYTES} are read")
        self._length = int(length)
        if headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return method, path, headers

    def _send(self, answer: Answer) -> None:
        self._answer, self._timer = None, None
        self._provider.finish(answer, heard=True)
        if answer.kind in ("reset", "lost"):
            connection = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()
            return
        self._write(answer, closes=self._closes or answer.kind == "truncated")
        if self._buffer:
            self.data_received(b"")  # a request that arrived in the meantime

    def _write(self, answer: Answer, *, closes: bool) -> None:
        head = [
            f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
            "content-type: application/json",
            f"content-length: {len(answer.body)}",
        ]
        if answer.retry_after is not None:
            head.append(f"retry-after: {answer.retry_after:.12g}")
        if closes:
            head.append("connection: close")
        sent = len(answer.body) // 2 if answer.kind == "truncated" else len(answer.body)
        self._transport.write("\r\n".join([*head, "", ""]).encode() + answer.body[:sent])
        if closes:
            self._transport.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; return the exit code: 0, or 2 if the server cannot start."""
    options = _parser().parse_args(arguments)
    if options.managed:
        return _serve_managed()
    try:
        serve(options.port, _dials(options), host=options.host, started=_announce)
    except (ValueError, OSError) as error:
        print(f"cannot serve the clinic: {error}", file=sys.stderr)
        return 2
    return 0


def _serve_managed() -> int:
    """Serve with the settings in the first line of standard input, until that input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = json.loads(sys.stdin.readline())

    def report(**values: str) -> None:
        print(json.dumps(values), flush=True)

    try:
        dials = Dials(**settings["dials"])
        serving = _serve(
            settings["port"], dials, LOOPBACK, lambda url: report(url=url), ends_with_stdin=True
        )
        asyncio.run(serving)
    except (ValueError, OSError) as error:
        report(error=str(error))
        return 2
    return 0


def _announce(url: str) -> None:
    print(f"base_url {url} serves the simulated models 'clinic' and 'clinic-second'.")
    print("Its files and batches are simulated, too: no data leaves here, nothing is charged.")
    print(f"Request counts: {url.removesuffix('/v1')}/stats (press Ctrl-C to stop)", flush=True)


def _parser() -> argparse.ArgumentParser:
    kinds = "; ".join(f"{name}: {seen}" for name, seen in FAULTS.items())
    of_lines = "; ".join(f"{name}: {seen}" for name, seen in BATCH_FAULTS.items())
    about = f"Serve the clinic's simulated models to any OpenAI client. Faults: {kinds}. "
    about += f"Faults of requests in batches: {of_lines}."
    parser = argparse.ArgumentParser(prog="python -m vital_lib.clinic.server", description=about)
    parser.add_argument("--port", type=int, default=8801, help="0 takes any free port")
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on")
    parser.add_argument("--managed", action="store_true", help=argparse.SUPPRESS)
    for dial in fields(Dials):
        flag, meaning = f"--{dial.name.replace('_', '-')}", dial.metadata["meaning"]
        if dial.name in _SHARES:
            form: dict[str, Any] = {"action": "append", "default": [], "metavar": "NAME=SHARE"}
            parser.add_argument(flag.removesuffix("s"), dest=dial.name, help=meaning, **form)
        elif dial.name == "key":
            meaning = f"environment variable that holds {meaning}"
            parser.add_argument("--key-from", metavar="VARIABLE", help=meaning)
        elif dial.type == "bool":
            parser.add_argument(flag, action="store_true", help=meaning)
        else:
            kind = {"f": float, "i": int, "s": str}[dial.type[0]]
            parser.add_argument(flag, type=kind, default=dial.default, help=meaning)
    return parser


def _dials(options: argparse.Namespace) -> Dials:
    key = os.environ.get(options.key_from) if options.key_from else None
    if options.key_from and not key:
        raise ValueError(f"--key-from {options.key_from}: variable not set; set it to the key")
    given: dict[str, Any] = {dial.name: getattr(options, dial.name, None) for dial in fields(Dials)}
    given |= {name: _shares(given[name]) for name in _SHARES} | {"key": key}
    return Dials(**given)


def _shares(texts: Sequence[str]) -> dict[str, float]:
    shares = {}
    for text in texts:
        name, _, share = text.partition("=")
        try:
            shares[name] = float(share)
        except ValueError:
            raise ValueError(f"--fault {text!r}: write NAME=SHARE, as in reset=0.01") from None
    return shares


if __name__ == "__main__":
    sys.exit(main())
