"""LoRA on a GPU at LLaVA-1.5-7B's shape with random weights: ``make bench-gpu``.

Our loop beside TRL's SFTTrainer, where it is installed, on the same batches: tokens per second,
peak memory, and the share of the matmul rate that the same GPU reaches. Random weights cost what
trained ones cost, so nothing is downloaded. The figures go to the file of ``make bench``.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration
from tuning_steps import our_steps, trl_steps

from vital_lib.models import load_model
from vital_lib.tuning import IGNORED, TuningConfig
from vital_lib.tuning.weights import make_trainable

REPORT = Path(__file__).parents[2] / "data" / "runs" / "bench" / "benchmarks.json"
_IMAGE = 32_000  # id of the image token


@dataclass(frozen=True)
class Shape:
    """A LLaVA's sizes, and those of its batches. The defaults are LLaVA-1.5-7B's."""

    width: int = 4096
    mlp: int = 11_008
    layers: int = 32
    heads: int = 32
    vision_width: int = 1024
    vision_mlp: int = 4096
    vision_layers: int = 24
    vision_heads: int = 16
    image_size: int = 336
    patch: int = 14
    vocabulary: int = 32_064
    sequence: int = 1024
    labelled: int = 256
    batch: int = 8
    steps: int = 12
    matmul: int = 8192

    @property
    def image_tokens(self) -> int:
        return (self.image_size // self.patch) ** 2

    def model(self, device: str) -> LlavaForConditionalGeneration:
        """A model of this shape with random weights, bf16 on a GPU."""
        text = LlamaConfig(
            hidden_size=self.width, intermediate_size=self.mlp, num_hidden_layers=self.layers,
            num_attention_heads=self.heads, num_key_value_heads=self.heads,
            vocab_size=self.vocabulary, max_position_embeddings=4096,
        )  # fmt: skip
        vision = CLIPVisionConfig(
            hidden_size=self.vision_width, intermediate_size=self.vision_mlp,
            num_hidden_layers=self.vision_layers, num_attention_heads=self.vision_heads,
            image_size=self.image_size, patch_size=self.patch,
        )  # fmt: skip
        config = LlavaConfig(
            vision_config=vision, text_config=text, image_token_id=_IMAGE, pad_token_id=0
        )
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16 if device == "cuda" else torch.float32)
        try:
            with torch.device(device):
                return LlavaForConditionalGeneration(config)
        finally:
            torch.set_default_dtype(before)

    def batch_of(self, step: int) -> dict[str, torch.Tensor]:
        """The batch of a step: an image, random text, labels on its end."""
        draw = torch.Generator().manual_seed(step)
        ids = torch.randint(5, 30_000, (self.batch, self.sequence), generator=draw)
        ids[:, 1 : 1 + self.image_tokens] = _IMAGE
        labels = ids.clone()
        labels[:, : -self.labelled] = IGNORED
        side = self.image_size
        pixels = torch.randn(self.batch, 3, side, side, generator=draw)
        mask = torch.ones_like(ids)
        return {
            "input_ids": ids, "attention_mask": mask, "labels": labels, "pixel_values": pixels,
        }  # fmt: skip

    def flops(self, model: torch.nn.Module) -> float:
        """Floating-point operations that a step needs: two for each weight and token.

        The language model runs forward and backward, without the gradients of its frozen weights;
        its head only where there are labels; the vision tower runs forward. The products of
        attention and of LoRA are left out.
        """
        seen = {
            "vision": self.image_tokens + 1,
            "head": 2 * self.labelled,
            "text": 2 * self.sequence,
        }
        total = 0
        for name, weights in model.named_parameters():
            part = "vision" if "vision" in name else "head" if "lm_head" in name else "text"
            if "lora_" not in name and "embed" not in name:
                total += 2 * self.batch * seen[part] * weights.numel()
        return total


def matmul_rate(device: str, size: int) -> float:
    """Floating-point operations a second of a large product in the precision of training."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(12):
        _wait(device)
        start = time.perf_counter()
        one @ other
        _wait(device)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(seconds[2:])


def measure(shape: Shape, device: str, config: TuningConfig) -> dict[str, float]:
    """The figures of our loop and, where it is installed, TRL's."""
    ceiling = matmul_rate(device, shape.matmul)
    figures = {"gpu_matmul_tflops": ceiling / 1e12}
    loops: dict[str, Any] = {"ours": our_steps}
    if importlib.util.find_spec("trl") is not None:
        processor = load_model("clinic").processor  # TRL asks for one and does not use it here
        loops["trl"] = lambda model, *rest: trl_steps(model, processor, *rest)
    for name, loop in loops.items():
        torch.manual_seed(0)
        model, _ = make_trainable(shape.model(device), config)
        flops = shape.flops(model)
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        with tempfile.TemporaryDirectory() as folder:
            steps = loop(model, shape.batch_of, shape.steps, config, Path(folder))
        seconds = statistics.median(steps[2:])
        figures[f"gpu_{name}_step_seconds"] = seconds
        figures[f"gpu_{name}_tokens_per_second"] = shape.batch * shape.sequence / seconds
        figures[f"gpu_{name}_share_of_matmul"] = flops / seconds / ceiling
        if device == "cuda":
            figures[f"gpu_{name}_peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
        del model
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()
    return figures


def keep(figures: dict[str, float]) -> None:
    """Add the figures to those of ``make bench``, and print them."""
    named = {f"tuning.{name}": float(f"{value:.4g}") for name, value in figures.items()}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    REPORT.write_text(json.dumps({**known, **named}, indent=1, sort_keys=True) + "\n")
    print("\n".join(f"{name:<48} {value:>12}" for name, value in named.items()))


def main() -> int:
    """Measure on the GPU; without one, say so."""
    if not torch.cuda.is_available():
        print("bench-gpu skipped: torch finds no CUDA GPU (see torch.cuda.is_available)")
        return 0
    if importlib.util.find_spec("trl") is None:
        print("TRL is not installed, so only our loop is measured; see test_bench_tuning.py")
    keep(measure(Shape(), "cuda", TuningConfig(train="lora", activation_checkpointing=False)))
    return 0


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    sys.exit(main())
