"""Small problems, and the head by brute force: a refit for every question."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from makedo import DatasetDerivative

PENALTY = 0.7


@dataclass
class Problem:
    """Rows X, targets Y (and class numbers y), weights α with zeros among them, validation rows."""

    X: np.ndarray
    y: np.ndarray
    Y: np.ndarray
    alpha: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray
    Y_val: np.ndarray
    intercept: bool

    @property
    def Z(self):
        return self.design(self.X)

    def design(self, X):
        return np.hstack([X, np.ones((len(X), 1))]) if self.intercept else X

    def refit(self, alpha=None, penalty=PENALTY):
        """W by the normal equations."""
        alpha = self.alpha if alpha is None else alpha
        P = penalty * np.eye(self.Z.shape[1])
        P[self.X.shape[1] :] = 0
        return np.linalg.solve(
            self.Z.T @ (alpha[:, None] * self.Z) + P, self.Z.T @ (alpha[:, None] * self.Y)
        )

    def without(self, rows, alpha=None, penalty=PENALTY):
        """Predictions at some rows of the head that was fitted without them."""
        alpha = (self.alpha if alpha is None else alpha).copy()
        alpha[rows] = 0
        return self.Z[rows] @ self.refit(alpha, penalty)

    def fit(self, valid=False, **settings):
        """The estimator on this problem, features as they are."""
        data = {"sample_weight": settings.pop("sample_weight", self.alpha)}
        data["groups"] = settings.pop("groups", None)
        if valid:
            data |= {"X_val": self.X_val, "y_val": self.y_val}
        settings = {"penalty": PENALTY, "scale": None, "fit_intercept": self.intercept} | settings
        return DatasetDerivative(**settings).fit(self.X, self.y, **data)


def build(n=14, n_features=5, n_outputs=3, intercept=True, kind="classes", seed=0):
    rng = np.random.default_rng(seed)
    X, X_val = rng.normal(size=(n, n_features)) + 0.5, rng.normal(size=(6, n_features))
    if kind == "classes":
        y, y_val = rng.permutation(np.arange(n) % n_outputs), np.arange(6) % n_outputs
        Y, Y_val = np.eye(n_outputs)[y], np.eye(n_outputs)[y_val]
    else:
        Y, Y_val = rng.normal(size=(n, n_outputs)), rng.normal(size=(6, n_outputs))
        y, y_val = (Y[:, 0], Y_val[:, 0]) if n_outputs == 1 else (Y, Y_val)
    alpha = rng.uniform(0.2, 2, n)
    alpha[[1, n // 2]] = 0
    return Problem(X, y, Y, alpha, X_val, y_val, Y_val, intercept)


@pytest.fixture(scope="session")
def make_problem():
    return build


# Tall and wide, with and without an intercept, one output and several.
SHAPES = {
    "tall, intercept, classes": {},
    "tall, no intercept, one number": {
        "intercept": False, "n_outputs": 1, "kind": "values",
    },
    "wide, intercept, two numbers": {"n": 9, "n_features": 20, "n_outputs": 2, "kind": "values"},
    "wide, no intercept, classes": {"n": 9, "n_features": 20, "intercept": False},
}  # fmt: skip


@pytest.fixture(params=SHAPES)
def problem(request):
    return build(**SHAPES[request.param])
