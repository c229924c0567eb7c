"""The calibration round: its reference, its items and its result."""

from __future__ import annotations

import re

import pandas as pd

from vital_lib.labels import FixedQueue, LabelLog
from vital_lib.labels.calibration import (
    calibration_feedback,
    calibration_in_words,
    calibration_reference,
    calibration_rows,
)
from vital_lib.labels.guideline import definitions, guideline
from vital_lib.prompts import RatingCriteria

DRAFTS = pd.DataFrame(
    [
        {"figure_id": f"F{n // 3}", "instruction_id": f"i{n}", "candidate_id": f"i{n}-{side}"}
        for n in range(36)
        for side in "ab"
    ]
)


def judged(n: int, ticks: tuple, who: str, **more) -> dict:
    return {
        **{"item_id": f"i{n}", "left_id": f"i{n}-a", "right_id": f"i{n}-b", "annotator": who},
        **{"left_accepted": ticks[0], "right_accepted": ticks[1]},
        **{"cannot_judge": ticks[0] is None, **more},
    }


def agreed(log: LabelLog, votes_long: dict[int, tuple]) -> None:
    log.record_many([judged(n, t, who) for n, t in votes_long.items() for who in ("ann", "ben")])


def test_the_reference_is_a_tick_by_two_or_more_annotators_without_dissent(log):
    log.record_many([judged(0, (True, False), "ann"), judged(0, (True, True), "ben")])
    log.record_many([judged(1, (False, True), who) for who in ("ann", "ben", "cat")])
    log.record(**judged(2, (True, True), "ann"))
    log.record_many([judged(3, (None, None), "ann"), judged(3, (True, False), "ben")])
    log.record(**judged(2, (True, True), "ben", drawn_by="calibration"))
    found = calibration_reference(log.preferences())
    assert found == {"i0-a": True, "i1-a": False, "i1-b": True}


def test_an_empty_log_has_no_reference(log):
    assert calibration_reference(log.preferences(), log.history(), "ann") == {}
    log.record(**judged(0, (True, True), "ann"))
    assert calibration_reference(log.preferences(), log.history(), "ann") == {}


def test_a_round_has_only_items_with_a_reference_that_the_annotator_has_not_judged(log):
    agreed(log, dict.fromkeys(range(6), (True, False)))
    log.record(**judged(5, (True, False), "eve"))
    log.record_many([judged(6, (True, False), "ann"), judged(6, (False, False), "ben")])
    rows = calibration_rows(log.preferences(), DRAFTS, "eve")
    assert sorted(rows["item_id"]) == ["i0", "i1", "i2", "i3", "i4"]
    assert set(rows["drawn_by"]) == {"calibration"} and rows["repeat_of"].isna().all()
    columns = ["item_id", "left_id", "right_id", "drawn_by", "repeat_of", "figure_id"]
    assert list(rows.columns) == columns
    for row in rows.itertuples():
        assert {row.left_id, row.right_id} == {f"{row.item_id}-a", f"{row.item_id}-b"}


def test_ten_items_are_balanced_and_spread_over_figures(log):
    agreed(log, {n: [(True, True), (False, False), (True, True)][n % 3] for n in range(36)})
    for seed in range(5):
        rows = calibration_rows(log.preferences(), DRAFTS, "eve", seed=seed)
        reference = calibration_reference(log.preferences())
        accepted = [reference[name] for name in [*rows["left_id"], *rows["right_id"]]]
        assert len(rows) == 10 and rows["figure_id"].is_unique
        assert sum(accepted) == 10


def test_a_figure_repeats_only_after_all_figures_appeared(log):
    agreed(log, dict.fromkeys(range(9), (True, False)))
    rows = calibration_rows(log.preferences(), DRAFTS, "eve", n=6)
    assert rows["figure_id"].value_counts().to_dict() == {"F0": 2, "F1": 2, "F2": 2}


def test_the_seed_determines_the_round(log):
    agreed(log, dict.fromkeys(range(36), (True, False)))
    drawn = [calibration_rows(log.preferences(), DRAFTS, "eve", seed=seed) for seed in (0, 0, 1)]
    pd.testing.assert_frame_equal(drawn[0], drawn[1])
    assert list(drawn[0]["item_id"]) != list(drawn[2]["item_id"])


def own(log: LabelLog) -> list[str]:
    """The items that eve has judged in calibration."""
    rows = log.calibrations()
    return list(rows["item_id"][rows["annotator"] == "eve"])


def drawn(log: LabelLog, **more) -> pd.DataFrame:
    return calibration_rows(log.preferences(), DRAFTS, "eve", calibrated=own(log), **more)


def judge(log: LabelLog, row: dict) -> None:
    sides = {name: row[name] for name in ("item_id", "left_id", "right_id", "drawn_by")}
    log.record(**sides, annotator="eve", left_accepted=True, right_accepted=False)


def test_a_finished_round_stays_finished_after_later_judgements(log):
    agreed(log, {n: [(True, True), (False, False), (True, False)][n % 3] for n in range(20)})
    while rows := FixedQueue(drawn(log), "eve", log).take():
        judge(log, rows[0])
    done = own(log)
    assert len(done) == 10
    agreed(log, dict.fromkeys(range(20, 36), (True, True)))  # more items have a reference
    n = int(done[0][1:])
    log.record(**judged(n, (False, False), "cat"))  # one of eve's items loses its reference
    for item in {f"i{n}" for n in range(20)} - set(done):
        log.record(**judged(int(item[1:]), (True, False), "eve"))
    queue = FixedQueue(drawn(log), "eve", log)
    assert queue.progress == (10, 10) and queue.take() == []
    assert set(drawn(log)["item_id"]) == set(done)


def test_an_unfinished_round_keeps_its_items(log):
    agreed(log, {n: [(True, True), (False, False), (True, False)][n % 3] for n in range(36)})
    planned = drawn(log)
    for row in planned.head(4).to_dict("records"):
        judge(log, row)
    assert set(drawn(log)["item_id"]) == set(planned["item_id"])
    assert set(drawn(log, n=6)["item_id"]) == set(planned["item_id"][:6])
    assert len(drawn(log, n=3)) == 3


def test_votes_during_a_round_do_not_change_its_order(log):
    agreed(log, dict.fromkeys(range(0, 36, 3), (True, False)))  # one item of each of 12 figures
    planned = list(drawn(log)["item_id"])
    spare = {f"i{n}" for n in range(0, 36, 3)} - set(planned)
    log.record(**judged(int(spare.pop()[1:]), (True, False), "eve"))
    assert list(drawn(log)["item_id"]) == planned
    log.record(**judged(int(planned[3][1:]), (True, False), "eve"))
    assert list(drawn(log)["item_id"]) == [*planned[:3], *planned[4:], *spare]


def test_without_a_reference_there_is_no_round(log):
    assert calibration_rows(log.preferences(), DRAFTS, "eve").empty


def test_the_result_counts_items_with_both_ticks_as_in_the_reference(log):
    agreed(log, dict.fromkeys(range(4), (True, False)))
    reference = calibration_reference(log.preferences())
    answers = {0: (True, False), 1: (True, True), 2: (None, None), 3: (True, False)}
    for n, ticks in answers.items():
        event = judged(n, ticks, "eve", drawn_by="calibration")
        if n == 3:  # the sides may be swapped
            event |= {"left_id": "i3-b", "right_id": "i3-a"}
            event |= {"left_accepted": False, "right_accepted": True}
        log.record(**event)
    log.record(**judged(30, (True, True), "eve", drawn_by="calibration"))  # without a reference
    assert "of 2 of 4 items." in calibration_in_words(log.calibrations(), reference)
    assert len(log.preferences()) == 8  # calibrations are not votes


def test_a_result_ignores_later_votes_of_others(log):
    agreed(log, dict.fromkeys(range(3), (True, False)))
    log.record(**judged(3, (True, False), "ann"))
    for n in range(4):
        log.record(**judged(n, (True, False), "eve", drawn_by="calibration"))
    first = log.history()["event_id"].iloc[0]
    log.record(**judged(0, (False, False), "ann", corrects=first))
    log.record(**judged(1, (False, True), "cat"))
    log.undo("ben")  # of item 2
    log.record(**judged(3, (True, False), "ben"))
    agreed(log, {9: (True, True)})  # items outside eve's round use all votes

    def result(*more) -> str:
        mine = log.calibrations()
        return calibration_in_words(mine, calibration_reference(log.preferences(), *more))

    assert result(log.history(), "eve").endswith("of 3 of 3 items.")
    assert "of 1 item." in result()
    assert result(log.history(), "cat") == result()
    reference = calibration_reference(log.preferences(), log.history(), "eve")
    assert reference["i9-a"] and reference["i9-b"] and "i3-a" not in reference


def test_the_result_without_a_round_has_no_items(log):
    assert calibration_in_words(log.calibrations(), {}).endswith("of 0 of 0 items.")


def test_the_guideline_fits_one_page_and_names_every_criterion():
    text = guideline()
    for criterion in RatingCriteria.model_fields:
        assert criterion.replace("_", " ") in text
    for word in ("Accept", "Reject", "Both", "neither", "Cannot judge", "Unsafe", "Keys", "break"):
        assert word in text
    assert 200 < len(text.split()) < 660


def test_the_guideline_defines_each_criterion_as_the_judges_policy_does(root):
    policy = (root / "vital_lib/prompts/policies/rating.md").read_text()
    stated = dict(re.findall(r"^- (\w+): (.+)$", policy, re.MULTILINE))
    found = definitions(guideline())
    assert stated.keys() == RatingCriteria.model_fields.keys()
    assert {name: found[name.replace("_", " ")] for name in stated} == stated


def test_a_definition_may_run_over_several_lines_and_the_first_one_counts():
    text = (
        "- **Depth**: it goes\n  deep.\n- **depth**: again.\n- no **term**: here.\n\n**Both** may."
    )
    assert definitions(text) == {"depth": "it goes deep."}
    assert definitions("") == {}


def test_the_feedback_counts_ticks_skips_and_reasons_without_names_or_notes(log):
    why = {"reasons": ["accuracy", "depth"], "note": "a private remark"}
    log.record_many(
        [
            judged(0, (True, False), "ann", **why),
            judged(0, (True, False), "ben", reasons=["accuracy"]),
            judged(0, (None, None), "cat", note="blurred"),
            judged(0, (False, False), "eve", drawn_by="calibration", reasons=["scope"]),
            judged(1, (True, True), "ann"),
        ]
    )
    found = calibration_feedback(log.history(), "eve", ["i0", "i2"])
    assert found == {
        "i0": {
            "annotators": 3,
            "judged": 2,
            "accepted": {"i0-a": 2, "i0-b": 0},
            "reasons": {"accuracy": 2, "depth": 1},
        }
    }
    assert "private" not in str(found) and "blurred" not in str(found)


def test_the_feedback_on_a_calibrated_item_leaves_out_later_votes(log):
    agreed(log, {0: (True, False), 1: (True, False)})
    log.record(**judged(0, (True, False), "eve", drawn_by="calibration"))
    log.record_many(judged(n, (False, False), "dan", reasons=["scope"]) for n in (0, 1))
    found = calibration_feedback(log.history(), "eve", ["i0", "i1"])
    assert (found["i0"]["annotators"], found["i0"]["reasons"]) == (2, {})
    assert (found["i1"]["annotators"], found["i1"]["reasons"]) == (3, {"scope": 1})


def test_the_agreement_in_words_gives_numbers_and_the_direction_of_differences(log):
    agreed(log, {0: (True, False), 1: (True, True), 2: (False, False)})
    reference = calibration_reference(log.preferences())

    def words() -> str:
        return calibration_in_words(log.calibrations(), reference)

    log.record(**judged(0, (True, False), "eve", drawn_by="calibration"))
    assert words() == "You agree with the others on both responses of 1 of 1 item."
    log.record(**judged(1, (False, True), "eve", drawn_by="calibration"))
    log.record(**judged(2, (True, True), "eve", drawn_by="calibration"))
    assert words() == (
        "You agree with the others on both responses of 1 of 3 items. You accepted 2 responses "
        "that they rejected and rejected 1 response that they accepted."
    )
