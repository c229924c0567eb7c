"""Human and judge pairs, ticks, ratings and alignment metrics."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from selector_rows import (
    SPLITS,
    better_of,
    candidate_rows,
    draft_rows,
    preference_rows,
    rated,
    rating_rows,
)

from vital_lib.selector import (
    alignment_metrics,
    human_pairs,
    human_ticks,
    judge_pairs,
    judge_ratings,
    pair_agreement,
    pair_groups,
)
from vital_lib.tables import TABLES, Workspace

# Human pairs


def test_one_accepted_and_one_rejected_response_make_a_pair():
    votes = preference_rows((0, "ann", "a"), (1, "ann", "b"))
    pairs = human_pairs(votes, draft_rows())
    assert list(pairs.columns) == TABLES["pairs"].columns
    assert better_of(pairs) == ["F0-r1-a", "F1-r1-b"]
    assert pairs["split"].tolist() == ["train", "validation"]
    assert set(pairs["weight"]) == {1.0} and set(pairs["source"]) == {"human"}


@pytest.mark.parametrize("votes", ["majority", "each"])
def test_both_neither_and_skip_make_no_pair(votes):
    rows = preference_rows((0, "ann", "ab"), (1, "ann", ""), (2, "ann", "skip"))
    assert human_pairs(rows, draft_rows(), votes=votes).empty


def test_the_majority_of_each_response_makes_one_pair_per_item():
    votes = preference_rows((0, "ann", "a"), (0, "ben", "ab"), (0, "cleo", "a"), (1, "ann", "b"))
    pairs = human_pairs(votes, draft_rows())
    assert better_of(pairs) == ["F0-r1-a", "F1-r1-b"]
    assert set(pairs["annotator"]) == {"majority"}


def test_an_even_vote_has_no_majority_and_makes_no_pair():
    votes = preference_rows((0, "ann", "a"), (0, "ben", ""))
    assert human_pairs(votes, draft_rows()).empty


def test_votes_each_makes_a_pair_per_vote():
    votes = preference_rows((0, "ann", "a"), (0, "ben", "b"), (0, "cleo", "ab"))
    pairs = human_pairs(votes, draft_rows(), votes="each")
    assert better_of(pairs) == ["F0-r1-a", "F0-r1-b"]
    assert pairs["annotator"].tolist() == ["ann", "ben"]


@pytest.mark.parametrize("votes", ["majority", "each"])
def test_only_training_pairs_may_come_from_other_arms_than_random(votes):
    rows = [(number, "ann", "a") for number in range(6)]
    drawn = human_pairs(preference_rows(*rows), draft_rows(), votes=votes)
    assert set(drawn["split"]) > {"train"}
    picked = preference_rows(*rows, arm="uncertainty")
    pairs = human_pairs(picked, draft_rows(), votes=votes)
    assert better_of(pairs) == better_of(drawn[drawn["split"] == "train"])


def test_human_pairs_refuse_unknown_candidates_and_an_unknown_votes_option():
    votes = preference_rows((0, "ann", "a"))
    with pytest.raises(ValueError, match="1 of 1 votes belong to none .* first 'F0-r1-.'"):
        human_pairs(votes, draft_rows().iloc[2:])
    with pytest.raises(ValueError, match="votes 'all': wanted"):
        human_pairs(votes, draft_rows(), votes="all")


# The judge's pairs


def test_a_tie_makes_no_pair():
    ratings, candidates = rated(30)
    overall = ratings.set_index("candidate_id")["overall"]
    pairs = judge_pairs(ratings, candidates, n=10_000)
    left, right = pairs["left_id"].map(overall), pairs["right_id"].map(overall)
    assert len(pairs) > 20 and ((left > right) == (pairs["preferred"] == 1)).all()
    assert (left != right).all()


def test_if_fewer_than_n_pairs_exist_each_is_made_once():
    ratings, candidates = rated(30)
    pairs = judge_pairs(ratings, candidates, n=10_000)
    overall = ratings["overall"].to_numpy()[::3]  # every third figure is a training figure
    different = sum(a != b for k, a in enumerate(overall) for b in overall[:k])
    assert len(pairs) == different
    unordered = {frozenset(pair) for pair in zip(pairs["left_id"], pairs["right_id"], strict=True)}
    assert len(unordered) == different


def test_judge_pairs_stay_within_one_split():
    ratings, candidates = rated(60)
    split_of = dict(zip(candidates["candidate_id"], candidates["split"], strict=True))
    for split in SPLITS:
        pairs = judge_pairs(ratings, candidates, n=40, split=split)
        assert len(pairs) == 40 and set(pairs["split"]) == {split}
        assert {split_of[name] for name in [*pairs["left_id"], *pairs["right_id"]]} == {split}


def test_judge_pairs_are_drawn_evenly_by_seed_with_random_sides():
    ratings, candidates = rated(900)
    pairs = judge_pairs(ratings, candidates, n=3000, seed=1)
    assert pairs.equals(judge_pairs(ratings, candidates, n=3000, seed=1))
    assert not pairs.equals(judge_pairs(ratings, candidates, n=3000, seed=2))
    assert 0.46 < pairs["preferred"].mean() < 0.54
    overall = ratings.set_index("candidate_id")["overall"]
    gaps = (pairs["left_id"].map(overall) - pairs["right_id"].map(overall)).abs()
    every = judge_pairs(ratings, candidates, n=10**9)
    all_gaps = (every["left_id"].map(overall) - every["right_id"].map(overall)).abs()
    for gap in (1, 2, 3, 4):
        assert (gaps == gap).mean() == pytest.approx((all_gaps == gap).mean(), abs=0.03)


def test_a_rating_is_the_mean_of_its_repeats_and_unread_ratings_are_ignored():
    ratings = pd.concat([rating_rows(c0=4, c3=5, c6=None), rating_rows(c0=8, c3=6, c6=None)])
    pairs = judge_pairs(ratings, candidate_rows(0, 3, 6), n=10)
    assert better_of(pairs) == ["c0"]
    assert (pairs["annotator"].tolist(), pairs["source"].tolist()) == (["j"], ["judge"])


def test_judge_pairs_without_ratings_are_an_empty_table():
    ratings, candidates = rated(6)
    empty = judge_pairs(ratings.assign(overall=np.nan), candidates, n=5)
    assert empty.empty and list(empty.columns) == TABLES["pairs"].columns


def test_judge_pairs_refuse_two_judges_and_zero_pairs():
    ratings, candidates = rated(6)
    two = pd.concat([ratings, ratings.assign(judge="k")])
    with pytest.raises(ValueError, match=r"ratings by 2 judges \(j, k\)"):
        judge_pairs(two, candidates, n=5)
    with pytest.raises(ValueError, match="n = 0"):
        judge_pairs(ratings, candidates, n=0)


def test_pairs_match_the_runs_table(tmp_path):
    human = human_pairs(preference_rows((0, "ann", "a")), draft_rows())
    judged = judge_pairs(*rated(30), n=5)
    pairs = pd.concat([human, judged], ignore_index=True)
    assert Workspace(tmp_path).write("pairs", pairs) == 6


def test_the_groups_of_pairs_are_the_articles_of_their_candidates():
    pairs = human_pairs(preference_rows((1, "ann", "a"), (4, "ann", "b")), draft_rows())
    assert list(pair_groups(pairs, draft_rows())) == ["g1", "g4"]


# Ticks and ratings to learn from


def test_each_tick_has_its_article_and_split_and_a_skip_makes_none():
    votes = preference_rows((0, "ann", "ab"), (1, "ann", ""), (2, "ben", "skip"), arm="uncertainty")
    ticks = human_ticks(votes, draft_rows())
    assert len(ticks) == 4 and ticks["accepted"].mean() == 0.5
    found = ticks.set_index("candidate_id").loc["F1-r1-b"]
    assert (found["accepted"], found["group_id"], found["split"]) == (0.0, "g1", "validation")
    with pytest.raises(
        ValueError, match="2 of 4 votes belong to none of the given candidates, first 'F0-r1-.'"
    ):
        human_ticks(votes, draft_rows().iloc[2:])


def test_judge_ratings_are_means_of_repeats_without_unread_ratings():
    ratings = pd.concat([rating_rows(c0=4, c1=5, c2=None), rating_rows(c0=8, c1=None, c2=None)])
    candidates = candidate_rows(0, 1, 2)
    found = judge_ratings(ratings, candidates).set_index("candidate_id")
    assert found["overall"].to_dict() == {"c0": 6.0, "c1": 5.0}
    assert found["group_id"].tolist() == ["g0", "g1"]
    assert found["split"].tolist() == ["train", "validation"]
    with pytest.raises(ValueError, match="ratings by 2 judges"):
        judge_ratings(pd.concat([ratings, ratings.assign(judge="k")]), candidates)


# Alignment


def pairs_of(*rows: tuple[str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["left_id", "right_id", "preferred"])


def test_agreement_is_one_zero_or_half_and_a_null_score_is_a_tie():
    pairs = pairs_of(("x", "y", 1.0), ("x", "y", 0.0), ("x", "z", 1.0), ("x", "n", 1.0))
    scores = pd.Series({"x": 2.0, "y": 1.0, "z": 2.0, "n": math.nan})
    assert pair_agreement(pairs, scores).tolist() == [1.0, 0.0, 0.5, 0.5]
    assert pair_agreement(pairs, scores.to_dict()).tolist() == [1.0, 0.0, 0.5, 0.5]
    assert pair_agreement(pairs.iloc[:0], scores).shape == (0,)


def test_agreement_refuses_missing_scores_and_undecided_pairs():
    with pytest.raises(ValueError, match="1 of 2 candidates have no score, first 'y'"):
        pair_agreement(pairs_of(("x", "y", 1.0)), {"x": 1.0})
    with pytest.raises(ValueError, match=r"1 of 1 pairs prefer neither side .*0.5"):
        pair_agreement(pairs_of(("x", "y", 0.5)), {"x": 1.0, "y": 2.0})


def test_scores_are_compared_as_numbers():
    assert pair_agreement(pairs_of(("x", "y", 1.0)), {"x": 10, "y": 9}).tolist() == [1.0]


def test_auc_and_average_precision_are_those_of_the_definition_with_ties():
    rng = np.random.default_rng(0)
    scores = {f"c{k}": float(value) for k, value in enumerate(rng.integers(0, 12, 80))}
    pairs = pairs_of(*((f"c{2 * k}", f"c{2 * k + 1}", float(k % 2)) for k in range(40)))
    preferred = set(better_of(pairs))
    better = np.array([scores[name] for name in scores if name in preferred])
    worse = np.array([scores[name] for name in scores if name not in preferred])
    found = alignment_metrics(pairs, scores)
    wins = (better[:, None] > worse) + 0.5 * (better[:, None] == worse)
    assert found["auc"] == pytest.approx(wins.mean())
    at_least = [[(side >= score).sum() for side in (better, worse)] for score in better]
    precisions = [hits / (hits + others) for hits, others in at_least]
    assert found["average_precision"] == pytest.approx(np.mean(precisions))
    assert found["agreement"] == pair_agreement(pairs, scores).mean()


def test_perfect_and_constant_scores_give_known_metrics():
    pairs = pairs_of(("a", "x", 1.0), ("y", "b", 0.0))
    perfect = alignment_metrics(pairs, {"a": 4.0, "b": 3.0, "x": 2.0, "y": 1.0})
    assert perfect == {"agreement": 1.0, "auc": 1.0, "mean_rank": 0.25, "average_precision": 1.0}
    silent = alignment_metrics(pairs, dict.fromkeys("abxy", 0.0))
    assert silent == {"agreement": 0.5, "auc": 0.5, "mean_rank": 0.5, "average_precision": 0.5}
    with pytest.raises(ValueError, match="0 null scores among 0 pairs"):
        alignment_metrics(pairs.iloc[:0], {})
