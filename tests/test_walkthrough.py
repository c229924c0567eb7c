"""Tests of running notebooks unattended, with small notebooks made here."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import unquote

import nbformat
import numpy as np
import pytest

from vital_lib import walkthrough
from vital_lib.annotators import Votes, signed
from vital_lib.clinic import CLINICIANS
from vital_lib.labels import LabelLog
from vital_lib.tables import Workspace

RECORD = "from vital_lib.tables import Workspace\nWorkspace(run).record({'stage.seed': seed})"


def test_each_notebook_receives_the_parameters_it_declares(small_notebooks, tmp_path):
    small_notebooks("00_first", "run = None\nseed = 0", RECORD)
    small_notebooks("01_second", "run = None", "run")
    ran = list(walkthrough.run_notebooks(tmp_path / "run", settings={"seed": 7}))
    assert [path.stem for path, _ in ran] == ["00_first", "01_second"]
    assert Workspace(tmp_path / "run").metrics == {"stage.seed": 7}
    assert (tmp_path / "run" / "executed" / "01_second.ipynb").exists()


def test_a_tuple_and_a_numpy_number_arrive_as_a_list_and_a_number(small_notebooks, tmp_path):
    given = "from vital_lib.tables import Workspace\nassert arms == ['selected', 'random'], arms"
    record = "Workspace(run).record({'stage.seed': seed})"
    small_notebooks("00_first", "run = None\nseed = 0\narms = None", given, record)
    settings = {"seed": np.int64(7), "arms": ("selected", "random")}
    assert len(list(walkthrough.run_notebooks(tmp_path / "run", settings=settings))) == 1
    assert Workspace(tmp_path / "run").metrics == {"stage.seed": 7}


def test_what_notebook_09_asks_is_what_notebook_07_leaves_out(small_notebooks, tmp_path):
    small_notebooks("07_a", "run = None\nbenchmarks = ['clinic']", "assert benchmarks == ['mine']")
    small_notebooks("09_b", "run = None\nbenchmark = 'clinic'", "assert benchmark == 'mine'")
    settings = {"benchmark": "mine"}
    assert len(list(walkthrough.run_notebooks(tmp_path / "run", settings=settings))) == 2


@pytest.mark.slow
def test_the_copy_of_notebook_00_shows_the_finished_run_and_its_links_resolve(
    small_notebooks, tmp_path, capsys
):
    page = "from vital_lib.report import ProgressPage\nProgressPage(Workspace(run))"
    small_notebooks("00_first", "run = None\nseed = 0", RECORD, page)
    small_notebooks("01_explore_figures", "run = None", "run")
    small_notebooks("09_evaluate_model", "run = None", "run")
    run = tmp_path / "a run"
    assert walkthrough.main(["--run", str(run)]) == 0
    assert str(run / "report.html") in capsys.readouterr().out
    copy = run / "executed" / "00_first.ipynb"
    shown = nbformat.read(copy, as_version=4).cells[-1].outputs[0].data["text/html"]
    links = [unquote(link) for link in re.findall(r'href="([^"]+)"', shown)]
    assert "../report.html" in links and links.count("09_evaluate_model.ipynb") == 2
    written = [link for link in links if link[:2] in ("..", "01", "09")]
    assert all((copy.parent / link).is_file() for link in written)


def test_the_walkthrough_runs_inside_an_event_loop(small_notebooks, tmp_path):
    small_notebooks("00_first", "run = None\nseed = 0", RECORD)
    small_notebooks("01_second", "run = None", "run")

    async def cell():
        return list(walkthrough.run_notebooks(tmp_path / "run", settings={"seed": 7}))

    assert len(asyncio.run(cell())) == 2


PANELS = [
    "import pandas as pd\nfrom vital_lib import panels\nfrom vital_lib.client.job import Job",
    "figures = pd.DataFrame({'figure_id': ['f1'], 'caption': ['<b>A scan</b>'],"
    " 'mentions': [[]], 'modalities': [['mri']]})\n"
    "panels.FigureBrowser(figures, lambda name: b'').widget",
    "job = Job(lambda control: 'done', 3)\npanels.RunMonitor(job, 'Drafts').widget",
    "job.start().result()",
]


def test_panels_of_an_executed_notebook_are_there_in_their_final_static_form(
    small_notebooks, tmp_path
):
    small_notebooks("00_first", "run = None\nseed = 0", *PANELS)
    list(walkthrough.run_notebooks(tmp_path / "run"))
    [path] = (tmp_path / "run" / "executed").iterdir()
    book = nbformat.read(path, as_version=4)
    assert "widgets" not in book.metadata  # a page would take a saved state for a live panel
    shown = [out.data for cell in book.cells for out in cell.get("outputs", ()) if "data" in out]
    browser, monitor = (data for data in shown if "text/html" in data)
    assert "application/vnd.jupyter.widget-view+json" in browser
    assert "&lt;b&gt;A scan&lt;/b&gt;" in browser["text/html"]
    assert monitor["text/plain"].startswith("Drafts: finished, 0 of 3 done")
    texts = path.read_text()
    assert "VBox(" not in texts and "<vital_lib" not in texts


def test_a_failing_cell_stops_the_walkthrough_and_the_error_names_the_notebook(
    small_notebooks, tmp_path, capsys
):
    small_notebooks("00_first", "run = None\nseed = 0", "raise RuntimeError('no figures')")
    small_notebooks("01_second", "run = None\nseed = 0", RECORD)
    code = walkthrough.main(["--run", str(tmp_path / "run")])
    assert code == 1
    assert "00_first" in (error := capsys.readouterr().err) and "no figures" in error
    assert not Workspace(tmp_path / "run").metrics


@pytest.mark.slow
def test_the_start_page_runs_again_at_the_end_and_then_shows_the_run(small_notebooks, tmp_path):
    shown = "from vital_lib.tables import Workspace\nWorkspace(run).metrics.get('stage.seed')"
    small_notebooks("00_first", "run = None\nseed = 0", shown)
    small_notebooks("09_last", "run = None\nseed = 0", RECORD)
    assert walkthrough.main(["--run", str(tmp_path / "run"), "--seed", "7"]) == 0
    book = nbformat.read(tmp_path / "run" / "executed" / "00_first.ipynb", as_version=4)
    assert book.cells[-1].outputs[0].data["text/plain"] == "7"


def test_a_setting_that_no_notebook_declares_is_refused(small_notebooks, tmp_path):
    small_notebooks("00_first", "run = None", "run")
    with pytest.raises(ValueError, match="colour"):
        list(walkthrough.run_notebooks(tmp_path / "run", settings={"colour": "red"}))


def _run_labelled_by(folder, annotator):
    log = LabelLog(Workspace(folder).label_url)
    log.record(
        item_id="i",
        left_id="l",
        right_id="r",
        left_accepted=True,
        right_accepted=False,
        annotator=annotator,
    )


@pytest.mark.parametrize("annotator", [CLINICIANS[0], signed(CLINICIANS[0])])
def test_a_fresh_start_deletes_a_run_with_only_simulated_labels(tmp_path, annotator):
    _run_labelled_by(tmp_path / "run", annotator)
    assert walkthrough.set_aside(tmp_path / "run") is None
    assert not (tmp_path / "run").exists()


def test_a_fresh_start_keeps_a_run_with_a_persons_labels(tmp_path):
    _run_labelled_by(tmp_path / "run", "dr-somebody")
    kept = walkthrough.set_aside(tmp_path / "run")
    log = LabelLog(Workspace(kept).label_url)
    assert list(log.history()["annotator"]) == ["dr-somebody"]
    assert not (tmp_path / "run").exists()


def test_a_fresh_start_keeps_a_run_of_another_format(tmp_path):
    _run_labelled_by(tmp_path / "run", CLINICIANS[0])
    (tmp_path / "run" / "run.json").write_text('{"format_version": 1}')
    kept = walkthrough.set_aside(tmp_path / "run")
    assert (kept / "labels.sqlite").is_file() and not (tmp_path / "run").exists()


def test_the_summary_shows_each_metric_once_with_its_interval():
    text = walkthrough.summary(
        {"a.n": 1200, "b.share": 0.5, "b.share_low": 0.4, "b.share_high": 0.6}
    )
    assert text.splitlines() == ["a.n      1,200", "b.share  0.500  [0.400, 0.600]"]


def test_the_summary_shows_whose_votes_are_behind_a_metric():
    votes = Votes(4, simulated=4)
    lines = walkthrough.summary({"arms.a_win_rate": 0.5, "b.n": 2, **votes.metrics("arms")})
    by_metric = {line.split()[0]: line for line in lines.splitlines()}
    assert by_metric["arms.votes"].split() == ["arms.votes", "4", "votes:", "simulated"]
    assert "arms.votes_simulated" not in by_metric
    assert by_metric["arms.a_win_rate"].endswith("votes: simulated")
    assert "votes:" not in by_metric["b.n"]


@pytest.mark.parametrize(("given", "number"), [("3", "03"), ("03", "03"), ("10", "10")])
def test_a_notebook_number_may_have_one_digit(given, number):
    assert walkthrough._parser().parse_args(["--last", given]).last == number


def test_an_invalid_notebook_number_is_refused(capsys):
    with pytest.raises(SystemExit):
        walkthrough.main(["--first", "select"])
    assert "'select' is not a notebook number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("seed=7", 7),
        ("max_usd=0.5", 0.5),
        ("learning_rate=2e-5", 2e-5),
        ("mix=None", None),
        ("local=False", False),
        ("figure_set=/data/mine", "/data/mine"),
        ("annotator=ann", "ann"),
        ("annotator=007", "007"),
        ("base_url=http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("note=", ""),
    ],
)
def test_a_setting_is_read_as_the_python_value_that_a_notebook_would_hold(text, value):
    name, read = walkthrough.setting(text)
    assert read == value and type(read) is type(value) and text.startswith(f"{name}=")


def test_a_folder_that_is_no_run_is_never_deleted(tmp_path, capsys):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mine.png").write_bytes(b"mine")
    (tmp_path / "file").write_text("mine")
    for name in ("figures", "file"):
        assert walkthrough.main(["--fresh", "--run", str(tmp_path / name)]) == 1
        assert f"{tmp_path / name} is no run, as it has no run.json" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["mine.png"]
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "begun" / "executed").mkdir(parents=True)  # stopped in its first notebook
    walkthrough.set_aside(tmp_path / "begun")
    assert not (tmp_path / "begun").exists()
