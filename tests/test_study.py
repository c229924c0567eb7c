"""Tests of the study: what it pools and what it refuses to pool."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from vital_lib import study, walkthrough
from vital_lib.annotators import Votes
from vital_lib.statistics import Interval, mean_interval
from vital_lib.study.__main__ import main
from vital_lib.study.pooling import pooled_interval
from vital_lib.tables import TABLES, Workspace

RECALL = "evaluation.open_recall_selected_minus_base"
WINS = "evaluation.win_rate_clinicians_unaligned_percent"


def _metrics(estimate, half=0.03, **counts):
    found = Interval(estimate, estimate - half, estimate + half, 300).metrics(RECALL)
    return found | {f"evaluation.{name}": number for name, number in counts.items()}


def _run(folder, metrics, article=None):
    workspace = Workspace(folder)
    workspace.record(metrics)
    row = dict.fromkeys(TABLES["questions"].columns, "x") | {"cleared": True}
    row |= {"group_id": article or folder.name}
    workspace.write("questions", pd.DataFrame([row]), parameters={})
    return folder


def test_the_pooled_difference_is_the_mean_over_runs_and_its_counts_are_summed():
    found = study.pooled([_metrics(0.02, open_articles=100), _metrics(0.08, open_articles=120)])
    assert found[RECALL] == pytest.approx(0.05)
    assert found["evaluation.open_articles"] == 220


def test_four_runs_halve_the_width_of_an_interval():
    found = study.pooled([_metrics(0.05, half=0.04)] * 4)
    assert found[f"{RECALL}_low"] == pytest.approx(0.03)
    assert found[f"{RECALL}_high"] == pytest.approx(0.07)


def test_the_pooled_interval_matches_a_bootstrap_within_every_run():
    rng = np.random.default_rng(0)
    runs = [rng.normal(0.1, 1, 400) for _ in range(3)]
    own = [mean_interval(values, range(400)).metrics(RECALL) for values in runs]
    found = study.pooled(own)
    draws = [rng.choice(values, (4000, 400)).mean(axis=1) for values in runs]
    low, high = np.quantile(np.mean(draws, axis=0), [0.025, 0.975])
    assert found[f"{RECALL}_low"] == pytest.approx(low, abs=0.01)
    assert found[f"{RECALL}_high"] == pytest.approx(high, abs=0.01)


@pytest.mark.parametrize("between", [0, 1, 2])
@pytest.mark.parametrize("count", [5, 10])
def test_the_pooled_interval_holds_the_truth_also_where_runs_differ_by_tuning(between, count):
    """Runs of the true difference 0; their intervals know the luck of the articles alone, of 1."""
    rng = np.random.default_rng(0)
    held = []
    for estimates in rng.normal(0, np.hypot(1, between), (1000, count)):
        whole = pooled_interval([Interval(x, x - 1.96, x + 1.96, 100) for x in estimates])
        held.append(whole.low <= 0 <= whole.high)
    assert 0.92 <= np.mean(held) <= 0.99


def test_two_runs_that_differ_much_are_pooled_with_their_difference():
    whole = pooled_interval([Interval(x, x - 0.1, x + 0.1, 100) for x in (-3, 3)])
    assert whole.estimate == 0 and whole.high == pytest.approx(1.96 * 3, rel=0.001)


def test_a_run_without_an_interval_gives_a_pooled_claim_without_one():
    found = study.pooled([_metrics(0.02), {RECALL: 0.04}])
    assert found == {RECALL: pytest.approx(0.03)}


def test_each_run_has_a_column_next_to_the_pooled_claim(tmp_path):
    votes = Votes(302, simulated=302).metrics("evaluation")
    runs = [
        _run(tmp_path / "seed0", _metrics(0.05) | {WINS: 55.0} | votes),
        _run(tmp_path / "seed1", _metrics(-0.01)),
    ]
    found = study.pool(runs).set_index("metric")
    recall = found.loc[RECALL]
    assert (recall["seed0"], recall["seed1"]) == (pytest.approx(5.0), pytest.approx(-1.0))
    assert recall["above_0"] == "1 of 2"
    assert recall["claim"].startswith(
        "no clear difference from the base model: +2.0 points [−3.9, 7.9]"
    )
    assert found.loc[WINS, "above_0"] == "1 of 1" and math.isnan(found.loc[WINS, "seed1"])
    assert "simulated clinicians" in found.loc[WINS, "measured"]


def test_runs_that_share_articles_are_not_pooled(tmp_path):
    runs = [_run(tmp_path / name, _metrics(0.05), article="S0B00000") for name in "ab"]
    with pytest.raises(ValueError, match="the benchmarks of a, b share articles"):
        study.pool(runs)


def test_a_single_run_or_a_repeated_run_is_not_pooled(tmp_path):
    run = _run(tmp_path / "seed0", _metrics(0.05))
    for runs in ([run], [run, run]):
        with pytest.raises(ValueError, match="give two or more, each once"):
            study.pool(runs)


def test_two_runs_of_one_name_are_told_apart_by_the_folder_above(tmp_path):
    """And one that notebook 09 has not measured yet is pooled in the claims that it has."""
    runs = [
        _run(tmp_path / above / "demo", _metrics(value), article=above)
        for above, value in (("old", 0.05), ("new", 0.01))
    ]
    early = Workspace(tmp_path / "early")
    early.record({"figures.n": 3})
    found = study.pool([*runs, early.path]).set_index("metric").loc[RECALL]
    assert (found["old/demo"], found["new/demo"]) == (pytest.approx(5.0), pytest.approx(1.0))
    assert math.isnan(found.filter(like="/early").iloc[0]) and found["above_0"] == "2 of 2"


def test_runs_without_any_claim_are_not_pooled(tmp_path):
    runs = [_run(tmp_path / name, {"figures.n": 3}) for name in "ab"]
    with pytest.raises(ValueError, match="none of a, b has measured a claim: run notebooks 06"):
        study.pool(runs)


def test_a_single_or_repeated_seed_is_refused_before_it_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, "run_seed", lambda *_: pytest.fail("ran"))
    for seeds in (["3"], ["3", "3"]):
        assert main(["run", "--folder", str(tmp_path), "--seeds", *seeds]) == 1
        assert "give two or more, each once" in capsys.readouterr().err


def test_a_folder_that_is_a_file_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "seed3").write_text("mine")
    assert main(["run", "--folder", str(tmp_path), "--seeds", "3", "4"]) == 1
    assert capsys.readouterr().err.strip() == (
        f"{tmp_path / 'seed3'} is a file: give the folder of a run or a new one"
    )
    assert (tmp_path / "seed3").read_text() == "mine"


def test_a_folder_without_metrics_is_named(tmp_path, capsys):
    assert main(["pool", str(tmp_path / "no"), str(tmp_path / "other")]) == 1
    assert "no metrics.json in" in capsys.readouterr().err


def test_the_pool_command_prints_every_run_and_writes_table_and_plot(tmp_path, capsys):
    runs = [_run(tmp_path / f"seed{k}", _metrics(0.05 + k / 100)) for k in range(2)]
    assert main(["pool", *map(str, runs), "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "+5.0" in out and "+6.0" in out and "2 of 2" in out
    assert "better than the base model: +5.5 points" in out
    assert pd.read_csv(tmp_path / "out" / "claims.csv")["seed1"].tolist() == [pytest.approx(6.0)]
    assert (tmp_path / "out" / "claims.png").stat().st_size > 1000


def _walk(used, stop_in=""):
    """Return a stand-in for `run_notebooks`, which fails in one notebook."""

    def walk(folder, *, settings, first="00"):
        used.append((first, settings))
        for path in walkthrough.notebooks(first):
            if path.stem.startswith(stop_in or "none"):
                raise walkthrough.NotebookFailed(path.stem)
            Workspace(folder).record(_metrics(0.05))
            yield path, 1.0

    return walk


def test_a_finished_seed_is_not_run_again(tmp_path, monkeypatch):
    used = []
    monkeypatch.setattr(walkthrough, "run_notebooks", _walk(used))
    for _ in range(2):
        study.run_seed(tmp_path / "seed7", 7)
    [(first, settings)] = used
    assert (first, settings["seed"], settings["draws"]) == ("00", 7, 3)
    assert {"all", "cluster_typical"} < set(settings["arms"])
    assert Workspace(tmp_path / "seed7").metrics["demo.seconds"] == 10.0


def test_a_stopped_seed_goes_on_with_the_notebook_that_had_not_ended(tmp_path, monkeypatch):
    used, folder = [], tmp_path / "seed7"
    monkeypatch.setattr(walkthrough, "run_notebooks", _walk(used, stop_in="08"))
    with pytest.raises(walkthrough.NotebookFailed):
        study.run_seed(folder, 7)
    assert "demo.seconds" not in Workspace(folder).metrics
    (folder / "selected.parquet").touch()
    monkeypatch.setattr(walkthrough, "run_notebooks", _walk(used))
    study.run_seed(folder, 7)
    assert [first for first, _ in used] == ["00", "08"]
    assert Workspace(folder).metrics["demo.seconds"] == 10.0
    assert (folder / "selected.parquet").exists()
    (folder / "metrics.json").unlink()  # as if it had been killed before the last note
    study.run_seed(folder, 7)
    assert len(used) == 2 and Workspace(folder).metrics["demo.seconds"] == 10.0


@pytest.mark.parametrize("left", ["{", "[]", '{"settings": {"seed": 6}, "seconds": [1.0]}'])
def test_a_seed_with_other_settings_or_a_damaged_note_begins_anew(tmp_path, monkeypatch, left):
    used, folder = [], tmp_path / "seed7"
    Workspace(folder).record(_metrics(0.05))
    (folder / "study.json").write_text(left)
    monkeypatch.setattr(walkthrough, "run_notebooks", _walk(used))
    study.run_seed(folder, 7)
    assert [first for first, _ in used] == ["00"]


def test_pooled_claims_name_simulated_clinicians_if_any_run_had_them(tmp_path):
    name = "selection.accepted_share_selected_minus_random"
    own = Interval(0.05, 0.03, 0.07, 300).metrics(name)
    some = [
        own | Votes(30, simulated=20).metrics("selection"),
        own | Votes(10).metrics("selection"),
    ]
    runs = [_run(tmp_path / f"seed{k}", metrics) for k, metrics in enumerate(some)]
    measured = study.pool(runs).set_index("metric").loc[name, "measured"]
    assert measured.endswith("clinicians (some simulated) (20 of 40 votes simulated)")


def test_pooled_claims_name_no_clinicians_if_a_run_has_no_vote_counts(tmp_path):
    name = "selection.accepted_share_selected_minus_random"
    own = Interval(0.05, 0.03, 0.07, 300).metrics(name)
    some = [own, own | Votes(10).metrics("selection")]
    runs = [_run(tmp_path / f"seed{k}", metrics) for k, metrics in enumerate(some)]
    assert "clinicians" not in study.pool(runs).set_index("metric").loc[name, "measured"]
