"""Claims about licences and credits, from a record to the card of an export and the report."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from export_rows import candidate_rows, conversation_rows, figure_rows, pair_rows
from figure_rows import record, write_set

from vital_lib.cards import as_text, credits_of, web_address
from vital_lib.exports import FORMS, NothingToExport, export
from vital_lib.figures import read_figures
from vital_lib.report import write_report
from vital_lib.tables import Workspace

HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) | **bold**"


@pytest.fixture
def figures(tmp_path) -> pd.DataFrame:
    return figure_rows(tmp_path / "originals")


def exported(form: str, figures: pd.DataFrame, folder, **settings):
    if FORMS[form].rows == "conversations":
        return export(conversation_rows(), figures, folder, form=form, **settings)
    given = {"candidates": candidate_rows(), **settings}
    return export(pair_rows(), figures, folder, form=form, **given)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_back_figures_without_a_licence_unless_asked(form, figures, tmp_path):
    figures["licence"] = ["CC0", None, "CC BY 4.0", " ", "CC BY-NC 4.0"]
    made = exported(form, figures, tmp_path / "out")
    without = made.held_back[made.held_back["reason"] == "without a stated licence"]
    assert set(without["figure_id"]) == {"F1", "F3"} and made.rows + len(made.held_back) == 5
    asked = exported(form, figures, tmp_path / "asked", licences="any")
    assert asked.rows == made.rows + 2


@pytest.mark.parametrize("form", FORMS)
def test_every_form_can_be_limited_to_licences(form, figures, tmp_path):
    figures["licence"] = [
        *("https://creativecommons.org/licenses/by/4.0/", "CC BY-NC 4.0", "see the paper", None),
        "CC0 1.0 Universal",
    ]
    asked = {"licences": ["CC BY", "CC0"]}
    made = exported(form, figures, tmp_path / "out", **asked)
    others = made.held_back[made.held_back["reason"] == "under another licence"]
    assert dict(zip(others["figure_id"], others["detail"], strict=True)) == {
        "F1": "CC BY-NC 4.0",
        "F2": "see the paper",
        "F3": "none stated",
    }


def test_a_licence_that_is_not_known_cannot_be_asked_for(figures, tmp_path):
    with pytest.raises(ValueError, match="free"):
        exported("llava", figures, tmp_path / "out", licences=["free"])
    with pytest.raises(NothingToExport, match="5 under another licence"):
        exported("llava", figures, tmp_path / "out", licences=["MIT"])


def test_the_source_its_address_licence_and_credit_come_from_the_record_to_the_card(tmp_path):
    address = "https://example.org/articles/1?a=(b)"
    source = {"name": "An atlas", "url": address, "licence": "CC-BY-4.0", "credit": HOSTILE}
    folder = write_set(tmp_path / "set", [record("1_F1", source=source), record("2_F1")])
    figures, _ = read_figures(str(folder), run=tmp_path)
    assert figures["source_url"].tolist()[0] == address and pd.isna(figures["source_url"][1])
    figures = figures.assign(cleared=True, cleared_reason="checked")
    rows = conversation_rows(2).assign(figure_id=["1_F1", "2_F1"])
    made = export(rows, figures, tmp_path / "out", form="llava", split=None, licences="any")
    for name in ("README.md", "CREDITS.md"):
        text = (made.folder / name).read_text()
        assert "[An atlas](https://example.org/articles/1?a=%28b%29)" in text, name
        assert "CC-BY-4.0" in text and "| 2\\_F1 | not stated | not stated | not known |" in text
        assert "<script>" not in text and not re.search(r"(?<!\\)\]\(javascript", text)
        assert as_text(HOSTILE) in text
    again = export(rows, figures, tmp_path / "out", form="llava", split=None, licences="any")
    assert again.rows == 2  # the credits are the export's own


@pytest.mark.parametrize(
    "url",
    [
        *("javascript:alert(1)", "data:text/html,x", "ftp://example.org/", "//example.org", "text"),
        *(
            "https://",
            "http://[",
            None,
            7,
            "https://example.org/\nx",
            "https://example.org/a b\x00",
        ),
    ],
)
def test_only_an_address_on_the_web_becomes_a_link(url):
    assert web_address(url) is None


def test_an_address_cannot_end_its_link():
    found = web_address('https://example.org/a)"><script>[x](y)')
    assert found is not None and not re.search(r"[()<>\[\]\"' ]", found)


def test_credits_say_what_a_licence_demands(figures):
    figures["licence"] = ["CC BY-NC-ND 4.0", "CC0", None, "see paper", "CC BY 4.0"]
    made = credits_of(figures, ["F0", "F1", "F2", "F0"])
    assert made["name"].tolist() == ["CC-BY-NC-ND-4.0", "CC0-1.0", None]
    assert made["terms"].tolist() == ["credit, no commercial use, no changes", "", ""]
    assert made["url"].tolist() == [None] * 3


def test_the_report_names_credits_and_links_only_to_the_web(tmp_path):
    bad = {"name": HOSTILE, "url": "javascript:alert(1)", "licence": "CC0", "credit": HOSTILE}
    hidden = {"name": "Hidden", "licence": "see paper", "credit": "Not to be shown"}
    good = {"name": "An atlas", "url": "https://example.org/1", "licence": "CC BY 4.0"}
    records = [record("1_F1", source=bad), record("2_F1", source=good)]
    records.append(record("3_F1", source=hidden))
    workspace = Workspace(tmp_path / "run")
    folder = write_set(tmp_path / "set", records)
    workspace.write("figures", read_figures(str(folder), run=workspace.path)[0])
    page = write_report(workspace).read_text()
    assert "Sources, credits and licences of the figures" in page
    assert '<a href="https://example.org/1" rel="noopener noreferrer nofollow">An atlas</a>' in page
    assert "CC-BY-4.0" in page and 'javascript:alert(1)"' not in page and "<script>" not in page
    assert "Not to be shown" not in page  # a figure that is not cleared
