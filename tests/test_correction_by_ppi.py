"""The correction by few labels beside the package ppi-python, in a folder of the package's own.

ppi-python brings numba and statsmodels (275 MB), so no environment of the workbench has it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from beside import installed_beside
from test_correction import TRUE, WORLDS, world

from vital_lib.statistics import corrected_interval

WANTED = ["ppi-python==0.2.3", "numba", "llvmlite", "statsmodels", "patsy"]
ASK = """
import json, sys
import numpy as np
sys.path.append(sys.argv[1])  # behind our own packages
import ppi_py
found = []
for labels, values, others in json.load(sys.stdin):
    labels, values, others = map(np.array, (labels, values, others))
    low, high = ppi_py.ppi_mean_ci(labels, values, others, alpha=0.05)
    estimate = ppi_py.ppi_mean_pointestimate(labels, values, others)
    found.append([float(np.squeeze(end)) for end in (estimate, low, high)])
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def package() -> Path:
    """The folder with ppi-python, installed once."""
    return installed_beside("ppi-python-0.2.3", WANTED)


@pytest.fixture(scope="module")
def theirs(package):
    """By way of labelling: the package's estimate and interval in each world."""

    def ask(worlds: list) -> np.ndarray:
        rows = []
        for labels, values, _, _ in worlds:
            known = ~np.isnan(labels)
            parts = (labels[known], values[known], values[~known])
            rows.append([part.tolist() for part in parts])
        done = subprocess.run(
            [sys.executable, "-c", ASK, str(package)],
            input=json.dumps(rows),
            capture_output=True,
            text=True,
            check=True,
        )
        return np.array(json.loads(done.stdout))

    return ask


@pytest.mark.slow
def test_the_estimate_is_that_of_ppi_python(theirs):
    worlds = [world(seed) for seed in range(50)]
    ours = [corrected_interval(*one[:3], resamples=1).estimate for one in worlds]
    assert np.abs(theirs(worlds)[:, 0] - ours).max() < 0.001


@pytest.mark.slow
def test_labels_by_article_need_an_interval_over_articles(theirs):
    """The package takes rows as independent; labels of whole articles are not."""
    worlds = [world(seed, by="article") for seed in range(WORLDS)]
    _, low, high = theirs(worlds).T
    ours = [corrected_interval(*one[:3]) for one in worlds]
    covered = np.mean([one.low <= TRUE <= one.high for one in ours])
    assert np.mean((low <= TRUE) & (high >= TRUE)) < 0.92 < covered


@pytest.mark.slow
def test_a_judge_without_variance_gives_a_number_here_also_where_the_package_gives_none(theirs):
    labels = np.array([1.0, 0.0, 1.0] + [np.nan] * 5)
    constant = np.full(8, 0.1)
    [estimate, *_] = theirs([(labels, constant, None, None)])[0]
    assert np.isnan(estimate)
    assert corrected_interval(labels, constant, range(8)).estimate == pytest.approx(2 / 3)
