"""Claims about the clearance panel, pressed by its methods; a browser presses it elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from dicom_rows import RAMP, options, write
from PIL import Image

from vital_lib.figures import open_image, read_figures
from vital_lib.panels import ClearancePanel
from vital_lib.panels.clearance_panel import _reader
from vital_lib.privacy import Box, BurntIn, ClearanceLog

CAPTION = "CT of Mr. Albert Quill, taken on 12/03/2019 at noon. Seen by A. Weber."


@pytest.fixture
def figures(tmp_path) -> pd.DataFrame:
    """Figures f0, f1, f2 that are not cleared, and f3 that is."""
    rows = []
    for n in range(4):
        place = tmp_path / f"f{n}.png"
        Image.new("RGB", (60, 40), (40 * n, 80, 90)).save(place)
        known = {"figure_id": f"f{n}", "image": str(place), "sha256": open_image(place).sha256}
        texts = {"caption": CAPTION, "mentions": ["Nothing here.", "MRN 00412 in the corner."]}
        rows.append({**known, **texts, "cleared": n == 3 or None, "cleared_reason": "not checked"})
    return pd.DataFrame(rows)


def _open(figures, tmp_path, look=lambda image: []) -> ClearancePanel:
    panel = ClearancePanel(figures, tmp_path, person="Ada", look=look)
    _settle()
    return panel


def _settle() -> None:
    """Wait until the images asked for have been looked at, on a thread of their own."""
    _reader.submit(lambda: None).result(20)


def _log(tmp_path) -> list[dict]:
    return ClearanceLog(tmp_path).decisions().to_dict("records")


def test_only_figures_that_are_not_cleared_are_shown_with_the_reason(figures, tmp_path):
    panel = _open(figures, tmp_path)
    state = panel.widget.state
    assert (state["of"], state["all"], state["decided"]) == (3, 4, 0)
    assert state["figure"]["why"] == "not checked" and state["figure"]["size"] == [60, 40]
    named = dict(state["figure"]["names"])  # what an export says of it besides
    assert named["id"] == state["figure"]["id"]


def test_what_was_found_in_texts_is_a_part_of_its_own(figures, tmp_path):
    caption, _, second = _open(figures, tmp_path).widget.state["figure"]["texts"]
    assert "".join(part[0] for part in caption["parts"]) == CAPTION
    found = [(text, number, kind) for text, number, kind in caption["parts"] if number is not None]
    assert found == [("Mr. Albert Quill", 0, "name"), ("12/03/2019", 1, "date")]
    assert second["parts"][0] == ["MRN 00412", 2, "record number"]


def test_text_in_the_image_is_looked_for_and_the_next_image_ahead(figures, tmp_path):
    seen = []

    def look(image):
        seen.append(image.path.stem)
        return [BurntIn("QUILL", Box(1, 2, 30, 10))]

    panel = _open(figures, tmp_path, look)
    assert seen == ["f0", "f1"]
    shown = panel.widget.state["figure"]
    assert shown["burnt_in"] == [{"text": "QUILL", "box": [1, 2, 30, 10]}] and not shown["looking"]


def test_a_panel_without_ocr_says_so_and_works(figures, tmp_path):
    def look(image):
        raise ImportError("pip install 'vital-workbench[ocr]'")

    panel = _open(figures, tmp_path, look)
    assert "vital-workbench[ocr]" in panel.widget.state["figure"]["unlooked"]
    panel.clear("fine")
    assert len(_log(tmp_path)) == 1


def test_found_texts_and_further_words_are_removed_once(figures, tmp_path):
    panel = _open(figures, tmp_path)
    panel.clear("fine", [[0, 0, 10, 10]], [0, 2], "albert  quill, taken")
    (event,) = _log(tmp_path)
    begin = CAPTION.index("Mr.")
    end = CAPTION.index("taken") + len("taken")
    assert event["spans"] == [["caption", begin, end], ["mention 2", 0, 9]]
    assert event["boxes"] == [[0, 0, 10, 10]] and event["person"] == "Ada"
    assert panel.figure_id == "f1" and panel.widget.state["decided"] == 1


def test_the_next_undecided_figure_comes_after_each_decision(figures, tmp_path):
    panel = _open(figures, tmp_path)
    panel.jump(2)
    panel.reject("a face")
    assert panel.figure_id == "f2"
    panel.clear("fine")
    assert panel.figure_id == "f0"
    panel.clear("fine")
    assert panel.figure_id == "f0" and panel.widget.state["figure"]["now"] == "cleared"
    assert [row["cleared"] for row in _log(tmp_path)] == [False, True, True]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"reason": " "}, "a reason"),
        ({"reason": "fine", "boxes": [[0, 0, 99, 9]]}, "not inside the image"),
    ],
)
def test_a_decision_that_is_refused_is_said_and_nothing_moves(wrong, why, figures, tmp_path):
    panel = _open(figures, tmp_path)
    panel.clear(**wrong)
    assert why in panel.widget.state["notice"] and panel.figure_id == "f0"
    assert not _log(tmp_path)


def test_a_file_that_changed_while_it_was_shown_is_not_cleared(figures, tmp_path):
    panel = _open(figures, tmp_path)
    Image.new("RGB", (60, 40), (1, 2, 3)).save(tmp_path / "f0.png")
    panel.clear("fine", [[0, 0, 9, 9]])
    assert "changed since it was opened" in panel.widget.state["notice"]
    assert not _log(tmp_path)


def test_a_press_meant_for_the_figure_before_decides_nothing(figures, tmp_path):
    panel = _open(figures, tmp_path)
    press = {"call": "clear", "args": ["fine"], "item": "f0"}
    panel._heard(panel.widget, press, [])
    panel._heard(panel.widget, press, [])  # a double click
    assert len(_log(tmp_path)) == 1


def _frames(tmp_path, frames: str) -> pd.DataFrame:
    """The figures of a DICOM file with three frames."""
    cube = np.stack([RAMP.repeat(4, 0).repeat(4, 1) + np.uint16(9 * n) for n in range(3)])
    windows = {"WindowCenter": [500, 300], "WindowWidth": [900, 60]}
    write(tmp_path / "set" / "a.dcm", cube, **windows)
    made = options(tmp_path, frames=frames)
    return read_figures(str(tmp_path / "set"), run=tmp_path / "run", dicom=made)[0]


def test_boxes_of_one_frame_are_marked_on_the_others(tmp_path):
    panel = _open(_frames(tmp_path, "all"), tmp_path)
    assert panel.widget.state["figure"]["drawn"] == []
    panel.clear("no name", [[1, 2, 3, 4]])
    assert panel.widget.state["figure"]["drawn"] == [[1, 2, 3, 4]]
    panel.reject("a face")
    assert panel.widget.state["figure"]["drawn"] == [[1, 2, 3, 4]]
    assert len(_log(tmp_path)) == 2  # marked, and still for a person to decide


def test_boxes_of_another_figure_are_marked_on_none(figures, tmp_path):
    named = figures.assign(figure_id=["f-f1", "f-f2", "f-f3", "f-f4"], source="ward")
    panel = _open(named, tmp_path)
    panel.clear("no name", [[1, 2, 3, 4]])
    assert panel.widget.state["figure"]["drawn"] == []


def test_greys_of_16_bits_have_a_view_for_each_window(tmp_path):
    panel = _open(_frames(tmp_path, "sheet"), tmp_path)
    shown = panel.widget.state["figure"]
    assert shown["views"] == ["window 1", "window 2", "whole range", "shades spread"]
    assert shown["tiles"] == [32, 32, 2, 2, 3]
    shades = [np.asarray(panel._picture(f"{panel.figure_id}\n{n}")) for n in range(3)]
    first = panel._picture(panel.figure_id).pixels()
    assert np.array_equal(shades[0], first) and not np.array_equal(shades[1], first)


def test_the_saved_form_shows_counts_and_no_figure(figures, tmp_path):
    panel = _open(figures, tmp_path)
    data = panel.widget._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert "3 of 4 figures are not cleared" in data["text/html"]
    assert "Quill" not in json.dumps(data["text/html"]) and "<img" not in data["text/html"]


def test_nothing_is_left_to_decide_where_all_are_cleared(figures, tmp_path):
    panel = _open(figures.assign(cleared=True), tmp_path)
    assert panel.widget.state["figure"] is None
    with pytest.raises(LookupError):
        panel.clear("fine")


def test_a_panel_needs_a_person(figures, tmp_path):
    with pytest.raises(ValueError, match="person is empty"):
        ClearancePanel(figures, tmp_path, person=" ")
