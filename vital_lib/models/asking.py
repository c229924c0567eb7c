"""A loaded vision-language model: chat template, input tensors, answers.

Answers are decoded greedily, or sampled with a separate random generator per question.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import BatchFeature, LogitsProcessor, LogitsProcessorList

_LLAVA_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}USER: "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE\n{% else %}{{ part['text'] }} {% endif %}{% endfor %}"
    "{% else %}ASSISTANT: {{ message['content'][0]['text'] }} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""Prompt format of LLaVA-1.5, for a processor that was saved without a chat template."""


class VisionLanguageModel:
    """A loaded vision-language model with its processor.

    Attributes: `model` (in evaluation mode), `processor`, `name` (as given to `load_model`),
    `device`.
    """

    def __init__(self, model: torch.nn.Module, processor: Any, name: str) -> None:
        self.model = model.eval()
        self.processor = processor
        self.name = name
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token
        self._template = processor.chat_template or _LLAVA_TEMPLATE.replace(
            "IMAGE", getattr(processor, "image_token", "<image>")
        )
        self._control = _control_tokens(processor)

    def __repr__(self) -> str:
        return f"VisionLanguageModel({self.name!r}, {self.model.num_parameters():,} parameters)"

    @property
    def device(self) -> torch.device:
        """Device of the weights: cuda if available, else cpu."""
        return self.model.device

    def answer(
        self,
        images: Sequence[Image.Image],
        questions: Sequence[str],
        max_new_tokens: int = 48,
        batch_size: int = 32,
        *,
        temperature: float | None = None,
        seed: int = 0,
    ) -> list[str]:
        """Return the model's answers, stripped, one per image and question.

        Args:
            images: RGB images, one per question.
            questions: questions, each answered without memory of the others.
            max_new_tokens: maximum length of an answer, in tokens.
            batch_size: questions per batch; it affects speed, not meaning.
            temperature: sampling temperature; None decodes greedily.
            seed: sampling seed. An answer depends on the seed, its image and its question, not on
                the other questions. Two models get the same noise, so their answers differ only by
                what they learned.

        Raises:
            ValueError: unequal numbers of images and questions, a size below 1, or a temperature
                that is not above 0.
        """
        if len(images) != len(questions):
            raise ValueError(f"{len(images)} images for {len(questions)} questions")
        if batch_size < 1 or max_new_tokens < 1:
            raise ValueError(
                f"batch_size={batch_size}, max_new_tokens={max_new_tokens}: give at least 1"
            )
        if temperature is not None and not temperature > 0:
            raise ValueError(f"temperature={temperature}: wanted above 0, or None for greedy")
        answers: list[str] = []
        for start in range(0, len(questions), batch_size):
            part = images[start : start + batch_size], questions[start : start + batch_size]
            drawn = [] if temperature is None else [_Draws(temperature, seed, *part, self.device)]
            answers += self._answer_batch(*part, max_new_tokens, LogitsProcessorList(drawn))
        return answers

    def ask(self, image: Image.Image, question: str) -> str:
        """Return the model's answer to one question about one image."""
        return self.answer([image], [question])[0]

    def chat(self, turns: Sequence[tuple[str, str | None]]) -> str:
        """Render rounds (instruction, response) about one image with the chat template.

        The image is in the first round. A last response of None is left for the model to generate.
        Control tokens inside an instruction or response (``<image>``, ``</s>``, ...) are removed,
        so text cannot change the structure of the prompt.
        """
        messages = []
        for place, (instruction, response) in enumerate(turns):
            image = [{"type": "image"}] if place == 0 else []
            part = {"type": "text", "text": self._plain(instruction)}
            messages.append({"role": "user", "content": [*image, part]})
            if response is not None:
                reply = [{"type": "text", "text": self._plain(response)}]
                messages.append({"role": "assistant", "content": reply})
        open_ended = turns[-1][1] is None
        text = self.processor.apply_chat_template(
            messages, chat_template=self._template, add_generation_prompt=open_ended, tokenize=False
        )
        # In most vocabularies a word's first token includes the space before it. After a prompt
        # that ends with a space, the model would need a first token that training never used.
        return text.rstrip(" ") if open_ended else text

    def tensors(
        self, texts: Sequence[str], images: Sequence[Image.Image], **options: Any
    ) -> BatchFeature:
        """Return the processor's tensors of `texts` (n,) from `chat`, each with its image (n,)."""
        first = self.processor.tokenizer.bos_token
        return self.processor(
            text=list(texts),
            images=[[image] for image in images],
            add_special_tokens=not (first and texts[0].startswith(first)),
            return_tensors="pt",
            **options,
        )

    @torch.inference_mode()
    def _answer_batch(
        self,
        images: Sequence[Image.Image],
        questions: Sequence[str],
        max_new_tokens: int,
        drawn: LogitsProcessorList,
    ) -> list[str]:
        texts = [self.chat([(question, None)]) for question in questions]
        # Left padding makes every answer start directly after its question.
        batch = self.tensors(texts, images, padding=True, padding_side="left")
        batch = batch.to(self.device, dtype=self.model.dtype)
        tokens = self.model.generate(  # (B, L + new)
            **batch,
            max_new_tokens=max_new_tokens,
            logits_processor=drawn,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=self.processor.tokenizer.pad_token_id,
        )
        new = tokens[:, batch["input_ids"].shape[1] :]  # (B, new)
        decoded = self.processor.tokenizer.batch_decode(new, skip_special_tokens=True)
        return [answer.strip() for answer in decoded]

    def _plain(self, text: str) -> str:
        return self._control.sub(" ", text).strip()


class _Draws(LogitsProcessor):
    """Sampling by greedy decoding of noisy logits, with a separate random generator per question.

    The argmax of logits / temperature + Gumbel noise is a sample from their softmax (the Gumbel-max
    trick). The sampling in transformers shares one generator across a batch.
    """

    def __init__(
        self,
        temperature: float,
        seed: int,
        images: Sequence[Image.Image],
        questions: Sequence[str],
        device: torch.device,
    ) -> None:
        self._temperature, self._generators = temperature, []
        for image, question in zip(images, questions, strict=True):
            digest = hashlib.sha256(f"{seed}\n{question}\n".encode() + image.tobytes()).digest()
            own = torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))
            self._generators.append(own)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        noise = torch.empty_like(scores)  # (B, vocabulary)
        for row, generator in zip(noise, self._generators, strict=True):
            row.exponential_(generator=generator)
        return scores / self._temperature - noise.log()


def _control_tokens(processor: Any) -> re.Pattern[str]:
    """Return a pattern that matches every special, image and video token."""
    added = processor.tokenizer.added_tokens_decoder.values()
    found = {token.content for token in added if token.special}
    found |= set(processor.tokenizer.all_special_tokens)
    found |= {getattr(processor, name, None) for name in ("image_token", "video_token")} - {None}
    longest_first = sorted(map(str, found), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
