"""The monitor of tuning runs in a real JupyterLab: curves, answers, and a stop by mouse."""

from __future__ import annotations

import re

from lab import IN_CHROMIUM, RUN_ALL, write_notebook
from playwright.sync_api import Page, expect

pytestmark = IN_CHROMIUM

START = """
import time
from vital_lib.panels import TuningMonitor
from vital_lib.tuning import LeftOut, Sample, TuningEvent

monitor = TuningMonitor({"selected": 4000, "random": 4000})
monitor.widget
"""
# A stand-in for a tuning run: the events of one, 20 steps a second.
WORK = """
def run(name):
    proceed, step = True, 0
    while proceed and step < 4000:
        time.sleep(0.05)
        step += 1
        rare = step % 10 == 1
        sample = (Sample("On which side?", "Left.", f"<b>{name}</b> at {step}"),) if rare else ()
        left = (LeftOut("c1", "600 tokens, limit 512"),) if step == 1 else ()
        held_out = 2.5 + 1 / step if rare else None
        event = TuningEvent(step, 4000, 2 + 2 / step, held_out, sample, left)
        proceed = monitor.watch[name](event)
    return step

with monitor:
    made = run("selected")
print("made", made)
"""


# A press reaches a kernel whose cell waits once Jupyter has given the widgets a thread there.
_THREAD = """() => {
  const context = window.jupyterapp.shell.currentWidget.sessionContext;
  const comms = [...context.session.kernel._comms.values()];
  return Promise.all(comms.map((comm) => comm.subshellStarted)).then(() => comms.length);
}"""


def _press(page: Page, label: str) -> None:
    page.locator(".vital button", has_text=re.compile(f"^{label}$")).first.click()


def test_it_draws_both_losses_shows_answers_and_stops_a_waiting_cell(page, lab):
    write_notebook(lab.folder / "tune.ipynb", [START, WORK])
    page.goto(lab.url("tune.ipynb"))
    page.wait_for_selector(".jp-Notebook", timeout=60_000)
    page.evaluate(f"void ({RUN_ALL})()")
    chart = page.locator(".vital .chart").first
    expect(chart.locator("circle").nth(2)).to_be_visible(timeout=60_000)
    box = chart.locator("polyline").first.bounding_box()
    assert box["width"] > 0 and box["height"] > 5
    answers = page.locator(".vital section table")
    expect(answers).to_contain_text("<b>selected</b> at")
    expect(page.locator(".vital summary")).to_have_text("1 conversation left out or cut")

    assert page.evaluate(_THREAD) > 0
    _press(page, "Stop")
    expect(page.locator(".vital", has_text="Stop? Steps made are kept.")).to_have_count(1)
    _press(page, "Stop")
    expect(page.locator(".vital [role=status]")).to_have_text("stopped", timeout=20_000)
    output = page.locator(".jp-OutputArea-output").last
    expect(output).to_contain_text("made")
    made = int(output.inner_text().split()[-1])
    assert 20 < made < 4000
    expect(page.locator(".vital .box").first).to_contain_text(
        f"stopped at step {made:,} of 4,000; run the cell again to go on"
    )
    expect(page.locator(".vital .box").nth(1)).to_contain_text("not begun; run the cell again")
    wider = page.locator(".vital").evaluate("(panel) => panel.scrollWidth - panel.clientWidth")
    assert wider <= 0
