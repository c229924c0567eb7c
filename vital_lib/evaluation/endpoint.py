"""A model behind an endpoint answers a benchmark, as a local model does.

Replies are kept in the client's ledger, so that no answer is paid for twice. Independent of
controls and metrics.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from PIL import Image

from vital_lib.client import ChatClient, Reply
from vital_lib.figures import (
    CLEARANCE,
    Clearance,
    FigureImage,
    clearance_of,
    open_figure,
    open_image,
)
from vital_lib.prompts import Prompt, answer_prompt
from vital_lib.receipts import Answer, AnswersQuestions, pixel_hash


class EndpointModel(AnswersQuestions):
    """A model behind a `ChatClient`, for `answer_questions`.

    The client's `parameters` set the temperature and the length of its answers, since endpoints
    differ in what they accept; those of `answer_questions` have no effect.

    A model on another's server is sent cleared questions only.

    Args:
        client: the client of the model that answers.
        questions: rows of the table questions that it will be asked. Without an image, the text of
            a question is sent only if it is among them and cleared.
    """

    def __init__(self, client: ChatClient, questions: pd.DataFrame | None = None) -> None:
        self.client, self.sends_out = client, client.sends_out
        rows = [] if questions is None else questions.to_dict("records")
        of_text = sorted(((row["question"], clearance_of(row)) for row in rows), key=_cleared_first)
        self._of_text = dict(of_text)

    def answered(
        self,
        images: Sequence[Image.Image | None],
        questions: Sequence[str],
        max_new_tokens: int = 48,
        *,
        temperature: float | None = None,
        seed: int = 0,
    ) -> list[Answer]:
        """Return an answer and the receipt of its image for each question.

        The answer of an unusable reply is empty, and scores nothing.

        Args:
            images, questions: as in `AnswersQuestions`.
            max_new_tokens, temperature: without effect.
            seed: sent with the requests.

        Raises:
            ModelUnavailable, CostCeiling, NotCleared: as ``ChatClient.ask``.
        """
        with tempfile.TemporaryDirectory() as folder:
            figures = [_figure(image, Path(folder)) for image in images]
            pairs = zip(questions, figures, strict=True)
            prompts = [replace(self._prompt(*pair), seed=seed) for pair in pairs]
            return self._answers(self.client.ask(prompts))

    def expected(self, image: Image.Image | None) -> str | None:
        """Return the hash of the image's file as it is sent; None without an image."""
        return None if image is None else self.client.images.expected(image)

    def _prompt(self, text: str, figure: FigureImage | None) -> Prompt:
        stated = self._of_text.get(text) if figure is None else figure.clearance
        return answer_prompt(text, figure, None if stated is None else [stated])

    def _answers(self, replies: Iterable[Reply]) -> list[Answer]:
        return [
            Answer(reply.value.answer if reply.value else "", next(iter(reply.receipts), None))
            for reply in replies
        ]


def _figure(image: Image.Image | None, folder: Path) -> FigureImage | None:
    """Write an image without loss, because a client sends files that were checked.

    The file is cleared as the figure of the pixels is (`figures.CLEARANCE`).
    """
    if image is None:
        return None
    file = folder / f"{pixel_hash([image])}.ppm"
    if not file.exists():
        image.save(file)
    stated = image.info.get(CLEARANCE) or Clearance("an image", False, "made of unknown pixels")
    row = {"figure_id": stated.figure, "cleared": stated.cleared, "cleared_reason": stated.reason}
    return open_figure({**row, "image": file, "sha256": open_image(file).sha256})


def _cleared_first(pair: tuple[str, Clearance]) -> bool:
    return not pair[1].cleared
