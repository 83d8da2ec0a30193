r"""What a user had before, mixed with the chances of any model.

.. math:: p'(y|x) = \frac{c_{xy} + \beta\, p(y|x)}{\sum_y c_{xy} + \beta},
   \quad c_{xy} = \sum_{i: y_i = y} e^{-(T - t_i) / (s H)}

as in :class:`~makedo.methods.rim.marks.PersonalRepeat`, which has popularity for p.  β, the weight
of the model in events, and s are those under which later events of users are likeliest whom the
model was not trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from makedo.data.interactions import Requests
from makedo.methods.rim.marks import histories
from makedo.methods.rim.scores import ScoreOperator

SCALES = (0.3, 1.0, 3.0, 10.0)  # s, in horizons
LEAST, MOST = 1e-2, 1e6  # β
PLACES = 8  # times at which a user is asked
TINY = 1e-30


class OwnPast(NamedTuple):
    """How far the own past counts.

    Attributes
    ----------
    scale : float
        s, in horizons.
    backoff : float
        β, in events; infinite: the own past counts for nothing.
    """

    scale: float
    backoff: float

    def mixed(self, scores: ScoreOperator, requests: Requests, horizon: float) -> ScoreOperator:
        """Of requests p', from p, whose rows sum to one."""
        if not np.isfinite(self.backoff):
            return scores
        counts = histories(requests, scores.shape[1], self.scale * horizon)
        total = np.asarray(counts.sum(1), np.float64).ravel()
        r = np.zeros(len(total)) if scores.log_scale is None else scores.log_scale
        # p' = exp(r) β / (β + Σ c) · (g + c / (β exp(r)))
        counts.data = counts.data * np.exp(-np.repeat(r, np.diff(counts.indptr))) / self.backoff
        shrunk = r + np.log(self.backoff / (self.backoff + total))
        return replace(scores, beside=counts.astype(np.float32), log_scale=shrunk)


def learn_own_past(
    scores: Callable[[Requests], ScoreOperator],
    held: Requests,
    horizon: float,
    rng: np.random.Generator,
) -> OwnPast:
    """The likeliest of all scales and weights, on users that the model has not seen.

    Parameters
    ----------
    scores : callable (requests) -> ScoreOperator
        p(y|x), rows sum to one.
    held : Requests
        The users, at their training cut-offs.
    horizon : float
        In seconds.
    rng : Generator
    """
    asked = _random_times(held, rng)
    if not len(asked):
        return OwnPast(SCALES[0], np.inf)
    p = scores(asked)
    targets = asked.targets(horizon).tocoo()
    keep = targets.col < p.shape[1]
    row, item = targets.row[keep], targets.col[keep]
    chance = p.of_pairs(row, item).astype(np.float64)
    found = [_likeliest(asked, row, item, chance, scale, horizon) for scale in SCALES]
    best = max(found, key=lambda one: one[0])
    alone = float(np.log(chance + TINY).sum())
    return best[1] if best[0] > alone else OwnPast(SCALES[0], np.inf)


def _likeliest(
    asked: Requests,
    row: np.ndarray,
    item: np.ndarray,
    chance: np.ndarray,
    scale: float,
    horizon: float,
) -> tuple[float, OwnPast]:
    """The log-likelihood at one scale with the best weight, and both."""
    counts = histories(asked, asked.log.n_items, scale * horizon)
    own = np.asarray(counts[row, item], np.float64).ravel()
    total = np.asarray(counts.sum(1), np.float64).ravel()[row]

    def loss(log_backoff: float) -> float:
        backoff = np.exp(log_backoff)
        return -float(np.log((own + backoff * chance + TINY) / (total + backoff)).sum())

    at = minimize_scalar(loss, bounds=(np.log(LEAST), np.log(MOST)), method="bounded")
    return -at.fun, OwnPast(scale, float(np.exp(at.x)))


def _random_times(held: Requests, rng: np.random.Generator) -> Requests:
    """Some of the times at which each user did something, with no event after the cut-offs."""
    cut = np.full(held.log.n_users, -np.inf)
    cut[held.user] = held.time
    past = held.log.before(cut)
    fresh = np.flatnonzero(
        np.r_[True, (np.diff(past.user) != 0) | (np.diff(past.time) != 0)][: len(past)]
    )
    order = fresh[np.lexsort((rng.random(len(fresh)), past.user[fresh]))]
    user = past.user[order]
    rank = np.arange(len(user)) - np.searchsorted(user, user)
    chosen = np.sort(order[rank < PLACES])
    return Requests(past, past.user[chosen], past.time[chosen].astype(np.float64))
