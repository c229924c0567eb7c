"""The served clinic: every dial as a real OpenAI client sees it, and counts that agree with it."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx2
import openai
import psutil
import pytest
from clinic_requests import any_image, sent
from waiting import until

from vital_lib.clinic.dials import FAULTS
from vital_lib.clinic.provider import Provider
from vital_lib.clinic.server import Dials, main, running
from vital_lib.clinic.service import MODELS, respond
from vital_lib.prompts import (
    chat_score_prompt,
    draft_prompt,
    generation_prompt,
    parse,
    rating_prompt,
    verdict_prompt,
)

KEY = "sk-secret-0123456789abcdef"
FIGURE = {"caption": "CT of the head with a tumour.", "mentions": [], "modalities": ["ct_scan"]}
TEXT = "Caption: {}. A CT of the head with a tumour.\nMentions:\nModalities: CT scan"
PATH = "/v1/chat/completions"
PATIENCE_SECONDS = 20  # at most, for what another process is to do


@pytest.fixture
def prompts(tmp_path):
    image = any_image(tmp_path)
    return [
        draft_prompt(FIGURE, image),
        generation_prompt(FIGURE, image, []),
        rating_prompt(FIGURE, image, "Which side?", "The tumour is on the right."),
        chat_score_prompt("Which side is it on?", image, "Right", "On the left."),
        verdict_prompt("Which side is it on?", image, "Right", "On the right.", "On the left."),
    ]


def client(server, key="none", **options):
    return openai.OpenAI(base_url=server.url, api_key=key, max_retries=0, **options)


def question(number=0):
    return {"model": "clinic", "messages": [{"role": "user", "content": TEXT.format(number)}]}


def ask(server, number=0, **options):
    """The message of the reply to one question."""
    with client(server, **options) as asking:
        return asking.chat.completions.create(**question(number)).choices[0].message


def outcomes(server, numbers, at_once=8):
    """ "answered" or the status, by question, asked some at once."""

    def one(number):
        try:
            asking.chat.completions.create(**question(number))
        except openai.APIStatusError as error:
            return error.status_code
        return "answered"

    with client(server) as asking, ThreadPoolExecutor(at_once) as threads:
        return list(threads.map(one, numbers))


def agrees(stats):
    parts = stats["answered"], stats["abandoned"], stats["in_flight"]
    return stats["requests"] == sum(parts) + sum(stats["faults"].values())


# ------------------------------------------------------------------ what is served


def test_any_client_lists_the_models_and_chats_with_them():
    with running() as server, client(server) as asking:
        assert tuple(model.id for model in asking.models.list()) == MODELS
        reply = asking.chat.completions.create(**question())
        counts = server.stats()
    assert "tumour" in reply.choices[0].message.content
    assert (counts["requests"], counts["answered"], counts["distinct"]) == (1, 1, 1)
    tokens = reply.usage.prompt_tokens, reply.usage.completion_tokens
    assert (counts["tokens_in"], counts["tokens_out"]) == tokens


def test_prompts_with_images_get_what_they_get_in_process(prompts):
    with running() as server, client(server) as asking:
        for prompt in prompts:
            body = sent(prompt)
            reply = asking.chat.completions.create(**body)
            _, known = respond("POST", PATH, json.dumps(body).encode())
            assert reply.choices[0].message.content == known["choices"][0]["message"]["content"]
            assert reply.usage.prompt_tokens == known["usage"]["prompt_tokens"] > 85
        assert server.stats()["answered"] == len(prompts)


def test_fixed_replies_fit_every_schema_and_are_all_the_same(prompts):
    with running(Dials(reply="fixed")) as server, client(server) as asking:
        for prompt in prompts:
            texts = {
                asking.chat.completions.create(**sent(prompt, seed=seed)).choices[0].message.content
                for seed in (0, 1)
            }
            assert len(texts) == 1 and parse(prompt, texts.pop())


def test_what_the_models_refuse_is_refused_here_in_the_same_words():
    with running() as server, client(server) as asking:
        with pytest.raises(openai.NotFoundError, match="gpt-9"):
            asking.chat.completions.create(**{**question(), "model": "gpt-9"})
        poem = {"type": "json_schema", "json_schema": {"name": "Poem", "schema": {}}}
        with pytest.raises(openai.BadRequestError, match="the clinic knows Drafts"):
            asking.chat.completions.create(**question(), response_format=poem)
        counts = server.stats()
    assert counts["faults"] == {"bad_request": 2} and agrees(counts)


# ------------------------------------------------------------------ faults


def seen(fault, server):
    """What the client gets: the exception, or the message."""
    try:
        return ask(server, timeout=0.3 if fault == "hang" else 30)
    except (openai.OpenAIError, ValueError) as error:
        return error


EXPECTED = {
    "rate_limited": lambda e: e.status_code == 429 and "retry-after" not in e.response.headers,
    "rate_limited_after": lambda e: (
        e.status_code == 429 and e.response.headers["retry-after"] == "7.5"
    ),
    "server_error": lambda e: isinstance(e, openai.InternalServerError) and e.status_code == 500,
    "reset": lambda e: (
        isinstance(e, openai.APIConnectionError) and "reset by peer" in str(e.__cause__)
    ),
    "hang": lambda e: isinstance(e, openai.APITimeoutError),
    "malformed": lambda e: isinstance(e, json.JSONDecodeError),
    "truncated": lambda e: (
        isinstance(e, openai.APIConnectionError)
        and isinstance(e.__cause__, httpx2.RemoteProtocolError)
        and "without sending complete message body" in str(e.__cause__)
    ),
    "refusal": lambda message: message.refusal and message.content is None,
    "empty": lambda message: message.content == "" and not message.refusal,
    "wrong_schema": lambda message: list(json.loads(message.content)) == ["reply"],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_what_its_name_says_to_a_real_client(fault):
    with running(Dials(faults={fault: 1.0}, retry_after=7.5)) as server:
        got = seen(fault, server)
        assert EXPECTED[fault](got), repr(got)
        until(lambda: server.stats()["in_flight"] == 0)
        counts = server.stats()
    assert counts["faults"] == {fault: 1} and counts["answered"] == counts["abandoned"] == 0


def test_shares_of_faults_are_drawn_and_counted_as_the_client_saw_them():
    dials = Dials(faults={"rate_limited": 0.2, "server_error": 0.1}, seed=3)
    with running(dials) as server:
        got = outcomes(server, range(200))
        counts = server.stats()
    assert 20 < got.count(429) < 60 and 8 < got.count(500) < 36
    named = {"rate_limited": got.count(429), "server_error": got.count(500)}
    assert counts["faults"] == named and agrees(counts)
    assert (counts["answered"], counts["distinct"]) == (got.count("answered"), 200)


def test_a_run_can_be_repeated_and_another_seed_draws_otherwise():
    dials = Dials(faults={"server_error": 0.5})
    with running(dials) as server:
        first = outcomes(server, range(60))
        server.reset()
        assert outcomes(server, range(60), at_once=1) == first
    with running(replace(dials, seed=1)) as other:
        assert outcomes(other, range(60)) != first


def test_what_failed_may_succeed_when_it_is_tried_again():
    with running(Dials(faults={"server_error": 0.5})) as server:
        tried, left = 0, list(range(40))
        while left:
            tried += len(left)
            got = outcomes(server, left)
            left = [n for n, outcome in zip(left, got, strict=True) if outcome == 500]
        counts = server.stats()
    assert (counts["requests"], counts["answered"], counts["distinct"]) == (tried, 40, 40)
    assert tried > 50 and counts["repeated"] == 0


def test_what_was_answered_and_is_asked_again_counts_as_repeated():
    with running() as server:
        outcomes(server, [0, 1, 2, 1, 1])
        counts = server.stats()
    assert (counts["answered"], counts["distinct"], counts["repeated"]) == (5, 3, 2)


def test_draws_keep_to_their_shares_whatever_the_order_they_are_written_in():
    shares = {"reset": 0.1, "hang": 0.3, "empty": 0.2}
    dials = Dials(latency=1.0, spread=0.5, faults=shares)
    other = Dials(latency=1.0, spread=0.5, faults=dict(reversed(shares.items())))
    bodies = [number.to_bytes(4, "big") for number in range(4000)]
    draws = [dials.draw(body, 0) for body in bodies]
    assert draws == [other.draw(body, 0) for body in bodies]
    drawn = Counter(fault for fault, _ in draws)
    for fault, share in {**shares, None: 0.4}.items():
        assert abs(drawn[fault] / 4000 - share) < 0.03
    seconds = [seconds for _, seconds in draws]
    assert 1.0 <= min(seconds) < 1.01 and 1.49 < max(seconds) <= 1.5


# ------------------------------------------------------------------ latency and limits


def test_a_reply_takes_the_latency():
    with running(Dials(latency=0.2)) as server, client(server) as asking:
        asking.models.list()
        started = time.monotonic()
        asking.chat.completions.create(**question())
        assert 0.2 <= time.monotonic() - started < 2


def test_no_more_are_under_way_than_the_limit():
    dials = Dials(latency=1.0, at_once=3, says_when=True, retry_after=4)
    with running(dials) as server, client(server) as asking, ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(outcomes, server, [number]) for number in range(3)]
        until(lambda: server.stats()["in_flight"] == 3)
        with pytest.raises(openai.RateLimitError) as refused:
            asking.chat.completions.create(**question(9))
        assert refused.value.response.headers["retry-after"] == "4"
        assert [future.result() for future in waiting] == [["answered"]] * 3
        counts = server.stats()
    assert counts["faults"] == {"limit": 1} and counts["most_in_flight"] == 3 and agrees(counts)


def test_a_real_client_runs_into_the_limit_per_second():
    with running(Dials(per_second=5)) as server, client(server) as asking:
        with pytest.raises(openai.RateLimitError) as refused:
            for number in range(1000):
                asking.chat.completions.create(**question(number))
        assert "retry-after" not in refused.value.response.headers
        assert server.stats()["answered"] >= 5


def test_within_any_second_no_more_are_let_in_than_the_limit():
    now = [0.0]
    provider = Provider(Dials(per_second=2, says_when=True, reply="fixed"), clock=lambda: now[0])

    def asked(at):
        now[0] = at
        answer = provider.receive("POST", PATH, {}, b"")
        provider.finish(answer, heard=True)
        return answer.retry_after if answer.kind == "limit" else answer.kind

    assert [asked(at) for at in (0, 0.5, 0.5, 0.75)] == ["answered", "answered", 0.5, 0.25]
    assert [asked(at) for at in (1, 1.25, 1.5)] == ["answered", 0.25, "answered"]
    assert provider.stats()["faults"] == {"limit": 3}


def test_a_client_that_hangs_up_first_is_counted_as_that():
    with running(Dials(latency=5)) as server:
        with pytest.raises(openai.APITimeoutError):
            ask(server, timeout=0.2)
        until(lambda: server.stats()["in_flight"] == 0)
        counts = server.stats()
    assert (counts["requests"], counts["abandoned"], counts["answered"]) == (1, 1, 0)


def test_after_a_reset_what_is_under_way_still_counts():
    provider = Provider(Dials(reply="fixed"))
    waiting = provider.receive("POST", PATH, {}, b"1")
    provider.finish(provider.receive("POST", PATH, {}, b"2"), heard=True)
    provider.reset()
    counts = provider.stats()
    assert (counts["requests"], counts["in_flight"], counts["answered"]) == (1, 1, 0)
    provider.finish(waiting, heard=True)
    assert provider.stats()["answered"] == 1 and agrees(provider.stats())


# ------------------------------------------------------------------ the key


def test_only_the_key_given_opens_and_it_shows_nowhere(capfd):
    dials = Dials(key=KEY)
    with running(dials) as server:
        assert ask(server, key=KEY).content
        with pytest.raises(openai.AuthenticationError) as refused:
            ask(server, key="sk-another")
        with client(server) as asking, pytest.raises(openai.AuthenticationError):
            asking.models.list()
        azure = openai.AzureOpenAI(
            base_url=server.url, api_key=KEY, api_version="2024-10-21", max_retries=0
        )
        assert azure.chat.completions.create(**question()).choices
        counts = server.stats()
        process = psutil.Process(server.pid)
        shown = [*process.cmdline(), *process.environ().values()]
    assert counts["faults"] == {"wrong_key": 1} and counts["answered"] == 2
    shown += [json.dumps(counts), repr(dials), str(refused.value), *capfd.readouterr()]
    assert KEY not in "".join(shown)


def test_the_command_line_takes_the_key_from_the_environment(monkeypatch, capfd):
    monkeypatch.setenv("VITAL_API_KEY", KEY)
    command = [sys.executable, "-m", "vital_lib.clinic.server", "--port", "0"]
    command += ["--key-from", "VITAL_API_KEY", "--fault", "empty=1", "--at-once", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.readline()
        url = next(word for word in said.split() if word.startswith("http"))
        with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0) as asking:
            assert asking.chat.completions.create(**question()).choices[0].message.content == ""
        other = openai.OpenAI(base_url=url, api_key="x", max_retries=0)
        with other, pytest.raises(openai.AuthenticationError):
            other.chat.completions.create(**question())
        process.send_signal(signal.SIGINT)
        said += process.stdout.read()
        assert process.wait(PATIENCE_SECONDS) == 0
    assert KEY not in said + "".join(capfd.readouterr())


# ------------------------------------------------------------------ processes and ports


def test_two_servers_at_once_keep_to_themselves():
    with running() as plain, running(Dials(faults={"server_error": 1.0})) as faulty:
        assert plain.url != faulty.url
        assert (
            outcomes(plain, range(3)) + outcomes(faulty, range(2)) == ["answered"] * 3 + [500] * 2
        )
        assert plain.stats()["requests"] == 3 and faulty.stats()["requests"] == 2


def test_a_port_in_use_is_said_so(capsys):
    with running() as server:
        port = int(server.url.rsplit(":", 1)[1].removesuffix("/v1"))
        with pytest.raises(
            OSError, match=rf"port {port} of 127.0.0.1: it is in use; give another port"
        ):
            running(port=port).__enter__()
        assert main(["--port", str(port)]) == 2
        assert "it is in use" in capsys.readouterr().err
        assert ask(server).content


def test_the_server_ends_with_its_block():
    with running() as server:
        process = psutil.Process(server.pid)
        assert process.is_running()
    assert not process.is_running()


def test_the_server_ends_when_its_starter_is_killed():
    script = (
        "import os, signal\n"
        "from vital_lib.clinic.server import running\n"
        "with running() as server:\n"
        "    print(server.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")


def test_listening_beyond_loopback_is_warned_of(capsys, caplog):
    assert main(["--host", "192.0.2.1", "--port", "0"]) == 2  # an address that no machine has
    assert "other machines on the network can connect" in caplog.text
    assert "cannot listen on port 0 of 192.0.2.1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fault", "reset"], "write NAME=SHARE, as in reset=0.01"),
        (["--fault", "fire=0.1"], "fault 'fire' is unknown; give one of rate_limited,"),
        (["--port", "70000"], "port 70000 is out of range; give 1 to 65535"),
        (
            ["--key-from", "NO_SUCH_KEY"],
            "NO_SUCH_KEY: variable not set; set it to the key",
        ),
    ],
)
def test_a_command_that_cannot_be_obeyed_says_how_to_write_it(arguments, words, capsys):
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("dial", "words"),
    [
        ({"latency": -1}, "latency is -1; give seconds"),
        ({"spread": float("nan")}, "spread is nan"),
        ({"retry_after": "soon"}, "retry_after is 'soon'"),
        ({"at_once": 0}, "at_once is 0; give a whole number"),
        ({"per_second": 1.5}, r"per_second is 1\.5"),
        ({"reply": "echo"}, "reply is 'echo'; give one of simulated, fixed"),
        ({"faults": {"reset": 1.2}}, r"fault reset is 1\.2"),
        ({"faults": {"reset": 0.6, "hang": 0.6}}, r"shares sum to 1\.2; give at most 1"),
        ({"key": " "}, "key is empty, not ASCII or has outer spaces"),
    ],
)
def test_a_dial_out_of_range_shows_the_value_and_the_way_out(dial, words):
    with pytest.raises(ValueError, match=words):
        Dials(**dial)


# ------------------------------------------------------------------ HTTP


@pytest.fixture(scope="module")
def plain():
    with running(Dials(reply="fixed")) as server:
        yield server


def raw(server, *pieces):
    """All that comes back on one connection until the server closes it."""
    port = int(server.url.rsplit(":", 1)[1].removesuffix("/v1"))
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as plug:
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            plug.sendall(piece)
        return b"".join(iter(lambda: plug.recv(2**16), b""))


HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n"


def test_requests_in_pieces_and_one_after_another_are_read(plain):
    once = HEAD + b"\r\n{}"
    last = HEAD + b"Connection: close\r\n\r\n{}"
    whole = once + once + last
    assert raw(plain, whole).count(b"HTTP/1.1 200 OK") == 3
    single = [whole[place : place + 1] for place in range(len(whole))]
    assert raw(plain, *single).count(b"HTTP/1.1 200 OK") == 3


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(plain):
    got = raw(plain, HEAD + b"connection: close\r\nexpect: 100-continue\r\n\r\n", b"{}")
    assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (b"hello\r\n\r\n", 400, b"not an HTTP/1.1 request"),
        (b"POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n", 400, b"'many'"),
        (b"POST / HTTP/1.1\r\ncontent-length: 999999999999\r\n\r\n", 413, b"at most"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", 411, b"with Content-Length"),
        (b"GET /" + b"x" * 70000, 431, b"longer than 65536"),
    ],
)
def test_what_it_cannot_read_it_says_so_and_closes(plain, request_, status, words):
    got = raw(plain, request_)
    assert got.startswith(b"HTTP/1.1 %d " % status) and words in got


def test_other_addresses_and_methods_are_refused_and_statistics_are_not_changed_by_a_get(plain):
    place = plain.url.removeprefix("http://").removesuffix("/v1")
    for method, path, status in [
        ("GET", "/", 404),
        ("POST", "/v1/embeddings", 404),
        ("POST", "/v1/models", 405),
        ("GET", "/stats/reset", 405),
        ("GET", "/stats?pretty=1", 200),
    ]:
        connection = http.client.HTTPConnection(place)
        connection.request(method, path)
        response = connection.getresponse()
        assert response.status == status and isinstance(json.load(response), dict)
        connection.close()


# ------------------------------------------------------------------ many at once


def test_many_large_requests_at_once_cost_the_server_little():
    """Far less processor time than the 3.3 ms that 300 requests/s leave; a client takes 2 ms."""
    number, at_once, filling = 384, 64, "data:image/png;base64," + "A" * 100_000
    image = {"type": "image_url", "image_url": {"url": filling}}

    async def flood(url):
        room = asyncio.Semaphore(at_once)

        async def one(asking, place):
            text = {"type": "text", "text": TEXT.format(place)}
            async with room:
                return await asking.chat.completions.create(
                    model="clinic", messages=[{"role": "user", "content": [image, text]}]
                )

        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as asking:
            return await asyncio.gather(*(one(asking, place) for place in range(number)))

    with running(Dials(latency=0.1, reply="fixed")) as server:
        process = psutil.Process(server.pid)
        before = sum(process.cpu_times()[:2])
        replies = asyncio.run(flood(server.url))
        seconds = sum(process.cpu_times()[:2]) - before
        counts = server.stats()
        resident = process.memory_info().rss
    assert len(replies) == counts["answered"] == counts["distinct"] == number
    assert 8 < counts["most_in_flight"] <= at_once
    assert seconds / number < 0.0015
    assert resident < 150e6
