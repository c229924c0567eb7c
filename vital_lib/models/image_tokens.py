"""Number of tokens that an image takes in a prompt, measured with a model's own processor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import Image


@dataclass(frozen=True)
class ImageTokens:
    """Tokens of one image: `image` are those that stand for pixels.

    `prompt` also counts those that the processor puts around them, such as marks of rows.
    """

    image: int
    prompt: int


def image_tokens(processor: Any, width: int, height: int) -> ImageTokens:
    """Return the tokens that a processor makes of an image of `width` x `height` pixels.

    Args:
        processor: of transformers, such as ``load_model(...).processor``.

    Raises:
        ValueError: a processor without an image token.
    """
    if getattr(processor, "image_token", None) is None:
        raise ValueError(f"{type(processor).__name__} has no image token: its images take none")
    picture = Image.new("RGB", (width, height))
    batch = processor(text=[processor.image_token], images=[[picture]], add_special_tokens=False)
    tokens = list(batch["input_ids"][0])
    return ImageTokens(sum(token in processor.image_token_ids for token in tokens), len(tokens))
