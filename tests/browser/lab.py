"""A real JupyterLab on loopback and a headless Chromium, for the tests that press real buttons.

Both are started afresh in private temporary folders, reach nothing outside this machine, and are
ended by the process that started them. This module knows nothing of panels.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, sync_playwright
from processes import START_SECONDS, free_port, jupyter_environment, running_process, status

CHROMIUM = shutil.which("chromium")
IN_CHROMIUM = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="needs Chromium on the PATH (Debian: apt-get install chromium)"
    ),
]
"""The marks of a module of browser tests."""

PICTURE = """
import io
import pandas as pd
from PIL import Image

HOSTILE = '<b id="markup">bold</b><img src=x onerror="window.attacked = true">'

def picture(figure_id):
    file = io.BytesIO()
    Image.new("RGB", (224, 224), "teal").save(file, format="JPEG")
    return file.getvalue()
"""
"""The start of a notebook: an image, and a text that runs if it is ever taken for markup."""

CONNECTION = "vital_lib.connection.UndelayedConnection"  # as in `make lab`
RUN_SECONDS = 120

_CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
_SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}
_THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
# The menu's Run All is lost where the kernel does not exist yet, so the application is asked, once
# the same kernel has been idle and connected for half a second.
RUN_ALL = """async () => {
  const app = window.jupyterapp;
  await app.restored;
  const panel = app.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  let since = Date.now(), before = null;
  while (Date.now() - since < 500) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const kernel = panel.sessionContext.session?.kernel;
    const ready = kernel?.status === "idle" && kernel.connectionStatus === "connected";
    if (!ready || kernel.id !== before) { since = Date.now(); before = kernel?.id ?? null; }
  }
  await panel.sessionContext.session.kernel.info;
  await app.commands.execute("notebook:run-all-cells");
}"""

_IDLE = """() => {
  const context = window.jupyterapp.shell.currentWidget?.sessionContext;
  return context?.session?.kernel?.status === "idle";
}"""


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, its token, and the folder that it serves."""

    port: int
    token: str
    folder: Path

    def url(self, notebook: str) -> str:
        """The address that opens `notebook`, a path inside the folder, and no other tab."""
        workspace = secrets.token_hex(4)
        path = f"lab/workspaces/{workspace}/tree/{notebook}"
        return f"http://127.0.0.1:{self.port}/{path}?token={self.token}"


@contextmanager
def jupyter_lab(folder: Path, private: Path, *, theme: str = "light") -> Iterator[Lab]:
    """Serve `folder` until the block ends.

    Args:
        private: an empty folder for Jupyter's own configuration and data.
        theme: light or dark.
    """
    lab = Lab(free_port(), secrets.token_hex(16), folder)
    _write_settings(private / "settings", theme)
    address = f"http://127.0.0.1:{lab.port}/api?token={lab.token}"
    places = {"environment": jupyter_environment(private), "log": private / "jupyter.log"}
    with running_process(_command(lab), lambda: status(address) == 200, **places):
        yield lab


@contextmanager
def chromium(*, width: int = 1280, height: int = 900) -> Iterator[Page]:
    """A page of a new headless Chromium, its window `width` x `height` pixels.

    Its context may have more pages, which are to it what more tabs are to a person.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_CHROMIUM_FLAGS)
        try:
            yield browser.new_context(viewport={"width": width, "height": height}).new_page()
        finally:
            browser.close()


def write_notebook(path: Path, cells: Sequence[str]) -> None:
    """Write a notebook of code `cells`."""
    code = [nbformat.v4.new_code_cell(cell) for cell in cells]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=code, metadata={"kernelspec": kernel}), path)


def run_notebook(page: Page, lab: Lab, notebook: str) -> None:
    """Open `notebook` with the side bar folded, and run all its cells to the end."""
    page.goto(lab.url(notebook))
    page.wait_for_selector(".jp-Notebook", timeout=START_SECONDS * 1000)
    page.evaluate(RUN_ALL)
    page.evaluate("window.jupyterapp.shell.collapseLeft()")
    page.wait_for_function(_IDLE, timeout=RUN_SECONDS * 1000)


def run_again(page: Page) -> None:
    """Run all cells of the open notebook in a kernel that Jupyter starts again by itself."""
    died = page.locator(".jp-Dialog button", has_text="Ok")
    died.click(timeout=START_SECONDS * 1000)
    page.evaluate(RUN_ALL)
    page.wait_for_function(_IDLE, timeout=RUN_SECONDS * 1000)


def _command(lab: Lab) -> list[str]:
    return [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
        *(f"--port={lab.port}", "--ServerApp.port_retries=0"),
        *(f"--IdentityProvider.token={lab.token}", f"--ServerApp.root_dir={lab.folder}"),
        f"--ServerApp.kernel_websocket_connection_class={CONNECTION}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
        "--LabApp.expose_app_in_browser=True",
    ]


def _write_settings(folder: Path, theme: str) -> None:
    themes = {"@jupyterlab/apputils-extension/themes": {"theme": _THEMES[theme]}}
    for plugin, settings in {**_SETTINGS, **themes}.items():
        file = folder / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))


def errors(page: Page) -> list[str]:
    """What cells of the open notebook failed with; on the page an error looks like a warning."""
    return page.evaluate(
        """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
        .flatMap((cell) => cell.outputs?.toJSON() ?? [])
        .filter((output) => output.output_type === "error")
        .map((output) => `${output.ename}: ${output.evalue}`)"""
    )
