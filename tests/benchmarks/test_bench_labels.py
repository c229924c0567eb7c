"""What a label costs that is safe once it is given, beside the published way of keeping results."""

from __future__ import annotations

import json

import pytest
from measuring import median_seconds

from vital_lib.labels import LabelLog

pytestmark = pytest.mark.slow


def _label(number: int) -> dict:
    return {
        "item_id": f"F{number}-r1", "annotator": "ann", "left_id": f"F{number}-r1-a",
        "right_id": f"F{number}-r1-b", "left_accepted": True, "right_accepted": False,
    }  # fmt: skip


def test_a_durable_label_costs_less_than_rewriting_a_file_of_1000(tmp_path, report):
    """The published way of keeping results reads, appends and rewrites one JSON file."""
    log, numbers = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}"), iter(range(10_000))
    log.record_many(_label(next(numbers)) for _ in range(1_000))
    file = tmp_path / "labels.json"
    file.write_text(json.dumps([_label(n) | {"text": "x" * 2_600} for n in range(1_000)]))

    def rewrite() -> None:
        file.write_text(json.dumps([*json.loads(file.read_text()), _label(0)]))

    ours, theirs = median_seconds(lambda: log.record(**_label(next(numbers))), rewrite, times=25)
    report("labels", record_seconds=ours, rewrite_seconds=theirs, record_over_rewrite=ours / theirs)
    assert ours < theirs
