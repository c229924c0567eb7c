"""What sending prompts through the seam costs beside the bare client, and what it saves.

Against the clinic's server in a process of its own, with fixed replies: 200 ms each, as a provider
takes. Seconds are reported; what is asserted are ratios, counts and the memory.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from clinic_requests import any_image, phantom_figures
from measuring import median_seconds
from PIL import Image

from vital_lib.client import ChatClient, Control, Ledger
from vital_lib.client.entries import Entry, Request
from vital_lib.client.images import Images
from vital_lib.client.wire import make_body, make_request
from vital_lib.clinic import transport
from vital_lib.clinic.server import Dials, Server, running
from vital_lib.figures import FigureImage, open_image
from vital_lib.prompts import Prompt, rating_prompt

pytestmark = pytest.mark.slow

LATENCY, FIGURES, REQUESTS = 0.2, 20, 2000
FIGURE = {"caption": "CT of the head.", "mentions": [], "modalities": ["ct_scan"]}


def _figure(folder: Path, number: int) -> FigureImage:
    """An image that is sent as a JPEG of about 100 kB."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 255, (60, 60, 3), dtype=np.uint8))
    path = folder / f"{number}.png"
    coarse.resize((768, 768), Image.Resampling.BICUBIC).save(path)
    return open_image(path)


def _prompts(figures: list[FigureImage], number: int, run: int) -> Iterator[Prompt]:
    """As many ratings, none asked before: `run` tells one run's from another's."""
    for place in range(number):
        image = figures[place % len(figures)]
        yield rating_prompt(FIGURE, image, f"Run {run}, instruction {place}?", "It lies left.")


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> list[FigureImage]:
    folder = tmp_path_factory.mktemp("figures")
    return [_figure(folder, number) for number in range(FIGURES)]


def _open(server: Server, ledger: Path, **options: Any) -> ChatClient:
    return ChatClient(base_url=server.url, local=True, ledger=ledger, **options)


def _ask(client: ChatClient, prompts: Iterator[Prompt], control: Control | None = None) -> float:
    """Seconds until all have a reply with a value."""
    start = time.perf_counter()
    replies = client.ask(prompts, control=control)
    assert all(reply.value for reply in replies)
    return time.perf_counter() - start


def _bodies(figures: list[FigureImage], number: int, run: int) -> list[dict[str, Any]]:
    images = ChatClient().images
    return [
        make_body(make_request("clinic", prompt, images.rule, seed=0), prompt, images)
        for prompt in _prompts(figures, number, run)
    ]


async def _gather(server: Server, bodies: list[dict[str, Any]], at_once: int) -> float:
    """Seconds of the bare client: nothing is checked, kept or repeated."""
    room = asyncio.Semaphore(at_once)
    client = openai.AsyncOpenAI(
        api_key="none",
        base_url=server.url,
        http_client=openai.DefaultAioHttpClient(),
    )
    async with client:

        async def ask(body: dict[str, Any]) -> str:
            async with room:
                completion = await client.chat.completions.create(**body)
                return completion.choices[0].message.content

        start = time.perf_counter()
        assert all(await asyncio.gather(*map(ask, bodies)))
        return time.perf_counter() - start


@pytest.mark.parametrize(("at_once", "share"), [(64, 0.97), (256, 0.95)])
def test_kept_and_checked_replies_come_about_as_fast_as_the_bare_clients(
    at_once, share, figures, tmp_path, report
):
    """The best of four turns of each: neighbours on the machine only ever slow down."""
    bare, ours = [], []
    with running(Dials(latency=LATENCY, reply="fixed")) as server:
        for run in range(4):
            bodies = _bodies(figures, REQUESTS, run)
            bare.append(asyncio.run(_gather(server, bodies, at_once)))
            del bodies
            client = _open(server, tmp_path / f"{run}.sqlite", concurrency=at_once)
            ours.append(_ask(client, _prompts(figures, REQUESTS, run)))
    named = {
        f"rate_at_{at_once}": REQUESTS / min(ours),
        f"bare_rate_at_{at_once}": REQUESTS / min(bare),
        f"rate_at_{at_once}_over_bare": min(bare) / min(ours),
    }
    report("client", **named)
    assert min(bare) / min(ours) >= share


def test_scattered_faults_cost_their_own_retries_and_lose_nothing(figures, tmp_path, report):
    """7 % of requests, half 429 and half 500, none with a Retry-After; 10 runs of 1,000 each.

    The ceiling is what the bare client reaches in the same run where nothing fails, over the
    requests that it takes to get a reply.
    """
    faults = {"rate_limited": 0.035, "server_error": 0.035}
    rates, bare, attempts = [], [], 0
    with (
        running(Dials(latency=LATENCY, reply="fixed", faults=faults)) as server,
        running(Dials(latency=LATENCY, reply="fixed")) as faultless,
    ):
        for run in range(10):
            control = Control()
            client = _open(server, tmp_path / f"{run}.sqlite", concurrency=64)
            rates.append(1000 / _ask(client, _prompts(figures, 1000, run), control))  # all answered
            attempts += control.tally.attempts
            bare.append(1000 / asyncio.run(_gather(faultless, _bodies(figures, 1000, run), 64)))
        stats = server.stats()
    assert stats["answered"] == 10_000 == stats["distinct"]
    each = attempts / 10_000
    of_ceiling = max(rates) / (max(bare) / each)
    report(
        "client",
        faults_rate=statistics.median(rates),
        faults_rate_over_ceiling=of_ceiling,
        faults_requests_per_reply=each,
    )
    assert of_ceiling >= 0.8


def _pair(number: int) -> tuple[Request, Entry]:
    """A reply of the usual size to a request of its own."""
    text = json.dumps({"rationale": "The lesion lies on the left. " * 20, "winner": "tie"})
    said = json.dumps({"role": "user", "content": [f"Question {number}: " + "where is it? " * 40]})
    request = Request("judge", "verdict", "v1", 0, ("the policy", said), "schema")
    return request, Entry(answered=True, text=text, tokens_in=900, tokens_out=150, seconds=0.2)


def test_a_durable_record_costs_little_and_no_more_when_there_are_many(tmp_path, report):
    """As 64 at once bring them, eight to a commit, beside reading and rewriting one JSON file."""
    numbers = itertools.count()

    def filled(name: str, records: int) -> Ledger:
        ledger = Ledger(tmp_path / name)
        for _ in range(records // 1000):
            ledger.append([_pair(next(numbers)) for _ in range(1000)])
        return ledger

    def milliseconds(ledger: Ledger) -> float:
        batches = [[_pair(next(numbers)) for _ in range(8)] for _ in range(50)]
        start = time.perf_counter()
        for batch in batches:
            ledger.append(batch, [request for request, _ in batch])
        return 1000 * (time.perf_counter() - start) / 400

    small, large = filled("small", 1000), filled("large", 100_000)
    turns = [(milliseconds(small), milliseconds(large)) for _ in range(12)]
    few, many = (min(column) for column in zip(*turns, strict=True))
    rewritten = tmp_path / "replies.json"
    rewritten.write_text(json.dumps([_pair(n)[1].text for n in range(1000)]))
    start = time.perf_counter()
    for number in range(20):
        known = json.loads(rewritten.read_text())
        rewritten.write_text(json.dumps([*known, _pair(number)[1].text]))
    report(
        "client",
        record_milliseconds=few,
        record_milliseconds_at_100_000=many,
        record_at_100_000_over_1_000=many / few,
        rewriting_milliseconds_at_1_000=1000 * (time.perf_counter() - start) / 20,
    )
    assert max(few, many) <= 0.25
    assert many <= 1.2 * few


def test_a_sequential_loop_takes_as_much_longer_as_there_is_room(figures, tmp_path, report):
    with running(Dials(latency=LATENCY, reply="fixed")) as server:
        bodies = _bodies(figures, 20, 0)
        alone = asyncio.run(_gather(server, bodies, 1)) / 20
        client = _open(server, tmp_path / "l.sqlite", concurrency=64)
        ours = _ask(client, _prompts(figures, 640, 1)) / 640
    report("client", sequential_seconds_per_request=alone, sequential_over_ours=alone / ours)
    assert alone > 20 * ours


def test_figures_that_are_new_are_encoded_once_and_beside_the_sending(figures, tmp_path, report):
    """Every request shows a figure of its own, from files of 1200 x 1200 pixels.

    The yardstick is to encode as many by themselves, and to send as many that are known.
    """
    number, fresh = 320, []
    for place in range(number):
        coarse = np.random.default_rng(place).integers(0, 255, (90, 90, 3), dtype=np.uint8)
        path = tmp_path / f"{place}.jpg"
        Image.fromarray(coarse).resize((1200, 1200), Image.Resampling.BICUBIC).save(path)
        fresh.append(open_image(path))

    def encode() -> None:
        images = Images(ChatClient().images.rule)
        for future in [images.encoded(figure) for figure in fresh]:
            future.result()

    with running(Dials(latency=LATENCY, reply="fixed")) as server:

        def send(shown: list[FigureImage], run: int) -> None:
            client = _open(server, tmp_path / f"{run}.sqlite", concurrency=64)
            _ask(client, _prompts(shown, number, run))

        turns = [
            (_took(encode), _took(send, figures, run), _took(send, fresh, 10 + run))
            for run in range(4)
        ]
    alone, known, new = np.array(turns).min(axis=0)  # of seconds and of processor seconds
    seconds, busy = new / (alone + known)
    report(
        "client",
        new_figures_rate=number / new[0],
        new_figures_seconds_over_encoding_and_sending=seconds,
        new_figures_processor_over_encoding_and_sending=busy,
    )
    assert busy <= 1.3
    assert seconds <= 2


def _took(work: Callable[..., None], *args: Any) -> tuple[float, float]:
    """Seconds, and seconds that this process kept processors busy."""
    start, busy = time.perf_counter(), time.process_time()
    work(*args)
    return time.perf_counter() - start, time.process_time() - busy


MEMORY = """
import sys, threading
import numpy as np
import psutil
from pathlib import Path
import vital_lib.clinic.server, vital_lib.prompts
from vital_lib.figures import open_image
from vital_lib.prompts import Prompt, verdict_prompt
from vital_lib.client import ChatClient
folder, url, number, shots = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
client = ChatClient(base_url=url, local=True, ledger=folder / "l.sqlite", concurrency=64)
coarse = np.random.default_rng(0).integers(0, 255, (30, 30, 3), dtype=np.uint8)
pixels = np.kron(coarse, np.ones((20, 20, 1), dtype=np.uint8))
before = psutil.Process().memory_info().rss

def figure(name):
    path = folder / f"{name}.ppm"
    path.write_bytes(b"P6 600 600 255\\n" + pixels.tobytes())
    return open_image(path)

def shown(shot):
    pixels[3, :, :] = shot
    return {"role": "user", "content": [figure(f"shot {shot}"), "It lies on the left."]}

def prompts():
    told = tuple(shown(shot) for shot in range(shots))
    for n in range(number):
        pixels[:, :, 0] ^= 1
        pixels[:2, :, :] = n % 251
        pixels[2, :, 0] = n // 251
        one = verdict_prompt(f"number {n}?", figure(n), "r", "x", "y")
        policy, *asked = one.messages
        yield Prompt(one.name, one.version, (policy, *told, *asked), one.schema)
        if n >= 1000:
            (folder / f"{n - 1000}.ppm").unlink()

most, done = 0, threading.Event()
def watch():
    global most
    while not done.wait(0.02):
        most = max(most, psutil.Process().memory_info().rss)
threading.Thread(target=watch, daemon=True).start()
replies = client.ask(prompts())
done.set()
assert all(reply.value for reply in replies) and len(replies) == number
print((most - before) / 2**20)
"""


@pytest.mark.parametrize(("number", "shots"), [(1000, 0), (10_000, 0), (1000, 5)])
def test_memory_stays_small_however_many_figures_there_are(number, shots, tmp_path, report):
    """Figures of 1 MB each, as many as requests; what the process takes beyond its imports.

    With five shots each request carries six of them.
    """
    with running(Dials(latency=0.05, reply="fixed")) as server:
        numbers = [str(number), str(shots)]
        command = [sys.executable, "-c", MEMORY, str(tmp_path), server.url, *numbers]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert server.stats()["distinct"] == number
    megabytes = float(done.stdout)
    shown = f"{number}_with_{shots}_shots" if shots else f"{number}"
    report("client", **{f"memory_megabytes_at_{shown}": megabytes})
    assert megabytes <= 150


def test_asking_again_from_the_ledger_costs_little_beside_asking_anew(tmp_path, report):
    """Even where the endpoint answers at once, as the clinic does."""
    image, number, numbers = any_image(tmp_path), 200, itertools.count()
    prompts = [
        rating_prompt(figure, image, "On which side is the finding?", "It lies on the left.")
        for figure in phantom_figures(number)
    ]

    def ask(client: ChatClient) -> None:
        assert all(reply.value for reply in client.ask(prompts))

    def anew() -> ChatClient:
        return ChatClient(ledger=tmp_path / f"{next(numbers)}.sqlite", transport=transport())

    again = anew()
    from_ledger, asked = median_seconds(lambda: ask(again), lambda: ask(anew()))
    assert again.spent()["requests"] == number
    report(
        "client",
        again_seconds_per_request=from_ledger / number,
        again_over_anew=from_ledger / asked,
    )
    assert 2 * from_ledger < asked
