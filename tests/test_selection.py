"""Claims about vital_lib.selection: the cut, its control of the same size, and the export."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vital_lib.selection import (
    export_llava,
    random_candidates,
    select,
    select_random,
    top_candidates,
)
from vital_lib.tables import Workspace


def candidate_rows(conversations: int = 5, rounds: int = 4) -> pd.DataFrame:
    """Candidates F0-final-r1-a, ... in an order that is not that of their rounds."""
    rows = [
        {
            "candidate_id": f"F{c}-final-r{r}-a",
            "conversation_id": f"F{c}-final",
            "figure_id": f"F{c}",
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


def test_rounds_keep_their_order_and_a_conversation_with_none_is_left_out():
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


def test_the_order_of_the_rows_changes_nothing():
    candidates = candidate_rows()
    scores = pd.Series(1.0, index=candidates["candidate_id"])  # all tie: ids decide
    shuffled = candidates.sample(frac=1, random_state=1)
    selected = select(candidates, scores, share=0.4)
    assert len(selected)
    pd.testing.assert_frame_equal(selected, select(shuffled, scores, share=0.4))


def test_selected_sets_are_tables_of_the_run(tmp_path):
    candidates = candidate_rows()
    workspace = Workspace(tmp_path)
    selected = select(candidates, scores_for(candidates), share=0.4)
    workspace.write("selected", selected)
    pd.testing.assert_frame_equal(workspace.read("selected"), selected, check_dtype=False)
    assert workspace.write("selected", select_random(candidates, n=8)) > 0


@pytest.mark.parametrize("share", [0, -0.1, 1.01, math.nan])
def test_a_share_outside_zero_to_one_is_refused(share):
    candidates = candidate_rows()
    with pytest.raises(ValueError, match=f"above 0 and up to 1, not {share!r}"):
        select(candidates, scores_for(candidates), share=share)


def test_missing_scores_are_refused_with_their_count():
    candidates = candidate_rows()
    scores = scores_for(candidates).drop(["F0-final-r4-a", "F1-final-r4-a"])
    with pytest.raises(ValueError, match="2 of 20 candidates have no score, first 'F0-final-r4-a'"):
        select(candidates, scores, share=0.4)
    with pytest.raises(ValueError, match="n = 1 with 0 candidates"):
        select(candidates.iloc[:0], scores, share=0.4)
    with pytest.raises(ValueError, match="1 of 21 candidate_ids stand twice"):
        select(pd.concat([candidates, candidates.iloc[:1]]), scores_for(candidates), n=2)


def test_a_null_score_is_never_among_the_best():
    candidates = candidate_rows()
    scores = scores_for(candidates)
    scores.iloc[:5] = np.nan
    kept = top_candidates(candidates, scores, n=15)
    assert set(kept["candidate_id"]) == set(scores.index[5:])
    with pytest.raises(ValueError, match="n = 16 with 15 candidates with a score"):
        top_candidates(candidates, scores, n=16)
    with pytest.raises(ValueError, match="n = 20 with 15"):
        select(candidates, scores, share=1.0)


def test_equal_scores_are_drawn_by_seed_and_the_better_stay_ahead():
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


def test_the_control_has_the_same_number_of_candidates_and_no_liking():
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
    assert counts.min() > 25 and counts.max() < 80  # 50 expected of each


def test_more_than_there_are_cannot_be_drawn():
    with pytest.raises(ValueError, match="n = 21 with 20 candidates"):
        select_random(candidate_rows(), n=21)
    with pytest.raises(ValueError, match="n = 0"):
        select_random(candidate_rows(), n=0)


@pytest.fixture
def export(tmp_path):
    figures = pd.DataFrame(
        {"figure_id": [f"F{c}" for c in range(5)], "image": [f"images/F{c}.png" for c in range(5)]}
    )
    candidates = candidate_rows()
    return select(candidates, scores_for(candidates), share=0.6), figures, Workspace(tmp_path)


def test_the_export_holds_every_round_in_llavas_format(export):
    selected, figures, workspace = export
    path = workspace.path / "selected_llava.json"
    assert export_llava(selected, figures, path, resolve=workspace.resolve) == len(selected) > 0
    records = json.loads(path.read_text(encoding="utf-8"))
    for record, row in zip(records, selected.to_dict("records"), strict=True):
        assert set(record) == {"id", "image", "conversations"}
        assert record["id"] == row["conversation_id"]
        assert (
            Path(record["image"]) == workspace.resolve(f"images/{row['figure_id']}.png").resolve()
        )
        assert [turn["from"] for turn in record["conversations"]] == ["human", "gpt"] * len(
            row["turns"]
        )
        values = [turn["value"] for turn in record["conversations"]]
        assert values[0].startswith("<image>\n")
        assert sum(value.count("<image>") for value in values) == 1
        values[0] = values[0].removeprefix("<image>\n")
        turns = [
            {"instruction": asked, "response": answered}
            for asked, answered in zip(values[::2], values[1::2], strict=True)
        ]
        assert turns == row["turns"]


def test_image_paths_can_be_relative_to_a_folder(export):
    selected, figures, workspace = export
    path = workspace.path / "out.json"
    folder = workspace.path / "images"
    export_llava(selected, figures, path, resolve=workspace.resolve, image_folder=folder)
    records = json.loads(path.read_text())
    assert len(records) == len(selected) > 0
    assert all(re.fullmatch(r"F\d\.png", record["image"]) for record in records)
    with pytest.raises(ValueError, match="is not inside image_folder"):
        export_llava(
            selected, figures, path, resolve=workspace.resolve, image_folder=folder / "deeper"
        )


def test_a_text_cannot_call_for_a_second_image(export):
    selected, figures, workspace = export
    forged = selected.head(1).copy()
    forged["turns"] = [[{"instruction": "What is <image>?", "response": "A <image>nodule."}] * 2]
    path = workspace.path / "out.json"
    export_llava(forged, figures, path, resolve=workspace.resolve)
    assert path.read_text().count("<image>") == 1


def test_an_export_that_fails_leaves_the_former_file(export):
    selected, figures, workspace = export
    path = workspace.path / "out.json"
    export_llava(selected, figures, path, resolve=workspace.resolve)
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match="1 of .* conversations are about figures that are not given"
    ):
        export_llava(
            selected,
            figures[figures["figure_id"] != selected["figure_id"].iloc[0]],
            path,
            resolve=workspace.resolve,
        )
    empty = selected.assign(turns=[[] for _ in range(len(selected))])
    with pytest.raises(ValueError, match="has no rounds"):
        export_llava(empty, figures, path, resolve=workspace.resolve)
    assert path.read_bytes() == before
