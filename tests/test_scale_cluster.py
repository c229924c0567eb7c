"""Claims about a cluster of two nodes, of which one is lost in the middle of a run.

Both nodes are on this machine, on loopback; the node that is lost is killed by its process id.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from ray_acts import Waiting, until_results, with_ray  # noqa: F401 - a fixture
from test_scale_deaths import (
    CONCURRENCY,
    check_complete,
    check_paid_once,
    open_shared,
    prompts,
    rows_of,
)

from vital_lib import scale
from vital_lib.client import ChatClient
from vital_lib.clinic.server import Dials, running

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("with_ray")]

STORE_BYTES = 80 * 2**20
NODE = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "node_ip_address": "127.0.0.1"}


def add_node(cluster, **node) -> None:
    """Start a node, again if it did not come up in time: Ray gives it half a minute."""
    for start in range(1, 5):
        try:
            cluster.add_node(**node)
            return
        except Exception as error:
            if start == 4 or "timed out during startup" not in str(error):
                raise


@pytest.fixture(scope="module")
def head(with_ray):  # noqa: F811
    """A cluster of one node with a core, to which this process is connected."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster()
        add_node(cluster, **NODE, include_dashboard=False)
        patch.setenv("RAY_ADDRESS", cluster.address)
        ray = scale.connected()
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def cluster(head):
    """The cluster with a second node of one core."""
    add_node(head, **NODE)
    return head


def kill_second(cluster) -> None:
    """Kill the processes of the second node."""
    node = cluster.worker_nodes.pop()
    for kind in node.all_processes.values():
        for process in kind:
            os.kill(process.process.pid, signal.SIGKILL)


def test_a_node_lost_among_requests_loses_and_doubles_nothing(cluster, tmp_path):
    number = 200

    def lose(done: int) -> None:
        if done == 60:
            kill_second(cluster)

    with running(Dials(latency=0.05)) as server:
        client = open_shared(server, tmp_path / "ledger.sqlite")
        shared = client.ask(prompts(tmp_path, number), on_reply=lose)
        check_paid_once(tmp_path / "ledger.sqlite", server, number, CONCURRENCY)
    alone = ChatClient().ask(prompts(tmp_path, number))
    assert [reply.text for reply in shared] == [reply.text for reply in alone]


def test_a_node_lost_among_shards_loses_and_doubles_nothing(cluster, tmp_path):
    rows, flag = rows_of(400), tmp_path / "flag"
    scale.write_shards(rows, tmp_path / "in", size=10)
    task = partial(Waiting, tmp_path / "out", 8, flag)

    def lose() -> None:
        until_results(tmp_path / "out", 8)
        kill_second(cluster)
        flag.touch()

    with ThreadPoolExecutor(1) as pool:
        losing = pool.submit(lose)
        done = list(scale.run_shards(task, tmp_path / "in", tmp_path / "out", workers=2))
        losing.result()
    assert len(done) == 40 and sum(shard.kept for shard in done) <= 2  # whose outcome was lost
    check_complete(tmp_path / "out", rows)
