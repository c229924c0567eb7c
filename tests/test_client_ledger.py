"""Tests of the ledger: what is not sent again, what is part of a key, what survives a kill."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from client_acts import PROSE, echo, local, verdicts
from loopback import Loopback, in_process, save_image

from vital_lib.client import ChatClient, Ledger, LedgerUnwritable, ModelUnavailable
from vital_lib.client.entries import Entry, Request
from vital_lib.client.images import Images
from vital_lib.client.prices import ImageRule
from vital_lib.client.wire import make_body, make_request
from vital_lib.figures import open_image
from vital_lib.prompts import Prompt


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
    with pytest.raises(ModelUnavailable, match="no stored reply to this verdict prompt"):
        replay.ask(verdicts(image, 6))
    (tmp_path / "replies.jsonl").write_text('{"key": 1}\n')
    with pytest.raises(ValueError, match=r"replies\.jsonl, line 1: not an exported reply"):
        ChatClient("judge", replay=tmp_path / "replies.jsonl")


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
from client_acts import echo, verdicts
from loopback import in_process
from vital_lib.client import ChatClient
from vital_lib.figures import open_image
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
