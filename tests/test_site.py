"""The documentation site, built from the ten notebooks: every link inside it leads somewhere."""

from __future__ import annotations

import json
import runpy
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from beside import script_of_docs

from vital_lib.tables import Workspace, empty_frame

ROOT = Path(__file__).parents[1]
PATH = "/home/someone/runs/mine"
BAR = {"text/plain": "labelled questions:   0%|          | 0/6 [00:00<?, ?it/s]"}
LINKS = """<a href="../data/runs/mine/executed/05_judge_candidates.ipynb">executed copy</a>
<a href="../data/runs/mine/report.html">report.html</a>"""
OTHER = {"text/plain": "VBox(children=())"}


class _Page(HTMLParser):
    """The ids of a page, and what it links to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [given["id"]] if given.get("id") else []
        self.links += [given[name] for name in ("href", "src") if given.get(name)]


def _widget(data: dict[str, str]) -> nbformat.NotebookNode:
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    return nbformat.v4.new_output("display_data", data={**view, **data})


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A site of the notebooks as committed; the first shows a bar and a widget, as if executed."""
    folder = tmp_path_factory.mktemp("site")
    executed = folder / "run" / "executed"
    executed.mkdir(parents=True)
    (folder / "run" / "report.html").write_text("<h1>The report</h1>")
    Workspace(folder / "run").write("figures", empty_frame("figures"))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        book = nbformat.read(path, as_version=4)
        book.metadata["papermill"] = {"parameters": {"run": PATH}}
        if path.name.startswith("00"):
            given = nbformat.v4.new_code_cell(f'run = "{PATH}"')
            given.outputs = [_widget(BAR), _widget(OTHER), _widget({"text/html": LINKS})]
            book.cells.append(given)
        nbformat.write(book, executed / path.name)
    build = runpy.run_path(str(ROOT / "docs" / "site.py"))["main"]
    assert build(str(folder / "run"), folder / "build") == 0
    return folder / "build" / "site"


@pytest.mark.slow
def test_every_link_inside_the_site_leads_to_a_page_and_a_place_on_it(site):
    pages = {path: _Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 15
    lost, followed = [], 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            followed += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].ids if target in pages else [unquote(parts.fragment)]
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in known):
                lost.append((path.name, link))
    assert followed > 500
    assert lost == []


@pytest.mark.slow
def test_headings_of_the_same_name_have_ids_of_their_own(site):
    page = _Page(site / "notebooks" / "05_judge_candidates.html")
    predicted = [name for name in page.ids if name.startswith("predict-then-run")]
    assert predicted == [f"predict-then-run{end}" for end in ("", "_1", "_2")]
    assert all(f"#{name}" in page.links for name in predicted)


@pytest.mark.slow
def test_a_page_shows_no_bar_of_a_finished_cell_and_no_path_of_this_machine(site):
    page = (site / "notebooks" / "00_start_here.html").read_text("utf-8")
    assert page.count("Here a running notebook shows a widget") == 1
    assert PATH not in page and "../data/runs/mine" in page


@pytest.mark.slow
def test_executed_copies_and_the_report_are_pages_of_the_site(site):
    page = _Page(site / "notebooks" / "00_start_here.html")
    assert {"05_judge_candidates.html", "../report.html"} <= set(page.links)
    assert "The report" in (site / "report.html").read_text()


def test_a_notebooks_links_to_pages_of_docs_lead_to_the_pages_of_the_site():
    page = SimpleNamespace(file=SimpleNamespace(src_path="notebooks/01_explore_figures.ipynb"))
    shown = script_of_docs("site").on_post_page('<a href="../docs/sources.md">x</a>', page=page)
    assert shown == '<a href="../docs/sources.html">x</a>'


@pytest.mark.parametrize(
    ("text", "kept"), [("\r52 records [00:00, 215.52 records/s]\n", 0), ("a warning\n", 1)]
)
def test_a_bar_that_counts_records_is_left_out_and_a_warning_is_not(text, kept):
    cell = nbformat.v4.new_code_cell("1")
    cell.outputs = [nbformat.v4.new_output("stream", name="stderr", text=text)]
    book = nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))
    found = json.loads(script_of_docs("site")._readable(book))
    assert len(found["cells"][0]["outputs"]) == kept


def test_without_executed_notebooks_the_way_out_is_printed(tmp_path, capsys):
    assert runpy.run_path(str(ROOT / "docs" / "site.py"))["main"](str(tmp_path), tmp_path) == 2
    assert "make docs RUN=" in capsys.readouterr().out
