"""Items that a person asks for: kept in the log, handed out first, in no random sample."""

from __future__ import annotations

import pandas as pd
import pytest
from label_rows import drafts
from preference_card_rows import picture_of

from vital_lib.labels import FixedQueue, LabelLog, Queue, adjudication_rows, disagreements
from vital_lib.labels.database import LabelsNotSaved
from vital_lib.panels import CandidateExplorer

pytest_plugins = "postgres"

FIGURES = pd.DataFrame({"figure_id": [f"F{n}" for n in range(4)], "caption": "c"}).assign(
    mentions=[[]] * 4, modalities=[["mri"]] * 4
)


@pytest.fixture
def log(url):
    log = LabelLog(url)
    yield log
    log.close()


def _rows() -> pd.DataFrame:
    frame = drafts(4, 2)
    split = frame["figure_id"].map({"F0": "train", "F1": "train", "F2": "test", "F3": "train"})
    conversation = frame["figure_id"]
    texts = {"instruction": "What is it?", "response": "A mass."}
    return frame.assign(split=split, stage="draft", round=1, conversation_id=conversation, **texts)


def _judge(log: LabelLog, row: dict, who: str = "ann") -> None:
    ids = {name: row[name] for name in ("item_id", "left_id", "right_id", "drawn_by")}
    log.record(**ids, annotator=who, left_accepted=True, right_accepted=False)


def test_requests_are_kept_once_in_their_order_and_by_their_purpose(log, url):
    assert log.requests("label") == []
    assert log.request(["b", "a", "b"]) == 2
    assert log.request(["a", "c"]) == 1
    assert log.request(["a"], "adjudication") == 1
    assert LabelLog(url).requests() == ["b", "a", "c"]
    assert log.requests("adjudication") == ["a"]
    with pytest.raises(ValueError, match="purpose 'x': give one of label, adjudication"):
        log.request(["a"], "x")
    with pytest.raises(ValueError, match="item_id must be a non-empty string"):
        log.request(["d", ""])
    assert log.requests() == ["b", "a", "c"]  # all or none


@pytest.mark.parametrize("strategy", ["random", "uncertainty"])
def test_a_queue_opened_after_a_request_hands_it_out_first_in_an_arm_of_its_own(log, strategy):
    frame = _rows().assign(uncertainty=range(len(_rows())))
    before = Queue(log, frame, "ann", strategy=strategy, repeats=0).items()
    last = before["item_id"].iloc[-1]
    log.request([last, "no draft of this run"])
    after = Queue(log, frame, "ann", strategy=strategy, repeats=0).items()
    assert after["item_id"].iloc[0] == last and after["drawn_by"].iloc[0] == "requested"
    rest = after.iloc[1:].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, before.iloc[:-1])
    [row] = Queue(log, frame, "ann", strategy=strategy, repeats=0).take()
    _judge(log, row)
    assert log.preferences()["drawn_by"].tolist() == ["requested"]
    assert last not in [row["item_id"] for row in Queue(log, frame, "ann").take(20)]


def test_requested_items_are_adjudicated_before_the_disagreements(log):
    frame = _rows()
    row, asked = Queue(log, frame, "ann", repeats=0).take(2)
    for who, accepted in (("ann", True), ("bob", False)):
        ids = {name: row[name] for name in ("item_id", "left_id", "right_id", "drawn_by")}
        log.record(**ids, annotator=who, left_accepted=accepted, right_accepted=accepted)
    log.request([asked["item_id"], "elsewhere"], "adjudication")
    divided = disagreements(log.preferences(), frame)
    rows = adjudication_rows(divided, frame, "eve", requested=log.requests("adjudication"))
    assert rows["item_id"].tolist() == [asked["item_id"], row["item_id"]]
    assert set(rows["drawn_by"]) == {"adjudication"}
    _judge(log, FixedQueue(rows, "eve", log).take()[0], "eve")
    assert log.adjudications()["item_id"].tolist() == [asked["item_id"]]


# --- from the explorer


def test_the_explorer_sends_selected_training_questions_and_says_what_it_left_out(log):
    rows = _rows()
    single = rows.iloc[[0]].assign(
        candidate_id="final", instruction_id="final-r1", stage="final", split="train"
    )
    explorer = CandidateExplorer(pd.concat([rows, single]), FIGURES, picture_of, log=log)
    figures = rows["figure_id"].isin(["F1", "F2"])
    explorer.select([*rows["candidate_id"][figures], "final"])
    wanted = rows["instruction_id"][rows["figure_id"] == "F1"].unique().tolist()
    assert explorer.send_to_queue() == 2 and log.requests() == wanted
    assert explorer.widget.state["said"] == (
        "2 questions sent to the label queue; 2 held out, whose labels stay a random sample; "
        "1 without two responses to compare"
    )
    assert explorer.send_to_queue() == 0
    assert "2 sent before" in explorer.widget.state["said"]
    assert explorer.send_to_adjudication() == 4
    assert len(log.requests("adjudication")) == 4


def test_without_a_selection_the_shown_question_is_sent(log):
    explorer = CandidateExplorer(_rows(), FIGURES, picture_of, log=log)
    explorer.jump(3)
    assert explorer.send_to_adjudication() == 1
    assert log.requests("adjudication") == [_rows()["instruction_id"].iloc[2]]
    explorer.search("nothing has this")
    assert explorer.send_to_queue() == 0


def test_a_log_that_cannot_save_leaves_the_reason_on_the_panel(log):
    explorer = CandidateExplorer(_rows(), FIGURES, picture_of, log=log)

    def fail(*_):
        raise LabelsNotSaved("the disk is full")

    log.request = fail
    explorer._heard(explorer.widget, {"call": "send_to_queue", "args": []}, [])
    assert explorer.widget.state["said"] == "not done: the disk is full"
    with pytest.raises(ValueError, match="open the explorer with log="):
        CandidateExplorer(_rows(), FIGURES, picture_of).send_to_queue()
