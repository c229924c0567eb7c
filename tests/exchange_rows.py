"""Drafts, judgements and logs for the tests of exchange, and Label Studio's part by hand."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from vital_lib.labels import LabelLog
from vital_lib.labels.label_studio import export_label_studio

HOSTILE = [
    "<script>alert(1)</script>",
    '"quoted", & <img src=x onerror="alert(1)">',
    "lines\nand\r\nmore\u2028and\u0085more\ttab",
    "nul\x00 and \x07 bell",
    "\u202eright to left\u202c مرحبا",
    "{{ template }} $left %s \\ ' -- ;",
    "😀 e\u0301 ﬁ",
    " spaces ",
    "x" * 20_000,
]
DRAFTS = pd.DataFrame(
    [
        {
            **{"figure_id": f"F{n}", "instruction_id": f"i{n}", "candidate_id": f"i{n}-{side}"},
            **{"instruction": f"where? {HOSTILE[n]}", "response": f"{side} {HOSTILE[n]}"},
        }
        for n in range(8)
        for side in "ab"
    ]
)
FIGURES = pd.DataFrame(
    {
        "figure_id": [f"F{n}" for n in range(8)],
        "image": [f"images/F{n}.png" for n in range(8)],
        "caption": HOSTILE[:8],
        "mentions": [[text, "plain"] for text in HOSTILE[:8]],
        "cleared": True,
    }
)


@pytest.fixture
def open_log(tmp_path):
    """A function that opens a log of a name; all are closed after the test."""
    logs = []

    def opened(name: str = "labels") -> LabelLog:
        logs.append(LabelLog(f"sqlite:///{tmp_path / name}.sqlite"))
        return logs[-1]

    yield opened
    for log in logs:
        log.close()


def judge(log: LabelLog, n: int = 0, ticks: tuple = (True, False), who: str = "ann", **more) -> str:
    """Record a judgement of item `n`; its event."""
    return log.record(
        **{"item_id": f"i{n}", "left_id": f"i{n}-a", "right_id": f"i{n}-b", "annotator": who},
        **{"left_accepted": ticks[0], "right_accepted": ticks[1], "cannot_judge": ticks[0] is None},
        **more,
    )


def choices(log: LabelLog) -> dict:
    """Each standing choice by its item and annotator."""
    rows = log.preferences()
    return dict(
        zip(zip(rows["item_id"], rows["annotator"], strict=True), rows["choice"], strict=True)
    )


@pytest.fixture
def exported(open_log, tmp_path):
    """A log of a few judgements, its export file for Label Studio, and the tasks in the file."""
    log = open_log("from")
    judge(log, 0, (True, False), event_id="e0", seconds=4.5, reasons=["depth"], note="right <b>")
    judge(log, 0, (True, True), who="ben@clinic.example")
    judge(log, 1, (None, None), unsafe=True)
    judge(log, 2, (False, False), event_id="e3")
    judge(log, 2, (False, True), event_id="e4", repeat_of="e3")
    judge(log, 3, (True, True))
    log.undo("ann")
    path = tmp_path / "tasks.json"
    export_label_studio(
        log.history(), DRAFTS, FIGURES, path, lambda image: f"/data/local-files/?d={image}"
    )
    return log, path, json.loads(path.read_text())


MEMBERS = {1: "admin@clinic.example", 2: "ben@clinic.example", 4: "eve@clinic.example"}


def through_label_studio(tasks: list[dict]) -> list[dict]:
    """The tasks as Label Studio 1.23 exports them after an import."""
    numbers = {address: number for number, address in MEMBERS.items()}
    time = "2026-02-01T08:00:00.000000Z"
    back = []
    for n, task in enumerate(tasks):
        annotations = [
            {
                **{"id": 7001 + 10 * n + k, "import_id": one.get("id"), "task": 501 + n},
                "completed_by": numbers[one.get("completed_by", {}).get("email", MEMBERS[1])],
                **{name: one[name] for name in ("result", "was_cancelled", "ground_truth")},
                **{"lead_time": one["lead_time"], "created_at": time, "updated_at": time},
                **{"draft_created_at": None, "prediction": {}, "result_count": 0, "project": 3},
                **{"unique_id": f"u{n}-{k}", "updated_by": None, "last_action": None},
            }
            for k, one in enumerate(task["annotations"])
        ]
        back.append(
            {
                **{"id": 501 + n, "data": task["data"], "meta": task["meta"]},
                **{"annotations": annotations, "predictions": [], "drafts": [], "project": 3},
                **{"file_upload": "ab12-tasks.json", "inner_id": n + 1, "comment_count": 0},
            }
        )
    return back


def ticks_of_part(annotation: dict, left: str, right: str) -> None:
    """Replace the ticks of an annotation, as by mouse; its pairwise choice stays."""
    others = [part for part in annotation["result"] if "_tick" not in part["from_name"]]
    annotation["result"] = [*others, *ticked(left, right)]


def made_there(result: object, **more) -> dict:
    """An annotation made in Label Studio by Eve."""
    person = {"id": 4, "email": "eve@clinic.example", "first_name": "", "last_name": ""}
    return {
        **{"id": 9001, "import_id": None, "completed_by": person, "result": result},
        **{
            "was_cancelled": False,
            "lead_time": 12.25,
            "created_at": "2026-02-02T09:00:00Z",
            **more,
        },
    }


def ticked(left: str, right: str) -> list[dict]:
    """The ticks of both sides as parts of an annotation."""
    return [
        {
            "from_name": f"{side}_tick",
            "to_name": side,
            "type": "choices",
            "value": {"choices": [tick]},
        }
        for side, tick in (("left", left), ("right", right))
    ]
