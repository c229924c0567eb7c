"""Ask several models the same question about a figure and compare their answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vital_lib.panels._panel import Panel, plain, script_beside
from vital_lib.panels._static import Form, side_by_side, table

_REMEMBERED = 20  # questions kept
_OFFERED = 6  # sample questions shown


class ModelChat(Panel):
    """A question box and a choice of figures. Not for clinical use.

    Args:
        models: name -> callable(PIL image, question) -> answer.
        images: name -> FigureImage or PIL image.
        samples: name of an image -> its sample questions, each with the reference answer. The panel
            offers the first few, and shows the reference beside the answers to a sample question.

    Raises:
        ValueError: no model or no image is given.
    """

    _script = script_beside(__file__)
    _actions = ("choose", "ask")

    def __init__(
        self,
        models: Mapping[str, Callable[[Any, str], str]],
        images: Mapping[str, Any],
        samples: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    ) -> None:
        if not models or not images:
            raise ValueError(
                f"{len(models)} models and {len(images)} images: give at least one of each"
            )
        super().__init__(lambda name: images[name])
        self._models, self._images = dict(models), images
        self._samples = {name: dict(pairs) for name, pairs in (samples or {}).items()}
        self.figure = next(iter(images))
        self.asked: list[dict[str, Any]] = []
        self._show()

    def choose(self, figure: str) -> None:
        """Select the image that the next questions are about.

        Raises:
            ValueError: an unknown image name.
        """
        if figure not in self._images:
            raise ValueError(f"no image is named {figure!r}")
        with self._lock:
            self.figure = figure
            self._show()

    def ask(self, question: str) -> dict[str, str]:
        """Ask every model `question`, show each answer as it arrives, and return name -> answer.

        Raises:
            ValueError: the question is empty. Errors raised by a model are shown and re-raised.
        """
        question = question.strip()
        if not question:
            raise ValueError("the question is empty")
        with self._lock:
            entry = {"figure": self.figure, "question": question, "answers": {}}
            entry["reference"] = plain(self._samples.get(self.figure, {}).get(question))
            self.asked = [entry, *self.asked][:_REMEMBERED]
            image = self._images[self.figure]
            pixels = image.pixels() if hasattr(image, "pixels") else image
            for name, model in self._models.items():
                entry["answers"][name] = self._answer(model, pixels, question)
                self._show()
        return {name: answer["text"] for name, answer in entry["answers"].items()}

    def _answer(self, model: Callable[[Any, str], str], pixels: Any, question: str) -> dict:
        self._show()
        started, answer = time.monotonic(), None
        try:
            answer = plain(model(pixels, question))
        finally:
            if answer is None:
                self.asked[0]["failed"] = True
                self._show()
        return {"text": answer, "seconds": time.monotonic() - started}

    def _static(self, state: dict[str, Any]) -> Form:
        models = state["models"]
        summary = (
            f"A question box for {len(models)} models ({', '.join(models)}) and "
            f"{len(state['figures'])} figures; not for clinical use"
        )
        known = self._samples.get(self.figure, {})
        samples = [(question, known.get(question)) for question in state["samples"]]
        asked = [
            (entry["figure"], entry["question"], entry["reference"], name, answer["text"])
            for entry in state["asked"]
            for name, answer in entry["answers"].items()
        ]
        titles = ["figure", "question", "reference", "model", "answer (may be wrong)"]
        offered = side_by_side(
            self._thumbnail(self.figure), table(["sample question", "reference"], samples)
        )
        return Form(summary, [offered, table(titles, asked)] if asked else [offered])

    def _state(self) -> dict[str, Any]:
        return {
            "models": list(self._models),
            "figures": [plain(name) for name in self._images],
            "figure": self.figure,
            "samples": [plain(text) for text in self._samples.get(self.figure, {})][:_OFFERED],
            "asked": [{**entry, "answers": dict(entry["answers"])} for entry in self.asked],
        }
