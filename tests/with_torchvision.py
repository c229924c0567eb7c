"""Run by test_full_processors.py where torchvision and num2words are installed.

    python with_torchvision.py <folder of models> <file for the result>

For each model's folder it compares what the whole processor makes (its video half included) with
what the library's processor makes, and writes the library's tensors.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

if not torch.cuda.is_available():
    # A torchvision built for CUDA does not register these on a CPU's torch, and fails without them.
    OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
    OPERATORS.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    OPERATORS.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from full_inputs import QUESTIONS, pictures  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import AutoImageProcessor, AutoProcessor  # noqa: E402

from vital_lib.models import load_model  # noqa: E402


def main(folder: Path, result: Path) -> None:
    """Compare the processors of every model in `folder`."""
    kept = {}
    for path in sorted(folder.iterdir()):
        vlm = load_model(path)
        whole = AutoProcessor.from_pretrained(path)
        whole.image_processor = AutoImageProcessor.from_pretrained(path, backend="pil")
        assert type(whole.video_processor).__name__.endswith("VideoProcessor"), type(whole)
        texts = [vlm.chat([(question, None)]) for question in QUESTIONS]
        shown = [[picture] for picture in pictures()]
        asked = {"text": texts, "images": shown, "padding": True, "return_tensors": "pt"}
        own, full = (p(**asked, add_special_tokens=False) for p in (vlm.processor, whole))
        assert own.keys() == full.keys(), (path.name, own.keys(), full.keys())
        for name in own:
            assert torch.equal(own[name], full[name]), (path.name, name)
            kept[f"{path.name}.{name}"] = own[name].contiguous()
    save_file(kept, result)


def check_torchvision_alone(folder: Path) -> None:
    """An image processor that has no PIL half is opened with torchvision."""
    described = {"image_processor_type": "Llama4ImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(described))
    opened = AutoImageProcessor.from_pretrained(folder, backend="pil")
    assert type(opened).__name__ == "Llama4ImageProcessor"


if __name__ == "__main__":
    check_torchvision_alone(Path(sys.argv[2]).parent)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
