"""Chat prompts: a processor's chat template around texts that never pass through it.

The template is rendered with one mark in place of each text, and the texts are put in afterwards.
So the place of every text is known exactly, and a text cannot change the structure of the prompt.
The module does not depend on models or tensors.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError

_LLAVA_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}USER: "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE\n{% else %}{{ part['text'] }} {% endif %}{% endfor %}"
    "{% else %}ASSISTANT: {{ message['content'][0]['text'] }} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""Prompt format of LLaVA-1.5, whose processor was once published without a chat template."""

# Private characters: no template changes their case, trims them or searches for them.
_MARK = "\ue000{}\ue001"
_MARKS = re.compile("\ue000(\\d+)\ue001")
Rounds = Sequence[tuple[str, str | None]]
Span = tuple[int, int]


class UnusableTemplate(ValueError):
    """Raised if a chat template does not write every text and image once; the message says why."""


class ChatFormat:
    """The prompt format of one model.

    Args:
        processor: of transformers, with a tokenizer.
        end_ids: the ids at which the model's generation settings stop.
        name: the model's name in error messages.

    Attributes: `ending`, what follows a response, up to and including its end-of-turn token;
    `end_ids`, every id that ends an answer.
    """

    def __init__(self, processor: Any, end_ids: Sequence[int], name: str) -> None:
        self._processor, self._name = processor, name
        self._image = getattr(processor, "image_token", None)
        self._template = processor.chat_template
        if not self._template:
            if type(processor).__name__ != "LlavaProcessor":
                raise UnusableTemplate(
                    f"base_model {name!r} has no chat template: give an instruction-tuned model, "
                    "or save its chat_template.jinja in its folder"
                )
            self._template = _LLAVA_TEMPLATE.replace("IMAGE", processor.image_token)
        self._control = _control_tokens(processor)
        self._pieces = lru_cache(maxsize=256)(self._render)
        tokenizer = processor.tokenizer
        ends = {tokenizer.eos_token, *tokenizer.convert_ids_to_tokens(list(end_ids))} - {None}
        self.ending, self._closing = self._find_ending(ends)
        written = [token for token in (*ends, self.ending.strip()) if token]
        known = tokenizer.convert_tokens_to_ids(written)
        self.end_ids = sorted({k for k in known if k is not None} - {tokenizer.unk_token_id})

    def prompt(self, turns: Rounds, images: int = 1) -> str:
        """Return the text of rounds (instruction, response); a last response of None is left open.

        The images are in the first round. Control tokens inside an instruction or response
        (``<image>``, ``</s>``, ...) are removed.

        Raises:
            UnusableTemplate: the template fails, leaves out a text or image, or writes one twice.
        """
        open_ended = turns[-1][1] is None
        pieces = self._pieces(len(turns), images, open_ended)
        texts = [self.plain(text) for turn in turns for text in turn if text is not None]
        text = "".join(map("".join, zip(pieces, texts, strict=False))) + pieces[-1]
        # In most vocabularies a word's first token includes the space before it. After a prompt
        # that ends with a space, the model would need a first token that training never used.
        return text.rstrip(" ") if open_ended else text

    def transcript(self, turns: Rounds, images: int = 1) -> tuple[str, list[Span]]:
        """Return the prompt of the last round with its response, and the span of each response.

        A span holds what the model has to write: the response, a space before it, and its
        end-of-turn token. Where the template writes no such token (LLaVA-1.5's does not), the
        tokenizer's is added: a model that never sees one never stops. Raises as `prompt`.
        """
        pieces = self._pieces(len(turns), images, True)
        texts = [self.plain(text or "") for turn in turns for text in turn]
        gap = self._gap(len(turns), images)
        text, spans = "", []
        for k, (piece, content) in enumerate(zip(pieces, texts, strict=True)):
            if k % 2 == 0:  # an instruction, at the start or after a response
                text += (piece[self._covered(piece) :] if k else piece) + content
                continue
            last = k == len(pieces) - 1
            text += piece.rstrip(" ") if last else piece.removesuffix(gap)
            spans.append((len(text), len(text + gap + content + self.ending)))
            text += gap + content + self.ending
        return text, spans

    def plain(self, text: str) -> str:
        """Return `text` as it is put into a prompt: stripped, without control tokens."""
        return self._control.sub(" ", text).strip()

    def _gap(self, rounds: int, images: int) -> str:
        """Return what the template writes between an open prompt and its response: a space."""
        prompt = self._pieces(rounds, images, True)[-1]
        complete, bare = self._pieces(rounds, images, False)[-2], prompt.rstrip(" ")
        rest = complete.removeprefix(bare)
        return rest if complete.startswith(bare) and not rest.strip() else prompt[len(bare) :]

    def _covered(self, piece: str) -> int:
        """Return how much of the template's text after a response `ending` stands for."""
        if piece.startswith(self._closing):
            return len(self._closing)
        return len(os.path.commonprefix([piece, self._closing.rstrip()]))

    def _find_ending(self, ends: set[str]) -> tuple[str, str]:
        """Return `ending`, and the part of the template's closing text that it replaces."""
        closing = self._pieces(1, 1, False)[-1]
        found = [closing.find(token) + len(token) for token in ends if token in closing]
        if found:
            return closing[: min(found)], closing[: min(found)]
        own = self._control.match(closing)
        if own:
            return own[0], own[0]
        return closing.rstrip() + self._processor.tokenizer.eos_token, closing

    def _render(self, rounds: int, images: int, open_ended: bool) -> list[str]:
        """Return the template's text before, between and after the texts of `rounds` rounds."""
        marks = 2 * rounds - open_ended
        messages = []
        for k in range(marks):
            shown = [{"type": "image"}] * (images if k == 0 else 0)
            part = {"type": "text", "text": _MARK.format(k)}
            role = "assistant" if k % 2 else "user"
            messages.append({"role": role, "content": [*shown, part]})
        options = {"chat_template": self._template, "add_generation_prompt": open_ended}
        try:
            text = self._processor.apply_chat_template(messages, tokenize=False, **options)
        except TemplateError as error:
            raise UnusableTemplate(
                f"the chat template of {self._name!r} fails for {rounds} rounds about {images} "
                f"images: {error}"
            ) from error
        found = _MARKS.split(text)
        pieces, order = found[::2], found[1::2]
        if order != [str(k) for k in range(marks)]:
            raise UnusableTemplate(
                f"the chat template of {self._name!r} writes {len(set(order))} of {marks} texts of "
                f"{rounds} rounds, {len(order)} times in all: give a model whose chat template "
                "writes every round once and in order"
            )
        shown = pieces[0].count(self._image) + pieces[1].count(self._image) if self._image else 0
        if self._image and (shown != images or shown != text.count(self._image)):
            raise UnusableTemplate(
                f"the chat template of {self._name!r} writes {self._image!r} "
                f"{text.count(self._image)} times for {images} images before the first response: "
                "give a model whose chat template takes images"
            )
        return pieces


def _control_tokens(processor: Any) -> re.Pattern[str]:
    """Return a pattern that matches every special, image and video token."""
    added = processor.tokenizer.added_tokens_decoder.values()
    found = {token.content for token in added if token.special}
    found |= set(processor.tokenizer.all_special_tokens)
    found |= {getattr(processor, name, None) for name in ("image_token", "video_token")} - {None}
    longest_first = sorted(map(str, found), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
