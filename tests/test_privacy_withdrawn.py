"""Claims about figures that were cleared first: refused later, removed, or refused elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from loopback import Loopback, save_image
from privacy_rows import whatever

from vital_lib import exports, generation, privacy
from vital_lib.client import ChatClient
from vital_lib.demonstrations import random_demonstrations
from vital_lib.evaluation import read_questions, with_images
from vital_lib.figures import image_opener, is_cleared, open_figure, read_figures
from vital_lib.labelling import open_card
from vital_lib.older_texts import hold_older_texts
from vital_lib.report import write_report
from vital_lib.tables import Workspace, frame_of


@pytest.fixture
def home(tmp_path) -> Path:
    """A set of four figures under an open licence, each with its id in its texts."""
    (tmp_path / "set" / "images").mkdir(parents=True)
    records = []
    for n in range(4):
        save_image(tmp_path / "set" / "images" / f"f{n}.png", n)
        records.append({"pair_id": f"f{n}", "fig_caption": f"Film of Quill{n}x.", "group_id": n})
        records[-1] |= {"image": f"f{n}.png", "domain": {"mri": True}}
        records[-1]["source"] = {"name": "ward", "licence": "CC BY 4.0", "credit": f"Credit{n}x"}
        records[-1]["group_id"] = f"article {n}"
    _write_set(tmp_path / "set", records)
    return tmp_path / "set"


def _write_set(home: Path, records: list[dict]) -> None:
    (home / "figures.jsonl").write_text("\n".join(map(json.dumps, records)))


def _without(home: Path, name: str) -> None:
    """Take a record out of the set."""
    records = map(json.loads, (home / "figures.jsonl").read_text().splitlines())
    _write_set(home, [record for record in records if record["pair_id"] != name])


def _explored(home: Path) -> Workspace:
    """The run after notebook 01, all figures in the training split."""
    workspace = Workspace(home.parent / "run")
    figures, _ = read_figures(str(home), run=workspace.path)
    figures = privacy.with_decisions(figures, workspace.path)
    workspace.write("figures", hold_older_texts(figures, workspace).assign(split="train"))
    return workspace


def _row(workspace: Workspace, name: str) -> dict:
    return workspace.read("figures").set_index("figure_id", drop=False).loc[name].to_dict()


def _refuse(workspace: Workspace, name: str) -> None:
    row = _row(workspace, name)
    privacy.reject(workspace.path, row, open_figure(row), person="Ada", reason="no consent")


def _cleared(workspace: Workspace) -> list[str]:
    figures = workspace.read("figures")
    return figures["figure_id"][is_cleared(figures)].tolist()


def _drafted(workspace: Workspace) -> str:
    """Draft and choose demonstrations, all by a model of others; what it was sent."""
    with Loopback(whatever) as server:
        client = ChatClient("gpt-4o", base_url=server.base_url, ledger=workspace.ledger)
        figures = workspace.read("figures")
        drafts, _ = generation.draft_candidates(figures, client)
        workspace.write("drafts", drafts)
        pool = random_demonstrations(drafts, figures, n=9, seed=0)
        workspace.write("demonstrations", pool)
        return json.dumps(server.bodies)


def _generated(workspace: Workspace, shown: str) -> str:
    """Generate for f0 after the demonstrations of f3 and of figure `shown`; what was sent."""
    figures, pool = workspace.read("figures"), workspace.read("demonstrations")
    other = {"f3": ["ct_scan"], shown: ["mri"]}
    pool = pool.assign(modalities=pool["figure_id"].map(other)).dropna(subset="modalities")
    with Loopback(whatever) as server:
        client = ChatClient("gpt-4o", base_url=server.base_url, ledger=workspace.path / "l.sqlite")
        generation.generate_candidates(
            figures[figures["figure_id"] == "f0"], pool, client, arm="random",
            image_of=image_opener(figures),
        )  # fmt: skip
        return json.dumps(server.bodies)


# --- a decision counts at once, also before notebook 01 is run again


def test_a_figure_that_is_rejected_after_its_table_was_written_leaves_no_more(home):
    workspace = _explored(home)
    assert _cleared(workspace) == ["f0", "f1", "f2", "f3"]
    _refuse(workspace, "f1")
    held = _row(workspace, "f1")
    assert _cleared(workspace) == ["f0", "f2", "f3"]
    assert "a newer decision" in held["cleared_reason"]
    sent = _drafted(workspace)
    assert "Quill0x" in sent and "Quill1x" not in sent
    assert "Quill1x" not in json.dumps(open_card(workspace.path, "ann").widget.state)
    workspace = _explored(home)
    assert _row(workspace, "f1")["cleared_reason"] == "no consent"


def test_parts_that_are_removed_after_the_table_was_written_hold_the_whole_figure_back(home):
    workspace = _explored(home)
    row, how = _row(workspace, "f2"), {"person": "Ada", "reason": "without the name"}
    privacy.clear(workspace.path, row, open_figure(row), **how, spans=[("caption", 8, 15)])
    assert _cleared(workspace) == ["f0", "f1", "f3"]
    workspace = _explored(home)
    assert _cleared(workspace) == ["f0", "f1", "f2", "f3"]
    assert _row(workspace, "f2")["caption"] == "Film of [removed]."


def test_of_two_decisions_in_one_second_the_newer_one_holds(home, monkeypatch):
    workspace = _explored(home)
    row, how = _row(workspace, "f1"), {"person": "Ada", "reason": "looked at"}
    privacy.clear(workspace.path, row, open_figure(row), **how)
    workspace = _explored(home)
    _refuse(workspace, "f1")
    log = privacy.ClearanceLog(workspace.path)
    same = log.decisions().assign(at="2026-01-01T00:00:00+00:00")
    monkeypatch.setattr(privacy.ClearanceLog, "decisions", lambda self: same)
    assert _cleared(workspace) == ["f0", "f2", "f3"]


def test_a_figure_that_is_cleared_again_leaves_and_an_older_table_is_read(home):
    workspace = _explored(home)
    _refuse(workspace, "f1")
    row, how = _row(workspace, "f1"), {"person": "Bob", "reason": "consent came"}
    privacy.clear(workspace.path, row, open_figure(row), **how)
    assert _cleared(workspace) == ["f0", "f1", "f2", "f3"]
    figures = privacy.with_decisions(workspace.read("figures"), workspace.path)
    figures.attrs = {}  # as a table of an earlier release
    workspace.write("figures", figures)
    assert _cleared(workspace) == ["f0", "f1", "f2", "f3"]
    _refuse(workspace, "f3")
    assert _cleared(workspace) == ["f0", "f1", "f2"]


def test_a_copy_of_the_run_elsewhere_holds_the_same_figures_back(home, tmp_path):
    workspace = _explored(home)
    _refuse(workspace, "f1")
    copied = shutil.copytree(workspace.path, tmp_path / "elsewhere" / "run")
    assert _cleared(Workspace(copied)) == ["f0", "f2", "f3"]


# --- a figure that the run lacks is not cleared


def test_texts_of_a_figure_that_was_taken_out_of_the_set_are_shown_to_no_model_of_others(
    home, caplog
):
    workspace = _explored(home)
    assert "Quill2x" in _drafted(workspace)
    assert "Quill2x" in _generated(workspace, "f2")  # the control
    _without(home, "f2")
    workspace = _explored(home)
    assert "Quill2x" not in _generated(workspace, "f2")
    assert "1 of 2 demonstrations are held back" in caplog.text


def test_a_rejected_figure_whose_file_was_deleted_is_no_demonstration(home):
    workspace = _explored(home)
    _drafted(workspace)
    _refuse(workspace, "f2")
    (home / "images" / "f2.png").unlink()
    assert "Quill2x" not in _generated(workspace, "f2")


def test_the_report_and_an_export_hold_conversations_of_lost_figures_back(home, tmp_path):
    workspace = _explored(home)
    turns = {f"f{n}": [{"instruction": "What?", "response": f"Said{n}x."}] for n in range(4)}
    rows = [
        {"conversation_id": name, "figure_id": name, "turns": said, "score": 1.0, "rank": n}
        for n, (name, said) in enumerate(turns.items())
    ]
    workspace.write("selected", frame_of("selected", rows))
    _without(home, "f0")
    workspace = _explored(home)
    _refuse(workspace, "f1")
    page = write_report(workspace).read_text()
    assert "Said2x" in page and "Said0x" not in page and "Said1x" not in page
    assert "1 of 4 conversations, of figures that the run lacks" in page
    with pytest.raises(ValueError, match="figures that are not given"):
        exports.export(
            workspace.read("selected"), workspace.read("figures"), tmp_path / "o", form="llava"
        )


# --- one image file under two ids


def test_an_image_file_that_was_refused_as_another_figure_is_cleared_by_no_rule(home):
    for old, new in ((0, 1), (2, 3)):
        shutil.copy(home / "images" / f"f{old}.png", home / "images" / f"f{new}.png")
    workspace = _explored(home)
    _refuse(workspace, "f1")
    row, how = _row(workspace, "f3"), {"person": "Ada", "reason": "without the face"}
    privacy.clear(workspace.path, row, open_figure(row), **how, boxes=[(0, 0, 9, 9)])
    workspace = _explored(home)
    assert _cleared(workspace) == ["f3"]
    assert "as another figure" in _row(workspace, "f0")["cleared_reason"]
    row = _row(workspace, "f0")  # a person may decide otherwise about this one
    privacy.clear(workspace.path, row, open_figure(row), person="Ada", reason="of a phantom")
    assert _cleared(_explored(home)) == ["f0", "f3"]
    row = _row(workspace, "f1")
    privacy.clear(workspace.path, row, open_figure(row), person="Ada", reason="consent came")
    assert _cleared(_explored(home)) == ["f0", "f1", "f3"]


def test_a_refusal_holds_at_once_for_the_same_file_elsewhere_and_in_a_benchmark(home, tmp_path):
    shutil.copy(home / "images" / "f0.png", home / "images" / "f1.png")
    (tmp_path / "mine-vqa" / "images").mkdir(parents=True)
    rows = [{"question": "Which side?", "answer": "Left.", "image": f"f{n}.png"} for n in (0, 2)]
    for row in rows:
        shutil.copy(home / "images" / row["image"], tmp_path / "mine-vqa" / "images")
    (tmp_path / "mine-vqa" / "test.json").write_text(json.dumps(rows))
    workspace = _explored(home)

    def asked() -> pd.DataFrame:
        why = {"mine-vqa": "CC0, published"}
        read = read_questions(str(tmp_path / "mine-vqa"), run=workspace.path, cleared_sources=why)
        return with_images(read)

    workspace.write("questions", asked())
    assert is_cleared(workspace.read("questions")).all()
    _refuse(workspace, "f1")
    assert _cleared(workspace) == ["f2", "f3"]
    assert is_cleared(asked()).tolist() == [False, True]
    assert is_cleared(workspace.read("questions")).tolist() == [False, True]


def test_words_that_were_removed_from_the_same_texts_hold_the_other_figure_back(home):
    records = list(map(json.loads, (home / "figures.jsonl").read_text().splitlines()))
    records[1]["fig_caption"] = records[0]["fig_caption"]
    _write_set(home, records)
    workspace = _explored(home)
    row, how = _row(workspace, "f1"), {"person": "Ada", "reason": "without the name"}
    privacy.clear(workspace.path, row, open_figure(row), **how, spans=[("caption", 8, 15)])
    assert _cleared(_explored(home)) == ["f1", "f2", "f3"]


def test_two_figures_without_texts_are_apart():
    log = pd.DataFrame([{"figure_id": "a", "sha256": "1", "text_sha256": "t", "cleared": False}])
    refusals = privacy.refusals.Refusals(log.assign(boxes=[[]], spans=[[]]))
    other = {"figure_id": "b", "sha256": "2", "caption": "", "mentions": []}
    assert refusals.of_the_same(other) is None
    assert refusals.of_the_same({**other, "sha256": "1"})
