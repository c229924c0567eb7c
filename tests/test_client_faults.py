"""Tests of fault handling: bursts, long waits, kills, full disks and keys."""

from __future__ import annotations

import json
import logging
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import httpx2
import pandas as pd
import pytest
from client_acts import KEY, echo, local, verdicts
from loopback import Loopback, fault, said
from waiting import until

from vital_lib.client import (
    UNSENT,
    ChatClient,
    Control,
    Ledger,
    LedgerUnwritable,
    ModelUnavailable,
    faults,
    limits,
)
from vital_lib.client.faults import KEY_NAMES
from vital_lib.client.limits import AdaptiveLimit, CircuitBreaker
from vital_lib.clinic.server import Dials, running

# ------------------------------------------------------------------ concurrency limit


def test_a_burst_of_refusals_cuts_the_limit_once_and_it_recovers_in_a_few_rounds():
    limit = AdaptiveLimit(64)
    cuts = [limit.note(0, refused=True) for _ in range(200)]  # all admitted before the first cut
    assert sum(cuts) == 1 and limit.limit == 32
    rounds = 0
    while limit.limit < 64:
        for _ in range(limit.limit):
            limit.note(1, refused=False)
        rounds += 1
    assert rounds <= 4


def test_scattered_refusals_never_cut_the_limit():
    chance, limit = random.Random(0), AdaptiveLimit(64)
    assert not any(limit.note(0, refused=chance.random() < 0.1) for _ in range(100_000))
    assert limit.limit == 64


def test_the_limit_never_falls_below_one():
    limit = AdaptiveLimit(2)
    for cut in range(10):
        for _ in range(100):
            limit.note(cut, refused=True)
    assert limit.limit == 1


def test_a_servers_limit_is_found_with_few_wasted_requests(image):
    control = Control()
    with running(Dials(latency=0.05, at_once=16, reply="fixed")) as server:
        client = ChatClient(base_url=server.url, local=True, concurrency=64)
        replies = client.ask(verdicts(image, 600), control=control)
        stats = server.stats()
    assert all(reply.value for reply in replies) and stats["answered"] == 600
    assert control.tally.rate_limited == stats["faults"]["limit"] < 2 * 600


def test_a_long_retry_after_holds_the_whole_run_and_is_logged_once(image, caplog):
    def answer(body, place):
        return fault(429, "slow down", retry_after="400") if place < 2 else echo(body)

    control = Control()
    with Loopback(answer) as server:
        client = local(server, concurrency=2)
        result = _in_background(client.ask, list(verdicts(image, 20)), control=control)
        until(lambda: len(server.bodies) == 2 and "asks to wait 400 s" in control.tally.notice)
        time.sleep(0.3)
        assert len(server.bodies) == 2  # no other request was sent
        control.stop()
        replies = result()
    assert [reply.reason for reply in replies] == [UNSENT] * 20
    assert sum("asks to wait 400 s" in record.message for record in caplog.records) == 1


def test_a_retry_after_beyond_the_patience_is_obeyed(image, monkeypatch):
    monkeypatch.setattr(faults, "_PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(faults, "_spread", lambda state: 0.0)

    def answer(body, place):
        return fault(429, retry_after="0.2") if place < 3 else echo(body)

    with Loopback(answer) as server:
        [reply] = local(server).ask(verdicts(image, 1))
    assert reply.value and server.times[3] - server.times[0] >= 0.6


def test_a_high_failure_rate_ends_a_run_only_if_it_persists():
    clock = iter(range(10_000))
    breaker = CircuitBreaker(lambda: next(clock))  # one second per request
    assert not any(breaker.note("500" if n % 10 < 6 else None) for n in range(500))
    reasons = [why for n in range(200) if (why := breaker.note("500" if n % 10 < 9 else None))]
    assert "of the last 100 requests failed" in reasons[0] and "mostly with: 500" in reasons[0]
    clock = iter(range(10_000))
    breaker = CircuitBreaker(lambda: next(clock) / 100)
    assert not any(breaker.note("500") for _ in range(1000))  # ten seconds of outage
    assert not any(breaker.note(None) for _ in range(1000))


def test_a_persistent_failure_rate_ends_a_run_with_one_clear_error(image, monkeypatch):
    monkeypatch.setattr(limits, "_HIGH_SECONDS", 0.2)
    control = Control()
    with running(Dials(faults={"server_error": 0.9}, reply="fixed")) as server:
        client = ChatClient(base_url=server.url, local=True, concurrency=16)
        with pytest.raises(ModelUnavailable, match=r"stopped early: \d+ of the last") as caught:
            client.ask(verdicts(image, 5000), control=control)
    assert "The server had an error" in str(caught.value) and caught.value.__context__ is None
    assert 0 < len(client.ledger.history()) < 5000


# ------------------------------------------------------------------ pause, stop


def test_a_paused_run_sends_nothing_until_it_is_resumed(image):
    control = Control()
    with Loopback(lambda body, place: time.sleep(0.02) or echo(body)) as server:
        client = local(server, concurrency=2)
        result = _in_background(client.ask, verdicts(image, 60), control=control)
        until(lambda: len(server.bodies) >= 5)
        control.pause()
        time.sleep(0.2)
        held = len(server.bodies)
        time.sleep(0.3)
        assert len(server.bodies) == held < 60 and control.state == "paused"
        control.resume()
        replies = result()
    assert all(reply.value for reply in replies) and len(server.bodies) == 60
    assert (control.tally.done, control.tally.failed, control.tally.in_flight) == (60, 0, 0)


def test_a_stopped_run_keeps_its_replies_and_can_be_started_again(image, tmp_path):
    control = Control()
    with Loopback(lambda body, place: time.sleep(0.01) or echo(body)) as server:
        client = local(server, concurrency=2, ledger=tmp_path / "l.sqlite")
        replies = client.ask(
            verdicts(image, 100),
            control=control,
            on_reply=lambda count: control.stop() if count == 10 else None,
        )
        good = [reply for reply in replies if reply.value]
        assert len(replies) == 100 and 10 <= len(good) < 40
        assert {reply.reason for reply in replies if not reply.value} == {UNSENT}
        assert len(server.bodies) == len(good)
        control.resume()
        assert control.state == "stopped"
        assert all(reply.value for reply in client.ask(verdicts(image, 100)))
    assert len(server.bodies) == 100


# ------------------------------------------------------------------ one-line errors


@pytest.mark.parametrize(
    ("model", "key", "words"),
    [
        ("clinic", "wrong-key-0123456789", "key was refused"),
        ("other", KEY, "no such model at this address"),
    ],
)
def test_a_wrong_key_and_an_unknown_model_are_one_line_errors_and_the_ledger_stays_intact(
    image, tmp_path, monkeypatch, model, key, words
):
    with running(Dials(key=KEY, reply="fixed" if model == "clinic" else "simulated")) as server:
        monkeypatch.setenv("VITAL_API_KEY", KEY)
        good = ChatClient(base_url=server.url, local=True, ledger=tmp_path / "l.sqlite")
        first = good.ask(verdicts(image, 3))
        monkeypatch.setenv("VITAL_API_KEY", key)
        client = ChatClient(model, base_url=server.url, local=True, ledger=tmp_path / "l.sqlite")
        with pytest.raises(ModelUnavailable, match=words) as caught:
            client.ask(verdicts(image, 50, start=10))
    assert "\n" not in str(caught.value) and key not in str(caught.value)
    assert good.ask(verdicts(image, 3)) == first and len(good.ledger.history()) == 3


def test_a_full_disk_is_one_clear_error_and_the_ledger_stays_intact(image, tmp_path):
    with Loopback(echo) as server:
        client = local(server, ledger=tmp_path / "l.sqlite", concurrency=4)
        first = client.ask(verdicts(image, 3))
        [pages] = client.ledger._writer.execute("PRAGMA page_count").fetchone()
        client.ledger._writer.execute(f"PRAGMA max_page_count = {pages + 4}")
        with pytest.raises(LedgerUnwritable, match=r"l\.sqlite.* cannot be written: .*full"):
            client.ask(verdicts(image, 500))
        kept = len(client.ledger.history())
        assert 3 <= kept < 500
        roomy = local(server, ledger=tmp_path / "l.sqlite")
        assert roomy.ask(verdicts(image, 3)) == first
        assert len(roomy.ask(verdicts(image, 500))) == len(roomy.ledger.history()) == 500
    with sqlite3.connect(tmp_path / "l.sqlite") as other:
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_server_without_schema_support_gets_the_schema_in_a_message(image):
    def answer(body, place):
        if "response_format" in body:
            return fault(400, "Unknown parameter: 'response_format'.")
        assert "fits this schema" in body["messages"][-1]["content"]
        return said(json.dumps({"rationale": "", "winner": "tie"}))

    with Loopback(answer) as server:
        replies = local(server, concurrency=2).ask(verdicts(image, 20))
    assert all(reply.value for reply in replies) and len(server.bodies) <= 20 + 4


# ------------------------------------------------------------------ keys


@pytest.mark.parametrize("name", KEY_NAMES)
def test_a_planted_key_is_in_no_output(image, tmp_path, monkeypatch, caplog, name):
    """Neither ledger, export, debug log, replies nor errors contain a key the endpoint repeats."""
    url = {
        "OPENAI_API_KEY": None,
        "AZURE_OPENAI_API_KEY": "https://mine.openai.azure.com/openai/v1/",
        "VITAL_API_KEY": "http://127.0.0.1:9/v1",
    }[name]
    monkeypatch.setenv(name, KEY)
    caplog.set_level(logging.DEBUG)
    sent = []

    async def handle(request):
        sent.append((request.url.path, request.headers["authorization"]))
        kinds = [said(f"you are {KEY}"), fault(400, f"bad {KEY}"), (200, {}, f"<{KEY}>".encode())]
        kinds += [fault(500, f"failed for {KEY}", retry_after_ms="1"), fault(401, f"no {KEY}")]
        status, headers, body = kinds[min(len(sent) - 1, 4)]
        return httpx2.Response(status, headers=headers, content=body)

    client = ChatClient(
        "judge",
        base_url=url,
        local=True,
        ledger=tmp_path / "l.sqlite",
        concurrency=1,
        transport=httpx2.MockTransport(handle),
    )
    with pytest.raises(ModelUnavailable) as caught:
        client.ask(verdicts(image, 20))
    client.ledger.export(tmp_path / "replies.jsonl")
    assert sent[0][1] == f"Bearer {KEY}" and sent[0][0].endswith("/v1/chat/completions")
    written = b"".join(p.read_bytes() for p in tmp_path.iterdir() if p.suffix != ".png")
    assert b"you are [" in written
    shown = written.decode(errors="replace") + caplog.text + str(caught.value) + repr(vars(client))
    assert caplog.records and KEY not in shown


# ------------------------------------------------------------------ mixed faults, kills

MIXED = {
    **{"rate_limited": 0.06, "rate_limited_after": 0.04, "server_error": 0.05, "reset": 0.04},
    **{"hang": 0.02, "malformed": 0.03, "truncated": 0.03},
    **{"refusal": 0.01, "empty": 0.01, "wrong_schema": 0.01},
}


@pytest.mark.slow
def test_all_prompts_finish_when_thirty_percent_of_requests_fail_in_mixed_ways(image, capsys):
    control = Control()
    with running(Dials(latency=0.02, retry_after=0.2, faults=MIXED, reply="fixed")) as server:
        client = ChatClient(base_url=server.url, local=True, timeout_seconds=3.0)
        replies = client.ask(verdicts(image, 1000), control=control)
        tally = control.tally
        wasted = tally.rate_limited / sum(reply.value is not None for reply in replies)
        with capsys.disabled():
            print(f"\n429s wasted per success: {wasted:.3f}, requests per reply: "
                  f"{tally.attempts / 1000:.3f}")  # fmt: skip
        null = [reply for reply in replies if reply.value is None]
        assert 0 < len(null) < 100
        assert {re.split(r"[ :]", reply.reason)[0] for reply in null} <= {
            "refused", "empty", "Verdict",
        }  # fmt: skip
        for _ in range(10):  # retry refused, empty and unreadable replies
            replies = [
                reply if reply.value else client.ask([prompt], again=True)[0]
                for reply, prompt in zip(replies, verdicts(image, 1000), strict=True)
            ]
        assert server.stats()["faults"]["rate_limited"] > 30
    assert all(reply.value for reply in replies) and wasted < 0.3


CHILD = """
import sys
from pathlib import Path
import pandas as pd
from vital_lib.generation import draft_candidates
from vital_lib.client import ChatClient
folder, url = Path(sys.argv[1]), sys.argv[2]
client = ChatClient(base_url=url, local=True, ledger=folder / "ledger.sqlite", concurrency=32)
figures = pd.read_parquet(folder / "figures.parquet")
figures["image"] = [str(folder / name) for name in figures["image"]]
print("ready", flush=True)
made, unread = draft_candidates(figures, client)
made.to_parquet(folder / "candidates.parquet")
print(len(made), len(unread), flush=True)
"""


@pytest.mark.slow
def test_random_kills_lose_nothing_and_repeat_only_requests_in_flight(image, tmp_path):
    figures = pd.DataFrame(
        {
            "figure_id": f"f{number}",
            "image": image.path.name,
            "caption": f"CT of head {number}.",
            "mentions": [],
            "modalities": ["ct_scan"],
            "group_id": f"g{number}",
            "split": "train",
        }
        for number in range(1000)
    )
    figures.to_parquet(tmp_path / "figures.parquet")
    chance, under_way = random.Random(0), []
    with running(Dials(latency=0.1, spread=0.1, reply="fixed")) as server:
        command = [sys.executable, "-c", CHILD, str(tmp_path), server.url]
        for _ in range(20):
            started = datetime.now(UTC).isoformat(timespec="milliseconds")
            child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert child.stdout.readline() == "ready\n"
            # A point in the run, not in time, because a fast machine could finish before the kill.
            moment = server.stats()["answered"] + chance.randrange(40)
            until(lambda moment=moment: server.stats()["answered"] >= moment)
            child.send_signal(signal.SIGKILL)
            child.wait()
            child.stdout.close()
            lost = Ledger(tmp_path / "ledger.sqlite").unanswered()
            under_way.append((lost["at"] >= started).sum())
        answered_before = len(Ledger(tmp_path / "ledger.sqlite").history())
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        stats = server.stats()
    assert done.stdout.split() == ["ready", "8000", "0"]
    made = pd.read_parquet(tmp_path / "candidates.parquet")
    assert made["candidate_id"].is_unique
    assert made.groupby("figure_id").size().eq(8).sum() == 1000
    history = Ledger(tmp_path / "ledger.sqlite").history()
    assert history["key"].is_unique and len(history) == 1000 == stats["distinct"]
    assert 0 < answered_before < 1000 and max(under_way) <= 32
    assert stats["repeated"] == stats["answered"] - 1000 <= sum(under_way)
    assert len(Ledger(tmp_path / "ledger.sqlite").unanswered()) == 0


def _in_background(work, *args, **options):
    """Start `work` in a thread; return a function that waits for its result."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work(*args, **options)))
    thread.start()

    def result():
        thread.join(20)
        return found[0]

    return result
