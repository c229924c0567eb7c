"""What tests share: root, figures, images, prices, a log, a run, notebooks, models, a disk."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from loopback import cleared, save_image
from small_notebooks import small_notebooks_in

from vital_lib.figures import FigureImage
from vital_lib.labels import LabelLog
from vital_lib.tables import Workspace

# Made-up cases are the same in every run, so that a failure is of the change and not of the day.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.load_profile("same")

ROOT = Path(__file__).parents[1]
REALDATA = ROOT.parent / "shared" / "realdata"

# Modules that tests import helpers from and that also hold fixtures.
pytest.register_assert_rewrite("exchange_rows", "panel_rows", "preference_card_rows", "tuning_rows")


def pytest_configure() -> None:
    """Let an interrupt be one: what a shell starts in the background begins by ignoring it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_key_of_mine(monkeypatch) -> None:
    """No test finds a key or an endpoint that whoever runs it has set."""
    keys = [name for name in os.environ if name.endswith("_API_KEY")]
    for name in (*keys, "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def realdata() -> Path:
    """The folder of real figures and questions; the test is skipped where it is absent."""
    if not REALDATA.is_dir():
        pytest.skip(
            "needs ../shared/realdata: figures/ (as LLaVA-Med's captions), vqa_rad/ (VQA-RAD), "
            "clinician_demonstrations.jsonl (BioMed-VITAL's, as published)"
        )
    return REALDATA


@pytest.fixture
def image(tmp_path) -> FigureImage:
    """An image of noise to send."""
    return cleared(save_image(tmp_path / "figure.png", seed=0))


@pytest.fixture
def prices(tmp_path) -> Path:
    """A price table with the model `judge`."""
    from client_acts import PRICES  # brings in the client

    table = tmp_path / "prices.csv"
    table.write_text(f"{PRICES}judge,2.0,10.0,tiles 85 170,2026-01-01\n")
    return table


@pytest.fixture
def log(tmp_path) -> Iterator[LabelLog]:
    """A new label log in SQLite, closed after the test."""
    log = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}")
    yield log
    log.close()


@pytest.fixture
def run(tmp_path, monkeypatch) -> Workspace:
    """A run with the images of twelve figures; the test runs in its folder."""
    workspace = Workspace(tmp_path / "run")
    (workspace.path / "images").mkdir()
    for number in range(12):
        save_image(workspace.path / "images" / f"f{number}.png", number)
    monkeypatch.chdir(workspace.path)
    return workspace


@pytest.fixture(scope="module")
def llava_folder(tmp_path_factory) -> Path:
    from tiny_llava import make_tiny_llava  # brings in torch

    return make_tiny_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="module")
def qwen_folder(tmp_path_factory) -> Path:
    from tiny_llava import make_tiny_qwen

    return make_tiny_qwen(tmp_path_factory.mktemp("qwen"))


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs root, who alone may mount a disk of its own (sudo make test)")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)  # a kernel may still hold it


@pytest.fixture
def read_only(tmp_path_factory):
    """Show a folder on a read-only disk: call it with the folder; it returns the disk."""
    disks = []

    def show(folder: Path) -> Path:
        disk = tmp_path_factory.mktemp("disk")
        if subprocess.run(["mount", "--bind", folder, disk], capture_output=True).returncode:
            pytest.skip("needs root, who alone may mount a disk (sudo make test)")
        disks.append(disk)
        subprocess.run(["mount", "-o", "remount,bind,ro", disk], check=True)
        return disk

    yield show
    for disk in disks:
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def small_notebooks(tmp_path, monkeypatch) -> Callable[..., None]:
    """Write notebooks to run in place of the ten; the first cell of each has its parameters."""
    return small_notebooks_in(tmp_path / "notebooks", monkeypatch)
