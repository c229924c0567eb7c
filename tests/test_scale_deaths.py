"""Claims about what dies: workers, the driver, the endpoint. Nothing is lost or paid for twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from functools import partial

import pandas as pd
import pytest
from clinic_requests import any_image, phantom_figures
from ray_acts import (  # noqa: F401 - fixtures
    Deaths,
    Dying,
    Shouting,
    Waiting,
    ray_here,
    until_results,
    with_ray,
)
from waiting import until

from vital_lib import scale
from vital_lib.client import ChatClient, Control, Ledger, ModelUnavailable
from vital_lib.clinic.server import Dials, running
from vital_lib.prompts import rating_prompt

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]

CONCURRENCY = 8


def prompts(folder, number):
    image = any_image(folder)
    for place, figure in enumerate(phantom_figures(number)):
        yield rating_prompt(figure, image, f"{place}. On which side is it?", "It lies left.")


def open_shared(server, ledger, **options):
    return scale.open_client(
        engine="ray",
        base_url=server.url,
        local=True,
        ledger=ledger,
        concurrency=CONCURRENCY,
        workers=2,
        **options,
    )


def check_paid_once(ledger, server, number, in_flight):
    """Each prompt has one stored reply; only what was in flight at deaths was sent twice."""
    history = Ledger(ledger).history()
    answered = history[history["answered"]]
    assert len(answered) == number == answered["key"].nunique()
    stats = server.stats()
    assert stats["answered"] - stats["repeated"] == number == stats["distinct"]
    assert stats["requests"] - number <= in_flight


def test_workers_killed_at_ten_random_moments_lose_and_repeat_nothing(tmp_path):
    number, deaths = 400, Deaths("_Sending", 10, most=300, seed=14)
    alone = ChatClient().ask(prompts(tmp_path, number))
    with running(Dials(latency=0.05)) as server:
        client = open_shared(server, tmp_path / "ledger.sqlite")
        shared = client.ask(prompts(tmp_path, number), on_reply=deaths)
        assert deaths.killed == 10
        check_paid_once(tmp_path / "ledger.sqlite", server, number, 10 * CONCURRENCY)
    values = [(reply.value, reply.text) for reply in shared]
    assert values == [(reply.value, reply.text) for reply in alone]


def rows_of(number):
    return pd.DataFrame({"id": range(number), "text": [f"text {n}" for n in range(number)]})


def check_complete(folder, rows):
    """Every row has its result once, in order."""
    found = [scale.read_shard(folder, name) for name in scale.shard_names(folder)]
    found = pd.concat(found, ignore_index=True)
    assert found["id"].tolist() == rows["id"].tolist()
    assert found["text"].tolist() == rows["text"].str.upper().tolist()


def test_shards_whose_workers_are_killed_at_ten_random_moments_are_complete(tmp_path):
    rows, ids = rows_of(400), random.Random(14).sample(range(400), 10)
    scale.write_shards(rows, tmp_path / "in", size=10)
    (tmp_path / "died").mkdir()
    task = partial(Dying, ids, tmp_path / "died")
    done = list(scale.run_shards(task, tmp_path / "in", tmp_path / "out", workers=2))
    assert len(list((tmp_path / "died").iterdir())) == 10
    assert len(done) == 40 and not any(shard.kept for shard in done)
    check_complete(tmp_path / "out", rows)


def test_a_shard_that_kills_every_worker_is_named_and_the_others_are_computed(tmp_path):
    texts = ["a", "b", "too much", "d"]
    scale.write_shards(pd.DataFrame({"id": range(4), "text": texts}), tmp_path / "in", size=1)
    with pytest.raises(scale.ShardsFailed, match="1 of 4 shards .* first 000002.*its workers died"):
        list(scale.run_shards(Shouting, tmp_path / "in", tmp_path / "out", workers=2))
    assert scale.shard_names(tmp_path / "out") == [f"00000{n}.parquet" for n in (0, 1, 3)]


def test_an_object_store_that_is_full_stops_neither_shards_nor_requests(tmp_path):
    import numpy as np
    import ray

    size = int(ray.cluster_resources()["object_store_memory"])
    held = [ray.put(np.zeros(size // 5, np.uint8)) for _ in range(8)]  # more than there is room for
    scale.write_shards(rows_of(40), tmp_path / "in", size=10)
    assert len(list(scale.run_shards(Shouting, tmp_path / "in", tmp_path / "out"))) == 4
    with running(Dials()) as server:
        replies = open_shared(server, tmp_path / "ledger.sqlite").ask(prompts(tmp_path, 40))
    assert all(reply.value for reply in replies) and len(held) == 8


def test_an_endpoint_that_dies_ends_the_run_in_one_line_and_only_the_rest_is_sent(tmp_path):
    ledger, number, control = tmp_path / "ledger.sqlite", 200, Control()
    with running(Dials(latency=0.02)) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        client = open_shared(server, ledger)

        def end(done: int) -> None:
            if done == 50:
                os.kill(server.pid, signal.SIGKILL)

        with pytest.raises(ModelUnavailable, match="cannot be reached"):
            client.ask(prompts(tmp_path, number), on_reply=end, control=control)
    known = int(Ledger(ledger).history()["answered"].sum())
    assert known >= 50
    with running(Dials(), port=port) as server:
        replies = client.ask(prompts(tmp_path, number))
        assert server.stats()["requests"] == number - known
    assert all(reply.value for reply in replies)


DRIVER = """
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from ray_acts import Waiting
from test_scale_deaths import open_shared, prompts
from vital_lib import scale
from vital_lib.scale.cluster import connected
folder, url, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
connected(cores=2)
if url:
    client = open_shared(SimpleNamespace(url=url), folder / "ledger.sqlite")
    client.ask(prompts(folder, number), on_reply=lambda done: print(done, flush=True))
else:
    task = partial(Waiting, folder / "out", number, folder / "flag")
    list(scale.run_shards(task, folder / "in", folder / "out"))
"""


def killed_driver(folder, url, number, reached):
    """Run a driver, kill it once `reached(driver)` returns, wait until its Ray is gone too."""
    import psutil

    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder), url, str(number)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as driver:
        reached(driver)
        below = psutil.Process(driver.pid).children(recursive=True)
        driver.kill()
    _, left = psutil.wait_procs(below, timeout=30)
    for process in left:  # Ray ends them when it notices; no test of ours waits for that
        process.kill()


def said(moment):
    """Wait until a driver has printed the line `moment`."""

    def reached(driver) -> None:
        assert any(line.strip() == moment for line in driver.stdout), f"it never said {moment}"

    return reached


def test_a_driver_that_is_killed_repeats_nothing_that_was_paid_for(tmp_path):
    number = 200
    with running(Dials(latency=0.05)) as server:
        killed_driver(tmp_path, server.url, number, said("77"))
        ledger = Ledger(tmp_path / "ledger.sqlite")
        known, in_flight = int(ledger.history()["answered"].sum()), len(ledger.unanswered())
        assert known >= 77 and in_flight <= 2 * CONCURRENCY  # one of each of the run's tasks
        until(lambda: server.stats()["in_flight"] == 0, what="the requests of the dead workers")
        before = server.stats()["requests"]
        replies = open_shared(server, tmp_path / "ledger.sqlite").ask(prompts(tmp_path, number))
        assert server.stats()["requests"] - before == number - known
        check_paid_once(tmp_path / "ledger.sqlite", server, number, in_flight)
    assert all(reply.value for reply in replies)


def test_a_driver_that_is_killed_keeps_the_shards_that_are_done(tmp_path):
    rows = rows_of(300)
    scale.write_shards(rows, tmp_path / "in", size=10)
    killed_driver(tmp_path, "", 7, lambda driver: until_results(tmp_path / "out", 7))
    (tmp_path / "flag").touch()
    task = partial(Waiting, tmp_path / "out", 7, tmp_path / "flag")
    done = list(scale.run_shards(task, tmp_path / "in", tmp_path / "out"))
    assert len(done) == 30 and 7 <= sum(shard.kept for shard in done) <= 10
    check_complete(tmp_path / "out", rows)
