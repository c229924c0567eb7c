"""The explorer's rows without a widget: what is joined, filtered, counted, searched and sorted."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from explorer_rows import IDS, ROWS, SCORES, TABLES, TICKS, many_rows
from panel_rows import FIGURES

from vital_lib.panels.candidate_explorer.facets import facets_of
from vital_lib.panels.candidate_explorer.index import RowIndex
from vital_lib.panels.candidate_explorer.rows import joined_rows


@pytest.fixture(scope="module")
def few() -> RowIndex:
    rows = joined_rows(ROWS, FIGURES, **TABLES)
    return RowIndex(rows, FIGURES, facets_of(rows, TICKS))


@pytest.fixture(scope="module")
def many() -> tuple[RowIndex, pd.DataFrame, pd.DataFrame]:
    rows, figures = many_rows(600)
    joined = joined_rows(rows, figures)
    return RowIndex(joined, figures, facets_of(joined)), joined, figures


# --- the join


def test_each_candidate_gets_the_mean_of_its_readable_ratings_and_its_accepted_share():
    rows = joined_rows(ROWS, FIGURES, **TABLES).set_index("candidate_id")
    assert rows.loc[IDS[:4], "rating"].tolist()[:2] == [8.5, 2.0]
    assert np.isnan(rows.at[IDS[2], "rating"]) and rows.at[IDS[3], "rating"] == 10
    assert rows.loc[IDS[:2], "accepted"].tolist() == [1.0, 0.5]
    assert rows.loc[IDS[:4], "annotators"].tolist() == [2, 2, 0, 0]
    assert rows["score"].notna().sum() == 10 and rows.at[IDS[-1], "outcome"] == "left out"
    assert rows.groupby("figure_id")["modality"].first().to_dict() == {
        "f1": "chest_xray", "f2": "not_stated", "f3": "several"
    }  # fmt: skip
    assert "modality" not in ROWS  # the caller's frame stays as it was


def test_two_scores_of_one_candidate_are_refused_and_so_is_a_candidate_that_comes_twice():
    with pytest.raises(ValueError, match="give the score of one selector"):
        joined_rows(ROWS, FIGURES, scores=pd.concat([SCORES, SCORES.head(1)]))
    with pytest.raises(ValueError, match="candidates occur twice"):
        joined_rows(pd.concat([ROWS, ROWS.head(1)]), FIGURES)


def test_a_candidate_whose_figure_is_not_given_is_still_found():
    rows = joined_rows(ROWS, FIGURES[:1])
    index = RowIndex(rows, FIGURES[:1], facets_of(rows))
    assert index.matching("question").all()
    assert index.matching("radiograph").sum() == (ROWS["figure_id"] == "f1").sum()


# --- facets and their counts


def test_every_row_is_counted_once_in_a_facet_of_single_values_null_included(few):
    counts = few.counts(few.matching(""), {})
    for name in ("stage", "arm", "split", "modality", "rating", "score", "accepted", "outcome"):
        assert sum(counts[name].values()) == len(ROWS), name
    assert counts["arm"] == {"none": 11, "random": 1, "clinician": 2}
    assert counts["rating"] == {"0": 0, "2": 1, "4": 0, "6": 0, "8": 2, "none": 11}
    assert counts["accepted"] == {"all": 1, "some": 1, "no_one": 0, "none": 12}
    assert counts["score"] == {"1": 2, "2": 2, "3": 2, "4": 2, "5": 2, "none": 4}
    assert counts["annotator"] == {"ann": 2, "bob": 2, "none": 12}
    assert counts["flag"] == {"wrong_side": 4, "none": 10}
    assert "question_type" not in counts  # all of one type: nothing to choose


def test_counts_are_those_of_a_plain_loop_under_any_two_filters(many):
    index, rows, _ = many
    chosen = {"arm": ["none", "random"], "flag": ["a"]}
    counts = index.counts(index.matching("left"), chosen)
    texts = _texts(rows, many[2]).str.contains("left")

    def fits(row, without):
        arm = without == "arm" or row.arm in chosen["arm"]
        return arm and (without == "flag" or "a" in row.flags)

    for name, column in (("arm", "arm"), ("split", "split"), ("stage", "stage")):
        loop = pd.Series([getattr(row, column) for row, found in
                          zip(rows.itertuples(), texts, strict=True)
                          if found and fits(row, name)]).value_counts()  # fmt: skip
        assert {value: n for value, n in counts[name].items() if n} == loop.to_dict(), name
    flagged = [row.flags for row, found in zip(rows.itertuples(), texts, strict=True)
               if found and fits(row, "flag")]  # fmt: skip
    assert counts["flag"]["a"] == sum("a" in own for own in flagged)
    assert counts["flag"]["none"] == sum(not own for own in flagged)


def test_a_facet_lists_its_most_frequent_values_and_counts_the_rest_as_other():
    kinds = [f"kind {n}" for n in range(40)] + ["kind 3"] * 160
    rows = joined_rows(many_rows(200)[0].assign(question_type=kinds), many_rows(200)[1])
    facet = facets_of(rows)["question_type"]
    assert len(facet.masks) == 31 and facet.masks["kind 3"].sum() == 161
    assert facet.masks["other"].sum() == 10


# --- search


def _texts(rows: pd.DataFrame, figures: pd.DataFrame) -> pd.Series:
    captions = rows["figure_id"].map(figures.set_index("figure_id")["caption"])
    return (rows["instruction"] + "\n" + rows["response"] + "\n" + captions).str.lower()


@pytest.mark.parametrize("query", ["left", "LEFT étage", "#17", '"right lower"', "lung zebra", " "])
def test_a_search_finds_the_rows_whose_texts_have_every_word_whatever_its_case(many, query):
    index, rows, figures = many
    words = [query.strip('"')] if query.startswith('"') else query.split()
    texts = _texts(rows, figures)
    wanted = [all(word.lower() in text for word in words) for text in texts]
    assert index.matching(query).tolist() == wanted
    assert query in ("lung zebra", " ") or 0 < sum(wanted) < len(rows)


def test_signs_in_a_search_are_taken_as_they_are(few):
    assert few.matching("onerror=").all()
    assert few.matching("(").all() and few.matching("$x^2$").all()
    assert not few.matching(".*").any()


def test_a_missing_text_is_found_by_nothing():
    rows = joined_rows(ROWS.assign(response=[None, *ROWS["response"][1:]]), FIGURES)
    index = RowIndex(rows, FIGURES, facets_of(rows))
    assert not index.matching("answer")[0] and not index.matching("none")[0]
    assert not index.matching("nan").any()


# --- order


def test_rows_are_sorted_by_any_column_with_nulls_last_both_ways(few):
    everything = few.matching("")
    rows = joined_rows(ROWS, FIGURES, **TABLES)
    for column, down in itertools.product(["rating", "score", "response", "arm"], [False, True]):
        values = rows[column].tolist()
        known = [place for place, value in enumerate(values) if value == value]
        nulls = [place for place, value in enumerate(values) if value != value]
        wanted = sorted(known, key=values.__getitem__, reverse=down) + nulls
        order = few.in_order(everything, column, descending=down)
        assert order.tolist() == wanted, (column, down)
    by_flags = few.in_order(everything, "flags", descending=True)
    assert [len(ROWS["flags"][place]) for place in by_flags[:5]] == [1, 1, 1, 1, 0]


def test_an_order_holds_only_the_rows_that_pass(few):
    passing = few.passing(few.matching(""), {"arm": ["clinician"], "stage": ["final"]})
    assert sorted(few.in_order(passing, "score")) == np.flatnonzero(passing).tolist()
    assert few.in_order(passing).tolist() == np.flatnonzero(passing).tolist()
