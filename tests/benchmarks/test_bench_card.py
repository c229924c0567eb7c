"""What a label costs the person who gives it: from key press to the next card, in Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from labelling_pages import (
    Labeller,
    draw_images,
    kernel_bytes,
    median_and_p90,
    open_card,
    open_plain,
    saved_bytes,
)

from vital_lib.labels import LabelLog

from lab import IN_CHROMIUM, Lab, chromium, jupyter_lab  # isort: skip

pytestmark = IN_CHROMIUM

ITEMS = 100_000
PACE = 0.3  # seconds a card: brisk for a person
WARM_UP, TIMED, PLAIN, MANY = 50, 100, 40, 1_000  # cards
MB = 1_000_000
TARGETS = {"median": 25, "p90": 40}  # milliseconds


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    """A JupyterLab over the images, in which the plain labeller may send them whole."""
    folder, private = (tmp_path_factory.mktemp(name) for name in ("notebooks", "private"))
    draw_images(folder / "images")
    (private / "config").mkdir()
    unlimited = {"ZMQChannelsWebsocketConnection": {"limit_rate": False}}
    (private / "config" / "jupyter_server_config.json").write_text(json.dumps(unlimited))
    with jupyter_lab(folder, private) as lab:
        yield lab


@pytest.fixture(scope="module")
def plain(lab) -> tuple[float, float]:
    """Median and 90th percentile of the yardstick, click to painted, in milliseconds."""
    with chromium() as page:
        labeller = open_plain(page, lab)
        labeller.judge(10, PACE)
        labeller.forget()
        labeller.judge(PLAIN, PACE)
        return median_and_p90(labeller.milliseconds("painted"))


@pytest.fixture(scope="module")
def card(lab, plain) -> Iterator[Labeller]:
    """The card after its warm-up, on a page of its own; the tests judge on it in turn."""
    with chromium() as page:
        labeller = open_card(page, lab, ITEMS)
        labeller.judge(WARM_UP, PACE)
        labeller.forget()
        yield labeller


def _rows(lab: Lab) -> int:
    return len(LabelLog(f"sqlite:///{lab.folder / 'labels.sqlite'}").preferences())


def test_the_next_card_is_painted_long_before_a_plain_labellers(card, plain, lab, report, capsys):
    before = _rows(lab)
    card.judge(TIMED, PACE)
    ours = dict(zip(TARGETS, median_and_p90(card.milliseconds("painted")), strict=True))
    saved = median_and_p90(card.milliseconds("saved"))
    report(
        "labels",
        key_to_paint_ms_median=ours["median"],
        key_to_paint_ms_p90=ours["p90"],
        key_to_saved_ms_median=saved[0],
        key_to_saved_ms_p90=saved[1],
        plain_click_to_paint_ms_median=plain[0],
        plain_click_to_paint_ms_p90=plain[1],
        paint_over_plain=ours["median"] / plain[0],
        cards_late=card.late,
    )
    with capsys.disabled():
        for name, target in TARGETS.items():
            met = "met" if ours[name] <= target else "missed"
            print(f"target of {target} ms for the {name} from key to paint: {met}")
    assert _rows(lab) - before == len(card.milliseconds("saved")) == TIMED
    assert ours["median"] < 0.1 * plain[0]


def test_a_label_sends_the_kernel_at_most_1_kb(card, report):
    card.forget()
    card.judge(20, PACE)
    judgements = [len(frame) for frame in card.frames if b'"judge"' in frame]
    everything = sum(map(len, card.frames)) / len(judgements)
    report("labels", judgement_bytes=max(judgements), bytes_per_label=everything)
    assert len(judgements) == 20
    assert max(everything, *judgements) <= 1_000


def test_a_thousand_cards_leave_memory_and_notebook_as_they_were(card, lab, report):
    memory, file, rows = kernel_bytes(card, lab), saved_bytes(card.page, lab), _rows(lab)
    card.judge(MANY, 0.22)  # a second press within 200 ms is no press
    assert _rows(lab) - rows == MANY
    grown = kernel_bytes(card, lab) - memory
    grown_file = saved_bytes(card.page, lab) - file
    report("labels", kernel_mb_per_1000_cards=grown / MB, notebook_bytes_grown=grown_file)
    assert grown <= 10 * MB
    assert grown_file == 0
