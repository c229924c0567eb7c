"""Prompts of one batch, with the part that questions about the same image share computed once.

A prompt up to its last image is the same for every question about that image, and most of a
prompt's tokens are in it. Its keys and values are computed once per image and copied for each
question (prefix caching, as in vLLM: Kwon et al. 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from vital_lib.receipts import pixel_hash

if TYPE_CHECKING:
    from vital_lib.models.asking import VisionLanguageModel

# Architectures whose positions are counted from the attention mask and whose image tokens see what
# comes before them only. Qwen-VL's positions depend on the image, Gemma 3's image tokens see each
# other.
_CAUSAL = ("llava", "idefics3", "smolvlm")
Ids = list[list[int]]


def hashes(images: Sequence[Sequence[Image.Image]]) -> list[str | None]:
    """Return `pixel_hash` of each list of images; equal objects are hashed once."""
    known: dict[tuple[int, ...], str | None] = {}
    keys = [tuple(map(id, shown)) for shown in images]
    for key, shown in zip(keys, images, strict=True):
        if key not in known:
            known[key] = pixel_hash(shown)
    return [known[key] for key in keys]


def shared_inputs(
    vlm: VisionLanguageModel,
    texts: Sequence[str],
    images: Sequence[Sequence[Image.Image]],
    sent: Sequence[str | None],
) -> dict[str, Any] | None:
    """Return what ``generate`` needs, with the shared parts of the prompts computed.

    Args:
        vlm: the model that is asked.
        texts: prompts (B,).
        images: the images of each prompt (B,).
        sent: `hashes` of `images`.

    Returns:
        ``input_ids`` and ``attention_mask`` (B, L), padded inside the prompt, and
        ``past_key_values`` of their shared beginnings. None if no two prompts have the same
        images, or if the model's prompts cannot be divided.
    """
    keys = [
        (own, text.rpartition(_image_token(vlm))[0]) for own, text in zip(sent, texts, strict=True)
    ]
    shared = list(dict.fromkeys(keys))
    if len(shared) == len(keys) or not _divisible(vlm, texts, images):
        return None
    first = [keys.index(key) for key in shared]
    whole = vlm.tensors([texts[k] for k in first], [images[k] for k in first], padding=True)
    rests = _after_image(vlm, texts)
    beginnings = _beginnings(whole, [rests[k] for k in first])
    if beginnings is None:
        return None
    places = torch.tensor([shared.index(key) for key in keys], device=vlm.device)
    begun, rest = (_padded(vlm, ids) for ids in (beginnings, rests))
    cache = _cache(vlm, begun, whole)
    cache.batch_select_indices(places)
    joined = {name: torch.cat([begun[name][places], rest[name]], dim=1) for name in begun}
    return {**joined, "past_key_values": cache}


def _image_token(vlm: VisionLanguageModel) -> str:
    return getattr(vlm.processor, "image_token", None) or "<image>"


def _divisible(
    vlm: VisionLanguageModel, texts: Sequence[str], images: Sequence[Sequence[Image.Image]]
) -> bool:
    """Return whether every prompt shows an image, to a model whose prompts can be divided."""
    config = vlm.model.config
    sliding = getattr(config.get_text_config(), "sliding_window", None)
    if config.model_type not in _CAUSAL or sliding is not None:
        return False
    return all(images) and all(_image_token(vlm) in text for text in texts)


def _after_image(vlm: VisionLanguageModel, texts: Sequence[str]) -> Ids:
    """Return the tokens of each prompt after its last image token."""
    special = vlm.adds_special_tokens(texts[0])
    rows = vlm.processor.tokenizer(list(texts), add_special_tokens=special)["input_ids"]
    image = vlm.model.config.image_token_id
    return [row[len(row) - row[::-1].index(image) :] for row in rows]


def _beginnings(whole: Any, rests: Ids) -> Ids | None:
    """Return the tokens before `rests` in the rows of `whole`; None if a row ends otherwise."""
    found = []
    for ids, mask, rest in zip(
        whole["input_ids"], whole["attention_mask"].bool(), rests, strict=True
    ):
        row = ids[mask].tolist()
        if row[len(row) - len(rest) :] != rest:
            return None
        found.append(row[: len(row) - len(rest)])
    return found


def _padded(vlm: VisionLanguageModel, rows: Ids) -> dict[str, torch.Tensor]:
    """Return ids and mask (n, L) of `rows`, padded on the left."""
    options = {"padding": True, "padding_side": "left", "return_tensors": "pt"}
    return dict(vlm.processor.tokenizer.pad({"input_ids": rows}, **options).to(vlm.device))


def _cache(vlm: VisionLanguageModel, begun: dict[str, torch.Tensor], whole: Any) -> Any:
    """Return the keys and values of the beginnings `begun`, with the images of `whole`."""
    text = ("input_ids", "attention_mask")
    pixels = {name: value for name, value in whole.items() if name not in text}
    positions = (begun["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
    given = type(whole)(pixels).to(vlm.device, dtype=vlm.model.dtype)
    out = vlm.model(**begun, **given, position_ids=positions, use_cache=True, logits_to_keep=1)
    return out.past_key_values
