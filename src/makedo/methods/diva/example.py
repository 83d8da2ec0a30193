"""A small problem for the contract tests: two classes of points, some with a wrong label."""

from __future__ import annotations

import numpy as np

from makedo.core.example import Example
from makedo.methods.diva.estimator import DatasetDerivative


def small_example(random_state: int = 0) -> Example:
    """90 rows, a tenth of them mislabelled, and six new ones."""
    rng = np.random.default_rng(random_state)
    y = np.arange(96) % 2
    X = rng.normal(size=(96, 6)) + 1.5 * y[:, None]
    given = np.where(rng.random(90) < 0.1, 1 - y[:90], y[:90])
    labels = np.array(["left", "right"])[given]
    return Example(DatasetDerivative(), {"X": X[:90], "y": labels}, X[90:])
