"""Texts of a training file, without what a trainer or a chat template would act on.

The texts are data, written by models and people. A trainer replaces its own placeholders within
them (ms-swift, LLaMA-Factory) or gives them to a tokenizer that knows control tokens (TRL), so a
text that spells one could show an image that is not there, or end its own turn. The base model is
not known when a file is written: the tokens of all families of models are replaced.
"""

from __future__ import annotations

import re
from typing import Any

_PLACEHOLDERS = (
    *("image", "images", "video", "audio", "img", "bbox", "box", "ref", "ref-object", "quad"),
    *("cot-process", "start-image", "image_placeholder", "im_patch", "im_start", "im_end"),
)
_TOKENS = (
    *("s", "bos", "eos", "pad", "unk", "image_soft_token", "audio_soft_token", "IMG_CONTEXT"),
    *("fake_token_around_image", "global-img", "end_of_utterance"),
    *(r"(?:start|end)_of_(?:turn|image|audio)", r"row_\d+_col_\d+", r"image_\d+", r"unused\d+"),
)
_CONTROL = re.compile(
    r"<\|[^<>\s|]{1,64}\|>"  # ChatML, Llama 3, Qwen, Phi
    r"|<｜[^<>\s｜]{1,64}｜>"  # DeepSeek
    r"|\[/?INST\]|<</?SYS>>|\[IMG(?:_BREAK|_END)?\]"  # Llama 2, Mistral
    r"|\{\{ ?(?:image|video|audio|content) ?\}\}"  # LLaMA-Factory's slots
    rf"|</?(?:{'|'.join((*_PLACEHOLDERS, *_TOKENS))})>"
)
_HALVES = re.compile("[\ud800-\udfff]")  # of UTF-16: no file can hold them


def plain(text: Any) -> str:
    """Return a text stripped, with a space in place of each placeholder and control token.

    The space keeps the halves of another token apart. What is no text gives an empty one.
    """
    if not isinstance(text, str):
        return ""
    return _CONTROL.sub(" ", _HALVES.sub("\ufffd", text)).strip()


def holds_tokens(text: Any) -> bool:
    """Whether `plain` replaces a placeholder or a control token of the text."""
    return isinstance(text, str) and _CONTROL.search(text) is not None
