"""The whole walk, as ``make demo`` makes it, and what it must leave behind. Marked slow."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from lesson_cells import solutions, value_of

from vital_lib.labels import LabelLog, Queue
from vital_lib.report import simulated_parts, stale, write_report
from vital_lib.tables import STAGES, TABLES, Workspace, metrics_frame, metrics_in_words

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]

COUNTS = [
    "figures.n",
    "figures.rejected",
    "drafts.n",
    "preferences.n",
    "preferences.annotators",
    "demonstrations.n",
    "candidates.n",
    "selection.n",
    "tuning.seconds",
    "demo.seconds",
    "evaluation.compared_by_people",
    "evaluation.win_rate_wins",
    "evaluation.win_rate_ties",
    "evaluation.win_rate_losses",
    "evaluation.win_rate_nulls",
    "evaluation.win_rate_unaligned_wins",
    "evaluation.win_rate_unaligned_ties",
    "evaluation.win_rate_unaligned_losses",
    "evaluation.win_rate_unaligned_nulls",
]
MEASURED = [
    "preferences.alpha",
    "candidates.accepted_share_none",
    "candidates.accepted_share_random",
    "candidates.accepted_share_clinician",
    "judge.agreement",
    "judge.agreement_mean_of_5",
    "selector.agreement",
    "selector.agreement_human_only",
    "selector.agreement_judge_only",
    "selector.agreement_published",
    "selector.agreement_text_only",
    "selector.agreement_image_shuffled",
    "selector.agreement_at_25_items",
    "selector.agreement_minus_judge",
    "selector.agreement_minus_judge_mean_of_5",
    "selection.accepted_share_selected",
    "selection.accepted_share_random",
    "selection.accepted_share_judge_top",
    "selection.accepted_share_judge_mean_of_5_top",
    "selection.accepted_share_cluster_typical",
    "selection.accepted_share_selected_minus_judge_top",
    "selection.accepted_share_selected_minus_random",
    "evaluation.closed_accuracy_base",
    "evaluation.closed_accuracy_random",
    "evaluation.closed_accuracy_selected",
    "evaluation.closed_accuracy_unaligned",
    "evaluation.open_recall_base",
    "evaluation.open_recall_random",
    "evaluation.open_recall_selected",
    "evaluation.open_recall_unaligned",
    "evaluation.blank_closed_accuracy_selected",
    "evaluation.chat_relative_gain_percent",
    "evaluation.chat_relative_gain_unaligned_percent",
    "evaluation.judge_people_alpha",
    "evaluation.win_rate_corrected_percent",
    "evaluation.win_rate_corrected_unaligned_percent",
    "evaluation.win_rate_percent",
    "evaluation.win_rate_unaligned_percent",
    "evaluation.win_rate_base_percent",
    "evaluation.win_rate_decided_percent",
    "evaluation.win_rate_clinicians_percent",
    "evaluation.win_rate_clinicians_unaligned_percent",
    "evaluation.open_recall_selected_minus_base",
    "evaluation.open_recall_selected_minus_random",
    "evaluation.open_recall_selected_minus_unaligned",
    "evaluation.closed_accuracy_selected_minus_base",
]


def _walk(run: Path, *more: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "vital_lib.walkthrough", "--run", str(run), *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> tuple[Path, str]:
    """The folder of a whole walk, and what it printed."""
    run = tmp_path_factory.mktemp("runs") / "demo"
    done = _walk(run, "--fresh", "--seed", "0")
    assert done.returncode == 0, done.stderr
    return run, done.stdout


def test_the_walk_writes_every_table(demo):
    workspace = Workspace(demo[0])
    assert all(workspace.has(name) for name in TABLES)


def test_nothing_is_stale_after_a_walk_whose_notebooks_vote(demo):
    assert stale(Workspace(demo[0])).empty


def test_the_walk_says_which_notebook_it_is_in(demo):
    lines = re.findall(r"^\[ ?(\d+)/10\] (\d\d)_\w+ \.\.\. \d+ s$", demo[1], re.M)
    assert [number for number, _ in lines] == [str(n) for n in range(1, 11)]


def test_the_walk_measures_everything_with_its_interval(demo):
    metrics = Workspace(demo[0]).metrics
    wanted = set(COUNTS) | {f"{name}{end}" for name in MEASURED for end in ("", "_low", "_high")}
    assert not wanted - set(metrics)
    for name in MEASURED:
        assert metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"], name
        assert name.split()[0] in demo[1]


def test_every_metric_of_the_walk_has_words_of_its_own(demo):
    frame = metrics_in_words(Workspace(demo[0]).metrics)
    assert len(frame) > 200 and set(frame["stage"]) <= set(STAGES.values())
    assert not list(frame.loc[frame["topic"] == "Other metrics", "metric"])
    assert not frame.duplicated(["stage", "topic", "what"]).any()


def test_the_walk_is_of_the_size_that_its_figures_need(demo):
    metrics = Workspace(demo[0]).metrics
    assert metrics["figures.n"] >= 800 and metrics["figures.articles"] >= 400
    assert metrics["candidates.n"] >= 3_000
    assert 50 <= metrics["selector.human_pairs"] <= 100
    assert metrics["selector.held_out_pairs"] >= 300
    assert metrics["evaluation.questions"] == 600
    assert metrics["evaluation.articles"] == 200
    questions = Workspace(demo[0]).read("questions")
    assert questions["image"].nunique() >= 100
    for kind, own in questions.groupby("kind"):
        assert metrics[f"evaluation.{kind}_questions"] == len(own)
        assert metrics[f"evaluation.{kind}_articles"] == own["group_id"].nunique() < 200


def test_the_report_holds_its_pictures_and_no_script(demo):
    page = (demo[0] / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 6
    assert "<script" not in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)
    claims = re.search(r'<img class="plot (\w+)" src="[^"]+" alt="The claims', page)
    assert f"img.{claims[1]} {{ max-height: none; }}" in page  # 24 rows can be read


def test_the_selected_set_is_exported_with_a_card_that_says_what_is_simulated(demo):
    folder = demo[0] / "exports" / "llava"
    records = json.loads((folder / "conversations.json").read_text(encoding="utf-8"))
    assert len(records) == len(Workspace(demo[0]).read("selected"))
    assert all((folder / record["image"]).is_file() for record in records)
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "**Simulated**: figures, generator, annotators" in text and str(ROOT) not in text
    assert "the selected set minus a random sample" in text and "| share | 0.4 |" in text


def test_no_path_of_the_machine_stands_in_a_table_of_the_clinic(demo):
    """On disk; in a frame the images have absolute paths."""
    tables = list(Path(demo[0]).glob("*.parquet"))
    holding = [path.name for path in tables if str(Path(demo[0])) in pd.read_parquet(path).to_csv()]
    assert len(tables) > 10 and not holding
    assert not pd.read_parquet(demo[0] / "figures.parquet")["image"].str.startswith("/").any()


@pytest.mark.parametrize(
    "notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem
)
def test_every_solution_of_a_notebook_ends_with_a_value_on_the_finished_run(demo, notebook):
    found = solutions(nbformat.read(notebook, as_version=4))
    assert all(value_of(solution, demo[0]) is not None for solution in found)


def test_people_can_label_instead_beginning_with_nobody(demo, tmp_path):
    """The labelling notebook runs to its end with an empty log, and with one person's labels."""
    run = tmp_path / "people"
    shutil.copytree(demo[0], run)
    for log in run.glob("labels.sqlite*"):
        log.unlink()
    labelled = ("--first", "03", "--last", "03", "--set", "annotators=people")
    done = _walk(run, *labelled)
    assert done.returncode == 0, done.stderr
    workspace = Workspace(run)
    assert workspace.read("preferences").empty
    log = LabelLog(workspace.label_url)
    for place, row in enumerate(Queue(log, workspace.read("drafts"), "ann").take(12)):
        del row["figure_id"]
        log.record(**row, left_accepted=place % 2 == 0, right_accepted=True, annotator="ann")
    done = _walk(run, *labelled)
    assert done.returncode == 0, done.stderr
    assert len(workspace.read("preferences")) == 12
    assert workspace.read("demonstrations")["origin"].eq("this run").any()


def _own_benchmark(run: Path, folder: Path, *, kinds: set[str], images: bool = True) -> Path:
    """Two dozen of the clinic's questions as a benchmark of one's own, its first image cut off."""
    (folder / "images").mkdir(parents=True)
    rows = map(json.loads, (run / "clinic" / "benchmark.jsonl").read_text().splitlines())
    chosen = [row for row in rows if row["kind"] in kinds][:24]
    for place, row in enumerate(chosen):
        image = (run / row["image"]).read_bytes()
        row["image"] = Path(row["image"]).name
        own = folder / "images" / row["image"]
        if images and not own.exists():
            own.write_bytes(image if place else image[:300])
    (folder / "test.jsonl").write_text("\n".join(json.dumps(row) for row in chosen))
    return folder


def test_chat_questions_alone_with_a_broken_image_are_evaluated_to_the_end(demo, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(demo[0], run)
    benchmark = _own_benchmark(run, tmp_path / "own", kinds={"chat"})
    done = _walk(run, "--first", "09", "--set", f"benchmark={benchmark}")
    assert done.returncode == 0, done.stderr
    metrics = Workspace(run).metrics
    assert metrics["evaluation.chat_questions"] == 23
    assert metrics["evaluation.questions_without_image"] == 1
    assert metrics["evaluation.chat_unjudged_selected"] == 0
    assert not [name for name in metrics if name.startswith("evaluation.closed_accuracy")]
    for by in ("type_conversation", "modality_mri"):
        assert metrics[f"evaluation.chat_score_{by}_selected"] > 0


def test_a_benchmark_without_its_images_says_so_in_one_line(demo, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(demo[0], run)
    benchmark = _own_benchmark(run, tmp_path / "own", kinds={"open", "closed"}, images=False)
    done = _walk(run, "--first", "09", "--set", f"benchmark={benchmark}")
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if "NoImages" in line]
    assert len(told) == 1 and "a benchmark without its images cannot be evaluated" in told[0]


@pytest.mark.realdata
def test_real_questions_go_through_the_same_evaluation(demo, realdata, tmp_path):
    run = tmp_path / "real"
    shutil.copytree(demo[0], run)
    settings = [f"benchmark={realdata / 'vqa_rad'}", "questions_asked=60"]
    done = _walk(run, "--first", "09", *(word for one in settings for word in ("--set", one)))
    assert done.returncode == 0, done.stderr
    metrics = Workspace(run).metrics
    assert metrics["evaluation.questions"] == 60
    assert 0 <= metrics["evaluation.closed_accuracy_selected"] <= 1
    assert "evaluation.image_reliance_no_image_closed_accuracy_selected" in metrics
    answers = Workspace(run).read("answers")
    sent = answers[answers["control"] != "no_image"]
    assert set(sent["image_tokens"]) == {65} and sent["image_sha256"].notna().all()
    origins = Workspace(run).metric_origins().set_index("metric")
    own = origins[origins.index.str.startswith("evaluation.")]
    assert own["measured_on"].str.contains("benchmark vqa_rad").all()
    assert not own["stale"].any() and not own.index.str.contains("clinicians").any()


def test_every_panel_of_the_executed_notebooks_can_be_read_without_a_kernel(demo):
    texts = [path.read_text("utf-8") for path in (demo[0] / "executed").glob("*.ipynb")]
    assert not [text for text in texts if "VBox(" in text or "<vital_lib" in text]
    assert sum(text.count("widget-view+json") for text in texts) > 20
    assert "without a saved view" not in "".join(texts)
    assert not re.search(r"\], n = \d|Interval\(", _said(demo[0]))  # no interval as code writes it


def test_the_copy_of_notebook_00_shows_the_finished_run(demo):
    first = nbformat.read(demo[0] / "executed" / "00_start_here.ipynb", as_version=4)
    shown = "".join(
        o.get("data", {}).get("text/html", "") for c in first.cells for o in c.get("outputs", [])
    )
    assert "<b>Finished.</b>" in shown and 'href="../report.html"' in shown
    assert "no metrics yet" not in shown


def _said(run: Path) -> str:
    """All that the executed notebooks of a run show, as one text, their plots left out."""
    books = [nbformat.read(path, as_version=4) for path in (run / "executed").glob("*.ipynb")]
    shown = [
        output.get("text", "") or "".join(output.get("data", {}).get(kind, "") for kind in TEXTS)
        for book in books
        for cell in book.cells
        for output in cell.get("outputs", [])
    ]
    return "\n".join(shown)


TEXTS = ("text/plain", "text/html")
CLAIMED = ("accepted_share", "agreement", "alpha", "win_rate")


@pytest.mark.realdata
def test_a_walk_with_people_who_have_not_voted_claims_nothing_of_them(realdata, tmp_path):
    """It goes as far as there is something to do, and says what to do then."""
    run = tmp_path / "people"
    settings = [f"figure_set={realdata / 'figures'}", "annotators=people"]
    done = _walk(run, "--last", "07", *(word for one in settings for word in ("--set", one)))
    assert "06_train_selector" in done.stderr
    assert "no votes yet: label some in 03_label_preferences" in done.stderr
    workspace = Workspace(run)
    measured = [name for name in workspace.metrics if any(word in name for word in CLAIMED)]
    assert not measured
    assert not any(workspace.metrics[name] for name in workspace.metrics if ".votes" in name)
    assert LabelLog(workspace.label_url).history().empty
    assert set(workspace.read("candidates")["arm"]) == {"none"}
    said = _said(run)
    assert "no votes yet" in said
    assert not re.search(r"(?:of|by|with|from) (?:simulated )?clinicians", said)
    page = write_report(workspace).read_text()
    assert "clinicians" not in page and "accepted share" not in page


@pytest.mark.realdata
def test_simulated_clinicians_on_real_figures_say_so_and_that_they_know_no_truth(
    realdata, tmp_path
):
    run = tmp_path / "simulated"
    done = _walk(run, "--last", "05", "--set", f"figure_set={realdata / 'figures'}")
    assert done.returncode == 0, done.stderr
    workspace = Workspace(run)
    annotators = LabelLog(workspace.label_url).history()["annotator"]
    assert len(annotators) and annotators.str.endswith("(simulated)").all()
    rows = metrics_frame(workspace.metrics).set_index("metric")["votes"]
    for name in ("preferences.alpha", "candidates.accepted_share_none", "arms.a_win_rate"):
        assert rows[name] == "simulated, all judged without truth"
    assert simulated_parts(workspace) == ["generator", "judge", "clinicians"]


@pytest.mark.realdata
def test_real_figures_go_as_far_as_the_selected_set(realdata, tmp_path):
    settings = [
        f"figure_set={realdata / 'figures'}",
        f"demonstration_pool={realdata / 'clinician_demonstrations.jsonl'}",
        "licences=any",
    ]
    run = tmp_path / "real"
    done = _walk(run, "--last", "07", *(word for one in settings for word in ("--set", one)))
    assert done.returncode == 0, done.stderr
    workspace = Workspace(run)
    assert workspace.metrics["figures.n"] == 60
    assert (workspace.read("demonstrations")["origin"] != "random").sum() >= 58
    assert len(workspace.read("selected")) > 0
    assert (run / "exports" / "llava" / "conversations.json").exists()
