"""Tests of unusual errors of endpoints: their messages, schemas and fields they reject."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from client_acts import KEY, echo, local, verdicts
from endpoint_bodies import TIE, USAGE, body, completion
from loopback import Loopback, fault, said

from vital_lib.client import ModelUnavailable, faults
from vital_lib.client.bodies import error_words, read_body

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
    others = [sent for sent in server.bodies if "number 0" not in str(sent)]  # in any order
    assert all("response_format" in sent for sent in others) and not client.refused


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
