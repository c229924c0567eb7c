"""Claims about calls made in processes of their own; the processes are real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info

from vital_lib.processes import CallsFailed, WorkerDied, available_cores, run_calls


# What the workers call; they import this module by its name.
def _square(number):
    return number * number


def _who_am_i(wait_for=None, leave=None):
    """The process's id; where two files are named, both must be there before either returns."""
    if leave is not None:
        Path(leave).touch()
        while not Path(wait_for).exists():
            time.sleep(0.01)
    return os.getpid()


def _count_up(to, on_step):
    for step in range(1, to + 1):
        if on_step(step, to, 1 / step) is False:
            return step
    return to


def _count_until_stopped(on_step, slowly=0.01, kept=None):
    steps = 1
    while on_step(steps) is not False:
        steps += 1
        time.sleep(slowly)
    if kept is not None:
        Path(kept).write_text(str(steps))
    return steps


def _divide(by):
    return 1 // by


def _end_yourself(how):
    if how:
        os.kill(os.getpid(), how)
    return "alive"


def _refuse(count):
    raise _Awkward(count, "files")


def _unpicklable():
    return threading.Lock()


def _threads():
    return os.environ["OMP_NUM_THREADS"]


def _word():
    return os.environ["VITAL_TEST_WORD"]


def _threads_taken():
    """Of libraries that were imported before the worker knew its share."""
    import numpy  # noqa: F401
    import torch

    return max([torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info())])


class _Awkward(Exception):
    """Pickles, but cannot be made again from what it pickles to."""

    def __init__(self, count, what):
        super().__init__(f"{count} {what}")


@pytest.fixture(params=[1, 2])
def workers(request):
    return request.param


def test_results_come_in_the_order_of_the_calls(workers):
    calls = {name: {"number": number} for name, number in [("b", 3), ("a", 2), ("c", 1)]}
    assert list(run_calls(_square, calls, workers=workers).items()) == [
        ("b", 9),
        ("a", 4),
        ("c", 1),
    ]


def test_two_workers_are_two_other_processes_that_work_at_once(tmp_path):
    files = [tmp_path / "one", tmp_path / "two"]
    calls = {
        "one": {"leave": files[0], "wait_for": files[1]},
        "two": {"leave": files[1], "wait_for": files[0]},
    }
    ids = run_calls(_who_am_i, calls, workers=2)
    assert len({*ids.values(), os.getpid()}) == 3


def test_one_worker_is_this_process_and_more_calls_than_workers_share_them():
    assert run_calls(_who_am_i, {"a": {}, "b": {}}, workers=1) == {
        "a": os.getpid(),
        "b": os.getpid(),
    }
    assert run_calls(_who_am_i, {"a": {}}, workers=2) == {"a": os.getpid()}
    ids = run_calls(_who_am_i, dict.fromkeys("abcde", {}), workers=2)
    assert len(set(ids.values())) <= 2


def test_steps_arrive_in_the_callers_thread_behind_the_calls_name(workers):
    heard = []
    run_calls(
        _count_up, {"a": {"to": 2}, "b": {"to": 3}}, workers=workers,
        on_step=lambda *step: heard.append((threading.get_ident(), *step)),
    )  # fmt: skip
    assert {thread for thread, *_ in heard} == {threading.get_ident()}
    assert [step for _, name, *step in heard if name == "a"] == [[1, 2, 1.0], [2, 2, 0.5]]
    assert [step for _, name, step, *_ in heard if name == "b"] == [1, 2, 3]


def test_each_call_may_have_a_listener_of_its_own(workers):
    heard = {"a": [], "b": []}
    listeners = {name: lambda *step, to=steps: to.append(step) for name, steps in heard.items()}
    run_calls(_count_up, {"a": {"to": 1}, "b": {"to": 2}}, workers=workers, on_step=listeners)
    assert heard == {"a": [(1, 1, 1.0)], "b": [(1, 2, 1.0), (2, 2, 0.5)]}


def test_a_stop_reaches_its_own_call_and_no_other(workers):
    heard = {"long": 0, "short": 0}

    def on_step(name, step, *_):
        heard[name] = step
        return not (name == "long" and step >= 5)

    steps = run_calls(
        _count_up, {"long": {"to": 10**9}, "short": {"to": 50}}, workers=workers, on_step=on_step
    )
    assert 5 <= steps["long"] < 10**9
    assert steps["short"] == 50


def test_a_stopped_worker_makes_the_next_call_whole():
    steps = run_calls(
        _count_up, {"a": {"to": 10**9}, "b": {"to": 10**9}, "c": {"to": 60}, "d": {"to": 60}},
        workers=2, on_step=lambda name, *_: name not in "ab",
    )  # fmt: skip
    assert (steps["c"], steps["d"]) == (60, 60)


def test_an_error_names_its_call_and_loses_no_other_result(workers):
    with pytest.raises(CallsFailed, match="1 of 3 calls failed; bad: ZeroDivisionError") as failed:
        run_calls(_divide, {"a": {"by": 1}, "bad": {"by": 0}, "c": {"by": 2}}, workers=workers)
    assert failed.value.results == {"a": 1, "c": 0}
    assert isinstance(failed.value.errors["bad"], ZeroDivisionError)
    assert isinstance(failed.value.__cause__, ZeroDivisionError)


def test_calls_that_fail_for_one_reason_state_it_once(workers):
    calls = {"a": {"by": 0}, "b": {"by": 1}, "c": {"by": 0}}
    with pytest.raises(CallsFailed, match=r"2 of 3 calls failed; a, c: ZeroDivision") as failed:
        run_calls(_divide, calls, workers=workers)
    assert str(failed.value).count("ZeroDivisionError") == 1 and set(failed.value.errors) == {*"ac"}


def test_a_workers_error_tells_where_it_was_raised():
    with pytest.raises(CallsFailed) as failed:
        run_calls(_divide, {"bad": {"by": 0}, "good": {"by": 1}}, workers=2)
    assert "in _divide" in failed.value.errors["bad"].__notes__[0]


def test_a_killed_worker_fails_its_own_call_and_the_others_go_on():
    calls = {"killed": {"how": signal.SIGKILL}, "b": {"how": 0}, "c": {"how": 0}, "d": {"how": 0}}
    with pytest.raises(CallsFailed, match="killed by SIGKILL.*memory.*workers=1") as failed:
        run_calls(_end_yourself, calls, workers=2)
    assert failed.value.results == {"b": "alive", "c": "alive", "d": "alive"}
    assert isinstance(failed.value.errors["killed"], WorkerDied)


def test_what_does_not_pickle_is_told():
    two = {"a": {"count": 1}, "b": {"count": 2}}
    with pytest.raises(TypeError, match="call 'a' cannot be handed to another process"):
        run_calls(lambda count: count, two, workers=2)
    with pytest.raises(CallsFailed, match="_Awkward: 1 files; b: RuntimeError: _Awkward: 2 files"):
        run_calls(_refuse, two, workers=2)
    with pytest.raises(CallsFailed, match="what it returned, a lock, does not pickle"):
        run_calls(_unpicklable, {"a": {}, "b": {}}, workers=2)


def test_an_interrupt_stops_the_calls_and_they_keep_their_work(tmp_path):
    def interrupt_at_last(name, step):
        started.add(name)
        if len(started) == 2:
            raise KeyboardInterrupt

    started: set[str] = set()
    calls = {name: {"kept": tmp_path / name} for name in ("a", "b")}
    with pytest.raises(KeyboardInterrupt):
        run_calls(_count_until_stopped, calls, workers=2, on_step=interrupt_at_last)
    assert all((tmp_path / name).read_text() for name in ("a", "b"))


_INTERRUPTED = """
import sys
from test_processes import _count_until_stopped
from vital_lib.processes import run_calls
started = set()
def on_step(name, step):
    if name not in started:
        started.add(name)
        print(name, flush=True)
if __name__ == "__main__":
    calls = {name: {"kept": sys.argv[1] + "/" + name} for name in ("a", "b")}
    try:
        run_calls(_count_until_stopped, calls, workers=2, on_step=on_step)
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_an_interrupt_from_the_keyboard_is_the_callers_and_not_the_workers(tmp_path):
    """A terminal, and Jupyter, send it to all processes of the group at once."""
    script = tmp_path / "script.py"
    script.write_text(_INTERRUPTED)
    with subprocess.Popen(
        [sys.executable, script, tmp_path], start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    ) as process:  # fmt: skip
        for _ in range(2):
            process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (out, err) == ("interrupted\n", "")
    assert all((tmp_path / name).read_text() for name in ("a", "b"))


def test_cores_are_shared_out_as_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    share = str(max(1, available_cores() // 2))
    assert run_calls(_threads, {"a": {}, "b": {}}, workers=2) == {"a": share, "b": share}
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert run_calls(_threads, {"a": {}, "b": {}}, workers=2) == {"a": "1", "b": "1"}


def test_libraries_take_no_more_threads_than_their_share(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    share = max(1, available_cores() // 2)
    assert run_calls(_threads_taken, {"a": {}, "b": {}}, workers=2) == {"a": share, "b": share}


def test_what_the_environment_says_now_reaches_a_worker(monkeypatch):
    for token in ("first", "second"):
        monkeypatch.setenv("VITAL_TEST_WORD", token)
        assert set(run_calls(_word, {"a": {}, "b": {}}, workers=2).values()) == {token}


def test_no_calls_are_no_results_and_no_workers_are_an_error():
    assert run_calls(_square, {}) == {}
    with pytest.raises(ValueError, match="workers=0"):
        run_calls(_square, {"a": {"number": 1}}, workers=0)
