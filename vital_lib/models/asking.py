"""A loaded vision-language model: chat template, input tensors, answers with their receipts.

Answers are decoded greedily, or sampled with a separate random generator per question.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import BatchFeature, LogitsProcessor, LogitsProcessorList

from vital_lib.models.chat import ChatFormat, Rounds
from vital_lib.models.sharing import hashes, shared_inputs
from vital_lib.receipts import (
    Answer,
    AnswersQuestions,
    TextAloneRefused,
    pixel_hash,
    receipt_of_pixels,
)

Shown = Image.Image | Sequence[Image.Image] | None
"""What a question is about: an RGB image, several, or none (None or an empty list)."""


class VisionLanguageModel(AnswersQuestions):
    """A loaded vision-language model with its processor.

    Attributes: `model` (in evaluation mode), `processor`, `name` (as given to `load_model`),
    `device`, `format` (its `ChatFormat`).
    """

    def __init__(self, model: torch.nn.Module, processor: Any, name: str) -> None:
        self.model = model.eval()
        self.processor = processor
        self.name = name
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token
        self.format = ChatFormat(processor, _end_ids(model), name)

    def __repr__(self) -> str:
        return f"VisionLanguageModel({self.name!r}, {self.model.num_parameters():,} parameters)"

    @property
    def device(self) -> torch.device:
        """Device of the weights: cuda if available, else cpu."""
        return self.model.device

    def answered(
        self,
        images: Sequence[Shown],
        questions: Sequence[str],
        max_new_tokens: int = 48,
        batch_size: int = 32,
        *,
        temperature: float | None = None,
        seed: int = 0,
    ) -> list[Answer]:
        """Return the answers, stripped, each with the receipt of its image or images.

        Args:
            images: for each question an RGB image; or several, shown in their order; or None, which
                asks in text alone.
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
            TextAloneRefused: the model cannot answer without an image.
        """
        if len(images) != len(questions):
            raise ValueError(f"{len(images)} images for {len(questions)} questions")
        if batch_size < 1 or max_new_tokens < 1:
            raise ValueError(
                f"batch_size={batch_size}, max_new_tokens={max_new_tokens}: give at least 1"
            )
        if temperature is not None and not temperature > 0:
            raise ValueError(f"temperature={temperature}: wanted above 0, or None for greedy")
        lists = [as_list(shown) for shown in images]
        sent = hashes(lists)
        order = _equal_together(sent)
        answers: dict[int, Answer] = {}
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            part = [lists[k] for k in places], [questions[k] for k in places]
            own = [sent[k] for k in places]
            drawn = [] if temperature is None else [_Draws(temperature, seed, *part, self.device)]
            try:
                found = self._answer_batch(*part, own, max_new_tokens, LogitsProcessorList(drawn))
            except (TypeError, ValueError, AttributeError) as error:
                if any(part[0]):
                    raise
                raise TextAloneRefused(
                    f"{self.name} cannot answer without an image: {error}"
                ) from error
            answers |= zip(places, found, strict=True)
        return [answers[k] for k in range(len(questions))]

    def expected(self, image: Shown) -> str | None:
        """Return the hash of the image, or of several, as `pixel_hash`; None without one."""
        return pixel_hash(as_list(image))

    def ask(self, image: Image.Image, question: str) -> str:
        """Return the model's answer to one question about one image."""
        return self.answer([image], [question])[0]

    def chat(self, turns: Rounds, images: int = 1) -> str:
        """Return the prompt of rounds (instruction, response); see `ChatFormat.prompt`."""
        return self.format.prompt(turns, images)

    def tensors(
        self, texts: Sequence[str], images: Sequence[Shown], **options: Any
    ) -> BatchFeature:
        """Return the processor's tensors of `texts` (n,) from `chat`, each with its images (n,)."""
        lists = [as_list(shown) for shown in images]
        return self.processor(
            text=list(texts),
            images=lists if any(lists) else None,
            add_special_tokens=self.adds_special_tokens(texts[0]),
            return_tensors="pt",
            **options,
        )

    def adds_special_tokens(self, text: str) -> bool:
        """Return whether the tokenizer has to begin `text`, which its template did not begin."""
        first = self.processor.tokenizer.bos_token
        return not (first and text.startswith(first))

    @torch.inference_mode()
    def _answer_batch(
        self,
        lists: Sequence[list[Image.Image]],
        questions: Sequence[str],
        sent: Sequence[str | None],
        max_new_tokens: int,
        drawn: LogitsProcessorList,
    ) -> list[Answer]:
        texts = [
            self.chat([(question, None)], len(shown))
            for question, shown in zip(questions, lists, strict=True)
        ]
        inputs = shared_inputs(self, texts, lists, sent)
        if inputs is None:
            # Left padding makes every answer start directly after its question.
            whole = self.tensors(texts, lists, padding=True, padding_side="left")
            inputs = whole.to(self.device, dtype=self.model.dtype)
        # Counted here, in what the model is given: a template may drop the image.
        counts = (inputs["input_ids"] == self.model.config.image_token_id).sum(dim=1).tolist()
        tokens = self.model.generate(  # (B, L + new)
            **inputs,
            max_new_tokens=max_new_tokens,
            logits_processor=drawn,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            eos_token_id=self.format.end_ids,
            pad_token_id=self.processor.tokenizer.pad_token_id,
        )
        new = tokens[:, inputs["input_ids"].shape[1] :]  # (B, new)
        decoded = self.processor.tokenizer.batch_decode(new, skip_special_tokens=True)
        receipts = map(receipt_of_pixels, lists, sent, counts)
        return [Answer(text.strip(), own) for text, own in zip(decoded, receipts, strict=True)]


def _equal_together(sent: Sequence[str | None]) -> list[int]:
    """Return the places of the hashes `sent`, those of equal ones one after the other."""
    places: dict[str | None, list[int]] = {}
    for k, own in enumerate(sent):
        places.setdefault(own, []).append(k)
    return [k for equal in places.values() for k in equal]


def as_list(shown: Shown) -> list[Image.Image]:
    """Return the images that a question is about as a list."""
    return [shown] if isinstance(shown, Image.Image) else list(shown or ())


def _end_ids(model: torch.nn.Module) -> list[int]:
    """Return the ids at which the model's own settings stop generation."""
    ids = model.generation_config.eos_token_id
    return [] if ids is None else ids if isinstance(ids, list) else [ids]


class _Draws(LogitsProcessor):
    """Sampling by greedy decoding of noisy logits, with a separate random generator per question.

    The argmax of logits / temperature + Gumbel noise is a sample from their softmax (the Gumbel-max
    trick). The sampling in transformers shares one generator across a batch.
    """

    def __init__(
        self,
        temperature: float,
        seed: int,
        images: Sequence[Shown],
        questions: Sequence[str],
        device: torch.device,
    ) -> None:
        self._temperature, self._generators = temperature, []
        for shown, question in zip(images, questions, strict=True):
            pixels = b"".join(image.tobytes() for image in as_list(shown))
            digest = hashlib.sha256(f"{seed}\n{question}\n".encode() + pixels).digest()
            own = torch.Generator(device).manual_seed(int.from_bytes(digest[:7], "big"))
            self._generators.append(own)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        noise = torch.empty_like(scores)  # (B, vocabulary)
        for row, generator in zip(noise, self._generators, strict=True):
            row.exponential_(generator=generator)
        return scores / self._temperature - noise.log()
