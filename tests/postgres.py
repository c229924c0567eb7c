"""A real PostgreSQL for tests: a throw-away server on a socket of its own, stopped and started."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

DEBIAN = Path("/usr/lib/postgresql")  # Debian keeps the server's commands off the PATH


class Server:
    """A server in `folder`, reached through a socket there."""

    def __init__(self, initdb: str, pg_ctl: str, folder: Path) -> None:
        self._pg_ctl, self._folder, self._data = pg_ctl, folder, str(folder / "data")
        self._call(initdb, "-A", "trust", "-U", "vital", "-E", "UTF8", "--no-sync")

    def start(self) -> None:
        """Start, and wait until connections are taken."""
        options = f"-k {self._folder} -c listen_addresses='' -c fsync=off"
        self._call(self._pg_ctl, "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop at once, as a crash does: open connections are cut."""
        self._call(self._pg_ctl, "-m", "immediate", "-w", "stop")

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        address = f"postgresql+psycopg://vital@/postgres?host={self._folder}"
        name = f"t{uuid.uuid4().hex}"
        engine = sa.create_engine(address, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return address.replace("/postgres?", f"/{name}?")

    def _call(self, command: str, *arguments: str) -> None:
        who = {"user": "postgres"} if os.geteuid() == 0 else {}  # the server refuses to be root
        subprocess.run(
            [command, "-D", self._data, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            **who,
        )


@contextmanager
def running_server() -> Iterator[Server]:
    """A started server; the test is skipped where PostgreSQL is not installed."""
    places = os.pathsep.join([os.environ["PATH"], *map(str, DEBIAN.glob("*/bin"))])
    commands = [shutil.which(name, path=places) for name in ("initdb", "pg_ctl")]
    if not all(commands):
        pytest.skip("needs PostgreSQL's initdb and pg_ctl (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="vital-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    try:
        server = Server(*commands, folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that the tests of a module share."""
    with running_server() as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that one test may stop and start."""
    with running_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    """The URL of a new label log, once in SQLite and once in PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'labels.sqlite'}"
    return request.getfixturevalue("server").new_database()
