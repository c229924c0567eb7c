"""Claims about working ahead on a stream: order, few items at a time, and errors in their place."""

from __future__ import annotations

import threading

import pytest

from vital_lib.figures import ahead as module
from vital_lib.figures.ahead import ahead


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setattr(module, "available_cores", lambda: 2)


def test_outcomes_come_in_order_and_two_threads_work_at_a_time():
    together = threading.Barrier(2)

    def work(item: int) -> int:
        together.wait(timeout=20)  # passes only if another thread is at work
        return item * 10

    found = [(item, outcome.result()) for item, outcome in ahead(range(40), work)]
    assert found == [(item, item * 10) for item in range(40)]


def test_only_some_items_are_taken_before_the_first_is_used():
    taken = []

    def items():
        for item in range(1000):
            taken.append(item)
            yield item

    stream = ahead(items(), str)
    assert next(stream)[1].result() == "0" and len(taken) == 16
    stream.close()
    assert len(taken) == 16


def test_an_error_of_the_work_is_in_its_outcome_and_stops_nothing():
    outcomes = [outcome for _, outcome in ahead([1, 0, 2], lambda item: 6 / item)]
    assert [outcomes[0].result(), outcomes[2].result()] == [6.0, 3.0]
    with pytest.raises(ZeroDivisionError):
        outcomes[1].result()


def test_an_error_of_the_stream_is_raised():
    def items():
        yield 1
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(ahead(items(), str))
