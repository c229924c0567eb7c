"""The static form of panels: what their outputs hold for pages where no kernel answers."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from panel_rows import FIGURES, HOSTILE, picture_of
from PIL import Image

from vital_lib.client.job import Job
from vital_lib.panels import (
    ClearancePanel,
    FigureBrowser,
    ModelChat,
    PromptViewer,
    RunMonitor,
    _static,
)

pytest_plugins = ("panel_rows", "every_panel")

VIEW = "application/vnd.jupyter.widget-view+json"
TAGS = {*("div", "p", "strong", "em", "br", "details", "summary", "pre")} | {
    *("table", "tr", "th", "td", "img")
}
ATTRIBUTES = {"class", "style", "src", "alt", "width"}


class Read(HTMLParser):
    """The tags, attributes, images and text of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.names, self.images, self.text = set(), set(), [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.names |= {name for name, _ in attributes}
        self.images += [value for name, value in attributes if name == "src"]

    def handle_data(self, data):
        self.text += data


def bundle(panel) -> dict:
    return panel.widget._repr_mimebundle_()


def html(panel) -> str:
    return bundle(panel)["text/html"]


def pixels(source: str) -> Image.Image:
    kind, data = source.split(",", 1)
    assert kind in ("data:image/jpeg;base64", "data:image/png;base64")
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_the_output_of_every_panel_has_its_live_view_its_static_form_and_one_line(every_panel):
    for panel in every_panel:
        data = bundle(panel)
        assert data[VIEW]["model_id"] == panel.widget.model_id
        assert len(data["text/html"]) <= _static.LARGEST
        assert "vital_lib" not in data["text/plain"] and "\n" not in data["text/plain"]
        assert "without a saved view" not in data["text/plain"]


def test_texts_are_texts_and_nothing_but_plain_elements_is_in_a_static_form(every_panel):
    for panel in every_panel:
        if isinstance(panel, ModelChat):
            panel.ask(HOSTILE)
        read = Read(html(panel))
        assert read.tags <= TAGS and read.names <= ATTRIBUTES, type(panel).__name__
        assert all(pixels(source).size for source in read.images)
        without_texts = isinstance(panel, RunMonitor | ClearancePanel)  # counts only
        assert (HOSTILE in read.text) != without_texts, type(panel).__name__


def test_images_are_small_and_keep_their_form():
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (900, 1800, 3), dtype=np.uint8))
    panel = FigureBrowser(FIGURES, lambda figure: noise)
    sources = Read(html(panel)).images
    assert [pixels(source).size for source in sources] == [(300, 150)] * 3
    assert all(len(source) < 60_000 for source in sources)


@pytest.mark.parametrize("broken", [b"no image", b"", picture_of("f")[:200]])
def test_a_broken_image_is_reported_in_its_place_and_the_others_are_shown(broken):
    panel = FigureBrowser(FIGURES, lambda name: broken if name == "f2" else picture_of(name))
    read = Read(html(panel))
    assert len(read.images) == 2
    assert read.text.count("this image cannot be shown") == 1
    assert "A slice." in read.text


def test_a_form_that_fails_leaves_the_live_view_and_says_so(monkeypatch):
    panel = FigureBrowser(FIGURES, picture_of)
    monkeypatch.setattr(panel.widget, "form", lambda: 1 / 0)
    data = bundle(panel)
    assert VIEW in data and "text/html" not in data
    assert "ZeroDivisionError" in data["text/plain"]


def test_parts_without_room_are_left_out_and_counted():
    wide = _static.note("x" * 10), _static.Markup("y" * _static.LARGEST), _static.note("last")
    text = Read(str(_static._html(_static.Form("Much", wide)))).text
    assert "last" in text and "yyy" not in text
    assert "1 of 3 parts are too large to be saved" in text


def test_texts_that_no_file_or_page_can_hold_are_made_holdable():
    shown = _static.text("a\0b \ud800 <i>\nnext")
    assert str(shown) == "a\u2400b ? &lt;i&gt;<br>next"
    assert _static.text(float("nan")) == _static.text(None) == ""
    assert _static.text("x" * 700).endswith("x …")


def test_a_prompt_shows_every_role_and_names_images_beyond_the_first_few(wide_image, monkeypatch):
    from panel_rows import rating_prompt

    monkeypatch.setattr("vital_lib.panels.prompt_viewer._PICTURES", 1)
    read = Read(html(PromptViewer(rating_prompt(wide_image))))
    assert len(read.images) == 1
    assert read.text.count("image of 300 × 200 pixels") == 2
    assert read.text.index("system") < read.text.index("user")


def test_a_monitors_form_tells_how_its_job_ended():
    job = Job(lambda control: None, 3)
    monitor = RunMonitor(job, "Drafts")
    assert "waiting" in bundle(monitor)["text/plain"] and not monitor.widget.settled()
    job.start().result()
    assert "finished" in bundle(monitor)["text/plain"] and monitor.widget.settled()
