"""What published benchmarks call things, where their files lie, and what they are called.

Knows file names and field names; reads no rows and opens no image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vital_lib.records import InvalidRecord, of_cell
from vital_lib.records.check import field_name, role_of, text_of

NAMES = {
    "image": ("image", "image_name", "img_name", "image_path", "img_path", "imgs", "file_name",
              "img", "img_id", "image_id"),
    "question": ("question", "text", "sent", "query"),
    "reference": ("reference", "answer", "gpt4_answer", "gt_answer", "ground_truth", "label"),
    "kind": ("kind", "answer_type"),
    "question_type": ("question_type", "type", "content_type", "category"),
    "modality": ("modality",),
    "question_id": ("question_id", "id"),
    "qid": ("qid",),
    "benchmark": ("benchmark", "dataset"),
    "group_id": ("group_id", "patient_id"),
}  # fmt: skip
"""A row's fields, and what published files and tables of one's own call them, the first first."""

_SAID = ("conversations", "conversatons", "messages")
FIELDS = frozenset({name for names in NAMES.values() for name in names} | set(_SAID))

_SPLITS = {
    "test": ("test",),
    "train": ("train",),
    "validation": ("validation", "validate", "val", "dev"),
}
_FILES = (
    "vqa_rad_{}.jsonl",
    "vqa_rad_{}set.json",
    "original/vqa_rad_{}set.json",
    "{}.json",  # SLAKE, and LLaVA-Med's form of all three
    "{}.jsonl",
    "{}.csv",
    "{}.parquet",
    "{}-*.parquet",
    "data/{}-*.parquet",  # PathVQA and VQA-RAD as the Hugging Face hub keeps them
    "*/{}-*.parquet",
    "qas/{0}/{0}_qa.pkl",  # PathVQA as published
    "*/qas/{0}/{0}_qa.pkl",
    "qas/{}_vqa.pkl",
    "*/{}.json",
)
_ALONE = (
    "VQA_RAD Dataset Public.json",
    "benchmark.*",
    "llava_med_eval_qa50_qa.jsonl",
    "*/llava_med_eval_qa50_qa.jsonl",
    "*_qa.jsonl",
    "*questions*.jsonl",
    "questions.*",
    "metadata.*",
)
_KNOWN = (
    ("VQA-RAD", re.compile(r"vqa[-_ ]?rad", re.I)),
    ("SLAKE", re.compile(r"slake", re.I)),
    ("PathVQA", re.compile(r"path[-_ ]?vqa|\bpvqa\b", re.I)),
    ("LLaVA-Med chat", re.compile(r"llava_med_eval_qa50", re.I)),
)
_SAYS_NOTHING = re.compile(
    r"(?:(?:test|train|val\w*|dev|data|default|questions?|qas?|qa|eval|original|benchmark|answers?"
    r"|metadata|main|vqa|snapshots|refs|files)[-_.]?)+(?:set)?(?:[-_]\d+\b.*)?|[0-9a-f]{40}|\d*",
    re.IGNORECASE,
)


def benchmark_files(source: Path, split: str) -> list[Path]:
    """The files with a benchmark's questions: `source` itself, or those of a folder's `split`.

    Raises:
        FileNotFoundError: there is none; the message says what was looked for.
        ValueError: an unknown split.
    """
    if split not in _SPLITS:
        raise ValueError(f"split={split!r}: wanted {', '.join(_SPLITS)}")
    if source.is_file():
        return [source]
    patterns = [form.format(word) for form in _FILES for word in _SPLITS[split]]
    for pattern in [*patterns, *(_ALONE if split == "test" else _ALONE[:1])]:
        found = sorted(path for path in source.glob(pattern) if path.is_file())
        if found:
            return found if found[0].suffix == ".parquet" else found[:1]
    tables = [path for path in source.glob("*") if path.suffix in (".csv", ".json", ".jsonl")]
    if len(tables) == 1:
        return tables
    raise FileNotFoundError(
        f"benchmark {str(source)!r}: give 'clinic', a .json, .jsonl, .csv or .parquet file, or a "
        f"folder with one of {', '.join([*patterns[:9], *_ALONE[:3]])}, or with one table alone"
    )


def split_called(name: str) -> str:
    """test, train or validation, where `name` is a way to write that."""
    name = name.strip().lower()
    return next((split for split, names in _SPLITS.items() if name in names), name)


def benchmark_root(file: Path) -> Path:
    """The benchmark's own folder: the file's, or that above it where it lies in `qas/` or `data/`.

    The file's folder may be called after a split or a part of the published layout.
    """
    folder = file.parent
    for _ in range(2):
        if not re.fullmatch(r"original|qas?|data|eval|questions|test|train|val\w*", folder.name):
            break
        folder = folder.parent
    return folder


def benchmark_name(record: Mapping[str, Any], file: Path) -> str:
    """The benchmark's name: as stated, by fields that only one has, by its file or its folder."""
    stated = _first(record, "benchmark")
    if isinstance(stated, str) and stated.strip():
        return stated.strip()
    if {"q_lang", "img_name"} <= set(record):
        return "SLAKE"
    if "phrase_type" in record or "qid_linked_id" in record:
        return "VQA-RAD"
    if {"sent", "label"} <= set(record):
        return "PathVQA"
    places = [file.stem, *(folder.name for folder in list(file.resolve().parents)[:4])]
    for name, pattern in _KNOWN:
        if any(pattern.search(place) for place in places):
            return name
    if "gpt4_answer" in record and "pair_id" in record:
        return "LLaVA-Med chat"
    telling = (place for place in places if not _SAYS_NOTHING.fullmatch(place))
    return next(telling, file.stem)


def says_nothing(name: str) -> bool:
    """Whether a file of that name could be any benchmark's: `test`, `questions`, ..."""
    return _SAYS_NOTHING.fullmatch(name) is not None


def questions_in(record: Any) -> Iterator[dict[str, Any] | InvalidRecord]:
    """What a record asks, in the words of `NAMES`; a conversation asks once for each of its rounds.

    LLaVA's form: `conversations` (LLaVA-Med's files spell it `conversatons`) of {from: human or
    gpt, value}, with `id`, `image` and perhaps `answer_type`.
    """
    if isinstance(record, InvalidRecord) or not isinstance(record, Mapping):
        reason = f"wanted an object, received {str(record)[:80]!r}"
        yield record if isinstance(record, InvalidRecord) else InvalidRecord("record", reason)
        return
    given = {field_name(name): value for name, value in record.items()}
    found = {name: _first(given, name) for name in NAMES if _first(given, name) is not None}
    if "gpt4_answer" in given:
        found.setdefault("kind", "chat")
    said = of_cell(next((given[name] for name in _SAID if given.get(name) is not None), None))
    if said is None:
        yield found
        return
    if isinstance(said, list):
        said = [message for message in said if role_of(message) != "system"]
    if not isinstance(said, list) or not said or len(said) % 2:
        yield InvalidRecord(
            "conversations", f"wanted questions and answers by turns: {str(said)[:80]}"
        )
        return
    for number, (asked, told) in enumerate(zip(said[::2], said[1::2], strict=True), start=1):
        round_ = {"question": text_of(asked), "reference": text_of(told)}
        if number > 1 and "question_id" in found:
            round_["question_id"] = f"{found['question_id']}-r{number}"
        yield {**found, **round_}


def _first(record: Mapping[str, Any], name: str) -> Any:
    """The value of the first of the field's names that is there and not null."""
    return next((record[one] for one in NAMES[name] if record.get(one) is not None), None)


def captions_beside(file: Path) -> Path | None:
    """LLaVA-Med's captions of the figures that its chat questions are about."""
    found = file.with_name(file.name.replace("_qa.jsonl", "_fig_captions.json"))
    return found if found != file and found.is_file() else None


def answers_beside(file: Path) -> list[Path]:
    """LLaVA's files of reference answers beside a file of questions, GPT-4's first.

    `qa90_questions.jsonl` goes with `qa90_gpt4_answer.jsonl`, `questions.jsonl` with
    `answers_gpt4.jsonl`.
    """
    stem = file.stem.partition("question")[0]
    found = [path for path in sorted(file.parent.glob(f"{stem}*answer*.json*")) if path != file]
    return sorted(found, key=lambda path: "gpt4" not in path.name)[:1]
