"""Claims about processors whose video half needs torchvision or num2words.

The library leaves that half out. These tests install both beside the environment, in a cache folder
of their own, and compare: tokens and pixels are those of the whole processor.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from beside import installed_beside
from full_inputs import QUESTIONS, pictures
from safetensors.torch import load_file
from tiny_models import ARCHITECTURES

from vital_lib.models import load_model

PACKAGES = ["torchvision==0.28.0", "num2words==0.5.14", "docopt==0.6.2"]  # for torch 2.13
VIDEO = ["qwen2.5", "qwen3", "smolvlm"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def extras():
    """A folder with torchvision and num2words, kept between runs; skipped without an index."""
    if not torch.__version__.startswith("2.13."):
        pytest.skip(f"torchvision 0.28 is for torch 2.13, not for {torch.__version__}")
    return installed_beside("torchvision-0.28.0", PACKAGES)


def test_tokens_and_pixels_are_those_of_the_processor_with_its_video_half(extras, tmp_path, root):
    models = tmp_path / "models"
    folders = {name: ARCHITECTURES[name](models / name) for name in VIDEO}
    paths = [str(root), str(root / "tests"), str(extras)]
    done = subprocess.run(
        [sys.executable, str(root / "tests" / "with_torchvision.py"), models, tmp_path / "result"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = load_file(tmp_path / "result")
    for name, folder in folders.items():
        vlm = load_model(folder)
        texts = [vlm.chat([(question, None)]) for question in QUESTIONS]
        here = vlm.tensors(texts, pictures(), padding=True)
        assert {f"{name}.{part}" for part in here} == {k for k in found if k.startswith(f"{name}.")}
        for part, tensor in here.items():
            assert torch.equal(tensor, found[f"{name}.{part}"]), (name, part)
