"""Claims about the ten notebooks as they are committed: their skeleton, size and cleanliness."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest

from vital_lib.figures import image_opener, read_figures
from vital_lib.generation import DROPPED, FEWER, FLAGS, HOLLOW
from vital_lib.tables import TABLES, Workspace, empty_frame

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def book(request):
    return nbformat.read(request.param, as_version=4)


def _code(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def _tagged(cell, tag):
    return tag in cell.metadata.get("tags", [])


def test_there_are_ten_notebooks_in_order():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{n:02}" for n in range(10)]


def test_every_table_is_written_by_a_notebook_that_exists():
    assert {table.written_by for table in TABLES.values()} <= {path.stem for path in NOTEBOOKS}


def test_a_notebook_opens_with_its_question_its_minutes_and_what_it_reads_and_writes(book):
    first = book.cells[0].source
    assert first.startswith("# ")
    assert "?**" in first
    assert re.search(r"minute", first)
    assert "*Reads*" in first and "*Writes*" in first


def test_a_notebook_ends_by_saying_what_comes_next(book):
    assert re.search(r"\*\*(Next:|Done\.)\*\*", book.cells[-1].source)


def test_exactly_one_cell_holds_the_parameters(book):
    cells = [cell for cell in _code(book) if _tagged(cell, "parameters")]
    assert len(cells) == 1
    assert "run = " in cells[0].source


def test_a_notebook_has_12_to_25_code_cells_of_at_most_15_lines(book):
    cells = _code(book)
    assert 12 <= len(cells) <= 25
    # A parameter has a line of its own, so that the cell of the parameters may have more lines.
    most = {True: 18, False: 15}
    too_long = [
        c.source for c in cells if len(c.source.splitlines()) > most[_tagged(c, "parameters")]
    ]
    assert not too_long


def test_no_notebook_defines_functions_or_classes(book):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    found = [
        node
        for cell in _code(book)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, kinds)
    ]
    assert not found


def test_every_cell_ends_in_something_to_see(book):
    silent = []
    for cell in _code(book):
        body = ast.parse(cell.source).body
        only_imports = all(isinstance(node, ast.Import | ast.ImportFrom) for node in body)
        if not (only_imports or _tagged(cell, "parameters") or isinstance(body[-1], ast.Expr)):
            silent.append(cell.source)
    assert not silent


def test_no_outputs_and_no_widget_state_are_committed(book):
    assert all(not cell.outputs and cell.execution_count is None for cell in _code(book))
    assert "widgets" not in book.metadata


def test_a_notebook_that_records_metrics_names_itself_and_what_it_measured_on(book, request):
    stem = request.node.callspec.params["book"].stem
    recording = [cell.source for cell in _code(book) if ".record(" in cell.source]
    assert recording or stem == "00_start_here"
    for source in recording:
        assert re.search(rf'written_by"?[=:] ?"{stem}"', source) and "made_from" in source


def test_a_notebook_that_opens_the_label_log_is_told_which(book):
    source = "\n".join(cell.source for cell in _code(book))
    opened = re.findall(r"LabelLog\(([^)]*)\)", source)
    assert set(opened) <= {"label_log or workspace.label_url"}
    assert not opened or re.search(r"^label_log = None", source, re.M)


def test_simulated_clinicians_vote_only_where_the_notebook_is_told_so(book):
    """Notebook 08 asks them for true errors, which are no votes."""
    asked = []
    for cell in _code(book):
        tree = ast.parse(cell.source)
        told = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "annotators == 'clinic'" in ast.unparse(node.test)
        ]
        inside = {id(inner) for node in told for part in node.body for inner in ast.walk(part)}
        asked += [
            cell.source
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and node.attr in ("label", "ticks", "compare")
            and "Clinicians" in ast.unparse(node.value)
            and id(node) not in inside
        ]
    assert not asked
    used = "Clinicians" in "\n".join(cell.source for cell in _code(book))
    [parameters] = [cell.source for cell in _code(book) if _tagged(cell, "parameters")]
    voting = used and "error_kinds" not in "\n".join(cell.source for cell in _code(book))
    assert not voting or 'annotators = "clinic"' in parameters


def test_votes_that_a_notebook_reads_are_those_that_it_is_told_to_count(book):
    source = "\n".join(cell.source for cell in _code(book))
    reading = r'(?:workspace\.read\("(?:preferences|demonstrations)"\)|log\.preferences\(\))'
    before = {source[match.start() - 9 : match.start()] for match in re.finditer(reading, source)}
    assert before <= {"votes_of("} | ({"me_texts("} if "check_same_texts" in source else set())


def test_a_budget_in_notebook_04_takes_figures_from_as_many_clusters_as_notebook_01(tmp_path):
    figures, _ = read_figures("clinic", run=tmp_path, articles=40)
    workspace = Workspace(tmp_path)
    workspace.write("figures", figures, parameters={"figures": "clinic", "clusters": 20})
    cells = _code(nbformat.read(NOTEBOOKS[4], as_version=4))
    names = {"workspace": workspace, "figures": figures, "image_of": image_opener(figures)}
    names |= {"budget": 30, "encoder": "clinic", "engine": "local", "seed": 0}
    exec(cells[0].source, names)  # noqa: S102 - the code of the notebook itself
    exec(next(cell.source for cell in cells if "if budget:" in cell.source), names)  # noqa: S102 - the code of the notebook itself
    assert len(names["train"]) == 30 and names["chosen"]["cluster"].nunique() == 20


@pytest.mark.parametrize("budget", [None, 30])
def test_notebook_04_records_its_budget_and_the_encoder_that_chose_by_it(budget, tmp_path):
    workspace = Workspace(tmp_path)
    for name in ("figures", "demonstrations"):
        workspace.write(name, empty_frame(name))
    names = {"workspace": workspace, "candidates": empty_frame("candidates")}
    names |= {"annotators": "clinic", "generator": "clinic", "rounds": 5, "seed": 0}
    names |= {"budget": budget, "encoder": "clinic"}
    cells = _code(nbformat.read(NOTEBOOKS[4], as_version=4))
    exec(next(cell.source for cell in cells if "workspace.write(" in cell.source), names)  # noqa: S102 - the code of the notebook itself
    recorded = workspace.origin("candidates")["parameters"]
    assert recorded["budget"] == budget and ("encoder" in recorded) == bool(budget)


def _rows(book, first: str) -> list[list[str]]:
    """The cells of the rows of a Markdown table whose first line begins with `first`."""
    text = next(cell.source for cell in book.cells if f"\n| {first} |" in cell.source)
    lines = text.split(f"\n| {first} |")[1].split("\n\n")[0].splitlines()[2:]
    return [[part.strip() for part in line.strip("|").split(" | ")] for line in lines]


def test_notebook_00_names_each_parameter_with_its_notebooks_and_its_default():
    declared = {}
    for number, path in enumerate(NOTEBOOKS):
        (cell,) = [cell for cell in _code(nbformat.read(path, 4)) if _tagged(cell, "parameters")]
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.Assign):
                found = declared.setdefault(node.targets[0].id, {})
                found[number] = ast.unparse(node.value).replace("'", '"')
    rows = _rows(nbformat.read(NOTEBOOKS[0], as_version=4), "parameter")
    assert len(rows) > 6
    for name, where, default, _ in rows:
        parts = [part.split(" to ") for part in where.split(", ")]
        listed = {n for part in parts for n in range(int(part[0]), int(part[-1]) + 1)}
        own = declared[name.strip("`")]
        assert listed == own.keys(), name
        assert set(own.values()) == {re.findall("`([^`]+)`", default)[0]}, name


def test_notebook_02_lists_every_flag():
    rows = _rows(nbformat.read(NOTEBOOKS[2], as_version=4), "flag")
    listed = [name.strip("`") for name, _ in rows]
    assert sorted(listed) == sorted((*FLAGS, *HOLLOW, FEWER, DROPPED))
