"""The monitor of a job in a real JupyterLab: reloaded in the middle, braked, stopped by mouse."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from lab import IN_CHROMIUM, RUN_ALL, run_notebook, write_notebook
from playwright.sync_api import Page, expect
from waiting import until

from vital_lib.clinic.server import Dials, Server, running

pytestmark = IN_CHROMIUM

START = """
from PIL import Image
from vital_lib.figures import open_image
from vital_lib.panels import RunMonitor
from vital_lib.prompts import verdict_prompt
from vital_lib.client import UNSENT, ChatClient
from vital_lib.client.job import Job

Image.new("RGB", (32, 32), "teal").save("figure.png")
image = open_image("figure.png")
model = ChatClient("clinic", base_url="URL", local=True, concurrency=8)
prompts = [verdict_prompt(f"number {n}", image, "r", "x", "y") for n in range(3_000)]
job = Job(lambda control: model.ask(prompts, control=control), len(prompts)).start()
"""
WATCH = "RunMonitor(job).widget"
WAIT = """
kept = [reply for reply in job.result() if reply.reason != UNSENT]
print("kept", len(kept))
"""


@pytest.fixture
def endpoint() -> Iterator[Server]:
    with running(Dials(latency=0.1, reply="fixed")) as server:
        yield server


# A press reaches a kernel whose cell waits once Jupyter has given the widgets a thread there.
_THREAD = """() => {
  const context = window.jupyterapp.shell.currentWidget.sessionContext;
  const comms = [...context.session.kernel._comms.values()];
  return Promise.all(comms.map((comm) => comm.subshellStarted)).then(() => comms.length);
}"""


def _press(page: Page, label: str) -> None:
    page.locator(".vital button", has_text=re.compile(f"^{label}$")).click()


def _done(page: Page) -> int:
    text = page.locator(".vital .tally .number").first.inner_text()
    return int(text.split(" of ")[0].replace(",", ""))


def _expect_progress(page: Page) -> None:
    before, end = _done(page), time.monotonic() + 20
    while _done(page) <= before:
        assert time.monotonic() < end, f"{before} is not passed"
        page.wait_for_timeout(50)


def _expect_status(page: Page, status: str) -> None:
    expect(page.locator(".vital [role=status]")).to_have_text(status, timeout=20_000)


def _expect_question(page: Page, asked: bool = True) -> None:
    question = page.locator(".vital", has_text="Stop? Completed requests are kept.")
    expect(question).to_have_count(int(asked), timeout=20_000)


def _expect_silence(page: Page, endpoint: Server) -> None:
    """Nothing more is sent, and the page shows all that came."""
    until(lambda: not endpoint.stats()["in_flight"], 20)
    asked = endpoint.stats()
    expect(page.locator(".vital .tally .number").first).to_have_text(
        f"{asked['answered']:,} of 3,000"
    )
    page.wait_for_timeout(1000)  # ten times the latency
    assert endpoint.stats()["requests"] == asked["requests"]


def test_it_goes_on_over_a_reload_and_obeys_afterwards(page, lab, endpoint):
    write_notebook(lab.folder / "run.ipynb", [START.replace("URL", endpoint.url), WATCH])
    run_notebook(page, lab, "run.ipynb")
    _expect_status(page, "running")
    _expect_progress(page)

    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    expect(page.locator(".vital")).to_have_count(1, timeout=60_000)
    _expect_status(page, "running")
    _expect_progress(page)

    _press(page, "Pause")
    _expect_status(page, "paused")
    _expect_silence(page, endpoint)
    _press(page, "Resume")
    _expect_progress(page)
    assert endpoint.stats()["repeated"] == 0


def test_it_stops_while_a_cell_waits_and_keeps_what_is_done(page, lab, endpoint):
    cells = [START.replace("URL", endpoint.url), WATCH, WAIT]
    write_notebook(lab.folder / "wait.ipynb", cells)
    page.goto(lab.url("wait.ipynb"))
    page.wait_for_selector(".jp-Notebook", timeout=60_000)
    page.evaluate(f"void ({RUN_ALL})()")
    _expect_status(page, "running")
    assert page.evaluate(_THREAD) > 0
    _press(page, "Stop")
    _expect_question(page)
    _expect_progress(page)  # nothing ends before it is asked once more
    _press(page, "Continue")
    _expect_question(page, asked=False)
    _press(page, "Stop")
    _expect_question(page)  # a second press before that is taken for a double click
    _press(page, "Stop")
    _expect_status(page, "stopped")
    answered = endpoint.stats()["answered"]
    assert 0 < answered < 3000
    assert _done(page) == answered
    expect(page.locator(".jp-OutputArea-output").last).to_have_text(f"kept {answered}")
