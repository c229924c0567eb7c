"""Ask several models the same question about a figure, and read their answers side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from vital_lib.panels._panel import Panel, plain

_REMEMBERED = 20  # questions


class ModelChat(Panel):
    """A question box over a choice of figures. Not for clinical use.

    Args:
        models: name -> callable(PIL image, question) -> answer.
        images: name -> FigureImage or PIL image.

    Raises:
        ValueError: no model, or no image.
    """

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

    _draw = r"""
function draw(state, ui) {
  const ask = (event) => {
    event.preventDefault();
    const box = event.target.elements.question;
    if (box.value.trim() && !ui.busy) { ui.call("ask", box.value); box.select(); }
  };
  const columns = `grid-template-columns: repeat(${state.models.length}, minmax(150px, 1fr))`;
  const answer = (entry, name) => {
    const found = entry.answers[name];
    return h("div", { class: "box" }, h("h4", null, name), found
      ? [h("p", { class: "text" }, found.text || "(an empty answer)"),
        h("span", { class: "muted small" }, `${found.seconds.toFixed(1)} s`)]
      : h("span", { class: entry.failed ? "no" : "muted" },
        entry.failed ? "no answer: an error was raised" : "thinking …"));
  };
  return [h("div", { class: "head" }, h("h3", null, "Ask the models"),
    h("span", { class: "grow" }), h("span", { class: "tag warn" }, "not for clinical use")),
  h("div", { class: "body split chat" },
    h("div", null, ui.picture(state.figure, 640, 320),
      h("p", { class: "muted small" }, state.figure),
      h("div", { class: "strip" }, state.figures.map((name) => h("button", { type: "button",
        title: name, "aria-label": name, "aria-pressed": String(name === state.figure),
        onclick: () => ui.call("choose", name) }, ui.picture(name, 96, 56))))),
    h("div", null, h("form", { class: "row", onsubmit: ask },
      h("input", { type: "text", name: "question", class: "grow", autocomplete: "off",
        placeholder: "A question about this figure", "aria-label": "question" }),
      h("button", { type: "submit", class: "main", disabled: ui.busy }, "Ask")),
    state.asked.length ? state.asked.map((entry) => h("section", null,
      h("p", { class: "text" }, h("strong", null, entry.question),
        h("span", { class: "muted small" }, `  ${entry.figure}`)),
      h("div", { class: "answers", style: columns },
        state.models.map((name) => answer(entry, name)))))
      : h("p", { class: "muted" }, "Each model's answer will stand here, side by side.")))];
}
"""
