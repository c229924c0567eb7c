"""Tests of endpoints with unusual behaviour: billed unusable replies, errors and refusals."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from clinic_requests import any_image
from loopback import Loopback, fault, said
from test_client import KEY, PRICES, echo, local, verdicts
from waiting import until

from vital_lib.client import Control, CostCeiling, Ledger, ModelUnavailable, faults, wire
from vital_lib.client.bodies import error_words, read_body
from vital_lib.client.ledger import Entry
from vital_lib.client.prices import ImageRule

TIE = '{"rationale": "", "winner": "tie"}'
USAGE = {"prompt_tokens": 100, "completion_tokens": 20}


@pytest.fixture
def image(tmp_path):
    return any_image(tmp_path)


@pytest.fixture
def prices(tmp_path):
    table = tmp_path / "prices.csv"
    table.write_text(f"{PRICES}judge,1000,5000,tiles 85 170,2026-01-01\n")  # 0.20 a reply
    return table


def body(value):
    """Return a response of status 200 with this content."""
    text = value if isinstance(value, str) else json.dumps(value)
    return 200, {"content-type": "application/json"}, text.encode()


def completion(message, finish_reason="stop", usage=USAGE, **more):
    choices = [{"index": 0, "message": message, "finish_reason": finish_reason}]
    return {"choices": choices, "usage": usage, **more}


def stream(*chunks):
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


def calling(**message):
    call = {"id": "c1", "type": "function", "function": {"name": "zoom", "arguments": "{}"}}
    return completion({"content": None, "tool_calls": [call], **message}, "tool_calls")


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


# ------------------------------------------------------------------ the endpoint's error messages

MESSAGES = [
    ({"error": {"message": "too odd an image", "code": None}}, "too odd an image"),
    ({"error": {"message": None, "msg": "too odd an image"}}, "too odd an image"),
    ({"error": "too odd an image"}, "too odd an image"),
    ({"message": "too odd an image"}, "too odd an image"),
    ({"detail": "too odd an image"}, "too odd an image"),
    ({"detail": {"msg": "too odd an image"}}, "too odd an image"),
    (
        {"detail": [{"loc": ["body", "messages", 0], "msg": "too odd", "input": {"seed": 0}}]},
        "body.messages.0: too odd",
    ),
    ({"errors": [{"message": "too odd"}, {"message": "too large"}]}, "too odd; too large"),
    ({"errors": {"image": ["too odd an image"]}}, "too odd an image"),
    ({"title": "Bad", "detail": "too odd", "status": 400}, "Bad: too odd"),
    ([{"error": {"message": "too odd an image"}}], "too odd an image"),
    (["too odd an image"], "too odd an image"),
    ("too odd an image", "too odd an image"),
    ("<html><h1>Bad</h1><p>too odd &amp; large</p></html>", "Bad too odd & large"),
    ({"image": ["too odd an image"]}, "too odd an image"),
    (
        {"error": {"message": "Provider error", "metadata": {"raw": '{"error": "too odd"}'}}},
        "Provider error: too odd",
    ),
    (json.dumps(json.dumps({"error": {"message": "too odd"}})), "too odd"),
]


@pytest.mark.parametrize(("answer", "words"), MESSAGES)
@pytest.mark.parametrize("status", [400, 422])
def test_an_error_is_reported_with_the_endpoints_message(image, status, answer, words):
    with Loopback(lambda sent, place: (status, {}, body(answer)[2])) as server:
        [reply] = local(server).ask(verdicts(image, 1))
    assert words in reply.reason and reply.value is None and len(server.bodies) == 1
    assert "'error'" not in reply.reason and '"seed"' not in reply.reason


@pytest.mark.parametrize(("answer", "words"), [pair for pair in MESSAGES if "image" not in pair[0]])
def test_an_error_with_status_200_is_reported_with_the_endpoints_message(
    image, monkeypatch, answer, words
):
    monkeypatch.setattr(faults, "_spread", lambda state: 0.001)
    with Loopback(lambda sent, place: body(answer)) as server:
        [reply] = local(server).ask(verdicts(image, 1))
    assert words in reply.reason and reply.value is None and len(server.bodies) <= 5


def test_an_empty_error_body_has_an_empty_message():
    assert error_words(b"") == "" == error_words(b"  \n")


def test_a_forbidden_key_error_has_the_endpoints_message(image):
    server = Loopback(lambda sent, place: fault(403, "verify your organization first"))
    why = r"refused \(403\).*verify your organization first"
    with server, pytest.raises(ModelUnavailable, match=why):
        local(server).ask(verdicts(image, 1))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"code": 401, "message": "who are you"}, "key was refused"),
        ({"type": "authentication_error", "message": "who are you"}, "key was refused"),
        (
            {"code": "404", "message": "no judge here"},
            r"no such model at this address \(no judge here\)",
        ),
        ({"code": "insufficient_quota", "message": "no credit"}, "quota is used up .no credit"),
        ({"code": 402, "message": "no credit"}, "requires payment first .no credit"),
    ],
)
def test_an_error_about_all_requests_ends_the_run_at_any_status(image, error, words):
    server = Loopback(lambda sent, place: body({"error": error}))
    with server, pytest.raises(ModelUnavailable, match=words):
        local(server, concurrency=2).ask(verdicts(image, 50))
    assert len(server.bodies) <= 4


def test_a_rate_limit_with_status_200_is_waited_out(image):
    limited = {"error": {"code": 429, "message": "slow down"}}
    answer = 200, {"retry-after": "0.2"}, json.dumps(limited).encode()
    with Loopback(lambda sent, place: answer if place == 0 else echo(sent)) as server:
        [reply] = local(server).ask(verdicts(image, 1))
    assert reply.value and server.times[1] - server.times[0] >= 0.2


def test_the_key_is_removed_from_unusual_error_and_reply_fields(image, tmp_path, monkeypatch):
    monkeypatch.setenv("VITAL_API_KEY", KEY)
    kinds = [
        {"detail": [{"loc": ["body"], "msg": f"bad {KEY}"}]},
        {"error": f"bad {KEY}", "usage": USAGE},
        completion({"content": [{"type": "text", "text": f"you are {KEY}"}]}),
    ]
    with Loopback(
        lambda sent, place: (400 if place == 0 else 200, {}, body(kinds[min(place, 2)])[2])
    ) as server:
        client = local(server, ledger=tmp_path / "l.sqlite", concurrency=1)
        replies = client.ask(verdicts(image, 2))
    files = b"".join(path.read_bytes() for path in tmp_path.glob("l.sqlite*"))
    assert b"you are" in files and KEY.encode() not in files and KEY not in repr(replies)


# ------------------------------------------------------------------ unsupported schemas

UNSUPPORTED = [
    "Failed to compile grammar: unsupported feature in JSON schema",
    "guided decoding is not enabled on this server",
    "xgrammar: minItems is not implemented",
    "outlines.fsm failed",
    "Unsupported schema: anyOf",
    "guided_regex cannot be built",
    "failed to build the FSM of the request",
    "Unknown parameter: 'strict'",
    "The schema is too complex for constrained decoding",
    "Invalid schema for response_format 'Verdict': 'minimum' is not permitted",
    "'response_format.type' must be one of text, json_object",
    "Structured outputs are not supported by this model",
    "Unknown name \"additionalProperties\" at 'generation_config.response_schema'",
]


@pytest.mark.parametrize("words", UNSUPPORTED)
@pytest.mark.parametrize("status", [200, 400, 422, 500, 501])
def test_an_unsupported_schema_is_stated_in_a_message_from_then_on(image, status, words):
    def answer(sent, place):
        if "response_format" in sent:
            return (status, {}, json.dumps({"detail": [{"loc": ["body"], "msg": words}]}).encode())
        return said(TIE)

    with Loopback(answer) as server:
        client = local(server, concurrency=2)
        replies = client.ask(verdicts(image, 20))
        client.ask(verdicts(image, 5, start=20))
    assert all(reply.value for reply in replies) and len(server.bodies) <= 25 + 2
    assert "fits this schema" in server.bodies[-1]["messages"][-1]["content"]


def test_status_501_without_a_message_is_taken_as_an_unsupported_schema(image):
    def answer(sent, place):
        return (501, {}, b"Not Implemented") if "response_format" in sent else said(TIE)

    with Loopback(answer) as server:
        replies = local(server, concurrency=2).ask(verdicts(image, 5))
    assert all(reply.value for reply in replies) and len(server.bodies) <= 5 + 2


@pytest.mark.parametrize("status", [400, 422, 500, 501])
def test_a_prompt_that_also_fails_without_the_schema_leaves_the_schema_in_use(image, status):
    def answer(sent, place):
        fails = "number 0" in str(sent)
        return fault(status, "xgrammar: out of memory") if fails else echo(sent)

    with Loopback(answer) as server:
        client = local(server, concurrency=1)
        [bad, *good] = client.ask(verdicts(image, 4))
    assert bad.value is None and "xgrammar: out of memory" in bad.reason
    assert all(reply.value for reply in good) and len(server.bodies) == 2 + 3
    assert all("response_format" in sent for sent in server.bodies[2:]) and not client.refused


def test_a_transient_fault_does_not_restore_the_schema(image):
    def answer(sent, place):
        if "response_format" in sent:
            return fault(500, "guided_json failed")
        return fault(503, retry_after_ms="1") if place == 1 else said(TIE)

    with Loopback(answer) as server:
        [reply] = local(server).ask(verdicts(image, 1))
    assert reply.value and ["response_format" in sent for sent in server.bodies] == [
        True,
        False,
        False,
    ]


def test_a_billed_error_about_the_schema_is_retried_once_without_it(image):
    def answer(sent, place):
        wrong = {"error": {"message": "grammar failed"}, "usage": USAGE}
        return body(wrong) if "response_format" in sent else said(TIE)

    with Loopback(answer) as server:
        client = local(server, concurrency=1)
        replies = client.ask(verdicts(image, 3))
    assert all(reply.value for reply in replies) and len(server.bodies) <= 3 + 2
    assert client.spent()["requests"] == len(server.bodies)


# ------------------------------------------------------------------ other fields

REFUSALS = [
    lambda name: {"error": {"message": f"Unsupported parameter: '{name}' is not supported."}},
    lambda name: {"error": {"message": "Unsupported value", "param": name}},
    lambda name: {"detail": [{"loc": ["body", name], "msg": "Extra inputs are not permitted"}]},
    lambda name: {"message": f"property {name} is unsupported"},
    lambda name: {"errors": [{"message": f"unknown field `{name}`"}]},
    lambda name: [f"Unrecognized request argument supplied: {name}"],
    lambda name: f"Unrecognized request argument supplied: {name}",
]


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("status", [200, 400, 422])
def test_a_rejected_seed_is_omitted_from_then_on(image, caplog, status, refusal):
    def answer(sent, place):
        return (status, {}, body(refusal("seed"))[2]) if "seed" in sent else echo(sent)

    with Loopback(answer) as server:
        replies = local(server, concurrency=2).ask(verdicts(image, 20))
    assert all(reply.value for reply in replies) and len(server.bodies) <= 20 + 2
    assert [record.message for record in caplog.records].count(
        "model 'judge': the endpoint rejects seed; requests now omit it"
    ) == 1


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("status", [200, 400, 422])
def test_a_rejected_user_parameter_is_one_clear_error(image, monkeypatch, status, refusal):
    """It is not omitted, because the user set it and the ledger records it as sent."""
    monkeypatch.setattr(faults, "_spread", lambda state: 0.001)

    def answer(sent, place):
        return (
            (status, {}, body(refusal("temperature"))[2]) if "temperature" in sent else echo(sent)
        )

    with Loopback(answer) as server:
        client = local(server, concurrency=2, parameters={"temperature": 0.2})
        with pytest.raises(ModelUnavailable, match="leave 'temperature' out of parameters"):
            client.ask(verdicts(image, 50))
        assert len(server.bodies) <= (4 if status != 200 else 4 * 5)
        assert all(reply.value for reply in local(server).ask(verdicts(image, 3)))


@pytest.mark.parametrize(
    ("given", "taken", "words"),
    [
        (
            "max_tokens",
            "max_completion_tokens",
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
        ),
        (
            "max_completion_tokens",
            "max_tokens",
            "Unrecognized request argument supplied: max_completion_tokens",
        ),
    ],
)
def test_the_token_limit_is_sent_under_the_name_that_the_endpoint_accepts(
    image, given, taken, words
):
    with Loopback(lambda sent, place: fault(400, words) if given in sent else echo(sent)) as server:
        client = local(server, concurrency=2, parameters={given: 300})
        replies = client.ask(verdicts(image, 10))
    assert all(reply.value for reply in replies) and len(server.bodies) <= 10 + 2
    assert server.bodies[-1][taken] == 300 and given not in server.bodies[-1]


def test_a_token_limit_rejected_under_both_names_is_one_clear_error(image):
    def answer(sent, place):
        name = next(name for name in ("max_tokens", "max_completion_tokens") if name in sent)
        both = "max_tokens and max_completion_tokens are not supported, certainly not"
        return fault(400, f"{both} '{name}'")

    server, way_out = Loopback(answer), "leave 'max_tokens' out of parameters"
    with server, pytest.raises(ModelUnavailable, match=way_out):
        local(server, concurrency=1, parameters={"max_tokens": 300}).ask(verdicts(image, 50))
    assert len(server.bodies) <= 2 * 3


@pytest.mark.parametrize(
    "words",
    [
        "Unknown parameter: 'messages[1].content[0].image_url.detail'.",
        "image_url: unexpected field `detail`",
    ],
)
def test_a_rejected_image_detail_is_omitted(image, prices, words):
    def answer(sent, place):
        return fault(400, words) if '"detail"' in json.dumps(sent) else echo(sent)

    with Loopback(answer) as server:
        client = local(server, concurrency=1, prices=prices, local=False)
        replies = client.ask(verdicts(image, 4))
    assert all(reply.value for reply in replies) and len(server.bodies) == 5


def test_an_echoed_request_is_not_read_as_a_rejection(image):
    """This validation error concerns the messages and repeats the request's other fields."""
    sent_back = {"seed": 0, "response_format": {"type": "json_schema"}}
    detail = [{"loc": ["body", "messages"], "msg": "Field required", "input": sent_back}]
    answer = 422, {}, json.dumps({"detail": detail}).encode()
    with Loopback(lambda sent, place: answer) as server:
        [reply] = local(server).ask(verdicts(image, 1))
    assert "body.messages: Field required" in reply.reason and len(server.bodies) == 1


def test_a_lone_surrogate_in_a_prompt_is_sent_as_a_question_mark(image):
    def messages(text):
        return [{"role": "user", "content": [image, text]}]

    [prompt] = verdicts(image, 1)
    odd, plain = (
        replace(prompt, messages=tuple(messages(text))) for text in ("a \ud83d b", "a ? b")
    )
    with Loopback(lambda sent, place: said(TIE)) as server:
        client = local(server)
        assert client.ask([odd]) == client.ask([plain])
    assert server.bodies[0]["messages"][0]["content"][1]["text"] == "a ? b"
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"status": "error", "reason": "quota"}, "quota"),
        ({"fault": {"faultstring": "Rate limit quota violation"}}, "Rate limit quota violation"),
        ({"exception": "ValueError: bad image"}, "bad image"),
        ({"Message": "User is not authorized"}, "not authorized"),
    ],
)
def test_gateway_errors_are_reported_with_their_message(value, words):
    assert words in read_body(json.dumps(value).encode()).error


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


@pytest.mark.parametrize(
    "words",
    [
        "The specified schema produces a constraint that has too many states for serving.",
        "A schema in GenerationConfig in the request exceeds the maximum allowed nesting depth.",
        "Function calling and JSON output are not available",
        "output_config.format: Extra inputs are not permitted",
    ],
)
def test_further_messages_that_reject_a_schema(words):
    assert faults.named_field(words, ["seed", "response_format"]) == "response_format"
