"""What a step of tuning costs beside a bare PyTorch loop and, where it is installed, TRL.

TRL is no part of the environment: ``pip install --target FOLDER --no-deps trl datasets dill
multiprocess xxhash``, and ``PYTHONPATH=FOLDER make bench``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from gpu_tuning import Shape, main, measure
from measuring import peak_bytes
from tuning_steps import MakeBatch, bare_steps, our_steps, trl_steps

from vital_lib import clinic
from vital_lib.models import VisionLanguageModel, load_model
from vital_lib.tuning import FigureTensors, TuningConfig, collate, encode_conversations
from vital_lib.tuning.weights import make_trainable

pytestmark = pytest.mark.slow

STEPS, ROUNDS, BATCH = 12, 4, 8
CONFIG = TuningConfig(train="language", learning_rate=1e-3)
CLOCK = time.process_time  # a busy neighbour hardly changes it
HAS_TRL = importlib.util.find_spec("trl") is not None


def _batches(folder: Path) -> tuple[VisionLanguageModel, MakeBatch]:
    """The clinic's model, and batches of conversations about its own images."""
    rows, figures = clinic.base_conversations(folder, STEPS * BATCH, seed=0)
    vlm = load_model("clinic")
    files = {row.figure_id: Path(row.image) for row in figures.itertuples()}
    tensors = FigureTensors(vlm, files)
    examples, _ = encode_conversations(vlm, rows, tensors, 1024)
    pad = vlm.processor.tokenizer.pad_token_id

    def batch_of(step: int):
        part = examples[step * BATCH : (step + 1) * BATCH]
        return collate(part, [tensors[example["figure_id"]] for example in part], pad)

    return vlm, batch_of


def _loops(folder: Path) -> dict[str, Callable[[], list[float]]]:
    vlm, batch_of = _batches(folder)

    def begin():
        return make_trainable(load_model("clinic").model, CONFIG)[0]

    def scratch() -> Path:
        return Path(tempfile.mkdtemp(dir=folder))

    loops = {
        "ours": lambda: our_steps(begin(), batch_of, STEPS, CONFIG, scratch(), CLOCK),
        "bare": lambda: bare_steps(begin(), batch_of, STEPS, CONFIG, CLOCK),
    }
    if HAS_TRL:
        loops["trl"] = lambda: trl_steps(
            begin(), vlm.processor, batch_of, STEPS, CONFIG, scratch(), CLOCK
        )
    return loops


def test_a_step_costs_hardly_more_than_in_a_bare_loop(tmp_path, report):
    loops = _loops(tmp_path)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(ROUNDS):
        for name, loop in loops.items():
            with contextlib.redirect_stdout(io.StringIO()):  # TRL prints every step
                seconds[name] += loop()[2:]
    each = {name: statistics.median(values) for name, values in seconds.items()}
    figures = {f"step_{name}_processor_seconds": value for name, value in each.items()}
    figures["step_to_bare_loop"] = each["ours"] / each["bare"]
    if HAS_TRL:
        figures["trl_step_to_ours"] = each["trl"] / each["ours"]
    report("tuning", **figures)
    assert figures["step_to_bare_loop"] <= 1.05
    assert figures.get("trl_step_to_ours", 9) >= 1.2


def test_memory_is_hardly_more_than_in_a_bare_loop(report):
    peaks = {name: [] for name in ("ours", "bare")}
    for _ in range(2):
        for name, found in peaks.items():
            done = subprocess.run(
                [sys.executable, __file__, name], capture_output=True, text=True, check=True
            )
            found.append(json.loads(done.stdout.splitlines()[-1]))
    grown = {name: min(one["grown"] for one in found) for name, found in peaks.items()}
    whole = {name: min(one["whole"] for one in found) for name, found in peaks.items()}
    report(
        "tuning",
        peak_mb=whole["ours"] / 1e6,
        peak_to_bare_loop=whole["ours"] / whole["bare"],
        peak_of_training_mb=grown["ours"] / 1e6,
        peak_of_training_to_bare_loop=grown["ours"] / grown["bare"],
    )
    assert whole["ours"] <= 1.2 * whole["bare"]
    assert grown["ours"] <= 1.2 * grown["bare"]


def test_the_benchmark_of_a_gpu_runs_at_a_tiny_shape_on_the_cpu():
    shape = Shape(
        width=32, mlp=64, layers=2, heads=4, vision_width=32, vision_mlp=64, vision_layers=2,
        vision_heads=4, image_size=28, patch=14, sequence=24, labelled=8, batch=2, steps=4,
        matmul=64,
    )  # fmt: skip
    figures = measure(shape, "cpu", TuningConfig(train="lora"))
    wanted = {"gpu_matmul_tflops", "gpu_ours_tokens_per_second", "gpu_ours_share_of_matmul"}
    assert wanted <= figures.keys() and all(value > 0 for value in figures.values())
    assert ("gpu_trl_tokens_per_second" in figures) == HAS_TRL


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: run make bench-gpu")
def test_without_a_gpu_its_benchmark_says_that_it_is_skipped(capsys):
    assert main() == 0
    assert "skipped: torch finds no CUDA GPU" in capsys.readouterr().out


def _measure_memory(name: str) -> None:
    """Run one loop in this process; print its peak, and by how much the training raised it."""
    with tempfile.TemporaryDirectory() as folder:
        loop = _loops(Path(folder))[name]
        before = psutil.Process().memory_info().rss
        loop()
        peak = peak_bytes()
    print(json.dumps({"whole": peak, "grown": peak - before}))


if __name__ == "__main__":
    _measure_memory(sys.argv[1])
