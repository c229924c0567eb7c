"""Run calls of one function in parallel processes, for example three tuning runs.

Each worker process makes one call after another. Progress reports arrive in the caller's thread,
and the caller can stop a call. If a worker dies, only its own call fails; a `concurrent.futures`
pool would fail all calls. This module does not depend on the function it calls.
"""

from __future__ import annotations

import copy
import os
import pickle
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.reduction import ForkingPickler
from typing import Any

from threadpoolctl import threadpool_limits

from vital_lib.stopping import Stopped

OnStep = Callable[..., bool | None]
"""Called with a call's name and its report; returning False stops that call at its next step."""

Outcome = tuple[Any, Exception | None]
"""The outcome of one call: (result, None) or (None, exception)."""

_GRACE_SECONDS = 10.0  # for interrupted calls to save their work


class CallsFailed(RuntimeError):
    """Some calls raised an exception or lost their process.

    Attributes:
        errors: the exception of each failed call, by name.
        results: the result of each successful call, by name.
    """

    def __init__(self, errors: Mapping[str, Exception], results: Mapping[str, Any]) -> None:
        told: dict[str, list[str]] = {}  # calls that fail for one reason state it once
        for name, error in errors.items():
            told.setdefault(f"{type(error).__name__}: {error}", []).append(name)
        texts = [f"{', '.join(names)}: {text}" for text, names in told.items()]
        count = f"{len(errors)} of {len(errors) + len(results)} calls failed"
        super().__init__("; ".join([count, *texts]))
        self.errors, self.results = dict(errors), dict(results)


class WorkerDied(RuntimeError):
    """A worker process ended before its call; the message says how."""


def run_calls(
    function: Callable[..., Any],
    calls: Mapping[str, Mapping[str, Any]],
    *,
    workers: int | None = None,
    on_step: OnStep | Mapping[str, Callable[..., bool | None]] | None = None,
    go_on: str = "Run the cell again to repeat all calls",
) -> dict[str, Any]:
    """Call `function` for each of the named `calls` and return the results, in order.

    Args:
        function: a module-level function, since each worker imports it; not one defined in a
            notebook or inside another function. It must not start processes itself.
        calls: the keyword arguments of each call, by name. Arguments and results must pickle.
        workers: maximum number of processes, limited to the number of calls; None means one per
            core. The cores are divided among the workers as OpenMP threads. With one worker, the
            calls run in this process, one after another.
        on_step: if given, each call gets a keyword argument ``on_step`` to report its steps. Each
            report is passed to `on_step` in this thread, after the call's name. If `on_step`
            returns False, the call's ``on_step`` returns False at a later step. A mapping has a
            function for each call name, such as a progress bar's, which gets the report alone.
        go_on: how to go on after an interrupt, for the message.

    Raises:
        CallsFailed: a call raised or lost its process; raised after all calls have ended.
        Stopped: on an interrupt, after the calls were stopped and given ten seconds to end; the
            message has the names of the calls that ended, and `go_on`.
        ValueError: `workers` is below 1.
        TypeError: the function or an argument does not pickle.
    """
    workers = available_cores() if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers={workers}: give 1 or more, or None")
    workers = min(workers, len(calls))
    if isinstance(on_step, Mapping):
        on_step = partial(_call_listener, on_step)
    if workers <= 1:
        outcomes = _one_by_one(function, calls, on_step, go_on)
    else:
        outcomes = _Team(function, calls, on_step, go_on).run(workers)
    errors = {name: error for name in calls if (error := outcomes[name][1]) is not None}
    results = {name: outcomes[name][0] for name in calls if name not in errors}
    if errors:
        raise CallsFailed(errors, results) from next(iter(errors.values()))
    return results


def available_cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Worker:
    """A worker process, this end of its pipe, and the name of its current call."""

    def __init__(self, module: str, threads: int) -> None:
        context = _context(module)
        self.connection, remote = context.Pipe()
        arguments = remote, threads, dict(os.environ)
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        with _sigint_blocked():
            self.process.start()
        remote.close()
        self.name, self._stop_sent = "", False

    def begin(self, name: str, packed: bytes) -> None:
        self.name, self._stop_sent = name, False
        with suppress(BrokenPipeError, ConnectionResetError):  # the next receive reports the death
            self.connection.send_bytes(packed)

    def stop(self) -> None:
        """Tell the call to stop, only once: unread messages would fill the pipe."""
        if not self._stop_sent:
            self._stop_sent = True
            with suppress(BrokenPipeError, ConnectionResetError):
                self.connection.send(("stop", None))

    def death(self) -> WorkerDied:
        """Return the error for a process whose pipe broke."""
        self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return WorkerDied(f"its process ended with exit code {code}")
        name = next((s.name for s in signal.Signals if s == -code), f"signal {-code}")
        hint = ": was there too little memory? Try workers=1" if name == "SIGKILL" else ""
        return WorkerDied(f"its process was killed by {name}{hint}")

    def dismiss(self) -> None:
        """End the process: let an idle process exit, terminate a busy one."""
        with suppress(OSError):  # it may have ended already
            self.connection.send(("end", None))
        self.process.join(0 if self.name else 1)
        self.process.terminate()
        self.process.join()
        self.connection.close()


class _Team:
    """The workers, waiting calls and outcomes of one `run_calls`."""

    def __init__(
        self,
        function: Callable[..., Any],
        calls: Mapping[str, Mapping[str, Any]],
        on_step: OnStep | None,
        go_on: str,
    ) -> None:
        listening = on_step is not None
        packed = [
            (name, _packed(name, (function, call, listening))) for name, call in calls.items()
        ]
        self._waiting, self._on_step, self._go_on = deque(packed), on_step, go_on
        self._module = function.__module__
        self._outcomes: dict[str, Outcome] = {}
        self._workers: dict[Any, _Worker] = {}  # by this end of the worker's pipe

    def run(self, workers: int) -> dict[str, Outcome]:
        self._threads = max(1, available_cores() // workers)
        try:
            for _ in range(workers):
                self._begin(None)
            while busy := self._busy():
                for connection in wait(busy):
                    self._receive(self._workers[connection])
        except KeyboardInterrupt:
            stopped = _stopped(self._outcomes, self._go_on)
            self._interrupt()
            raise stopped from None
        except BaseException:
            self._interrupt()
            raise
        finally:
            for worker in self._workers.values():
                worker.dismiss()
        return self._outcomes

    def _busy(self) -> list[Connection]:
        return [connection for connection, worker in self._workers.items() if worker.name]

    def _begin(self, worker: _Worker | None) -> None:
        """Give the next waiting call, if any, to `worker` or to a new worker."""
        if self._waiting:
            worker = worker or _Worker(self._module, self._threads)
            self._workers[worker.connection] = worker
            worker.begin(*self._waiting.popleft())

    def _receive(self, worker: _Worker) -> None:
        """Handle one message of a worker: a step, the call's outcome, or its death."""
        try:
            kind, content = worker.connection.recv()
        except (EOFError, OSError):
            self._outcomes[worker.name] = (None, worker.death())
            del self._workers[worker.connection]
            worker.connection.close()
            self._begin(None)
            return
        if kind == "outcome":
            self._outcomes[worker.name], worker.name = content, ""
            self._begin(worker)
        elif self._on_step and self._on_step(worker.name, *content) is False:
            worker.stop()

    def _interrupt(self) -> None:
        """Stop all calls and wait a limited time for them to end; ignore their reports."""
        self._waiting.clear()
        self._on_step = _ignore
        end = time.monotonic() + _GRACE_SECONDS
        for connection in self._busy():
            self._workers[connection].stop()
        while (busy := self._busy()) and (left := end - time.monotonic()) > 0:
            for connection in wait(busy, left):
                self._receive(self._workers[connection])


def _context(module: str) -> SpawnContext | ForkServerContext:
    """Return the start method; a fork of this process could hang because it may have threads.

    On Linux, workers are forked from a single-threaded server that has imported `module` once,
    since importing torch and transformers takes seconds. The server keeps the first module it was
    given; workers that need another module import it themselves.
    """
    if sys.platform != "linux":  # on macOS a fork may crash in system libraries
        return get_context("spawn")
    context = get_context("forkserver")
    if module != "__main__":
        context.set_forkserver_preload([module])
    return context


def _serve(connection: Connection, threads: int, environment: Mapping[str, str]) -> None:
    """Run a worker: receive calls and send steps and outcomes, until told to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the interrupted caller stops the worker
    os.environ.clear()  # the fork server still has its own start environment
    os.environ.update(environment)
    stated = os.environ.get("OMP_NUM_THREADS", "")
    threads = min(threads, int(stated)) if stated.isdigit() else threads
    # Torch and numpy read the variable at import, which may have happened already.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    threadpool_limits(threads)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the caller has gone
        while (outcome := _next_outcome(connection)) is not None:
            _send_outcome(connection, outcome)


def _next_outcome(connection: Connection) -> Outcome | None:
    """Wait for a call, make it and return its outcome; None when there are no more calls."""
    try:
        while (message := connection.recv())[0] == "stop":
            pass  # meant for a call that has already ended
    except (EOFError, OSError):
        return None
    # Unpickling imports the call's function, and an import error is the call's outcome.
    except Exception as error:  # noqa: BLE001
        return None, error
    if message[0] == "end":
        return None
    function, call, listening = message
    return _call(function, call, connection, _send_step if listening else None)


def _send_outcome(connection: Connection, outcome: Outcome) -> None:
    result, error = outcome
    if error is not None:
        outcome = (None, _portable(error))
    try:
        connection.send(("outcome", outcome))
    except (pickle.PicklingError, AttributeError, TypeError) as unsent:
        fault = TypeError(f"what it returned, a {type(result).__name__}, does not pickle: {unsent}")
        connection.send(("outcome", (None, fault)))


def _send_step(connection: Connection, *step: Any) -> bool:
    """Report a step from a worker; return False if the call must stop."""
    connection.send(("step", step))
    # During a call the only incoming message is a stop. It stays in the pipe for the next step.
    return not connection.poll()


def _one_by_one(
    function: Callable[..., Any],
    calls: Mapping[str, Mapping[str, Any]],
    on_step: OnStep | None,
    go_on: str,
) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    try:
        for name, call in calls.items():
            outcomes[name] = _call(function, call, name, on_step)
    except KeyboardInterrupt:
        raise _stopped(outcomes, go_on) from None
    return outcomes


def _stopped(outcomes: Mapping[str, Outcome], go_on: str) -> Stopped:
    ended = ", ".join(name for name, (_, error) in outcomes.items() if error is None)
    return Stopped(f"ended before: {ended or 'none'}. {go_on}")


def _call_listener(listeners: Mapping[str, Callable[..., Any]], name: str, *step: Any) -> Any:
    return listeners[name](*step)


def _ignore(*_step: Any) -> bool:
    return True


def _call(
    function: Callable[..., Any], call: Mapping[str, Any], name: Any, on_step: Any
) -> Outcome:
    """Make one call and return its outcome; its steps go to `on_step`, after `name`."""
    listener = {} if on_step is None else {"on_step": partial(on_step, name)}
    try:
        return function(**call, **listener), None
    # The other calls continue; `run_calls` reports the error.
    except Exception as error:  # noqa: BLE001
        return None, error


def _packed(name: str, content: Any) -> bytes:
    try:
        return bytes(ForkingPickler.dumps(content))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"call {name!r} cannot be handed to another process: {error}") from error


def _portable(error: Exception) -> Exception:
    """Return `error` with its traceback as a note; or a RuntimeError with its message."""
    trace = "".join(traceback.format_exception(error))
    try:
        error = copy.deepcopy(error)  # fails like pickling
    # An exception class may raise any error when it is copied.
    except Exception:  # noqa: BLE001
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(trace)
    return error


@contextmanager
def _sigint_blocked() -> Generator[None]:
    """Block SIGINT while a process starts, until the process can ignore it itself."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
