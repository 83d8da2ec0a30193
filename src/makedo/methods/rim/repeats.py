r"""What a user had before, mixed with the chances of any model.

.. math:: p'(y|x) = \frac{c_{xy} + \beta\, p(y|x)}{\sum_y c_{xy} + \beta},
   \quad c_{xy} = \sum_{i: y_i = y} e^{-(T - t_i) / (s H)}

as in :class:`~makedo.methods.rim.marks.PersonalRepeat`, which has popularity for p.  β, the weight
of the model in events, and s are those whose lists name most of what came in windows of the past,
among users that the model was not trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from makedo.core.checks import Number
from makedo.core.seeds import generator
from makedo.data.interactions import Requests
from makedo.methods.rim.marks import EASE, Marks, histories
from makedo.methods.rim.ranking import hits_of
from makedo.methods.rim.scores import ScoreOperator

SCALES = (1.0, 3.0, 10.0, 30.0)  # s, in horizons
BACKOFFS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)  # β, in events
PLACES, MOST = 8, 1000  # times at which a user is asked, and all users together
LISTED = 0.01  # of the items


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

    def check(self) -> None:
        """Raise ValueError where they are out of range: in a directory that was changed."""
        if not (self.backoff > 0 and 0 < self.scale < np.inf):
            raise ValueError(f"own past: {self} is out of range")

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


NO_PAST = OwnPast(1.0, np.inf)


def learn_own_past(
    scores: Callable[[Requests], ScoreOperator],
    held: Requests,
    horizon: float,
    rng: np.random.Generator,
) -> OwnPast:
    """The scale and the weight whose lists name most, on users that the model has not seen.

    Parameters
    ----------
    scores : callable (requests) -> ScoreOperator
        p(y|x), rows sum to one.
    held : Requests
        The users, at their training cut-offs.
    horizon : float
        Length of the windows, in seconds.
    rng : Generator
    """
    asked = _random_times(held, rng)
    targets = asked.targets(horizon)
    if not targets.multiply(asked.seen()).nnz:
        return NO_PAST  # nobody repeats
    plain = scores(asked)
    k = max(math.ceil(LISTED * plain.shape[1]), 1)

    def hits(past: OwnPast) -> int:
        listed = past.mixed(plain, asked, horizon).top_items(k).index
        return int(hits_of(listed, targets).sum())

    found = [NO_PAST, *(OwnPast(s, b) for s in SCALES for b in reversed(BACKOFFS))]
    return max(found, key=hits)  # the first of equals


def held_out(train: Requests, share: float, random_state: int) -> tuple[Requests, Requests]:
    """Training cut-offs of some users with events, drawn at random, and of all the others."""
    some = np.flatnonzero(train.lengths)
    n = round(share * len(some))
    order = generator(random_state, "held out").permutation(some)
    return train.take(np.sort(order[:n])), train.take(np.sort(order[n:]))


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
    chosen = order[rank < PLACES]
    chosen = np.sort(rng.permutation(chosen)[:MOST])
    return Requests(past, past.user[chosen], past.time[chosen].astype(np.float64))


class EASERepeat(EASE):
    """Choose by EASE and by what the user chose before, mixed as far as that helps.

    EASE never names an item because the user had it.  A part of the users says how far the own past
    counts, as a model of the others names what they turned to; then all are learnt from.

    Parameters
    ----------
    penalty : float, default=200.0
        λ of EASE.
    mixed : float, default=1e-4
        ε of EASE.
    valid_share : float, default=0.1
        Of the users, who are held out at first.
    random_state : int, default=0
        Says who.

    Attributes
    ----------
    backoff_ : float
        β, in events; infinite: the own past counts for nothing.
    repeat_scale_ : float
        s, in horizons.
    """

    _constraints: ClassVar = {
        **EASE._constraints,
        "valid_share": Number(0.0, 0.5),
        "random_state": Number(0, integer=True),
    }

    def __init__(
        self,
        penalty: float = 200.0,
        *,
        mixed: float = 1e-4,
        valid_share: float = 0.1,
        random_state: int = 0,
    ):
        super().__init__(penalty, mixed=mixed)
        self.valid_share = valid_share
        self.random_state = random_state

    def _learn(self, train: Requests) -> None:
        held, others = held_out(train, self.valid_share, self.random_state)
        super()._learn(others)
        rng = generator(self.random_state, "own past")
        found = learn_own_past(super()._scores, held, self.horizon_, rng)
        self.repeat_scale_, self.backoff_ = found
        super()._learn(train)

    def _scores(self, requests: Requests) -> ScoreOperator:
        past = OwnPast(self.repeat_scale_, self.backoff_)
        return past.mixed(super()._scores(requests), requests, self.horizon_)

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        OwnPast(self.repeat_scale_, self.backoff_).check()


NAMES: dict[str, type[Marks]] = {"ease_repeat": EASERepeat}
