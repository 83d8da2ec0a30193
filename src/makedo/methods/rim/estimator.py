"""Items for a user and users for an item, from one model of when and what.

Y. Ma, G. Liu, A. Deoras, "Bridging Recommendation and Marketing via Recurrent Intensity Modeling",
ICLR 2022, https://openreview.net/forum?id=TZeArecH2Nf.

A log of events is a marked point process.  A pair of a user x at a time T and an item y is scored
by the events to be expected within the horizon,

    λ(x, y) = λ(x) · p(y|x),

λ(x) how active the user will be, p(y|x) what an event will be about.  A positive factor of the row
changes no ranking of items for a user (ItemRec); it gives users of one item (UserRec) the common
scale that p(y|x), which sums to one for each user, lacks.

Symbols: x request, T its time, y item, H horizon.  :mod:`.intensities` has λ(x), :mod:`.hawkes` the
sums that it is made of, :mod:`.marks` p(y|x), :mod:`.scores` the product, never written down.

What differs from the paper, and why:

* Marks that need no training of a network come first: with the true activity they go far.
* Tied times are not taken for excitation, and no scale is below the resolution of the times.
* λ is kept up to date event by event; equal scores have a stated order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import Choice, Either, Having, MakedoInputError, Number, Text, count, first
from makedo.core.diagnosis import Diagnosis
from makedo.core.estimator import Estimator
from makedo.core.persistence import fingerprint
from makedo.data.interactions import InteractionLog, Requests
from makedo.methods.rim import intensities
from makedo.methods.rim.asking import pairs_of, requests_of
from makedo.methods.rim.hawkes import Live
from makedo.methods.rim.intensities import HawkesPoisson
from makedo.methods.rim.kinds import learn_rate, predicted, sums_of, with_new_events
from makedo.methods.rim.listing import items_of_users, length_of_lists, users_of_items
from makedo.methods.rim.marks import histories
from makedo.methods.rim.named import MARKS, learn_marks, made, share
from makedo.methods.rim.scores import ScoreOperator
from makedo.methods.rim.windows import calibration, latest, split_of, together

if TYPE_CHECKING:
    from makedo.report import Report


class RIM(Estimator):
    r"""Recommend items to users, and find the users for an item, by how active each one will be.

    .. math:: \lambda(x, y) = \lambda(x)\, p(y|x)

    events of user x with item y that are expected within the horizon: activity, learnt from when
    events came, times choice, learnt from what they were about [1]_.

    Parameters
    ----------
    marks : str or model, default="ease"
        p(y|x): "popularity", "personal_repeat", "ease", "ease_repeat", "item_knn"; "transformer",
        "rnn", which train a network; "als", "bpr", "logistic_mf", which need implicit; "given" for
        scores of another library, handed to ``fit``; or a model of :mod:`makedo.methods.rim`, such
        as ``EASE(penalty=50)``.
    intensity : str or model, default="hawkes_poisson"
        λ(x): "constant" (a plain recommender), "user_popularity", "ema", "hawkes",
        "hawkes_poisson", or a model, such as ``Hawkes(objective="likelihood")``.
    horizon : float or str, default="auto"
        H, how far ahead: seconds, or text such as "28D".  "auto": a thirteenth of the time between
        the first and the last event (28 days of a year); of a split its own.
    n_valid : int, default=1
        Windows of one horizon before the end of the log in which λ(x) is calibrated; a split brings
        its own.
    exclude_seen : bool, default=False
        Never list what the user had before.
    random_state : int, default=0
    device : str, default="auto"
        Where a network trains: cuda, else mps, else cpu.
    verbose : int, default=0
        1: progress of a network.  These three are for marks that are given by name; a model has its
        own.

    Attributes
    ----------
    marks_ : model, p(y|x)
    intensity_ : model, λ(x)
    horizon_ : float, H in seconds
    now_ : float, the time for which is ranked unless another is asked for, Unix seconds
    log_ : InteractionLog, the events that were learnt from, and those of ``update``
    live_, live_beside_ : the sums of all users as of their last event; those in each other kind
    kinds_ : list of str, other kinds of events that λ(x) looks at
    calibration_ : DataFrame, expected and observed events by tenths of λ(x), in the windows
    history_ : DataFrame, a row an epoch where the marks are a network; else seconds of each phase

    Shapes
    ------
    X: a log of n_events · recommend_items -> (n_users · top_k) rows · recommend_users ->
    (n_items · top_k) rows · scores -> n_requests × n_items, never written down

    Cost
    ----
    λ(x): O(n_events · J) for J scales.  Lists: O(n_users · n_items · d) products for marks of rank
    d, and memory for the lists alone.  ``benchmarks/rim_topk.py`` has a million users.

    Requirements
    ------------
    True times of events.  To rank users for an item, users whose activity differs and lasts; to
    learn λ(x), some events within the last horizon.

    Relations
    ---------
    For items alone λ(x) changes nothing: any recommender does.  λ(x, y) predicts who *will* act,
    not whom contact would move: for that take an uplift model.

    References
    ----------
    .. [1] Ma et al., "Bridging Recommendation and Marketing via Recurrent Intensity Modeling",
       ICLR 2022.

    Examples
    --------
    >>> import pandas as pd
    >>> from makedo import RIM
    >>> log = pd.DataFrame({
    ...     "user_id": ["ann"] * 5 + ["bob"] * 5,
    ...     "item_id": ["tea"] * 5 + ["tea", "jam", "tea", "tea", "jam"],
    ...     "timestamp": [6, 7, 8, 9, 10, 0, 1, 2, 3, 4]})
    >>> model = RIM("personal_repeat", intensity="ema", horizon=4).fit(log)
    >>> model.recommend_users(["tea"], top_k=1)["user_id"].tolist()      # who came lately
    ['ann']
    >>> model.recommend_items(["bob"], top_k=2)["item_id"].tolist()
    ['tea', 'jam']
    """

    _constraints: ClassVar = {
        "marks": Either((Choice(tuple(MARKS)), Having("scores", "a model such as EASE()"))),
        "intensity": Either(
            (Choice(tuple(intensities.NAMES)), Having("rate", "a model such as Hawkes()"))
        ),
        "horizon": Either(
            (Number(0.0, open_low=True), Text('"auto", or a length of time such as "28D"'))
        ),
        "n_valid": Number(1, integer=True),
        "exclude_seen": Choice((True, False)),
        "random_state": Number(0, integer=True),
        "verbose": Number(0, integer=True),
    }
    _parts: ClassVar[Mapping[str, type]] = {
        cls.__name__: cls for cls in [*intensities.NAMES.values(), *MARKS.values()]
    }

    def __init__(
        self,
        marks: str | Any = "ease",
        *,
        intensity: str | Any = "hawkes_poisson",
        horizon: float | str = "auto",
        n_valid: int = 1,
        exclude_seen: bool = False,
        random_state: int = 0,
        device: str = "auto",
        verbose: int = 0,
    ):
        self.marks = marks
        self.intensity = intensity
        self.horizon = horizon
        self.n_valid = n_valid
        self.exclude_seen = exclude_seen
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    @classmethod
    def from_paper(cls, **changes: Any) -> RIM:
        """The best of the paper without a network: popularity × Hawkes-Poisson, 50 scales.

        The paper's scales begin at a millionth of the horizon; here none is below the resolution of
        the times.
        """
        rate = HawkesPoisson(50, shortest=1e-6)
        return cls(**({"marks": "popularity", "intensity": rate} | changes))

    # --- fitting ----------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        *,
        scores: Any = None,
        checkpoint_dir: str | Path | None = None,
        on_step: Callable[[dict[str, Any]], bool | None] | None = None,
    ) -> RIM:
        """Learn what is chosen from all histories, and how active users are from the windows.

        Parameters
        ----------
        X : InteractionLog, Split, or what :meth:`InteractionLog.read` takes
            A table has the columns user_id, item_id and timestamp.  Of a split only what lies
            before its cut-offs is learnt from.  Of a log that tells kinds of events apart, its own
            kind is predicted; "hawkes_poisson" learns from the others too how active users are.
        scores : model, pair of factors, or matrix, optional
            With ``marks="given"``: see :meth:`GivenScores.fit`.
        checkpoint_dir, on_step : optional
            Where the state of a network is kept, so that a killed fit goes on when it is called
            again; what gets each row of its ``history_``, and stops it by returning True.  See
            :meth:`SequenceMarks.fit`; other marks take moments.

        Raises
        ------
        MakedoInputError
            The log cannot be read, no event lies in the windows, no user has two distinct times.
        """
        self._check_parameters()
        split = split_of(X, self.horizon, self.n_valid)

        started = time.perf_counter()
        rate = made(self.intensity, intensities.NAMES)
        kinds = list(split.log.beside) if rate.takes_channels else []
        learn_rate(rate, split, kinds)  # before marks: what is wrong shows before a network trains
        learnt = time.perf_counter()
        marks = made(self.marks, MARKS)
        if isinstance(self.marks, str):
            share(self, marks)
        steps = {"checkpoint_dir": checkpoint_dir, "on_step": on_step}
        self.marks_ = learn_marks(marks, split.train, split.horizon, scores, steps)
        spent = [time.perf_counter() - learnt, learnt - started]
        phases = pd.DataFrame({"phase": ["marks", "intensity"], "seconds": spent})

        self.intensity_, self.kinds_ = rate, kinds
        self.horizon_, self.now_ = split.horizon, latest(split)
        self.log_ = split.train_log
        self.live_, *self.live_beside_ = sums_of(rate, split.train, kinds)
        windows = together(split.valid)
        expected = predicted(rate, windows, kinds) * (split.valid_horizon / split.horizon)
        self.calibration_ = calibration(expected, windows.counts(split.valid_horizon))
        self.history_ = getattr(self.marks_, "history_", phases)
        columns = [(log.user, log.item, log.time) for log in self.log_.kinds]
        self.fingerprint_ = fingerprint(*(one for three in columns for one in three))
        return self

    def update(self, events: Any, **columns: Any) -> RIM:
        """Take in new events, late ones too: O(J) each for λ(x); p(y|x) sees the new histories.

        What was learnt stays as it is; items that ``fit`` did not see are not listed, and kinds of
        events that it did not see say nothing.

        Parameters
        ----------
        events : InteractionLog, or what :meth:`InteractionLog.read` takes
        **columns
            Names of columns, as there.
        """
        check_is_fitted(self)
        is_log = isinstance(events, InteractionLog)
        new = events if is_log else self.log_.read_more(events, **columns)
        joined, lives = self.log_.append(new), [self.live_, *self.live_beside_]
        lives = with_new_events(lives, self.kinds_, self.log_, new, joined)
        self.live_, *self.live_beside_ = lives
        self.log_, self.now_ = joined, max(self.now_, float(new.last) + 1)
        return self

    # --- using ------------------------------------------------------------------------------------

    def scores(self, X: Any = None, *, at: Any = None, active: bool = True) -> ScoreOperator:
        """λ(x, y) of all requests and candidate items, as something to rank; no matrix.

        Parameters
        ----------
        X : Requests or sequence of user ids, optional
            Default: all users.
        at : float, date or text, optional
            The time of the requests, unless X has it.  Default: just after the last event.
        active : bool, default=True
            False: p(y|x) alone, without λ(x).
        """
        check_is_fitted(self)
        return self._scores(self._requests(X, at), active)

    def rate(self, requests: Requests) -> np.ndarray:
        """λ(x): events expected of each request's user within the horizon, (n,)."""
        check_is_fitted(self)
        lives, asked = [self.live_, *self.live_beside_], (requests.time, requests.user)
        if requests.log is not self.log_ or not all(live.knows(*asked) for live in lives):
            return predicted(self.intensity_, requests, self.kinds_)
        found, *further = (live.at(*asked) for live in lives)
        return self.intensity_.rate(found, *([further] if further else []))

    def known(self, items: np.ndarray) -> np.ndarray:
        """Of items, by position in the log, those that can be ranked: ``fit`` saw their events."""
        return items[self.marks_.rankable(items)]

    def recommend_items(
        self, X: Any = None, *, top_k: int | None = None, at: Any = None
    ) -> pd.DataFrame:
        """List what each user will turn to.

        Parameters
        ----------
        X, at : as in :meth:`scores`
        top_k : int, optional
            Length of each list.  Default: 10, or all items where there are fewer.

        Returns
        -------
        DataFrame
            user_id, timestamp (of the request, Unix seconds), item_id, rank (from 1), score (events
            expected within the horizon).  Fewer than ``top_k`` rows where fewer may be listed.
        """
        check_is_fitted(self)
        requests = self._requests(X, at)
        items = self.known(requests.candidates)
        if len(items) < self.marks_.n_items or requests.items is not None:
            requests = requests.restricted(items)
        top_k = length_of_lists(top_k, 10, len(items), "candidate item")
        return items_of_users(self._scores(requests).top_items(top_k), requests, items)

    def recommend_users(
        self, items: Any, *, top_k: int | None = None, X: Any = None, at: Any = None
    ) -> pd.DataFrame:
        """List who will turn to each item.

        Parameters
        ----------
        items : sequence of item ids
        top_k : int, optional
            Length of each list.  Default: 100, or all users where there are fewer.
        X, at : as in :meth:`scores`
            Whom to choose among.

        Returns
        -------
        DataFrame
            item_id, user_id, timestamp, rank, score, as in :meth:`recommend_items`.

        Raises
        ------
        MakedoInputError
            An item that the log does not know, or that ``fit`` did not see.
        """
        check_is_fitted(self)
        items = pd.Index([items] if isinstance(items, str) else items, tupleize_cols=False)
        places = self.log_.candidates(items)
        if (late := ~self.marks_.rankable(places)).any():
            raise MakedoInputError(
                f"recommend_users: {count(int(late.sum()), 'item')} came after fit (first: "
                f"{first(items[late])}), so nothing was learnt of them. Call fit again."
            )
        requests = self._requests(X, at).restricted(places)
        top_k = length_of_lists(top_k, 100, len(requests), "user")
        return users_of_items(self._scores(requests).top_users(top_k), requests, items)

    def predict(self, X: Any) -> np.ndarray:
        """λ(x, y) of single pairs: events expected within the horizon, (n_pairs,).

        Parameters
        ----------
        X : table with the columns user_id and item_id, and timestamp if not for now
        """
        check_is_fitted(self)
        asked = pairs_of(X, self.now_)
        requests = self._requests(asked.users, asked.times)
        places = self.log_.item_positions(asked.items)
        found = np.zeros(len(places), np.float32)
        known = np.flatnonzero(self.marks_.rankable(places))  # nothing is expected of later ones
        pairs = self.marks_.scores(requests).scaled(self.rate(requests))
        found[known] = pairs.of_pairs(asked.rows[known], places[known])
        return np.maximum(found, 0)  # given scores may lack a user

    def evaluate(self, X: Any, y: Any = None, *, top_k: Any = None) -> pd.DataFrame:
        """Judge both rankings on what came true, beside plain popularity and the marks alone.

        Parameters
        ----------
        X : Split, Requests, or later events in a form that ``fit`` takes
            The test of a split; or requests whose log has what came after; or events that came
            after the fit.
        y : bool csr_matrix (n_requests, n_candidates), optional
            What came true.  Default: looked up in the log of the requests.
        top_k : int or sequence of int, optional
            Lengths of lists.  Default: 0.5, 1 and 2 % of what is ranked.

        Returns
        -------
        DataFrame
            A row per ranking ("items" for a user, "users" for an item), candidate and length, with
            the figures of :mod:`makedo.methods.rim.ranking`.
        """
        check_is_fitted(self)
        from makedo.methods.rim.judging import evaluate

        return evaluate(self, X, y, top_k)

    def diagnose(self, X: Any, **more: Any) -> Diagnosis:
        """Say whether activity is predictable in this log, and what λ(x) would gain.

        No network is trained: quick marks stand for it, and the advice says what training costs.

        Parameters
        ----------
        X : as in :meth:`fit`
        """
        from makedo.methods.rim.diagnose import diagnose

        return diagnose(self, X, **more)

    def report(self, X: Any = None, *, show_rows: bool = False) -> Report:
        """Show what ``fit`` found, and on what came after whether λ(x) pays.

        Parameters
        ----------
        X : optional
            As in :meth:`evaluate`.
        show_rows : bool, default=False
            Whether ids may stand in the report.
        """
        check_is_fitted(self)
        from makedo.methods.rim.page import report

        return report(self, X, show_rows=show_rows)

    # --- inside -----------------------------------------------------------------------------------

    def _requests(self, X: Any, at: Any) -> Requests:
        return requests_of(self.log_, X, at, self.now_)

    def _scores(self, requests: Requests, active: bool = True) -> ScoreOperator:
        found = self.marks_.scores(requests)
        if active:
            found = found.scaled(self.rate(requests))
        if self.exclude_seen:
            found = found.without(histories(requests, self.marks_.n_items))
        if requests.items is None:
            return found
        return found.take(items=requests.items[requests.items < self.marks_.n_items])

    def _card(self) -> str:
        return (
            f"Recommends items to users and users for items; learnt from {self.log_!r}.\n\n"
            "weights.safetensors holds every event of the log (user, item and time by number) and "
            "tables.parquet the ids of users and items: keep this directory as private as the log."
        )

    def _restore(self, state: dict[str, Any]) -> None:
        state = {"kinds_": [], "live_beside_": [], **state}  # of models before there were kinds
        for name, build in RESTORED.items():
            state[name] = build(state[name])
        super()._restore(state)
        lives = [self.live_, *self.live_beside_]
        if any(len(live) != self.log_.n_users for live in lives):
            raise ValueError("the log and the sums of its users have different sizes")
        if len(self.kinds_) != len(self.live_beside_) or {*self.kinds_} - {*self.log_.beside}:
            raise ValueError("the kinds of events and their sums do not fit together")
        if self.log_.n_items < self.marks_.n_items:
            raise ValueError("the log and what was learnt have different sizes")


def _part(state: Mapping[str, Any]) -> Any:
    return RIM._parts[state["class"]].from_state(state)


RESTORED: dict[str, Callable[[Any], Any]] = {
    "marks_": _part,
    "intensity_": _part,
    "live_": Live.from_state,
    "live_beside_": lambda states: [Live.from_state(one) for one in states],
    "log_": InteractionLog.from_state,
}
