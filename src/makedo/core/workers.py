"""Work shared out among processes.

Each process makes the items anew, so that only their places and the answers travel: an item may
hold functions and data that cannot be sent.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

# Read when numpy and torch are imported, so that they have to be there when a process starts.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass
class _Answer:
    """What a worker sends back for one place."""

    place: int
    value: Any = None
    error: Exception | None = None
    notes: list[tuple[type[Warning], str]] = field(default_factory=list)


def shared_out(
    items: Callable[[], Iterable[Any]],
    work: Callable[[Any], Any],
    places: Sequence[int],
    n_workers: int,
) -> Generator[tuple[int, Any], None, None]:
    """Do the work on some of the items; give place and answer as each one is finished.

    Close the iterator to end the workers.  They end at once with this process too, however it ends,
    and each has one thread.

    Parameters
    ----------
    items : callable () -> iterable
        Gives the same items in every process.  Both callables must pickle.
    work : callable (item) -> answer
    places : sequence of int, in rising order
        Which items, counted from 0.
    n_workers : int
        The most processes at a time.

    Raises
    ------
    Exception
        What the work raised, after all answers that were there by then; the places in work are
        given up.
    """
    left: deque[int] = deque(places)
    faults: list[Exception] = []
    with _started(min(n_workers, len(left)), items, work) as workers:
        for pipe in workers:
            pipe.send(left.popleft())
        busy: list[Any] = list(workers)
        while busy and (ready := wait(busy, timeout=0 if faults else None)):
            pipe: Any
            for pipe in ready:
                answer = _received(pipe, workers[pipe])
                for kind, text in answer.notes:
                    warnings.warn(text, kind, stacklevel=2)
                if answer.error is None:
                    yield answer.place, answer.value
                else:
                    faults.append(answer.error)
                if left and not faults:
                    pipe.send(left.popleft())
                else:
                    busy.remove(pipe)
    if faults:
        raise faults[0]


def _received(pipe: Any, process: Any) -> _Answer:
    try:
        return pipe.recv()
    except (EOFError, OSError):
        process.join()
        text = f"a worker process died (exit code {process.exitcode}); was there memory enough?"
        return _Answer(-1, error=RuntimeError(text))


@contextmanager
def _started(
    n_workers: int, items: Callable[[], Iterable[Any]], work: Callable[[Any], Any]
) -> Iterator[dict[Any, Any]]:
    """Worker processes by the pipe that leads to each; killed at the end."""
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks
    workers = {}
    try:
        with _inherited():
            for _ in range(n_workers):
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs, items, work))
                process.start()
                theirs.close()  # or the end of the worker would not show at our end
                workers[ours] = process
        yield workers
    finally:
        for process in workers.values():
            process.kill()
        for pipe, process in workers.items():
            process.join()
            pipe.close()


@contextmanager
def _inherited() -> Iterator[None]:
    """What processes started inside inherit: one thread, and deafness to Ctrl-C.

    Ctrl-C goes to all processes of a terminal; this one ends the workers, without their tracebacks.
    """
    before = {name: os.environ.get(name) for name in THREADS}
    listens = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if listens else None
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if listens:
            signal.signal(signal.SIGINT, handler)


# --- in the worker -------------------------------------------------------------------------------


def _serve(
    pipe: Connection, items: Callable[[], Iterable[Any]], work: Callable[[Any], Any]
) -> None:
    """Answer one place after another; the places rise, so that the items are made once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    numbered = _numbered(items)
    while True:
        try:
            place = pipe.recv()
        except EOFError:
            return
        answer = _Answer(place)
        with warnings.catch_warnings(record=True) as raised:
            try:
                answer.value = work(next(item for i, item in numbered if i == place))
            except Exception as error:  # noqa: BLE001  (it is raised in the parent)
                answer.error = _portable(error)
        answer.notes = list(dict.fromkeys((one.category, str(one.message)) for one in raised))
        pipe.send(answer)


def _numbered(items: Callable[[], Iterable[Any]]) -> Iterator[tuple[int, Any]]:
    yield from enumerate(items())  # called at the first place, where an error can be answered


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _portable(error: Exception) -> Exception:
    """The error as it can be sent, with its traceback as a note."""
    note = "In a worker process:\n" + "".join(traceback.format_exception(error))
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  (an exception of any library, with a constructor of its own)
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(note)
    return error
