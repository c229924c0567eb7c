"""Tests of what sending costs: prices, tokens, images as counted and the ceiling."""

from __future__ import annotations

import base64
import contextlib
import gc
import io
import itertools
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from client_acts import PRICES, echo, local, verdicts
from loopback import Loopback, cleared, said, save_image
from PIL import Image
from skimage.data import immunohistochemistry

from vital_lib.client import ChatClient, CostCeiling, Ledger, UnknownPrice, cost, cost_per
from vital_lib.client.entries import Entry, Request
from vital_lib.client.images import Images
from vital_lib.client.prices import ImageRule, price_of


def test_replies_are_found_in_the_ledger_at_any_price_of_the_model(tmp_path, prices):
    """Also in a replay: the price table sets the image rule, which is not part of the key."""
    large = cleared(save_image(tmp_path / "large.png", seed=1, side=1600))
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
    other = cleared(save_image(tmp_path / "other.png", seed=9))
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
    images, figure = Images(ImageRule.read("side 768 85")), cleared(tmp_path / "large.png")
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
    kept = ChatClient("judge", prices=prices, max_usd=0.805).cost
    kept.reserve(prompt)
    assert times_until_the_ceiling(kept, prompt) == 9
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
