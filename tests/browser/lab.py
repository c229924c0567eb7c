"""A real JupyterLab on loopback and a headless Chromium, for the tests that press real buttons.

Both are started afresh in private temporary folders, reach nothing outside this machine, and are
ended by the process that started them. This module knows nothing of panels.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
from playwright.sync_api import Page, sync_playwright

CHROMIUM = shutil.which("chromium")
START_SECONDS = 60
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
_RUN_ALL = """async () => {
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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lab = Lab(port, secrets.token_hex(16), folder)
    with open(private / "jupyter.log", "wb") as log:
        environment = _environment(private, theme)
        server = subprocess.Popen(_command(lab), env=environment, stdout=log, stderr=log)
        try:
            _wait_until_it_answers(lab, server, private / "jupyter.log")
            yield lab
        finally:
            server.terminate()  # it ends its kernels, too
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


@contextmanager
def chromium(*, width: int = 1280, height: int = 900) -> Iterator[Page]:
    """A page of a new headless Chromium, its window `width` x `height` pixels."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_CHROMIUM_FLAGS)
        try:
            yield browser.new_page(viewport={"width": width, "height": height})
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
    page.evaluate(_RUN_ALL)
    page.evaluate("window.jupyterapp.shell.collapseLeft()")
    page.wait_for_function(_IDLE, timeout=RUN_SECONDS * 1000)


def run_again(page: Page) -> None:
    """Run all cells of the open notebook in a kernel that Jupyter starts again by itself."""
    died = page.locator(".jp-Dialog button", has_text="Ok")
    died.click(timeout=START_SECONDS * 1000)
    page.evaluate(_RUN_ALL)
    page.wait_for_function(_IDLE, timeout=RUN_SECONDS * 1000)


def _command(lab: Lab) -> list[str]:
    return [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
        *(f"--port={lab.port}", "--ServerApp.port_retries=0"),
        *(f"--IdentityProvider.token={lab.token}", f"--ServerApp.root_dir={lab.folder}"),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
        "--LabApp.expose_app_in_browser=True",
    ]


def _environment(private: Path, theme: str) -> dict[str, str]:
    """The environment of a Jupyter that finds nobody's settings but those written here."""
    names = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    themes = {"@jupyterlab/apputils-extension/themes": {"theme": _THEMES[theme]}}
    for plugin, settings in {**_SETTINGS, **themes}.items():
        file = private / "settings" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    return {**os.environ, **{name: str(private / folder) for name, folder in names.items()}}


def _wait_until_it_answers(lab: Lab, server: subprocess.Popen, log: Path) -> None:
    address = f"http://127.0.0.1:{lab.port}/api?token={lab.token}"
    end = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")
