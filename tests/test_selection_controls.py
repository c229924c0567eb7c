"""What a selection is compared with: near-duplicates left out, and control selections."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from selection_rows import candidate_rows, rounds_in, scores_for

from vital_lib.selection import (
    accepted_shares,
    add_groups,
    answer_polarity,
    chance_scores,
    length_scores,
    near_duplicates,
    random_candidates,
    rating_scores,
    select_random,
    similarity_scores,
    top_candidates,
    typical_scores,
)

# --- near-duplicates


FIGURES = pd.DataFrame(
    {"figure_id": ["F0", "F1", "F2"], "phash": ["ff00ff00ff00ff00", "ff00ff00ff00ff01", None]}
)


ALIKE = {"F0": np.array([1.0, 0.0]), "F1": np.array([2.0, 0.01]), "F2": np.array([1.0, 0.0])}


def test_all_rounds_of_the_lower_scored_near_identical_picture_are_dropped():
    candidates = candidate_rows(conversations=3, rounds=2)
    scores = candidates.set_index("candidate_id")["figure_id"].eq("F1").astype(float)
    found = near_duplicates(candidates, scores, FIGURES, ALIKE)
    assert sorted(found["candidate_id"]) == ["F0-final-r1-a", "F0-final-r2-a"]
    assert set(found["reason"]) == {"same picture"} and set(found["repeats"]) == {"F1"}
    assert set(found["bits"]) == {1} and found["cosine"].min() > 0.995


def test_near_identical_pictures_need_similar_hashes_and_features():
    candidates = candidate_rows(conversations=3, rounds=2)
    unlike = {**ALIKE, "F1": np.array([0.0, 1.0])}
    assert near_duplicates(candidates, scores_for(candidates), FIGURES, unlike).empty
    far = FIGURES.assign(phash=["ff00ff00ff00ff00", "00ff00ff00ff00ff", None])
    assert near_duplicates(candidates, scores_for(candidates), far, ALIKE).empty


def test_of_equal_texts_about_a_figure_only_the_best_scored_is_kept():
    candidates = candidate_rows(conversations=3, rounds=3)
    again = candidates["candidate_id"].isin(["F2-final-r1-a", "F2-final-r3-a"])
    candidates.loc[again, "instruction"] = ["Which side?", "which  SIDE?"]
    candidates.loc[again, "response"] = "Left."
    scores = dict.fromkeys(candidates["candidate_id"], 0.0) | {"F2-final-r3-a": 1.0}
    far = FIGURES.assign(phash=None)
    found = near_duplicates(candidates, scores, far, ALIKE)
    assert found[["candidate_id", "reason", "repeats"]].to_numpy().tolist() == [
        ["F2-final-r1-a", "same words", "F2-final-r3-a"]
    ]


def test_near_duplicates_need_every_figure_and_finite_features():
    candidates = candidate_rows(conversations=3, rounds=1)
    scores = scores_for(candidates)
    with pytest.raises(ValueError, match="1 of 3 figures .* no row in figures or no features"):
        near_duplicates(candidates, scores, FIGURES[:2], ALIKE)
    with pytest.raises(ValueError, match="features of pictures hold NaN"):
        near_duplicates(candidates, scores, FIGURES, {**ALIKE, "F0": np.array([np.nan, 1.0])})


# --- controls


def test_typical_candidates_are_nearest_to_their_centre_in_every_cluster():
    candidates = candidate_rows(conversations=10, rounds=2)
    rng = np.random.default_rng(0)
    centres = np.repeat(np.eye(4)[:2], 10, axis=0)
    spread = np.tile(np.linspace(0.0, 0.4, 10), 2)[:, None]
    features = centres + spread * rng.choice([-1, 1], (20, 4)) * [0, 0, 1, 1]
    kept = top_candidates(candidates, typical_scores(candidates, features, clusters=2), n=10)
    places = [list(candidates["candidate_id"]).index(name) for name in kept["candidate_id"]]
    assert sum(place < 10 for place in places) == 5
    assert spread[places].mean() < spread.mean()


def test_similarity_is_the_cosine_of_picture_and_answer():
    candidates = candidate_rows(conversations=3, rounds=1)
    images = np.array([[1.0, 0.0], [1.0, 0.0], [3.0, 3.0]])
    answers = np.array([[0.0, 2.0], [5.0, 0.0], [1.0, 0.0]])
    found = similarity_scores(candidates, images, answers)
    assert found.tolist() == pytest.approx([0.0, 1.0, math.sqrt(0.5)])
    with pytest.raises(ValueError, match="have width 2, responses 1: encode both with one encoder"):
        similarity_scores(candidates, images, answers[:, :1])
    with pytest.raises(ValueError, match="2 rows of images for 3 candidates"):
        similarity_scores(candidates, images[:2], answers)
    with pytest.raises(ValueError, match="1 of 3 rows of responses hold NaN"):
        similarity_scores(candidates, images, answers * [[np.nan], [1], [1]])


def test_length_scores_count_words_and_chance_scores_ignore_the_order_of_rows():
    candidates = candidate_rows(conversations=2, rounds=1).assign(response=["One.", "One two."])
    assert length_scores(candidates).tolist() == [1, 2]
    assert chance_scores(candidates, seed=3).equals(chance_scores(candidates[::-1], seed=3))


def test_a_rating_score_is_the_mean_of_the_first_repeats_and_too_few_are_refused():
    ratings = pd.DataFrame(
        [("a", 0, 8.0), ("a", 1, 4.0), ("b", 0, 6.0), ("c", 0, None), ("c", 1, None)],
        columns=["candidate_id", "repeat", "overall"],
    )
    assert rating_scores(ratings).dropna().to_dict() == {"a": 8.0, "b": 6.0}
    twice = rating_scores(ratings, repeats=2)
    assert twice["a"] == 6.0 and math.isnan(twice["c"]) and "b" not in twice
    candidates = candidate_rows(conversations=2, rounds=1).assign(candidate_id=["a", "b"])
    with pytest.raises(ValueError, match="1 of 2 candidates have no score, first 'b'"):
        top_candidates(candidates, twice, n=1)


def test_the_polarity_of_an_answer_is_its_first_word():
    responses = [
        "Yes, left.",
        "no",
        "No: none.",
        " \u201cYes.\u201d",
        "Nodules.",
        "Yesterday",
        "A no.",
    ]
    said = answer_polarity(pd.Series(responses, index=range(3, 10)))
    assert said.tolist() == ["yes", "no", "no", "yes", "other", "other", "other"]
    assert said.index.tolist() == list(range(3, 10))
    assert answer_polarity(pd.Series([None, ""], dtype=object)).tolist() == ["other"] * 2


def test_candidates_get_the_columns_that_a_cut_can_group_by():
    figures = pd.DataFrame({"figure_id": ["F1", "F2"], "modalities": [["mri"], []]})
    rows = pd.DataFrame(
        {
            "figure_id": ["F2", "F1", "F1"],
            "question_type": [" Location ", None, "location"],
            "response": ["No.", None, "On the left."],
        },
        index=[7, 8, 9],
    )
    found = add_groups(rows, figures)
    assert found["modality"].tolist() == ["not_stated", "mri", "mri"]
    assert found["question_type"].tolist() == ["location", "not stated", "location"]
    assert found["polarity"].tolist() == ["no", "other", "other"]
    assert found.index.tolist() == [7, 8, 9]


def test_a_selector_that_prefers_no_does_not_change_the_balance_of_yes_and_no():
    candidates = candidate_rows(conversations=10)
    no = np.arange(len(candidates)) % 2 == 1
    candidates["response"] = np.where(no, "No, it is not.", "Yes, it is.")
    candidates["polarity"] = answer_polarity(candidates["response"])
    scores = pd.Series(no.astype(float), candidates["candidate_id"])
    plain = top_candidates(candidates, scores, share=0.4)
    assert set(plain["polarity"]) == {"no"}
    grouped = top_candidates(candidates, scores, share=0.4, within="polarity")
    assert grouped["polarity"].value_counts().to_dict() == {
        "yes": len(grouped) // 2, "no": len(grouped) // 2
    }  # fmt: skip


def test_a_control_within_groups_has_their_proportions():
    candidates = candidate_rows(conversations=10)
    drawn = random_candidates(candidates, n=20, seed=1, within="round")
    assert set(drawn["round"].value_counts()) == {5}
    assert rounds_in(select_random(candidates, n=20, seed=1, within="round")) == 20


def test_accepted_shares_and_their_difference_are_computed_from_ticks():
    candidates = candidate_rows(conversations=12, rounds=2)
    ticks = candidates[["candidate_id", "figure_id"]].assign(accepted=candidates["round"] == 1)
    chosen = {
        "selected": candidates[candidates["round"] == 1],
        "random": pd.concat([candidates, candidates]),
    }
    shares = accepted_shares(chosen, ticks)
    assert set(shares) == {"selected", "random", "selected_minus_random"}
    assert (shares["selected"].estimate, shares["random"].estimate) == (1.0, 0.5)
    ahead = shares["selected_minus_random"]
    assert ahead.estimate == pytest.approx(0.5) and ahead.low > 0.3
    with pytest.raises(ValueError, match="1 of 12 candidates of 'selected' have no vote"):
        accepted_shares(chosen, ticks[ticks["candidate_id"] != "F3-final-r1-a"])


# --- bad input


def test_ratings_of_two_judges_are_not_averaged():
    ratings = pd.DataFrame({"candidate_id": ["a", "a"], "judge": ["j", "k"], "repeat": 0})
    with pytest.raises(ValueError, match=r"ratings by 2 judges \(j, k\): keep one judge's ratings"):
        rating_scores(ratings.assign(overall=[1.0, 9.0]))


def test_an_empty_pool_has_no_near_duplicates():
    figures = pd.DataFrame({"figure_id": [], "phash": []})
    assert near_duplicates(candidate_rows()[:0], {}, figures, {}).empty
