"""Items are made in the worker processes, so they stand in a module that those can import."""

import os
import signal
import sys
import textwrap
import warnings
from contextlib import closing
from functools import partial
from importlib import import_module

import pytest

from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.core.workers import THREADS, shared_out

WORK = """
import os, signal, warnings
from makedo.core.checks import MakedoInputError, MakedoWarning

MADE = []

def items(n):
    for i in range(n):
        MADE.append(i)
        yield lambda i=i: i * i  # cannot be sent

def broken():
    raise MakedoInputError("there is no table")

def square(item):
    return item()

def look(item):
    return os.getpid(), list(MADE), {name: os.environ.get(name) for name in THREADS}

def threads(item):
    import torch
    return torch.get_num_threads()

def warn(item):
    warnings.warn(f"{item()} is large", MakedoWarning)
    warnings.warn(f"{item()} is large", MakedoWarning)

class Odd(Exception):
    def __init__(self, one, two):  # does not unpickle
        super().__init__(f"{one} and {two}")

def fail(item, error):
    if item() == 4:
        raise {"plain": KeyError("x"), "odd": Odd("this", "that")}[error]
    return item()

def die(item):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    """The module above, where a worker process finds it too."""
    text = f"THREADS = {THREADS!r}\n{WORK}"
    (tmp_path / "work_of_workers.py").write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("work_of_workers")
    del sys.modules["work_of_workers"]


def test_answers_come_with_their_places(work):
    answers = dict(shared_out(partial(work.items, 9), work.square, [1, 2, 5, 8], 2))
    assert answers == {1: 1, 2: 4, 5: 25, 8: 64}


def test_no_work_needs_no_process(work):
    assert list(shared_out(work.broken, work.square, [], 2)) == []


def test_a_worker_makes_the_items_once_and_no_further_than_it_needs(work):
    answers = dict(shared_out(partial(work.items, 9), work.look, [0, 3, 4, 6], 1))
    pids, made, threads = zip(*answers.values(), strict=True)
    assert len(set(pids)) == 1 and os.getpid() not in pids
    assert [seen[-1] for seen in made] == [0, 3, 4, 6] and made[-1] == list(range(7))
    assert threads[0] == dict.fromkeys(THREADS, "1")


def test_the_environment_and_ctrl_c_of_this_process_are_as_before(work, monkeypatch):
    monkeypatch.setenv(THREADS[0], "3")
    monkeypatch.delenv(THREADS[1], raising=False)
    handler = signal.getsignal(signal.SIGINT)
    with closing(shared_out(partial(work.items, 2), work.look, [0, 1], 2)) as answers:
        assert next(answers)[1][2] == dict.fromkeys(THREADS, "1")
        assert os.environ[THREADS[0]] == "3" and THREADS[1] not in os.environ
        assert signal.getsignal(signal.SIGINT) is handler


def test_torch_has_one_thread_in_a_worker(work, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert dict(shared_out(partial(work.items, 1), work.threads, [0], 2)) == {0: 1}


def test_warnings_of_a_worker_are_given_here(work):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        list(shared_out(partial(work.items, 3), work.warn, [1, 2], 1))
    assert [str(one.message) for one in seen] == ["1 is large", "4 is large"]
    assert {one.category for one in seen} == {MakedoWarning}


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [("plain", KeyError, "'x'"), ("odd", RuntimeError, "Odd: this and that")],
)
def test_a_fault_is_raised_here_after_the_answers_that_are_there(work, error, kind, message):
    answers = shared_out(partial(work.items, 9), partial(work.fail, error=error), [0, 1, 2, 5], 1)
    assert [next(answers), next(answers)] == [(0, 0), (1, 1)]
    with pytest.raises(kind, match=message) as raised:
        next(answers)
    assert "in fail" in raised.value.__notes__[0]  # the line in the worker


def test_items_that_cannot_be_made_are_an_error_here(work):
    with pytest.raises(MakedoInputError, match="there is no table"):
        list(shared_out(work.broken, work.square, [0], 1))


def test_a_worker_that_dies_is_a_fault_with_its_exit_code(work):
    with pytest.raises(RuntimeError, match=r"exit code -9"):
        list(shared_out(partial(work.items, 2), work.die, [0, 1], 2))
