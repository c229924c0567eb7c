"""Read a benchmark's questions: the clinic's, a published benchmark's, or a table of your own.

Published files name the same fields differently, pad values with blanks and repeat questions. The
result has the rows of the table ``questions``. Independent of models and answers.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib.evaluation.published import (
    FIELDS,
    Question,
    answers_beside,
    benchmark_files,
    benchmark_name,
    captions_beside,
    image_file,
    kind_told_by,
    question_id,
    questions_in,
    stated_modalities,
    stated_split,
    unended,
)
from vital_lib.figures import CLINIC, UnreadableImage, article_id, open_image
from vital_lib.privacy.refusals import questions_held, refused_files
from vital_lib.records import (
    InvalidRecord,
    UnreadableFile,
    checked,
    read_records,
    rejected_rows,
)
from vital_lib.records.check import stored_image
from vital_lib.tables import Workspace, frame_of

LOG = logging.getLogger(__name__)

_REFUSED = "refused_files"  # of the run, in the frame's attrs
_WITHIN = "benchmark_images"  # in the run's folder: images from inside a Parquet file


class BadQuestion(ValueError):
    """A benchmark has no usable question; the message names file, place, field and value."""


class OtherFigures(ValueError):
    """The clinic's benchmark was requested for a run on other figures."""


class NoImages(ValueError):
    """No image of a benchmark can be opened."""


def read_questions(
    source: str | Path,
    *,
    run: str | Path,
    n: int | None = None,
    seed: int = 0,
    split: str = "test",
    follow_links: bool = False,
    cleared_sources: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read a benchmark's questions.

    Published benchmarks are read as they are: VQA-RAD (its JSON, the hub's Parquet), SLAKE
    (`train.json`, `validate.json`, `test.json`: the English questions), PathVQA (the hub's Parquet,
    or its pickles, of which only plain values are read), LLaVA-Med's chat questions
    (`llava_med_eval_qa50_qa.jsonl`) and its form of the three (`conversations`, also spelt
    `conversatons`), and LLaVA's question files with an answer file beside them. A table of your own
    has question, answer (or reference), image and optionally answer_type (or kind: open, closed,
    chat). A question without a kind is closed if its reference is yes or no, else open.

    Args:
        source: ``"clinic"`` (written with the run's figures); a folder such as VQA-RAD's; or a
            .json, .jsonl, .csv, .parquet or .pkl file.
        run: the run's folder; images inside a Parquet file are written below it.
        n, seed: read at most so many, chosen by hash with `seed`; fewer are a subset of more.
        split: test, train or validation: selects a folder's file, and the records of a file that
            states several splits.
        follow_links: follow links to images outside the benchmark, as `figures.read_figures`.
        cleared_sources: by benchmark, why questions may leave: ``{"vqa_rad": "CC0, published"}``.
            `with_images` holds those back whose image file was refused in notebook 01.

    Returns:
        Rows of the table ``questions``, without `sha256` (see `with_images`). ``.attrs`` holds
        ``records`` (their number); ``rejected`` (place, field, reason of each that is no question);
        ``other_languages`` and ``other_splits`` (one entry per record left out for it);
        ``repeated`` (question_id -> number of equal questions, of which one is kept);
        ``images_missing`` (names of missing images, whose questions are kept);
        ``captions`` (image -> its caption in LLaVA-Med's files). The log warns of each.

    Raises:
        FileNotFoundError: no such benchmark; the message lists what was looked for.
        OtherFigures: the clinic's benchmark, in a run whose figures are not the clinic's.
        BadQuestion: no record could be used.
    """
    if n is not None and (not isinstance(n, Integral) or isinstance(n, bool) or n < 1):
        raise ValueError(f"n={n!r}: wanted a whole number from 1 on, or None for all questions")
    clinic = source == "clinic"
    files = [_clinic_file(Path(run))] if clinic else benchmark_files(Path(source), split)
    reader = _Reader(Path(run), clinic, split, follow_links, cleared_sources or {})
    try:
        for file in files:
            reader.read(file)
    except UnreadableFile as error:
        raise BadQuestion(str(error)) from None
    questions = _once(reader.questions(str(source)))
    questions = questions if n is None else _sampled(questions, n, seed)
    questions.attrs |= {"images_missing": _missing(questions), _REFUSED: refused_files(run)}
    for note in reading_notes(questions).iloc[1:].itertuples():
        LOG.warning("%s: %s, such as %s", files[0].name, note.what, note.example)
    return questions


def reading_notes(questions: pd.DataFrame) -> pd.DataFrame:
    """Describe how the questions were read: columns what (a sentence), example.

    The first row counts the questions. One row each follows for rejected records, records in
    another language or split, repeated questions, missing images and unreadable images, if any.
    """
    attrs, images = questions.attrs, questions["image"]
    records = attrs.get("records", len(questions))
    sentence = f"{len(questions)} questions about {images.nunique()} images, from {records} records"
    notes = [(sentence, "")]
    if rejected := attrs.get("rejected", []):
        first = " ".join(rejected[0].values())
        notes.append((f"{len(rejected)} of {records} records are not questions", first))
    for name, where in (("languages", "in another language"), ("splits", "in another split")):
        if others := attrs.get(f"other_{name}", []):
            notes.append((f"{len(others)} of {records} records are {where}", others[0]))
    if repeated := attrs.get("repeated", {}):
        some = ", ".join(list(repeated)[:3])
        notes.append((f"{len(repeated)} questions are repeated: each is kept once", some))
    if missing := attrs.get("images_missing", []):
        of, lost = f"{len(missing)} of {images.nunique()} images", images.isin(missing).sum()
        sentence = f"{of} are missing: {lost} of {len(questions)} questions cannot be answered"
        notes.append((sentence, missing[0]))
    if left_out := attrs.get("images_left_out", {}):
        notes.append((attrs["images_note"], next(iter(left_out.values()))))
    return pd.DataFrame(notes, columns=["what", "example"])


def with_images(questions: pd.DataFrame) -> pd.DataFrame:
    """Return the questions whose image can be opened, with the hash of its file.

    Args:
        questions: rows of the table questions.

    Returns:
        The rows; ``.attrs["images_left_out"]`` holds image -> why it cannot be opened, and the log
        counts them.

    Raises:
        NoImages: no image can be opened.
    """
    left_out, hashes, images = {}, {}, questions["image"]
    for image in images.unique():
        try:
            hashes[image] = open_image(image).sha256
        except UnreadableImage as error:
            left_out[image] = error.reason
    kept = questions.assign(sha256=images.map(hashes))[~images.isin(left_out)]
    kept = kept.reset_index(drop=True)
    kept = questions_held(kept, questions.attrs.get(_REFUSED, ()))
    count = f"{len(left_out)} of {images.nunique()} images"
    first = next(iter(left_out.values()), "no question")
    if not len(kept):
        raise NoImages(
            f"{count} cannot be opened ({first}): a benchmark without its images cannot be "
            "evaluated; put them in images/ beside its questions"
        )
    if left_out:
        lost = f"{len(questions) - len(kept)} of {len(questions)} questions are left out"
        note = f"{count} cannot be opened: {lost}"
        LOG.warning("%s, such as %s", note, first)
        kept.attrs |= {"images_note": note, "images_missing": []}
    kept.attrs["images_left_out"] = left_out
    return kept


def _clinic_file(run: Path) -> Path:
    file = run / "clinic" / "benchmark.jsonl"
    made_of = _figures_of(run)
    if made_of != "clinic":  # a run on phantoms may have left its benchmark here
        raise OtherFigures(
            f"benchmark 'clinic' needs the clinic's figures, but this run's are {made_of!r}: "
            "set benchmark to a folder or file of questions about images, such as VQA-RAD's"
        )
    if not file.is_file():
        raise FileNotFoundError(f"no {file}: run notebooks/01_explore_figures.ipynb first")
    return file


def _figures_of(run: Path) -> str:
    """Return the figures that a run was started with; "clinic" if it does not state them."""
    workspace = Workspace(run) if run.is_dir() else None
    if workspace is None or not workspace.has("figures"):
        return "clinic"
    return str(workspace.origin("figures")["parameters"].get("figures", "clinic"))


@dataclass
class _Reader:
    """Collects the questions of a benchmark's files, and the records that are not questions."""

    run: Path
    clinic: bool
    split: str
    follow_links: bool = False
    cleared_sources: Mapping[str, str] = field(default_factory=dict)
    rows: list[dict] = field(default_factory=list)
    rejected: list[tuple[str, InvalidRecord]] = field(default_factory=list)
    records: int = 0
    other_languages: list[str] = field(default_factory=list)
    other_splits: list[str] = field(default_factory=list)
    captions: dict[str, str] = field(default_factory=dict)
    _places: dict[str, str] = field(default_factory=dict)

    def read(self, file: Path) -> None:
        answers, captions = _Answers(file), _captions(file)
        found = [
            (place, record, record if isinstance(record, Mapping) else {})
            for place, record in read_records(file, fields=FIELDS)
        ]
        splits = [stated_split(stated) for _, _, stated in found]
        mixed = self.split in splits  # otherwise the file is one split, whichever it states
        for (place, record, stated), split in zip(found, splits, strict=True):
            self.records += 1
            if mixed and split not in (self.split, None):
                self.other_splits.append(split)
                continue
            if (language := str(stated.get("q_lang") or "en").lower())[:2] != "en":
                self.other_languages.append(language)  # SLAKE repeats its questions in Chinese
                continue
            for question in questions_in(record):
                try:
                    caption = captions.get(str(stated.get("pair_id")), stated.get("fig_caption"))
                    self._add(answers.joined(question), stated, file, place, caption)
                except InvalidRecord as wrong:
                    self.rejected.append((place, wrong))

    def _add(
        self, question: Any, record: Mapping[str, Any], file: Path, place: str, caption: Any
    ) -> None:
        found = checked(Question, question)
        name = benchmark_name(record, file)
        own = question_id(found, name, file, self.records)
        if own in self._places:
            reason = f"question_id {own!r} occurs twice, first in {self._places[own]}"
            raise InvalidRecord("question_id", reason)
        image = self._image(found.image, file)
        self._places[own] = place
        stated = found.image if isinstance(found.image, str) else Path(image).name
        pair = record.get("pair_id")  # LLaVA-Med: <article>_<figure>
        group = found.group_id or article_id(record, str(pair or stated))
        group = group or (str(pair).rpartition("_")[0] if pair else None)
        self.rows.append(
            {
                "question_id": own,
                "benchmark": name,
                "image": image,
                "group_id": group or unended(stated),
                "modality": stated_modalities(record) or found.modality,
                "kind": found.kind or kind_told_by(found),
                "question_type": found.question_type,
                "question": found.question,
                "reference": found.reference,
                **self._clearance(name),
            }
        )
        if isinstance(caption, str) and caption.strip():
            self.captions[image] = caption.strip()

    def _clearance(self, benchmark: str) -> dict[str, Any]:
        if self.clinic:
            return {"cleared": True, "cleared_reason": CLINIC}
        if why := self.cleared_sources.get(benchmark):
            return {"cleared": True, "cleared_reason": why}
        reason = f"cleared_sources does not name the benchmark {benchmark!r}"
        return {"cleared": None, "cleared_reason": reason}

    def _image(self, image: str | dict, file: Path) -> str:
        if isinstance(image, dict):
            return str(stored_image(image, self.run / _WITHIN))
        if self.clinic:
            return str(self.run.resolve() / image)
        return str(image_file(image, file, follow_links=self.follow_links))

    def questions(self, source: str) -> pd.DataFrame:
        if not self.rows:
            first = "; ".join(f"{place}: {wrong}" for place, wrong in self.rejected[:3])
            others = self.other_languages and f"{len(self.other_languages)} are in another language"
            why = first or others or "the file holds no records"
            raise BadQuestion(f"0 of {self.records} records of {source!r} are questions; {why}")
        frame = frame_of("questions", self.rows)
        frame.attrs = {
            "records": self.records,
            "rejected": rejected_rows(self.rejected),
            "other_languages": self.other_languages,
            "other_splits": self.other_splits,
            "captions": self.captions,
        }
        return frame


def _captions(file: Path) -> dict[str, Any]:
    """Return pair_id -> caption from LLaVA-Med's caption file beside its chat questions."""
    path = captions_beside(file)
    rows = () if path is None else read_records(path, fields=("pair_id", "fig_caption"))
    records = (record for _, record in rows if isinstance(record, Mapping))
    return {str(row["pair_id"]): row.get("fig_caption") for row in records if row.get("pair_id")}


class _Answers:
    """References of LLaVA's question files, read from an answer file beside them."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def joined(self, question: Any) -> Any:
        """Add the reference from the answer file to a question that states none."""
        lacks = isinstance(question, Mapping) and "reference" not in question
        if not lacks or "question_id" not in question:
            return question
        answer = self._found.get(str(question["question_id"]))
        return question if answer is None else {"kind": "chat", **question, "reference": answer}

    @cached_property
    def _found(self) -> dict[str, Any]:
        return {
            str(record.get("question_id")): record.get("text", record.get("answer"))
            for file in answers_beside(self._file)
            for _, record in read_records(file, fields=("question_id",))
            if isinstance(record, Mapping)
        }


def _missing(questions: pd.DataFrame) -> list[str]:
    return sorted(image for image in questions["image"].unique() if not Path(image).is_file())


def _once(questions: pd.DataFrame) -> pd.DataFrame:
    """Keep each question once, and note the repeated ones."""
    texts = questions[["question", "reference"]].map(lambda text: " ".join(text.lower().split()))
    keys = texts.assign(image=questions["image"])
    times = keys.groupby(list(keys))["image"].transform("size")
    first = ~keys.duplicated()
    kept = questions[first].reset_index(drop=True)
    repeated = times.set_axis(questions["question_id"])[(first & (times > 1)).to_numpy()]
    kept.attrs = {**questions.attrs, "repeated": repeated.to_dict()}
    return kept


def _sampled(questions: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    drawn = questions["question_id"].map(
        lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()
    )
    chosen = questions.loc[sorted(drawn.sort_values().index[:n])].reset_index(drop=True)
    repeated, ids = questions.attrs["repeated"], set(chosen["question_id"])
    among = {name: times for name, times in repeated.items() if name in ids}
    chosen.attrs = {**questions.attrs, "repeated": among}
    return chosen
