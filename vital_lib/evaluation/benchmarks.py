"""Reads a benchmark's questions: the clinic's, VQA-RAD, SLAKE, LLaVA-Med's chat, or your own.

The published files name the same things differently, leave blanks behind values and repeat
questions; what comes out is rows of the table ``questions``. Knows nothing of models or answers.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib.tables import empty_frame

LOG = logging.getLogger(__name__)
KINDS = ("open", "closed", "chat")

_FILES = (
    "vqa_rad_test.jsonl",
    "vqa_rad_testset.json",
    "original/vqa_rad_testset.json",
    "test.json",  # SLAKE
    "test.jsonl",
    "benchmark.jsonl",
    "llava_med_eval_qa50_qa.jsonl",
)
_IMAGE_FOLDERS = ("", "images", "imgs", "benchmark_images")


class BadQuestion(ValueError):
    """A record that is no question; the message names file, place, field and value."""


def read_questions(
    source: str | Path, *, run: str | Path, n: int | None = None, seed: int = 0
) -> pd.DataFrame:
    """A benchmark's questions.

    Args:
        source: ``"clinic"`` (written with the run's figures); a folder such as VQA-RAD's, whose
            test questions are read; or a .json or .jsonl file of records with question, answer
            (or reference), image and answer_type (or kind: open, closed, chat).
        run: the run's folder.
        n: only so many, chosen by hash: the same ones every time, fewer being among more.
        seed: of that choice.

    Returns:
        Rows of the table ``questions``. A question that stands more than once with the same image
        and answer is kept once; how often it stood is in ``.attrs["repeated"]`` (question_id ->
        times) and in the log.

    Raises:
        FileNotFoundError: no such benchmark; the message says what was looked for.
        BadQuestion: a record lacks a field, has an unknown kind, or an id stands twice.
    """
    if n is not None and n < 1:
        raise ValueError(f"n={n!r}: wanted at least 1, or None for all questions")
    file = _find(source, Path(run))
    root = Path(run) if source == "clinic" else None
    rows = [
        _question(record, file, f"{file.name}, record {place}", root)
        for place, record in enumerate(_records(file), start=1)
        if record.get("q_lang", "en") == "en"  # SLAKE asks everything in Chinese as well
    ]
    questions = _once(pd.DataFrame(rows, columns=list(empty_frame("questions"))), file)
    return questions if n is None else _sampled(questions, n, seed)


def image_overlap(
    test: pd.DataFrame, train: pd.DataFrame, *, resolve: Callable[[str], Path] = Path
) -> dict[str, int]:
    """How much of a test set its training set already shows.

    Images are compared by the bytes of their files, so that a renamed copy is found.

    Returns:
        images and questions (of `test`), images_shared, questions_shared (image, question and
        reference alike in letters, whatever their case).
    """
    content = {
        image: hashlib.sha256(Path(resolve(image)).read_bytes()).hexdigest()
        for image in {*test["image"], *train["image"]}
    }
    own, other = ([_key(row, content) for row in frame.itertuples()] for frame in (test, train))
    known, known_images = set(other), {key[0] for key in other}
    own_images = {key[0] for key in own}
    return {
        "images": len(own_images),
        "images_shared": len(own_images & known_images),
        "questions": len(own),
        "questions_shared": sum(key in known for key in own),
    }


def _find(source: str | Path, run: Path) -> Path:
    if source == "clinic":
        file = run / "clinic" / "benchmark.jsonl"
        if not file.is_file():
            raise FileNotFoundError(f"no {file}: run notebooks/01_explore_figures.ipynb first")
        return file
    path = Path(source)
    if path.is_file():
        return path
    found = next((path / name for name in _FILES if (path / name).is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f"benchmark {str(source)!r}: give 'clinic', a .json or .jsonl file, or a folder with "
            f"one of {', '.join(_FILES)}"
        )
    return found


def _records(file: Path) -> Iterator[Mapping[str, Any]]:
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".json":
        yield from json.loads(text)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise BadQuestion(f"{file.name}, line {number}: {error}") from None


def _question(
    record: Mapping[str, Any], file: Path, place: str, root: Path | None
) -> dict[str, str | None]:
    """One record, by whichever of the published names it uses."""
    image = _text(record, place, "image", "image_name", "img_name")
    kind = (
        "chat" if "gpt4_answer" in record else _text(record, place, "kind", "answer_type").lower()
    )
    if kind not in KINDS:
        raise BadQuestion(f"{place}: kind {kind!r}; wanted {', '.join(KINDS)}")
    pair = record.get("pair_id")  # LLaVA-Med: <article>_<figure>
    group = record.get("group_id") or (str(pair).rpartition("_")[0] if pair else None)
    question = _text(record, place, "question", "text").replace("<image>", "")
    return {
        "question_id": _id(record, file, place),
        "benchmark": str(record.get("benchmark") or record.get("dataset") or _name(file)),
        "image": image if root else str(_image_file(image, file, place)),
        "group_id": str(group or Path(image).with_suffix("").as_posix().removeprefix("images/")),
        "modality": _modality(record),
        "kind": kind,
        "question_type": _optional(record, "question_type", "type", "content_type"),
        "question": question.strip(),
        "reference": _text(record, place, "reference", "answer", "gpt4_answer"),
    }


def _text(record: Mapping[str, Any], place: str, *names: str) -> str:
    """The first of the fields that is there, as stripped text; numbers occur among answers."""
    value = next((record[name] for name in names if name in record), None)
    if (
        isinstance(value, bool)
        or not isinstance(value, str | int | float)
        or not str(value).strip()
    ):
        raise BadQuestion(f"{place}: {names[0]} is {value!r}")
    return str(value).strip()


def _optional(record: Mapping[str, Any], *names: str) -> str | None:
    return next((str(record[name]).strip() for name in names if record.get(name)), None)


def _id(record: Mapping[str, Any], file: Path, place: str) -> str:
    """The record's own id; VQA-RAD's and SLAKE's numbers get their benchmark's name before them."""
    if "question_id" in record:
        found = _text(record, place, "question_id")
        return f"{file.stem}_{found}" if found.isdecimal() else found
    return f"{_name(file).replace('-', '').lower()}_{_text(record, place, 'qid')}"


def _name(file: Path) -> str:
    return "VQA-RAD" if file.name.startswith("vqa_rad") else file.stem


def _modality(record: Mapping[str, Any]) -> str | None:
    """As stated: a name, or LLaVA-Med's flags, of which several may be set."""
    flags = record.get("domain")
    if isinstance(flags, Mapping):
        return ", ".join(name for name, on in flags.items() if on) or None
    return _optional(record, "modality")


def _image_file(image: str, file: Path, place: str) -> Path:
    """The image's absolute path: beside the file, or in an image folder beside it or above."""
    roots = [file.parent, file.parent.parent] if file.parent.name == "original" else [file.parent]
    inside = [
        path
        for root in (root.resolve() for root in roots)
        for folder in _IMAGE_FOLDERS
        if (path := (root / folder / image).resolve()).is_relative_to(root)
    ]
    if not inside:
        raise BadQuestion(f"{place}: image {image!r} leaves the benchmark's folder")
    return next((path for path in inside if path.is_file()), inside[0])


def _once(questions: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Each question once, with a note of those that stood more often."""
    if questions["question_id"].duplicated().any():
        twice = questions["question_id"][questions["question_id"].duplicated()].iloc[0]
        raise BadQuestion(f"{file.name}: question_id {twice!r} stands twice")
    keys = pd.Series([_key(row) for row in questions.itertuples()], dtype=object)
    times = keys.map(keys.value_counts())
    first = ~keys.duplicated()
    kept = questions[first.to_numpy(bool)].reset_index(drop=True)
    ids = questions["question_id"]
    repeated = {ids[k]: int(times[k]) for k in ids.index if first[k] and times[k] > 1}
    if repeated:
        some = ", ".join(list(repeated)[:3])
        LOG.warning(
            "%s: %d questions are repeated, such as %s; each is kept once",
            file.name, len(repeated), some,
        )  # fmt: skip
    kept.attrs["repeated"] = repeated
    return kept


def _key(row: Any, content: Mapping[str, str] | None = None) -> tuple[str, str, str]:
    texts = (" ".join(text.lower().split()) for text in (row.question, row.reference))
    return (content[row.image] if content else row.image, *texts)


def _sampled(questions: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    drawn = questions["question_id"].map(
        lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()
    )
    chosen = questions.loc[sorted(drawn.sort_values().index[:n])].reset_index(drop=True)
    repeated = questions.attrs["repeated"]
    ids = set(chosen["question_id"])
    chosen.attrs["repeated"] = {name: times for name, times in repeated.items() if name in ids}
    return chosen
