"""Predictors without a network: standing still, constant velocity, Kalman filter, ridge regression.

All answer ``predict(cues, n_samples=, n_steps=, seeds=)`` with positions (B, K, n_steps, 2).  One
sample is the single best guess; several are draws, of which rows with the same seed get the same.
A predictor that knows how likely a future is has ``density`` too.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.optimize import minimize
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import Choice, MakedoInputError, Number
from makedo.core.estimator import Estimator
from makedo.data.windows import Cues, Windows
from makedo.methods.trajectory.draws import normal, seeds_of
from makedo.methods.trajectory.local_frame import LocalFrame, Relations

DIFFUSE = 1e6  # square metres: nothing is known of the state before the first position


def ahead(n_steps: int) -> np.ndarray:
    """1, 2 … n_steps, as a column for positions (n_steps, 1)."""
    return np.arange(1, n_steps + 1)[:, None]


class Static(Estimator):
    """Predict that an agent stays where it is."""

    def fit(self, windows: Windows, **_: Any) -> Static:
        """Learn nothing."""
        return self

    def predict(
        self, cues: Cues, *, n_samples: int = 1, n_steps: int = 12, seeds: Any = None
    ) -> np.ndarray:
        """Positions (B, 1, n_steps, 2)."""
        return np.repeat(cues.past[:, None, -1:], n_steps, axis=2)


class ConstantVelocity(Estimator):
    """Predict that an agent repeats its last step.

    Several samples turn that step by random angles (Schöller et al., What the Constant Velocity
    Model Can Teach Us About Pedestrian Motion Prediction, 2020).

    Parameters
    ----------
    angle_std : float, default=25
        Standard deviation of the angles, in degrees.
    """

    _constraints: ClassVar = {"angle_std": Number(0)}

    def __init__(self, angle_std: float = 25.0):
        self.angle_std = angle_std

    def fit(self, windows: Windows, **_: Any) -> ConstantVelocity:
        """Learn nothing."""
        self._check_parameters()
        return self

    def predict(
        self, cues: Cues, *, n_samples: int = 1, n_steps: int = 12, seeds: Any = None
    ) -> np.ndarray:
        """Positions (B, n_samples, n_steps, 2)."""
        now, step = cues.past[:, -1], cues.past[:, -1] - cues.past[:, -2]
        angle = np.zeros((len(now), 1))
        if n_samples > 1:
            angle = np.deg2rad(self.angle_std) * normal(seeds_of(seeds, len(now)), n_samples)
        cos, sin, x, y = np.cos(angle), np.sin(angle), step[:, :1], step[:, 1:]
        turned = np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)  # (B, K, 2)
        return now[:, None, None] + turned[:, :, None] * ahead(n_steps)


class Kalman(Estimator):
    """Predict a Gaussian by a Kalman filter whose velocity changes at random.

    Position and velocity of each axis move as :math:`s_{t+1} = F s_t + w`, of which the noisy
    position is observed; w is white noise in the acceleration.  The two variances are those under
    which the futures of training are most likely.

    Attributes
    ----------
    process_variance_, measurement_variance_ : float
        Square metres; of a step.
    """

    def fit(self, windows: Windows, **_: Any) -> Kalman:
        """Find the two variances.

        Parameters
        ----------
        windows : Windows
        """
        n_past, n_steps = windows.past.shape[1], windows.future.shape[1]
        track = np.concatenate([windows.past, windows.future], axis=1) - windows.past[:, -1:]
        flat = track.swapaxes(0, 1).reshape(n_past + n_steps, -1)  # both axes alike
        moments = flat @ flat.T / flat.shape[1]

        def cost(logs: np.ndarray) -> float:
            """Minus the mean log density, through second moments: no pass over the data."""
            self.process_variance_, self.measurement_variance_ = np.exp(logs)
            weights, covariance = self._future(n_past, n_steps)
            left = np.concatenate([-weights, np.eye(n_steps)], axis=1)  # (n_steps, n)
            square, variance = np.diag(left @ moments @ left.T), np.diag(covariance)
            return float((square / variance + np.log(variance)).mean())

        best = minimize(cost, np.log([1e-3, 1e-4]), method="Nelder-Mead")
        self.process_variance_, self.measurement_variance_ = map(float, np.exp(best.x))
        return self

    def predict(
        self, cues: Cues, *, n_samples: int = 1, n_steps: int = 12, seeds: Any = None
    ) -> np.ndarray:
        """Positions (B, n_samples, n_steps, 2): the mean, or draws of whole tracks."""
        mean, covariance = self._gaussian(cues.past, n_steps)
        if n_samples == 1:
            return mean[:, None]
        noise = normal(seeds_of(seeds, len(mean)), n_samples, n_steps, 2)
        return mean[:, None] + np.linalg.cholesky(covariance) @ noise

    def density(self, cues: Cues, future: np.ndarray, clamp: float | None = None) -> np.ndarray:
        """Log density of futures (B,), the mean over steps of each step's own, in nats.

        Parameters
        ----------
        cues : Cues
        future : ndarray of shape (B, n_steps, 2)
        clamp : float, optional
            A step's log density counts for no more than this.
        """
        mean, covariance = self._gaussian(cues.past, future.shape[1])
        variance = np.diag(covariance)[:, None]
        each = -0.5 * (future - mean) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance)
        return np.minimum(each.sum(2), np.inf if clamp is None else clamp).mean(1)

    def _gaussian(self, past: np.ndarray, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean (B, n_steps, 2) and, of each axis, covariance (n_steps, n_steps) of positions."""
        check_is_fitted(self, "process_variance_")
        weights, covariance = self._future(past.shape[1], n_steps)
        now = past[:, -1:]
        return now + weights @ (past - now), covariance

    def _future(self, n_past: int, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Weights (n_steps, n_past) of the past in the mean, and covariance of future positions.

        The filter's gains do not depend on the data, so that all of it is one product.
        """
        F = np.array([[1.0, 1.0], [0.0, 1.0]])
        Q = self.process_variance_ * np.array([[1 / 3, 1 / 2], [1 / 2, 1.0]])
        weights = np.zeros((2, n_past))  # of the past's positions in the state's mean
        P = DIFFUSE * np.eye(2)
        for t in range(n_past):
            if t:
                weights, P = F @ weights, F @ P @ F.T + Q
            gain = P[:, 0] / (P[0, 0] + self.measurement_variance_)
            weights = weights - np.outer(gain, weights[0])
            weights[:, t] += gain
            P = P - np.outer(gain, P[0])
        future = weights[0] + ahead(n_steps) * weights[1]
        covariance = np.zeros((n_steps, n_steps))
        for t in range(n_steps):
            P = F @ P @ F.T + Q
            later = np.arange(n_steps - t)  # cov(x_{t+k}, x_t) = (F^k P)_{00}
            covariance[t, t:] = covariance[t:, t] = P[0, 0] + later * P[1, 0]
        return future, covariance + self.measurement_variance_ * np.eye(n_steps)


class LinearRidge(Estimator):
    """Predict by ridge regression in the target's own frame, with or without neighbours.

    Parameters
    ----------
    social : bool, default=False
        Whether place and velocity of the nearest neighbours are features, those near counting more.
    place : bool, default=False
        Whether the target's place in the scene is a feature; the frame then is that of the map.
    alpha : float, default=10
        Weight of the penalty.
    n_neighbors : int, default=5
        How many of each relation (own kind, other kind …) are looked at.
    radius : float, default=None
        Metres within which they are; None: wherever the windows have neighbours.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features, n_steps · 2)
    covariance_ : ndarray of shape (n_steps · 2, n_steps · 2)
        Of what is left over in training, in the target's frame.
    relations_ : ndarray of shape (n_kinds,)
    """

    _constraints: ClassVar = {
        "social": Choice((True, False)),
        "place": Choice((True, False)),
        "alpha": Number(0, open_low=True),
        "n_neighbors": Number(1, integer=True),
        "radius": Number(0, open_low=True, none=True),
    }

    def __init__(
        self,
        social: bool = False,
        place: bool = False,
        alpha: float = 10.0,
        n_neighbors: int = 5,
        radius: float | None = None,
    ):
        self.social, self.place = social, place
        self.alpha, self.n_neighbors, self.radius = alpha, n_neighbors, radius

    def fit(self, windows: Windows, **_: Any) -> LinearRidge:
        """Solve the normal equations.

        Parameters
        ----------
        windows : Windows
        """
        self._check_parameters()
        cues = windows.cues()
        self.relations_ = Relations.learn(cues, len(windows.kinds)).of_kind
        frame = self._frame(cues)
        features = self._features(cues, frame)  # (n, n_features)
        wanted = frame.enter(windows.future).reshape(len(features), -1)  # (n, n_steps · 2)
        gram = features.T @ features + self.alpha * np.eye(features.shape[1])
        self.coef_ = np.linalg.solve(gram, features.T @ wanted)
        left = wanted - features @ self.coef_
        self.covariance_ = left.T @ left / len(left) + 1e-6 * np.eye(wanted.shape[1])
        return self

    def predict(
        self, cues: Cues, *, n_samples: int = 1, n_steps: int = 12, seeds: Any = None
    ) -> np.ndarray:
        """Positions (B, n_samples, n_steps, 2): the mean, or draws with the errors of training."""
        frame = self._frame(cues)
        found = self._mean(cues, frame, n_steps)[:, None]  # (B, 1, n_steps, 2)
        if n_samples > 1:
            size = 2 * n_steps
            root = np.linalg.cholesky(self.covariance_[:size, :size])
            errors = normal(seeds_of(seeds, len(found)), n_samples, size) @ root.T
            found = found + errors.reshape(len(found), n_samples, n_steps, 2)
        return frame.leave(found)

    def density(self, cues: Cues, future: np.ndarray, clamp: float | None = None) -> np.ndarray:
        """Log density of futures (B,), as that of :class:`Kalman`."""
        frame, n_steps = self._frame(cues), future.shape[1]
        left = frame.enter(future) - self._mean(cues, frame, n_steps)  # (B, n_steps, 2)
        at = np.arange(n_steps)
        blocks = self.covariance_.reshape(-1, 2, self.coef_.shape[1] // 2, 2)[at, :, at]
        quadratic = np.einsum("bti,tij,btj->bt", left, np.linalg.inv(blocks), left)
        each = -0.5 * (quadratic + np.log(np.linalg.det(2 * np.pi * blocks)))
        return np.minimum(each, np.inf if clamp is None else clamp).mean(1)

    def _mean(self, cues: Cues, frame: LocalFrame, n_steps: int) -> np.ndarray:
        check_is_fitted(self, "coef_")
        most = self.coef_.shape[1] // 2
        if n_steps > most:
            raise MakedoInputError(
                f"LinearRidge has learnt {most} steps of the future and was asked for {n_steps}. "
                "Fit it on windows with a longer n_future."
            )
        features = self._features(cues, frame)
        if features.shape[1] != len(self.coef_):
            raise MakedoInputError(
                f"LinearRidge has learnt from another length of past than {cues.past.shape[1]} "
                "steps. Cut the windows with the n_past of training."
            )
        return (features @ self.coef_[:, : 2 * n_steps]).reshape(len(features), n_steps, 2)

    def _frame(self, cues: Cues) -> LocalFrame:
        return LocalFrame.of(cues.past, turned=not self.place)

    def _features(self, cues: Cues, frame: LocalFrame) -> np.ndarray:
        """Own past, perhaps place and neighbours, and a constant: (B, n_features)."""
        past = frame.enter(cues.past)
        parts = [past[:, :-1].reshape(len(past), -1)]
        if self.place:
            parts.append(cues.past[:, -1])
        if self.social:
            parts.append(self._of_neighbors(cues, frame, past[:, -1] - past[:, -2]))
        return np.concatenate([*parts, np.ones((len(past), 1))], axis=1)

    def _of_neighbors(self, cues: Cues, frame: LocalFrame, own_step: np.ndarray) -> np.ndarray:
        """Five numbers of each of the nearest neighbours of each relation; 0 where there is none.

        Relative place and step divided by 1 + distance, and 1 / (1 + distance).
        """
        seen = frame.enter(cues.neighbors[:, :, -2:])  # (B, M, 2, 2)
        place, step = seen[:, :, 1], seen[:, :, 1] - seen[:, :, 0] - own_step[:, None]
        distance = np.linalg.norm(place, axis=2)
        near = 1 / (1 + distance)[..., None]
        features = np.concatenate([place * near, step * near, near], axis=2)  # (B, M, 5)
        relations = Relations(self.relations_)
        relation, found = relations(cues), []
        for number in range(relations.n):
            counts = cues.present & (relation == number)
            if self.radius is not None:
                counts &= distance <= self.radius
            found.append(nearest_first(features, distance, counts, self.n_neighbors))
        return np.concatenate(found, axis=1)


def nearest_first(
    features: np.ndarray, distance: np.ndarray, counts: np.ndarray, n: int
) -> np.ndarray:
    """Features of the n nearest neighbours that count, one after another (B, n · n_features)."""
    B, M, size = features.shape
    order = np.argsort(np.where(counts, distance, np.inf), axis=1, kind="stable")[:, :n]
    chosen = np.take_along_axis(features, order[..., None], axis=1)
    chosen = np.where(np.take_along_axis(counts, order, axis=1)[..., None], chosen, 0.0)
    slots = np.zeros((B, n, size))
    slots[:, : chosen.shape[1]] = chosen
    return slots.reshape(B, n * size)
