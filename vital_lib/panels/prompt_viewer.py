"""A prompt exactly as it is sent: every message, every image, and the schema of the reply."""

from __future__ import annotations

import json
from typing import Any

from vital_lib.panels._panel import Panel
from vital_lib.prompts import Prompt

_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_IMAGE = 85


class PromptViewer(Panel):
    """The messages of one prompt, roles as headings and images inline; nothing can be pressed.

    Args:
        prompt: what one request says.
    """

    def __init__(self, prompt: Prompt) -> None:
        self._images: list[Any] = []
        self._messages = [
            {"role": message["role"], "parts": [self._part(part) for part in message["content"]]}
            for message in prompt.messages
        ]
        self._prompt = prompt
        super().__init__(lambda key: self._images[int(key)])
        self._show()

    @property
    def tokens(self) -> int:
        """Estimated size: a token for 4 characters, 85 for an image; the schema not counted."""
        texts = [part["text"] for m in self._messages for part in m["parts"] if "text" in part]
        characters = sum(len(text) for text in texts)
        return characters // _CHARACTERS_PER_TOKEN + _TOKENS_PER_IMAGE * len(self._images)

    def _part(self, part: Any) -> dict[str, Any]:
        if isinstance(part, str):
            return {"text": part}
        self._images.append(part)
        return {"image": str(len(self._images) - 1), "size": f"{part.width} × {part.height}"}

    def _state(self) -> dict[str, Any]:
        schema = self._prompt.schema.model_json_schema()
        return {
            "name": self._prompt.name,
            "version": self._prompt.version,
            "messages": self._messages,
            "tokens": self.tokens,
            "images": len(self._images),
            "reply": self._prompt.schema.__name__,
            "schema": json.dumps(schema, indent=2, ensure_ascii=False),
        }

    _draw = r"""
function draw(state, ui) {
  const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
  const part = (p) => p.text !== undefined ? h("p", { class: "text" }, p.text)
    : h("div", { class: "row" }, h("div", { style: "width:150px" }, ui.picture(p.image, 320, 120)),
      h("span", { class: "muted small" }, `image, ${p.size} pixels`));
  return [
    h("div", { class: "head" }, h("h3", null, `Prompt: ${state.name}`),
      tags([`version ${state.version}`]), h("span", { class: "grow" }),
      h("span", { class: "muted number" }, [count(state.messages.length, "message"),
        count(state.images, "image"), `about ${count(state.tokens, "token")}`].join(" · "))),
    h("div", { class: "body prompt" },
      state.messages.map((message) => h("section", { class: `box message ${message.role}` },
        h("h4", null, message.role), h("div", { class: "parts" }, message.parts.map(part)))),
      h("section", { class: "box" }, h("details", null,
        h("summary", null, `Schema that the reply must fit: ${state.reply}`),
        h("pre", { class: "text small" }, state.schema)))),
  ];
}
"""
