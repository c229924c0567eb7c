"""Tests of the requests of a run: what failures cost, addresses, keys and fields."""

from __future__ import annotations

import contextlib

import httpx2
import pytest
from client_acts import KEY, TIE, echo, local, verdicts
from loopback import Loopback, fault
from processes import free_port

from vital_lib.client import ChatClient, ModelUnavailable
from vital_lib.clinic.server import Dials, running

OPENAI, AZURE = "https://api.openai.com/v1", "https://mine.openai.azure.com/openai/v1/"


# ------------------------------------------------------------------ cost of failures


class Recorder:
    """Replaces `Cost` and records the calls."""

    def __init__(self):
        self.calls = []

    def reserve(self, prompt):
        self.calls.append("reserved")
        return 5.0

    def release(self, reserved):
        assert reserved == 5.0
        self.calls.append("released")


def settlements(client, prompts):
    """Send prompts and return how many reservations were made, and how many released."""
    client.cost = Recorder()
    with contextlib.suppress(ModelUnavailable):
        client.ask(prompts)
    reserved, released = map(client.cost.calls.count, ("reserved", "released"))
    assert reserved
    return reserved, released


@pytest.mark.parametrize("kind", ["reset", "truncated", "hang", "malformed"])
def test_an_attempt_sent_without_an_error_response_may_have_cost(image, kind):
    with running(Dials(faults={kind: 1.0})) as server:
        client = ChatClient(base_url=server.url, local=True, concurrency=1, timeout_seconds=0.5)
        _, released = settlements(client, verdicts(image, 1))
        assert released == 0


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refused_attempt_costs_nothing(image, status):
    with Loopback(lambda body, place: fault(status)) as server:
        assert settlements(local(server, concurrency=1), verdicts(image, 1)) == (1, 1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}/v1", "localhost:{}/v1"])
def test_an_attempt_that_was_not_sent_costs_nothing(image, url):
    client = ChatClient("judge", local=True, base_url=url.format(free_port()), concurrency=1)
    reserved, released = settlements(client, verdicts(image, 1))
    assert reserved == released


def test_an_answered_attempt_is_released_after_a_failed_one(image):
    with Loopback(lambda body, place: fault(500) if place == 0 else echo(body)) as server:
        client = local(server, concurrency=1)
        assert settlements(client, verdicts(image, 1)) == (2, 2)


def test_a_failed_row_shows_whether_its_cost_is_known(image):
    def answer(body, place):
        return (200, {}, b"<html>") if "number 0" in str(body) else fault(400)

    with Loopback(answer) as server:
        client = local(server, concurrency=1)
        unknown, nothing_paid = client.ask(verdicts(image, 2))
    assert (unknown.usd, nothing_paid.usd) == (None, 0.0)
    history = client.ledger.history()
    assert history["usd"].isna().tolist() == history["text"].eq("<html>").tolist()


# ------------------------------------------------------------------ addresses, keys, fields


def sends(client, image, status=404):
    """Return the request that a client sends and the error that it raises."""
    seen = []

    async def handle(request):
        seen.append(request)
        return httpx2.Response(status, json={"error": {"message": "no"}})

    client._transport = httpx2.MockTransport(handle)
    with pytest.raises(ModelUnavailable) as caught:
        client.ask(verdicts(image, 1))
    return seen[0], str(caught.value)


@pytest.mark.parametrize("url", [None, OPENAI, OPENAI + "/", "https://API.OpenAI.com/v1/"])
def test_openais_address_is_recognised_in_every_spelling(image, monkeypatch, url):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    client = ChatClient("gpt-4o", base_url=url)
    request, _ = sends(client, image)
    assert client.endpoint == "" and request.headers["authorization"] == f"Bearer {KEY}"
    assert str(request.url).lower() == f"{OPENAI}/chat/completions"


@pytest.mark.parametrize("url", ["https://api.openai.com.evil.example/v1", "http://api.openai.com"])
def test_other_addresses_are_not_taken_for_openai(image, monkeypatch, url):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    client = ChatClient("gpt-4o", base_url=url)
    assert client.endpoint != "" and KEY not in str(sends(client, image)[0].headers)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (OPENAI, "OPENAI_API_KEY"),
        (AZURE, "AZURE_OPENAI_API_KEY"),
        ("http://127.0.0.1:9/v1", "VITAL_API_KEY"),
    ],
)
def test_a_refused_key_error_names_the_applicable_variable(image, url, name):
    client = ChatClient("judge", local=True, base_url=url)
    assert f"the key was refused (401); set {name}. " in sends(client, image, 401)[1]


@pytest.mark.parametrize(
    "url",
    [
        "https://{}:x@127.0.0.1/v1",
        "https://:{}@127.0.0.1/v1",
        "https://127.0.0.1/v1?api-key={}",
        "https://127.0.0.1/v1#{}",
    ],
)
def test_an_address_with_credentials_query_or_fragment_is_refused_and_not_repeated(url):
    with pytest.raises(ValueError, match="set VITAL_API_KEY") as caught:
        ChatClient("judge", local=True, base_url=url.format(KEY))
    assert KEY not in str(caught.value)


def test_openai_settings_in_the_environment_are_sent_only_to_openai(image, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-mine")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Mine: header-mine\nAuthorization: Bearer mine")
    for url in ("http://127.0.0.1:9/v1", AZURE):
        request, _ = sends(ChatClient("judge", local=True, base_url=url), image)
        assert "mine" not in str([pair for pair in request.headers.items() if pair[0] != "host"])
        assert request.headers["authorization"] == "Bearer none"
    request, _ = sends(ChatClient("judge", local=True, base_url=OPENAI), image)
    assert request.headers["openai-organization"] == "org-mine"
    assert request.headers["openai-project"] == "proj-mine"
    assert request.headers["x-mine"] == "header-mine"


@pytest.mark.parametrize(
    ("status", "words", "field"),
    [
        (400, "Unrecognized request argument supplied: seed", "seed"),
        (422, '[{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]', "seed"),
        (400, "This model does not support structured outputs.", "response_format"),
        (422, "json_schema is not supported", "response_format"),
    ],
)
def test_a_rejected_field_is_omitted_from_then_on(image, status, words, field):
    def answer(body, place):
        return fault(status, words) if field in body else TIE

    with Loopback(answer) as server:
        replies = local(server, concurrency=2).ask(verdicts(image, 20))
    assert all(reply.value for reply in replies) and len(server.bodies) <= 20 + 2
    kept = {"seed", "response_format"} - {field}
    assert kept <= set(server.bodies[-1])


def test_two_rejected_fields_are_both_omitted(image):
    def answer(body, place):
        refused = [name for name in ("seed", "response_format") if name in body]
        return fault(400, f"unknown: {refused}") if refused else TIE

    with Loopback(answer) as server:
        [reply] = local(server).ask(verdicts(image, 1))
    assert reply.value and len(server.bodies) == 3


def test_a_request_refused_for_another_reason_is_sent_once(image):
    with Loopback(lambda body, place: fault(400, "the image is too large")) as server:
        [reply] = local(server).ask(verdicts(image, 1))
    assert "the image is too large" in reply.reason and len(server.bodies) == 1


def test_parameters_are_sent_and_make_a_new_request(image, tmp_path):
    given = {"temperature": 0.2, "max_completion_tokens": 300}
    with Loopback(echo) as server:
        plain = local(server, ledger=tmp_path / "l.sqlite")
        warm = local(server, ledger=tmp_path / "l.sqlite", parameters=given)
        given["temperature"] = 9  # a copy was taken
        [one], [other] = plain.ask(verdicts(image, 1)), warm.ask(verdicts(image, 1))
        assert warm.ask(verdicts(image, 1)) == [other]
    first, second = server.bodies
    assert "temperature" not in first
    assert (second["temperature"], second["max_completion_tokens"]) == (0.2, 300)
    assert one.reply_id != other.reply_id


@pytest.mark.parametrize("name", ["model", "messages", "seed", "response_format", "stream"])
def test_parameters_that_each_request_sets_are_refused(name):
    with pytest.raises(ValueError, match=f"parameters has '{name}'"):
        ChatClient(parameters={"temperature": 1, name: 1})


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_parameters_that_are_not_json_are_refused(value):
    with pytest.raises((ValueError, TypeError), match="JSON"):
        ChatClient(parameters={"temperature": value})
