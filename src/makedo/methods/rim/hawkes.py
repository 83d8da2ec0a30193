"""Sums of decaying exponentials over the events of a user: the features of every Hawkes model.

With decays d_j, the first event of a user at t_1 and the others at t_2, t_3, …, the intensity is

    λ(t) = μ + Σ_j a_j d_j R_j(t) + Σ_j c_j d_j E_j(t),
    R_j(t) = Σ_{i ≥ 2, t_i < t} exp(−d_j (t − t_i)),   E_j(t) = exp(−d_j (t − t_1)),

so it is linear in θ = (a, c, μ) with the features φ = (d_j R_j, d_j E_j, 1).  Three forms of the
same sums: :func:`activity` at requests, from the log; :class:`Live`, which keeps them for all users
and takes new events in O(J) each; :func:`pieces`, between all the events, for the two objectives.

**Ties.**  λ(t_i) sees what came strictly before t_i, so sums run over *distinct* times: the state
is carried to a time, read, and only then are all the events of that time added.  The objectives are
taken over (t_1, T]; what happened together with the first event excites, but is not explained.

Times are in units of the horizon wherever decays are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize, nnls

from makedo.core.checks import MakedoInputError
from makedo.data.interactions import NOBODY, Requests

BLOCK = 1 << 22  # numbers that are worked on at once
NEVER = np.iinfo(np.int64).max  # when a user without events had the first one


@dataclass(frozen=True)
class Activity:
    """What the sums say at each of n requests.

    Parameters
    ----------
    count : int64 ndarray (n,)
        Events of the history.
    excited : ndarray (n, J)
        R_j: over the events after the first.
    started : ndarray (n, J)
        E_j: of the first event.
    """

    count: np.ndarray
    excited: np.ndarray
    started: np.ndarray

    def features(self, decays: np.ndarray) -> np.ndarray:
        """φ, (n, 2J + 1)."""
        constant = np.ones((len(self.count), 1))
        return np.hstack([decays * self.excited, decays * self.started, constant])


def activity(requests: Requests, decays: np.ndarray, horizon: float) -> Activity:
    """The sums over each history, at the time of the request.

    Parameters
    ----------
    requests : Requests
    decays : ndarray (J,), per horizon
    horizon : float, in seconds
    """
    n, J = len(requests), len(decays)
    excited, started = np.zeros((n, J)), np.zeros((n, J))
    some = np.flatnonzero(requests.lengths)
    first = requests.begin[some]
    age = (requests.time[some] - requests.log.time[first]) / horizon
    started[some] = np.exp(-age[:, None] * decays)
    for rows in _blocks(requests.lengths, BLOCK // max(J, 1)):
        part = requests.take(rows)
        indptr, events = part.history()
        age = (np.repeat(part.time, np.diff(indptr)) - part.log.time[events]) / horizon
        weights = np.exp(-age[:, None] * decays)  # (events, J)
        weights[indptr[:-1][np.diff(indptr) > 0]] = 0.0  # the first of each is no excitation
        excited[rows] = _sum_by(weights, indptr)
    return Activity(requests.lengths, excited, started)


def _blocks(lengths: np.ndarray, most: int) -> Iterator[slice]:
    """Runs of rows whose lengths sum to ``most`` at the most, or of one row."""
    ends, begin = np.cumsum(lengths), 0
    while begin < len(lengths):
        before = ends[begin - 1] if begin else 0
        stop = max(int(np.searchsorted(ends, before + most, side="right")), begin + 1)
        yield slice(begin, stop)
        begin = stop


def _sum_by(rows: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    """Sums of consecutive rows, (n, J); zero where there are none."""
    sums = np.zeros((len(indptr) - 1, rows.shape[1]))
    filled = np.diff(indptr) > 0
    if filled.any():
        sums[filled] = np.add.reduceat(rows, indptr[:-1][filled], axis=0)
    return sums


# --- kept up to date ------------------------------------------------------------------------------


class Live:
    """The sums of all users as of their last event; O(J) for each new event.

    Events may come late, in any order and at equal times: sums are additive, so the result is that
    of the whole log.  An event before the first one of its user becomes the first, and the old
    first one moves to the others.

    Parameters
    ----------
    decays : ndarray (J,), per horizon
    horizon : float, in seconds
    n_users : int

    Attributes
    ----------
    count : int64 ndarray (n_users,)
    first, last : int64 ndarray (n_users,), Unix seconds
    sums : ndarray (n_users, J)
        R_j at ``last``, its events included.
    """

    def __init__(self, decays: np.ndarray, horizon: float, n_users: int = 0):
        self.decays, self.horizon = np.asarray(decays, float), float(horizon)
        self.count = np.zeros(n_users, np.int64)
        self.first, self.last = np.full(n_users, NEVER), np.full(n_users, -NEVER)
        self.sums = np.zeros((n_users, len(self.decays)))

    def __len__(self) -> int:
        return len(self.count)

    def add(self, user: np.ndarray, time: np.ndarray) -> Live:
        """Take in events: positions (n,) of users, new ones included, and Unix seconds (n,)."""
        if not len(user):
            return self
        self.grow(int(user.max()) + 1)
        order = np.lexsort((time, user))
        user, time = np.asarray(user)[order], np.asarray(time, np.int64)[order]
        begin = np.flatnonzero(np.r_[True, user[1:] != user[:-1]])
        who = user[begin]  # each user once
        stop = np.r_[begin[1:], len(user)]
        earliest, old = time[begin], self.first[who]
        last = np.maximum(self.last[who], time[stop - 1])

        self.sums[who] *= self._decay(last - np.where(self.count[who] > 0, self.last[who], last))
        weights = self._decay(np.repeat(last, stop - begin) - time)  # (n, J)
        weights[begin[earliest < old]] = 0.0  # the new first events
        self.sums[who] += np.add.reduceat(weights, begin, axis=0)
        moved = (earliest < old) & (old < NEVER)
        self.sums[who[moved]] += self._decay(last[moved] - old[moved])

        self.first[who], self.last[who] = np.minimum(old, earliest), last
        self.count[who] += stop - begin
        return self

    def knows(self, T: np.ndarray, user: np.ndarray) -> bool:
        """Whether no event lies at or after the times that are asked for."""
        known = user != NOBODY
        return bool((T[known] > self.last[user[known]]).all())

    def at(self, T: np.ndarray, user: np.ndarray) -> Activity:
        """The sums at times (n,) after the last event of each user (n,)."""
        n, J = len(user), len(self.decays)
        count, excited, started = np.zeros(n, np.int64), np.zeros((n, J)), np.zeros((n, J))
        some = np.flatnonzero((user != NOBODY) & (self.count[np.maximum(user, 0)] > 0))
        who = user[some]
        count[some] = self.count[who]
        excited[some] = self.sums[who] * self._decay(T[some] - self.last[who])
        started[some] = self._decay(T[some] - self.first[who])
        return Activity(count, excited, started)

    def _decay(self, seconds: np.ndarray) -> np.ndarray:
        """exp(−d_j t), (n, J)."""
        return np.exp(-(seconds / self.horizon)[:, None] * self.decays)

    def grow(self, n_users: int) -> None:
        """Have room for so many users, the new ones without events."""
        more = n_users - len(self)
        if more > 0:
            self.count = np.r_[self.count, np.zeros(more, np.int64)]
            self.first = np.r_[self.first, np.full(more, NEVER)]
            self.last = np.r_[self.last, np.full(more, -NEVER)]
            self.sums = np.vstack([self.sums, np.zeros((more, len(self.decays)))])

    def to_state(self) -> dict[str, Any]:
        """Arrays for a model directory."""
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Live:
        """The inverse of :meth:`to_state`."""
        live = cls(state["decays"], state["horizon"])
        live.count, live.first, live.last = state["count"], state["first"], state["last"]
        live.sums = state["sums"]
        n = len(live.count)
        if not (
            len(live.first) == len(live.last) == n and live.sums.shape == (n, len(live.decays))
        ):
            raise ValueError("the sums of users have wrong sizes")
        return live


# --- the two objectives ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Pieces:
    """Stretches between events, in which all sums only decay.

    Parameters
    ----------
    after, before : ndarray (n, 2J)
        (R, E) just after the event that opens the stretch, and just before its end.
    events : ndarray (n,)
        Events at its end; 0 where the cut-off ends it.
    length : ndarray (n,), in horizons
    """

    after: np.ndarray
    before: np.ndarray
    events: np.ndarray
    length: np.ndarray


def pieces(requests: Requests, decays: np.ndarray, horizon: float) -> Iterator[Pieces]:
    """The stretches of (t_1, T] of each history that has a finite T, some users at a time."""
    finite = np.flatnonzero(np.isfinite(requests.time) & (requests.lengths > 0))
    requests = requests.take(finite)
    for rows in _blocks(requests.lengths, BLOCK // max(2 * len(decays), 1)):
        part = requests.take(rows)
        indptr, events = part.history()
        owner = np.repeat(np.arange(len(part)), np.diff(indptr))
        yield _pieces(owner, part.log.time[events], part.time, decays, horizon)


def _pieces(
    owner: np.ndarray, time: np.ndarray, cut_off: np.ndarray, decays: np.ndarray, horizon: float
) -> Pieces:
    """Of events sorted by owner (n_events,) and time (n_events,), and a cut-off for each owner."""
    fresh = np.r_[True, owner[1:] != owner[:-1]]
    distinct = np.flatnonzero(fresh | np.r_[True, time[1:] != time[:-1]])
    who, when, opens = owner[distinct], time[distinct], fresh[distinct]
    many = np.diff(np.r_[distinct, len(time)])  # events at each distinct time
    closes = np.r_[opens[1:], True]
    until = np.where(closes, cut_off[who], np.r_[when[1:], 0])
    length = (until - when) / horizon
    since = when - np.repeat(when[opens], np.diff(np.r_[np.flatnonzero(opens), len(when)]))

    step = np.r_[0.0, length[:-1]]  # from the distinct time before, of the same owner
    excited = decaying_sums(step, many - opens, opens, decays)
    after = np.hstack([excited, np.exp(-(since / horizon)[:, None] * decays)])
    before = after * np.exp(-length[:, None] * np.r_[decays, decays])
    events = np.where(closes, 0, np.r_[many[1:], 0])
    return Pieces(after, before, events, length)


def decaying_sums(
    step: np.ndarray, added: np.ndarray, opens: np.ndarray, decays: np.ndarray
) -> np.ndarray:
    """s_i = exp(−d_j step_i) s_{i−1} + added_i along each run, for all decays, (n, J).

    Runs start where ``opens``.  By doubling: after each pass s_i reaches twice as far back, so a
    run of L takes log2(L) passes over the arrays, and no loop over events.
    """
    sums = np.repeat(np.asarray(added, float)[:, None], len(decays), axis=1)
    keep = np.exp(-np.asarray(step, float)[:, None] * decays)  # what is left of the sum before
    keep[opens] = 0.0
    shift = 1
    while shift < len(sums) and keep.any():
        sums[shift:] += keep[shift:] * sums[:-shift]
        keep[shift:] *= keep[:-shift].copy()
        shift *= 2
    return sums


@dataclass(frozen=True)
class Contrast:
    """∫ λ² − 2 Σ λ(t_i−) = θᵀ G θ − 2 bᵀ θ over all stretches, and ∫ λ = mᵀ θ.

    Parameters
    ----------
    G : ndarray (2J + 1, 2J + 1)
    b, m : ndarray (2J + 1,)
    n_events : int
        Events that are explained.
    """

    G: np.ndarray
    b: np.ndarray
    m: np.ndarray
    n_events: int


def contrast(requests: Requests, decays: np.ndarray, horizon: float) -> Contrast:
    """The least-squares contrast, from one pass over the events.

    Between events d_j R_j decays, so ∫ d_j d_k R_j R_k = d_j d_k / (d_j + d_k) (A_j A_k − B_j B_k)
    with A its value after, B before: two products of matrices, and no exponential a pair.
    """
    d = np.r_[decays, decays]
    n = len(d) + 1
    squares, b, m, n_events = np.zeros((n - 1, n - 1)), np.zeros(n), np.zeros(n), 0
    for part in pieces(requests, decays, horizon):
        squares += part.after.T @ part.after - part.before.T @ part.before
        b += np.r_[d * (part.events @ part.before), part.events.sum()]
        m += np.r_[(part.after - part.before).sum(0), part.length.sum()]
        n_events += int(part.events.sum())
    G = np.zeros((n, n))
    G[:-1, :-1] = squares * np.outer(d, d) / np.add.outer(d, d)
    G[-1], G[:, -1] = m, m
    return Contrast(G, b, m, n_events)


def fit_contrast(found: Contrast, penalty: float) -> np.ndarray:
    """θ ≥ 0 (2J + 1,) that minimises the contrast + penalty |θ|², exactly."""
    G = found.G + penalty * np.eye(len(found.G))
    scale = np.sqrt(np.diag(G))  # features differ by orders of magnitude
    values, vectors = np.linalg.eigh(G / np.outer(scale, scale))
    root = np.sqrt(np.maximum(values, values[-1] * 1e-15))  # of a matrix singular to rounding
    theta, _ = nnls(root[:, None] * vectors.T, vectors.T @ (found.b / scale) / root)
    return theta / scale


@dataclass(frozen=True)
class Explained:
    """What the likelihood needs: Σ events log(φ θ) − mᵀ θ.

    Parameters
    ----------
    phi : ndarray (n, 2J + 1)
        φ just before each distinct time after the first.
    events : ndarray (n,)
        Events at that time.
    m : ndarray (2J + 1,)
        ∫ φ over all stretches.
    """

    phi: np.ndarray
    events: np.ndarray
    m: np.ndarray

    def log_likelihood(self, theta: np.ndarray) -> float:
        """Σ log λ(t_i−) − ∫ λ."""
        return float(self.events @ np.log(self.phi @ theta) - self.m @ theta)


def explained(requests: Requests, decays: np.ndarray, horizon: float) -> Explained:
    """The features of all events, O(n J) memory, for the exact likelihood."""
    d = np.r_[decays, decays]
    phi, events, m = [np.zeros((0, len(d) + 1))], [np.zeros(0)], np.zeros(len(d) + 1)
    for part in pieces(requests, decays, horizon):
        m += np.r_[(part.after - part.before).sum(0), part.length.sum()]
        ends = part.events > 0
        phi.append(np.hstack([d * part.before[ends], np.ones((int(ends.sum()), 1))]))
        events.append(part.events[ends])
    return Explained(np.vstack(phi), np.concatenate(events), m)


def maximise_poisson(
    phi: np.ndarray,
    weights: np.ndarray,
    m: np.ndarray,
    start: np.ndarray,
    penalty: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Weights w ≥ 0 that minimise mᵀ w − Σ_i weights_i log(φ_i w + ε) + Σ penalty w² / 2.

    The likelihood of a Hawkes process (m = ∫ φ) and of Poisson counts (m = Σ_i φ_i) alike.  Convex;
    features are scaled, as they differ by orders of magnitude, so that slopes and curvatures are
    about 1.
    """
    total = max(float(weights.sum()), 1.0)
    scale = np.sqrt((m / total) ** 2 + penalty / total)
    scale = np.where(scale > 1e-100, scale, 1.0)  # a feature that is always 0
    phi, m = phi / scale, m / scale
    curved = penalty / scale**2

    def loss(v: np.ndarray) -> tuple[float, np.ndarray]:
        rate = phi @ v + TINY
        value = m @ v - weights @ np.log(rate) + 0.5 * (curved * v) @ v
        return float(value) / total, (m - phi.T @ (weights / rate) + curved * v) / total

    limits = {"maxiter": 5000, "maxfun": 20000, "ftol": 1e-14, "gtol": 1e-9}
    first = np.maximum(start * scale, 0.0)
    found = minimize(
        loss, first, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(m), options=limits
    )
    return found.x / scale


TINY = 1e-10  # keeps a rate above zero


def shortest_gap(requests: Requests) -> float:
    """The resolution of the times: the least time in seconds between two events of a history.

    Raises
    ------
    MakedoInputError
        No user has events at two different times.
    """
    indptr, events = requests.history()
    gaps = np.diff(requests.log.time[events])
    within = gaps > 0
    within[indptr[1:-1][(indptr[1:-1] > 0) & (indptr[1:-1] < len(events))] - 1] = False
    if not within.any():
        raise MakedoInputError(
            "No user has events at two different times, so activity cannot be learnt. Give the log "
            'its true times, or take intensity="user_popularity".'
        )
    return float(gaps[within].min())
