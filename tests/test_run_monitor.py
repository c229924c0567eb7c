"""Claims about the monitor of a job, by its methods and without a browser."""

from __future__ import annotations

import json
import threading

import pytest
from clinic_requests import any_image
from waiting import until

from vital_lib.client import ChatClient
from vital_lib.client.job import Job
from vital_lib.panels import RunMonitor
from vital_lib.prompts import verdict_prompt


class Work:
    """Work that counts when told to, and ends when told to."""

    def __init__(self):
        self.release, self.error = threading.Event(), None

    def __call__(self, control):
        self.release.wait(30)
        if self.error is not None:
            raise self.error


@pytest.fixture
def work():
    work = Work()
    yield work
    work.release.set()


@pytest.fixture
def job(work):
    return Job(work, 10)


@pytest.fixture
def monitor(job):
    return RunMonitor(job, "Conversations")


def shown(monitor, **wanted):
    """What is shown, once it is what is wanted."""
    until(lambda: wanted.items() <= monitor.widget.state.items(), 10, f"{wanted} is shown")
    return monitor.widget.state


def press(monitor, name):
    """What the browser sends for a button pressed."""
    monitor._heard(monitor.widget, {"call": name, "args": [], "item": None}, [])


def test_a_job_started_later_is_watched_from_then_on(job, monitor, work):
    assert shown(monitor, status="waiting")["message"] == "not started"
    job.start()
    shown(monitor, status="running")
    job.control.tally.done, job.control.tally.failed = 7, 2
    assert shown(monitor, done=7)["failed"] == 2
    work.release.set()
    state = shown(monitor, status="finished")
    assert (state["message"], state["seconds"]) == ("2 without a value, 3 not sent", 0)


def test_the_browser_is_told_only_of_changes(job, monitor):
    job.start()
    turn = shown(monitor, status="running")["turn"]
    threading.Event().wait(0.8)  # time itself: several looks at the job
    assert monitor.widget.state["turn"] == turn
    job.control.tally.in_flight = 3
    assert shown(monitor, in_flight=3)["turn"] == turn + 1


def test_many_quick_replies_send_few_messages(job, monitor):
    job.start()
    turn = shown(monitor, status="running")["turn"]
    for _ in range(200):
        job.control.tally.done += 1
        threading.Event().wait(0.005)  # time itself: 200 replies in about a second
    shown(monitor, done=200)
    assert monitor.widget.state["turn"] - turn < 15


def test_pause_and_resume_are_buttons(job, monitor):
    job.start()
    job.control.tally.in_flight = 3
    press(monitor, "pause")
    assert monitor.widget.state["status"] == job.state()["status"] == "paused"
    assert "requests in flight still arrive" in monitor.widget.state["message"]
    job.control.tally.in_flight = 0
    shown(monitor, message="no more requests are sent until you resume")
    press(monitor, "resume")
    assert monitor.widget.state["status"] == job.state()["status"] == "running"


def test_stop_asks_once_more(job, monitor, work):
    job.start()
    press(monitor, "stop")
    assert monitor.widget.state["asking"]
    press(monitor, "go_on")
    assert not monitor.widget.state["asking"]
    assert job.state()["status"] == "running"
    press(monitor, "stop")
    press(monitor, "stop")
    assert monitor.widget.state["status"] == job.state()["status"] == "stopping"
    job.control.tally.done = 8
    work.release.set()
    assert "2 not sent; completed requests are kept" in shown(monitor, status="stopped")["message"]


def test_what_a_job_asks_in_several_calls_adds_up(tmp_path):
    """Also what it asks anew beyond the number that it was to ask."""
    prompts = [verdict_prompt(str(n), any_image(tmp_path), "r", "x", "y") for n in range(5)]
    client = ChatClient()

    def work(control):
        return [
            *client.ask(prompts[:3], control=control),
            *client.ask(prompts[3:], control=control),
            *client.ask(prompts[:2], control=control, again=True),
        ]

    job = Job(work, len(prompts))
    monitor, replies = RunMonitor(job.start()), job.result()
    state = shown(monitor, status="finished")
    assert (state["done"], state["total"], state["message"]) == (7, 7, "all answered")
    assert state["tokens_in"] == sum(reply.tokens_in for reply in replies) > 0


def test_what_holds_the_run_up_is_said(job, monitor):
    job.start()
    job.control.tally.notice = "the endpoint asks to wait 300 s"
    shown(monitor, message="the endpoint asks to wait 300 s")


def test_why_it_failed_is_said(job, monitor, work):
    work.error = ValueError("no such <b>arm</b>")
    job.start()
    work.release.set()
    shown(monitor, status="failed", message="ValueError: no such <b>arm</b>")


def test_a_question_left_open_goes_when_the_work_ends(job, monitor, work):
    job.start()
    press(monitor, "stop")
    work.release.set()
    assert not shown(monitor, status="finished")["asking"]


def test_watching_ends_with_the_job(job, work):
    before = set(threading.enumerate())
    monitor = RunMonitor(job.start())
    (watcher,) = (t for t in set(threading.enumerate()) - before if t.name == "vital-monitor")
    work.release.set()
    watcher.join(10)
    assert not watcher.is_alive()
    assert monitor.widget.state["status"] == "finished"


def test_what_is_shown_is_plain(job, monitor):
    state = monitor.widget.state
    assert json.loads(json.dumps(state, allow_nan=False)) == state
