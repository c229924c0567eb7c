"""Tests of background jobs: start, wait, pause, stop and state."""

from __future__ import annotations

import asyncio
import signal
import threading
from types import SimpleNamespace

import pytest
from clinic_requests import any_image
from waiting import until

from vital_lib.client import UNSENT, ChatClient
from vital_lib.client import job as job_module
from vital_lib.client.job import Job
from vital_lib.clinic.server import Dials, running
from vital_lib.prompts import verdict_prompt


@pytest.fixture
def image(tmp_path):
    return any_image(tmp_path)


@pytest.fixture
def clock(monkeypatch):
    """A clock that advances only when the test sets it."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(job_module.time, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def held():
    """A job whose work waits for `release`; tests may set its tally."""
    release = threading.Event()
    job = Job(lambda control: release.wait(30), 100)
    job.release = release
    yield job
    release.set()


def verdicts(image, count):
    return [verdict_prompt(f"number {number}", image, "r", "x", "y") for number in range(count)]


def test_the_result_is_what_the_work_returned():
    job = Job(lambda control: control.tally, 0).start()
    assert job.result() is job.control.tally
    assert job.state()["status"] == "finished"


def test_result_raises_the_error_of_the_work():
    def work(control):
        raise ValueError("no such arm")

    job = Job(work, 3).start()
    for _ in range(2):
        with pytest.raises(ValueError, match="no such arm"):
            job.result()
    assert (job.state()["status"], job.state()["error"]) == ("failed", "ValueError: no such arm")


def test_a_job_starts_once_and_has_no_result_before():
    runs = []
    job = Job(lambda control: runs.append(control), 1)
    assert job.state()["status"] == "waiting"
    with pytest.raises(RuntimeError, match=r"start\(\)"):
        job.result()
    job.start().start()
    job.result()
    assert len(runs) == 1


def test_a_negative_total_is_refused():
    with pytest.raises(ValueError, match="-1"):
        Job(print, -1)


def test_result_times_out_and_the_work_goes_on(held):
    held.start()
    with pytest.raises(TimeoutError, match="goes on"):
        held.result(timeout=0.01)
    assert held.state()["status"] == "running"


def test_an_interrupted_wait_does_not_stop_the_work(held):
    held.start()
    main = threading.main_thread().ident
    threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt, match="the work goes on"):
        held.result(timeout=20)
    assert held.state()["status"] == "running"
    held.release.set()
    assert held.result() is True


def test_the_status_follows_pause_resume_and_stop(held):
    seen = [held.state()["status"]]
    for act in (held.start, held.pause, held.resume, held.stop, held.resume):
        act()
        seen.append(held.state()["status"])
    assert seen == ["waiting", "running", "paused", "running", "stopping", "stopping"]
    held.release.set()
    held.result()
    assert held.state()["status"] == "stopped"


def test_rate_and_time_left_use_the_last_half_minute(held, clock):
    held.start()
    tally = held.control.tally
    assert (held.state()["per_second"], held.state()["seconds_left"]) == (0, None)
    for second in range(1, 41):
        clock.now += 1
        tally.done += 1 if second <= 10 else 2
        state = held.state()
    assert state["per_second"] == 2
    assert state["seconds_left"] == (100 - 70) / 2
    assert state["seconds"] == 40


def test_the_rate_excludes_replies_from_the_ledger(held, clock):
    held.start()
    held.control.tally.done, held.control.tally.known = 60, 50
    clock.now += 5
    assert held.state()["per_second"] == 2
    assert held.state()["seconds_left"] == 20


def test_the_rate_excludes_a_pause(held, clock):
    held.start()
    held.control.tally.done = 10
    clock.now += 5
    assert held.state()["per_second"] == 2
    held.pause()
    clock.now += 600
    assert (held.state()["per_second"], held.state()["seconds_left"]) == (0, None)
    held.resume()
    clock.now += 5
    held.control.tally.done += 10
    assert held.state()["per_second"] == 2


def test_seconds_stop_when_the_job_ends(clock):
    job = Job(lambda control: None, 1).start()
    job.result()
    clock.now += 60
    assert job.state()["seconds"] == 0


def test_several_calls_are_counted_together(image):
    client, prompts = ChatClient(), verdicts(image, 8)

    def work(control):
        return [client.ask(part, control=control) for part in (prompts[:5], prompts[3:])]

    first, second = (job := Job(work, 10).start()).result(60)
    assert [reply.reply_id for reply in first[3:]] == [reply.reply_id for reply in second[:2]]
    state = job.state()
    assert (state["done"], state["known"], state["failed"], state["in_flight"]) == (10, 2, 0, 0)
    assert state["tokens_in"] == client.spent()["tokens_in"] > 0


def test_a_pause_stops_requests_and_a_stop_keeps_the_replies(image):
    with running(Dials(latency=0.05, reply="fixed")) as server:
        client = ChatClient("clinic", base_url=server.url, local=True, concurrency=4)
        prompts = verdicts(image, 2000)
        job = Job(lambda control: client.ask(prompts, control=control), len(prompts)).start()
        until(lambda: job.state()["done"] >= 20)
        job.pause()
        until(lambda: server.stats()["in_flight"] == 0 == job.state()["in_flight"])
        sent = server.stats()["requests"]
        threading.Event().wait(0.5)  # ten times the latency, in which nothing more may arrive
        assert server.stats()["requests"] == sent
        assert job.state()["status"] == "paused"

        job.resume()
        until(lambda: job.state()["done"] >= sent + 20)
        job.stop()
        replies = job.result(60)
        kept = [reply for reply in replies if reply.reason != UNSENT]
        state = job.state()
        assert state["status"] == "stopped"
        assert sent + 20 <= len(kept) == state["done"] == server.stats()["answered"] < 2000
        assert state["failed"] == 0

        # A second job sends only the remaining prompts.
        again = Job(
            lambda control: client.ask(prompts[: len(kept) + 5], control=control), 0
        ).start()
        again.result(60)
        assert again.state()["known"] == len(kept)
        assert server.stats()["repeated"] == 0


def test_an_awaiting_cell_leaves_the_kernel_free_and_gets_the_result(held):
    async def cell():
        waiting = asyncio.ensure_future(_awaited(held.start()))
        held.release.set()  # runs while the cell awaits; result() would block the loop
        return await waiting

    assert asyncio.run(cell()) is True


def test_an_interrupted_await_does_not_stop_the_work(held):
    async def cell():
        waiting = asyncio.ensure_future(_awaited(held.start()))
        await asyncio.sleep(0)
        waiting.cancel()
        await waiting

    with pytest.raises(asyncio.CancelledError, match="the work goes on"):
        asyncio.run(cell())
    assert held.state()["status"] == "running"


async def _awaited(job):
    return await job
