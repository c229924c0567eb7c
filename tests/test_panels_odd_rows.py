"""Claims about panels over rows that nobody planned: few, equal, null, unknown, infinite."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from explorer_rows import ROWS
from panel_rows import CANDIDATES, DRAFTS, FIGURES, PEOPLE, RATINGS, SCORES, picture_of
from PIL import Image

from vital_lib import plots
from vital_lib.panels import CandidateExplorer, FigureBrowser, JudgePanel, ScoreExplorer
from vital_lib.panels import _static as static
from vital_lib.panels.candidate_explorer.facets import facets_of
from vital_lib.selection import cut

NO_SAVED_VIEW = "without a saved view"


def _page(panel) -> str:
    """What a notebook keeps of a panel; its static form must not have failed."""
    data = panel.widget._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert NO_SAVED_VIEW not in data["text/plain"]
    page = re.sub(r"base64,[^\"]*", "", data["text/html"])
    assert "nan" not in page and "None" not in page
    return page


def _explorer(rows, figures=FIGURES, **tables) -> CandidateExplorer:
    return CandidateExplorer(rows, figures, picture_of, **tables)


@pytest.mark.filterwarnings("error:.*fill value")
def test_candidates_without_a_figure_are_shown_or_refused_in_words():
    none = FIGURES.iloc[:0]
    assert "not stated" in _page(_explorer(ROWS, none))
    assert "Score" in _page(ScoreExplorer(SCORES, CANDIDATES, none, picture_of))
    with pytest.raises(ValueError, match="candidates belong to none of the given figures"):
        JudgePanel(RATINGS, DRAFTS, PEOPLE, none, picture_of)


# --- the candidate explorer


NULLS = dict.fromkeys(("instruction", "response", "flags", "demonstration_ids", "arm", "stage"))


@pytest.mark.parametrize(
    "rows",
    [ROWS.iloc[:0], ROWS.iloc[:1], ROWS.iloc[:2], ROWS.assign(**NULLS), ROWS.assign(flags=np.nan)],
    ids=["none", "one", "two", "nulls", "NaN flags"],
)
def test_the_explorer_lists_aligns_and_saves_any_rows(rows):
    panel = _explorer(rows)
    for aligned in (False, True):
        panel.align(aligned)
        panel.search("no such word")
        assert f"of {len(rows)} in all" in _page(panel)
        panel.clear_filters()
        assert len(panel.rows()) == len(rows)
        _page(panel)


def test_figures_without_mentions_or_with_a_modality_of_elsewhere_are_shown():
    figures = FIGURES.assign(mentions=None, modalities=[["ultrasound"], [], []])
    assert "ultrasound" in _page(_explorer(ROWS, figures))
    assert "A radiograph." in _page(FigureBrowser(figures, picture_of))
    panel = ScoreExplorer(SCORES, CANDIDATES, figures, picture_of)
    names = panel._facets["modality"].names
    assert names == ["not stated", "ultrasound"] and panel._facets["modality"].codes.max() == 1
    _page(panel)


@pytest.mark.parametrize("scores", [[1.0] * 14, [np.inf, -np.inf] + [1.0] * 12, [np.nan] * 14])
def test_equal_infinite_and_missing_scores_leave_every_detail_open(scores):
    panel = _explorer(ROWS, scores=ROWS[["candidate_id"]].assign(score=scores))
    for _ in range(len(ROWS)):
        _page(panel)
        panel.next()


def test_a_value_called_other_keeps_its_rows_among_the_rare_ones():
    rows = pd.concat([ROWS] * 4, ignore_index=True)
    rows["candidate_id"] = [f"c{place}" for place in range(len(rows))]
    rows["question_type"] = ["other"] * 10 + [f"q{place}" for place in range(len(rows) - 10)]
    facet = _explorer(rows)._index.facets["question_type"]
    assert np.logical_or.reduce(list(facet.masks.values())).all()
    assert facet.masks["other"][:10].all()


@pytest.mark.parametrize("column", ["question_type", "arm", "outcome"])
def test_a_value_called_none_is_apart_from_the_rows_without_a_value(column):
    values = ["none"] * 4 + [None] * 3 + ["clinician"] * (len(ROWS) - 7)
    facet = facets_of(ROWS.assign(modality="mri", **{column: values}))[column]
    assert facet.masks["none"].sum() == 4 and facet.masks["(none)"].sum() == 3
    assert facet.labels["(none)"] == "(none)" and list(facet.masks)[-1] == "(none)"


@pytest.mark.parametrize("name", ["none", "(none)", "other", "all", "people", "clinic", "nan"])
def test_an_annotator_keeps_the_own_ticks_whatever_the_name(name):
    own = ROWS["candidate_id"][:2]
    ticks = pd.DataFrame({"candidate_id": own, "annotator": name, "accepted": True})
    facet = _explorer(ROWS, ticks=ticks)._index.facets["annotator"]
    assert facet.masks[name].sum() == 2 and facet.labels[name] == name
    (others,) = set(facet.masks) - {name}
    assert facet.masks[others].sum() == len(ROWS) - 2 and facet.labels[others] == "no one"


def test_a_flag_called_none_is_apart_from_no_flag():
    flags = [["none"], *[[]] * (len(ROWS) - 1)]
    facet = facets_of(ROWS.assign(modality="mri", flags=flags))["flag"]
    assert facet.masks["none"].sum() == 1 and facet.labels["(none)"] == "no flag"


def test_ratings_without_criteria_and_figures_without_flags_are_shown():
    bare = RATINGS.assign(criteria=None, rationale=None)
    panel = JudgePanel(bare, DRAFTS, PEOPLE, FIGURES, picture_of)
    assert "Question" in _page(panel)
    explorer = _explorer(DRAFTS, ratings=bare)
    assert explorer.widget.state["shown"]["ratings"]["criteria"] == []
    _page(explorer)
    browser = FigureBrowser(FIGURES.assign(modalities=None), picture_of)
    assert browser.widget.state["of"] == 3
    _page(browser)


# --- the score explorer


@pytest.mark.parametrize("share", [None, 0.4])
@pytest.mark.parametrize(
    "scores",
    [[1.0], [1.0, 2.0], [1.0] * 6, [0.0] * 6, [1, 1 + 2e-16, 1 + 4e-16, 1, 1, 1]],
    ids=["one", "two", "equal", "zero", "nearly equal"],
)
def test_the_score_explorer_shows_and_saves_any_finite_scores(scores, share):
    own = CANDIDATES.iloc[: len(scores)]
    scored = own[["candidate_id"]].assign(score=scores)
    panel = ScoreExplorer(scored, own, FIGURES, picture_of, share=share)
    for name, _, n, _ in panel.widget.state["sets"]:
        panel.show_set(name)
        assert f"Scores of {n:,} candidates" in _page(panel)


@pytest.mark.parametrize(("split", "empty"), [("train", "held-out"), ("test", "training")])
def test_a_set_without_candidates_is_refused_and_the_shown_one_stays(split, empty):
    panel = ScoreExplorer(SCORES, CANDIDATES, FIGURES.assign(split=split), picture_of)
    with pytest.raises(ValueError, match=f"set '{empty}': give one of pool, "):
        panel.show_set(empty)
    assert panel.set == "pool" and "Scores of 6" in _page(panel)


def test_a_pool_whose_responses_are_all_flagged_is_not_told_to_train_a_selector():
    flagged = CANDIDATES.assign(flags=[["refuses"]] * 6)
    with pytest.raises(ValueError, match="all 6 responses are flagged .* flagged=True"):
        ScoreExplorer(SCORES, flagged, FIGURES, picture_of)
    with pytest.raises(ValueError, match="0 eligible .*: score candidates first"):
        cut(flagged, SCORES.set_index("candidate_id")["score"], share=0.5)


# --- texts and images


@pytest.mark.parametrize("name", ["$$ x", "$\\frac{", "a$b$c", "{}", "$"])
def test_a_name_with_signs_of_formulas_is_drawn_as_it_is(name):
    drawn = plots.score_histogram({name: ("#0072B2", np.arange(9.0))})
    [text] = drawn.axes[0].get_legend().get_texts()
    assert text.get_text() == f"{name} (9)"
    drawn.savefig(io.BytesIO(), format="png")


@pytest.mark.parametrize(
    ("value", "text"),
    [(pd.NA, ""), (pd.NaT, ""), (None, ""), (np.array([1, 2]), "[1 2]"), ([], "[]"), (0, "0")],
)
def test_a_missing_value_is_empty_and_several_values_are_text(value, text):
    assert static.text(value) == text


def _mean_grey(image: Image.Image) -> float:
    page = str(static.picture(lambda key: image, "k"))
    data = base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])
    return float(np.asarray(Image.open(io.BytesIO(data)).convert("L")).mean())


@pytest.mark.parametrize("kind", ["uint16", ">u2", "int32", "float32"])
def test_greys_of_more_than_8_bits_are_stretched_not_clipped(kind):
    ramp = np.linspace(0, 1 if kind == "float32" else 65535, 1200).reshape(30, 40)
    assert 120 < _mean_grey(Image.fromarray(ramp.astype(kind))) < 135


def test_transparency_becomes_white_as_in_a_figure():
    assert _mean_grey(Image.new("RGBA", (40, 30), (0, 0, 0, 0))) == 255
    assert _mean_grey(Image.new("LA", (40, 30), (0, 255))) == 0
