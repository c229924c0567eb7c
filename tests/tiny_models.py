"""Tiny random models of the published architectures, in folders with the hub's layout.

Each has its architecture's own processor class, a tokenizer of its family's kind and a chat
template in its family's form. What they answer means nothing; they go through the loading,
tokenising, training and generating that a published model goes through.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
import transformers as hf
from tiny_tokenizers import byte_fallback, byte_level

_IMAGE = "{% if part['type'] == 'image' %}"
_TEXT = "{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | upper }}: "
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }} {% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""LLaVA-1.5's: no end-of-turn token."""
_CHATML = (
    "<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}" + _IMAGE
    + "<|vision_start|><|image_pad|><|vision_end|>" + _TEXT + "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)  # fmt: skip
QWEN25_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}" + _CHATML
)
QWEN3_TEMPLATE = "{% for message in messages %}" + _CHATML
SMOLVLM_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}:{% else %}: {% endif %}"
    "{% for part in message['content'] %}" + _IMAGE + "<image>" + _TEXT
    + "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)  # fmt: skip
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' or (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user/assistant') }}{% endif %}"
    "<start_of_turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{% for part in message['content'] %}" + _IMAGE + "<start_of_image>"
    "{% else %}{{ part['text'] | trim }}{% endif %}{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)

# Wider than usual: below a frozen head of tiny weights no adapter could make any token likely.
_SPREAD = 0.2
_VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
_TEXT_SIZES = {**_VISION, "num_attention_heads": 4, "num_key_value_heads": 2}


def make_llava(folder: Path) -> Path:
    """Write a LLaVA-1.5: 16 image tokens, whatever the image's size."""
    tokenizer = byte_fallback(
        ["<unk>", "<s>", "</s>", "<image>", "<pad>"],
        llama=True,
        unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    ids = {"pad_token_id": 4, "bos_token_id": 1, "eos_token_id": 2}
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(
            **_VISION, num_attention_heads=4, image_size=32, patch_size=8, projection_dim=32
        ),
        text_config=_llama(tokenizer, ids),
        image_token_id=3,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        **ids,
    )
    images = hf.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    processor = hf.LlavaProcessor(
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )
    return _save(folder, hf.LlavaForConditionalGeneration, config, processor, **ids)


def make_qwen25(folder: Path) -> Path:
    """Write a Qwen2.5-VL: a token for every 28 x 28 pixels, between 4 and 16 of them."""
    tokenizer, ids = _qwen_tokenizer()
    text = hf.Qwen2_5_VLTextConfig(**_TEXT_SIZES, **_qwen_text(tokenizer))
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4,
        "out_hidden_size": 32, "window_size": 56, "fullatt_block_indexes": [1],
    }  # fmt: skip
    config = hf.Qwen2_5_VLConfig(
        text_config=text.to_dict(), vision_config=vision, **_qwen_ids(tokenizer)
    )
    images = hf.Qwen2VLImageProcessorPil(
        size={"shortest_edge": 4 * 28**2, "longest_edge": 16 * 28**2}
    )
    parts = tokenizer, images, "Qwen2_5_VLProcessor", QWEN25_TEMPLATE
    return _save(folder, hf.Qwen2_5_VLForConditionalGeneration, config, parts, **ids)


def make_qwen3(folder: Path) -> Path:
    """Write a Qwen3-VL: a token for every 32 x 32 pixels, between 4 and 16 of them."""
    tokenizer, ids = _qwen_tokenizer()
    text = hf.Qwen3VLTextConfig(**_TEXT_SIZES, head_dim=8, **_qwen_text(tokenizer))
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4,
        "out_hidden_size": 32, "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    config = hf.Qwen3VLConfig(
        text_config=text.to_dict(), vision_config=vision, **_qwen_ids(tokenizer)
    )
    images = hf.Qwen2VLImageProcessorPil(
        size={"shortest_edge": 4 * 32**2, "longest_edge": 16 * 32**2},
        patch_size=16, image_mean=[0.5] * 3, image_std=[0.5] * 3,
    )  # fmt: skip
    parts = tokenizer, images, "Qwen3VLProcessor", QWEN3_TEMPLATE
    return _save(folder, hf.Qwen3VLForConditionalGeneration, config, parts, **ids)


def make_idefics3(folder: Path) -> Path:
    """Write an Idefics3, the architecture of the first SmolVLM: up to four tiles and the whole."""
    return _idefics(folder, "Idefics3", hf.Idefics3Config, hf.Idefics3ForConditionalGeneration)


def make_smolvlm(folder: Path) -> Path:
    """Write a SmolVLM2: Idefics3's images, and a processor that wants num2words for video."""
    return _idefics(folder, "SmolVLM", hf.SmolVLMConfig, hf.SmolVLMForConditionalGeneration)


def make_gemma3(folder: Path) -> Path:
    """Write a Gemma 3, MedGemma's architecture: four image tokens that see one another."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    tokenizer = byte_fallback(
        [*special, "<start_of_image>", "<end_of_image>", "<image_soft_token>"],
        llama=False,
        pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>",
        extra_special_tokens={
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "image_token": "<image_soft_token>",
        },
    )  # fmt: skip
    ids = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": [1, 5]}
    text = hf.Gemma3TextConfig(
        **_TEXT_SIZES, head_dim=8, query_pre_attn_scalar=8, vocab_size=len(tokenizer),
        max_position_embeddings=512, sliding_window=64, initializer_range=_SPREAD,
        layer_types=["sliding_attention", "full_attention"],
    )  # fmt: skip
    vision = hf.SiglipVisionConfig(**_VISION, num_attention_heads=4, image_size=32, patch_size=8)
    config = hf.Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4, initializer_range=_SPREAD,
        boi_token_index=6, eoi_token_index=7, image_token_index=8, eos_token_id=[1, 5],
    )  # fmt: skip
    images = hf.Gemma3ImageProcessorPil(
        size={"height": 32, "width": 32}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    processor = hf.Gemma3Processor(
        images, tokenizer, chat_template=GEMMA_TEMPLATE, image_seq_length=4
    )
    return _save(folder, hf.Gemma3ForConditionalGeneration, config, processor, **ids)


ARCHITECTURES: dict[str, Callable[[Path], Path]] = {
    "llava": make_llava,
    "qwen2.5": make_qwen25,
    "qwen3": make_qwen3,
    "idefics3": make_idefics3,
    "smolvlm": make_smolvlm,
    "gemma3": make_gemma3,
}


def _llama(tokenizer, ids: dict) -> hf.LlamaConfig:
    return hf.LlamaConfig(
        **_TEXT_SIZES,
        **ids,
        vocab_size=len(tokenizer),
        max_position_embeddings=512,
        initializer_range=_SPREAD,
    )


def _qwen_tokenizer():
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
    tokenizer = byte_level(
        [*special, "<|image_pad|>", "<|video_pad|>"],
        qwen=True, pad_token="<|endoftext|>", eos_token="<|im_end|>",
    )  # fmt: skip
    return tokenizer, {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": [2, 0]}


def _qwen_text(tokenizer) -> dict:
    return {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 512,
        "initializer_range": _SPREAD,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4},
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }


def _qwen_ids(tokenizer) -> dict:
    names = {"vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>"}
    names |= {"image": "<|image_pad|>", "video": "<|video_pad|>"}
    return {f"{k}_token_id": tokenizer.convert_tokens_to_ids(v) for k, v in names.items()}


def _idefics(folder: Path, family: str, config_class, model_class) -> Path:
    rows = [f"<row_{r}_col_{c}>" for r in range(1, 7) for c in range(1, 7)]
    marks = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"]
    tokenizer = byte_level(
        ["<|endoftext|>", "<|im_start|>", *marks, *rows],
        qwen=False, bos_token="<|im_start|>", eos_token="<end_of_utterance>",
        pad_token="<|endoftext|>",
    )  # fmt: skip
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 4}
    text = _llama(tokenizer, ids)
    vision = {**_VISION, "num_attention_heads": 4, "image_size": 32, "patch_size": 8}
    config = config_class(
        vision_config=vision, text_config=text.to_dict(), image_token_id=3, scale_factor=2,
        pad_token_id=0, tie_word_embeddings=False,
    )  # fmt: skip
    images = getattr(hf, f"{family}ImageProcessorPil")(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}
    )
    parts = tokenizer, images, f"{family}Processor", SMOLVLM_TEMPLATE
    settings = {"image_seq_len": 4}
    return _save(folder, model_class, config, parts, settings, **ids)


def _save(folder: Path, model_class, config, processor, settings=None, **ids) -> Path:
    """Write model, generation settings, tokenizer, image processor and chat template."""
    torch.manual_seed(0)
    model = model_class(config)
    for weights in model.parameters():
        if not weights.any() and weights.dim() > 1:  # Gemma's projector starts at zero: blind
            torch.nn.init.normal_(weights, std=_SPREAD)
    for name, value in ids.items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(folder)
    if not isinstance(processor, tuple):
        processor.save_pretrained(folder)
        return folder
    # By hand: some processor classes cannot be made without what their video half needs.
    tokenizer, images, name, template = processor
    tokenizer.save_pretrained(folder)
    described = images.to_dict() | {"processor_class": name}
    described["image_processor_type"] = described["image_processor_type"].removesuffix("Pil")
    (folder / "preprocessor_config.json").write_text(json.dumps(described))
    (folder / "processor_config.json").write_text(
        json.dumps({"processor_class": name, **(settings or {})})
    )
    (folder / "chat_template.jinja").write_text(template)
    return folder
