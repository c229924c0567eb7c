"""A prompt exactly as it is sent: every message, every image and the schema of the reply."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from vital_lib.english import counted
from vital_lib.panels._panel import Panel, script_beside
from vital_lib.panels._static import Form, folded, joined, paragraph, text
from vital_lib.prompts import Prompt

if TYPE_CHECKING:
    from vital_lib.client import ChatClient
    from vital_lib.figures import FigureImage


_SAVED = 6_000  # characters of one message's text in the static form
_PICTURES = 8  # in the static form


class PromptViewer(Panel):
    """A read-only view of one prompt: messages headed by their roles, with images inline.

    Args:
        prompt: the prompt of one request.
        client: the client that will send it. With a client, the view shows the JPEGs that it
            sends, its token estimate, and the instructions that it adds for an endpoint without
            JSON schemas. Without a client, the view shows the image files.
        tokens: an estimate of the request's input tokens, for a view without a client.

    Attributes:
        tokens: the estimate shown; None if there is none.

    Raises:
        UnreadableImage: with `client`, an image's file has changed since it was opened.
    """

    _script = script_beside(__file__)

    def __init__(
        self, prompt: Prompt, client: ChatClient | None = None, *, tokens: int | None = None
    ) -> None:
        self._prompt, self._client, self._images = prompt, client, []
        self.tokens = tokens if client is None else client.estimate([prompt])["tokens_in"]
        self._in_words = client is not None and "response_format" in client.refused
        in_words = _schema_messages(prompt, client) if client and self._in_words else ()
        messages = (*prompt.messages, *in_words)
        self._messages = [
            {"role": message["role"], "parts": [self._part(part) for part in message["content"]]}
            for message in messages
        ]
        super().__init__(self._picture)
        self._show()

    def _part(self, part: str | FigureImage) -> dict[str, Any]:
        if isinstance(part, str):
            return {"text": part}
        self._images.append(part)
        shown = {"image": str(len(self._images) - 1), "size": [part.width, part.height]}
        return shown if self._client is None else {**shown, "sent": self._client.images.sent(part)}

    def _picture(self, key: str) -> FigureImage | bytes:
        figure = self._images[int(key)]
        if self._client is None:
            return figure
        return base64.b64decode(self._client.images.encoded(figure).result().split(",")[1])

    def _settings(self) -> list[str]:
        """Return the request's model, parameters and seed as text."""
        client, prompt = self._client, self._prompt
        if client is None:
            return []
        settings = {"model": client.model, **client.parameters, "seed": prompt.seed}
        sent = {name: settings[name] for name in settings if name not in client.refused}
        return [f"{name} {value}" for name, value in sent.items() if value is not None]

    def _static(self, state: dict[str, Any]) -> Form:
        tokens = "" if self.tokens is None else f", about {self.tokens:,} tokens"
        counts = f"{len(self._messages)} messages, {counted(state['images'], 'image')}{tokens}"
        settings = "; ".join([f"version {state['version']}", *state["settings"]])
        parts = [
            paragraph(message["role"], joined(*map(self._saved, message["parts"])))
            for message in state["messages"]
        ]
        if state["schema"]:
            parts.append(folded(f"Reply schema: {state['reply']}", state["schema"], _SAVED))
        return Form(f"Prompt {state['name']} ({settings}): {counts}", parts)

    def _saved(self, part: dict[str, Any]) -> Markup:
        """Return a part as text or image; images beyond the first few are named only."""
        if "text" in part:
            return text(part["text"], _SAVED) + Markup("<br>")
        width, height = part["size"]
        size = text(f"image of {width} × {height} pixels") + Markup("<br>")
        drawn = int(part["image"]) < _PICTURES
        return self._thumbnail(part["image"]) + Markup("<br>") + size if drawn else size

    def _state(self) -> dict[str, Any]:
        schema = self._prompt.schema.model_json_schema()
        return {
            "name": self._prompt.name,
            "version": self._prompt.version,
            "settings": self._settings(),
            "messages": self._messages,
            "tokens": self.tokens,
            "images": len(self._images),
            "reply": self._prompt.schema.__name__,
            "schema": "" if self._in_words else json.dumps(schema, indent=2, ensure_ascii=False),
        }


def _schema_messages(prompt: Prompt, client: ChatClient) -> list[dict[str, Any]]:
    """Return the messages that describe the reply schema in words."""
    from vital_lib.client import wire  # imports the API's client

    request = wire.make_request(client.model, prompt, client.images.rule, seed=0)
    body = wire.make_body(request, prompt, client.images, without=["response_format"])
    added = body["messages"][len(prompt.messages) :]
    return [{**message, "content": [message["content"]]} for message in added]
