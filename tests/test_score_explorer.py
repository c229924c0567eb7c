"""The score explorer without a browser: its sets, facets and cut, and what the page is sent."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from panel_rows import CANDIDATES, DRAFTS, FIGURES, HOSTILE, SCORES, candidate_row, picture_of

from vital_lib.annotators import Votes
from vital_lib.panels import ScoreExplorer
from vital_lib.panels.score_explorer.pool_cut import NEVER, PoolCut
from vital_lib.selection import conversations, cut, quotas, top_candidates

SCORE_OF = SCORES.set_index("candidate_id").score
BOTH = pd.concat([CANDIDATES, DRAFTS], ignore_index=True)
ALL_SCORES = BOTH[["candidate_id"]].assign(score=np.linspace(2, -2, len(BOTH)))
PEOPLE = pd.DataFrame(
    {"candidate_id": list(DRAFTS.candidate_id[4:7]), "accepted": [1.0, 0.5, 0.0], "annotators": 2}
)


def explorer(*given, **options) -> ScoreExplorer:
    scores, candidates = given or (SCORES, CANDIDATES)
    return ScoreExplorer(scores, candidates, FIGURES, picture_of, **options)


def pool_of(n: int, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """`n` candidates in groups of unequal size, their scores rounded so that some are equal."""
    rng = np.random.default_rng(seed)
    rows = [candidate_row("f1", "final", "clinician", i) for i in range(n)]
    groups = rng.choice(list("abcdefg"), n, p=np.array([30, 20, 15, 15, 10, 8, 2]) / 100)
    pool = pd.DataFrame(rows).assign(kind=groups)
    return pool, pd.Series(rng.normal(size=n).round(1), pd.Index(pool["candidate_id"]))


def received(panel: ScoreExplorer) -> dict[str, tuple[dict, list[bytes]]]:
    """What the page gets when it asks for the columns, by the message's first word."""
    sent = {}
    panel.widget.send = lambda content, buffers=(): sent.update(
        {next(iter(content)): (content, list(buffers))}
    )
    panel._heard(panel.widget, {"points": True}, [])
    return sent


# --- the cut


@pytest.mark.parametrize("share", [0.1, 0.25, 0.4, 0.75, 0.9, 1, 0.001])
def test_the_panel_keeps_what_the_selection_will_keep(share):
    panel = explorer(share=share)
    number = max(1, round(share * len(CANDIDATES)))
    assert panel.kept == list(top_candidates(CANDIDATES, SCORE_OF, n=number).candidate_id)
    turns = conversations(CANDIDATES, cut(CANDIDATES, SCORE_OF, share=panel.share)).turns
    assert sum(len(rounds) for rounds in turns) == len(panel.kept)


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_a_share_outside_its_range_is_refused_and_changes_nothing(share):
    panel = explorer(share=0.5)
    with pytest.raises(ValueError, match="above 0"):
        panel.set_share(share)
    assert (panel.share, len(panel.kept)) == (0.5, 3)
    with pytest.raises(ValueError, match="above 0"):
        explorer(share=share)


def test_quotas_add_up_and_are_those_of_the_cut():
    pool, scores = pool_of(223, seed=1)
    ranked = cut(pool, scores, n=1, within="kind")
    codes, names = pd.factorize(ranked["group"])
    numbers = list(range(1, len(pool) + 1))
    for n, row in zip(numbers, quotas(codes, numbers), strict=True):
        kept = top_candidates(pool, scores, n=n, within="kind")["kind"].value_counts()
        assert row.sum() == n
        assert dict(zip(names, row, strict=True)) == kept.reindex(names, fill_value=0).to_dict()


@pytest.mark.parametrize("within", [None, "kind"])
@pytest.mark.parametrize("floor", [None, 0.3])
def test_each_step_of_a_drag_keeps_exactly_what_the_cut_keeps(within, floor):
    pool, scores = pool_of(97, seed=2)
    pool.loc[pool.index[:5], "flags"] = pd.Series([["refuses"]] * 5)
    scores.iloc[7] = np.nan
    duplicates = pool[["candidate_id"]].iloc[10:14]
    how = {"within": within, "floor": floor, "duplicates": duplicates}
    prepared = PoolCut(pool, scores, **how)
    assert len(prepared.shares) > 500
    for share, quota in list(zip(prepared.shares, prepared.grid, strict=True))[::13]:
        own = prepared.places[prepared.places["place"] < quota[prepared.places["group"]]]
        made = cut(pool, scores, share=share, **how)
        assert set(own.index) == set(made.loc[made["outcome"] == "kept", "candidate_id"])
        assert list(quota) == prepared.quota(share)


def test_the_largest_share_is_the_one_that_near_duplicates_leave():
    duplicates = CANDIDATES[["candidate_id"]].head(2)
    prepared = PoolCut(CANDIDATES, SCORE_OF, duplicates=duplicates)
    most = prepared.shares[-1]
    assert round(most * 6) == 4
    panel = explorer(share=float(most), duplicates=duplicates)
    assert len(panel.kept) == 4 and not set(duplicates.candidate_id) & set(panel.kept)
    with pytest.raises(ValueError, match="4 eligible"):
        panel.set_share(1)


def test_the_line_lies_between_the_last_score_kept_and_the_first_left_out():
    prepared = PoolCut(CANDIDATES, SCORE_OF)
    ranked = np.sort(SCORE_OF.to_numpy())[::-1]
    assert prepared.line(2) == pytest.approx((ranked[1] + ranked[2]) / 2)
    assert prepared.line(6) == ranked[5]
    assert (np.diff(prepared.lines) <= 0).all()


def test_refusals_are_counted_and_no_part_of_the_distributions():
    best = SCORE_OF.idxmax()
    rows = CANDIDATES.assign(flags=[["refuses"] * (i == best) for i in CANDIDATES.candidate_id])
    panel = explorer(SCORES, rows, share=1)
    assert best not in panel.kept and len(panel.kept) == 5
    assert panel.widget.state["no_answer"] == 1
    assert best not in set(panel.table().candidate_id)
    kept = explorer(SCORES, rows, share=0.5, flagged=True)
    assert best in kept.kept and kept.widget.state["no_answer"] == 0


def test_a_floor_empties_places_and_one_above_all_scores_is_refused():
    assert len(explorer(share=1, floor=0.2).kept) == (SCORES.score >= 0.2).sum() == 3
    with pytest.raises(ValueError, match="floor = 9"):
        explorer(floor=9.0)


def test_candidates_without_a_score_are_counted_not_kept():
    panel = explorer(SCORES[:4], CANDIDATES, share=0.5)
    assert len(panel.kept) == 3
    assert panel.widget.state["cut"]["unscored"] == 2


def test_borderline_cases_stand_next_to_the_cut_and_their_texts_stay_texts():
    panel = explorer(share=0.5)
    state = panel.widget.state["cut"]
    assert state["inside"][-1]["candidate_id"] == panel.kept[-1]
    assert state["outside"][0]["score"] <= state["inside"][-1]["score"]
    assert HOSTILE in state["outside"][0]["response"]


def test_scores_all_alike_can_be_cut():
    panel = explorer(SCORES.assign(score=0.0), CANDIDATES)
    assert panel.widget.state["cut"]["line"] == 0
    assert len(panel.kept) == 2


def test_quotas_change_by_label_and_are_a_result_of_the_panel():
    panel = explorer(share=0.5, within="arm")
    assert panel.kept == list(
        top_candidates(CANDIDATES, SCORE_OF, share=0.5, within="arm").candidate_id
    )
    assert panel.widget.state["cut"]["withins"][:2] == ["arm", "none"]
    panel.set_within("modality")
    assert panel.within == "modality" and panel.widget.state["cut"]["within"] == "modality"
    panel.set_within("none")
    assert panel.within is None and panel.kept == explorer(share=0.5).kept
    with pytest.raises(ValueError, match="give one of arm, none, modality"):
        panel.set_within("cluster")


def test_the_pool_is_only_what_it_names():
    chosen = CANDIDATES.candidate_id[:3]
    panel = explorer(ALL_SCORES, BOTH, pool=chosen, share=1)
    assert set(panel.kept) == set(chosen)
    assert panel.table()["outcome"].eq("kept").all() and len(panel.table()) == 3


# --- the sets


def test_held_out_articles_and_those_learned_from_are_never_shown_together():
    panel = explorer(ALL_SCORES, BOTH, share=None, people=PEOPLE)
    assert panel.set == "held-out"  # without a cut
    assert set(panel.table()["split"]) == {"test"}
    panel.show_set("training")
    assert set(panel.table()["split"]) == {"train"}
    labels = {name: label for name, label, *_ in panel.widget.state["sets"]}
    assert "learned from" in labels["training"] and "pool" not in labels
    with pytest.raises(ValueError, match="set 'all': give one of held-out, training"):
        panel.show_set("all")


def test_a_pool_of_training_articles_is_said_to_be_one():
    state = explorer(share=0.5).widget.state
    assert state["set"] == "pool" and state["cut"]["learned"] == len(CANDIDATES)


def test_without_a_share_there_is_no_cut_to_move():
    panel = explorer(share=None)
    assert panel.kept == [] and panel.widget.state["cut"] is None
    with pytest.raises(ValueError, match="no cut"):
        panel.set_share(0.3)
    assert "outcome" not in panel.table()
    assert "cut" not in received(panel)


def test_no_score_at_all_names_the_notebook():
    with pytest.raises(ValueError, match="06_train_selector"):
        explorer(SCORES.assign(score=float("nan")), CANDIDATES)


# --- the facets, and what the page is sent


def test_votes_are_a_facet_that_names_who_gave_them():
    votes = Votes(n=6, simulated=6)
    panel = explorer(ALL_SCORES, BOTH, share=None, people=PEOPLE, votes=votes, by="votes")
    content, _ = received(panel)["points"]
    assert content["facets"]["votes"]["names"] == [
        "accepted by simulated clinicians",
        "rejected by simulated clinicians",
        "not judged",
    ]
    with pytest.raises(ValueError, match="facet 'votes': give one of modality"):
        explorer(by="votes")


def test_the_page_gets_each_row_once_as_numbers():
    panel = explorer(ALL_SCORES, BOTH, share=0.5, pool=CANDIDATES.candidate_id, people=PEOPLE)
    content, (scores, sets, _, _, *codes) = received(panel)["points"]
    assert content["points"] == len(BOTH)
    assert list(np.frombuffer(scores, np.float32)) == sorted(ALL_SCORES.score.astype("f4"))[::-1]
    items = BOTH.set_index("candidate_id").loc[panel._items["candidate_id"]]
    bits = np.frombuffer(sets, np.uint8)
    assert list((bits & 1) > 0) == list(items["stage"] == "final")
    assert list((bits & 2) > 0) == list(items["figure_id"] == "f2")  # the only held-out article
    assert list((bits & 4) > 0) == list(items["figure_id"] != "f2")
    for facet, column in zip(content["facets"].values(), codes, strict=True):
        assert np.frombuffer(column, np.uint16).max() < len(facet["names"])
        assert len(facet["names"]) == len(facet["colours"])


@pytest.mark.slow
def test_the_page_can_tell_from_the_columns_what_each_share_keeps():
    panel = explorer(ALL_SCORES, BOTH, pool=CANDIDATES.candidate_id, within="arm")
    content, buffers = received(panel)["cut"]
    groups, places, grid = (np.frombuffer(data, np.int32) for data in buffers[:3])
    grid, shares = grid.reshape(content["cut"], -1), np.frombuffer(buffers[4], np.float64)
    ids = panel._items["candidate_id"].to_numpy()
    assert (places[~np.isin(ids, CANDIDATES.candidate_id)] == NEVER).all()
    for share, quota in zip(shares, grid, strict=True):
        panel.set_share(float(share))
        assert set(ids[places < quota[groups]]) == set(panel.kept)


def test_new_quotas_are_sent_when_they_change():
    panel, sent = explorer(share=0.5), []
    panel.widget.send = lambda content, buffers=(): sent.append(content)
    panel.set_share(0.2)
    assert sent == []  # the page follows a drag by itself
    panel.set_within("modality")
    assert [list(content) for content in sent] == [["cut"]]


def test_the_rows_shown_are_saved_as_csv():
    panel, sent = explorer(ALL_SCORES, BOTH, share=None), []
    panel.widget.send = lambda content, buffers=(): sent.append((content, buffers))
    panel.save_table()
    [(content, (data,))] = sent
    assert content == {"file": "scores_held-out.csv"}
    pd.testing.assert_frame_equal(
        pd.read_csv(io.BytesIO(data))[["candidate_id", "score"]],
        panel.table()[["candidate_id", "score"]],
        check_dtype=False,
    )
