"""Tests of sending prompts: order, faults, the ledger, keys and cost. All run on this machine."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import gc
import hashlib
import io
import itertools
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import httpx2
import numpy as np
import pytest
from loopback import Loopback, fault, in_process, said, save_image
from PIL import Image
from skimage.data import immunohistochemistry

from vital_lib.client import (
    ChatClient,
    CostCeiling,
    Ledger,
    LedgerUnwritable,
    ModelUnavailable,
    UnknownPrice,
    cost,
    cost_per,
    faults,
)
from vital_lib.client.faults import without_key
from vital_lib.client.images import Images
from vital_lib.client.ledger import Entry, Request
from vital_lib.client.prices import ImageRule, price_of
from vital_lib.client.wire import make_body, make_request
from vital_lib.figures import open_image
from vital_lib.prompts import Prompt, RatingCriteria, rating_prompt, verdict_prompt

KEY = "sk-planted-0123456789abcdef"
FIGURE = {"caption": "CT of the head.", "mentions": [], "modalities": ["ct_scan"]}


@pytest.fixture
def image(tmp_path):
    return open_image(save_image(tmp_path / "figure.png", seed=0))


def verdicts(image, count, start=0):
    """Yield prompts that contain their number, so that each reply can be identified."""
    for number in range(start, start + count):
        yield verdict_prompt(f"number {number}", image, "r", "x", "y")


def echo(body, place=0):
    """Return a verdict whose rationale is the question's number."""
    question = body["messages"][-1]["content"][1]["text"].splitlines()[0]
    return said(json.dumps({"rationale": question.split()[-1], "winner": "tie"}))


def local(server, **options):
    return ChatClient("judge", base_url=server.base_url, **{"local": True, **options})


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
    large = open_image(save_image(tmp_path / "large.png", seed=1, side=1600))
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
        other = open_image(save_image(tmp_path / "other.png", seed=3))
        save_image(tmp_path / "other.png", seed=4)
        bad, good = local(server).ask([*verdicts(other, 1), *verdicts(image, 1)])
    assert bad.value is None and "changed since" in bad.reason
    assert good.value.rationale == "0"


# ------------------------------------------------------------------ the ledger


def test_an_answered_request_is_not_sent_again(image, tmp_path):
    with Loopback(echo) as server:
        first = local(server, ledger=tmp_path / "l.sqlite").ask(verdicts(image, 5))
        again = local(server, ledger=tmp_path / "l.sqlite").ask(verdicts(image, 6))
    assert len(server.bodies) == 6
    assert again[:5] == first


def test_replies_in_the_ledger_need_no_key_and_no_server(image, tmp_path):
    with Loopback(echo) as server:
        first = local(server, ledger=tmp_path / "l.sqlite").ask(verdicts(image, 3))
    assert local(server, ledger=tmp_path / "l.sqlite").ask(verdicts(image, 3)) == first


def test_the_same_model_name_on_another_server_is_a_different_model(image, tmp_path):
    with Loopback(echo) as one, Loopback(echo) as other:
        for server in (one, other, one):
            local(server, ledger=tmp_path / "l.sqlite").ask(verdicts(image, 2))
    assert len(one.bodies) == len(other.bodies) == 2


def test_the_clinic_with_different_rates_is_a_different_model(monkeypatch):
    before = ChatClient().endpoint
    monkeypatch.setattr("vital_lib.clinic.rates.rates_fingerprint", lambda rates: "f" * 64)
    assert ChatClient().endpoint == "clinic/ffffffffffff" != before


def test_again_makes_a_new_attempt_whose_answer_replaces_the_old_answer(image, tmp_path):
    def answer(body, place):
        return PROSE if place == 0 else echo(body)

    with Loopback(answer) as server:
        client = local(server, ledger=tmp_path / "l.sqlite")
        [first] = client.ask(verdicts(image, 1))
        [new, twin] = client.ask([*verdicts(image, 1), *verdicts(image, 1)], again=True)
        [known] = client.ask(verdicts(image, 1))
        [third] = client.ask(verdicts(image, 1), again=True)
    assert first.value is None and new.value.rationale == "0" and known == new == twin
    assert [reply.reply_id for reply in (new, third)] == [f"{first.reply_id}-{n}" for n in (1, 2)]
    assert len({body["seed"] for body in server.bodies}) == len(server.bodies) == 3
    assert client.ledger.trace(first.reply_id)["text"] == first.text
    assert client.ledger.trace(new.reply_id)["text"] == new.text


def test_exported_replies_are_replayed_without_ledger_or_network(image, tmp_path):
    with Loopback(echo) as server:
        client = local(server, ledger=tmp_path / "l.sqlite")
        replies = client.ask(verdicts(image, 5))
    assert client.ledger.export(tmp_path / "replies.jsonl") == 5
    replay = ChatClient("judge", base_url=server.base_url, replay=tmp_path / "replies.jsonl")
    assert replay.ask(verdicts(image, 5)) == replies
    assert replay.ledger.trace(replies[2].reply_id) == client.ledger.trace(replies[2].reply_id)
    with pytest.raises(
        ModelUnavailable, match="the replay file has no reply to this verdict prompt"
    ):
        replay.ask(verdicts(image, 6))
    (tmp_path / "replies.jsonl").write_text('{"key": 1}\n')
    with pytest.raises(ValueError, match=r"replies\.jsonl, line 1: not an exported reply"):
        ChatClient("judge", replay=tmp_path / "replies.jsonl")


def test_replies_are_found_in_the_ledger_at_any_price_of_the_model(tmp_path, prices):
    """Also in a replay: the price table sets the image rule, which is not part of the key."""
    large = open_image(save_image(tmp_path / "large.png", seed=1, side=1600))
    with Loopback(echo) as server:
        options = {"base_url": server.base_url, "ledger": tmp_path / "l.sqlite"}
        paid = ChatClient("judge", prices=prices, **options)
        replies = paid.ask(verdicts(large, 2))
        assert ChatClient("judge", local=True, **options).ask(verdicts(large, 2)) == replies
        paid.ledger.export(tmp_path / "replies.jsonl")
    assert len(server.bodies) == 2
    replay = ChatClient("judge", base_url=server.base_url, replay=tmp_path / "replies.jsonl")
    assert replay.ask(verdicts(large, 2)) == replies
    traced = replay.ledger.trace(replies[0].reply_id)
    assert traced["image_rule"] == "tiles 85 170"
    assert traced["messages"][-1]["content"][0] == {"image": large.sha256, "size": [1600, 1600]}


def test_parameters_are_sent_and_stored_and_are_part_of_the_key(image):
    [prompt] = verdicts(image, 1)
    images, options = Images(ImageRule.read("low 85")), {"seed": 0}
    plain, none, warm, hot = (
        make_request("judge", prompt, images.rule, **options, **more)
        for more in (
            {},
            {"parameters": {}},
            {"parameters": {"temperature": 0.5, "top_p": 1}},
            {"parameters": {"temperature": 1}},
        )
    )
    again = replace(warm, parameters={"top_p": 1, "temperature": 0.5})
    assert plain.key == none.key and again.key == warm.key
    assert len({plain.key, warm.key, hot.key}) == 3
    body = make_body(warm, prompt, images)
    assert (body["temperature"], body["top_p"], body["model"]) == (0.5, 1, "judge")
    ledger = Ledger()
    ledger.append([(warm, Entry(answered=True))])
    assert ledger.trace(warm.reply_id)["parameters"] == {"temperature": 0.5, "top_p": 1}


def test_keys_of_older_ledgers_stay_valid():
    request = Request("judge", "verdict", "v1", 7, ("a", "b"), "schema")
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in ("a", "b")]
    older = json.dumps(["judge", hashes, "schema", "v1", 7, 0])  # the last is the repeat
    assert request.key == hashlib.sha256(older.encode()).hexdigest()


@pytest.mark.parametrize("place", ["folder", "no_ledger.txt", "no_ledger.txt/l.sqlite"])
def test_a_ledger_that_cannot_be_opened_is_a_one_line_error_with_path_and_fix(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "no_ledger.txt").write_text("a diary, not a data base\n" * 100)
    with pytest.raises(LedgerUnwritable, match="or move the run") as caught:
        ChatClient("judge", local=True, ledger=tmp_path / place)
    assert str(tmp_path / place) in str(caught.value) and "\n" not in str(caught.value)


def test_a_new_ledger_on_a_full_disk_names_the_cause(tmp_path, monkeypatch):
    def full(path, *args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(LedgerUnwritable, match=r"No space left on device.*Free space"):
        Ledger(tmp_path / "new" / "l.sqlite")


def test_model_text_image_seed_and_version_are_each_part_of_the_key(image, tmp_path):
    other = open_image(save_image(tmp_path / "other.png", seed=9))
    [plain] = verdicts(image, 1)
    newer = Prompt(plain.name, "another-version", plain.messages, plain.schema)
    with Loopback(echo) as server:
        client = local(server, ledger=tmp_path / "l.sqlite")
        replies = [
            *client.ask([plain]),
            *client.ask([plain], seed=1),
            *client.ask(verdicts(other, 1)),
            *client.ask(verdicts(image, 1, start=1)),
            *client.ask([newer]),
            *ChatClient(
                "x", local=True, base_url=server.base_url, ledger=tmp_path / "l.sqlite"
            ).ask([plain]),
        ]
    assert len(server.bodies) == len({reply.reply_id for reply in replies}) == 6


def test_a_copy_of_an_image_makes_the_same_request(image, tmp_path):
    (tmp_path / "copy.png").write_bytes(image.path.read_bytes())
    with Loopback(echo) as server:
        client = local(server)
        assert client.ask(verdicts(image, 1)) == client.ask(
            verdicts(open_image(tmp_path / "copy.png"), 1)
        )
    assert len(server.bodies) == 1


def test_a_prompts_own_seed_is_sent(image):
    [plain] = verdicts(image, 1)
    own = Prompt(plain.name, plain.version, plain.messages, plain.schema, seed=11)
    with Loopback(echo) as server:
        local(server).ask([own], seed=5)
    assert server.bodies[0]["seed"] == 11


def test_a_duplicate_prompt_is_sent_once(image):
    with Loopback(echo) as server:
        replies = local(server).ask([*verdicts(image, 3), *verdicts(image, 3)])
    assert len(server.bodies) == 3
    assert replies[:3] == replies[3:]


def test_threads_with_the_same_prompts_pay_once(image, tmp_path):
    with Loopback(echo) as server, ThreadPoolExecutor(4) as threads:
        client = local(server, ledger=tmp_path / "l.sqlite", concurrency=4)
        futures = [threads.submit(client.ask, list(verdicts(image, 30))) for _ in range(4)]
        replies = [future.result() for future in futures]
    assert len(server.bodies) == 30
    assert all(reply == replies[0] for reply in replies)
    assert client.spent()["requests"] == 30


def test_a_reply_is_in_the_ledger_before_it_is_counted(image, tmp_path):
    kept = []

    def look(count):
        with sqlite3.connect(tmp_path / "l.sqlite") as other:
            kept.append((count, other.execute("SELECT count(*) FROM replies").fetchone()[0]))

    client = ChatClient(
        "judge", local=True, ledger=tmp_path / "l.sqlite", transport=in_process(echo)
    )
    client.ask(verdicts(image, 50), on_reply=look)
    assert [count for count, _ in kept] == list(range(1, 51))
    assert all(rows >= count for count, rows in kept)


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_client import ChatClient, echo, in_process, open_image, verdicts
folder = Path(sys.argv[2])
client = ChatClient("judge", local=True, ledger=folder / "l.sqlite", transport=in_process(echo),
          concurrency=4)
client.ask(verdicts(open_image(folder / "figure.png"), 200),
        on_reply=lambda count: os._exit(9) if count == 60 else None)
"""


def test_a_killed_process_loses_no_counted_reply(image, tmp_path):
    folders, temporary = [str(Path(__file__).parent), str(tmp_path)], tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    command = [sys.executable, "-c", KILLED, *folders]
    done = subprocess.run(command, capture_output=True, env=environment)
    assert done.returncode == 9, done.stderr
    assert not list(temporary.iterdir())  # no temporary file is left
    kept = len(Ledger(tmp_path / "l.sqlite").history())
    assert kept >= 60
    sent = []

    def answer(body, place):
        sent.append(place)
        return echo(body)

    client = ChatClient(
        "judge", local=True, ledger=tmp_path / "l.sqlite", transport=in_process(answer)
    )
    replies = client.ask(verdicts(image, 200))
    assert len(sent) == 200 - kept
    assert [reply.value.rationale for reply in replies] == [str(n) for n in range(200)]


def test_the_ledger_cannot_be_rewritten(image, tmp_path):
    with Loopback(echo) as server:
        local(server, ledger=tmp_path / "l.sqlite").ask(verdicts(image, 1))
    with sqlite3.connect(tmp_path / "l.sqlite") as other:
        for act in ("UPDATE replies SET text = 'x'", "DELETE FROM replies", "DELETE FROM messages"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                other.execute(act)


def test_a_reply_id_finds_its_request(image):
    with Loopback(echo) as server:
        client = local(server)
        [reply] = client.ask(verdicts(image, 1), seed=3)
    traced = client.ledger.trace(reply.reply_id)
    assert traced["text"] == reply.text and traced["seed"] == 3 and traced["prompt"] == "verdict"
    assert traced["key"].startswith(reply.reply_id) and len(reply.reply_id) == 16
    picture, text = traced["messages"][-1]["content"]
    assert picture["image"] == image.sha256 and text.startswith("Question: number 0")
    with pytest.raises(KeyError, match="no reply 'nowhere'"):
        client.ledger.trace("nowhere")


def test_the_ledger_keeps_no_image_bytes(image, tmp_path):
    with Loopback(echo) as server:
        local(server, ledger=tmp_path / "l.sqlite").ask(verdicts(image, 3))
    sent = server.bodies[0]["messages"][1]["content"][0]["image_url"]["url"].split(",")[1]
    files = b"".join(path.read_bytes() for path in tmp_path.glob("l.sqlite*"))
    assert sent[:64].encode() not in files and base64.b64decode(sent)[:32] not in files


# ------------------------------------------------------------------ replies without a value

REFUSED = said(None, refusal="I cannot help with that.")
CUT = said('{"rationale": "a long', finish_reason="length")
WHOLE_BUT_CUT = said('{"rationale": "", "winner": "tie"}', finish_reason="length")
FILTERED = said("", finish_reason="content_filter")
PROSE = said("The film is dark.")


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
    with Loopback(lambda body, place: PROSE if place == 1 else good) as server:
        replies = local(server, concurrency=1).ask(prompts)
    assert [reply.value and reply.value.overall for reply in replies] == [9, None, 9]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_the_api_refuses_gives_one_reply_and_can_be_sent_again(image, status):
    def answer(body, place):
        return fault(status, "image too odd") if place == 0 else echo(body)

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


@pytest.mark.parametrize(
    "usage",
    [
        *("null", "{}", '"many"', "[]", '{"prompt_tokens": null, "completion_tokens": null}'),
        '{"prompt_tokens": -5000, "completion_tokens": -5000}',
        '{"prompt_tokens": 0.5, "completion_tokens": 9.5}',
        '{"prompt_tokens": 1e400, "completion_tokens": 10000000000000000000}',
        '{"prompt_tokens": true, "completion_tokens": "twenty"}',
    ],
)
def test_invalid_token_counts_are_estimated_by_length_and_the_reply_is_read(image, prices, usage):
    content = json.dumps({"rationale": "it lies left " * 10, "winner": "first"})
    choices = json.dumps([{"message": {"content": content}}])
    answer = 200, {}, f'{{"choices": {choices}, "usage": {usage}}}'.encode()
    with Loopback(lambda _, place: answer) as server:
        client = local(server, prices=prices, local=False)
        estimated = client.estimate(verdicts(image, 1))["tokens_in"]
        [reply] = client.ask(verdicts(image, 1))
    assert reply.value.winner == "first"
    assert (reply.tokens_in, reply.tokens_out) == (estimated, len(content) // 4)
    assert client.spent()["usd"] == reply.usd == client.price.usd(estimated, len(content) // 4) > 0


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


# ------------------------------------------------------------------ cost


PRICES = "model,usd_per_million_in,usd_per_million_out,image_tokens,as_of\n"


@pytest.fixture
def prices(tmp_path):
    table = tmp_path / "prices.csv"
    table.write_text(f"{PRICES}judge,2.0,10.0,tiles 85 170,2026-01-01\n")
    return table


def test_cost_is_estimated_before_and_counted_after_sending(image, tmp_path, prices):
    with Loopback(echo) as server:
        options = {"ledger": tmp_path / "l", "prices": prices, "local": False}
        client = local(server, **options)
        before = client.estimate(verdicts(image, 10))
        assert before["requests"] == 10 and before["tokens_in"] > 10 * 255
        assert before["usd"] == pytest.approx(
            (before["tokens_in"] * 2 + before["tokens_out"] * 10) / 1e6
        )
        client.ask(verdicts(image, 10))
        client.ask(verdicts(image, 10))
    spent = {"requests": 10, "tokens_in": 1000, "tokens_out": 200, "usd": pytest.approx(0.004)}
    assert client.spent() == spent == local(server, **options).spent()
    assert client.estimate(verdicts(image, 3))["tokens_out"] == 60  # now from the ledger's mean
    assert local(server).estimate(verdicts(image, 1))["usd"] == 0.0
    assert client.price.as_of == "2026-01-01"


def test_a_reply_keeps_the_price_at_its_time(image, tmp_path, prices):
    with Loopback(echo) as server:
        options = {"ledger": tmp_path / "l", "prices": prices, "local": False}
        local(server, **options).ask(verdicts(image, 10))
        prices.write_text(f"{PRICES}judge,20.0,100.0,tiles 85 170,2027-01-01\n")
        dearer = local(server, **options)
        replies = dearer.ask(verdicts(image, 11))
    assert replies[0].usd == pytest.approx(0.0004) and replies[10].usd == pytest.approx(0.004)
    assert dearer.spent()["usd"] == pytest.approx(0.008)


def test_a_ledger_bills_one_model_or_all_models(image, tmp_path, prices):
    ledger = tmp_path / "l"
    with Loopback(echo) as server:
        for model, count in (("judge", 10), ("judge-2026-01-01", 5)):
            ChatClient(model, base_url=server.base_url, ledger=ledger, prices=prices).ask(
                verdicts(image, count)
            )
    judge, total = Ledger(ledger).bill("judge"), Ledger(ledger).bill()
    assert (judge["requests"], total["requests"]) == (10, 15)
    assert total["usd"] == pytest.approx(1.5 * judge["usd"]) and judge["usd"] > 0
    assert Ledger(ledger).bill("never used")["usd"] == 0


def test_cost_per_item_divides_the_whole_bill():
    bill = {"requests": 10, "tokens_in": 1, "tokens_out": 1, "usd": 6.0}
    found = cost_per(bill, accepted=12, selected=3, tuned=0)
    assert found == {"usd_per_accepted": 0.5, "usd_per_selected": 2.0, "usd_per_tuned": None}


def test_a_missing_price_is_an_error_that_shows_the_line_to_add(prices):
    with pytest.raises(UnknownPrice, match=r"Add a line to .*prices\.csv") as caught:
        ChatClient("other", prices=prices)
    line = next(line for line in str(caught.value).splitlines() if line.startswith("other,"))
    prices.write_text(f"{PRICES}{line}\n")
    assert ChatClient("other", prices=prices).price.usd(1e6, 1e6) == 12.5
    assert ChatClient("other", local=True).price.usd(1e6, 1e6) == 0.0


def test_a_dated_snapshot_has_its_own_price_or_that_of_its_base_model():
    assert ChatClient("gpt-4.1-2025-04-14").price.model == "gpt-4.1"
    assert ChatClient("gpt-4o-2024-05-13").price.usd_per_million_in == 5.0
    assert all(price.as_of for price in map(price_of, ("gpt-5", "gpt-4.1-mini", "o3")))


@pytest.mark.parametrize(
    "line",
    [
        *("judge,x,1,tiles 85 170,", "judge,-1,1,low 85,", "judge,1,1,cubes 3,", "judge,1"),
        *("judge,1,1,tiles 85 inf,", "judge,1,1,low nan,", "judge,1,1,side 0 85,"),
        *("judge,1,1,patches -1 1536,", "judge,inf,1,low 85,"),
    ],
)
def test_an_invalid_line_of_prices_is_named(prices, line):
    prices.write_text(f"{PRICES}{line}\n")
    with pytest.raises(ValueError, match=r"prices\.csv, line 2"):
        ChatClient("judge", prices=prices)


@pytest.mark.parametrize(
    ("rule", "size", "sent", "tokens"),
    [  # the first five are the provider's own examples
        ("tiles 85 170", (1024, 1024), (768, 768), 765),
        ("tiles 85 170", (2048, 4096), (768, 1536), 1105),
        ("low 85", (4096, 8192), (256, 512), 85),
        ("patches 1 1536", (1024, 1024), (1024, 1024), 1024),
        ("patches 1 1536", (1800, 2400), (1056, 1408), 1452),
        ("patches 1.62 1536", (64, 33), (64, 33), 7),
        ("tiles 70 140", (300, 200), (300, 200), 210),
        ("side 768 85", (1600, 800), (768, 384), 85),
    ],
)
def test_an_image_is_scaled_and_counted_by_the_providers_rule(rule, size, sent, tokens):
    read = ImageRule.read(rule)
    assert read.fit(*size) == sent and read.tokens(*size) == tokens
    assert read.tokens(*sent) == tokens


def test_an_image_is_encoded_once_and_cached_on_disk_when_unused(image, tmp_path, monkeypatch):
    other = open_image(save_image(tmp_path / "other.png", seed=9))
    encoded = []
    encode = Images._encode
    monkeypatch.setattr(Images, "_encode", lambda *a: encoded.append(1) or encode(*a))

    def shown():
        parts = (body["messages"][1]["content"] for body in server.bodies)
        sent = {text["text"]: picture["image_url"]["url"] for picture, text in parts}
        server.bodies.clear()
        return sent

    with Loopback(echo) as server:
        client = local(server)
        client.ask([*verdicts(image, 20), *verdicts(other, 20, start=20)])
        gc.collect()
        assert len(encoded) == 2 and len(client.images._held) == 0
        first = shown()
        client.ask([*verdicts(image, 20), *verdicts(other, 20, start=20)], again=True)
        assert len(encoded) == 2 and len(set(first.values())) == 2 and shown() == first


@pytest.mark.parametrize("trouble", ["nearly full", "full"])
def test_an_image_is_sent_even_if_the_disk_cache_fails(image, monkeypatch, trouble):
    with Loopback(echo) as server, Path("/dev/full").open("r+b", buffering=0) as full:
        client = local(server)
        if trouble == "full":
            client.images._file = full
        else:
            usage = SimpleNamespace(free=2**30)
            monkeypatch.setattr("vital_lib.client.images.shutil.disk_usage", lambda path: usage)
        replies = client.ask(verdicts(image, 3))
    assert all(reply.value for reply in replies) and not client.images._places


@pytest.mark.parametrize("side", [1200, 2400])
def test_fast_scaling_is_as_close_as_slow_scaling(tmp_path, side):
    """The JPEG loss hides the difference, even for histology, which is rich in detail."""
    Image.fromarray(immunohistochemistry()).resize((side, side)).save(tmp_path / "large.png")
    images, figure = Images(ImageRule.read("side 768 85")), open_image(tmp_path / "large.png")
    best = figure.pixels().resize((768, 768), Image.Resampling.LANCZOS)
    slow = io.BytesIO()
    best.save(slow, "JPEG", quality=90)

    def error(data):
        seen = np.asarray(Image.open(io.BytesIO(data))).astype(float)  # (768, 768, 3)
        return ((seen - np.asarray(best)) ** 2).mean()

    sent = base64.b64decode(images.encoded(figure).result().split(",")[1])
    assert error(sent) < 1.1 * error(slow.getvalue())


def by_word(model):
    """Return a tokenizer with the interface of `tiktoken` that counts words."""
    return SimpleNamespace(encode_ordinary=str.split)


def unable(*args):
    raise OSError("no network")


@pytest.fixture
def tiktoken(monkeypatch):
    """A replacement for the package, with an empty tokenizer cache."""
    module = SimpleNamespace(encoding_for_model=by_word)
    monkeypatch.setitem(sys.modules, "tiktoken", module)
    cost._counter.cache_clear()
    yield module
    cost._counter.cache_clear()


def texts_of(prompt):
    """Return all texts that are sent, including the reply schema."""
    texts = [part for m in prompt.messages for part in m["content"] if isinstance(part, str)]
    return [*texts, json.dumps(prompt.schema.model_json_schema())]


def test_text_is_counted_by_a_tokenizer_loaded_when_the_client_is_made(image, tiktoken):
    [prompt] = verdicts(image, 1)
    words = sum(len(text.split()) for text in texts_of(prompt))
    client = ChatClient("gpt-4o-2024-08-06", max_usd=1.0)
    tiktoken.encoding_for_model = unable
    assert client.estimate([prompt])["tokens_in"] == words + 255
    assert client.cost.reserve(prompt) > 0


def test_without_a_tokenizer_text_is_counted_by_length_and_a_warning_is_logged(
    image, tiktoken, caplog
):
    [prompt] = verdicts(image, 1)
    tiktoken.encoding_for_model = unable
    tokens = ChatClient("gpt-4o").estimate([prompt])["tokens_in"]
    assert tokens == sum(len(text) // 4 for text in texts_of(prompt)) + 255
    assert "'gpt-4o': tokens are counted by length" in caplog.text


def test_the_ceiling_is_kept_and_the_run_continues_when_it_is_raised(image, tmp_path, prices):
    prices.write_text(f"{PRICES}judge,0,1000,side 768 85,2026-01-01\n")  # 0.02 each
    with Loopback(echo) as server:
        options = {"ledger": tmp_path / "l", "prices": prices, "local": False}
        client = local(server, max_usd=1.0, concurrency=2, **options)
        with pytest.raises(CostCeiling, match="the ceiling is 1. Raise max_usd"):
            client.ask(verdicts(image, 100))
        assert 0.6 < client.spent()["usd"] <= 1.0
        sent = len(server.bodies)
        with pytest.raises(CostCeiling):
            local(server, max_usd=0.5, **options).ask(verdicts(image, 100))
        assert len(server.bodies) == sent
        done = local(server, max_usd=10.0, **options).ask(verdicts(image, 100))
    assert len(done) == 100 == len(server.bodies)


def test_the_ceiling_is_exceeded_at_most_by_requests_in_flight(image, tmp_path, prices):
    """Also when every reply costs a hundred times its estimate."""
    prices.write_text(f"{PRICES}judge,0,1000,side 768 85,2026-01-01\n")
    dear = said(json.dumps({"rationale": "", "winner": "tie"}), tokens=(0, 8000))  # 8 USD each
    with Loopback(lambda body, place: dear) as server:
        client = local(server, max_usd=20.0, concurrency=3, prices=prices, local=False)
        with pytest.raises(CostCeiling):
            client.ask(verdicts(image, 100))
    assert client.spent()["usd"] <= 20.0 + 2 * 3 * 8.0


def numbered_request(model, number, prompt="verdict"):
    """Return a distinct request of about 1,000 tokens."""
    message = json.dumps({"role": "user", "content": [f"number {number}"]})
    return Request(model, prompt, "v", 0, (message,), "schema", tokens_in=1000)


def test_a_ceiling_holds_for_all_clients_of_a_ledger(image, tmp_path, prices):
    prices.write_text(f"{PRICES}judge,0,1000,side 768 85,2026-01-01\n")  # 0.02 each
    options = {"ledger": tmp_path / "l", "prices": prices, "local": False, "concurrency": 2}
    with Loopback(echo) as server:
        clients = [local(server, max_usd=1.0, **options) for _ in range(3)]
        for number, client in enumerate(clients):
            with contextlib.suppress(CostCeiling):
                client.ask(verdicts(image, 40, start=100 * number))
        with pytest.raises(CostCeiling):
            clients[0].ask(verdicts(image, 40, start=1000))
    assert (
        0.9 < clients[0].spent()["usd"] <= 1.0 == pytest.approx(len(server.bodies) * 0.02, abs=0.1)
    )


def test_spending_of_another_process_counts(image, tmp_path, prices):
    [prompt] = verdicts(image, 1)
    client = ChatClient("judge", ledger=tmp_path / "l", prices=prices, max_usd=1.0)
    client.cost.reserve(prompt)
    other = Ledger(tmp_path / "l")
    other.append([(numbered_request("judge-2", 1), Entry(answered=True, usd=5.0))])
    client.cost.reserve(prompt)  # another model's spending has its own ceiling
    other.append([(numbered_request("judge", 1), Entry(answered=True, usd=0.9999))])
    with pytest.raises(CostCeiling, match=r"1\.00\d\d USD are spent"):
        client.cost.reserve(prompt)


def test_a_possible_charge_without_a_reply_stays_reserved(image, prices):
    prices.write_text(f"{PRICES}judge,0,1000,side 768 85,2026-01-01\n")  # estimated: 0.08 each
    [prompt] = verdicts(image, 1)
    for entry, left in ((None, 9), (Entry(False, error="cut off", usd=None), 9), (Entry(True), 10)):
        kept = ChatClient("judge", prices=prices, max_usd=0.805).cost
        kept.settle(kept.reserve(prompt), entry)
        assert times_until_the_ceiling(kept, prompt) == left
    unsent = ChatClient("judge", prices=prices, max_usd=0.805).cost
    unsent.release(unsent.reserve(prompt))
    assert times_until_the_ceiling(unsent, prompt) == 10


def times_until_the_ceiling(cost, prompt):
    for times in itertools.count():
        try:
            cost.reserve(prompt)
        except CostCeiling:
            return times


def test_requests_cut_off_by_a_kill_or_fault_count_at_their_estimate(image, tmp_path, prices):
    prices.write_text(f"{PRICES}judge,100,1000,side 768 85,2026-01-01\n")  # 0.10 + 0.08 each
    ledger = Ledger(tmp_path / "l")
    lost, failed, refused, answered = (numbered_request("judge", number) for number in range(4))
    ledger.append([], [lost, failed, refused, answered, lost, numbered_request("judge-2", 9)])
    ledger.append(
        [
            (failed, Entry(False, error="connection lost", usd=None)),
            (refused, Entry(False, error="too large", usd=0.0)),
            (answered, Entry(True, tokens_out=80, usd=0.5)),
        ]
    )
    found = ledger.unanswered()
    assert found.loc[found["model"] == "judge", "reply_id"].tolist() == [
        failed.reply_id,
        lost.reply_id,
    ]
    [prompt] = verdicts(image, 1)
    options = {"ledger": tmp_path / "l", "prices": prices}
    each = ChatClient("judge", **options).estimate([prompt])["usd"]
    with pytest.raises(CostCeiling, match=r"0\.8600 USD are spent"):
        ChatClient("judge", max_usd=0.86 + each - 1e-9, **options).cost.reserve(prompt)
    assert ChatClient("judge", max_usd=0.86 + each + 1e-9, **options).cost.reserve(prompt) > 0


def test_reservations_follow_the_mean_of_the_replies(image, prices):
    [prompt] = verdicts(image, 1)
    client = ChatClient("judge", prices=prices, max_usd=10.0)
    before = client.cost.reserve(prompt)
    client.ledger.append(
        [(numbered_request("judge", 1), Entry(answered=True, tokens_out=2080, usd=0.0))]
    )
    assert client.cost.reserve(prompt) == pytest.approx(before + 2000 * 10 / 1e6)


def test_a_ceiling_below_zero_is_refused():
    with pytest.raises(ValueError, match="max_usd is -1"):
        ChatClient("clinic", max_usd=-1)
