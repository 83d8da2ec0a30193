"""Histories as steps in time, cut into pieces, and what is to be predicted at each step.

All that a user did at one time is one step: nothing says what of it came first, and none of it may
help to predict the rest.  What is read at step j is the step *before* it (at the first: nothing),
so that the network's output there knows what came before the time of step j, and is asked for what
comes from then on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from makedo.data.interactions import Requests

BEGIN = 0  # token that is read before the first step; item y is token y + 1


class Steps(NamedTuple):
    """What is read: for each history a row of steps, each of several tokens; padded on the right.

    Attributes
    ----------
    tokens : int64 ndarray (n_tokens,)
        Those of all steps, one step after another, row by row.
    begin : int64 ndarray (n · length,)
        Where the tokens of each step begin; steps of the padding have none.
    shape : (n, length)
    """

    tokens: np.ndarray
    begin: np.ndarray
    shape: tuple[int, int]


class Batch(NamedTuple):
    """Pieces of histories with what they are asked for.

    Attributes
    ----------
    steps : Steps
    rows : int64 ndarray (r,)
        Steps that are asked, as positions in the flattened shape: all but the padding.
    targets : int64 ndarray (r, n_draws)
        Items that came from there on.
    """

    steps: Steps
    rows: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Examples:
    """All histories, one after another.

    Parameters
    ----------
    items : int64 ndarray (n_events,)
    first : int64 ndarray (n_steps + 1,)
        Where the events of each step begin.
    until : int64 ndarray (n_steps,)
        Where the events end that a step is asked for.
    opens : bool ndarray (n_steps,)
        The first steps of histories.
    begin, length : int64 ndarray (n_pieces,)
        Steps that are read at once.
    """

    items: np.ndarray
    first: np.ndarray
    until: np.ndarray
    opens: np.ndarray
    begin: np.ndarray
    length: np.ndarray

    @classmethod
    def of(cls, requests: Requests, max_history: int, ahead: float) -> Examples:
        """Cut the histories of requests.

        Parameters
        ----------
        requests : Requests
        max_history : int
            The most steps of a piece.  Each step is asked once; the last piece of a user is full.
        ahead : float
            How many seconds of events are asked for; 0: those of the step alone.
        """
        owner, time, item = _events(requests)
        first, opens = _steps(owner, time)
        until = np.r_[first[1:], len(item)]
        if ahead > 0:
            until = np.maximum(until, _end_of_window(owner, time, first, ahead))
        many = np.bincount(owner[first], minlength=len(requests))
        pieces = _pieces(many, max_history)
        return cls(item, np.r_[first, len(item)], until, opens, *pieces)

    def __len__(self) -> int:
        return len(self.begin)

    def batches(self, rng: np.random.Generator, size: int, n_draws: int) -> Iterator[Batch]:
        """Pieces of about one length together, in a random order; targets drawn anew.

        Parameters
        ----------
        rng : Generator
        size : int
            Pieces of a batch.
        n_draws : int
            Targets that are drawn for each step.
        """
        order = np.lexsort((rng.random(len(self)), self.length))
        for start in rng.permutation(np.arange(0, len(order), size)):
            yield self._batch(order[start : start + size], rng, n_draws)

    def _batch(self, pieces: np.ndarray, rng: np.random.Generator, n_draws: int) -> Batch:
        within = np.arange(self.length[pieces].max())
        inside = within < self.length[pieces, None]  # (n, length)
        step = (self.begin[pieces, None] + within)[inside]  # (r,)
        before = np.where(self.opens[step], step, step - 1)
        steps = _read(self.items, self.first, before, ~self.opens[step], inside)
        room = (self.until[step] - self.first[step])[:, None]
        drawn = (rng.random((len(step), n_draws)) * room).astype(np.int64)
        targets = self.items[self.first[step][:, None] + drawn]
        return Batch(steps, np.flatnonzero(inside), targets)


def last_steps(requests: Requests, n_items: int, max_history: int) -> tuple[Steps, np.ndarray]:
    """What is read before an answer, and the position (n,) of the last step in its flat shape.

    Items that came after the training are left out.
    """
    owner, time, item = _events(requests)
    known = item < n_items
    owner, time, item = owner[known], time[known], item[known]
    first, _ = _steps(owner, time)
    many = np.bincount(owner[first], minlength=len(requests))
    length = np.minimum(many + 1, max_history)  # with the one before the first
    shape = (len(requests), int(length.max(initial=1)))
    back = length[:, None] - 1 - np.arange(shape[1])  # 0 is the last step
    inside = back >= 0
    filled = inside & (back < many[:, None])
    step = np.where(filled, np.cumsum(many)[:, None] - 1 - back, 0)[inside]
    steps = _read(item, np.r_[first, len(item)], step, filled[inside], inside)
    return steps, np.arange(shape[0]) * shape[1] + length - 1


def _events(requests: Requests) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row of the request, time and item of each event of the histories, (n_events,)."""
    indptr, events = requests.history()
    owner = np.repeat(np.arange(len(requests)), np.diff(indptr))
    return owner, requests.log.time[events], requests.log.item[events].astype(np.int64)


def _steps(owner: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each step begins (n_steps,), and whether it is the first of its owner."""
    fresh = np.r_[True, owner[1:] != owner[:-1]][: len(owner)]
    first = np.flatnonzero(fresh | np.r_[True, time[1:] != time[:-1]][: len(owner)])
    return first, fresh[first]


def _end_of_window(
    owner: np.ndarray, time: np.ndarray, first: np.ndarray, ahead: float
) -> np.ndarray:
    """For each step the place (n_steps,) after the last event of its owner in [t, t + ahead)."""
    span = float(np.ptp(time)) + 1 if len(time) else 1.0
    key = owner * (2 * span) + (time - time.min(initial=0))  # owners far apart from each other
    return np.searchsorted(key, key[first] + min(ahead, span))


def _pieces(many: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Begin and length (n_pieces,) of runs of at most ``most`` steps of owners with ``many``."""
    n = -(-many // most)
    owner = np.repeat(np.arange(len(many)), n)
    back = np.arange(len(owner)) - np.repeat(np.cumsum(n) - n, n)  # 0 is the last of its owner
    end = np.cumsum(many)
    stop = end[owner] - back * most
    begin = np.maximum(stop - most, (end - many)[owner])
    return begin, stop - begin


def _read(
    items: np.ndarray,
    first: np.ndarray,
    step: np.ndarray,
    filled: np.ndarray,
    inside: np.ndarray,
) -> Steps:
    """The tokens of steps (r,), or of the beginning where not ``filled``, at places ``inside``."""
    many = np.ones(inside.shape, np.int64) * inside
    many[inside] = np.where(filled, np.diff(first)[step] if len(first) > 1 else 1, 1)
    counts = many[inside]
    own = np.repeat(filled, counts)
    begin = np.cumsum(counts) - counts
    place = np.arange(len(own)) - np.repeat(begin, counts) + np.repeat(first[step], counts)
    tokens = np.full(len(own), BEGIN, np.int64)
    tokens[own] = items[place[own]] + 1
    flat = many.ravel()
    return Steps(tokens, np.cumsum(flat) - flat, inside.shape)
