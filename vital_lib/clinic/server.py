"""The clinic's models on a socket of this machine, for any OpenAI client: slow and faulty by dials.

``python -m vital_lib.clinic.server --port 8801 --latency 0.2 --fault reset=0.01`` serves
``POST /v1/chat/completions`` and ``GET /v1/models``, and counts what it was asked at ``GET
/stats`` (``POST /stats/reset`` begins anew). Nothing is logged. What is answered, `provider`
decides; here is HTTP/1.1, as much of it as such clients use.

On a protocol of asyncio's: 0.2 ms of processor time for a request of 100 kB, tornado twice that,
and a connection can be reset or cut short.
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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import Any

from vital_lib.clinic.dials import FAULTS, Dials
from vital_lib.clinic.provider import Answer, Provider

__all__ = ["FAULTS", "Dials", "Server", "running", "serve"]

LOOPBACK = "127.0.0.1"
_HEAD_BYTES, _BODY_BYTES = 2**16, 2**28  # at most
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time
_BACKLOG = 1024  # connections that wait to be taken: clients open hundreds at once


@dataclass(frozen=True)
class Server:
    """A server that runs as a process of its own.

    Args:
        url: what a client takes as base_url.
        pid: of its process.
    """

    url: str
    pid: int

    def stats(self) -> dict[str, Any]:
        """What it was asked and answered so far: see `Provider.stats`."""
        return self._get("GET", "/stats")

    def reset(self) -> None:
        """Begin to count and to draw anew."""
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
        port: 0 takes any free one.
        host: another than loopback lets others on the network in, and is warned of.
        started: called with the base_url once requests are taken.

    Raises:
        OSError: the port or the address cannot be had; the message says so.
        ValueError: the port is none.
    """
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(port, dials or Dials(), host, started, ends_with_stdin=False))


@contextlib.contextmanager
def running(dials: Dials | None = None, port: int = 0) -> Iterator[Server]:
    """A server as a process of its own, on loopback, which ends with the block.

    It ends too when the process that started it does, even by SIGKILL, and is not reached by a
    Ctrl-C. The dials go to it by a pipe, so that a key shows in no list of processes.

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
    try:
        settings = {**vars(dials), "faults": dict(dials.faults)}
        process.stdin.write(json.dumps({"port": port, "dials": settings}) + "\n")
        process.stdin.flush()
        said = json.loads(process.stdout.readline() or "{}")
        if "url" not in said:
            raise OSError(said.get("error", "the server did not start; its output says why"))
        yield Server(said["url"], process.pid)
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


async def _serve(
    port: int, dials: Dials, host: str, started: Callable[[str], None], *, ends_with_stdin: bool
) -> None:
    if not 0 <= port < 65536:
        raise ValueError(f"port {port}: give one from 1 to 65535, or 0 for any free one")
    if not _on_loopback(host):
        logging.getLogger(__name__).warning(
            "listening on %s: others on the network can reach this server, which is for trials on "
            "one machine. Leave --host out to stop that.",
            host,
        )
    loop, end, provider = asyncio.get_running_loop(), asyncio.Event(), Provider(dials)
    try:
        server = await loop.create_server(
            lambda: _Connection(provider), host, port, backlog=_BACKLOG
        )
    except OSError as error:
        used = error.errno == errno.EADDRINUSE
        why = "it is in use" if used else error.strerror or str(error)
        way_out = "give another, or 0 for any free one"
        raise OSError(f"cannot listen on port {port} of {host}: {why}; {way_out}") from None
    if ends_with_stdin:
        loop.add_reader(sys.stdin.fileno(), end.set)
    taken = server.sockets[0].getsockname()[1]
    started(f"http://{f'[{host}]' if ':' in host else host}:{taken}/v1")
    await end.wait()


def _on_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


class _Unreadable(Exception):
    """What came is no request that this server reads."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Connection(asyncio.Protocol):
    """One client's connection: requests one after another, each answered when it is due."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._buffer = bytearray()
        self._head: tuple[str, str, dict[str, str]] | None = None
        self._length = 0  # of the body
        self._answer: Answer | None = None  # due
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, through which answers go, or are cut off."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what came; asyncio ends the connection when the client does."""
        self._buffer += data
        if self._answer is None and not self._transport.is_closing():
            try:
                self._read()
            except _Unreadable as error:
                body = json.dumps({"error": {"message": str(error)}}).encode()
                self._write(Answer("page", error.status, body), closes=True)

    def connection_lost(self, error: Exception | None) -> None:
        """Count an answer that nobody will hear."""
        if self._timer is not None:
            self._timer.cancel()
        if self._answer is not None:
            self._provider.finish(self._answer, heard=False)
            self._answer = None

    def _read(self) -> None:
        """Begin to answer the next request, once it is there as a whole."""
        if self._head is None and not self._read_head():
            return
        if len(self._buffer) < self._length:
            return
        body = bytes(memoryview(self._buffer)[: self._length])
        del self._buffer[: self._length]
        (method, path, headers), self._head = self._head, None
        self._closes = headers.get("connection", "").lower() == "close"
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        self._answer = self._provider.receive(method, path, headers, body)
        if self._answer.kind != "hang":
            self._timer = loop.call_at(arrived + self._answer.seconds, self._send)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if max(end, len(self._buffer) if end < 0 else 0) > _HEAD_BYTES:
            raise _Unreadable(431, f"the request's head is longer than {_HEAD_BYTES} bytes")
        if end < 0:
            return False
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        method, _, rest = first.partition(" ")
        path, _, version = rest.rpartition(" ")
        if not version.startswith("HTTP/1."):
            raise _Unreadable(400, f"this is no HTTP/1.1 request: {first[:80]!r}")
        split = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in split}
        if "transfer-encoding" in headers:
            raise _Unreadable(411, "send the body whole, with Content-Length")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            raise _Unreadable(400, f"Content-Length is {length[:40]!r}; it must be a number")
        if int(length) > _BODY_BYTES:
            raise _Unreadable(413, f"the body has {length} bytes; at most {_BODY_BYTES} are read")
        self._head, self._length = (method, path.partition("?")[0], headers), int(length)
        if headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _send(self) -> None:
        answer, self._answer, self._timer = self._answer, None, None
        self._provider.finish(answer, heard=True)
        if answer.kind == "reset":
            plug = self._transport.get_extra_info("socket")
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()
            return
        self._write(answer, closes=self._closes or answer.kind == "truncated")
        if self._buffer:
            self.data_received(b"")  # a request that came meanwhile

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
    """Serve until told to end; 2 where it cannot start."""
    given = _parser().parse_args(arguments)
    if given.managed:
        return _serve_managed()
    try:
        serve(given.port, _dials(given), host=given.host, started=_announce)
    except (ValueError, OSError) as error:
        print(f"cannot serve the clinic: {error}", file=sys.stderr)
        return 2
    return 0


def _serve_managed() -> int:
    """Told by a line on standard input what to do; ends when that closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = json.loads(sys.stdin.readline())

    def say(**what: str) -> None:
        print(json.dumps(what), flush=True)

    try:
        dials = Dials(**told["dials"])
        started = _serve(
            told["port"], dials, LOOPBACK, lambda url: say(url=url), ends_with_stdin=True
        )
        asyncio.run(started)
    except (ValueError, OSError) as error:
        say(error=str(error))
        return 2
    return 0


def _announce(url: str) -> None:
    print(f"The simulated models are at base_url {url} as 'clinic' and 'clinic-second'.")
    print(f"What they were asked: {url.removesuffix('/v1')}/stats. Ctrl-C ends it.", flush=True)


def _parser() -> argparse.ArgumentParser:
    kinds = "; ".join(f"{name}: {seen}" for name, seen in FAULTS.items())
    about = f"Serve the clinic's simulated models to any OpenAI client. Faults: {kinds}."
    parser = argparse.ArgumentParser(prog="python -m vital_lib.clinic.server", description=about)
    parser.add_argument("--port", type=int, default=8801, help="0 takes any free one")
    parser.add_argument("--host", default=LOOPBACK, help="where to listen; default: this machine")
    parser.add_argument("--managed", action="store_true", help=argparse.SUPPRESS)
    for dial in fields(Dials):
        flag, meaning = f"--{dial.name.replace('_', '-')}", dial.metadata["meaning"]
        if dial.name == "faults":
            form = {"action": "append", "default": [], "metavar": "NAME=SHARE"}
            parser.add_argument("--fault", dest="faults", help=meaning, **form)
        elif dial.name == "key":
            meaning = f"environment variable that holds {meaning}"
            parser.add_argument("--key-from", metavar="VARIABLE", help=meaning)
        elif dial.type == "bool":
            parser.add_argument(flag, action="store_true", help=meaning)
        else:
            kind = {"f": float, "i": int, "s": str}[dial.type[0]]
            parser.add_argument(flag, type=kind, default=dial.default, help=meaning)
    return parser


def _dials(given: argparse.Namespace) -> Dials:
    faults = {}
    for text in given.faults:
        name, _, share = text.partition("=")
        try:
            faults[name] = float(share)
        except ValueError:
            raise ValueError(f"--fault {text!r}: write it as in reset=0.01") from None
    key = os.environ.get(given.key_from) if given.key_from else None
    if given.key_from and not key:
        raise ValueError(f"--key-from {given.key_from}: that variable is not set")
    plain = {dial.name: getattr(given, dial.name, None) for dial in fields(Dials)}
    return Dials(**{**plain, "faults": faults, "key": key})


if __name__ == "__main__":
    sys.exit(main())
