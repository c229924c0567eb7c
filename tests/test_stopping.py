"""Claims about stopping a cell: the stop button of a notebook is answered in one line."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel
from waiting import until

from vital_lib.stopping import Stopped, stoppable

# A module that worker processes can import. A call has begun once the file is there.
SLOWLY = """
import time
from pathlib import Path

def wait(*_, **__):
    Path(__file__).with_name("begun").touch()
    time.sleep(60)

def at_once():
    return 1
"""
CELLS = {
    "encoding": (
        "encoders.load_encoder().texts(['a nodule'], on_encoded=slowly.wait)",
        "Stopped: the batches done are in the cache. Run the cell again to go on",
    ),
    "calls in processes": (
        "processes.run_calls(slowly.wait, {'selected': {}, 'random': {}}, workers=2)",
        "Stopped: ended before: none. Run the cell again to repeat all calls",
    ),
    "calls one by one": (
        "processes.run_calls(slowly.wait, {'selected': {}}, workers=1)",
        "Stopped: ended before: none. Run the cell again to repeat all calls",
    ),
    "calls that go on": (
        "processes.run_calls(slowly.wait, {'a': {}}, workers=1, go_on='Nothing is lost')",
        "Stopped: ended before: none. Nothing is lost",
    ),
    "waiting for a job": (
        "client.Job(slowly.wait, total=1).start().result()",
        "Stopped: only the wait was interrupted; the work goes on",
    ),
    "awaiting a job": (
        "await client.Job(slowly.wait, total=1).start()",
        "WaitCancelled: only the wait was interrupted; the work goes on",
    ),
}


def test_an_interrupt_in_a_block_says_how_to_go_on_and_an_inner_one_keeps_its_words():
    with pytest.raises(Stopped, match="^inner$"), stoppable("outer"), stoppable("inner"):
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match="a fault"), stoppable("outer"):
        raise ValueError("a fault")


def test_a_block_inside_a_generator_answers_a_stop_there_and_lets_it_close():
    def steps() -> Iterator[int]:
        with stoppable("one step is kept"):
            yield 1
            raise KeyboardInterrupt

    with pytest.raises(Stopped, match="^one step is kept$"):
        list(steps())
    begun = steps()
    assert next(begun) == 1
    begun.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cells")
    (folder / "slowly.py").write_text(SLOWLY)
    return folder


@pytest.fixture(scope="module")
def kernel(folder) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    manager, client = start_new_kernel(cwd=str(folder))
    client.execute_interactive("import slowly\nfrom vital_lib import client, encoders, processes")
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "told"), CELLS.values(), ids=CELLS)
def test_a_stopped_cell_shows_one_line_that_says_what_is_kept(folder, kernel, cell, told):
    manager, client = kernel
    begun = folder / "begun"
    begun.unlink(missing_ok=True)
    asked = client.execute(cell)
    until(begun.exists, 60, "the call began")
    manager.interrupt_kernel()
    errors = [
        message["content"]
        for message in _messages_until_idle(client, asked)
        if message["msg_type"] == "error"
    ]
    assert len(errors) == 1
    [line] = errors[0]["traceback"]
    assert line.startswith(told) and "\n" not in line


def _messages_until_idle(client: BlockingKernelClient, asked: str) -> Iterator[dict]:
    while True:
        try:
            message = client.get_iopub_msg(timeout=60)
        except queue.Empty:
            raise AssertionError("the cell did not end within 60 s") from None
        if message["parent_header"].get("msg_id") != asked:
            continue
        if message["content"].get("execution_state") == "idle":
            return
        yield message
