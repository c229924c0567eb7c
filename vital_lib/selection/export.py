"""Export of the selected set as LLaVA's training JSON."""

from __future__ import annotations

import filecmp
import json
import logging
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib.records import without_image_tag
from vital_lib.records.check import IMAGE_TAG
from vital_lib.tables import refuse_missing, write_text

LOG = logging.getLogger(__name__)

_PLACED: dict[str | None, Any] = {None: None, "copy": shutil.copyfile}
_PLACED["link"] = lambda image, new: new.symlink_to(image)


def export_llava(
    selected: pd.DataFrame,
    figures: pd.DataFrame,
    path: str | Path,
    *,
    image_folder: str | Path | None = None,
    images: str | None = None,
) -> int:
    """Write `selected` as LLaVA's training JSON and return the number of conversations.

    The file is a list of {"id", "image", "conversations": [{"from": "human", "value":
    "<image>\\n..."}, {"from": "gpt", "value": "..."}, ...]}. Only the first question has the image
    token. "<image>" within a text would refer to a second image, so it is removed. A round with
    an instruction or response that is then empty is left out, as is a conversation with no other
    rounds; the log counts both.

    Args:
        selected: columns of table `selected`, in the order to write.
        figures: columns figure_id, image.
        path: the output file, written atomically.
        image_folder: base of relative image paths (LLaVA's `--image_folder`). Without it paths are
            absolute or, with `images`, relative to `images/` next to the file.
        images: "copy" or "link" puts images from elsewhere into `image_folder`, named after their
            figures, so that the folder and the file can be shared together (a link leads to the
            original file). Without it images stay in place.

    Raises:
        ValueError: figures that are not given, images outside `image_folder` without "copy" or
            "link", or a conversation without rounds.
    """
    if images not in _PLACED:
        raise ValueError(f"images={images!r}: give 'copy', 'link' or None")
    image_of = dict(zip(figures["figure_id"], figures["image"], strict=True))
    problem = "conversations are about figures that are not given"
    refuse_missing(selected["figure_id"], image_of, problem, "give the figures of the selected set")
    if image_folder is None and images is not None:
        image_folder = Path(path).parent / "images"
    rows = selected.to_dict("records")
    turns = [_llava_turns(row) for row in rows]
    emptied = sum(len(row["turns"]) for row in rows) - sum(len(messages) // 2 for messages in turns)
    files = {name: Path(image_of[name]) for name in selected["figure_id"].unique()}
    paths = _image_paths(files, image_folder, images)
    records = [
        {"id": row["conversation_id"], "image": paths[row["figure_id"]], "conversations": messages}
        for row, messages in zip(rows, turns, strict=True)
        if messages
    ]
    if emptied:
        gone = f"{len(rows) - len(records)} of {len(rows)} conversations"
        LOG.warning("%s: left out %d rounds with only %s, and %s", path, emptied, IMAGE_TAG, gone)
    write_text(Path(path), json.dumps(records, ensure_ascii=False, indent=1) + "\n")
    return len(records)


def _llava_turns(conversation: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the rounds as LLaVA's messages, or an empty list if they hold only image tags."""
    if not len(conversation["turns"]):
        raise ValueError(f"conversation {conversation['conversation_id']!r} has no rounds")
    turns = []
    for turn in conversation["turns"]:
        instruction, response = map(without_image_tag, (turn["instruction"], turn["response"]))
        if instruction and response:
            turns.append({"from": "human", "value": instruction})
            turns.append({"from": "gpt", "value": response})
    if turns:
        turns[0]["value"] = f"{IMAGE_TAG}\n{turns[0]['value']}"
    return turns


def _image_paths(
    files: Mapping[str, Path], folder: str | Path | None, images: str | None
) -> dict[str, str]:
    """Return the path to write for each figure; with `images`, place the image in `folder`."""
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
    """Return the absolute path with the image's own name.

    In the hub's cache the image is a link to a file with another name.
    """
    return Path(image).parent.resolve() / Path(image).name


def _placed(figure_id: str, image: Path, base: Path, how: str | None) -> Path:
    """Return the image's file in `base`, named after its figure; create it if missing."""
    plain = re.sub(r"[^\w.-]+", "_", figure_id).strip(".") or "figure"
    base.mkdir(parents=True, exist_ok=True)
    number = 0
    while True:
        new = base / f"{plain}{f'-{number}' * bool(number)}{image.suffix}"
        if not new.exists():
            new.unlink(missing_ok=True)  # a dangling link
            _PLACED[how](image, new)
            return new
        if filecmp.cmp(new, image, shallow=False):
            return new
        number += 1  # another figure's image has this name
