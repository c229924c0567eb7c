"""Claims about the report: what the run shows stands on top, in words computed from metrics."""

from __future__ import annotations

from vital_lib.report import metrics_frame, write_report
from vital_lib.statistics import Interval
from vital_lib.tables import Workspace

RECALL = "evaluation.open_recall_selected_minus_random"


def test_the_claims_stand_before_every_stage(tmp_path):
    workspace = Workspace(tmp_path / "run")
    counts = {"evaluation.open_questions": 302, "evaluation.articles": 200}
    workspace.record({**Interval(0.05, 0.02, 0.08, 302).metrics(RECALL), **counts})
    page = write_report(workspace).read_text()
    said = "better than the model tuned on a random sample: +5.0 points [2.0, 8.0]"
    assert page.index("What this run shows") < page.index(said) < page.index("<h2>Evaluation")
    assert "302 open questions, 200 articles" in page


def test_a_run_without_claims_has_no_such_section(tmp_path):
    workspace = Workspace(tmp_path / "run")
    workspace.record({"figures.n": 3})
    page = write_report(workspace).read_text()
    assert "What this run shows" not in page and "Figures" in page


def test_an_interval_stands_beside_its_metric_and_stages_in_their_order():
    frame = metrics_frame(
        {"evaluation.a": 0.5, "figures.n": 3, **Interval(1, 0, 2, 9).metrics("x.y")}
    )
    assert frame["metric"].tolist() == ["figures.n", "evaluation.a", "x.y"]
    assert frame.loc[2, ["low", "high"]].tolist() == [0, 2]
    assert frame.loc[:1, "low"].isna().all()
