"""Tiny random vision-language models in folders of their own, made in about a second each.

They go through the very loading, tokenising and generating that a real model would; what they
answer means nothing. ``make_tiny_llava`` writes a LLaVA, ``make_tiny_qwen`` a Qwen2-VL (another
image layout, another chat template, and a processor that also knows video).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)

LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() }}: "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}</s>{% else %} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT: {% endif %}"
)
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_WORDS = (
    "Which modality is shown? This is a chest X-ray, a CT scan, an MRI, a histology section or a "
    "gross specimen. On which side is the nodule? It lies in the left upper lung. Is there a "
    "consolidation? No, there is none. How many are there? There are two small ones on the right."
)

# Wider than usual: below a frozen head of tiny weights no adapter could make any token likely.
_SPREAD = 0.2


def _tokenizer(special: list[str], **roles: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE with the special tokens first: any text survives the round trip."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([_WORDS], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, clean_up_tokenization_spaces=False, **roles
    )


def make_tiny_llava(
    folder: Path,
    *,
    width: int = 32,
    layers: int = 2,
    image_size: int = 32,
    max_tokens: int = 512,
    template: str | None = LLAVA_TEMPLATE,
    seed: int = 0,
) -> Path:
    """Write a random LLaVA with (image_size / 8) squared image tokens; return `folder`."""
    torch.manual_seed(seed)
    tokenizer = _tokenizer(
        ["<pad>", "<s>", "</s>", "<image>"],
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
    )
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": layers}
    vision = CLIPVisionConfig(
        **sizes, num_attention_heads=4, image_size=image_size, patch_size=8, projection_dim=width
    )
    text = LlamaConfig(
        **sizes,
        **ids,
        num_attention_heads=4,
        num_key_value_heads=4,
        vocab_size=len(tokenizer),
        max_position_embeddings=max_tokens,
        initializer_range=_SPREAD,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=3,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        **ids,
    )
    model = LlavaForConditionalGeneration(config)
    for name, value in ids.items():
        setattr(model.generation_config, name, value)
    side = {"height": image_size, "width": image_size}
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": image_size}, crop_size=side),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def make_tiny_qwen(folder: Path, *, seed: int = 0) -> Path:
    """Write a random Qwen2-VL; an image of 56 x 56 pixels becomes four tokens. Return `folder`."""
    torch.manual_seed(seed)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
    tokenizer = _tokenizer(
        [*special, "<|image_pad|>", "<|video_pad|>"],
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
    )
    text = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 512,
        "initializer_range": _SPREAD,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4},
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "mlp_ratio": 2}
    config = Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        vision_start_token_id=3,
        vision_end_token_id=4,
        image_token_id=5,
        video_token_id=6,
    )
    model = Qwen2VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = 2
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # The processor's files are written by hand, as in a published folder: the class itself cannot
    # be made without torchvision, which its video half needs.
    images = Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=112 * 112).to_dict()
    images |= {"image_processor_type": "Qwen2VLImageProcessor"}
    images |= {"processor_class": "Qwen2VLProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(images))
    (folder / "chat_template.jinja").write_text(QWEN_TEMPLATE)
    return folder
