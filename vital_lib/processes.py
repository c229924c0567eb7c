"""Several calls of one function at once, each in a process of its own, such as three tuning runs.

A worker is started once and makes one call after the other; what a call reports on its way arrives
in the caller's thread, and a stop goes the other way. One worker that dies takes only its own call
with it (a `concurrent.futures` pool would give up all of them). Knows nothing of what is called.
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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.reduction import ForkingPickler
from typing import Any

from threadpoolctl import threadpool_limits

OnStep = Callable[..., bool | None]
"""Called with a call's name and what the call reported; False stops that call at its next step."""

Outcome = tuple[Any, Exception | None]
"""Of one call: (result, None) or (None, what it raised)."""

_GRACE_SECONDS = 10.0  # for interrupted calls to keep what they have done


class CallsFailed(RuntimeError):
    """Calls that raised or whose process died.

    Attributes: `errors` (the exception) and `results` (of the calls that went well), by name.
    """

    def __init__(self, errors: Mapping[str, Exception], results: Mapping[str, Any]) -> None:
        told = [f"{name}: {type(error).__name__}: {error}" for name, error in errors.items()]
        count = f"{len(errors)} of {len(errors) + len(results)} calls failed"
        super().__init__("; ".join([count, *told]))
        self.errors, self.results = dict(errors), dict(results)


class WorkerDied(RuntimeError):
    """A process that ended before its call did; the message says how."""


def run_calls(
    function: Callable[..., Any],
    calls: Mapping[str, Mapping[str, Any]],
    *,
    workers: int | None = None,
    on_step: OnStep | Mapping[str, Callable[..., bool | None]] | None = None,
) -> dict[str, Any]:
    """What `function` returns for each of the named `calls`, in their order.

    Args:
        function: a function of a module (not of a notebook or another function), because each
            worker imports it anew. It may start no processes of its own.
        calls: a call's name -> its keyword arguments, which must pickle, as must the result.
        workers: at most so many processes, and no more than there are calls; None means one for
            each core. The cores are shared out among the workers as OpenMP threads. With one
            worker the calls are made here, one after the other.
        on_step: if given, each call gets a keyword argument ``on_step`` of its own. What the call
            passes to it arrives here, in this thread, behind the call's name. Where `on_step`
            returns False, the call's own ``on_step`` does so from one of its next steps on.
            A mapping gives each call, by its name, a function of its own: a progress bar's.

    Raises:
        CallsFailed: after all calls have ended, if any of them raised or lost its process.
        KeyboardInterrupt: the calls were told to stop first, and given ten seconds for it.
        ValueError: fewer than one worker.
        TypeError: a function or an argument that no other process can be given.
    """
    workers = available_cores() if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers={workers}: wanted at least 1")
    workers = min(workers, len(calls))
    if isinstance(on_step, Mapping):
        on_step = partial(_tell_its_own, on_step)
    if workers <= 1:
        outcomes = {name: _call(function, call, name, on_step) for name, call in calls.items()}
    else:
        outcomes = _Team(function, calls, on_step).run(workers)
    errors = {name: error for name in calls if (error := outcomes[name][1]) is not None}
    results = {name: outcomes[name][0] for name in calls if name not in errors}
    if errors:
        raise CallsFailed(errors, results) from next(iter(errors.values()))
    return results


def available_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Worker:
    """One process, this end of the pipe to it, and the name of the call that it makes."""

    def __init__(self, module: str, threads: int) -> None:
        context = _context(module)
        self.connection, theirs = context.Pipe()
        given = theirs, threads, dict(os.environ)
        self.process = context.Process(target=_serve, args=given, daemon=True)
        with _interrupts_held_back():
            self.process.start()
        theirs.close()
        self.name, self._told_to_stop = "", False

    def begin(self, name: str, packed: bytes) -> None:
        self.name, self._told_to_stop = name, False
        with suppress(BrokenPipeError, ConnectionResetError):  # its death is heard of next
            self.connection.send_bytes(packed)

    def stop(self) -> None:
        """Tell the call to stop, once: the pipe holds only so much that is not read."""
        if not self._told_to_stop:
            self._told_to_stop = True
            with suppress(BrokenPipeError, ConnectionResetError):
                self.connection.send(("stop", None))

    def death(self) -> WorkerDied:
        """What to say of a process whose pipe broke."""
        self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return WorkerDied(f"its process ended with exit code {code}")
        name = next((s.name for s in signal.Signals if s == -code), f"signal {-code}")
        hint = ": was there too little memory? Try workers=1" if name == "SIGKILL" else ""
        return WorkerDied(f"its process was killed by {name}{hint}")

    def dismiss(self) -> None:
        """End the process: an idle one by itself, one that still makes its call by force."""
        with suppress(OSError):  # it may have ended already
            self.connection.send(("end", None))
        self.process.join(0 if self.name else 1)
        self.process.terminate()
        self.process.join()
        self.connection.close()


class _Team:
    """The workers of one `run_calls`, the calls that wait, and what came of the others."""

    def __init__(
        self,
        function: Callable[..., Any],
        calls: Mapping[str, Mapping[str, Any]],
        on_step: OnStep | None,
    ) -> None:
        listening = on_step is not None
        packed = [
            (name, _packed(name, (function, call, listening))) for name, call in calls.items()
        ]
        self._waiting, self._on_step = deque(packed), on_step
        self._module = function.__module__
        self._outcomes: dict[str, Outcome] = {}
        self._workers: dict[Connection, _Worker] = {}

    def run(self, workers: int) -> dict[str, Outcome]:
        self._threads = max(1, available_cores() // workers)
        try:
            for _ in range(workers):
                self._begin(None)
            while busy := self._busy():
                for connection in wait(busy):
                    self._hear(self._workers[connection])
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
        """Hand the next call, if there is one, to `worker` or to a new one."""
        if self._waiting:
            worker = worker or _Worker(self._module, self._threads)
            self._workers[worker.connection] = worker
            worker.begin(*self._waiting.popleft())

    def _hear(self, worker: _Worker) -> None:
        """Take one message of a worker: a step, its call's outcome, or its death."""
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
        elif self._on_step(worker.name, *content) is False:
            worker.stop()

    def _interrupt(self) -> None:
        """Stop all calls and wait for them, but not for long; what they still say is not heard."""
        self._waiting.clear()
        self._on_step = _no_more
        end = time.monotonic() + _GRACE_SECONDS
        for connection in self._busy():
            self._workers[connection].stop()
        while (busy := self._busy()) and (left := end - time.monotonic()) > 0:
            for connection in wait(busy, left):
                self._hear(self._workers[connection])


def _context(module: str) -> BaseContext:
    """How workers start: never by a fork of this process, which may have threads and then hang.

    Linux forks them from a server that has one thread and imports `module`, the calls' own, once
    for all of them: torch and transformers take seconds. The first call's module is the server's
    for good; workers whose calls need another import it themselves.
    """
    if sys.platform != "linux":  # on macOS a fork may crash in the system's own libraries
        return get_context("spawn")
    context = get_context("forkserver")
    if module != "__main__":
        context.set_forkserver_preload([module])
    return context


def _serve(connection: Connection, threads: int, environment: Mapping[str, str]) -> None:
    """A worker's life: calls in, steps and outcomes out, until it is told to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is told to stop by whoever was interrupted
    os.environ.clear()  # a forking server has kept what it was started with
    os.environ.update(environment)
    stated = os.environ.get("OMP_NUM_THREADS", "")
    threads = min(threads, int(stated)) if stated.isdigit() else threads
    # Torch and numpy read the variable when they are imported; here they may have been already.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    threadpool_limits(threads)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # nobody is there any more
        while (outcome := _next_outcome(connection)) is not None:
            _send_outcome(connection, outcome)


def _next_outcome(connection: Connection) -> Outcome | None:
    """Wait for a call and make it; None when there are no more."""
    try:
        while (message := connection.recv())[0] == "stop":
            pass  # for a call that had ended meanwhile
    except (EOFError, OSError):
        return None
    # The call's function is imported here, and whatever comes of that is the call's outcome.
    except Exception as error:  # noqa: BLE001
        return None, error
    if message[0] == "end":
        return None
    function, call, listening = message
    return _call(function, call, connection, _tell if listening else None)


def _send_outcome(connection: Connection, outcome: Outcome) -> None:
    result, error = outcome
    if error is not None:
        outcome = (None, _portable(error))
    try:
        connection.send(("outcome", outcome))
    except (pickle.PicklingError, AttributeError, TypeError) as unsent:
        told = TypeError(f"what it returned, a {type(result).__name__}, does not pickle: {unsent}")
        connection.send(("outcome", (None, told)))


def _tell(connection: Connection, *step: Any) -> bool:
    """A call's ``on_step`` in a worker: False where it has been told to stop."""
    connection.send(("step", step))
    # Until the call has ended nothing else is sent: whatever there is, is a stop. It is left there.
    return not connection.poll()


def _tell_its_own(listeners: Mapping[str, Callable[..., Any]], name: str, *step: Any) -> Any:
    return listeners[name](*step)


def _no_more(*_step: Any) -> bool:
    return True


def _call(
    function: Callable[..., Any], call: Mapping[str, Any], name: Any, on_step: Any
) -> Outcome:
    """The outcome of one call, which tells its steps to `on_step` behind `name`."""
    told = {} if on_step is None else {"on_step": partial(on_step, name)}
    try:
        return function(**call, **told), None
    # The other calls go on; the caller gets the error.
    except Exception as error:  # noqa: BLE001
        return None, error


def _packed(name: str, content: Any) -> bytes:
    try:
        return bytes(ForkingPickler.dumps(content))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"call {name!r} cannot be handed to another process: {error}") from error


def _portable(error: Exception) -> Exception:
    """`error` with its traceback as a note; where it does not pickle, an error in its words."""
    trace = "".join(traceback.format_exception(error))
    try:
        error = copy.deepcopy(error)  # takes the way that pickling takes
    # An exception may make anything of being pickled.
    except Exception:  # noqa: BLE001
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(trace)
    return error


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """What is started within gets no interrupt from the keyboard before it can ignore them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
