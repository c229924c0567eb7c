"""Lines of output files, however an endpoint writes them, and what becomes of their requests."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
from client_acts import KEY, PRICES, verdicts
from hypothesis import given
from hypothesis import strategies as st
from loopback import cleared, save_image
from openai.types import Batch

from vital_lib.client import ChatClient, wire
from vital_lib.client.batches.collecting import collect
from vital_lib.client.batches.files import Malformed, lines_in, read_line
from vital_lib.client.entries import Entry

TIE = '{"rationale": "", "winner": "tie"}'


class Endpoint:
    """Files that no endpoint of the tests writes; and the ids of those that were deleted."""

    def __init__(self, **contents):
        self.contents, self.removed = contents, []

    async def lines(self, name):
        async def chunks():
            yield self.contents[name]

        async for line in lines_in(chunks()):
            yield line

    async def remove(self, *names):
        self.removed += filter(None, names)


@pytest.fixture
def client(tmp_path):
    prices = tmp_path / "prices.csv"
    prices.write_text(PRICES + "judge,1000,2000,side 768 85,2026-11-01\n")
    url = "http://127.0.0.1:9/v1"
    return ChatClient("judge", base_url=url, prices=prices, parameters={"temperature": 0.5})


@pytest.fixture
def keys(client, tmp_path):
    """Record a file of four requests as submitted; return their keys."""
    image = cleared(save_image(tmp_path / "a.png", 1))
    client.pending.note("in.jsonl", "begun")
    requests = [
        wire.make_request(
            "judge", prompt, client.images.rule,
            seed=0, endpoint=client.endpoint, parameters=client.parameters,
        )
        for prompt in verdicts(image, 4)
    ]  # fmt: skip
    client.pending.add("in.jsonl", [(request, [], 0.25) for request in requests])
    client.pending.note("in.jsonl", "uploaded", "in")
    client.pending.note("in.jsonl", "created", "batch_1")
    return [request.key for request in requests]


def line(key, content=TIE, *, status=200, body=None, error=None):
    """Return a line of an output file; with `error`, of a request that was not run."""
    message = {"role": "assistant", "content": content}
    usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    reply = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
    response = None if error else {"status_code": status, "body": body or reply}
    text = {"id": "x", "custom_id": key, "response": response, "error": error}
    return json.dumps(text, ensure_ascii=False).encode() + b"\n"


def collected(client, status="completed", output=b"", errors=b"", created_at=1_000):
    """Collect a batch with these files; return what was found."""
    [file] = client.pending.files()
    ids = {
        "output_file_id": "output" if output else None,
        "error_file_id": "errors" if errors else None,
    }
    batch = Batch.model_construct(
        id="batch_1", status=status, input_file_id="in", created_at=created_at,
        completed_at=1_060, **ids,
    )  # fmt: skip
    endpoint = Endpoint(output=output, errors=errors)
    found = asyncio.run(collect(client, endpoint, file, batch))
    assert endpoint.removed == ["in", *filter(None, ids.values())]
    assert client.pending.files() == []
    return found


def test_lines_come_in_any_order_and_twice(client, keys):
    output = (
        line(keys[2]) + line(keys[0]) + line(keys[2], "another") + line(keys[1]) + line(keys[3])
    )
    found = collected(client, output=output)
    assert found.failures == {} and client.ledger.bill()["requests"] == 4
    assert client.ledger.find(keys[2]).text == TIE  # the first
    entry = client.ledger.find(keys[0])
    assert entry.usd == found.usd / 4 == pytest.approx((1.0 + 0.2) / 2)  # half the price
    assert (entry.seconds, found.tokens_in, found.tokens_out) == (60.0, 4000, 400)


def test_an_endpoint_that_does_not_say_when_it_began_loses_nothing(client, keys):
    assert collected(client, output=b"".join(map(line, keys)), created_at=None).failures == {}
    assert client.ledger.find(keys[0]).seconds == 0


def test_an_error_does_not_undo_a_reply(client, keys):
    wrong = line(keys[0], status=500, body={"error": {"message": "late"}})
    found = collected(
        client, output=line(keys[0]), errors=wrong + line(keys[1], error={"code": "x"})
    )
    assert client.ledger.find(keys[0]).answered and keys[0] not in found.failures
    assert found.failures[keys[1]].why == "the batch did not run it: x"


def test_error_files_can_come_alone(client, keys):
    gone = {"code": "batch_expired", "message": "This request could not be executed"}
    errors = b"".join(line(key, error=gone) for key in keys[:2])
    errors += line(keys[2], status=400, body={"error": {"message": "'temperature' is unsupported"}})
    errors += line(
        keys[3], status=400, body={"error": {"message": "Unsupported parameter: 'seed'"}}
    )
    found = collected(client, "expired", errors=errors)
    assert (
        found.failures[keys[0]].why == "the batch expired first"
        and not found.failures[keys[0]].final
    )
    assert "leave 'temperature' out of parameters" in found.unavailable
    assert found.failures[keys[3]].rejected({"seed", "response_format"}) == "seed"
    assert client.ledger.bill()["requests"] == 0 and client.ledger.unanswered().empty


def test_what_was_answered_before_the_expiry_is_kept(client, keys):
    found = collected(client, "expired", output=line(keys[1]))
    assert found.failures.keys() == {keys[0], keys[2], keys[3]}
    assert {failure.usd for failure in found.failures.values()} == {0.0}
    assert client.ledger.find(keys[1]).answered


def test_a_cancelled_batch_keeps_its_replies_and_is_final_for_the_rest(client, keys):
    found = collected(client, "cancelled", output=line(keys[1]))
    assert {failure.final for failure in found.failures.values()} == {True}


@pytest.mark.parametrize(
    "bad",
    [b"{", b"null", b"[]", b'{"custom_id": 3}', b'{"custom_id": "x"}', b"\xff\xfe", b"[" * 10**5,
     b'{"custom_id": "x", "response": {"status_code": "200"}}'],
)  # fmt: skip
def test_malformed_lines_leave_the_others(client, keys, bad, caplog):
    found = collected(client, output=bad + b"\n" + line(keys[0]) + line(keys[1]) + line(keys[2]))
    assert found.failures.keys() == {keys[3]} and found.failures[keys[3]].usd is None
    assert "1 unreadable lines: line 1 of the output: " in caplog.text
    assert list(client.ledger.unanswered()["reply_id"]) == [keys[3][:16]]


def test_text_that_no_encoding_has_stops_nothing(client, keys):
    half = "\\ud83d"
    output = line(keys[0], f"{TIE} HALF").replace(b"HALF", half.encode())
    output += line("HALF").replace(b"HALF", half.encode())
    errors = line(keys[1], error={"code": "x", "message": "HALF"}).replace(b"HALF", half.encode())
    found = collected(client, output=output, errors=errors)
    assert client.ledger.find(keys[0]).text == f"{TIE} ?"
    assert found.failures[keys[1]].why == "the batch did not run it: ?"


def test_lines_of_unknown_requests_are_named(client, keys, caplog):
    collected(client, output=line("stranger") + b"".join(map(line, keys)))
    assert "1 unknown lines: line 1 of the output, custom_id 'stranger'" in caplog.text


def test_an_unusable_reply_is_paid_for_and_requested_once_more(client, keys):
    found = collected(client, output=line(keys[0], content="") + b"".join(map(line, keys[1:])))
    assert found.failures[keys[0]].why.startswith("empty reply") and found.usd == pytest.approx(2.4)
    assert client.ledger.bill()["requests"] == 4 and client.ledger.find(keys[0]) is None


def test_a_key_that_an_endpoint_repeats_is_masked(client, keys, monkeypatch):
    monkeypatch.setenv("VITAL_API_KEY", KEY)
    errors = line(keys[0], error={"code": "x", "message": f"bad key {KEY}"})
    found = collected(client, output=line(keys[1], content=f"{TIE} {KEY}"), errors=errors)
    assert KEY not in found.failures[keys[0]].why and KEY not in client.ledger.find(keys[1]).text


def test_a_collection_that_was_interrupted_stores_nothing_twice(client, keys):
    client.pending.keep("in.jsonl", {keys[0]: Entry(True, TIE, tokens_in=1, usd=0.1)})
    found = collected(client, output=b"".join(map(line, keys)))
    assert found.failures == {} and client.ledger.bill()["requests"] == 4


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\n\r"), min_size=1)), st.data())
def test_lines_are_found_however_they_are_cut(texts, data):
    texts = [f'"{text}\u2028\u0085"' for text in texts]
    whole = "\n".join(texts).encode("utf-8", errors="replace")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))

    async def read():
        async def chunks():
            for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
                yield whole[start:end]

        return [line async for line in lines_in(chunks())]

    expected = [text.encode("utf-8", errors="replace") for text in texts]
    assert asyncio.run(read()) == expected


@given(st.binary(max_size=60))
def test_any_bytes_are_a_line_or_malformed(raw):
    try:
        assert read_line(raw).key
    except Malformed as error:
        assert "no reply to a request" in str(error)


def test_files_of_another_model_or_endpoint_are_not_ours(client, keys):
    other = ChatClient("judge", base_url="http://127.0.0.1:9/v2", local=True)
    assert other.pending.files() == []
    [file] = client.pending.files()
    assert (file.lines, file.file_id, file.batch_id) == (4, "in", "batch_1")
    assert (datetime.now(UTC) - file.at).total_seconds() < 60 and client.pending.usd() == 1.0
