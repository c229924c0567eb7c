"""Claims about texts that were written before parts of their figure were removed."""

from __future__ import annotations

import pytest
from loopback import Loopback
from privacy_rows import SECRET, demonstrations, whatever, write_run

from vital_lib import generation, privacy
from vital_lib.client import ChatClient
from vital_lib.figures import is_cleared, open_figure
from vital_lib.older_texts import hold_older_texts
from vital_lib.tables import Workspace, frame_of


@pytest.fixture
def server():
    with Loopback(whatever) as running:
        yield running


@pytest.fixture
def run(tmp_path):
    """A run with a figure that is not cleared, and without any text about it."""
    workspace = write_run(tmp_path / "run")
    for name in ("drafts", "candidates", "selected"):
        (workspace.path / f"{name}.parquet").unlink()
    figures = workspace.read("figures")
    figures = figures[figures["figure_id"] == SECRET].reset_index(drop=True)
    for place in (workspace, Workspace(tmp_path / "source")):
        place.write("figures", figures)
    return workspace


def _write_drafts(run: Workspace, server: Loopback, **options) -> None:
    client = ChatClient("gpt-4o", base_url=server.base_url, ledger=run.ledger, **options)
    run.write("drafts", generation.draft_candidates(run.read("figures"), client)[0])


def _decide(run: Workspace, **parts) -> None:
    """Clear the figure without `parts`."""
    row = _source(run).iloc[0].to_dict()
    privacy.clear(run.path, row, open_figure(row), person="Ada", reason="fine", **parts)


def _source(run: Workspace):
    """The figures as they are in the set, which notebook 01 reads."""
    return Workspace(run.path.parent / "source").read("figures")


def _now(run: Workspace):
    """The figures as notebook 01 would write them."""
    return hold_older_texts(privacy.with_decisions(_source(run), run.path), run)


REMOVED = {
    "words": {"spans": [("caption", 10, 10 + len(SECRET)), ("mention 1", 4, 4 + len(SECRET))]},
    "pixels": {"boxes": [(0, 0, 9, 9)]},
}


@pytest.mark.parametrize("parts", REMOVED)
def test_a_figure_stays_here_until_texts_of_what_was_removed_are_written_again(parts, run, server):
    _write_drafts(run, server, local=True)
    _decide(run, **REMOVED[parts])
    held = _now(run)
    assert not is_cleared(held).any()
    assert "older texts about it are in drafts" in held["cleared_reason"][0]
    run.write("figures", held)
    assert not is_cleared(_now(run)).any()  # not even when it is read once more
    _write_drafts(run, server, local=True)  # from what is left of the figure
    assert is_cleared(_now(run)).all()


def test_texts_about_a_figure_cleared_as_it_is_change_nothing(run, server):
    _write_drafts(run, server, local=True)
    _decide(run)
    assert is_cleared(_now(run)).all()


def test_without_texts_about_it_a_redacted_figure_is_cleared(run):
    _decide(run, **REMOVED["words"])
    assert is_cleared(_now(run)).all()


@pytest.mark.parametrize("table", ["demonstrations", "selected"])
def test_what_was_taken_from_older_texts_holds_the_figure_back_too(table, run, server):
    _decide(run, **REMOVED["words"])
    run.write("figures", _now(run))
    _write_drafts(run, server)
    new = run.read("drafts").iloc[0]
    turns = [{"instruction": new["instruction"], "response": new["response"]}]
    own = {"conversation_id": "c", "figure_id": SECRET, "turns": turns, "score": 1.0, "rank": 1}
    rows = (
        frame_of("selected", [own]) if table == "selected" else demonstrations(run.read("figures"))
    )
    rows["turns"] = [turns]
    run.write(table, rows)
    assert is_cleared(_now(run)).all()
    turns[0]["response"] = f"Left, says {SECRET}."
    rows["turns"] = [turns]
    run.write(table, rows)
    assert f"are in {table}" in _now(run)["cleared_reason"][0]


def test_a_text_that_no_ledger_knows_counts_as_older(run, server):
    _decide(run, **REMOVED["words"])
    run.write("figures", _now(run))
    _write_drafts(run, server)
    run.write("drafts", run.read("drafts").assign(reply_id="unknown"))
    assert not is_cleared(_now(run)).any()
