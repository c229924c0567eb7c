"""Published benchmarks: their names, files and field names, and one question as they write it.

Reads one record at a time, with fields named as in `NAMES`; opens no image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from os.path import normpath
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from vital_lib.figures import ImageFolder
from vital_lib.records import InvalidRecord, Record, of_cell, shown, without_image_tag
from vital_lib.records.check import field_name, named_image, role_of, text_of

KINDS = ("open", "closed", "chat")

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
"""Our field names -> their names in published files and other tables, by preference."""

_CONVERSATION = ("conversations", "conversatons", "messages")
FIELDS = frozenset({name for names in NAMES.values() for name in names} | set(_CONVERSATION))

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
_KIND_NAMES = {"yes/no": "closed", "other": "open", "number": "open"}  # PathVQA's
_IMAGE_FOLDERS = ("", "images", "imgs", "benchmark_images", "images/test", "images/train",
                  "images/val")  # fmt: skip
_ENDINGS = ("", ".jpg", ".png", ".jpeg", ".tif")
_SAYS_NOTHING = re.compile(
    r"(?:(?:test|train|val\w*|dev|data|default|questions?|qas?|qa|eval|original|benchmark|answers?"
    r"|metadata|main|vqa|snapshots|refs|files)[-_.]?)+(?:set)?(?:[-_]\d+\b.*)?|[0-9a-f]{40}|\d*",
    re.IGNORECASE,
)


def benchmark_files(source: Path, split: str) -> list[Path]:
    """Return a benchmark's question files: `source` itself, or the files of `split` in a folder.

    Raises:
        FileNotFoundError: no such file; the message lists what was looked for.
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
        f"folder with one of {', '.join([*patterns[:9], *_ALONE[:3]])}, or with a single table"
    )


def split_called(name: str) -> str:
    """Return test, train or validation for a name of that split; other names in lower case."""
    name = name.strip().lower()
    return next((split for split, names in _SPLITS.items() if name in names), name)


def benchmark_root(file: Path) -> Path:
    """Return the benchmark's own folder: the file's, or one above if that is `qas/` or `data/`.

    The file's folder may be named after a split or a part of the published layout.
    """
    folder = file.parent
    for _ in range(2):
        if not re.fullmatch(r"original|qas?|data|eval|questions|test|train|val\w*", folder.name):
            break
        folder = folder.parent
    return folder


def benchmark_name(record: Mapping[str, Any], file: Path) -> str:
    """Return the benchmark's name: as stated, or from its fields, its file or its folders."""
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
    informative = (place for place in places if not _SAYS_NOTHING.fullmatch(place))
    return next(informative, file.stem)


def questions_in(record: Any) -> Iterator[dict[str, Any] | InvalidRecord]:
    """Yield the questions of a record, with fields named as in `NAMES`: one per conversation round.

    LLaVA's form: `conversations` (LLaVA-Med's files spell it `conversatons`) of {from: human or
    gpt, value}, with `id`, `image` and perhaps `answer_type`. A record that is not a question
    yields an `InvalidRecord`.
    """
    if isinstance(record, InvalidRecord) or not isinstance(record, Mapping):
        reason = f"wanted an object, received {str(record)[:80]!r}"
        yield record if isinstance(record, InvalidRecord) else InvalidRecord("record", reason)
        return
    given = {field_name(name): value for name, value in record.items()}
    found = {name: _first(given, name) for name in NAMES if _first(given, name) is not None}
    if "gpt4_answer" in given:
        found.setdefault("kind", "chat")
    messages = of_cell(
        next((given[name] for name in _CONVERSATION if given.get(name) is not None), None)
    )
    if messages is None:
        yield found
        return
    if isinstance(messages, list):
        messages = [message for message in messages if role_of(message) != "system"]
    if not isinstance(messages, list) or not messages or len(messages) % 2:
        yield InvalidRecord(
            "conversations", f"wanted questions and answers in turn: {str(messages)[:80]}"
        )
        return
    for number, (question, answer) in enumerate(
        zip(messages[::2], messages[1::2], strict=True), start=1
    ):
        round_ = {"question": text_of(question), "reference": text_of(answer)}
        if number > 1 and "question_id" in found:
            round_["question_id"] = f"{found['question_id']}-r{number}"
        yield {**found, **round_}


def _first(record: Mapping[str, Any], name: str) -> Any:
    """Return the value under the first of the field's names that is present and not null."""
    return next((record[key] for key in NAMES[name] if record.get(key) is not None), None)


def captions_beside(file: Path) -> Path | None:
    """Return LLaVA-Med's file of captions for a file of its chat questions, if there is one."""
    found = file.with_name(file.name.replace("_qa.jsonl", "_fig_captions.json"))
    return found if found != file and found.is_file() else None


def answers_beside(file: Path) -> list[Path]:
    """Return LLaVA's file of reference answers beside a file of questions, preferably GPT-4's.

    `qa90_questions.jsonl` goes with `qa90_gpt4_answer.jsonl`, `questions.jsonl` with
    `answers_gpt4.jsonl`.
    """
    stem = file.stem.partition("question")[0]
    found = [path for path in sorted(file.parent.glob(f"{stem}*answer*.json*")) if path != file]
    return sorted(found, key=lambda path: "gpt4" not in path.name)[:1]


def _plain(value: Any) -> str:
    """Return text, or a number in its usual notation, without LLaVA's image placeholder."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("wanted text or a number")
    text = without_image_tag(str(value))
    if not text:
        raise ValueError("wanted text or a number")
    return text


def _answer(value: Any) -> str:
    """Return a reference answer: of PathVQA's weighted answers, the one of the highest weight."""
    if isinstance(value, Mapping):
        value = max(value, key=value.get, default=None)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return _plain(value)


def _image(value: Any) -> str | dict:
    value = named_image(value)
    return value if isinstance(value, dict) else _plain(value)


def _kind(value: Any) -> str | None:
    text = re.sub(r"[ _-]ended$", "", str(value or "").strip().lower())
    if not text:
        return None
    if (kind := _KIND_NAMES.get(text, text)) not in KINDS:
        raise ValueError(f"wanted {', '.join(KINDS)}")
    return kind


def _optional(value: Any) -> str | None:
    return str(value).strip() or None if isinstance(value, str | int | float) else None


_Maybe = Annotated[str | None, BeforeValidator(_optional)]


class Question(Record):
    """One question, with our names for the fields of its file."""

    image: Annotated[Any, BeforeValidator(_image)]
    question: Annotated[str, BeforeValidator(_plain)]
    reference: Annotated[str, BeforeValidator(_answer)]
    kind: Annotated[str | None, BeforeValidator(_kind)] = None
    question_id: Annotated[str | None, BeforeValidator(_plain)] = None
    qid: Annotated[str | None, BeforeValidator(_plain)] = None
    question_type: _Maybe = None
    modality: _Maybe = None
    group_id: _Maybe = None


def question_id(found: Question, name: str, file: Path, number: int) -> str:
    """Return the record's own id; a numeric one gets the name of its file or benchmark as prefix.

    A record without an id is named after the benchmark and its `qid`, or else `number`.
    """
    short = "".join(letter for letter in name.lower() if letter.isalnum() or letter == "_")
    if found.question_id is not None:
        stem = short if _SAYS_NOTHING.fullmatch(file.stem) else file.stem
        return f"{stem}_{found.question_id}" if found.question_id.isdecimal() else found.question_id
    return f"{short}_{number if found.qid is None else found.qid}"


def kind_told_by(found: Question) -> str:
    """Return "closed" if the reference is yes or no, else "open"."""
    closed = found.reference.strip(" .").lower() in ("yes", "no")
    return "closed" if closed else "open"


def stated_split(record: Mapping[str, Any]) -> str | None:
    """Return the split that a record states in `split`, or in VQA-RAD's `phrase_type`."""
    phrase = record.get("phrase_type")
    if isinstance(phrase, str) and "qid_linked_id" in record:
        return "test" if phrase.strip().lower().startswith("test") else "train"
    split = record.get("split")
    return split_called(split) if isinstance(split, str) else None


def stated_modalities(record: Mapping[str, Any]) -> str | None:
    """Return the modalities that LLaVA-Med's `domain` flags, comma-separated."""
    flags = record.get("domain")
    if isinstance(flags, Mapping):
        return ", ".join(name for name, on in flags.items() if on) or None
    return None


def unended(image: str) -> str:
    """Return the image's name without its extension: the group of a figure that states none."""
    return Path(image).with_suffix("").as_posix().removeprefix("images/")


def image_file(image: str, file: Path, *, follow_links: bool = False) -> Path:
    """Return the image's absolute path: beside the file, in an image folder there, or further up.

    Parent folders are searched up to the benchmark's own (`benchmark_root`).

    Raises:
        InvalidRecord: the path is unusable, or leaves the benchmark's folder as written or, without
            `follow_links`, by a link.
    """
    file = file.absolute()
    root = benchmark_root(file)
    if not Path(normpath(file.parent / image)).is_relative_to(file.parent):
        raise InvalidRecord("image", f"{shown(image)} leaves the benchmark's folder")
    folders = [folder for folder in file.parents if folder.is_relative_to(root)]
    inside = [
        path
        for folder in folders
        for below in _IMAGE_FOLDERS
        if (path := Path(normpath(folder / below / image))).is_relative_to(root)
    ]
    ended = (path.with_name(path.name + end) for end in _ENDINGS for path in inside)
    try:
        found = next((path for path in ended if path.is_file()), inside[0])
    except (OSError, ValueError) as error:
        raise InvalidRecord("image", f"{shown(image)} is not a usable path: {error}") from None
    ImageFolder(root, "", follow_links, "benchmark's folder").check_links(found, image)
    return found
