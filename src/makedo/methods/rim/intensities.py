"""λ(x): how many events a user will have within the horizon, whatever the items.

One protocol: ``fit(requests, counts, horizon)`` learns, ``predict(requests)`` gives a positive rate
for each request, per horizon.  A rate depends on the history only through its sums of decaying
exponentials (:mod:`.hawkes`), which can be kept up to date event by event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import Choice, MakedoInputError, Number, count
from makedo.core.estimator import Estimator
from makedo.data.interactions import Requests
from makedo.methods.rim.hawkes import (
    TINY,
    Activity,
    Live,
    activity,
    contrast,
    explained,
    fit_contrast,
    maximise_poisson,
    shortest_gap,
)


class Intensity(Estimator):
    """Base of the models of activity: sums of a history in, a positive rate out.

    A subclass learns in ``fit`` and answers in ``rate``; ``decays_`` (J,), per horizon, says which
    sums it needs.
    """

    needs_counts: ClassVar[bool] = False  # of events in windows after the requests
    takes_channels: ClassVar[bool] = False  # events of other kinds

    def fit(self, requests: Requests, counts: Any = None, horizon: float = 1.0) -> Intensity:
        """Learn nothing but the unit of time.

        Parameters
        ----------
        requests : Requests
        counts : array-like of shape (n,), optional
            Events in [T, T + horizon) of each request.
        horizon : float
            In seconds.
        """
        self._check_parameters()
        self.horizon_, self.decays_ = float(horizon), self._decays(requests)
        return self

    def _decays(self, requests: Requests) -> np.ndarray:
        return np.zeros(0)

    def rate(self, found: Activity) -> np.ndarray:
        """λ (n,) > 0 from the sums of histories."""
        raise NotImplementedError

    def predict(self, requests: Requests) -> np.ndarray:
        """λ (n,) > 0: events expected within a horizon after each request."""
        check_is_fitted(self)
        return self.rate(activity(requests, self.decays_, self.horizon_))

    def live(self, requests: Requests) -> Live:
        """The sums of all users as of now, to be kept up to date; events of the histories."""
        check_is_fitted(self)
        _, events = requests.history()
        live = Live(self.decays_, self.horizon_, requests.log.n_users)
        return live.add(requests.log.user[events], requests.log.time[events])


class ConstantIntensity(Intensity):
    """Take all users for equally active: λ = 1, a plain recommender."""

    def rate(self, found: Activity) -> np.ndarray:
        """1 for each request."""
        return np.ones(len(found.count))


class UserPopularity(Intensity):
    """Rate by the number of events so far: λ = n + 0.01."""

    def rate(self, found: Activity) -> np.ndarray:
        """λ (n,) from the sums of histories."""
        return found.count + 0.01


class EMA(Intensity):
    """Rate by the number of recent events: λ = Σ_i exp(−(T − t_i) / H)."""

    def _decays(self, requests: Requests) -> np.ndarray:
        return np.ones(1)

    def rate(self, found: Activity) -> np.ndarray:
        """λ (n,) from the sums of histories."""
        return (found.excited + found.started)[:, 0] + TINY


class _Exponentials(Intensity):
    """Base of the two models with several decays."""

    _constraints: ClassVar = {
        "n_scales": Number(1, 200, integer=True),
        "shortest": Number(0.0, open_low=True),
        "longest": Number(0.0, open_low=True),
        "penalty": Number(0.0),
    }
    n_scales: int
    shortest: float
    longest: float
    penalty: float
    weights_: np.ndarray

    def _decays(self, requests: Requests) -> np.ndarray:
        """1 / scale; no scale is below the resolution of the times, where rates would explode."""
        if self.shortest > self.longest:
            raise MakedoInputError(
                f"{type(self).__name__}: shortest must not be above longest ({self.longest:g}). "
                f"Got {self.shortest:g}."
            )
        scales = np.geomspace(self.shortest, self.longest, self.n_scales)
        return 1 / np.unique(np.maximum(scales, shortest_gap(requests) / self.horizon_))

    def rate(self, found: Activity) -> np.ndarray:
        """λ (n,) from the sums of histories."""
        return found.features(self.decays_) @ self.weights_ + TINY


class Hawkes(_Exponentials):
    r"""Rate by how each event excites further ones, learnt from the histories alone.

    .. math:: \lambda(t) = \mu + \sum_j a_j \sum_{i \ge 2} d_j e^{-d_j (t - t_i)}
       + \sum_j c_j d_j e^{-d_j (t - t_1)}

    Parameters
    ----------
    n_scales : int, default=16
        J, time scales 1 / d_j on a logarithmic grid.
    shortest : float, default=1e-4
        The shortest scale, in horizons; never below the resolution of the times.
    longest : float, default=10.0
        The longest scale, in horizons.
    objective : {"contrast", "likelihood"}, default="contrast"
        Least squares in closed form, or exact maximum likelihood.
    penalty : float, default=1e-3
        On the squared weights, beside the contrast of all users.

    Attributes
    ----------
    weights_ : ndarray (2J + 1,), a, c and μ
    decays_ : ndarray (J,), d, per horizon
    horizon_ : float, in seconds
    """

    _constraints: ClassVar = {
        **_Exponentials._constraints,
        "objective": Choice(("contrast", "likelihood")),
    }

    def __init__(
        self,
        n_scales: int = 16,
        *,
        shortest: float = 1e-4,
        longest: float = 10.0,
        objective: str = "contrast",
        penalty: float = 1e-3,
    ):
        self.n_scales = n_scales
        self.shortest = shortest
        self.longest = longest
        self.objective = objective
        self.penalty = penalty

    def fit(self, requests: Requests, counts: Any = None, horizon: float = 1.0) -> Hawkes:
        """Learn the weights from histories whose request has a finite time.

        Parameters
        ----------
        requests : Requests
            Training cut-offs.
        counts : ignored
        horizon : float
            In seconds.
        """
        self._check_parameters()
        self.horizon_ = float(horizon)
        observed = requests.take(np.isfinite(requests.time))
        if not observed.lengths.any():
            raise MakedoInputError(
                "Hawkes: no user with events has a finite cut-off, so nothing says for how long "
                "nothing happened. Give a split by time, or a cut-off to some users."
            )
        self.decays_ = self._decays(observed)
        found = contrast(observed, self.decays_, self.horizon_)
        self.weights_ = fit_contrast(found, self.penalty)
        if self.objective == "likelihood":
            seen = explained(observed, self.decays_, self.horizon_)
            start = self.weights_ + 1e-3 * found.n_events / max(found.m.sum(), TINY)
            self.weights_ = maximise_poisson(seen.phi, seen.events, seen.m, start)
        return self

    @property
    def kernel_norm(self) -> float:
        """Events that one event brings about, Σ a; from 1 on activity grows without bound."""
        return float(self.weights_[: len(self.decays_)].sum())


class HawkesPoisson(_Exponentials):
    r"""Rate by regressing how many events came within the horizon on the sums of a Hawkes model.

    Of N events in [T, T + H) after a history with features φ, in windows before the present,

    .. math:: N \sim \text{Poisson}(\varphi^\top w), \quad w \ge 0,

    which corrects the scale of a Hawkes model, and the gap between the rate at T and the count of a
    whole horizon.

    **Channels.**  Events of other kinds may excite too: coupons used, visits, messages.  Each is a
    log of its own, φ then has the sums of each log, and N are the events of any one kind, that of
    the ``counts``.

    Parameters
    ----------
    n_scales : int, default=16
        J, time scales 1 / d_j on a logarithmic grid.
    shortest : float, default=1e-4
        The shortest scale, in horizons; never below the resolution of the times.
    longest : float, default=10.0
        The longest scale, in horizons.
    penalty : float, default=1e-3
        On half the squared weights, beside the mean loss of a request; not on the constant.

    Attributes
    ----------
    weights_ : ndarray (2J + 1,), w; with channels (ΣJ + ΣJ + 1,), those of each one after another
    decays_ : ndarray (J,), d, per horizon
    channel_decays_ : list of ndarray (J,), of the further channels
    horizon_ : float, in seconds
    """

    needs_counts: ClassVar[bool] = True
    takes_channels: ClassVar[bool] = True

    def __init__(
        self,
        n_scales: int = 16,
        *,
        shortest: float = 1e-4,
        longest: float = 10.0,
        penalty: float = 1e-3,
    ):
        self.n_scales = n_scales
        self.shortest = shortest
        self.longest = longest
        self.penalty = penalty

    def fit(
        self,
        requests: Requests,
        counts: Any = None,
        horizon: float = 1.0,
        *,
        channels: Sequence[Requests] = (),
    ) -> HawkesPoisson:
        """Learn the weights from windows of time that are over.

        Parameters
        ----------
        requests : Requests
            Users at the beginning of each window.
        counts : array-like of shape (n,), optional
            Events in [T, T + horizon) of each; default: counted in the log.
        horizon : float
            In seconds.
        channels : sequence of Requests, optional
            The same users at the same times in further logs; see :meth:`Requests.in_log`.
        """
        self._check_parameters()
        self.horizon_ = float(horizon)
        n = np.asarray(requests.counts(horizon) if counts is None else counts, float)
        if n.shape != (len(requests),) or not (n >= 0).all():
            raise MakedoInputError(
                f"HawkesPoisson: counts must be {len(requests):,} numbers, none negative, one a "
                f"request. Got shape {n.shape}."
            )
        if not n.any():
            raise MakedoInputError(
                "HawkesPoisson: no user has an event in the windows to learn from. Take a longer "
                "horizon, or windows before the end of the log."
            )
        self.decays_ = self._decays(requests)
        self.channel_decays_ = [self._decays_of_channel(one) for one in channels]
        phi = self._features(requests, channels)
        start = np.zeros(phi.shape[1])
        start[-1] = n.mean()
        free = np.r_[np.full(phi.shape[1] - 1, self.penalty * len(n)), 0.0]
        self.weights_ = maximise_poisson(phi, n, phi.sum(0), start, free)
        return self

    def predict(self, requests: Requests, *, channels: Sequence[Requests] = ()) -> np.ndarray:
        """λ (n,) > 0: events expected within a horizon after each request.

        Parameters
        ----------
        requests : Requests
        channels : sequence of Requests, optional
            As many as in ``fit``, in that order.
        """
        check_is_fitted(self)
        return self._features(requests, channels) @ self.weights_ + TINY

    def _decays_of_channel(self, requests: Requests) -> np.ndarray:
        try:
            return self._decays(requests)
        except MakedoInputError:  # nobody has two, as of signing up: no resolution of their own
            return self.decays_

    def _features(self, requests: Requests, channels: Sequence[Requests]) -> np.ndarray:
        """φ of all channels, with one constant."""
        further = getattr(self, "channel_decays_", [])  # models of older formats have none
        if len(channels) != len(further):
            raise MakedoInputError(
                f"HawkesPoisson: fit saw {count(len(further), 'channel')} beside the "
                f"log. Got {len(channels)}. Give the same ones, in their order."
            )
        for one in channels:
            if len(one) != len(requests) or (one.time != requests.time).any():
                raise MakedoInputError(
                    "HawkesPoisson: the requests of a channel must be of the same users at the "
                    "same times. Make them with requests.in_log(log)."
                )
        every = zip((requests, *channels), (self.decays_, *further), strict=True)
        return self._phi([activity(one, d, self.horizon_) for one, d in every])

    def rate(self, found: Activity, further: Sequence[Activity] = ()) -> np.ndarray:
        """λ (n,) from the sums of histories, and of those of each further channel."""
        return self._phi([found, *further]) @ self.weights_ + TINY

    def _phi(self, sums: Sequence[Activity]) -> np.ndarray:
        decays = (self.decays_, *getattr(self, "channel_decays_", []))
        parts = [one.features(d)[:, :-1] for one, d in zip(sums, decays, strict=True)]
        return np.hstack([*parts, np.ones((len(sums[0].count), 1))])


NAMES: dict[str, type[Intensity]] = {
    "constant": ConstantIntensity,
    "user_popularity": UserPopularity,
    "ema": EMA,
    "hawkes": Hawkes,
    "hawkes_poisson": HawkesPoisson,
}
