"""A prompt exactly as it is sent: every message, every image, and the schema of the reply."""

from __future__ import annotations

import json
from typing import Any

from vital_lib.panels._panel import Panel, script_beside
from vital_lib.prompts import Prompt

_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_IMAGE = 85


class PromptViewer(Panel):
    """The messages of one prompt, roles as headings and images inline; nothing can be pressed.

    Args:
        prompt: what one request says.
    """

    _draw = script_beside(__file__)

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
