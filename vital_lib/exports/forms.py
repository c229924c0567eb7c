"""The forms of an export: which files each writes, and how one of its records looks.

A record has the names that its reader knows; ``id`` leads back to the run, and readers ignore it.
Every form shows the image in the first question only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from vital_lib.exports.parquet import IMAGE, MESSAGES, NUMBER, TEXT, WHOLE, Shards
from vital_lib.exports.pictures import Pictures
from vital_lib.exports.rows import ATTRIBUTION, Conversation, Pair, Round
from vital_lib.records.check import IMAGE_TAG

Message = dict[str, str]


class Writer(Protocol):
    """Writes records of a file."""

    def add(self, record: Mapping[str, Any]) -> None:
        """Append a record."""

    def close(self) -> None:
        """End the file."""


class JsonFile:
    """Writes records as JSON Lines or, if the name ends in .json, as one JSON list."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="\n")  # noqa: SIM115 - see close
        self._list = path.suffix == ".json"
        self._between = "[\n" if self._list else ""

    def add(self, record: Mapping[str, Any]) -> None:
        """Append a record."""
        self._file.write(self._between + json.dumps(record, ensure_ascii=False))
        self._between = ",\n" if self._list else "\n"

    def close(self) -> None:
        """End the list, if it is one, and the file."""
        self._file.write("\n]\n" if self._list else "\n")
        self._file.close()


@dataclass(frozen=True)
class File:
    """One file of a form: its name (of Parquet files the stem) and its records.

    Attributes:
        record: makes the record of a conversation or pair; asks `Pictures` for its images.
        columns: the columns of a Parquet file, in `folder`.
    """

    name: str
    record: Callable[[Any, Pictures], dict[str, Any]]
    columns: Mapping[str, pa.DataType] | None = None

    def open(self, folder: Path) -> Writer:
        """Return a writer of this file in the export's folder."""
        if self.columns is None:
            return JsonFile(folder / self.name)
        return Shards(folder / "data", self.name, self.columns)


@dataclass(frozen=True)
class Form:
    """A form: what reads it, its files, and the command that reads or trains with it.

    Attributes:
        rows: "conversations" or "pairs".
        one_question: pairs must answer one question.
        extra: files by name, with their JSON, that say how to read the others.
        command: with {folder}.
    """

    reader: str
    rows: str
    files: tuple[File, ...]
    command: str
    one_question: bool = True
    extra: Mapping[str, Any] | None = None


def _messages(rounds: Sequence[Round], mark: str = "") -> list[Message]:
    """Return the rounds as messages; `mark` opens the first question."""
    made = []
    for question, answer in rounds:
        made.append({"role": "user", "content": question})
        made.append({"role": "assistant", "content": answer})
    made[0]["content"] = mark + made[0]["content"]
    return made


def _llava(found: Conversation, pictures: Pictures) -> dict[str, Any]:
    speakers = {"user": "human", "assistant": "gpt"}
    turns = [
        {"from": speakers[message["role"]], "value": message["content"]}
        for message in _messages(found.rounds, f"{IMAGE_TAG}\n")
    ]
    return {"id": found.name, "image": pictures.path(found.figure_id), "conversations": turns}


def _tagged(found: Conversation, pictures: Pictures) -> dict[str, Any]:
    messages = _messages(found.rounds, IMAGE_TAG)
    return {"id": found.name, "messages": messages, "images": [pictures.path(found.figure_id)]}


def _trl(found: Conversation, pictures: Pictures) -> dict[str, Any]:
    images = [pictures.content(found.figure_id)]
    return {"id": found.name, "messages": _messages(found.rounds), "images": images}


def _row(found: Conversation, pictures: Pictures) -> dict[str, Any]:
    image = pictures.content(found.figure_id)
    named = {"id": found.name, "figure_id": found.figure_id, **found.facts}
    return {**named, "image": image, "messages": _messages(found.rounds)}


def _trl_dpo(found: Pair, pictures: Pictures) -> dict[str, Any]:
    [prompt, chosen], [_, rejected] = map(_messages, ([found.better], [found.worse]))
    images = [pictures.content(found.figure_id)]
    sides = {"prompt": [prompt], "chosen": [chosen], "rejected": [rejected]}
    return {"id": found.name, **found.facts, **sides, "images": images}


def _trl_reward(found: Pair, pictures: Pictures) -> dict[str, Any]:
    sides = {"chosen": _messages([found.better]), "rejected": _messages([found.worse])}
    images = {
        "images": [pictures.content(found.figure_id)],
        "rejected_images": [pictures.content(found.other_figure_id)],
    }
    return {"id": found.name, **found.facts, **sides, **images}


def _swift_dpo(found: Pair, pictures: Pictures) -> dict[str, Any]:
    sides = {"messages": _messages([found.better], IMAGE_TAG), "rejected_response": found.worse[1]}
    return {"id": found.name, **sides, "images": [pictures.path(found.figure_id)]}


def _swift_reward(found: Pair, pictures: Pictures) -> dict[str, Any]:
    return {
        "id": found.name,
        "messages": _messages([found.better], IMAGE_TAG),
        "images": [pictures.path(found.figure_id)],
        "rejected_messages": _messages([found.worse], IMAGE_TAG),
        "rejected_images": [pictures.path(found.other_figure_id)],
    }


IMAGES = pa.list_(IMAGE)
_PAIR = {"id": TEXT, "source": TEXT, "annotator": TEXT}
_SIDES = {"chosen": MESSAGES, "rejected": MESSAGES, "images": IMAGES}
_KNOWN = {"messages": "messages", "images": "images"}
_TAGS = {"role_tag": "role", "content_tag": "content"}
_TAGS |= {"user_tag": "user", "assistant_tag": "assistant"}
_ENTRY = {"file_name": "conversations.json", "formatting": "sharegpt"}
DATASET_INFO = {"vital": {**_ENTRY, "columns": _KNOWN, "tags": _TAGS}}
"""How LLaMA-Factory is told of the file: `dataset_info.json`."""

FORMS: dict[str, Form] = {
    "llava": Form(
        "LLaVA, LLaVA-Med and notebook 08 (`mix`)",
        "conversations",
        (File("conversations.json", _llava),),
        "python llava/train/train_mem.py --data_path {folder}/conversations.json "
        "--image_folder {folder} ...",
    ),
    "trl": Form(
        "TRL's SFTTrainer, by datasets",
        "conversations",
        (File("conversations", _trl, {"id": TEXT, "messages": MESSAGES, "images": IMAGES}),),
        "trl sft --dataset_name {folder} --model_name_or_path MODEL",
    ),
    "ms-swift": Form(
        "ms-swift",
        "conversations",
        (File("conversations.jsonl", _tagged),),
        "ROOT_IMAGE_DIR={folder} swift sft --dataset {folder}/conversations.jsonl --model MODEL",
    ),
    "llama-factory": Form(
        "LLaMA-Factory",
        "conversations",
        (File("conversations.json", _tagged),),
        "llamafactory-cli train --stage sft --dataset_dir {folder} --dataset vital "
        "--model_name_or_path MODEL ...",
        extra={"dataset_info.json": DATASET_INFO},
    ),
    "dataset": Form(
        "datasets (`load_dataset`)",
        "conversations",
        (
            File(
                "conversations",
                _row,
                {
                    "id": TEXT, "figure_id": TEXT, "image": IMAGE, "messages": MESSAGES,
                    "score": NUMBER, "rank": WHOLE, **dict.fromkeys(ATTRIBUTION, TEXT),
                },
            ),
        ),
        "python -c 'import datasets, sys; print(datasets.load_dataset(sys.argv[1]))' {folder}",
    ),
    "dpo": Form(
        "TRL's DPOTrainer (data/), ms-swift (pairs.jsonl)",
        "pairs",
        (
            File("pairs", _trl_dpo, {**_PAIR, "prompt": MESSAGES, **_SIDES}),
            File("pairs.jsonl", _swift_dpo),
        ),
        "trl dpo --dataset_name {folder} --model_name_or_path MODEL\n"
        "ROOT_IMAGE_DIR={folder} swift rlhf --rlhf_type dpo --dataset {folder}/pairs.jsonl "
        "--model MODEL",
    ),
    "reward": Form(
        "TRL's RewardTrainer (data/; it reads no images), ms-swift (pairs.jsonl)",
        "pairs",
        (
            File("pairs", _trl_reward, {**_PAIR, **_SIDES, "rejected_images": IMAGES}),
            File("pairs.jsonl", _swift_reward),
        ),
        "trl reward --dataset_name {folder} --model_name_or_path MODEL\n"
        "ROOT_IMAGE_DIR={folder} swift rlhf --rlhf_type rm --dataset {folder}/pairs.jsonl "
        "--model MODEL",
        one_question=False,
    ),
}  # fmt: skip
"""Name -> form."""
