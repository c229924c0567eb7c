"""The selected set as LLaVA's training JSON, for any trainer that reads it."""

from __future__ import annotations

import filecmp
import json
import logging
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib.records import without_image_tag
from vital_lib.records.check import IMAGE_TAG
from vital_lib.tables import write_atomically

LOG = logging.getLogger(__name__)

IMAGE_TOKEN = IMAGE_TAG
"""The place of the image in LLaVA's first question."""

_PLACED = {None: None, "copy": shutil.copyfile, "link": lambda image, new: new.symlink_to(image)}


def export_llava(
    selected: pd.DataFrame,
    figures: pd.DataFrame,
    path: str | Path,
    *,
    resolve: Callable[[str], Path],
    image_folder: str | Path | None = None,
    images: str | None = None,
) -> int:
    """Write `selected` as LLaVA's training JSON and return the number of conversations.

    A list of {"id", "image", "conversations": [{"from": "human", "value": "<image>\\n..."},
    {"from": "gpt", "value": "..."}, ...]}; the image stands in the first question only. An
    "<image>" within a text would call for a second image, and is taken out of it; a round of which
    nothing is left is left out, a conversation with it that has no other, and the log counts those.

    Args:
        selected: columns of table `selected`, in the order to be written.
        figures: columns figure_id, image.
        path: the file to write; it appears whole or not at all.
        resolve: the path behind an `image` value, as `Workspace.resolve`.
        image_folder: image paths are written relative to it (LLaVA's `--image_folder`); without
            it they are absolute, or, with `images`, relative to `images/` beside the file.
        images: "copy" or "link" puts the images that lie elsewhere into `image_folder`, each under
            its figure's name, so that the folder and the file can be given away together (a link
            leads to the file it was made from). Without it they stay where they are.

    Raises:
        ValueError: figures that are not given, images outside `image_folder` that are not to be
            copied or linked, or a conversation without rounds.
    """
    if images not in _PLACED:
        raise ValueError(f"images={images!r}: give 'copy', 'link', or nothing")
    image_of = dict(zip(figures["figure_id"], figures["image"], strict=True))
    lost = [name for name in selected["figure_id"] if name not in image_of]
    if lost:
        raise ValueError(
            f"{len(lost)} of {len(selected)} conversations are about figures that are not given, "
            f"first {lost[0]!r}"
        )
    folder = image_folder if image_folder is not None or images is None else _beside(Path(path))
    rows = selected.to_dict("records")
    turns = [_llava_turns(row) for row in rows]
    emptied = sum(len(row["turns"]) for row in rows) - sum(len(said) // 2 for said in turns)
    files = {name: resolve(image_of[name]) for name in selected["figure_id"].unique()}
    paths = _image_paths(files, folder, images)
    records = [
        {"id": row["conversation_id"], "image": paths[row["figure_id"]], "conversations": said}
        for row, said in zip(rows, turns, strict=True)
        if said
    ]
    if emptied:
        gone = f"{len(rows) - len(records)} of {len(rows)} conversations with them"
        LOG.warning("%s: %d rounds held only %s: left out, %s", path, emptied, IMAGE_TOKEN, gone)
    text = json.dumps(records, ensure_ascii=False, indent=1) + "\n"
    write_atomically(Path(path), lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return len(records)


def _beside(path: Path) -> Path:
    return path.parent / "images"


def _llava_turns(conversation: Mapping[str, Any]) -> list[dict[str, str]]:
    """The rounds as LLaVA's messages; none where nothing but image tags was said."""
    if not len(conversation["turns"]):
        raise ValueError(f"conversation {conversation['conversation_id']!r} has no rounds")
    turns = []
    for turn in conversation["turns"]:
        asked, answered = map(without_image_tag, (turn["instruction"], turn["response"]))
        if asked and answered:
            turns.append({"from": "human", "value": asked})
            turns.append({"from": "gpt", "value": answered})
    if turns:
        turns[0]["value"] = f"{IMAGE_TOKEN}\n{turns[0]['value']}"
    return turns


def _image_paths(
    files: Mapping[str, Path], folder: str | Path | None, images: str | None
) -> dict[str, str]:
    """What the file writes for each figure: relative to `folder`, where the image is put there."""
    if folder is None:
        return {name: str(_absolute(image)) for name, image in files.items()}
    base = Path(folder).resolve()
    inside = {name: _absolute(image) for name, image in files.items()}
    outside = {name: image for name, image in inside.items() if not image.is_relative_to(base)}
    if outside and images is None:
        first = next(iter(outside.values()))
        raise ValueError(
            f"{first} is not inside image_folder {str(base)!r} ({len(outside)} of {len(files)}): "
            "give images='copy' or 'link' to put them there, or leave image_folder out to write "
            "absolute paths"
        )
    placed = {name: _placed(name, image, base, images) for name, image in outside.items()}
    return {name: path.relative_to(base).as_posix() for name, path in {**inside, **placed}.items()}


def _absolute(image: str | Path) -> Path:
    """The image's path with its own name: in the hub's cache it is a link to a file without one."""
    return Path(image).parent.resolve() / Path(image).name


def _placed(figure_id: str, image: Path, base: Path, how: str | None) -> Path:
    """The image's file in `base`, under its figure's name, made where it is not there yet."""
    plain = re.sub(r"[^\w.-]+", "_", figure_id).strip(".") or "figure"
    base.mkdir(parents=True, exist_ok=True)
    number = 0
    while True:
        new = base / f"{plain}{f'-{number}' * bool(number)}{image.suffix}"
        if not new.exists():
            new.unlink(missing_ok=True)  # a link to nothing
            _PLACED[how](image, new)
            return new
        if filecmp.cmp(new, image, shallow=False):
            return new
        number += 1  # another figure's image has this name
