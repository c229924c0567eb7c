"""Claims about what a panel sends of 16-bit greys, so that the page can set their window."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from dicom_rows import RAMP, picture_file, read, write
from loopback import save_image
from preference_card_rows import DRAFTS, FIGURES, ROWS

from vital_lib.figures import open_image
from vital_lib.labels import FixedQueue
from vital_lib.panels import PreferenceCard
from vital_lib.panels.figure_browser import FigureBrowser

WINDOWS = {"WindowCenter": [500, 100], "WindowWidth": [900, 50], "RescaleIntercept": -9,
           "RescaleSlope": 1}  # fmt: skip


@pytest.fixture
def greys(tmp_path):
    """An opened CT of 8 x 8 pixels with two windows."""
    [record], _ = read(write(tmp_path / "a.dcm", **WINDOWS), tmp_path)
    return open_image(picture_file(tmp_path, record))


def sent(panel, side: int) -> tuple[dict, list[bytes]]:
    """The message with an image of `side` pixels, and its buffers."""
    found = []
    panel.widget.send = lambda content, buffers=(): found.append((content, list(buffers)))
    panel._send_image("f1", side)
    return found[-1]


def card(image, log) -> PreferenceCard:
    return PreferenceCard(FixedQueue(ROWS, "ann", log), DRAFTS, FIGURES, lambda _: image, log)


def test_the_card_gets_the_full_depth_beside_the_picture(greys, log):
    content, (jpeg, packed) = sent(card(greys, log), 768)
    stored = np.frombuffer(zlib.decompress(packed), "<u2").reshape(8, 8)
    assert np.array_equal(stored, RAMP) and jpeg.startswith(b"\xff\xd8")
    about = content["greys"]
    assert (about["width"], about["height"], about["low"], about["high"]) == (8, 8, -9, 999)
    assert [window["centre"] for window in about["windows"]] == [500, 100]


def test_a_thumbnail_another_panel_and_another_image_get_the_picture_alone(greys, log, tmp_path):
    other = open_image(save_image(tmp_path / "b.png", seed=0))
    browser = FigureBrowser(FIGURES.assign(modalities=[[]] * 3), lambda _: greys)
    for panel, side in ((card(greys, log), 240), (card(other, log), 768), (browser, 768)):
        content, buffers = sent(panel, side)
        assert len(buffers) == 1 and "greys" not in content and "missing" not in content


def test_a_file_that_changed_is_reported_as_missing(greys, log, tmp_path):
    panel = card(greys, log)
    save_image(greys.path, seed=1)
    content, buffers = sent(panel, 768)
    assert "changed since" in content["missing"] and not buffers
