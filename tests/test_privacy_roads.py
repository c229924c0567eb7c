"""Claims about every way out: what is not cleared leaves on none of them, what is cleared does."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from beside import DOCS, script_of_docs
from loopback import Loopback
from PIL import Image
from privacy_rows import HIDDEN, SECRET, answers, demonstrations, whatever, write_run
from ray_acts import ray_here, with_ray  # noqa: F401 - fixtures

from vital_lib.client import ChatClient
from vital_lib.evaluation import EndpointModel, answer_questions
from vital_lib.exports import NothingToExport, export
from vital_lib.exports.forms import FORMS
from vital_lib.figures import NotCleared, image_opener, is_cleared, open_figure, open_image
from vital_lib.generation import draft_candidates, draft_prompts, generate_candidates
from vital_lib.judging import (
    blanked,
    compare_answers,
    compare_drafts,
    rate_candidates,
    score_answers,
)
from vital_lib.labelling import open_card
from vital_lib.labels import LabelLog
from vital_lib.labels.label_studio import export_label_studio
from vital_lib.prompts import Prompt, answer_prompt, draft_prompt, verdict_prompt
from vital_lib.report import write_report
from vital_lib.scale import open_client
from vital_lib.tables import Workspace, frame_of

PRICED = "gpt-4o"  # with a price, it may have any address


@pytest.fixture
def run(tmp_path) -> Workspace:
    """A run with a figure that is cleared and one that is not."""
    return write_run(tmp_path / "run")


@pytest.fixture
def server():
    """A server of others, which answers every prompt and keeps what it was sent."""
    with Loopback(whatever) as opened:
        yield opened


def _client(run, server, **options) -> ChatClient:
    return ChatClient(PRICED, base_url=server.base_url, ledger=run.ledger, **options)


def _received(server) -> str:
    return json.dumps(server.bodies, ensure_ascii=False)


def _asks(run, server, work) -> tuple[ChatClient, object]:
    client = _client(run, server)
    return client, work(client)


def _drafts(run, client):
    return draft_candidates(run.read("figures"), client)


def _generates(run, client):
    figures = run.read("figures")
    return generate_candidates(
        figures, demonstrations(figures), client, arm="clinician", image_of=image_opener(figures)
    )


def _rates(run, client):
    return rate_candidates(run.read("drafts"), run.read("figures"), client)


def _rates_blanked(run, client):
    grey = blanked(run.read("figures"), run.path / "blank")
    return rate_candidates(run.read("drafts"), grey, client)


def _compares_drafts(run, client):
    return compare_drafts(run.read("drafts"), run.read("figures"), client)


def _compares_answers(run, client):
    questions = run.read("questions")
    return compare_answers(questions, answers(questions), "mine", "other", client)


def _scores_answers(run, client):
    questions = run.read("questions")
    captions = dict(zip(questions["image"], questions["reference"], strict=True))
    return score_answers(questions, answers(questions), client, captions=captions)


def _answers(control, run, client):
    questions = run.read("questions")
    model = EndpointModel(client, questions)
    return answer_questions(model, questions, name="m", control=control, probe=0)


STAGES = {
    "drafts": _drafts,
    "conversations": _generates,
    "ratings": _rates,
    "ratings of blanked images": _rates_blanked,
    "verdicts on drafts": _compares_drafts,
    "verdicts": _compares_answers,
    "scores": _scores_answers,
    "answers": partial(_answers, "none"),
    "answers to mirrored images": partial(_answers, "mirrored"),
    "answers to blanked images": partial(_answers, "blank"),
    "answers without an image": partial(_answers, "no_image"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_holds_back_what_is_not_cleared_and_sends_the_rest(stage, run, server):
    STAGES[stage](run, _client(run, server))
    sent = _received(server)
    assert server.bodies and "open" in sent
    assert SECRET not in sent
    assert SECRET.encode() not in run.ledger.read_bytes()


@pytest.mark.parametrize("stage", STAGES)
def test_a_model_of_ones_own_gets_everything(stage, run, server):
    STAGES[stage](run, _client(run, server, local=True))
    assert SECRET in _received(server)


def test_the_figures_held_back_are_named_with_the_reason(run, server):
    drafts, unread = _drafts(run, _client(run, server))
    assert set(drafts["figure_id"]) == {"open"}
    (row,) = unread.to_dict("records")
    assert row["figure_id"] == SECRET and not row["sent"]
    assert "is not cleared" in row["reason"]
    told = _client(run, server).held_back(run.read("figures"))
    assert told.startswith("1 of 2 figures are not cleared: held back (1: of ")
    assert "notebook 01" in told
    assert not _client(run, server, local=True).held_back(run.read("figures"))


# --- the client itself


@pytest.mark.parametrize("batch", [False, True])
def test_the_client_refuses_before_anything_is_sent_stored_or_counted(batch, run, server):
    client = _client(run, server)
    figures = run.read("figures")
    prompts = draft_prompts(figures[figures["figure_id"] == SECRET])
    with pytest.raises(NotCleared, match="is not cleared"):
        client.ask(prompts, batch=batch)
    assert not server.bodies
    assert client.spent()["requests"] == 0 and client.spent()["usd"] == 0


def _of(run, name):
    return next(r for r in run.read("figures").to_dict("records") if r["figure_id"] == name)


def _hand_made(row, image) -> list[Prompt]:
    """Prompts in which one thing is not cleared, or is not stated to be."""
    by_path = open_image(row["image"])
    unstated = {name: value for name, value in row.items() if name != "cleared"}
    return [
        draft_prompt(row, by_path),
        replace(draft_prompt(row, image), about=None),
        draft_prompt({**row, "cleared": None}, image),
        draft_prompt({**row, "cleared": False}, image),
        draft_prompt({**row, "cleared": "yes"}, image),
        draft_prompt(unstated, image),
        verdict_prompt("Which side?", by_path, "Left.", "Left.", "Right."),
        answer_prompt("Which side?", None),
    ]


@pytest.mark.parametrize("place", range(8))
def test_a_prompt_that_a_caller_forgot_to_clear_is_refused(place, run, server):
    row = _of(run, "open")
    client = _client(run, server)
    prompts = _hand_made(row, open_figure(row))
    with pytest.raises(NotCleared):
        client.ask([prompts[place]])
    assert not server.bodies
    assert client.ask([draft_prompt(row, open_figure(row))])[0].value  # the control


def test_a_file_that_changed_after_it_was_cleared_is_not_cleared(run, server):
    row = _of(run, "open")
    Image.new("RGB", (64, 48), (1, 2, 3)).save(row["image"])
    with pytest.raises(NotCleared, match="not the one that was cleared"):
        _client(run, server).ask([draft_prompt(row, open_figure(row))])
    assert not server.bodies


def test_one_refused_prompt_leaves_the_replies_before_it_in_the_ledger(run, server):
    figures = run.read("figures")
    good, bad = (draft_prompts(figures[figures["figure_id"] == n]) for n in ("open", SECRET))
    client = _client(run, server, concurrency=1)
    with pytest.raises(NotCleared):
        client.ask([*good, *bad])
    again = draft_prompts(figures[figures["figure_id"] == "open"])
    assert client.ask(again)[0].value
    assert len(server.bodies) == 1


def test_the_embedded_clinic_gets_everything(run):
    client = ChatClient("clinic")
    assert not client.sends_out
    assert client.ask(draft_prompts(run.read("figures")))[1].reason is None


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_ray_workers_send_nothing_that_is_not_cleared(run, server):
    client = open_client(PRICED, engine="ray", base_url=server.base_url, ledger=run.ledger)
    with pytest.raises(NotCleared):
        client.ask(draft_prompts(run.read("figures").query("figure_id == @SECRET")))
    assert not server.bodies
    drafts, _ = _drafts(run, client)
    assert set(drafts["figure_id"]) == {"open"} and SECRET not in _received(server)


# --- files and pages


@pytest.mark.parametrize("licences", ["stated", "any"])
@pytest.mark.parametrize("images", ["copy", "link"])
@pytest.mark.parametrize("form", FORMS)
def test_no_export_holds_what_is_not_cleared_or_metadata(form, images, licences, run, tmp_path):
    of_pairs = FORMS[form].rows != "conversations"
    rows = run.read("pairs" if of_pairs else "selected")
    options = {"candidates": run.read("drafts")} if of_pairs else {}
    options["questions"] = run.read("questions")[:0]  # the open figure is in the run's benchmark
    folder = tmp_path / "out"
    made = export(
        rows, run.read("figures"), folder, form=form, images=images, licences=licences,
        split=None, workspace=run, **options,
    )  # fmt: skip
    assert made.rows == 1 and list(made.held_back["figure_id"]) == [SECRET]
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    names = " ".join(str(path.relative_to(folder)) for path in folder.rglob("*"))
    assert b"open" in written
    for word in (SECRET, HIDDEN):
        assert word.encode() not in written and word not in names


def test_nothing_is_exported_of_figures_that_state_no_clearance(run, tmp_path):
    figures = run.read("figures").drop(columns="cleared")
    with pytest.raises(NothingToExport, match="not cleared"):
        export(run.read("selected"), figures, tmp_path / "out", form="llava", licences="any")


def test_the_report_shows_only_what_is_cleared(run):
    page = write_report(run).read_text()
    assert "open" in page and SECRET not in page
    assert "Not cleared to leave this workbench, and not shown: 1 of 2 figures" in page


def test_a_labelling_page_has_only_items_that_are_cleared(run):
    card = open_card(run.path, "ann")
    assert SECRET not in json.dumps(card.widget.state)
    assert card._queue.progress[1] == 1
    with pytest.raises(KeyError):
        card._prepared(SECRET, 64)


def test_a_file_that_changed_is_not_shown_on_a_labelling_page(run):
    card = open_card(run.path, "ann")
    Image.new("RGB", (64, 48), (1, 2, 3)).save(_of(run, "open")["image"])
    with pytest.raises(NotCleared):
        card._prepared("open", 64)


def test_label_studio_gets_only_items_that_are_cleared(run, tmp_path, caplog):
    log = LabelLog(run.label_url)
    for name in ("open", SECRET):
        log.record(
            item_id=f"{name}-r1", left_id=f"{name}-r1-a", right_id=f"{name}-r1-b",
            annotator="ann", left_accepted=True, right_accepted=False,
        )  # fmt: skip
    file = tmp_path / "tasks.json"
    assert export_label_studio(log.history(), run.read("drafts"), run.read("figures"), file) == 1
    assert SECRET not in file.read_text() and "1 of 2 items are held back" in caplog.text
    log.close()


def test_the_site_is_not_built_of_a_run_with_figures_that_are_not_cleared(run, tmp_path, capsys):
    site = script_of_docs("site")
    executed = run.path / "executed"
    executed.mkdir()
    for path in (site.ROOT / "notebooks").glob("*.ipynb"):
        (executed / path.name).write_text(path.read_text())
    assert site.main(str(run.path), tmp_path / "build") == 2
    assert "1 of 2 figures are not cleared" in capsys.readouterr().out
    assert not (tmp_path / "build").exists()


def test_the_site_is_not_built_of_a_run_that_shows_rejected_records(run):
    site = script_of_docs("site")
    figures = run.read("figures")
    run.write("figures", figures[is_cleared(figures)])
    run.write("questions", run.read("questions").iloc[:0])
    row = {"source": "ward", "place": f"{SECRET}.png", "field": "image", "reason": "broken"}
    run.write("figures_rejected", frame_of("figures_rejected", [row | {"source": "clinic"}]))
    assert not site._why_not_shown(run.path)
    run.write("figures_rejected", frame_of("figures_rejected", [row]))
    why = site._why_not_shown(run.path)
    assert "why 1 records were rejected" in why and SECRET not in why


def test_notebook_01_shows_figures_as_they_were_decided_about():
    cells = json.loads((DOCS.parent / "notebooks" / "01_explore_figures.ipynb").read_text())[
        "cells"
    ]
    codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    (reading,) = [code for code in codes if "read_figures(" in code]
    assert reading.index("read_figures(") < reading.index("privacy.with_decisions(")
    (saving,) = [code for code in codes if 'workspace.write("figures",' in code]
    decided, held = map(saving.index, ("with_decisions(", "hold_older_texts("))
    assert decided < held < saving.index("workspace.write(")


def test_pixels_keep_their_clearance_and_files_do_not_hold_it(run, tmp_path):
    image = open_figure(_of(run, "open"))
    turned = image.pixels().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert turned.info["clearance"].cleared
    turned.save(tmp_path / "turned.png")
    assert b"checked" not in (tmp_path / "turned.png").read_bytes()
    assert np.asarray(turned).shape == (48, 64, 3)
