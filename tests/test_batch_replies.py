"""Replies in batches that need another request: rejected fields, unusable replies, refusals."""

from __future__ import annotations

import json
import time

import httpx2
import pytest
from batch_acts import quick
from client_acts import PRICES, verdicts
from loopback import cleared, said, save_image

from vital_lib.client import ChatClient, ModelUnavailable
from vital_lib.client.batches import files, writing
from vital_lib.client.batches import run as batch_run
from vital_lib.clinic.batches import Batches
from vital_lib.clinic.server import Dials

TIE = '{"rationale": "", "winner": "tie"}'


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    for module, name in ((batch_run, "POLL_SECONDS"), (files, "MOST_LINES"), (writing, "_CHUNK")):
        monkeypatch.setattr(module, name, getattr(module, name))  # restored after `quick`
    quick()


@pytest.fixture
def ask(tmp_path):
    """Ask two prompts in batches of the simulation, whose lines `answer` replies to."""
    image = cleared(save_image(tmp_path / "a.png", 1))
    prices = tmp_path / "prices.csv"
    prices.write_text(PRICES + "clinic,1000,2000,side 768 85,2026-11-01\n")

    def asked(answer, **options):
        bodies = []

        def reply(raw):
            bodies.append(json.loads(raw))
            status, _, content = answer(bodies[-1])
            return status, json.loads(content)

        batches = Batches(Dials(), reply, time.monotonic, time.time)

        async def handle(request):
            content, target = await request.aread(), request.url.raw_path.decode()
            status, body = batches.respond(request.method, target, request.headers, content)
            while batches.work():
                pass
            return httpx2.Response(status, content=body)

        url, transport = "http://batches.invalid/v1", httpx2.MockTransport(handle)
        client = ChatClient("clinic", base_url=url, transport=transport, prices=prices, **options)
        return client, bodies, lambda: client.ask(verdicts(image, 2), batch=True)

    return asked


def refused(message, status=400, code=None):
    """Return an error of a line."""
    return status, {}, json.dumps({"error": {"message": message, "code": code}}).encode()


def test_a_rejected_field_is_left_out_of_the_next_batch(ask):
    client, bodies, run = ask(
        lambda body: refused("Unsupported parameter: 'seed'") if "seed" in body else said(TIE)
    )
    replies = run()
    assert [reply.value.winner for reply in replies] == ["tie"] * 2
    assert ["seed" in body for body in bodies] == [True, True, False, False]
    assert client.ledger.bill()["requests"] == 2


def test_an_unusable_reply_is_requested_once_more_and_then_kept(ask):
    client, bodies, run = ask(lambda body: said("", tokens=(1000, 100)))
    replies = run()
    assert len(bodies) == 4
    assert all(reply.reason.startswith("empty reply") for reply in replies)
    assert client.spent()["usd"] == pytest.approx(4 * (1.0 + 0.2) / 2)
    assert run() == replies and len(bodies) == 4


def test_a_request_that_is_refused_for_good_is_not_submitted_again(ask):
    client, bodies, run = ask(lambda body: refused("The image is too small"))
    replies = run()
    assert len(bodies) == 2
    assert {reply.reason for reply in replies} == {
        "the API refused the request or failed: The image is too small"
    }
    assert client.spent()["usd"] == 0
    run()
    assert len(bodies) == 4  # the next run asks again, as with single requests


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (refused("no such model", 404), "no such model at this address"),
        (refused("You have no quota left", 429, "insufficient_quota"), "quota is used up"),
    ],
)
def test_a_refusal_of_all_requests_ends_the_run(ask, error, words):
    client, bodies, run = ask(lambda body: error)
    with pytest.raises(ModelUnavailable, match=words):
        run()
    assert len(bodies) == 2 and client.pending.files() == []


def test_a_line_that_failed_for_the_moment_is_submitted_three_times(ask):
    client, bodies, run = ask(lambda body: refused("busy", 503))
    assert all(reply.reason.endswith("busy; submitted 3 times") for reply in run())
    assert len(bodies) == 6
