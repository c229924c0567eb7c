"""Claims about the monitor of tuning runs, by its methods and without a browser."""

from __future__ import annotations

import json
import math

import pytest
from panel_rows import HOSTILE
from tuning_rows import conversation_rows, tune_shortly

from vital_lib.panels import TuningMonitor
from vital_lib.tuning import LeftOut, Sample, TuningEvent

pytest_plugins = "tuning_rows"
STEPS = {"selected": 4, "random": 4}


@pytest.fixture
def monitor():
    return TuningMonitor(STEPS)


def press(monitor, name, *args):
    """What the browser sends for a button pressed."""
    monitor._heard(monitor.widget, {"call": name, "args": list(args), "item": None}, [])


def run_of(monitor, name="selected"):
    return next(run for run in monitor._state()["runs"] if run["name"] == name)


def test_held_out_losses_stand_beside_training_losses(monitor):
    hear = monitor.watch["selected"]
    hear(TuningEvent(0, 4, None, held_out_loss=3.0))
    for step in (1, 2, 3):
        hear(TuningEvent(step, 4, 3.0 - step / 2))
    hear(TuningEvent(4, 4, 1.0, held_out_loss=1.5))
    run = run_of(monitor)
    assert run["losses"] == [(1, 2.5), (2, 2.0), (3, 1.5), (4, 1.0)]
    assert run["held_out"] == [(0, 3.0), (4, 1.5)]
    assert (run["step"], run["status"]) == (4, "finished")
    assert run_of(monitor, "random")["status"] == "waiting"


def test_sampled_answers_are_those_of_the_chosen_run(monitor):
    press(monitor, "choose", "random")
    monitor.watch["random"](
        TuningEvent(2, 4, 1.0, samples=(Sample("Which side?", "Left.", HOSTILE),))
    )
    monitor.watch["selected"](TuningEvent(1, 4, 1.0, samples=(Sample("Q", "R", "A"),)))
    state = monitor.widget.state
    assert (state["chosen"], state["sampled_at"]) == ("random", 2)
    assert state["samples"] == [["Which side?", "Left.", HOSTILE]]
    press(monitor, "choose", "selected")
    assert monitor.widget.state["samples"] == [["Q", "R", "A"]]
    press(monitor, "choose", "nobody")
    assert monitor.widget.state["chosen"] == "selected"


def test_a_stop_is_confirmed_and_then_said_with_its_step(monitor):
    with monitor:
        hear = monitor.watch["selected"]
        assert hear(TuningEvent(1, 4, 1.0)) is True
        press(monitor, "stop")
        assert monitor.widget.state["asking"] and hear(TuningEvent(2, 4, 1.0)) is True
        press(monitor, "go_on")
        press(monitor, "stop")
        press(monitor, "stop")
        assert monitor.widget.state["status"] == "stopping"
        assert hear(TuningEvent(3, 4, 1.0)) is False
    assert monitor.widget.state["status"] == "stopped"
    assert run_of(monitor)["message"] == "stopped at step 3 of 4; run the cell again to go on"
    assert run_of(monitor, "random")["message"] == "not begun; run the cell again"


def test_an_interrupted_cell_shows_where_each_run_stopped(monitor):
    with pytest.raises(KeyboardInterrupt), monitor:
        monitor.watch["selected"](TuningEvent(2, 4, 1.0))
        raise KeyboardInterrupt
    assert "stopped at step 2 of 4" in run_of(monitor)["message"]


def test_a_cell_that_is_run_again_begins_with_empty_curves(monitor):
    with monitor:
        monitor.watch["selected"](TuningEvent(2, 4, 1.0))
        press(monitor, "stop")
        press(monitor, "stop")
    with monitor:
        assert monitor.watch["selected"](TuningEvent(3, 4, 0.5)) is True
        assert run_of(monitor)["losses"] == [(3, 0.5)]
        for name in STEPS:
            monitor.watch[name](TuningEvent(4, 4, 0.5))
    assert monitor.widget.state["status"] == "finished" and monitor.widget.settled()


def test_a_long_run_is_drawn_in_few_points_and_few_messages():
    monitor = TuningMonitor({"selected": 20_000})
    turn = monitor.widget.state["turn"]
    for step in range(1, 20_001):
        monitor.watch["selected"](TuningEvent(step, 20_000, float(step % 2)))
    run = run_of(monitor)
    assert len(run["losses"]) == 100 and run["losses"][-1][0] == 20_000
    assert {loss for _, loss in run["losses"]} == {0.5}
    assert monitor.widget.state["turn"] - turn < 200


def test_a_loss_that_is_no_number_is_not_drawn(monitor):
    for step, loss in enumerate((math.nan, math.inf, 1.0), 1):
        monitor.watch["selected"](TuningEvent(step, 4, loss, held_out_loss=loss))
    state = monitor.widget.state
    assert json.loads(json.dumps(state, allow_nan=False))["runs"][0]["losses"] == [[3, 1.0]]


def test_conversations_left_out_are_counted_and_the_first_named(monitor):
    left = tuple(LeftOut(f"c{k}", "600 tokens, limit 512") for k in range(5))
    monitor.watch["selected"](TuningEvent(0, 4, None, left_out=left))
    run = run_of(monitor)
    assert run["left_out_n"] == 5
    assert run["left_out"] == [f"c{k}: 600 tokens, limit 512" for k in range(3)] + ["and 2 more"]


def test_the_saved_view_has_steps_losses_and_answers(monitor):
    hear = monitor.watch["selected"]
    hear(TuningEvent(1, 4, 2.0, held_out_loss=2.5, samples=(Sample("Q?", "R", HOSTILE),)))
    hear(TuningEvent(3, 4, 1.0, held_out_loss=1.5))
    form = monitor._form()
    text = str(form.parts)
    assert form.summary == "Tuning: 0 of 2 finished"
    assert "3 of 4" in text and "2.00 to 1.00" in text and "2.50 to 1.50" in text
    assert "<img" not in text and "&lt;img" in text


def test_a_real_run_reports_to_the_monitor(llava_folder, figures, tmp_path):
    monitor = TuningMonitor({"selected": 4})
    with monitor:
        tune_shortly(
            llava_folder, conversation_rows(), figures, tmp_path,
            epochs=2, on_step=monitor.watch["selected"],
        )  # fmt: skip
    run = run_of(monitor)
    assert (run["step"], run["total"], run["status"]) == (4, 4, "finished")
    assert len(run["losses"]) == 4
