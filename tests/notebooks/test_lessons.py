"""Claims about the ten notebooks as lessons: their prose, questions, formulas and exercises."""

from __future__ import annotations

import ast
import importlib
import re
import runpy
from pathlib import Path

import nbformat
import pytest
from lesson_cells import CONCLUDE, EXERCISE, PAPER, PREDICT, exercises, markdown, solutions, words

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONG = ("03", "05", "06", "07", "09")
_NAME = re.compile(r"`([a-z_]+(?:\.\w+)+)(?<!\.html)(?<!\.jsonl)`")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def book(request):
    return nbformat.read(request.param, as_version=4)


@pytest.fixture(
    params=[path for path in NOTEBOOKS if path.name[:2] in LONG], ids=lambda path: path.stem
)
def lesson(request):
    return nbformat.read(request.param, as_version=4)


def test_a_lesson_has_a_thousand_words_of_prose(lesson):
    assert words(lesson) >= 1_000


def test_a_lesson_links_to_the_paper_and_to_another_source(lesson):
    links = re.findall(r"\]\((https://[^)]+)\)", "\n".join(markdown(lesson)))
    assert PAPER in links
    assert set(links) - {PAPER}


def test_a_lesson_has_two_or_three_exercises_each_with_a_solution(lesson):
    found = exercises(lesson)
    assert len(found) in (2, 3)
    assert [source[len(EXERCISE)] for source in found] == list("123"[: len(found)])
    assert len(solutions(lesson)) == len(found)


def test_every_exercise_has_a_solution_that_starts_from_the_run_and_ends_with_a_value(book):
    assert len(exercises(book)) == len(solutions(book))
    for solution in solutions(book):
        body = ast.parse(solution).body
        assert isinstance(body[-1], ast.Expr)
        assert re.search(r"Workspace\(run\)", solution)


def test_a_main_result_is_predicted_before_and_concluded_from_after(book):
    kinds = []
    for cell in book.cells:
        starts = [
            start
            for start in (PREDICT, CONCLUDE)
            if cell.cell_type == "markdown" and cell.source.startswith(start)
        ]
        kinds += starts or ["code"] * (cell.cell_type == "code")
    steps = [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind != before]
    asked = [place for place, kind in enumerate(steps) if kind == PREDICT]
    assert asked or book.cells[0].source.startswith("# 0 ")
    assert all(steps[place : place + 3] == [PREDICT, "code", CONCLUDE] for place in asked)
    assert steps.count(CONCLUDE) == len(asked)


def test_every_formula_becomes_mathml():
    site = runpy.run_path(str(ROOT / "docs" / "site.py"))
    found = {
        formula[0]: site["_mathml"](formula)
        for path in NOTEBOOKS
        for source in markdown(nbformat.read(path, as_version=4))
        for formula in site["_FORMULA"].finditer(source)
    }
    assert len(found) > 10
    assert all(made.startswith("<math") and "merror" not in made for made in found.values())
    # An unknown command would stay in the page as it is written.
    assert not [formula for formula, made in found.items() if "\\" in made]


def test_every_function_of_the_library_that_the_prose_names_exists(book):
    named = {name for source in markdown(book) for name in _NAME.findall(source)}
    modules = {path.stem for path in (ROOT / "vital_lib").iterdir()}
    for name in (name for name in named if name.split(".")[0] in modules):
        module, *attributes = name.split(".")
        found = importlib.import_module(f"vital_lib.{module}")
        for attribute in attributes:
            assert hasattr(found, attribute), name
            found = getattr(found, attribute)


def test_the_lesson_plan_names_sections_and_notebooks_that_exist_and_fills_two_hours():
    page = (ROOT / "docs" / "teaching.md").read_text()
    numbers = {path.name[:2]: path for path in NOTEBOOKS}
    rows = re.findall(r"^\| (\d+) to (\d+) \|.*\| (.*) \|$", page, re.M)
    minutes = [(int(start), int(end)) for start, end, _ in rows]
    assert minutes[0][0] == 0 and minutes[-1][1] == 120
    assert all(one[1] == two[0] for one, two in zip(minutes, minutes[1:], strict=False))
    for _, _, shown in rows:
        for number, sections in re.findall(r"`(\d\d)\w*`: ([^`;]*)", shown):
            text = "\n".join(markdown(nbformat.read(numbers[number], as_version=4)))
            for section in re.findall(r'"([^"]+)"', sections):
                assert f"## {section}" in text, (number, section)
