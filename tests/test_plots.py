"""Every plot draws what its rows and metrics say, with labelled axes, and leaves pyplot alone."""

from __future__ import annotations

import inspect
import io
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from panel_rows import REWARDED
from PIL import Image

from vital_lib import plots
from vital_lib.annotators import Votes
from vital_lib.modalities import MODALITY_LABELS, modality_of
from vital_lib.plots._sums import pca_2d, wilson

ARMS = {
    "candidates.accepted_share_none": 0.52,
    "candidates.accepted_share_random": 0.57,
    "candidates.accepted_share_clinician": 0.71,
    "candidates.accepted_share_clinician_low": 0.66,
    "candidates.accepted_share_clinician_high": 0.75,
}
AGREEMENT = {
    "judge.agreement": 0.78,
    "judge.agreement_mean_of_5": 0.86,
    "selector.agreement": 0.93,
    "selector.agreement_human_only": 0.9,
    "selector.agreement_judge_only": 0.85,
}
PROBES = {
    "judge.probe_drop_rate_side": 0.62,
    "judge.probe_drop_rate_side_low": 0.55,
    "judge.probe_drop_rate_side_high": 0.7,
    "judge.blank_drop_rate": 0.4,
    "judge.probe_drop_rate_control": 0.39,
}
SELECTION = {
    "selection.accepted_share_selected": 0.9,
    "selection.accepted_share_random": 0.7,
    "selection.accepted_share_judge_top": 0.8,
}
EVALUATION = {
    **{f"evaluation.closed_accuracy_{m}": 0.5 for m in ("base", "random", "selected")},
    **{f"evaluation.open_recall_{m}": 0.4 for m in ("base", "random", "selected")},
    "evaluation.blank_closed_accuracy_selected": 0.45,
}
WINS = {"evaluation.win_rate_percent": 63.0, "evaluation.win_rate_unaligned_percent": 70.0}
CLAIMS = pd.DataFrame(
    [("a", "x", 5, 2, 8), ("a", "y", 1, -1, 3), ("b", "x", -4, -6, -1)],
    columns=["measured", "against", "estimate", "low", "high"],
)
FIGURES = pd.DataFrame(
    {
        "figure_id": ["f1", "f2", "f3", "f4"],
        "modalities": [["mri"], ["mri", "ct_scan"], [], ["gross"]],
        "split": ["train", "test", "train", "validation"],
    }
)
RATINGS = pd.DataFrame(
    {"candidate_id": list("abcd"), "judge": "clinic", "overall": [9.0, 8.6, 2.0, None]}
)
PEOPLE = pd.DataFrame({"candidate_id": list("aabbcd"), "accepted": [1, 1, 1, 0, 0, 1]})
SCORES = pd.DataFrame({"candidate_id": list("abcd"), "score": [2.0, 1.0, -1.0, 0.5]})
CURVE = pd.DataFrame({
    "learned": ["both", "both", "people only", "published"], "questions": [0, 25, 25, 0],
    "agreement": [0.78, 0.86, 0.7, 0.6], "low": [0.7, 0.8, 0.6, 0.5], "high": [0.8, 0.9, 0.8, 0.7],
})  # fmt: skip

FOREST = pd.DataFrame(
    {
        "scope": ["all", "mri", "ann and ben", "self: ann"],
        "kind": ["overall", "modality", "pair", "self"],
        "items": [40, 12, 20, 1],
        **{"alpha": [0.6, 0.5, -0.2, np.nan], "alpha_low": [0.4, np.nan, -0.3, np.nan]},
        **{"alpha_high": [0.8, np.nan, 0.1, np.nan], "raw": [0.85, 0.8, 0.5, 1.0]},
    }
)

DOTS = pd.DataFrame(
    {
        "x": [0.0, 0.5, 1.0],
        "y": [1.0, 0.0, 0.5],
        "modality": ["mri", "mri", "gross"],
        "state": ["figure", "conversation", "picked"],
    }
)
SWEPT = pd.DataFrame(
    [
        (cause, value, measure, 5.0, 3.0, 7.0)
        for cause in ("errors, times the clinic's", "labels")
        for value in ("0", "1")
        for measure in ("agreement", "gain")
    ],
    columns=["varied", "value", "measure", "estimate", "low", "high"],
)

EVERY_PLOT = {
    "modality_counts": lambda: plots.modality_counts(FIGURES),
    "cluster_map": lambda: plots.cluster_map(
        np.random.default_rng(0).normal(size=(9, 5)), [0, 1, 2] * 3, [True, False, False] * 3
    ),
    "accepted_share_by_arm": lambda: plots.accepted_share_by_arm(ARMS),
    "rating_distribution": lambda: plots.rating_distribution(RATINGS),
    "reliability_diagram": lambda: plots.reliability_diagram(RATINGS, PEOPLE),
    "agreement_bars": lambda: plots.agreement_bars(AGREEMENT),
    "agreement_forest": lambda: plots.agreement_forest(FOREST),
    "judge_probes": lambda: plots.judge_probes(PROBES),
    "learning_curve": lambda: plots.learning_curve(CURVE, AGREEMENT),
    "score_distributions": lambda: plots.score_distributions(SCORES, PEOPLE),
    "reward_forest": lambda: plots.reward_forest(REWARDED),
    "selection_bars": lambda: plots.selection_bars(SELECTION),
    "score_histogram": lambda: plots.score_histogram({"MRI": ("#0072B2", np.arange(9))}, cut=2),
    "conversation_map": lambda: plots.conversation_map(DOTS),
    "loss_curves": lambda: plots.loss_curves({"selected": [3.0, 2.0, 1.5], "mine": [3.0, 2.5]}),
    "evaluation_bars": lambda: plots.evaluation_bars(EVALUATION),
    "win_rate_bars": lambda: plots.win_rate_bars(WINS),
    "claims_forest": lambda: plots.claims_forest(CLAIMS),
    "sweep_lines": lambda: plots.sweep_lines(SWEPT, {"agreement": "agreement", "gain": "gain"}),
}


def _texts(figure) -> str:
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


def _bar_widths(axes) -> list[float]:
    return [round(bar.get_width(), 6) for bar in axes.patches]


@pytest.mark.parametrize("name", EVERY_PLOT)
def test_every_plot_labels_its_axes_and_shows_itself_as_an_image(name):
    figure = EVERY_PLOT[name]()
    assert figure.axes
    assert all(axes.get_xlabel() and axes.get_title(loc="left") for axes in figure.axes)
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_the_tests_draw_every_public_plot():
    drawn = {*EVERY_PLOT, "figure_grid", "pipeline_overview"}
    public = {name for name, value in vars(plots).items() if inspect.isfunction(value)} - {
        "metrics_table",
        "table",
        "pca_2d",
    }
    assert drawn == public


def test_a_figure_with_two_modalities_counts_under_each():
    axes = plots.modality_counts(FIGURES).axes[0]
    totals = [text.get_text() for text in axes.texts]
    names = [label.get_text() for label in axes.get_yticklabels()]
    counts = dict(zip(names, totals, strict=True))
    assert counts == {"not stated": "1", "gross pathology": "1", "MRI": "2", "CT": "1"}


def test_an_effect_beyond_chance_has_a_filled_mark_and_another_an_open_one():
    axes = plots.reward_forest(REWARDED).axes[0]
    dots = [line for line in axes.lines if len(line.get_xdata()) == 1 and line.get_marker() in "oD"]
    filled = {float(dot.get_xdata()[0]): dot.get_markerfacecolor() != "none" for dot in dots}
    assert filled == {-20.0: True, 2.0: False}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["with it"]  # tested ones only


def test_the_noise_that_the_probes_are_read_against_is_a_line_with_its_interval():
    ends = {f"judge.probe_drop_rate_control_{end}": x for end, x in (("low", 0.3), ("high", 0.5))}
    axes = plots.judge_probes(PROBES | ends).axes[0]
    assert "unchanged answer rated again, 39 %" in _texts(axes.figure)
    band = axes.patches[-1].get_bbox()
    assert (band.x0, band.x1) == (30, 50)
    assert len(plots.judge_probes(PROBES).axes[0].patches) == 2  # no band without an interval


def test_bars_are_as_long_as_their_metrics_say_in_per_cent():
    axes = plots.accepted_share_by_arm(ARMS).axes[0]
    assert _bar_widths(axes) == [52, 57, 71]


def test_an_interval_is_drawn_and_written_where_it_was_measured():
    axes = plots.accepted_share_by_arm(ARMS).axes[0]
    assert [66, 75] in [[round(x, 6) for x in line.get_xdata()] for line in axes.lines]
    assert [text.get_text() for text in axes.texts] == ["52.0", "57.0", "71.0  (66.0 to 75.0)"]


def test_no_interval_is_claimed_where_none_was_measured():
    assert "interval" not in _texts(plots.agreement_bars(AGREEMENT))


def test_a_metric_that_is_missing_or_not_a_number_has_no_bar():
    some = {**AGREEMENT, "judge.agreement": float("nan")}
    del some["selector.agreement_judge_only"]
    axes = plots.agreement_bars(some).axes[0]
    assert _bar_widths(axes) == [86, 90, 93]


def test_without_any_metric_the_error_names_those_wanted():
    with pytest.raises(plots.MissingMetric, match="selection.accepted_share_selected"):
        plots.selection_bars({"judge.agreement": 0.8})


def test_win_rates_are_per_cent_already():
    assert _bar_widths(plots.win_rate_bars(WINS).axes[0]) == [70, 63]


def test_win_rates_by_the_judge_and_by_clinicians_stand_together():
    both = {**WINS, "evaluation.win_rate_clinicians_percent": 58.0}
    both |= {"evaluation.win_rate_corrected_percent": 59.0}
    both |= Votes(302, simulated=302).metrics("evaluation")
    axes = plots.win_rate_bars(both).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert dict(zip(names, _bar_widths(axes), strict=True)) == {
        "simulated clinicians, over random sample": 58,
        "second judge, corrected, over random sample": 59,
        "second judge, over unaligned": 70,
        "second judge, over random sample": 63,
    }


def test_a_claim_is_coloured_only_where_its_interval_leaves_zero_out():
    axes = plots.claims_forest(CLAIMS.assign(seed0=[4, 2, -3]), ["seed0"]).axes[0]
    colours = [line.get_color() for line in axes.lines if line.get_marker() == "o"]
    assert len(set(colours)) == 3
    assert [label.get_text() for label in axes.get_yticklabels()] == ["over x", "over y", "over x"]
    assert [text.get_text() for text in axes.texts if text.get_fontweight() == "bold"] == ["a", "b"]
    assert "single runs" in axes.get_xlabel()
    assert not axes.spines["left"].get_visible()  # titles begin left of it


def test_the_blank_image_control_is_a_line_across_the_closed_questions():
    closed, opened = plots.evaluation_bars(EVALUATION).axes
    assert [45, 45] in [[round(x, 6) for x in line.get_xdata()] for line in closed.lines]
    assert "image blanked: 45.0 %" in _texts(closed)
    assert "blanked" not in _texts(opened)


def test_the_forest_has_a_line_for_every_scope_and_no_interval_where_none_was_measured():
    axes = plots.agreement_forest(FOREST).axes[0]
    assert [text.get_text() for text in axes.texts] == [
        "0.60  (0.40 to 0.80)  n = 40",
        "0.50  n = 12",
        "-0.20  (-0.30 to 0.10)  n = 20",
        "too few  n = 1",
    ]
    nobody = FOREST.assign(items=[0, 0, 0, 0])
    assert len(plots.agreement_forest(nobody).axes[0].texts) == 1
    assert axes.get_xlim()[0] < -0.3


def test_ratings_that_could_not_be_read_are_counted_but_not_drawn():
    figure = plots.rating_distribution(RATINGS)
    assert "3 of 4 read" in _texts(figure)
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == 3


def test_calibration_puts_the_accepted_share_at_the_rounded_rating():
    axes = plots.reliability_diagram(RATINGS, PEOPLE).axes[0]
    points = axes.containers[0].lines[0]
    assert list(points.get_xdata()) == [2, 9]
    assert list(points.get_ydata()) == [0, 75]


def test_wilson_intervals_are_those_of_the_textbook():
    down, up = wilson(np.array([50.0, 0.0]), np.array([10, 10]))
    assert np.allclose(
        [50 - down[0], 50 + up[0], 0 - down[1], up[1]], [23.7, 76.3, 0, 27.8], atol=0.1
    )


def test_a_learning_curve_has_a_line_a_learner_at_equal_steps_and_the_judge_beside():
    figure = plots.learning_curve(CURVE, {"judge.agreement_mean_of_5": 0.79})
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "25"]
    assert len(axes.containers) == 3 and "mean of five judge ratings, 79.0 %" in _texts(figure)
    assert axes.containers[0].lines[0].get_ydata() == pytest.approx([78, 86])
    assert "judge" not in _texts(plots.learning_curve(CURVE[2:], {}))


def _named(votes, stage, metrics):
    return {**metrics, **votes.metrics(stage)}


ON_VOTES = {
    "accepted_share_by_arm": lambda votes: plots.accepted_share_by_arm(
        _named(votes, "candidates", ARMS)
    ),
    "agreement_bars": lambda votes: plots.agreement_bars(_named(votes, "selector", AGREEMENT)),
    "agreement_forest": lambda votes: plots.agreement_forest(FOREST, votes=votes),
    "judge_probes": lambda votes: plots.judge_probes(_named(votes, "judge", PROBES)),
    "learning_curve": lambda votes: plots.learning_curve(CURVE, AGREEMENT, votes=votes),
    "reliability_diagram": lambda votes: plots.reliability_diagram(RATINGS, PEOPLE, votes=votes),
    "reward_forest": lambda votes: plots.reward_forest(REWARDED, votes=votes),
    "score_distributions": lambda votes: plots.score_distributions(SCORES, PEOPLE, votes=votes),
    "selection_bars": lambda votes: plots.selection_bars(_named(votes, "selection", SELECTION)),
}


@pytest.mark.parametrize("name", ON_VOTES)
def test_a_plot_on_votes_says_whose_they_are(name):
    draw = ON_VOTES[name]
    assert "simulated clinicians" in _texts(draw(Votes(9, simulated=9)))
    assert "4 of 9 votes simulated" in _texts(draw(Votes(9, simulated=4)))
    assert "2 of 9 judged without truth" in _texts(draw(Votes(9, simulated=9, without_truth=2)))
    people = _texts(draw(Votes(9)))
    assert "simulated" not in people and "clinicians" in people


@pytest.mark.parametrize("name", ON_VOTES)
def test_a_plot_on_votes_of_which_nothing_is_recorded_names_no_clinicians(name):
    assert "clinicians" not in _texts(EVERY_PLOT[name]())
    assert "not recorded" in _texts(EVERY_PLOT[name]())


def test_the_clinics_second_judge_is_called_simulated():
    wins = {"evaluation.win_rate_percent": 53.0}
    assert "simulated" in _texts(plots.win_rate_bars(wins, simulated=True))
    assert "simulated" not in _texts(plots.win_rate_bars(wins, simulated=False))


def test_a_candidate_that_half_its_people_accept_counts_as_accepted():
    text = _texts(plots.score_distributions(SCORES, PEOPLE, votes=Votes(6)))
    assert "accepted by clinicians (3)" in text
    assert "rejected by clinicians (1)" in text


def test_a_group_without_any_candidate_is_drawn_as_empty():
    everyone = PEOPLE.assign(accepted=True)
    figure = plots.score_distributions(SCORES, everyone, votes=Votes(6))
    assert "rejected by clinicians (0)" in _texts(figure)


def test_each_group_of_scores_is_counted_and_the_cut_is_a_line():
    groups = {"MRI": ("#0072B2", np.array([0.0, 1.0])), "CT": ("#E69F00", np.array([2.0]))}
    axes = plots.score_histogram(groups, cut=0.5).axes[0]
    assert {"MRI (2)", "CT (1)", "cut"} <= set(_texts(axes.figure).splitlines())
    assert [line.get_xdata() for line in axes.lines] == [[0.5, 0.5]]
    assert not plots.score_histogram(groups).axes[0].lines


def test_picked_conversations_have_rings_on_the_map():
    axes = plots.conversation_map(DOTS).axes[0]
    ringed = [sum(width > 0 for width in dots.get_linewidths()) for dots in axes.collections]
    assert ringed == [0, 1]
    assert "3 figures; 1 with a picked conversation" in _texts(axes.figure)


def test_features_of_two_dimensions_are_drawn_as_they_are():
    points = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    axes = plots.cluster_map(points, [0, 1, 1], [False, True, False]).axes[0]
    drawn = [part.get_offsets().tolist() for part in axes.collections if len(part.get_offsets())]
    assert sorted(drawn) == [[[0, 1]], [[2, 3]], [[4, 5]]]


def test_twelve_clusters_have_twelve_marks_and_their_numbers():
    clusters = list(range(12)) * 3
    points = np.random.default_rng(0).normal(size=(36, 2))
    axes = plots.cluster_map(points, clusters, [True] * 36).axes[0]
    marks = {
        (tuple(part.get_facecolor()[0]), len(part.get_paths()[0].vertices))
        for part in axes.collections
        if len(part.get_offsets()) == 3
    }
    assert len(marks) == 12
    assert [text.get_text() for text in axes.texts] == [str(n) for n in range(12)]


GROUNDS = ("#ffffff", "#111111")  # JupyterLab's themes


def _contrast(colour: str, ground: str) -> float:
    """The contrast ratio of WCAG 2."""
    light, dark = sorted((_luminance(colour), _luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = np.array(to_rgb(colour))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("name", EVERY_PLOT)
def test_a_plot_has_no_ground_and_reads_on_a_light_and_on_a_dark_page(name):
    figure = EVERY_PLOT[name]()
    pixels = np.asarray(Image.open(io.BytesIO(figure._repr_png_())).convert("RGBA"))
    assert (pixels[[0, -1]][:, [0, -1], 3] == 0).all()
    colours = {axes.title.get_color() for axes in figure.axes}
    colours |= {label.get_color() for axes in figure.axes for label in axes.get_xticklabels()}
    for ground in GROUNDS:
        assert all(_contrast(colour, ground) > 4 for colour in colours)
        assert all(_contrast(colour, ground) > 3 for colour in _thin(figure))


def test_the_marks_of_all_modalities_read_on_a_light_and_on_a_dark_page():
    names = list(MODALITY_LABELS)
    places = range(len(names))
    states = pd.Categorical(["figure", "conversation", "picked"] * 3)[: len(names)]
    dots = pd.DataFrame({"x": places, "y": places, "modality": names, "state": states})
    parts = plots.conversation_map(dots).axes[0].collections
    marks = [colour for part in parts for colour in part.get_facecolor()]
    assert len(marks) == len(names)
    assert all(mark[3] == 1 for mark in marks)  # opaque
    assert all(_contrast(mark[:3], ground) >= 3 for mark in marks for ground in GROUNDS)


def _thin(figure) -> set:
    """The colours of lines and error bars that are not see-through, and of words in plots."""
    found = set()
    for axes in figure.axes:
        bars = [part for part in axes.collections if isinstance(part, LineCollection)]
        lines = [(line.get_color(), line.get_alpha() or 1) for line in axes.lines]
        lines += [(colour[:3], colour[3]) for part in bars for colour in part.get_colors()]
        found |= {to_rgb(colour) for colour, alpha in lines if alpha == 1}
        found |= {to_rgb(text.get_color()) for text in axes.texts if text.get_bbox_patch() is None}
    return found - {to_rgb("white")}


def test_the_first_component_is_the_direction_that_varies_most():
    spread = np.zeros((8, 6))
    spread[:, 4] = np.arange(8)
    points, (first, _) = pca_2d(spread)
    assert np.allclose(np.abs(np.diff(points[:, 0])), 1)
    assert first == " (100 % of variance)"


@pytest.mark.parametrize("n", [0, 1])
def test_a_single_figure_or_none_lies_in_the_middle(n):
    points, explained = pca_2d(np.ones((n, 5)))
    assert points.tolist() == [[0.0, 0.0]] * n and explained == ("", "")


def test_features_that_are_no_numbers_are_refused_with_their_row():
    features = np.ones((4, 3))
    features[2, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 4 figures are not finite, first in row 2"):
        pca_2d(features)


def test_a_grid_shows_every_image_and_cuts_long_titles():
    images = [Image.new("RGB", (8, 6)), Image.new("L", (6, 8)), Image.new("RGB", (4, 4))]
    axes = plots.figure_grid(images, ["short", "b" * 40, "c"], columns=2).axes
    assert [len(one.images) for one in axes] == [1, 1, 1, 0]
    assert axes[0].get_title() == "short"
    assert axes[1].get_title() == "b" * 25 + "…"


def test_the_overview_names_every_step_in_order():
    text = _texts(plots.pipeline_overview())
    steps = ["Figures", "Drafts", "Preferences", "Candidates", "Ratings", "Selector"]
    places = [text.index(step) for step in [*steps, "Selected set", "Tuned model", "Evaluation"]]
    assert places == sorted(places)


def test_a_figure_has_one_modality_several_or_none():
    assert modality_of(["mri"]) == "mri"
    assert modality_of(["mri", "gross"]) == "several"
    assert modality_of([]) == "not_stated"


def test_importing_plots_loads_no_matplotlib():
    code = "import sys; from vital_lib import plots; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_plot_leaves_no_figure_open_in_pyplot():
    from matplotlib import pyplot

    plots.win_rate_bars(WINS)._repr_png_()
    assert pyplot.get_fignums() == []


def test_a_plot_leaves_the_readers_own_style_as_it_was():
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.agreement_bars(AGREEMENT)
    assert dict(matplotlib.rcParams) == before


def _shown(rows, n=None) -> str:
    return re.sub(r"(?s)<style.*?</style>", "", plots.table(rows, n).to_html())


def _cells(rows, n=None) -> list[str]:
    return re.findall(r"(?s)<td[^>]*>(.*?)</td>", _shown(rows, n))


def test_a_table_of_metrics_has_words_units_and_only_the_columns_that_say_something():
    metrics = {"figures.n": 1012}
    assert "95 % interval" not in plots.metrics_table(metrics).to_html()
    metrics |= {"judge.agreement": 0.65, "judge.agreement_low": 0.6, "judge.agreement_high": 0.7}
    page = plots.metrics_table(metrics).to_html()
    assert "1,012" in page and "65.0 %" in page and "[60.0, 70.0]" in page
    assert "judge.agreement" not in page


def test_a_table_joins_lists_ticks_yes_and_no_and_leaves_what_is_missing_empty():
    rows = pd.DataFrame({"m": [["ct_scan", "mri"], []], "yes": [True, False], "x": [None, "a"]})
    assert _cells(rows) == ["ct_scan, mri", "✓", "", "", "✗", "a"]


def test_a_table_spells_modalities_as_the_plots_do():
    rows = pd.DataFrame({"modalities": [["chest_xray", "mri"], []], "modality": ["gross", "other"]})
    assert _cells(rows) == ["chest X-ray, MRI", "gross pathology", "", "other"]
    counts = pd.Series([3], index=pd.Index(["ct_scan"], name="modality"), name="figures")
    assert _cells(counts) == ["CT", "3"]


def test_a_table_rounds_shares_and_not_counts():
    rows = pd.DataFrame({"n": [10_000.0, 3.0], "mix": [2352.0, 0.51217], "share": [1.0, 0.5]})
    assert _cells(rows) == ["10,000", "2,352", "1.000", "3", "0.512", "0.500"]
    assert _cells(pd.Series([-0.25, None], name="gain")) == ["−0.250", ""]


def test_a_table_rounds_numbers_among_none():
    rows = pd.DataFrame({"weight": [None, 1.2244312], "ticks": [1044, None]}, dtype=object)
    assert _cells(rows) == ["", "1,044", "1.224", ""]


def test_a_table_says_how_many_of_how_many_rows_it_shows():
    rows = pd.DataFrame({"n": range(1200)})
    assert _cells(rows, 2) == ["0", "1"]
    assert "2 of 1,200 rows" in _shown(rows, 2)
    assert "no rows" in _shown(rows.head(0))
    assert "rows" not in _shown(rows.head(2))


def test_a_table_shows_an_index_that_has_a_name_and_a_mapping_as_one_row():
    rows = pd.DataFrame({"split": ["b", "a", "b"]}).groupby("split").size().to_frame("figures")
    assert _cells(rows) == ["a", "1", "b", "2"]
    assert _cells({"requests": 294, "usd": 0.0}) == ["294", "0"]


def test_a_table_escapes_its_texts():
    assert "<b>" not in _shown(pd.DataFrame({"<b>": ["<b>", ["<b>"]]}))


def test_the_probes_are_drawn_beside_what_falls_untouched():
    axes = plots.judge_probes(PROBES).axes[0]
    assert _bar_widths(axes) == [62, 40]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_label()[:1] == "u"] == [39]
    del (alone := dict(PROBES))["judge.probe_drop_rate_control"]
    assert "unchanged" not in _texts(plots.judge_probes(alone))


def test_a_benchmark_of_one_kind_of_question_has_an_empty_panel_that_says_so():
    figure = plots.evaluation_bars({"evaluation.closed_accuracy_selected": 0.7})
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Closed questions", "Open questions: none in the benchmark"]
    figure = plots.evaluation_bars({"evaluation.unanswered_selected": 0})  # of chat questions alone
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "Closed questions: none in the benchmark",
        "Open questions: none in the benchmark",
    ]
