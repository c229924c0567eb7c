"""Memory and disk that a tuning run needs, from the model's shape alone, against what is free.

The model is built on torch's meta device, so neither its weights nor the memory for them are
needed: the estimate for a model of the hub loads only its config.json. The activations are those
that autograd would keep for the language model, counted in a forward pass without numbers.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import AttentionInterface, AutoConfig

from vital_lib.models import language_layers, locate, meta_model, quiet, vision_towers
from vital_lib.tuning.sequences import IGNORED
from vital_lib.tuning.settings import TuningConfig
from vital_lib.tuning.weights import make_trainable

GIB = 2**30
_FOUR_BITS = 0.516  # bytes per weight: 4 bits, and the doubly quantized scale of each 64 weights
_SLACK = {"cpu": 2, "cuda": 1}
"""Memory held per byte of activations: on the CPU, what is freed is reused only in part."""

_LOGITS = 4  # copies of the logits in fp32 at the peak: as computed, their softmax, two gradients


def in_words(size: float) -> str:
    """Return a number of bytes in GiB, or in MiB if it is small."""
    return f"{size / GIB:.2f} GiB" if size >= GIB / 10 else f"{size / 2**20:.2f} MiB"


class DoesNotFit(MemoryError):
    """Raised if memory or disk cannot hold a tuning run; the message says what to lower."""


@dataclass(frozen=True)
class Estimate:
    """What one tuning run needs, in bytes.

    Attributes:
        device: "cuda" or "cpu", where the run computes.
        parameters, trained: number of weights, and of trained weights.
        weights, gradients, optimizer, activations: memory.
        checkpoint, adapter, merged: disk. `merged` is what `save_merged` writes, not `tune`.
    """

    device: str
    parameters: int
    trained: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    checkpoint: int
    adapter: int
    merged: int

    @property
    def memory(self) -> int:
        """Peak memory, above what the process uses before the model is loaded."""
        # The optimizer's step needs room for a copy of what it trains, when activations are gone.
        fixed = self.weights + self.gradients + self.optimizer
        return fixed + max(self.activations, 4 * self.trained)

    @property
    def disk(self) -> int:
        """Disk that `tune` needs; two checkpoints exist while one replaces the other."""
        return 2 * self.checkpoint + self.adapter

    def __str__(self) -> str:
        parts = ("weights", "gradients", "optimizer", "activations")
        found = ", ".join(f"{name} {in_words(getattr(self, name))}" for name in parts)
        return (
            f"{in_words(self.memory)} of memory on {self.device} ({found}), "
            f"{in_words(self.disk)} of disk"
        )


def estimate(
    base_model: str | Path,
    tokens: int,
    *,
    graded: int | None = None,
    device: str | None = None,
    **settings: Any,
) -> Estimate:
    """Return the memory and disk that `tune` needs, from the config of `base_model`.

    Args:
        base_model: as in `vital_lib.models.load_model`.
        tokens: length of the longest sequences, with image tokens.
        graded: how many of them count in the loss (responses); None means all.
        device: "cuda" (bf16) or "cpu" (fp32); None means cuda if available.
        settings: fields of `TuningConfig`. `mix_share` counts only if it is given.
    """
    if not isinstance(tokens, Integral) or tokens < 1:
        raise ValueError(f"tokens={tokens!r}: wanted the length of a sequence, at least 1")
    mixed = settings.get("mix_share", 0)
    config = AutoConfig.from_pretrained(str(locate(base_model)), trust_remote_code=False)
    return estimate_of(
        config, TuningConfig(**settings), tokens, graded=graded, device=device, mixed=mixed
    )


def estimate_of(
    model_config: Any,
    config: TuningConfig,
    tokens: int,
    *,
    graded: int | None = None,
    device: str | None = None,
    mixed: float = 0,
) -> Estimate:
    """Return the estimate for a model of transformers' `model_config`; see `estimate`.

    `mixed` is the number of mixed conversations per own conversation.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    size = 2 if device == "cuda" else 4
    model = meta_model(model_config)
    parameters = sum(weights.numel() for weights in model.parameters())
    language = language_layers(model) if config.quantize else {}
    small = sum(model.get_submodule(name).weight.numel() for name in language)
    with quiet(), torch.device("meta"):
        tuned, _ = make_trainable(model, config)
    trained = sum(w.numel() for w in tuned.parameters() if w.requires_grad)
    frozen = sum(w.numel() for w in tuned.parameters() if not w.requires_grad)
    weights = (frozen - small) * size + small * (_FOUR_BITS if config.quantize else size)
    kept = 4 * trained if config.interpolation < 1 else 0
    rows = config.micro_batch_size or config.batch_size
    rows += -(-round(1000 * rows * mixed) // 1000)
    shape = rows, tokens, tokens if graded is None else graded
    return Estimate(
        device=device,
        parameters=parameters,
        trained=trained,
        weights=round(weights) + 4 * trained + kept,
        gradients=4 * trained,
        optimizer=8 * trained,
        activations=_SLACK[device] * _activations(tuned, model, config, shape, size),
        checkpoint=12 * trained,
        adapter=(4 if config.train == "lora" else size) * trained,
        merged=parameters * size,
    )


def check_room(
    needed: Estimate, folder: str | Path, *, runs: int = 1, loaded: torch.nn.Module | None = None
) -> str:
    """Return one line with what `runs` runs at the same time need and what is free.

    Args:
        folder: where the run writes.
        loaded: the model, if it is in memory already and counts no more.

    Raises:
        DoesNotFit: not enough memory or disk; the message says what to lower.
    """
    memory, disk = free_memory(needed.device), free_disk(folder)
    if loaded is not None:
        memory += sum(weights.nbytes for weights in loaded.parameters())
    times = f" for each of {runs} runs" if runs > 1 else ""
    free = f"free are {in_words(memory)} of memory, {in_words(disk)} of disk"
    line = f"{needed}{times}; {free}"
    if needed.memory * runs > memory:
        fixed = needed.weights + needed.gradients + needed.optimizer
        lower = ["a smaller base model", "train='lora' with quantize='4bit'"]
        if fixed * runs <= memory:  # the activations are too much
            lower = ["micro_batch_size or max_tokens (lower)", "activation_checkpointing=True"]
        if runs > 1:
            lower.append("workers=1")
        raise DoesNotFit(f"too little memory: {line}. Try {', '.join(lower)}")
    if needed.disk * runs > disk:
        raise DoesNotFit(f"too little disk: {line}. Free some, or train='lora' with a lower rank")
    return line


def check_run(
    model: torch.nn.Module,
    own: Sequence[Mapping[str, Any]],
    mixed: Sequence[Mapping[str, Any]],
    config: TuningConfig,
    folder: str | Path,
) -> str:
    """Return the line of `check_room` for a loaded model and the examples that it is tuned on.

    Args:
        own, mixed: examples of `encode_conversations`.

    Raises:
        DoesNotFit: as `check_room`; raised before the first step.
    """
    rows = [*own, *mixed]
    tokens = max(len(row["input_ids"]) for row in rows)
    places = [{k for k, label in enumerate(row["labels"]) if label != IGNORED} for row in rows]
    # The logits of a batch are computed where any of its rows has a response.
    alone = (config.micro_batch_size or config.batch_size) == 1 and not mixed
    graded = max(map(len, places)) if alone else len(set().union(*places))
    needed = estimate_of(
        model.config,
        config,
        tokens,
        graded=graded,
        device="cuda" if model.device.type == "cuda" else "cpu",
        mixed=config.mix_share if mixed else 0,
    )
    return check_room(needed, folder, loaded=model)


def free_memory(device: str) -> int:
    """Return the bytes of memory free on `device`; on the CPU within the limit of a container."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    free = psutil.virtual_memory().available
    limit, used = (Path(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if limit.is_file() and used.is_file() and (most := limit.read_text().strip()).isdigit():
        free = min(free, int(most) - int(used.read_text()))
    return free


def free_disk(folder: str | Path) -> int:
    """Return the bytes of disk that are free for `folder`, which need not exist yet."""
    path = Path(folder).absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def as_table(needed: Estimate) -> dict[str, str]:
    """Return the estimate in words, for a table in a notebook."""
    numbers = asdict(needed)
    device = numbers.pop("device")
    counts = {name: f"{numbers.pop(name):,}" for name in ("parameters", "trained")}
    sizes = {name: in_words(size) for name, size in numbers.items()}
    return {"device": device, **counts, **sizes, "memory in all": in_words(needed.memory)}


def _activations(
    tuned: torch.nn.Module,
    model: torch.nn.Module,
    config: TuningConfig,
    shape: tuple[int, int, int],
    size: int,
) -> int:
    """Return the bytes that forward and backward pass hold at their peak."""
    rows, tokens, graded = shape
    text = model.config.get_text_config()
    whole = _saved(tuned, model, rows, tokens, size)
    layer = whole // text.num_hidden_layers
    if config.activation_checkpointing:
        whole = text.num_hidden_layers * rows * tokens * text.hidden_size * size + layer
    return (
        whole
        + layer
        + _LOGITS * 4 * rows * graded * text.vocab_size
        + _seen(model, config, rows, tokens, size)
    )


def _saved(
    tuned: torch.nn.Module, model: torch.nn.Module, rows: int, tokens: int, size: int
) -> int:
    """Return the bytes that autograd keeps for the backward pass of the language model."""
    root = next(iter(language_layers(model).values()))
    decoder = tuned.get_submodule(f"base_model.model.{root}" if tuned is not model else root)
    decoder.to(torch.bfloat16 if size == 2 else torch.float32).train()
    decoder.config._attn_implementation = "counted"
    own = {weights.untyped_storage()._cdata for weights in decoder.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    width = model.config.get_text_config().hidden_size
    inputs = torch.empty(rows, tokens, width, device="meta", dtype=next(decoder.parameters()).dtype)
    mask = torch.empty(rows, 1, tokens, tokens, device="meta", dtype=torch.bool)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        decoder(inputs_embeds=inputs.requires_grad_(), attention_mask=mask, use_cache=False)
    return sum(t.untyped_storage().nbytes() for key, t in kept.items() if key not in own)


def _seen(model: torch.nn.Module, config: TuningConfig, rows: int, tokens: int, size: int) -> int:
    """Return the bytes of the vision tower: its layers' outputs, or all that training it keeps."""
    vision = getattr(model.config, "vision_config", None)
    if vision is None or not vision_towers(model):
        return 0
    layers = getattr(vision, "num_hidden_layers", None) or getattr(vision, "depth", 0)
    width = getattr(vision, "embed_dim", None) or vision.hidden_size
    side, patch = getattr(vision, "image_size", None), vision.patch_size
    merged = getattr(vision, "spatial_merge_size", 1) ** 2
    patches = (side // patch) ** 2 if isinstance(side, int) else tokens * merged
    # A transformer layer keeps about 16 vectors of its width per position (attention and MLP).
    copies = 16 if config.train_vision else 1
    return copies * layers * rows * patches * width * size


class _Counted(torch.autograd.Function):
    """Attention that keeps what a fused kernel keeps: its inputs and its output, no scores."""

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any) -> torch.Tensor:
        result = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        raise NotImplementedError("only counted")


def _attend(module: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> tuple[Any, None]:
    return _Counted.apply(query, key, value).transpose(1, 2).contiguous(), None


AttentionInterface.register("counted", _attend)
