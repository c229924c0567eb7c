"""Reads each DICOM file of some folders by itself, and prints how many open and why others do not.

Run as a script, so that decoders on PYTHONPATH are used: dicom_outcomes.py WORK FOLDER ...
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path

from vital_lib.dicom import DicomOptions, dicom_records
from vital_lib.dicom.files import is_dicom
from vital_lib.figures import open_image
from vital_lib.records import InvalidRecord


def outcome(file: Path, work: Path) -> str:
    """Return "open", or the reason without its details."""
    for _, record in dicom_records(file, work / "run", DicomOptions(key=work / "key")):
        if isinstance(record, InvalidRecord):
            return re.split(r"[:;(]", record.reason)[0].strip()
        picture = work / "run" / "dicom" / record["image"]
        open_image(picture).jpeg()
        picture.unlink()
    return "open"


def main(work: Path, folders: list[Path]) -> None:
    """Print the outcomes as JSON: reason -> number of files."""
    files = sorted(path for folder in folders for path in folder.rglob("*") if is_dicom(path))
    found = [path for path in files if path.name.upper() != "DICOMDIR"]
    print(json.dumps(Counter(outcome(file, work) for file in found)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
