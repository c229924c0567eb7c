"""Tests of the sweeps: one cause is varied, points are kept, and null worlds find nothing."""

from __future__ import annotations

import pandas as pd
import pytest

from vital_lib import plots
from vital_lib.clinic.rates import DEFAULT_RATES
from vital_lib.study import MEASURES, run_sweeps, sweeps
from vital_lib.study.__main__ import main


def test_a_factor_varies_the_errors_and_nothing_else():
    none, twice, many = map(sweeps._times_errors, (0.0, 2.0, 50.0))
    assert set({**none.factual, **none.style}.values()) == {0.0}
    assert twice.factual["wrong_side"] == 2 * DEFAULT_RATES.factual["wrong_side"]
    assert set(many.factual.values()) == {1.0}
    assert twice.judge == DEFAULT_RATES.judge and sweeps._times_errors(1.0) == DEFAULT_RATES


def test_a_factor_varies_the_judges_bonus_for_length_and_nothing_else():
    long = sweeps._times_length(4.0)
    assert long.judge.length_bonus == 4 * DEFAULT_RATES.judge.length_bonus
    assert long.factual == DEFAULT_RATES.factual and sweeps._times_length(1.0) == DEFAULT_RATES


def test_without_seeds_there_is_nothing_to_measure(tmp_path):
    with pytest.raises(ValueError, match="no seeds"):
        run_sweeps(tmp_path, [])


@pytest.mark.slow
def test_points_are_measured_once_and_pooled_over_seeds(tmp_path, capsys):
    few = {sweeps.SHARES: (0.4,), sweeps.LABELLED: (0, 50), sweeps.NULL: (sweeps.SOUND,)}
    found = run_sweeps(tmp_path, [0, 1], articles=60, sweeps=few)
    assert capsys.readouterr().out.count("measured") == 8
    again = run_sweeps(tmp_path, [0, 1], articles=60, sweeps=few)
    assert capsys.readouterr().out == ""  # nothing is measured twice
    pd.testing.assert_frame_equal(found, again)
    assert set(found["seeds"]) == {2} and set(found["measure"]) <= set(MEASURES)
    by = found.set_index(["varied", "value", "measure"])
    agreement = by.xs(sweeps.LABELLED).xs("agreement", level="measure")["estimate"]
    assert agreement["50"] > agreement["0"] - 5
    sound = by.loc[(sweeps.NULL, sweeps.SOUND, "selected_minus_random")]
    assert sound["low"] <= 0 <= sound["high"] or abs(sound["estimate"]) < 3
    assert "agreement" not in by.loc[(sweeps.NULL, sweeps.SOUND)].index  # of a handful of pairs
    assert plots.sweep_lines(found, dict.fromkeys(MEASURES, "m")).axes
    run_sweeps(tmp_path, [0], articles=61, sweeps={sweeps.SHARES: (0.4,)})
    assert capsys.readouterr().out.count("measured") == 1  # of another world


@pytest.mark.slow
def test_the_command_writes_a_table_and_a_plot(tmp_path, capsys):
    command = ["sweep", "--folder", str(tmp_path), "--seeds", "0", "--articles", "30"]
    command += ["--only", sweeps.SHARES, sweeps.LENGTH]
    assert main(command) == 0
    assert "accepted share of the selected set, by share of the candidates kept" in (
        capsys.readouterr().out
    )
    assert (tmp_path / "sweeps.png").stat().st_size > 5_000
    found = pd.read_csv(tmp_path / "sweeps.csv")
    assert set(found["varied"]) == {sweeps.SHARES, sweeps.LENGTH}
