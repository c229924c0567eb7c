"""Tests of what a run waits for and what ends it: other runs, interrupts, limits, stops."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import threading
import time
import weakref
from concurrent.futures import Future
from dataclasses import replace
from email.utils import formatdate
from types import SimpleNamespace

import httpx2
import openai
import pytest
from client_acts import TIE, echo, local, verdicts
from loopback import Loopback, fault, in_process
from waiting import until

from vital_lib.client import UNSENT, ChatClient, Control, Ledger, ModelUnavailable, faults, wire
from vital_lib.client import run as run_module
from vital_lib.client.entries import Entry
from vital_lib.client.prices import ImageRule
from vital_lib.clinic.server import Dials, running


@pytest.fixture
def held():
    """An event that is set when the test ends, also after a failure."""
    event = threading.Event()
    yield event
    event.set()


def background(work, *args, **options):
    """Run `work` in a daemon thread, so that a hang fails the test; return the result's future."""
    future = Future()

    def run():
        try:
            future.set_result(work(*args, **options))
        except Exception as error:  # noqa: BLE001 - raised by `result`
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def without_image(number):
    [prompt] = verdicts(None, 1, start=number)
    text = [{"role": "user", "content": [f"number {number}"]}]
    return replace(prompt, messages=tuple(text))


def status_error(status, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = httpx2.Request("POST", "http://127.0.0.1/v1")
    response = httpx2.Response(status, headers=named, request=request)
    kind = openai.RateLimitError if status == 429 else openai.InternalServerError
    return kind("a fault", response=response, body=None)


def state(error, sleep=0.0, attempt=1):
    """Return a tenacity state after an attempt that began long ago."""
    outcome = SimpleNamespace(exception=lambda: error)
    return SimpleNamespace(
        outcome=outcome, upcoming_sleep=sleep, attempt_number=attempt, seconds_since_start=10**6
    )


def request_of(number):
    """Return a distinct request."""
    return wire.make_request("judge", without_image(number), ImageRule.read("low 85"), seed=0)


# ------------------------------------------------------------------ the ledger and the run


def test_any_error_of_the_ledger_ends_the_run(image, monkeypatch):
    def too_large(*entries):
        raise OverflowError("Python int too large to convert to SQLite INTEGER")

    client = ChatClient("judge", local=True, transport=in_process(echo))
    monkeypatch.setattr(client.ledger, "append", too_large)
    with pytest.raises(OverflowError, match="too large"):
        background(client.ask, verdicts(image, 3)).result(20)


@pytest.mark.parametrize("seed", [2**63, -1])
def test_a_seed_outside_the_ledgers_range_is_refused(image, seed):
    with pytest.raises(ValueError, match=f"seed is {seed}"):
        ChatClient("judge", local=True, transport=in_process(echo)).ask(
            verdicts(image, 1), seed=seed
        )


def test_a_prompts_own_seed_outside_the_range_is_refused_before_sending(image):
    bodies = []
    client = ChatClient(
        "judge", local=True, transport=in_process(lambda body, place: bodies.append(body))
    )
    with pytest.raises(ValueError, match=f"seed is {2**64}"):
        client.ask(replace(prompt, seed=2**64) for prompt in verdicts(image, 1))
    assert bodies == []


def test_clients_of_one_ledger_file_pay_once(image, tmp_path, monkeypatch):
    """Also when they name the file by different paths."""
    monkeypatch.chdir(tmp_path)
    paths = [tmp_path / "l.sqlite", "l.sqlite", tmp_path / "." / "x" / ".." / "l.sqlite"]
    (tmp_path / "x").mkdir()
    with Loopback(lambda body, place: time.sleep(0.01) or echo(body)) as server:
        futures = [
            background(local(server, ledger=path, concurrency=4).ask, list(verdicts(image, 30)))
            for path in paths
        ]
        replies = [future.result(20) for future in futures]
    assert len(server.bodies) == 30
    assert replies[0] == replies[1] == replies[2]


def test_ledgers_in_memory_are_independent(image):
    with Loopback(echo) as server:
        for _ in range(2):
            local(server).ask(verdicts(image, 3))
    assert len(server.bodies) == 6


def test_a_request_answered_by_another_process_meanwhile_is_not_sent(image, tmp_path, monkeypatch):
    """While a prompt waits for a slot, another process stores its answer in the ledger."""
    # The default misses answers of the last few milliseconds, which this test does not cover.
    monkeypatch.setattr(run_module, "_STALE_SECONDS", 0.0)
    prompts = list(verdicts(image, 2))
    waiting = []  # the prompt that did not arrive first, whichever that is

    def answer(body, place):
        if place == 0:
            until(lambda: len(client.in_flight._under_way) == 2)  # looked up and waiting for a slot
            waiting.append(int("number 0" in json.dumps(body)))
            request = wire.make_request(
                "judge", prompts[waiting[0]], client.images.rule, seed=0, endpoint=client.endpoint
            )
            text = '{"rationale": "from elsewhere", "winner": "tie"}'
            other = Ledger(tmp_path / "l.sqlite")
            other.append([(request, Entry(answered=True, text=text))])
        return echo(body)

    control = Control()
    with Loopback(answer) as server:
        client = local(server, ledger=tmp_path / "l.sqlite", concurrency=1)
        replies = client.ask(prompts, control=control)
        assert len(server.bodies) == 1
        again = client.ask([prompts[waiting[0]]], again=True)
    found = [reply.value.rationale for reply in replies]
    assert found.pop(waiting[0]) == "from elsewhere" and found == [str(1 - waiting[0])]
    assert control.tally.known == 1 and len(client.ledger.history()) == 3
    assert again[0].value.rationale == str(waiting[0]) and len(server.bodies) == 2  # a new attempt


def test_a_stale_view_of_the_ledger_misses_only_other_processes_replies(tmp_path):
    requests = [request_of(number) for number in range(4)]
    own, other = Ledger(tmp_path / "l.sqlite"), Ledger(tmp_path / "l.sqlite")

    def keep(ledger, place):
        ledger.append([(requests[place], Entry(answered=True, text=str(place)))])

    for place, ledger in enumerate((own, other, own)):
        assert own.find(requests[3].key, 3600) is None  # the view is now fresh
        keep(ledger, place)
        found = own.find(requests[place].key, 3600)
        assert (found is None) == (ledger is other)
    assert own.find(requests[1].key, 3600).text == "1"  # indexed with its own last reply
    keep(other, 3)
    assert own.bill()["requests"] == 4  # the bill is never stale
    assert own.find(requests[3].key).text == "3"


def test_a_run_that_waits_for_another_runs_request_can_be_stopped(image, tmp_path, held):
    with Loopback(lambda body, place: held.wait(20) and echo(body)) as server:
        one, other = (local(server, ledger=tmp_path / "l.sqlite") for _ in range(2))
        first = background(one.ask, list(verdicts(image, 1)))
        until(lambda: server.bodies)
        control, looked = Control(), threading.Event()
        other.ledger.find = lambda key: looked.set()  # not reached: it waits for the other request
        second = background(other.ask, list(verdicts(image, 1)), control=control)
        until(lambda: control.tally.limit)
        control.stop()
        [reply] = second.result(20)
        held.set()
        [answered] = first.result(20)
    assert reply.reason == UNSENT and not looked.is_set()
    assert answered.value and len(server.bodies) == 1


# ------------------------------------------------------------------ interrupts


def test_an_interrupted_run_stores_the_requests_in_flight(image, tmp_path, caplog):
    main = threading.main_thread().ident

    def answer(body, place):
        if place == 1:
            signal.pthread_kill(main, signal.SIGINT)
        until(lambda: "interrupted" in caplog.text)
        return echo(body)

    with Loopback(answer) as server:
        client = local(server, ledger=tmp_path / "l.sqlite", concurrency=2)
        with pytest.raises(KeyboardInterrupt):
            client.ask(verdicts(image, 100))
        assert len(server.bodies) == len(client.ledger.history()) == 2
    assert client.ledger.history()["answered"].all() and client.ledger.unanswered().empty


def test_a_second_interrupt_ends_the_run_at_once(image, caplog, held):
    main = threading.main_thread().ident

    def answer(body, place):
        signal.pthread_kill(main, signal.SIGINT)
        until(lambda: "interrupted" in caplog.text)
        signal.pthread_kill(main, signal.SIGINT)
        held.wait(20)
        return echo(body)

    with Loopback(answer) as server:
        client = local(server, concurrency=1)
        with pytest.raises(KeyboardInterrupt):
            client.ask(verdicts(image, 10))
        assert not held.is_set() and client.ledger.history().empty


# ------------------------------------------------------------------ rate limits


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        *(("0", 0), ("-5", 0), ("1.5", 1.5), ("9999999", 86_400), (formatdate(0), 0)),
        *((words, None) for words in ("inf", "-inf", "1e400", "nan", "soon", "")),
    ],
)
def test_a_retry_after_is_read_as_at_most_a_day_or_ignored(words, seconds):
    assert faults.asked_seconds(status_error(429, retry_after=words)) == seconds
    assert faults.asked_seconds(status_error(503, retry_after=words)) == seconds


def test_invalid_retry_after_milliseconds_fall_back_to_seconds():
    assert faults.asked_seconds(status_error(429, retry_after_ms="250", retry_after="9")) == 0.25
    assert faults.asked_seconds(status_error(429, retry_after_ms="nan", retry_after="9")) == 9


@pytest.mark.parametrize("words", ["0", "-5", "0.001", "inf", "nan", formatdate(0)])
def test_a_zero_or_invalid_retry_after_still_backs_off(words, monkeypatch):
    monkeypatch.setattr(faults, "_spread", lambda state: 7.0)
    assert faults.wait_seconds(state(status_error(429, retry_after=words))) == 7.0


@pytest.mark.parametrize("headers", [{}, {"retry_after": "0"}, {"retry_after": "0.1"}])
def test_endless_refusals_are_retried_until_the_patience_ends(headers):
    policy, error = faults.RetryPolicy(lambda: True), status_error(429, **headers)
    overs = [policy.is_over(state(error, sleep=20.0)) for _ in range(100)]
    assert overs.index(True) == 30  # waits of 20 s each


def test_waits_requested_by_the_endpoint_do_not_use_up_the_patience():
    policy, long = faults.RetryPolicy(lambda: True), status_error(429, retry_after="3600")
    assert not any(policy.is_over(state(long, sleep=3605.0)) for _ in range(24))
    assert not policy.is_over(state(status_error(429), sleep=20.0))


def test_a_long_maintenance_holds_the_run_and_shows_a_notice(image):
    def answer(body, place):
        return fault(503, "maintenance", retry_after="400") if place < 2 else echo(body)

    control = Control()
    with Loopback(answer) as server:
        client = local(server, concurrency=2)
        future = background(client.ask, list(verdicts(image, 20)), control=control)
        until(lambda: "asks to wait 400 s" in control.tally.notice)
        until(lambda: control.tally.in_flight == 0)
        control.stop()
        assert {reply.reason for reply in future.result(20)} == {UNSENT}
    assert len(server.bodies) == 2


# ------------------------------------------------------------------ timeouts


def test_a_timeout_before_any_answer_ends_the_run(image):
    with running(Dials(faults={"hang": 1.0})) as server:
        client = ChatClient(base_url=server.url, local=True, concurrency=4, timeout_seconds=1.0)
        why = "no reply in time; is the server running"
        with pytest.raises(ModelUnavailable, match=why) as caught:
            client.ask(verdicts(image, 100))
        assert server.stats()["requests"] == 4  # no retry and no second batch
    assert "\n" not in str(caught.value)


def test_a_timeout_after_an_answer_is_a_transient_fault(image, held):
    def answer(body, place):
        return held.wait(20) and echo(body) if place == 1 else echo(body)

    with Loopback(answer) as server:
        replies = local(server, concurrency=1, timeout_seconds=0.5).ask(verdicts(image, 3))
    assert [reply.value.rationale for reply in replies] == ["0", "1", "2"]
    assert len(server.bodies) == 4


def test_a_notice_shows_that_nothing_has_answered_yet(image, held, monkeypatch):
    monkeypatch.setattr(run_module, "_SILENT_SECONDS", 0.1)
    control = Control()
    with Loopback(lambda body, place: held.wait(20) and echo(body)) as server:
        future = background(local(server).ask, list(verdicts(image, 2)), control=control)
        until(lambda: "no answer yet after 0 s; the run ends after 120 s" in control.tally.notice)
        held.set()
        assert all(reply.value for reply in future.result(20))
    assert control.tally.notice == ""


def test_the_timeout_covers_the_whole_request_even_if_bytes_keep_arriving(image):
    class Drip(httpx2.AsyncByteStream):
        async def __aiter__(self):
            while True:
                yield b" "
                await asyncio.sleep(0.01)

    async def handle(request):
        return httpx2.Response(200, stream=Drip())

    transport = httpx2.MockTransport(handle)
    client = ChatClient("judge", local=True, transport=transport, timeout_seconds=0.2)
    with pytest.raises(ModelUnavailable, match="no reply in time"):
        background(client.ask, verdicts(image, 1)).result(20)


# ------------------------------------------------------------------ pause, stop, into


def test_a_control_paused_before_the_run_sends_nothing():
    control, prompts = Control(), [without_image(number) for number in range(40)]
    control.pause()
    with Loopback(lambda body, place: TIE) as server:
        client = local(server, concurrency=16)
        future = background(client.ask, prompts, control=control)
        until(lambda: len(client.in_flight._under_way) == 32)  # the whole window waits for slots
        threading.Event().wait(0.2)  # real time, in which nothing may arrive
        assert server.bodies == []
        control.resume()
        assert all(reply.value for reply in future.result(20))


def test_a_control_stopped_before_the_run_sends_nothing():
    control, bodies = Control(), []
    control.stop()
    client = ChatClient(
        "judge", local=True, transport=in_process(lambda body, place: bodies.append(body))
    )
    replies = client.ask((without_image(number) for number in range(5)), control=control)
    assert [reply.reason for reply in replies] == [UNSENT] * 5
    assert bodies == [] and control.tally.done == 0


def test_after_a_stop_the_remaining_prompts_are_only_counted(image, monkeypatch):
    control, made = Control(), []
    monkeypatch.setattr(
        wire, "make_request", lambda *args, make=wire.make_request, **options: made.append(1)
        or make(*args, **options),
    )  # fmt: skip

    prompts = itertools.chain(verdicts(image, 20), itertools.repeat(None, 80_000))
    client = ChatClient("judge", local=True, concurrency=4, transport=in_process(echo))
    replies = client.ask(
        prompts, control=control, on_reply=lambda count: control.stop() if count == 10 else None
    )
    sent = [reply for reply in replies if reply.reason != UNSENT]
    assert len(replies) == 80_020 and 10 <= len(sent) <= len(made) < 20
    assert all(reply.value for reply in sent)


def test_a_generator_may_end_when_its_control_is_stopped(image):
    control = Control()

    def prompts():
        for prompt in verdicts(image, 1000):
            if control.state == "stopped":
                return
            yield prompt

    client = ChatClient("judge", local=True, concurrency=4, transport=in_process(echo))
    replies = client.ask(
        prompts(), control=control, on_reply=lambda count: control.stop() if count == 10 else None
    )
    assert 10 <= len(replies) <= 10 + 8
    assert len(client.ledger.history()) == sum(reply.reason != UNSENT for reply in replies)


def test_results_of_into_are_in_the_order_of_the_prompts(image):
    def slow_first(body, place):
        time.sleep(0.02 if place % 3 == 0 else 0)
        return echo(body)

    with Loopback(slow_first) as server:
        rows = local(server, concurrency=8).ask(
            verdicts(image, 40), into=lambda reply: (reply.value.rationale, reply.tokens_out)
        )
    assert rows == [(str(number), 20) for number in range(40)]


def test_replies_are_not_held_in_memory_with_into(image):
    seen, alive = [], []

    def keep_little(reply):
        seen.append(weakref.ref(reply))
        return reply.reply_id

    def count(done):
        alive.append(sum(reference() is not None for reference in seen))

    client = ChatClient("judge", local=True, concurrency=2, transport=in_process(echo))
    made = client.ask(verdicts(image, 60), into=keep_little, on_reply=count)
    assert len(set(made)) == 60 == len(alive) and max(alive) <= 4


def test_into_is_called_for_unsent_replies_too(image):
    control = Control()
    control.stop()
    client = ChatClient("judge", local=True, transport=in_process(echo))
    made = client.ask(verdicts(image, 3), into=lambda reply: reply.reason, control=control)
    assert made == [UNSENT] * 3
