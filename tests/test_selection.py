"""Selection of instructions: cut, groups, near-duplicates, controls and export."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vital_lib.selection import (
    OUTCOMES,
    accepted_shares,
    answer_polarity,
    chance_scores,
    conversations,
    coverage,
    cut,
    export_llava,
    length_scores,
    near_duplicates,
    random_candidates,
    rating_scores,
    select_random,
    similarity_scores,
    top_candidates,
    typical_scores,
)
from vital_lib.tables import Workspace


def candidate_rows(conversations: int = 5, rounds: int = 4) -> pd.DataFrame:
    """Candidates F0-final-r1-a, ... in reverse order of their rounds."""
    rows = [
        {
            "candidate_id": f"F{c}-final-r{r}-a",
            "conversation_id": f"F{c}-final",
            "figure_id": f"F{c}",
            "group_id": f"g{c}",
            "round": r,
            "instruction": f"Question {r} on {c}?",
            "response": f"Answer {r} on {c}.",
        }
        for r in reversed(range(1, rounds + 1))
        for c in range(conversations)
    ]
    return pd.DataFrame(rows)


def scores_for(candidates: pd.DataFrame, seed: int = 0) -> pd.Series:
    values = np.random.default_rng(seed).normal(size=len(candidates))
    return pd.Series(values, index=pd.Index(candidates["candidate_id"]))


def select(candidates: pd.DataFrame, scores, **how) -> pd.DataFrame:
    return conversations(candidates, cut(candidates, scores, **how))


def kept_ids(selected: pd.DataFrame) -> set[tuple[str, str]]:
    """(conversation, instruction) of every kept round."""
    return {
        (row["conversation_id"], turn["instruction"])
        for row in selected.to_dict("records")
        for turn in row["turns"]
    }


def rounds_in(selected: pd.DataFrame) -> int:
    return int(selected["turns"].str.len().sum())


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


# --- export


@pytest.fixture
def export(tmp_path):
    figures = pd.DataFrame(
        {
            "figure_id": [f"F{c}" for c in range(5)],
            "image": [str(tmp_path / f"images/F{c}.png") for c in range(5)],
        }
    )
    candidates = candidate_rows()
    return select(candidates, scores_for(candidates), share=0.6), figures, Workspace(tmp_path)


def test_the_export_has_every_round_in_llava_format(export):
    selected, figures, workspace = export
    path = workspace.path / "selected_llava.json"
    assert export_llava(selected, figures, path) == len(selected) > 0
    records = json.loads(path.read_text(encoding="utf-8"))
    for record, row in zip(records, selected.to_dict("records"), strict=True):
        assert set(record) == {"id", "image", "conversations"}
        assert record["id"] == row["conversation_id"]
        assert (
            Path(record["image"]) == (workspace.path / f"images/{row['figure_id']}.png").resolve()
        )
        assert [turn["from"] for turn in record["conversations"]] == ["human", "gpt"] * len(
            row["turns"]
        )
        values = [turn["value"] for turn in record["conversations"]]
        assert values[0].startswith("<image>\n")
        assert sum(value.count("<image>") for value in values) == 1
        values[0] = values[0].removeprefix("<image>\n")
        turns = [
            {"instruction": question, "response": answer}
            for question, answer in zip(values[::2], values[1::2], strict=True)
        ]
        assert turns == row["turns"]


def test_image_paths_can_be_relative_to_a_folder(export):
    selected, figures, workspace = export
    path = workspace.path / "out.json"
    folder = workspace.path / "images"
    export_llava(selected, figures, path, image_folder=folder)
    records = json.loads(path.read_text())
    assert len(records) == len(selected) > 0
    assert all(re.fullmatch(r"F\d\.png", record["image"]) for record in records)
    with pytest.raises(ValueError, match="is not inside image_folder"):
        export_llava(selected, figures, path, image_folder=folder / "deeper")


def test_a_text_cannot_add_a_second_image(export):
    selected, figures, workspace = export
    forged = selected.head(1).copy()
    forged["turns"] = [[{"instruction": "What is <image>?", "response": "A <image>nodule."}] * 2]
    path = workspace.path / "out.json"
    export_llava(forged, figures, path)
    assert path.read_text().count("<image>") == 1


def _drawn(figures):
    for place, image in enumerate(figures["image"]):
        Path(image).parent.mkdir(parents=True, exist_ok=True)
        Path(image).write_bytes(b"image %d" % place)


@pytest.mark.parametrize("images", ["copy", "link"])
@pytest.mark.parametrize("folder", [None, "given"])
def test_images_are_placed_next_to_the_file_on_request(export, tmp_path, images, folder):
    selected, figures, workspace = export
    _drawn(figures)
    path = tmp_path / "out" / "selected.json"
    path.parent.mkdir()
    base = path.parent / "images" if folder is None else tmp_path / folder
    given = {} if folder is None else {"image_folder": base}
    for _ in range(2):  # the second time all images exist already
        export_llava(selected, figures, path, images=images, **given)
    records = json.loads(path.read_text())
    assert len(records) == len(selected) > 1
    for record, name in zip(records, selected["figure_id"], strict=True):
        assert record["image"] == f"{name}.png"
        placed = base / record["image"]
        assert placed.read_bytes() == (workspace.path / f"images/{name}.png").read_bytes()
        assert placed.is_symlink() == (images == "link")
    assert len(list(base.iterdir())) == selected["figure_id"].nunique()


def test_a_figures_name_cannot_escape_the_image_folder_or_overwrite_an_image(export, tmp_path):
    selected, figures, workspace = export
    _drawn(figures)
    names = ["../../up", ".. up", "a/b", "a b", "..."]
    renamed = dict(zip(figures["figure_id"], names, strict=True))
    selected = selected.assign(figure_id=selected["figure_id"].map(renamed))
    figures = figures.assign(figure_id=names)
    path = tmp_path / "out" / "selected.json"
    path.parent.mkdir()
    export_llava(selected, figures, path, images="copy")
    images = dict(zip(figures["figure_id"], figures["image"], strict=True))
    for record, name in zip(json.loads(path.read_text()), selected["figure_id"], strict=True):
        placed = (path.parent / "images" / record["image"]).resolve()
        assert placed.is_relative_to(path.parent / "images")
        assert placed.read_bytes() == Path(images[name]).read_bytes()


def test_an_unknown_images_option_is_refused(export, tmp_path):
    selected, figures, workspace = export
    with pytest.raises(ValueError, match="images='move'"):
        export_llava(selected, figures, tmp_path / "o.json", images="move")


def test_a_round_with_only_an_image_tag_is_dropped_and_counted(export, caplog):
    selected, figures, workspace = export
    good = {"instruction": "<image>Where?", "response": "Left."}
    rounds = [{**good, "instruction": "<image>\n"}, good, {**good, "response": " <image> "}]
    forged = selected.head(2).copy()
    forged["turns"] = [rounds, rounds[:1]]
    path = workspace.path / "out.json"
    assert export_llava(forged, figures, path) == 1
    (record,) = json.loads(path.read_text())
    assert [turn["value"] for turn in record["conversations"]] == ["<image>\nWhere?", "Left."]
    assert "left out 3 rounds with only <image>, and 1 of 2 conversations" in caplog.text


def test_a_failed_export_keeps_the_former_file(export):
    selected, figures, workspace = export
    path = workspace.path / "out.json"
    export_llava(selected, figures, path)
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match="1 of .* conversations are about figures that are not given"
    ):
        export_llava(
            selected,
            figures[figures["figure_id"] != selected["figure_id"].iloc[0]],
            path,
        )
    empty = selected.assign(turns=[[] for _ in range(len(selected))])
    with pytest.raises(ValueError, match="has no rounds"):
        export_llava(empty, figures, path)
    assert path.read_bytes() == before


# Bad input


def test_an_impossible_number_is_refused_with_the_value():
    pool = candidate_rows(2, 2)
    scores = scores_for(pool)
    with pytest.raises(ValueError, match=r"n = 2\.5 with 4 .* give a whole number"):
        cut(pool, scores, n=2.5)
    with pytest.raises(ValueError, match=r"share = 1 of 4 makes n = 4 with 3 eligible candidates"):
        cut(pool, scores, share=1, duplicates=pool[:1])


def test_ratings_of_two_judges_are_not_averaged():
    ratings = pd.DataFrame({"candidate_id": ["a", "a"], "judge": ["j", "k"], "repeat": 0})
    with pytest.raises(ValueError, match=r"ratings by 2 judges \(j, k\): keep one judge's ratings"):
        rating_scores(ratings.assign(overall=[1.0, 9.0]))


def test_an_empty_pool_has_no_near_duplicates():
    figures = pd.DataFrame({"figure_id": [], "phash": []})
    assert near_duplicates(candidate_rows()[:0], {}, figures, {}).empty


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
