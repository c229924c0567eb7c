"""The clinic behind the API: reached by the ordinary client, refusing as the API refuses."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import httpx2
import openai
import pytest
from clinic_requests import any_image, sent

from vital_lib.client import ChatClient
from vital_lib.clinic.rates import DEFAULT_RATES, Rates
from vital_lib.clinic.service import MODELS, transport
from vital_lib.prompts import (
    chat_score_prompt,
    draft_prompt,
    generation_prompt,
    rating_prompt,
    verdict_prompt,
)

FIGURE = {
    "caption": "Axial CT of the head showing a large haematoma.",
    "mentions": ["The haematoma lies in the anterior part of the right hemisphere."],
    "modalities": ["ct_scan"],
}
URL = "https://clinic.invalid/v1/chat/completions"


@pytest.fixture
def image(tmp_path):
    return any_image(tmp_path)


@pytest.fixture
def prompts(image):
    row = {**FIGURE, "turns": [{"instruction": "Where?", "response": "On the right."}]}
    return [
        draft_prompt(FIGURE, image),
        generation_prompt(FIGURE, image, [(row, image)]),
        rating_prompt(FIGURE, image, "Which side?", "The haematoma is on the right."),
        chat_score_prompt("Which side is it on?", image, "Right", "On the left."),
        verdict_prompt("Which side is it on?", image, "Right", "On the right.", "On the left."),
    ]


def posted(bodies, *, service=None, url=URL, method="POST"):
    """The responses to raw bodies, asked all at once."""
    service = service or transport()

    async def ask():
        async with httpx2.AsyncClient(transport=service) as client:
            return await asyncio.gather(
                *(client.request(method, url, content=body) for body in bodies)
            )

    return asyncio.run(ask())


def said(body, **how):
    """The message of the reply to one JSON body."""
    (response,) = posted([json.dumps(body).encode()], **how)
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]["content"]


def refusal(body, **how):
    """(status, error) of the reply to one body."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    (response,) = posted([content], **how)
    return response.status_code, response.json()["error"]


# ---------------------------------------------------------------- replies


@pytest.mark.parametrize("model", MODELS)
def test_every_prompt_gets_a_reply_that_its_parser_reads(prompts, model):
    replies = ChatClient(model, transport=transport()).ask(prompts)
    assert [reply.reason for reply in replies] == [None] * 5
    assert [type(reply.value) for reply in replies] == [prompt.schema for prompt in prompts]
    assert all(reply.tokens_in > 85 and reply.tokens_out > 5 for reply in replies)


def test_the_clinic_is_what_the_name_clinic_opens(prompts):
    named = ChatClient("clinic").ask(prompts)
    given = ChatClient("clinic", transport=transport()).ask(prompts)
    assert [reply.text for reply in named] == [reply.text for reply in given]


def test_replies_do_not_depend_on_order_company_or_time(prompts):
    bodies = [json.dumps(sent(prompt, seed=seed)).encode() for prompt in prompts for seed in (0, 1)]
    together = [response.content for response in posted(bodies)]
    service = transport()
    alone = [posted([body], service=service)[0].content for body in reversed(bodies)]
    assert together == alone[::-1]
    assert len(set(together)) == len(together)


def test_the_services_seed_and_the_requests_seed_both_count(prompts):
    body = sent(prompts[0])
    replies = {
        said(body),
        said(body, service=transport(seed=1)),
        said({**body, "seed": 1}),
    }
    assert len(replies) == 3


def test_what_a_request_shows_decides_and_not_how_its_json_is_written(prompts):
    body = sent(prompts[2])
    spaced = json.dumps(body, indent=2, sort_keys=True).encode()
    (first,), (second,) = posted([spaced]), posted([json.dumps(body).encode()])
    assert first.content == second.content
    text = body["messages"][-1]["content"][-1]
    text["text"] = text["text"].replace("on the right.", "on the right!")
    assert posted([json.dumps(body).encode()])[0].content != first.content


def test_the_rates_given_are_the_rates_used(prompts):
    always = Rates(style={**DEFAULT_RATES.style, "truncated": 1.0})
    drafts = json.loads(said(sent(prompts[0]), service=transport(always)))
    texts = [question[f"response_{side}"] for question in drafts["questions"] for side in "ab"]
    assert texts and not any(text.endswith(".") for text in texts)


def test_no_reply_says_which_responses_are_wrong(prompts):
    for prompt in prompts[:2]:
        text = said(sent(prompt))
        known = {*DEFAULT_RATES.factual, *DEFAULT_RATES.style}
        assert not any(f'"{name}"' in text for name in known)


def test_usage_counts_a_quarter_of_the_characters_and_85_for_an_image(prompts):
    body = sent(prompts[0])
    (response,) = posted([json.dumps(body).encode()])
    usage = response.json()["usage"]
    system, user = body["messages"]
    characters = len(system["content"]) + len(user["content"][-1]["text"])
    assert usage["prompt_tokens"] == characters // 4 + 85
    assert usage["completion_tokens"] == len(said(body)) // 4
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_without_a_response_format_the_reply_is_plain_text(prompts):
    body = sent(prompts[0])
    del body["response_format"]
    text = said(body)
    assert not text.startswith("{")
    assert 3 < len(text.split()) < 80


def test_a_token_limit_cuts_the_reply_and_says_so(prompts):
    body = {**sent(prompts[0]), "max_completion_tokens": 10}
    (response,) = posted([json.dumps(body).encode()])
    choice = response.json()["choices"][0]
    assert choice["finish_reason"] == "length"
    assert len(choice["message"]["content"]) == 40


# ---------------------------------------------------------------- refusals


def test_an_unknown_model_is_not_found_as_by_the_api(prompts):
    client = openai.AsyncOpenAI(
        api_key="none", http_client=openai.DefaultAsyncHttpxClient(transport=transport())
    )
    body = {**sent(prompts[0]), "model": "gpt-9"}
    with pytest.raises(openai.NotFoundError, match="gpt-9") as caught:
        asyncio.run(client.chat.completions.create(**body))
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    "change, param, word",
    [
        ({"messages": []}, "messages", "at least one"),
        ({"messages": [{"role": "system", "content": "Hello"}]}, "messages", "'user'"),
        ({"messages": [{"content": "Hello"}]}, "messages[0].role", "role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "audio"}]}]},
            "messages[0].content[0]",
            "image_url",
        ),
        ({"messages": [{"role": "user", "content": "Hi"}]}, "messages[-1].content", "Caption"),
        ({"response_format": {"type": "json_object"}}, "response_format", "json_object"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "Poem"}}},
            "response_format",
            "'Poem'",
        ),
        ({"stream": True}, "stream", "stream"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused_by_the_name_of_its_field(
    prompts, change, param, word
):
    status, error = refusal({**sent(prompts[0]), **change})
    assert (status, error["param"], error["type"]) == (400, param, "invalid_request_error")
    assert word in error["message"]


def test_a_body_that_is_not_json_is_refused():
    assert refusal(b"{")[0] == 400
    assert refusal(b"[]")[0] == 400
    assert refusal(b"\xff\xfe")[0] == 400


def test_other_addresses_and_methods_are_refused(prompts):
    assert refusal(sent(prompts[0]), url="https://clinic.invalid/v1/embeddings")[0] == 404
    assert refusal(b"", method="GET")[0] == 405


# ---------------------------------------------------------------- cost


def test_importing_the_service_imports_nothing_heavy():
    script = (
        "import sys, vital_lib.clinic.service\n"
        "print(sorted({'torch', 'transformers', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
