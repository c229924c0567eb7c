"""Claims about the metrics in words: each has its words, its unit, and one spelling."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import vital_lib
from vital_lib import judging, plots
from vital_lib.claims import CLAIMS
from vital_lib.evaluation import CONTROLS
from vital_lib.panels.candidate_explorer.facets import facets_of
from vital_lib.parameters import TRAINING_SETS
from vital_lib.plots.evaluation import MODELS as PLOTTED
from vital_lib.report import MetricsPage, write_report
from vital_lib.rewards.properties import PROPERTIES, flag_property
from vital_lib.statistics import Interval
from vital_lib.tables import ARMS, MODELS, STAGES, Workspace, metrics_in_words, words_of
from vital_lib.tables.measured import read_metrics
from vital_lib.tables.units import UNITS

DEMO = (Path(__file__).parent / "metric_names.txt").read_text().split()
"""Names of a whole demo's metrics that have a row of their own; `test_demo` keeps them complete."""


@pytest.mark.parametrize("name", DEMO)
def test_every_metric_of_the_demo_has_words_and_a_unit(name):
    found = words_of(name)
    assert found and found.unit in UNITS.values()
    said = found.topic + found.what
    assert "{" not in said and "_" not in said and name.split(".")[0] in STAGES


def test_no_two_metrics_of_one_topic_have_the_same_words():
    frame = metrics_in_words(dict.fromkeys(DEMO, 0.5))
    assert len(frame) > 200 and not frame.duplicated(["stage", "topic", "what"]).any()
    assert "Other metrics" not in set(frame["topic"])


def test_metrics_that_the_code_declares_have_words():
    flags = [flag_property(name).name for name in ("refuses", "side_against_text")]
    properties = [one.name for one in PROPERTIES] + flags + ["reason_wrong"]
    names = [claim.metric for claim in CLAIMS]
    names += [f"judge.{name}" for name in judging.measures.MEANINGS]
    names += [f"rewards.{by}_{name}" for by in ("accepted", "rated") for name in properties]
    names += [f"evaluation.open_recall_{model}" for model in PLOTTED]
    names += [f"evaluation.{c}_open_recall_base" for c in CONTROLS if c != "none"]
    assert len(names) > 60 and not [name for name in names if words_of(name) is None]


def test_every_model_that_can_be_tuned_has_words_a_bar_and_a_claim():
    models = {*TRAINING_SETS, "base"}
    assert models == set(MODELS) == set(PLOTTED)
    claimed = {claim.metric for claim in CLAIMS}
    assert {f"evaluation.open_recall_selected_minus_{m}" for m in models - {"selected"}} <= claimed


def test_the_words_of_an_arm_stand_in_one_place_and_order():
    source = [path.read_text() for path in Path(vital_lib.__file__).parent.rglob("*.py")]
    assert {words: sum(f'"{words}"' in text for text in source) for words in ARMS.values()} == (
        dict.fromkeys(ARMS.values(), 1)
    )
    names = {f"candidates.accepted_share_{arm}": 0.5 for arm in ARMS}
    (axes,) = plots.accepted_share_by_arm(names).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(ARMS.values())
    rows = pd.DataFrame({"modality": ["ct"] * 3, "arm": [*reversed(ARMS)]})
    assert list(facets_of(rows)["arm"].labels.items()) == list(ARMS.items())
    told = metrics_in_words(names)["what"]  # the arm that the method proposes comes first
    assert all(word in row for word, row in zip(reversed(ARMS.values()), told, strict=True))


def test_a_property_is_told_per_the_unit_of_its_effect():
    for one in PROPERTIES:
        assert words_of(f"rewards.rated_{one.name}").what.startswith(one.unit), one.name


def test_a_metric_without_words_keeps_its_name_below_the_others():
    frame = metrics_in_words({"figures.new_one": 0.25, "figures.n": 1012, "mine.k_fold": 3})
    assert frame["what"].tolist() == ["figures", "figures.new_one", "mine.k_fold"]
    assert frame["value"].tolist() == ["1,012", "0.250", "3"]
    assert frame["stage"].tolist() == ["Figures", "Figures", "mine"]


def test_the_most_important_metric_of_a_stage_comes_first_and_topics_stay_together():
    frame = metrics_in_words(dict.fromkeys(reversed(DEMO), 0.5))
    first = frame.drop_duplicates("stage").set_index("stage")["metric"]
    assert first["The selector"] == "selector.agreement"
    assert first["Evaluation"] == "evaluation.open_recall_selected_minus_unaligned"
    runs = (frame[["stage", "topic"]] != frame[["stage", "topic"]].shift()).any(axis=1).sum()
    assert runs == len(frame.drop_duplicates(["stage", "topic"]))


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("share", 0.85555, "85.6 %"),
        ("share", 0.0, "0.0 %"),
        ("share", 0.0002, "0.02 %"),
        ("share", 1e-12, "0.000000 %"),
        ("share difference", 0.0436, "+4.4 points"),
        ("share difference", -0.0436, "−4.4 points"),
        ("percent", 55.05, "55.0 %"),
        ("count", 7475, "7,475"),
        ("count", 11.6, "11.6"),
        ("USD", 0.0004, "0.0004 USD"),
        ("USD", 1234.5, "1,234.50 USD"),
        ("rating", -0.0257, "−0.03 rating points"),
        ("count", float("nan"), "no value"),
        ("share difference", float("nan"), "no value"),
        ("count", float("inf"), "∞"),
        ("share difference", float("-inf"), "−∞ points"),
        ("seconds", -0.0, "0 s"),
        ("count", 5e-324, "0.000000"),
        ("count", 1e300, "1e+300"),
        ("share difference", -1e20, "−1e+22 points"),
    ],
)
def test_a_value_is_written_in_its_unit_and_a_small_one_is_not_0(unit, value, text):
    assert UNITS[unit].text(value) == text


def test_an_interval_is_written_in_the_unit_of_its_value():
    found = Interval(0.1638, 0.132, 0.1957, 9)
    row = metrics_in_words(found.metrics("selection.accepted_share_selected_minus_random")).iloc[0]
    assert (row["value"], row["interval"]) == ("+16.4 points", "[13.2, 19.6]")
    assert metrics_in_words({"figures.n": 3})["interval"].tolist() == [""]


def test_an_interval_without_an_end_is_written_and_one_with_a_missing_end_is_not():
    assert UNITS["count"].interval(float("-inf"), float("inf")) == "[−∞, ∞]"
    assert UNITS["share"].interval(float("nan"), 1) == ""


def test_one_odd_metric_leaves_the_others_in_words():
    odd = {
        "x(y[.*+": float("inf"),
        "choice.share_{modality}": 0.5,
        "figures.articles": float("nan"),
    }
    frame = metrics_in_words({**odd, "figures.n": 3}).set_index("metric")
    assert frame.loc["figures.n", "value"] == "3"
    assert frame.loc["figures.articles", "value"] == "no value"
    assert frame.loc["x(y[.*+", ["what", "value"]].tolist() == ["x(y[.*+", "∞"]
    assert frame.loc["choice.share_{modality}", "topic"] == "Other metrics"


def test_metrics_edited_by_hand_are_refused_with_the_line_and_a_null_is_no_metric(tmp_path):
    workspace = Workspace(tmp_path)
    file = tmp_path / "metrics.json"
    file.write_text('{"figures.n": 3, "figures.articles": null}')
    assert workspace.metrics == {"figures.n": 3}
    file.write_text('{"figures.n": 3, "figures.articles": "two"}')
    with pytest.raises(ValueError, match=r"1 of 2 metrics .* 'figures\.articles'.*again"):
        read_metrics(tmp_path)
    file.write_text("[3]")
    with pytest.raises(ValueError, match="not a JSON object"):
        read_metrics(tmp_path)
    file.write_text('{"figures.n": 3, "fig')  # half a file
    with pytest.raises(ValueError, match=r"metrics\.json is damaged .*run the notebooks"):
        read_metrics(tmp_path)
    (tmp_path / "metrics_origin.json").write_text('{"ori')
    with pytest.raises(ValueError, match=r"metrics\.json is damaged"):
        workspace.metric_origins()
    file.write_text('{"figures.n": 3}')
    with pytest.raises(ValueError, match=r"metrics_origin\.json is damaged"):
        workspace.metric_origins()
    for other in ("[]", "{}", "null", '{"origins": 3}', '{"origins": [{}, 5]}'):
        (tmp_path / "metrics_origin.json").write_text(other)
        with pytest.raises(ValueError, match=r"metrics_origin\.json holds no list .*delete it"):
            workspace.metric_origins()


def test_no_metrics_give_no_rows():
    assert metrics_in_words({}).empty
    origins = pd.DataFrame(columns=["metric", "written_by", "measured_on", "stale"])
    assert metrics_in_words({}, origins).empty


def test_the_report_folds_names_and_details_away_and_shows_the_rest_in_words(tmp_path):
    workspace = Workspace(tmp_path / "run")
    workspace.record({"choice.covered": 0.5, "choice.figures": 137, "choice.<b>": 1})
    for page in (write_report(workspace).read_text(), MetricsPage(workspace)._repr_html_()):
        shown, folded = page.split("<summary>Choice (1)</summary>")
        assert "<td>figures close to a chosen one</td>" in shown and "50.0 %" in shown
        assert "figures chosen" in folded and "<code>choice.covered</code>" in folded
        assert "choice.&lt;b&gt;" in page and "<b>1" not in page and "choice.<b>" not in page


def test_a_notebook_shows_the_metrics_as_text_where_it_cannot_show_html(tmp_path):
    workspace = Workspace(tmp_path / "run")
    assert "no metrics yet" in MetricsPage(workspace)._repr_html_()
    workspace.record({"figures.n": 1012})
    assert repr(MetricsPage(workspace)) == "Figures, figures: 1,012"


def test_a_metric_that_alone_is_stale_is_marked_in_its_row(tmp_path):
    workspace = Workspace(tmp_path / "run")
    workspace.record({"figures.n": 9}, written_by="01_explore_figures")
    assert "(stale)" not in MetricsPage(workspace)._repr_html_()
    workspace.record({"figures.mine": 2})  # without origin
    rows = MetricsPage(workspace)._repr_html_().split("<tr>")
    assert [
        "figures.mine" in row for row in rows if 'class="stale">(stale)</span></td>' in row
    ] == [True]
