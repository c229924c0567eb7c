"""Claims about the parameter cells: a wrong value is refused there, in one line."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import papermill
import pytest
from IPython.core.interactiveshell import InteractiveShell

from vital_lib.dicom import DicomOptions
from vital_lib.parameters import RULES, WrongParameter, check_parameters
from vital_lib.walkthrough import run_notebooks

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def _cells(path: Path) -> list[str]:
    """The sources of the imports and of the parameter cell."""
    cells = json.loads(path.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return code[:2]


@pytest.mark.parametrize(
    "result", [pd.DataFrame({"a": [1]}), [("clinician", pd.DataFrame())], {"a": 1}, object(), 0.1]
)
def test_a_cell_that_runs_again_ignores_the_results_of_later_cells(result):
    """Some notebooks give a result the name of another notebook's parameter."""
    shell = InteractiveShell()
    shell.user_ns |= {"check_parameters": check_parameters, **dict.fromkeys(RULES, result)}
    cell = "seed = {}  # a table may be named `arms`\ncheck_parameters(globals())"
    done = shell.run_cell(cell.format(0), store_history=True)
    assert done.result == "parameters checked: 1"
    with pytest.raises(WrongParameter, match="^seed = -1: [^;]+$"):
        shell.run_cell(cell.format(-1), store_history=True).raise_error()


def test_a_learning_curve_needs_no_sizes_but_a_sweep_needs_weights():
    assert check_parameters({"sizes": []}) == "parameters checked: 1"
    with pytest.raises(WrongParameter, match="weights = "):
        check_parameters({"weights": []})


def test_every_option_of_dicom_can_be_given():
    used = {"frames": "sheet", "series": 5, "key": "k", "header_text": True, "dates": False}
    assert used.keys() == {field.name for field in fields(DicomOptions)}
    assert check_parameters({"dicom": used}) == "parameters checked: 1"
    DicomOptions(**used)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_parameter_cell_checks_itself_and_its_defaults_pass(path):
    _, parameters = _cells(path)
    assert parameters.rstrip().endswith("\ncheck_parameters(globals())")
    shell = InteractiveShell(user_ns={"check_parameters": check_parameters})
    shell.run_cell(parameters).raise_error()


def test_every_parameter_has_a_rule_or_is_known_to_be_free():
    declared = {name for path in NOTEBOOKS for name in papermill.inspect_notebook(str(path))}
    assert declared - set(RULES) == {"within", "priced_as"}


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("share", 40, "share = 40: give a number above 0 and at most 1"),
        ("share", 0, "share = 0: give a number above 0"),
        ("share", float("nan"), "share = nan: give a number above 0"),
        ("share", True, "share = True: give a number"),
        ("annotators", "me", "annotators = 'me': give one of 'clinic', 'people'"),
        ("seed", -1, "seed = -1: give a whole number of at least 0 and at most 4,294,967,295"),
        ("seed", 2**32, "seed = 4294967296: give a whole number of at least 0 and at most"),
        ("repeats", 2.5, "repeats = 2.5: give a whole number of at least 1"),
        ("wanted", 0, "wanted = 0: give a whole number of at least 1, or None"),
        ("max_usd", "20", "max_usd = '20': give a number of at least 0, or None"),
        ("local", "yes", "local = 'yes': give True or False"),
        ("judge", " ", "judge = ' ': give a text"),
        ("sizes", 10, "sizes = 10: give a list; for each value, give a whole number of at least 0"),
        ("arms", ["selectd"], "arms = ['selectd']: give a list; for each value, give one of 'sel"),
        ("settings", ["lora_rank"], "settings = ['lora_rank']: give settings by name, such as {"),
        ("settings", {1: 2}, "settings = {1: 2}: give settings by name"),
        ("train", "vision", "train = 'vision': give one of 'language', 'lora', 'projector'"),
        ("dicom", {"frame": "all"}, "dicom = {'frame': 'all'}: give {} or options by name: frames"),
        ("dicom", {"frames": "last"}, "dicom = {'frames': 'last'}: give {} or options by name"),
        ("dicom", {"frames": True}, "dicom = {'frames': True}: give {} or options by name"),
        ("dicom", {"series": 0}, "dicom = {'series': 0}: give {} or options by name"),
        ("dicom", {"dates": 1}, "dicom = {'dates': 1}: give {} or options by name"),
        ("dicom", {"key": ""}, "dicom = {'key': ''}: give {} or options by name"),
        ("dicom", "sheet", "dicom = 'sheet': give {} or options by name"),
        ("practice", "no", "practice = 'no': give one of None, True, False"),
        ("practice", 1, "practice = 1: give one of None, True, False"),
        ("share", 10**400, "share = 1000"),
        ("floor", float("-inf"), "floor = -inf: give a number, or None"),
        ("strategy", np.array(["random", "cluster"]), "strategy = array("),
        ("annotators", pd.DataFrame({"a": [1, 2]}), "annotators = a 0 1 1 2: give one of"),
        ("sizes", "x" * 100_000, "sizes = 'xxx"),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_be_right(name, wrong, said):
    with pytest.raises(WrongParameter) as raised:
        check_parameters({name: wrong, "other": object()})
    assert str(raised.value).startswith(said)
    assert len(str(raised.value)) < 400 and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "cell",
    [
        "%%time\nseed = -1\ncheck_parameters(globals())",
        "%%time\nfiles = !true\nseed = -1\ncheck_parameters(globals())",
        "%time seed = -1\ncheck_parameters(globals())",
        "seed = -1; check_parameters(globals())",
        "run, seed = 'mine', -1\n%time check_parameters(globals())",
        "share = 0.5\ncheck_parameters(globals())\nseed = -1\ncheck_parameters(globals())",
    ],
)
def test_a_wrong_value_is_refused_however_the_cell_is_written(cell, capsys):
    shell = InteractiveShell(user_ns={"check_parameters": check_parameters})
    shown: list[str] = []
    shell._showtraceback = lambda kind, error, lines: shown.extend(lines)
    shell.run_cell(cell, store_history=True)
    told = "give a whole number of at least 0 and at most 4,294,967,295"
    assert shown == [f"WrongParameter: seed = -1: {told}"]


def test_a_second_parameter_cell_checks_its_own_names():
    shell = InteractiveShell(user_ns={"check_parameters": check_parameters})
    for cell in ("seed = -1", "share = 0.5\ncheck_parameters(globals())"):
        done = shell.run_cell(cell, store_history=True)
    assert done.result == "parameters checked: 1"


@pytest.mark.parametrize(
    ("name", "right"),
    [("share", 1), ("max_usd", None), ("max_usd", 0.5), ("floor", -2.5), ("weights", [10, 0.5])],
)
def test_a_usable_value_passes(name, right):
    assert check_parameters({name: right}) == "parameters checked: 1"


def test_all_wrong_values_are_named_in_one_line_of_the_cell():
    shell = InteractiveShell()
    shown: list[str] = []
    shell._showtraceback = lambda kind, error, lines: shown.extend(lines)
    shell.run_cell(
        "from vital_lib.parameters import check_parameters\nshare = 2\nseed = 'a'\n"
        "check_parameters(globals())"
    )
    [line] = shown
    assert line.startswith("WrongParameter: seed = 'a': ") and "; share = 2: " in line


def test_an_unattended_run_refuses_a_wrong_setting_before_its_first_notebook(tmp_path):
    with pytest.raises(WrongParameter, match="share = 40"):
        next(run_notebooks(tmp_path / "run", settings={"share": 40}))
    assert not (tmp_path / "run").exists()
