"""Claims about pairs that are no choice: who is not asked about them, and what is said of it."""

from __future__ import annotations

import label_rows
import numpy as np
import pandas as pd
import pytest
from labelling_service import write_run

from vital_lib.clinic import Clinicians
from vital_lib.generation import hollow_flags, paired_drafts
from vital_lib.labelling.__main__ import _check_run as checked
from vital_lib.labelling.__main__ import _parser, _service
from vital_lib.labelling.card import open_card
from vital_lib.labels import Queue, calibration_rows, left_out
from vital_lib.panels import CandidateExplorer, PreferenceCard
from vital_lib.tables import Workspace

TWICE, ECHO, NO = ["said_twice"], ["echoes_the_request"], ["refuses"]


def drafts(flags: dict[str, list] | None = None, figures: int = 10) -> pd.DataFrame:
    """Drafts whose candidates carry `flags`, by candidate_id, and texts of their own."""
    frame = label_rows.drafts(figures, 1)
    frame["flags"] = [list((flags or {}).get(name, [])) for name in frame["candidate_id"]]
    texts = {"conversation_id": frame["figure_id"], "response": "A " + frame["candidate_id"]}
    return frame.assign(instruction="What does it show?", **texts)


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        (TWICE, TWICE, "said twice"),
        (TWICE, [], None),  # an earlier round has one of both: there still is a choice
        ([], NO, "refuses"),
        (ECHO, [], "echoes the request"),
        ([*TWICE, *NO], [*TWICE, *NO], "refuses and said twice"),
        ([*TWICE, *TWICE], [], None),
        (["side_against_text"], ["names_the_text", "ends_in_courtesy"], None),
        ((*TWICE,), np.array(TWICE), "said twice"),
        (None, float("nan"), None),
        (None, NO, "refuses"),
    ],
)
def test_a_pair_is_left_out_where_there_is_no_choice(a, b, why):
    frame = label_rows.drafts(2, 1).assign(flags=pd.Series([a, b, [], []], dtype=object))
    found = left_out(frame.set_index(np.zeros(4)))
    assert found.to_dict("list") == (
        {"instruction_id": ["F0-r1"], "why": [why]} if why else {"instruction_id": [], "why": []}
    )


def test_drafts_without_flags_or_without_rows_lose_nothing(log):
    assert left_out(label_rows.drafts()).empty and left_out(drafts().head(0)).empty
    queue = Queue(log, label_rows.drafts(), "ann")
    assert queue.left_out == "0 of 90 pairs left out: these drafts carry no flags"
    assert Queue(log, drafts().head(0), "ann").left_out == "0 of 0 pairs left out"


FLAGS = {"F1-r1-a": TWICE, "F1-r1-b": TWICE, "F2-r1-b": NO, "F3-r1-a": NO, "F4-r1-b": TWICE}


@pytest.mark.parametrize("strategy", ["random", "cluster", "uncertainty"])
def test_the_queue_leaves_out_pairs_that_are_no_choice_and_says_how_many_and_why(log, strategy):
    frame = drafts(FLAGS).assign(cluster=[0, 0, 1, 1] * 5, uncertainty=np.linspace(0, 1, 20))
    asked = {"strategy": strategy, "repeats": 0}
    queue = Queue(log, frame, "ann", **asked)
    given = [row["item_id"] for row in queue.take(99)]
    assert sorted(given) == sorted({f"F{n}-r1" for n in range(10)} - {"F1-r1", "F2-r1", "F3-r1"})
    assert queue.left_out == "3 of 10 pairs left out: refuses (2), said twice (1)"
    assert queue.progress == (0, 7)
    everything = Queue(log, frame, "ben", flagged=True, **asked)
    assert len(everything.take(99)) == everything.progress[1] == 10
    told = "0 of 10 pairs left out, though 3 are flagged: refuses (2), said twice (1)"
    assert everything.left_out == told


def test_sides_and_order_of_the_other_pairs_stay_as_they_are(log):
    kept = Queue(log, drafts(FLAGS), "ann").items()
    whole = Queue(log, drafts(FLAGS), "ann", flagged=True).items()
    assert kept.equals(whole[whole["item_id"].isin(kept["item_id"])].reset_index(drop=True))


def test_a_queue_of_such_pairs_alone_is_at_its_end(log):
    queue = Queue(log, drafts({f"F{n}-r1-a": NO for n in range(10)}), "ann")
    assert queue.take(4) == [] and queue.progress == (0, 0)
    assert queue.left_out == "10 of 10 pairs left out: refuses (10)"


def test_what_the_drafting_flags_is_what_is_left_out(log):
    said = ["Yes.", "yes", "No.", "I cannot see the image.", "string", "An effusion.", "A", "B"]
    frame = label_rows.drafts(4, 1).assign(instruction="Is there fluid?", response=said)
    frame["flags"] = hollow_flags(frame.assign(conversation_id=frame["figure_id"]))
    assert left_out(frame)["why"].tolist() == ["said twice", "refuses", "echoes the request"]


def test_neither_a_calibration_round_nor_simulated_clinicians_are_asked_about_them(log):
    flagged = drafts(FLAGS)
    figures = pd.DataFrame({"figure_id": flagged["figure_id"].unique(), "caption": "Fluid."})
    people = Clinicians(figures.assign(mentions=[[]] * 10), None)
    people.label(log, flagged)
    assert log.history()["item_id"].nunique() == 7
    people.label(log, flagged, flagged=True)
    votes = log.preferences()
    assert votes["item_id"].nunique() == 10
    alike = votes.assign(left_accepted=True, right_accepted=True)
    rounds = [calibration_rows(alike, frame, "ann", 99) for frame in (drafts(), flagged)]
    assert {"F1-r1", "F2-r1", "F3-r1"} == set(rounds[0]["item_id"]) - set(rounds[1]["item_id"])


@pytest.fixture
def flagged_run(tmp_path) -> Workspace:
    workspace = write_run(tmp_path, items=3)
    frame = workspace.read("drafts")
    frame["flags"] = [[*NO, "side_against_text"], *[[]] * 5]
    workspace.write("drafts", frame)
    return workspace


def test_the_card_alone_leaves_them_out_and_the_service_says_so(flagged_run):
    for more, pairs, told in (([], 2, "1 of 3"), (["--flagged"], 3, "0 of 3")):
        service = _service(_parser().parse_args(_words(flagged_run, *more)))
        assert checked(service).startswith(f"{told} pairs left out")
        card = open_card(flagged_run.path, "ann", flagged=service.card["flagged"])
        assert card._queue.progress == (0, pairs)


def _words(workspace: Workspace, *more: str) -> list[str]:
    return [f"--run={workspace.path}", "--annotators=ann", *more]


def test_where_such_a_pair_is_shown_the_flag_stands_beside_the_response(flagged_run, log):
    """In the explorer's words; what goes against the figure's text is for people to find."""
    frame, figures = flagged_run.read("drafts"), flagged_run.read("figures")
    frame.at[2, "flags"] = ['<img src=x onerror="alert(1)">', *ECHO, *TWICE]
    picture = (flagged_run.path / "f00.png").read_bytes()
    explorer = CandidateExplorer(frame, figures, lambda _: picture)
    explorer.jump("f00-r1-a")
    assert explorer.widget.state["shown"]["flags"] == ["refuses", "side against text"]
    queue = Queue(log, frame, "ann", flagged=True)
    card = PreferenceCard(queue, frame, figures, lambda _: picture, log)
    sides = {row["item_id"]: [row["left_id"], row["right_id"]] for row in card._held}
    flags = (list(card._pairs.as_card(row)["flags"].values()) for row in card._held)
    shown = dict(zip(sides, flags, strict=True))
    first = sides["f00-r1"].index("f00-r1-a")
    assert shown["f00-r1"] == [["refuses"], []][:: 1 if first == 0 else -1]
    assert sorted(shown["f01-r1"]) == [[], ["echoes the request", "said twice"]]
    assert shown["f02-r1"] == [[], []]


def test_two_arms_are_flagged_by_what_each_of_them_said():
    frame = drafts(figures=4).drop_duplicates("figure_id").assign(round=1)
    one = frame.assign(response=["Yes.", "Yes.", "An effusion.", "string"])
    other = frame.assign(candidate_id=frame["candidate_id"] + "2")
    other["response"] = ["yes", "Yes.", "I'm sorry, but I cannot see it.", "Fluid."]
    other.loc[other["figure_id"] == "F1", "instruction"] = "Is it large?"
    items, _ = paired_drafts(one, other)
    flags = items.groupby("figure_id")["flags"].agg(lambda own: sorted(sum(own, [])))
    assert flags.to_dict() == {"F0": [*TWICE, *TWICE], "F1": [], "F2": NO, "F3": ECHO}
