"""Agreement between annotators, self-agreement, disagreements and adjudication."""

from __future__ import annotations

import krippendorff
import numpy as np
import pandas as pd
import pytest
from label_rows import drafts

from vital_lib.labels import LabelLog
from vital_lib.labels.agreement import adjudication_rows, agreement, disagreements
from vital_lib.labels.events import standing

FIGURES = pd.DataFrame(
    {
        "figure_id": [f"F{n}" for n in range(24)],
        "modalities": [["mri"], ["mri", "ct_scan"], []] * 8,
    }
)
DRAFTS = drafts(24, rounds=1)


def judged(n: int, ticks: tuple, who: str = "ann", *, swapped: bool = False, **more) -> dict:
    """A judgement of figure n's item, with `ticks` of its responses a and b."""
    sides = [(f"F{n}-r1-a", ticks[0]), (f"F{n}-r1-b", ticks[1])]
    (left_id, left), (right_id, right) = sides[::-1] if swapped else sides
    return {
        "item_id": f"F{n}-r1",
        "annotator": who,
        **{"left_id": left_id, "right_id": right_id},
        **{"left_accepted": left, "right_accepted": right},
        "cannot_judge": left is None,
        **more,
    }


def measured(log: LabelLog, **options) -> pd.DataFrame:
    options = {"resamples": 200, **options}
    found = agreement(log.preferences(), log.history(), DRAFTS, FIGURES, **options)
    return found.set_index("scope")


def random_votes(seed: int, people: tuple[str, ...] = ("ann", "ben", "cat")) -> list[dict]:
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(24):
        truth = rng.random(2) < 0.5
        for who in people:
            ticks = tuple(bool(t) for t in truth ^ (rng.random(2) < 0.2))
            if rng.random() < 0.1:
                ticks = (None, None)
            rows.append(judged(n, ticks, who, swapped=bool(rng.random() < 0.5)))
    return rows


def as_matrix(rows: list[dict], people) -> np.ndarray:
    """Ticks as (annotators, responses), nan where missing, as the krippendorff package needs."""
    units = sorted(DRAFTS["candidate_id"])
    matrix = np.full((len(people), len(units)), np.nan)
    for row in rows:
        for side in ("left", "right"):
            if row["annotator"] in people and row[f"{side}_accepted"] is not None:
                place = list(people).index(row["annotator"]), units.index(row[f"{side}_id"])
                matrix[place] = row[f"{side}_accepted"]
    return matrix


@pytest.mark.parametrize("seed", range(4))
def test_alpha_and_raw_agreement_equal_the_reference_implementation(log, seed):
    rows = random_votes(seed)
    log.record_many(rows)
    found = measured(log)
    for scope, people in {
        "all": ("ann", "ben", "cat"),
        "ann and ben": ("ann", "ben"),
        "ben and cat": ("ben", "cat"),
    }.items():
        matrix = as_matrix(rows, people)
        expected = krippendorff.alpha(matrix, level_of_measurement="nominal")
        assert found.alpha[scope] == pytest.approx(expected)
        alike = [
            a == b
            for unit in matrix.T
            for k, a in enumerate(unit)
            for b in unit[:k]
            if not np.isnan(a + b)
        ]
        assert found.raw[scope] == pytest.approx(np.mean(alike))
        assert found.alpha_low[scope] <= found.alpha[scope] <= found.alpha_high[scope]
        assert found.raw_low[scope] <= found.raw[scope] <= found.raw_high[scope]


def test_rows_are_overall_by_modality_by_pair_and_by_annotator(log):
    log.record_many(random_votes(0))
    found = measured(log)
    assert found.kind.to_dict() == {
        "all": "overall",
        **dict.fromkeys(["ct_scan", "mri", "not_stated"], "modality"),
        **dict.fromkeys(["ann and ben", "ann and cat", "ben and cat"], "pair"),
        **dict.fromkeys(["self: ann", "self: ben", "self: cat"], "self"),
    }
    columns = ["alpha", "alpha_low", "alpha_high", "raw", "raw_low", "raw_high"]
    assert list(found.columns) == ["kind", "items", *columns]


def test_a_figure_with_two_modalities_counts_under_each(log):
    log.record_many([judged(n, (True, n > 3), who) for n in range(6) for who in ("ann", "ben")])
    found = measured(log)["items"].to_dict()
    assert (found["all"], found["mri"], found["ct_scan"], found["not_stated"]) == (6, 4, 2, 2)


def test_only_the_random_arm_counts(log):
    log.record_many([judged(n, (True, False), who) for n in range(4) for who in ("ann", "ben")])
    before = measured(log)
    for n in range(4, 9):
        arm = ("cluster", "uncertainty", "calibration", "adjudication", "cluster")[n - 4]
        log.record(**judged(n, (True, True), "ann", drawn_by=arm))
        log.record(**judged(n, (False, False), "ben", drawn_by=arm))
    pd.testing.assert_frame_equal(measured(log), before)
    assert before["raw"]["all"] == 1


def test_too_few_items_give_nan_with_their_count(log):
    nothing = measured(log)
    assert nothing["items"].to_dict() == {"all": 0}
    log.record(**judged(0, (True, False), "ann"))
    log.record(**judged(1, (True, False), "ben"))
    found = measured(log)
    assert set(found["items"]) == {0}
    assert found.drop(columns=["kind", "items"]).isna().all(axis=None)
    log.record(**judged(0, (True, False), "ben"))
    found = measured(log)
    assert (found["items"]["all"], found["raw"]["all"], found["alpha"]["all"]) == (1, 1, 1)
    assert np.isnan(found["raw_low"]["all"])  # one article gives no interval


def test_an_interval_needs_ten_groups_with_two_annotators(log):
    def judge_twice(n: int) -> None:
        log.record(**judged(n, (True, False), "ann"))
        log.record(**judged(n, (True, n % 4 == 0), "ben"))

    for n in range(18):  # nine groups of two figures
        judge_twice(n)
    log.record(**judged(18, (True, False), "ann"))  # a tenth group, with one annotator only
    ends = ["alpha_low", "alpha_high", "raw_low", "raw_high"]
    row = measured(log).loc["all"]
    assert row["raw"] < 1 and row["alpha"] < 1 and row[ends].isna().all()
    judge_twice(20)
    row = measured(log).loc["all"]
    assert row["raw_low"] < row["raw"] < row["raw_high"]
    assert row["alpha_low"] < row["alpha"] < row["alpha_high"]


def test_perfect_agreement_has_no_interval(log):
    log.record_many([judged(n, (True, False), who) for n in range(24) for who in ("ann", "ben")])
    row = measured(log).loc["all"]
    assert row["raw"] == row["alpha"] == 1
    assert row[["alpha_low", "alpha_high", "raw_low", "raw_high"]].isna().all()


def test_if_all_ticks_are_equal_raw_agreement_is_one_and_alpha_is_nan(log):
    log.record_many([judged(n, (True, True), who) for n in range(6) for who in ("ann", "ben")])
    row = measured(log).loc["all"]
    assert row["raw"] == 1 and np.isnan(row["alpha"])


def test_self_agreement_compares_responses_regardless_of_side(log):
    for n in range(6):
        log.record(**judged(n, (True, False), event_id=f"e{n}"))
        again = (True, False) if n else (False, True)
        log.record(**judged(n, again, swapped=n % 2 == 0, repeat_of=f"e{n}"))
    row = measured(log).loc["self: ann"]
    assert row["items"] == 6
    assert row["raw"] == pytest.approx(5 / 6)
    ticks = np.array([[1, 0] * 6, [0, 1, *[1, 0] * 5]])
    assert row["alpha"] == pytest.approx(krippendorff.alpha(ticks, level_of_measurement="nominal"))
    assert measured(log).loc["all", "items"] == 0  # a repeat is not a second annotator


def test_self_agreement_uses_the_first_judgement_and_not_its_revision(log):
    log.record(**judged(0, (True, False), event_id="first"))
    log.record(**judged(0, (False, False), repeat_of="first"))
    log.record(**judged(0, (False, False), corrects="first"))
    assert measured(log)["raw"]["self: ann"] == 0.5


def test_two_repeats_of_one_item_are_two_comparisons(log):
    log.record(**judged(0, (True, False), event_id="first"))
    log.record(**judged(0, (False, False), repeat_of="first"))
    log.record(**judged(0, (True, False), repeat_of="first"))
    row = measured(log).loc["self: ann"]
    assert (row["items"], row["raw"]) == (2, 0.75)


def test_repeats_in_other_arms_are_not_counted(log):
    log.record(**judged(0, (True, False)))
    for n, arm in enumerate(["cluster", "uncertainty"], 1):
        log.record(**judged(n, (True, False), event_id=arm, drawn_by=arm))
        log.record(**judged(n, (True, False), repeat_of=arm, drawn_by=arm))
    assert measured(log)["items"]["self: ann"] == 0


def test_repeats_of_items_outside_the_drafts_are_not_counted(log):
    for n in range(4):
        log.record(**judged(n, (True, False), event_id=f"e{n}"))
        log.record(**judged(n, (True, n > 2), repeat_of=f"e{n}"))
    few = DRAFTS[DRAFTS["figure_id"].isin(["F2", "F3"])]
    votes = log.preferences()
    votes = votes[votes["item_id"].isin(few["instruction_id"])]
    row = agreement(votes, log.history(), few, FIGURES).set_index("scope").loc["self: ann"]
    assert (row["items"], row["raw"]) == (2, 0.75)


def test_undone_judgements_and_undone_repeats_are_not_counted(log):
    log.record(**judged(0, (True, False), event_id="first"))
    log.record(**judged(0, (False, False), repeat_of="first"))
    log.undo("ann")
    log.record(**judged(1, (True, True)))
    assert measured(log)["items"]["self: ann"] == 0


def test_a_skipped_repeat_is_not_counted(log):
    log.record(**judged(0, (True, False), event_id="first"))
    log.record(**judged(0, (None, None), repeat_of="first"))
    assert measured(log)["items"]["self: ann"] == 0


def test_standing_judgements_match_the_logs(log):
    rng = np.random.default_rng(1)
    for step in range(120):
        mine = list(log.standing("ann")["event_id"])
        n = int(rng.integers(12))
        act = rng.random()
        if act < 0.25 and mine:
            log.undo("ann")
        elif act < 0.5 and mine:
            corrected = log.standing("ann").iloc[int(rng.integers(len(mine)))]
            n = int(corrected["item_id"][1:].split("-")[0])
            log.record(**judged(n, (True, step % 2 == 0), corrects=corrected["event_id"]))
        else:
            log.record(**judged(n, (True, False)))
    expected = sorted(log.standing("ann")["event_id"])
    assert sorted(standing(log.history())["event_id"]) == expected and len(expected) > 5


def test_labels_of_other_items_than_the_drafts_are_refused(log):
    log.record(**judged(0, (True, False)))
    with pytest.raises(ValueError, match="1 of 1 labels belong to none of the given drafts"):
        agreement(log.preferences(), log.history(), DRAFTS.iloc[:0], FIGURES)


def test_disagreements_list_accepting_and_rejecting_annotators_most_divided_first(log):
    people = ("ann", "ben", "cat", "dan")
    ticks = {0: [1, 1, 1, 0], 1: [1, 1, 0, 0], 2: [1, 1, 1, 1]}
    for n, of_a in ticks.items():
        for who, tick in zip(people, of_a, strict=True):
            log.record(**judged(n, (bool(tick), True), who, swapped=who > "b", drawn_by="cluster"))
    log.record(**judged(3, (None, None), "ann"))
    log.record(**judged(3, (True, False), "ben"))
    texts = DRAFTS.assign(instruction="where?", response="<b>left</b>")
    found = disagreements(log.preferences(), texts)
    assert list(found["candidate_id"]) == ["F1-r1-a", "F0-r1-a"]
    assert found["accepted_by"].tolist() == [["ann", "ben"], ["ann", "ben", "cat"]]
    assert found["rejected_by"].tolist() == [["cat", "dan"], ["dan"]]
    assert found["share"].tolist() == [0.5, 0.75]
    assert found["figure_id"].tolist() == ["F1", "F0"]
    assert set(found["response"]) == {"<b>left</b>"}


def test_without_disagreement_the_table_is_empty(log):
    assert disagreements(log.preferences(), DRAFTS).empty
    assert adjudication_rows(disagreements(log.preferences(), DRAFTS), DRAFTS, "eve").empty


def test_adjudication_has_each_disputed_item_once_in_order_with_random_sides(log):
    for n in range(12):
        log.record(**judged(n, (True, True), "ann"))
        log.record(**judged(n, (False, n % 2 == 0), "ben"))
    disputed = disagreements(log.preferences(), DRAFTS)
    rows = adjudication_rows(disputed, DRAFTS, "eve", seed=3)
    assert list(rows["item_id"]) == list(dict.fromkeys(disputed["item_id"])) and len(rows) == 12
    assert set(rows["drawn_by"]) == {"adjudication"} and rows["repeat_of"].isna().all()
    assert all(
        {r.left_id, r.right_id} == {f"{r.item_id}-a", f"{r.item_id}-b"} for r in rows.itertuples()
    )
    assert 0 < (rows["left_id"].str[-1] == "a").sum() < 12
    pd.testing.assert_frame_equal(rows, adjudication_rows(disputed, DRAFTS, "eve", seed=3))
    for row in rows.itertuples():
        event = {"item_id": row.item_id, "left_id": row.left_id, "right_id": row.right_id}
        log.record(
            **event,
            left_accepted=True,
            right_accepted=True,
            annotator="eve",
            drawn_by=row.drawn_by,
        )
    assert len(disagreements(log.preferences(), DRAFTS)) == len(
        disputed
    )  # adjudications are not votes
