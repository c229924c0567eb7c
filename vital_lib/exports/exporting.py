"""``export``: writes conversations or pairs in the form of another tool."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vital_lib.contamination import Overlap, shared_images, shared_texts
from vital_lib.exports.card import Shared, Written, write_card
from vital_lib.exports.folders import written_whole
from vital_lib.exports.forms import FORMS, Form
from vital_lib.exports.pictures import Pictures, images_of
from vital_lib.exports.rows import (
    NO_LICENCE,
    NOT_CLEARED,
    UNUSABLE,
    Found,
    Gate,
    HeldBack,
    conversations,
    pairs,
)
from vital_lib.figures import UnreadableImage
from vital_lib.licences import STATED
from vital_lib.tables import Workspace, empty_frame

_HELD = ["id", "figure_id", "reason", "detail"]


class NothingToExport(ValueError):
    """Raised if no row can be exported; the message counts the reasons."""


@dataclass(frozen=True)
class Export:
    """What an export wrote.

    Attributes:
        folder: the folder of the file, the images and the card.
        form: the form's name.
        rows: number of conversations or pairs written.
        given: number of conversations or pairs given.
        rounds_left_out: rounds of written conversations that lack a question or an answer.
        texts_changed: rows with a placeholder or a control token, which is a space now.
        held_back: columns id, figure_id, reason (one of few), detail; one row for each conversation
            or pair that was not written.
    """

    folder: Path
    form: str
    rows: int
    given: int
    rounds_left_out: int
    texts_changed: int
    held_back: pd.DataFrame

    def __str__(self) -> str:
        what = FORMS[self.form].rows
        said = [f"{self.rows:,} of {self.given:,} {what} in {self.folder.name}/"]
        if len(self.held_back):
            said.append(f"held back: {in_words(self.held_back)}")
        if self.rounds_left_out:
            said.append(f"{self.rounds_left_out:,} rounds without a question or an answer left out")
        if self.texts_changed:
            said.append(f"{self.texts_changed:,} with control tokens, which were removed")
        return "; ".join(said)


def export(
    rows: pd.DataFrame,
    figures: pd.DataFrame,
    folder: str | Path,
    *,
    form: str,
    images: str = "copy",
    candidates: pd.DataFrame | None = None,
    split: str | None = "train",
    licences: Sequence[str] | str = STATED,
    questions: pd.DataFrame | None = None,
    workspace: Workspace | None = None,
) -> Export:
    """Write `rows` in the form of another tool into `folder`, with a card (README.md).

    The folder appears when it is whole, in the place of an earlier export, which otherwise stays.
    Paths of images are relative to it; Parquet files hold the images themselves. An image that
    readers would show otherwise than the workbench does becomes a PNG. A space replaces each image
    placeholder and control token in a text, since it could show a second image.

    Args:
        rows: columns of table `selected`; for "dpo" and "reward" of table `pairs`, or of
            `selector.human_pairs`. "dpo" takes pairs of one question only.
        figures: columns figure_id, image, sha256, cleared, cleared_reason; of table `figures` also
            licence and split, where they are known.
        form: "llava", "trl", "ms-swift", "llama-factory", "dataset", "dpo" or "reward".
        images: "copy" or "link" (to the original file) where images lie beside the file.
        candidates: for pairs: columns candidate_id, figure_id, instruction, response.
        split: only figures of this split, so that no held-out article is trained on; None for all.
        licences: "stated" for all figures with a licence, "any" also for those without one, or only
            some, such as ["CC0", "CC BY"]. A figure that is not cleared is never written.
        questions: table `questions` of benchmarks whose images are held back, by default the run's.
        workspace: the run, for the card and the questions.

    Raises:
        NothingToExport: no row can be exported, or none is given.
        FolderInUse: another export into `folder` is running.
        FileExistsError: `folder` has files that no export wrote, or the images of `figures`.
        OSError: `folder` cannot be written, for example because it, or one above it, is a file.
        ValueError: an unknown option, another table, ids that are no text or occur twice, or rows
            about figures that are not given.
    """
    _check_options(form, images)
    gate = Gate(figures, split, licences)
    questions = _questions_of(workspace) if questions is None else questions
    shared = _shared(rows, figures, candidates, questions)
    gate.hold_back(shared.dropped)
    found = _found(rows, candidates, gate, form)
    folder = Path(os.path.abspath(folder))
    with written_whole(folder, figures["image"]) as fresh:
        pictures = Pictures(images_of(figures), fresh, images)
        written, held, lost, changed = _write(found, FORMS[form], pictures)
        made = Export(folder, form, len(written.names), len(rows), lost, changed, held)
        if not written.names:
            raise NothingToExport(_nothing(made))
        overlap = Shared(shared, questions, _texts_in(rows, written, questions))
        write_card(fresh, made, written, figures, candidates, overlap, workspace)
    return made


def _check_options(form: str, images: str) -> None:
    if form not in FORMS:
        raise ValueError(f"form = {form!r}: give one of {', '.join(map(repr, FORMS))}")
    if images not in ("copy", "link"):
        raise ValueError(f"images = {images!r}: give 'copy' or 'link'")


def _questions_of(workspace: Workspace | None) -> pd.DataFrame:
    if workspace is None or not workspace.has("questions"):
        return empty_frame("questions")
    return workspace.read("questions")


def _found(
    rows: pd.DataFrame, candidates: pd.DataFrame | None, gate: Gate, form: str
) -> Iterable[Found]:
    if FORMS[form].rows == "conversations":
        return conversations(rows, gate)
    if candidates is None:
        raise ValueError(f"form = {form!r}: give the candidates of the pairs, such as drafts")
    return pairs(rows, candidates, gate, one_question=FORMS[form].one_question)


def _shared(
    rows: pd.DataFrame,
    figures: pd.DataFrame,
    candidates: pd.DataFrame | None,
    questions: pd.DataFrame,
) -> Overlap:
    """Compare the figures of conversations, or of the candidates of pairs, with benchmarks."""
    named = rows if "figure_id" in rows or candidates is None else candidates
    used = figures["figure_id"].isin(list(named.get("figure_id", ())))
    return shared_images(figures[used], questions)


def _texts_in(rows: pd.DataFrame, written: Written, questions: pd.DataFrame) -> pd.DataFrame:
    """List the written conversations with a text of a benchmark."""
    if "turns" not in rows:
        return empty_frame("contaminated")
    return shared_texts(rows[rows["conversation_id"].isin(set(written.names))], questions)


def _write(
    found: Iterable[Found], form: Form, pictures: Pictures
) -> tuple[Written, pd.DataFrame, int, int]:
    """Write what is not held back; return that, what was, lost rounds and changed texts."""
    writers = [(file, file.open(pictures.folder)) for file in form.files]
    written, held, lost, changed = Written([], set()), [], 0, 0
    try:
        for name, figure_id, row in found:
            if isinstance(row, HeldBack):
                held.append((name, figure_id, row.reason, row.detail))
                continue
            try:
                records = [file.record(row, pictures) for file, _ in writers]
            except UnreadableImage as why:
                held.append((name, figure_id, UNUSABLE, why.reason))
                continue
            for (_, writer), record in zip(writers, records, strict=True):
                writer.add(record)
            written.names.append(name)
            written.figures.update(row.figures)
            lost, changed = lost + row.lost_rounds, changed + row.cleaned
    finally:
        for _, writer in writers:
            writer.close()
    for name, content in (form.extra or {}).items():
        (pictures.folder / name).write_text(json.dumps(content, indent=2) + "\n")
    return written, pd.DataFrame(held, columns=_HELD), lost, changed


def in_words(held_back: pd.DataFrame) -> str:
    """Return how many rows were held back for each reason, and the first of each."""
    return ", ".join(
        f"{len(rows):,} {reason} (first {rows['id'].iloc[0]!r})"
        for reason, rows in held_back.groupby("reason", sort=False)
    )


def _nothing(made: Export) -> str:
    what = FORMS[made.form].rows
    stays = f". The earlier export in {made.folder.name}/ stays" if made.folder.exists() else ""
    if not made.given:
        return f"nothing to export: no {what} are given{stays}"
    allowed = made.held_back["reason"].eq(NO_LICENCE).any()
    way_out = '. To include figures without a licence, set licences = "any"' if allowed else ""
    if made.held_back["reason"].eq(NOT_CLEARED).any():
        way_out += ". Clear figures in notebook 01"
    return (
        f"nothing to export: {made.given:,} of {made.given:,} {what} are held back: "
        f"{in_words(made.held_back)}{way_out}{stays}"
    )
