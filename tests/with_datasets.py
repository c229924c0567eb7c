"""Run by test_exports_read_back.py where datasets 5.2 is installed.

    python with_datasets.py <folder of an export> <folder for caches> <file for the rows>

It opens the export as datasets does and saves each row, its images as raw pixels.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from datasets import load_dataset
from PIL import Image


def plain(value: Any) -> Any:
    """Return a value of a row as JSON; an image as its mode, size and the hash of its pixels."""
    if isinstance(value, Image.Image):
        return [value.mode, *value.size, hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def main(folder: str, caches: str, result: str) -> None:
    """Save the splits, features and rows."""
    found = load_dataset(folder, cache_dir=caches)
    rows = found["train"]
    read = {
        "splits": list(found),
        "features": {name: repr(feature) for name, feature in rows.features.items()},
        "rows": [plain(row) for row in rows],
    }
    Path(result).write_text(json.dumps(read))


if __name__ == "__main__":
    main(*sys.argv[1:])
