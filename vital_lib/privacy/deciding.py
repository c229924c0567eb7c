"""What a person's decision does: a cleared figure, a redacted copy of it, or a rejected figure."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vital_lib.dicom import Picture, tiles_beside, write_picture
from vital_lib.figures import FigureImage, UnreadableImage, open_image, picture_hashes
from vital_lib.privacy.log import ClearanceLog, Decision, text_hash
from vital_lib.privacy.refusals import Refusals
from vital_lib.tables import DECISIONS, UnsupportedFormat, Workspace, frame_of

REMOVED = "[removed]"
"""Stands for a removed text in a caption or mention."""

_FOLDER = "redacted"  # in the run's folder


class OtherFigure(ValueError):
    """The decision is about another file or other texts than the figure has now."""


def clear(
    run: str | PathLike[str],
    row: Mapping[str, Any],
    image: FigureImage,
    *,
    person: str,
    reason: str,
    boxes: Iterable[Sequence[int]] = (),
    spans: Iterable[Sequence[Any]] = (),
) -> None:
    """Clear a figure, without what is in `boxes` and `spans`, and log the decision.

    With boxes, a new image file is made in the run's folder (`redacted`): the pixels as shown, with
    each box in black. Greys of 16 bits keep their depth and windows. On a contact sheet, a box is
    black in every frame. The file has no metadata, and nothing of frames that are not shown. The
    original is not changed, and stays not cleared.

    Args:
        run: the run's folder.
        row: the figure's row of table `figures`, as it was shown to the person.
        image: the image that was shown.
        boxes: (x, y, width, height) in pixels of the image as shown.
        spans: (place, begin, end) of texts to remove; places as in `texts_of`.

    Raises:
        ValueError: no person or reason, a box outside the image, or a span outside its text.
        OtherFigure: the image is not the row's.
        UnreadableImage: the image file has changed.
    """
    _check_same(row, image)
    _check_said(person, reason)
    areas = _on_all_frames([_checked_box(box, image) for box in boxes], image)
    places = [_checked_span(span, row) for span in spans]
    decide = partial(Decision, person, row["figure_id"], image.sha256, text_hash(row), True, reason)
    redacted = _redact(Path(run), image, areas) if areas else None
    ClearanceLog(run).record(decide(areas, places, redacted))


def reject(
    run: str | PathLike[str],
    row: Mapping[str, Any],
    image: FigureImage,
    *,
    person: str,
    reason: str,
) -> None:
    """Log that a figure may not leave; arguments and errors as in `clear`."""
    _check_same(row, image)
    _check_said(person, reason)
    hashes = image.sha256, text_hash(row)
    ClearanceLog(run).record(Decision(person, row["figure_id"], *hashes, False, reason))


def with_decisions(figures: pd.DataFrame, run: str | PathLike[str]) -> pd.DataFrame:
    """Return table `figures` with the newest decision about each figure.

    A decision holds for the figure, the file and the texts that it was made about, and for no
    others. A figure with removed parts gets the redacted file and texts. A rejected one is not
    cleared, whatever its licence. No rule clears a figure whose image file was rejected or redacted
    as another figure, or from whose texts words were removed there: a person decides on it.

    Args:
        figures: table `figures`, as `read_figures` returns it.
        run: the run's folder, with its log of clearances.

    Raises:
        DamagedLog: the log cannot be read, or lacks a decision that the run's table figures has.
    """
    newest: dict[tuple[str, str, str], tuple[int, dict]] = {}
    log = ClearanceLog(run)
    decisions = log.decisions()
    if lost := _lost(decisions, Workspace(Path(run))):
        raise log.damaged(f"lacks {lost:,} decisions that table figures has")
    for number, decision in enumerate(decisions.to_dict("records")):
        key = decision["figure_id"], decision["sha256"], decision["text_sha256"]
        newest[key] = number, decision
    if not newest:
        return figures
    elsewhere, rows = Refusals(decisions), []
    for row in figures.to_dict("records"):
        before = -1  # a figure with removed parts may have been decided about again
        while (found := newest.get(_key(row), (-1, {})))[0] > before:
            before, decision = found
            row = _decided(row, decision, Path(run))
        why = None if before >= 0 or not row["cleared"] else elsewhere.of_the_same(row)
        rows.append({**row, "cleared": None, "cleared_reason": why} if why else row)
    decided = frame_of("figures", rows)
    decided.attrs = {**figures.attrs, DECISIONS: len(decisions)}
    return decided


def _lost(decisions: pd.DataFrame, workspace: Workspace) -> int:
    """Return how many decisions of the run's table figures are not in the log.

    With a lost rejection, a licence would clear the figure again.
    """
    try:
        figures = workspace.read("figures") if workspace.has("figures") else pd.DataFrame()
    except (UnsupportedFormat, ValueError):  # notebook 01 is about to write it again
        return 0
    if figures.empty:
        return 0
    decided = figures.dropna(subset="cleared_at")[["figure_id", "cleared_at"]]
    logged = set(zip(decisions["figure_id"], decisions["at"], strict=True))
    return sum(one not in logged for one in decided.itertuples(index=False, name=None))


def has_removed_parts(row: Mapping[str, Any]) -> bool:
    """Return whether a person removed parts of a figure's image or texts (`with_decisions`)."""
    texts = (row["caption"], *row["mentions"])
    redacted = Path(row["image"]).parent.name == _FOLDER
    return redacted or any(REMOVED in text for text in texts)


def _key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["figure_id"], row["sha256"], text_hash(row)


def _decided(row: dict, decision: Mapping[str, Any], run: Path) -> dict:
    row = {
        **row,
        "cleared": decision["cleared"],
        "cleared_reason": decision["reason"],
        "cleared_by": decision["person"],
        "cleared_at": decision["at"],
    }
    try:
        spans = [_checked_span(span, row) for span in decision["spans"]]
    except (ValueError, TypeError):
        return {**row, "cleared": None, "cleared_reason": "its entry in the log was changed"}
    if spans:
        row |= _without_spans(row, spans)
    if decision["redacted_sha256"]:
        file = _redacted_file(run, decision["redacted_sha256"])
        try:
            found = open_image(file)
        except UnreadableImage as error:
            return {**row, "cleared": None, "cleared_reason": f"the redacted image: {error.reason}"}
        if found.sha256 != decision["redacted_sha256"]:
            why = "the redacted image is not the file that was written"
            return {**row, "cleared": None, "cleared_reason": why}
        whole, inner = picture_hashes(found.pixels())
        row |= {"image": str(file), "sha256": found.sha256}
        row |= {"phash": whole, "phash_inner": inner}
    return row


def _without_spans(row: Mapping[str, Any], spans: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """Return caption and mentions with `REMOVED` in place of the spans, from the last on."""
    texts = {"caption": row["caption"]}
    texts |= {f"mention {n}": text for n, text in enumerate(row["mentions"], start=1)}
    for place, begin, end in reversed(_joined(spans)):
        texts[place] = texts[place][:begin] + REMOVED + texts[place][end:]
    caption = texts.pop("caption")
    return {"caption": caption, "mentions": list(texts.values())}


def _on_all_frames(boxes: list[list[int]], image: FigureImage) -> list[list[int]]:
    tiles = tiles_beside(image.path, image.sha256)
    return [list(box) for box in tiles.on_all(boxes)] if tiles else boxes


def _joined(spans: Iterable[Sequence[Any]]) -> list[tuple[str, int, int]]:
    """Return the spans in order, those that overlap as one: else a rest of the outer would stay."""
    joined: list[tuple[str, int, int]] = []
    for place, begin, end in sorted(map(tuple, spans)):
        if joined and joined[-1][0] == place and begin <= joined[-1][2]:
            _, first, last = joined[-1]
            joined[-1] = place, first, max(last, end)
        else:
            joined.append((place, begin, end))
    return joined


def _redact(run: Path, image: FigureImage, boxes: Iterable[Sequence[int]]) -> str:
    """Write the redacted file of an image and return its hash."""
    if found := image.stored_greys(max(image.width, image.height)):
        pixels, greys = found
        black = greys.black_in(pixels)
    else:
        pixels, greys, black = np.array(image.pixels()), None, 0
    for x, y, width, height in boxes:
        pixels[y : y + height, x : x + width] = black
    picture = Picture(pixels, greys, tiles_beside(image.path, image.sha256))
    (run / _FOLDER).mkdir(exist_ok=True)
    return write_picture(picture, {}, partial(_redacted_file, run))


def _redacted_file(run: Path, sha256: str) -> Path:
    return run.absolute() / _FOLDER / f"{sha256}.png"


def _check_said(person: str, reason: str) -> None:
    if not all(any(map(str.isalnum, text)) for text in (person, reason)):  # such as zero width
        raise ValueError(f"give your name and a reason: received {person!r} and {reason!r}")


def _check_same(row: Mapping[str, Any], image: FigureImage) -> None:
    if row["sha256"] != image.sha256:
        name = row["figure_id"]
        raise OtherFigure(f"the image of {name!r} is not the file of its row: read the set again")


def _checked_box(box: Sequence[int], image: FigureImage) -> list[int]:
    left, top, width, height = box
    if not all(map(math.isfinite, box)):
        raise ValueError(f"the box {list(box)} is not of numbers")
    x, y = math.floor(left), math.floor(top)  # outwards: no part of a pixel stays
    right, bottom = math.ceil(left + width), math.ceil(top + height)
    if not (0 <= x < right <= image.width and 0 <= y < bottom <= image.height):
        size = f"{image.width} x {image.height}"
        raise ValueError(f"the box {list(box)} is not inside the image of {size} pixels")
    return [x, y, right - x, bottom - y]


def _checked_span(span: Sequence[Any], row: Mapping[str, Any]) -> list[Any]:
    place, begin, end = span[0], *map(operator.index, span[1:])
    texts = {"caption": row["caption"]}
    texts |= {f"mention {n}": text for n, text in enumerate(row["mentions"], start=1)}
    if place not in texts or not 0 <= begin < end <= len(texts[place]):
        raise ValueError(f"the span {list(span)} is not inside a text of {row['figure_id']!r}")
    return [place, int(begin), int(end)]
