"""Tests of sending prompts: order, replies without a value, faults, keys and concurrency."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import signal
import socket
import threading
import time
import traceback

import httpx2
import pytest
from client_acts import KEY, PROSE, echo, local, verdicts
from loopback import Loopback, cleared, fault, in_process, said, save_image
from PIL import Image

from vital_lib.client import ChatClient, ModelUnavailable, faults
from vital_lib.client.faults import without_key
from vital_lib.prompts import RatingCriteria, rating_prompt, verdict_prompt

FIGURE = {"caption": "CT of the head.", "mentions": [], "modalities": ["ct_scan"]}


def test_replies_are_in_the_order_of_the_prompts(image):
    def slow_first(body, place):
        time.sleep(0.02 if place % 3 == 0 else 0)
        return echo(body)

    with Loopback(slow_first) as server:
        replies = local(server, concurrency=8).ask(verdicts(image, 40))
    assert [reply.value.rationale for reply in replies] == [str(n) for n in range(40)]
    assert all(reply.reason is None and reply.seconds > 0 for reply in replies)
    assert {(reply.tokens_in, reply.tokens_out) for reply in replies} == {(100, 20)}


def test_a_request_contains_policy_image_schema_and_seed(image):
    with Loopback(echo) as server:
        local(server).ask(verdicts(image, 1), seed=7)
    [body] = server.bodies
    system, user = body["messages"]
    assert body["model"] == "judge" and body["seed"] == 7
    assert system["role"] == "system" and isinstance(system["content"], str)
    assert [part["type"] for part in user["content"]] == ["image_url", "text"]
    head, data = user["content"][0]["image_url"]["url"].split(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (48, 48)
    wanted = body["response_format"]["json_schema"]
    assert (wanted["name"], wanted["strict"]) == ("Verdict", True)
    assert wanted["schema"]["additionalProperties"] is False


def test_a_large_image_is_scaled_down_before_it_is_sent(tmp_path):
    large = cleared(save_image(tmp_path / "large.png", seed=1, side=1600))
    with Loopback(echo) as server:
        local(server).ask(verdicts(large, 1))
    data = server.bodies[0]["messages"][1]["content"][0]["image_url"]["url"].split(",")[1]
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (768, 768)


@pytest.mark.parametrize("part", ["figure.png", b"bytes", Image.new("RGB", (8, 8))])
def test_only_checked_images_are_sent(part, tmp_path):
    part = tmp_path / part if isinstance(part, str) else part
    prompt = verdict_prompt("q", part, "r", "x", "y")
    with Loopback(echo) as server, pytest.raises(TypeError, match=r"figures\.open_image"):
        local(server).ask([prompt])
    assert server.bodies == []


def test_an_image_changed_after_opening_gives_one_reply_without_a_value(image, tmp_path):
    with Loopback(echo) as server:
        other = cleared(save_image(tmp_path / "other.png", seed=3))
        save_image(tmp_path / "other.png", seed=4)
        bad, good = local(server).ask([*verdicts(other, 1), *verdicts(image, 1)])
    assert bad.value is None and "changed since" in bad.reason
    assert good.value.rationale == "0"


# ------------------------------------------------------------------ replies without a value

REFUSED = said(None, refusal="I cannot help with that.")
CUT = said('{"rationale": "a long', finish_reason="length")
WHOLE_BUT_CUT = said('{"rationale": "", "winner": "tie"}', finish_reason="length")
FILTERED = said("", finish_reason="content_filter")


@pytest.mark.parametrize(
    ("answer", "reason", "text"),
    [
        (REFUSED, "refused: I cannot help", ""),
        (CUT, "token limit", '{"rationale": "a long'),
        (WHOLE_BUT_CUT, "token limit", '{"rationale": "", "winner": "tie"}'),
        (FILTERED, "content filter", ""),
        (PROSE, "Verdict: ", "The film is dark."),
    ],
)
def test_an_answer_without_a_value_has_a_reason_and_is_not_paid_for_again(
    image, answer, reason, text
):
    with Loopback(lambda body, place: answer) as server:
        client = local(server)
        [reply], [again] = client.ask(verdicts(image, 1)), client.ask(verdicts(image, 1))
    assert reply.value is None and reason in reply.reason and reply.text == text
    assert again == reply and len(server.bodies) == 1


@pytest.mark.parametrize("empty", [None, "", "  \n"])
def test_an_empty_reply_is_requested_once_more(image, empty):
    with Loopback(lambda body, place: said(empty) if place == 0 else echo(body)) as server:
        client = local(server)
        [reply], [again] = client.ask(verdicts(image, 1)), client.ask(verdicts(image, 1))
    assert reply.value.rationale == "0" and again == reply and len(server.bodies) == 2
    first, second = client.ledger.history().to_dict("records")
    assert (first["answered"], first["error"]) == (False, "empty reply")
    assert second["answered"] and second["reply_id"] == first["reply_id"] == reply.reply_id


def test_an_unreadable_reply_never_takes_the_previous_value(image):
    criteria = dict.fromkeys(RatingCriteria.model_fields, 9)
    good = said(json.dumps({"rationale": "", "criteria": criteria, "overall": 9}))
    prompts = [rating_prompt(FIGURE, image, f"q{n}", "a") for n in range(3)]
    with Loopback(lambda body, place: PROSE if "q1" in json.dumps(body) else good) as server:
        replies = local(server, concurrency=1).ask(prompts)
    assert [reply.value and reply.value.overall for reply in replies] == [9, None, 9]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_the_api_refuses_gives_one_reply_and_can_be_sent_again(image, status):
    first = said(json.dumps({"rationale": "0", "winner": "tie"}))
    refused = []  # by its text: prompts may arrive in another order than the given one

    def answer(body, place):
        if echo(body) != first or refused:
            return echo(body)
        refused.append(place)
        return fault(status, "image too odd")

    with Loopback(answer) as server:
        client = local(server, concurrency=1)
        replies = client.ask(verdicts(image, 3))
        [again] = client.ask(verdicts(image, 1))
    assert replies[0].value is None and "image too odd" in replies[0].reason
    assert [reply.value.rationale for reply in replies[1:]] == ["1", "2"]
    assert again.value.rationale == "0" and len(server.bodies) == 4


@pytest.mark.parametrize(
    "body", [b"<html>welcome</html>", b"{}", b'{"choices": []}', b'{"choices": [{"message": 1}]}']
)
def test_a_body_without_a_chat_completion_gives_a_reply_without_a_value(image, body):
    answer = 200, {"content-type": "application/json"}, body
    with Loopback(lambda _, place: answer) as server:
        [reply] = local(server).ask(verdicts(image, 1))
    assert reply.value is None and "no chat completion" in reply.reason
    assert reply.text == body.decode()


def test_a_reply_without_usage_or_optional_fields_is_read(image):
    content = json.dumps({"rationale": "", "winner": "first"})
    answer = 200, {}, json.dumps({"choices": [{"message": {"content": content}}]}).encode()
    with Loopback(lambda _, place: answer) as server:
        [reply] = local(server).ask(verdicts(image, 1))
    assert reply.value.winner == "first"


# ------------------------------------------------------------------ faults


def test_a_reply_after_a_server_error_is_returned(image):
    def answer(body, place):
        return fault(500, retry_after_ms="1") if place == 0 else echo(body)

    with Loopback(answer) as server:
        [reply] = local(server).ask(verdicts(image, 1))
    assert reply.value.rationale == "0" and len(server.bodies) == 2


def test_scattered_faults_lose_no_reply(image):
    faults = [fault(429, retry_after_ms="5"), fault(500), fault(503, retry_after="0.01")]

    def answer(body, place):
        return faults[place % 3] if place % 14 == 5 else echo(body)

    with Loopback(answer) as server:
        replies = local(server, concurrency=16).ask(verdicts(image, 300))
    assert [reply.value.rationale for reply in replies] == [str(n) for n in range(300)]
    assert len(server.bodies) > 315


def test_retry_after_is_honoured(image):
    def answer(body, place):
        return fault(429, retry_after="0.3") if place == 0 else echo(body)

    with Loopback(answer) as server:
        local(server).ask(verdicts(image, 1))
    first, second = server.times
    assert 0.3 <= second - first < 1.5


def test_a_prompt_waiting_for_a_retry_frees_its_slot(image):
    def answer(body, place):
        return fault(503, retry_after="0.3") if place == 0 else echo(body)

    with Loopback(answer) as server:
        replies = local(server, concurrency=1).ask(verdicts(image, 2))
    texts = [body["messages"][1]["content"][1]["text"].splitlines()[0] for body in server.bodies]
    assert texts == ["Question: number 0", "Question: number 1", "Question: number 0"]
    assert all(reply.value for reply in replies)


def test_a_dropped_connection_is_retried(image):
    calls = []

    async def handle(request):
        calls.append(1)
        if len(calls) == 1:
            raise httpx2.ReadError("connection lost", request=request)
        status, headers, content = echo(json.loads(request.content))
        return httpx2.Response(status, headers=headers, content=content)

    [reply] = ChatClient("judge", local=True, transport=httpx2.MockTransport(handle)).ask(
        verdicts(image, 1)
    )
    assert reply.value.rationale == "0"


def test_a_prompt_that_always_fails_gives_one_reply_without_a_value(image, monkeypatch):
    monkeypatch.setattr(faults, "_spread", lambda state: 0.001)

    def answer(body, place):
        if "number 1" in body["messages"][1]["content"][1]["text"]:
            return fault(500, "cannot digest this image")
        return echo(body)

    with Loopback(answer) as server:
        replies = local(server).ask(verdicts(image, 3))
    assert [reply.value is None for reply in replies] == [False, True, False]
    assert "cannot digest this image" in replies[1].reason


@pytest.mark.slow
def test_an_endpoint_that_fails_every_request_ends_the_run(image, monkeypatch):
    monkeypatch.setattr(faults, "_spread", lambda state: 0.001)
    with Loopback(lambda body, place: fault(500)) as server:
        client = local(server)
        with pytest.raises(ModelUnavailable, match="failed"):
            client.ask(verdicts(image, 1000))
    assert client.spent()["requests"] < 300


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (fault(401, f"Incorrect API key provided: {KEY}"), r"key was refused \(401\)"),
        (fault(403, f"{KEY} may not"), r"key was refused \(403\)"),
        (fault(404, f"The model `judge` does not exist for {KEY}"), "no such model"),
        (fault(429, "No credit", code="insufficient_quota"), "rate limit or quota"),
    ],
)
def test_a_fault_of_all_prompts_is_one_clear_error_without_the_key(
    image, tmp_path, monkeypatch, answer, words
):
    monkeypatch.setenv("VITAL_API_KEY", KEY)
    with Loopback(lambda body, place: answer) as server:
        client = local(server, ledger=tmp_path / "l.sqlite", concurrency=4)
        with pytest.raises(ModelUnavailable, match=words) as caught:
            client.ask(verdicts(image, 100))
        assert len(server.bodies) <= 8
        assert f"'judge' at {server.base_url}" in str(caught.value)
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert KEY not in shown and caught.value.__context__ is None


def test_an_unreachable_endpoint_is_one_clear_error(image):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refuses at once
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(ModelUnavailable, match=f"{url}: cannot be reached"):
            ChatClient("judge", local=True, base_url=url).ask(verdicts(image, 100))


def test_an_address_without_a_scheme_is_one_clear_error(image):
    with pytest.raises(ModelUnavailable, match="is base_url right"):
        ChatClient("judge", local=True, base_url="localhost:1/v1").ask(verdicts(image, 3))


def test_requests_in_flight_when_the_run_ends_are_stored(image, tmp_path):
    arrived = threading.Event()

    def answer(body, place):
        if place == 0:
            arrived.wait(5)
            return echo(body)
        threading.Timer(0.1, arrived.set).start()
        return fault(401)

    with Loopback(answer) as server:
        client = local(server, ledger=tmp_path / "l.sqlite", concurrency=2)
        with pytest.raises(ModelUnavailable):
            client.ask(verdicts(image, 50))
    assert client.ledger.history()["answered"].tolist() == [True]


# ------------------------------------------------------------------ keys


def test_the_key_is_sent_and_appears_nowhere_else(image, tmp_path, monkeypatch):
    monkeypatch.setenv("VITAL_API_KEY", KEY)

    def answer(body, place):
        return fault(400, f"bad request of {KEY}") if place == 0 else said(f"you are {KEY}")

    with Loopback(answer) as server:
        client = local(server, ledger=tmp_path / "l.sqlite", concurrency=1)
        replies = client.ask(verdicts(image, 2))
    assert set(server.authorizations) == {f"Bearer {KEY}"}
    files = b"".join(path.read_bytes() for path in tmp_path.glob("l.sqlite*"))
    assert b"bad request" in files and KEY.encode() not in files
    assert KEY not in repr(replies) + repr(client) + repr(vars(client))


@pytest.mark.parametrize("before", ["", "u", "me", "you"])
def test_masked_and_encoded_keys_are_removed_but_plain_words_are_not(monkeypatch, before):
    monkeypatch.setenv("VITAL_API_KEY", KEY)
    encoded = base64.b64encode((before + KEY).encode()).decode()
    for form in (KEY, KEY[:8], f"{KEY[:11]}********{KEY[-4:]}", f"{KEY[:9]}...", encoded):
        shown = without_key(f"refused {form} there")
        assert shown.startswith("refused ") and shown.endswith("[VITAL_API_KEY] there")
        assert (
            len(shown) <= len("refused [VITAL_API_KEY] there") + 4
        )  # a rest of the text before the key
    assert without_key(KEY[:7]) == KEY[:7]
    monkeypatch.setenv("VITAL_API_KEY", "clinical-secret")
    assert without_key("a clinical view, clinical-secret") == "a clinical view, [VITAL_API_KEY]"


def test_the_openai_key_is_sent_only_to_openai(image, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere.invalid/v1")
    seen = []

    async def handle(request):
        seen.append((request.url.host, request.headers["authorization"]))
        return httpx2.Response(404, json={"error": {"message": "no"}})

    for url in (None, "http://127.0.0.1:1/v1"):
        with pytest.raises(ModelUnavailable):
            transport = httpx2.MockTransport(handle)
            ChatClient("judge", local=True, base_url=url, transport=transport, concurrency=1).ask(
                verdicts(image, 1)
            )
    assert seen == [("api.openai.com", f"Bearer {KEY}"), ("127.0.0.1", "Bearer none")]


def test_a_missing_key_error_names_the_variable_to_set(image):
    with pytest.raises(ModelUnavailable, match="no key; set OPENAI_API_KEY"):
        ChatClient("gpt-4o").ask(verdicts(image, 1))


def test_a_key_with_a_stray_character_is_not_shown(image, monkeypatch):
    monkeypatch.setenv("VITAL_API_KEY", KEY + "\nmore")
    with pytest.raises(ModelUnavailable, match="VITAL_API_KEY holds characters") as caught:
        ChatClient("judge", local=True, base_url="http://127.0.0.1:1/v1").ask(verdicts(image, 1))
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_key_in_the_address_is_refused():
    with pytest.raises(ValueError, match="set VITAL_API_KEY") as caught:
        ChatClient("judge", base_url=f"http://user:{KEY}@127.0.0.1/v1")
    assert KEY not in str(caught.value)


# ------------------------------------------------------------------ concurrency


def test_requests_in_flight_reach_the_concurrency_and_never_exceed_it(image):
    under_way, most = 0, 0

    async def handle(request):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.002)
        under_way -= 1
        status, headers, content = echo(json.loads(request.content))
        return httpx2.Response(status, headers=headers, content=content)

    ChatClient("judge", local=True, concurrency=7, transport=httpx2.MockTransport(handle)).ask(
        verdicts(image, 100)
    )
    assert most == 7


def test_prompts_are_consumed_only_as_fast_as_they_are_sent(image):
    taken, ahead = 0, []

    def prompts():
        nonlocal taken
        for prompt in verdicts(image, 200):
            taken += 1
            yield prompt

    def answer(body, place):
        ahead.append(taken - place)
        return echo(body)

    ChatClient("judge", local=True, concurrency=4, transport=in_process(answer)).ask(prompts())
    assert len(ahead) == 200 and max(ahead) <= 8 + 4


def test_ask_works_inside_a_running_event_loop(image):
    async def cell():
        return ChatClient("judge", local=True, transport=in_process(echo)).ask(verdicts(image, 2))

    assert [reply.value.rationale for reply in asyncio.run(cell())] == ["0", "1"]


def test_ask_without_prompts_returns_an_empty_list():
    assert ChatClient("judge", local=True).ask([]) == []


def test_an_error_in_on_reply_ends_the_run_and_replies_are_stored(image, tmp_path):
    def stop(count):
        if count == 10:
            raise StopAsyncIteration("enough")

    client = ChatClient(
        "judge", local=True, ledger=tmp_path / "l", concurrency=4, transport=in_process(echo)
    )
    with pytest.raises(StopAsyncIteration, match="enough"):
        client.ask(verdicts(image, 500), on_reply=stop)
    assert 10 <= len(client.ledger.history()) <= 30
    assert len(client.ask(verdicts(image, 500))) == 500


def test_an_interrupt_ends_the_run_and_replies_are_stored(image, tmp_path):
    main = threading.main_thread().ident

    def interrupt(count):
        if count == 10:
            signal.pthread_kill(main, signal.SIGINT)

    with Loopback(echo) as server:
        client = local(server, ledger=tmp_path / "l", concurrency=2)
        with pytest.raises(KeyboardInterrupt):
            client.ask(verdicts(image, 5000), on_reply=interrupt)
        kept = len(client.ledger.history())
        assert 10 <= kept < 5000
        assert len(client.ledger.history()) == kept  # nothing continues after the interrupt
        assert len(client.ask(verdicts(image, kept))) == kept  # and the run can be started again


def test_an_error_in_the_prompts_is_raised_unchanged(image):
    def prompts():
        yield from verdicts(image, 3)
        raise LookupError("figure 4 is gone")

    with pytest.raises(LookupError, match="figure 4 is gone"):
        ChatClient("judge", local=True, transport=in_process(echo)).ask(prompts())


@pytest.mark.parametrize("concurrency", [0, -1])
def test_a_concurrency_below_one_is_refused(concurrency):
    with pytest.raises(ValueError, match=f"concurrency is {concurrency}"):
        ChatClient(concurrency=concurrency)


def test_the_embedded_model_uses_the_same_client(image, monkeypatch):
    from vital_lib import clinic

    opened = []

    def transport():
        opened.append(1)
        return in_process(echo)

    monkeypatch.setitem(vars(clinic), "transport", transport)
    client = ChatClient("clinic-second")
    assert opened == []  # opened when first needed
    assert [reply.value.rationale for reply in client.ask(verdicts(image, 2))] == ["0", "1"]
    client.ask(verdicts(image, 4))
    assert opened == [1] and client.spent()["usd"] == 0.0
