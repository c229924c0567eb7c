"""The score explorer's other views without a browser: what is selected, compared and looked at."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from panel_rows import CANDIDATES, DRAFTS, FIGURES, HOSTILE, SCORES, picture_of

from vital_lib.annotators import Votes
from vital_lib.panels import ScoreExplorer
from vital_lib.panels.score_explorer.picking import disagreement, far_apart
from vital_lib.selection import accepted_by_share, top_candidates
from vital_lib.statistics import mean_interval

SCORE_OF = SCORES.set_index("candidate_id").score
# The judge thinks the opposite of the selector, and has no opinion of the last.
RATINGS = (5 - 2 * SCORE_OF).where(SCORE_OF.index != SCORE_OF.index[-1])
OTHER = -SCORE_OF


def explorer(**options) -> ScoreExplorer:
    return ScoreExplorer(SCORES, CANDIDATES, FIGURES, picture_of, **options)


def sent_by(panel: ScoreExplorer) -> list:
    sent = []
    panel.widget.send = lambda content, buffers=(): sent.append((content, list(buffers)))
    return sent


# --- selecting rows


def test_a_lasso_selects_rows_in_python_and_the_page_marks_them():
    panel = explorer(ratings=RATINGS)
    sent = sent_by(panel)
    panel.select([0, 3])
    best = list(SCORE_OF.sort_values(ascending=False).index)
    assert list(panel.selected()["candidate_id"]) == [best[0], best[3]]
    assert list(panel.selected()["outcome"]) == ["kept", "left out"]
    assert panel.selected()["rating"].tolist() == RATINGS[[best[0], best[3]]].tolist()
    [(content, (rows,))] = sent
    assert content == {"picked": 2} and list(np.frombuffer(rows, np.int32)) == [0, 3]
    panel.select([best[1]])  # by id
    assert panel.widget.state["picked"]["list"][0]["row"] == 1


@pytest.mark.parametrize("row", [6, -1, "nobody"])
def test_a_row_that_is_not_there_is_refused(row):
    panel = explorer()
    with pytest.raises(ValueError, match=r"no (row|candidate) "):
        panel.select([row])
    with pytest.raises(ValueError, match=r"no (row|candidate) "):
        panel.look_at(row)


def test_only_so_many_of_a_large_selection_are_listed():
    n = 200
    rows = pd.concat([CANDIDATES.head(1)] * n, ignore_index=True)
    rows["candidate_id"] = [f"c{i}" for i in range(n)]
    scores = rows[["candidate_id"]].assign(score=range(n))
    panel = ScoreExplorer(scores, rows, FIGURES, picture_of)
    panel.select(range(n))
    assert len(panel.selected()) == n == panel.widget.state["picked"]["n"]
    assert len(panel.widget.state["picked"]["list"]) == 50
    assert len(json.dumps(panel.widget.state)) < 20_000


def test_disagreement_is_a_difference_of_places_among_rows_with_both():
    rows = pd.DataFrame({"candidate_id": list("abcd"), "score": [1.0, 2, 3, 4]})
    rows["rating"] = [8.0, 8, 1, None]
    gap = disagreement(rows, "rating")
    assert gap.round(3).to_dict() == {"a": -0.5, "b": round(2 / 3 - 5 / 6, 3), "c": round(2 / 3, 3)}
    assert list(far_apart(rows, "rating").index) == ["c", "a"]  # largest first


def test_the_region_of_disagreement_is_selected_by_one_call_and_its_halves_by_another():
    panel = explorer(ratings=RATINGS)
    panel.select_disagreements()
    both = set(panel.selected()["candidate_id"])
    panel.select_disagreements("rating", "selector")
    higher = panel.selected()
    panel.select_disagreements("rating", "other")
    lower = panel.selected()
    assert higher["score"].min() > lower["score"].max()
    assert both == {*higher["candidate_id"], *lower["candidate_id"]}
    assert panel.widget.state["apart"]["rating"] == [len(higher), len(lower)]
    assert panel.widget.state["picked"]["label"] == "judge higher"
    with pytest.raises(ValueError, match="give against"):
        panel.select_disagreements("nothing")


def test_disagreements_are_those_of_the_set_shown():
    rows = pd.concat([CANDIDATES, DRAFTS], ignore_index=True)
    scores = rows[["candidate_id"]].assign(score=np.arange(len(rows), dtype=float))
    ratings = pd.Series(-scores["score"].to_numpy(), scores["candidate_id"])
    panel = ScoreExplorer(scores, rows, FIGURES, picture_of, share=None, ratings=ratings)
    panel.select_disagreements()
    assert len(panel.selected()) and set(panel.selected()["split"]) == {"test"}


# --- two selectors


def test_what_crosses_the_cut_is_what_one_of_two_selections_keeps():
    panel = explorer(share=0.5, other=OTHER, other_name="the published recipe")
    ours = set(top_candidates(CANDIDATES, SCORE_OF, share=0.5)["candidate_id"])
    theirs = set(top_candidates(CANDIDATES, OTHER, share=0.5)["candidate_id"])
    panel.select_crossing("enter")
    assert set(panel.selected()["candidate_id"]) == ours - theirs
    panel.select_crossing("leave")
    assert set(panel.selected()["candidate_id"]) == theirs - ours
    assert panel.widget.state["cut"]["crossing"] == [len(ours - theirs), len(theirs - ours)]
    panel.set_share(1)
    assert panel.widget.state["cut"]["crossing"] == [0, 0]
    with pytest.raises(ValueError, match="give 'enter' or 'leave'"):
        panel.select_crossing("stay")


def test_a_selector_without_enough_scores_cannot_be_compared_and_stops_nothing():
    panel = explorer(share=1, other=OTHER[:3])
    assert panel.widget.state["cut"]["crossing"] is None
    panel.set_share(0.2)
    assert panel.widget.state["cut"]["crossing"] is not None
    with pytest.raises(ValueError, match="no other selector"):
        explorer().select_crossing("enter")


# --- one candidate


def test_a_candidate_is_shown_with_its_place_votes_and_texts_as_texts():
    best = SCORE_OF.idxmax()
    people = pd.DataFrame({"candidate_id": [best], "accepted": [2 / 3], "annotators": [3]})
    votes = Votes(n=3, simulated=3)
    panel = explorer(ratings=RATINGS, people=people, votes=votes)
    panel.look_at(0)
    shown = panel.widget.state["shown"]
    assert (shown["candidate_id"], shown["row"], shown["outcome"]) == (best, 0, "kept")
    assert shown["above"] == pytest.approx(5 / 6)
    assert shown["ticks"] == "accepted by 2 of 3 simulated clinicians"
    assert HOSTILE in shown["response"]
    unrated = RATINGS.index[RATINGS.isna()][0]
    panel.look_at(unrated)
    assert panel.widget.state["shown"]["rating"] is None
    assert panel.widget.state["shown"]["ticks"] == "not judged"
    panel.look_at(None)
    assert panel.widget.state["shown"] is None


# --- curves


def voted_rows(n: int = 60) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
    """Candidates of 20 articles, scores, and two votes each that follow the scores."""
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"candidate_id": [f"c{i:02}" for i in range(n)]})
    rows["group_id"] = [f"g{i % 20}" for i in range(n)]
    scores = pd.Series(rng.normal(size=n), rows["candidate_id"])
    accepted = (scores.to_numpy() + rng.normal(size=(2, n)) > 0).astype(float).ravel()
    ticks = pd.DataFrame({"candidate_id": [*rows["candidate_id"]] * 2, "accepted": accepted})
    return rows, scores, ticks


def test_the_accepted_share_of_each_share_is_that_of_the_candidates_it_keeps():
    rows, scores, ticks = voted_rows()
    found = accepted_by_share(rows, {"selector": scores}, ticks, shares=(0.25, 0.5, 1))
    found = found.set_index(["ranked_by", "share"])
    for share in (0.25, 0.5, 1):
        kept = top_candidates(rows, scores, share=share)
        own = ticks[ticks["candidate_id"].isin(kept["candidate_id"])]
        assert found.loc[("selector", share), "accepted"] == pytest.approx(own["accepted"].mean())
    whole = ticks.merge(rows)
    mean = mean_interval(whole["accepted"], whole["group_id"])
    for name, share in (("selector", 1), ("random", 0.25), ("random", 1)):
        row = found.loc[name, share]
        assert (row["accepted"], row["low"], row["high"]) == pytest.approx(
            (mean.estimate, mean.low, mean.high)
        )
    assert found.loc[("selector", 0.25), "accepted"] > found.loc[("random", 0.25), "accepted"]
    assert found.loc[("selector", 0.25), ["candidates", "articles"]].tolist() == [15, 20]


def test_rankings_are_compared_on_the_candidates_that_all_of_them_rank():
    rows, scores, ticks = voted_rows()
    judge = scores.copy()
    judge.iloc[:10] = None
    found = accepted_by_share(rows, {"selector": scores, "judge": judge[:40]}, ticks, shares=(1,))
    assert found["candidates"].tolist() == [30, 30, 30]
    assert found["accepted"].nunique() == 1
    assert accepted_by_share(rows, {"selector": scores}, ticks[:0]).empty


def test_curves_are_sent_once_in_percent_with_whose_votes_they_rest_on():
    rows, scores, ticks = voted_rows()
    expected = accepted_by_share(rows, {"selector": scores}, ticks, shares=(0.5, 1))
    learning = pd.DataFrame(
        {"learned": "both", "questions": [100, 0], "agreement": [0.8, 0.7], "low": [0.7, None]}
    ).assign(high=[0.9, None])
    sweep = pd.DataFrame({"w_human": [10, 100], "validation_agreement": [0.6, 0.7]})
    curves = {"expected": expected, "learning": learning, "sweep": sweep}
    panel = explorer(**curves, votes=Votes(n=120, simulated=120))
    sent = sent_by(panel)
    panel._heard(panel.widget, {"points": True}, [])
    found = sent[0][0]["curves"]
    json.dumps(found, allow_nan=False)
    assert list(found) == ["expected", "learning", "sweep"]
    assert found["expected"]["y"] == "accepted by simulated clinicians (%)"
    assert [one["name"] for one in found["expected"]["series"]] == ["selector", "random"]
    half = found["expected"]["series"][0]["points"][0]
    assert half[0] == 50 and half[2] < half[1] < half[3] <= 100
    [both] = found["learning"]["series"]
    assert both["points"] == [[0, 70, None, None], [100, 80, 70, 90]]
    assert found["learning"]["ticks"] == [0, 100]
    assert [point[:2] for point in found["sweep"]["series"][0]["points"]] == [[10, 60], [100, 70]]
    panel.set_share(0.2)
    assert len(sent) == 3  # nothing more at a drag


def test_without_curves_no_such_view_is_offered():
    panel = explorer(expected=accepted_by_share(*voted_rows()[:1], {}, voted_rows()[2][:0]))
    sent = sent_by(panel)
    panel._heard(panel.widget, {"points": True}, [])
    assert sent[0][0]["curves"] == {}
