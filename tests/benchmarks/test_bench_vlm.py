"""What sending prompts through the ledger costs beside the bare client, and what it saves."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import openai
import pytest
from clinic_requests import any_image, phantom_figures, sent
from measuring import median_seconds

from vital_lib.clinic import transport
from vital_lib.prompts import Prompt, rating_prompt
from vital_lib.vlm import VLM

pytestmark = pytest.mark.slow

NUMBER, CONCURRENCY = 200, 32


@pytest.fixture
def prompts(tmp_path) -> list[Prompt]:
    """Ratings of an answer each, about figures of their own."""
    image = any_image(tmp_path)
    return [
        rating_prompt(figure, image, "On which side is the finding?", "It lies on the left.")
        for figure in phantom_figures(NUMBER)
    ]


def _open(ledger: Path) -> VLM:
    return VLM(ledger=ledger, concurrency=CONCURRENCY, transport=transport())


def _ask(vlm: VLM, prompts: list[Prompt]) -> None:
    assert all(reply.value for reply in vlm.ask(prompts))


async def _ask_bare(bodies: list[dict[str, Any]]) -> None:
    """The same requests with the same concurrency; nothing is checked, kept or repeated."""
    room = asyncio.Semaphore(CONCURRENCY)
    http_client = openai.DefaultAsyncHttpxClient(transport=transport())
    url = "http://clinic.invalid/v1"
    async with openai.AsyncOpenAI(api_key="none", base_url=url, http_client=http_client) as client:

        async def ask(body: dict[str, Any]) -> str:
            async with room:
                completion = await client.chat.completions.create(**body)
                return completion.choices[0].message.content

        assert all(await asyncio.gather(*map(ask, bodies)))


def test_a_kept_and_checked_reply_costs_little_beside_the_bare_clients(prompts, tmp_path, report):
    bodies = [sent(prompt) for prompt in prompts]
    numbers = itertools.count()  # a ledger of its own each time, so that all is asked anew
    ours, bare = median_seconds(
        lambda: _ask(_open(tmp_path / f"{next(numbers)}.sqlite"), prompts),
        lambda: asyncio.run(_ask_bare(bodies)),
    )
    report("vlm", ask_seconds_per_request=ours / NUMBER, ask_over_bare_client=ours / bare)
    assert ours < 2 * bare


def test_asking_again_from_the_ledger_costs_little_beside_asking_anew(prompts, tmp_path, report):
    """Even where the endpoint answers at once, as the clinic does."""
    again, numbers = _open(tmp_path / "kept.sqlite"), itertools.count()
    from_ledger, anew = median_seconds(
        lambda: _ask(again, prompts),
        lambda: _ask(_open(tmp_path / f"{next(numbers)}.sqlite"), prompts),
    )
    assert again.spent()["requests"] == NUMBER
    report(
        "vlm",
        again_seconds_per_request=from_ledger / NUMBER,
        again_over_anew=from_ledger / anew,
    )
    assert 2 * from_ledger < anew
