"""Tests of unusual replies of endpoints: billed unusable ones, their forms, other APIs."""

from __future__ import annotations

import json
import re

import pytest
from client_acts import PRICES, echo, local, verdicts
from endpoint_bodies import TIE, USAGE, body, calling, completion, stream
from loopback import Loopback
from waiting import until

from vital_lib.client import Control, CostCeiling, Ledger, ModelUnavailable, wire
from vital_lib.client.bodies import read_body
from vital_lib.client.entries import Entry
from vital_lib.client.prices import ImageRule


@pytest.fixture
def prices(tmp_path):
    table = tmp_path / "prices.csv"
    table.write_text(f"{PRICES}judge,1000,5000,tiles 85 170,2026-01-01\n")  # 0.20 a reply
    return table


# ------------------------------------------------------------------ billed unusable replies

UNUSABLE = [
    (calling(), r"a tool call \(zoom\) instead of text"),
    (completion({"content": "", "function_call": {"name": "zoom"}}), r"a tool call \(zoom\)"),
    ({"choices": [], "usage": USAGE}, "an empty list of choices"),
    ({"choices": None, "usage": USAGE}, "a body without choices"),
    ({"usage": {"input_tokens": 100, "output_tokens": 20}}, "a body without choices"),
    (completion(None), "a choice without a message"),
    (completion(7), "a choice without a message"),
    (completion({"content": None}), "empty reply"),
    (completion({"content": []}), "empty reply"),
    (completion({"content": " "}, "SAFETY"), "empty reply, finish_reason 'SAFETY'"),
    (completion({"content": None, "reasoning_content": "so"}), "the model returned only reasoning"),
    ({"error": {"message": "the GPU is gone"}, "usage": USAGE}, "the GPU is gone"),
    ({"error": {"message": "the GPU is gone", "usage": USAGE}}, "the GPU is gone"),
    ({"detail": "the GPU is gone", "usage": USAGE}, "the GPU is gone"),
    ([{"error": {"message": "the GPU is gone"}, "usage": USAGE}], "the GPU is gone"),
    (completion({"content": "It l"}, "error", error={"message": "upstream died"}), "upstream died"),
    (stream({"choices": [{"delta": {}}]}, {"choices": [], "usage": USAGE}), "empty|without"),
    (json.dumps(completion({"content": TIE}))[:-1], "not JSON, or is truncated JSON"),
    (completion({}, usage={"input_tokens": "100", "output_tokens": "20"}), "without a message"),
    (completion({"content": ""}, usage={"prompt_tokens": 100, "total_tokens": 120}), "empty"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "reason"), UNUSABLE)
def test_an_unusable_reply_is_billed_requested_once_more_and_stored(
    image, tmp_path, prices, answer, reason
):
    options = {"ledger": tmp_path / "l.sqlite", "prices": prices, "local": False}
    with Loopback(lambda sent, place: body(answer)) as server:
        client = local(server, **options)
        [reply] = client.ask(verdicts(image, 1))
        assert local(server, **options).ask(verdicts(image, 1)) == [reply]  # in another run
        assert len(server.bodies) == 2
        bill = {"requests": 2, "tokens_in": 200, "tokens_out": 40, "usd": pytest.approx(0.4)}
        assert client.spent() == bill == local(server, **options).spent()
        with pytest.raises(CostCeiling, match=r"0\.4000 USD are spent"):
            local(server, max_usd=0.5, **options).ask(verdicts(image, 1, start=1))
        [second] = client.ask(verdicts(image, 1), again=True)
        assert len(server.bodies) == 4 and second.reply_id == f"{reply.reply_id}-1"
    assert reply.value is None
    assert re.search(reason, reply.reason)
    assert reply.text == body(answer)[2].decode()
    assert client.ledger.unanswered().empty


def test_a_good_second_reply_replaces_an_unusable_reply(image):
    with Loopback(lambda sent, place: body(calling()) if place == 0 else echo(sent)) as server:
        client = local(server)
        [reply] = client.ask(verdicts(image, 1))
        assert client.ask(verdicts(image, 1)) == [reply]
    assert reply.value.rationale == "0" and len(server.bodies) == 2
    assert client.spent()["requests"] == 2


def test_an_unusable_reply_of_an_earlier_run_is_requested_exactly_once_more(image, tmp_path):
    """As if the run was killed between the two requests."""
    [prompt] = verdicts(image, 1)
    with Loopback(lambda sent, place: body(calling())) as server:
        client = local(server, ledger=tmp_path / "l.sqlite")
        request = wire.make_request(
            "judge", prompt, client.images.rule, seed=0, endpoint=client.endpoint
        )
        lost = Entry(False, "{}", error="a tool call", tokens_in=100, tokens_out=20)
        Ledger(tmp_path / "l.sqlite").append([(request, lost)])
        replies = [client.ask([prompt]) for _ in range(3)]
    assert replies[0] == replies[1] == replies[2] and len(server.bodies) == 1


def test_a_run_stopped_after_an_unusable_reply_leaves_the_second_request_to_the_next_run(
    image, tmp_path
):
    control = Control()

    def answer(sent, place):
        control.stop()
        return body(calling())

    with Loopback(answer) as server:
        client = local(server, ledger=tmp_path / "l.sqlite", concurrency=1)
        [first] = client.ask(verdicts(image, 1), control=control)
        assert first.reason.startswith("a tool call") and len(server.bodies) == 1
        [second], [third] = client.ask(verdicts(image, 1)), client.ask(verdicts(image, 1))
        assert second == third and second.reason == first.reason
        assert len(server.bodies) == 2


def test_a_second_request_that_was_cut_off_may_have_been_charged_for(image):
    """The cost of an unusable reply is known; that of a request in flight at a kill is not."""
    [prompt], ledger = verdicts(image, 1), Ledger()
    unusable = Entry(False, "{}", error="a tool call", tokens_in=100, tokens_out=20, usd=0.2)
    request = wire.make_request("judge", prompt, ImageRule.read("low 85"), seed=0)
    ledger.append([], [request])
    assert len(ledger.unanswered()) == 1
    ledger.append([(request, unusable)])
    assert ledger.unanswered().empty
    until(lambda: ledger.append([], [request]) or len(ledger.unanswered()) == 1)  # a moment later
    ledger.append([(request, Entry(True, error="a tool call", tokens_in=100, usd=0.2))])
    assert ledger.unanswered().empty and ledger.bill("judge")["usd"] == pytest.approx(0.4)


def test_an_endpoint_with_only_unusable_replies_ends_the_run(image):
    server = Loopback(lambda sent, place: body(calling()))
    with server, pytest.raises(ModelUnavailable, match="a tool call"):
        local(server, concurrency=8).ask(verdicts(image, 1000))
    assert len(server.bodies) < 2 * (100 + 16)


def test_an_echoed_image_is_not_stored(image):
    def answer(sent, place):
        return body({"echo": sent, "usage": USAGE})

    with Loopback(answer) as server:
        [reply] = local(server, concurrency=1).ask(verdicts(image, 1))
    sent = server.bodies[0]["messages"][1]["content"][0]["image_url"]["url"]
    assert sent[-60:] not in reply.text and "[image]" in reply.text and "number 0" in reply.text


@pytest.mark.parametrize("status", [400, 500, 502])
def test_an_error_that_states_tokens_is_billed_and_not_retried(image, prices, status):
    answer = status, {}, json.dumps({"error": {"message": "died late"}, "usage": USAGE}).encode()
    with Loopback(lambda sent, place: answer) as server:
        client = local(server, prices=prices, local=False)
        [reply] = client.ask(verdicts(image, 1))
    assert reply.value is None and "died late" in reply.reason and len(server.bodies) == 2
    assert client.spent() == {"requests": 2, "tokens_in": 200, "tokens_out": 40, "usd": 0.4}


def test_a_reply_cut_off_during_reasoning_is_not_requested_again(image):
    answer = completion({"content": "", "reasoning": "first I"}, "length")
    with Loopback(lambda sent, place: body(answer)) as server:
        client = local(server)
        [reply] = client.ask(verdicts(image, 1))
        assert client.ask(verdicts(image, 1)) == [reply]
    assert "token limit" in reply.reason and "first I" in reply.text and len(server.bodies) == 1


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": "100", "completion_tokens": "20"}, (100, 20)),
        ({"prompt_tokens": 100.0, "completion_tokens": 20}, (100, 20)),
        ({"input_tokens": 100, "output_tokens": 20}, (100, 20)),
        ({"prompt_tokens": 100, "total_tokens": 120}, (100, 20)),
        ({"completion_tokens": 20, "total_tokens": 120}, (100, 20)),
        ({"prompt_tokens": 100, "completion_tokens": None}, (100, None)),
        ({"completion_tokens": 20}, (None, 20)),
        ({"prompt_tokens": None, "completion_tokens": None}, (None, None)),
        ({"prompt_tokens": -1, "completion_tokens": True}, (None, None)),
        ("many", (None, None)),
    ],
)
def test_stated_tokens_are_read_in_every_form(usage, tokens):
    read = read_body(json.dumps(completion({"content": TIE}, usage=usage)).encode())
    assert (read.tokens_in, read.tokens_out) == tokens and read.text == TIE


# ------------------------------------------------------------------ forms of a reply

HALVES = [TIE[:9], TIE[9:]]
CHUNKS = [
    {"choices": [{"delta": {"role": "assistant", "content": HALVES[0]}, "finish_reason": None}]},
    {"choices": [{"delta": {"content": HALVES[1]}, "finish_reason": "stop"}]},
    {"choices": [], "usage": USAGE},
]
PARTS = [{"type": "text", "text": half} for half in HALVES]


@pytest.mark.parametrize(
    "answer",
    [
        completion({"content": PARTS}),
        completion({"content": [{"type": "thinking", "thinking": "hm", "text": "no"}, *PARTS]}),
        completion({"content": [{"type": "output_text", "text": TIE}]}),
        completion({"content": [{"type": "text", "text": {"value": TIE}}]}),
        completion({"content": HALVES}),
        completion({"content": PARTS, "refusal": None, "tool_calls": []}),
        completion({"content": json.loads(TIE)}),
        completion(TIE),
        {"choices": [{"text": TIE}], "usage": USAGE},
        {"choices": [{"delta": {"content": TIE}}], "usage": USAGE},
        stream(*CHUNKS),
        ": waiting\n\n" + stream(*CHUNKS),
        CHUNKS,
        [completion({"content": TIE})],
        "\ufeff" + json.dumps(completion({"content": TIE})),
        json.dumps(completion({"content": TIE + "\n"})).replace("\\n", "\n"),
        completion({"content": TIE}, error=None),
    ],
)
def test_a_reply_is_read_in_every_form(image, answer):
    with Loopback(lambda sent, place: body(answer)) as server:
        client = local(server)
        [reply] = client.ask(verdicts(image, 1))
    assert reply.value and reply.value.winner == "tie" and len(server.bodies) == 1
    assert client.spent()["tokens_out"] == 20


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "refusal": "I cannot help."},
        {"content": [{"type": "refusal", "refusal": "I cannot help."}]},
        {"content": "", "refusal": ["I cannot ", "help."]},
    ],
)
def test_a_refusal_is_reported_and_final(image, message):
    with Loopback(lambda sent, place: body(completion(message))) as server:
        client = local(server)
        [reply] = client.ask(verdicts(image, 1))
        assert client.ask(verdicts(image, 1)) == [reply]
    assert reply.reason == "refused: I cannot help." and len(server.bodies) == 1


def test_a_lone_surrogate_in_a_reply_is_replaced(image, tmp_path):
    text = json.dumps(completion({"content": TIE.replace('""', r'"\ud83d cut"')}))
    text = text.replace("\\\\ud83d", "\\ud83d")
    with Loopback(lambda sent, place: body(text)) as server:
        client = local(server, ledger=tmp_path / "l.sqlite")
        [reply] = client.ask(verdicts(image, 1))
    assert "cut" in reply.text and len(server.bodies) == 1


def test_a_reply_in_another_apis_format_is_not_an_error():
    value = {"message": {"role": "assistant", "content": TIE}, "eval_count": 4}
    read = read_body(json.dumps(value).encode())
    assert read.paid and read.error == "" and read.fault.startswith("a body without choices: ")


OTHER_APIS = [
    (
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": TIE}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 60, "cache_read_input_tokens": 40, "output_tokens": 20},
        },
        r"Anthropic's Messages API: .*https://api\.anthropic\.com/v1",
    ),
    (
        {
            "candidates": [{"content": {"parts": [{"text": TIE}]}, "finishReason": "STOP"}],
            "usageMetadata": {
                "promptTokenCount": 100,
                "candidatesTokenCount": 15,
                "thoughtsTokenCount": 5,
            },
        },
        r"Gemini's generateContent API: .*googleapis\.com/v1beta/openai",
    ),
    (
        {
            "message": {"role": "assistant", "content": TIE},
            "done": True,
            "prompt_eval_count": 100,
            "eval_count": 20,
        },
        r"Ollama's own API: .*/v1",
    ),
    (
        {"response": TIE, "done": True, "prompt_eval_count": 100, "eval_count": 20},
        r"Ollama's own API: .*/v1",
    ),
    (
        {
            "object": "response",
            "error": None,
            "output": [
                {"type": "reasoning", "summary": []},
                {"type": "message", "content": [{"type": "output_text", "text": TIE}]},
            ],
            "usage": {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120},
        },
        r"OpenAI's Responses API: .*https://api\.openai\.com/v1",
    ),
    (
        {
            "output": {"message": {"role": "assistant", "content": [{"text": TIE}]}},
            "usage": {"inputTokens": 100, "outputTokens": 20, "totalTokens": 120},
        },
        "Amazon Bedrock's Converse API",
    ),
    (
        {
            "message": {"role": "assistant", "content": [{"type": "text", "text": TIE}]},
            "finish_reason": "COMPLETE",
            "usage": {"tokens": {"input_tokens": 100, "output_tokens": 20}},
        },
        "Cohere's chat API",
    ),
]


@pytest.mark.parametrize(("answer", "reason"), OTHER_APIS)
def test_a_billed_reply_of_another_api_is_named_with_the_base_url_to_use(
    image, tmp_path, answer, reason
):
    with Loopback(lambda sent, place: body(answer)) as server:
        client = local(server, ledger=tmp_path / "l.sqlite")
        [reply] = client.ask(verdicts(image, 1))
        spent = client.spent()
    assert reply.value is None and re.search(reason, reply.reason)
    assert (spent["tokens_in"], spent["tokens_out"]) == (200, 40) and len(server.bodies) == 2


def test_streams_of_other_apis_and_replies_without_usage_are_named():
    chunks = [{"candidates": [{"content": {"parts": [{"text": part}]}}]} for part in "ab"]
    read = read_body(json.dumps(chunks).encode())
    assert read.paid and "Gemini's" in read.fault
    lines = [{"message": {"content": part}, "done": part == "b"} for part in "ab"]
    read = read_body("\n".join(map(json.dumps, lines)).encode())
    assert read.paid and "Ollama's" in read.fault
    read = read_body(json.dumps({"content": [{"type": "text", "text": TIE}]}).encode())
    assert read.fault == "a body without choices" and not read.paid


def test_a_part_without_a_type_is_text_and_a_second_choice_is_ignored():
    assert read_body(json.dumps(completion({"content": [{"text": TIE}]})).encode()).text == TIE
    chunks = [
        {"choices": [{"index": place, "delta": {"content": text}}]}
        for place, text in ((0, "a"), (1, "X"), (0, "b"))
    ]
    lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    assert read_body(lines.encode()).text == "ab"
