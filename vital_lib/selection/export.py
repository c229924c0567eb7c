"""The selected set as LLaVA's training JSON, for any trainer that reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib.tables import write_whole

IMAGE_TOKEN = "<image>"
"""The place of the image in LLaVA's first question."""


def export_llava(
    selected: pd.DataFrame,
    figures: pd.DataFrame,
    path: str | Path,
    *,
    resolve: Callable[[str], Path],
    image_folder: str | Path | None = None,
) -> int:
    """Write `selected` as LLaVA's training JSON and return the number of conversations.

    A list of {"id", "image", "conversations": [{"from": "human", "value": "<image>\\n..."},
    {"from": "gpt", "value": "..."}, ...]}; the image stands in the first question only. Images are
    not copied. An "<image>" within a text would call for a second image, and is taken out of it.

    Args:
        selected: columns of table `selected`, in the order to be written.
        figures: columns figure_id, image.
        path: the file to write; it appears whole or not at all.
        resolve: the path behind an `image` value, as `Workspace.resolve`.
        image_folder: image paths are written relative to it (LLaVA's `--image_folder`); without
            it they are absolute.

    Raises:
        ValueError: figures that are not given, images outside `image_folder`, or a conversation
            without rounds.
    """
    image_of = dict(zip(figures["figure_id"], figures["image"], strict=True))
    lost = [name for name in selected["figure_id"] if name not in image_of]
    if lost:
        raise ValueError(
            f"{len(lost)} of {len(selected)} conversations are about figures that are not given, "
            f"first {lost[0]!r}"
        )
    records = [
        {
            "id": row["conversation_id"],
            "image": _image_path(resolve(image_of[row["figure_id"]]), image_folder),
            "conversations": _llava_turns(row),
        }
        for row in selected.to_dict("records")
    ]
    text = json.dumps(records, ensure_ascii=False, indent=1) + "\n"
    write_whole(Path(path), lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return len(records)


def _llava_turns(conversation: Mapping[str, Any]) -> list[dict[str, str]]:
    turns = []
    for turn in conversation["turns"]:
        turns.append({"from": "human", "value": _plain(turn["instruction"])})
        turns.append({"from": "gpt", "value": _plain(turn["response"])})
    if not turns:
        raise ValueError(f"conversation {conversation['conversation_id']!r} has no rounds")
    turns[0]["value"] = f"{IMAGE_TOKEN}\n{turns[0]['value']}"
    return turns


def _plain(text: str) -> str:
    return text.replace(IMAGE_TOKEN, "").strip()


def _image_path(image: Path, folder: str | Path | None) -> str:
    absolute = Path(image).resolve()
    if folder is None:
        return str(absolute)
    base = Path(folder).resolve()
    if not absolute.is_relative_to(base):
        raise ValueError(
            f"{absolute} is not inside image_folder {str(base)!r}: leave image_folder out to write "
            "absolute paths"
        )
    return absolute.relative_to(base).as_posix()
