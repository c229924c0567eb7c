"""Answers of models with their receipts: which image reached the model, and as how many tokens.

A receipt is made where an image leaves the workbench: from the pixels that a local model's
processor is given, or from the bytes inside the body of a request. It therefore also shows a
dropped or swapped image. `AnswersQuestions` is what local models and endpoints have in common.
Independent of models, endpoints, questions and tables.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from PIL import Image


class ImageNotSeen(RuntimeError):
    """A model was asked without the image of its question, or with another one."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the message alone, since no code is at fault."""
        return [f"{type(self).__name__}: {self}"]


class TextAloneRefused(ValueError):
    """A model whose architecture cannot answer without an image; the message says why."""


class Receipt(NamedTuple):
    """What reached a model of one image.

    Attributes:
        sha256: hash of the image as sent: of its RGB pixels (a local model), or of the bytes of
            the image file in the request (an endpoint). None if no image was sent.
        width, height: its size as sent, in pixels; None unless there is one image.
        image_tokens: tokens of the prompt that stand for images; None if they were not counted.
    """

    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    image_tokens: int | None = None


class Answer(NamedTuple):
    """A model's answer, and the receipt of its image (None if the model gives none)."""

    text: str
    receipt: Receipt | None


class AnswersQuestions(Protocol):
    """A model that answers questions about images, local or behind an endpoint.
    One whose attribute `sends_out` is true gets cleared questions only.
    """

    def answered(
        self,
        images: Sequence[Image.Image | None],
        questions: Sequence[str],
        max_new_tokens: int = 48,
        *,
        temperature: float | None = None,
        seed: int = 0,
    ) -> list[Answer]:
        """Return an answer with its receipt for each question, sampled if `temperature` is given.

        Args:
            images: RGB images, one per question, or None for each, which asks in text alone.
            questions: questions, each answered without memory of the others.
            max_new_tokens: maximum length of an answer.
            temperature: sampling temperature; None decodes greedily.
            seed: sampling seed; another seed is another draw.
        """
        ...

    def expected(self, image: Image.Image | None) -> str | None:
        """Return the hash that the receipt of this image must have; None without an image."""
        ...

    def answer(
        self, images: Sequence[Any], questions: Sequence[str], *sizes: int, **options: Any
    ) -> list[str]:
        """Return the texts of `answered`, which has the same arguments and errors."""
        return [one.text for one in self.answered(images, questions, *sizes, **options)]


def pixel_hash(images: Sequence[Image.Image]) -> str | None:
    """Return the SHA-256 of the sizes and pixels of RGB images, in order; None without images."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(f"{image.width} {image.height} ".encode() + image.tobytes())
    return digest.hexdigest() if images else None


def receipt_of_pixels(
    images: Sequence[Image.Image], sha256: str | None, image_tokens: int | None
) -> Receipt:
    """Return the receipt of what a local model received; of several images, without a size.

    Args:
        sha256: `pixel_hash` of `images`, taken where they were given to the model.
    """
    size = images[0].size if len(images) == 1 else (None, None)
    return Receipt(sha256, *size, image_tokens)


def receipt_of_file(data: bytes, image_tokens: int | None) -> Receipt:
    """Return the receipt of an image file that was sent inside a request."""
    size = Image.open(io.BytesIO(data)).size  # reads the header only
    return Receipt(hashlib.sha256(data).hexdigest(), *size, image_tokens)


def check_received(
    ids: Sequence[str], receipts: Sequence[Receipt | None], expected: Sequence[str | None]
) -> None:
    """Compare receipts with the images that should have been sent.

    Args:
        ids: names of the questions, for the message.
        receipts: of each question; None is not compared.
        expected: hash of each question's image as `Receipt.sha256`; None if none should be sent.

    Raises:
        ImageNotSeen: an image was dropped, swapped, or sent though none should be; the message
            has their number and the first of them.
    """
    known = [
        (name, receipt.sha256, wanted)
        for name, receipt, wanted in zip(ids, receipts, expected, strict=True)
        if receipt is not None
    ]
    wrong = [row for row in known if row[1] != row[2]]
    if not wrong:
        return
    first, sent, wanted = wrong[0]
    what = f"another image was sent (SHA-256 {sent}, wanted {wanted})"
    if sent is None:
        what = "no image was sent"
    elif wanted is None:
        what = "an image was sent, and none should be"
    raise ImageNotSeen(
        f"{len(wrong)} of {len(known)} requests did not carry their own image, first {first!r}: "
        f"{what}"
    )


def check_probe(with_image: Sequence[Answer], blanked: Sequence[Answer]) -> str | None:
    """Judge a probe: the same questions asked with their images and with blanked ones.

    Returns:
        None if an answer differs; otherwise a warning in words, if image tokens were counted.

    Raises:
        ImageNotSeen: no answer differs, and no image token was counted.
    """
    if any(a.text != b.text for a, b in zip(with_image, blanked, strict=True)):
        return None
    same = f"all {len(with_image)} answers of the probe are the same with a blanked image"
    counts = [answer.receipt.image_tokens for answer in with_image if answer.receipt]
    tokens = sum(filter(None, counts))
    if tokens:
        return (
            f"{same}, although {tokens:,} image tokens were counted: the model may not use its "
            "images. Compare its scores with the controls"
        )
    counted = "no image token was counted" if 0 in counts else "no image tokens were reported"
    raise ImageNotSeen(
        f"{same}, and {counted}: the images do not reach the model. Check the name of the field "
        "that carries them, the chat template, and that the model reads images. probe=0 asks "
        "without this check"
    )
