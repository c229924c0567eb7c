"""A run with batches that is killed, at any moment: nothing is lost, and nothing is paid twice."""

from __future__ import annotations

import random

import pytest
from batch_acts import STEPS, ask, ask_until_killed, clinic, process, quick
from client_acts import verdicts
from loopback import save_image
from waiting import until

from vital_lib.client.batches import files, run, writing
from vital_lib.clinic.server import Dials, running
from vital_lib.figures import open_image

COUNT, LINES = 12, 5  # three input files


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    for module, name in ((run, "POLL_SECONDS"), (files, "MOST_LINES"), (writing, "_CHUNK")):
        monkeypatch.setattr(module, name, getattr(module, name))  # restored after `quick`
    quick(LINES)


def check(server, ledger, replies, count=COUNT):
    """Check that each request was answered and paid once, and that nothing is left behind."""
    client = clinic(server.url, ledger)
    stats = server.stats()["batches"]
    assert [reply.reason for reply in replies] == [None] * count
    assert (stats["answered"], stats["repeated"], stats["files"]) == (count, 0, 0)
    assert client.ledger.bill()["requests"] == count
    assert client.pending.files() == [] and client.pending.usd() == 0
    assert client.ledger.unanswered().empty


BETWEEN = [("uploaded", "after"), ("created", "before"), ("created", "after")]
"""Between the upload and the batch, the batch and its record, and the batch and its collection."""
OTHERS = [
    pytest.param(step, when, marks=pytest.mark.slow)
    for step in STEPS
    for when in ("before", "after")
    if (step, when) not in BETWEEN
]


@pytest.mark.parametrize(("step", "when"), [*BETWEEN, *OTHERS])
def test_the_next_run_goes_on_after_a_kill_around_each_step(tmp_path, step, when):
    image, ledger = save_image(tmp_path / "a.png", 1), tmp_path / "ledger.sqlite"
    with running(Dials(reply="fixed")) as server:
        arguments = (server.url, ledger, image, COUNT, LINES)
        ask_until_killed(arguments, step, when)
        batches = server.stats()["batches"]["batches"]
        check(server, ledger, ask(*arguments))
        if step in ("uploaded", "created"):  # its file and its batch are found again
            stats = server.stats()["batches"]
            assert batches <= 1 and (stats["uploads"], stats["batches"]) == (3, 3)


def test_an_upload_of_other_requests_is_removed_after_a_kill(tmp_path):
    image, ledger = save_image(tmp_path / "a.png", 1), tmp_path / "ledger.sqlite"
    with running(Dials(reply="fixed")) as server:
        ask_until_killed((server.url, ledger, image, COUNT, LINES), "uploaded", "before")
        assert server.stats()["batches"]["files"] == 1
        others = verdicts(open_image(image), 3, start=100)
        replies = clinic(server.url, ledger).ask(others, batch=True)
        check(server, ledger, replies, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("when", "requests"), [("uploaded", 0), ("created", 4)])
def test_what_a_killed_run_left_is_cancelled_too(tmp_path, when, requests):
    image, ledger = save_image(tmp_path / "a.png", 1), tmp_path / "ledger.sqlite"
    with running(Dials(reply="fixed", batch_seconds=600)) as server:
        ask_until_killed((server.url, ledger, image, 4, LINES), when, "before")
        client = clinic(server.url, ledger)
        assert client.cancel_batches() == requests
        stats = server.stats()["batches"]
        assert stats["batches"] == min(requests, 1)
        if not requests:
            assert stats["files"] == 0 and client.pending.files() == []


@pytest.mark.slow
def test_batches_of_a_killed_run_are_collected_for_other_requests_too(tmp_path):
    image, ledger = save_image(tmp_path / "a.png", 1), tmp_path / "ledger.sqlite"
    with running(Dials(reply="fixed")) as server:
        ask_until_killed((server.url, ledger, image, 4, LINES), "keep", "before")
        client = clinic(server.url, ledger)
        client.ask(verdicts(open_image(image), 1, start=100), batch=True)
        known = client.ask(verdicts(open_image(image), 4))
        assert [reply.reason for reply in known] == [None] * 4
        stats = server.stats()
        assert stats["requests"] == 0 and stats["batches"]["answered"] == 5


@pytest.mark.slow
def test_ten_kills_at_random_moments_lose_and_repeat_nothing(tmp_path):
    chance, count = random.Random(14), 60
    image, ledger = save_image(tmp_path / "a.png", 1), tmp_path / "ledger.sqlite"
    with running(Dials(reply="fixed", batch_seconds=0.3)) as server:
        arguments = (server.url, ledger, image, count, LINES)

        def moment():
            stats = server.stats()["batches"]
            return 2 * stats["uploads"] + 2 * stats["batches"] + stats["answered"] - stats["files"]

        for _ in range(10):
            aim = moment() + chance.randrange(12)
            with process(ask, *arguments) as child:
                until(lambda aim=aim, child=child: moment() >= aim or not child.is_alive())
        check(server, ledger, ask(*arguments), count)
