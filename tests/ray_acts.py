"""Ray on this machine for tests: installed beside the environment, its workers found and killed.

Ray and what it lacks are installed once into a cache folder; without a package index, the tests are
skipped. This module knows nothing of what workers do, except for a task that needs no model.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pyarrow as pa
import pytest
from beside import installed_beside
from waiting import until

PACKAGES = ["ray==2.60.0", "msgpack==1.2.4", "protobuf==7.36.2"]  # the rest is in the environment
TESTS = Path(__file__).parent


def ray_site() -> Path:
    """The folder with Ray, kept between runs; the test is skipped without an index."""
    return installed_beside("ray-2.60.0", PACKAGES)


@pytest.fixture(scope="module")
def with_ray() -> Iterator[None]:
    """Ray can be imported, here and in the processes that are started from here."""
    site = str(ray_site())
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = [str(TESTS.parent), str(TESTS), *filter(None, known), site]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # loopback, read at the import
        sys.path.append(site)  # last: the environment's own packages win
        yield
        sys.path.remove(site)


@pytest.fixture(scope="module")
def ray_here(with_ray) -> Iterator[None]:
    """Ray runs on this machine, with two cores, until the module's tests have ended."""
    from vital_lib.scale.cluster import connected

    ray = connected(cores=2)
    yield
    ray.shutdown()


def ray_workers(name: str) -> list[psutil.Process]:
    """The processes of this process's Ray that run actors whose title holds `name`."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:  # it has just ended
            continue
        if title.startswith("ray::") and name in title:
            found.append(process)
    return found


def kill_one(name: str, draw: int = 0) -> bool:
    """Kill (SIGKILL) one of the workers of this name; return whether there was one."""
    if found := ray_workers(name):
        os.kill(sorted(process.pid for process in found)[draw % len(found)], signal.SIGKILL)
    return bool(found)


class Deaths:
    """Kills a worker at each of `number` moments, drawn from `done` counts below `most`.

    If no worker is alive at its moment, the next count is one.
    """

    def __init__(self, name: str, number: int, most: int, seed: int) -> None:
        self._name, self._draw, self.killed = name, random.Random(seed), 0
        self._due = sorted(self._draw.sample(range(1, most), number))

    def __call__(self, done: int) -> None:
        if self._due and done >= self._due[0] and kill_one(self._name, self._draw.randrange(9)):
            self.killed += 1
            self._due.pop(0)


class Shouting:
    """A task that needs no model: the text of each row in capitals; a row without text is bad."""

    made_by = "shouting"

    def __call__(self, rows: pd.DataFrame) -> pa.Table:
        if rows["text"].eq("too much").any():  # kills its worker each time
            os.kill(os.getpid(), signal.SIGKILL)
        text = rows["text"].str.upper()
        reason = text.isna().map({True: "no text", False: None})
        columns = {"text": text, "pid": [os.getpid()] * len(rows), "reason": reason}
        return pa.Table.from_pandas(rows[["id"]].assign(**columns), preserve_index=False)


class Dying(Shouting):
    """Kills its worker when it meets one of `ids`, the first time; `folder` holds which died."""

    def __init__(self, ids: list[int], folder: Path) -> None:
        self._ids, self._folder = ids, folder

    def __call__(self, rows: pd.DataFrame) -> pa.Table:
        for number in rows["id"][rows["id"].isin(self._ids)]:
            if not (self._folder / str(number)).exists():
                (self._folder / str(number)).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(rows)


def results_in(folder: Path) -> int:
    """The number of shards in `folder`."""
    return len(list(folder.glob("*.parquet")))


def until_results(folder: Path, number: int) -> None:
    """Wait until `folder` holds `number` results."""
    until(lambda: results_in(folder) >= number, 120, f"{number} results")


class Waiting(Shouting):
    """Waits, once `folder` holds `number` results, until the file `flag` exists.

    It counts results because shards come in any order, and Ray hands on their outcomes late.
    """

    def __init__(self, folder: Path, number: int, flag: Path) -> None:
        self._folder, self._number, self._flag = folder, number, flag

    def __call__(self, rows: pd.DataFrame) -> pa.Table:
        if results_in(self._folder) >= self._number:
            until(self._flag.exists, 300, "the flag of the test")
        return super().__call__(rows)


def encode_alone(paths: list[str]) -> float:
    """Seconds in which this process encodes images, its model loaded and the files checked."""
    from vital_lib.encoders import load_encoder
    from vital_lib.figures import open_image

    encoder, opened = load_encoder(), [open_image(path) for path in paths]
    start = time.perf_counter()
    encoder.images(opened)
    return time.perf_counter() - start
