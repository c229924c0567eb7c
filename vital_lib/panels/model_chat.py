"""Ask several models the same question about a figure, and read their answers side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from vital_lib.panels._panel import Panel, plain, script_beside

_REMEMBERED = 20  # questions


class ModelChat(Panel):
    """A question box over a choice of figures. Not for clinical use.

    Args:
        models: name -> callable(PIL image, question) -> answer.
        images: name -> FigureImage or PIL image.

    Raises:
        ValueError: no model, or no image.
    """

    _draw = script_beside(__file__)
    _actions = ("choose", "ask")

    def __init__(
        self, models: Mapping[str, Callable[[Any, str], str]], images: Mapping[str, Any]
    ) -> None:
        if not models or not images:
            raise ValueError(f"give models and images: got {len(models)} and {len(images)}")
        super().__init__(lambda name: images[name])
        self._models, self._images = dict(models), images
        self.figure = next(iter(images))
        self.asked: list[dict[str, Any]] = []
        self._show()

    def choose(self, figure: str) -> None:
        """Ask about the image of that name from now on."""
        if figure not in self._images:
            raise ValueError(f"no image is called {figure!r}")
        with self._lock:
            self.figure = figure
            self._show()

    def ask(self, question: str) -> dict[str, str]:
        """Put `question` to every model, each shown as it answers; return name -> answer.

        Raises:
            ValueError: an empty question. What a model raises is raised too, and shown.
        """
        question = question.strip()
        if not question:
            raise ValueError("the question is empty")
        with self._lock:
            entry = {"figure": self.figure, "question": question, "answers": {}}
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

    def _state(self) -> dict[str, Any]:
        return {
            "models": list(self._models),
            "figures": [plain(name) for name in self._images],
            "figure": self.figure,
            "asked": [{**entry, "answers": dict(entry["answers"])} for entry in self.asked],
        }
