"""What Ray costs beside plain processes, on two cores of this machine.

Rates are those after the workers have started: how long Python takes to import torch says nothing
about Ray. Seconds are reported; what is asserted are ratios and the growth of memory.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ray_acts import encode_alone, ray_here, with_ray  # noqa: F401 - fixtures

from vital_lib import scale
from vital_lib.client import ChatClient
from vital_lib.clinic.server import Dials, running
from vital_lib.figures import FigureImage, open_image
from vital_lib.processes import run_calls
from vital_lib.prompts import Prompt, rating_prompt

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]

FIGURE = {"caption": "CT of the head.", "mentions": [], "modalities": ["ct_scan"]}
IMAGES, REQUESTS = 1024, 2000


def write_images(folder: Path, number: int, side: int = 512) -> list[Path]:
    """Images of noise, each of its own."""
    paths = [folder / f"{place}.jpg" for place in range(number)]
    for place, path in enumerate(paths):
        coarse = np.random.default_rng(place).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(path)
    return paths


def prompts(figures: list[FigureImage], number: int, run: str) -> Iterator[Prompt]:
    for place in range(number):
        image = figures[place % len(figures)]
        yield rating_prompt(FIGURE, image, f"Run {run}, instruction {place}?", "It lies left.")


def test_encoding_on_two_workers_is_about_as_fast_as_in_two_processes(tmp_path, report):
    paths = write_images(tmp_path, IMAGES)
    halves = {str(k): {"paths": [str(path) for path in paths[k::2]]} for k in range(2)}
    seconds = run_calls(encode_alone, halves, workers=2).values()
    plain = IMAGES / max(seconds)
    marks: list[tuple[float, int]] = []
    encoder = scale.load_encoder(engine="ray", cache=tmp_path / "cache", workers=2)
    started = time.perf_counter()
    encoder.images(
        [open_image(path) for path in paths],
        on_encoded=lambda done: marks.append((time.perf_counter(), done)),
    )
    (first, before), (last, after) = marks[0], marks[-1]
    shared = (after - before) / (last - first)
    report(
        "scale",
        ray_encoding_rate=shared,
        ray_encoding_over_two_processes=shared / plain,
        ray_encoding_seconds_with_start=time.perf_counter() - started,
    )
    assert shared >= 0.9 * plain


def test_requests_through_ray_are_about_as_fast_as_from_one_process(tmp_path, report):
    """The best of three turns of each, 200 ms a reply, 64 at once."""
    figures = [open_image(path) for path in write_images(tmp_path, 20, 768)]
    seconds: dict[str, list[float]] = {"local": [], "ray": []}
    with running(Dials(latency=0.2, reply="fixed")) as server:
        options = {"base_url": server.url, "local": True, "concurrency": 64}
        clients = {
            "local": ChatClient(ledger=tmp_path / "local.sqlite", **options),
            "ray": scale.open_client(engine="ray", ledger=tmp_path / "ray.sqlite", **options),
        }
        for client in clients.values():  # workers start, and the images are encoded
            client.ask(prompts(figures, 100, "first"))
        for turn in range(3):
            for engine, client in clients.items():
                start = time.perf_counter()
                replies = client.ask(prompts(figures, REQUESTS, f"{engine} {turn}"))
                seconds[engine].append(time.perf_counter() - start)
                assert all(reply.value for reply in replies)
    ratio = min(seconds["local"]) / min(seconds["ray"])
    report(
        "scale", ray_request_rate=REQUESTS / min(seconds["ray"]), ray_rate_over_one_process=ratio
    )
    assert ratio >= 0.9


MEMORY = """
import sys
from pathlib import Path
import psutil
from ray_acts import ray_workers
from test_bench_ray import prompts, write_images
from vital_lib import scale
from vital_lib.figures import open_image
from vital_lib.scale.cluster import connected
folder, url = Path(sys.argv[1]), sys.argv[2]
connected(cores=2)
figures = [open_image(path) for path in write_images(folder, 4)]
client = scale.open_client(engine="ray", base_url=url, local=True, ledger=folder / "l.sqlite")
taken = []
for number in (1000, 2000, 8000):
    client.ask(prompts(figures, number, str(number)), into=lambda reply: reply.value is None)
    own = psutil.Process().memory_info().rss
    taken.append((own, sum(process.memory_info().rss for process in ray_workers("_Sending"))))
print(*[(taken[2][k] - taken[1][k]) / 2**20 for k in range(2)])
"""


def test_memory_does_not_grow_with_the_rows_that_ray_sends(tmp_path, report):
    """What 8,000 further requests add to the process and to its worker, in megabytes."""
    with running(Dials(latency=0.01, reply="fixed")) as server:
        command = [sys.executable, "-c", MEMORY, str(tmp_path), server.url]
        folder = str(Path(__file__).parent)
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    own, worker = map(float, done.stdout.split())
    report("scale", ray_megabytes_of_8000_requests=own, ray_megabytes_of_8000_in_worker=worker)
    assert max(own, worker) <= 50
