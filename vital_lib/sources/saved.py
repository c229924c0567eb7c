"""Reads data sets of Hugging Face `datasets`: a folder of `save_to_disk`, or one on the hub.

A saved folder is Arrow, which pyarrow reads without `datasets`. No code of a data set is run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vital_lib.records import UnreadableFile
from vital_lib.records.batches import batch_rows
from vital_lib.records.reading import without_nan
from vital_lib.sources.samples import row_record

HUB = "hf:"
"""Begins the name of a data set on the hub: hf:owner/name, hf:owner/name:split."""


def saved_splits(folder: Path) -> list[Path]:
    """Return the folders of the splits that `save_to_disk` wrote into `folder`; [] for others."""
    if (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file():
        return [folder]
    if not (folder / "dataset_dict.json").is_file():
        return []
    splits = _json(folder / "dataset_dict.json").get("splits")
    names = [name for name in splits if isinstance(name, str)] if isinstance(splits, list) else []
    return [folder / name for name in names if (folder / name / "state.json").is_file()]


def saved_files(split: Path) -> list[Path]:
    """Return the Arrow files of a saved split, in their order."""
    listed = _json(split / "state.json").get("_data_files")
    names = [one.get("filename") for one in listed or () if isinstance(one, Mapping)]
    return [split / Path(name).name for name in names if isinstance(name, str)]


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise UnreadableFile(f"{file.name} is not JSON: {error}") from None
    return found if isinstance(found, dict) else {}


def arrow_records(
    file: Path, columns: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Any]]:
    """Yield the place and the record of each row of an Arrow file, a few rows in memory at once.

    Raises:
        UnreadableFile: the file is not Arrow, or damaged.
    """
    import pyarrow as pa

    place = f"{file.parent.name}/{file.name}"
    number = 0
    try:
        with pa.memory_map(str(file)) as mapped, pa.ipc.open_stream(mapped) as batches:
            for batch in batches:
                batch.validate(full=True)  # damaged offsets would read beyond the file
                for row in batch_rows(batch):
                    yield f"{place}[{number}]", row_record(without_nan(row), columns)
                    number += 1
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile(f"{place} is not a valid Arrow file: {error}") from None


def hub_records(source: str, columns: Mapping[str, str] | None = None) -> Iterator[tuple[str, Any]]:
    """Yield the place and the record of each row of a data set, streamed from the hub.

    Args:
        source: hf:owner/name, followed by ":split" unless it is train, and "@revision" after the
            name. A folder in place of owner/name is read by the same library.

    Raises:
        ImportError: `datasets` is not installed.
        UnreadableFile: the hub has no such data set, or it cannot be reached.
    """
    try:
        import datasets
    except ImportError:
        raise ImportError(
            f"{source!r} needs the library datasets: pip install 'vital-workbench[datasets]'"
        ) from None
    name, _, split = source.removeprefix(HUB).partition(":")
    name, _, revision = name.partition("@")
    try:
        rows = datasets.load_dataset(
            name, split=split or "train", revision=revision or None, streaming=True
        )
        for number, row in enumerate(rows.decode(False)):
            yield f"{name}:{split or 'train'}[{number}]", row_record(without_nan(row), columns)
    except (OSError, ValueError, RuntimeError, LookupError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UnreadableFile(f"{source!r} cannot be read from the hub: {reason}") from None
