"""What a label costs that is safe once it is given, beside the published way of keeping results."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import pandas as pd
import pytest
from measuring import median_seconds

from vital_lib.labels import LabelLog, Queue

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


def _queue(folder: Path, pairs: int) -> tuple[LabelLog, Queue, float]:
    """A queue of `pairs` items with its log, and the seconds that it took to make."""
    names = pd.Series(range(pairs)).astype(str).repeat(2)
    drafts = pd.DataFrame({"figure_id": "F" + names, "instruction_id": "F" + names + "-r1"})
    drafts["candidate_id"] = drafts["instruction_id"] + ["-a", "-b"] * pairs
    log = LabelLog(f"sqlite:///{folder / f'{pairs}.sqlite'}")
    start = time.perf_counter()
    queue = Queue(log, drafts, "ann")
    return log, queue, time.perf_counter() - start


def _judged_seconds(log: LabelLog, queue: Queue) -> float:
    """Seconds to take the next item, which is then judged, as at work."""
    start = time.perf_counter()
    row = queue.take()[0]
    seconds = time.perf_counter() - start
    item = {name: row[name] for name in ("item_id", "left_id", "right_id", "drawn_by")}
    log.record(
        **item,
        repeat_of=row["repeat_of"],
        annotator="ann",
        left_accepted=True,
        right_accepted=False,
    )
    return seconds


def test_the_next_item_of_a_million_pairs_costs_no_more_than_of_10000(tmp_path, report):
    few, many = (_queue(tmp_path, pairs) for pairs in (10_000, 1_000_000))
    rounds = [[_judged_seconds(*queue[:2]) for queue in (few, many)] for _ in range(200)]
    of_few, of_many = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
    report(
        "labels",
        next_of_10000_seconds=of_few,
        next_of_million_seconds=of_many,
        next_of_million_over_10000=of_many / of_few,
        queue_of_million_seconds=many[2],
    )
    assert of_many < 3 * of_few
