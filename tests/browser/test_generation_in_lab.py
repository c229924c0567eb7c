"""Notebooks 04 and 05 as committed, in a real JupyterLab: generation watched and braked, the judge.

The model is the simulated one, as a slow server on loopback: whatever is said here of sending and
paying is what that server counts.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from lab import IN_CHROMIUM, RUN_ALL, START_SECONDS, Lab, errors, run_notebook
from playwright.sync_api import Locator, Page, expect
from waiting import until

from vital_lib.clinic.server import Dials, Server, running
from vital_lib.labels import accepted_share
from vital_lib.prompts import POLICIES
from vital_lib.tables import Workspace
from vital_lib.walkthrough import run_notebooks

pytestmark = [*IN_CHROMIUM, pytest.mark.parametrize("lab", ["light"], indirect=True)]

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
GENERATE, JUDGE = "04_generate_instructions", "05_judge_candidates"
SLOW = Dials(latency=1.0, spread=6.0)  # an arm takes as long as its slowest reply: 20 s in all
STAGE_SECONDS = 60  # for the cells above or below the monitor


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Path:
    """A run after notebook 03, small enough that some test figures were not labelled."""
    run = tmp_path_factory.mktemp("runs") / "labelled"
    list(run_notebooks(run, settings={"articles": 40}, last="01"))
    workspace = Workspace(run)
    few = workspace.read("figures_sampled").groupby("split").head(12)
    workspace.write("figures_sampled", few, made_from=["figures"])
    list(run_notebooks(run, first="02", last="03"))
    return run


@pytest.fixture
def run(labelled, tmp_path) -> Workspace:
    """A copy of that run, the test's own."""
    return Workspace(shutil.copytree(labelled, tmp_path / "run"))


@pytest.fixture
def generated(run) -> Workspace:
    """That copy after notebook 04."""
    list(run_notebooks(run.path, first="04", last="04"))
    return run


def _copy(lab: Lab, name: str, run: Workspace, endpoint: Server) -> str:
    """The file name of the notebook's copy that works on `run` by way of `endpoint`.

    It is the test's own: a file opened again would find the kernel of the test before.
    """
    book = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    [cell] = [cell for cell in book.cells if "parameters" in cell.metadata.get("tags", [])]
    cell.source += f"\nrun, base_url, local = {str(run.path)!r}, {endpoint.url!r}, True"
    file = f"{name}-{run.path.parent.name}.ipynb"
    nbformat.write(book, lab.folder / file)
    return file


def _generate(page: Page, lab: Lab, run: Workspace, endpoint: Server) -> Locator:
    """Open notebook 04, run all its cells, and give the monitor as soon as it shows progress."""
    page.goto(lab.url(_copy(lab, GENERATE, run, endpoint)))
    page.wait_for_selector(".jp-Notebook", timeout=START_SECONDS * 1000)
    page.evaluate(f"void ({RUN_ALL})()")  # its end is not waited for
    monitor = _monitor(page)
    expect(monitor).to_be_visible(timeout=STAGE_SECONDS * 1000)
    _expect_progress(monitor)
    return monitor


def _monitor(page: Page) -> Locator:
    return page.locator(".vital", has=page.locator("h3", has_text="Conversations written"))


def _cell(monitor: Locator, name: str) -> Locator:
    """What stands under that heading of the monitor's."""
    cell = monitor.locator(".tally > div", has=monitor.page.locator(f"h4:text-is('{name}')"))
    return cell.locator(".number")


def _done(monitor: Locator) -> int:
    return int(_cell(monitor, "done").inner_text().split(" of ")[0].replace(",", ""))


def _expect_all_done(monitor: Locator) -> None:
    done, total = _cell(monitor, "done").inner_text().split(" of ")
    assert done == total


def _expect_progress(monitor: Locator) -> None:
    before = _done(monitor)
    until(lambda: _done(monitor) > before, what=f"more than {before} done")


def _expect_status(monitor: Locator, status: str, seconds: float = 20) -> None:
    expect(monitor.get_by_role("status")).to_have_text(status, timeout=seconds * 1000)


def _press(monitor: Locator, label: str) -> None:
    monitor.locator("button", has_text=re.compile(f"^{label}$")).click()


def _expect_standstill(monitor: Locator, endpoint: Server) -> None:
    """What was under way has arrived and is shown, and nothing more is sent."""
    until(lambda: not endpoint.stats()["in_flight"], what="nothing in flight")
    asked = endpoint.stats()
    until(lambda: _done(monitor) == asked["answered"], what="all that was answered is shown")
    monitor.page.wait_for_timeout(1500)  # a run that is not paused sends and shows within that
    assert endpoint.stats()["requests"] == asked["requests"]
    assert _done(monitor) == asked["answered"]


def _expect_idle(page: Page) -> None:
    kernel = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
    page.wait_for_function(f"() => {kernel}.status === 'idle'", timeout=STAGE_SECONDS * 1000)


def _expect_every_figure_once(run: Workspace) -> None:
    """All conversations are in table `candidates`, each of its figure and arm but once."""
    candidates = run.read("candidates")
    told = candidates.drop_duplicates("conversation_id")[["figure_id", "arm"]]
    assert not told.duplicated().any()
    frame, sampled = run.read("figures"), run.read("figures_sampled")
    apart = (frame["split"] == "test") & ~frame["figure_id"].isin(sampled["figure_id"])
    both = apart | (frame["split"] == "train")
    wanted = {"clinician": both.sum(), "none": both.sum(), "random": apart.sum()}
    assert told.groupby("arm").size().to_dict() == wanted


def test_the_monitor_of_notebook_04_obeys_and_is_there_again_after_a_reload(page, lab, run):
    with running(SLOW) as endpoint:
        monitor = _generate(page, lab, run, endpoint)
        _expect_status(monitor, "running")
        for name, form in (("per second", r"\d+\.\d"), ("time left", r"\d+ (s|min)")):
            expect(_cell(monitor, name)).to_have_text(re.compile(f"^{form}$"))

        _press(monitor, "Pause")
        _expect_status(monitor, "paused")
        _expect_standstill(monitor, endpoint)

        # A cell below waits for the rest: it must not keep the kernel from answering the new page.
        page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        page.reload()
        expect(monitor).to_be_visible(timeout=START_SECONDS * 1000)
        _expect_status(monitor, "paused")
        _expect_standstill(monitor, endpoint)
        _press(monitor, "Resume")
        _expect_status(monitor, "running")
        _expect_progress(monitor)

        _expect_status(monitor, "✓ finished", STAGE_SECONDS)
        _expect_all_done(monitor)
        until(lambda: run.has("candidates"), STAGE_SECONDS, "the notebook's last cells")
        assert endpoint.stats()["repeated"] == 0
    _expect_every_figure_once(run)


def test_a_stopped_generation_is_finished_by_running_notebook_04_again(page, lab, run):
    with running(SLOW) as endpoint:
        monitor = _generate(page, lab, run, endpoint)
        _press(monitor, "Stop")
        expect(monitor).to_contain_text("Stop? Completed requests are kept.")
        _expect_status(monitor, "running")
        _expect_progress(monitor)
        _press(monitor, "Stop")
        _expect_status(monitor, "stopped")
        kept = _done(monitor)
        assert 0 < kept <= endpoint.stats()["answered"]
        _expect_idle(page)

        page.evaluate(RUN_ALL)
        _expect_status(monitor, "✓ finished", STAGE_SECONDS)
        _expect_all_done(monitor)
        assert int(_cell(monitor, "from ledger").inner_text()) >= kept
        _expect_idle(page)
        assert endpoint.stats()["repeated"] == 0
        assert errors(page) == []
    _expect_every_figure_once(run)


def _gaps(run: Workspace) -> list[float]:
    """Mean rating of a draft as a share of 10, less the share who accepted it; largest first."""
    preferences = run.read("preferences")
    people = accepted_share(preferences[preferences["drawn_by"] == "random"])
    rated = run.read("ratings").dropna(subset="overall").groupby("candidate_id")["overall"].mean()
    gaps = (rated / 10 - people.set_index("candidate_id")["accepted"]).dropna()
    return sorted(gaps, key=abs, reverse=True)


def _listed(panel: Locator) -> list[float]:
    return [
        float(text.replace("−", "-")) for text in panel.locator(".list .number").all_inner_texts()
    ]


def _box(panel: Locator, heading: str) -> Locator:
    return panel.locator(".box", has=panel.page.locator(f"h4:text-is('{heading}')"))


def test_the_judge_of_notebook_05_stands_beside_the_people_it_differs_from(page, lab, generated):
    with running(Dials(latency=0.2)) as endpoint:
        run_notebook(page, lab, _copy(lab, JUDGE, generated, endpoint))
        assert endpoint.stats()["repeated"] == 0
    assert errors(page) == []
    panel = page.locator(
        ".vital", has=page.locator("h3", has_text="Judge vs. simulated clinicians")
    )
    expect(panel).to_be_visible(timeout=STAGE_SECONDS * 1000)

    gaps = _gaps(generated)
    listed = _listed(panel)
    assert [abs(gap) for gap in listed] == pytest.approx([abs(gap) for gap in gaps], abs=0.0051)
    assert sorted(listed) == pytest.approx(sorted(gaps), abs=0.0051)  # two decimals are shown
    told = panel.locator(".measures").first.locator(".number").all_inner_texts()
    rating, (accepted, people) = float(told[0].split(" of ")[0]), map(int, told[1].split(" of "))
    assert rating / 10 - accepted / people == pytest.approx(listed[0], abs=0.0101)

    assert _box(panel, "Rating policy").locator(".text").inner_text() == POLICIES["rating"].strip()
    measured = _box(panel, "Judge measures").locator("tr", has_text="as by the annotators")
    names = [f"judge.agreement{end}" for end in ("", "_low", "_high")]
    value, low, high = (f"{generated.metrics[name]:.2f}" for name in names)
    assert measured.locator(".number").all_inner_texts()[:2] == [value, f"{low} to {high}"]

    panel.locator("button", has_text="simulated clinicians higher").click()
    expect(panel.locator(".list button")).to_have_count(sum(gap < 0 for gap in gaps))
    assert max(_listed(panel)) < 0
