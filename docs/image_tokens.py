"""Write docs/image_tokens.md: how many tokens an image takes, as each model's processor makes them.

The processors are those of transformers, with the settings that the models were published with.
Nothing is downloaded: the tokenizer is a stand-in that knows the special tokens and line
breaks, which is all that an image's part of a prompt consists of.

    python docs/image_tokens.py
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers as hf
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from vital_lib.models import ImageTokens, image_tokens

PAGE = Path(__file__).with_suffix(".md")
SIZES = [(224, 224), (336, 336), (448, 448), (896, 896), (1024, 768)]
_MARKS = {
    "image_token": "<image>",
    "boi_token": "<start_of_image>",
    "eoi_token": "<end_of_image>",
}
_TILES = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
_OTHERS = ["<fake_token_around_image>", "<end_of_utterance>", "<global-img>", "\n\n", "\n", "?"]
_HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def stand_in_tokenizer() -> hf.PreTrainedTokenizerFast:
    """Return a tokenizer of the special tokens and of one and two line breaks."""
    words = [*_MARKS.values(), *_TILES, *_OTHERS]
    core = Tokenizer(models.WordLevel({word: k for k, word in enumerate(words)}, unk_token="?"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n\n|\n"), "isolated")
    core.add_special_tokens([word for word in words if word.startswith("<")])
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="?", extra_special_tokens=_MARKS
    )


def llava() -> Any:
    """LLaVA-1.5: the middle square of 336 x 336, in patches of 14."""
    images = hf.CLIPImageProcessorPil(
        size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}
    )
    return hf.LlavaProcessor(
        images,
        stand_in_tokenizer(),
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


def _qwen(kind: type, **settings: Any) -> Any:
    class StillProcessor(kind):
        """Without its video half, which needs torchvision."""

        def check_argument_for_proper_class(self, name: str, argument: Any) -> Any:
            return type(argument)

    return StillProcessor(hf.Qwen2VLImageProcessorPil(**settings), stand_in_tokenizer(), None)


def qwen25() -> Any:
    """Qwen2.5-VL: a token for 28 x 28 pixels, the image's sides rounded to that."""
    return _qwen(hf.Qwen2_5_VLProcessor, size={"shortest_edge": 3_136, "longest_edge": 12_845_056})


def qwen3() -> Any:
    """Qwen3-VL: a token for 32 x 32 pixels; at least 64 tokens."""
    size = {"shortest_edge": 65_536, "longest_edge": 16_777_216}
    return _qwen(hf.Qwen3VLProcessor, size=size, patch_size=16, **_HALF)


def _smolvlm(whole: int, tile: int, tokens: int) -> Any:
    images = hf.Idefics3ImageProcessorPil(
        size={"longest_edge": whole}, max_image_size={"longest_edge": tile}
    )
    return hf.Idefics3Processor(images, stand_in_tokenizer(), image_seq_len=tokens)


def smolvlm_small() -> Any:
    """SmolVLM 256M and 500M: enlarged to 2,048, tiles of 512 and the whole, 64 tokens each."""
    return _smolvlm(2_048, 512, 64)


def smolvlm_large() -> Any:
    """SmolVLM 2.2B: enlarged to 1,536, tiles of 384 and the whole, 81 tokens each."""
    return _smolvlm(1_536, 384, 81)


def gemma3() -> Any:
    """Gemma 3 and MedGemma: stretched to 896 x 896, no crops (pan and scan is off)."""
    images = hf.Gemma3ImageProcessorPil(size={"height": 896, "width": 896}, **_HALF)
    return hf.Gemma3Processor(images, stand_in_tokenizer(), image_seq_length=256)


PROCESSORS: dict[str, Callable[[], Any]] = {
    "LLaVA-1.5": llava,
    "Qwen2.5-VL": qwen25,
    "Qwen3-VL": qwen3,
    "SmolVLM 256M, 500M": smolvlm_small,
    "SmolVLM 2.2B": smolvlm_large,
    "Gemma 3, MedGemma": gemma3,
}
_INTRODUCTION = """# Tokens of an image

How many tokens one image takes in a prompt, measured with each model's processor
(`vital_lib.models.image_tokens`). Where two numbers stand, the first counts the tokens that stand
for pixels, the second all that the processor puts into the prompt, with marks of tiles and line
breaks. `max_tokens` of `tuning.TuningConfig` has to leave room for them: no image is ever cut.

"""
_END = """
They are those that the models were published with; a folder that states others gives other numbers.
To measure a model that you have: `image_tokens(load_model("folder").processor, 1024, 768)`. This
page is written by `python docs/image_tokens.py`.
"""


def page() -> str:
    """Return the page: a table of models and sizes, and the settings of each model."""
    rows = [["model", *(f"{width} x {height}" for width, height in SIZES)]]
    rows.append(["---"] + ["---:"] * len(SIZES))
    for name, make in PROCESSORS.items():
        processor = make()
        rows.append([name, *(_cell(image_tokens(processor, *size)) for size in SIZES)])
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    settings = "".join(f"- {(make.__doc__ or '').strip()}\n" for make in PROCESSORS.values())
    return f"{_INTRODUCTION}{table}\nThe settings that the table assumes:\n\n{settings}{_END}"


def _cell(found: ImageTokens) -> str:
    if found.image == found.prompt:
        return f"{found.image:,}"
    return f"{found.image:,} ({found.prompt:,})"


if __name__ == "__main__":
    PAGE.write_text(page())
