"""The cut: its size, groups, order and outcomes; refusals and echoes never enter it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from selection_rows import candidate_rows, rounds_in, scores_for, select

from vital_lib.selection import (
    OUTCOMES,
    conversations,
    coverage,
    cut,
    length_scores,
    near_duplicates,
    random_candidates,
    select_all,
    select_random,
    top_candidates,
)
from vital_lib.tables import Workspace


def kept_ids(selected: pd.DataFrame) -> set[tuple[str, str]]:
    """(conversation, instruction) of every kept round."""
    return {
        (row["conversation_id"], turn["instruction"])
        for row in selected.to_dict("records")
        for turn in row["turns"]
    }


@pytest.mark.parametrize("share", [0.05, 0.1, 0.4, 0.8, 1.0])
def test_exactly_the_best_share_is_kept(share):
    candidates = candidate_rows()
    scores = scores_for(candidates)
    selected = select(candidates, scores, share=share)
    best = set(scores.nlargest(round(share * 20)).index)
    rows = candidates[candidates["candidate_id"].isin(best)]
    wanted = set(zip(rows["conversation_id"], rows["instruction"], strict=True))
    assert kept_ids(selected) == wanted
    assert selected["turns"].str.len().sum() == round(share * 20)


def test_rounds_keep_their_order_and_conversations_without_rounds_are_dropped():
    candidates = candidate_rows(conversations=2, rounds=4)
    scores = dict.fromkeys(candidates["candidate_id"], 0.0)
    scores |= {"F0-final-r4-a": 9.0, "F0-final-r1-a": 8.0, "F0-final-r3-a": 7.0}
    selected = select(candidates, scores, share=3 / 8)
    assert selected["conversation_id"].tolist() == ["F0-final"]
    assert [turn["instruction"][:10] for turn in selected["turns"][0]] == [
        *["Question 1", "Question 3", "Question 4"]
    ]
    assert (selected["score"][0], selected["rank"][0]) == (8.0, 1)


def test_conversations_are_ranked_by_the_mean_score_of_their_kept_rounds():
    candidates = candidate_rows()
    selected = select(candidates, scores_for(candidates), share=0.5)
    assert len(selected) > 1 and selected["score"].is_monotonic_decreasing
    assert selected["rank"].tolist() == list(range(1, len(selected) + 1))


def test_the_order_of_rows_has_no_effect():
    candidates = candidate_rows()
    scores = pd.Series(1.0, index=candidates["candidate_id"])  # all scores tie, so ids decide
    shuffled = candidates.sample(frac=1, random_state=1)
    selected = select(candidates, scores, share=0.4)
    assert len(selected)
    pd.testing.assert_frame_equal(selected, select(shuffled, scores, share=0.4))


def test_selected_conversations_match_the_runs_table(tmp_path):
    candidates = candidate_rows()
    workspace = Workspace(tmp_path)
    selected = select(candidates, scores_for(candidates), share=0.4)
    workspace.write("selected", selected)
    pd.testing.assert_frame_equal(workspace.read("selected"), selected, check_dtype=False)
    assert workspace.write("selected", select_random(candidates, n=8)) > 0


def test_all_candidates_are_selected_but_for_refusals():
    candidates = candidate_rows()
    candidates["flags"] = [["refuses"], *([[]] * (len(candidates) - 1))]
    for flagged in (False, True):
        rounds = int(select_all(candidates, flagged=flagged)["turns"].str.len().sum())
        assert rounds == len(candidates) - (not flagged)


@pytest.mark.parametrize("share", [0, -0.1, 1.01, math.nan])
def test_a_share_outside_zero_to_one_is_refused(share):
    candidates = candidate_rows()
    with pytest.raises(ValueError, match=f"above 0 and at most 1, not {share!r}"):
        select(candidates, scores_for(candidates), share=share)


def test_missing_scores_are_refused_with_their_count():
    candidates = candidate_rows()
    scores = scores_for(candidates).drop(["F0-final-r4-a", "F1-final-r4-a"])
    with pytest.raises(ValueError, match="2 of 20 candidates have no score, first 'F0-final-r4-a'"):
        select(candidates, scores, share=0.4)
    with pytest.raises(ValueError, match="n = 1 with 0 eligible candidates"):
        select(candidates.iloc[:0], scores, share=0.4)
    with pytest.raises(ValueError, match="1 of 21 candidates occur twice"):
        select(pd.concat([candidates, candidates.iloc[:1]]), scores_for(candidates), n=2)


def test_a_candidate_with_a_null_score_is_never_kept():
    candidates = candidate_rows()
    scores = scores_for(candidates)
    scores.iloc[:5] = np.nan
    kept = top_candidates(candidates, scores, n=15)
    assert set(kept["candidate_id"]) == set(scores.index[5:])
    with pytest.raises(ValueError, match="n = 16 with 15 eligible candidates .scored, "):
        top_candidates(candidates, scores, n=16)
    with pytest.raises(ValueError, match="n = 20 with 15"):
        select(candidates, scores, share=1.0)


def test_ties_are_drawn_by_seed_after_better_scores():
    candidates = candidate_rows()
    scores = dict.fromkeys(candidates["candidate_id"], 5.0) | {"F4-final-r4-a": 6.0}
    drawn = [
        tuple(top_candidates(candidates, scores, n=6, seed=seed)["candidate_id"])
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(ids[0] == "F4-final-r4-a" for ids in drawn)
    unseeded = top_candidates(candidates, scores, n=3)["candidate_id"].tolist()
    assert unseeded == ["F4-final-r4-a", "F0-final-r1-a", "F0-final-r2-a"]


def test_scores_are_compared_as_numbers():
    candidates = candidate_rows(conversations=1, rounds=2)
    kept = top_candidates(candidates, {"F0-final-r1-a": 10, "F0-final-r2-a": 9}, n=1)
    assert kept["candidate_id"].tolist() == ["F0-final-r1-a"]


def test_the_random_control_is_uniform_and_has_the_given_size():
    candidates = candidate_rows(conversations=50)
    selected = select(candidates, scores_for(candidates), share=0.4)
    n = int(selected["turns"].str.len().sum())
    control = select_random(candidates, n=n, seed=1)
    assert control["turns"].str.len().sum() == n
    assert set(control["score"]) == {0.0}
    again = select_random(candidates.sample(frac=1, random_state=2), n=n, seed=1)
    pd.testing.assert_frame_equal(control, again)
    assert kept_ids(control) != kept_ids(select_random(candidates, n=n, seed=2))
    counts = pd.Series(0, index=candidates["candidate_id"])
    for seed in range(200):
        counts[random_candidates(candidates, n=50, seed=seed)["candidate_id"]] += 1
    assert counts.min() > 25 and counts.max() < 80  # each is expected 50 times


def test_drawing_more_candidates_than_exist_is_refused():
    with pytest.raises(ValueError, match="n = 21 with 20 eligible candidates"):
        select_random(candidate_rows(), n=21)
    with pytest.raises(ValueError, match="n = 0"):
        select_random(candidate_rows(), n=0)


# --- size of the cut


def test_n_keeps_n_rounds_and_a_threshold_keeps_all_scores_from_it():
    candidates = candidate_rows()
    scores = scores_for(candidates)
    assert rounds_in(select(candidates, scores, n=7)) == 7
    at = float(scores.nlargest(7).iloc[-1])
    assert kept_ids(select(candidates, scores, threshold=at)) == kept_ids(
        select(candidates, scores, n=7)
    )


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "exactly one of share, n and threshold, not none"),
        ({"share": 0.4, "n": 3}, "exactly one of share, n and threshold, not .*0.4.*3"),
        ({"n": 21}, "n = 21 with 20 eligible candidates"),
        ({"n": 0}, "n = 0"),
        ({"threshold": 99.0}, r"no score reaches threshold = 99.0: scores range from -.* to "),
        ({"threshold": math.nan}, "threshold must be a finite number, not nan"),
        ({"n": 5, "floor": 99.0}, r"floor = 99.0 leaves no candidate: scores range from "),
        ({"n": 5, "floor": math.inf}, "floor must be a finite number, not inf"),
        ({"threshold": 0.0, "within": "round"}, "threshold = 0.0 applies to all groups alike"),
        (
            {"n": 5, "within": "kind"},
            "no such column; .* or columns from candidate_id, conversation_id, ",
        ),
        ({"n": 5, "within": []}, "no such column"),
        ({"n": 5, "within": {"F0-final-r1-a": "x"}}, "19 of 20 candidates have no group, first "),
    ],
)
def test_an_impossible_cut_is_refused_with_the_value(how, message):
    candidates = candidate_rows()
    with pytest.raises(ValueError, match=message):
        select(candidates, scores_for(candidates), **how)


def test_a_missing_group_is_refused_with_the_candidate():
    candidates = candidate_rows().assign(question_type="side")
    candidates.loc[3, "question_type"] = None
    name = candidates.loc[3, "candidate_id"]
    with pytest.raises(ValueError, match=f"1 of 20 candidates have no group, first '{name}'"):
        select(candidates, scores_for(candidates), n=5, within="question_type")


def test_an_infinite_score_is_refused():
    candidates = candidate_rows()
    scores = scores_for(candidates)
    scores.iloc[0] = math.inf
    with pytest.raises(ValueError, match="1 of 20 scores are infinite"):
        select(candidates, scores, n=5)


def test_duplicate_scores_are_refused():
    candidates = candidate_rows()
    scores = scores_for(candidates)
    with pytest.raises(ValueError, match="1 of 21 scores occur twice"):
        select(candidates, pd.concat([scores, scores[:1]]), n=5)


# --- within groups


def test_within_groups_the_best_of_each_group_are_kept_in_proportion():
    candidates = candidate_rows(conversations=10)  # 10 candidates per round
    scores = -candidates.set_index("candidate_id")["round"] + scores_for(candidates) / 100
    outcome = cut(candidates, scores, share=0.4, within="round")
    assert coverage(candidates, outcome, "round")["kept"].tolist() == [4, 4, 4, 4]
    for _, group in outcome.groupby("group"):
        kept = group["outcome"] == "kept"
        assert group.loc[kept, "score"].min() > group.loc[~kept, "score"].max()
    alone = coverage(candidates, cut(candidates, scores, share=0.4), "round").set_index("group")
    assert alone["kept"].to_dict() == {1: 10, 2: 6, 3: 0, 4: 0}


@pytest.mark.parametrize("n", range(1, 21))
def test_quotas_by_largest_remainder_sum_to_n(n):
    candidates = candidate_rows()
    group = dict(zip(candidates["candidate_id"], "a" * 11 + "b" * 6 + "c" * 2 + "d", strict=True))
    outcome = cut(candidates, scores_for(candidates), n=n, within=group)
    kept = outcome[outcome["outcome"] == "kept"]["group"].value_counts()
    assert kept.sum() == n
    for name, size in {"a": 11, "b": 6, "c": 2, "d": 1}.items():
        assert abs(kept.get(name, 0) - n * size / 20) < 1


def test_equal_remainders_go_to_the_group_with_the_better_next_candidate():
    candidates = candidate_rows(conversations=4, rounds=1)  # four groups of one candidate
    scores = dict(zip(candidates["candidate_id"], [0.1, 0.9, 0.3, 0.5], strict=True))
    kept = top_candidates(candidates, scores, n=2, within="conversation_id")
    assert kept["candidate_id"].tolist() == ["F1-final-r1-a", "F3-final-r1-a"]


def test_several_columns_define_groups_by_their_combinations():
    candidates = candidate_rows(conversations=4).assign(side=["left", "right"] * 8)
    outcome = cut(candidates, scores_for(candidates), share=0.5, within=["round", "side"])
    assert coverage(candidates, outcome, ["round", "side"])["kept"].tolist() == [1] * 8


def test_a_floor_can_leave_quotas_unfilled():
    candidates = candidate_rows(conversations=10)
    scores = candidates.set_index("candidate_id")["round"].astype(float)
    outcome = cut(candidates, scores, share=0.5, within="round", floor=3.0)
    kept = coverage(candidates, outcome, "round").set_index("group")["kept"]
    assert kept.to_dict() == {1: 0, 2: 0, 3: 5, 4: 5}
    assert outcome["outcome"].value_counts().to_dict() == {
        **{"below the floor": 20, "kept": 10, "left out": 10}
    }


def test_every_candidate_has_an_outcome():
    candidates = candidate_rows()
    scores = scores_for(candidates)
    scores.iloc[:2] = np.nan
    again = pd.DataFrame({"candidate_id": [scores.idxmax()]})
    outcome = cut(candidates, scores, n=6, floor=-0.5, duplicates=again)
    assert sorted(outcome["candidate_id"]) == sorted(candidates["candidate_id"])
    counts = outcome["outcome"].value_counts()
    assert counts["no score"] == 2 and counts["near-duplicate"] == 1 and counts["kept"] == 6
    assert counts["below the floor"] == (scores < -0.5).sum()
    assert scores.idxmax() not in set(outcome["candidate_id"][outcome["outcome"] == "kept"])
    assert rounds_in(conversations(candidates, outcome)) == 6


# --- bad input


def test_an_impossible_number_is_refused_with_the_value():
    pool = candidate_rows(2, 2)
    scores = scores_for(pool)
    with pytest.raises(ValueError, match=r"n = 2\.5 with 4 .* give a whole number"):
        cut(pool, scores, n=2.5)
    with pytest.raises(ValueError, match=r"share = 1 of 4 makes n = 4 with 3 eligible candidates"):
        cut(pool, scores, share=1, duplicates=pool[:1])


# --- refusals and echoes


FLAGGED = {"F0-final-r1-a": ["refuses"], "F1-final-r2-a": ["echoes_the_request", "no_such"]}


def flagged_rows(flags=FLAGGED) -> pd.DataFrame:
    rows = candidate_rows()
    return rows.assign(flags=[flags.get(name, []) for name in rows["candidate_id"]])


def best_of_all(candidates: pd.DataFrame) -> pd.Series:
    """Scores that rank the flagged candidates first."""
    scores = scores_for(candidates)
    scores[list(FLAGGED)] = [9.0, 8.0]
    return scores


def test_refusals_and_echoes_are_dropped_before_the_cut_at_any_score():
    candidates = flagged_rows()
    scores = best_of_all(candidates)
    outcome = cut(candidates, scores, share=0.5)
    of = outcome.set_index("candidate_id")["outcome"]
    assert of["F0-final-r1-a"] == "refuses" and of["F1-final-r2-a"] == "echoes the request"
    counts = of.value_counts()
    assert counts.to_dict() == {"kept": 9, "left out": 9, "refuses": 1, "echoes the request": 1}
    assert set(counts.index) <= set(OUTCOMES)
    rest = candidates[~candidates["candidate_id"].isin(FLAGGED)]
    pd.testing.assert_frame_equal(
        select(candidates, scores, share=0.5), select(rest, scores, share=0.5)
    )
    for how in ({"within": "round"}, {"floor": -0.5}):
        kept = select(candidates, scores, n=8, **how)
        pd.testing.assert_frame_equal(kept, select(rest, scores, n=8, **how))


def test_at_most_all_unflagged_candidates_can_be_kept():
    candidates = flagged_rows()
    assert rounds_in(select(candidates, scores_for(candidates), share=1.0)) == 18
    with pytest.raises(
        ValueError, match="n = 19 with 18 eligible candidates .*, refusals or echoes"
    ):
        select(candidates, scores_for(candidates), n=19)
    all_refuse = candidates.assign(flags=[["refuses"]] * 20)
    for how in ({"share": 0.4}, {"threshold": 0.0}, {"n": 1}):
        with pytest.raises(ValueError, match="0 eligible candidates|no candidate has a score"):
            select(all_refuse, scores_for(candidates), **how)


def test_flagged_true_keeps_refusals_and_echoes():
    candidates = flagged_rows()
    scores = best_of_all(candidates)
    kept = select(candidates, scores, share=0.5, flagged=True)
    pd.testing.assert_frame_equal(kept, select(candidate_rows(), scores, share=0.5))
    assert set(FLAGGED) <= set(top_candidates(candidates, scores, n=2, flagged=True).candidate_id)


@pytest.mark.parametrize(
    "flags",
    [None, np.nan, [], ["said_twice"], ["repeats_the_text", "ends_in_courtesy"], np.array([])],
)
def test_other_and_missing_flags_have_no_effect(flags):
    plain = candidate_rows()
    candidates = plain.assign(flags=pd.Series([flags] * len(plain), dtype=object))
    scores = scores_for(plain)
    how = {"share": 0.4, "within": "round", "seed": 1}
    pd.testing.assert_frame_equal(cut(candidates, scores, **how), cut(plain, scores, **how))
    drawn = select_random(candidates, n=8, within="round")
    pd.testing.assert_frame_equal(drawn, select_random(plain, n=8, within="round"))


def test_a_response_with_both_flags_is_counted_once():
    both = {"F0-final-r1-a": ["echoes_the_request", "refuses", "refuses"]}
    outcome = cut(flagged_rows(both), scores_for(candidate_rows()), share=0.5)
    assert outcome["outcome"].value_counts()["refuses"] == 1
    assert "echoes the request" not in set(outcome["outcome"])


def test_unscored_and_duplicate_refusals_have_the_outcome_refuses():
    candidates = flagged_rows({"F0-final-r1-a": ["refuses"], "F0-final-r2-a": ["refuses"]})
    scores = scores_for(candidates)
    scores["F0-final-r1-a"] = np.nan
    again = pd.DataFrame({"candidate_id": ["F0-final-r2-a"]})
    outcome = cut(candidates, scores, n=3, duplicates=again)
    assert outcome["outcome"].value_counts().to_dict() == {"left out": 15, "kept": 3, "refuses": 2}


def test_every_control_draws_from_the_selections_pool():
    candidates = flagged_rows()
    rest = candidates[~candidates["candidate_id"].isin(FLAGGED)]
    assert set(random_candidates(candidates, n=18)["candidate_id"]) == set(rest["candidate_id"])
    assert rounds_in(select_random(candidates, n=18)) == 18
    longest = top_candidates(candidates, length_scores(candidates), n=18)
    assert set(longest["candidate_id"]) == set(rest["candidate_id"])
    for draw in (random_candidates, select_random):
        with pytest.raises(ValueError, match="n = 19 with 18"):
            draw(candidates, n=19)
        assert len(draw(candidates, n=20, flagged=True))


def test_a_refusal_does_not_drop_an_answer_as_near_duplicate():
    rows = pd.DataFrame(
        {
            "candidate_id": ["a1", "b1"],
            "figure_id": ["a", "b"],
            "instruction": ["What is seen?", "What is shown?"],
            "response": ["I cannot tell.", "A nodule."],
            "flags": [["refuses"], []],
        }
    )
    scores, features = {"a1": 2.0, "b1": 1.0}, {name: np.ones(3) for name in "ab"}
    figures = pd.DataFrame({"figure_id": ["a", "b"], "phash": ["00ff00ff00ff00ff"] * 2})
    assert near_duplicates(rows, scores, figures, features).empty
    found = near_duplicates(rows, scores, figures, features, flagged=True)
    assert found["candidate_id"].tolist() == ["b1"]
    assert near_duplicates(rows.iloc[:1], scores, figures, features).empty
