"""Notebook 03 as committed, in a real JupyterLab: labelled by keys, the rows of the log counted."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from lab import IN_CHROMIUM, errors, run_notebook
from pace import breathe
from playwright.sync_api import Locator, expect
from waiting import until

from vital_lib.client import ChatClient
from vital_lib.figures import read_figures
from vital_lib.generation import draft_candidates
from vital_lib.labels import LabelLog
from vital_lib.tables import Workspace

pytestmark = [*IN_CHROMIUM, pytest.mark.parametrize("lab", ["light"], indirect=True)]

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03_label_preferences.ipynb"
QUESTIONS = 2


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    """A run that has come as far as notebook 03 needs: a dozen figures and their drafts."""
    workspace = Workspace(tmp_path_factory.mktemp("runs") / "small")
    figures, _ = read_figures("clinic", run=workspace.path, articles=6)
    figures = figures.head(12)
    model = ChatClient("clinic", ledger=workspace.ledger)
    drafts, unread = draft_candidates(figures, model, questions=QUESTIONS, seed=0)
    assert unread.empty
    workspace.write("figures", figures)
    sampled = figures[["figure_id", "split"]].assign(cluster=0, chosen_by="cluster")
    workspace.write("figures_sampled", sampled, made_from=["figures"])
    workspace.write("drafts", drafts, made_from=["figures"])
    return workspace


def _copy_of_the_notebook(folder: Path, run: Path, *, practice: bool | None) -> str:
    """The name of the notebook's copy in `folder`, which works on `run`."""
    book = nbformat.read(NOTEBOOK, as_version=4)
    [cell] = [cell for cell in book.cells if "parameters" in cell.metadata.get("tags", [])]
    cell.source += f"\nrun = {str(run)!r}\npractice = {practice}"
    nbformat.write(book, folder / NOTEBOOK.name)
    return NOTEBOOK.name


def _press(card: Locator, key: str, *, done: int) -> None:
    """Press `key` once the card's figure is there, and wait for the next item."""
    expect(card.locator("button", has_text="Both")).to_be_enabled()
    breathe(card.page)
    card.page.keyboard.press(key)
    expect(card.locator(".head")).to_contain_text(f"item {done + 1} of")
    if key != "u":
        expect(card.locator("[role=status]")).to_contain_text("Saved")


def test_three_labels_and_an_undo_on_notebook_03_are_all_in_the_log(workspace, lab, page):
    items = workspace.read("drafts")["instruction_id"].nunique()
    log = LabelLog(workspace.label_url)
    run_notebook(page, lab, _copy_of_the_notebook(lab.folder, workspace.path, practice=False))
    assert errors(page) == []
    simulated = len(log.history())
    assert len(log.preferences()) == 3 * items  # each of three simulated clinicians judged each

    # Calibration and adjudication have cards of their own beside it.
    card = page.locator(".vital", has=page.locator("h3", has_text="Preferences"))
    card.locator("h3").click()  # gives the card the keys
    for place, key in enumerate("132", start=1):
        _press(card, key, done=place)
    _press(card, "u", done=2)
    until(lambda: len(log.history()) == simulated + 4)  # three judgements, the undo of the last

    mine = log.preferences().query("annotator == 'me'")
    assert sorted(mine.choice) == ["both", "left"]
    assert len(log.history()) == simulated + 4


def test_by_default_the_card_is_for_practice_while_simulated_clinicians_vote(workspace, lab, page):
    log = LabelLog(workspace.label_url)
    run_notebook(page, lab, _copy_of_the_notebook(lab.folder, workspace.path, practice=None))
    assert errors(page) == []
    events = len(log.history())
    card = page.locator(".vital", has=page.locator("h3", has_text="Preferences · practice"))
    card.locator("h3").click()
    for place, key in enumerate("13", start=1):
        _press(card, key, done=place)
    assert len(log.history()) == events
